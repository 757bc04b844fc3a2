//! The table, its base rows and queues, and how a transaction on them goes.

use super::setup::{Filter, Setup, Value, key_of_row};
use super::values::{canonical, normal, refusal};
use super::{Verdict, broken};
use engine::effect::{
    Applied, Apply, Change, Commit, Conflict, DatabaseEffect, DatabaseOutcome, Decision, DirtyKey,
    FunctionCall, HistoryLine, Index, IndexEntry, LoadedRow, PendingConflict, Problem, Refusal,
    TypedText, Winner,
};
use engine::mapping::Mapping;
use engine::value::{Base, Datum, Key, Timestamp};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    pub values: Vec<Datum>,
    /// An unmapped column.
    pub listed: bool,
    /// Set at birth: another row with the same key is another row.
    pub identity: u32,
}

#[derive(Clone, Debug)]
pub struct ConflictLine {
    pub id: i64,
    pub conflict: Conflict,
    pub decision: Option<Decision>,
}

/// Ways in which a driver could be wrong, for the deliberate bugs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DriverBugs {
    /// The base row that belongs to an applied change is not stored.
    pub base_forgotten: bool,
    /// A change is applied to whatever the row is by now.
    pub unconditional: bool,
    /// One refused row rolls back the whole commit.
    pub all_or_nothing: bool,
}

pub struct Table {
    setup: Setup,
    pub mapping: Mapping,
    pub bugs: DriverBugs,
    pub rows: BTreeMap<Key, TableRow>,
    pub bases: BTreeMap<Key, (Base, i64)>,
    /// Append-only; the number tells what a cycle was given.
    pub dirty: Vec<(u64, Key, Timestamp)>,
    pub conflicts: Vec<ConflictLine>,
    pub problems: Vec<Problem>,
    pub history: Vec<HistoryLine>,
    /// Keys that defaults have given, and rows that the conflict function has made: values that come from no person.
    pub generated: Vec<Key>,
    pub merged: Vec<(Key, Vec<Datum>)>,
    next_key: u32,
    next_dirty: u64,
    next_identity: u32,
}

