//! Keys are one where Postgres says so, however they are written; and those that only look alike
//! are told apart from them.

use e2e::{Sheet, World};

#[track_caller]
fn nothing_amiss(world: &mut World) {
    world.has_no_problem();
    let conflicts = "SELECT key, column_name, winner FROM sheet_sync.conflict";
    assert_eq!(world.db.table(conflicts), Vec::<Vec<String>>::new());
    let states = "SELECT DISTINCT state FROM sheet_sync.mapping";
    assert_eq!(world.db.one(states), "active");
}

/// A tab of people's with these cells, to which the table is registered; merged.
fn people_s(world: &mut World, table: &str, cells: &str, options: &str) -> Sheet {
    let book = world.google.spreadsheet(&format!("For {table}"));
    let sheet = book.tab(table, cells);
    world.register(table, &sheet, options);
    world.merged(table);
    sheet
}

#[test]
fn a_numeric_key_with_a_trailing_zero_is_one_row_on_both_sides() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE tiers (min_qty numeric PRIMARY KEY, price numeric);
         INSERT INTO tiers VALUES (1.50, 9), (2.00, 8), (10, 7);
         CREATE TABLE parts (sku text, min_qty numeric, price numeric, PRIMARY KEY (sku, min_qty));
         INSERT INTO parts VALUES ('A', 1.50, 9), ('A', 2.00, 8), ('B', 1.50, 7)",
    );
    let tiers = world.map("tiers");
    let parts = world.map("parts");
    world.settle("tiers");
    world.settle("parts");
    tiers.set("B2", "9.5");
    parts.set("C2", "9.5");
    world.db.run("UPDATE tiers SET price = 8.5 WHERE min_qty = 2; UPDATE parts SET price = 8.5 WHERE min_qty = 2");
    world.settle("tiers");
    world.settle("parts");
    tiers.shows("min_qty | price\n 1.5 | 9.5\n 2 | 8.5\n 10 | 7");
    world.shows(
        "SELECT * FROM tiers ORDER BY 1",
        "1.50 | 9.5\n 2.00 | 8.5\n 10 | 7",
    );
    parts.shows("sku | min_qty | price\n A | 1.5 | 9.5\n A | 2 | 8.5\n B | 1.5 | 7");
    world.shows(
        "SELECT * FROM parts ORDER BY 1, 2",
        "A | 1.50 | 9.5\n A | 2.00 | 8.5\n B | 1.50 | 7",
    );
    nothing_amiss(&mut world);
    // A fresh worker knows them all the same.
    world.kill_worker();
    world.reconnect();
    tiers.set("B4", "6");
    world.shows(
        "SELECT * FROM tiers ORDER BY 1",
        "1.50 | 9.5\n 2.00 | 8.5\n 10 | 6",
    );
    world.settle("tiers");
    world.shows("SELECT count(*) FROM tiers", "3");
    tiers.shows("min_qty | price\n 1.5 | 9.5\n 2 | 8.5\n 10 | 6");
    nothing_amiss(&mut world);
}

