//! A cycle: begin it, carry its effects to the database and to Google, record its end.

use engine::effect::{
    Again, DatabaseEffect, Effect, Outcome, Report, Scope, SheetEffect, Start, Step, Stopped, Ways,
};
use engine::value::Cell;
use google::Target;
use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use super::trouble::{failed_answer, retries_by_itself, truncated};
use super::{Asked, Awaits, FIRST_PAUSE, Job, Runner, Running, now};
use crate::postgres::process;
use crate::postgres::transaction::transaction;
use crate::shared::{Answer as RequestAnswer, Phase, RequestKind};
use crate::worker::database::{self, Cycle};
use crate::worker::http::Work;
use crate::worker::mappings::Glance;
use crate::worker::reads::Wanted;
use crate::worker::{Shared, dirty, states};

/// Between a read that missed rows and the one that confirms it.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// A cycle that moved more rows than this has used memory that the next ones will not.
const MANY_ROWS: u64 = 1_000;
/// So many cycles in a row that each want another at once are a race that goes on: then they take their time.
const PATIENCE: u32 = 5;

impl Runner {
    pub(super) fn begin_cycle(&mut self, shared: &mut Shared, glance: &Glance) {
        let requests = std::mem::take(&mut self.requests);
        let preview = requests
            .first()
            .is_some_and(|(_, kind)| *kind == RequestKind::Preview);
        // A preview is a cycle of its own; the others can share one.
        let (mine, later) = requests
            .into_iter()
            .partition::<Vec<_>, _>(|(_, kind)| (*kind == RequestKind::Preview) == preview);
        self.requests = later;
        let mine = if preview { self.keep_first(mine) } else { mine };
        let poll_due = self.next_poll <= Instant::now();
        let confirmed = glance.deletes_confirmed;
        if mine.is_empty() && !poll_due && !glance.has_dirty && glance.merged {
            return;
        }
        let ways = ways(&mine);
        let key_columns = self
            .loaded
            .as_ref()
            .map_or(0, |opened| opened.mapping.engine.key.len());
        let read = transaction(|session| {
            let dirty = dirty::read(session, self.id, key_columns);
            (dirty, dirty::generation(session, self.id))
        });
        let dirty = match read {
            // The mapping was changed since it was looked at: what waits because of that is not for a cycle under its old settings.
            Ok((_, generation)) if !glance.is_of(&generation) => {
                self.requests.extend(mine);
                return;
            }
            Ok((dirty, _)) => dirty,
            Err(refusal) => {
                self.requests.extend(mine);
                return self.fail(Stopped::Failure(database::failure(refusal)));
            }
        };
        if !dirty.ids.is_empty() {
            self.relatives.news = true;
        }
        let Some(opened) = &mut self.loaded else {
            return;
        };
        if dirty.truncated && !confirmed && dirty::is_empty(&opened.mapping) {
            self.requests.extend(mine);
            return self.fail(truncated());
        }
        let scope = if !glance.merged || dirty.everything {
            Scope::Everything
        } else if poll_due || !mine.is_empty() || confirmed {
            Scope::Full
        } else {
            Scope::Dirty
        };
        if scope == Scope::Dirty && dirty.ids.is_empty() {
            return;
        }
        let changed_at = dirty
            .keys
            .iter()
            .filter_map(|key| Some((key.key.clone(), key.changed_at?)))
            .collect();
        let running = Running {
            scope,
            ways,
            dirty_ids: dirty.ids,
            changed_at,
            without_base: HashSet::new(),
            deletes_confirmed: confirmed,
            started: Instant::now(),
            requests: mine.iter().map(|(id, _)| *id).collect(),
            preview,
            counts: std::mem::take(&mut self.carried),
        };
        self.live.phase = if glance.merged {
            Phase::Syncing
        } else {
            Phase::Merging
        };
        self.live.phase_started_at = now().0;
        (self.live.rows_done, self.live.rows_total) = (0, 0);
        self.start(shared, Box::new(running), dirty.keys);
    }

    /// One preview at a time: each wants lines of its own.
    pub(super) fn keep_first(
        &mut self,
        mut requests: Vec<(u64, RequestKind)>,
    ) -> Vec<(u64, RequestKind)> {
        let rest = requests.split_off(1.min(requests.len()));
        self.requests.extend(rest);
        requests
    }

    pub(super) fn start(
        &mut self,
        shared: &mut Shared,
        running: Box<Running>,
        dirty: Vec<engine::effect::DirtyKey>,
    ) {
        self.cycle_id += 1;
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let step = opened.machine.start(Start {
            scope: running.scope,
            ways: running.ways,
            dirty,
            now: now(),
            deletes_confirmed: running.deletes_confirmed,
            insists: !running.requests.is_empty() && !running.preview,
            relatives_changed: running.scope != Scope::Dirty && self.relatives.take_change(),
            seed: seed(),
            dry_run: running.preview,
        });
        self.step(shared, running, None, step);
    }

