//! What the engine's effects do to the database, each in one transaction.

use super::super::setup::{identity, key_of_row, spelling_of_row};
use super::super::values::{canonical, refusal};
use super::super::{Verdict, broken};
use super::{BaseRow, ConflictLine, Table, TableRow};
use engine::effect::{
    Announcement, Applied, Apply, BaseWrite, Change, Commit, Conflict, DatabaseEffect,
    DatabaseOutcome, DirtyKey, FunctionCall, HistoryLine, Index, IndexEntry, KeyRefusal, LoadedRow,
    PendingConflict, PendingRows, Refusal, Respelled, Stamp, StoredProblem, StoredRow, TypedText,
    Winner,
};
use engine::value::{Base, Datum, Key, Text, Timestamp};
use std::collections::BTreeMap;

impl Table {
    pub fn carry_out(
        &mut self,
        effect: &DatabaseEffect,
        now: Timestamp,
    ) -> Verdict<DatabaseOutcome> {
        Ok(match effect {
            DatabaseEffect::ReadIndex => DatabaseOutcome::Index(Index {
                rows: self
                    .bases
                    .iter()
                    .map(|(name, row)| IndexEntry {
                        key: self.spelling(name).clone(),
                        state: row.state.clone(),
                        inserting: row.inserting.clone(),
                        typed: self.typed(self.spelling(name), &row.base),
                    })
                    .collect(),
                problems: self
                    .told
                    .iter()
                    .map(|problem| StoredProblem {
                        place: problem.place.clone(),
                        message: problem.message.clone(),
                    })
                    .collect(),
                writing: self.writing.clone(),
                unsettled: self.unsettled().map(|(key, _)| key.clone()).collect(),
            }),
            DatabaseEffect::FindChanged => DatabaseOutcome::Changed(self.find_changed()),
            DatabaseEffect::Load { keys } => {
                let (first, left) = keys.split_at(self.at_a_time(keys));
                DatabaseOutcome::Rows {
                    rows: first.iter().map(|key| self.load(key)).collect(),
                    left: left.to_vec(),
                }
            }
            DatabaseEffect::Canonicalise { cells } => {
                let canonical = |typed: &TypedText| {
                    canonical(self.mapping.columns[typed.column].kind, &typed.text)
                };
                DatabaseOutcome::Canonical(cells.iter().map(canonical).collect())
            }
            DatabaseEffect::NameKeys { typed } => {
                let mut first: BTreeMap<Key, Key> = BTreeMap::new();
                let named = typed.iter().map(|typed| {
                    let key = self.name(typed)?;
                    if self.bugs.letter_by_letter {
                        return Ok(key);
                    }
                    let name = identity(&self.mapping, &key);
                    Ok(first.entry(name).or_insert(key).clone())
                });
                DatabaseOutcome::Named(named.collect())
            }
            DatabaseEffect::FindRespelled { keys, new } => {
                let names = new.iter().map(|key| identity(&self.mapping, key));
                let gone: Vec<Key> = names
                    .filter(|name| self.may_be_parted(name))
                    .map(|name| self.spelling(&name).clone())
                    .filter(|known| !keys.contains(known))
                    .collect();
                let found = keys.iter().chain(&gone).filter_map(|known| {
                    let now = self.spelled(known)?;
                    Some(Respelled {
                        known: known.clone(),
                        now,
                    })
                });
                DatabaseOutcome::Respelled(found.filter(|_| !self.bugs.letter_by_letter).collect())
            }
            DatabaseEffect::GenerateKeys { count, .. } => {
                if !self.mapping.key_generated {
                    return broken("keys generated for a table whose key has no default");
                }
                let keys: Vec<Key> = (0..*count as u32)
                    .map(|n| Key::from_iter([(self.next_key + n).to_string()]))
                    .collect();
                self.next_key += *count as u32;
                self.generated.extend(keys.iter().cloned());
                DatabaseOutcome::Keys(keys.into_iter().map(Ok).collect())
            }
            DatabaseEffect::MergeByFunction { rows } => {
                let merged: Vec<_> = rows.iter().map(|call| self.merge(call)).collect();
                for (call, row) in rows.iter().zip(&merged) {
                    self.merged
                        .extend(row.iter().map(|row| (call.key.clone(), row.clone())));
                }
                DatabaseOutcome::Merged(merged)
            }
            DatabaseEffect::AskOtherTabs { .. } => {
                return broken("the driver knows of other tabs, and not the table");
            }
            DatabaseEffect::Commit(commit) => DatabaseOutcome::Committed(self.commit(commit, now)?),
        })
    }

