//! Rows and columns: inserting, deleting, moving, sorting, sizes and groups.

use serde_json::{Map, Value as Json, json};

use super::{Context, fields};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::{Axis, Rect};
use crate::model::cell::Computed;
use crate::model::resolve;
use crate::model::sheet::{Group, Sheet};
use crate::model::structure::Shift;
use crate::model::view;
use crate::model::workbook::{MAX_CELLS, Workbook};

pub fn append(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let id = body.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
    let sheet = book.grid(id)?;
    let axis = resolve::axis(body)?;
    let length = body.get("length").and_then(Json::as_i64).unwrap_or(0);
    if length < 1 {
        return Err(texts::length());
    }
    let other = if axis == Axis::Rows { sheet.column_count() } else { sheet.row_count() };
    let at = sheet.size(axis);
    check_growth(book, id, axis, length as u64, u64::from(other))?;
    book.shift(id, axis, Shift::Insert { at, count: length as u32 });
    Ok(())
}

/// Refuses growth past the limits before anything of that size is made.
pub fn check_growth(book: &Workbook, id: i64, axis: Axis, count: u64, other: u64) -> ApiResult<()> {
    let size = u64::from(book.grid(id)?.size(axis));
    if axis == Axis::Columns && size + count > u64::from(crate::model::a1::MAX_COLUMNS) {
        return Err(ApiError::invalid(
            "This action would increase the number of columns in the sheet above the limit of 18278 columns.",
        ));
    }
    if book.cells_in_grids() + count * other > MAX_CELLS {
        return Err(ApiError::invalid(
            "This action would increase the number of cells in the workbook above the limit of 10000000 cells.",
        ));
    }
    Ok(())
}

/// At the very end only with `inheritFromBefore` (G-ROWS-1).
pub fn insert(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let range = body.get("range").unwrap_or(&Json::Null);
    let inherit = body.get("inheritFromBefore").and_then(Json::as_bool).unwrap_or(false);
    let (id, axis, start, end) = book.dimension_range(range)?;
    let sheet = book.grid(id)?;
    let size = sheet.size(axis);
    if start > size {
        return Err(texts::start_past(size));
    }
    if start == size && !inherit {
        return Err(texts::start_at_end(size));
    }
    if inherit && start == 0 {
        return Err(texts::inherit_at_start());
    }
    if range.get("endIndex").is_none() || end == start {
        return Err(texts::nothing_to_insert());
    }
    let other = if axis == Axis::Rows { sheet.column_count() } else { sheet.row_count() };
    check_growth(book, id, axis, u64::from(end - start), u64::from(other))?;
    book.shift(id, axis, Shift::Insert { at: start, count: end - start });
    let source = if inherit { start - 1 } else { end };
    inherit_formats(book.grid_mut(id)?, axis, source, start, end);
    Ok(())
}

/// New lines look like the one they inherit from: formats and validation, no values and no notes.
fn inherit_formats(sheet: &mut Sheet, axis: Axis, source: u32, start: u32, end: u32) {
    let dressed = |cell: &crate::model::cell::Cell| {
        let mut new = crate::model::cell::Cell { format: cell.format.clone(), ..Default::default() };
        let rule = cell.extra.as_ref().and_then(|e| e.get("dataValidation")).cloned();
        new.set_extra("dataValidation", rule);
        new
    };
    match axis {
        Axis::Rows => {
            let cells: Vec<_> = sheet.row(source).map(|r| r.cells.iter().map(dressed).collect()).unwrap_or_default();
            if cells.iter().any(|c| !c.is_bare()) {
                for row in start..end {
                    sheet.row_mut(row).cells.clone_from(&cells);
                    sheet.trim_row(row);
                }
            }
        }
        Axis::Columns => {
            for row in 0..sheet.row_count() {
                let Some(new) = sheet.cell(row, source).map(dressed).filter(|c| !c.is_bare()) else {
                    continue;
                };
                for column in start..end {
                    *sheet.cell_mut(row, column) = new.clone();
                }
            }
        }
    }
}

