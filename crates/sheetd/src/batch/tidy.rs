//! Requests that clean up: trimWhitespace, deleteDuplicates, updateBorders.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::Context;
use crate::errors::ApiResult;
use crate::model::area::Rect;
use crate::model::cell::{Cell, Entered};
use crate::model::formats;
use crate::model::mask::Mask;
use crate::model::render;
use crate::model::workbook::Workbook;

/// Blanks at both ends go, runs of blanks become one.
pub fn trim_whitespace(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    book.grid(id)?.check_protection(&rect, &context.caller)?;
    let sheet = book.grid_mut(id)?;
    let mut changed = 0;
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            let Some(Entered::Text(text)) = sheet.cell(r, c).map(|cell| &cell.entered) else { continue };
            let trimmed = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if trimmed != **text {
                sheet.cell_mut(r, c).entered = Entered::text(trimmed);
                changed += 1;
            }
        }
    }
    Ok(if changed > 0 { json!({ "cellsChangedCount": changed }) } else { json!({}) })
}

/// Of rows that show the same, the first stays; the others' cells go and those below move up.
pub fn delete_duplicates(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    book.grid(id)?.check_protection(&rect, &context.caller)?;
    let columns: Vec<u32> = match body.get("comparisonColumns").and_then(Json::as_array).filter(|c| !c.is_empty()) {
        Some(ranges) => ranges
            .iter()
            .flat_map(|r| {
                let edge = |name: &str, or: u32| r.get(name).and_then(Json::as_u64).map_or(or, |e| e as u32);
                edge("startIndex", rect.c0)..edge("endIndex", rect.c1)
            })
            .collect(),
        None => (rect.c0..rect.c1).collect(),
    };
    let sheet = book.grid(id)?;
    let mut seen = BTreeSet::new();
    let cells =
        |r: u32| -> Vec<Cell> { (rect.c0..rect.c1).map(|c| sheet.cell(r, c).cloned().unwrap_or_default()).collect() };
    let mut kept: Vec<Vec<Cell>> = Vec::new();
    let mut removed = 0;
    for r in rect.r0..rect.r1 {
        let shown: Vec<String> = columns
            .iter()
            .map(|c| sheet.cell(r, *c).map(render::formatted).unwrap_or_default().to_lowercase())
            .collect();
        let blank = shown.iter().all(String::is_empty);
        if blank || seen.insert(shown) { kept.push(cells(r)) } else { removed += 1 }
    }
    kept.resize(rect.height() as usize, vec![Cell::default(); rect.width() as usize]);
    let sheet = book.grid_mut(id)?;
    for (r, row) in (rect.r0..rect.r1).zip(kept) {
        for (c, cell) in (rect.c0..rect.c1).zip(row) {
            if !cell.is_bare() || sheet.cell(r, c).is_some() {
                *sheet.cell_mut(r, c) = cell;
            }
        }
        sheet.trim_row(r);
    }
    Ok(if removed > 0 { json!({ "duplicatesRemovedCount": removed }) } else { json!({}) })
}

/// The four sides of the range, and the lines between its cells.
pub fn update_borders(book: &mut Workbook, body: &Json) -> ApiResult<()> {
    let (id, rect) = book.rect(body.get("range").unwrap_or(&Json::Null))?;
    let sheet = book.grid_mut(id)?;
    for r in rect.r0..rect.r1 {
        for c in rect.c0..rect.c1 {
            for (side, border) in sides(body, &rect, r, c) {
                let borders = Json::Object(Map::from_iter([(side.to_owned(), border.clone())]));
                let mask = Mask::Members(vec![(side.to_owned(), Mask::All)]);
                let nested = Mask::Members(vec![("borders".to_owned(), mask)]);
                formats::merge_format(sheet.cell_mut(r, c), Some(&json!({ "borders": borders })), &nested);
            }
        }
    }
    Ok(())
}

/// Which borders of the request touch this cell.
fn sides<'a>(body: &'a Json, rect: &Rect, r: u32, c: u32) -> Vec<(&'static str, &'a Json)> {
    let pick = |edge: bool, outer: &str, inner: &str| body.get(if edge { outer } else { inner });
    [
        ("top", pick(r == rect.r0, "top", "innerHorizontal")),
        ("bottom", pick(r + 1 == rect.r1, "bottom", "innerHorizontal")),
        ("left", pick(c == rect.c0, "left", "innerVertical")),
        ("right", pick(c + 1 == rect.c1, "right", "innerVertical")),
    ]
    .into_iter()
    .filter_map(|(side, border)| Some((side, border?)))
    .collect()
}
