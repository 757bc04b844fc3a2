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

use super::grid::parse;
use super::header::Layout;
use super::io::{Stop, mismatch};
use super::item::Item;
use super::memory::State;
use super::pieces::Insertion;
use super::run::Cycle;
use super::snapshot::{Typed, typed_key};
use crate::effect::{
    AnchoredRow, BaseWrite, Commit, Conflict, MetadataId, NewRow, SheetEffect, SheetOutcome,
    Snapshot, Winner, WrittenRow,
};
use crate::reconcile::SheetChange;
use crate::value::{Cell, Key, Timestamp};

/// How often a cycle gives back into a row that somebody is typing in at that very moment.
const ATTEMPTS: usize = 3;

/// A row where a write of ours went over an edit.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// Still on its row, where the write left it there.
    pub anchor: Option<MetadataId>,
    /// Without an anchor, where it stands as far as anybody knows.
    pub row: Option<u32>,
    /// What the row is called by now; `None` where it has no key.
    pub key: Option<Key>,
    /// Its key cells, by which it is told from others without an anchor.
    pub name: Vec<Cell>,
    /// Mapped column, what we wrote, what had stood there.
    pub cells: Vec<(usize, Cell, Cell)>,
    /// Between which moments the edit was made, where that is known.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Readings that did not show it.
    pub missed: u32,
}

/// A row that is gone or blank by our own hand, and held something that nobody had seen.
#[derive(Clone, Debug)]
pub(super) struct Fallen {
    pub key: Option<Key>,
    /// From column 0, as the columns stood then.
    pub cells: Vec<Cell>,
    pub layout: Layout,
    /// A batch that put rows back was sent, and it is not known whether this was one of them.
    pub maybe_back: bool,
    /// That it went is known from the answer of the batch with which it went, not from images that
    /// were found after a crash.
    pub seen: bool,
}

impl Fallen {
    pub fn mapped(&self) -> Vec<Cell> {
        self.layout.mapped(&self.cells)
    }

    /// Its filled cells where their columns are now. Where columns were moved or inserted since,
    /// nobody can tell which of those that are not mapped is which: then the row has its mapped
    /// cells only.
    fn row(&self, now: &Layout) -> Vec<(u32, Cell)> {
        let mapped = || {
            let cells = self.mapped().into_iter().enumerate();
            let cells = cells.map(|(column, cell)| (now.column(column), cell));
            cells.collect()
        };
        let all = || (0..).zip(self.cells.iter().cloned()).collect();
        let cells: Vec<(u32, Cell)> = if self.layout == *now { all() } else { mapped() };
        let filled = cells.into_iter().filter(|(_, cell)| *cell != Cell::Empty);
        filled.collect()
    }
}

impl Taken {
    fn has_place(&self) -> bool {
        self.anchor.is_some() || self.row.is_some()
    }

    /// Giving back went over what we had written ourselves, in a row that got another key at that
    /// moment: nobody misses that, but for the parts of the key that this one shares with ours.
    fn without_ours(mut self, before: &Taken, key: &[usize]) -> Option<Taken> {
        let is_ours = |(column, _, theirs): &(usize, Cell, Cell)| {
            let mut known = before.cells.iter();
            known.any(|(at, ours, _)| at == column && ours == theirs)
        };
        let is_key = |cell: &(usize, Cell, Cell)| key.contains(&cell.0);
        let retyped = (self.cells.iter()).any(|cell| is_key(cell) && !is_ours(cell));
        (self.cells).retain(|cell| !is_ours(cell) || retyped && is_key(cell));
        (!self.cells.is_empty()).then_some(self)
    }
}

/// Where a row and its anchor stand, and what the row holds.
type Place = (MetadataId, u32, Vec<Cell>);

