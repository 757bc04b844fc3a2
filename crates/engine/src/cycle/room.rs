//! New rows that the sheet does not take: the spreadsheet is full, or the place below the data is
//! protected.
//!
//! What one of them is refused for, all are. So they are one problem of the mapping and wait
//! together, announced in the stored base, while everything else goes on.

use super::batch::is_about_cells;
use super::item::Item;
use super::memory::State;
use super::problems::retry_at;
use super::run::Cycle;
use crate::effect::{BaseWrite, Failure, MetadataId, Place, Problem, StoredRow};
use crate::mapping::Side;
use crate::reconcile::SheetChange;
use crate::value::{Cell, Timestamp};

/// The sheet has refused new rows.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub problem: Problem,
    refused_at: Timestamp,
    retry_at: Timestamp,
    attempts: u32,
}

/// The mapping's own place among the problems.
const WHOLE: Place = Place {
    key: None,
    sheet_row: None,
    column: None,
};

impl Cycle {
    /// New rows were refused, and their time has not come.
    pub(super) fn is_closed(&self) -> bool {
        let closed = self.memory.closed.as_ref();
        // Once a cycle is enough, whoever waits for it.
        closed.is_some_and(|one| one.refused_at >= self.start.now || !self.is_due(one.retry_at))
    }

    pub(super) fn hold_insertions(&mut self, items: &mut [Item]) {
        for item in items.iter_mut().filter(|item| !item.dropped) {
            if matches!(item.plan.sheet, Some(SheetChange::Insert(_))) {
                self.hold(item);
            }
        }
    }

    /// Whether the refusal of a batch of new rows is about the rows; a batch that may arrive after
    /// all is another matter.
    pub(super) fn closes(&self, failure: &Failure, stamp: MetadataId) -> bool {
        let about_rows =
            is_about_cells(failure) || failure.reason == "grid_limit" && !failure.may_have_applied;
        about_rows && !self.memory.lost.contains_key(&stamp)
    }

    pub(super) fn close(&mut self, failure: Failure) {
        let attempts = self.memory.closed.as_ref().map_or(0, |one| one.attempts) + 1;
        let refused_at = self.io.now();
        let retry_at = retry_at(refused_at, &failure.reason, attempts);
        let problem = Problem {
            place: WHOLE,
            side: Side::Sheet,
            code: failure.reason,
            message: failure.message,
            hint: failure.hint,
            retry_at: Some(retry_at),
        };
        self.problems.push(problem.clone());
        self.memory.keyless.insert(WHOLE, problem.message.clone());
        self.memory.closed = Some(Closed {
            problem,
            refused_at,
            retry_at,
            attempts,
        });
    }

    pub(super) fn opened(&mut self) {
        if self.memory.closed.take().is_some() {
            self.memory.keyless.remove(&WHOLE);
            self.settled.push(WHOLE);
        }
    }

    /// A row of the table waits while a row of the sheet whose key shows an error may be it.
    pub(super) fn hold_unplaced(&mut self, items: &mut [Item]) {
        if self.unplaced.is_empty() {
            return;
        }
        for item in items.iter_mut().filter(|item| !item.dropped) {
            let Some(SheetChange::Insert(cells)) = &item.plan.sheet else {
                continue;
            };
            let cells: Vec<Cell> = cells
                .iter()
                .map(|cell| cell.clone().unwrap_or(Cell::Empty))
                .collect();
            if self.may_be_unplaced(&cells) {
                self.hold(item);
            }
        }
    }

    /// Its insertion is put off: it stands in the base as a row to be inserted.
    pub(super) fn hold(&mut self, item: &mut Item) {
        item.plan.sheet = None;
        item.inserting = true;
        item.base = None;
        item.base_owed = false;
        self.memory.known(&item.key).state = State::Announced;
        let row = StoredRow::to_insert(self.mapping.columns.len());
        if item.loaded.base.as_ref() != Some(&row.base) {
            self.held.push(BaseWrite {
                key: item.key.clone(),
                row: Some(row),
            });
        }
    }
}
