//! What a cell means that a person filled: what people see in it, which its value alone does not
//! always tell.

use super::{date, date_text, decode, duration, is_error, number};
use crate::codec::date_text::Reading;
use crate::effect::{CellDetail, Entered, Refusal, Shows};
use crate::mapping::{Column, Kind, Mapping};
use crate::value::{Cell, Datum};

/// The serial number of the day after 9999-12-31, the last one that a sheet shows as a date.
const AFTER_LAST_DAY: f64 = 2_958_466.0;

impl Mapping {
    /// Whether what a cell means is known only from its format (G-FORMATS-2).
    pub fn needs_detail(&self, column: usize, cell: &Cell) -> bool {
        let Some(column) = self.columns.get(column) else {
            return false;
        };
        match (cell, column.kind) {
            (Cell::Number(_), Kind::Boolean) => false,
            // No date, no time and no duration is that large, and none of the first two negative.
            (Cell::Number(value), Kind::Float4 | Kind::Float8) => {
                (0.0..AFTER_LAST_DAY).contains(value)
            }
            (Cell::Number(value), Kind::Integer | Kind::Numeric) => {
                (0.0..AFTER_LAST_DAY).contains(value) || number::has_more_digits(*value)
            }
            (Cell::Number(_), _) => true,
            _ => false,
        }
    }

    /// Whether the value of a cell is all that there is to it.
    pub fn speaks_for_itself(&self, column: usize, cell: &Cell) -> bool {
        let kind = self.columns.get(column).map(|column| column.kind);
        match (cell, kind) {
            (Cell::Empty | Cell::Bool(_), _) | (_, None) => true,
            (Cell::Text(_), Some(kind)) => {
                is_error(cell)
                    || matches!(
                        kind,
                        Kind::Text | Kind::Integer | Kind::Numeric | Kind::Float4 | Kind::Float8
                    )
            }
            (Cell::Number(_), Some(_)) => !self.needs_detail(column, cell),
        }
    }

    /// The text that the column's input function is given for a cell that a person filled, or why
    /// it is given none.
    pub fn read(
        &self,
        column: usize,
        cell: &Cell,
        detail: Option<&CellDetail>,
    ) -> Result<Datum, Refusal> {
        let Some(description) = self.columns.get(column) else {
            return Ok(None);
        };
        let plain = || decode(description, self.time_zone, cell);
        match (cell, detail) {
            (Cell::Number(value), Some(detail)) => read_number(description, *value, detail, plain),
            (Cell::Text(text), _) => self.read_text(description, text).map(|read| match read {
                Some(text) => Some(text.into()),
                None => plain(),
            }),
            _ => Ok(plain()),
        }
    }

    /// `None`: as it stands.
    fn read_text(&self, column: &Column, text: &str) -> Result<Option<String>, Refusal> {
        match column.kind {
            Kind::Date | Kind::Timestamp | Kind::TimestampTz => self.read_date(column, text),
            Kind::Time if date_text::clock(text.trim()).is_none() => Err(refusal(
                "22007",
                format!("\"{text}\" is not a time of day."),
                "Write it like 10:30 or 22:05:30.",
            )),
            Kind::Interval if is_bare_number(text) => Err(bare_duration(text)),
            Kind::Json => Ok(match text.to_ascii_lowercase() {
                word if word == "true" || word == "false" => Some(word),
                _ => None,
            }),
            Kind::Array if !text.trim_start().starts_with(['{', '[']) => Err(refusal(
                "22P02",
                format!("\"{text}\" is not a list that the table takes."),
                &format!("Write it in braces: {{{}}}", text.replace(", ", ",")),
            )),
            _ => Ok(None),
        }
    }

    fn read_date(&self, column: &Column, text: &str) -> Result<Option<String>, Refusal> {
        let time_of_day = column.kind != Kind::Date;
        match date_text::read(text, self.date_order) {
            Reading::Iso if column.kind == Kind::TimestampTz => {
                Ok(date::local_text_to_utc(text.trim(), self.time_zone))
            }
            Reading::Iso => Ok(None),
            Reading::One(day, None) if !time_of_day => Ok(Some(date_text::iso(day))),
            Reading::One(day, time) if time_of_day => {
                let time = time.unwrap_or_else(|| "00:00:00".to_owned());
                let local = format!("{} {time}", date_text::iso(day));
                Ok(Some(match column.kind {
                    Kind::TimestampTz => {
                        date::local_text_to_utc(&local, self.time_zone).unwrap_or(local)
                    }
                    _ => local,
                }))
            }
            Reading::One(day, _) => Err(refusal(
                "22007",
                format!("\"{text}\" is more than a date."),
                &format!("Write {}", date_text::iso(day)),
            )),
            Reading::Several(dates) => {
                let dates: Vec<String> = dates.into_iter().map(date_text::iso).collect();
                Err(refusal(
                    "22007",
                    format!("\"{text}\" may be more than one date."),
                    &format!("Write {}.", dates.join(" or ")),
                ))
            }
            Reading::None => Err(refusal(
                "22007",
                format!("\"{text}\" is not a date."),
                match time_of_day {
                    true => "Write it like 2024-12-25 10:30.",
                    false => "Write it like 2024-12-25.",
                },
            )),
        }
    }
}