    /// The table may have lost the row of this base: by agreement, or while what is to become of it
    /// waits for somebody.
    fn may_be_parted(&self, name: &Key) -> bool {
        let agreed = |row: &BaseRow| row.base.database.is_empty();
        let spelled = self.spelling(name);
        let mut lines = self.conflicts.iter();
        let mut problems = self.told.iter();
        self.bases.get(name).is_some_and(agreed)
            || self.bases.contains_key(name)
                && (lines.any(|line| line.spelling == *spelled && !line.conflict.settled)
                    || problems.any(|one| one.place.key.as_ref() == Some(spelled)))
    }

    fn typed(&self, key: &Key, base: &Base) -> Option<Key> {
        let write = BaseWrite {
            key: key.clone(),
            row: Some(StoredRow::agreed(base.clone())),
        };
        write.typed(&self.mapping)
    }

    fn name(&self, typed: &Key) -> Result<Key, KeyRefusal> {
        let part = |(column, text): (&usize, &Text)| {
            canonical(self.mapping.columns[*column].kind, text).map_err(|refusal| KeyRefusal {
                column: *column,
                refusal,
            })
        };
        let parts = self.mapping.key.iter().zip(&typed.0).map(part);
        let printed: Key = parts
            .collect::<Result<Vec<Text>, _>>()
            .map(Key::from_iter)?;
        if self.bugs.letter_by_letter {
            return Ok(printed);
        }
        let name = identity(&self.mapping, &printed);
        let based = self.bases.contains_key(&name);
        let known = based.then(|| self.spelling(&name).clone());
        let row = self.rows.get(&name);
        let printed_by_table = row.map(|row| spelling_of_row(&self.mapping, &row.values));
        Ok(known.or(printed_by_table).unwrap_or(printed))
    }

    /// How the table prints this key, where that is otherwise.
    fn spelled(&self, key: &Key) -> Option<Key> {
        let row = self.rows.get(&identity(&self.mapping, key))?;
        Some(spelling_of_row(&self.mapping, &row.values)).filter(|now| now != key)
    }

    fn find_changed(&self) -> Vec<DirtyKey> {
        let spelled = |row: &TableRow| spelling_of_row(&self.mapping, &row.values);
        let table = self.rows.values().filter(|row| {
            let base = self.base(&spelled(row));
            self.in_filter(row) != base.is_some()
                || base.is_some_and(|stored| stored.base.database != row.values)
        });
        let bases = self.bases.keys().map(|name| self.spelling(name));
        let gone = bases.filter(|key| self.row(key).is_none());
        table
            .map(spelled)
            .chain(gone.cloned())
            .map(|key| DirtyKey {
                key,
                changed_at: None,
            })
            .collect()
    }

    /// How many of these are loaded at a time. It is always the same rows that are large.
    pub fn at_a_time(&self, keys: &[Key]) -> usize {
        if !self.large_rows {
            return keys.len();
        }
        let sum = |key: &Key| key.0.concat().bytes().map(u32::from).sum::<u32>();
        let large = |key: &Key| sum(key).is_multiple_of(8);
        let first = keys.iter().position(large);
        first.map_or(keys.len(), |first| first + 1)
    }

