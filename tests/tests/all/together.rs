//! Changes that a table only takes together, or in another order than the sheet shows them.

use e2e::{Sheet, World};

const PROBLEMS: &str = "SELECT count(*) FROM sheet_sync.problem";

fn rows(lines: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &&str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.iter().map(cells).collect()
}

/// Three steps whose position is unique.
fn steps(constraint: &str) -> (World, Sheet) {
    let mut world = World::start();
    world.db.run(&format!(
        "CREATE TABLE steps (id int PRIMARY KEY, name text, position int {constraint});
         INSERT INTO steps VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)"
    ));
    let sheet = world.map("steps");
    sheet.shows("id | name | position\n 1 | a | 1\n 2 | b | 2\n 3 | c | 3");
    (world, sheet)
}

#[test]
fn values_of_a_unique_column_are_passed_round_in_one_sync() {
    for constraint in [
        "NOT NULL UNIQUE",
        "UNIQUE",
        "NOT NULL UNIQUE CHECK (position > 0)",
        "UNIQUE DEFERRABLE INITIALLY IMMEDIATE",
        "UNIQUE DEFERRABLE INITIALLY DEFERRED",
    ] {
        let (mut world, sheet) = steps(constraint);
        world.pause("steps");
        sheet.type_at("C2", &rows(&["2", "3", "1"]));
        world.db.run("SELECT sheet_sync.resume('steps')");
        world.sync("steps");
        let held = world.db.table("SELECT position FROM steps ORDER BY id");
        assert_eq!(held, [["2"], ["3"], ["1"]], "{constraint}");
        assert_eq!(world.db.count(PROBLEMS), 0, "{constraint}");
        world.both_equal("steps", &sheet);
    }
}

#[test]
fn texts_are_swapped_and_children_follow_their_row() {
    // A column that may be empty is not emptied for a moment: the children would be emptied with
    // it, and stay so.
    for constraint in ["NOT NULL UNIQUE", "UNIQUE"] {
        let mut world = World::start();
        world.db.run(&format!(
            "CREATE TABLE codes (id int PRIMARY KEY, code varchar(3) {constraint});
             CREATE TABLE uses (code varchar(3) REFERENCES codes (code) ON UPDATE CASCADE, n int);
             INSERT INTO codes VALUES (1, 'one'), (2, 'two'); INSERT INTO uses VALUES ('one', 1), ('two', 2)",
        ));
        let sheet = world.map("codes");
        sheet.shows("id | code\n 1 | one\n 2 | two");
        world.pause("codes");
        sheet.type_at("B2", &rows(&["two", "one"]));
        world.db.run("SELECT sheet_sync.resume('codes')");
        world.sync("codes");
        let held = world
            .db
            .table("SELECT c.id, c.code, u.n FROM codes c JOIN uses u USING (code) ORDER BY 1");
        assert_eq!(held, [["1", "two", "1"], ["2", "one", "2"]], "{constraint}");
        assert_eq!(world.db.count(PROBLEMS), 0, "{constraint}");
    }
}

#[test]
fn triggers_that_wait_for_the_end_of_a_set_run_as_the_tables_owner() {
    let mut world = World::start();
    world.db.run(
        "CREATE ROLE keeper; CREATE TABLE seen (who text); GRANT ALL ON seen TO keeper;
         CREATE TABLE steps (id int PRIMARY KEY, position int NOT NULL UNIQUE);
         INSERT INTO steps VALUES (1, 1), (2, 2); ALTER TABLE steps OWNER TO keeper;
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_user); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON steps DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION note()",
    );
    let sheet = world.map("steps");
    sheet.shows("id | position\n 1 | 1\n 2 | 2");
    world.pause("steps");
    sheet.type_at("B2", &rows(&["2", "1"]));
    world.db.run("SELECT sheet_sync.resume('steps')");
    world.sync("steps");
    let held = world.db.table("SELECT position FROM steps ORDER BY id");
    assert_eq!(held, [["2"], ["1"]]);
    assert_eq!(
        world.db.table("SELECT DISTINCT who FROM seen"),
        [["keeper"]]
    );
}

