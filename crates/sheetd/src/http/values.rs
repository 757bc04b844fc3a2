//! The values methods that name their ranges in A1.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::answer::Answer;
use super::call::{Call, axis_of};
use crate::change::{Change, Entry, Outcome};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::{Area, Axis};
use crate::model::locale::Locale;
use crate::model::render::{Shown, Style};
use crate::model::values::{self, Written};
use crate::model::workbook::Workbook;
use crate::store::{Author, Store};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueRange {
    pub range: String,
    pub major_dimension: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Vec<Shown>>,
}

pub fn value_range(book: &Workbook, area: &Area, axis: Axis, style: Style) -> ApiResult<ValueRange> {
    let rect = book.within_grid(area)?;
    let sheet = book.grid(area.sheet)?;
    let style = Style { locale: Locale::of(&book.locale), ..style };
    let values = values::read(sheet, &rect, axis, style);
    Ok(ValueRange { range: book.echo(area.sheet, &rect), major_dimension: axis.name(), values })
}

pub fn get(store: &Store, call: &Call) -> ApiResult<Answer> {
    let book = store.book(&call.route.id, &call.caller)?;
    let area = book.resolve(&call.route.rest)?;
    let style = call.style("valueRenderOption", "dateTimeRenderOption");
    Ok(call.answer(&value_range(&book, &area, call.axis(), style)?))
}

/// One bad range fails them all (G-RANGES-7).
pub fn batch_get(store: &Store, call: &Call) -> ApiResult<Answer> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        spreadsheet_id: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        value_ranges: Vec<ValueRange>,
    }
    let book = store.book(&call.route.id, &call.caller)?;
    let style = call.style("valueRenderOption", "dateTimeRenderOption");
    let areas = call.all("ranges").map(|r| book.resolve(r)).collect::<ApiResult<Vec<Area>>>()?;
    let value_ranges = areas.iter().map(|a| value_range(&book, a, call.axis(), style)).collect::<ApiResult<_>>()?;
    Ok(call.answer(&Body { spreadsheet_id: &book.id, value_ranges }))
}

/// `valueInputOption` must be said.
pub fn user_entered(option: Option<&str>) -> ApiResult<bool> {
    match option.map(|o| o.to_ascii_uppercase()).as_deref() {
        Some("RAW" | "1") => Ok(false),
        Some("USER_ENTERED" | "2") => Ok(true),
        _ => Err(ApiError::invalid("'valueInputOption' is required but not specified")),
    }
}

/// `range`, `majorDimension` and `values` of a `ValueRange`; a range said twice must be the same.
fn entry(book: &Workbook, range: &str, body: &Json) -> ApiResult<Entry> {
    let axis = axis_of(body.get("majorDimension").and_then(Json::as_str));
    let values = body.get("values").and_then(Json::as_array).cloned().unwrap_or_default();
    Ok(Entry { area: book.resolve(range)?, axis, values })
}

fn check_same_range(book: &Workbook, path: &str, body: &Json) -> ApiResult<()> {
    let Some(inner) = body.get("range").and_then(Json::as_str).filter(|r| !r.is_empty()) else {
        return Ok(());
    };
    if book.resolve(inner)? != book.resolve(path)? {
        return Err(ApiError::invalid(format!(
            "Requested writing within range [{path}], but the body's range is [{inner}]"
        )));
    }
    Ok(())
}

pub fn update(store: &Store, call: &Call) -> ApiResult<Answer> {
    let user_entered = user_entered(call.last("valueInputOption"))?;
    let (book, written) = write(store, call, |book| {
        check_same_range(book, &call.route.rest, &call.body)?;
        let entries = vec![entry(book, &call.route.rest, &call.body)?];
        Ok(Change::Write { entries, user_entered, clear_nulls: false, prefix: String::new() })
    })?;
    let axis = call.body_axis();
    let echo = call.flag("includeValuesInResponse").then(|| (response_style(call), axis));
    Ok(call.answer(&update_answer(&book, &written[0], echo)?))
}

pub fn write(
    store: &Store,
    call: &Call,
    plan: impl FnOnce(&Workbook) -> ApiResult<Change>,
) -> ApiResult<(Arc<Workbook>, Vec<Written>)> {
    let (book, outcome) = store.change(&call.route.id, Author::api(&call.caller), plan)?;
    let Outcome::Written(written) = outcome else { unreachable!("a write answers what was written") };
    Ok((book, written))
}

pub fn response_style(call: &Call) -> Style {
    call.style("responseValueRenderOption", "responseDateTimeRenderOption")
}

/// `UpdateValuesResponse`; counts that are 0 are left out (G-STANDIN-2).
pub fn update_answer(book: &Workbook, written: &Written, echo: Option<(Style, Axis)>) -> ApiResult<Json> {
    let mut out = Map::new();
    out.insert("spreadsheetId".to_owned(), book.id.clone().into());
    put_written(&mut out, book, written, echo)?;
    Ok(Json::Object(out))
}

pub fn put_written(
    out: &mut Map<String, Json>,
    book: &Workbook,
    written: &Written,
    echo: Option<(Style, Axis)>,
) -> ApiResult<()> {
    let mut range = written.rect;
    // Nothing written still names the cell that it began at.
    (range.r1, range.c1) = (range.r1.max(range.r0 + 1), range.c1.max(range.c0 + 1));
    out.insert("updatedRange".to_owned(), book.echo(written.sheet, &range).into());
    for (name, count) in
        [("updatedRows", written.rows), ("updatedColumns", written.columns), ("updatedCells", written.cells)]
    {
        if count > 0 {
            out.insert(name.to_owned(), count.into());
        }
    }
    if let Some((style, axis)) = echo {
        let area = Area { sheet: written.sheet, bounds: range.bounds() };
        out.insert("updatedData".to_owned(), crate::store::json(&value_range(book, &area, axis, style)?));
    }
    Ok(())
}

