//! What cells mean whose value alone does not tell it: asked for between loading and deciding, for
//! those cells only.

use crate::codec::is_error;
use crate::cycle::item::{Item, is_refused};
use crate::cycle::read::grid::Grid;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{
    CellDetail, DatabaseEffect, DatabaseOutcome, Entered, Refusal, SheetEffect, SheetOutcome,
    Shows, TypedText,
};
use crate::io::mismatch;
use crate::mapping::Kind;
use crate::value::{Cell, Text};

/// Texts that one `Canonicalise` asks about.
const CANONICALISE: usize = 10_000;

/// A cell of a row that is being decided about.
#[derive(Clone, Copy)]
struct At {
    item: usize,
    column: usize,
}

impl Cycle {
    /// Cells that tell another value than when they were read belong to rows that are read again.
    pub(crate) async fn read_meanings(
        &mut self,
        items: &mut [Item],
        which: &[usize],
    ) -> Result<(), Stop> {
        let mut typed: Vec<At> = Vec::new();
        let mut unclear: Vec<At> = Vec::new();
        for index in which {
            let Some(item) = items.get(*index).filter(|item| !item.dropped) else {
                continue;
            };
            for (column, cell) in self.filled_by_people(item) {
                let at = At {
                    item: *index,
                    column,
                };
                match self.mapping.needs_detail(column, cell) {
                    true => unclear.push(at),
                    false => typed.push(at),
                }
            }
        }
        for at in typed.iter().copied() {
            self.note_meaning(items, at, None);
        }
        self.learn_durations(items, which).await?;
        self.look_at_cells(items, unclear.clone()).await?;
        typed.append(&mut unclear);
        self.read_notations(items, typed).await
    }