#[test]
fn capitals_in_a_citext_key_are_another_spelling_of_it() {
    let mut world = World::start();
    world.db.run(
        "CREATE SCHEMA tools; CREATE EXTENSION citext SCHEMA tools;
         CREATE TABLE people (email tools.citext PRIMARY KEY, name text, secret text DEFAULT 'kept');
         INSERT INTO people VALUES ('ann@x.org', 'Ann'), ('bob@x.org', 'Bob')",
    );
    let sheet = world.map_with("people", "columns => '{email,name}'");
    sheet.set("D2", "call her");
    sheet.set("A2", "Ann@X.org");
    world.settle("people");
    let table = "SELECT * FROM people ORDER BY 1";
    world.shows(table, "ann@x.org | Ann | kept\n bob@x.org | Bob | kept");
    sheet.shows("email | name\n Ann@X.org | Ann | | call her\n bob@x.org | Bob");
    nothing_amiss(&mut world);
    // Each side's changes go on under it, also after the worker has forgotten.
    world.kill_worker();
    world.reconnect();
    sheet.set("B2", "Anna");
    world.shows(table, "ann@x.org | Anna | kept\n bob@x.org | Bob | kept");
    world
        .db
        .run("UPDATE people SET name = 'Anne' WHERE email = 'ann@x.org'");
    sheet.shows("email | name\n Ann@X.org | Anne | | call her\n bob@x.org | Bob");
    // Typed once more it is a doubled key, and nothing is doubled.
    sheet.type_row(&["ANN@x.org", "Twin"]);
    world.shows(
        "SELECT code, count(*) FROM sheet_sync.problem GROUP BY 1",
        "duplicate_key | 2",
    );
    sheet.delete_row(4);
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    // Two new spellings of one key are one key, too.
    sheet.type_at(
        "A4",
        &[
            vec!["Cid@x.org".to_owned(), "Cid".to_owned()],
            vec!["CID@x.org".to_owned(), "Cid".to_owned()],
        ],
    );
    world.shows(
        "SELECT code, count(*) FROM sheet_sync.problem GROUP BY 1",
        "duplicate_key | 2",
    );
    world.settle("people");
    world.shows("SELECT count(*) FROM people", "2");
    sheet.delete_row(5);
    world.shows(
        "SELECT email, name FROM people ORDER BY 1",
        "ann@x.org | Anne\n bob@x.org | Bob\n Cid@x.org | Cid",
    );
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    nothing_amiss(&mut world);
}

#[test]
fn a_first_merge_knows_equal_keys() {
    let mut world = World::start();
    world.db.run(
        "CREATE EXTENSION citext;
         CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE people (email citext PRIMARY KEY, name text, secret text DEFAULT 'kept');
         CREATE TABLE towns (town text COLLATE ci PRIMARY KEY, name text, secret text DEFAULT 'kept');
         CREATE TABLE codes (code char(6) PRIMARY KEY, name text, secret text DEFAULT 'kept');
         CREATE TABLE zeros (x float8 PRIMARY KEY, name text, secret text DEFAULT 'kept');
         CREATE TABLE waits (long interval PRIMARY KEY, name text, secret text DEFAULT 'kept');
         CREATE TABLE loose (email text NOT NULL, name text, secret text DEFAULT 'kept');
         CREATE UNIQUE INDEX ON loose (email COLLATE ci);
         INSERT INTO people VALUES ('ann@x.org', 'Ann'), ('bob@x.org', 'Bob');
         INSERT INTO towns VALUES ('Wien', 'Vienna'), ('Linz', 'Linz');
         INSERT INTO codes VALUES ('ab', 'Ann'), ('cd', 'Bob');
         INSERT INTO zeros VALUES ('-0', 'Ann'), (2, 'Bob');
         INSERT INTO waits VALUES ('24:00', 'Ann'), ('1 month', 'Bob');
         INSERT INTO loose VALUES ('ann@x.org', 'Ann'), ('bob@x.org', 'Bob')",
    );
    let two =
        |one: &str, other: &str, key: &str| format!("{key} | name\n {one} | Ann\n {other} | Bob");
    let cases = [
        ("people", "email", "Ann@X.org", "bob@x.org"),
        ("codes", "code", "ab", "cd"),
        ("zeros", "x", "0", "2"),
        ("waits", "long", "1 day", "30 days"),
    ];
    let mut sheets = Vec::new();
    for (table, key, one, other) in cases {
        let cells = two(one, other, key);
        let options = format!("columns => '{{{key},name}}'");
        let sheet = people_s(&mut world, table, &cells, &options);
        sheets.push((table, sheet, cells));
    }
    let cells = "town | name\n WIEN | Vienna\n Linz | Linz".to_owned();
    let sheet = people_s(&mut world, "towns", &cells, "columns => '{town,name}'");
    sheets.push(("towns", sheet, cells));
    let cells = two("Ann@X.org", "bob@x.org", "email");
    let options = "columns => '{email,name}', key_columns => '{email}'";
    let sheet = people_s(&mut world, "loose", &cells, options);
    sheets.push(("loose", sheet, cells));
    for (table, sheet, cells) in &sheets {
        world.settle(table);
        sheet.shows(cells);
        let kept = format!("SELECT count(*), count(*) FILTER (WHERE secret = 'kept') FROM {table}");
        world.shows(&kept, "2 | 2");
    }
    nothing_amiss(&mut world);
    // And after the worker has forgotten.
    world.kill_worker();
    world.reconnect();
    for (table, sheet, _) in &sheets {
        sheet.set("B2", "new");
        world.shows(
            &format!("SELECT count(*) FILTER (WHERE name = 'new'), count(*) FROM {table}"),
            "1 | 2",
        );
        world.settle(table);
        world.shows(&format!("SELECT count(*) FROM {table}"), "2");
        assert_eq!(sheet.rows().len(), 3, "{table}");
    }
    nothing_amiss(&mut world);
}

