//! A cell means what people see in it, and what cannot be read in one way is a problem of its cell.

use crate::world::*;

fn of_kind(kind: Kind, order: DateOrder) -> Mapping {
    let mut mapping = mapping();
    mapping.columns[1].kind = kind;
    mapping.date_order = order;
    mapping.time_zone = Zone::Named(chrono_tz::Europe::Vienna);
    mapping
}

fn format(kind: &str, pattern: &str) -> NumberFormat {
    NumberFormat::new(kind, pattern.into())
}

/// What the table is given for a number that shows like this: a text, or the code of a problem.
fn number(kind: Kind, value: f64, format: NumberFormat, shown: &str) -> String {
    let detail = CellDetail {
        format,
        shown: shown.into(),
        ..CellDetail::plain(Cell::Number(value))
    };
    let mapping = of_kind(kind, DateOrder::MonthFirst);
    assert!(mapping.needs_detail(1, &Cell::Number(value)) || kind == Kind::Boolean);
    told(mapping.read(1, &Cell::Number(value), Some(&detail)))
}

fn typed(kind: Kind, order: DateOrder, value: &str) -> String {
    told(of_kind(kind, order).read(1, &text(value), None))
}

fn told(read: Result<Datum, Refusal>) -> String {
    match read {
        Ok(datum) => datum.map_or("NULL".into(), String::from),
        Err(refusal) => {
            assert!(refusal.hint.is_some_and(|hint| !hint.is_empty()));
            refusal.sqlstate
        }
    }
}

#[test]
fn a_number_is_what_its_format_shows() {
    let automatic = || NumberFormat::AUTOMATIC;
    let day = || format("DATE", "yyyy-mm-dd");
    let clock = || format("TIME", "h:mm");
    let span = || format("TIME", "[h]:mm:ss");
    let percent = || format("PERCENT", "0.0%");
    let dollars = || format("CURRENCY", "\"$\"#,##0.00");
    let zeros = || format("NUMBER", "00000");
    for (kind, value, format, shown, wanted) in [
        (Kind::Text, 45_293.0, day(), "2024-01-02", "2024-01-02"),
        (Kind::Text, 0.125, percent(), "12.5%", "12.5%"),
        (Kind::Text, 0.4375, clock(), "10:30", "10:30"),
        (Kind::Text, 5.0, dollars(), "$5.00", "$5.00"),
        (Kind::Text, 123.0, zeros(), "00123", "00123"),
        (Kind::Text, 123.0, automatic(), "123", "123"),
        (
            Kind::Text,
            1_497_549_923_779_084_388.0,
            automatic(),
            "1.49755E+18",
            "too_many_digits",
        ),
        (Kind::Printed, 46_024.0, format("DATE", "m-d"), "1-2", "1-2"),
        (
            Kind::Integer,
            45_413.0,
            format("DATE", "d.m"),
            "1.5",
            "holds_date",
        ),
        (Kind::Numeric, 45_413.0, day(), "2024-05-01", "holds_date"),
        (Kind::Float8, 0.5, clock(), "12:00", "holds_date"),
        (Kind::Numeric, 1.5, span(), "36:00:00", "holds_date"),
        (Kind::Json, 45_413.0, day(), "2024-05-01", "holds_date"),
        (
            Kind::Numeric,
            0.123_000_000_000_000_01,
            percent(),
            "12.3%",
            "0.123",
        ),
        (Kind::Numeric, 5.0, dollars(), "$5.00", "5"),
        (
            Kind::Integer,
            100_000.0,
            format("SCIENTIFIC", "0.00E+00"),
            "1.00E+05",
            "100000",
        ),
        (
            Kind::Integer,
            1_497_549_923_779_084_388.0,
            automatic(),
            "1.49755E+18",
            "too_many_digits",
        ),
        (
            Kind::Integer,
            4_111_111_111_111_110.0,
            automatic(),
            "4.11E+15",
            "too_many_digits",
        ),
        (
            Kind::Numeric,
            0.123_456_789_012_345_68,
            automatic(),
            "0.123",
            "too_many_digits",
        ),
        (Kind::Date, 45_293.0, day(), "2024-01-02", "2024-01-02"),
        (Kind::Date, 2024.0, automatic(), "2024", "bare_number"),
        (Kind::Date, 0.5, clock(), "12:00", "bare_number"),
        (
            Kind::Timestamp,
            45_293.5,
            format("NUMBER", "0.0"),
            "45293.5",
            "bare_number",
        ),
        (
            Kind::Timestamp,
            45_293.5,
            day(),
            "2024-01-02",
            "2024-01-02 12:00:00",
        ),
        (Kind::Time, 0.5, clock(), "12:00", "12:00:00"),
        (Kind::Time, 0.5, automatic(), "0.5", "bare_number"),
        (
            Kind::Interval,
            0.0625,
            format("TIME", "h:mm:ss"),
            "1:30:00",
            "01:30:00",
        ),
        (Kind::Interval, 1.5, span(), "36:00:00", "36:00:00"),
        (Kind::Interval, -0.0625, span(), "-1:30:00", "-01:30:00"),
        (Kind::Interval, 90.0, automatic(), "90", "bare_number"),
        (Kind::Interval, 45_293.0, day(), "2024-01-02", "bare_number"),
    ] {
        assert_eq!(
            number(kind, value, format, shown),
            wanted,
            "{kind:?} {shown}"
        );
    }
}

