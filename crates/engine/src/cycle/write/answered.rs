//! What an answer of the sheet says of the rows that were sent.

use std::collections::HashMap;

use crate::codec::hash_cells;
use crate::cycle::item::Item;
use crate::cycle::memory::InFlight;
use crate::cycle::state::Cycle;
use crate::cycle::tell::problems::row_problem;
use crate::cycle::write::announce::planned;
use crate::cycle::write::pieces::Piece;
use crate::effect::{Failure, MetadataId, Operation, Refusal, WrittenRow};
use crate::mapping::Side;
use crate::reconcile::SheetChange;
use crate::value::{Cell, Datum};

impl Cycle {
    pub(crate) fn note_written(
        &mut self,
        items: &mut [Item],
        part: &Piece,
        written: Vec<WrittenRow>,
    ) {
        let mut written: HashMap<MetadataId, WrittenRow> =
            written.into_iter().map(|row| (row.anchor, row)).collect();
        for (row, index) in part.rows.iter().zip(&part.items) {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            item.before = item.cells.as_deref().map(hash_cells);
            let written = written.remove(&row.anchor);
            let overwritten = match &written {
                Some(written) => self.note_overwritten(item, row, written),
                None => Vec::new(),
            };
            let shown = written.map(|written| self.tab.mapped(&written.after));
            let Some(cells) = shown.filter(|cells| self.names(item, cells)) else {
                // The row is gone, and what was written with it; or it got another key meanwhile.
                item.dropped = true;
                self.ending.read_again = true;
                continue;
            };
            item.dropped |= !overwritten.is_empty();
            match item.plan.sheet.take() {
                Some(SheetChange::Update(writes)) => {
                    let renames = writes
                        .iter()
                        .any(|(column, ..)| self.mapping.key.contains(column));
                    let typed = item.cells.as_deref().filter(|_| renames);
                    if let Some(typed) = typed.and_then(|cells| self.mapping.typed_key(cells)) {
                        // A person who types this from now on may mean another row.
                        self.memory.aliases.remove(&typed);
                    }
                    let mut lines = Vec::new();
                    for (column, sent, value) in writes {
                        if overwritten.contains(&column) {
                            continue;
                        }
                        let shown = cells.get(column).cloned().unwrap_or(Cell::Empty);
                        let before = item.cells.as_ref().and_then(|cells| cells.get(column));
                        if shown == sent || before != Some(&shown) {
                            lines.push((column, item.shown(&self.mapping, column), value.clone()));
                        }
                        self.note_shown(item, column, value, &sent, shown);
                    }
                    if !lines.is_empty() {
                        let line = item.line(Side::Sheet, Operation::Update, lines);
                        item.history.push(line);
                    }
                }
                Some(SheetChange::Clear) if item.dropped => continue,
                Some(SheetChange::Clear) => {
                    self.note_removed(item);
                }
                other => item.plan.sheet = other,
            }
            self.pushed(item);
        }
    }

    /// Whether the key cells among those shown are the item's still.
    fn names(&self, item: &Item, cells: &[Cell]) -> bool {
        let Some(before) = &item.cells else {
            return false;
        };
        let cleared = item.plan.sheet == Some(SheetChange::Clear);
        cleared || self.is_same_row(before, cells)
    }

    fn note_shown(&self, item: &mut Item, column: usize, value: Datum, sent: &Cell, shown: Cell) {
        if shown != *sent && !self.mapping.agreed(column, &value, &shown) {
            let refusal = Refusal {
                sqlstate: "shown_otherwise".into(),
                message: "The sheet shows something else than what was written into the cell."
                    .into(),
                hint: Some(
                    "Look for a formula or a rule of the sheet that fills this cell.".into(),
                ),
            };
            let mut problem = row_problem(&item.key, Some(column), Side::Sheet, refusal);
            problem.retry_at = Some(self.io.now());
            item.found.push(problem);
        }
        if let Some(base) = &mut item.base {
            base.set(column, value, shown.clone());
        }
        if let Some(slot) = item.cells.as_mut().and_then(|cells| cells.get_mut(column)) {
            *slot = shown;
        }
    }

