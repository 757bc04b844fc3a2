//! A cycle from its start to its report.

use crate::cycle::state::Cycle;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::cycle::memory::counted::{Count, Counted};
use crate::cycle::memory::{Memory, State};
use crate::cycle::stop::Stop;
use crate::effect::{Again, DatabaseEffect, DatabaseOutcome, DirtyKey, Report, Scope, Start};
use crate::io::{Io, mismatch};
use crate::mapping::Mapping;
use crate::tab::{self, Closed, Purpose, Tab};

/// Readings that one cycle makes because rows moved under it, before it leaves the rest to the
/// next.
const ROUNDS: u32 = 3;

/// What a cycle leaves to the next.
pub(crate) struct Ended {
    pub report: Report,
    pub memory: Memory,
    pub tab: tab::Kept,
    pub mapping: Arc<Mapping>,
}

pub(crate) async fn run(
    io: Io,
    mapping: Arc<Mapping>,
    memory: Memory,
    tab: tab::Kept,
    start: Start,
    notes_off: bool,
) -> Ended {
    let now = start.now;
    // A dry run leaves no trace.
    let kept = start
        .dry_run
        .then(|| (memory.clone(), tab.clone(), mapping.clone()));
    let mut cycle = Cycle {
        tab: Tab::new(io.clone(), &mapping, tab, start.seed, now),
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
        last_look: now,
        sheet_unsure: false,
        held_back: false,
        rows_at_start: 0,
        counted: Counted::default(),
        candidates: 0,
        uncounted: HashSet::new(),
        count: Count::Few,
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
    let (report, memory, tab) = cycle.finish(ended);
    let (memory, tab, mapping) = kept.unwrap_or((memory, tab, mapping));
    Ended {
        report,
        memory,
        tab,
        mapping,
    }
}

impl Cycle {
    async fn rounds(&mut self) -> Result<(), Stop> {
        self.warm_up().await?;
        // Keys that rows had once may be other rows' by now.
        self.memory.renamed.clear();
        self.recover().await?;
        self.rows_at_start = self.memory.based();
        if self.start.confirmed.is_none() {
            self.memory.allowed = None;
        }
        if self.start.relatives_changed || !self.start.dirty.is_empty() {
            self.memory.arrivals += 1;
        }
        // After a lost batch positions are not what is remembered.
        self.memory.owes_everything |= self.start.scope == Scope::Everything && !self.start.dry_run;
        let certain = self.tab.layout().is_some()
            && !self.memory.owes_everything
            && !self.memory.held
            && !self.sheet_unsure
            && !self.start.dry_run;
        let mut quick = self.start.scope == Scope::Dirty && certain;
        for _ in 0..ROUNDS {
            self.stale = false;
            self.followed.clear();
            self.tab.forget_tags_ahead();
            self.formulas = None;
            self.snapshot = None;
            self.recover().await?;
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

    /// What became of batches without an answer, of this process or of a killed one.
    async fn recover(&mut self) -> Result<(), Stop> {
        if self.start.dry_run {
            return Ok(());
        }
        while let Some(closed) = self.tab.close_lost_batch().await? {
            self.note_closed(closed);
        }
        self.sheet_unsure |= self.tab.read_images().await?;
        self.tab.tidy_leftovers().await?;
        Ok(())
    }

    fn note_closed(&mut self, closed: Closed) {
        let (keys, state) = match (closed.purpose, closed.arrived) {
            (Purpose::NewRows(keys), true) => (keys, State::Marked),
            (Purpose::NewRows(keys), false) => (keys, State::Announced),
            (Purpose::Deletion(keys), true) => (keys, State::Left),
            (Purpose::Deletion(keys), false) => (keys, State::Marked),
            (Purpose::Cells, _) => (Vec::new(), State::Marked),
        };
        for key in &keys {
            if let Some(known) = self.memory.rows.get_mut(key) {
                known.state = state;
            }
        }
        if !closed.arrived {
            for written in self.memory.in_flight.values_mut() {
                written.retain(|written| written.stamp != Some(closed.stamp));
            }
        }
        self.sheet_unsure = true;
    }

    async fn warm_up(&mut self) -> Result<(), Stop> {
        if self.memory.warm {
            return Ok(());
        }
        match self.io.database(DatabaseEffect::ReadIndex).await? {
            DatabaseOutcome::Index(index) => self.memory.warm_up(index, &mut self.tab),
            _ => return Err(mismatch().into()),
        }
        // Whoever put notes before may have ended between a problem's end and its note's.
        let begun = !self.memory.rows.is_empty() || !self.memory.keyless.is_empty();
        self.memory.notes_astray = begun && self.mapping.notes_on_problems || self.notes_off;
        Ok(())
    }

    fn finish(mut self, ended: Result<(), Stop>) -> (Report, Memory, tab::Kept) {
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
        self.report.rows = self.memory.based() as u64;
        (self.report, self.memory, self.tab.into_kept())
    }
}
