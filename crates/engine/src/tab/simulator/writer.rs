//! Our writer: the simplest that keeps the promises by [`Tab`] alone. It knows of no table. It
//! writes new values into some rows, inserts and deletes rows, and restores what it overwrote.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::super::debts::{LostRow, OverwrittenEdit};
use super::super::layout::{Found, Layout, find_columns};
use super::super::{Kept, Purpose, Tab, Trouble, Unanswered};
use super::ledger::{Ledger, Plan};
use crate::codec::hash_cells;
use crate::effect::{
    AnchoredRow, Announcement, Commit, Failure, Image, MetadataId, SheetEffect, SheetOutcome,
    Stamp, TagRow, WrittenRow,
};
use crate::io::{Io, mismatch};
use crate::mapping::Mapping;
use crate::value::{Cell, Key, Timestamp};

/// A deliberate bug. Each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Google takes a stamp that is in use.
    StampUnchecked,
    /// What was announced is not stored.
    AnnouncementNotStored,
    /// A batch without an answer is taken for one that was refused.
    LostTakenForRefused,
    /// The images of a batch that turned out to be carried out are not read.
    ImagesNotRead,
    /// Anchors of an earlier process go before its batches are closed.
    TidiedBeforeClosing,
    /// All anchors go while something is to be restored through them.
    NeededAnchorsTidied,
    /// An image is believed whichever row it is of.
    ForeignImageBelieved,
    /// What the answer shows from before the write is passed over.
    BeforeIgnored,
    /// The same for rows that are deleted.
    DeletedRowsIgnored,
    /// Each batch puts its images where the one before has put them.
    ImagesOverwritten,
    /// The batches are declared over while something is owed.
    OverTooEarly,
    /// The stamp does not tell from which reading a batch was planned.
    StampsOfTheirOwn,
}

/// What is stored, and outlives a process.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub announced: Vec<Stamp>,
    /// By the stamps' values: what the rows of a batch showed when it was planned.
    seen: HashMap<String, Vec<SeenRow>>,
    inserting: Vec<(Stamp, Vec<Key>)>,
    deleting: Vec<(Stamp, Vec<Key>)>,
    /// New rows that the sheet has yet to get.
    wanted: Vec<(Cell, Cell)>,
}

#[derive(Clone, Debug)]
struct SeenRow {
    anchor: MetadataId,
    cells: Vec<Cell>,
}

/// What one session is to do, once nothing is owed.
#[derive(Clone, Debug)]
pub enum Todo {
    Nothing,
    /// From this row on so many, of which some neighbours have no anchor.
    Write {
        from: usize,
        rows: usize,
        reads: bool,
    },
    /// Several batches, one row each, and nothing is restored before all are written.
    WriteOneByOne {
        from: usize,
        batches: usize,
    },
    Insert {
        rows: usize,
    },
    Delete {
        from: usize,
        rows: usize,
    },
}

#[derive(Clone)]
pub struct Writer {
    pub number: usize,
    pub io: Io,
    pub mapping: Rc<Mapping>,
    pub stored: Rc<RefCell<Stored>>,
    pub ledger: Rc<RefCell<Ledger>>,
    pub bug: Option<Bug>,
    /// It has just begun, and knows what is stored.
    pub cold: bool,
    pub seed: u64,
}

/// How a session ends that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// There is more to do, or the tab is to be read again.
    Again,
    Rest,
}

enum Stop {
    Outdated,
    #[allow(dead_code)]
    Failed(Failure),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Outdated => Self::Outdated,
            Trouble::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Trouble::from(failure).into()
    }
}

impl From<Unanswered> for Stop {
    fn from(unanswered: Unanswered) -> Self {
        unanswered.why.into()
    }
}

type Done<T = ()> = Result<T, Stop>;

struct Session {
    writer: Writer,
    tab: Tab,
    rows: Vec<Vec<Cell>>,
    plan: Plan,
}

