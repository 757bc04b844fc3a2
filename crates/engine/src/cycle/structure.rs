//! Requests that change cells or move rows: each carries a stamp and applies at most once.

use std::collections::HashSet;

use super::io::{Stop, is_passing, mismatch};
use super::memory::State;
use super::pieces::Insertion;
use super::run::Cycle;
use super::stamp::{Lost, mixed};
use crate::codec::{CellsHash, stable_hash};
use crate::effect::{
    AnchoredRow, Announcement, Commit, Deleted, Images, MetadataId, SheetEffect, SheetOutcome,
    Snapshot, Stamp, TagRow, WrittenRow,
};
use crate::value::{Cell, Key};

/// How often one cycle sends a batch whose answer is lost.
const ATTEMPTS: u32 = 3;

/// Rows in one write whose anchors stay on them until the next rows are tagged, for what it went
/// over to be given back through them. Anchors are bytes, when they are dropped too, so in a mass
/// of rows the row is told by its cells instead.
pub(super) const FEW: usize = 100;

/// Stamps that stay in the spreadsheet: those of batches that may still be on their way.
const KEPT_STAMPS: usize = 16;

/// The same of those of which a copy is known to be on its way, or may be: it is refused as long as
/// its stamp stands.
const KEPT_GUARDS: usize = 200;

impl Cycle {
    pub(super) fn note_reading(&mut self, snapshot: &Snapshot) {
        let header = self.mapping.header_row.saturating_sub(1) as usize;
        let header = snapshot.rows.get(header).map_or("", |row| row.get());
        self.reading = stable_hash(header.as_bytes());
        self.ordinal = 0;
        self.removed.clear();
        self.came = 0;
    }

    /// What a plan is made from: the header, and the mapped cells of every row. Formulas beside
    /// them may show something else to every writer.
    pub(super) fn note_rows(&mut self, cells: impl Iterator<Item = CellsHash>) {
        let numbers = cells.map(|cells| cells.number() as u64);
        self.reading = numbers.fold(self.reading, mixed);
    }

    pub(super) fn old_marks(&self) -> Vec<MetadataId> {
        let old = self.memory.stamps.len().saturating_sub(KEPT_STAMPS);
        let anchors = self.memory.anchors.iter();
        let spent = anchors.filter(|anchor| !self.is_needed(**anchor));
        let old = self.memory.stamps.iter().take(old);
        let passed = self.memory.guarding.len().saturating_sub(KEPT_GUARDS);
        let passed = self.memory.guarding.iter().take(passed);
        spent.chain(old).chain(passed).copied().collect()
    }

    /// Something is to be given back to the row on which this anchor stands.
    pub(super) fn is_needed(&self, anchor: MetadataId) -> bool {
        let taken = self.memory.taken.iter().map(|taken| taken.anchor);
        let images = self.memory.images.iter().map(|(_, image)| image.anchor);
        taken.chain(images).any(|one| one == Some(anchor))
    }

    fn tidied(&mut self, tidy: &[MetadataId]) {
        let gone: HashSet<MetadataId> = tidy.iter().copied().collect();
        self.memory.anchors.retain(|anchor| !gone.contains(anchor));
        self.memory.stamps.retain(|stamp| !gone.contains(stamp));
        self.memory.guarding.retain(|stamp| !gone.contains(stamp));
    }

    /// Sends a batch with a stamp until there is a definite answer. `Outdated` where it was applied
    /// earlier, or where another writer was first: both are seen in a new reading.
    pub(super) async fn structural(
        &mut self,
        effect: SheetEffect,
        stamp: Stamp,
        keys: &[Key],
    ) -> Result<SheetOutcome, Stop> {
        let deletes = matches!(effect, SheetEffect::Delete { .. });
        let landed = if deletes { State::Left } else { State::Marked };
        let tidy = match &effect {
            SheetEffect::Insert { tidy, .. } | SheetEffect::Delete { tidy, .. } => tidy.clone(),
            _ => Vec::new(),
        };
        let (mut attempt, mut unsure) = (1, false);
        loop {
            match self.io.sheet_once(effect.clone()).await {
                Ok(SheetOutcome::Stamped { ours }) => {
                    if ours {
                        if deletes || keys.is_empty() {
                            self.memory.unread.insert(stamp.value);
                        }
                        self.memory.guarding.push(stamp.id);
                        self.sent(keys, landed);
                    } else {
                        self.note_stamp_taken();
                    }
                    return Err(Stop::Outdated);
                }
                Ok(outcome) => {
                    // Of a batch that was sent once and is answered no copy is under way.
                    if !unsure && matches!(effect, SheetEffect::Write { .. }) {
                        self.memory.answered.push(stamp.id);
                    }
                    self.tidied(&tidy);
                    match unsure {
                        true => self.memory.guarding.push(stamp.id),
                        false => self.memory.stamps.push(stamp.id),
                    }
                    if !deletes {
                        self.sent(keys, State::Marked);
                    }
                    return Ok(outcome);
                }
                Err(failure) => {
                    unsure |= failure.may_have_applied;
                    if attempt < ATTEMPTS && is_passing(&failure) {
                        attempt += 1;
                        continue;
                    }
                    // Whatever the last attempt met, an earlier one may still arrive.
                    if unsure {
                        if !deletes {
                            self.sent(keys, State::Inserting);
                        }
                        let id = stamp.id;
                        self.memory.lost.insert(
                            id,
                            Lost {
                                stamp,
                                keys: keys.to_vec(),
                                deletes,
                            },
                        );
                    }
                    return Err(failure.into());
                }
            }
        }
    }

    /// These rows stand in the sheet, or may stand there.
    fn sent(&mut self, keys: &[Key], state: State) {
        for key in keys {
            self.memory.known(key).state = state;
        }
        if state != State::Left {
            let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
            self.memory.end = self.memory.end.max(self.end.saturating_add(count));
        }
    }

