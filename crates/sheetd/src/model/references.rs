//! Cell references inside formula texts, and how they move with a copy.

use super::a1;

/// The formula as it reads when copied so many rows down and columns right: relative references move, `$` ones stay.
pub fn offset(formula: &str, rows: i64, columns: i64) -> String {
    if rows == 0 && columns == 0 {
        return formula.to_owned();
    }
    rewrite(formula, |reference| {
        let row = if reference.row_fixed {
            Some(reference.row)
        } else {
            shifted(reference.row, rows)
        };
        let column = if reference.column_fixed {
            Some(reference.column)
        } else {
            shifted(reference.column, columns)
        };
        Some(Reference {
            row: row?,
            column: column?,
            ..*reference
        })
    })
}

fn shifted(index: u32, by: i64) -> Option<u32> {
    u32::try_from(i64::from(index) + by).ok()
}

#[derive(Debug, Clone, Copy)]
pub struct Reference {
    pub row: u32,
    pub column: u32,
    pub row_fixed: bool,
    pub column_fixed: bool,
}

impl Reference {
    fn parse(token: &str) -> Option<Self> {
        let (column_fixed, rest) = token
            .strip_prefix('$')
            .map_or((false, token), |r| (true, r));
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (letters, rest) = rest.split_at(letters);
        let (row_fixed, digits) = rest.strip_prefix('$').map_or((false, rest), |r| (true, r));
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let row = digits.parse::<u32>().ok()?.checked_sub(1)?;
        Some(Self {
            row,
            column: a1::column_index(letters)?,
            row_fixed,
            column_fixed,
        })
    }

    fn print(&self) -> String {
        let mark = |fixed: bool| if fixed { "$" } else { "" };
        format!(
            "{}{}{}{}",
            mark(self.column_fixed),
            a1::column_letters(self.column),
            mark(self.row_fixed),
            self.row + 1
        )
    }
}

/// Passes every cell reference outside of texts and quoted titles through `to`; what it drops becomes `#REF!`.
pub fn rewrite(formula: &str, to: impl Fn(&Reference) -> Option<Reference>) -> String {
    let mut out = String::with_capacity(formula.len());
    let mut rest = formula;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '"' | '\'' => rest[1..].find(c).map_or(rest.len(), |e| e + 2),
            c if c == '$' || c == '_' || c.is_alphanumeric() => rest
                .find(|c: char| !(c == '$' || c == '_' || c == '.' || c.is_alphanumeric()))
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let token = &rest[..end];
        rest = &rest[end..];
        let called_or_title = rest.starts_with(['(', '!']);
        match Reference::parse(token).filter(|_| !called_or_title) {
            Some(reference) => match to(&reference) {
                Some(new) => out.push_str(&new.print()),
                None => out.push_str("#REF!"),
            },
            None => out.push_str(token),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_move_relative_references() {
        assert_eq!(offset("=A1+$B$2*SUM(C3:D4)", 1, 1), "=B2+$B$2*SUM(D4:E5)");
        assert_eq!(
            offset("=\"A1\"&'A1'!B2&LOG10(3)", 2, 0),
            "=\"A1\"&'A1'!B4&LOG10(3)"
        );
        assert_eq!(offset("=A1", -1, 0), "=#REF!");
    }
}
