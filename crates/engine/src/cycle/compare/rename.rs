//! A key that was changed in the table: the sheet's row keeps its place, and what else stands in
//! it, under the new key.
//!
//! The old key has a base and a row in the sheet and none in the table, the new one the other way
//! round, and the table's queue says that they are one row. Whatever else it says (keys that were
//! swapped, or passed on from row to row) is compared key by key like any other change.

mod deleted;

use std::collections::{HashMap, HashSet};

use indexmap::IndexSet;

use crate::codec::hash_cells;
use crate::cycle::compare::diff::Sighting;
use crate::cycle::item::Item;
use crate::cycle::memory::known::{Known, Position, State};
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{
    AnchoredRow, BaseWrite, Commit, LoadedRow, Operation, Place, Planned, RowState, Snapshot,
    StoredRow, WrittenRow,
};
use crate::mapping::{Direction, Side};
use crate::tab::{LookTimes, OverwrittenEdit};
use crate::value::{Base, Cell, Key, Timestamp};

/// One row under its old and its new key.
struct Rename {
    from: LoadedRow,
    to: LoadedRow,
    /// The row's base under the new key.
    base: Base,
    /// Where the sheet has it.
    row: u32,
    cells: Vec<Cell>,
    look: LookTimes,
}

impl Cycle {
    /// Gives those rows of the sheet their new key and takes them through the cycle under it; what
    /// is left comes back.
    pub(crate) async fn follow_renames(
        &mut self,
        mut rows: Vec<(Sighting, LoadedRow)>,
        snapshot: Option<&Snapshot>,
        changed_at: &HashMap<Key, Option<Timestamp>>,
    ) -> Result<Vec<(Sighting, LoadedRow)>, Stop> {
        self.take_deletions_along(&mut rows).await?;
        let mapping = self.mapping.clone();
        let pushes = mapping.direction != Direction::FromSheet
            && mapping.key.iter().all(|column| mapping.pushes(*column));
        if !pushes || rows.iter().all(|(_, row)| row.moved.is_none()) {
            return Ok(rows);
        }
        self.hold_unseen(&mut rows);
        if !self.start.ways.push {
            return self.hold_renames(rows, snapshot).await;
        }
        self.let_go(&mut rows);
        let mut renames = self.renames(&rows, snapshot).await?;
        for rename in &renames {
            self.round.followed.insert(rename.from.key.clone());
            self.round.followed.insert(rename.to.key.clone());
        }
        let new = renames.iter().map(|rename| rename.to.key.clone());
        let taken = self.spelled_otherwise(new.collect()).await?;
        renames.retain(|rename| !taken.contains(&rename.to.key));
        if self.start.dry_run {
            self.preview_renames(&renames);
        } else if !renames.is_empty() {
            renames = self.give_new_keys(renames).await?;
        }
        rows.retain(|(_, row)| !self.round.followed.contains(&row.key));
        let items = renames.into_iter().map(|rename| {
            let changed_at = changed_at.get(&rename.to.key).copied().flatten();
            rename.into_item(changed_at)
        });
        let items = items.collect();
        self.carry_out(items, &[]).await?;
        Ok(rows)
    }

    /// While nobody knows whether the sheet still has the row under its old key, it is not inserted
    /// under the new one.
    fn hold_unseen(&mut self, rows: &mut Vec<(Sighting, LoadedRow)>) {
        let unseen = |row: &LoadedRow| {
            let old = row.moved.as_ref().filter(|_| row.row.is_some());
            let known = old.and_then(|old| self.memory.rows.get(old));
            let known = known.filter(|known| known.row().is_none());
            known.and_then(|known| self.confirmed_from(known))
        };
        let waits = |row: &LoadedRow| unseen(row).filter(|_| row.base.is_none());
        let until = rows.iter().filter_map(|(_, row)| waits(row)).min();
        let Some(until) = until else {
            return;
        };
        rows.retain(|(_, row)| waits(row).is_none());
        self.confirm_from(until);
        self.ending.keep_dirty = true;
    }

    /// What goes the other way only cannot give rows their new keys. Under the old one such a row
    /// would pass for one that was deleted from the table, and under the new one for one that is
    /// new: both wait.
    async fn hold_renames(
        &mut self,
        mut rows: Vec<(Sighting, LoadedRow)>,
        snapshot: Option<&Snapshot>,
    ) -> Result<Vec<(Sighting, LoadedRow)>, Stop> {
        let renames = self.renames(&rows, snapshot).await?;
        let keys = renames
            .into_iter()
            .flat_map(|rename| [rename.from.key, rename.to.key]);
        let held: HashSet<Key> = keys.collect();
        rows.retain(|(_, row)| !held.contains(&row.key));
        if !held.is_empty() {
            self.ending.keep_dirty = true;
            self.ending.held_back = true;
        }
        Ok(rows)
    }

