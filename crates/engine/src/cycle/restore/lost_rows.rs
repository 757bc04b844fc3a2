//! Rows that one of our own batches deleted or emptied, with an edit that nobody had seen, are put
//! back.

use indexmap::IndexSet;

use crate::cycle::item::Item;
use crate::cycle::memory::known::State;
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{BaseWrite, Commit, NewRow, Snapshot};
use crate::tab::{LostRow, Purpose};
use crate::value::{Cell, Key};

impl Cycle {
    /// The item's row was deleted as it was not meant to be: edited since it was looked at, or
    /// another row by now.
    pub(crate) fn lost_an_edit(&mut self, item: &mut Item, before: &[Cell]) -> bool {
        let lost_an_edit = self.note_lost_row(item, before);
        if lost_an_edit {
            item.plan.sheet = None;
            item.dropped = true;
        }
        lost_an_edit
    }

    pub(super) fn note_lost_row(&mut self, item: &Item, before: &[Cell]) -> bool {
        let (Some(seen), shown) = (&item.cells, self.tab.mapped(before)) else {
            return false;
        };
        if shown.iter().all(|cell| *cell == Cell::Empty) {
            return false;
        }
        let edited = (0..shown.len()).any(|column| {
            self.edit_stops_deletion(column) && seen.get(column) != shown.get(column)
        });
        let lost_an_edit = edited || !self.is_same_row(seen, &shown);
        if lost_an_edit {
            let key = self.key_of(&shown);
            self.note_row_to_restore(key, before.to_vec());
            self.ending.read_again = true;
        }
        lost_an_edit
    }

    fn note_row_to_restore(&mut self, key: Option<Key>, cells: Vec<Cell>) {
        let layout = self.tab.layout().cloned();
        let lost = layout.map(|layout| LostRow {
            key,
            cells,
            layout,
            maybe_back: false,
            seen: true,
        });
        self.tab.debts_mut().rows.extend(lost);
    }

    /// Lost rows are inserted below the data. One that a single reading misses may stand there all
    /// the same.
    pub(super) async fn restore_rows(&mut self, snapshot: &Snapshot) -> Result<bool, Stop> {
        self.forget_rows_that_stand(snapshot)?;
        if self.tab.debts().rows.is_empty() || snapshot.rows.is_empty() {
            self.tab.debts_mut().rows.clear();
            return Ok(false);
        }
        let unsure = |key: &Key| {
            let known = self.memory.rows.get(key);
            known.is_some_and(|known| self.confirmed_from(known).is_some())
        };
        let mut keys = self
            .tab
            .debts()
            .rows
            .iter()
            .filter_map(|row| row.key.as_ref());
        if keys.any(unsure) {
            return Ok(true);
        }
        let Some(layout) = self.tab.layout() else {
            return Ok(true);
        };
        let lost = self.tab.debts().rows.iter();
        let rows: Vec<NewRow> = lost.map(|lost| lost.row(layout)).collect();
        let stamp = self.tab.stamp();
        self.tab.announce(&stamp).await?;
        match self.tab.insert(rows.into(), stamp, Purpose::PutBack).await {
            Ok(_) => {
                self.note_rows_restored().await?;
                Ok(true)
            }
            Err(unanswered) => {
                let may_have_changed_the_sheet = unanswered.fate.may_have_changed_the_sheet();
                for lost in &mut self.tab.debts_mut().rows {
                    lost.maybe_back |= may_have_changed_the_sheet;
                }
                Err(unanswered.into())
            }
        }
    }

    /// What is stored of these rows says that they are about to go: a fresh process would put them
    /// back once more.
    async fn note_rows_restored(&mut self) -> Result<(), Stop> {
        for lost in &mut self.tab.debts_mut().rows {
            lost.maybe_back = true;
        }
        let keys = self
            .tab
            .debts()
            .rows
            .iter()
            .filter_map(|row| row.key.clone());
        let keys: IndexSet<Key> = keys.collect();
        let loaded = self.load(keys.into_iter().collect()).await?;
        // What is stored of a row that is only to be inserted is a plan, and stays one.
        let is_based = |key: &Key| {
            let known = self.memory.rows.get(key);
            known.is_some_and(|known| known.state.is_based())
        };
        let stand = loaded.into_iter();
        let stand = stand.filter(|row| is_based(&row.key));
        let bases: Vec<BaseWrite> = stand
            .filter_map(|row| Some(BaseWrite::to_look_at(row.key, row.base?)))
            .collect();
        for write in &bases {
            let known = self.memory.known(&write.key);
            known.state = State::Marked;
            known.look_again();
        }
        self.commit(Commit {
            bases,
            ..Commit::default()
        })
        .await?;
        self.tab.debts_mut().rows.clear();
        Ok(())
    }

    /// Rows that may be back already, and stand there; and those of which nobody knows whether they
    /// were meant to go, where nothing is lost of them because another row is just like it.
    /// Otherwise such a row is a copy that a person made.
    fn forget_rows_that_stand(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let mut lost = std::mem::take(&mut self.tab.debts_mut().rows);
        let end = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
        for row in self.mapping.header_row..end {
            if lost.is_empty() {
                break;
            }
            let cells = self.tab.mapped(&parse(snapshot, row)?);
            let key = self.key_of(&cells);
            lost.retain(|lost| {
                let same_key = lost.maybe_back && key.is_some() && key == lost.key;
                let alike = || (lost.maybe_back || !lost.seen) && lost.mapped() == cells;
                !(same_key || alike())
            });
        }
        self.tab.debts_mut().rows = lost;
        Ok(())
    }
}