pub fn append(store: &Store, call: &Call) -> ApiResult<Answer> {
    let user_entered = user_entered(call.last("valueInputOption"))?;
    let insert_rows = call.last("insertDataOption").is_some_and(|o| o.eq_ignore_ascii_case("INSERT_ROWS") || o == "1");
    let (book, outcome) = store.change(&call.route.id, Author::api(&call.caller), |book| {
        check_same_range(book, &call.route.rest, &call.body)?;
        let Entry { area, axis, values } = entry(book, &call.route.rest, &call.body)?;
        Ok(Change::Append { area, axis, values, user_entered, insert_rows })
    })?;
    let Outcome::Appended { table, written } = outcome else { unreachable!("an append answers where it landed") };
    let echo = call.flag("includeValuesInResponse").then(|| (response_style(call), call.body_axis()));
    let mut out = Map::new();
    out.insert("spreadsheetId".to_owned(), book.id.clone().into());
    if let Some(table) = table {
        out.insert("tableRange".to_owned(), book.echo(written.sheet, &table).into());
    }
    out.insert("updates".to_owned(), update_answer(&book, &written, echo)?);
    Ok(call.answer(&out))
}

pub fn clear(store: &Store, call: &Call) -> ApiResult<Answer> {
    let (book, cleared) = cleared(store, call, |book| Ok(vec![book.resolve(&call.route.rest)?]))?;
    Ok(call.answer(&json!({ "spreadsheetId": book.id, "clearedRange": cleared[0] })))
}

pub fn batch_clear(store: &Store, call: &Call) -> ApiResult<Answer> {
    let ranges = call.body.get("ranges").and_then(Json::as_array);
    let (book, cleared) = cleared(store, call, |book| {
        ranges.into_iter().flatten().filter_map(Json::as_str).map(|r| book.resolve(r)).collect()
    })?;
    Ok(call.answer(&json!({ "spreadsheetId": book.id, "clearedRanges": cleared })))
}

pub fn cleared(
    store: &Store,
    call: &Call,
    areas: impl FnOnce(&Workbook) -> ApiResult<Vec<Area>>,
) -> ApiResult<(Arc<Workbook>, Vec<String>)> {
    let plan = |book: &Workbook| Ok(Change::Clear { areas: areas(book)? });
    let (book, outcome) = store.change(&call.route.id, Author::api(&call.caller), plan)?;
    let Outcome::Cleared(rects) = outcome else { unreachable!("a clear answers what was cleared") };
    let echoes = rects.iter().map(|(sheet, rect)| book.echo(*sheet, rect)).collect();
    Ok((book, echoes))
}

pub fn batch_update(store: &Store, call: &Call) -> ApiResult<Answer> {
    let user_entered = user_entered(call.body.get("valueInputOption").and_then(Json::as_str))?;
    let data = call.body.get("data").and_then(Json::as_array).cloned().unwrap_or_default();
    let (book, written) = write(store, call, |book| {
        let mut entries = Vec::with_capacity(data.len());
        for (i, body) in data.iter().enumerate() {
            let range = body.get("range").and_then(Json::as_str).unwrap_or_default();
            entries.push(entry(book, range, body).map_err(|e| e.within(&format!("data[{i}]")))?);
        }
        Ok(Change::Write { entries, user_entered, clear_nulls: false, prefix: "data".to_owned() })
    })?;
    let axes = data.iter().map(|d| axis_of(d.get("majorDimension").and_then(Json::as_str)));
    let echo = call.body.get("includeValuesInResponse").and_then(Json::as_bool) == Some(true);
    let style = response_style(call);
    let mut responses = Vec::with_capacity(written.len());
    for (written, axis) in written.iter().zip(axes) {
        responses.push(update_answer(&book, written, echo.then_some((style, axis)))?);
    }
    let mut out = Map::new();
    out.insert("spreadsheetId".to_owned(), book.id.clone().into());
    put_totals(&mut out, &written);
    out.insert("responses".to_owned(), responses.into());
    Ok(call.answer(&out))
}

/// Totals count each row, column and sheet once (recorded: two rows of the same four columns are 2,
/// 4, 8, 1).
pub fn put_totals(out: &mut Map<String, Json>, written: &[Written]) {
    let distinct = |pick: &dyn Fn(&Written) -> std::ops::Range<u32>| {
        let mut lines: Vec<(i64, u32)> =
            written.iter().filter(|w| w.cells > 0).flat_map(|w| pick(w).map(|l| (w.sheet, l))).collect();
        lines.sort_unstable();
        lines.dedup();
        lines.len() as u64
    };
    let mut sheets: Vec<i64> = written.iter().filter(|w| w.cells > 0).map(|w| w.sheet).collect();
    sheets.sort_unstable();
    sheets.dedup();
    for (name, count) in [
        ("totalUpdatedRows", distinct(&|w| w.rect.r0..w.rect.r1)),
        ("totalUpdatedColumns", distinct(&|w| w.rect.c0..w.rect.c1)),
        ("totalUpdatedCells", written.iter().map(|w| u64::from(w.cells)).sum()),
        ("totalUpdatedSheets", sheets.len() as u64),
    ] {
        if count > 0 {
            out.insert(name.to_owned(), count.into());
        }
    }
}
