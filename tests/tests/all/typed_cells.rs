//! What a person types means what the sheet shows of it: formats, locales, digits, dates and
//! durations.

use e2e::World;
use serde_json::{Value, json};

/// Columns below a header that people wrote: nothing in them is formatted by us.
fn peoples_tab(world: &World, locale: &str, text: &str) -> e2e::Sheet {
    let book = world.google.spreadsheet_in("Book", locale, "Europe/Vienna");
    book.tab("Data", text)
}

fn number(
    sheet: &e2e::Sheet,
    row: u32,
    column: u32,
    value: f64,
    kind: &str,
    pattern: &str,
) -> Value {
    json!({"updateCells": {
        "rows": [{"values": [{"userEnteredValue": {"numberValue": value},
                              "userEnteredFormat": {"numberFormat": {"type": kind, "pattern": pattern}}}]}],
        "fields": "userEnteredValue,userEnteredFormat.numberFormat",
        "start": {"sheetId": sheet.gid(), "rowIndex": row, "columnIndex": column},
    }})
}

const PROBLEMS: &str = "SELECT key[1], column_name, code FROM sheet_sync.problem ORDER BY 1, 2";

#[test]
fn a_text_column_gets_what_cells_show() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE items (id int PRIMARY KEY, code text);
         INSERT INTO items SELECT n FROM generate_series(1, 6) n",
    );
    let sheet = peoples_tab(&world, "en_US", "id | code\n 1\n 2\n 3\n 4\n 5\n 6");
    world.register("items", &sheet, "");
    world.merged("items");
    for (cell, typed) in [
        ("B2", "2024-01-02"),
        ("B3", "12%"),
        ("B4", "10:30"),
        ("B5", "$5.00"),
        ("B7", "17"),
    ] {
        sheet.set(cell, typed);
    }
    sheet.by_menu(json!([number(&sheet, 5, 1, 123.0, "NUMBER", "00000")]));
    world.table_shows(
        "items",
        "id | code\n 1 | 2024-01-02\n 2 | 12%\n 3 | 10:30\n 4 | $5.00\n 5 | 00123\n 6 | 17",
    );
    world.quiet();
    assert_eq!(sheet.shown("B2"), "2024-01-02");
    assert_eq!(sheet.cell("B2"), "45293");
}

#[test]
fn a_text_key_is_what_its_cell_shows() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE sizes (size text PRIMARY KEY, n int); INSERT INTO sizes VALUES ('1-2', 10)",
    );
    let sheet = peoples_tab(&world, "en_US", "size | n\n 1-2 | 10");
    world.register("sizes", &sheet, "");
    world.merged("sizes");
    world.quiet();
    sheet.set("B2", "11");
    world.table_shows("sizes", "size | n\n 1-2 | 11");
    sheet.type_row(&["3-4", "12"]);
    world.table_shows("sizes", "size | n\n 1-2 | 11\n 3-4 | 12");
    world.db.run("UPDATE sizes SET n = 13 WHERE size = '3-4'");
    e2e::wait_for("the new number", "13".to_owned(), || sheet.cell("B3"));
    world.quiet();
    assert_eq!(sheet.rows().len(), 3);
    assert_eq!(world.db.count("SELECT count(*) FROM sheet_sync.problem"), 0);
}

#[test]
fn a_date_is_taken_only_where_it_can_be_read_in_one_way() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE visits (id int PRIMARY KEY, day date, at timestamp);
         INSERT INTO visits SELECT n, '2024-01-01', '2024-01-01 08:00' FROM generate_series(1, 6) n",
    );
    let sheet = world.map("visits");
    e2e::wait_for("seven rows", 7, || sheet.rows().len());
    for (cell, typed) in [
        ("B2", "25.12.24"),
        ("B3", "13/2/24"),
        ("C4", "25.12.24 10:00"),
        ("B5", "'1/2/24"),
        ("B6", "soon"),
        ("B7", "Jan 5, 2023"),
    ] {
        sheet.set(cell, typed);
    }
    world.shows(PROBLEMS, "4 | day | 22007\n 5 | day | 22007");
    world.shows(
        "SELECT id, day, at FROM visits ORDER BY 1",
        "1 | 2024-12-25 | 2024-01-01 08:00:00
         2 | 2024-02-13 | 2024-01-01 08:00:00
         3 | 2024-01-01 | 2024-12-25 10:00:00
         4 | 2024-01-01 | 2024-01-01 08:00:00
         5 | 2024-01-01 | 2024-01-01 08:00:00
         6 | 2023-01-05 | 2024-01-01 08:00:00",
    );
    let hint = world
        .db
        .one("SELECT hint FROM sheet_sync.problem WHERE key[1] = '4'");
    assert!(
        hint.contains("2024-01-02") && hint.contains("2024-02-01"),
        "{hint}"
    );
    world.quiet();
    assert_eq!(sheet.cell("B5"), "1/2/24");
    assert_eq!(sheet.cell("B2"), "25.12.24");
}

