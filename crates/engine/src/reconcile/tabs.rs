//! A row that a person moves from one tab of the table to another: missing in the one, typed into
//! the other, and one row all along.
//!
//! The tab that lost it does not delete it; the tab that has it takes what is typed there as a
//! change of the table's row. Until that has been done the row stays in the table as it is.

use super::cells::merge_entered;
use super::{Plan, Row, TableChange};
use crate::effect::{Has, Place, Problem};
use crate::mapping::{Direction, Side};
use crate::value::{Cell, Datum};

/// Why a row that is gone from this tab is not deleted from the table; `None` where it may be.
pub(super) fn stays(row: &Row<'_>) -> Option<Plan> {
    let Some(others) = row.others else {
        return Some(Plan {
            asks_tabs: true,
            ..Plan::default()
        });
    };
    if others.iter().any(|tab| tab.has == Has::Typed) {
        return Some(Plan {
            moving: true,
            ..Plan::default()
        });
    }
    let is_unread = |read_at| read_at <= row.missed_at;
    let mut unread = others
        .iter()
        .filter(|tab| tab.has == Has::Nothing && is_unread(tab.read_at))
        .peekable();
    unread.peek()?;
    let resting = unread.find(|tab| tab.rests);
    Some(match resting {
        Some(tab) => Plan {
            problems: vec![Problem {
                place: place(row),
                side: Side::Database,
                code: "tab_not_read".into(),
                message: format!(
                    "The row is gone from this sheet, and it may have been moved to the tab \"{}\", which is not read at present.",
                    tab.title
                ),
                hint: format!(
                    "Let the sync of \"{}\" go on, or end it: then the row is deleted or followed.",
                    tab.title
                ),
                retry_at: None,
            }],
            ..Plan::default()
        },
        None => Plan {
            awaits_tabs: true,
            ..Plan::default()
        },
    })
}

/// A row typed here whose key the table has in a row that does not belong in this sheet.
pub(super) fn typed(row: &Row<'_>, database: &[Datum], sheet: &[Cell]) -> Plan {
    let takes = row.mapping.direction != Direction::ToSheet && row.base.is_none();
    let Some(others) = row.others.filter(|_| takes) else {
        return Plan {
            asks_tabs: takes,
            ..foreign(row)
        };
    };
    let is_shown = others
        .iter()
        .any(|tab| tab.has == Has::Row && tab.is_filtered);
    if is_shown || others.iter().all(|tab| tab.has != Has::Lost) {
        return foreign(row);
    }
    enter(row, database, sheet)
}

/// What is typed here is the row, as a person wants it from now on.
fn enter(row: &Row<'_>, database: &[Datum], sheet: &[Cell]) -> Plan {
    let mut plan = merge_entered(row, database, sheet);
    plan.sheet = None;
    plan.push_left = false;
    plan.conflicts.clear();
    if plan.pull_left || !plan.problems.is_empty() {
        return Plan {
            problems: plan.problems,
            pull_left: plan.pull_left,
            ..Plan::default()
        };
    }
    match plan.table.take() {
        Some(TableChange::Update(values)) if row.refused.is_empty() => Plan {
            table: Some(TableChange::Enter(values)),
            follows: true,
            ..plan
        },
        Some(_) => Plan {
            problems: row
                .refused
                .iter()
                .map(|column| super::cells::standing(row, *column))
                .collect(),
            ..Plan::default()
        },
        None => Plan {
            problems: vec![Problem {
                place: place(row),
                side: Side::Database,
                code: "row_filter".into(),
                message: "The row was moved here from another sheet of the table, and what stands in it does not belong here."
                    .into(),
                hint: "Correct its cells so that it matches the mapping's row_filter, or move it back.".into(),
                retry_at: None,
            }],
            ..Plan::default()
        },
    }
}

fn foreign(row: &Row<'_>) -> Plan {
    Plan {
        problems: vec![Problem {
            place: place(row),
            side: Side::Database,
            code: "row_filter".into(),
            message: "The table has a row with this key that does not belong in this sheet.".into(),
            hint: "Give the row another key, or change the table's row so that it matches the mapping's row_filter. A row that is to \
                   move here from another sheet of the table is deleted there."
                .into(),
            retry_at: None,
        }],
        ..Plan::default()
    }
}

fn place(row: &Row<'_>) -> Place {
    Place {
        key: Some(row.key.clone()),
        sheet_row: None,
        column: None,
    }
}
