//! Anchors: rows are tagged and read back in one request, and written through their tags.

use std::collections::{HashMap, HashSet};

use super::layout::{Found, Layout, find_columns};
use super::{Tab, Trouble, capacity};
use crate::cost;
use crate::effect::{
    AnchoredRow, Computed, MetadataId, SeenRow, Sentinel, SheetEffect, SheetOutcome, TagRow,
};
use crate::io::mismatch;
use crate::mapping::Mapping;
use crate::value::{Cell, Timestamp};

/// The anchors of a cycle.
pub(super) struct Tags {
    next: MetadataId,
    /// Those of the batch under way.
    pub live: Vec<MetadataId>,
    /// That of the last request which tagged rows.
    pub sentinel: Sentinel,
    /// When that request was sent.
    looked_at: Timestamp,
    /// Those that stand on the rows of the batches to come, by row.
    pub ahead: HashMap<u32, TagRow>,
}

/// A tagged row.
#[derive(Debug)]
pub(crate) struct Tagged {
    pub anchor: MetadataId,
    /// Its mapped cells as they stood then; `None` where it could not be read.
    pub cells: Option<Vec<Cell>>,
    /// Which of its cells nobody typed, by their sheet columns, mapped or not.
    pub computed: Vec<(u32, Computed)>,
}

/// Between these two moments cells were looked at: when that was asked for, and when the answer was
/// whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookTimes {
    pub sent: Timestamp,
    pub read: Timestamp,
}

impl Tags {
    /// Anchors are numbered from a random place on: with the sheet's few leftovers they collide
    /// once in a million cycles, and then the request is refused as a whole and the next cycle
    /// takes other numbers.
    pub(super) fn new(seed: u64) -> Self {
        let first = i32::try_from(seed % 0x7000_0000).unwrap_or(1).max(1);
        Self {
            next: first,
            live: Vec::new(),
            sentinel: Sentinel {
                anchor: first,
                row: None,
            },
            looked_at: Timestamp(0),
            ahead: HashMap::new(),
        }
    }

    fn anchor(&mut self) -> MetadataId {
        let id = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        id
    }
}

impl Tab {
    /// Puts an anchor on each of these rows but those that are `bare`, and returns all as they
    /// stand now. A header that moved outdates the plan.
    ///
    /// Where `values` is set, the rows are read by a request of their own, which does not tell
    /// which cells nobody typed: values take a tenth of what cells take in a batch's answer, and
    /// reads have a quota of their own. What moves before they are read has another key there, and
    /// has moved an anchor.
    pub(crate) async fn tag(
        &mut self,
        mapping: &Mapping,
        rows: &[u32],
        bare: &HashSet<u32>,
        values: bool,
    ) -> Result<Vec<Tagged>, Trouble> {
        let tags = self.tags_for(rows, bare);
        let tagged = match values {
            true => {
                self.put(tags.clone(), false).await?;
                self.read_tagged(mapping, tags).await?
            }
            false => self.put_reading(mapping, tags).await?,
        };
        for (row, tagged) in rows.iter().zip(&tagged) {
            self.note_tagged(*row, tagged.cells.as_deref().unwrap_or_default());
        }
        Ok(tagged)
    }

