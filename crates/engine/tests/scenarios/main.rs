//! Scenarios in files: how both sides stand, what happens, and how both sides and the conflict and
//! problem lines stand then. Read them as documentation of what the engine does; `format.rs` says
//! how they are written. They run on the simulator's model of the table, the sheet and the driver,
//! so its promises are watched here too.
//!
//!     cargo test -p engine --test scenarios [directory]

mod cells;
mod format;
// The simulator uses all of the model, the scenarios only most of it.
#[allow(dead_code)]
#[path = "../simulator/model/mod.rs"]
mod model;
mod stage;

use std::path::Path;

/// Every scenario of a directory; what fails is told together at the end.
fn play(directory: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scenarios")
        .join(directory);
    let mut files: Vec<_> = std::fs::read_dir(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{directory} holds no scenario");
    let failures: Vec<String> = files.iter().filter_map(|file| failure(file)).collect();
    assert!(
        failures.is_empty(),
        "{} of {} fail\n\n{}",
        failures.len(),
        files.len(),
        failures.join("\n\n")
    );
}

fn failure(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).expect("a scenario is text");
    let told = format::parse(&text).and_then(|scenario| stage::play(&scenario));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    told.err().map(|words| format!("==== {name}\n{words}"))
}

#[test]
fn each_line_of_the_reconcile_table() {
    play("reconcile");
}

#[test]
fn policies() {
    play("policies");
}

#[test]
fn guards() {
    play("guards");
}

#[test]
fn rows_and_keys() {
    play("rows");
}

#[test]
fn columns_and_values() {
    play("columns");
}

#[test]
fn faults() {
    play("faults");
}

#[test]
fn complaints_about_other_tools() {
    play("complaints");
}

/// What the documentation says of who wins is played here, line by line.
#[test]
fn every_line_of_the_documented_table_is_a_scenario() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = root.join("../../docs/merging.md");
    let page = std::fs::read_to_string(page).expect("docs/merging.md");
    let link = "](../crates/engine/";
    let linked: Vec<&str> = page
        .split(link)
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(path, _)| path))
        .collect();
    for path in &linked {
        assert!(root.join(path).is_file(), "{path} is linked and not there");
    }
    for file in std::fs::read_dir(root.join("tests/scenarios/reconcile")).expect("scenarios") {
        let name = file.expect("a scenario").file_name();
        let path = format!("tests/scenarios/reconcile/{}", name.to_string_lossy());
        assert!(linked.contains(&path.as_str()), "{path} is not linked");
    }
}
