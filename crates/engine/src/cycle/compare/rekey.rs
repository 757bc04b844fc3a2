//! A key that a person edited in the sheet: the table's row keeps its identity, and what else it
//! has, under the new key. Which keys these are is told in `missing.rs`.

use std::collections::HashSet;

use crate::cycle::compare::diff::{Diff, Sighting};
use crate::cycle::item::Item;
use crate::cycle::memory::KnownProblem;
use crate::cycle::memory::known::{Known, State};
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::tell::problems::{retry_at, row_problem};
use crate::effect::{
    Applied, Apply, BaseWrite, Change, Commit, LoadedRow, Operation, Place, Planned, Refusal,
    Snapshot,
};
use crate::io::mismatch;
use crate::mapping::{Mapping, Side};
use crate::tab::Layout;
use crate::value::{Base, Cell, Datum, Key, Text};

/// One row's old and its new key.
pub(crate) struct Rekeyed {
    pub old: Key,
    pub new: Key,
    /// Its row in the snapshot.
    pub at: u32,
    /// The table has changed it since both sides agreed.
    pub has_changed: bool,
}

impl Rekeyed {
    /// The key columns that differ, and their texts under the new key.
    fn differing(&self, mapping: &Mapping) -> Vec<(usize, Text)> {
        let parts = self.old.0.iter().zip(&self.new.0).zip(&mapping.key);
        let differing = parts.filter(|((before, after), _)| before != after);
        differing
            .map(|((_, text), column)| (*column, text.clone()))
            .collect()
    }

    fn first_column(&self, mapping: &Mapping) -> Option<usize> {
        self.differing(mapping).first().map(|(column, _)| *column)
    }
}

/// The row itself.
struct Pair {
    keys: Rekeyed,
    old: LoadedRow,
    base: Base,
    row: Vec<Datum>,
    cells: Vec<Cell>,
}

/// What became of rows whose keys the table was to follow.
struct Done {
    /// The keys that the reading shows changed.
    listed: HashSet<Key>,
    /// New keys with which nothing is to be done before the next reading.
    left: HashSet<Key>,
    /// Keys that the table made of the new ones.
    news: Vec<Sighting>,
}

impl Cycle {
    /// Keys that a person changed by hand: those that the table can follow now; the others wait.
    pub(crate) fn follow_keys(&mut self, diff: &mut Diff, rows: Vec<Rekeyed>) -> Vec<Rekeyed> {
        let old = rows.iter().map(|row| row.old.clone());
        diff.rekeyed.extend(old);
        if self.start.dry_run {
            self.preview_keys(rows);
            return Vec::new();
        }
        // One reading that misses the old key may be a partial one: then both wait for the next.
        let (seen_once, confirmed): (Vec<Rekeyed>, Vec<Rekeyed>) = rows
            .into_iter()
            .partition(|row| diff.unconfirmed.contains(&row.old));
        self.ending.held_back |= !seen_once.is_empty();
        let new: HashSet<Key> = seen_once.iter().map(|row| row.new.clone()).collect();
        diff.changed.retain(|sighting| !new.contains(&sighting.key));
        diff.unconfirmed.extend(new);
        let renaming = seen_once.into_iter().map(|row| (row.old, row.new));
        self.memory.missing.retyped.extend(renaming);
        // Held until the table has taken the key.
        let old: HashSet<Key> = confirmed.iter().map(|row| row.old.clone()).collect();
        diff.missing.retain(|sighting| !old.contains(&sighting.key));
        diff.unconfirmed.extend(old);
        confirmed
    }

    fn preview_keys(&mut self, rows: Vec<Rekeyed>) {
        let mapping = self.mapping.clone();
        for row in rows {
            for (column, text) in row.differing(&mapping) {
                let part = mapping.key.iter().position(|key| *key == column);
                self.report.planned.push(Planned {
                    side: Side::Database,
                    operation: Operation::Update,
                    key: Some(row.old.clone()),
                    column: Some(column),
                    old: part.and_then(|part| row.old.0.get(part)).cloned(),
                    new: Some(text),
                    reason: "changed_in_sheet".into(),
                });
            }
            self.round.followed.extend([row.old, row.new]);
        }
    }

    /// After the guards have looked at the whole reading.
    pub(crate) async fn change_keys(
        &mut self,
        diff: &mut Diff,
        mut rows: Vec<Rekeyed>,
        reading: (&Snapshot, &Layout),
    ) -> Result<(), Stop> {
        let mapping = self.mapping.clone();
        let waits = |row: &Rekeyed| {
            let mut known = self.memory.problems.of_row(&row.new).iter();
            known.any(|problem| {
                problem.column == row.first_column(&mapping)
                    && problem.retry_at.is_some()
                    && !self.may_try(problem)
            })
        };
        let waiting: Vec<Rekeyed> = rows.extract_if(.., |row| waits(row)).collect();
        let mut done = Done {
            listed: diff.changed.iter().map(|one| one.key.clone()).collect(),
            left: waiting.into_iter().map(|row| row.new).collect(),
            news: Vec::new(),
        };
        while !rows.is_empty() {
            let rest = rows.split_off(self.tab.max_tagged_rows().min(rows.len()));
            self.change_some_keys(diff, rows, reading, &mut done)
                .await?;
            rows = rest;
        }
        let left = done.left;
        diff.changed
            .retain(|sighting| !left.contains(&sighting.key));
        diff.changed.append(&mut done.news);
        Ok(())
    }

