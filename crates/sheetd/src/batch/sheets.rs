//! Tabs and the spreadsheet's own properties.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::{Context, fields};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::Axis;
use crate::model::formats;
use crate::model::metadata::Location;
use crate::model::sheet::Sheet;
use crate::model::structure::Shift;
use crate::model::view;
use crate::model::workbook::Workbook;

pub fn add(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let properties = body.get("properties").cloned().unwrap_or_else(|| json!({}));
    let sheet = make(book, &properties, context)?;
    let index = properties.get("index").and_then(Json::as_u64).map_or(book.sheets.len(), |i| i as usize);
    if index > book.sheets.len() {
        return Err(texts::index_too_large(index, book.sheets.len()));
    }
    let shown = view::sheet_properties(&sheet, index);
    book.sheets.insert(index, Arc::new(sheet));
    book.check_size()?;
    Ok(json!({ "properties": shown }))
}

/// A tab from `SheetProperties`, checked against the tabs that are there.
pub fn make(book: &Workbook, properties: &Json, context: &mut Context) -> ApiResult<Sheet> {
    if properties.get("sheetType").and_then(Json::as_str).is_some_and(|t| t != "GRID" && t != "SHEET_TYPE_UNSPECIFIED")
    {
        return Err(texts::only_grids());
    }
    let id = match properties.get("sheetId").and_then(Json::as_i64) {
        Some(id) if id < 0 => return Err(texts::negative_id()),
        Some(id) if book.sheet(id).is_some() => return Err(texts::id_exists(id)),
        Some(id) => id,
        None => loop {
            let id = context.fresh_id();
            if book.sheet(id).is_none() {
                break id;
            }
        },
    };
    let title = match properties.get("title").and_then(Json::as_str).filter(|t| !t.is_empty()) {
        Some(title) if book.titled(title).is_some() => return Err(texts::title_exists(title)),
        Some(title) => title.to_owned(),
        None => free_title(book),
    };
    let grid = &properties["gridProperties"];
    let size = |name: &str, default: u64| match grid.get(name).and_then(Json::as_i64) {
        Some(n) if n < 1 => Err(texts::too_few(name)),
        Some(n) => Ok(n as u64),
        None => Ok(default),
    };
    let (rows, columns) = (size("rowCount", 1000)?, size("columnCount", 26)?);
    if columns > u64::from(crate::model::a1::MAX_COLUMNS) || rows * columns > crate::model::workbook::MAX_CELLS {
        let mut probe = book.clone();
        probe.sheets.push(Arc::new(Sheet::new(id, "", rows.min(10_000_001) as u32, columns.min(20_000) as u32)));
        probe.check_size()?;
    }
    let mut sheet = Sheet::new(id, title, rows as u32, columns as u32);
    let given = properties.as_object().cloned().unwrap_or_default();
    set_properties(&mut sheet, &given)?;
    Ok(sheet)
}

/// "Sheet2" where the second tab has no title, or the next number that is free.
fn free_title(book: &Workbook) -> String {
    (book.sheets.len() + 1..).map(|n| format!("Sheet{n}")).find(|t| book.titled(t).is_none()).expect("endless")
}

pub fn delete(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let id = body.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
    let at = book.position(id).ok_or_else(|| texts::no_sheet(id))?;
    if book.sheets.iter().enumerate().all(|(i, s)| i == at || s.hidden) {
        return Err(texts::last_sheet());
    }
    book.sheets.remove(at);
    book.names.retain(|n| n.range.sheet != id);
    book.metadata.remove_sheet(id);
    Ok(())
}

pub fn duplicate(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let source = body.get("sourceSheetId").and_then(Json::as_i64).unwrap_or(0);
    let mut copy = book.sheet(source).ok_or_else(|| texts::no_sheet(source))?.clone();
    copy.id = match body.get("newSheetId").and_then(Json::as_i64) {
        Some(id) if book.sheet(id).is_some() => return Err(texts::id_exists(id)),
        Some(id) => id,
        None => context.fresh_id(),
    };
    copy.title = match body.get("newSheetName").and_then(Json::as_str) {
        Some(title) if book.titled(title).is_some() => return Err(texts::title_exists(title)),
        Some(title) => title.to_owned(),
        None => copy_title(book, &copy.title),
    };
    copy.hidden = false;
    renew_object_ids(&mut copy, context);
    let index = body.get("insertSheetIndex").and_then(Json::as_u64).unwrap_or(0) as usize;
    if index > book.sheets.len() {
        return Err(texts::index_too_large(index, book.sheets.len()));
    }
    let shown = view::sheet_properties(&copy, index);
    copy_metadata(book, source, copy.id, context);
    book.sheets.insert(index, Arc::new(copy));
    book.check_size()?;
    Ok(json!({ "properties": shown }))
}

/// Objects of a copied tab are new objects.
pub fn renew_object_ids(sheet: &mut Sheet, context: &mut Context) {
    for object in &mut sheet.objects {
        match &object.id {
            Json::Number(_) => object.id = context.fresh_id().into(),
            Json::String(_) => object.id = context.fresh_id().to_string().into(),
            _ => {}
        }
    }
}

