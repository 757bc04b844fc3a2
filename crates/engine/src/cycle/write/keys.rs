//! Rows typed without a key.

use crate::effect::Reason;
use std::collections::{HashMap, HashSet};

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
    AnchoredRow, Class, DatabaseEffect, DatabaseOutcome, Failure, MetadataId, Operation, Planned,
    Problem, Snapshot,
};
use crate::io::mismatch;
use crate::mapping::Side;
use crate::tab::Tagged;
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

/// A row on its way to its key.
struct Named {
    key: Key,
    /// In the snapshot, and now.
    at: u32,
    row: u32,
    /// What it showed without the key.
    seen: Vec<Cell>,
    cells: Vec<Cell>,
    anchor: MetadataId,
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
        if rows.is_empty() {
            return Ok(());
        }
        if self.start.dry_run || !self.start.ways.pull {
            for row in rows.iter().filter(|_| self.start.dry_run) {
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
            return Ok(());
        }
        let (rows, keys) = self.generate_keys(snapshot, rows).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let now: Vec<u32> = rows.iter().map(|row| self.tab.moved(*row)).collect();
        let tagged = self.tag_rows(&now).await?;
        let look = self.tab.since_last_look();
        let mut writes = Vec::new();
        let mut named = Vec::new();
        for ((tagged, key), (at, row)) in tagged.into_iter().zip(keys).zip(rows.iter().zip(now)) {
            let Tagged {
                anchor,
                cells,
                computed,
            } = tagged;
            let made = computed.iter().any(|(at, _)| self.is_key_column(*at));
            if let Some(seen) = cells.as_ref().filter(|_| made) {
                let problem = self.refused_by_sheet(*at, formula_key());
                self.refuse_generated_key(seen, problem);
                continue;
            }
            // Another row may have come to its place, or the row be another one by now.
            let read = self.tab.mapped(&parse(snapshot, *at)?);
            let is_as_read = |cells: &Vec<Cell>| {
                let same = cells
                    .iter()
                    .zip(&read)
                    .enumerate()
                    .all(|(column, (now, read))| {
                        is_same(now, read) || self.is_computed(&computed, column)
                    });
                same && matches!(typed_key(&self.mapping, cells), Typed::Missing(_))
            };
            let cells = cells.filter(is_as_read);
            let (Some(mut cells), Some(layout)) = (cells, self.tab.layout()) else {
                self.ending.read_again = true;
                continue;
            };
            let seen = cells.clone();
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
            writes.push(AnchoredRow {
                bare: false,
                anchor,
                row,
                cells: sent,
            });
            named.push(Named {
                key,
                at: *at,
                row,
                seen,
                cells,
                anchor,
            });
        }
        let sent = self.write_apart(writes.clone()).await?;
        for (index, failure) in sent.refused {
            if let Some(named) = named.get(index) {
                let problem = self.refused_by_sheet(named.at, failure);
                self.refuse_generated_key(&named.seen, problem);
            }
        }
        let mut ours = HashSet::new();
        for (row, named) in writes.iter().zip(&mut named) {
            let Some(written) = sent.written.get(&named.anchor) else {
                continue;
            };
            // Somebody typed a key at the same moment, and that key counts; or emptied the row.
            let is_blank = |before: &Vec<Cell>| {
                self.tab
                    .mapped(before)
                    .iter()
                    .all(|cell| *cell == Cell::Empty)
            };
            let seen: &[Cell] = match written.before.as_ref().is_some_and(is_blank) {
                true => &[],
                false => &named.seen,
            };
            match self.overwritten_edit(seen, row, written) {
                Some(edit) => {
                    self.ending.read_again = true;
                    self.tab.debts_mut().edits.push(edit);
                }
                None => {
                    named.cells = self.tab.mapped(&written.after);
                    ours.insert(named.anchor);
                }
            }
        }
        named.retain(|named| ours.contains(&named.anchor));
        if named.is_empty() {
            return Ok(());
        }
        let loaded = self
            .load(named.iter().map(|named| named.key.clone()).collect())
            .await?;
        let mut items = Vec::new();
        for (named, loaded) in named.into_iter().zip(loaded) {
            let mut item = Item::new(named.key, loaded);
            item.changed_at = item
                .changed_at
                .or(changed_at.get(&item.key).copied().flatten());
            item.row = Some(named.row);
            // Its key is ours, whatever it may be taken for.
            for (column, text) in self.mapping.key.iter().zip(item.key.0.clone()) {
                let cell = named.cells.get(*column).cloned().unwrap_or(Cell::Empty);
                item.meanings.note(*column, cell, Ok(Some(text)));
            }
            item.cells = Some(named.cells);
            item.look = Some(look);
            items.push(item);
        }
        self.carry_out(items, &[]).await?;
        Ok(())
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
