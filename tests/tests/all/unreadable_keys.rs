//! A row whose key cannot be read is not gone: nothing of it is deleted, renamed or overwritten
//! until somebody can tell which row it is.

use e2e::{Sheet, World};

const PARTS: &str = "sku | name | hidden
     A-1 | Bolt | kept
     A-2 | Nut  | kept
     A-3 | Gear | kept";

/// Parts with stock that hangs on them, and a people's tab whose keys are formulas that show an
/// error while F1 does not say "on".
fn parts_with_formulas(options: &str) -> (World, Sheet) {
    let (mut world, sheet) = parts_to_register("on");
    let options = format!("columns => '{{sku,name}}'{options}");
    world.register("parts", &sheet, &options);
    world.merged("parts");
    (world, sheet)
}

fn parts_to_register(switch: &str) -> (World, Sheet) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (sku text PRIMARY KEY, name text, hidden text DEFAULT 'kept');
         INSERT INTO parts VALUES ('A-1', 'Bolt'), ('A-2', 'Nut'), ('A-3', 'Gear');
         CREATE TABLE stock (sku text REFERENCES parts ON DELETE CASCADE ON UPDATE CASCADE, n int);
         INSERT INTO stock SELECT sku, 5 FROM parts;",
    );
    let sheet = world.google.spreadsheet("Parts").tab(
        "parts",
        &format!("sku | name | | | | {switch}\n | Bolt\n | Nut\n | Gear"),
    );
    for row in 2..=4 {
        let formula = format!("=IF($F$1=\"on\",\"A-{}\",1/0)", row - 1);
        sheet.set(&format!("A{row}"), &formula);
    }
    (world, sheet)
}

fn nothing_is_lost(world: &mut World) {
    world.table_shows("parts", PARTS);
    assert_eq!(world.db.count("SELECT count(*) FROM stock"), 3);
}

fn errors(world: &mut World, count: i64) {
    world.shows(
        "SELECT count(*) FROM sheet_sync.problem WHERE code = 'error_cell' AND column_name = 'sku'",
        &count.to_string(),
    );
}

