//! A cycle from its start to its report.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::guard::{Count, Counted};
use super::io::{Io, Stop, mismatch};
use super::likeness::Rest;
use super::memory::Memory;
use super::tag::Ahead;
use crate::effect::{
    Again, BaseWrite, DatabaseEffect, DatabaseOutcome, DirtyKey, Failure, Formula, MetadataId,
    Place, Problem, Report, Scope, SheetEffect, SheetOutcome, Snapshot, Stamp, Start, Stopped,
};
use crate::mapping::Mapping;
use crate::value::{Key, Timestamp};

/// Readings that one cycle makes because rows moved under it, before it leaves the rest to the
/// next.
const ROUNDS: u32 = 3;

pub(super) struct Cycle {
    pub io: Io,
    pub mapping: Arc<Mapping>,
    pub memory: Memory,
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
    /// What stands for the last reading of the sheet, and how many structural batches were planned
    /// from it.
    pub reading: u64,
    pub ordinal: u64,
    pub ordinal_in_all: u64,
    /// Rows of the last snapshot that this cycle deleted, ascending.
    pub removed: Vec<u32>,
    /// New rows that this cycle put below the data since then: they stand right above `end`.
    pub came: u32,
    /// The first row below the data; what stands further down without being any (checkboxes,
    /// formulas, other people's columns) moves down when rows are inserted. 0 before there is a
    /// reading.
    pub end: u32,
    /// When the last reading was whole, or this cycle began.
    pub last_look: Timestamp,
    pub next_id: i32,
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
    /// Anchors of the batch under way.
    pub live: Vec<MetadataId>,
    /// What the last request that tagged rows put on the tab's last row, and when it was sent.
    pub sentinel: MetadataId,
    pub tagged_at: Timestamp,
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
    pub ahead: Ahead,
    /// The reading that this round began with.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The tab's formulas, once they were asked for.
    pub formulas: Option<Arc<[Formula]>>,
}

/// What a cycle leaves to the next.
pub(super) struct Ended {
    pub report: Report,
    pub memory: Memory,
    pub mapping: Arc<Mapping>,
}

pub(super) async fn run(
    io: Io,
    mapping: Arc<Mapping>,
    memory: Memory,
    start: Start,
    notes_off: bool,
) -> Ended {
    // Anchors are numbered from a random place on: with the sheet's few leftovers they collide once
    // in a million cycles, and then the request is refused as a whole and the next cycle takes
    // other numbers.
    let first = i32::try_from(start.seed % 0x7000_0000).unwrap_or(1).max(1);
    let now = start.now;
    // A dry run leaves no trace.
    let kept = start.dry_run.then(|| (memory.clone(), mapping.clone()));
    let mut cycle = Cycle {
        dirty: start.dirty.clone(),
        io,
        mapping,
        memory,
        start,
        report: Report::default(),
        notes_off,
        stale: false,
        soon: false,
        confirm_from: None,
        keep_dirty: false,
        reading: 0,
        ordinal: 0,
        ordinal_in_all: 0,
        removed: Vec::new(),
        came: 0,
        end: 0,
        last_look: now,
        next_id: first,
        sheet_unsure: false,
        held_back: false,
        rows_at_start: 0,
        counted: Counted::default(),
        candidates: 0,
        uncounted: HashSet::new(),
        count: Count::Few,
        live: Vec::new(),
        sentinel: first,
        tagged_at: Timestamp(0),
        put_off: BTreeSet::new(),
        follow_up: BTreeSet::new(),
        followed: HashSet::new(),
        probed: HashSet::new(),
        respelled: BTreeSet::new(),
        two_keys: HashSet::new(),
        problems: Vec::new(),
        settled: Vec::new(),
        held: Vec::new(),
        inserted: Vec::new(),
        unplaced: Vec::new(),
        ahead: Ahead::new(),
        formulas: None,
        snapshot: None,
    };
    let mut ended = cycle.rounds().await;
    if ended.is_ok() {
        ended = cycle.declare_over().await;
    }
    if ended.is_ok() {
        cycle.tag_columns().await;
        cycle.annotate().await;
    }
    let mapping = cycle.mapping.clone();
    let (report, memory) = cycle.finish(ended);
    let (memory, mapping) = kept.unwrap_or((memory, mapping));
    Ended {
        report,
        memory,
        mapping,
    }
}

