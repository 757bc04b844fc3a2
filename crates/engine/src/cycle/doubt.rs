//! Blanks that no person made: a formula shows nothing for a while, or an array is broken and all
//! that it fills is blank. Meanwhile the table keeps its values and its rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::formulas::{may_fill, place};
use super::io::Stop;
use super::item::Item;
use super::run::Cycle;
use super::snapshot::{Diff, parse, sheet_problem};
use crate::codec::is_error;
use crate::effect::{CellDetail, Entered, Snapshot};
use crate::reconcile::{Filled, SheetChange, Source, TableChange};
use crate::value::Cell;

/// Cells that are looked at because the array that filled a blank may begin there.
const CANDIDATES: usize = 500;

/// Rows below the header in which an array that feeds the whole tab begins.
const TOP: u32 = 3;

/// The cells of a reading, parsed where they are asked for.
struct Grid<'a> {
    snapshot: &'a Snapshot,
    rows: HashMap<u32, Vec<Cell>>,
}

impl<'a> Grid<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            rows: HashMap::new(),
        }
    }

    fn row(&mut self, row: u32) -> Result<&[Cell], Stop> {
        if !self.rows.contains_key(&row) {
            self.rows.insert(row, parse(self.snapshot, row)?);
        }
        Ok(self.rows.get(&row).map(Vec::as_slice).unwrap_or_default())
    }

    fn cell(&mut self, (row, column): (u32, u32)) -> Result<Cell, Stop> {
        let cell = self.row(row)?.get(column as usize);
        Ok(cell.cloned().unwrap_or(Cell::Empty))
    }

    fn is_blank(&mut self, at: (u32, u32)) -> Result<bool, Stop> {
        Ok(self.cell(at)? == Cell::Empty)
    }

    /// Cells that show an error, up to this row and column.
    fn errors(&mut self, last: u32, columns: u32) -> Result<Vec<(u32, u32)>, Stop> {
        let mut found = Vec::new();
        let rows = self.snapshot.rows.iter().take(last as usize + 1);
        let rows: Vec<u32> = (0..)
            .zip(rows)
            .filter(|(_, raw)| raw.get().contains("\"#") || raw.get().contains("\"Loading"))
            .map(|(row, _)| row)
            .collect();
        for row in rows {
            let cells = (0..).zip(self.row(row)?).take(columns as usize + 1);
            let errors = cells.filter(|(_, cell)| is_error(cell));
            found.extend(errors.map(|(column, _)| (row, column)));
        }
        Ok(found)
    }

    /// Whether the array that begins at `from` would fill this cell, as far as its edges tell: most of them are blank with it.
    fn covers(&mut self, from: (u32, u32), to: (u32, u32)) -> Result<bool, Stop> {
        if from == to || from.0 > to.0 || from.1 > to.1 {
            return Ok(false);
        }
        let right: Vec<(u32, u32)> = (from.1 + 1..=to.1).map(|column| (from.0, column)).collect();
        let down: Vec<(u32, u32)> = (from.0 + 1..=to.0).map(|row| (row, from.1)).collect();
        for edge in [right, down] {
            let mut blank = 0;
            for at in &edge {
                blank += usize::from(self.is_blank(*at)?);
            }
            if !edge.is_empty() && blank * 2 <= edge.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Blank cells from which an array that shows nothing could reach this one: nothing interrupts them.
    fn blank_corners(
        &mut self,
        (row, column): (u32, u32),
        top: u32,
    ) -> Result<Vec<(u32, u32)>, Stop> {
        let mut found = Vec::new();
        for above in (top..=row).rev() {
            if !self.is_blank((above, column))? || found.len() > CANDIDATES {
                break;
            }
            for left in (0..=column).rev() {
                if !self.is_blank((above, left))? {
                    break;
                }
                found.push((above, left));
            }
        }
        Ok(found)
    }
}

impl Cycle {
    /// Looks at blank cells that would change a value on either side. Those that a formula shows are
    /// no edits, and their rows are planned anew.
    pub(super) async fn doubt_blanks(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        let Some(layout) = self.memory.layout.clone() else {
            return Ok(());
        };
        let mut suspects = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(row) = item.row {
                let columns = turned_blank(item).into_iter();
                suspects
                    .extend(columns.map(|column| (index, column, (row, layout.column(column)))));
            }
        }
        if suspects.is_empty() {
            return Ok(());
        }
        let Some(snapshot) = self.snapshot.clone() else {
            // Without a reading nobody knows what stands around them.
            for (index, ..) in suspects {
                if let Some(item) = items.get_mut(index) {
                    item.dropped = true;
                }
            }
            self.stale = true;
            return Ok(());
        };
        let mut grid = Grid::of(&snapshot);
        let places: Vec<(u32, u32)> = suspects.iter().map(|(.., at)| *at).collect();
        let last = places.iter().map(|at| at.0).max().unwrap_or_default();
        let right = places.iter().map(|at| at.1).max().unwrap_or_default();
        let mut corners: BTreeSet<(u32, u32)> = BTreeSet::new();
        if self.removed.is_empty() {
            corners.extend(grid.errors(last, right)?.into_iter().rev().take(CANDIDATES));
            for at in &places {
                if corners.len() < 2 * CANDIDATES {
                    corners.extend(grid.blank_corners(*at, self.mapping.header_row)?);
                }
            }
        }
        let mut cells = places.clone();
        cells.extend(corners.iter().filter(|at| !places.contains(at)));
        let details = self.inspect(cells.clone()).await?;
        let seen: BTreeMap<(u32, u32), CellDetail> = cells.into_iter().zip(details).collect();
        let broken: Vec<(u32, u32)> = seen
            .iter()
            .filter(|(_, detail)| is_silent(detail) && may_fill(detail))
            .map(|(at, _)| *at)
            .collect();
        let mut again = BTreeSet::new();
        for (index, column, at) in suspects {
            let by = match seen.get(&at).map(|detail| &detail.entered) {
                Some(Entered::Formula(_)) => Some(Source::Own),
                Some(Entered::Nothing) => self.broken_source(&mut grid, &broken, at)?,
                _ => None,
            };
            if let (Some(by), Some(item)) = (by, items.get_mut(index)) {
                item.blanks.push(Filled { column, by });
                again.insert(index);
            }
        }
        let again: Vec<usize> = again.into_iter().collect();
        self.plan(items, &again).await
    }

    fn broken_source(
        &self,
        grid: &mut Grid<'_>,
        broken: &[(u32, u32)],
        at: (u32, u32),
    ) -> Result<Option<Source>, Stop> {
        for from in broken {
            if grid.covers(*from, at)? {
                return Ok(Some(Source::Cell(place(from.0, from.1))));
            }
        }
        Ok(None)
    }

    /// Rows that are gone from a tab that a formula fills, or whose keys a formula makes, may be back any moment: while such a formula
    /// shows nothing, none counts as deleted.
    pub(super) async fn doubt_missing(
        &mut self,
        diff: &mut Diff,
        snapshot: &Snapshot,
    ) -> Result<(), Stop> {
        let agreed = |key| {
            let known = self.memory.rows.get(key);
            known.is_some_and(|known| known.state.is_agreed())
        };
        let is_lost = diff.missing.iter().any(|sighting| agreed(&sighting.key));
        let Some(layout) = self.memory.layout.clone().filter(|_| is_lost) else {
            return Ok(());
        };
        let mut key: Vec<u32> = self
            .mapping
            .key
            .iter()
            .map(|one| layout.column(*one))
            .collect();
        key.sort_unstable();
        let (Some(first), Some(right)) = (key.first().copied(), key.last().copied()) else {
            return Ok(());
        };
        let mut grid = Grid::of(snapshot);
        let rows = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
        let mut cells = grid.errors(rows, right)?;
        cells.reverse();
        cells.truncate(CANDIDATES);
        let header = self.mapping.header_row;
        for row in header..header.saturating_add(TOP) {
            cells.extend((0..=right).map(|column| (row, column)));
        }
        // Blank rows among the others: their keys may be formulas that show nothing.
        for row in header.saturating_add(TOP)..self.end {
            if cells.len() > 2 * CANDIDATES {
                break;
            }
            if grid.is_blank((row, first))? {
                cells.extend(key.iter().map(|column| (row, *column)));
            }
        }
        cells.sort_unstable();
        cells.dedup();
        let details = self.inspect(cells.clone()).await?;
        for (at, detail) in cells.into_iter().zip(details) {
            // Below the data formulas stand ready for rows to come.
            let among = at.0 < self.end || self.end <= header;
            let makes_keys = key.contains(&at.1) && detail.value == Cell::Empty && among;
            let beside = (at.0 + u32::from(at.1 == right), right);
            let silent = is_silent(&detail)
                && (makes_keys || may_fill(&detail) && grid.covers(at, beside)?);
            if !silent {
                continue;
            }
            for sighting in diff.missing.drain(..) {
                diff.unconfirmed.insert(sighting.key);
            }
            self.held_back = true;
            let formula = place(at.0, at.1);
            diff.problems.push(sheet_problem(
                at.0,
                None,
                "broken_formula",
                format!(
                    "The formula in {formula} shows nothing or an error, and rows are gone from the sheet: the table keeps them."
                ),
                "Mend the formula. If the rows are to go, remove the formula, too.".into(),
            ));
            return Ok(());
        }
        Ok(())
    }
}

