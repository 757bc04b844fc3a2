//! Killed anywhere, nothing is lost, doubled or misplaced.

use e2e::{Kind, When, World};
use serde_json::json;

/// Both sides change in every way, while the worker is held at one request after the other and
/// killed there.
fn killed_at_every_step(steps: usize, when: When, mut kill: impl FnMut(&mut World)) {
    let (mut world, sheet) = World::with_products();
    let mut rows = vec![1, 2, 3];
    for step in 1..=steps {
        let held = world.google.hold(step, when);
        let new = 100 + step;
        world.db.run(&format!(
            "BEGIN;
             INSERT INTO products VALUES ({new}, 'from SQL', {step});
             UPDATE products SET price = price + 1000 WHERE id = {};
             COMMIT",
            rows[0]
        ));
        let edited = sheet.row_where(0, &rows[1].to_string());
        sheet.set(&format!("B{edited}"), &format!("edited at step {step}"));
        let typed = (200 + step).to_string();
        sheet.insert_typed_row(edited + 1, &[&typed, "from the sheet", "1"]);
        held.wait();
        kill(&mut world);
        held.release();
        rows.rotate_left(1);
        rows.extend([new, 200 + step]);
        world.both_equal("products", &sheet);
        let keys: Vec<String> = rows.iter().map(ToString::to_string).collect();
        let mut seen: Vec<String> = sheet
            .rows()
            .into_iter()
            .skip(1)
            .map(|row| row[0].clone())
            .collect();
        seen.sort_by_key(|key| keys.iter().position(|k| k == key));
        assert_eq!(
            seen, keys,
            "killed at request {step}: a row was lost or doubled"
        );
    }
    world.quiet();
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn the_worker_killed_before_any_request() {
    killed_at_every_step(8, When::Before, World::kill_worker);
}

#[test]
fn the_worker_killed_while_the_answer_to_any_request_is_on_its_way() {
    killed_at_every_step(8, When::After, World::kill_worker);
}

#[test]
fn the_worker_terminated_at_any_request_comes_back() {
    // Few steps: the launcher waits longer and longer for a worker that ends again and again.
    killed_at_every_step(4, When::After, World::terminate_worker);
}

#[test]
fn the_server_killed_and_started_again_at_any_request() {
    killed_at_every_step(8, When::After, |world| {
        world.cluster.kill();
        world.cluster.start_again();
        world.reconnect();
    });
}

#[test]
fn anchors_that_a_killed_worker_left_are_removed_and_other_peoples_metadata_stays() {
    let (mut world, sheet) = World::with_products();
    let row = json!({"sheetId": sheet.gid(), "dimension": "ROWS", "startIndex": 1, "endIndex": 2});
    sheet.by_menu(json!([{"createDeveloperMetadata": {"developerMetadata": {
        "metadataKey": "theirs", "visibility": "DOCUMENT", "location": {"dimensionRange": row}}}}]));
    // Of the rows of data. The last write has left its anchors there, one on each row, and the next
    // request takes them away.
    let of_the_rows = || {
        let mut all = sheet.row_metadata();
        all.retain(|(row, _)| (2..=4).contains(row));
        all.sort();
        all
    };
    let theirs = vec![(2, "theirs".to_owned())];
    world.quiet();
    assert_eq!(of_the_rows(), theirs);
    let held = world.google.gate().hold_on(Kind::Tag, When::After);
    world.db.run("UPDATE products SET price = price + 10");
    held.wait();
    assert_eq!(of_the_rows().len(), 4, "the rows are tagged");
    world.kill_worker();
    held.release();
    world.both_equal("products", &sheet);
    world.quiet();
    let mark = |row| (row, "~".to_owned());
    assert_eq!(
        of_the_rows(),
        [theirs[0].clone(), mark(2), mark(3), mark(4)],
        "those of the worker that carried it out"
    );
}

#[test]
fn a_server_stopped_during_a_slow_request_stops_at_once_and_goes_on_afterwards() {
    let (mut world, sheet) = World::with_products();
    let held = world.google.hold(1, When::Before);
    world.db.run("UPDATE products SET price = 50 WHERE id = 1");
    held.wait();
    let took = world.cluster.stop();
    held.release();
    // The request's own time limit is far longer: the server did not wait for it.
    assert!(took < e2e::PATIENCE / 4, "stopping took {took:?}");
    world.cluster.start_again();
    world.reconnect();
    sheet.shows("id | name | price\n 1 | Bolt | 50\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn what_changed_while_the_server_was_down_arrives_when_it_is_up() {
    let (mut world, sheet) = World::with_products();
    world.db.run("SELECT sheet_sync.pause('products'); UPDATE products SET price = 20 WHERE id = 2; SELECT sheet_sync.resume('products')");
    world.cluster.stop();
    sheet.set("B2", "Screw");
    sheet.delete_row(4);
    sheet.type_row(&["7", "Typed", "7"]);
    world.cluster.start_again();
    world.reconnect();
    let both = "id | name | price\n 1 | Screw | 1\n 2 | Nut | 20\n 7 | Typed | 7";
    sheet.shows(both);
    world.table_shows("products", both);
}

#[test]
fn other_sessions_ddl_does_not_wait_for_a_request() {
    let (mut world, _sheet) = World::with_products();
    let held = world.google.hold(1, When::Before);
    world.db.run("UPDATE products SET price = 50 WHERE id = 1");
    held.wait();
    world.db.run("SET statement_timeout = '20 s'");
    world.db.run("CREATE DATABASE unrelated");
    world.db.run("DROP DATABASE unrelated");
    world.db.run("TRUNCATE sheet_sync.problem");
    world.db.run("ALTER TABLE products ADD COLUMN extra int");
    world.db.run("VACUUM FULL products");
    world.shows(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'sheet_sync%' AND backend_xmin IS NOT NULL",
        "0",
    );
    held.release();
}
