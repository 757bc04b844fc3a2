//! The model tab: what Google does with our requests, half a request at a time.

use std::collections::{BTreeMap, HashSet};

use super::ledger::{Hit, Ledger, Seen};
use crate::effect::{
    AnchoredRow, Deleted, Image, Images, Look, MetadataId, SeenRow, SheetEffect, SheetOutcome,
    Snapshot, Stamp, StandingStamp, TagRow, TaggedRows, WrittenRow,
};
use crate::value::{Cell, Timestamp};

/// A row's or a column's hidden name: stays with it wherever it goes.
pub type Uid = usize;

/// The mapped columns are 0 to 2, of which 0 is the key; the last one is a person's own.
pub const COLUMNS: usize = 4;
pub const MAPPED: usize = 3;

#[derive(Clone, Debug)]
pub struct Row {
    pub uid: Uid,
    /// By the columns' names, not by where they stand.
    pub cells: Vec<Cell>,
    /// A person's filter hides it.
    pub hidden: bool,
}

/// Ways in which Google might differ from what is relied on, for the deliberate bugs; and one in
/// which it may differ.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub stamps_are_unchecked: bool,
    pub copies_leave_out_hidden: bool,
}

pub struct Sheet {
    pub rules: Rules,
    pub columns: Vec<Uid>,
    /// Counts how often columns were moved.
    pub shape: usize,
    /// The header first.
    pub rows: Vec<Row>,
    pub anchors: BTreeMap<MetadataId, Uid>,
    pub stamps: BTreeMap<MetadataId, String>,
    pub images: Vec<Option<Image>>,
    pub next_uid: Uid,
    /// Sentinels that a lookup put on the last row, told from anchors by their sign.
    lookups: MetadataId,
}

/// What a client is remembered by from one request to the next: which row it tagged by which
/// anchor.
#[derive(Clone, Default)]
pub struct Client {
    tagged: BTreeMap<MetadataId, usize>,
    /// [`Sheet::shape`] at the last reading.
    shape: usize,
}

/// A request as it left: the places that it names are those of that moment.
#[derive(Clone, Debug)]
pub struct Sent {
    pub effect: SheetEffect,
    pub writer: usize,
    places: Vec<(MetadataId, usize)>,
    guard: Option<(MetadataId, usize)>,
    /// Anchors that stood by then.
    standing: Vec<MetadataId>,
    /// [`Sheet::shape`] when it was planned.
    shape: usize,
}

impl Sent {
    pub fn has_bare_rows(&self) -> bool {
        match &self.effect {
            SheetEffect::Write { rows, .. } => rows.iter().any(|row| row.bare),
            _ => false,
        }
    }
}

pub enum Answer {
    Outcome(SheetOutcome),
    /// An anchor stands elsewhere: nothing was done.
    Moved,
    /// A row is named that is not there.
    BeyondTheGrid,
}

