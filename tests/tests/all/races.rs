//! What meets in one moment: SQL, a person's typing and our requests. Whoever comes first, nothing
//! is lost and nothing goes unsaid.

use e2e::{Fault, Kind, Sheet, When, World, wait_until};
use serde_json::json;

/// What the last row of `sheet_sync.conflict` for this key says of the sheet's value.
fn is_named(world: &mut World, value: &str) -> bool {
    let sql = format!(
        "SELECT count(*) FROM sheet_sync.conflict
         WHERE sheet_value #>> '{{}}' = '{value}' OR sheet_row::text LIKE '%\"{value}\"%'"
    );
    world.db.count(&sql) > 0
}

fn two_tabs() -> (World, Sheet, Sheet) {
    let mut world = World::start();
    for table in ["parts", "tools"] {
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, name text);
             INSERT INTO {table} VALUES (1, 'Bolt'), (2, 'Nut'), (3, 'Gear')"
        ));
    }
    let book = world.google.spreadsheet("both");
    let rows = "id | name | mine\n 1 | Bolt | one\n 2 | Nut | two\n 3 | Gear | three";
    let sheets = ["parts", "tools"].map(|title| book.tab(title, rows));
    for (table, sheet) in ["parts", "tools"].into_iter().zip(&sheets) {
        world.register(table, sheet, "");
        world.merged(table);
    }
    let [parts, tools] = sheets;
    (world, parts, tools)
}

#[test]
fn keys_changed_in_two_tabs_of_a_spreadsheet_and_by_two_workers_keep_their_rows() {
    let (mut world, parts, tools) = two_tabs();
    for (table, sheet) in [("parts", &parts), ("tools", &tools)] {
        world
            .db
            .run(&format!("UPDATE {table} SET id = 7 WHERE id = 2"));
        sheet.shows("id | name | mine\n 1 | Bolt | one\n 7 | Nut | two\n 3 | Gear | three");
    }
    // Another process knows nothing of what this one has sent.
    for id in [8, 7, 8] {
        world.quiet();
        world.terminate_worker();
        world
            .db
            .run(&format!("UPDATE parts SET id = {id} WHERE name = 'Nut'"));
        let rows =
            format!("id | name | mine\n 1 | Bolt | one\n {id} | Nut | two\n 3 | Gear | three");
        parts.shows(&rows);
    }
    world.quiet();
    let ids = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM ";
    world.shows(&format!("{ids} parts"), "1 3 8");
    world.shows(&format!("{ids} tools"), "1 3 7");
}

/// The write arrives when nobody waits for its answer any more, and by then the table has another
/// column than the row's image.
#[test]
fn an_edit_overwritten_while_the_table_gets_a_column_is_told() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text);
         INSERT INTO parts VALUES (1, 'Bolt'), (2, 'Nut'), (3, 'Gear')",
    );
    let sheet = world.map_with("parts", "");
    world.merged("parts");
    let held = world.google.gate().hold_on(Kind::Write, When::Before);
    world
        .db
        .run("UPDATE parts SET name = 'Nut M8' WHERE id = 2");
    held.wait();
    let row = sheet.row_where(0, "2");
    sheet.set(&format!("B{row}"), "typed");
    world.pause("parts");
    world.db.run("ALTER TABLE parts ADD COLUMN price numeric");
    held.release();
    wait_until("the write to arrive", || {
        match sheet.cell_of("2", 1).as_str() {
            "Nut M8" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    world.db.run("SELECT sheet_sync.resume('parts')");
    wait_until("the edit to be told", || {
        match is_named(&mut world, "typed") {
            true => Ok(()),
            false => Err("no line"),
        }
    });
    world.quiet();
    world.both_equal("parts", &sheet);
}

#[test]
fn a_key_changed_while_people_keep_moving_rows_keeps_its_row() {
    let (mut world, parts, _) = two_tabs();
    let moved = json!({"error": {
        "code": 400,
        "message": "Invalid requests[3].createDeveloperMetadata: this is not where it stands",
        "status": "INVALID_ARGUMENT",
    }});
    // More often than one cycle tries.
    let gate = world.google.gate();
    gate.fault_on(Kind::Write, Fault::Answer(400, moved), 14);
    world.db.run("UPDATE parts SET id = 7 WHERE id = 2");
    parts.shows("id | name | mine\n 1 | Bolt | one\n 7 | Nut | two\n 3 | Gear | three");
    assert_eq!(world.google.gate().planned(), 0);
    world.shows(
        "SELECT string_agg(id::text, ' ' ORDER BY id) FROM parts",
        "1 3 7",
    );
    world.quiet();
}

/// A table of so many rows that a write of all has more images than their tab has rows at first.
fn many_rows() -> (World, Sheet) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text);
         INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 300) n",
    );
    let sheet = world.map("parts");
    world.both_equal("parts", &sheet);
    (world, sheet)
}

#[test]
fn an_edit_under_a_large_write_without_an_answer_is_not_lost() {
    let (mut world, sheet) = many_rows();
    let row = sheet.row_where(0, "250");
    let held = world.google.gate().hold_on(Kind::Tag, When::After);
    let gate = world.google.gate();
    gate.fault_on(Kind::Write, Fault::Lost(When::After), 1);
    world.db.run("UPDATE parts SET name = 'new ' || id");
    held.wait();
    sheet.set(&format!("B{row}"), "typed");
    held.release();
    // It came after the change in the table was read, or loses with a line.
    wait_until("the edit", || {
        let kept = world.db.one("SELECT name FROM parts WHERE id = 250") == "typed";
        match kept || is_named(&mut world, "typed") {
            true => Ok(()),
            false => Err(sheet.cell_of("250", 1)),
        }
    });
    assert_eq!(world.google.gate().planned(), 0);
    world.both_equal("parts", &sheet);
    world.quiet();
    world.both_equal("parts", &sheet);
    world.shows(
        "SELECT count(*) FROM parts WHERE id <> 250 AND name <> 'new ' || id",
        "0",
    );
}

