//! Answers against the discovery documents: every member is declared, with its type and its enum.

use std::sync::LazyLock;

use serde_json::Value as Json;

static SHEETS: LazyLock<Json> = LazyLock::new(|| read(include_str!("../../data/sheets.v4.json")));
static DRIVE: LazyLock<Json> = LazyLock::new(|| read(include_str!("../../data/drive.v3.json")));

fn read(text: &str) -> Json {
    serde_json::from_str(text).expect("a discovery document")
}

/// Panics where an answer is not what its method declares.
pub fn check(method: &str, path: &str, status: u16, answer: &Json) {
    let path = path.split('?').next().unwrap_or(path);
    if status >= 400 {
        assert_eq!(answer["error"]["code"].as_u64(), Some(u64::from(status)), "{method} {path}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{method} {path}: {answer}");
        return;
    }
    let (document, path) = match path.strip_prefix("/drive/v3/") {
        Some(rest) => (&*DRIVE, rest),
        None => (&*SHEETS, path.trim_start_matches('/')),
    };
    let declared =
        find(&document["resources"], method, path).unwrap_or_else(|| panic!("{method} {path} is not declared"));
    match declared.pointer("/response/$ref").and_then(Json::as_str) {
        Some(schema) => message(document, schema, answer, schema),
        None => assert!(answer == "", "{method} {path} declares no answer: {answer}"),
    }
}

fn find<'a>(resources: &'a Json, method: &str, path: &str) -> Option<&'a Json> {
    resources.as_object()?.values().find_map(|resource| {
        let methods = resource["methods"].as_object().into_iter().flat_map(|m| m.values());
        methods
            .into_iter()
            .find(|m| m["httpMethod"] == method && fits(m["path"].as_str().unwrap_or_default(), path))
            .or_else(|| find(&resource["resources"], method, path))
    })
}

/// `{x}` stands for one segment, up to a verb behind a colon.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(t, p)| match (t.strip_prefix('{'), t.rsplit_once(':')) {
            (Some(_), Some((_, verb))) => p.ends_with(&format!(":{verb}")),
            (Some(_), None) => {
                !["batchUpdate", "append", "clear", "getByDataFilter"].iter().any(|v| p.ends_with(&format!(":{v}")))
            }
            _ => t == p,
        })
}

pub fn message(document: &Json, schema: &str, value: &Json, place: &str) {
    let members = value.as_object().unwrap_or_else(|| panic!("{place} is no object: {value}"));
    for (name, value) in members {
        let property = &document["schemas"][schema]["properties"][name];
        assert!(!property.is_null(), "{place} has no member {name}: {value}");
        typed(document, property, value, &format!("{place}.{name}"));
    }
}

fn typed(document: &Json, property: &Json, value: &Json, place: &str) {
    if let Some(schema) = property["$ref"].as_str() {
        return message(document, schema, value, place);
    }
    let fits = match property["type"].as_str().unwrap_or("any") {
        "array" => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place} is no list: {value}"));
            items
                .iter()
                .enumerate()
                .for_each(|(i, v)| typed(document, &property["items"], v, &format!("{place}[{i}]")));
            true
        }
        "string" => value.is_string() && in_enum(property, value),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        _ => !value.is_null(),
    };
    assert!(fits, "{place} is declared as {property}: {value}");
}

fn in_enum(property: &Json, value: &Json) -> bool {
    property["enum"].as_array().is_none_or(|names| names.contains(value))
}
