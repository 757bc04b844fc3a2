//! What typing a text into a cell makes of it: `USER_ENTERED` (G-VALUES-3).

use chrono::NaiveDate;
use serde_json::{Value as Json, json};

use super::cell::Entered;
use super::locale::{Locale, Order};

/// A parsed input: the value, and the number format that the way of writing brings along.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub entered: Entered,
    pub format: Option<Json>,
}

impl Input {
    fn plain(entered: Entered) -> Self {
        Self { entered, format: None }
    }

    fn formatted(number: f64, kind: &str, pattern: &str) -> Self {
        Self { entered: Entered::Number(number), format: Some(json!({ "type": kind, "pattern": pattern })) }
    }
}

/// Parses a text as a person would see it parsed. `year` completes dates that have none;
/// `text_cell` is a cell of format `@`.
pub fn parse(text: &str, locale: &str, year: i32, text_cell: bool) -> Input {
    if text.is_empty() {
        return Input::plain(Entered::Empty);
    }
    if let Some(rest) = text.strip_prefix('\'') {
        return Input::plain(Entered::text(rest));
    }
    if text_cell {
        return Input::plain(Entered::text(text));
    }
    if text.len() > 1 && text.starts_with('=') {
        return Input::plain(Entered::formula(text));
    }
    let trimmed = text.trim();
    match trimmed.to_ascii_uppercase().as_str() {
        "TRUE" => return Input::plain(Entered::Bool(true)),
        "FALSE" => return Input::plain(Entered::Bool(false)),
        _ => {}
    }
    let locale = Locale::of(locale);
    number(trimmed, &locale)
        .or_else(|| date_time(trimmed, year, &locale))
        .or_else(|| named_month(trimmed, year).filter(|_| locale.english))
        .or_else(|| signed_formula(trimmed))
        .unwrap_or_else(|| Input::plain(Entered::text(text)))
}

/// `+A1` and `-A1` start formulas as in the page.
fn signed_formula(text: &str) -> Option<Input> {
    let rest = text.strip_prefix(['+', '-'])?;
    let formula_like = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '(')
        && (rest.contains('(') || super::a1::parse(rest).is_some_and(|s| matches!(s, super::a1::Spec::Cells { .. })));
    formula_like.then(|| Input::plain(Entered::formula(format!("={text}"))))
}

fn number(text: &str, locale: &Locale) -> Option<Input> {
    let (negative, body) = match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        Some(inner) => (true, inner),
        None => match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        },
    };
    let (body, currency) = currency(body);
    let (body, percent) = match body.strip_suffix('%') {
        Some(rest) => (rest.trim_end(), true),
        None => (body, false),
    };
    let (value, grouped, decimals, scientific) = magnitude(body, locale)?;
    let value = if negative { -value } else { value };
    Some(if percent {
        let pattern = if decimals == 0 { "0%" } else { "0.00%" };
        Input::formatted(value / 100.0, "PERCENT", pattern)
    } else if let Some(sign) = currency {
        let digits = if decimals == 0 { "#,##0" } else { "#,##0.00" };
        let pattern = match sign {
            Sign::Before(sign) => format!("\"{sign}\"{digits}"),
            Sign::After(sign) => format!("{digits}\" {sign}\""),
        };
        Input::formatted(value, "CURRENCY", &pattern)
    } else if grouped {
        let pattern = if decimals == 0 { "#,##0" } else { "#,##0.00" };
        Input::formatted(value, "NUMBER", pattern)
    } else if scientific {
        Input::formatted(value, "SCIENTIFIC", "0.00E+00")
    } else {
        Input::plain(Entered::Number(value))
    })
}

enum Sign {
    Before(char),
    After(char),
}

/// The digits, and the currency's sign beside them.
fn currency(text: &str) -> (&str, Option<Sign>) {
    for sign in ['$', '€', '£', '¥', '￥'] {
        if let Some(rest) = text.strip_prefix(sign) {
            return (rest.trim_start(), Some(Sign::Before(sign)));
        }
        if let Some(rest) = text.strip_suffix(sign).filter(|_| sign != '$') {
            return (rest.trim_end(), Some(Sign::After(sign)));
        }
    }
    (text, None)
}

