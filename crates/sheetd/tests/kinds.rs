//! Every method of the discovery document, and the kinds of request that no other test sends.

mod common;

use common::{Client, encoded};
use serde_json::{Value as Json, json};

fn range(r0: u32, r1: u32, c0: u32, c1: u32) -> Json {
    json!({ "startRowIndex": r0, "endRowIndex": r1, "startColumnIndex": c0, "endColumnIndex": c1 })
}

fn sheet(client: &Client, id: &str) -> Json {
    client.get(&format!("/v4/spreadsheets/{id}"))["sheets"][0].clone()
}

#[test]
fn every_method_answers_as_declared() {
    let client = Client::start();
    let created = client.post("/v4/spreadsheets", json!({ "sheets": [{ "properties": { "title": "One" } }] }));
    let id = created["spreadsheetId"].as_str().unwrap();
    let at = |rest: &str| format!("/v4/spreadsheets/{id}{rest}");
    let values = json!([["k", "v"], ["a", 1]]);
    let row = json!({ "dimensionRange": { "sheetId": 0, "dimension": "ROWS", "startIndex": 1, "endIndex": 2 } });
    let create = json!({ "metadataId": 7, "metadataKey": "k", "visibility": "DOCUMENT", "location": row });
    let filters = json!([{ "developerMetadataLookup": { "metadataId": 7 } }]);
    let filtered = json!({ "dataFilters": filters });

    client.put(id, "One!A1", "RAW", values);
    client.post(
        &at(":batchUpdate"),
        json!({ "requests": [{ "createDeveloperMetadata": { "developerMetadata": create } }] }),
    );
    assert_eq!(client.get(&at(""))["sheets"][0]["properties"]["title"], "One");
    let shown = client.post(&at(":getByDataFilter"), json!({ "dataFilters": filters, "includeGridData": true }));
    assert_eq!(shown["sheets"][0]["data"][0]["startRow"], 1);
    assert_eq!(client.get(&at("/developerMetadata/7"))["metadataKey"], "k");
    let found = client.post(&at("/developerMetadata:search"), filtered.clone());
    assert_eq!(found["matchedDeveloperMetadata"][0]["developerMetadata"]["metadataId"], 7);
    let copied = client.post(&at("/sheets/0:copyTo"), json!({ "destinationSpreadsheetId": id }));
    assert_eq!(copied["title"], "Copy of One");

    assert_eq!(client.values(id, "One!A2:B2"), json!([["a", "1"]]));
    let appended = client.post(&at("/values/One!A1:append?valueInputOption=RAW"), json!({ "values": [["b", 2]] }));
    assert_eq!(appended["updates"]["updatedRange"], "One!A3:B3");
    let several = client.get(&at("/values:batchGet?ranges=One!A1&ranges=One!A:B&majorDimension=COLUMNS"));
    assert_eq!(several["valueRanges"][1]["values"], json!([["k", "a", "b"], ["v", "1", "2"]]));
    let data = json!([{ "range": "One!C1", "values": [["c"]] }, { "range": "One!D1:D2", "majorDimension": "COLUMNS", "values": [["d", "e"]] }]);
    let written = client.post(&at("/values:batchUpdate"), json!({ "valueInputOption": "RAW", "data": data }));
    assert_eq!((&written["totalUpdatedCells"], &written["totalUpdatedRows"]), (&json!(3), &json!(2)));
    let cleared = client.post(&at("/values:batchClear"), json!({ "ranges": ["One!C:C", "One!D1"] }));
    assert_eq!(cleared["clearedRanges"], json!(["One!C1:C1000", "One!D1"]));
    let by_filter = client.post(&at("/values:batchGetByDataFilter"), filtered.clone());
    assert_eq!(by_filter["valueRanges"][0]["valueRange"]["values"], json!([["a", "1", "", "e"]]));
    let data = json!([{ "dataFilter": filters[0], "values": [["changed"]] }]);
    let written =
        client.post(&at("/values:batchUpdateByDataFilter"), json!({ "valueInputOption": "RAW", "data": data }));
    assert_eq!(written["responses"][0]["updatedRange"], "One!A2");
    let cleared = client.post(&at("/values:batchClearByDataFilter"), filtered);
    assert_eq!(cleared["clearedRanges"], json!(["One!A2:Z2"]));
    let cleared = client.post(&at(&format!("/values/{}:clear", encoded("One!A1:B9"))), json!({}));
    assert_eq!(cleared["clearedRange"], "One!A1:B9");
    assert_eq!(client.values(id, "One"), Json::Null);
}

