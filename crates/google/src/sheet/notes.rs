//! Notes on cells that have a problem.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use engine::effect::{Annotated, MetadataId, Note, SheetOutcome, StandingNote};

use super::anchors::{AtAnchors, Guard, Settled};
use super::{Answered, Session, Target};
use crate::error::Error;
use crate::requests::{CellData, GridCoordinate, Request, RowData};

/// What our notes begin with; a note without it is a person's, and stays.
pub const NOTE_PREFIX: &str = "sheet_sync: ";

/// Far less than a note may hold (G-LIMITS-5).
const LONGEST_NOTE: usize = 2_000;

const FIELDS: &str = "sheets(properties(sheetId),data(startRow,startColumn,rowData(values(note))))";

impl Session {
    /// Those of ours, in the whole tab. Cells without a note take a few bytes each.
    pub(super) fn standing_notes(&self, target: &Target) -> Result<SheetOutcome, Error> {
        let mut standing = Vec::new();
        self.every_cell(target, FIELDS, |row, column, cell| {
            if let Some(text) = cell.note.strip_prefix(NOTE_PREFIX) {
                let text = text.to_owned();
                standing.push(StandingNote { row, column, text });
            }
        })?;
        Ok(SheetOutcome::Notes(standing))
    }

    pub(super) fn annotate(
        &self,
        target: &Target,
        notes: &[Note],
        sentinel: MetadataId,
    ) -> Result<SheetOutcome, Error> {
        let mut anchors: Vec<MetadataId> = notes.iter().map(|note| note.anchor).collect();
        anchors.sort_unstable();
        anchors.dedup();
        let places = self.find(target, &anchors)?;
        let there = self.notes(target, &places)?;
        let mut annotated: Vec<Annotated> = notes
            .iter()
            .map(|note| match places.get(&note.anchor) {
                None => Annotated::Moved,
                Some(row) => outcome(note, there.get(&(*row, note.column))),
            })
            .collect();
        let is_due = |note: &Note| {
            let place = places.get(&note.anchor);
            place.is_some_and(|row| is_due(note, there.get(&(*row, note.column))))
        };
        let due: Vec<usize> = (0..notes.len())
            .filter(|at| notes.get(*at).is_some_and(is_due))
            .collect();
        let writing = due.iter().filter_map(|at| notes.get(*at));
        let written = self.write_notes(target, &places, writing, sentinel)?;
        for at in due {
            if let (Some(note), Some(annotated)) = (notes.get(at), annotated.get_mut(at)) {
                match written.get(&note.anchor) {
                    Some(Landed::OnItsRow) => {}
                    Some(Landed::OnAnother) => *annotated = Annotated::Stray,
                    None => *annotated = Annotated::Moved,
                }
            }
        }
        Ok(SheetOutcome::Annotated(annotated))
    }

    /// Returns where those that were written landed, by their anchors.
    fn write_notes<'a>(
        &self,
        target: &Target,
        places: &BTreeMap<MetadataId, u32>,
        notes: impl Iterator<Item = &'a Note> + Clone,
        sentinel: MetadataId,
    ) -> Result<BTreeMap<MetadataId, Landed>, Error> {
        let anchors: BTreeSet<MetadataId> = notes.clone().map(|note| note.anchor).collect();
        let anchors: Vec<MetadataId> = anchors.into_iter().collect();
        if anchors.is_empty() {
            return Ok(BTreeMap::new());
        }
        let what = AtAnchors {
            anchors: Guard::Anchors {
                anchors: &anchors,
                sentinel,
            },
            stamp: None,
            tidy: &[],
            read_back: false,
            columns: None,
            images: None,
            drops: false,
        };
        // Only where the row stands as it stood before the notes were read: what was read may be
        // another row's.
        let stands = |note: &Note, rows: &BTreeMap<MetadataId, u32>| match rows.get(&note.anchor) {
            Some(row) => places.get(&note.anchor) == Some(row),
            None => false,
        };
        let settled = self.at_anchors(target, &what, |rows| {
            let placed = notes.clone().filter(|note| stands(note, rows));
            let placed = placed.filter_map(|note| Some((note, *rows.get(&note.anchor)?)));
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
            Settled::Applied { rows, gone, .. } => {
                // Where nothing refused the batch for a row that moved, that is looked at
                // afterwards.
                let afterwards = match self.capabilities().anchor_checks {
                    Answered::No => Some(self.find(target, &anchors)?),
                    _ => None,
                };
                let is_elsewhere = |anchor: &MetadataId| match &afterwards {
                    Some(afterwards) => afterwards.get(anchor) != rows.get(anchor),
                    None => gone.contains(anchor),
                };
                let written = notes.filter(|note| stands(note, &rows));
                let landed = written.map(|note| match is_elsewhere(&note.anchor) {
                    true => (note.anchor, Landed::OnAnother),
                    false => (note.anchor, Landed::OnItsRow),
                });
                Ok(landed.collect())
            }
            Settled::NoneLeft => Ok(BTreeMap::new()),
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
        let mut notes = HashMap::new();
        self.each_cell_of(
            target,
            places.values().copied(),
            FIELDS,
            |row, column, cell| {
                if !cell.note.is_empty() {
                    notes.insert((row, column), cell.note.clone());
                }
            },
        )?;
        Ok(notes)
    }
}

/// On which row a note was written.
enum Landed {
    OnItsRow,
    /// Its own went in that very moment, and this one came into its place.
    OnAnother,
}

/// What a note comes to where this one stands.
fn outcome(note: &Note, standing: Option<&String>) -> Annotated {
    match (&note.text, standing) {
        (None, None) => Annotated::Absent,
        (None, Some(standing)) if !standing.starts_with(NOTE_PREFIX) => Annotated::Absent,
        _ => Annotated::Done,
    }
}

/// Nothing is written over a person's note, and nothing where what is wished stands already.
fn is_due(note: &Note, standing: Option<&String>) -> bool {
    match standing {
        None => note.text.is_some(),
        Some(standing) => {
            standing.starts_with(NOTE_PREFIX) && Some(standing) != shown(note).as_ref()
        }
    }
}

/// The note's text as it stands in the sheet.
fn shown(note: &Note) -> Option<String> {
    let text: String = note.text.as_ref()?.chars().take(LONGEST_NOTE).collect();
    Some(format!("{NOTE_PREFIX}{text}"))
}
