//! One call of a method: who calls, with which parameters, and how it wants its answer.

use serde::Serialize;
use serde_json::Value as Json;

use super::answer::Answer;
use super::route::{Route, Service};
use crate::errors::{ApiError, ApiResult};
use crate::model::area::Axis;
use crate::model::mask::{Kept, Mask};
use crate::model::proto::{self, SHEETS};
use crate::model::render::{Render, Style};

pub struct Call {
    pub route: Route,
    pub caller: String,
    pub query: Vec<(String, String)>,
    /// In canonical form; an object even where none was sent.
    pub body: Json,
    pub fields: Option<Mask>,
    pub pretty: bool,
    /// Whether error cells come with their message in typed renderings.
    pub error_messages: bool,
}

/// Parameters that every Sheets method takes.
const SYSTEM: &[&str] = &[
    "$.xgafv",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "upload_protocol",
];

impl Call {
    /// The last of repeated typed parameters counts (G-STANDIN-6).
    pub fn last(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.last(name).and_then(|v| proto::boolean(&v.into())).and_then(|b| b.as_bool()).unwrap_or(false)
    }

    /// A list of the body, which is empty of it from now on; nothing where it has none.
    pub fn take_list(&mut self, name: &str) -> Vec<Json> {
        match self.body.get_mut(name).map(Json::take) {
            Some(Json::Array(items)) => items,
            _ => Vec::new(),
        }
    }

    /// The answer in the form asked for.
    pub fn answer(&self, body: &impl Serialize) -> Answer {
        match &self.fields {
            Some(mask) if !mask.is_all() => self.answer_json(&crate::store::json(body)),
            _ => Answer::json(body, self.pretty),
        }
    }

    /// The same for what is JSON already.
    pub fn answer_json(&self, value: &Json) -> Answer {
        let mask = self.fields.as_ref().unwrap_or(&Mask::All);
        Answer::json(&Kept { mask, value }, self.pretty)
    }

    /// Render options of a read, from the query or from a body.
    pub fn style(&self, value: &str, date: &str) -> Style {
        let text =
            |name: &str| self.last(name).map(str::to_owned).or_else(|| Some(self.body.get(name)?.as_str()?.to_owned()));
        Style { error_messages: self.error_messages, ..style_of(text(value).as_deref(), text(date).as_deref()) }
    }

    /// `majorDimension` of a body.
    pub fn body_axis(&self) -> Axis {
        axis_of(self.body.get("majorDimension").and_then(Json::as_str))
    }

    pub fn axis(&self) -> Axis {
        axis_of(self.last("majorDimension").or_else(|| self.body.get("majorDimension")?.as_str()))
    }
}

pub fn axis_of(name: Option<&str>) -> Axis {
    match name.map(|n| n.to_ascii_uppercase()) {
        Some(n) if n == "COLUMNS" || n == "2" => Axis::Columns,
        _ => Axis::Rows,
    }
}

fn style_of(value: Option<&str>, date: Option<&str>) -> Style {
    let render = match value.map(|v| v.to_ascii_uppercase()).as_deref() {
        Some("UNFORMATTED_VALUE" | "1") => Render::Unformatted,
        Some("FORMULA" | "2") => Render::Formula,
        _ => Render::Formatted,
    };
    let date = date.map(|d| d.to_ascii_uppercase());
    Style { render, date_texts: matches!(date.as_deref(), Some("FORMATTED_STRING" | "1")), ..Style::default() }
}

const DIMENSION: &[&str] = &["DIMENSION_UNSPECIFIED", "ROWS", "COLUMNS"];
const VALUE_RENDER: &[&str] = &["FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"];
const DATE_RENDER: &[&str] = &["SERIAL_NUMBER", "FORMATTED_STRING"];
const INPUT: &[&str] = &["INPUT_VALUE_OPTION_UNSPECIFIED", "RAW", "USER_ENTERED"];
const INSERT: &[&str] = &["OVERWRITE", "INSERT_ROWS"];

