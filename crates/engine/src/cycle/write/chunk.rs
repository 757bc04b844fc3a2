//! A few thousand keys at a time: load, decide, apply, write, record.

use std::collections::{HashMap, HashSet};

use crate::cycle::compare::diff::Sighting;
use crate::cycle::item::{Item, positions};
use crate::cycle::memory::known::State;
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::write::pieces::Insertion;
use crate::effect::{DatabaseEffect, DatabaseOutcome, LoadedRow, Snapshot, Stamp};
use crate::io::mismatch;
use crate::reconcile::SheetChange;
use crate::tab::LookTimes;
use crate::value::{Base, Key, Timestamp};

impl Cycle {
    pub(crate) async fn load(&mut self, keys: Vec<Key>) -> Result<Vec<LoadedRow>, Stop> {
        let mut loaded = Vec::with_capacity(keys.len());
        let mut left = keys;
        while !left.is_empty() {
            let (rows, others) = self.load_first(left).await?;
            loaded.extend(rows);
            left = others;
        }
        Ok(loaded)
    }

    /// Of large rows only the first; the others are returned by their keys.
    pub(crate) async fn load_first(
        &mut self,
        keys: Vec<Key>,
    ) -> Result<(Vec<LoadedRow>, Vec<Key>), Stop> {
        let asked = keys.len();
        match self.io.database(DatabaseEffect::Load { keys }).await? {
            DatabaseOutcome::Rows { rows, left }
                if !rows.is_empty() && rows.len() + left.len() == asked =>
            {
                Ok((rows, left))
            }
            _ => Err(mismatch().into()),
        }
    }

    pub(crate) async fn carry_out_chunks(
        &mut self,
        sightings: &[Sighting],
        snapshot: Option<&Snapshot>,
        changed_at: &HashMap<Key, Option<Timestamp>>,
    ) -> Result<(), Stop> {
        let mut rest = sightings;
        let mut chunk: Vec<Sighting> = Vec::new();
        loop {
            let size = self
                .tab
                .chunk_size(chunk.iter().chain(rest).map(|one| one.row));
            let (next, after) = rest.split_at(size.saturating_sub(chunk.len()).min(rest.len()));
            rest = after;
            chunk.extend_from_slice(next);
            if chunk.is_empty() {
                return Ok(());
            }
            let before = chunk.len();
            chunk = self
                .carry_out_chunk(chunk, snapshot, changed_at, rest)
                .await?;
            self.io.advance_progress(before - chunk.len());
        }
    }

    /// Returns those that are to go with the next chunk, where there is one.
    async fn carry_out_chunk(
        &mut self,
        mut sightings: Vec<Sighting>,
        snapshot: Option<&Snapshot>,
        changed_at: &HashMap<Key, Option<Timestamp>>,
        rest: &[Sighting],
    ) -> Result<Vec<Sighting>, Stop> {
        sightings.retain(|sighting| !self.round.followed.contains(&sighting.key));
        let keys: Vec<Key> = sightings
            .iter()
            .map(|sighting| sighting.key.clone())
            .collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (loaded, _) = self.load_first(keys).await?;
        let large = sightings.split_off(loaded.len());
        let rows: Vec<_> = sightings.iter().cloned().zip(loaded).collect();
        self.guard_only_chunk(&rows, &large).await?;
        let rows = self.follow_renames(rows, snapshot, changed_at).await?;
        let mut items = Vec::new();
        for (sighting, loaded) in rows {
            if let Some(item) = self.begin(&sighting, loaded, snapshot, changed_at)? {
                items.push(item);
            }
        }
        let left = self.carry_out(items, rest).await?;
        sightings.retain(|sighting| left.contains(&sighting.key));
        sightings.extend(large);
        Ok(sightings)
    }

