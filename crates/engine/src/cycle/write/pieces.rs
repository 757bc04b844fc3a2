//! What goes into one request together.

use std::collections::HashSet;
use std::sync::Arc;

use crate::cycle::item::Item;
use crate::cycle::state::Cycle;
use crate::effect::{AnchoredRow, Computed, NewRow, Stamp};
use crate::reconcile::SheetChange;
use crate::tab::Layout;
use crate::value::{Cell, Key};

/// Part of a write that fits into one request, by rows.
pub(crate) struct Piece {
    pub rows: Vec<AnchoredRow>,
    pub items: Vec<usize>,
}

/// New rows that go into the sheet in one batch.
pub(crate) struct Insertion {
    pub items: Vec<usize>,
    pub rows: Arc<[NewRow]>,
    pub stamp: Stamp,
}

impl Insertion {
    pub(crate) fn keys(&self, items: &[Item]) -> Vec<Key> {
        let items = self.items.iter().filter_map(|index| items.get(*index));
        items.map(|item| item.key.clone()).collect()
    }
}

impl Cycle {
    /// The last request of a chunk is seldom full: what would go into it goes with the next chunk
    /// instead, so that a mass of rows takes no more requests than its bytes do. There is always
    /// one that is full.
    pub(crate) fn leave_the_rest(&self, items: &mut [Item]) -> HashSet<Key> {
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
    pub(crate) fn pieces(&self, items: &[Item]) -> Vec<Piece> {
        let Some(layout) = self.tab.layout() else {
            return Vec::new();
        };
        let planned = items.iter().enumerate().filter(|(_, item)| !item.dropped);
        let mut rows: Vec<(AnchoredRow, usize)> = planned
            .filter_map(|(index, item)| Some((self.cells_to_write(item, layout)?, index)))
            .collect();
        rows.sort_by_key(|(row, _)| row.row);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut request = self.tab.write_to_fill(rows.len());
        for (row, index) in rows {
            let before = pieces.last().and_then(|piece| piece.rows.last());
            let fits = request.takes_cells(before, &row);
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

    /// The new rows, in pieces that fit into one request.
    pub(crate) fn insertions(&mut self, items: &[Item]) -> Vec<Insertion> {
        let parts = self.new_rows(items).into_iter();
        let insertion = |part: Vec<usize>| Insertion {
            rows: self.rows_of(items, &part),
            items: part,
            stamp: self.tab.stamp(),
        };
        parts.map(insertion).collect()
    }

    fn rows_of(&self, items: &[Item], part: &[usize]) -> Arc<[NewRow]> {
        let Some(layout) = self.tab.layout() else {
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
        let Some(layout) = self.tab.layout() else {
            return Vec::new();
        };
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut request = self.tab.insertion_to_fill();
        for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.dropped) {
            let Some(cells) = filled(item, layout) else {
                continue;
            };
            let fits = request.takes_new_row(cells);
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

/// A part of a write that was refused, in two; or the one item that it was about.
pub(crate) enum Halves {
    Two(Piece, Piece),
    One(usize),
}

pub(crate) fn halve(mut piece: Piece) -> Halves {
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
