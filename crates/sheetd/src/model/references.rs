//! References inside formula texts: how they move with copies, inserted and deleted lines, and
//! renamed tabs.

use super::a1;
use super::area::Axis;
use super::structure::Shift;

/// One end of a reference; a whole column has no row, a whole row no column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    pub column: Option<u32>,
    pub row: Option<u32>,
    column_fixed: bool,
    row_fixed: bool,
}

/// A cell or a range, on a tab that may be named.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    pub title: Option<String>,
    pub from: End,
    pub to: Option<End>,
}

impl End {
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (column_fixed, rest) = text.strip_prefix('$').map_or((false, text), |r| (true, r));
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (letters, rest) = rest.split_at(letters);
        let column = if letters.is_empty() { None } else { Some(a1::column_index(letters)?) };
        let (row_fixed, rest) = match rest.strip_prefix('$') {
            Some(rest) => (true, rest),
            None => (column.is_none() && column_fixed, rest),
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at(digits);
        let row = if digits.is_empty() { None } else { Some(digits.parse::<u32>().ok()?.checked_sub(1)?) };
        if column.is_none() && row.is_none() || row.is_none() && row_fixed {
            return None;
        }
        Some((Self { column, row, column_fixed: column_fixed && column.is_some(), row_fixed }, rest))
    }

    fn print(&self) -> String {
        let mark = |fixed: bool| if fixed { "$" } else { "" };
        let column = self.column.map(|c| format!("{}{}", mark(self.column_fixed), a1::column_letters(c)));
        let row = self.row.map(|r| format!("{}{}", mark(self.row_fixed), r + 1));
        column.unwrap_or_default() + &row.unwrap_or_default()
    }

    fn moved(mut self, rows: i64, columns: i64) -> Option<Self> {
        let by = |index: Option<u32>, fixed: bool, by: i64| match index {
            Some(i) if !fixed => u32::try_from(i64::from(i) + by).ok().map(Some),
            other => Some(other),
        };
        self.row = by(self.row, self.row_fixed, rows)?;
        self.column = by(self.column, self.column_fixed, columns)?;
        Some(self)
    }

    fn line(&mut self, axis: Axis) -> &mut Option<u32> {
        match axis {
            Axis::Rows => &mut self.row,
            Axis::Columns => &mut self.column,
        }
    }
}

