//! A driver like the extension's worker, in slow motion: every effect is planned, carried out and reported in separate steps,
//! and anything may happen in between.

use super::database::{DriverBugs, Table, TableEdit};
use super::ledger::{Author, Ledger, Sides};
use super::setup::{Setup, Value, row_of};
use super::sheet::{ColumnUse, Content, Rules, SheetEdit, Tab};
use super::{Verdict, broken, settled};
use engine::cycle::Machine;
use engine::effect::{
    Again, Change, Class, Commit, DatabaseEffect, Decision, DirtyKey, Effect, Failure, Outcome,
    Refusal, Report, Scope, SheetEffect, SheetOutcome, Start, Step, Stopped, Ways, Winner,
};
use engine::mapping::{Kind, Mapping};
use engine::value::{Cell, Key, Timestamp};
use std::collections::BTreeMap;

/// What the driver talks to: the engine, or the engine behind a deliberate bug.
pub trait Engine {
    fn start(&mut self, start: Start) -> Step;
    fn resume(&mut self, outcome: Outcome, now: Timestamp) -> Step;
}

impl Engine for Machine {
    fn start(&mut self, start: Start) -> Step {
        Machine::start(self, start)
    }

    fn resume(&mut self, outcome: Outcome, now: Timestamp) -> Step {
        Machine::resume(self, outcome, now)
    }
}

pub type Maker = fn(Mapping) -> Box<dyn Engine>;

pub fn genuine(mapping: Mapping) -> Box<dyn Engine> {
    Box::new(Machine::new(mapping))
}

/// What becomes of the effect that is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// 500, or a serialisation failure: nothing was done, and the answer says so.
    Refused,
    /// 429.
    Quota,
    /// The connection breaks after the effect took place.
    AnswerLost,
    /// The connection breaks before it took place.
    RequestLost,
    /// The answer never comes, and the batch lands later.
    Late,
    /// Status 200 with rows missing.
    Partial { from: u8, count: u8 },
}

enum Pending {
    Idle,
    Planned(Effect),
    Ready(Outcome),
}

struct Cycle {
    scope: Scope,
    dirty_upto: u64,
    confirmed: bool,
    both_ways: bool,
    /// Nothing may be changed.
    dry_run: bool,
    /// It saw a header that does not hold.
    header_broken: bool,
    rows_before: usize,
    table_deletes: usize,
    sheet_deletes: usize,
    effects: u32,
    wrote: bool,
}

pub struct World {
    pub setup: Setup,
    pub table: Table,
    pub tab: Tab,
    pub ledger: Ledger,
    maker: Maker,
    engine: Box<dyn Engine>,
    clock: Timestamp,
    pending: Pending,
    cycle: Option<Cycle>,
    cycles: u32,
    initialised: bool,
    poll_due: bool,
    ways: Ways,
    preview: bool,
    confirm: bool,
    guarded: bool,
    late: Vec<(SheetEffect, u32)>,
    pub last_report: Option<Report>,
    /// What happened, line by line, where somebody wants to read it.
    pub trace: Option<Vec<String>>,
}

const BOTH: Ways = Ways {
    push: true,
    pull: true,
};

const SECOND: i64 = 1_000_000;

/// More effects than any cycle on tables of this size needs.
const ENDLESS: u32 = 400;

impl World {
    pub fn new(setup: Setup, maker: Maker, bugs: DriverBugs, rules: Rules) -> Self {
        let mapping = setup.mapping();
        let mut world = Self {
            table: Table::new(setup),
            tab: Tab::new(mapping.clone()),
            ledger: Ledger::new(setup),
            setup,
            maker,
            engine: maker(mapping),
            clock: Timestamp(1_700_000_000 * SECOND),
            pending: Pending::Idle,
            cycle: None,
            cycles: 0,
            initialised: false,
            poll_due: false,
            ways: BOTH,
            preview: false,
            confirm: false,
            guarded: false,
            late: Vec::new(),
            last_report: None,
            trace: None,
        };
        world.table.bugs = bugs;
        world.tab.rules = rules;
        world.fill();
        world
    }