    /// Tags rows of batches to come, as many as one request has room for; their cells are read when
    /// their turn comes.
    pub(crate) async fn tag_ahead(
        &mut self,
        rows: &[u32],
        bare: &HashSet<u32>,
    ) -> Result<(), Trouble> {
        let old = self.old_marks().len() + self.tags.live.len();
        let mut room = self.request_bytes().saturating_sub(old * cost::DROP);
        let fits = |row: &&u32| {
            let bytes = if bare.contains(row) { 0 } else { cost::TAG };
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        let rows: Vec<u32> = rows.iter().take_while(fits).copied().collect();
        let tags = self.tags_for(&rows, bare);
        self.put(tags.clone(), false).await?;
        self.tags.ahead = tags.into_iter().map(|tag| (tag.row, tag)).collect();
        Ok(())
    }

    /// The tag that the row has already, for a batch to come.
    pub(crate) fn tagged_ahead(&self, row: u32) -> Option<&TagRow> {
        self.tags.ahead.get(&row)
    }

    /// Another reading may show other rows in these places.
    pub(crate) fn forget_tags_ahead(&mut self) {
        self.tags.ahead.clear();
    }

    /// Rows that are tagged already, as they stand now; of a tab without formulas.
    pub(crate) async fn read_tagged(
        &mut self,
        mapping: &Mapping,
        tags: Vec<TagRow>,
    ) -> Result<Vec<Tagged>, Trouble> {
        let rows = tags.iter().map(|tag| tag.row);
        let rows = std::iter::once(self.shape.header_row).chain(rows).collect();
        self.tags.looked_at = self.io.now();
        let mut rows = match self.io.sheet(SheetEffect::ReadRows { rows }).await? {
            SheetOutcome::Rows(rows) if rows.len() == tags.len() + 1 => rows.into_iter(),
            _ => return Err(mismatch().into()),
        };
        let layout = self.same_layout(mapping, rows.next())?;
        let tagged = tags.into_iter().zip(rows);
        Ok(tagged
            .map(|(tag, cells)| Tagged {
                anchor: tag.anchor,
                cells: Some(layout.mapped(&cells)),
                computed: Vec::new(),
            })
            .collect())
    }

    /// The rows on which these anchors stand, and their mapped cells. A header that moved outdates
    /// the plan.
    pub(crate) async fn look(
        &mut self,
        mapping: &Mapping,
        anchors: Vec<MetadataId>,
    ) -> Result<HashMap<MetadataId, (u32, Vec<Cell>)>, Trouble> {
        if anchors.is_empty() {
            return Ok(HashMap::new());
        }
        let header = self.shape.header_row;
        self.tags.looked_at = self.io.now();
        let effect = SheetEffect::Look { header, anchors };
        let seen = match self.io.sheet(effect).await? {
            SheetOutcome::Seen(seen) => seen,
            _ => return Err(mismatch().into()),
        };
        let layout = self.same_layout(mapping, Some(seen.header))?;
        for (anchor, ..) in &seen.rows {
            if !self.stands(*anchor) {
                self.memory.marks.anchors.push(*anchor);
            }
        }
        let rows = seen.rows.into_iter();
        Ok(rows
            .map(|(anchor, row, cells)| (anchor, (row, layout.mapped(&cells))))
            .collect())
    }

    /// From when the last look at rows was asked for until now.
    pub(crate) fn since_last_look(&self) -> LookTimes {
        LookTimes {
            sent: self.tags.looked_at,
            read: self.io.now(),
        }
    }

    /// The anchor is on its row, as far as this process knows.
    pub(crate) fn stands(&self, anchor: MetadataId) -> bool {
        let mut stand = self.tags.live.iter().chain(&self.memory.marks.anchors);
        stand.any(|one| *one == anchor)
    }

    /// Rows that can do without an anchor of their own, of these and whether they may be deleted.
    ///
    /// Whatever moves a run of rows moves an anchor: a row that is inserted, deleted or sorted
    /// among them, or carried further than to the next anchor. What little is left, a row that
    /// somebody carries past a few of its neighbours while a mass of rows is written, is seen in
    /// the images and restored; so this is for where images are kept, and not for rows that may be
    /// deleted.
    pub(crate) fn without_anchors(&self, rows: Vec<(u32, bool)>) -> HashSet<u32> {
        match self.is_sparse() {
            true => capacity::without_anchors(rows, self.shape.anchors_apart),
            false => HashSet::new(),
        }
    }

    /// In a mass of rows not each gets an anchor.
    pub(crate) fn is_sparse(&self) -> bool {
        self.shape.anchors_apart > 1 && self.memory.images_fit
    }

    fn tags_for(&mut self, rows: &[u32], bare: &HashSet<u32>) -> Vec<TagRow> {
        let tag = |row: &u32| TagRow {
            row: *row,
            anchor: self.tags.anchor(),
            bare: bare.contains(row),
        };
        rows.iter().map(tag).collect()
    }

    async fn put_reading(
        &mut self,
        mapping: &Mapping,
        tags: Vec<TagRow>,
    ) -> Result<Vec<Tagged>, Trouble> {
        let header = TagRow {
            row: self.shape.header_row,
            anchor: self.tags.anchor(),
            bare: false,
        };
        let all = std::iter::once(header.clone()).chain(tags.iter().cloned());
        let mut cells = self.put(all.collect(), true).await?;
        let seen = cells.remove(&header.anchor);
        let layout = self.same_layout(mapping, seen.map(|seen| seen.cells))?;
        let row = |tag: TagRow| {
            let seen = cells.remove(&tag.anchor);
            Tagged {
                anchor: tag.anchor,
                cells: seen.as_ref().map(|seen| layout.mapped(&seen.cells)),
                computed: seen.map(|seen| seen.computed).unwrap_or_default(),
            }
        };
        Ok(tags.into_iter().map(row).collect())
    }

    /// The header is read with every look at rows: their cells are told apart by it.
    fn same_layout(
        &mut self,
        mapping: &Mapping,
        header: Option<Vec<Cell>>,
    ) -> Result<Layout, Trouble> {
        match find_columns(mapping, &header.unwrap_or_default()) {
            Found::Whole(layout) if self.memory.layout.as_ref() == Some(&layout) => Ok(layout),
            _ => {
                self.memory.layout = None;
                Err(Trouble::Outdated)
            }
        }
    }

    /// Puts anchors, in place of all that are left of earlier ones.
    async fn put(
        &mut self,
        tags: Vec<TagRow>,
        read: bool,
    ) -> Result<HashMap<MetadataId, SeenRow>, Trouble> {
        self.tags.ahead.clear();
        let sentinel = self.tags.anchor();
        let live = self.spent_anchors(&self.tags.live);
        let tidy: Vec<MetadataId> = self.old_marks().into_iter().chain(live).collect();
        self.tags.sentinel = Sentinel {
            anchor: sentinel,
            row: None,
        };
        self.tags.looked_at = self.io.now();
        let placed = tags.iter().filter(|tag| !tag.bare);
        let placed: Vec<MetadataId> = placed.map(|tag| tag.anchor).chain([sentinel]).collect();
        let effect = SheetEffect::Tag {
            rows: tags,
            read,
            sentinel,
            tidy: tidy.clone(),
        };
        let answer = self.io.sheet(effect).await;
        // Whatever came of it: removing an anchor that is not there does no harm, leaving one there
        // does.
        self.memory.marks.anchors.append(&mut self.tags.live);
        self.tags.live.extend(placed);
        let tagged = match answer? {
            SheetOutcome::Tagged(tagged) => tagged,
            _ => return Err(mismatch().into()),
        };
        self.tags.sentinel.row = tagged.sentinel_row;
        self.memory.marks.forget(&tidy);
        let rows = tagged.rows.into_iter();
        Ok(rows.map(|seen| (seen.anchor, seen)).collect())
    }

    /// Of these the ones through which nothing is to be restored.
    pub(super) fn spent_anchors(&self, anchors: &[MetadataId]) -> Vec<MetadataId> {
        let spent = anchors.iter();
        let spent = spent.filter(|anchor| !self.memory.debts.needs_anchor(**anchor));
        spent.copied().collect()
    }

    /// The sentinel of the last request that tagged rows.
    pub(crate) fn sentinel(&self) -> Sentinel {
        self.tags.sentinel
    }

    /// The mapped cells of a whole row, where the columns stand now.
    pub(crate) fn mapped(&self, cells: &[Cell]) -> Vec<Cell> {
        let layout = self.memory.layout.as_ref();
        layout
            .map(|layout| layout.mapped(cells))
            .unwrap_or_default()
    }

    /// The mapped columns that are written.
    pub(crate) fn columns_of(&self, sent: &AnchoredRow) -> Vec<usize> {
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
}
