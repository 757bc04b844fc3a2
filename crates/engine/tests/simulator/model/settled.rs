//! How both sides must stand when people have stopped and the engine has had its time.

use super::database::Table;
use super::ledger::{Fallen, Ledger, Sides, keys_in_sheet, sheet_named, table_named};
use super::setup::{Setup, identity, key_of_cells};
use super::sheet::Uid;
use super::{Verdict, broken};
use engine::effect::{Conflict, Problem, Winner};
use engine::mapping::{Direction, OnSheetDelete, OnTableDelete, Side};
use engine::value::{Cell, Key};

pub fn check(setup: &Setup, ledger: &Ledger, sides: Sides) -> Verdict {
    let standing = keys_in_sheet(&sides.table.mapping, sides);
    for (key, rows) in &standing {
        if rows.len() > 1 && !has_problem(sides.table, key, None) {
            return broken(format!(
                "key {key:?} stands {} times in the sheet, and no problem says so",
                rows.len()
            ));
        }
    }
    for (key, row) in &sides.table.rows {
        let in_filter = sides.table.in_filter(row);
        match standing.get(key).map_or(0, Vec::len) {
            0 if in_filter => missing_in_sheet(setup, ledger, sides, key)?,
            1 if in_filter => cells_agree(ledger, sides, key, standing[key][0])?,
            1 if !has_problem(sides.table, key, None)
                && !is_pending_anywhere(sides.table, key)
                && setup.on_table_delete != OnTableDelete::Keep
                && setup.direction != Direction::FromSheet =>
            {
                return broken(format!(
                    "row {key:?} does not match the row filter and stands in the sheet"
                ));
            }
            _ => {}
        }
    }
    for row in sides.tab.header() + 1..sides.tab.rows.len() {
        sheet_row_has_its_place(setup, ledger, sides, row)?;
    }
    lines_are_settled(sides.table)?;
    edits_are_settled(setup, ledger, sides)
}

/// What was decided is said to be carried out.
fn lines_are_settled(table: &Table) -> Verdict {
    let mut lines = table.conflicts.iter().map(|line| &line.conflict);
    let open = lines.find(|line| {
        let decided = line.winner != Winner::Pending && !line.settled;
        // A row of which nobody knows where it stands waits, and what was decided about it with it.
        let waits = has_problem(table, &line.key, None) || may_stand_elsewhere(table, &line.key);
        decided && table.rows.contains_key(&line.key) && !waits
    });
    match open {
        Some(line) => broken(format!(
            "the conflict of row {:?}, column {:?} is decided for {:?}, and nobody says that it is over",
            line.key, line.column, line.winner
        )),
        None => Ok(()),
    }
}

fn has_problem(table: &Table, key: &Key, column: Option<usize>) -> bool {
    let at = |problem: &Problem| {
        problem.place.key.as_ref() == Some(key)
            && (problem.place.column.is_none()
                || column.is_none()
                || problem.place.column == column)
    };
    table.problems.iter().any(at)
}

/// A problem of the row as a whole: of one of its cells it would stand there without.
fn has_row_problem(table: &Table, key: &Key) -> bool {
    let mut places = table.problems.iter().map(|problem| &problem.place);
    places.any(|place| place.key.as_ref() == Some(key) && place.column.is_none())
}

/// A problem of another row says that it may be this one under a key that nobody can read, or
/// under a new one: until somebody tells, nothing of either travels.
fn may_stand_elsewhere(table: &Table, key: &Key) -> bool {
    let name = key.0.join(", ");
    // In whatever spelling.
    let is_it = |one: &str| one == name || identity(&table.mapping, &Key::from_iter([one])) == *key;
    let names = |problem: &Problem| {
        let Some((_, whose)) = problem.message.split_once("It may be ") else {
            return false;
        };
        let listed = whose.split_once(", which ").map(|(names, _)| names);
        let listed = listed.and_then(|names| {
            names
                .strip_prefix("the row ")
                .or(names.strip_prefix("one of the rows "))
        });
        listed.is_some_and(|names| names.split("; ").any(is_it))
            || whose.contains("rows that are missing here")
            || whose.contains("rows that no longer belong")
    };
    table.problems.iter().any(names)
}

