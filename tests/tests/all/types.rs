//! Every type there and back: what the sheet shows of it, and what the table makes of what a person
//! types.

use e2e::World;

/// Text of the cells B2, B3, … of a column.
fn column(sheet: &e2e::Sheet, letter: &str, rows: usize) -> Vec<String> {
    (2..rows + 2)
        .map(|row| sheet.cell(&format!("{letter}{row}")))
        .collect()
}

#[test]
fn enums_arrays_json_domains_and_their_like_travel_as_text() {
    let mut world = World::start();
    world.db.run(
        r#"CREATE TYPE mood AS ENUM ('calm', 'very cross');
           CREATE DOMAIN percentage AS int CHECK (VALUE BETWEEN 0 AND 100);
           CREATE TABLE things (id int PRIMARY KEY, mood mood, tags text[], doc jsonb, share percentage, net inet, span interval, raw bytea, code uuid, during int4range);
           INSERT INTO things VALUES
             (1, 'calm', '{a,"b c"}', '{"a": [1, null]}', 50, '10.0.0.1/8', '1 day 02:00', '\xdeadbeef', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '[1,5)'),
             (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"#,
    );
    let sheet = world.map("things");
    sheet.shows(
        r#"id | mood | tags | doc | share | net | span | raw | code | during
           1 | calm | {a,"b c"} | {"a": [1, null]} | 50 | 10.0.0.1/8 | 1 day 02:00:00 | \xdeadbeef | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 | [1,5)
           2"#,
    );
    sheet.type_at(
        "B3",
        &[[
            "very cross",
            "{x,NULL}",
            "{\"b\":1}",
            "100",
            "::1",
            "3 days",
            "\\x00ff",
            "a0eebc999c0b4ef8bb6d6bb9bd380a12",
            "[2,7]",
        ]
        .map(str::to_owned)
        .to_vec()],
    );
    world.shows(
        "SELECT mood, tags, doc, share, net, span, raw, code, during FROM things WHERE id = 2",
        r#"very cross | {x,NULL} | {"b": 1} | 100 | ::1 | 3 days | \x00ff | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12 | [2,8)"#,
    );
    // What the table made of it is what the sheet shows then.
    e2e::wait_for("the range as the table has it", "[2,8)".to_owned(), || {
        sheet.cell("J3")
    });
    world.quiet();
    sheet.set("B2", "furious");
    sheet.set("E2", "101");
    world.shows(
        "SELECT column_name, code FROM sheet_sync.problem ORDER BY 1",
        "mood | 22P02\n share | 23514",
    );
    world.shows("SELECT mood, share FROM things WHERE id = 1", "calm | 50");
    sheet.set("B2", "calm");
    sheet.set("E2", "51");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    world.shows("SELECT mood, share FROM things WHERE id = 1", "calm | 51");
}

#[test]
fn numbers_that_no_double_holds_keep_every_digit() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE numbers (id int PRIMARY KEY, big int8, exact numeric, single float4, double float8);
         INSERT INTO numbers VALUES
           (1, 9007199254740992, 0.1, 0.1, 0.1),
           (2, 9007199254740993, 123456789012345678.901234567890, 'Infinity', '-Infinity'),
           (3, -9223372036854775808, 'NaN', 'NaN', 5e-324),
           (4, 0, -0.00, '-0', 1.7976931348623157e308)",
    );
    let before = world.db.table("SELECT * FROM numbers ORDER BY id");
    let sheet = world.map("numbers");
    e2e::wait_for("five rows", 5, || sheet.rows().len());
    assert_eq!(
        column(&sheet, "B", 3),
        [
            // The largest that is a number; the others are texts.
            "9007199254740992.0",
            "9007199254740993",
            "-9223372036854775808"
        ]
    );
    assert_eq!(
        column(&sheet, "C", 3),
        ["0.1", "123456789012345678.901234567890", "NaN"]
    );
    assert_eq!(column(&sheet, "D", 3), ["0.1", "Infinity", "NaN"]);
    world.quiet();
    assert_eq!(before, world.db.table("SELECT * FROM numbers ORDER BY id"));
    sheet.set("B2", "'9007199254740995");
    sheet.set("C2", "'12345678901234567890.5");
    world.shows(
        "SELECT big, exact FROM numbers WHERE id = 1",
        "9007199254740995 | 12345678901234567890.5",
    );
    world.quiet();
}