#[test]
fn a_bare_number_is_no_date() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE visits (id int PRIMARY KEY, day date, at timestamptz, clock time);
         INSERT INTO visits VALUES (1, '2024-01-01', '2024-01-01 08:00', '08:00')",
    );
    let sheet = peoples_tab(
        &world,
        "en_US",
        "id | day | at | clock\n 1 | 2024-01-01 | 2024-01-01 09:00:00 | 8:00\n 2 | 2024 | |",
    );
    world.register("visits", &sheet, "");
    world.shows(PROBLEMS, "2 | day | bare_number");
    sheet.by_menu(json!([
        number(&sheet, 1, 1, 2024.0, "NUMBER", "0"),
        number(&sheet, 1, 2, 2024.0, "NUMBER", "0"),
        number(&sheet, 1, 3, 0.5, "NUMBER", "0.00"),
    ]));
    world.shows(
        PROBLEMS,
        "1 | at | bare_number\n 1 | clock | bare_number\n 1 | day | bare_number\n 2 | day | bare_number",
    );
    world.shows(
        "SELECT day, clock FROM visits WHERE id = 1",
        "2024-01-01 | 08:00:00",
    );
    world.shows("SELECT count(*) FROM visits WHERE day < '2000-01-01'", "0");
    sheet.set("B3", "2024-03-01");
    world.shows("SELECT day FROM visits WHERE id = 2", "2024-03-01");
}

#[test]
fn a_number_of_more_digits_than_a_cell_keeps_is_a_problem() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE members (id bigint PRIMARY KEY, name text, referrer bigint, share numeric);
         INSERT INTO members VALUES (1, 'Ann', NULL, NULL)",
    );
    let sheet = world.map("members");
    e2e::wait_for("two rows", 2, || sheet.rows().len());
    sheet.set("C2", "1497549923779084388");
    sheet.set("D2", "0.1234567890123456789");
    sheet.type_row(&["1497549923779084388", "Bob"]);
    e2e::wait_for(
        "three problems",
        [["share"], ["referrer"], ["id"]]
            .map(|one| one.map(str::to_owned).to_vec())
            .to_vec(),
        || {
            world.db.table(
                "SELECT column_name FROM sheet_sync.problem WHERE code = 'too_many_digits' ORDER BY 1 DESC",
            )
        },
    );
    world.shows("SELECT id, name, referrer, share FROM members", "1 | Ann");
    sheet.set("C2", "'1497549923779084388");
    sheet.set("D2", "'0.1234567890123456789");
    sheet.set("A3", "'1497549923779084388");
    world.shows(
        "SELECT id, name, referrer, share FROM members ORDER BY 1",
        "1 | Ann | 1497549923779084388 | 0.1234567890123456789\n 1497549923779084388 | Bob",
    );
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.quiet();
}

#[test]
fn durations_stay_durations() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE shifts (id int PRIMARY KEY, worked interval);
         INSERT INTO shifts VALUES (1, '08:00'), (2, '00:45')",
    );
    let sheet = peoples_tab(&world, "en_US", "id | worked\n 1 | 8:00:00\n 2 | 0:45:00");
    world.register("shifts", &sheet, "");
    world.merged("shifts");
    world.quiet();
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
    sheet.set("B2", "1:30:00");
    sheet.set("B3", "36:00:00");
    world.table_shows("shifts", "id | worked\n 1 | 01:30:00\n 2 | 36:00:00");
    world.quiet();
    assert_eq!(
        (sheet.cell("B2"), sheet.cell("B3")),
        ("0.0625".into(), "1.5".into())
    );
    world.db.run(
        "UPDATE shifts SET worked = '02:00' WHERE id = 1; INSERT INTO shifts VALUES (3, '06:00')",
    );
    e2e::wait_for(
        "numbers that can be summed",
        ["0.0833", "0.25"].map(str::to_owned),
        || [sheet.cell("B2").chars().take(6).collect(), sheet.cell("B4")],
    );
    // Without a format of time it is of no unit.
    sheet.by_menu(json!([number(&sheet, 1, 1, 90.0, "NUMBER", "0")]));
    world.shows(PROBLEMS, "1 | worked | bare_number");
    world.shows("SELECT worked FROM shifts WHERE id = 1", "02:00:00");
}

