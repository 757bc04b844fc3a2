//! A cycle from its start to its report.

use crate::cycle::state::{Cycle, Round};
use std::sync::Arc;

use crate::cycle::memory::Memory;
use crate::cycle::memory::known::State;
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
    pub tab: tab::TabMemory,
    pub mapping: Arc<Mapping>,
}

pub(crate) async fn run(
    io: Io,
    mapping: Arc<Mapping>,
    memory: Memory,
    tab: tab::TabMemory,
    start: Start,
    notes_off: bool,
) -> Ended {
    // A dry run leaves no trace.
    let kept = start
        .dry_run
        .then(|| (memory.clone(), tab.clone(), mapping.clone()));
    let tab = Tab::new(io.clone(), &mapping, tab, start.seed, start.now);
    let mut cycle = Cycle::new(io, mapping, memory, tab, start, notes_off);
    let mut ended = cycle.rounds().await;
    // Where rows moved to the last, some were not dealt with.
    if ended.is_ok() && !cycle.ending.read_again {
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
        self.memory.unfinished.renamed_unseen.clear();
        self.recover().await?;
        self.guard.rows_at_start = self.memory.based();
        if self.start.confirmed.is_none() {
            self.memory.allowed = None;
        }
        if self.start.relatives_changed || !self.start.dirty.is_empty() {
            self.memory.problems.arrivals += 1;
        }
        self.memory.must_compare_all |=
            self.start.scope == Scope::Everything && !self.start.dry_run;
        let certain = self.tab.layout().is_some()
            && !self.memory.must_compare_all
            && !self.memory.awaits_second_reading
            && !self.sheet_unsure
            && !self.start.dry_run;
        let mut quick = self.start.scope == Scope::Dirty && certain;
        for _ in 0..ROUNDS {
            self.ending.read_again = false;
            self.round = Round {
                unplaced: std::mem::take(&mut self.round.unplaced),
                ..Round::default()
            };
            self.tab.forget_tags_ahead();
            self.recover().await?;
            let everything = self.memory.must_compare_all
                || self.start.scope == Scope::Everything && self.start.dry_run;
            let result = if quick {
                self.quick().await
            } else {
                self.full(everything).await
            };
            match result {
                Err(Stop::Outdated) => self.ending.read_again = true,
                Ok(()) if !quick && !self.start.dry_run => self.memory.must_compare_all = false,
                other => other?,
            }
            if self.start.dry_run {
                return Ok(());
            }
            if !self.ending.read_again {
                self.try_those_that_waited();
            }
            quick = !self.ending.read_again && !self.later.follow_up.is_empty();
            if quick {
                let keys = std::mem::take(&mut self.later.follow_up);
                self.dirty = keys
                    .into_iter()
                    .map(|key| DirtyKey {
                        key,
                        changed_at: None,
                    })
                    .collect();
            } else if !self.ending.read_again {
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
        while let Some(closed) = self.tab.resolve_lost_batch().await? {
            self.note_resolved(closed);
        }
        let reread = self.tab.read_images().await?;
        self.sheet_unsure |= reread.any;
        if reread.stray_deletion {
            self.memory.note_stray_deletion();
        }
        self.tab.tidy_leftovers().await?;
        Ok(())
    }

    fn note_resolved(&mut self, closed: Closed) {
        let (keys, state) = match (closed.purpose, closed.arrived) {
            (Purpose::NewRows(keys), true) => (keys, State::Marked),
            (Purpose::NewRows(keys), false) => (keys, State::ToInsert),
            (Purpose::Deletion(keys), true) => (keys, State::GoneByUs),
            (Purpose::Deletion(keys), false) => (keys, State::Marked),
            (Purpose::Cells | Purpose::PutBack | Purpose::Header, _) => (Vec::new(), State::Marked),
        };
        for key in &keys {
            if let Some(known) = self.memory.rows.get_mut(key) {
                known.state = state;
            }
        }
        if !closed.arrived {
            for written in self.memory.unfinished.in_flight.values_mut() {
                written.retain(|written| written.stamp != Some(closed.stamp));
            }
        }
        self.sheet_unsure = true;
    }

    async fn warm_up(&mut self) -> Result<(), Stop> {
        if self.memory.is_loaded {
            return Ok(());
        }
        match self.io.database(DatabaseEffect::ReadIndex).await? {
            DatabaseOutcome::Index(index) => self.memory.warm_up(index, &mut self.tab),
            _ => return Err(mismatch().into()),
        }
        // An earlier process may have ended after a problem was over and before its note was taken
        // away.
        let begun = !self.memory.rows.is_empty() || !self.memory.problems.keyless.is_empty();
        self.memory.problems.stray_notes =
            begun && self.mapping.notes_on_problems || self.notes_off;
        Ok(())
    }

    fn finish(mut self, ended: Result<(), Stop>) -> (Report, Memory, tab::TabMemory) {
        let mut held = false;
        match ended {
            Ok(()) => {}
            Err(Stop::Outdated) => self.ending.read_again = true,
            Err(Stop::Held) => held = true,
            Err(Stop::Stopped(stopped)) => self.report.stopped = Some(stopped),
        }
        let stopped = self.report.stopped.is_some();
        self.memory.awaits_second_reading = held;
        self.ending.keep_dirty |= self.memory.must_compare_all || held;
        self.ending.read_again |= self.memory.must_compare_all;
        self.report.again = match self.ending.confirm_from {
            _ if stopped => None,
            from if held => Some(Again::Hold(from.unwrap_or(self.io.now()))),
            _ if self.ending.read_again => Some(Again::Now),
            _ if self.ending.read_soon => Some(Again::Soon),
            from => from.map(Again::Confirm),
        };
        self.report.awaits_rows = self.awaits_rows();
        self.report.dirty_done =
            !stopped && !self.ending.read_again && !self.ending.keep_dirty && !self.start.dry_run;
        for key in std::mem::take(&mut self.later.follow_up) {
            self.memory.known(&key).look_again();
        }
        self.report.rows = self.memory.based() as u64;
        (self.report, self.memory, self.tab.into_memory())
    }
}
