//! Requests that carry cells from one place to another: copyPaste, cutPaste, findReplace,
//! insertRange, deleteRange.

use serde_json::{Map, Value as Json, json};

use super::Context;
use super::cells::coordinate;
use crate::errors::{ApiError, ApiResult};
use crate::model::area::{Area, Axis, Rect};
use crate::model::cell::{Cell, Entered};
use crate::model::locale::Locale;
use crate::model::references;
use crate::model::render;
use crate::model::sheet::Sheet;
use crate::model::values::{InputOption, Nulls, Writer};
use crate::model::workbook::Workbook;

/// What of a copied cell arrives.
#[derive(Clone, Copy, PartialEq)]
enum Paste {
    Normal,
    Values,
    Format,
    NoBorders,
    Formula,
    Validation,
}

impl Paste {
    fn read(body: &Json) -> ApiResult<Self> {
        Ok(match body.get("pasteType").and_then(Json::as_str).unwrap_or("PASTE_NORMAL") {
            "PASTE_NORMAL" => Self::Normal,
            "PASTE_VALUES" => Self::Values,
            "PASTE_FORMAT" => Self::Format,
            "PASTE_NO_BORDERS" => Self::NoBorders,
            "PASTE_FORMULA" => Self::Formula,
            "PASTE_DATA_VALIDATION" => Self::Validation,
            other => return Err(texts::paste_type(other)),
        })
    }

    /// Lays a cell over another one. Formulas were moved by the caller.
    fn lay(self, from: &Cell, onto: &mut Cell) {
        let validation = from.extra.as_ref().and_then(|e| e.get("dataValidation")).cloned();
        match self {
            Self::Normal => *onto = from.clone(),
            Self::Values => onto.entered = as_value(from),
            Self::Format => onto.format.clone_from(&from.format),
            Self::NoBorders => {
                *onto = from.clone();
                if let Some(format) = &mut onto.format
                    && let Some(members) = std::sync::Arc::make_mut(format).as_object_mut()
                {
                    members.shift_remove("borders");
                }
            }
            Self::Formula => onto.entered = from.entered.clone(),
            Self::Validation => onto.set_extra("dataValidation", validation),
        }
    }
}

/// The result of a formula as if it had been typed.
fn as_value(cell: &Cell) -> Entered {
    use crate::model::cell::Computed;
    match cell.computed() {
        Computed::Empty => Entered::Empty,
        Computed::Number(n) => Entered::Number(n),
        Computed::Bool(b) => Entered::Bool(b),
        Computed::Text(t) => Entered::text(t),
        Computed::Error(e) => Entered::text(e.kind.shown()),
    }
}

fn cells_of(sheet: &Sheet, rect: &Rect) -> Vec<Vec<Cell>> {
    let row = |r| (rect.c0..rect.c1).map(|c| sheet.cell(r, c).cloned().unwrap_or_default()).collect();
    (rect.r0..rect.r1).map(row).collect()
}

/// A destination larger than the source is filled by repeating it, a smaller one is overrun
/// (G-STANDIN-13).
pub fn copy(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let paste = Paste::read(body)?;
    let (source_id, source) = book.rect(body.get("source").unwrap_or(&Json::Null))?;
    let (id, target) = book.rect(body.get("destination").unwrap_or(&Json::Null))?;
    let mut cells = cells_of(book.grid(source_id)?, &source);
    let transposed = body.get("pasteOrientation").and_then(Json::as_str) == Some("TRANSPOSE");
    if transposed {
        cells = (0..source.width() as usize).map(|c| cells.iter().map(|row| row[c].clone()).collect()).collect();
    }
    let (height, width) = (cells.len() as u32, cells.first().map_or(0, Vec::len) as u32);
    if height == 0 || width == 0 {
        return Ok(());
    }
    let times = |room: u32, size: u32| if room >= size && room.is_multiple_of(size) { room } else { size };
    let rect =
        Rect { r1: target.r0 + times(target.height(), height), c1: target.c0 + times(target.width(), width), ..target };
    super::grow(book, id, rect.r1, rect.c1)?;
    book.grid(id)?.check_protection(&rect, &context.caller)?;
    let sheet = book.grid_mut(id)?;
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            let (i, j) = ((r - rect.r0) % height, (c - rect.c0) % width);
            let mut from = cells[i as usize][j as usize].clone();
            if let Some(text) = from.formula().filter(|_| paste != Paste::Values) {
                let (row, column) =
                    if transposed { (source.r0 + j, source.c0 + i) } else { (source.r0 + i, source.c0 + j) };
                let moved = references::offset(text, i64::from(r) - i64::from(row), i64::from(c) - i64::from(column));
                from.entered = Entered::formula(moved);
            }
            if !from.is_bare() || sheet.cell(r, c).is_some() {
                paste.lay(&from, sheet.cell_mut(r, c));
            }
        }
        sheet.trim_row(r);
    }
    context.touch(id, "copyPaste", rect);
    Ok(())
}

