//! The table, and what is stored of it.

use super::*;

impl World {
    pub fn database(&mut self, effect: DatabaseEffect) -> DatabaseOutcome {
        match effect {
            DatabaseEffect::ReadIndex => DatabaseOutcome::Index(Index {
                rows: self
                    .bases
                    .iter()
                    .map(|(key, row)| IndexEntry {
                        key: key.clone(),
                        state: row.state.clone(),
                        inserting: self.arriving.get(key).cloned(),
                        typed: typed(&self.mapping, key, row),
                    })
                    .collect(),
                problems: self.problems.clone(),
                writing: Vec::new(),
                unsettled: Vec::new(),
            }),
            DatabaseEffect::FindChanged => DatabaseOutcome::Changed(
                self.table
                    .iter()
                    .filter(|(key, row)| {
                        self.bases
                            .get(key)
                            .is_none_or(|stored| stored.base.database != **row)
                    })
                    .map(|(key, _)| DirtyKey {
                        key: key.clone(),
                        changed_at: None,
                    })
                    .collect(),
            ),
            DatabaseEffect::Load { keys } => {
                self.loads += 1;
                let mut first = keys;
                let left = first.split_off(self.loads_at_a_time.min(first.len()));
                DatabaseOutcome::Rows {
                    left,
                    rows: first
                        .into_iter()
                        .map(|key| LoadedRow {
                            row: self.table.get(&key).cloned(),
                            spelled: self.spelled(&key).filter(|now| *now != key),
                            in_filter: !self.outside.contains(&key),
                            base: self.bases.get(&key).map(|row| row.base.clone()),
                            changed_at: None,
                            moved: None,
                            pending: self.pending.get(&key).cloned().unwrap_or_default(),
                            unsettled: Vec::new(),
                            key,
                        })
                        .collect(),
                }
            }
            DatabaseEffect::Canonicalise { cells } => DatabaseOutcome::Canonical(
                cells
                    .into_iter()
                    .map(|cell| Ok(cell.text.trim().into()))
                    .collect(),
            ),
            DatabaseEffect::NameKeys { typed } => {
                let mut named: Vec<Key> = Vec::new();
                for typed in typed {
                    let printed = match self.mapping.columns[0].kind {
                        Kind::Text => typed,
                        _ => typed.0.iter().map(|part| part.trim()).collect(),
                    };
                    if self.mapping.key_equality == KeyEquality::ByText {
                        named.push(printed);
                        continue;
                    }
                    let mut known = self.bases.keys().chain(&named);
                    let known = known.find(|known| self.is_equal(known, &printed)).cloned();
                    let known = known.or_else(|| self.spelled(&printed));
                    named.push(known.unwrap_or(printed));
                }
                DatabaseOutcome::Named(named.into_iter().map(Ok).collect())
            }
            DatabaseEffect::FindRespelled { keys, .. } => {
                let respelled = keys.into_iter().filter_map(|known| {
                    let now = self.spelled(&known)?;
                    let is_news = now != known && !self.bases.contains_key(&now);
                    is_news.then_some(Respelled { known, now })
                });
                DatabaseOutcome::Respelled(respelled.collect())
            }
            DatabaseEffect::GenerateKeys { count, taken } => {
                let mut keys = Vec::new();
                while keys.len() < count {
                    let new = key(self.next_key);
                    self.next_key += 1;
                    if !self.table.contains_key(&new) && !taken.contains(&new) {
                        keys.push(Ok(new));
                    }
                }
                DatabaseOutcome::Keys(keys)
            }
            DatabaseEffect::AskOtherTabs { keys } => DatabaseOutcome::OtherTabs(
                keys.iter()
                    .map(|key| self.others.get(key).cloned().unwrap_or_default())
                    .collect(),
            ),
            DatabaseEffect::MergeByFunction { rows } => DatabaseOutcome::Merged(
                rows.into_iter()
                    .map(|call| Ok(call.database.unwrap_or_default()))
                    .collect(),
            ),
            DatabaseEffect::Commit(commit) => {
                let applied = commit.apply.iter().map(|apply| self.apply(apply)).collect();
                for batch in &commit.inserting {
                    for row in &batch.rows {
                        let stored = row.row.clone().expect("a new row has a base");
                        self.bases.insert(row.key.clone(), stored);
                        self.arriving.insert(row.key.clone(), batch.stamp.clone());
                    }
                }
                self.arriving
                    .retain(|_, stamp| !commit.inserted.contains(stamp));
                for write in &commit.bases {
                    self.arriving.remove(&write.key);
                    match &write.row {
                        Some(row) => self.bases.insert(write.key.clone(), row.clone()),
                        None => self.bases.remove(&write.key),
                    };
                }
                let over = &commit.settled_problems;
                self.problems.retain(|stored| !over.contains(&stored.place));
                self.problems.retain(|stored| {
                    let again = |problem: &Problem| problem.place == stored.place;
                    !commit.problems.iter().any(again)
                });
                let stored = commit.problems.iter().map(|problem| StoredProblem {
                    place: problem.place.clone(),
                    message: problem.message.clone(),
                });
                self.problems.extend(stored);
                self.commits.push(commit);
                DatabaseOutcome::Committed(applied)
            }
        }
    }