    /// Of a row that got its new key in a batch without an answer, what both sides agreed on is
    /// known under that key by now. What stands under the old one is another row: a copy, or one
    /// that took the key over.
    fn let_go(&self, rows: &mut [(Sighting, LoadedRow)]) {
        let stands = |key: &Key| {
            let known = self.memory.rows.get(key);
            known.is_some_and(|known| known.row().is_some())
        };
        for (sighting, row) in rows {
            let renamed =
                row.row.is_none() && self.memory.unfinished.renamed_unseen.contains(&row.key);
            let arrived = row.moved.as_ref().is_some_and(stands);
            if renamed && arrived && sighting.row.is_some() {
                row.base = None;
            }
        }
    }

    async fn renames(
        &mut self,
        rows: &[(Sighting, LoadedRow)],
        snapshot: Option<&Snapshot>,
    ) -> Result<Vec<Rename>, Stop> {
        // A key that was handed on has more than one row that says it comes from there: which it
        // is, both of them say.
        let mut pairs: IndexSet<(Key, Key)> = IndexSet::new();
        for (_, row) in rows {
            let Some(other) = row.moved.clone() else {
                continue;
            };
            let (from, to) = if row.row.is_some() {
                (other, row.key.clone())
            } else {
                (row.key.clone(), other)
            };
            if self.stands_under_old_key(&from, &to) {
                pairs.insert((from, to));
            }
        }
        let loaded_here = rows.iter().map(|(_, row)| (row.key.clone(), row.clone()));
        let mut loaded: HashMap<Key, LoadedRow> = loaded_here.collect();
        let unread: HashSet<&Key> = pairs
            .iter()
            .flat_map(|(from, to)| [from, to])
            .filter(|key| !loaded.contains_key(*key))
            .collect();
        if !unread.is_empty() {
            let more = self.load(unread.into_iter().cloned().collect()).await?;
            loaded.extend(more.into_iter().map(|row| (row.key.clone(), row)));
        }
        let mut renames = Vec::new();
        for (from, to) in pairs {
            let (Some(from), Some(to)) = (loaded.get(&from), loaded.get(&to)) else {
                continue;
            };
            if let Some(rename) = self.one_row(from.clone(), to.clone(), snapshot)? {
                renames.push(rename);
            }
        }
        Ok(renames)
    }

    fn stands_under_old_key(&self, from: &Key, to: &Key) -> bool {
        let known = |key: &Key| self.memory.rows.get(key);
        let stands = known(from).is_some_and(|old| old.state.is_based() && old.row().is_some());
        let free = known(to).is_none_or(|new| new.row().is_none());
        stands && free && !self.round.followed.contains(from) && !self.round.followed.contains(to)
    }

    fn one_row(
        &self,
        from: LoadedRow,
        to: LoadedRow,
        snapshot: Option<&Snapshot>,
    ) -> Result<Option<Rename>, Stop> {
        // An attempt that did not come to its end has left a base, and says so.
        let attempted = self
            .memory
            .rows
            .get(&to.key)
            .is_some_and(|known| known.state == State::GoneByUs);
        // Both say so: where they were loaded one after the other, the keys may have passed on in
        // between.
        let one_row = from.moved.as_ref() == Some(&to.key) && to.moved.as_ref() == Some(&from.key);
        let is_new =
            one_row && to.row.is_some() && to.in_filter && (to.base.is_none() || attempted);
        let agreed = from
            .base
            .clone()
            .filter(|base| !base.is_absent_in_sheet() && !base.is_absent_in_table());
        let old = self.memory.rows.get(&from.key).and_then(Known::row);
        let (Some(mut base), None, true, Some(row)) = (agreed, &from.row, is_new, old) else {
            return Ok(None);
        };
        for (column, text) in self.mapping.key.iter().zip(&to.key.0) {
            let text = Some(text.clone());
            let Ok(cell) = self.mapping.encode(*column, &text) else {
                return Ok(None);
            };
            base.set(*column, text, cell);
        }
        let cells = match (snapshot, self.tab.layout()) {
            (Some(snapshot), Some(layout)) if self.start.dry_run => {
                layout.mapped(&parse(snapshot, row)?)
            }
            _ => Vec::new(),
        };
        Ok(Some(Rename {
            from,
            to,
            base,
            row,
            cells,
            look: self.tab.since_last_look(),
        }))
    }