#[test]
fn what_a_formula_computes_may_have_all_digits() {
    let detail = CellDetail {
        entered: Entered::Formula("=0.1+0.2".into()),
        ..CellDetail::plain(Cell::Number(0.1 + 0.2))
    };
    let mapping = of_kind(Kind::Numeric, DateOrder::MonthFirst);
    let read = mapping.read(1, &Cell::Number(0.1 + 0.2), Some(&detail));
    assert_eq!(told(read), "0.30000000000000004");
    // The sheet chooses the format of a formula's date, and does not say so.
    let today = CellDetail {
        entered: Entered::Formula("=TODAY()".into()),
        shown: "1/2/2024".into(),
        ..CellDetail::plain(Cell::Number(45_293.0))
    };
    let mapping = of_kind(Kind::Date, DateOrder::MonthFirst);
    let read = mapping.read(1, &Cell::Number(45_293.0), Some(&today));
    assert_eq!(told(read), "2024-01-02");
}

#[test]
fn a_date_that_is_text_is_taken_where_it_can_be_read_in_one_way() {
    use DateOrder::{DayFirst, MonthFirst, YearFirst};
    for (kind, order, value, wanted) in [
        (Kind::Date, MonthFirst, "25.12.24", "2024-12-25"),
        (Kind::Date, MonthFirst, "13/2/24", "2024-02-13"),
        (Kind::Date, MonthFirst, "2/13/2024", "2024-02-13"),
        (Kind::Date, MonthFirst, "1/2/24", "22007"),
        (Kind::Date, MonthFirst, "2/2/24", "2024-02-02"),
        (Kind::Date, MonthFirst, "26-07-2019", "2019-07-26"),
        (Kind::Date, DayFirst, "1.2.2024", "2024-02-01"),
        (Kind::Date, DayFirst, "1/2/2024", "22007"),
        (Kind::Date, YearFirst, "25/12/24", "22007"),
        (Kind::Date, YearFirst, "2024/12/25", "2024-12-25"),
        (Kind::Date, MonthFirst, "25.12.45", "22007"),
        (Kind::Date, MonthFirst, "25.12.85", "1985-12-25"),
        (Kind::Date, MonthFirst, "25.13.24", "22007"),
        (Kind::Date, MonthFirst, "31.2.24", "22007"),
        (Kind::Date, MonthFirst, "5 January 2023", "2023-01-05"),
        (Kind::Date, MonthFirst, "Jan 5, 2023", "2023-01-05"),
        (Kind::Date, MonthFirst, "5-Jan-2023", "2023-01-05"),
        (Kind::Date, MonthFirst, "Jan 5, 23", "22007"),
        (Kind::Date, MonthFirst, "2024-02-29", "2024-02-29"),
        (Kind::Date, MonthFirst, "0044-03-15 BC", "0044-03-15 BC"),
        (Kind::Date, MonthFirst, "infinity", "infinity"),
        (Kind::Date, MonthFirst, "today", "22007"),
        (Kind::Date, MonthFirst, "20241225", "22007"),
        (Kind::Date, MonthFirst, "2024", "22007"),
        (Kind::Date, MonthFirst, "soon", "22007"),
        (Kind::Date, MonthFirst, "25.12.24 10:00", "22007"),
        (
            Kind::Timestamp,
            MonthFirst,
            "25.12.24 10:00",
            "2024-12-25 10:00:00",
        ),
        (
            Kind::Timestamp,
            MonthFirst,
            "25.12.24",
            "2024-12-25 00:00:00",
        ),
        (
            Kind::Timestamp,
            MonthFirst,
            "12/25/2024 10:30 PM",
            "2024-12-25 22:30:00",
        ),
        (Kind::Timestamp, MonthFirst, "25.12.24 25:00", "22007"),
        (
            Kind::TimestampTz,
            MonthFirst,
            "25.12.24 10:00",
            "2024-12-25 09:00:00+00",
        ),
        (
            Kind::TimestampTz,
            MonthFirst,
            "2024-07-01 12:00",
            "2024-07-01 10:00:00+00",
        ),
        (
            Kind::TimestampTz,
            MonthFirst,
            "2024-07-01 12:00+00",
            "2024-07-01 12:00+00",
        ),
        (Kind::Time, MonthFirst, "10:30 pm", "10:30 pm"),
        (Kind::Time, MonthFirst, "1030", "22007"),
        (Kind::Interval, MonthFirst, "90", "bare_number"),
        (Kind::Interval, MonthFirst, "1 mon 2 days", "1 mon 2 days"),
        (Kind::Json, MonthFirst, "TRUE", "true"),
        (Kind::Json, MonthFirst, "[1]", "[1]"),
        (Kind::Array, MonthFirst, "red, blue", "22P02"),
        (Kind::Array, MonthFirst, "{red,blue}", "{red,blue}"),
    ] {
        assert_eq!(
            typed(kind, order, value),
            wanted,
            "{kind:?} {order:?} {value}"
        );
    }
}

