//! The spreadsheet as `spreadsheets.get` shows it (G-RANGES-8).

use serde_json::{Map, Value as Json, json};

use super::area::{Area, Axis, Rect};
use super::cell::{Cell, extended_computed, extended_entered};
use super::formats;
use super::locale::Locale;
use super::mask::Mask;
use super::metadata::Location;
use super::render;
use super::sheet::{Group, Object, ObjectKind, Props, Sheet};
use super::workbook::Workbook;
use crate::errors::ApiResult;

/// What of a spreadsheet to show.
pub struct Request<'a> {
    /// The areas asked for, in the order asked; none is everything.
    pub areas: Vec<Area>,
    pub grid_data: bool,
    pub mask: &'a Mask,
    pub project: &'a str,
    pub caller: &'a str,
}

impl Request<'_> {
    /// A mask decides alone: only one that names `sheets` whole or `sheets.data` builds the grid
    /// (G-JSON-2).
    pub fn wants_grid(include: bool, fields: Option<&Mask>) -> bool {
        fields.map_or(include, |mask| mask.names(&["sheets", "data"]) || reaches_data(mask))
    }
}

fn reaches_data(mask: &Mask) -> bool {
    matches!(mask, Mask::Members(m) if m.iter().any(|(n, inner)| n == "sheets"
        && matches!(inner, Mask::Members(m) if m.iter().any(|(n, _)| n == "data"))))
}

pub fn spreadsheet(book: &Workbook, request: &Request) -> ApiResult<Json> {
    let mut out = Map::new();
    let wants = |name: &str| request.mask.covers(name);
    if wants("spreadsheetId") {
        out.insert("spreadsheetId".to_owned(), book.id.clone().into());
    }
    if wants("properties") {
        out.insert("properties".to_owned(), properties(book));
    }
    if let Some(mask) = request.mask.member("sheets") {
        let mut shown = Vec::new();
        for (index, sheet) in book.sheets.iter().enumerate() {
            let areas: Vec<&Area> = request.areas.iter().filter(|a| a.sheet == sheet.id).collect();
            if request.areas.is_empty() || !areas.is_empty() {
                shown.push(sheet_json(book, sheet, index, &areas, request, mask)?);
            }
        }
        out.insert("sheets".to_owned(), shown.into());
    }
    if wants("namedRanges") && !book.names.is_empty() {
        let names = book.names.iter().map(|n| json!({ "namedRangeId": n.id, "name": n.name, "range": n.range.json() }));
        out.insert("namedRanges".to_owned(), names.collect());
    }
    if wants("spreadsheetUrl") {
        let url = format!("https://docs.google.com/spreadsheets/d/{}/edit", book.id);
        out.insert("spreadsheetUrl".to_owned(), url.into());
    }
    if wants("developerMetadata") {
        put_metadata(&mut out, book, Location::Spreadsheet, request.project);
    }
    Ok(Json::Object(out))
}

fn put_metadata(out: &mut Map<String, Json>, book: &Workbook, location: Location, project: &str) {
    let entries: Vec<Json> = book
        .metadata
        .values()
        .filter(|m| m.location == location && m.shown_to(project))
        .map(super::metadata::Metadata::json)
        .collect();
    if !entries.is_empty() {
        out.insert("developerMetadata".to_owned(), entries.into());
    }
}

pub fn properties(book: &Workbook) -> Json {
    let mut out = json!({
        "title": book.title, "locale": book.locale, "autoRecalc": book.auto_recalc, "timeZone": book.time_zone,
        "defaultFormat": formats::default_format(), "spreadsheetTheme": formats::default_theme()
    });
    for (name, value) in &book.more {
        out[name] = value.clone();
    }
    out
}

/// `SheetProperties`; sheetId and index are always shown, even when 0 (G-JSON-1).
pub fn sheet_properties(sheet: &Sheet, index: usize) -> Json {
    let mut grid = json!({ "rowCount": sheet.row_count(), "columnCount": sheet.column_count() });
    for (name, count) in [("frozenRowCount", sheet.frozen_rows), ("frozenColumnCount", sheet.frozen_columns)] {
        if count > 0 {
            grid[name] = count.into();
        }
    }
    for (name, set) in [
        ("hideGridlines", sheet.hide_gridlines),
        ("rowGroupControlAfter", sheet.row_group_after),
        ("columnGroupControlAfter", sheet.column_group_after),
    ] {
        if set {
            grid[name] = true.into();
        }
    }
    let mut out = json!({ "sheetId": sheet.id, "title": sheet.title, "index": index, "sheetType": "GRID", "gridProperties": grid });
    if sheet.hidden {
        out["hidden"] = true.into();
    }
    if let Some(style) = &sheet.tab_color {
        if let Some(rgb) = style.get("rgbColor") {
            out["tabColor"] = rgb.clone();
        }
        out["tabColorStyle"] = style.clone();
    }
    if sheet.right_to_left {
        out["rightToLeft"] = true.into();
    }
    out
}

