//! What lies over ranges: filter views, tables, banding, conditional formats.

use serde_json::{Map, Value as Json, json};

use super::ranges::find;
use super::{Context, fields};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::{Area, Bounds};
use crate::model::locale::Locale;
use crate::model::render;
use crate::model::sheet::{Object, ObjectKind};
use crate::model::view;
use crate::model::workbook::Workbook;

/// How requests and replies name one kind of object.
pub struct Names {
    kind: ObjectKind,
    /// The member of the request that holds it.
    member: &'static str,
    schema: &'static str,
    id: &'static str,
    text_id: bool,
    /// How refusals call it.
    called: &'static str,
}

pub const FILTER_VIEW: Names = Names {
    kind: ObjectKind::FilterView,
    member: "filter",
    schema: "FilterView",
    id: "filterViewId",
    text_id: false,
    called: "filter view",
};

pub const TABLE: Names =
    Names { kind: ObjectKind::Table, member: "table", schema: "Table", id: "tableId", text_id: true, called: "table" };

pub const BANDING: Names = Names {
    kind: ObjectKind::Banding,
    member: "bandedRange",
    schema: "BandedRange",
    id: "bandedRangeId",
    text_id: false,
    called: "banded range",
};

pub fn add(book: &mut Workbook, body: &Json, context: &mut Context, names: &Names) -> ApiResult<Json> {
    let mut members = body.get(names.member).and_then(Json::as_object).cloned().unwrap_or_default();
    let range = book.grid_range(&members.shift_remove("range").unwrap_or_default())?;
    let id = match members.shift_remove(names.id) {
        Some(id) if find(book, names.kind, &id).is_some() => return Err(texts::id_exists(names.called, &id)),
        Some(id) if id.as_str() != Some("") => id,
        _ if names.text_id => context.fresh_id().to_string().into(),
        _ => context.fresh_id().into(),
    };
    if names.kind == ObjectKind::Table {
        check_table(book, &range, members.get("name").and_then(Json::as_str))?;
        complete_columns(book, &range, &mut members)?;
    }
    let object = Object { kind: names.kind, id, ranges: vec![range.bounds], body: members };
    let shown = view::object(book, book.grid(range.sheet)?, &object, &context.caller);
    book.grid_mut(range.sheet)?.objects.push(object);
    Ok(json!({ names.member: shown }))
}

/// Tables neither overlap nor share a name.
fn check_table(book: &Workbook, range: &Area, name: Option<&str>) -> ApiResult<()> {
    let sheet = book.grid(range.sheet)?;
    let rect = |b: &Bounds| b.clamp(sheet.row_count(), sheet.column_count());
    let wanted = rect(&range.bounds);
    if sheet.objects_of(ObjectKind::Table).any(|t| t.ranges.iter().any(|r| rect(r).intersects(&wanted))) {
        return Err(texts::tables_overlap());
    }
    let named = |o: &&Object| o.body.get("name").and_then(Json::as_str) == name;
    match name {
        Some(name) if book.sheets.iter().any(|s| s.objects_of(ObjectKind::Table).any(|o| named(&o))) => {
            Err(texts::table_name(name))
        }
        _ => Ok(()),
    }
}

/// Columns that are not named take the texts of the first row.
fn complete_columns(book: &Workbook, range: &Area, members: &mut Map<String, Json>) -> ApiResult<()> {
    let locale = Locale::of(&book.locale);
    let sheet = book.grid(range.sheet)?;
    let rect = range.bounds.clamp(sheet.row_count(), sheet.column_count());
    let given = members.get("columnProperties").and_then(Json::as_array).cloned().unwrap_or_default();
    let columns: Vec<Json> = (0..rect.width())
        .map(|i| {
            let own = given.iter().find(|c| c.get("columnIndex").and_then(Json::as_u64).unwrap_or(0) == u64::from(i));
            let mut column = own.cloned().unwrap_or_else(|| json!({}));
            if i > 0 {
                column["columnIndex"] = i.into();
            }
            if column.get("columnName").is_none() {
                let header = sheet.cell(rect.r0, rect.c0 + i);
                let header = header.map(|cell| render::formatted_in(cell, &locale)).unwrap_or_default();
                column["columnName"] = if header.is_empty() { format!("Column {}", i + 1) } else { header }.into();
            }
            column
        })
        .collect();
    members.insert("columnProperties".to_owned(), columns.into());
    Ok(())
}

pub fn update(book: &mut Workbook, body: &Json, names: &Names) -> ApiResult<()> {
    let mask = fields(body, names.schema)?;
    let mut given = body.get(names.member).and_then(Json::as_object).cloned().unwrap_or_default();
    let id = given.shift_remove(names.id).unwrap_or_default();
    let range = given.shift_remove("range").filter(|_| mask.covers("range"));
    let range = range.map(|r| book.grid_range(&r)).transpose()?;
    let (sheet, at) = find(book, names.kind, &id).ok_or_else(|| texts::missing(names.called, &id))?;
    let object = &mut book.grid_mut(sheet)?.objects[at];
    mask.merge(&mut object.body, &given);
    object.body.shift_remove("range");
    if let Some(range) = range {
        object.ranges = vec![range.bounds];
    }
    Ok(())
}

/// `deleteFilterView` names its id `filterId`.
pub fn delete(book: &mut Workbook, body: &Json, names: &Names) -> ApiResult<()> {
    let id = body.get("filterId").or_else(|| body.get(names.id)).cloned().unwrap_or(0.into());
    let (sheet, at) = find(book, names.kind, &id).ok_or_else(|| texts::missing(names.called, &id))?;
    let sheet = book.grid_mut(sheet)?;
    let gone = sheet.objects.remove(at);
    if names.kind == ObjectKind::Table {
        // Rules over the table's range go with it (G-STANDIN-14).
        let (rows, columns) = (sheet.row_count(), sheet.column_count());
        let table = gone.ranges[0].clamp(rows, columns);
        sheet.objects.retain(|o| {
            o.kind != ObjectKind::ConditionalFormat
                || !o.ranges.iter().any(|r| r.clamp(rows, columns).intersects(&table))
        });
    }
    Ok(())
}

