//! Named and protected ranges, merges, the basic filter.

use serde_json::{Map, Value as Json, json};

use super::{Context, fields};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::Rect;
use crate::model::cell::Entered;
use crate::model::locale::Locale;
use crate::model::sheet::{Object, ObjectKind};
use crate::model::workbook::{NamedRange, Workbook};
use crate::model::{filters, view};

pub fn add_named(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let given = body.get("namedRange").unwrap_or(&Json::Null);
    let name = given.get("name").and_then(Json::as_str).unwrap_or_default();
    check_name(book, name, None)?;
    let range = book.grid_range(given.get("range").unwrap_or(&Json::Null))?;
    let id = match given.get("namedRangeId").and_then(Json::as_str).filter(|i| !i.is_empty()) {
        Some(id) if book.names.iter().any(|n| n.id == id) => return Err(texts::name_id_exists(id)),
        Some(id) => id.to_owned(),
        None => context.fresh_id().to_string(),
    };
    let named = NamedRange { id, name: name.to_owned(), range };
    let reply = json!({ "namedRange": { "namedRangeId": named.id, "name": named.name, "range": named.range.json() } });
    book.names.push(named);
    Ok(reply)
}

fn check_name(book: &Workbook, name: &str, own: Option<&str>) -> ApiResult<()> {
    let reference = matches!(crate::model::a1::parse(name), Some(crate::model::a1::Spec::Cells { .. }));
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && (1..=250).contains(&name.chars().count())
        && !["true", "false"].contains(&name.to_lowercase().as_str());
    if !plain || reference {
        return Err(texts::bad_name(name));
    }
    if book.names.iter().any(|n| n.name.eq_ignore_ascii_case(name) && Some(n.id.as_str()) != own) {
        return Err(texts::name_exists(name));
    }
    Ok(())
}

pub fn update_named(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let mask = fields(body, "NamedRange")?;
    let given = body.get("namedRange").unwrap_or(&Json::Null);
    let id = given.get("namedRangeId").and_then(Json::as_str).unwrap_or_default();
    let at = book.names.iter().position(|n| n.id == id).ok_or_else(|| texts::no_name(id))?;
    if mask.covers("name") {
        let name = given.get("name").and_then(Json::as_str).unwrap_or_default();
        check_name(book, name, Some(id))?;
        book.names[at].name = name.to_owned();
    }
    if mask.covers("range") {
        book.names[at].range = book.grid_range(given.get("range").unwrap_or(&Json::Null))?;
    }
    Ok(())
}

pub fn delete_named(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let id = body.get("namedRangeId").and_then(Json::as_str).unwrap_or_default();
    let at = book.names.iter().position(|n| n.id == id).ok_or_else(|| texts::no_name(id))?;
    book.names.remove(at);
    Ok(())
}

pub fn add_protected(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let given = body.get("protectedRange").and_then(Json::as_object).cloned().unwrap_or_default();
    let range = match given.get("namedRangeId").and_then(Json::as_str) {
        Some(id) => book.names.iter().find(|n| n.id == id).ok_or_else(|| texts::no_name(id))?.range,
        None => book.grid_range(given.get("range").unwrap_or(&Json::Null))?,
    };
    let id = given.get("protectedRangeId").and_then(Json::as_i64).unwrap_or_else(|| context.fresh_id());
    let mut members = given;
    members.shift_remove("range");
    members.shift_remove("protectedRangeId");
    let asked = stated_editors(&members);
    normalise_protection(&mut members, &context.caller);
    let object = Object { kind: ObjectKind::Protected, id: id.into(), ranges: vec![range.bounds], body: members };
    let mut shown = view::object(book, book.grid(range.sheet)?, &object, &context.caller);
    book.grid_mut(range.sheet)?.objects.push(object);
    // The reply repeats the editors that were sent; that the creator is one of them only a get
    // tells (recorded).
    shown["editors"] = asked;
    Ok(json!({ "protectedRange": shown }))
}

/// The creator is always among the editors, even of a mere warning; false and empty members are
/// left out (G-STANDIN-14).
fn normalise_protection(body: &mut Map<String, Json>, caller: &str) {
    body.shift_remove("requestingUserCanEdit");
    if body.get("warningOnly").and_then(Json::as_bool) != Some(true) {
        body.shift_remove("warningOnly");
    }
    let mut editors = stated_editors(body);
    if editors.get("users").is_none() {
        editors["users"] = json!([]);
    }
    if let Some(Json::Array(users)) = editors.get_mut("users")
        && !users.iter().any(|u| u.as_str() == Some(caller))
    {
        users.push(caller.into());
    }
    body.insert("editors".to_owned(), editors);
}

/// The editors of a request without empty lists.
fn stated_editors(body: &Map<String, Json>) -> Json {
    let editors = body.get("editors").and_then(Json::as_object).cloned().unwrap_or_default();
    editors.into_iter().filter(|(_, v)| v.as_array().is_none_or(|a| !a.is_empty()) && v != false).collect()
}

