//! Reading and writing rectangles of values, and where an append lands (G-VALUES, G-STANDIN-1).

use serde_json::Value as Json;

use super::a1;
use super::area::{Area, Axis, Rect};
use super::cell::{Cell, Entered};
use super::entered;
use super::formats;
use super::render::{Shown, Style, show};
use super::sheet::Sheet;
use super::workbook::Workbook;
use crate::errors::{ApiError, ApiResult};

/// Of a cell (G-LIMITS-3).
pub const MAX_CHARS: usize = 50_000;

/// How inputs are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputOption {
    Raw,
    UserEntered,
}

/// What a `null` in the data means: the cell stays, or is emptied (switchable where Google's
/// behaviour is unverified).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    Skip,
    Clear,
}

/// What a write touched.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub sheet: i64,
    pub rect: Rect,
    pub rows: u32,
    pub columns: u32,
    pub cells: u32,
}

pub struct Writer<'a> {
    pub option: InputOption,
    pub nulls: Nulls,
    pub locale: &'a str,
    /// Completes dates that are typed without a year.
    pub year: i32,
}

impl Workbook {
    pub fn echo(&self, sheet: i64, rect: &Rect) -> String {
        let title = &self.sheet(sheet).expect("the caller resolved the sheet").title;
        if rect.is_empty() { "#REF!".to_owned() } else { a1::echo(title, rect.r0, rect.c0, rect.r1, rect.c1) }
    }
}

/// Values of a rectangle without the empty rows and columns at the end.
pub fn read(sheet: &Sheet, rect: &Rect, axis: Axis, style: Style) -> Vec<Vec<Shown>> {
    match axis {
        Axis::Rows => trimmed((rect.r0..rect.r1).map(|r| line(sheet, rect, r, style)).collect()),
        Axis::Columns => {
            let column = |c| (rect.r0..rect.r1).map(|r| shown(sheet.cell(r, c), style)).collect();
            trimmed((rect.c0..rect.c1).map(column).collect())
        }
    }
}

fn line(sheet: &Sheet, rect: &Rect, row: u32, style: Style) -> Vec<Shown> {
    let Some(row) = sheet.row(row) else {
        return Vec::new();
    };
    let end = row.cells.len().min(rect.c1 as usize);
    let cells = row.cells.get(rect.c0 as usize..end).unwrap_or_default();
    cells.iter().map(|c| show(c, style)).collect()
}

fn shown(cell: Option<&Cell>, style: Style) -> Shown {
    cell.map_or_else(|| Shown::Text(String::new()), |c| show(c, style))
}

fn trimmed(mut lines: Vec<Vec<Shown>>) -> Vec<Vec<Shown>> {
    for line in &mut lines {
        line.truncate(line.iter().rposition(|v| !v.is_blank()).map_or(0, |at| at + 1));
    }
    lines.truncate(lines.iter().rposition(|l| !l.is_empty()).map_or(0, |at| at + 1));
    lines
}

