//! What single cells hold, show and are formatted as.

use crate::support::world::{World, text};
use engine::effect::{CellDetail, Entered, NumberFormat, SheetEffect, SheetOutcome, Shows};
use engine::value::Cell;
use google::sent_by_this_thread;
use serde_json::json;

fn inspect(world: &World, cells: &[(u32, u32)]) -> Vec<CellDetail> {
    let effect = SheetEffect::Inspect {
        cells: cells.to_vec(),
    };
    let need = world.session.need(&world.target, &effect);
    let before = sent_by_this_thread();
    let outcome = world.perform(&effect).unwrap();
    let sent = sent_by_this_thread();
    assert_eq!(need.reads, sent.reads - before.reads);
    match outcome {
        SheetOutcome::Inspected(details) => details,
        other => panic!("{other:?}"),
    }
}

fn typed(world: &World, cell: &str, value: &str) {
    world.person(json!({"set": {"cell": cell, "value": value}}));
}

fn detail(value: Cell, shows: Shows, pattern: &str, shown: &str) -> CellDetail {
    CellDetail {
        value,
        entered: Entered::Value,
        format: NumberFormat {
            shows,
            pattern: pattern.into(),
        },
        shown: shown.into(),
    }
}

#[test]
fn what_was_typed_tells_its_format_and_what_people_see() {
    let world = World::new(json!([["id", "code"]]));
    let cases = [
        (
            "2024-01-02",
            detail(
                Cell::Number(45_293.0),
                Shows::Date,
                "yyyy-mm-dd",
                "2024-01-02",
            ),
        ),
        (
            "12%",
            detail(Cell::Number(0.12), Shows::Percent, "0%", "12%"),
        ),
        (
            "10:30",
            detail(Cell::Number(0.4375), Shows::Time, "h:mm", "10:30"),
        ),
        (
            "$5.00",
            detail(Cell::Number(5.0), Shows::Currency, "\"$\"#,##0.00", "$5.00"),
        ),
        (
            "36:00:00",
            detail(Cell::Number(1.5), Shows::Duration, "[h]:mm:ss", "36:00:00"),
        ),
        (
            "2024-01-02 10:30",
            detail(
                Cell::Number(45_293.437_5),
                Shows::DateTime,
                "yyyy-mm-dd h:mm",
                "2024-01-02 10:30",
            ),
        ),
        (
            "1,234.5",
            detail(Cell::Number(1_234.5), Shows::Number, "#,##0.00", "1,234.50"),
        ),
        (
            "1e5",
            detail(
                Cell::Number(100_000.0),
                Shows::Scientific,
                "0.00E+00",
                "1.00E+05",
            ),
        ),
        ("17", detail(Cell::Number(17.0), Shows::Automatic, "", "17")),
        ("'0123", detail(text("0123"), Shows::Automatic, "", "0123")),
        (
            "TRUE",
            detail(Cell::Bool(true), Shows::Automatic, "", "TRUE"),
        ),
    ];
    for (row, (value, _)) in cases.iter().enumerate() {
        typed(&world, &format!("B{}", row + 2), value);
    }
    let cells: Vec<(u32, u32)> = (0..cases.len() as u32).map(|row| (row + 1, 1)).collect();
    for ((typed, wanted), got) in cases.iter().zip(inspect(&world, &cells)) {
        assert_eq!(got, *wanted, "{typed}");
    }
}

#[test]
fn formulas_and_what_they_fill_are_told_from_values() {
    let world = World::new(json!([["id", "code"], [1, "a"], [2, "b"]]));
    typed(&world, "C2", "=ARRAYFORMULA(A2:A3*2)");
    let got = inspect(&world, &[(2, 2), (1, 2), (1, 1), (40, 5), (900, 99)][..4]);
    let formula = Entered::Formula("=ARRAYFORMULA(A2:A3*2)".into());
    assert_eq!(
        got.iter()
            .map(|one| (one.value.clone(), one.entered.clone()))
            .collect::<Vec<_>>(),
        [
            (Cell::Number(4.0), Entered::Nothing),
            (Cell::Number(2.0), formula),
            (text("a"), Entered::Value),
            (Cell::Empty, Entered::Nothing),
        ]
    );
}

#[test]
fn a_cell_that_is_not_there_is_no_empty_cell() {
    let world = World::new(json!([["id", "code"], [1, "a"]]));
    let mut target = world.target.clone();
    target.sheet_id = 4_711;
    let effect = SheetEffect::Inspect {
        cells: vec![(1, 1)],
    };
    let failure = world.session.perform(&target, &effect).unwrap_err();
    assert_eq!(failure.reason.as_str(), "tab_gone");
    let effect = SheetEffect::Inspect {
        cells: vec![(5_000, 1)],
    };
    let failure = world.perform(&effect).unwrap_err();
    assert_eq!(failure.reason.as_str(), "stale_position");
}

