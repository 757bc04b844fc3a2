//! How a column's values travel between Postgres's text output and a sheet's cells
//! (docs/values.md).
//!
//! Nothing here can fail on data: what has no better form travels as text, and what a person typed
//! reaches Postgres's own input function, which refuses it in its own words.

mod date;
mod date_text;
mod duration;
mod number;
mod typed;

use std::num::{NonZeroI64, NonZeroU64};

use xxhash_rust::xxh3::Xxh3;

use crate::mapping::{Column, Kind, Mapping};
use crate::value::{Base, Cell, Datum, Key, Text};

use crate::zone::Zone;

pub(crate) use typed::{is_key_by_sight, is_no_key, is_no_new_key};

/// What Google takes in one cell.
pub const MAX_CELL_CHARACTERS: usize = 50_000;

/// A value longer than a cell can hold; it is reported and never cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Counted in UTF-16 units.
    pub characters: usize,
}

/// The cell that shows a database value.
pub fn encode(column: &Column, zone: Zone, value: &Datum) -> Result<Cell, TooLong> {
    let Some(text) = value else {
        return Ok(Cell::Empty);
    };
    let typed = match column.kind {
        Kind::Boolean => match text.as_str() {
            "t" | "true" => Some(Cell::Bool(true)),
            "f" | "false" => Some(Cell::Bool(false)),
            _ => None,
        },
        Kind::Integer => number::integer_cell(text),
        Kind::Float4 | Kind::Float8 => number::float_cell(text),
        Kind::Numeric => number::numeric_cell(text),
        Kind::Date => date::date_cell(text),
        Kind::Time => date::time_cell(text),
        Kind::Timestamp => date::timestamp_cell(text),
        Kind::TimestampTz => date::timestamptz_cell(text, zone),
        Kind::Interval | Kind::Json | Kind::Array | Kind::Printed | Kind::Text => None,
    };
    match typed {
        Some(cell) => Ok(cell),
        None => text_cell(text),
    }
}

fn text_cell(text: &Text) -> Result<Cell, TooLong> {
    if text.is_empty() {
        return Ok(Cell::Empty);
    }
    // Google does not say what it counts (G-LIMITS-3); UTF-16 units are the largest of the
    // candidates.
    if text.len() > MAX_CELL_CHARACTERS {
        let characters = text.encode_utf16().count();
        if characters > MAX_CELL_CHARACTERS {
            return Err(TooLong { characters });
        }
    }
    Ok(Cell::Text(text.clone()))
}

/// The text that the column's input function is given for a cell.
pub fn decode(column: &Column, zone: Zone, cell: &Cell) -> Datum {
    let text = match cell {
        Cell::Empty if column.kind == Kind::Text && !column.nullable => Text::default(),
        Cell::Empty => return None,
        Cell::Text(text) => text.clone(),
        Cell::Bool(value) => match (column.kind, value) {
            (Kind::Boolean, true) => Text::new_static("t"),
            (Kind::Boolean, false) => Text::new_static("f"),
            (Kind::Json, true) => Text::new_static("true"),
            (Kind::Json, false) => Text::new_static("false"),
            (_, true) => Text::new_static("TRUE"),
            (_, false) => Text::new_static("FALSE"),
        },
        Cell::Number(value) => Text::from(match column.kind {
            Kind::Date => date::date_text(*value),
            Kind::Time => date::time_text(*value),
            Kind::Timestamp => date::timestamp_text(*value),
            Kind::TimestampTz => date::timestamptz_text(*value, zone),
            Kind::Float4 | Kind::Float8 => number::float_text(*value),
            Kind::Interval => duration::duration_text(*value),
            _ => number::plain_text(*value),
        }),
    };
    Some(text)
}

/// Whether a database value and a cell stand for the same thing, so that neither has to be written.
pub fn agreed(column: &Column, zone: Zone, value: &Datum, cell: &Cell) -> bool {
    let encoded = encode(column, zone, value);
    match (&encoded, cell) {
        (Ok(Cell::Number(ours)), Cell::Number(theirs))
            if is_date(column.kind) && date::same_serial(*ours, *theirs) =>
        {
            return true;
        }
        (Ok(ours), theirs) if ours == theirs => return true,
        _ => {}
    }
    let decoded = decode(column, zone, cell);
    if decoded == *value {
        return true;
    }
    if let (Some(value), Cell::Number(serial), Kind::Interval) = (value, cell, column.kind) {
        return duration::same_duration(value, *serial);
    }
    means_same(column, value, &decoded)
}

/// Whether two texts of a column are one value.
fn means_same(column: &Column, ours: &Datum, theirs: &Datum) -> bool {
    match (ours, theirs, column.kind) {
        (Some(ours), Some(theirs), Kind::Float4) => number::same_float4(ours, theirs),
        (Some(ours), Some(theirs), Kind::Float8) => number::same_float8(ours, theirs),
        (Some(ours), Some(theirs), Kind::Numeric | Kind::Integer) => {
            number::same_decimal(ours, theirs)
        }
        (ours, theirs, _) => ours == theirs,
    }
}

fn is_date(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz
    )
}

