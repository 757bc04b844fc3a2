//! Whatever people have made of their sheet besides cells: values arrive at the right rows, and
//! what they made is still there.

use e2e::{Fault, Kind, Sheet, World};
use serde_json::{Value, json};

/// Four parts on both sides, with a column of people's own beside them.
fn parts(world: &mut World, table: &str) -> Sheet {
    world.db.run(&format!(
        "CREATE TABLE {table} (id int PRIMARY KEY, name text, price numeric, stocked boolean);
         INSERT INTO {table} VALUES (1, 'Bolt', 1, true), (2, 'Nut', 2, false), (3, 'Gear', 3, true), (4, 'Cog', 4, false)"
    ));
    let sheet = world.google.spreadsheet(table).tab(
        table,
        "id | name | price | stocked | remark
         1  | Bolt | 1     | TRUE    | of 1
         2  | Nut  | 2     | FALSE   | of 2
         3  | Gear | 3     | TRUE    | of 3
         4  | Cog  | 4     | FALSE   | of 4",
    );
    world.register(table, &sheet, "");
    world.merged(table);
    sheet
}

/// Every kind of change, from both sides; everything arrives where it belongs.
#[track_caller]
fn changes_arrive(world: &mut World, table: &str, sheet: &Sheet) {
    world.db.run(&format!(
        "BEGIN;
         UPDATE {table} SET price = 10 WHERE id = 1;
         INSERT INTO {table} VALUES (5, 'Pin', 5, true);
         DELETE FROM {table} WHERE id = 3;
         COMMIT"
    ));
    sheet.set(&format!("B{}", sheet.row_where(0, "2")), "Mother");
    let mapped = "id | name | price | stocked\n 1 | Bolt | 10 | t\n 2 | Mother | 2 | f\n 4 | Cog | 4 | f\n 5 | Pin | 5 | t";
    world.table_shows(table, mapped);
    sheet.shows(
        "id | name   | price | stocked | remark
         1  | Bolt   | 10    | TRUE    | of 1
         2  | Mother | 2     | FALSE   | of 2
         4  | Cog    | 4     | FALSE   | of 4
         5  | Pin    | 5     | TRUE    |",
    );
    world.sync(table);
    world.has_no_problem();
}

/// These rows (from 0, end excluded) and columns of a tab.
fn range(sheet: &Sheet, rows: [u32; 2], columns: [u32; 2]) -> Value {
    json!({"sheetId": sheet.gid(), "startRowIndex": rows[0], "endRowIndex": rows[1], "startColumnIndex": columns[0], "endColumnIndex": columns[1]})
}