#[test]
fn objects_are_changed_and_removed() {
    let client = Client::start();
    let id = client.seed(json!([["n", "t"], [1, "x"], [2, "y"]]));
    let rule = |kind: &str| json!({ "ranges": [range(0, 3, 0, 1)], "booleanRule": { "condition": { "type": kind } } });
    let rows = json!({ "dimension": "ROWS", "startIndex": 1, "endIndex": 3 });
    let made = client.batch(
        &id,
        json!([
            { "addFilterView": { "filter": { "title": "f", "range": range(0, 3, 0, 2) } } },
            { "addTable": { "table": { "name": "T1", "range": range(0, 3, 0, 2) } } },
            { "addBanding": { "bandedRange": { "range": range(0, 3, 5, 6), "rowProperties": { "firstBandColor": { "red": 1 } } } } },
            { "addNamedRange": { "namedRange": { "name": "numbers", "range": range(1, 3, 0, 1) } } },
            { "addProtectedRange": { "protectedRange": { "range": range(0, 1, 0, 2) } } },
            { "addConditionalFormatRule": { "index": 0, "rule": rule("NOT_BLANK") } },
            { "addDimensionGroup": { "range": rows } },
            { "setBasicFilter": { "filter": { "range": { "sheetId": 0, "startRowIndex": 0, "endRowIndex": 3, "startColumnIndex": 3, "endColumnIndex": 4 } } } },
        ]),
    );
    let made = &made["replies"];
    let view = &made[0]["addFilterView"]["filter"]["filterViewId"];
    let table = &made[1]["addTable"]["table"]["tableId"];
    let band = &made[2]["addBanding"]["bandedRange"]["bandedRangeId"];
    let named = &made[3]["addNamedRange"]["namedRange"]["namedRangeId"];
    let protected = &made[4]["addProtectedRange"]["protectedRange"]["protectedRangeId"];
    let reply = client.batch(
        &id,
        json!([
            { "updateFilterView": { "filter": { "filterViewId": view, "title": "g" }, "fields": "title" } },
            { "duplicateFilterView": { "filterId": view } },
            { "updateTable": { "table": { "tableId": table, "name": "T2" }, "fields": "name" } },
            { "updateBanding": { "bandedRange": { "bandedRangeId": band, "range": range(0, 2, 5, 6) }, "fields": "range" } },
            { "updateNamedRange": { "namedRange": { "namedRangeId": named, "name": "figures" }, "fields": "name" } },
            { "updateProtectedRange": { "protectedRange": { "protectedRangeId": protected, "warningOnly": true }, "fields": "warningOnly" } },
            { "updateConditionalFormatRule": { "index": 0, "rule": rule("BLANK") } },
            { "updateDimensionGroup": { "dimensionGroup": { "range": rows, "depth": 1, "collapsed": true }, "fields": "collapsed" } },
            { "clearBasicFilter": { "sheetId": 0 } },
        ]),
    );
    assert_eq!(reply["replies"][1]["duplicateFilterView"]["filter"]["title"], "Copy of g");
    let rules = &reply["replies"][6]["updateConditionalFormatRule"];
    assert_eq!(rules["oldRule"]["booleanRule"]["condition"]["type"], "NOT_BLANK");
    let shown = sheet(&client, &id);
    assert_eq!(shown["tables"][0]["name"], "T2");
    assert_eq!(shown["bandedRanges"][0]["range"]["endRowIndex"], 2);
    assert_eq!(shown["protectedRanges"][0]["warningOnly"], true);
    assert_eq!(shown["rowGroups"][0]["collapsed"], true);
    assert_eq!(shown.get("basicFilter"), None);
    assert_eq!(client.typed(&id, "figures"), json!([[1], [2]]));

    client.batch(
        &id,
        json!([
            { "deleteFilterView": { "filterId": view } },
            { "deleteConditionalFormatRule": { "index": 0 } },
            { "deleteBanding": { "bandedRangeId": band } },
            { "deleteNamedRange": { "namedRangeId": named } },
            { "deleteProtectedRange": { "protectedRangeId": protected } },
            { "deleteDimensionGroup": { "range": rows } },
            { "deleteTable": { "tableId": table } },
        ]),
    );
    let shown = sheet(&client, &id);
    assert_eq!(shown["filterViews"].as_array().map(Vec::len), Some(1), "the copy stays");
    for member in ["tables", "bandedRanges", "protectedRanges", "conditionalFormats", "rowGroups"] {
        assert_eq!(shown.get(member), None, "{member}");
    }
    for (kind, body) in [
        ("deleteNamedRange", json!({ "namedRangeId": named })),
        ("deleteProtectedRange", json!({ "protectedRangeId": protected })),
        ("deleteBanding", json!({ "bandedRangeId": band })),
        ("deleteTable", json!({ "tableId": table })),
        ("deleteFilterView", json!({ "filterId": view })),
    ] {
        let message = client.batch_refused(&id, json!([{ kind: body }]));
        assert!(message.starts_with(&format!("Invalid requests[0].{kind}: ")), "{message}");
    }
}

