//! A row that a person moves from one tab of a table to another is one row: what the tabs do not
//! show of it stays.

use e2e::{Sheet, World, wait_for, wait_until};

const TASKS: &str =
    "CREATE TABLE tasks (id int PRIMARY KEY, title text, status text CHECK (status <> 'nonsense'), secret text);
     CREATE TABLE comments (task int REFERENCES tasks ON DELETE CASCADE, body text);
     INSERT INTO tasks VALUES (1, 'a', 'open', 's1'), (2, 'b', 'open', 's2'), (3, 'c', 'done', 's3');
     INSERT INTO comments VALUES (2, 'hello')";

const OPEN: &str =
    "sheet => 'Open', row_filter => $$status = 'open'$$, columns => '{id,title,status}'";
const DONE: &str =
    "sheet => 'Done', row_filter => $$status = 'done'$$, columns => '{id,title,status}'";

/// Tasks with a tab for those that are open and one for those that are done, registered in this
/// order.
fn tasks(order: [&str; 2]) -> (World, Sheet, Sheet) {
    let mut world = World::start();
    world.db.run(TASKS);
    let book = world.google.spreadsheet("Tasks");
    for options in order {
        world.register_at("tasks", book.id(), options);
    }
    let (open, done) = (book.wait_for_tab("Open"), book.wait_for_tab("Done"));
    merged(&mut world, &open, &done);
    (world, open, done)
}

fn merged(world: &mut World, open: &Sheet, done: &Sheet) {
    world.merged("tasks");
    open.shows("id | title | status\n 1 | a | open\n 2 | b | open");
    done.shows("id | title | status\n 3 | c | done");
}

fn sync(world: &mut World) {
    world.sync("tasks");
}

fn task(world: &mut World) -> String {
    let rows = world.db.table(
        "SELECT title, status, secret, (SELECT count(*) FROM comments) FROM tasks WHERE id = 2",
    );
    rows.concat().join(" | ")
}

/// The row is done, has what no tab shows of it, and stands in one tab only; nothing is left to say
/// about it.
#[track_caller]
fn is_done(world: &mut World, open: &Sheet, done: &Sheet) {
    wait_for("the task", "b | done | s2 | 1".to_owned(), || task(world));
    open.shows("id | title | status\n 1 | a | open");
    done.shows("id | title | status\n 3 | c | done\n 2 | b | done");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.quiet();
}

/// The problems of the tab with this title, by key and code.
fn problems(world: &mut World, tab: &str) -> Vec<Vec<String>> {
    world.db.table(&format!(
        "SELECT p.key, p.code FROM sheet_sync.problem p JOIN sheet_sync.mapping m ON m.id = p.mapping_id WHERE m.sheet_title = '{tab}'"
    ))
}

#[track_caller]
fn says(world: &mut World, tab: &str, code: &str) {
    wait_until(&format!("a problem {code} in {tab}"), || {
        let seen = problems(world, tab);
        match seen.as_slice() {
            [one] if one[0] == "{2}" && one[1] == code => Ok(()),
            _ => Err(seen),
        }
    });
}

#[test]
fn a_row_cut_from_one_tab_and_pasted_into_another_is_one_row() {
    for order in [[OPEN, DONE], [DONE, OPEN]] {
        let (mut world, open, done) = tasks(order);
        world.at_once("tasks", |_| {
            open.delete_row(3);
            done.type_row(&["2", "b", "done"]);
        });
        sync(&mut world);
        assert_eq!(task(&mut world), "b | done | s2 | 1");
        is_done(&mut world, &open, &done);
        let kinds = world.db.table(
            "SELECT DISTINCT operation FROM sheet_sync.history WHERE side = 'database' AND key = '{2}'",
        );
        assert_eq!(kinds, [["update"]]);
    }
}

