//! What is changed in the table while nothing of it can be sent, for however long.

use e2e::{Fault, Kind, When, World};

const LINES: &str = "SELECT count(*) FROM sheet_sync._dirty_key";

/// More changes than are kept one by one, each in a transaction of its own.
fn change_often(world: &mut World) {
    world.db.run(
        "DO $$ BEGIN FOR n IN 1 .. 11000 LOOP UPDATE products SET price = n WHERE id = 1 + n % 2; COMMIT; END LOOP; END $$",
    );
}

fn is_bounded(world: &mut World) {
    e2e::wait_until("few lines", || match world.db.count(LINES) {
        few if few < 100 => Ok(()),
        many => Err(many),
    });
}

/// Of a row that changes all the time the last change counts. That a key was changed is not
/// forgotten: the row in the sheet keeps what people wrote beside it.
#[test]
fn what_changes_without_a_network_fills_no_disk() {
    let (mut world, sheet) = World::with_products();
    sheet.set("E4", "a remark");
    world.quiet();
    world.google.gate().close();
    world.db.run("UPDATE products SET id = 30 WHERE id = 3");
    change_often(&mut world);
    is_bounded(&mut world);
    world.google.gate().open();
    sheet.shows(
        "id | name | price\n 1 | Bolt | 11000\n 2 | Nut | 10999\n 30 | Gear | 3 | | a remark",
    );
    world.has_no_problem();
}

#[test]
fn what_changes_during_a_pause_fills_no_disk() {
    let (mut world, sheet) = World::with_products();
    world.db.run("SELECT sheet_sync.pause('products')");
    change_often(&mut world);
    world.db.run("DELETE FROM products WHERE id = 3");
    is_bounded(&mut world);
    world.db.run("SELECT sheet_sync.resume('products')");
    world.both_equal("products", &sheet);
    sheet.shows("id | name | price\n 1 | Bolt | 11000\n 2 | Nut | 10999");
}

/// So many tries, as an outage of an hour has with its pauses of up to a minute.
const TRIES: usize = 60;

/// Lines that the worker writes to the server's log, and those of its own tables that only grow.
fn left_behind(world: &mut World) -> Vec<i64> {
    let log = world.cluster.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("] sheet_sync worker "));
    let mut all = vec![lines.count() as i64];
    for table in ["problem", "conflict", "history", "_stop", "_finding"] {
        all.push(
            world
                .db
                .count(&format!("SELECT count(*) FROM sheet_sync.{table}")),
        );
    }
    all
}

/// Whoever calls has the worker try at once.
fn try_again(world: &mut World, so_often: usize) {
    let before = world.google.gate().count();
    while world.google.gate().count() < before + so_often {
        let _ = world
            .db
            .attempt("SELECT * FROM sheet_sync.sync('products', '20 ms')");
    }
}

/// There are a cell that the table does not take and a cell that both sides have changed meanwhile,
/// so that each try has something to say.
#[test]
fn a_long_outage_leaves_no_more_than_a_short_one() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "UPDATE sheet_sync.mapping SET conflict_policy = 'database_wins', notes_on_problems = false",
    );
    sheet.set("C4", "none");
    world.shows("SELECT key FROM sheet_sync.problem", "{3}");

    // Nothing gets through.
    world.google.fault(Fault::Lost(When::Before), usize::MAX);
    sheet.set("B2", "Screw");
    world
        .db
        .run("UPDATE products SET name = 'Rivet' WHERE id = 1");
    try_again(&mut world, 3);
    let left = left_behind(&mut world);
    try_again(&mut world, TRIES);
    assert_eq!(left_behind(&mut world), left);
    world.google.mend();
    e2e::wait_for("the winner", "Rivet".to_owned(), || sheet.cell("B2"));

    // What is read gets through, and nothing that is written.
    world.quiet();
    world
        .google
        .gate()
        .fault_on(Kind::Write, Fault::status(503), usize::MAX);
    let frozen = world.freeze_worker();
    sheet.set("B3", "Washer");
    world
        .db
        .run("UPDATE products SET name = 'Mother' WHERE id = 2");
    drop(frozen);
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "2");
    try_again(&mut world, TRIES);
    let left = left_behind(&mut world);
    try_again(&mut world, 2 * TRIES);
    assert_eq!(left_behind(&mut world), left);
    world.google.mend();
    e2e::wait_for("the winner", "Mother".to_owned(), || sheet.cell("B3"));
    sheet.set("C4", "3");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.both_equal("products", &sheet);
}
