//! What stops a mapping before it does harm: each says why, and how it goes on.

use e2e::{World, wait_for, wait_until};

fn goes_on(world: &mut World) {
    world.shows(
        "SELECT state, reason, hint, retry_at FROM sheet_sync.mapping",
        "active |  |  |",
    );
}

#[test]
fn a_spreadsheet_in_the_bin_is_neither_read_nor_written() {
    let (mut world, sheet) = World::with_products();
    world.at_once("products", |world| {
        sheet.book().throw_away(true);
        // As whoever throws away a sheet may have emptied it before.
        sheet.delete_rows(2, 3);
        world.db.run("UPDATE products SET price = 10 WHERE id = 1");
        // The bin is looked at when a worker begins, after trouble, and once a minute.
        world.terminate_worker();
    });
    let said = world.stopped("in_bin");
    assert!(said.contains("Restore"), "{said}");
    let refused = world
        .db
        .refused("SELECT * FROM sheet_sync.sync('products')");
    assert!(refused.message.contains("bin"), "{refused:?}");
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 3);
    assert_eq!(sheet.rows().len(), 1);
    sheet.book().throw_away(false);
    sheet.type_at(
        "A2",
        &[["1", "Bolt", "1"], ["2", "Nut", "2"], ["3", "Gear", "3"]]
            .map(|row| row.map(str::to_owned).to_vec()),
    );
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    goes_on(&mut world);
}

#[test]
fn a_tab_that_is_gone_deletes_nothing_and_says_what_to_do() {
    let (mut world, sheet) = World::with_products();
    sheet.delete_tab();
    let said = world.stopped("tab_gone");
    assert!(
        said.contains("Version history") && said.contains("unregister"),
        "{said}"
    );
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 3);
    // The way on that it names.
    world
        .db
        .run("SELECT sheet_sync.unregister_table('products')");
    let sheet = world.map("products");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn a_tab_that_another_table_has_is_left_to_it() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "CREATE TABLE goods (id int PRIMARY KEY, name text); INSERT INTO goods VALUES (7, 'Other')",
    );
    let by_gid = world.db.refused(&format!(
        "SELECT sheet_sync.register_table('goods', '{}')",
        sheet.address()
    ));
    assert_eq!(by_gid.sqlstate, "42710", "{by_gid}");
    // Under a title that it had when it was registered nobody can tell.
    sheet.rename_tab("Goods");
    world.db.run(&format!(
        "UPDATE sheet_sync.mapping SET sheet_title = 'old'; SELECT sheet_sync.register_table('goods', '{}', sheet => 'Goods')",
        sheet.id()
    ));
    let said = wait_until("the second mapping to stop", || {
        let seen = world.db.table("SELECT state, reason, hint FROM sheet_sync.mapping WHERE table_name = 'goods'::regclass");
        match seen[0][1].starts_with("tab_taken") {
            true => Ok(seen[0].join(" ")),
            false => Err(seen),
        }
    });
    assert!(
        said.contains("failed") && said.contains("products") && said.contains("unregister_table"),
        "{said}"
    );
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    world.db.run("SELECT sheet_sync.unregister_table('goods')");
}

#[test]
fn a_table_that_loses_its_key_stops_and_goes_on_with_it() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("ALTER TABLE products DROP CONSTRAINT products_pkey");
    let said = world.stopped("key_gone");
    assert!(
        said.contains("ADD PRIMARY KEY (id)") && said.contains("unregister_table"),
        "{said}"
    );
    // The table is its owner's as ever.
    world.db.run(
        "INSERT INTO products VALUES (4, 'Cog', 4); UPDATE products SET price = 10 WHERE id = 1",
    );
    let refused = world
        .db
        .refused("SELECT * FROM sheet_sync.sync('products')");
    assert!(refused.message.contains("not a key"), "{refused}");
    world.db.run("ALTER TABLE products ADD PRIMARY KEY (id)");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3\n 4 | Cog | 4");
    goes_on(&mut world);

    world.db.run("ALTER TABLE products DROP COLUMN id");
    let said = world.stopped("key_gone");
    assert!(
        said.contains("\"id\"") && said.contains("register the table again"),
        "{said}"
    );
    world.db.run("UPDATE products SET price = 11 WHERE name = 'Bolt'; INSERT INTO products VALUES ('Pin', 5)");
    assert_eq!(sheet.rows().len(), 5);
    // The way on that it names.
    world.db.run("SELECT sheet_sync.unregister_table('products'); ALTER TABLE products ADD PRIMARY KEY (name)");
    let sheet = world.map("products");
    e2e::wait_for("all rows", 6, || sheet.rows().len());
}

#[test]
fn a_header_that_stands_twice_is_not_guessed_at() {
    let (mut world, sheet) = World::with_products();
    sheet.set("D1", "price");
    let said = world.stopped("header_doubled");
    assert!(
        said.contains("\"price\" stands over more than one column: in C1 and D1.")
            && said.contains("Rename"),
        "{said}"
    );
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.set("D1", "");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    goes_on(&mut world);
}

