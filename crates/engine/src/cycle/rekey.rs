//! A key that a person edited in the sheet: the table's row keeps its identity, and what else it
//! has, under the new key. Which keys these are is told in `missing.rs`.

use super::batch::row_problem;
use super::io::{Stop, mismatch};
use super::item::Item;
use super::memory::{Known, KnownProblem, State};
use super::problems::retry_at;
use super::run::Cycle;
use super::snapshot::{Diff, Sighting};
use crate::effect::{
    Applied, Apply, BaseWrite, Change, Commit, LoadedRow, Operation, Place, Planned, Refusal,
};
use crate::mapping::{Mapping, Side};
use crate::value::{ABSENT, Base, Cell, Datum, Key, Text};

/// One row under its old and its new key.
pub(super) struct Pair {
    pub old: LoadedRow,
    pub base: Base,
    pub row: Vec<Datum>,
    pub new: Key,
    pub cells: Vec<Cell>,
}

impl Pair {
    /// The key columns that differ, and their texts under the new key.
    pub(super) fn differing(&self, mapping: &Mapping) -> Vec<(usize, Text)> {
        let parts = self.old.key.0.iter().zip(&self.new.0).zip(&mapping.key);
        let differing = parts.filter(|((before, after), _)| before != after);
        differing
            .map(|((_, text), column)| (*column, text.clone()))
            .collect()
    }

    fn first_column(&self, mapping: &Mapping) -> Option<usize> {
        self.differing(mapping).first().map(|(column, _)| *column)
    }
}

impl Cycle {
    /// Keys that a person changed by hand: those that the table can follow now; the others wait.
    pub(super) fn follow_keys(&mut self, diff: &mut Diff, pairs: Vec<Pair>) -> Vec<Pair> {
        let old = pairs.iter().map(|pair| pair.old.key.clone());
        diff.renamed.extend(old);
        if self.start.dry_run {
            self.preview_keys(pairs);
            return Vec::new();
        }
        // One reading that misses the old key may be a partial one: then both wait for the next.
        let (seen_once, confirmed): (Vec<Pair>, Vec<Pair>) = pairs
            .into_iter()
            .partition(|pair| diff.unconfirmed.contains(&pair.old.key));
        for pair in &seen_once {
            diff.changed.retain(|sighting| sighting.key != pair.new);
            diff.unconfirmed.insert(pair.new.clone());
            let keys = (pair.old.key.clone(), pair.new.clone());
            self.memory.renaming.extend([keys]);
            self.held_back = true;
        }
        for pair in &confirmed {
            // Held until the table has taken the key.
            diff.missing.retain(|sighting| sighting.key != pair.old.key);
            diff.unconfirmed.insert(pair.old.key.clone());
        }
        confirmed
    }

    fn preview_keys(&mut self, pairs: Vec<Pair>) {
        let mapping = self.mapping.clone();
        for pair in pairs {
            for (column, text) in pair.differing(&mapping) {
                self.report.planned.push(Planned {
                    side: Side::Database,
                    operation: Operation::Update,
                    key: Some(pair.old.key.clone()),
                    column: Some(column),
                    old: pair.row.get(column).cloned().flatten(),
                    new: Some(text),
                    reason: "changed_in_sheet".into(),
                });
            }
            self.followed.extend([pair.old.key, pair.new]);
        }
    }

    /// After the guards have looked at the whole reading.
    pub(super) async fn change_keys(
        &mut self,
        diff: &mut Diff,
        mut pairs: Vec<Pair>,
    ) -> Result<(), Stop> {
        let mapping = self.mapping.clone();
        let waits = |pair: &Pair| {
            let known = self.memory.problems.get(&pair.new).into_iter().flatten();
            known.into_iter().any(|problem| {
                problem.column == pair.first_column(&mapping)
                    && problem.retry_at.is_some()
                    && !self.may_try(problem)
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
            apply: ready.iter().map(|pair| pair.apply(&mapping)).collect(),
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
                    // Conflicts that waited under the old key are found again under the new one.
                    let pending = pair.old.pending.iter().map(|one| one.id);
                    ended.settled_conflicts.extend(pending);
                    if key != pair.old.key {
                        let problems = self.memory.problems.remove(&pair.old.key);
                        for problem in problems.into_iter().flatten() {
                            let place = |key: &Key| Place {
                                key: Some(key.clone()),
                                sheet_row: None,
                                column: problem.column,
                            };
                            // What still stands in the way is found again under the new key.
                            self.note_settled(&place(&key));
                            ended.settled_problems.push(place(&pair.old.key));
                        }
                        ended.bases.push(BaseWrite {
                            key: pair.old.key,
                            base: None,
                            sheet_hash: ABSENT,
                        });
                    }
                }
                Applied::Stale | Applied::Kept { .. } => {
                    self.stale = true;
                    leave(diff, &pair.new);
                }
                Applied::Locked => {
                    self.report.locked = true;
                    self.hold_off(pair.old.key);
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
        let column = pair.first_column(&self.mapping);
        let mut problem = row_problem(&pair.new, column, Side::Database, refusal);
        let before = self
            .memory
            .problems
            .get(&pair.new)
            .and_then(|known| known.first())
            .map_or(0, |one| one.attempts);
        problem.retry_at = Some(retry_at(self.io.now(), &problem.code, before + 1));
        let known = self.memory.problems.insert(
            pair.new.clone(),
            vec![KnownProblem {
                column,
                code: problem.code.clone(),
                refused: None,
                attempts: before + 1,
                retry_at: problem.retry_at,
                arrivals: self.memory.arrivals,
            }],
        );
        for other in known.into_iter().flatten() {
            if other.column != column {
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
    fn apply(&self, mapping: &Mapping) -> Apply {
        let item = Item::new(self.old.key.clone(), self.old.clone());
        let values: Vec<(usize, Datum)> = self
            .differing(mapping)
            .into_iter()
            .map(|(column, text)| (column, Some(text)))
            .collect();
        let line = values.iter().map(|(column, new)| {
            let old = self.row.get(*column).cloned().flatten();
            (*column, old, new.clone())
        });
        Apply {
            key: self.old.key.clone(),
            new_key: Some(self.new.clone()),
            history: item.line(Side::Database, Operation::Update, line.collect()),
            change: Change::Update {
                values,
                expected: self.row.clone(),
            },
            sheet: self.cells.clone(),
            base: Some(self.base.clone()),
            owed: Vec::new(),
        }
    }
}