#[test]
fn a_row_that_the_table_spells_otherwise_keeps_its_place_and_what_stands_beside_it() {
    let mut world = World::start();
    world.db.run(
        "CREATE EXTENSION citext;
         CREATE TABLE people (email citext PRIMARY KEY, name text);
         CREATE TABLE tiers (min_qty numeric PRIMARY KEY, price numeric);
         INSERT INTO people VALUES ('ann', 'Ann'), ('bob', 'Bob'), ('cid', 'Cid');
         INSERT INTO tiers VALUES (1.50, 9), (2.00, 8)",
    );
    let people = world.map("people");
    let tiers = world.map("tiers");
    for (sheet, cell) in [
        (&people, "D2"),
        (&people, "D3"),
        (&tiers, "D2"),
        (&tiers, "D3"),
    ] {
        sheet.set(cell, &format!("note {cell}"));
    }
    world
        .db
        .run("UPDATE people SET email = 'Ann' WHERE email = 'ann'");
    people.shows("email | name\n Ann | Ann | | note D2\n bob | Bob | | note D3\n cid | Cid");
    // Deleted and inserted, with a change, in one transaction.
    world.db.run(
        "BEGIN; DELETE FROM people WHERE email = 'bob'; INSERT INTO people VALUES ('BOB', 'Robert'); COMMIT",
    );
    people.shows("email | name\n Ann | Ann | | note D2\n BOB | Robert | | note D3\n cid | Cid");
    world
        .db
        .run("UPDATE tiers SET min_qty = 1.5, price = 10 WHERE min_qty = 1.5");
    tiers.shows("min_qty | price\n 1.5 | 10 | | note D2\n 2 | 8 | | note D3");
    // While nobody looks, and unseen by capture.
    world.pause("tiers");
    world.db.run(
        "SET session_replication_role = replica; UPDATE tiers SET min_qty = 2.000, price = 7 WHERE min_qty = 2; RESET session_replication_role",
    );
    world.db.run("SELECT sheet_sync.resume('tiers')");
    world.kill_worker();
    world.reconnect();
    world.settle("people");
    world.settle("tiers");
    people.shows("email | name\n Ann | Ann | | note D2\n BOB | Robert | | note D3\n cid | Cid");
    world.db.run("UPDATE tiers SET price = 6 WHERE min_qty = 2");
    tiers.shows("min_qty | price\n 1.5 | 10 | | note D2\n 2 | 6 | | note D3");
    people.set("B3", "Bobby");
    tiers.set("B2", "11");
    world.shows(
        "SELECT * FROM people ORDER BY 1",
        "Ann | Ann\n BOB | Bobby\n cid | Cid",
    );
    world.shows("SELECT * FROM tiers ORDER BY 1", "1.5 | 11\n 2.000 | 6");
    nothing_amiss(&mut world);
}

#[test]
fn a_sheet_that_is_only_read_keeps_rows_that_the_table_spells_otherwise() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE tiers (min_qty numeric PRIMARY KEY, price numeric, secret text DEFAULT 'kept');
         INSERT INTO tiers VALUES (1.50, 9), (2.00, 8)",
    );
    let sheet = people_s(
        &mut world,
        "tiers",
        "min_qty | price\n 1.5 | 9\n 2 | 8",
        "columns => '{min_qty,price}', direction => 'from_sheet'",
    );
    world
        .db
        .run("UPDATE tiers SET min_qty = 1.500 WHERE min_qty = 1.5");
    world.settle("tiers");
    sheet.set("B2", "10");
    world.shows(
        "SELECT * FROM tiers ORDER BY 1",
        "1.500 | 10 | kept\n 2.00 | 8 | kept",
    );
    nothing_amiss(&mut world);
}

