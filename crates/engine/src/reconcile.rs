//! Three-way reconcile of one row (docs/merging.md): pure, it decides and does nothing.

mod base;
mod cells;
mod filled;
mod row;
mod tabs;

pub(crate) use base::{agreed_state, base_after, differs};
pub(crate) use filled::{BLANK_FORMULA, FORMULA_CELL, cell_withheld};
pub(crate) use row::reconcile;

use std::collections::HashMap;

use crate::effect::{Conflict, OtherTab, PendingConflict, Problem, Refusal, Ways, Window};
use crate::mapping::Mapping;
use crate::value::{Base, Cell, Datum, Key, Timestamp};

/// What is known of one key at one moment.
pub(crate) struct Row<'a> {
    pub mapping: &'a Mapping,
    pub key: &'a Key,
    pub base: Option<&'a Base>,
    /// `None` where the table has no such row.
    pub database: Option<&'a [Datum]>,
    /// False where the table's row does not satisfy `row_filter`.
    pub in_filter: bool,
    /// `None` where the sheet has no such row.
    pub sheet: Option<&'a [Cell]>,
    pub ways: Ways,
    pub changed_at: Option<Timestamp>,
    /// Between which two moments each cell of the sheet was edited, where it was.
    pub windows: &'a [Window],
    pub pending: &'a [PendingConflict],
    /// What `conflict_function` made of the row, once it was asked.
    pub merged: Option<&'a [Datum]>,
    pub meanings: &'a Meanings,
    /// Columns of intervals in which new rows show durations.
    pub durations: &'a HashMap<usize, bool>,
    /// Columns (`None`: the row) that Postgres refused with these very cells, and whose time to try
    /// again has not come.
    pub refused: &'a [Option<usize>],
    /// Columns with a known problem, and whether they may be tried now: a cell that did not take
    /// what was written is written again, now and then.
    pub troubled: &'a [(usize, bool)],
    /// What the table's other tabs have of the row, once they were asked.
    pub others: Option<&'a [OtherTab]>,
    /// When the reading had arrived that first missed the row.
    pub missed_at: Option<Timestamp>,
    /// Cells of the sheet's row that nobody typed: they are not written.
    pub computed: &'a [Filled],
    /// Cells that are blank because of a formula: that is no edit.
    pub blanks: &'a [Filled],
    /// The formula in this row that fills other rows, too: the row is not taken away.
    pub feeds: Option<&'a str>,
}

/// A mapped cell that nobody typed, and where the formula stands that gives it its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub column: usize,
    pub by: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the cell itself.
    Own,
    /// In this cell, such as `A2`.
    Cell(String),
    /// Somewhere in the tab; it cannot be told where.
    Somewhere,
}

impl Row<'_> {
    fn window_of(&self, column: usize) -> Window {
        let never = (None, Timestamp(i64::MAX));
        self.windows.get(column).copied().unwrap_or(never)
    }

    /// Of all edits of the row, or of its deletion.
    fn window(&self) -> Window {
        let edited = |column: &usize| {
            let before = self.base.and_then(|base| base.sheet.get(*column));
            self.sheet.and_then(|sheet| sheet.get(*column)) != before
        };
        let columns = 0..self.windows.len();
        let edited = columns.filter(edited).map(|column| self.window_of(column));
        edited
            .reduce(|(since, until), (from, to)| (since.min(from), until.max(to)))
            .unwrap_or_else(|| self.window_of(0))
    }
}

/// What a row's cells mean that do not tell it by their values alone.
#[derive(Debug, Default)]
pub(crate) struct Meanings(Vec<(usize, Cell, Result<Datum, Refusal>)>);

impl Meanings {
    pub(crate) fn note(&mut self, column: usize, cell: Cell, meaning: Result<Datum, Refusal>) {
        self.0.retain(|(known, ..)| *known != column);
        self.0.push((column, cell, meaning));
    }

    /// `None` where this was not found out of this very cell.
    pub(crate) fn of(&self, column: usize, cell: &Cell) -> Option<&Result<Datum, Refusal>> {
        let known = self.0.iter().find(|(known, ..)| *known == column)?;
        (known.1 == *cell).then_some(&known.2)
    }
}

impl Row<'_> {
    /// What the table is given for a cell, or why nothing.
    fn meaning(&self, column: usize, cell: &Cell) -> Result<Datum, Refusal> {
        match self.meanings.of(column, cell) {
            Some(meaning) => meaning.clone(),
            None => Ok(self.mapping.decode(column, cell)),
        }
    }

    /// Whether a value and a cell stand for the same.
    fn agreed(&self, column: usize, value: &Datum, cell: &Cell) -> bool {
        self.mapping.agreed(column, value, cell)
            || matches!(self.meanings.of(column, cell), Some(Ok(meant)) if self.mapping.means(column, value, meant))
    }
}

/// What has to be done for one key.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub table: Option<TableChange>,
    pub sheet: Option<SheetChange>,
    /// The base with everything advanced on which both sides agree already.
    pub base: Option<Base>,
    /// `base` differs from what is stored (or has to go, where it is `None`).
    pub base_moved: bool,
    /// Columns that get one value on both sides, which neither has yet.
    pub owed: Vec<usize>,
    pub conflicts: Vec<Conflict>,
    pub problems: Vec<Problem>,
    /// What is not written because of a formula. The sheet need not show that the formula has gone:
    /// only trying tells.
    pub withheld: Vec<Problem>,
    /// Pending conflicts that are over once the plan is carried out.
    pub settles: Vec<i64>,
    /// Something would have to be done in a way that this cycle does not go.
    pub push_left: bool,
    pub pull_left: bool,
    /// Once the table has its change, there is more to do.
    pub follows: bool,
    /// A cell waits for a person's decision.
    pub waits: bool,
    /// Nothing is decided before `conflict_function` was asked.
    pub asks_function: bool,
    /// It depends on what the table's other tabs have of the row.
    pub asks_tabs: bool,
    /// The row was moved to another tab, which has yet to take it.
    pub moving: bool,
    /// The row may stand in another tab, which has yet to be read again.
    pub awaits_tabs: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum TableChange {
    Insert(Vec<(usize, Datum)>),
    Update(Vec<(usize, Datum)>),
    Enter(Vec<(usize, Datum)>),
    Delete,
}

#[derive(Debug, PartialEq)]
pub(crate) enum SheetChange {
    /// All cells; `None` leaves a cell alone.
    Insert(Vec<Option<Cell>>),
    /// The cell to write and the database value it stands for.
    Update(Vec<(usize, Cell, Datum)>),
    Delete,
    Clear,
}
