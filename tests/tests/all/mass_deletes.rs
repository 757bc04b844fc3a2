//! Deletions in masses: all of a cycle waits for them, and a person's answer is about just what was
//! asked.

use e2e::{World, wait_until};
use std::time::{Duration, Instant};

const NOTHING: &str = "55000";

#[test]
fn nothing_else_of_the_cycle_is_done_before_or_after_the_guard_stops_it() {
    let (mut world, sheet) = World::with_parts(100);
    world.at_once("parts", |world| {
        sheet.delete_rows(42, 60);
        let names: Vec<Vec<String>> = (1..=40).map(|n| vec![format!("typed {n}")]).collect();
        sheet.type_at("B2", &names);
        sheet.type_row(&["1000", "new", "1"]);
        world
            .db
            .run("UPDATE parts SET stock = 5000 WHERE id = 1; INSERT INTO parts VALUES (2000, 'new too', 2)");
    });
    world.stopped("mass_delete: 60 of 100 rows");
    let untouched = |world: &mut World| {
        let rows = "SELECT count(*), count(*) FILTER (WHERE name LIKE 'typed%') FROM parts";
        assert_eq!(world.db.table(rows), [["101", "0"]]);
        assert_eq!(sheet.rows().len(), 42);
        assert_eq!(sheet.cell_of("1", 2), "1");
    };
    untouched(&mut world);
    // Nor in any later cycle, also of a worker that knows nothing of it.
    world.terminate_worker();
    world.db.refused("SELECT * FROM sheet_sync.sync('parts')");
    untouched(&mut world);
    world.stopped("mass_delete: 60 of 100 rows");
    world.db.run("SELECT sheet_sync.confirm_deletes('parts')");
    world.both_equal("parts", &sheet);
    let rows = "SELECT count(*), count(*) FILTER (WHERE name LIKE 'typed%'), max(stock) FROM parts";
    assert_eq!(world.db.table(rows), [["42", "40", "5000"]]);
}

#[test]
fn a_deletion_is_believed_after_three_seconds_and_sync_waits_for_it() {
    let (mut world, sheet) = World::with_parts(5);
    let deleted = Instant::now();
    sheet.delete_row(3);
    world.sync("parts");
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 4);
    assert!(deleted.elapsed() >= Duration::from_secs(3));
    // By itself, and however often somebody calls.
    let deleted = Instant::now();
    sheet.delete_row(3);
    let mut caller = world.connect();
    let calls = std::thread::spawn(move || {
        for _ in 0..3 {
            caller.run("SELECT * FROM sheet_sync.pull('parts')");
        }
    });
    world.shows("SELECT count(*) FROM parts", "3");
    assert!(deleted.elapsed() >= Duration::from_secs(3));
    calls.join().expect("the calls end");
}

#[test]
fn a_deletion_waits_for_an_interval_that_is_longer() {
    let (mut world, sheet) = World::with_parts(5);
    world
        .db
        .run("UPDATE sheet_sync.mapping SET poll_interval = '6 s'");
    let deleted = Instant::now();
    sheet.delete_row(3);
    world.sync("parts");
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 4);
    assert!(deleted.elapsed() >= Duration::from_secs(6));
}

#[test]
fn nothing_can_be_confirmed_before_it_was_asked_nor_twice() {
    let (mut world, sheet) = World::with_parts(40);
    let refused = world
        .db
        .refused("SELECT sheet_sync.confirm_deletes('parts')");
    assert_eq!(refused.sqlstate, NOTHING, "{refused}");
    assert!(refused.to_string().contains("status"), "{refused}");
    let id = world.db.one("SELECT id FROM sheet_sync.mapping");
    for call in [
        &*id,
        "'parts'::regclass",
        "mapping_id => 1",
        "table_name => 'parts'",
    ] {
        let refused = world
            .db
            .refused(&format!("SELECT sheet_sync.confirm_deletes({call})"));
        assert_eq!(refused.sqlstate, NOTHING, "{refused}");
    }
    let unknown = world.db.refused("SELECT sheet_sync.confirm_deletes(77)");
    assert_eq!(unknown.sqlstate, "42704", "{unknown}");
    // As if it had been allowed in advance.
    sheet.delete_rows(2, 35);
    world.stopped("mass_delete: 35 of 40 rows");
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 40);
    world
        .db
        .run(&format!("SELECT sheet_sync.confirm_deletes({id})"));
    world.shows("SELECT count(*) FROM parts", "5");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
    // Until it is carried out it may be said once more.
    world.shows("SELECT count(*) FROM sheet_sync._stop", "0");
    let refused = world
        .db
        .refused("SELECT sheet_sync.confirm_deletes('parts')");
    assert_eq!(refused.sqlstate, NOTHING, "{refused}");
}