#[test]
fn ranges_that_exclude_one_another_are_exchanged() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE slots (id int PRIMARY KEY, during int4range NOT NULL, EXCLUDE USING gist (during WITH &&));
         INSERT INTO slots VALUES (1, '[1,5)'), (2, '[5,9)')",
    );
    let sheet = world.map("slots");
    sheet.shows("id | during\n 1 | [1,5)\n 2 | [5,9)");
    world.pause("slots");
    sheet.type_at("B2", &rows(&["[5,9)", "[1,5)"]));
    world.db.run("SELECT sheet_sync.resume('slots')");
    world.sync("slots");
    let held = world.db.table("SELECT during FROM slots ORDER BY id");
    assert_eq!(held, [["[5,9)"], ["[1,5)"]]);
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn whatever_is_unique_may_be_exchanged() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE rooms (id int PRIMARY KEY, during tstzrange NOT NULL, EXCLUDE USING gist (during WITH &&));
         INSERT INTO rooms VALUES (1, '[2024-01-01 08:00+00,2024-01-01 09:00+00)'), (2, '[2024-01-01 09:00+00,2024-01-01 10:00+00)');
         CREATE TABLE seats (id int PRIMARY KEY, line text NOT NULL, seat int NOT NULL, UNIQUE (line, seat));
         INSERT INTO seats VALUES (1, 'A', 1), (2, 'A', 2), (3, 'B', 1);
         CREATE TABLE names (id int PRIMARY KEY, name text NOT NULL); CREATE UNIQUE INDEX ON names (lower(name));
         INSERT INTO names VALUES (1, 'Ann'), (2, 'Bob');
         CREATE TABLE chosen (id int PRIMARY KEY, name text NOT NULL, active boolean NOT NULL); CREATE UNIQUE INDEX ON chosen (name) WHERE active;
         INSERT INTO chosen VALUES (1, 'Ann', true), (2, 'Bob', true), (3, 'Bob', false);
         CREATE TABLE days (id int PRIMARY KEY, day date NOT NULL UNIQUE); INSERT INTO days VALUES (1, '2024-01-01'), (2, '2024-01-02')",
    );
    for (table, at, typed) in [
        (
            "rooms",
            "B2",
            vec![
                "[2024-01-01 09:00+00,2024-01-01 10:00+00)",
                "[2024-01-01 08:00+00,2024-01-01 09:00+00)",
            ],
        ),
        ("seats", "B2", vec!["A | 2", "B | 1", "A | 1"]),
        ("names", "B2", vec!["Bob", "Ann"]),
        ("chosen", "B2", vec!["Bob", "Ann"]),
        ("days", "B2", vec!["2024-01-02", "2024-01-01"]),
    ] {
        let sheet = world.map(table);
        e2e::wait_for("its rows", true, || sheet.rows().len() > 2);
        world.at_once(table, |_| sheet.type_at(at, &rows(&typed)));
        world.sync(table);
        let problems = world
            .db
            .table("SELECT key, column_name, message FROM sheet_sync.problem");
        assert_eq!(problems, Vec::<Vec<String>>::new(), "{table}");
        world
            .db
            .run(&format!("SELECT sheet_sync.unregister_table('{table}')"));
    }
    for (sql, held) in [
        (
            "SELECT lower(during) = '2024-01-01 09:00+00' FROM rooms ORDER BY id",
            "t\nf",
        ),
        (
            "SELECT line, seat FROM seats ORDER BY id",
            "A | 2\nB | 1\nA | 1",
        ),
        ("SELECT name FROM names ORDER BY id", "Bob\nAnn"),
        (
            "SELECT name, active FROM chosen ORDER BY id",
            "Bob | t\nAnn | t\nBob | f",
        ),
        ("SELECT day FROM days ORDER BY id", "2024-01-02\n2024-01-01"),
    ] {
        world.shows(sql, held);
    }
}

