//! Rows typed without a key.

use std::collections::HashMap;

use crate::codec::hash_cells;
use crate::cycle::compare::diff::{Typed, sheet_problem, typed_key};
use crate::cycle::item::Item;
use crate::cycle::memory::RefusedKey;
use crate::cycle::memory::known::State;
use crate::cycle::read::grid::parse;
use crate::cycle::read::inspect::is_same;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::tell::problems::retry_at;
use crate::effect::{
    AnchoredRow, Class, DatabaseEffect, DatabaseOutcome, Failure, Operation, Planned, Problem,
    Reason, Snapshot,
};
use crate::io::mismatch;
use crate::mapping::Side;
use crate::tab::{LookTimes, Tagged};
use crate::value::{Cell, Key, Timestamp};

/// The key's cell holds a formula that shows nothing yet.
fn formula_key() -> Failure {
    Failure {
        class: Class::NeedsHuman,
        reason: Reason::FormulaCell,
        message: "The formula that makes this row's key shows nothing, so the row is not known yet.".into(),
        hint: "Complete the row so that the formula shows a key, or delete the formula: then the row gets a key.".into(),
        retry_after_ms: None,
        may_have_applied: false,
    }
}

/// A row that is given a key.
struct KeyedRow {
    key: Key,
    /// In the snapshot.
    at: u32,
    /// What it showed without the key.
    seen: Vec<Cell>,
    /// What it shows with the key.
    cells: Vec<Cell>,
    sent: AnchoredRow,
}

impl Cycle {
    /// Rows typed without a key: the key goes into the sheet first, and then they are ordinary new
    /// rows. A crash between the two costs a number of the sequence.
    pub(crate) async fn give_keys(
        &mut self,
        snapshot: &Snapshot,
        rows: &[u32],
        changed_at: &HashMap<Key, Option<Timestamp>>,
    ) -> Result<(), Stop> {
        if self.start.dry_run {
            return self.preview_generated_keys(snapshot, rows);
        }
        if rows.is_empty() || !self.start.ways.pull {
            return Ok(());
        }
        let (rows, keys) = self.generate_keys(snapshot, rows).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let keyed = self.tag_keyless(snapshot, &rows, keys).await?;
        let look = self.tab.since_last_look();
        let written = self.write_keys(keyed).await?;
        if written.is_empty() {
            return Ok(());
        }
        let items = self.items_with_keys(written, look, changed_at).await?;
        self.carry_out(items, &[]).await?;
        Ok(())
    }

    fn preview_generated_keys(&mut self, snapshot: &Snapshot, rows: &[u32]) -> Result<(), Stop> {
        for row in rows {
            let line = parse(snapshot, *row)?.len();
            self.report.planned.push(Planned {
                side: Side::Database,
                operation: Operation::Insert,
                key: None,
                column: None,
                old: None,
                new: Some(format!("row {} ({line} cells)", row + 1).into()),
                reason: "key_to_be_generated".into(),
            });
        }
        Ok(())
    }

    /// Of these rows the ones that are still as they were read, each with its key.
    async fn tag_keyless(
        &mut self,
        snapshot: &Snapshot,
        rows: &[u32],
        keys: Vec<Key>,
    ) -> Result<Vec<KeyedRow>, Stop> {
        let now: Vec<u32> = rows.iter().map(|row| self.tab.moved(*row)).collect();
        let tagged = self.tag_rows(&now).await?;
        let mut keyed = Vec::new();
        for ((tagged, key), (at, row)) in tagged.into_iter().zip(keys).zip(rows.iter().zip(now)) {
            let made = tagged
                .computed
                .iter()
                .any(|(at, _)| self.is_key_column(*at));
            if let Some(seen) = tagged.cells.as_ref().filter(|_| made) {
                let problem = self.refused_by_sheet(*at, formula_key());
                self.refuse_generated_key(seen, problem);
                continue;
            }
            let read = self.tab.mapped(&parse(snapshot, *at)?);
            match self.with_key(&read, tagged, key, row) {
                Some((key, seen, cells, sent)) => keyed.push(KeyedRow {
                    key,
                    at: *at,
                    seen,
                    cells,
                    sent,
                }),
                None => self.ending.read_again = true,
            }
        }
        Ok(keyed)
    }

    /// What the row shows without the key and with it, and what is sent; `None` where another row
    /// has come to its place since it was `read`, or where it is another one by now.
    fn with_key(
        &self,
        read: &[Cell],
        tagged: Tagged,
        key: Key,
        row: u32,
    ) -> Option<(Key, Vec<Cell>, Vec<Cell>, AnchoredRow)> {
        let seen = tagged.cells?;
        let layout = self.tab.layout()?;
        let mut cells = seen.iter().zip(read).enumerate();
        let is_as_read = cells.all(|(column, (now, read))| {
            is_same(now, read) || self.is_computed(&tagged.computed, column)
        });
        if !is_as_read || !matches!(typed_key(&self.mapping, &seen), Typed::Missing(_)) {
            return None;
        }
        let mut cells = seen.clone();
        let mut sent = Vec::new();
        for (column, text) in self.mapping.key.iter().zip(&key.0) {
            let cell = self
                .mapping
                .encode(*column, &Some(text.clone()))
                .unwrap_or(Cell::Empty);
            sent.push((layout.column(*column), cell.clone()));
            if let Some(slot) = cells.get_mut(*column) {
                *slot = cell;
            }
        }
        let sent = AnchoredRow {
            bare: false,
            anchor: tagged.anchor,
            row,
            cells: sent,
        };
        Some((key, seen, cells, sent))
    }

