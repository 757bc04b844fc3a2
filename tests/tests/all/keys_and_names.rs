//! Keys of any make, and names that need care.

use e2e::World;

#[test]
fn a_key_of_two_columns_names_rows_on_both_sides() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE stock (warehouse text, part int, amount int, PRIMARY KEY (warehouse, part));
         INSERT INTO stock VALUES ('A', 1, 10), ('A', 2, 20), ('B', 1, 30)",
    );
    let sheet = world.map("stock");
    sheet.shows("warehouse | part | amount\n A | 1 | 10\n A | 2 | 20\n B | 1 | 30");
    world
        .db
        .run("UPDATE stock SET amount = 31 WHERE warehouse = 'B'");
    sheet.set("C3", "21");
    sheet.type_row(&["B", "2", "40"]);
    world
        .db
        .run("DELETE FROM stock WHERE warehouse = 'A' AND part = 1");
    let both = "warehouse | part | amount\n A | 2 | 21\n B | 1 | 31\n B | 2 | 40";
    sheet.shows(both);
    world.table_shows("stock", both);
}

#[test]
fn keys_that_look_alike_when_glued_together_stay_apart() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE pairs (a text, b text, v int, PRIMARY KEY (a, b));
         INSERT INTO pairs VALUES ('x,y', 'z', 1), ('x', 'y,z', 2), ('x', 'y', 3), ('x|', 'y', 4), ('\"x\"', '{y}', 5)",
    );
    let sheet = world.map("pairs");
    e2e::wait_for("five rows", 6, || sheet.rows().len());
    world.db.run("UPDATE pairs SET v = v * 10");
    world.both_equal("pairs", &sheet);
    let glued = sheet.row_where(0, "x,y");
    sheet.set(&format!("C{glued}"), "111");
    world.shows("SELECT v FROM pairs WHERE a = 'x,y'", "111");
    world.both_equal("pairs", &sheet);
}

#[test]
fn a_unique_key_may_be_chosen_instead_of_the_primary_key() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text);
         INSERT INTO people (email, name) VALUES ('ann@example.org', 'Ann')",
    );
    let sheet = world.map_with(
        "people",
        "key_columns => '{email}', columns => '{email,name}'",
    );
    sheet.shows("email | name\n ann@example.org | Ann");
    sheet.type_row(&["bob@example.org", "Bob"]);
    world.table_shows(
        "people",
        "email | name\n ann@example.org | Ann\n bob@example.org | Bob",
    );
    sheet.set("B2", "Anna");
    world.table_shows(
        "people",
        "email | name\n ann@example.org | Anna\n bob@example.org | Bob",
    );
}

#[test]
fn a_key_changed_in_sql_keeps_its_row_of_the_sheet_and_what_people_wrote_beside_it() {
    let (mut world, sheet) = World::with_products();
    sheet.set("E1", "remarks");
    sheet.set("E3", "ask Ann");
    world
        .db
        .run("UPDATE products SET id = 20, price = 22 WHERE id = 2");
    sheet.shows(
        "id | name | price | | remarks\n 1 | Bolt | 1\n 20 | Nut | 22 | | ask Ann\n 3 | Gear | 3",
    );
    world.kill_worker();
    world.db.run("UPDATE products SET id = 30 WHERE id = 20");
    sheet.shows(
        "id | name | price | | remarks\n 1 | Bolt | 1\n 30 | Nut | 22 | | ask Ann\n 3 | Gear | 3",
    );
    world.quiet();
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 3 | Gear | 3\n 30 | Nut | 22",
    );
}

#[test]
fn keys_swapped_in_one_transaction_arrive_as_swapped() {
    let (mut world, sheet) = World::with_products();
    world.db.run("BEGIN; UPDATE products SET id = -1 WHERE id = 1; UPDATE products SET id = 1 WHERE id = 2; UPDATE products SET id = 2 WHERE id = -1; COMMIT");
    world.both_equal("products", &sheet);
    world.table_shows(
        "products",
        "id | name | price\n 1 | Nut | 2\n 2 | Bolt | 1\n 3 | Gear | 3",
    );
}

