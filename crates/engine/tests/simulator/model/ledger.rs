//! What is owed to whom. Every edit that a person makes is an open entry until its value stands on the other side, a later edit
//! takes its place, or it loses by a rule and a conflict line names it. The ledger watches every change that the engine makes
//! and speaks up at the first one that nobody asked for.

use super::database::Table;
use super::setup::{Setup, key_of_cells};
use super::sheet::{Tab, Uid};
use super::values::{meaning, normal};
use super::{Verdict, broken};
use engine::effect::Conflict;
use engine::mapping::{Direction, Mapping, OnSheetDelete, OnTableDelete};
use engine::value::{Cell, Datum, Key, Timestamp};
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

pub struct Ledger {
    setup: Setup,
    mapping: Mapping,
    table: BTreeMap<Key, SeenRow>,
    sheet: BTreeMap<Uid, Vec<Cell>>,
    pub table_edits: BTreeMap<(Key, usize), Datum>,
    pub sheet_edits: BTreeMap<(Uid, usize), Cell>,
    /// Rows that a person took from a side (or that left the row filter); true where they came back since.
    pub table_deleted: BTreeMap<Key, bool>,
    pub sheet_deleted: BTreeMap<Key, bool>,
    /// Keys that a person gave to a row of the sheet, of the table: nothing speaks against such a row on the other side.
    retyped: BTreeSet<Key>,
    reinserted: BTreeSet<Key>,
    /// Every value that somebody ever gave to a cell.
    ever: BTreeMap<(Key, usize), BTreeSet<Datum>>,
    /// The rows that the engine put into the sheet.
    inserted: BTreeMap<Uid, Key>,
    /// Keys in the newest snapshot that the engine has.
    known: BTreeSet<Key>,
    /// Keys under which a row stood before the engine carried a retyped key over.
    former: BTreeMap<Key, Key>,
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
            table_edits: BTreeMap::new(),
            sheet_edits: BTreeMap::new(),
            table_deleted: BTreeMap::new(),
            sheet_deleted: BTreeMap::new(),
            retyped: BTreeSet::new(),
            reinserted: BTreeSet::new(),
            ever: BTreeMap::new(),
            known: BTreeSet::new(),
            inserted: BTreeMap::new(),
            former: BTreeMap::new(),
        }
    }

    /// Compare both sides with how they stood at the last call, and book the differences on `author`.
    pub fn book(&mut self, author: Author, sides: Sides) -> Verdict {
        self.book_table(author, sides)?;
        self.book_sheet(author, sides)?;
        self.close(sides);
        Ok(())
    }

    /// The engine was given a whole snapshot.
    pub fn snapshot_taken(&mut self, sides: Sides) {
        self.sheet_deleted.retain(|_, back| !*back);
        self.known = keys_in_sheet(&self.mapping, sides).into_keys().collect();
    }

    /// The engine was told how these rows stand.
    pub fn loaded(&mut self, keys: &[Key]) {
        self.table_deleted
            .retain(|key, back| !*back || !keys.contains(key));
    }

    /// From here on both sides are compared afresh: nobody's delete counts, and what is empty on one side is filled.
    pub fn forget_bases(&mut self) {
        self.table_deleted.clear();
        self.sheet_deleted.clear();
        self.table_edits.retain(|_, datum| datum.is_some());
        self.sheet_edits.retain(|_, cell| *cell != Cell::Empty);
    }

    /// A value that no person typed and that is right all the same (a conflict function, `resolve()`).
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
            return normal.map(|text| text.to_uppercase());
        }
        normal
    }

    /// What the table should have for a cell, made comparable; `None` where the column cannot hold it.
    pub fn meant(&self, column: usize, cell: &Cell) -> Option<Datum> {
        let spec = &self.mapping.columns[column];
        meaning(spec.kind, spec.nullable, cell).map(|datum| self.stored(column, &datum))
    }

    /// Whether a cell shows what the table has, nothing added and nothing left out.
    pub fn agree(&self, column: usize, datum: &Datum, cell: &Cell) -> bool {
        let spec = &self.mapping.columns[column];
        meaning(spec.kind, spec.nullable, cell)
            .is_some_and(|meant| normal(spec.kind, &meant) == normal(spec.kind, datum))
    }

    fn pulled(&self, column: usize) -> bool {
        self.mapping.columns[column].direction == Direction::FromSheet
    }

    fn explained(&self, key: &Key, column: usize, datum: &Datum) -> bool {
        self.pulled(column)
            || self.mapping.key.contains(&column)
            || self
                .ever
                .get(&(key.clone(), column))
                .is_some_and(|values| values.contains(&self.stored(column, datum)))
    }

    // ------------------------------------------------------------------------------------------------------------- table

    fn book_table(&mut self, author: Author, sides: Sides) -> Verdict {
        let seen = |row: &super::database::TableRow| SeenRow {
            identity: row.identity,
            values: row.values.clone(),
            in_filter: sides.table.in_filter(row),
        };
        let after: BTreeMap<Key, SeenRow> = sides
            .table
            .rows
            .iter()
            .map(|(key, row)| (key.clone(), seen(row)))
            .collect();
        if after == self.table {
            return Ok(());
        }
        let mut before = std::mem::replace(&mut self.table, after.clone());
        if author != Author::Person {
            self.carry_renames(&mut before, &after);
        }
        for (key, row) in &before {
            if !after.contains_key(key) {
                self.table_row_gone(author, key, row, sides)?;
            }
        }
        for (key, row) in &after {
            match before.get(key) {
                None => self.table_row_new(author, key, row, sides)?,
                Some(old) if old != row => self.table_row_changed(author, key, old, row, sides)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// A key that was retyped in the sheet and carried over: the row is the same, its entries move along.
    fn carry_renames(
        &mut self,
        before: &mut BTreeMap<Key, SeenRow>,
        after: &BTreeMap<Key, SeenRow>,
    ) {
        let moved: Vec<(Key, Key)> = before
            .iter()
            .filter(|(key, _)| !after.contains_key(key))
            .filter_map(|(old, row)| {
                let new = after
                    .iter()
                    .find(|(new, now)| now.identity == row.identity && !before.contains_key(new));
                new.map(|(new, _)| (old.clone(), new.clone()))
            })
            .filter(|(old, _)| self.sheet_deleted.contains_key(old))
            .collect();
        for (old, new) in moved {
            let mut row = before.remove(&old).expect("it was found there");
            for (&column, part) in self.mapping.key.iter().zip(&new.0) {
                row.values[column] = Some(part.clone());
            }
            before.insert(new.clone(), row);
            for column in 0..self.mapping.columns.len() {
                if let Some(edit) = self.table_edits.remove(&(old.clone(), column)) {
                    self.table_edits.insert((new.clone(), column), edit);
                }
                let values = self
                    .ever
                    .get(&(old.clone(), column))
                    .cloned()
                    .unwrap_or_default();
                self.ever
                    .entry((new.clone(), column))
                    .or_default()
                    .extend(values);
            }
            self.sheet_deleted.remove(&old);
            self.former.insert(new, old);
        }
    }

    fn table_row_gone(
        &mut self,
        author: Author,
        key: &Key,
        row: &SeenRow,
        sides: Sides,
    ) -> Verdict {
        let owed: Vec<(usize, Datum)> = self.take_table_edits(key);
        if author == Author::Person {
            if row.in_filter {
                self.table_deleted.insert(key.clone(), false);
            }
            return Ok(());
        }
        if self.sheet_deleted.remove(key).is_none() {
            return broken(format!(
                "row {key:?} is deleted from the table, and nobody deleted it in the sheet"
            ));
        }
        match owed.first() {
            Some((column, datum)) if !table_named(sides, &self.names(key), *column, datum) => {
                broken(format!(
                    "row {key:?} is deleted from the table, where column {column} was changed to {datum:?}, without a conflict line"
                ))
            }
            _ => Ok(()),
        }
    }

    fn take_table_edits(&mut self, key: &Key) -> Vec<(usize, Datum)> {
        (0..self.mapping.columns.len())
            .filter_map(|column| Some((column, self.table_edits.remove(&(key.clone(), column))?)))
            .collect()
    }

    fn table_row_new(&mut self, author: Author, key: &Key, row: &SeenRow, sides: Sides) -> Verdict {
        if let Author::Engine { everything } = author {
            if !everything
                && self.table_deleted.get(key) == Some(&false)
                && !self.retyped.contains(key)
                && self.setup.on_table_delete != OnTableDelete::Keep
                && !row_named(sides, &self.names(key))
            {
                return broken(format!(
                    "row {key:?}, deleted in the table, comes back without a conflict line"
                ));
            }
            self.table_deleted.remove(key);
            let foreign = (0..row.values.len()).find(|&column| {
                row.values[column].is_some() && !self.explained(key, column, &row.values[column])
            });
            return match foreign {
                Some(column) => broken(format!(
                    "row {key:?} is inserted with {:?} in column {column}, which nobody typed there",
                    row.values[column]
                )),
                None => Ok(()),
            };
        }
        if row.in_filter {
            self.table_deleted
                .entry(key.clone())
                .and_modify(|back| *back = true);
        }
        self.reinserted.insert(key.clone());
        for (column, datum) in row.values.iter().enumerate() {
            self.allow(key, column, datum);
            let agreed = sides
                .table
                .bases
                .get(key)
                .and_then(|(base, _)| base.database.get(column));
            if datum.is_some() && agreed != Some(datum) && row.in_filter && !self.pulled(column) {
                self.table_edits
                    .insert((key.clone(), column), datum.clone());
            }
        }
        Ok(())
    }

    fn table_row_changed(
        &mut self,
        author: Author,
        key: &Key,
        old: &SeenRow,
        row: &SeenRow,
        sides: Sides,
    ) -> Verdict {
        match (old.in_filter, row.in_filter) {
            (true, false) => drop(self.table_deleted.insert(key.clone(), false)),
            (false, true) => drop(
                self.table_deleted
                    .entry(key.clone())
                    .and_modify(|back| *back = true),
            ),
            _ => {}
        }
        for column in 0..row.values.len() {
            let (before, after) = (&old.values[column], &row.values[column]);
            if before == after {
                continue;
            }
            let place = (key.clone(), column);
            if author == Author::Person {
                self.allow(key, column, after);
                if self.pulled(column) {
                    continue;
                }
                let base = sides.table.bases.get(key);
                let agreed = base.is_some_and(|(base, _)| base.database.get(column) == Some(after));
                match agreed || (base.is_none() && after.is_none()) {
                    true => drop(self.table_edits.remove(&place)),
                    false => drop(self.table_edits.insert(place, after.clone())),
                }
                continue;
            }
            if !self.explained(key, column, after) {
                return broken(format!(
                    "row {key:?}, column {column} of the table gets {after:?}, which nobody gave it"
                ));
            }
            if let Some(edit) = self.table_edits.remove(&place)
                && self.stored(column, &edit) != self.stored(column, after)
                && !table_named(sides, &self.names(key), column, &edit)
            {
                return broken(format!(
                    "{edit:?} in row {key:?}, column {column} of the table is overwritten with {after:?}, and no conflict line names it"
                ));
            }
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------------------- sheet

    fn book_sheet(&mut self, author: Author, sides: Sides) -> Verdict {
        let tab = sides.tab;
        let after: BTreeMap<Uid, Vec<Cell>> = (tab.header() + 1..tab.rows.len())
            .map(|row| (tab.rows[row].uid, tab.mapped(row, sides.now)))
            .collect();
        if after == self.sheet {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.sheet, after);
        let after = self.sheet.clone();
        let gone = before
            .iter()
            .filter(|(uid, _)| !after.contains_key(uid))
            .map(|(uid, cells)| (*uid, cells, None));
        let here = after
            .iter()
            .map(|(uid, cells)| (*uid, before.get(uid).unwrap_or(cells), Some(cells)));
        for (uid, old, new) in gone.chain(here) {
            let is_new = !before.contains_key(&uid);
            if new == Some(old) && !is_new {
                continue;
            }
            let blank = vec![Cell::Empty; self.mapping.columns.len()];
            let (old, new) = (if is_new { &blank } else { old }, new.unwrap_or(&blank));
            let gone = !after.contains_key(&uid);
            match author {
                Author::Person => self.person_edits_sheet(uid, old, new, sides),
                Author::Engine { .. } if gone => self.engine_deletes_from_sheet(uid, old, sides)?,
                Author::Engine { everything } if is_new => {
                    self.engine_inserts_in_sheet(uid, new, everything, sides)?
                }
                Author::Engine { .. } => self.engine_edits_sheet(uid, old, new, sides)?,
            }
        }
        Ok(())
    }

    fn person_edits_sheet(&mut self, uid: Uid, old: &[Cell], new: &[Cell], sides: Sides) {
        let (old_key, new_key) = (
            key_of_cells(&self.mapping, old),
            key_of_cells(&self.mapping, new),
        );
        let retyped = old_key != new_key;
        if retyped {
            let standing = keys_in_sheet(&self.mapping, sides);
            if let Some(key) = old_key.filter(|key| !standing.contains_key(key)) {
                self.sheet_deleted.insert(key, false);
            }
            if let Some(key) = &new_key {
                self.retyped.insert(key.clone());
                self.sheet_deleted
                    .entry(key.clone())
                    .and_modify(|back| *back = true);
            }
        }
        for (column, cell) in new.iter().enumerate() {
            if self.pulled(column) || (*cell == old[column] && !retyped) {
                continue;
            }
            if let (Some(key), Some(datum)) = (&new_key, self.meant(column, cell)) {
                self.allow(key, column, &datum);
            }
            let base = new_key.as_ref().and_then(|key| sides.table.bases.get(key));
            let agreed = base.and_then(|(base, _)| base.sheet.get(column));
            let nothing = (retyped || base.is_none()) && *cell == Cell::Empty;
            if self.mapping.key.contains(&column) || nothing || agreed == Some(cell) {
                self.sheet_edits.remove(&(uid, column));
            } else {
                self.sheet_edits.insert((uid, column), cell.clone());
            }
        }
    }

    fn engine_inserts_in_sheet(
        &mut self,
        uid: Uid,
        new: &[Cell],
        everything: bool,
        sides: Sides,
    ) -> Verdict {
        let Some(key) = key_of_cells(&self.mapping, new) else {
            return broken(format!(
                "a row without a key is inserted in the sheet: {new:?}"
            ));
        };
        let others = keys_in_sheet(&self.mapping, sides)
            .remove(&key)
            .unwrap_or_default();
        if others.iter().any(|other| {
            *other != uid && (self.inserted.get(other) == Some(&key) || self.known.contains(&key))
        }) {
            return broken(format!(
                "row {key:?} is inserted in the sheet, where it stands already"
            ));
        }
        if !everything
            && self.sheet_deleted.get(&key) == Some(&false)
            && !self.reinserted.contains(&key)
            && self.setup.on_sheet_delete != OnSheetDelete::Keep
            && !row_named(sides, &self.names(&key))
        {
            return broken(format!(
                "row {key:?}, deleted in the sheet, comes back without a conflict line"
            ));
        }
        self.sheet_deleted.remove(&key);
        self.known.insert(key.clone());
        self.inserted.insert(uid, key.clone());
        self.cells_explained(&key, new, &vec![Cell::Empty; new.len()])
    }

    fn cells_explained(&self, key: &Key, new: &[Cell], old: &[Cell]) -> Verdict {
        for (column, cell) in new
            .iter()
            .enumerate()
            .filter(|(column, cell)| **cell != old[*column])
        {
            if self
                .meant(column, cell)
                .is_none_or(|datum| !self.explained(key, column, &datum))
            {
                return broken(format!(
                    "row {key:?}, column {column} of the sheet gets {cell:?}, which nobody gave it"
                ));
            }
        }
        Ok(())
    }

    fn engine_deletes_from_sheet(&mut self, uid: Uid, old: &[Cell], sides: Sides) -> Verdict {
        let key = key_of_cells(&self.mapping, old);
        let unseen = sides.tab.unseen.iter().any(|(other, _)| *other == uid);
        let owed: Vec<(usize, Cell)> = (0..old.len())
            .filter_map(|column| Some((column, self.sheet_edits.remove(&(uid, column))?)))
            .collect();
        let Some(key) = key else {
            return if unseen {
                Ok(())
            } else {
                broken(format!(
                    "a row without a key is deleted from the sheet: {old:?}"
                ))
            };
        };
        if self.table_deleted.remove(&key).is_none() && !unseen {
            return broken(format!(
                "row {key:?} is deleted from the sheet, and nobody deleted it in the table"
            ));
        }
        if self.setup.on_table_delete != OnTableDelete::DeleteRow
            && !unseen
            && !sides.table.rows.contains_key(&key)
        {
            return broken(format!(
                "row {key:?} is deleted from the sheet against on_table_delete"
            ));
        }
        match owed.first() {
            Some((column, cell))
                if !unseen && !sheet_named(sides, &self.names(&key), *column, cell) =>
            {
                broken(format!(
                    "row {key:?} is deleted from the sheet, where column {column} was changed to {cell:?}, without a conflict line"
                ))
            }
            _ => Ok(()),
        }
    }

    fn engine_edits_sheet(
        &mut self,
        uid: Uid,
        old: &[Cell],
        new: &[Cell],
        sides: Sides,
    ) -> Verdict {
        let (old_key, new_key) = (
            key_of_cells(&self.mapping, old),
            key_of_cells(&self.mapping, new),
        );
        let unseen = |column: usize| sides.tab.unseen.contains(&(uid, column));
        let key_unseen = self.mapping.key.iter().any(|&column| unseen(column));
        let cleared =
            (0..new.len()).all(|column| new[column] == Cell::Empty || self.pulled(column));
        let key = match (&old_key, &new_key) {
            _ if key_unseen => {
                // The row became another one between the look and the write: what was written is what its person finds there.
                for (column, cell) in new.iter().enumerate() {
                    if let (Some(key), Some(datum)) = (&new_key, self.meant(column, cell)) {
                        self.allow(key, column, &datum);
                    }
                    self.sheet_edits.remove(&(uid, column));
                }
                self.written_elsewhere(uid, sides);
                return Ok(());
            }
            (Some(old), Some(new)) if old == new => new.clone(),
            (None, Some(new)) if sides.table.generated.contains(new) => new.clone(),
            (Some(old), None) if cleared && self.setup.on_table_delete == OnTableDelete::Clear => {
                if self.table_deleted.remove(old).is_none() && !key_unseen {
                    return broken(format!(
                        "row {old:?} is cleared in the sheet, and nobody deleted it in the table"
                    ));
                }
                old.clone()
            }
            _ => {
                return broken(format!(
                    "the key {old_key:?} of a sheet row is overwritten with {new_key:?}"
                ));
            }
        };
        if old_key.is_none() {
            let mistaken = sides.tab.mistaken.iter().filter(|(row, _)| *row == uid);
            let seen = mistaken.flat_map(|(_, cells)| cells.iter().enumerate());
            for (column, cell) in seen.chain(new.iter().enumerate()) {
                if let Some(datum) = self.meant(column, cell) {
                    self.allow(&key, column, &datum);
                }
            }
        }
        for column in (0..new.len())
            .filter(|&column| new[column] != old[column] && !self.mapping.key.contains(&column))
        {
            if self.pulled(column) {
                if sides.tab.computes(uid, column) {
                    continue;
                }
                return broken(format!(
                    "row {key:?}, column {column} is pulled only and gets {:?}",
                    new[column]
                ));
            }
            let (Some(edit), false) = (self.sheet_edits.remove(&(uid, column)), unseen(column))
            else {
                continue;
            };
            let same = self.meant(column, &edit).is_some()
                && self.meant(column, &edit) == self.meant(column, &new[column]);
            if !same && !sheet_named(sides, &self.names(&key), column, &edit) {
                return broken(format!(
                    "{edit:?} in row {key:?}, column {column} of the sheet is overwritten with {:?}, and no conflict line names it",
                    new[column]
                ));
            }
        }
        if cleared {
            Ok(())
        } else {
            self.cells_explained(&key, new, old)
        }
    }

    /// The engine has every reason to believe that it wrote these rows' cells.
    fn written_elsewhere(&mut self, uid: Uid, sides: Sides) {
        let meant = sides.tab.mistaken.iter().filter(|(row, _)| *row == uid);
        for key in meant.filter_map(|(_, seen)| key_of_cells(&self.mapping, seen)) {
            self.table_edits.retain(|(owed, _), _| *owed != key);
        }
    }

    // ----------------------------------------------------------------------------------------------------------- closing

    /// Entries whose value stands on the other side are settled.
    fn close(&mut self, sides: Sides) {
        let standing = keys_in_sheet(&self.mapping, sides);
        let mut table_edits = std::mem::take(&mut self.table_edits);
        table_edits.retain(|(key, column), datum| {
            let there = |uid: &Uid| {
                self.meant(*column, &self.sheet[uid][*column])
                    .is_some_and(|meant| meant == self.stored(*column, datum))
            };
            !standing.get(key).is_some_and(|rows| rows.iter().any(there))
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
    let lines = sides.table.conflicts.iter().map(|line| &line.conflict);
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
