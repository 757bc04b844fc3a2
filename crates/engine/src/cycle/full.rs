//! A cycle with a snapshot.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::cycle::compare::diff::{Diff, Sighting, Trust};
use crate::cycle::compare::rekey::Rekeyed;
use crate::cycle::memory::known::{Known, State};
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{BaseWrite, Commit, DatabaseEffect, DatabaseOutcome, Snapshot, StoredRow};
use crate::io::mismatch;
use crate::tab::Layout;
use crate::value::{Key, Timestamp};

impl Cycle {
    /// Reads the tab and deals with all that is not as it was on either side; with `everything`,
    /// with every row, whatever is remembered of it.
    pub(crate) async fn full(&mut self, everything: bool) -> Result<(), Stop> {
        let (snapshot, layout) = self.read().await?;
        let snapshot = Arc::new(snapshot);
        self.round.snapshot = Some(snapshot.clone());
        self.last_reading_at = snapshot.read_at;
        let trust = self.trust(&layout, everything);
        self.tab.set_layout(layout.clone());
        // Before keys are named: what the table gets after that is news for the next cycle.
        if everything {
            self.find_changed().await?;
        }
        self.respell().await?;
        let mut diff = self.diff(&snapshot, &layout, trust).await?;
        self.restore(&snapshot, &layout).await?;
        self.end_attempts(&mut diff).await?;
        let renamed = self.explain(&mut diff, &snapshot, &layout).await?;
        self.guard_reading(&diff, &snapshot, &layout).await?;
        self.change_keys(&mut diff, renamed, (&snapshot, &layout))
            .await?;
        let (sightings, shelved) = self.rows_to_deal_with(&mut diff);
        self.shelve(shelved).await?;
        self.tell_of_rows_without_key(&mut diff);
        self.record_leftovers().await?;
        self.io.begin_progress(sightings.len() + diff.keyless.len());
        let changed_at = self.changed_at();
        self.carry_out_chunks(&sightings, Some(&snapshot), &changed_at)
            .await?;
        for rows in diff.keyless.chunks(self.tab.max_tagged_rows()) {
            self.give_keys(&snapshot, rows, &changed_at).await?;
            self.io.advance_progress(rows.len());
        }
        self.record_leftovers().await?;
        self.shelve_put_off().await?;
        if !self.ending.read_again && !self.ending.held_back && !self.start.dry_run {
            self.memory.settled_at = Some(snapshot.sent_at);
        }
        Ok(())
    }

    /// What of the memory holds for this reading.
    fn trust(&mut self, layout: &Layout, everything: bool) -> Trust {
        let as_before = self.tab.layout() == Some(layout);
        if !as_before {
            self.memory.cells.refused_sights.clear();
            self.memory.cells.sights.clear();
        }
        Trust {
            bytes: !everything && as_before,
            cells: !everything,
        }
    }

    /// What our own writes overwrote goes back first: where something does, the reading is
    /// outdated.
    async fn restore(&mut self, snapshot: &Snapshot, layout: &Layout) -> Result<(), Stop> {
        self.audit_images(snapshot, layout).await?;
        if self.restore_with_reading(snapshot).await? {
            return Err(Stop::Outdated);
        }
        if !self.start.dry_run {
            self.tab.tidy_leftovers().await?;
        }
        Ok(())
    }

