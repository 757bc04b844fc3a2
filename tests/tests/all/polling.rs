//! How often a sheet is read: as often as asked, and no more often than its size and the quota
//! allow; `status` shows it.

use e2e::World;
use serde_json::json;
use std::time::{Duration, Instant};

/// The interval in force, in milliseconds.
fn in_force(world: &mut World) -> i64 {
    world.db.count(
        "SELECT round(extract(epoch FROM poll_interval) * 1000)::bigint FROM sheet_sync.status",
    )
}

#[track_caller]
fn wait_for_interval(world: &mut World, what: &str, fits: impl Fn(i64) -> bool) {
    e2e::wait_until(what, || match in_force(world) {
        interval if fits(interval) => Ok(()),
        interval => Err(interval),
    });
}

/// Reads of the sheet at the gate; Drive is asked for the bin once a minute besides.
fn reads(world: &World) -> usize {
    let passed = world.google.gate().passed();
    let of_the_sheet = passed
        .iter()
        .filter(|one| one.path.contains("/v4/") && !one.is_write());
    of_the_sheet.count()
}

#[test]
fn a_sheet_that_takes_long_to_read_is_read_less_often() {
    let (mut world, sheet) = World::with_products();
    world.google.set_options(json!({"latency_ms": 800}));
    // A read takes at least that long, and four times as long lies between two.
    const BETWEEN: Duration = Duration::from_millis(3_200);
    let slow = BETWEEN.as_millis() as i64;
    wait_for_interval(&mut world, "a slower pace", |interval| interval >= slow);
    let (before, looked) = (reads(&world), Instant::now());
    std::thread::sleep(BETWEEN * 2);
    let most = 1 + looked.elapsed().as_millis() / BETWEEN.as_millis();
    let reads_meanwhile = reads(&world) - before;
    assert!(
        reads_meanwhile as u128 <= most,
        "{reads_meanwhile} reads of a slow sheet, {most} at most"
    );
    sheet.set("B2", "Screw");
    world.shows("SELECT name FROM products WHERE id = 1", "Screw");
    world.google.set_options(json!({"latency_ms": 0}));
    wait_for_interval(&mut world, "a quicker pace", |interval| interval < slow);
    // What the mapping itself asks for holds for it.
    world
        .db
        .run("UPDATE sheet_sync.mapping SET poll_interval = '1 hour'");
    wait_for_interval(&mut world, "its own interval", |interval| {
        interval == 3_600_000
    });
    // The first cycle under the new options reads the sheet, and then nothing does.
    world.sync("products");
    let before = reads(&world);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(reads(&world), before);
    // A change in the table waits for no interval.
    world
        .db
        .run("UPDATE products SET name = 'Bolt' WHERE id = 1");
    e2e::wait_for("the change", "Bolt".to_owned(), || sheet.cell("B2"));
    // Nor does a call.
    sheet.set("B2", "Nail");
    world.sync("products");
    assert_eq!(
        world.db.one("SELECT name FROM products WHERE id = 1"),
        "Nail"
    );
}

#[test]
fn polling_leaves_half_of_the_quota_for_everything_else() {
    let mut world = World::configured(&[("sheet_sync.reads_per_minute", "120")]);
    for table in ["one", "two"] {
        world
            .db
            .run(&format!("CREATE TABLE {table} (id int PRIMARY KEY)"));
        world.map(table);
    }
    // Two mappings share 60 reads a minute: two seconds, and more only where a read itself takes
    // long.
    e2e::wait_until("both intervals", || {
        let intervals = "SELECT count(*) FROM sheet_sync.status WHERE poll_interval >= '2 s'";
        match world.db.count(intervals) {
            2 => Ok(()),
            others => Err(others),
        }
    });
}

#[test]
fn a_sheet_where_nothing_happens_is_read_less_often_until_something_does() {
    let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "2000")]);
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts VALUES (1, 'Bolt')",
    );
    let sheet = world.map("parts");
    sheet.shows("id | name\n 1 | Bolt");
    wait_for_interval(&mut world, "the interval asked for", |interval| {
        interval == 2_000
    });
    // A minute without a change goes by first.
    wait_for_interval(&mut world, "a slower pace", |interval| interval > 2_200);
    sheet.set("B2", "Nut");
    world.shows("SELECT name FROM parts", "Nut");
    wait_for_interval(&mut world, "the first pace again", |interval| {
        interval == 2_000
    });
}

/// A database that is only looked at ages no faster for it.
#[test]
fn looking_takes_no_transaction_ids() {
    let mut world = World::configured(&[("autovacuum", "off")]);
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts VALUES (1, 'Bolt')",
    );
    let sheet = world.map("parts");
    world.both_equal("parts", &sheet);
    world.quiet();
    let next = "SELECT pg_snapshot_xmax(pg_current_snapshot())";
    let before = world.db.one(next);
    let reads = world.google.reads();
    e2e::wait_until("twenty readings", || match world.google.reads() {
        seen if seen >= reads + 20 => Ok(()),
        seen => Err(seen - reads),
    });
    assert_eq!(world.db.one(next), before);
}
