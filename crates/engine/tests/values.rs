//! docs/values.md: what comes back unedited never changes the database, and what a person types
//! arrives as they meant it.

use engine::codec::{MAX_CELL_CHARACTERS, TooLong, agreed, decode, encode, hash_cells, is_error};
use engine::mapping::{Column, Kind};
use engine::value::{Cell, Datum, Text};
use engine::zone::Zone;
use proptest::prelude::*;

fn column(kind: Kind) -> Column {
    Column::new("C", kind)
}

const ZONE: Zone = Zone::Named(chrono_tz::Europe::Berlin);

fn shown(kind: Kind, text: &str) -> Cell {
    encode(&column(kind), ZONE, &Some(text.into())).expect("short enough")
}

fn typed(kind: Kind, cell: Cell) -> Datum {
    decode(&column(kind), ZONE, &cell)
}

/// As Google stores and prints it: a cell that went through JSON and back.
fn through_json(cell: &Cell) -> Cell {
    let json = serde_json::to_string(cell).expect("a cell is a scalar");
    serde_json::from_str(&json).expect("a scalar is a cell")
}

fn comes_back(kind: Kind, text: &str) {
    let value: Datum = Some(text.into());
    let cell = through_json(&shown(kind, text));
    assert!(
        agreed(&column(kind), ZONE, &value, &cell),
        "{kind:?} {text:?} comes back as {cell:?}"
    );
}

/// The text that would reach the table is, to the letter, what the table has.
fn comes_back_to_the_letter(kind: Kind, text: &str) {
    comes_back(kind, text);
    assert_eq!(typed(kind, shown(kind, text)).as_deref(), Some(text));
}

fn number(value: f64) -> Cell {
    Cell::Number(value)
}

fn text(value: &str) -> Cell {
    Cell::Text(value.into())
}

#[test]
fn values_that_doubles_cannot_hold_travel_as_text() {
    for (kind, value) in [
        (Kind::Integer, "9007199254740993"),
        (Kind::Integer, "-9223372036854775808"),
        (Kind::Numeric, "12345678901234567890.123456789"),
        (Kind::Numeric, "0.1234567890123456"),
        (Kind::Numeric, "NaN"),
        (Kind::Float8, "NaN"),
        (Kind::Float8, "Infinity"),
        (Kind::Float4, "-Infinity"),
        (Kind::Date, "1899-12-29"),
        (Kind::Date, "0044-03-15 BC"),
        (Kind::Date, "infinity"),
        (Kind::Date, "10000-01-01"),
        (Kind::Timestamp, "-infinity"),
        (Kind::TimestampTz, "0001-01-01 00:00:00+00 BC"),
        (Kind::Time, "24:00:00"),
    ] {
        assert_eq!(shown(kind, value), text(value), "{kind:?}");
        comes_back_to_the_letter(kind, value);
    }
}

#[test]
fn numbers_are_numbers() {
    assert_eq!(
        shown(Kind::Integer, "9007199254740992"),
        number(9_007_199_254_740_992.0)
    );
    assert_eq!(shown(Kind::Numeric, "1.50"), number(1.5));
    assert_eq!(shown(Kind::Float4, "0.1"), number(0.1));
    assert_eq!(shown(Kind::Float8, "1e+300"), number(1e300));
    comes_back(Kind::Numeric, "1.50");
    comes_back(Kind::Float8, "1e+300");
    comes_back(Kind::Float8, "-0");
    assert_eq!(typed(Kind::Numeric, number(1.5)).as_deref(), Some("1.5"));
    assert_eq!(typed(Kind::Integer, number(-42.0)).as_deref(), Some("-42"));
    // Postgres refuses it in its own words; it is not rounded.
    assert_eq!(typed(Kind::Integer, number(1.5)).as_deref(), Some("1.5"));
    // A number typed as text, and one shown with other zeros, are the same number.
    assert!(agreed(
        &column(Kind::Numeric),
        ZONE,
        &Some("1.50".into()),
        &text("1.5")
    ));
    assert!(agreed(
        &column(Kind::Integer),
        ZONE,
        &Some("7".into()),
        &text("07")
    ));
    assert!(!agreed(
        &column(Kind::Integer),
        ZONE,
        &Some("7".into()),
        &number(8.0)
    ));
}

