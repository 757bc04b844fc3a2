//! Effects that read, tag and head a tab, what they cost, and what keeps us out, against a server
//! that behaves as Google does.

use crate::support::world::{
    ID, World, delete, insert, post, row, sentinel, session, stamped, table, tag, text, tidy, write,
};
use engine::effect::{Class, ColumnFormat, ColumnTag, Give, Note, SheetEffect, SheetOutcome};
use engine::mapping;
use engine::value::Cell;
use google::governor::{self, Exhausted, Need};
use google::sent_by_this_thread;
use google::sheet::{Answered, Capabilities};
use serde_json::json;

#[test]
fn a_spreadsheet_is_opened_and_a_tab_added_once() {
    let world = World::new(table(2));
    let overview = world.session.open(ID).unwrap();
    assert_eq!(
        (
            overview.title.as_str(),
            overview.conventions.time_zone.as_str()
        ),
        ("Book", "Etc/GMT")
    );
    let tabs: Vec<_> = overview
        .tabs
        .iter()
        .map(|tab| (tab.sheet_id, tab.title.as_str(), tab.rows, tab.columns))
        .collect();
    assert_eq!(tabs, [(0, "Data", 50, 8), (77, "Other", 1000, 26)]);
    let added = world.session.add_tab(ID, "products").unwrap();
    assert_eq!(world.session.add_tab(ID, "Products").unwrap(), added);
    assert_eq!(world.tabs(), ["Data", "Other", "products"]);
    assert!(!world.session.is_in_bin(ID).unwrap());
    world.control(&format!("spreadsheets/{ID}/trash"), &json!({}));
    assert!(world.session.is_in_bin(ID).unwrap());
}

#[test]
fn what_keeps_us_out_is_said() {
    let world = World::new(table(1));
    world.control(
        &format!("spreadsheets/{ID}/share"),
        &json!({"shared": false}),
    );
    let failure = world.session.open(ID).unwrap_err();
    assert_eq!(failure.reason.as_str(), "not_shared");
    assert!(
        failure
            .hint
            .contains(&world.session.client().identity().who()),
        "{failure:?}"
    );
    world.control(
        &format!("spreadsheets/{ID}/share"),
        &json!({"role": "reader"}),
    );
    assert!(world.session.open(ID).is_ok());
    assert_eq!(
        world.perform(&tag(&[(1, 5)])).unwrap_err().reason.as_str(),
        "not_shared"
    );
    assert_eq!(
        world
            .session
            .open("1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2xxxx")
            .unwrap_err()
            .reason
            .as_str(),
        "not_found"
    );
    world.control("services", &json!({"service": "sheets", "enabled": false}));
    assert_eq!(
        world.session.open(ID).unwrap_err().reason.as_str(),
        "api_disabled"
    );
    world.control("services", &json!({"service": "sheets", "enabled": true}));
    let email = world.session.client().identity().who();
    world.control(&format!("accounts/{email}/key"), &json!({"revoked": true}));
    let failure = session(&world.server).open(ID).unwrap_err();
    assert_eq!(
        (failure.reason.as_str(), failure.class),
        ("key_refused", Class::NeedsHuman)
    );
}

