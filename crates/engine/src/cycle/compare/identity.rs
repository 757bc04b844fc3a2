//! Whose row it is that shows these cells.

use crate::cycle::compare::diff::{Typed, typed_key};
use crate::cycle::state::Cycle;
use crate::value::{Cell, Key};

impl Cycle {
    /// A column in which people's edits count against a deletion.
    pub(crate) fn edit_stops_deletion(&self, column: usize) -> bool {
        self.mapping.pushes(column)
    }

    /// The same key, in whatever spellings.
    pub(crate) fn is_same_row(&self, one: &[Cell], other: &[Cell]) -> bool {
        let mut key = self.mapping.key.iter();
        key.all(|column| one.get(*column) == other.get(*column))
            || self
                .key_of(one)
                .is_some_and(|key| self.is_row_of(&key, other))
    }

    pub(crate) fn name_of(&self, cells: &[Cell]) -> Vec<Cell> {
        let key = self.mapping.key.iter();
        key.map(|column| cells.get(*column).cloned().unwrap_or(Cell::Empty))
            .collect()
    }

    pub(crate) fn key_of(&self, cells: &[Cell]) -> Option<Key> {
        match typed_key(&self.mapping, cells) {
            Typed::Whole(typed) => {
                let known = self.memory.canonical(&self.mapping, &typed);
                Some(known.unwrap_or(typed))
            }
            Typed::Blank | Typed::Missing(_) | Typed::Error(_) => None,
        }
    }

    pub(crate) fn is_row_of(&self, key: &Key, cells: &[Cell]) -> bool {
        match typed_key(&self.mapping, cells) {
            Typed::Whole(typed) => typed == *key || self.memory.aliases.get(&typed) == Some(key),
            Typed::Blank | Typed::Missing(_) | Typed::Error(_) => false,
        }
    }
}