pub fn duplicate_filter_view(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let id = body.get("filterId").cloned().unwrap_or(0.into());
    let (sheet, at) = find(book, ObjectKind::FilterView, &id).ok_or_else(|| texts::missing(FILTER_VIEW.called, &id))?;
    let mut copy = book.grid(sheet)?.objects[at].clone();
    copy.id = context.fresh_id().into();
    let title = copy.body.get("title").and_then(Json::as_str).unwrap_or_default();
    let title = format!("Copy of {title}");
    copy.body.insert("title".to_owned(), title.into());
    let shown = view::object(book, book.grid(sheet)?, &copy, &context.caller);
    book.grid_mut(sheet)?.objects.push(copy);
    Ok(json!({ "filter": shown }))
}

/// Positions in `Sheet.objects` of a tab's conditional formats, in their order.
fn rules(book: &Workbook, sheet: i64) -> ApiResult<Vec<usize>> {
    let objects = &book.grid(sheet)?.objects;
    Ok((0..objects.len()).filter(|i| objects[*i].kind == ObjectKind::ConditionalFormat).collect())
}

fn rule_object(book: &Workbook, rule: &Json) -> ApiResult<(i64, Object)> {
    let mut members = rule.as_object().cloned().unwrap_or_default();
    let ranges = members.shift_remove("ranges").unwrap_or_default();
    let areas = ranges.as_array().into_iter().flatten().map(|r| book.grid_range(r)).collect::<ApiResult<Vec<_>>>()?;
    let sheet = areas.first().ok_or_else(texts::rule_without_ranges)?.sheet;
    let ranges = areas.iter().map(|a| a.bounds).collect();
    Ok((sheet, Object { kind: ObjectKind::ConditionalFormat, id: Json::Null, ranges, body: members }))
}

fn index_of(body: &Json, count: usize, name: &str) -> ApiResult<usize> {
    let index = body.get(name).and_then(Json::as_u64).unwrap_or(0) as usize;
    if index < count { Ok(index) } else { Err(texts::no_rule(index)) }
}

pub fn add_rule(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let (sheet, object) = rule_object(book, body.get("rule").unwrap_or(&Json::Null))?;
    let rules = rules(book, sheet)?;
    let index = body.get("index").and_then(Json::as_u64).unwrap_or(0) as usize;
    let at = rules.get(index).copied().unwrap_or(book.grid(sheet)?.objects.len());
    book.grid_mut(sheet)?.objects.insert(at, object);
    Ok(())
}

pub fn update_rule(book: &mut Workbook, body: &Json) -> ApiResult<Json> {
    let given = body.get("sheetId").and_then(Json::as_i64);
    let new = body.get("rule").map(|r| rule_object(book, r)).transpose()?;
    let sheet = given.or_else(|| new.as_ref().map(|(s, _)| *s)).unwrap_or(0);
    let rules = rules(book, sheet)?;
    let index = index_of(body, rules.len(), "index")?;
    let shown = |book: &Workbook, at: usize| -> ApiResult<Json> {
        let grid = book.grid(sheet)?;
        Ok(view::object(book, grid, &grid.objects[at], ""))
    };
    if let Some((_, object)) = new {
        let old = shown(book, rules[index])?;
        book.grid_mut(sheet)?.objects[rules[index]] = object;
        return Ok(
            json!({ "newRule": shown(book, rules[index])?, "newIndex": index, "oldRule": old, "oldIndex": index }),
        );
    }
    let to = index_of(body, rules.len(), "newIndex")?;
    let rule = shown(book, rules[index])?;
    let objects = &mut book.grid_mut(sheet)?.objects;
    let object = objects.remove(rules[index]);
    objects.insert(rules[to], object);
    Ok(json!({ "newRule": rule, "newIndex": to, "oldIndex": index }))
}

pub fn delete_rule(book: &mut Workbook, body: &Json) -> ApiResult<Json> {
    let sheet = body.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
    let rules = rules(book, sheet)?;
    let index = index_of(body, rules.len(), "index")?;
    let grid = book.grid(sheet)?;
    let shown = view::object(book, grid, &grid.objects[rules[index]], "");
    book.grid_mut(sheet)?.objects.remove(rules[index]);
    Ok(json!({ "rule": shown }))
}

mod texts {
    use super::{ApiError, Json};

    fn id_text(id: &Json) -> String {
        id.as_str().map_or_else(|| id.to_string(), str::to_owned)
    }

    pub fn id_exists(what: &str, id: &Json) -> ApiError {
        ApiError::invalid(format!("A {what} with id {} already exists.", id_text(id)))
    }

    pub fn missing(what: &str, id: &Json) -> ApiError {
        ApiError::invalid(format!("No {what} with id: {}", id_text(id)))
    }

    pub fn tables_overlap() -> ApiError {
        ApiError::invalid("You can't create a table that overlaps another table.")
    }

    pub fn table_name(name: &str) -> ApiError {
        ApiError::invalid(format!("A table with the name \"{name}\" already exists."))
    }

    pub fn rule_without_ranges() -> ApiError {
        ApiError::invalid("A conditional format rule must have at least one range.")
    }

    pub fn no_rule(index: usize) -> ApiError {
        ApiError::invalid(format!("No conditional format rule at index: {index}"))
    }
}
