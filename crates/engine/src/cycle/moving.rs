//! Keys that a formula makes of the row's place, such as `=ROW()-1`: when rows are inserted, deleted or sorted, each key stays where it is
//! and gets what stood beside another one. That is no edit of any row.

use std::collections::HashMap;

use super::formulas::place;
use super::guard::Objection;
use super::io::Stop;
use super::item::Item;
use super::memory::State;
use super::run::Cycle;
use crate::codec::hash_cells;
use crate::effect::{CellDetail, Entered};
use crate::mapping::Side;
use crate::reconcile::TableChange;
use crate::value::{Cell, Key};

/// So many rows are enough to tell.
const LOOKED_AT: usize = 20;

/// So many lost keys are looked at: their rows may have got another key.
const LOST: usize = 200;

impl Cycle {
    /// Stops where rows would get what stood beside other keys, and a formula makes these keys.
    pub(super) async fn guard_moving_keys(&mut self, items: &[Item]) -> Result<(), Stop> {
        let pulled: Vec<(&Item, u32, i64)> = items
            .iter()
            .filter(|item| {
                let table = &item.plan.table;
                matches!(table, Some(TableChange::Update(_) | TableChange::Insert(_)))
            })
            .filter_map(|item| Some((item, item.row?, self.beside(item.cells.as_deref()?)?)))
            .collect();
        if pulled.is_empty() {
            return Ok(());
        }
        let mut owners: HashMap<i64, Key> = HashMap::new();
        for item in items {
            let base = item.base.as_ref();
            if let Some(hash) = base.and_then(|base| self.beside(&base.sheet)) {
                owners.insert(hash, item.key.clone());
            }
        }
        let rows = self.memory.rows.iter();
        let lost = rows.filter(|(_, known)| known.state == State::Based && known.missing.is_some());
        let lost: Vec<Key> = lost.map(|(key, _)| key.clone()).take(LOST).collect();
        if !lost.is_empty() {
            for row in self.load(lost).await? {
                let base = row.base.as_ref();
                if let Some(hash) = base.and_then(|base| self.beside(&base.sheet)) {
                    owners.insert(hash, row.key);
                }
            }
        }
        let moved = |(item, _, hash): &&(&Item, u32, i64)| {
            owners.get(hash).is_some_and(|owner| *owner != item.key)
        };
        let Some(layout) = self.memory.layout.clone() else {
            return Ok(());
        };
        let moved: Vec<u32> = pulled
            .iter()
            .filter(moved)
            .map(|(_, row, _)| *row)
            .collect();
        let mut cells = Vec::new();
        for row in moved.iter().take(LOOKED_AT) {
            let key = self.mapping.key.iter();
            cells.extend(key.map(|column| (*row, layout.column(*column))));
        }
        let details = self.inspect(cells.clone()).await?;
        let is_made = |detail: &CellDetail| match detail.entered {
            Entered::Formula(_) => true,
            Entered::Nothing => detail.value != Cell::Empty,
            Entered::Value => false,
        };
        let mut made = cells
            .iter()
            .zip(&details)
            .filter(|(_, detail)| is_made(detail));
        match made.next() {
            Some(((row, column), detail)) => {
                let objection = moving_keys(moved.len(), *row, *column, detail);
                if self.start.dry_run {
                    self.report.planned.insert(0, objection.into_line());
                    return Ok(());
                }
                Err(objection.without_question().into())
            }
            None => Ok(()),
        }
    }

    /// Stands for what a row shows beside its key; `None` where that is nothing.
    fn beside(&self, cells: &[Cell]) -> Option<i64> {
        let cells = cells.iter().enumerate();
        let cells = cells.filter(|(column, _)| !self.mapping.key.contains(column));
        let cells: Vec<Cell> = cells.map(|(_, cell)| cell.clone()).collect();
        let filled = cells.iter().any(|cell| *cell != Cell::Empty);
        filled.then(|| hash_cells(&cells))
    }
}

fn moving_keys(rows: usize, row: u32, column: u32, detail: &CellDetail) -> Objection {
    let formula = match &detail.entered {
        Entered::Formula(text) => format!(" ({text})"),
        Entered::Nothing | Entered::Value => String::new(),
    };
    Objection {
        side: Side::Database,
        reason: "keys_moved",
        message: format!(
            "The key in {}{formula} comes from a formula, and {rows} rows now show what stood beside another key: the keys did not move \
             with their rows. The table was left as it is.",
            place(row, column)
        ),
        hint: "Undo it in the sheet (Edit > Undo), or replace the formulas of the key by their values (copy, then Paste special > Values \
               only) while each stands beside its row."
            .into(),
    }
}
