//! Stops because of the header row.

use crate::effect::Reason;
use crate::effect::Stopped;
use crate::mapping::{Mapping, column_letters};

fn name(mapping: &Mapping, column: usize) -> &str {
    mapping
        .columns
        .get(column)
        .map_or("", |column| column.header.as_str())
}

pub(crate) fn missing_guard(mapping: &Mapping, missing: &[usize]) -> Stopped {
    let names: Vec<String> = missing
        .iter()
        .map(|column| format!("\"{}\"", name(mapping, *column)))
        .collect();
    Stopped::Guard {
        reason: Reason::HeaderMissing,
        message: format!(
            "Row {} of the sheet has no header {}.",
            mapping.header_row,
            names.join(", ")
        ),
        hint: "Type the missing header above its column again; the sync goes on by itself.".into(),
        question: None,
    }
}

pub(crate) fn blank_guard(mapping: &Mapping) -> Stopped {
    Stopped::Guard {
        reason: Reason::HeaderMissing,
        message: format!("Row {} of the sheet, which should hold the headers, is empty.", mapping.header_row),
        hint: "Put the header row back (Edit > Undo, or the version history of the sheet); the sync goes on by itself.".into(),
        question: None,
    }
}

pub(crate) fn doubled_guard(mapping: &Mapping, column: usize, places: &[u32]) -> Stopped {
    let row = mapping.header_row;
    let cells: Vec<String> = places
        .iter()
        .map(|place| format!("{}{row}", column_letters(*place)))
        .collect();
    Stopped::Guard {
        reason: Reason::HeaderDoubled,
        message: format!(
            "The header \"{}\" stands over more than one column: in {}.",
            name(mapping, column),
            cells.join(" and ")
        ),
        hint: "Rename all but one of these headers; the sync goes on by itself.".into(),
        question: None,
    }
}
