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

/// What came of reading the images of batches without an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reread {
    /// There were such batches.
    pub any: bool,
    /// One of them deleted rows and left no image of them: it may have hit others than it was meant
    /// for.
    pub stray_deletion: bool,
}

impl Tab {
    /// Takes the stamp of one batch without an answer, which may be carried out at any time until
    /// then, and returns what became of it; `None` where there is none. It is one at a time, so that
    /// what is known of it is kept where the next one fails.
    pub(crate) async fn resolve_lost_batch(&mut self) -> Result<Option<Closed>, Trouble> {
        let Some(lost) = self.memory.lost.values().next().cloned() else {
            return Ok(None);
        };
        let stamp = lost.stamp.id;
        let arrived = self.was_carried_out(&lost.stamp).await?;
        if arrived {
            self.note_arrived(lost.stamp.value, lost.purpose.clone());
        }
        self.memory.lost.remove(&stamp);
        self.note_late_copy(stamp);
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

    /// The images of batches that were carried out without an answer, where there are such.
    pub(crate) async fn read_images(&mut self) -> Result<Reread, Trouble> {
        if self.memory.unread.is_empty() {
            return Ok(Reread::default());
        }
        let images = match self.io.sheet(SheetEffect::Images).await? {
            SheetOutcome::Images { images, end } => {
                self.memory.image_rows = end;
                images
            }
            _ => return Err(mismatch().into()),
        };
        let unread = std::mem::take(&mut self.memory.unread);
        let has_images = |stamp: &String| images.iter().any(|image| image.stamp == *stamp);
        let mut reread = Reread {
            any: true,
            stray_deletion: false,
        };
        for (_, purpose) in unread.iter().filter(|(stamp, _)| !has_images(stamp)) {
            match purpose {
                Purpose::Deletion(_) => reread.stray_deletion = true,
                _ => self.memory.debts.may_be_back = true,
            }
        }
        self.memory.debts.images = images
            .into_iter()
            .map(|image| (unread.contains_key(&image.stamp), image))
            .collect();
        Ok(reread)
    }

    /// Takes away anchors of an earlier process, once nothing is to be restored through them.
    pub(crate) async fn tidy_leftovers(&mut self) -> Result<(), Trouble> {
        if self.memory.marks.tidied || self.memory.debts.needs_any_anchor() {
            return Ok(());
        }
        match self.io.sheet(SheetEffect::TidyAll).await? {
            SheetOutcome::Tidied(stamps) => self.note_found_stamps(stamps),
            _ => return Err(mismatch().into()),
        }
        self.memory.marks.tidied = true;
        self.memory.marks.anchors.clear();
        self.tags.live.clear();
        Ok(())
    }

    /// Stamps that were on the tab before this process put one there. Which of them are of batches
    /// that may still arrive is not known.
    fn note_found_stamps(&mut self, found: Vec<StandingStamp>) {
        let now = self.io.now();
        let marks = &mut self.memory.marks;
        let ours: HashSet<MetadataId> = marks
            .stamps
            .iter()
            .chain(&marks.late_copies)
            .map(|stamp| stamp.id)
            .collect();
        let found = found.into_iter().filter(|stamp| !ours.contains(&stamp.id));
        marks.late_copies.extend(found.map(|stamp| DatedStamp {
            id: stamp.id,
            since: Timestamp(now.0.saturating_sub(stamp.age_micros)),
        }));
        marks.late_copies.sort_by_key(|stamp| stamp.since);
    }
}