    fn load(&self, key: &Key) -> LoadedRow {
        let row = self.row(key);
        let pending = self.conflicts.iter().filter(|line| {
            line.spelling == *key
                && line.conflict.winner == Winner::Pending
                && !line.conflict.settled
        });
        LoadedRow {
            key: key.clone(),
            row: row.map(|row| row.values.clone()),
            spelled: self.spelled(key),
            in_filter: row.is_none_or(|row| self.in_filter(row)),
            base: self.base(key).map(|row| row.base.clone()),
            changed_at: self
                .dirty
                .iter()
                .rev()
                .find(|(_, dirty, _)| dirty == key)
                .map(|(_, _, at)| *at),
            moved: self.moved(key).filter(|_| !self.bugs.renames_forgotten),
            pending: pending
                .map(|line| PendingConflict {
                    id: line.id,
                    column: line.conflict.column,
                    database: line.conflict.database.clone(),
                    sheet: line.conflict.sheet.clone(),
                    rows: pending_rows(&line.conflict),
                    decision: line.decision.clone(),
                })
                .collect(),
            unsettled: self
                .unsettled()
                .filter(|(other, _)| *other == key)
                .map(|(_, id)| id)
                .collect(),
        }
    }

    /// Conflicts that were decided by a policy and not carried out, as far as anybody has said.
    fn unsettled(&self) -> impl Iterator<Item = (&Key, i64)> {
        let decided = self
            .conflicts
            .iter()
            .filter(|line| line.conflict.winner != Winner::Pending && !line.conflict.settled);
        decided.map(|line| (&line.spelling, line.id))
    }

    /// The conflict function of the model: the longer text wins, the greater of equals; it fails on
    /// 13.
    fn merge(&self, call: &FunctionCall) -> Result<Vec<Datum>, Refusal> {
        let (database, sheet) = match (&call.database, &call.sheet) {
            (Some(database), Some(sheet)) => (database, sheet),
            (Some(row), None) | (None, Some(row)) => return Ok(row.clone()),
            (None, None) => return Err(refusal("22004", "nothing to merge")),
        };
        let rank = |datum: &Datum| datum.as_ref().map(|text| (text.len(), text.clone()));
        if database
            .iter()
            .chain(sheet)
            .any(|datum| datum.as_deref() == Some("13"))
        {
            return Err(refusal("22012", "division by zero"));
        }
        let greater = |(a, b): (&Datum, &Datum)| {
            if rank(a) < rank(b) {
                b.clone()
            } else {
                a.clone()
            }
        };
        Ok(database.iter().zip(sheet).map(greater).collect())
    }

    fn commit(&mut self, commit: &Commit, now: Timestamp) -> Verdict<Vec<Applied>> {
        let before = self.bugs.all_or_nothing.then(|| self.rows.clone());
        let mut answers = Vec::with_capacity(commit.apply.len());
        for apply in &commit.apply {
            answers.push(self.apply(apply, now)?);
        }
        if let Some(before) = before.filter(|_| {
            answers
                .iter()
                .any(|answer| matches!(answer, Applied::Refused { .. }))
        }) {
            self.rows = before;
            return Ok(commit.apply.iter().map(|_| Applied::Stale).collect());
        }
        for (column, text) in &commit.headers {
            self.mapping.columns[*column].header.clone_from(text);
        }
        for batch in &commit.inserting {
            for row in &batch.rows {
                let stored = row.row.clone().expect("a new row has a base");
                let name = self.store_base(&row.key, stored);
                let row = self.bases.get_mut(&name).expect("it was just stored");
                row.inserting = Some(batch.stamp.clone()).filter(|_| !self.bugs.arrived_ahead);
            }
        }
        for row in self.bases.values_mut() {
            let arrived = |stamp: &mut Stamp| commit.inserted.contains(stamp);
            row.inserting.take_if(arrived);
        }
        for write in &commit.bases {
            if let Some(StoredRow { base, .. }) = &write.row
                && base.database.iter().any(Option::is_some)
                && key_of_row(&self.mapping, &base.database) != write.key
            {
                // What both sides had agreed on under another key.
                self.followed.push((write.key.clone(), base.clone()));
            }
            match &write.row {
                Some(row) => {
                    self.store_base(&write.key, row.clone());
                }
                None => self.drop_base(&write.key),
            }
        }
        // Of rows that are left as they are nothing was decided.
        let left = commit.apply.iter().zip(&answers);
        let left = left.filter(|(_, one)| matches!(one, Applied::Stale | Applied::Locked));
        let left: Vec<&Key> = left.map(|(apply, _)| &apply.key).collect();
        let decided = commit.conflicts.iter();
        decided
            .filter(|conflict| !left.contains(&&conflict.key))
            .for_each(|conflict| self.record(conflict));
        for line in &mut self.conflicts {
            line.conflict.settled |= commit.settled_conflicts.contains(&line.id);
        }
        let lines: Vec<HistoryLine> = commit.history.iter().map(|line| self.named(line)).collect();
        let over = &commit.settled_problems;
        self.told.retain(|known| !over.contains(&known.place));
        for problem in &commit.problems {
            self.told.retain(|known| known.place != problem.place);
            self.told.push(problem.clone());
        }
        self.name_problems();
        self.history.extend(lines);
        match &commit.writing {
            Some(Announcement::Begins(stamp)) => self.writing.push(stamp.clone()),
            Some(Announcement::Over) => self.writing.clear(),
            None => {}
        }
        Ok(answers)
    }