    /// Why rows are missing: a formula shows nothing, they have another key, our own deletion hit
    /// them, or they are deleted. Returns those that have another key.
    async fn explain(
        &mut self,
        diff: &mut Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Vec<Rekeyed>, Stop> {
        let silent = self.doubt_missing(diff, snapshot).await?;
        let confirm_from = self.ending.confirm_from;
        let renamed = self.explain_missing(diff, snapshot, layout).await?;
        if let Some(formula) = silent {
            // No reading confirms that rows are gone before the formula is mended.
            self.ending.confirm_from = confirm_from;
            self.wait_for_formula(diff, formula);
        }
        self.restore_hit_rows(diff);
        if self.start.dry_run {
            self.foresee_missing(diff);
        }
        Ok(renamed)
    }

    /// The rows that are dealt with in chunks; and those that cannot be touched now and about which
    /// something would be forgotten: the driver knows nothing of what was found by comparison.
    fn rows_to_deal_with(&mut self, diff: &mut Diff) -> (Vec<Sighting>, BTreeSet<Key>) {
        let mut sightings = std::mem::take(&mut diff.changed);
        sightings.append(&mut diff.missing);
        self.add_due(&mut sightings);
        sightings.retain(|sighting| !diff.hidden.contains(&sighting.key));
        let known_as_shelved = &mut self.memory.unfinished.shelved;
        known_as_shelved.retain(|key| diff.hidden.contains(key));
        let marked = |key: &&Key| {
            let known = self.memory.rows.get(*key);
            known.is_some_and(|known| known.state.is_marked())
                && !self.memory.unfinished.shelved.contains(*key)
        };
        let mut shelved: BTreeSet<Key> = diff.hidden.iter().filter(marked).cloned().collect();
        let given: HashSet<&Key> = self.start.dirty.iter().map(|dirty| &dirty.key).collect();
        let listed = sightings.iter().map(|sighting| sighting.key.clone());
        let mut listed: HashSet<Key> = listed.collect();
        for dirty in &self.dirty {
            if diff.hidden.contains(&dirty.key) {
                shelved.insert(dirty.key.clone());
            } else if diff.unconfirmed.contains(&dirty.key) {
                self.ending.keep_dirty = true;
                if !given.contains(&dirty.key) {
                    shelved.insert(dirty.key.clone());
                }
            } else if listed.insert(dirty.key.clone()) {
                sightings.push(Sighting {
                    key: dirty.key.clone(),
                    row: self.memory.rows.get(&dirty.key).and_then(Known::row),
                    bytes: None,
                });
            }
        }
        (sightings, shelved)
    }

    fn tell_of_rows_without_key(&mut self, diff: &mut Diff) {
        let mut problems = std::mem::take(&mut diff.problems);
        let closed = self.memory.problems.closed.iter();
        problems.extend(closed.map(|one| one.problem.clone()));
        self.keyless_problems(problems);
    }

    /// When the table's changes were made, where that is known.
    pub(crate) fn changed_at(&self) -> HashMap<Key, Option<Timestamp>> {
        let dirty = self.dirty.iter();
        dirty
            .map(|dirty| (dirty.key.clone(), dirty.changed_at))
            .collect()
    }

    async fn find_changed(&mut self) -> Result<(), Stop> {
        let changed = match self.io.database(DatabaseEffect::FindChanged).await? {
            DatabaseOutcome::Changed(changed) => changed,
            _ => return Err(mismatch().into()),
        };
        let known: HashSet<&Key> = self.dirty.iter().map(|dirty| &dirty.key).collect();
        let new: Vec<_> = changed
            .iter()
            .filter(|one| !known.contains(&one.key))
            .cloned()
            .collect();
        self.dirty.extend(new);
        Ok(())
    }

    /// It is stored with rows that cannot be touched now that something has to be done about them.
    async fn shelve(&mut self, keys: BTreeSet<Key>) -> Result<(), Stop> {
        if keys.is_empty() || self.start.dry_run {
            return Ok(());
        }
        let mut commit = Commit::default();
        for row in self.load(keys.into_iter().collect()).await? {
            let announced = self
                .memory
                .rows
                .get(&row.key)
                .is_none_or(|known| known.state == State::ToInsert);
            let key = row.key;
            let (state, write) = match (row.base.filter(|_| !announced), row.row) {
                (Some(base), _) => (State::Marked, BaseWrite::to_look_at(key.clone(), base)),
                (None, Some(_)) => {
                    let row = StoredRow::to_insert(self.mapping.columns.len());
                    let (key, row) = (key.clone(), Some(row));
                    (State::ToInsert, BaseWrite { key, row })
                }
                (None, None) => (State::Unbased, BaseWrite::gone(key.clone())),
            };
            let known = self.memory.known(&key);
            known.state = state;
            known.cells = None;
            self.memory.unfinished.shelved.insert(key);
            commit.bases.push(write);
        }
        self.io.commit(commit).await?;
        Ok(())
    }

    /// What the sheet says of rows that are put off is found again by the next reading; what the
    /// table says of them is stored.
    pub(crate) async fn shelve_put_off(&mut self) -> Result<(), Stop> {
        let put_off = std::mem::take(&mut self.later.put_off);
        let is_changed = |key: &Key| {
            let known = self.memory.rows.get(key);
            let marked = known.is_some_and(|known| known.state.is_marked());
            !marked && self.dirty.iter().any(|dirty| dirty.key == *key)
        };
        let changed = put_off.into_iter().filter(is_changed).collect();
        self.shelve(changed).await
    }

    /// Rows whose refusal is due to be tried again.
    fn add_due(&mut self, sightings: &mut Vec<Sighting>) {
        let waiting: HashSet<Key> = self.waiting().into_iter().collect();
        let listed: HashSet<&Key> = sightings.iter().map(|sighting| &sighting.key).collect();
        let mut due = Vec::new();
        for (key, problems) in &self.memory.problems.of_rows {
            let mut times = problems.iter().filter_map(|problem| problem.retry_at);
            let is_due = times.any(|at| self.is_due(at)) || waiting.contains(key);
            let row = self.memory.rows.get(key).and_then(Known::row);
            if is_due && row.is_some() && !listed.contains(key) {
                due.push(Sighting {
                    key: key.clone(),
                    row,
                    bytes: None,
                });
            }
        }
        due.sort_by_key(|sighting: &Sighting| sighting.row);
        sightings.extend(due);
    }
}
