//! A change on either side arrives at the other, and then there is silence.

use e2e::World;

#[test]
fn a_new_table_is_written_to_a_new_tab_with_its_header() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric, in_stock boolean);
         INSERT INTO products VALUES (1, 'Bolt', 0.5, true), (2, 'Nut', 12, false), (3, 'Gear', NULL, NULL)",
    );
    let sheet = world.map("products");
    sheet.shows(
        "id | name | price | in_stock
         1  | Bolt | 0.5   | TRUE
         2  | Nut  | 12    | FALSE
         3  | Gear |       |",
    );
    assert_eq!(sheet.title(), "products");
}

#[test]
fn inserts_updates_and_deletes_in_sql_arrive_in_the_sheet() {
    let (mut world, sheet) = World::with_products();
    world.db.run("INSERT INTO products VALUES (4, 'Cog', 7)");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3\n 4 | Cog | 7");
    world
        .db
        .run("UPDATE products SET price = 2.25 WHERE id = 2");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2.25\n 3 | Gear | 3\n 4 | Cog | 7");
    world.db.run("UPDATE products SET name = NULL WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2.25\n 3 | | 3\n 4 | Cog | 7");
    world.db.run("DELETE FROM products WHERE id = 1");
    sheet.shows("id | name | price\n 2 | Nut | 2.25\n 3 | | 3\n 4 | Cog | 7");
}

#[test]
fn edits_new_rows_and_deleted_rows_in_the_sheet_arrive_in_sql() {
    let (mut world, sheet) = World::with_products();
    sheet.set("C2", "1.75");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1.75\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    sheet.type_row(&["9", "Cog", "4"]);
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1.75\n 2 | Nut | 2\n 3 | Gear | 3\n 9 | Cog | 4",
    );
    sheet.set("B3", "");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1.75\n 2 | | 2\n 3 | Gear | 3\n 9 | Cog | 4",
    );
    sheet.delete_row(4);
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1.75\n 2 | | 2\n 9 | Cog | 4",
    );
}

#[test]
fn two_people_change_different_columns_of_one_row_at_once_and_both_changes_stay() {
    let (mut world, sheet) = World::with_products();
    world.at_once("products", |world| {
        world.db.run("UPDATE products SET price = 8 WHERE id = 2");
        sheet.set("B3", "Wing nut");
    });
    let both = "id | name | price\n 1 | Bolt | 1\n 2 | Wing nut | 8\n 3 | Gear | 3";
    sheet.shows(both);
    world.table_shows("products", both);
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn rows_that_both_sides_have_at_first_are_merged_by_key() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, unit_price numeric, name text);
         INSERT INTO products VALUES (1, 1, 'Bolt'), (2, 2, 'Nut')",
    );
    // Other order, other spelling, a column of their own.
    let sheet = world.google.spreadsheet("Prices").tab(
        "products",
        "Name | Note    | ID | Unit Price
         Nut  | heavy   | 2  | 2
         Gear | on sale | 3  | 3",
    );
    world.register("products", &sheet, "");
    sheet.shows(
        "Name | Note    | ID | Unit Price
         Nut  | heavy   | 2  | 2
         Gear | on sale | 3  | 3
         Bolt |         | 1  | 1",
    );
    world.table_shows(
        "products",
        "id | name | unit_price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn the_first_merge_deletes_nothing_and_keeps_the_loser_of_each_difference() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text);
         INSERT INTO products VALUES (1, 'Bolt'), (2, 'Nut')",
    );
    let sheet = world
        .google
        .spreadsheet("Prices")
        .tab("products", "id | name\n 2 | Mother\n 3 | Gear");
    world.register("products", &sheet, "");
    sheet.shows("id | name\n 2 | Nut\n 3 | Gear\n 1 | Bolt");
    world.table_shows("products", "id | name\n 1 | Bolt\n 2 | Nut\n 3 | Gear");
    world.shows(
        "SELECT key[1], column_name, base_value, database_value, sheet_value #>> '{}', winner FROM sheet_sync.conflict",
        "2 | name | | Nut | Mother | database",
    );
}

#[test]
fn the_address_that_a_browser_shows_names_the_tab_by_its_gid() {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES (1, 'Bolt')");
    let book = world.google.spreadsheet("Stock");
    let other = book.tab("Other", "a | b\n 1 | 2");
    let sheet = book.tab("Parts", "id | name");
    world.register_at("products", &sheet.address(), "");
    sheet.shows("id | name\n 1 | Bolt");
    other.shows("a | b\n 1 | 2");
}

#[test]
fn after_the_last_edit_there_is_silence() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("UPDATE products SET price = price / 3, name = name || ' é'");
    sheet.set("B2", "Schraube");
    world.both_equal("products", &sheet);
    world.quiet();
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync._dirty_key"),
        0
    );
}

