//! Anchors: rows are tagged and read back in one request, and written through their tags.

use std::collections::{HashMap, HashSet};

use super::doubt::CANDIDATES;
use super::formulas::{fills, leaves, place};
use super::header::{self, Found, Layout};
use super::io::{Stop, mismatch};
use super::item::Item;
use super::run::Cycle;
use super::snapshot::{Sighting, Typed, typed_key};
use super::windows::Look;
use crate::cost;
use crate::effect::{Computed, Entered, MetadataId, SeenRow, SheetEffect, SheetOutcome, TagRow};
use crate::reconcile::SheetChange;
use crate::value::{Cell, Key};

/// A tagged row.
#[derive(Debug)]
pub(super) struct TaggedRow {
    pub anchor: MetadataId,
    /// Its mapped cells as they stood then; `None` where it could not be read.
    pub cells: Option<Vec<Cell>>,
    /// Which of its cells nobody typed, by their sheet columns, mapped or not.
    pub computed: Vec<(u32, Computed)>,
}

/// From so many rows on they are read by a request of their own: values take a tenth of what cells
/// take in a batch's answer, and reads have a quota of their own. What moves before they are read
/// has another key there, and has moved an anchor.
const MANY: usize = 1_000;

/// Anchors that stand on the rows of the batches to come, by row, and which of these rows are bare.
pub(super) type Ahead = HashMap<u32, TagRow>;

impl Cycle {
    pub(super) fn anchor(&mut self) -> MetadataId {
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        id
    }

    fn tags(&mut self, rows: &[u32], bare: &HashSet<u32>) -> Vec<TagRow> {
        let tag = |row: &u32| TagRow {
            row: *row,
            anchor: self.anchor(),
            bare: bare.contains(row),
        };
        rows.iter().map(tag).collect()
    }

    /// Put an anchor on each of these rows, and return them as they stand now. A header that moved
    /// outdates the plan.
    pub(super) async fn tag_rows(&mut self, rows: &[u32]) -> Result<Vec<TaggedRow>, Stop> {
        self.tag_some(rows, &HashSet::new()).await
    }

    /// The same for rows of which some, `bare`, do without an anchor.
    async fn tag_some(
        &mut self,
        rows: &[u32],
        bare: &HashSet<u32>,
    ) -> Result<Vec<TaggedRow>, Stop> {
        let tags = self.tags(rows, bare);
        let many = tags.len() >= MANY && !self.has_formulas().await?;
        let tagged = match many {
            true => {
                self.put(tags.clone(), false).await?;
                self.read_tagged(tags).await?
            }
            false => self.put_reading(tags).await?,
        };
        for (row, tagged) in rows.iter().zip(&tagged) {
            self.note_tagged(*row, tagged.cells.as_deref().unwrap_or_default());
        }
        Ok(tagged)
    }

    async fn put_reading(&mut self, tags: Vec<TagRow>) -> Result<Vec<TaggedRow>, Stop> {
        let header = self.header_tag();
        let all = std::iter::once(header.clone()).chain(tags.iter().cloned());
        let mut cells = self.put(all.collect(), true).await?;
        let seen = cells.remove(&header.anchor);
        let layout = self.same_layout(seen.map(|seen| seen.cells))?;
        let row = |tag: TagRow| {
            let seen = cells.remove(&tag.anchor);
            TaggedRow {
                anchor: tag.anchor,
                cells: seen.as_ref().map(|seen| layout.mapped(&seen.cells)),
                computed: seen.map(|seen| seen.computed).unwrap_or_default(),
            }
        };
        Ok(tags.into_iter().map(row).collect())
    }

    /// The last request that tagged rows and read them.
    pub(super) fn look_of_tagging(&self) -> Look {
        Look {
            sent: self.tagged_at,
            read: self.io.now(),
        }
    }

    fn header_tag(&mut self) -> TagRow {
        TagRow {
            row: self.mapping.header_row.saturating_sub(1),
            anchor: self.anchor(),
            bare: false,
        }
    }

