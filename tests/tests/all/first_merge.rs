//! The first merge of a large table: how far it has come can be seen, and when it is killed it goes
//! on where it was.

use e2e::{Book, When, World};
use std::thread;

/// As small as may be: about 360 rows go into one request, and all of them into about fourteen.
const REQUEST_BYTES: usize = 50_000;
const ROWS: i64 = 5_000;

/// A table, and a spreadsheet that has nothing of it yet.
fn readings() -> (World, Book) {
    let mut world =
        World::configured(&[("sheet_sync.max_request_bytes", &REQUEST_BYTES.to_string())]);
    world.db.run(&format!(
        "CREATE TABLE readings (id int PRIMARY KEY, value int);
         INSERT INTO readings SELECT n, n * n % 1009 FROM generate_series(1, {ROWS}) n"
    ));
    let book = world.google.spreadsheet("Readings");
    (world, book)
}

fn is_merged(world: &mut World) -> bool {
    world.db.one("SELECT state FROM sheet_sync.mapping") == "active"
}

#[test]
fn progress_rises_chunk_by_chunk_and_is_empty_afterwards() {
    let (mut world, book) = readings();
    let mut held = world.google.hold(1, When::Before);
    world.register_at("readings", book.id(), "");
    let mut seen = Vec::new();
    loop {
        held.wait();
        if is_merged(&mut world) {
            break;
        }
        let shown = "SELECT format('%s of %s', rows_done, rows_total) FROM sheet_sync.progress";
        seen.extend(world.db.maybe(shown));
        // The next request waits too: nothing goes on unseen.
        let next = world.google.hold(1, When::Before);
        held.release();
        held = next;
    }
    held.release();
    // Before the rows are counted.
    seen.retain(|shown| shown != "0 of 0");
    seen.dedup();
    let done = |shown: &String| {
        shown
            .strip_suffix(" of 5000")
            .and_then(|rows| rows.parse().ok())
    };
    let done: Vec<i64> = seen
        .iter()
        .map(|shown| done(shown).expect("rows of 5000"))
        .collect();
    assert!(done.is_sorted(), "{done:?}");
    // A batch is recorded while the next one is on its way, so a look at that finds it or does not,
    // and the look after a miss finds two. More than two never become visible between one request
    // and the next.
    let steps = done.iter().zip(std::iter::once(&0).chain(&done));
    let largest = steps.map(|(after, before)| after - before).max();
    assert!(largest < Some(ROWS / 5), "{done:?}");
    let half_way = done.iter().filter(|rows| (1..ROWS).contains(*rows));
    assert!(half_way.count() >= 4, "{done:?}");
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.progress"),
        0
    );
}

