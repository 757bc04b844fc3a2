//! What goes into one request together.

use std::collections::HashSet;
use std::sync::Arc;

use super::batch::CHUNK;
use super::header::Layout;
use super::item::Item;
use super::run::Cycle;
use super::snapshot::Sighting;
use super::structure::FEW;
use crate::cost;
use crate::effect::{AnchoredRow, Computed, NewRow, Stamp};
use crate::reconcile::SheetChange;
use crate::value::{Cell, Key};

/// Keys that are loaded, applied and recorded together at most.
const LARGEST: usize = 2 * CHUNK;

/// Part of a write that fits into one request, by rows.
pub(super) struct Piece {
    pub rows: Vec<AnchoredRow>,
    pub items: Vec<usize>,
}

/// New rows that go into the sheet in one batch.
pub(super) struct Insertion {
    pub items: Vec<usize>,
    pub rows: Arc<[NewRow]>,
    pub stamp: Stamp,
}

impl Insertion {
    pub(super) fn keys(&self, items: &[Item]) -> Vec<Key> {
        let items = self.items.iter().filter_map(|index| items.get(*index));
        items.map(|item| item.key.clone()).collect()
    }
}

/// What is left in the request that is being filled.
struct Room {
    whole: usize,
    left: usize,
}

impl Room {
    /// Whether it still fits; otherwise it is the first in a new request.
    fn takes(&mut self, first: usize, next: usize) -> bool {
        let fits = next <= self.left;
        self.left = match fits {
            true => self.left - next,
            false => self.whole.saturating_sub(first),
        };
        fits
    }
}

impl Cycle {
    /// As many rows as can be tagged in one request, each by itself.
    pub(super) fn chunk(&self) -> usize {
        (self.room() / (cost::TAG + cost::DROP)).clamp(1, CHUNK)
    }

