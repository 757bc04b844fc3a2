//! Looking before anything happens: `preview()` of a first merge, of a merge afresh, of a mapping
//! that is paused, and where a guard would stop. None of them changes anything.

use e2e::{Sheet, World};

/// Counts and what is about no single row, in the order in which they come.
const COUNTED: &str = "SELECT changes, operation, column_name, reason, rows FROM sheet_sync.preview('products') WHERE key IS NULL";
const LISTED: &str = "SELECT changes, operation, key[1], column_name, old_value, new_value, reason FROM sheet_sync.preview('products') WHERE key IS NOT NULL";
const STATE: &str = "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.mapping";

fn products() -> World {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric);
         INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2), (3, 'Gear', 3)",
    );
    world
}

/// A tab that people have, which lacks a column of the table.
fn beside_a_tab_of_people() -> (World, Sheet) {
    let world = products();
    let book = world.google.spreadsheet("Stock");
    let sheet = book.tab(
        "Stock",
        "Remark | Name | id\n mine | Bolt M4 | 1\n | Disc | 9",
    );
    sheet.set("D3", "no header above this");
    (world, sheet)
}

#[track_caller]
fn is_untouched(world: &mut World, sheet: &Sheet) {
    assert_eq!(
        sheet.text(),
        "Remark | Name | id\nmine | Bolt M4 | 1\n | Disc | 9 | no header above this"
    );
    assert!(world.google.writes().is_empty());
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.shows("SELECT count(*) FROM sheet_sync._base_row", "0");
}

#[test]
fn a_first_merge_is_looked_at_before_it_begins() {
    let (mut world, sheet) = beside_a_tab_of_people();
    world.register(
        "products",
        &sheet,
        "paused => true, conflict_policy => 'sheet_wins'",
    );
    world.shows(STATE, "paused | paused");
    // It counts first, and the changes follow.
    world.shows(
        COUNTED,
        "database | update |  | conflict | 1
         sheet | update |  | changed_in_table | 1
         database | insert |  | new_in_sheet | 1
         sheet | insert |  | new_in_table | 2
         sheet | insert | price | new_column |",
    );
    world.shows(
        &format!("{LISTED} ORDER BY key[1]::int, column_name"),
        "database | update | 1 | name | Bolt | Bolt M4 | conflict
         sheet | update | 1 | price |  | 1 | changed_in_table
         sheet | insert | 2 | id |  | 2 | new_in_table
         sheet | insert | 2 | name |  | Nut | new_in_table
         sheet | insert | 2 | price |  | 2 | new_in_table
         sheet | insert | 3 | id |  | 3 | new_in_table
         sheet | insert | 3 | name |  | Gear | new_in_table
         sheet | insert | 3 | price |  | 3 | new_in_table
         database | insert | 9 | id |  | 9 | new_in_sheet
         database | insert | 9 | name |  | Disc | new_in_sheet",
    );
    is_untouched(&mut world, &sheet);
    let refused = world
        .db
        .refused("SELECT * FROM sheet_sync.sync('products')");
    assert!(refused.to_string().contains("preview()"), "{refused}");
    is_untouched(&mut world, &sheet);

    world.db.run("SELECT sheet_sync.resume('products')");
    // The column that the tab lacked stands right of all that people have there.
    sheet.shows(
        "Remark | Name | id |  | price
         mine | Bolt M4 | 1 |  | 1
          | Disc | 9 | no header above this |
          | Nut | 2 |  | 2
          | Gear | 3 |  | 3",
    );
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt M4 | 1\n 2 | Nut | 2\n 3 | Gear | 3\n 9 | Disc |",
    );
    world.merged("products");
    world.quiet();
}

#[test]
fn a_tab_that_is_not_there_is_made_by_nobody_who_only_looks() {
    let mut world = products();
    let book = world.google.spreadsheet("New");
    world.register_at("products", book.id(), "paused => true");
    for _ in 0..2 {
        world.shows(
            COUNTED,
            "sheet | insert |  | new_in_table | 3
             sheet | insert |  | new_tab |
             sheet | insert | id | new_column |
             sheet | insert | name | new_column |
             sheet | insert | price | new_column |",
        );
    }
    world.shows(
        "SELECT new_value FROM sheet_sync.preview('products') WHERE reason = 'new_tab'",
        "products",
    );
    assert_eq!(book.first_tab().title(), "Sheet1");
    assert!(world.google.writes().is_empty());
    world.db.run("SELECT sheet_sync.resume('products')");
    let sheet = book.wait_for_tab("products");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3");
    world.merged("products");
}

