//! What users of other tools complain about, where it takes the whole way to show that it is
//! otherwise here. The others are scenarios of the engine
//! (`crates/engine/tests/scenarios/complaints`), named by the same letters and numbers.

use e2e::World;
use serde_json::json;

#[test]
fn b14_a_renamed_tab_is_followed_and_shown() {
    // airbyte#55881: HTTP 500 for ever. The tab is known by its id.
    let (mut world, sheet) = World::with_products();
    sheet.rename_tab("Our goods");
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    sheet.set("B2", "Screw");
    world.table_shows("products", "id | name\n 1 | Screw\n 2 | Nut\n 3 | Gear");
    world.shows("SELECT sheet_title FROM sheet_sync.mapping", "Our goods");
    // A new tab of the old name is nobody's.
    sheet
        .book()
        .tab("products", "id | name | price\n 9 | Trap | 9");
    world.db.run("DELETE FROM products WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Screw | 10\n 2 | Nut | 2");
    world.shows("SELECT count(*) FROM products WHERE id = 9", "0");
}

#[test]
fn d29_the_time_zone_of_the_spreadsheet_counts() {
    // gatsby-source-google-spreadsheet#11: it was ignored, and dates were a day off.
    let mut world = World::start();
    world.db.run(
        "SET timezone = 'Asia/Tokyo';
         CREATE TABLE events (id int PRIMARY KEY, at timestamptz, day date);
         INSERT INTO events VALUES (1, '2024-03-10 04:30+00', '2024-03-10'), (2, '2024-07-01 04:30+00', '2024-07-01')",
    );
    let book = world
        .google
        .spreadsheet_in("New York", "en_US", "America/New_York");
    let sheet = book.empty_tab("events");
    world.register("events", &sheet, "");
    // Winter time, and summer time: five hours behind, and four.
    e2e::wait_for("winter", "2024-03-09 23:30:00".to_owned(), || {
        sheet.shown("B2")
    });
    e2e::wait_for("summer", "2024-07-01 00:30:00".to_owned(), || {
        sheet.shown("B3")
    });
    assert_eq!(sheet.shown("C2"), "2024-03-10");
    sheet.set("B2", "2024-03-10 12:00:00");
    world.shows(
        "SELECT at = '2024-03-10 16:00+00' AS noon_in_new_york FROM events WHERE id = 1",
        "t",
    );
    world.quiet();
}

#[test]
fn j62_d31_a_localised_spreadsheet_changes_no_value() {
    // google-analytics-utilities#5: booleans arrived as VERO; google-drive-ruby#380: day and month
    // changed places.
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, live boolean, made date, price numeric);
         INSERT INTO parts VALUES (1, true, '2024-02-01', 1234.5), (2, false, '2024-12-31', 0.25)",
    );
    let book = world
        .google
        .spreadsheet_in("Italia", "it_IT", "Europe/Rome");
    let sheet = book.empty_tab("parts");
    world.register("parts", &sheet, "");
    sheet.shows("id | live | made | price\n 1 | TRUE | 45323 | 1234.5\n 2 | FALSE | 45657 | 0.25");
    // Typed as there: the day first.
    sheet.set("C2", "03/02/2024");
    sheet.set("B2", "FALSE");
    world.table_shows(
        "parts",
        "id | live | made | price\n 1 | f | 2024-02-03 | 1234.5\n 2 | f | 2024-12-31 | 0.25",
    );
    world.quiet();
}

#[test]
fn d33_a_row_that_is_added_has_the_format_of_its_columns() {
    // home-assistant/core#81817: added rows changed the cell format of the date column.
    let mut world = World::start();
    world.db.run("CREATE TABLE parts (id int PRIMARY KEY, made date, code text); INSERT INTO parts VALUES (1, '2024-02-01', '007')");
    let sheet = world.map("parts");
    world
        .db
        .run("INSERT INTO parts VALUES (2, '2024-02-02', '008')");
    e2e::wait_for("the row", "2024-02-02".to_owned(), || sheet.shown("B3"));
    assert_eq!(
        (sheet.shown("B2"), sheet.shown("C2"), sheet.shown("C3")),
        ("2024-02-01".into(), "007".into(), "008".into())
    );
    // What a person types beside it, too.
    sheet.type_row(&["3", "2024-02-03", "009"]);
    world.table_shows(
        "parts",
        "id | made | code\n 1 | 2024-02-01 | 007\n 2 | 2024-02-02 | 008\n 3 | 2024-02-03 | 009",
    );
    assert_eq!(sheet.shown("B4"), "2024-02-03");
}

#[test]
fn j63_booleans_in_new_rows_are_checkboxes() {
    // googlesheets4#6, node-google-spreadsheet#489: users want real checkboxes.
    let mut world = World::start();
    world.db.run("CREATE TABLE tasks (id int PRIMARY KEY, done boolean, what text); INSERT INTO tasks VALUES (1, true, 'a')");
    let sheet = world.map("tasks");
    sheet.shows("id | done | what\n 1 | TRUE | a");
    let rows = sheet.structure()["data"][0]["rowData"].clone();
    let cell = |row: usize, column: usize| {
        rows[row]["values"][column]["dataValidation"]["condition"]["type"].clone()
    };
    assert_eq!(cell(1, 1), json!("BOOLEAN"));
    assert_eq!(cell(1, 2), json!(null));
    // A blank row has none: Google would count it as used.
    assert_eq!(cell(2, 1), json!(null));
    world.quiet();
}

#[test]
fn j64_a_warning_on_a_range_does_not_stop_a_write_and_we_protect_nothing() {
    // rewiringamerica#409: hard protection was more trouble than it was worth.
    let (mut world, sheet) = World::with_products();
    sheet.by_menu(json!([{"addProtectedRange": {"protectedRange": {"range": {"sheetId": sheet.gid()}, "warningOnly": true}}}]));
    world.db.run(
        "UPDATE products SET price = 10 WHERE id = 1; INSERT INTO products VALUES (4, 'Cog', 4)",
    );
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3\n 4 | Cog | 4");
    sheet.set("B2", "Screw");
    world.table_shows(
        "products",
        "id | name\n 1 | Screw\n 2 | Nut\n 3 | Gear\n 4 | Cog",
    );
    world.quiet();
}
