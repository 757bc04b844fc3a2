//! What our writes went over that nobody had seen.
//!
//! Google has no compare-and-swap: a person may edit a row after it was tagged and before it is
//! written. So a batch that overwrites or deletes keeps an image of each row as it was right
//! before. Where that shows an edit, the edit is given back, as if our batch had been refused
//! there, and the row goes its ordinary way: conflict, policy and all. Until everything is recorded
//! and given back the batch stands announced with the mapping, so that whoever comes after a crash
//! reads the images and does the same.

use std::collections::{HashMap, HashSet};

use indexmap::IndexSet;

use crate::cycle::compare::diff::{Typed, typed_key};
use crate::cycle::item::Item;
use crate::cycle::memory::State;
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{
    AnchoredRow, BaseWrite, Commit, Conflict, MetadataId, NewRow, Snapshot, Winner, WrittenRow,
};
use crate::reconcile::SheetChange;
use crate::tab::{LostRow, OverwrittenEdit, Purpose};
use crate::value::{Cell, Key};

/// How often a cycle gives back into a row that somebody is typing in at that very moment.
const ATTEMPTS: usize = 3;

/// Where a row and its anchor stand, and what the row holds.
type Place = (MetadataId, u32, Vec<Cell>);

/// Of a cell that several of our writes went over what the last of them did is given back; or what
/// an earlier one did, where the last only went over that one.
fn last_words(ready: Vec<OverwrittenEdit>, places: &[Option<Place>]) -> Vec<OverwrittenEdit> {
    let mut words: HashMap<(u32, usize), usize> = HashMap::new();
    let mut told: Vec<OverwrittenEdit> = Vec::with_capacity(ready.len());
    for (mut taken, place) in ready.into_iter().zip(places) {
        let Some((_, row, _)) = place else {
            told.push(taken);
            continue;
        };
        for (column, _, theirs) in &mut taken.cells {
            let earlier = words.insert((*row, *column), told.len());
            let Some(earlier) = earlier.and_then(|at| told.get_mut(at)) else {
                continue;
            };
            let same = |cell: &(usize, Cell, Cell)| cell.0 == *column;
            let Some(at) = earlier.cells.iter().position(same) else {
                continue;
            };
            let (_, ours, before) = earlier.cells.remove(at);
            if *theirs == ours {
                *theirs = before;
            }
        }
        told.push(taken);
    }
    told
}

impl Cycle {
    /// What of `sent` went over something else than was `seen` when the row was tagged.
    pub(crate) fn taken(
        &self,
        seen: &[Cell],
        sent: &AnchoredRow,
        written: &WrittenRow,
    ) -> Option<OverwrittenEdit> {
        let before = self.tab.mapped(written.before.as_ref()?);
        let after = self.tab.mapped(&written.after);
        let columns = self.tab.columns_of(sent);
        if !self.tab.is_image(&self.mapping, &columns, &before, &after) {
            return None;
        }
        let as_seen = self.is_same_row(seen, &before);
        let cells: Vec<(usize, Cell, Cell)> = columns
            .into_iter()
            .filter_map(|column| {
                let (ours, theirs) = (after.get(column)?, before.get(column)?);
                let unseen = !as_seen || seen.get(column) != Some(theirs);
                (unseen && ours != theirs).then(|| (column, ours.clone(), theirs.clone()))
            })
            .collect();
        let look = self.tab.last_look();
        (!cells.is_empty()).then(|| OverwrittenEdit {
            anchor: Some(sent.anchor).filter(|anchor| self.tab.stands(*anchor)),
            row: Some(written.row),
            key: self.key_of(&after),
            name: self.name_of(&after),
            cells,
            window: Some((look.sent, look.read)),
            missed: 0,
        })
    }

    /// Takes note of what the write of this item went over, and returns the columns in which it
    /// did.
    pub(crate) fn note_taken(
        &mut self,
        item: &Item,
        sent: &AnchoredRow,
        written: &WrittenRow,
    ) -> Vec<usize> {
        if item.plan.sheet == Some(SheetChange::Clear) {
            // Where the write changed nothing, the row stands as it stood.
            let before = written.before.as_ref();
            let fell = before
                .filter(|before| **before != written.after)
                .is_some_and(|before| self.note_fallen(item, before));
            return if fell {
                self.tab.columns_of(sent)
            } else {
                Vec::new()
            };
        }
        let seen = item.cells.as_deref().unwrap_or_default();
        let Some(taken) = self.taken(seen, sent, written) else {
            return Vec::new();
        };
        let columns = taken.cells.iter().map(|(column, ..)| *column).collect();
        self.tab.debts_mut().edits.push(taken);
        self.stale |= item.row.is_none();
        columns
    }