fn read_number(
    column: &Column,
    value: f64,
    detail: &CellDetail,
    plain: impl Fn() -> Datum,
) -> Result<Datum, Refusal> {
    let shows = eye(detail);
    let of_time = matches!(
        shows,
        Shows::Date | Shows::Time | Shows::DateTime | Shows::Duration
    );
    match column.kind {
        Kind::Boolean => Ok(plain()),
        Kind::Integer | Kind::Numeric | Kind::Float4 | Kind::Float8 | Kind::Json if of_time => {
            Err(no_number(detail, shows))
        }
        Kind::Float4 | Kind::Float8 => Ok(plain()),
        // A hundredth of what was typed may have more digits than that.
        Kind::Integer | Kind::Numeric | Kind::Json if shows == Shows::Percent => {
            Ok(Some(number::rounded(value).into()))
        }
        Kind::Integer | Kind::Numeric | Kind::Json => digits_kept(value, detail).map(|()| plain()),
        Kind::Date | Kind::Timestamp | Kind::TimestampTz => match shows {
            Shows::Date | Shows::DateTime => Ok(plain()),
            _ => Err(bare_date(column, detail)),
        },
        Kind::Time => match shows {
            Shows::Time | Shows::Duration => Ok(plain()),
            _ => Err(refusal(
                "bare_number",
                format!("{} is not a time of day.", detail.shown),
                "Write it like 10:30 or 22:05:30.",
            )),
        },
        Kind::Interval => match shows {
            Shows::Time | Shows::Duration => Ok(Some(duration::duration_text(value).into())),
            _ => Err(bare_duration(&detail.shown)),
        },
        Kind::Text | Kind::Printed | Kind::Array => match shows {
            Shows::Automatic | Shows::Text => digits_kept(value, detail).map(|()| plain()),
            Shows::Number | Shows::Currency | Shows::Scientific => {
                digits_kept(value, detail).map(|()| Some(detail.shown.clone()))
            }
            Shows::Percent | Shows::Date | Shows::Time | Shows::DateTime | Shows::Duration => {
                Ok(Some(detail.shown.clone()))
            }
        },
    }
}

/// As what people take it. Of a formula's value the sheet may choose the format by itself, and does
/// not always say which.
fn eye(detail: &CellDetail) -> Shows {
    let shown = detail.shown.as_str();
    if detail.format.shows != Shows::Automatic || detail.entered == Entered::Value {
        return detail.format.shows;
    }
    let marks = |marks: &[char]| shown.trim_start_matches('-').contains(marks);
    let digits = shown.contains(|c: char| c.is_ascii_digit());
    match (digits, marks(&['/', '-']), marks(&[':'])) {
        (true, true, true) => Shows::DateTime,
        (true, true, false) if !shown.contains(['E', 'e']) => Shows::Date,
        (true, false, true) => Shows::Time,
        _ => Shows::Automatic,
    }
}

/// A formula computes with what a cell keeps; what a person typed may have had more.
fn digits_kept(value: f64, detail: &CellDetail) -> Result<(), Refusal> {
    let lost = match detail.entered {
        Entered::Value => number::has_more_digits(value),
        Entered::Formula(_) | Entered::Nothing => number::is_beyond_integers(value),
    };
    match lost {
        true => Err(too_many_digits(value)),
        false => Ok(()),
    }
}

/// Of a number that no double holds to the last digit.
pub(crate) fn too_many_digits(value: f64) -> Refusal {
    refusal(
        "too_many_digits",
        format!(
            "The number {} has more digits than a cell keeps.",
            number::plain_text(value)
        ),
        "Type it again with ' before it, which keeps every digit.",
    )
}

/// A key that is a number beyond those which a double tells apart; we write none.
pub(crate) fn is_no_key(column: &Column, cell: &Cell) -> Option<Refusal> {
    match (column.kind, cell) {
        (Kind::Integer | Kind::Numeric, Cell::Number(value))
            if number::is_beyond_integers(*value) =>
        {
            Some(too_many_digits(*value))
        }
        _ => None,
    }
}

/// A key that is met for the first time, and is a number whose last digits may not be those that
/// were typed.
pub(crate) fn is_no_new_key(column: &Column, cell: &Cell) -> Option<Refusal> {
    match (column.kind, cell) {
        (Kind::Integer | Kind::Numeric, Cell::Number(value)) if number::is_rounded(*value) => {
            Some(too_many_digits(*value))
        }
        _ => None,
    }
}

/// A key of text whose cell holds a number is what people see of it.
pub(crate) fn is_key_by_sight(column: &Column, cell: &Cell) -> bool {
    matches!(
        (column.kind, cell),
        (Kind::Text | Kind::Printed, Cell::Number(_))
    )
}

fn no_number(detail: &CellDetail, shows: Shows) -> Refusal {
    let what = match shows {
        Shows::Time => "a time of day",
        Shows::Duration => "a duration",
        _ => "a date",
    };
    refusal(
        "holds_date",
        format!("The cell holds {what}, {}, and no number.", detail.shown),
        "Choose Format > Number > Automatic for the cell and type the number again, with the decimal sign of this spreadsheet.",
    )
}

fn bare_date(column: &Column, detail: &CellDetail) -> Refusal {
    let hint = match column.kind {
        Kind::Date => "Write it like 2024-12-25.",
        _ => "Write it like 2024-12-25 10:30.",
    };
    refusal(
        "bare_number",
        format!("{} is not a date.", detail.shown),
        hint,
    )
}

fn bare_duration(shown: &str) -> Refusal {
    refusal(
        "bare_number",
        format!("{shown} is not a duration: in which unit?"),
        "Write hours, minutes and seconds like 1:30:00, or a text like '90 minutes.",
    )
}

fn is_bare_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok_and(f64::is_finite)
}

fn refusal(code: &str, message: String, hint: &str) -> Refusal {
    Refusal {
        sqlstate: code.to_owned(),
        message,
        hint: Some(hint.to_owned()),
    }
}