impl Writer<'_> {
    /// Writes `values` from the upper left corner of an area that they must fit into.
    pub fn write(&self, book: &mut Workbook, area: &Area, values: &[Json], axis: Axis) -> ApiResult<Written> {
        let start = book.within_grid(area)?;
        let height = values.len() as u32;
        let width = values.iter().filter_map(Json::as_array).map(Vec::len).max().unwrap_or(0) as u32;
        let (height, width) = if axis == Axis::Rows { (height, width) } else { (width, height) };
        self.check_fit(book, area, &start, height, width)?;
        let rect = Rect { r0: start.r0, r1: start.r0 + height, c0: start.c0, c1: start.c0 + width };
        let mut written = Written { sheet: area.sheet, rect, rows: 0, columns: 0, cells: 0 };
        let mut rows = vec![false; height as usize];
        let mut columns = vec![false; width as usize];
        let sheet = book.grid_mut(area.sheet)?;
        for (i, line) in values.iter().enumerate() {
            for (j, value) in line.as_array().into_iter().flatten().enumerate() {
                let (r, c) = if axis == Axis::Rows { (i, j) } else { (j, i) };
                if value.is_null() && self.nulls == Nulls::Skip {
                    continue;
                }
                self.set(sheet, rect.r0 + r as u32, rect.c0 + c as u32, value)
                    .map_err(|e| if value.is_string() { e } else { texts::not_a_value(i, j, value) })?;
                (rows[r], columns[c]) = (true, true);
                written.cells += 1;
            }
        }
        (rect.r0..rect.r1).for_each(|r| sheet.trim_row(r));
        written.rows = rows.iter().filter(|w| **w).count() as u32;
        written.columns = columns.iter().filter(|w| **w).count() as u32;
        Ok(written)
    }

    /// A single cell, or an open end, takes data of any size that the grid holds; a closed end does
    /// not (G-STANDIN-3).
    fn check_fit(&self, book: &Workbook, area: &Area, start: &Rect, height: u32, width: u32) -> ApiResult<()> {
        let sheet = book.grid(area.sheet)?;
        let b = &area.bounds;
        let anchor = start.height() == 1 && start.width() == 1 && b.r1.is_some() && b.c1.is_some();
        let (last_row, last_column) =
            if anchor { (sheet.row_count(), sheet.column_count()) } else { (start.r1, start.c1) };
        let place = || self.place(book, area, start);
        if start.r0 + height > last_row {
            if anchor {
                return Err(super::resolve::texts::exceeds_grid(sheet, &grown(start, height, width)));
            }
            return Err(texts::beyond_row(&place(), last_row + 1));
        }
        if start.c0 + width > last_column {
            if anchor {
                return Err(super::resolve::texts::exceeds_grid(sheet, &grown(start, height, width)));
            }
            return Err(texts::beyond_column(&place(), last_column));
        }
        Ok(())
    }

    fn place(&self, book: &Workbook, area: &Area, start: &Rect) -> String {
        let sheet = book.sheet(area.sheet).expect("resolved");
        let echo = a1::echo(&sheet.title, start.r0, start.c0, start.r1, start.c1);
        let (_, cells) = echo.rsplit_once('!').expect("an echo has a bang");
        format!("'{}'!{cells}", sheet.title.replace('\'', "''"))
    }

    pub fn set(&self, sheet: &mut Sheet, row: u32, column: u32, value: &Json) -> ApiResult<()> {
        let entered = match value {
            Json::Null => Entered::Empty,
            Json::Bool(b) => Entered::Bool(*b),
            Json::Number(n) => Entered::Number(n.as_f64().unwrap_or_default()),
            Json::String(text) => return self.set_text(sheet, row, column, text),
            Json::Array(_) | Json::Object(_) => return Err(texts::not_a_value(0, 0, value)),
        };
        self.put(sheet, row, column, entered);
        Ok(())
    }

    fn set_text(&self, sheet: &mut Sheet, row: u32, column: u32, text: &str) -> ApiResult<()> {
        if text.len() > MAX_CHARS && text.chars().count() > MAX_CHARS {
            return Err(texts::too_long());
        }
        if self.option == InputOption::Raw {
            let entered = if text.is_empty() { Entered::Empty } else { Entered::text(text) };
            self.put(sheet, row, column, entered);
            return Ok(());
        }
        let text_cell = formats::is_text_cell(sheet.cell(row, column));
        let input = entered::parse(text, self.locale, self.year, text_cell);
        self.put(sheet, row, column, input.entered);
        if let Some(format) = input.format {
            formats::suggest_number_format(sheet.cell_mut(row, column), &format);
        }
        Ok(())
    }

    /// Empties without leaving a trace where nothing was.
    fn put(&self, sheet: &mut Sheet, row: u32, column: u32, entered: Entered) {
        if entered == Entered::Empty && sheet.cell(row, column).is_none() || hidden_by_merge(sheet, row, column) {
            return;
        }
        let cell = sheet.cell_mut(row, column);
        cell.entered = entered;
        // Rich text belongs to the value that it was set with.
        if cell.extra.is_some() {
            cell.set_extra("textFormatRuns", None);
            cell.set_extra("chipRuns", None);
        }
    }
}

/// A merge keeps only its upper left cell (G-VALUES-8).
pub fn hidden_by_merge(sheet: &Sheet, row: u32, column: u32) -> bool {
    sheet.merges.iter().any(|m| m.contains(row, column) && (m.r0, m.c0) != (row, column))
}

fn grown(start: &Rect, height: u32, width: u32) -> super::area::Bounds {
    Rect { r1: start.r0 + height, c1: start.c0 + width, ..*start }.bounds()
}