#[test]
fn days_and_moments_at_the_edges_come_back_as_they_were() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE moments (id int PRIMARY KEY, day date, clock time, local timestamp, instant timestamptz);
         INSERT INTO moments VALUES
           (1, '1900-01-01', '00:00', '1900-01-01 00:00:00.000001', '2024-03-31 00:59:59.999999+00'),
           (2, '1899-12-30', '23:59:59.999999', '2024-02-29 12:34:56.789012', '2024-03-31 01:00:00+00'),
           (3, '1899-12-29', '12:00', '0044-03-15 12:00 BC', '2024-10-27 00:30:00+00'),
           (4, '0044-03-15 BC', '24:00', 'infinity', '2024-10-27 01:30:00+00'),
           (5, 'infinity', NULL, '-infinity', 'infinity')",
    );
    let before = world.db.table("SELECT * FROM moments ORDER BY id");
    // Its clocks change on the last Sundays of March and October.
    let book = world
        .google
        .spreadsheet_in("Wien", "de_AT", "Europe/Vienna");
    let sheet = book.empty_tab("moments");
    world.register("moments", &sheet, "");
    world.merged("moments");
    e2e::wait_for("six rows", 6, || sheet.rows().len());
    assert_eq!(column(&sheet, "B", 2), ["2", "0"]);
    assert_eq!(
        column(&sheet, "B", 5)[2..],
        ["1899-12-29", "0044-03-15 BC", "infinity"]
    );
    world.quiet();
    // The sheet is read anew by a worker that remembers nothing: what it shows means what the table
    // has.
    world.db.run("SELECT sheet_sync.resync('moments')");
    world.merged("moments");
    world.quiet();
    assert_eq!(before, world.db.table("SELECT * FROM moments ORDER BY id"));
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn texts_of_every_make_come_back_to_the_letter() {
    let mut world = World::start();
    world.db.run(
        r"CREATE TABLE texts (id int PRIMARY KEY, body text NOT NULL, maybe text);
          INSERT INTO texts VALUES
            (1, '', NULL), (2, '007', '+1'), (3, '=1+1', '-1'), (4, '@home', '''quoted'),
            (5, E'a\tb\nc', E' blanks around '), (6, '👩‍👩‍👧 é', 'TRUE'), (7, '1/2/24', '1e5'),
            (8, repeat('x', 50000), NULL)",
    );
    let before = world.db.table("SELECT * FROM texts ORDER BY id");
    let sheet = world.map("texts");
    e2e::wait_for("nine rows", 9, || sheet.rows().len());
    world.quiet();
    world.db.run("SELECT sheet_sync.resync('texts')");
    world.merged("texts");
    world.quiet();
    assert_eq!(before, world.db.table("SELECT * FROM texts ORDER BY id"));
    assert_eq!(sheet.cell("B4"), "=1+1");
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
}

#[test]
fn keys_of_any_default_are_given_to_rows_typed_without_one() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE by_serial (id serial PRIMARY KEY, what text NOT NULL);
         CREATE TABLE by_uuid (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), what text NOT NULL);
         CREATE TABLE by_identity (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL, twice text GENERATED ALWAYS AS (what || what) STORED)",
    );
    for table in ["by_serial", "by_uuid", "by_identity"] {
        let sheet = world.map(table);
        sheet.type_at("A2", &[vec![String::new(), "typed".to_owned()]]);
        let sql = format!("SELECT count(*) FROM {table} WHERE what = 'typed'");
        world.shows(&sql, "1");
        let key = world.db.one(&format!("SELECT id FROM {table}"));
        e2e::wait_for("the key", key, || sheet.cell("A2"));
        world.sync(table);
        assert_eq!(world.db.one(&sql), "1", "no second row of {table}");
    }
    world.shows("SELECT twice FROM by_identity", "typedtyped");
}

#[test]
fn texts_of_a_length_times_with_a_zone_and_other_rare_types_come_back_as_they_were() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE rare (id int PRIMARY KEY, code char(5), word varchar(5), doc xml, clock timetz, mac macaddr, bits bit(4), days daterange, spot point, path text[][]);
         INSERT INTO rare VALUES
           (1, 'ab', 'ab ', '<a>1</a>', '12:34:56.789+02', '08:00:2b:01:02:03', B'0101', '[2024-01-01,2024-02-01)', '(1,2)', '{{1,2},{3,4}}'),
           (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    let row = |id: u32| format!("SELECT * FROM rare WHERE id = {id}");
    let before = world.db.table(&row(1));
    let sheet = world.map("rare");
    e2e::wait_for("three rows", 3, || sheet.rows().len());
    world.quiet();
    world.db.run("SELECT sheet_sync.resync('rare')");
    world.merged("rare");
    world.quiet();
    assert_eq!(world.db.table(&row(1)), before);
    sheet.type_at(
        "B3",
        &[[
            "cd",
            "efghi",
            "<b/>",
            "'01:02:03+00",
            "'08:00:2b:01:02:04",
            "'1010",
            "[2024-03-01,2024-03-05]",
            "(3,4)",
            "{{a,b}}",
        ]
        .map(str::to_owned)
        .to_vec()],
    );
    world.shows(
        "SELECT octet_length(code), word, doc, clock, mac, bits, days, spot, path FROM rare WHERE id = 2",
        "5 | efghi | <b/> | 01:02:03+00 | 08:00:2b:01:02:04 | 1010 | [2024-03-01,2024-03-06) | (3,4) | {{a,b}}",
    );
    world.quiet();
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    sheet.set("C3", "too long");
    world.shows(
        "SELECT key[1], column_name, code FROM sheet_sync.problem",
        "2 | word | 22001",
    );
}

/// What a person types into a cell of a column of this type, and what the table makes of it: its
/// text, or the code of a problem. An apostrophe before it is how a person types text.
const TYPED: &[(&str, &[(&str, &str)])] = &[
    (
        "int",
        &[
            ("42", "42"),
            ("-7", "-7"),
            ("4.0", "4"),
            ("1,234", "1234"),
            ("'0042", "42"),
            ("4.5", "22P02"),
            ("many", "22P02"),
            ("2147483648", "22003"),
        ],
    ),
    (
        "numeric",
        &[
            ("1.5", "1.5"),
            ("'1.50", "1.50"),
            ("1e3", "1000"),
            ("12%", "0.12"),
            ("'NaN", "NaN"),
            (
                "'12345678901234567890.123456789",
                "12345678901234567890.123456789",
            ),
            ("1.2.3", "22P02"),
        ],
    ),
    (
        "float8",
        &[
            ("0.1", "0.1"),
            ("1e300", "1e+300"),
            ("'Infinity", "Infinity"),
            ("'-Infinity", "-Infinity"),
            ("'NaN", "NaN"),
        ],
    ),
    (
        "boolean",
        &[
            ("TRUE", "true"),
            ("false", "false"),
            ("'yes", "true"),
            ("'off", "false"),
            ("maybe", "22P02"),
        ],
    ),
    (
        "date",
        &[
            ("2024-02-29", "2024-02-29"),
            ("'2024-02-29", "2024-02-29"),
            ("1900-01-01", "1900-01-01"),
            ("2", "1900-01-01"),
            ("60", "1900-02-28"),
            ("61", "1900-03-01"),
            ("0", "1899-12-30"),
            ("'1899-12-29", "1899-12-29"),
            ("'0044-03-15 BC", "0044-03-15 BC"),
            ("'infinity", "infinity"),
            ("'2023-02-29", "22008"),
            ("soon", "22007"),
        ],
    ),
    (
        "time",
        &[
            ("12:34:56", "12:34:56"),
            ("0.5", "12:00:00"),
            ("'23:59:59.999999", "23:59:59.999999"),
            ("'24:00", "24:00:00"),
            ("noonish", "22007"),
        ],
    ),
    (
        "timestamp",
        &[
            ("2024-02-29 12:34:56", "2024-02-29 12:34:56"),
            ("45351.5", "2024-02-29 12:00:00"),
            ("'2024-02-29 12:34:56.789012", "2024-02-29 12:34:56.789012"),
            ("'0044-03-15 12:00 BC", "0044-03-15 12:00:00 BC"),
            ("'-infinity", "-infinity"),
        ],
    ),
    // The spreadsheet is in Vienna, the session in UTC.
    (
        "timestamptz",
        &[
            ("2024-07-01 12:00:00", "2024-07-01 10:00:00+00"),
            ("2024-01-01 12:00:00", "2024-01-01 11:00:00+00"),
            (
                "'2024-07-01 12:00:00.000001+00",
                "2024-07-01 12:00:00.000001+00",
            ),
        ],
    ),
    (
        "text",
        &[
            ("007", "007"),
            ("1.0", "1.0"),
            ("1e5", "1e5"),
            ("2024-01-02", "2024-01-02"),
            ("'=1+1", "=1+1"),
            ("+49 30", "+49 30"),
            ("@home", "@home"),
            ("''quoted", "'quoted"),
            ("two\nlines", "two\nlines"),
            (" blanks ", " blanks "),
        ],
    ),
];

#[test]
fn whatever_a_person_types_is_read_by_the_columns_type_or_is_a_problem_of_its_cell() {
    let mut world = World::start();
    let book = world
        .google
        .spreadsheet_in("Wien", "en_US", "Europe/Vienna");
    let mut sheets = Vec::new();
    for (kind, cases) in TYPED {
        let table = format!("typed_{kind}");
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, value {kind});
             INSERT INTO {table} SELECT n FROM generate_series(1, {}) n",
            cases.len()
        ));
        // All of a small table changes at once.
        world.register_at(&table, book.id(), "max_delete_percent => 100");
        world.merged(&table);
        let sheet = book.wait_for_tab(&table);
        for (row, (typed, _)) in cases.iter().enumerate() {
            sheet.set(&format!("B{}", row + 2), typed);
        }
        sheets.push((table, sheet));
    }
    for ((table, sheet), (_, cases)) in sheets.iter().zip(TYPED) {
        let expected: Vec<Vec<String>> = (1..)
            .zip(*cases)
            .map(|(id, (_, value))| vec![id.to_string(), (*value).to_owned()])
            .collect();
        let found = format!(
            "SELECT t.id, coalesce(t.value::text, p.code) FROM {table} t LEFT JOIN sheet_sync.problem p ON p.key = ARRAY[t.id::text]
             AND p.mapping_id = (SELECT m.id FROM sheet_sync.mapping m WHERE m.table_name = '{table}'::regclass) ORDER BY t.id"
        );
        e2e::wait_for(table, expected.clone(), || world.db.table(&found));
        // Emptied cells are NULL again, and their problems are over.
        for row in 0..cases.len() {
            sheet.set(&format!("B{}", row + 2), "");
        }
        world.shows(&format!("SELECT count(value) FROM {table}"), "0");
    }
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn an_emptied_cell_is_null_and_where_null_is_not_allowed_an_empty_text() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE texts (id int PRIMARY KEY, maybe text, must text NOT NULL, amount int NOT NULL);
         INSERT INTO texts VALUES (1, 'a', 'b', 1), (2, '', '', 2)",
    );
    let sheet = world.map("texts");
    world.both_equal("texts", &sheet);
    for cell in ["B2", "C2", "D2"] {
        sheet.set(cell, "");
    }
    world.shows(
        "SELECT key[1], column_name, code FROM sheet_sync.problem",
        "1 | amount | 23502",
    );
    world.shows(
        "SELECT maybe IS NULL, must = '', amount FROM texts WHERE id = 1",
        "t | t | 1",
    );
    // What was '' in the table is not made NULL by a cell that nobody touched.
    sheet.set("D3", "3");
    world.shows(
        "SELECT maybe = '', must = '', amount FROM texts WHERE id = 2",
        "t | t | 3",
    );
}

#[test]
fn the_longest_text_that_a_cell_holds_may_be_typed() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1, 'short')",
    );
    let sheet = world.map("notes");
    world.both_equal("notes", &sheet);
    sheet.set("B2", &"x".repeat(50_000));
    world.shows("SELECT length(body) FROM notes", "50000");
    world.quiet();
    world.db.run("UPDATE notes SET body = body || 'y'");
    world.shows(
        "SELECT key[1], column_name, side FROM sheet_sync.problem",
        "1 | body | sheet",
    );
    assert_eq!(sheet.cell("B2").len(), 50_000);
    assert_eq!(world.db.count("SELECT length(body) FROM notes"), 50_001);
}