    fn fill(&mut self) {
        let (setup, mapping) = (self.setup, self.table.mapping.clone());
        if setup.header {
            self.tab.lay_out(setup.layout);
        }
        let common = (0..setup.common_rows).map(|key| (key, true, setup.header));
        let table_only = (0..setup.table_rows).map(|n| (20 + n, true, false));
        let sheet_only = (0..setup.sheet_rows).map(|n| (30 + n, false, setup.header));
        for (key, in_table, in_sheet) in common.chain(table_only).chain(sheet_only) {
            if in_table {
                let row = row_of(&setup, &mapping, key, Value::Num(key.into()));
                self.table
                    .insert(row, self.clock)
                    .expect("first rows are good");
            }
            if in_sheet {
                let value = if key < setup.differing {
                    500 + u16::from(key)
                } else {
                    key.into()
                };
                self.tab.push_row();
                let row = self.tab.rows.len() - 1;
                self.tab
                    .type_row(row, &row_of(&setup, &mapping, key, Value::Num(value)));
                self.tab.scribble(row, u16::from(key));
            }
        }
        self.table.dirty.clear();
        self.book(Author::Person).expect("people may do anything");
    }

    pub fn say(&mut self, words: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(words());
        }
    }

    fn tick(&mut self) -> Timestamp {
        self.clock.0 += SECOND / 100;
        self.clock
    }

    fn book(&mut self, author: Author) -> Verdict {
        let sides = Sides {
            table: &self.table,
            tab: &self.tab,
            now: self.clock,
        };
        let verdict = self.ledger.book(author, sides);
        self.tab.unseen.clear();
        self.tab.mistaken.clear();
        verdict
    }

    // ------------------------------------------------------------------------------------------------------------ people

    pub fn edit_table(&mut self, edit: TableEdit) -> Verdict {
        let now = self.tick();
        self.table.edit(edit, now);
        self.book(Author::Person)
    }

    pub fn edit_sheet(&mut self, edit: SheetEdit) -> Verdict {
        let now = self.tick();
        let structural = matches!(
            edit,
            SheetEdit::InsertColumn { .. } | SheetEdit::MoveColumn { .. }
        );
        // Between a look and a write nothing protects against moved columns: the sheet has no anchor for a cell.
        if structural && self.cycle.is_some() {
            return Ok(());
        }
        self.tab.edit(&self.setup, edit, now);
        self.book(Author::Person)
    }

    /// Any statement; one that Postgres refuses changes nothing.
    pub fn statement<T>(
        &mut self,
        run: impl FnOnce(&mut Table, Timestamp) -> Result<T, Refusal>,
    ) -> Verdict {
        let now = self.tick();
        if let Err(refusal) = run(&mut self.table, now) {
            return broken(format!("the statement fails: {}", refusal.message));
        }
        self.book(Author::Person)
    }

    /// Somebody has done something to either side.
    pub fn book_person(&mut self) -> Verdict {
        self.tick();
        self.book(Author::Person)
    }

    /// `resolve()` of the nth pending conflict.
    pub fn resolve(&mut self, nth: u8, decision: impl FnOnce(Kind) -> Decision) {
        let now = self.tick();
        let pending = self.table.conflicts.iter().map(|line| &line.conflict);
        let pending: Vec<(Key, Option<usize>)> = pending
            .filter(|conflict| conflict.winner == Winner::Pending && !conflict.settled)
            .map(|conflict| (conflict.key.clone(), conflict.column))
            .collect();
        let Some((key, column)) = pending.get(usize::from(nth) % pending.len().max(1)) else {
            return;
        };
        let decision =
            decision(column.map_or(Kind::Text, |column| self.table.mapping.columns[column].kind));
        if let (Decision::Value(datum), Some(column)) = (&decision, column) {
            self.ledger.allow(key, *column, datum);
        }
        self.table.resolve(nth, decision, now);
    }

    pub fn poll(&mut self) {
        self.poll_due = true;
    }

    /// `push()` or `pull()`: the next cycle goes one way.
    pub fn one_way(&mut self, push: bool) {
        self.ways = Ways { push, pull: !push };
    }

    /// `preview()`: the next cycle only looks.
    pub fn preview(&mut self) {
        self.preview = true;
        self.poll_due = true;
    }

    pub fn confirm_deletes(&mut self) {
        self.confirm = true;
    }

    /// The base rows are dropped, and with them what the engine remembers.
    pub fn resync(&mut self) {
        self.crash();
        self.table.bases.clear();
        self.ledger.forget_bases();
        self.initialised = false;
    }

    pub fn pause(&mut self, seconds: u32) {
        self.clock.0 += i64::from(seconds) * SECOND;
    }

    // ------------------------------------------------------------------------------------------------------------ driver

    /// The driver dies; what was committed and what Google has stays.
    pub fn crash(&mut self) {
        self.pending = Pending::Idle;
        self.cycle = None;
        self.engine = (self.maker)(self.table.mapping.clone());
    }

    /// Half a step: begin a cycle, carry out an effect, or report its outcome.
    pub fn step(&mut self) -> Verdict {
        match std::mem::replace(&mut self.pending, Pending::Idle) {
            Pending::Idle => match self.due() {
                Some(scope) => self.begin(scope),
                None => Ok(()),
            },
            Pending::Planned(effect) => {
                let outcome = self.carry_out(&effect)?;
                self.pending = Pending::Ready(outcome);
                Ok(())
            }
            Pending::Ready(outcome) => {
                let now = self.tick();
                let step = self.engine.resume(with_arrival(outcome, now), now);
                self.take(step)
            }
        }
    }

    fn due(&self) -> Option<Scope> {
        if !self.initialised {
            Some(Scope::Everything)
        } else if self.poll_due {
            Some(Scope::Full)
        } else {
            (!self.table.dirty.is_empty()).then_some(Scope::Dirty)
        }
    }

    pub fn begin(&mut self, scope: Scope) -> Verdict {
        let now = self.tick();
        let mut dirty: BTreeMap<Key, Timestamp> = BTreeMap::new();
        for (_, key, at) in &self.table.dirty {
            dirty.insert(key.clone(), *at);
        }
        let confirmed = std::mem::take(&mut self.confirm);
        let dry_run = std::mem::take(&mut self.preview);
        self.cycles += 1;
        self.poll_due = false;
        self.cycle = Some(Cycle {
            scope,
            dirty_upto: self.table.dirty.last().map_or(0, |(number, ..)| *number),
            confirmed,
            both_ways: self.ways == BOTH,
            dry_run,
            header_broken: false,
            rows_before: self.table.bases.len(),
            table_deletes: 0,
            sheet_deletes: 0,
            effects: 0,
            wrote: false,
        });
        let number = self.cycles;
        self.say(|| {
            format!(
                "cycle {number}: {scope:?}, dirty {:?}",
                dirty.keys().collect::<Vec<_>>()
            )
        });
        let step = self.engine.start(Start {
            scope,
            ways: std::mem::replace(&mut self.ways, BOTH),
            dirty: dirty
                .into_iter()
                .map(|(key, at)| DirtyKey {
                    key,
                    changed_at: Some(at),
                })
                .collect(),
            now,
            deletes_confirmed: confirmed,
            seed: u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            dry_run,
        });
        self.take(step)
    }

    fn take(&mut self, step: Step) -> Verdict {
        match step {
            Step::Do(effect) => {
                self.say(|| format!("  {effect:?}"));
                let cycle = self.cycle.as_mut().expect("a cycle is under way");
                cycle.effects += 1;
                if cycle.effects > ENDLESS {
                    return broken("a cycle does not end");
                }
                self.pending = Pending::Planned(effect);
                Ok(())
            }
            Step::Done(report) => self.end(report),
        }
    }

    fn end(&mut self, report: Report) -> Verdict {
        self.say(|| format!("  {report:?}"));
        let cycle = self.cycle.take().expect("a cycle was under way");
        let whole = cycle.both_ways && !cycle.dry_run;
        if cycle.dry_run && report.dirty_done {
            return broken("a preview says that the dirty keys are dealt with");
        }
        if report.dirty_done {
            self.table
                .dirty
                .retain(|(number, ..)| *number > cycle.dirty_upto);
        }
        if cycle.header_broken && report.stopped.is_none() {
            return broken("the header does not hold, and the cycle went on");
        }
        self.initialised |= cycle.scope == Scope::Everything && report.stopped.is_none() && whole;
        self.guarded = matches!(report.stopped, Some(Stopped::Guard { .. }));
        // The worker looks again by itself after a failure or a guard.
        self.poll_due |= report.again.is_some() || report.stopped.is_some();
        if report.again == Some(Again::Soon) {
            self.pause(1);
        }
        self.cycle = None;
        self.last_report = Some(report);
        Ok(())
    }

    fn author(&self) -> Author {
        Author::Engine {
            everything: self
                .cycle
                .as_ref()
                .is_some_and(|cycle| cycle.scope == Scope::Everything),
        }
    }

    fn carry_out(&mut self, effect: &Effect) -> Verdict<Outcome> {
        let now = self.tick();
        self.guards_hold(effect)?;
        let author = self.author();
        let outcome = match effect {
            Effect::Database(effect) => {
                let outcome = self.table.carry_out(effect, now)?;
                if let DatabaseEffect::Load { keys } = effect {
                    self.ledger.loaded(keys);
                }
                for (key, row) in std::mem::take(&mut self.table.merged) {
                    row.iter()
                        .enumerate()
                        .for_each(|(column, datum)| self.ledger.allow(&key, column, datum));
                }
                Outcome::Database(outcome)
            }
            Effect::Sheet(effect) => match self.tab.carry_out(effect, self.cycles, now)? {
                Some(outcome) => {
                    if let (SheetEffect::Read, Some(cycle)) = (effect, &mut self.cycle) {
                        cycle.header_broken |= cycle.rows_before > 0 && !self.tab.header_holds(now);
                        self.ledger.snapshot_taken(Sides {
                            table: &self.table,
                            tab: &self.tab,
                            now,
                        });
                    }
                    Outcome::Sheet(outcome)
                }
                None => Outcome::Failed(failure(Class::RetryNow, "stale_position", false)),
            },
        };
        match effect {
            // A column whose header a person renamed is not ours any more: the new one begins empty.
            Effect::Sheet(SheetEffect::WriteHeader { .. }) => self.book(Author::Person)?,
            _ => self.book(author)?,
        }
        Ok(outcome)
    }

    fn guards_hold(&mut self, effect: &Effect) -> Verdict {
        let Some(cycle) = &mut self.cycle else {
            return Ok(());
        };
        let applies = match effect {
            Effect::Database(DatabaseEffect::Commit(Commit { apply, .. })) => {
                cycle.table_deletes += apply
                    .iter()
                    .filter(|apply| matches!(apply.change, Change::Delete { .. }))
                    .count();
                !apply.is_empty()
            }
            Effect::Sheet(SheetEffect::Delete { rows, .. }) => {
                cycle.sheet_deletes += rows.len();
                true
            }
            Effect::Sheet(
                SheetEffect::Write { .. }
                | SheetEffect::Insert { .. }
                | SheetEffect::WriteHeader { .. },
            ) => true,
            _ => return Ok(()),
        };
        cycle.wrote = true;
        if cycle.dry_run {
            return broken(format!("a preview writes: {effect:?}"));
        }
        if applies && cycle.header_broken {
            return broken("the header does not hold, and something is written");
        }
        let most = cycle.table_deletes.max(cycle.sheet_deletes);
        let percent = most as f32 * 100.0 / cycle.rows_before.max(1) as f32;
        if !cycle.confirmed
            && most > usize::from(self.setup.max_delete_rows)
            && percent > f32::from(self.setup.max_delete_percent)
        {
            return broken(format!(
                "{most} of {} rows are deleted, and nobody confirmed it",
                cycle.rows_before
            ));
        }
        Ok(())
    }

    /// The effect under way meets a fault. Does nothing where none is under way.
    pub fn fault(&mut self, fault: Fault) -> Verdict {
        let effect = match std::mem::replace(&mut self.pending, Pending::Idle) {
            Pending::Planned(effect) => effect,
            other => {
                self.pending = other;
                return Ok(());
            }
        };
        let timeout = || Outcome::Failed(failure(Class::RetryLater, "timeout", true));
        let outcome = match (fault, &effect) {
            (Fault::Quota, Effect::Sheet(_)) => {
                Outcome::Failed(failure(Class::RetryLater, "quota", false))
            }
            (Fault::Refused, Effect::Sheet(_)) => {
                Outcome::Failed(failure(Class::RetryNow, "network", true))
            }
            (_, Effect::Database(_)) => {
                Outcome::Failed(failure(Class::RetryNow, "database", false))
            }
            (Fault::AnswerLost, _) => {
                self.carry_out(&effect)?;
                timeout()
            }
            (
                Fault::Late,
                Effect::Sheet(
                    batch @ (SheetEffect::Insert { .. }
                    | SheetEffect::Delete { .. }
                    | SheetEffect::Claim { .. }),
                ),
            ) => {
                self.late.push((batch.clone(), self.cycles));
                timeout()
            }
            (Fault::RequestLost | Fault::Late, _) => timeout(),
            (Fault::Partial { from, count }, Effect::Sheet(SheetEffect::Read)) => {
                self.partial_read(from, count)?
            }
            (Fault::Partial { .. }, _) => self.carry_out(&effect)?,
        };
        self.pending = Pending::Ready(outcome);
        Ok(())
    }

    /// Rows are missing from the answer. Not in a first merge: without a base nobody could know that they are.
    fn partial_read(&mut self, from: u8, count: u8) -> Verdict<Outcome> {
        let now = self.tick();
        let Some(SheetOutcome::Snapshot(mut snapshot)) =
            self.tab.carry_out(&SheetEffect::Read, self.cycles, now)?
        else {
            return broken("a read always has an answer");
        };
        let Some(cycle) = self
            .cycle
            .as_mut()
            .filter(|cycle| cycle.scope != Scope::Everything)
        else {
            return self.carry_out(&Effect::Sheet(SheetEffect::Read));
        };
        cycle.header_broken |= cycle.rows_before > 0 && !self.tab.header_holds(now);
        let first = self.tab.header() + 1;
        if snapshot.rows.len() > first {
            let from = first + usize::from(from) % (snapshot.rows.len() - first);
            let upto = (from + usize::from(count) + 1).min(snapshot.rows.len());
            snapshot.rows.drain(from..upto);
        }
        Ok(Outcome::Sheet(SheetOutcome::Snapshot(snapshot)))
    }

    /// A batch that was believed lost reaches Google.
    pub fn land(&mut self) -> Verdict {
        let Some((effect, cycle)) = self.late.pop() else {
            return Ok(());
        };
        let now = self.tick();
        self.say(|| format!("  late: {effect:?}"));
        self.tab.carry_out(&effect, cycle, now)?;
        self.book(Author::Engine { everything: false })
    }

    // ------------------------------------------------------------------------------------------------------------- quiet

    /// People stop, faults stop, and the worker goes on until nothing is left to do.
    pub fn settle(&mut self) -> Verdict {
        self.say(|| "quiet".into());
        while !self.late.is_empty() {
            self.land()?;
        }
        self.finish()?;
        (self.ways, self.preview) = (BOTH, false);
        self.edit_sheet(SheetEdit::MendHeader)?;
        self.run_until_still(true)?;
        // Problems are tried again now and then: give them a chance.
        self.pause(48 * 3600);
        self.poll();
        self.run_until_still(true)
    }

    /// The worker as it is: a guard waits for a person.
    pub fn sync(&mut self) -> Verdict {
        self.poll();
        self.run_until_still(false)
    }

    fn run_until_still(&mut self, confirming: bool) -> Verdict {
        for _ in 0..60 {
            self.pause(10);
            let before = self.fingerprint();
            let scope = match self.due() {
                Some(scope) => scope,
                None => Scope::Full,
            };
            if matches!(self.pending, Pending::Idle) {
                self.begin(scope)?;
            }
            self.finish()?;
            if self.guarded && !confirming {
                return Ok(());
            }
            self.confirm |= self.guarded;
            if scope != Scope::Dirty && self.due().is_none() && before == self.fingerprint() {
                return Ok(());
            }
        }
        broken("it does not come to rest")
    }

    pub fn planned(&self) -> Option<&Effect> {
        match &self.pending {
            Pending::Planned(effect) => Some(effect),
            _ => None,
        }
    }

    /// Half a step, of a cycle that begins now if none is under way.
    pub fn advance(&mut self) -> Verdict {
        match self.cycle {
            Some(_) => self.step(),
            None => self.begin(self.due().unwrap_or(Scope::Full)),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock
    }

    /// The cycle under way, to its end.
    pub fn finish(&mut self) -> Verdict {
        while self.cycle.is_some() {
            self.step()?;
        }
        Ok(())
    }

    fn fingerprint(&self) -> impl PartialEq + use<> {
        let lines = self.table.conflicts.iter();
        let lines: Vec<bool> = lines.map(|line| line.conflict.settled).collect();
        let problems = self.table.problems.iter();
        let mut places: Vec<String> = problems.map(|one| format!("{:?}", one.place)).collect();
        places.sort();
        let rows = self.tab.rows.iter();
        let cells: Vec<_> = rows.map(|row| (row.uid, row.cells.clone())).collect();
        (
            self.table.rows.clone(),
            self.table.bases.clone(),
            lines,
            places,
            cells,
        )
    }

    /// Nothing is lost, doubled or misplaced, both sides are equal, and nobody says anything any more.
    pub fn check_settled(&mut self) -> Verdict {
        let sides = Sides {
            table: &self.table,
            tab: &self.tab,
            now: self.clock,
        };
        settled::check(&self.setup, &self.ledger, sides)?;
        settled::problems_are_real(&self.ledger, sides)?;
        self.silent(Scope::Dirty)?;
        self.silent(Scope::Full)?;
        self.crash();
        self.silent(Scope::Full)
    }

    fn silent(&mut self, scope: Scope) -> Verdict {
        let before = self.fingerprint();
        self.begin(scope)?;
        if scope == Scope::Dirty && self.cycle.is_some() {
            return broken("a cycle without anything to do does something");
        }
        let mut wrote = false;
        while let Some(cycle) = &self.cycle {
            let problems = !self.table.problems.is_empty();
            if let Pending::Planned(effect @ Effect::Sheet(_)) = &self.pending
                && *effect != Effect::Sheet(SheetEffect::Read)
                && *effect != Effect::Sheet(SheetEffect::TidyAll)
            {
                return broken(format!(
                    "both sides are equal, and the sheet is written again: {effect:?}"
                ));
            }
            wrote |= cycle.wrote;
            if wrote && !problems {
                return broken("both sides are equal, and something is committed again");
            }
            self.step()?;
        }
        if before == self.fingerprint() {
            Ok(())
        } else {
            broken("both sides were equal, and something changed all the same")
        }
    }
}

