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
        sheet.move_column("B", "D");
        sheet.set("B1", "cost");
        sheet.set("C1", "label");
        world.terminate_worker();
    });
    sheet.set("B2", "11");
    world.db.run("UPDATE products SET name = 'Cog' WHERE id = 3");
    sheet.shows("id | cost | label\n 1 | 11 | Bolt\n 2 | 2 | Nut\n 3 | 3 | Cog");
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
    world.db.run("CREATE TABLE notes (id int PRIMARY KEY, body text)");
    let sheet = world.google.spreadsheet("Read").tab("notes", "id | body\n 1 | one");
    world.register("notes", &sheet, "direction => 'from_sheet'");
    world.table_shows("notes", "id | body\n 1 | one");
    assert!(world.google.writes().is_empty(), "a sheet that is only read is not tagged");
    sheet.set("B1", "text");
    world.shows("SELECT state FROM sheet_sync.mapping", "failed");
    sheet.set("B1", "body");
    sheet.set("B2", "two");
    wait_for("the edit", "two".to_owned(), || world.db.one("SELECT body FROM notes"));
}
