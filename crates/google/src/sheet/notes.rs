//! Notes on cells that have a problem.

use std::collections::{BTreeMap, HashMap};

use engine::effect::{MetadataId, Note, SheetOutcome};

use super::anchors::{AtAnchors, Guard, Settled};
use super::structure::runs;
use super::{Session, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{CellData, DataFilter, GridCoordinate, GridRange, Request, RowData, Search};

/// What our notes begin with; a note without it is a person's, and stays.
pub const NOTE_PREFIX: &str = "sheet_sync: ";

/// A note may hold this much [inferred from a cell's limit]; ours say less.
const LONGEST_NOTE: usize = 2_000;

impl Session {
    pub(super) fn annotate(&self, target: &Target, notes: &[Note]) -> Result<SheetOutcome, Error> {
        let mut anchors: Vec<MetadataId> = notes.iter().map(|note| note.anchor).collect();
        anchors.sort_unstable();
        anchors.dedup();
        let places = self.find(target, &anchors)?;
        if places.is_empty() {
            return Ok(SheetOutcome::Done);
        }
        let there = self.notes(target, &places)?;
        let at = |note: &Note| Some((*places.get(&note.anchor)?, note.column));
        let wanted: Vec<&Note> = notes
            .iter()
            .filter(|note| {
                let Some(place) = at(note) else { return false };
                match there.get(&place) {
                    None => note.text.is_some(),
                    Some(standing) => {
                        standing.starts_with(NOTE_PREFIX) && Some(standing) != shown(note).as_ref()
                    }
                }
            })
            .collect();
        if wanted.is_empty() {
            return Ok(SheetOutcome::Done);
        }
        let mut anchors: Vec<MetadataId> = wanted.iter().map(|note| note.anchor).collect();
        anchors.sort_unstable();
        anchors.dedup();
        let what = AtAnchors {
            anchors: Guard::Anchors(&anchors),
            stamp: None,
            tidy: &[],
            read_back: false,
            columns: None,
            images: None,
            drops: false,
        };
        let settled = self.at_anchors(target, &what, |rows| {
            // Only where the row stands as it stood before the notes were read: what was read may be another row's.
            let placed = wanted.iter().filter_map(|note| {
                let row = rows.get(&note.anchor)?;
                (places.get(&note.anchor) == Some(row)).then_some((note, *row))
            });
            placed
                .map(|(note, row_index)| Request::UpdateCells {
                    rows: vec![RowData {
                        values: vec![CellData {
                            note: shown(note),
                            ..CellData::default()
                        }],
                    }],
                    fields: "note",
                    start: GridCoordinate {
                        sheet_id: target.sheet_id,
                        row_index,
                        column_index: note.column,
                    },
                })
                .collect()
        })?;
        match settled {
            Settled::Applied { .. } | Settled::NoneLeft => Ok(SheetOutcome::Done),
            Settled::Stamped => Err(Error::Unreadable(
                "a batch without a stamp was refused for its stamp".into(),
            )),
        }
    }

    /// The notes on these rows, by row and column.
    fn notes(
        &self,
        target: &Target,
        places: &BTreeMap<MetadataId, u32>,
    ) -> Result<HashMap<(u32, u32), String>, Error> {
        let rows = runs(places.values().copied()).into_iter().map(|rows| {
            DataFilter::GridRange(GridRange {
                sheet_id: target.sheet_id,
                start_row_index: Some(rows.start),
                end_row_index: Some(rows.end),
                ..GridRange::default()
            })
        });
        let spreadsheet: answers::Spreadsheet = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            ":getByDataFilter",
            "sheets(properties(sheetId),data(startRow,startColumn,rowData(values(note))))",
            &Search(rows.collect()),
        )?;
        let mut notes = HashMap::new();
        for sheet in spreadsheet
            .sheets
            .into_iter()
            .filter(|sheet| sheet.properties.sheet_id == target.sheet_id)
        {
            for block in sheet.data {
                for (row, data) in (block.start_row..).zip(block.row_data) {
                    for (column, cell) in (block.start_column..).zip(data.values) {
                        if !cell.note.is_empty() {
                            notes.insert((row, column), cell.note);
                        }
                    }
                }
            }
        }
        Ok(notes)
    }
}

/// The note's text as it stands in the sheet.
fn shown(note: &Note) -> Option<String> {
    let text: String = note.text.as_ref()?.chars().take(LONGEST_NOTE).collect();
    Some(format!("{NOTE_PREFIX}{text}"))
}