    /// What is known of a key before anything is asked of the sheet; `None` where nothing is to be
    /// done.
    fn begin(
        &mut self,
        sighting: &Sighting,
        loaded: LoadedRow,
        snapshot: Option<&Snapshot>,
        changed_at: &HashMap<Key, Option<Timestamp>>,
    ) -> Result<Option<Item>, Stop> {
        let mut item = Item::new(sighting.key.clone(), loaded);
        item.changed_at = item
            .changed_at
            .or(changed_at.get(&sighting.key).copied().flatten());
        item.row = sighting.row.map(|row| self.tab.moved(row));
        item.bytes = sighting.bytes;
        if self.is_spelled_otherwise(&item) {
            return Ok(None);
        }
        if snapshot.is_some() && self.is_unconfirmed(&item) {
            return Ok(None);
        }
        // What stands in its row is ours: an edit that it overwrote is still to be restored.
        if self
            .tab
            .debts()
            .edits
            .iter()
            .any(|edit| edit.key.as_ref() == Some(&item.key))
        {
            self.ending.read_again = true;
            return Ok(None);
        }
        match (snapshot, sighting.row, self.tab.layout()) {
            (Some(snapshot), Some(row), Some(layout)) => {
                item.cells = Some(layout.mapped(&parse(snapshot, row)?));
                item.look = Some(LookTimes {
                    sent: snapshot.sent_at,
                    read: snapshot.read_at,
                });
            }
            (Some(_), _, _) => {}
            (None, row, _) => {
                // A row of the sheet that has no base is a problem which the table may just have
                // solved.
                let unsolved = item.loaded.base.is_none() && row.is_some()
                    || self.memory.problems.of_rows.contains_key(&item.key);
                if is_echo(&item.loaded) && !unsolved {
                    return Ok(None);
                }
                if row.is_none() {
                    self.ending.read_again = true;
                    return Ok(None);
                }
            }
        }
        self.own_writes(&mut item);
        let state = self.memory.rows.get(&item.key).map(|known| known.state);
        // Of a row that we deleted from the sheet ourselves nothing is agreed any more.
        let left = state == Some(State::GoneByUs) && item.row.is_none();
        item.inserting = left
            || state == Some(State::ToInsert)
            || state == Some(State::Inserting) && item.row.is_none();
        if item.inserting {
            item.base = None;
        }
        // It is here after all: what stands in its hash's place has to go.
        item.base_unstored |= matches!(state, Some(State::Marked | State::GoneByUs))
            || matches!(state, Some(State::ToInsert | State::Inserting)) && item.row.is_some();
        Ok(Some(item))
    }

    /// A base that memory does not know of, and no row in the sheet: whatever that came from, it is
    /// no deletion before a second reading says so.
    fn is_unconfirmed(&mut self, item: &Item) -> bool {
        let agreed = item
            .loaded
            .base
            .as_ref()
            .is_some_and(|base| !base.is_absent_in_sheet());
        let state = self.memory.rows.get(&item.key).map(|known| known.state);
        if item.row.is_some() || !agreed || !matches!(state, None | Some(State::Unbased)) {
            return false;
        }
        let since = self.io.now();
        let known = self.memory.known(&item.key);
        known.state = State::Marked;
        known.missing = Some(since);
        let known = *known;
        if let Some(from) = self.confirmed_from(&known) {
            self.confirm_from(from);
        }
        self.ending.keep_dirty = true;
        true
    }

    /// What an earlier write whose answer was lost put into the sheet is no person's edit.
    pub(crate) fn own_writes(&mut self, item: &mut Item) {
        let Some(cells) = &item.cells else {
            return;
        };
        let Some(written) = self.memory.unfinished.in_flight.get(&item.key) else {
            return;
        };
        if item.base.is_none() && item.loaded.row.is_none() {
            // Never agreed on as a row: what we wrote into it makes no delete of it.
            return;
        }
        let columns = self.mapping.columns.len();
        for written in written {
            if cells.get(written.column) == Some(&written.cell) {
                let base = item.base.get_or_insert_with(|| Base::empty(columns));
                base.set(written.column, written.value.clone(), written.cell.clone());
                item.base_unstored = true;
            }
        }
    }

