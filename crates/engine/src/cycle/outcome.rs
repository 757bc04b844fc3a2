//! What is recorded before the sheet is written, and what after.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::row_problem;
use super::io::{Stop, mismatch};
use super::item::Item;
use super::memory::{InFlight, Known, Position, State};
use super::pieces::{Insertion, Piece};
use super::problems::kept_by_table;
use super::run::Cycle;
use crate::codec::hash_cells;
use crate::effect::{
    Announcement, Applied, Apply, BaseWrite, Change, Commit, Failure, Inserting, MetadataId,
    Operation, Place, Refusal, RowState, Stamp, StoredRow, Winner, WrittenRow,
};
use crate::mapping::Side;
use crate::reconcile::{SheetChange, TableChange, differs};
use crate::value::{Base, Cell, Datum, Key};

impl Cycle {
    /// The table's changes, and everything that must be known before the sheet's cells are
    /// overwritten: who loses a conflict, and which rows are about to be inserted.
    pub(super) async fn commit_before(
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
                item.base_owed = true;
            }
            match item.plan.table.take() {
                Some(change) => {
                    commit.apply.push(self.apply(item, change));
                    applied_items.push(index);
                }
                None if item.overrules() && item.anchor.is_some() => {
                    let write = base_write(item).in_state(RowState::ToOverrule);
                    commit.bases.push(write);
                    self.memory.overruled.insert(item.key.clone());
                }
                None if item.plan.sheet.is_none() && item.base_owed => {
                    commit.bases.push(base_write(item));
                    item.base_owed = false;
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
        self.memory.arrivals += u64::from(applied.iter().any(came));
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
    pub(super) async fn announce_deletions(
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
    pub(super) fn note_marks(&mut self, items: &[Item], insertions: &[Insertion]) {
        for item in insertions
            .iter()
            .flat_map(|insertion| &insertion.items)
            .filter_map(|index| items.get(*index))
        {
            self.memory.known(&item.key).state = State::Announced;
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
            self.memory.known(&item.key).state = State::Left;
        }
    }

    pub(super) async fn commit(
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
            self.memory.announced = false;
            self.memory.image_rows = 0;
            self.memory.overruled.clear();
            let answered = std::mem::take(&mut self.memory.answered);
            self.memory.anchors.extend(answered);
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
                    self.follow_up.insert(item.key.clone());
                }
                item.base_owed = false;
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
                self.stale = true;
            }
            Applied::Locked => {
                item.dropped = true;
                self.report.locked = true;
                self.wait(item);
            }
            Applied::Kept { row } => {
                item.base = None;
                item.base_owed = false;
                item.loaded.row = Some(row);
                // As a row of the table's that is still to be inserted.
                item.inserting = true;
                item.found.push(kept_by_table(&item.key));
                self.follow_up.insert(item.key.clone());
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
            if !self.memory.waiting.insert(item.key.clone()) {
                return;
            }
            let write = BaseWrite::to_look_at(item.key.clone(), base);
            self.held.push(write);
        }
    }

    /// Another reading follows by itself, which may confirm that rows are gone.
    fn reads_again(&self) -> bool {
        self.soon || self.confirm_from.is_some()
    }

    /// A trigger or a generated column has made another key of what was sent: the row goes on under
    /// that one, and its key cell is to show it.
    fn follow_returned_key(&mut self, item: &mut Item, key: Key) {
        let sent = std::mem::replace(&mut item.key, key);
        self.rename_known(&sent, &item.key);
        self.follow_up.insert(item.key.clone());
        for problem in self.memory.problems.remove(&sent).into_iter().flatten() {
            let place = Place {
                key: Some(sent.clone()),
                sheet_row: None,
                column: problem.column,
            };
            self.note_settled(&place);
            self.settled.push(place);
        }
    }

    /// What stands in the sheet under one key is known by another one from now on.
    pub(super) fn rename_known(&mut self, sent: &Key, key: &Key) {
        self.memory.known(sent);
        self.memory.respell(sent, key);
    }

    /// Nothing is agreed about a row that could not move here.
    fn forget_entry(&self, item: &mut Item, apply: &Apply) {
        if matches!(apply.change, Change::Enter { .. }) {
            item.base = None;
            item.base_owed = false;
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

    pub(super) fn note_written(
        &mut self,
        items: &mut [Item],
        part: &Piece,
        written: Vec<WrittenRow>,
    ) {
        let mut written: HashMap<MetadataId, WrittenRow> =
            written.into_iter().map(|row| (row.anchor, row)).collect();
        self.memory.images_fit = part.rows.iter().all(|row| {
            written
                .get(&row.anchor)
                .is_some_and(|one| self.has_image(row, one))
        });
        for (row, index) in part.rows.iter().zip(&part.items) {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            item.before = item.cells.as_deref().map(hash_cells);
            let written = written.remove(&row.anchor);
            let taken = match &written {
                Some(written) => self.note_taken(item, row, written),
                None => Vec::new(),
            };
            let shown = written.map(|written| self.mapped(&written.after));
            let Some(cells) = shown.filter(|cells| self.names(item, cells)) else {
                // The row is gone, and what was written with it; or it got another key meanwhile.
                item.dropped = true;
                self.stale = true;
                continue;
            };
            item.dropped |= !taken.is_empty();
            match item.plan.sheet.take() {
                Some(SheetChange::Update(writes)) => {
                    let renames = writes
                        .iter()
                        .any(|(column, ..)| self.mapping.key.contains(column));
                    let typed = item.cells.as_deref().filter(|_| renames);
                    if let Some(typed) = typed.and_then(|cells| self.mapping.typed_key(cells)) {
                        // Whoever types this from now on may mean another row.
                        self.memory.aliases.remove(&typed);
                    }
                    let mut lines = Vec::new();
                    for (column, sent, value) in writes {
                        if taken.contains(&column) {
                            continue;
                        }
                        let shown = cells.get(column).cloned().unwrap_or(Cell::Empty);
                        let before = item.cells.as_ref().and_then(|cells| cells.get(column));
                        if shown == sent || before != Some(&shown) {
                            lines.push((column, item.shown(&self.mapping, column), value.clone()));
                        }
                        self.note_shown(item, column, value, &sent, shown);
                    }
                    if !lines.is_empty() {
                        let line = item.line(Side::Sheet, Operation::Update, lines);
                        item.history.push(line);
                    }
                }
                Some(SheetChange::Clear) if item.dropped => continue,
                Some(SheetChange::Clear) => {
                    self.note_removed(item);
                }
                other => item.plan.sheet = other,
            }
            self.pushed(item);
        }
    }

    /// Whether the key cells among those shown are the item's still.
    fn names(&self, item: &Item, cells: &[Cell]) -> bool {
        let Some(before) = &item.cells else {
            return false;
        };
        let cleared = item.plan.sheet == Some(SheetChange::Clear);
        cleared || self.is_same_row(before, cells)
    }

    fn note_shown(&self, item: &mut Item, column: usize, value: Datum, sent: &Cell, shown: Cell) {
        if shown != *sent && !self.mapping.agreed(column, &value, &shown) {
            let refusal = Refusal {
                sqlstate: "shown_otherwise".into(),
                message: "The sheet shows something else than what was written into the cell."
                    .into(),
                hint: Some(
                    "Look for a formula or a rule of the sheet that fills this cell.".into(),
                ),
            };
            let mut problem = row_problem(&item.key, Some(column), Side::Sheet, refusal);
            problem.retry_at = Some(self.io.now());
            item.found.push(problem);
        }
        if let Some(base) = &mut item.base {
            base.set(column, value, shown.clone());
        }
        if let Some(slot) = item.cells.as_mut().and_then(|cells| cells.get_mut(column)) {
            *slot = shown;
        }
    }

    fn pushed(&mut self, item: &mut Item) {
        if !item.dropped {
            self.memory.overruled.remove(&item.key);
        }
        item.pushed = true;
        item.base_owed = true;
        item.bytes = None;
        self.report.rows_pushed += 1;
    }

    fn note_removed(&mut self, item: &mut Item) {
        self.memory.bury(&item.key);
        let columns = 0..self.mapping.columns.len();
        let lines = columns
            .map(|column| (column, item.shown(&self.mapping, column), None))
            .collect();
        let line = item.line(Side::Sheet, Operation::Delete, lines);
        item.history.push(line);
        item.base = None;
        item.cells = None;
        item.row = None;
    }

    pub(super) fn note_inserted(&mut self, item: &mut Item, row: u32, cells: Vec<Cell>) {
        let planned = planned(item);
        let Some(SheetChange::Insert(sent)) = item.plan.sheet.take() else {
            return;
        };
        self.memory.maybe_hit.remove(&item.key);
        item.row = Some(row);
        item.base = Some(planned);
        item.cells = Some(cells.clone());
        let mut as_planned = true;
        let mut lines = Vec::with_capacity(sent.len());
        for (column, (sent, shown)) in sent.into_iter().zip(cells).enumerate() {
            let value = item.table_value(column);
            match sent {
                Some(sent) => {
                    lines.push((column, None, value.clone()));
                    if sent != shown {
                        as_planned = false;
                        self.note_shown(item, column, value, &sent, shown);
                    }
                }
                // The sheet is the master of such a column: what it shows is pulled.
                None if !self.mapping.pushes(column)
                    && !self.mapping.agreed(column, &value, &shown) =>
                {
                    self.follow_up.insert(item.key.clone());
                }
                None if !self.mapping.pushes(column) => {
                    as_planned &= value.is_none() && shown == Cell::Empty;
                    if let Some(base) = &mut item.base {
                        base.set(column, value, shown);
                    }
                }
                // Left to a formula: what that shows is the row's as if it had always stood there.
                None if self.mapping.agreed(column, &value, &shown) => {
                    as_planned = false;
                    item.found.retain(|one| one.place.column != Some(column));
                    if let Some(base) = &mut item.base {
                        base.set(column, value, shown);
                    }
                }
                None => {
                    self.follow_up.insert(item.key.clone());
                }
            }
        }
        let line = item.line(Side::Sheet, Operation::Insert, lines);
        item.history.push(line);
        self.pushed(item);
        let left = item.plan.push_left || item.plan.pull_left;
        item.base_owed = left || !as_planned;
    }

    pub(super) fn note_deleted(&mut self, item: &mut Item) {
        item.plan.sheet = None;

        self.note_removed(item);
        self.pushed(item);
    }

    /// Where nobody knows whether these cells were written: should they show up, they are ours.
    pub(super) fn note_lost(&mut self, items: &mut [Item], part: &Piece, stamp: MetadataId) {
        if !self.may_stand(stamp) {
            return;
        }
        for item in part.items.iter().filter_map(|index| items.get(*index)) {
            if let Some(SheetChange::Update(writes)) = &item.plan.sheet {
                let writes = writes.iter().map(|(column, cell, value)| InFlight {
                    stamp: Some(stamp),
                    column: *column,
                    cell: cell.clone(),
                    value: value.clone(),
                });
                self.memory
                    .in_flight
                    .entry(item.key.clone())
                    .or_default()
                    .extend(writes);
            }
        }
    }

    pub(super) fn note_refused(&mut self, items: &mut [Item], index: usize, failure: Failure) {
        let Some(item) = items.get_mut(index) else {
            return;
        };
        let refusal = Refusal {
            sqlstate: failure.reason,
            message: failure.message,
            hint: Some(failure.hint),
        };
        let mut problem = row_problem(&item.key, None, Side::Sheet, refusal);
        problem.retry_at = Some(self.io.now());
        item.found.push(problem);
        // It stays: what was stored in its hash's place has to go.
        item.base_owed |= matches!(
            item.plan.sheet.take(),
            Some(SheetChange::Delete | SheetChange::Clear)
        );
    }

    pub(super) async fn commit_after(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        let mut commit = Commit {
            problems: std::mem::take(&mut self.problems),
            ..Commit::default()
        };
        commit.settled_problems = std::mem::take(&mut self.settled);
        commit.inserted = std::mem::take(&mut self.inserted);
        commit.bases.append(&mut self.held);
        for item in items.iter_mut() {
            // A change of the sheet that is still in the plan was not carried out.
            item.dropped |= item.plan.sheet.is_some();
            item.base_owed |= item.awaits() && item.loaded.base.is_none();
            if item.base_owed && (item.pushed || !item.dropped) {
                let mut write = base_write(item);
                if self.memory.overruled.contains(&item.key) && item.base.is_some() {
                    write = write.in_state(RowState::ToOverrule);
                }
                commit.bases.push(write);
            }
            commit.history.append(&mut item.history);
            if item.dropped {
                continue;
            }
            let refused = |column: Option<usize>| {
                let mut found = item.found.iter().map(|problem| problem.place.column);
                match column {
                    Some(_) => found.any(|at| at == column || at.is_none()),
                    // A row that neither side took as it is has not gone its way, whichever of its
                    // cells is to blame.
                    None => !item.found.is_empty() && !item.pulled && !item.pushed,
                }
            };
            for mut conflict in std::mem::take(&mut item.conflicts) {
                if conflict.winner != Winner::Pending && !refused(conflict.column) {
                    conflict.settled = true;
                    commit.conflicts.push(conflict);
                }
            }
            if !item.plan.push_left && !item.plan.pull_left {
                let column = |id: &i64| {
                    item.loaded
                        .pending
                        .iter()
                        .find(|one| one.id == *id)
                        .and_then(|one| one.column)
                };
                commit
                    .settled_conflicts
                    .extend(item.plan.settles.iter().filter(|id| !refused(column(id))));
            }
            let left = item.plan.push_left || item.plan.pull_left;
            if item.found.is_empty() && !left {
                // Whatever was decided about the row before, both sides hold it by now, or
                // something newer.
                commit.settled_conflicts.extend(&item.loaded.unsettled);
            }
            self.sort_problems(item, &mut commit);
        }
        commit.writing = self.over();
        if commit != Commit::default() {
            let recorded = self.commit(commit).await;
            if recorded.is_err() {
                // What is remembered of problems was not said: begin from what is stored.
                self.memory.warm = false;
            }
            recorded?;
        }
        for item in items.iter() {
            self.remember(item);
        }
        Ok(())
    }

    fn remember(&mut self, item: &Item) {
        self.keep_dirty |= item.plan.push_left || item.plan.pull_left;
        if item.dropped {
            if let Some(known) = self.memory.rows.get_mut(&item.key) {
                known.look_again();
                let waits = matches!(
                    known.state,
                    State::Unbased | State::Announced | State::Inserting
                );
                // A mark was stored with it, which is to go when that is done.
                let left = item.plan.push_left || item.plan.pull_left;
                if (item.pulled || item.pushed) && item.base.is_some() && (waits || left) {
                    known.state = State::Marked;
                }
            }
            return;
        }
        self.memory.waiting.remove(&item.key);
        self.memory.in_flight.remove(&item.key);
        self.forget_edits(item);
        match (&item.cells, &item.base) {
            // Its insertion is still to come.
            (None, None)
                if item.inserting && item.loaded.row.is_some() && item.loaded.in_filter =>
            {
                *self.memory.known(&item.key) = Known::new(State::Announced);
            }
            // So is what is left to another cycle.
            (None, None) if item.plan.push_left => {
                *self.memory.known(&item.key) = Known::new(State::Unbased);
            }
            (None, None) => {
                self.memory.forget(&item.key);
            }
            (None, Some(base)) => {
                let absent = base.is_absent_in_sheet();
                let known = self.memory.known(&item.key);
                if absent {
                    *known = Known::new(State::Absent);
                } else {
                    if matches!(known.state, State::Marked | State::Left) {
                        known.state = State::Based;
                    }
                    // Should it come back as it was, something may have been decided about it.
                    known.look_again();
                }
            }
            (Some(_), base) => {
                let left = item.plan.pull_left || item.plan.push_left;
                let state = match base {
                    Some(_) if left || self.follow_up.contains(&item.key) => State::Marked,
                    Some(_) => State::Based,
                    None if item.awaits() => State::Announced,
                    None => State::Unbased,
                };
                let owed = left || state == State::Marked;
                let cells = item.cells.as_deref().filter(|_| !owed).map(hash_cells);
                let bytes = item.bytes.filter(|_| !owed);
                let position = item.row.map_or(Position::Unknown, Position::Row);
                let known = self.memory.known(&item.key);
                let unread = known.bytes.is_none() && known.position != Position::Somewhere;
                let before = match known.cells {
                    known_cells if known_cells == cells => known.before,
                    // No reading has shown what came of our last write, and an old one may still
                    // show what stood there before it.
                    _ if unread && known.before.is_some() => known.before,
                    None => item.before,
                    known_cells => known_cells,
                };
                *known = Known {
                    position,
                    bytes,
                    cells,
                    before,
                    missing: None,
                    seen_at: known.seen_at,
                    state,
                };
            }
        }
    }
}

fn awaits_rows(cells: &[(usize, Refusal)], row: &Option<Refusal>) -> bool {
    let mut refusals = cells.iter().map(|(_, refusal)| refusal).chain(row);
    refusals.any(Refusal::is_about_other_rows)
}

fn base_write(item: &Item) -> BaseWrite {
    if item.awaits() {
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
fn planned(item: &Item) -> Base {
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
