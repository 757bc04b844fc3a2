//! Writing cells through anchors.

use std::collections::{HashMap, HashSet};

use engine::effect::{AnchoredRow, MetadataId, SheetOutcome};
use engine::value::Cell;

use super::anchors::{AtAnchors, Settled};
use super::rows::sendable;
use super::{Missing, Nulls, Session, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::range;
use crate::requests::{
    CellData, DataFilter, DataFilterValues, GridCoordinate, Request, RowData, Sent, WriteValues,
};

type WrittenRow = (MetadataId, Vec<(u32, Cell)>);

impl Session {
    pub(super) fn write(
        &self,
        target: &Target,
        rows: &[AnchoredRow],
    ) -> Result<SheetOutcome, Error> {
        sendable(rows.iter().flat_map(|row| &row.cells))?;
        let written = match self.capabilities().nulls {
            Nulls::Cleared => self.write_runs(target, rows)?,
            _ => self.write_through_filters(target, rows)?,
        };
        Ok(SheetOutcome::Written(written))
    }

    fn write_through_filters(
        &self,
        target: &Target,
        rows: &[AnchoredRow],
    ) -> Result<Vec<WrittenRow>, Error> {
        let anchors: Vec<MetadataId> = rows.iter().map(|row| row.anchor).collect();
        let standing = self.standing(target, &anchors)?;
        let error = match self.send_values(target, rows, standing.as_ref()) {
            Ok(answer) => {
                if standing.is_none() && answer.responses.len() < rows.len() {
                    self.learn(|known| known.missing_anchor = Missing::Ignored);
                }
                return Ok(self.written(rows, answer));
            }
            Err(error) => error,
        };
        if standing.is_some()
            || error
                .refusal()
                .is_none_or(|refusal| refusal.http_status != 400)
        {
            return Err(error);
        }
        // Refused for a row that is gone, or for what the rows hold? Only the former is mended by leaving it out.
        let standing: HashSet<MetadataId> = self.find(target, &anchors)?.into_keys().collect();
        if standing.len() == anchors.len() {
            return Err(error);
        }
        let answer = self.send_values(target, rows, Some(&standing))?;
        self.learn(|known| known.missing_anchor = Missing::Refused);
        Ok(self.written(rows, answer))
    }

    fn send_values(
        &self,
        target: &Target,
        rows: &[AnchoredRow],
        standing: Option<&HashSet<MetadataId>>,
    ) -> Result<answers::WrittenValues, Error> {
        let stands =
            |row: &&AnchoredRow| standing.is_none_or(|standing| standing.contains(&row.anchor));
        let data: Vec<DataFilterValues> =
            rows.iter().filter(stands).filter_map(values_of).collect();
        if data.is_empty() {
            return Ok(answers::WrittenValues::default());
        }
        let fields = "responses(updatedRange,updatedCells,dataFilter(developerMetadataLookup(metadataId)),updatedData(range,values))";
        self.client.post(
            Purpose::Write,
            &target.spreadsheet_id,
            "/values:batchUpdateByDataFilter",
            fields,
            &WriteValues::new(data),
        )
    }

    /// What each row shows now, paired by the filter that Google echoes.
    fn written(&self, rows: &[AnchoredRow], answer: answers::WrittenValues) -> Vec<WrittenRow> {
        let mut by_anchor: HashMap<MetadataId, answers::WrittenRange> = answer
            .responses
            .into_iter()
            .map(|response| {
                (
                    response.data_filter.developer_metadata_lookup.metadata_id,
                    response,
                )
            })
            .collect();
        let mut written = Vec::new();
        for row in rows {
            let Some(response) = by_anchor.remove(&row.anchor) else {
                continue;
            };
            let touched = response.updated_cells as usize;
            if has_gap(row) && touched > 0 {
                let nulls = if touched > row.cells.len() {
                    Nulls::Cleared
                } else {
                    Nulls::Skipped
                };
                self.learn(|known| known.nulls = nulls);
            }
            written.push((row.anchor, shown(row, response)));
        }
        written
    }

    /// The same where `null` empties a cell: runs of cells, at rows that are checked in the same batch.
    fn write_runs(&self, target: &Target, rows: &[AnchoredRow]) -> Result<Vec<WrittenRow>, Error> {
        let anchors: Vec<MetadataId> = rows.iter().map(|row| row.anchor).collect();
        let what = AtAnchors {
            anchors: &anchors,
            stamp: None,
            tidy: &[],
            read_back: true,
        };
        let settled = self.at_anchors(target, &what, |places| {
            let placed = rows
                .iter()
                .filter_map(|row| Some((row, *places.get(&row.anchor)?)));
            placed
                .flat_map(|(row, place)| cell_runs(target.sheet_id, place, &row.cells))
                .collect()
        })?;
        let Settled::Applied {
            rows: places,
            applied,
            ..
        } = settled
        else {
            return Ok(Vec::new());
        };
        let mut shown = applied.rows;
        Ok(rows
            .iter()
            .filter_map(|row| {
                let cells = shown.remove(places.get(&row.anchor)?).unwrap_or_default();
                let width = row
                    .cells
                    .iter()
                    .map(|(column, _)| column + 1)
                    .max()
                    .unwrap_or(0);
                Some((row.anchor, numbered(0, cells, width)))
            })
            .collect())
    }
}

/// The row as an array from column 0 to its last changed cell; `None` where nothing changes.
fn values_of(row: &AnchoredRow) -> Option<DataFilterValues> {
    let width = row.cells.iter().map(|(column, _)| column + 1).max()?;
    let mut values = vec![Sent::Untouched; width as usize];
    for (column, cell) in &row.cells {
        values[*column as usize] = Sent::Cell(cell.clone());
    }
    Some(DataFilterValues {
        data_filter: DataFilter::metadata(row.anchor),
        major_dimension: "ROWS",
        values: vec![values],
    })
}

fn has_gap(row: &AnchoredRow) -> bool {
    row.cells
        .iter()
        .map(|(column, _)| *column as usize + 1)
        .max()
        .unwrap_or(0)
        > row.cells.len()
}

fn shown(row: &AnchoredRow, response: answers::WrittenRange) -> Vec<(u32, Cell)> {
    let width = row
        .cells
        .iter()
        .map(|(column, _)| column + 1)
        .max()
        .unwrap_or(0);
    let echo = range::parse(&response.updated_data.range)
        .or_else(|| range::parse(&response.updated_range));
    let first = echo.map_or(0, |echo| echo.first_column);
    let cells = response
        .updated_data
        .values
        .into_iter()
        .next()
        .unwrap_or_default();
    numbered(first, cells.into_iter().map(answers::cell).collect(), width)
}

/// Cells with their columns; those that Google trimmed are empty.
fn numbered(first: u32, cells: Vec<Cell>, width: u32) -> Vec<(u32, Cell)> {
    let end = width.max(first + u32::try_from(cells.len()).unwrap_or(0));
    (first..end)
        .zip(cells.into_iter().chain(std::iter::repeat(Cell::Empty)))
        .collect()
}

/// One request per run of neighbouring cells.
pub(super) fn cell_runs(sheet_id: i32, row: u32, cells: &[(u32, Cell)]) -> Vec<Request> {
    let mut sorted: Vec<&(u32, Cell)> = cells.iter().collect();
    sorted.sort_by_key(|(column, _)| *column);
    sorted
        .chunk_by(|left, right| right.0 == left.0 + 1)
        .filter_map(|run| {
            let start = GridCoordinate {
                sheet_id,
                row_index: row,
                column_index: run.first()?.0,
            };
            let values = run.iter().map(|(_, cell)| CellData::value(cell)).collect();
            Some(Request::UpdateCells {
                rows: vec![RowData { values }],
                fields: "userEnteredValue",
                start,
            })
        })
        .collect()
}
