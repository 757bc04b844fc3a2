//! What a formula refers to: cells of its own row or of others, ranges, whole columns.

use crate::cycle::read::formula_text::each_word;
use std::collections::BTreeSet;

/// What the value of a formula is computed from.
#[derive(Default)]
pub(crate) struct Used {
    /// A function that sums up.
    pub sums: bool,
    /// Any cell at all.
    pub refers: bool,
    /// Cells of another tab.
    pub elsewhere: bool,
    /// Cells of the formula's own row.
    pub own: bool,
    /// Ranges over several other rows, and whole columns.
    pub several: bool,
    pub columns: bool,
    /// Single cells of other rows, by these, as people count.
    pub single: BTreeSet<u32>,
    /// A function that tells a place, or cells of other rows that another row's formula would not
    /// name: in another place the same formula shows something else.
    pub place: bool,
}

impl Used {
    pub(crate) fn by(formula: &str, row: u32) -> Self {
        let own = row.saturating_add(1);
        let mut used = Self::default();
        let mut from: Option<Reference> = None;
        let mut elsewhere = false;
        each_word(formula, |before, word, next| {
            if next == Some('(') {
                let is_one_of =
                    |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
                used.sums |= is_one_of(&SUMS);
                used.place |= is_one_of(&PLACES);
                from = None;
                return;
            }
            // The end of a range stands in the tab of its beginning.
            elsewhere = before == Some('!') || elsewhere && before == Some(':');
            let Some(reference) = Reference::of(word).filter(|_| next != Some('!')) else {
                from = None;
                return;
            };
            if elsewhere {
                used.refers = true;
                used.elsewhere = true;
                used.place |= reference.moves();
                return;
            }
            if next == Some(':') {
                from = Some(reference);
                return;
            }
            match from.take() {
                Some(from) => used.note_range(&from, &reference, own),
                None => used.note_cell(&reference, own),
            }
        });
        used
    }

    fn note_range(&mut self, from: &Reference, to: &Reference, own: u32) {
        self.refers = true;
        let one_row = from.row == to.row && to.row == Some(own);
        self.place |= !one_row && (from.moves() || to.moves());
        match (from.row, to.row) {
            (from, Some(last)) => {
                let first = from.unwrap_or(1);
                let within = (first.min(last)..=first.max(last)).contains(&own);
                self.own |= within;
                match (within, first == last) {
                    (true, _) => {}
                    // What is left of the range of a sum when rows were deleted.
                    (false, true) => _ = self.single.insert(last),
                    (false, false) => self.several = true,
                }
            }
            (_, None) => self.columns = true,
        }
    }

    fn note_cell(&mut self, cell: &Reference, own: u32) {
        self.refers |= cell.row.is_some();
        match cell.row {
            Some(row) if row == own => self.own = true,
            Some(row) if !cell.fixed => {
                self.place |= cell.moves();
                self.single.insert(row);
            }
            _ => {}
        }
    }
}

/// Functions that make one value of many.
const SUMS: [&str; 32] = [
    "SUM",
    "SUBTOTAL",
    "AGGREGATE",
    "AVERAGE",
    "AVERAGEA",
    "AVERAGEIF",
    "AVERAGEIFS",
    "COUNT",
    "COUNTA",
    "COUNTBLANK",
    "COUNTIF",
    "COUNTIFS",
    "COUNTUNIQUE",
    "COUNTUNIQUEIFS",
    "DCOUNT",
    "DSUM",
    "MAX",
    "MAXA",
    "MAXIFS",
    "MEDIAN",
    "MIN",
    "MINA",
    "MINIFS",
    "MODE",
    "PRODUCT",
    "QUERY",
    "STDEV",
    "SUMIF",
    "SUMIFS",
    "SUMPRODUCT",
    "SUMSQ",
    "VAR",
];

/// Functions that tell where the formula stands, or count from there.
const PLACES: [&str; 7] = [
    "ADDRESS", "CELL", "INDIRECT", "OFFSET", "ROW", "ROWS", "SEQUENCE",
];

/// A cell of a formula, or one end of a range.
struct Reference {
    /// As people count; `None` where a whole column is meant.
    row: Option<u32>,
    fixed_row: bool,
    fixed: bool,
}

impl Reference {
    fn of(word: &str) -> Option<Self> {
        let fixed_column = word.starts_with('$');
        let rest = word.strip_prefix('$').unwrap_or(word);
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        if letters == 0 || letters > 3 {
            return None;
        }
        let (_, row) = rest.split_at(letters);
        let fixed_row = row.starts_with('$');
        let digits = row.strip_prefix('$').unwrap_or(row);
        let row = match digits {
            "" => None,
            digits => Some(digits.parse().ok()?),
        };
        Some(Self {
            row,
            fixed_row,
            fixed: fixed_column && fixed_row,
        })
    }

    /// In a copy of the formula further down it names a row further down.
    fn moves(&self) -> bool {
        self.row.is_some() && !self.fixed_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_of_the_place_shows_something_else_in_another() {
        for formula in [
            "=ROW()-1",
            "=A4+1",
            "=COUNTA(B$2:B5)",
            "=feed!A5",
            "=ROWS(B2:B5)",
        ] {
            assert!(Used::by(formula, 4).place, "{formula}");
        }
        for formula in [
            "=\"K-\"&B5",
            "=IF($F$1=\"on\",\"A-1\",1/0)",
            "=VLOOKUP(B5,feed!A:B,2)",
            "=SUM(B5:D5)",
            "=F$1&B5",
        ] {
            assert!(!Used::by(formula, 4).place, "{formula}");
        }
    }
}
