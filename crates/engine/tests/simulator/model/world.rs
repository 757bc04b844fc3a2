//! A driver like the extension's worker, in slow motion: every effect is planned, carried out and
//! reported in separate steps, and anything may happen in between.

mod faults;
mod guards;
pub mod pair;
mod quiet;
mod standby;
mod tabs;

use super::database::{DriverBugs, Table, TableEdit};
use super::ledger::{Author, Ledger, Sides};
use super::setup::{Setup, Value, row_of};
use super::sheet::{ColumnUse, Rules, SheetEdit, Tab};
use super::{Verdict, broken};
use engine::cycle::Machine;
use engine::effect::Reason;
use engine::effect::{
    Again, Apply, Class, Commit, Conflict, DatabaseEffect, Decision, DirtyKey, Effect, Outcome,
    Question, Refusal, Report, Scope, SheetEffect, SheetOutcome, Start, Step, Stopped, Ways,
    Winner,
};
use engine::mapping::{Kind, Mapping, Side};
use engine::value::{Key, Timestamp};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub use faults::Fault;
use faults::failure;
use tabs::Tabs;

/// What the driver talks to: the engine, or the engine behind a deliberate bug.
pub trait Engine {
    fn start(&mut self, start: Start) -> Step;
    fn resume(&mut self, outcome: Outcome, now: Timestamp) -> Step;
    fn mark_headers_known(&mut self);
    fn typed(&self) -> HashSet<Key>;
}

impl Engine for Machine {
    fn start(&mut self, start: Start) -> Step {
        Machine::start(self, start)
    }

    fn resume(&mut self, outcome: Outcome, now: Timestamp) -> Step {
        Machine::resume(self, outcome, now)
    }

    fn mark_headers_known(&mut self) {
        Machine::mark_headers_known(self);
    }

    fn typed(&self) -> HashSet<Key> {
        Machine::typed(self)
    }
}

pub type Maker = fn(Mapping) -> Box<dyn Engine>;

pub fn genuine(mapping: Mapping) -> Box<dyn Engine> {
    Box::new(Machine::new(mapping))
}

/// How far the effect under way is.
#[derive(Default)]
enum Pending {
    #[default]
    Idle,
    Planned(Effect),
    Ready(Outcome),
}

struct Cycle {
    scope: Scope,
    dirty_upto: u64,
    confirmed: bool,
    /// The engine was told that the header has been seen.
    header_known: bool,
    both_ways: bool,
    /// Nothing may be changed.
    dry_run: bool,
    /// Nobody has done anything since it began.
    calm: bool,
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
    header_known: bool,
    poll_due: bool,
    ways: Ways,
    preview: bool,
    /// What the last guard asked, and what a person allowed.
    asked: Option<Question>,
    confirm: Option<Question>,
    /// When a reading can confirm what the last one missed.
    confirm_from: Option<Timestamp>,
    guarded: bool,
    late: Vec<Late>,
    /// Requests so far that showed the engine how the sheet stands.
    looks: u32,
    /// What the last good reading of this driver showed, under which columns, and whether one that
    /// was not good came after it.
    last_read: Option<(Vec<Box<RawValue>>, Vec<ColumnUse>)>,
    unsound: bool,
    /// Another cluster writes to the sheet too: whose doing it is cannot be told any more.
    shared: bool,
    /// Of a table that has two tabs.
    tabs: Option<Tabs>,
    pub last_report: Option<Report>,
    /// What happened, line by line, where somebody wants to read it.
    pub trace: Option<Vec<String>>,
}

/// A request that was given up and is still on its way.
struct Late {
    effect: SheetEffect,
    cycle: u32,
    /// Looks before it was given up.
    looks: u32,
}

const BOTH: Ways = Ways {
    push: true,
    pull: true,
};

const SECOND: i64 = 1_000_000;

