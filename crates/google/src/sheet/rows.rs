//! Whole rows: new ones and deleted ones, under a stamp.

use std::collections::HashSet;

use engine::effect::{Deleted, Images, MetadataId, SheetOutcome, Stamp};
use engine::value::Cell;

use super::anchors::{AtAnchors, Guard, Settled, Tagged};
use super::room::Growth;
use super::structure::{Batch, Sent, joined};
use super::write::ascending;
use super::{Session, Target};
use crate::error::Error;
use crate::requests::{
    BooleanCondition, CellData, DataValidationRule, Dimension, DimensionRange, GridCoordinate,
    GridRange, Request, RowData,
};

impl Session {
    pub(super) fn insert(
        &self,
        target: &Target,
        at: u32,
        rows: &[Vec<(u32, Cell)>],
        stamp: &Stamp,
        tidy: &[MetadataId],
    ) -> Result<SheetOutcome, Error> {
        sendable(rows.iter().flatten())?;
        let count =
            u32::try_from(rows.len()).map_err(|error| Error::Unsendable(error.to_string()))?;
        let new = at..at + count;
        let growth = Growth {
            rows: count,
            columns: 0,
        };
        self.check_room(target, growth)?;
        let mut body = vec![Request::InsertDimension {
            range: DimensionRange::rows(target.sheet_id, new.start, new.end),
            inherit_from_before: self.inherits(target, at)?,
        }];
        body.extend(filled(target.sheet_id, at, rows));
        body.extend(
            target
                .checkbox_columns
                .iter()
                .map(|column| checkboxes(target.sheet_id, new.start, new.end, *column)),
        );
        let batch = Batch {
            stamp: Some(stamp),
            body,
            tidy,
            read_back: vec![new.clone()],
            columns: None,
            images: None,
            entered: false,
        };
        let applied = match self.send(target, batch)? {
            Sent::Applied(applied) => applied,
            Sent::Stamped => return self.stamped_outcome(target, stamp),
            Sent::Refused { error, .. } => {
                let error = self.for_want_of_room(target, growth, error);
                // They go below a row that is there.
                return Err(self.outdated_rows(target, at.checked_sub(1).into_iter(), error));
            }
        };
        let mut shown = applied.rows;
        let holds_something =
            |row: &[(u32, Cell)]| row.iter().any(|(_, cell)| *cell != Cell::Empty);
        let missing = |(at, row): (u32, &Vec<_>)| holds_something(row) && !shown.contains_key(&at);
        if new.clone().zip(rows).any(missing) {
            let read = self.read_span(target, new.start, Some(new.end))?;
            shown = new.clone().zip(read).collect();
        }
        Ok(SheetOutcome::Inserted(
            new.map(|row| shown.remove(&row).unwrap_or_default())
                .collect(),
        ))
    }

    /// Whether new rows take after the row above. At the very end of the tab they must, else Google
    /// refuses (G-ROWS-1); right below the header they must not, or they would look like it
    /// (G-ROWS-2).
    fn inherits(&self, target: &Target, at: u32) -> Result<bool, Error> {
        Ok(at > 0 && (at != target.header_row || at >= self.tab(target)?.rows))
    }

