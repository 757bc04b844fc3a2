//! A note on the cell says what is wrong with it, and goes when it is mended.
//!
//! Notes are a courtesy: that they cannot be written stops nothing, and they are tried again with the next cycle.

use super::io::Stop;
use super::memory::NOWHERE;
use super::run::Cycle;
use super::tag::TaggedRow;
use crate::effect::{Class, Note, Place, Problem, SheetEffect};
use crate::mapping::Direction;

/// One note in the sheet, at its place by row and column.
struct Due {
    place: Place,
    row: u32,
    column: usize,
    text: Option<String>,
}

impl Cycle {
    /// The notes on the problems that are stored go. Whose they are is looked at before any is taken away.
    pub(super) fn take_notes_off(&mut self) {
        let keyed = self.memory.problems.iter().flat_map(|(key, problems)| {
            problems.iter().map(|problem| Place {
                key: Some(key.clone()),
                sheet_row: None,
                column: problem.column,
            })
        });
        let keyless = self.memory.keyless.keys().cloned();
        let off: Vec<Place> = keyed.chain(keyless).collect();
        self.memory
            .notes
            .extend(off.into_iter().map(|place| (place, None)));
    }

    pub(super) fn note_problem(&mut self, problem: &Problem) {
        if self.mapping.notes_on_problems {
            self.memory
                .notes
                .insert(problem.place.clone(), Some(words(problem)));
        }
    }

    pub(super) fn note_settled(&mut self, place: &Place) {
        if self.mapping.notes_on_problems {
            self.memory.notes.insert(place.clone(), None);
        }
    }

    /// At the end of a cycle: the notes that have to change.
    pub(super) async fn annotate(&mut self) {
        if self.mapping.direction == Direction::FromSheet {
            self.memory.notes.clear();
        }
        if self.memory.notes.is_empty() || self.start.dry_run {
            return;
        }
        let mut due = self.due_notes();
        due.truncate(self.chunk());
        if due.is_empty() {
            return;
        }
        match self.write_notes(&due).await {
            Ok(()) => {}
            // The rows moved, or the request failed in passing: what is left is tried again.
            Err(Stop::Outdated | Stop::Held) => return,
            Err(Stop::Stopped(stopped)) => {
                if let crate::effect::Stopped::Failure(failure) = stopped
                    && matches!(failure.class, Class::RetryNow | Class::RetryLater)
                {
                    return;
                }
            }
        }
        for note in due {
            self.memory.notes.remove(&note.place);
        }
    }

    /// The notes whose rows are known. One whose row is gone went with it.
    fn due_notes(&mut self) -> Vec<Due> {
        let first_key = self.mapping.key.first().copied().unwrap_or_default();
        // Only a snapshot of this cycle tells where a row without a key is.
        let seen = self.end != 0;
        let mut due = Vec::new();
        let mut gone = Vec::new();
        for (place, text) in &self.memory.notes {
            let row = match (place.sheet_row, &place.key) {
                (Some(_), _) if !seen => continue,
                (Some(row), _) if text.is_none() || self.memory.keyless.contains_key(place) => {
                    Some(self.moved(row.saturating_sub(1)))
                }
                (Some(_), _) => None,
                (None, Some(key)) => self
                    .memory
                    .rows
                    .get(key)
                    .map(|known| known.row)
                    .filter(|row| *row != NOWHERE),
                (None, None) => None,
            };
            let column = place.column.unwrap_or(first_key);
            match row {
                Some(row) => due.push(Due {
                    place: place.clone(),
                    row,
                    column,
                    text: text.clone(),
                }),
                None => gone.push(place.clone()),
            }
        }
        for place in gone {
            self.memory.notes.remove(&place);
        }
        // A note that goes must not take along one that comes on the same cell.
        due.sort_by_key(|note| (note.row, note.column, note.text.is_none()));
        due
    }

    async fn write_notes(&mut self, due: &[Due]) -> Result<(), Stop> {
        let mut rows: Vec<u32> = due.iter().map(|note| note.row).collect();
        rows.dedup();
        let tagged = self.tag_rows(&rows).await?;
        let mut notes: Vec<Note> = Vec::new();
        for note in due {
            let Some(at) = rows.iter().position(|row| *row == note.row) else {
                continue;
            };
            let Some(TaggedRow {
                anchor,
                cells: Some(cells),
                ..
            }) = tagged.get(at)
            else {
                continue;
            };
            let (Some(layout), true) = (&self.memory.layout, self.is_noted_row(&note.place, cells))
            else {
                continue;
            };
            let column = layout.column(note.column);
            if notes
                .iter()
                .all(|one| one.anchor != *anchor || one.column != column)
            {
                notes.push(Note {
                    anchor: *anchor,
                    column,
                    text: note.text.clone(),
                });
            }
        }
        if !notes.is_empty() {
            self.io.sheet(SheetEffect::Annotate { notes }).await?;
        }
        Ok(())
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
