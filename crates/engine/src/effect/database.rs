//! What a cycle asks of the table and of what is stored, and the answers.

use std::sync::Arc;

use super::{Applied, Commit, Place, Refusal, RowState, Stamp};
use crate::mapping::Side;
use crate::value::{Base, Cell, Datum, Key, Text, Timestamp};

/// Each is carried out in one transaction of its own, but for [`Commit`], which says more.
#[derive(Clone, Debug, PartialEq)]
pub enum DatabaseEffect {
    /// Every base row's key and state. Asked once, when the engine's memory is cold.
    ReadIndex,
    /// The keys whose table row differs from the base's database half, or that stand on one side
    /// only.
    FindChanged,
    /// The table row, base row and pending conflicts of these keys, all from one MVCC snapshot.
    /// Where rows are large, the answer may be about the first of them only, so that nobody has to
    /// hold more than a few; the others, asked for again, are of another snapshot.
    Load { keys: Vec<Key> },
    /// What Postgres makes of typed texts: the canonical text, or why it is refused.
    Canonicalise { cells: Vec<TypedText> },
    /// Which keys these are, as typed into the sheet. The answer is the spelling under which the
    /// key is known: that of a stored base whose key is equal (the table's own, where both are
    /// stored), else that of the table's row, else what Postgres prints for it; keys of one
    /// question that are equal get one spelling. Equal is what the operator of the key's index
    /// takes for equal.
    NameKeys { typed: Vec<Key> },
    /// Which of these keys, all with a base, the table writes otherwise by now: an equal key that
    /// has no base yet. And which of the `new` ones, without a base, are equal to one whose row the
    /// table may have lost: its base says so, or a conflict or a problem of it stands. Asked only
    /// where equal keys may be printed differently ([`crate::mapping::KeyEquality::ByOperator`]).
    FindRespelled { keys: Vec<Key>, new: Vec<Key> },
    /// New keys from the key columns' defaults, for rows typed into the sheet without one. None of
    /// them is in the table, has a base, or is equal to one of `taken`.
    GenerateKeys { count: usize, taken: Vec<Key> },
    /// The mapping's `conflict_function`, once per row.
    MergeByFunction { rows: Vec<FunctionCall> },
    /// What the other tabs of the table have of these rows: asked only where [`Start::other_tabs`],
    /// of rows that may have moved from one tab to another.
    AskOtherTabs { keys: Vec<Key> },
    /// Apply changes to the table as the mapping's role, and record what follows.
    Commit(Arc<Commit>),
}

#[derive(Debug)]
pub enum DatabaseOutcome {
    Index(Index),
    Changed(Vec<DirtyKey>),
    /// One entry per key asked, in that order.
    Rows {
        /// In the order of the keys; one at least.
        rows: Vec<LoadedRow>,
        /// The keys after those, to be asked for again.
        left: Vec<Key>,
    },
    /// One entry per cell asked, in that order.
    Canonical(Vec<Result<Text, Refusal>>),
    /// One entry per key asked, in that order.
    Named(Vec<Result<Key, KeyRefusal>>),
    Respelled(Vec<Respelled>),
    /// One entry per key asked for: the key, or why there is none.
    Keys(Vec<Result<Key, Refusal>>),
    /// One entry per call, in that order: the merged row over all mapped columns.
    Merged(Vec<Result<Vec<Datum>, Refusal>>),
    /// One entry per key asked, in that order: the tabs from which rows come into the table,
    /// without the one that asks.
    OtherTabs(Vec<Vec<OtherTab>>),
    /// One entry per `Commit::apply`, in that order.
    Committed(Vec<Applied>),
}

