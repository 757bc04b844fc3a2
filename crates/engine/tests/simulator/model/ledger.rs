//! What is owed to whom. Every edit that a person makes is an open entry until its value stands on
//! the other side, a later edit takes its place, or it loses by a rule and a conflict line names
//! it. The ledger watches every change that the engine makes and speaks up at the first one that
//! nobody asked for.

mod sheet;
mod table;

use super::Verdict;
use super::database::{BaseRow, Table};
use super::setup::{Setup, identity, key_of_cells, spelling_of_row};
use super::sheet::{Tab, Uid};
use super::values::{meaning, normal};
use engine::effect::Conflict;
use engine::effect::RowState;
use engine::mapping::{Direction, Mapping, OnTableDelete};
use engine::value::{Base, Cell, Datum, Key, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Author {
    Person,
    Engine {
        /// The cycle compares everything and undoes deletes (first merge, resync).
        everything: bool,
    },
}

#[derive(Clone, PartialEq)]
struct SeenRow {
    identity: u32,
    values: Vec<Datum>,
    in_filter: bool,
}

/// Edits of a row that went, or lost its key, before anybody had seen them.
pub struct Fallen {
    uid: Uid,
    pub edits: Vec<(usize, Cell)>,
}

pub struct Ledger {
    setup: Setup,
    mapping: Mapping,
    table: BTreeMap<Key, SeenRow>,
    sheet: BTreeMap<Uid, Vec<Cell>>,
    /// Its cells that are arrays'.
    of_arrays: BTreeSet<(Uid, usize)>,
    pub table_edits: BTreeMap<(Key, usize), Datum>,
    pub sheet_edits: BTreeMap<(Uid, usize), Cell>,
    /// Rows that a person took from a side (or that left the row filter); true where they came back
    /// since.
    pub table_deleted: BTreeMap<Key, bool>,
    pub sheet_deleted: BTreeMap<Key, bool>,
    /// The rows on which both sides agreed last, by their hidden names: where another row has the
    /// key by now, nothing speaks against that one on the other side.
    agreed_in_table: BTreeMap<Key, u32>,
    agreed_in_sheet: BTreeMap<Key, Uid>,
    /// The stored bases at the last look.
    bases: BTreeMap<Key, BaseRow>,
    /// Every value that somebody ever gave to a cell.
    ever: BTreeMap<(Key, usize), BTreeSet<Datum>>,
    /// How the engine last saw the sheet, and rows of the table.
    snapshot: BTreeMap<Uid, Vec<Cell>>,
    loads: BTreeMap<Key, Vec<Datum>>,
    /// What a batch went over that nobody had seen: to be given back.
    pub taken: BTreeMap<(Uid, usize), Cell>,
    /// Rows that went although nobody had seen them as they were: they may be put back as they
    /// were.
    gone: Vec<Vec<Cell>>,
    /// Edits of rows that went with them unseen.
    pub fallen: BTreeMap<Key, Fallen>,
    /// The rows that the engine put into the sheet.
    inserted: BTreeMap<Uid, Key>,
    /// The keys that they had then, as long as they have a base.
    arrived: BTreeSet<Key>,
    /// Keys in the newest snapshot that the engine has.
    known: BTreeSet<Key>,
    /// Keys under which a row stood before the engine carried a retyped key over.
    former: BTreeMap<Key, Key>,
    /// Keys under which a row of the table, named by its identity, ever stood.
    had: BTreeMap<u32, BTreeSet<Key>>,
    /// The other keys of rows, as the engine was told them with the rows.
    moves: BTreeMap<Key, Key>,
    /// The cycle under way began with all that there is to know.
    pub calm: bool,
    /// Rows of the table that another tab of it has, where a problem says what keeps them from
    /// being taken from there.
    pub elsewhere: BTreeSet<Key>,
}

/// Both sides, to look things up.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub table: &'a Table,
    pub tab: &'a Tab,
    pub now: Timestamp,
}

