//! Who serves which database, and since when: launcher and workers through whatever becomes of
//! databases, extension and server.

use e2e::{Cluster, Db, Kind, Options, When, World, literal, wait_for, wait_until};
use std::time::{Duration, Instant};

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
        let ended = Instant::now();
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
    let found = standby
        .db
        .table("SELECT \"check\", hint FROM sheet_sync.doctor() WHERE NOT ok");
    assert_eq!(found, [["worker".to_owned(), hint]]);
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
    let found = db.table("SELECT \"check\", hint FROM sheet_sync.doctor() WHERE NOT ok");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0][1].contains("shared_preload_libraries"),
        "{found:?}"
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
    for hint in [
        "SELECT hint FROM sheet_sync.status",
        "SELECT hint FROM sheet_sync.doctor() WHERE NOT ok",
    ] {
        let hint = second.one(hint);
        assert!(hint.contains("max_worker_processes"), "{hint}");
    }
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

/// Of this server's log the seconds of the day at which the first line says this.
fn said_at(log: &str, words: &str) -> f64 {
    let line = log.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no line with {words:?} in\n{log}"));
    let clock = line.split(' ').nth(1).unwrap_or_default().split(':');
    clock.fold(0.0, |before, part| {
        before * 60.0 + part.parse::<f64>().expect("a time of day")
    })
}

/// One helper's request hangs, and the worker itself is in a statement that waits for a lock, both
/// without an end.
#[test]
fn the_worker_ends_at_once_when_the_server_stops_whatever_it_waits_for() {
    let mut world = World::configured(&[
        ("sheet_sync.http_timeout_ms", "600000"),
        ("sheet_sync.statement_timeout_ms", "600000"),
    ]);
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, v int); INSERT INTO parts VALUES (1, 1);
         CREATE TABLE waits (id int PRIMARY KEY, v int); INSERT INTO waits VALUES (1, 1);
         CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
             'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END';
         CREATE TRIGGER wait BEFORE UPDATE ON waits FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let parts = world.map("parts");
    let waits = world.map("waits");
    let worker = world.worker();
    let mut other = world.connect();
    other.run("SELECT pg_advisory_lock(7)");
    let held = world.google.gate().hold_on(Kind::Tag, When::Before);
    world.db.run("UPDATE parts SET v = 2");
    held.wait();
    waits.set("B2", "2");
    world.shows(
        &format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {worker}"),
        "advisory",
    );
    let log = world.cluster.log().len();
    world.cluster.stop();
    held.release();
    let log = world.cluster.log().split_off(log);
    let asked = said_at(&log, "received fast shutdown request");
    let ended = said_at(&log, "background worker \"sheet_sync worker\"");
    let took = (ended - asked).rem_euclid(86_400.0);
    assert!(took < 2.0, "the worker took {took} s");
    world.cluster.start_again();
    world.reconnect();
    parts.shows("id | v\n 1 | 2");
    world.shows("SELECT v FROM waits", "2");
}

