//! Who serves which database, and since when: launcher and workers through whatever becomes of
//! databases, extension and server.

use e2e::{Cluster, Db, Options, World, wait_for, wait_until};
use std::time::Duration;

const WORKERS: &str =
    "SELECT datname FROM pg_stat_activity WHERE backend_type = 'sheet_sync worker' ORDER BY 1";
const LAUNCHER: &str =
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'sheet_sync launcher'";
const STATUS: &str = "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.status";

#[test]
fn the_extension_in_template1_is_in_nobodys_way() {
    let mut world = World::start();
    let mut template = world.cluster.connect("template1");
    template.run("CREATE EXTENSION sheet_sync");
    drop(template);
    for name in ["one", "two"] {
        world.db.run(&format!("CREATE DATABASE {name}"));
    }
    // Workers look into what was made, and stay where the extension is for use.
    world.shows(WORKERS, "e2e\n one\n two");
    let mut one = world.cluster.connect("one");
    one.run("DROP EXTENSION sheet_sync");
    world.shows(WORKERS, "e2e\n two");
    world.db.run("DROP DATABASE two");
    world.shows(WORKERS, "e2e");
}

#[test]
fn a_template_in_which_a_table_is_registered_is_served_and_can_be_copied() {
    let (mut world, sheet) = World::with_products();
    world
        .cluster
        .connect("postgres")
        .run("ALTER DATABASE e2e IS_TEMPLATE true");
    world.cluster.stop();
    world.cluster.start_again();
    world.reconnect();
    world.db.run("UPDATE products SET price = 7 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 7\n 2 | Nut | 2\n 3 | Gear | 3");
    // Nobody else may be connected to it then.
    world.db = world.cluster.connect("postgres");
    world.db.run("CREATE DATABASE copy TEMPLATE e2e");
    let mut copy = world.cluster.connect("copy");
    assert_eq!(copy.count("SELECT count(*) FROM products"), 3);
    world.reconnect();
    world.db.run("UPDATE products SET price = 8 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 8\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn databases_that_appear_without_create_extension_are_served() {
    let mut world = World::start();
    let mut original = world.another_database("original");
    wait_for_workers(&mut world.db, &["e2e", "original"]);
    original.run("SELECT 1");
    drop(original);
    world.db.run("CREATE DATABASE copy TEMPLATE original");
    wait_for_workers(&mut world.db, &["copy", "e2e", "original"]);
    world
        .db
        .run("ALTER DATABASE original ALLOW_CONNECTIONS false");
    world.cluster.stop();
    world.cluster.start_again();
    world.reconnect();
    wait_for_workers(&mut world.db, &["copy", "e2e"]);
    world
        .db
        .run("ALTER DATABASE original ALLOW_CONNECTIONS true");
    wait_for_workers(&mut world.db, &["copy", "e2e", "original"]);
}

/// Whoever is connected stays, the worker too.
#[test]
fn a_database_that_is_closed_and_opened_again_has_one_worker() {
    let (mut world, sheet) = World::with_products();
    let mut elsewhere = world.cluster.connect("postgres");
    let mut others = Vec::new();
    for (allowed, other) in [("false", "one"), ("true", "two")] {
        elsewhere.run(&format!("ALTER DATABASE e2e ALLOW_CONNECTIONS {allowed}"));
        // The launcher has looked when it serves this one.
        world.another_database(other);
        others.push(other);
        let mut expected = vec!["e2e"];
        expected.extend(&others);
        wait_for_workers(&mut world.db, &expected);
    }
    world.db.run("UPDATE products SET price = 7 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 7\n 2 | Nut | 2\n 3 | Gear | 3");
    assert_eq!(world.db.table(WORKERS).len(), 3);
}

#[test]
fn an_extension_that_is_rolled_back_and_one_that_stays() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("BEGIN; DROP EXTENSION sheet_sync CASCADE; ROLLBACK");
    world.db.run("UPDATE products SET price = 7 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 7\n 2 | Nut | 2\n 3 | Gear | 3");
    world.db.run("CREATE DATABASE other");
    let mut other = world.cluster.connect("other");
    other.run("BEGIN; CREATE EXTENSION sheet_sync; ROLLBACK");
    other.run("SELECT 1");
    other.run("CREATE EXTENSION sheet_sync");
    wait_for_workers(&mut world.db, &["e2e", "other"]);
}

