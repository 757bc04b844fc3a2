//! Safe writing to a tab: all that exists because Google Sheets has no compare-and-swap.
//!
//! A person may edit, insert, delete, sort or move rows between any two requests of ours; an answer
//! may be lost though its request was carried out, or is carried out later; this process may end at
//! any moment. [`Tab`] is how the rest of the engine writes all the same. It knows rows, cells and
//! anchors, and nothing of tables or who is right (keys it only keeps for its callers): it says
//! what stood in each row right before and right after a write, and its caller decides what that
//! means.
//!
//! # A write
//!
//! ```text
//!   read ──► tag ──► announce ──► batch ──┬── answered: rows before and after ──► recorded ──► over
//!    ▲        │                           │
//!    │        │ a header moved            ├── refused: an anchor moved, or the stamp is taken
//!    └────────┴───────────────────────────┘
//!                                         └── no answer: a lost batch ──► closed ──► images read
//! ```
//!
//! - **Tag** ([`anchors`]). A row number is only true while nobody inserts, deletes or sorts. So a
//!   row is given an *anchor* (developer metadata that moves with its row) by the request that also
//!   reads it back: from then on it is the row that was read which is meant, wherever it stands. A
//!   *sentinel* on the last row of the tab tells a later batch that rows were inserted or deleted.
//! - **Announce** ([`batches`]). That a batch is about to be sent is stored in the database first,
//!   with its stamp: with the rows that it inserts or deletes, or, for cells and for rows that are
//!   put back, with the mapping. So the process that comes after a crash knows which batches may
//!   have been carried out. (A header row that is written twice is the same, so that one is not
//!   announced.)
//! - **Batch** ([`batches`]). One atomic request. It begins with a *stamp* ([`stamps`]): metadata
//!   with an id that we choose, which Google refuses where the id is in use. So a batch is carried
//!   out once however often it is sent, and of two writers that planned from one reading only one
//!   gets through. *Guards* make it depend on its anchors standing where they were put. Before and
//!   after its changes it copies the rows into a hidden tab of ours: their *images*.
//! - **Answer.** A row's image from right before tells what the write overwrote. What nobody had
//!   seen is an overwritten edit ([`debts`]), which has to be restored.
//! - **No answer** ([`recover`]). The batch is *lost*: it may have been carried out, or may yet be.
//!   Its stamp is claimed by a request of its own, with another value. Either the id was free, or
//!   claimed by us before: then the batch never will be carried out. Or it is in use: then its value
//!   tells whether by this batch, whose images tell what it did, or by another writer's. A process
//!   that comes after a crash does the same with every batch that was announced.
//! - **Over.** When nothing is lost, unread or to be restored, the announcements are withdrawn, and
//!   the hidden tab is used from its first row again.
//!
//! # What it survives
//!
//! | accident | what shows it | what follows |
//! |---|---|---|
//! | a row is edited between its tagging and its writing | its image from before the batch | an overwritten edit, which is restored |
//! | rows are inserted, deleted, sorted or moved in between | an anchor or the sentinel stands elsewhere, so the batch is refused as a whole | the tab is read again |
//! | the row is deleted in between | its anchor is gone | as above; where it went in the very moment, the answer says so |
//! | columns are moved | the header is read with every look at rows | the tab is read again |
//! | the answer is lost, or the request arrives late | the stamp | closed before anything else is planned |
//! | another process writes the same tab | both ask for one stamp | one of them is refused and reads again |
//! | this process ends at any moment | what was announced | the next one closes and reads the images |
//! | the image is of another row (rows that a filter hides may not be copied) | the cells that the batch left alone differ | that image is not believed |

mod anchors;
mod batches;
mod capacity;
mod debts;
mod layout;
mod places;
mod recover;
mod stamps;

use std::collections::BTreeMap;

use crate::effect::{Announcement, Failure, MetadataId, Stamp};
use crate::io::{self, Io};
use crate::mapping::Mapping;
use crate::value::{Key, Timestamp};
pub(crate) use anchors::{LookTimes, Tagged};
pub(crate) use batches::{Fate, MAX_ROWS_KEEPING_ANCHORS, NotDone};
pub(crate) use capacity::LARGEST_CHUNK;
pub(crate) use debts::{Debts, LostRow, OverwrittenEdit};
pub(crate) use layout::{Found, Layout, find_columns, renamed_headers};
pub(crate) use recover::Closed;

/// One tab, for the length of a cycle.
pub(crate) struct Tab {
    io: Io,
    shape: Shape,
    memory: TabMemory,
    plan: stamps::Plan,
    tags: anchors::Tags,
    places: places::Places,
}

/// What does not change in a cycle.
struct Shape {
    sheet_id: i64,
    /// Counted from 0.
    header_row: u32,
    columns: usize,
    /// Mapped columns of the key.
    key: Vec<usize>,
    /// [`Mapping::anchors_apart`].
    anchors_apart: usize,
    /// [`Mapping::max_request_bytes`].
    request_bytes: usize,
}