    /// Returns those whose row has its new key now. The base is stored under the new key, as it is,
    /// before that key is written, and goes from the old one after it: whoever comes after a crash
    /// finds the row agreed on under whichever key the sheet has it, and where it has it no more,
    /// that the table changed its key. Both carry a mark meanwhile: should a new row of the table
    /// take the old key over, nobody deleted it from the sheet.
    async fn give_new_keys(&mut self, renames: Vec<Rename>) -> Result<Vec<Rename>, Stop> {
        let rows: Vec<u32> = renames.iter().map(|rename| rename.row).collect();
        let tagged = self.tag_rows(&rows).await?;
        let look = self.tab.since_last_look();
        let mut ready = Vec::new();
        let mut writes = Vec::new();
        for (mut rename, tagged) in renames.into_iter().zip(tagged) {
            let anchor = tagged.anchor;
            let is_key = |(at, _): &(u32, _)| self.is_key_column(*at);
            if tagged.computed.iter().any(is_key) {
                // A formula's key is not written over: the old row and the new one go their own
                // ways.
                self.round.followed.remove(&rename.from.key);
                self.round.followed.remove(&rename.to.key);
                continue;
            }
            let cells = tagged
                .cells
                .filter(|cells| self.is_row_of(&rename.from.key, cells));
            let (Some(cells), Some(layout)) = (cells, self.tab.layout()) else {
                self.ending.read_again = true;
                continue;
            };
            let new = |column: &usize| Some((*column, rename.base.sheet.get(*column)?.clone()));
            let sent = self.mapping.key.iter().filter_map(new);
            let sent = sent.filter(|(column, cell)| cells.get(*column) != Some(cell));
            let cell = |(column, cell)| (layout.column(column), cell);
            writes.push(AnchoredRow {
                bare: false,
                anchor,
                row: rename.row,
                cells: sent.map(cell).collect(),
            });
            rename.cells = cells;
            rename.look = look;
            ready.push(rename);
        }
        if ready.is_empty() {
            return Ok(ready);
        }
        let marked = ready.iter().flat_map(|rename| self.marked(rename));
        self.commit(Commit {
            bases: marked.collect(),
            ..Commit::default()
        })
        .await?;
        for rename in &ready {
            *self.memory.known(&rename.to.key) = Known::new(State::GoneByUs);
            self.memory.known(&rename.from.key).state = State::GoneByUs;
            let keys = [&rename.from.key, &rename.to.key];
            self.memory.unfinished.renaming.extend(keys.map(Key::clone));
        }
        let sent = self.write_apart(writes.clone()).await?;
        for (index, _) in &sent.refused {
            // What the sheet does not let us change: the old row and the new one go their own ways.
            if let Some(rename) = ready.get(*index) {
                self.round.followed.remove(&rename.from.key);
                self.round.followed.remove(&rename.to.key);
            }
        }
        let refused: HashSet<usize> = sent.refused.iter().map(|(index, _)| *index).collect();
        let (mut renamed, mut failed) = (Vec::new(), Vec::new());
        for (index, (mut rename, row)) in ready.into_iter().zip(&writes).enumerate() {
            let written = sent.written.get(&row.anchor);
            let taken = written.and_then(|one| self.overwritten_edit(&rename.cells, row, one));
            let theirs = taken.is_some();
            self.tab.debts_mut().edits.extend(taken);
            match written.filter(|one| !theirs && self.shows(one, &rename.base)) {
                Some(_) => {
                    for column in &self.mapping.key {
                        let key = rename.base.sheet.get(*column).cloned();
                        if let (Some(slot), Some(cell)) = (rename.cells.get_mut(*column), key) {
                            *slot = cell;
                        }
                    }
                    renamed.push(rename);
                }
                // The row is gone, or a person gave it a key of theirs.
                None => {
                    self.ending.read_again |= !refused.contains(&index);
                    failed.push(rename);
                }
            }
        }
        self.note_not_renamed(failed).await?;
        self.note_renamed(&renamed).await?;
        Ok(renamed)
    }

    /// What both sides had agreed on, under both keys. Under the new one it names the old key as
    /// that stands in the queue, whatever other spelling of it was agreed on.
    fn marked(&self, rename: &Rename) -> [BaseWrite; 2] {
        let to_rewrite = |base| {
            let state = RowState::ToRewrite;
            StoredRow { base, state }
        };
        let (old, mut new) = (rename.from.base.clone(), rename.from.base.clone());
        for (column, text) in self.mapping.key.iter().zip(&rename.from.key.0) {
            let mut slot = new
                .iter_mut()
                .flat_map(|base| base.database.get_mut(*column));
            if let Some(slot) = slot.next() {
                *slot = Some(text.clone());
            }
        }
        [(&rename.to.key, new), (&rename.from.key, old)].map(|(key, base)| BaseWrite {
            key: key.clone(),
            row: base.map(to_rewrite),
        })
    }

