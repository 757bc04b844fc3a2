//! What is recorded before the sheet is written, and what the table has made of it.

use std::sync::Arc;

use crate::cycle::item::Item;
use crate::cycle::memory::known::State;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::tell::problems::{kept_by_table, row_problem};
use crate::cycle::write::pieces::Insertion;
use crate::effect::{
    Announcement, Applied, Apply, BaseWrite, Change, Commit, Inserting, Operation, Place, Refusal,
    RowState, Stamp, StoredRow,
};
use crate::io::mismatch;
use crate::mapping::Side;
use crate::reconcile::{SheetChange, TableChange, differs};
use crate::value::{Base, Datum, Key};

impl Cycle {
    /// The table's changes, and everything that must be known before the sheet's cells are
    /// overwritten: who loses a conflict, and which rows are about to be inserted.
    pub(crate) async fn commit_before(
        &mut self,
        items: &mut [Item],
        insertions: &[Insertion],
        deletion: &Stamp,
    ) -> Result<(), Stop> {
        let mut commit = Commit::default();
        let mut applied_items = Vec::new();
        for (index, item) in items
            .iter_mut()
            .enumerate()
            .filter(|(_, item)| !item.dropped)
        {
            item.conflicts = std::mem::take(&mut item.plan.conflicts);
            commit.conflicts.extend(item.conflicts.iter().cloned());
            if item.plan.base_moved
                || (item.inserting && !(item.loaded.row.is_some() && item.loaded.in_filter))
            {
                item.base = item.plan.base.take();
                item.base_unstored = true;
            }
            match item.plan.table.take() {
                Some(change) => {
                    commit.apply.push(self.apply(item, change));
                    applied_items.push(index);
                }
                None if item.overrules() && item.anchor.is_some() => {
                    let write = base_write(item).in_state(RowState::ToOverrule);
                    commit.bases.push(write);
                    self.memory.unfinished.overruled.insert(item.key.clone());
                }
                None if item.plan.sheet.is_none() && item.base_unstored => {
                    commit.bases.push(base_write(item));
                    item.base_unstored = false;
                }
                None => {}
            }
            let leaving = match &item.plan.sheet {
                Some(SheetChange::Delete) => RowState::Deleting(deletion.clone()),
                Some(SheetChange::Clear) => RowState::ToRewrite,
                _ => continue,
            };
            if item.anchor.is_some() {
                commit.bases.push(base_write(item).in_state(leaving));
            }
        }
        for insertion in insertions {
            let items = insertion.items.iter().filter_map(|index| items.get(*index));
            commit.inserting.push(Inserting {
                stamp: insertion.stamp.clone(),
                rows: items.map(inserting).collect(),
            });
        }
        if commit == Commit::default() {
            return Ok(());
        }
        let commit = Arc::new(commit);
        let applied = self.commit(commit.clone()).await?;
        let came =
            |applied: &Applied| matches!(applied, Applied::Done { .. } | Applied::Kept { .. });
        self.memory.problems.arrivals += u64::from(applied.iter().any(came));
        if applied.len() != applied_items.len() {
            return Err(mismatch().into());
        }
        for ((index, apply), applied) in applied_items.into_iter().zip(&commit.apply).zip(applied) {
            if let Some(item) = items.get_mut(index) {
                self.note_applied(item, apply, applied);
            }
        }
        Ok(())
    }

    /// Said anew before rows go in another batch than they were announced for.
    pub(crate) async fn announce_deletions(
        &mut self,
        items: &[Item],
        batches: &[(Vec<usize>, Stamp)],
    ) -> Result<(), Stop> {
        let mut commit = Commit::default();
        for (rows, stamp) in batches {
            let items = rows.iter().filter_map(|index| items.get(*index));
            let deleting = || RowState::Deleting(stamp.clone());
            let writes = items.map(|item| base_write(item).in_state(deleting()));
            commit.bases.extend(writes);
        }
        self.commit(commit).await?;
        Ok(())
    }

    /// What is stored in the hashes' place by now.
    pub(crate) fn note_marks(&mut self, items: &[Item], insertions: &[Insertion]) {
        for item in insertions
            .iter()
            .flat_map(|insertion| &insertion.items)
            .filter_map(|index| items.get(*index))
        {
            self.memory.known(&item.key).state = State::ToInsert;
        }
        for item in items
            .iter()
            .filter(|item| !item.dropped && item.plan.sheet == Some(SheetChange::Delete))
        {
            self.memory.known(&item.key).state = State::Marked;
        }
        for item in items
            .iter()
            .filter(|item| !item.dropped && item.plan.sheet == Some(SheetChange::Clear))
        {
            self.memory.known(&item.key).state = State::GoneByUs;
        }
    }

