//! The basic filter: which rows it hides.

use serde_json::Value as Json;

use super::area::Axis;
use super::cell::Cell;
use super::conditions;
use super::locale::Locale;
use super::render;
use super::sheet::{ObjectKind, Sheet};

/// Hides the rows that the basic filter's criteria exclude, and shows all others again.
pub fn apply_basic(sheet: &mut Sheet, locale: &Locale) {
    let hidden = hidden_rows(sheet, locale);
    for row in 0..sheet.row_count() {
        let mut props = sheet.props(Axis::Rows, row);
        let hide = hidden.contains(&row);
        if props.hidden_by_filter != hide {
            props.hidden_by_filter = hide;
            sheet.set_props(Axis::Rows, row, props);
        }
    }
}

fn hidden_rows(sheet: &Sheet, locale: &Locale) -> Vec<u32> {
    let Some(filter) = sheet.objects_of(ObjectKind::BasicFilter).next() else {
        return Vec::new();
    };
    let Some(range) = filter.ranges.first() else {
        return Vec::new();
    };
    let rect = range.clamp(sheet.row_count(), sheet.column_count());
    let criteria = criteria(&filter.body);
    // The first row of a filter is its header.
    (rect.r0 + 1..rect.r1)
        .filter(|row| criteria.iter().any(|(column, criteria)| excludes(criteria, sheet.cell(*row, *column), locale)))
        .collect()
}

/// A condition of a kind that is not modelled hides nothing.
fn excludes(criteria: &Json, cell: Option<&Cell>, locale: &Locale) -> bool {
    let shown = cell.map(|cell| render::formatted_in(cell, locale)).unwrap_or_default();
    let hidden = criteria.get("hiddenValues").and_then(Json::as_array);
    hidden.is_some_and(|values| values.iter().any(|v| v.as_str() == Some(&shown)))
        || criteria.get("condition").and_then(|c| conditions::holds(c, cell, &shown)) == Some(false)
}

/// Column and `FilterCriteria`, from `criteria` (by column index) and `filterSpecs`.
fn criteria(body: &serde_json::Map<String, Json>) -> Vec<(u32, &Json)> {
    let by_index = body.get("criteria").and_then(Json::as_object).into_iter().flatten();
    let by_spec = body.get("filterSpecs").and_then(Json::as_array).into_iter().flatten();
    by_index
        .filter_map(|(column, criteria)| Some((column.parse().ok()?, criteria)))
        .chain(by_spec.map(|spec| {
            let column = spec.get("columnIndex").and_then(Json::as_u64).unwrap_or(0) as u32;
            (column, &spec["filterCriteria"])
        }))
        .collect()
}