#[test]
fn whichever_comes_first() {
    let (mut world, open, done) = tasks([OPEN, DONE]);
    open.delete_row(3);
    // Read without it, and not yet believed.
    let reads = world.google.reads();
    wait_until("a reading", || {
        let more = world.google.reads() - reads;
        if more > 2 { Ok(()) } else { Err(more) }
    });
    done.type_row(&["2", "b", "done"]);
    is_done(&mut world, &open, &done);

    // And back again, the other way about.
    open.type_row(&["2", "b", "open"]);
    says(&mut world, "Open", "row_filter");
    assert_eq!(task(&mut world), "b | done | s2 | 1");
    done.delete_row(done.row_where(0, "2"));
    wait_for("the task", "b | open | s2 | 1".to_owned(), || {
        task(&mut world)
    });
    done.shows("id | title | status\n 3 | c | done");
    open.shows("id | title | status\n 1 | a | open\n 2 | b | open");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn between_spreadsheets_and_past_the_end_of_the_worker() {
    let mut world = World::start();
    world.db.run(TASKS);
    let [open, done] = [("Open", OPEN), ("Done", DONE)].map(|(title, options)| {
        let book = world.google.spreadsheet(title);
        world.register_at("tasks", book.id(), options);
        book.wait_for_tab(title)
    });
    merged(&mut world, &open, &done);
    world.at_once("tasks", |world| {
        open.delete_row(3);
        done.type_row(&["2", "b", "done"]);
        world.terminate_worker();
    });
    is_done(&mut world, &open, &done);
}

#[test]
fn a_row_that_does_not_belong_where_it_was_pasted_waits_until_it_does() {
    let (mut world, open, done) = tasks([OPEN, DONE]);
    world.at_once("tasks", |_| {
        open.delete_row(3);
        done.type_row(&["2", "b", "open"]);
    });
    sync(&mut world);
    says(&mut world, "Done", "row_filter");
    // What the table refuses is a problem just so.
    done.set("C3", "nonsense");
    says(&mut world, "Done", "23514");
    world.terminate_worker();
    sync(&mut world);
    sync(&mut world);
    assert_eq!(task(&mut world), "b | open | s2 | 1");
    assert_eq!(open.rows().len(), 2, "the row is not put back either");
    done.set("C3", "done");
    is_done(&mut world, &open, &done);
}

#[test]
fn a_row_that_leaves_the_other_tab_too_is_deleted() {
    let (mut world, open, done) = tasks([OPEN, DONE]);
    world.at_once("tasks", |_| {
        open.delete_row(3);
        done.type_row(&["2", "b", "open"]);
    });
    sync(&mut world);
    says(&mut world, "Done", "row_filter");
    done.delete_row(3);
    world.table_shows("tasks", "id | title\n 1 | a\n 3 | c");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    assert_eq!(world.db.count("SELECT count(*) FROM comments"), 0);
}

#[test]
fn a_row_moves_on_while_sql_changes_what_no_tab_shows() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE tasks (id int PRIMARY KEY, title text, status text, secret text);
         CREATE TABLE comments (task int REFERENCES tasks ON DELETE CASCADE, body text);
         INSERT INTO tasks VALUES (1, 'a', 'open', 's1'), (2, 'b', 'open', 's2');
         INSERT INTO comments VALUES (2, 'hello')",
    );
    let book = world.google.spreadsheet("Tasks");
    for (tab, status) in [("Open", "open"), ("Doing", "doing"), ("Done", "done")] {
        world.register_at("tasks", book.id(), &format!(
            "sheet => '{tab}', row_filter => $$status = '{status}'$$, columns => '{{id,title,status}}'"
        ));
    }
    let [open, doing, done] = ["Open", "Doing", "Done"].map(|tab| book.wait_for_tab(tab));
    world.merged("tasks");
    open.shows("id | title | status\n 1 | a | open\n 2 | b | open");
    world.at_once("tasks", |world| {
        open.delete_row(3);
        done.type_row(&["2", "b", "done"]);
        world.db.run("UPDATE tasks SET secret = 's9' WHERE id = 2");
    });
    sync(&mut world);
    world.shows(
        "SELECT status, secret, (SELECT count(*) FROM comments) FROM tasks WHERE id = 2",
        "done | s9 | 1",
    );
    // On through a third tab, one after the other.
    done.delete_row(2);
    doing.type_row(&["2", "b", "doing"]);
    world.shows(
        "SELECT status, secret, (SELECT count(*) FROM comments) FROM tasks WHERE id = 2",
        "doing | s9 | 1",
    );
    doing.shows("id | title | status\n 2 | b | doing");
    done.shows("id | title | status");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.quiet();
}

