//! The first table of docs/merging.md, by what each side has of the row.

use super::cells::{
    error_cell, merge, merge_back_in_sheet, merge_back_in_table, standing, too_long, unread,
};
use super::filled::BLANK_FORMULA;
use super::{Plan, Row, SheetChange, TableChange, tabs};
use crate::codec::is_error;
use crate::effect::{Conflict, ConflictRows, Decision, Place, Problem, Ways, Winner};
use crate::mapping::{Direction, OnSheetDelete, OnTableDelete, Policy, Side};
use crate::value::{Base, Cell, Datum};

pub(crate) fn reconcile(row: &Row<'_>) -> Plan {
    match row.database {
        Some(database) if !row.in_filter => outside_filter(row, database),
        database => by_presence(row, database),
    }
}

fn by_presence(row: &Row<'_>, database: Option<&[Datum]>) -> Plan {
    let known = row
        .base
        .filter(|base| !base.is_absent_in_sheet() && !base.is_absent_in_table());
    match (known, database, row.sheet) {
        (None, Some(database), Some(sheet)) => match row.base {
            Some(base) if base.is_absent_in_table() => {
                merge_back_in_table(row, base, database, sheet)
            }
            Some(base) => merge_back_in_sheet(row, base, database, sheet),
            None => merge(row, None, database, sheet),
        },
        (base, Some(database), Some(sheet)) => merge(row, base, database, sheet),
        (None, Some(database), None) => match row.base {
            Some(base) if base.is_absent_in_sheet() && base.database == database => Plan::default(),
            Some(base) if base.is_absent_in_sheet() => left_out_of_sheet(row, database),
            // Of a row that changed since the person decided nothing was decided.
            None if row.mapping.winner == Some(Side::Sheet) && row.changed_at.is_none() => {
                lost_in_sheet(row, database)
            }
            _ => insert_in_sheet(row, database),
        },
        (None, None, Some(sheet)) => match row.base {
            Some(base) if base.is_absent_in_table() && base.sheet == sheet => Plan::default(),
            Some(base) if base.is_absent_in_table() => left_out_of_table(row, sheet),
            None if row.mapping.winner == Some(Side::Database) => lost_in_table(row, sheet),
            _ => insert_in_table(row, sheet),
        },
        (Some(base), Some(database), None) => deleted_in_sheet(row, base, database),
        (Some(base), None, Some(sheet)) => deleted_in_table(row, base, sheet),
        (_, None, None) => gone(row),
    }
}

/// The sheet wins, and does not have the row. It counts as agreed on from now on: the next readings
/// find that it is missing, and it is asked about, confirmed and deleted as any row that was
/// deleted in the sheet.
fn lost_in_sheet(row: &Row<'_>, database: &[Datum]) -> Plan {
    let cells = database.iter().enumerate().map(|(column, value)| {
        let cell = row.mapping.encode_over(column, value, false);
        cell.unwrap_or(Cell::Empty)
    });
    let sheet = cells.collect();
    agreed(database.to_vec(), sheet)
}

/// The table wins, and does not have the row: the same the other way round.
fn lost_in_table(row: &Row<'_>, sheet: &[Cell]) -> Plan {
    let values = sheet.iter().enumerate();
    let database = values.map(|(column, cell)| row.mapping.decode(column, cell));
    agreed(database.collect(), sheet.to_vec())
}

fn gone(row: &Row<'_>) -> Plan {
    Plan {
        base_moved: row.base.is_some(),
        settles: all_pending(row),
        ..Plan::default()
    }
}

fn insert_in_sheet(row: &Row<'_>, database: &[Datum]) -> Plan {
    let mut plan = Plan::default();
    if row.mapping.direction == Direction::FromSheet {
        return plan;
    }
    if !row.ways.push {
        plan.push_left = true;
        return plan;
    }
    let mut cells = Vec::with_capacity(database.len());
    for (column, value) in database.iter().enumerate() {
        let durations = row.durations.get(&column) == Some(&true);
        let cell = match row.mapping.encode_over(column, value, durations) {
            _ if !row.mapping.pushes(column) && !row.mapping.key.contains(&column) => None,
            Ok(cell) => Some(cell),
            Err(long) => {
                plan.problems.push(too_long(row, column, long));
                None
            }
        };
        cells.push(cell);
    }
    plan.sheet = Some(SheetChange::Insert(cells));
    plan
}