fn sheet_json(
    book: &Workbook,
    sheet: &Sheet,
    index: usize,
    areas: &[&Area],
    request: &Request,
    mask: &Mask,
) -> ApiResult<Json> {
    let mut out = Map::new();
    let wants = |name: &str| mask.covers(name);
    if wants("properties") {
        out.insert("properties".to_owned(), sheet_properties(sheet, index));
    }
    if let (true, Some(mask)) = (request.grid_data, mask.member("data")) {
        let whole = Area { sheet: sheet.id, bounds: Default::default() };
        let asked: Vec<&Area> = if areas.is_empty() { vec![&whole] } else { areas.to_vec() };
        let mut blocks = Vec::new();
        for area in asked {
            blocks.push(block(book, sheet, &book.within_grid(area)?, request, mask));
        }
        out.insert("data".to_owned(), blocks.into());
    }
    if wants("merges") {
        let rects = areas.iter().map(|a| a.bounds.clamp(sheet.row_count(), sheet.column_count())).collect::<Vec<_>>();
        let touched = |m: &&Rect| rects.is_empty() || rects.iter().any(|r| r.intersects(m));
        let merges: Vec<Json> =
            sheet.merges.iter().filter(touched).map(|m| Area { sheet: sheet.id, bounds: m.bounds() }.json()).collect();
        put(&mut out, "merges", merges);
    }
    for (name, kind) in [
        ("conditionalFormats", ObjectKind::ConditionalFormat),
        ("filterViews", ObjectKind::FilterView),
        ("protectedRanges", ObjectKind::Protected),
        ("basicFilter", ObjectKind::BasicFilter),
        ("bandedRanges", ObjectKind::Banding),
        ("tables", ObjectKind::Table),
    ] {
        if wants(name) {
            let objects: Vec<Json> = sheet.objects_of(kind).map(|o| object(book, sheet, o, request.caller)).collect();
            if kind == ObjectKind::BasicFilter {
                objects.into_iter().next().into_iter().for_each(|o| drop(out.insert(name.to_owned(), o)));
            } else {
                put(&mut out, name, objects);
            }
        }
    }
    if wants("developerMetadata") {
        put_metadata(&mut out, book, Location::Sheet(sheet.id), request.project);
    }
    for (name, axis) in [("rowGroups", Axis::Rows), ("columnGroups", Axis::Columns)] {
        if wants(name) {
            put(&mut out, name, sheet.groups(axis).iter().map(|g| group(sheet.id, axis, g)).collect());
        }
    }
    Ok(Json::Object(out))
}

fn put(out: &mut Map<String, Json>, name: &str, items: Vec<Json>) {
    if !items.is_empty() {
        out.insert(name.to_owned(), items.into());
    }
}

/// An object with its ranges back in their places.
pub fn object(book: &Workbook, sheet: &Sheet, object: &Object, caller: &str) -> Json {
    let area = |b: &super::area::Bounds| {
        let bounds = if object.kind == ObjectKind::BasicFilter || object.kind == ObjectKind::Table {
            b.clamp(sheet.row_count(), sheet.column_count()).bounds()
        } else {
            *b
        };
        Area { sheet: sheet.id, bounds }.json()
    };
    let mut out = Map::new();
    if let Some(name) = object.kind.id_member() {
        out.insert(name.to_owned(), object.id.clone());
    }
    match object.kind {
        ObjectKind::ConditionalFormat => {
            out.insert("ranges".to_owned(), object.ranges.iter().map(area).collect());
        }
        _ => {
            if let Some(range) = object.ranges.first() {
                out.insert("range".to_owned(), area(range));
            }
        }
    }
    out.extend(object.body.clone());
    if object.kind == ObjectKind::Protected {
        super::protection::complete(book, &mut out, caller);
    }
    Json::Object(out)
}

impl ObjectKind {
    pub fn id_member(self) -> Option<&'static str> {
        match self {
            Self::FilterView => Some("filterViewId"),
            Self::Protected => Some("protectedRangeId"),
            Self::Table => Some("tableId"),
            Self::Banding => Some("bandedRangeId"),
            Self::BasicFilter | Self::ConditionalFormat => None,
        }
    }
}

pub fn group(sheet: i64, axis: Axis, group: &Group) -> Json {
    let mut range = Map::new();
    if sheet != 0 {
        range.insert("sheetId".to_owned(), sheet.into());
    }
    range.insert("dimension".to_owned(), axis.name().into());
    range.insert("startIndex".to_owned(), group.start.into());
    range.insert("endIndex".to_owned(), group.end.into());
    let mut out = json!({ "range": range, "depth": group.depth });
    if group.collapsed {
        out["collapsed"] = true.into();
    }
    out
}