    /// New rows below the data.
    pub(super) fn insertion_effect(&self, insertion: &Insertion) -> SheetEffect {
        SheetEffect::Insert {
            at: self.end,
            rows: insertion.rows.clone(),
            stamp: insertion.stamp.clone(),
            tidy: self.old_marks(),
        }
    }

    /// Rows that are put back: nobody need know what they show.
    pub(super) async fn insert_rows(&mut self, insertion: &Insertion) -> Result<(), Stop> {
        let effect = self.insertion_effect(insertion);
        let stamp = insertion.stamp.clone();
        let answer = self.structural(effect, stamp, &[]).await?;
        self.inserted(answer, insertion.rows.len())?;
        Ok(())
    }

    /// Returns what they show, and where the first of them stands.
    pub(super) fn inserted(
        &mut self,
        answer: SheetOutcome,
        count: usize,
    ) -> Result<(u32, Vec<Vec<Cell>>), Stop> {
        match answer {
            SheetOutcome::Inserted(rows) if rows.len() == count => {
                let first = self.end;
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                self.end = self.end.saturating_add(count);
                self.came = self.came.saturating_add(count);
                Ok((first, rows))
            }
            _ => Err(mismatch().into()),
        }
    }

    pub(super) async fn delete(
        &mut self,
        rows: Vec<TagRow>,
        stamp: Stamp,
        keys: &[Key],
    ) -> Result<Deleted, Stop> {
        let tidy = self.old_marks();
        let images = self.images(rows.len());
        let effect = SheetEffect::Delete {
            rows,
            sentinel: self.sentinel,
            images,
            stamp: stamp.clone(),
            tidy,
        };
        match self.structural(effect, stamp, keys).await? {
            SheetOutcome::Deleted(deleted) => Ok(deleted),
            _ => Err(mismatch().into()),
        }
    }

    /// Of a batch that ended without an answer of its own: whether it was applied, or may be. What
    /// is refused in the sheet's own words was not.
    pub(super) fn may_stand(&self, stamp: MetadataId) -> bool {
        self.memory.lost.contains_key(&stamp) || self.memory.guarding.contains(&stamp)
    }

    /// Cells of tagged rows.
    pub(super) async fn write(
        &mut self,
        rows: Vec<AnchoredRow>,
        stamp: Stamp,
    ) -> Result<Vec<WrittenRow>, Stop> {
        self.announce(&stamp).await?;
        let anchors: HashSet<MetadataId> = rows.iter().map(|row| row.anchor).collect();
        let keeps = rows.len() <= FEW && rows.iter().all(|row| !row.bare);
        let effect = SheetEffect::Write {
            images: self.images(rows.len()),
            rows: rows.into(),
            keeps,
            sentinel: self.sentinel,
            stamp: stamp.clone(),
        };
        match self.structural(effect, stamp, &[]).await? {
            SheetOutcome::Written(written) => {
                if !keeps {
                    self.live.retain(|anchor| !anchors.contains(anchor));
                    self.memory
                        .anchors
                        .retain(|anchor| !anchors.contains(anchor));
                }
                Ok(written)
            }
            _ => Err(mismatch().into()),
        }
    }

    /// Stored before the batch is sent: no row says that it is under way.
    pub(super) async fn announce(&mut self, stamp: &Stamp) -> Result<(), Stop> {
        self.memory.announced = true;
        let writing = Some(Announcement::Begins(stamp.clone()));
        self.commit(Commit {
            writing,
            ..Commit::default()
        })
        .await?;
        Ok(())
    }

    /// Room for the images of so many rows, below those that are still of use.
    fn images(&mut self, rows: usize) -> Images {
        let at = self.memory.image_rows;
        self.memory.image_rows = at.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        let layout = self.memory.layout.as_ref();
        let columns = layout.map(|layout| layout.columns.clone());
        let key = self.mapping.key.iter();
        Images {
            at,
            layout: columns.unwrap_or_default(),
            key: layout.map_or(Vec::new(), |layout| {
                key.map(|at| layout.column(*at)).collect()
            }),
        }
    }

    /// Where a row of the snapshot stands after the deletions of this cycle.
    pub(super) fn moved(&self, row: u32) -> u32 {
        let above = self.removed.partition_point(|removed| *removed < row);
        row.saturating_sub(u32::try_from(above).unwrap_or(u32::MAX))
    }

    /// Where a row stood in the snapshot that stands here now; `None` for a new row of this
    /// cycle's.
    pub(super) fn row_as_read(&self, row: u32) -> Option<u32> {
        let first = self.end.saturating_sub(self.came);
        if (first..self.end).contains(&row) {
            return None;
        }
        let came = if row < first { 0 } else { self.came };
        Some(before_removal(&self.removed, row.saturating_sub(came)))
    }
}

/// Where a row stood before these went, ascending: as many rows further down as went from above it.
fn before_removal(removed: &[u32], row: u32) -> u32 {
    let (mut above, mut end) = (0, removed.len());
    while above < end {
        let middle = above.midpoint(end);
        let stood = row.saturating_add(u32::try_from(middle).unwrap_or(u32::MAX));
        match removed.get(middle).is_some_and(|gone| *gone <= stood) {
            true => above = middle + 1,
            false => end = middle,
        }
    }
    row.saturating_add(u32::try_from(above).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stood_further_down_before_others_went() {
        let removed = [2, 3, 7, 8, 9];
        let left = (0..15).filter(|row| !removed.contains(row));
        for (now, before) in (0..).zip(left) {
            assert_eq!(before_removal(&removed, now), before);
        }
        assert_eq!(before_removal(&[], 4), 4);
    }
}