#[test]
fn registering_waits_for_nobody_and_sync_waits_for_the_first_merge() {
    let (mut world, book) = readings();
    let held = world.google.hold(1, When::Before);
    world.db.run("SET statement_timeout = '60 s'");
    world.register_at("readings", book.id(), "");
    held.wait();
    let mut caller = world.connect();
    let waiting = std::thread::spawn(move || {
        caller.run("SELECT * FROM sheet_sync.sync('readings', timeout => '10 min')");
    });
    world.shows(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT * FROM sheet_sync.sync(%'",
        "1",
    );
    held.release();
    waiting.join().expect("the call ends");
    assert!(is_merged(&mut world));
    let sheet = book.wait_for_tab("readings");
    assert_eq!(world.differences("readings", &sheet), Ok(()));
}

/// Rows on which both sides agree by now.
fn agreed(world: &mut World) -> i64 {
    world.db.count(
        "SELECT count(*) FROM sheet_sync._base_row JOIN sheet_sync._progress USING (mapping_id) \
         WHERE sheet_hash IS NOT NULL AND (batch = ANY (inserting)) IS NOT TRUE",
    )
}

/// Kills whenever a further chunk is recorded, with the request after it on its way.
fn killed_at_every_chunk(when: When, mut kill: impl FnMut(&mut World)) {
    let (mut world, book) = readings();
    let mut held = world.google.hold(1, when);
    world.register_at("readings", book.id(), "");
    let (mut before, mut kills) = (0, 0);
    loop {
        held.wait();
        if is_merged(&mut world) {
            break;
        }
        let recorded = agreed(&mut world);
        assert!(
            recorded >= before,
            "{before} rows were recorded, and now {recorded}"
        );
        let next = world.google.hold(1, when);
        if recorded > before {
            kill(&mut world);
            kills += 1;
            assert_eq!(agreed(&mut world), recorded);
        }
        before = recorded;
        held.release();
        held = next;
    }
    held.release();
    // What a process had under way when it was killed is recorded by the next one in a single step:
    // about three batches.
    assert!(kills >= 3, "killed {kills} times only");
    world.both_equal("readings", &book.wait_for_tab("readings"));
    world.shows(
        "SELECT count(*) FROM sheet_sync.history GROUP BY key HAVING count(*) > 1",
        "",
    );
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn the_worker_killed_before_a_request_goes_on_where_it_was() {
    killed_at_every_chunk(When::Before, World::kill_worker);
}

#[test]
fn the_worker_killed_before_an_answer_goes_on_where_it_was() {
    killed_at_every_chunk(When::After, World::kill_worker);
}

#[test]
fn the_server_killed_goes_on_where_it_was() {
    killed_at_every_chunk(When::After, |world| {
        world.cluster.kill();
        world.cluster.start_again();
        world.reconnect();
    });
}

#[test]
fn batches_that_never_arrived_do_not_pile_up() {
    let (mut world, book) = readings();
    world.register_at("readings", book.id(), "");
    let sheet = book.wait_for_tab("readings");
    world.both_equal("readings", &sheet);
    world.db.run(
        "UPDATE sheet_sync._progress SET inserting = ARRAY(SELECT n || ':0' FROM pg_catalog.generate_series(1, 200) n);
         UPDATE sheet_sync._base_row SET batch = '7:0' WHERE key = '{7}';
         INSERT INTO readings VALUES (0, 0)",
    );
    world.both_equal("readings", &sheet);
    world.shows("SELECT inserting FROM sheet_sync._progress", "{7:0}");
    // A row whose batch may yet arrive is not forgotten by resync() either.
    world.db.run("BEGIN; SELECT sheet_sync.resync('readings')");
    world.shows("SELECT key FROM sheet_sync._base_row", "{7}");
    world.db.run("ROLLBACK");
}

/// The worker announces a batch and stores its row in one transaction, which ends while resync() is
/// at work.
#[test]
fn resync_forgets_no_row_whose_batch_is_announced_in_that_very_moment() {
    let (mut world, book) = readings();
    world.register_at("readings", book.id(), "");
    let sheet = book.wait_for_tab("readings");
    world.both_equal("readings", &sheet);
    world.pause("readings");
    let mut worker = world.connect();
    worker.run(
        "BEGIN;
         UPDATE sheet_sync._progress SET number = number + 1, inserting = '{7:0}';
         UPDATE sheet_sync._base_row SET batch = '7:0' WHERE key = '{7}'",
    );
    let mut caller = world.connect();
    let caller = thread::spawn(move || caller.run("SELECT sheet_sync.resync('readings')"));
    world.shows(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%resync%' AND wait_event_type = 'Lock'",
        "1",
    );
    worker.run("COMMIT");
    caller.join().expect("resync() ends");
    world.shows("SELECT key FROM sheet_sync._base_row", "{7}");
}

#[test]
fn what_a_trigger_makes_of_a_merged_value_goes_back_and_is_no_conflict() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text);
         INSERT INTO parts VALUES (1, 'BOLT');
         CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name = upper(NEW.name); RETURN NEW; END';
         CREATE TRIGGER shout BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION shout()",
    );
    let book = world.google.spreadsheet("Parts");
    let sheet = book.tab("parts", "id | name\n 1 | nut");
    world.register("parts", &sheet, "conflict_policy => 'sheet_wins'");
    // The row is looked at again in the cycle in which both sides agreed on it for the first time.
    sheet.shows("id | name\n 1 | NUT");
    world.shows("SELECT name FROM parts", "NUT");
    world.shows(
        "SELECT database_value, sheet_value, winner FROM sheet_sync.conflict",
        "BOLT | \"nut\" | sheet",
    );
}
