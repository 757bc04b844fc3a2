//! Conditions of filters (`BooleanCondition`).

use serde_json::Value as Json;

use super::cell::{Cell, Computed};

/// Whether a cell, and what it shows, meet a condition; `None` for a kind that is not modelled.
pub fn holds(condition: &Json, cell: Option<&Cell>, shown: &str) -> Option<bool> {
    let text = shown.to_lowercase();
    let given: Vec<&str> = condition
        .get("values")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|v| v.get("userEnteredValue")?.as_str())
        .collect();
    let wanted = given.first().copied().unwrap_or_default().to_lowercase();
    let number = match cell.map(Cell::computed) {
        Some(Computed::Number(n)) => Some(n),
        _ => None,
    };
    let bound = |i: usize| given.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(f64::NAN);
    let compare = |holds: &dyn Fn(f64) -> bool| number.is_some_and(holds);
    Some(match condition.get("type").and_then(Json::as_str)? {
        "NUMBER_GREATER" => compare(&|n| n > bound(0)),
        "NUMBER_GREATER_THAN_EQ" => compare(&|n| n >= bound(0)),
        "NUMBER_LESS" => compare(&|n| n < bound(0)),
        "NUMBER_LESS_THAN_EQ" => compare(&|n| n <= bound(0)),
        "NUMBER_EQ" => compare(&|n| n == bound(0)),
        "NUMBER_NOT_EQ" => !compare(&|n| n == bound(0)),
        "NUMBER_BETWEEN" => compare(&|n| (bound(0)..=bound(1)).contains(&n)),
        "NUMBER_NOT_BETWEEN" => compare(&|n| !(bound(0)..=bound(1)).contains(&n)),
        "TEXT_CONTAINS" => text.contains(&wanted),
        "TEXT_NOT_CONTAINS" => !text.contains(&wanted),
        "TEXT_STARTS_WITH" => text.starts_with(&wanted),
        "TEXT_ENDS_WITH" => text.ends_with(&wanted),
        "TEXT_EQ" => text == wanted,
        "TEXT_NOT_EQ" => text != wanted,
        "BLANK" => text.is_empty(),
        "NOT_BLANK" => !text.is_empty(),
        _ => return None,
    })
}
