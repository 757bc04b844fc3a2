//! A person in the page takes back what they did there and does it again; what others did stays.

mod common;

use common::Client;
use serde_json::{Value as Json, json};

struct Page<'a> {
    client: &'a Client,
    book: &'a str,
    editor: &'a str,
}

impl Page<'_> {
    fn send(&self, edit: Json) -> (u16, Json) {
        let body = json!({ "spreadsheetId": self.book, "editor": self.editor, "edit": edit });
        self.client.send("POST", "/_sheetd/edit", Some(body), None)
    }

    fn does(&self, edit: Json) -> Json {
        let (status, answer) = self.send(edit);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn undoes(&self) -> Json {
        self.does(json!({ "undo": true }))
    }

    fn redoes(&self) -> Json {
        self.does(json!({ "redo": true }))
    }

    fn refuses(&self, edit: Json) -> String {
        let (status, answer) = self.send(edit);
        assert_eq!(status, 400, "{answer}");
        answer["error"].as_str().expect("a reason").to_owned()
    }

    fn types(&self, cell: &str, value: &str) {
        self.does(json!({ "set": { "cell": cell, "value": value } }));
    }

    fn shows(&self, range: &str, values: Json) {
        assert_eq!(self.client.values(self.book, range), values);
    }
}

/// A page, another one, and the program beside them.
fn with_pages(rows: Json, act: impl FnOnce(&Page, &Page, &dyn Fn(&str, &str))) {
    let client = Client::start();
    let book = client.seed(rows);
    let page = |editor| Page { client: &client, book: &book, editor };
    act(&page("me"), &page("you"), &|cell, value| drop(client.put(&book, cell, "RAW", json!([[value]]))));
}

#[test]
fn own_edits_go_back_and_come_again_whatever_others_write_elsewhere() {
    with_pages(json!([["a", "b"], ["c", "d"]]), |me, you, program| {
        me.types("A1", "mine");
        you.types("B1", "yours");
        me.types("A2", "5%");
        program("B2", "program");
        me.undoes();
        me.shows("A1:B2", json!([["mine", "yours"], ["c", "program"]]));
        let answer = me.undoes();
        me.shows("A1:B2", json!([["a", "yours"], ["c", "program"]]));
        assert_eq!(answer["changes"][0]["range"], json!({ "r0": 0, "r1": 1, "c0": 0, "c1": 1 }));
        assert_eq!(me.refuses(json!({ "undo": true })), "There is nothing to undo");
        me.redoes();
        me.redoes();
        me.shows("A1:B2", json!([["mine", "yours"], ["5%", "program"]]));
        assert_eq!(me.refuses(json!({ "redo": true })), "There is nothing to redo");
        you.undoes();
        me.shows("A1:B1", json!([["mine", "b"]]));
        me.undoes();
        me.types("A1", "new");
        assert_eq!(me.refuses(json!({ "redo": true })), "There is nothing to redo");
        me.undoes();
        me.undoes();
        me.shows("A1:B2", json!([["a", "b"], ["c", "program"]]));
    });
}

#[test]
fn cells_that_others_changed_since_stay() {
    with_pages(json!([["a"], ["b"], ["c"]]), |me, _, program| {
        me.does(json!({ "set_range": { "cell": "A1", "values": [["1"], ["2"], ["3"]] } }));
        program("A2", "program");
        assert_eq!(me.undoes()["kept"], 1);
        me.shows("A1:A3", json!([["a"], ["program"], ["c"]]));
        me.redoes();
        me.shows("A1:A3", json!([["1"], ["program"], ["3"]]));
        me.types("A3", "mine");
        program("A3", "program");
        assert_eq!(me.refuses(json!({ "undo": true })), "Others have changed these cells since: they stay as they are");
        me.shows("A3", json!([["program"]]));
    });
}

#[test]
fn a_formula_that_computes_something_else_is_not_changed() {
    with_pages(json!([["1"], ["x"]]), |me, _, program| {
        me.types("A2", "=A1*2");
        program("A1", "7");
        me.shows("A2", json!([["14"]]));
        assert_eq!(me.undoes()["kept"], 0);
        me.shows("A1:A2", json!([["7"], ["x"]]));
        me.redoes();
        me.shows("A2", json!([["14"]]));
    });
}

#[test]
fn cells_are_found_where_others_moved_them() {
    with_pages(json!([["a"], ["b"], ["c"]]), |me, you, _| {
        me.types("A3", "mine");
        you.does(json!({ "insert_rows": { "at": 1, "count": 2, "values": [["x"], ["y"]] } }));
        you.does(json!({ "move_rows": { "from": 5, "to": 1 } }));
        me.shows("A1:A5", json!([["mine"], ["x"], ["y"], ["a"], ["b"]]));
        me.undoes();
        me.shows("A1:A5", json!([["c"], ["x"], ["y"], ["a"], ["b"]]));
        me.redoes();
        you.does(json!({ "sort": { "column": "A", "header_rows": 0 } }));
        assert_eq!(
            me.refuses(json!({ "undo": true })),
            "Others have moved these rows or columns since: they stay where they are"
        );
        me.shows("A1:A5", json!([["a"], ["b"], ["mine"], ["x"], ["y"]]));
    });
}