#[test]
fn a_problem_says_how_to_write_it() {
    let hint = |kind, value: &str| {
        let read = of_kind(kind, DateOrder::MonthFirst).read(1, &text(value), None);
        read.unwrap_err().hint.unwrap()
    };
    assert_eq!(
        hint(Kind::Date, "1/2/24"),
        "Write 2024-01-02 or 2024-02-01."
    );
    assert_eq!(
        hint(Kind::Array, "red, blue"),
        "Write it in braces: {red,blue}"
    );
}

#[test]
fn only_edited_numbers_are_looked_at_closely_and_in_one_request() {
    let mut world = World::agreed(mapping(), 4).warm();
    world.tab[2][1] = Cell::Number(45_293.0);
    world.tab[3][1] = Cell::Number(0.12);
    world.tab[4][2] = Cell::Number(45_413.0);
    let shown = |kind: &str, pattern: &str, shown: &str| (format(kind, pattern), shown.to_owned());
    world
        .formats
        .insert((2, 1), shown("DATE", "yyyy-mm-dd", "2024-01-02"));
    world.formats.insert((3, 1), shown("PERCENT", "0%", "12%"));
    world.formats.insert((4, 2), shown("DATE", "d.m", "1.5"));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read", "inspect"]);
    assert_eq!(world.table[&key(1)][1].as_deref(), Some("2024-01-02"));
    assert_eq!(world.table[&key(2)][1].as_deref(), Some("12%"));
    assert_eq!(world.table[&key(3)][2].as_deref(), Some("1.50"));
    let place = Place {
        key: Some(key(3)),
        sheet_row: None,
        column: Some(2),
    };
    let places: Vec<&Place> = world.problems.iter().map(|one| &one.place).collect();
    assert_eq!(places, [&place]);
    // Neither what is settled nor what was refused is asked for again and again.
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
    // Mended, it is over.
    world.tab[4][2] = Cell::Number(2.5);
    world.formats.remove(&(4, 2));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table[&key(3)][2].as_deref(), Some("2.5"));
    assert!(world.problems.is_empty());
}

