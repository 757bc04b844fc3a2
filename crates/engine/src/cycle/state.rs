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
    /// What became of batches without an answer was only found out in this cycle: positions are not
    /// what is remembered.
    pub sheet_unsure: bool,
    /// When the last reading was whole, or this cycle began.
    pub last_reading_at: Timestamp,
    pub guard: Guard,
    pub round: Round,
    pub later: Later,
    pub unrecorded: Unrecorded,
    pub ending: Ending,
}

/// What is counted for the guards.
#[derive(Default)]
pub(crate) struct Guard {
    /// Rows with a base when the cycle began.
    pub rows_at_start: usize,
    /// What the cycle deletes.
    pub counted: Counted,
    /// How many rows might have been among that so far.
    pub candidates: usize,
    /// Rows whose deletion a round found too late to count it: their key could not be followed, or
    /// the table lost them since.
    pub uncounted: HashSet<Key>,
    /// Whether this round's are counted.
    pub count: Count,
}

/// What one round of the cycle knows of the tab.
#[derive(Default)]
pub(crate) struct Round {
    /// The reading that it began with.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The tab's formulas, once they were asked for.
    pub formulas: Option<Arc<[Formula]>>,
    /// Both keys of rows whose new key it has followed: nothing is left to do under either.
    pub followed: HashSet<Key>,
    /// What rows of the last reading show of which nobody knows whose they are, because their keys
    /// show errors.
    pub unplaced: Vec<Rest>,
}

/// Rows that a later round, or a later cycle, goes on with.
#[derive(Default)]
pub(crate) struct Later {
    /// Rows that wait for somebody else's transaction, or for what the next reading says of others.
    pub put_off: BTreeSet<Key>,
    /// Rows that the table changed while it took them.
    pub follow_up: BTreeSet<Key>,
    /// Rows that were refused often because of other rows, and that this cycle tries again because
    /// some of these have come or gone.
    pub probed: HashSet<Key>,
    /// Keys that the table was found to write otherwise: the next round begins with them.
    pub respelled: BTreeSet<Key>,
    /// Those of them that cannot be followed: both spellings are compared like any two keys.
    pub two_keys: HashSet<Key>,
}

/// What the next commit records besides what its rows bring.
#[derive(Default)]
pub(crate) struct Unrecorded {
    /// Problems found and ended outside of any chunk.
    pub problems: Vec<Problem>,
    pub settled: Vec<Place>,
    /// Rows to be stored as ones that are put off.
    pub bases: Vec<BaseWrite>,
    /// Stamps of batches of new rows that have arrived.
    pub inserted: Vec<Stamp>,
}

/// How the cycle ends, and what follows it.
#[derive(Default)]
pub(crate) struct Ending {
    /// Something was seen that a new reading has to clear up.
    pub read_again: bool,
    /// A first sighting waits to be confirmed.
    pub read_soon: bool,
    /// From when on a reading can confirm deletions that this one made likely.
    pub confirm_from: Option<Timestamp>,
    /// The dirty keys are not all dealt with.
    pub keep_dirty: bool,
    /// An edit that was seen is dealt with later only.
    pub held_back: bool,
}

impl Cycle {
    pub(crate) fn new(
        io: Io,
        mapping: Arc<Mapping>,
        memory: Memory,
        tab: Tab,
        start: Start,
        notes_off: bool,
    ) -> Self {
        Self {
            io,
            mapping,
            memory,
            tab,
            dirty: start.dirty.clone(),
            report: Report::default(),
            notes_off,
            sheet_unsure: false,
            last_reading_at: start.now,
            guard: Guard::default(),
            round: Round::default(),
            later: Later::default(),
            unrecorded: Unrecorded::default(),
            ending: Ending::default(),
            start,
        }
    }
}
