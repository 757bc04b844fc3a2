//! Dates and times: a sheet counts days since 1899-12-30, with the time of day as a fraction
//! (G-FORMATS-1).

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::number::plain_text;
use crate::value::Cell;
use crate::zone::Zone;

const DAY_MICROS: i64 = 86_400_000_000;

/// Half a microsecond more than what two prints of one double can differ by near today.
const SAME_SERIAL_DAYS: f64 = 1.2e-11;

fn epoch() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(1899, 12, 30)
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .unwrap_or_default()
}

pub(super) fn same_serial(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= SAME_SERIAL_DAYS
}

pub(super) fn date_cell(text: &str) -> Option<Cell> {
    serial(parse_date(text)?.and_time(NaiveTime::MIN))
}

pub(super) fn time_cell(text: &str) -> Option<Cell> {
    let time = parse_time(text)?;
    let micros = i64::from(time.num_seconds_from_midnight()) * 1_000_000
        + i64::from(time.nanosecond() / 1_000);
    Some(Cell::Number(micros as f64 / DAY_MICROS as f64))
}

pub(super) fn timestamp_cell(text: &str) -> Option<Cell> {
    serial(parse_timestamp(text)?)
}

pub(super) fn timestamptz_cell(text: &str, zone: Zone) -> Option<Cell> {
    let start = text.get(11..)?;
    let sign = start.find(['+', '-'])? + 11;
    let (local, offset) = (text.get(..sign)?, text.get(sign..)?);
    let utc =
        parse_timestamp(local)?.checked_sub_signed(Duration::seconds(parse_offset(offset)?))?;
    serial(zone.to_local(utc)?)
}

/// Dates outside 1899-12-30 .. 9999-12-31 have no serial that Sheets shows as a date (G-FORMATS-6):
/// they travel as text.
fn serial(at: NaiveDateTime) -> Option<Cell> {
    let micros = at.signed_duration_since(epoch()).num_microseconds()?;
    let last = NaiveDate::from_ymd_opt(9999, 12, 31)?;
    (micros >= 0 && at.date() <= last).then_some(Cell::Number(micros as f64 / DAY_MICROS as f64))
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let plain = text.len() == 10
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
    if !plain {
        return None;
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// `HH:MM:SS[.ffffff]`; `24:00:00` has no fraction of a day of its own and travels as text.
fn parse_time(text: &str) -> Option<NaiveTime> {
    if text.get(6..8)? == "60" {
        return None;
    }
    NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()
}

fn parse_timestamp(text: &str) -> Option<NaiveDateTime> {
    let (date, time) = text.split_once(' ')?;
    Some(parse_date(date)?.and_time(parse_time(time)?))
}

/// `+00`, `-03:30`, `+00:19:32`, in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let mut seconds = 0;
    for (part, unit) in rest.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<i64>().ok()? * unit;
    }
    Some(sign * seconds)
}

pub(super) fn date_text(serial: f64) -> String {
    match moment(serial) {
        Some(at) if at.time() == NaiveTime::MIN => format_date(at.date()),
        Some(at) => format_timestamp(at),
        None => plain_text(serial),
    }
}

/// More than a day is not a time; it is printed as hours, which Postgres refuses in its own words.
pub(super) fn time_text(serial: f64) -> String {
    let micros = (serial * DAY_MICROS as f64).round();
    if !(0.0..1e18).contains(&micros) {
        return plain_text(serial);
    }
    let micros = micros as i64;
    let seconds = micros / 1_000_000;
    let whole = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    whole + &fraction(micros % 1_000_000)
}

pub(super) fn timestamp_text(serial: f64) -> String {
    moment(serial).map_or_else(|| plain_text(serial), format_timestamp)
}

pub(super) fn timestamptz_text(serial: f64, zone: Zone) -> String {
    moment(serial)
        .and_then(|local| zone.to_utc(local))
        .map_or_else(|| plain_text(serial), |at| format_timestamp(at) + "+00")
}

/// The instant of a local time in ISO form; `None` where it names an offset of its own, or is
/// another form that Postgres knows.
pub(super) fn local_text_to_utc(text: &str, zone: Zone) -> Option<String> {
    let forms = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ];
    let mut moments = forms
        .iter()
        .filter_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let day = || {
        Some(
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_time(NaiveTime::MIN),
        )
    };
    let local = moments.next().or_else(day)?;
    Some(format_timestamp(zone.to_utc(local)?) + "+00")
}

fn moment(serial: f64) -> Option<NaiveDateTime> {
    if !serial.is_finite() || serial.abs() > 1e7 {
        return None;
    }
    // Day and time of day apart: their product with a day's microseconds would lose the last one.
    let day = serial.floor();
    let mut micros = day as i64 * DAY_MICROS + ((serial - day) * DAY_MICROS as f64).round() as i64;
    // From 2079 on doubles are more than a microsecond apart: what is that close to a whole second
    // was typed as one.
    if serial.abs() >= 65_536.0 {
        let past = (micros + 500_000).rem_euclid(1_000_000) - 500_000;
        if past.abs() <= 32 {
            micros -= past;
        }
    }
    let at = epoch().checked_add_signed(Duration::microseconds(micros))?;
    (1..=9999).contains(&at.year()).then_some(at)
}

fn format_date(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

fn format_timestamp(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string() + &fraction(i64::from(at.nanosecond() / 1_000))
}

/// As Postgres prints it: as few digits as needed.
fn fraction(micros: i64) -> String {
    if micros == 0 {
        return String::new();
    }
    format!(".{micros:06}").trim_end_matches('0').to_owned()
}