fn hidden_rows(sheet: &Sheet, why: &str) -> Vec<usize> {
    let rows = sheet.structure()["data"][0]["rowMetadata"].clone();
    let rows = rows.as_array().cloned().unwrap_or_default();
    (1..)
        .zip(rows)
        .filter(|(_, row)| row[why] == true)
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn filters_and_hidden_rows() {
    let mut world = World::start();

    let sheet = parts(&mut world, "filtered");
    // Bolt and Nut are hidden: the first is changed, the second edited.
    let hidden = json!({"hiddenValues": ["Bolt", "Nut"]});
    sheet.by_menu(json!([{"setBasicFilter": {"filter": {
        "range": range(&sheet, [0, 5], [0, 5]),
        "filterSpecs": [{"columnIndex": 1, "filterCriteria": hidden}]}}}]));
    assert_eq!(hidden_rows(&sheet, "hiddenByFilter"), [2, 3]);
    changes_arrive(&mut world, "filtered", &sheet);
    let filter = &sheet.structure()["basicFilter"];
    assert_eq!(filter["filterSpecs"][0]["filterCriteria"], hidden);
    assert_eq!(filter["range"]["startColumnIndex"], 0);

    let sheet = parts(&mut world, "viewed");
    sheet.by_menu(json!([{"addFilterView": {"filter": {
        "title": "Dear ones", "range": range(&sheet, [0, 5], [0, 5]),
        "filterSpecs": [{"columnIndex": 1, "filterCriteria": hidden}]}}}]));
    changes_arrive(&mut world, "viewed", &sheet);
    let view = &sheet.structure()["filterViews"][0];
    assert_eq!(view["title"], "Dear ones");
    assert_eq!(view["range"]["endRowIndex"], 4, "it lost the deleted row");

    let sheet = parts(&mut world, "hidden");
    sheet.by_menu(json!([{"updateDimensionProperties": {
        "range": {"sheetId": sheet.gid(), "dimension": "ROWS", "startIndex": 1, "endIndex": 3},
        "properties": {"hiddenByUser": true}, "fields": "hiddenByUser"}}]));
    changes_arrive(&mut world, "hidden", &sheet);
    assert_eq!(hidden_rows(&sheet, "hiddenByUser"), [2, 3]);

    let sheet = parts(&mut world, "narrow");
    // The key and the price.
    for column in [0, 2] {
        sheet.by_menu(json!([{"updateDimensionProperties": {
            "range": {"sheetId": sheet.gid(), "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1},
            "properties": {"hiddenByUser": true}, "fields": "hiddenByUser"}}]));
    }
    changes_arrive(&mut world, "narrow", &sheet);
    let columns = &sheet.structure()["data"][0]["columnMetadata"];
    let hidden = [0, 1, 2, 3].map(|column| columns[column]["hiddenByUser"] == true);
    assert_eq!(hidden, [true, false, true, false]);
}

/// A merge keeps the cell at its upper left and hides the others, which from then on are empty and
/// take nothing.
#[test]
fn cells_hidden_by_a_merge_are_a_problem_once_the_table_writes_them() {
    let mut world = World::start();
    let sheet = parts(&mut world, "covered");
    // The names of Bolt and Nut.
    sheet.by_menu(
        json!([{"mergeCells": {"range": range(&sheet, [1, 3], [1, 2]), "mergeType": "MERGE_ALL"}}]),
    );
    world.shows("SELECT count(*) FROM covered WHERE name IS NULL", "1");
    // What the merge took from the sheet is not lost.
    world.shows(
        "SELECT key[1], old_values ->> 'name' FROM sheet_sync.history WHERE side = 'database'",
        "2 | Nut",
    );
    world.db.run(
        "UPDATE covered SET name = 'Screw', price = 10 WHERE id = 1;
         UPDATE covered SET name = 'Mother', price = 20 WHERE id = 2",
    );
    world.shows(
        "SELECT key[1], column_name, side FROM sheet_sync.problem",
        "2 | name | sheet",
    );
    // Everything else goes on, and the hidden cell takes nothing away from the table.
    sheet.set("C4", "30");
    let table =
        "id | name | price\n 1 | Screw | 10\n 2 | Mother | 20\n 3 | Gear | 30\n 4 | Cog | 4";
    world.table_shows("covered", table);
    world.quiet();
    world.table_shows("covered", table);
    sheet.shows(
        "id | name  | price | stocked | remark
         1  | Screw | 10    | TRUE    | of 1
         2  |       | 20    | FALSE   | of 2
         3  | Gear  | 30    | TRUE    | of 3
         4  | Cog   | 4     | FALSE   | of 4",
    );
    sheet.by_menu(json!([{"unmergeCells": {"range": range(&sheet, [1, 3], [1, 2])}}]));
    world.sync("covered");
    assert_eq!(sheet.cell("B3"), "Mother");
    assert_eq!(world.db.count("SELECT count(*) FROM sheet_sync.problem"), 0);
    world.table_shows("covered", table);
}

/// Such a row waits in the sheet, as a problem, until it has its key again; the table keeps it.
#[test]
fn a_row_whose_key_is_hidden_by_a_merge_stays_and_goes_on_when_the_key_is_typed_again() {
    let mut world = World::start();
    let sheet = parts(&mut world, "headless");
    // The keys of Gear and Cog.
    sheet.by_menu(
        json!([{"mergeCells": {"range": range(&sheet, [3, 5], [0, 1]), "mergeType": "MERGE_ALL"}}]),
    );
    world.shows(
        "SELECT code, sheet_row FROM sheet_sync.problem",
        "missing_key | 5",
    );
    world.quiet();
    world.shows(
        "SELECT count(*) FROM sheet_sync.history WHERE side = 'database'",
        "0",
    );
    sheet.shows(
        "id | name | price | stocked | remark
         1  | Bolt | 1     | TRUE    | of 1
         2  | Nut  | 2     | FALSE   | of 2
         3  | Gear | 3     | TRUE    | of 3
            | Cog  | 4     | FALSE   | of 4",
    );
    sheet.by_menu(json!([{"unmergeCells": {"range": range(&sheet, [3, 5], [0, 1])}}]));
    sheet.set("A5", "4");
    world.table_shows(
        "headless",
        "id | name | price | stocked\n 1 | Bolt | 1 | t\n 2 | Nut | 2 | f\n 3 | Gear | 3 | t\n 4 | Cog | 4 | f",
    );
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn frozen_rows_merged_cells_tables_and_validation() {
    let mut world = World::start();

    let sheet = parts(&mut world, "frozen");
    sheet.by_menu(json!([{"updateSheetProperties": {
        "properties": {"sheetId": sheet.gid(), "gridProperties": {"frozenRowCount": 3, "frozenColumnCount": 1}},
        "fields": "gridProperties(frozenRowCount,frozenColumnCount)"}}]));
    changes_arrive(&mut world, "frozen", &sheet);
    let grid = &sheet.structure()["properties"]["gridProperties"];
    assert_eq!(grid["frozenRowCount"], 3);
    assert_eq!(grid["frozenColumnCount"], 1);

    let sheet = parts(&mut world, "merged");
    // Beside the mapped columns, over the rows of Bolt and Nut.
    sheet.by_menu(
        json!([{"mergeCells": {"range": range(&sheet, [1, 3], [5, 7]), "mergeType": "MERGE_ALL"}}]),
    );
    changes_arrive(&mut world, "merged", &sheet);
    let merges = sheet.structure()["merges"].clone();
    assert_eq!(merges, json!([range(&sheet, [1, 3], [5, 7])]));

    let sheet = parts(&mut world, "tabled");
    sheet.by_menu(
        json!([{"addTable": {"table": {"name": "Parts", "range": range(&sheet, [0, 5], [0, 5])}}}]),
    );
    changes_arrive(&mut world, "tabled", &sheet);
    assert_eq!(sheet.structure()["tables"][0]["name"], "Parts");

    let sheet = parts(&mut world, "validated");
    let one_of = json!({"condition": {"type": "ONE_OF_LIST", "values": [{"userEnteredValue": "Bolt"}, {"userEnteredValue": "Nut"}]}, "strict": true, "showCustomUi": true});
    let checkbox = json!({"condition": {"type": "BOOLEAN"}, "strict": true, "showCustomUi": true});
    sheet.by_menu(json!([
        {"setDataValidation": {"range": range(&sheet, [1, 5], [1, 2]), "rule": one_of}},
        {"setDataValidation": {"range": range(&sheet, [1, 5], [3, 4]), "rule": checkbox}}]));
    changes_arrive(&mut world, "validated", &sheet);
    let rows = &sheet.structure()["data"][0]["rowData"];
    for row in 1..4 {
        assert_eq!(rows[row]["values"][1]["dataValidation"], one_of);
        assert_eq!(rows[row]["values"][3]["dataValidation"], checkbox);
    }
    let of_the_new = &rows[4]["values"][3]["dataValidation"]["condition"]["type"];
    assert_eq!(
        of_the_new, "BOOLEAN",
        "a boolean of a new row is a checkbox"
    );
}

#[test]
fn an_array_formula_beside_the_rows_keeps_its_cells() {
    let mut world = World::start();
    let sheet = parts(&mut world, "beside");
    sheet.set("F1", "double");
    sheet.set("F2", "=ARRAYFORMULA(C2:C5*2)");
    sheet.set("G5", "=SUM(C2:C5)");
    world.db.run(
        "UPDATE beside SET price = 10 WHERE id = 1; INSERT INTO beside VALUES (5, 'Pin', 5, true)",
    );
    sheet.set("B3", "Mother");
    world.shows("SELECT name FROM beside WHERE id = 2", "Mother");
    e2e::wait_for("the new row", "5".to_owned(), || sheet.cell("A6"));
    e2e::wait_for("the price", "10".to_owned(), || sheet.cell("C2"));
    world.quiet();
    assert_eq!(sheet.formula("F2"), "=ARRAYFORMULA(C2:C5*2)");
    assert_eq!(sheet.formula("G5"), "=SUM(C2:C5)");
    let doubles: Vec<String> = (2..=6).map(|row| sheet.cell(&format!("F{row}"))).collect();
    assert_eq!(doubles, ["20", "4", "6", "8", ""]);
    assert_eq!(sheet.cell("G5"), "19");
}

#[test]
fn protected_ranges() {
    let mut world = World::start();
    let robot = world.google.email().to_owned();
    let protect = |sheet: &Sheet, more: Value| {
        let mut protected = json!({"protectedRangeId": 7, "range": range(sheet, [1, 2], [0, 5])});
        for (name, value) in more.as_object().into_iter().flatten() {
            protected[name] = value.clone();
        }
        sheet.by_menu(json!([{"addProtectedRange": {"protectedRange": protected}}]));
    };

    let sheet = parts(&mut world, "warned");
    protect(&sheet, json!({"warningOnly": true}));
    changes_arrive(&mut world, "warned", &sheet);
    assert_eq!(sheet.structure()["protectedRanges"][0]["warningOnly"], true);

    let sheet = parts(&mut world, "allowed");
    protect(&sheet, json!({"editors": {"users": [robot]}}));
    changes_arrive(&mut world, "allowed", &sheet);
    assert_eq!(
        sheet.structure()["protectedRanges"][0]["editors"]["users"][0],
        robot
    );

    // A row that others may edit and we may not: it is a problem, and the rest goes on.
    let sheet = parts(&mut world, "refused");
    protect(&sheet, json!({"editors": {"users": ["boss@example.com"]}}));
    world.db.run(
        "BEGIN;
         UPDATE refused SET price = 10 WHERE id = 1;
         UPDATE refused SET price = 20 WHERE id = 2;
         INSERT INTO refused VALUES (5, 'Pin', 5, true);
         DELETE FROM refused WHERE id = 3;
         COMMIT",
    );
    world.shows("SELECT key[1], side FROM sheet_sync.problem", "1 | sheet");
    let hint = world.db.one("SELECT hint FROM sheet_sync.problem");
    assert!(hint.contains(&robot), "whom to allow it: {hint}");
    sheet.shows(
        "id | name | price | stocked | remark
         1  | Bolt | 1     | TRUE    | of 1
         2  | Nut  | 20    | FALSE   | of 2
         4  | Cog  | 4     | FALSE   | of 4
         5  | Pin  | 5     | TRUE    |",
    );
    assert_eq!(world.db.one("SELECT price FROM refused WHERE id = 1"), "10");
    sheet.by_menu(json!([{"deleteProtectedRange": {"protectedRangeId": 7}}]));
    // Google says so in the language of the spreadsheet.
    let spanish = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
        "Invalid data[0]: Estás intentando editar una celda o un objeto protegidos."}});
    let gate = world.google.gate();
    gate.fault_on(Kind::Write, Fault::Answer(400, spanish), 1);
    world.db.run("UPDATE refused SET price = 21 WHERE id = 2");
    world.shows(
        "SELECT key[1], side, code FROM sheet_sync.problem ORDER BY 1",
        "1 | sheet | protected\n 2 | sheet | protected",
    );
    world.db.run("UPDATE refused SET price = 22 WHERE id = 2");
    e2e::wait_for("the price", "22".to_owned(), || sheet.cell("C3"));
    // By itself it is tried again after a minute, and at once when the row changes or somebody
    // calls sync().
    world.db.run("UPDATE refused SET price = 11 WHERE id = 1");
    e2e::wait_for("the price", "11".to_owned(), || sheet.cell("C2"));
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}

