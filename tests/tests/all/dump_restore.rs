//! Dump, restore, upgrade and publications: who may dump what, what a restore finds again, and that
//! no key travels.

use e2e::{Db, World, literal, stopped, wait_until};

/// Two tables of alice's, both mapped.
fn of_alice() -> World {
    let (mut world, _sheet) = World::with_products();
    world.db.run(
        "CREATE ROLE alice LOGIN; ALTER TABLE products OWNER TO alice;
         SELECT sheet_sync.resume('products');
         CREATE TABLE parts (id int PRIMARY KEY, unused int, name text);
         ALTER TABLE parts DROP COLUMN unused, OWNER TO alice",
    );
    world.merged("products");
    world.map("parts");
    world
}

fn mappings(db: &mut Db) -> Vec<Vec<String>> {
    db.table("SELECT id, registered_as, table_name, run_as FROM sheet_sync.mapping ORDER BY id")
}

const BOTH: [[&str; 4]; 2] = [
    ["1", "public.products", "products", "alice"],
    ["2", "public.parts", "parts", "alice"],
];

/// Waits until each mapping of a copy has stopped because it is one.
fn stands_still(copy: &mut Db) {
    for table in ["products", "parts"] {
        stopped(copy, table, "copied_database");
    }
    assert_eq!(
        copy.table("SELECT * FROM sheet_sync._orphaned_triggers()"),
        Vec::<Vec<String>>::new()
    );
}

#[test]
fn every_role_that_may_dump_the_database_can() {
    let mut world = of_alice();
    world.db.run(
        "CREATE ROLE keeper LOGIN; ALTER DATABASE e2e OWNER TO keeper; GRANT SELECT ON products TO keeper;
         CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader",
    );
    let ways: [(&str, &[&str]); 3] = [
        ("reader", &[]),
        ("reader", &["--inserts"]),
        // What the owner of the database may not read it must leave out itself.
        ("keeper", &["--exclude-table=parts"]),
    ];
    for (number, (role, options)) in ways.into_iter().enumerate() {
        let dump = world
            .dump_as(role, options)
            .unwrap_or_else(|said| panic!("{role}: {said}"));
        assert!(!dump.contains("PRIVATE KEY"), "{role} has a key");
        let database = format!("copy{number}");
        world.db.run(&format!("CREATE DATABASE {database}"));
        world.restore(&database, &dump);
        let restored = mappings(&mut world.cluster.connect(&database));
        match role {
            "keeper" => assert_eq!(restored, BOTH[..1]),
            _ => assert_eq!(restored, BOTH),
        }
    }
    let dump = world
        .dump_as("alice", &["--table=products"])
        .unwrap_or_else(|said| panic!("{said}"));
    assert!(!dump.contains("_dumped_mapping"), "{dump}");
}

#[test]
fn who_reads_all_data_reads_no_key() {
    let mut world = World::start();
    world
        .db
        .run("CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader");
    let mut reader = world.connect_as("reader");
    assert_eq!(
        world
            .db
            .count("SELECT count(*) FROM sheet_sync._credential"),
        1
    );
    let tables = "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'sheet_sync' AND c.relkind = 'r' AND c.relname LIKE E'\\\\_%' AND NOT c.relrowsecurity";
    assert_eq!(reader.table(tables), [["sheet_sync._dumped_mapping"]]);
    assert_eq!(
        reader.count("SELECT count(*) FROM sheet_sync._credential"),
        0
    );
    let refused = reader.refused("SET row_security = off; SELECT * FROM sheet_sync._credential");
    assert_eq!(refused.sqlstate, "42501");
}

#[test]
fn a_restore_in_parallel_and_without_owners_holds_every_mapping() {
    let mut world = of_alice();
    world.db.run("CREATE DATABASE copy");
    world.carry_over("copy", &[], &["--no-owner", "--jobs=2", "--exit-on-error"]);
    let mut copy = world.with_credential("copy");
    assert_eq!(mappings(&mut copy), BOTH);
    stands_still(&mut copy);
    copy.run("SELECT sheet_sync.take_over('products', winner => 'database')");
    // The former owner's role is here, and the table is not its any more.
    let said = stopped(&mut copy, "products", "owner_changed");
    assert!(said.contains("resume"), "{said}");
    // New mappings get numbers of their own.
    let sheet = world.google.spreadsheet("Another");
    copy.run("CREATE TABLE later (id int PRIMARY KEY)");
    let id = copy.count(&format!(
        "SELECT sheet_sync.register_table('later', {})",
        literal(sheet.id())
    ));
    assert_eq!(id, 3);
}

#[test]
fn a_restore_without_the_roles_puts_whoever_restores_in_their_place() {
    let world = of_alice();
    let dump = world
        .dump_as("postgres", &["--no-owner", "--no-acl"])
        .unwrap_or_else(|said| panic!("{said}"));
    let mut elsewhere = world.neighbour();
    elsewhere.db.run("CREATE DATABASE copy");
    elsewhere.restore("copy", &dump);
    let mut copy = elsewhere.with_credential("copy");
    assert_eq!(
        mappings(&mut copy),
        BOTH.map(|[id, name, table, _]| [id, name, table, "postgres"])
    );
    stands_still(&mut copy);
}

