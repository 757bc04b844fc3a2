//! docs/google-sheets.md and the comments that name its facts: every id that a comment names stands
//! there once, and every test that the page names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/google-sheets.md";

/// Files that are no text of ours, and this one, which has to spell what it forbids.
const PASSED_OVER: [&str; 5] = ["node_modules", "target", "dist", "data", "facts.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names of facts (`G-META-1`) and of their groups (`G-META`).
fn ids(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    let words = words.map(|word| word.trim_end_matches('-'));
    words.filter(|word| is_id(word)).collect()
}

fn is_id(word: &str) -> bool {
    let mut parts = word.split('-');
    let (Some("G"), Some(group)) = (parts.next(), parts.next()) else {
        return false;
    };
    let numbers: Vec<&str> = parts.collect();
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    !group.is_empty()
        && group.bytes().all(|byte| byte.is_ascii_uppercase())
        && numbers.len() <= 1
        && numbers.iter().all(is_number)
}

#[derive(Default)]
struct Page {
    groups: Vec<String>,
    facts: Vec<String>,
    /// Of each fact, with its id.
    texts: Vec<(String, String)>,
}

fn page() -> Page {
    let text = fs::read_to_string(root().join(PAGE)).expect(PAGE);
    let mut page = Page::default();
    for paragraph in text.split("\n\n") {
        if let Some(heading) = paragraph.strip_prefix("## ") {
            let group = heading.split(':').next().unwrap_or_default();
            page.groups.push(group.to_owned());
        }
        if let Some((id, text)) = paragraph
            .strip_prefix("**")
            .and_then(|rest| rest.split_once("**"))
        {
            page.facts.push(id.to_owned());
            let words: Vec<&str> = text.split_whitespace().collect();
            page.texts.push((id.to_owned(), words.join(" ")));
        }
    }
    page
}

/// Every text of the repository that may name a fact, by its path from the root.
fn texts() -> Vec<(String, String)> {
    let mut left: Vec<PathBuf> = ["crates", "src", "sql", "tests", "bench", "scripts", "docs"]
        .map(|directory| root().join(directory))
        .into();
    let at_the_root = fs::read_dir(root()).expect("the root");
    left.extend(
        at_the_root
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file()),
    );
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if PASSED_OVER.contains(&&*name) || name.ends_with(".lock") {
            continue;
        }
        if path.is_dir() {
            let inside = fs::read_dir(&path).expect("a directory");
            left.extend(inside.filter_map(|entry| Some(entry.ok()?.path())));
        } else if let Ok(text) = fs::read_to_string(&path) {
            let from_root = path.strip_prefix(root()).unwrap_or(&path);
            found.push((from_root.to_string_lossy().into_owned(), text));
        }
    }
    assert!(found.len() > 200, "only {} texts were found", found.len());
    found
}

#[test]
fn every_fact_stands_once_and_in_its_group() {
    let page = page();
    assert!(page.facts.len() > 80, "{} facts", page.facts.len());
    let mut once = BTreeSet::new();
    for id in page.facts.iter().chain(&page.groups) {
        assert!(once.insert(id), "{id} stands twice in {PAGE}");
    }
    for id in &page.facts {
        let group = id.rsplit_once('-').map(|(group, _)| group.to_owned());
        assert!(
            is_id(id) && group.is_some_and(|group| page.groups.contains(&group)),
            "{id} has no group"
        );
    }
}

#[test]
fn every_fact_that_is_named_stands_in_the_page() {
    let page = page();
    let known: BTreeSet<&str> = page
        .facts
        .iter()
        .chain(&page.groups)
        .map(String::as_str)
        .collect();
    let mut named = 0;
    for (path, text) in texts() {
        for id in ids(&text) {
            assert!(
                known.contains(id),
                "{path} names {id}, which is not in {PAGE}"
            );
            named += usize::from(path != PAGE);
        }
    }
    assert!(named > 100, "{named} times a fact is named");
}

/// Each fact says how it is known and what covers it: after the path of a file, names of functions
/// in it.
#[test]
fn every_test_that_the_page_names_exists() {
    let mut named = 0;
    for (id, text) in page().texts {
        let (_, known) = text
            .split_once("*Known: ")
            .unwrap_or_else(|| panic!("how is {id} known?"));
        let (known, covered) = known
            .split_once("Covered by ")
            .unwrap_or_else(|| panic!("what covers {id}?"));
        let words = ["documented", "recorded", "measured", "reported", "assumed"];
        assert!(
            words.iter().any(|word| known.contains(word)),
            "{id}: {known}"
        );
        let mut file = String::new();
        for name in covered.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                file = fs::read_to_string(root().join(name))
                    .unwrap_or_else(|error| panic!("{id}: {name}: {error}"));
                continue;
            }
            if file.is_empty() {
                continue;
            }
            let function = format!("fn {name}(");
            assert!(file.contains(&function), "{id}: there is no {name}");
            named += 1;
        }
        let is_covered = !file.is_empty();
        assert!(
            is_covered || covered.starts_with("no test"),
            "{id}: {covered}"
        );
    }
    assert!(named > 100, "{named} tests are named");
}

/// What a comment depends on stands in the repository.
#[test]
fn nothing_refers_to_documents_that_are_not_here() {
    const MARKS: [&str; 9] = [
        "[DISC]",
        "[REC]",
        "[CODE]",
        "[MEASURED",
        "[LIVE",
        "[ISSUE",
        "[DOC]",
        "[UNVERIFIED]",
        "§",
    ];
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let mark = MARKS.iter().find(|mark| line.contains(**mark));
            let place = number + 1;
            assert!(mark.is_none(), "{path}:{place}: {line}");
            let lower = line.to_lowercase();
            let numbered = ["fact ", "facts "].iter().any(|word| {
                let rest = lower.split(word).skip(1);
                rest.into_iter()
                    .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            assert!(!numbered, "{path}:{place}: {line}");
        }
    }
}