    fn pushed(&mut self, item: &mut Item) {
        if !item.dropped {
            self.memory.unfinished.overruled.remove(&item.key);
        }
        item.pushed = true;
        item.base_unstored = true;
        item.bytes = None;
        self.report.rows_pushed += 1;
    }

    fn note_removed(&mut self, item: &mut Item) {
        self.memory.remember_deleted(&item.key);
        let columns = 0..self.mapping.columns.len();
        let lines = columns
            .map(|column| (column, item.shown(&self.mapping, column), None))
            .collect();
        let line = item.line(Side::Sheet, Operation::Delete, lines);
        item.history.push(line);
        item.base = None;
        item.cells = None;
        item.row = None;
    }

    pub(crate) fn note_inserted(&mut self, item: &mut Item, row: u32, cells: Vec<Cell>) {
        let planned = planned(item);
        let Some(SheetChange::Insert(sent)) = item.plan.sheet.take() else {
            return;
        };
        self.memory.missing.maybe_hit.remove(&item.key);
        item.row = Some(row);
        item.base = Some(planned);
        item.cells = Some(cells.clone());
        let mut as_planned = true;
        let mut lines = Vec::with_capacity(sent.len());
        for (column, (sent, shown)) in sent.into_iter().zip(cells).enumerate() {
            let value = item.table_value(column);
            match sent {
                Some(sent) => {
                    lines.push((column, None, value.clone()));
                    if sent != shown {
                        as_planned = false;
                        self.note_shown(item, column, value, &sent, shown);
                    }
                }
                // The sheet is the master of such a column: what it shows is pulled.
                None if !self.mapping.pushes(column)
                    && !self.mapping.agreed(column, &value, &shown) =>
                {
                    self.later.follow_up.insert(item.key.clone());
                }
                None if !self.mapping.pushes(column) => {
                    as_planned &= value.is_none() && shown == Cell::Empty;
                    if let Some(base) = &mut item.base {
                        base.set(column, value, shown);
                    }
                }
                // Left to a formula: what that shows is the row's as if it had always stood there.
                None if self.mapping.agreed(column, &value, &shown) => {
                    as_planned = false;
                    item.found.retain(|one| one.place.column != Some(column));
                    if let Some(base) = &mut item.base {
                        base.set(column, value, shown);
                    }
                }
                None => {
                    self.later.follow_up.insert(item.key.clone());
                }
            }
        }
        let line = item.line(Side::Sheet, Operation::Insert, lines);
        item.history.push(line);
        self.pushed(item);
        let left = item.plan.push_left || item.plan.pull_left;
        item.base_unstored = left || !as_planned;
    }

    pub(crate) fn note_deleted(&mut self, item: &mut Item) {
        item.plan.sheet = None;

        self.note_removed(item);
        self.pushed(item);
    }

    /// Where nobody knows whether these cells were written: should they show up, they are ours.
    pub(crate) fn note_lost(&mut self, items: &mut [Item], part: &Piece, stamp: MetadataId) {
        for item in part.items.iter().filter_map(|index| items.get(*index)) {
            if let Some(SheetChange::Update(writes)) = &item.plan.sheet {
                let writes = writes.iter().map(|(column, cell, value)| InFlight {
                    stamp: Some(stamp),
                    column: *column,
                    cell: cell.clone(),
                    value: value.clone(),
                });
                self.memory
                    .unfinished
                    .in_flight
                    .entry(item.key.clone())
                    .or_default()
                    .extend(writes);
            }
        }
    }

    pub(crate) fn note_refused(&mut self, items: &mut [Item], index: usize, failure: Failure) {
        let Some(item) = items.get_mut(index) else {
            return;
        };
        let refusal = Refusal {
            sqlstate: failure.reason.to_string(),
            message: failure.message,
            hint: Some(failure.hint),
        };
        let mut problem = row_problem(&item.key, None, Side::Sheet, refusal);
        problem.retry_at = Some(self.io.now());
        item.found.push(problem);
        // It stays: what was stored in its hash's place has to go.
        item.base_unstored |= matches!(
            item.plan.sheet.take(),
            Some(SheetChange::Delete | SheetChange::Clear)
        );
    }
}
