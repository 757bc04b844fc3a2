//! Answers, as far as they are read. Every member may be absent: proto3 JSON leaves out zero, false
//! and empty (G-JSON-1), and so `sheetId` is missing for tab 0.

use crate::error::Error;
use crate::sheet::Conventions;
use engine::effect::Computed;
use engine::value::{Cell, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spreadsheet {
    pub properties: SpreadsheetProperties,
    pub sheets: Vec<Sheet>,
}

impl Spreadsheet {
    /// An answer without the tab, or without a block of its cells, does not say that they are
    /// empty. Whoever calls this has asked for cells, and each range that is asked for has a block
    /// in the answer, however blank it is.
    pub fn sheet(self, sheet_id: i32) -> Result<Sheet, Error> {
        let mut sheets = self.sheets.into_iter();
        sheets
            .find(|sheet| sheet.properties.sheet_id == sheet_id)
            .filter(|sheet| !sheet.data.is_empty())
            .ok_or_else(|| Error::Unreadable("the tab's cells are missing".into()))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SpreadsheetProperties {
    pub title: String,
    pub locale: String,
    pub time_zone: String,
}

impl SpreadsheetProperties {
    /// Every spreadsheet has a time zone: without it nobody can tell which instants its cells stand
    /// for.
    pub fn conventions(&self) -> Result<Conventions, Error> {
        match self.time_zone.is_empty() {
            true => Err(Error::Unreadable("the time zone is missing".into())),
            false => Ok(Conventions {
                time_zone: self.time_zone.clone(),
                locale: self.locale.clone(),
            }),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sheet {
    pub properties: SheetProperties,
    /// Of the tab itself, without those of its rows and columns (G-META-14).
    pub developer_metadata: Vec<DeveloperMetadata>,
    pub data: Vec<GridData>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SheetProperties {
    pub sheet_id: i32,
    pub title: String,
    pub index: u32,
    /// `GRID`, or `OBJECT` for a chart and `DATA_SOURCE` for a connected sheet (G-RANGES-9).
    pub sheet_type: String,
    pub hidden: bool,
    pub grid_properties: Option<GridProperties>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GridProperties {
    pub row_count: u32,
    pub column_count: u32,
    pub frozen_row_count: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GridData {
    pub start_row: u32,
    pub start_column: u32,
    pub row_data: Vec<RowData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RowData {
    pub values: Vec<CellData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CellData {
    pub user_entered_value: Option<EnteredValue>,
    pub effective_value: Option<ExtendedValue>,
    pub formatted_value: Text,
    pub note: String,
    pub user_entered_format: CellFormat,
    pub effective_format: EffectiveFormat,
}

impl CellData {
    /// Somebody gave it one; what a cell shows by itself has none.
    pub fn has_number_format(&self) -> bool {
        self.user_entered_format.number_format.is_some()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CellFormat {
    pub number_format: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EffectiveFormat {
    pub number_format: Option<NumberFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NumberFormat {
    #[serde(rename = "type")]
    pub kind: String,
    pub pattern: Text,
}

/// What was entered, as far as it is told from what shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnteredValue {
    pub formula_value: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExtendedValue {
    pub number_value: Option<f64>,
    pub string_value: Option<Text>,
    pub bool_value: Option<bool>,
    pub error_value: Option<ErrorValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorValue {
    #[serde(rename = "type")]
    pub kind: String,
}

impl CellData {
    /// Whose its content is, where nobody typed it. Cells that an array fills have a value and none
    /// that was entered (G-FORMULAS-1).
    pub fn computed(&self) -> Option<Computed> {
        match &self.user_entered_value {
            Some(entered) => entered.formula_value.as_ref().map(|_| Computed::Here),
            None => self.effective_value.as_ref().map(|_| Computed::Elsewhere),
        }
    }

    /// The cell as the values methods would show it.
    pub fn cell(&self) -> Cell {
        let Some(value) = &self.effective_value else {
            return Cell::Empty;
        };
        match value {
            ExtendedValue {
                number_value: Some(number),
                ..
            } => Cell::Number(*number),
            ExtendedValue {
                bool_value: Some(value),
                ..
            } => Cell::Bool(*value),
            ExtendedValue {
                string_value: Some(text),
                ..
            } => cell(Cell::Text(text.clone())),
            ExtendedValue {
                error_value: Some(error),
                ..
            } => Cell::Text(Text::new_static(error_code(&error.kind))),
            _ => Cell::Empty,
        }
    }
}

/// How the values methods write an error cell (G-VALUES-6).
fn error_code(kind: &str) -> &'static str {
    match kind {
        "NULL_VALUE" => "#NULL!",
        "DIVIDE_BY_ZERO" => "#DIV/0!",
        "VALUE" => "#VALUE!",
        "REF" => "#REF!",
        "NAME" => "#NAME?",
        "NUM" => "#NUM!",
        "N_A" => "#N/A",
        "LOADING" => "Loading...",
        _ => "#ERROR!",
    }
}

/// The values methods show an empty cell as `""` (G-VALUES-5).
pub fn cell(shown: Cell) -> Cell {
    match shown {
        Cell::Text(text) if text.is_empty() => Cell::Empty,
        other => other,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BatchUpdate {
    pub replies: Vec<Reply>,
    pub updated_spreadsheet: Spreadsheet,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Reply {
    pub add_sheet: Option<AddedSheet>,
    pub delete_developer_metadata: Option<DeletedMetadata>,
    pub update_developer_metadata: Option<UpdatedMetadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AddedSheet {
    pub properties: SheetProperties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeletedMetadata {
    pub deleted_developer_metadata: Vec<DeveloperMetadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct UpdatedMetadata {
    pub developer_metadata: Vec<DeveloperMetadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeveloperMetadata {
    pub metadata_id: i32,
    pub metadata_key: String,
    pub metadata_value: String,
    pub location: Location,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Location {
    pub dimension_range: Option<DimensionRange>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DimensionRange {
    pub sheet_id: i32,
    /// `ROWS` or `COLUMNS`.
    pub dimension: String,
    pub start_index: u32,
}

/// developerMetadata:search; `matchedDeveloperMetadata` is absent when nothing matches (G-META-8).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Found {
    pub matched_developer_metadata: Vec<Matched>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Matched {
    pub developer_metadata: DeveloperMetadata,
}

/// values:batchGetByDataFilter. Entries come in the sheet's order, not the request's, and filters
/// that name one range share an entry (G-RANGES-6): pair by the echoed filters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReadValues<Row> {
    #[serde(default = "Vec::new")]
    pub value_ranges: Vec<MatchedRange<Row>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchedRange<Row> {
    pub value_range: ValueRange<Row>,
    #[serde(default)]
    pub data_filters: Vec<EchoedFilter>,
}

#[derive(Debug, Deserialize)]
pub struct ValueRange<Row> {
    #[serde(default)]
    pub range: String,
    #[serde(default = "Vec::new")]
    pub values: Vec<Row>,
}

impl<Row> Default for ValueRange<Row> {
    fn default() -> Self {
        Self {
            range: String::new(),
            values: Vec::new(),
        }
    }
}

/// A row in Google's own bytes.
pub type RawRow = Box<RawValue>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EchoedFilter {
    pub developer_metadata_lookup: EchoedLookup,
    pub grid_range: EchoedRange,
}

/// Id 0, which a spreadsheet's first tab mostly has, is left out of the echo (G-JSON-1).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EchoedRange {
    pub sheet_id: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EchoedLookup {
    pub metadata_id: i32,
}

/// Drive's files.get.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct File {
    pub id: String,
    pub name: String,
    pub mime_type: String,
    pub trashed: bool,
    pub capabilities: FileCapabilities,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FileCapabilities {
    pub can_edit: bool,
}
