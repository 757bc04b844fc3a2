//! What a formula fills is the formula's: it is never written over, and what it shows for a moment
//! is no edit and no deletion.

use e2e::{Sheet, World};

const PARTS: &str =
    "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3\n 4 | Cog | 4\n 5 | Pin | 5";
const PROBLEMS: &str = "SELECT key[1], column_name, code FROM sheet_sync.problem ORDER BY 1, 2, 3";

/// A tab `items` that is the spill of one formula over the tab `feed`, merged into a table without
/// rows; a table refers to it.
fn spilled(options: &str) -> (World, Sheet, Sheet) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE items (id int PRIMARY KEY, name text, price numeric);
         CREATE TABLE stock (item int REFERENCES items ON DELETE CASCADE, n int)",
    );
    let book = world.google.spreadsheet("Parts");
    let feed = book.tab("feed", PARTS);
    let items = book.tab("items", "id | name | price");
    items.set("A2", "=ARRAYFORMULA(feed!A2:C6)");
    items.shows(PARTS);
    world.register("items", &items, options);
    world.merged("items");
    world.table_shows("items", PARTS);
    world.db.run("INSERT INTO stock SELECT id, 5 FROM items");
    (world, items, feed)
}

#[track_caller]
fn whole(world: &mut World, items: &Sheet) {
    assert_eq!(items.formula("A2"), "=ARRAYFORMULA(feed!A2:C6)");
    items.shows(PARTS);
    assert_eq!(world.db.count("SELECT count(*) FROM stock"), 5);
}

#[test]
fn a_change_of_a_row_that_a_formula_fills_is_a_problem_and_breaks_nothing() {
    let (mut world, items, feed) = spilled("");
    world.db.run("UPDATE items SET price = 99 WHERE id = 3");
    world.shows(PROBLEMS, "3 | price | formula_cell");
    let said = world.db.one("SELECT message FROM sheet_sync.problem");
    assert!(said.contains("the formula in A2"), "{said}");
    world.sync("items");
    whole(&mut world, &items);
    assert_eq!(world.db.one("SELECT price FROM items WHERE id = 3"), "99");
    // What the formula takes its values from may follow.
    feed.set("C4", "99");
    world.shows(PROBLEMS, "");
    assert_eq!(world.db.count("SELECT count(*) FROM items"), 5);
}

#[test]
fn a_row_that_a_formula_fills_is_not_deleted_from_the_sheet() {
    let (mut world, items, _feed) = spilled("");
    world.db.run("DELETE FROM items WHERE id = 5");
    world.shows(PROBLEMS, "5 |  | formula_cell");
    world.db.run("DELETE FROM items WHERE id = 1");
    world.shows(PROBLEMS, "1 |  | formula_cell\n 5 |  | formula_cell");
    world.sync("items");
    assert_eq!(items.formula("A2"), "=ARRAYFORMULA(feed!A2:C6)");
    items.shows(PARTS);
    assert_eq!(world.db.count("SELECT count(*) FROM items"), 3);
}

#[test]
fn a_new_row_is_not_put_below_rows_that_a_formula_fills() {
    let (mut world, items, _feed) = spilled("");
    world.db.run("INSERT INTO items VALUES (6, 'Cap', 6)");
    world.shows(PROBLEMS, "6 |  | formula_cell");
    world.sync("items");
    whole(&mut world, &items);
    world.db.run("UPDATE items SET id = 7 WHERE id = 6");
    world.shows("SELECT key[1] FROM sheet_sync.problem", "7");
    assert_eq!(world.db.count("SELECT count(*) FROM items"), 6);
}

#[test]
fn a_key_that_a_formula_fills_is_not_renamed() {
    let (mut world, items, _feed) = spilled("");
    world
        .db
        .run("DELETE FROM stock WHERE item = 3; UPDATE items SET id = 30 WHERE id = 3");
    world.shows(
        "SELECT key[1], code FROM sheet_sync.problem ORDER BY 1",
        "3 | formula_cell\n 30 | formula_cell",
    );
    world.sync("items");
    assert_eq!(items.formula("A2"), "=ARRAYFORMULA(feed!A2:C6)");
    items.shows(PARTS);
}

