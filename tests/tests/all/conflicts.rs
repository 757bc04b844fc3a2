//! Both sides change the same cell, or one deletes what the other changes: a stated rule decides,
//! and the loser is kept.

use e2e::{Fault, Kind, When, World};

const CONFLICTS: &str = "SELECT key[1], column_name, base_value, database_value, sheet_value #>> '{}', winner FROM sheet_sync.conflict ORDER BY id";

/// Products under one policy, both sides changed at once.
fn clash(policy: &str) -> (World, e2e::Sheet) {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text, price numeric); INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2)");
    let sheet = world.map_with("products", &format!("conflict_policy => '{policy}'"));
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2");
    world.merged("products");
    world.at_once("products", |world| {
        world
            .db
            .run("UPDATE products SET price = 10, name = 'Bolt M4' WHERE id = 1");
        sheet.set("C2", "20");
    });
    (world, sheet)
}

#[test]
fn database_wins() {
    let (mut world, sheet) = clash("database_wins");
    sheet.shows("id | name | price\n 1 | Bolt M4 | 10\n 2 | Nut | 2");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt M4 | 10\n 2 | Nut | 2",
    );
    world.shows(CONFLICTS, "1 | price | 1 | 10 | 20 | database");
    world.quiet();
}

#[test]
fn sheet_wins() {
    let (mut world, sheet) = clash("sheet_wins");
    sheet.shows("id | name | price\n 1 | Bolt M4 | 20\n 2 | Nut | 2");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt M4 | 20\n 2 | Nut | 2",
    );
    world.shows(CONFLICTS, "1 | price | 1 | 10 | 20 | sheet");
    world.quiet();
}

#[test]
fn last_write_wins_is_the_databases_when_nobody_can_tell() {
    let (mut world, sheet) = clash("last_write_wins");
    world.both_equal("products", &sheet);
    world.shows(
        "SELECT count(*), min(winner) FROM sheet_sync.conflict",
        "1 | database",
    );
    world.shows("SELECT price FROM products WHERE id = 1", "10");
}

/// A reading lies between the two changes, and showed that the sheet's was still to come.
#[test]
fn last_write_wins_is_the_sheets_when_it_was_edited_later() {
    let (mut world, sheet) = World::with_products();
    // What the table changes cannot get into the sheet, which is read all the same.
    let gate = world.google.gate();
    gate.fault_on(Kind::Tag, Fault::status(503), usize::MAX);
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    world.db.run("SELECT * FROM sheet_sync.pull('products')");
    sheet.set("C2", "20");
    world.google.mend();
    world.sync("products");
    world.shows(CONFLICTS, "1 | price | 1 | 10 | 20 | sheet");
    world.both_equal("products", &sheet);
    world.shows("SELECT price FROM products WHERE id = 1", "20");
}

/// The reading showed the sheet's edit, and the table's change came after it, before the edit
/// reached the table.
#[test]
fn last_write_wins_is_the_databases_when_it_changed_later() {
    const ROWS: usize = 400;
    let mut world = World::configured(&[("sheet_sync.max_request_bytes", "50000")]);
    // Edits of that many rows reach the table in several transactions. In the first of them the
    // last row changes, too.
    world.db.run(&format!(
        "CREATE TABLE products (id int PRIMARY KEY, price numeric);
         INSERT INTO products SELECT n, n FROM generate_series(1, {ROWS}) n;
         CREATE FUNCTION reprice() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN UPDATE public.products SET price = 10 WHERE id = {ROWS}; RETURN NULL; END $$;
         CREATE TRIGGER reprice AFTER UPDATE ON products FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION reprice()"
    ));
    let sheet = world.map_with("products", "max_delete_percent => 100");
    world.both_equal("products", &sheet);
    world.at_once("products", |world| {
        world.db.run("UPDATE sheet_sync.mapping SET tie = 'sheet'");
        let prices: Vec<Vec<String>> = (0..ROWS)
            .map(|row| vec![(5_000 + row).to_string()])
            .collect();
        sheet.type_at("B2", &prices[..ROWS / 2]);
        sheet.set(&format!("B{}", ROWS + 1), "20");
    });
    world.shows(
        CONFLICTS,
        &format!("{ROWS} | price | {ROWS} | 10 | 20 | database"),
    );
    world.both_equal("products", &sheet);
    world.shows(
        &format!("SELECT price FROM products WHERE id = {ROWS}"),
        "10",
    );
}

#[test]
fn manual_leaves_the_cell_as_it_is_on_both_sides_until_somebody_decides() {
    let (mut world, sheet) = clash("manual");
    world.shows(CONFLICTS, "1 | price | 1 | 10 | 20 | pending");
    // The rest of the row goes on.
    sheet.shows("id | name | price\n 1 | Bolt M4 | 20\n 2 | Nut | 2");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt M4 | 10\n 2 | Nut | 2",
    );
    world
        .db
        .run("UPDATE products SET name = 'Bolt M5' WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt M5 | 20\n 2 | Nut | 2");
    world.quiet();
    world
        .db
        .run("SELECT sheet_sync.resolve((SELECT id FROM sheet_sync.conflict), 'sheet')");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt M5 | 20\n 2 | Nut | 2",
    );
    world.shows(
        "SELECT settled, resolved_by FROM sheet_sync.conflict",
        "t | postgres",
    );
}

