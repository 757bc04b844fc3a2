//! Formulas in the tab: whose a cell's content is that nobody typed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::codec::stable_hash;
use crate::cycle::item::Item;
use crate::cycle::read::formula_text::{CANDIDATES, TOP, is_silent, may_fill, place};
use crate::cycle::read::grid::Grid;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{
    CellDetail, Computed, Entered, Formula, Place, Problem, SheetEffect, SheetOutcome, Snapshot,
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

    /// Columns in which formulas of other cells fill some, or would.
    pub(crate) fn note_arrays(&mut self, cells: &[(u32, u32)], details: &[CellDetail]) {
        let Some(layout) = self.tab.layout().cloned() else {
            return;
        };
        for ((_, at), detail) in cells.iter().zip(details) {
            let filled = detail.entered == Entered::Nothing && detail.value != Cell::Empty;
            let silent = is_silent(detail) && may_fill(detail);
            let reached = |column: u32| filled && column == *at || silent && column >= *at;
            let columns = layout.columns.iter().enumerate();
            let columns = columns.filter(|(_, column)| reached(**column));
            let columns = columns.map(|(column, _)| column);
            self.memory.cells.arrays.extend(columns);
        }
    }

    /// Which mapped cells of these rows are not to be written.
    pub(crate) fn note_computed(&mut self, items: &mut [Item], which: &[usize]) {
        let Some(layout) = self.tab.layout().cloned() else {
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
            let elsewhere = item
                .filled
                .iter()
                .filter(|cell| cell.by == Source::Somewhere);
            let columns = elsewhere.map(|cell| cell.column);
            self.memory.cells.arrays.extend(columns);
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
                let known = self.memory.problems.of_row(&item.key);
                let mut waits = known.iter().filter(|one| one.column.is_none());
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
        let top = hash_of_top(&snapshot, header);
        if let Some((at, filled)) = &self.memory.cells.filled
            && *at == top
        {
            return Ok(filled.clone());
        }
        // New rows of this cycle's are ours, and were not read.
        let last = self.tab.last_row_as_read();
        let Some(row) = last.filter(|row| *row >= header) else {
            // The first rows are ours.
            self.memory.cells.filled = Some((top, Vec::new()));
            return Ok(Vec::new());
        };
        // In rows without a key, and in blank ones, an array may show nothing: what it fills is
        // seen in the lowest cell that shows anything.
        let mut grid = Grid::of(&snapshot);
        let mut lowest = Vec::with_capacity(layout.columns.len());
        for column in &layout.columns {
            let found = self.lowest(&mut grid, (row, *column))?;
            lowest.push((found.unwrap_or(row), *column));
        }
        let last = layout.columns.iter().map(|column| (row, *column));
        let ends: BTreeSet<(u32, u32)> = lowest.iter().copied().chain(last).collect();
        let above = ends.iter().filter(|(row, _)| *row > header);
        let above: BTreeSet<(u32, u32)> = above.map(|(row, column)| (row - 1, *column)).collect();
        let cells: Vec<(u32, u32)> = ends.union(&above).copied().collect();
        let now = cells
            .iter()
            .map(|(row, column)| (self.tab.moved(*row), *column));
        let details = self.inspect_as_read(now.collect()).await?;
        let seen: HashMap<(u32, u32), CellDetail> = cells.into_iter().zip(details).collect();
        let is_filled = |at: &(u32, u32)| {
            let detail = seen.get(at);
            detail.is_some_and(|one| one.entered == Entered::Nothing && one.value != Cell::Empty)
        };
        let computed: Vec<(u32, Computed)> = lowest
            .iter()
            .filter(|at| is_filled(at))
            .map(|(_, column)| (*column, Computed::Elsewhere))
            .collect();
        let mut filled = Vec::new();
        if !computed.is_empty() {
            let formulas = self.formulas().await?;
            for (column, at) in lowest.iter().enumerate() {
                if is_filled(at) {
                    let by = source(&formulas, (self.tab.moved(at.0), at.1), &computed);
                    filled.push(Filled { column, by });
                }
            }
        }
        // Where the row above has a formula, too, each row has its own: unless that one shows an
        // error, as an array does that has met this one.
        let has_own = |(row, column): (u32, u32)| {
            let above = row
                .checked_sub(1)
                .and_then(|above| seen.get(&(above, column)));
            above.is_some_and(|detail| {
                matches!(detail.entered, Entered::Formula(_)) && !is_silent(detail)
            })
        };
        for (column, (lowest, at)) in lowest.iter().enumerate() {
            let begins = |at: &(u32, u32)| seen.get(at).is_some_and(may_fill) && !has_own(*at);
            let array = [(row, *at), (*lowest, *at)].into_iter().find(begins);
            if let Some(array) = array {
                let by = Source::Cell(place(self.tab.moved(array.0), array.1));
                filled.push(Filled { column, by });
            }
        }
        let mut blank = Vec::new();
        for (column, at) in layout.columns.iter().enumerate() {
            let known = filled.iter().any(|cell| cell.column == column);
            if !known && grid.is_blank((row, *at))? {
                blank.push((column, *at));
            }
        }
        if let Some(right) = blank.iter().map(|(_, at)| *at).max() {
            let mut arrays = self.silent_arrays(&mut grid, row, right).await?;
            // Where a column is known for its arrays, one may begin anywhere.
            let known = self.filled_columns();
            let known = blank.iter().filter(|(column, _)| known.contains(column));
            let known: Vec<(u32, u32)> = known.map(|(_, at)| (row, *at)).collect();
            if !known.is_empty() {
                arrays.extend(self.silence_around(&mut grid, &known).await?.arrays);
            }
            for (column, at) in blank {
                if let Some(by) = grid.broken_source(&arrays, (row, at))? {
                    filled.push(Filled { column, by });
                }
            }
        }
        self.memory.cells.filled = Some((top, filled.clone()));
        Ok(filled)
    }

    /// The lowest row of the reading in which this column shows anything, from this cell upwards.
    fn lowest(&self, grid: &mut Grid<'_>, (last, column): (u32, u32)) -> Result<Option<u32>, Stop> {
        let rows = (self.mapping.header_row..=last).rev();
        let still_there = |row: &u32| !self.tab.is_removed(*row);
        for row in rows.filter(still_there).take(CANDIDATES) {
            if !grid.is_blank((row, column))? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

/// Stands for the first rows that show anything.
fn hash_of_top(snapshot: &Snapshot, header: u32) -> u64 {
    let (header, mut shown) = (header as usize, 0);
    let top = snapshot.rows.iter().enumerate().take_while(|(at, row)| {
        let before = shown;
        shown += u32::from(*at >= header && row.get() != "[]");
        before < TOP
    });
    top.fold(0, |hash: u64, (_, row)| {
        hash.rotate_left(7) ^ stable_hash(row.get().as_bytes())
    })
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
