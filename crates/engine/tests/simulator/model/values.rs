//! What values mean, written a second time and independently of the engine's codecs: they judge it.

use chrono::{Days, NaiveDate};
use engine::effect::Refusal;
use engine::mapping::Kind;
use engine::value::{Cell, Datum, Text};

fn epoch() -> NaiveDate {
    NaiveDate::from_ymd_opt(1899, 12, 30).expect("a date")
}

pub fn refusal(sqlstate: &str, message: impl Into<String>) -> Refusal {
    Refusal {
        sqlstate: sqlstate.into(),
        message: message.into(),
        hint: None,
    }
}

/// Postgres's input function followed by its output function.
pub fn canonical(kind: Kind, text: &str) -> Result<Text, Refusal> {
    let word = text.trim();
    let refused = || {
        refusal(
            "22P02",
            format!("invalid input syntax for type {kind:?}: \"{text}\""),
        )
    };
    match kind {
        Kind::Integer => word
            .parse::<i64>()
            .map(|n| n.to_string().into())
            .map_err(|_| refused()),
        Kind::Numeric => numeric(word).map(Text::from).ok_or_else(refused),
        Kind::Boolean => match word.to_lowercase().as_str() {
            "t" | "true" | "yes" | "y" | "on" | "1" => Ok("t".into()),
            "f" | "false" | "no" | "n" | "off" | "0" => Ok("f".into()),
            _ => Err(refused()),
        },
        Kind::Date => NaiveDate::parse_from_str(word, "%Y-%m-%d")
            .map(|date| date.to_string().into())
            .map_err(|_| {
                refusal(
                    "22007",
                    format!("invalid input syntax for type date: \"{text}\""),
                )
            }),
        _ => Ok(text.into()),
    }
}

fn numeric(word: &str) -> Option<String> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let zero = whole == "0" && fraction.bytes().all(|byte| byte == b'0');
    let sign = if negative && !zero { "-" } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// What a person means by a cell of a column: the value that the table should get. `None`: nothing
/// that the column can hold.
pub fn meaning(kind: Kind, nullable: bool, cell: &Cell) -> Option<Datum> {
    match (kind, cell) {
        (_, Cell::Empty) if nullable => Some(None),
        (Kind::Text, Cell::Empty) => Some(Some("".into())),
        (_, Cell::Empty) => None,
        (Kind::Integer | Kind::Numeric, Cell::Number(n)) => {
            canonical(kind, &n.to_string()).ok().map(Some)
        }
        (Kind::Date, Cell::Number(n)) => serial_date(*n).map(Some),
        (Kind::Boolean, Cell::Bool(b)) => Some(Some(if *b { "t" } else { "f" }.into())),
        (Kind::Text, Cell::Number(n)) => Some(Some(n.to_string().into())),
        (Kind::Text, Cell::Bool(b)) => Some(Some(if *b { "TRUE" } else { "FALSE" }.into())),
        (_, Cell::Text(text)) => canonical(kind, text).ok().map(Some),
        _ => None,
    }
}

fn serial_date(serial: f64) -> Option<Text> {
    let days = (serial >= 0.0 && serial.fract() == 0.0).then_some(Days::new(serial as u64))?;
    epoch()
        .checked_add_days(days)
        .map(|date| date.to_string().into())
}

/// One form for values that are the same to a person: '' and NULL, 1.50 and 1.5.
pub fn normal(kind: Kind, datum: &Datum) -> Datum {
    let text = datum.as_deref().filter(|text| !text.is_empty())?;
    if kind == Kind::Numeric && text.contains('.') {
        return Some(text.trim_end_matches('0').trim_end_matches('.').into());
    }
    Some(text.into())
}

/// The cell that a person, or a formula-free import, would have for a table's value.
pub fn shown(kind: Kind, datum: &Datum) -> Cell {
    let Some(text) = datum.as_deref().filter(|text| !text.is_empty()) else {
        return Cell::Empty;
    };
    let number = || text.parse::<f64>().ok().filter(|_| text.len() <= 15);
    let cell = match kind {
        Kind::Integer | Kind::Numeric => number().map(Cell::Number),
        Kind::Boolean => Some(Cell::Bool(text == "t")),
        Kind::Date => NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .map(|date| (date - epoch()).num_days())
            .filter(|days| *days >= 0)
            .map(|days| Cell::Number(days as f64)),
        _ => None,
    };
    cell.unwrap_or_else(|| Cell::Text(text.into()))
}

#[test]
fn a_second_opinion_on_values() {
    assert_eq!(canonical(Kind::Integer, " 007 ").unwrap(), "7");
    assert_eq!(canonical(Kind::Numeric, "-0.00").unwrap(), "0.00");
    assert!(canonical(Kind::Date, "yesterday?").is_err());
    assert_eq!(
        meaning(Kind::Date, true, &Cell::Number(43831.0)),
        Some(Some("2020-01-01".into()))
    );
    assert_eq!(
        shown(Kind::Date, &Some("2020-01-01".into())),
        Cell::Number(43831.0)
    );
    assert_eq!(meaning(Kind::Integer, true, &Cell::Number(1.5)), None);
    assert_eq!(
        normal(Kind::Numeric, &Some("1.50".into())),
        Some("1.5".into())
    );
}