    /// Rows go by their anchors, wherever they stand by now: `TagRow::row` is where they were.
    pub(super) fn delete(
        &self,
        target: &Target,
        tagged: &Tagged,
        images: &Images,
        stamp: &Stamp,
        tidy: &[MetadataId],
    ) -> Result<SheetOutcome, Error> {
        let anchors: Vec<MetadataId> = tagged.rows.iter().map(|tag| tag.anchor).collect();
        // Anchors go with their rows; dropping them as well would refuse the batch where what is
        // not there cannot be dropped.
        let going: HashSet<MetadataId> = anchors.iter().copied().collect();
        let tidy: Vec<MetadataId> = tidy
            .iter()
            .copied()
            .filter(|id| !going.contains(id))
            .collect();
        let tab = self.tab(target)?;
        // Whole rows, so that one that must come back comes with all its cells.
        let width = tab.columns;
        self.with_images(target, images, width, anchors.len(), |place| {
            let what = AtAnchors {
                anchors: Guard::Tagged(*tagged),
                stamp: Some(stamp),
                tidy: &tidy,
                read_back: false,
                columns: None,
                images: place.map(|place| place.rows.clone()),
                drops: false,
            };
            let settled = self.at_anchors(target, &what, |rows| {
                let places = ascending(rows);
                let mut requests = Vec::new();
                if let Some(place) = place {
                    requests.extend(place.cleared());
                    requests.extend(place.stamped(stamp, places.len()));
                    requests.extend(place.before(target.sheet_id, &places));
                }
                // Google refuses to delete all rows that are not frozen (G-ROWS-4).
                if places.len() as u64 + u64::from(tab.frozen_rows) >= u64::from(tab.rows) {
                    requests.push(Request::AppendDimension {
                        sheet_id: target.sheet_id,
                        dimension: Dimension::Rows,
                        length: 1,
                    });
                }
                // Bottom-up: each deletion moves what is below it (G-ROWS-3).
                requests.extend(joined(&places, 0).into_iter().rev().map(|run| {
                    Request::DeleteDimension {
                        range: DimensionRange::rows(target.sheet_id, run.start, run.end),
                    }
                }));
                requests
            })?;
            match settled {
                // Nobody saw the answer.
                Settled::Applied { applied, .. } if applied.replies.is_empty() => {
                    self.stamped_outcome(target, stamp)
                }
                // An anchor that is nowhere went with its row: what was asked for has happened
                // already.
                Settled::Applied {
                    suspect,
                    rows,
                    mut applied,
                    ..
                } => {
                    let places = ascending(&rows);
                    let mut before = place
                        .map(|place| place.shown(&mut applied, &places))
                        .unwrap_or_default();
                    let before = rows
                        .into_iter()
                        .filter_map(|(anchor, row)| Some((anchor, before.remove(&row)?.before)));
                    Ok(SheetOutcome::Deleted(Deleted {
                        gone: anchors.clone(),
                        suspect,
                        before: before.collect(),
                        ..Deleted::default()
                    }))
                }
                Settled::NoneLeft => Ok(SheetOutcome::Deleted(Deleted {
                    gone: anchors.clone(),
                    ..Deleted::default()
                })),
                Settled::Stamped => self.stamped_outcome(target, stamp),
            }
        })
    }
}

/// The cells of new rows. They are blank, so the whole rectangle can be written at once.
fn filled(sheet_id: i32, at: u32, rows: &[Vec<(u32, Cell)>]) -> Option<Request> {
    let first = rows.iter().flatten().map(|(column, _)| *column).min()?;
    let rows = rows.iter().map(|row| {
        let width = row
            .iter()
            .map(|(column, _)| column - first + 1)
            .max()
            .unwrap_or(0);
        let mut values = vec![CellData::default(); width as usize];
        for (column, cell) in row {
            values[(column - first) as usize] = CellData::value(cell);
        }
        RowData { values }
    });
    Some(Request::UpdateCells {
        rows: rows.collect(),
        fields: "userEnteredValue",
        start: GridCoordinate {
            sheet_id,
            row_index: at,
            column_index: first,
        },
    })
}

fn checkboxes(sheet_id: i32, first: u32, end: u32, column: u32) -> Request {
    Request::SetDataValidation {
        range: GridRange {
            sheet_id,
            start_row_index: Some(first),
            end_row_index: Some(end),
            start_column_index: Some(column),
            end_column_index: Some(column + 1),
        },
        rule: DataValidationRule {
            condition: BooleanCondition { kind: "BOOLEAN" },
            show_custom_ui: true,
        },
    }
}

/// JSON has no NaN and no infinity: serde_json would write `null`, which leaves a cell as it is.
pub(super) fn sendable<'a>(cells: impl IntoIterator<Item = &'a (u32, Cell)>) -> Result<(), Error> {
    for (column, cell) in cells {
        if matches!(cell, Cell::Number(number) if !number.is_finite()) {
            return Err(Error::Unsendable(format!(
                "column {} holds a number that JSON cannot carry",
                column + 1
            )));
        }
    }
    Ok(())
}
