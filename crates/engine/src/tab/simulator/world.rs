//! The driver: it carries requests out, half of one at a time, and lets everything happen in
//! between. What happens is thrown by dice from one seed.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::super::TabMemory;
use super::ledger::Ledger;
use super::people;
use super::sheet::{Answer, Client, Rules, Sent, Sheet};
use super::writer::{Bug, End, START, Stored, Todo, Writer, session};
use crate::effect::{
    Announcement, Class, DatabaseEffect, DatabaseOutcome, Effect, Failure, Outcome, Reason,
    SheetEffect,
};
use crate::io::Io;
use crate::mapping::{Column, Kind, Mapping, Side};
use crate::value::Timestamp;

/// How often a request is planned anew because rows moved.
const LOOKUPS: usize = 4;

/// Sessions after which everything has to be at rest, once nobody disturbs it.
const SESSIONS_TO_REST: usize = 20;

type Running = Pin<Box<dyn Future<Output = (Option<End>, TabMemory)>>>;

/// A request on its way.
enum Step {
    Idle,
    Asked(Effect),
    Sent(Sent, usize),
}

struct Process {
    writer: Writer,
    kept: TabMemory,
    client: Client,
    running: Option<Running>,
    step: Step,
    ended: Option<End>,
}

pub struct World {
    pub sheet: Sheet,
    ledger: Rc<RefCell<Ledger>>,
    processes: Vec<Process>,
    late: Vec<Sent>,
    dice: fastrand::Rng,
    moment: i64,
    /// Answers are lost and processes end.
    faulty: bool,
    bug: Option<Bug>,
    pub trace: Option<Vec<String>>,
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Nothing is done, and the answer says so.
    Refused,
    /// It is carried out, and the answer lost.
    AnswerLost,
    /// It is given up, and carried out later.
    Late,
}

/// One schedule. What broke, if anything.
pub fn play(seed: u64, bug: Option<Bug>, traced: bool) -> (Option<String>, Vec<String>) {
    let mut world = World::new(seed, bug, traced);
    let steps = world.dice.usize(40..220);
    for _ in 0..steps {
        world.step();
        if world.is_broken() {
            break;
        }
    }
    if !world.is_broken() {
        world.rest();
    }
    let broken = world.ledger.borrow().broken.clone();
    (broken, world.trace.unwrap_or_default())
}

impl World {
    fn new(seed: u64, bug: Option<Bug>, traced: bool) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let rules = Rules {
            stamps_are_unchecked: bug == Some(Bug::StampUnchecked),
            copies_leave_out_hidden: dice.u8(0..4) == 0,
        };
        let writers = match dice.u8(0..5) {
            0 => 2,
            _ => 1,
        };
        let mapping = Rc::new(mapping(if dice.bool() { 1 } else { 3 }));
        let mut ledger = Ledger::default();
        ledger.shared = writers > 1;
        let ledger = Rc::new(RefCell::new(ledger));
        let mut world = Self {
            sheet: Sheet::new(rules),
            ledger: ledger.clone(),
            processes: Vec::new(),
            late: Vec::new(),
            faulty: writers == 1,
            dice,
            moment: START.0,
            bug,
            trace: traced.then(Vec::new),
        };
        for _ in 0..world.dice.usize(3..12) {
            let at = world.sheet.rows.len();
            let uid = world.sheet.insert_row(at).uid;
            for column in 0..3 {
                let mut ledger = ledger.borrow_mut();
                let cell = ledger.token('p');
                ledger.note_typed(uid, column, &cell);
                world.sheet.rows[at].cells[column] = cell;
            }
        }
        for number in 0..writers {
            let writer = Writer {
                number,
                io: Io::default(),
                mapping: mapping.clone(),
                stored: Rc::new(RefCell::new(Stored::default())),
                ledger: ledger.clone(),
                bug,
                cold: true,
                seed: 0,
            };
            world.processes.push(Process {
                writer,
                kept: TabMemory::default(),
                client: Client::default(),
                running: None,
                step: Step::Idle,
                ended: None,
            });
        }
        world
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    fn is_broken(&self) -> bool {
        self.ledger.borrow().broken.is_some()
    }

    fn step(&mut self) {
        match self.dice.u8(0..100) {
            0..30 => {
                let mut ledger = self.ledger.borrow_mut();
                let did = people::act(&mut self.sheet, &mut ledger, &mut self.dice);
                drop(ledger);
                self.say(|| did);
            }
            30..33 if self.faulty => self.crash(),
            33..38 => self.land_one(),
            _ => {
                let number = self.dice.usize(0..self.processes.len());
                let fault = match self.dice.u8(0..100) {
                    0..7 => Fault::Refused,
                    7..14 if self.faulty => Fault::AnswerLost,
                    14..21 if self.faulty => Fault::Late,
                    _ => Fault::None,
                };
                self.advance(number, fault, None);
            }
        }
    }