#[test]
fn a_row_that_may_not_be_deleted_is_one_problem_and_goes_once_it_may() {
    let mut world = World::start();
    let sheet = parts(&mut world, "kept");
    let protected = json!({"protectedRangeId": 7, "range": range(&sheet, [1, 3], [0, 5]), "editors": {"users": ["boss@example.com"]}});
    sheet.by_menu(json!([{"addProtectedRange": {"protectedRange": protected}}]));
    world.db.run(
        "BEGIN;
         DELETE FROM kept WHERE id IN (1, 3);
         UPDATE kept SET price = 20 WHERE id = 2;
         INSERT INTO kept VALUES (5, 'Pin', 5, true);
         COMMIT",
    );
    world.shows(
        "SELECT key[1], side, code FROM sheet_sync.problem ORDER BY 1",
        "1 | sheet | protected\n 2 | sheet | protected",
    );
    sheet.shows(
        "id | name | price | stocked | remark
         1  | Bolt | 1     | TRUE    | of 1
         2  | Nut  | 2     | FALSE   | of 2
         4  | Cog  | 4     | FALSE   | of 4
         5  | Pin  | 5     | TRUE    |",
    );
    world.shows("SELECT state, reason FROM sheet_sync.mapping", "active |");
    sheet.by_menu(json!([{"deleteProtectedRange": {"protectedRangeId": 7}}]));
    // By themselves they are tried again within a minute or more; a call does not wait for that.
    world.sync("kept");
    world.has_no_problem();
    sheet.shows(
        "id | name | price | stocked | remark
         2  | Nut  | 20    | FALSE   | of 2
         4  | Cog  | 4     | FALSE   | of 4
         5  | Pin  | 5     | TRUE    |",
    );
}

