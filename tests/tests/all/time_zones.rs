//! Cells have no time zone of their own: what they show and mean changes with the spreadsheet's,
//! and the table's instants never do.

use e2e::World;
use serde_json::json;

fn move_to(sheet: &e2e::Sheet, time_zone: &str) {
    sheet.by_menu(json!([{"updateSpreadsheetProperties": {"properties": {"timeZone": time_zone}, "fields": "timeZone"}}]));
}

const INSTANTS: &str = "SELECT id, at FROM calls ORDER BY id";

#[test]
fn after_a_change_of_the_time_zone_every_instant_is_shown_anew() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE calls (id int PRIMARY KEY, at timestamptz, who text);
         INSERT INTO calls VALUES (1, '2024-07-01 10:00+00', 'Ann'), (2, '2024-01-01 10:00+00', 'Bob')",
    );
    let book = world
        .google
        .spreadsheet_in("Calls", "en_US", "Europe/Vienna");
    let sheet = book.empty_tab("calls");
    world.register("calls", &sheet, "");
    world.merged("calls");
    e2e::wait_for("noon", "2024-07-01 12:00:00".to_owned(), || {
        sheet.shown("B2")
    });
    move_to(&sheet, "America/New_York");
    // At once after the change, before anybody may have noticed it.
    sheet.set("B3", "2024-01-01 06:00:00");
    world.shows(
        INSTANTS,
        "1 | 2024-07-01 10:00:00+00\n 2 | 2024-01-01 11:00:00+00",
    );
    e2e::wait_for("morning", "2024-07-01 06:00:00".to_owned(), || {
        sheet.shown("B2")
    });
    world.quiet();
    world.kill_worker();
    world.quiet();
    world.db.run("UPDATE calls SET who = 'Anna' WHERE id = 1");
    e2e::wait_for("the name", "Anna".to_owned(), || sheet.cell("C2"));
    world.shows(
        INSTANTS,
        "1 | 2024-07-01 10:00:00+00\n 2 | 2024-01-01 11:00:00+00",
    );
    assert_eq!(sheet.shown("B2"), "2024-07-01 06:00:00");
    assert_eq!(sheet.shown("B3"), "2024-01-01 06:00:00");
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn a_worker_that_begins_after_the_change_knows_the_time_zone_of_before() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE calls (id int PRIMARY KEY, at timestamptz, who text);
         INSERT INTO calls VALUES (1, '2024-07-01 10:00+00', 'Ann')",
    );
    let book = world
        .google
        .spreadsheet_in("Calls", "en_US", "Europe/Vienna");
    let sheet = book.empty_tab("calls");
    world.register("calls", &sheet, "");
    world.merged("calls");
    e2e::wait_for("noon", "2024-07-01 12:00:00".to_owned(), || {
        sheet.shown("B2")
    });
    world.quiet();
    world.db.run("SELECT sheet_sync.pause('calls')");
    move_to(&sheet, "Asia/Tokyo");
    world.terminate_worker();
    world.db.run("SELECT sheet_sync.resume('calls')");
    e2e::wait_for("evening", "2024-07-01 19:00:00".to_owned(), || {
        sheet.shown("B2")
    });
    world.quiet();
    world.shows(INSTANTS, "1 | 2024-07-01 10:00:00+00");
}

#[test]
fn after_a_change_of_the_locale_texts_are_read_as_it_writes_them() {
    let mut world = World::start();
    world.db.run("CREATE TABLE days (id int PRIMARY KEY, day date, n numeric); INSERT INTO days VALUES (1), (2)");
    let book = world
        .google
        .spreadsheet_in("Days", "en_US", "Europe/Vienna");
    let sheet = book.empty_tab("days");
    world.register("days", &sheet, "");
    world.merged("days");
    e2e::wait_for("three rows", 3, || sheet.rows().len());
    sheet.set("B2", "'1.2.2024");
    world.shows("SELECT key[1], code FROM sheet_sync.problem", "1 | 22007");
    sheet.by_menu(json!([{"updateSpreadsheetProperties": {"properties": {"locale": "de_DE"}, "fields": "locale"}}]));
    sheet.set("B3", "'1.2.2024");
    sheet.set("C3", "1,5");
    world.shows("SELECT day, n FROM days WHERE id = 2", "2024-02-01 | 1.5");
    world.sync("days");
    world.shows("SELECT day FROM days WHERE id = 1", "2024-02-01");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_zone_without_a_name_is_an_offset_and_an_unknown_one_stops() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE calls (id int PRIMARY KEY, at timestamptz);
         INSERT INTO calls VALUES (1, '2024-07-01 10:00+00')",
    );
    let book = world.google.spreadsheet_in("Calls", "en_US", "GMT+05:30");
    let sheet = book.empty_tab("calls");
    world.register("calls", &sheet, "");
    world.merged("calls");
    e2e::wait_for("afternoon", "2024-07-01 15:30:00".to_owned(), || {
        sheet.shown("B2")
    });
    sheet.set("B2", "2024-07-01 16:30:00");
    world.shows(INSTANTS, "1 | 2024-07-01 11:00:00+00");
    world.quiet();
    move_to(&sheet, "Mars/Phobos");
    sheet.set("B2", "2024-07-01 17:30:00");
    e2e::wait_until("the mapping to stop", || {
        let said = world
            .db
            .table("SELECT state, reason FROM sheet_sync.mapping");
        match said.first() {
            Some(row) if row[0] == "failed" && row[1].starts_with("time_zone: ") => Ok(()),
            _ => Err(said),
        }
    });
    world.shows(INSTANTS, "1 | 2024-07-01 11:00:00+00");
    move_to(&sheet, "GMT+05:30");
    world.db.run("SELECT sheet_sync.resume('calls')");
    world.shows(INSTANTS, "1 | 2024-07-01 12:00:00+00");
}

#[test]
fn instants_far_in_the_future_are_shown_as_postgres_shows_them() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE calls (id int PRIMARY KEY, at timestamptz);
         INSERT INTO calls SELECT row_number() OVER (), at
         FROM generate_series('2099-11-15 12:00+00'::timestamptz, '2116-12-31', '23 days 5 hours') at",
    );
    for zone in [
        "Europe/Vienna",
        "America/New_York",
        "Australia/Sydney",
        "Africa/Casablanca",
        "Asia/Tokyo",
    ] {
        let title = zone.replace('/', "_");
        let book = world.google.spreadsheet_in(&title, "en_US", zone);
        let sheet = book.empty_tab("calls");
        world.register("calls", &sheet, "");
        let wanted: Vec<String> = world
            .db
            .table(&format!("SELECT to_char(at AT TIME ZONE '{zone}', 'YYYY-MM-DD HH24:MI:SS') FROM calls ORDER BY id"))
            .into_iter()
            .flatten()
            .collect();
        e2e::wait_until(&format!("all instants in {zone}"), || {
            let shown = sheet.rows().len();
            if shown == wanted.len() + 1 {
                Ok(())
            } else {
                Err(shown)
            }
        });
        for (row, wanted) in wanted.iter().enumerate().step_by(7) {
            assert_eq!(sheet.shown(&format!("B{}", row + 2)), *wanted, "{zone}");
        }
        world.db.run("SELECT sheet_sync.unregister_table('calls')");
    }
}
