//! While somebody holds a snapshot (a forgotten `BEGIN`, a transaction that was prepared, a
//! replication slot), every version of every line stays: what the worker does costs the same after
//! many cycles as after the first. It is not in the way of anybody's work on the tables, and where
//! nothing happens it does next to nothing.

use e2e::{Db, Sheet, When, World};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

/// A session that sees the database as it is now, for as long as it is there.
fn horizon(world: &World) -> Db {
    let mut holder = world.connect();
    holder.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM parts LIMIT 1");
    holder
}

/// A cycle for each of these rows: its change has arrived in the sheet before the next one is made.
fn cycles(world: &mut World, sheet: &Sheet, rows: Range<usize>) {
    for row in rows {
        world.db.run(&format!(
            "UPDATE parts SET stock = stock + 1000 WHERE id = {row}"
        ));
        arrives(sheet, row);
    }
}

#[track_caller]
fn arrives(sheet: &Sheet, row: usize) {
    let changed = (row + 1000).to_string();
    e2e::wait_for("the change", changed, || {
        sheet.cell(&format!("C{}", row + 1))
    });
}

/// Of each of our tables how often lines were looked for so far, and how many pages and entries of
/// indexes were visited to find them.
fn looks(world: &mut World) -> BTreeMap<String, [f64; 2]> {
    let rows = world.db.table(
        "SELECT relname, seq_scan + COALESCE(idx_scan, 0), heap_blks_read + heap_blks_hit + COALESCE(idx_blks_read + idx_blks_hit, 0) \
                + (SELECT COALESCE(sum(i.idx_tup_read), 0) FROM pg_stat_user_indexes i WHERE i.relid = t.relid) \
         FROM pg_stat_user_tables t JOIN pg_statio_user_tables USING (relid, schemaname, relname) WHERE schemaname = 'sheet_sync'",
    );
    let number = |text: &String| text.parse().expect("a number");
    rows.iter()
        .map(|row| (row[0].clone(), [number(&row[1]), number(&row[2])]))
        .collect()
}

/// How many of them a look visits, on average, while `act` goes on.
fn visits_per_look(world: &mut World, act: impl FnOnce(&mut World)) -> BTreeMap<String, f64> {
    let before = looks(world);
    act(world);
    let after = looks(world);
    let since = |(table, [looks, visits]): (&String, &[f64; 2])| {
        let [looks_before, visits_before] = before.get(table)?;
        let looks = looks - looks_before;
        (looks > 0.0).then(|| (table.clone(), (visits - visits_before) / looks))
    };
    after.iter().filter_map(since).collect()
}

/// A hundred and fifty cycles lie between two measurements, each of which leaves several versions
/// of some lines. The indexes may get another level, and that is all.
fn costs_stay_as_they_are(world: &mut World, sheet: &Sheet) {
    cycles(world, sheet, 1..10);
    let first = visits_per_look(world, |world| cycles(world, sheet, 10..30));
    cycles(world, sheet, 30..180);
    let last = visits_per_look(world, |world| cycles(world, sheet, 180..200));
    for table in ["_cycle", "_progress", "_writer", "_dirty_key", "mapping"] {
        let visits = |of: &BTreeMap<String, f64>| of.get(table).copied().unwrap_or(0.0);
        assert!(
            visits(&last) <= visits(&first) + 5.0,
            "{table}: {} visits a look, {} at first",
            visits(&last),
            visits(&first)
        );
    }
}

#[test]
fn a_cycle_costs_the_same_after_many_others_while_a_snapshot_is_held() {
    let (mut world, sheet) = World::with_parts(250);
    let _holder = horizon(&world);
    costs_stay_as_they_are(&mut world, &sheet);
}

