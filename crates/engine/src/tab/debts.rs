//! What our own writes owe the sheet: edits that they overwrote, and rows that went with them.

use super::layout::Layout;
use crate::effect::{Image, MetadataId};
use crate::value::{Cell, Key, Timestamp};

/// All of it. While there is any, no batch that was announced is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Debts {
    pub edits: Vec<OverwrittenEdit>,
    pub rows: Vec<LostRow>,
    /// What batches without an answer overwrote, and those beside them, until it is compared with
    /// what both sides had agreed on; true for those without an answer.
    pub images: Vec<(bool, Image)>,
    /// Of the batches whose images are to be compared, one that put rows back was carried out.
    pub may_be_back: bool,
}

/// A row in which a write of ours overwrote an edit that nobody had seen.
#[derive(Clone, Debug)]
pub(crate) struct OverwrittenEdit {
    /// Still on its row, where the write left it there.
    pub anchor: Option<MetadataId>,
    /// Without an anchor, where it stands as far as anybody knows.
    pub row: Option<u32>,
    /// What the row is called by now; `None` where it has no key.
    pub key: Option<Key>,
    /// Its key cells, by which it is told from others without an anchor.
    pub name: Vec<Cell>,
    /// Mapped column, what we wrote, what had stood there.
    pub cells: Vec<(usize, Cell, Cell)>,
    /// Between which moments the edit was made, where that is known.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Readings that did not show it.
    pub missed: u32,
}

/// A row that one of our own batches deleted or emptied, and that held something which nobody had
/// seen.
#[derive(Clone, Debug)]
pub(crate) struct LostRow {
    pub key: Option<Key>,
    /// From column 0, as the columns stood then.
    pub cells: Vec<Cell>,
    pub layout: Layout,
    /// A batch that put rows back was sent, and it is not known whether this was one of them.
    pub maybe_back: bool,
    /// That it went is known from the answer of the batch with which it went, not from images that
    /// were found after a crash.
    pub seen: bool,
}

impl Debts {
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.edits.is_empty() && self.rows.is_empty()
    }

    /// Something is to be restored in the row on which this anchor stands.
    pub(super) fn needs_anchor(&self, anchor: MetadataId) -> bool {
        let edits = self.edits.iter().map(|edit| edit.anchor);
        let images = self.images.iter().map(|(_, image)| image.anchor);
        edits.chain(images).any(|one| one == Some(anchor))
    }

    /// Anchors have to stay in the sheet.
    pub(super) fn needs_any_anchor(&self) -> bool {
        !self.images.is_empty() || !self.edits.is_empty()
    }
}

impl OverwrittenEdit {
    pub fn has_place(&self) -> bool {
        self.anchor.is_some() || self.row.is_some()
    }

    /// Restoring an edit overwrote what we had written ourselves, in a row that got another key at
    /// that moment: nobody misses that, but for the parts of the key that this one shares with
    /// ours.
    pub fn without_ours(mut self, before: &OverwrittenEdit, key: &[usize]) -> Option<Self> {
        let is_ours = |(column, _, theirs): &(usize, Cell, Cell)| {
            let mut known = before.cells.iter();
            known.any(|(at, ours, _)| at == column && ours == theirs)
        };
        let is_key = |cell: &(usize, Cell, Cell)| key.contains(&cell.0);
        let retyped = (self.cells.iter()).any(|cell| is_key(cell) && !is_ours(cell));
        (self.cells).retain(|cell| !is_ours(cell) || retyped && is_key(cell));
        (!self.cells.is_empty()).then_some(self)
    }
}

impl LostRow {
    pub fn mapped(&self) -> Vec<Cell> {
        self.layout.mapped(&self.cells)
    }

    /// Its filled cells where their columns are now. Where columns were moved or inserted since,
    /// nobody can tell which of those that are not mapped is which: then the row has its mapped
    /// cells only.
    pub fn row(&self, now: &Layout) -> Vec<(u32, Cell)> {
        let mapped = || {
            let cells = self.mapped().into_iter().enumerate();
            let cells = cells.map(|(column, cell)| (now.column(column), cell));
            cells.collect()
        };
        let all = || (0..).zip(self.cells.iter().cloned()).collect();
        let cells: Vec<(u32, Cell)> = if self.layout == *now { all() } else { mapped() };
        let filled = cells.into_iter().filter(|(_, cell)| *cell != Cell::Empty);
        filled.collect()
    }
}