fn no_problem(world: &mut World) {
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn keys_that_show_an_error_for_a_moment_delete_and_rename_nothing() {
    let (mut world, sheet) = parts_with_formulas("");
    sheet.set("F1", "off");
    errors(&mut world, 3);
    world.settle("parts");
    nothing_is_lost(&mut world);
    sheet.set("F1", "on");
    no_problem(&mut world);
    world.settle("parts");
    nothing_is_lost(&mut world);
    // Both ways go on.
    sheet.set("B3", "Wing nut");
    world.shows("SELECT name FROM parts WHERE sku = 'A-2'", "Wing nut");
}

#[test]
fn a_first_merge_while_keys_show_errors_doubles_no_row() {
    let (mut world, sheet) = parts_to_register("off");
    world.register("parts", &sheet, "columns => '{sku,name}'");
    errors(&mut world, 3);
    world.settle("parts");
    assert_eq!(sheet.rows().len(), 4);
    sheet.set("F1", "on");
    no_problem(&mut world);
    world.settle("parts");
    assert_eq!(sheet.rows().len(), 4);
    nothing_is_lost(&mut world);
    sheet.set("B3", "Wing nut");
    world.shows("SELECT name FROM parts WHERE sku = 'A-2'", "Wing nut");
}

#[test]
fn keys_that_all_load_for_a_moment_lose_nothing_while_both_sides_go_on() {
    for shown in ["\"Loading...\"", "NA()", "\"#REF!\"", "\"\""] {
        let mut world = World::start();
        world.db.run(
            "CREATE TABLE parts (id int PRIMARY KEY, name text, hidden text DEFAULT 'kept');
             INSERT INTO parts VALUES (1, 'Bolt'), (2, 'Nut'), (3, 'Gear');
             CREATE TABLE stock (id int REFERENCES parts ON DELETE CASCADE ON UPDATE CASCADE, n int);
             INSERT INTO stock SELECT id, 5 FROM parts;",
        );
        let sheet = world
            .google
            .spreadsheet("Parts")
            .tab("parts", "id | name | | | | on\n | Bolt\n | Nut\n | Gear");
        for row in 2..=4 {
            sheet.set(
                &format!("A{row}"),
                &format!("=IF($F$1=\"on\",{},{shown})", row - 1),
            );
        }
        world.register("parts", &sheet, "columns => '{id,name}'");
        world.merged("parts");
        sheet.set("F1", "off");
        world.shows("SELECT count(*) > 0 FROM sheet_sync.problem", "t");
        // Both sides go on meanwhile.
        world.db.run(
            "UPDATE parts SET name = 'Long bolt' WHERE id = 1; INSERT INTO parts VALUES (4, 'Cog')",
        );
        world.settle("parts");
        world.shows(
            "SELECT id, name, hidden FROM parts ORDER BY 1",
            "1 | Long bolt | kept\n 2 | Nut | kept\n 3 | Gear | kept\n 4 | Cog | kept",
        );
        world.shows("SELECT id FROM stock ORDER BY 1", "1\n2\n3");
        sheet.set("F1", "on");
        no_problem(&mut world);
        world.settle("parts");
        world.shows("SELECT id FROM stock ORDER BY 1", "1\n2\n3");
        e2e::wait_for(
            "the new row",
            ["4", "Cog"].map(str::to_owned).to_vec(),
            || sheet.rows().pop().unwrap_or_default(),
        );
        sheet.shows("id | name | | | | on\n 1 | Long bolt\n 2 | Nut\n 3 | Gear\n 4 | Cog");
    }
}

#[test]
fn one_key_that_shows_an_error_renames_nothing() {
    let (mut world, sheet) = parts_with_formulas("");
    sheet.set("A2", "=1/0");
    errors(&mut world, 1);
    world.settle("parts");
    nothing_is_lost(&mut world);
    world.shows(
        "SELECT message LIKE '%#DIV/0!%' AND message LIKE '%A-1%' FROM sheet_sync.problem",
        "t",
    );
    sheet.set("A2", "A-1");
    no_problem(&mut world);
    nothing_is_lost(&mut world);
}

#[test]
fn a_row_is_deleted_beside_one_with_an_error_that_is_another() {
    let (mut world, sheet) = parts_with_formulas("");
    sheet.set("A2", "=1/0");
    errors(&mut world, 1);
    sheet.delete_row(3);
    world.shows(
        "SELECT string_agg(sku, ' ' ORDER BY sku) FROM parts",
        "A-1 A-3",
    );
}

#[test]
fn a_sheet_that_is_only_read_loses_nothing_to_errors_either() {
    let (mut world, sheet) = parts_with_formulas(", direction => 'from_sheet'");
    sheet.set("F1", "off");
    errors(&mut world, 3);
    world.settle("parts");
    nothing_is_lost(&mut world);
    sheet.set("F1", "on");
    no_problem(&mut world);
    nothing_is_lost(&mut world);
}

#[test]
fn nothing_is_forgotten_when_the_worker_ends_while_errors_stand() {
    let (mut world, sheet) = parts_with_formulas("");
    sheet.set("F1", "off");
    errors(&mut world, 3);
    world.terminate_worker();
    world.settle("parts");
    nothing_is_lost(&mut world);
    sheet.set("F1", "on");
    no_problem(&mut world);
    nothing_is_lost(&mut world);
}

/// Tasks with comments that go with them.
fn tasks() -> (World, Sheet) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE tasks (id int PRIMARY KEY, title text, status text, secret text DEFAULT 's');
         CREATE TABLE comments (task int REFERENCES tasks ON DELETE CASCADE ON UPDATE CASCADE, body text);
         INSERT INTO tasks VALUES (1, 'a', 'open'), (2, 'b', 'open'), (3, 'c', 'done');
         INSERT INTO comments SELECT id, 'hello' FROM tasks;",
    );
    let sheet = world.map_with("tasks", "columns => '{id,title,status}'");
    world.merged("tasks");
    (world, sheet)
}

const TASKS: &str =
    "id | title | status | secret\n 1 | a | open | s\n 2 | b | open | s\n 3 | c | done | s";

fn comments_stay(world: &mut World) {
    assert_eq!(world.db.count("SELECT count(*) FROM comments"), 3);
}

/// A key is spoilt, and nothing happens but a problem with this code; then it is typed again.
fn is_spoilt_and_mended(spoil: &str, code: &str) {
    let (mut world, sheet) = tasks();
    sheet.set("A3", spoil);
    world.shows(
        &format!("SELECT count(*) > 0 FROM sheet_sync.problem WHERE code = '{code}'"),
        "t",
    );
    world.settle("tasks");
    world.table_shows("tasks", TASKS);
    comments_stay(&mut world);
    world.shows(
        "SELECT bool_or(message LIKE '%may be the row 2%') FROM sheet_sync.problem",
        "t",
    );
    sheet.set("A3", "2");
    no_problem(&mut world);
    world.table_shows("tasks", TASKS);
    comments_stay(&mut world);
    assert_eq!(sheet.cell("A3"), "2");
}

