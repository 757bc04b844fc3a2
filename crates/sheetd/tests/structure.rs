//! batchUpdate: tabs, rows and columns, ranges, refusals (G-BATCH, G-ROWS, G-LIMITS).

mod common;

use common::Client;
use serde_json::{Value as Json, json};

fn rows(start: u32, end: u32) -> Json {
    json!({ "sheetId": 0, "dimension": "ROWS", "startIndex": start, "endIndex": end })
}

fn properties(client: &Client, id: &str) -> Json {
    client.get(&format!("/v4/spreadsheets/{id}"))["sheets"][0]["properties"].clone()
}

#[test]
fn rows_are_inserted_moved_and_deleted_in_one_batch() {
    let client = Client::start();
    let id = client.seed(json!([["a"], ["b"], ["c"], ["d"]]));
    let new = json!({ "updateCells": { "range": { "sheetId": 0, "startRowIndex": 1, "endRowIndex": 2, "startColumnIndex": 0, "endColumnIndex": 2 },
        "fields": "userEnteredValue", "rows": [{ "values": [{ "userEnteredValue": { "stringValue": "=new" } }, { "userEnteredValue": { "numberValue": 3.0 } }] }] } });
    client.batch(
        &id,
        json!([
            { "insertDimension": { "range": rows(1, 2), "inheritFromBefore": true } },
            new,
            { "moveDimension": { "source": rows(0, 1), "destinationIndex": 3 } },
            { "deleteDimension": { "range": rows(3, 4) } },
        ]),
    );
    assert_eq!(client.typed(&id, "A1:B4"), json!([["=new", 3], ["b"], ["a"], ["d"]]));
    assert_eq!(properties(&client, &id)["gridProperties"]["rowCount"], 1000);
}

#[test]
fn the_end_of_the_grid() {
    let client = Client::start();
    let body = json!({ "sheets": [{ "title": "T", "rows": [["a"]], "rowCount": 1, "columnCount": 3 }] });
    let id = client.control("POST", "spreadsheets", body)["spreadsheetId"].as_str().unwrap().to_owned();
    let at_end = |inherit: bool| json!([{ "insertDimension": { "range": rows(1, 2), "inheritFromBefore": inherit } }]);
    assert_eq!(
        client.batch_refused(&id, at_end(false)),
        "Invalid requests[0].insertDimension: range.startIndex must be less than the grid size (1) if inheritFromBefore is false."
    );
    client.batch(&id, at_end(true));
    client.batch(&id, json!([{ "appendDimension": { "sheetId": 0, "dimension": "ROWS", "length": 1 } }]));
    assert_eq!(properties(&client, &id)["gridProperties"]["rowCount"], 3);
    let past = json!([{ "updateCells": { "start": { "rowIndex": 2 }, "fields": "userEnteredValue",
        "rows": [{}, { "values": [{ "userEnteredValue": { "numberValue": 1 } }] }] } }]);
    assert_eq!(
        client.batch_refused(&id, past),
        "Invalid requests[0].updateCells: Range (T!A3:A4) exceeds grid limits. Max rows: 3, max columns: 3"
    );
    assert_eq!(
        client.batch_refused(&id, json!([{ "deleteDimension": { "range": rows(0, 3) } }])),
        "Invalid requests[0].deleteDimension: Sorry, it is not possible to delete all non-frozen rows."
    );
    assert_eq!(
        client.batch_refused(&id, json!([{ "appendDimension": { "sheetId": 5, "dimension": "ROWS", "length": 1 } }])),
        "Invalid requests[0].appendDimension: No grid with id: 5"
    );
    let wide = json!([{ "appendDimension": { "dimension": "COLUMNS", "length": 20_000 } }]);
    assert!(client.batch_refused(&id, wide).ends_with("above the limit of 18278 columns."));
    let large =
        json!([{ "addSheet": { "properties": { "gridProperties": { "rowCount": 10_000_000, "columnCount": 1 } } } }]);
    assert_eq!(
        client.batch_refused(&id, large),
        "Invalid requests[0].addSheet: This action would increase the number of cells in the workbook above the limit of 10000000 cells."
    );
}

