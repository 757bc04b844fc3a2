//! Numbers: cells are IEEE doubles, Postgres's are not (G-VALUES-1).

use crate::value::Cell;

/// Beyond it neighbouring integers share a double.
const EXACT_INTEGER: i64 = 1 << 53;

/// Decimal digits that every double keeps.
const EXACT_DIGITS: usize = 15;

pub(super) fn integer_cell(text: &str) -> Option<Cell> {
    let value: i64 = text.parse().ok()?;
    (-EXACT_INTEGER..=EXACT_INTEGER)
        .contains(&value)
        .then_some(Cell::Number(value as f64))
}

/// The number has more digits than a double is sure to keep: what was typed may have been another
/// one.
pub(super) fn is_rounded(value: f64) -> bool {
    is_beyond_integers(value)
        || Decimal::parse(&format!("{value:e}")).is_some_and(|one| one.digits.len() > EXACT_DIGITS)
}

pub(super) fn float_cell(text: &str) -> Option<Cell> {
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Cell::Number(value))
}

pub(super) fn numeric_cell(text: &str) -> Option<Cell> {
    let exact = Decimal::parse(text)?;
    if exact.digits.len() > EXACT_DIGITS {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let shown = Decimal::parse(&format!("{value:e}"))?;
    (value.is_finite() && shown == exact).then_some(Cell::Number(value))
}

/// A number as a person reads it: no exponent, no ".0".
pub(super) fn plain_text(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value}")
    }
}

/// Whether a number that was typed may have had more digits than a cell keeps.
pub(super) fn has_more_digits(value: f64) -> bool {
    let whole = value.fract() == 0.0;
    whole && value.abs() >= 1e15
        || Decimal::parse(&format!("{value:e}"))
            .is_some_and(|exact| exact.digits.len() > EXACT_DIGITS)
}

/// Neighbouring integers are one number from here on.
pub(super) fn is_beyond_integers(value: f64) -> bool {
    value.abs() > EXACT_INTEGER as f64
}

/// To the digits that every double keeps.
pub(super) fn rounded(value: f64) -> String {
    let near = format!("{value:.*e}", EXACT_DIGITS - 1);
    plain_text(near.parse().unwrap_or(value))
}

/// As Postgres prints it with extra_float_digits = 1, near enough for its input function; equality
/// is judged by value.
pub(super) fn float_text(value: f64) -> String {
    let magnitude = value.abs();
    if value != 0.0 && !(1e-5..1e15).contains(&magnitude) {
        format!("{value:e}")
    } else {
        plain_text(value)
    }
}

pub(super) fn same_float8(ours: &str, theirs: &str) -> bool {
    matches!((ours.parse::<f64>(), theirs.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

pub(super) fn same_float4(ours: &str, theirs: &str) -> bool {
    matches!((ours.parse::<f32>(), theirs.parse::<f32>()), (Ok(a), Ok(b)) if a == b)
}

pub(super) fn same_decimal(ours: &str, theirs: &str) -> bool {
    matches!((Decimal::parse(ours), Decimal::parse(theirs)), (Some(a), Some(b)) if a == b)
}

/// A decimal number by value: `0.50` equals `.5` and `5e-1`.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Without leading and trailing zeros; empty for zero.
    digits: String,
    /// Power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction)
        {
            return None;
        }
        let joined = format!("{whole}{fraction}");
        let significant = joined.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
            });
        }
        let dropped = i64::try_from(significant.len() - digits.len()).ok()?;
        let scale = i64::try_from(fraction.len()).ok()?;
        Some(Self {
            negative,
            digits: digits.to_owned(),
            exponent: power.checked_sub(scale)?.checked_add(dropped)?,
        })
    }
}