impl Sheet {
    pub fn new(rules: Rules) -> Self {
        let header = ["id", "a", "b", "note"];
        Self {
            rules,
            columns: (0..COLUMNS).collect(),
            shape: 0,
            rows: vec![Row {
                uid: 0,
                cells: header
                    .iter()
                    .map(|text| Cell::Text((*text).into()))
                    .collect(),
                hidden: false,
            }],
            anchors: BTreeMap::new(),
            stamps: BTreeMap::new(),
            images: Vec::new(),
            next_uid: 1,
            lookups: 0,
        }
    }

    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        self.rows.iter().position(|row| row.uid == uid)
    }

    pub fn insert_row(&mut self, at: usize) -> &mut Row {
        let row = Row {
            uid: self.next_uid,
            cells: vec![Cell::Empty; COLUMNS],
            hidden: false,
        };
        self.next_uid += 1;
        self.rows.insert(at, row);
        &mut self.rows[at]
    }

    pub fn remove_row(&mut self, at: usize) -> Row {
        let row = self.rows.remove(at);
        self.anchors.retain(|_, uid| *uid != row.uid);
        row
    }

    /// The row's cells as the columns stand.
    fn shown(&self, row: usize) -> Vec<Cell> {
        let Some(row) = self.rows.get(row) else {
            return Vec::new();
        };
        let cells = self.columns.iter();
        cells.map(|column| row.cells[*column].clone()).collect()
    }

    fn place(&self, anchor: MetadataId) -> Option<usize> {
        self.index_of(*self.anchors.get(&anchor)?)
    }

    /// Our requests name rows by their places: those that the client remembers, or those that it
    /// looks up in this moment, because some of them were found elsewhere. `None` where a row
    /// without an anchor can not be looked up, or none is left.
    pub fn prepare(
        &mut self,
        effect: &SheetEffect,
        writer: usize,
        client: &Client,
        looked_up: bool,
    ) -> Result<Sent, SheetOutcome> {
        let mut sent = Sent {
            effect: effect.clone(),
            writer,
            places: Vec::new(),
            guard: None,
            standing: self.anchors.keys().copied().collect(),
            shape: client.shape,
        };
        let tagged: Vec<TagRow> = match effect {
            SheetEffect::Write { rows, .. } => rows.iter().map(tag_of).collect(),
            SheetEffect::Delete { rows, .. } => rows.clone(),
            _ => return Ok(sent),
        };
        let (SheetEffect::Write { sentinel, .. } | SheetEffect::Delete { sentinel, .. }) = effect
        else {
            return Ok(sent);
        };
        let lowest = tagged.iter().map(|tag| tag.row as usize).max();
        let known = sentinel.row.map(|row| row as usize);
        let known = known.filter(|row| !looked_up && Some(*row) >= lowest);
        if let Some(row) = known {
            sent.places = tagged
                .iter()
                .map(|tag| (tag.anchor, tag.row as usize))
                .collect();
            sent.guard = Some((sentinel.anchor, row));
            return Ok(sent);
        }
        let found = |tag: &TagRow| Some((tag.anchor, self.place(tag.anchor)?));
        let anchored = tagged.iter().filter(|tag| !tag.bare);
        let places: Vec<(MetadataId, usize)> = anchored.clone().filter_map(found).collect();
        let bare: Vec<(MetadataId, usize)> = tagged
            .iter()
            .filter(|tag| tag.bare)
            .map(|tag| (tag.anchor, tag.row as usize))
            .collect();
        let unmoved = anchored.map(|tag| (tag.anchor, tag.row as usize));
        if !bare.is_empty() && !unmoved.eq(places.iter().copied()) {
            return Ok(sent);
        }
        sent.places = places.into_iter().chain(bare).collect();
        if sent.places.is_empty() {
            return Err(match effect {
                SheetEffect::Delete { rows, .. } => SheetOutcome::Deleted(Deleted {
                    gone: rows.iter().map(|tag| tag.anchor).collect(),
                    ..Deleted::default()
                }),
                _ => SheetOutcome::Written(Vec::new()),
            });
        }
        self.lookups -= 1;
        let last = self.rows.len() - 1;
        self.anchors.insert(self.lookups, self.rows[last].uid);
        sent.guard = Some((self.lookups, last));
        Ok(sent)
    }

    /// The request is carried out.
    pub fn carry_out(&mut self, sent: &Sent, client: &mut Client, ledger: &mut Ledger) -> Answer {
        if let Some(stamp) = sent.effect.stamp() {
            let taken = self.stamps.get(&stamp.id);
            if let Some(value) = taken.filter(|_| !self.rules.stamps_are_unchecked) {
                return Answer::Outcome(SheetOutcome::Stamped {
                    ours: *value == stamp.value,
                });
            }
        }
        let outcome = match &sent.effect {
            SheetEffect::Read => {
                client.shape = self.shape;
                Some(SheetOutcome::Snapshot(self.read()))
            }
            SheetEffect::Tag {
                rows,
                read,
                sentinel,
                tidy,
            } => self.tag(rows, *read, *sentinel, tidy, client, ledger),
            SheetEffect::ReadRows { rows } => {
                for (anchor, row) in &client.tagged {
                    self.see(*anchor, *row, ledger);
                }
                let rows = rows.iter().map(|row| self.shown(*row as usize));
                Some(SheetOutcome::Rows(rows.collect()))
            }
            SheetEffect::Look { header, anchors } => {
                let look = self.look(*header as usize, anchors, ledger);
                // What is written by these anchors is looked up anew.
                Some(SheetOutcome::Seen(look))
            }
            SheetEffect::Write {
                rows,
                keeps,
                images,
                stamp,
                ..
            } => match self.guarded(sent) {
                true => Some(self.write(sent, rows, *keeps, images, stamp, ledger)),
                false => return Answer::Moved,
            },
            SheetEffect::Delete {
                rows,
                images,
                stamp,
                tidy,
                ..
            } => match self.guarded(sent) {
                true => Some(self.delete(sent, rows, images, stamp, tidy, ledger)),
                false => return Answer::Moved,
            },
            SheetEffect::Insert { at, rows, tidy, .. } => {
                if sent.shape != self.shape {
                    let cells = rows.iter().flatten().map(|(_, cell)| cell);
                    ledger.note_astray(cells);
                }
                self.insert(*at as usize, rows, tidy, ledger)
            }
            SheetEffect::Images => {
                let last = self.images.iter().rposition(Option::is_some);
                let images = self.images.iter().flatten().cloned().collect();
                let end = last.map_or(0, |last| last as u32 + 1);
                Some(SheetOutcome::Images { images, end })
            }
            SheetEffect::Claim { .. } => Some(SheetOutcome::Done),
            SheetEffect::TidyAll => {
                self.anchors.retain(|id, _| !sent.standing.contains(id));
                let standing = self.stamps.keys().map(|id| StandingStamp {
                    id: *id,
                    age_micros: 0,
                });
                Some(SheetOutcome::Tidied(standing.collect()))
            }
            other => panic!("the writer asks for {other:?}"),
        };
        let Some(outcome) = outcome else {
            return Answer::BeyondTheGrid;
        };
        if let Some(stamp) = sent.effect.stamp() {
            self.stamps.insert(stamp.id, stamp.value.clone());
            ledger.note_carried_out(sent.writer, &sent.effect, stamp);
        }
        self.anchors.retain(|anchor, _| *anchor >= 0);
        Answer::Outcome(outcome)
    }

    fn read(&self) -> Snapshot {
        let line = |row: usize| {
            let text = serde_json::to_string(&self.shown(row)).expect("cells are JSON");
            serde_json::value::RawValue::from_string(text).expect("cells are JSON")
        };
        Snapshot {
            sent_at: Timestamp(0),
            read_at: Timestamp(0),
            grid_rows: self.rows.len() as u32,
            grid_columns: COLUMNS as u32,
            rows: (0..self.rows.len()).map(line).collect(),
        }
    }

    fn see(&self, anchor: MetadataId, row: usize, ledger: &mut Ledger) {
        if let Some(row) = self.rows.get(row) {
            let seen = Seen {
                uid: row.uid,
                cells: row.cells.clone(),
                shape: self.shape,
            };
            ledger.seen.insert(anchor, seen);
        }
    }

    fn tag(
        &mut self,
        rows: &[TagRow],
        read: bool,
        sentinel: MetadataId,
        tidy: &[MetadataId],
        client: &mut Client,
        ledger: &mut Ledger,
    ) -> Option<SheetOutcome> {
        let anchored = rows.iter().filter(|tag| !tag.bare);
        let mut ids = anchored.clone().map(|tag| tag.anchor).chain([sentinel]);
        if ids.any(|id| self.anchors.contains_key(&id) || self.stamps.contains_key(&id)) {
            let tagged = rows.iter().map(|tag| (tag.anchor, tag.row as usize));
            client.tagged = tagged.collect();
            return self.tagged_before(rows, ledger);
        }
        if rows.iter().any(|tag| tag.row as usize >= self.rows.len()) {
            return None;
        }
        self.drop_marks(tidy);
        let last = self.rows.len() - 1;
        self.anchors.insert(sentinel, self.rows[last].uid);
        client.tagged.clear();
        let mut seen = Vec::new();
        for tag in rows {
            let row = tag.row as usize;
            if !tag.bare {
                self.anchors.insert(tag.anchor, self.rows[row].uid);
            }
            client.tagged.insert(tag.anchor, row);
            self.see(tag.anchor, row, ledger);
            seen.push(SeenRow {
                anchor: tag.anchor,
                cells: self.shown(row),
                computed: Vec::new(),
            });
        }
        // Google's answers come in an order of their own.
        seen.reverse();
        Some(SheetOutcome::Tagged(TaggedRows {
            rows: if read { seen } else { Vec::new() },
            sentinel_row: Some(last as u32),
        }))
    }

    /// An earlier answer was lost, and the anchors stand: the rows are looked up by them. Those
    /// without an anchor are known only where none of the others has moved.
    fn tagged_before(&self, rows: &[TagRow], ledger: &mut Ledger) -> Option<SheetOutcome> {
        let place = |tag: &TagRow| self.place(tag.anchor);
        let in_place = |tag: &TagRow| tag.bare || place(tag) == Some(tag.row as usize);
        let unmoved = rows.iter().all(in_place);
        let mut seen = Vec::new();
        for tag in rows {
            let row = match unmoved {
                true => Some(tag.row as usize).filter(|row| *row < self.rows.len()),
                false => place(tag),
            };
            let Some(row) = row else { continue };
            self.see(tag.anchor, row, ledger);
            seen.push(SeenRow {
                anchor: tag.anchor,
                cells: self.shown(row),
                computed: Vec::new(),
            });
        }
        (!seen.is_empty()).then_some(SheetOutcome::Tagged(TaggedRows {
            rows: seen,
            sentinel_row: None,
        }))
    }

    fn look(&self, header: usize, anchors: &[MetadataId], ledger: &mut Ledger) -> Look {
        let mut rows = Vec::new();
        for anchor in anchors {
            if let Some(row) = self.place(*anchor) {
                self.see(*anchor, row, ledger);
                rows.push((*anchor, row as u32, self.shown(row)));
            }
        }
        Look {
            header: self.shown(header),
            rows,
        }
    }

    fn drop_marks(&mut self, ids: &[MetadataId]) {
        for id in ids {
            self.anchors.remove(id);
            self.stamps.remove(id);
        }
    }

    /// An anchor that is gone passes its check.
    fn guarded(&self, sent: &Sent) -> bool {
        let stands = |(anchor, row): &(MetadataId, usize)| {
            let place = self.place(*anchor);
            *row < self.rows.len() && place.is_none_or(|place| place == *row)
        };
        sent.guard.is_some_and(|guard| stands(&guard)) && sent.places.iter().all(stands)
    }

    /// What copies of these rows, ascending, show.
    fn copies(&self, rows: impl Iterator<Item = usize> + Clone) -> Vec<Vec<Cell>> {
        let hidden = |row: &usize| self.rules.copies_leave_out_hidden && self.rows[*row].hidden;
        let count = rows.clone().count();
        let copied = rows.filter(|row| !hidden(row)).map(|row| self.shown(row));
        let mut copies: Vec<Vec<Cell>> = copied.collect();
        copies.resize(count, Vec::new());
        copies
    }

    fn keep_images(
        &mut self,
        images: &Images,
        stamp: &Stamp,
        kept: impl Iterator<Item = (Option<MetadataId>, Vec<Cell>, Vec<Cell>)>,
    ) {
        self.images.resize(images.at as usize, None);
        let image = |(anchor, before, after)| {
            Some(Image {
                stamp: stamp.value.clone(),
                layout: images.layout.clone(),
                anchor,
                before,
                after,
            })
        };
        self.images.extend(kept.map(image));
    }

    fn write(
        &mut self,
        sent: &Sent,
        rows: &[AnchoredRow],
        keeps: bool,
        images: &Images,
        stamp: &Stamp,
        ledger: &mut Ledger,
    ) -> SheetOutcome {
        let cells: BTreeMap<MetadataId, &AnchoredRow> =
            rows.iter().map(|row| (row.anchor, row)).collect();
        let places: BTreeMap<usize, &AnchoredRow> = sent
            .places
            .iter()
            .map(|(anchor, row)| (*row, cells[anchor]))
            .collect();
        let before = self.copies(places.keys().copied());
        let was_hidden = self.hides(places.keys().copied());
        let stood: HashSet<MetadataId> = self.anchors.keys().copied().collect();
        for (row, written) in &places {
            for (at, cell) in &written.cells {
                let column = self.columns[*at as usize];
                let hit = Hit {
                    uid: self.rows[*row].uid,
                    column,
                    anchor: written.anchor,
                    shape: self.shape,
                    row: self.rows[*row].cells.clone(),
                    unseen_by_copies: was_hidden,
                };
                let cells = &mut self.rows[*row].cells;
                let was = std::mem::replace(&mut cells[column], cell.clone());
                ledger.note_written(&hit, stamp, &was, cell);
            }
        }
        let after = self.copies(places.keys().copied());
        for (anchor, row) in sent.places.iter().chain(&sent.guard) {
            let is_bare = cells.get(anchor).is_some_and(|row| row.bare);
            if !is_bare {
                self.anchors.insert(*anchor, self.rows[*row].uid);
            }
        }
        if !keeps {
            let anchors: Vec<MetadataId> = rows.iter().map(|row| row.anchor).collect();
            self.drop_marks(&anchors);
        }
        let anchors = places
            .values()
            .map(|row| Some(row.anchor).filter(|_| keeps));
        let kept = anchors.zip(before.clone()).zip(after.clone());
        let kept: Vec<_> = kept.map(|((anchor, was), is)| (anchor, was, is)).collect();
        self.keep_images(images, stamp, kept.into_iter());
        let mut answers = Vec::new();
        for ((row, written), (before, after)) in places.iter().zip(before.into_iter().zip(after)) {
            // An image with another key than the row has is not what the row shows.
            let shown = self.shown(*row);
            let key = |cells: &[Cell]| {
                let cell = |at: &u32| cells.get(*at as usize).cloned().unwrap_or(Cell::Empty);
                images.key.iter().map(cell).collect::<Vec<_>>()
            };
            let after = if key(&after) == key(&shown) {
                after
            } else {
                shown
            };
            answers.push(WrittenRow {
                anchor: written.anchor,
                row: *row as u32,
                stood: written.bare || stood.contains(&written.anchor),
                before: Some(before).filter(|before| !before.is_empty()),
                after,
            });
        }
        answers.reverse();
        SheetOutcome::Written(answers)
    }

    fn hides(&self, mut rows: impl Iterator<Item = usize>) -> bool {
        self.rules.copies_leave_out_hidden && rows.any(|row| self.rows[row].hidden)
    }

    #[allow(clippy::too_many_arguments)]
    fn delete(
        &mut self,
        sent: &Sent,
        rows: &[TagRow],
        images: &Images,
        stamp: &Stamp,
        tidy: &[MetadataId],
        ledger: &mut Ledger,
    ) -> SheetOutcome {
        let suspect = sent.places.iter().chain(&sent.guard);
        let suspect = suspect
            .clone()
            .any(|(anchor, _)| !self.anchors.contains_key(anchor));
        let places: BTreeMap<usize, MetadataId> = sent
            .places
            .iter()
            .map(|(anchor, row)| (*row, *anchor))
            .collect();
        let before = self.copies(places.keys().copied());
        let was_hidden = self.hides(places.keys().copied());
        let kept = before
            .iter()
            .map(|before| (None, before.clone(), Vec::new()));
        self.keep_images(images, stamp, kept.collect::<Vec<_>>().into_iter());
        let shown = places.values().copied().zip(before);
        let shown = shown.filter(|(_, before)| !before.is_empty());
        let deleted = Deleted {
            gone: rows.iter().map(|tag| tag.anchor).collect(),
            suspect,
            before: shown.collect(),
            ..Deleted::default()
        };
        for (row, anchor) in places.into_iter().rev() {
            let gone = self.remove_row(row);
            let hit = Hit {
                uid: gone.uid,
                column: 0,
                anchor,
                shape: self.shape,
                row: gone.cells,
                unseen_by_copies: was_hidden,
            };
            ledger.note_row_deleted(&hit, stamp);
        }
        self.drop_marks(tidy);
        SheetOutcome::Deleted(deleted)
    }

    fn insert(
        &mut self,
        at: usize,
        rows: &[Vec<(u32, Cell)>],
        tidy: &[MetadataId],
        ledger: &mut Ledger,
    ) -> Option<SheetOutcome> {
        if at > self.rows.len() {
            return None;
        }
        assert!(at > 0, "rows are inserted above the header");
        self.drop_marks(tidy);
        for (offset, cells) in rows.iter().enumerate() {
            let columns = self.columns.clone();
            let row = self.insert_row(at + offset);
            for (at, cell) in cells {
                row.cells[columns[*at as usize]] = cell.clone();
            }
            ledger.note_row_inserted(row.uid, &row.cells);
        }
        let shown = (at..at + rows.len()).map(|row| self.shown(row));
        Some(SheetOutcome::Inserted(shown.collect()))
    }
}

fn tag_of(row: &AnchoredRow) -> TagRow {
    TagRow {
        row: row.row,
        anchor: row.anchor,
        bare: row.bare,
    }
}
