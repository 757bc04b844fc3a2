//! A note on the cell says what is wrong with it, and goes when it is mended.
//!
//! Notes are a courtesy: that they cannot be written stops nothing, and they are tried again with
//! the next cycle. In the sheet they go with their cells, wherever people sort, cut or move these.
//! So one that has to go and is not on the cell of its problem is looked for in the whole tab; so
//! is one whose problem named a row by its number, which other rows have had since.

use std::collections::{HashMap, HashSet};

use crate::codec::hash_cells;
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{
    Annotated, Class, Failure, Note, Place, Problem, SheetEffect, SheetOutcome, StandingNote,
    Stopped,
};
use crate::io::mismatch;
use crate::mapping::Direction;
use crate::tab::Tagged;
use crate::value::{Cell, Key};

/// One note in the sheet, by row and column of the sheet.
struct Due {
    row: u32,
    column: u32,
    whose: Whose,
    text: Option<String>,
}

/// What a note belongs to, and so how its row is told from another.
enum Whose {
    /// To this problem, whose row the key names.
    Key(Place, Key),
    /// To this problem of a row that shows what it showed in the reading.
    Row(Place),
    /// To no problem.
    Nobody,
}

impl Whose {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Key(place, _) | Self::Row(place) => Some(place),
            Self::Nobody => None,
        }
    }
}

impl Cycle {
    pub(crate) fn queue_note(&mut self, problem: &Problem) {
        if self.mapping.notes_on_problems {
            self.memory
                .problems
                .notes
                .insert(problem.place.clone(), Some(words(problem)));
        }
    }

    pub(crate) fn queue_note_removal(&mut self, place: &Place) {
        if !self.mapping.notes_on_problems {
            return;
        }
        match place.sheet_row {
            Some(_) => {
                self.memory.problems.notes.remove(place);
                self.memory.problems.stray_notes = true;
            }
            None => {
                self.memory.problems.notes.insert(place.clone(), None);
            }
        }
    }

    /// At the end of a cycle: the notes that have to change.
    pub(crate) async fn annotate(&mut self) {
        if self.start.dry_run {
            return;
        }
        if self.mapping.direction == Direction::FromSheet {
            self.memory.problems.notes.clear();
            self.memory.problems.stray_notes = false;
        }
        let stray = self.annotate_in_rounds().await;
        // By this round's reading such a note stands where it belongs; only the next one tells
        // whose row that is now.
        self.memory.problems.stray_notes |= stray;
    }

    /// Whether a note came to stand on another row than its own, or may have.
    async fn annotate_in_rounds(&mut self) -> bool {
        let mut stray = false;
        // What is not where it was put is looked for, and then taken away.
        for _ in 0..2 {
            if self.memory.problems.notes.is_empty() && !self.memory.problems.stray_notes {
                break;
            }
            let astray = match self.find_astray().await {
                Ok(astray) => astray,
                Err(stop) => {
                    self.memory.problems.stray_notes &= passes(&stop);
                    break;
                }
            };
            let mut due = self.due_notes();
            due.extend(astray);
            due.sort_by_key(|note| (note.row, note.column));
            let later = due.split_off(due.len().min(self.tab.max_tagged_rows()));
            self.still_astray(&later);
            if due.is_empty() {
                break;
            }
            match self.write_notes(&due).await {
                Ok(strays) => stray |= strays,
                Err(stop) if passes(&stop) => {
                    self.still_astray(&due);
                    stray |= may_have_written(&stop);
                    break;
                }
                Err(_) => {
                    for place in due.iter().filter_map(|note| note.whose.place()) {
                        self.memory.problems.notes.remove(place);
                    }
                    break;
                }
            }
            if !self.memory.problems.stray_notes {
                break;
            }
        }
        stray
    }

    fn still_astray(&mut self, due: &[Due]) {
        let nobodys = |note: &Due| note.whose.place().is_none();
        self.memory.problems.stray_notes |= due.iter().any(nobodys);
    }

