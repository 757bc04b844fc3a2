//! Formulas: which cells hold one, and which cells nobody typed.

use std::collections::HashMap;

use engine::effect::{Computed, Formula, SheetOutcome};

use super::structure::runs;
use super::{Session, Target};
use crate::answers::{self, CellData};
use crate::error::{Error, Purpose};
use crate::requests::{DataFilter, GridRange, Search};

impl Session {
    /// Blank cells and values take a few bytes each: no more than the values of a reading.
    pub(super) fn formulas(&self, target: &Target) -> Result<SheetOutcome, Error> {
        let whole = GridRange {
            sheet_id: target.sheet_id,
            ..GridRange::default()
        };
        let fields = "sheets(properties(sheetId),data(startRow,startColumn,rowData(values(userEnteredValue(formulaValue)))))";
        let mut formulas = Vec::new();
        self.each_cell(target, vec![whole], fields, |row, column, cell| {
            let entered = cell.user_entered_value.as_ref();
            if let Some(text) = entered.and_then(|entered| entered.formula_value.clone()) {
                formulas.push(Formula { row, column, text });
            }
        })?;
        Ok(SheetOutcome::Formulas(formulas))
    }

    /// The cells of these rows that nobody typed.
    pub(super) fn computed(
        &self,
        target: &Target,
        rows: impl Iterator<Item = u32>,
    ) -> Result<HashMap<u32, Vec<(u32, Computed)>>, Error> {
        let range = |rows: std::ops::Range<u32>| GridRange {
            sheet_id: target.sheet_id,
            start_row_index: Some(rows.start),
            end_row_index: Some(rows.end),
            ..GridRange::default()
        };
        let ranges: Vec<GridRange> = runs(rows).into_iter().map(range).collect();
        let mut found: HashMap<u32, Vec<(u32, Computed)>> = HashMap::new();
        if ranges.is_empty() {
            return Ok(found);
        }
        let fields = "sheets(properties(sheetId),data(startRow,startColumn,rowData(values(effectiveValue,userEnteredValue))))";
        self.each_cell(target, ranges, fields, |row, column, cell| {
            if let Some(computed) = cell.computed() {
                found.entry(row).or_default().push((column, computed));
            }
        })?;
        Ok(found)
    }

    fn each_cell(
        &self,
        target: &Target,
        ranges: Vec<GridRange>,
        fields: &str,
        mut visit: impl FnMut(u32, u32, &CellData),
    ) -> Result<(), Error> {
        let filters = ranges.into_iter().map(DataFilter::GridRange);
        let spreadsheet: answers::Spreadsheet = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            ":getByDataFilter",
            fields,
            &Search(filters.collect()),
        )?;
        let sheets = spreadsheet.sheets.into_iter();
        let ours = sheets.filter(|sheet| sheet.properties.sheet_id == target.sheet_id);
        for block in ours.flat_map(|sheet| sheet.data) {
            for (row, data) in (block.start_row..).zip(&block.row_data) {
                for (column, cell) in (block.start_column..).zip(&data.values) {
                    visit(row, column, cell);
                }
            }
        }
        Ok(())
    }
}
