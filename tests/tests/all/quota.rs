//! What the extension takes of Google's quota: tabs of one spreadsheet cost one read, and the quota
//! never runs out at Google's side.

use e2e::{Book, Kind, Passed, Sheet, When, World};
use serde_json::json;
use std::time::{Duration, Instant};

/// Tables `a`, `b` and `c` in three tabs of one spreadsheet. Their values are texts: of an edited
/// number the format would be asked for by a request more.
fn three_tabs() -> (World, Book, [Sheet; 3]) {
    let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "500")]);
    let book = world.google.spreadsheet("Three tabs");
    for table in ["a", "b", "c"] {
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, value text); INSERT INTO {table} VALUES (1, 0)"
        ));
        world.register_at(table, book.id(), "");
    }
    let sheets = ["a", "b", "c"].map(|table| {
        world.merged(table);
        book.wait_for_tab(table)
    });
    (world, book, sheets)
}

#[test]
fn one_read_answers_all_tabs_of_a_spreadsheet() {
    let (mut world, _book, sheets) = three_tabs();
    let mut round = 0;
    e2e::wait_until("one request that brings the edits of three tabs", || {
        round += 1;
        let held = world.google.gate().hold_on(Kind::Read, When::Before);
        held.wait();
        for sheet in &sheets {
            sheet.set("B2", &round.to_string());
        }
        let next = world.google.gate().hold_on(Kind::Read, When::Before);
        held.release();
        // When the worker asks again, it has dealt with all that the first answer brought.
        next.wait();
        let seen = world
            .db
            .table("SELECT a.value, b.value, c.value FROM a, b, c");
        next.release();
        if seen == [vec![round.to_string(); 3]] {
            Ok(())
        } else {
            Err(seen)
        }
    });
    world.quiet();
}

#[test]
fn a_tab_that_is_gone_takes_no_other_with_it() {
    let (mut world, _book, sheets) = three_tabs();
    sheets[2].delete_tab();
    world.shows(
        "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.mapping WHERE table_name = 'c'::regclass",
        "failed | tab_gone",
    );
    for round in ["1", "2", "3"] {
        sheets[0].set("B2", round);
        sheets[1].set("B2", round);
        world.shows(
            "SELECT a.value, b.value FROM a, b",
            &format!("{round} | {round}"),
        );
    }
    world.shows(
        "SELECT state, reason FROM sheet_sync.mapping WHERE table_name <> 'c'::regclass",
        "active\nactive",
    );
}

/// Some seconds less than Google's minute: a request that a busy machine sends late counts with
/// those after it. What is told apart by this, a quota that refills at full minutes, lets twice as
/// many through within an instant.
const NEARLY_A_MINUTE: Duration = Duration::from_secs(55);

/// The most requests of a kind that passed within any span of that length.
fn most_at_once(passed: &[Passed], writes: bool) -> usize {
    let of_kind = |one: &&Passed| one.path.contains("/v4/") && one.is_write() == writes;
    let mut times: Vec<Instant> = passed.iter().filter(of_kind).map(|one| one.at).collect();
    times.sort_unstable();
    let within =
        |first: usize| times[first..].partition_point(|at| *at < times[first] + NEARLY_A_MINUTE);
    (0..times.len()).map(within).max().unwrap_or(0)
}

/// Google's quota at sheetd, with limits that ten mappings reach: whatever they do, Google has
/// never to refuse.
#[test]
fn ten_busy_mappings_never_meet_a_429() {
    const LIMIT: &str = "120";
    let mut world = World::configured(&[
        ("sheet_sync.reads_per_minute", LIMIT),
        ("sheet_sync.writes_per_minute", LIMIT),
        ("sheet_sync.project_reads_per_minute", LIMIT),
        ("sheet_sync.project_writes_per_minute", LIMIT),
    ]);
    world.google.set_options(json!({
        "quota": "google",
        "reads_per_minute_per_user": 120,
        "writes_per_minute_per_user": 120,
        "reads_per_minute_per_project": 120,
        "writes_per_minute_per_project": 120,
    }));
    let tables: Vec<String> = (0..10).map(|n| format!("busy{n}")).collect();
    let books: Vec<Book> = tables
        .iter()
        .map(|table| {
            world.db.run(&format!(
                "CREATE TABLE {table} (id int PRIMARY KEY, value text); INSERT INTO {table} VALUES (1, 0), (2, 0)"
            ));
            let book = world.google.spreadsheet(table);
            world.register_at(table, book.id(), "");
            book
        })
        .collect();
    for table in &tables {
        world.merged(table);
    }
    let mut value = 0;
    e2e::wait_until("the quota to be used up", || {
        value += 1;
        for table in &tables {
            world.db.run(&format!("UPDATE {table} SET value = {value}"));
        }
        let limited = "SELECT count(*) FROM sheet_sync.status WHERE rate_limited_until > now()";
        match world.db.count(limited) {
            0 => Err(value),
            _ => Ok(()),
        }
    });
    for (table, book) in tables.iter().zip(&books) {
        world.both_equal(table, &book.wait_for_tab(table));
    }
    let passed = world.google.gate().passed();
    let refused: Vec<_> = passed.iter().filter(|one| one.status == 429).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let most = [false, true].map(|writes| most_at_once(&passed, writes));
    assert!(
        most.into_iter().all(|most| most <= 120),
        "{most:?} reads and writes within {NEARLY_A_MINUTE:?}"
    );
}