#[test]
fn an_answer_is_void_when_the_question_has_changed() {
    let (mut world, sheet) = World::with_parts(60);
    sheet.delete_rows(2, 40);
    world.stopped("mass_delete: 40 of 60 rows");
    // More go before the answer reaches the worker.
    world.pause("parts");
    sheet.delete_rows(2, 5);
    world
        .db
        .run("SELECT sheet_sync.confirm_deletes('parts'); SELECT sheet_sync.resume('parts')");
    world.stopped("mass_delete: 45 of 60 rows");
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 60);
    // The same number, and other rows.
    world.pause("parts");
    let row = sheet.rows().remove(1);
    sheet.delete_row(2);
    sheet.type_row(&["1", "part 1", "1"]);
    world
        .db
        .run("SELECT sheet_sync.confirm_deletes('parts'); SELECT sheet_sync.resume('parts')");
    wait_until("the other question", || {
        let asked = world.db.table(
            "SELECT confirmed_at, (SELECT state FROM sheet_sync.mapping) FROM sheet_sync._stop",
        );
        if asked == [["∅", "failed"]] {
            Ok(())
        } else {
            Err(asked)
        }
    });
    world.stopped("mass_delete: 45 of 60 rows");
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 60);
    world.db.run("SELECT sheet_sync.confirm_deletes('parts')");
    world.both_equal("parts", &sheet);
    assert_eq!(world.db.count("SELECT count(*) FROM parts"), 15);
    assert_eq!(
        world.db.count(&format!(
            "SELECT count(*) FROM parts WHERE id IN (1, {})",
            row[0]
        )),
        1
    );
}

#[test]
fn each_tab_of_a_table_is_a_question_of_its_own() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text);
         INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 60) n",
    );
    let book = world.google.spreadsheet("Parts");
    for title in ["One", "Two"] {
        world.register_at("parts", book.id(), &format!("sheet => '{title}'"));
    }
    let (one, two) = (book.wait_for_tab("One"), book.wait_for_tab("Two"));
    world.merged("parts");
    world.both_equal("parts", &one);
    world.both_equal("parts", &two);
    world.db.run("DELETE FROM parts WHERE id > 10");
    world.stopped("mass_delete: 50 of 60 rows");
    let refused = world
        .db
        .refused("SELECT sheet_sync.confirm_deletes('parts')");
    assert_eq!(refused.sqlstate, NOTHING, "{refused}");
    let ids = world
        .db
        .table("SELECT id FROM sheet_sync.mapping ORDER BY sheet_title");
    let first = ids[0][0].clone();
    let named = format!("confirm_deletes({first})");
    assert!(refused.to_string().contains(&named), "{refused}");
    world
        .db
        .run(&format!("SELECT sheet_sync.confirm_deletes({first})"));
    world.both_equal("parts", &one);
    assert_eq!(two.rows().len(), 61);
    // One is left, so the table names it.
    world.db.run("SELECT sheet_sync.confirm_deletes('parts')");
    world.both_equal("parts", &two);
    world.shows("SELECT DISTINCT state FROM sheet_sync.mapping", "active");
}

#[test]
fn a_truncated_table_asks_in_the_same_way() {
    let (mut world, sheet) = World::with_parts(3);
    let refused = world
        .db
        .refused("SELECT sheet_sync.confirm_deletes('parts')");
    assert_eq!(refused.sqlstate, NOTHING, "{refused}");
    world.db.run("TRUNCATE parts");
    world.stopped("truncated");
    assert_eq!(sheet.rows().len(), 4);
    world.db.run("SELECT sheet_sync.confirm_deletes('parts')");
    sheet.shows("id | name | stock");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
    // Until it is carried out it may be said once more.
    world.shows("SELECT count(*) FROM sheet_sync._stop", "0");
    let refused = world
        .db
        .refused("SELECT sheet_sync.confirm_deletes('parts')");
    assert_eq!(refused.sqlstate, NOTHING, "{refused}");
}
