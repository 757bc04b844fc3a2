//! What the merge offers beyond the plain table of changes: functions, filters, previews, guards
//! with their ways on, history, notes.

use e2e::{Sheet, World};

const STATE: &str = "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.mapping";

fn products_with(options: &str) -> (World, Sheet) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric CHECK (price > 0));
         INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2), (3, 'Gear', 3)",
    );
    let sheet = world.map_with("products", options);
    (world, sheet)
}

#[test]
fn a_conflict_function_merges_the_row_on_both_sides() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric);
         INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2);
         CREATE FUNCTION dearest(key jsonb, base jsonb, database jsonb, sheet jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
         $$ SELECT database || jsonb_build_object('price', greatest((database->>'price')::numeric, (sheet->>'price')::numeric)) $$",
    );
    let sheet = world.map_with(
        "products",
        "conflict_function => 'dearest(jsonb,jsonb,jsonb,jsonb)'",
    );
    world.at_once("products", |world| {
        world.db.run("UPDATE products SET price = 10");
        sheet.set("C2", "20");
        sheet.set("C3", "5");
    });
    sheet.shows("id | name | price\n 1 | Bolt | 20\n 2 | Nut | 10");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 20\n 2 | Nut | 10",
    );
    world.shows(
        "SELECT key[1], winner FROM sheet_sync.conflict ORDER BY id",
        "1 | function\n 2 | function",
    );
    world.quiet();
}

#[test]
fn a_conflict_function_that_fails_is_a_problem_of_its_row_only() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric);
         INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2);
         CREATE FUNCTION fails(key jsonb, base jsonb, database jsonb, sheet jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS
         $$ BEGIN RAISE EXCEPTION 'cannot decide %', key->>'id'; END $$",
    );
    let sheet = world.map_with(
        "products",
        "conflict_function => 'fails(jsonb,jsonb,jsonb,jsonb)'",
    );
    world.at_once("products", |world| {
        world.db.run("UPDATE products SET price = 10 WHERE id = 1");
        sheet.set("C2", "20");
        sheet.set("B3", "Nut M4");
    });
    world.shows("SELECT name FROM products WHERE id = 2", "Nut M4");
    world.shows(
        "SELECT key[1], message FROM sheet_sync.problem",
        "1 | cannot decide 1",
    );
    world.shows("SELECT price FROM products WHERE id = 1", "10");
    assert_eq!(sheet.cell("C2"), "20");
}

/// Both sides change the price of row 1, and the function is what it is.
fn merged_by(function: &str) -> (World, Sheet) {
    let mut world = World::start();
    world.db.run(&format!(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric, live boolean);
         INSERT INTO products VALUES (1, 'Bolt', 1, true), (2, 'Nut', 2, true);
         CREATE FUNCTION merge(key jsonb, base jsonb, database jsonb, sheet jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ {function} $$"
    ));
    let sheet = world.map_with(
        "products",
        "conflict_function => 'merge(jsonb,jsonb,jsonb,jsonb)'",
    );
    (world, sheet)
}

fn both_change(world: &mut World, sheet: &Sheet) {
    world.at_once("products", |world| {
        world
            .db
            .run("UPDATE products SET price = 10, live = false WHERE id = 1");
        sheet.set("C2", "20");
    });
}

const PROBLEM: &str = "SELECT key[1], code, message FROM sheet_sync.problem";

#[test]
fn what_a_conflict_function_gives_must_be_a_row_of_the_table() {
    for (function, code, words) in [
        ("SELECT NULL::jsonb", "22023", "NULL"),
        ("SELECT '[1]'::jsonb", "22023", "object"),
        ("SELECT database || '{\"colour\": 1}'", "22023", "colour"),
        ("SELECT database || '{\"id\": 7}'", "22023", "key"),
        (
            "SELECT database || '{\"price\": \"cheap\"}'",
            "22P02",
            "price",
        ),
    ] {
        let (mut world, sheet) = merged_by(function);
        both_change(&mut world, &sheet);
        let seen = e2e::wait_until(function, || match world.db.table(PROBLEM) {
            seen if seen.is_empty() => Err(seen),
            seen => Ok(seen),
        });
        assert_eq!(
            (seen[0][0].as_str(), seen[0][1].as_str()),
            ("1", code),
            "{seen:?}"
        );
        assert!(seen[0][2].contains(words), "{seen:?}");
        let hint = world.db.one("SELECT hint FROM sheet_sync.problem");
        assert!(
            hint.contains("function") || hint.contains("Return"),
            "{hint}"
        );
        // Nothing of it has reached either side, and everybody else goes on.
        assert_eq!(sheet.cell("C2"), "20");
        world.shows("SELECT price FROM products ORDER BY id", "10\n 2");
        world.shows("SELECT state FROM sheet_sync.mapping", "active");
        sheet.set("B3", "Nut M4");
        world.shows("SELECT name FROM products WHERE id = 2", "Nut M4");
    }
}

