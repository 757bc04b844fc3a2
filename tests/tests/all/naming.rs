//! Which mapping a call is about: the one whose id it names, or that of the table. Where a table has
//! several tabs and none is named, a call that changes something is refused and lists them.

use e2e::{Refusal, Sheet, World, literal};

const STATES: &str = "SELECT mapping_id, state FROM sheet_sync.status ORDER BY 1";

/// Mapping 1 is the tab of tasks that are open, mapping 2 that of those that are done.
fn two_tabs() -> (World, Sheet, Sheet) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE tasks (id int PRIMARY KEY, done boolean NOT NULL);
         INSERT INTO tasks VALUES (1, false), (2, true)",
    );
    let book = world.google.spreadsheet("Tasks");
    for (title, filter) in [("open", "NOT done"), ("done", "done")] {
        let options = format!(
            "sheet => {}, row_filter => {}",
            literal(title),
            literal(filter)
        );
        world.register_at("tasks", book.id(), &options);
        book.wait_for_tab(title);
        world.merged("tasks");
    }
    let (open, done) = (book.wait_for_tab("open"), book.wait_for_tab("done"));
    open.shows("id | done\n 1 | FALSE");
    done.shows("id | done\n 2 | TRUE");
    world.settle("tasks");
    (world, open, done)
}

#[track_caller]
fn lists_both(refusal: &Refusal, call: &str) {
    assert_eq!(refusal.sqlstate, "22023", "{refusal}");
    let said = refusal.to_string();
    for words in [
        "tasks",
        "2 tabs",
        "Mapping 1: sheet \"open\"",
        "Mapping 2: sheet \"done\"",
    ] {
        assert!(said.contains(words), "{words:?} is missing: {said}");
    }
    let hint = refusal.hint.as_deref().unwrap_or_default();
    assert!(hint.contains(&format!("sheet_sync.{call}(1)")), "{hint}");
}

#[test]
fn a_table_with_several_tabs_is_not_named_by_its_name_where_something_changes() {
    let (mut world, open, done) = two_tabs();
    for call in ["pause", "resync", "unregister_table", "resume"] {
        for table in ["'tasks'", "'tasks'::regclass", "'tasks'::text"] {
            let refusal = world
                .db
                .refused(&format!("SELECT sheet_sync.{call}({table})"));
            lists_both(&refusal, call);
        }
    }
    // Both tabs are in one spreadsheet.
    let refusal = world.db.refused(&format!(
        "SELECT sheet_sync.unregister_table('tasks', {})",
        literal(open.id())
    ));
    lists_both(&refusal, "unregister_table");
    world.shows(STATES, "1 | active\n 2 | active");
    // What the hint says of all of them works.
    let refusal = world.db.refused("SELECT sheet_sync.pause('tasks')");
    let hint = refusal.hint.unwrap_or_default();
    let (_, all) = hint.split_once("For all of them: ").expect("a statement");
    world.db.run(all);
    world.shows(STATES, "1 | paused\n 2 | paused");
    world
        .db
        .run("SELECT sheet_sync.resume(mapping_id) FROM sheet_sync.status");
    // To carry over what stands is no danger: all tabs are meant.
    world.db.run("UPDATE tasks SET done = NOT done");
    world.shows(
        "SELECT mapping_id, problems FROM sheet_sync.sync('tasks') ORDER BY 1",
        "1 | 0\n 2 | 0",
    );
    open.shows("id | done\n 2 | FALSE");
    done.shows("id | done\n 1 | TRUE");
}

#[test]
fn a_mapping_is_named_by_its_id() {
    let (mut world, open, _done) = two_tabs();
    world.db.run("SELECT sheet_sync.pause(2)");
    world.shows(STATES, "1 | active\n 2 | paused");
    world
        .db
        .run("INSERT INTO tasks VALUES (3, false), (4, true)");
    for call in ["sync", "push", "pull"] {
        world.shows(&format!("SELECT mapping_id FROM sheet_sync.{call}(1)"), "1");
    }
    open.shows("id | done\n 1 | FALSE\n 3 | FALSE");
    let refused = world.db.refused("SELECT * FROM sheet_sync.sync(2)");
    assert!(refused.message.contains("paused"), "{refused}");
    world.shows(
        "SELECT mapping_id, changes, key[1] FROM sheet_sync.preview(mapping_id => 2) WHERE column_name = 'id'",
        "2 | sheet | 4",
    );
    world.db.run("SELECT sheet_sync.resync(2)");
    world.shows(STATES, "1 | active\n 2 | paused");
    world.db.run("SELECT sheet_sync.resume(2)");
    world.shows(STATES, "1 | active\n 2 | active");
    let nothing = world.db.refused("SELECT sheet_sync.take_over(2)");
    assert_eq!(nothing.sqlstate, "55000", "{nothing}");
    world.shows("SELECT sheet_sync.unregister_table(1)", "1");
    world.shows(STATES, "2 | active");
    // Now the table's name is enough.
    world.db.run("SELECT sheet_sync.pause('tasks')");
    world.shows(STATES, "2 | paused");
}

