//! The sheet's half of the ledger.

use super::super::setup::key_of_cells;
use super::super::sheet::Uid;
use super::super::{Verdict, broken};
use super::{Author, Fallen, Ledger, Sides, keys_in_sheet, row_named, sheet_named};
use engine::effect::Image;
use engine::mapping::{Direction, OnSheetDelete, OnTableDelete};
use engine::value::{Cell, Datum, Key};
use std::collections::BTreeMap;

impl Ledger {
    pub(super) fn book_sheet(&mut self, author: Author, sides: Sides) -> Verdict<bool> {
        let tab = sides.tab;
        let after: BTreeMap<Uid, Vec<Cell>> = (tab.header() + 1..tab.rows.len())
            .map(|row| (tab.rows[row].uid, tab.mapped(row, sides.now)))
            .collect();
        self.book_arrays(sides, &after);
        if after == self.sheet {
            return Ok(false);
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
            if author != Author::Person {
                self.snapshot.insert(uid, new.to_vec());
            }
        }
        Ok(true)
    }

    /// What an array left blank counts as a person's edit from the moment when the array is gone.
    fn book_arrays(&mut self, sides: Sides, after: &BTreeMap<Uid, Vec<Cell>>) {
        let of_arrays = sides.tab.cells_of_arrays();
        let before = std::mem::replace(&mut self.of_arrays, of_arrays);
        for (uid, column) in before.difference(&self.of_arrays.clone()) {
            let Some(cells) = after.get(uid) else {
                continue;
            };
            if let Some(key) = key_of_cells(&self.mapping, cells)
                && cells[*column] == Cell::Empty
            {
                self.allow(&key, *column, &None);
            }
        }
    }

    /// A formula shows this: nobody's edit, and right in the table. A blank or an error says
    /// nothing.
    fn note_computed(&mut self, uid: Uid, column: usize, key: Option<&Key>, cell: &Cell) {
        self.sheet_edits.remove(&(uid, column));
        if let (Some(key), Some(datum @ Some(_))) = (key, self.meant(column, cell)) {
            self.allow(key, column, &datum);
        }
    }