    /// Notes of ours on cells that have no problem. What stands where it belongs need not be
    /// written.
    async fn find_astray(&mut self) -> Result<Vec<Due>, Stop> {
        // Only a reading of this round tells which row is which.
        if !self.memory.problems.stray_notes || self.round.snapshot.is_none() {
            return Ok(Vec::new());
        }
        let standing = match self.io.sheet(SheetEffect::Notes).await? {
            SheetOutcome::Notes(standing) => standing,
            _ => return Err(mismatch().into()),
        };
        self.memory.problems.stray_notes = false;
        let cells = self.cells_with_problems();
        let mut astray = Vec::new();
        for StandingNote { row, column, text } in standing {
            match cells.get(&(row, column)) {
                Some(place) => {
                    let due = self.memory.problems.notes.get(place);
                    if due.is_some_and(|due| due.as_ref() == Some(&text)) {
                        self.memory.problems.notes.remove(place);
                    }
                }
                None => astray.push(Due {
                    row,
                    column,
                    whose: Whose::Nobody,
                    text: None,
                }),
            }
        }
        Ok(astray)
    }

    /// Where notes belong, by row and column of the sheet.
    fn cells_with_problems(&self) -> HashMap<(u32, u32), Place> {
        if !self.mapping.notes_on_problems {
            return HashMap::new();
        }
        let keyed = self
            .memory
            .problems
            .of_rows
            .iter()
            .flat_map(|(key, problems)| {
                problems.iter().map(|problem| Place {
                    key: Some(key.clone()),
                    sheet_row: None,
                    column: problem.column,
                })
            });
        let places = keyed.chain(self.memory.problems.keyless.keys().cloned());
        let cell = |place: Place| Some((self.cell_of(&place)?, place));
        places.filter_map(cell).collect()
    }

    /// Row and column of the sheet, as far as this cycle knows.
    fn cell_of(&self, place: &Place) -> Option<(u32, u32)> {
        let layout = self.tab.layout()?;
        let row = match (place.sheet_row, &place.key) {
            (Some(row), _) => self.tab.moved(row.checked_sub(1)?),
            (None, key) => self.memory.rows.get(key.as_ref()?)?.row()?,
        };
        let first_key = self.mapping.key.first().copied().unwrap_or_default();
        let column = layout.column(place.column.unwrap_or(first_key));
        Some((row, column))
    }

    /// The notes whose rows are known.
    fn due_notes(&mut self) -> Vec<Due> {
        let cells = self.cells_with_problems();
        let mut due = Vec::new();
        let mut nowhere = Vec::new();
        for (place, text) in &self.memory.problems.notes {
            let whose = match (place.sheet_row, &place.key) {
                // Only a reading of this round tells where such a row is.
                (Some(_), _) if self.round.snapshot.is_none() => continue,
                (Some(_), _) => Whose::Row(place.clone()),
                (None, Some(key)) => Whose::Key(place.clone(), key.clone()),
                (None, None) => {
                    nowhere.push(place.clone());
                    continue;
                }
            };
            let is_over =
                place.sheet_row.is_some() && !self.memory.problems.keyless.contains_key(place);
            match self.cell_of(place).filter(|_| !is_over) {
                // Of two problems of one cell one is over: the note is the other's.
                Some(cell) if text.is_none() && cells.contains_key(&cell) => {
                    nowhere.push(place.clone());
                }
                Some((row, column)) => due.push(Due {
                    row,
                    column,
                    whose,
                    text: text.clone(),
                }),
                None => nowhere.push(place.clone()),
            }
        }
        for place in nowhere {
            // Its row is gone, or has another key and still the note.
            if self.memory.problems.notes.remove(&place) == Some(None)
                && self.cell_of(&place).is_none()
            {
                self.memory.problems.stray_notes |= place.key.is_some();
            }
        }
        // Two problems of one cell share a note.
        let mut seen = HashSet::new();
        due.retain(|note: &Due| {
            let first = seen.insert((note.row, note.column));
            if let (false, Some(place)) = (first, note.whose.place()) {
                self.memory.problems.notes.remove(place);
            }
            first
        });
        due
    }