    /// How many of these go through a batch together: their rows can be tagged in one request, new
    /// ones about fill one, and no crash costs more than they do.
    pub(super) fn batch_size<'a>(&self, sightings: impl Iterator<Item = &'a Sighting>) -> usize {
        let apart = self.mapping.anchors_apart.max(1) as usize;
        let sparse = self.memory.images_fit && apart > 1;
        let (tag, cell) = (cost::TAG + cost::DROP, cost::cell(&Cell::Bool(true)));
        let new_row = cost::ROW + self.mapping.columns.len() * cell;
        let (mut room, mut before) = (self.room(), None);
        let takes = |sighting: &&Sighting| {
            let row = sighting.row;
            let follows = row.is_some() && row == before;
            before = row.and_then(|row| row.checked_add(1));
            let bytes = match row {
                None => new_row,
                Some(_) if follows && sparse => tag / apart,
                Some(_) => tag,
            };
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        sightings.take(LARGEST).take_while(takes).count().max(1)
    }

    pub(super) fn room(&self) -> usize {
        self.mapping
            .max_request_bytes
            .saturating_sub(cost::ENVELOPE)
    }

    /// The last request of a batch is seldom full: what would go into it goes with the next batch
    /// instead, so that a mass of rows takes no more requests than its bytes do. There is always
    /// one that is full.
    pub(super) fn leave_the_rest(&self, items: &mut [Item]) -> HashSet<Key> {
        let last_of_several = |parts: Vec<Vec<usize>>| match &parts[..] {
            [] | [_] => Vec::new(),
            [.., last] => last.clone(),
        };
        let pieces = self.pieces(items).into_iter().map(|piece| piece.items);
        let mut left = last_of_several(pieces.collect());
        left.extend(last_of_several(self.new_rows(items)));
        let mut keys = HashSet::with_capacity(left.len());
        for index in left {
            if let Some(item) = items.get_mut(index) {
                item.dropped = true;
                keys.insert(item.key.clone());
            }
        }
        keys
    }

    /// Cells to be written, in the order of the rows.
    pub(super) fn pieces(&self, items: &[Item]) -> Vec<Piece> {
        let Some(layout) = &self.memory.layout else {
            return Vec::new();
        };
        let planned = items.iter().enumerate().filter(|(_, item)| !item.dropped);
        let mut rows: Vec<(AnchoredRow, usize)> = planned
            .filter_map(|(index, item)| Some((self.cells_to_write(item, layout)?, index)))
            .collect();
        rows.sort_by_key(|(row, _)| row.row);
        let mut pieces: Vec<Piece> = Vec::new();
        let name = cost::NAME + cost::PLACE * self.mapping.columns.len();
        let names = rows.len().min(FEW) * name;
        let mut room = Room {
            whole: self.room().saturating_sub(names),
            left: 0,
        };
        for (row, index) in rows {
            let before = pieces.last().and_then(|piece| piece.rows.last());
            let joins = before.is_some_and(|before| before.row.saturating_add(1) == row.row);
            let blocks = before.filter(|before| joins && same_columns(before, &row));
            let cells: usize = row.cells.iter().map(|(_, cell)| cost::cell(cell)).sum();
            let guard = if row.bare { 0 } else { cost::GUARD };
            let alone = guard + cost::ROW + cells;
            let begun = cost::BLOCK * column_runs(&row);
            let first = alone + begun + cost::IMAGES;
            let next = match (joins, blocks) {
                (true, Some(_)) => alone,
                (true, None) => alone + begun,
                (false, _) => first,
            };
            let fits = room.takes(first, next);
            match pieces.last_mut() {
                Some(piece) if fits => {
                    piece.rows.push(row);
                    piece.items.push(index);
                }
                _ => pieces.push(Piece {
                    rows: vec![row],
                    items: vec![index],
                }),
            }
        }
        pieces
    }

    fn cells_to_write(&self, item: &Item, layout: &Layout) -> Option<AnchoredRow> {
        let cells: Vec<(u32, Cell)> = match &item.plan.sheet {
            Some(SheetChange::Update(writes)) => writes
                .iter()
                .map(|(column, cell, _)| (layout.column(*column), cell.clone()))
                .collect(),
            Some(SheetChange::Clear) => {
                let ours = (0..self.mapping.columns.len()).filter(|column| {
                    self.mapping.pushes(*column) || self.mapping.key.contains(column)
                });
                let shown =
                    |column: &usize| item.cells.as_ref().and_then(|cells| cells.get(*column));
                let elsewhere = |column: &usize| {
                    let at = layout.column(*column);
                    item.computed.contains(&(at, Computed::Elsewhere))
                };
                let ours = ours.filter(|column| !elsewhere(column));
                ours.filter(|column| shown(column).is_some_and(|cell| *cell != Cell::Empty))
                    .map(|column| (layout.column(column), Cell::Empty))
                    .collect()
            }
            _ => return None,
        };
        Some(AnchoredRow {
            anchor: item.anchor?,
            bare: item.bare,
            row: item.row?,
            cells,
        })
    }

    /// As many rows as can be deleted in one request.
    pub(super) fn deletions(&self) -> usize {
        let old = self.old_marks().len() * cost::DROP;
        (self.room().saturating_sub(old) / cost::DELETION).max(1)
    }

    /// The new rows, in pieces that fit into one request.
    pub(super) fn insertions(&mut self, items: &[Item]) -> Vec<Insertion> {
        let parts = self.new_rows(items).into_iter();
        let insertion = |part: Vec<usize>| Insertion {
            rows: self.rows_of(items, &part),
            items: part,
            stamp: self.stamp(),
        };
        parts.map(insertion).collect()
    }

    fn rows_of(&self, items: &[Item], part: &[usize]) -> Arc<[NewRow]> {
        let Some(layout) = &self.memory.layout else {
            return Arc::default();
        };
        let rows = part.iter().filter_map(|index| items.get(*index));
        rows.map(|item| {
            let cells = filled(item, layout).into_iter().flatten();
            cells.map(|(column, cell)| (column, cell.clone())).collect()
        })
        .collect()
    }

    fn new_rows(&self, items: &[Item]) -> Vec<Vec<usize>> {
        let Some(layout) = &self.memory.layout else {
            return Vec::new();
        };
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut room = Room {
            whole: self
                .room()
                .saturating_sub(self.old_marks().len() * cost::DROP),
            left: 0,
        };
        for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.dropped) {
            let Some(cells) = filled(item, layout) else {
                continue;
            };
            // Columns between those that are filled are written as blanks.
            let (mut width, mut count, mut bytes) = (0, 0, cost::ROW);
            for (column, cell) in cells {
                width = width.max(column as usize + 1);
                count += 1;
                bytes += cost::cell(cell);
            }
            bytes += width.saturating_sub(count) * cost::cell(&Cell::Empty);
            let fits = room.takes(bytes, bytes);
            match parts.last_mut() {
                Some(part) if fits => part.push(index),
                _ => parts.push(vec![index]),
            }
        }
        parts
    }
}

/// The cells of a new row that hold something; `None` where it is no new row.
fn filled<'a>(item: &'a Item, layout: &'a Layout) -> Option<impl Iterator<Item = (u32, &'a Cell)>> {
    let Some(SheetChange::Insert(cells)) = &item.plan.sheet else {
        return None;
    };
    let cells = cells.iter().enumerate();
    let cells = cells.filter_map(|(column, cell)| Some((layout.column(column), cell.as_ref()?)));
    Some(cells.filter(|(_, cell)| **cell != Cell::Empty))
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

/// A part of a write that was refused, in two; or the one item that it was about.
pub(super) enum Halves {
    Two(Piece, Piece),
    One(usize),
}

pub(super) fn halve(mut piece: Piece) -> Halves {
    let middle = piece.rows.len() / 2;
    if middle == 0 {
        return Halves::One(piece.items.first().copied().unwrap_or(usize::MAX));
    }
    let second = Piece {
        rows: piece.rows.split_off(middle),
        items: piece.items.split_off(middle),
    };
    Halves::Two(piece, second)
}