impl Cycle {
    async fn rounds(&mut self) -> Result<(), Stop> {
        self.warm_up().await?;
        // Keys that rows had once may be other rows' by now.
        self.memory.renamed.clear();
        self.end_of_yesterday().await?;
        self.rows_at_start = self.memory.based();
        if self.start.confirmed.is_none() {
            self.memory.allowed = None;
        }
        if self.start.relatives_changed || !self.start.dirty.is_empty() {
            self.memory.arrivals += 1;
        }
        // After a lost batch positions are not what is remembered.
        self.memory.owes_everything |= self.start.scope == Scope::Everything && !self.start.dry_run;
        let certain = self.memory.layout.is_some()
            && !self.memory.owes_everything
            && !self.memory.held
            && !self.sheet_unsure
            && !self.start.dry_run;
        let mut quick = self.start.scope == Scope::Dirty && certain;
        for _ in 0..ROUNDS {
            self.stale = false;
            self.followed.clear();
            self.ahead.clear();
            self.formulas = None;
            self.snapshot = None;
            self.end_of_yesterday().await?;
            let everything = self.memory.owes_everything
                || self.start.scope == Scope::Everything && self.start.dry_run;
            let result = if quick {
                self.quick().await
            } else {
                self.full(everything).await
            };
            match result {
                Err(Stop::Outdated) => self.stale = true,
                Ok(()) if !quick && !self.start.dry_run => self.memory.owes_everything = false,
                other => other?,
            }
            if self.start.dry_run {
                return Ok(());
            }
            if !self.stale {
                self.try_those_that_waited();
            }
            quick = !self.stale && !self.follow_up.is_empty();
            if quick {
                let keys = std::mem::take(&mut self.follow_up);
                self.dirty = keys
                    .into_iter()
                    .map(|key| DirtyKey {
                        key,
                        changed_at: None,
                    })
                    .collect();
            } else if !self.stale {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What became of batches without an answer, of this process or of a killed one. In this order:
    /// a batch that is still on its way is closed before the anchors go by which it would notice
    /// that its rows have moved.
    async fn end_of_yesterday(&mut self) -> Result<(), Stop> {
        self.close_lost_batches().await?;
        self.read_images().await?;
        self.tidy_leftovers().await
    }

    /// Anchors of an earlier process, once nothing is to be given back through them.
    pub(super) async fn tidy_leftovers(&mut self) -> Result<(), Stop> {
        let needed = !self.memory.images.is_empty() || !self.memory.taken.is_empty();
        if !self.memory.tidied && !needed && !self.start.dry_run {
            match self.io.sheet(SheetEffect::TidyAll).await? {
                SheetOutcome::Tidied(stamps) => self.memory.found_stamps = stamps,
                _ => return Err(mismatch().into()),
            }
            self.memory.tidied = true;
            self.memory.anchors.clear();
            self.live.clear();
        }
        Ok(())
    }

    async fn warm_up(&mut self) -> Result<(), Stop> {
        if self.memory.warm {
            return Ok(());
        }
        match self.io.database(DatabaseEffect::ReadIndex).await? {
            DatabaseOutcome::Index(index) => self.memory.warm_up(index),
            _ => return Err(mismatch().into()),
        }
        // Whoever put notes before may have ended between a problem's end and its note's.
        let begun = !self.memory.rows.is_empty() || !self.memory.keyless.is_empty();
        self.memory.notes_astray = begun && self.mapping.notes_on_problems || self.notes_off;
        Ok(())
    }

    fn finish(mut self, ended: Result<(), Stop>) -> (Report, Memory) {
        let mut held = false;
        match ended {
            Ok(()) => {}
            Err(Stop::Outdated) => self.stale = true,
            Err(Stop::Held) => held = true,
            Err(Stop::Stopped(stopped)) => self.report.stopped = Some(stopped),
        }
        let stopped = self.report.stopped.is_some();
        self.memory.held = held;
        self.keep_dirty |= self.memory.owes_everything || held;
        self.stale |= self.memory.owes_everything;
        self.report.again = match self.confirm_from {
            _ if stopped => None,
            from if held => Some(Again::Hold(from.unwrap_or(self.io.now()))),
            _ if self.stale => Some(Again::Now),
            _ if self.soon => Some(Again::Soon),
            from => from.map(Again::Confirm),
        };
        self.report.awaits_rows = self.awaits_rows();
        self.report.dirty_done = !stopped && !self.stale && !self.keep_dirty && !self.start.dry_run;
        for key in std::mem::take(&mut self.follow_up) {
            self.memory.known(&key).look_again();
        }
        self.memory.anchors.append(&mut self.live);
        if self.end != 0 {
            self.memory.end = self.end;
        }
        self.report.rows = self.memory.based() as u64;
        (self.report, self.memory)
    }
}

/// The answer of a guard or a failure ends the cycle.
impl From<Stopped> for Stop {
    fn from(stopped: Stopped) -> Self {
        Stop::Stopped(stopped)
    }
}

/// Google's bytes were not what its own documentation says.
pub(super) fn bad_answer(message: String) -> Failure {
    Failure {
        class: crate::effect::Class::RetryLater,
        reason: "bad_answer".into(),
        message,
        hint: "Google's answer could not be understood; it is asked again later.".into(),
        retry_after_ms: None,
        may_have_applied: false,
    }
}