const NORMALISES: &str = "CREATE FUNCTION low() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN NEW.email := lower(btrim(NEW.email)); RETURN NEW; END $$;
     CREATE TRIGGER low BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION low();
     INSERT INTO people VALUES ('ann@x.org', 'Ann')";

#[test]
fn a_key_that_a_trigger_makes_of_what_was_typed_is_followed() {
    let mut world = World::start();
    world.db.run(&format!(
        "CREATE TABLE people (email text PRIMARY KEY, name text, secret text DEFAULT 'kept'); {NORMALISES}"
    ));
    let sheet = world.map_with("people", "columns => '{email,name}'");
    sheet.set("E1", "remark");
    sheet.set("E2", "first");
    sheet.insert_typed_row(3, &["Bob@X.org", "Bob", "", "", "call him"]);
    let both =
        "email | name | | | remark\n ann@x.org | Ann | | | first\n bob@x.org | Bob | | | call him";
    sheet.shows(both);
    let table = "SELECT * FROM people ORDER BY 1";
    world.shows(table, "ann@x.org | Ann | kept\n bob@x.org | Bob | kept");
    world.settle("people");
    sheet.shows(both);
    sheet.set("A2", "ANN@x.org");
    world.settle("people");
    sheet.shows(both);
    world.shows(table, "ann@x.org | Ann | kept\n bob@x.org | Bob | kept");
    // Another key, which is made another one still.
    sheet.set("A3", "ROBERT@x.org");
    world.settle("people");
    sheet.shows("email | name | | | remark\n ann@x.org | Ann | | | first\n robert@x.org | Bob | | | call him");
    world.shows(table, "ann@x.org | Ann | kept\n robert@x.org | Bob | kept");
    nothing_amiss(&mut world);
    // The same key typed as a new row is there already.
    sheet.type_row(&["Ann@X.ORG", "Twin"]);
    world.shows("SELECT code FROM sheet_sync.problem", "23505");
    world.settle("people");
    world.shows(table, "ann@x.org | Ann | kept\n robert@x.org | Bob | kept");
    assert_eq!(sheet.cell("A4"), "Ann@X.ORG");
}

#[test]
fn a_key_that_a_trigger_makes_is_followed_by_whoever_comes_after_a_crash() {
    let mut world = World::start();
    world.db.run(&format!(
        "CREATE TABLE people (email text PRIMARY KEY, name text); {NORMALISES}"
    ));
    let sheet = world.map("people");
    sheet.set("E2", "first");
    // Its key cell cannot be written while the request is held.
    let held = world.google.hold(1, e2e::When::Before);
    sheet.insert_typed_row(3, &["Bob@X.org", "Bob", "", "", "call him"]);
    held.release();
    world.shows("SELECT count(*) FROM people", "2");
    world.kill_worker();
    world.reconnect();
    world.settle("people");
    sheet.shows("email | name\n ann@x.org | Ann | | | first\n bob@x.org | Bob | | | call him");
    world.shows(
        "SELECT * FROM people ORDER BY 1",
        "ann@x.org | Ann\n bob@x.org | Bob",
    );
    nothing_amiss(&mut world);
}