#[test]
fn one_bad_row_of_a_set_is_one_problem_and_the_others_go_through() {
    let (mut world, sheet) = steps("NOT NULL UNIQUE");
    sheet.type_row(&["4", "d", "4"]);
    sheet.type_row(&["5", "e", "5"]);
    world.shows("SELECT count(*) FROM steps", "5");
    world.pause("steps");
    // 1 and 2 are swapped, 3 wants what 5 has and keeps.
    sheet.type_at("C2", &rows(&["2", "1", "5"]));
    world.db.run("SELECT sheet_sync.resume('steps')");
    world.sync("steps");
    let held = world.db.table("SELECT position FROM steps ORDER BY id");
    assert_eq!(held, [["2"], ["1"], ["3"], ["4"], ["5"]]);
    assert_eq!(
        world
            .db
            .table("SELECT key, column_name, code FROM sheet_sync.problem"),
        [["{3}", "position", "23505"]]
    );
    // It is mended by the row that stands in its way, wherever that is changed.
    world.db.run("UPDATE steps SET position = 50 WHERE id = 5");
    world.shows("SELECT position FROM steps WHERE id = 3", "5");
    world.shows(PROBLEMS, "0");
    world.both_equal("steps", &sheet);
}

#[test]
fn a_new_row_takes_the_number_of_one_that_is_deleted_and_a_list_is_renumbered() {
    let (mut world, sheet) = steps("NOT NULL UNIQUE");
    world.pause("steps");
    sheet.delete_row(3);
    sheet.type_row(&["9", "d", "2"]);
    world.db.run("SELECT sheet_sync.resume('steps')");
    world.sync("steps");
    let all = "SELECT id, name, position FROM steps ORDER BY id";
    assert_eq!(
        world.db.table(all),
        [["1", "a", "1"], ["3", "c", "3"], ["9", "d", "2"]]
    );
    assert_eq!(world.db.count(PROBLEMS), 0);
    // Each takes the number of the next: no order but from the end does.
    world.pause("steps");
    sheet.type_at("C2", &rows(&["2", "4", "3"]));
    sheet.type_row(&["10", "e", "1"]);
    world.db.run("SELECT sheet_sync.resume('steps')");
    world.sync("steps");
    assert_eq!(
        world.db.table(all),
        [
            ["1", "a", "2"],
            ["3", "c", "4"],
            ["9", "d", "3"],
            ["10", "e", "1"]
        ]
    );
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn a_new_row_takes_the_number_of_the_row_that_goes_in_the_same_edit() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE steps (id int PRIMARY KEY, name text, position int NOT NULL UNIQUE);
         INSERT INTO steps VALUES (1, 'a', 2), (2, 'b', 1), (3, 'c', 3)",
    );
    let sheet = world.map("steps");
    sheet.shows("id | name | position\n 1 | a | 2\n 2 | b | 1\n 3 | c | 3");
    world.at_once("steps", |_| {
        sheet.delete_row(3);
        sheet.type_row(&["9", "d", "1"]);
    });
    world.sync("steps");
    assert_eq!(
        world
            .db
            .table("SELECT id, name, position FROM steps ORDER BY id"),
        [["1", "a", "2"], ["3", "c", "3"], ["9", "d", "1"]]
    );
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn five_hundred_rows_are_shuffled_in_one_sync() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE steps (id int PRIMARY KEY, position int NOT NULL UNIQUE); INSERT INTO steps SELECT n, n FROM generate_series(1, 500) n",
    );
    let sheet = world.map("steps");
    e2e::wait_for("all rows", 501, || sheet.rows().len());
    world.pause("steps");
    // 7 has no divisor in common with 500: a shuffle; then the same once more, moved on by one.
    let shuffled: Vec<Vec<String>> = (1..=500)
        .map(|n| vec![(n * 7 % 500 + 1).to_string()])
        .collect();
    sheet.type_at("B2", &shuffled);
    world.db.run("SELECT sheet_sync.resume('steps')");
    world.sync("steps");
    assert_eq!(
        world
            .db
            .count("SELECT count(*) FROM steps WHERE position = id * 7 % 500 + 1"),
        500
    );
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn parents_and_children_of_one_tab_arrive_and_go_in_any_order() {
    let mut world = World::start();
    world
        .db
        .run("CREATE TABLE folders (id int PRIMARY KEY, parent int REFERENCES folders, name text)");
    let sheet = world.map("folders");
    sheet.shows("id | parent | name");
    world.pause("folders");
    sheet.type_at(
        "A2",
        &rows(&[
            "5 | 4 | e",
            "4 | 3 | d",
            "3 | 2 | c",
            "2 | 1 | b",
            "1 | | a",
        ]),
    );
    world.db.run("SELECT sheet_sync.resume('folders')");
    world.sync("folders");
    assert_eq!(world.db.count("SELECT count(*) FROM folders"), 5);
    assert_eq!(world.db.count(PROBLEMS), 0);
    for row in ["A2", "A3", "A4", "A5", "A6"] {
        assert_eq!(sheet.note(row), "");
    }
    sheet.delete_rows(2, 5);
    world.shows("SELECT count(*) FROM folders", "0");
    world.shows(PROBLEMS, "0");
}

