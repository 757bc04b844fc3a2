//! Bodies that are sent, as far as they are used; names and shapes are those of Google's discovery
//! document of sheets.v4.

use std::ops::Range;

use engine::value::{Cell, Text};
use serde::ser::{Serialize, SerializeMap, Serializer};

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchUpdate {
    pub requests: Vec<Request>,
    #[serde(skip_serializing_if = "is_false")]
    pub include_spreadsheet_in_response: bool,
    /// Without these a mask that names cells brings the cells of every tab (G-BATCH-4).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_ranges: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub response_include_grid_data: bool,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    CreateDeveloperMetadata {
        developer_metadata: DeveloperMetadata,
    },
    DeleteDeveloperMetadata {
        data_filter: DataFilter,
    },
    UpdateDeveloperMetadata {
        data_filters: Vec<DataFilter>,
        developer_metadata: MetadataValue,
        fields: &'static str,
    },
    InsertDimension {
        range: DimensionRange,
        inherit_from_before: bool,
    },
    AppendDimension {
        sheet_id: i32,
        dimension: Dimension,
        length: u32,
    },
    DeleteDimension {
        range: DimensionRange,
    },
    UpdateCells {
        rows: Vec<RowData>,
        fields: &'static str,
        start: GridCoordinate,
    },
    RepeatCell {
        range: GridRange,
        cell: CellData,
        fields: &'static str,
    },
    CopyPaste {
        source: GridRange,
        destination: GridRange,
        paste_type: &'static str,
    },
    SetDataValidation {
        range: GridRange,
        rule: DataValidationRule,
    },
    AddSheet {
        properties: SheetProperties,
    },
    DeleteSheet {
        sheet_id: i32,
    },
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeveloperMetadata {
    pub metadata_id: i32,
    pub metadata_key: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata_value: String,
    pub location: Location,
    pub visibility: Visibility,
}

/// The part of an entry that an update changes.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataValue {
    pub metadata_value: String,
}

#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Visibility {
    Document,
}

/// `locationType` is read-only: Google refuses it in a request (G-META-7).
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Location {
    SheetId(i32),
    DimensionRange(DimensionRange),
}

#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Dimension {
    Rows,
    Columns,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DimensionRange {
    pub sheet_id: i32,
    pub dimension: Dimension,
    pub start_index: u32,
    pub end_index: u32,
}

impl DimensionRange {
    pub fn rows(sheet_id: i32, start: u32, end: u32) -> Self {
        Self {
            sheet_id,
            dimension: Dimension::Rows,
            start_index: start,
            end_index: end,
        }
    }

    pub fn column(sheet_id: i32, column: u32) -> Self {
        Self {
            sheet_id,
            dimension: Dimension::Columns,
            start_index: column,
            end_index: column + 1,
        }
    }
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DataFilter {
    DeveloperMetadataLookup(Lookup),
    GridRange(GridRange),
}

impl GridRange {
    /// Rows and columns, half-open.
    pub fn block(sheet_id: i32, rows: Range<u32>, columns: Range<u32>) -> Self {
        Self {
            sheet_id,
            start_row_index: Some(rows.start),
            end_row_index: Some(rows.end),
            start_column_index: Some(columns.start),
            end_column_index: Some(columns.end),
        }
    }

    /// The last row that it names.
    pub fn last_row(&self) -> Option<u32> {
        match self.end_row_index {
            Some(end) => end.checked_sub(1),
            None => self.start_row_index,
        }
    }
}

impl DataFilter {
    pub fn metadata(id: i32) -> Self {
        Self::DeveloperMetadataLookup(Lookup {
            metadata_id: Some(id),
            ..Lookup::default()
        })
    }
}

#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lookup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_key: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_matching_strategy: Option<Matching>,
}

#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Matching {
    ExactLocation,
    IntersectingLocation,
}