/// Each setting that can be changed while the server runs. Those of keys and of the way to Google
/// are in `networks.rs`.
#[test]
fn settings_are_followed_without_a_restart() {
    let (mut world, sheet) = World::with_products();
    let worker = world.worker();
    fn set(world: &mut World, setting: &str, value: &str) {
        let value = literal(value);
        world
            .db
            .run(&format!("ALTER SYSTEM SET sheet_sync.{setting} = {value}"));
        world.db.run("SELECT pg_reload_conf()");
    }
    fn reset(world: &mut World, setting: &str) {
        world
            .db
            .run(&format!("ALTER SYSTEM RESET sheet_sync.{setting}"));
        world.db.run("SELECT pg_reload_conf()");
    }

    set(&mut world, "poll_interval_ms", "7000");
    world.shows("SELECT poll_interval FROM sheet_sync.status", "00:00:07");
    reset(&mut world, "poll_interval_ms");

    let quota = "SELECT detail FROM sheet_sync.doctor() WHERE \"check\" = 'quota'";
    set(&mut world, "reads_per_minute", "98765");
    set(&mut world, "writes_per_minute", "56789");
    wait_until("other limits", || match world.db.one(quota) {
        said if said.contains("98765 reads") && said.contains("56789 writes") => Ok(()),
        said => Err(said),
    });
    for limit in ["project_reads_per_minute", "project_writes_per_minute"] {
        set(&mut world, limit, "1");
        world.db.run("UPDATE products SET price = price + 1");
        world.shows(
            "SELECT rate_limited_until IS NOT NULL FROM sheet_sync.status",
            "t",
        );
        reset(&mut world, limit);
        world.both_equal("products", &sheet);
    }

    set(&mut world, "http_timeout_ms", "300");
    let held = world.google.gate().hold_on(Kind::Read, When::Before);
    world.shows(
        "SELECT split_part(reason, ':', 1) FROM sheet_sync.status",
        "timeout",
    );
    held.release();
    reset(&mut world, "http_timeout_ms");
    world.sync("products");

    set(&mut world, "max_request_bytes", "50000");
    set(&mut world, "history_retention", "0");
    world.sync("products");
    let before = world.google.gate().count();
    world.db.run("TRUNCATE sheet_sync.history");
    world
        .db
        .run("INSERT INTO products SELECT n, repeat('x', 500), n FROM generate_series(100, 499) n");
    world.both_equal("products", &sheet);
    let largest = world.google.gate().passed_since(before).into_iter();
    let largest = largest.map(|passed| passed.request_bytes).max();
    assert!(largest < Some(60_000), "{largest:?}");
    world.shows("SELECT count(*) FROM sheet_sync.history", "0");
    reset(&mut world, "max_request_bytes");
    reset(&mut world, "history_retention");

    // Read by the sessions that change a table.
    set(&mut world, "max_dirty_keys_per_transaction", "1");
    wait_for("the limit", "1".to_owned(), || {
        world
            .db
            .one("SHOW sheet_sync.max_dirty_keys_per_transaction")
    });
    let frozen = world.freeze_worker();
    world.db.run("UPDATE products SET price = 0 WHERE id < 4");
    world.shows("SELECT key FROM sheet_sync._dirty_key", "");
    drop(frozen);

    set(&mut world, "drive_endpoint", "http://127.0.0.1:1");
    let sharing =
        "SELECT split_part(detail, ' \"', 1) FROM sheet_sync.doctor() WHERE \"check\" = 'sharing'";
    let knows = |world: &mut World, may: &str| {
        let expected = format!("{} {may}", world.google.email());
        wait_for("what is known of sharing", expected, || {
            world.db.one(sharing)
        });
    };
    knows(&mut world, "may read");
    reset(&mut world, "drive_endpoint");
    knows(&mut world, "may edit");
    assert_eq!(world.worker(), worker, "no other process was needed");
}

/// Postgres starts all its processes anew then; the launcher need not wait for anything.
#[test]
fn one_kill_costs_a_moment() {
    let (mut world, sheet) = World::with_products();
    for (price, launcher) in [(7, true), (8, false), (9, true)] {
        let killed = Instant::now();
        match launcher {
            true => {
                let pid: i32 = world.db.one(LAUNCHER).parse().unwrap();
                // SAFETY: a plain system call; the server told us that this process is its
                // launcher.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                wait_until("its death to be noticed", || {
                    match world.db.attempt("SELECT 1") {
                        Ok(_) => Err("the old session still answers"),
                        Err(_) => Ok(()),
                    }
                });
                world.reconnect();
            }
            false => world.kill_worker(),
        }
        world.worker();
        // Whoever waits for something waits for half a minute.
        assert!(killed.elapsed() < Duration::from_secs(20));
        world
            .db
            .run(&format!("UPDATE products SET price = {price} WHERE id = 1"));
        sheet.shows(&format!(
            "id | name | price\n 1 | Bolt | {price}\n 2 | Nut | 2\n 3 | Gear | 3"
        ));
    }
}

