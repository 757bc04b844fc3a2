//! What is stored of a row: what both sides have agreed on, and what is still to be done about it.

use super::Stamp;
use crate::codec::CellsHash;
use crate::mapping::Mapping;
use crate::reconcile::agreed_state;
use crate::value::{Base, Key};

/// What both sides have agreed on about a row, or what is still to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub enum RowState {
    /// Both sides have the row; the hash stands for its mapped cells in the sheet.
    Agreed(CellsHash),
    /// Both sides agree that the sheet does not have the row.
    AbsentInSheet,
    /// The row waits to be inserted into the sheet; its base says nothing.
    ToInsert,
    /// The row is to be looked at whatever it shows.
    ToLookAt,
    /// The row's cells in the sheet are being emptied by us, or are being given this key: should
    /// the sheet not have the key, that is our doing.
    ToRewrite,
    /// An edit of the row in the sheet lost, and is being overwritten with what both sides had
    /// agreed on. The base stays as it is, and so does not tell that this has happened.
    ToOverrule,
    /// The row is being deleted from the sheet, with the batch under this stamp.
    Deleting(Stamp),
}

/// A base and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    pub base: Base,
    pub state: RowState,
}

impl StoredRow {
    /// Both sides agree on what the base says.
    pub fn agreed(base: Base) -> Self {
        let state = agreed_state(&base);
        Self { base, state }
    }

    /// The row is to be looked at whatever it shows.
    pub(crate) fn to_look_at(base: Base) -> Self {
        let state = RowState::ToLookAt;
        Self { base, state }
    }

    /// Both sides agree on what the base says; or the row is to be looked at, because something is
    /// left to do about it.
    pub(crate) fn agreed_unless(unfinished: bool, base: Base) -> Self {
        match unfinished {
            true => Self::to_look_at(base),
            false => Self::agreed(base),
        }
    }

    /// A row of the table that is still to be inserted into the sheet.
    pub fn to_insert(columns: usize) -> Self {
        Self {
            base: Base::empty(columns),
            state: RowState::ToInsert,
        }
    }
}

/// A base row as it shall stand from now on, whether there was one or not; `row: None` removes it.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseWrite {
    pub key: Key,
    pub row: Option<StoredRow>,
}

impl BaseWrite {
    /// Nothing is agreed about the row any longer.
    pub(crate) fn gone(key: Key) -> Self {
        Self { key, row: None }
    }

    /// The row is to be looked at whatever it shows.
    pub(crate) fn to_look_at(key: Key, base: Base) -> Self {
        let row = Some(StoredRow::to_look_at(base));
        Self { key, row }
    }

    /// The same row in another state; nothing where it is to be removed.
    pub(crate) fn in_state(mut self, state: RowState) -> Self {
        if let Some(row) = &mut self.row {
            row.state = state;
        }
        self
    }

    /// The key as the sheet shows it, where that is not how the key would be written there: to be
    /// told by `ReadIndex`, so that a fresh engine knows the row again.
    pub fn typed(&self, mapping: &Mapping) -> Option<Key> {
        mapping.typed_otherwise(&self.key, &self.row.as_ref()?.base.sheet)
    }
}

/// A batch of new rows, stored before it is sent as they will stand when it has arrived: then
/// nothing of them need be written again. Until [`Commit::inserted`] names its stamp, it stands in
/// [`IndexEntry::inserting`]. A later [`BaseWrite`] takes its row out of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Inserting {
    pub stamp: Stamp,
    pub rows: Vec<BaseWrite>,
}