fn insert_in_table(row: &Row<'_>, sheet: &[Cell]) -> Plan {
    let mut plan = Plan::default();
    if row.mapping.direction == Direction::ToSheet {
        plan.problems.push(Problem {
            place: Place {
                key: Some(row.key.clone()),
                sheet_row: None,
                column: None,
            },
            side: Side::Database,
            code: "to_sheet_only".into(),
            message: "This sheet only shows the table; a row typed here does not reach it.".into(),
            hint: "Add the row in the database, or remove it from the sheet.".into(),
            retry_at: None,
        });
        return plan;
    }
    if row.refused.contains(&None) {
        plan.problems.push(standing(row, None));
        return plan;
    }
    if !row.ways.pull {
        plan.pull_left = true;
        return plan;
    }
    let mut values = Vec::new();
    for (column, cell) in sheet.iter().enumerate() {
        if let Some(at) = row.mapping.key.iter().position(|key| *key == column) {
            if row.refused.contains(&Some(column)) {
                plan.problems.push(standing(row, Some(column)));
                return plan;
            }
            if let Some(Err(refusal)) = row.meanings.of(column, cell) {
                plan.problems.push(unread(row, column, refusal.clone()));
                return plan;
            }
            // One that the table computes is followed when the row has it.
            if is_writable(row, column) {
                values.push((column, row.key.0.get(at).cloned()));
            }
        } else if !row.mapping.pulls(column) {
            continue;
        } else if is_error(cell) {
            plan.problems.push(error_cell(row, column, cell));
        } else if row.refused.contains(&Some(column)) {
            plan.problems.push(standing(row, Some(column)));
        } else if *cell != Cell::Empty || !takes_default(row, column) {
            match row.meaning(column, cell) {
                Ok(typed) => values.push((column, typed)),
                Err(refusal) => plan.problems.push(unread(row, column, refusal)),
            }
        }
    }
    plan.table = Some(TableChange::Insert(values));
    plan
}

fn is_writable(row: &Row<'_>, column: usize) -> bool {
    let description = row.mapping.columns.get(column);
    description.is_none_or(|description| description.writable)
}

/// An empty cell of a new row is left to the table, unless it is the empty text that a NOT NULL
/// text column means by it.
fn takes_default(row: &Row<'_>, column: usize) -> bool {
    row.mapping
        .columns
        .get(column)
        .is_none_or(|description| description.has_default)
        || row.mapping.decode(column, &Cell::Empty).is_none()
}

/// A row that was kept out of the sheet by agreement, and that changed in the table since.
fn left_out_of_sheet(row: &Row<'_>, database: &[Datum]) -> Plan {
    let verdict = row_verdict(row, Side::Database);
    let mut plan = match verdict {
        Some(Side::Database) => insert_in_sheet(row, database),
        Some(Side::Sheet) => agreed(database.to_vec(), Vec::new()),
        None => Plan::default(),
    };
    record(row, &mut plan, verdict);
    plan
}

/// A row that was kept in the sheet only by agreement, and that a person changed since.
fn left_out_of_table(row: &Row<'_>, sheet: &[Cell]) -> Plan {
    let verdict = row_verdict(row, Side::Sheet);
    let mut plan = match verdict {
        Some(Side::Sheet) => insert_in_table(row, sheet),
        Some(Side::Database) => agreed(Vec::new(), sheet.to_vec()),
        None => Plan::default(),
    };
    record(row, &mut plan, verdict);
    plan
}

fn agreed(database: Vec<Datum>, sheet: Vec<Cell>) -> Plan {
    Plan {
        base: Some(Base { database, sheet }),
        base_moved: true,
        ..Plan::default()
    }
}

