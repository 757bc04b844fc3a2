//! Batches: requests that change cells or move rows. Each carries a stamp and is carried out at
//! most once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{DatedStamp, LostBatch, Purpose, Tab, Trouble};
use crate::effect::{
    AnchoredRow, Announcement, ColumnFormat, Commit, Deleted, Failure, Images, MetadataId, NewRow,
    SheetEffect, SheetOutcome, Stamp, TagRow, WrittenRow,
};
use crate::io::{is_passing, mismatch};
use crate::mapping::Mapping;
use crate::value::{Cell, Timestamp};

/// How often one cycle sends a batch whose answer is lost.
const ATTEMPTS: u32 = 3;

/// Rows in one write whose anchors stay on them until the next rows are tagged, for what the write
/// overwrote to be restored through them. Anchors are bytes, when they are dropped too, so in a
/// mass of rows the row is told by its cells instead.
pub(crate) const MAX_ROWS_KEEPING_ANCHORS: usize = 100;

/// Stamps that stay in the spreadsheet: another writer may be about to send what it planned from
/// the same reading.
const KEPT_STAMPS: usize = 4;

/// The same of those of which a copy is known to be on its way, or may be: it is refused as long as
/// its stamp stands.
const KEPT_LATE_STAMPS: usize = 200;

/// After this time no copy of a batch is under way any more (G-LOST-2).
const STAMP_LIFE_MICROS: i64 = 15 * 60 * 1_000_000;

/// Why a batch has no rows to show, and whether it changed the sheet.
#[derive(Debug)]
pub(crate) struct NotDone {
    pub why: Trouble,
    pub fate: Fate,
}

/// Whether a batch without rows to show changed the sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing of it was carried out, nor will be.
    Refused,
    /// It was carried out by a request whose answer was lost.
    CarriedOut,
    /// It may have been carried out, or may yet be.
    Unknown,
}

impl NotDone {
    fn refused(why: impl Into<Trouble>) -> Self {
        let (why, fate) = (why.into(), Fate::Refused);
        Self { why, fate }
    }

    /// There is an answer, and not to this question.
    fn unexpected() -> Self {
        let (why, fate) = (mismatch().into(), Fate::CarriedOut);
        Self { why, fate }
    }
}

impl Fate {
    /// The batch changed the sheet, or may change it.
    pub fn may_have_changed_the_sheet(self) -> bool {
        self != Self::Refused
    }
}

impl Tab {
    /// Cells of tagged rows.
    pub(crate) async fn write(
        &mut self,
        mapping: &Mapping,
        rows: Vec<AnchoredRow>,
        stamp: Stamp,
    ) -> Result<Vec<WrittenRow>, NotDone> {
        self.announce(&stamp).await.map_err(NotDone::refused)?;
        let anchors: HashSet<MetadataId> = rows.iter().map(|row| row.anchor).collect();
        let keeps = rows.len() <= MAX_ROWS_KEEPING_ANCHORS && rows.iter().all(|row| !row.bare);
        let rows: Arc<[AnchoredRow]> = rows.into();
        let effect = SheetEffect::Write {
            images: self.images(rows.len()),
            rows: rows.clone(),
            keeps,
            sentinel: self.tags.sentinel,
            stamp: stamp.clone(),
        };
        let written = match self.send_with_images(effect, stamp, Purpose::Cells).await? {
            SheetOutcome::Written(written) => written,
            _ => return Err(NotDone::unexpected()),
        };
        if !keeps {
            self.tags.live.retain(|anchor| !anchors.contains(anchor));
            let memory = &mut self.memory.marks.anchors;
            memory.retain(|anchor| !anchors.contains(anchor));
        }
        let by_anchor: HashMap<MetadataId, &WrittenRow> =
            written.iter().map(|row| (row.anchor, row)).collect();
        self.memory.images_fit = rows.iter().all(|row| {
            let written = by_anchor.get(&row.anchor);
            written.is_some_and(|written| self.has_image(mapping, row, written))
        });
        Ok(written)
    }

