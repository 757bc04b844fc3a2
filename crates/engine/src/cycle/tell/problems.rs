//! Problems: reported once, remembered, and settled when they are over.

use std::collections::{BTreeSet, HashMap};

use crate::cycle::item::Item;
use crate::cycle::memory::KnownProblem;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Commit, Operation, Place, Planned, Problem, Refusal, is_about_other_rows};
use crate::mapping::Side;
use crate::value::{Key, Timestamp};

const FIRST_RETRY_MICROS: i64 = 60_000_000;
/// Where other rows are in the way: most come or go soon, and those of tables that are not mapped
/// come unseen.
const FIRST_RETRY_OF_WAITING_MICROS: i64 = 5_000_000;
/// What is refused so often because of other rows waits for a row that nobody knows of: whenever
/// some come or go only a few of them are tried, and none twice within the pause.
const OFTEN: u32 = 3;
const FEW: usize = 20;
const PAUSE_MICROS: i64 = 1_000_000;
const LAST_DOUBLING: u32 = 6;
const LAST_DOUBLING_OF_WAITING: u32 = 10;

impl Cycle {
    /// Whether what was refused is to be tried again.
    pub(crate) fn is_due(&self, retry_at: Timestamp) -> bool {
        self.start.insists || retry_at <= self.io.now()
    }

    pub(crate) fn may_try(&self, known: &KnownProblem) -> bool {
        known.retry_at.is_none_or(|at| self.is_due(at)) || self.has_waited(known)
    }

    /// It was refused, and nothing of it is tried again yet.
    pub(crate) fn rests(&self, key: &Key) -> bool {
        let waits = |known: &KnownProblem| known.retry_at.is_none() || !self.may_try(known);
        let known = self.memory.problems.of_rows.get(key);
        known.is_some_and(|known| known.iter().all(waits))
    }

    /// It was refused because of other rows, and since then some have come or gone.
    fn has_waited(&self, known: &KnownProblem) -> bool {
        let pause = match known.attempts > OFTEN {
            true => PAUSE_MICROS,
            false => 0,
        };
        // The clock may have been set back.
        let rested = (self.io.now().0 - known.tried_at.0).unsigned_abs() >= pause.unsigned_abs();
        awaits_others(known) && known.arrivals < self.memory.problems.arrivals && rested
    }

    pub(crate) fn awaits_rows(&self) -> bool {
        let mut known = self.memory.problems.of_rows.values().flatten();
        known.any(awaits_others)
    }

    /// Rows of the sheet that were refused because of other rows, where some have come or gone
    /// since. A deletion that was refused is met by every reading. Of those that were refused often
    /// only a few are tried in a cycle; where one of them is taken, all are.
    pub(crate) fn waiting(&mut self) -> Vec<Key> {
        let mut waiting: Vec<(u32, Key)> = Vec::new();
        for (key, known) in &self.memory.problems.of_rows {
            let stands = self
                .memory
                .rows
                .get(key)
                .is_some_and(|one| one.row().is_some());
            let attempts = known.iter().filter(|one| self.has_waited(one));
            let attempts = attempts.map(|one| one.attempts).max().filter(|_| stands);
            waiting.extend(attempts.map(|attempts| (attempts, key.clone())));
        }
        // Those that were tried least often come first, so that all have their turn.
        waiting.sort();
        let often = waiting.partition_point(|(attempts, _)| *attempts <= OFTEN);
        let is_taken = |key: &Key| {
            let known = self.memory.problems.of_rows.get(key);
            !known.is_some_and(|known| known.iter().any(awaits_others))
        };
        match self.later.probed.is_empty() {
            true => {
                waiting.truncate(often + FEW);
                let probed = waiting.iter().skip(often).map(|(_, key)| key.clone());
                self.later.probed.extend(probed);
            }
            false if self.later.probed.iter().any(is_taken) => {}
            false => waiting.truncate(often),
        }
        waiting.into_iter().map(|(_, key)| key).collect()
    }

