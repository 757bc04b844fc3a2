//! The basic filter: which rows it hides.

use serde_json::Value as Json;

use super::area::Axis;
use super::render;
use super::sheet::{ObjectKind, Sheet};

/// Hides the rows that the basic filter's criteria exclude, and shows all others again.
pub fn apply_basic(sheet: &mut Sheet) {
    let hidden = hidden_rows(sheet);
    for row in 0..sheet.row_count() {
        let mut props = sheet.props(Axis::Rows, row);
        let hide = hidden.contains(&row);
        if props.hidden_by_filter != hide {
            props.hidden_by_filter = hide;
            sheet.set_props(Axis::Rows, row, props);
        }
    }
}

fn hidden_rows(sheet: &Sheet) -> Vec<u32> {
    let Some(filter) = sheet.objects_of(ObjectKind::BasicFilter).next() else {
        return Vec::new();
    };
    let Some(range) = filter.ranges.first() else {
        return Vec::new();
    };
    let rect = range.clamp(sheet.row_count(), sheet.column_count());
    let excluded = excluded_values(&filter.body);
    // The first row of a filter is its header.
    (rect.r0 + 1..rect.r1)
        .filter(|row| {
            excluded.iter().any(|(column, values)| {
                let shown = sheet.cell(*row, *column).map(render::formatted).unwrap_or_default();
                values.contains(&shown)
            })
        })
        .collect()
}

/// Column and hidden values, from `criteria` (by column index) and `filterSpecs`.
fn excluded_values(body: &serde_json::Map<String, Json>) -> Vec<(u32, Vec<String>)> {
    let values = |criteria: &Json| -> Vec<String> {
        let hidden = criteria.get("hiddenValues").and_then(Json::as_array);
        hidden.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let by_index = body.get("criteria").and_then(Json::as_object).into_iter().flatten();
    let by_spec = body.get("filterSpecs").and_then(Json::as_array).into_iter().flatten();
    by_index
        .filter_map(|(column, criteria)| Some((column.parse().ok()?, values(criteria))))
        .chain(by_spec.map(|spec| {
            let column = spec.get("columnIndex").and_then(Json::as_u64).unwrap_or(0) as u32;
            (column, values(&spec["filterCriteria"]))
        }))
        .collect()
}
