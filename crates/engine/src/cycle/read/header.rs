//! Stops because of the header row.

use crate::cycle::read::grid::parse;
use crate::cycle::stop::Stop;
use crate::effect::{Reason, Snapshot, Stopped};
use crate::mapping::{Mapping, column_letters};
use crate::tab::{Found, find_columns};

fn name(mapping: &Mapping, column: usize) -> &str {
    mapping
        .columns
        .get(column)
        .map_or("", |column| column.header.as_str())
}

/// Below the row that should hold the headers so many rows are looked at for one that does.
const LOOKED_AT: usize = 100;

/// The row, counted from 1, that reads as the headers should: people have put something above them.
pub(crate) fn row_below(mapping: &Mapping, snapshot: &Snapshot) -> Result<Option<u32>, Stop> {
    let below = (0u32..).zip(&snapshot.rows);
    for (at, _) in below.skip(mapping.header_row as usize).take(LOOKED_AT) {
        let heads = match find_columns(mapping, &parse(snapshot, at)?) {
            Found::Whole(_) => true,
            Found::Missing(missing, _) => mapping.key.iter().all(|key| !missing.contains(key)),
            Found::Doubled(..) | Found::Blank => false,
        };
        if heads {
            return Ok(Some(at + 1));
        }
    }
    Ok(None)
}

/// Where a row below reads as the headers should, that one is meant.
fn hint(likely: Option<u32>, otherwise: &str) -> String {
    match likely {
        Some(row) => format!(
            "The headers seem to stand in row {row}: UPDATE sheet_sync.mapping SET header_row = {row} for this mapping, or remove what stands above them; the sync goes on by itself."
        ),
        None => otherwise.to_owned(),
    }
}

fn named(mapping: &Mapping, columns: &[usize]) -> String {
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!("\"{}\"", name(mapping, *column)))
        .collect();
    names.join(", ")
}

pub(crate) fn missing_guard(mapping: &Mapping, missing: &[usize], likely: Option<u32>) -> Stopped {
    Stopped::Guard {
        reason: Reason::HeaderMissing,
        message: format!(
            "Row {} of the sheet has no header {}.",
            mapping.header_row,
            named(mapping, missing)
        ),
        hint: hint(
            likely,
            "Type the missing header above its column again; the sync goes on by itself.",
        ),
        question: None,
    }
}

/// The tab has data already, and its first row does not say which of them are keys.
pub(crate) fn key_missing_guard(
    mapping: &Mapping,
    missing: &[usize],
    likely: Option<u32>,
) -> Stopped {
    let row = mapping.header_row;
    Stopped::Guard {
        reason: Reason::HeaderMissing,
        message: format!(
            "Row {row} of the sheet has no header {}, without which nobody knows which row of the table a row of the sheet is.",
            named(mapping, missing)
        ),
        hint: hint(
            likely,
            &format!(
                "Type it above the column that holds these values (columns without a key get their headers by themselves). Where row {row} is not the one with the headers, set header_row in sheet_sync.mapping."
            ),
        ),
        question: None,
    }
}

pub(crate) fn blank_guard(mapping: &Mapping, likely: Option<u32>) -> Stopped {
    let established = mapping.columns.iter().any(|column| column.header_known);
    let otherwise = match established {
        true => {
            "Put the header row back (Edit > Undo, or the version history of the sheet); the sync goes on by itself."
        }
        false => {
            "Type the headers into it. Where another row has them, set header_row in sheet_sync.mapping."
        }
    };
    Stopped::Guard {
        reason: Reason::HeaderMissing,
        message: format!(
            "Row {} of the sheet, which should hold the headers, is empty.",
            mapping.header_row
        ),
        hint: hint(likely, otherwise),
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
