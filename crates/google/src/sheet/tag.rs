//! Tagging: anchors are put on rows, and the rows are read.

use std::collections::BTreeMap;

use engine::effect::{MetadataId, SeenRow, SheetOutcome, TagRow, TaggedRows};

use super::anchors::anchored;
use super::structure::{Applied, Batch, Sent, runs};
use super::{Session, Target};
use crate::error::Error;

impl Session {
    pub(super) fn tag(
        &self,
        target: &Target,
        rows: &[TagRow],
        read: bool,
        sentinel: MetadataId,
        tidy: &[MetadataId],
    ) -> Result<SheetOutcome, Error> {
        let last = self.tab(target)?.rows.saturating_sub(1);
        let named = || rows.iter().map(|tag| tag.row).chain([last]);
        let mut body = vec![anchored(target.sheet_id, sentinel, last)];
        let tags = rows.iter().filter(|tag| !tag.bare);
        body.extend(tags.map(|tag| anchored(target.sheet_id, tag.anchor, tag.row)));
        let batch = Batch {
            body,
            tidy,
            read_back: match read {
                true => runs(rows.iter().map(|tag| tag.row)),
                false => Vec::new(),
            },
            entered: read,
            ..Batch::default()
        };
        let error = match self.send(target, batch) {
            Ok(Sent::Applied(applied)) => {
                let rows = match read {
                    true if answers_cells(&applied, rows) => in_place(rows, applied),
                    true => self.tagged(target, rows)?,
                    false => Vec::new(),
                };
                let sentinel_row = Some(last);
                return Ok(SheetOutcome::Tagged(TaggedRows { rows, sentinel_row }));
            }
            Ok(Sent::Stamped) => {
                let rows = self.tagged(target, rows)?;
                return Ok(SheetOutcome::Tagged(TaggedRows {
                    rows,
                    sentinel_row: None,
                }));
            }
            Ok(Sent::Refused { error, .. }) => error,
            Err(error) => return Err(self.outdated_rows(target, named(), error)),
        };
        // The anchors may stand all the same: an earlier answer was lost, and ids are unique.
        let tagged = self.tagged(target, rows)?;
        match tagged.is_empty() {
            true => Err(self.outdated_rows(target, named(), error)),
            false => Ok(SheetOutcome::Tagged(TaggedRows {
                rows: tagged,
                sentinel_row: None,
            })),
        }
    }

    pub(super) fn read_rows(&self, target: &Target, rows: &[u32]) -> Result<SheetOutcome, Error> {
        let mut cells = self.read_values(target, rows.iter().copied())?;
        let rows = rows.iter().map(|row| cells.remove(row).unwrap_or_default());
        Ok(SheetOutcome::Rows(rows.collect()))
    }

    /// The rows where their anchors stand now. Bare ones are known only where none of the others
    /// has moved.
    fn tagged(&self, target: &Target, rows: &[TagRow]) -> Result<Vec<SeenRow>, Error> {
        let anchored = rows.iter().filter(|tag| !tag.bare);
        let places: BTreeMap<MetadataId, u32> = anchored.map(|tag| (tag.anchor, tag.row)).collect();
        let anchors: Vec<MetadataId> = places.keys().copied().collect();
        if places.len() < rows.len() && self.find(target, &anchors)? == places {
            let applied = Applied {
                rows: self.read_values(target, rows.iter().map(|tag| tag.row))?,
                computed: self.computed(target, rows.iter().map(|tag| tag.row))?,
                ..Applied::default()
            };
            return Ok(in_place(rows, applied));
        }
        let found = self.read_anchored(target, &anchors)?;
        let mut computed = self.computed(target, found.iter().map(|row| row.row))?;
        let found = found.into_iter().map(|row| SeenRow {
            anchor: row.anchor,
            cells: row.cells,
            computed: computed.remove(&row.row).unwrap_or_default(),
        });
        Ok(found.collect())
    }
}

fn in_place(rows: &[TagRow], mut applied: Applied) -> Vec<SeenRow> {
    let row = |tag: &TagRow| SeenRow {
        anchor: tag.anchor,
        cells: applied.rows.remove(&tag.row).unwrap_or_default(),
        computed: applied.computed.remove(&tag.row).unwrap_or_default(),
    };
    rows.iter().map(row).collect()
}

/// False where rows that must hold something (they are being changed) came back without a single
/// cell: then the answer was not what it should be, and the anchors are asked instead.
fn answers_cells(applied: &Applied, rows: &[TagRow]) -> bool {
    rows.is_empty() || !applied.rows.is_empty()
}
