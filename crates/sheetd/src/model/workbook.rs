//! A spreadsheet: its tabs, names and metadata.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::area::Area;
use super::metadata::Entries;
use super::sheet::Sheet;
use super::structure::Move;
use crate::errors::{ApiError, ApiResult};

/// Of all tabs together (G-LIMITS-1).
pub const MAX_CELLS: u64 = 10_000_000;

/// Cloning is cheap: sheets, rows and metadata are shared until they change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Workbook {
    pub id: String,
    pub title: String,
    pub locale: String,
    pub time_zone: String,
    pub auto_recalc: String,
    /// Members of `SpreadsheetProperties` that are kept and given back as they came.
    pub more: Map<String, Json>,
    pub sheets: Vec<Arc<Sheet>>,
    pub names: Vec<NamedRange>,
    pub metadata: Entries,
    /// False only where there surely is no formula, which spares looking for them.
    pub may_have_formulas: bool,
    /// What the last change moved.
    #[serde(skip)]
    pub moves: Vec<Move>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedRange {
    pub id: String,
    pub name: String,
    pub range: Area,
}

impl Workbook {
    /// A new spreadsheet has one tab of 1000 x 26 with id 0; files made through Drive are in
    /// Etc/GMT (G-LIMITS-6, G-STANDIN-15).
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            locale: "en_US".to_owned(),
            time_zone: "Etc/GMT".to_owned(),
            auto_recalc: "ON_CHANGE".to_owned(),
            more: Map::new(),
            sheets: vec![Arc::new(Sheet::new(0, "Sheet1", 1000, 26))],
            names: Vec::new(),
            metadata: Entries::default(),
            may_have_formulas: false,
            moves: Vec::new(),
        }
    }

    pub fn position(&self, sheet: i64) -> Option<usize> {
        self.sheets.iter().position(|s| s.id == sheet)
    }

    pub fn sheet(&self, sheet: i64) -> Option<&Sheet> {
        self.position(sheet).map(|at| &*self.sheets[at])
    }

    pub fn grid(&self, sheet: i64) -> ApiResult<&Sheet> {
        self.sheet(sheet).ok_or_else(|| ApiError::invalid(format!("No grid with id: {sheet}")))
    }

    pub fn grid_mut(&mut self, sheet: i64) -> ApiResult<&mut Sheet> {
        let at = self.position(sheet).ok_or_else(|| ApiError::invalid(format!("No grid with id: {sheet}")))?;
        Ok(Arc::make_mut(&mut self.sheets[at]))
    }

    /// Titles are compared without regard to case (G-RANGES-1).
    pub fn titled(&self, title: &str) -> Option<&Sheet> {
        let wanted = title.to_lowercase();
        self.sheets.iter().find(|s| s.title.to_lowercase() == wanted).map(|s| &**s)
    }

    pub fn cells_in_grids(&self) -> u64 {
        self.sheets.iter().map(|s| s.cells_in_grid()).sum()
    }

    /// Refuses what would make the workbook larger than Google allows (G-LIMITS-1, G-LIMITS-2).
    pub fn check_size(&self) -> ApiResult<()> {
        if self.cells_in_grids() > MAX_CELLS {
            return Err(ApiError::invalid(
                "This action would increase the number of cells in the workbook above the limit of 10000000 cells.",
            ));
        }
        if self.sheets.iter().any(|s| s.column_count() > super::a1::MAX_COLUMNS) {
            return Err(ApiError::invalid(
                "This action would increase the number of columns in the sheet above the limit of 18278 columns.",
            ));
        }
        Ok(())
    }
}
