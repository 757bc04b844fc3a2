//! Changes to the table, and what is recorded with them.

use super::{BaseWrite, Inserting, Stamp, StoredRow};
use crate::mapping::{Mapping, Side};
use crate::value::{Base, Cell, Datum, Key, Timestamp};

/// A row that is refused takes nothing else with it. What is not in `apply` takes effect together,
/// and with or before the first of `apply`; these may follow in transactions of their own, each
/// with its base and its line of `history`, so that nobody waits long for a row that a transaction
/// of ours has changed. What is left of them when the driver dies is found again by comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    pub apply: Vec<Apply>,
    pub bases: Vec<BaseWrite>,
    /// New rows that are about to be sent.
    pub inserting: Vec<Inserting>,
    /// The stamps of batches of new rows that have arrived: what was stored of their rows holds
    /// from now on, unless `bases` says otherwise.
    pub inserted: Vec<Stamp>,
    pub conflicts: Vec<Conflict>,
    /// Conflicts whose decision both sides now hold.
    pub settled_conflicts: Vec<i64>,
    pub problems: Vec<Problem>,
    /// Problems at these places are over.
    pub settled_problems: Vec<Place>,
    /// One line per change that reached its side, for `history`.
    pub history: Vec<HistoryLine>,
    /// Columns whose header a person renamed, with the text that it has now.
    pub headers: Vec<(usize, String)>,
    pub writing: Option<Announcement>,
}

/// What is stored with the mapping of batches that overwrite cells, so that whoever comes after a
/// crash finds out what became of them before planning anything. Given back in [`Index::writing`].
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    /// This batch is about to be sent, besides those announced before.
    Begins(Stamp),
    /// Of all batches announced so far everything is recorded, and what they overwrote is given
    /// back.
    Over,
}

/// One row's change to the table.
///
/// An insert or entry whose row does not satisfy `row_filter` is refused by the driver (SQLSTATE
/// 44000); an update may make a row leave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// Names the row to change.
    pub key: Key,
    /// The row's key afterwards, where the change is one of the key itself.
    pub new_key: Option<Key>,
    pub change: Change,
    /// What the sheet shows of this row now, all mapped columns. With the row that the table
    /// returns it makes the new base ([`Apply::base_after`]), which the driver must store in the
    /// same transaction.
    pub sheet: Vec<Cell>,
    /// The base before, for the columns that this change leaves alone.
    pub base: Option<Base>,
    /// Columns whose sheet cell this cycle has yet to write: their base stays as it was.
    pub owed: Vec<usize>,
    /// For `history`, where the change is [`Applied::Done`]; the driver leaves refused columns out.
    pub history: HistoryLine,
}

impl Apply {
    /// The base that the driver stores in the transaction in which the table returned `row`, with
    /// its hash; see [`crate::cycle`]. It stands under the key that the table returned, which a
    /// trigger may have made of the one that was sent; the driver then removes the base under
    /// [`Apply::key`] in the same transaction.
    pub fn base_after(
        &self,
        mapping: &Mapping,
        row: Option<&[Datum]>,
        refused: &[usize],
    ) -> BaseWrite {
        crate::reconcile::base_after(mapping, self, row, refused)
    }

    /// What the driver stores in the transaction in which the table kept the row that was to be
    /// deleted: it comes back to the sheet.
    pub fn base_kept(&self, mapping: &Mapping) -> BaseWrite {
        BaseWrite {
            key: self.key.clone(),
            row: Some(StoredRow::to_insert(mapping.columns.len())),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Column index and text as typed; columns not named take their default.
    Insert {
        values: Vec<(usize, Datum)>,
    },
    /// Refused as [`Applied::Stale`] where the row no longer equals `expected`.
    Update {
        values: Vec<(usize, Datum)>,
        expected: Vec<Datum>,
    },
    /// As an update of a row that does not satisfy `row_filter` and will: a person moved it here
    /// from another tab of the table. As with an insert, a cell that the table does not take
    /// refuses the whole row.
    Enter {
        values: Vec<(usize, Datum)>,
        expected: Vec<Datum>,
    },
    Delete {
        expected: Vec<Datum>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Done. `row` is what the table returned (`None` after a delete); `refused` are cells left out
    /// because Postgres does not take them: the others were applied.
    Done {
        row: Option<Vec<Datum>>,
        refused: Vec<(usize, Refusal)>,
    },
    /// The row changed between load and apply; its key is dirty again and nothing was done.
    Stale,
    /// A transaction of somebody else's holds the row, or something else that the change needs:
    /// nothing was done, and nobody waited.
    Locked,
    /// The row was to be deleted, and the table kept it: it stands there as `row`, with what the
    /// table's own triggers made of it. The driver has stored [`Apply::base_kept`].
    Kept { row: Vec<Datum> },
    /// Nothing of this row was applied: constraint, privilege, row-level security, trigger.
    Refused {
        cells: Vec<(usize, Refusal)>,
        row: Option<Refusal>,
    },
}

/// Why something is not taken. `sqlstate` is Postgres's code, with its words; or Google's reason, or
/// a word of ours (docs/problems.md).
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub sqlstate: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Refusal {
    /// Another row is in the way, or is still to come.
    pub fn is_about_other_rows(&self) -> bool {
        is_about_other_rows(&self.sqlstate)
    }
}

/// Foreign key, unique, exclusion constraint: what the table does not take now it may take when
/// another row has changed.
pub fn is_about_other_rows(sqlstate: &str) -> bool {
    matches!(sqlstate, "23503" | "23505" | "23P01")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    Database,
    Sheet,
    Function,
    /// What `resolve()` was given.
    Value,
    /// `manual`: waits for `resolve()`.
    Pending,
}

/// Stored before the loser's value is overwritten, with `settled: false`, and sent once more with
/// `settled: true` when both sides hold the outcome. The same conflict met again (after a crash, or
/// to settle it) is the same line: the driver identifies it by mapping, key, column and both values
/// while it is not settled; a settled one that finds no line is stored as a new line.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    pub key: Key,
    /// `None` for a whole-row conflict (one side deleted what the other changed).
    pub column: Option<usize>,
    pub base: Option<Datum>,
    /// `None` where the row is absent on that side.
    pub database: Option<Datum>,
    pub sheet: Option<Cell>,
    /// The whole rows, for whole-row conflicts.
    pub rows: Option<Box<ConflictRows>>,
    pub database_time: Option<Timestamp>,
    /// The looks at the sheet between which its edit happened.
    pub sheet_time: Window,
    pub winner: Winner,
    /// Both values and the winner stand; nothing is left to do.
    pub settled: bool,
}

/// Between which two moments something happened; without a first one it is not known since when it
/// may have.
pub type Window = (Option<Timestamp>, Timestamp);

#[derive(Clone, Debug, PartialEq)]
pub struct ConflictRows {
    pub base: Option<Base>,
    pub database: Option<Vec<Datum>>,
    pub sheet: Option<Vec<Cell>>,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// `None` where the sheet row has no usable key.
    pub key: Option<Key>,
    /// 1-based row as a person sees it, where no key names it.
    pub sheet_row: Option<u32>,
    pub column: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub place: Place,
    /// The side that does not take the value.
    pub side: Side,
    /// A SQLSTATE, or Google's reason, or one of ours (`duplicate_key`, `missing_key`,
    /// `error_cell`, `too_long`).
    pub code: String,
    pub message: String,
    pub hint: String,
    pub retry_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HistoryLine {
    pub key: Key,
    /// The side that was changed.
    pub side: Side,
    pub operation: Operation,
    pub old: Vec<(usize, Datum)>,
    pub new: Vec<(usize, Datum)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}
