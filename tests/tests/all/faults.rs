//! When Google refuses, stalls or lies, the mapping says so in words, keeps what is queued, and
//! goes on by itself when it is mended.

use e2e::{Fault, PATIENCE, Sheet, When, World};
use serde_json::json;
use std::time::{Duration, Instant};

/// What the mapping says of itself.
fn said(world: &mut World) -> String {
    world
        .db
        .rows("SELECT state, reason, hint FROM sheet_sync.mapping")
        .into_iter()
        .flatten()
        .flatten()
        .collect::<Vec<_>>()
        .join(" · ")
}

#[track_caller]
fn wait_until_it_says(world: &mut World, words: &[&str]) {
    e2e::wait_until(&format!("the mapping to say {words:?}"), || {
        let said = said(world);
        if words
            .iter()
            .all(|word| said.to_lowercase().contains(&word.to_lowercase()))
        {
            Ok(())
        } else {
            Err(said)
        }
    });
}

/// Changes on both sides while the fault lasts, none of which may be lost.
fn change_both(world: &mut World, sheet: &Sheet) {
    world.db.run(
        "UPDATE products SET price = 10 WHERE id = 1; INSERT INTO products VALUES (4, 'Cog', 4)",
    );
    sheet.set("B3", "Mother");
}

#[track_caller]
fn both_arrive(world: &mut World, sheet: &Sheet) {
    let both = "id | name | price\n 1 | Bolt | 10\n 2 | Mother | 2\n 3 | Gear | 3\n 4 | Cog | 4";
    world.table_shows("products", both);
    sheet.shows(both);
    world.shows(
        "SELECT state, reason, hint FROM sheet_sync.mapping",
        "active",
    );
}

/// A fault that lasts until somebody mends it.
fn lasting(fault: Fault, words: &[&str]) {
    let (mut world, sheet) = World::with_products();
    world.google.fault(fault, usize::MAX);
    change_both(&mut world, &sheet);
    wait_until_it_says(&mut world, words);
    world.google.mend();
    both_arrive(&mut world, &sheet);
}

/// A fault that passes by itself at each of the next requests in turn, when everything is already
/// on its way.
fn passing(fault: impl Fn() -> Fault) {
    let (mut world, sheet) = World::with_products();
    for nth in 1..=8 {
        world.google.gate().fault_at(nth, fault());
        world.db.run(&format!(
            "UPDATE products SET price = price + 1; INSERT INTO products VALUES ({0}, 'new', {0}); DELETE FROM products WHERE id = {1}",
            nth + 10,
            nth + 8
        ));
        let row = sheet.row_where(0, "2");
        sheet.set(&format!("B{row}"), &format!("edit {nth}"));
        world.both_equal("products", &sheet);
    }
    world.shows("SELECT name FROM products WHERE id = 2", "edit 8");
    world.shows("SELECT price FROM products WHERE id = 1", "9");
    world.shows(
        "SELECT string_agg(id::text, ' ' ORDER BY id) FROM products",
        "1 2 3 17 18",
    );
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
    world.quiet();
}

#[test]
fn a_sheet_that_is_not_shared_any_more() {
    let (mut world, sheet) = World::with_products();
    sheet.book().share(false);
    change_both(&mut world, &sheet);
    let email = world.google.email().to_owned();
    wait_until_it_says(&mut world, &["share", &email]);
    sheet.book().share(true);
    both_arrive(&mut world, &sheet);
}

#[test]
fn an_api_that_is_switched_off() {
    let (mut world, sheet) = World::with_products();
    world.google.enable_api(false);
    change_both(&mut world, &sheet);
    wait_until_it_says(&mut world, &["Google Sheets API", "enable"]);
    world.google.enable_api(true);
    both_arrive(&mut world, &sheet);
}

#[test]
fn a_spreadsheet_that_vanished() {
    lasting(Fault::status(404), &["spreadsheet"]);
}

#[test]
fn a_spreadsheet_that_never_was() {
    let mut world = World::start();
    world
        .db
        .run("CREATE TABLE products (id int PRIMARY KEY); INSERT INTO products VALUES (1)");
    world.register_at(
        "products",
        "1aBcD3fGhIjKlMnOpQrStUvWxYz0123456789abcdefg",
        "",
    );
    wait_until_it_says(&mut world, &["spreadsheet"]);
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 1);
}

#[test]
fn a_tab_that_was_deleted() {
    let (mut world, sheet) = World::with_products();
    sheet.delete_tab();
    wait_until_it_says(&mut world, &["failed"]);
    assert_eq!(
        world.db.count("SELECT count(*) FROM products"),
        3,
        "a vanished tab is no deletion"
    );
}

#[test]
fn after_a_429_the_status_says_until_when_and_nothing_is_disabled() {
    let (mut world, sheet) = World::with_products();
    let (started, before) = (Instant::now(), world.google.gate().count());
    world.google.fault(Fault::status(429), usize::MAX);
    change_both(&mut world, &sheet);
    world.shows(
        "SELECT state, rate_limited_until > clock_timestamp(), retry_at > clock_timestamp(), reason LIKE 'quota: %' FROM sheet_sync.status",
        "active | t | t | t",
    );
    // Google's window is a minute, and so long nothing is asked.
    std::thread::sleep(Duration::from_secs(2));
    let refused = world.google.gate().passed_since(before);
    let refused = refused.iter().filter(|one| one.status == 429).count() as u64;
    assert!(
        refused <= 1 + started.elapsed().as_secs() / 60,
        "{refused} requests were refused"
    );
    world.google.mend();
    both_arrive(&mut world, &sheet);
}