/// Empties values; formats, notes and validation stay.
pub fn clear(sheet: &mut Sheet, rect: &Rect) {
    for row in rect.r0..rect.r1 {
        if sheet.row(row).is_none_or(|r| r.cells.len() <= rect.c0 as usize) {
            continue;
        }
        let cells = &mut sheet.row_mut(row).cells;
        let end = cells.len().min(rect.c1 as usize);
        for cell in &mut cells[rect.c0 as usize..end] {
            cell.entered = Entered::Empty;
            if cell.extra.is_some() {
                cell.set_extra("textFormatRuns", None);
            }
        }
        sheet.trim_row(row);
    }
}

/// The table that an append continues: a block of touching cells that the range meets; of several
/// the last one, the lowest and then the rightmost (G-STANDIN-1).
pub fn table_in(sheet: &Sheet, rect: &Rect) -> Option<Rect> {
    let (rows, columns) = sheet.used();
    let filled = |r: u32, c: u32| sheet.cell(r, c).is_some_and(|cell| !cell.is_blank());
    for r in (rect.r0..rect.r1.min(rows)).rev() {
        for c in (rect.c0..rect.c1.min(columns)).rev() {
            if filled(r, c) {
                return Some(block(sheet, r, c));
            }
        }
    }
    None
}

/// Grows a rectangle over touching cells until its whole border is empty.
fn block(sheet: &Sheet, row: u32, column: u32) -> Rect {
    let filled = |r: u32, c: u32| sheet.cell(r, c).is_some_and(|cell| !cell.is_blank());
    let mut b = Rect { r0: row, r1: row + 1, c0: column, c1: column + 1 };
    loop {
        let before = b;
        let rows = b.r0.saturating_sub(1)..(b.r1 + 1).min(sheet.row_count());
        let columns = b.c0.saturating_sub(1)..(b.c1 + 1).min(sheet.column_count());
        if b.r0 > 0 && columns.clone().any(|c| filled(b.r0 - 1, c)) {
            b.r0 -= 1;
        }
        if columns.clone().any(|c| filled(b.r1, c)) {
            b.r1 += 1;
        }
        if b.c0 > 0 && rows.clone().any(|r| filled(r, b.c0 - 1)) {
            b.c0 -= 1;
        }
        if rows.clone().any(|r| filled(r, b.c1)) {
            b.c1 += 1;
        }
        if b == before {
            return b;
        }
    }
}

mod texts {
    use super::{ApiError, Json, MAX_CHARS, a1};

    pub fn too_long() -> ApiError {
        ApiError::invalid(format!(
            "Your input contains more than the maximum of {MAX_CHARS} characters in a single cell."
        ))
    }

    pub fn beyond_row(place: &str, row: u32) -> ApiError {
        ApiError::invalid(format!("Requested writing within range [{place}], but tried writing to row [{row}]"))
    }

    pub fn beyond_column(place: &str, column: u32) -> ApiError {
        ApiError::invalid(format!(
            "Requested writing within range [{place}], but tried writing to column [{}]",
            a1::column_letters(column)
        ))
    }

    /// Google prints the value as protobuf text.
    pub fn not_a_value(row: usize, column: usize, value: &Json) -> ApiError {
        ApiError::invalid(format!("Invalid values[{row}][{column}]: {}", proto_text(value, "")))
    }

    fn proto_text(value: &Json, indent: &str) -> String {
        let inner = format!("{indent}  ");
        match value {
            Json::Null => format!("{indent}null_value: NULL_VALUE\n"),
            Json::Bool(b) => format!("{indent}bool_value: {b}\n"),
            Json::Number(n) => format!("{indent}number_value: {n}\n"),
            Json::String(text) => format!("{indent}string_value: {text:?}\n"),
            Json::Array(items) => {
                let deeper = format!("{inner}  ");
                let items: String =
                    items.iter().map(|i| format!("{inner}values {{\n{}{inner}}}\n", proto_text(i, &deeper))).collect();
                format!("{indent}list_value {{\n{items}{indent}}}\n")
            }
            Json::Object(members) => {
                let deeper = format!("{inner}    ");
                let field = |(name, v): (&String, &Json)| {
                    let value = proto_text(v, &deeper);
                    format!(
                        "{inner}fields {{\n{inner}  key: {name:?}\n{inner}  value {{\n{value}{inner}  }}\n{inner}}}\n"
                    )
                };
                format!("{indent}struct_value {{\n{}{indent}}}\n", members.iter().map(field).collect::<String>())
            }
        }
    }
}

pub use texts::too_long;
