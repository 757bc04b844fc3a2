//! Spreadsheets made from rows or CSV, as a person would have typed them.

use std::sync::Arc;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Refused;
use crate::change::{Change, Entry};
use crate::http::token::DEFAULT_ACCOUNT;
use crate::model::area::{Area, Axis};
use crate::model::sheet::Sheet;
use crate::model::workbook::Workbook;
use crate::store::{File, PERSON, Permission, Store};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Seed {
    id: Option<String>,
    title: Option<String>,
    locale: Option<String>,
    time_zone: Option<String>,
    #[serde(default)]
    sheets: Vec<Tab>,
    #[serde(default = "super::yes")]
    shared: bool,
    /// Who owns it; a person unless said otherwise.
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tab {
    title: Option<String>,
    sheet_id: Option<i64>,
    #[serde(default)]
    rows: Vec<Vec<Json>>,
    csv: Option<String>,
    row_count: Option<u32>,
    column_count: Option<u32>,
    /// Texts are stored as they are; otherwise they are parsed like typing.
    #[serde(default)]
    raw: bool,
}

pub fn seed(store: &Store, seed: Seed) -> Result<Json, Refused> {
    let id = seed.id.unwrap_or_else(|| store.random_id());
    if store.peek(&id).is_some() {
        return Err(Refused::bad(format!("there is a spreadsheet {id} already")));
    }
    let mut book = Workbook::new(&id, seed.title.unwrap_or_else(|| id.clone()));
    book.locale = seed.locale.unwrap_or(book.locale);
    book.time_zone = seed.time_zone.unwrap_or(book.time_zone);
    if !seed.sheets.is_empty() {
        book.sheets.clear();
    }
    for (at, tab) in seed.sheets.into_iter().enumerate() {
        book = add(store, book, at, tab)?;
    }
    let sheets: Vec<Json> = book.sheets.iter().map(|s| json!({ "sheetId": s.id, "title": s.title })).collect();
    let mut file = File::new(book, seed.owner.as_deref().unwrap_or(PERSON), Utc::now());
    if seed.shared {
        file.permissions.push(Permission::user(DEFAULT_ACCOUNT, "writer"));
    }
    store.add(file, "person");
    Ok(json!({ "spreadsheetId": id, "sheets": sheets }))
}

fn add(store: &Store, mut book: Workbook, at: usize, tab: Tab) -> Result<Workbook, Refused> {
    let rows = match tab.csv {
        Some(csv) => read_csv(&csv)?,
        None => tab.rows,
    };
    let mut context = store.context(PERSON);
    let sheet_id = tab.sheet_id.unwrap_or_else(|| if at == 0 { 0 } else { context.fresh_id() });
    let title = tab.title.unwrap_or_else(|| format!("Sheet{}", at + 1));
    if book.titled(&title).is_some() || book.sheet(sheet_id).is_some() {
        return Err(Refused::bad(format!("there are two tabs {title:?} or two of id {sheet_id}")));
    }
    let width = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let height = rows.len() as u32;
    let row_count = tab.row_count.unwrap_or(1000).max(height).max(1);
    let column_count = tab.column_count.unwrap_or(26).max(width).max(1);
    book.sheets.push(Arc::new(Sheet::new(sheet_id, title, row_count, column_count)));
    book.check_size()?;
    if rows.is_empty() {
        return Ok(book);
    }
    let area =
        Area { sheet: sheet_id, bounds: crate::model::area::Bounds { r0: Some(0), c0: Some(0), ..Default::default() } };
    let values = rows.into_iter().map(Json::Array).collect();
    let entry = Entry { area, axis: Axis::Rows, values };
    let change =
        Change::Write { entries: vec![entry], user_entered: !tab.raw, clear_nulls: false, prefix: String::new() };
    Ok(crate::change::apply(&book, &change, &mut context)?.0)
}

fn read_csv(text: &str) -> Result<Vec<Vec<Json>>, Refused> {
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader
        .into_records()
        .map(|record| {
            Ok(record.map_err(|e| Refused::bad(format!("the CSV is broken: {e}")))?.iter().map(Json::from).collect())
        })
        .collect()
}
