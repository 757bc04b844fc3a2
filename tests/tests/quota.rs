//! What the extension takes of Google's quota: tabs of one spreadsheet cost one read, and the quota never runs out at Google's side.

use e2e::{Book, Sheet, When, World};
use serde_json::json;

/// Tables `a`, `b` and `c` in three tabs of one spreadsheet.
fn three_tabs() -> (World, Book, [Sheet; 3]) {
    let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "500")]);
    let book = world.google.spreadsheet("Three tabs");
    for table in ["a", "b", "c"] {
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, value int); INSERT INTO {table} VALUES (1, 0)"
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
        let held = world.google.hold(1, When::Before);
        held.wait();
        for sheet in &sheets {
            sheet.set("B2", &round.to_string());
        }
        let next = world.google.hold(1, When::Before);
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

/// Google's quota at sheetd, with limits that ten mappings reach: whatever they do, Google has never to refuse.
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
                "CREATE TABLE {table} (id int PRIMARY KEY, value int); INSERT INTO {table} VALUES (1, 0), (2, 0)"
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
    let refused = world.google.gate().passed();
    let refused: Vec<_> = refused.iter().filter(|one| one.status == 429).collect();
    assert!(refused.is_empty(), "{refused:?}");
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