    /// What these writes were answered is lost: their images tell it once more.
    pub(crate) fn forget_answers(&mut self, stamps: Vec<String>) {
        let cells = stamps.into_iter().map(|stamp| (stamp, Purpose::Cells));
        self.memory.unread.extend(cells);
    }

    /// New rows below the data. Returns where the first of them stands, and what they show.
    pub(crate) async fn insert(
        &mut self,
        rows: Arc<[NewRow]>,
        stamp: Stamp,
        purpose: Purpose,
    ) -> Result<(u32, Vec<Vec<Cell>>), NotDone> {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let expected = rows.len();
        let effect = SheetEffect::Insert {
            at: self.places.end.unwrap_or_default(),
            rows,
            stamp: stamp.clone(),
            tidy: self.old_marks(),
        };
        let answer = self.send(effect, stamp, purpose).await;
        let stands = match &answer {
            Ok(_) => true,
            Err(unanswered) => unanswered.fate.may_have_changed_the_sheet(),
        };
        if stands {
            let end = self.places.end.unwrap_or_default().saturating_add(count);
            self.memory.end = self.memory.end.max(end);
        }
        if answer.is_err() && stands {
            self.tags.sentinel.row = None;
        }
        match answer? {
            SheetOutcome::Inserted(shown) if shown.len() == expected => {
                let first = self.places.note_inserted(count);
                if let Some(row) = self.tags.sentinel.row.as_mut().filter(|row| **row >= first) {
                    *row = row.saturating_add(count);
                }
                Ok((first, shown))
            }
            _ => Err(NotDone::unexpected()),
        }
    }

    /// Rows that were tagged, each by an anchor of its own. [`Tab::rows_gone`] is told which of
    /// them went.
    pub(crate) async fn delete(
        &mut self,
        rows: Vec<TagRow>,
        stamp: Stamp,
        purpose: Purpose,
    ) -> Result<Deleted, NotDone> {
        let effect = SheetEffect::Delete {
            sentinel: self.tags.sentinel,
            images: self.images(rows.len()),
            rows,
            stamp: stamp.clone(),
            tidy: self.old_marks(),
        };
        match self.send_with_images(effect, stamp, purpose).await? {
            SheetOutcome::Deleted(deleted) => Ok(deleted),
            _ => Err(NotDone::unexpected()),
        }
    }

    /// These rows were deleted, ascending, and everything below them moved up.
    pub(crate) fn rows_gone(&mut self, gone: &[u32]) {
        self.tags.ahead.clear();
        self.note_deleted(gone);
        let edits = self.memory.debts.edits.iter_mut();
        let edits = edits.filter_map(|edit| edit.row.as_mut());
        for row in edits.chain(&mut self.tags.sentinel.row) {
            let above = gone.partition_point(|removed| *removed < *row);
            *row = row.saturating_sub(u32::try_from(above).unwrap_or(u32::MAX));
        }
    }

    /// Texts of the header row, and number formats below it.
    pub(crate) async fn write_header(
        &mut self,
        cells: Vec<(u32, String)>,
        formats: Vec<ColumnFormat>,
    ) -> Result<(), NotDone> {
        let stamp = self.stamp();
        let effect = SheetEffect::WriteHeader {
            row: self.shape.header_row,
            cells,
            formats,
            stamp: stamp.clone(),
        };
        self.send(effect, stamp, Purpose::Header).await?;
        Ok(())
    }

    /// Stores that a batch is about to be sent whose stamp is not stored with its rows.
    pub(crate) async fn announce(&mut self, stamp: &Stamp) -> Result<(), Failure> {
        self.memory.announced = true;
        let commit = Commit {
            writing: Some(Announcement::Begins(stamp.clone())),
            ..Commit::default()
        };
        self.io.commit(commit).await?;
        Ok(())
    }

