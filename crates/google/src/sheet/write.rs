//! Writing cells of tagged rows: guard, image and cells in one batch.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use engine::effect::{
    AnchoredRow, Image, Images, MetadataId, Sentinel, SheetOutcome, Stamp, TagRow, WrittenRow,
};
use engine::value::Cell;

use super::anchors::{AtAnchors, Guard, Settled, Tagged};
use super::images::Place;
use super::rows::sendable;
use super::structure::Applied;
use super::{Session, Target};
use crate::error::Error;
use crate::requests::{CellData, GridCoordinate, Request, RowData};

/// What is to be written.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub rows: &'a [AnchoredRow],
    /// Their anchors stay.
    pub keeps: bool,
    pub sentinel: Sentinel,
}

impl Session {
    pub(super) fn write(
        &self,
        target: &Target,
        what: Written,
        images: &Images,
        stamp: &Stamp,
    ) -> Result<SheetOutcome, Error> {
        let Written {
            rows,
            keeps,
            sentinel,
        } = what;
        sendable(rows.iter().flat_map(|row| &row.cells))?;
        let tags: Vec<TagRow> = rows
            .iter()
            .map(|row| TagRow {
                row: row.row,
                anchor: row.anchor,
                bare: row.bare,
            })
            .collect();
        let anchors = Guard::Tagged(Tagged {
            rows: &tags,
            sentinel,
        });
        let settled = self.with_images(target, images, 0, rows.len(), |place| {
            let what = AtAnchors {
                anchors,
                stamp: Some(stamp),
                tidy: &[],
                read_back: true,
                // An image shows the whole row; that it is this row's is told by the key.
                columns: place.and_then(|_| span(&images.key)),
                images: place.map(|place| place.rows.clone()),
                drops: !keeps,
            };
            let settled = self.at_anchors(target, &what, |anchors| {
                let placed = placed(rows, anchors);
                let at: Vec<u32> = placed.keys().copied().collect();
                let cells = placed.iter().map(|(row, one)| (*row, one.cells.as_slice()));
                let mut requests = Vec::new();
                if let Some(place) = place {
                    requests.extend(place.cleared());
                    requests.extend(match keeps {
                        true => place.named(stamp, placed.values().map(|row| row.anchor)),
                        false => place.stamped(stamp, at.len()),
                    });
                    requests.extend(place.before(target.sheet_id, &at));
                }
                requests.extend(cell_blocks(target.sheet_id, &cells.collect::<Vec<_>>()));
                if let Some(place) = place {
                    requests.extend(place.after(target.sheet_id, &at));
                }
                requests
            })?;
            match settled {
                // Nobody saw the answer.
                Settled::Applied { applied, .. } if applied.replies.is_empty() => Ok(None),
                Settled::Applied {
                    rows: anchors,
                    applied,
                    gone,
                    ..
                } => {
                    let placed = placed(rows, &anchors);
                    let mut written = self.written(target, &placed, *applied, place, images)?;
                    for row in &mut written {
                        row.stood = !gone.contains(&row.anchor);
                    }
                    Ok(Some(written))
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

    /// What the rows held and hold: by their images where these have the rows' keys, else as they
    /// are read now.
    fn written(
        &self,
        target: &Target,
        placed: &BTreeMap<u32, &AnchoredRow>,
        mut applied: Applied,
        place: Option<&Place>,
        images: &Images,
    ) -> Result<Vec<WrittenRow>, Error> {
        let at: Vec<u32> = placed.keys().copied().collect();
        let mut kept = place.map_or_else(HashMap::new, |place| place.shown(&mut applied, &at));
        let mut after = applied.rows;
        let shows = |row: &u32, image: &Image| {
            let cells = after.get(row).map(Vec::as_slice).unwrap_or_default();
            let cell = |cells: &[Cell], at: u32| cells.get(at as usize).cloned();
            let empty = |cell: Option<Cell>| cell.unwrap_or(Cell::Empty);
            let mut key = images.key.iter();
            key.all(|at| empty(cell(cells, *at)) == empty(cell(&image.after, *at)))
        };
        let whole = |row: &u32| match place {
            Some(_) => kept.get(row).is_some_and(|image| shows(row, image)),
            // Without images the rows themselves were asked for; where one that was filled is
            // blank, the answer came without cells.
            None => {
                let mut cells = placed[row].cells.iter();
                after.contains_key(row) || cells.all(|(_, cell)| *cell == Cell::Empty)
            }
        };
        let unread: Vec<u32> = at.iter().copied().filter(|row| !whole(row)).collect();
        if place.is_some() {
            let shown = kept.iter().map(|(row, image)| (*row, image.after.clone()));
            after = shown.collect();
        }
        if !unread.is_empty() {
            let mut read = self.read_values(target, unread.iter().copied())?;
            after.extend(
                unread
                    .iter()
                    .map(|row| (*row, read.remove(row).unwrap_or_default())),
            );
        }
        let rows = placed.iter().map(|(row, sent)| WrittenRow {
            anchor: sent.anchor,
            row: *row,
            stood: true,
            before: kept.remove(row).map(|image| image.before),
            after: after.remove(row).unwrap_or_default(),
        });
        Ok(rows.collect())
    }
}

/// The rows by where they stand. Bare ones are where they were tagged: the anchors around them are.
fn placed<'a>(
    rows: &'a [AnchoredRow],
    anchors: &BTreeMap<MetadataId, u32>,
) -> BTreeMap<u32, &'a AnchoredRow> {
    let place = |row: &AnchoredRow| match row.bare {
        true => Some(row.row),
        false => anchors.get(&row.anchor).copied(),
    };
    rows.iter()
        .filter_map(|row| Some((place(row)?, row)))
        .collect()
}

/// From the first of these columns to the last.
fn span(columns: &[u32]) -> Option<Range<u32>> {
    let (first, last) = (columns.iter().min()?, columns.iter().max()?);
    Some(*first..last + 1)
}

fn by_row(rows: &BTreeMap<MetadataId, u32>) -> BTreeMap<u32, MetadataId> {
    rows.iter().map(|(anchor, row)| (*row, *anchor)).collect()
}

/// The rows where these anchors stand, each once.
pub(super) fn ascending(rows: &BTreeMap<MetadataId, u32>) -> Vec<u32> {
    by_row(rows).into_keys().collect()
}

/// One request per block: neighbouring rows that change in the same columns, by runs of
/// neighbouring columns. Rows ascend.
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