#[test]
fn a_person_who_types_into_an_array_deletes_nothing() {
    let (mut world, items, _feed) = spilled("");
    items.set("C4", "77");
    e2e::wait_for("the error", "#REF!".to_owned(), || items.cell("A2"));
    world.settle("items");
    world.table_shows("items", PARTS);
    assert_eq!(world.db.count("SELECT count(*) FROM stock"), 5);
    let said = world
        .db
        .one("SELECT string_agg(message, ' ') FROM sheet_sync.problem");
    assert!(said.contains("#REF!"), "{said}");
    items.set("C4", "");
    world.shows(PROBLEMS, "");
    whole(&mut world, &items);
    world.table_shows("items", PARTS);
}

#[test]
fn an_array_that_shows_nothing_for_a_while_deletes_nothing() {
    for options in ["", "direction => 'from_sheet'"] {
        let (mut world, items, _feed) = spilled(options);
        items.set("E1", "on");
        items.set("A2", "=IF(E1=\"on\",ARRAYFORMULA(feed!A2:C6),\"\")");
        world.table_shows("items", PARTS);
        items.set("E1", "off");
        e2e::wait_for("the blank", String::new(), || items.cell("A4"));
        world.settle("items");
        world.table_shows("items", PARTS);
        assert_eq!(world.db.count("SELECT count(*) FROM stock"), 5);
        world.shows(
            "SELECT DISTINCT code FROM sheet_sync.problem",
            "broken_formula",
        );
        items.set("E1", "on");
        world.shows(PROBLEMS, "");
        world.table_shows("items", PARTS);
    }
}

/// Keys and names typed, prices by one formula in C2.
fn priced(direction: &str) -> (World, Sheet) {
    let mut world = World::start();
    world
        .db
        .run("CREATE TABLE items (id int PRIMARY KEY, name text, price numeric)");
    let book = world.google.spreadsheet("Prices");
    book.tab("feed", "price\n 1\n 2\n 3");
    let items = book.tab(
        "items",
        "id | name | price | | on\n 1 | Bolt\n 2 | Nut\n 3 | Gear",
    );
    items.set("C2", "=IF(E1=\"on\",ARRAYFORMULA(feed!A2:A4),\"\")");
    e2e::wait_for("the prices", "3".to_owned(), || items.cell("C4"));
    world.register("items", &items, "columns => '{id,name,price}'");
    world.merged("items");
    world.table_shows(
        "items",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    world.db.run(&format!(
        "UPDATE sheet_sync.mapping_column SET direction = '{direction}' WHERE column_name = 'price'"
    ));
    (world, items)
}

#[test]
fn blanks_that_a_formula_shows_are_pulled_into_no_column() {
    for direction in ["both", "from_sheet"] {
        let (mut world, items) = priced(direction);
        items.set("E1", "off");
        e2e::wait_for("the blank", String::new(), || items.cell("C3"));
        world.shows(
            PROBLEMS,
            "1 | price | blank_formula\n 2 | price | blank_formula\n 3 | price | blank_formula",
        );
        // What else stands in the rows goes on.
        items.set("B3", "Wing nut");
        world.table_shows(
            "items",
            "id | name | price\n 1 | Bolt | 1\n 2 | Wing nut | 2\n 3 | Gear | 3",
        );
        items.set("E1", "on");
        world.shows(PROBLEMS, "");
        world.table_shows(
            "items",
            "id | name | price\n 1 | Bolt | 1\n 2 | Wing nut | 2\n 3 | Gear | 3",
        );
    }
}

#[test]
fn a_cell_that_a_person_empties_is_emptied_in_the_table_beside_formulas_too() {
    let (mut world, items) = priced("both");
    items.set("F2", "=1/0");
    items.set("B3", "");
    world.table_shows(
        "items",
        "id | name | price\n 1 | Bolt | 1\n 2 | | 2\n 3 | Gear | 3",
    );
    world.shows(PROBLEMS, "");
}

#[test]
fn one_column_that_a_formula_fills_is_left_out_of_writes_and_new_rows() {
    let (mut world, items) = priced("both");
    world
        .db
        .run("UPDATE items SET price = 50, name = 'Screw' WHERE id = 2");
    world.shows(PROBLEMS, "2 | price | formula_cell");
    let said = world.db.one("SELECT message FROM sheet_sync.problem");
    assert!(said.contains("the formula in C2"), "{said}");
    assert_eq!(
        (items.cell("B3"), items.cell("C3")),
        ("Screw".into(), "2".into())
    );
    world
        .db
        .run("INSERT INTO items VALUES (4, 'Cog', NULL); DELETE FROM items WHERE id = 3");
    e2e::wait_for("the new row", "4".to_owned(), || items.cell("A4"));
    items.shows("id | name | price | | on\n 1 | Bolt | 1\n 2 | Screw | 2\n 4 | Cog | 3");
    assert!(items.formula("C2").starts_with("=IF("));
}

#[test]
fn a_formula_in_a_mapped_cell_is_not_written_over() {
    let (mut world, sheet) = World::with_products();
    sheet.set("C2", "=10+30");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 40\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    world
        .db
        .run("UPDATE products SET price = 7, name = 'Screw' WHERE id = 1");
    world.shows(PROBLEMS, "1 | price | formula_cell");
    assert_eq!(sheet.formula("C2"), "=10+30");
    assert_eq!(sheet.cell("B2"), "Screw");
    let hint = world.db.one("SELECT hint FROM sheet_sync.problem");
    assert!(hint.contains("from_sheet"), "{hint}");
    sheet.set("C2", "7");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 7\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    world.shows(PROBLEMS, "");
}

#[test]
fn headers_and_rows_that_one_formula_fills_are_missed_together_and_delete_nothing() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE items (id int PRIMARY KEY, name text);
         CREATE TABLE stock (item int REFERENCES items ON DELETE CASCADE, n int)",
    );
    let book = world.google.spreadsheet("Parts");
    let feed = book.tab("feed", "id | name\n 1 | Bolt\n 2 | Nut\n 3 | Gear");
    let items = book.tab("items", "");
    items.set("E9", "on");
    items.set("A1", "=IF(E9=\"on\",ARRAYFORMULA(feed!A1:B4),NA())");
    e2e::wait_for("the array", "3".to_owned(), || items.cell("A4"));
    world.register("items", &items, "");
    world.merged("items");
    world.shows("SELECT id FROM items ORDER BY 1", "1\n2\n3");
    world.db.run("INSERT INTO stock SELECT id, 5 FROM items");
    items.set("E9", "off");
    world.shows(
        "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.mapping",
        "failed | header_missing",
    );
    world.shows("SELECT count(*) FROM stock", "3");
    items.set("E9", "on");
    world.shows("SELECT state FROM sheet_sync.mapping", "active");
    feed.set("B3", "Wing nut");
    world.shows("SELECT name FROM items WHERE id = 2", "Wing nut");
    world.shows("SELECT count(*) FROM stock", "3");
    assert_eq!(
        items.formula("A1"),
        "=IF(E9=\"on\",ARRAYFORMULA(feed!A1:B4),NA())"
    );
}