pub fn update_protected(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let mask = fields(body, "ProtectedRange")?;
    let given = body.get("protectedRange").and_then(Json::as_object).cloned().unwrap_or_default();
    let id = given.get("protectedRangeId").and_then(Json::as_i64).unwrap_or(0);
    let range = given.get("range").filter(|_| mask.covers("range")).map(|r| book.grid_range(r)).transpose()?;
    let (sheet, at) = find(book, ObjectKind::Protected, &id.into()).ok_or_else(|| texts::no_protected(id))?;
    let object = &mut book.grid_mut(sheet)?.objects[at];
    let mut members = object.body.clone();
    let mut given = given;
    given.shift_remove("range");
    given.shift_remove("protectedRangeId");
    mask.merge(&mut members, &given);
    members.shift_remove("range");
    normalise_protection(&mut members, &context.caller);
    object.body = members;
    if let Some(range) = range {
        object.ranges = vec![range.bounds];
    }
    Ok(())
}

pub fn delete_protected(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let id = body.get("protectedRangeId").and_then(Json::as_i64).unwrap_or(0);
    let (sheet, at) = find(book, ObjectKind::Protected, &id.into()).ok_or_else(|| texts::no_protected(id))?;
    book.grid_mut(sheet)?.objects.remove(at);
    Ok(())
}

/// Sheet and position of an object.
pub fn find(book: &Workbook, kind: ObjectKind, id: &Json) -> Option<(i64, usize)> {
    book.sheets.iter().find_map(|s| s.objects.iter().position(|o| o.kind == kind && o.id == *id).map(|at| (s.id, at)))
}

pub fn merge(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    let rects: Vec<Rect> = match body.get("mergeType").and_then(Json::as_str) {
        Some("MERGE_COLUMNS") => (rect.c0..rect.c1).map(|c| Rect { c0: c, c1: c + 1, ..rect }).collect(),
        Some("MERGE_ROWS") => (rect.r0..rect.r1).map(|r| Rect { r0: r, r1: r + 1, ..rect }).collect(),
        _ => vec![rect],
    };
    let sheet = book.grid_mut(id)?;
    if rect.c0 < sheet.frozen_columns && sheet.frozen_columns < rect.c1 {
        return Err(texts::merge_over_frozen("columns"));
    }
    if rect.r0 < sheet.frozen_rows && sheet.frozen_rows < rect.r1 {
        return Err(texts::merge_over_frozen("rows"));
    }
    for rect in rects.into_iter().filter(|r| r.height() * r.width() > 1) {
        if sheet.merges.iter().any(|m| m.intersects(&rect) && !rect.covers(m)) {
            return Err(texts::partial_merge());
        }
        sheet.merges.retain(|m| !rect.covers(m));
        keep_first_value(sheet, &rect);
        sheet.merges.push(rect);
    }
    Ok(())
}

/// Merging discards all values but the upper left one (G-VALUES-8).
fn keep_first_value(sheet: &mut crate::model::sheet::Sheet, rect: &Rect) {
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            if (r, c) != (rect.r0, rect.c0) && sheet.cell(r, c).is_some_and(|cell| !cell.is_blank()) {
                sheet.cell_mut(r, c).entered = Entered::Empty;
            }
        }
        sheet.trim_row(r);
    }
}

pub fn unmerge(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    let sheet = book.grid_mut(id)?;
    if sheet.merges.iter().any(|m| m.intersects(&rect) && !rect.covers(m)) {
        return Err(texts::partial_unmerge());
    }
    sheet.merges.retain(|m| !rect.covers(m));
    Ok(())
}

pub fn set_basic_filter(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let mut members = body.get("filter").and_then(Json::as_object).cloned().unwrap_or_default();
    let range = book.grid_range(&members.shift_remove("range").unwrap_or_default())?;
    let locale = Locale::of(&book.locale);
    let sheet = book.grid_mut(range.sheet)?;
    sheet.objects.retain(|o| o.kind != ObjectKind::BasicFilter);
    let object = Object { kind: ObjectKind::BasicFilter, id: Json::Null, ranges: vec![range.bounds], body: members };
    sheet.objects.push(object);
    filters::apply_basic(sheet, &locale);
    Ok(())
}

pub fn clear_basic_filter(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let id = body.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
    let locale = Locale::of(&book.locale);
    let sheet = book.grid_mut(id)?;
    sheet.objects.retain(|o| o.kind != ObjectKind::BasicFilter);
    filters::apply_basic(sheet, &locale);
    Ok(())
}

mod texts {
    use super::ApiError;

    pub fn bad_name(name: &str) -> ApiError {
        ApiError::invalid(format!("The name of the named range is invalid: {name}"))
    }

    pub fn name_exists(name: &str) -> ApiError {
        ApiError::invalid(format!("Cannot add named range {name}: a named range with that name already exists."))
    }

    pub fn name_id_exists(id: &str) -> ApiError {
        ApiError::invalid(format!("A named range with id {id} already exists."))
    }

    pub fn no_name(id: &str) -> ApiError {
        ApiError::invalid(format!("No named range with id: {id}"))
    }

    pub fn no_protected(id: i64) -> ApiError {
        ApiError::invalid(format!("No protected range with id: {id}"))
    }

    /// Google's words (G-STANDIN-12).
    pub fn merge_over_frozen(what: &str) -> ApiError {
        ApiError::invalid(format!("You can't merge frozen and non-frozen {what}"))
    }

    pub fn partial_merge() -> ApiError {
        ApiError::invalid("You must select all cells in a merged range to merge or unmerge them.")
    }

    pub fn partial_unmerge() -> ApiError {
        partial_merge()
    }
}
