//! Columns: headers that people rename, and tables that are altered while they sync.

use e2e::{World, wait_for};

const HEADERS: &str = "SELECT column_name, header, previous_header FROM sheet_sync.mapping_column WHERE header_changed_at IS NOT NULL ORDER BY 1";

/// The worker has put a tag on every column: whatever it reads from here on, it writes nothing.
fn with_tags() -> (World, e2e::Sheet) {
    let (mut world, sheet) = World::with_products();
    world.quiet();
    (world, sheet)
}

#[test]
fn a_header_that_a_person_renames_is_followed() {
    let (mut world, sheet) = with_tags();
    sheet.set("B1", "What it is called");
    world
        .db
        .run("UPDATE products SET name = 'Cog' WHERE id = 3");
    sheet.shows("id | What it is called | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Cog | 3");
    sheet.set("B2", "Screw");
    world.table_shows("products", "id | name\n 1 | Screw\n 2 | Nut\n 3 | Cog");
    world.shows(HEADERS, "name | What it is called | name");
    world.shows("SELECT state, reason FROM sheet_sync.mapping", "active |");
    world.quiet();
}

#[test]
fn a_header_renamed_and_moved_while_no_worker_ran_is_followed() {
    let (mut world, sheet) = with_tags();
    world.at_once("products", |world| {
        sheet.move_column("A", "D");
        sheet.set("A1", "label");
        sheet.set("B1", "cost");
        world.terminate_worker();
    });
    sheet.set("B2", "11");
    world
        .db
        .run("UPDATE products SET name = 'Cog' WHERE id = 3");
    e2e::wait_for("the name", "Cog".to_owned(), || sheet.cell("A4"));
    assert_eq!(sheet.cell_of("Nut", 1), "2");
    world.table_shows("products", "id | price\n 1 | 11\n 2 | 2\n 3 | 3");
    world.shows(HEADERS, "name | label | name\n price | cost | price");
}

#[test]
fn a_header_renamed_to_that_of_another_column_stops_the_mapping() {
    let (mut world, sheet) = with_tags();
    sheet.set("B1", "price");
    world.shows("SELECT state FROM sheet_sync.mapping", "failed");
    let reason = world.db.one("SELECT reason FROM sheet_sync.mapping");
    assert!(reason.starts_with("header_doubled"), "{reason}");
    sheet.set("B1", "title");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
    world.shows(HEADERS, "name | title | name");
    world.table_shows("products", "id | name\n 1 | Bolt\n 2 | Nut\n 3 | Gear");
}

#[test]
fn where_the_sheet_is_only_read_a_renamed_header_stops_the_mapping() {
    let mut world = World::start();
    world
        .db
        .run("CREATE TABLE notes (id int PRIMARY KEY, body text)");
    let sheet = world
        .google
        .spreadsheet("Read")
        .tab("notes", "id | body\n 1 | one");
    world.register("notes", &sheet, "direction => 'from_sheet'");
    world.table_shows("notes", "id | body\n 1 | one");
    assert!(
        world.google.writes().is_empty(),
        "a sheet that is only read is not tagged"
    );
    sheet.set("B1", "text");
    world.shows("SELECT state FROM sheet_sync.mapping", "failed");
    sheet.set("B1", "body");
    sheet.set("B2", "two");
    wait_for("the edit", "two".to_owned(), || {
        world.db.one("SELECT body FROM notes")
    });
}

#[test]
fn a_column_that_is_added_joins_right_of_what_people_have_there() {
    let (mut world, sheet) = with_tags();
    sheet.set("D1", "remark");
    sheet.set("D2", "mine");
    world.db.run(
        "ALTER TABLE products ADD COLUMN made date DEFAULT '2024-02-29', ADD COLUMN stock int;
         UPDATE products SET stock = 7 WHERE id = 2",
    );
    sheet.shows(
        "id | name | price | remark | made | stock
         1 | Bolt | 1 | mine | 45351
         2 | Nut | 2 |  | 45351 | 7
         3 | Gear | 3 |  | 45351",
    );
    sheet.set("F4", "9");
    world.shows(
        "SELECT id, stock FROM products WHERE stock IS NOT NULL ORDER BY id",
        "2 | 7\n 3 | 9",
    );
    world.quiet();
}

