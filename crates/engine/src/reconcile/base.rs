//! How the base advances.

use crate::codec::hash_cells;
use crate::effect::{Apply, BaseWrite, Change, RowState, StoredRow};
use crate::mapping::Mapping;
use crate::value::{Base, Cell, Datum};

impl Base {
    /// Both sides agree that the sheet does not have the row.
    pub(crate) fn is_absent_in_sheet(&self) -> bool {
        self.sheet.is_empty()
    }

    /// Both sides agree that the table does not have the row.
    pub(crate) fn is_absent_in_table(&self) -> bool {
        self.database.is_empty()
    }

    pub(crate) fn set(&mut self, column: usize, database: Datum, sheet: Cell) {
        if let Some(slot) = self.database.get_mut(column) {
            *slot = database;
        }
        if let Some(slot) = self.sheet.get_mut(column) {
            *slot = sheet;
        }
    }
}

/// The state of a row about which nothing is left to do.
pub(crate) fn agreed_state(base: &Base) -> RowState {
    match base.is_absent_in_sheet() {
        true => RowState::AbsentInSheet,
        false => RowState::Agreed(hash_cells(&base.sheet)),
    }
}

/// The base after the table took `apply` and returned `row`.
///
/// A pulled column whose returned value stands for the cell is agreed. Where the table made
/// something else of it (a trigger, a type modifier), the base says what was sent: so the
/// difference is a database change, and is pushed back. The same holds for the key itself: the base
/// stands under the one that the table has, and says which one was sent.
pub(crate) fn base_after(
    mapping: &Mapping,
    apply: &Apply,
    row: Option<&[Datum]>,
    refused: &[usize],
) -> BaseWrite {
    let sent = apply.new_key.as_ref().unwrap_or(&apply.key);
    let returned = row.and_then(|row| mapping.key_of_row(row));
    let key = returned.unwrap_or_else(|| sent.clone());
    let base = row.and_then(|row| match &apply.change {
        Change::Insert { values } => Some(after_insert(mapping, apply, values, row, refused)),
        Change::Update { values, .. } | Change::Enter { values, .. } => {
            Some(after_update(mapping, apply, values, row, refused))
        }
        Change::Delete { .. } => None,
    });
    let owed = key != *sent || differs(base.as_ref(), row, apply, refused);
    let row = base.map(|base| StoredRow::agreed_unless(owed, base));
    BaseWrite { key, row }
}

fn after_insert(
    mapping: &Mapping,
    apply: &Apply,
    sent: &[(usize, Datum)],
    row: &[Datum],
    refused: &[usize],
) -> Base {
    let mut base = Base::empty(mapping.columns.len());
    for (column, cell) in apply.sheet.iter().enumerate() {
        let returned = row.get(column).cloned().flatten();
        let value = sent
            .iter()
            .find(|(at, _)| *at == column)
            .map(|(_, value)| value);
        let left_out = value.is_none() && *cell != Cell::Empty && mapping.pulls(column);
        if left_out || refused.contains(&column) {
            // The cell stays a change of the sheet's that is still to be pulled, and what the table
            // has instead is not pushed over it.
            base.set(column, returned, Cell::Empty);
        } else if mapping.agreed(column, &returned, cell) || !mapping.pushes(column) {
            base.set(column, returned, cell.clone());
        } else {
            base.set(column, value.cloned().flatten(), cell.clone());
        }
    }
    base
}

fn after_update(
    mapping: &Mapping,
    apply: &Apply,
    sent: &[(usize, Datum)],
    row: &[Datum],
    refused: &[usize],
) -> Base {
    let mut base = apply
        .base
        .clone()
        .unwrap_or_else(|| Base::empty(mapping.columns.len()));
    for (column, value) in sent {
        if refused.contains(column) || apply.owed.contains(column) {
            continue;
        }
        let returned = row.get(*column).cloned().flatten();
        let cell = apply.sheet.get(*column).cloned().unwrap_or(Cell::Empty);
        let agreed = mapping.agreed(*column, &returned, &cell) || !mapping.pushes(*column);
        base.set(*column, if agreed { returned } else { value.clone() }, cell);
    }
    base
}

/// Whether the table has another value than the base says in a column that was just pulled, so that
/// it has to be pushed.
pub(crate) fn differs(
    base: Option<&Base>,
    row: Option<&[Datum]>,
    apply: &Apply,
    refused: &[usize],
) -> bool {
    let (Some(base), Some(row)) = (base, row) else {
        return false;
    };
    match &apply.change {
        Change::Insert { .. } => base.database != row,
        Change::Update { values, .. } | Change::Enter { values, .. } => values
            .iter()
            .filter(|(column, _)| !refused.contains(column) && !apply.owed.contains(column))
            .any(|(column, _)| base.database.get(*column) != row.get(*column)),
        Change::Delete { .. } => false,
    }
}