    /// Google has answered.
    pub(super) fn resume(&mut self, shared: &mut Shared, outcome: Outcome) {
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let step = opened.machine.resume(outcome, now());
        match std::mem::replace(&mut self.job, Job::Idle) {
            // The engine waits for the table, whose turn comes.
            Job::Cycle(running, Awaits { turn, .. }) if turn.is_some() => {
                self.job = Job::Cycle(running, Awaits { sheet: None, turn });
            }
            Job::Cycle(running, _) => self.step(shared, running, None, step),
            other => self.job = other,
        }
    }

    /// Carry out the table's effects, beside what is asked of Google, until only Google's answer can bring the cycle on, or it is
    /// done. After each chunk of rows that the table has taken in it is the other mappings' turn.
    fn step(
        &mut self,
        shared: &mut Shared,
        mut running: Box<Running>,
        mut sheet: Option<Asked>,
        mut step: Step,
    ) {
        loop {
            let Some(opened) = &mut self.loaded else {
                return;
            };
            match step {
                Step::Do(Effect::Database(effect)) => {
                    let takes_in = matches!(&effect, DatabaseEffect::Commit(commit) if !commit.apply.is_empty());
                    let hurried = self.locks.are_about();
                    let mut cycle = Cycle {
                        id: self.cycle_id,
                        changed_at: &running.changed_at,
                        without_base: &mut running.without_base,
                        locked: &mut self.locks.rows,
                        hurried,
                    };
                    let outcome = database::perform(&opened.mapping, &mut cycle, effect);
                    step = opened.machine.resume(outcome, now());
                    self.show_progress();
                    if takes_in && matches!(step, Step::Do(Effect::Database(_))) {
                        let turn = Some(Box::new(step));
                        self.job = Job::Cycle(running, Awaits { sheet, turn });
                        return;
                    }
                }
                Step::Do(Effect::Sheet(effect)) => {
                    step = opened.machine.meanwhile();
                    let Some(asked) = self.send_effect(shared, &running, effect) else {
                        return;
                    };
                    sheet = Some(asked);
                }
                Step::Wait => {
                    self.job = Job::Cycle(running, Awaits { sheet, turn: None });
                    return;
                }
                Step::Done(report) => return self.done(running, report),
            }
            pgrx::check_for_interrupts!();
        }
    }

    /// Send an effect as soon as the quota allows.
    fn send_effect(
        &mut self,
        shared: &mut Shared,
        running: &Running,
        effect: SheetEffect,
    ) -> Option<Asked> {
        let opened = self.loaded.as_ref()?;
        let (target, _) = opened.target.as_ref()?;
        let target = Target {
            checkbox_columns: boolean_columns(&effect),
            ..target.clone()
        };
        let need = opened.google.need(&target, &effect);
        let interactive = !running.requests.is_empty() || !self.requests.is_empty();
        if effect == SheetEffect::Read {
            let address = shared.http.address(self.id);
            shared.reads.push(Wanted {
                address,
                session: opened.google.clone(),
                target,
                interactive,
            });
            self.live.last_read_at = now().0;
            return Some(Asked::Sent(address.ticket));
        }
        let grant = match self.ask(shared, need, interactive) {
            Ok(grant) => grant,
            Err(wait) => {
                return Some(Asked::NotBefore(Instant::now() + wait, Box::new(effect)));
            }
        };
        let work = Work::Perform { target, effect };
        Some(Asked::Sent(self.send(shared, grant, work)))
    }

    /// What the cycle waited for is there.
    pub(super) fn go_on(&mut self, shared: &mut Shared) {
        match std::mem::replace(&mut self.job, Job::Idle) {
            Job::Cycle(running, Awaits { sheet, turn }) => {
                let sheet = match sheet {
                    Some(Asked::NotBefore(due, effect)) if due <= Instant::now() => {
                        let Some(asked) = self.send_effect(shared, &running, *effect) else {
                            return;
                        };
                        Some(asked)
                    }
                    sheet => sheet,
                };
                let step = turn.map_or(Step::Wait, |turn| *turn);
                self.step(shared, running, sheet, step);
            }
            other => self.job = other,
        }
    }

