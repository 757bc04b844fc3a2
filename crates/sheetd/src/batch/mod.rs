//! `spreadsheets.batchUpdate`: requests applied in order, all or none (G-BATCH-1).

pub mod cells;
mod dimensions;
mod metadata;
mod objects;
mod paste;
mod ranges;
pub mod sheets;
mod tidy;

use serde_json::{Value as Json, json};

pub use cells::grow;

use crate::errors::{ApiError, ApiResult};
use crate::model::area::Rect;
use crate::model::workbook::Workbook;

/// Who asks, and what the engine may not find out by itself.
pub struct Context {
    pub caller: String,
    pub project: String,
    pub year: i32,
    pub rng: fastrand::Rng,
    pub options: crate::options::Options,
    /// What the change touched, for those who watch.
    pub touched: Vec<Touched>,
    /// Ids of the developer metadata that this batch deleted.
    pub deleted_metadata: Vec<i64>,
}

/// One touched range, or a whole tab where structure changed.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Touched {
    #[serde(rename = "sheetId")]
    pub sheet: i64,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Rect>,
}

impl Context {
    /// The context in which a kept change was first applied.
    pub fn repeated(record: &crate::journal::Record) -> Self {
        Self {
            caller: record.caller.clone().into_owned(),
            project: crate::http::token::project_of(&record.caller),
            year: record.year,
            rng: fastrand::Rng::with_seed(record.seed),
            options: record.options.clone(),
            touched: Vec::new(),
            deleted_metadata: Vec::new(),
        }
    }

    /// Ids that Google assigns are large and look random (G-RANGES-2).
    pub fn fresh_id(&mut self) -> i64 {
        self.rng.i64(100_000_000..2_147_483_647)
    }

    pub fn touch(&mut self, sheet: i64, kind: &str, range: Rect) {
        self.touched.push(Touched { sheet, kind: kind.to_owned(), range: Some(range) });
    }

    pub fn touch_structure(&mut self, sheet: i64, kind: &str) {
        self.touched.push(Touched { sheet, kind: kind.to_owned(), range: None });
    }
}

/// The workbook after all requests, and one reply for each. A refusal leaves the caller's workbook
/// as it was.
pub fn apply(book: &Workbook, requests: &[Json], context: &mut Context) -> ApiResult<(Workbook, Vec<Json>)> {
    let mut book = book.clone();
    let mut replies = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        let Some((kind, body)) = request.as_object().and_then(|r| r.iter().next()) else {
            return Err(ApiError::invalid(format!("Invalid requests[{index}]: No request set.")));
        };
        let reply = one(&mut book, kind, body, context).map_err(|e| e.within(&format!("requests[{index}].{kind}")))?;
        note_touched(&book, kind, body, context);
        replies.push(reply.map_or_else(|| json!({}), |reply| json!({ kind: reply })));
    }
    Ok((book, replies))
}

