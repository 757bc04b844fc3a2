//! Rows that a person deleted from the sheet while the table changed their keys.

use std::collections::HashMap;

use indexmap::IndexSet;

use crate::cycle::compare::diff::{Diff, Sighting};
use crate::cycle::memory::known::State;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{BaseWrite, Commit, Conflict, ConflictRows, LoadedRow, StoredRow, Winner};
use crate::io::mismatch;
use crate::mapping::{Mapping, Policy};
use crate::value::{Base, Datum, Key};

impl Cycle {
    /// Such a row was deleted on one side and changed on the other, which is decided under the key
    /// that it has now.
    ///
    /// The table's queue says under which key a row went on. It does not say that this row has gone
    /// since, and that another one took the key. Where nothing besides the key is as both sides had
    /// agreed, it may be that other row, which nobody deleted. So where the sheet wins it stays all
    /// the same, and a line tells of the deletion that had no effect.
    pub(super) async fn take_deletions_along(
        &mut self,
        rows: &mut Vec<(Sighting, LoadedRow)>,
    ) -> Result<(), Stop> {
        let is_deleted = |old: &Key| {
            let known = self.memory.rows.get(old);
            known.is_some_and(|known| match known.state {
                // Kept out of the sheet by agreement.
                State::Absent => true,
                _ => known.state.is_agreed() && known.row().is_none() && self.is_believed(known),
            }) && !self.memory.missing.maybe_hit.contains(old)
        };
        // Either of the two keys may come in a chunk of its own.
        let pair = |row: &LoadedRow| {
            let other = row.moved.clone()?;
            match row.row {
                Some(_) => Some((other, row.key.clone())),
                None => Some((row.key.clone(), other)),
            }
        };
        let pairs: IndexSet<(Key, Key)> = rows
            .iter()
            .filter_map(|(_, row)| pair(row))
            .filter(|(from, _)| is_deleted(from))
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let keys = pairs.iter().flat_map(|(from, to)| [from, to]).cloned();
        let mut loaded = self.load(keys.collect()).await?.into_iter();
        let mut commit = Commit::default();
        let mut moved: Vec<(Key, Key, Base)> = Vec::new();
        let mut ended: Vec<Key> = Vec::new();
        for (from, to) in pairs {
            let (Some(old), Some(new)) = (loaded.next(), loaded.next()) else {
                return Err(mismatch().into());
            };
            let one_row = old.moved.as_ref() == Some(&to) && new.moved.as_ref() == Some(&from);
            // What is stored of a row that waits to be inserted is only a plan.
            let known = self.memory.rows.get(&to);
            let is_planned = known.is_some_and(|known| known.state == State::ToInsert);
            let is_free = new.base.is_none() || is_planned;
            let is_new = new.row.is_some() && is_free && old.row.is_none();
            let agreed = |base: &Base| one_row && is_new && !base.is_absent_in_table();
            let Some(mut base) = old.base.filter(agreed) else {
                continue;
            };
            let row_now = new.row.unwrap_or_default();
            if self.mapping.policy_of_rows() == Policy::SheetWins && !self.is_like(&base, &row_now)
            {
                let line = self.without_effect(&to, base, row_now);
                commit.conflicts.push(line);
                commit.bases.push(BaseWrite::gone(from.clone()));
                let pending = old.pending.iter().map(|one| one.id);
                commit
                    .settled_conflicts
                    .extend(pending.chain(old.unsettled));
                ended.push(from);
                continue;
            }
            if !self.goes_by(&mut base, &to) {
                continue;
            }
            let row = match base.is_absent_in_sheet() {
                true => StoredRow::agreed(base.clone()),
                false => StoredRow::to_look_at(base.clone()),
            };
            commit.bases.push(BaseWrite {
                key: to.clone(),
                row: Some(row),
            });
            commit.bases.push(BaseWrite::gone(from.clone()));
            // What was decided under the old key is over, or found again under the new one.
            let pending = old.pending.iter().map(|one| one.id);
            commit
                .settled_conflicts
                .extend(pending.chain(old.unsettled));
            moved.push((from, to, base));
        }
        let has_changed = !moved.is_empty() || !ended.is_empty();
        if has_changed && !self.start.dry_run {
            self.report.conflicts += commit.conflicts.len() as u64;
            self.commit(commit).await?;
        }
        for from in ended {
            self.memory.forget(&from);
            self.round.followed.insert(from);
        }
        for (from, to, base) in moved {
            self.memory.carry_over(&from, &to, &base);
            if let Some((_, row)) = rows.iter_mut().find(|(_, row)| row.key == to) {
                row.base = Some(base);
            }
            self.round.followed.insert(from);
        }
        rows.retain(|(_, row)| !self.round.followed.contains(&row.key));
        Ok(())
    }

    /// Something besides the key is as both sides had agreed, or there is nothing besides it.
    fn is_like(&self, base: &Base, row: &[Datum]) -> bool {
        let columns = (0..row.len()).filter(|column| !self.mapping.key.contains(column));
        let mut agreed = columns
            .filter_map(|column| Some((base.database.get(column)?.as_ref()?, row.get(column)?)))
            .peekable();
        agreed.peek().is_none() || agreed.any(|(before, now)| now.as_ref() == Some(before))
    }