/// What is stored of a mapping, without its cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    pub rows: Vec<IndexEntry>,
    /// The problems that stand, so that a fresh engine can report when they are over, or say now
    /// something else.
    pub problems: Vec<StoredProblem>,
    /// Batches that were announced ([`Announcement::Begins`]) and not declared over, oldest first.
    pub writing: Vec<Stamp>,
    /// Keys of conflicts that a policy has decided and of which nobody has recorded that both sides
    /// hold the outcome.
    pub unsettled: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoredProblem {
    pub place: Place,
    /// [`Problem::message`].
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IndexEntry {
    pub key: Key,
    pub state: RowState,
    /// The row goes into the sheet with the batch under this stamp ([`Inserting`]), and nobody has
    /// said yet that the batch has arrived: until then the state is only a plan.
    pub inserting: Option<Stamp>,
    /// As it was said by [`BaseWrite::typed`].
    pub typed: Option<Key>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DirtyKey {
    pub key: Key,
    /// When the capture trigger saw the change; `None` where it was found by comparison.
    pub changed_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TypedText {
    pub column: usize,
    pub text: Text,
}

/// Why a typed key is none.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRefusal {
    pub column: usize,
    pub refusal: Refusal,
}

/// One key in two spellings.
#[derive(Clone, Debug, PartialEq)]
pub struct Respelled {
    /// That of its base.
    pub known: Key,
    /// The table's own by now.
    pub now: Key,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LoadedRow {
    pub key: Key,
    /// The row's mapped columns; `None` where the table has no row whose key is printed just so.
    pub row: Option<Vec<Datum>>,
    /// How the table prints the key where it has the row under another spelling of it.
    pub spelled: Option<Key>,
    /// False where the row exists but `row_filter` does not hold: it belongs in the table and not
    /// in the sheet.
    pub in_filter: bool,
    pub base: Option<Base>,
    pub changed_at: Option<Timestamp>,
    /// The row's other key, where its key was changed in the table and the dirty keys of that
    /// change still wait: what [`crate::renames::Renames::moved`] says of all that wait in the
    /// snapshot that the row comes from; without those whose new key has a base by then and whose
    /// old key has none: they have been followed.
    pub moved: Option<Key>,
    /// Conflicts of this row that wait for a person, or that a person has just resolved.
    pub pending: Vec<PendingConflict>,
    /// Those that a policy has decided, and that are not settled.
    pub unsettled: Vec<i64>,
}

/// What another tab of the table has of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherTab {
    pub title: Text,
    pub has: Has,
    /// It has a row filter: a row that no longer matches leaves it.
    pub is_filtered: bool,
    /// When the reading was asked for that tells it; `None` before there is one.
    pub read_at: Option<Timestamp>,
    /// It is not read before a person acts: it is paused, or has stopped.
    pub rests: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// Neither the row nor anything of it that was agreed on.
    Nothing,
    /// A person typed a row with this key, and the table has not taken it from there.
    Typed,
    /// The row, as it was agreed on.
    Row,
    /// It had the row, and has lost it: [`Report::moving`] named it, or it was agreed that the row
    /// stays in the table only.
    Lost,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PendingConflict {
    pub id: i64,
    /// `None` for a whole-row conflict.
    pub column: Option<usize>,
    /// The values the two sides had when the conflict was recorded.
    pub database: Option<Datum>,
    pub sheet: Option<Cell>,
    /// The same of a whole-row conflict.
    pub rows: Option<Box<PendingRows>>,
    /// Set by `resolve()`.
    pub decision: Option<Decision>,
}

impl PendingConflict {
    /// The sheet had something in this column when the conflict was recorded.
    pub fn showed(&self, column: usize) -> bool {
        let of_cell = self.sheet.as_ref().filter(|_| self.column == Some(column));
        let row = self.rows.as_ref().and_then(|rows| rows.sheet.as_deref());
        let of_row = row.into_iter().flatten().filter(|(at, _)| *at == column);
        let mut cells = of_cell.into_iter().chain(of_row.map(|(_, cell)| cell));
        cells.any(|cell| *cell != Cell::Empty)
    }
}

/// The rows that the two sides had, by column as far as these are still mapped; `None` where a side
/// had none.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingRows {
    pub database: Option<Vec<(usize, Datum)>>,
    pub sheet: Option<Vec<(usize, Cell)>>,
}

impl PendingRows {
    /// Nothing has happened to either row since.
    pub fn are(&self, database: Option<&[Datum]>, sheet: Option<&[Cell]>) -> bool {
        is_row(self.database.as_deref(), database) && is_row(self.sheet.as_deref(), sheet)
    }
}

fn is_row<T: PartialEq>(before: Option<&[(usize, T)]>, now: Option<&[T]>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            let mut cells = before.iter();
            cells.all(|(column, cell)| now.get(*column) == Some(cell))
        }
        (None, None) => true,
        _ => false,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Side(Side),
    /// A value that `resolve()` was given, in the column's text form.
    Value(Datum),
}

#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    pub key: Key,
    pub base: Option<Vec<Datum>>,
    pub database: Option<Vec<Datum>>,
    /// The sheet's row in the columns' text form.
    pub sheet: Option<Vec<Datum>>,
}