pub fn copy_title(book: &Workbook, title: &str) -> String {
    let first = format!("Copy of {title}");
    if book.titled(&first).is_none() {
        return first;
    }
    (2..).map(|n| format!("{first} {n}")).find(|t| book.titled(t).is_none()).expect("endless")
}

fn copy_metadata(book: &mut Workbook, source: i64, copy: i64, context: &mut Context) {
    let copies: Vec<_> = book.metadata.values().filter(|m| m.location.sheet() == Some(source)).cloned().collect();
    for mut entry in copies {
        entry.id = context.fresh_id();
        entry.location = match entry.location {
            Location::Line { axis, index, .. } => Location::Line { sheet: copy, axis, index },
            _ => Location::Sheet(copy),
        };
        book.metadata.insert(entry);
    }
}

pub fn update(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let given = body.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
    let mask = fields(body, "SheetProperties")?;
    let id = given.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
    let at = book.position(id).ok_or_else(|| texts::no_sheet(id))?;
    let mut target = view::sheet_properties(&book.sheets[at], at).as_object().cloned().unwrap_or_default();
    if mask.covers("tabColor") || mask.covers("tabColorStyle") {
        target.shift_remove("tabColor");
        target.shift_remove("tabColorStyle");
    }
    if mask.is_all() {
        // Everything is set; a grid that is not given keeps its size.
        let kept = target.get("gridProperties").cloned();
        mask.merge(&mut target, &given);
        target.entry("gridProperties").or_insert_with(|| kept.unwrap_or_default());
        target.entry("index").or_insert_with(|| at.into());
    } else {
        mask.merge(&mut target, &given);
    }
    let title = target.get("title").and_then(Json::as_str).unwrap_or_default().to_owned();
    if title.is_empty() {
        return Err(texts::no_title());
    }
    if book.titled(&title).is_some_and(|s| s.id != id) {
        return Err(texts::title_exists(&title));
    }
    if target.get("hidden").and_then(Json::as_bool) == Some(true)
        && book.sheets.iter().enumerate().all(|(i, s)| i == at || s.hidden)
    {
        return Err(texts::all_hidden());
    }
    resize(book, id, &target)?;
    let old = std::mem::replace(&mut book.grid_mut(id)?.title, title.clone());
    if old != title {
        book.rewrite_formulas(|_, text| crate::model::references::renamed(text, &old, &title));
    }
    set_properties(book.grid_mut(id)?, &target)?;
    book.check_size()?;
    let index = target.get("index").and_then(Json::as_i64).unwrap_or(0);
    move_sheet(book, at, index)
}

/// The new index is read against the order before the move (G-STANDIN-10).
fn move_sheet(book: &mut Workbook, at: usize, index: i64) -> ApiResult<()> {
    if index < 0 || index as usize > book.sheets.len() {
        return Err(texts::index_too_large(index.max(0) as usize, book.sheets.len()));
    }
    let to = index as usize;
    if to != at {
        let sheet = book.sheets.remove(at);
        book.sheets.insert(if to > at { to - 1 } else { to }, sheet);
    }
    Ok(())
}

fn resize(book: &mut Workbook, id: i64, properties: &Map<String, Json>) -> ApiResult<()> {
    let grid = properties.get("gridProperties").cloned().unwrap_or_default();
    for (axis, name) in [(Axis::Rows, "rowCount"), (Axis::Columns, "columnCount")] {
        let Some(wanted) = grid.get(name).and_then(Json::as_i64) else {
            continue;
        };
        if wanted < 1 {
            return Err(texts::too_few(name));
        }
        let sheet = book.grid(id)?;
        let size = i64::from(sheet.size(axis));
        if wanted < size && wanted <= i64::from(sheet.frozen(axis)) {
            return Err(super::dimensions::texts::all_non_frozen(axis));
        }
        if wanted > size {
            let other = i64::from(if axis == Axis::Rows { sheet.column_count() } else { sheet.row_count() });
            super::dimensions::check_growth(book, id, axis, (wanted - size) as u64, other as u64)?;
            book.shift(id, axis, Shift::Insert { at: size as u32, count: (wanted - size) as u32 });
        } else if wanted < size {
            book.shift(id, axis, Shift::Delete { start: wanted as u32, end: size as u32 });
        }
    }
    Ok(())
}

