//! Cell formats: how they are merged, and the twin members that Google keeps equal.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::cell::Cell;
use super::mask::Mask;

/// Members that hold a `Color` and their newer `ColorStyle` twins; an answer shows both (recorded:
/// test_format).
const COLOR_TWINS: [(&str, &str); 2] =
    [("backgroundColor", "backgroundColorStyle"), ("foregroundColor", "foregroundColorStyle")];

/// Changes the members of `userEnteredFormat` that the mask names.
pub fn merge_format(cell: &mut Cell, given: Option<&Json>, mask: &Mask) {
    let mut format = cell.format.as_deref().and_then(Json::as_object).cloned().unwrap_or_default();
    let empty = Map::new();
    let given = given.and_then(Json::as_object).unwrap_or(&empty);
    drop_stale_twins(&mut format, given, mask);
    mask.merge(&mut format, given);
    complete(&mut format);
    cell.format = (!format.is_empty()).then(|| Arc::new(Json::Object(format)));
}

/// A colour that is set anew must not be contradicted by its older twin.
fn drop_stale_twins(format: &mut Map<String, Json>, given: &Map<String, Json>, mask: &Mask) {
    for (color, style) in COLOR_TWINS {
        if mask.covers(color) || mask.covers(style) {
            format.shift_remove(color);
            format.shift_remove(style);
        }
    }
    if let (Some(Json::Object(inner)), Some(mask)) = (format.get_mut("textFormat"), mask.member("textFormat")) {
        let empty = Map::new();
        drop_stale_twins(inner, given.get("textFormat").and_then(Json::as_object).unwrap_or(&empty), mask);
    }
}

fn complete(format: &mut Map<String, Json>) {
    for (color, style) in COLOR_TWINS {
        if let Some(rgb) = format.get(style).and_then(|s| s.get("rgbColor")).map(narrow) {
            format.insert(color.to_owned(), rgb.clone());
            format.insert(style.to_owned(), serde_json::json!({ "rgbColor": rgb }));
        } else if let Some(rgb) = format.get(color).map(narrow) {
            format.insert(color.to_owned(), rgb.clone());
            format.insert(style.to_owned(), serde_json::json!({ "rgbColor": rgb }));
        }
    }
    if let Some(Json::Object(inner)) = format.get_mut("textFormat") {
        complete(inner);
    }
}

/// Colours are kept in 8 bits and shown as 32-bit floats: 0.5 comes back as 0.49803922 (recorded),
/// and 0 is left out.
pub fn narrow(color: &Json) -> Json {
    let Some(members) = color.as_object() else {
        return color.clone();
    };
    let mut out = Map::new();
    for (name, value) in members {
        let Some(value) = value.as_f64() else {
            continue;
        };
        if value != 0.0 {
            let eighth_bit = (value * 255.0 - 0.5).ceil() / 255.0;
            let shortest: f64 = (eighth_bit as f32).to_string().parse().unwrap_or(value);
            out.insert(name.clone(), super::cell::json_number(shortest));
        }
    }
    Json::Object(out)
}

/// A number format given along with a typed value; it never replaces one that a person chose.
pub fn suggest_number_format(cell: &mut Cell, format: &Json) {
    if cell.number_format().is_none() {
        let given = serde_json::json!({ "numberFormat": format });
        merge_format(cell, Some(&given), &Mask::Members(vec![("numberFormat".to_owned(), Mask::All)]));
    }
}

/// A cell whose number format is plain text keeps what is typed as it is.
pub fn is_text_cell(cell: Option<&Cell>) -> bool {
    cell.and_then(Cell::number_format).is_some_and(|f| f.get("type").and_then(Json::as_str) == Some("TEXT"))
}

/// `CellFormat` that a sheet has where nothing else is said.
pub fn default_format() -> Json {
    serde_json::json!({
        "backgroundColor": { "red": 1, "green": 1, "blue": 1 },
        "padding": { "top": 2, "right": 3, "bottom": 2, "left": 3 },
        "verticalAlignment": "BOTTOM",
        "wrapStrategy": "OVERFLOW_CELL",
        "textFormat": { "foregroundColor": {}, "fontFamily": "arial,sans,sans-serif", "fontSize": 10, "bold": false,
            "italic": false, "strikethrough": false, "underline": false, "foregroundColorStyle": { "rgbColor": {} } },
        "backgroundColorStyle": { "rgbColor": { "red": 1, "green": 1, "blue": 1 } }
    })
}

/// The theme of a new spreadsheet (recorded).
pub fn default_theme() -> Json {
    let color = |kind: &str, rgb: Json| serde_json::json!({ "colorType": kind, "color": { "rgbColor": rgb } });
    let rgb = |r: f64, g: f64, b: f64| narrow(&serde_json::json!({ "red": r, "green": g, "blue": b }));
    serde_json::json!({ "primaryFontFamily": "Arial", "themeColors": [
        color("TEXT", rgb(0.0, 0.0, 0.0)),
        color("BACKGROUND", rgb(1.0, 1.0, 1.0)),
        color("ACCENT1", rgb(0.25882354, 0.52156866, 0.95686275)),
        color("ACCENT2", rgb(0.91764706, 0.2627451, 0.20784314)),
        color("ACCENT3", rgb(0.9843137, 0.7372549, 0.015686275)),
        color("ACCENT4", rgb(0.20392157, 0.65882355, 0.3254902)),
        color("ACCENT5", rgb(1.0, 0.42745098, 0.003921569)),
        color("ACCENT6", rgb(0.27450982, 0.7411765, 0.7764706)),
        color("LINK", rgb(0.06666667, 0.33333334, 0.8)),
    ] })
}
