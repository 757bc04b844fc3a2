//! The table, its base rows and queues, and how a transaction on them goes.

mod effects;

use super::setup::{Filter, Setup, Value, identity, key_of_row, spelling_of_row};
use super::values::{normal, refusal};
use engine::effect::{
    Conflict, Decision, HistoryLine, Problem, Refusal, RowState, Stamp, StoredRow, Winner,
};
use engine::mapping::Mapping;
use engine::renames::Renames;
use engine::value::{Base, Datum, Key, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A line of the extension's table of bases.
#[derive(Clone, PartialEq)]
pub struct BaseRow {
    pub base: Base,
    pub state: RowState,
    /// The batch in which it goes into the sheet, until that has arrived.
    pub inserting: Option<Stamp>,
}

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
    /// The key as the engine told it; the line has the model's name.
    pub spelling: Key,
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
    /// Keys are compared letter by letter.
    pub letter_by_letter: bool,
    /// One refused row rolls back the whole commit.
    pub all_or_nothing: bool,
    /// New rows that are about to be sent are stored as if they had arrived.
    pub arrived_ahead: bool,
    /// A locked row counts as done.
    pub locked_as_done: bool,
    /// A row that the table kept counts as deleted.
    pub kept_as_deleted: bool,
    /// Nobody is told that a row's key was changed.
    pub renames_forgotten: bool,
}

#[derive(Clone)]
enum Captured {
    Changed(Key, Timestamp),
    Renamed(Key, Key),
}

