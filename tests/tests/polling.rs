//! How often a sheet is read: as often as asked, and no more often than its size and the quota allow; `status` shows it.

use e2e::World;
use serde_json::json;
use std::time::Duration;

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

/// Reads at the gate while so many milliseconds pass.
fn reads_during(world: &World, milliseconds: u64) -> usize {
    let before = world.google.reads();
    std::thread::sleep(Duration::from_millis(milliseconds));
    world.google.reads() - before
}

#[test]
fn a_sheet_that_takes_long_to_read_is_read_less_often() {
    let (mut world, sheet) = World::with_products();
    wait_for_interval(&mut world, "the interval asked for", |interval| {
        interval < 300
    });
    world.google.set_options(json!({"latency_ms": 400}));
    // A read takes at least that long, and four times as long lies between two.
    wait_for_interval(&mut world, "a slower pace", |interval| interval >= 1_600);
    let reads = reads_during(&world, 2_000);
    assert!(reads <= 2, "{reads} reads of a slow sheet in 2 s");
    sheet.set("B2", "Screw");
    world.shows("SELECT name FROM products WHERE id = 1", "Screw");
    world.google.set_options(json!({"latency_ms": 0}));
    wait_for_interval(&mut world, "the interval asked for", |interval| {
        interval < 300
    });
    // What the mapping itself asks for holds for it.
    world
        .db
        .run("UPDATE sheet_sync.mapping SET poll_interval = '1 hour'");
    wait_for_interval(&mut world, "its own interval", |interval| {
        interval == 3_600_000
    });
    // The first cycle under the new options reads the sheet, and then nothing does.
    world.db.run("SELECT * FROM sheet_sync.sync('products')");
    assert_eq!(reads_during(&world, 1_000), 0);
    // A change in the table waits for no interval.
    world
        .db
        .run("UPDATE products SET name = 'Bolt' WHERE id = 1");
    e2e::wait_for("the change", "Bolt".to_owned(), || sheet.cell("B2"));
    // Nor does a call.
    sheet.set("B2", "Nail");
    world.db.run("SELECT * FROM sheet_sync.sync('products')");
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
    // Two mappings share 60 reads a minute.
    e2e::wait_for(
        "both intervals",
        vec![vec!["00:00:02".to_owned()]; 2],
        || {
            world
                .db
                .table("SELECT poll_interval FROM sheet_sync.status")
        },
    );
}