    pub(super) fn done(&mut self, mut running: Box<Running>, report: Report) {
        self.job = Job::Idle;
        self.live.last_cycle_at = now().0;
        running.counts.rows_pushed += report.rows_pushed as i64;
        running.counts.rows_pulled += report.rows_pulled as i64;
        running.counts.conflicts += report.conflicts as i64;
        running.counts.problems = running.counts.problems.max(report.problems as i64);
        if running.preview {
            return self.previewed(&running, &report);
        }
        let ended = report.stopped.is_none() && report.again.is_none();
        if report.locked || running.scope != Scope::Dirty {
            self.locks.cycle_ended(&report);
        }
        let dealt_with = if report.dirty_done {
            std::mem::take(&mut running.dirty_ids)
        } else {
            Vec::new()
        };
        // A one-way cycle leaves the other way's work owed.
        let merged =
            ended && running.scope == Scope::Everything && running.ways.push && running.ways.pull;
        let confirmed = ended && !report.locked && running.deletes_confirmed;
        let moved = report.rows_pushed + report.rows_pulled > 0 || !dealt_with.is_empty();
        if moved {
            self.active_at = Instant::now();
        }
        if report.rows_pulled > 0 {
            self.relatives.news = true;
        }
        if moved || merged || confirmed {
            states::end_cycle(
                self.id,
                self.cycle_id,
                &dealt_with,
                confirmed,
                merged,
                &report,
            );
        }
        if let Some(stopped) = report.stopped {
            let keep = retries_by_itself(&stopped);
            if keep {
                // The callers go on waiting; the next try serves them.
                self.take_back(&running);
            } else {
                self.answer_requests(&running.requests, &failed_answer(&stopped));
            }
            return self.fail(stopped);
        }
        if report.rows_pushed + report.rows_pulled > MANY_ROWS || running.scope == Scope::Everything
        {
            process::release_free_memory();
        }
        if ended && running.scope != Scope::Dirty {
            self.headers_were_seen();
            self.show_title();
        }
        self.pause = FIRST_PAUSE;
        self.recovered(merged, confirmed);
        match report.again {
            None => {
                self.agains = 0;
                if running.scope != Scope::Dirty {
                    self.read_took = running.started.elapsed();
                    self.next_poll = Instant::now() + self.poll_interval();
                    self.relatives.readings += 1;
                }
                if let Some(pause) = self.locks.pause() {
                    self.next_poll = self.next_poll.min(Instant::now() + pause);
                }
                self.see_to_relatives(&running, report.awaits_rows);
            }
            Some(again) => {
                self.take_back(&running);
                self.agains += 1;
                let pause = match again {
                    Again::Now if self.agains <= PATIENCE => Duration::ZERO,
                    Again::Now | Again::Soon => CONFIRM_AFTER.min(self.poll_interval()),
                };
                self.next_poll = Instant::now() + pause;
                self.not_before = (pause > Duration::ZERO).then(|| Instant::now() + pause);
            }
        }
        self.live.phase = Phase::Idle;
    }

    fn headers_were_seen(&mut self) {
        let Some(opened) = &mut self.loaded else {
            return;
        };
        if opened
            .machine
            .mapping()
            .columns
            .iter()
            .any(|column| !column.header_known || column.reformat)
        {
            states::headers_are_known(self.id);
            opened.machine.headers_are_known();
        }
    }

    /// A reading tells the tab's title, which people may have changed.
    fn show_title(&mut self) {
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let Some((target, _)) = &opened.target else {
            return;
        };
        let Some(title) = opened.google.title(target) else {
            return;
        };
        if opened.mapping.sheet_title.as_deref() != Some(&title) {
            states::show_tab(self.id, i64::from(target.sheet_id), &title);
            opened.mapping.sheet_title = Some(title);
        }
    }

    /// The catalog's line says so, and so does our copy of it, from which the next cycle begins.
    fn recovered(&mut self, merged: bool, confirmed: bool) {
        let Some(glance) = &mut self.glance else {
            return;
        };
        glance.merged |= merged;
        glance.deletes_confirmed &= !confirmed;
        let shown = matches!(glance.state.as_str(), "failed" | "initialising") && glance.merged;
        if self.trouble_shown || shown {
            states::clear_trouble(self.id);
            self.trouble_shown = false;
            if glance.merged && glance.state != "paused" {
                glance.state = "active".to_owned();
            }
        }
    }

    /// The callers go on waiting; the next cycle serves them.
    pub(super) fn take_back(&mut self, running: &Running) {
        let kind = if running.preview {
            RequestKind::Preview
        } else {
            kind_of(running.ways)
        };
        self.requests
            .extend(running.requests.iter().map(|id| (*id, kind)));
        if !running.requests.is_empty() {
            self.carried = running.counts;
        }
    }

    pub(super) fn previewed(&mut self, running: &Running, report: &Report) {
        let answer = match &report.stopped {
            Some(stopped) => failed_answer(stopped),
            None => {
                if let Some(opened) = &self.loaded {
                    for request in &running.requests {
                        states::store_preview(*request, &opened.mapping, &report.planned);
                    }
                }
                RequestAnswer::Done(running.counts)
            }
        };
        self.answer_requests(&running.requests, &answer);
    }
}

/// Sheet columns in which new rows hold booleans: these are shown as checkboxes.
fn boolean_columns(effect: &SheetEffect) -> Vec<u32> {
    let SheetEffect::Insert { rows, .. } = effect else {
        return Vec::new();
    };
    let booleans = rows
        .iter()
        .flatten()
        .filter(|(_, cell)| matches!(cell, Cell::Bool(_)));
    let columns: BTreeSet<u32> = booleans.map(|(column, _)| *column).collect();
    columns.into_iter().collect()
}

fn ways(requests: &[(u64, RequestKind)]) -> Ways {
    let only = |kind| !requests.is_empty() && requests.iter().all(|(_, asked)| *asked == kind);
    Ways {
        push: !only(RequestKind::Pull),
        pull: !only(RequestKind::Push),
    }
}

fn kind_of(ways: Ways) -> RequestKind {
    match (ways.push, ways.pull) {
        (true, false) => RequestKind::Push,
        (false, true) => RequestKind::Pull,
        _ => RequestKind::Sync,
    }
}

/// Randomness of the operating system, through the standard library's hasher keys.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
