//! Notes stand on the cells that have a problem, wherever people put their rows, and go with the
//! problem.

use e2e::{Kind, Sheet, When, World, wait_for};
use serde_json::json;

/// Where ours stand: rows counted from 1, columns from 0.
fn ours(sheet: &Sheet) -> Vec<(usize, usize)> {
    let notes = sheet.notes().into_iter();
    let ours = notes.filter(|(_, note)| note.starts_with("sheet_sync: "));
    ours.map(|(place, _)| place).collect()
}

fn noted(sheet: &Sheet, places: &[(usize, usize)]) {
    wait_for("the notes", places.to_vec(), || ours(sheet));
}

#[test]
fn a_note_goes_where_its_row_goes_and_goes_with_its_problem() {
    let (mut world, sheet) = World::with_products();
    sheet.put_note("B3", "ask Ann");
    sheet.set("C2", "many");
    noted(&sheet, &[(2, 2)]);
    sheet.insert_row(2);
    noted(&sheet, &[(3, 2)]);
    sheet.sort("A", false);
    world.quiet();
    let bolt = sheet.row_where(0, "1");
    noted(&sheet, &[(bolt, 2)]);
    // Mended, and moved in the same moment.
    sheet.set(&format!("C{bolt}"), "5");
    sheet.insert_row(2);
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    noted(&sheet, &[]);
    world.quiet();
    let nut = sheet.row_where(0, "2");
    assert_eq!(sheet.note(&format!("B{nut}")), "ask Ann");
}

#[test]
fn a_row_that_comes_between_problem_and_note_gets_no_note() {
    let (mut world, sheet) = World::with_products();
    // A row without a key is named by its number only.
    let held = world.google.gate().hold_on(Kind::Tag, When::Before);
    sheet.type_row(&["", "Cog", "4"]);
    held.wait();
    sheet.insert_row(2);
    held.release();
    world.quiet();
    let cog = sheet.row_where(1, "Cog");
    noted(&sheet, &[(cog, 0)]);
    // Mended, and moved in the same moment.
    sheet.set(&format!("A{cog}"), "4");
    sheet.insert_row(2);
    world.shows("SELECT name FROM products WHERE id = 4", "Cog");
    noted(&sheet, &[]);
}

#[test]
fn a_note_that_was_cut_out_with_its_cell_goes() {
    let (mut world, sheet) = World::with_products();
    sheet.set("C2", "many");
    noted(&sheet, &[(2, 2)]);
    let gid = sheet.gid();
    sheet.by_menu(json!([{"cutPaste": {
        "source": {"sheetId": gid, "startRowIndex": 1, "endRowIndex": 2, "startColumnIndex": 2, "endColumnIndex": 3},
        "destination": {"sheetId": gid, "rowIndex": 8, "columnIndex": 6}, "pasteType": "PASTE_NORMAL"}}]));
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    noted(&sheet, &[]);
    assert_eq!(sheet.cell("G9"), "many");
}

#[test]
fn a_worker_that_begins_anew_takes_the_notes_of_problems_that_are_over() {
    let (mut world, sheet) = World::with_products();
    sheet.set("C2", "many");
    noted(&sheet, &[(2, 2)]);
    // The problem is over in the table, and the worker ends before it has taken the note.
    let held = world.google.gate().hold_on(Kind::Note, When::Before);
    sheet.set("C2", "5");
    held.wait();
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.kill_worker();
    world.google.mend();
    drop(held);
    noted(&sheet, &[]);
    world.shows("SELECT price FROM products WHERE id = 1", "5");
}
