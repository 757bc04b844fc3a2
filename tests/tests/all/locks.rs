//! What somebody else holds locked: nothing waits for it, nobody hears of it, and it goes through
//! when the lock ends.

use e2e::{Db, Sheet, World};
use std::time::{Duration, Instant};

const SILENT: &str = "SELECT (SELECT count(*) FROM sheet_sync.problem), (SELECT count(*) FROM sheet_sync.mapping WHERE state = 'failed')";

/// Two tables with tabs; `a` has 40 rows, `b` one.
fn two_tables() -> (World, Sheet, Sheet) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a SELECT n, n FROM generate_series(1, 40) n;
         CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (1, 1)",
    );
    let a = world.map("a");
    let b = world.map("b");
    e2e::wait_for("forty rows", 41, || a.rows().len());
    b.shows("id | v\n 1 | 1");
    (world, a, b)
}

/// A session that goes on holding what this statement locks.
fn holding(world: &World, sql: &str) -> Db {
    let mut holder = world.connect();
    holder.run("BEGIN");
    holder.run(sql);
    holder
}

/// The worker has tried: it has read the sheet again and again since.
fn tried(world: &World) {
    let before = world.google.reads();
    e2e::wait_until("some more readings", || {
        match world.google.reads() - before {
            8.. => Ok(()),
            readings => Err(readings),
        }
    });
}

fn no_notes(sheet: &Sheet, cells: &[&str]) {
    for cell in cells {
        assert_eq!(sheet.note(cell), "", "a note on {cell}");
    }
}

fn column(values: impl Iterator<Item = i32>) -> Vec<Vec<String>> {
    values.map(|value| vec![value.to_string()]).collect()
}

#[test]
fn forty_locked_rows_hold_up_no_other_table_and_go_through_when_the_lock_ends() {
    let (mut world, a, b) = two_tables();
    let mut holder = holding(&world, "UPDATE a SET v = v");
    a.type_at("B2", &column(1001..1041));
    tried(&world);
    let written = Instant::now();
    world.db.run("UPDATE b SET v = 2");
    b.shows("id | v\n 1 | 2");
    b.set("B2", "3");
    world.table_shows("b", "id | v\n 1 | 3");
    // Generous for a slow machine, and far less than forty waits of any length.
    assert!(
        written.elapsed() < Duration::from_secs(20),
        "{:?}",
        written.elapsed()
    );
    world.shows(SILENT, "0 | 0");
    no_notes(&a, &["A2", "B2", "B41"]);
    holder.run("ROLLBACK");
    world.shows("SELECT count(*) FROM a WHERE v = id + 1000", "40");
    world.shows(SILENT, "0 | 0");
    world.both_equal("a", &a);
}

#[test]
fn the_other_rows_of_the_table_go_on_and_so_does_a_call() {
    let (mut world, a, _) = two_tables();
    let mut holder = holding(&world, "UPDATE a SET v = 0 WHERE id = 1");
    a.type_at("B2", &column(1001..1041));
    world.shows("SELECT count(*) FROM a WHERE v = id + 1000", "39");
    // Nobody waits for the one that is locked.
    world.sync("a");
    world.db.run("UPDATE a SET v = 7 WHERE id = 40");
    e2e::wait_for("the other way, too", "7".to_owned(), || a.cell("B41"));
    world.shows(SILENT, "0 | 0");
    // What it committed is a conflict with what was typed meanwhile, and neither is lost.
    holder.run("COMMIT");
    world.shows(
        "SELECT count(*) FROM sheet_sync.conflict WHERE key = '{1}'",
        "1",
    );
    world.both_equal("a", &a);
}

