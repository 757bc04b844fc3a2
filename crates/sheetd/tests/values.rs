//! Reading and writing values (G-VALUES, G-RANGES, G-STANDIN).

mod common;

use common::{Client, encoded};
use serde_json::{Value as Json, json};

#[test]
fn raw_stores_and_typing_parses() {
    let client = Client::start();
    let id = client.seed(json!([]));
    let inputs = json!([["007", "=1+2", "TRUE", "2026-09-05", 1.5, true, null, "'x"]]);
    client.put(&id, "Sheet1!A1", "RAW", inputs.clone());
    client.put(&id, "Sheet1!A2", "USER_ENTERED", inputs);
    assert_eq!(client.typed(&id, "1:1"), json!([["007", "=1+2", "TRUE", "2026-09-05", 1.5, true, "", "'x"]]));
    assert_eq!(client.typed(&id, "2:2"), json!([[7, 3, true, 46270, 1.5, true, "", "x"]]));
    assert_eq!(client.values(&id, "2:2"), json!([["7", "3", "TRUE", "2026-09-05", "1.5", "TRUE", "", "x"]]));
    let formulas = client.get(&format!("/v4/spreadsheets/{id}/values/2:2?valueRenderOption=FORMULA"));
    assert_eq!(formulas["values"][0][1], "=1+2");
}

#[test]
fn a_double_keeps_all_its_digits() {
    let client = Client::start();
    let id = client.seed(json!([]));
    let sevenths: Vec<[f64; 1]> = (1..500).map(|n| [f64::from(7 * n + 1) / 7.0]).collect();
    client.put(&id, "Sheet1!A1", "RAW", json!(sevenths));
    assert_eq!(client.typed(&id, "A:A"), json!(sevenths));
}

#[test]
fn counts_leave_nulls_out() {
    let client = Client::start();
    let id = client.seed(json!([["a", "b"], ["c", "d"]]));
    let answer = client.put(
        &id,
        "Sheet1!A1:D6",
        "RAW",
        json!([["x", null, null, null], [], [], [], [], [null, null, null, "y"]]),
    );
    assert_eq!(
        answer,
        json!({ "spreadsheetId": id, "updatedRange": "Sheet1!A1:D6", "updatedRows": 2, "updatedColumns": 2, "updatedCells": 2 })
    );
    assert_eq!(client.values(&id, "A1:B2"), json!([["x", "b"], ["c", "d"]]));
    client.put(&id, "Sheet1!A1", "RAW", json!([["", null]]));
    assert_eq!(client.values(&id, "A1:B1"), json!([["", "b"]]), "an empty text empties, null does not");
}

#[test]
fn ranges_are_echoed_resolved_and_trimmed() {
    let client = Client::start();
    let id = client.seed(json!([["a", "", ""], ["", ""], ["", "b", ""], [""]]));
    for (range, echo) in [
        ("Sheet1", "Sheet1!A1:Z1000"),
        ("'sheet1'!a1", "Sheet1!A1"),
        ("A1:AA5", "Sheet1!A1:Z5"),
        ("A2:2", "Sheet1!A2:Z2"),
        ("B:A", "Sheet1!A1:B1000"),
        ("R2C2", "Sheet1!B2"),
        ("!A1", "Sheet1!A1"),
    ] {
        let answer = client.get(&format!("/v4/spreadsheets/{id}/values/{}", encoded(range)));
        assert_eq!(answer["range"], echo, "{range}");
    }
    assert_eq!(client.values(&id, "Sheet1"), json!([["a"], [], ["", "b"]]));
    assert_eq!(client.values(&id, "C1:C9"), Json::Null);
    for (range, message) in [
        ("NOPE!A5:F15", "Unable to parse range: NOPE!A5:F15"),
        ("Sheet1!B", "Unable to parse range: Sheet1!B"),
        ("Sheet1!A5000:B5001", "Range (Sheet1!A5000:B5001) exceeds grid limits. Max rows: 1000, max columns: 26"),
        ("Sheet1!AA:AB", "Range (Sheet1!AA:AB) exceeds grid limits. Max rows: 1000, max columns: 26"),
    ] {
        let (status, got) = client.refused("GET", &format!("/v4/spreadsheets/{id}/values/{}", encoded(range)), None);
        assert_eq!((status, got.as_str()), (400, message));
    }
}