impl Table {
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            mapping: setup.mapping(),
            bugs: DriverBugs::default(),
            rows: BTreeMap::new(),
            bases: BTreeMap::new(),
            dirty: Vec::new(),
            conflicts: Vec::new(),
            problems: Vec::new(),
            history: Vec::new(),
            generated: Vec::new(),
            merged: Vec::new(),
            next_key: 1000,
            next_dirty: 1,
            next_identity: 1,
        }
    }

    // ------------------------------------------------------------------------------------------------------- statements

    /// INSERT, as anybody does it.
    pub fn insert(&mut self, values: Vec<Datum>, now: Timestamp) -> Result<Vec<Datum>, Refusal> {
        let values = self.triggered(values);
        let key = key_of_row(&self.mapping, &values);
        if self.rows.contains_key(&key) {
            return Err(refusal(
                "23505",
                "duplicate key value violates unique constraint \"primary key\"",
            ));
        }
        self.check(&key, &values)?;
        let row = TableRow {
            values: values.clone(),
            listed: true,
            identity: self.next_identity,
        };
        self.next_identity += 1;
        self.rows.insert(key.clone(), row);
        self.mark(&key, now);
        Ok(values)
    }

    /// UPDATE of one row that exists, whatever changes in it.
    pub fn update(
        &mut self,
        key: &Key,
        values: Vec<Datum>,
        now: Timestamp,
    ) -> Result<Vec<Datum>, Refusal> {
        let values = self.triggered(values);
        let new_key = key_of_row(&self.mapping, &values);
        if new_key != *key && self.rows.contains_key(&new_key) {
            return Err(refusal(
                "23505",
                "duplicate key value violates unique constraint \"primary key\"",
            ));
        }
        self.check(key, &values)?;
        let mut row = self.rows[key].clone();
        if row.values == values {
            return Ok(values);
        }
        row.values = values.clone();
        self.mark(key, now);
        if new_key != *key {
            self.rows.remove(key);
            self.mark(&new_key, now);
        }
        self.rows.insert(new_key, row);
        Ok(values)
    }

    /// DELETE of one row, if it is there.
    pub fn delete(&mut self, key: &Key, now: Timestamp) -> Result<(), Refusal> {
        let Some(row) = self.rows.get(key) else {
            return Ok(());
        };
        if self.setup.pinned && row.identity.is_multiple_of(2) {
            return Err(refusal(
                "23503",
                "update or delete on table violates foreign key constraint",
            ));
        }
        self.rows.remove(key);
        self.mark(key, now);
        Ok(())
    }

    pub fn toggle_listed(&mut self, key: &Key, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(key) {
            row.listed = !row.listed;
            self.mark(key, now);
        }
    }

    /// What the capture trigger does.
    pub fn mark(&mut self, key: &Key, now: Timestamp) {
        self.dirty.push((self.next_dirty, key.clone(), now));
        self.next_dirty += 1;
    }

    fn triggered(&self, mut values: Vec<Datum>) -> Vec<Datum> {
        for (column, value) in self.mapping.columns.iter().zip(&mut values) {
            if self.setup.upper && column.name == "code" {
                *value = value.as_ref().map(|text| text.to_uppercase());
            }
        }
        values
    }

    fn check(&self, key: &Key, values: &[Datum]) -> Result<(), Refusal> {
        for (index, column) in self.mapping.columns.iter().enumerate() {
            let value = values[index].as_deref();
            if value.is_none() && !column.nullable {
                return Err(refusal(
                    "23502",
                    format!(
                        "null value in column \"{}\" violates not-null constraint",
                        column.name
                    ),
                ));
            }
            if (column.name == "qty" && value.is_some_and(|n| n.starts_with('-')))
                || (column.name == "name" && value == Some("forbidden"))
            {
                return Err(refusal(
                    "23514",
                    format!(
                        "new row violates check constraint \"{}_check\"",
                        column.name
                    ),
                ));
            }
            let taken = |(other, row): (&Key, &TableRow)| {
                other != key && row.values[index].as_deref() == value
            };
            if column.name == "code" && value.is_some() && self.rows.iter().any(taken) {
                return Err(refusal(
                    "23505",
                    "duplicate key value violates unique constraint \"code\"",
                ));
            }
        }
        Ok(())
    }

    pub fn in_filter(&self, row: &TableRow) -> bool {
        match self.setup.filter {
            Filter::None => true,
            Filter::Listed => row.listed,
            Filter::Live => match self
                .mapping
                .columns
                .iter()
                .position(|column| column.name == "live")
            {
                Some(live) => row.values[live].as_deref() != Some("f"),
                None => true,
            },
        }
    }

    /// `resolve()`: one pending conflict is decided, and its row looked at again.
    pub fn resolve(&mut self, nth: u8, decision: Decision, now: Timestamp) {
        let pending = |line: &&mut ConflictLine| {
            line.conflict.winner == Winner::Pending && !line.conflict.settled
        };
        let count = self.conflicts.iter_mut().filter(pending).count();
        if let Some(line) = self
            .conflicts
            .iter_mut()
            .filter(pending)
            .nth(usize::from(nth) % count.max(1))
        {
            line.decision = Some(decision);
            let key = line.conflict.key.clone();
            self.mark(&key, now);
        }
    }

    // ---------------------------------------------------------------------------------------------------------- effects

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
                    .map(|(key, (_, hash))| IndexEntry {
                        key: key.clone(),
                        sheet_hash: *hash,
                    })
                    .collect(),
                problems: self
                    .problems
                    .iter()
                    .map(|problem| problem.place.clone())
                    .collect(),
            }),
            DatabaseEffect::FindChanged => DatabaseOutcome::Changed(self.find_changed()),
            DatabaseEffect::Load { keys } => {
                DatabaseOutcome::Rows(keys.iter().map(|key| self.load(key)).collect())
            }
            DatabaseEffect::Canonicalise { cells } => {
                let canonical = |typed: &TypedText| {
                    canonical(self.mapping.columns[typed.column].kind, &typed.text)
                };
                DatabaseOutcome::Canonical(cells.iter().map(canonical).collect())
            }
            DatabaseEffect::GenerateKeys { count } => {
                if !self.mapping.key_generated {
                    return broken("keys generated for a table whose key has no default");
                }
                let keys: Vec<Key> = (0..*count as u32)
                    .map(|n| Key(vec![(self.next_key + n).to_string()]))
                    .collect();
                self.next_key += *count as u32;
                self.generated.extend(keys.iter().cloned());
                DatabaseOutcome::Keys(keys)
            }
            DatabaseEffect::MergeByFunction { rows } => {
                let merged: Vec<_> = rows.iter().map(|call| self.merge(call)).collect();
                for (call, row) in rows.iter().zip(&merged) {
                    self.merged
                        .extend(row.iter().map(|row| (call.key.clone(), row.clone())));
                }
                DatabaseOutcome::Merged(merged)
            }
            DatabaseEffect::Commit(commit) => DatabaseOutcome::Committed(self.commit(commit, now)?),
        })
    }

    fn find_changed(&self) -> Vec<DirtyKey> {
        let table = self.rows.iter().filter(|(key, row)| {
            let base = self.bases.get(key);
            self.in_filter(row) != base.is_some()
                || base.is_some_and(|(base, _)| base.database != row.values)
        });
        let gone = self.bases.keys().filter(|key| !self.rows.contains_key(key));
        table
            .map(|(key, _)| key)
            .chain(gone)
            .map(|key| DirtyKey {
                key: key.clone(),
                changed_at: None,
            })
            .collect()
    }

    fn load(&self, key: &Key) -> LoadedRow {
        let row = self.rows.get(key);
        let pending = self.conflicts.iter().filter(|line| {
            line.conflict.key == *key
                && line.conflict.winner == Winner::Pending
                && !line.conflict.settled
        });
        LoadedRow {
            key: key.clone(),
            row: row.map(|row| row.values.clone()),
            in_filter: row.is_none_or(|row| self.in_filter(row)),
            base: self.bases.get(key).map(|(base, _)| base.clone()),
            changed_at: self
                .dirty
                .iter()
                .rev()
                .find(|(_, dirty, _)| dirty == key)
                .map(|(_, _, at)| *at),
            pending: pending
                .map(|line| PendingConflict {
                    id: line.id,
                    column: line.conflict.column,
                    database: line.conflict.database.clone(),
                    sheet: line.conflict.sheet.clone(),
                    decision: line.decision.clone(),
                })
                .collect(),
        }
    }

    /// The conflict function of the model: the longer text wins, the greater of equals; it fails on 13.
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
        for write in &commit.bases {
            match &write.base {
                Some(base) => self
                    .bases
                    .insert(write.key.clone(), (base.clone(), write.sheet_hash)),
                None => self.bases.remove(&write.key),
            };
        }
        commit
            .conflicts
            .iter()
            .for_each(|conflict| self.record(conflict));
        for line in &mut self.conflicts {
            line.conflict.settled |= commit.settled_conflicts.contains(&line.id);
        }
        self.problems
            .retain(|problem| !commit.settled_problems.contains(&problem.place));
        for problem in &commit.problems {
            self.problems.retain(|known| known.place != problem.place);
            self.problems.push(problem.clone());
        }
        self.history.extend(commit.history.iter().cloned());
        Ok(answers)
    }

    fn record(&mut self, conflict: &Conflict) {
        let same = |line: &&mut ConflictLine| {
            let known = &line.conflict;
            !known.settled
                && known.key == conflict.key
                && known.column == conflict.column
                && known.database == conflict.database
                && known.sheet == conflict.sheet
        };
        match self.conflicts.iter_mut().find(same) {
            Some(line) => line.conflict = conflict.clone(),
            None => {
                let id = self.conflicts.len() as i64 + 1;
                self.conflicts.push(ConflictLine {
                    id,
                    conflict: conflict.clone(),
                    decision: None,
                });
            }
        }
    }

    fn apply(&mut self, apply: &Apply, now: Timestamp) -> Verdict<Applied> {
        let key = &apply.key;
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
            | (Change::Update { .. } | Change::Delete { .. }, None) => return Ok(Applied::Stale),
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
            (Change::Update { values, expected }, Some(mut row)) => {
                if row != *expected && !self.bugs.unconditional {
                    return Ok(Applied::Stale);
                }
                take(&mut row, values);
                if key_of_row(&self.mapping, &row) != *apply.new_key.as_ref().unwrap_or(key) {
                    return broken(format!(
                        "an update of {key:?} to {:?} sets the key by {values:?}",
                        apply.new_key
                    ));
                }
                self.update(key, row, now).map(Some)
            }
            (Change::Delete { expected }, Some(row)) => {
                if row != *expected && !self.bugs.unconditional {
                    return Ok(Applied::Stale);
                }
                self.delete(key, now).map(|()| None)
            }
        };
        Ok(match result {
            Ok(row) => {
                let left_out: Vec<usize> = refused.iter().map(|(column, _)| *column).collect();
                let write = apply.base_after(&self.mapping, row.as_deref(), &left_out);
                if apply.new_key.is_some() {
                    self.bases.remove(key);
                }
                match write.base {
                    _ if self.bugs.base_forgotten => {}
                    Some(base) => drop(self.bases.insert(write.key, (base, write.sheet_hash))),
                    None => drop(self.bases.remove(&write.key)),
                }
                let mut line = apply.history.clone();
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

/// What people do to the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TableEdit {
    Insert {
        key: u8,
        value: Value,
    },
    Update {
        row: u8,
        column: u8,
        value: Value,
    },
    Rekey {
        row: u8,
        key: u8,
    },
    Delete {
        row: u8,
    },
    Truncate,
    /// In or out of the row filter, where that is on a column of its own.
    Relist {
        row: u8,
    },
}

impl Table {
    /// Does nothing where Postgres refuses it or there is no such row.
    pub fn edit(&mut self, edit: TableEdit, now: Timestamp) {
        let nth = |row: u8| {
            self.rows
                .keys()
                .nth(usize::from(row) % self.rows.len().max(1))
                .cloned()
        };
        // A person sees an error here, and so nothing is owed to them.
        let _ = match edit {
            TableEdit::Insert { key, value } => {
                let row = super::setup::row_of(&self.setup, &self.mapping, key, value);
                self.insert(row, now)
            }
            TableEdit::Update { row, column, value } => {
                let Some(key) = nth(row) else { return };
                let column = usize::from(column) % self.mapping.columns.len();
                if self.mapping.key.contains(&column) {
                    return;
                }
                let kind = self.mapping.columns[column].kind;
                let mut values = self.rows[&key].values.clone();
                let datum = value.datum(kind);
                if normal(kind, &datum) != normal(kind, &values[column]) {
                    values[column] = datum;
                }
                self.update(&key, values, now)
            }
            TableEdit::Rekey { row, key } => {
                let Some(old) = nth(row) else { return };
                let mut values = self.rows[&old].values.clone();
                for (&column, part) in self.mapping.key.iter().zip(self.setup.key(key).0) {
                    values[column] = Some(part);
                }
                self.update(&old, values, now)
            }
            TableEdit::Delete { row } => match nth(row) {
                Some(key) => self.delete(&key, now).map(|()| Vec::new()),
                None => return,
            },
            TableEdit::Truncate => {
                let keys: Vec<Key> = self.rows.keys().cloned().collect();
                keys.iter()
                    .try_for_each(|key| self.delete(key, now))
                    .map(|()| Vec::new())
            }
            TableEdit::Relist { row } => {
                if let Some(key) = nth(row).filter(|_| self.setup.filter == Filter::Listed) {
                    self.toggle_listed(&key, now);
                }
                return;
            }
        };
    }
}