/// One account, two databases: what one has spent the other has not.
#[test]
fn databases_of_one_cluster_share_an_accounts_quota() {
    let mut world = World::configured(&[
        ("sheet_sync.reads_per_minute", "60"),
        ("sheet_sync.writes_per_minute", "60"),
    ]);
    world.google.set_options(json!({
        "quota": "google",
        "reads_per_minute_per_user": 60,
        "writes_per_minute_per_user": 60,
    }));
    let mut other = world.another_database("elsewhere");
    for db in [&mut world.db, &mut other] {
        let book = world.google.spreadsheet("Shared");
        db.run("CREATE TABLE busy (id int PRIMARY KEY, value int); INSERT INTO busy VALUES (1, 0)");
        db.run(&format!(
            "SELECT sheet_sync.register_table('busy', {})",
            e2e::literal(book.id())
        ));
    }
    let mut value = 0;
    e2e::wait_until("the quota to be used up for both", || {
        value += 1;
        let mut limited = 0;
        for db in [&mut world.db, &mut other] {
            db.run(&format!("UPDATE busy SET value = {value}"));
            limited +=
                db.count("SELECT count(*) FROM sheet_sync.status WHERE rate_limited_until > now()");
        }
        if limited == 2 { Ok(()) } else { Err(limited) }
    });
    let passed = world.google.gate().passed();
    let refused: Vec<_> = passed.iter().filter(|one| one.status == 429).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// Two accounts, one project.
#[test]
fn two_accounts_of_one_project_share_its_quota() {
    let mut world = World::configured(&[("sheet_sync.project_writes_per_minute", "60")]);
    world.google.set_options(json!({
        "quota": "google",
        "reads_per_minute_per_user": 100_000,
        "writes_per_minute_per_user": 100_000,
        "reads_per_minute_per_project": 100_000,
        "writes_per_minute_per_project": 60,
    }));
    let second = world.google.another_account("second");
    world.db.run(&format!(
        "SELECT sheet_sync.set_credential('second', {})",
        e2e::literal(&second.to_string())
    ));
    let books = ["default", "second"].map(|credential| {
        let table = format!("of_{credential}");
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, value text); INSERT INTO {table} VALUES (1, 0)"
        ));
        let book = world.google.spreadsheet(&table);
        book.share_with(second["client_email"].as_str().expect("a key has one"));
        world.register_at(&table, book.id(), &format!("credential => '{credential}'"));
        world.merged(&table);
        book
    });
    let before = world.google.gate().count();
    let mut value = 0;
    e2e::wait_until("the project's quota to be used up", || {
        value += 1;
        world.db.run(&format!(
            "UPDATE of_default SET value = {value}; UPDATE of_second SET value = {value}"
        ));
        let limited = "SELECT count(*) FROM sheet_sync.status WHERE rate_limited_until > now()";
        match world.db.count(limited) {
            2 => Ok(()),
            others => Err(others),
        }
    });
    let passed = world.google.gate().passed();
    let refused: Vec<_> = passed.iter().filter(|one| one.status == 429).collect();
    assert!(refused.is_empty(), "{refused:?}");
    for book in &books {
        let written = |one: &Passed| one.is_write() && one.path.contains(book.id());
        assert!(
            passed[before..].iter().any(written),
            "neither account goes without"
        );
    }
}

/// A change that nobody has a token for waits, and with it whatever changes after it.
#[test]
fn changes_that_pile_up_while_the_quota_is_used_up_are_written_together() {
    let mut world = World::configured(&[("sheet_sync.writes_per_minute", "30")]);
    world
        .db
        .run("CREATE TABLE busy (id int PRIMARY KEY, value int); INSERT INTO busy VALUES (1, 0)");
    let sheet = world.map("busy");
    let mut value = 0;
    e2e::wait_until("the quota to be used up", || {
        value += 1;
        world.db.run(&format!("UPDATE busy SET value = {value}"));
        let limited = "SELECT count(*) FROM sheet_sync.status WHERE rate_limited_until > now()";
        match world.db.count(limited) {
            0 => Err(value),
            _ => Ok(()),
        }
    });
    let before = world.google.gate().count();
    for _ in 0..100 {
        value += 1;
        world.db.run(&format!("UPDATE busy SET value = {value}"));
    }
    e2e::wait_for("the last value", value.to_string(), || sheet.cell("B2"));
    let passed = world.google.gate().passed_since(before);
    let writes = passed.iter().filter(|one| one.is_write()).count();
    assert!(writes < 20, "{writes} writes of a hundred changes");
}

/// The load takes ten minutes with what the quota allows it.
#[test]
fn a_big_load_starves_neither_calls_nor_other_mappings() {
    let mut world = World::configured(&[
        ("sheet_sync.writes_per_minute", "60"),
        ("sheet_sync.max_request_bytes", "50000"),
    ]);
    // Each row is so wide that it takes a request of its own.
    world.db.run(
        "CREATE TABLE small (id int PRIMARY KEY, value int); INSERT INTO small VALUES (1, 0);
         CREATE TABLE load (id int PRIMARY KEY, body text);
         INSERT INTO load SELECT n, repeat('x', 36000) FROM generate_series(1, 500) n",
    );
    let small = world.map_with("small", "poll_interval => '1 hour'");
    let book = world.google.spreadsheet("Load");
    world.register_at("load", book.id(), "");
    world.shows(
        "SELECT rate_limited_until > now() + interval '5 s' FROM sheet_sync.status WHERE table_name = 'load'::regclass",
        "t",
    );
    world.db.run("UPDATE small SET value = 1");
    world.sync("small");
    assert_eq!(small.cell("B2"), "1");
    small.set("B2", "2");
    world.sync("small");
    assert_eq!(world.db.one("SELECT value FROM small"), "2");
    // Nobody waits for this one.
    world.db.run("UPDATE small SET value = 3");
    e2e::wait_for("the change", "3".to_owned(), || small.cell("B2"));
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.progress"),
        1,
        "the load was over first"
    );
}