    /// Decides, applies, writes and records. Returns the keys that are left for the next chunk,
    /// where more follow: `rest`.
    pub(crate) async fn carry_out(
        &mut self,
        mut items: Vec<Item>,
        rest: &[Sighting],
    ) -> Result<HashSet<Key>, Stop> {
        self.decide_as_read(&mut items).await?;
        if self.start.dry_run {
            self.preview(&items);
            return Ok(HashSet::new());
        }
        self.decide_as_tagged(&mut items, rest).await?;
        self.drop_what_cannot_be_written(&mut items);
        let left = match rest {
            [] => HashSet::new(),
            _ => self.leave_the_rest(&mut items),
        };
        self.guard_chunk(&mut items);
        self.note_moves(&items);
        // Stamps are chosen before anything is sent, so that they can be stored with the rows: a
        // process that comes after a crash closes them before it plans anew.
        let insertions = self.insertions(&items);
        let deletion = self.tab.stamp();
        self.commit_before(&mut items, &insertions, &deletion)
            .await?;
        self.note_marks(&items, &insertions);
        let written = self.write_all(&mut items, insertions, deletion).await;
        // Whatever stopped the writing: what was done is recorded.
        self.commit_after(&mut items).await?;
        written?;
        self.restore_edits().await?;
        Ok(left)
    }

    /// What is to become of the rows, as far as the reading tells.
    async fn decide_as_read(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        for item in items.iter() {
            self.note_look(item);
        }
        let read = positions(items, |item| item.cells.is_some() || item.row.is_none());
        self.plan(items, &read).await?;
        self.doubt_blanks(items).await?;
        self.guard_moving_keys(items).await
    }

    /// The rows of the sheet that would change are tagged, and decided once more where they hold
    /// something else by then.
    async fn decide_as_tagged(
        &mut self,
        items: &mut [Item],
        rest: &[Sighting],
    ) -> Result<(), Stop> {
        let wanted = positions(items, |item| {
            let changes = matches!(
                item.plan.sheet,
                Some(SheetChange::Update(_) | SheetChange::Delete | SheetChange::Clear)
            );
            item.row.is_some() && (changes || item.cells.is_none())
        });
        self.tag_ahead(items, &wanted, rest).await?;
        let changed = self.tag(items, &wanted).await?;
        for index in &changed {
            if let Some(item) = items.get_mut(*index) {
                self.own_writes(item);
                self.note_look(item);
            }
        }
        self.note_computed(items, &changed);
        self.plan(items, &changed).await?;
        self.doubt_moved_keys(items, &changed)?;
        self.trace_formulas(items, &changed).await?;
        self.doubt_blanks(items).await?;
        self.drop_other_spellings(items).await?;
        self.withhold_new_rows(items).await
    }

    /// A new row whose key the sheet may have in another spelling is not inserted beside that.
    async fn drop_other_spellings(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        let is_new =
            |item: &&Item| !item.dropped && matches!(item.plan.sheet, Some(SheetChange::Insert(_)));
        let new = items.iter().filter(is_new).map(|item| item.key.clone());
        let found = self.spelled_otherwise(new.collect()).await?;
        for item in items.iter_mut() {
            item.dropped |= found.contains(&item.key);
        }
        Ok(())
    }

    fn drop_what_cannot_be_written(&mut self, items: &mut [Item]) {
        for item in items.iter_mut() {
            if item.cells.is_none() && item.row.is_some() {
                item.dropped = true;
            }
            // What is to be deleted needs an anchor of its own, and a new row to know where the
            // others end.
            let leaves = matches!(
                item.plan.sheet,
                Some(SheetChange::Delete | SheetChange::Clear)
            );
            let is_new = matches!(item.plan.sheet, Some(SheetChange::Insert(_)));
            if leaves && item.bare || is_new && self.tab.end().is_none() {
                item.dropped = true;
                self.ending.read_again = true;
            }
        }
        self.hold_unplaced(items);
        if self.is_closed() {
            self.hold_insertions(items);
        }
    }

    async fn write_all(
        &mut self,
        items: &mut [Item],
        insertions: Vec<Insertion>,
        deletion: Stamp,
    ) -> Result<(), Stop> {
        self.write_items(items).await?;
        self.insert_items(items, insertions).await?;
        self.delete_items(items, deletion).await
    }
}

/// The table's row is what the base says: our own apply, or a change that was taken back.
fn is_echo(loaded: &LoadedRow) -> bool {
    // What waits for a person, or was just decided, is looked at.
    if !loaded.pending.is_empty() {
        return false;
    }
    match (&loaded.base, &loaded.row) {
        (Some(base), Some(row)) => base.database == *row && loaded.in_filter,
        (Some(base), None) => base.is_absent_in_table(),
        (None, None) => true,
        (None, Some(_)) => false,
    }
}