#[test]
fn a_key_that_was_revoked() {
    let (mut world, sheet) = World::with_products();
    world.google.revoke_key(true);
    // A token lives on for up to an hour after its key: only the next one is refused.
    world.google.fault(Fault::status(401), 1);
    change_both(&mut world, &sheet);
    wait_until_it_says(&mut world, &["key"]);
    assert!(
        !world.cluster.log().contains("PRIVATE KEY"),
        "the key stands in the log"
    );
    world.google.revoke_key(false);
    both_arrive(&mut world, &sheet);
}

#[test]
fn a_credential_that_is_missing_until_it_is_set() {
    let (mut world, sheet) = World::with_products();
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    change_both(&mut world, &sheet);
    wait_until_it_says(&mut world, &["set_credential"]);
    let key = e2e::literal(&world.google.key().to_string());
    world.db.run(&format!(
        "SELECT sheet_sync.set_credential('default', {key})"
    ));
    both_arrive(&mut world, &sheet);
}

#[test]
fn a_key_of_an_account_that_google_does_not_know() {
    let (mut world, sheet) = World::with_products();
    let mut key = world.google.key().clone();
    key["client_email"] = json!("nobody@nowhere.iam.gserviceaccount.com");
    world.db.run(&format!(
        "SELECT sheet_sync.set_credential('default', {})",
        e2e::literal(&key.to_string())
    ));
    change_both(&mut world, &sheet);
    wait_until_it_says(&mut world, &["key"]);
    let key = e2e::literal(&world.google.key().to_string());
    world.db.run(&format!(
        "SELECT sheet_sync.set_credential('default', {key})"
    ));
    both_arrive(&mut world, &sheet);
}

#[test]
fn no_network() {
    let (mut world, sheet) = World::with_products();
    world.google.gate().close();
    change_both(&mut world, &sheet);
    e2e::wait_until("a reason", || {
        match world.db.maybe("SELECT reason FROM sheet_sync.mapping") {
            Some(_) => Ok(()),
            None => Err(()),
        }
    });
    world.google.gate().open();
    both_arrive(&mut world, &sheet);
}

#[test]
fn an_answer_that_is_lost_after_its_request_took_effect() {
    passing(|| Fault::Lost(When::After));
}

#[test]
fn a_request_that_is_lost_before_it_took_effect() {
    passing(|| Fault::Lost(When::Before));
}

#[test]
fn an_answer_that_is_cut_short() {
    passing(|| Fault::Cut);
}

#[test]
fn an_answer_that_is_no_json() {
    passing(|| Fault::Garbled);
}

#[test]
fn an_error_of_the_server_that_passes() {
    for status in [500, 502, 503, 409] {
        passing(|| Fault::status(status));
    }
}

#[test]
fn a_request_of_ours_that_google_refuses_as_wrong() {
    passing(|| Fault::status(400));
}

#[test]
fn an_answer_later_than_the_time_limit() {
    let mut world = World::configured(&[("sheet_sync.http_timeout_ms", "500")]);
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES (1, 'Bolt')");
    let sheet = world.map("products");
    for nth in 1..=4 {
        world
            .google
            .gate()
            .fault_at(nth, Fault::Slow(Duration::from_secs(2)));
        world.db.run(&format!("UPDATE products SET name = 'Bolt {nth}'; INSERT INTO products VALUES ({nth} + 1, 'new')"));
        world.both_equal("products", &sheet);
    }
    world.quiet();
    assert_eq!(sheet.rows().len(), 6);
}

#[test]
fn statements_of_users_never_wait_for_google() {
    let (mut world, _sheet) = World::with_products();
    let held = world.google.hold(1, When::Before);
    world.db.run("UPDATE products SET price = 2 WHERE id = 1");
    held.wait();
    world.db.run(&format!(
        "SET statement_timeout = '{} s'",
        PATIENCE.as_secs() / 4
    ));
    world.db.run("UPDATE products SET price = 3 WHERE id = 1; DELETE FROM products WHERE id = 2; INSERT INTO products VALUES (2, 'again', 2)");
    world.db.run("CREATE TABLE more (id int PRIMARY KEY)");
    let book = world.google.spreadsheet("More");
    world.register_at("more", book.id(), "");
    world.db.run("SELECT sheet_sync.pause('more')");
    world.db.run("SELECT sheet_sync.unregister_table('more')");
    held.release();
}

#[test]
fn one_mapping_in_trouble_does_not_stop_another() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)");
    world.register_at("other", "1aBcD3fGhIjKlMnOpQrStUvWxYz0123456789abcdefg", "");
    e2e::wait_until("trouble", || {
        match world
            .db
            .maybe("SELECT reason FROM sheet_sync.mapping WHERE table_name = 'other'::regclass")
        {
            Some(_) => Ok(()),
            None => Err(()),
        }
    });
    world.db.run("UPDATE products SET price = 9 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 9\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn sync_says_clearly_that_it_gave_up_waiting() {
    let (mut world, _sheet) = World::with_products();
    world.google.fault(Fault::status(503), usize::MAX);
    let refusal = world
        .db
        .refused("SELECT * FROM sheet_sync.sync('products', timeout => '1 s')");
    assert!(refusal.hint.is_some(), "{refusal}");
    assert!(!refusal.sqlstate.starts_with("XX"), "{refusal}");
}
