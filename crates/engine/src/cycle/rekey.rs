//! A key that a person edited in the sheet: the table's row keeps its identity, and what else it has, under the new key.
//!
//! The old key is missing, a new one stands beside the very same cells: that is one row. Whatever else looks like it is a row
//! that was deleted and another that was typed.

use std::collections::HashMap;

use super::batch::row_problem;
use super::header::Layout;
use super::io::{Stop, mismatch};
use super::item::Item;
use super::memory::{Known, KnownProblem, NOWHERE, State};
use super::problems::retry_at;
use super::run::Cycle;
use super::snapshot::{Diff, Sighting, parse};
use crate::effect::{
    Applied, Apply, BaseWrite, Change, Commit, LoadedRow, Operation, Place, Planned, Refusal,
    Snapshot,
};
use crate::mapping::{Direction, Side};
use crate::value::{ABSENT, Base, Cell, Datum, Key, Text};

/// More keys than that are not edited by hand between two readings.
const BY_HAND: usize = 200;

/// One row under its old and its new key.
struct Pair {
    old: LoadedRow,
    base: Base,
    row: Vec<Datum>,
    new: Key,
    cells: Vec<Cell>,
    /// The key column that differs, and its text under the new key.
    column: usize,
    text: Text,
}

impl Cycle {
    pub(super) async fn follow_keys(
        &mut self,
        diff: &mut Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<(), Stop> {
        let pulls = self.start.ways.pull && self.mapping.direction != Direction::ToSheet;
        if !pulls {
            return Ok(());
        }
        let pairs = self.edited_keys(diff, snapshot, layout).await?;
        if self.start.dry_run {
            self.preview_keys(pairs);
            return Ok(());
        }
        // One reading that misses the old key may be a partial one: then both wait for the next.
        let (seen_once, confirmed): (Vec<Pair>, Vec<Pair>) = pairs
            .into_iter()
            .partition(|pair| diff.unconfirmed.contains(&pair.old.key));
        for pair in &seen_once {
            diff.changed.retain(|sighting| sighting.key != pair.new);
            diff.unconfirmed.insert(pair.new.clone());
            self.held_back = true;
        }
        for pair in &confirmed {
            // Held until the table has taken the key.
            diff.missing.retain(|sighting| sighting.key != pair.old.key);
            diff.unconfirmed.insert(pair.old.key.clone());
        }
        self.change_keys(diff, confirmed).await
    }

    async fn edited_keys(
        &mut self,
        diff: &Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Vec<Pair>, Stop> {
        let is_gone = |key: &&Key| {
            self.memory
                .rows
                .get(*key)
                .is_some_and(|known| known.state == State::Based && known.missing != 0)
        };
        let missing = diff.missing.iter().map(|sighting| &sighting.key);
        let gone: Vec<Key> = diff
            .unconfirmed
            .iter()
            .chain(missing)
            .filter(is_gone)
            .cloned()
            .collect();
        // Those that the table refused as new rows too: the old row may have been what stood in their way.
        let stands = |known: &Known| known.state == State::Unbased && known.row != NOWHERE;
        let rows = self
            .memory
            .rows
            .iter()
            .filter(|(key, known)| stands(known) && !diff.doubled.contains(*key));
        let new: Vec<Sighting> = rows
            .map(|(key, known)| Sighting {
                key: key.clone(),
                row: Some(known.row),
                raw: 0,
            })
            .collect();
        if gone.is_empty() || new.is_empty() || gone.len() > BY_HAND || new.len() > BY_HAND {
            return Ok(Vec::new());
        }
        let keys: Vec<Key> = gone
            .iter()
            .cloned()
            .chain(new.iter().map(|sighting| sighting.key.clone()))
            .collect();
        let mut loaded = self.load(keys).await?;
        let fresh = loaded.split_off(gone.len());
        self.pairs(loaded, fresh, &new, snapshot, layout)
    }

    fn preview_keys(&mut self, pairs: Vec<Pair>) {
        for pair in pairs {
            self.report.planned.push(Planned {
                side: Side::Database,
                operation: Operation::Update,
                key: Some(pair.old.key.clone()),
                column: Some(pair.column),
                old: pair.row.get(pair.column).cloned().flatten(),
                new: Some(pair.text),
                reason: "changed_in_sheet".into(),
            });
            self.followed.extend([pair.old.key, pair.new]);
        }
    }

    fn pairs(
        &self,
        gone: Vec<LoadedRow>,
        fresh: Vec<LoadedRow>,
        new: &[Sighting],
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Vec<Pair>, Stop> {
        let others = |cells: &[Cell]| -> Vec<Cell> {
            let cells = cells.iter().enumerate();
            cells
                .filter(|(column, _)| !self.mapping.key.contains(column))
                .map(|(_, cell)| cell.clone())
                .collect()
        };
        let mut candidates = Vec::new();
        for (row, sighting) in fresh.iter().zip(new) {
            let (None, None, None, Some(at)) = (&row.row, &row.spelled, &row.base, sighting.row)
            else {
                continue;
            };
            let cells = layout.mapped(&parse(snapshot, at)?);
            candidates.push((sighting.key.clone(), others(&cells), cells));
        }
        let mut twins: HashMap<Key, usize> = HashMap::new();
        let mut found = Vec::new();
        for old in gone {
            let (Some(row), Some(base), true) = (old.row.clone(), old.base.clone(), old.in_filter)
            else {
                continue;
            };
            // A row that the table changed meanwhile is not moved under another key unseen.
            let same = others(&base.sheet);
            if base.database != row
                || !old.pending.is_empty()
                || same.iter().all(|cell| *cell == Cell::Empty)
            {
                continue;
            }
            let mut alike = candidates.iter().filter(|(_, cells, _)| *cells == same);
            let (Some((new, _, cells)), None) = (alike.next(), alike.next()) else {
                continue;
            };
            *twins.entry(new.clone()).or_default() += 1;
            let parts = old.key.0.iter().zip(&new.0).zip(&self.mapping.key);
            let mut differing = parts.filter(|((before, after), _)| before != after);
            let (Some(((_, text), column)), None) = (differing.next(), differing.next()) else {
                continue;
            };
            if self.mapping.pulls(*column) {
                let (column, text) = (*column, text.clone());
                found.push(Pair {
                    old,
                    base,
                    row,
                    new: new.clone(),
                    cells: cells.clone(),
                    column,
                    text,
                });
            }
        }
        found.retain(|pair| twins.get(&pair.new) == Some(&1));
        Ok(found)
    }

    async fn change_keys(&mut self, diff: &mut Diff, mut pairs: Vec<Pair>) -> Result<(), Stop> {
        let waits = |pair: &Pair| {
            let known = self.memory.problems.get(&pair.new).into_iter().flatten();
            known.into_iter().any(|problem| {
                problem.column == Some(pair.column)
                    && problem.retry_at.is_some_and(|at| !self.is_due(at))
            })
        };
        let (waiting, ready): (Vec<Pair>, Vec<Pair>) = pairs.drain(..).partition(waits);
        let leave =
            |diff: &mut Diff, key: &Key| diff.changed.retain(|sighting| sighting.key != *key);
        for pair in &waiting {
            leave(diff, &pair.new);
        }
        if ready.is_empty() {
            return Ok(());
        }
        let commit = Commit {
            apply: ready.iter().map(Pair::apply).collect(),
            ..Commit::default()
        };
        let applied = self.io.commit(commit).await?;
        if applied.len() != ready.len() {
            return Err(mismatch().into());
        }
        let mut ended = Commit::default();
        for (pair, applied) in ready.into_iter().zip(applied) {
            match applied {
                Applied::Done { row, .. } => {
                    self.report.rows_pulled += 1;
                    diff.unconfirmed.remove(&pair.old.key);
                    self.memory.rows.swap_remove(&pair.old.key);
                    // What else is owed to the row is found under its new key.
                    let known = self.memory.known(&pair.new);
                    *known = Known {
                        row: known.row,
                        ..Known::new(State::Based)
                    };
                    let at = known.row;
                    // A trigger may have made another key of it, or the old one again.
                    let returned = row.and_then(|row| self.mapping.key_of_row(&row));
                    let key = returned.unwrap_or_else(|| pair.new.clone());
                    if key != pair.new {
                        leave(diff, &pair.new);
                        diff.unconfirmed.remove(&key);
                        self.rename_known(&pair.new, &key);
                    }
                    if diff.changed.iter().all(|sighting| sighting.key != key) {
                        diff.changed.push(Sighting {
                            key: key.clone(),
                            row: Some(at),
                            raw: 0,
                        });
                    }
                    if key != pair.old.key {
                        ended.bases.push(BaseWrite {
                            key: pair.old.key,
                            base: None,
                            sheet_hash: ABSENT,
                        });
                    }
                }
                Applied::Stale => {
                    self.stale = true;
                    leave(diff, &pair.new);
                }
                Applied::Refused { cells, row } => {
                    leave(diff, &pair.new);
                    let refusal = cells.into_iter().map(|(_, refusal)| refusal).next().or(row);
                    self.refuse_key(&pair, refusal);
                }
            }
        }
        if !ended.bases.is_empty() {
            self.io.commit(ended).await?;
        }
        Ok(())
    }

    /// Neither the old row is deleted nor a new one made while the table does not take the key.
    fn refuse_key(&mut self, pair: &Pair, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else {
            return;
        };
        let mut problem = row_problem(&pair.new, Some(pair.column), Side::Database, refusal);
        let before = self
            .memory
            .problems
            .get(&pair.new)
            .and_then(|known| known.first())
            .map_or(0, |one| one.attempts);
        problem.retry_at = Some(retry_at(self.io.now(), before + 1));
        let known = self.memory.problems.insert(
            pair.new.clone(),
            vec![KnownProblem {
                column: Some(pair.column),
                code: problem.code.clone(),
                refused: None,
                attempts: before + 1,
                retry_at: problem.retry_at,
            }],
        );
        for other in known.into_iter().flatten() {
            if other.column != Some(pair.column) {
                let place = Place {
                    column: other.column,
                    ..problem.place.clone()
                };
                self.note_settled(&place);
                self.settled.push(place);
            }
        }
        if before == 0 {
            self.note_problem(&problem);
        }
        self.problems.push(problem);
    }
}

impl Pair {
    fn apply(&self) -> Apply {
        let item = Item::new(self.old.key.clone(), self.old.clone());
        let old = self.row.get(self.column).cloned().flatten();
        let new = Some(self.text.clone());
        Apply {
            key: self.old.key.clone(),
            new_key: Some(self.new.clone()),
            change: Change::Update {
                values: vec![(self.column, new.clone())],
                expected: self.row.clone(),
            },
            sheet: self.cells.clone(),
            base: Some(self.base.clone()),
            owed: Vec::new(),
            history: item.line(
                Side::Database,
                Operation::Update,
                vec![(self.column, old, new)],
            ),
        }
    }
}
