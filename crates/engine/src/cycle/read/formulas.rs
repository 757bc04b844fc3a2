//! Formulas in the tab: whose a cell's content is that nobody typed.

use crate::cycle::read::formula_text::{may_fill, place};
use std::sync::Arc;

use crate::codec::stable_hash;
use crate::cycle::item::Item;
use crate::cycle::read::grid::Grid;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{
    CellDetail, Computed, Entered, Formula, Place, Problem, SheetEffect, SheetOutcome,
};
use crate::io::mismatch;
use crate::mapping::Side;
use crate::reconcile::{FORMULA_CELL, Filled, SheetChange, Source, cell_withheld};
use crate::value::{Cell, Key};

impl Cycle {
    /// Every formula of the tab, asked once a round at most.
    pub(crate) async fn formulas(&mut self) -> Result<Arc<[Formula]>, Stop> {
        if let Some(formulas) = &self.round.formulas {
            return Ok(formulas.clone());
        }
        let formulas: Arc<[Formula]> = match self.io.sheet(SheetEffect::Formulas).await? {
            SheetOutcome::Formulas(formulas) => formulas.into(),
            _ => return Err(mismatch().into()),
        };
        self.round.formulas = Some(formulas.clone());
        Ok(formulas)
    }

    /// Rows of a mass are read as values, which do not tell what a formula fills: asked before a
    /// mass goes that way.
    pub(crate) async fn has_formulas(&mut self) -> Result<bool, Stop> {
        Ok(!self.formulas().await?.is_empty())
    }

    /// Which mapped cells of these rows are not to be written.
    pub(crate) fn note_computed(&self, items: &mut [Item], which: &[usize]) {
        let Some(layout) = self.tab.layout() else {
            return;
        };
        for index in which {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let column = |at: u32| layout.columns.iter().position(|column| *column == at);
            let filled = item.computed.iter().filter_map(|(at, computed)| {
                let by = match computed {
                    Computed::Here => Source::Own,
                    Computed::Elsewhere => Source::Somewhere,
                };
                let column = column(*at)?;
                Some(Filled { column, by })
            });
            item.filled = filled.collect();
        }
    }

    /// Whether a column of the sheet holds part of the key.
    pub(crate) fn is_key_column(&self, at: u32) -> bool {
        let layout = self.tab.layout();
        layout.is_some_and(|layout| {
            let mut key = self.mapping.key.iter();
            key.any(|column| layout.column(*column) == at)
        })
    }

    /// Whether a mapped column is among the cells of a row that nobody typed.
    pub(crate) fn is_computed(&self, computed: &[(u32, Computed)], column: usize) -> bool {
        let layout = self.tab.layout();
        let at = layout.map(|layout| layout.column(column));
        computed.iter().any(|(computed, _)| Some(*computed) == at)
    }

    /// Problems that a formula makes name the formula's cell.
    pub(crate) async fn trace_formulas(
        &mut self,
        items: &mut [Item],
        which: &[usize],
    ) -> Result<(), Stop> {
        let is_vague = |item: &Item| {
            let withheld = item.found.iter().any(|one| one.code == FORMULA_CELL);
            let vague = |cell: &Filled| cell.by == Source::Somewhere;
            withheld && item.filled.iter().any(vague)
        };
        let item = |index: &&usize| items.get(**index).is_some_and(is_vague);
        let vague: Vec<usize> = which.iter().filter(item).copied().collect();
        if vague.is_empty() {
            return Ok(());
        }
        let formulas = self.formulas().await?;
        let Some(layout) = self.tab.layout().cloned() else {
            return Ok(());
        };
        for index in &vague {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let Some(row) = item.row else { continue };
            for cell in &mut item.filled {
                if cell.by == Source::Somewhere {
                    let place = (row, layout.column(cell.column));
                    cell.by = source(&formulas, place, &item.computed);
                }
            }
        }
        self.plan(items, &vague).await
    }
}

impl Cycle {
    /// Columns that a formula fills down to the end of the data are the formula's in new rows, too;
    /// where it fills the key, new rows come from it alone.
    pub(crate) async fn withhold_new_rows(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        let is_new =
            |item: &Item| !item.dropped && matches!(item.plan.sheet, Some(SheetChange::Insert(_)));
        if !items.iter().any(is_new) {
            return Ok(());
        }
        let filled = self.filled_at_the_end().await?;
        if filled.is_empty() {
            return Ok(());
        }
        let of_key = |cell: &&Filled| self.mapping.key.contains(&cell.column);
        let key = filled.iter().find(of_key).cloned();
        for item in items.iter_mut().filter(|item| is_new(item)) {
            if let Some(key) = &key {
                let known = self
                    .memory
                    .problems
                    .of_rows
                    .get(&item.key)
                    .into_iter()
                    .flatten();
                let mut waits = known.into_iter().filter(|one| one.column.is_none());
                if waits.any(|one| one.retry_at.is_some_and(|at| !self.is_due(at))) {
                    item.dropped = true;
                    continue;
                }
                let problem = new_row_withheld(&item.key, &key.by);
                item.found.push(Problem {
                    retry_at: Some(self.io.now()),
                    ..problem
                });
                self.hold(item);
            } else if let Some(SheetChange::Insert(cells)) = &mut item.plan.sheet {
                for cell in &filled {
                    let slot = cells.get_mut(cell.column);
                    if let Some(Cell::Empty) | None = slot.and_then(Option::take) {
                        continue;
                    }
                    item.found.push(Problem {
                        retry_at: Some(self.io.now()),
                        ..cell_withheld(&item.key, cell.column, &cell.by)
                    });
                }
            }
        }
        Ok(())
    }