#[test]
fn manual_may_be_settled_with_a_value_that_neither_side_has() {
    let (mut world, sheet) = clash("manual");
    world.shows(CONFLICTS, "1 | price | 1 | 10 | 20 | pending");
    world
        .db
        .run("SELECT sheet_sync.resolve((SELECT id FROM sheet_sync.conflict), 'value', '15')");
    sheet.shows("id | name | price\n 1 | Bolt M4 | 15\n 2 | Nut | 2");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt M4 | 15\n 2 | Nut | 2",
    );
    world.shows(
        "SELECT winner, decided_value, settled FROM sheet_sync.conflict",
        "value | 15 | t",
    );
    world.quiet();
}

#[test]
fn a_conflict_whose_cell_has_changed_since_is_superseded_and_not_decided() {
    let (mut world, sheet) = clash("manual");
    world.shows(CONFLICTS, "1 | price | 1 | 10 | 20 | pending");
    sheet.set("C2", "21");
    world.shows(
        CONFLICTS,
        "1 | price | 1 | 10 | 20 | superseded
         1 | price | 1 | 10 | 21 | pending",
    );
    let refusal = world
        .db
        .refused("SELECT sheet_sync.resolve(min(id), 'sheet') FROM sheet_sync.conflict");
    assert_eq!(refusal.sqlstate, "55000");
    assert!(refusal.message.contains("superseded"), "{refusal}");
    let hint = refusal.hint.expect("a way on");
    let query = hint.split(" shows").next().expect("a query");
    assert_eq!(world.db.rows(query).len(), 1, "{hint}");
    // Made equal by people, nothing waits.
    sheet.set("C2", "10");
    world.shows(
        "SELECT count(*) FROM sheet_sync.conflict WHERE winner = 'pending'",
        "0",
    );
    world.shows("SELECT pending_conflicts FROM sheet_sync.status", "0");
}

#[test]
fn a_value_that_the_column_does_not_take_is_refused_by_resolve() {
    let (mut world, sheet) = clash("manual");
    world.shows(CONFLICTS, "1 | price | 1 | 10 | 20 | pending");
    let refusal = world
        .db
        .refused("SELECT sheet_sync.resolve(id, 'value', 'cheap') FROM sheet_sync.conflict");
    assert_eq!(refusal.sqlstate, "22P02", "{refusal}");
    world.shows(
        "SELECT winner, decision FROM sheet_sync.conflict",
        "pending |",
    );
    // Written otherwise than the table prints it.
    world
        .db
        .run("SELECT sheet_sync.resolve(id, 'value', '  1.5e1 ') FROM sheet_sync.conflict");
    sheet.shows("id | name | price\n 1 | Bolt M4 | 15\n 2 | Nut | 2");
    world.shows("SELECT price FROM products WHERE id = 1", "15");
    world.quiet();
}

#[test]
fn the_same_change_on_both_sides_is_no_conflict() {
    let (mut world, sheet) = World::with_products();
    world.at_once("products", |world| {
        world.db.run("UPDATE products SET price = 5 WHERE id = 1; DELETE FROM products WHERE id = 3; INSERT INTO products VALUES (4, 'Cog', 4)");
        sheet.set("C2", "5");
        sheet.delete_row(4);
        sheet.type_row(&["4", "Cog", "4"]);
    });
    let both = "id | name | price\n 1 | Bolt | 5\n 2 | Nut | 2\n 4 | Cog | 4";
    sheet.shows(both);
    world.table_shows("products", both);
    world.quiet();
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn a_row_new_on_both_sides_is_merged_cell_by_cell() {
    let (mut world, sheet) = World::with_products();
    world.at_once("products", |world| {
        world.db.run("INSERT INTO products VALUES (4, 'Cog', NULL)");
        sheet.type_row(&["4", "Cog", "44"]);
    });
    world.both_equal("products", &sheet);
    world.shows(
        "SELECT count(*) FROM products WHERE id = 4 AND name = 'Cog'",
        "1",
    );
    assert_eq!(sheet.rows().iter().filter(|row| row[0] == "4").count(), 1);
}

#[test]
fn a_row_deleted_in_sql_and_changed_in_the_sheet_comes_back() {
    let (mut world, sheet) = World::with_products();
    world.at_once("products", |world| {
        world.db.run("DELETE FROM products WHERE id = 2");
        sheet.set("C3", "22");
    });
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 22\n 3 | Gear | 3",
    );
    world.both_equal("products", &sheet);
    world.shows(
        "SELECT key[1], column_name, database_absent, winner FROM sheet_sync.conflict",
        "2 | | t | sheet",
    );
}