impl Ledger {
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            mapping: setup.mapping(),
            table: BTreeMap::new(),
            sheet: BTreeMap::new(),
            of_arrays: BTreeSet::new(),
            table_edits: BTreeMap::new(),
            sheet_edits: BTreeMap::new(),
            table_deleted: BTreeMap::new(),
            sheet_deleted: BTreeMap::new(),
            agreed_in_table: BTreeMap::new(),
            agreed_in_sheet: BTreeMap::new(),
            bases: BTreeMap::new(),
            ever: BTreeMap::new(),
            known: BTreeSet::new(),
            snapshot: BTreeMap::new(),
            loads: BTreeMap::new(),
            inserted: BTreeMap::new(),
            arrived: BTreeSet::new(),
            former: BTreeMap::new(),
            had: BTreeMap::new(),
            moves: BTreeMap::new(),
            calm: false,
            elsewhere: BTreeSet::new(),
            taken: BTreeMap::new(),
            gone: Vec::new(),
            fallen: BTreeMap::new(),
        }
    }

    /// Compare both sides with how they stood at the last call, and book the differences on
    /// `author`.
    pub fn book(&mut self, author: Author, sides: Sides) -> Verdict {
        let table_changed = self.book_table(author, sides)?;
        let sheet_changed = self.book_sheet(author, sides)?;
        if table_changed || sheet_changed {
            self.close(sides);
        }
        if author != Author::Person {
            self.note_agreed(sides);
        }
        Ok(())
    }

    fn note_agreed(&mut self, sides: Sides) {
        if self.bases == sides.table.bases {
            return;
        }
        let before = std::mem::replace(&mut self.bases, sides.table.bases.clone());
        self.arrived.retain(|key| self.bases.contains_key(key));
        let standing = keys_in_sheet(&self.mapping, sides);
        // A row that has the key of one that is gone is a new one from here on: by what it has
        // empty it says nothing.
        let bases = &self.bases;
        let parted = before.keys().filter(|key| !bases.contains_key(*key));
        let parted: Vec<Key> = parted.cloned().collect();
        let new = parted.iter().filter_map(|key| standing.get(key));
        for uid in new.flatten() {
            self.sheet_edits
                .retain(|(row, _), cell| row != uid || *cell != Cell::Empty);
        }
        // So is a row of the table that came back to the filter while its place in the sheet was
        // being emptied.
        let empties = self.mapping.on_table_delete == OnTableDelete::Clear;
        let is_back = |key: &&Key| {
            let rewritten = before[*key].state == RowState::ToRewrite;
            empties && rewritten && self.table.contains_key(*key)
        };
        for key in parted.iter().filter(is_back) {
            self.table_edits
                .retain(|(owed, _), datum| owed != key || datum.is_some());
        }
        for from in &parted {
            self.carry_deletion(from, &before);
        }
        for (key, stored) in &sides.table.bases {
            let agreed = matches!(stored.state, RowState::Agreed(_) | RowState::AbsentInSheet);
            if !agreed || stored.inserting.is_some() || before.get(key) == Some(stored) {
                continue;
            }
            let base = &stored.base;
            let row = self.table.get(key);
            if let Some(row) = row.filter(|row| row.in_filter && row.values == base.database) {
                // Under whichever key it was agreed on before.
                self.agreed_in_table
                    .retain(|_, identity| *identity != row.identity);
                self.agreed_in_table.insert(key.clone(), row.identity);
            }
            if let Some([uid]) = standing.get(key).map(Vec::as_slice)
                && self.sheet[uid] == base.sheet
            {
                self.agreed_in_sheet.insert(key.clone(), *uid);
            }
        }
    }

    /// A row that was deleted in the sheet, and that the table gave another key: where the engine
    /// stores what was agreed on under that one, the deletion goes along, whoever takes the old key
    /// over.
    fn carry_deletion(&mut self, from: &Key, before: &BTreeMap<Key, BaseRow>) {
        if !self.sheet_deleted.contains_key(from) {
            return;
        }
        let mut came = self.bases.keys().filter(|key| !before.contains_key(*key));
        let had = |key: &&Key| {
            let row = self.table.get(*key);
            let had = row.is_some_and(|row| self.had[&row.identity].contains(from));
            // A key that was freed and given to a new row passes for one row.
            had || self.moves.get(*key) == Some(from)
        };
        if let Some(to) = came.find(had).cloned() {
            self.sheet_deleted.remove(from);
            // A row that got the old key since is another one.
            self.sheet_deleted.insert(to, false);
        }
    }

    /// A fresh engine knows of rows in the sheet what is stored.
    pub fn restarted(&mut self, table: &Table) {
        self.known.retain(|key| table.bases.contains_key(key));
    }

    /// The engine was given a whole snapshot.
    pub fn snapshot_taken(&mut self, sides: Sides) {
        self.sheet_deleted.retain(|_, back| !*back);
        self.known = keys_in_sheet(&self.mapping, sides).into_keys().collect();
        self.snapshot = self.sheet.clone();
    }

    /// The engine was told how these rows stand.
    pub fn loaded(&mut self, keys: &[Key], table: &Table) {
        let keys: Vec<Key> = keys
            .iter()
            .map(|key| identity(&self.mapping, key))
            .collect();
        for key in &keys {
            self.loads.remove(key);
            let row = table.rows.get(key).map(|row| row.values.clone());
            self.loads.extend(row.map(|row| (key.clone(), row)));
            self.moves.remove(key);
            let moved = table.moved_by_name(key);
            self.moves.extend(moved.map(|other| (key.clone(), other)));
        }
        self.table_deleted
            .retain(|key, back| !*back || !keys.contains(key));
    }

    /// The last reading that the engine was given had the row.
    pub fn has_seen(&self, key: &Key) -> bool {
        self.known.contains(key)
    }

    /// From here on both sides are compared afresh: nobody's delete counts, and what is empty on
    /// one side is filled.
    pub fn forget_bases(&mut self) {
        self.agreed_in_table.clear();
        self.agreed_in_sheet.clear();
        self.table_deleted.clear();
        self.sheet_deleted.clear();
        // The extension keeps the marks of deletions under way, by which their images are found.
        self.fallen.clear();
        self.table_edits.retain(|_, datum| datum.is_some());
        self.sheet_edits.retain(|_, cell| *cell != Cell::Empty);
    }

    /// What was given to a row that belongs in another tab is owed to that one alone.
    pub fn leave_to(&mut self, other: &Ledger) {
        let belongs = |ledger: &Ledger, key: &Key| {
            let row = ledger.table.get(key);
            row.is_some_and(|row| row.in_filter)
        };
        let mut edits = std::mem::take(&mut self.table_edits);
        edits.retain(|place, _| {
            let theirs = !belongs(self, &place.0) && belongs(other, &place.0);
            !theirs || other.table_edits.contains_key(place)
        });
        self.table_edits = edits;
    }

    /// A value that no person typed and that is right all the same (a conflict function,
    /// `resolve()`).
    pub fn allow(&mut self, key: &Key, column: usize, datum: &Datum) {
        let datum = self.stored(column, datum);
        self.ever
            .entry((key.clone(), column))
            .or_default()
            .insert(datum);
    }

    /// The form in which the table ends up with a value, made comparable.
    pub fn stored(&self, column: usize, datum: &Datum) -> Datum {
        let normal = normal(self.mapping.columns[column].kind, datum);
        if self.setup.upper && self.mapping.columns[column].name == "code" {
            return normal.map(|text| text.to_uppercase().into());
        }
        self.in_one_spelling(column, normal)
    }

    fn in_one_spelling(&self, column: usize, datum: Datum) -> Datum {
        match self.setup.ignores_case && self.mapping.key.contains(&column) {
            true => datum.map(|text| text.to_lowercase().into()),
            false => datum,
        }
    }

    /// What the table should have for a cell, made comparable; `None` where the column cannot hold
    /// it.
    pub fn meant(&self, column: usize, cell: &Cell) -> Option<Datum> {
        let spec = &self.mapping.columns[column];
        meaning(spec.kind, spec.nullable, cell).map(|datum| self.stored(column, &datum))
    }

    /// Whether a cell shows what the table has, nothing added and nothing left out.
    pub fn agree(&self, column: usize, datum: &Datum, cell: &Cell) -> bool {
        let spec = &self.mapping.columns[column];
        let comparable = |datum: &Datum| self.in_one_spelling(column, normal(spec.kind, datum));
        meaning(spec.kind, spec.nullable, cell)
            .is_some_and(|meant| comparable(&meant) == comparable(datum))
    }

    /// Whether the sheet showed this value when the engine last looked: then both sides had it at
    /// once.
    fn shown_lately(&self, key: &Key, column: usize, datum: &Datum) -> bool {
        let stored = self.stored(column, datum);
        let shows = |cells: &Vec<Cell>| {
            self.meant(column, &cells[column])
                .is_some_and(|meant| meant == stored)
        };
        let of_key = |cells: &&Vec<Cell>| key_of_cells(&self.mapping, cells).as_ref() == Some(key);
        self.snapshot.values().filter(of_key).any(shows)
    }

    /// Whether the table had this value when the engine last looked.
    fn held_lately(&self, key: &Key, column: usize, cell: &Cell) -> bool {
        let held = self
            .loads
            .get(key)
            .map(|row| self.stored(column, &row[column]));
        held.is_some() && held == self.meant(column, cell)
    }

    fn pulled(&self, column: usize) -> bool {
        self.mapping.columns[column].direction == Direction::FromSheet
    }

    fn explained(&self, key: &Key, column: usize, datum: &Datum) -> bool {
        let stored = self.stored(column, datum);
        self.pulled(column)
            || self.mapping.key.contains(&column)
            || self
                .ever
                .iter()
                .filter(|((other, at), _)| *at == column && self.stands_for(other, key))
                .any(|(_, values)| values.contains(&stored))
    }

    /// Entries whose value stands on the other side are settled.
    fn close(&mut self, sides: Sides) {
        if self.table_edits.is_empty() && self.sheet_edits.is_empty() {
            return;
        }
        let standing = keys_in_sheet(&self.mapping, sides);
        let mut table_edits = std::mem::take(&mut self.table_edits);
        table_edits.retain(|(key, column), datum| {
            let there = |uid: &Uid| {
                self.meant(*column, &self.sheet[uid][*column])
                    .is_some_and(|meant| meant == self.stored(*column, datum))
            };
            // Under its old key it is the same row.
            let mut rows = standing.iter();
            !rows.any(|(other, rows)| self.stands_for(other, key) && rows.iter().any(there))
        });
        self.table_edits = table_edits;
        let mut sheet_edits = std::mem::take(&mut self.sheet_edits);
        sheet_edits.retain(|(uid, column), cell| {
            let row = self
                .sheet
                .get(uid)
                .and_then(|cells| sides.table.rows.get(&key_of_cells(&self.mapping, cells)?));
            let there = row.is_some_and(|row| {
                self.meant(*column, cell) == Some(self.stored(*column, &row.values[*column]))
            });
            self.sheet.contains_key(uid) && !there
        });
        self.sheet_edits = sheet_edits;
    }

    /// What both sides had agreed on. A base without any value is a note of the engine's that it
    /// has yet to look; that of a row to be inserted is only a plan until the row is there.
    fn base_of<'a>(&self, sides: Sides<'a>, key: &Key) -> Option<&'a Base> {
        let row = sides.table.bases.get(key)?;
        let base = &row.base;
        let said = base.database.iter().any(Option::is_some) || base.database.is_empty();
        let arrived = || self.arrived.contains(key);
        let planned = row.state == RowState::ToInsert || row.inserting.is_some();
        (said && (!planned || arrived())).then_some(base)
    }

    /// Whether the table's row under one key is the row that it once had under another.
    fn is_renamed(&self, from: &Key, to: &Key) -> bool {
        let row = self.table.get(to);
        row.is_some_and(|row| self.had[&row.identity].contains(from))
            && !self.table.contains_key(from)
    }

    /// Whether what is said of one key is said of the row that has the other: the same, or one that
    /// it had before and no other row has now.
    pub fn stands_for(&self, other: &Key, key: &Key) -> bool {
        other == key || self.is_renamed(other, key)
    }

    /// What was ever given to a row's cells under one key was given to it under the other.
    fn pass_on(&mut self, from: &Key, to: &Key) {
        for column in 0..self.mapping.columns.len() {
            let values = self.ever.get(&(from.clone(), column)).cloned();
            let known = self.ever.entry((to.clone(), column)).or_default();
            known.extend(values.unwrap_or_default());
        }
    }

    /// Nothing speaks against it that a row of the sheet follows the key of its row in the table.
    fn should_follow(&self, from: &Key, to: &Key, sides: Sides) -> bool {
        let bases = &sides.table.bases;
        let agreed =
            |BaseRow { base, .. }: &BaseRow| !base.sheet.is_empty() && !base.database.is_empty();
        // Keys that pass from one row that both sides have to another are compared key by key.
        let attempted = |row: &BaseRow| row.state == RowState::ToRewrite;
        self.calm
            && self.is_renamed(from, to)
            && self.table[to].in_filter
            && sides.table.moved_by_name(to).as_ref() == Some(from)
            && self.is_said_as_spelled(from, to, sides)
            && bases.get(from).is_some_and(agreed)
            && bases.get(to).is_none_or(attempted)
            && !self.known.contains(to)
    }

    /// A key that is passed on in two spellings is compared key by key.
    fn is_said_as_spelled(&self, from: &Key, to: &Key, sides: Sides) -> bool {
        let row = sides.table.rows.get(to);
        let spelled = row.map(|row| spelling_of_row(&self.mapping, &row.values));
        let before = spelled.and_then(|key| sides.table.moved(&key));
        before.is_some_and(|key| identity(&self.mapping, &key) == *from)
    }

    pub fn names(&self, key: &Key) -> Vec<Key> {
        let mut names = vec![key.clone()];
        while let Some(former) = self
            .former
            .get(names.last().expect("it has one"))
            .filter(|former| !names.contains(former))
        {
            names.push(former.clone());
        }
        names
    }
}

