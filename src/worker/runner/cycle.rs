//! A cycle: begin it, carry its effects to the database and to Google, record its end.

use engine::effect::{
    Again, DatabaseEffect, Effect, Failure, Outcome, Report, Scope, SheetEffect, SheetOutcome,
    Snapshot, Start, Step, Stopped, Ways,
};
use engine::mapping::Side;
use engine::value::{Cell, Timestamp};
use google::Target;
use google::governor::Need;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::opening::WAIT_FOR_TURN;
use super::trouble::{failed_answer, retries_by_itself};
use super::{Awaits, FIRST_PAUSE, Job, Runner, Running, now};
use crate::postgres::process;
use crate::postgres::time_limit;
use crate::postgres::transaction::transaction;
use crate::settings;
use crate::shared::{self, Answer as RequestAnswer, Phase, RequestKind};
use crate::worker::database::{self, Cycle};
use crate::worker::http::{Grant, Work};
use crate::worker::mappings::{Glance, Loaded};
use crate::worker::preview::Preview;
use crate::worker::reads::Wanted;
use crate::worker::{Shared, dirty, states, writer};

/// Between a read and the one that tells whether what it saw is news.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// At least so long after a read that missed rows comes the one that confirms that they are gone:
/// people cut rows and paste them elsewhere, and take back what they did.
const CONFIRM_AFTER: Duration = Duration::from_secs(3);
/// Somebody who waits for a cycle of a sheet that is read more seldom does not wait longer than
/// this for it.
const CONFIRM_FOR_CALLS_AFTER: Duration = Duration::from_secs(30);
/// A cycle that moved more rows than this has used memory that the next ones will not.
const MANY_ROWS: u64 = 1_000;
/// More cycles in a row than this that each want another at once are a race that goes on: then they
/// take their time.
const PATIENCE: u32 = 5;