fn failure(class: Class, reason: &str, may_have_applied: bool) -> Failure {
    Failure {
        class,
        reason: reason.into(),
        message: format!("the simulator says {reason}"),
        hint: String::new(),
        retry_after_ms: (reason == "quota").then_some(60_000),
        may_have_applied,
    }
}

/// An answer is whole when it arrives.
fn with_arrival(outcome: Outcome, now: Timestamp) -> Outcome {
    match outcome {
        Outcome::Sheet(SheetOutcome::Snapshot(mut snapshot)) => {
            snapshot.read_at = now;
            Outcome::Sheet(SheetOutcome::Snapshot(snapshot))
        }
        other => other,
    }
}

impl Tab {
    /// The header and the columns around it, as a person has set them up.
    fn lay_out(&mut self, layout: u8) {
        let mapped: Vec<ColumnUse> = (0..self.mapping.columns.len())
            .map(ColumnUse::Mapped)
            .collect();
        self.columns = match layout {
            0 => mapped,
            1 => [vec![ColumnUse::Other], mapped, vec![ColumnUse::Other; 2]].concat(),
            _ => {
                let mut reversed: Vec<ColumnUse> = mapped.into_iter().rev().collect();
                reversed.insert(1, ColumnUse::Other);
                reversed
            }
        };
        self.rows.clear();
        for above in 0..=self.header() {
            self.push_row();
            for column in 0..self.columns.len() {
                let text = match self.columns[column] {
                    ColumnUse::Mapped(mapped) => self.mapping.columns[mapped].header.clone(),
                    ColumnUse::Other => format!("Our column {column}"),
                };
                let title = above < self.header();
                self.rows[above].cells[column] =
                    Content::Value(Cell::Text(if title { "A title".into() } else { text }));
            }
        }
    }

    /// Fill what is not mapped: a note, and formulas that never hold still.
    fn scribble(&mut self, row: usize, note: u16) {
        let content = [
            Content::Value(Cell::Text(format!("note {note}"))),
            Content::Now,
            Content::Row,
        ];
        let others = self
            .columns
            .iter()
            .zip(&mut self.rows[row].cells)
            .filter(|(column, _)| **column == ColumnUse::Other);
        others
            .zip(content)
            .for_each(|((_, cell), content)| *cell = content);
    }
}