    /// The header is read with every look at rows: their cells are told apart by it.
    pub(super) fn same_layout(&mut self, header: Option<Vec<Cell>>) -> Result<Layout, Stop> {
        match header::find(&self.mapping, &header.unwrap_or_default()) {
            Found::Whole(layout) if self.memory.layout.as_ref() == Some(&layout) => Ok(layout),
            _ => {
                self.memory.layout = None;
                Err(Stop::Outdated)
            }
        }
    }

    /// Put anchors, in place of all that are left of earlier ones.
    async fn put(
        &mut self,
        tags: Vec<TagRow>,
        read: bool,
    ) -> Result<HashMap<MetadataId, SeenRow>, Stop> {
        self.ahead.clear();
        let sentinel = self.anchor();
        let tidy = self.old_anchors();
        self.sentinel = sentinel;
        self.tagged_at = self.io.now();
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
        self.memory.anchors.append(&mut self.live);
        self.live.extend(placed);
        let tagged = match answer? {
            SheetOutcome::Tagged(tagged) => tagged,
            _ => return Err(mismatch().into()),
        };
        let gone: HashSet<MetadataId> = tidy.into_iter().collect();
        self.memory.anchors.retain(|anchor| !gone.contains(anchor));
        Ok(tagged.into_iter().map(|seen| (seen.anchor, seen)).collect())
    }

    fn old_anchors(&self) -> Vec<MetadataId> {
        let old = self.memory.anchors.iter().chain(&self.live);
        let spent = old.filter(|anchor| !self.is_needed(**anchor));
        spent.copied().collect()
    }

    /// Rows that are tagged already, as they stand now; of a tab without formulas.
    async fn read_tagged(&mut self, tags: Vec<TagRow>) -> Result<Vec<TaggedRow>, Stop> {
        let header = self.mapping.header_row.saturating_sub(1);
        let rows = std::iter::once(header).chain(tags.iter().map(|tag| tag.row));
        let effect = SheetEffect::ReadRows {
            rows: rows.collect(),
        };
        self.tagged_at = self.io.now();
        let mut rows = match self.io.sheet(effect).await? {
            SheetOutcome::Rows(rows) if rows.len() == tags.len() + 1 => rows.into_iter(),
            _ => return Err(mismatch().into()),
        };
        let layout = self.same_layout(rows.next())?;
        let tagged = tags.into_iter().zip(rows);
        Ok(tagged
            .map(|(tag, cells)| TaggedRow {
                anchor: tag.anchor,
                cells: Some(layout.mapped(&cells)),
                computed: Vec::new(),
            })
            .collect())
    }

