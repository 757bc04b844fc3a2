//! A1 and R1C1 notation: parsing, and the echo that answers carry (G-RANGES-3, G-RANGES-4).

use super::area::Bounds;

/// What a range text names, before the spreadsheet is asked whether it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A title (empty: the first sheet) and cells of it.
    Cells { title: Option<String>, bounds: Bounds },
    /// A named range behind a title (recorded: `'Sheet1'!NamedRange`).
    NameOn { title: String, name: String },
    /// A lone quoted title.
    Title(String),
    /// A lone bare word: a named range or a title.
    Word(String),
}

/// The widest column that a sheet may have is ZZZ.
pub const MAX_COLUMNS: u32 = 18_278;

/// Splits a range text; `None` is "unable to parse".
pub fn parse(text: &str) -> Option<Spec> {
    match text.rfind('!') {
        Some(at) => {
            let (title, rest) = (unquote(&text[..at])?, &text[at + 1..]);
            match reference(rest) {
                Some(bounds) => Some(Spec::Cells { title: Some(title), bounds }),
                None if rest.is_empty() || title.is_empty() => None,
                None => Some(Spec::NameOn { title, name: rest.to_owned() }),
            }
        }
        None => {
            if let Some(bounds) = reference(text) {
                return Some(Spec::Cells { title: None, bounds });
            }
            if text.starts_with('\'') {
                return unquote(text).filter(|t| !t.is_empty()).map(Spec::Title);
            }
            (!text.is_empty()).then(|| Spec::Word(text.to_owned()))
        }
    }
}

/// A title as it is written in front of a bang: quotes are optional.
fn unquote(title: &str) -> Option<String> {
    let Some(inner) = title.strip_prefix('\'') else {
        return Some(title.to_owned());
    };
    let inner = inner.strip_suffix('\'')?;
    if inner.replace("''", "").contains('\'') {
        return None;
    }
    Some(inner.replace("''", "'"))
}

fn reference(text: &str) -> Option<Bounds> {
    if text.chars().any(char::is_whitespace) {
        return None;
    }
    a1_reference(text).or_else(|| r1c1_reference(text))
}

/// One end of a range: column, row or both, zero-based.
type End = (Option<u32>, Option<u32>);

fn a1_reference(text: &str) -> Option<Bounds> {
    match text.split_once(':') {
        None => match a1_end(text)? {
            end @ (Some(_), Some(_)) => join(end, end),
            _ => None,
        },
        Some((from, to)) => join(a1_end(from)?, a1_end(to)?),
    }
}

fn a1_end(text: &str) -> Option<End> {
    let text = text.strip_prefix('$').unwrap_or(text);
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (letters, digits) = text.split_at(letters);
    let digits = if letters.is_empty() { digits } else { digits.strip_prefix('$').unwrap_or(digits) };
    let column = if letters.is_empty() { None } else { Some(column_index(letters)?) };
    let row = if digits.is_empty() {
        None
    } else {
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(digits.parse::<u32>().ok()?.checked_sub(1)?)
    };
    (column.is_some() || row.is_some()).then_some((column, row))
}

fn join(from: End, to: End) -> Option<Bounds> {
    let (c0, c1) = span(from.0, to.0);
    let (r0, r1) = span(from.1, to.1);
    Some(Bounds { r0, r1, c0, c1 })
}

/// Two ends of one axis, in either order; a missing end leaves the range open.
fn span(a: Option<u32>, b: Option<u32>) -> (Option<u32>, Option<u32>) {
    match (a, b) {
        (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b) + 1)),
        (Some(a), None) | (None, Some(a)) => (Some(a), None),
        (None, None) => (None, None),
    }
}

fn r1c1_reference(text: &str) -> Option<Bounds> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    join(r1c1_end(from)?, r1c1_end(to)?)
}

fn r1c1_end(text: &str) -> Option<End> {
    let rest = text.strip_prefix(['R', 'r'])?;
    let at = rest.find(['C', 'c'])?;
    Some((Some(r1c1_part(&rest[at + 1..])?), Some(r1c1_part(&rest[..at])?)))
}

/// A number counts from 1; brackets are an offset from A1.
fn r1c1_part(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(0);
    }
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<u32>().ok(),
        None => text.parse::<u32>().ok()?.checked_sub(1),
    }
}

