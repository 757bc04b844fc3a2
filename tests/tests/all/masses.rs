//! Thousands of rows changed by one statement: in requests of bounded size, and killed anywhere on
//! the way.

use e2e::{Sheet, When, World};

const REQUEST_BYTES: usize = 50_000;

fn configured() -> World {
    World::configured(&[("sheet_sync.max_request_bytes", &REQUEST_BYTES.to_string())])
}

/// Texts of every length up to some thousands, of what takes one byte, several, or an escape.
#[test]
fn a_first_merge_sends_no_request_larger_than_allowed() {
    let mut world = configured();
    world.db.run(
        r#"CREATE TABLE notes (id int PRIMARY KEY, body text);
           INSERT INTO notes SELECT n, repeat((ARRAY['x', 'ü', '🙂', '"\', E'\n', E'\x01'])[n % 6 + 1], n * 37 % 2000)
           FROM generate_series(1, 600) n"#,
    );
    let sheet = world.map("notes");
    world.both_equal("notes", &sheet);
    let passed = world.google.gate().passed();
    let largest = passed.iter().max_by_key(|one| one.request_bytes);
    assert!(
        largest.is_some_and(|one| one.request_bytes <= REQUEST_BYTES),
        "{largest:?}"
    );
}

/// Rows that stand apart, of which each takes an anchor, an image and a request of its own.
#[test]
fn scattered_changes_and_deletions_send_no_request_larger_than_allowed() {
    let (mut world, sheet) = readings();
    let before = world.google.gate().passed().len();
    world
        .db
        .run("UPDATE readings SET value = -value WHERE id % 3 = 0");
    world.both_equal("readings", &sheet);
    world
        .db
        .run("UPDATE sheet_sync.mapping SET max_delete_percent = 100");
    world.db.run("DELETE FROM readings WHERE id % 4 = 0");
    world.both_equal("readings", &sheet);
    let passed = world.google.gate().passed();
    let largest = passed[before..].iter().max_by_key(|one| one.request_bytes);
    assert!(
        largest.is_some_and(|one| one.request_bytes <= REQUEST_BYTES),
        "{largest:?}"
    );
}

fn readings() -> (World, Sheet) {
    let mut world = configured();
    world.db.run(
        "CREATE TABLE readings (id int PRIMARY KEY, value int);
         INSERT INTO readings SELECT n, n FROM generate_series(1, 2000) n",
    );
    let sheet = world.map("readings");
    world.both_equal("readings", &sheet);
    (world, sheet)
}

/// Killed at the first request of a process, at the second of the next one, and so on until all is
/// done.
fn killed_at_every_request(when: When, mut kill: impl FnMut(&mut World)) {
    let (mut world, sheet) = readings();
    let mut held = world.google.hold(1, when);
    world.db.run("UPDATE readings SET value = value + 1000000");
    let mut kills = 0;
    loop {
        held.wait();
        if world.differences("readings", &sheet).is_ok() {
            break;
        }
        kill(&mut world);
        kills += 1;
        let next = world.google.hold(kills + 1, when);
        held.release();
        held = next;
    }
    held.release();
    assert!(kills >= 3, "killed {kills} times only");
    world.quiet();
    world.both_equal("readings", &sheet);
    world.shows(
        "SELECT key FROM sheet_sync.history WHERE operation = 'update' GROUP BY key HAVING count(*) > 1",
        "",
    );
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_mass_update_goes_on_after_the_worker_was_killed_before_any_request() {
    killed_at_every_request(When::Before, World::kill_worker);
}

#[test]
fn a_mass_update_goes_on_after_the_worker_was_killed_before_any_answer() {
    killed_at_every_request(When::After, World::kill_worker);
}
