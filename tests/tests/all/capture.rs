//! Whatever way a row changes in the database, the sheet hears of it when the change is committed,
//! and not before.

use e2e::World;

#[test]
fn a_rolled_back_transaction_changes_nothing() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("BEGIN; UPDATE products SET price = 100; DELETE FROM products WHERE id = 1; ROLLBACK");
    world.db.run("UPDATE products SET price = 4 WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 4");
}

#[test]
fn nothing_arrives_before_the_commit() {
    let (mut world, sheet) = World::with_products();
    let mut writer = world.connect();
    writer.run("BEGIN; UPDATE products SET price = 100 WHERE id = 1");
    world.db.run("UPDATE products SET price = 4 WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 4");
    writer.run("COMMIT");
    sheet.shows("id | name | price\n 1 | Bolt | 100\n 2 | Nut | 2\n 3 | Gear | 4");
}

#[test]
fn a_savepoint_rolled_back_takes_only_its_own_changes_along() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "BEGIN;
         UPDATE products SET price = 10 WHERE id = 1;
         SAVEPOINT one;
         UPDATE products SET price = 20 WHERE id = 2;
         DELETE FROM products WHERE id = 1;
         ROLLBACK TO one;
         INSERT INTO products VALUES (4, 'Cog', 4);
         RELEASE one;
         COMMIT",
    );
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3\n 4 | Cog | 4");
}

#[test]
fn a_function_that_catches_its_own_error_loses_nothing() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "DO $$
         BEGIN
             UPDATE products SET price = 10 WHERE id = 1;
             BEGIN
                 UPDATE products SET price = 20 WHERE id = 2;
                 PERFORM 1 / 0;
             EXCEPTION WHEN division_by_zero THEN
                 UPDATE products SET price = 30 WHERE id = 3;
             END;
         END $$",
    );
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 30");
}

#[test]
fn rows_that_copy_brings_arrive() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .copy("COPY products FROM STDIN", "4\tCog\t4\n5\t\\N\t5.5\n");
    world.both_equal("products", &sheet);
    assert_eq!(sheet.cell_of("4", 1), "Cog");
    assert_eq!(sheet.cell_of("5", 2), "5.5");
}

#[test]
fn truncate_stops_the_mapping_and_asks() {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products SELECT n, 'part ' || n FROM generate_series(1, 60) n");
    let sheet = world.map("products");
    e2e::wait_for("sixty rows", 61, || sheet.rows().len());
    world.db.run("TRUNCATE products");
    world.shows("SELECT state FROM sheet_sync.mapping", "failed");
    let hint = world.db.one("SELECT hint FROM sheet_sync.mapping");
    assert!(hint.contains("confirm_deletes"), "{hint}");
    assert_eq!(
        sheet.rows().len(),
        61,
        "nothing may go before somebody confirms"
    );
    world
        .db
        .run("SELECT sheet_sync.confirm_deletes('products')");
    sheet.shows("id | name");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
}

#[test]
fn a_prepared_transaction_arrives_when_it_is_committed() {
    let (mut world, sheet) = World::with_products();
    world.db.run("BEGIN; UPDATE products SET price = 10 WHERE id = 1; INSERT INTO products VALUES (4, 'Cog', 4); PREPARE TRANSACTION 'later'");
    world
        .db
        .run("BEGIN; UPDATE products SET price = 99 WHERE id = 2; PREPARE TRANSACTION 'never'; ");
    world.db.run("UPDATE products SET price = 30 WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 30");
    world.db.run("ROLLBACK PREPARED 'never'");
    world.db.run("COMMIT PREPARED 'later'");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 30\n 4 | Cog | 4");
}

#[test]
fn a_partitioned_table_syncs_as_one_and_rows_may_move_between_partitions() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE events (year int, id int, what text, PRIMARY KEY (year, id)) PARTITION BY LIST (year);
         CREATE TABLE events_2024 PARTITION OF events FOR VALUES IN (2024);
         CREATE TABLE events_2025 PARTITION OF events FOR VALUES IN (2025);
         INSERT INTO events VALUES (2024, 1, 'old'), (2025, 1, 'new')",
    );
    let sheet = world.map("events");
    sheet.shows("year | id | what\n 2024 | 1 | old\n 2025 | 1 | new");
    // Past the parent, too.
    world.db.run("UPDATE events_2024 SET what = 'older'");
    sheet.shows("year | id | what\n 2024 | 1 | older\n 2025 | 1 | new");
    world.db.run("CREATE TABLE events_2026 PARTITION OF events FOR VALUES IN (2026); INSERT INTO events VALUES (2026, 1, 'future')");
    sheet.shows("year | id | what\n 2024 | 1 | older\n 2025 | 1 | new\n 2026 | 1 | future");
    sheet.type_row(&["2024", "2", "typed"]);
    world.table_shows(
        "events_2024",
        "year | id | what\n 2024 | 1 | older\n 2024 | 2 | typed",
    );
    world
        .db
        .run("UPDATE events SET year = 2025, id = 9 WHERE year = 2024 AND id = 1");
    world.both_equal("events", &sheet);
    world.shows("SELECT what FROM events_2025 WHERE id = 9", "older");
}

