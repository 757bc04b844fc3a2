//! Looking at single cells: what was entered there, in which format it shows, and the text that
//! people see (G-FORMATS-2, G-FORMATS-3).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use engine::effect::{CellDetail, Entered, NumberFormat, SheetOutcome};
use engine::value::Cell;

use super::structure::joined;
use super::{Session, Tab, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{DataFilter, GridRange, Search};

/// Ranges that one request names: each is a block of the answer.
const MOST_RANGES: usize = 500;

/// Cells that one request asks about. One takes some 250 bytes of the answer, apart from its texts.
const MOST_CELLS: usize = 4_000;

const FIELDS: &str = "properties(timeZone,locale),sheets(properties(sheetId),developerMetadata(metadataId,metadataValue),data(startRow,startColumn,rowData(values(userEnteredValue,effectiveValue,formattedValue,effectiveFormat(numberFormat)))))";

/// Neighbouring cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub rows: Range<u32>,
    pub columns: Range<u32>,
}

impl Block {
    fn cells(&self) -> usize {
        self.rows.len().saturating_mul(self.columns.len())
    }
}

impl Session {
    /// What is said of one cell is of one moment; of cells that do not fit into one request each
    /// part is.
    pub(super) fn inspect(
        &self,
        target: &Target,
        cells: &[(u32, u32)],
    ) -> Result<SheetOutcome, Error> {
        let mut found = HashMap::with_capacity(cells.len());
        for blocks in requests(cells) {
            self.inspect_blocks(target, &blocks, &mut found)?;
        }
        // Rows and blocks end with their last cell that has anything.
        let empty = || CellDetail::plain(Cell::Empty);
        let detail = |cell: &(u32, u32)| found.get(cell).cloned().unwrap_or_else(empty);
        Ok(SheetOutcome::Inspected(cells.iter().map(detail).collect()))
    }

    fn inspect_blocks(
        &self,
        target: &Target,
        blocks: &[Block],
        found: &mut HashMap<(u32, u32), CellDetail>,
    ) -> Result<(), Error> {
        let filters = blocks.iter().map(|block| {
            DataFilter::GridRange(GridRange::block(
                target.sheet_id,
                block.rows.clone(),
                block.columns.clone(),
            ))
        });
        let answer: Result<answers::Spreadsheet, Error> = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            ":getByDataFilter",
            FIELDS,
            &Search(filters.collect()),
        );
        let spreadsheet = answer.map_err(|error| {
            let beyond = |tab: &Tab| {
                let mut blocks = blocks.iter();
                blocks.any(|one| one.rows.end > tab.rows || one.columns.end > tab.columns)
            };
            self.outdated(target, beyond, error)
        })?;
        // In another time zone or locale cells mean something else than whoever asks takes them
        // for.
        let conventions = spreadsheet.properties.conventions()?;
        if let Some(known) = &target.conventions
            && known.differ(&conventions)
        {
            return Err(Error::OtherConventions);
        }
        let sheet = spreadsheet.sheet(target.sheet_id)?;
        self.entry_seen(
            &target.spreadsheet_id,
            target.sheet_id,
            &sheet.developer_metadata,
        );
        self.is_ours_to_read(target)?;
        for block in sheet.data {
            for (row, data) in (block.start_row..).zip(block.row_data) {
                for (column, cell) in (block.start_column..).zip(data.values) {
                    found.insert((row, column), detail(cell));
                }
            }
        }
        Ok(())
    }
}

/// The blocks that each request asks for.
pub(super) fn requests(cells: &[(u32, u32)]) -> Vec<Vec<Block>> {
    let mut requests: Vec<Vec<Block>> = Vec::new();
    let mut room = 0;
    for block in blocks(cells).into_iter().flat_map(cut) {
        match requests.last_mut() {
            Some(last) if last.len() < MOST_RANGES && block.cells() <= room => {
                room -= block.cells();
                last.push(block);
            }
            _ => {
                room = MOST_CELLS.saturating_sub(block.cells());
                requests.push(vec![block]);
            }
        }
    }
    requests
}

/// Runs of each column, and neighbouring columns with the same run as one block.
fn blocks(cells: &[(u32, u32)]) -> Vec<Block> {
    let mut columns: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (row, column) in cells {
        columns.entry(*column).or_default().insert(*row);
    }
    let mut blocks: Vec<Block> = Vec::new();
    // The block that ends at a column, by its rows.
    let mut open: HashMap<(u32, u32), usize> = HashMap::new();
    for (column, rows) in columns {
        let rows: Vec<u32> = rows.into_iter().collect();
        for rows in joined(&rows, 0) {
            let place = (rows.start, rows.end);
            let beside = open.get(&place).and_then(|index| blocks.get_mut(*index));
            match beside {
                Some(block) if block.columns.end == column => block.columns.end = column + 1,
                _ => {
                    open.insert(place, blocks.len());
                    blocks.push(Block {
                        rows,
                        columns: column..column + 1,
                    });
                }
            }
        }
    }
    blocks
}

/// A block of more cells than one request takes, in parts.
fn cut(block: Block) -> Vec<Block> {
    let most = u32::try_from(MOST_CELLS / block.columns.len().max(1)).unwrap_or(1);
    let step = usize::try_from(most.max(1)).unwrap_or(1);
    let starts = block.rows.clone().step_by(step);
    let part = |start: u32| Block {
        rows: start..block.rows.end.min(start.saturating_add(most.max(1))),
        columns: block.columns.clone(),
    };
    starts.map(part).collect()
}

fn detail(cell: answers::CellData) -> CellDetail {
    let value = cell.cell();
    let entered = match cell.user_entered_value {
        None => Entered::Nothing,
        Some(entered) => match entered.formula_value {
            Some(formula) => Entered::Formula(formula),
            None => Entered::Value,
        },
    };
    let format = cell.effective_format.number_format;
    CellDetail {
        value,
        entered,
        format: format.map_or(NumberFormat::AUTOMATIC, |format| {
            NumberFormat::new(&format.kind, format.pattern)
        }),
        shown: cell.formatted_value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(rows: Range<u32>, columns: Range<u32>) -> Block {
        Block { rows, columns }
    }

    #[test]
    fn neighbouring_cells_are_one_range() {
        let cells = [(4, 2), (5, 2), (4, 3), (5, 3), (9, 3), (7, 0), (5, 5)];
        let wanted = vec![
            block(7..8, 0..1),
            block(4..6, 2..4),
            block(9..10, 3..4),
            block(5..6, 5..6),
        ];
        assert_eq!(requests(&cells), [wanted]);
    }

    #[test]
    fn no_request_is_too_large() {
        let scattered: Vec<(u32, u32)> = (0..1_200).map(|at| (at * 2, 1)).collect();
        let parts: Vec<usize> = requests(&scattered).iter().map(Vec::len).collect();
        assert_eq!(parts, [500, 500, 200]);
        let whole: Vec<(u32, u32)> = (0..9_000).map(|at| (at, 1)).collect();
        let parts: Vec<usize> = requests(&whole)
            .iter()
            .map(|blocks| blocks.iter().map(Block::cells).sum())
            .collect();
        assert_eq!(parts, [4_000, 4_000, 1_000]);
        assert!(requests(&[]).is_empty());
    }
}
