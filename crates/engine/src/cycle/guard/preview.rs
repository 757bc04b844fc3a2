//! A dry run: what would be done, said and not done.

use crate::cycle::compare::diff::{Diff, Sighting};
use crate::cycle::item::Item;
use crate::cycle::state::Cycle;
use crate::effect::{NEW_COLUMN, Operation, Planned};
use crate::mapping::Side;
use crate::reconcile::{SheetChange, TableChange};
use crate::value::Key;

impl Cycle {
    /// There is no second reading to wait for: what is missing would be gone when the next one
    /// misses it too.
    pub(crate) fn foresee_missing(&self, diff: &mut Diff) {
        let rows = &self.memory.rows;
        let is_missing = |key: &Key| {
            let known = rows.get(key);
            known.is_some_and(|known| known.row().is_none() && known.state.is_based())
        };
        let missing = diff.unconfirmed.extract_if(|key| is_missing(key));
        diff.missing.extend(missing.map(|key| Sighting {
            key,
            row: None,
            bytes: None,
        }));
    }

    /// The headers that would be written, each with its column.
    pub(crate) fn foresee_headers(&mut self, write: &[(usize, usize)]) {
        for (_, column) in write {
            let header = self.mapping.columns.get(*column);
            let header = header.map(|column| column.header.as_str().into());
            self.report.planned.push(Planned {
                side: Side::Sheet,
                operation: Operation::Insert,
                key: None,
                column: Some(*column),
                old: None,
                new: header,
                reason: NEW_COLUMN.into(),
            });
        }
    }

    pub(crate) fn preview(&mut self, items: &[Item]) {
        for item in items {
            let conflict = |column: usize| {
                item.plan
                    .conflicts
                    .iter()
                    .any(|one| one.column == Some(column))
            };
            let mut line = |side, operation, column: Option<usize>, old, new, reason: &str| {
                let reason = if column.is_some_and(conflict) {
                    "conflict"
                } else {
                    reason
                };
                let key = Some(item.key.clone());
                self.report.planned.push(Planned {
                    side,
                    operation,
                    key,
                    column,
                    old,
                    new,
                    reason: reason.into(),
                });
            };
            match &item.plan.table {
                Some(TableChange::Insert(values)) => {
                    for (column, new) in values {
                        line(
                            Side::Database,
                            Operation::Insert,
                            Some(*column),
                            None,
                            new.clone(),
                            "new_in_sheet",
                        );
                    }
                }
                Some(TableChange::Update(values) | TableChange::Enter(values)) => {
                    for (column, new) in values {
                        let old = item.table_value(*column);
                        line(
                            Side::Database,
                            Operation::Update,
                            Some(*column),
                            old,
                            new.clone(),
                            "changed_in_sheet",
                        );
                    }
                }
                Some(TableChange::Delete) => {
                    line(
                        Side::Database,
                        Operation::Delete,
                        None,
                        None,
                        None,
                        "deleted_in_sheet",
                    );
                }
                None => {}
            }
            match &item.plan.sheet {
                Some(SheetChange::Insert(cells)) => {
                    for column in 0..cells.len() {
                        let new = item.table_value(column);
                        line(
                            Side::Sheet,
                            Operation::Insert,
                            Some(column),
                            None,
                            new,
                            "new_in_table",
                        );
                    }
                }
                Some(SheetChange::Update(writes)) => {
                    for (column, _, new) in writes {
                        let old = item.shown(&self.mapping, *column);
                        line(
                            Side::Sheet,
                            Operation::Update,
                            Some(*column),
                            old,
                            new.clone(),
                            "changed_in_table",
                        );
                    }
                }
                Some(SheetChange::Delete | SheetChange::Clear) => {
                    line(
                        Side::Sheet,
                        Operation::Delete,
                        None,
                        None,
                        None,
                        "deleted_in_table",
                    );
                }
                None => {}
            }
            for problem in item.found.iter().filter(|problem| !problem.code.is_empty()) {
                line(
                    problem.side,
                    Operation::Update,
                    problem.place.column,
                    None,
                    None,
                    &problem.code,
                );
            }
        }
    }
}