fn deleted_in_sheet(row: &Row<'_>, base: &Base, database: &[Datum]) -> Plan {
    let changed = base.database != database;
    let verdict = match row.mapping.direction {
        // The sheet only shows the table: the row comes back.
        Direction::ToSheet => Some(Side::Database),
        Direction::FromSheet => Some(Side::Sheet),
        Direction::Both if changed => row_verdict(row, Side::Database),
        Direction::Both => Some(Side::Sheet),
    };
    let restored = row.mapping.direction == Direction::ToSheet;
    let mut plan = match verdict {
        Some(Side::Database) => insert_in_sheet(row, database),
        Some(Side::Sheet) if row.mapping.on_sheet_delete == OnSheetDelete::Keep => Plan {
            base: Some(Base {
                database: database.to_vec(),
                sheet: Vec::new(),
            }),
            base_moved: true,
            ..Plan::default()
        },
        Some(Side::Sheet) if !row.ways.pull => Plan {
            pull_left: true,
            ..Plan::default()
        },
        Some(Side::Sheet) if row.refused.contains(&None) => Plan {
            problems: vec![standing(row, None)],
            ..Plan::default()
        },
        Some(Side::Sheet) => match tabs::stays(row) {
            // What is typed there overrules what the table has: told once.
            Some(plan) if plan.moving && changed => Plan {
                base: Some(as_if_shown(row, base, database)),
                base_moved: true,
                ..plan
            },
            Some(plan) => return plan,
            None => Plan {
                table: Some(TableChange::Delete),
                ..Plan::default()
            },
        },
        None => Plan::default(),
    };
    if changed || restored {
        record(row, &mut plan, verdict);
    } else {
        plan.settles.extend(all_pending(row));
    }
    plan
}

/// As if the sheet had shown what the table has by now.
fn as_if_shown(row: &Row<'_>, base: &Base, database: &[Datum]) -> Base {
    let mut shown = base.clone();
    for (column, value) in database.iter().enumerate() {
        if base.database.get(column) != Some(value) {
            let cell = row.mapping.encode_over(column, value, false);
            shown.set(column, value.clone(), cell.unwrap_or(Cell::Empty));
        }
    }
    shown
}

fn deleted_in_table(row: &Row<'_>, base: &Base, sheet: &[Cell]) -> Plan {
    let changed = base.sheet != sheet;
    let verdict = match row.mapping.direction {
        Direction::ToSheet => Some(Side::Database),
        // The sheet is the master: the row comes back.
        Direction::FromSheet => Some(Side::Sheet),
        Direction::Both if changed => row_verdict(row, Side::Sheet),
        Direction::Both => Some(Side::Database),
    };
    let restored = row.mapping.direction == Direction::FromSheet;
    let mut plan = match verdict {
        Some(Side::Sheet) => insert_in_table(row, sheet),
        Some(Side::Database) => leave_sheet(row, sheet),
        None => Plan::default(),
    };
    if changed || restored {
        record(row, &mut plan, verdict);
    } else {
        plan.settles.extend(all_pending(row));
    }
    plan
}

/// The row's place in the sheet goes, stays, or is emptied.
fn leave_sheet(row: &Row<'_>, sheet: &[Cell]) -> Plan {
    if !row.ways.push {
        return Plan {
            push_left: true,
            ..Plan::default()
        };
    }
    let goes = row.mapping.on_table_delete != OnTableDelete::Keep;
    if let Some(problem) = row.row_withheld().filter(|_| goes) {
        return Plan {
            withheld: vec![problem],
            ..Plan::default()
        };
    }
    match row.mapping.on_table_delete {
        OnTableDelete::DeleteRow => Plan {
            sheet: Some(SheetChange::Delete),
            ..Plan::default()
        },
        OnTableDelete::Clear => Plan {
            sheet: Some(SheetChange::Clear),
            ..Plan::default()
        },
        OnTableDelete::Keep => Plan {
            base: Some(Base {
                database: Vec::new(),
                sheet: sheet.to_vec(),
            }),
            base_moved: true,
            ..Plan::default()
        },
    }
}

/// One side deleted what the other changed. Unless somebody said otherwise the change survives.
fn row_verdict(row: &Row<'_>, changed: Side) -> Option<Side> {
    match row.mapping.policy_of_rows() {
        Policy::DatabaseWins => Some(Side::Database),
        Policy::SheetWins => Some(Side::Sheet),
        Policy::LastWriteWins | Policy::Function => Some(changed),
        Policy::Manual => row
            .pending
            .iter()
            .rev()
            .find(|one| one.column.is_none())
            .and_then(|one| match one.decision {
                Some(Decision::Side(side)) => Some(side),
                // No single value makes a row.
                Some(Decision::Value(_)) => Some(changed),
                None => None,
            }),
    }
}