/// Its keys come after those of all the transactions that began later, and are not overlooked.
#[test]
fn a_transaction_stays_prepared_while_many_others_are_synced() {
    let (mut world, sheet) =
        World::configured_with_parts(&[("max_prepared_transactions", "1")], 250);
    world.db.run(
        "BEGIN; UPDATE parts SET stock = stock + 1000 WHERE id IN (249, 250); PREPARE TRANSACTION 'later'",
    );
    costs_stay_as_they_are(&mut world, &sheet);
    world.db.run("COMMIT PREPARED 'later'");
    arrives(&sheet, 249);
    arrives(&sheet, 250);
    world.both_equal("parts", &sheet);
    world.shows("SELECT count(*) FROM sheet_sync._dirty_key", "0");
}

/// What is tried again every second leaves no version of the mapping's line each time.
#[test]
fn waiting_for_a_locked_table_changes_the_state_once() {
    let (mut world, sheet) = World::with_parts(3);
    let mut holder = world.connect();
    holder.run("BEGIN; LOCK TABLE parts IN ACCESS EXCLUSIVE MODE");
    sheet.set("C2", "7");
    let state = "SELECT reason LIKE 'locked: %', retry_at IS NOT NULL FROM sheet_sync.mapping";
    world.shows(state, "t | t");
    let version = "SELECT ctid, retry_at FROM sheet_sync.mapping";
    let stored = world.db.one(version);
    let next = "SELECT retry_at FROM sheet_sync.status";
    for _ in 0..3 {
        let before = world.db.one(next);
        e2e::wait_until("another try", || match world.db.one(next) {
            seen if seen != before => Ok(()),
            seen => Err(seen),
        });
    }
    assert_eq!(world.db.one(version), stored);
    holder.run("COMMIT");
    world.shows("SELECT stock FROM parts WHERE id = 1", "7");
    world.shows(
        "SELECT state, reason, retry_at FROM sheet_sync.status",
        "active | | ",
    );
}

/// The processor's time that a process has taken so far, in ticks of a hundredth of a second.
fn ticks(process: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    // Behind the program's name, which may have blanks in it.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let times = fields.skip(11).take(2);
    times
        .map(|time| time.parse::<u64>().expect("a number"))
        .sum()
}

/// Readings come every tenth of a second here, and at most every three seconds in earnest.
#[test]
fn a_look_at_an_idle_mapping_takes_next_to_no_time_of_the_processor() {
    let (mut world, _sheet) = World::with_parts(100);
    world.quiet();
    let worker = world.worker();
    let (before, reads) = (ticks(worker), world.google.reads());
    e2e::wait_until("fifty readings", || match world.google.reads() - reads {
        50.. => Ok(()),
        seen => Err(seen),
    });
    let looks = (world.google.reads() - reads) as u64;
    let taken = ticks(worker) - before;
    assert!(taken <= 5 * looks, "{taken} ticks for {looks} looks");
}

/// Google does not answer: nobody else waits for it, neither who works on the table nor who looks
/// after ours.
#[test]
fn nobody_waits_for_a_worker_whose_request_hangs() {
    let (mut world, sheet) = World::with_parts(3);
    world.quiet();
    let held = world.google.hold(1, When::Before);
    world.db.run("UPDATE parts SET stock = 7 WHERE id = 1");
    held.wait();
    world.db.run("SET lock_timeout = '20 s'");
    for statement in [
        "ALTER TABLE parts ADD COLUMN extra int",
        "ALTER TABLE parts ALTER COLUMN extra TYPE bigint",
        "CREATE INDEX CONCURRENTLY by_name ON parts (name)",
        "REINDEX INDEX CONCURRENTLY by_name",
        "REINDEX TABLE parts",
        "CLUSTER parts USING parts_pkey",
        "VACUUM FULL parts",
        "ALTER TABLE parts DROP COLUMN extra",
        "VACUUM FULL sheet_sync._dirty_key, sheet_sync._progress, sheet_sync._cycle, sheet_sync._base_row, sheet_sync.mapping, sheet_sync.history",
        "REINDEX TABLE sheet_sync._dirty_key",
        "TRUNCATE sheet_sync.history",
    ] {
        world.db.run(statement);
    }
    world.shows(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'sheet_sync%' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)",
        "0",
    );
    held.release();
    world.both_equal("parts", &sheet);
    world.shows("SELECT state, reason FROM sheet_sync.status", "active | ");
}
