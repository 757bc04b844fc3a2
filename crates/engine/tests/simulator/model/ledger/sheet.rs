//! The sheet's half of the ledger.

use super::super::setup::key_of_cells;
use super::super::sheet::Uid;
use super::super::{Verdict, broken};
use super::{Author, Ledger, Sides, keys_in_sheet, row_named, sheet_named};
use engine::mapping::{OnSheetDelete, OnTableDelete};
use engine::value::{Cell, Datum, Key};
use std::collections::BTreeMap;

impl Ledger {
    pub(super) fn book_sheet(&mut self, author: Author, sides: Sides) -> Verdict<bool> {
        let tab = sides.tab;
        let after: BTreeMap<Uid, Vec<Cell>> = (tab.header() + 1..tab.rows.len())
            .map(|row| (tab.rows[row].uid, tab.mapped(row, sides.now)))
            .collect();
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

    fn person_edits_sheet(&mut self, uid: Uid, old: &[Cell], new: &[Cell], sides: Sides) {
        let (old_key, new_key) = (
            key_of_cells(&self.mapping, old),
            key_of_cells(&self.mapping, new),
        );
        let retyped = old_key != new_key;
        if retyped {
            // Whatever we put there, it is a person's row now.
            self.inserted.remove(&uid);
            let standing = keys_in_sheet(&self.mapping, sides);
            if let Some(key) = old_key.as_ref().filter(|key| !standing.contains_key(key)) {
                self.sheet_deleted.insert(key.clone(), false);
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
        for (column, cell) in new.iter().enumerate() {
            if self.pulled(column) || (*cell == old[column] && !retyped) {
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
            // Under its new key the row may still be the old one, and then nobody has touched this cell.
            let former = old_key.as_ref().and_then(|key| self.base_of(sides, key));
            let former = former.and_then(|base| base.sheet.get(column));
            let untouched = *cell == old[column] && former == Some(cell);
            let agreed = agreed == Some(cell) || held || untouched;
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
            && self.is_agreed_in_table(&key)
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
        self.cells_explained(&key, new, &vec![Cell::Empty; new.len()], sides)
    }

    fn is_agreed_in_table(&self, key: &Key) -> bool {
        let row = self.table.get(key);
        row.is_some_and(|row| self.agreed_in_table.get(key) == Some(&row.identity))
    }

    pub(super) fn is_agreed_in_sheet(&self, key: &Key, sides: Sides) -> bool {
        let rows = keys_in_sheet(&self.mapping, sides).remove(key);
        let agreed = self.agreed_in_sheet.get(key);
        rows.is_some_and(|rows| rows.iter().any(|uid| Some(uid) == agreed))
    }

    fn cells_explained(&self, key: &Key, new: &[Cell], old: &[Cell], sides: Sides) -> Verdict {
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
        let key_unseen = |column: &usize| sides.tab.unseen.contains(&(uid, *column));
        if self.mapping.key.iter().any(key_unseen) {
            // What a person put here between the look and the delete is gone by nobody's will.
            self.sheet_deleted.insert(key.clone(), false);
        }
        let renamed = sides.table.moved(&key);
        if let Some(to) = renamed.filter(|to| !unseen && self.should_follow(&key, to, sides)) {
            return broken(format!(
                "row {key:?} is deleted from the sheet with all that stands in it, and only its key was changed, to {to:?}"
            ));
        }
        let row = sides.table.rows.get(&key);
        let decided = match row {
            Some(row) => !sides.table.in_filter(row),
            None => row_named(sides, &self.names(&key)) || self.base_of(sides, &key).is_some(),
        };
        // What nobody could see uses up nothing.
        let deleted = unseen || self.table_deleted.remove(&key).is_some();
        if !deleted && !decided {
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
        let cleared = (0..new.len())
            .all(|column| new[column] == Cell::Empty || self.pulled(column) || unseen(column));
        let key = match (&old_key, &new_key) {
            _ if key_unseen => {
                // The row became another one between the look and the write: what was written is what its person finds there.
                let mistaken = sides.tab.mistaken.iter().filter(|(row, _)| *row == uid);
                let seen = mistaken.flat_map(|(_, cells)| cells.iter().enumerate());
                for (column, cell) in seen.chain(new.iter().enumerate()) {
                    if let (Some(key), Some(datum)) = (&new_key, self.meant(column, cell)) {
                        self.allow(key, column, &datum);
                    }
                    self.sheet_edits.remove(&(uid, column));
                }
                // A row that a person put here in that moment is gone by nobody's will: what its key loses is not ours to judge.
                self.sheet_deleted.extend(old_key.map(|key| (key, false)));
                return Ok(());
            }
            (Some(old), Some(new)) if old == new => new.clone(),
            (None, Some(new)) if sides.table.generated.contains(new) => new.clone(),
            (Some(old), Some(new)) if self.moves.get(new) == Some(old) => {
                self.note_renamed(uid, old.clone(), new.clone());
                new.clone()
            }
            (Some(old), None) if cleared && self.setup.on_table_delete == OnTableDelete::Clear => {
                let row = sides.table.rows.get(old);
                let stands = row.is_some_and(|row| sides.table.in_filter(row));
                if self.table_deleted.remove(old).is_none() && stands && !key_unseen {
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
        for column in 0..new.len() {
            if new[column] == old[column] || self.mapping.key.contains(&column) {
                continue;
            }
            if sides.tab.computes(uid, column) {
                // A formula follows what was written beside it.
                self.sheet_edits.remove(&(uid, column));
                if let Some(datum) = self.meant(column, &new[column]) {
                    self.allow(&key, column, &datum);
                }
                continue;
            }
            if self.pulled(column) {
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

    /// Rows that became other rows between the look and the write: the engine has every reason to believe that it wrote their
    /// cells, also where nothing came of it because they were empty already.
    pub(super) fn write_off(&mut self, sides: Sides) {
        for (uid, seen) in &sides.tab.mistaken {
            let lost_its_key = self
                .mapping
                .key
                .iter()
                .any(|&column| sides.tab.unseen.contains(&(*uid, column)));
            if let Some(key) = key_of_cells(&self.mapping, seen).filter(|_| lost_its_key) {
                self.table_edits.retain(|(owed, _), _| *owed != key);
            }
        }
    }
}
