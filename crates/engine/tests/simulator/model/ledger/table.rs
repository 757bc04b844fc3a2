//! The table's half of the ledger.

use super::super::database::TableRow;
use super::super::{Verdict, broken};
use super::{Author, Ledger, SeenRow, Sides, row_named, table_named};
use engine::mapping::OnTableDelete;
use engine::value::{Datum, Key};
use std::collections::BTreeMap;

impl Ledger {
    pub(super) fn book_table(&mut self, author: Author, sides: Sides) -> Verdict<bool> {
        let unchanged = |(key, row): (&Key, &TableRow)| {
            self.table.get(key).is_some_and(|seen| {
                seen.values == row.values
                    && seen.identity == row.identity
                    && seen.in_filter == sides.table.in_filter(row)
            })
        };
        let rows = &sides.table.rows;
        if rows.len() == self.table.len() && rows.iter().all(unchanged) {
            return Ok(false);
        }
        let seen = |row: &TableRow| SeenRow {
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
        let mut before = std::mem::replace(&mut self.table, after.clone());
        for (key, row) in &after {
            self.had
                .entry(row.identity)
                .or_default()
                .insert(key.clone());
        }
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
        Ok(true)
    }

    /// A key that was retyped in the sheet and carried over: the row is the same, its entries move
    /// along.
    fn carry_renames(
        &mut self,
        before: &mut BTreeMap<Key, SeenRow>,
        after: &BTreeMap<Key, SeenRow>,
    ) {
        let mut moved = renamed(before, after);
        moved.retain(|(old, _)| self.sheet_deleted.contains_key(old));
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
            }
            self.pass_on(&old, &new);
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
            let mut now = self.table.values();
            if !now.any(|now| now.identity == row.identity) {
                self.agreed_in_table.remove(key);
            }
            return Ok(());
        }
        // Deleted under this key, or under one that the row had before and no other row has now.
        let had = |other: &&Key| {
            self.had[&row.identity].contains(*other) && !self.table.contains_key(*other)
        };
        let other = self.sheet_deleted.keys().find(had).cloned();
        let deleted = self.sheet_deleted.remove(key);
        if deleted
            .or_else(|| self.sheet_deleted.remove(&other?))
            .is_none()
        {
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
                && self.is_agreed_in_sheet(key, sides)
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
        for (column, datum) in row.values.iter().enumerate() {
            self.allow(key, column, datum);
            let agreed = self
                .base_of(sides, key)
                .and_then(|base| base.database.get(column));
            // Under an old key of the row's both sides had it; a row that took over a key which was
            // changed passes for that row.
            let had = |from: &Key| {
                let base = self.base_of(sides, from);
                base.is_some_and(|base| base.database.get(column) == Some(datum))
                    || self.shown_lately(from, column, datum)
            };
            let moved = sides.table.moved_by_name(key);
            if datum.is_some()
                && !self.had[&row.identity].iter().chain(&moved).any(had)
                && !self.shown_lately(key, column, datum)
                && agreed != Some(datum)
                && row.in_filter
                && !self.pulled(column)
            {
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
        if row.in_filter && !old.in_filter && self.base_of(sides, key).is_none() {
            // To the sheet it is a new row: by what it has empty it says nothing.
            self.table_edits
                .retain(|(owed, _), datum| owed != key || datum.is_some());
        }
        match (old.in_filter, row.in_filter) {
            (true, false) => {
                self.table_deleted.insert(key.clone(), false);
                self.agreed_in_table.remove(key);
            }
            (false, true) => {
                self.table_deleted
                    .entry(key.clone())
                    .and_modify(|back| *back = true);
            }
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
                let base = self.base_of(sides, key);
                let moved = sides.table.moved_by_name(key);
                let mut had = self.had[&row.identity].iter().chain(&moved);
                let holds = |key: &Key| {
                    let base = self.base_of(sides, key);
                    base.is_some_and(|base| base.database.get(column) == Some(after))
                };
                let agreed = had.any(holds) || self.shown_lately(key, column, after);
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
}

/// Rows that stand under another key than before.
fn renamed(before: &BTreeMap<Key, SeenRow>, after: &BTreeMap<Key, SeenRow>) -> Vec<(Key, Key)> {
    let gone = before.iter().filter(|(key, _)| !after.contains_key(key));
    let pair = |(old, row): (&Key, &SeenRow)| {
        let same = |(new, now): &(&Key, &SeenRow)| {
            now.identity == row.identity && !before.contains_key(new)
        };
        let new = after.iter().find(same);
        new.map(|(new, _)| (old.clone(), new.clone()))
    };
    gone.filter_map(pair).collect()
}