#[test]
fn a_key_of_text_is_what_its_cell_shows() {
    let mut mapping = mapping();
    mapping.columns[0].kind = Kind::Text;
    let mut world = World::agreed(mapping, 1).warm();
    let row = vec![Some("1-2".into()), Some("small".into()), None];
    world.table.insert(Key::from_iter(["1-2"]), row);
    world
        .tab
        .push(vec![Cell::Number(46_024.0), text("small"), Cell::Empty]);
    let shown = (format("DATE", "m-d"), "1-2".to_owned());
    world.formats.insert((2, 0), shown);
    world.cycle(Scope::Everything, &[]);
    assert_eq!(world.table.len(), 2);
    assert_eq!(world.tab.len(), 3);
    assert!(world.bases.contains_key(&Key::from_iter(["1-2"])));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn two_cells_of_one_value_that_show_two_keys_are_two_rows() {
    let mut mapping = mapping();
    mapping.columns[0].kind = Kind::Text;
    let mut world = World::agreed(mapping, 1).warm();
    // The first has the value of a key that is known, as a text.
    let rows = [
        (0.0, format("NUMBER", "000"), "000"),
        (46_024.0, format("DATE", "m-d"), "1-2"),
        (46_024.0, format("DATE", "yyyy"), "2026"),
    ];
    for (at, (value, format, shown)) in (2..).zip(rows) {
        world
            .tab
            .push(vec![Cell::Number(value), text(shown), Cell::Empty]);
        world.formats.insert((at, 0), (format, shown.to_owned()));
        world.cycle(Scope::Full, &[]);
    }
    let keys = |world: &World| -> Vec<String> {
        let keys = world.table.keys();
        keys.map(|key| key.0.join(",")).collect()
    };
    assert_eq!(keys(&world), ["0", "000", "1-2", "2026"]);
    // They are known again one row further down.
    world
        .tab
        .insert(1, vec![text("new"), text("on top"), Cell::Empty]);
    let formats = std::mem::take(&mut world.formats);
    let moved = formats
        .into_iter()
        .map(|((row, column), one)| ((row + 1, column), one));
    world.formats = moved.collect();
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(keys(&world), ["0", "000", "1-2", "2026", "new"]);
    assert!(world.problems.is_empty());
    assert_eq!(world.tab.len(), 6);
}

#[test]
fn a_key_of_more_digits_than_a_cell_keeps_reaches_no_table() {
    let mut world = World::agreed(mapping(), 2).warm();
    let typed = Cell::Number(1_497_549_923_779_084_388.0);
    world.tab.push(vec![typed, text("Bob"), Cell::Empty]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 2);
    let place = Place {
        key: None,
        sheet_row: Some(4),
        column: Some(0),
    };
    let places: Vec<&Place> = world.problems.iter().map(|one| &one.place).collect();
    assert_eq!(places, [&place]);
}

#[test]
fn among_durations_a_duration_is_written() {
    let mut mapping = mapping();
    mapping.columns[1].kind = Kind::Interval;
    let mut world = World::agreed(mapping, 0);
    for (id, span) in [(0, "08:00:00"), (1, "1 day 12:00:00")] {
        world.table.insert(
            key(id),
            vec![Some(id.to_string().into()), Some(span.into()), None],
        );
    }
    let row = |id: f64, span: f64| vec![Cell::Number(id), Cell::Number(span), Cell::Empty];
    world.tab.push(row(0.0, 8.0 / 24.0));
    world.tab.push(row(1.0, 1.5));
    for at in 1..6 {
        let shown = (format("TIME", "[h]:mm:ss"), "8:00:00".to_owned());
        world.formats.insert((at, 1), shown);
    }
    world.cycle(Scope::Everything, &[]);
    assert!(
        world
            .commits
            .iter()
            .all(|commit| commit.conflicts.is_empty())
    );
    assert_eq!(world.table[&key(1)][1].as_deref(), Some("1 day 12:00:00"));
    // Typed, changed in the table, and new in the table.
    world.tab[1][1] = Cell::Number(0.0625);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table[&key(0)][1].as_deref(), Some("01:30:00"));
    assert_eq!(world.tab[1][1], Cell::Number(0.0625));
    world.set(1, "2 days");
    world.table.insert(
        key(2),
        vec![Some("2".into()), Some("06:00:00".into()), None],
    );
    world.cycle(Scope::Full, &[1, 2]);
    assert_eq!(world.tab[2][1], Cell::Number(2.0));
    assert_eq!(world.tab[3][1], Cell::Number(0.25));
    // Months have no length.
    world.set(2, "1 mon");
    world.cycle(Scope::Full, &[2]);
    assert_eq!(world.tab[3][1], text("1 mon"));
}

#[test]
fn another_time_zone_shows_every_instant_anew_and_changes_none() {
    let mut mapping = mapping();
    mapping.columns[1].kind = Kind::TimestampTz;
    mapping.time_zone = Zone::Named(chrono_tz::Europe::Vienna);
    let mut world = World::agreed(mapping.clone(), 0);
    let instant = "2024-07-01 10:00:00+00";
    let row = vec![Some("0".into()), Some(instant.into()), None];
    world.table.insert(key(0), row);
    world.cycle(Scope::Everything, &[]);
    let noon = |hours: f64| Cell::Number(45_474.0 + hours / 24.0);
    assert_eq!(world.tab[1][1], noon(12.0));
    mapping.time_zone = Zone::Named(chrono_tz::America::New_York);
    world.mapping = mapping.clone();
    world.machine = world.machine.renewed(mapping);
    world.cycle(Scope::Everything, &[]);
    assert_eq!(world.tab[1][1], noon(6.0));
    assert_eq!(world.table[&key(0)][1].as_deref(), Some(instant));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
}