/// `A` is 0.
pub fn column_index(letters: &str) -> Option<u32> {
    let mut n: u32 = 0;
    for b in letters.bytes() {
        if !b.is_ascii_alphabetic() {
            return None;
        }
        n = n.checked_mul(26)?.checked_add(u32::from(b.to_ascii_uppercase() - b'A') + 1)?;
    }
    (1..=MAX_COLUMNS).contains(&n).then(|| n - 1)
}

pub fn column_letters(mut index: u32) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'A' + (index % 26) as u8);
        if index < 26 {
            break;
        }
        index = index / 26 - 1;
    }
    letters.reverse();
    String::from_utf8(letters).expect("ASCII")
}

/// A title as answers print it: quoted unless it is a plain word that cannot be taken for a
/// reference.
pub fn quoted_title(title: &str) -> String {
    let mut chars = title.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && reference(title).is_none() { title.to_owned() } else { format!("'{}'", title.replace('\'', "''")) }
}

/// Cells with all four edges, as answers print them; one cell is a single reference.
pub fn echo(title: &str, r0: u32, c0: u32, r1: u32, c1: u32) -> String {
    let from = format!("{}{}", column_letters(c0), r0 + 1);
    let title = quoted_title(title);
    if r1 == r0 + 1 && c1 == c0 + 1 {
        format!("{title}!{from}")
    } else {
        format!("{title}!{from}:{}{r1}", column_letters(c1 - 1))
    }
}

/// A range as a refusal names it: only the edges that were sent (`Sheet1!ZZ`, `Sheet1!1001:1002`).
pub fn unclamped(title: &str, b: &Bounds) -> String {
    let end = |c: Option<u32>, r: Option<u32>| {
        format!("{}{}", c.map(column_letters).unwrap_or_default(), r.map(|r| (r + 1).to_string()).unwrap_or_default())
    };
    let from = end(b.c0, b.r0);
    let to = end(b.c1.map(|c| c.saturating_sub(1)), b.r1.map(|r| r.saturating_sub(1)));
    let empty = b.is_empty();
    let title = quoted_title(title);
    let prefix = if empty { "(empty) " } else { "" };
    if from == to { format!("{prefix}{title}!{from}") } else { format!("{prefix}{title}!{from}:{to}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Option<[Option<u32>; 4]> {
        match parse(text)? {
            Spec::Cells { bounds: b, .. } => Some([b.r0, b.r1, b.c0, b.c1]),
            _ => None,
        }
    }

    #[test]
    fn references() {
        assert_eq!(cells("Sheet1!A1"), Some([Some(0), Some(1), Some(0), Some(1)]));
        assert_eq!(cells("A2:2"), Some([Some(1), Some(2), Some(0), None]));
        assert_eq!(cells("A2:B"), Some([Some(1), None, Some(0), Some(2)]));
        assert_eq!(cells("C3:A1"), cells("A1:C3"));
        assert_eq!(cells("R[1]C[1]"), cells("B2"));
        assert_eq!(cells("R2C2:R3C3"), cells("B2:C3"));
        for bad in ["Sheet1!B", "Sheet1!2", "Sheet1!A0", "Sheet1!A 1", "Sheet1!", "!Data", "!", "Sheet1!AAAA1", "A1:"] {
            assert_eq!(cells(bad), None, "{bad}");
        }
    }

    #[test]
    fn titles() {
        let title = |t: &str| match parse(t) {
            Some(Spec::Cells { title, .. }) => title,
            _ => None,
        };
        assert_eq!(title("has!bang!A1").as_deref(), Some("has!bang"));
        assert_eq!(title("'Bob''s Sheet'!A1").as_deref(), Some("Bob's Sheet"));
        assert_eq!(title("!A1").as_deref(), Some(""));
        assert_eq!(parse("'A1'"), Some(Spec::Title("A1".into())));
        for quoted in ["2024", "Second Sheet", "a:b", "has!bang", "A1", "R1C1", "RC", "D3"] {
            assert_eq!(quoted_title(quoted), format!("'{quoted}'"));
        }
        for bare in ["Data", "A", "Sheet1"] {
            assert_eq!(quoted_title(bare), bare);
        }
    }

    #[test]
    fn columns() {
        for (index, letters) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (18_277, "ZZZ")] {
            assert_eq!(column_letters(index), letters);
            assert_eq!(column_index(letters), Some(index));
        }
        assert_eq!(column_index("AAAA"), None);
    }
}