#[test]
fn a_conflict_function_may_answer_in_json_of_any_kind() {
    let (mut world, sheet) = merged_by("SELECT sheet || '{\"price\": 15.0, \"live\": true}'");
    both_change(&mut world, &sheet);
    sheet.shows("id | name | price | live\n 1 | Bolt | 15 | FALSE\n 2 | Nut | 2 | TRUE");
    world.shows("SELECT price, live FROM products WHERE id = 1", "15.0 | f");
    world.quiet();
}

#[test]
fn a_conflict_function_that_is_gone_or_altered_holds_up_its_row_until_it_is_back() {
    let (mut world, sheet) = merged_by("SELECT sheet");
    world
        .db
        .run("DROP FUNCTION merge(jsonb, jsonb, jsonb, jsonb)");
    both_change(&mut world, &sheet);
    world.shows("SELECT key[1], code FROM sheet_sync.problem", "1 | 42883");
    let said = world
        .db
        .one("SELECT message || ' ' || hint FROM sheet_sync.problem");
    assert!(
        said.contains("merge(") && said.contains("Create it"),
        "{said}"
    );
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
    // So it stays for a worker that begins anew.
    world.terminate_worker();
    sheet.set("B3", "Nut M4");
    world.shows("SELECT name FROM products WHERE id = 2", "Nut M4");
    let create = "CREATE OR REPLACE FUNCTION merge(key jsonb, base jsonb, database jsonb, sheet jsonb) RETURNS jsonb LANGUAGE sql";
    world
        .db
        .run(&format!("{create} VOLATILE AS $$ SELECT sheet $$"));
    world.sync("products");
    world.shows("SELECT code FROM sheet_sync.problem", "42P13");
    world
        .db
        .run(&format!("{create} IMMUTABLE AS $$ SELECT sheet $$"));
    world.sync("products");
    world.shows("SELECT price FROM products WHERE id = 1", "20");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.quiet();
}

#[test]
fn preview_says_what_a_cycle_would_do_and_changes_nothing() {
    // The worker looks at the sheet only when it is asked.
    let (mut world, sheet) = products_with("poll_interval => '1 hour'");
    sheet.set("C3", "22");
    sheet.type_row(&["4", "Cog", "4"]);
    world.shows(
        "SELECT changes, operation, key[1], column_name, old_value, new_value FROM sheet_sync.preview('products') WHERE rows IS NULL ORDER BY key, column_name",
        "database | update | 2 | price | 2 | 22
         database | insert | 4 | id |  | 4
         database | insert | 4 | name |  | Cog
         database | insert | 4 | price |  | 4",
    );
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    world.sync("products");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 22\n 3 | Gear | 3\n 4 | Cog | 4",
    );
}

#[test]
fn preview_says_why_and_where_a_guard_would_stop() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text);
         INSERT INTO products SELECT i, 'Bolt ' || i FROM generate_series(1, 30) i",
    );
    let sheet = world.map_with("products", "poll_interval => '1 hour'");
    world.settle("products");
    sheet.set("B2", "Screw");
    sheet.delete_rows(30, 2);
    world.shows(
        "SELECT changes, operation, key[1], column_name, new_value, reason FROM sheet_sync.preview('products') WHERE rows IS NULL ORDER BY key[1]::int",
        "database | update | 1 | name | Screw | changed_in_sheet
         database | delete | 29 |  |  | deleted_in_sheet
         database | delete | 30 |  |  | deleted_in_sheet",
    );
    sheet.delete_rows(4, 26);
    world.shows(
        "SELECT changes, operation, key IS NULL, left(new_value, 22), reason, count(*) OVER () FROM sheet_sync.preview('products') WHERE rows IS NULL LIMIT 1",
        "database | delete | t | 28 of 30 rows are gone | mass_delete | 30",
    );
    world.shows("SELECT count(*) FROM products", "30");
}

#[test]
fn only_rows_that_match_the_filter_are_in_the_sheet() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text, listed boolean NOT NULL DEFAULT true);
         INSERT INTO products VALUES (1, 'Bolt', true), (2, 'Nut', false), (3, 'Gear', true)",
    );
    let sheet = world.map_with("products", "row_filter => 'listed'");
    sheet.shows("id | name | listed\n 1 | Bolt | TRUE\n 3 | Gear | TRUE");
    world
        .db
        .run("UPDATE products SET listed = NOT listed WHERE id IN (1, 2)");
    world.shows("SELECT count(*) FROM products", "3");
    sheet.shows("id | name | listed\n 3 | Gear | TRUE\n 2 | Nut | TRUE");
    sheet.type_row(&["9", "Cog", "FALSE"]);
    world.shows("SELECT key[1], code FROM sheet_sync.problem", "9 | 44000");
    world.shows("SELECT count(*) FROM products", "3");
    world.quiet();
}

#[test]
fn resync_merges_afresh_and_deletes_nothing() {
    let (mut world, sheet) = products_with("conflict_policy => 'database_wins'");
    world.at_once("products", |world| {
        world.db.run(
            "DELETE FROM products WHERE id = 1; UPDATE products SET name = 'Nut M4' WHERE id = 2",
        );
        sheet.delete_row(sheet.row_where(0, "3"));
        world.db.run("SELECT sheet_sync.resync('products')");
    });
    world.both_equal("products", &sheet);
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut M4 | 2\n 3 | Gear | 3",
    );
}