#[test]
fn a_row_changed_in_sql_and_deleted_in_the_sheet_comes_back() {
    let (mut world, sheet) = World::with_products();
    world.at_once("products", |world| {
        world.db.run("UPDATE products SET price = 22 WHERE id = 2");
        sheet.delete_row(3);
    });
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 22\n 3 | Gear | 3",
    );
    world.both_equal("products", &sheet);
    world.shows(
        "SELECT key[1], column_name, sheet_absent, winner FROM sheet_sync.conflict",
        "2 | | t | database",
    );
}

#[test]
fn a_line_that_was_carried_out_is_settled_by_whoever_comes_after() {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text, price numeric); INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2)");
    let sheet = world.map_with("products", "conflict_policy => 'database_wins'");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2");
    world.merged("products");
    for round in 0..2 {
        let held = world.google.gate().hold_on(Kind::Write, When::After);
        world.at_once("products", |world| {
            world.db.run(&format!(
                "UPDATE products SET price = {} WHERE id = 1",
                10 + round
            ));
            sheet.set("C2", &(20 + round).to_string());
        });
        held.wait();
        if round == 0 {
            world.kill_worker();
        } else {
            world.google.gate().close();
        }
        held.release();
        world.google.gate().open();
        world.shows(
            "SELECT count(*), count(*) FILTER (WHERE settled) FROM sheet_sync.conflict",
            &format!("{0} | {0}", round + 1),
        );
        world.both_equal("products", &sheet);
    }
}

#[test]
fn a_line_never_shows_an_older_time_than_that_of_its_value() {
    let (mut world, sheet) = World::with_products();
    world.sync("products");
    world.pause("products");
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.set("C2", "20");
    // The cycle knows of the first change when it begins, and finds the second one in the table.
    let held = world.google.hold(1, When::After);
    world.db.run("SELECT sheet_sync.resume('products')");
    held.wait();
    let second = world.db.one("SELECT clock_timestamp()");
    world.db.run("UPDATE products SET price = 11 WHERE id = 1");
    held.release();
    world.shows(
        &format!(
            "SELECT database_value, sheet_value #>> '{{}}', winner, settled, database_time >= '{second}' FROM sheet_sync.conflict"
        ),
        "11 | 20 | database | t | t",
    );
    world.both_equal("products", &sheet);
}

#[test]
fn most_rows_deleted_in_the_sheet_stops_the_mapping_and_asks() {
    let mut world = World::start();
    world.db.run("CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 60) n");
    let sheet = world.map("parts");
    world.both_equal("parts", &sheet);
    sheet.delete_rows(4, 58);
    world.shows("SELECT state FROM sheet_sync.mapping", "failed");
    let hint = world.db.one("SELECT hint FROM sheet_sync.mapping");
    assert!(hint.contains("confirm_deletes"), "{hint}");
    assert_eq!(
        world.db.count("SELECT count(*) FROM parts"),
        60,
        "nothing may go before somebody confirms"
    );
    world.db.run("SELECT sheet_sync.confirm_deletes('parts')");
    world.table_shows("parts", "id | name\n 1 | part 1\n 2 | part 2");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
}

#[test]
fn a_header_that_vanished_stops_the_mapping_until_it_is_back() {
    let (mut world, sheet) = World::with_products();
    sheet.set("B1", "");
    world.shows("SELECT state FROM sheet_sync.mapping", "failed");
    let said = world
        .db
        .one("SELECT reason || ' ' || hint FROM sheet_sync.mapping");
    assert!(said.contains("name"), "{said}");
    world.db.run("UPDATE products SET price = 11 WHERE id = 1");
    assert_eq!(
        world
            .db
            .count("SELECT count(*) FROM products WHERE name IS NOT NULL"),
        3
    );
    sheet.set("B1", "name");
    sheet.shows("id | name | price\n 1 | Bolt | 11\n 2 | Nut | 2\n 3 | Gear | 3");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
}

#[test]
fn the_tables_owner_may_delete_lines_that_are_settled() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "CREATE ROLE keeper LOGIN; CREATE ROLE reader LOGIN; GRANT SELECT ON products TO reader;
         GRANT USAGE, CREATE ON SCHEMA public TO keeper; ALTER TABLE products OWNER TO keeper;
         UPDATE sheet_sync.mapping_column SET conflict_policy = 'manual' WHERE column_name = 'name'",
    );
    world.stopped("owner_changed");
    world.db.run("SELECT sheet_sync.resume('products')");
    world.at_once("products", |world| {
        world
            .db
            .run("UPDATE products SET price = 10, name = 'Screw' WHERE id = 1");
        sheet.set("C2", "11");
        sheet.set("B2", "Rivet");
    });
    let lines = "SELECT column_name, winner, settled FROM sheet_sync.conflict ORDER BY 1";
    world.shows(lines, "name | pending | f\n price | database | t");
    let delete =
        "WITH gone AS (DELETE FROM sheet_sync.conflict RETURNING id) SELECT count(*) FROM gone";
    assert_eq!(world.connect_as("reader").one(delete), "0");
    assert_eq!(world.connect_as("keeper").one(delete), "1");
    world.shows(lines, "name | pending | f");
}
