//! Rows that wait for rows of another table, or of another tab of the same table: a child for its
//! parent, a deletion for that of what refers to it. They are tried again when something has
//! changed there, whoever changed it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::{Job, Runner, Running};
use crate::shared::Answer as RequestAnswer;
use crate::worker::states;

/// How long a call waits for the tabs of related tables to be read.
const PATIENCE: Duration = Duration::from_secs(15);
/// Where changes of related tables do not help, the next of them are looked at after a pause, at
/// most that long.
const LONGEST_REST: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Relatives {
    /// Something has changed in this mapping's table.
    pub news: bool,
    /// Readings whose cycle came to its end.
    pub readings: u64,
    /// The tables for whose rows some of ours wait.
    awaited: HashSet<u32>,
    changed: bool,
    /// When that was last taken for a reason to try again, and how often in vain.
    tried: Option<Instant>,
    in_vain: u32,
    /// A call waits for the readings of related tabs: since when, and which reading of each it
    /// needs.
    asked: Option<Asked>,
    /// It has done so already.
    has_asked: bool,
}

struct Asked {
    until: Instant,
    /// `None` before they are told.
    readings: Option<HashMap<i32, u64>>,
}

impl Relatives {
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Tables change all the time, and what is refused may be so for another reason.
    fn rest(&self) -> Duration {
        match self.in_vain {
            0 | 1 => Duration::ZERO,
            times => (Duration::from_millis(500) * 2u32.pow(times.min(10))).min(LONGEST_REST),
        }
    }
}

impl Runner {
    /// A cycle has come to its end, and `awaits` says whether rows were refused because of others.
    /// The callers are answered, unless the tabs of related tables may have what is missing.
    pub(super) fn see_to_relatives(&mut self, running: &Running, awaits: bool) {
        self.relatives.awaited.clear();
        self.relatives.asked = None;
        if !awaits {
            self.relatives.in_vain = 0;
        } else if let Some(opened) = &self.loaded {
            self.relatives.awaited = states::related_tables(opened.mapping.id);
        }
        if self.relatives.changed && awaits {
            self.next_poll = Instant::now();
        }
        let calls = !running.requests.is_empty();
        if awaits && calls && !self.relatives.has_asked {
            self.relatives.has_asked = true;
            self.take_back(running);
            let until = Instant::now() + PATIENCE;
            self.relatives.asked = Some(Asked {
                until,
                readings: None,
            });
            self.not_before = Some(until);
            return;
        }
        if calls {
            self.relatives.has_asked = false;
        }
        self.answer_requests(&running.requests, &RequestAnswer::Done(running.counts));
    }

    fn table(&self) -> Option<u32> {
        self.loaded.as_ref().map(|opened| opened.mapping.table_oid)
    }

    fn hear_of(&mut self, changed: &[(i32, u32)]) {
        let news =
            |(id, table): &(i32, u32)| *id != self.id && self.relatives.awaited.contains(table);
        if !changed.iter().any(news) {
            return;
        }
        self.relatives.changed = true;
        self.relatives.in_vain += 1;
        let rested = self.relatives.tried.map(|at| at + self.relatives.rest());
        let now = Instant::now();
        let due = rested.map_or(now, |at| at.max(now));
        self.relatives.tried = Some(due);
        self.next_poll = self.next_poll.min(due);
    }

    /// Which reading of this mapping is one that begins from now on.
    fn next_reading(&self) -> u64 {
        let under_way = matches!(self.job, Job::Cycle(..));
        self.relatives.readings + 1 + u64::from(under_way)
    }

    fn is_ready(&self) -> bool {
        let state = self.glance.as_ref().map(|glance| glance.state.as_str());
        state == Some("active")
    }

    fn goes_on(&mut self) {
        self.relatives.asked = None;
        self.relatives.changed = true;
        self.not_before = None;
        self.next_poll = Instant::now();
    }
}

/// Let those that wait for rows know what has changed; answers when to come back at the latest.
pub fn tell_relatives(runners: &mut HashMap<i32, Runner>) -> Duration {
    let changed: Vec<(i32, u32)> = runners
        .iter_mut()
        .filter_map(|(id, runner)| {
            let news = std::mem::take(&mut runner.relatives.news);
            Some((*id, runner.table()?)).filter(|_| news)
        })
        .collect();
    if !changed.is_empty() {
        runners
            .values_mut()
            .for_each(|runner| runner.hear_of(&changed));
    }
    let asking: Vec<i32> = runners
        .iter()
        .filter(|(_, runner)| runner.relatives.asked.is_some())
        .map(|(id, _)| *id)
        .collect();
    for id in &asking {
        ask(runners, *id);
    }
    let now = Instant::now();
    let listens = |runner: &&Runner| {
        let rests = matches!(runner.job, Job::Idle) && runner.not_before.is_none();
        rests && !runner.relatives.awaited.is_empty()
    };
    let soonest = runners.values().filter(listens);
    let soonest = soonest.map(|runner| runner.next_poll.saturating_duration_since(now));
    let soonest = soonest.min().unwrap_or(Duration::MAX);
    match asking.is_empty() {
        true => soonest,
        false => soonest.min(Duration::from_millis(20)),
    }
}

/// A call of this mapping's waits until the tabs of related tables have been read.
fn ask(runners: &mut HashMap<i32, Runner>, id: i32) {
    let Some(runner) = runners.get(&id) else {
        return;
    };
    let Some(asked) = &runner.relatives.asked else {
        return;
    };
    let over = match &asked.readings {
        _ if asked.until <= Instant::now() => true,
        Some(readings) => readings.iter().all(|(other, reading)| {
            runners
                .get(other)
                .is_none_or(|other| other.relatives.readings >= *reading || !other.is_ready())
        }),
        None => false,
    };
    let tell = asked.readings.is_none();
    let awaited = runner.relatives.awaited.clone();
    if tell {
        let related = |other: &&mut Runner| {
            other.id != id
                && other.is_ready()
                && other.table().is_some_and(|table| awaited.contains(&table))
        };
        let mut readings = HashMap::new();
        for other in runners.values_mut().filter(related) {
            readings.insert(other.id, other.next_reading());
            other.next_poll = Instant::now();
            if other.relatives.asked.is_some() {
                other.goes_on();
            }
        }
        if let Some(runner) = runners.get_mut(&id)
            && let Some(asked) = &mut runner.relatives.asked
        {
            asked.readings = Some(readings);
        }
    } else if over && let Some(runner) = runners.get_mut(&id) {
        runner.goes_on();
    }
}