/// What is remembered of the tab from one cycle to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct TabMemory {
    layout: Option<Layout>,
    /// The row below the last one that the sheet had.
    end: u32,
    marks: Marks,
    /// Batches were announced and not declared over.
    announced: bool,
    /// Batches without an answer, which may still be carried out.
    lost: BTreeMap<MetadataId, LostBatch>,
    /// Batches that were carried out without an answer, by their stamps' values: what they
    /// overwrote is to be read from the images.
    unread: BTreeMap<String, Purpose>,
    /// Images that stand in the hidden tab and are still of use.
    image_rows: u32,
    /// The last write was answered with an image of each of its rows: whatever a write hits is
    /// seen.
    images_fit: bool,
    refusals: stamps::Refusals,
    debts: Debts,
}

/// Metadata of ours that stands on the tab.
#[derive(Clone, Debug, Default)]
struct Marks {
    /// Anchors of earlier requests, and of none that is under way.
    anchors: Vec<MetadataId>,
    /// Stamps of batches of which no copy is under way, oldest first.
    stamps: Vec<DatedStamp>,
    /// Stamps of batches of which a copy may still arrive, and all that an earlier process, or
    /// somebody else, had put there before this one began; oldest first.
    late_copies: Vec<DatedStamp>,
    /// Stamps of announced writes that were answered: while these are not over, a process that
    /// comes after a crash asks for them.
    answered: Vec<MetadataId>,
    /// Anchors of an earlier process are gone.
    tidied: bool,
}

#[derive(Clone, Copy, Debug)]
struct DatedStamp {
    id: MetadataId,
    since: Timestamp,
}

/// What a batch is for: what follows for rows of the table where its answer is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To write cells; or, of a batch that an earlier process announced, maybe to put rows back.
    Cells,
    /// To insert rows that stood in the sheet before. It leaves no images.
    PutBack,
    /// To write texts of the header. It leaves no images, and sent twice it is the same.
    Header,
    /// To insert the rows of these keys.
    NewRows(Vec<Key>),
    /// To delete the rows of these keys.
    Deletion(Vec<Key>),
}

/// A batch of which nobody knows whether it was carried out.
#[derive(Clone, Debug)]
struct LostBatch {
    stamp: Stamp,
    purpose: Purpose,
}

/// Why nothing came of a request.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The tab is not what it was when this was planned: it has to be read again.
    Outdated,
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match io::is_outdated(&failure) {
            true => Self::Outdated,
            false => Self::Failed(failure),
        }
    }
}

impl Tab {
    pub(crate) fn new(
        io: Io,
        mapping: &Mapping,
        memory: TabMemory,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            io,
            shape: Shape {
                sheet_id: mapping.sheet_id.unwrap_or_default(),
                header_row: mapping.header_row.saturating_sub(1),
                columns: mapping.columns.len(),
                key: mapping.key.clone(),
                anchors_apart: mapping.anchors_apart as usize,
                request_bytes: mapping.max_request_bytes,
            },
            memory,
            plan: stamps::Plan::new(seed, now),
            tags: anchors::Tags::new(seed),
            places: places::Places::default(),
        }
    }

    /// What the next cycle has to know.
    pub(crate) fn into_memory(mut self) -> TabMemory {
        self.memory.marks.anchors.append(&mut self.tags.live);
        if let Some(end) = self.places.end {
            self.memory.end = end;
        }
        self.memory
    }

    /// Where the mapped columns stand, as last read.
    pub(crate) fn layout(&self) -> Option<&Layout> {
        self.memory.layout.as_ref()
    }

    pub(crate) fn set_layout(&mut self, layout: Layout) {
        self.memory.layout = Some(layout);
    }

    /// What our own writes overwrote, until it is restored.
    pub(crate) fn debts(&self) -> &Debts {
        &self.memory.debts
    }

    pub(crate) fn debts_mut(&mut self) -> &mut Debts {
        &mut self.memory.debts
    }

    /// To be stored, where nothing is left to be recorded or restored of any batch announced so
    /// far.
    pub(crate) fn over(&self) -> Option<Announcement> {
        let memory = &self.memory;
        let done = memory.lost.is_empty() && memory.unread.is_empty() && memory.debts.is_empty();
        (memory.announced && done).then_some(Announcement::Over)
    }

    /// That is stored.
    pub(crate) fn note_over(&mut self) {
        self.memory.announced = false;
        self.memory.image_rows = 0;
        self.memory.marks.answered.clear();
    }

    /// Batches that an earlier process announced and did not declare over.
    pub(crate) fn note_announced(&mut self, batches: Vec<Stamp>) {
        self.memory.announced = !batches.is_empty();
        for stamp in batches {
            let id = stamp.id;
            let purpose = Purpose::Cells;
            let lost = LostBatch { stamp, purpose };
            self.memory.lost.entry(id).or_insert(lost);
        }
    }

    /// One in which the row of this key comes or goes.
    pub(crate) fn note_announced_row(&mut self, stamp: Stamp, deletes: bool, key: &Key) {
        let purpose = match deletes {
            true => Purpose::Deletion(Vec::new()),
            false => Purpose::NewRows(Vec::new()),
        };
        let lost = self.memory.lost.entry(stamp.id);
        match &mut lost.or_insert(LostBatch { stamp, purpose }).purpose {
            Purpose::NewRows(keys) | Purpose::Deletion(keys) => keys.push(key.clone()),
            Purpose::Cells | Purpose::PutBack | Purpose::Header => {}
        }
    }
}

#[cfg(test)]
mod simulator;
