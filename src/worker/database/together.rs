//! Many rows' changes, in an order that the table's constraints accept, and in transactions so
//! short that nobody waits long for a row that one of them holds.
//!
//! Each row is tried by itself first. Those that other rows stand in the way of (foreign keys,
//! unique and exclusion constraints) are tried again when a row has gone through that has a value
//! in common with them: a parent before its child, a deletion before the new row that takes its
//! number over, a list renumbered from its end. What is left then (values that rows swap) is tried
//! as a set, and what that leaves is row by row what the table refuses.

use engine::effect::{Applied, Apply, Change, Refusal};
use engine::value::{Key, Text};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::apply::{self, Hold, Tried};
use super::as_a_set;
use crate::postgres::statement::Session;
use crate::worker::mappings::Loaded;

/// A transaction that holds users' rows ends after this time, and another one goes on.
const SHORT: Duration = Duration::from_millis(30);
/// A value that more rows than this have in common does not tell who waits for whom.
const TELLING: usize = 16;
/// How often a row is tried again because of a value in common.
const TRIES: u32 = 8;
/// When this many rows have run into locks that only show inside their statements, the others wait
/// with them, to be the first next time.
const MOST_LOCKS: usize = 40;

pub struct Together<'a> {
    applies: &'a [Apply],
    applied: Vec<Option<Applied>>,
    /// The next one last.
    untried: Vec<usize>,
    waiting: BTreeSet<usize>,
    refusals: HashMap<usize, Refusal>,
    /// Of those that wait: which of them have a value.
    having: HashMap<Text, Vec<usize>>,
    /// Those that may go through by now.
    woken: Vec<usize>,
    tries: HashMap<usize, u32>,
    locks: usize,
    stage: Stage,
    /// This transaction holds rows of the table's, or a lock was met before: nobody is waited for.
    hurried: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    OneByOne,
    AsASet,
    Rest,
}

impl<'a> Together<'a> {
    /// The rows for which `last` answers more are tried later.
    pub fn new<Rank: Ord>(
        applies: &'a [Apply],
        last: impl Fn(&Key) -> Rank,
        hurried: bool,
    ) -> Self {
        let mut untried: Vec<usize> = (0..applies.len()).rev().collect();
        untried.sort_by_cached_key(|index| Reverse(last(&applies[*index].key)));
        Self {
            applies,
            applied: vec![None; applies.len()],
            untried,
            waiting: BTreeSet::new(),
            refusals: HashMap::new(),
            having: HashMap::new(),
            woken: Vec::new(),
            tries: HashMap::new(),
            locks: 0,
            stage: Stage::OneByOne,
            hurried,
        }
    }

    pub fn is_over(&self) -> bool {
        self.applied.iter().all(Option::is_some)
    }

    /// What became of each, in the order of the changes.
    pub fn applied(self) -> Vec<Applied> {
        let unknown = || Applied::Stale;
        self.applied
            .into_iter()
            .map(|one| one.unwrap_or_else(unknown))
            .collect()
    }

    pub fn outcome(&self, index: usize) -> Option<&Applied> {
        self.applied.get(index).and_then(Option::as_ref)
    }

    /// What one transaction does of all this; answers which changes were dealt with.
    pub fn go_on(&mut self, session: &mut Session, mapping: &Loaded) -> Vec<usize> {
        let mut dealt_with = Vec::new();
        if self.is_over() {
            return dealt_with;
        }
        let began = Instant::now();
        let met_locks = self.hurried;
        if met_locks {
            session.wait_for_no_lock();
        }
        // Deferrable constraints are checked row by row, too.
        as_a_set::constraints(session, mapping, "IMMEDIATE");
        let mut steps = 0;
        // Each transaction goes on by a step at least; a set is not begun twice.
        while steps == 0
            || began.elapsed() < SHORT
            || dealt_with.is_empty() && self.stage != Stage::OneByOne
        {
            steps += 1;
            match self.stage {
                Stage::OneByOne => match self.woken.pop().or_else(|| self.untried.pop()) {
                    Some(index) => dealt_with.extend(self.try_one(session, mapping, index)),
                    None if self.waiting.is_empty() => break,
                    None => {
                        self.stage = Stage::AsASet;
                        // The set is tried in a transaction that holds no rows yet.
                        if !dealt_with.is_empty() {
                            break;
                        }
                    }
                },
                Stage::AsASet => {
                    self.stage = Stage::Rest;
                    self.hurry(session);
                    dealt_with.extend(self.try_the_set(session, mapping));
                    if !dealt_with.is_empty() {
                        break;
                    }
                }
                Stage::Rest => match self.waiting.pop_first() {
                    Some(index) => {
                        self.hurry(session);
                        let applied = self.alone(session, mapping, index);
                        if apply::takes_long(&applied) {
                            self.locks = MOST_LOCKS + 1;
                        }
                        self.applied[index] = Some(applied);
                        dealt_with.push(index);
                    }
                    None => break,
                },
            }
        }
        self.hurried = met_locks || self.locks > 0;
        dealt_with
    }