pub fn delete(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let (id, axis, start, end) = book.dimension_range(body.get("range").unwrap_or(&Json::Null))?;
    let sheet = book.grid(id)?;
    let size = sheet.size(axis);
    if start >= size {
        return Err(texts::cannot_delete(axis, start, size));
    }
    let end = end.min(size);
    if end == start {
        return Ok(());
    }
    let frozen = sheet.frozen(axis);
    if start <= frozen && end == size {
        return Err(texts::all_non_frozen(axis));
    }
    sheet.check_protection(&lines(sheet, axis, start, end), &context.caller)?;
    book.shift(id, axis, Shift::Delete { start, end });
    Ok(())
}

fn lines(sheet: &Sheet, axis: Axis, start: u32, end: u32) -> Rect {
    match axis {
        Axis::Rows => Rect { r0: start, r1: end, c0: 0, c1: sheet.column_count() },
        Axis::Columns => Rect { r0: 0, r1: sheet.row_count(), c0: start, c1: end },
    }
}

/// `destinationIndex` is read against the order before the move (G-STANDIN-10).
pub fn move_lines(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let (id, axis, start, end) = book.dimension_range(body.get("source").unwrap_or(&Json::Null))?;
    let sheet = book.grid(id)?;
    let size = sheet.size(axis);
    let to = body.get("destinationIndex").and_then(Json::as_i64).unwrap_or(0);
    if to < 0 || to > i64::from(size) {
        return Err(texts::destination(to, size));
    }
    if start >= size {
        return Err(texts::source_past(start, size));
    }
    let (end, to) = (end.min(size), to as u32);
    let crosses = |at: u32| {
        sheet.merges.iter().any(|m| match axis {
            Axis::Rows => m.r0 < at && at < m.r1,
            Axis::Columns => m.c0 < at && at < m.c1,
        })
    };
    if [start, end, to].into_iter().any(crosses) {
        return Err(texts::crosses_merge(axis));
    }
    sheet.check_protection(&lines(sheet, axis, start, end), &context.caller)?;
    if end > start && !(start..=end).contains(&to) {
        book.shift(id, axis, Shift::Move { start, end, to });
    }
    Ok(())
}

/// Whole rows of the range are put into order, with their metadata (G-META-1); hidden rows stay
/// (G-STANDIN-11).
pub fn sort(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let range = body.get("range").unwrap_or(&Json::Null);
    let id = range.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
    let sheet = book.grid(id)?;
    let bounds = resolve::bounds(range)?;
    if let Some(start) = bounds.r0.filter(|s| *s >= sheet.row_count()) {
        let _ = start;
        return Err(texts::sort_start_past(sheet.row_count()));
    }
    let rect = bounds.clamp(sheet.row_count(), sheet.column_count());
    if let Some(m) = sheet.merges.iter().find(|m| m.intersects(&rect) && m.height() > 1) {
        let echo = crate::model::a1::echo("x", m.r0, m.c0, m.r1, m.c1);
        return Err(texts::sort_over_merge(&echo[2..]));
    }
    sheet.check_protection(&rect, &context.caller)?;
    let specs = body.get("sortSpecs").and_then(Json::as_array).cloned().unwrap_or_default();
    let specs: Vec<(u32, bool)> = specs
        .iter()
        .map(|s| {
            let column = s.get("dimensionIndex").and_then(Json::as_u64).unwrap_or(0) as u32;
            (column, s.get("sortOrder").and_then(Json::as_str) == Some("DESCENDING"))
        })
        .collect();
    sort_rect(book, id, &rect, &specs);
    Ok(())
}

