//! The people who edit the tab between any two requests.

use super::ledger::Ledger;
use super::sheet::{COLUMNS, Sheet};
use crate::value::Cell;

pub fn text(kind: char, number: usize) -> Cell {
    Cell::Text(format!("{kind}{number}").into())
}

/// One of them does something. What it was is told.
pub fn act(sheet: &mut Sheet, ledger: &mut Ledger, dice: &mut fastrand::Rng) -> String {
    let rows = sheet.rows.len();
    if rows < 3 {
        return type_row(sheet, ledger, rows);
    }
    let row = dice.usize(1..rows);
    match dice.u8(0..20) {
        0..=9 => {
            let column = match dice.u8(0..8) {
                0 => 0,
                1 => 3,
                other => 1 + usize::from(other) % 2,
            };
            type_cell(sheet, ledger, row, column, dice.u8(0..6) == 0)
        }
        10..=12 => type_row(sheet, ledger, dice.usize(1..=rows)),
        13..=14 if rows > 4 => {
            let gone = sheet.remove_row(row);
            ledger.note_row_gone(gone.uid);
            format!("a person deletes row {row}: {:?}", gone.cells)
        }
        15..=16 => {
            let moved = sheet.rows.remove(row);
            let to = dice.usize(1..rows);
            sheet.rows.insert(to, moved);
            format!("a person moves row {row} to {to}")
        }
        17 => {
            let column = dice.usize(0..COLUMNS);
            let shown = |cell: &Cell| format!("{cell:?}");
            sheet.rows[1..].sort_by_key(|row| shown(&row.cells[column]));
            format!("a person sorts by {column}")
        }
        18 => {
            let at = dice.usize(0..COLUMNS);
            let column = sheet.columns.remove(at);
            let to = dice.usize(0..COLUMNS);
            sheet.columns.insert(to, column);
            sheet.shape += 1;
            format!("a person moves column {at} to {to}")
        }
        _ => {
            sheet.rows[row].hidden ^= true;
            format!("a person's filter hides row {row} or shows it")
        }
    }
}

fn type_cell(
    sheet: &mut Sheet,
    ledger: &mut Ledger,
    row: usize,
    column: usize,
    empties: bool,
) -> String {
    let uid = sheet.rows[row].uid;
    // Whoever put a row back knows it by its key.
    let column = match column {
        0 if ledger.is_back(uid) => 1,
        other => other,
    };
    let cell = match empties && column != 0 {
        true => Cell::Empty,
        false => ledger.token('p'),
    };
    ledger.note_typed(uid, column, &cell);
    sheet.rows[row].cells[column] = cell.clone();
    format!("a person types {cell:?} into row {row}, column {column} (row's name {uid})")
}

fn type_row(sheet: &mut Sheet, ledger: &mut Ledger, at: usize) -> String {
    let uid = sheet.insert_row(at).uid;
    for column in 0..2 {
        let cell = ledger.token('p');
        ledger.note_typed(uid, column, &cell);
        sheet.rows[at].cells[column] = cell;
    }
    format!("a person types row {at}: {:?}", sheet.rows[at].cells)
}
