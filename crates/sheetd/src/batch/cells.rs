//! Requests that set cells: updateCells, repeatCell, appendCells, setDataValidation.

use serde_json::{Map, Value as Json};

use super::{Context, fields};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::Rect;
use crate::model::cell::{Cell, EXTRA_MEMBERS, Entered};
use crate::model::formats;
use crate::model::mask::Mask;
use crate::model::sheet::Sheet;
use crate::model::structure::Shift;
use crate::model::values::{MAX_CHARS, hidden_by_merge, too_long};
use crate::model::workbook::Workbook;

pub fn update(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let mask = fields(body, "RowData").or_else(|_| fields(body, "CellData"))?;
    let mask = mask.member("values").filter(|_| mask.names(&["values"]) && !mask.is_all()).cloned().unwrap_or(mask);
    let rows = body.get("rows").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let width = rows.iter().map(|r| row_cells(r).len()).max().unwrap_or(0) as u32;
    let (id, rect) = match (body.get("start"), body.get("range")) {
        (Some(start), _) => from_start(book, start, rows.len() as u32, width)?,
        (None, Some(range)) => {
            let (id, rect) = book.rect(range)?;
            if rows.len() as u32 > rect.height() {
                return Err(texts::beyond_rows(rect.r1, rect.r1.saturating_sub(1)));
            }
            if width > rect.width() {
                return Err(texts::beyond_columns(rect.c1, rect.c1.saturating_sub(1)));
            }
            (id, rect)
        }
        (None, None) => return Err(texts::no_area()),
    };
    book.grid(id)?.check_protection(&rect, &context.caller)?;
    write(book.grid_mut(id)?, &rect, rows, &mask, body.get("range").is_some())
}

/// The rectangle that the rows fill from a `GridCoordinate`.
fn from_start(book: &Workbook, start: &Json, height: u32, width: u32) -> ApiResult<(i64, Rect)> {
    let (id, row, column) = coordinate(book, start)?;
    let sheet = book.grid(id)?;
    let rect = Rect { r0: row, r1: row + height, c0: column, c1: column + width };
    if rect.r1 > sheet.row_count() || rect.c1 > sheet.column_count() {
        return Err(crate::model::resolve::texts::exceeds_grid(sheet, &rect.bounds()));
    }
    Ok((id, rect))
}

/// `GridCoordinate`: sheet, row, column.
pub fn coordinate(book: &Workbook, start: &Json) -> ApiResult<(i64, u32, u32)> {
    let index = |name: &str| start.get(name).and_then(Json::as_i64).unwrap_or(0);
    let id = index("sheetId");
    let sheet = book.grid(id)?;
    for (name, what, size) in [("rowIndex", "row", sheet.row_count()), ("columnIndex", "column", sheet.column_count())]
    {
        let at = index(name);
        if at < 0 {
            return Err(ApiError::invalid("GridCoordinate indexes must be >= 0"));
        }
        if at >= i64::from(size) {
            return Err(texts::coordinate_past(name, at, what, id));
        }
    }
    Ok((id, index("rowIndex") as u32, index("columnIndex") as u32))
}

/// Sets the masked members; with a range, cells that the rows do not reach are reset in them too
/// (G-VALUES-7).
fn write(sheet: &mut Sheet, rect: &Rect, rows: &[Json], mask: &Mask, whole: bool) -> ApiResult<()> {
    let empty = Map::new();
    for r in rect.r0..rect.r1 {
        let cells = rows.get((r - rect.r0) as usize).map(row_cells).unwrap_or_default();
        let end = if whole { rect.c1 } else { rect.c0 + cells.len() as u32 };
        for c in rect.c0..end {
            let data = cells.get((c - rect.c0) as usize).and_then(Json::as_object).unwrap_or(&empty);
            if data.is_empty() && sheet.cell(r, c).is_none() {
                continue;
            }
            set_cell(sheet.cell_mut(r, c), data, mask)?;
            if hidden_by_merge(sheet, r, c) {
                sheet.cell_mut(r, c).entered = Entered::Empty;
            }
        }
        sheet.trim_row(r);
    }
    Ok(())
}

