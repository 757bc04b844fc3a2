//! The text of a formula, as far as it tells what the formula may do.

use crate::codec::is_error;
use crate::effect::{CellDetail, Entered};
use crate::mapping::column_letters;
use crate::value::Cell;

/// So many cells are looked at because the array that filled a blank may begin there. Where it may
/// begin in more, all formulas of the tab are asked for.
pub(crate) const CANDIDATES: usize = 500;

/// Rows below the header in which an array that feeds the whole tab begins.
pub(crate) const TOP: u32 = 3;

/// Functions that give more than one cell.
const ARRAYS: [&str; 44] = [
    "ARRAYFORMULA",
    "ARRAY_CONSTRAIN",
    "BYCOL",
    "BYROW",
    "CHOOSECOLS",
    "CHOOSEROWS",
    "EXPAND",
    "FILTER",
    "FLATTEN",
    "FREQUENCY",
    "GOOGLEFINANCE",
    "GROWTH",
    "HSTACK",
    "IMPORTDATA",
    "IMPORTFEED",
    "IMPORTHTML",
    "IMPORTRANGE",
    "IMPORTXML",
    "INDEX",
    "INDIRECT",
    "LAMBDA",
    "LET",
    "LINEST",
    "LOGEST",
    "MAKEARRAY",
    "MAP",
    "MINVERSE",
    "MMULT",
    "MUNIT",
    "OFFSET",
    "QUERY",
    "RANDARRAY",
    "SCAN",
    "SEQUENCE",
    "SORT",
    "SORTN",
    "SPLIT",
    "TOCOL",
    "TOROW",
    "TRANSPOSE",
    "TREND",
    "UNIQUE",
    "VSTACK",
    "XLOOKUP",
];

/// Whether the cell's formula can fill others: by a function that gives arrays, by an array in
/// braces, or by a function of the spreadsheet's own (those of Sheets are written in capitals).
pub(crate) fn may_fill(detail: &CellDetail) -> bool {
    matches!(&detail.entered, Entered::Formula(text) if fills(text))
}

/// The same of a formula's text.
pub(crate) fn fills(text: &str) -> bool {
    let mut gives = false;
    each_word(text, |_, word, next| {
        let own = next == Some('(') && word.chars().any(char::is_lowercase);
        let known = ARRAYS.iter().any(|name| name.eq_ignore_ascii_case(word));
        gives |= own || next == Some('(') && known;
    });
    gives || text.contains('{')
}

/// Names, references and numbers of a formula outside of its texts, each with the character before
/// it and the one that follows.
pub(crate) fn each_word(formula: &str, mut visit: impl FnMut(Option<char>, &str, Option<char>)) {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '$' | '_' | '.');
    let mut rest = formula;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        if let '"' | '\'' = first {
            let after = rest.get(1..).unwrap_or_default();
            let end = after.find(first).map_or(after.len(), |end| end + 1);
            rest = after.get(end..).unwrap_or_default();
            before = Some(first);
            continue;
        }
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            before = Some(first);
        } else {
            visit(before, word, after.chars().next());
            before = word.chars().next_back();
            rest = after;
        }
    }
}

/// A cell as a person calls it.
pub(crate) fn place(row: u32, column: u32) -> String {
    format!("{}{}", column_letters(column), row.saturating_add(1))
}

/// A formula that shows an error, or nothing.
pub(crate) fn is_silent(detail: &CellDetail) -> bool {
    matches!(detail.entered, Entered::Formula(_))
        && (detail.value == Cell::Empty || is_error(&detail.value))
}