    fn named(&self, line: &HistoryLine) -> HistoryLine {
        HistoryLine {
            key: identity(&self.mapping, &line.key),
            ..line.clone()
        }
    }

    fn record(&mut self, conflict: &Conflict) {
        let same = |line: &&mut ConflictLine| {
            let known = &line.conflict;
            !known.settled
                && line.spelling == conflict.key
                && known.column == conflict.column
                && known.database == conflict.database
                && known.sheet == conflict.sheet
                && known.rows == conflict.rows
        };
        let named = Conflict {
            key: identity(&self.mapping, &conflict.key),
            ..conflict.clone()
        };
        match self.conflicts.iter_mut().find(same) {
            Some(line) => line.conflict = named,
            None => {
                let id = self.conflicts.len() as i64 + 1;
                self.conflicts.push(ConflictLine {
                    id,
                    spelling: conflict.key.clone(),
                    conflict: named,
                    decision: None,
                });
            }
        }
    }

    fn apply(&mut self, apply: &Apply, now: Timestamp) -> Verdict<Applied> {
        // By its operator, as Postgres finds it.
        let key = &identity(&self.mapping, &apply.key);
        let new_key = apply.new_key.as_ref();
        let new_key = new_key.map(|key| identity(&self.mapping, key));
        if self.locked.contains(key) || new_key.is_some_and(|key| self.locked.contains(&key)) {
            return Ok(match self.bugs.locked_as_done {
                true => Applied::Done {
                    row: self.rows.get(key).map(|row| row.values.clone()),
                    refused: Vec::new(),
                },
                false => Applied::Locked,
            });
        }
        let current = self.rows.get(key).map(|row| row.values.clone());
        let mut refused = Vec::new();
        let mut take = |row: &mut Vec<Datum>, values: &[(usize, Datum)]| {
            for (column, datum) in values {
                let kind = self.mapping.columns[*column].kind;
                match datum
                    .as_deref()
                    .map(|text| canonical(kind, text))
                    .transpose()
                {
                    Ok(datum) => row[*column] = datum,
                    Err(refusal) => refused.push((*column, refusal)),
                }
            }
        };
        let result = match (&apply.change, current) {
            (Change::Insert { .. }, Some(_))
            | (Change::Update { .. } | Change::Enter { .. } | Change::Delete { .. }, None) => {
                return Ok(Applied::Stale);
            }
            (Change::Insert { values }, None) => {
                let mut row = vec![None; self.mapping.columns.len()];
                take(&mut row, values);
                if key_of_row(&self.mapping, &row) != *key {
                    return broken(format!("{key:?} is inserted as {row:?}"));
                }
                if !refused.is_empty() && !self.setup.insert_leaves_out {
                    return Ok(Applied::Refused {
                        cells: refused,
                        row: None,
                    });
                }
                let fits = TableRow {
                    values: row.clone(),
                    listed: true,
                    identity: 0,
                };
                if self.in_filter(&fits) {
                    self.insert(row, now).map(Some)
                } else {
                    Err(refusal(
                        "44000",
                        "the new row does not match the row filter",
                    ))
                }
            }
            (
                Change::Update { values, expected } | Change::Enter { values, expected },
                Some(old),
            ) => {
                if old != *expected && !self.bugs.unconditional {
                    return Ok(Applied::Stale);
                }
                let mut row = old.clone();
                take(&mut row, values);
                let new_key = apply.new_key.as_ref().unwrap_or(&apply.key);
                if key_of_row(&self.mapping, &row) != identity(&self.mapping, new_key) {
                    return broken(format!(
                        "an update of {key:?} to {:?} sets the key by {values:?}",
                        apply.new_key
                    ));
                }
                // The column that is to blame stays as it was; the others are applied.
                while let Some((column, refusal)) =
                    self.objection(key, &self.triggered(row.clone()))
                {
                    if row[column] == old[column] {
                        break;
                    }
                    row[column] = old[column].clone();
                    refused.push((column, refusal));
                }
                let enters = matches!(apply.change, Change::Enter { .. });
                if refused.len() == values.len() || enters && !refused.is_empty() {
                    return Ok(Applied::Refused {
                        cells: refused,
                        row: None,
                    });
                }
                let fits = TableRow {
                    values: self.triggered(row.clone()),
                    ..self.rows[key].clone()
                };
                match enters && !self.in_filter(&fits) {
                    true => Err(refusal("44000", "the row does not match the row filter")),
                    false => self.update(key, row, now).map(Some),
                }
            }
            (Change::Delete { expected }, Some(row)) => {
                if row != *expected && !self.bugs.unconditional {
                    return Ok(Applied::Stale);
                }
                if self.is_kept(key) && !self.bugs.kept_as_deleted {
                    let write = apply.base_kept(&self.mapping);
                    let stored = write.row.expect("a row that comes back has one");
                    self.store_base(&write.key, stored);
                    return Ok(Applied::Kept { row });
                }
                self.delete(key, now).map(|()| None)
            }
        };
        Ok(match result {
            Ok(row) => {
                let left_out: Vec<usize> = refused.iter().map(|(column, _)| *column).collect();
                let write = apply.base_after(&self.mapping, row.as_deref(), &left_out);
                if write.key != apply.key {
                    self.drop_base(&apply.key);
                }
                if let Some(new_key) = &apply.new_key {
                    let base = apply.base.clone();
                    let name = identity(&self.mapping, new_key);
                    self.followed.extend(base.map(|base| (name, base)));
                }
                match write.row {
                    _ if self.bugs.base_forgotten => {}
                    Some(row) => {
                        self.store_base(&write.key, row);
                    }
                    None => self.drop_base(&write.key),
                }
                let mut line = self.named(&apply.history);
                line.new.retain(|(column, _)| !left_out.contains(column));
                self.history.push(line);
                Applied::Done { row, refused }
            }
            Err(refusal) => Applied::Refused {
                cells: refused,
                row: Some(refusal),
            },
        })
    }
}

fn pending_rows(conflict: &Conflict) -> Option<Box<PendingRows>> {
    fn numbered<T: Clone>(row: Option<&Vec<T>>) -> Option<Vec<(usize, T)>> {
        row.map(|cells| cells.iter().cloned().enumerate().collect())
    }
    let rows = conflict.rows.as_deref()?;
    Some(Box::new(PendingRows {
        database: numbered(rows.database.as_ref()),
        sheet: numbered(rows.sheet.as_ref()),
    }))
}
