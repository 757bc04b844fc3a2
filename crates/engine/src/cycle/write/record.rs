//! What is recorded after the sheet was written, and what is remembered.

use crate::codec::hash_cells;
use crate::cycle::item::Item;
use crate::cycle::memory::known::{Known, Position, State};
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::write::announce::base_write;
use crate::effect::{Commit, RowState, Winner};

impl Cycle {
    pub(crate) async fn commit_after(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        let mut commit = Commit {
            problems: std::mem::take(&mut self.unrecorded.problems),
            ..Commit::default()
        };
        commit.settled_problems = std::mem::take(&mut self.unrecorded.settled);
        commit.inserted = std::mem::take(&mut self.unrecorded.inserted);
        commit.bases.append(&mut self.unrecorded.bases);
        for item in items.iter_mut() {
            // A change of the sheet that is still in the plan was not carried out.
            item.dropped |= item.plan.sheet.is_some();
            item.base_unstored |= item.is_unsettled() && item.loaded.base.is_none();
            if item.base_unstored && (item.pushed || !item.dropped) {
                let mut write = base_write(item);
                if self.memory.unfinished.overruled.contains(&item.key) && item.base.is_some() {
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
            self.record_problems(item, &mut commit);
        }
        commit.writing = self.over_with(items);
        if commit != Commit::default() {
            let recorded = self.commit(commit).await;
            if recorded.is_err() {
                // What is remembered of problems was not said: begin from what is stored.
                self.memory.is_loaded = false;
            }
            recorded?;
        }
        for item in items.iter() {
            self.remember(item);
        }
        Ok(())
    }

    fn remember(&mut self, item: &Item) {
        self.ending.keep_dirty |= item.plan.push_left || item.plan.pull_left;
        if item.dropped {
            if let Some(known) = self.memory.rows.get_mut(&item.key) {
                known.look_again();
                let waits = matches!(
                    known.state,
                    State::Unbased | State::ToInsert | State::Inserting
                );
                // A mark was stored with it, which is to go when that is done.
                let left = item.plan.push_left || item.plan.pull_left;
                if (item.pulled || item.pushed) && item.base.is_some() && (waits || left) {
                    known.state = State::Marked;
                }
            }
            return;
        }
        self.memory.unfinished.waiting.remove(&item.key);
        self.memory.unfinished.in_flight.remove(&item.key);
        self.forget_edits(item);
        match (&item.cells, &item.base) {
            // Its insertion is still to come.
            (None, None)
                if item.inserting && item.loaded.row.is_some() && item.loaded.in_filter =>
            {
                *self.memory.known(&item.key) = Known::new(State::ToInsert);
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
                    if matches!(known.state, State::Marked | State::GoneByUs) {
                        known.state = State::Based;
                    }
                    // Should it come back as it was, something may have been decided about it.
                    known.look_again();
                }
            }
            (Some(_), base) => {
                let left = item.plan.pull_left || item.plan.push_left;
                let state = match base {
                    Some(_) if left || self.later.follow_up.contains(&item.key) => State::Marked,
                    Some(_) => State::Based,
                    None if item.is_unsettled() => State::ToInsert,
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
