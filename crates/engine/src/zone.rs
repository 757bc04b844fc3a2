//! Local time and instants in any year.
//!
//! Tables of time zones end somewhere, and what follows is a rule that goes on for ever: "from the
//! last Sunday of March to the last Sunday of October". So a moment beyond them is read in a year
//! within them whose days fall on the same weekdays.

use chrono::{Datelike, Duration, FixedOffset, LocalResult, NaiveDate, NaiveDateTime};
use chrono::{Offset, TimeZone};
use chrono_tz::Tz;

/// The last years of the tables, in which no zone has anything left but its rule. None of them is a
/// leap year, and together they begin on every day of the week.
const LAST_YEARS: [i32; 9] = [2089, 2090, 2091, 2093, 2094, 2095, 2097, 2098, 2099];

/// In what time the cells of a spreadsheet are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    Named(Tz),
    /// Always as far from UTC, without summer time.
    Fixed(FixedOffset),
}

impl Zone {
    pub const UTC: Self = Self::Named(Tz::UTC);

    /// The zone that a spreadsheet's settings name: `Europe/Vienna`, or one that Google found no
    /// name for, such as `GMT-07:00` (G-SETTINGS-2).
    pub fn of_spreadsheet(name: &str) -> Option<Self> {
        match name.parse() {
            Ok(zone) => Some(Self::Named(zone)),
            Err(_) => offset(name).map(Self::Fixed),
        }
    }

    pub(super) fn to_local(self, utc: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Self::Named(zone) => to_local(zone, utc),
            Self::Fixed(offset) => utc.checked_add_offset(offset),
        }
    }

    /// Of two instants with one local time (clocks put back) the later is taken, of none (clocks
    /// put forward) the one that the old offset gives: both as Postgres does.
    pub(super) fn to_utc(self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Self::Named(zone) => to_utc(zone, local),
            Self::Fixed(offset) => local.checked_sub_offset(offset),
        }
    }
}

/// `GMT-07:00`, `GMT+5:30`, `GMT+0530`, `GMT+7`: hours east of Greenwich. (`Etc/GMT+7`, which has
/// the other sign, is a name.)
fn offset(name: &str) -> Option<FixedOffset> {
    let signed = name
        .strip_prefix("GMT")
        .or_else(|| name.strip_prefix("UTC"))?;
    let (sign, digits) = match signed.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, signed.strip_prefix('+')?),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
        None => (digits, "00"),
    };
    let number = |digits: &str, end: i32| {
        let plain = matches!(digits.len(), 1 | 2) && digits.bytes().all(|one| one.is_ascii_digit());
        let number = plain.then(|| digits.parse::<i32>().ok()).flatten();
        number.filter(|number| *number < end)
    };
    let minutes = number(hours, 24)? * 60 + number(minutes, 60)?;
    FixedOffset::east_opt(sign * minutes * 60)
}

fn to_local(zone: Tz, utc: NaiveDateTime) -> Option<NaiveDateTime> {
    let (alike, later) = within_tables(utc)?;
    zone.from_utc_datetime(&alike)
        .naive_local()
        .checked_add_signed(later)
}

fn to_utc(zone: Tz, local: NaiveDateTime) -> Option<NaiveDateTime> {
    let (alike, later) = within_tables(local)?;
    let utc = match zone.from_local_datetime(&alike) {
        LocalResult::Single(at) => at.naive_utc(),
        LocalResult::Ambiguous(_, at) => at.naive_utc(),
        LocalResult::None => {
            let before = alike.checked_sub_signed(Duration::hours(3))?;
            let old = zone.from_local_datetime(&before).latest()?;
            let offset = i64::from(old.offset().fix().local_minus_utc());
            alike.checked_sub_signed(Duration::seconds(offset))?
        }
    };
    utc.checked_add_signed(later)
}

/// A moment at which clocks are set as at this one, and how much earlier it is.
fn within_tables(at: NaiveDateTime) -> Option<(NaiveDateTime, Duration)> {
    let last = LAST_YEARS.last().copied()?;
    if at.year() <= last {
        return Some((at, Duration::zero()));
    }
    // A leap day moves the weekdays of what follows it, so that spring is looked for by the first
    // of March.
    let month = if at.month() <= 2 { 1 } else { 3 };
    let weekday = NaiveDate::from_ymd_opt(at.year(), month, 1)?.weekday();
    let begins_alike = |year: &&i32| {
        NaiveDate::from_ymd_opt(**year, month, 1).is_some_and(|day| day.weekday() == weekday)
    };
    let year = *LAST_YEARS.iter().find(begins_alike)?;
    let leap_day = at.month() == 2 && at.day() == 29;
    let day = if leap_day { 28 } else { at.day() };
    let alike = NaiveDate::from_ymd_opt(year, at.month(), day)?.and_time(at.time());
    Some((alike, at.signed_duration_since(alike)))
}