    /// The mapped columns that a formula fills in the last row of the data, or would fill if it
    /// showed anything, or fills from there. Asked again when something in the rows at the top
    /// changes, where such formulas stand.
    async fn filled_at_the_end(&mut self) -> Result<Vec<Filled>, Stop> {
        let (Some(layout), Some(snapshot)) =
            (self.tab.layout().cloned(), self.round.snapshot.clone())
        else {
            let known = self.memory.cells.filled.as_ref();
            return Ok(known.map_or(Vec::new(), |(_, filled)| filled.clone()));
        };
        let header = self.mapping.header_row;
        let top = snapshot.rows.iter().take(header as usize + 1);
        let top = top.fold(0, |hash: u64, row| {
            hash.rotate_left(7) ^ stable_hash(row.get().as_bytes())
        });
        if let Some((at, filled)) = &self.memory.cells.filled
            && *at == top
        {
            return Ok(filled.clone());
        }
        let Some(row) = self
            .tab
            .last_end()
            .checked_sub(1)
            .filter(|row| *row >= header)
        else {
            // The first rows are ours.
            self.memory.cells.filled = Some((top, Vec::new()));
            return Ok(Vec::new());
        };
        let above = row.checked_sub(1).filter(|above| *above >= header);
        let rows = [Some(row), above].into_iter().flatten();
        let cells: Vec<(u32, u32)> = rows
            .flat_map(|row| layout.columns.iter().map(move |column| (row, *column)))
            .collect();
        let mut details = self.inspect_as_read(cells).await?;
        let above = details.split_off(layout.columns.len());
        let computed: Vec<(u32, Computed)> = layout
            .columns
            .iter()
            .zip(&details)
            .filter(|(_, detail)| detail.entered == Entered::Nothing && detail.value != Cell::Empty)
            .map(|(column, _)| (*column, Computed::Elsewhere))
            .collect();
        let mut filled = Vec::new();
        if !computed.is_empty() {
            let formulas = self.formulas().await?;
            for (column, at) in layout.columns.iter().enumerate() {
                if computed.contains(&(*at, Computed::Elsewhere)) {
                    let by = source(&formulas, (row, *at), &computed);
                    filled.push(Filled { column, by });
                }
            }
        }
        // Where the row above has a formula, too, each row has its own.
        let has_own = |column: usize| {
            let above: Option<&CellDetail> = above.get(column);
            above.is_some_and(|detail| matches!(detail.entered, Entered::Formula(_)))
        };
        for (column, (at, detail)) in layout.columns.iter().zip(&details).enumerate() {
            if may_fill(detail) && !has_own(column) {
                let by = Source::Cell(place(row, *at));
                filled.push(Filled { column, by });
            }
        }
        let is_blank =
            |detail: &CellDetail| detail.entered == Entered::Nothing && detail.value == Cell::Empty;
        let blank = layout.columns.iter().zip(&details).enumerate();
        let blank: Vec<(usize, u32)> = blank
            .filter(|(_, (_, detail))| is_blank(detail))
            .map(|(column, (at, _))| (column, *at))
            .collect();
        if let Some(right) = blank.iter().map(|(_, at)| *at).max() {
            let mut grid = Grid::of(&snapshot);
            let arrays = self.silent_arrays(&mut grid, row, right).await?;
            for (column, at) in blank {
                if let Some(by) = grid.broken_source(&arrays, (row, at))? {
                    filled.push(Filled { column, by });
                }
            }
        }
        self.memory.cells.filled = Some((top, filled.clone()));
        Ok(filled)
    }
}

fn new_row_withheld(key: &Key, by: &Source) -> Problem {
    let formula = match by {
        Source::Cell(cell) => format!("the formula in {cell}"),
        Source::Own | Source::Somewhere => "a formula elsewhere in the sheet".to_owned(),
    };
    Problem {
        place: Place {
            key: Some(key.clone()),
            sheet_row: None,
            column: None,
        },
        side: Side::Sheet,
        code: FORMULA_CELL.into(),
        message: format!("The rows of this sheet are filled by {formula}, so no row is added below them."),
        hint: "Add the row where the formula takes its rows from, or set the mapping's direction to from_sheet: then the table follows the sheet.".into(),
        retry_at: None,
    }
}

/// The row is to be deleted or emptied.
pub(crate) fn leaves(item: &Item) -> bool {
    matches!(
        item.plan.sheet,
        Some(SheetChange::Delete | SheetChange::Clear)
    )
}

/// Where the formula stands that fills this cell of a row. An array reaches right and down from its
/// formula, and only cells that nobody typed are in it.
fn source(formulas: &[Formula], (row, column): (u32, u32), computed: &[(u32, Computed)]) -> Source {
    let above = |one: &&Formula| one.row <= row && one.column <= column;
    let between = |one: &Formula, other: &Formula| {
        other != one
            && (one.row..=row).contains(&other.row)
            && (one.column..=column).contains(&other.column)
    };
    let reaches = |one: &&Formula| {
        let from = one.column + u32::from(one.row == row);
        let filled = |at: u32| computed.contains(&(at, Computed::Elsewhere));
        (from..=column).all(filled) && !formulas.iter().any(|other| between(one, other))
    };
    let mut sources = formulas.iter().filter(above).filter(reaches);
    match (sources.next(), sources.next()) {
        (Some(one), None) => Source::Cell(place(one.row, one.column)),
        _ => Source::Somewhere,
    }
}
