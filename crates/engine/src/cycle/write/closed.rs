//! New rows that the sheet does not take: the spreadsheet is full, or the place below the data is
//! protected.
//!
//! What one of them is refused for, all are. So they are one problem of the mapping and wait
//! together, announced in the stored base, while everything else goes on.

use crate::cycle::item::Item;
use crate::cycle::memory::Closed;
use crate::cycle::memory::known::State;
use crate::cycle::state::Cycle;
use crate::cycle::tell::problems::retry_at;
use crate::effect::Reason;

use crate::effect::{BaseWrite, Failure, Place, Problem, StoredRow};
use crate::mapping::Side;
use crate::reconcile::SheetChange;
use crate::tab::Fate;
use crate::value::Cell;

/// Whether the refusal of a batch of new rows is about the rows; a batch that may arrive after all
/// is another matter.
pub(crate) fn closes(failure: &Failure, fate: Fate) -> bool {
    let about_rows = failure.is_about_cells()
        || failure.reason == Reason::GridLimit && !failure.may_have_applied;
    about_rows && fate == Fate::Refused
}

/// The mapping's own place among the problems.
const WHOLE: Place = Place {
    key: None,
    sheet_row: None,
    column: None,
};

impl Cycle {
    /// New rows were refused, and their time has not come.
    pub(crate) fn is_closed(&self) -> bool {
        let closed = self.memory.problems.closed.as_ref();
        // One try in each cycle is enough, even where a call waits for it.
        closed.is_some_and(|one| one.refused_at >= self.start.now || !self.is_due(one.retry_at))
    }

    pub(crate) fn hold_insertions(&mut self, items: &mut [Item]) {
        for item in items.iter_mut().filter(|item| !item.dropped) {
            if matches!(item.plan.sheet, Some(SheetChange::Insert(_))) {
                self.hold(item);
            }
        }
    }

    pub(crate) fn close(&mut self, failure: Failure) {
        let attempts = self
            .memory
            .problems
            .closed
            .as_ref()
            .map_or(0, |one| one.attempts)
            + 1;
        let refused_at = self.io.now();
        let retry_at = retry_at(refused_at, failure.reason.as_str(), attempts);
        let problem = Problem {
            place: WHOLE,
            side: Side::Sheet,
            code: failure.reason.to_string(),
            message: failure.message,
            hint: failure.hint,
            retry_at: Some(retry_at),
        };
        self.unrecorded.problems.push(problem.clone());
        self.memory
            .problems
            .keyless
            .insert(WHOLE, problem.message.clone());
        self.memory.problems.closed = Some(Closed {
            problem,
            refused_at,
            retry_at,
            attempts,
        });
    }

    pub(crate) fn opened(&mut self) {
        if self.memory.problems.closed.take().is_some() {
            self.memory.problems.keyless.remove(&WHOLE);
            self.unrecorded.settled.push(WHOLE);
        }
    }

    /// A row of the table waits while a row of the sheet whose key shows an error may be it.
    pub(crate) fn hold_unplaced(&mut self, items: &mut [Item]) {
        if self.round.unplaced.is_empty() {
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
    pub(crate) fn hold(&mut self, item: &mut Item) {
        item.plan.sheet = None;
        item.inserting = true;
        item.base = None;
        item.base_unstored = false;
        self.memory.known(&item.key).state = State::ToInsert;
        let row = StoredRow::to_insert(self.mapping.columns.len());
        if item.loaded.base.as_ref() != Some(&row.base) {
            self.unrecorded.bases.push(BaseWrite {
                key: item.key.clone(),
                row: Some(row),
            });
        }
    }
}