#[test]
fn a_key_edited_in_the_sheet_is_changed_in_the_table() {
    let (mut world, sheet) = World::with_products();
    sheet.set("A3", "20");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 3 | Gear | 3\n 20 | Nut | 2",
    );
    world.both_equal("products", &sheet);
}

#[test]
fn quoted_and_non_ascii_names_of_tables_columns_and_schemas_work() {
    let mut world = World::start();
    world.db.run(
        r#"CREATE SCHEMA "Größen & Co";
           CREATE TABLE "Größen & Co"."Straße ""x"" 'y'" ("Schlüssel" int PRIMARY KEY, "from" text, "Ü 100%" text, "日本" text, "a\b" text);
           INSERT INTO "Größen & Co"."Straße ""x"" 'y'" VALUES (1, 'select', 'ä', '東京', '\')"#,
    );
    let sheet = world.map(r#""Größen & Co"."Straße ""x"" 'y'""#);
    sheet.shows(
        r"Schlüssel | from | Ü 100% | 日本 | a\b
                  1 | select | ä | 東京 | \",
    );
    sheet.set("D2", "京都");
    world.shows(
        r#"SELECT "日本" FROM "Größen & Co"."Straße ""x"" 'y'""#,
        "京都",
    );
    world
        .db
        .run(r#"UPDATE "Größen & Co"."Straße ""x"" 'y'" SET "from" = 'Ωmega 🙂'"#);
    sheet.shows(
        r"Schlüssel | from | Ü 100% | 日本 | a\b
                  1 | Ωmega 🙂 | ä | 京都 | \",
    );
}

#[test]
fn text_keys_with_blanks_quotes_and_case_are_told_apart() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE words (word text PRIMARY KEY, n int);
         INSERT INTO words VALUES ('a', 1), ('A', 2), ('007', 3), ('7', 4), ('it''s', 5), ('=1+1', 6), ('é', 7)",
    );
    let sheet = world.map("words");
    e2e::wait_for("seven rows", 8, || sheet.rows().len());
    world.both_equal("words", &sheet);
    world.db.run("UPDATE words SET n = n + 100");
    world.both_equal("words", &sheet);
    assert_eq!(world.db.count("SELECT count(*) FROM words"), 7);
    assert_eq!(sheet.rows().len(), 8);
}

#[test]
fn a_row_typed_without_key_gets_the_key_that_the_table_generates() {
    let mut world = World::start();
    world.db.run("CREATE TABLE tasks (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL); INSERT INTO tasks (title) VALUES ('first')");
    let sheet = world.map("tasks");
    sheet.shows("id | title\n 1 | first");
    sheet.type_row(&["", "second"]);
    world.table_shows("tasks", "id | title\n 1 | first\n 2 | second");
    sheet.shows("id | title\n 1 | first\n 2 | second");
}

#[test]
fn a_dropped_column_before_the_others_shifts_nothing() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (old int, id int PRIMARY KEY, name text);
         ALTER TABLE products DROP COLUMN old;
         INSERT INTO products VALUES (1, 'Bolt')",
    );
    let sheet = world.map("products");
    sheet.shows("id | name\n 1 | Bolt");
    sheet.set("B2", "Nut");
    world.table_shows("products", "id | name\n 1 | Nut");
    world.db.run("UPDATE products SET id = 2");
    sheet.shows("id | name\n 2 | Nut");
}

#[test]
fn a_key_edited_in_the_sheet_keeps_the_rows_other_columns_in_the_table() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text, secret text);
         INSERT INTO parts VALUES (1, 'Bolt', 'of the bolt'), (2, 'Nut', 'of the nut')",
    );
    let sheet = world.map_with("parts", "columns => '{id,name}'");
    sheet.shows("id | name\n 1 | Bolt\n 2 | Nut");
    sheet.set("A3", "20");
    world.table_shows(
        "parts",
        "id | name | secret\n 1 | Bolt | of the bolt\n 20 | Nut | of the nut",
    );
    world.quiet();
    sheet.shows("id | name\n 1 | Bolt\n 20 | Nut");
}