/// What comes of a session, and what its process remembers.
pub async fn session(writer: Writer, kept: Kept, todo: Todo) -> (Option<End>, Kept) {
    let now = writer.io.now();
    let mut tab = Tab::new(writer.io.clone(), &writer.mapping, kept, writer.seed, now);
    if writer.cold {
        let stored = writer.stored.borrow();
        let deleting = stored.deleting.iter().map(|batch| (true, batch));
        let inserting = stored.inserting.iter().map(|batch| (false, batch));
        for (deletes, (stamp, keys)) in deleting.chain(inserting) {
            for key in keys {
                tab.note_announced_row(stamp.clone(), deletes, key);
            }
        }
        tab.note_announced(stored.announced.clone());
    }
    let mut session = Session {
        writer,
        tab,
        rows: Vec::new(),
        plan: Plan::default(),
    };
    let end = session.run(todo).await.ok();
    (end, session.tab.into_kept())
}

impl Session {
    async fn run(&mut self, todo: Todo) -> Done<End> {
        self.recover().await?;
        let reads = match &todo {
            Todo::Write { reads, .. } => *reads,
            _ => true,
        };
        let owes = !self.tab.debts().is_empty();
        if reads || owes || self.tab.layout().is_none() {
            self.read().await?;
        }
        self.compare_images();
        if !self.tab.debts().rows.is_empty() {
            self.put_back().await?;
            return Ok(End::Again);
        }
        if !self.tab.debts().edits.is_empty() {
            self.find_places();
            self.give_back().await?;
            return Ok(End::Again);
        }
        let end = match todo {
            Todo::Nothing => End::Rest,
            _ => End::Again,
        };
        match todo {
            Todo::Nothing => {}
            Todo::Write { from, rows, .. } => {
                let rows = self.chosen(from, rows);
                self.write(rows).await?;
            }
            Todo::WriteOneByOne { from, batches } => {
                for row in self.chosen(from, batches) {
                    self.write(vec![row]).await?;
                }
            }
            Todo::Insert { rows } => {
                self.want(rows);
                self.insert().await?;
            }
            Todo::Delete { from, rows } => {
                let rows = self.chosen(from, rows);
                self.delete(rows).await?;
            }
        }
        self.give_back().await?;
        self.declare_over().await?;
        Ok(end)
    }

    fn is(&self, bug: Bug) -> bool {
        self.writer.bug == Some(bug)
    }

    // ------------------------------------------------------------------------------------------ what is left of before

    async fn recover(&mut self) -> Done {
        if self.is(Bug::TidiedBeforeClosing) {
            self.tab.tidy_leftovers().await?;
        }
        if self.is(Bug::LostTakenForRefused) {
            self.tab.kept.lost.clear();
        }
        while let Some(closed) = self.tab.close_lost_batch().await? {
            let mut stored = self.writer.stored.borrow_mut();
            let batch = stored.inserting.iter();
            let batch = batch
                .clone()
                .position(|(stamp, _)| stamp.id == closed.stamp);
            if let Some(at) = batch {
                let (_, keys) = stored.inserting.remove(at);
                let came = |(key, _): &(Cell, Cell)| !closed.arrived || !keys.contains(&named(key));
                stored.wanted.retain(came);
            }
            if !closed.arrived {
                stored
                    .deleting
                    .retain(|(stamp, _)| stamp.id != closed.stamp);
            }
        }
        if self.is(Bug::ImagesNotRead) {
            self.tab.kept.unread.clear();
        }
        if self.tab.read_images().await? {
            let mut ledger = self.writer.ledger.borrow_mut();
            for (_, image) in &self.tab.debts().images {
                ledger.note_told(&image.stamp, &image.before);
            }
        }
        if self.is(Bug::NeededAnchorsTidied) && self.tab.debts().need_anchors() {
            self.writer.io.sheet(SheetEffect::TidyAll).await?;
        }
        self.tab.tidy_leftovers().await?;
        Ok(())
    }

