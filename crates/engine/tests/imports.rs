//! No two modules of the engine import each other, be it through others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Module and source, of every file below `folder`.
fn modules(folder: &Path, above: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("the source's folder").flatten() {
        let path = entry.path();
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let name = match above {
            "" => stem.into_owned(),
            above => format!("{above}::{stem}"),
        };
        match path.is_dir() {
            true => modules(&path, &name, found),
            false => {
                let text = fs::read_to_string(&path).expect("source is text");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                found.insert(name, code.to_owned());
            }
        }
    }
}

/// Modules that the source names from the crate's root, as deep as there are files. What is written
/// with `super` is a part of the same module.
fn imports(source: &str, known: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let paths = code.split("crate::").skip(1);
    let deepest = |path: &str| {
        let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let mut path = &path[..end.unwrap_or(path.len())];
        loop {
            if known.contains_key(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    paths.filter_map(deepest).collect()
}

fn reaches(
    from: &str,
    to: &str,
    imports: &BTreeMap<String, BTreeSet<String>>,
    seen: &mut BTreeSet<String>,
) -> bool {
    let next = imports.get(from).into_iter().flatten();
    next.into_iter()
        .any(|one| one == to || seen.insert(one.clone()) && reaches(one, to, imports, seen))
}

#[test]
fn no_two_modules_import_each_other() {
    let mut known = BTreeMap::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    modules(&source, "", &mut known);
    let of_module = |(name, code): (&String, &String)| {
        let mut named = imports(code, &known);
        named.remove(name);
        (name.clone(), named)
    };
    let imports: BTreeMap<_, _> = known.iter().map(of_module).collect();
    assert!(imports.values().any(|named| !named.is_empty()));
    let circles = imports
        .keys()
        .filter(|name| reaches(name, name, &imports, &mut BTreeSet::new()));
    assert_eq!(circles.collect::<Vec<_>>(), Vec::<&String>::new());
}