/// Whether a cell shows that its formula fails or is still computing: one of these words, alone or
/// followed by a message in parentheses (G-VALUES-6).
pub fn is_error(cell: &Cell) -> bool {
    const CODES: [&str; 10] = [
        "#ERROR!",
        "#NULL!",
        "#DIV/0!",
        "#DIV/0",
        "#VALUE!",
        "#REF!",
        "#NAME?",
        "#NUM!",
        "#N/A",
        "Loading...",
    ];
    let Cell::Text(text) = cell else {
        return false;
    };
    CODES.iter().any(|code| {
        text.strip_prefix(code)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
    })
}

/// One mapped column's codec calls, with the mapping's time zone.
impl Mapping {
    /// [`encode`] for one mapped column.
    pub fn encode(&self, column: usize, value: &Datum) -> Result<Cell, TooLong> {
        match self.columns.get(column) {
            Some(description) => encode(description, self.time_zone, value),
            None => Ok(Cell::Empty),
        }
    }

    /// The cell for a value where the cell that it replaces may be a duration: texts among
    /// durations break their sums.
    pub fn encode_over(
        &self,
        column: usize,
        value: &Datum,
        durations: bool,
    ) -> Result<Cell, TooLong> {
        let kind = self.columns.get(column).map(|column| column.kind);
        let duration = match (kind, value) {
            (Some(Kind::Interval), Some(text)) if durations => duration::duration_cell(text),
            _ => None,
        };
        duration.map_or_else(|| self.encode(column, value), Ok)
    }

    /// Whether a value and what a cell was found to mean are the same.
    pub fn means(&self, column: usize, value: &Datum, meant: &Datum) -> bool {
        self.columns
            .get(column)
            .is_some_and(|column| means_same(column, value, meant))
    }

    /// [`decode`] for one mapped column.
    pub fn decode(&self, column: usize, cell: &Cell) -> Datum {
        self.columns
            .get(column)
            .and_then(|description| decode(description, self.time_zone, cell))
    }

    /// The key that a row's cells spell, where every part of it is filled in.
    pub fn typed_key(&self, cells: &[Cell]) -> Option<Key> {
        let part = |column: &usize| match cells.get(*column) {
            None | Some(Cell::Empty) => None,
            Some(cell) => self.decode(*column, cell),
        };
        self.key.iter().map(part).collect()
    }

    /// The key of a row of the table.
    pub fn key_of_row(&self, row: &[Datum]) -> Option<Key> {
        let part = |column: &usize| row.get(*column).cloned().flatten();
        self.key.iter().map(part).collect()
    }

    /// What the cells spell where it is not `key` as we would write it.
    pub(crate) fn typed_otherwise(&self, key: &Key, cells: &[Cell]) -> Option<Key> {
        let ours = |(column, text): (&usize, &Text)| {
            let cell = self.encode(*column, &Some(text.clone()));
            cell.is_ok_and(|cell| cells.get(*column) == Some(&cell))
        };
        let as_written = self.key.iter().zip(&key.0).all(ours);
        self.typed_key(cells)
            .filter(|typed| !as_written && typed != key)
    }

    /// [`agreed`] for one mapped column.
    pub fn agreed(&self, column: usize, value: &Datum, cell: &Cell) -> bool {
        self.columns
            .get(column)
            .is_none_or(|description| agreed(description, self.time_zone, value, cell))
    }
}

/// Stands for the cells of a row. It is stored: the same cells must have the same hash in every
/// version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellsHash(NonZeroI64);

impl CellsHash {
    /// As it is stored.
    pub fn number(self) -> i64 {
        self.0.get()
    }

    /// What [`CellsHash::number`] gave; `None` for 0, which it never gives.
    pub fn of_number(number: i64) -> Option<Self> {
        NonZeroI64::new(number).map(Self)
    }
}

pub fn hash_cells(cells: &[Cell]) -> CellsHash {
    let mut hasher = Xxh3::new();
    for cell in cells {
        match cell {
            Cell::Empty => hasher.update(&[0]),
            Cell::Bool(value) => hasher.update(&[1, u8::from(*value)]),
            Cell::Number(value) => {
                hasher.update(&[2]);
                // Both zeros are one number.
                let bits = if *value == 0.0 { 0 } else { value.to_bits() };
                hasher.update(&bits.to_le_bytes());
            }
            Cell::Text(text) => {
                hasher.update(&[3]);
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
    }
    let digest = hasher.digest() as i64;
    CellsHash(NonZeroI64::new(digest).unwrap_or(NonZeroI64::MIN))
}

/// Stands for the bytes of a row as Google sent them; only ever compared with others of the same
/// process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BytesHash(NonZeroU64);

pub(crate) fn hash_bytes(bytes: &[u8]) -> BytesHash {
    let hash = xxhash_rust::xxh3::xxh3_64(bytes);
    BytesHash(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MAX))
}

/// The same number for the same bytes in every process, version and cluster: two writers that plan
/// from equal readings ask for one stamp.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

impl Base {
    /// What a row without a base is merged against: nothing on either side.
    pub fn empty(columns: usize) -> Self {
        Self {
            database: vec![None; columns],
            sheet: vec![Cell::Empty; columns],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_all_versions_are_made_of_one_hash() {
        assert_eq!(stable_hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(stable_hash(b"0.7.1.0"), 11_247_370_701_226_823_961);
    }
}