#[test]
fn our_own_value_in_a_row_that_got_another_key_meanwhile_is_no_edit() {
    let (mut world, sheet) = many_rows();
    let held = world.google.gate().hold_on(Kind::Write, When::After);
    world.db.run("UPDATE parts SET name = 'new ' || id");
    held.wait();
    // The answer is on its way, and never arrives.
    world
        .db
        .run("UPDATE parts SET id = 1250, name = 'part 250' WHERE id = 250");
    world.google.gate().close();
    held.release();
    world.google.gate().open();
    world.both_equal("parts", &sheet);
    world.shows("SELECT name FROM parts WHERE id = 1250", "part 250");
    assert_eq!(sheet.cell_of("1250", 1), "part 250");
    assert_eq!(sheet.row_where(0, "1250"), 251, "it keeps its place");
}

#[test]
fn a_row_deleted_under_an_edit_is_said_where_filters_that_match_nothing_are_refused() {
    let (mut world, sheet) = World::with_products();
    world
        .google
        .set_options(json!({"read_without_match": "400"}));
    let tagged = world.google.gate().hold_on(Kind::Tag, When::After);
    world
        .db
        .run("UPDATE products SET name = 'Screw' WHERE id = 2");
    tagged.wait();
    let row = sheet.row_where(0, "2");
    sheet.set(&format!("B{row}"), "typed");
    let written = world.google.gate().hold_on(Kind::Write, When::After);
    tagged.release();
    written.wait();
    sheet.delete_row(row);
    written.release();
    wait_until("a line about what was typed", || {
        match is_named(&mut world, "typed") {
            true => Ok(()),
            false => Err(world
                .db
                .table("SELECT state, reason FROM sheet_sync.mapping")),
        }
    });
    world
        .db
        .run("UPDATE products SET name = 'Wheel' WHERE id = 3");
    world.both_equal("products", &sheet);
    assert_eq!(sheet.cell_of("3", 1), "Wheel");
    world.shows("SELECT state, reason FROM sheet_sync.mapping", "active |");
}

#[test]
fn a_refused_cell_in_a_row_that_was_deleted_meanwhile_is_one_line_and_one_problem() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text, stock int NOT NULL);
         INSERT INTO parts VALUES (1, 'Bolt', 10), (2, 'Nut', 20)",
    );
    let sheet = world.map("parts");
    world.both_equal("parts", &sheet);
    let row = sheet.row_where(0, "2");
    world.at_once("parts", |world| {
        world.db.run("DELETE FROM parts WHERE id = 2");
        sheet.set(&format!("C{row}"), "many");
    });
    for _ in 0..5 {
        let _ = world.db.attempt("SELECT * FROM sheet_sync.sync('parts')");
    }
    world.shows(
        "SELECT key, winner, settled FROM sheet_sync.conflict",
        "{2} | sheet | f",
    );
    world.shows("SELECT key FROM sheet_sync.problem", "{2}");
    // Mended, the row comes back, and the line is settled.
    sheet.set(&format!("C{row}"), "21");
    world.shows("SELECT stock FROM parts WHERE id = 2", "21");
    world.both_equal("parts", &sheet);
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_row_that_waits_for_a_person_is_superseded_by_later_edits_of_either_side() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text, stock int);
         INSERT INTO parts VALUES (1, 'Bolt', 10), (2, 'Nut', 20)",
    );
    let sheet = world.map_with("parts", "conflict_policy => 'manual'");
    world.both_equal("parts", &sheet);
    let (first, second) = (sheet.row_where(0, "1"), sheet.row_where(0, "2"));
    world.at_once("parts", |world| {
        world
            .db
            .run("DELETE FROM parts WHERE id = 1; UPDATE parts SET name = 'Wing nut' WHERE id = 2");
        sheet.set(&format!("B{first}"), "Long bolt");
        sheet.delete_row(second);
    });
    world.shows(
        "SELECT key, winner FROM sheet_sync.conflict ORDER BY key",
        "{1} | pending\n {2} | pending",
    );
    let row = sheet.row_where(0, "1");
    sheet.set(&format!("C{row}"), "11");
    world.db.run("UPDATE parts SET stock = 21 WHERE id = 2");
    world.shows(
        "SELECT key, winner, settled FROM sheet_sync.conflict ORDER BY key, id",
        "{1} | superseded | t\n {1} | pending | f\n {2} | superseded | t\n {2} | pending | f",
    );
    let old = world
        .db
        .table("SELECT id FROM sheet_sync.conflict WHERE winner = 'superseded'");
    for line in old {
        let sql = format!("SELECT sheet_sync.resolve({}, 'database')", line[0]);
        let refusal = world.db.refused(&sql);
        assert!(refusal.message.contains("superseded"), "{refusal:?}");
    }
    world.db.run(
        "SELECT sheet_sync.resolve(id, 'sheet') FROM sheet_sync.conflict WHERE winner = 'pending' AND key = '{1}';
         SELECT sheet_sync.resolve(id, 'database') FROM sheet_sync.conflict WHERE winner = 'pending' AND key = '{2}'",
    );
    world.both_equal("parts", &sheet);
    world.shows(
        "SELECT id, name, stock FROM parts ORDER BY id",
        "1 | Long bolt | 11\n 2 | Wing nut | 21",
    );
}
