//! What a cycle is started with, what it asks for next, how effects fail, and what it reports.

use super::{DirtyKey, Effect, Operation, Reason};
use crate::mapping::Side;
use crate::value::{Datum, Key, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passing: try again in the same cycle or the next.
    RetryNow,
    /// Passing, but not before `retry_after_ms`.
    RetryLater,
    /// A person must act; looked at again now and then so that it goes on by itself when mended.
    NeedsHuman,
    /// We sent something wrong.
    OurBug,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub class: Class,
    pub reason: Reason,
    pub message: String,
    pub hint: String,
    pub retry_after_ms: Option<u64>,
    /// Whether the effect may have taken place all the same.
    pub may_have_applied: bool,
}

impl Failure {
    /// It is about some cell of the request and not about the request.
    pub(crate) fn is_about_cells(&self) -> bool {
        !self.may_have_applied
            && matches!(
                self.reason,
                Reason::Protected | Reason::Validation | Reason::InvalidCell
            )
    }
}

/// What a cycle is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Dirty keys only, at remembered positions: no snapshot unless it turns out to be needed.
    Dirty,
    /// A snapshot of the sheet and the dirty keys.
    Full,
    /// Trust nothing that is stored: compare every row of both sides (first merge, resync, after
    /// TRUNCATE).
    Everything,
}

/// Which ways changes may travel in this cycle (`push()`, `pull()`, `sync()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    pub push: bool,
    pub pull: bool,
}

/// What the driver starts a cycle with.
#[derive(Clone, Debug)]
pub struct Start {
    pub scope: Scope,
    pub ways: Ways,
    pub dirty: Vec<DirtyKey>,
    pub now: Timestamp,
    /// The table was truncated, and is still empty: that nobody listed what goes is a reason to
    /// ask, however few the rows.
    pub truncated: bool,
    /// What a person allowed by `confirm_deletes()`: the guards let pass what stands for just this
    /// question.
    pub confirmed: Option<Question>,
    /// A deletion in the sheet is believed when a reading that was asked for so long after the
    /// first one that missed the row misses it too.
    pub confirm_after_ms: u64,
    /// The table has other tabs from which rows come into it: a row that is missing here may have
    /// been moved there.
    pub other_tabs: bool,
    /// Somebody waits for this cycle: what was refused is tried again at once.
    pub insists: bool,
    /// Rows have come or gone in tables that this one refers to or is referred to by: what was
    /// refused because of other rows is tried again.
    pub relatives_changed: bool,
    /// Fresh randomness for anchors and stamps.
    pub seed: u64,
    /// `preview()`: only `Read`, `Inspect`, `Formulas`, `FindColumns`, `ReadIndex`, `FindChanged`,
    /// `Load`, `Canonicalise`, `NameKeys`, `FindRespelled`, `MergeByFunction` and `AskOtherTabs`
    /// are asked for, and the report says what a real cycle would have done.
    pub dry_run: bool,
}

/// Stands for what a guard stopped: the very rows, and what would become of them. Another set of
/// rows is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question(pub i64);

/// What the cycle asks for next.
#[derive(Debug)]
pub enum Step {
    /// Carry this out, and resume with what came of it.
    Do(Effect),
    Done(Report),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub rows_pushed: u64,
    pub rows_pulled: u64,
    pub conflicts: u64,
    pub problems: u64,
    /// Rows on which both sides agree now.
    pub rows: u64,
    /// The cycle ended early; everything that was done is recorded.
    pub stopped: Option<Stopped>,
    /// Another cycle is wanted: at once (stale positions), soon, or later (a deletion to confirm).
    pub again: Option<Again>,
    /// Rows were left as they are because somebody else holds them: another cycle is wanted in some
    /// seconds, and nobody need wait for it.
    pub locked: bool,
    /// Rows are refused because of other rows.
    pub awaits_rows: bool,
    /// The dirty keys that the driver gave with `Start` were dealt with and may be forgotten.
    /// False: keep them all.
    pub dirty_done: bool,
    /// When the last reading was asked for, where there was one.
    pub read_at: Option<Timestamp>,
    /// Rows that this tab has lost and another one has: they are not deleted, and wait for that one
    /// to take them.
    pub moving: Vec<Key>,
    /// Deletions wait until other tabs have been read again: the rows may stand there.
    pub awaits_tabs: bool,
    /// What a dry run found, line by line.
    pub planned: Vec<Planned>,
}

/// The reason of a line that is about a header that would be written.
pub const NEW_COLUMN: &str = "new_column";

/// One line of `preview()`.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The side that would be changed.
    pub side: Side,
    pub operation: Operation,
    /// `None` where the sheet row has no usable key, or where a guard would stop the cycle.
    pub key: Option<Key>,
    /// `None` where the whole row is meant.
    pub column: Option<usize>,
    pub old: Datum,
    /// Of a guard: its words, and what to do.
    pub new: Datum,
    /// A short stable word: `changed_in_table`, `changed_in_sheet`, `conflict`, `new_in_table`, a
    /// problem's code, a guard's name, …
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// A full cycle at once.
    Now,
    /// A full cycle after a moment: it tells whether what this one saw is news.
    Soon,
    /// A full cycle from this moment on: it confirms that the rows which this one missed are gone.
    /// What changes in the table may travel before.
    Confirm(Timestamp),
    /// As `Confirm`, and nothing before: so many rows are missing that a guard will stop the
    /// mapping if they are gone.
    Hold(Timestamp),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stopped {
    /// A guard: state `failed`, nothing applied.
    Guard {
        reason: Reason,
        message: String,
        hint: String,
        /// What a person may answer with `confirm_deletes()`, where the guard asks anything.
        question: Option<Question>,
    },
    /// An effect failed; the driver retries by class.
    Failure(Failure),
}