/// A worker that was started by a launcher before tells nobody of its end but by us. Without that
/// it is missed for half a minute.
#[test]
fn launcher_and_worker_are_started_again_at_once() {
    let (mut world, sheet) = World::with_products();
    for price in ["7", "8"] {
        let launcher = world.db.one(LAUNCHER);
        world
            .db
            .run(&format!("SELECT pg_terminate_backend({launcher})"));
        wait_until("another launcher", || {
            match world.db.maybe(LAUNCHER).filter(|pid| *pid != launcher) {
                Some(_) => Ok(()),
                None => Err("none yet"),
            }
        });
        let ended = std::time::Instant::now();
        world.terminate_worker();
        world.worker();
        // A launcher that hears nothing of it looks after half a minute.
        assert!(ended.elapsed() < Duration::from_secs(20));
        world
            .db
            .run(&format!("UPDATE products SET price = {price} WHERE id = 1"));
        sheet.shows(&format!(
            "id | name | price\n 1 | Bolt | {price}\n 2 | Nut | 2\n 3 | Gear | 3"
        ));
    }
}

#[test]
fn a_standby_says_so_at_once_and_goes_on_when_it_is_promoted() {
    let (mut primary, sheet) = World::with_products();
    let mut standby = primary.standby();
    standby.db.run("SET statement_timeout = '1 min'");
    let refusal = standby
        .db
        .refused("SELECT * FROM sheet_sync.sync('products', timeout => '1 hour')");
    assert_eq!(refusal.sqlstate, "55000");
    assert!(refusal.message.contains("standby"), "{refusal}");
    standby.shows(STATUS, "stopped | no_worker");
    let hint = standby.db.one("SELECT hint FROM sheet_sync.status");
    assert!(hint.contains("promoted"), "{hint}");
    standby.promote(&mut primary);
    primary.cluster.kill();
    standby.db.run("UPDATE products SET price = 7 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 7\n 2 | Nut | 2\n 3 | Gear | 3");
    standby.shows("SELECT state FROM sheet_sync.status", "active");
}

#[test]
fn without_the_library_everything_says_so() {
    let cluster = Cluster::start(Options {
        settings: vec![("shared_preload_libraries".into(), String::new())],
        ..Options::temporary()
    });
    let mut db = cluster.connect("postgres");
    db.run("CREATE EXTENSION sheet_sync");
    wait_until("the warning in the log", || {
        match cluster.log().contains("WARNING:  sheet_sync is not loaded") {
            true => Ok(()),
            false => Err(cluster.log()),
        }
    });
    let checks = db.table("SELECT \"check\", ok, hint FROM sheet_sync.doctor()");
    assert_eq!(checks.len(), 1);
    assert!(
        checks[0][2].contains("shared_preload_libraries"),
        "{checks:?}"
    );
}

#[test]
fn where_slots_are_too_few_a_database_waits_and_says_so() {
    // One for the launcher, one for Postgres's own launcher of logical replication, one for a
    // worker.
    let mut world = World::configured(&[("max_worker_processes", "3")]);
    wait_for_workers(&mut world.db, &["e2e"]);
    let mut second = world.another_database("second");
    second.run("CREATE TABLE goods (id int PRIMARY KEY)");
    let book = world.google.spreadsheet("goods");
    book.share_with(world.google.email());
    second.run(&format!(
        "SELECT sheet_sync.register_table('goods', '{}')",
        book.id()
    ));
    wait_for("the state", "stopped | no_worker".to_owned(), || {
        second.table(STATUS)[0].join(" | ")
    });
    let hint = second.one("SELECT hint FROM sheet_sync.status");
    assert!(hint.contains("max_worker_processes"), "{hint}");
    wait_until("the log to say so", || {
        match world.cluster.log().contains("no free slot") {
            true => Ok(()),
            false => Err("not yet"),
        }
    });
    world.db.run("DROP EXTENSION sheet_sync");
    wait_for("the state", "active".to_owned(), || {
        second.one("SELECT state FROM sheet_sync.status")
    });
}

fn wait_for_workers(db: &mut Db, databases: &[&str]) {
    wait_for("the workers", databases.join(" "), || {
        db.table(WORKERS).concat().join(" ")
    });
}

/// To copy a database that is no template one must own it.
#[test]
fn whoever_may_not_copy_a_database_does_not_stop_its_worker() {
    let (mut world, _sheet) = World::with_products();
    let worker = world.worker();
    world.db.run("CREATE ROLE maker LOGIN CREATEDB");
    let mut maker = world.connect_as("maker");
    let refusal = maker.refused("CREATE DATABASE copy TEMPLATE e2e");
    assert_eq!(refusal.sqlstate, "42501", "{refusal}");
    assert_eq!(world.worker(), worker);
}
