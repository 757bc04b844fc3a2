//! The header of a new mapping, and the number formats of its columns.

use engine::effect::{SheetOutcome, Stamp};
use engine::mapping::Kind;
use engine::value::Cell;

use super::room::Growth;
use super::structure::{Batch, Sent};
use super::write::cell_blocks;
use super::{Session, Tab, Target};
use crate::error::Error;
use crate::requests::{CellData, CellFormat, Dimension, GridRange, NumberFormat, Request};

impl Session {
    pub(super) fn write_header(
        &self,
        target: &Target,
        row: u32,
        written: &[(u32, String)],
        kinds: &[(u32, Kind)],
        stamp: &Stamp,
    ) -> Result<SheetOutcome, Error> {
        let tab = self.fresh_tab(target)?;
        let columns = written
            .iter()
            .map(|(column, _)| *column)
            .chain(kinds.iter().map(|(column, _)| *column));
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
        let headed = |column: &u32| written.iter().any(|(written, _)| written == column);
        for (column, kind) in kinds {
            let format = number_format(*kind);
            if format.is_some() || !headed(column) {
                body.push(formatted(target.sheet_id, row + 1, *column, format));
            }
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

/// What makes room for the header and one row below it.
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

/// Text columns are shown as they are typed, so that a person's 007 stays 007; dates need a format, or their serial number shows.
fn number_format(kind: Kind) -> Option<NumberFormat> {
    let (kind, pattern) = match kind {
        Kind::Text => ("TEXT", "@"),
        Kind::Date => ("DATE", "yyyy-mm-dd"),
        Kind::Time => ("TIME", "hh:mm:ss"),
        Kind::Timestamp | Kind::TimestampTz => ("DATE_TIME", "yyyy-mm-dd hh:mm:ss"),
        Kind::Boolean | Kind::Integer | Kind::Float4 | Kind::Float8 | Kind::Numeric => return None,
    };
    Some(NumberFormat { kind, pattern })
}

fn formatted(
    sheet_id: i32,
    first_row: u32,
    column: u32,
    number_format: Option<NumberFormat>,
) -> Request {
    Request::RepeatCell {
        range: GridRange {
            sheet_id,
            start_row_index: Some(first_row),
            start_column_index: Some(column),
            end_column_index: Some(column + 1),
            end_row_index: None,
        },
        cell: CellData {
            user_entered_format: Some(CellFormat { number_format }),
            ..CellData::default()
        },
        fields: "userEnteredFormat.numberFormat",
    }
}
