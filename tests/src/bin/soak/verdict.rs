//! What must be true when both sides are at rest again, whatever happened in between.
//!
//! Rows are judged one by one; the keys that a row had in the course of a round are one row.

use crate::journal::{COMMON, Cells, Edit, NAME, REMARK, Round, Rows, Shown, Side, What, rows_of};
use std::collections::{BTreeMap, BTreeSet};

/// A line of sheet_sync.conflict: its key, and the values in it.
pub struct Line {
    pub key: u32,
    pub text: String,
}

/// What the extension says of a round in one table.
pub struct Records {
    pub conflicts: Vec<Line>,
    /// The values in each line of sheet_sync.history.
    pub history: Vec<String>,
}

impl Records {
    fn have(&self, value: &str) -> bool {
        self.history.iter().any(|text| text.contains(value))
            || self.conflicts.iter().any(|line| line.text.contains(value))
    }
}

/// Every rule that is broken, with all that was done to the row.
pub fn verdict(round: &Round, held: &Rows, shown: &[Shown], records: &Records) -> Vec<String> {
    let mut wrong = Vec::new();
    match rows_of(shown) {
        Ok(rows) if rows == *held => {}
        Ok(_) => wrong.push("table and sheet differ".to_owned()),
        Err(found) => wrong.extend(found),
    }
    let groups = groups(&round.edits);
    for group in &groups {
        let broken = group.judge(round, held, shown, records);
        if !broken.is_empty() {
            wrong.push(group.told(round, held, &broken, records));
        }
    }
    let touched: BTreeSet<u32> = groups.iter().flat_map(|group| group.keys.clone()).collect();
    for (key, cells) in &round.before {
        if !touched.contains(key) && held.get(key) != Some(cells) {
            let now = held.get(key);
            wrong.push(format!(
                "row {key}, which nobody touched, was {cells:?} and is {now:?}"
            ));
        }
    }
    for key in held.keys() {
        if !touched.contains(key) && !round.before.contains_key(key) {
            wrong.push(format!("row {key} comes from nowhere"));
        }
    }
    for row in shown {
        let Some(key) = row.key.filter(|key| !touched.contains(key)) else {
            continue;
        };
        let was = round.remarks.get(&key).map_or("", String::as_str);
        if row.remark != was {
            wrong.push(format!(
                "the remark of row {key} is {:?} and was {was:?}",
                row.remark
            ));
        }
    }
    wrong
}

/// A row under all keys that it had, and what was done to it.
struct Group {
    keys: BTreeSet<u32>,
    edits: Vec<Edit>,
}

fn groups(edits: &[Edit]) -> Vec<Group> {
    let mut first_keys: BTreeMap<u32, u32> = BTreeMap::new();
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for edit in edits {
        let first = *first_keys.entry(edit.key).or_insert(edit.key);
        let group = groups.entry(first).or_insert_with(|| Group {
            keys: BTreeSet::new(),
            edits: Vec::new(),
        });
        group.keys.insert(edit.key);
        if let What::Rekey(to) = edit.what {
            first_keys.insert(to, first);
            group.keys.insert(to);
        }
        group.edits.push(edit.clone());
    }
    groups.into_values().collect()
}

impl Group {
    fn of(&self, side: Side) -> impl DoubleEndedIterator<Item = &Edit> {
        self.edits.iter().filter(move |edit| edit.side == side)
    }

    /// Whether this side changed what both sides have.
    fn touched_by(&self, side: Side) -> bool {
        self.of(side)
            .any(|edit| !matches!(edit.what, What::Set(REMARK, _)))
    }

    fn deleted(&self) -> bool {
        self.edits.iter().any(|edit| edit.what == What::Delete)
    }