    /// Of a mass of rows that goes through in several batches all are tagged by one request, as
    /// many as it has room for, if most of those in the first batch are to be tagged.
    pub(super) async fn tag_ahead(
        &mut self,
        items: &[Item],
        wanted: &[usize],
        rest: &[Sighting],
    ) -> Result<(), Stop> {
        let apart = self.mapping.anchors_apart as usize;
        let needless = rest.is_empty() || self.tagged_ahead(items, wanted).is_some();
        if needless || wanted.len() * 2 < items.len() || apart <= 1 || !self.memory.images_fit {
            return Ok(());
        }
        if self.has_formulas().await? {
            return Ok(());
        }
        let now = wanted.iter().filter_map(|index| items.get(*index));
        let now = now.filter_map(|item| Some((item.row?, may_leave(item))));
        let later = rest.iter().filter_map(|sighting| sighting.row);
        let later = later.map(|row| (self.moved(row), false));
        let rows: Vec<(u32, bool)> = now.chain(later).collect();
        let bare = without_anchors(rows.clone(), apart);
        let mut room = self
            .room()
            .saturating_sub(self.old_anchors().len() * cost::DROP);
        let fits = |row: &u32| {
            let bytes = if bare.contains(row) { 0 } else { cost::TAG };
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        let rows = rows.iter().map(|(row, _)| *row).take_while(fits);
        let tags = self.tags(&rows.collect::<Vec<u32>>(), &bare);
        self.put(tags.clone(), false).await?;
        self.ahead = tags.into_iter().map(|tag| (tag.row, tag)).collect();
        Ok(())
    }

    /// The tags that these rows have already; none where one of them has none, or none of its own
    /// and may be deleted.
    fn tagged_ahead(&self, items: &[Item], wanted: &[usize]) -> Option<Vec<TagRow>> {
        let items = wanted.iter().filter_map(|index| items.get(*index));
        let tag = |item: &Item| {
            let tag = self.ahead.get(&item.row?)?;
            (!tag.bare || !may_leave(item)).then(|| tag.clone())
        };
        items.map(tag).collect()
    }

    /// Tag the rows of these items and take over the cells that they hold by now. Returns which
    /// items changed; rows that are no longer theirs are dropped for a new reading.
    pub(super) async fn tag(
        &mut self,
        items: &mut [Item],
        wanted: &[usize],
    ) -> Result<Vec<usize>, Stop> {
        let rows: Vec<u32> = wanted
            .iter()
            .filter_map(|index| items.get(*index)?.row)
            .collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (bare, tagged) = match self.tagged_ahead(items, wanted) {
            Some(tags) => {
                let bare = tags
                    .iter()
                    .filter(|tag| tag.bare)
                    .map(|tag| tag.row)
                    .collect();
                let tagged = self.read_tagged(tags).await?;
                self.note_feeding(items, wanted, &rows, &tagged).await?;
                (bare, tagged)
            }
            None => {
                let mut bare = self.bare_rows(items, wanted);
                let below = self.rows_below(items, wanted, &rows);
                bare.extend(&below);
                let rows: Vec<u32> = rows.into_iter().chain(below).collect();
                let tagged = self.tag_some(&rows, &bare).await?;
                self.note_feeding(items, wanted, &rows, &tagged).await?;
                (bare, tagged)
            }
        };
        let look = self.look_of_tagging();
        let mut changed = Vec::new();
        for (index, tagged) in wanted.iter().zip(tagged) {
            let TaggedRow {
                anchor,
                cells,
                computed,
            } = tagged;
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let Some(cells) = cells.filter(|cells| self.is_row_of(&item.key, cells)) else {
                item.dropped = true;
                self.stale = true;
                continue;
            };
            item.anchor = Some(anchor);
            item.bare = item.row.is_some_and(|row| bare.contains(&row));
            item.computed = computed;
            if item.cells.as_ref() != Some(&cells) {
                item.cells = Some(cells);
                item.look = Some(look);
                item.bytes = None;
                changed.push(*index);
            } else if !item.computed.is_empty() {
                changed.push(*index);
            }
        }
        Ok(changed)
    }

    /// The rows below those that are to go, to be read along: a formula that goes may fill them.
    fn rows_below(&self, items: &[Item], wanted: &[usize], rows: &[u32]) -> Vec<u32> {
        let end = self.end.max(self.memory.end);
        let going = wanted.iter().filter_map(|index| items.get(*index));
        let going = going.filter(|item| leaves(item) || item.cells.is_none() && may_leave(item));
        let below = going.filter_map(|item| item.row?.checked_add(1));
        let mut below: Vec<u32> = below
            .filter(|row| *row < end && !rows.contains(row))
            .collect();
        below.dedup();
        below
    }

    /// Rows whose formula fills rows below, too.
    async fn note_feeding(
        &mut self,
        items: &mut [Item],
        wanted: &[usize],
        rows: &[u32],
        tagged: &[TaggedRow],
    ) -> Result<(), Stop> {
        let read: HashMap<&u32, &TaggedRow> = rows.iter().zip(tagged).collect();
        let mut unclear = Vec::new();
        for index in wanted {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let Some(row) = item.row else { continue };
            let Some(own) = read.get(&row) else { continue };
            let below = row.checked_add(1).and_then(|below| read.get(&below));
            let shows = |at: u32| {
                let mut computed = below.into_iter().flat_map(|below| &below.computed);
                computed.find(|one| one.0 == at).map(|(_, how)| *how)
            };
            let own = own.computed.iter();
            let here: Vec<u32> = own
                .filter(|(_, how)| *how == Computed::Here)
                .map(|(at, _)| *at)
                .collect();
            let feeds = |at: &&u32| shows(**at) == Some(Computed::Elsewhere);
            item.feeds = here.iter().find(feeds).map(|at| place(row, *at));
            if item.feeds.is_none() && may_leave(item) {
                let here = here.into_iter().filter(|at| shows(*at).is_none());
                unclear.extend(here.map(|at| (*index, (row, at))));
            }
        }
        for (index, at) in unclear {
            let fills = self.fills_further_down(at).await?;
            match (items.get_mut(index), fills) {
                (Some(item), Some(true)) => item.feeds = Some(place(at.0, at.1)),
                (Some(item), None) => {
                    item.dropped = true;
                    self.stale = true;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a formula that shows nothing in the row below its own, which may be a blank one,
    /// fills a row below that; `None` where only a reading tells how far down there are rows.
    async fn fills_further_down(
        &mut self,
        (row, column): (u32, u32),
    ) -> Result<Option<bool>, Stop> {
        let formulas = self.formulas().await?;
        let mut here = formulas
            .iter()
            .filter(|one| (one.row, one.column) == (row, column));
        if !here.any(|one| fills(&one.text)) {
            return Ok(Some(false));
        }
        if self.snapshot.is_none() {
            return Ok(None);
        }
        let below = row.saturating_add(1)..self.end;
        let cells = below.take(CANDIDATES).map(|below| (below, column));
        let details = self.inspect(cells.collect()).await?;
        let mut shown = details.iter().filter(|detail| detail.value != Cell::Empty);
        let first = shown.next();
        Ok(Some(
            first.is_some_and(|detail| detail.entered == Entered::Nothing),
        ))
    }

    fn bare_rows(&self, items: &[Item], wanted: &[usize]) -> HashSet<u32> {
        let apart = self.mapping.anchors_apart as usize;
        if apart <= 1 || !self.memory.images_fit {
            return HashSet::new();
        }
        let items = wanted.iter().filter_map(|index| items.get(*index));
        let rows = items.filter_map(|item| Some((item.row?, may_leave(item))));
        without_anchors(rows.collect(), apart)
    }

    pub(super) fn is_row_of(&self, key: &Key, cells: &[Cell]) -> bool {
        match typed_key(&self.mapping, cells) {
            Typed::Whole(typed) => typed == *key || self.memory.aliases.get(&typed) == Some(key),
            Typed::Blank | Typed::Missing(_) | Typed::Error(_) => false,
        }
    }
}

/// The table does not have the row, or not for this sheet.
fn may_leave(item: &Item) -> bool {
    let leaves = matches!(
        item.plan.sheet,
        Some(SheetChange::Delete | SheetChange::Clear)
    );
    leaves || item.loaded.row.is_none() || !item.loaded.in_filter
}

/// Rows that can do without an anchor of their own, of these and whether they may be deleted.
/// Whatever moves a run of rows moves an anchor: a row that is inserted, deleted or sorted among
/// them, or carried further than to the next anchor. What little is left, a row that somebody
/// carries past a few of its neighbours while a mass of rows is written, is seen in the images and
/// given back; so this is for where images are kept, and not for rows that may be deleted.
fn without_anchors(mut rows: Vec<(u32, bool)>, apart: usize) -> HashSet<u32> {
    rows.sort_unstable();
    let runs = rows.chunk_by(|(row, _), (next, _)| row.saturating_add(1) == *next);
    let long = runs.filter(|run| run.len() > apart);
    let bare = long.flat_map(|run| {
        let last = run.len() - 1;
        let places = run.iter().enumerate();
        let between = places.filter(move |(at, _)| at % apart != 0 && *at != last);
        between.filter(|(_, (_, leaves))| !leaves)
    });
    bare.map(|(_, (row, _))| *row).collect()
}
