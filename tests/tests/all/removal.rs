//! What is dropped while it syncs goes without a wait, and nothing is left behind.

use e2e::{When, World};

/// Changes a row and holds the worker in the request that this causes.
fn caught_in_a_request(world: &mut World) -> e2e::Held {
    let held = world.google.hold(1, When::Before);
    world.db.run("UPDATE products SET price = 50 WHERE id = 1");
    held.wait();
    world.db.run("SET statement_timeout = '20 s'");
    held
}

#[test]
fn drop_table_ends_its_mapping() {
    let (mut world, sheet) = World::with_products();
    let held = caught_in_a_request(&mut world);
    world.db.run("DROP TABLE products");
    held.release();
    world.shows("SELECT table_name, state FROM sheet_sync.status", "| ended");
    assert_eq!(sheet.rows().len(), 4, "the sheet stays as it is");
    // The worker is well: another table syncs.
    world
        .db
        .run("CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1)");
    world.map("later").shows("id\n 1");
}

#[test]
fn drop_extension_while_syncing_and_create_it_again() {
    let (mut world, sheet) = World::with_products();
    let held = caught_in_a_request(&mut world);
    world.db.run("DROP EXTENSION sheet_sync");
    held.release();
    world.shows(
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sheet_sync%'",
        "0",
    );
    world.shows("SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'sheet_sync'", "0");
    world.db.run("UPDATE products SET price = 60 WHERE id = 1");
    assert_eq!(sheet.rows().len(), 4);
    world.create_extension();
    let id = e2e::literal(sheet.id());
    world.db.run(&format!(
        "SELECT sheet_sync.register_table('products', {id}, conflict_policy => 'database_wins')"
    ));
    e2e::wait_for("the sync to go on", "60".to_owned(), || sheet.cell("C2"));
}

#[test]
fn sync_waits_for_a_worker_that_has_only_just_a_reason_to_start() {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES (1, 'Bolt')");
    let book = world.google.spreadsheet("Products");
    for round in 1..=6 {
        world.register_at("products", book.id(), "");
        world
            .db
            .run("SELECT * FROM sheet_sync.sync('products', '120 s')");
        let sheet = book.wait_for_tab("products");
        assert_eq!(sheet.cell_of("1", 1), "Bolt", "round {round}");
        world.db.run("DROP EXTENSION sheet_sync CASCADE");
        world.create_extension();
    }
}

#[test]
fn drop_extension_cascades_to_nothing_of_the_users() {
    let (mut world, _sheet) = World::with_products();
    world.db.run("DROP EXTENSION sheet_sync CASCADE");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
}

#[test]
fn drop_database_by_force_leaves_the_cluster_quiet() {
    let (mut world, _sheet) = World::with_products();
    let held = caught_in_a_request(&mut world);
    let mut other = world.cluster.connect("postgres");
    other.run("SET statement_timeout = '20 s'");
    other.run("DROP DATABASE e2e WITH (FORCE)");
    held.release();
    e2e::wait_for("the worker to end", 0, || {
        other.count("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'sheet_sync%' AND datname = 'e2e'")
    });
    // A launcher that tries again and again to start a worker in it would fill the log.
    let mut fresh = world.another_database("fresh");
    fresh.run("CREATE TABLE t (id int PRIMARY KEY)");
    let sheet = world.google.spreadsheet("Fresh").empty_tab("t");
    fresh.run(&format!(
        "SELECT sheet_sync.register_table('t', {})",
        e2e::literal(sheet.id())
    ));
    sheet.shows("id");
    let fatal = world
        .cluster
        .log()
        .matches("database \"e2e\" does not exist")
        .count();
    assert!(
        fatal <= 1,
        "{fatal} attempts to start a worker in a database that is gone"
    );
}

#[test]
fn a_table_may_be_renamed_and_moved_while_it_syncs() {
    let (mut world, sheet) = World::with_products();
    world.db.run("ALTER TABLE products RENAME TO goods; CREATE SCHEMA shop; ALTER TABLE goods SET SCHEMA shop");
    world
        .db
        .run("UPDATE shop.goods SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    sheet.set("C3", "20");
    world.table_shows(
        "shop.goods",
        "id | name | price\n 1 | Bolt | 10\n 2 | Nut | 20\n 3 | Gear | 3",
    );
}

#[test]
fn a_mapped_column_that_is_dropped_leaves_its_column_in_the_sheet_alone() {
    let (mut world, sheet) = World::with_products();
    world.db.run("ALTER TABLE products DROP COLUMN name");
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    sheet.set("C3", "20");
    world.table_shows("products", "id | price\n 1 | 10\n 2 | 20\n 3 | 3");
}

#[test]
fn a_column_that_is_added_joins_and_one_that_is_renamed_goes_on() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("ALTER TABLE products ADD COLUMN colour text DEFAULT 'grey'");
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price | colour\n 1 | Bolt | 10 | grey\n 2 | Nut | 2 | grey\n 3 | Gear | 3 | grey");
    sheet.set("D2", "red");
    world.table_shows("products", "id | colour\n 1 | red\n 2 | grey\n 3 | grey");
}

#[test]
fn a_dump_restored_elsewhere_holds_the_mapping_and_no_secret() {
    let (mut world, _sheet) = World::with_products();
    let dump = world.dump();
    assert!(
        dump.contains("COPY sheet_sync._dumped_mapping "),
        "the configuration is in the dump"
    );
    assert!(!dump.contains("PRIVATE KEY"), "a credential is in the dump");
    world.db.run("CREATE DATABASE copy");
    world.restore("copy", &dump);
    let mut copy = world.cluster.connect("copy");
    assert_eq!(
        copy.one("SELECT table_name FROM sheet_sync.mapping"),
        "products"
    );
    assert_eq!(copy.count("SELECT count(*) FROM products"), 3);
}
