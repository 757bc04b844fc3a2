//! A1 notation, as far as answers and `responseRanges` need it. Requests name a tab by its id
//! wherever Google lets them.

use std::ops::Range;

use engine::mapping::column_letters;

/// A range as Google echoes it. Rows and columns are 0-based and half-open; an open end is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    pub title: String,
    pub first_row: u32,
    pub first_column: u32,
    pub end_row: Option<u32>,
    pub end_column: Option<u32>,
}

/// Whole rows `first..end` (0-based) of the tab `title`.
pub fn rows(title: &str, first: u32, end: u32) -> String {
    format!("{}!{}:{}", quoted(title), first + 1, end.max(first + 1))
}

/// Rows `rows` (0-based, half-open) of these columns, likewise.
pub fn block(title: &str, rows: &Range<u32>, columns: &Range<u32>) -> String {
    let corner = |column: u32, row: u32| format!("{}{}", column_letters(column), row + 1);
    format!(
        "{}!{}:{}",
        quoted(title),
        corner(columns.start, rows.start),
        corner(
            columns.end.max(columns.start + 1) - 1,
            rows.end.max(rows.start + 1) - 1
        )
    )
}

/// A title in quotes. Always quoted: a bare `Q1` would be read as a cell (G-RANGES-3).
pub fn quoted(title: &str) -> String {
    format!("'{}'", title.replace('\'', "''"))
}

/// Reads `Sheet1!A1:Z1000`, `'Bob''s'!B7` and `Sheet1!A:C`; `None` for anything else, `#REF!` among
/// it.
pub fn parse(text: &str) -> Option<Echo> {
    // The last `!` separates: titles may hold one (G-RANGES-3).
    let (title, cells) = text.rsplit_once('!')?;
    let title = match title
        .strip_prefix('\'')
        .and_then(|title| title.strip_suffix('\''))
    {
        Some(quoted) => quoted.replace("''", "'"),
        None => title.to_owned(),
    };
    let (first, last) = cells.split_once(':').unwrap_or((cells, cells));
    let (first_column, first_row) = corner(first)?;
    let (last_column, last_row) = corner(last)?;
    Some(Echo {
        title,
        first_row: first_row.unwrap_or(0),
        first_column: first_column.unwrap_or(0),
        end_row: last_row.map(|row| row + 1),
        end_column: last_column.map(|column| column + 1),
    })
}

fn corner(text: &str) -> Option<(Option<u32>, Option<u32>)> {
    let digits = text
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(text.len());
    let (letters, digits) = text.split_at(digits);
    if letters.is_empty() && digits.is_empty() || letters.len() > 4 {
        return None;
    }
    let mut column: u32 = 0;
    for letter in letters.bytes() {
        if !letter.is_ascii_uppercase() {
            return None;
        }
        column = column * 26 + u32::from(letter - b'A') + 1;
    }
    let row = match digits {
        "" => None,
        digits => Some(digits.parse::<u32>().ok()?.checked_sub(1)?),
    };
    Some((column.checked_sub(1), row))
}
