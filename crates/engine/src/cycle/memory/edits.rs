//! Edits of a row of the sheet that both sides have not agreed on yet.

use crate::effect::Window;
use crate::value::Cell;

/// Of each mapped column what its cell showed when it differed from the base, and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits(pub Vec<Option<(Cell, Window)>>);

impl Edits {
    pub(crate) fn of(&self, column: usize) -> Option<&(Cell, Window)> {
        self.0.get(column).and_then(Option::as_ref)
    }

    /// An edit of this column that our write overwrote and that is restored: it was typed between a
    /// look and the write.
    pub(crate) fn set(&mut self, column: usize, cell: Cell, window: Window) {
        if self.0.len() <= column {
            self.0.resize(column + 1, None);
        }
        if let Some(slot) = self.0.get_mut(column) {
            *slot = Some((cell, window));
        }
    }
}