#[test]
fn a_domain_over_citext_and_a_collation_take_capitals_for_another_spelling() {
    let mut world = World::start();
    world.db.run(
        "CREATE EXTENSION citext; CREATE DOMAIN email AS citext CHECK (VALUE ~ '@');
         CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE people (email email PRIMARY KEY, name text, secret text DEFAULT 'kept');
         CREATE TABLE towns (email text COLLATE ci PRIMARY KEY, name text, secret text DEFAULT 'kept');
         CREATE TABLE pairs (email text COLLATE ci, n int, name text, secret text DEFAULT 'kept', PRIMARY KEY (email, n));
         INSERT INTO people VALUES ('ann@x.org', 'Ann'), ('bob@x.org', 'Bob');
         INSERT INTO towns VALUES ('ann@x.org', 'Ann'), ('bob@x.org', 'Bob');
         INSERT INTO pairs VALUES ('ann@x.org', 1, 'Ann'), ('ann@x.org', 2, 'Bob')",
    );
    for (table, columns) in [
        ("people", "email,name"),
        ("towns", "email,name"),
        ("pairs", "email,n,name"),
    ] {
        let sheet = world.map_with(table, &format!("columns => '{{{columns}}}'"));
        e2e::wait_for("three rows", 3, || sheet.rows().len());
        // With a change of SQL's to the same row.
        world.at_once(table, |world| {
            sheet.set("A2", "Ann@X.org");
            world.db.run(&format!(
                "UPDATE {table} SET name = 'Anna' WHERE name = 'Ann'"
            ));
        });
        world.settle(table);
        world.shows(
            &format!("SELECT email, name, secret FROM {table} ORDER BY name"),
            &format!(
                "ann@x.org | Anna | kept\n {} | Bob | kept",
                if table == "pairs" {
                    "ann@x.org"
                } else {
                    "bob@x.org"
                }
            ),
        );
        assert_eq!(sheet.rows().len(), 3, "{table}");
        assert_eq!(sheet.cell("A2"), "Ann@X.org", "{table}");
    }
    nothing_amiss(&mut world);
}

#[test]
fn a_paste_of_keys_of_which_a_trigger_makes_two_the_same() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE people (email text PRIMARY KEY, name text);
         CREATE TABLE notes (email text REFERENCES people ON UPDATE CASCADE ON DELETE CASCADE, body text);
         CREATE FUNCTION low() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := lower(btrim(NEW.email)); RETURN NEW; END $$;
         CREATE TRIGGER low BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION low();
         INSERT INTO people VALUES ('ann@x.org', 'Ann'); INSERT INTO notes VALUES ('ann@x.org', 'hello')",
    );
    let sheet = world.map("people");
    sheet.shows("email | name\n ann@x.org | Ann");
    sheet.type_at(
        "A3",
        &[
            ["Bob@X.org", "Bob"],
            ["Cid@X.org", "Cid"],
            ["BOB@x.org", "Twin"],
        ]
        .map(|row| row.map(str::to_owned).to_vec()),
    );
    world.settle("people");
    world.shows(
        "SELECT email, name FROM people ORDER BY 1",
        "ann@x.org | Ann\n bob@x.org | Bob\n cid@x.org | Cid",
    );
    sheet.shows(
        "email | name\n ann@x.org | Ann\n bob@x.org | Bob\n cid@x.org | Cid\n BOB@x.org | Twin",
    );
    world.shows("SELECT code FROM sheet_sync.problem", "23505");
    sheet.set("A2", "ANNE@x.org");
    world.settle("people");
    world.shows("SELECT email FROM notes", "anne@x.org");
    assert_eq!(sheet.cell("A2"), "anne@x.org");
    sheet.delete_row(5);
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.both_equal("people", &sheet);
}

#[test]
fn a_key_that_the_table_computes_of_another_column_is_followed() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE people (email text NOT NULL, name text, login text GENERATED ALWAYS AS (lower(email)) STORED PRIMARY KEY);
         INSERT INTO people VALUES ('Ann', 'Ann')",
    );
    let sheet = world.map("people");
    sheet.set("E2", "first");
    sheet.type_row(&["Bob", "Bob", "Bob", "", "call him"]);
    sheet.shows("email | name | login\n Ann | Ann | ann | | first\n Bob | Bob | bob | | call him");
    sheet.set("A2", "Anna");
    sheet
        .shows("email | name | login\n Anna | Ann | anna | | first\n Bob | Bob | bob | | call him");
    world.settle("people");
    sheet
        .shows("email | name | login\n Anna | Ann | anna | | first\n Bob | Bob | bob | | call him");
    world.shows(
        "SELECT * FROM people ORDER BY 1",
        "Anna | Ann | anna\n Bob | Bob | bob",
    );
    nothing_amiss(&mut world);
}

