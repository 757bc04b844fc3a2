//! Notes on cells that have a problem.

use std::collections::{BTreeMap, HashMap};

use engine::effect::{MetadataId, Note, SheetOutcome};

use super::anchors::{AtAnchors, Settled};
use super::structure::runs;
use super::{Session, Target};
use crate::answers;
use crate::error::Error;
use crate::range;
use crate::requests::{CellData, GridCoordinate, Request, RowData};

/// What our notes begin with; a note without it is a person's, and stays.
pub const NOTE_PREFIX: &str = "sheet_sync: ";

/// A note may hold this much [inferred from a cell's limit]; ours say less.
const LONGEST_NOTE: usize = 2_000;

impl Session {
    pub(super) fn annotate(&self, target: &Target, notes: &[Note]) -> Result<SheetOutcome, Error> {
        let mut anchors: Vec<MetadataId> = notes.iter().map(|note| note.anchor).collect();
        anchors.sort_unstable();
        anchors.dedup();
        if anchors.is_empty() {
            return Ok(SheetOutcome::Done);
        }
        let places = self.find(target, &anchors)?;
        let there = self.notes(target, &places)?;
        let at = |note: &Note| Some((*places.get(&note.anchor)?, note.column));
        // Rows that have moved since fail the check of the batch, and nothing of it is applied.
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
            anchors: &anchors,
            stamp: None,
            tidy: &[],
            read_back: false,
        };
        let settled = self.at_anchors(target, &what, |rows| {
            let placed = wanted
                .iter()
                .filter_map(|note| Some((note, *rows.get(&note.anchor)?)));
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
        let title = self.tab(target)?.title;
        let ranges: Vec<String> = runs(places.values().copied())
            .iter()
            .map(|rows| range::rows(&title, rows.start, rows.end))
            .collect();
        let mut query = vec![(
            "fields",
            "sheets(properties(sheetId),data(startRow,startColumn,rowData(values(note))))",
        )];
        query.extend(ranges.iter().map(|range| ("ranges", range.as_str())));
        let spreadsheet: answers::Spreadsheet =
            self.client.get(&target.spreadsheet_id, "", &query)?;
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
