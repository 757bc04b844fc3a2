//! Formulas that fill other cells than their own: `=ARRAYFORMULA(IF(id="","",LEN(name)))`, which
//! fills its column from its own row down to the last one. What it fills has a value and nothing
//! that was entered. Where somebody types into its area it breaks: it shows `#REF!`, and all that
//! it filled is blank, until the cell is empty again. And what it takes its values from may show
//! nothing for a while.

use super::super::{Verdict, broken};
use super::{ColumnUse, Content, Tab, Uid};
use engine::value::{Cell, Timestamp};
use std::collections::BTreeSet;

/// The formula's text, as the engine reads it.
pub(super) const ARRAY: &str = "=ARRAYFORMULA(IF(id=\"\",\"\",LEN(name)))";

/// What an array shows while its source shows nothing.
pub(super) fn silences() -> [Cell; 3] {
    ["", "Loading...", "#N/A"].map(|text| match text {
        "" => Cell::Empty,
        text => Cell::Text(text.into()),
    })
}

impl Tab {
    /// The row of the array in whose area this cell lies, be it broken.
    fn array_above(&self, row: usize, column: usize) -> Option<usize> {
        let above = (self.header() + 1..row).rev();
        above
            .into_iter()
            .find(|above| self.rows[*above].cells[column] == Content::Array)
    }

    /// Somebody typed into its area.
    fn is_broken(&self, array: usize, column: usize) -> bool {
        let mut below = self.rows[array + 1..].iter();
        below.any(|row| row.cells[column] != Content::BLANK)
    }

    /// What the array shows in its own cell.
    pub(super) fn shown_by_array(&self, array: usize, column: usize, now: Timestamp) -> Cell {
        match &self.silence {
            _ if self.is_broken(array, column) => Cell::Text("#REF!".into()),
            Some(silence) => silence.clone(),
            None => self.computed_by_array(array, now),
        }
    }

    /// What a cell shows into which nothing was entered.
    pub(super) fn filled(&self, row: usize, column: usize, now: Timestamp) -> Cell {
        let array = self.array_above(row, column);
        match array.filter(|array| self.silence.is_none() && !self.is_broken(*array, column)) {
            Some(_) => self.computed_by_array(row, now),
            None => Cell::Empty,
        }
    }

    fn computed_by_array(&self, row: usize, now: Timestamp) -> Cell {
        let key = self.mapping.key.iter();
        let keyless = key
            .map(|key| self.mapped_cell(row, *key, now))
            .all(|cell| cell == Cell::Empty);
        match keyless {
            true => Cell::Empty,
            false => self.length_of_name(row, now),
        }
    }

    /// A cell that is an array's, whatever that shows.
    pub(super) fn is_of_array(&self, row: usize, column: usize) -> bool {
        match &self.rows[row].cells[column] {
            Content::Array => true,
            content => *content == Content::BLANK && self.array_above(row, column).is_some(),
        }
    }

    /// An array begins in this row and shows nothing, or an error.
    pub fn is_array_silent(&self, row: usize, now: Timestamp) -> bool {
        let cells = self.rows.get(row).map(|row| row.cells.iter().enumerate());
        let mut arrays = cells
            .into_iter()
            .flatten()
            .filter(|(_, cell)| **cell == Content::Array);
        arrays.any(|(column, _)| {
            let shown = self.shown_by_array(row, column, now);
            shown == Cell::Empty || matches!(shown, Cell::Text(_))
        })
    }

    pub(super) fn note_shown(&mut self) {
        self.arrays_shown |= self.has_arrays() && self.silence != Some(Cell::Empty);
    }

    /// An engine begins that has seen nothing yet.
    pub fn forget_shown(&mut self) {
        self.arrays_shown = false;
    }

    pub fn has_arrays(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| &row.cells);
        cells.any(|cell| *cell == Content::Array)
    }

    /// The mapped cells that are arrays' own or in their areas, with nothing entered.
    pub fn cells_of_arrays(&self) -> BTreeSet<(Uid, usize)> {
        let mut found = BTreeSet::new();
        for (column, used) in self.columns.iter().enumerate() {
            let ColumnUse::Mapped(mapped) = used else {
                continue;
            };
            let rows = self.header() + 1..self.rows.len();
            let of_array = rows.filter(|row| self.is_of_array(*row, column));
            found.extend(of_array.map(|row| (self.rows[row].uid, *mapped)));
        }
        found
    }

    /// No cell of an array's is written. One that fills no other may go with its row.
    pub(super) fn may_be_written(
        &self,
        row: usize,
        column: usize,
        cell: &Cell,
        now: Timestamp,
    ) -> Verdict {
        let goes = *cell == Cell::Empty && !self.feeds(row, column, now);
        match self.is_of_array(row, column) && self.arrays_shown && !goes {
            true => broken(format!(
                "{cell:?} is written into row {row}, column {column}, which a formula fills"
            )),
            false => Ok(()),
        }
    }

    /// A new row leaves the columns to the arrays that reach it. One that somebody broke already is
    /// not seen by what is in its area.
    pub(super) fn may_be_inserted(&self, row: usize, column: usize, cell: &Cell) -> Verdict {
        let array = self.array_above(row, column);
        let reaches = array.is_some_and(|array| !self.is_broken(array, column));
        match reaches && self.arrays_shown && *cell != Cell::Empty {
            true => broken(format!(
                "a new row, {row}, holds {cell:?} in column {column}, which a formula fills"
            )),
            false => Ok(()),
        }
    }

    fn feeds(&self, row: usize, column: usize, now: Timestamp) -> bool {
        let is_array = self.rows[row].cells[column] == Content::Array;
        let mut below = row + 1..self.rows.len();
        is_array && below.any(|below| self.filled(below, column, now) != Cell::Empty)
    }

    /// The row of a formula that fills others stays.
    pub(super) fn may_be_deleted(&self, row: usize, now: Timestamp) -> Verdict {
        let feeds = |column: &usize| self.feeds(row, *column, now);
        match (0..self.columns.len()).find(feeds) {
            Some(column) => broken(format!(
                "row {row} is deleted, whose formula fills column {column} of others"
            )),
            None => Ok(()),
        }
    }

    // ------------------------------------------------------------------------------------------------------------ people

    /// The column is given to an array, in the first row that has anything, or given again to the
    /// one that has it.
    pub(super) fn put_array(&mut self, mapped: usize) {
        let (Some(column), Some(first)) =
            (self.position(mapped), self.data_rows().first().copied())
        else {
            return;
        };
        let mut rows = first..self.rows.len();
        let known = rows.find(|row| self.rows[*row].cells[column] == Content::Array);
        self.arrays_shown &= known.is_some();
        let array = known.unwrap_or(first);
        self.rows[array].cells[column] = Content::Array;
        for row in &mut self.rows[array + 1..] {
            row.cells[column] = Content::BLANK;
        }
    }

    /// What the arrays take their values from shows nothing, or is back.
    pub(super) fn silence(&mut self, how: u8) {
        let [blank, loading, missing] = silences();
        self.silence = match (&self.silence, how % 3) {
            (Some(_), _) => None,
            (None, 0) => Some(blank),
            (None, 1) => Some(loading),
            (None, _) => Some(missing),
        };
    }
}
