//! Anchors: rows are tagged and read back in one request, and written through their tags.

use std::collections::HashMap;

use super::header::{self, Found};
use super::io::{Stop, mismatch};
use super::item::Item;
use super::run::Cycle;
use super::snapshot::{Typed, typed_key};
use crate::codec::hash_cells;
use crate::effect::{MetadataId, Place, SheetEffect, SheetOutcome, TagRow};
use crate::value::{Cell, Key};

impl Cycle {
    pub(super) fn anchor(&mut self) -> MetadataId {
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        id
    }

    /// Tag these rows and the header, and return the rows' mapped cells as they stand now. A header that moved outdates the plan.
    pub(super) async fn tag_rows(
        &mut self,
        rows: &[u32],
    ) -> Result<Vec<(MetadataId, Option<Vec<Cell>>)>, Stop> {
        self.land().await?;
        let header_anchor = self.anchor();
        let mut tags = vec![TagRow {
            row: self.mapping.header_row.saturating_sub(1),
            anchor: header_anchor,
        }];
        for row in rows {
            let anchor = self.anchor();
            tags.push(TagRow { row: *row, anchor });
        }
        let sentinel = self.anchor();
        let tidy: Vec<MetadataId> = self
            .memory
            .anchors
            .iter()
            .chain(&self.live)
            .copied()
            .collect();
        let effect = SheetEffect::Tag {
            rows: tags.clone(),
            sentinel,
            tidy: tidy.clone(),
        };
        self.sentinel = sentinel;
        self.tagged_at = self.io.now();
        let answer = self.io.sheet(effect).await;
        // Whatever came of it: removing an anchor that is not there does no harm, leaving one there does.
        self.memory.anchors.append(&mut self.live);
        self.live.extend(tags.iter().map(|tag| tag.anchor));
        self.live.push(sentinel);
        let tagged = match answer? {
            SheetOutcome::Tagged(tagged) => tagged,
            _ => return Err(mismatch().into()),
        };
        self.memory.anchors.retain(|anchor| !tidy.contains(anchor));
        let mut cells: HashMap<MetadataId, Vec<Cell>> = tagged.into_iter().collect();
        let header = cells.remove(&header_anchor).unwrap_or_default();
        let layout = match header::find(&self.mapping, &header) {
            Found::Whole(layout) if self.memory.layout.as_ref() == Some(&layout) => layout,
            _ => {
                self.memory.layout = None;
                return Err(Stop::Outdated);
            }
        };
        let rows = tags.iter().skip(1);
        Ok(rows
            .map(|tag| {
                (
                    tag.anchor,
                    cells.remove(&tag.anchor).map(|cells| layout.mapped(&cells)),
                )
            })
            .collect())
    }

    /// Tag the rows of these items and take over the cells that they hold by now. Returns which items changed; rows that are no
    /// longer theirs are dropped for a new reading.
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
        let tagged = self.tag_rows(&rows).await?;
        let mut reading = self.reading;
        let mut changed = Vec::new();
        for (index, (anchor, cells)) in wanted.iter().zip(tagged) {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let Some(cells) = cells.filter(|cells| self.is_row_of(&item.key, cells)) else {
                item.dropped = true;
                self.stale = true;
                continue;
            };
            item.anchor = Some(anchor);
            if item.cells.as_ref() != Some(&cells) {
                if self.end == 0 {
                    // Without a reading of all rows, what the plan is made from.
                    reading = reading.rotate_left(5) ^ hash_cells(&cells) as u64;
                }
                item.cells = Some(cells);
                item.raw = 0;
                changed.push(*index);
            }
        }
        self.reading = reading;
        Ok(changed)
    }

    pub(super) fn is_noted_row(&self, place: &Place, cells: &[Cell]) -> bool {
        // A row that is named by its number may have got another key since.
        place.sheet_row.is_some()
            || place
                .key
                .as_ref()
                .is_none_or(|key| self.is_row_of(key, cells))
    }

    pub(super) fn is_row_of(&self, key: &Key, cells: &[Cell]) -> bool {
        match typed_key(&self.mapping, cells) {
            Typed::Whole(typed) => typed == *key || self.memory.aliases.get(&typed) == Some(key),
            Typed::Blank | Typed::Missing(_) => false,
        }
    }
}
