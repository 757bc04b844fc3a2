//! Blanks that no person made: a formula shows nothing for a while, or an array is broken and all
//! that it fills is blank. While that is so the table keeps its values and its rows.

use std::collections::{BTreeSet, HashSet};

use crate::codec::{BytesHash, hash_bytes, is_error};
use crate::cycle::compare::diff::{Diff, sheet_problem};
use crate::cycle::item::Item;
use crate::cycle::memory::Silent;
use crate::cycle::read::formula_text::{CANDIDATES, TOP, fills, is_silent, may_fill, place};
use crate::cycle::read::grid::Grid;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::tell::problems::retry_at;
use crate::effect::Snapshot;
use crate::reconcile::{BLANK_FORMULA, FORMULA_CELL, Filled, SheetChange, Source, TableChange};
use crate::value::{Cell, Key};

/// What shows an error or nothing around blank cells, in the reading's rows.
#[derive(Default)]
pub(crate) struct Silence {
    /// Formulas in the blank cells themselves.
    own: HashSet<(u32, u32)>,
    /// Formulas that may fill others.
    pub arrays: Vec<(u32, u32)>,
}

impl Cycle {
    /// Blank cells that would change a value, here or there: those that a formula shows are taken
    /// for no edit, and the plan is made anew.
    pub(crate) async fn doubt_blanks(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        let Some(layout) = self.tab.layout().cloned() else {
            return Ok(());
        };
        let mut at_stake = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(row) = item.row {
                let columns = blanks_at_stake(item).into_iter();
                at_stake
                    .extend(columns.map(|column| (index, column, (row, layout.column(column)))));
            }
        }
        if at_stake.is_empty() {
            return Ok(());
        }
        let filled = self.filled_columns();
        let mut errors = self.errors_of_reading()?;
        for item in items.iter() {
            let row = item.row.and_then(|row| self.tab.row_as_read(row));
            let cells = item.cells.iter().flatten().enumerate();
            let shown = cells.filter(|(_, cell)| is_error(cell));
            let places = shown.map(|(column, _)| layout.column(column));
            errors.extend(
                row.into_iter()
                    .flat_map(|row| places.clone().map(move |at| (row, at))),
            );
        }
        let is_doubtful = |(index, column, (row, at)): &(usize, usize, (u32, u32))| {
            // An error above, or beside it, may be that of an array that has met something.
            let row = self.tab.row_as_read(*row);
            let mut errors = errors.iter();
            let is_reached = errors.any(|error| Some(error.0) <= row && error.1 <= *at);
            let is_suspect = |item: &Item| self.is_suspect(item, *column);
            is_reached || filled.contains(column) || items.get(*index).is_some_and(is_suspect)
        };
        let suspects: Vec<_> = at_stake.into_iter().filter(is_doubtful).collect();
        if suspects.is_empty() {
            return Ok(());
        }
        let Some(snapshot) = self.round.snapshot.clone() else {
            // Without a reading nobody knows what stands around them.
            for (index, ..) in suspects {
                if let Some(item) = items.get_mut(index) {
                    item.dropped = true;
                }
            }
            self.ending.read_again = true;
            return Ok(());
        };
        let mut places = Vec::with_capacity(suspects.len());
        let mut known = Vec::with_capacity(suspects.len());
        for (index, column, (row, at)) in suspects {
            match (self.tab.row_as_read(row), items.get_mut(index)) {
                (Some(row), _) => {
                    places.push((row, at));
                    known.push((index, column, (row, at)));
                }
                (None, Some(item)) => {
                    item.dropped = true;
                    self.ending.read_again = true;
                }
                (None, None) => {}
            }
        }
        let mut grid = Grid::of(&snapshot);
        let silence = self.silence_around(&mut grid, &places).await?;
        let mut again = BTreeSet::new();
        for (index, column, at) in known {
            let by = match silence.own.contains(&at) {
                true => Some(Source::Own),
                false => grid.broken_source(&silence.arrays, at)?,
            };
            if let (Some(by), Some(item)) = (by, items.get_mut(index)) {
                item.blanks.push(Filled { column, by });
                again.insert(index);
            }
        }
        let again: Vec<usize> = again.into_iter().collect();
        self.plan(items, &again).await
    }

    /// Columns in which a formula is known to fill some row, be it by a problem. Of those that an
    /// earlier process found the reason is not known.
    pub(crate) fn filled_columns(&self) -> HashSet<usize> {
        let known = self.memory.problems.of_rows.values().flatten();
        let filled = known.filter(|one| {
            matches!(
                one.code.as_str(),
                FORMULA_CELL | BLANK_FORMULA | ERROR_CELL | ""
            )
        });
        let columns = filled.filter_map(|one| one.column);
        columns
            .chain(self.memory.cells.arrays.iter().copied())
            .collect()
    }

    /// Cells of the reading, where there is one, that show an error.
    fn errors_of_reading(&self) -> Result<Vec<(u32, u32)>, Stop> {
        match &self.round.snapshot {
            Some(snapshot) => Grid::of(snapshot).errors(u32::MAX - 1, u32::MAX - 1),
            None => Ok(Vec::new()),
        }
    }

    /// This blank cell held something, be it a value about which a person has yet to decide, or
    /// nothing is known of it, or it has a problem.
    fn is_suspect(&self, item: &Item, column: usize) -> bool {
        let known = self.memory.problems.of_row(&item.key);
        let mut waiting = item.loaded.pending.iter();
        let held = match &item.base {
            Some(base) => shows(&base.sheet, column) || waiting.any(|one| one.showed(column)),
            None => true,
        };
        held || known.iter().any(|one| one.column == Some(column))
    }

    /// Formulas that may fill others and show nothing, in the reading's rows: at the top, where
    /// those that fill a column begin, and where errors show.
    pub(crate) async fn silent_arrays(
        &mut self,
        grid: &mut Grid<'_>,
        last: u32,
        right: u32,
    ) -> Result<Vec<(u32, u32)>, Stop> {
        let header = self.mapping.header_row;
        let mut cells: BTreeSet<(u32, u32)> = grid.errors(last, right)?.into_iter().collect();
        for row in header..header.saturating_add(TOP).min(last) {
            for column in 0..=right {
                if grid.is_blank((row, column))? {
                    cells.insert((row, column));
                }
            }
        }
        let cells: Vec<(u32, u32)> = cells.into_iter().take(CANDIDATES).collect();
        let details = self.inspect_as_read(cells.clone()).await?;
        let seen = cells.into_iter().zip(details);
        let arrays = seen.filter(|(_, detail)| is_silent(detail) && may_fill(detail));
        Ok(arrays.map(|(at, _)| at).collect())
    }

    /// The formulas that may have left these cells blank.
    pub(crate) async fn silence_around(
        &mut self,
        grid: &mut Grid<'_>,
        places: &[(u32, u32)],
    ) -> Result<Silence, Stop> {
        let last = places.iter().map(|at| at.0).max().unwrap_or_default();
        let right = places.iter().map(|at| at.1).max().unwrap_or_default();
        let errors = grid.errors(last, right)?;
        let mut cells: BTreeSet<(u32, u32)> = places.iter().copied().chain(errors).collect();
        let room = places.len().saturating_add(CANDIDATES);
        let mut few = cells.len() <= room;
        for at in places {
            few = few && grid.blank_corners(*at, self.mapping.header_row, room, &mut cells)?;
        }
        // Those in rows that this cycle has deleted are gone, and what they filled with them.
        let here = |at: &(u32, u32)| !self.tab.is_removed(at.0);
        let cells: Vec<(u32, u32)> = cells.into_iter().filter(here).collect();
        let mut silence = Silence::default();
        if few {
            let now = cells
                .iter()
                .map(|(row, column)| (self.tab.moved(*row), *column));
            let details = self.inspect_as_read(now.collect()).await?;
            for (at, detail) in cells.into_iter().zip(details) {
                if !is_silent(&detail) {
                    continue;
                }
                silence.own.insert(at);
                if may_fill(&detail) {
                    silence.arrays.push(at);
                }
            }
            return Ok(silence);
        }
        for formula in self.formulas().await?.iter() {
            let Some(row) = self.tab.row_as_read(formula.row) else {
                continue;
            };
            let at = (row, formula.column);
            if grid.is_silent(at)? {
                silence.own.insert(at);
                if fills(&formula.text) {
                    silence.arrays.push(at);
                }
            }
        }
        Ok(silence)
    }

    /// The formula that shows an error or nothing, where rows that the sheet misses may be gone
    /// because of it.
    pub(crate) async fn doubt_missing(
        &mut self,
        diff: &Diff,
        snapshot: &Snapshot,
    ) -> Result<Option<(u32, u32)>, Stop> {
        let mut missing = diff.missing.iter().map(|sighting| &sighting.key);
        // What the table does not let go is not searched for at every reading.
        let is_lost = missing.any(|key| self.memory.is_agreed(key) && !self.rests(key));
        let is_missed = is_lost
            || diff
                .unconfirmed
                .iter()
                .any(|key| self.memory.is_agreed(key));
        let silent = self.memory.cells.silent.take().filter(|_| is_missed);
        if let Some(silent) = &silent
            && silent.bytes == bytes_of(snapshot, silent.at.0)
            && !self.is_due(silent.look_at)
        {
            let at = silent.at;
            self.memory.cells.silent = Some(silent.clone());
            return Ok(Some(at));
        }
        // Rows that only one reading has missed are left alone anyway.
        if !is_lost && silent.is_none() {
            return Ok(None);
        }
        let found = self.silent_formula(snapshot).await?;
        if let Some(at) = found {
            let attempts = silent.map_or(0, |silent| silent.attempts) + 1;
            self.memory.cells.silent = Some(Silent {
                at,
                bytes: bytes_of(snapshot, at.0),
                attempts,
                look_at: retry_at(self.io.now(), BROKEN_FORMULA, attempts),
            });
        }
        Ok(found)
    }

    /// Looked for where a formula that feeds the whole tab would begin, where errors show, and in
    /// blank cells of the key.
    async fn silent_formula(&mut self, snapshot: &Snapshot) -> Result<Option<(u32, u32)>, Stop> {
        let Some(layout) = self.tab.layout().cloned() else {
            return Ok(None);
        };
        let mut key: Vec<u32> = self
            .mapping
            .key
            .iter()
            .map(|one| layout.column(*one))
            .collect();
        key.sort_unstable();
        let (Some(first), Some(right)) = (key.first().copied(), key.last().copied()) else {
            return Ok(None);
        };
        let mut grid = Grid::of(snapshot);
        let rows = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
        let header = self.mapping.header_row;
        let mut cells: BTreeSet<(u32, u32)> = grid.errors(rows, right)?.into_iter().collect();
        // Blank rows among the others: their keys may be formulas that show nothing.
        for row in header.saturating_add(TOP)..self.tab.last_end() {
            if grid.is_blank((row, first))? {
                cells.extend(key.iter().map(|column| (row, *column)));
            }
        }
        let few = cells.len() <= 2 * CANDIDATES;
        for row in header..header.saturating_add(TOP) {
            cells.extend((0..=right).map(|column| (row, column)));
        }
        let silent: Vec<((u32, u32), bool)> = if few {
            let cells: Vec<(u32, u32)> = cells.into_iter().collect();
            let details = self.inspect_as_read(cells.clone()).await?;
            let seen = cells.into_iter().zip(details);
            seen.filter(|(_, detail)| is_silent(detail))
                .map(|(at, detail)| (at, may_fill(&detail)))
                .collect()
        } else {
            let mut silent = Vec::new();
            for formula in self.formulas().await?.iter() {
                let at = (formula.row, formula.column);
                if cells.contains(&at) && grid.is_silent(at)? {
                    silent.push((at, fills(&formula.text)));
                }
            }
            silent
        };
        for (at, fills) in silent {
            // Below the data formulas stand ready for rows to come.
            let end = self.tab.last_end();
            let among = at.0 < end || end <= header;
            let makes_keys = key.contains(&at.1) && among && grid.is_blank(at)?;
            let beside = (at.0 + u32::from(at.1 == right), right);
            if makes_keys || fills && grid.covers(at, beside)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Rows that are gone from a tab that a formula fills, or whose keys a formula makes, may be
    /// back any moment: while it shows nothing none of them counts as deleted.
    pub(crate) fn wait_for_formula(&mut self, diff: &mut Diff, at: (u32, u32)) {
        let missing = diff.missing.iter().map(|sighting| &sighting.key);
        let missed = missing.chain(&diff.unconfirmed);
        let waits = |key: &&Key| self.memory.is_agreed(key) && !diff.rekeyed.contains(*key);
        let missed: BTreeSet<Key> = missed.filter(waits).cloned().collect();
        if missed.is_empty() {
            return;
        }
        let formula = place(at.0, at.1);
        let rows = match missed.len() {
            1 => "a row is gone from the sheet: the table keeps it".to_owned(),
            count => format!("{count} rows are gone from the sheet: the table keeps them"),
        };
        self.hide(diff, missed.into_iter().collect());
        self.ending.held_back = true;
        diff.problems.push(sheet_problem(
            at.0,
            None,
            BROKEN_FORMULA,
            format!("The formula in {formula} shows nothing or an error, and {rows}."),
            "Fix the formula. If the rows are to go, remove the formula, too.".into(),
        ));
    }
}

const BROKEN_FORMULA: &str = "broken_formula";

/// The code of a cell that shows an error: it may be that of an array.
const ERROR_CELL: &str = "error_cell";

fn bytes_of(snapshot: &Snapshot, row: u32) -> Option<BytesHash> {
    let row = snapshot.rows.get(row as usize)?;
    Some(hash_bytes(row.get().as_bytes()))
}

/// Columns that are blank in the sheet, where the plan makes something of it.
fn blanks_at_stake(item: &Item) -> Vec<usize> {
    let Some(cells) = &item.cells else {
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
    let known = |column: &usize| item.blanks.iter().any(|blank| blank.column == *column);
    let columns = columns.into_iter();
    columns
        .filter(|column| !shows(cells, *column) && !known(column))
        .collect()
}

fn shows(cells: &[Cell], column: usize) -> bool {
    cells.get(column).is_some_and(|cell| *cell != Cell::Empty)
}
