//! Options that the table's owner changes with UPDATE while the table syncs.

use e2e::{Sheet, World};

/// Both sides change name and price of row 1.
fn both_change(world: &mut World, sheet: &Sheet) {
    world.at_once("products", |world| {
        world
            .db
            .run("UPDATE products SET name = 'table', price = 10 WHERE id = 1");
        sheet.set("B2", "sheet");
        sheet.set("C2", "20");
    });
}

#[test]
fn a_column_has_a_policy_of_its_own() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "UPDATE sheet_sync.mapping SET conflict_policy = 'database_wins';
         UPDATE sheet_sync.mapping_column SET conflict_policy = 'sheet_wins' WHERE column_name = 'price'",
    );
    both_change(&mut world, &sheet);
    world.shows(
        "SELECT column_name, base_value, database_value, sheet_value #>> '{}', winner FROM sheet_sync.conflict WHERE settled ORDER BY 1",
        "name | Bolt | table | sheet | database\n price | 1 | 10 | 20 | sheet",
    );
    world.shows(
        "SELECT name, price FROM products WHERE id = 1",
        "table | 20",
    );
    e2e::wait_for("the sheet's row", "table".to_owned(), || sheet.cell("B2"));
    assert_eq!(sheet.cell("C2"), "20");
}

#[test]
fn a_tie_may_be_the_sheets() {
    let (mut world, sheet) = World::with_products();
    world.db.run("UPDATE sheet_sync.mapping SET tie = 'sheet'");
    both_change(&mut world, &sheet);
    world.shows(
        "SELECT name, price FROM products WHERE id = 1",
        "sheet | 20",
    );
}

#[test]
fn a_column_may_go_one_way() {
    let (mut world, sheet) = World::with_products();
    world.at_once("products", |world| {
        world.db.run(
            "UPDATE sheet_sync.mapping_column SET direction = 'to_sheet' WHERE column_name = 'price'",
        );
        sheet.set("C2", "99");
        sheet.set("B2", "Screw");
    });
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    e2e::wait_for("the price put back", "1".to_owned(), || sheet.cell("C2"));
}

#[test]
fn a_row_filter_may_change() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("UPDATE sheet_sync.mapping SET row_filter = 'price < 3'");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2");
    world
        .db
        .run("UPDATE sheet_sync.mapping SET row_filter = 't.price >= 2'");
    e2e::wait_for("other rows", vec!["2", "3"], || {
        let mut keys: Vec<&str> = Vec::new();
        for row in sheet.rows().into_iter().skip(1) {
            match row[0].as_str() {
                "2" => keys.push("2"),
                "3" => keys.push("3"),
                _ => keys.push("another"),
            }
        }
        keys.sort_unstable();
        keys
    });
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 3);
}

#[test]
fn notes_on_problems_may_be_switched_off_and_peoples_stay() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("UPDATE sheet_sync.mapping SET notes_on_problems = false");
    sheet.set("C2", "many");
    world.shows("SELECT code FROM sheet_sync.problem", "22P02");
    world.quiet();
    assert_eq!(sheet.note("C2"), "");
    world
        .db
        .run("UPDATE sheet_sync.mapping SET notes_on_problems = true");
    sheet.put_note("C3", "ask Ann before you change this");
    sheet.set("C3", "few");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "2");
    world.quiet();
    assert_eq!(sheet.note("C3"), "ask Ann before you change this");
    sheet.set("C3", "2");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "1");
    world.quiet();
    assert_eq!(sheet.note("C3"), "ask Ann before you change this");

    // The problem that stood before they were switched on has its note by now; off again, ours
    // goes.
    e2e::wait_for("our note", true, || {
        sheet.note("C2").starts_with("sheet_sync: ")
    });
    world
        .db
        .run("UPDATE sheet_sync.mapping SET notes_on_problems = false");
    e2e::wait_for("our note to go", String::new(), || sheet.note("C2"));
    assert_eq!(sheet.note("C3"), "ask Ann before you change this");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "1");
}

#[test]
fn the_header_may_stand_below_other_rows() {
    let (mut world, sheet) = World::with_products();
    sheet.insert_row(1);
    sheet.insert_row(1);
    sheet.set("A1", "Our products");
    world.shows(
        "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.mapping",
        "failed | header_missing",
    );
    world.db.run("UPDATE sheet_sync.mapping SET header_row = 3");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
    world.db.run(
        "INSERT INTO products VALUES (4, 'Cog', 4); UPDATE products SET price = 10 WHERE id = 1",
    );
    e2e::wait_for("both changes", ("10".to_owned(), "Cog".to_owned()), || {
        (sheet.cell("C4"), sheet.cell("B7"))
    });
    assert_eq!(
        (sheet.cell("A1"), sheet.cell("A3")),
        ("Our products".into(), "id".into())
    );
    sheet.set("B5", "Mutter");
    world.shows("SELECT name FROM products WHERE id = 2", "Mutter");
    world.quiet();
}

#[test]
fn dates_are_shown_as_dates_also_below_headers_that_people_typed() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE visits (id int PRIMARY KEY, day date, at timestamp, note text);
         INSERT INTO visits VALUES (1, '2024-02-01', '2024-02-01 10:30', 'a')",
    );
    let book = world.google.spreadsheet("Visits");
    let sheet = book.tab("visits", "id | day | at | note");
    world.register("visits", &sheet, "");
    e2e::wait_for("the day", "2024-02-01".to_owned(), || sheet.shown("B2"));
    assert_eq!(sheet.shown("C2"), "2024-02-01 10:30:00");
    // As the owner wishes, in rows that are there and in new ones.
    world.merged("visits");
    world.db.run(
        "UPDATE sheet_sync.mapping_column SET number_format = 'dd.mm.yy' WHERE column_name = 'day'",
    );
    e2e::wait_for("the wished format", "01.02.24".to_owned(), || {
        sheet.shown("B2")
    });
    world
        .db
        .run("INSERT INTO visits VALUES (2, '2024-02-02', NULL, 'b')");
    e2e::wait_for("the new row", "02.02.24".to_owned(), || sheet.shown("B3"));
    world.quiet();
    world.table_shows(
        "visits",
        "id | day | note\n 1 | 2024-02-01 | a\n 2 | 2024-02-02 | b",
    );
}

#[test]
fn a_format_that_a_person_chose_stays() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE visits (id int PRIMARY KEY, day date);
         INSERT INTO visits VALUES (1, '2024-02-01'), (2, '2024-02-02')",
    );
    let book = world.google.spreadsheet("Visits");
    let sheet = book.tab("visits", "id | day");
    sheet.by_menu(serde_json::json!([{"repeatCell": {
        "range": {"sheetId": sheet.gid(), "startRowIndex": 1, "startColumnIndex": 1, "endColumnIndex": 2},
        "cell": {"userEnteredFormat": {"numberFormat": {"type": "DATE", "pattern": "d/m/yyyy"}}},
        "fields": "userEnteredFormat.numberFormat"}}]));
    world.register("visits", &sheet, "");
    e2e::wait_for(
        "both days",
        ("1/2/2024".to_owned(), "2/2/2024".to_owned()),
        || (sheet.shown("B2"), sheet.shown("B3")),
    );
}
