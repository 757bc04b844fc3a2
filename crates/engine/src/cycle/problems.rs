//! Problems: reported once, remembered, and settled when they are over.

use std::collections::HashSet;

use super::io::Stop;
use super::item::Item;
use super::memory::KnownProblem;
use super::run::Cycle;
use crate::effect::{Commit, Operation, Place, Planned, Problem};
use crate::mapping::Side;
use crate::value::Timestamp;

const FIRST_RETRY_MICROS: i64 = 60_000_000;
const LAST_DOUBLING: u32 = 6;

impl Cycle {
    /// Whether what was refused is to be tried again.
    pub(super) fn is_due(&self, retry_at: Timestamp) -> bool {
        self.start.insists || retry_at <= self.io.now()
    }

    /// A snapshot shows all problems of rows without a usable key: those that it does not show are over.
    pub(super) fn keyless_problems(&mut self, problems: Vec<Problem>) {
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
        let places: HashSet<Place> = problems
            .iter()
            .map(|problem| problem.place.clone())
            .collect();
        let known = std::mem::replace(&mut self.memory.keyless, places);
        for place in known
            .difference(&self.memory.keyless)
            .cloned()
            .collect::<Vec<_>>()
        {
            self.note_settled(&place);
            self.settled.push(place);
        }
        let before = std::mem::take(&mut self.memory.said);
        for problem in problems {
            let is_news = before.get(&problem.place) != Some(&problem.message);
            let place = problem.place.clone();
            self.memory.said.insert(place, problem.message.clone());
            if is_news {
                self.note_problem(&problem);
                self.problems.push(problem);
            }
        }
    }

    /// Problems that no batch recorded.
    pub(super) async fn record_leftovers(&mut self) -> Result<(), Stop> {
        if self.start.dry_run || (self.problems.is_empty() && self.settled.is_empty()) {
            return Ok(());
        }
        self.commit_after(&mut []).await
    }

    pub(super) fn sort_problems(&mut self, item: &mut Item, commit: &mut Commit) {
        let old = self.memory.problems.remove(&item.key).unwrap_or_default();
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
            problem.retry_at = refused.then(|| retry_at(now, attempts));
            known.push(KnownProblem {
                column,
                code: problem.code.clone(),
                refused: (refused && problem.side == Side::Database).then_some(state),
                attempts,
                retry_at: problem.retry_at,
            });
            let is_new = before.is_none_or(|one| one.code != problem.code);
            if is_new {
                self.note_problem(&problem);
            }
            if refused || is_new {
                commit.problems.push(problem);
            }
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
            self.note_settled(&place);
            commit.settled_problems.push(place);
        }
        if !known.is_empty() {
            self.memory.problems.insert(item.key.clone(), known);
        }
    }
}

/// A minute, two, four, … an hour.
pub(super) fn retry_at(now: Timestamp, attempts: u32) -> Timestamp {
    let doublings = attempts.saturating_sub(1).min(LAST_DOUBLING);
    Timestamp(
        now.0
            .saturating_add((FIRST_RETRY_MICROS << doublings).min(3_600_000_000)),
    )
}