/// Digits with optional groups of three, fraction and exponent: value, grouped?, decimals,
/// scientific?
fn magnitude(text: &str, locale: &Locale) -> Option<(f64, bool, usize, bool)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let exponent_ok = |e: &str| {
        let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    if exponent.is_some_and(|e| !exponent_ok(e)) {
        return None;
    }
    let (whole, fraction) = mantissa.split_once(locale.decimal).unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let between = |c| locale.groups(c);
    let grouped = whole.contains(between);
    if grouped {
        let mut groups = whole.split(between);
        let first = groups.next()?;
        if first.is_empty() || first.len() > 3 || !groups.all(|g| g.len() == 3) {
            return None;
        }
    }
    let digits = whole.replace(between, "");
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let literal = format!("{digits}.{fraction}0e{}", exponent.unwrap_or("0"));
    let literal = if digits.is_empty() { format!("0{literal}") } else { literal };
    let value: f64 = literal.parse().ok().filter(|v: &f64| v.is_finite())?;
    Some((value, grouped, fraction.len(), exponent.is_some()))
}

fn date_time(text: &str, year: i32, locale: &Locale) -> Option<Input> {
    if let Some((day, pattern)) = date(text, year, locale) {
        return Some(Input::formatted(day, "DATE", &pattern));
    }
    if let Some((time, pattern)) = time(text) {
        return Some(Input::formatted(time, "TIME", pattern));
    }
    let (first, rest) = text.split_once([' ', 'T'])?;
    let (day, day_pattern) = date(first, year, locale)?;
    let (time, time_pattern) = time(rest.trim())?;
    Some(Input::formatted(day + time, "DATE_TIME", &format!("{day_pattern} {time_pattern}")))
}

fn date(text: &str, year: i32, locale: &Locale) -> Option<(f64, String)> {
    let separator = ['-', '/', '.'].into_iter().find(|s| text.contains(*s))?;
    let parts: Vec<&str> = text.split(separator).collect();
    if !parts.iter().all(|p| !p.is_empty() && p.len() <= 4 && p.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let n = |i: usize| parts[i].parse::<u32>().ok();
    let s = separator;
    let short = |y: u32, text: &str| {
        if text.len() <= 2 { (if y < 30 { 2000 } else { 1900 }) + y } else { y }
    };
    let (y, m, d, pattern) = match parts.len() {
        3 if parts[0].len() == 4 => {
            (n(0)? as i32, n(1)?, n(2)?, format!("yyyy{s}{}{s}{}", width('m', parts[1]), width('d', parts[2])))
        }
        3 if s != '.' || locale.order == Order::DayFirst => {
            let (y, m, d) = match locale.order {
                Order::DayFirst => (2, 1, 0),
                Order::MonthFirst => (2, 0, 1),
                Order::YearFirst => (0, 1, 2),
            };
            let marks = ["yyyy".to_owned(), width('m', parts[m]), width('d', parts[d])];
            let pattern = match locale.order {
                Order::DayFirst => [2, 1, 0],
                Order::MonthFirst => [1, 2, 0],
                Order::YearFirst => [0, 1, 2],
            }
            .map(|at| marks[at].as_str())
            .join(&s.to_string());
            (short(n(y)?, parts[y]) as i32, n(m)?, n(d)?, pattern)
        }
        2 if (s != '.' || locale.decimal == ',') && parts.iter().all(|p| p.len() <= 2) => {
            if locale.order == Order::DayFirst {
                (year, n(1)?, n(0)?, format!("{}{s}{}", width('d', parts[0]), width('m', parts[1])))
            } else {
                (year, n(0)?, n(1)?, format!("{}{s}{}", width('m', parts[0]), width('d', parts[1])))
            }
        }
        _ => return None,
    };
    Some((serial(NaiveDate::from_ymd_opt(y, m, d)?), pattern))
}

/// `Jan 5, 2023`, `January 5`, `5 Jan 2023`, `5-Jan`.
fn named_month(text: &str, year: i32) -> Option<Input> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let separator = if text.contains('-') { '-' } else { ' ' };
    let words: Vec<&str> = text.split(separator).collect();
    let (first, second, years) = match words[..] {
        [first, second] => (first, second, None),
        [first, second, years] => (first, second, Some(years)),
        _ => return None,
    };
    let month_first = separator == ' ' && first.starts_with(|c: char| c.is_ascii_alphabetic());
    let (name, day) = if month_first { (first, second) } else { (second, first) };
    let bare = day.strip_suffix(',').filter(|_| month_first && years.is_some()).unwrap_or(day);
    let name = name.to_ascii_lowercase();
    let month = 1 + MONTHS.iter().position(|m| *m == name || m[..3] == *name)?;
    let digits =
        |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(bare, &[1, 2]) || years.is_some_and(|y| !digits(y, &[4])) {
        return None;
    }
    let year = years.map_or(Some(year), |y| y.parse().ok())?;
    let date = NaiveDate::from_ymd_opt(year, month as u32, bare.parse().ok()?)?;
    let comma = if bare == day { "" } else { "," };
    let (d, m) = (format!("{}{comma}", width('d', bare)), if name.len() > 3 { "mmmm" } else { "mmm" }.to_owned());
    let mut pattern = if month_first { [m, d] } else { [d, m] }.to_vec();
    pattern.extend(years.map(|_| "yyyy".to_owned()));
    Some(Input::formatted(serial(date), "DATE", &pattern.join(&separator.to_string())))
}

