//! Developer metadata: tags on the spreadsheet, a tab, a row or a column (G-META).

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::area::{Area, Axis, Bounds};
use super::workbook::Workbook;
use crate::errors::{ApiError, ApiResult};

/// Characters of keys and values that one sheet, and the spreadsheet itself, may hold (G-META-4).
const BUDGET: usize = 30_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub id: i64,
    pub key: String,
    pub value: Option<String>,
    pub visibility: Visibility,
    pub location: Location,
    /// The project that made it: PROJECT entries are shown to no other.
    pub project: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    Document,
    Project,
}

impl Visibility {
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "DOCUMENT",
            Self::Project => "PROJECT",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Location {
    Spreadsheet,
    Sheet(i64),
    Line { sheet: i64, axis: Axis, index: u32 },
}

impl Location {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Spreadsheet => "SPREADSHEET",
            Self::Sheet(_) => "SHEET",
            Self::Line { axis: Axis::Rows, .. } => "ROW",
            Self::Line { axis: Axis::Columns, .. } => "COLUMN",
        }
    }

    pub fn sheet(&self) -> Option<i64> {
        match self {
            Self::Spreadsheet => None,
            Self::Sheet(sheet) | Self::Line { sheet, .. } => Some(*sheet),
        }
    }

    /// The cells that the location stands for; the spreadsheet itself is none.
    pub fn area(&self) -> Option<Area> {
        match *self {
            Self::Spreadsheet => None,
            Self::Sheet(sheet) => Some(Area { sheet, bounds: Bounds::default() }),
            Self::Line { sheet, axis, index } => {
                let mut bounds = Bounds::default();
                let (start, end) = bounds.edges_mut(axis);
                (*start, *end) = (Some(index), Some(index + 1));
                Some(Area { sheet, bounds })
            }
        }
    }

    pub fn json(&self) -> Json {
        let mut map = Map::new();
        map.insert("locationType".to_owned(), self.type_name().into());
        match *self {
            Self::Spreadsheet => {
                map.insert("spreadsheet".to_owned(), true.into());
            }
            Self::Sheet(sheet) => {
                map.insert("sheetId".to_owned(), sheet.into());
            }
            Self::Line { sheet, axis, index } => {
                let mut range = Map::new();
                if sheet != 0 {
                    range.insert("sheetId".to_owned(), sheet.into());
                }
                range.insert("dimension".to_owned(), axis.name().into());
                range.insert("startIndex".to_owned(), index.into());
                range.insert("endIndex".to_owned(), (index + 1).into());
                map.insert("dimensionRange".to_owned(), Json::Object(range));
            }
        }
        Json::Object(map)
    }

    /// Reads `DeveloperMetadataLocation` of a create or update.
    pub fn parse(book: &Workbook, location: &Json) -> ApiResult<Self> {
        if location.get("locationType").is_some() {
            return Err(texts::location_type_given());
        }
        if location.get("spreadsheet").and_then(Json::as_bool) == Some(true) {
            return Ok(Self::Spreadsheet);
        }
        if let Some(sheet) = location.get("sheetId").and_then(Json::as_i64) {
            book.grid(sheet)?;
            return Ok(Self::Sheet(sheet));
        }
        match location.get("dimensionRange") {
            Some(range) => Self::line(book, range),
            None => Err(texts::location_missing()),
        }
    }

    /// One row or column (G-META-11); the checks come in Google's order (G-STANDIN-5).
    pub fn line(book: &Workbook, range: &Json) -> ApiResult<Self> {
        let index = |name: &str| range.get(name).and_then(Json::as_i64);
        let (Some(start), Some(end)) = (index("startIndex"), index("endIndex")) else {
            return Err(texts::both_indexes());
        };
        if end != start + 1 {
            return Err(texts::single_line());
        }
        if start < 0 {
            return Err(ApiError::invalid("DimensionRange indexes must be >= 0"));
        }
        let sheet = range.get("sheetId").and_then(Json::as_i64).unwrap_or(0);
        let grid = book.grid(sheet)?;
        let axis = match range.get("dimension").and_then(Json::as_str) {
            Some("ROWS") => Axis::Rows,
            Some("COLUMNS") => Axis::Columns,
            _ => return Err(ApiError::invalid("No dimension specified")),
        };
        if start >= i64::from(grid.size(axis)) {
            return Err(ApiError::invalid(format!(
                "DimensionRange startIndex [{start}] is after the last {} index [{}] of the sheet [{sheet}].",
                axis.name(),
                grid.size(axis).saturating_sub(1)
            )));
        }
        Ok(Self::Line { sheet, axis, index: start as u32 })
    }
}