#[test]
fn what_foreign_keys_cascade_arrives() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE makers (id int PRIMARY KEY);
         CREATE TABLE parts (id int PRIMARY KEY, maker int REFERENCES makers ON DELETE CASCADE ON UPDATE CASCADE);
         INSERT INTO makers VALUES (1), (2);
         INSERT INTO parts VALUES (10, 1), (20, 2), (30, 1)",
    );
    let sheet = world.map("parts");
    sheet.shows("id | maker\n 10 | 1\n 20 | 2\n 30 | 1");
    world.db.run("UPDATE makers SET id = 5 WHERE id = 2");
    sheet.shows("id | maker\n 10 | 1\n 20 | 5\n 30 | 1");
    world.db.run("DELETE FROM makers WHERE id = 1");
    sheet.shows("id | maker\n 20 | 5");
}

#[test]
fn generated_columns_are_shown_and_their_edits_are_put_back() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE lines (id int PRIMARY KEY, amount int, price int, total int GENERATED ALWAYS AS (amount * price) STORED);
         INSERT INTO lines VALUES (1, 2, 3)",
    );
    let sheet = world.map("lines");
    sheet.shows("id | amount | price | total\n 1 | 2 | 3 | 6");
    sheet.set("B2", "10");
    sheet.shows("id | amount | price | total\n 1 | 10 | 3 | 30");
    sheet.set("D2", "999");
    sheet.shows("id | amount | price | total\n 1 | 10 | 3 | 30");
    sheet.type_row(&["2", "4", "5"]);
    sheet.shows("id | amount | price | total\n 1 | 10 | 3 | 30\n 2 | 4 | 5 | 20");
}

#[test]
fn a_transaction_above_the_key_limit_arrives_whole() {
    let mut world = World::configured(&[("sheet_sync.max_dirty_keys_per_transaction", "100")]);
    world.db.run(
        "CREATE TABLE numbers (id int PRIMARY KEY, square int); INSERT INTO numbers VALUES (0, 0)",
    );
    let sheet = world.map("numbers");
    sheet.shows("id | square\n 0 | 0");
    world
        .db
        .run("INSERT INTO numbers SELECT n, n * n FROM generate_series(1, 1500) n");
    assert!(
        world.db.count("SELECT count(*) FROM sheet_sync._dirty_key") <= 100,
        "the limit holds"
    );
    e2e::wait_for("all rows", 1502, || sheet.rows().len());
    world
        .db
        .run("UPDATE numbers SET square = -square WHERE id % 2 = 0");
    world.both_equal("numbers", &sheet);
}

#[test]
fn whoever_may_change_the_table_needs_no_rights_in_the_extension_and_gains_none() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("CREATE ROLE clerk LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON products TO clerk");
    let mut clerk = world.connect_as("clerk");
    clerk.run(
        "UPDATE products SET price = 42 WHERE id = 1; INSERT INTO products VALUES (5, 'Pin', 5)",
    );
    sheet.shows("id | name | price\n 1 | Bolt | 42\n 2 | Nut | 2\n 3 | Gear | 3\n 5 | Pin | 5");
    for private in [
        "_dirty_key",
        "_base_row",
        "_credential",
        "_cycle",
        "_progress",
    ] {
        let refused = clerk.refused(&format!("SELECT * FROM sheet_sync.{private}"));
        assert_eq!(refused.sqlstate, "42501", "{refused}");
    }
    assert_eq!(
        clerk
            .refused("SELECT sheet_sync.pause('products')")
            .sqlstate,
        "42501"
    );
    assert_eq!(
        clerk
            .refused("SELECT sheet_sync.set_credential('default', '{}')")
            .sqlstate,
        "42501"
    );
    assert_eq!(
        clerk.one("SELECT count(*) FROM sheet_sync.mapping"),
        "1",
        "readers of the table see its mapping"
    );
}

#[test]
fn what_comes_from_the_sheet_is_applied_with_the_rights_of_the_tables_owner() {
    let mut world = World::start();
    world.db.run(
        "CREATE ROLE keeper LOGIN;
         CREATE TABLE notes (id int PRIMARY KEY, body text, writer text DEFAULT current_user);
         ALTER TABLE notes OWNER TO keeper;
         GRANT CREATE ON SCHEMA public TO keeper",
    );
    let sheet = world.map_with("notes", "columns => '{id,body}'");
    sheet.type_row(&["1", "typed"]);
    world.shows("SELECT body, writer FROM notes", "typed | keeper");
}

#[test]
fn session_replication_role_replica_does_not_hide_changes() {
    let (mut world, sheet) = World::with_products();
    world.db.run("BEGIN; SET LOCAL session_replication_role = replica; UPDATE products SET price = 77 WHERE id = 1; COMMIT");
    sheet.shows("id | name | price\n 1 | Bolt | 77\n 2 | Nut | 2\n 3 | Gear | 3");
}
