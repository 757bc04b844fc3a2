//! Keys that a formula makes of the row's place, such as `=ROW()-1`: when rows are inserted,
//! deleted or sorted, each key stays where it is and gets what stood beside another one. That is no
//! edit of any row.

use crate::effect::Reason;
use std::collections::{BTreeSet, HashMap};

use crate::codec::{CellsHash, hash_cells};
use crate::cycle::guard::deletions::Objection;
use crate::cycle::item::Item;
use crate::cycle::memory::known::State;
use crate::cycle::read::formula_text::{fills, place};
use crate::cycle::read::grid::parse;
use crate::cycle::read::inspect::is_same;
use crate::cycle::read::references::Used;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
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
    pub(crate) async fn guard_moving_keys(&mut self, items: &[Item]) -> Result<(), Stop> {
        let pulled: Vec<(&Item, u32, CellsHash)> = items
            .iter()
            .filter(|item| {
                let table = &item.plan.table;
                matches!(table, Some(TableChange::Update(_) | TableChange::Insert(_)))
                    || !item.plan.conflicts.is_empty()
            })
            .filter_map(|item| Some((item, item.row?, self.beside(item.cells.as_deref()?)?)))
            .collect();
        if pulled.is_empty() {
            return Ok(());
        }
        let mut owners: HashMap<CellsHash, Key> = HashMap::new();
        for item in items {
            let base = item.base.as_ref();
            if let Some(hash) = base.and_then(|base| self.beside(&base.sheet)) {
                owners.insert(hash, item.key.clone());
            }
        }
        let is_lost = |key: &&Key| {
            let known = self.memory.rows.get(*key);
            known.is_some_and(|known| known.state == State::Based && known.missing.is_some())
        };
        let lost: BTreeSet<&Key> = self.memory.missing.rows.keys().filter(is_lost).collect();
        let lost: Vec<Key> = lost.into_iter().take(LOST).cloned().collect();
        if !lost.is_empty() {
            for row in self.load(lost).await? {
                let base = row.base.as_ref();
                if let Some(hash) = base.and_then(|base| self.beside(&base.sheet)) {
                    owners.insert(hash, row.key);
                }
            }
        }
        let moved = |(item, _, hash): &&(&Item, u32, CellsHash)| {
            owners.get(hash).is_some_and(|owner| *owner != item.key)
        };
        let Some(layout) = self.tab.layout().cloned() else {
            return Ok(());
        };
        let moved: Vec<u32> = pulled
            .iter()
            .filter(moved)
            .map(|(_, row, _)| *row)
            .collect();
        let looked_at = moved.iter().take(LOOKED_AT);
        let cells: Vec<(u32, u32)> = looked_at
            .flat_map(|row| layout.columns.iter().map(|column| (*row, *column)))
            .collect();
        let details = self.inspect_as_read(cells.clone()).await?;
        let columns = layout.columns.len().max(1);
        for (cells, details) in cells.chunks(columns).zip(details.chunks(columns)) {
            let Some((at, detail)) = self.key_of_the_place(cells, details) else {
                continue;
            };
            let objection = moving_keys(moved.len(), at, detail);
            if self.start.dry_run {
                self.report.planned.insert(0, objection.into_line());
                return Ok(());
            }
            return Err(objection.without_question().into());
        }
        Ok(())
    }

    /// Part of a row's key that stays in its place while something else of the row goes with it.
    fn key_of_the_place<'a>(
        &self,
        cells: &[(u32, u32)],
        details: &'a [CellDetail],
    ) -> Option<((u32, u32), &'a CellDetail)> {
        let shown = || {
            let all = cells.iter().zip(details).enumerate();
            all.filter(|(_, (_, detail))| detail.value != Cell::Empty)
        };
        let is_key = |column: usize| self.mapping.key.contains(&column);
        let goes_along = |(column, (at, detail)): (usize, (&(u32, u32), &CellDetail))| {
            !is_key(column) && !is_of_the_place(detail, at.0)
        };
        let mut key = shown()
            .filter(|(column, (at, detail))| is_key(*column) && is_of_the_place(detail, at.0));
        let (_, (at, detail)) = key.next()?;
        shown().any(goes_along).then_some((*at, detail))
    }

    /// Rows that are not as the last reading showed them, or that none has shown: what stands
    /// beside a key that a formula makes may be another row's. Only a reading of the whole tab
    /// tells.
    pub(crate) fn doubt_moved_keys(
        &mut self,
        items: &mut [Item],
        which: &[usize],
    ) -> Result<(), Stop> {
        let snapshot = self.round.snapshot.clone();
        for index in which {
            let Some(item) = items.get_mut(*index).filter(|item| !item.dropped) else {
                continue;
            };
            let (Some(row), Some(cells), Some(layout)) = (item.row, &item.cells, self.tab.layout())
            else {
                continue;
            };
            let mut computed = item.computed.iter().map(|(at, _)| *at);
            if !computed.any(|at| self.is_key_column(at)) {
                continue;
            }
            let read = match (&snapshot, self.tab.row_as_read(row)) {
                (Some(snapshot), Some(row)) => Some(layout.mapped(&parse(snapshot, row)?)),
                _ => None,
            };
            // What a formula shows may change by itself after a reading.
            let (before, by_itself) = match (&read, &item.base) {
                (Some(read), _) => (Some(read), true),
                (None, Some(base)) => (Some(&base.sheet), false),
                (None, None) => (None, false),
            };
            let is_same = before.is_some_and(|before| {
                let cells = cells.iter().zip(before).enumerate();
                let mut beside = cells.filter(|(column, _)| {
                    let shows_by_itself = by_itself && self.is_computed(&item.computed, *column);
                    !shows_by_itself && !self.mapping.key.contains(column)
                });
                beside.all(|(_, (now, before))| is_same(now, before))
            });
            if !is_same {
                item.dropped = true;
                self.ending.read_again = true;
            }
        }
        Ok(())
    }

    /// Stands for what a row shows beside its key; `None` where that is nothing.
    fn beside(&self, cells: &[Cell]) -> Option<CellsHash> {
        let cells = cells.iter().enumerate();
        let cells = cells.filter(|(column, _)| !self.mapping.key.contains(column));
        let cells: Vec<Cell> = cells.map(|(_, cell)| cell.clone()).collect();
        let filled = cells.iter().any(|cell| *cell != Cell::Empty);
        filled.then(|| hash_cells(&cells))
    }
}

/// In another row the cell would show something else.
fn is_of_the_place(detail: &CellDetail, row: u32) -> bool {
    match &detail.entered {
        Entered::Formula(text) => fills(text) || Used::by(text, row).place,
        Entered::Nothing => true,
        Entered::Value => false,
    }
}

fn moving_keys(rows: usize, (row, column): (u32, u32), detail: &CellDetail) -> Objection {
    let formula = match &detail.entered {
        Entered::Formula(text) => format!(" ({text})"),
        Entered::Nothing | Entered::Value => String::new(),
    };
    Objection {
        side: Side::Database,
        reason: Reason::KeysMoved,
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