/// Sorts the rows of a rectangle by columns (index, descending?).
pub fn sort_rect(book: &mut Workbook, id: i64, rect: &Rect, specs: &[(u32, bool)]) {
    let sheet = book.sheet(id).expect("resolved");
    let (_, used_columns) = sheet.used();
    let places: Vec<u32> = (rect.r0..rect.r1).filter(|r| !sheet.props(Axis::Rows, *r).hidden()).collect();
    let mut sorted = places.clone();
    sorted.sort_by(|a, b| {
        specs
            .iter()
            .map(|(column, descending)| {
                let key =
                    |row: u32| sheet.cell(row, *column).map(crate::model::cell::Cell::computed).unwrap_or_default();
                compare(&key(*a), &key(*b), *descending)
            })
            .find(|o| o.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut order: Vec<u32> = (rect.r0..rect.r1).collect();
    for (place, from) in places.iter().zip(&sorted) {
        order[(place - rect.r0) as usize] = *from;
    }
    if rect.c0 == 0 && rect.c1 >= used_columns {
        book.permute_rows(id, rect.r0, &order);
    } else {
        permute_cells(book, id, rect, &order);
    }
}

/// A sort of some columns moves cells; rows, and what is tied to them, stay.
fn permute_cells(book: &mut Workbook, id: i64, rect: &Rect, order: &[u32]) {
    let sheet = book.grid_mut(id).expect("resolved");
    let old: Vec<Vec<_>> = order
        .iter()
        .map(|r| (rect.c0..rect.c1).map(|c| sheet.cell(*r, c).cloned().unwrap_or_default()).collect())
        .collect();
    for (offset, cells) in old.into_iter().enumerate() {
        let row = rect.r0 + offset as u32;
        for (c, cell) in (rect.c0..rect.c1).zip(cells) {
            if !cell.is_bare() || sheet.cell(row, c).is_some() {
                *sheet.cell_mut(row, c) = cell;
            }
        }
        sheet.trim_row(row);
    }
}

/// Ascending: numbers, texts, booleans, errors; descending the other way round; blanks last in both
/// (G-STANDIN-11).
fn compare(a: &Computed, b: &Computed, descending: bool) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let rank = |c: &Computed| match c {
        Computed::Number(_) => 0,
        Computed::Text(_) => 1,
        Computed::Bool(_) => 2,
        Computed::Error(_) => 3,
        Computed::Empty => 4,
    };
    match (rank(a), rank(b)) {
        (4, 4) => return Ordering::Equal,
        (4, _) => return Ordering::Greater,
        (_, 4) => return Ordering::Less,
        _ => {}
    }
    let ascending = match (a, b) {
        (Computed::Number(a), Computed::Number(b)) => a.total_cmp(b),
        (Computed::Text(a), Computed::Text(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        (Computed::Bool(a), Computed::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    };
    if descending { ascending.reverse() } else { ascending }
}

pub fn update_properties(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let mask = fields(body, "DimensionProperties")?;
    let given = body.get("properties").cloned().unwrap_or_else(|| json!({}));
    let (id, axis, start, end) = book.dimension_range(body.get("range").unwrap_or(&Json::Null))?;
    let sheet = book.grid_mut(id)?;
    if start >= sheet.size(axis) {
        return Err(texts::start_past(sheet.size(axis)));
    }
    for index in start..end.min(sheet.size(axis)) {
        let mut props = sheet.props(axis, index);
        if mask.covers("hiddenByUser") {
            props.hidden_by_user = given.get("hiddenByUser").and_then(Json::as_bool).unwrap_or(false);
        }
        if mask.covers("pixelSize") {
            props.pixels = given.get("pixelSize").and_then(Json::as_u64).map(|p| p as u32);
        }
        sheet.set_props(axis, index, props);
    }
    Ok(())
}

/// Columns become as wide as their widest text, measured roughly as Arial 10; rows go back to the
/// default height.
pub fn auto_resize(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let (id, axis, start, end) = book.dimension_range(body.get("dimensions").unwrap_or(&Json::Null))?;
    let sheet = book.grid_mut(id)?;
    for index in start..end.min(sheet.size(axis)) {
        let mut props = sheet.props(axis, index);
        props.pixels = match axis {
            Axis::Rows => None,
            Axis::Columns => {
                let widths = (0..sheet.row_count()).filter_map(|r| sheet.cell(r, index)).filter(|c| !c.is_blank());
                widths.map(|c| text_width(&crate::model::render::formatted(c))).max()
            }
        };
        sheet.set_props(axis, index, props);
    }
    Ok(())
}

/// Pixels of a text and the padding beside it.
fn text_width(text: &str) -> u32 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '\'' | '.' | ',' | ':' | ';' | '|' | '!' | ' ' => 0.28,
        'm' | 'w' | 'M' | 'W' => 0.83,
        c if c.is_uppercase() => 0.667,
        c if c.is_ascii() => 0.556,
        _ => 0.8,
    };
    (text.chars().map(em).sum::<f64>() * 13.333 + 6.0).ceil() as u32
}

pub fn add_group(book: &mut Workbook, body: &Json) -> ApiResult<Json> {
    let (id, axis, start, end) = book.dimension_range(body.get("range").unwrap_or(&Json::Null))?;
    let sheet = book.grid_mut(id)?;
    let end = end.min(sheet.size(axis));
    let depths = depths(sheet.groups(axis), sheet.size(axis));
    let changed = (start..end).map(|i| (i, depths[i as usize] + 1));
    set_depths(sheet, axis, depths.clone(), changed);
    // The first group of rows makes this member appear, and it stays (recorded: test_group_rows).
    if axis == Axis::Rows {
        sheet.row_group_after = true;
    } else {
        sheet.column_group_after = true;
    }
    Ok(group_reply(id, axis, sheet))
}

/// Collapsing hides the group's lines, expanding shows them.
pub fn update_group(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let mask = fields(body, "DimensionGroup")?;
    let given = body.get("dimensionGroup").unwrap_or(&Json::Null);
    let (id, axis, start, end) = book.dimension_range(given.get("range").unwrap_or(&Json::Null))?;
    let depth = given.get("depth").and_then(Json::as_u64).unwrap_or(0) as u32;
    let collapsed = given.get("collapsed").and_then(Json::as_bool).unwrap_or(false);
    let sheet = book.grid_mut(id)?;
    let group = sheet.groups_mut(axis).iter_mut().find(|g| (g.start, g.end, g.depth) == (start, end, depth));
    let group = group.ok_or_else(texts::no_group)?;
    if mask.covers("collapsed") && group.collapsed != collapsed {
        group.collapsed = collapsed;
        for index in start..end.min(sheet.size(axis)) {
            let props = sheet.props(axis, index);
            sheet.set_props(axis, index, crate::model::sheet::Props { hidden_by_user: collapsed, ..props });
        }
    }
    Ok(())
}

pub fn delete_group(book: &mut Workbook, body: &Json) -> ApiResult<Json> {
    let (id, axis, start, end) = book.dimension_range(body.get("range").unwrap_or(&Json::Null))?;
    let sheet = book.grid_mut(id)?;
    let end = end.min(sheet.size(axis));
    let depths = depths(sheet.groups(axis), sheet.size(axis));
    if (start..end).all(|i| depths[i as usize] == 0) {
        return Err(texts::no_group());
    }
    let changed = (start..end).map(|i| (i, depths[i as usize].saturating_sub(1)));
    set_depths(sheet, axis, depths.clone(), changed);
    Ok(group_reply(id, axis, sheet))
}

fn group_reply(id: i64, axis: Axis, sheet: &Sheet) -> Json {
    let groups: Vec<Json> = sheet.groups(axis).iter().map(|g| view::group(id, axis, g)).collect();
    let mut out = Map::new();
    if !groups.is_empty() {
        out.insert("dimensionGroups".to_owned(), groups.into());
    }
    Json::Object(out)
}

fn depths(groups: &[Group], size: u32) -> Vec<u32> {
    let mut depths = vec![0; size as usize];
    for g in groups {
        for depth in &mut depths[g.start as usize..(g.end as usize).min(size as usize)] {
            *depth = g.depth.max(*depth);
        }
    }
    depths
}

/// Groups are the runs of lines of at least each depth.
fn set_depths(sheet: &mut Sheet, axis: Axis, mut depths: Vec<u32>, changed: impl Iterator<Item = (u32, u32)>) {
    for (index, depth) in changed {
        depths[index as usize] = depth;
    }
    let old = std::mem::take(sheet.groups_mut(axis));
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let mut groups = Vec::new();
    for depth in 1..=deepest {
        let mut start = None;
        for index in 0..=depths.len() {
            let inside = depths.get(index).is_some_and(|d| *d >= depth);
            match (inside, start) {
                (true, None) => start = Some(index as u32),
                (false, Some(from)) => {
                    let collapsed = old.iter().any(|g| (g.start, g.depth) == (from, depth) && g.collapsed);
                    groups.push(Group { start: from, end: index as u32, depth, collapsed });
                    start = None;
                }
                _ => {}
            }
        }
    }
    *sheet.groups_mut(axis) = groups;
}

pub mod texts {
    use super::{ApiError, Axis};

    fn line(axis: Axis) -> &'static str {
        if axis == Axis::Rows { "row" } else { "column" }
    }

    /// Google's words (G-ROWS-4).
    pub fn all_non_frozen(axis: Axis) -> ApiError {
        ApiError::invalid(format!("Sorry, it is not possible to delete all non-frozen {}s.", line(axis)))
    }

    /// Google's words (G-ROWS-1).
    pub fn start_at_end(size: u32) -> ApiError {
        ApiError::invalid(format!(
            "range.startIndex must be less than the grid size ({size}) if inheritFromBefore is false."
        ))
    }

    /// Google's words (G-STANDIN-12).
    pub fn start_past(size: u32) -> ApiError {
        ApiError::invalid(format!("range.startIndex is larger than current grid size ({size})"))
    }

    pub fn inherit_at_start() -> ApiError {
        ApiError::invalid("range.startIndex must be greater than 0 if inheritFromBefore is true.")
    }

    pub fn nothing_to_insert() -> ApiError {
        ApiError::invalid("range.endIndex must be greater than range.startIndex.")
    }

    pub fn length() -> ApiError {
        ApiError::invalid("length must be greater than 0")
    }

    /// Recorded by several libraries for a deletion past the end.
    pub fn cannot_delete(axis: Axis, index: u32, size: u32) -> ApiError {
        ApiError::invalid(format!(
            "Cannot delete a {} that doesn't exist. Tried to delete {} index {index} but there are only {size} {}s.",
            line(axis),
            line(axis),
            line(axis)
        ))
    }

    pub fn destination(to: i64, size: u32) -> ApiError {
        ApiError::invalid(format!("destinationIndex[{to}] must be between 0 and the grid size ({size})"))
    }

    pub fn source_past(start: u32, size: u32) -> ApiError {
        ApiError::invalid(format!("source.startIndex[{start}] is larger than current grid size ({size})"))
    }

    /// Google's words (G-STANDIN-12).
    pub fn crosses_merge(axis: Axis) -> ApiError {
        ApiError::invalid(format!(
            "Sorry, it is not possible to move a {} to a position that crosses a merged cell. Please unmerge and try again.",
            line(axis)
        ))
    }

    /// Google's words (G-STANDIN-12).
    pub fn sort_start_past(size: u32) -> ApiError {
        ApiError::invalid(format!("range.startRowIndex is larger than current grid size ({size})"))
    }

    /// Google's words (G-STANDIN-11).
    pub fn sort_over_merge(cells: &str) -> ApiError {
        ApiError::invalid(format!(
            "You can't sort a range containing vertical merges. There is a vertical merge at {cells}"
        ))
    }

    pub fn no_group() -> ApiError {
        ApiError::invalid("There is no group on the specified range.")
    }
}