#[test]
fn booleans_are_booleans_and_not_words() {
    assert_eq!(shown(Kind::Boolean, "t"), Cell::Bool(true));
    assert_eq!(
        typed(Kind::Boolean, Cell::Bool(false)).as_deref(),
        Some("f")
    );
    assert_eq!(typed(Kind::Boolean, text("yes")).as_deref(), Some("yes"));
    assert_eq!(typed(Kind::Boolean, number(1.0)).as_deref(), Some("1"));
}

#[test]
fn text_stays_what_it_is() {
    for value in [
        "007",
        "=1+2",
        "+49 30 1234",
        "-5",
        "@handle",
        "'quoted",
        "TRUE",
        "1e3",
        "2026-09-05",
        " padded ",
        "a\nb\tc\r\n",
        "😀e\u{301}",
        "#hashtag",
    ] {
        assert_eq!(shown(Kind::Text, value), text(value));
        comes_back_to_the_letter(Kind::Text, value);
    }
    // A bare number in a text column is what a person sees.
    assert_eq!(typed(Kind::Text, number(7.0)).as_deref(), Some("7"));
    assert_eq!(typed(Kind::Text, number(0.5)).as_deref(), Some("0.5"));
    assert_eq!(typed(Kind::Text, Cell::Bool(true)).as_deref(), Some("TRUE"));
}

#[test]
fn nothing_is_cut() {
    let longest = "x".repeat(MAX_CELL_CHARACTERS);
    comes_back_to_the_letter(Kind::Text, &longest);
    let longer = longest + "x";
    assert_eq!(
        encode(&column(Kind::Text), ZONE, &Some(longer.into())),
        Err(TooLong {
            characters: MAX_CELL_CHARACTERS + 1
        })
    );
    // Characters, not bytes.
    comes_back_to_the_letter(Kind::Text, &"ü".repeat(MAX_CELL_CHARACTERS));
}

#[test]
fn empty_cells_are_null_or_the_empty_text() {
    let mut not_null = column(Kind::Text);
    not_null.nullable = false;
    assert_eq!(decode(&not_null, ZONE, &Cell::Empty), Some(Text::default()));
    assert_eq!(typed(Kind::Text, Cell::Empty), None);
    assert_eq!(encode(&column(Kind::Text), ZONE, &None), Ok(Cell::Empty));
    assert_eq!(
        encode(&not_null, ZONE, &Some(Text::default())),
        Ok(Cell::Empty)
    );
    // A nullable column's '' stays '' while nobody touches the cell.
    assert!(agreed(
        &column(Kind::Text),
        ZONE,
        &Some(Text::default()),
        &Cell::Empty
    ));
    assert!(!agreed(
        &column(Kind::Integer),
        ZONE,
        &Some("0".into()),
        &Cell::Empty
    ));
}