/// A formula that may have made rows shows nothing: until it is mended none counts as deleted.
fn waits_for_formula(table: &Table) -> bool {
    let mut problems = table.problems.iter();
    problems.any(|problem| problem.code == "broken_formula")
}

/// A row of which nobody knows whether it is a new one or an old one under another key.
fn is_unclear(table: &Table, row: usize) -> bool {
    let mut problems = table.problems.iter();
    problems.any(|problem| {
        problem.code == "key_unclear" && problem.place.sheet_row == Some(row as u32 + 1)
    })
}

fn is_pending(table: &Table, key: &Key, column: Option<usize>) -> bool {
    table
        .conflicts
        .iter()
        .map(|line| &line.conflict)
        .any(|line| {
            line.winner == Winner::Pending
                && !line.settled
                && line.key == *key
                && (line.column.is_none() || line.column == column)
        })
}

fn is_pending_anywhere(table: &Table, key: &Key) -> bool {
    let pending = |line: &Conflict| line.winner == Winner::Pending && !line.settled;
    table
        .conflicts
        .iter()
        .any(|line| line.conflict.key == *key && pending(&line.conflict))
}

fn missing_in_sheet(setup: &Setup, ledger: &Ledger, sides: Sides, key: &Key) -> Verdict {
    // Deleted in the sheet, be it under a key that the row of the table has no longer.
    let deleted = || {
        let mut gone = ledger.sheet_deleted.keys();
        gone.any(|gone| ledger.stands_for(gone, key))
    };
    let kept = setup.direction == Direction::FromSheet
        || (setup.on_sheet_delete == OnSheetDelete::Keep && deleted());
    if kept
        || ledger.elsewhere.contains(key)
        || waits_for_formula(sides.table)
        || has_row_problem(sides.table, key)
        || may_stand_elsewhere(sides.table, key)
        || is_pending(sides.table, key, None)
    {
        return Ok(());
    }
    broken(format!(
        "row {key:?} stands in the table and not in the sheet"
    ))
}

fn cells_agree(ledger: &Ledger, sides: Sides, key: &Key, uid: u32) -> Verdict {
    let row = sides
        .tab
        .rows
        .iter()
        .position(|row| row.uid == uid)
        .expect("it stands there");
    for column in 0..sides.table.mapping.columns.len() {
        let datum = &sides.table.rows[key].values[column];
        let cell = sides.tab.mapped_cell(row, column, sides.now);
        // A formula column without a formula in this row has nothing to say, nor has it where
        // nothing is pulled.
        let pulled = sides.table.mapping.columns[column].direction == Direction::FromSheet;
        let silent =
            pulled && (cell == Cell::Empty || sides.table.mapping.direction == Direction::ToSheet);
        let agree = silent || ledger.agree(column, datum, &cell);
        if !agree
            && !has_problem(sides.table, key, Some(column))
            && !is_pending(sides.table, key, Some(column))
        {
            return broken(format!(
                "row {key:?}, column {}: the table has {datum:?}, the sheet {cell:?}",
                sides.table.mapping.columns[column].name
            ));
        }
    }
    Ok(())
}