#[test]
fn tabs() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    let reply =
        client.batch(&id, json!([{ "addSheet": { "properties": { "title": "Second", "sheetId": 7, "index": 0 } } }]));
    assert_eq!(reply["replies"][0]["addSheet"]["properties"]["index"], 0);
    assert_eq!(
        client.batch_refused(&id, json!([{ "addSheet": { "properties": { "title": "second" } } }])),
        "Invalid requests[0].addSheet: A sheet with the name \"second\" already exists. Please enter another name."
    );
    client.batch_refused(&id, json!([{ "addSheet": { "properties": { "sheetId": 7 } } }]));
    let reply = client.batch(&id, json!([{ "duplicateSheet": { "sourceSheetId": 0, "insertSheetIndex": 2 } }]));
    assert_eq!(reply["replies"][0]["duplicateSheet"]["properties"]["title"], "Copy of Sheet1");
    assert_eq!(client.values(&id, "'Copy of Sheet1'!A1"), json!([["a"]]));
    client.batch(
        &id,
        json!([
            { "deleteSheet": { "sheetId": 7 } },
            { "updateSheetProperties": { "properties": { "sheetId": 0, "gridProperties": { "frozenRowCount": 1 } }, "fields": "gridProperties.frozenRowCount" } },
            { "updateSheetProperties": { "properties": { "sheetId": 0, "hidden": true }, "fields": "hidden,index" } },
        ]),
    );
    let shown = properties(&client, &id);
    assert_eq!(shown["gridProperties"], json!({ "rowCount": 1000, "columnCount": 26, "frozenRowCount": 1 }));
    let other = client.get(&format!("/v4/spreadsheets/{id}"))["sheets"][1]["properties"]["sheetId"].clone();
    client.batch_refused(&id, json!([{ "deleteSheet": { "sheetId": other } }]));
    let copied =
        client.post(&format!("/v4/spreadsheets/{id}/sheets/0:copyTo"), json!({ "destinationSpreadsheetId": id }));
    assert_eq!(copied["title"], "Copy of Sheet1 2");
}

#[test]
fn a_sort_leaves_hidden_rows_in_place() {
    let client = Client::start();
    let id = client.seed(json!([["h"], [3], ["x"], [1], [""], [2]]));
    let hide = json!({ "updateDimensionProperties": { "range": rows(3, 4), "properties": { "hiddenByUser": true }, "fields": "hiddenByUser" } });
    let sort = |order: &str| json!({ "sortRange": { "range": { "sheetId": 0, "startRowIndex": 1 }, "sortSpecs": [{ "dimensionIndex": 0, "sortOrder": order }] } });
    client.batch(&id, json!([hide, sort("ASCENDING")]));
    assert_eq!(client.typed(&id, "A:A"), json!([["h"], [2], [3], [1], ["x"]]));
    client.batch(&id, json!([sort("DESCENDING")]));
    assert_eq!(client.typed(&id, "A:A"), json!([["h"], ["x"], [3], [1], [2]]), "texts before numbers, blanks last");
    client.batch(&id, json!([{ "mergeCells": { "range": { "startRowIndex": 2, "endRowIndex": 4, "startColumnIndex": 1, "endColumnIndex": 2 }, "mergeType": "MERGE_ALL" } }]));
    assert_eq!(
        client.batch_refused(&id, json!([sort("ASCENDING")])),
        "Invalid requests[0].sortRange: You can't sort a range containing vertical merges. There is a vertical merge at B3:B4"
    );
}

#[test]
fn cells_that_a_merge_hides_take_no_value() {
    let client = Client::start();
    let id = client.seed(json!([["a"], ["b"], ["c"]]));
    let both = json!({ "startRowIndex": 0, "endRowIndex": 2, "startColumnIndex": 0, "endColumnIndex": 1 });
    client.batch(&id, json!([{ "mergeCells": { "range": both, "mergeType": "MERGE_ALL" } }]));
    let text = |text: &str| json!({ "values": [{ "userEnteredValue": { "stringValue": text } }] });
    client.batch(
        &id,
        json!([{ "updateCells": { "start": { "sheetId": 0 }, "rows": [text("x"), text("y"), text("z")], "fields": "userEnteredValue" } }]),
    );
    assert_eq!(client.typed(&id, "A:A"), json!([["x"], [], ["z"]]));
}

