//! Stamps: what makes a batch be carried out once, and of two writers' plans only one.

use std::collections::HashSet;

use super::Tab;
use crate::codec::{CellsHash, hash_cells, stable_hash};
use crate::effect::{MetadataId, Stamp};
use crate::value::{Cell, Timestamp};

/// Stamps have ids from 1 to this: Google takes them up to `i32::MAX`.
const LAST_ID: u64 = 0x7FFF_FFF0;

/// What the batches of a cycle are planned from.
pub(super) struct Plan {
    seed: u64,
    begun: Timestamp,
    /// Stands for the last reading of the sheet.
    reading: u64,
    /// Stamps that were made from it, and in the whole cycle.
    ordinal: u64,
    ordinal_in_all: u64,
}

impl Plan {
    pub(super) fn new(seed: u64, begun: Timestamp) -> Self {
        Self {
            seed,
            begun,
            reading: 0,
            ordinal: 0,
            ordinal_in_all: 0,
        }
    }
}

/// How often another writer was first with a plan made from one reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    reading: u64,
    count: u64,
}

/// One hash of another and of what comes next.
fn mixed(hash: u64, next: u64) -> u64 {
    (hash.rotate_left(5) ^ next).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Tab {
    /// The tab was read: its header row, as the bytes of the answer.
    pub(crate) fn note_reading(&mut self, header: &str) {
        self.plan.reading = stable_hash(header.as_bytes());
        self.plan.ordinal = 0;
        self.places.forget();
    }

    /// The rows of that reading, by their mapped cells: formulas beside them may show something
    /// else to every writer. The first row below the data is `end`.
    pub(crate) fn note_rows(&mut self, rows: impl Iterator<Item = CellsHash>, end: u32) {
        let numbers = rows.map(|cells| cells.number() as u64);
        self.plan.reading = numbers.fold(self.plan.reading, mixed);
        self.places.end = Some(end);
    }

    /// Without a reading of all rows a plan is made from the rows that were tagged for it.
    pub(super) fn note_tagged(&mut self, row: u32, cells: &[Cell]) {
        if self.places.end.is_none() {
            let seen = u64::from(row).rotate_left(32) ^ hash_cells(cells).number() as u64;
            self.plan.reading = mixed(self.plan.reading, seen);
        }
    }

    /// Its id is made from the tab and from what the plan was made from, so that two writers that
    /// plan from one reading ask for one stamp and only one gets it; its value tells this very
    /// batch. A stamp that is known to have stood before that reading was made is of an earlier
    /// plan: what is left of the tab's past, when it looked as it looks now.
    pub(crate) fn stamp(&mut self) -> Stamp {
        let plan = &mut self.plan;
        plan.ordinal += 1;
        let marks = &self.memory.marks;
        let standing = marks.stamps.iter().chain(&marks.late_copies);
        let standing: HashSet<MetadataId> = standing.map(|stamp| stamp.id).collect();
        let mut attempt = match self.memory.refusals.reading == plan.reading {
            true => self.memory.refusals.count,
            false => 0,
        };
        let (tab, reading, ordinal) = (self.shape.sheet_id, plan.reading, plan.ordinal);
        let id = loop {
            let text = format!("{tab}.{reading}.{ordinal}.{attempt}");
            let id = i32::try_from(stable_hash(text.as_bytes()) % LAST_ID).unwrap_or(0) + 1;
            if !standing.contains(&id) {
                break id;
            }
            attempt = attempt.wrapping_add(1);
        };
        let text = format!("{}.{}.{}", plan.seed, plan.begun.0, plan.ordinal_in_all);
        plan.ordinal_in_all += 1;
        Stamp {
            id,
            value: format!("{:x}", stable_hash(text.as_bytes()) & 0x7FFF_FFFF),
        }
    }

    /// Another writer was first with what it planned from this reading. Told apart only from plans
    /// made from this very reading: two writers that remember different things ask for one stamp.
    pub(super) fn note_stamp_taken(&mut self) {
        let refusals = &mut self.memory.refusals;
        if refusals.reading != self.plan.reading {
            *refusals = Refusals {
                reading: self.plan.reading,
                count: 0,
            };
        }
        refusals.count = refusals.count.wrapping_add(1);
    }
}