fn sheet_row_has_its_place(setup: &Setup, ledger: &Ledger, sides: Sides, row: usize) -> Verdict {
    let mapping = &sides.table.mapping;
    let cells = sides.tab.mapped(row, sides.now);
    let typed = |(column, cell): (usize, &Cell)| {
        // An unticked checkbox stands in many a row where nobody has typed anything.
        let blank = [Cell::Empty, Cell::Bool(false)].contains(cell);
        !blank && mapping.columns[column].direction != Direction::FromSheet
    };
    if !cells.iter().enumerate().any(typed) {
        return Ok(());
    }
    let Some(key) = key_of_cells(mapping, &cells) else {
        let here = |problem: &Problem| problem.place.sheet_row == Some(row as u32 + 1);
        return match sides.table.problems.iter().any(here) {
            true => Ok(()),
            // Nothing is asked of a sheet that only shows the table.
            false if setup.direction == Direction::ToSheet => Ok(()),
            false if stands_apart(sides, row) => Ok(()),
            false => broken(format!(
                "row {} of the sheet has no key ({cells:?}), and no problem says so",
                row + 1
            )),
        };
    };
    let kept =
        setup.on_table_delete == OnTableDelete::Keep && ledger.table_deleted.contains_key(&key);
    if kept
        || is_unclear(sides.table, row)
        || sides.table.rows.contains_key(&key)
        || has_problem(sides.table, &key, None)
        || is_pending(sides.table, &key, None)
    {
        return Ok(());
    }
    broken(format!(
        "row {key:?} stands in the sheet and not in the table"
    ))
}

/// A row without a key below the last one with a key and a blank row is no record.
fn stands_apart(sides: Sides, row: usize) -> bool {
    let mapping = &sides.table.mapping;
    let cells = |row: usize| sides.tab.mapped(row, sides.now);
    let has_key = |row: &usize| key_of_cells(mapping, &cells(*row)).is_some();
    let is_blank = |row: usize| {
        let cells = cells(row);
        let mut filled = cells.iter().enumerate().filter(|(column, cell)| {
            let blank = [Cell::Empty, Cell::Bool(false)].contains(*cell);
            !blank && mapping.columns[*column].direction != Direction::FromSheet
        });
        filled.next().is_none()
    };
    let below = (row + 1..sides.tab.rows.len()).any(|row| has_key(&row));
    let last = (sides.tab.header() + 1..row).rev().find(has_key);
    !below && last.is_some_and(|last| (last + 1..row).any(is_blank))
}

fn edits_are_settled(setup: &Setup, ledger: &Ledger, sides: Sides) -> Verdict {
    for ((key, column), datum) in &ledger.table_edits {
        let stands = sides.table.rows.get(key);
        let excused = setup.direction == Direction::FromSheet
            || ledger.elsewhere.contains(key)
            || stands.is_some_and(|row| !sides.table.in_filter(row))
            || has_problem(sides.table, key, Some(*column))
            || may_stand_elsewhere(sides.table, key)
            || is_pending(sides.table, key, Some(*column))
            || table_named(sides, &ledger.names(key), *column, datum);
        if !excused {
            return broken(format!(
                "{datum:?}, given to row {key:?}, column {column} in the table, never reached the sheet"
            ));
        }
    }
    let standing = keys_in_sheet(&sides.table.mapping, sides);
    for (key, Fallen { edits, .. }) in &ledger.fallen {
        let row = sides.table.rows.get(key);
        let shows = |uid: &Uid, column: usize, cell: &Cell| {
            let mut rows = 0..sides.tab.rows.len();
            let at = rows.find(|at| sides.tab.rows[*at].uid == *uid);
            at.is_some_and(|at| sides.tab.mapped_cell(at, column, sides.now) == *cell)
        };
        // In the table, or in another row of the sheet that a person gave the same key.
        let stands = |column: usize, cell: &Cell| {
            let value = row.map(|row| ledger.stored(column, &row.values[column]));
            let mut alike = standing.get(key).into_iter().flatten();
            value.is_some() && value == ledger.meant(column, cell)
                || alike.any(|uid| shows(uid, column, cell))
        };
        let lost = |(column, cell): &&(usize, Cell)| {
            !stands(*column, cell) && !sheet_named(sides, &ledger.names(key), *column, cell)
        };
        if let Some((column, cell)) = edits.iter().find(lost) {
            return broken(format!(
                "{cell:?}, typed into row {key:?}, column {column} of the sheet, went with the row, and no conflict line names it"
            ));
        }
    }
    let mut uids = standing.values().flatten();
    let gone = ledger.taken.iter().find(|((uid, column), _)| {
        sides.table.mapping.key.contains(column) && uids.any(|other| other == uid)
    });
    if let Some(((uid, column), cell)) = gone {
        return broken(format!(
            "the key {cell:?}, typed into column {column} of row {uid} of the sheet, is overwritten"
        ));
    }
    for ((uid, column), cell) in &ledger.sheet_edits {
        let Some(row) = sides.tab.rows.iter().position(|row| row.uid == *uid) else {
            continue;
        };
        let Some(key) = key_of_cells(&sides.table.mapping, &sides.tab.mapped(row, sides.now))
        else {
            continue;
        };
        if !has_problem(sides.table, &key, Some(*column))
            && !waits_to_enter(sides, &key)
            && !is_unclear(sides.table, row)
            && !is_pending(sides.table, &key, Some(*column))
            && !sheet_named(sides, &ledger.names(&key), *column, cell)
        {
            return broken(format!(
                "{cell:?}, typed into row {key:?}, column {column} of the sheet, never reached the table"
            ));
        }
    }
    Ok(())
}

