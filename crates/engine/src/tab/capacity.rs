//! How much goes into one request.

use std::collections::HashSet;

use super::{MAX_ROWS_KEEPING_ANCHORS, Tab};
use crate::cost;
use crate::effect::AnchoredRow;
use crate::value::Cell;

/// Rows that go through the cycle together at most, where each has to be tagged.
pub(crate) const LARGEST_CHUNK: usize = 5_000;

/// A request that is being filled.
pub(crate) struct Filling {
    whole: usize,
    left: usize,
}

impl Filling {
    fn new(whole: usize) -> Self {
        Self { whole, left: 0 }
    }

    /// Whether `next` bytes still fit; otherwise it is the first in a new request, where it takes
    /// `first`.
    fn takes(&mut self, first: usize, next: usize) -> bool {
        let fits = next <= self.left;
        self.left = match fits {
            true => self.left - next,
            false => self.whole.saturating_sub(first),
        };
        fits
    }

    /// Whether a row of cells to be written fits into the request that begins with, or goes on
    /// after, the row `before`.
    pub(crate) fn takes_cells(&mut self, before: Option<&AnchoredRow>, row: &AnchoredRow) -> bool {
        let joins = before.is_some_and(|before| before.row.saturating_add(1) == row.row);
        let same = before.is_some_and(|before| joins && same_columns(before, row));
        let cells: usize = row.cells.iter().map(|(_, cell)| cost::cell(cell)).sum();
        let guard = if row.bare { 0 } else { cost::GUARD };
        let alone = guard + cost::ROW + cells;
        let begun = cost::BLOCK * column_runs(row);
        let first = alone + begun + cost::IMAGES;
        let next = match (joins, same) {
            (true, true) => alone,
            (true, false) => alone + begun,
            (false, _) => first,
        };
        self.takes(first, next)
    }

    /// Whether a new row fits. Columns between those that are filled are written as blanks.
    pub(crate) fn takes_new_row<'a>(
        &mut self,
        cells: impl Iterator<Item = (u32, &'a Cell)>,
    ) -> bool {
        let (mut width, mut count, mut bytes) = (0, 0, cost::ROW);
        for (column, cell) in cells {
            width = width.max(column as usize + 1);
            count += 1;
            bytes += cost::cell(cell);
        }
        bytes += width.saturating_sub(count) * cost::cell(&Cell::Empty);
        self.takes(bytes, bytes)
    }
}

impl Tab {
    /// As many rows as can be tagged in one request, each by itself.
    pub(crate) fn max_tagged_rows(&self) -> usize {
        (self.request_bytes() / (cost::TAG + cost::DROP)).clamp(1, LARGEST_CHUNK)
    }

    /// How many of these rows go through the cycle together, where `None` is a new one: as many as
    /// can be tagged in one request, or as new ones about fill one. A crash costs at most the work
    /// on these.
    pub(crate) fn chunk_size(&self, rows: impl Iterator<Item = Option<u32>>) -> usize {
        let (tag, cell) = (cost::TAG + cost::DROP, cost::cell(&Cell::Bool(true)));
        let new_row = cost::ROW + self.shape.columns * cell;
        let sparse = self.is_sparse();
        let (mut room, mut before) = (self.request_bytes(), None);
        let takes = |row: &Option<u32>| {
            let follows = row.is_some() && *row == before;
            before = row.and_then(|row| row.checked_add(1));
            let bytes = match row {
                None => new_row,
                Some(_) if follows && sparse => tag / self.shape.anchors_apart,
                Some(_) => tag,
            };
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        rows.take(2 * LARGEST_CHUNK)
            .take_while(takes)
            .count()
            .max(1)
    }

    /// Bytes that a request has for what it is about.
    pub(crate) fn request_bytes(&self) -> usize {
        self.shape.request_bytes.saturating_sub(cost::ENVELOPE)
    }

    /// A request that writes cells, with so many rows in all of them.
    pub(crate) fn write_to_fill(&self, rows: usize) -> Filling {
        let name = cost::NAME + cost::PLACE * self.shape.columns;
        let names = rows.min(MAX_ROWS_KEEPING_ANCHORS) * name;
        Filling::new(self.request_bytes().saturating_sub(names))
    }

    /// A request that inserts rows.
    pub(crate) fn insertion_to_fill(&self) -> Filling {
        let old = self.old_marks().len() * cost::DROP;
        Filling::new(self.request_bytes().saturating_sub(old))
    }

    /// As many rows as can be deleted in one request.
    pub(crate) fn deletions(&self) -> usize {
        let old = self.old_marks().len() * cost::DROP;
        (self.request_bytes().saturating_sub(old) / cost::DELETION).max(1)
    }
}

/// Of runs of rows that follow one another only every `apart`th gets an anchor, and the last one.
pub(super) fn without_anchors(mut rows: Vec<(u32, bool)>, apart: usize) -> HashSet<u32> {
    rows.sort_unstable();
    let runs = rows.chunk_by(|(row, _), (next, _)| row.saturating_add(1) == *next);
    let long = runs.filter(|run| run.len() > apart);
    let bare = long.flat_map(|run| {
        let last = run.len() - 1;
        let places = run.iter().enumerate();
        let between = places.filter(move |(at, _)| at % apart != 0 && *at != last);
        between.filter(|(_, (_, leaves))| !leaves)
    });
    bare.map(|(_, (row, _))| *row).collect()
}

fn same_columns(one: &AnchoredRow, other: &AnchoredRow) -> bool {
    let columns = |row: &AnchoredRow| row.cells.iter().map(|(column, _)| *column).collect();
    let (one, other): (HashSet<u32>, HashSet<u32>) = (columns(one), columns(other));
    one == other
}

/// Neighbouring columns are written together.
fn column_runs(row: &AnchoredRow) -> usize {
    let mut columns: Vec<u32> = row.cells.iter().map(|(column, _)| *column).collect();
    columns.sort_unstable();
    columns
        .chunk_by(|left, right| left.saturating_add(1) == *right)
        .count()
}