#[test]
fn a_mapping_whose_table_is_not_restored_says_so_and_follows_it_later() {
    let mut world = of_alice();
    world.db.run("CREATE DATABASE copy");
    world.carry_over("copy", &["--exclude-table=parts"], &["--exit-on-error"]);
    let mut copy = world.with_credential("copy");
    stopped(&mut copy, "products", "copied_database");
    let said =
        copy.table("SELECT state, reason, hint FROM sheet_sync.status WHERE table_name IS NULL");
    assert_eq!(said.len(), 1);
    assert_eq!(said[0][0], "ended");
    assert!(
        said[0][1].starts_with("table_missing") && said[0][1].contains("public.parts"),
        "{said:?}"
    );
    let found = copy.table(
        "SELECT subject FROM sheet_sync.doctor() WHERE \"check\" = 'mapping' AND NOT ok AND detail LIKE '%table_missing%'",
    );
    assert_eq!(found, [["public.parts"]]);
    // The table comes later; what stands in the other columns' places has other numbers.
    copy.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); SELECT sheet_sync.follow_name(2)",
    );
    stopped(&mut copy, "parts", "copied_database");
    copy.run("SELECT sheet_sync.take_over('parts', winner => 'sheet')");
    wait_until("the merge", || {
        let state = copy.one("SELECT state FROM sheet_sync.status WHERE mapping_id = 2");
        if state == "active" {
            Ok(())
        } else {
            Err(state)
        }
    });
}

/// The library is there, and a key: nothing of the restore that is still to come may be done for
/// it.
#[test]
fn the_worker_is_not_in_the_way_of_a_restore() {
    let mut world = of_alice();
    world.db.run("CREATE DATABASE copy");
    world.carry_over("copy", &[], &["--section=pre-data", "--exit-on-error"]);
    let mut copy = world.with_credential("copy");
    world.carry_over("copy", &[], &["--section=data", "--exit-on-error"]);
    for table in ["products", "parts"] {
        stopped(&mut copy, table, "copied_database");
    }
    world.carry_over("copy", &[], &["--section=post-data", "--exit-on-error"]);
    stands_still(&mut copy);
    assert_eq!(mappings(&mut copy), BOTH);
}

#[test]
fn data_alone_brings_the_mappings_too() {
    let mut world = of_alice();
    for (database, options) in [
        ("plain", &["--data-only", "--exit-on-error"][..]),
        (
            "silent",
            &["--data-only", "--disable-triggers", "--exit-on-error"],
        ),
    ] {
        world.db.run(&format!("CREATE DATABASE {database}"));
        world.carry_over(database, &[], &["--schema-only", "--exit-on-error"]);
        let mut copy = world.with_credential(database);
        assert_eq!(copy.count("SELECT count(*) FROM sheet_sync.mapping"), 0);
        world.carry_over(database, &[], options);
        wait_until("the mappings", || {
            let seen = mappings(&mut copy);
            if seen == BOTH { Ok(()) } else { Err(seen) }
        });
        stands_still(&mut copy);
        assert_eq!(copy.count("SELECT count(*) FROM products"), 3);
    }
    // What is here already stays as it is.
    world.pause("products");
    world.db.run("TRUNCATE products");
    world.carry_over("e2e", &[], &["--data-only", "--exit-on-error"]);
    assert_eq!(mappings(&mut world.db), BOTH);
}

#[test]
fn a_trigger_without_its_mapping_is_reported() {
    let world = of_alice();
    let dump = world
        .dump_as("postgres", &["--table=products"])
        .unwrap_or_else(|said| panic!("{said}"));
    let mut copy = world.another_database("copy");
    world.restore("copy", &dump);
    copy.run("UPDATE products SET price = 0");
    assert_eq!(copy.count("SELECT count(*) FROM sheet_sync._dirty_key"), 0);
    let cures = copy.table("SELECT hint FROM sheet_sync.doctor() WHERE \"check\" = 'trigger'");
    assert_eq!(cures.len(), 3);
    for cure in cures {
        copy.run(&cure[0]);
    }
    let left = copy.count("SELECT count(*) FROM sheet_sync.doctor() WHERE \"check\" = 'trigger'");
    assert_eq!(left, 0);
}

#[test]
fn after_pg_upgrade_take_over_goes_on() {
    let (mut world, sheet) = World::with_products();
    world.quiet();
    world.cluster.stop();
    world.cluster.upgrade();
    world.cluster.start_again();
    world.reconnect();
    world.stopped("copied_database");
    world.db.run(
        "UPDATE products SET price = 10 WHERE id = 1; DELETE FROM products WHERE id = 2;
         SELECT sheet_sync.take_over('products')",
    );
    let now = "id | name | price\n 1 | Bolt | 10\n 3 | Gear | 3";
    sheet.shows(now);
    sheet.set("B2", "Screw");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 10\n 3 | Gear | 3",
    );
}

