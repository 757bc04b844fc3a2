//! What lives as long as a cycle.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::cycle::memory::Memory;
use crate::cycle::memory::counted::{Count, Counted};
use crate::cycle::memory::likeness::Rest;
use crate::effect::{BaseWrite, DirtyKey, Formula, Place, Problem, Report, Snapshot, Stamp, Start};
use crate::io::Io;
use crate::mapping::Mapping;
use crate::tab::Tab;
use crate::value::{Key, Timestamp};

pub(crate) struct Cycle {
    pub io: Io,
    pub mapping: Arc<Mapping>,
    pub memory: Memory,
    pub tab: Tab,
    pub start: Start,
    pub dirty: Vec<DirtyKey>,
    pub report: Report,
    /// Our notes are to go from the sheet.
    pub notes_off: bool,
    /// Something was seen that a new reading has to clear up.
    pub stale: bool,
    /// A first sighting waits to be confirmed.
    pub soon: bool,
    /// From when on a reading can confirm deletions that this one made likely.
    pub confirm_from: Option<Timestamp>,
    /// The dirty keys are not all dealt with.
    pub keep_dirty: bool,
    /// When the last reading was whole, or this cycle began.
    pub last_look: Timestamp,
    pub sheet_unsure: bool,
    /// An edit that was seen is dealt with later only.
    pub held_back: bool,
    /// Rows with a base when the cycle began.
    pub rows_at_start: usize,
    /// What it deletes, how many rows might have been among that so far, and whether this round's
    /// are counted.
    pub counted: Counted,
    pub candidates: usize,
    /// Rows whose deletion a round found too late to count it: their key could not be followed, or
    /// the table lost them since.
    pub uncounted: HashSet<Key>,
    pub count: Count,
    /// Rows that wait for somebody else's transaction, or for what the next reading says of others.
    pub put_off: BTreeSet<Key>,
    /// Rows that the table changed while it took them.
    pub follow_up: BTreeSet<Key>,
    /// Both keys of rows whose new key this round has followed: nothing is left to do under either.
    pub followed: HashSet<Key>,
    /// Rows that were refused often because of other rows, and that this cycle tries again because
    /// some of these have come or gone.
    pub probed: HashSet<Key>,
    /// Keys that the table was found to write otherwise: the next round begins with them.
    pub respelled: BTreeSet<Key>,
    /// Those of them that cannot be followed: both spellings are compared like any two keys.
    pub two_keys: HashSet<Key>,
    /// Problems found and ended outside of any batch.
    pub problems: Vec<Problem>,
    pub settled: Vec<Place>,
    /// Rows to be stored as ones whose insertion is put off.
    pub held: Vec<BaseWrite>,
    /// Stamps of batches of new rows that have arrived, which is still to be recorded.
    pub inserted: Vec<Stamp>,
    /// What rows of the last reading show of which nobody knows whose they are, because their keys
    /// show errors.
    pub unplaced: Vec<Rest>,
    /// The reading that this round began with.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The tab's formulas, once they were asked for.
    pub formulas: Option<Arc<[Formula]>>,
}