#[test]
fn a_copy_changes_nothing_while_the_original_stands() {
    let (mut world, open, done) = tasks([OPEN, DONE]);
    done.type_row(&["2", "b, copied", "done"]);
    says(&mut world, "Done", "row_filter");
    for _ in 0..3 {
        sync(&mut world);
    }
    assert_eq!(task(&mut world), "b | open | s2 | 1");
    assert_eq!(open.rows().len(), 3);
    // The original says so.
    open.set("C3", "done");
    wait_for("the task", "done".to_owned(), || {
        world.db.one("SELECT status FROM tasks WHERE id = 2")
    });
    open.shows("id | title | status\n 1 | a | open");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    assert_eq!(world.db.one("SELECT secret FROM tasks WHERE id = 2"), "s2");
}

#[test]
fn what_else_is_typed_goes_along_and_what_is_left_blank_stays() {
    let (mut world, open, done) = tasks([OPEN, DONE]);
    world.at_once("tasks", |_| {
        open.delete_rows(2, 2);
        done.type_row(&["2", "better", "done"]);
        done.type_row(&["1", "", "done"]);
    });
    done.shows("id | title | status\n 3 | c | done\n 2 | better | done\n 1 | a | done");
    world.table_shows(
        "tasks",
        "id | title | status | secret\n 1 | a | done | s1\n 2 | better | done | s2\n 3 | c | done | s3",
    );
    open.shows("id | title | status");
}

#[test]
fn a_row_that_may_stand_in_a_tab_that_is_not_read_is_not_deleted() {
    let (mut world, open, done) = tasks([OPEN, DONE]);
    done.set("A1", "");
    world.shows(
        "SELECT state FROM sheet_sync.mapping WHERE sheet_title = 'Done'",
        "failed",
    );
    open.delete_row(3);
    says(&mut world, "Open", "tab_not_read");
    assert_eq!(task(&mut world), "b | open | s2 | 1");
    let said = world
        .db
        .one("SELECT message || hint FROM sheet_sync.problem");
    assert!(said.contains("\"Done\""), "{said}");
    done.set("A1", "id");
    world.table_shows("tasks", "id | title\n 1 | a\n 3 | c");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_row_that_is_gone_from_every_tab_is_deleted() {
    let (mut world, open, done) = tasks([OPEN, DONE]);
    open.delete_row(3);
    sync(&mut world);
    sync(&mut world);
    world.table_shows("tasks", "id | title\n 1 | a\n 3 | c");
    assert_eq!(world.db.count("SELECT count(*) FROM comments"), 0);
    done.shows("id | title | status\n 3 | c | done");
}

#[test]
fn tabs_without_a_filter_merge_what_is_typed_into_both() {
    let mut world = World::start();
    world.db.run(TASKS);
    let book = world.google.spreadsheet("Tasks");
    for title in ["One", "Two"] {
        world.register_at("tasks", book.id(), &format!("sheet => '{title}'"));
    }
    let (one, two) = (book.wait_for_tab("One"), book.wait_for_tab("Two"));
    world.merged("tasks");
    world.at_once("tasks", |_| {
        one.type_row(&["4", "d", "open", "s4"]);
        two.type_row(&["4", "d", "open", "s4"]);
    });
    world.both_equal("tasks", &one);
    world.both_equal("tasks", &two);
    assert_eq!(world.db.count("SELECT count(*) FROM tasks"), 4);
    // All three are equal before the second tab is read: what goes from it then was never agreed
    // on.
    world.settle("tasks");
    two.delete_row(two.row_where(0, "4"));
    world.shows("SELECT count(*) FROM tasks", "3");
    world.both_equal("tasks", &one);
    world.both_equal("tasks", &two);
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}