impl Reference {
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (title, rest) = title_prefix(text);
        let (from, rest) = End::parse(rest)?;
        let (to, rest) = match rest.strip_prefix(':').and_then(End::parse) {
            Some((to, rest)) => (Some(to), rest),
            None => (None, rest),
        };
        if to.is_none() && (from.row.is_none() || from.column.is_none()) {
            return None;
        }
        // A name or a function goes on: LOG10(, A1B.
        let goes_on = rest.starts_with(|c: char| c == '(' || c == '!' || is_word(c));
        (!goes_on).then_some((Self { title, from, to }, rest))
    }

    pub fn print(&self) -> String {
        let title = self.title.as_ref().map(|t| a1::quoted_title(t) + "!").unwrap_or_default();
        let to = self.to.map(|t| format!(":{}", t.print())).unwrap_or_default();
        format!("{title}{}{to}", self.from.print())
    }

    fn shifted(mut self, axis: Axis, shift: Shift) -> Option<Self> {
        match &mut self.to {
            None => {
                let line = self.from.line(axis);
                *line = Some(shift.line((*line)?)?);
            }
            Some(to) => {
                let (start, end) = (*self.from.line(axis), *to.line(axis));
                let (start, end) = shift.range(start, end.map(|e| e + 1))?;
                *self.from.line(axis) = start;
                *to.line(axis) = end.map(|e| e - 1);
            }
        }
        Some(self)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn title_prefix(text: &str) -> (Option<String>, &str) {
    if let Some(rest) = text.strip_prefix('\'') {
        let mut at = 0;
        while let Some(end) = rest[at..].find('\'') {
            let end = at + end;
            if rest[end..].starts_with("''") {
                at = end + 2;
                continue;
            }
            return match rest[end + 1..].strip_prefix('!') {
                Some(after) => (Some(rest[..end].replace("''", "'")), after),
                None => (None, text),
            };
        }
        return (None, text);
    }
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    match text[end..].strip_prefix('!') {
        Some(after) if end > 0 => (Some(text[..end].to_owned()), after),
        _ => (None, text),
    }
}

/// Passes every reference outside of texts through `to`; what it drops becomes `#REF!`.
pub fn rewrite(formula: &str, mut to: impl FnMut(Reference) -> Option<Reference>) -> String {
    let mut out = String::with_capacity(formula.len());
    let mut rest = formula;
    while let Some(c) = rest.chars().next() {
        if let Some((reference, after)) = Reference::parse(rest) {
            match to(reference) {
                Some(new) => out.push_str(&new.print()),
                None => out.push_str("#REF!"),
            }
            rest = after;
            continue;
        }
        let end = match c {
            '"' | '\'' => rest[1..].find(c).map_or(rest.len(), |e| e + 2),
            c if is_word(c) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out
}

/// The formula as it reads when copied so many rows down and columns right: relative references
/// move, `$` ones stay.
pub fn offset(formula: &str, rows: i64, columns: i64) -> String {
    if rows == 0 && columns == 0 {
        return formula.to_owned();
    }
    rewrite(formula, |reference| {
        let to = match reference.to {
            Some(to) => Some(to.moved(rows, columns)?),
            None => None,
        };
        Some(Reference { from: reference.from.moved(rows, columns)?, to, ..reference })
    })
}

/// The formula on tab `own` after lines of tab `title` moved.
pub fn shifted(formula: &str, own: &str, title: &str, axis: Axis, shift: Shift) -> String {
    rewrite(formula, |reference| {
        let on = reference.title.as_deref().unwrap_or(own);
        if on.to_lowercase() == title.to_lowercase() { reference.shifted(axis, shift) } else { Some(reference) }
    })
}

/// The formula after a tab got another title.
pub fn renamed(formula: &str, old: &str, new: &str) -> String {
    rewrite(formula, |mut reference| {
        if reference.title.as_ref().is_some_and(|t| t.to_lowercase() == old.to_lowercase()) {
            reference.title = Some(new.to_owned());
        }
        Some(reference)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_move_relative_references() {
        assert_eq!(offset("=A1+$B$2*SUM(C3:D4)", 1, 1), "=B2+$B$2*SUM(D4:E5)");
        assert_eq!(offset("=\"A1\"&'A1'!B2&LOG10(3)", 2, 0), "=\"A1\"&'A1'!B4&LOG10(3)");
        assert_eq!(offset("=SUM(A:A)+SUM(2:3)+A$1", 1, 1), "=SUM(B:B)+SUM(3:4)+B$1");
        assert_eq!(offset("=A1", -1, 0), "=#REF!");
    }

    #[test]
    fn inserted_and_deleted_rows_are_followed() {
        let insert = Shift::Insert { at: 1, count: 2 };
        assert_eq!(shifted("=A1+A2+SUM(A1:A3)", "S", "S", Axis::Rows, insert), "=A1+A4+SUM(A1:A5)");
        assert_eq!(shifted("=A2+Other!A2+S!A2", "S", "S", Axis::Rows, insert), "=A4+Other!A2+S!A4");
        let delete = Shift::Delete { start: 1, end: 2 };
        assert_eq!(shifted("=A1+A2+SUM(A1:A3)+B:B", "S", "S", Axis::Rows, delete), "=A1+#REF!+SUM(A1:A2)+B:B");
        assert_eq!(renamed("='a b'!A1+c!A1", "A B", "d"), "=d!A1+c!A1");
    }
}
