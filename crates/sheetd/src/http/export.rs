//! files.export: a spreadsheet's first tab as CSV or TSV (G-STANDIN-16).

use super::answer::Answer;
use super::call::Call;
use super::drive::{DriveError, visible};
use crate::model::locale::Locale;
use crate::model::render;
use crate::store::Store;

pub fn export(store: &Store, call: &Call) -> Result<Answer, DriveError> {
    let wanted = call.query.iter().find(|(n, _)| n == "mimeType").map(|(_, v)| v.as_str());
    let wanted = wanted.ok_or_else(|| DriveError::required_parameter("mimeType"))?;
    let file = visible(store, call)?;
    let (separator, content_type) = match wanted {
        "text/csv" => (',', "text/csv"),
        "text/tab-separated-values" => ('\t', "text/tab-separated-values"),
        _ => return Err(DriveError::unsupported_conversion()),
    };
    let sheet = &file.book.sheets[0];
    let locale = Locale::of(&file.book.locale);
    let shown = |row, column| sheet.cell(row, column).map(|cell| render::formatted_in(cell, &locale));
    let (rows, columns) = sheet.used();
    let lines: Vec<String> = (0..rows)
        .map(|r| {
            let cells = (0..columns).map(|c| field(&shown(r, c).unwrap_or_default(), separator));
            cells.collect::<Vec<_>>().join(&separator.to_string())
        })
        .collect();
    Ok(Answer { status: 200, content_type, body: lines.join("\r\n").into_bytes() })
}

/// TSV has no quoting: what would need it becomes a blank.
fn field(text: &str, separator: char) -> String {
    if separator == '\t' {
        return text.replace(['\t', '\n', '\r'], " ");
    }
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