    /// A batch that keeps images. Where it is refused, it has kept none.
    async fn send_with_images(
        &mut self,
        effect: SheetEffect,
        stamp: Stamp,
        purpose: Purpose,
    ) -> Result<SheetOutcome, NotDone> {
        let at = match &effect {
            SheetEffect::Write { images, .. } | SheetEffect::Delete { images, .. } => images.at,
            _ => self.memory.image_rows,
        };
        let answer = self.send(effect, stamp, purpose).await;
        if let Err(unanswered) = &answer
            && unanswered.fate == Fate::Refused
        {
            self.memory.image_rows = at;
        }
        answer
    }

    /// Sends a batch until there is a definite answer.
    async fn send(
        &mut self,
        effect: SheetEffect,
        stamp: Stamp,
        purpose: Purpose,
    ) -> Result<SheetOutcome, NotDone> {
        let id = stamp.id;
        let is_write = matches!(effect, SheetEffect::Write { .. });
        let tidied = match &effect {
            SheetEffect::Insert { tidy, .. } | SheetEffect::Delete { tidy, .. } => tidy.clone(),
            _ => Vec::new(),
        };
        let (mut attempt, mut unsure) = (1, false);
        loop {
            match self.io.sheet_once(effect.clone()).await {
                Ok(SheetOutcome::Stamped { ours: true }) => {
                    self.note_arrived(stamp.value, purpose);
                    self.note_late_copy(id);
                    let (why, fate) = (Trouble::Outdated, Fate::CarriedOut);
                    return Err(NotDone { why, fate });
                }
                Ok(SheetOutcome::Stamped { ours: false }) => {
                    self.note_stamp_taken();
                    return Err(NotDone::refused(Trouble::Outdated));
                }
                // The rows are gone, maybe by an earlier attempt: then the images show what they
                // held.
                Ok(SheetOutcome::Deleted(deleted))
                    if unsure && deleted.before.len() < deleted.gone.len() =>
                {
                    self.memory.lost.insert(id, LostBatch { stamp, purpose });
                    let (why, fate) = (Trouble::Outdated, Fate::Unknown);
                    return Err(NotDone { why, fate });
                }
                // The rows are gone, so nothing was sent this time, and nothing keeps an earlier
                // attempt from arriving: it would write into the rows in their place.
                Ok(SheetOutcome::Written(written)) if unsure && written.is_empty() => {
                    self.memory.lost.insert(id, LostBatch { stamp, purpose });
                    let (why, fate) = (Trouble::Outdated, Fate::Unknown);
                    return Err(NotDone { why, fate });
                }
                Ok(outcome) => {
                    let marks = &mut self.memory.marks;
                    // Of a batch that was sent once and is answered no copy is under way.
                    if !unsure && is_write {
                        marks.answered.push(id);
                    }
                    marks.forget(&tidied);
                    match unsure {
                        true => self.note_late_copy(id),
                        false => marks.stamps.push(DatedStamp {
                            id,
                            since: self.io.now(),
                        }),
                    }
                    return Ok(outcome);
                }
                Err(failure) => {
                    unsure |= failure.may_have_applied;
                    if attempt < ATTEMPTS && is_passing(&failure) {
                        attempt += 1;
                        continue;
                    }
                    if !unsure {
                        return Err(NotDone::refused(failure));
                    }
                    // Whatever the last attempt met, an earlier one may still arrive.
                    self.memory.lost.insert(id, LostBatch { stamp, purpose });
                    let (why, fate) = (failure.into(), Fate::Unknown);
                    return Err(NotDone { why, fate });
                }
            }
        }
    }

    /// A batch was carried out, and nobody saw its answer.
    pub(super) fn note_arrived(&mut self, stamp: String, purpose: Purpose) {
        match purpose {
            Purpose::Cells | Purpose::PutBack | Purpose::Deletion(_) => {
                self.memory.unread.insert(stamp, purpose);
            }
            Purpose::NewRows(_) | Purpose::Header => {}
        }
    }