    pub(crate) async fn commit(
        &mut self,
        commit: impl Into<Arc<Commit>>,
    ) -> Result<Vec<Applied>, Stop> {
        let commit = commit.into();
        let conflicts = commit
            .conflicts
            .iter()
            .filter(|conflict| !conflict.settled)
            .count();
        let problems = commit.problems.len();
        let over = commit.writing == Some(Announcement::Over);
        let applied = self.io.commit(commit).await?;
        if over {
            self.tab.note_over();
            self.memory.unfinished.overruled.clear();
        }
        self.report.conflicts += conflicts as u64;
        self.report.problems += problems as u64;
        Ok(applied)
    }

    fn apply(&self, item: &Item, change: TableChange) -> Apply {
        let expected = item.loaded.row.clone().unwrap_or_default();
        let with_old = |values: &[(usize, Datum)]| -> Vec<(usize, Datum, Datum)> {
            values
                .iter()
                .map(|(column, new)| (*column, item.table_value(*column), new.clone()))
                .collect()
        };
        let (history, change) = match change {
            TableChange::Insert(values) => (
                item.line(Side::Database, Operation::Insert, with_old(&values)),
                Change::Insert { values },
            ),
            TableChange::Update(values) => (
                item.line(Side::Database, Operation::Update, with_old(&values)),
                Change::Update { values, expected },
            ),
            TableChange::Enter(values) => (
                item.line(Side::Database, Operation::Update, with_old(&values)),
                Change::Enter { values, expected },
            ),
            TableChange::Delete => {
                let old = expected
                    .iter()
                    .cloned()
                    .enumerate()
                    .map(|(column, old)| (column, old, None))
                    .collect();
                (
                    item.line(Side::Database, Operation::Delete, old),
                    Change::Delete { expected },
                )
            }
        };
        Apply {
            key: item.key.clone(),
            new_key: None,
            change,
            sheet: item.cells.clone().unwrap_or_default(),
            base: item.base.clone(),
            owed: item.plan.owed.clone(),
            history,
        }
    }

    fn note_applied(&mut self, item: &mut Item, apply: &Apply, applied: Applied) {
        match applied {
            Applied::Done { row, refused } => {
                let columns: Vec<usize> = refused.iter().map(|(column, _)| *column).collect();
                let write = apply.base_after(&self.mapping, row.as_deref(), &columns);
                item.base = write.row.map(|row| row.base);
                if write.key != item.key {
                    self.follow_returned_key(item, write.key);
                }
                if item.plan.follows || differs(item.base.as_ref(), row.as_deref(), apply, &columns)
                {
                    // The table made something else of it: that is pushed back at once.
                    self.later.follow_up.insert(item.key.clone());
                }
                item.base_unstored = false;
                item.loaded.row = row;
                self.follow_table(item);
                item.pulled = true;
                self.report.rows_pulled += 1;
                self.refuse(
                    item,
                    refused
                        .into_iter()
                        .map(|(column, refusal)| (Some(column), refusal)),
                );
            }
            Applied::Stale => {
                self.forget_entry(item, apply);
                item.dropped = true;
                self.ending.read_again = true;
            }
            Applied::Locked => {
                item.dropped = true;
                self.report.locked = true;
                self.wait(item);
            }
            Applied::Kept { row } => {
                item.base = None;
                item.base_unstored = false;
                item.loaded.row = Some(row);
                // As a row of the table's that is still to be inserted.
                item.inserting = true;
                item.found.push(kept_by_table(&item.key));
                self.later.follow_up.insert(item.key.clone());
            }
            // What is in the way may be gone when the next reading confirms it.
            Applied::Refused { cells, row } if self.reads_again() && awaits_rows(&cells, &row) => {
                item.dropped = true;
                self.wait(item);
            }
            Applied::Refused { cells, row } => {
                self.forget_entry(item, apply);
                let cells = cells
                    .into_iter()
                    .map(|(column, refusal)| (Some(column), refusal));
                let row = row.map(|refusal| (None, with_hint(refusal, &apply.change)));
                self.refuse(item, cells.chain(row));
            }
        }
    }

    /// The change of the row is tried again soon. What told of it is dealt with by then, so that a
    /// process which comes after a crash is told to look at the row.
    fn wait(&mut self, item: &Item) {
        self.hold_off(item.key.clone());
        let base = item.loaded.base.clone();
        let known = self.memory.known(&item.key);
        let is_based = matches!(known.state, State::Based | State::Marked);
        let base = base.filter(|base| is_based && !base.is_absent_in_sheet());
        if let Some(base) = base {
            known.state = State::Marked;
            if !self.memory.unfinished.waiting.insert(item.key.clone()) {
                return;
            }
            let write = BaseWrite::to_look_at(item.key.clone(), base);
            self.unrecorded.bases.push(write);
        }
    }