/// `GridData`: rows end at the last one with content, rows at their last cell; the metadata covers
/// the whole range asked.
fn block(book: &Workbook, sheet: &Sheet, rect: &Rect, request: &Request, mask: &Mask) -> Json {
    let mut out = Map::new();
    if rect.r0 > 0 && mask.covers("startRow") {
        out.insert("startRow".to_owned(), rect.r0.into());
    }
    if rect.c0 > 0 && mask.covers("startColumn") {
        out.insert("startColumn".to_owned(), rect.c0.into());
    }
    if let Some(mask) = mask.member("rowData") {
        let rows = row_data(sheet, rect, mask, &Locale::of(&book.locale));
        put(&mut out, "rowData", rows);
    }
    for (name, axis, range) in
        [("rowMetadata", Axis::Rows, rect.r0..rect.r1), ("columnMetadata", Axis::Columns, rect.c0..rect.c1)]
    {
        if mask.covers(name) {
            let mut lines: Vec<Json> =
                range.clone().map(|i| dimension_properties(axis, sheet.props(axis, i))).collect();
            for entry in book.metadata.values().filter(|m| m.shown_to(request.project)) {
                if let Location::Line { sheet: s, axis: a, index } = entry.location
                    && s == sheet.id
                    && a == axis
                    && range.contains(&index)
                    && let Json::Object(line) = &mut lines[(index - range.start) as usize]
                    && let Json::Array(list) = line.entry("developerMetadata").or_insert_with(|| json!([]))
                {
                    list.push(entry.json());
                }
            }
            put(&mut out, name, lines);
        }
    }
    Json::Object(out)
}

fn dimension_properties(axis: Axis, props: Props) -> Json {
    let default = if axis == Axis::Rows { 21 } else { 100 };
    let mut out = Map::new();
    if props.hidden_by_filter {
        out.insert("hiddenByFilter".to_owned(), true.into());
    }
    if props.hidden_by_user {
        out.insert("hiddenByUser".to_owned(), true.into());
    }
    out.insert("pixelSize".to_owned(), props.pixels.unwrap_or(default).into());
    Json::Object(out)
}

/// Rows and cells end where the sheet's content does; a mask empties cells but does not shorten
/// lists.
fn row_data(sheet: &Sheet, rect: &Rect, mask: &Mask, locale: &Locale) -> Vec<Json> {
    let shown = mask.member("values");
    let row = |r: u32| {
        let cells = sheet.row(r).map(|row| &row.cells[..]).unwrap_or_default();
        let cells = cells.get(rect.c0 as usize..cells.len().min(rect.c1 as usize)).unwrap_or_default();
        &cells[..cells.iter().rposition(|c| !c.is_bare()).map_or(0, |at| at + 1)]
    };
    let end = (rect.r0..rect.r1).rev().find(|r| !row(*r).is_empty()).map_or(rect.r0, |r| r + 1);
    (rect.r0..end)
        .map(|r| match (row(r), shown) {
            ([], _) | (_, None) => json!({}),
            (cells, Some(mask)) => {
                let values: Json = cells.iter().map(|c| cell(c, mask, locale)).collect();
                Json::Object(Map::from_iter([("values".to_owned(), values)]))
            }
        })
        .collect()
}

/// `CellData`, without what the mask leaves out.
pub fn cell(cell: &Cell, mask: &Mask, locale: &Locale) -> Json {
    let mut out = Map::new();
    if cell.is_bare() {
        return Json::Object(out);
    }
    let mut put = |name: &str, value: &dyn Fn() -> Option<Json>| {
        if let Some(mask) = mask.member(name)
            && let Some(value) = value()
        {
            out.insert(name.to_owned(), mask.keep(value));
        }
    };
    put("userEnteredValue", &|| extended_entered(&cell.entered));
    let computed = cell.computed();
    put("effectiveValue", &|| extended_computed(&computed));
    put("formattedValue", &|| (!cell.is_blank()).then(|| render::formatted_in(cell, locale).into()));
    put("userEnteredFormat", &|| cell.format.as_deref().cloned());
    put("effectiveFormat", &|| Some(effective_format(cell, &computed)));
    for name in super::cell::EXTRA_MEMBERS {
        put(name, &|| cell.extra.as_ref()?.get(name).cloned());
    }
    put("hyperlink", &|| hyperlink(cell));
    Json::Object(out)
}

fn effective_format(cell: &Cell, computed: &super::cell::Computed) -> Json {
    let mut out = formats::default_format();
    if let Json::Object(members) = &mut out {
        members.insert("hyperlinkDisplayType".to_owned(), "PLAIN_TEXT".into());
        let align = match computed {
            super::cell::Computed::Number(_) => "RIGHT",
            super::cell::Computed::Bool(_) => "CENTER",
            _ => "LEFT",
        };
        members.insert("horizontalAlignment".to_owned(), align.into());
        for (name, value) in cell.format.as_deref().and_then(Json::as_object).into_iter().flatten() {
            match (members.get_mut(name), value) {
                (Some(Json::Object(inner)), Json::Object(given)) if name == "textFormat" => inner.extend(given.clone()),
                _ => {
                    members.insert(name.clone(), value.clone());
                }
            }
        }
    }
    out
}

/// `=HYPERLINK("url", ...)` and a link over the whole text show as `hyperlink`.
fn hyperlink(cell: &Cell) -> Option<Json> {
    if let Some(uri) = cell.format.as_ref().and_then(|f| f.pointer("/textFormat/link/uri")) {
        return Some(uri.clone());
    }
    let formula = cell.formula()?;
    let inner = formula.to_ascii_uppercase().starts_with("=HYPERLINK(\"").then(|| &formula[12..])?;
    inner.split('"').next().map(Json::from)
}