#[derive(Clone)]
pub struct Table {
    setup: Setup,
    pub mapping: Mapping,
    pub bugs: DriverBugs,
    pub rows: BTreeMap<Key, TableRow>,
    /// Somebody's transaction holds these.
    pub locked: BTreeSet<Key>,
    pub bases: BTreeMap<Key, BaseRow>,
    /// Under which spelling each base is stored, where the model's name for its key is another.
    pub spellings: BTreeMap<Key, Key>,
    /// Append-only; the number tells what a cycle was given.
    pub dirty: Vec<(u64, Key, Timestamp)>,
    /// Keys that were changed: the old and the new one, queued with the dirty keys.
    pub renamed: Vec<(u64, Key, Key)>,
    /// What statements have changed, for the queue of another mapping of the table.
    captured: Vec<Captured>,
    pub conflicts: Vec<ConflictLine>,
    /// Lines of another mapping of the table.
    pub lines_elsewhere: Vec<Conflict>,
    /// By the model's names.
    pub problems: Vec<Problem>,
    /// The same as they are stored: by the spelling under which the engine told them.
    told: Vec<Problem>,
    pub history: Vec<HistoryLine>,
    /// Batches that were announced and not declared over.
    pub writing: Vec<Stamp>,
    /// Keys that defaults have given, and rows that the conflict function has made: values that
    /// come from no person.
    pub generated: Vec<Key>,
    pub merged: Vec<(Key, Vec<Datum>)>,
    /// Keys that a person changed in the sheet, and what both sides had agreed on of their rows.
    pub followed: Vec<(Key, Base)>,
    /// Some rows are so large that none is loaded together with those after it.
    pub large_rows: bool,
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
            locked: BTreeSet::new(),
            bases: BTreeMap::new(),
            spellings: BTreeMap::new(),
            dirty: Vec::new(),
            renamed: Vec::new(),
            captured: Vec::new(),
            conflicts: Vec::new(),
            lines_elsewhere: Vec::new(),
            problems: Vec::new(),
            told: Vec::new(),
            history: Vec::new(),
            writing: Vec::new(),
            generated: Vec::new(),
            merged: Vec::new(),
            followed: Vec::new(),
            large_rows: true,
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
        self.rows.insert(key, row);
        self.capture(&spelling_of_row(&self.mapping, &values), now);
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
        let before = spelling_of_row(&self.mapping, &row.values);
        let after = spelling_of_row(&self.mapping, &values);
        row.values = values.clone();
        self.capture(&before, now);
        if after != before {
            self.rows.remove(key);
            self.capture(&after, now);
            let renamed = Captured::Renamed(before.clone(), after.clone());
            self.captured.push(renamed);
            self.mark_renamed(before, after);
        }
        self.rows.insert(new_key, row);
        Ok(values)
    }

    /// DELETE of one row, if it is there.
    pub fn delete(&mut self, key: &Key, now: Timestamp) -> Result<(), Refusal> {
        let Some(row) = self.rows.get(key) else {
            return Ok(());
        };
        if self.is_kept(key) {
            return Ok(());
        }
        if self.setup.pinned && row.identity.is_multiple_of(2) {
            return Err(refusal(
                "23503",
                "update or delete on table violates foreign key constraint",
            ));
        }
        let spelling = spelling_of_row(&self.mapping, &row.values);
        self.rows.remove(key);
        self.capture(&spelling, now);
        Ok(())
    }

    /// A trigger keeps the row whatever anybody deletes.
    pub fn is_kept(&self, key: &Key) -> bool {
        let pinned = |row: &TableRow| self.setup.pinned && row.identity.is_multiple_of(2);
        self.setup.keeps && self.rows.get(key).is_some_and(pinned)
    }

    /// Somebody begins a transaction that touches this row.
    pub fn lock(&mut self, row: u8) {
        let nth = usize::from(row) % self.rows.len().max(1);
        self.locked.extend(self.rows.keys().nth(nth).cloned());
    }

    pub fn toggle_listed(&mut self, key: &Key, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(key) {
            row.listed = !row.listed;
            let spelling = spelling_of_row(&self.mapping, &row.values);
            self.capture(&spelling, now);
        }
    }

    /// What the capture trigger does.
    fn capture(&mut self, key: &Key, now: Timestamp) {
        self.captured.push(Captured::Changed(key.clone(), now));
        self.mark(key, now);
    }

    /// The row is to be looked at.
    pub fn mark(&mut self, key: &Key, now: Timestamp) {
        self.dirty.push((self.next_dirty, key.clone(), now));
        self.next_dirty += 1;
    }

    fn mark_renamed(&mut self, from: Key, to: Key) {
        self.renamed.push((self.next_dirty, from, to));
        self.next_dirty += 1;
    }

    /// The table is one for both mappings: this one gets its rows, and in its queue what was
    /// captured.
    pub fn follow(&mut self, other: &mut Table) {
        self.rows.clone_from(&other.rows);
        self.locked.clone_from(&other.locked);
        self.next_key = other.next_key;
        self.next_identity = other.next_identity;
        self.lines_elsewhere = other.lines();
        other.lines_elsewhere = self.lines();
        for captured in std::mem::take(&mut other.captured) {
            match captured {
                Captured::Changed(key, at) => self.mark(&key, at),
                Captured::Renamed(from, to) => self.mark_renamed(from, to),
            }
        }
    }

    /// The last number of the queue.
    pub fn last_dirty(&self) -> u64 {
        self.next_dirty - 1
    }

    /// Everything up to this number of the queue is dealt with.
    pub fn forget_dirty(&mut self, upto: u64) {
        self.dirty.retain(|(number, ..)| *number > upto);
        self.renamed.retain(|(number, ..)| *number > upto);
    }

    /// Where the queue says that a row's key was changed: the other key.
    pub fn moved(&self, key: &Key) -> Option<Key> {
        // A row that only waits to be inserted has no base that says anything.
        let is_based = |row: &BaseRow| row.state != RowState::ToInsert;
        let is_followed =
            |from: &Key, to: &Key| self.base(to).is_some_and(is_based) && self.base(from).is_none();
        let pairs = self.renamed.iter();
        let pairs = pairs.filter(|(_, from, to)| !is_followed(from, to));
        let renames = Renames::new(pairs.map(|(_, from, to)| (from.clone(), to.clone())));
        renames.moved(key, self.row(key).is_some())
    }

    /// The same by the model's names, whatever the spelling.
    pub fn moved_by_name(&self, name: &Key) -> Option<Key> {
        let named = |key: &Key| identity(&self.mapping, key);
        let is_based = |row: &BaseRow| row.state != RowState::ToInsert;
        let is_followed =
            |from: &Key, to: &Key| self.base(to).is_some_and(is_based) && self.base(from).is_none();
        let pairs = self.renamed.iter();
        let pairs = pairs.filter(|(_, from, to)| !is_followed(from, to));
        let pairs = pairs.map(|(_, from, to)| (named(from), named(to)));
        let renames = Renames::new(pairs.filter(|(from, to)| from != to));
        renames.moved(name, self.rows.contains_key(name))
    }

    /// The row whose key is printed just so.
    pub fn row(&self, key: &Key) -> Option<&TableRow> {
        let row = self.rows.get(&identity(&self.mapping, key))?;
        (spelling_of_row(&self.mapping, &row.values) == *key).then_some(row)
    }

    /// The base that is stored under just this spelling.
    pub fn base(&self, key: &Key) -> Option<&BaseRow> {
        let name = identity(&self.mapping, key);
        let spelling = self.spellings.get(&name).unwrap_or(&name);
        self.bases.get(&name).filter(|_| spelling == key)
    }

    /// Returns the row's hidden name.
    pub fn store_base(&mut self, key: &Key, row: StoredRow) -> Key {
        let name = identity(&self.mapping, key);
        self.spellings.insert(name.clone(), key.clone());
        let StoredRow { base, state } = row;
        let row = BaseRow {
            base,
            state,
            inserting: None,
        };
        self.bases.insert(name.clone(), row);
        name
    }

    pub fn drop_base(&mut self, key: &Key) {
        if self.base(key).is_some() {
            self.bases.remove(&identity(&self.mapping, key));
        }
    }

    /// How the key of this base is spelled.
    pub fn spelling<'a>(&'a self, name: &'a Key) -> &'a Key {
        self.spellings.get(name).unwrap_or(name)
    }

    fn lines(&self) -> Vec<Conflict> {
        let lines = self.conflicts.iter();
        lines.map(|line| line.conflict.clone()).collect()
    }

    fn name_problems(&mut self) {
        let named = |problem: &Problem| {
            let mut named = problem.clone();
            let key = problem.place.key.as_ref();
            named.place.key = key.map(|key| identity(&self.mapping, key));
            named
        };
        self.problems = self.told.iter().map(named).collect();
    }

    /// That the table kept a row is said until the row changes or the worker ends.
    pub fn forget_kept(&mut self) {
        self.told.retain(|problem| problem.code != "kept_by_table");
        self.name_problems();
    }

    fn triggered(&self, mut values: Vec<Datum>) -> Vec<Datum> {
        for (column, value) in self.mapping.columns.iter().zip(&mut values) {
            if self.setup.upper && column.name == "code" {
                *value = value.as_ref().map(|text| text.to_uppercase().into());
            }
        }
        values
    }

    /// What speaks against a row, and which column is to blame.
    pub fn objection(&self, key: &Key, values: &[Datum]) -> Option<(usize, Refusal)> {
        for (index, column) in self.mapping.columns.iter().enumerate() {
            let (name, value) = (&column.name, values[index].as_deref());
            let wrong = match (name.as_str(), value) {
                ("qty", Some(number)) => number.starts_with('-'),
                ("name", Some(text)) => text == "forbidden",
                _ => false,
            };
            let taken = |(other, row): (&Key, &TableRow)| {
                other != key && row.values[index].as_deref() == value
            };
            let refusal = if value.is_none() && !column.nullable {
                refusal(
                    "23502",
                    format!("null value in column \"{name}\" violates not-null constraint"),
                )
            } else if wrong {
                refusal(
                    "23514",
                    format!("new row violates check constraint \"{name}_check\""),
                )
            } else if name == "code" && value.is_some() && self.rows.iter().any(taken) {
                refusal(
                    "23505",
                    "duplicate key value violates unique constraint \"code\"",
                )
            } else {
                continue;
            };
            return Some((index, refusal));
        }
        None
    }

    fn check(&self, key: &Key, values: &[Datum]) -> Result<(), Refusal> {
        self.objection(key, values)
            .map_or(Ok(()), |(_, refusal)| Err(refusal))
    }

    pub fn in_filter(&self, row: &TableRow) -> bool {
        match self.setup.filter {
            Filter::None => true,
            Filter::Listed => row.listed,
            Filter::Live | Filter::NotLive => {
                let mut columns = self.mapping.columns.iter();
                let live = columns.position(|column| column.name == "live");
                let is_live = live.is_none_or(|live| row.values[live].as_deref() != Some("f"));
                is_live == (self.setup.filter == Filter::Live)
            }
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
            let key = line.spelling.clone();
            self.mark(&key, now);
        }
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
    /// One statement for all rows.
    UpdateAll {
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
            TableEdit::UpdateAll { column, value } => {
                for row in 0..self.rows.len() as u8 {
                    self.edit(TableEdit::Update { row, column, value }, now);
                }
                return;
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