    /// The stamp of a batch of which a copy may still arrive.
    pub(super) fn note_late_copy(&mut self, id: MetadataId) {
        let since = self.io.now();
        self.memory.marks.late_copies.push(DatedStamp { id, since });
    }

    /// Metadata of ours that nothing needs any more, but for the anchors of the batch under way.
    /// While writes are announced, their stamps tell a process that comes after a crash that they
    /// were carried out.
    pub(super) fn old_marks(&self) -> Vec<MetadataId> {
        let marks = &self.memory.marks;
        let now = self.io.now();
        let is_open = |id: &MetadataId| self.memory.announced && marks.answered.contains(id);
        let stamps = spent(&marks.stamps, KEPT_STAMPS, now).filter(|id| !is_open(id));
        let guards = spent(&marks.late_copies, KEPT_LATE_STAMPS, now);
        let anchors = self.spent_anchors(&marks.anchors).into_iter();
        anchors.chain(stamps).chain(guards).collect()
    }

    /// Room for the images of so many rows, below those that are still of use.
    fn images(&mut self, rows: usize) -> Images {
        let at = self.memory.image_rows;
        self.memory.image_rows = at.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        let layout = self.memory.layout.as_ref();
        let columns = layout.map(|layout| layout.columns.clone());
        let key = self.shape.key.iter();
        Images {
            at,
            layout: columns.unwrap_or_default(),
            key: layout.map_or(Vec::new(), |layout| {
                key.map(|at| layout.column(*at)).collect()
            }),
        }
    }

    /// What stands where the image should be may be another row: it is not known whether rows that
    /// a filter hides are copied. It is the row's own where what the write left alone is the same.
    pub(crate) fn is_image(
        &self,
        mapping: &Mapping,
        written: &[usize],
        before: &[Cell],
        after: &[Cell],
    ) -> bool {
        let same = |column: &usize| before.get(*column) == after.get(*column);
        let is_left = |column: &usize| !written.contains(column);
        let key = self.shape.key.iter().copied();
        let key: Vec<usize> = key.filter(is_left).collect();
        if key.is_empty() {
            let mut others = (0..after.len())
                .filter(is_left)
                .filter(|one| mapping.pushes(*one));
            others.all(|column| same(&column))
        } else {
            key.iter().all(same)
        }
    }

    /// Whether the row was answered with an image that is its own.
    fn has_image(&self, mapping: &Mapping, sent: &AnchoredRow, written: &WrittenRow) -> bool {
        let before = written.before.as_ref().map(|before| self.mapped(before));
        let after = self.mapped(&written.after);
        let columns = self.columns_of(sent);
        before.is_some_and(|before| self.is_image(mapping, &columns, &before, &after))
    }
}

impl super::Marks {
    pub(super) fn forget(&mut self, gone: &[MetadataId]) {
        let gone: HashSet<MetadataId> = gone.iter().copied().collect();
        self.anchors.retain(|anchor| !gone.contains(anchor));
        self.stamps.retain(|stamp| !gone.contains(&stamp.id));
        self.late_copies.retain(|stamp| !gone.contains(&stamp.id));
        self.answered.retain(|stamp| !gone.contains(stamp));
    }
}

/// Of these stamps, oldest first, those that need not stand any longer.
fn spent(stamps: &[DatedStamp], most: usize, now: Timestamp) -> impl Iterator<Item = MetadataId> {
    let beyond = stamps.len().saturating_sub(most);
    let is_old = move |stamp: &DatedStamp| now.0 - stamp.since.0 > STAMP_LIFE_MICROS;
    let spent = stamps.iter().enumerate();
    let spent = spent.filter(move |(at, stamp)| *at < beyond || is_old(stamp));
    spent.map(|(_, stamp)| stamp.id)
}