    fn judge(&self, round: &Round, held: &Rows, shown: &[Shown], records: &Records) -> Vec<String> {
        let mut wrong = Vec::new();
        let now: Vec<(u32, &Cells)> = self
            .keys
            .iter()
            .filter_map(|key| Some((*key, held.get(key)?)))
            .collect();
        if now.len() > 1 {
            wrong.push("the row is there twice".to_owned());
        }
        let now = now.first().copied();
        let alone = [Side::Database, Side::Sheet]
            .into_iter()
            .find(|side| !self.touched_by(side.other()));
        if let Some(side) = alone {
            let expected = self.as_left_by(side, round);
            if now.map(|(key, cells)| (key, cells.clone())) != expected {
                wrong.push(format!(
                    "the {side:?} alone changed it, and left {expected:?}"
                ));
            }
        } else {
            self.nothing_is_lost(now, records, &mut wrong);
            self.values_are_somebodys(now, round, &mut wrong);
        }
        if !self.deleted() {
            match now {
                None => wrong.push("nobody deleted it, and it is gone".to_owned()),
                Some((key, _)) => self.remark_stays(key, round, shown, &mut wrong),
            }
        }
        wrong
    }

    /// The row as this side's edits alone make it.
    fn as_left_by(&self, side: Side, round: &Round) -> Option<(u32, Cells)> {
        let stood = self.keys.iter().find(|key| round.before.contains_key(key));
        let mut row = stood.map(|key| (*key, round.before[key].clone()));
        for edit in self.of(side) {
            match &edit.what {
                What::Insert(cells) => row = Some((edit.key, cells.clone())),
                What::Delete => row = None,
                What::Rekey(to) => row = row.map(|(_, cells)| (*to, cells)),
                What::Set(REMARK, _) => {}
                What::Set(column, value) => {
                    if let Some((_, cells)) = &mut row {
                        cells[column - NAME].clone_from(value);
                    }
                }
            }
        }
        row
    }

    /// What this side last wrote into a cell, unless it deleted the row afterwards.
    fn last(&self, side: Side, column: usize) -> Option<&str> {
        self.of(side)
            .rev()
            .take_while(|edit| edit.what != What::Delete)
            .find_map(|edit| edit.writes(column))
    }

    /// A value that is not there at last, and a deletion that did not last, have lost against the
    /// other side's: either they had reached it, or there is a conflict.
    fn nothing_is_lost(
        &self,
        now: Option<(u32, &Cells)>,
        records: &Records,
        wrong: &mut Vec<String>,
    ) {
        for side in [Side::Database, Side::Sheet] {
            for column in COMMON {
                if let Some(value) = self.last(side, column) {
                    let stands = now.is_some_and(|(_, cells)| cells[column - NAME] == value);
                    if !stands && !records.have(value) {
                        wrong.push(format!("{value:?} of the {side:?} is lost without a trace"));
                    }
                }
            }
        }
        let told = records
            .conflicts
            .iter()
            .any(|line| self.keys.contains(&line.key));
        if self.deleted() && now.is_some() && !told {
            wrong.push("it was deleted and is there, without a conflict".to_owned());
        }
    }

    /// Each cell holds what was last written into it by a side; one in which nobody wrote, what it
    /// held.
    fn values_are_somebodys(
        &self,
        now: Option<(u32, &Cells)>,
        round: &Round,
        wrong: &mut Vec<String>,
    ) {
        let Some((_, cells)) = now else { return };
        let stood = self.keys.iter().find_map(|key| round.before.get(key));
        for column in COMMON {
            let value = cells[column - NAME].as_str();
            let before = stood.map(|cells| cells[column - NAME].as_str());
            let last: Vec<&str> = [Side::Database, Side::Sheet]
                .into_iter()
                .filter_map(|side| self.last(side, column))
                .collect();
            let fits = if self.deleted() {
                // A row that comes back is as the side has it that did not delete it.
                let all = self.edits.iter().filter_map(|edit| edit.writes(column));
                before == Some(value) || all.into_iter().any(|written| written == value)
            } else if last.is_empty() {
                before == Some(value)
            } else {
                last.contains(&value)
            };
            if !fits {
                wrong.push(format!(
                    "{value:?} stands, and should be one of {last:?} ({before:?} before)"
                ));
            }
        }
    }

