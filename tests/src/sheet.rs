//! A tab of a spreadsheet as a person sees and edits it.

use crate::google::Office;
use crate::wait::{wait_for, wait_until};
use serde_json::{Value, json};
use std::sync::Arc;

/// A spreadsheet, which people make before they share it with the service account.
pub struct Book {
    office: Arc<Office>,
    id: String,
}

#[derive(Clone)]
pub struct Sheet {
    office: Arc<Office>,
    id: String,
    gid: i64,
}

impl Book {
    pub fn new(office: Arc<Office>, title: &str) -> Book {
        let made = office.post("/v4/spreadsheets", &json!({"properties": {"title": title}}));
        Book {
            office,
            id: made["spreadsheetId"].as_str().expect("an id").to_owned(),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn empty_tab(&self, title: &str) -> Sheet {
        let made = self.office.batch(
            &self.id,
            json!([{"addSheet": {"properties": {"title": title}}}]),
        );
        let gid = made["replies"][0]["addSheet"]["properties"]["sheetId"]
            .as_i64()
            .expect("a tab's id");
        self.with_gid(gid)
    }

    /// A new tab with these cells typed into it (see [`parse`]).
    pub fn tab(&self, title: &str, text: &str) -> Sheet {
        let sheet = self.empty_tab(title);
        sheet.type_at("A1", &parse(text));
        sheet
    }

    pub fn with_gid(&self, gid: i64) -> Sheet {
        Sheet {
            office: Arc::clone(&self.office),
            id: self.id.clone(),
            gid,
        }
    }

    /// The tab of this title, once the extension has made it.
    #[track_caller]
    pub fn wait_for_tab(&self, title: &str) -> Sheet {
        let gid = wait_until(&format!("a tab {title:?}"), || {
            let tabs = self.office.get(&format!(
                "/v4/spreadsheets/{}?fields=sheets.properties(sheetId,title)",
                self.id
            ));
            let found = tabs["sheets"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|tab| tab["properties"]["title"] == title);
            found
                .and_then(|tab| tab["properties"]["sheetId"].as_i64())
                .ok_or(tabs)
        });
        self.with_gid(gid)
    }
}

/// "id | name\n 1 | Bolt" as rows of cells.
pub fn parse(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// Rows without empty cells at their ends, so that what is empty for a person is equal.
pub fn trimmed(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for row in &mut rows {
        while row.last().is_some_and(String::is_empty) {
            row.pop();
        }
    }
    while rows.last().is_some_and(Vec::is_empty) {
        rows.pop();
    }
    rows
}

impl Sheet {
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn gid(&self) -> i64 {
        self.gid
    }

    /// As the browser shows it.
    pub fn address(&self) -> String {
        format!(
            "https://docs.google.com/spreadsheets/d/{}/edit?usp=sharing#gid={}",
            self.id, self.gid
        )
    }

    pub fn title(&self) -> String {
        let tabs = self.office.get(&format!(
            "/v4/spreadsheets/{}?fields=sheets.properties(sheetId,title)",
            self.id
        ));
        let found = tabs["sheets"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|tab| tab["properties"]["sheetId"] == self.gid);
        found
            .and_then(|tab| tab["properties"]["title"].as_str())
            .unwrap_or_else(|| panic!("no tab {}: {tabs}", self.gid))
            .to_owned()
    }

    fn range(&self, a1: &str) -> String {
        let title = format!("'{}'", self.title().replace('\'', "''"));
        let range = if a1.is_empty() {
            title
        } else {
            format!("{title}!{a1}")
        };
        range.bytes().fold(String::new(), |mut path, byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b':' => {
                    path.push(byte as char)
                }
                _ => path.push_str(&format!("%{byte:02X}")),
            }
            path
        })
    }

    fn values(&self, a1: &str, render: &str) -> Vec<Vec<Value>> {
        let path = format!(
            "/v4/spreadsheets/{}/values/{}?valueRenderOption={render}",
            self.id,
            self.range(a1)
        );
        let got = self.office.get(&path);
        let rows = got["values"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .map(|row| row.as_array().cloned().unwrap_or_default())
            .collect()
    }

    /// Every cell up to the last one that holds something, as plain text.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.values("", "UNFORMATTED_VALUE");
        trimmed(
            rows.into_iter()
                .map(|row| row.iter().map(text).collect())
                .collect(),
        )
    }

    /// The rows as [`parse`] takes them.
    pub fn text(&self) -> String {
        self.rows()
            .into_iter()
            .map(|row| row.join(" | "))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Waits until the tab shows just this.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        wait_for("the sheet", trimmed(parse(text)), || self.rows());
    }

    pub fn cell(&self, a1: &str) -> String {
        self.values(a1, "UNFORMATTED_VALUE")
            .first()
            .and_then(|row| row.first())
            .map(text)
            .unwrap_or_default()
    }

    /// What was entered, for a cell that holds a formula.
    pub fn formula(&self, a1: &str) -> String {
        self.values(a1, "FORMULA")
            .first()
            .and_then(|row| row.first())
            .map(text)
            .unwrap_or_default()
    }

    /// The number of the first row with this text in this column (counted from 0).
    #[track_caller]
    pub fn row_where(&self, column: usize, text: &str) -> usize {
        let rows = self.rows();
        let found = rows
            .iter()
            .position(|row| row.get(column).is_some_and(|cell| cell == text));
        found.unwrap_or_else(|| panic!("no row with {text:?}: {rows:?}")) + 1
    }

    /// The cell of this column in the row whose first cell is `key`; empty if there is none.
    pub fn cell_of(&self, key: &str, column: usize) -> String {
        let rows = self.rows();
        let row = rows
            .into_iter()
            .find(|row| row.first().is_some_and(|cell| cell == key));
        row.and_then(|row| row.into_iter().nth(column))
            .unwrap_or_default()
    }

    /// Types into cells from this one on, as a person does: "1" is a number, "=A1" a formula.
    pub fn type_at(&self, a1: &str, rows: &[Vec<String>]) {
        let path = format!(
            "/v4/spreadsheets/{}/values/{}?valueInputOption=USER_ENTERED",
            self.id,
            self.range(a1)
        );
        self.office.put(&path, &json!({"values": rows}));
    }

    pub fn set(&self, a1: &str, text: &str) {
        self.type_at(a1, &[vec![text.to_owned()]]);
    }

    /// Types a row under the last one.
    pub fn type_row(&self, cells: &[&str]) {
        let row = self.rows().len() + 1;
        self.type_at(
            &format!("A{row}"),
            &[cells.iter().map(|cell| (*cell).to_owned()).collect()],
        );
    }

    /// Empties the tab and types this instead, in one step.
    pub fn replace(&self, text: &str) {
        let rows: Vec<Value> = parse(text)
            .iter()
            .map(|row| json!({"values": row.iter().map(|cell| json!({"userEnteredValue": entered(cell)})).collect::<Vec<_>>()}))
            .collect();
        self.office.batch(
            &self.id,
            json!([
                {"updateCells": {"range": {"sheetId": self.gid}, "fields": "userEnteredValue"}},
                {"updateCells": {"start": {"sheetId": self.gid, "rowIndex": 0, "columnIndex": 0}, "rows": rows, "fields": "userEnteredValue"}},
            ]),
        );
    }

    fn rows_dimension(&self, row: usize) -> Value {
        json!({"sheetId": self.gid, "dimension": "ROWS", "startIndex": row - 1, "endIndex": row})
    }

    /// An empty row above row `row` (counted from 1).
    pub fn insert_row(&self, row: usize) {
        self.office.batch(
            &self.id,
            json!([{"insertDimension": {"range": self.rows_dimension(row)}}]),
        );
    }

    pub fn delete_row(&self, row: usize) {
        self.office.batch(
            &self.id,
            json!([{"deleteDimension": {"range": self.rows_dimension(row)}}]),
        );
    }

    /// Sorts the rows below the header by a column.
    pub fn sort(&self, column: &str, ascending: bool) {
        let column = column
            .bytes()
            .fold(0, |index, byte| index * 26 + i64::from(byte - b'A'));
        let order = if ascending { "ASCENDING" } else { "DESCENDING" };
        self.office.batch(
            &self.id,
            json!([{"sortRange": {
                "range": {"sheetId": self.gid, "startRowIndex": 1},
                "sortSpecs": [{"dimensionIndex": column, "sortOrder": order}]}}]),
        );
    }

    pub fn delete_tab(&self) {
        self.office
            .batch(&self.id, json!([{"deleteSheet": {"sheetId": self.gid}}]));
    }

    /// Any request of the API, as somebody else's program might send it.
    pub fn batch(&self, requests: Value) -> Value {
        self.office.batch(&self.id, requests)
    }
}

fn entered(cell: &str) -> Value {
    match cell.parse::<f64>() {
        Ok(number) => json!({"numberValue": number}),
        Err(_) => json!({"stringValue": cell}),
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::Bool(true) => "TRUE".to_owned(),
        Value::Bool(false) => "FALSE".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
