//! Data filters: finding metadata entries and the cells that a filter stands for (G-META,
//! G-RANGES-6).

use serde_json::Value as Json;

use super::area::Area;
use super::metadata::{Location, Metadata};
use super::workbook::Workbook;
use crate::errors::{ApiError, ApiResult};

impl Workbook {
    /// The entries that a `developerMetadataLookup` matches, by id.
    pub fn lookup(&self, lookup: &Json, project: &str) -> ApiResult<Vec<&Metadata>> {
        let wanted = Lookup::parse(self, lookup)?;
        let matches = |m: &&Metadata| m.shown_to(project) && wanted.matches(m);
        Ok(match wanted.id {
            // Thousands of filters of one request name an id each.
            Some(id) => self.metadata.get(id).into_iter().filter(matches).collect(),
            None => self.metadata.values().filter(matches).collect(),
        })
    }

    /// The entries that a data filter selects; ranges select what lies on their cells.
    pub fn filtered_metadata(&self, filter: &Json, project: &str) -> ApiResult<Vec<&Metadata>> {
        if let Some(lookup) = filter.get("developerMetadataLookup") {
            return self.lookup(lookup, project);
        }
        let area = self.filter_range(filter)?;
        let rect = self.within_grid(&area)?;
        Ok(self
            .metadata
            .values()
            .filter(|m| m.shown_to(project))
            .filter(|m| match m.location {
                Location::Line { sheet, axis: super::area::Axis::Rows, index } => {
                    sheet == area.sheet && (rect.r0..rect.r1).contains(&index)
                }
                Location::Line { sheet, index, .. } => sheet == area.sheet && (rect.c0..rect.c1).contains(&index),
                _ => false,
            })
            .collect())
    }

    /// The cells that a data filter selects: none, one range or many.
    pub fn filtered_areas(&self, filter: &Json, project: &str) -> ApiResult<Vec<Area>> {
        match filter.get("developerMetadataLookup") {
            Some(lookup) => Ok(self.lookup(lookup, project)?.iter().filter_map(|m| m.location.area()).collect()),
            None => Ok(vec![self.filter_range(filter)?]),
        }
    }

    fn filter_range(&self, filter: &Json) -> ApiResult<Area> {
        if let Some(text) = filter.get("a1Range").and_then(Json::as_str) {
            return self.resolve(text);
        }
        match filter.get("gridRange") {
            Some(range) => self.grid_range(range),
            None => Err(ApiError::invalid("dataFilter.filter must be specified.")),
        }
    }
}

impl Metadata {
    pub fn shown_to(&self, project: &str) -> bool {
        self.visibility == super::metadata::Visibility::Document || self.project == project
    }
}

struct Lookup<'a> {
    id: Option<i64>,
    key: Option<&'a str>,
    value: Option<&'a str>,
    visibility: Option<&'a str>,
    location_type: Option<&'a str>,
    location: Option<Location>,
    intersecting: bool,
}

impl<'a> Lookup<'a> {
    /// The refusals come in Google's order (G-STANDIN-5).
    fn parse(book: &Workbook, lookup: &'a Json) -> ApiResult<Self> {
        let text = |name: &str| {
            lookup.get(name).and_then(Json::as_str).filter(|t| !t.is_empty() && !t.ends_with("_UNSPECIFIED"))
        };
        let given = lookup
            .get("metadataLocation")
            .filter(|l| ["spreadsheet", "sheetId", "dimensionRange"].iter().any(|member| l.get(member).is_some()));
        let location_type = text("locationType");
        let strategy = text("locationMatchingStrategy");
        let spreadsheet = given.is_some_and(|l| l.get("spreadsheet").is_some());
        if let (Some("SPREADSHEET"), Some(location), false) = (location_type, given, spreadsheet) {
            return Err(texts::spreadsheet_type_for(location));
        }
        if let (Some("EXACT_LOCATION"), Some(kind)) = (strategy, location_type) {
            return Err(texts::exact_with_type(kind));
        }
        if let (Some(strategy), None) = (strategy, given) {
            return Err(texts::strategy_without_location(strategy));
        }
        if spreadsheet && strategy == Some("INTERSECTING_LOCATION") {
            return Err(texts::spreadsheet_intersecting());
        }
        let location = given.map(|l| read_location(book, l)).transpose()?;
        if let (Some("ROW" | "COLUMN" | "SHEET"), true) = (location_type, spreadsheet) {
            return Err(ApiError::internal());
        }
        Ok(Self {
            id: lookup.get("metadataId").and_then(Json::as_i64),
            key: lookup.get("metadataKey").and_then(Json::as_str),
            value: lookup.get("metadataValue").and_then(Json::as_str),
            visibility: text("visibility"),
            location_type,
            location,
            intersecting: match strategy {
                Some(strategy) => strategy == "INTERSECTING_LOCATION",
                // A location type asks for what lies inside the location, so it implies
                // intersection.
                None => location_type.is_some(),
            },
        })
    }

    fn matches(&self, entry: &Metadata) -> bool {
        self.id.is_none_or(|id| id == entry.id)
            && self.key.is_none_or(|key| key == entry.key)
            && self.value.is_none_or(|value| entry.value.as_deref() == Some(value))
            && self.visibility.is_none_or(|v| v == entry.visibility.name())
            && self.location_type.is_none_or(|t| t == entry.location.type_name())
            && self.location.is_none_or(|wanted| {
                wanted == entry.location || self.intersecting && intersects(&wanted, &entry.location)
            })
    }
}

/// Lines of one tab intersect its sheet location, and rows its columns (G-META-10).
fn intersects(wanted: &Location, entry: &Location) -> bool {
    match (wanted, entry) {
        (Location::Spreadsheet, _) | (_, Location::Spreadsheet) => false,
        (Location::Line { axis: a, .. }, Location::Line { axis: b, .. }) if a == b => false,
        _ => wanted.sheet() == entry.sheet(),
    }
}

/// `locationType` inside the location is ignored in a lookup (G-META-7).
fn read_location(book: &Workbook, location: &Json) -> ApiResult<Location> {
    if location.get("spreadsheet").is_some() {
        return Ok(Location::Spreadsheet);
    }
    if let Some(sheet) = location.get("sheetId").and_then(Json::as_i64) {
        book.grid(sheet)?;
        return Ok(Location::Sheet(sheet));
    }
    Location::line(book, &location["dimensionRange"])
}

mod texts {
    use super::{ApiError, Json};

    pub fn spreadsheet_type_for(location: &Json) -> ApiError {
        let what = if location.get("sheetId").is_some() { "sheetId" } else { "dimensionRange" };
        ApiError::invalid(format!("Cannot limit by location type of SPREADSHEET for the location {what}"))
    }

    pub fn exact_with_type(kind: &str) -> ApiError {
        ApiError::invalid(format!(
            "The locationMatchingStrategy was specified as EXACT_LOCATION, but a locationType was also specified: {kind}"
        ))
    }

    pub fn strategy_without_location(strategy: &str) -> ApiError {
        ApiError::invalid(format!(
            "A locationMatchingStrategy was specified, but no metadataLocation was specified: {strategy}"
        ))
    }

    pub fn spreadsheet_intersecting() -> ApiError {
        ApiError::invalid(
            "DeveloperMetadataLookup.spreadsheet is true, but locationMatchingStrategy was specified as INTERSECTING.",
        )
    }
}
