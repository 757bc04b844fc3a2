//! Developer metadata, and reading and writing through it (G-META, G-RANGES-6).

mod common;

use common::Client;
use serde_json::{Value as Json, json};

fn anchor(id: i64, row: u32, key: &str) -> Json {
    json!({ "createDeveloperMetadata": { "developerMetadata": { "metadataId": id, "metadataKey": key, "visibility": "DOCUMENT",
        "location": { "dimensionRange": { "sheetId": 0, "dimension": "ROWS", "startIndex": row, "endIndex": row + 1 } } } } })
}

fn by_id(id: i64) -> Json {
    json!({ "developerMetadataLookup": { "metadataId": id } })
}

fn row_of(client: &Client, id: &str, metadata: i64) -> Option<u64> {
    let path = format!("/v4/spreadsheets/{id}/developerMetadata:search");
    let found = client.post(&path, json!({ "dataFilters": [by_id(metadata)] }));
    let range = found.pointer("/matchedDeveloperMetadata/0/developerMetadata/location/dimensionRange")?;
    range["startIndex"].as_u64()
}

#[test]
fn an_id_in_use_refuses_the_whole_batch() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    client.batch(&id, json!([anchor(7, 0, "k")]));
    let write = json!({ "updateCells": { "start": { "sheetId": 0 }, "fields": "userEnteredValue",
        "rows": [{ "values": [{ "userEnteredValue": { "stringValue": "changed" } }] }] } });
    let message = client.batch_refused(&id, json!([write, anchor(7, 1, "k")]));
    assert_eq!(
        message,
        "Invalid requests[1].createDeveloperMetadata: Cannot add developer metadata with ID [7] because developer metadata with that ID already exists."
    );
    assert_eq!(client.values(&id, "A1"), json!([["a"]]), "nothing of the batch was applied");
}

#[test]
fn a_stamp_on_the_spreadsheet_can_be_set_once() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    let stamp = json!({ "createDeveloperMetadata": { "developerMetadata": { "metadataId": 99, "metadataKey": "s", "metadataValue": "1@x",
        "visibility": "PROJECT", "location": { "spreadsheet": true } } } });
    let reply = client.batch(&id, json!([stamp]));
    let created = &reply["replies"][0]["createDeveloperMetadata"]["developerMetadata"];
    assert_eq!(created["location"], json!({ "locationType": "SPREADSHEET", "spreadsheet": true }));
    client.batch_refused(&id, json!([stamp]));
    assert_eq!(client.get(&format!("/v4/spreadsheets/{id}/developerMetadata/99"))["metadataValue"], "1@x");
    let (status, message) = client.refused("GET", &format!("/v4/spreadsheets/{id}/developerMetadata/5"), None);
    assert_eq!((status, message.as_str()), (404, "No developer metadata with ID 5"));
}

#[test]
fn anchors_follow_their_rows() {
    let client = Client::start();
    let id = client.seed(json!([["h"], ["c"], ["a"], ["b"]]));
    client.batch(&id, json!([anchor(1, 1, "k"), anchor(2, 2, "k"), anchor(3, 3, "k")]));
    let rows = |client: &Client| [1, 2, 3].map(|m| row_of(client, &id, m));

    client.edit(&id, json!({ "insert_rows": { "at": 1 } }));
    assert_eq!(rows(&client), [Some(2), Some(3), Some(4)]);
    client.edit(&id, json!({ "delete_rows": { "at": 1 } }));
    assert_eq!(rows(&client), [Some(1), Some(2), Some(3)]);
    client.edit(&id, json!({ "move_rows": { "from": 2, "to": 4 } }));
    assert_eq!(rows(&client), [Some(3), Some(1), Some(2)]);
    client.edit(&id, json!({ "sort": { "column": "A" } }));
    assert_eq!(client.values(&id, "A:A"), json!([["h"], ["a"], ["b"], ["c"]]));
    assert_eq!(rows(&client), [Some(3), Some(1), Some(2)], "a sort takes anchors along");
    client.edit(&id, json!({ "sort": { "column": "A", "descending": true } }));
    assert_eq!(rows(&client), [Some(1), Some(3), Some(2)]);
    client.edit(&id, json!({ "delete_rows": { "at": 2 } }));
    assert_eq!(rows(&client), [None, Some(2), Some(1)], "an anchor dies with its row");
}

