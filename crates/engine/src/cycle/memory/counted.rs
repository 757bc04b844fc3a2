//! What the guards count, and what a person has allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{CellsHash, stable_hash};
use crate::effect::Question;
use crate::value::Key;

/// What the guards of a cycle have counted so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counted {
    /// Rows that go from the table because the sheet lost them.
    pub from_table: BTreeSet<Key>,
    /// Rows that go from the sheet because the table lost them.
    pub from_sheet: BTreeSet<Key>,
    /// Rows that changed in the sheet, with what stands for their cells.
    pub changed: BTreeMap<Key, CellsHash>,
}

/// Whether the deletions of a round are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Count {
    /// They are too few for any guard, whichever they are.
    #[default]
    Few,
    /// The only chunk counts its own, before it does anything.
    Owed,
    Done,
}

/// What a person allowed, while it is carried out.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    pub question: Question,
    pub rows: Counted,
}

impl Counted {
    pub(crate) fn holds(&self, rows: &Counted) -> bool {
        let same = |(key, cells): (&Key, &CellsHash)| self.changed.get(key) == Some(cells);
        rows.from_table.is_subset(&self.from_table)
            && rows.from_sheet.is_subset(&self.from_sheet)
            && rows.changed.iter().all(same)
    }

    /// The same for the same rows, whichever process counts them.
    pub(crate) fn question(&self) -> Question {
        let mut text = Vec::new();
        let mut add = |part: &[u8]| {
            text.extend(part.len().to_le_bytes());
            text.extend(part);
        };
        for (name, keys) in [
            ("table", self.from_table.iter().collect::<Vec<_>>()),
            ("sheet", self.from_sheet.iter().collect()),
            ("changed", self.changed.keys().collect()),
        ] {
            add(name.as_bytes());
            add(&keys.len().to_le_bytes());
            for part in keys.into_iter().flat_map(|key| &key.0) {
                add(part.as_bytes());
            }
        }
        for cells in self.changed.values() {
            add(&cells.number().to_le_bytes());
        }
        Question(i64::from_le_bytes(stable_hash(&text).to_le_bytes()))
    }
}