    fn person_edits_sheet(&mut self, uid: Uid, old: &[Cell], new: &[Cell], sides: Sides) {
        let (old_key, new_key) = (
            key_of_cells(&self.mapping, old),
            key_of_cells(&self.mapping, new),
        );
        let retyped = old_key != new_key;
        // Whatever we took from it, it is a person's row now, or was.
        if retyped || new.iter().all(|cell| *cell == Cell::Empty) {
            self.fallen.retain(|_, fallen| fallen.uid != uid);
        }
        if retyped {
            // Whatever we put there, it is a person's row now.
            self.inserted.remove(&uid);
            let standing = keys_in_sheet(&self.mapping, sides);
            // The row may have had another key, as far as people know.
            let typed = |(column, cell): (usize, &Cell)| {
                let taken = self.taken.get(&(uid, column));
                taken.unwrap_or(cell).clone()
            };
            let known: Vec<Cell> = old.iter().enumerate().map(typed).collect();
            let known = key_of_cells(&self.mapping, &known);
            for key in old_key.iter().chain(&known) {
                if !standing.contains_key(key) {
                    self.sheet_deleted.insert(key.clone(), false);
                }
            }
            self.agreed_in_sheet.retain(|_, agreed| *agreed != uid);
            if let Some(key) = &new_key {
                // Of two rows with one key nobody can tell which was meant.
                self.agreed_in_sheet.remove(key);
                self.sheet_deleted
                    .entry(key.clone())
                    .and_modify(|back| *back = true);
            }
        }
        if let Some(key) = &new_key {
            self.fallen.remove(key);
        }
        let is_like =
            |(other, cells): &(&Uid, &Vec<Cell>)| **other != uid && cells.as_slice() == new;
        let like: Vec<Uid> = match old.iter().all(|cell| *cell == Cell::Empty) {
            true => self
                .sheet
                .iter()
                .filter(is_like)
                .map(|(other, _)| *other)
                .collect(),
            false => Vec::new(),
        };
        for (column, cell) in new.iter().enumerate() {
            if *cell != old[column] {
                self.taken.remove(&(uid, column));
            }
            if self.pulled(column) || (*cell == old[column] && !retyped) {
                continue;
            }
            if self.of_arrays.contains(&(uid, column)) {
                self.note_computed(uid, column, new_key.as_ref(), cell);
                continue;
            }
            if let (Some(key), Some(datum)) = (&new_key, self.meant(column, cell)) {
                self.allow(key, column, &datum);
            }
            let base = new_key.as_ref().and_then(|key| self.base_of(sides, key));
            let base = base.filter(|base| !base.sheet.is_empty());
            let agreed = base.and_then(|base| base.sheet.get(column));
            // A row that was deleted and typed again says nothing by what it leaves empty.
            let again = new_key
                .as_ref()
                .is_some_and(|key| self.sheet_deleted.get(key) == Some(&true));
            let nothing = (retyped || again || base.is_none()) && *cell == Cell::Empty;
            let held = new_key
                .as_ref()
                .is_some_and(|key| self.held_lately(key, column, cell));
            // Under its new key the row may still be the old one, and then nobody has touched this
            // cell.
            let former = old_key.as_ref().and_then(|key| self.base_of(sides, key));
            let former = former.and_then(|base| base.sheet.get(column));
            let untouched = *cell == old[column] && former == Some(cell);
            // What stands in a copy of a row that we had just written over is our word.
            let ours = like
                .iter()
                .any(|other| self.taken.contains_key(&(*other, column)));
            let agreed = agreed == Some(cell) || held || untouched || ours;
            if self.mapping.key.contains(&column) || nothing || agreed {
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
        let key = key_of_cells(&self.mapping, new);
        let back = self.gone.iter().position(|row| row == new);
        if let Some(at) = back {
            self.gone.remove(at);
        }
        let Some(key) = key else {
            if back.is_some() {
                return Ok(());
            }
            return broken(format!(
                "a row without a key is inserted in the sheet: {new:?}"
            ));
        };
        let others = keys_in_sheet(&self.mapping, sides)
            .remove(&key)
            .unwrap_or_default();
        // A row that is put back stands as if it had never gone, be it beside another of its key.
        if back.is_none()
            && !went(sides, new)
            && others.iter().any(|other| {
                *other != uid
                    && (self.inserted.get(other) == Some(&key) || self.known.contains(&key))
            })
        {
            return broken(format!(
                "row {key:?} is inserted in the sheet, where it stands already"
            ));
        }
        if !everything
            && back.is_none()
            && self.was_deleted_in_sheet(&key, sides)
            && !sides.table.is_kept(&key)
            && self.setup.on_sheet_delete != OnSheetDelete::Keep
            && !self.has_former_key_of_another(&key)
            && !row_named(sides, &self.all_names(&key))
        {
            return broken(format!(
                "row {key:?}, deleted in the sheet, comes back without a conflict line"
            ));
        }
        for name in self.all_names(&key) {
            if name == key || !self.table.contains_key(&name) {
                self.sheet_deleted.remove(&name);
            }
        }
        self.known.insert(key.clone());
        self.inserted.insert(uid, key.clone());
        self.arrived.insert(key.clone());
        self.settle_shown(&key, new);
        self.stand_up(uid, &key);
        if back.is_some() {
            return Ok(());
        }
        self.note_all_computed(uid, &key, new);
        self.cells_explained(&key, new, &vec![Cell::Empty; new.len()], sides)
    }

    /// In a row that is new or got another key.
    fn note_all_computed(&mut self, uid: Uid, key: &Key, cells: &[Cell]) {
        for (column, cell) in cells.iter().enumerate() {
            if self.of_arrays.contains(&(uid, column)) {
                self.note_computed(uid, column, Some(key), cell);
            }
        }
    }

    /// To the sheet a row that takes over this key is a new one: by what it has empty it says
    /// nothing.
    fn is_new_from_here(&mut self, key: &Key) {
        self.table_edits
            .retain(|(owed, _), datum| owed != key || datum.is_some());
    }

    /// What was given to a row of the table stands in the sheet, be it under a key that the row has
    /// no longer.
    fn settle_shown(&mut self, key: &Key, cells: &[Cell]) {
        let mut edits = std::mem::take(&mut self.table_edits);
        edits.retain(|(other, column), datum| {
            let row = self.table.get(other);
            let had = row.is_some_and(|row| self.had[&row.identity].contains(key));
            let shown = self.meant(*column, &cells[*column]);
            !(had && shown == Some(self.stored(*column, datum)))
        });
        self.table_edits = edits;
    }

    /// A person deleted it there when both sides had it, under this key or under one that the table
    /// has changed since. While what was agreed on is kept under the old key, it may stand in a row
    /// whose key nobody can read, and nobody knows that it is gone.
    fn was_deleted_in_sheet(&self, key: &Key, sides: Sides) -> bool {
        let Some(row) = self.table.get(key) else {
            return false;
        };
        let agreed = |name: &Key| self.agreed_in_table.get(name) == Some(&row.identity);
        let deleted = |name: &Key| self.sheet_deleted.get(name) == Some(&false);
        let mut names = self.had[&row.identity].iter();
        let is_open = |name: &Key| name != key && sides.table.bases.contains_key(name);
        names.any(|name| agreed(name) && deleted(name) && !is_open(name))
    }

    /// The names of the row that the table has under this key.
    fn all_names(&self, key: &Key) -> Vec<Key> {
        let mut names = self.names(key);
        let row = self.table.get(key);
        let had = row.map(|row| &self.had[&row.identity]);
        names.extend(had.into_iter().flatten().cloned());
        names
    }

    /// Another row has a key by now that this one had before, or had it in between: which of the
    /// two somebody deleted in the sheet, nobody can tell from the changes of keys.
    fn has_former_key_of_another(&self, key: &Key) -> bool {
        let identity = self.table.get(key).map(|row| row.identity);
        let others = self
            .had
            .iter()
            .filter(|(other, _)| Some(**other) > identity);
        let newer: Vec<_> = others.map(|(_, names)| names).collect();
        let mut names = self.all_names(key).into_iter().filter(|name| name != key);
        names.any(|name| {
            self.table.contains_key(&name) || newer.iter().any(|names| names.contains(&name))
        })
    }

    pub(super) fn is_agreed_in_sheet(&self, key: &Key, sides: Sides) -> bool {
        let rows = keys_in_sheet(&self.mapping, sides).remove(key);
        let agreed = self.agreed_in_sheet.get(key);
        rows.is_some_and(|rows| rows.iter().any(|uid| Some(uid) == agreed))
    }

    fn cells_explained(&mut self, key: &Key, new: &[Cell], old: &[Cell], sides: Sides) -> Verdict {
        for (column, cell) in new
            .iter()
            .enumerate()
            .filter(|(at, cell)| **cell != old[*at])
        {
            let held = |datum: &Datum| {
                let row = sides.table.rows.get(key);
                row.is_some_and(|row| self.stored(column, &row.values[column]) == *datum)
            };
            let meant = self.meant(column, cell);
            // After a crash what a batch went over is put back as the images show it.
            if is_back(sides, column, cell) {
                if let Some(datum) = &meant {
                    self.allow(key, column, datum);
                }
                continue;
            }
            if meant.is_none_or(|datum| !self.explained(key, column, &datum) && !held(&datum)) {
                return broken(format!(
                    "row {key:?}, column {column} of the sheet gets {cell:?}, which nobody gave it"
                ));
            }
        }
        Ok(())
    }

    fn engine_deletes_from_sheet(&mut self, uid: Uid, old: &[Cell], sides: Sides) -> Verdict {
        let key = key_of_cells(&self.mapping, old);
        if sides.tab.unseen.iter().any(|(other, _)| *other == uid) {
            self.note_fallen(uid, key);
            self.gone.push(old.to_vec());
            return Ok(());
        }
        // What both sides had agreed on says nothing, be it in a copy that a person made of the
        // row.
        let stored = key.as_ref().and_then(|key| sides.table.bases.get(key));
        let is_agreed = |column: usize, cell: &Cell| {
            stored.is_some_and(|row| row.base.sheet.get(column) == Some(cell))
        };
        let owed: Vec<(usize, Cell)> = (0..old.len())
            .filter_map(|column| Some((column, self.sheet_edits.remove(&(uid, column))?)))
            .filter(|(column, cell)| !is_agreed(*column, cell))
            .collect();
        let Some(key) = key else {
            return broken(format!(
                "a row without a key is deleted from the sheet: {old:?}"
            ));
        };
        let renamed = sides.table.moved_by_name(&key);
        if let Some(to) = renamed.filter(|to| self.should_follow(&key, to, sides)) {
            return broken(format!(
                "row {key:?} is deleted from the sheet with all that stands in it, and only its key was changed, to {to:?}"
            ));
        }
        let row = sides.table.rows.get(&key);
        let decided = match row {
            Some(row) => !sides.table.in_filter(row),
            None => row_named(sides, &self.names(&key)) || self.base_of(sides, &key).is_some(),
        };
        let deleted = self.table_deleted.remove(&key).is_some();
        self.is_new_from_here(&key);
        if !deleted && !decided {
            return broken(format!(
                "row {key:?} is deleted from the sheet, and nobody deleted it in the table"
            ));
        }
        if self.setup.on_table_delete != OnTableDelete::DeleteRow
            && !sides.table.rows.contains_key(&key)
        {
            return broken(format!(
                "row {key:?} is deleted from the sheet against on_table_delete"
            ));
        }
        match owed.first() {
            Some((column, cell)) if !sheet_named(sides, &self.names(&key), *column, cell) => {
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
        let is_written = |column: &usize| {
            new[*column] != old[*column] && !self.of_arrays.contains(&(uid, *column))
        };
        let changed: Vec<usize> = (0..new.len()).filter(is_written).collect();
        let restored = changed
            .iter()
            .all(|column| self.taken.get(&(uid, *column)) == Some(&new[*column]));
        // After a crash it is not known whether somebody had typed what a batch went over.
        let undone = changed
            .iter()
            .all(|column| undoes(sides, *column, &old[*column], &new[*column]));
        let renamed = old_key.as_ref().zip(new_key.as_ref());
        let renamed = renamed.is_some_and(|(old, new)| self.moves.get(new) == Some(old));
        for column in &changed {
            self.taken.remove(&(uid, *column));
            // Whichever row has the old key by now gets the new one.
            let follows = renamed && self.mapping.key.contains(column);
            if (unseen(*column) || key_unseen) && !restored && !follows {
                self.taken.insert((uid, *column), old[*column].clone());
            }
        }
        let before = old;
        let cleared = (0..new.len())
            .all(|column| new[column] == Cell::Empty || self.pulled(column) || unseen(column));
        let key = match (&old_key, &new_key) {
            // Given back.
            _ if restored || undone && old_key != new_key => {
                if let Some(key) = &new_key {
                    self.stand_up(uid, key);
                }
                for column in &changed {
                    let place = (uid, *column);
                    if self.sheet_edits.get(&place) == Some(&old[*column]) {
                        let base = new_key.as_ref().and_then(|key| self.base_of(sides, key));
                        // A new row says nothing by what it has empty, and no row by what both
                        // sides had agreed on.
                        let says_nothing = match base {
                            Some(base) => base.sheet.get(*column) == Some(&new[*column]),
                            None => new[*column] == Cell::Empty,
                        };
                        match says_nothing {
                            true => self.sheet_edits.remove(&place),
                            false => self.sheet_edits.insert(place, new[*column].clone()),
                        };
                    }
                }
                for (column, cell) in new.iter().enumerate() {
                    if let (Some(key), Some(datum)) = (&new_key, self.meant(column, cell)) {
                        self.allow(key, column, &datum);
                    }
                }
                let lost = old_key.filter(|key| new_key.as_ref() != Some(key));
                if let Some(key) = lost {
                    self.sheet_deleted.entry(key).or_insert(true);
                }
                return Ok(());
            }
            // The row became another one between the look and the write.
            _ if key_unseen && !renamed => {
                if new_key.is_none() {
                    self.note_fallen(uid, old_key);
                    self.gone.push(old.to_vec());
                }
                for &column in &changed {
                    let datum = self.meant(column, &new[column]);
                    let key = new_key
                        .as_ref()
                        .filter(|_| is_back(sides, column, &new[column]));
                    if let (Some(key), Some(datum)) = (key, datum) {
                        self.allow(key, column, &datum);
                    }
                }
                return Ok(());
            }
            // So it did once more while an edit was given back.
            (None, None) if (0..new.len()).any(unseen) => return Ok(()),
            // After a crash what a batch went over is put back as the images show it, though the
            // row has lost its key since.
            (None, None) if changed.iter().all(|at| is_back(sides, *at, &new[*at])) => {
                return Ok(());
            }
            (Some(old), Some(new)) if old == new => new.clone(),
            (None, Some(new)) if sides.table.generated.contains(new) => new.clone(),
            // The row was emptied while it was given a key: it has none then, whatever is typed
            // into it since.
            (Some(old), None)
                if sides.table.generated.contains(old) && !sides.table.rows.contains_key(old) =>
            {
                return Ok(());
            }
            (Some(old), Some(new)) if renamed => {
                self.note_renamed(uid, old.clone(), new.clone());
                new.clone()
            }
            (Some(old), None) if cleared && (0..new.len()).any(unseen) => {
                self.note_fallen(uid, Some(old.clone()));
                self.gone.push(before.to_vec());
                return Ok(());
            }
            (Some(old), None) if cleared && self.setup.on_table_delete == OnTableDelete::Clear => {
                let row = sides.table.rows.get(old);
                let stands = row.is_some_and(|row| sides.table.in_filter(row));
                if self.table_deleted.remove(old).is_none() && stands && !key_unseen {
                    return broken(format!(
                        "row {old:?} is cleared in the sheet, and nobody deleted it in the table"
                    ));
                }
                self.is_new_from_here(old);
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
        for column in 0..new.len() {
            if new[column] == old[column] || self.mapping.key.contains(&column) {
                continue;
            }
            if sides.tab.computes(uid, column) {
                // A formula follows what was written beside it.
                self.note_computed(uid, column, Some(&key), &new[column]);
                continue;
            }
            if self.pulled(column) {
                return broken(format!(
                    "row {key:?}, column {column} is pulled only and gets {:?}",
                    new[column]
                ));
            }
            let Some(edit) = self.sheet_edits.get(&(uid, column)).cloned() else {
                continue;
            };
            if edit == new[column] || unseen(column) {
                continue;
            }
            self.sheet_edits.remove(&(uid, column));
            let same = self.meant(column, &edit).is_some()
                && self.meant(column, &edit) == self.meant(column, &new[column]);
            // Under a key that a person changed, what both sides had agreed on is no edit.
            let mut followed = sides.table.followed.iter();
            let agreed =
                followed.any(|(new, base)| *new == key && base.sheet.get(column) == Some(&edit));
            if !same && !agreed && !sheet_named(sides, &self.names(&key), column, &edit) {
                return broken(format!(
                    "{edit:?} in row {key:?}, column {column} of the sheet is overwritten with {:?}, and no conflict line names it",
                    new[column]
                ));
            }
        }
        if cleared {
            Ok(())
        } else {
            self.cells_explained(&key, new, old, sides)
        }
    }

    /// What is known of the sheet's row under its old key goes on under the new one.
    fn note_renamed(&mut self, uid: Uid, old: Key, new: Key) {
        self.pass_on(&old, &new);
        self.table_deleted.remove(&old);
        self.sheet_deleted.remove(&new);
        self.known.remove(&old);
        self.known.insert(new.clone());
        self.inserted.insert(uid, new.clone());
        self.former.insert(new, old);
    }

    /// A row that fell stands again, with what was typed into it.
    fn stand_up(&mut self, uid: Uid, key: &Key) {
        if let Some(fallen) = self.fallen.remove(key) {
            let edits = fallen.edits.into_iter();
            self.sheet_edits
                .extend(edits.map(|(column, cell)| ((uid, column), cell)));
        }
    }

    /// A row is gone or blank by our own hand that held something which nobody had seen.
    fn note_fallen(&mut self, uid: Uid, key: Option<Key>) {
        let of_row: Vec<(Uid, usize)> = self
            .sheet_edits
            .range((uid, 0)..(uid + 1, 0))
            .map(|(place, _)| *place)
            .collect();
        let edits: Vec<(usize, Cell)> = of_row
            .into_iter()
            .filter_map(|place| Some((place.1, self.sheet_edits.remove(&place)?)))
            .collect();
        if let Some(key) = key.filter(|_| !edits.is_empty()) {
            self.fallen.insert(key, Fallen { uid, edits });
        }
    }
}

/// An image's cell of a mapped column.
fn shown(sides: Sides, column: usize, cells: &[Cell]) -> Cell {
    let at = sides.tab.position(column);
    let cell = at.and_then(|at| cells.get(at));
    cell.cloned().unwrap_or(Cell::Empty)
}

/// Whether an image shows that a cell held this right before a batch wrote into it.
fn is_back(sides: Sides, column: usize, cell: &Cell) -> bool {
    let mut images = sides.tab.images.iter();
    images.any(|image| shown(sides, column, &image.before) == *cell)
}

/// Whether a cell gets again what a batch of ours went over.
fn undoes(sides: Sides, column: usize, old: &Cell, new: &Cell) -> bool {
    let mut images = sides.tab.images.iter();
    images.any(|image| {
        shown(sides, column, &image.before) == *new && shown(sides, column, &image.after) == *old
    })
}

/// Whether an image shows that such a row was deleted or emptied by a batch of ours.
fn went(sides: Sides, row: &[Cell]) -> bool {
    let columns = sides.tab.mapping.columns.iter().enumerate();
    let written: Vec<usize> = columns
        .filter(|(_, column)| column.direction != Direction::FromSheet)
        .map(|(column, _)| column)
        .collect();
    let is_blank = |image: &&Image| {
        let mut columns = written.iter();
        columns.all(|column| shown(sides, *column, &image.after) == Cell::Empty)
    };
    let mut images = sides.tab.images.iter().filter(is_blank);
    images.any(|image| {
        let mut cells = row.iter().enumerate();
        cells.all(|(column, cell)| shown(sides, column, &image.before) == *cell)
    })
}