    fn is_equal(&self, one: &Key, other: &Key) -> bool {
        match self.mapping.key_equality {
            KeyEquality::ByText => one == other,
            KeyEquality::ByOperator => {
                let mut parts = one.0.iter().zip(&other.0);
                parts.all(|(one, other)| one.to_lowercase() == other.to_lowercase())
            }
        }
    }

    /// How the table prints a key that it has.
    fn spelled(&self, key: &Key) -> Option<Key> {
        if self.mapping.key_equality == KeyEquality::ByText {
            return self.table.contains_key(key).then(|| key.clone());
        }
        let mut keys = self.table.keys();
        keys.find(|known| self.is_equal(known, key)).cloned()
    }

    pub fn apply(&mut self, apply: &Apply) -> Applied {
        if let Some(answer) = self.answers.get(&apply.key) {
            return answer.clone();
        }
        let mut row = self
            .table
            .get(&apply.key)
            .cloned()
            .unwrap_or_else(|| vec![None; self.mapping.columns.len()]);
        let mut refused = Vec::new();
        if matches!(apply.change, Change::Enter { .. }) {
            self.outside.remove(&apply.key);
        }
        match &apply.change {
            Change::Insert { values }
            | Change::Update { values, .. }
            | Change::Enter { values, .. } => {
                for (column, value) in values {
                    if value.as_deref() == self.refuse && self.refuse.is_some() {
                        let message =
                            "new row violates check constraint (Failing row contains (1)).".into();
                        refused.push((
                            *column,
                            Refusal {
                                sqlstate: "23514".into(),
                                message,
                                hint: None,
                            },
                        ));
                    } else {
                        row[*column] = value.clone();
                    }
                }
                if let Some(trigger) = self.trigger {
                    trigger(&mut row);
                }
                let returned = self.mapping.key_of_row(&row).expect("a key");
                if matches!(apply.change, Change::Insert { .. })
                    && self.table.contains_key(&returned)
                {
                    return Applied::Stale;
                }
                if returned != apply.key {
                    self.table.remove(&apply.key);
                    self.bases.remove(&apply.key);
                }
                self.table.insert(returned, row.clone());
            }
            Change::Delete { .. } => {
                self.table.remove(&apply.key);
                self.bases.remove(&apply.key);
                return Applied::Done { row: None, refused };
            }
        }
        let columns: Vec<usize> = refused.iter().map(|(column, _)| *column).collect();
        let write = apply.base_after(&self.mapping, Some(&row), &columns);
        self.bases.insert(write.key, write.row.expect("a base"));
        Applied::Done {
            row: Some(row),
            refused,
        }
    }
}