impl Metadata {
    pub fn json(&self) -> Json {
        let mut map = Map::new();
        map.insert("metadataId".to_owned(), self.id.into());
        map.insert("metadataKey".to_owned(), self.key.clone().into());
        if let Some(value) = &self.value {
            map.insert("metadataValue".to_owned(), value.clone().into());
        }
        map.insert("location".to_owned(), self.location.json());
        map.insert("visibility".to_owned(), self.visibility.name().into());
        Json::Object(map)
    }

    fn chars(&self) -> usize {
        self.key.chars().count() + self.value.as_ref().map_or(0, |v| v.chars().count())
    }
}

/// A spreadsheet's entries by id, and how much of its budget each place uses: to count anew for
/// each of a batch's thousands of entries would take time by their square. Cloning is cheap.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "OrdMap<i64, Metadata>", into = "OrdMap<i64, Metadata>")]
pub struct Entries {
    by_id: OrdMap<i64, Metadata>,
    /// Characters by tab; those of the spreadsheet itself under `None`.
    used: OrdMap<Option<i64>, usize>,
}

impl Entries {
    pub fn get(&self, id: i64) -> Option<&Metadata> {
        self.by_id.get(&id)
    }

    pub fn values(&self) -> impl Iterator<Item = &Metadata> {
        self.by_id.values()
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&i64, &Metadata)> {
        self.by_id.iter()
    }

    pub fn insert(&mut self, entry: Metadata) {
        self.remove(entry.id);
        *self.used.entry(entry.location.sheet()).or_default() += entry.chars();
        self.by_id.insert(entry.id, entry);
    }

    pub fn remove(&mut self, id: i64) -> Option<Metadata> {
        let entry = self.by_id.remove(&id)?;
        if let Some(used) = self.used.get_mut(&entry.location.sheet()) {
            *used -= entry.chars();
        }
        Some(entry)
    }

    /// A tab is gone, and what was on it.
    pub fn remove_sheet(&mut self, sheet: i64) {
        let gone = self.values().filter(|entry| entry.location.sheet() == Some(sheet));
        let gone: Vec<i64> = gone.map(|entry| entry.id).collect();
        gone.into_iter().for_each(|id| drop(self.remove(id)));
    }

    /// Its row or column is now at this index.
    pub fn move_line(&mut self, id: i64, to: u32) {
        if let Some(Metadata { location: Location::Line { index, .. }, .. }) = self.by_id.get_mut(&id) {
            *index = to;
        }
    }

    fn used(&self, sheet: Option<i64>) -> usize {
        self.used.get(&sheet).copied().unwrap_or(0)
    }
}

impl From<OrdMap<i64, Metadata>> for Entries {
    fn from(by_id: OrdMap<i64, Metadata>) -> Self {
        let mut used: OrdMap<Option<i64>, usize> = OrdMap::new();
        for entry in by_id.values() {
            *used.entry(entry.location.sheet()).or_default() += entry.chars();
        }
        Self { by_id, used }
    }
}

impl From<Entries> for OrdMap<i64, Metadata> {
    fn from(entries: Entries) -> Self {
        entries.by_id
    }
}