/// Cells move, rows and their metadata do not; merges that were wholly cut move along.
pub fn cut(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let paste = Paste::read(body)?;
    let (source_id, source) = book.rect(body.get("source").unwrap_or(&Json::Null))?;
    let (id, row, column) = coordinate(book, body.get("destination").unwrap_or(&Json::Null))?;
    let target = Rect { r0: row, r1: row + source.height(), c0: column, c1: column + source.width() };
    super::grow(book, id, target.r1, target.c1)?;
    book.grid(source_id)?.check_protection(&source, &context.caller)?;
    book.grid(id)?.check_protection(&target, &context.caller)?;
    let cells = cells_of(book.grid(source_id)?, &source);
    let from = book.grid_mut(source_id)?;
    let merges: Vec<Rect> = from.merges.iter().filter(|m| source.covers(m)).copied().collect();
    from.merges.retain(|m| !source.covers(m));
    for r in source.r0..source.r1 {
        for c in source.c0..source.c1 {
            if from.cell(r, c).is_some() {
                *from.cell_mut(r, c) = Cell::default();
            }
        }
        from.trim_row(r);
    }
    let sheet = book.grid_mut(id)?;
    for (r, row) in (target.r0..target.r1).zip(&cells) {
        for (c, cell) in (target.c0..target.c1).zip(row) {
            if !cell.is_bare() || sheet.cell(r, c).is_some() {
                paste.lay(cell, sheet.cell_mut(r, c));
            }
        }
        sheet.trim_row(r);
    }
    let moved = |m: &Rect| {
        let (r0, c0) = (m.r0 - source.r0 + target.r0, m.c0 - source.c0 + target.c0);
        Rect { r0, r1: r0 + m.height(), c0, c1: c0 + m.width() }
    };
    sheet.merges.retain(|m| !target.intersects(m));
    sheet.merges.extend(merges.iter().map(moved));
    context.touch(source_id, "cutPaste", source);
    context.touch(id, "cutPaste", target);
    Ok(())
}

/// Text as from a clipboard. Under a filter it lands in visible rows only (G-STANDIN-13).
pub fn data(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    if body.get("html").and_then(Json::as_bool) == Some(true) {
        return Err(texts::html());
    }
    let (id, row, column) = coordinate(book, body.get("coordinate").unwrap_or(&Json::Null))?;
    let text = body.get("data").and_then(Json::as_str).unwrap_or_default();
    let delimiter = body.get("delimiter").and_then(Json::as_str).filter(|d| !d.is_empty()).unwrap_or("\t");
    let locale = book.locale.clone();
    let writer = Writer { option: InputOption::UserEntered, nulls: Nulls::Skip, locale: &locale, year: context.year };
    let mut row = row;
    for line in text.lines() {
        while book.grid(id)?.props(Axis::Rows, row).hidden_by_filter {
            row += 1;
        }
        let cells: Vec<&str> = line.split(delimiter).collect();
        let rect = Rect { r0: row, r1: row + 1, c0: column, c1: column + cells.len() as u32 };
        super::grow(book, id, rect.r1, rect.c1)?;
        book.grid(id)?.check_protection(&rect, &context.caller)?;
        for (c, cell) in (column..).zip(cells) {
            writer.set(book.grid_mut(id)?, row, c, &Json::from(cell))?;
        }
        row += 1;
    }
    Ok(())
}

