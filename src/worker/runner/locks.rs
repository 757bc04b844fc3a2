//! What somebody else holds locked: tried again soon, and waited for by nobody.

use engine::effect::Report;
use engine::value::Key;
use std::collections::HashSet;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(super) struct Locks {
    /// Rows that were locked when they were last tried.
    pub rows: HashSet<Key>,
    /// The last cycle met a lock.
    pub met: bool,
    /// Cycles in a row that left rows for that.
    times: u32,
}

impl Locks {
    pub(super) fn are_about(&self) -> bool {
        self.met || !self.rows.is_empty()
    }

    pub(super) fn cycle_ended(&mut self, report: &Report) {
        self.met = report.locked;
        self.times = match report.locked {
            true => self.times + 1,
            false => 0,
        };
        if !report.locked {
            self.rows.clear();
        }
    }

    /// When to look again at what was left: half a second, one, two, four.
    pub(super) fn pause(&self) -> Option<Duration> {
        let doublings = self.times.checked_sub(1)?.min(10);
        Some((FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE))
    }
}