    /// A note is written where the row is the one that it belongs to: that is looked at by the
    /// request which puts an anchor on the row, and the batch with the note is refused where that
    /// does not stand there any more. Returns whether one came to stand on another row even so.
    async fn write_notes(&mut self, due: &[Due]) -> Result<bool, Stop> {
        let mut rows: Vec<u32> = due.iter().map(|note| note.row).collect();
        rows.dedup();
        let tagged = self.tag_rows(&rows).await?;
        let tagged: HashMap<u32, Tagged> = rows.into_iter().zip(tagged).collect();
        let mut placed: Vec<&Due> = Vec::new();
        let mut notes: Vec<Note> = Vec::new();
        for note in due {
            match tagged.get(&note.row) {
                Some(row) if self.is_its_row(note, row)? => {
                    placed.push(note);
                    notes.push(Note {
                        anchor: row.anchor,
                        column: note.column,
                        text: note.text.clone(),
                    });
                }
                _ => self.note_not_placed(note)?,
            }
        }
        if notes.is_empty() {
            return Ok(false);
        }
        let mut stray = false;
        let sentinel = self.tab.sentinel().anchor;
        let effect = SheetEffect::Annotate { notes, sentinel };
        let annotated = match self.io.sheet(effect).await? {
            SheetOutcome::Annotated(annotated) => annotated,
            _ => return Err(mismatch().into()),
        };
        for (note, annotated) in placed.into_iter().zip(annotated) {
            match (annotated, note.whose.place()) {
                (Annotated::Moved, Some(_)) | (Annotated::Done | Annotated::Absent, None) => {}
                (Annotated::Moved, None) => self.memory.problems.stray_notes = true,
                (Annotated::Stray, _) => stray = true,
                (annotated, Some(place)) => {
                    self.memory.problems.notes.remove(place);
                    self.memory.problems.stray_notes |= annotated == Annotated::Absent;
                }
            }
        }
        Ok(stray)
    }

    fn is_its_row(&self, note: &Due, row: &Tagged) -> Result<bool, Stop> {
        let Some(cells) = &row.cells else {
            return Ok(false);
        };
        if let Whose::Key(_, key) = &note.whose {
            return Ok(self.is_row_of(key, cells));
        }
        let (Some(layout), Some(read)) = (self.tab.layout(), self.read_cells(note.row)?) else {
            return Ok(false);
        };
        // What formulas show may be another thing each time.
        let computed = |at: &u32| row.computed.iter().any(|(column, _)| column == at);
        let typed = |cells: &[Cell]| {
            let cells = layout.columns.iter().zip(cells);
            let cells = cells.map(|(at, cell)| match computed(at) {
                true => Cell::Empty,
                false => cell.clone(),
            });
            hash_cells(&cells.collect::<Vec<Cell>>())
        };
        Ok(typed(&read) == typed(cells))
    }

    /// The row that the note belongs to does not stand there: it has moved since it was read, and
    /// the next reading tells where it is.
    fn note_not_placed(&mut self, note: &Due) -> Result<(), Stop> {
        match &note.whose {
            Whose::Nobody => self.memory.problems.stray_notes = true,
            Whose::Row(_) => {}
            // Nor did it have this key when it was read: the note is for no row that another
            // reading could find.
            Whose::Key(place, key) => {
                let read = self.read_cells(note.row)?;
                if read.is_some_and(|cells| !self.is_row_of(key, &cells)) {
                    self.memory.problems.notes.remove(place);
                }
            }
        }
        Ok(())
    }

    /// The mapped cells that this round's reading showed in the row that stands here now, as far as
    /// this cycle knows.
    fn read_cells(&self, row: u32) -> Result<Option<Vec<Cell>>, Stop> {
        let (Some(layout), Some(snapshot)) = (self.tab.layout(), &self.round.snapshot) else {
            return Ok(None);
        };
        let Some(row) = self.tab.row_as_read(row) else {
            return Ok(None);
        };
        Ok(Some(layout.mapped(&parse(snapshot, row)?)))
    }
}

/// The rows moved, or the request failed in passing: what is left is tried again.
fn passes(stop: &Stop) -> bool {
    match stop {
        Stop::Outdated | Stop::Held => true,
        Stop::Stopped(Stopped::Failure(Failure { class, .. })) => {
            matches!(class, Class::RetryNow | Class::RetryLater)
        }
        Stop::Stopped(_) => false,
    }
}

/// An answer that is lost does not tell on which row the notes came to stand.
fn may_have_written(stop: &Stop) -> bool {
    match stop {
        Stop::Stopped(Stopped::Failure(failure)) => failure.may_have_applied,
        Stop::Outdated | Stop::Held | Stop::Stopped(_) => false,
    }
}

/// What is wrong, in a person's words: the first sentence and what to do about it.
fn words(problem: &Problem) -> String {
    let line = problem.message.lines().next().unwrap_or_default();
    let message = line
        .split(" (Failing row contains")
        .next()
        .unwrap_or_default()
        .trim();
    let message = message
        .split(". ")
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    format!("{message}. {}", problem.hint)
}
