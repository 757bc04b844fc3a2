//! Durations: a sheet keeps them as a fraction of a day, as it keeps a time of day, and lets it
//! grow beyond one.

use super::number::plain_text;
use crate::value::Cell;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The number that a sheet shows as this interval; none where months are part of it, which have no
/// fixed length.
pub(super) fn duration_cell(text: &str) -> Option<Cell> {
    Some(Cell::Number(micros(text)? as f64 / DAY as f64))
}

/// `36:00:00`, as Postgres prints an interval of hours.
pub(super) fn duration_text(serial: f64) -> String {
    let Some(micros) = micros_of(serial) else {
        return plain_text(serial);
    };
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, rest) = (micros.abs() / SECOND, micros.abs() % SECOND);
    let fraction = format!(".{rest:06}");
    let fraction = match rest {
        0 => "",
        _ => fraction.trim_end_matches('0'),
    };
    format!(
        "{sign}{:02}:{:02}:{:02}{fraction}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Whether an interval is as long as a sheet's number says.
pub(super) fn same_duration(text: &str, serial: f64) -> bool {
    micros(text).is_some_and(|micros| Some(micros) == micros_of(serial))
}

fn micros_of(serial: f64) -> Option<i64> {
    let micros = (serial * DAY as f64).round();
    (micros.abs() < 9e15).then_some(micros as i64)
}

/// The length of an interval as Postgres prints it in style `postgres`: `1 day -02:03:04.5`.
fn micros(text: &str) -> Option<i64> {
    let mut words = text.split(' ').peekable();
    let mut total = 0i64;
    while let Some(word) = words.next() {
        if let Some(unit) = words.next_if(|word| !word.contains(':')) {
            let days: i64 = word.parse().ok()?;
            total = match unit {
                "day" | "days" => total.checked_add(days.checked_mul(DAY)?)?,
                _ => return None,
            };
            continue;
        }
        let (sign, clock) = match word.strip_prefix('-') {
            Some(clock) => (-1, clock),
            None => (1, word.strip_prefix('+').unwrap_or(word)),
        };
        let (hours, rest) = clock.split_once(':')?;
        let (minutes, seconds) = rest.split_once(':')?;
        let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let mut micros = 0i64;
        for (part, unit) in [(hours, 3600), (minutes, 60), (seconds, 1)] {
            micros = micros.checked_add(part.parse::<i64>().ok()?.checked_mul(unit * SECOND)?)?;
        }
        let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
        total = total.checked_add(sign * micros.checked_add(fraction)?)?;
    }
    Some(total)
}
