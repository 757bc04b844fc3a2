//! What a cell shows: `formattedValue` and the render options of the values methods (G-VALUES-4).

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::cell::{Cell, Computed, Entered};
use super::locale::Locale;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Render {
    #[default]
    Formatted,
    Unformatted,
    Formula,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    pub render: Render,
    /// `dateTimeRenderOption`: serial numbers unless texts are asked for.
    pub date_texts: bool,
    /// Whether an error cell reads `#DIV/0! (message)` in a typed rendering (G-VALUES-6).
    pub error_messages: bool,
    pub locale: Locale,
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    Text(String),
    Number(f64),
    Bool(bool),
}

impl Shown {
    pub fn is_blank(&self) -> bool {
        matches!(self, Self::Text(t) if t.is_empty())
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(n) => super::cell::json_number(*n).serialize(serializer),
            Self::Bool(b) => serializer.serialize_bool(*b),
        }
    }
}

pub fn show(cell: &Cell, style: Style) -> Shown {
    if style.render == Render::Formula
        && let Some(text) = cell.formula()
    {
        return Shown::Text(text.to_owned());
    }
    if let (Entered::Text(text), None) = (&cell.entered, &cell.format) {
        return Shown::Text(text.to_string());
    }
    let computed = cell.computed();
    match (&computed, style.render) {
        (_, Render::Formatted) => Shown::Text(text_of(&computed, cell.number_format(), &style.locale)),
        (Computed::Number(_), _) if style.date_texts && is_date(cell.number_format()) => {
            Shown::Text(text_of(&computed, cell.number_format(), &style.locale))
        }
        (Computed::Number(n), _) => Shown::Number(*n),
        (Computed::Bool(b), _) => Shown::Bool(*b),
        (Computed::Error(e), _) if style.error_messages && !e.message.is_empty() => {
            Shown::Text(format!("{} ({})", e.kind.shown(), e.message))
        }
        _ => Shown::Text(text_of(&computed, cell.number_format(), &style.locale)),
    }
}

/// `formattedValue`.
pub fn formatted_in(cell: &Cell, locale: &Locale) -> String {
    text_of(&cell.computed(), cell.number_format(), locale)
}

/// The same in a spreadsheet of an English locale: for comparing and measuring.
pub fn formatted(cell: &Cell) -> String {
    formatted_in(cell, &Locale::default())
}

fn text_of(computed: &Computed, format: Option<&Json>, locale: &Locale) -> String {
    match computed {
        Computed::Empty => String::new(),
        Computed::Text(text) => text.clone(),
        Computed::Bool(b) => if *b { "TRUE" } else { "FALSE" }.to_owned(),
        Computed::Error(error) => error.kind.shown().to_owned(),
        Computed::Number(n) => number_text(*n, format, locale),
    }
}

fn is_date(format: Option<&Json>) -> bool {
    matches!(format.and_then(|f| f.get("type")).and_then(Json::as_str), Some("DATE" | "TIME" | "DATE_TIME"))
}

fn number_text(n: f64, format: Option<&Json>, locale: &Locale) -> String {
    let kind = format.and_then(|f| f.get("type")).and_then(Json::as_str).unwrap_or("");
    let pattern = format.and_then(|f| f.get("pattern")).and_then(Json::as_str).filter(|p| !p.is_empty());
    match (kind, pattern) {
        ("DATE" | "TIME" | "DATE_TIME", pattern) => date_text(
            n,
            pattern.unwrap_or(match kind {
                "DATE" => "m/d/yyyy",
                "TIME" => "h:mm:ss am/pm",
                _ => "m/d/yyyy h:mm:ss",
            }),
        ),
        (_, Some("@")) | ("TEXT", _) | ("", None) | ("NUMBER_FORMAT_TYPE_UNSPECIFIED", None) => {
            locale.shown(&general(n))
        }
        ("NUMBER", None) => pattern_text(n, "#,##0.00", locale),
        ("CURRENCY", None) => pattern_text(n, "\"$\"#,##0.00", locale),
        ("PERCENT", None) => pattern_text(n, "0.00%", locale),
        ("SCIENTIFIC", None) => pattern_text(n, "0.00E+00", locale),
        (_, Some(pattern)) => pattern_text(n, pattern, locale),
        _ => locale.shown(&general(n)),
    }
}