#[test]
fn a_read_is_one_request_and_keeps_googles_bytes() {
    let world = World::new(json!([
        ["id", "n"],
        ["a", 1.5, true],
        [],
        ["b", "", "=1/0"]
    ]));
    let before = sent_by_this_thread();
    let snapshot = world.read();
    assert_eq!((snapshot.grid_rows, snapshot.grid_columns), (50, 8));
    let rows: Vec<&str> = snapshot.rows.iter().map(|row| row.get()).collect();
    assert_eq!(rows[..3], [r#"["id","n"]"#, r#"["a",1.5,true]"#, "[]"]);
    assert_eq!(rows.len(), 4);
    assert!(snapshot.sent_at <= snapshot.read_at);
    assert_eq!(sent_by_this_thread().beyond(before), Need::READ);
}

#[test]
fn a_renamed_tab_is_followed_and_a_removed_one_is_reported() {
    let world = World::new(table(2));
    world.read();
    world.person(json!({"rename_tab": "It's \"new\"!"}));
    assert_eq!(world.tag(&[(1, 5)])[0].1[0], text("k1"));
    assert_eq!(world.read().rows.len(), 3);
    world.person(json!({"rename_tab": "Again"}));
    let inserted = world
        .perform(&insert(3, vec![vec![(0, text("k3"))]], 100))
        .unwrap();
    assert!(
        matches!(&inserted, SheetOutcome::Inserted(rows) if rows[0] == [text("k3")]),
        "{inserted:?}"
    );
    assert_eq!(world.tag(&[(2, 6)])[0].1[0], text("k2"));
    world.person(json!({"delete_tab": true}));
    for effect in [
        SheetEffect::Read,
        tag(&[(1, 7)]),
        insert(1, vec![vec![(0, text("x"))]], 8),
    ] {
        let failure = world.perform(&effect).unwrap_err();
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            ("tab_gone", Class::NeedsHuman),
            "{effect:?}"
        );
    }
}

#[test]
fn a_tab_that_another_took_the_title_of_is_not_mistaken() {
    let world = World::new(table(2));
    world.read();
    world.person(json!({"rename_tab": "Old"}));
    world.control(
        "edit",
        &json!({"spreadsheetId": ID, "sheet": "77", "edit": {"rename_tab": "Data"}}),
    );
    assert_eq!(
        world.tag(&[(1, 5), (2, 6)]),
        [(5, row("k1", "name 1", 2.0)), (6, row("k2", "name 2", 3.0))]
    );
}

#[test]
fn tagged_rows_come_back_as_they_are() {
    let world = World::new(table(40));
    let tagged = world.tag(&[(30, 3), (1, 1), (2, 2), (45, 4)]);
    assert_eq!(
        tagged,
        [
            (3, row("k30", "name 30", 31.0)),
            (1, row("k1", "name 1", 2.0)),
            (2, row("k2", "name 2", 3.0)),
            (4, vec![])
        ]
    );
    // The same once more, as after a lost answer.
    assert_eq!(
        world.tag(&[(1, 1), (30, 3)])[1],
        (3, row("k30", "name 30", 31.0))
    );
    world.perform(&tidy(&[1, 2, 3, 4])).unwrap();
    assert_eq!(world.anchors(), 2, "sentinels");
    let past = world.perform(&tag(&[(500, 9)])).unwrap_err();
    assert_eq!(
        (past.class, past.reason.as_str()),
        (Class::RetryNow, "stale_position")
    );
}

#[test]
fn a_header_makes_room_and_formats_its_columns() {
    let world = World::with(json!([]), 1, 2, false);
    let effect = SheetEffect::WriteHeader {
        row: 0,
        cells: vec![(0, "id".into()), (1, "=name".into()), (4, "when".into())],
        formats: vec![
            format(0, mapping::Kind::Text, Give::First),
            format(1, mapping::Kind::Integer, Give::First),
            format(4, mapping::Kind::Timestamp, Give::First),
        ],
        stamp: stamped(100),
    };
    assert!(matches!(
        world.perform(&effect).unwrap(),
        SheetOutcome::Done
    ));
    assert!(matches!(
        world.perform(&effect).unwrap(),
        SheetOutcome::Stamped { ours: true }
    ));
    let look = world.look();
    assert_eq!(look["formulas"], json!([["id", "=name", "", "", "when"]]));
    assert_eq!(
        (&look["rowCount"], &look["columnCount"]),
        (&json!(2), &json!(5))
    );
    world
        .perform(&insert(
            1,
            vec![vec![(0, text("a")), (4, Cell::Number(46_000.5))]],
            101,
        ))
        .unwrap();
    // What a person types into a text column stays as typed, and a serial number shows as a date.
    world.person(json!({"set": {"cell": "A2", "value": "007"}}));
    let look = world.look();
    assert_eq!(look["unformatted"][1][0], json!("007"));
    assert_eq!(look["formatted"][1][4], json!("2025-12-09 12:00:00"));
}

fn format(at: u32, kind: mapping::Kind, give: Give) -> ColumnFormat {
    ColumnFormat {
        at,
        column: at as usize,
        kind,
        give,
    }
}

fn formatting(formats: Vec<ColumnFormat>, stamp: i32) -> SheetEffect {
    SheetEffect::WriteHeader {
        row: 0,
        cells: Vec::new(),
        formats,
        stamp: stamped(stamp),
    }
}

#[test]
fn a_wished_format_of_intervals_takes_durations() {
    let of_type = |pattern: Option<&str>| {
        let mut world = World::with(json!([["id", "spent"], ["a", ""]]), 3, 2, false);
        if let Some(pattern) = pattern {
            world.target.number_formats.insert(1, pattern.into());
        }
        let intervals = vec![format(1, mapping::Kind::Interval, Give::Anew)];
        world.perform(&formatting(intervals, 200)).unwrap();
        world.person(json!({"set": {"cell": "B2", "value": "36:00:00"}}));
        world.look()["formulas"][1][1].clone()
    };
    assert_eq!(of_type(None), "36:00:00");
    assert_eq!(of_type(Some("@")), "36:00:00");
    assert_eq!(of_type(Some("[h]:mm:ss")), 1.5);
    assert_eq!(of_type(Some("h:mm")), 1.5);
}

#[test]
fn a_column_of_dates_is_formatted_where_nobody_has_done_so() {
    let serials = json!([["id", "made"], ["a", 45000], ["b", 45001], ["c", 45002]]);
    let mut world = World::with(serials, 6, 3, false);
    let theirs =
        json!({"userEnteredFormat": {"numberFormat": {"type": "DATE", "pattern": "dd.mm.yy"}}});
    let by_menu = json!([{"repeatCell": {
        "range": {"sheetId": world.target.sheet_id, "startRowIndex": 2, "endRowIndex": 3, "startColumnIndex": 1, "endColumnIndex": 2},
        "cell": theirs, "fields": "userEnteredFormat.numberFormat"}}]);
    world.person(json!({"batch": by_menu}));
    let shown = |world: &World| -> Vec<serde_json::Value> {
        (1..4)
            .map(|row| world.look()["formatted"][row][1].clone())
            .collect()
    };
    let dates = vec![format(1, mapping::Kind::Date, Give::WhereNone)];
    world.perform(&formatting(dates.clone(), 200)).unwrap();
    // A bare number keeps its looks: with a format it would pass for a date that nobody typed.
    assert_eq!(shown(&world), ["45000", "16.03.23", "45002"]);
    let before = sent_by_this_thread().writes;
    world.perform(&formatting(dates, 201)).unwrap();
    assert_eq!(sent_by_this_thread().writes, before, "nothing to do");
    // What the owner wishes counts for the whole column.
    world.target.number_formats.insert(1, "d.m.yyyy".into());
    let anew = vec![format(1, mapping::Kind::Date, Give::Anew)];
    world.perform(&formatting(anew, 202)).unwrap();
    assert_eq!(shown(&world), ["15.3.2023", "16.3.2023", "17.3.2023"]);
}

fn with_a_bare_row(mut effect: SheetEffect) -> SheetEffect {
    if let SheetEffect::Tag { rows, .. } = &mut effect {
        rows[1].bare = true;
    }
    effect
}

fn only_putting(mut effect: SheetEffect) -> SheetEffect {
    if let SheetEffect::Tag { read, .. } = &mut effect {
        *read = false;
    }
    effect
}

#[test]
fn an_effect_takes_no_more_requests_than_it_says() {
    for (unmatched, cells, anchor_checks) in [
        ("ok", true, Answered::Yes),
        ("400", true, Answered::Yes),
        ("ok", false, Answered::Yes),
        ("400", false, Answered::Yes),
        ("ok", true, Answered::No),
        ("400", false, Answered::No),
    ] {
        let world = World::new(table(5));
        world.switch(
            json!({"delete_metadata_without_match": unmatched, "cells_in_batch_answers": cells}),
        );
        let found = world.session.probe(ID).unwrap();
        world.session.set_capabilities(Capabilities {
            anchor_checks,
            ..found
        });
        let effects = [
            SheetEffect::Read,
            SheetEffect::Formulas,
            SheetEffect::Notes,
            with_a_bare_row(tag(&[(1, 3), (2, 4), (3, 5)])),
            only_putting(tag(&[(3, 6)])),
            tag(&[(1, 1), (2, 2)]),
            write(&[(1, 1, &[(1, text("x"))])], 99),
            SheetEffect::Annotate {
                notes: vec![Note {
                    anchor: 1,
                    column: 0,
                    text: Some("x".into()),
                }],
                sentinel: sentinel().anchor,
            },
            delete(&[(2, 2)], 100),
            insert(2, vec![vec![(0, text("x"))]], 101),
            SheetEffect::WriteHeader {
                row: 0,
                cells: vec![(7, "h".into())],
                formats: vec![format(1, mapping::Kind::Date, Give::WhereNone)],
                stamp: stamped(102),
            },
            SheetEffect::Claim {
                stamp: stamped(103),
            },
            SheetEffect::TagColumns {
                header: 0,
                tags: vec![ColumnTag {
                    name: "id".into(),
                    column: 0,
                    from: None,
                }],
            },
            SheetEffect::FindColumns {
                names: vec!["id".into()],
            },
            SheetEffect::TidyAll,
        ];
        for mut effect in effects {
            if let SheetEffect::Write {
                sentinel: known, ..
            }
            | SheetEffect::Delete {
                sentinel: known, ..
            } = &mut effect
            {
                *known = sentinel();
            }
            let need = world.session.need(&world.target, &effect);
            let before = sent_by_this_thread();
            world.perform(&effect).unwrap();
            let took = sent_by_this_thread().beyond(before);
            assert!(
                took.reads <= need.reads && took.writes <= need.writes,
                "{effect:?} took {took:?} instead of {need:?}"
            );
            assert!(took.writes + took.reads > 0);
        }
    }
}

/// Other tools put metadata on a tab, too, and its room is for all of them.
#[test]
fn a_tab_without_room_for_metadata_is_told_and_nothing_is_written() {
    let world = World::new(table(2));
    world.tag(&[(1, 1)]);
    let filled = json!({"requests": [{"createDeveloperMetadata": {"developerMetadata": {
        "metadataId": 60, "metadataKey": "theirs", "metadataValue": "x".repeat(29_985),
        "visibility": "DOCUMENT", "location": {"sheetId": 0}}}}]});
    post(&world, &filled);
    let tags: Vec<(u32, i32)> = (1..3)
        .chain(3..30)
        .map(|at| (at % 2 + 1, at as i32 + 9))
        .collect();
    for effect in [write(&[(1, 1, &[(1, text("x"))])], 99), tag(&tags)] {
        let failure = world.perform(&effect).unwrap_err();
        assert_eq!(
            (failure.class, failure.reason.as_str()),
            (Class::RetryLater, "metadata_full"),
            "{failure:?}"
        );
        assert!(!failure.may_have_applied);
    }
    assert_eq!(world.read().rows[1].get(), r#"["k1","name 1",2,2]"#);
}

#[test]
fn googles_quota_is_recognised() {
    let world = World::with(table(1), 50, 8, true);
    let failure = (0..100)
        .find_map(|_| world.perform(&SheetEffect::Read).err())
        .unwrap();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (Class::RetryLater, "quota")
    );
    assert!(failure.retry_after_ms.is_some_and(|wait| wait > 60_000) && !failure.may_have_applied);
    assert_eq!(
        governor::exhausted(&failure),
        Some((governor::Kind::Read, Exhausted::Account)),
        "{failure:?}"
    );
}
