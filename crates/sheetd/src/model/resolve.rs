//! From what a request names (A1 text, `GridRange`, `DimensionRange`) to cells of this spreadsheet.

use serde_json::Value as Json;

use super::a1::{self, Spec};
use super::area::{Area, Axis, Bounds, Rect};
use super::sheet::Sheet;
use super::workbook::{NamedRange, Workbook};
use crate::errors::{ApiError, ApiResult};

impl Workbook {
    /// A range text; a bare word is a named range first, then a title (G-RANGES-3).
    pub fn resolve(&self, text: &str) -> ApiResult<Area> {
        let refused = || texts::unparseable(text);
        let whole = |sheet: &Sheet| Area { sheet: sheet.id, bounds: Bounds::default() };
        match a1::parse(text).ok_or_else(refused)? {
            Spec::Cells { title, bounds } => {
                let sheet = match title.as_deref() {
                    None | Some("") => &*self.sheets[0],
                    Some(title) => self.titled(title).ok_or_else(refused)?,
                };
                Ok(Area { sheet: sheet.id, bounds })
            }
            Spec::NameOn { title, name } => {
                let sheet = self.titled(&title).ok_or_else(refused)?;
                let named = self.named(&name).filter(|n| n.range.sheet == sheet.id);
                named.map(|n| n.range).ok_or_else(refused)
            }
            Spec::Title(title) => self.titled(&title).map(whole).ok_or_else(refused),
            Spec::Word(word) => match self.names.iter().find(|n| n.name.eq_ignore_ascii_case(&word)) {
                Some(named) => Ok(named.range),
                None => self.titled(&word).map(whole).ok_or_else(refused),
            },
        }
    }

    fn named(&self, name: &str) -> Option<&NamedRange> {
        self.names.iter().find(|n| n.name.eq_ignore_ascii_case(name))
    }

    /// The part of an area that lies in the grid; one that starts past it is refused, one that ends
    /// past it is cut.
    pub fn within_grid(&self, area: &Area) -> ApiResult<Rect> {
        let sheet = self.grid(area.sheet)?;
        let (rows, columns) = (sheet.row_count(), sheet.column_count());
        if area.bounds.r0.is_some_and(|r| r >= rows) || area.bounds.c0.is_some_and(|c| c >= columns) {
            return Err(texts::exceeds_grid(sheet, &area.bounds));
        }
        Ok(area.bounds.clamp(rows, columns))
    }

    /// `GridRange` of a request; the checks come in Google's order (G-STANDIN-5).
    pub fn grid_range(&self, range: &Json) -> ApiResult<Area> {
        let sheet = range.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
        let grid = self.grid(sheet)?;
        let area = Area { sheet, bounds: bounds(range)? };
        if area.bounds.r0.is_some_and(|r| r >= grid.row_count()) && !area.bounds.is_empty()
            || area.bounds.c0.is_some_and(|c| c >= grid.column_count()) && !area.bounds.is_empty()
        {
            return Err(texts::exceeds_grid(grid, &area.bounds));
        }
        Ok(area)
    }

    /// A required `GridRange`, cut to the grid.
    pub fn rect(&self, range: &Json) -> ApiResult<(i64, Rect)> {
        let area = self.grid_range(range)?;
        let sheet = self.grid(area.sheet)?;
        Ok((area.sheet, area.bounds.clamp(sheet.row_count(), sheet.column_count())))
    }

    /// `DimensionRange`: sheet, axis, start, end.
    pub fn dimension_range(&self, range: &Json) -> ApiResult<(i64, Axis, u32, u32)> {
        let index = |name: &str| range.get(name).and_then(Json::as_i64);
        if index("startIndex").is_some_and(|i| i < 0) || index("endIndex").is_some_and(|i| i < 0) {
            return Err(ApiError::invalid("DimensionRange indexes must be >= 0"));
        }
        let sheet = index("sheetId").unwrap_or(0);
        let grid = self.grid(sheet)?;
        let axis = axis(range)?;
        let start = index("startIndex").unwrap_or(0) as u32;
        let end = index("endIndex").map_or(grid.size(axis), |e| e as u32);
        if end < start {
            return Err(ApiError::invalid(format!("endIndex[{end}] cannot be before startIndex[{start}]")));
        }
        Ok((sheet, axis, start, end))
    }
}

/// Member `dimension`.
pub fn axis(body: &Json) -> ApiResult<Axis> {
    match body.get("dimension").and_then(Json::as_str) {
        Some("ROWS") => Ok(Axis::Rows),
        Some("COLUMNS") => Ok(Axis::Columns),
        _ => Err(ApiError::invalid("No dimension specified")),
    }
}

/// The edges of a `GridRange`.
pub fn bounds(range: &Json) -> ApiResult<Bounds> {
    let edge = |name: &str| range.get(name).and_then(Json::as_i64);
    let edges = [edge("startRowIndex"), edge("endRowIndex"), edge("startColumnIndex"), edge("endColumnIndex")];
    if edges.iter().flatten().any(|e| *e < 0) {
        return Err(ApiError::invalid("GridRange indexes must be >= 0"));
    }
    let [r0, r1, c0, c1] = edges.map(|e| e.map(|e| e.min(i64::from(u32::MAX)) as u32));
    for (name, start, end) in [("Row", r0, r1), ("Column", c0, c1)] {
        if let (start, Some(end)) = (start.unwrap_or(0), end)
            && end < start
        {
            return Err(ApiError::invalid(format!("end{name}Index[{end}] cannot be before start{name}Index[{start}]")));
        }
    }
    Ok(Bounds { r0, r1, c0, c1 })
}

pub mod texts {
    use super::{ApiError, Bounds, Sheet, a1};

    pub fn unparseable(text: &str) -> ApiError {
        ApiError::invalid(format!("Unable to parse range: {text}"))
    }

    pub fn exceeds_grid(sheet: &Sheet, bounds: &Bounds) -> ApiError {
        ApiError::invalid(format!(
            "Range ({}) exceeds grid limits. Max rows: {}, max columns: {}",
            a1::unclamped(&sheet.title, bounds),
            sheet.row_count(),
            sheet.column_count()
        ))
    }
}
