//! Local time and instants in any year.
//!
//! Tables of time zones end somewhere, and what follows is a rule that goes on for ever: "from the last Sunday of March to the last
//! Sunday of October". So a moment beyond them is read in a year within them whose days fall on the same weekdays.

use chrono::{Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// The last years of the tables, in which no zone has anything left but its rule. None of them is a leap year, and together they begin
/// on every day of the week.
const LAST_YEARS: [i32; 9] = [2089, 2090, 2091, 2093, 2094, 2095, 2097, 2098, 2099];

pub(super) fn to_local(zone: Tz, utc: NaiveDateTime) -> Option<NaiveDateTime> {
    let (alike, later) = within_tables(utc)?;
    zone.from_utc_datetime(&alike)
        .naive_local()
        .checked_add_signed(later)
}

/// Of two instants with one local time (clocks put back) the later is taken, of none (clocks put forward) the one that the old
/// offset gives: both as Postgres does.
pub(super) fn to_utc(zone: Tz, local: NaiveDateTime) -> Option<NaiveDateTime> {
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
    // A leap day moves the weekdays of what follows it, so that spring is looked for by the first of March.
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
