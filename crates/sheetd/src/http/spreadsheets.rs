//! spreadsheets.create, get, getByDataFilter, batchUpdate, sheets.copyTo.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value as Json, json};

use super::answer::Answer;
use super::call::Call;
use crate::batch;
use crate::change::{Change, Outcome};
use crate::errors::ApiResult;
use crate::model::area::Area;
use crate::model::mask::Mask;
use crate::model::view::{self, Request};
use crate::model::workbook::Workbook;
use crate::store::{Author, File, Store};

/// N sheets named make exactly N (G-STANDIN-15).
pub fn create(store: &Store, call: &Call) -> ApiResult<Answer> {
    let given = &call.body;
    let mut book = Workbook::new(store.random_id(), "Untitled spreadsheet");
    let mut context = store.context(&call.caller);
    if let Some(properties) = given.get("properties").and_then(Json::as_object) {
        batch::sheets::set_spreadsheet(&mut book, properties, &Mask::All)?;
    }
    if let Some(sheets) = given.get("sheets").and_then(Json::as_array).filter(|s| !s.is_empty()) {
        book.sheets.clear();
        for (at, sheet) in sheets.iter().enumerate() {
            let mut properties = sheet.get("properties").cloned().unwrap_or_else(|| json!({}));
            if at == 0 && properties.get("sheetId").is_none() {
                properties["sheetId"] = 0.into();
            }
            let made = batch::sheets::make(&book, &properties, &mut context)?;
            book.sheets.push(Arc::new(made));
            batch::cells::fill(&mut book, at, sheet)?;
        }
        book.check_size()?;
    }
    store.add(File::new(book.clone(), &call.caller, Utc::now()), "api");
    Ok(call.answer_json(&show(&book, call, Vec::new(), false)?))
}

pub fn get(store: &Store, call: &Call) -> ApiResult<Answer> {
    let book = store.book(&call.route.id, &call.caller)?;
    let areas = call.all("ranges").map(|r| book.resolve(r)).collect::<ApiResult<Vec<Area>>>()?;
    Ok(call.answer_json(&show(&book, call, areas, call.flag("includeGridData"))?))
}

/// Lookups that match nothing leave the whole spreadsheet in the answer (G-STANDIN-4).
pub fn get_by_data_filter(store: &Store, call: &Call) -> ApiResult<Answer> {
    let book = store.book(&call.route.id, &call.caller)?;
    let project = super::token::project_of(&call.caller);
    let mut areas: Vec<Area> = Vec::new();
    for filter in call.body.get("dataFilters").and_then(Json::as_array).into_iter().flatten() {
        for area in book.filtered_areas(filter, &project)? {
            if !areas.contains(&area) {
                areas.push(area);
            }
        }
    }
    let grid = call.body.get("includeGridData").and_then(Json::as_bool).unwrap_or(false);
    Ok(call.answer_json(&show(&book, call, areas, grid)?))
}

fn show(book: &Workbook, call: &Call, areas: Vec<Area>, include: bool) -> ApiResult<Json> {
    let all = Mask::All;
    let mask = call.fields.as_ref().unwrap_or(&all);
    let request = Request {
        areas,
        grid_data: Request::wants_grid(include, call.fields.as_ref()),
        mask,
        project: &super::token::project_of(&call.caller),
        caller: &call.caller,
    };
    view::spreadsheet(book, &request)
}

pub fn batch_update(store: &Store, call: &mut Call) -> ApiResult<Answer> {
    let requests = call.take_list("requests");
    if requests.is_empty() {
        store.book(&call.route.id, &call.caller)?;
        return Err(crate::errors::ApiError::invalid("Must specify at least one request."));
    }
    let (book, outcome) =
        store.change(&call.route.id, Author::api(&call.caller), |_| Ok(Change::Batch { requests }))?;
    let Outcome::Replies(replies) = outcome else { unreachable!("a batch answers with replies") };
    let mut out = Map::new();
    out.insert("spreadsheetId".to_owned(), book.id.clone().into());
    out.insert("replies".to_owned(), replies.into());
    if call.body.get("includeSpreadsheetInResponse").and_then(Json::as_bool) == Some(true) {
        out.insert("updatedSpreadsheet".to_owned(), updated(store, &book, call)?);
    }
    if store.options().comment_update_state {
        out.insert("commentUpdateState".to_owned(), "NO_UPDATES_REQUESTED".into());
    }
    Ok(call.answer_json(&Json::Object(out)))
}

/// The spreadsheet after the requests; `responseRanges` are read against it (G-BATCH-3).
fn updated(store: &Store, book: &Workbook, call: &Call) -> ApiResult<Json> {
    let ranges = call.body.get("responseRanges").and_then(Json::as_array);
    let areas =
        ranges.into_iter().flatten().filter_map(Json::as_str).map(|r| book.resolve(r)).collect::<ApiResult<_>>()?;
    let include = call.body.get("responseIncludeGridData").and_then(Json::as_bool).unwrap_or(false);
    let inner = call.fields.as_ref().and_then(|m| m.member("updatedSpreadsheet")).filter(|m| !m.is_all());
    let all = Mask::All;
    let request = Request {
        areas,
        grid_data: store.options().cells_in_batch_answers && Request::wants_grid(include, inner),
        mask: inner.unwrap_or(&all),
        project: &super::token::project_of(&call.caller),
        caller: &call.caller,
    };
    view::spreadsheet(book, &request)
}

pub fn copy_to(store: &Store, call: &Call) -> ApiResult<Answer> {
    let source = store.book(&call.route.id, &call.caller)?;
    let id: i64 = call.route.rest.parse().unwrap_or(-1);
    let sheet = source.sheet(id).ok_or_else(|| batch::sheets::texts::no_sheet(id))?.clone();
    let target = call.body.get("destinationSpreadsheetId").and_then(Json::as_str).unwrap_or_default().to_owned();
    let properties = store.copy_sheet(&target, &call.caller, sheet)?;
    Ok(call.answer(&properties))
}