    /// What this round brought into the table may be what they waited for.
    pub(crate) fn try_those_that_waited(&mut self) {
        let pulls = self.start.ways.pull && !self.start.dry_run;
        let waiting = if pulls { self.waiting() } else { Vec::new() };
        self.later.follow_up.extend(waiting);
    }

    /// Nothing is done with this row before the next reading; that something has to be done is not
    /// forgotten.
    pub(crate) fn hold_off(&mut self, key: Key) {
        self.ending.held_back = true;
        self.later.put_off.insert(key);
    }

    /// A snapshot shows all problems of rows without a usable key: those that it does not show are
    /// over.
    pub(crate) fn keyless_problems(&mut self, problems: Vec<Problem>) {
        if self.start.dry_run {
            let lines = problems.into_iter().map(|problem| Planned {
                side: problem.side,
                operation: Operation::Insert,
                key: problem.place.key,
                column: problem.place.column,
                old: None,
                new: problem.place.sheet_row.map(|row| row.to_string().into()),
                reason: problem.code,
            });
            self.report.planned.extend(lines);
            return;
        }
        let problems = one_for_each_place(problems);
        let said = |problem: &Problem| (problem.place.clone(), problem.message.clone());
        let now = problems.iter().map(said).collect();
        let before = std::mem::replace(&mut self.memory.problems.keyless, now);
        let is_over = |place: &&Place| !self.memory.problems.keyless.contains_key(*place);
        let over: BTreeSet<Place> = before.keys().filter(is_over).cloned().collect();
        for place in over {
            self.queue_note_removal(&place);
            self.unrecorded.settled.push(place);
        }
        for problem in problems {
            let is_news = before.get(&problem.place) != Some(&problem.message);
            if is_news || self.memory.problems.stray_notes {
                self.queue_note(&problem);
            }
            if is_news {
                self.unrecorded.problems.push(problem);
            }
        }
    }

    /// Problems that no chunk recorded.
    pub(crate) async fn record_leftovers(&mut self) -> Result<(), Stop> {
        if self.start.dry_run
            || (self.unrecorded.problems.is_empty() && self.unrecorded.settled.is_empty())
        {
            return Ok(());
        }
        self.commit_after(&mut []).await
    }

    pub(crate) fn record_problems(&mut self, item: &mut Item, commit: &mut Commit) {
        let old = self
            .memory
            .problems
            .of_rows
            .remove(&item.key)
            .unwrap_or_default();
        if old.is_empty() && item.found.is_empty() {
            return;
        }
        let state = item.state();
        let now = self.io.now();
        let mut known: Vec<KnownProblem> = Vec::new();
        for mut problem in item.found.drain(..) {
            let column = problem.place.column;
            let before = old.iter().find(|one| one.column == column);
            if known.iter().any(|one| one.column == column) {
                continue;
            }
            if problem.code.is_empty() {
                known.extend(before.cloned());
                continue;
            }
            let refused = problem.retry_at.is_some();
            let attempts = before.map_or(0, |one| one.attempts) + u32::from(refused);
            problem.retry_at = refused.then(|| retry_at(now, &problem.code, attempts));
            let remembered = refused && problem.side == Side::Database || problem.code == KEPT;
            known.push(KnownProblem {
                column,
                code: problem.code.clone(),
                refused: remembered.then_some(state),
                attempts,
                retry_at: problem.retry_at,
                tried_at: now,
                arrivals: self.memory.problems.arrivals,
            });
            let is_new = before.is_none_or(|one| one.code != problem.code);
            if is_new {
                self.queue_note(&problem);
            }
            if refused || is_new {
                commit.problems.push(problem);
            }
        }
        // Of a row that the table kept it is said until somebody changes it.
        let kept = |one: &&KnownProblem| {
            one.code == KEPT && (item.inserting || one.refused == Some(state))
        };
        if let (Some(one), []) = (old.iter().find(kept), known.as_slice()) {
            known.push(KnownProblem {
                refused: Some(state),
                ..one.clone()
            });
        }
        if item.plan.push_left || item.plan.pull_left {
            // Whether the others are over shows the cycle that goes that way.
            let unseen = |one: &&KnownProblem| known.iter().all(|now| now.column != one.column);
            let unseen: Vec<KnownProblem> = old.iter().filter(unseen).cloned().collect();
            known.extend(unseen);
        }
        let over = old
            .iter()
            .filter(|one| known.iter().all(|now| now.column != one.column));
        for one in over {
            let place = Place {
                key: Some(item.key.clone()),
                sheet_row: None,
                column: one.column,
            };
            self.queue_note_removal(&place);
            commit.settled_problems.push(place);
        }
        if !known.is_empty() {
            self.memory.problems.of_rows.insert(item.key.clone(), known);
        }
    }
}

