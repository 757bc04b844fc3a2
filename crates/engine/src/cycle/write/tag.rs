//! The rows of a chunk are tagged, and what they hold by then is taken over.

use std::collections::{HashMap, HashSet};

use crate::cycle::compare::diff::Sighting;
use crate::cycle::item::Item;
use crate::cycle::read::formula_text::{CANDIDATES, fills, place};
use crate::cycle::read::formulas::leaves;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Computed, Entered, TagRow};
use crate::reconcile::SheetChange;
use crate::tab::Tagged;
use crate::value::Cell;

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

    /// Of a mass of rows that goes through in several chunks all are tagged by one request, as
    /// many as it has room for, if most of those in the first chunk are to be tagged.
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
                let tagged = self.tab.read_tagged(&self.mapping, tags).await?;
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
        let look = self.tab.since_last_look();
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

    /// Rows whose formula fills rows below, too.
    async fn note_feeding(
        &mut self,
        items: &mut [Item],
        wanted: &[usize],
        rows: &[u32],
        tagged: &[Tagged],
    ) -> Result<(), Stop> {
        let read: HashMap<&u32, &Tagged> = rows.iter().zip(tagged).collect();
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
                    self.ending.read_again = true;
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
        let Some(end) = self.tab.end().filter(|_| self.round.snapshot.is_some()) else {
            return Ok(None);
        };
        let below = row.saturating_add(1)..end;
        let cells = below.take(CANDIDATES).map(|below| (below, column));
        let details = self.inspect(cells.collect()).await?;
        let mut shown = details.iter().filter(|detail| detail.value != Cell::Empty);
        let first = shown.next();
        Ok(Some(
            first.is_some_and(|detail| detail.entered == Entered::Nothing),
        ))
    }

    fn bare_rows(&self, items: &[Item], wanted: &[usize]) -> HashSet<u32> {
        let items = wanted.iter().filter_map(|index| items.get(*index));
        let rows = items.filter_map(|item| Some((item.row?, may_leave(item))));
        self.tab.without_anchors(rows.collect())
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