    fn remark_stays(&self, key: u32, round: &Round, shown: &[Shown], wrong: &mut Vec<String>) {
        let typed = self.last(Side::Sheet, REMARK);
        let stood = self.keys.iter().find_map(|key| round.remarks.get(key));
        let expected = typed.or(stood.map(String::as_str)).unwrap_or_default();
        let row = shown.iter().find(|row| row.key == Some(key));
        if let Some(row) = row.filter(|row| row.remark != expected) {
            wrong.push(format!(
                "its remark is {:?} and was {expected:?}",
                row.remark
            ));
        }
    }

    fn told(&self, round: &Round, held: &Rows, wrong: &[String], records: &Records) -> String {
        let mut told = format!("row {:?}: {}\n", self.keys, wrong.join("; "));
        for key in &self.keys {
            told += &format!(
                "  {key} was {:?}, is {:?}\n",
                round.before.get(key),
                held.get(key)
            );
        }
        let edits = self.edits.iter().map(ToString::to_string);
        let about = |line: &&Line| self.keys.contains(&line.key);
        let conflicts = records.conflicts.iter().filter(about);
        let conflicts = conflicts.map(|line| format!("conflict {}: {}", line.key, line.text));
        let values: Vec<&str> = self
            .edits
            .iter()
            .flat_map(|edit| COMMON.into_iter().filter_map(|column| edit.writes(column)))
            .collect();
        let about = |text: &&String| {
            values.iter().any(|value| text.contains(value))
                || self
                    .keys
                    .iter()
                    .any(|key| text.starts_with(&format!("{{{key}}} ")))
        };
        let history = records.history.iter().filter(about);
        let history = history.map(|text| format!("history {text}"));
        for line in edits.chain(conflicts).chain(history) {
            told += &format!("    {line}\n");
        }
        told
    }
}