#[test]
fn data_must_fit_its_range() {
    let client = Client::start();
    let id = client.seed(json!([]));
    let path = |range: &str| format!("/v4/spreadsheets/{id}/values/{}?valueInputOption=RAW", encoded(range));
    let rows = json!({ "values": [["a", "b"], ["c"]] });
    let (_, message) = client.refused("PUT", &path("Sheet1!A1:B1"), Some(rows.clone()));
    assert_eq!(message, "Requested writing within range ['Sheet1'!A1:B1], but tried writing to row [2]");
    let (_, message) = client.refused("PUT", &path("Sheet1!A1:A2"), Some(rows));
    assert_eq!(message, "Requested writing within range ['Sheet1'!A1:A2], but tried writing to column [B]");
    let long = json!({ "values": [["x".repeat(50_001)]] });
    let (_, message) = client.refused("PUT", &path("A1"), Some(long));
    assert_eq!(message, "Your input contains more than the maximum of 50000 characters in a single cell.");
    let body = json!({ "valueInputOption": "RAW", "data": [{ "range": "A1", "values": [["kept?"]] }, { "range": "Nope!A1", "values": [[1]] }] });
    let (_, message) = client.refused("POST", &format!("/v4/spreadsheets/{id}/values:batchUpdate"), Some(body));
    assert_eq!(message, "Invalid data[1]: Unable to parse range: Nope!A1");
    assert_eq!(client.values(&id, "A1"), Json::Null, "all or nothing");
    let (_, message) =
        client.refused("PUT", &path("A1").replace("?valueInputOption=RAW", ""), Some(json!({ "values": [[1]] })));
    assert_eq!(message, "'valueInputOption' is required but not specified");
}

#[test]
fn append_guesses_a_table() {
    let client = Client::start();
    let rows = json!([["a", "b"], ["c", "d"], ["e", "f"], [], [], ["x", "y"], ["z"]]);
    let append = |range: &str, query: &str| {
        let id = client.seed(rows.clone());
        let path = format!("/v4/spreadsheets/{id}/values/{}:append?valueInputOption=RAW{query}", encoded(range));
        let answer = client.post(&path, json!({ "values": [["n1"], ["n2"]] }));
        let landed = answer["updates"]["updatedRange"].as_str().unwrap().to_owned();
        (answer["tableRange"].as_str().unwrap_or_default().to_owned(), landed, client.values(&id, "A:A"))
    };
    let (table, landed, _) = append("A1", "");
    assert_eq!((table.as_str(), landed.as_str()), ("Sheet1!A1:B3", "Sheet1!A4:A5"));
    let (table, landed, _) = append("Sheet1", "");
    assert_eq!((table.as_str(), landed.as_str()), ("Sheet1!A6:B7", "Sheet1!A8:A9"));
    let (_, _, column) = append("A1", "&insertDataOption=INSERT_ROWS");
    assert_eq!(column, json!([["a"], ["c"], ["e"], ["n1"], ["n2"], [], [], ["x"], ["z"]]));
    let id = client.seed(json!([["x", "", "y"]]));
    let answer = client.post(
        &format!("/v4/spreadsheets/{id}/values/Sheet1:append?valueInputOption=RAW"),
        json!({ "values": [["a", "", "b"]] }),
    );
    assert_eq!(answer["tableRange"], "Sheet1!C1");
    assert_eq!(answer["updates"]["updatedRange"], "Sheet1!C2:E2");
}

#[test]
fn append_grows_the_grid_and_a_filter_may_swallow_it() {
    let client = Client::start();
    let id = client.seed(json!([["h"], ["a"], ["b"]]));
    let path = format!("/v4/spreadsheets/{id}/values/A1:append?valueInputOption=RAW");
    let rows: Vec<[u32; 1]> = (0..1000).map(|n| [n]).collect();
    client.post(&path, json!({ "values": rows }));
    let grid = client.get(&format!("/v4/spreadsheets/{id}?fields=sheets.properties.gridProperties"));
    assert_eq!(grid["sheets"][0]["properties"]["gridProperties"]["rowCount"], 1003);

    let filter = json!({ "setBasicFilter": { "filter": { "range": { "sheetId": 0 }, "criteria": { "0": { "hiddenValues": ["a"] } } } } });
    client.batch(&id, json!([filter]));
    client.control("POST", "options", json!({ "append_under_filter": "lost" }));
    let answer = client.post(&path, json!({ "values": [["gone"]] }));
    assert_eq!(answer["updates"]["updatedCells"], 1, "it answers as if it had written");
    assert_eq!(client.values(&id, "A1003:A"), json!([["999"]]));
}