#[test]
fn the_address_of_a_tab_ends_the_mapping_of_that_tab_alone() {
    let (mut world, open, done) = two_tabs();
    let end = |address: &str| {
        format!(
            "SELECT sheet_sync.unregister_table('tasks', {})",
            literal(address)
        )
    };
    let elsewhere = open.address().replace("#gid=", "#gid=9");
    let refusal = world.db.refused(&end(&elsewhere));
    assert_eq!(refusal.sqlstate, "42704", "{refusal}");
    assert_eq!(world.db.one(&end(&done.address())), "1");
    world.shows(STATES, "1 | active");
    assert_eq!(world.db.one(&end(open.id())), "1");
    world.shows(STATES, "");
}

#[test]
fn an_id_is_good_for_the_owner_of_its_table_only() {
    let (mut world, _open, _done) = two_tabs();
    world
        .db
        .run("CREATE ROLE stranger LOGIN; GRANT ALL ON tasks TO stranger");
    let mut stranger = world.connect_as("stranger");
    let calls = [
        "SELECT sheet_sync.pause(1)",
        "SELECT sheet_sync.resume(1)",
        "SELECT sheet_sync.resync(1)",
        "SELECT sheet_sync.take_over(1)",
        "SELECT sheet_sync.unregister_table(1)",
        "SELECT sheet_sync.confirm_deletes(1)",
        "SELECT * FROM sheet_sync.sync(1)",
        "SELECT * FROM sheet_sync.push(1)",
        "SELECT * FROM sheet_sync.pull(1)",
        "SELECT * FROM sheet_sync.preview(1)",
    ];
    for call in calls {
        let refusal = stranger.refused(call);
        assert_eq!(refusal.sqlstate, "42501", "{call}: {refusal}");
        assert!(refusal.hint.is_some(), "{call}: {refusal}");
        for (id, sqlstate) in [("77", "42704"), ("NULL::int", "22004")] {
            let call = call.replace("(1)", &format!("({id})"));
            let refusal = world.db.refused(&call);
            assert_eq!(refusal.sqlstate, sqlstate, "{call}: {refusal}");
            assert!(refusal.hint.is_some(), "{call}: {refusal}");
        }
    }
    world.shows(STATES, "1 | active\n 2 | active");
    // A number of another type is taken for a table's.
    let refusal = world.db.refused("SELECT sheet_sync.pause(1::bigint)");
    assert!(refusal.to_string().contains("1::integer"), "{refusal}");
    world.db.run("DROP TABLE tasks");
    world.shows(STATES, "1 | ended\n 2 | ended");
    let refusal = world.db.refused("SELECT sheet_sync.resume(1)");
    assert_eq!(refusal.sqlstate, "55000", "{refusal}");
    assert!(refusal.to_string().contains("dismiss(1)"), "{refusal}");
}

/// A bare literal is a name, looked up as in any statement of the caller's.
#[test]
fn a_name_is_looked_up_in_the_callers_search_path() {
    let mut world = World::start();
    world.db.run(
        "CREATE SCHEMA shop; CREATE TABLE shop.goods (id int PRIMARY KEY); SET search_path = shop",
    );
    let book = world.google.spreadsheet("Goods");
    world.register_at("goods", book.id(), "");
    world.merged("goods");
    world.db.run("SELECT sheet_sync.pause('goods')");
    world.shows("SELECT state FROM sheet_sync.status", "paused");
    world
        .db
        .run("SELECT sheet_sync.resume(table_name => 'goods')");
    world
        .db
        .run("SELECT * FROM sheet_sync.sync('goods', timeout => '1 min')");
    world
        .db
        .run("SELECT sheet_sync.pause(table_name) FROM sheet_sync.status");
    world.shows("SELECT state FROM sheet_sync.status", "paused");
}