#[test]
fn cells_are_pasted_and_cleaned_up() {
    let client = Client::start();
    let id = client.seed(json!([["n", "t"]]));
    let reply = client.batch(
        &id,
        json!([
            { "pasteData": { "coordinate": { "rowIndex": 1, "columnIndex": 0 }, "data": "1,x\n1,x\n2,a somewhat longer text", "delimiter": "," } },
            { "deleteDuplicates": { "range": range(0, 4, 0, 2) } },
            { "autoResizeDimensions": { "dimensions": { "dimension": "COLUMNS", "startIndex": 1, "endIndex": 2 } } },
        ]),
    );
    assert_eq!(reply["replies"][1]["deleteDuplicates"], json!({ "duplicatesRemovedCount": 1 }));
    assert_eq!(client.typed(&id, "Sheet1"), json!([["n", "t"], [1, "x"], [2, "a somewhat longer text"]]));
    let sizes = client.get(&format!("/v4/spreadsheets/{id}?ranges=A1:B1&fields=sheets.data.columnMetadata.pixelSize"));
    let sizes = &sizes["sheets"][0]["data"][0]["columnMetadata"];
    assert_eq!(sizes[0]["pixelSize"], 100);
    assert!(sizes[1]["pixelSize"].as_i64() > Some(110), "{sizes}");
}

#[test]
fn a_tab_loses_its_colour() {
    let client = Client::start();
    let id = client.seed(json!([]));
    let set = |style: Json| {
        let properties = json!({ "sheetId": 0, "tabColorStyle": style });
        client
            .batch(&id, json!([{ "updateSheetProperties": { "properties": properties, "fields": "tabColorStyle" } }]));
        sheet(&client, &id)["properties"].clone()
    };
    let black = set(json!({ "rgbColor": {} }));
    assert_eq!((&black["tabColor"], &black["tabColorStyle"]), (&json!({}), &json!({ "rgbColor": {} })));
    let none = set(json!({ "rgbColor": null }));
    assert_eq!((none.get("tabColor"), none.get("tabColorStyle")), (None, None));
}

#[test]
fn every_status_can_be_injected() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    for (status, code) in [
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (409, "ABORTED"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
    ] {
        client.fault(json!({ "match": { "method": "GET" }, "action": { "status": status } }));
        let (got, answer) = client.call("GET", &format!("/v4/spreadsheets/{id}"), None);
        assert_eq!((got, answer["error"]["status"].as_str()), (status, Some(code)));
    }
    let path = format!("/v4/spreadsheets/{id}/values/A1?valueInputOption=RAW");
    let put = || client.try_send("PUT", &path, Some(json!({ "values": [["x"]] })), Some(&client.token));
    for (action, applied, reset) in [
        (json!({ "timeout": "before_apply", "ms": 1 }), false, false),
        (json!({ "reset": "before_apply" }), false, true),
        (json!({ "drop": "after_apply" }), true, false),
        (json!({ "reset": "after_apply" }), true, true),
    ] {
        client.put(&id, "A1", "RAW", json!([["before"]]));
        client.fault(json!({ "match": { "kind": "values.update" }, "action": action }));
        let error = put().unwrap_err();
        let broken = matches!(&error, ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionReset);
        assert_eq!(broken, reset, "{action}: {error}");
        assert_eq!(client.values(&id, "A1") == json!([["x"]]), applied);
    }
}