/// There is no later version yet; one that changes nothing stands in for it.
#[test]
fn alter_extension_update_leaves_everything_in_place() {
    let (mut world, sheet) = World::with_products();
    let script = e2e::share_directory().join("extension/sheet_sync--0.1.0--0.1.1-test.sql");
    std::fs::write(&script, "").expect("the private tree is ours");
    let updated = world
        .db
        .attempt("ALTER EXTENSION sheet_sync UPDATE TO '0.1.1-test'");
    let _ = std::fs::remove_file(&script);
    updated.unwrap_or_else(|said| panic!("{said}"));
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    sheet.set("B2", "Screw");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 10\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    world.shows("SELECT state FROM sheet_sync.status", "active");
}

#[test]
fn a_publication_for_all_tables_is_in_nobodys_way() {
    let (mut world, sheet) = World::with_products();
    let mut other = world.neighbour();
    other.db.run(
        "SELECT sheet_sync.drop_credential('default');
         CREATE TABLE products (id int PRIMARY KEY, name text, price numeric)",
    );
    world.db.run("CREATE PUBLICATION everything FOR ALL TABLES");
    let from = literal(&format!(
        "host=127.0.0.1 port={} user=postgres dbname=e2e",
        world.cluster.port()
    ));
    other.db.run(&format!(
        "CREATE SUBSCRIPTION everything CONNECTION {from} PUBLICATION everything"
    ));
    other.shows("SELECT count(*) FROM products", "3");
    // The key has been there all the time: encrypted, and what opens it stays here.
    other.shows("SELECT count(*) FROM sheet_sync._credential", "1");
    let published = other.db.table(
        "SELECT c.oid::regclass FROM pg_subscription_rel r JOIN pg_class c ON c.oid = r.srrelid",
    );
    assert!(published.contains(&vec!["sheet_sync._credential".to_owned()]));
    for table in published {
        let text = format!(
            "SELECT convert_to(t::text, 'UTF8') AS line FROM {} t",
            table[0]
        );
        let holds = format!(
            "SELECT count(*) FROM ({text}) l WHERE strpos(line::text, encode('PRIVATE KEY', 'hex')) > 0
             OR strpos(convert_from(line, 'UTF8'), encode('PRIVATE KEY', 'hex')) > 0"
        );
        assert_eq!(other.db.count(&holds), 0, "{table:?} holds a key");
    }
    let secrets = "SELECT count(*) FROM pg_publication_tables WHERE tablename = '_seal'";
    assert_eq!(world.db.count(secrets), 0);
    // Here all goes on.
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    let now = "id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3";
    sheet.shows(now);
    world.db.run("SELECT * FROM sheet_sync.preview('products')");
    let bad = world
        .db
        .table("SELECT subject, detail FROM sheet_sync.doctor() WHERE NOT ok");
    assert_eq!(bad, Vec::<Vec<String>>::new());
    // There nothing begins, and nothing of ours holds the subscription up.
    other.table_shows("products", now);
    let said = other.stopped("copied_database");
    assert!(said.contains("take_over"), "{said}");
    other.db.run("UPDATE products SET price = 0");
    world.db.run(
        "UPDATE products SET price = 20 WHERE id = 2; INSERT INTO products VALUES (4, 'Cog', 4)",
    );
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 20\n 3 | Gear | 3\n 4 | Cog | 4");
    other.shows(
        "SELECT price FROM products WHERE id IN (2, 4) ORDER BY id",
        "20\n 4",
    );
    other.shows(
        "SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats",
        "0",
    );
    assert_eq!(
        other
            .google
            .writes()
            .iter()
            .filter(|one| !one.is_token())
            .count(),
        0
    );
    other.db.run("DROP SUBSCRIPTION everything");
}

/// Of another version, or changed by hand: it is told, and nothing else waits for it.
#[test]
fn a_line_that_is_no_mapping_keeps_nothing_else_out() {
    let (mut world, sheet) = World::with_products();
    let bad = "INSERT INTO sheet_sync._dumped_mapping VALUES (9, '{\"id\": 9, \"table_name\": \"public.products\", \"state\": \"odd\"}')";
    world.db.run(bad);
    world.db.run(&format!(
        "BEGIN; ALTER TABLE sheet_sync._dumped_mapping DISABLE TRIGGER ALL; {bad};
         ALTER TABLE sheet_sync._dumped_mapping ENABLE ALWAYS TRIGGER take_line; COMMIT"
    ));
    world.shows("SELECT count(*) FROM sheet_sync._dumped_mapping", "0");
    let log = world.cluster.log();
    let told =
        "WARNING:  the mapping of table public.products to spreadsheet <NULL> is not restored";
    // By the session that put it in, and by the worker.
    assert_eq!(log.matches(told).count(), 2, "{log}");
    assert_eq!(world.db.count("SELECT count(*) FROM sheet_sync.mapping"), 1);
    world.db.run("UPDATE products SET price = 7 WHERE id = 1");
    world.both_equal("products", &sheet);
}