fn row_cells(row: &Json) -> &[Json] {
    row.get("values").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Makes the members of a cell that the mask names equal to the given `CellData`.
pub fn set_cell(cell: &mut Cell, data: &Map<String, Json>, mask: &Mask) -> ApiResult<()> {
    if mask.covers("userEnteredValue") {
        cell.entered = entered(data.get("userEnteredValue"))?;
    }
    if let Some(inner) = mask.member("userEnteredFormat") {
        formats::merge_format(cell, data.get("userEnteredFormat"), inner);
    }
    for name in EXTRA_MEMBERS {
        if mask.covers(name) {
            let value = data.get(name).filter(|v| v.as_str() != Some("") && v.as_array().is_none_or(|a| !a.is_empty()));
            cell.set_extra(name, value.cloned());
        }
    }
    Ok(())
}

/// `ExtendedValue`; texts are never parsed (G-VALUES-2).
fn entered(value: Option<&Json>) -> ApiResult<Entered> {
    let Some((kind, value)) = value.and_then(Json::as_object).and_then(|v| v.iter().next()) else {
        return Ok(Entered::Empty);
    };
    let entered = match (kind.as_str(), value) {
        ("numberValue", Json::Number(n)) => Entered::Number(n.as_f64().unwrap_or_default()),
        ("boolValue", Json::Bool(b)) => Entered::Bool(*b),
        ("stringValue", Json::String(t)) if t.is_empty() => Entered::Empty,
        ("stringValue", Json::String(t)) => Entered::text(t.as_str()),
        ("formulaValue", Json::String(t)) if t.starts_with('=') => Entered::formula(t.as_str()),
        ("formulaValue", Json::String(t)) => return Err(texts::not_a_formula(t)),
        _ => return Err(texts::read_only_value()),
    };
    if entered.chars() > MAX_CHARS {
        return Err(too_long());
    }
    Ok(entered)
}

/// The grid data that a new sheet comes with (spreadsheets.create).
pub fn fill(book: &mut Workbook, at: usize, sheet: &Json) -> ApiResult<()> {
    let id = book.sheets[at].id;
    for block in sheet.get("data").and_then(Json::as_array).into_iter().flatten() {
        let start = |name: &str| block.get(name).and_then(Json::as_u64).unwrap_or(0) as u32;
        let (row, column) = (start("startRow"), start("startColumn"));
        let rows = block.get("rowData").and_then(Json::as_array).cloned().unwrap_or_default();
        let width = rows.iter().map(|r| row_cells(r).len()).max().unwrap_or(0) as u32;
        let rect = Rect { r0: row, r1: row + rows.len() as u32, c0: column, c1: column + width };
        grow(book, id, rect.r1, rect.c1)?;
        write(book.grid_mut(id)?, &rect, &rows, &Mask::All, false)?;
    }
    Ok(())
}

pub fn repeat(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let mask = fields(body, "CellData")?;
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    book.grid(id)?.check_protection(&rect, &context.caller)?;
    let data = body.get("cell").and_then(Json::as_object).cloned().unwrap_or_default();
    let sheet = book.grid_mut(id)?;
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            if data.is_empty() && sheet.cell(r, c).is_none() {
                continue;
            }
            let cell = sheet.cell_mut(r, c);
            set_cell(cell, &data, &mask)?;
            if let Some(text) = cell.formula().filter(|_| mask.covers("userEnteredValue")) {
                let moved = crate::model::references::offset(text, i64::from(r - rect.r0), i64::from(c - rect.c0));
                cell.entered = Entered::formula(moved);
            }
        }
        sheet.trim_row(r);
    }
    Ok(())
}

/// After the last row with data, growing the grid where it ends (G-STANDIN-1).
pub fn append(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let mask = fields(body, "RowData").or_else(|_| fields(body, "CellData"))?;
    let mask = mask.member("values").filter(|_| mask.names(&["values"]) && !mask.is_all()).cloned().unwrap_or(mask);
    let id = body.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
    let rows = body.get("rows").and_then(Json::as_array).cloned().unwrap_or_default();
    let width = rows.iter().map(|r| row_cells(r).len()).max().unwrap_or(0) as u32;
    let (start, _) = book.grid(id)?.used();
    grow(book, id, start + rows.len() as u32, width)?;
    if body.get("tableId").is_some() {
        // The grid grows, and the values are discarded (G-STANDIN-1).
        return Ok(());
    }
    let rect = Rect { r0: start, r1: start + rows.len() as u32, c0: 0, c1: width };
    book.grid(id)?.check_protection(&rect, &context.caller)?;
    write(book.grid_mut(id)?, &rect, &rows, &mask, false)
}

/// Makes the grid at least this large.
pub fn grow(book: &mut Workbook, id: i64, rows: u32, columns: u32) -> ApiResult<()> {
    use crate::model::area::Axis;
    for (axis, wanted) in [(Axis::Rows, rows), (Axis::Columns, columns)] {
        let size = book.grid(id)?.size(axis);
        if wanted > size {
            book.shift(id, axis, Shift::Insert { at: size, count: wanted - size });
        }
    }
    book.check_size()
}

pub fn set_validation(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    let rule = body.get("rule").cloned();
    let sheet = book.grid_mut(id)?;
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            if rule.is_some() || sheet.cell(r, c).is_some() {
                sheet.cell_mut(r, c).set_extra("dataValidation", rule.clone());
            }
        }
        sheet.trim_row(r);
    }
    Ok(())
}

mod texts {
    use super::ApiError;

    /// Google's words (G-STANDIN-12).
    pub fn beyond_rows(row: u32, last: u32) -> ApiError {
        ApiError::invalid(format!("Attempting to write row: {row}, beyond the last requested row of: {last}"))
    }

    pub fn beyond_columns(column: u32, last: u32) -> ApiError {
        ApiError::invalid(format!("Attempting to write column: {column}, beyond the last requested column of: {last}"))
    }

    /// Google's words (G-STANDIN-12).
    pub fn coordinate_past(member: &str, at: i64, what: &str, sheet: i64) -> ApiError {
        ApiError::invalid(format!("GridCoordinate.{member}[{at}] is after last {what} in grid[{sheet}]"))
    }

    pub fn no_area() -> ApiError {
        ApiError::invalid("Must specify either a start or a range.")
    }

    pub fn not_a_formula(text: &str) -> ApiError {
        ApiError::invalid(format!("Invalid formula, must start with '=': {text}"))
    }

    pub fn read_only_value() -> ApiError {
        ApiError::invalid("errorValue is read-only.")
    }
}
