//! One bad cell is one problem: it is named, it changes nothing, and every other row goes on.

use e2e::World;

const PROBLEMS: &str = "SELECT key[1], column_name, side FROM sheet_sync.problem ORDER BY 1, 2";

#[test]
fn a_cell_that_is_no_number_stands_in_problem_until_it_is_mended() {
    let (mut world, sheet) = World::with_products();
    sheet.set("C2", "cheap");
    world.shows(PROBLEMS, "1 | price | database");
    let said = world
        .db
        .one("SELECT message || ' ' || hint FROM sheet_sync.problem");
    assert!(said.contains("cheap"), "the value is named: {said}");
    // Everything else goes on, both ways, the bad row's other cells too.
    sheet.set("B2", "Screw");
    sheet.set("C3", "22");
    world.db.run("UPDATE products SET price = 33 WHERE id = 3");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 1\n 2 | Nut | 22\n 3 | Gear | 33",
    );
    sheet.shows("id | name | price\n 1 | Screw | cheap\n 2 | Nut | 22\n 3 | Gear | 33");
    world.quiet();
    sheet.set("C2", "9");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 9\n 2 | Nut | 22\n 3 | Gear | 33",
    );
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_value_that_a_constraint_forbids_stands_in_problem_with_its_sqlstate() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric CHECK (price >= 0), sku text UNIQUE);
         INSERT INTO products VALUES (1, 'Bolt', 1, 'A'), (2, 'Nut', 2, 'B')",
    );
    let sheet = world.map("products");
    sheet.shows("id | name | price | sku\n 1 | Bolt | 1 | A\n 2 | Nut | 2 | B");
    sheet.set("C2", "-5");
    sheet.set("D3", "A");
    e2e::wait_until("both problems", || {
        let codes = world
            .db
            .table("SELECT code FROM sheet_sync.problem ORDER BY 1");
        if codes == [["23505"], ["23514"]] {
            Ok(())
        } else {
            Err(codes)
        }
    });
    sheet.type_row(&["3", "Cog", "3", "C"]);
    world.table_shows(
        "products",
        "id | name | price | sku\n 1 | Bolt | 1 | A\n 2 | Nut | 2 | B\n 3 | Cog | 3 | C",
    );
    sheet.set("C2", "5");
    sheet.set("D3", "D");
    world.table_shows(
        "products",
        "id | name | price | sku\n 1 | Bolt | 5 | A\n 2 | Nut | 2 | D\n 3 | Cog | 3 | C",
    );
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_half_typed_row_waits_until_it_is_complete() {
    let mut world = World::start();
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric NOT NULL); INSERT INTO products VALUES (1, 'Bolt', 1)");
    let sheet = world.map("products");
    sheet.shows("id | name | price\n 1 | Bolt | 1");
    sheet.type_row(&["2", "Nut"]);
    world.shows("SELECT count(*) > 0 FROM sheet_sync.problem", "t");
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 1);
    sheet.set("C3", "2");
    world.table_shows("products", "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn two_rows_with_one_key_are_a_problem_of_both_and_neither_is_applied() {
    let (mut world, sheet) = World::with_products();
    sheet.type_row(&["2", "Nut again", "222"]);
    world.shows(
        "SELECT code, sheet_row FROM sheet_sync.problem ORDER BY 2",
        "duplicate_key | 3\n duplicate_key | 5",
    );
    sheet.set("C2", "11");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 11\n 2 | Nut | 2\n 3 | Gear | 3",
    );
    sheet.delete_row(5);
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.both_equal("products", &sheet);
}

#[test]
fn a_text_too_long_for_a_cell_is_a_problem_and_never_cut() {
    let mut world = World::start();
    world.db.run("CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1, repeat('x', 50000)), (2, repeat('y', 50001)), (3, 'short')");
    let sheet = world.map("notes");
    world.shows(PROBLEMS, "2 | body | sheet");
    e2e::wait_for("the longest text that fits", 50_000, || {
        sheet.cell_of("1", 1).len()
    });
    e2e::wait_for("the short one", "short".to_owned(), || {
        sheet.cell_of("3", 1)
    });
    world.shows("SELECT length(body) FROM notes WHERE id = 2", "50001");
    world
        .db
        .run("UPDATE notes SET body = 'mended' WHERE id = 2");
    e2e::wait_for("the mended one", "mended".to_owned(), || {
        sheet.cell_of("2", 1)
    });
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn values_that_look_like_formulas_or_numbers_stay_what_they_are() {
    let mut world = World::start();
    world.db.run(
        r"CREATE TABLE texts (id int PRIMARY KEY, v text);
          INSERT INTO texts VALUES (1, '=1+1'), (2, '+49 30'), (3, '-5'), (4, '@home'), (5, '007'), (6, '1e5'), (7, 'TRUE'), (8, '2024-01-02'),
              (9, '''quoted'), (10, E'two\nlines'), (11, ' blanks '), (12, '🙂 e' || U&'\0301')",
    );
    let sheet = world.map("texts");
    e2e::wait_for("twelve rows", 13, || sheet.rows().len());
    world.both_equal("texts", &sheet);
    let before = world.db.rows("SELECT * FROM texts ORDER BY 1");
    world.quiet();
    assert_eq!(world.db.rows("SELECT * FROM texts ORDER BY 1"), before);
    sheet.set("B6", "008");
    world.shows("SELECT v FROM texts WHERE id = 5", "008");
}

#[test]
fn a_value_that_no_double_can_hold_is_never_echoed_back_rounded() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE big (id int8 PRIMARY KEY, n numeric, f float8);
         INSERT INTO big VALUES (9007199254740993, 0.1234567890123456789012345678, 'NaN'), (1, 1e40, 'Infinity'), (2, 3.10, 0.1)",
    );
    let before = world.db.rows("SELECT * FROM big ORDER BY 1");
    let sheet = world.map("big");
    e2e::wait_for("three rows", 4, || sheet.rows().len());
    world.quiet();
    assert_eq!(world.db.rows("SELECT * FROM big ORDER BY 1"), before);
    assert_eq!(
        sheet.cell_of("9007199254740993", 1),
        "0.1234567890123456789012345678"
    );
}

#[test]
fn a_row_that_no_longer_fits_its_new_check_does_not_stop_the_others() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("ALTER TABLE products ADD CHECK (price < 100) NOT VALID");
    sheet.set("C2", "500");
    sheet.set("C3", "50");
    world.shows(
        "SELECT key[1], code, side FROM sheet_sync.problem",
        "1 | 23514 | database",
    );
    world.shows("SELECT price FROM products ORDER BY id", "1\n 50\n 3");
}

/// Postgres would name a setting, which is that of the worker's session.
#[test]
fn a_date_that_postgres_does_not_know_is_no_matter_of_settings() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE stays (id int PRIMARY KEY, days daterange); INSERT INTO stays VALUES (1, '[2024-05-01,2024-05-03)')",
    );
    let sheet = world.map("stays");
    sheet.set("B2", "[2024-15-01,2024-15-03)");
    world.shows(
        "SELECT key[1], code, hint FROM sheet_sync.problem",
        "1 | 22008 | Correct the cell in the sheet.",
    );
}