fn record(row: &Row<'_>, plan: &mut Plan, verdict: Option<Side>) {
    // What is left for another cycle, or cannot be done, decides nothing yet.
    let acts = plan.table.is_some() || plan.sheet.is_some() || plan.base_moved;
    if acts {
        plan.settles.extend(all_pending(row));
    }
    let waiting = row.pending.iter().filter(|one| one.column.is_none());
    // A line that says something else has been outrun by an edit: what there is now gets a line of
    // its own.
    let (as_it_is, outrun): (Vec<_>, Vec<_>) = waiting.partition(|one| {
        let rows = one.rows.as_deref();
        rows.is_some_and(|rows| rows.are(row.database, row.sheet))
    });
    let winner = match verdict {
        _ if !as_it_is.is_empty() => return,
        Some(_) if !acts => return,
        Some(Side::Database) => Winner::Database,
        Some(Side::Sheet) => Winner::Sheet,
        None => {
            plan.settles.extend(outrun.iter().map(|one| one.id));
            Winner::Pending
        }
    };
    plan.conflicts.push(Conflict {
        key: row.key.clone(),
        column: None,
        base: None,
        database: None,
        sheet: None,
        rows: Some(Box::new(ConflictRows {
            base: row.base.cloned(),
            database: row.database.map(<[_]>::to_vec),
            sheet: row.sheet.map(<[_]>::to_vec),
        })),
        database_time: row.changed_at,
        sheet_time: row.window(),
        winner,
        settled: false,
    });
}

fn all_pending(row: &Row<'_>) -> Vec<i64> {
    row.pending.iter().map(|one| one.id).collect()
}

/// The row belongs in the table and not in the sheet. What a person changed in it is applied first.
fn outside_filter(row: &Row<'_>, database: &[Datum]) -> Plan {
    match (row.base, row.sheet) {
        (Some(base), Some(sheet)) if !base.is_absent_in_sheet() && !base.is_absent_in_table() => {
            leave_with_edits(row, database, sheet)
        }
        (Some(base), Some(sheet)) if base.is_absent_in_table() && base.sheet == sheet => {
            Plan::default()
        }
        (_, Some(sheet)) => tabs::typed(row, database, sheet),
        (_, None) => gone(row),
    }
}

fn leave_with_edits(row: &Row<'_>, database: &[Datum], sheet: &[Cell]) -> Plan {
    // Its pushes are not made, but what they would overwrite in the sheet goes with the row.
    let ways = Ways {
        push: true,
        pull: row.ways.pull,
    };
    let pulls = merge(&Row { ways, ..*row }, row.base, database, sheet);
    let follows = pulls.table.is_some();
    let is_doubted = |problem: &Problem| problem.code == BLANK_FORMULA;
    let holds = follows
        || pulls.withheld.iter().any(is_doubted)
        || pulls.pull_left
        || pulls.waits
        || !pulls.problems.is_empty()
        || pulls.asks_function;
    if holds {
        return hold(row, sheet, pulls);
    }
    if row.mapping.direction == Direction::FromSheet {
        // Nothing is written to such a sheet.
        return Plan::default();
    }
    let leave = leave_sheet(row, sheet);
    if leave.push_left {
        return leave;
    }
    Plan {
        conflicts: pulls.conflicts,
        settles: pulls.settles,
        ..leave
    }
}

/// The row stays as it is until something in it is mended, and all else in it goes on: the table
/// gets what the sheet wins, and what the table wins is said now, since nothing is written to a row
/// that does not belong in the sheet. Such a cell counts as agreed for what it shows, and so as
/// changed in the table: it is pushed should the row come back, and pulled should it be edited
/// again.
fn hold(row: &Row<'_>, sheet: &[Cell], pulls: Plan) -> Plan {
    let follows = pulls.table.is_some();
    let pulled: &[(usize, Datum)] = match &pulls.table {
        Some(TableChange::Update(values)) => values,
        _ => &[],
    };
    let writes: &[(usize, Cell, Datum)] = match &pulls.sheet {
        Some(SheetChange::Update(writes)) => writes,
        _ => &[],
    };
    let is_pulled = |column: &usize| pulled.iter().any(|(at, _)| at == column);
    let unpushed = writes.iter().map(|(column, ..)| *column);
    let (mut base, mut base_moved) = (pulls.base, pulls.base_moved);
    for column in unpushed.filter(|column| !is_pulled(column)) {
        let shown = sheet.get(column).cloned().unwrap_or(Cell::Empty);
        let news = |base: &&mut Base| base.sheet.get(column) != Some(&shown);
        if let Some(base) = base.as_mut().filter(news) {
            base.set(column, row.mapping.decode(column, &shown), shown);
            base_moved = true;
        }
    }
    Plan {
        follows,
        push_left: false,
        sheet: None,
        base,
        base_moved,
        ..pulls
    }
}