#[test]
fn an_error_in_a_formula_of_any_column_is_no_edit() {
    let (mut world, sheet) = World::with_products();
    sheet.set("E1", "1");
    sheet.set("C2", "=5/$E$1");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 5\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    sheet.set("E1", "0");
    world.shows(PROBLEMS, "1 | price | error_cell");
    sheet.set("E1", "1");
    world.shows(PROBLEMS, "");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 5\n 2 | Nut | 2\n 3 | Gear | 3",
    );
}

#[test]
fn keys_that_count_the_rows_stop_the_mapping_when_rows_shift() {
    let mut world = World::start();
    world
        .db
        .run("CREATE TABLE items (id int PRIMARY KEY, name text)");
    let sheet = world
        .google
        .spreadsheet("Counted")
        .tab("items", "id | name");
    for (row, name) in ["Bolt", "Nut", "Gear", "Cog"].iter().enumerate() {
        sheet.set(&format!("A{}", row + 2), "=ROW()-1");
        sheet.set(&format!("B{}", row + 2), name);
    }
    let whole = "id | name\n 1 | Bolt\n 2 | Nut\n 3 | Gear\n 4 | Cog";
    world.register("items", &sheet, "");
    world.merged("items");
    world.table_shows("items", whole);
    sheet.delete_row(3);
    world.shows(
        "SELECT state, reason LIKE '%=ROW()-1%', hint <> '' FROM sheet_sync.status",
        "failed | t | t",
    );
    world.table_shows("items", whole);
    sheet.insert_row(3);
    sheet.type_at("A3", &[vec!["=ROW()-1".into(), "Nut".into()]]);
    world.shows("SELECT state FROM sheet_sync.status", "active");
    world.table_shows("items", whole);
}