#[test]
fn keys_that_look_alike_are_a_problem_and_cost_no_row() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE items (sku text PRIMARY KEY, name text, secret text DEFAULT 'kept');
         INSERT INTO items VALUES ('A-1', 'Bolt'), ('A-2', 'Nut'), ('Zürich', 'Gear'), ('New York', 'Cog')",
    );
    let sheet = world.map_with("items", "columns => '{sku,name}'");
    for (key, alike) in [
        ("A-2", "A-2\u{a0}"),
        ("A-2", "\u{feff}A-2"),
        ("A-2", "A\u{ad}-2"),
        ("A-2", "A-\u{200b}2"),
        ("Zürich", "Zu\u{308}rich"),
        ("New York", "New\u{a0}York"),
    ] {
        // As a new row, and in place of the key.
        let at = 2 + ["A-1", "A-2", "New York", "Zürich"]
            .iter()
            .position(|one| *one == key)
            .expect("a key");
        sheet.type_at("A6", &[vec![alike.to_owned(), "Other".to_owned()]]);
        world.shows(
            "SELECT code, sheet_row FROM sheet_sync.problem",
            "look_alike_key | 6",
        );
        sheet.delete_row(6);
        world.shows(
            "SELECT code, key, sheet_row, message FROM sheet_sync.problem",
            "",
        );
        sheet.set(&format!("A{at}"), alike);
        world.shows(
            "SELECT code, sheet_row FROM sheet_sync.problem",
            &format!("look_alike_key | {at}"),
        );
        if key != "A-2" {
            world.settle("items");
        }
        sheet.set(&format!("A{at}"), key);
        world.shows(
            "SELECT code, key, sheet_row, message FROM sheet_sync.problem",
            "",
        );
    }
    world.shows(
        "SELECT count(*), count(*) FILTER (WHERE secret = 'kept') FROM items WHERE name <> 'Other'",
        "4 | 4",
    );
    world.both_equal("items", &sheet);
    nothing_amiss(&mut world);
}

#[test]
fn a_first_merge_makes_no_second_row_of_a_key_that_looks_alike() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE items (sku text PRIMARY KEY, name text);
         INSERT INTO items VALUES ('A-1', 'Bolt'), ('A-2', 'Nut')",
    );
    let book = world.google.spreadsheet("For items");
    let sheet = book.tab("items", "sku | name\n A-2 | Nut");
    sheet.type_at("A3", &[vec!["A-1\u{a0}".to_owned(), "Bolt".to_owned()]]);
    world.register("items", &sheet, "");
    world.merged("items");
    world.settle("items");
    world.shows(
        "SELECT code, sheet_row FROM sheet_sync.problem",
        "look_alike_key | 3",
    );
    world.shows("SELECT count(*) FROM items", "2");
    assert_eq!(sheet.rows().len(), 3);
    sheet.set("A3", "A-1");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.settle("items");
    sheet.shows("sku | name\n A-2 | Nut\n A-1 | Bolt");
    nothing_amiss(&mut world);
}

#[test]
fn headers_are_known_in_either_form_of_unicode() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE orte (id int PRIMARY KEY, \"größe\" text, \"café\" text);
         INSERT INTO orte VALUES (1, 'klein', 'ja')",
    );
    let cells = "id | gro\u{308}ße | cafe\u{301}\n 1 | klein | ja";
    let sheet = people_s(&mut world, "orte", cells, "");
    sheet.set("B2", "mittel");
    world.shows("SELECT * FROM orte", "1 | mittel | ja");
    nothing_amiss(&mut world);
}

#[test]
fn a_number_with_more_digits_than_a_cell_keeps_is_no_key() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE members (id bigint PRIMARY KEY, name text);
         INSERT INTO members VALUES (1, 'Ann'), (1497549923779084388, 'Eva')",
    );
    let sheet = world.map("members");
    sheet.type_row(&["1497549923779084389", "Bob"]);
    world.shows(
        "SELECT code, sheet_row FROM sheet_sync.problem",
        "too_many_digits | 4",
    );
    world.settle("members");
    world.shows("SELECT count(*) FROM members", "2");
    assert!(
        world
            .db
            .one("SELECT hint FROM sheet_sync.problem")
            .contains("' before it")
    );
    sheet.set("A4", "'1497549923779084389");
    world.shows(
        "SELECT * FROM members ORDER BY 1",
        "1 | Ann\n 1497549923779084388 | Eva\n 1497549923779084389 | Bob",
    );
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    nothing_amiss(&mut world);
}