    fn hurry(&mut self, session: &mut Session) {
        if !self.hurried {
            self.hurried = true;
            session.wait_for_no_lock();
        }
    }

    fn hold(&self) -> Hold {
        match self.hurried {
            true => Hold::AtOnce,
            false => Hold::Patiently,
        }
    }

    fn try_one(&mut self, session: &mut Session, mapping: &Loaded, index: usize) -> Option<usize> {
        let apply = &self.applies[index];
        if self.locks > MOST_LOCKS {
            self.waiting.remove(&index);
            self.applied[index] = Some(Applied::Locked);
            return Some(index);
        }
        let began = Instant::now();
        let tried = apply::try_whole(session, mapping, apply, self.hold());
        self.hurry(session);
        match tried {
            Tried::Over(applied) => {
                // What is locked as a row is known at once; the other locks cost a moment each.
                let cost = began.elapsed() > Duration::from_millis(1);
                if applied == Applied::Locked && cost {
                    self.locks += 1;
                }
                // Each of the others might take as long: they wait, as for locks.
                if apply::takes_long(&applied) {
                    self.locks = MOST_LOCKS + 1;
                }
                let moved = matches!(applied, Applied::Done { .. } | Applied::Kept { .. });
                self.waiting.remove(&index);
                self.applied[index] = Some(applied);
                if moved {
                    self.wake(index);
                }
                Some(index)
            }
            Tried::Waits(refusal) => {
                self.refusals.insert(index, refusal);
                if self.waiting.insert(index) {
                    for text in texts(apply) {
                        self.having.entry(text.clone()).or_default().push(index);
                    }
                }
                None
            }
        }
    }

    /// This row has gone through: those that wait and have a value in common with it may follow.
    fn wake(&mut self, index: usize) {
        for text in texts(&self.applies[index]) {
            let alike = self.having.get(text).map_or(&[][..], Vec::as_slice);
            if alike.len() > TELLING {
                continue;
            }
            for other in alike.iter().filter(|other| self.waiting.contains(*other)) {
                let tries = self.tries.entry(*other).or_default();
                if *tries < TRIES && !self.woken.contains(other) {
                    *tries += 1;
                    self.woken.push(*other);
                }
            }
        }
    }

    fn try_the_set(&mut self, session: &mut Session, mapping: &Loaded) -> Vec<usize> {
        let members: Vec<(usize, &Apply, &Refusal)> = self
            .waiting
            .iter()
            .filter_map(|index| Some((*index, &self.applies[*index], self.refusals.get(index)?)))
            .collect();
        let done = as_a_set::apply(session, mapping, &members);
        let mut dealt_with = Vec::new();
        for (index, applied) in done {
            self.waiting.remove(&index);
            self.applied[index] = Some(applied);
            dealt_with.push(index);
        }
        dealt_with
    }

    /// What the table takes of one row. Where it has a value in common with a row that is locked,
    /// it waits with that one.
    fn alone(&self, session: &mut Session, mapping: &Loaded, index: usize) -> Applied {
        let apply = &self.applies[index];
        if self.locks > MOST_LOCKS {
            return Applied::Locked;
        }
        let own: HashSet<&Text> = texts(apply).collect();
        let locked = self.applied.iter().zip(self.applies);
        let mut locked = locked.filter(|(applied, _)| **applied == Some(Applied::Locked));
        if locked.any(|(_, other)| texts(other).any(|text| own.contains(text))) {
            return Applied::Locked;
        }
        apply::apply(session, mapping, apply, self.hold())
    }
}

/// Every value by which rows may stand in each other's way: before the change, and after it.
fn texts(apply: &Apply) -> impl Iterator<Item = &Text> {
    let (values, expected) = match &apply.change {
        Change::Insert { values } => (values.as_slice(), [].as_slice()),
        Change::Update { values, expected } | Change::Enter { values, expected } => {
            (values.as_slice(), expected.as_slice())
        }
        Change::Delete { expected } => ([].as_slice(), expected.as_slice()),
    };
    let values = values.iter().filter_map(|(_, value)| value.as_ref());
    values.chain(expected.iter().flatten()).chain(&apply.key.0)
}
