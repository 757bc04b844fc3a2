//! What became of batches without an answer, of this process or of one that ended.
//!
//! In this order: a batch that is still on its way is closed before the anchors go by which it
//! would notice that its rows have moved.

use std::collections::HashSet;

use super::{DatedStamp, Purpose, Tab, Trouble};
use crate::effect::{MetadataId, SheetEffect, SheetOutcome, Stamp, StandingStamp};
use crate::io::mismatch;
use crate::value::Timestamp;

/// A batch whose fate is known by now.
#[derive(Debug)]
pub(crate) struct Closed {
    pub stamp: MetadataId,
    pub purpose: Purpose,
    /// It was carried out; otherwise it never will be.
    pub arrived: bool,
}

impl Tab {
    /// A batch without an answer may be carried out at any time until its stamp is taken: takes
    /// the stamps of all of them. One is answered at a time, so that what is known of it is kept
    /// where the next one fails; `None` where none is left.
    pub(crate) async fn close_lost_batch(&mut self) -> Result<Option<Closed>, Trouble> {
        let Some(lost) = self.kept.lost.values().next().cloned() else {
            return Ok(None);
        };
        let stamp = lost.stamp.id;
        let arrived = self.was_carried_out(&lost.stamp).await?;
        let has_images = match &lost.purpose {
            Purpose::Cells | Purpose::Deletion(_) => true,
            Purpose::NewRows(_) => false,
        };
        if arrived && has_images {
            self.kept.unread.insert(lost.stamp.value);
        }
        self.kept.lost.remove(&stamp);
        self.note_guard(stamp);
        Ok(Some(Closed {
            stamp,
            purpose: lost.purpose,
            arrived,
        }))
    }

    async fn was_carried_out(&self, stamp: &Stamp) -> Result<bool, Trouble> {
        // The same words each time: a stamp that we closed before is told from one that a batch
        // brought along.
        let closed = Stamp {
            id: stamp.id,
            value: format!("closed.{}", stamp.id),
        };
        let answer = self.io.sheet(SheetEffect::Claim { stamp: closed }).await?;
        if !matches!(answer, SheetOutcome::Stamped { ours: false }) {
            return Ok(false);
        }
        // Taken by the batch itself, or by another that was planned from an equal reading.
        let stamp = stamp.clone();
        let answer = self.io.sheet(SheetEffect::Claim { stamp }).await?;
        Ok(matches!(answer, SheetOutcome::Stamped { ours: true }))
    }

    /// The images of batches that were carried out without an answer, where there are such. True
    /// where there were.
    pub(crate) async fn read_images(&mut self) -> Result<bool, Trouble> {
        if self.kept.unread.is_empty() {
            return Ok(false);
        }
        let images = match self.io.sheet(SheetEffect::Images).await? {
            SheetOutcome::Images { images, end } => {
                self.kept.image_rows = end;
                images
            }
            _ => return Err(mismatch().into()),
        };
        let unread = std::mem::take(&mut self.kept.unread);
        // Only a batch that puts rows back leaves none.
        let has_images = |stamp: &String| images.iter().any(|image| image.stamp == *stamp);
        self.kept.debts.may_be_back |= !unread.iter().all(has_images);
        self.kept.debts.images = images
            .into_iter()
            .filter(|image| image.layout.len() == self.shape.columns)
            .map(|image| (unread.contains(&image.stamp), image))
            .collect();
        Ok(true)
    }

    /// Takes away anchors of an earlier process, once nothing is to be restored through them.
    pub(crate) async fn tidy_leftovers(&mut self) -> Result<(), Trouble> {
        if self.kept.marks.tidied || self.kept.debts.need_anchors() {
            return Ok(());
        }
        match self.io.sheet(SheetEffect::TidyAll).await? {
            SheetOutcome::Tidied(stamps) => self.note_found_stamps(stamps),
            _ => return Err(mismatch().into()),
        }
        self.kept.marks.tidied = true;
        self.kept.marks.anchors.clear();
        self.tags.live.clear();
        Ok(())
    }

    /// Stamps that were on the tab before this process put one there. Which of them are of batches
    /// that may still arrive is not known.
    fn note_found_stamps(&mut self, found: Vec<StandingStamp>) {
        let now = self.io.now();
        let marks = &mut self.kept.marks;
        let ours: HashSet<MetadataId> = marks
            .stamps
            .iter()
            .chain(&marks.guarding)
            .map(|stamp| stamp.id)
            .collect();
        let found = found.into_iter().filter(|stamp| !ours.contains(&stamp.id));
        marks.guarding.extend(found.map(|stamp| DatedStamp {
            id: stamp.id,
            since: Timestamp(now.0.saturating_sub(stamp.age_micros)),
        }));
        marks.guarding.sort_by_key(|stamp| stamp.since);
    }
}