#[test]
fn bodies_are_refused_by_their_proto_paths() {
    let client = Client::start();
    let id = client.seed(json!([]));
    let (_, answer) = client.call(
        "PUT",
        &format!("/v4/spreadsheets/{id}/values/A1?valueInputOption=RAW"),
        Some(json!({ "values": "X" })),
    );
    let text = "Invalid value at 'data.values' (type.googleapis.com/google.protobuf.ListValue), \"X\"";
    assert_eq!(answer["error"]["message"], text);
    assert_eq!(
        answer["error"]["details"][0]["fieldViolations"],
        json!([{ "field": "data.values", "description": text }])
    );
    let (_, message) = client.refused(
        "POST",
        &format!("/v4/spreadsheets/{id}:batchUpdate"),
        Some(json!({ "requests": [{ "noSuchRequest": {} }] })),
    );
    assert_eq!(
        message,
        "Invalid JSON payload received. Unknown name \"noSuchRequest\" at 'requests[0]': Cannot find field."
    );
    let (_, message) = client.refused("GET", &format!("/v4/spreadsheets/{id}/values/A1?majorDimension=UP"), None);
    assert_eq!(
        message,
        "Invalid value at 'major_dimension' (type.googleapis.com/google.apps.sheets.v4.Dimension), \"UP\""
    );
    let (_, message) = client.refused("GET", &format!("/v4/spreadsheets/{id}?fields=sheets.sheetProperties"), None);
    assert_eq!(message, "Request contains an invalid argument.");
    let body =
        json!({ "dataFilters": [{ "gridRange": { "sheet_id": "0", "startRowIndex": "+1", "endRowIndex": 2.0 } }] });
    let answer = client.post(&format!("/v4/spreadsheets/{id}/values:batchGetByDataFilter"), body);
    assert_eq!(
        answer["valueRanges"][0]["dataFilters"],
        json!([{ "gridRange": { "startRowIndex": 1, "endRowIndex": 2 } }])
    );
}

#[test]
fn formulas_are_computed_and_follow_rows() {
    let client = Client::start();
    let id = client.seed(json!([["n", "double", "sum"], [2, "=A2*2", "=SUM(A2:A)"], [5, "=A3*2"]]));
    assert_eq!(client.typed(&id, "A2:C3"), json!([[2, 4, 7], [5, 10]]));
    client.edit(&id, json!({ "insert_rows": { "at": 2, "values": [[100]] } }));
    assert_eq!(client.typed(&id, "A2:C4"), json!([[100], [2, 4, 7], [5, 10]]));
    client.edit(&id, json!({ "set": { "cell": "A2", "value": "=1/0" } }));
    assert_eq!(client.values(&id, "A2"), json!([["#DIV/0!"]]));
    let cell = client.get(&format!(
        "/v4/spreadsheets/{id}?ranges=A2&fields=sheets.data.rowData.values(effectiveValue,userEnteredValue)"
    ));
    let cell = &cell["sheets"][0]["data"][0]["rowData"][0]["values"][0];
    assert_eq!(cell["effectiveValue"]["errorValue"]["type"], "DIVIDE_BY_ZERO");
    assert_eq!(cell["userEnteredValue"], json!({ "formulaValue": "=1/0" }));
    client.edit(&id, json!({ "sort": { "column": "A", "descending": true, "header_rows": 3 } }));
    client.edit(&id, json!({ "rename_tab": "Other name" }));
    client.edit(&id, json!({ "set": { "cell": "D1", "value": "='Other name'!A4+1" } }));
    assert_eq!(client.typed(&id, "D1"), json!([[6]]));
}