impl Edit {
    /// What it writes into a cell of this column.
    fn writes(&self, column: usize) -> Option<&str> {
        match &self.what {
            What::Set(of, value) if *of == column => Some(value),
            What::Insert(cells) if column >= NAME => Some(&cells[column - NAME]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::PRICE;

    fn cells(name: &str, price: &str) -> Cells {
        [name.to_owned(), price.to_owned()]
    }

    fn set(side: Side, value: &str) -> Edit {
        let what = What::Set(NAME, value.to_owned());
        Edit { side, key: 1, what }
    }

    fn delete(side: Side) -> Edit {
        let what = What::Delete;
        Edit { side, key: 1, what }
    }

    fn rekey(to: u32) -> Edit {
        Edit {
            side: Side::Database,
            key: 1,
            what: What::Rekey(to),
        }
    }

    /// A table of rows 1 and 2 after these edits, told of by `records`.
    fn broken(edits: &[Edit], now: &[(u32, &str)], records: &Records) -> Vec<String> {
        let round = Round {
            before: [(1, cells("one", "1")), (2, cells("two", "2"))].into(),
            remarks: [(1, "r1".to_owned()), (2, String::new())].into(),
            edits: edits.to_vec(),
        };
        let held: Rows = now
            .iter()
            .map(|(key, name)| (*key, cells(name, if *key == 2 { "2" } else { "1" })))
            .collect();
        let shown: Vec<Shown> = (2..)
            .zip(&held)
            .map(|(at, (key, cells))| Shown {
                at,
                key: Some(*key),
                remark: if *key == 2 { "" } else { "r1" }.to_owned(),
                cells: cells.clone(),
            })
            .collect();
        verdict(&round, &held, &shown, records)
    }

    fn nothing_said() -> Records {
        Records {
            conflicts: Vec::new(),
            history: Vec::new(),
        }
    }

    fn conflict(text: &str) -> Records {
        Records {
            conflicts: vec![Line {
                key: 1,
                text: text.to_owned(),
            }],
            history: Vec::new(),
        }
    }

    #[track_caller]
    fn fine(edits: &[Edit], now: &[(u32, &str)], records: &Records) {
        assert_eq!(broken(edits, now, records), Vec::<String>::new());
    }

    #[track_caller]
    fn wrong(edits: &[Edit], now: &[(u32, &str)], records: &Records, says: &str) {
        let broken = broken(edits, now, records);
        assert!(
            broken.iter().any(|line| line.contains(says)),
            "{says}: {broken:?}"
        );
    }

    use Side::{Database, Sheet};

    #[test]
    fn what_one_side_alone_did_is_what_stands() {
        for side in [Database, Sheet] {
            let edits = [set(side, "a"), set(side, "b")];
            fine(&edits, &[(1, "b"), (2, "two")], &nothing_said());
            for now in ["a", "one", "c"] {
                wrong(&edits, &[(1, now), (2, "two")], &conflict("a b"), "alone");
            }
            fine(&[delete(side)], &[(2, "two")], &nothing_said());
            let stays = [(1, "one"), (2, "two")];
            wrong(&[delete(side)], &stays, &nothing_said(), "alone");
        }
        fine(&[rekey(7)], &[(7, "one"), (2, "two")], &nothing_said());
        let both = [(1, "one"), (7, "one"), (2, "two")];
        wrong(&[rekey(7)], &both, &nothing_said(), "twice");
    }

    #[test]
    fn what_lost_is_told() {
        let edits = [set(Database, "d"), set(Sheet, "s")];
        let now = [(1, "d"), (2, "two")];
        fine(&edits, &now, &conflict("d s"));
        wrong(&edits, &now, &nothing_said(), "lost without a trace");
        let other = [(1, "one"), (2, "two")];
        wrong(&edits, &other, &conflict("d s"), "should be one of");
        let edits = [set(Database, "d"), delete(Sheet)];
        fine(&edits, &now, &conflict("d"));
        wrong(&edits, &now, &nothing_said(), "without a conflict");
        wrong(&edits, &[(2, "two")], &nothing_said(), "lost without");
    }

    #[test]
    fn a_deleted_row_that_got_another_key_is_the_same_row() {
        let set = |column: usize, value: &str| Edit {
            side: Database,
            key: 7,
            what: What::Set(column, value.to_owned()),
        };
        let mut edits = vec![delete(Sheet), rekey(7)];
        let now = [(7, "d"), (2, "two")];
        for what in [set(NAME, "d"), set(PRICE, "1")] {
            edits.push(what);
            wrong(&edits, &now, &nothing_said(), "without a conflict");
            fine(&edits, &now, &conflict("d"));
        }
    }

    #[test]
    fn rows_that_nobody_touched_stay_and_none_comes_from_nowhere() {
        let edits = [set(Sheet, "s")];
        wrong(&edits, &[(1, "s")], &nothing_said(), "nobody touched");
        let now = [(1, "s"), (2, "two"), (3, "three")];
        wrong(&edits, &now, &nothing_said(), "from nowhere");
        let both = [set(Database, "d"), set(Sheet, "s")];
        wrong(&both, &[(2, "two")], &conflict("d s"), "nobody deleted it");
    }

    #[test]
    fn remarks_stay_with_their_rows() {
        let remark = Edit {
            what: What::Set(REMARK, "new".to_owned()),
            ..set(Sheet, "")
        };
        let now = [(1, "one"), (2, "two")];
        wrong(&[remark], &now, &nothing_said(), "its remark");
        let price = Edit {
            what: What::Set(PRICE, "1".to_owned()),
            ..set(Sheet, "")
        };
        fine(&[price], &now, &nothing_said());
    }
}