#[test]
fn deletes_and_new_rows_wait_silently_as_well() {
    let (mut world, a, _) = two_tables();
    let mut holder = holding(
        &world,
        "SELECT FROM a WHERE id = 2 FOR UPDATE; INSERT INTO a VALUES (100, 1)",
    );
    a.delete_row(3);
    a.type_row(&["100", "5"]);
    a.set("B2", "11");
    world.shows("SELECT v FROM a WHERE id = 1", "11");
    tried(&world);
    world.shows("SELECT count(*) FROM a WHERE id IN (2, 100)", "1");
    world.shows(SILENT, "0 | 0");
    holder.run("ROLLBACK");
    world.table_shows(
        "(SELECT * FROM a WHERE id IN (1, 2, 100)) x",
        "id | v\n 1 | 11\n 100 | 5",
    );
    world.shows(SILENT, "0 | 0");
}

#[test]
fn locks_that_only_show_inside_a_statement_are_no_problem_either() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (1), (2);
         CREATE TABLE kids (id int PRIMARY KEY, parent int REFERENCES parents, code text UNIQUE);
         INSERT INTO kids SELECT n, 1, 'c' || n FROM generate_series(1, 3) n;
         CREATE TABLE totals (parent int PRIMARY KEY, n int); INSERT INTO totals VALUES (1, 3), (2, 0);
         CREATE FUNCTION count_kids() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             UPDATE totals SET n = (SELECT count(*) FROM kids WHERE parent = NEW.parent) WHERE totals.parent = NEW.parent; RETURN NULL; END $$;
         CREATE TRIGGER count_kids AFTER INSERT OR UPDATE ON kids FOR EACH ROW EXECUTE FUNCTION count_kids()",
    );
    let sheet = world.map("kids");
    sheet.shows("id | parent | code\n 1 | 1 | c1\n 2 | 1 | c2\n 3 | 1 | c3");
    // A foreign key, a unique index, a trigger that touches another row.
    for (lock, cell, typed) in [
        ("SELECT FROM parents WHERE id = 2 FOR UPDATE", "B2", "2"),
        ("INSERT INTO kids VALUES (50, NULL, 'x')", "C3", "x"),
        ("UPDATE totals SET n = n WHERE parent = 1", "C4", "y"),
    ] {
        let mut holder = holding(&world, lock);
        sheet.set(cell, typed);
        tried(&world);
        world.shows(SILENT, "0 | 0");
        no_notes(&sheet, &["A2", "A3", "A4", cell]);
        holder.run("ROLLBACK");
        world.both_equal("kids", &sheet);
        world.shows(SILENT, "0 | 0");
    }
    assert_eq!(
        world
            .db
            .table("SELECT id, parent, code FROM kids ORDER BY id"),
        [["1", "2", "c1"], ["2", "1", "x"], ["3", "1", "y"]]
    );
}

#[test]
fn a_locked_table_waits_and_the_others_go_on() {
    let (mut world, a, b) = two_tables();
    let mut holder = holding(&world, "LOCK TABLE a IN ACCESS EXCLUSIVE MODE");
    a.set("B2", "11");
    b.set("B2", "22");
    world.table_shows("b", "id | v\n 1 | 22");
    tried(&world);
    world.shows(SILENT, "0 | 0");
    holder.run("COMMIT");
    world.shows("SELECT v FROM a WHERE id = 1", "11");
    world.shows(SILENT, "0 | 0");
}

#[test]
fn no_session_of_a_user_is_the_victim_of_a_deadlock() {
    let (mut world, a, _) = two_tables();
    let before = world
        .db
        .one("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    // Sessions that take the same rows in another order, all the time, while the sheet changes them
    // all.
    for round in 0..5 {
        a.type_at("B2", &column((0..40).map(|n| n + 1000 * (round + 2))));
        for id in (1..=40).rev() {
            let mut user = world.connect();
            user.run(&format!(
                "SET deadlock_timeout = '200ms'; BEGIN; UPDATE a SET v = v WHERE id = {id}; UPDATE a SET v = v WHERE id = {}; COMMIT",
                41 - id
            ));
        }
    }
    world.both_equal("a", &a);
    world.shows(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        &before,
    );
    world.shows(SILENT, "0 | 0");
}