/// The sheet's rows by key, under their hidden names.
pub fn keys_in_sheet(mapping: &Mapping, sides: Sides) -> BTreeMap<Key, Vec<Uid>> {
    let tab = sides.tab;
    let mut found: BTreeMap<Key, Vec<Uid>> = BTreeMap::new();
    for row in tab.header() + 1..tab.rows.len() {
        if let Some(key) = key_of_cells(mapping, &tab.mapped(row, sides.now)) {
            found.entry(key).or_default().push(tab.rows[row].uid);
        }
    }
    found
}

fn lines<'a>(sides: Sides<'a>, keys: &'a [Key]) -> impl Iterator<Item = &'a Conflict> {
    let own = sides.table.conflicts.iter().map(|line| &line.conflict);
    let lines = own.chain(&sides.table.lines_elsewhere);
    lines.filter(|line| keys.contains(&line.key))
}

/// Whether a conflict line is about the row as a whole.
fn row_named(sides: Sides, keys: &[Key]) -> bool {
    lines(sides, keys).any(|line| line.column.is_none())
}

/// Whether a conflict line names this value of the table.
pub fn table_named(sides: Sides, keys: &[Key], column: usize, datum: &Datum) -> bool {
    let cell =
        |line: &Conflict| line.column == Some(column) && line.database.as_ref() == Some(datum);
    row_named(sides, keys) || lines(sides, keys).any(cell)
}

/// Whether a conflict line names this cell of the sheet.
pub fn sheet_named(sides: Sides, keys: &[Key], column: usize, cell: &Cell) -> bool {
    let same = |line: &Conflict| line.column == Some(column) && line.sheet.as_ref() == Some(cell);
    row_named(sides, keys) || lines(sides, keys).any(same)
}