#[test]
fn a_grid_that_is_too_small_grows_and_a_full_spreadsheet_says_so() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE small (id int PRIMARY KEY, name text, price numeric);
         INSERT INTO small SELECT i, 'part ' || i, i FROM generate_series(1, 1500) i",
    );
    let book = world
        .google
        .spreadsheet_of(json!([{"title": "small", "rowCount": 4, "columnCount": 2}]));
    let sheet = book.first_tab();
    world.register("small", &sheet, "");
    world.merged("small");
    world.both_equal("small", &sheet);

    world.db.run("CREATE TABLE full_up (id int PRIMARY KEY, name text); INSERT INTO full_up VALUES (1, 'Bolt')");
    let book = world.google.spreadsheet_of(json!([
        {"title": "full_up", "rows": [["id", "name"], [1, "Bolt"]], "rowCount": 100, "columnCount": 2},
        {"title": "vast", "rowCount": 4_999_900, "columnCount": 2}]));
    let sheet = book.first_tab();
    world.register("full_up", &sheet, "");
    world.merged("full_up");
    let before = world.google.gate().count();
    world
        .db
        .run("BEGIN; INSERT INTO full_up VALUES (2, 'Nut'); UPDATE full_up SET name = 'Screw' WHERE id = 1; COMMIT");
    world.shows(
        "SELECT key IS NULL, side, code FROM sheet_sync.problem",
        "t | sheet | grid_limit",
    );
    let hint = world.db.one("SELECT hint FROM sheet_sync.problem");
    assert!(hint.contains("10,000,000"), "{hint}");
    // Rows that are there go on.
    sheet.shows("id | name\n 1 | Screw");
    sheet.set("B2", "Nail");
    world.table_shows("full_up", "id | name\n 1 | Nail\n 2 | Nut");
    world.shows(
        "SELECT state, reason FROM sheet_sync.mapping WHERE table_name = 'full_up'::regclass",
        "active |",
    );
    world.db.run("INSERT INTO full_up VALUES (3, 'Gear')");
    world.sync("full_up");
    assert_eq!(sheet.rows().len(), 2);
    let refused = |one: &e2e::Passed| one.status == 400;
    assert!(
        !world.google.gate().passed_since(before).iter().any(refused),
        "what has no room is not sent"
    );
    // A killed worker does not forget what is to be inserted.
    world.kill_worker();
    book.wait_for_tab("vast").delete_tab();
    world.sync("full_up");
    sheet.shows("id | name\n 1 | Nail\n 2 | Nut\n 3 | Gear");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
}