#[test]
fn dates_are_serial_numbers() {
    assert_eq!(shown(Kind::Date, "1899-12-30"), number(0.0));
    assert_eq!(shown(Kind::Date, "1900-01-01"), number(2.0));
    assert_eq!(shown(Kind::Date, "2020-01-01"), number(43_831.0));
    assert_eq!(shown(Kind::Timestamp, "1900-01-01 12:00:00"), number(2.5));
    assert_eq!(shown(Kind::Time, "18:00:00"), number(0.75));
    for (kind, value) in [
        (Kind::Date, "1900-02-28"),
        (Kind::Date, "9999-12-31"),
        (Kind::Time, "00:00:00"),
        (Kind::Time, "23:59:59.999999"),
        (Kind::Timestamp, "2026-11-21 09:20:00.123456"),
        (Kind::Timestamp, "2026-11-21 09:20:00.5"),
        (Kind::TimestampTz, "2026-11-21 09:20:00.000001+00"),
    ] {
        comes_back_to_the_letter(kind, value);
    }
    // Typed before the epoch, or with a time of day in a date column: Postgres gets the moment that
    // was meant.
    assert_eq!(
        typed(Kind::Date, number(-1.0)).as_deref(),
        Some("1899-12-29")
    );
    assert_eq!(
        typed(Kind::Date, number(2.5)).as_deref(),
        Some("1900-01-01 12:00:00")
    );
    assert_eq!(typed(Kind::Time, number(1.25)).as_deref(), Some("30:00:00"));
    assert_eq!(
        typed(Kind::Timestamp, number(f64::MAX)).as_deref(),
        Some(format!("{}", f64::MAX).as_str())
    );
}

#[test]
fn instants_follow_the_spreadsheets_zone_over_both_changes_of_the_clock() {
    // Winter and summer time.
    assert_eq!(
        shown(Kind::TimestampTz, "2026-01-15 11:00:00+00"),
        shown(Kind::Timestamp, "2026-01-15 12:00:00")
    );
    assert_eq!(
        shown(Kind::TimestampTz, "2026-07-15 11:00:00+00"),
        shown(Kind::Timestamp, "2026-07-15 13:00:00")
    );
    comes_back_to_the_letter(Kind::TimestampTz, "2026-07-15 11:00:00+00");
    // 02:30 exists twice: both instants are at home with what the sheet shows, and a person's 02:30
    // is the later.
    for instant in ["2026-10-25 00:30:00+00", "2026-10-25 01:30:00+00"] {
        comes_back(Kind::TimestampTz, instant);
    }
    let twice = shown(Kind::Timestamp, "2026-10-25 02:30:00");
    assert_eq!(
        typed(Kind::TimestampTz, twice).as_deref(),
        Some("2026-10-25 01:30:00+00")
    );
    // 02:30 does not exist: as with Postgres, the clock is read as if it had not been put forward.
    let never = shown(Kind::Timestamp, "2026-03-29 02:30:00");
    assert_eq!(
        typed(Kind::TimestampTz, never).as_deref(),
        Some("2026-03-29 01:30:00+00")
    );
    // Other offsets than UTC are read as well.
    assert_eq!(
        shown(Kind::TimestampTz, "2026-01-15 14:30:00+03:30"),
        shown(Kind::TimestampTz, "2026-01-15 11:00:00+00")
    );
}

#[test]
fn errors_are_told_from_text() {
    for error in [
        "#REF!",
        "#N/A",
        "#DIV/0!",
        "#VALUE! (Function ADD parameter 1 expects number values.)",
        "Loading...",
    ] {
        assert!(is_error(&text(error)), "{error}");
    }
    for no_error in ["#REF", "#REF!x", "#1", "see #N/A", "Loading"] {
        assert!(!is_error(&text(no_error)), "{no_error}");
    }
}

/// They are stored: another value would have every row compared anew after an update.
#[test]
fn hashes_are_the_same_in_every_version() {
    let cells = [number(1.5), text("Tea"), Cell::Empty, Cell::Bool(true)];
    assert_eq!(hash_cells(&cells).number(), 6_436_342_541_835_895_556);
    assert_eq!(hash_cells(&[]).number(), 3_244_421_341_483_603_138);
}

#[test]
fn hashes_tell_rows_apart_and_not_zeros() {
    let one = [number(1.0), text("1"), Cell::Empty, Cell::Bool(true)];
    assert_eq!(hash_cells(&one), hash_cells(&one.clone()));
    for (index, other) in [text("1"), number(1.0), Cell::Bool(false), Cell::Empty]
        .into_iter()
        .enumerate()
    {
        let mut changed = one.clone();
        changed[index] = other;
        assert_ne!(hash_cells(&one), hash_cells(&changed));
    }
    assert_ne!(
        hash_cells(&[text("ab"), text("c")]),
        hash_cells(&[text("a"), text("bc")])
    );
    assert_eq!(hash_cells(&[number(0.0)]), hash_cells(&[number(-0.0)]));
}

