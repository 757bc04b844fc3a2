//! All tables of a database share a worker. One whose code does not come to an end holds up itself,
//! and not the others.

use e2e::World;

const PROBLEMS: &str = "SELECT count(*) FROM sheet_sync.problem";

/// A table beside the one in question, and how long a statement may take.
fn world(more: &str) -> World {
    let mut world = World::configured(&[("sheet_sync.statement_timeout_ms", "1000")]);
    world.db.run(&format!(
        "CREATE TABLE others (id int PRIMARY KEY, v int); INSERT INTO others VALUES (1, 1); {more}"
    ));
    world
}

/// A table of so many rows, in which whatever becomes 30 takes an hour.
fn world_with_naps(rows: u32) -> World {
    world(&format!(
        "CREATE TABLE naps (id int PRIMARY KEY, v int); INSERT INTO naps SELECT n, n FROM generate_series(1, {rows}) n;
         CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.v = 30 THEN PERFORM pg_sleep(3600); END IF; RETURN NEW; END $$;
         CREATE TRIGGER nap BEFORE UPDATE ON naps FOR EACH ROW EXECUTE FUNCTION nap()"
    ))
}

#[test]
fn a_trigger_that_sleeps_holds_up_its_own_row_only() {
    let mut world = world_with_naps(5);
    let naps = world.map("naps");
    let others = world.map("others");
    let cells = ["10", "20", "30", "40", "50"].map(|cell| vec![cell.to_owned()]);
    naps.type_at("B2", &cells);
    world.shows("SELECT key, code FROM sheet_sync.problem", "{3} | 57014");
    others.type_at("B2", &[vec!["2".into()]]);
    world.shows("SELECT v FROM others", "2");
    world.shows("SELECT v FROM naps ORDER BY id", "10\n 20\n 3\n 40\n 50");
    assert_eq!(
        world
            .db
            .one("SELECT state FROM sheet_sync.mapping WHERE id = 1"),
        "active"
    );
    world.db.run("DROP TRIGGER nap ON naps");
    world.sync("naps");
    world.shows("SELECT v FROM naps WHERE id = 3", "30");
    world.shows(PROBLEMS, "0");
}

#[test]
fn a_filter_that_sleeps_holds_up_its_own_mapping_only() {
    let mut world = world(
        "CREATE TABLE naps (id int PRIMARY KEY, v int); INSERT INTO naps VALUES (1, 1);
         CREATE TABLE awake (yes bool); INSERT INTO awake VALUES (true);
         CREATE FUNCTION nap() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
             IF NOT (SELECT yes FROM public.awake) THEN PERFORM pg_sleep(3600); END IF; RETURN true; END $$",
    );
    let naps = world.map_with("naps", "row_filter => 'nap()'");
    let others = world.map("others");
    naps.shows("id | v\n 1 | 1");
    world
        .db
        .run("UPDATE awake SET yes = false; UPDATE naps SET v = 2");
    world.shows(
        "SELECT query FROM pg_stat_activity WHERE backend_type = 'sheet_sync worker' AND datname = current_database()",
        "mapping 1 of table public.naps: reading rows",
    );
    world.shows(
        "SELECT mapping_id FROM sheet_sync.status WHERE busy_for > '100 ms'",
        "1",
    );
    world.shows(
        "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.status WHERE mapping_id = 1",
        "active | statement_timeout",
    );
    for v in ["2", "3"] {
        world.db.run(&format!("UPDATE others SET v = {v}"));
        others.shows(&format!("id | v\n 1 | {v}"));
    }
    world.db.run("UPDATE awake SET yes = true");
    naps.shows("id | v\n 1 | 2");
    world.shows(
        "SELECT count(*) FROM sheet_sync.status WHERE reason IS NOT NULL",
        "0",
    );
}

#[test]
fn a_cancelled_worker_goes_on_with_its_next_statement() {
    let (mut world, sheet) = World::with_products();
    let worker = "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'sheet_sync%' AND datname = current_database()";
    let before = world.db.one(worker);
    world
        .db
        .run(&format!("SELECT pg_cancel_backend(({worker}))"));
    world.db.run("UPDATE products SET price = 77 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 77\n 2 | Nut | 2\n 3 | Gear | 3");
    assert_eq!(world.db.one(worker), before);
}

#[test]
fn a_trigger_after_the_capture_s_own_is_ended_too() {
    let mut world = world(
        "CREATE TABLE naps (id int PRIMARY KEY, v int); INSERT INTO naps VALUES (1, 1);
         CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.v = 30 THEN PERFORM pg_sleep(3600); END IF; RETURN NULL; END $$;
         CREATE TRIGGER zzz AFTER UPDATE ON naps FOR EACH ROW EXECUTE FUNCTION nap()",
    );
    let naps = world.map("naps");
    let others = world.map("others");
    naps.type_at("B2", &[vec!["30".into()]]);
    world.shows("SELECT key, code FROM sheet_sync.problem", "{1} | 57014");
    others.type_at("B2", &[vec!["2".into()]]);
    world.shows("SELECT v FROM others", "2");
}

#[test]
fn a_domain_s_check_that_does_not_end_is_a_problem_of_its_row() {
    let mut world = world(
        "CREATE FUNCTION is_quick(v int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
             IF v = 30 THEN PERFORM pg_sleep(3600); END IF; RETURN true; END $$;
         CREATE DOMAIN quick AS int CHECK (public.is_quick(VALUE));
         CREATE TABLE naps (id int PRIMARY KEY, v quick); INSERT INTO naps VALUES (1, 1), (2, 2)",
    );
    let naps = world.map("naps");
    let others = world.map("others");
    naps.type_at("B2", &[vec!["30".into()], vec!["20".into()]]);
    world.shows("SELECT v FROM naps WHERE id = 2", "20");
    world.shows("SELECT key, code FROM sheet_sync.problem", "{1} | 57014");
    others.type_at("B2", &[vec!["2".into()]]);
    world.shows("SELECT v FROM others", "2");
    world.db.run(
        "CREATE OR REPLACE FUNCTION is_quick(v int) RETURNS bool LANGUAGE sql AS 'SELECT true'",
    );
    naps.type_at("B2", &[vec!["31".into()]]);
    world.shows("SELECT v FROM naps WHERE id = 1", "31");
    world.shows(PROBLEMS, "0");
}

/// What the table let through before is not held up by what it does not.
#[test]
fn rows_that_took_too_long_are_tried_after_the_others() {
    let mut world = world_with_naps(3);
    let naps = world.map("naps");
    naps.type_at("B2", &[vec!["30".into()]]);
    world.shows("SELECT key, code FROM sheet_sync.problem", "{1} | 57014");
    for v in ["20", "21"] {
        naps.type_at("B3", &[vec![v.into()]]);
        world.shows("SELECT v FROM naps WHERE id = 2", v);
    }
    naps.type_at("B2", &[vec!["10".into()]]);
    world.shows("SELECT v FROM naps ORDER BY id", "10\n 21\n 3");
    world.shows(PROBLEMS, "0");
}