    /// Nothing is agreed on under a key that its row did not get: a row that has it, or gets it
    /// from a person, is another one.
    async fn note_not_renamed(&mut self, failed: Vec<Rename>) -> Result<(), Stop> {
        if failed.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::default();
        for rename in failed {
            let (from, to) = (rename.from, rename.to.key);
            self.memory.forget(&to);
            let known = self.memory.known(&from.key);
            known.state = State::Marked;
            known.look_again();
            self.memory.unfinished.renaming.remove(&from.key);
            self.memory.unfinished.renaming.remove(&to);
            commit.bases.push(BaseWrite::gone(to));
            commit.bases.push(BaseWrite {
                key: from.key,
                row: from.base.map(StoredRow::to_look_at),
            });
        }
        self.commit(commit).await?;
        Ok(())
    }

    fn shows(&self, written: &WrittenRow, base: &Base) -> bool {
        self.is_same_row(&base.sheet, &self.tab.mapped(&written.after))
    }

    async fn note_renamed(&mut self, renamed: &[Rename]) -> Result<(), Stop> {
        let mut commit = Commit::default();
        for rename in renamed {
            let from = &rename.from.key;
            commit.bases.push(rename.base_write());
            commit.bases.push(BaseWrite::gone(from.clone()));
            let pending = rename.from.pending.iter().map(|one| one.id);
            commit.settled_conflicts.extend(pending);
            commit.settled_conflicts.extend(&rename.from.unsettled);
            commit.history.push(self.renamed_line(rename));
            for problem in self
                .memory
                .problems
                .of_rows
                .remove(from)
                .into_iter()
                .flatten()
            {
                let place = |key: &Key| Place {
                    key: Some(key.clone()),
                    sheet_row: None,
                    column: problem.column,
                };
                // What still stands in the way is found again under the new key.
                self.queue_note_removal(&place(&rename.to.key));
                commit.settled_problems.push(place(from));
            }
        }
        if renamed.is_empty() {
            return Ok(());
        }
        self.commit(commit).await?;
        for rename in renamed {
            let old = self.memory.forget(&rename.from.key);
            if let Some(edits) = self.memory.edits.remove(&rename.from.key) {
                self.memory.edits.insert(rename.to.key.clone(), edits);
            }
            // What a write without an answer may have put into the row is in it still.
            if let Some(written) = self.memory.unfinished.in_flight.remove(&rename.from.key) {
                let known = self
                    .memory
                    .unfinished
                    .in_flight
                    .entry(rename.to.key.clone());
                known.or_default().extend(written);
            }
            self.memory.remember_deleted(&rename.from.key);
            self.memory.unfinished.renaming.remove(&rename.from.key);
            self.memory.unfinished.renaming.remove(&rename.to.key);
            // Where an attempt overwrote an edit and its row cannot be found any more, this is
            // another row.
            let is_lost = |taken: &OverwrittenEdit| {
                taken.anchor.is_none()
                    && taken.row.is_none()
                    && taken.key.as_ref() == Some(&rename.to.key)
            };
            self.tab.debts_mut().edits.retain(|taken| !is_lost(taken));
            *self.memory.known(&rename.to.key) = Known {
                position: Position::Row(rename.row),
                cells: Some(hash_cells(&rename.base.sheet)),
                seen_at: old.and_then(|old| old.seen_at),
                ..Known::new(State::Based)
            };
            self.report.rows_pushed += 1;
        }
        Ok(())
    }

    fn renamed_line(&self, rename: &Rename) -> crate::effect::HistoryLine {
        let item = Item::new(rename.to.key.clone(), rename.to.clone());
        let parts = self.mapping.key.iter().enumerate();
        let cells = parts.map(|(part, column)| {
            let old = rename.from.key.0.get(part).cloned();
            (*column, old, rename.to.key.0.get(part).cloned())
        });
        let changed = cells.filter(|(_, old, new)| old != new).collect();
        item.line(Side::Sheet, Operation::Update, changed)
    }

    fn preview_renames(&mut self, renames: &[Rename]) {
        for rename in renames {
            let line = self.renamed_line(rename);
            for ((column, old), (_, new)) in line.old.into_iter().zip(line.new) {
                self.report.planned.push(Planned {
                    side: Side::Sheet,
                    operation: Operation::Update,
                    key: Some(rename.from.key.clone()),
                    column: Some(column),
                    old,
                    new,
                    reason: "changed_in_table".into(),
                });
            }
        }
    }
}

impl Rename {
    fn base_write(&self) -> BaseWrite {
        BaseWrite {
            key: self.to.key.clone(),
            row: Some(StoredRow::agreed(self.base.clone())),
        }
    }

    fn into_item(self, changed_at: Option<Timestamp>) -> Item {
        let key = self.to.key.clone();
        let loaded = LoadedRow {
            base: Some(self.base),
            ..self.to
        };
        let mut item = Item::new(key, loaded);
        item.changed_at = item.changed_at.or(changed_at);
        item.row = Some(self.row);
        item.cells = Some(self.cells);
        item.look = Some(self.look);
        item
    }
}
