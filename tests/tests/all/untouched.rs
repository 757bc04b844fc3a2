//! Nothing in the sheet that is not ours is touched, and people may move rows about.

use e2e::World;

#[test]
fn columns_and_cells_of_their_own_stay_as_they_are() {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text, price int); INSERT INTO products VALUES (1, 'Bolt', 10), (2, 'Nut', 20)");
    let sheet = world.google.spreadsheet("Prices").tab(
        "products",
        "remark | id | name | tax | price
         mine   | 1  | Bolt |     | 10
                | 2  | Nut  | x   | 20",
    );
    world.register("products", &sheet, "");
    world.merged("products");
    world
        .db
        .run("UPDATE products SET price = price + 1, name = name || '!'");
    sheet.shows(
        "remark | id | name  | tax | price
         mine   | 1  | Bolt! |     | 11
                | 2  | Nut!  | x   | 21",
    );
    world.db.run("INSERT INTO products VALUES (3, 'Cog', 30)");
    sheet.shows(
        "remark | id | name  | tax | price
         mine   | 1  | Bolt! |     | 11
                | 2  | Nut!  | x   | 21
                | 3  | Cog   |     | 30",
    );
    sheet.set("A3", "theirs");
    world.quiet();
    assert_eq!(sheet.cell("A3"), "theirs");
}

#[test]
fn formulas_beside_and_inside_the_rows_stay_formulas() {
    let (mut world, sheet) = World::with_products();
    sheet.set("E1", "double");
    sheet.set("E2", "=C2*2");
    sheet.set("E3", "=C3*2");
    sheet.set("G1", "=SUM(C2:C4)");
    world.db.run("UPDATE products SET price = 50 WHERE id = 1; DELETE FROM products WHERE id = 3; INSERT INTO products VALUES (4, 'Cog', 4)");
    e2e::wait_for("the new row", "4".to_owned(), || sheet.cell("A4"));
    e2e::wait_for("the price", "50".to_owned(), || sheet.cell("C2"));
    assert_eq!(sheet.formula("E2"), "=C2*2");
    assert_eq!(sheet.formula("E3"), "=C3*2");
    assert!(
        sheet.formula("G1").starts_with("=SUM("),
        "{}",
        sheet.formula("G1")
    );
    assert_eq!(sheet.cell("E2"), "100");
}

#[test]
fn a_formula_in_a_from_sheet_column_is_pulled_and_never_overwritten() {
    let mut world = World::start();
    world.db.run("CREATE TABLE lines (id int PRIMARY KEY, amount int, total int); INSERT INTO lines VALUES (1, 5, NULL)");
    let sheet = world
        .google
        .spreadsheet("Lines")
        .tab("lines", "id | amount | total\n 1 | 5 | ");
    world.register("lines", &sheet, "");
    world.merged("lines");
    world.db.run(
        "UPDATE sheet_sync.mapping_column SET direction = 'from_sheet' WHERE column_name = 'total'",
    );
    sheet.set("C2", "=B2*3");
    world.table_shows("lines", "id | amount | total\n 1 | 5 | 15");
    world.db.run("UPDATE lines SET amount = 7");
    world.table_shows("lines", "id | amount | total\n 1 | 7 | 21");
    assert_eq!(sheet.formula("C2"), "=B2*3");
}

#[test]
fn a_sheet_sorted_by_a_person_stays_sorted_and_nothing_changes_in_sql() {
    let (mut world, sheet) = World::with_products();
    sheet.sort("B", true);
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 3 | Gear | 3\n 2 | Nut | 2");
    world.db.run("UPDATE products SET price = 30 WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 3 | Gear | 30\n 2 | Nut | 2");
    sheet.set("C4", "22");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 22\n 3 | Gear | 30",
    );
    sheet.sort("B", false);
    world.db.run("UPDATE products SET price = 31 WHERE id = 3");
    sheet.shows("id | name | price\n 2 | Nut | 22\n 3 | Gear | 31\n 1 | Bolt | 1");
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 3);
}

#[test]
fn rows_inserted_above_and_blank_rows_between_move_no_write_to_the_wrong_row() {
    let (mut world, sheet) = World::with_products();
    sheet.insert_row(2);
    sheet.insert_row(4);
    world.db.run("UPDATE products SET price = 22 WHERE id = 2");
    sheet.shows("id | name | price\n | | \n 1 | Bolt | 1\n | | \n 2 | Nut | 22\n 3 | Gear | 3");
    sheet.set("C3", "11");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 11\n 2 | Nut | 22\n 3 | Gear | 3",
    );
    assert_eq!(world.db.count("SELECT count(*) FROM sheet_sync.problem"), 0);
}

#[test]
fn columns_moved_by_a_person_are_followed() {
    let (mut world, sheet) = World::with_products();
    sheet.move_column("C", "A");
    world.db.run("UPDATE products SET price = 33 WHERE id = 3");
    sheet.shows("price | id | name\n 1 | 1 | Bolt\n 2 | 2 | Nut\n 33 | 3 | Gear");
    sheet.set("C2", "Screw");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 1\n 2 | Nut | 2\n 3 | Gear | 33",
    );
}

#[test]
fn other_tabs_of_the_spreadsheet_stay_as_they_are() {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES (1, 'Bolt')");
    let book = world.google.spreadsheet("Book");
    let first = book.tab("Notes", "id | name\n 1 | do not touch");
    let sheet = book.empty_tab("products");
    world.register("products", &sheet, "");
    sheet.shows("id | name\n 1 | Bolt");
    world
        .db
        .run("UPDATE products SET name = 'Nut'; INSERT INTO products VALUES (2, 'Cog')");
    sheet.shows("id | name\n 1 | Nut\n 2 | Cog");
    first.shows("id | name\n 1 | do not touch");
}

#[test]
fn two_tables_in_two_tabs_of_one_spreadsheet_do_not_mix() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'a1');
         CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'b1')",
    );
    let book = world.google.spreadsheet("Both");
    let (a, b) = (book.empty_tab("a"), book.empty_tab("b"));
    world.register("a", &a, "");
    world.register("b", &b, "");
    a.shows("id | v\n 1 | a1");
    b.shows("id | v\n 1 | b1");
    a.set("B2", "A1");
    world.db.run("UPDATE b SET v = 'B1'");
    world.table_shows("a", "id | v\n 1 | A1");
    b.shows("id | v\n 1 | B1");
    world.table_shows("b", "id | v\n 1 | B1");
}
