//! Looking at every cell of many rows: which hold a formula, and which nobody typed.

use std::collections::HashMap;

use engine::effect::{Computed, Formula, SheetOutcome};

use super::structure::runs;
use super::{Session, Tab, Target};
use crate::answers::{self, CellData};
use crate::error::{Error, Purpose};
use crate::requests::{DataFilter, GridRange, Search};

/// Cells that one request asks about. Blank ones and values take a few bytes each, and a formula
/// its own length.
const MOST_CELLS: u32 = 500_000;

impl Session {
    pub(super) fn formulas(&self, target: &Target) -> Result<SheetOutcome, Error> {
        let fields = "sheets(properties(sheetId),data(startRow,startColumn,rowData(values(userEnteredValue(formulaValue)))))";
        let mut formulas = Vec::new();
        self.every_cell(target, fields, |row, column, cell| {
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
        let mut found: HashMap<u32, Vec<(u32, Computed)>> = HashMap::new();
        let fields = "sheets(properties(sheetId),data(startRow,startColumn,rowData(values(effectiveValue,userEnteredValue))))";
        self.each_cell_of(target, rows, fields, |row, column, cell| {
            if let Some(computed) = cell.computed() {
                found.entry(row).or_default().push((column, computed));
            }
        })?;
        Ok(found)
    }

    /// Every cell of the tab, block by block. Whoever inserts or deletes rows between two of them
    /// may move a cell past us, as they may right after one request for all: what is written is
    /// checked by the request that tags its rows.
    pub(super) fn every_cell(
        &self,
        target: &Target,
        fields: &str,
        mut visit: impl FnMut(u32, u32, &CellData),
    ) -> Result<(), Error> {
        for block in blocks(&self.tab(target)?) {
            self.each_cell(target, vec![block], fields, &mut visit)?;
        }
        Ok(())
    }

    /// Every cell of these rows; small gaps between them are read along.
    pub(super) fn each_cell_of(
        &self,
        target: &Target,
        rows: impl Iterator<Item = u32>,
        fields: &str,
        visit: impl FnMut(u32, u32, &CellData),
    ) -> Result<(), Error> {
        let range = |rows: std::ops::Range<u32>| GridRange {
            sheet_id: target.sheet_id,
            start_row_index: Some(rows.start),
            end_row_index: Some(rows.end),
            ..GridRange::default()
        };
        let ranges: Vec<GridRange> = runs(rows).into_iter().map(range).collect();
        match ranges.is_empty() {
            true => Ok(()),
            false => self.each_cell(target, ranges, fields, visit),
        }
    }

    fn each_cell(
        &self,
        target: &Target,
        ranges: Vec<GridRange>,
        fields: &str,
        mut visit: impl FnMut(u32, u32, &CellData),
    ) -> Result<(), Error> {
        let last_rows: Vec<u32> = ranges.iter().filter_map(GridRange::last_row).collect();
        let filters = ranges.into_iter().map(DataFilter::GridRange);
        let answer: Result<answers::Spreadsheet, Error> = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            ":getByDataFilter",
            fields,
            &Search(filters.collect()),
        );
        let answer =
            answer.map_err(|error| self.outdated_rows(target, last_rows.into_iter(), error))?;
        for block in answer.sheet(target.sheet_id)?.data {
            for (row, data) in (block.start_row..).zip(&block.row_data) {
                for (column, cell) in (block.start_column..).zip(&data.values) {
                    visit(row, column, cell);
                }
            }
        }
        Ok(())
    }
}

/// The requests that it takes to look at every cell of the tab.
pub(super) fn requests(tab: &Tab) -> usize {
    blocks(tab).len()
}

/// The last block has no end: the tab may have grown since it was seen.
fn blocks(tab: &Tab) -> Vec<GridRange> {
    let step = (MOST_CELLS / tab.columns.max(1)).max(1);
    let starts = (0..tab.rows.max(1)).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    let block = |start: u32| GridRange {
        sheet_id: tab.sheet_id,
        start_row_index: Some(start),
        end_row_index: Some(start.saturating_add(step)).filter(|end| *end < tab.rows),
        ..GridRange::default()
    };
    starts.map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(rows: u32, columns: u32) -> Vec<(Option<u32>, Option<u32>)> {
        let tab = Tab {
            sheet_id: 7,
            title: "Data".into(),
            hidden: false,
            has_cells: true,
            rows,
            columns,
            frozen_rows: 0,
        };
        let blocks = blocks(&tab).into_iter();
        blocks
            .map(|block| (block.start_row_index, block.end_row_index))
            .collect()
    }

    #[test]
    fn a_large_tab_is_asked_in_parts_that_cover_it() {
        assert_eq!(ends(1_000, 26), [(Some(0), None)]);
        assert_eq!(ends(0, 0), [(Some(0), None)]);
        assert_eq!(ends(500_000, 1), [(Some(0), None)]);
        assert_eq!(
            ends(500_001, 1),
            [(Some(0), Some(500_000)), (Some(500_000), None)]
        );
        // The largest that Google keeps.
        let parts = ends(10_000_000, 1);
        assert_eq!(parts.len(), 20);
        let mut seams = parts.windows(2);
        assert!(seams.all(|pair| pair[0].1 == pair[1].0));
        assert_eq!(parts.last(), Some(&(Some(9_500_000), None)));
    }
}
