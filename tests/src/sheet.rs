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
        Book::of(office, title, json!([{"title": "Sheet1"}]))
    }

    pub fn of(office: Arc<Office>, title: &str, tabs: Value) -> Book {
        Book::made(office, json!({"title": title}), tabs)
    }

    /// With settings as sheetd's control endpoint takes them.
    pub fn made(office: Arc<Office>, mut settings: Value, tabs: Value) -> Book {
        settings["sheets"] = tabs;
        settings["shared"] = json!(true);
        let made = office.post("spreadsheets", &settings);
        Book {
            office,
            id: made["spreadsheetId"].as_str().expect("an id").to_owned(),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    fn tabs(&self) -> Vec<(i64, String)> {
        tabs(&self.office, &self.id)
    }

    /// The tab that every spreadsheet begins with.
    pub fn first_tab(&self) -> Sheet {
        let (gid, _) = self.tabs()[0];
        Sheet {
            office: Arc::clone(&self.office),
            id: self.id.clone(),
            gid,
        }
    }

    #[track_caller]
    pub fn empty_tab(&self, title: &str) -> Sheet {
        let (first, _) = self.tabs()[0];
        self.office.edit(&self.id, first, json!({"add_tab": title}));
        self.wait_for_tab(title)
    }

    /// A new tab with these cells typed into it (see [`parse`]).
    #[track_caller]
    pub fn tab(&self, title: &str, text: &str) -> Sheet {
        let sheet = self.empty_tab(title);
        sheet.type_at("A1", &parse(text));
        sheet
    }

    /// The tab of this title, once somebody has made it.
    #[track_caller]
    pub fn wait_for_tab(&self, title: &str) -> Sheet {
        let gid = wait_until(&format!("a tab {title:?}"), || {
            let tabs = self.tabs();
            tabs.iter()
                .find(|(_, name)| name == title)
                .map(|(gid, _)| *gid)
                .ok_or(tabs)
        });
        Sheet {
            office: Arc::clone(&self.office),
            id: self.id.clone(),
            gid,
        }
    }

    /// Deletes the spreadsheet for good.
    pub fn delete(self) {
        self.office.delete(&format!("spreadsheets/{}", self.id));
    }

    /// Keeps it as it is now, for [`Book::restore`].
    pub fn version(&self) -> u64 {
        let path = format!("spreadsheets/{}/versions", self.id);
        let kept = self.office.post(&path, &json!({}));
        kept["version"].as_u64().expect("a number")
    }

    /// Puts a version back, as File > Version history does.
    pub fn restore(&self, version: u64) {
        let path = format!("spreadsheets/{}/versions/{version}/restore", self.id);
        self.office.post(&path, &json!({}));
    }

    /// Puts the spreadsheet into the bin of Drive, or takes it out.
    pub fn throw_away(&self, thrown: bool) {
        self.office.post(
            &format!("spreadsheets/{}/trash", self.id),
            &json!({"trashed": thrown}),
        );
    }

    /// Shares the spreadsheet with the service account, or no longer.
    pub fn share(&self, shared: bool) {
        self.office.post(
            &format!("spreadsheets/{}/share", self.id),
            &json!({"shared": shared}),
        );
    }

    /// Shares it with somebody else, too, as a writer.
    pub fn share_with(&self, email: &str) {
        self.office.post(
            &format!("spreadsheets/{}/share", self.id),
            &json!({"shared": true, "email": email, "role": "writer"}),
        );
    }

    /// Shares it with the service account as a `reader` or `writer`.
    pub fn share_as(&self, role: &str) {
        self.office.post(
            &format!("spreadsheets/{}/share", self.id),
            &json!({"shared": true, "role": role}),
        );
    }
}

fn tabs(office: &Office, id: &str) -> Vec<(i64, String)> {
    let all = office.get("spreadsheets");
    let all = all
        .as_array()
        .or_else(|| all["spreadsheets"].as_array())
        .cloned()
        .unwrap_or_default();
    let book = all
        .iter()
        .find(|book| book["spreadsheetId"] == id)
        .unwrap_or_else(|| panic!("no spreadsheet {id}: {all:?}"));
    let tabs = book["sheets"].as_array().into_iter().flatten();
    tabs.map(|tab| {
        (
            tab["sheetId"].as_i64().expect("a number"),
            tab["title"].as_str().expect("a title").to_owned(),
        )
    })
    .collect()
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
        let tabs = tabs(&self.office, &self.id);
        tabs.into_iter()
            .find(|(gid, _)| *gid == self.gid)
            .map(|(_, title)| title)
            .expect("the tab is there")
    }

    /// The book that this tab is in.
    pub fn book(&self) -> Book {
        Book {
            office: Arc::clone(&self.office),
            id: self.id.clone(),
        }
    }

    fn values(&self, how: &str, rows: Option<usize>) -> Vec<Vec<Value>> {
        let part = rows
            .map(|row| format!("?start={}&end={row}", row - 1))
            .unwrap_or_default();
        let got = self.office.get(&format!(
            "spreadsheets/{}/sheets/{}/values{part}",
            self.id, self.gid
        ));
        let rows = got[how].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .map(|row| row.as_array().cloned().unwrap_or_default())
            .collect()
    }

    /// Every cell up to the last one that holds something, as plain text.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.values("unformatted", None);
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

    fn value(&self, how: &str, a1: &str) -> String {
        let (column, row) = place(a1);
        let values = self.values(how, Some(row));
        values
            .first()
            .and_then(|row| row.get(column))
            .map(text)
            .unwrap_or_default()
    }

    pub fn cell(&self, a1: &str) -> String {
        self.value("unformatted", a1)
    }

    /// As the page shows it: numbers and dates in their format.
    pub fn shown(&self, a1: &str) -> String {
        self.value("formatted", a1)
    }

    /// What was entered, for a cell that holds a formula.
    pub fn formula(&self, a1: &str) -> String {
        self.value("formulas", a1)
    }

    /// The note on a cell.
    pub fn note(&self, a1: &str) -> String {
        let (column, row) = place(a1);
        let mut notes = self.notes().into_iter();
        let found = notes.find(|(at, _)| *at == (row, column));
        found.map(|(_, note)| note).unwrap_or_default()
    }

    /// All notes, by row (counted from 1) and column (counted from 0).
    pub fn notes(&self) -> Vec<((usize, usize), String)> {
        let got = self.office.get(&format!(
            "spreadsheets/{}/sheets/{}/values",
            self.id, self.gid
        ));
        let number = |value: &Value| value.as_u64().unwrap_or_default() as usize;
        let notes = got["notes"].as_array().into_iter().flatten();
        let note = |note: &Value| {
            let place = (number(&note["row"]) + 1, number(&note["column"]));
            (place, text(&note["note"]))
        };
        notes.map(note).collect()
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

    fn edit(&self, action: Value) {
        self.office.edit(&self.id, self.gid, action);
    }

    /// Types into cells from this one on, as a person does: "1" is a number, "=A1" a formula.
    pub fn type_at(&self, a1: &str, rows: &[Vec<String>]) {
        self.edit(json!({"set_range": {"cell": a1, "values": rows}}));
    }

    pub fn set(&self, a1: &str, text: &str) {
        self.edit(json!({"set": {"cell": a1, "value": text}}));
    }

    /// Types a row under the last one.
    pub fn type_row(&self, cells: &[&str]) {
        let row = self.rows().len() + 1;
        self.type_at(
            &format!("A{row}"),
            &[cells.iter().map(|cell| (*cell).to_owned()).collect()],
        );
    }

    /// Types a row into a new line above row `row`, so that nothing which arrives there at the same
    /// moment is overwritten.
    pub fn insert_typed_row(&self, row: usize, cells: &[&str]) {
        self.edit(json!({"insert_rows": {"at": row, "count": 1, "values": [cells]}}));
    }

    /// An empty row above row `row` (counted from 1).
    pub fn insert_row(&self, row: usize) {
        self.edit(json!({"insert_rows": {"at": row, "count": 1}}));
    }

    pub fn delete_row(&self, row: usize) {
        self.delete_rows(row, 1);
    }

    pub fn delete_rows(&self, row: usize, count: usize) {
        self.edit(json!({"delete_rows": {"at": row, "count": count}}));
    }

    /// Drags a row so that it stands at `to` afterwards (both counted from 1).
    pub fn move_row(&self, from: usize, to: usize) {
        self.edit(json!({"move_rows": {"from": from, "count": 1, "to": to}}));
    }

    /// Moves a column to where `to` stands.
    pub fn move_column(&self, from: &str, to: &str) {
        self.edit(json!({"move_columns": {"from": from, "count": 1, "to": to}}));
    }

    /// Sorts the rows below the header by a column.
    pub fn sort(&self, column: &str, ascending: bool) {
        self.edit(json!({"sort": {"column": column, "descending": !ascending, "header_rows": 1}}));
    }

    /// Anything else that a person does by menus: requests of batchUpdate.
    pub fn by_menu(&self, requests: Value) {
        self.edit(json!({"batch": requests}));
    }

    /// What the tab has besides values, as the API shows it to its owner: filters, merges,
    /// protected ranges, hidden rows, …
    pub fn structure(&self) -> Value {
        let fields = "sheets(properties,merges,basicFilter,filterViews,protectedRanges,tables,data(rowMetadata,columnMetadata,rowData(values(dataValidation))))";
        self.fields(fields)
    }

    fn fields(&self, fields: &str) -> Value {
        let book = self
            .office
            .get(&format!("spreadsheets/{}?fields={fields}", self.id));
        let tabs = book["sheets"].as_array().cloned().unwrap_or_default();
        let own = |tab: &Value| tab["properties"]["sheetId"] == self.gid;
        tabs.into_iter().find(own).expect("the tab is there")
    }

    /// The keys of what programs have put on its rows besides cells: row (from 1) and key of the
    /// developer metadata.
    pub fn row_metadata(&self) -> Vec<(usize, String)> {
        let fields = "sheets(properties(sheetId),data(rowMetadata(developerMetadata)))";
        let rows = self.fields(fields)["data"][0]["rowMetadata"].clone();
        let rows = rows.as_array().cloned().unwrap_or_default();
        let keys = |row: Value| {
            let all = row["developerMetadata"].as_array().cloned();
            all.unwrap_or_default()
                .into_iter()
                .map(|one| text(&one["metadataKey"]))
        };
        (1..)
            .zip(rows)
            .flat_map(|(number, row)| keys(row).map(move |key| (number, key)))
            .collect()
    }

    /// A person's own note on a cell.
    pub fn put_note(&self, a1: &str, note: &str) {
        self.edit(json!({"note": {"cell": a1, "note": note}}));
    }

    pub fn rename_tab(&self, title: &str) {
        self.edit(json!({"rename_tab": title}));
    }

    pub fn delete_tab(&self) {
        self.edit(json!({"delete_tab": true}));
    }
}

/// "B3" as column 1 (from 0) and row 3 (from 1).
fn place(a1: &str) -> (usize, usize) {
    let letters = a1
        .find(|c: char| c.is_ascii_digit())
        .expect("a cell's name ends in a number");
    let column = a1[..letters]
        .bytes()
        .fold(0, |index, byte| index * 26 + usize::from(byte - b'A' + 1))
        - 1;
    (column, a1[letters..].parse().expect("a row's number"))
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