    /// The line of a deletion in the sheet that had no effect on the row which has the key now.
    fn without_effect(&self, key: &Key, base: Base, row: Vec<Datum>) -> Conflict {
        Conflict {
            key: key.clone(),
            column: None,
            base: None,
            database: None,
            sheet: None,
            rows: Some(Box::new(ConflictRows {
                base: Some(base),
                database: Some(row),
                sheet: None,
            })),
            database_time: None,
            sheet_time: (None, self.io.now()),
            winner: Winner::Database,
            settled: true,
        }
    }

    /// What the base says of the table keeps the old key, so that the row counts as changed there.
    /// What it says of the sheet gets the new one: a process that comes after a crash takes the key
    /// that stands there for another name of this row, and a person who types the old key by then means
    /// a row of their own. False where the sheet cannot hold the new key.
    fn goes_by(&self, base: &mut Base, key: &Key) -> bool {
        let parts = self.mapping.key.iter().zip(&key.0);
        let cells = parts.map(|(column, text)| {
            let cell = self.mapping.encode(*column, &Some(text.clone())).ok()?;
            Some((*column, cell))
        });
        let Some(cells) = cells.collect::<Option<Vec<_>>>() else {
            return false;
        };
        for (column, cell) in cells {
            if let Some(slot) = base.sheet.get_mut(column) {
                *slot = cell;
            }
        }
        true
    }

    /// How far rows came that were being given their new keys. Where the sheet has the new key and
    /// not the old one, the row has arrived. Where two readings miss it under both, a person
    /// deleted it: it counts as deleted under its old key, as if nothing had been tried, and is
    /// confirmed as any other deletion.
    pub(crate) async fn end_attempts(&mut self, diff: &mut Diff) -> Result<(), Stop> {
        let known = |key: &&Key| self.memory.is_being_renamed(key);
        let keys: Vec<Key> = self
            .memory
            .unfinished
            .renaming
            .iter()
            .filter(known)
            .cloned()
            .collect();
        if keys.is_empty() || self.start.dry_run {
            return Ok(());
        }
        let mut commit = Commit::default();
        let (mut kept, mut over) = (Vec::new(), Vec::new());
        for attempt in attempts(self.load(keys).await?, &self.mapping) {
            let Attempt { old, new, mut base } = attempt;
            let is_open = |key: &Key| diff.unconfirmed.contains(key);
            let has_arrived = self.memory.unfinished.renamed_unseen.contains(&old);
            let (stays, goes) = match (self.memory.is_seen(&old), self.memory.is_seen(&new)) {
                // The row that has the old key is a copy.
                (true, true) if has_arrived && self.goes_by(&mut base, &new) => (new, old),
                (true, _) => continue,
                (false, true) if is_open(&old) || !self.goes_by(&mut base, &new) => continue,
                (false, true) => (new, old),
                (false, false) if is_open(&old) || is_open(&new) => {
                    diff.wait_for(&old);
                    diff.wait_for(&new);
                    continue;
                }
                (false, false) => (old, new),
            };
            commit
                .bases
                .push(BaseWrite::to_look_at(stays.clone(), base));
            commit.bases.push(BaseWrite::gone(goes.clone()));
            kept.push(stays);
            over.push(goes);
        }
        if !commit.bases.is_empty() {
            self.commit(commit).await?;
        }
        for key in over {
            self.memory.unfinished.renaming.remove(&key);
            if self.memory.is_seen(&key) {
                let known = self.memory.known(&key);
                known.state = State::Unbased;
                known.look_again();
            } else {
                self.memory.forget(&key);
            }
        }
        for key in kept {
            self.memory.unfinished.renaming.remove(&key);
            let known = self.memory.known(&key);
            known.state = State::Marked;
            let known = *known;
            if self.confirmed_from(&known).is_some() {
                diff.wait_for(&key);
            }
        }
        Ok(())
    }
}

/// A row of which nobody knows whether it has got its new key. What both sides had agreed on is
/// stored under both keys ([`Cycle::marked`]).
struct Attempt {
    old: Key,
    new: Key,
    base: Base,
}

fn attempts(loaded: Vec<LoadedRow>, mapping: &Mapping) -> Vec<Attempt> {
    let bases = loaded
        .into_iter()
        .filter_map(|row| Some((row.key, row.base?)));
    let mut bases: HashMap<Key, Base> = bases.collect();
    let pair = |(new, base): (&Key, &Base)| {
        let old = mapping.key_of_row(&base.database)?;
        (old != *new && bases.contains_key(&old)).then(|| (old, new.clone()))
    };
    let mut pairs: Vec<(Key, Key)> = bases.iter().filter_map(pair).collect();
    pairs.sort_unstable();
    let attempt = |(old, new)| {
        let base = bases.remove(&old)?;
        Some(Attempt { old, new, base })
    };
    pairs.into_iter().filter_map(attempt).collect()
}
