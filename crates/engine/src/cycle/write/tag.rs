//! The rows of a batch are tagged, and what they hold by then is taken over.

use std::collections::{HashMap, HashSet};

use crate::cycle::compare::diff::Sighting;
use crate::cycle::item::Item;
use crate::cycle::read::formula_text::place;
use crate::cycle::read::formulas::leaves;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Computed, TagRow};
use crate::reconcile::SheetChange;
use crate::tab::Tagged;

/// From so many rows on they are read by a request of their own.
const MANY: usize = 1_000;

impl Cycle {
    /// Put an anchor on each of these rows, and return them as they stand now.
    pub(crate) async fn tag_rows(&mut self, rows: &[u32]) -> Result<Vec<Tagged>, Stop> {
        self.tag_some(rows, &HashSet::new()).await
    }

    /// The same for rows of which some, `bare`, do without an anchor.
    async fn tag_some(&mut self, rows: &[u32], bare: &HashSet<u32>) -> Result<Vec<Tagged>, Stop> {
        let values = rows.len() >= MANY && !self.has_formulas().await?;
        let tagged = self.tab.tag(&self.mapping, rows, bare, values).await?;
        Ok(tagged)
    }

    /// Of a mass of rows that goes through in several batches all are tagged by one request, as
    /// many as it has room for, if most of those in the first batch are to be tagged.
    pub(crate) async fn tag_ahead(
        &mut self,
        items: &[Item],
        wanted: &[usize],
        rest: &[Sighting],
    ) -> Result<(), Stop> {
        let needless = rest.is_empty() || self.tagged_ahead(items, wanted).is_some();
        if needless || wanted.len() * 2 < items.len() || !self.tab.is_sparse() {
            return Ok(());
        }
        if self.has_formulas().await? {
            return Ok(());
        }
        let now = wanted.iter().filter_map(|index| items.get(*index));
        let now = now.filter_map(|item| Some((item.row?, may_leave(item))));
        let later = rest.iter().filter_map(|sighting| sighting.row);
        let later = later.map(|row| (self.tab.moved(row), false));
        let rows: Vec<(u32, bool)> = now.chain(later).collect();
        let bare = self.tab.without_anchors(rows.clone());
        let rows: Vec<u32> = rows.into_iter().map(|(row, _)| row).collect();
        self.tab.tag_ahead(&rows, &bare).await?;
        Ok(())
    }

    /// The tags that these rows have already; none where one of them has none, or none of its own
    /// and may be deleted.
    fn tagged_ahead(&self, items: &[Item], wanted: &[usize]) -> Option<Vec<TagRow>> {
        let items = wanted.iter().filter_map(|index| items.get(*index));
        let tag = |item: &Item| {
            let tag = self.tab.tagged_ahead(item.row?)?;
            (!tag.bare || !may_leave(item)).then(|| tag.clone())
        };
        items.map(tag).collect()
    }

    /// Tag the rows of these items and take over the cells that they hold by now. Returns which
    /// items changed; rows that are no longer theirs are dropped for a new reading.
    pub(crate) async fn tag(
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
                let bare = tags.iter().filter(|tag| tag.bare);
                let bare = bare.map(|tag| tag.row).collect();
                (bare, self.tab.read_tagged(&self.mapping, tags).await?)
            }
            None => {
                let mut bare = self.bare_rows(items, wanted);
                let below = self.rows_below(items, wanted, &rows);
                bare.extend(&below);
                let rows: Vec<u32> = rows.into_iter().chain(below).collect();
                let tagged = self.tag_some(&rows, &bare).await?;
                note_feeding(items, wanted, &rows, &tagged);
                (bare, tagged)
            }
        };
        let look = self.tab.last_look();
        let mut changed = Vec::new();
        for (index, tagged) in wanted.iter().zip(tagged) {
            let Tagged {
                anchor,
                cells,
                computed,
            } = tagged;
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let Some(cells) = cells.filter(|cells| self.is_row_of(&item.key, cells)) else {
                item.dropped = true;
                self.ending.read_again = true;
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
        let end = self.tab.furthest_end();
        let going = wanted.iter().filter_map(|index| items.get(*index));
        let going = going.filter(|item| leaves(item) || item.cells.is_none() && may_leave(item));
        let below = going.filter_map(|item| item.row?.checked_add(1));
        let mut below: Vec<u32> = below
            .filter(|row| *row < end && !rows.contains(row))
            .collect();
        below.dedup();
        below
    }

    fn bare_rows(&self, items: &[Item], wanted: &[usize]) -> HashSet<u32> {
        let items = wanted.iter().filter_map(|index| items.get(*index));
        let rows = items.filter_map(|item| Some((item.row?, may_leave(item))));
        self.tab.without_anchors(rows.collect())
    }
}

/// Rows whose formula fills the row below, too.
fn note_feeding(items: &mut [Item], wanted: &[usize], rows: &[u32], tagged: &[Tagged]) {
    let read: HashMap<&u32, &Tagged> = rows.iter().zip(tagged).collect();
    for index in wanted {
        let Some(item) = items.get_mut(*index) else {
            continue;
        };
        let Some(row) = item.row else { continue };
        let below = row.checked_add(1).and_then(|below| read.get(&below));
        let (Some(own), Some(below)) = (read.get(&row), below) else {
            continue;
        };
        let feeds = |at: &u32| {
            own.computed.contains(&(*at, Computed::Here))
                && below.computed.contains(&(*at, Computed::Elsewhere))
        };
        let mut columns = own.computed.iter().map(|(at, _)| *at);
        item.feeds = columns.find(feeds).map(|column| place(row, column));
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
