//! What must be true when both sides are at rest again, whatever happened in between.

use super::schedule::{Change, Edit, NAME, REMARK, Rows, Shown};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Display};

/// A line of `sheet_sync.conflict`.
#[derive(Debug)]
pub struct Line {
    pub key: u32,
    pub settled: bool,
    pub text: String,
}

pub struct Step {
    /// Both sides before the step.
    pub before: Rows,
    pub changes: Vec<Change>,
    /// The sheet at the moment of the edit, and right after it.
    pub seen: Vec<Shown>,
    pub edit: Option<Edit>,
    pub edited: Vec<Shown>,
    /// Both sides in the end.
    pub table: Rows,
    pub sheet: Vec<Shown>,
    pub conflicts: Vec<Line>,
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fn list(
            f: &mut fmt::Formatter,
            what: &str,
            lines: impl IntoIterator<Item = impl Debug>,
        ) -> fmt::Result {
            writeln!(f, "{what}:")?;
            lines
                .into_iter()
                .try_for_each(|line| writeln!(f, "  {line:?}"))
        }
        list(f, "changes", &self.changes)?;
        list(f, "edit", &self.edit)?;
        list(f, "table before", &self.before)?;
        list(f, "table in the end", &self.table)?;
        list(f, "sheet when it was edited", &self.seen)?;
        list(f, "sheet in the end", &self.sheet)?;
        list(f, "conflicts", &self.conflicts)
    }
}

/// Every rule that is broken.
pub fn verdict(step: &Step) -> Vec<String> {
    let mut wrong = Vec::new();
    both_sides_are_equal(step, &mut wrong);
    nothing_is_lost(step, &mut wrong);
    nothing_else_changed(step, &mut wrong);
    peoples_own_stays(step, &mut wrong);
    wrong
}

fn both_sides_are_equal(step: &Step, wrong: &mut Vec<String>) {
    let mut shown = Rows::new();
    for row in &step.sheet {
        let Some(key) = row.key else {
            if row.cells.iter().any(|cell| !cell.is_empty()) || !row.remark.is_empty() {
                wrong.push(format!("a row without a key: {row:?}"));
            }
            continue;
        };
        if shown.insert(key, row.cells.clone()).is_some() {
            wrong.push(format!("row {key} stands in the sheet twice"));
        }
    }
    if shown != step.table {
        wrong.push("table and sheet differ".to_owned());
    }
}

impl Step {
    fn seen(&self, key: u32) -> Option<&Shown> {
        self.seen.iter().find(|row| row.key == Some(key))
    }

    /// The value of this column of the sheet in the table.
    fn held(&self, key: u32, column: usize) -> Option<&str> {
        Some(&self.table.get(&key)?[column - NAME])
    }

    fn in_conflict(&self, key: u32, value: &str) -> bool {
        let about = |line: &Line| self.one_row(line.key, key) && line.text.contains(value);
        self.conflicts.iter().any(about)
    }

    /// The key that the database gave this row, and the one that it had before.
    fn renamed(&self, key: u32) -> Option<(u32, u32)> {
        self.changes.iter().find_map(|change| match change {
            Change::Rekey { key: old, to } if *old == key || *to == key => Some((*old, *to)),
            _ => None,
        })
    }

    /// Whether these are keys of one row.
    fn one_row(&self, a: u32, b: u32) -> bool {
        a == b || self.renamed(a).is_some_and(|(old, to)| old == b || to == b)
    }

    /// The sheet showed this value when the person edited this very cell, or deleted its row: the
    /// person decided.
    fn decided(&self, key: u32, column: usize, value: &str) -> bool {
        let stood = self
            .seen(key)
            .is_some_and(|row| row.cells[column - NAME] == value);
        let touched = match &self.edit {
            Some(Edit::Delete { key: edited, .. }) => *edited == key,
            Some(Edit::Set {
                key: edited,
                column: of,
                ..
            }) => *edited == key && *of == column,
            _ => false,
        };
        stood && touched
    }

    /// The key of the row whose mapped cells the person changed, deleted or typed.
    fn edited_key(&self) -> Option<u32> {
        match &self.edit {
            Some(Edit::Set { column, .. }) if *column == REMARK => None,
            Some(Edit::Set { key, .. } | Edit::Delete { key, .. } | Edit::Type { key, .. }) => {
                Some(*key)
            }
            _ => None,
        }
    }
}

