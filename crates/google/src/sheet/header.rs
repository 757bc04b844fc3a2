//! The header of a new mapping, and the number formats of its columns.

use std::ops::Range;

use engine::effect::{ColumnFormat, Give, SheetOutcome, Shows, Stamp};
use engine::mapping::Kind;
use engine::value::Cell;

use super::room::Growth;
use super::structure::{Batch, Sent};
use super::write::cell_blocks;
use super::{Session, Tab, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{
    CellData, CellFormat, DataFilter, Dimension, GridRange, NumberFormat, Request, Search,
};

impl Session {
    pub(super) fn write_header(
        &self,
        target: &Target,
        row: u32,
        written: &[(u32, String)],
        formats: &[ColumnFormat],
        stamp: &Stamp,
    ) -> Result<SheetOutcome, Error> {
        let tab = self.fresh_tab(target)?;
        let columns = written
            .iter()
            .map(|(column, _)| *column)
            .chain(formats.iter().map(|format| format.at));
        let last = columns.max().unwrap_or(0);
        let growth = Growth {
            rows: (row + 2).saturating_sub(tab.rows),
            columns: last.saturating_add(1).saturating_sub(tab.columns),
        };
        self.check_room(target, growth)?;
        let mut body = grown(&tab, growth);
        let cells: Vec<(u32, Cell)> = written
            .iter()
            .map(|(column, text)| (*column, Cell::Text(text.into())))
            .collect();
        body.extend(cell_blocks(target.sheet_id, &[(row, &cells)]));
        for column in formats {
            let format = number_format(target, column);
            match (column.give, &format) {
                // It has none yet.
                (Give::First | Give::WhereNone, None) => {}
                (Give::First | Give::Anew, _) => {
                    body.push(formatted(target, column.at, row + 1..u32::MAX, format));
                }
                (Give::WhereNone, Some(_)) => {
                    let free = self.unformatted(target, row + 1..tab.rows, column.at)?;
                    let parts = free
                        .into_iter()
                        .map(|rows| formatted(target, column.at, rows, format.clone()));
                    body.extend(parts);
                }
            }
        }
        if body.is_empty() {
            return Ok(SheetOutcome::Done);
        }
        match self.send(
            target,
            Batch {
                stamp: Some(stamp),
                body,
                ..Batch::default()
            },
        )? {
            Sent::Applied(_) => Ok(SheetOutcome::Done),
            Sent::Stamped => self.stamped_outcome(target, stamp),
            Sent::Refused { error, .. } => Err(self.for_want_of_room(target, growth, error)),
        }
    }
}

/// A column that is formatted in more pieces than this is somebody's work; only what lies below it
/// is given a format.
const MOST_PIECES: usize = 100;

impl Session {
    /// Where a column has neither number format nor number in these rows, the last of the tab, and
    /// below them.
    fn unformatted(
        &self,
        target: &Target,
        rows: Range<u32>,
        column: u32,
    ) -> Result<Vec<Range<u32>>, Error> {
        if rows.is_empty() {
            return Ok(between(&rows, &[]));
        }
        let place = DataFilter::GridRange(GridRange {
            sheet_id: target.sheet_id,
            start_row_index: Some(rows.start),
            start_column_index: Some(column),
            end_column_index: Some(column + 1),
            ..GridRange::default()
        });
        let spreadsheet: answers::Spreadsheet = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            ":getByDataFilter",
            "sheets(properties(sheetId),data(startRow,rowData(values(effectiveValue(numberValue),userEnteredFormat(numberFormat(type))))))",
            &Search(vec![place]),
        )?;
        let mut taken = Vec::new();
        for block in spreadsheet.sheet(target.sheet_id)?.data {
            for (row, data) in (block.start_row..).zip(block.row_data) {
                // A bare number is none of ours: with a format it would pass for a date that nobody
                // typed.
                let taken_by = |cell: &answers::CellData| {
                    cell.has_number_format() || matches!(cell.cell(), Cell::Number(_))
                };
                if data.values.first().is_some_and(taken_by) {
                    taken.push(row);
                }
            }
        }
        let mut free = between(&rows, &taken);
        if free.len() > MOST_PIECES {
            free.retain(|piece| piece.end == u32::MAX);
        }
        Ok(free)
    }
}

/// What makes room for the header and one row below it (G-ROWS-5).
fn grown(tab: &Tab, growth: Growth) -> Vec<Request> {
    let missing = |length: u32, dimension| {
        (length > 0).then_some(Request::AppendDimension {
            sheet_id: tab.sheet_id,
            dimension,
            length,
        })
    };
    let rows = missing(growth.rows, Dimension::Rows);
    rows.into_iter()
        .chain(missing(growth.columns, Dimension::Columns))
        .collect()
}

/// Text columns are shown as they are typed, so that a person's 007 stays 007; dates need a format,
/// or their serial number shows.
fn number_format(target: &Target, column: &ColumnFormat) -> Option<NumberFormat> {
    let wished = target.number_formats.get(&column.column);
    let (kind, usual) = match column.kind {
        Kind::Interval => (
            wished.map_or("TEXT", |pattern| of_interval(pattern)),
            Some("@"),
        ),
        Kind::Json | Kind::Array | Kind::Printed | Kind::Text => ("TEXT", Some("@")),
        Kind::Date => ("DATE", Some("yyyy-mm-dd")),
        Kind::Time => ("TIME", Some("hh:mm:ss")),
        Kind::Timestamp | Kind::TimestampTz => ("DATE_TIME", Some("yyyy-mm-dd hh:mm:ss")),
        Kind::Boolean | Kind::Integer | Kind::Float4 | Kind::Float8 | Kind::Numeric => {
            ("NUMBER", None)
        }
    };
    let pattern = wished.map(String::as_str).or(usual)?;
    Some(NumberFormat {
        kind,
        pattern: pattern.to_owned(),
    })
}

/// In a cell of type `TEXT` whatever people type is text (G-FORMATS-4), be its pattern `[h]:mm:ss`.
fn of_interval(pattern: &str) -> &'static str {
    match engine::effect::NumberFormat::new("", pattern.into()).shows {
        Shows::Duration | Shows::Time => "TIME",
        Shows::Date => "DATE",
        Shows::DateTime => "DATE_TIME",
        Shows::Text | Shows::Automatic => "TEXT",
        Shows::Number | Shows::Percent | Shows::Currency | Shows::Scientific => "NUMBER",
    }
}

/// `u32::MAX`: to the end of the tab.
fn formatted(
    target: &Target,
    column: u32,
    rows: Range<u32>,
    number_format: Option<NumberFormat>,
) -> Request {
    Request::RepeatCell {
        range: GridRange {
            sheet_id: target.sheet_id,
            start_row_index: Some(rows.start),
            start_column_index: Some(column),
            end_column_index: Some(column + 1),
            end_row_index: (rows.end != u32::MAX).then_some(rows.end),
        },
        cell: CellData {
            user_entered_format: Some(CellFormat { number_format }),
            ..CellData::default()
        },
        fields: "userEnteredFormat.numberFormat",
    }
}

/// The stretches between those in `taken`; the last one reaches to the end of the tab, which may be
/// about to get its first row there.
fn between(rows: &Range<u32>, taken: &[u32]) -> Vec<Range<u32>> {
    let mut from = rows.start;
    let mut free = Vec::new();
    for row in taken {
        if *row > from {
            free.push(from..*row);
        }
        from = row.saturating_add(1);
    }
    if from < rows.end || taken.is_empty() {
        free.push(from..u32::MAX);
    }
    free
}