#[test]
fn a_child_in_another_tab_follows_its_parent_at_once() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE customers (id int PRIMARY KEY, name text);
         CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, what text)",
    );
    let orders = world.map("orders");
    let customers = world.map("customers");
    orders.shows("id | customer | what");
    customers.shows("id | name");
    orders.type_row(&["1", "7", "ink"]);
    orders.type_row(&["2", "8", "pen"]);
    world.shows(
        "SELECT count(*) FROM sheet_sync.problem WHERE code = '23503'",
        "2",
    );
    // From the sheet, and by SQL.
    let typed = std::time::Instant::now();
    customers.type_row(&["7", "Ann"]);
    world.shows("SELECT id FROM orders", "1");
    world.db.run("INSERT INTO customers VALUES (8, 'Bob')");
    world.shows("SELECT count(*) FROM orders", "2");
    let took = typed.elapsed();
    assert!(
        took < std::time::Duration::from_secs(30),
        "not after the next timed try: {took:?}"
    );
    world.shows(PROBLEMS, "0");
    // And the other way round: the customer goes when its order has gone.
    customers.delete_row(2);
    world.shows("SELECT key, code FROM sheet_sync.problem", "{7} | 23503");
    orders.delete_row(2);
    world.shows(
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers)",
        "1 | 1",
    );
    world.shows(PROBLEMS, "0");
}

#[test]
fn two_tabs_that_refer_to_one_another() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE teams (id int PRIMARY KEY, lead int, name text);
         CREATE TABLE people (id int PRIMARY KEY, team int REFERENCES teams, name text);
         ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES people DEFERRABLE INITIALLY IMMEDIATE",
    );
    let teams = world.map("teams");
    let people = world.map("people");
    people.shows("id | team | name");
    teams.type_row(&["1", "", "red"]);
    people.type_row(&["7", "1", "Ann"]);
    world.shows("SELECT team FROM people", "1");
    teams.set("B2", "8");
    world.shows("SELECT code FROM sheet_sync.problem", "23503");
    people.type_row(&["8", "1", "Bob"]);
    world.shows("SELECT lead FROM teams", "8");
    world.shows(PROBLEMS, "0");
}

#[test]
fn one_call_brings_a_child_and_its_parent_from_another_tab() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE customers (id int PRIMARY KEY, name text);
         CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, what text);
         INSERT INTO customers VALUES (1, 'Zoe'); INSERT INTO orders VALUES (1, 1, 'ink')",
    );
    let orders = world.map_with("orders", "poll_interval => '1 hour'");
    let customers = world.map_with("customers", "poll_interval => '1 hour'");
    orders.shows("id | customer | what\n 1 | 1 | ink");
    customers.shows("id | name\n 1 | Zoe");
    orders.type_row(&["2", "7", "pen"]);
    customers.type_row(&["7", "Ann"]);
    world.sync("orders");
    assert_eq!(world.db.count("SELECT count(*) FROM orders"), 2);
    assert_eq!(world.db.count(PROBLEMS), 0);
}
