//! Dates that stand in a cell as text. Postgres would read `25.12.24` as a day of the year 2025: a
//! text is handed on only where it can be read in one way.

use chrono::{Datelike, NaiveDate};

use crate::mapping::DateOrder;

/// What a text says.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    /// As Postgres writes it, or words of its own: it may be handed on as it stands.
    Iso,
    /// This date, and a time of day in Postgres's form, or none.
    One(NaiveDate, Option<String>),
    /// One of these dates.
    Several(Vec<NaiveDate>),
    None,
}

pub(super) fn read(text: &str, order: DateOrder) -> Reading {
    let text = text.trim();
    if is_iso(text) {
        return Reading::Iso;
    }
    let (date, time) = match split_time(text) {
        Some((date, time)) => match clock(time) {
            Some(time) => (date, Some(time)),
            None => return Reading::None,
        },
        None => (text, None),
    };
    let mut dates = match named(date) {
        Some(date) => vec![date],
        None => digits(date, order),
    };
    match (dates.pop(), dates.is_empty()) {
        (Some(date), true) => Reading::One(date, time),
        (Some(date), false) => {
            dates.push(date);
            dates.sort_unstable();
            Reading::Several(dates)
        }
        (None, _) => Reading::None,
    }
}

/// The year first and with all its digits; BC and the infinities are Postgres's own words.
fn is_iso(text: &str) -> bool {
    if matches!(text, "infinity" | "-infinity") {
        return true;
    }
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    let mut parts = text.get(year..).unwrap_or_default().splitn(3, '-');
    let (before, month, rest) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let is_number =
        |part: &str| matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_digit());
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    (4..=6).contains(&year)
        && before == Some("")
        && month.is_some_and(is_number)
        && matches!(day, 1 | 2)
        && rest
            .get(day..)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', 'T', 't']))
}

/// The date, and what follows the blank before the first colon.
fn split_time(text: &str) -> Option<(&str, &str)> {
    let colon = text.find(':')?;
    let blank = text.get(..colon)?.rfind([' ', 'T'])?;
    let (date, time) = (text.get(..blank)?, text.get(blank + 1..)?);
    Some((date.trim_end_matches(',').trim_end(), time.trim()))
}

/// A time of day with hours and minutes, and with seconds where they are given; in two halves of a
/// day as well.
pub(super) fn clock(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let (clock, half) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (_, Some(clock)) => (clock.trim_end(), Some(12)),
        _ => (upper.as_str(), None),
    };
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    let two = |part: &str, most: u32| -> Option<u32> {
        let fits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|value| fits && *value <= most)
    };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let fraction_fits = fraction.len() <= 6 && fraction.bytes().all(|b| b.is_ascii_digit());
    let hours = match half {
        Some(half) => two(hours, 12).filter(|hours| *hours > 0)? % 12 + half,
        None => two(hours, 24)?,
    };
    let (minutes, seconds) = (two(minutes, 59)?, two(whole, 59)?);
    if parts.next().is_some() || !fraction_fits || hours == 24 && minutes + seconds > 0 {
        return None;
    }
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{hours:02}:{minutes:02}:{seconds:02}{point}{fraction}"
    ))
}

/// Three numbers, in every order in which somebody may have meant them.
fn digits(text: &str, order: DateOrder) -> Vec<NaiveDate> {
    let Some(separator) = text.chars().find(|c| matches!(c, '.' | '/' | '-')) else {
        return Vec::new();
    };
    let parts: Vec<&str> = text.split(separator).map(str::trim).collect();
    let &[first, second, third] = parts.as_slice() else {
        return Vec::new();
    };
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !parts.iter().all(is_number) {
        return Vec::new();
    }
    let date = |year: &str, month: &str, day: &str| {
        let short = |part: &str| part.parse().ok().filter(|_| part.len() <= 2);
        NaiveDate::from_ymd_opt(full_year(year)?, short(month)?, short(day)?)
    };
    let year_first = date(first, second, third);
    let day_first = date(third, second, first);
    let month_first = date(third, first, second);
    let dates = match (first.len(), order) {
        (4, _) => vec![year_first],
        // Dots stand between day and month where the day comes first.
        (_, DateOrder::DayFirst) if separator == '.' => vec![day_first],
        // Nobody else puts a year of two digits first.
        (_, DateOrder::YearFirst) if third.len() <= 2 => vec![year_first, day_first, month_first],
        _ => vec![day_first, month_first],
    };
    let mut dates: Vec<NaiveDate> = dates.into_iter().flatten().collect();
    dates.sort_unstable();
    dates.dedup();
    dates
}

/// A year of two digits only where Sheets and Postgres take it for the same one.
fn full_year(text: &str) -> Option<i32> {
    let year: i32 = text.parse().ok()?;
    match (text.len(), year) {
        (4, year) => Some(year),
        (2, ..30) => Some(2000 + year),
        (2, 70..) => Some(1900 + year),
        _ => None,
    }
}

/// `Jan 5, 2023`, `January 5 2023`, `5 January 2023`, `5-Jan-2023`.
fn named(text: &str) -> Option<NaiveDate> {
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
    let words: Vec<&str> = text
        .split([' ', '-', ',', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    let &[first, second, year] = words.as_slice() else {
        return None;
    };
    let month = |word: &str| {
        let word = word.to_ascii_lowercase();
        let named = |month: &&str| word == **month || word.len() == 3 && month.starts_with(&word);
        let at = MONTHS.iter().position(named)?;
        u32::try_from(at + 1).ok()
    };
    let day = |word: &str| word.parse::<u32>().ok().filter(|_| word.len() <= 2);
    let (month, day) = match (month(first), month(second)) {
        (Some(month), None) => (month, day(second)?),
        (None, Some(month)) => (month, day(first)?),
        _ => return None,
    };
    let year = year.parse().ok().filter(|_| year.len() == 4)?;
    NaiveDate::from_ymd_opt(year, month, day)
}

/// As it is to be written.
pub(super) fn iso(date: NaiveDate) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}