    /// Where an image shows something else than was seen when its batch was planned, somebody has
    /// edited the row in between.
    fn compare_images(&mut self) {
        let images = std::mem::take(&mut self.tab.debts_mut().images);
        let may_be_back = std::mem::take(&mut self.tab.debts_mut().may_be_back);
        for (unread, image) in images {
            if !unread {
                continue;
            }
            let layout = Layout {
                columns: image.layout.clone(),
            };
            let (before, after) = (layout.mapped(&image.before), layout.mapped(&image.after));
            let seen = self.seen_of(&image, &before);
            let as_seen = |column: usize| {
                let seen = seen.as_ref().filter(|seen| seen.first() == before.first());
                seen.is_some_and(|seen| seen.get(column) == before.get(column))
            };
            let is_filled = before.iter().any(|cell| *cell != Cell::Empty);
            if image.after.is_empty() {
                if is_filled && !(0..before.len()).all(as_seen) {
                    self.tab.debts_mut().rows.push(LostRow {
                        key: before.first().map(named),
                        cells: image.before,
                        layout,
                        maybe_back: may_be_back,
                        seen: false,
                    });
                }
                continue;
            }
            let cells = (0..before.len()).filter(|column| !as_seen(*column));
            let cells = cells.map(|column| (column, after[column].clone(), before[column].clone()));
            let cells: Vec<_> = cells.filter(|(_, ours, theirs)| ours != theirs).collect();
            if !cells.is_empty() {
                self.tab.debts_mut().edits.push(OverwrittenEdit {
                    anchor: image.anchor,
                    row: None,
                    key: None,
                    name: after[..1].to_vec(),
                    cells,
                    window: None,
                    missed: 0,
                });
            }
        }
    }

    /// What the row of an image was seen to hold: told by its anchor, or by its key.
    fn seen_of(&self, image: &Image, before: &[Cell]) -> Option<Vec<Cell>> {
        let stored = self.writer.stored.borrow();
        let rows = stored.seen.get(&image.stamp)?;
        let is_it = |row: &&SeenRow| match image.anchor {
            Some(anchor) => row.anchor == anchor,
            None => row.cells.first() == before.first(),
        };
        rows.iter().find(is_it).map(|row| row.cells.clone())
    }

    // ------------------------------------------------------------------------------------------ what is owed

    async fn put_back(&mut self) -> Done {
        let mapped: Vec<Vec<Cell>> = self.rows.iter().map(|row| self.tab.mapped(row)).collect();
        self.tab.debts_mut().rows.retain(|lost| {
            let cells = lost.mapped();
            let stands = |row: &Vec<Cell>| match lost.maybe_back {
                true => row.first() == cells.first(),
                false => !lost.seen && *row == cells,
            };
            !mapped.iter().skip(1).any(stands)
        });
        if !self.tab.debts().rows.is_empty() {
            let Some(layout) = self.tab.layout() else {
                return Err(Stop::Outdated);
            };
            let rows: Vec<_> = self
                .tab
                .debts()
                .rows
                .iter()
                .map(|lost| lost.row(layout))
                .collect();
            let stamp = self.stamp();
            self.tab.announce(&stamp).await?;
            if let Err(unanswered) = self.tab.insert(rows.into(), stamp, Purpose::Cells).await {
                let may_stand = unanswered.fate.may_stand();
                for lost in &mut self.tab.debts_mut().rows {
                    lost.maybe_back |= may_stand;
                }
                return Err(unanswered.into());
            }
            for lost in &mut self.tab.debts_mut().rows {
                lost.maybe_back = true;
            }
        }
        self.record().await?;
        self.tab.debts_mut().rows.clear();
        self.writer.stored.borrow_mut().deleting.clear();
        Ok(())
    }

    /// Edits whose anchors went are in the rows that show what we wrote over them.
    fn find_places(&mut self) {
        let rows: Vec<Vec<Cell>> = self.rows.iter().map(|row| self.tab.mapped(row)).collect();
        let edits = &mut self.tab.debts_mut().edits;
        for edit in edits.iter_mut().filter(|edit| edit.anchor.is_none()) {
            let shows = |row: &Vec<Cell>| {
                let mut cells = edit.cells.iter();
                row.first() == edit.name.first()
                    && cells.any(|(column, ours, _)| row.get(*column) == Some(ours))
            };
            let found = rows.iter().skip(1).position(shows);
            edit.row = found.and_then(|at| u32::try_from(at + 1).ok());
            edit.missed += u32::from(edit.row.is_none());
        }
        edits.retain(|edit| edit.missed < 2);
    }