#[test]
fn protected_cells_are_refused_to_strangers() {
    let client = Client::start();
    let id = client.seed(json!([["a", "b"]]));
    let stranger = client.control("POST", "accounts", json!({ "email": "other@else.iam.gserviceaccount.com" }));
    client.control(
        "POST",
        &format!("spreadsheets/{id}/share"),
        json!({ "email": "other@else.iam.gserviceaccount.com" }),
    );
    let token = client.token_of(&stranger, common::SHEETS_SCOPE);
    client.batch(&id, json!([{ "addProtectedRange": { "protectedRange": { "range": { "startColumnIndex": 0, "endColumnIndex": 1 } } } }]));
    let put = |range: &str| {
        client.send(
            "PUT",
            &format!("/v4/spreadsheets/{id}/values/{range}?valueInputOption=RAW"),
            Some(json!({ "values": [["x"]] })),
            Some(&token),
        )
    };
    let (status, answer) = put("A1");
    assert_eq!(status, 400);
    assert!(
        answer["error"]["message"].as_str().unwrap().starts_with("You are trying to edit a protected cell or object."),
        "{answer}"
    );
    assert_eq!(put("B1").0, 200);
    client.put(&id, "A1", "RAW", json!([["mine"]]));
}

#[test]
fn grid_data_is_trimmed_as_google_trims_it() {
    let client = Client::start();
    let id = client.seed(json!([["a", "", "b"], [], ["c"]]));
    client.edit(&id, json!({ "note": { "cell": "C1", "note": "look" } }));
    let shown = client.get(&format!("/v4/spreadsheets/{id}?ranges=Sheet1!A1:D5&includeGridData=true"));
    let data = &shown["sheets"][0]["data"][0];
    assert_eq!(data["rowData"].as_array().map(Vec::len), Some(3));
    assert_eq!(data["rowData"][1], json!({}));
    assert_eq!(data["rowData"][0]["values"][1], json!({}));
    assert_eq!(data["rowData"][0]["values"][2]["note"], "look");
    assert_eq!(data["rowMetadata"].as_array().map(Vec::len), Some(5));
    assert_eq!(data["columnMetadata"][0], json!({ "pixelSize": 100 }));
    assert_eq!(client.get(&format!("/v4/spreadsheets/{id}"))["sheets"][0].get("data"), None);
    let twice = client
        .get(&format!("/v4/spreadsheets/{id}?ranges=A1&ranges=A1&fields=sheets.data.rowData.values.formattedValue"));
    assert_eq!(twice["sheets"][0]["data"].as_array().map(Vec::len), Some(2));
}