#[test]
fn a_paused_mapping_says_what_it_would_do_and_stays_paused() {
    let (mut world, sheet) = World::with_products();
    world.quiet();
    world.pause("products");
    let before = world.google.writes().len();
    sheet.set("C3", "22");
    world
        .db
        .run("UPDATE products SET name = 'Cog' WHERE id = 3; DELETE FROM products WHERE id = 1");
    world.shows(
        &format!("{LISTED} ORDER BY key"),
        "sheet | delete | 1 |  |  |  | deleted_in_table
         database | update | 2 | price | 2 | 22 | changed_in_sheet
         sheet | update | 3 | name | Gear | Cog | changed_in_table",
    );
    // What a merge afresh would do is another question: it deletes nothing.
    world.db.run("SELECT sheet_sync.resync('products')");
    world.shows(STATE, "paused | paused");
    world.shows(
        COUNTED,
        "sheet | update |  | conflict | 2
         database | insert |  | new_in_sheet | 1",
    );
    world.shows(STATE, "paused | paused");
    assert_eq!(world.google.writes().len(), before);
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 22\n 3 | Gear | 3");
    world.table_shows("products", "id | name | price\n 2 | Nut | 2\n 3 | Cog | 3");
    world.db.run("SELECT sheet_sync.resume('products')");
    world.both_equal("products", &sheet);
    assert_eq!(sheet.rows().len(), 4);
}

#[test]
fn headers_below_something_else_are_found_and_header_row_is_named() {
    let mut world = products();
    let book = world.google.spreadsheet("Stock");
    let text = "Our stock\n as of May\n id | name | price\n 1 | Bolt | 1";
    let sheet = book.tab("Stock", text);
    world.register("products", &sheet, "paused => true");
    let said = world
        .db
        .table("SELECT changes, reason, new_value FROM sheet_sync.preview('products')");
    assert_eq!((said.len(), said[0][0].as_str()), (1, "∅"), "{said:?}");
    assert_eq!(said[0][1], "header_missing");
    assert!(said[0][2].contains("SET header_row = 3"), "{said:?}");
    world.db.run("SELECT sheet_sync.resume('products')");
    let said = world.stopped("header_missing");
    assert!(said.contains("SET header_row = 3"), "{said}");
    world.db.run("UPDATE sheet_sync.mapping SET header_row = 3");
    sheet.shows(
        "Our stock\n as of May\n id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    world.merged("products");
    // The same when somebody puts another row there later.
    sheet.insert_row(1);
    let said = world.stopped("header_missing");
    assert!(said.contains("SET header_row = 4"), "{said}");
    sheet.delete_row(1);
    world.merged("products");
}

#[test]
fn a_tab_whose_first_row_does_not_head_the_key_is_left_alone() {
    let (mut world, sheet) = beside_a_tab_of_people();
    sheet.set("C1", "Number");
    world.register("products", &sheet, "");
    let said = world.stopped("header_missing");
    assert!(
        said.contains("\"id\"") && said.contains("header_row"),
        "{said}"
    );
    assert_eq!(sheet.cell("C1"), "Number");
    sheet.set("C1", "ID");
    world.merged("products");
}

#[test]
fn a_large_preview_counts_all_and_lists_a_part() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text, stock int);
         INSERT INTO parts SELECT n, 'part ' || n, n FROM generate_series(1, 4000) n",
    );
    let book = world.google.spreadsheet("Parts");
    world.register_at("parts", book.id(), "paused => true");
    world.shows(
        "SELECT rows FROM sheet_sync.preview('parts') WHERE reason = 'new_in_table' AND key IS NULL",
        "4000",
    );
    world.shows(
        "SELECT count(*) FILTER (WHERE key IS NOT NULL), count(DISTINCT key), max(rows) FILTER (WHERE reason = 'not_listed') FROM sheet_sync.preview('parts')",
        "10000 | 3334 | 667",
    );
}
