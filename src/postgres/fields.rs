//! What stands in a row of a result, and arrays in their text form.

use engine::value::{Datum, Key, Text};

use super::errors::unreadable;
use super::statement::Row;

/// The fields of a row, one after the other.
pub struct Fields(std::vec::IntoIter<Datum>);

impl Fields {
    pub fn of(row: Row) -> Self {
        Self(row.into_iter())
    }

    /// In the engine's form.
    pub fn datum(&mut self) -> Datum {
        self.0.next().flatten()
    }

    pub fn optional(&mut self) -> Option<String> {
        self.datum().map(String::from)
    }

    pub fn text(&mut self) -> String {
        self.optional().unwrap_or_default()
    }

    /// 0 for NULL.
    pub fn number(&mut self) -> i64 {
        let parsed = |text: Text| {
            let number = text.parse();
            number.unwrap_or_else(|_| unreadable("a column of numbers", &text))
        };
        self.datum().map_or(0, parsed)
    }

    pub fn flag(&mut self) -> bool {
        self.datum().as_deref() == Some("t")
    }

    /// The elements of an array in Postgres's text form; none of NULL.
    pub fn array(&mut self) -> Vec<Datum> {
        self.datum()
            .map(|literal| parse_array(&literal))
            .unwrap_or_default()
    }

    /// A key in the form of an array; one without columns of NULL.
    pub fn key(&mut self) -> Key {
        let parts = self.array().into_iter();
        parts.map(Option::unwrap_or_default).collect()
    }

    /// The same without elements of NULL; `None` for NULL itself.
    pub fn names(&mut self) -> Option<Vec<String>> {
        let elements = parse_array(&self.datum()?).into_iter();
        Some(elements.flatten().map(String::from).collect())
    }
}

/// A one-dimensional `text[]` just as Postgres prints it (`array_out`), so that equal arrays are
/// equal texts.
pub fn array_literal<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let mut literal = String::from("{");
    for (place, value) in values.into_iter().enumerate() {
        if place > 0 {
            literal.push(',');
        }
        match value {
            None => literal.push_str("NULL"),
            Some(text) if stands_bare(text) => literal.push_str(text),
            Some(text) => {
                literal.push('"');
                let mut rest = text;
                while let Some(at) = rest.find(['"', '\\']) {
                    let (plain, escaped) = rest.split_at(at);
                    literal.push_str(plain);
                    literal.push('\\');
                    literal.push_str(&escaped[..1]);
                    rest = &escaped[1..];
                }
                literal.push_str(rest);
                literal.push('"');
            }
        }
    }
    literal.push('}');
    literal
}

/// Whether `array_out` leaves an element without quotes.
fn stands_bare(text: &str) -> bool {
    const SPECIAL: &[u8] = b"\"\\{}, \t\n\r\x0b\x0c";
    !text.is_empty()
        && !text.eq_ignore_ascii_case("NULL")
        && !text.bytes().any(|byte| SPECIAL.contains(&byte))
}

/// The elements of a one-dimensional `text[]` in Postgres's text form.
pub fn parse_array(literal: &str) -> Vec<Datum> {
    let mut elements = Vec::new();
    let mut characters = literal
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_default()
        .chars()
        .peekable();
    while let Some(&first) = characters.peek() {
        let mut element = String::new();
        let quoted = first == '"';
        if quoted {
            characters.next();
        }
        while let Some(character) = characters.next() {
            match character {
                '\\' => element.extend(characters.next()),
                '"' if quoted => {
                    characters.next();
                    break;
                }
                ',' if !quoted => break,
                other => element.push(other),
            }
        }
        elements.push(if !quoted && element == "NULL" {
            None
        } else {
            Some(element.into())
        });
    }
    elements
}