/// Names and typed values of the query (G-STANDIN-6).
pub fn check_query(route: &Route, query: &[(String, String)]) -> ApiResult<()> {
    if route.method.service == Service::Drive {
        return Ok(());
    }
    for (name, value) in query {
        if name == "uploadType" || !SYSTEM.contains(&name.as_str()) && !route.method.query.contains(&name.as_str()) {
            let text = format!(
                "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' could not be found in request message."
            );
            return Err(ApiError::bad_request(text.clone(), &[(String::new(), text)]));
        }
        let names = match name.as_str() {
            "majorDimension" => DIMENSION,
            "valueRenderOption" | "responseValueRenderOption" => VALUE_RENDER,
            "dateTimeRenderOption" | "responseDateTimeRenderOption" => DATE_RENDER,
            "valueInputOption" => INPUT,
            "insertDataOption" => INSERT,
            "includeGridData" | "includeValuesInResponse" | "excludeTablesInBandedRanges" => {
                if proto::boolean(&value.as_str().into()).is_none() {
                    return Err(bad_parameter(name, "TYPE_BOOL", value));
                }
                continue;
            }
            _ => continue,
        };
        let names: Vec<Json> = names.iter().map(|n| Json::from(*n)).collect();
        if proto::member(&names, &value.as_str().into()).is_none() {
            let kind = proto::enum_name(&proto::snake(name).replace("response_", ""));
            return Err(bad_parameter(name, &format!("type.googleapis.com/google.apps.sheets.v4.{kind}"), value));
        }
    }
    Ok(())
}

fn bad_parameter(name: &str, kind: &str, value: &str) -> ApiError {
    let field = proto::snake(name);
    let text = format!("Invalid value at '{field}' ({kind}), \"{value}\"");
    ApiError::bad_request(text.clone(), &[(field, text)])
}

/// A body as JSON; none is an empty object.
pub fn parse(body: &[u8]) -> ApiResult<Json> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(Json::Object(Default::default()));
    }
    serde_json::from_str(text).map_err(|e| syntax_error(text, &e))
}

/// The body in canonical form. `values.update` and `values.append` name theirs `data` (recorded).
pub fn read_body(route: &Route, parsed: ApiResult<Json>) -> ApiResult<Json> {
    if route.method.body.is_empty() && route.method.service == Service::Sheets {
        return Ok(Json::Object(Default::default()));
    }
    let parsed = parsed?;
    if parsed.is_null() {
        return Ok(Json::Object(Default::default()));
    }
    match route.method.service {
        Service::Drive => Ok(parsed),
        Service::Sheets => {
            let root = if matches!(route.method.name, "values.update" | "values.append") { "data" } else { "" };
            SHEETS.body(route.method.body, parsed, root)
        }
    }
}

/// `Invalid JSON payload received. <sentence>\n<20 bytes either side>\n<caret>` (G-STANDIN-6).
fn syntax_error(text: &str, error: &serde_json::Error) -> ApiError {
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (line_start + error.column().saturating_sub(1)).min(text.len());
    let sentence = if error.is_eof() { "Unexpected end of string." } else { "Unexpected token." };
    let floor = |mut i: usize| {
        while !text.is_char_boundary(i) {
            i -= 1;
        }
        i
    };
    let (from, to) = (floor(at.saturating_sub(20)), floor((at + 20).min(text.len())));
    let caret = " ".repeat(text[from..floor(at)].chars().count());
    ApiError::invalid(format!("Invalid JSON payload received. {sentence}\n{}\n{caret}^", &text[from..to]))
}

/// `fields` of the query.
pub fn read_fields(route: &Route, query: &[(String, String)]) -> ApiResult<Option<Mask>> {
    let Some(text) = query.iter().find(|(n, _)| n == "fields").map(|(_, v)| v.as_str()).filter(|t| !t.is_empty())
    else {
        return Ok(None);
    };
    SHEETS.mask(route.method.answer, text).map(|m| Some(m.canonical()))
}