impl Runner {
    pub(super) fn begin_cycle(&mut self, shared: &mut Shared, glance: &Glance) {
        let rests = self.served_from.is_some_and(|from| from > Instant::now());
        let requests = match rests && !self.is_paused() {
            true => Vec::new(),
            false => {
                self.served_from = None;
                std::mem::take(&mut self.requests)
            }
        };
        let preview = requests
            .first()
            .is_some_and(|(_, kind)| *kind == RequestKind::Preview);
        // A preview is a cycle of its own; the others can share one.
        let (mine, later) = requests
            .into_iter()
            .partition::<Vec<_>, _>(|(_, kind)| (*kind == RequestKind::Preview) == preview);
        self.requests.extend(later);
        let mine = if preview { self.keep_first(mine) } else { mine };
        if self.is_paused() && !preview {
            self.requests.extend(mine);
            return;
        }
        let poll_due = self.next_poll <= Instant::now();
        let confirmed = glance.confirmed;
        if mine.is_empty() && !poll_due && !glance.has_dirty && glance.merged {
            return;
        }
        let ways = ways(&mine);
        let key_columns = self
            .loaded
            .as_ref()
            .map_or(0, |opened| opened.mapping.engine.key.len());
        let read = transaction(|session| {
            let dirty = dirty::read(session, self.id, key_columns, &glance.since);
            (dirty, dirty::generation(session, self.id))
        });
        let dirty = match read {
            // The mapping was changed since it was looked at: what waits because of that is not for
            // a cycle under its old settings.
            Ok((_, generation)) if glance.version.generation() != generation => {
                self.requests.extend(mine);
                return;
            }
            Ok((dirty, _)) => dirty,
            Err(refusal) => {
                self.requests.extend(mine);
                return self.fail(Stopped::Failure(database::failure(refusal)));
            }
        };
        if dirty.lines.is_some() {
            self.relatives.news = true;
        }
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let truncated = dirty.truncated && dirty::is_empty(&opened.mapping);
        let scope = if !glance.merged || dirty.everything {
            Scope::Everything
        } else if poll_due || !mine.is_empty() || confirmed.is_some() || self.in_trouble {
            // What a guard stopped is looked at anew before anything goes on: without a reading a
            // cycle would not see it, and its end would pass for the end of the trouble.
            Scope::Full
        } else {
            Scope::Dirty
        };
        if scope == Scope::Dirty && dirty.lines.is_none() {
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
            lines: dirty.lines,
            waiting: glance.since.clone(),
            newer: dirty.newer,
            changed_at,
            truncated,
            confirmed,
            confirm_after: self.confirm_after(!mine.is_empty() && !preview),
            started: Instant::now(),
            requests: mine.iter().map(|(id, _)| *id).collect(),
            preview,
            in_turn: false,
            unchecked: false,
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
            truncated: running.truncated,
            confirmed: running.confirmed,
            confirm_after_ms: running.confirm_after.as_millis() as u64,
            other_tabs: shared.tabs.has_others(self.id),
            insists: !running.requests.is_empty() && !running.preview,
            relatives_changed: running.scope != Scope::Dirty && self.relatives.take_change(),
            seed: seed(),
            dry_run: running.preview,
        });
        self.step(shared, running, step);
    }

    /// Google has answered.
    pub(super) fn resume(&mut self, shared: &mut Shared, outcome: Outcome) {
        let Some(opened) = &mut self.loaded else {
            return;
        };
        match std::mem::replace(&mut self.job, Job::Idle) {
            Job::Cycle(running, _) => {
                let step = opened.machine.resume(outcome, now());
                self.step(shared, running, step);
            }
            other => self.job = other,
        }
    }

    /// Carry out the table's effects until Google's answer has to be waited for, or the cycle is
    /// done. After each chunk of rows that the table has taken in it is the other mappings' turn.
    fn step(&mut self, shared: &mut Shared, mut running: Box<Running>, mut step: Step) {
        loop {
            let Some(opened) = &mut self.loaded else {
                return;
            };
            match step {
                Step::Do(Effect::Database(DatabaseEffect::Commit(commit)))
                    if running.unchecked && !commit.apply.is_empty() =>
                {
                    let effect = Effect::Database(DatabaseEffect::Commit(commit));
                    let awaits = self.check_writer(shared, Step::Do(effect));
                    self.job = Job::Cycle(running, awaits);
                    return;
                }
                Step::Do(Effect::Database(effect)) => {
                    let takes_in = matches!(&effect, DatabaseEffect::Commit(commit) if !commit.apply.is_empty());
                    let hurried = self.locks.are_about();
                    let mut cycle = Cycle {
                        id: self.cycle_id,
                        changed_at: &running.changed_at,
                        waiting: &running.waiting,
                        newer: &running.newer,
                        tabs: &shared.tabs,
                        locked: &mut self.locks.rows,
                        hurried,
                        slow: &mut self.slow_rows,
                    };
                    process::report_activity(Some(&activity(&opened.mapping, &effect)));
                    self.live.busy_since = now().0;
                    shared::show_live(self.live);
                    let (outcome, ended) = time_limit::noticing_ends(|| {
                        database::perform(&opened.mapping, &mut cycle, effect)
                    });
                    self.live.busy_since = 0;
                    shared::show_live(self.live);
                    if ended {
                        self.rests_until = Some(Instant::now() + database::rest_after_timeout());
                    }
                    step = opened.machine.resume(outcome, now());
                    self.show_progress();
                    if takes_in && matches!(step, Step::Do(Effect::Database(_))) {
                        self.job = Job::Cycle(running, Awaits::Turn(Box::new(step)));
                        return;
                    }
                }
                Step::Do(Effect::Sheet(effect)) if opened.lacks_tab => {
                    step = opened.machine.resume(of_blank_tab(&effect), now());
                }
                Step::Do(Effect::Sheet(effect)) => {
                    if let Some(awaits) = self.send_effect(shared, &mut running, effect) {
                        self.job = Job::Cycle(running, awaits);
                    }
                    return;
                }
                Step::Done(report) => return self.done(shared, running, report),
            }
            process::end_if_asked();
        }
    }

    /// A reading tells values and not whose they are: before the table takes any of them in it is
    /// asked whether the tab is still ours. What is asked of edited cells tells it too.
    pub(super) fn note_reading(&mut self, outcome: &Result<SheetOutcome, Failure>) {
        if let Job::Cycle(running, _) = &mut self.job {
            match outcome {
                Ok(SheetOutcome::Snapshot(_)) => running.unchecked = true,
                Ok(SheetOutcome::Inspected(_)) => running.unchecked = false,
                _ => {}
            }
        }
    }

    /// Where there is nobody to ask, the cycle is over anyway.
    fn check_writer(&mut self, shared: &mut Shared, step: Step) -> Awaits {
        let step = Box::new(step);
        let Some(opened) = &self.loaded else {
            return Awaits::Turn(step);
        };
        let Some((target, _)) = &opened.target else {
            return Awaits::Turn(step);
        };
        // It is little, and counted afterwards.
        let grant = Grant {
            caller: opened.caller,
            need: Need::default(),
        };
        let target = Box::new(target.clone());
        Awaits::Writer(self.send(shared, grant, Work::CheckWriter { target }), step)
    }

    pub(super) fn writer_checked(&mut self, shared: &mut Shared, checked: Result<(), Failure>) {
        let (mut running, step) = match std::mem::replace(&mut self.job, Job::Idle) {
            Job::Cycle(running, Awaits::Writer(_, step)) => (running, *step),
            other => {
                self.job = other;
                return;
            }
        };
        let Some(opened) = &mut self.loaded else {
            return;
        };
        running.unchecked = false;
        let step = match checked {
            Ok(()) => step,
            Err(failure) => {
                let failed = Outcome::Failed(Side::Database, failure);
                opened.machine.resume(failed, now())
            }
        };
        self.step(shared, running, step);
    }

    /// Send an effect as soon as the quota allows.
    fn send_effect(
        &mut self,
        shared: &mut Shared,
        running: &mut Running,
        effect: SheetEffect,
    ) -> Option<Awaits> {
        if effect.stamp().is_some() && !running.in_turn {
            if self.target_of_turn().is_none() {
                let due = Instant::now() + WAIT_FOR_TURN;
                return Some(Awaits::Quota(due, Box::new(effect)));
            }
            running.in_turn = true;
        }
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
            return Some(Awaits::Answer(address.ticket));
        }
        let grant = match self.ask(shared, need, interactive) {
            Ok(grant) => grant,
            Err(wait) => {
                return Some(Awaits::Quota(Instant::now() + wait, Box::new(effect)));
            }
        };
        let target = Box::new(target);
        let work = Work::Perform { target, effect };
        Some(Awaits::Answer(self.send(shared, grant, work)))
    }

    /// What the cycle waited for is there.
    pub(super) fn go_on(&mut self, shared: &mut Shared) {
        match std::mem::replace(&mut self.job, Job::Idle) {
            Job::Cycle(mut running, Awaits::Quota(_, effect)) => {
                if let Some(awaits) = self.send_effect(shared, &mut running, *effect) {
                    self.job = Job::Cycle(running, awaits);
                }
            }
            Job::Cycle(running, Awaits::Turn(step)) => self.step(shared, running, *step),
            other => self.job = other,
        }
    }

    pub(super) fn done(&mut self, shared: &mut Shared, mut running: Box<Running>, report: Report) {
        let mut report = report;
        self.job = Job::Idle;
        let arrived = match running.in_turn {
            true => self.arrived_turn(),
            false => None,
        };
        self.live.last_cycle_at = now().0;
        running.counts.rows_pushed += report.rows_pushed as i64;
        running.counts.rows_pulled += report.rows_pulled as i64;
        running.counts.conflicts += report.conflicts as i64;
        running.counts.problems = running.counts.problems.max(report.problems as i64);
        if running.preview {
            return self.previewed(&running, &mut report);
        }
        self.tell_other_tabs(shared, &running, &mut report);
        let ended = report.stopped.is_none() && report.again.is_none();
        if report.locked || running.scope != Scope::Dirty {
            self.locks.cycle_ended(&report);
        }
        let dealt_with = running.lines.take().filter(|_| report.dirty_done);
        // A one-way cycle leaves the other way's work owed.
        let both_ways = running.ways.push && running.ways.pull;
        let compared = ended && running.scope == Scope::Everything && both_ways;
        // Rows that wait are still to become as the side has them whose rows alone count.
        let waits = report.locked || report.awaits_rows;
        let is_final = !(waits && self.has_winner());
        // What a person allowed is used up by a cycle that could carry it out.
        let confirmed = running
            .confirmed
            .filter(|_| ended && both_ways && !report.locked);
        let moved = report.rows_pushed + report.rows_pulled > 0 || dealt_with.is_some();
        if moved {
            self.active_at = Instant::now();
        }
        if report.rows_pulled > 0 {
            self.relatives.news = true;
        }
        let end = states::End {
            mapping: self.id,
            generation: self.generation(),
            dealt_with: dealt_with.as_ref(),
            confirmed,
            merged: compared && is_final,
            arrived,
            report: &report,
        };
        let is_news = moved || end.merged || confirmed.is_some();
        let stored = is_news.then(|| states::end_cycle(&end)).flatten();
        if let Some(turn) = arrived.filter(|_| stored.is_none()) {
            writer::turn_has_arrived(self.id, turn);
        }
        let merged = stored.unwrap_or(false);
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
        // Nobody knows yet whether what stopped it is over.
        if !matches!(report.again, Some(Again::Hold(_))) {
            self.recovered(merged, confirmed.is_some());
        }
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
                self.go_on_after(again, report.dirty_done);
            }
        }
        self.live.phase = Phase::Idle;
    }

    /// Of the settings that the cycles run under.
    fn generation(&self) -> &str {
        let opened = self.loaded.as_ref();
        opened.map_or("", |opened| opened.version.generation())
    }

    fn has_winner(&self) -> bool {
        let opened = self.loaded.as_ref();
        opened.is_some_and(|opened| opened.mapping.engine.winner.is_some())
    }

    fn go_on_after(&mut self, again: Again, dirty_done: bool) {
        let now = Instant::now();
        let soon = now + LOOK_AGAIN_AFTER.min(self.poll_interval());
        self.agains += 1;
        self.not_before = None;
        match again {
            Again::Now if self.agains <= PATIENCE => self.next_poll = now,
            Again::Now | Again::Soon => {
                self.next_poll = soon;
                self.not_before = Some(soon);
            }
            // The sheet is read for edits meanwhile, as ever.
            Again::Confirm(from) => {
                let from = instant(from);
                self.agains = 0;
                self.next_poll = from.min(now + self.poll_interval());
                let earlier = self.served_from.map_or(from, |one| one.min(from));
                self.served_from = Some(earlier);
                // A key that waits for this would begin one cycle after the other.
                self.not_before = (!dirty_done).then_some(from.min(now + CONFIRM_AFTER));
            }
            Again::Hold(from) => {
                let from = instant(from);
                self.agains = 0;
                self.next_poll = from;
                self.not_before = Some(from);
            }
        }
    }

    /// How long a row must be missing before it is believed to be deleted.
    fn confirm_after(&self, waited_for: bool) -> Duration {
        let opened = self.loaded.as_ref();
        let own = opened.and_then(|opened| opened.mapping.poll_interval);
        let interval = own.unwrap_or_else(settings::poll_interval);
        let after = interval.max(CONFIRM_AFTER);
        match waited_for {
            true => after.min(CONFIRM_FOR_CALLS_AFTER),
            false => after,
        }
    }

    /// A row that is missing here may stand in another tab of the table, and the other way about.
    fn tell_other_tabs(&mut self, shared: &mut Shared, running: &Running, report: &mut Report) {
        let (Some(opened), Some(read_at), None) = (&self.loaded, report.read_at, &report.stopped)
        else {
            return;
        };
        if !shared.tabs.has_others(self.id) {
            return;
        }
        let tabs = &mut shared.tabs;
        tabs.was_read(self.id, read_at, opened.machine.typed());
        match report.again {
            _ if report.awaits_tabs => tabs.want_others(self.id, read_at),
            Some(Again::Confirm(from) | Again::Hold(from)) => {
                let missed_at = from.0 - running.confirm_after.as_micros() as i64;
                tabs.want_others(self.id, Timestamp(missed_at));
            }
            _ => {}
        }
        if matches!(report.again, Some(Again::Hold(_))) {
            return;
        }
        let moved = tabs.has_lost(self.id, std::mem::take(&mut report.moving), now());
        for (other, _) in &moved {
            tabs.want(*other);
        }
        if !moved.is_empty() {
            states::look_again(&moved);
        }
        if tabs.waits_for_others(self.id) {
            report.again = report.again.or(Some(Again::Soon));
        }
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
            states::mark_headers_known(self.id);
            opened.machine.mark_headers_known();
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
        if confirmed {
            glance.confirmed = None;
        }
        let shown = matches!(glance.state.as_str(), "failed" | "initialising") && glance.merged;
        if (self.in_trouble || shown) && states::clear_trouble(self.id).is_some() {
            self.in_trouble = false;
            glance.has_retry = false;
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

    /// A guard that stops it is a part of what would happen.
    pub(super) fn previewed(&mut self, running: &Running, report: &mut Report) {
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let lacks_tab = std::mem::take(&mut opened.lacks_tab);
        let answer = match report.stopped.take() {
            Some(failure @ Stopped::Failure(_)) => failed_answer(&failure),
            stopped => {
                let preview = Preview::new(&opened.mapping, lacks_tab, report, stopped);
                let stored = running
                    .requests
                    .iter()
                    .map(|request| preview.store(*request));
                match stored.collect::<Option<()>>() {
                    Some(()) => RequestAnswer::Done(running.counts),
                    None => RequestAnswer::Failed {
                        message: "what was found could not be stored".to_owned(),
                        hint: "The server's log says why.".to_owned(),
                    },
                }
            }
        };
        self.answer_requests(&running.requests, &answer);
    }
}

/// What a tab answers that was just made: a preview does not make it.
fn of_blank_tab(effect: &SheetEffect) -> Outcome {
    let outcome = match effect {
        SheetEffect::Read => SheetOutcome::Snapshot(Snapshot {
            sent_at: now(),
            read_at: now(),
            grid_rows: 0,
            grid_columns: 0,
            rows: Vec::new(),
        }),
        SheetEffect::FindColumns { .. } => SheetOutcome::Columns(Vec::new()),
        _ => SheetOutcome::Formulas(Vec::new()),
    };
    Outcome::Sheet(outcome)
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

/// A moment that the engine named, on the clock that nobody sets.
fn instant(at: Timestamp) -> Instant {
    let microseconds = at.0.saturating_sub(now().0).max(0);
    Instant::now() + Duration::from_micros(microseconds as u64)
}

/// Randomness of the operating system, through the standard library's hasher keys.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// What `pg_stat_activity` shows while the worker is at a statement on this table.
fn activity(mapping: &Loaded, effect: &DatabaseEffect) -> String {
    let what = match effect {
        DatabaseEffect::Commit(commit) if !commit.apply.is_empty() => "changing rows",
        DatabaseEffect::Commit(_) => "taking note",
        DatabaseEffect::FindChanged => "comparing the whole table",
        DatabaseEffect::MergeByFunction { .. } => "calling the conflict function",
        DatabaseEffect::GenerateKeys { .. } => "taking new keys from a default",
        _ => "reading rows",
    };
    format!("mapping {} of table {}: {what}", mapping.id, mapping.table)
}