#[test]
fn rows_that_were_deleted_come_back_with_their_tags() {
    with_pages(json!([["a"], ["b"], ["c"], ["d"], ["=A4&A2"]]), |me, you, program| {
        let location =
            json!({ "dimensionRange": { "sheetId": 0, "dimension": "ROWS", "startIndex": 1, "endIndex": 2 } });
        let tag = json!({ "metadataKey": "row", "metadataValue": "b", "visibility": "DOCUMENT", "location": location });
        me.client.batch(me.book, json!([{ "createDeveloperMetadata": { "developerMetadata": tag } }]));
        me.does(json!({ "delete_rows": { "at": 2, "count": 2 } }));
        program("A1", "program");
        program("A2", "D");
        you.does(json!({ "insert_rows": { "at": 1, "values": [["above"]] } }));
        you.does(json!({ "insert_rows": { "at": 4, "values": [["below"]] } }));
        me.shows("A1:A4", json!([["above"], ["program"], ["D"], ["below"]]));
        me.undoes();
        me.shows("A1:A7", json!([["above"], ["program"], ["b"], ["c"], ["D"], ["below"], ["Db"]]));
        let found = me.client.post(
            &format!("/v4/spreadsheets/{}/developerMetadata:search", me.book),
            json!({ "dataFilters": [{ "developerMetadataLookup": { "metadataKey": "row" } }] }),
        );
        let place = &found["matchedDeveloperMetadata"][0]["developerMetadata"]["location"]["dimensionRange"];
        assert_eq!(place["startIndex"], 2);
        me.redoes();
        me.shows("A1:A4", json!([["above"], ["program"], ["D"], ["below"]]));
    });
}

#[test]
fn rows_that_were_inserted_go_unless_others_wrote_into_them() {
    with_pages(json!([["a"], ["b"]]), |me, _, program| {
        me.does(json!({ "insert_rows": { "at": 2 } }));
        me.types("A2", "mine");
        program("A3", "B");
        me.undoes();
        me.undoes();
        me.shows("A1:A2", json!([["a"], ["B"]]));
        me.redoes();
        program("B2", "program");
        assert_eq!(me.refuses(json!({ "undo": true })), "Others have written there since: it stays as it is");
        me.shows("A1:B3", json!([["a"], ["", "program"], ["B"]]));
    });
}

#[test]
fn what_was_typed_below_the_end_goes_and_what_others_added_to_it_stays() {
    with_pages(json!([["a"]]), |me, _, program| {
        me.types("A1001", "mine");
        program("B1001", "program");
        me.undoes();
        me.shows("A1001:B1001", json!([["", "program"]]));
        me.redoes();
        me.shows("A1001:B1001", json!([["mine", "program"]]));
    });
}

#[test]
fn moved_rows_go_back_with_what_others_wrote_into_them() {
    with_pages(json!([["a"], ["b"], ["c"]]), |me, _, program| {
        me.does(json!({ "move_rows": { "from": 1, "to": 3 } }));
        program("B3", "of a");
        me.undoes();
        me.shows("A1:B3", json!([["a", "of a"], ["b"], ["c"]]));
        me.does(json!({ "sort": { "column": "A", "descending": true, "header_rows": 0 } }));
        me.undoes();
        me.shows("A1:A3", json!([["a"], ["b"], ["c"]]));
    });
}

#[test]
fn notes_and_tabs_are_taken_back_too() {
    with_pages(json!([["a"]]), |me, _, program| {
        let titles = || -> Vec<String> {
            let sheets = me.client.get(&format!("/v4/spreadsheets/{}", me.book))["sheets"].clone();
            let title = |sheet: &Json| sheet["properties"]["title"].as_str().unwrap_or_default().to_owned();
            sheets.as_array().expect("tabs").iter().map(title).collect()
        };
        me.does(json!({ "note": { "cell": "A1", "note": "mine" } }));
        me.does(json!({ "add_tab": "More" }));
        me.does(json!({ "rename_tab": "List" }));
        program("B1", "program");
        me.undoes();
        assert_eq!(titles(), ["Sheet1", "More"]);
        me.undoes();
        assert_eq!(titles(), ["Sheet1"]);
        me.undoes();
        let values = me.client.control("GET", &format!("spreadsheets/{}/sheets/0/values", me.book), Json::Null);
        assert_eq!((&values["notes"], &values["formatted"]), (&json!([]), &json!([["a", "program"]])));
        me.redoes();
        me.redoes();
        program("More!A1", "program");
        assert_eq!(me.refuses(json!({ "undo": true })), "Others have written there since: it stays as it is");
        assert_eq!(titles(), ["Sheet1", "More"]);
    });
}
