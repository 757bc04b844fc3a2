//! What is not written because a formula is there: a value over it would destroy what a person
//! made, and with an array all that it fills.

use super::{Filled, Row, Source};
use crate::effect::{Place, Problem};
use crate::mapping::Side;
use crate::value::Key;

/// The code of such a problem.
pub(crate) const FORMULA_CELL: &str = "formula_cell";

/// The code of the problem of a blank that is no edit.
pub(crate) const BLANK_FORMULA: &str = "blank_formula";

impl Row<'_> {
    /// Of a column that only shows the table a formula in the cell is an edit, and put back as any
    /// other.
    fn filled(&self, column: usize) -> Option<&Filled> {
        let cell = self.computed.iter().find(|cell| cell.column == column)?;
        (cell.by != Source::Own || self.mapping.pulls(column)).then_some(cell)
    }

    pub(super) fn is_filled(&self, column: usize) -> bool {
        self.filled(column).is_some()
    }

    /// Why this cell of the row is not written.
    pub(super) fn cell_withheld(&self, column: usize) -> Option<Problem> {
        let cell = self.filled(column)?;
        Some(cell_withheld(self.key, column, &cell.by))
    }

    /// Why a blank cell is no edit.
    pub(super) fn blank_doubted(&self, column: usize) -> Option<Problem> {
        let blank = self.blanks.iter().find(|blank| blank.column == column)?;
        let message = match &blank.by {
            Source::Own => "The formula in this cell shows nothing; the table keeps its value.",
            Source::Cell(_) | Source::Somewhere => {
                "The cell is blank while {formula} shows nothing or an error; the table keeps its value."
            }
        };
        Some(Problem {
            side: Side::Database,
            code: BLANK_FORMULA.into(),
            hint: "Fix the formula. If the cell is to be blank, delete the formula, too.".into(),
            ..withheld(self.key, Some(column), &blank.by, message)
        })
    }

    /// Why the row is neither deleted nor emptied.
    pub(super) fn row_withheld(&self) -> Option<Problem> {
        if let Some(formula) = self.feeds {
            let by = Source::Cell(formula.to_owned());
            let message = "The table does not have this row any more, but {formula} fills other rows, too, and stands in it.";
            return Some(withheld(self.key, None, &by, message));
        }
        let names = |cell: &&Filled| self.mapping.key.contains(&cell.column);
        let filled = self.computed.iter().find(names)?;
        let message = match &filled.by {
            // Such as =ROW()-1: without the row the keys below may become others.
            Source::Own => {
                "The table does not have this row any more, but a formula gives it its key."
            }
            Source::Cell(_) | Source::Somewhere => {
                "The table does not have this row any more, but the row is filled by {formula}."
            }
        };
        Some(withheld(self.key, None, &filled.by, message))
    }
}

/// Why a cell that a formula fills is not written.
pub(crate) fn cell_withheld(key: &Key, column: usize, by: &Source) -> Problem {
    let message = match by {
        Source::Own => "The cell holds a formula, so the table's value is not written into it.",
        Source::Cell(_) | Source::Somewhere => {
            "The cell is filled by {formula}, so the table's value is not written into it."
        }
    };
    withheld(key, Some(column), by, message)
}

fn withheld(key: &Key, column: Option<usize>, by: &Source, message: &str) -> Problem {
    let formula = match by {
        Source::Cell(cell) => format!("the formula in {cell}"),
        Source::Own | Source::Somewhere => "a formula elsewhere in the sheet".to_owned(),
    };
    let hint = match (by, column) {
        (Source::Own, None) => "Delete the row in the sheet, and look at the keys below it.",
        (Source::Own, Some(_)) => {
            "Type a value over the formula; or keep it, and have the column's direction set to from_sheet: then the table follows it."
        }
        (_, Some(_)) => {
            "Change the value where the formula takes it from; or have the column's direction set to from_sheet: then the table follows it."
        }
        (_, None) => "Remove the row where the formula takes it from, or move the formula.",
    };
    Problem {
        place: Place {
            key: Some(key.clone()),
            sheet_row: None,
            column,
        },
        side: Side::Sheet,
        code: FORMULA_CELL.into(),
        message: message.replace("{formula}", &formula),
        hint: hint.into(),
        retry_at: None,
    }
}