    /// Returns the rows that have their key in the sheet now.
    async fn write_keys(&mut self, keyed: Vec<KeyedRow>) -> Result<Vec<KeyedRow>, Stop> {
        let writes = keyed.iter().map(|one| one.sent.clone()).collect();
        let sent = self.write_apart(writes).await?;
        for (index, failure) in sent.refused {
            if let Some(one) = keyed.get(index) {
                let problem = self.refused_by_sheet(one.at, failure);
                self.refuse_generated_key(&one.seen, problem);
            }
        }
        let mut ours = Vec::new();
        for mut one in keyed {
            let Some(written) = sent.written.get(&one.sent.anchor) else {
                continue;
            };
            // Somebody typed a key at the same moment, and that key counts; or emptied the row.
            let is_blank = |before: &Vec<Cell>| {
                let before = self.tab.mapped(before);
                before.iter().all(|cell| *cell == Cell::Empty)
            };
            let seen: &[Cell] = match written.before.as_ref().is_some_and(is_blank) {
                true => &[],
                false => &one.seen,
            };
            match self.overwritten_edit(seen, &one.sent, written) {
                Some(edit) => {
                    self.ending.read_again = true;
                    self.tab.debts_mut().edits.push(edit);
                }
                None => {
                    one.cells = self.tab.mapped(&written.after);
                    ours.push(one);
                }
            }
        }
        Ok(ours)
    }

    async fn items_with_keys(
        &mut self,
        keyed: Vec<KeyedRow>,
        look: LookTimes,
        changed_at: &HashMap<Key, Option<Timestamp>>,
    ) -> Result<Vec<Item>, Stop> {
        let keys = keyed.iter().map(|one| one.key.clone());
        let loaded = self.load(keys.collect()).await?;
        let mut items = Vec::with_capacity(loaded.len());
        for (one, loaded) in keyed.into_iter().zip(loaded) {
            let mut item = Item::new(one.key, loaded);
            item.changed_at = item
                .changed_at
                .or(changed_at.get(&item.key).copied().flatten());
            item.row = Some(one.sent.row);
            // Its key is ours, whatever it may be taken for.
            for (column, text) in self.mapping.key.iter().zip(item.key.0.clone()) {
                let cell = one.cells.get(*column).cloned().unwrap_or(Cell::Empty);
                item.meanings.note(*column, cell, Ok(Some(text)));
            }
            item.cells = Some(one.cells);
            item.look = Some(look);
            items.push(item);
        }
        Ok(items)
    }

    /// The rows that get a key, and their keys. To the others the table has none to give.
    async fn generate_keys(
        &mut self,
        snapshot: &Snapshot,
        rows: &[u32],
    ) -> Result<(Vec<u32>, Vec<Key>), Stop> {
        // What neither the table nor a base has, and all the same stands in the sheet: rows that
        // are refused.
        let known = self.memory.rows.iter();
        let taken = known
            .filter(|(_, known)| known.state == State::Unbased && known.is_seen())
            .map(|(key, _)| key.clone());
        let asked = DatabaseEffect::GenerateKeys {
            count: rows.len(),
            taken: taken.collect(),
        };
        let answers = match self.io.database(asked).await? {
            DatabaseOutcome::Keys(answers) if answers.len() == rows.len() => answers,
            _ => return Err(mismatch().into()),
        };
        let (mut given, mut keys) = (Vec::new(), Vec::new());
        for (row, answer) in rows.iter().zip(answers) {
            match answer {
                Ok(key) => {
                    given.push(*row);
                    keys.push(key);
                }
                Err(refusal) => {
                    let cells = self.tab.mapped(&parse(snapshot, *row)?);
                    let hint = refusal
                        .hint
                        .unwrap_or_else(|| "Type a key that no other row has.".into());
                    let problem = self.key_problem(*row, refusal.sqlstate, refusal.message, hint);
                    self.refuse_generated_key(&cells, problem);
                }
            }
        }
        Ok((given, keys))
    }

    fn refused_by_sheet(&self, at: u32, failure: Failure) -> Problem {
        Problem {
            side: Side::Sheet,
            ..self.key_problem(
                at,
                failure.reason.to_string(),
                failure.message,
                failure.hint,
            )
        }
    }

    fn key_problem(&self, at: u32, code: String, message: String, hint: String) -> Problem {
        let column = self.mapping.key.first().copied();
        sheet_problem(at, column, &code, message, hint)
    }

    /// A problem of this row's until it is tried again; the key is lost, as a number of a sequence
    /// may be.
    fn refuse_generated_key(&mut self, seen: &[Cell], problem: Problem) {
        let shown = hash_cells(seen);
        let known = self.memory.problems.refused_keys.get(&shown);
        let attempts = known.map_or(0, |known| known.attempts) + 1;
        let problem = Problem {
            retry_at: Some(retry_at(self.io.now(), &problem.code, attempts)),
            ..problem
        };
        let (place, message) = (problem.place.clone(), problem.message.clone());
        if self
            .memory
            .problems
            .keyless
            .insert(place, message)
            .is_none()
        {
            self.queue_note(&problem);
        }
        self.unrecorded.problems.push(problem.clone());
        self.memory
            .problems
            .refused_keys
            .insert(shown, RefusedKey { problem, attempts });
    }
}