/// Who renames a database has it locked until the transaction ends, and a worker that is being
/// started waits for that before anybody knows it.
#[test]
fn a_worker_that_takes_long_to_start_is_not_started_twice() {
    let (mut world, sheet) = World::with_products();
    let mut elsewhere = world.cluster.connect("postgres");
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND classid = 'pg_database'::regclass";
    world.db = world.cluster.connect("postgres");
    elsewhere.run("BEGIN; ALTER DATABASE e2e RENAME TO other");
    world.shows(waiting, "1");
    // The pauses between two tries would be a second, and two.
    let since = Instant::now();
    let mut others = Vec::new();
    while since.elapsed() < Duration::from_secs(4) {
        let name = format!("other{}", others.len());
        world.another_database(&name);
        others.push(name);
        let mut all: Vec<&str> = others.iter().map(String::as_str).collect();
        all.sort_unstable();
        wait_for_workers(&mut world.db, &all);
        assert_eq!(world.db.one(waiting), "1");
    }
    // A launcher that ends then has not told the next one of it.
    let launcher = world.db.one(LAUNCHER);
    world
        .db
        .run(&format!("SELECT pg_terminate_backend({launcher})"));
    world.shows(waiting, "2");
    elsewhere.run("ROLLBACK");
    world.reconnect();
    world.db.run("UPDATE products SET price = 7 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 7\n 2 | Nut | 2\n 3 | Gear | 3");
    world.shows(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'sheet_sync worker' AND datname = 'e2e'",
        "1",
    );
}

#[test]
fn among_many_databases_those_with_the_extension_are_served() {
    let mut world = World::configured(&[("max_worker_processes", "8")]);
    for number in 0..70 {
        world.db.run(&format!("CREATE DATABASE plain{number}"));
    }
    world.another_database("last");
    // What a half restored dump leaves: a schema of that name makes no extension.
    world
        .cluster
        .connect("plain0")
        .run("CREATE SCHEMA sheet_sync; CREATE TABLE sheet_sync.mapping (id int)");
    world.cluster.stop();
    world.cluster.start_again();
    world.reconnect();
    wait_for_workers(&mut world.db, &["e2e", "last"]);
    world
        .cluster
        .connect("plain69")
        .run("CREATE EXTENSION sheet_sync");
    wait_for_workers(&mut world.db, &["e2e", "last", "plain69"]);
    let log = world.cluster.log();
    let failed = log
        .lines()
        .find(|line| line.contains("] sheet_sync worker ") && line.contains("ERROR"));
    assert_eq!(failed, None);
}

/// Nobody counts a background worker's changes unless it tells them.
#[test]
fn autovacuum_hears_of_the_worker_s_changes() {
    let (mut world, _sheet) = World::with_products();
    world.shows(
        "SELECT n_tup_ins >= 3 FROM pg_stat_all_tables WHERE relid = 'sheet_sync._base_row'::regclass",
        "t",
    );
}

#[test]
fn a_database_that_cannot_be_dropped_keeps_its_worker() {
    let (mut world, sheet) = World::with_products();
    let mut elsewhere = world.cluster.connect("postgres");
    let refusal = elsewhere.refused("DROP DATABASE e2e");
    assert_eq!(refusal.sqlstate, "55006", "{refusal}");
    world.db.run("UPDATE products SET price = 7 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 7\n 2 | Nut | 2\n 3 | Gear | 3");
    // What needs it for itself gets it, and the worker comes back.
    world.db = world.cluster.connect("postgres");
    elsewhere.run("ALTER DATABASE e2e RENAME TO renamed");
    world.db = world.cluster.connect("renamed");
    world.db.run("UPDATE products SET price = 8 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 8\n 2 | Nut | 2\n 3 | Gear | 3");
}

/// No session ends such a transaction at its own commit.
#[test]
fn an_extension_in_a_prepared_transaction_is_served_once_that_is_committed() {
    let mut world = World::start();
    world.db.run("CREATE DATABASE other");
    let mut other = world.cluster.connect("other");
    for end in ["ROLLBACK", "COMMIT"] {
        other.run("BEGIN; CREATE EXTENSION sheet_sync; PREPARE TRANSACTION 'made'");
        // The launcher has looked into the database, and found nothing.
        world.another_database(&format!("after_{}", end.to_lowercase()));
        other.run(&format!("{end} PREPARED 'made'"));
    }
    wait_for_workers(
        &mut world.db,
        &["after_commit", "after_rollback", "e2e", "other"],
    );
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