    /// Another reading follows by itself, which may confirm that rows are gone.
    fn reads_again(&self) -> bool {
        self.ending.read_soon || self.ending.confirm_from.is_some()
    }

    /// A trigger or a generated column has made another key of what was sent: the row goes on under
    /// that one, and its key cell is to show it.
    fn follow_returned_key(&mut self, item: &mut Item, key: Key) {
        let sent = std::mem::replace(&mut item.key, key);
        self.rename_known(&sent, &item.key);
        self.later.follow_up.insert(item.key.clone());
        for problem in self
            .memory
            .problems
            .of_rows
            .remove(&sent)
            .into_iter()
            .flatten()
        {
            let place = Place {
                key: Some(sent.clone()),
                sheet_row: None,
                column: problem.column,
            };
            self.queue_note_removal(&place);
            self.unrecorded.settled.push(place);
        }
    }

    /// What stands in the sheet under one key is known by another one from now on.
    pub(crate) fn rename_known(&mut self, sent: &Key, key: &Key) {
        self.memory.known(sent);
        self.memory.respell(sent, key);
    }

    /// Nothing is agreed about a row that could not move here.
    fn forget_entry(&self, item: &mut Item, apply: &Apply) {
        if matches!(apply.change, Change::Enter { .. }) {
            item.base = None;
            item.base_unstored = false;
        }
    }

    /// A value that was chosen for both sides reaches the sheet as the table took it.
    fn follow_table(&self, item: &mut Item) {
        let Some(SheetChange::Update(writes)) = &mut item.plan.sheet else {
            return;
        };
        let row = item.loaded.row.as_deref().unwrap_or_default();
        for (column, cell, value) in writes
            .iter_mut()
            .filter(|(column, ..)| item.plan.owed.contains(column))
        {
            let taken = row.get(*column).cloned().flatten();
            if let Ok(shown) = self.mapping.encode(*column, &taken) {
                *cell = shown;
                *value = taken;
            }
        }
    }

    fn refuse(&self, item: &mut Item, refused: impl Iterator<Item = (Option<usize>, Refusal)>) {
        for (column, refusal) in refused {
            let mut problem = row_problem(&item.key, column, Side::Database, refusal);
            problem.retry_at = Some(self.io.now());
            item.found.push(problem);
        }
    }
}

fn awaits_rows(cells: &[(usize, Refusal)], row: &Option<Refusal>) -> bool {
    let mut refusals = cells.iter().map(|(_, refusal)| refusal).chain(row);
    refusals.any(Refusal::is_about_other_rows)
}

pub(crate) fn base_write(item: &Item) -> BaseWrite {
    if item.is_unsettled() {
        let columns = item.cells.as_ref().map_or(0, Vec::len);
        return BaseWrite {
            key: item.key.clone(),
            row: Some(StoredRow::to_insert(columns)),
        };
    }
    let left = item.plan.push_left || item.plan.pull_left;
    // What another cycle has to do is found after a crash, too, also where the sheet shows what the
    // base says.
    let owed = |base: &Base| left && !base.is_absent_in_sheet();
    let base = item.base.clone();
    let row = base.map(|base| StoredRow::agreed_unless(owed(&base), base));
    BaseWrite {
        key: item.key.clone(),
        row,
    }
}

/// Said before the row is inserted: should its answer be lost, the row that then stands in the
/// sheet is no person's.
fn inserting(item: &Item) -> BaseWrite {
    BaseWrite {
        key: item.key.clone(),
        row: Some(StoredRow::agreed(planned(item))),
    }
}

/// What both sides will have agreed on if the sheet shows the new row as it is sent.
pub(crate) fn planned(item: &Item) -> Base {
    let cells = match &item.plan.sheet {
        Some(SheetChange::Insert(cells)) => cells.as_slice(),
        _ => &[],
    };
    let mut base = Base::empty(cells.len());
    for (column, cell) in cells.iter().enumerate() {
        if let Some(cell) = cell {
            base.set(column, item.table_value(column), cell.clone());
        }
    }
    base
}

/// Of a row that was deleted no cell is left that anybody could correct.
fn with_hint(mut refusal: Refusal, change: &Change) -> Refusal {
    if matches!(change, Change::Delete { .. }) && refusal.hint.is_none() {
        refusal.hint = Some(
            "The table keeps the row. Remove what stands in the way of its deletion, or type the row into the sheet again."
                .into(),
        );
    }
    refusal
}