/// Cells are pushed down or to the right; what would fall off the grid makes it grow.
pub fn insert_range(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let axis = shift_axis(body)?;
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    if rect.is_empty() {
        return Ok(());
    }
    let sheet = book.grid(id)?;
    let (used_rows, used_columns) = sheet.used();
    let tail = match axis {
        Axis::Rows => Rect { r0: rect.r0, r1: used_rows.max(rect.r0), ..rect },
        Axis::Columns => Rect { c0: rect.c0, c1: used_columns.max(rect.c0), ..rect },
    };
    sheet.check_protection(&tail, &context.caller)?;
    let (rows, columns) = match axis {
        Axis::Rows => (tail.r1 + rect.height(), sheet.column_count()),
        Axis::Columns => (sheet.row_count(), tail.c1 + rect.width()),
    };
    super::grow(book, id, rows, columns)?;
    let (down, right) = if axis == Axis::Rows { (rect.height(), 0) } else { (0, rect.width()) };
    move_block(book.grid_mut(id)?, &tail, i64::from(down), i64::from(right));
    Ok(())
}

/// The cells below, or to the right, close the gap.
pub fn delete_range(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<()> {
    let axis = shift_axis(body)?;
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    if rect.is_empty() {
        return Ok(());
    }
    let sheet = book.grid(id)?;
    let tail = match axis {
        Axis::Rows => Rect { r0: rect.r1, r1: sheet.row_count(), ..rect },
        Axis::Columns => Rect { c0: rect.c1, c1: sheet.column_count(), ..rect },
    };
    sheet.check_protection(&rect, &context.caller)?;
    sheet.check_protection(&tail, &context.caller)?;
    let sheet = book.grid_mut(id)?;
    wipe(sheet, &rect);
    let (up, left) = if axis == Axis::Rows { (rect.height(), 0) } else { (0, rect.width()) };
    move_block(sheet, &tail, -i64::from(up), -i64::from(left));
    Ok(())
}

fn shift_axis(body: &Json) -> ApiResult<Axis> {
    match body.get("shiftDimension").and_then(Json::as_str) {
        Some("ROWS") => Ok(Axis::Rows),
        Some("COLUMNS") => Ok(Axis::Columns),
        _ => Err(texts::no_shift_dimension()),
    }
}

fn wipe(sheet: &mut Sheet, rect: &Rect) {
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            if sheet.cell(r, c).is_some() {
                *sheet.cell_mut(r, c) = Cell::default();
            }
        }
        sheet.trim_row(r);
    }
}

/// Moves cells by so many rows and columns and leaves nothing behind.
fn move_block(sheet: &mut Sheet, rect: &Rect, rows: i64, columns: i64) {
    let mut carried = Vec::new();
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            if let Some(cell) = sheet.cell(r, c).filter(|c| !c.is_bare()) {
                carried.push((r, c, cell.clone()));
            }
        }
    }
    wipe(sheet, rect);
    for (r, c, cell) in carried {
        let (row, column) = ((i64::from(r) + rows) as u32, (i64::from(c) + columns) as u32);
        *sheet.cell_mut(row, column) = cell;
    }
}

/// Counts as `FindReplaceResponse` does.
#[derive(Default)]
struct Found {
    values: u64,
    formulas: u64,
    rows: std::collections::BTreeSet<(i64, u32)>,
    sheets: std::collections::BTreeSet<i64>,
    occurrences: u64,
}

pub fn find_replace(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let flag = |name: &str| body.get(name).and_then(Json::as_bool).unwrap_or(false);
    let find = body.get("find").and_then(Json::as_str).unwrap_or_default();
    if find.is_empty() {
        return Err(texts::no_find());
    }
    let replacement = body.get("replacement").and_then(Json::as_str).unwrap_or_default();
    let pattern = if flag("searchByRegex") { find.to_owned() } else { regex::escape(find) };
    let pattern = if flag("matchEntireCell") { format!("^(?:{pattern})$") } else { pattern };
    let regex = regex::RegexBuilder::new(&pattern)
        .case_insensitive(!flag("matchCase"))
        .build()
        .map_err(|_| texts::bad_regex(find))?;
    let areas: Vec<(i64, Rect)> = if let Some(range) = body.get("range") {
        vec![book.rect(range)?]
    } else if let Some(id) = body.get("sheetId").and_then(Json::as_i64) {
        let area = Area { sheet: id, bounds: Default::default() };
        vec![(id, book.within_grid(&area)?)]
    } else if flag("allSheets") {
        let whole = |s: &std::sync::Arc<Sheet>| (s.id, Rect { r0: 0, r1: s.row_count(), c0: 0, c1: s.column_count() });
        book.sheets.iter().map(whole).collect()
    } else {
        return Err(texts::no_scope());
    };
    let replacer = Replacer { regex, replacement, literal: !flag("searchByRegex"), formulas: flag("includeFormulas") };
    let mut found = Found::default();
    for (id, rect) in areas {
        replacer.run(book, id, &rect, context, &mut found)?;
    }
    Ok(found.json())
}