    async fn change_some_keys(
        &mut self,
        diff: &mut Diff,
        rows: Vec<Rekeyed>,
        (snapshot, layout): (&Snapshot, &Layout),
        done: &mut Done,
    ) -> Result<(), Stop> {
        let mapping = self.mapping.clone();
        let keys = rows.iter().map(|row| row.old.clone()).collect();
        let mut ready = Vec::with_capacity(rows.len());
        for (keys, old) in rows.into_iter().zip(self.load(keys).await?) {
            let cells = layout.mapped(&parse(snapshot, keys.at)?);
            let (row, base) = (old.row.clone(), old.base.clone());
            match row.zip(base) {
                Some((row, base)) if (row != base.database) == keys.has_changed => {
                    ready.push(Pair {
                        keys,
                        old,
                        base,
                        row,
                        cells,
                    });
                }
                // It has changed since the rows were told from one another.
                _ => {
                    self.ending.read_again = true;
                    done.left.insert(keys.new);
                }
            }
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
                    self.memory.forget(&pair.old.key);
                    let new = pair.keys.new;
                    // What else is to be done about the row is found under its new key.
                    let known = self.memory.known(&new);
                    *known = Known {
                        position: known.position,
                        ..Known::new(State::Based)
                    };
                    let stands_at = known.row();
                    // A trigger may have made another key of it, or the old one again.
                    let returned = row.and_then(|row| self.mapping.key_of_row(&row));
                    let key = returned.unwrap_or_else(|| new.clone());
                    if key != new {
                        diff.unconfirmed.remove(&key);
                        self.rename_known(&new, &key);
                        done.left.insert(new);
                    }
                    if !done.listed.contains(&key) {
                        done.news.push(Sighting {
                            key: key.clone(),
                            row: stands_at,
                            bytes: None,
                        });
                    }
                    if key != pair.old.key {
                        // Conflicts that waited under the old key are found again under the new
                        // one.
                        let pending = pair.old.pending.iter().map(|one| one.id);
                        ended
                            .settled_conflicts
                            .extend(pending.chain(pair.old.unsettled));
                        let problems = self.memory.problems.of_rows.remove(&pair.old.key);
                        for problem in problems.into_iter().flatten() {
                            let place = |key: &Key| Place {
                                key: Some(key.clone()),
                                sheet_row: None,
                                column: problem.column,
                            };
                            // What still stands in the way is found again under the new key.
                            self.queue_note_removal(&place(&key));
                            ended.settled_problems.push(place(&pair.old.key));
                        }
                        ended.bases.push(BaseWrite::gone(pair.old.key));
                    }
                }
                Applied::Stale | Applied::Kept { .. } => {
                    self.ending.read_again = true;
                    done.left.insert(pair.keys.new);
                }
                Applied::Locked => {
                    self.report.locked = true;
                    self.hold_off(pair.old.key);
                    done.left.insert(pair.keys.new);
                }
                Applied::Refused { cells, row } => {
                    let refusal = cells.into_iter().map(|(_, refusal)| refusal).next().or(row);
                    self.refuse_key(&pair.keys, refusal);
                    done.left.insert(pair.keys.new);
                }
            }
        }
        if !ended.bases.is_empty() {
            self.io.commit(ended).await?;
        }
        Ok(())
    }

    /// Neither the old row is deleted nor a new one made while the table does not take the key.
    fn refuse_key(&mut self, row: &Rekeyed, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else {
            return;
        };
        let column = row.first_column(&self.mapping);
        let mut problem = row_problem(&row.new, column, Side::Database, refusal);
        let before = self.memory.problems.of_row(&row.new).first();
        let before = before.map_or(0, |one| one.attempts);
        problem.retry_at = Some(retry_at(self.io.now(), &problem.code, before + 1));
        let known = self.memory.problems.of_rows.insert(
            row.new.clone(),
            vec![KnownProblem {
                column,
                code: problem.code.clone(),
                refused: None,
                attempts: before + 1,
                retry_at: problem.retry_at,
                tried_at: self.io.now(),
                arrivals: self.memory.problems.arrivals,
            }],
        );
        for other in known.into_iter().flatten() {
            if other.column != column {
                let place = Place {
                    column: other.column,
                    ..problem.place.clone()
                };
                self.queue_note_removal(&place);
                self.unrecorded.settled.push(place);
            }
        }
        if before == 0 {
            self.queue_note(&problem);
        }
        self.unrecorded.problems.push(problem);
    }
}

impl Pair {
    fn apply(&self, mapping: &Mapping) -> Apply {
        let item = Item::new(self.old.key.clone(), self.old.clone());
        let values: Vec<(usize, Datum)> = self
            .keys
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
            new_key: Some(self.keys.new.clone()),
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