    fn todo(&mut self) -> Todo {
        let from = self.dice.usize(0..16);
        match self.dice.u8(0..12) {
            0 => Todo::Nothing,
            1..=4 => Todo::Write {
                from,
                rows: self.dice.usize(1..4),
                reads: self.dice.bool(),
            },
            5..=6 => Todo::Write {
                from: self.dice.usize(0..3),
                rows: self.dice.usize(4..10),
                reads: true,
            },
            7 => Todo::WriteOneByOne {
                from,
                batches: self.dice.usize(2..5),
            },
            8..=9 => Todo::Insert {
                rows: self.dice.usize(1..3),
            },
            _ => Todo::Delete {
                from,
                rows: self.dice.usize(1..3),
            },
        }
    }

    /// This process goes on by half a request.
    fn advance(&mut self, number: usize, fault: Fault, todo: Option<Todo>) {
        self.moment += 1_000;
        let now = Timestamp(self.moment);
        if self.processes[number].running.is_none() {
            let todo = todo.unwrap_or_else(|| self.todo());
            self.say(|| format!("writer {number} begins: {todo:?}"));
            let seed = self.dice.u64(..);
            let process = &mut self.processes[number];
            process.writer.io = Io::default();
            process.writer.io.set_now(now);
            process.writer.seed = seed;
            let kept = std::mem::take(&mut process.kept);
            process.running = Some(Box::pin(session(process.writer.clone(), kept, todo)));
            process.writer.cold = false;
            self.poll(number);
            return;
        }
        let step = std::mem::replace(&mut self.processes[number].step, Step::Idle);
        match step {
            Step::Idle => {}
            Step::Asked(Effect::Database(effect)) => self.store(number, &effect, fault),
            Step::Asked(Effect::Sheet(effect)) => self.leave(number, effect, 0),
            Step::Sent(sent, lookups) => self.arrive(number, sent, lookups, fault),
        }
    }

