//! The same key in a new spelling of the table's: 1.5 where it wrote 1.50, Ann where it wrote ann.
//! The base moves to the new spelling before anything is compared: otherwise one row would seem to
//! be gone, and another one to be new.

use std::collections::HashSet;

use crate::cycle::item::Item;
use crate::cycle::memory::known::State;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{
    BaseWrite, Commit, DatabaseEffect, DatabaseOutcome, LoadedRow, Operation, Place, Planned,
    Respelled, StoredRow,
};
use crate::io::mismatch;
use crate::mapping::{KeyEquality, Side};
use crate::value::Key;

impl Cycle {
    pub(crate) async fn respell(&mut self) -> Result<(), Stop> {
        if self.mapping.key_equality == KeyEquality::ByText {
            return Ok(());
        }
        let mut keys = std::mem::take(&mut self.later.respelled);
        let dirty = self.dirty.iter().map(|dirty| dirty.key.clone());
        let (known, new): (Vec<Key>, Vec<Key>) = dirty.partition(|key| self.is_stored(key));
        // Rows about which something is still to be done may have left the table at any time.
        let owed = self.memory.rows.iter();
        let owed = owed.filter(|(_, known)| known.state == State::Marked);
        keys.extend(owed.map(|(key, _)| key.clone()));
        keys.extend(known);
        if keys.is_empty() && new.is_empty() {
            return Ok(());
        }
        let asked = DatabaseEffect::FindRespelled {
            keys: keys.into_iter().collect(),
            new,
        };
        let found = match self.io.database(asked).await? {
            DatabaseOutcome::Respelled(found) => found,
            _ => return Err(mismatch().into()),
        };
        let (follow, leave): (Vec<Respelled>, Vec<Respelled>) =
            found.into_iter().partition(|pair| self.can_follow(pair));
        self.later
            .two_keys
            .extend(leave.into_iter().map(|pair| pair.known));
        if self.start.dry_run {
            self.preview_spellings(follow);
            return Ok(());
        }
        for chunk in follow.chunks(self.tab.max_tagged_rows()) {
            self.follow_spellings(chunk).await?;
        }
        Ok(())
    }

    /// A base is stored under this key, and no batch of ours that names it is under way.
    fn is_stored(&self, key: &Key) -> bool {
        let known = self.memory.rows.get(key);
        known.is_some_and(|known| {
            matches!(
                known.state,
                State::Based | State::Marked | State::Absent | State::ToInsert
            )
        })
    }

    /// Not where the other spelling is known already.
    fn can_follow(&self, pair: &Respelled) -> bool {
        let now = self.memory.rows.get(&pair.now);
        self.is_stored(&pair.known) && now.is_none_or(|now| now.state == State::Unbased)
    }

    async fn follow_spellings(&mut self, pairs: &[Respelled]) -> Result<(), Stop> {
        let known = pairs.iter().map(|pair| pair.known.clone()).collect();
        let loaded = self.load(known).await?;
        let mut commit = Commit::default();
        let mut respelled = Vec::with_capacity(pairs.len());
        for (row, pair) in loaded.into_iter().zip(pairs) {
            // It has changed again; the next cycle will see that.
            if row.spelled.as_ref() != Some(&pair.now) {
                self.ending.read_again = true;
                continue;
            }
            self.move_base(row, pair, &mut commit);
            respelled.push(pair);
        }
        self.commit(commit).await?;
        for Respelled { known, now } in respelled {
            let problems = self.memory.problems.of_rows.remove(known);
            for problem in problems.into_iter().flatten() {
                self.queue_note_removal(&Place {
                    key: Some(known.clone()),
                    sheet_row: None,
                    column: problem.column,
                });
            }
            let known_row = self.memory.rows.get_mut(known);
            // A row that is to be inserted waits for those in the sheet that have its key.
            if let Some(row) = known_row.filter(|row| row.state != State::ToInsert) {
                row.look_again();
            }
            self.memory.forget(now);
            self.memory.respell(known, now);
        }
        Ok(())
    }

    /// The base moves as it is, so that the new spelling counts as a change of the table's.
    fn move_base(&self, row: LoadedRow, pair: &Respelled, commit: &mut Commit) {
        let state = self.memory.rows.get(&pair.known).map(|known| known.state);
        let row_now = row.base.map(|base| match state {
            Some(State::ToInsert) => StoredRow::to_insert(self.mapping.columns.len()),
            state => StoredRow::agreed_unless(state == Some(State::Marked), base),
        });
        commit.bases.push(BaseWrite {
            key: pair.now.clone(),
            row: row_now,
        });
        commit.bases.push(BaseWrite::gone(pair.known.clone()));
        let pending = row.pending.iter().map(|one| one.id);
        commit
            .settled_conflicts
            .extend(pending.chain(row.unsettled));
        let problems = self.memory.problems.of_rows.get(&pair.known);
        let places = problems.into_iter().flatten().map(|problem| Place {
            key: Some(pair.known.clone()),
            sheet_row: None,
            column: problem.column,
        });
        commit.settled_problems.extend(places);
    }

    fn preview_spellings(&mut self, pairs: Vec<Respelled>) {
        for pair in pairs {
            let parts = self
                .mapping
                .key
                .iter()
                .zip(pair.known.0.iter().zip(&pair.now.0));
            let changed = parts.filter(|(_, (old, new))| old != new);
            self.report
                .planned
                .extend(changed.map(|(column, (old, new))| Planned {
                    side: Side::Sheet,
                    operation: Operation::Update,
                    key: Some(pair.known.clone()),
                    column: Some(*column),
                    old: Some(old.clone()),
                    new: Some(new.clone()),
                    reason: "changed_in_table".into(),
                }));
            self.round.followed.extend([pair.known, pair.now]);
        }
    }

    /// Those of these keys of the table, all new to the sheet, that stand there in another
    /// spelling, or have a base in one: the table may have got them after that was asked last. They
    /// wait for the next round, which begins with the new spelling.
    pub(crate) async fn spelled_otherwise(&mut self, keys: Vec<Key>) -> Result<HashSet<Key>, Stop> {
        if keys.is_empty() || self.mapping.key_equality == KeyEquality::ByText {
            return Ok(HashSet::new());
        }
        let mut asked = keys.clone();
        asked.extend(
            self.memory
                .typed()
                .into_iter()
                .filter(|key| !keys.contains(key)),
        );
        let named = self.name_keys(asked).await?;
        let (new, typed) = named.split_at(keys.len());
        let taken: HashSet<&Key> = typed.iter().flatten().collect();
        let mut found = HashSet::new();
        for (key, name) in keys.iter().zip(new) {
            let Ok(name) = name else {
                continue;
            };
            if name == key && !taken.contains(name) {
                continue;
            }
            if name != key && self.is_stored(name) {
                self.later.respelled.insert(name.clone());
            }
            self.ending.read_again = true;
            found.insert(key.clone());
        }
        Ok(found)
    }

    /// Nothing is done under a spelling that the table no longer uses: the next round begins with
    /// the new one.
    pub(crate) fn is_spelled_otherwise(&mut self, item: &Item) -> bool {
        let concerns = item.loaded.base.is_some() || item.row.is_some();
        let spelled = item.loaded.spelled.is_some() && concerns;
        if !spelled || self.later.two_keys.contains(&item.key) {
            return false;
        }
        if item.loaded.base.is_some() {
            self.later.respelled.insert(item.key.clone());
        }
        self.ending.read_again = true;
        true
    }
}