/// Members other than id, title, index and size.
fn set_properties(sheet: &mut Sheet, given: &Map<String, Json>) -> ApiResult<()> {
    let flag = |map: &Json, name: &str| map.get(name).and_then(Json::as_bool).unwrap_or(false);
    let whole = Json::Object(given.clone());
    sheet.hidden = flag(&whole, "hidden");
    sheet.right_to_left = flag(&whole, "rightToLeft");
    sheet.tab_color = match (given.get("tabColorStyle"), given.get("tabColor")) {
        (Some(style), _) if style.get("rgbColor").is_some() => {
            Some(json!({ "rgbColor": formats::narrow(&style["rgbColor"]) }))
        }
        // A style that names no colour takes the colour away.
        (Some(style), _) => style.get("themeColor").map(|_| style.clone()),
        (None, Some(color)) => Some(json!({ "rgbColor": formats::narrow(color) })),
        (None, None) => None,
    };
    let Some(grid) = given.get("gridProperties") else {
        return Ok(());
    };
    let count = |name: &str| grid.get(name).and_then(Json::as_i64).unwrap_or(0).max(0) as u32;
    let (rows, columns) = (count("frozenRowCount"), count("frozenColumnCount"));
    if rows >= sheet.row_count() && rows > 0 {
        return Err(texts::freeze_all("rows"));
    }
    if columns >= sheet.column_count() && columns > 0 {
        return Err(texts::freeze_all("columns"));
    }
    (sheet.frozen_rows, sheet.frozen_columns) = (rows, columns);
    sheet.hide_gridlines = flag(grid, "hideGridlines");
    sheet.row_group_after = flag(grid, "rowGroupControlAfter");
    sheet.column_group_after = flag(grid, "columnGroupControlAfter");
    Ok(())
}

pub fn update_spreadsheet(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let given = body.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
    let mask = fields(body, "SpreadsheetProperties")?;
    set_spreadsheet(book, &given, &mask)
}

pub fn set_spreadsheet(
    book: &mut Workbook,
    given: &Map<String, Json>,
    mask: &crate::model::mask::Mask,
) -> ApiResult<()> {
    let text = |name: &str| given.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    if mask.covers("title") && (!mask.is_all() || given.contains_key("title")) {
        book.title = text("title");
        if book.title.is_empty() {
            return Err(texts::no_spreadsheet_title());
        }
    }
    if mask.covers("locale") && (!mask.is_all() || given.contains_key("locale")) {
        let locale = text("locale");
        if !valid_locale(&locale) {
            return Err(texts::locale(&locale));
        }
        book.locale = locale;
    }
    if mask.covers("timeZone") && (!mask.is_all() || given.contains_key("timeZone")) {
        let zone = text("timeZone");
        if zone.is_empty() {
            return Err(texts::time_zone(&zone));
        }
        book.time_zone = zone;
    }
    if mask.covers("autoRecalc") && (!mask.is_all() || given.contains_key("autoRecalc")) {
        book.auto_recalc = given.get("autoRecalc").and_then(Json::as_str).unwrap_or("ON_CHANGE").to_owned();
    }
    for name in
        ["iterativeCalculationSettings", "importFunctionsExternalUrlAccessAllowed", "defaultFormat", "spreadsheetTheme"]
    {
        if mask.covers(name) {
            match given.get(name) {
                Some(value) => drop(book.more.insert(name.to_owned(), value.clone())),
                None => drop(book.more.shift_remove(name)),
            }
        }
    }
    Ok(())
}

fn valid_locale(locale: &str) -> bool {
    let (language, country) = locale.split_once('_').unwrap_or((locale, ""));
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && country.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

pub mod texts {
    use super::ApiError;

    pub fn no_sheet(id: i64) -> ApiError {
        ApiError::invalid(format!("No sheet with id: {id}"))
    }

    pub fn id_exists(id: i64) -> ApiError {
        ApiError::invalid(format!("Sheet with id {id} already exists"))
    }

    pub fn negative_id() -> ApiError {
        ApiError::invalid("sheetId must be non-negative.")
    }

    pub fn title_exists(title: &str) -> ApiError {
        ApiError::invalid(format!("A sheet with the name \"{title}\" already exists. Please enter another name."))
    }

    pub fn no_title() -> ApiError {
        ApiError::invalid("You can't leave the sheet name blank.")
    }

    pub fn no_spreadsheet_title() -> ApiError {
        ApiError::invalid("You can't leave the spreadsheet title blank.")
    }

    pub fn index_too_large(index: usize, count: usize) -> ApiError {
        ApiError::invalid(format!("Sheet index {index} is too large: the spreadsheet has {count} sheets."))
    }

    pub fn last_sheet() -> ApiError {
        ApiError::invalid("You can't remove all the visible sheets in a document.")
    }

    pub fn all_hidden() -> ApiError {
        ApiError::invalid("You can't hide all the sheets in a document.")
    }

    pub fn only_grids() -> ApiError {
        ApiError::invalid("Only GRID sheets can be added.")
    }

    pub fn too_few(name: &str) -> ApiError {
        ApiError::invalid(format!("gridProperties.{name} must be greater than 0"))
    }

    pub fn freeze_all(what: &str) -> ApiError {
        ApiError::invalid(format!("You can't freeze all visible {what} on the sheet."))
    }

    pub fn locale(locale: &str) -> ApiError {
        ApiError::invalid(format!("Unsupported locale: {locale}"))
    }

    pub fn time_zone(zone: &str) -> ApiError {
        ApiError::invalid(format!("Invalid time zone: {zone}"))
    }
}