#[test]
fn a_key_that_is_no_number_deletes_nothing() {
    is_spoilt_and_mended("two", "22P02");
}

#[test]
fn a_key_that_is_still_loading_deletes_nothing() {
    is_spoilt_and_mended("Loading...", "error_cell");
}

#[test]
fn a_key_that_is_emptied_deletes_nothing() {
    is_spoilt_and_mended("", "missing_key");
}

#[test]
fn a_key_that_becomes_that_of_another_row_deletes_nothing() {
    is_spoilt_and_mended("1", "duplicate_key");
}

#[test]
fn an_emptied_key_that_could_be_generated_is_not_given_a_new_one() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE tasks (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, title text, status text);
         INSERT INTO tasks (title, status) VALUES ('a', 'open'), ('b', 'open');",
    );
    let sheet = world.map("tasks");
    world.merged("tasks");
    sheet.set("A3", "");
    world.shows("SELECT code FROM sheet_sync.problem", "missing_key");
    world.settle("tasks");
    let both = "id | title | status\n 1 | a | open\n 2 | b | open";
    world.table_shows("tasks", both);
    sheet.set("A3", "2");
    no_problem(&mut world);
    // A new row gets its key as ever.
    sheet.type_row(&["", "c", "new"]);
    world.shows("SELECT title FROM tasks WHERE id = 3", "c");
}

#[test]
fn a_key_that_is_changed_takes_its_row_along_with_an_edit_beside_it() {
    let (mut world, sheet) = tasks();
    world.at_once("tasks", |_| {
        sheet.set("A3", "22");
        sheet.set("B3", "bee");
    });
    world.table_shows(
        "tasks",
        "id | title | status | secret\n 1 | a | open | s\n 3 | c | done | s\n 22 | bee | open | s",
    );
    world.shows("SELECT task FROM comments ORDER BY task", "1\n3\n22");
}

#[test]
fn a_key_that_is_changed_while_sql_changes_the_row_takes_it_along() {
    let (mut world, sheet) = tasks();
    world.at_once("tasks", |world| {
        sheet.set("A3", "22");
        world
            .db
            .run("UPDATE tasks SET title = 'from sql' WHERE id = 2");
    });
    world.table_shows(
        "tasks",
        "id | title | status | secret\n 1 | a | open | s\n 3 | c | done | s\n 22 | from sql | open | s",
    );
    sheet.shows("id | title | status\n 1 | a | open\n 22 | from sql | open\n 3 | c | done");
    comments_stay(&mut world);
}

#[test]
fn a_row_that_is_cut_and_pasted_and_keys_that_are_exchanged_by_hand_keep_their_children() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE tasks (id int PRIMARY KEY, title text, done boolean NOT NULL DEFAULT false, secret text DEFAULT 's');
         CREATE TABLE comments (task int REFERENCES tasks ON DELETE CASCADE ON UPDATE CASCADE, body text);
         INSERT INTO tasks VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'); INSERT INTO comments SELECT id, 'hello' FROM tasks",
    );
    let sheet = world.map_with("tasks", "columns => '{id,title,done}'");
    e2e::wait_for("five rows", 5, || sheet.rows().len());
    world.sync("tasks");
    let cut: Vec<String> = sheet.rows()[2].clone();
    sheet.delete_row(3);
    sheet.type_at("A8", &[cut]);
    let whole = "SELECT count(*), count(*) FILTER (WHERE secret = 's'), (SELECT count(*) FROM comments) FROM tasks";
    world.quiet();
    world.shows(whole, "4 | 4 | 4");
    world.at_once("tasks", |_| {
        let (one, other) = (sheet.row_where(0, "1"), sheet.row_where(0, "3"));
        sheet.set(&format!("A{one}"), "3");
        sheet.set(&format!("A{other}"), "1");
    });
    world.shows(
        "SELECT id, title, secret FROM tasks ORDER BY id",
        "1 | c | s\n 2 | b | s\n 3 | a | s\n 4 | d | s",
    );
    world.shows(whole, "4 | 4 | 4");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_row_that_was_unreadable_before_holds_up_no_deletion() {
    let (mut world, sheet) = tasks();
    sheet.type_row(&["Section", "b", "open"]);
    world.shows("SELECT code FROM sheet_sync.problem", "22P02");
    sheet.delete_row(3);
    world.shows(
        "SELECT string_agg(id::text, ' ' ORDER BY id) FROM tasks",
        "1 3",
    );
}