#[test]
fn a_trigger_of_the_users_that_changes_what_the_sheet_sent_is_shown_in_the_sheet() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text);
         INSERT INTO products VALUES (1, 'BOLT');
         CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';
         CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION shout()",
    );
    let sheet = world.map("products");
    sheet.shows("id | name\n 1 | BOLT");
    sheet.set("B2", "screw");
    world.table_shows("products", "id | name\n 1 | SCREW");
    sheet.shows("id | name\n 1 | SCREW");
    world.quiet();
}

#[test]
fn to_sheet_puts_edits_of_the_sheet_back_and_from_sheet_leaves_the_sheet_alone() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE report (id int PRIMARY KEY, total int); INSERT INTO report VALUES (1, 10);
         CREATE TABLE intake (id int PRIMARY KEY, total int)",
    );
    let report = world.map_with("report", "direction => 'to_sheet'");
    report.shows("id | total\n 1 | 10");
    report.set("B2", "99");
    report.shows("id | total\n 1 | 10");
    world.table_shows("report", "id | total\n 1 | 10");

    let intake = world.map_with("intake", "direction => 'from_sheet'");
    intake.type_row(&["1", "5"]);
    world.table_shows("intake", "id | total\n 1 | 5");
    world.db.run("UPDATE intake SET total = 6");
    intake.type_row(&["2", "7"]);
    world.shows("SELECT total FROM intake WHERE id = 2", "7");
    assert_eq!(
        intake.cell("B2"),
        "5",
        "a mapping from_sheet wrote to the sheet"
    );
}

#[test]
fn sync_push_and_pull_wait_for_the_worker_and_see_what_was_committed_before() {
    let (mut world, sheet) = World::with_products();
    world.db.run("UPDATE products SET price = 5 WHERE id = 1");
    world.db.run("SELECT * FROM sheet_sync.push('products')");
    assert_eq!(sheet.cell("C2"), "5");
    sheet.set("C3", "6");
    world.db.run("SELECT * FROM sheet_sync.pull('products')");
    assert_eq!(world.db.one("SELECT price FROM products WHERE id = 2"), "6");
    world.db.run("UPDATE products SET price = 7 WHERE id = 3");
    sheet.set("B2", "Rivet");
    let done = world.db.rows("SELECT mapping_id, rows_pushed, rows_pulled, conflicts, problems FROM sheet_sync.sync('products')");
    assert_eq!(done.len(), 1, "one line per mapping");
    assert_eq!(sheet.cell("C4"), "7");
    assert_eq!(
        world.db.one("SELECT name FROM products WHERE id = 1"),
        "Rivet"
    );
}

#[test]
fn a_paused_mapping_keeps_changes_and_delivers_them_when_it_is_resumed() {
    let (mut world, sheet) = World::with_products();
    world.pause("products");
    world.shows("SELECT state FROM sheet_sync.status", "paused");
    world
        .db
        .run("UPDATE products SET price = 5 WHERE id = 1; DELETE FROM products WHERE id = 3");
    sheet.set("B3", "Mutter");
    world.quiet();
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Mutter | 2\n 3 | Gear | 3");
    world.table_shows("products", "id | name | price\n 1 | Bolt | 5\n 2 | Nut | 2");
    world.db.run("SELECT sheet_sync.resume('products')");
    let both = "id | name | price\n 1 | Bolt | 5\n 2 | Mutter | 2";
    sheet.shows(both);
    world.table_shows("products", both);
}

#[test]
fn unregistering_ends_the_mapping_and_leaves_table_and_sheet_as_they_are() {
    let (mut world, sheet) = World::with_products();
    assert_eq!(
        world
            .db
            .one("SELECT sheet_sync.unregister_table('products')"),
        "1"
    );
    let before = sheet.text();
    world
        .db
        .run("UPDATE products SET price = 100; DELETE FROM products WHERE id = 1");
    sheet.set("C3", "55");
    world.quiet();
    assert_eq!(sheet.cell("C2"), "1");
    assert_eq!(sheet.rows().len(), before.lines().count());
    assert_eq!(
        world.db.one("SELECT price FROM products WHERE id = 2"),
        "100"
    );
    world.shows(
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'products'::regclass",
        "0",
    );
    world.shows("SELECT (SELECT count(*) FROM sheet_sync.mapping), (SELECT count(*) FROM sheet_sync._base_row)", "0 | 0");
}

#[test]
fn two_databases_of_one_cluster_sync_side_by_side() {
    let (mut world, sheet) = World::with_products();
    let mut other = world.another_database("elsewhere");
    other.run("CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES (7, 'Lamp')");
    let second = world.google.spreadsheet("Elsewhere").empty_tab("products");
    other.run(&format!(
        "SELECT sheet_sync.register_table('products', {})",
        e2e::literal(second.id())
    ));
    second.shows("id | name\n 7 | Lamp");
    second.set("B2", "Light");
    e2e::wait_for("the other database", "Light".to_owned(), || {
        other.one("SELECT name FROM products")
    });
    world.db.run("UPDATE products SET price = 4 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 4\n 2 | Nut | 2\n 3 | Gear | 3");
}