#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GridRange {
    pub sheet_id: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_row_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_row_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_column_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_column_index: Option<u32>,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GridCoordinate {
    pub sheet_id: i32,
    pub row_index: u32,
    pub column_index: u32,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct RowData {
    pub values: Vec<CellData>,
}

#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CellData {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_entered_value: Option<ExtendedValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_entered_format: Option<CellFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `stringValue` is never parsed, whatever it begins with (G-VALUES-2).
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ExtendedValue {
    NumberValue(f64),
    StringValue(Text),
    BoolValue(bool),
}

impl CellData {
    pub fn value(cell: &Cell) -> Self {
        let value = match cell {
            Cell::Bool(value) => Some(ExtendedValue::BoolValue(*value)),
            Cell::Number(value) => Some(ExtendedValue::NumberValue(*value)),
            Cell::Text(text) => Some(ExtendedValue::StringValue(text.clone())),
            Cell::Empty => None,
        };
        Self {
            user_entered_value: value,
            ..Self::default()
        }
    }
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CellFormat {
    /// `None` takes the format away, where the field mask names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_format: Option<NumberFormat>,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct NumberFormat {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub pattern: String,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataValidationRule {
    pub condition: BooleanCondition,
    pub show_custom_ui: bool,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct BooleanCondition {
    #[serde(rename = "type")]
    pub kind: &'static str,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SheetProperties {
    /// Google chooses where it is absent; 0 would be "already exists" (G-RANGES-2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet_id: Option<i32>,
    pub title: String,
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    pub grid_properties: GridProperties,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GridProperties {
    pub row_count: u32,
    pub column_count: u32,
    pub frozen_row_count: u32,
}

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadValues {
    pub data_filters: Vec<DataFilter>,
    pub major_dimension: &'static str,
    pub value_render_option: &'static str,
    pub date_time_render_option: &'static str,
}

impl ReadValues {
    /// The lossless rendering: typed values, dates as serial numbers.
    pub fn new(data_filters: Vec<DataFilter>) -> Self {
        Self {
            data_filters,
            major_dimension: "ROWS",
            value_render_option: "UNFORMATTED_VALUE",
            date_time_render_option: "SERIAL_NUMBER",
        }
    }
}

/// `{"dataFilters": […]}`
#[derive(Debug)]
pub struct Search(pub Vec<DataFilter>);

impl Serialize for Search {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("dataFilters", &self.0)?;
        map.end()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::cost;

    const ID: i32 = i32::MAX;
    const ROW: u32 = 9_999_998;

    fn bytes(requests: &[Request]) -> usize {
        let commas = requests.len();
        let json = |one| serde_json::to_string(one).expect("plain data").len();
        requests.iter().map(json).sum::<usize>() + commas
    }

    /// The engine's figure is never too small, and not so large that requests go half empty.
    fn holds(what: &str, figure: usize, requests: &[Request]) {
        let bytes = bytes(requests);
        assert!(
            (bytes..=bytes * 5 / 4).contains(&figure),
            "{what}: counted as {figure}, takes {bytes}"
        );
    }

    #[test]
    fn requests_take_what_the_engine_counts() {
        let [tag, guard, kept] = crate::sheet::of_a_row(ID, ID, ROW);
        holds("a guard", cost::GUARD, &guard);
        holds("a tag", cost::TAG, &tag);
        holds("dropping", cost::DROP, &guard[2..]);
        let block = |rows: Range<u32>| GridRange::block(ID, rows, 18_000..18_278);
        let copy = Request::CopyPaste {
            source: block(ROW..ROW + 1),
            destination: block(ROW..ROW + 1),
            paste_type: "PASTE_VALUES",
        };
        holds("images", cost::IMAGES, &[copy.clone(), copy.clone()]);
        assert!(bytes(&kept) <= cost::GUARD);
        let gone = Request::DeleteDimension {
            range: DimensionRange::rows(ID, ROW, ROW + 1),
        };
        let deletion: Vec<Request> = kept.into_iter().chain([copy, gone]).collect();
        holds("a deletion", cost::DELETION, &deletion);
        holds("a block", cost::BLOCK, &[cells(Vec::new())]);
    }

    #[test]
    fn cells_take_what_the_engine_counts() {
        let texts = [
            "",
            "a",
            "=1+1",
            "tab\tnew\nline \"quoted\" \\ \u{1}",
            "naïve 😀",
        ];
        let numbers = [
            0.0,
            1.0,
            -17.0,
            0.1,
            1e21,
            1e-7,
            123_456_789.123_456,
            f64::MAX,
            f64::MIN_POSITIVE,
        ];
        let texts = texts.map(|text| Cell::Text(text.into()));
        let numbers = numbers.map(Cell::Number);
        let others = [Cell::Bool(true), Cell::Bool(false), Cell::Empty];
        for cell in texts.into_iter().chain(numbers).chain(others) {
            let taken = bytes(&[cells(vec![RowData {
                values: vec![CellData::value(&cell)],
            }])])
                - bytes(&[cells(Vec::new())]);
            let counted = cost::ROW + cost::cell(&cell);
            assert!(
                (taken..=taken + 24).contains(&counted),
                "{cell:?}: counted as {counted}, takes {taken}"
            );
        }
    }

    fn cells(rows: Vec<RowData>) -> Request {
        Request::UpdateCells {
            rows,
            fields: "userEnteredValue",
            start: GridCoordinate {
                sheet_id: ID,
                row_index: ROW,
                column_index: 18_277,
            },
        }
    }
}
