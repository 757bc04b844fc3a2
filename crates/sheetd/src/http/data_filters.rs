//! The values methods that name their cells by data filters (G-META-8, G-RANGES-6).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::answer::Answer;
use super::call::{Call, axis_of};
use super::token::project_of;
use super::values::{self, ValueRange, value_range};
use crate::change::{Change, Entry};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::{Area, Axis};
use crate::model::workbook::Workbook;
use crate::options::{NullCells, Unmatched};
use crate::store::Store;

fn filters(call: &Call) -> ApiResult<Vec<Json>> {
    let filters = call.body.get("dataFilters").and_then(Json::as_array).cloned().unwrap_or_default();
    if filters.is_empty() { Err(ApiError::invalid("Must specify at least one dataFilter.")) } else { Ok(filters) }
}

/// The cells of a filter, or its refusal worded for the values methods.
fn areas(book: &Workbook, filter: &Json, index: usize, project: &str) -> ApiResult<Vec<Area>> {
    let found = book.filtered_areas(filter, project).and_then(|areas| {
        areas.iter().try_for_each(|a| book.within_grid(a).map(drop))?;
        Ok(areas)
    });
    found.map_err(|e| {
        if e.message.starts_with("dataFilter.filter") { e } else { e.within(&format!("dataFilter[{index}]")) }
    })
}

/// One range found, with all filters that found it.
struct Match {
    area: Area,
    filters: Vec<Json>,
}

/// Not in the order asked: by sheet, start column, start row, end column, end row; equal ranges are
/// one (G-RANGES-6).
fn matches(book: &Workbook, filters: &[Json], project: &str) -> ApiResult<Vec<Match>> {
    let mut out: BTreeMap<_, Match> = BTreeMap::new();
    for (i, filter) in filters.iter().enumerate() {
        for area in areas(book, filter, i, project)? {
            let rect = book.within_grid(&area)?;
            let place = (book.position(area.sheet), rect.c0, rect.r0, rect.c1, rect.r1);
            let found = out.entry(place).or_insert_with(|| Match { area, filters: Vec::new() });
            if !found.filters.contains(filter) {
                found.filters.push(filter.clone());
            }
        }
    }
    Ok(out.into_values().collect())
}

/// `sheetId: 0` is dropped when a filter is written back (G-JSON-1).
fn echoed(filter: &Json) -> Json {
    let mut out = filter.clone();
    for path in ["/gridRange", "/developerMetadataLookup/metadataLocation/dimensionRange"] {
        if let Some(Json::Object(range)) = out.pointer_mut(path)
            && range.get("sheetId").and_then(Json::as_i64) == Some(0)
        {
            range.shift_remove("sheetId");
        }
    }
    out
}

pub fn batch_get(store: &Store, call: &Call) -> ApiResult<Answer> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Matched {
        value_range: ValueRange,
        data_filters: Vec<Json>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        spreadsheet_id: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        value_ranges: Vec<Matched>,
    }
    let book = store.book(&call.route.id, &call.caller)?;
    let filters = filters(call)?;
    let style = call.style("valueRenderOption", "dateTimeRenderOption");
    let mut value_ranges = Vec::new();
    let project = project_of(&call.caller);
    for (at, filter) in filters.iter().enumerate() {
        let nothing = areas(&book, filter, at, &project)?.is_empty();
        store.options().read_without_match.check(nothing, at)?;
    }
    for found in matches(&book, &filters, &project)? {
        value_ranges.push(Matched {
            value_range: value_range(&book, &found.area, call.axis(), style)?,
            data_filters: found.filters.iter().map(echoed).collect(),
        });
    }
    Ok(call.answer(&Body { spreadsheet_id: &book.id, value_ranges }))
}

/// A filter that matches several ranges is written to all of them (G-STANDIN-4).
pub fn batch_update(store: &Store, call: &mut Call) -> ApiResult<Answer> {
    let user_entered = values::user_entered(call.body.get("valueInputOption").and_then(Json::as_str))?;
    let options = store.options();
    let data = call.take_list("data");
    // Filters are resolved and written under one lock: a person's edit cannot come between.
    let clear_nulls = options.data_filter_nulls == NullCells::Clear;
    let style = values::response_style(call);
    let echo = call.body.get("includeValuesInResponse").and_then(Json::as_bool) == Some(true);
    let project = project_of(&call.caller);
    let mut targets: Vec<(Json, Axis)> = Vec::new();
    let (book, written) = values::write(store, call, |book| {
        let mut entries = Vec::new();
        for (i, mut item) in data.into_iter().enumerate() {
            let filter = item.get_mut("dataFilter").map_or_else(|| json!({}), Json::take);
            let axis = axis_of(item.get("majorDimension").and_then(Json::as_str));
            let found = areas(book, &filter, i, &project)?;
            if found.is_empty() && options.data_filter_write_without_match == Unmatched::Refuse {
                return Err(ApiError::invalid(format!("Invalid data[{i}]: The dataFilter matched no range.")));
            }
            let values = item.get("values").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
            for area in found {
                entries.push(Entry { area, axis, values: values.to_vec() });
                targets.push((filter.clone(), axis));
            }
        }
        Ok(Change::Write { entries, user_entered, clear_nulls, prefix: "data".to_owned() })
    })?;
    let mut responses = Vec::with_capacity(written.len());
    for (written, (filter, axis)) in written.iter().zip(&targets) {
        let mut one = Map::new();
        values::put_written(&mut one, &book, written, echo.then_some((style, *axis)))?;
        one.insert("dataFilter".to_owned(), echoed(filter));
        responses.push(Json::Object(one));
    }
    let mut out = Map::new();
    out.insert("spreadsheetId".to_owned(), book.id.clone().into());
    values::put_totals(&mut out, &written);
    if !responses.is_empty() {
        out.insert("responses".to_owned(), responses.into());
    }
    Ok(call.answer_json(&Json::Object(out)))
}

pub fn batch_clear(store: &Store, call: &Call) -> ApiResult<Answer> {
    let (book, cleared) = values::cleared(store, call, |book| {
        let found = matches(book, &filters(call)?, &project_of(&call.caller))?;
        Ok(found.iter().map(|m| m.area).collect())
    })?;
    let mut out = json!({ "spreadsheetId": book.id });
    if !cleared.is_empty() {
        out["clearedRanges"] = cleared.into();
    }
    Ok(call.answer(&out))
}