    fn poll(&mut self, number: usize) {
        let process = &mut self.processes[number];
        let Some(running) = &mut process.running else {
            return;
        };
        match running
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready((end, kept)) => {
                process.running = None;
                process.kept = kept;
                process.ended = end;
                self.say(|| format!("writer {number} ends: {end:?}"));
            }
            Poll::Pending => {
                let effect = process.writer.io.take_effect();
                process.step = Step::Asked(effect.expect("it waits for an answer"));
            }
        }
    }

    fn answer(&mut self, number: usize, outcome: Outcome) {
        self.say(|| format!("  writer {number} is answered: {outcome:?}"));
        let io = &self.processes[number].writer.io;
        io.answer(outcome, Timestamp(self.moment));
        self.poll(number);
    }

    fn store(&mut self, number: usize, effect: &DatabaseEffect, fault: Fault) {
        let DatabaseEffect::Commit(commit) = effect else {
            panic!("the writer asks for {effect:?}");
        };
        self.say(|| format!("  writer {number} stores {:?}: {fault:?}", commit.writing));
        if fault == Fault::Refused {
            let failure = failure(Class::RetryLater, Reason::Database, false);
            self.answer(number, Outcome::Failed(Side::Database, failure));
            return;
        }
        let stored = self.processes[number].writer.stored.clone();
        match &commit.writing {
            Some(Announcement::Begins(stamp)) if self.bug != Some(Bug::AnnouncementNotStored) => {
                stored.borrow_mut().announced.push(stamp.clone());
            }
            Some(Announcement::Over) => {
                stored.borrow_mut().announced.clear();
                self.ledger.borrow_mut().note_over(number);
            }
            _ => {}
        }
        let committed = DatabaseOutcome::Committed(Vec::new());
        self.answer(number, Outcome::Database(committed));
    }

    /// The request leaves, and names rows as they stand in this moment as far as its client knows.
    fn leave(&mut self, number: usize, effect: SheetEffect, lookups: usize) {
        self.say(|| format!("  writer {number} sends {effect:?}"));
        let client = &self.processes[number].client;
        match self.sheet.prepare(&effect, number, client, lookups > 0) {
            Ok(sent) => self.processes[number].step = Step::Sent(sent, lookups),
            Err(outcome) => self.answer(number, Outcome::Sheet(outcome)),
        }
    }

    fn arrive(&mut self, number: usize, sent: Sent, lookups: usize, fault: Fault) {
        let passing = match self.dice.bool() {
            true => Class::RetryNow,
            false => Class::RetryLater,
        };
        self.say(|| format!("  it arrives: {fault:?}"));
        let failed = match fault {
            Fault::Refused => failure(passing, Reason::Network, false),
            Fault::AnswerLost => {
                // The client learns nothing of it.
                let seen = self.ledger.borrow().seen.clone();
                let mut client = self.processes[number].client.clone();
                self.sheet
                    .carry_out(&sent, &mut client, &mut self.ledger.borrow_mut());
                self.ledger.borrow_mut().seen = seen;
                failure(passing, Reason::Timeout, true)
            }
            Fault::Late => {
                self.late.push(sent);
                failure(passing, Reason::Timeout, true)
            }
            Fault::None => {
                let client = &mut self.processes[number].client;
                let mut ledger = self.ledger.borrow_mut();
                let answer = self.sheet.carry_out(&sent, client, &mut ledger);
                drop(ledger);
                match answer {
                    Answer::Outcome(outcome) => {
                        self.answer(number, Outcome::Sheet(outcome));
                        return;
                    }
                    Answer::Moved if lookups < LOOKUPS && !sent.has_bare_rows() => {
                        self.leave(number, sent.effect, lookups + 1);
                        return;
                    }
                    Answer::Moved | Answer::BeyondTheGrid => {
                        failure(Class::RetryNow, Reason::StalePosition, false)
                    }
                }
            }
        };
        self.answer(number, Outcome::Failed(Side::Sheet, failed));
    }

    /// A request that was given up is carried out.
    fn land_one(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.dice.usize(0..self.late.len());
        let sent = self.late.swap_remove(at);
        self.land(sent);
    }

    fn land(&mut self, sent: Sent) {
        self.say(|| format!("  late: {sent:?}"));
        let mut ledger = self.ledger.borrow_mut();
        let seen = ledger.seen.clone();
        let mut client = self.processes[sent.writer].client.clone();
        let anchors: Vec<_> = self.sheet.anchors.keys().copied().collect();
        // What it hits was seen when it was sent.
        self.sheet.carry_out(&sent, &mut client, &mut ledger);
        ledger.seen = seen;
        let new = self.sheet.anchors.keys().filter(|id| !anchors.contains(id));
        ledger.strays.extend(new.copied());
    }

    fn crash(&mut self) {
        self.say(|| "the process ends, and another one begins".to_owned());
        let process = &mut self.processes[0];
        process.running = None;
        process.step = Step::Idle;
        process.kept = TabMemory::default();
        process.client = Client::default();
        process.writer.cold = true;
        self.ledger.borrow_mut().note_forgotten();
    }

    /// People and faults rest. What was given up arrives before, or after.
    fn rest(&mut self) {
        self.say(|| "everybody rests".to_owned());
        if self.faulty && self.dice.bool() {
            self.crash();
        }
        while self.dice.bool() && !self.late.is_empty() {
            self.land_one();
        }
        for number in 0..self.processes.len() {
            self.finish(number, Todo::Nothing);
        }
        for sent in std::mem::take(&mut self.late) {
            self.land(sent);
        }
        let mut ledger = self.ledger.borrow_mut();
        ledger.settle(&self.sheet);
        drop(ledger);
        if self.faulty && !self.is_broken() {
            self.require_tidiness();
        }
    }

    /// Sessions until there is nothing more to do.
    fn finish(&mut self, number: usize, todo: Todo) {
        for _ in 0..SESSIONS_TO_REST {
            self.processes[number].ended = None;
            loop {
                self.advance(number, Fault::None, Some(todo.clone()));
                if self.processes[number].running.is_none() || self.is_broken() {
                    break;
                }
            }
            let is_done = match todo {
                Todo::Nothing => self.processes[number].ended == Some(End::Rest),
                _ => self.processes[number].ended.is_some(),
            };
            if is_done || self.is_broken() {
                break;
            }
        }
        let process = &self.processes[number];
        let kept = &process.kept;
        let open = !kept.lost.is_empty() || !kept.unread.is_empty() || !kept.debts.is_empty();
        let announced = !process.writer.stored.borrow().announced.is_empty();
        let announced = announced && self.bug != Some(Bug::AnnouncementNotStored);
        let what = match (process.ended, open, announced) {
            (None, ..) => "the writer comes to no rest",
            (_, true, _) => "at rest a batch is lost or unread, or something is owed",
            (_, _, true) => "at rest batches are announced and not over",
            _ => return,
        };
        self.ledger
            .borrow_mut()
            .broken
            .get_or_insert(what.to_owned());
    }

    /// After one more write no anchors stand but those that it left on its row, the header and the
    /// last row.
    fn require_tidiness(&mut self) {
        let todo = Todo::Write {
            from: 0,
            rows: 1,
            reads: true,
        };
        self.finish(0, todo);
        let ledger = self.ledger.borrow();
        let anchors = self.sheet.anchors.keys();
        let left: Vec<_> = anchors.filter(|id| !ledger.strays.contains(id)).collect();
        let broken = (left.len() > 3).then(|| format!("anchors are left in the tab: {left:?}"));
        drop(ledger);
        if let Some(broken) = broken {
            self.ledger.borrow_mut().broken.get_or_insert(broken);
        }
    }
}

fn failure(class: Class, reason: Reason, may_have_applied: bool) -> Failure {
    Failure {
        class,
        message: format!("the simulator says {reason}"),
        reason,
        hint: String::new(),
        retry_after_ms: None,
        may_have_applied,
    }
}

fn mapping(anchors_apart: u32) -> Mapping {
    let columns = ["id", "a", "b"].map(|name| Column::new(name, Kind::Text));
    Mapping {
        max_delete_percent: 100.0,
        max_delete_rows: u32::MAX,
        notes_on_problems: false,
        anchors_apart,
        ..Mapping::new(columns.into())
    }
}
