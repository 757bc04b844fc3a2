//! Which method a path stands for.

use percent_encoding::percent_decode_str;

/// A method, by the name that the discovery document gives it without its leading resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    pub name: &'static str,
    pub service: Service,
    /// Counts against the read or the write quota.
    pub writes: bool,
    /// Allowed with a read-only scope (G-AUTH-6).
    pub read_only_scope: bool,
    /// The message of its answer, for `fields`.
    pub answer: &'static str,
    /// The message of its body.
    pub body: &'static str,
    pub query: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Sheets,
    Drive,
}

/// A matched path: the method and the parameters in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    pub id: String,
    /// Range, metadata id, sheet id or permission id.
    pub rest: String,
}

const RENDER: &[&str] = &["majorDimension", "valueRenderOption", "dateTimeRenderOption"];
const RENDER_MANY: &[&str] = &["ranges", "majorDimension", "valueRenderOption", "dateTimeRenderOption"];
const WRITE: &[&str] =
    &["valueInputOption", "includeValuesInResponse", "responseValueRenderOption", "responseDateTimeRenderOption"];
const APPEND: &[&str] = &[
    "valueInputOption",
    "insertDataOption",
    "includeValuesInResponse",
    "responseValueRenderOption",
    "responseDateTimeRenderOption",
];
const GET: &[&str] = &["ranges", "includeGridData", "excludeTablesInBandedRanges", "commentsViewMode"];

const fn sheets(
    name: &'static str,
    writes: bool,
    read_only_scope: bool,
    body: &'static str,
    answer: &'static str,
    query: &'static [&'static str],
) -> Method {
    Method { name, service: Service::Sheets, writes, read_only_scope, answer, body, query }
}

const fn drive(name: &'static str, writes: bool) -> Method {
    Method { name, service: Service::Drive, writes, read_only_scope: !writes, answer: "File", body: "", query: &[] }
}

const METHODS: &[Method] = &[
    sheets("spreadsheets.create", true, false, "Spreadsheet", "Spreadsheet", &[]),
    sheets("spreadsheets.get", false, true, "", "Spreadsheet", GET),
    sheets("spreadsheets.getByDataFilter", false, false, "GetSpreadsheetByDataFilterRequest", "Spreadsheet", &[]),
    sheets(
        "spreadsheets.batchUpdate",
        true,
        false,
        "BatchUpdateSpreadsheetRequest",
        "BatchUpdateSpreadsheetResponse",
        &[],
    ),
    sheets("developerMetadata.get", false, false, "", "DeveloperMetadata", &[]),
    sheets(
        "developerMetadata.search",
        false,
        false,
        "SearchDeveloperMetadataRequest",
        "SearchDeveloperMetadataResponse",
        &[],
    ),
    sheets("sheets.copyTo", true, false, "CopySheetToAnotherSpreadsheetRequest", "SheetProperties", &[]),
    sheets("values.get", false, true, "", "ValueRange", RENDER),
    sheets("values.update", true, false, "ValueRange", "UpdateValuesResponse", WRITE),
    sheets("values.append", true, false, "ValueRange", "AppendValuesResponse", APPEND),
    sheets("values.clear", true, false, "ClearValuesRequest", "ClearValuesResponse", &[]),
    sheets("values.batchGet", false, true, "", "BatchGetValuesResponse", RENDER_MANY),
    sheets("values.batchUpdate", true, false, "BatchUpdateValuesRequest", "BatchUpdateValuesResponse", &[]),
    sheets("values.batchClear", true, false, "BatchClearValuesRequest", "BatchClearValuesResponse", &[]),
    sheets(
        "values.batchGetByDataFilter",
        false,
        false,
        "BatchGetValuesByDataFilterRequest",
        "BatchGetValuesByDataFilterResponse",
        &[],
    ),
    sheets(
        "values.batchUpdateByDataFilter",
        true,
        false,
        "BatchUpdateValuesByDataFilterRequest",
        "BatchUpdateValuesByDataFilterResponse",
        &[],
    ),
    sheets(
        "values.batchClearByDataFilter",
        true,
        false,
        "BatchClearValuesByDataFilterRequest",
        "BatchClearValuesByDataFilterResponse",
        &[],
    ),
    drive("files.create", true),
    drive("files.get", false),
    drive("files.list", false),
    drive("files.update", true),
    drive("files.delete", true),
    drive("files.copy", true),
    drive("files.export", false),
    drive("permissions.create", true),
    drive("permissions.list", false),
    drive("permissions.get", false),
    drive("permissions.update", true),
    drive("permissions.delete", true),
    drive("comments.list", false),
    drive("about.get", false),
];

fn method(name: &str) -> Option<Method> {
    METHODS.iter().find(|m| m.name == name).copied()
}

/// `None` is a path without a method.
pub fn route(verb: &str, path: &str) -> Option<Route> {
    if let Some(rest) = path.strip_prefix("/v4/spreadsheets") {
        return sheets_route(verb, rest);
    }
    path.strip_prefix("/drive/v3/").and_then(|rest| drive_route(verb, rest))
}

fn found(name: &str, id: &str, rest: &str) -> Option<Route> {
    Some(Route { method: method(name)?, id: decoded(id), rest: decoded(rest) })
}

