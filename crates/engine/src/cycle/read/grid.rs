//! The cells of a reading, parsed where they are asked for.

use crate::effect::Reason;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::codec::is_error;
use crate::cycle::read::formula_text::place;
use crate::cycle::stop::Stop;
use crate::effect::{Class, Failure, Snapshot};
use crate::reconcile::Source;
use crate::value::Cell;

/// The cells of one row.
pub(crate) fn parse(snapshot: &Snapshot, row: u32) -> Result<Vec<Cell>, Failure> {
    match snapshot.rows.get(row as usize) {
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|error| bad_answer(format!("Row {}: {error}", row + 1))),
        None => Ok(Vec::new()),
    }
}

/// Rows and columns are those of the reading.
pub(crate) struct Grid<'a> {
    snapshot: &'a Snapshot,
    rows: HashMap<u32, Vec<Cell>>,
    /// How many of the first cells of a row, and of a column, are blank: entry `n` counts the first
    /// `n`.
    blank_in_row: HashMap<u32, Vec<u32>>,
    blank_in_column: HashMap<u32, Vec<u32>>,
    /// Cells from which [`Grid::blank_corners`] has gone left, and then up.
    cornered: HashSet<(u32, u32)>,
}

impl<'a> Grid<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            rows: HashMap::new(),
            blank_in_row: HashMap::new(),
            blank_in_column: HashMap::new(),
            cornered: HashSet::new(),
        }
    }

    pub(crate) fn row(&mut self, row: u32) -> Result<&[Cell], Stop> {
        if !self.rows.contains_key(&row) {
            self.rows.insert(row, parse(self.snapshot, row)?);
        }
        Ok(self.rows.get(&row).map(Vec::as_slice).unwrap_or_default())
    }

    pub(crate) fn cell(&mut self, (row, column): (u32, u32)) -> Result<Cell, Stop> {
        let cell = self.row(row)?.get(column as usize);
        Ok(cell.cloned().unwrap_or(Cell::Empty))
    }

    pub(crate) fn is_blank(&mut self, at: (u32, u32)) -> Result<bool, Stop> {
        Ok(self.cell(at)? == Cell::Empty)
    }

    /// It shows an error, or nothing.
    pub(crate) fn is_silent(&mut self, at: (u32, u32)) -> Result<bool, Stop> {
        let cell = self.cell(at)?;
        Ok(cell == Cell::Empty || is_error(&cell))
    }

    /// Cells that show an error, up to this row and column.
    pub(crate) fn errors(&mut self, last: u32, columns: u32) -> Result<Vec<(u32, u32)>, Stop> {
        let mut found = Vec::new();
        let rows = self.snapshot.rows.iter().take(last as usize + 1);
        let rows: Vec<u32> = (0..)
            .zip(rows)
            .filter(|(_, raw)| may_hold(raw.get(), &["\"#", "\"Loading"]))
            .map(|(row, _)| row)
            .collect();
        for row in rows {
            let cells = (0..).zip(self.row(row)?).take(columns as usize + 1);
            let errors = cells.filter(|(_, cell)| is_error(cell));
            found.extend(errors.map(|(column, _)| (row, column)));
        }
        Ok(found)
    }

    /// Whether the array that begins at `from` would fill this cell, as far as its edges tell: most
    /// of them are blank with it.
    pub(crate) fn covers(&mut self, from: (u32, u32), to: (u32, u32)) -> Result<bool, Stop> {
        if from == to || from.0 > to.0 || from.1 > to.1 {
            return Ok(false);
        }
        let mostly = |blank: u32, cells: u32| cells == 0 || blank > cells / 2;
        let right = self.blank_to_the_right(from, to.1)?;
        let down = self.blank_below(from, to.0)?;
        Ok(mostly(right, to.1 - from.1) && mostly(down, to.0 - from.0))
    }

    /// Which of these arrays would fill this cell, were it not broken.
    pub(crate) fn broken_source(
        &mut self,
        arrays: &[(u32, u32)],
        at: (u32, u32),
    ) -> Result<Option<Source>, Stop> {
        for from in arrays {
            if self.covers(*from, at)? || self.met_on_its_way(*from, at)? {
                return Ok(Some(Source::Cell(place(from.0, from.1))));
            }
        }
        Ok(None)
    }

    /// Whether the array that begins at `from` shows that it met something typed, and may have
    /// filled this cell before: what it met may be most of the cells up to here.
    pub(crate) fn met_on_its_way(
        &mut self,
        from: (u32, u32),
        to: (u32, u32),
    ) -> Result<bool, Stop> {
        let is_beyond = from != to && from.0 <= to.0 && from.1 <= to.1;
        let has_met = match self.cell(from)? {
            Cell::Text(text) => text.starts_with("#REF!"),
            _ => false,
        };
        if !is_beyond || !has_met {
            return Ok(false);
        }
        let (blank, cells) = (
            self.blank_below((from.0, to.1), to.0)?,
            to.0.saturating_sub(from.0),
        );
        Ok(from.1 == to.1 || cells == 0 || blank > cells / 2)
    }

    /// Blank cells of the row after this one, up to a column.
    fn blank_to_the_right(&mut self, from: (u32, u32), last: u32) -> Result<u32, Stop> {
        if !self.blank_in_row.contains_key(&from.0) {
            let counts = counts(self.row(from.0)?.iter().map(|cell| *cell == Cell::Empty));
            self.blank_in_row.insert(from.0, counts);
        }
        let counts = self.blank_in_row.get(&from.0);
        Ok(counts.map_or(0, |counts| between(counts, from.1, last)))
    }

    /// Blank cells of the column below this one, down to a row.
    fn blank_below(&mut self, from: (u32, u32), last: u32) -> Result<u32, Stop> {
        if !self.blank_in_column.contains_key(&from.1) {
            let rows = u32::try_from(self.snapshot.rows.len()).unwrap_or(u32::MAX);
            let mut blank = Vec::with_capacity(self.snapshot.rows.len());
            for row in 0..rows {
                blank.push(self.is_blank((row, from.1))?);
            }
            self.blank_in_column
                .insert(from.1, counts(blank.into_iter()));
        }
        let counts = self.blank_in_column.get(&from.1);
        Ok(counts.map_or(0, |counts| between(counts, from.0, last)))
    }

    /// Adds the blank cells from which an array that shows nothing could reach this one: nothing
    /// interrupts them. False where more than `room` of them are found, and the search ends.
    pub(crate) fn blank_corners(
        &mut self,
        (row, column): (u32, u32),
        top: u32,
        room: usize,
        found: &mut BTreeSet<(u32, u32)>,
    ) -> Result<bool, Stop> {
        for above in (top..=row).rev() {
            // Another cell has led here before: what stands further up was found then.
            if !self.is_blank((above, column))? || !self.cornered.insert((above, column)) {
                break;
            }
            for left in (0..=column).rev() {
                if !self.is_blank((above, left))? {
                    break;
                }
                found.insert((above, left));
            }
            if found.len() > room {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether one of these texts may stand in the raw bytes of a row: any character may have been
/// written as an escape.
pub(crate) fn may_hold(raw: &str, texts: &[&str]) -> bool {
    raw.contains('\\') || texts.iter().any(|text| raw.contains(text))
}

fn counts(cells: impl Iterator<Item = bool>) -> Vec<u32> {
    let mut count = 0;
    let counts = cells.map(|one| {
        count += u32::from(one);
        count
    });
    std::iter::once(0).chain(counts).collect()
}

/// Of what was counted, that after the cell `first` up to the cell `last`. What lies beyond the
/// last cell that has anything is blank.
fn between(counts: &[u32], first: u32, last: u32) -> u32 {
    let up_to = |cells: u32| {
        let known = u32::try_from(counts.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let count = counts.get(cells.min(known) as usize).copied();
        count.unwrap_or_default() + cells.saturating_sub(known)
    };
    up_to(last.saturating_add(1)).saturating_sub(up_to(first.saturating_add(1)))
}

/// Google's bytes were not what its own documentation says.
fn bad_answer(message: String) -> Failure {
    Failure {
        class: Class::RetryLater,
        reason: Reason::BadAnswer,
        message,
        hint: "Google's answer could not be understood; it is asked again later.".into(),
        retry_after_ms: None,
        may_have_applied: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(rows: &[&str]) -> Snapshot {
        let raw = |text: &&str| serde_json::value::RawValue::from_string((*text).into());
        let rows: Result<_, _> = rows.iter().map(raw).collect();
        Snapshot {
            sent_at: crate::value::Timestamp(0),
            read_at: crate::value::Timestamp(0),
            grid_rows: 10,
            grid_columns: 10,
            rows: rows.expect("each row is JSON"),
        }
    }

    #[test]
    fn an_array_covers_what_is_blank_with_it() {
        let rows = [
            r##"["#REF!","",""]"##,
            r#"["","","x"]"#,
            r#"["","y"]"#,
            r#"["z","","x"]"#,
            r#"["w"]"#,
        ];
        let snapshot = reading(&rows);
        let mut grid = Grid::of(&snapshot);
        let mut covers = |to| grid.covers((0, 0), to).unwrap_or_default();
        assert!(covers((2, 1)) && covers((1, 9)) && covers((3, 1)));
        assert!(!covers((4, 1)) && !covers((0, 0)));
        assert!(covers((9, 1)), "rows beyond the reading are blank");
    }

    #[test]
    fn an_array_may_have_met_most_of_its_cells() {
        let rows = [
            r##"["#REF!",""]"##,
            r#"["x","y"]"#,
            r#"["x"]"#,
            r#"["",""]"#,
        ];
        let snapshot = reading(&rows);
        let mut grid = Grid::of(&snapshot);
        let mut met = |to| grid.met_on_its_way((0, 0), to).unwrap_or_default();
        assert!(met((3, 0)), "below what was typed");
        assert!(met((3, 1)) && met((0, 1)));
        assert!(!met((0, 0)) && !grid.covers((0, 0), (3, 0)).unwrap_or_default());
    }

    #[test]
    fn escapes_hide_nothing() {
        assert!(may_hold(r#"["\u0023REF!"]"#, &["\"#"]));
        assert!(may_hold(r##"["#REF!"]"##, &["\"#"]));
        assert!(!may_hold(r#"["REF!"]"#, &["\"#"]));
    }
}