    async fn give_back(&mut self) -> Done {
        for _ in 0..3 {
            let edits = std::mem::take(&mut self.tab.debts_mut().edits);
            let (ready, left): (Vec<_>, Vec<_>) =
                edits.into_iter().partition(OverwrittenEdit::has_place);
            self.tab.debts_mut().edits = ready.iter().chain(&left).cloned().collect();
            if ready.is_empty() {
                return Ok(());
            }
            let places = self.places(&ready).await?;
            let mut left = left;
            let (mut sent, mut going, mut rows) = (Vec::new(), Vec::new(), HashSet::new());
            for (mut edit, place) in ready.into_iter().zip(places) {
                let Some((anchor, row, cells)) = place else {
                    if edit.anchor.is_none() {
                        left.push(OverwrittenEdit { row: None, ..edit });
                    }
                    continue;
                };
                let stands = |column: usize, ours: &Cell| cells.get(column) == Some(ours);
                edit.cells.retain(|(column, ours, _)| stands(*column, ours));
                if edit.cells.is_empty() {
                    continue;
                }
                if !rows.insert(row) {
                    left.push(edit);
                    continue;
                }
                let back = edit.cells.iter();
                let back = back.map(|(column, _, theirs)| (*column, theirs.clone()));
                sent.push(self.row(anchor, false, row, back.collect()));
                going.push((edit, cells));
            }
            if sent.is_empty() {
                self.tab.debts_mut().edits = left;
                continue;
            }
            let seen = sent.iter().zip(&going);
            let seen = seen.map(|(row, (_, cells))| (row.anchor, cells.clone()));
            let written = self.send(sent.clone(), seen.collect()).await?;
            let mut written: BTreeMap<MetadataId, WrittenRow> =
                written.into_iter().map(|row| (row.anchor, row)).collect();
            for ((edit, seen), sent) in going.into_iter().zip(&sent) {
                match written.remove(&sent.anchor) {
                    None if edit.anchor.is_none() => {
                        left.push(OverwrittenEdit { row: None, ..edit });
                    }
                    // The next look tells whether its row is gone.
                    None => left.push(edit),
                    Some(written) => left.extend(self.overwritten(&seen, sent, &written)),
                }
            }
            self.tab.debts_mut().edits = left;
        }
        Ok(())
    }