/// A leading zero asks for two digits.
fn width(letter: char, digits: &str) -> String {
    letter.to_string().repeat(
        if digits.starts_with('0') || letter != ' ' && digits.len() > 1 && digits.starts_with('0') { 2 } else { 1 },
    )
}

fn time(text: &str) -> Option<(f64, &'static str)> {
    let upper = text.to_ascii_uppercase();
    let (clock, half) =
        match upper.strip_suffix("AM").map(|t| (t, 0.0)).or_else(|| upper.strip_suffix("PM").map(|t| (t, 0.5))) {
            Some((clock, half)) => (clock.trim_end(), Some(half)),
            None => (upper.as_str(), None),
        };
    let parts: Vec<&str> = clock.split(':').collect();
    if !(2..=3).contains(&parts.len())
        || !(1..=5).contains(&parts[0].len())
        || !(1..=2).contains(&parts[1].len())
        || !parts[..2].iter().all(|p| p.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    let (hours, minutes): (f64, f64) = (parts[0].parse().ok()?, parts[1].parse().ok()?);
    let seconds: f64 = match parts.get(2) {
        Some(text) if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok()?,
        Some(_) => return None,
        None => 0.0,
    };
    if minutes >= 60.0 || seconds >= 60.0 || half.is_some() && !(1.0..=12.0).contains(&hours) {
        return None;
    }
    let day = match half {
        Some(half) => (hours % 12.0) / 24.0 + half,
        None => hours / 24.0,
    } + minutes / 1440.0
        + seconds / 86_400.0;
    let pattern = match (parts.len(), half) {
        // No time of day.
        (_, None) if hours >= 24.0 => "[h]:mm:ss",
        (3, Some(_)) => "h:mm:ss am/pm",
        (_, Some(_)) => "h:mm am/pm",
        (3, None) => "h:mm:ss",
        _ => "h:mm",
    };
    Some((day, pattern))
}

/// Days since 1899-12-30.
pub fn serial(date: NaiveDate) -> f64 {
    let epoch = NaiveDate::from_ymd_opt(1899, 12, 30).expect("a date");
    date.signed_duration_since(epoch).num_days() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> (Entered, Option<String>) {
        let input = parse(text, "en_US", 2026, false);
        let pattern = input.format.map(|f| f["pattern"].as_str().unwrap().to_owned());
        (input.entered, pattern)
    }

    #[test]
    fn a_locale_decides_what_digits_and_marks_mean() {
        let number = Entered::Number;
        let date = |text: &str| number(serial(text.parse().unwrap()));
        for (locale, text, want, pattern) in [
            ("de_DE", "1.5", date("2026-05-01"), Some("d.m")),
            ("de_DE", "1,5", number(1.5), None),
            ("de_DE", "1.234", number(1234.0), Some("#,##0")),
            ("de_DE", "1.234,50", number(1234.5), Some("#,##0.00")),
            ("de_DE", "25.12.24", date("2024-12-25"), Some("d.m.yyyy")),
            ("de_DE", "01.02.2024", date("2024-02-01"), Some("dd.mm.yyyy")),
            ("de_DE", "12,5%", number(0.125), Some("0.00%")),
            ("de_DE", "5,00 €", number(5.0), Some("#,##0.00\" €\"")),
            ("it_IT", "1.5", date("2026-05-01"), Some("d.m")),
            ("fr_FR", "13/2/24", date("2024-02-13"), Some("d/m/yyyy")),
            ("fr_FR", "1 234,5", number(1234.5), Some("#,##0.00")),
            ("ja_JP", "2024/1/2", date("2024-01-02"), Some("yyyy/m/d")),
            ("ja_JP", "24/1/2", date("2024-01-02"), Some("yyyy/m/d")),
            ("ja_JP", "1/5", date("2026-01-05"), Some("m/d")),
            ("ja_JP", "1.5", number(1.5), None),
            ("ja_JP", "￥1,200", number(1200.0), Some("\"￥\"#,##0")),
            ("en_GB", "13/2/24", date("2024-02-13"), Some("d/m/yyyy")),
            ("en_US", "25.12.24", Entered::text("25.12.24"), None),
            ("en_US", "13/2/24", Entered::text("13/2/24"), None),
            ("en_US", "36:00:00", number(1.5), Some("[h]:mm:ss")),
            ("en_US", "1:30:00", number(0.0625), Some("h:mm:ss")),
            ("en_US", "£3.50", number(3.5), Some("\"£\"#,##0.00")),
        ] {
            let input = parse(text, locale, 2026, false);
            let got = input.format.map(|f| f["pattern"].as_str().unwrap().to_owned());
            assert_eq!((input.entered, got), (want, pattern.map(str::to_owned)), "{locale} {text}");
        }
    }

    /// What others have measured (G-VALUES-3), and names of months.
    #[test]
    fn measured_table() {
        let number = Entered::Number;
        for (text, want, pattern) in [
            ("007", number(7.0), None),
            ("0042", number(42.0), None),
            ("TRUE", Entered::Bool(true), None),
            ("=1+2", Entered::formula("=1+2"), None),
            ("= 1 / 1024", Entered::formula("= 1 / 1024"), None),
            ("'0123", Entered::text("0123"), None),
            ("$100.15", number(100.15), Some("\"$\"#,##0.00")),
            ("2026-09-05", number(46_270.0), Some("yyyy-mm-dd")),
            ("2020-01-01", number(43_831.0), Some("yyyy-mm-dd")),
            ("1999-01-02", number(36_162.0), Some("yyyy-mm-dd")),
            ("1-2", number(46_024.0), Some("m-d")),
            ("2,000,000.01", number(2_000_000.01), Some("#,##0.00")),
            ("3_1_0", Entered::text("3_1_0"), None),
            ("1.5", number(1.5), None),
            ("12%", number(0.12), Some("0%")),
            ("=", Entered::text("="), None),
            ("x", Entered::text("x"), None),
            (" x ", Entered::text(" x "), None),
            ("1,2", Entered::text("1,2"), None),
            ("13:30", number(0.5625), Some("h:mm")),
            ("Jan 5, 2023", number(44_931.0), Some("mmm d, yyyy")),
            ("5 January 2023", number(44_931.0), Some("d mmmm yyyy")),
            ("05-Jan", number(46_027.0), Some("dd-mmm")),
            ("May be", Entered::text("May be"), None),
            ("5 Januar", Entered::text("5 Januar"), None),
        ] {
            assert_eq!(typed(text), (want, pattern.map(str::to_owned)), "{text}");
        }
    }
}
