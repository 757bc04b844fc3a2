//! What a reading of values does not tell of a cell: what was entered there, and as what people see
//! it.

use crate::value::{Cell, Text};

/// One cell at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct CellDetail {
    /// As a reading of values shows it.
    pub value: Cell,
    pub entered: Entered,
    pub format: NumberFormat,
    /// The text that people see; empty for an empty cell.
    pub shown: Text,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Entered {
    /// Where a value shows all the same, a formula elsewhere fills the cell.
    Nothing,
    Value,
    /// Its text, with the leading `=`.
    Formula(Text),
}

/// The number format that holds for a cell, whoever gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    pub shows: Shows,
    /// Empty where the sheet decides by itself how to show the value.
    pub pattern: Text,
}

/// As what a number format shows a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// As the sheet thinks best: nobody chose a format.
    Automatic,
    Text,
    Number,
    Percent,
    Currency,
    Scientific,
    Date,
    /// A time of day; people write durations below a day with it too.
    Time,
    DateTime,
    /// Hours, minutes or seconds that go on counting: `[h]:mm:ss`.
    Duration,
}

impl CellDetail {
    /// Of a cell that holds what it shows, and that nobody gave a format.
    pub fn plain(value: Cell) -> Self {
        let shown = match &value {
            Cell::Empty => Text::default(),
            Cell::Text(text) => text.clone(),
            Cell::Number(number) => number.to_string().into(),
            Cell::Bool(true) => Text::new_static("TRUE"),
            Cell::Bool(false) => Text::new_static("FALSE"),
        };
        let entered = match value {
            Cell::Empty => Entered::Nothing,
            _ => Entered::Value,
        };
        Self {
            value,
            entered,
            format: NumberFormat::AUTOMATIC,
            shown,
        }
    }
}

impl NumberFormat {
    pub const AUTOMATIC: NumberFormat = NumberFormat {
        shows: Shows::Automatic,
        pattern: Text::new_static(""),
    };

    /// What a pattern shows, whose type (Google's word for it) says less: `[h]:mm` is a `TIME`
    /// (G-FORMATS-5), and a pattern that a person wrote may be of any type.
    pub fn new(kind: &str, pattern: Text) -> Self {
        let marks = Marks::of(&pattern);
        let shows = match kind {
            "TEXT" => Shows::Text,
            _ if pattern == "@" => Shows::Text,
            _ if marks.elapsed => Shows::Duration,
            "DATE" | "TIME" | "DATE_TIME" | "NUMBER" | "" if marks.date && marks.time => {
                Shows::DateTime
            }
            "DATE" | "NUMBER" | "" if marks.date => Shows::Date,
            "TIME" | "NUMBER" | "" if marks.time => Shows::Time,
            "DATE" => Shows::Date,
            "TIME" => Shows::Time,
            "DATE_TIME" if marks.date => Shows::Date,
            "DATE_TIME" if marks.time => Shows::Time,
            "DATE_TIME" => Shows::DateTime,
            "PERCENT" => Shows::Percent,
            "CURRENCY" => Shows::Currency,
            "SCIENTIFIC" => Shows::Scientific,
            _ if marks.percent => Shows::Percent,
            "NUMBER" => Shows::Number,
            _ if pattern.is_empty() => Shows::Automatic,
            _ => Shows::Number,
        };
        Self { shows, pattern }
    }
}

/// What stands in the first section of a pattern, quoted and escaped text aside.
#[derive(Default)]
struct Marks {
    elapsed: bool,
    date: bool,
    time: bool,
    percent: bool,
}

impl Marks {
    fn of(pattern: &str) -> Self {
        let mut marks = Marks::default();
        let mut chars = pattern.chars();
        let mut months_or_minutes = false;
        while let Some(c) = chars.next() {
            match c.to_ascii_lowercase() {
                '"' => while chars.next().is_some_and(|c| c != '"') {},
                '\\' | '_' | '*' => drop(chars.next()),
                // `[h]` counts on; `[red]` and `[$€-407]` are a colour and a currency.
                '[' => {
                    let inner: String = chars.by_ref().take_while(|c| *c != ']').collect();
                    let inner = inner.to_ascii_lowercase();
                    marks.elapsed |= !inner.is_empty()
                        && ["h", "m", "s"]
                            .iter()
                            .any(|unit| inner.replace(unit, "").is_empty());
                }
                ';' => break,
                'y' | 'd' => marks.date = true,
                'h' | 's' => marks.time = true,
                'm' => months_or_minutes = true,
                '%' => marks.percent = true,
                _ => {}
            }
        }
        marks.date |= months_or_minutes && !marks.time;
        marks
    }
}