#[test]
fn a_date_in_a_column_of_numbers_is_a_problem_in_every_locale() {
    let mut world = World::start();
    for locale in ["de_DE", "fr_FR", "it_IT"] {
        let table = format!("prices_{}", locale.to_lowercase());
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, price numeric, qty int, what text);
             INSERT INTO {table} VALUES (1, 1, 1), (2, 2, 2)"
        ));
        let sheet = peoples_tab(
            &world,
            locale,
            "id | price | qty | what\n 1 | 1 | 1\n 2 | 2 | 2",
        );
        world.register(&table, &sheet, "");
        world.merged(&table);
        sheet.set("B2", "1.5");
        sheet.by_menu(json!([number(&sheet, 1, 2, 45413.0, "DATE", "d.m")]));
        sheet.set("B3", "1,5");
        sheet.set("D3", "12,5%");
        let problems = format!(
            "SELECT key[1], column_name, code FROM sheet_sync.problem p JOIN sheet_sync.mapping m ON m.id = p.mapping_id
             WHERE m.table_name = '{table}'::regclass ORDER BY 2"
        );
        world.shows(&problems, "1 | price | holds_date\n 1 | qty | holds_date");
        world.table_shows(
            &table,
            "id | price | qty | what\n 1 | 1 | 1\n 2 | 1.5 | 2 | 12,50%",
        );
    }
}

#[test]
fn dates_are_read_as_the_locale_writes_them() {
    let mut world = World::start();
    for (locale, typed, text) in [
        ("en_US", "2/13/2024", "2/13/2024"),
        ("de_DE", "13.2.2024", "'13.02.2024"),
        ("fr_FR", "13/2/2024", "'13/02/2024"),
        ("ja_JP", "2024/2/13", "'2024/02/13"),
    ] {
        let table = format!("days_{}", locale.to_lowercase());
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, day date, label text); INSERT INTO {table} VALUES (1), (2)"
        ));
        let sheet = peoples_tab(&world, locale, "id | day | label\n 1\n 2");
        world.register(&table, &sheet, "");
        world.merged(&table);
        sheet.set("B2", typed);
        sheet.set("B3", text);
        sheet.set("C2", typed);
        world.shows(
            &format!("SELECT id, day, label FROM {table} ORDER BY 1"),
            &format!("1 | 2024-02-13 | {typed}\n 2 | 2024-02-13"),
        );
    }
    assert_eq!(world.db.count("SELECT count(*) FROM sheet_sync.problem"), 0);
}

#[test]
fn another_notation_stays_as_it_was_typed() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE things (id int PRIMARY KEY, yes boolean, tags text[], doc jsonb, code uuid, span interval, price numeric, shouted text);
         CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.shouted := upper(NEW.shouted); RETURN NEW; END $$;
         CREATE TRIGGER shout BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION shout();
         INSERT INTO things VALUES (1)",
    );
    let sheet = world.map("things");
    e2e::wait_for("two rows", 2, || sheet.rows().len());
    let typed = [
        "'yes",
        "{a, b}",
        "{\"a\":1,  \"b\":2}",
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "24:00",
        "'1.50",
        "loud",
    ];
    sheet.type_at("B2", &[typed.map(str::to_owned).to_vec()]);
    world.shows(
        "SELECT yes, tags, doc, code, span, price, shouted FROM things",
        r#"t | {a,b} | {"a": 1, "b": 2} | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 | 24:00:00 | 1.50 | LOUD"#,
    );
    e2e::wait_for("what the trigger made", "LOUD".to_owned(), || {
        sheet.cell("H2")
    });
    world.quiet();
    let shown = ["B2", "C2", "D2", "E2", "F2", "G2"].map(|cell| sheet.cell(cell));
    assert_eq!(
        shown,
        [
            "yes",
            "{a, b}",
            "{\"a\":1,  \"b\":2}",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "24:00",
            "1.50"
        ]
    );
    // Also where nothing is remembered.
    world.db.run("SELECT sheet_sync.resync('things')");
    world.merged("things");
    world.quiet();
    assert_eq!(sheet.cell("E2"), "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11");
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn json_takes_true_and_numbers_and_a_list_says_its_form() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE docs (id int PRIMARY KEY, doc jsonb, tags text[]); INSERT INTO docs VALUES (1), (2), (3)",
    );
    let sheet = peoples_tab(&world, "en_US", "id | doc | tags\n 1\n 2\n 3");
    world.register("docs", &sheet, "");
    world.merged("docs");
    sheet.set("B2", "TRUE");
    sheet.set("B3", "5.5");
    sheet.set("C4", "red, blue");
    world.shows(PROBLEMS, "3 | tags | 22P02");
    let hint = world.db.one("SELECT hint FROM sheet_sync.problem");
    assert!(hint.contains("{red,blue}"), "{hint}");
    world.shows("SELECT doc FROM docs ORDER BY id LIMIT 2", "true\n 5.5");
}

#[test]
fn an_amount_of_money_that_is_typed_as_a_number_stays_one() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE bills (id int PRIMARY KEY, due money); INSERT INTO bills VALUES (1, 1), (2, 2)",
    );
    let sheet = peoples_tab(&world, "en_US", "id | due\n 1 | 1\n 2 | 2");
    world.register("bills", &sheet, "");
    world.merged("bills");
    sheet.set("B2", "7");
    world.shows("SELECT due::numeric FROM bills WHERE id = 1", "7.00");
    world.quiet();
    assert_eq!([sheet.cell("B2"), sheet.cell("B3")], ["7", "2"]);
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}
