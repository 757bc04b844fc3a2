//! Between which two moments an edit in the sheet was made, cell by cell.
//!
//! The window of a cell begins when the cell was last read as it was before, and ends when it was
//! first read as it is. Of a row that shows what it showed when it was last dealt with one time
//! says that of all its cells ([`crate::cycle::memory::known::Known::seen_at`]). Of one that shows
//! something else, each cell that differs from the base is kept with its window until it does so no
//! more: an edit keeps its time, however long it waits for its row to be dealt with.

use crate::cycle::item::Item;
use crate::cycle::memory::edits::Edits;
use crate::cycle::state::Cycle;
use crate::effect::Window;
use crate::value::{Cell, Timestamp};

impl Cycle {
    /// Takes note of what the cells of this item were read as.
    pub(crate) fn note_look(&mut self, item: &Item) {
        let (Some(cells), Some(look)) = (&item.cells, item.look) else {
            return;
        };
        if item.base.is_none() && item.loaded.row.is_none() {
            // Only the sheet has it: there is nothing that it could have come before or after.
            return;
        }
        let since = self.last_seen(item);
        let known = self.memory.edits.remove(&item.key).unwrap_or_default();
        let base = item.base.as_ref();
        let edit = |(column, cell): (usize, &Cell)| {
            let before = base.and_then(|base| base.sheet.get(column));
            if before.unwrap_or(&Cell::Empty) == cell {
                return None;
            }
            let same = known.of(column).filter(|(shown, _)| shown == cell);
            let window = same.map_or((since, look.read), |(_, window)| *window);
            Some((cell.clone(), window))
        };
        let edits: Vec<_> = cells.iter().enumerate().map(edit).collect();
        if edits.iter().any(Option::is_some) {
            self.memory.edits.insert(item.key.clone(), Edits(edits));
        }
        if let Some(row) = self.memory.rows.get_mut(&item.key) {
            row.seen_at = row.seen_at.max(Some(look.sent));
        }
    }

    /// When the cells of this item's edits were typed, by column; of a row that is gone, when it
    /// went.
    pub(crate) fn windows(&self, item: &Item) -> Vec<Window> {
        let until = item.look.map_or(self.last_reading_at, |look| look.read);
        let whole = (self.last_seen(item), until);
        let edits = self.memory.edits.get(&item.key);
        let window = |column| {
            let edit = edits.and_then(|edits| edits.of(column));
            edit.map_or(whole, |(_, window)| *window)
        };
        (0..self.mapping.columns.len()).map(window).collect()
    }

    /// Nothing is left of the edits of a row that shows what both sides have agreed on.
    pub(crate) fn forget_edits(&mut self, item: &Item) {
        let base = item.base.as_ref().map(|base| &base.sheet);
        if item.cells.is_none() || item.cells.as_ref() == base {
            self.memory.edits.remove(&item.key);
        }
    }

    fn last_seen(&self, item: &Item) -> Option<Timestamp> {
        let known = self.memory.rows.get(&item.key);
        known
            .and_then(|known| known.seen_at)
            .or(self.memory.settled_at)
    }
}