    /// The item's row was deleted as it was not meant to be: edited since it was looked at, or
    /// another row by now.
    pub(crate) fn fell(&mut self, item: &mut Item, before: &[Cell]) -> bool {
        let fell = self.note_fallen(item, before);
        if fell {
            item.plan.sheet = None;
            item.dropped = true;
        }
        fell
    }

    fn note_fallen(&mut self, item: &Item, before: &[Cell]) -> bool {
        let (Some(seen), shown) = (&item.cells, self.tab.mapped(before)) else {
            return false;
        };
        if shown.iter().all(|cell| *cell == Cell::Empty) {
            return false;
        }
        let edited = (0..shown.len())
            .any(|column| self.is_edited(column) && seen.get(column) != shown.get(column));
        let fell = edited || !self.is_same_row(seen, &shown);
        if fell {
            let key = self.key_of(&shown);
            self.note_to_put_back(key, before.to_vec());
            self.stale = true;
        }
        fell
    }

    fn note_to_put_back(&mut self, key: Option<Key>, cells: Vec<Cell>) {
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

    /// A column in which people's edits count against a deletion.
    pub(crate) fn is_edited(&self, column: usize) -> bool {
        self.mapping.pushes(column)
    }

    /// The same key, in whatever spellings.
    pub(crate) fn is_same_row(&self, one: &[Cell], other: &[Cell]) -> bool {
        let mut key = self.mapping.key.iter();
        key.all(|column| one.get(*column) == other.get(*column))
            || self
                .key_of(one)
                .is_some_and(|key| self.is_row_of(&key, other))
    }

    pub(crate) fn name_of(&self, cells: &[Cell]) -> Vec<Cell> {
        let key = self.mapping.key.iter();
        key.map(|column| cells.get(*column).cloned().unwrap_or(Cell::Empty))
            .collect()
    }

    pub(crate) fn key_of(&self, cells: &[Cell]) -> Option<Key> {
        match typed_key(&self.mapping, cells) {
            Typed::Whole(typed) => {
                let known = self.memory.canonical(&self.mapping, &typed);
                Some(known.unwrap_or(typed))
            }
            Typed::Blank | Typed::Missing(_) | Typed::Error(_) => None,
        }
    }

    /// What our writes went over stands in its cells again, where nobody has typed since.
    pub(crate) async fn give_back(&mut self) -> Result<(), Stop> {
        for _ in 0..ATTEMPTS {
            let taken = self.tab.debts().edits.iter().cloned();
            let (ready, mut left): (Vec<OverwrittenEdit>, Vec<OverwrittenEdit>) =
                taken.partition(OverwrittenEdit::has_place);
            if ready.is_empty() {
                break;
            }
            let places = self.places(&ready).await?;
            let ready = last_words(ready, &places);
            let (mut sent, mut going) = (Vec::new(), Vec::new());
            let mut rows = HashSet::new();
            let mut overwritten = Vec::new();
            for (mut taken, place) in ready.into_iter().zip(places) {
                let Some((anchor, row, cells)) = place else {
                    match taken.anchor {
                        Some(_) => overwritten.extend(self.overwritten(&taken)),
                        None => self.wait_for_reading(taken, &mut left),
                    }
                    continue;
                };
                let adopted = self.is_adopted(&taken, &cells);
                taken
                    .cells
                    .retain(|(column, ours, _)| !adopted && cells.get(*column) == Some(ours));
                if taken.cells.is_empty() {
                    self.note_given_back(&taken);
                    continue;
                }
                if !rows.insert(row) {
                    left.push(taken);
                    continue;
                }
                let layout = self.tab.layout();
                let back = taken.cells.iter().filter_map(|(column, _, theirs)| {
                    Some((layout?.column(*column), theirs.clone()))
                });
                sent.push(AnchoredRow {
                    bare: false,
                    anchor,
                    row,
                    cells: back.collect(),
                });
                going.push((taken, cells));
            }
            self.note_overwritten(overwritten).await?;
            let mut written: HashMap<MetadataId, WrittenRow> = HashMap::new();
            if !sent.is_empty() {
                let stamp = self.tab.stamp();
                let answer = self.tab.write(&self.mapping, sent.clone(), stamp).await?;
                written.extend(answer.into_iter().map(|row| (row.anchor, row)));
            }
            for ((taken, seen), sent) in going.into_iter().zip(&sent) {
                let Some(written) = written.remove(&sent.anchor) else {
                    match taken.anchor {
                        // The next look tells whether its row is gone.
                        Some(_) => left.push(taken),
                        None => self.wait_for_reading(taken, &mut left),
                    }
                    continue;
                };
                self.note_given_back(&taken);
                let again = self.taken(&seen, sent, &written);
                left.extend(match written.stood {
                    true => again.and_then(|again| again.without_ours(&taken, &self.mapping.key)),
                    // Nothing in this row was ever ours.
                    false => again,
                });
            }
            self.tab.debts_mut().edits = left;
        }
        Ok(())
    }

    /// What is given back after a crash may be no edit at all, and whoever gave the row another key
    /// since has seen what stands in it.
    fn is_adopted(&self, taken: &OverwrittenEdit, cells: &[Cell]) -> bool {
        let mut columns = taken.cells.iter().map(|(column, ..)| column);
        taken.window.is_none()
            && self.name_of(cells) != taken.name
            && !columns.any(|column| self.mapping.key.contains(column))
    }

    /// Where these rows stand, under which anchor, and what they hold; none where the row is not
    /// found, or is another by now.
    async fn places(&mut self, ready: &[OverwrittenEdit]) -> Result<Vec<Option<Place>>, Stop> {
        let without = ready.iter().filter(|taken| taken.anchor.is_none());
        let mut rows: Vec<u32> = without.filter_map(|taken| taken.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let tagged = match rows.is_empty() {
            true => Vec::new(),
            false => self.tag_rows(&rows).await?,
        };
        let anchors = ready.iter().filter_map(|taken| taken.anchor);
        let looked = self.tab.look(&self.mapping, anchors.collect()).await?;
        let place = |taken: &OverwrittenEdit| match taken.anchor {
            Some(anchor) => {
                let (row, cells) = looked.get(&anchor)?;
                Some((anchor, *row, cells.clone()))
            }
            None => {
                let row = taken.row?;
                let tagged = tagged.get(rows.binary_search(&row).ok()?)?;
                let cells = tagged.cells.clone()?;
                (self.name_of(&cells) == taken.name).then_some((tagged.anchor, row, cells))
            }
        };
        Ok(ready.iter().map(place).collect())
    }

    /// The row is gone to which an edit is to be given back: what is left to do is to say so.
    fn overwritten(&self, taken: &OverwrittenEdit) -> Vec<Conflict> {
        let Some(key) = &taken.key else {
            return Vec::new();
        };
        let line = |(column, ours, theirs): &(usize, Cell, Cell)| Conflict {
            key: key.clone(),
            column: Some(*column),
            base: None,
            database: Some(self.mapping.decode(*column, ours)),
            sheet: Some(theirs.clone()),
            rows: None,
            database_time: None,
            sheet_time: taken
                .window
                .map_or((None, self.io.now()), |(since, until)| (Some(since), until)),
            winner: Winner::Database,
            settled: true,
        };
        taken.cells.iter().map(line).collect()
    }

    async fn note_overwritten(&mut self, conflicts: Vec<Conflict>) -> Result<(), Stop> {
        if !conflicts.is_empty() {
            self.commit(Commit {
                conflicts,
                ..Commit::default()
            })
            .await?;
        }
        Ok(())
    }

    fn wait_for_reading(&mut self, taken: OverwrittenEdit, left: &mut Vec<OverwrittenEdit>) {
        self.stale = true;
        left.push(OverwrittenEdit { row: None, ..taken });
    }

    fn note_given_back(&mut self, taken: &OverwrittenEdit) {
        let Some(key) = &taken.key else {
            self.stale = true;
            return;
        };
        if let Some((since, until)) = taken.window {
            let edits = self.memory.edits.entry(key.clone()).or_default();
            for (column, _, theirs) in &taken.cells {
                edits.set(*column, theirs.clone(), (Some(since), until));
            }
        }
        let known = self.memory.known(key);
        known.look_again();
        self.follow_up.insert(key.clone());
    }

    /// With a reading at hand: cells are given back, and rows put back, wherever they stand or
    /// stood. True where the reading is outdated by that.
    pub(crate) async fn give_back_by(&mut self, snapshot: &Snapshot) -> Result<bool, Stop> {
        let debts = self.tab.debts();
        let owed = !debts.edits.is_empty() || !debts.rows.is_empty();
        if self.start.dry_run || !owed {
            return Ok(false);
        }
        self.find_taken(snapshot)?;
        let mut outdated = self
            .tab
            .debts()
            .edits
            .iter()
            .any(OverwrittenEdit::has_place);
        outdated |= self.put_back(snapshot).await?;
        self.give_back().await?;
        Ok(outdated)
    }

    /// Where these rows stand by now. One that two readings miss was changed by a person since:
    /// theirs is the later word.
    fn find_taken(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let mut taken = std::mem::take(&mut self.tab.debts_mut().edits);
        for one in &mut taken {
            one.row = None;
        }
        if !taken.is_empty() {
            let first = self.mapping.header_row;
            let end = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
            for row in first..end {
                let cells = self.tab.mapped(&parse(snapshot, row)?);
                let name = self.name_of(&cells);
                // Without a key the row is told by all that we wrote into it.
                let shows = |one: &OverwrittenEdit| {
                    let mut ours = one.cells.iter();
                    let shown =
                        |(column, ours, _): &(usize, Cell, Cell)| cells.get(*column) == Some(ours);
                    match one.key {
                        Some(_) => ours.any(shown),
                        None => ours.all(shown),
                    }
                };
                let unfound = |one: &&mut OverwrittenEdit| !one.has_place();
                if let Some(one) = taken
                    .iter_mut()
                    .filter(unfound)
                    .find(|one| one.name == name && shows(one))
                {
                    one.row = Some(row);
                }
            }
        }
        for one in &mut taken {
            one.missed += u32::from(!one.has_place());
            self.soon |= one.missed == 1;
        }
        taken.retain(|one| one.missed < 2);
        self.tab.debts_mut().edits = taken;
        Ok(())
    }

    /// Rows that fell are inserted below the data. One that a single reading misses may stand there
    /// all the same.
    async fn put_back(&mut self, snapshot: &Snapshot) -> Result<bool, Stop> {
        self.forget_standing(snapshot)?;
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
        let fallen = self.tab.debts().rows.iter();
        let rows: Vec<NewRow> = fallen.map(|fallen| fallen.row(layout)).collect();
        let stamp = self.tab.stamp();
        self.tab.announce(&stamp).await?;
        match self.tab.insert(rows.into(), stamp, Purpose::Cells).await {
            Ok(_) => {
                self.note_put_back().await?;
                Ok(true)
            }
            Err(unanswered) => {
                let may_stand = unanswered.fate.may_stand();
                for fallen in &mut self.tab.debts_mut().rows {
                    fallen.maybe_back |= may_stand;
                }
                Err(unanswered.into())
            }
        }
    }

    /// What is stored of these rows says that they are about to go: a fresh process would put them
    /// back once more.
    async fn note_put_back(&mut self) -> Result<(), Stop> {
        for fallen in &mut self.tab.debts_mut().rows {
            fallen.maybe_back = true;
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
    fn forget_standing(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let mut fallen = std::mem::take(&mut self.tab.debts_mut().rows);
        let end = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
        for row in self.mapping.header_row..end {
            if fallen.is_empty() {
                break;
            }
            let cells = self.tab.mapped(&parse(snapshot, row)?);
            let key = self.key_of(&cells);
            fallen.retain(|fallen| {
                let same_key = fallen.maybe_back && key.is_some() && key == fallen.key;
                let alike = || (fallen.maybe_back || !fallen.seen) && fallen.mapped() == cells;
                !(same_key || alike())
            });
        }
        self.tab.debts_mut().rows = fallen;
        Ok(())
    }
}