#[test]
fn reads_by_filter_are_sorted_and_merged() {
    let client = Client::start();
    let id = client.seed(json!([["r1", "x"], ["r2"], ["r3", "y"]]));
    client.batch(&id, json!([anchor(1, 0, "k"), anchor(3, 2, "k")]));
    let path = format!("/v4/spreadsheets/{id}/values:batchGetByDataFilter");
    let filters = json!([by_id(3), by_id(1), { "a1Range": "Sheet1!3:3" }, by_id(77)]);
    let answer = client.post(&path, json!({ "dataFilters": filters }));
    assert_eq!(
        answer["valueRanges"],
        json!([
            { "valueRange": { "range": "Sheet1!A1:Z1", "majorDimension": "ROWS", "values": [["r1", "x"]] }, "dataFilters": [by_id(1)] },
            { "valueRange": { "range": "Sheet1!A3:Z3", "majorDimension": "ROWS", "values": [["r3", "y"]] },
              "dataFilters": [by_id(3), { "a1Range": "Sheet1!3:3" }] },
        ])
    );
    assert_eq!(client.post(&path, json!({ "dataFilters": [by_id(77)] })), json!({ "spreadsheetId": id }));
    let (status, message) = client.refused("POST", &path, Some(json!({})));
    assert_eq!((status, message.as_str()), (400, "Must specify at least one dataFilter."));
}

#[test]
fn writes_through_an_anchor_skip_nulls_and_echo_the_filter() {
    let client = Client::start();
    let id = client.seed(json!([["1", "a", "b"], ["2", "c", "d"]]));
    client.batch(&id, json!([anchor(1, 1, "k")]));
    client.edit(&id, json!({ "insert_rows": { "at": 1 } }));
    let path = format!("/v4/spreadsheets/{id}/values:batchUpdateByDataFilter");
    let body = json!({ "valueInputOption": "RAW", "includeValuesInResponse": true, "responseValueRenderOption": "UNFORMATTED_VALUE",
        "data": [
            { "dataFilter": by_id(1), "majorDimension": "ROWS", "values": [[null, "new", null]] },
            { "dataFilter": by_id(5), "majorDimension": "ROWS", "values": [["lost"]] },
        ] });
    let answer = client.post(&path, body.clone());
    assert_eq!(answer["totalUpdatedCells"], 1);
    assert_eq!(answer["responses"].as_array().map(Vec::len), Some(1), "a filter without match has no entry");
    let response = &answer["responses"][0];
    assert_eq!(response["dataFilter"], by_id(1));
    assert_eq!(response["updatedCells"], 1);
    assert_eq!(response["updatedData"]["values"], json!([[2, "new", "d"]]));
    assert_eq!(client.values(&id, "A1:C3"), json!([[], ["1", "a", "b"], ["2", "new", "d"]]));

    client.control(
        "POST",
        "options",
        json!({ "data_filter_nulls": "clear", "data_filter_write_without_match": "400" }),
    );
    client.refused("POST", &path, Some(body.clone()));
    let mut matched = body;
    matched["data"].as_array_mut().unwrap().truncate(1);
    client.post(&path, matched);
    assert_eq!(client.values(&id, "A3:C3"), json!([["", "new"]]));
}

#[test]
fn lookups_are_refused_in_googles_order() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    let path = format!("/v4/spreadsheets/{id}/developerMetadata:search");
    let lookup = |lookup: Json| {
        let (status, message) =
            client.refused("POST", &path, Some(json!({ "dataFilters": [{ "developerMetadataLookup": lookup }] })));
        format!("{status} {message}")
    };
    let line = |start: i64, end: i64| json!({ "dimensionRange": { "dimension": "ROWS", "startIndex": start, "endIndex": end } });
    for (given, want) in [
        (
            json!({ "locationType": "SPREADSHEET", "metadataLocation": { "sheetId": 0 } }),
            "400 Cannot limit by location type of SPREADSHEET",
        ),
        (
            json!({ "locationType": "ROW", "locationMatchingStrategy": "EXACT_LOCATION", "metadataLocation": { "sheetId": 0 } }),
            "400 The locationMatchingStrategy was specified as EXACT_LOCATION",
        ),
        (
            json!({ "locationMatchingStrategy": "EXACT_LOCATION", "metadataLocation": {} }),
            "400 A locationMatchingStrategy was specified, but no",
        ),
        (
            json!({ "locationMatchingStrategy": "INTERSECTING_LOCATION", "metadataLocation": { "spreadsheet": true } }),
            "400 DeveloperMetadataLookup.spreadsheet is true, but locationMatchingStrategy was specified as INTERSECTING.",
        ),
        (
            json!({ "locationType": "ROW", "metadataLocation": { "spreadsheet": true } }),
            "500 Internal error encountered.",
        ),
        (json!({ "metadataLocation": line(0, 2) }), "400 DimensionRange must represent a single row or column."),
        (json!({ "metadataLocation": line(-1, 0) }), "400 DimensionRange indexes must be >= 0"),
        (
            json!({ "metadataLocation": line(1000, 1001) }),
            "400 DimensionRange startIndex [1000] is after the last ROWS index [999] of the sheet [0].",
        ),
    ] {
        let got = lookup(given.clone());
        assert!(got.starts_with(want), "{given}: {got}");
    }
}