/// A row that was moved here from another tab is taken as a whole, or not at all.
fn waits_to_enter(sides: Sides, key: &Key) -> bool {
    let row = sides.table.rows.get(key);
    let is_foreign = row.is_some_and(|row| !sides.table.in_filter(row));
    is_foreign && !sides.table.bases.contains_key(key) && has_problem(sides.table, key, None)
}

/// Problems that stand although nothing is wrong any more.
pub fn problems_are_real(ledger: &Ledger, sides: Sides) -> Verdict {
    let standing = keys_in_sheet(&sides.table.mapping, sides);
    for problem in sides
        .table
        .problems
        .iter()
        .filter(|problem| problem.side == Side::Database)
    {
        let Some(key) = &problem.place.key else {
            keyless_row_stands(sides, problem)?;
            continue;
        };
        let rows = standing.get(key).map_or(&[][..], Vec::as_slice);
        if problem.code == "duplicate_key" && rows.len() < 2 {
            return broken(format!(
                "key {key:?} is not doubled, and this problem still stands: {problem:?}"
            ));
        }
        let row = sides.table.rows.get(key);
        let well = rows.len() == 1
            && row.is_some_and(|row| sides.table.in_filter(row))
            && match problem.place.column {
                Some(column) => agrees(ledger, sides, key, rows[0], column),
                None => (0..sides.table.mapping.columns.len())
                    .all(|column| agrees(ledger, sides, key, rows[0], column)),
            };
        let kept = problem.code == "kept_by_table" && sides.table.is_kept(key);
        if well && !kept {
            return broken(format!(
                "nothing is wrong with row {key:?}, and this problem still stands: {problem:?}"
            ));
        }
    }
    Ok(())
}

fn agrees(ledger: &Ledger, sides: Sides, key: &Key, uid: u32, column: usize) -> bool {
    let Some(row) = sides.tab.rows.iter().position(|row| row.uid == uid) else {
        return false;
    };
    let cell = sides.tab.mapped_cell(row, column, sides.now);
    ledger.agree(column, &sides.table.rows[key].values[column], &cell)
}

/// A problem of a row without a key: the row stands there, and still has none.
fn keyless_row_stands(sides: Sides, problem: &Problem) -> Verdict {
    let at = problem.place.sheet_row.map_or(0, |row| row as usize - 1);
    let cells = (at < sides.tab.rows.len()).then(|| sides.tab.mapped(at, sides.now));
    let key = |cells: &Vec<Cell>| key_of_cells(&sides.table.mapping, cells);
    let filled = |cells: &Vec<Cell>| cells.iter().any(|cell| *cell != Cell::Empty);
    let stands = match problem.code.as_str() {
        "broken_formula" => sides.tab.is_array_silent(at, sides.now),
        // The row has a key, and the table has it not yet.
        "key_unclear" => cells.is_some_and(|cells| {
            key(&cells).is_some_and(|key| !sides.table.rows.contains_key(&key))
        }),
        _ => cells.is_some_and(|cells| filled(&cells) && key(&cells).is_none()),
    };
    match stands {
        true => Ok(()),
        false => broken(format!(
            "no row without a key stands there, and this problem does: {problem:?}"
        )),
    }
}
