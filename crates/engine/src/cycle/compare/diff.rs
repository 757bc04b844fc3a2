//! What a reading shows that is not as it was.

use crate::codec::{BytesHash, CellsHash, is_error};
use crate::effect::{Place, Problem, Refusal};
use crate::mapping::{Direction, Mapping, Side};
use crate::value::{Cell, Key};
use std::collections::HashSet;
/// A key that has to be looked at, and where the sheet has it.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub key: Key,
    /// The snapshot's row; `None` where the sheet does not have the key.
    pub row: Option<u32>,
    /// The row's bytes; `None` where no reading is at hand.
    pub bytes: Option<BytesHash>,
}

/// What of the memory tells that a row is as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust {
    /// Equal bytes: only while the columns stand where they stood.
    pub bytes: bool,
    pub cells: bool,
}

/// Why nobody can tell which row it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A key cell shows a formula's error.
    Error,
    /// A key cell is blank.
    Blank,
    /// The key is blank, and the row can be given one: it may be a new row.
    New,
    /// The type of a key column does not take its cell.
    Refused,
    /// Other rows have the same key.
    Doubled(Key),
}

/// A row of the reading without a key that names it.
#[derive(Clone, Debug)]
pub(crate) struct UnreadableRow {
    pub at: u32,
    pub why: Unreadable,
    /// Its mapped cells.
    pub cells: CellsHash,
}

#[derive(Debug, Default)]
pub(crate) struct Diff {
    pub changed: Vec<Sighting>,
    /// Known keys that this snapshot and an earlier one miss.
    pub missing: Vec<Sighting>,
    /// Keys that are left alone: more than one row has them, or a row that may be theirs has
    /// another key or none that can be read.
    pub hidden: HashSet<Key>,
    /// Rows without a key that names them.
    pub unreadable: Vec<UnreadableRow>,
    /// Keys to which another row may belong, and where that row stands: its own key only looks like
    /// the one here, or it stands below the footer.
    pub alike: Vec<(Key, u32)>,
    /// Keys on which nothing is agreed, and where each stands.
    pub unbased: Vec<(Key, u32)>,
    /// Keys of which the next reading has to tell whether they are missing.
    pub unconfirmed: HashSet<Key>,
    /// Of missing keys, those whose row stands under another key now.
    pub rekeyed: HashSet<Key>,
    /// Rows typed without a key that can be given one.
    pub keyless: Vec<u32>,
    pub problems: Vec<Problem>,
}

impl Diff {
    /// A key that was missed for long enough is left to a later reading all the same.
    pub(crate) fn wait_for(&mut self, key: &Key) {
        self.missing.retain(|sighting| sighting.key != *key);
        self.unconfirmed.insert(key.clone());
    }
}

pub(crate) struct Row {
    pub at: u32,
    pub bytes: BytesHash,
    pub cells: CellsHash,
}

impl Row {
    /// Nobody can tell which row it is by the key that it has.
    pub fn refused(&self) -> UnreadableRow {
        UnreadableRow {
            at: self.at,
            why: Unreadable::Refused,
            cells: self.cells,
        }
    }
}

/// A row whose key was not met before.
pub(crate) struct Unknown {
    pub row: Row,
    /// As its cells hold it.
    pub typed: Key,
    /// Cells of the key that mean what people see in them.
    pub by_sight: Vec<(usize, Cell)>,
    /// Of a key that no cell keeps: in which column it stands, and why it is none.
    pub refused: Option<(usize, Refusal)>,
}

pub(crate) enum Typed {
    Blank,
    Whole(Key),
    /// The first key column without a value.
    Missing(usize),
    /// The first key column that shows a formula's error.
    Error(usize),
}

pub(crate) fn typed_key(mapping: &Mapping, cells: &[Cell]) -> Typed {
    let mut key = Key::default();
    let (mut missing, mut error) = (None, None);
    for column in &mapping.key {
        match cells.get(*column) {
            None | Some(Cell::Empty) => missing = missing.or(Some(*column)),
            Some(cell) if is_error(cell) => error = error.or(Some(*column)),
            Some(cell) => key.0.extend(mapping.decode(*column, cell)),
        }
    }
    if let Some(column) = error {
        return Typed::Error(column);
    }
    let Some(column) = missing else {
        return Typed::Whole(key);
    };
    // Formula columns are filled far below the data; they make no row.
    let typed = mapping
        .columns
        .iter()
        .zip(cells)
        .any(|(description, cell)| {
            *cell != Cell::Empty
                && *cell != Cell::Bool(false)
                && description.direction != Direction::FromSheet
        });
    if typed {
        Typed::Missing(column)
    } else {
        Typed::Blank
    }
}

pub(crate) fn sheet_problem(
    at: u32,
    column: Option<usize>,
    code: &str,
    message: String,
    hint: String,
) -> Problem {
    Problem {
        place: Place {
            key: None,
            sheet_row: Some(at + 1),
            column,
        },
        side: Side::Database,
        code: code.into(),
        message,
        hint,
        retry_at: None,
    }
}