/// Of a cell that several of our writes went over what the last of them did is given back; or what
/// an earlier one did, where the last only went over that one.
fn last_words(ready: Vec<Taken>, places: &[Option<Place>]) -> Vec<Taken> {
    let mut words: HashMap<(u32, usize), usize> = HashMap::new();
    let mut told: Vec<Taken> = Vec::with_capacity(ready.len());
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
    pub(super) fn taken(
        &self,
        seen: &[Cell],
        sent: &AnchoredRow,
        written: &WrittenRow,
    ) -> Option<Taken> {
        let before = self.mapped(written.before.as_ref()?);
        let after = self.mapped(&written.after);
        let columns = self.columns_of(sent);
        if !self.is_image(&columns, &before, &after) {
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
        (!cells.is_empty()).then(|| Taken {
            anchor: self.kept(sent.anchor),
            row: Some(written.row),
            key: self.key_of(&after),
            name: self.name_of(&after),
            cells,
            window: Some((self.tagged_at, self.io.now())),
            missed: 0,
        })
    }

    /// Takes note of what the write of this item went over, and returns the columns in which it
    /// did.
    pub(super) fn note_taken(
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
                self.columns_of(sent)
            } else {
                Vec::new()
            };
        }
        let seen = item.cells.as_deref().unwrap_or_default();
        let Some(taken) = self.taken(seen, sent, written) else {
            return Vec::new();
        };
        let columns = taken.cells.iter().map(|(column, ..)| *column).collect();
        self.memory.taken.push(taken);
        self.stale |= item.row.is_none();
        columns
    }

    /// The item's row was deleted as it was not meant to be: edited since it was looked at, or
    /// another row by now.
    pub(super) fn fell(&mut self, item: &mut Item, before: &[Cell]) -> bool {
        let fell = self.note_fallen(item, before);
        if fell {
            item.plan.sheet = None;
            item.dropped = true;
        }
        fell
    }

    fn note_fallen(&mut self, item: &Item, before: &[Cell]) -> bool {
        let (Some(seen), shown) = (&item.cells, self.mapped(before)) else {
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
        let layout = self.memory.layout.clone();
        self.memory.fallen.extend(layout.map(|layout| Fallen {
            key,
            cells,
            layout,
            maybe_back: false,
            seen: true,
        }));
    }

    /// A column in which people's edits count against a deletion.
    pub(super) fn is_edited(&self, column: usize) -> bool {
        self.mapping.pushes(column)
    }

    /// What stands where the image should be may be another row: it is not known whether rows that
    /// a filter hides are copied.
    fn is_image(&self, written: &[usize], before: &[Cell], after: &[Cell]) -> bool {
        let same = |column: &usize| before.get(*column) == after.get(*column);
        let is_left = |column: &usize| !written.contains(column);
        let key: Vec<usize> = self.mapping.key.iter().copied().filter(is_left).collect();
        if key.is_empty() {
            let mut others = (0..after.len())
                .filter(is_left)
                .filter(|one| self.mapping.pushes(*one));
            others.all(|column| same(&column))
        } else {
            key.iter().all(same)
        }
    }

    /// Whether the row was answered with an image that is its own.
    pub(super) fn has_image(&self, sent: &AnchoredRow, written: &WrittenRow) -> bool {
        let before = written.before.as_ref().map(|before| self.mapped(before));
        let after = self.mapped(&written.after);
        before.is_some_and(|before| self.is_image(&self.columns_of(sent), &before, &after))
    }

    fn columns_of(&self, sent: &AnchoredRow) -> Vec<usize> {
        let layout = self.memory.layout.iter().flat_map(|layout| &layout.columns);
        let places: HashMap<u32, usize> = layout
            .enumerate()
            .map(|(column, at)| (*at, column))
            .collect();
        let cells = sent.cells.iter();
        cells
            .filter_map(|(at, _)| places.get(at).copied())
            .collect()
    }

    pub(super) fn mapped(&self, cells: &[Cell]) -> Vec<Cell> {
        let layout = self.memory.layout.as_ref();
        layout
            .map(|layout| layout.mapped(cells))
            .unwrap_or_default()
    }

    /// The same key, in whatever spellings.
    pub(super) fn is_same_row(&self, one: &[Cell], other: &[Cell]) -> bool {
        let mut key = self.mapping.key.iter();
        key.all(|column| one.get(*column) == other.get(*column))
            || self
                .key_of(one)
                .is_some_and(|key| self.is_row_of(&key, other))
    }

    pub(super) fn name_of(&self, cells: &[Cell]) -> Vec<Cell> {
        let key = self.mapping.key.iter();
        key.map(|column| cells.get(*column).cloned().unwrap_or(Cell::Empty))
            .collect()
    }

    pub(super) fn key_of(&self, cells: &[Cell]) -> Option<Key> {
        match typed_key(&self.mapping, cells) {
            Typed::Whole(typed) => {
                let known = self.memory.canonical(&self.mapping, &typed);
                Some(known.unwrap_or(typed))
            }
            Typed::Blank | Typed::Missing(_) | Typed::Error(_) => None,
        }
    }

    /// The anchor, if the write left it on its row.
    fn kept(&self, anchor: MetadataId) -> Option<MetadataId> {
        let mut stand = self.live.iter().chain(&self.memory.anchors);
        stand.any(|one| *one == anchor).then_some(anchor)
    }

    /// What our writes went over stands in its cells again, where nobody has typed since.
    pub(super) async fn give_back(&mut self) -> Result<(), Stop> {
        for _ in 0..ATTEMPTS {
            let taken = self.memory.taken.iter().cloned();
            let (ready, mut left): (Vec<Taken>, Vec<Taken>) = taken.partition(Taken::has_place);
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
                let layout = self.memory.layout.as_ref();
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
                let stamp = self.stamp();
                let answer = self.write(sent.clone(), stamp).await?;
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
            self.memory.taken = left;
        }
        Ok(())
    }

    /// What is given back after a crash may be no edit at all, and whoever gave the row another key
    /// since has seen what stands in it.
    fn is_adopted(&self, taken: &Taken, cells: &[Cell]) -> bool {
        let mut columns = taken.cells.iter().map(|(column, ..)| column);
        taken.window.is_none()
            && self.name_of(cells) != taken.name
            && !columns.any(|column| self.mapping.key.contains(column))
    }

    /// Where these rows stand, under which anchor, and what they hold; none where the row is not
    /// found, or is another by now.
    async fn places(&mut self, ready: &[Taken]) -> Result<Vec<Option<Place>>, Stop> {
        let without = ready.iter().filter(|taken| taken.anchor.is_none());
        let mut rows: Vec<u32> = without.filter_map(|taken| taken.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let tagged = match rows.is_empty() {
            true => Vec::new(),
            false => self.tag_rows(&rows).await?,
        };
        let anchors = ready.iter().filter_map(|taken| taken.anchor);
        let looked = self.look(anchors.collect()).await?;
        let place = |taken: &Taken| match taken.anchor {
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

    /// The rows on which these anchors stand, and their mapped cells. A header that moved outdates
    /// the plan.
    pub(super) async fn look(
        &mut self,
        anchors: Vec<MetadataId>,
    ) -> Result<HashMap<MetadataId, (u32, Vec<Cell>)>, Stop> {
        if anchors.is_empty() {
            return Ok(HashMap::new());
        }
        let effect = SheetEffect::Look {
            header: self.mapping.header_row.saturating_sub(1),
            anchors,
        };
        self.tagged_at = self.io.now();
        let seen = match self.io.sheet(effect).await? {
            SheetOutcome::Seen(seen) => seen,
            _ => return Err(mismatch().into()),
        };
        let layout = self.same_layout(Some(seen.header))?;
        for (anchor, ..) in &seen.rows {
            if self.kept(*anchor).is_none() {
                self.memory.anchors.push(*anchor);
            }
        }
        let rows = seen.rows.into_iter();
        Ok(rows
            .map(|(anchor, row, cells)| (anchor, (row, layout.mapped(&cells))))
            .collect())
    }

    /// The row is gone to which an edit is to be given back: what is left to do is to say so.
    fn overwritten(&self, taken: &Taken) -> Vec<Conflict> {
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

    fn wait_for_reading(&mut self, taken: Taken, left: &mut Vec<Taken>) {
        self.stale = true;
        left.push(Taken { row: None, ..taken });
    }

    fn note_given_back(&mut self, taken: &Taken) {
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
    pub(super) async fn give_back_by(&mut self, snapshot: &Snapshot) -> Result<bool, Stop> {
        let owed = !self.memory.taken.is_empty() || !self.memory.fallen.is_empty();
        if self.start.dry_run || !owed {
            return Ok(false);
        }
        self.find_taken(snapshot)?;
        let mut outdated = self.memory.taken.iter().any(Taken::has_place);
        outdated |= self.put_back(snapshot).await?;
        self.give_back().await?;
        Ok(outdated)
    }

    /// Where these rows stand by now. One that two readings miss was changed by a person since:
    /// theirs is the later word.
    fn find_taken(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let mut taken = std::mem::take(&mut self.memory.taken);
        for one in &mut taken {
            one.row = None;
        }
        if !taken.is_empty() {
            let first = self.mapping.header_row;
            let end = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
            for row in first..end {
                let cells = self.mapped(&parse(snapshot, row)?);
                let name = self.name_of(&cells);
                // Without a key the row is told by all that we wrote into it.
                let shows = |one: &Taken| {
                    let mut ours = one.cells.iter();
                    let shown =
                        |(column, ours, _): &(usize, Cell, Cell)| cells.get(*column) == Some(ours);
                    match one.key {
                        Some(_) => ours.any(shown),
                        None => ours.all(shown),
                    }
                };
                let unfound = |one: &&mut Taken| !one.has_place();
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
        self.memory.taken = taken;
        Ok(())
    }

    /// Rows that fell are inserted below the data. One that a single reading misses may stand there
    /// all the same.
    async fn put_back(&mut self, snapshot: &Snapshot) -> Result<bool, Stop> {
        self.forget_standing(snapshot)?;
        if self.memory.fallen.is_empty() || snapshot.rows.is_empty() {
            self.memory.fallen.clear();
            return Ok(false);
        }
        let unsure = |key: &Key| {
            let known = self.memory.rows.get(key);
            known.is_some_and(|known| self.confirmed_from(known).is_some())
        };
        let mut keys = self.memory.fallen.iter().filter_map(|row| row.key.as_ref());
        if keys.any(unsure) {
            return Ok(true);
        }
        let Some(layout) = &self.memory.layout else {
            return Ok(true);
        };
        let fallen = self.memory.fallen.iter();
        let rows: Vec<NewRow> = fallen.map(|fallen| fallen.row(layout)).collect();
        let insertion = Insertion {
            items: Vec::new(),
            rows: rows.into(),
            stamp: self.stamp(),
        };
        self.announce(&insertion.stamp).await?;
        let id = insertion.stamp.id;
        match self.insert_rows(&insertion).await {
            Ok(()) => {
                self.note_put_back().await?;
                Ok(true)
            }
            Err(stop) => {
                let may_stand = self.may_stand(id);
                for fallen in &mut self.memory.fallen {
                    fallen.maybe_back |= may_stand;
                }
                Err(stop)
            }
        }
    }

    /// What is stored of these rows says that they are about to go: a fresh process would put them
    /// back once more.
    async fn note_put_back(&mut self) -> Result<(), Stop> {
        for fallen in &mut self.memory.fallen {
            fallen.maybe_back = true;
        }
        let keys = self.memory.fallen.iter().filter_map(|row| row.key.clone());
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
        self.memory.fallen.clear();
        Ok(())
    }

    /// Rows that may be back already, and stand there; and those of which nobody knows whether they
    /// were meant to go, where nothing is lost of them because another row is just like it.
    /// Otherwise such a row is a copy that a person made.
    fn forget_standing(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let mut fallen = std::mem::take(&mut self.memory.fallen);
        let end = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
        for row in self.mapping.header_row..end {
            if fallen.is_empty() {
                break;
            }
            let cells = self.mapped(&parse(snapshot, row)?);
            let key = self.key_of(&cells);
            fallen.retain(|fallen| {
                let same_key = fallen.maybe_back && key.is_some() && key == fallen.key;
                let alike = || (fallen.maybe_back || !fallen.seen) && fallen.mapped() == cells;
                !(same_key || alike())
            });
        }
        self.memory.fallen = fallen;
        Ok(())
    }
}