/// Automatic format: whole numbers to 15 digits, others to 10.
pub fn general(n: f64) -> String {
    if n == 0.0 {
        return "0".to_owned();
    }
    let magnitude = n.abs();
    if n.fract() == 0.0 && magnitude < 1e21 {
        return rounded(n, 15);
    }
    if !(1e-10..1e21).contains(&magnitude) {
        return scientific(n, 5);
    }
    let text = rounded(n, 10.max(magnitude.log10().floor() as i32 + 1));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Decimal text with so many significant digits, zeros after them.
fn rounded(n: f64, digits: i32) -> String {
    let exponential = format!("{:.*e}", (digits - 1) as usize, n);
    let (mantissa, exponent) = exponential.split_once('e').expect("exponential form");
    let exponent: i32 = exponent.parse().expect("an exponent");
    let sign = if n < 0.0 { "-" } else { "" };
    let figures: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if exponent >= digits - 1 {
        return format!("{sign}{figures}{}", "0".repeat((exponent - digits + 1) as usize));
    }
    if exponent < 0 {
        let text = format!("{sign}0.{}{figures}", "0".repeat((-exponent - 1) as usize));
        return text.trim_end_matches('0').to_owned();
    }
    let (whole, fraction) = figures.split_at(exponent as usize + 1);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn scientific(n: f64, decimals: usize) -> String {
    let text = format!("{n:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').expect("exponential form");
    let exponent: i32 = exponent.parse().expect("an exponent");
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}E{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Number patterns: sections, `#,##0.00`, `%`, `E+00`, quoted and escaped text.
fn pattern_text(n: f64, pattern: &str, locale: &Locale) -> String {
    let sections = sections(pattern);
    let (section, n) = match sections.len() {
        1 => (&sections[0], n),
        2 => {
            if n < 0.0 {
                (&sections[1], -n)
            } else {
                (&sections[0], n)
            }
        }
        _ => {
            if n == 0.0 {
                (&sections[2], n)
            } else if n < 0.0 {
                (&sections[1], -n)
            } else {
                (&sections[0], n)
            }
        }
    };
    if is_date_pattern(section) {
        return date_text(n, section);
    }
    let parts = Pattern::parse(section);
    parts.print(n, locale)
}

fn sections(pattern: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    for c in pattern.chars() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                out.push(String::new());
                continue;
            }
            _ => {}
        }
        out.last_mut().expect("never empty").push(c);
    }
    out
}

fn is_date_pattern(section: &str) -> bool {
    let mut quoted = false;
    section.chars().any(|c| {
        if c == '"' {
            quoted = !quoted;
        }
        !quoted && matches!(c, 'y' | 'd' | 'h' | 's')
    })
}

#[derive(Default)]
struct Pattern {
    prefix: String,
    suffix: String,
    whole: usize,
    grouped: bool,
    decimals: usize,
    optional_decimals: usize,
    percent: bool,
    exponent: Option<usize>,
    has_digits: bool,
}

impl Pattern {
    fn parse(section: &str) -> Self {
        let mut p = Self::default();
        let mut chars = section.chars().peekable();
        let mut after_point = false;
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    let text: String = chars.by_ref().take_while(|c| *c != '"').collect();
                    p.literal(&text);
                }
                '\\' => {
                    if let Some(c) = chars.next() {
                        p.literal(&c.to_string());
                    }
                }
                '[' => while chars.next().is_some_and(|c| c != ']') {},
                '_' | '*' => {
                    chars.next();
                }
                '0' | '#' | '?' => {
                    p.has_digits = true;
                    match (after_point, c) {
                        (false, '0') => p.whole += 1,
                        (true, '0') => p.decimals += 1,
                        (true, _) => p.optional_decimals += 1,
                        _ => {}
                    }
                }
                ',' if p.has_digits => p.grouped = true,
                '.' => after_point = true,
                '%' => {
                    p.percent = true;
                    p.literal("%");
                }
                'E' | 'e' if matches!(chars.peek(), Some('+' | '-')) => {
                    chars.next();
                    let mut digits = 0;
                    while chars.next_if_eq(&'0').is_some() {
                        digits += 1;
                    }
                    p.exponent = Some(digits);
                }
                c => p.literal(&c.to_string()),
            }
        }
        p
    }

    fn literal(&mut self, text: &str) {
        if self.has_digits { self.suffix.push_str(text) } else { self.prefix.push_str(text) }
    }

    fn print(&self, n: f64, locale: &Locale) -> String {
        let n = if self.percent { n * 100.0 } else { n };
        if !self.has_digits {
            return format!("{}{}", self.prefix, self.suffix);
        }
        let sign = if n < 0.0 { "-" } else { "" };
        let digits = match self.exponent {
            Some(width) => {
                let text = format!("{:.*e}", self.decimals, n.abs());
                let (mantissa, exponent) = text.split_once('e').expect("exponential form");
                let exponent: i32 = exponent.parse().expect("an exponent");
                format!("{mantissa}E{}{:0width$}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
            }
            None => self.decimal(n.abs()),
        };
        format!("{sign}{}{}{}", self.prefix, locale.shown(&digits), self.suffix)
    }

    fn decimal(&self, n: f64) -> String {
        let places = self.decimals + self.optional_decimals;
        let scale = 10f64.powi(places as i32);
        let half_up = if n * scale < 9e15 { (n * scale * (1.0 + f64::EPSILON)).round() / scale } else { n };
        let text = format!("{half_up:.places$}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let keep = fraction.trim_end_matches('0').len().max(self.decimals);
        let whole = if self.whole == 0 { whole.trim_start_matches('0') } else { whole };
        let whole = format!("{whole:0>width$}", width = self.whole);
        let whole = if self.grouped { group(&whole) } else { whole };
        if keep == 0 { whole } else { format!("{whole}.{}", &fraction[..keep]) }
    }
}

fn group(digits: &str) -> String {
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// The moment that a serial number stands for, to the millisecond.
pub fn moment(serial: f64) -> Option<NaiveDateTime> {
    let millis = (serial.fract() * 86_400_000.0).round() as i64;
    let epoch = NaiveDate::from_ymd_opt(1899, 12, 30)?;
    let days = serial.trunc();
    let day = if days >= 0.0 {
        epoch.checked_add_days(Days::new(days as u64))?
    } else {
        epoch.checked_sub_days(Days::new(-days as u64))?
    };
    day.and_time(NaiveTime::MIN).checked_add_signed(TimeDelta::milliseconds(millis))
}

/// Date patterns: y, m (month, or minute beside h or s), d, h, s, am/pm, fractions of a second.
fn date_text(serial: f64, pattern: &str) -> String {
    let Some(at) = moment(serial) else {
        return general(serial);
    };
    let tokens = date_tokens(pattern);
    let twelve = tokens.iter().any(|t| t.starts_with("am"));
    let mut out = String::new();
    for (i, token) in tokens.iter().enumerate() {
        let before = tokens[..i].iter().rev().find(|t| is_unit(t));
        let after = tokens[i + 1..].iter().find(|t| is_unit(t));
        let minute = before.is_some_and(|t| t.starts_with('h') || t.starts_with("[h"))
            || after.is_some_and(|t| t.starts_with('s'));
        let hour = if twelve { (at.hour() + 11) % 12 + 1 } else { at.hour() };
        out.push_str(&match token.as_str() {
            "yy" | "y" => format!("{:02}", at.year() % 100),
            t if t.starts_with('y') => format!("{:04}", at.year()),
            "m" if minute => at.minute().to_string(),
            "mm" if minute => format!("{:02}", at.minute()),
            "m" => at.month().to_string(),
            "mm" => format!("{:02}", at.month()),
            "mmm" => at.format("%b").to_string(),
            t if t.starts_with('m') => at.format("%B").to_string(),
            "d" => at.day().to_string(),
            "dd" => format!("{:02}", at.day()),
            "ddd" => at.format("%a").to_string(),
            t if t.starts_with('d') => at.format("%A").to_string(),
            "h" => hour.to_string(),
            "hh" => format!("{hour:02}"),
            "s" => at.second().to_string(),
            "ss" => format!("{:02}", at.second()),
            t if counts_on(t) => elapsed(serial, t),
            t if t.starts_with(".0") => {
                format!(".{}", &format!("{:03}", at.and_utc().timestamp_subsec_millis())[..(t.len() - 1).min(3)])
            }
            t if t.starts_with("am") => if at.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            literal => literal.trim_start_matches('\u{0}').to_owned(),
        });
    }
    out
}

/// All hours, minutes or seconds, as wide as the token asks.
fn elapsed(serial: f64, token: &str) -> String {
    let seconds = (serial.abs() * 86_400_000.0).round() / 1000.0;
    let per = match token.as_bytes().get(1) {
        Some(b'h') => 3600.0,
        Some(b'm') => 60.0,
        _ => 1.0,
    };
    let width = token.len().saturating_sub(2);
    let sign = if serial < 0.0 { "-" } else { "" };
    format!("{sign}{:0width$}", (seconds / per).floor() as i64)
}

/// `[h]`, `[mm]`, `[s]`; anything else in brackets is a colour or a condition.
fn counts_on(token: &str) -> bool {
    let inner = token.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or_default();
    ['h', 'm', 's'].iter().any(|unit| !inner.is_empty() && inner.chars().all(|c| c == *unit))
}

fn is_unit(token: &str) -> bool {
    token.starts_with(['y', 'm', 'd', 'h', 's']) || counts_on(token)
}

/// Units as runs of one letter; everything else literally, marked with a leading NUL where it could
/// be taken for a unit.
fn date_tokens(pattern: &str) -> Vec<String> {
    let lower = pattern.to_lowercase();
    let mut rest = lower.as_str();
    let mut out = Vec::new();
    while let Some(c) = rest.chars().next() {
        let end = if rest.starts_with("am/pm") || rest.starts_with("a/p") {
            let end = if rest.starts_with("am/pm") { 5 } else { 3 };
            out.push("am/pm".to_owned());
            rest = &rest[end..];
            continue;
        } else if c == '"' {
            let end = rest[1..].find('"').map_or(rest.len(), |e| e + 2);
            out.push(format!("\u{0}{}", rest[1..end].trim_end_matches('"')));
            rest = &rest[end..];
            continue;
        } else if let Some(end) = rest.find(']').map(|e| e + 1).filter(|end| counts_on(&rest[..*end])) {
            end
        } else if rest.starts_with(".0") {
            1 + rest[1..].bytes().take_while(|b| *b == b'0').count()
        } else if matches!(c, 'y' | 'm' | 'd' | 'h' | 's') {
            rest.chars().take_while(|x| *x == c).count()
        } else {
            c.len_utf8()
        };
        out.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn automatic_numbers() {
        for (n, want) in [
            (2.0, "2"),
            (1.5, "1.5"),
            (1.0 / 3.0, "0.3333333333"),
            (1.0 / 1024.0, "0.0009765625"),
            (std::f64::consts::PI, "3.141592654"),
            (123_456_789_012_345_680.0, "123456789012346000"),
            (-0.1, "-0.1"),
            (0.1 + 0.2, "0.3"),
        ] {
            assert_eq!(general(n), want);
        }
    }

    #[test]
    fn patterns() {
        for (n, kind, pattern, want) in [
            (2_000_000.01, "NUMBER", "#,##0.00", "2,000,000.01"),
            (100.15, "CURRENCY", "\"$\"#,##0.00", "$100.15"),
            (0.12, "PERCENT", "0%", "12%"),
            (46_270.0, "DATE", "yyyy-mm-dd", "2026-09-05"),
            (46_024.0, "DATE", "m-d", "1-2"),
            (46_270.562_5, "DATE_TIME", "yyyy-mm-dd h:mm:ss", "2026-09-05 13:30:00"),
            (0.5625, "TIME", "h:mm am/pm", "1:30 PM"),
            (-5.0, "NUMBER", "0.0;(0.0)", "(5.0)"),
            (12_345.0, "SCIENTIFIC", "0.00E+00", "1.23E+04"),
            (1.5, "TIME", "[h]:mm:ss", "36:00:00"),
            (7.0 / 24.0, "TIME", "[h]:mm:ss", "7:00:00"),
            (0.0625, "TIME", "[mm]:ss", "90:00"),
        ] {
            assert_eq!(number_text(n, Some(&json!({"type": kind, "pattern": pattern})), &Locale::default()), want);
        }
    }
}