fn sheets_route(verb: &str, path: &str) -> Option<Route> {
    let path = match path.strip_prefix('/') {
        None if path.is_empty() && verb == "POST" => return found("spreadsheets.create", "", ""),
        None => return None,
        Some(path) => path,
    };
    let (id, rest) = path.split_once('/').unwrap_or((path, ""));
    if rest.is_empty() {
        return match (verb, verb_of(id)) {
            ("GET", None) => found("spreadsheets.get", id, ""),
            ("POST", Some((id, "getByDataFilter"))) => found("spreadsheets.getByDataFilter", id, ""),
            ("POST", Some((id, "batchUpdate"))) => found("spreadsheets.batchUpdate", id, ""),
            _ => None,
        };
    }
    if let Some(name) = rest.strip_prefix("values:") {
        let writes =
            ["batchUpdate", "batchClear", "batchGetByDataFilter", "batchUpdateByDataFilter", "batchClearByDataFilter"];
        return match (verb, name) {
            ("GET", "batchGet") => found("values.batchGet", id, ""),
            ("POST", name) if writes.contains(&name) => found(&format!("values.{name}"), id, ""),
            _ => None,
        };
    }
    if let Some(range) = rest.strip_prefix("values/") {
        return match (verb, verb_of(range)) {
            ("GET", _) => found("values.get", id, range),
            ("PUT", _) => found("values.update", id, range),
            ("POST", Some((range, "append"))) => found("values.append", id, range),
            ("POST", Some((range, "clear"))) => found("values.clear", id, range),
            _ => None,
        };
    }
    match (verb, rest) {
        ("POST", "developerMetadata:search") => found("developerMetadata.search", id, ""),
        ("GET", _) => found("developerMetadata.get", id, rest.strip_prefix("developerMetadata/")?),
        ("POST", _) => match verb_of(rest.strip_prefix("sheets/")?)? {
            (sheet, "copyTo") => found("sheets.copyTo", id, sheet),
            _ => None,
        },
        _ => None,
    }
}

/// `x:verb`; a colon inside a range is percent-encoded or not, so only the last one counts.
fn verb_of(segment: &str) -> Option<(&str, &str)> {
    segment
        .rsplit_once(':')
        .filter(|(_, verb)| ["append", "clear", "batchUpdate", "getByDataFilter", "copyTo"].contains(verb))
}

fn drive_route(verb: &str, path: &str) -> Option<Route> {
    let parts: Vec<&str> = path.split('/').collect();
    match (verb, parts.as_slice()) {
        ("POST", ["files"]) => found("files.create", "", ""),
        ("GET", ["files"]) => found("files.list", "", ""),
        ("GET", ["files", id]) => found("files.get", id, ""),
        ("PATCH", ["files", id]) => found("files.update", id, ""),
        ("DELETE", ["files", id]) => found("files.delete", id, ""),
        ("POST", ["files", id, "copy"]) => found("files.copy", id, ""),
        ("GET", ["files", id, "export"]) => found("files.export", id, ""),
        ("POST", ["files", id, "permissions"]) => found("permissions.create", id, ""),
        ("GET", ["files", id, "permissions"]) => found("permissions.list", id, ""),
        ("GET", ["files", id, "permissions", p]) => found("permissions.get", id, p),
        ("PATCH", ["files", id, "permissions", p]) => found("permissions.update", id, p),
        ("DELETE", ["files", id, "permissions", p]) => found("permissions.delete", id, p),
        ("GET", ["files", id, "comments"]) => found("comments.list", id, ""),
        ("GET", ["about"]) => found("about.get", "", ""),
        _ => None,
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Pairs of a query string, `+` being a blank.
pub fn query(text: &str) -> Vec<(String, String)> {
    let part = |t: &str| decoded(&t.replace('+', " "));
    text.split('&')
        .filter(|p| !p.is_empty())
        .map(|pair| pair.split_once('=').map_or_else(|| (part(pair), String::new()), |(n, v)| (part(n), part(v))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (verb, path, name, id, rest) in [
            ("POST", "/v4/spreadsheets", "spreadsheets.create", "", ""),
            ("GET", "/v4/spreadsheets/x", "spreadsheets.get", "x", ""),
            ("POST", "/v4/spreadsheets/x:batchUpdate", "spreadsheets.batchUpdate", "x", ""),
            ("GET", "/v4/spreadsheets/x/values/A1%3AB2", "values.get", "x", "A1:B2"),
            ("GET", "/v4/spreadsheets/x/values/'a%2Fb'!A1:B2", "values.get", "x", "'a/b'!A1:B2"),
            ("POST", "/v4/spreadsheets/x/values/A1:B2:append", "values.append", "x", "A1:B2"),
            ("POST", "/v4/spreadsheets/x/values:batchGetByDataFilter", "values.batchGetByDataFilter", "x", ""),
            ("GET", "/v4/spreadsheets/x/developerMetadata/7", "developerMetadata.get", "x", "7"),
            ("POST", "/v4/spreadsheets/x/sheets/0:copyTo", "sheets.copyTo", "x", "0"),
            ("DELETE", "/drive/v3/files/x/permissions/p", "permissions.delete", "x", "p"),
        ] {
            let found = route(verb, path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.method.name, found.id.as_str(), found.rest.as_str()), (name, id, rest));
        }
        assert_eq!(route("GET", "/v4/nothing"), None);
        assert_eq!(route("PATCH", "/v4/spreadsheets/x"), None);
    }
}