#[test]
fn lookups_by_place_find_what_lies_there() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    let on_sheet = json!({ "createDeveloperMetadata": { "developerMetadata": { "metadataId": 50, "metadataKey": "s", "visibility": "DOCUMENT",
        "location": { "sheetId": 0 } } } });
    client.batch(&id, json!([anchor(1, 0, "k"), anchor(2, 1, "k"), on_sheet]));
    let path = format!("/v4/spreadsheets/{id}/developerMetadata:search");
    let found = |lookup: Json| -> Vec<i64> {
        let answer = client.post(&path, json!({ "dataFilters": [{ "developerMetadataLookup": lookup }] }));
        let entries = answer["matchedDeveloperMetadata"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|e| e["developerMetadata"]["metadataId"].as_i64().unwrap()).collect()
    };
    assert_eq!(found(json!({})), [1, 2, 50]);
    assert_eq!(found(json!({ "locationType": "ROW" })), [1, 2]);
    let sheet = json!({ "sheetId": 0 });
    assert_eq!(found(json!({ "metadataLocation": sheet, "locationMatchingStrategy": "EXACT_LOCATION" })), [50]);
    assert_eq!(
        found(json!({ "metadataLocation": sheet, "locationMatchingStrategy": "INTERSECTING_LOCATION" })),
        [1, 2, 50]
    );
    assert_eq!(found(json!({ "metadataKey": "nothing" })), [] as [i64; 0]);
}

#[test]
fn entries_are_moved_and_deleted() {
    let client = Client::start();
    let id = client.seed(json!([["a"], ["b"]]));
    client.batch(&id, json!([anchor(1, 0, "k"), anchor(2, 1, "k")]));
    let to_column = json!({ "updateDeveloperMetadata": { "dataFilters": [by_id(1)], "fields": "location,metadataValue",
        "developerMetadata": { "metadataValue": "v", "location": { "dimensionRange": { "dimension": "COLUMNS", "startIndex": 0, "endIndex": 1 } } } } });
    let reply = client.batch(&id, json!([to_column]));
    let moved = &reply["replies"][0]["updateDeveloperMetadata"]["developerMetadata"][0];
    assert_eq!(moved["location"]["locationType"], "COLUMN");
    assert_eq!(moved["metadataValue"], "v");
    let by_key =
        json!({ "deleteDeveloperMetadata": { "dataFilter": { "developerMetadataLookup": { "metadataKey": "k" } } } });
    let reply = client.batch(&id, json!([by_key]));
    let deleted = reply["replies"][0]["deleteDeveloperMetadata"]["deletedDeveloperMetadata"].as_array().map(Vec::len);
    assert_eq!(deleted, Some(2));
    client.batch(&id, json!([by_key]));
    client.control("POST", "options", json!({ "delete_metadata_without_match": "400" }));
    client.batch_refused(&id, json!([by_key]));
    let typed = json!([{ "createDeveloperMetadata": { "developerMetadata": { "metadataKey": "k", "visibility": "DOCUMENT",
        "location": { "locationType": "SPREADSHEET", "spreadsheet": true } } } }]);
    client.batch_refused(&id, typed);
}

#[test]
fn a_sheet_holds_thirty_thousand_characters() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    let entry = |chars: usize| {
        let mut request = anchor(chars as i64, 0, "k");
        request["createDeveloperMetadata"]["developerMetadata"]["metadataValue"] = "x".repeat(chars - 1).into();
        request
    };
    client.batch(&id, json!([entry(29_990)]));
    client.batch(&id, json!([entry(10)]));
    client.batch_refused(&id, json!([entry(1)]));
}

#[test]
fn the_answer_shows_the_tagged_rows_of_the_same_batch() {
    let client = Client::start();
    let id = client.seed(json!([["id", "n"], [1, "a"], [2, "b"]]));
    let path = format!(
        "/v4/spreadsheets/{id}:batchUpdate?fields=spreadsheetId,updatedSpreadsheet(sheets(properties(sheetId),data(startRow,rowData(values(effectiveValue)))))"
    );
    let body = json!({ "requests": [anchor(1, 2, "k")], "includeSpreadsheetInResponse": true, "responseRanges": ["Sheet1!A3:B3", "Sheet1!A2:A2"] });
    let answer = client.post(&path, body);
    let number = |n: i64| json!({ "effectiveValue": { "numberValue": n } });
    assert_eq!(
        answer["updatedSpreadsheet"]["sheets"],
        json!([{ "properties": { "sheetId": 0 }, "data": [
            { "startRow": 2, "rowData": [{ "values": [number(2), { "effectiveValue": { "stringValue": "b" } }] }] },
            { "startRow": 1, "rowData": [{ "values": [number(1)] }] },
        ] }])
    );
}