#[test]
fn an_emptied_header_row_is_no_deletion() {
    let (mut world, sheet) = World::with_products();
    sheet.delete_rows(1, 4);
    let said = world.stopped("header_missing");
    assert!(said.contains("version history"), "{said}");
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 3);
    let undone = [
        "id | name | price",
        "1 | Bolt | 1",
        "2 | Nut | 2",
        "3 | Gear | 3",
    ];
    let cells = |line: &str| line.split(" | ").map(str::to_owned).collect();
    sheet.type_at("A1", &undone.map(cells));
    goes_on(&mut world);
    world.table_shows("products", "id | name\n 1 | Bolt\n 2 | Nut\n 3 | Gear");
}

#[test]
fn everything_changed_at_once_is_asked_about_and_undone_in_the_sheet() {
    let (mut world, sheet) = World::with_parts(40);
    world.at_once("parts", |_| {
        let rows: Vec<Vec<String>> = (1..=40)
            .map(|n| vec![format!("other {n}"), (1000 + n).to_string()])
            .collect();
        sheet.type_at("B2", &rows);
    });
    let said = world.stopped("everything_changed");
    assert!(
        said.contains("confirm_deletes") && said.contains("Undo"),
        "{said}"
    );
    assert_eq!(
        world
            .db
            .count("SELECT count(*) FROM parts WHERE stock > 1000"),
        0
    );
    let rows: Vec<Vec<String>> = (1..=40)
        .map(|n| vec![format!("part {n}"), n.to_string()])
        .collect();
    sheet.type_at("B2", &rows);
    goes_on(&mut world);
    assert_eq!(
        world
            .db
            .count("SELECT count(*) FROM parts WHERE stock > 1000"),
        0
    );
}

#[test]
fn everything_changed_at_once_goes_on_when_it_was_meant() {
    let (mut world, sheet) = World::with_parts(40);
    world.at_once("parts", |_| {
        let rows: Vec<Vec<String>> = (1..=40)
            .map(|n| vec![format!("other {n}"), (1000 + n).to_string()])
            .collect();
        sheet.type_at("B2", &rows);
    });
    world.stopped("everything_changed");
    world.db.run("SELECT sheet_sync.confirm_deletes('parts')");
    wait_for("all of it", 40, || {
        world
            .db
            .count("SELECT count(*) FROM parts WHERE stock > 1000")
    });
    goes_on(&mut world);
}

#[test]
fn a_mass_delete_in_the_sheet_that_is_undone_goes_on_by_itself() {
    let (mut world, sheet) = World::with_parts(60);
    let kept: Vec<Vec<String>> = sheet.rows().split_off(3);
    sheet.delete_rows(4, 58);
    let said = world.stopped("mass_delete");
    assert!(said.contains("confirm_deletes"), "{said}");
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 60);
    sheet.type_at("A4", &kept);
    goes_on(&mut world);
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 60);
    world.both_equal("parts", &sheet);
}

#[test]
fn a_truncated_table_gets_its_rows_back_from_the_sheet_where_that_was_a_mistake() {
    let (mut world, sheet) = World::with_products();
    world.db.run("TRUNCATE products");
    let said = world.stopped("truncated");
    assert!(
        said.contains("confirm_deletes") && said.contains("resync"),
        "{said}"
    );
    world.db.run("SELECT sheet_sync.resync('products')");
    let all = "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3";
    world.table_shows("products", all);
    goes_on(&mut world);
    assert_eq!(sheet.rows().len(), 4);
}

#[test]
fn a_table_that_is_truncated_and_filled_in_one_transaction_is_compared_and_asks_nothing() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "BEGIN;
         TRUNCATE products;
         INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Wing nut', 2), (4, 'Cog', 4);
         COMMIT",
    );
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Wing nut | 2\n 4 | Cog | 4");
    goes_on(&mut world);
}

#[test]
fn how_many_rows_may_go_unasked_is_the_mappings_own() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text);
         INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 60) n",
    );
    let sheet = world.map_with("parts", "max_delete_percent => 100");
    world.both_equal("parts", &sheet);
    sheet.delete_rows(2, 30);
    world.shows("SELECT count(*) FROM parts", "30");
    // Now three rows of thirty are a tenth, and too many.
    world.at_once("parts", |world| {
        world.db.run(
            "UPDATE sheet_sync.mapping SET max_delete_percent = 9, max_delete_rows = 3;
             DELETE FROM parts WHERE id > 57",
        );
    });
    world.stopped("mass_delete");
    assert_eq!(sheet.rows().len(), 31);
    world
        .db
        .run("UPDATE sheet_sync.mapping SET max_delete_rows = 4");
    world.both_equal("parts", &sheet);
    goes_on(&mut world);
}

/// More marks to compare everything than one cycle takes wait with it.
#[test]
fn a_truncated_table_asks_whatever_else_waits() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "BEGIN;
         TRUNCATE products;
         INSERT INTO sheet_sync._dirty_key (mapping_id, changed_at)
         SELECT m.id, now() FROM sheet_sync.mapping m, generate_series(1, 60000);
         COMMIT",
    );
    world.stopped("truncated");
    assert_eq!(sheet.rows().len(), 4);
}