    async fn places(
        &mut self,
        ready: &[OverwrittenEdit],
    ) -> Done<Vec<Option<(MetadataId, u32, Vec<Cell>)>>> {
        let without = ready.iter().filter(|edit| edit.anchor.is_none());
        let mut rows: Vec<u32> = without.filter_map(|edit| edit.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let tagged = match rows.is_empty() {
            true => Vec::new(),
            false => self.tag(&rows, &HashSet::new(), false).await?,
        };
        let anchors = ready.iter().filter_map(|edit| edit.anchor).collect();
        let mapping = self.writer.mapping.clone();
        let looked = self.tab.look(&mapping, anchors).await?;
        let place = |edit: &OverwrittenEdit| match edit.anchor {
            Some(anchor) => {
                let (row, cells) = looked.get(&anchor)?;
                Some((anchor, *row, cells.clone()))
            }
            None => {
                let row = edit.row?;
                let (anchor, cells) = tagged.get(rows.binary_search(&row).ok()?)?;
                let cells = cells.clone()?;
                (cells.first() == edit.name.first()).then_some((*anchor, row, cells))
            }
        };
        Ok(ready.iter().map(place).collect())
    }

    async fn declare_over(&mut self) -> Done {
        let early = self.is(Bug::OverTooEarly) && self.tab.kept.announced;
        let writing = match self.tab.over() {
            None if early => Some(Announcement::Over),
            writing => writing,
        };
        if writing.is_some() {
            let over = Commit {
                writing,
                ..Commit::default()
            };
            self.writer.io.commit(over).await?;
            self.tab.note_over();
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------------------ a reading

    async fn read(&mut self) -> Done {
        // Whatever is carried out from here on may not be in the answer.
        self.plan = Plan {
            at: self.writer.ledger.borrow().clock,
            ..Plan::default()
        };
        let snapshot = match self.writer.io.sheet(SheetEffect::Read).await? {
            SheetOutcome::Snapshot(snapshot) => snapshot,
            _ => return Err(mismatch().into()),
        };
        let parsed = snapshot
            .rows
            .iter()
            .map(|row| serde_json::from_str(row.get()));
        let parsed: Result<Vec<Vec<Cell>>, _> = parsed.collect();
        self.rows = parsed.expect("rows are JSON");
        match find_columns(&self.writer.mapping, &self.rows[0]) {
            Found::Whole(layout) => self.tab.set_layout(layout),
            other => panic!("the header is there: {other:?}"),
        }
        self.tab.note_reading(snapshot.rows[0].get());
        let mapped: Vec<Vec<Cell>> = self.rows.iter().map(|row| self.tab.mapped(row)).collect();
        let end = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let hashes = mapped[1..].iter().map(|cells| hash_cells(cells));
        self.tab.note_rows(hashes, end);
        self.plan.read = vec![snapshot.rows[0].get().to_owned()];
        self.plan
            .read
            .extend(mapped[1..].iter().map(|cells| format!("{cells:?}")));
        Ok(())
    }

    /// Rows with a key, from this one on, as they stood in the last reading of this session; or
    /// places without a name where there was none.
    fn chosen(&self, from: usize, count: usize) -> Vec<(u32, Option<Cell>)> {
        if self.rows.is_empty() {
            let end = (self.tab.last_end() as usize).max(2);
            let rows = (from % (end - 1) + 1..end).take(count);
            return rows.map(|row| (row as u32, None)).collect();
        }
        let key = |row: &usize| self.tab.mapped(&self.rows[*row]).into_iter().next();
        let keyed = (1..self.rows.len()).filter(|row| key(row) != Some(Cell::Empty));
        let keyed: Vec<usize> = keyed.collect();
        let first = from % keyed.len().max(1);
        let chosen = keyed.iter().skip(first).take(count);
        chosen.map(|row| (*row as u32, key(row))).collect()
    }

    // ------------------------------------------------------------------------------------------ batches

    fn stamp(&mut self) -> Stamp {
        let mut stamp = self.tab.stamp();
        if self.is(Bug::StampsOfTheirOwn) {
            let own = i32::try_from(self.writer.number).unwrap_or(0);
            stamp.id = stamp.id / 2 * 2 + own + 1;
        }
        self.plan.ordinal += 1;
        let mut ledger = self.writer.ledger.borrow_mut();
        let plan = Plan {
            writer: self.writer.number,
            ..self.plan.clone()
        };
        ledger.plans.insert(stamp.value.clone(), plan);
        stamp
    }

    fn row(
        &self,
        anchor: MetadataId,
        bare: bool,
        row: u32,
        cells: Vec<(usize, Cell)>,
    ) -> AnchoredRow {
        let layout = self.tab.layout().cloned().unwrap_or(Layout {
            columns: Vec::new(),
        });
        let cells = cells.into_iter();
        AnchoredRow {
            anchor,
            bare,
            row,
            cells: cells
                .map(|(column, cell)| (layout.column(column), cell))
                .collect(),
        }
    }

    async fn tag(
        &mut self,
        rows: &[u32],
        bare: &HashSet<u32>,
        values: bool,
    ) -> Done<Vec<(MetadataId, Option<Vec<Cell>>)>> {
        let mapping = self.writer.mapping.clone();
        let at = self.writer.ledger.borrow().clock;
        let tagged = self.tab.tag(&mapping, rows, bare, values).await?;
        if self.tab.end().is_none() {
            self.plan.at = at;
            let seen = rows
                .iter()
                .zip(&tagged)
                .map(|(row, one)| format!("{row} {:?}", one.cells));
            self.plan.read.extend(seen);
        }
        Ok(tagged
            .into_iter()
            .map(|one| (one.anchor, one.cells))
            .collect())
    }

    async fn write(&mut self, rows: Vec<(u32, Option<Cell>)>) -> Done {
        if rows.is_empty() {
            return Ok(());
        }
        let places: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
        let movable = places.iter().map(|row| (*row, false));
        let bare = self.tab.without_anchors(movable.collect());
        let tagged = self.tag(&places, &bare, rows.len() > 3).await?;
        let (mut sent, mut seen) = (Vec::new(), Vec::new());
        for ((row, name), (anchor, cells)) in rows.into_iter().zip(tagged) {
            let is_it = |cells: &Vec<Cell>| match &name {
                Some(name) => cells.first() == Some(name),
                None => cells.first() != Some(&Cell::Empty),
            };
            let Some(cells) = cells.filter(is_it) else {
                continue;
            };
            let mut ledger = self.writer.ledger.borrow_mut();
            let column = 1 + row as usize % 2;
            let value = vec![(column, ledger.token('w'))];
            drop(ledger);
            sent.push(self.row(anchor, bare.contains(&row), row, value));
            seen.push((anchor, cells));
        }
        if sent.is_empty() {
            return Ok(());
        }
        let cells: HashMap<MetadataId, Vec<Cell>> = seen.iter().cloned().collect();
        let written = self.send(sent.clone(), seen).await?;
        for written in written {
            let row = sent.iter().find(|row| row.anchor == written.anchor);
            let seen = cells.get(&written.anchor);
            if let (Some(row), Some(seen)) = (row, seen) {
                let edit = self.overwritten(seen, row, &written);
                self.tab.debts_mut().edits.extend(edit);
            }
        }
        Ok(())
    }

    /// A write whose answer is told.
    async fn send(
        &mut self,
        rows: Vec<AnchoredRow>,
        seen: Vec<(MetadataId, Vec<Cell>)>,
    ) -> Done<Vec<WrittenRow>> {
        let stamp = self.stamp();
        let value = stamp.value.clone();
        let seen = seen
            .into_iter()
            .map(|(anchor, cells)| SeenRow { anchor, cells });
        self.remember(&value, seen.collect());
        if self.is(Bug::ImagesOverwritten) {
            self.tab.kept.image_rows = 0;
        }
        let mapping = self.writer.mapping.clone();
        let written = self.tab.write(&mapping, rows, stamp).await?;
        let mut ledger = self.writer.ledger.borrow_mut();
        for before in written.iter().filter_map(|row| row.before.as_ref()) {
            ledger.note_told(&value, before);
        }
        Ok(written)
    }

    fn remember(&self, stamp: &str, seen: Vec<SeenRow>) {
        let mut stored = self.writer.stored.borrow_mut();
        stored.seen.insert(stamp.to_owned(), seen);
    }

    /// What this write went over that had not been seen.
    fn overwritten(
        &self,
        seen: &[Cell],
        sent: &AnchoredRow,
        written: &WrittenRow,
    ) -> Option<OverwrittenEdit> {
        if self.is(Bug::BeforeIgnored) {
            return None;
        }
        let before = self.tab.mapped(written.before.as_ref()?);
        let after = self.tab.mapped(&written.after);
        let columns = self.tab.columns_of(sent);
        let is_own = self
            .tab
            .is_image(&self.writer.mapping, &columns, &before, &after);
        if !is_own && !self.is(Bug::ForeignImageBelieved) {
            return None;
        }
        let same_row = seen.first() == before.first();
        let cell = |column: usize| {
            let (ours, theirs) = (after.get(column)?, before.get(column)?);
            let unseen = !same_row || seen.get(column) != Some(theirs);
            (unseen && ours != theirs).then(|| (column, ours.clone(), theirs.clone()))
        };
        let cells: Vec<_> = columns.into_iter().filter_map(cell).collect();
        (!cells.is_empty()).then(|| OverwrittenEdit {
            anchor: Some(sent.anchor).filter(|anchor| self.tab.stands(*anchor)),
            row: Some(written.row),
            key: None,
            name: after.first().cloned().into_iter().collect(),
            cells,
            window: None,
            missed: 0,
        })
    }

    async fn delete(&mut self, rows: Vec<(u32, Option<Cell>)>) -> Done {
        if rows.is_empty() {
            return Ok(());
        }
        let places: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
        let tagged = self.tag(&places, &HashSet::new(), false).await?;
        let mut seen: BTreeMap<MetadataId, Vec<Cell>> = BTreeMap::new();
        let mut tags = Vec::new();
        for ((row, name), (anchor, cells)) in rows.into_iter().zip(tagged) {
            if let Some(cells) = cells.filter(|cells| cells.first() == name.as_ref()) {
                tags.push(TagRow {
                    row,
                    anchor,
                    bare: false,
                });
                seen.insert(anchor, cells);
            }
        }
        if tags.is_empty() {
            return Ok(());
        }
        let stamp = self.stamp();
        let keys: Vec<Key> = seen
            .values()
            .filter_map(|cells| cells.first())
            .map(named)
            .collect();
        let mut rows: Vec<u32> = tags.iter().map(|tag| tag.row).collect();
        rows.sort_unstable();
        let shown = seen.iter().map(|(anchor, cells)| SeenRow {
            anchor: *anchor,
            cells: cells.clone(),
        });
        self.remember(&stamp.value, shown.collect());
        self.record().await?;
        let batch = (stamp.clone(), keys.clone());
        self.writer.stored.borrow_mut().deleting.push(batch);
        let value = stamp.value.clone();
        let answer = self.tab.delete(tags, stamp, Purpose::Deletion(keys)).await;
        let deleted = match answer {
            Ok(deleted) => deleted,
            Err(unanswered) => {
                if !unanswered.fate.may_stand() {
                    let mut stored = self.writer.stored.borrow_mut();
                    stored.deleting.retain(|(stamp, _)| stamp.value != value);
                }
                return Err(unanswered.into());
            }
        };
        self.tab.rows_gone(&rows);
        for (anchor, before) in deleted.before {
            self.writer.ledger.borrow_mut().note_told(&value, &before);
            let cells = self.tab.mapped(&before);
            let is_meant = seen.get(&anchor) == Some(&cells);
            let blank = cells.iter().all(|cell| *cell == Cell::Empty);
            if !is_meant && !blank && !self.is(Bug::DeletedRowsIgnored) {
                let Some(layout) = self.tab.layout().cloned() else {
                    continue;
                };
                self.tab.debts_mut().rows.push(LostRow {
                    key: cells.first().map(named),
                    cells: before,
                    layout,
                    maybe_back: false,
                    seen: true,
                });
            }
        }
        if self.tab.debts().rows.is_empty() {
            self.record().await?;
            let mut stored = self.writer.stored.borrow_mut();
            stored.deleting.retain(|(stamp, _)| stamp.value != value);
        }
        Ok(())
    }

    fn want(&self, rows: usize) {
        let mut ledger = self.writer.ledger.borrow_mut();
        let mut stored = self.writer.stored.borrow_mut();
        if stored.wanted.is_empty() {
            let row = |_| (ledger.token('w'), ledger.token('w'));
            stored.wanted = (0..rows).map(row).collect();
        }
    }

    async fn insert(&mut self) -> Done {
        let wanted = self.writer.stored.borrow().wanted.clone();
        let Some(layout) = self.tab.layout().cloned() else {
            return Err(Stop::Outdated);
        };
        let place = |(key, cell): &(Cell, Cell)| {
            vec![
                (layout.column(0), key.clone()),
                (layout.column(1), cell.clone()),
            ]
        };
        let rows: Vec<_> = wanted.iter().map(place).collect();
        let keys: Vec<Key> = wanted.iter().map(|(key, _)| named(key)).collect();
        let stamp = self.stamp();
        self.record().await?;
        let batch = (stamp.clone(), keys.clone());
        self.writer.stored.borrow_mut().inserting.push(batch);
        let id = stamp.id;
        let answer = self
            .tab
            .insert(rows.into(), stamp, Purpose::NewRows(keys))
            .await;
        let forget = |came: bool| {
            let mut stored = self.writer.stored.borrow_mut();
            stored.inserting.retain(|(stamp, _)| stamp.id != id);
            if came {
                stored.wanted.clear();
            }
        };
        match answer {
            Ok(_) => {
                // Should the process end here, the batch is announced, and found to be carried out.
                self.writer.stored.borrow_mut().wanted.clear();
                self.record().await?;
                forget(true);
                Ok(())
            }
            Err(unanswered) => {
                match unanswered.fate {
                    super::super::Fate::Refused => forget(false),
                    super::super::Fate::CarriedOut => forget(true),
                    super::super::Fate::Unknown => {}
                }
                Err(unanswered.into())
            }
        }
    }

    /// A moment at which the process may end, right before something is stored.
    async fn record(&self) -> Done {
        self.writer.io.commit(Commit::default()).await?;
        Ok(())
    }
}

fn named(cell: &Cell) -> Key {
    match cell {
        Cell::Text(text) => Key::from_iter([text.clone()]),
        _ => Key::default(),
    }
}

/// Not before this moment.
pub const START: Timestamp = Timestamp(1_000_000);