prop_compose! {
    fn a_date()(days in -2_000_000i64..2_000_000) -> chrono::NaiveDate {
        chrono::NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date") + chrono::Duration::days(days)
    }
}

prop_compose! {
    /// Up to 2078: as far as doubles tell microseconds apart.
    fn a_moment()(micros in -3_155_760_000_000_000i64..2_490_000_000_000_000) -> chrono::NaiveDateTime {
        chrono::DateTime::from_timestamp_micros(micros).expect("a moment").naive_utc()
    }
}

/// As Postgres prints it.
fn printed(at: chrono::NaiveDateTime) -> String {
    let text = at.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

proptest! {
    #[test]
    fn every_integer_comes_back(value: i64) {
        comes_back_to_the_letter(Kind::Integer, &value.to_string());
    }

    #[test]
    fn every_double_comes_back(value: f64) {
        comes_back(Kind::Float8, &format!("{value:e}"));
        if value.is_finite() {
            let decoded = typed(Kind::Float8, number(value)).expect("a number");
            prop_assert_eq!(decoded.parse::<f64>().expect("a number"), value);
        }
    }

    #[test]
    fn every_single_comes_back(value: f32) {
        comes_back(Kind::Float4, &format!("{value}"));
    }

    #[test]
    fn every_numeric_comes_back(negative: bool, whole in "0|[1-9][0-9]{0,29}", fraction in "|\\.[0-9]{1,20}") {
        let sign = if negative { "-" } else { "" };
        comes_back(Kind::Numeric, &format!("{sign}{whole}{fraction}"));
    }

    #[test]
    fn every_text_comes_back(value in ".{1,200}") {
        comes_back_to_the_letter(Kind::Text, &value);
    }

    #[test]
    fn every_date_comes_back(date in a_date()) {
        comes_back_to_the_letter(Kind::Date, &date.format("%Y-%m-%d").to_string());
    }

    #[test]
    fn every_time_comes_back(micros in 0i64..86_400_000_000) {
        let at = chrono::DateTime::from_timestamp_micros(micros).expect("a moment").naive_utc();
        let text = printed(at);
        comes_back_to_the_letter(Kind::Time, text.split_once(' ').expect("a time").1);
    }

    #[test]
    fn every_timestamp_comes_back(at in a_moment()) {
        comes_back_to_the_letter(Kind::Timestamp, &printed(at));
    }

    #[test]
    fn every_instant_comes_back_in_every_zone(at in a_moment(), zone in 0..chrono_tz::TZ_VARIANTS.len()) {
        let value = Some((printed(at) + "+00").into());
        let zone = Zone::Named(chrono_tz::TZ_VARIANTS[zone]);
        let cell = encode(&column(Kind::TimestampTz), zone, &value).expect("short enough");
        prop_assert!(agreed(&column(Kind::TimestampTz), zone, &value, &through_json(&cell)));
    }

    /// Whatever stands in a cell: it becomes a text for Postgres or NULL, and nothing panics.
    #[test]
    fn no_cell_breaks_a_codec(value: f64, words in ".{0,40}") {
        for kind in [
            Kind::Boolean, Kind::Integer, Kind::Float4, Kind::Float8, Kind::Numeric, Kind::Date, Kind::Time, Kind::Timestamp,
            Kind::TimestampTz, Kind::Text,
        ] {
            for cell in [number(value), text(&words), Cell::Empty, Cell::Bool(true)] {
                let datum = typed(kind, cell);
                prop_assert!(encode(&column(kind), ZONE, &datum).is_ok());
            }
        }
    }
}

/// The tables of time zones end in 2099; Postgres goes on by the rule that each has then.
#[test]
fn instants_beyond_the_tables_of_time_zones_follow_the_rule() {
    let column = column(Kind::TimestampTz);
    let vienna = chrono_tz::Europe::Vienna;
    let new_york = chrono_tz::America::New_York;
    let sydney = chrono_tz::Australia::Sydney;
    let casablanca = chrono_tz::Africa::Casablanca;
    for (zone, instant, local) in [
        (vienna, "2100-01-15 10:00:00+00", "2100-01-15 11:00:00"),
        (vienna, "2100-07-01 10:00:00+00", "2100-07-01 12:00:00"),
        // The last Sunday of March is the 27th, and of October the 30th.
        (vienna, "2101-03-27 00:59:59+00", "2101-03-27 01:59:59"),
        (vienna, "2101-03-27 01:00:00+00", "2101-03-27 03:00:00"),
        (vienna, "2101-10-29 23:59:59+00", "2101-10-30 01:59:59"),
        (vienna, "2101-10-30 02:00:00+00", "2101-10-30 03:00:00"),
        // Leap years.
        (vienna, "2104-02-29 12:00:00+00", "2104-02-29 13:00:00"),
        (vienna, "2104-03-30 01:00:00+00", "2104-03-30 03:00:00"),
        (new_york, "2400-07-04 12:00:00+00", "2400-07-04 08:00:00"),
        (new_york, "9999-12-31 12:00:00+00", "9999-12-31 07:00:00"),
        (sydney, "2101-01-01 00:00:00+00", "2101-01-01 11:00:00"),
        (sydney, "2101-07-01 00:00:00+00", "2101-07-01 10:00:00"),
        (casablanca, "2101-02-15 10:00:00+00", "2101-02-15 11:00:00"),
    ] {
        let zone = Zone::Named(zone);
        let cell = encode(&column, zone, &Some(instant.into())).expect("short");
        let local_column = self::column(Kind::Timestamp);
        let shown = decode(&local_column, zone, &cell);
        assert_eq!(shown.as_deref(), Some(local), "{zone:?} {instant}");
        assert_eq!(decode(&column, zone, &cell).as_deref(), Some(instant));
    }
}

/// A spreadsheet whose zone Google has no name for says how far it is from Greenwich.
#[test]
fn a_zone_without_a_name_is_an_offset() {
    for (name, local) in [
        ("GMT-07:00", "2026-07-15 04:00:00"),
        ("GMT+05:30", "2026-07-15 16:30:00"),
        ("GMT-03:30", "2026-07-15 07:30:00"),
        ("GMT+5:45", "2026-07-15 16:45:00"),
        ("GMT+0930", "2026-07-15 20:30:00"),
        ("GMT+14", "2026-07-16 01:00:00"),
        ("UTC+02:00", "2026-07-15 13:00:00"),
        ("GMT+00:00", "2026-07-15 11:00:00"),
        ("Etc/GMT+7", "2026-07-15 04:00:00"),
        ("Asia/Calcutta", "2026-07-15 16:30:00"),
    ] {
        let zone = Zone::of_spreadsheet(name).expect(name);
        let instant = Some("2026-07-15 11:00:00+00".into());
        let cell = encode(&column(Kind::TimestampTz), zone, &instant).expect("short");
        let shown = decode(&column(Kind::Timestamp), zone, &cell);
        assert_eq!(shown.as_deref(), Some(local), "{name}");
        assert_eq!(decode(&column(Kind::TimestampTz), zone, &cell), instant);
    }
    for name in [
        "",
        "GMT-",
        "GMT-7:0",
        "GMT+24:00",
        "GMT+05:60",
        "GMT+0\u{e9}",
        "GMT++5",
        "GMT5",
        "-07:00",
        "Mars/Phobos",
    ] {
        assert_eq!(Zone::of_spreadsheet(name), None, "{name}");
    }
}