#[test]
fn a_paused_mapping_stays_paused_when_it_is_merged_afresh() {
    let (mut world, sheet) = products_with("");
    world.pause("products");
    world.db.run("SELECT sheet_sync.resync('products')");
    world.shows(STATE, "paused | paused");
    sheet.delete_row(sheet.row_where(0, "3"));
    world.db.run("SELECT sheet_sync.resume('products')");
    world.both_equal("products", &sheet);
    assert_eq!(sheet.rows().len(), 4);
}

/// Whoever calls resync() sees the table as it is then, whatever a cycle has compared that comes to
/// its end in the same moment.
#[test]
fn a_cycle_that_ends_while_resync_is_called_undoes_nothing_of_it() {
    let (mut world, sheet) = products_with("");
    world.quiet();
    let worker = world.worker();
    let mut caller = world.connect();
    caller.run("BEGIN; SELECT sheet_sync.resync('products')");
    // A cycle that compares the whole table.
    world.db.run(
        "INSERT INTO sheet_sync._dirty_key (mapping_id, changed_at) SELECT id, now() FROM sheet_sync.mapping",
    );
    world.shows(
        &format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {worker}"),
        "Lock",
    );
    // What nothing captures only a merge afresh finds.
    world.db.run(
        "SET session_replication_role = replica; INSERT INTO products VALUES (9, 'Cog', 9); RESET session_replication_role",
    );
    caller.run("COMMIT");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3\n 9 | Cog | 9");
    world.both_equal("products", &sheet);
}

#[test]
fn a_mass_delete_in_sql_stops_the_mapping_until_it_is_confirmed() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text);
         INSERT INTO products SELECT g, 'p' || g FROM generate_series(1, 60) g",
    );
    let sheet = world.map("products");
    world.both_equal("products", &sheet);
    world.db.run("DELETE FROM products WHERE id <= 50");
    world.shows(STATE, "failed | mass_delete");
    assert_eq!(sheet.rows().len(), 61);
    world
        .db
        .run("SELECT sheet_sync.confirm_deletes('products')");
    world.both_equal("products", &sheet);
    assert_eq!(sheet.rows().len(), 11);
    world.shows(STATE, "active | ");
    world.shows("SELECT count(*) FROM sheet_sync._stop", "0");
}

#[test]
fn history_keeps_every_change_that_arrived_with_old_and_new() {
    let (mut world, sheet) = products_with("");
    world
        .db
        .run("UPDATE products SET name = 'Bolt M4' WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt M4 | 1\n 2 | Nut | 2\n 3 | Gear | 3");
    sheet.set("C3", "22");
    world.shows("SELECT price FROM products WHERE id = 2", "22");
    world.shows(
        "SELECT side, key[1], operation, old_values, new_values FROM sheet_sync.history WHERE operation = 'update' ORDER BY id",
        "sheet | 1 | update | {\"name\": \"Bolt\"} | {\"name\": \"Bolt M4\"}\n database | 2 | update | {\"price\": \"2\"} | {\"price\": \"22\"}",
    );
}

#[test]
fn a_bad_cell_gets_a_note_that_goes_when_it_is_mended() {
    let (mut world, sheet) = products_with("");
    sheet.set("C2", "many");
    world.shows(
        "SELECT key[1], column_name FROM sheet_sync.problem",
        "1 | price",
    );
    e2e::wait_until("the note", || {
        let note = sheet.note("C2");
        if note.contains("many") {
            Ok(())
        } else {
            Err(note)
        }
    });
    sheet.set("C2", "7");
    world.shows("SELECT price FROM products WHERE id = 1", "7");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    e2e::wait_for("the note to go", String::new(), || sheet.note("C2"));
}

#[test]
fn a_row_deleted_on_one_side_may_be_kept_on_the_other() {
    let (mut world, sheet) = products_with("on_table_delete => 'keep', on_sheet_delete => 'keep'");
    world.db.run("DELETE FROM products WHERE id = 1");
    sheet.delete_row(sheet.row_where(0, "2"));
    world.quiet();
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 3 | Gear | 3");
    world.table_shows("products", "id | name | price\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn a_row_deleted_in_sql_may_be_emptied_in_the_sheet() {
    let (mut world, sheet) = products_with("on_table_delete => 'clear'");
    sheet.set("E3", "a remark");
    world.db.run("DELETE FROM products WHERE id = 2");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n  |  |  |  | a remark\n 3 | Gear | 3");
    world.quiet();
}

#[test]
fn a_columns_type_may_change_while_it_syncs() {
    let (mut world, sheet) = products_with("");
    world
        .db
        .run("ALTER TABLE products ALTER name TYPE varchar(4)");
    sheet.set("B2", "Bolts");
    world.shows(
        "SELECT key[1], column_name, code FROM sheet_sync.problem",
        "1 | name | 22001",
    );
    world.shows("SELECT name FROM products WHERE id = 1", "Bolt");
    sheet.set("B2", "Cog");
    world.shows("SELECT name FROM products WHERE id = 1", "Cog");
}