#[test]
fn where_columns_were_named_an_added_one_stays_out() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts VALUES (1, 'Bolt')",
    );
    let sheet = world.map_with("parts", "columns => '{id,name}'");
    sheet.shows("id | name\n 1 | Bolt");
    world
        .db
        .run("ALTER TABLE parts ADD COLUMN secret text DEFAULT 'x'; UPDATE parts SET name = 'Nut'");
    sheet.shows("id | name\n 1 | Nut");
    world.quiet();
}

#[test]
fn a_column_that_is_dropped_leaves_its_column_in_the_sheet_to_the_people() {
    let (mut world, sheet) = with_tags();
    world.db.run("ALTER TABLE products DROP COLUMN name");
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    sheet.set("B1", "ours now");
    sheet.set("B2", "anything");
    sheet.set("C3", "20");
    world.table_shows("products", "id | price\n 1 | 10\n 2 | 20\n 3 | 3");
    world.quiet();
    assert_eq!(sheet.cell("B2"), "anything");
}

#[test]
fn a_column_that_is_renamed_keeps_its_header_and_a_new_one_gets_another() {
    let (mut world, sheet) = with_tags();
    world
        .db
        .run("ALTER TABLE products RENAME COLUMN price TO old_price");
    world
        .db
        .run("UPDATE products SET old_price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    world
        .db
        .run("ALTER TABLE products ADD COLUMN price int DEFAULT 5");
    sheet.shows(
        "id | name | price | price 2\n 1 | Bolt | 10 | 5\n 2 | Nut | 2 | 5\n 3 | Gear | 3 | 5",
    );
    // Its header is a person's to choose.
    world.quiet();
    sheet.set("C1", "old price");
    world.shows(HEADERS, "old_price | old price | price");
    sheet.set("D1", "price");
    sheet.set("C2", "11");
    sheet.set("D2", "6");
    world.table_shows(
        "products",
        "id | old_price | price\n 1 | 11 | 6\n 2 | 2 | 5\n 3 | 3 | 5",
    );
    world.quiet();
}

#[test]
fn a_key_column_may_be_renamed() {
    let (mut world, sheet) = with_tags();
    world.db.run("ALTER TABLE products RENAME COLUMN id TO number; UPDATE products SET price = 10 WHERE number = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    sheet.type_row(&["4", "Cog", "4"]);
    world.shows("SELECT name FROM products WHERE number = 4", "Cog");
    world.quiet();
}

#[test]
fn a_column_of_another_type_shows_its_values_in_their_new_form() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE jobs (id int PRIMARY KEY, due text, hours text, note text);
         INSERT INTO jobs VALUES (1, '2024-02-29', '7', 'a'), (2, '2024-03-01', '8', 'b')",
    );
    let sheet = world.map("jobs");
    sheet.shows("id | due | hours | note\n 1 | 2024-02-29 | 7 | a\n 2 | 2024-03-01 | 8 | b");
    world.db.run(
        "ALTER TABLE jobs ALTER due TYPE date USING due::date, ALTER hours TYPE numeric USING hours::numeric;
         UPDATE jobs SET note = 'c' WHERE id = 2",
    );
    sheet.shows("id | due | hours | note\n 1 | 45351 | 7 | a\n 2 | 45352 | 8 | c");
    assert_eq!(sheet.shown("B2"), "2024-02-29", "a date looks like one");
    assert_eq!(sheet.formula("C2"), "7", "a number is no text");
    // Typed into what was a column of text, it is a number.
    sheet.set("C3", "8.5");
    world.table_shows(
        "jobs",
        "id | due | hours\n 1 | 2024-02-29 | 7\n 2 | 2024-03-01 | 8.5",
    );
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
    assert_eq!(world.db.count("SELECT count(*) FROM sheet_sync.problem"), 0);
    world.quiet();
}

#[test]
fn an_edit_in_the_moment_of_a_type_change_is_not_lost() {
    let mut world = World::start();
    world.db.run("CREATE TABLE jobs (id int PRIMARY KEY, hours text); INSERT INTO jobs VALUES (1, '7'), (2, '8')");
    let sheet = world.map("jobs");
    sheet.shows("id | hours\n 1 | 7\n 2 | 8");
    world.at_once("jobs", |world| {
        sheet.set("B2", "7.5");
        world
            .db
            .run("ALTER TABLE jobs ALTER hours TYPE numeric USING hours::numeric");
    });
    // Whoever wins, the other stands in conflict.
    world.shows(
        "SELECT key[1], column_name, database_value, sheet_value #>> '{}' FROM sheet_sync.conflict",
        "1 | hours | 7 | 7.5",
    );
    world.both_equal("jobs", &sheet);
    world.quiet();
}