const CONFIRM_AFTER_MS: u64 = 3_000;

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
            header_known: false,
            poll_due: false,
            ways: BOTH,
            preview: false,
            asked: None,
            confirm: None,
            confirm_from: None,
            guarded: false,
            late: Vec::new(),
            looks: 0,
            last_read: None,
            unsound: false,
            shared: false,
            tabs: None,
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
        self.table.forget_dirty(self.table.last_dirty());
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
        if let Some(cycle) = &mut self.cycle {
            cycle.calm &= author != Author::Person;
        }
        self.ledger.calm = self.cycle.as_ref().is_some_and(|cycle| cycle.calm);
        let sides = Sides {
            table: &self.table,
            tab: &self.tab,
            now: self.clock,
        };
        let verdict = match self.shared {
            true => Ok(()),
            false => self.ledger.book(author, sides),
        };
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
            SheetEdit::InsertColumn { .. } | SheetEdit::MoveColumn { .. } | SheetEdit::Array { .. }
        );
        let reaches_others = matches!(
            edit,
            SheetEdit::Move { .. } | SheetEdit::Sort { .. } | SheetEdit::Duplicate { .. }
        ) && self.tab.has_arrays();
        // Between a look and a write nothing protects against moved columns: the sheet has no
        // anchor for a cell. Nor does anything tell a cell that a formula has begun to fill.
        if (structural || reaches_others) && (self.cycle.is_some() || !self.late.is_empty()) {
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

    /// Somebody's transaction begins to hold a row, or all of them end.
    pub fn lock(&mut self, row: u8) {
        self.table.lock(row);
    }

    pub fn unlock(&mut self) {
        self.table.locked.clear();
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
        self.confirm = self.asked;
    }

    /// The base rows are dropped, and with them what the engine remembers. What is under way to
    /// Google arrives before that: the stamps that would refuse it stand in the base rows.
    pub fn resync(&mut self) -> Verdict {
        self.crash();
        self.arrive()?;
        self.table.bases.clear();
        self.ledger.forget_bases();
        self.initialised = false;
        Ok(())
    }

    pub fn pause(&mut self, seconds: u32) {
        self.clock.0 += i64::from(seconds) * SECOND;
    }

    // ------------------------------------------------------------------------------------------------------------ driver

    /// The driver dies in the middle of a commit: some of its changes have been made, in
    /// transactions of their own.
    pub fn die_halfway(&mut self) -> Verdict {
        let Pending::Planned(Effect::Database(DatabaseEffect::Commit(commit))) = &self.pending
        else {
            return Ok(());
        };
        let mut part = Commit::clone(commit);
        part.apply.truncate(commit.apply.len() / 2);
        let made = |conflict: &Conflict| {
            let is_of = |apply: &Apply| apply.key == conflict.key;
            part.apply.iter().any(is_of) || !commit.apply.iter().any(is_of)
        };
        let conflicts = commit.conflicts.iter().filter(|one| made(one)).cloned();
        part.conflicts = conflicts.collect();
        if !part.apply.is_empty() {
            self.carry_out(&Effect::Database(DatabaseEffect::Commit(Arc::new(part))))?;
        }
        Ok(())
    }

    /// The driver dies; what was committed and what Google has stays.
    pub fn crash(&mut self) {
        self.pending = Pending::Idle;
        self.cycle = None;
        self.last_read = None;
        self.header_known = self
            .table
            .mapping
            .columns
            .iter()
            .all(|column| column.header_known);
        self.engine = (self.maker)(self.table.mapping.clone());
        self.tab.forget_shown();
        self.ledger.restarted(&self.table);
    }

    /// Half a step: begin a cycle, carry out an effect, or report its outcome.
    pub fn step(&mut self) -> Verdict {
        if self.cycle.is_none() {
            return self.due().map_or(Ok(()), |scope| self.begin(scope));
        }
        match std::mem::take(&mut self.pending) {
            Pending::Idle => broken("a cycle is under way, and it waits for nothing"),
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
        } else if !self.table.dirty.is_empty() {
            Some(Scope::Dirty)
        } else {
            self.confirm_from.map(|_| Scope::Full)
        }
    }

    pub fn begin(&mut self, scope: Scope) -> Verdict {
        self.tick();
        let mut dirty: BTreeMap<Key, Timestamp> = BTreeMap::new();
        for (_, key, at) in &self.table.dirty {
            dirty.insert(key.clone(), *at);
        }
        let confirmed = std::mem::take(&mut self.confirm);
        let dry_run = std::mem::take(&mut self.preview);
        self.cycles += 1;
        self.poll_due = false;
        if scope != Scope::Dirty
            && let Some(from) = self.confirm_from.take()
        {
            self.clock = self.clock.max(from);
        }
        let now = self.tick();
        self.cycle = Some(Cycle {
            scope,
            dirty_upto: self.table.last_dirty(),
            confirmed: confirmed.is_some(),
            header_known: self.header_known,
            both_ways: self.ways == BOTH,
            dry_run,
            calm: scope != Scope::Everything,
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
            truncated: false,
            other_tabs: self.tabs.is_some(),
            confirmed,
            confirm_after_ms: CONFIRM_AFTER_MS,
            insists: number.is_multiple_of(5),
            relatives_changed: number.is_multiple_of(7) && scope != Scope::Dirty,
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

    fn end(&mut self, mut report: Report) -> Verdict {
        self.say(|| format!("  {report:?}"));
        let cycle = self.cycle.take().expect("a cycle was under way");
        if !cycle.dry_run {
            self.tell_other_tab(&mut report);
        }
        let whole = cycle.both_ways && !cycle.dry_run;
        if cycle.dry_run && report.dirty_done {
            return broken("a preview says that the dirty keys are dealt with");
        }
        if report.dirty_done {
            self.table.forget_dirty(cycle.dirty_upto);
        }
        if cycle.header_broken && report.stopped.is_none() {
            return broken("the header does not hold, and the cycle went on");
        }
        let ended = report.stopped.is_none() && report.again.is_none();
        self.initialised |= cycle.scope == Scope::Everything && ended && whole;
        if ended && cycle.scope != Scope::Dirty && !cycle.dry_run {
            let columns = self.table.mapping.columns.iter_mut();
            columns.for_each(|column| column.header_known = true);
            self.engine.mark_headers_known();
            self.header_known = true;
        }
        self.guarded = matches!(report.stopped, Some(Stopped::Guard { .. }));
        // The worker looks again by itself after a failure or a guard.
        self.poll_due |= report.stopped.is_some() || report.locked;
        match report.again {
            None => {}
            Some(Again::Now) => self.poll_due = true,
            Some(Again::Soon) => {
                self.poll_due = true;
                self.pause(1);
            }
            Some(Again::Confirm(from)) => {
                self.confirm_from = Some(from);
                self.poll_due |= !report.dirty_done;
            }
            Some(Again::Hold(from)) => {
                self.confirm_from = Some(from);
                self.poll_due = true;
            }
        }
        self.asked = match &report.stopped {
            Some(Stopped::Guard { question, .. }) => *question,
            _ => None,
        };
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
        self.may_be_done(effect)?;
        let standing = self.standing(effect);
        let author = self.author();
        let outcome = match effect {
            Effect::Database(effect) => {
                let outcome = match effect {
                    DatabaseEffect::AskOtherTabs { keys } => self.ask_other_tab(keys),
                    _ => self.table.carry_out(effect, now)?,
                };
                match effect {
                    DatabaseEffect::Load { keys } => {
                        let keys = &keys[..self.table.at_a_time(keys)];
                        self.ledger.loaded(keys, &self.table);
                    }
                    DatabaseEffect::Commit(commit) => {
                        for (column, text) in &commit.headers {
                            self.tab.mapping.columns[*column].header.clone_from(text);
                        }
                    }
                    _ => {}
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
                    let looked = matches!(
                        effect,
                        SheetEffect::Read
                            | SheetEffect::Formulas
                            | SheetEffect::Notes
                            | SheetEffect::ReadRows { .. }
                            | SheetEffect::Look { .. }
                            | SheetEffect::Tag { .. }
                    );
                    self.looks += u32::from(looked);
                    if let SheetOutcome::Snapshot(snapshot) = &outcome {
                        self.last_read = Some((snapshot.rows.clone(), self.tab.columns.clone()));
                        self.unsound = false;
                    }
                    if let (SheetEffect::Read, Some(cycle)) = (effect, &mut self.cycle) {
                        cycle.header_broken = cycle.header_known && !self.tab.header_holds(now);
                        self.ledger.snapshot_taken(Sides {
                            table: &self.table,
                            tab: &self.tab,
                            now,
                        });
                    }
                    Outcome::Sheet(outcome)
                }
                None => {
                    let failure = failure(Class::RetryNow, Reason::StalePosition, false);
                    Outcome::Failed(Side::Sheet, failure)
                }
            },
        };
        if let Some(before) = standing {
            self.mass_deletes_were_confirmed(effect, before)?;
        }
        match effect {
            // A column whose header a person renamed is not ours any more: the new one begins
            // empty.
            Effect::Sheet(SheetEffect::WriteHeader { .. }) => self.book(Author::Person)?,
            _ => self.book(author)?,
        }
        Ok(outcome)
    }
}

fn side_of(effect: &Effect) -> Side {
    match effect {
        Effect::Database(_) => Side::Database,
        Effect::Sheet(_) => Side::Sheet,
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