/// A formula that shows an error, or nothing.
fn is_silent(detail: &CellDetail) -> bool {
    matches!(detail.entered, Entered::Formula(_))
        && (detail.value == Cell::Empty || is_error(&detail.value))
}

/// Columns that went blank in the sheet, where the plan makes something of it.
fn turned_blank(item: &Item) -> Vec<usize> {
    let (Some(cells), Some(base)) = (&item.cells, &item.base) else {
        return Vec::new();
    };
    let pulled = match &item.plan.table {
        Some(TableChange::Update(values)) => values.iter().map(|(column, _)| *column).collect(),
        _ => Vec::new(),
    };
    let written = match &item.plan.sheet {
        Some(SheetChange::Update(writes)) => writes.iter().map(|(column, ..)| *column).collect(),
        _ => Vec::new(),
    };
    let disputed = item.plan.conflicts.iter().filter_map(|one| one.column);
    let columns: BTreeSet<usize> = pulled.into_iter().chain(written).chain(disputed).collect();
    let went_blank = |column: &usize| {
        let shows = |cells: &[Cell]| cells.get(*column).is_some_and(|cell| *cell != Cell::Empty);
        !shows(cells) && shows(&base.sheet)
    };
    let known = |column: &usize| item.blanks.iter().any(|blank| blank.column == *column);
    let columns = columns.into_iter();
    columns
        .filter(|column| went_blank(column) && !known(column))
        .collect()
}
