//! Writing cells of tagged rows: guard, image and cells in one batch.

use std::collections::BTreeMap;

use engine::effect::{AnchoredRow, Images, MetadataId, SheetOutcome, Stamp, TagRow, WrittenRow};
use engine::value::Cell;

use super::anchors::{AtAnchors, Guard, Settled, Tagged};
use super::rows::sendable;
use super::structure::runs;
use super::{Session, Target};
use crate::error::Error;
use crate::requests::{CellData, GridCoordinate, Request, RowData};

impl Session {
    pub(super) fn write(
        &self,
        target: &Target,
        rows: &[AnchoredRow],
        sentinel: MetadataId,
        images: &Images,
        stamp: &Stamp,
    ) -> Result<SheetOutcome, Error> {
        sendable(rows.iter().flat_map(|row| &row.cells))?;
        let tags: Vec<TagRow> = rows
            .iter()
            .map(|row| TagRow {
                row: row.row,
                anchor: row.anchor,
            })
            .collect();
        let cells: BTreeMap<MetadataId, &[(u32, Cell)]> = rows
            .iter()
            .map(|row| (row.anchor, row.cells.as_slice()))
            .collect();
        let what = AtAnchors {
            anchors: Guard::Tagged(Tagged {
                rows: &tags,
                sentinel,
            }),
            stamp: Some(stamp),
            tidy: &[],
            read_back: true,
            images: None,
            drops: true,
        };
        let settled = self.with_images(target, images, 0, rows.len(), |place| {
            let what = AtAnchors {
                images: place.map(|place| place.rows.clone()),
                ..what.clone()
            };
            let settled = self.at_anchors(target, &what, |rows| {
                let at = ascending(rows);
                let placed: Vec<(u32, &[(u32, Cell)])> = by_row(rows)
                    .iter()
                    .filter_map(|(row, anchor)| Some((*row, *cells.get(anchor)?)))
                    .collect();
                let mut requests = Vec::new();
                if let Some(place) = place {
                    requests.extend(place.cleared());
                    requests.extend(place.before(target.sheet_id, &at, stamp));
                }
                requests.extend(cell_blocks(target.sheet_id, &placed));
                if let Some(place) = place {
                    requests.extend(place.after(target.sheet_id, &at));
                }
                requests
            })?;
            match settled {
                // Nobody saw the answer.
                Settled::Applied { applied, .. } if applied.replies.is_empty() => Ok(None),
                Settled::Applied {
                    rows: places,
                    mut applied,
                    ..
                } => {
                    let at = ascending(&places);
                    let mut before = place
                        .map(|place| place.shown(&mut applied, &at))
                        .unwrap_or_default();
                    let mut after = applied.rows;
                    let expected = |(row, anchor): (&u32, &MetadataId)| {
                        let mut cells = cells.get(anchor).copied().unwrap_or_default().iter();
                        !after.contains_key(row) && cells.any(|(_, cell)| *cell != Cell::Empty)
                    };
                    if by_row(&places).iter().any(expected) {
                        // The answer came without cells.
                        for run in runs(at) {
                            let read = self.read_rows(target, run.start, run.end)?;
                            after.extend(run.zip(read));
                        }
                    }
                    let rows = places.into_iter().map(|(anchor, row)| WrittenRow {
                        anchor,
                        row,
                        before: before.remove(&row),
                        after: after.remove(&row).unwrap_or_default(),
                    });
                    Ok(Some(rows.collect()))
                }
                Settled::NoneLeft => Ok(Some(Vec::new())),
                Settled::Stamped => Ok(None),
            }
        })?;
        match settled {
            Some(written) => Ok(SheetOutcome::Written(written)),
            None => self.stamped_outcome(target, stamp),
        }
    }
}

fn by_row(rows: &BTreeMap<MetadataId, u32>) -> BTreeMap<u32, MetadataId> {
    rows.iter().map(|(anchor, row)| (*row, *anchor)).collect()
}

/// The rows where these anchors stand, each once.
pub(super) fn ascending(rows: &BTreeMap<MetadataId, u32>) -> Vec<u32> {
    by_row(rows).into_keys().collect()
}

/// One request per block: neighbouring rows that change in the same columns, by runs of neighbouring columns. Rows ascend.
pub(super) fn cell_blocks<Cells: AsRef<[(u32, Cell)]>>(
    sheet_id: i32,
    rows: &[(u32, Cells)],
) -> Vec<Request> {
    let rows: Vec<(u32, BTreeMap<u32, &Cell>)> = rows
        .iter()
        .map(|(row, cells)| {
            let cells = cells.as_ref().iter();
            (*row, cells.map(|(column, cell)| (*column, cell)).collect())
        })
        .collect();
    let alike = |one: &(u32, BTreeMap<u32, &Cell>), next: &(u32, BTreeMap<u32, &Cell>)| {
        next.0 == one.0 + 1 && one.1.keys().eq(next.1.keys())
    };
    let mut requests = Vec::new();
    for block in rows.chunk_by(alike) {
        let Some((first, cells)) = block.first() else {
            continue;
        };
        let columns: Vec<u32> = cells.keys().copied().collect();
        for run in columns.chunk_by(|left, right| *right == left + 1) {
            let Some(column_index) = run.first().copied() else {
                continue;
            };
            let values = |cells: &BTreeMap<u32, &Cell>| RowData {
                values: run
                    .iter()
                    .filter_map(|column| cells.get(column))
                    .map(|cell| CellData::value(cell))
                    .collect(),
            };
            requests.push(Request::UpdateCells {
                rows: block.iter().map(|(_, cells)| values(cells)).collect(),
                fields: "userEnteredValue",
                start: GridCoordinate {
                    sheet_id,
                    row_index: *first,
                    column_index,
                },
            });
        }
    }
    requests
}
