//! Stamps.
//!
//! Before a structural batch is sent, its stamp is stored with each row that it inserts or deletes.
//! Whoever comes after a crash finds out what became of the batch before
//! planning anything.

use std::collections::HashSet;

use super::io::Stop;
use super::memory::State;
use super::run::Cycle;
use crate::codec::{hash_cells, stable_hash};
use crate::effect::{MetadataId, SheetEffect, SheetOutcome, Stamp};
use crate::value::{Cell, Key};

/// Stamps have ids from 1 to this: Google takes them up to `i32::MAX`.
const LAST_ID: u64 = 0x7FFF_FFF0;

/// A structural batch whose fate is not known.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub stamp: Stamp,
    pub keys: Vec<Key>,
    pub deletes: bool,
}

/// One hash of another and of what comes next.
pub(super) fn mixed(hash: u64, next: u64) -> u64 {
    (hash.rotate_left(5) ^ next).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Cycle {
    /// Its id is made from the tab and from what the plan was made from, so that two writers that
    /// plan from one reading ask for one stamp and only one gets it; its value tells this very
    /// batch. A stamp that is known to have stood before that reading was made is of an earlier
    /// plan: what is left of the tab's past, when it looked as it looks now.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.ordinal += 1;
        let (tab, reading) = (self.mapping.sheet_id.unwrap_or_default(), self.reading);
        let ordinal = self.ordinal;
        let known = &self.memory;
        let standing: HashSet<MetadataId> = [&known.stamps, &known.guarding, &known.found_stamps]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let mut attempt = match known.refused_reading == reading {
            true => known.refusals,
            false => 0,
        };
        let id = loop {
            let text = format!("{tab}.{reading}.{ordinal}.{attempt}");
            let id = i32::try_from(stable_hash(text.as_bytes()) % LAST_ID).unwrap_or(0) + 1;
            if !standing.contains(&id) {
                break id;
            }
            attempt = attempt.wrapping_add(1);
        };
        let text = format!(
            "{}.{}.{}",
            self.start.seed, self.start.now.0, self.ordinal_in_all
        );
        self.ordinal_in_all += 1;
        Stamp {
            id,
            value: format!("{:x}", stable_hash(text.as_bytes()) & 0x7FFF_FFFF),
        }
    }

    /// Another writer was first with what it planned from this reading. Told apart only from plans
    /// made from this very reading: two writers that remember different things ask for one stamp.
    pub(super) fn note_stamp_taken(&mut self) {
        let memory = &mut self.memory;
        if memory.refused_reading != self.reading {
            memory.refused_reading = self.reading;
            memory.refusals = 0;
        }
        memory.refusals = memory.refusals.wrapping_add(1);
    }

    /// Without a reading of all rows a plan is made from the rows that were tagged for it.
    pub(super) fn note_tagged(&mut self, row: u32, cells: &[Cell]) {
        if self.end == 0 {
            let seen = u64::from(row).rotate_left(32) ^ hash_cells(cells).number() as u64;
            self.reading = mixed(self.reading, seen);
        }
    }

    /// A batch without an answer, of this process or of one that was killed, may arrive at any time
    /// until its stamp is taken.
    pub(super) async fn close_lost_batches(&mut self) -> Result<(), Stop> {
        if self.start.dry_run {
            return Ok(());
        }
        while let Some(lost) = self.memory.lost.values().next().cloned() {
            let id = lost.stamp.id;
            let arrived = self.has_arrived(&lost.stamp).await?;
            // New rows of the table's leave no images.
            if arrived && (lost.deletes || lost.keys.is_empty()) {
                self.memory.unread.insert(lost.stamp.value.clone());
            }
            for key in &lost.keys {
                if let Some(known) = self.memory.rows.get_mut(key) {
                    known.state = match (lost.deletes, arrived) {
                        (false, true) | (true, false) => State::Marked,
                        (false, false) => State::Announced,
                        (true, true) => State::Left,
                    };
                }
            }
            if !arrived {
                for written in self.memory.in_flight.values_mut() {
                    written.retain(|written| written.stamp != Some(id));
                }
            }
            self.memory.lost.remove(&id);
            self.memory.guarding.push(id);
            self.sheet_unsure = true;
        }
        Ok(())
    }

    async fn has_arrived(&self, stamp: &Stamp) -> Result<bool, Stop> {
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
        let answer = self
            .io
            .sheet(SheetEffect::Claim {
                stamp: stamp.clone(),
            })
            .await?;
        Ok(matches!(answer, SheetOutcome::Stamped { ours: true }))
    }
}