    /// What may have to be read into the table, and may mean something else than its value says.
    fn filled_by_people<'a>(&self, item: &'a Item) -> Vec<(usize, &'a Cell)> {
        let Some(cells) = &item.cells else {
            return Vec::new();
        };
        let refused = self.standing_refusals(item);
        let mut filled = Vec::new();
        for (column, cell) in cells.iter().enumerate() {
            let is_new = item.base.is_none() && item.loaded.row.is_none();
            let is_key = self.mapping.key.contains(&column);
            let as_agreed = |base: &crate::value::Base| base.sheet.get(column) == Some(cell);
            let has_row = item.loaded.row.is_some();
            let settled = self.mapping.speaks_for_itself(column, cell)
                || is_key && !is_new
                || !is_key && !self.mapping.pulls(column)
                || item.base.as_ref().is_some_and(as_agreed)
                || has_row && self.mapping.agreed(column, &item.table_value(column), cell)
                || item.meanings.of(column, cell).is_some()
                || is_refused(&refused, column);
            if !settled {
                filled.push((column, cell));
            }
        }
        filled
    }

    fn note_meaning(&self, items: &mut [Item], at: At, detail: Option<&CellDetail>) {
        let Some(item) = items.get_mut(at.item) else {
            return;
        };
        let cell = item.cells.as_ref().and_then(|cells| cells.get(at.column));
        if let Some(cell) = cell.cloned() {
            let meaning = self.mapping.read(at.column, &cell, detail);
            item.meanings.note(at.column, cell, meaning);
        }
    }

    async fn look_at_cells(&mut self, items: &mut [Item], unclear: Vec<At>) -> Result<(), Stop> {
        let Some(layout) = self.tab.layout().cloned() else {
            return Ok(());
        };
        let place = |at: &At| Some((items.get(at.item)?.row?, layout.column(at.column)));
        let (asked, places): (Vec<At>, Vec<(u32, u32)>) = unclear
            .iter()
            .filter_map(|at| Some((*at, place(at)?)))
            .unzip();
        let details = self.inspect(places).await?;
        for (at, detail) in asked.into_iter().zip(details) {
            let Some(item) = items.get_mut(at.item) else {
                continue;
            };
            let cell = item.cells.as_ref().and_then(|cells| cells.get(at.column));
            if cell.is_some_and(|cell| is_same(cell, &detail.value)) {
                self.note_meaning(items, at, Some(&detail));
            } else {
                item.dropped = true;
                self.ending.read_again = true;
            }
        }
        Ok(())
    }

    /// Cells of the last reading. Where one of them shows something else by now, another cell may
    /// have come to its place: then the reading is outdated, and nothing is concluded from it.
    pub(crate) async fn inspect_as_read(
        &mut self,
        cells: Vec<(u32, u32)>,
    ) -> Result<Vec<CellDetail>, Stop> {
        let details = self.inspect(cells.clone()).await?;
        let Some(snapshot) = self.round.snapshot.clone() else {
            return Ok(details);
        };
        let mut grid = Grid::of(&snapshot);
        for ((row, column), detail) in cells.into_iter().zip(&details) {
            let read = match self.tab.row_as_read(row) {
                Some(row) => grid.cell((row, column))?,
                None => continue,
            };
            if !is_as_read(&read, detail) {
                return Err(Stop::Outdated);
            }
        }
        Ok(details)
    }

    /// For callers that compare the answer with what was read: see [`Cycle::inspect_as_read`].
    pub(crate) async fn inspect(
        &mut self,
        cells: Vec<(u32, u32)>,
    ) -> Result<Vec<CellDetail>, Stop> {
        if cells.is_empty() {
            return Ok(Vec::new());
        }
        let asked = cells.clone();
        match self.io.sheet(SheetEffect::Inspect { cells }).await? {
            SheetOutcome::Inspected(details) if details.len() == asked.len() => {
                self.note_arrays(&asked, &details);
                Ok(details)
            }
            _ => Err(mismatch().into()),
        }
    }

    /// What Postgres makes of a typed text is no change of it where both are one value: the cell
    /// stays as the person wrote it.
    async fn read_notations(&mut self, items: &mut [Item], typed: Vec<At>) -> Result<(), Stop> {
        let of_postgres = |at: &At| {
            let column = self.mapping.columns.get(at.column)?;
            let item = items.get(at.item)?;
            let cell = item.cells.as_ref()?.get(at.column)?;
            match (cell, column.kind, item.meanings.of(at.column, cell)?) {
                (Cell::Text(_), kind, Ok(Some(text))) if has_notations(kind) => Some(text.clone()),
                // An amount of money is a number in the sheet, and can be summed up.
                (Cell::Number(_), Kind::Printed, Ok(Some(text))) => Some(text.clone()),
                _ => None,
            }
        };
        let asked: Vec<(At, Text)> = typed
            .iter()
            .filter_map(|at| Some((*at, of_postgres(at)?)))
            .collect();
        for chunk in asked.chunks(CANONICALISE) {
            let cells = chunk.iter().map(|(at, text)| TypedText {
                column: at.column,
                text: text.clone(),
            });
            for ((at, _), canonical) in chunk.iter().zip(self.canonical(cells.collect()).await?) {
                // What Postgres does not take it refuses once more, in its own words, when it is
                // applied.
                let (Ok(text), Some(item)) = (canonical, items.get_mut(at.item)) else {
                    continue;
                };
                let cell = item.cells.as_ref().and_then(|cells| cells.get(at.column));
                if let Some(cell) = cell.cloned() {
                    item.meanings.note(at.column, cell, Ok(Some(text)));
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn canonical(
        &self,
        cells: Vec<TypedText>,
    ) -> Result<Vec<Result<Text, Refusal>>, Stop> {
        let asked = cells.len();
        match self
            .io
            .database(DatabaseEffect::Canonicalise { cells })
            .await?
        {
            DatabaseOutcome::Canonical(answers) if answers.len() == asked => Ok(answers),
            _ => Err(mismatch().into()),
        }
    }

    /// Whether new rows show intervals as durations is told by the row above them, whose formats
    /// they take on.
    async fn learn_durations(&mut self, items: &[Item], which: &[usize]) -> Result<(), Stop> {
        let new = |item: &Item| item.row.is_none() && item.loaded.row.is_some();
        let end = self.tab.last_end();
        let mapping = self.mapping.clone();
        let of_intervals = |column: &usize| {
            let kind = mapping.columns.get(*column).map(|column| column.kind);
            kind == Some(Kind::Interval) && mapping.pushes(*column)
        };
        let columns: Vec<usize> = (0..mapping.columns.len())
            .filter(of_intervals)
            .filter(|column| !self.memory.cells.durations.contains_key(column))
            .collect();
        let any_new = || which.iter().filter_map(|index| items.get(*index)).any(new);
        if columns.is_empty() || end <= mapping.header_row || !any_new() {
            return Ok(());
        }
        let Some(layout) = self.tab.layout().cloned() else {
            return Ok(());
        };
        let above = |column: &usize| (end - 1, layout.column(*column));
        let places = columns.iter().map(above).collect();
        let details = self.inspect_as_read(places).await?;
        for (column, detail) in columns.into_iter().zip(details) {
            let counts = matches!(detail.format.shows, Shows::Duration | Shows::Time);
            self.memory.cells.durations.insert(column, counts);
        }
        Ok(())
    }
}

/// Whether Postgres has more than one way to write a value of this kind.
fn has_notations(kind: Kind) -> bool {
    match kind {
        Kind::Boolean
        | Kind::Date
        | Kind::Time
        | Kind::Timestamp
        | Kind::TimestampTz
        | Kind::Interval
        | Kind::Json
        | Kind::Array
        | Kind::Printed => true,
        // Compared by value, or to the letter.
        Kind::Integer | Kind::Float4 | Kind::Float8 | Kind::Numeric | Kind::Text => false,
    }
}

/// What a formula shows may go on changing by itself; whether it shows anything, and whether that
/// is an error, is looked at.
fn is_as_read(read: &Cell, detail: &CellDetail) -> bool {
    let shows = |cell: &Cell| *cell != Cell::Empty && !is_error(cell);
    let computed = detail.entered != Entered::Value;
    is_same(read, &detail.value)
        || is_error(read) && is_error(&detail.value)
        || computed && shows(read) && shows(&detail.value)
}

/// Two prints of one double may differ in the last digit.
pub(crate) fn is_same(ours: &Cell, theirs: &Cell) -> bool {
    match (ours, theirs) {
        (Cell::Number(ours), Cell::Number(theirs)) => {
            (ours - theirs).abs() <= ours.abs() * 1e-14 + 1e-11
        }
        (ours, theirs) => ours == theirs,
    }
}