struct Replacer<'a> {
    regex: regex::Regex,
    replacement: &'a str,
    literal: bool,
    formulas: bool,
}

impl Replacer<'_> {
    fn replaced(&self, text: &str) -> Option<(String, u64)> {
        let count = self.regex.find_iter(text).count() as u64;
        let new = if self.literal {
            self.regex.replace_all(text, regex::NoExpand(self.replacement)).into_owned()
        } else {
            self.regex.replace_all(text, self.replacement).into_owned()
        };
        (count > 0).then_some((new, count))
    }

    /// What is put back is read as if it had been typed.
    fn run(
        &self,
        book: &mut Workbook,
        id: i64,
        rect: &Rect,
        context: &mut Context,
        found: &mut Found,
    ) -> ApiResult<()> {
        let locale = book.locale.clone();
        let writer =
            Writer { option: InputOption::UserEntered, nulls: Nulls::Skip, locale: &locale, year: context.year };
        let shown = Locale::of(&locale);
        let sheet = book.grid(id)?;
        let mut changes = Vec::new();
        for r in rect.r0..rect.r1 {
            let Some(row) = sheet.row(r) else { continue };
            for (c, cell) in row.cells.iter().enumerate().take(rect.c1 as usize).skip(rect.c0 as usize) {
                let text = match cell.formula() {
                    Some(formula) if self.formulas => formula.to_owned(),
                    Some(_) => continue,
                    None => render::formatted_in(cell, &shown),
                };
                if let Some((new, count)) = self.replaced(&text) {
                    found.occurrences += count;
                    if cell.formula().is_some() {
                        found.formulas += 1
                    } else {
                        found.values += 1
                    }
                    found.rows.insert((id, r));
                    found.sheets.insert(id);
                    changes.push((r, c as u32, new));
                }
            }
        }
        for (r, c, new) in changes {
            book.grid(id)?.check_protection(&Rect { r0: r, r1: r + 1, c0: c, c1: c + 1 }, &context.caller)?;
            writer.set(book.grid_mut(id)?, r, c, &Json::from(new))?;
        }
        Ok(())
    }
}

impl Found {
    fn json(&self) -> Json {
        let mut out = Map::new();
        for (name, count) in [
            ("valuesChanged", self.values),
            ("formulasChanged", self.formulas),
            ("rowsChanged", self.rows.len() as u64),
            ("sheetsChanged", self.sheets.len() as u64),
            ("occurrencesChanged", self.occurrences),
        ] {
            if count > 0 {
                out.insert(name.to_owned(), json!(count));
            }
        }
        Json::Object(out)
    }
}

mod texts {
    use super::ApiError;

    pub fn paste_type(kind: &str) -> ApiError {
        ApiError::invalid(format!("The paste type {kind} is not modelled by this server."))
    }

    pub fn html() -> ApiError {
        ApiError::invalid("Pasting HTML is not modelled by this server.")
    }

    pub fn no_shift_dimension() -> ApiError {
        ApiError::invalid("No shiftDimension specified")
    }

    pub fn no_find() -> ApiError {
        ApiError::invalid("find must be specified.")
    }

    pub fn bad_regex(text: &str) -> ApiError {
        ApiError::invalid(format!("Invalid regular expression: {text}"))
    }

    pub fn no_scope() -> ApiError {
        ApiError::invalid("One of range, sheetId or allSheets must be specified.")
    }
}