fn nothing_is_lost(step: &Step, wrong: &mut Vec<String>) {
    let mut arrives = |key: u32, column: usize, value: &str, side: &str| {
        let (_, now) = step.renamed(key).unwrap_or((key, key));
        let fine = step.held(key, column) == Some(value)
            || step.held(now, column) == Some(value)
            || step.in_conflict(key, value)
            || side == "the database" && step.decided(key, column, value);
        if !fine {
            wrong.push(format!("{value:?} of {side} in row {key} is lost"));
        }
    };
    for change in &step.changes {
        match change {
            Change::Update { key, cells } => {
                for (column, value) in cells {
                    arrives(*key, *column, value, "the database");
                }
            }
            Change::Insert { key, cells } => {
                for (column, value) in (NAME..).zip(cells) {
                    arrives(*key, column, value, "the database");
                }
            }
            Change::Rekey { .. } | Change::Delete { .. } => {}
        }
    }
    match &step.edit {
        Some(Edit::Set {
            key, column, value, ..
        }) if *column != REMARK => arrives(*key, *column, value, "the sheet"),
        Some(Edit::Type { key, cells, .. }) => {
            for (column, value) in (NAME..).zip(cells) {
                arrives(*key, column, value, "the sheet");
            }
        }
        _ => {}
    }
}

fn nothing_else_changed(step: &Step, wrong: &mut Vec<String>) {
    let mut changed: BTreeSet<u32> = step.changes.iter().flat_map(Change::keys).collect();
    let common = step.edited_key().filter(|key| changed.contains(key));
    for line in &step.conflicts {
        if !common.is_some_and(|key| step.one_row(line.key, key)) {
            wrong.push(format!("a conflict about row {} for nothing", line.key));
        }
        if !line.settled {
            wrong.push(format!("the conflict about row {} stays open", line.key));
        }
    }
    changed.extend(step.edited_key());
    for (key, cells) in &step.before {
        if !changed.contains(key) && step.table.get(key) != Some(cells) {
            wrong.push(format!("row {key}, which nobody touched, changed"));
        }
    }
    for key in step.table.keys() {
        if !step.before.contains_key(key) && !changed.contains(key) {
            wrong.push(format!("row {key} comes from nowhere"));
        }
    }
    // A row that is gone on one side, and untouched on the other, stays gone.
    let deleted_by_person = match &step.edit {
        Some(Edit::Delete { key, .. }) => Some(*key),
        _ => None,
    };
    for key in step.table.keys() {
        let removed = step.changes.iter().any(|change| change.removes(*key));
        if removed && step.edited_key() != Some(*key) {
            wrong.push(format!(
                "row {key} was deleted from the table and came back"
            ));
        }
        let changed = step
            .changes
            .iter()
            .any(|change| change.keys().contains(key) && !change.removes(*key));
        if deleted_by_person == Some(*key) && !changed {
            wrong.push(format!(
                "row {key} was deleted from the sheet and came back"
            ));
        }
    }
    // A value that was seen to stand is edited like any other.
    if let Some(Edit::Set {
        key, column, value, ..
    }) = &step.edit
        && *column != REMARK
    {
        let is_change = |change: &Change| match change {
            Change::Update { key: of, cells } => {
                of == key
                    && cells
                        .iter()
                        .all(|(column, value)| step.decided(*key, *column, value))
            }
            other => !other.keys().contains(key),
        };
        if step.changes.iter().all(is_change) && step.held(*key, *column) != Some(value) {
            wrong.push(format!("an ordinary edit of row {key} did not arrive"));
        }
    }
}

/// Cells of the unmapped column stay with their rows, and rows keep the order that the person left
/// them in.
fn peoples_own_stays(step: &Step, wrong: &mut Vec<String>) {
    let removed = |key: u32| step.changes.iter().any(|change| change.removes(key));
    let remarks: BTreeMap<u32, &str> = step
        .edited
        .iter()
        .filter_map(|row| Some((row.key?, row.remark.as_str())))
        .collect();
    let old_key = |key: u32| {
        let (old, to) = step.renamed(key)?;
        (to == key).then_some(old)
    };
    let deleted_by_person =
        |key: u32| matches!(&step.edit, Some(Edit::Delete { key: gone, .. }) if *gone == key);
    for row in &step.sheet {
        let Some(key) = row.key else { continue };
        let old = old_key(key);
        let expected = remarks.get(&key).or_else(|| remarks.get(&old?));
        let expected = expected.copied().unwrap_or_default();
        // A deleted row that comes back begins anew.
        let begins_anew = removed(key) || old.is_some_and(deleted_by_person);
        if row.remark != expected && !(begins_anew && row.remark.is_empty()) {
            wrong.push(format!(
                "the remark of row {key} is {:?} and was {expected:?}",
                row.remark
            ));
        }
    }
    let in_order = |rows: &[Shown], others: &[Shown]| -> Vec<u32> {
        rows.iter()
            .filter_map(|row| row.key)
            .filter(|key| !removed(*key) && others.iter().any(|row| row.key == Some(*key)))
            .collect()
    };
    if in_order(&step.sheet, &step.edited) != in_order(&step.edited, &step.sheet) {
        wrong.push("rows changed places".to_owned());
    }
}