fn one(book: &mut Workbook, kind: &str, body: &Json, context: &mut Context) -> ApiResult<Option<Json>> {
    match kind {
        "addSheet" => sheets::add(book, body, context).map(Some),
        "deleteSheet" => sheets::delete(book, body).map(none),
        "duplicateSheet" => sheets::duplicate(book, body, context).map(Some),
        "updateSheetProperties" => sheets::update(book, body).map(none),
        "updateSpreadsheetProperties" => sheets::update_spreadsheet(book, body).map(none),

        "updateCells" => cells::update(book, body, context).map(none),
        "repeatCell" => cells::repeat(book, body, context).map(none),
        "appendCells" => cells::append(book, body, context).map(none),
        "setDataValidation" => cells::set_validation(book, body).map(none),

        "copyPaste" => paste::copy(book, body, context).map(none),
        "cutPaste" => paste::cut(book, body, context).map(none),
        "insertRange" => paste::insert_range(book, body, context).map(none),
        "deleteRange" => paste::delete_range(book, body, context).map(none),
        "findReplace" => paste::find_replace(book, body, context).map(Some),

        "appendDimension" => dimensions::append(book, body).map(none),
        "insertDimension" => dimensions::insert(book, body).map(none),
        "deleteDimension" => dimensions::delete(book, body, context).map(none),
        "moveDimension" => dimensions::move_lines(book, body, context).map(none),
        "sortRange" => dimensions::sort(book, body, context).map(none),
        "updateDimensionProperties" => dimensions::update_properties(book, body).map(none),
        "autoResizeDimensions" => dimensions::auto_resize(book, body).map(none),
        "addDimensionGroup" => dimensions::add_group(book, body).map(Some),
        "updateDimensionGroup" => dimensions::update_group(book, body).map(none),
        "deleteDimensionGroup" => dimensions::delete_group(book, body).map(Some),

        "createDeveloperMetadata" => metadata::create(book, body, context).map(Some),
        "updateDeveloperMetadata" => metadata::update(book, body, context).map(Some),
        "deleteDeveloperMetadata" => metadata::delete(book, body, context).map(Some),

        "addNamedRange" => ranges::add_named(book, body, context).map(Some),
        "updateNamedRange" => ranges::update_named(book, body).map(none),
        "deleteNamedRange" => ranges::delete_named(book, body).map(none),
        "addProtectedRange" => ranges::add_protected(book, body, context).map(Some),
        "updateProtectedRange" => ranges::update_protected(book, body, context).map(none),
        "deleteProtectedRange" => ranges::delete_protected(book, body).map(none),
        "mergeCells" => ranges::merge(book, body).map(none),
        "unmergeCells" => ranges::unmerge(book, body).map(none),
        "setBasicFilter" => ranges::set_basic_filter(book, body).map(none),
        "clearBasicFilter" => ranges::clear_basic_filter(book, body).map(none),

        "addFilterView" => objects::add(book, body, context, &objects::FILTER_VIEW).map(Some),
        "updateFilterView" => objects::update(book, body, &objects::FILTER_VIEW).map(none),
        "duplicateFilterView" => objects::duplicate_filter_view(book, body, context).map(Some),
        "deleteFilterView" => objects::delete(book, body, &objects::FILTER_VIEW).map(none),
        "addTable" => objects::add(book, body, context, &objects::TABLE).map(Some),
        "updateTable" => objects::update(book, body, &objects::TABLE).map(none),
        "deleteTable" => objects::delete(book, body, &objects::TABLE).map(none),
        "addBanding" => objects::add(book, body, context, &objects::BANDING).map(Some),
        "updateBanding" => objects::update(book, body, &objects::BANDING).map(none),
        "deleteBanding" => objects::delete(book, body, &objects::BANDING).map(none),
        "addConditionalFormatRule" => objects::add_rule(book, body).map(none),
        "updateConditionalFormatRule" => objects::update_rule(book, body).map(Some),
        "deleteConditionalFormatRule" => objects::delete_rule(book, body).map(Some),

        "trimWhitespace" => tidy::trim_whitespace(book, body, context).map(Some),
        "deleteDuplicates" => tidy::delete_duplicates(book, body, context).map(Some),
        "updateBorders" => tidy::update_borders(book, body).map(none),
        "pasteData" => paste::data(book, body, context).map(none),

        other => Err(ApiError::invalid(format!("The request kind {other} is not modelled by this server."))),
    }
}

/// Which cells a request named; one that names no range touched the whole tab.
fn note_touched(book: &Workbook, kind: &str, body: &Json, context: &mut Context) {
    let range = body.get("range").filter(|_| matches!(kind, "updateCells" | "repeatCell" | "setDataValidation"));
    match range.and_then(|r| book.rect(r).ok()) {
        Some((sheet, rect)) => context.touch(sheet, kind, rect),
        None => {
            let id = ["/range/sheetId", "/sheetId", "/start/sheetId", "/source/sheetId", "/properties/sheetId"]
                .iter()
                .find_map(|p| body.pointer(p).and_then(Json::as_i64));
            context.touch_structure(id.unwrap_or(0), kind);
        }
    }
}

fn none((): ()) -> Option<Json> {
    None
}

/// The mask of a request; `root` is the message that its paths start from.
fn fields(body: &Json, schema: &str) -> ApiResult<crate::model::mask::Mask> {
    let text = body.get("fields").and_then(Json::as_str).unwrap_or_default();
    if text.is_empty() {
        return Err(ApiError::invalid(
            "At least one field must be listed in 'fields'. (use '*' to indicate all fields.)",
        ));
    }
    if text == "*" {
        return Ok(crate::model::mask::Mask::All);
    }
    let mask = crate::model::mask::Mask::parse(text).ok_or_else(|| unknown_field(text))?;
    match crate::model::proto::SHEETS.unknown_path(schema, &mask) {
        Some(path) => Err(unknown_field(&path)),
        None => Ok(mask.canonical()),
    }
}

fn unknown_field(path: &str) -> ApiError {
    ApiError::invalid(format!("Invalid field: {path}"))
}