/// The first of those of a place says what the others say, too: a place has one problem, and one
/// note.
fn one_for_each_place(problems: Vec<Problem>) -> Vec<Problem> {
    let mut said: Vec<Problem> = Vec::with_capacity(problems.len());
    let mut places: HashMap<Place, usize> = HashMap::with_capacity(problems.len());
    for problem in problems {
        let first = places.get(&problem.place).and_then(|at| said.get_mut(*at));
        match first {
            Some(first) => first.message = format!("{} {}", first.message, problem.message),
            None => {
                places.insert(problem.place.clone(), said.len());
                said.push(problem);
            }
        }
    }
    said
}

fn awaits_others(known: &KnownProblem) -> bool {
    known.retry_at.is_some() && is_about_other_rows(&known.code)
}

/// The table was to delete a row and kept it.
pub(crate) const KEPT: &str = "kept_by_table";

pub(crate) fn kept_by_table(key: &Key) -> Problem {
    Problem {
        place: Place {
            key: Some(key.clone()),
            sheet_row: None,
            column: None,
        },
        side: Side::Database,
        code: KEPT.into(),
        message: "The row was deleted here, and the table kept it, so it has come back.".into(),
        hint: "A trigger of the table decides which rows may go. Ask whoever looks after the database.".into(),
        retry_at: None,
    }
}

/// A minute, two, four, … an hour; where other rows are in the way five seconds, ten, twenty, …
pub(crate) fn retry_at(now: Timestamp, code: &str, attempts: u32) -> Timestamp {
    let (first, last) = match is_about_other_rows(code) {
        true => (FIRST_RETRY_OF_WAITING_MICROS, LAST_DOUBLING_OF_WAITING),
        false => (FIRST_RETRY_MICROS, LAST_DOUBLING),
    };
    let doublings = attempts.saturating_sub(1).min(last);
    Timestamp(
        now.0
            .saturating_add((first << doublings).min(3_600_000_000)),
    )
}

pub(crate) fn row_problem(
    key: &Key,
    column: Option<usize>,
    side: Side,
    refusal: Refusal,
) -> Problem {
    Problem {
        place: Place {
            key: Some(key.clone()),
            sheet_row: None,
            column,
        },
        side,
        code: refusal.sqlstate,
        message: refusal.message,
        hint: refusal.hint.unwrap_or_else(|| match side {
            Side::Database => "Correct the cell in the sheet.".into(),
            Side::Sheet => {
                "Ask the sheet's owner to let the service account edit this range.".into()
            }
        }),
        retry_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cycle::compare::diff::sheet_problem;

    #[test]
    fn a_place_has_one_problem_that_says_all() {
        let problem = |at, said: &str| sheet_problem(at, None, "code", said.into(), String::new());
        let problems = vec![problem(1, "One."), problem(2, "Two."), problem(1, "Three.")];
        let said: Vec<String> = one_for_each_place(problems)
            .into_iter()
            .map(|problem| problem.message)
            .collect();
        assert_eq!(said, ["One. Three.", "Two."]);
    }
}