impl Workbook {
    /// Adds an entry; `id` 0 asks for one that is free.
    pub fn create_metadata(
        &mut self,
        body: &Json,
        project: &str,
        mut fresh: impl FnMut() -> i64,
    ) -> ApiResult<Metadata> {
        let id = match body.get("metadataId").and_then(Json::as_i64).unwrap_or(0) {
            0 => std::iter::repeat_with(&mut fresh).find(|id| self.metadata.get(*id).is_none()).expect("endless"),
            id if id < 0 => return Err(texts::negative_id()),
            id if self.metadata.get(id).is_some() => return Err(texts::id_in_use(id)),
            id => id,
        };
        let key = body.get("metadataKey").and_then(Json::as_str).unwrap_or_default();
        if key.is_empty() {
            return Err(texts::key_missing());
        }
        let visibility = parse_visibility(body)?.ok_or_else(texts::visibility_missing)?;
        let location = Location::parse(self, body.get("location").unwrap_or(&Json::Null))?;
        let value = body.get("metadataValue").and_then(Json::as_str).map(str::to_owned);
        let entry = Metadata { id, key: key.to_owned(), value, visibility, location, project: project.to_owned() };
        self.metadata.insert(entry.clone());
        self.check_metadata_budget(location.sheet())?;
        Ok(entry)
    }

    /// Changes the members that `fields` names of each of these entries.
    pub fn update_metadata(
        &mut self,
        ids: &[i64],
        body: &Json,
        fields: &super::mask::Mask,
    ) -> ApiResult<Vec<Metadata>> {
        let mut changed = Vec::new();
        for id in ids {
            let Some(mut entry) = self.metadata.get(*id).cloned() else {
                continue;
            };
            if fields.covers("metadataKey") {
                entry.key = body.get("metadataKey").and_then(Json::as_str).unwrap_or_default().to_owned();
                if entry.key.is_empty() {
                    return Err(texts::key_missing());
                }
            }
            if fields.covers("metadataValue") {
                entry.value = body.get("metadataValue").and_then(Json::as_str).map(str::to_owned);
            }
            if fields.covers("visibility") {
                entry.visibility = parse_visibility(body)?.ok_or_else(texts::visibility_missing)?;
            }
            if fields.covers("location") && (!fields.is_all() || body.get("location").is_some()) {
                entry.location = Location::parse(self, body.get("location").unwrap_or(&Json::Null))?;
            }
            self.metadata.insert(entry.clone());
            self.check_metadata_budget(entry.location.sheet())?;
            changed.push(entry);
        }
        Ok(changed)
    }

    fn check_metadata_budget(&self, sheet: Option<i64>) -> ApiResult<()> {
        if self.metadata.used(sheet) > BUDGET { Err(texts::budget(sheet.is_some())) } else { Ok(()) }
    }
}

fn parse_visibility(body: &Json) -> ApiResult<Option<Visibility>> {
    Ok(match body.get("visibility").and_then(Json::as_str) {
        Some("DOCUMENT") => Some(Visibility::Document),
        Some("PROJECT") => Some(Visibility::Project),
        _ => None,
    })
}

/// An entry together with the filters that found it, as `developerMetadata:search` answers.
pub fn matched_json(entry: &Metadata, filters: &[&Json]) -> Json {
    json!({ "developerMetadata": entry.json(), "dataFilters": filters })
}

pub use texts::id_in_use;

mod texts {
    use super::{ApiError, BUDGET};

    pub fn id_in_use(id: i64) -> ApiError {
        ApiError::invalid(format!(
            "Cannot add developer metadata with ID [{id}] because developer metadata with that ID already exists."
        ))
    }

    pub fn negative_id() -> ApiError {
        ApiError::invalid("Developer metadata ID must be positive.")
    }

    pub fn key_missing() -> ApiError {
        ApiError::invalid("Developer metadata key must be specified.")
    }

    pub fn visibility_missing() -> ApiError {
        ApiError::invalid("Developer metadata visibility must be specified.")
    }

    pub fn location_missing() -> ApiError {
        ApiError::invalid("Developer metadata location must be specified.")
    }

    pub fn location_type_given() -> ApiError {
        ApiError::invalid("Developer metadata location type is read-only and must not be specified.")
    }

    pub fn both_indexes() -> ApiError {
        ApiError::invalid("DimensionRange must specify both a startIndex and an endIndex.")
    }

    pub fn single_line() -> ApiError {
        ApiError::invalid("DimensionRange must represent a single row or column.")
    }

    pub fn budget(sheet: bool) -> ApiError {
        let what = if sheet { "sheet" } else { "spreadsheet" };
        ApiError::invalid(format!(
            "This action would increase the size of the developer metadata of the {what} above the limit of {BUDGET} characters."
        ))
    }
}