#[test]
fn other_kinds_of_request_do_their_work() {
    let client = Client::start();
    let id = client.seed(json!([["n", "t"], [1, "x"], [2, "y"], [1, " x  x "]]));
    let range = |r0: u32, r1: u32, c0: u32, c1: u32| json!({ "startRowIndex": r0, "endRowIndex": r1, "startColumnIndex": c0, "endColumnIndex": c1 });
    let reply = client.batch(
        &id,
        json!([
            { "findReplace": { "find": "x", "replacement": "z", "allSheets": true } },
            { "trimWhitespace": { "range": range(0, 4, 1, 2) } },
            { "repeatCell": { "range": range(1, 4, 2, 3), "cell": { "userEnteredValue": { "formulaValue": "=A2*10" } }, "fields": "userEnteredValue" } },
            { "appendCells": { "sheetId": 0, "rows": [{ "values": [{ "userEnteredValue": { "numberValue": 9 } }] }], "fields": "*" } },
            { "addNamedRange": { "namedRange": { "name": "numbers", "range": range(1, 5, 0, 1) } } },
            { "addFilterView": { "filter": { "title": "f", "range": range(0, 4, 0, 2) } } },
            { "addTable": { "table": { "name": "T1", "range": range(0, 4, 0, 2) } } },
            { "addBanding": { "bandedRange": { "range": range(0, 4, 5, 6), "rowProperties": { "firstBandColor": { "red": 1 } } } } },
            { "addConditionalFormatRule": { "index": 0, "rule": { "ranges": [range(0, 4, 0, 1)], "booleanRule": { "condition": { "type": "NOT_BLANK" } } } } },
            { "setDataValidation": { "range": range(1, 4, 1, 2), "rule": { "condition": { "type": "ONE_OF_LIST", "values": [{ "userEnteredValue": "z" }] } } } },
            { "addDimensionGroup": { "range": { "dimension": "ROWS", "startIndex": 1, "endIndex": 3 } } },
            { "insertRange": { "range": range(1, 2, 1, 2), "shiftDimension": "ROWS" } },
            { "deleteRange": { "range": range(1, 2, 1, 2), "shiftDimension": "ROWS" } },
            { "updateBorders": { "range": range(0, 1, 0, 2), "bottom": { "style": "SOLID" } } },
        ]),
    );
    let replies = &reply["replies"];
    assert_eq!(
        replies[0]["findReplace"],
        json!({ "valuesChanged": 2, "rowsChanged": 2, "sheetsChanged": 1, "occurrencesChanged": 3 })
    );
    assert_eq!(replies[1]["trimWhitespace"], json!({ "cellsChangedCount": 1 }));
    assert_eq!(replies[6]["addTable"]["table"]["columnProperties"][1], json!({ "columnIndex": 1, "columnName": "t" }));
    assert_eq!(client.typed(&id, "A1:C5"), json!([["n", "t"], [1, "z", 10], [2, "y", 20], [1, "z z", 10], [9]]));
    assert_eq!(client.typed(&id, "numbers"), json!([[1], [2], [1], [9]]));
    let sheet = &client.get(&format!("/v4/spreadsheets/{id}"))["sheets"][0];
    for member in ["tables", "filterViews", "bandedRanges", "conditionalFormats", "rowGroups"] {
        assert_eq!(sheet[member].as_array().map(Vec::len), Some(1), "{member}");
    }
    let table = sheet["tables"][0]["tableId"].clone();
    client.batch(&id, json!([{ "deleteTable": { "tableId": table } }]));
    assert_eq!(
        client.get(&format!("/v4/spreadsheets/{id}"))["sheets"][0].get("conditionalFormats"),
        None,
        "it takes rules along"
    );
    let message = client.batch_refused(&id, json!([{ "addChart": { "chart": {} } }]));
    assert!(message.contains("addChart is not modelled"), "{message}");
}

#[test]
fn a_failing_request_leaves_nothing() {
    let client = Client::start();
    let id = client.seed(json!([["a"], ["b"]]));
    let before = client.get(&format!("/v4/spreadsheets/{id}?includeGridData=true"));
    client.batch_refused(
        &id,
        json!([
            { "deleteDimension": { "range": rows(0, 1) } },
            { "addSheet": { "properties": { "title": "x" } } },
            { "updateSpreadsheetProperties": { "properties": { "title": "t" }, "fields": "title" } },
            { "deleteSheet": { "sheetId": 404 } },
        ]),
    );
    assert_eq!(client.get(&format!("/v4/spreadsheets/{id}?includeGridData=true")), before);
}

#[test]
fn the_values_of_formulas_are_pasted_as_values() {
    let client = Client::start();
    let id = client.seed(json!([["=1+2", "x"]]));
    let block = |row: u32| json!({ "sheetId": 0, "startRowIndex": row, "endRowIndex": row + 1, "startColumnIndex": 0, "endColumnIndex": 2 });
    client.batch(
        &id,
        json!([{ "copyPaste": { "source": block(0), "destination": block(2), "pasteType": "PASTE_VALUES" } }]),
    );
    assert_eq!(client.typed(&id, "A3:B3"), json!([[3, "x"]]));
}
