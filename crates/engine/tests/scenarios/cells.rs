//! How keys, values and cells are written in a scenario.

use crate::model::sheet::Content;
use crate::model::values::{meaning, shown};
use crate::stage::Told;
use engine::mapping::Kind;
use engine::value::{Cell, Datum, Key};

pub fn number(text: &str) -> Told<usize> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

pub fn letter(text: &str) -> Told<u8> {
    match text.as_bytes() {
        [letter @ b'A'..=b'Z'] => Ok(letter - b'A'),
        _ => Err(format!("not a column: {text}")),
    }
}

pub fn table_key(text: &str) -> Key {
    text.split('/').collect()
}

pub fn datum(text: &str) -> Datum {
    match text {
        "" => None,
        "''" => Some("".into()),
        text => Some(text.into()),
    }
}

pub fn blank() -> Content {
    Content::Value(Cell::Empty)
}

pub fn content(text: &str) -> Content {
    let date = || shown(Kind::Date, &Some(text.into()));
    match text {
        "" => blank(),
        "TRUE" => Content::Value(Cell::Bool(true)),
        "FALSE" => Content::Value(Cell::Bool(false)),
        "=NOW()" => Content::Now,
        "=ROW()" => Content::Row,
        "=LEN(name)" => Content::Length,
        _ => Content::Value(
            match text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'))
            {
                Some("") => Cell::Empty,
                Some(quoted) => Cell::Text(quoted.replace("\\n", "\n").into()),
                None => match text.parse::<f64>() {
                    Ok(number) => Cell::Number(number),
                    Err(_) => date(),
                },
            },
        ),
    }
}

/// The other way round.
pub fn written(what: &Content, kind: Kind) -> String {
    match what {
        Content::Now | Content::Row | Content::Length | Content::Array => {
            what.formula().unwrap_or_default().into()
        }
        Content::Value(Cell::Empty) => String::new(),
        Content::Value(Cell::Bool(b)) => b.to_string().to_uppercase(),
        Content::Value(cell @ Cell::Number(n)) => match meaning(kind, true, cell) {
            Some(Some(date)) if kind == Kind::Date => date.into(),
            _ => n.to_string(),
        },
        Content::Value(Cell::Text(text)) => match content(text) == *what {
            true => text.to_string(),
            false => format!("\"{}\"", text.replace('\n', "\\n")),
        },
    }
}