/// Google's refusals come in the language of whoever asks, and change.
#[test]
fn rows_and_columns_that_are_gone_are_told_by_the_tab_and_not_by_words() {
    let cells = || SheetEffect::Inspect {
        cells: vec![(7, 1)],
    };
    for (gone, effect) in [
        (json!({"delete_rows": {"at": 3, "count": 48}}), cells()),
        (json!({"delete_columns": {"at": "B", "count": 7}}), cells()),
    ] {
        let world = World::new(json!([["id", "code"], [1, "a"]]));
        world.read();
        world.person(gone);
        world.fault(
            "spreadsheets.getByDataFilter",
            0,
            json!({"status": 400, "message": "Das gibt es hier nicht."}),
        );
        let failure = world.perform(&effect).unwrap_err();
        assert_eq!(failure.reason.as_str(), "stale_position", "{failure:?}");
    }
    let world = World::new(json!([["id", "code"], [1, "a"]]));
    let refused = || {
        world.fault(
            "spreadsheets.getByDataFilter",
            0,
            json!({"status": 400, "message": "Das gibt es hier nicht."}),
        )
    };
    // All of them are there: it is something else.
    for effect in [cells(), SheetEffect::Formulas, SheetEffect::Notes] {
        refused();
        let failure = world.perform(&effect).unwrap_err();
        assert_ne!(failure.reason.as_str(), "stale_position", "{failure:?}");
    }
}

#[test]
fn a_locale_that_was_not_named_is_no_other_one() {
    let world = World::new(json!([["id", "at"], [1, 45_293.5]]));
    let mut target = world.target.clone();
    let effect = SheetEffect::Inspect {
        cells: vec![(1, 1)],
    };
    let mut known = world
        .session
        .open(crate::support::world::ID)
        .unwrap()
        .conventions;
    known.locale = String::new();
    target.conventions = Some(known.clone());
    assert!(world.session.perform(&target, &effect).is_ok());
    known.time_zone = "Europe/Vienna".into();
    target.conventions = Some(known);
    let failure = world.session.perform(&target, &effect).unwrap_err();
    assert_eq!(failure.reason.as_str(), "other_conventions");
    // It is tried again, and not in the same moment.
    assert_eq!(failure.retry_after_ms, None);
}

#[test]
fn a_pattern_tells_more_than_its_type() {
    for (kind, pattern, shows) in [
        ("TIME", "[h]:mm:ss", Shows::Duration),
        ("DATE_TIME", "[mm]:ss", Shows::Duration),
        ("NUMBER", "[$€-407] #,##0.00", Shows::Number),
        ("NUMBER", "[Red]0.00", Shows::Number),
        ("NUMBER", "d.m.yyyy", Shows::Date),
        ("DATE", "mmm yyyy", Shows::Date),
        ("DATE_TIME", "d.m.yy h:mm", Shows::DateTime),
        ("TIME", "mm:ss", Shows::Time),
        ("NUMBER", "0.0%", Shows::Percent),
        ("NUMBER", "0 \"days\"", Shows::Number),
        ("NUMBER", "00000", Shows::Number),
        ("NUMBER", "@", Shows::Text),
        ("", "", Shows::Automatic),
    ] {
        assert_eq!(
            NumberFormat::new(kind, pattern.into()).shows,
            shows,
            "{kind} {pattern}"
        );
    }
}

#[test]
fn in_another_time_zone_or_locale_nothing_is_told() {
    let world = World::new(json!([["id", "at"], [1, 45_293.5]]));
    let mut target = world.target.clone();
    target.conventions = Some(
        world
            .session
            .open(crate::support::world::ID)
            .unwrap()
            .conventions,
    );
    let effect = SheetEffect::Inspect {
        cells: vec![(1, 1)],
    };
    assert!(world.session.perform(&target, &effect).is_ok());
    for (name, value) in [("timeZone", "Asia/Tokyo"), ("locale", "de_DE")] {
        let mut properties = json!({});
        properties[name] = json!(value);
        world.person(json!({"batch": [{"updateSpreadsheetProperties": {"properties": properties, "fields": name}}]}));
        let failure = world.session.perform(&target, &effect).unwrap_err();
        assert_eq!(failure.reason.as_str(), "other_conventions", "{name}");
        target.conventions = Some(
            world
                .session
                .open(crate::support::world::ID)
                .unwrap()
                .conventions,
        );
        assert!(world.session.perform(&target, &effect).is_ok());
    }
}
