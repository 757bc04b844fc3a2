//! Every effect against a server that behaves as Google does.

mod support {
    pub mod world;
}

use engine::effect::{AnchoredRow, Class, ColumnTag, Deleted, Note, SheetEffect, SheetOutcome};
use engine::mapping;
use engine::value::Cell;
use google::governor::{self, Exhausted, Need};
use google::sent_by_this_thread;
use google::sheet::{Answered, Capabilities, Missing, Nulls};
use serde_json::{Value, json};
use support::world::{ID, World, delete, session, stamped, table, tag, text};

fn write(rows: &[(i32, &[(u32, Cell)])]) -> SheetEffect {
    let rows = rows.iter().map(|(anchor, cells)| AnchoredRow {
        anchor: *anchor,
        cells: cells.to_vec(),
    });
    SheetEffect::Write {
        rows: rows.collect(),
    }
}

fn written(outcome: SheetOutcome) -> Vec<(i32, Vec<(u32, Cell)>)> {
    match outcome {
        SheetOutcome::Written(written) => written,
        other => panic!("{other:?}"),
    }
}

fn insert(at: u32, rows: Vec<Vec<(u32, Cell)>>, stamp: i32) -> SheetEffect {
    SheetEffect::Insert {
        at,
        rows,
        stamp: stamped(stamp),
        tidy: vec![],
    }
}

#[test]
fn a_spreadsheet_is_opened_and_a_tab_added_once() {
    let world = World::new(table(2));
    let overview = world.session.open(ID).unwrap();
    assert_eq!(
        (overview.title.as_str(), overview.time_zone.as_str()),
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
    assert_eq!(failure.reason, "not_shared");
    assert!(
        failure
            .hint
            .contains(world.session.client().identity().email()),
        "{failure:?}"
    );
    world.control(
        &format!("spreadsheets/{ID}/share"),
        &json!({"role": "reader"}),
    );
    assert!(world.session.open(ID).is_ok());
    assert_eq!(
        world.perform(&tag(&[(1, 5)])).unwrap_err().reason,
        "not_shared"
    );
    assert_eq!(
        world
            .session
            .open("1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2xxxx")
            .unwrap_err()
            .reason,
        "not_found"
    );
    world.control("services", &json!({"service": "sheets", "enabled": false}));
    assert_eq!(world.session.open(ID).unwrap_err().reason, "api_disabled");
    world.control("services", &json!({"service": "sheets", "enabled": true}));
    let email = world.session.client().identity().email().to_owned();
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

fn row(key: &str, name: &str, sum: f64) -> Vec<Cell> {
    vec![text(key), text(name), Cell::Number(sum), Cell::Number(sum)]
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
    let effect = SheetEffect::Tag {
        rows: vec![],
        tidy: vec![1, 2, 3, 4],
    };
    world.perform(&effect).unwrap();
    assert_eq!(world.anchors(), 0);
    let past = world.perform(&tag(&[(500, 9)])).unwrap_err();
    assert_eq!(
        (past.class, past.reason.as_str()),
        (Class::RetryNow, "stale_position")
    );
}

#[test]
fn a_write_follows_its_row_and_touches_nothing_else() {
    let world = World::new(table(3));
    world.tag(&[(1, 1), (2, 2), (3, 3)]);
    world.person(json!({"insert_rows": {"at": 2, "count": 2, "values": [["new"]]}}));
    world.person(json!({"delete_rows": {"at": 6}}));
    world.person(json!({"move_rows": {"from": 4, "to": 2}}));
    let outcome = world.perform(&write(&[
        (1, &[(1, text("=1+1"))]),
        (2, &[(1, text("007"))]),
        (3, &[(1, text("x"))]),
    ]));
    let shown = |anchor, key: &str, name: &str| (anchor, vec![(0, text(key)), (1, text(name))]);
    assert_eq!(
        written(outcome.unwrap()),
        [shown(1, "k1", "=1+1"), shown(2, "k2", "007")]
    );
    assert_eq!(
        world.look()["formulas"],
        json!([
            ["id", "name", "sum", "formula"],
            ["k1", "=1+1", 2, "=1+1"],
            ["new"],
            [],
            ["k2", "007", 3, "=1+2"]
        ])
    );
    // A text that looks like a formula is one only where a person typed it.
    assert_eq!(world.look()["unformatted"][1][1], json!("=1+1"));
    let outcome = world.perform(&write(&[(
        2,
        &[
            (0, Cell::Empty),
            (1, Cell::Bool(true)),
            (5, Cell::Number(0.1)),
        ],
    )]));
    assert_eq!(
        written(outcome.unwrap())[0].1,
        [
            (0, Cell::Empty),
            (1, Cell::Bool(true)),
            (2, Cell::Number(3.0)),
            (3, Cell::Number(3.0)),
            (4, Cell::Empty),
            (5, Cell::Number(0.1))
        ]
    );
}

#[test]
fn a_write_works_however_the_service_treats_nulls_and_lost_rows() {
    for nulls in ["skip", "clear"] {
        for unmatched in ["ok", "400"] {
            let world = World::new(table(4));
            world.switch(
                json!({"data_filter_nulls": nulls, "data_filter_write_without_match": unmatched,
                "delete_metadata_without_match": unmatched}),
            );
            let known = world.session.probe(ID).unwrap();
            let missing = if unmatched == "ok" {
                Missing::Ignored
            } else {
                Missing::Refused
            };
            let expected = Capabilities {
                nulls: if nulls == "skip" {
                    Nulls::Skipped
                } else {
                    Nulls::Cleared
                },
                missing_anchor: missing,
                missing_metadata: missing,
                cells_in_answer: Answered::Yes,
                anchor_checks: Answered::Yes,
            };
            assert_eq!(known, expected);
            assert_eq!(
                (world.tabs(), world.metadata()),
                (vec!["Data".into(), "Other".into()], vec![])
            );
            world.tag(&[(1, 1), (2, 2), (3, 3)]);
            world.person(json!({"delete_rows": {"at": 3}}));
            let effect = write(&[
                (1, &[(1, text("one"))]),
                (2, &[(1, text("two"))]),
                (3, &[(0, text("K3"))]),
            ]);
            let outcome = written(world.perform(&effect).unwrap());
            let anchors: Vec<i32> = outcome.iter().map(|(anchor, _)| *anchor).collect();
            assert_eq!(anchors, [1, 3]);
            assert_eq!(outcome[0].1[..2], [(0, text("k1")), (1, text("one"))]);
            assert_eq!(
                world.formulas(),
                json!([
                    ["id", "name", "sum", "formula"],
                    ["k1", "one", 2, "=1+1"],
                    ["K3", "name 3", 4, "=1+3"],
                    ["k4", "name 4", 5, "=1+4"]
                ])
            );
            world
                .perform(&SheetEffect::Tag {
                    rows: vec![],
                    tidy: vec![1, 2, 3],
                })
                .unwrap();
            assert_eq!(world.anchors(), 0, "{nulls} {unmatched}");
        }
    }
}

#[test]
fn what_the_service_does_is_learnt_without_a_probe() {
    let world = World::new(table(3));
    world.switch(
        json!({"data_filter_write_without_match": "400", "delete_metadata_without_match": "400"}),
    );
    world.tag(&[(1, 1), (2, 2)]);
    world.person(json!({"delete_rows": {"at": 2}}));
    let outcome = world.perform(&write(&[(1, &[(1, text("x"))]), (2, &[(1, text("y"))])]));
    assert_eq!(written(outcome.unwrap()).len(), 1);
    let tidy = SheetEffect::Tag {
        rows: vec![support::world::tag_rows(&[(1, 9)]).remove(0)],
        tidy: vec![1, 2],
    };
    world.perform(&tidy).unwrap();
    let known = world.session.capabilities();
    assert_eq!(
        (known.missing_anchor, known.missing_metadata, known.nulls),
        (Missing::Refused, Missing::Refused, Nulls::Skipped)
    );
    world
        .perform(&SheetEffect::Tag {
            rows: vec![],
            tidy: vec![9],
        })
        .unwrap();
    assert_eq!(world.anchors(), 0);
}

#[test]
fn new_rows_are_inserted_and_never_twice() {
    let world = World::with(table(2), 3, 3, false);
    let rows = vec![
        vec![(0, text("k3")), (2, Cell::Number(7.0))],
        vec![(0, text("=k4")), (1, Cell::Bool(false)), (2, Cell::Empty)],
    ];
    // At the very end of the grid.
    let outcome = world.perform(&insert(3, rows.clone(), 100)).unwrap();
    let SheetOutcome::Inserted(shown) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        shown,
        [
            vec![text("k3"), Cell::Empty, Cell::Number(7.0)],
            vec![text("=k4"), Cell::Bool(false)]
        ]
    );
    let again = world.perform(&insert(3, rows.clone(), 100)).unwrap();
    assert!(
        matches!(again, SheetOutcome::Stamped { ours: true }),
        "{again:?}"
    );
    let mut other = insert(1, rows, 100);
    if let SheetEffect::Insert { stamp, .. } = &mut other {
        stamp.value = "somebody else".into();
    }
    let again = world.perform(&other).unwrap();
    assert!(
        matches!(again, SheetOutcome::Stamped { ours: false }),
        "{again:?}"
    );
    world
        .perform(&insert(1, vec![vec![(0, text("k0"))]], 101))
        .unwrap();
    assert_eq!(world.keys(), ["id", "k0", "k1", "k2", "k3", "=k4"]);
    assert_eq!(world.look_at("77")["formulas"], json!([["untouched"]]));
}

#[test]
fn a_batch_whose_answer_was_lost_can_be_closed() {
    let world = World::new(table(1));
    let rows = vec![vec![(0, text("k2"))]];
    world.session.open(ID).unwrap();
    for (step, (when, applied)) in [("after_apply", true), ("before_apply", false)]
        .into_iter()
        .enumerate()
    {
        let stamp = 100 + step as i32;
        world.fault("spreadsheets.batchUpdate", 0, json!({"drop": when}));
        let failure = world.perform(&insert(2, rows.clone(), stamp)).unwrap_err();
        assert!(failure.may_have_applied, "{failure:?}");
        let claim = world
            .perform(&SheetEffect::Claim {
                stamp: stamped(stamp),
            })
            .unwrap();
        match applied {
            true => assert!(
                matches!(claim, SheetOutcome::Stamped { ours: true }),
                "{claim:?}"
            ),
            false => assert!(matches!(claim, SheetOutcome::Done), "{claim:?}"),
        }
        // Whether it comes late or is sent again: it can do nothing any more.
        let late = world.perform(&insert(2, rows.clone(), stamp)).unwrap();
        assert!(
            matches!(late, SheetOutcome::Stamped { ours: true }),
            "{late:?}"
        );
    }
    assert_eq!(world.keys(), ["id", "k1", "k2"]);
}

#[test]
fn checkboxes_stand_in_new_rows_only() {
    let mut world = World::new(table(1));
    world.target.checkbox_columns = vec![1];
    world
        .perform(&insert(
            2,
            vec![vec![(0, text("k2")), (1, Cell::Bool(true))]],
            100,
        ))
        .unwrap();
    assert_eq!(world.read().rows.len(), 3);
    assert_eq!(world.look()["unformatted"][2], json!(["k2", true]));
}

fn deleted(outcome: SheetOutcome) -> Deleted {
    match outcome {
        SheetOutcome::Deleted(deleted) => deleted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_are_deleted_wherever_they_stand() {
    let world = World::new(table(6));
    world.tag(&[(2, 1), (3, 2), (5, 3), (6, 4)]);
    world.person(json!({"move_rows": {"from": 7, "to": 2}}));
    world.person(json!({"delete_rows": {"at": 6}}));
    assert_eq!(world.keys(), ["id", "k6", "k1", "k2", "k3", "k5"]);
    let gone = deleted(
        world
            .perform(&delete(&[(2, 1), (3, 2), (4, 9), (6, 4)], 100))
            .unwrap(),
    );
    assert_eq!(
        (gone.gone.as_slice(), gone.suspect),
        (&[1, 2, 9, 4][..], false)
    );
    assert_eq!(world.keys(), ["id", "k1", "k5"]);
    assert_eq!(world.anchors(), 1);
    let again = world.perform(&delete(&[(5, 3)], 100)).unwrap();
    assert!(matches!(again, SheetOutcome::Stamped { ours: true }));
    assert_eq!(world.keys(), ["id", "k1", "k5"]);
}

#[test]
fn where_anchors_cannot_be_checked_a_deletion_is_suspect() {
    let world = World::new(table(4));
    world.session.set_capabilities(Capabilities {
        anchor_checks: Answered::No,
        ..Capabilities::default()
    });
    world.tag(&[(2, 2), (3, 3)]);
    world.person(json!({"insert_rows": {"at": 1}}));
    let done = deleted(world.perform(&delete(&[(2, 2), (3, 3)], 100)).unwrap());
    assert!(done.suspect);
    assert_eq!(world.keys(), ["", "id", "k1", "k4"]);
}

#[test]
fn the_last_rows_of_a_tab_can_go() {
    let world = World::with(table(2), 3, 3, false);
    world.tag(&[(1, 1), (2, 2)]);
    deleted(world.perform(&delete(&[(1, 1), (2, 2)], 100)).unwrap());
    assert_eq!(world.keys(), ["id"]);
    world.tag(&[(0, 3)]);
    deleted(world.perform(&delete(&[(0, 3)], 101)).unwrap());
    assert_eq!(world.keys(), Vec::<String>::new());
}

#[test]
fn a_person_who_moves_rows_in_the_same_moment_costs_no_other_row() {
    let edits = [
        json!({"delete_rows": {"at": 3}}),
        json!({"delete_rows": {"at": 5}}),
        json!({"delete_rows": {"at": 2}}),
        json!({"delete_rows": {"at": 7}}),
        json!({"delete_rows": {"at": 2, "count": 3}}),
        json!({"delete_rows": {"at": 50}}),
        json!({"insert_rows": {"at": 2, "values": [["new"]]}}),
        json!({"insert_rows": {"at": 4, "values": [["new"]]}}),
        json!({"insert_rows": {"at": 9, "values": [["new"]]}}),
        json!({"move_rows": {"from": 3, "to": 7}}),
        json!({"move_rows": {"from": 7, "to": 2}}),
        json!({"sort": {"column": 1, "descending": true}}),
    ];
    let mut met = 0;
    for unmatched in ["ok", "400"] {
        let world = World::new(table(6));
        world.switch(json!({"delete_metadata_without_match": unmatched}));
        for edit in &edits {
            world.renew(&table(6));
            world.person(edit.clone());
            let mut expected = world.keys();
            expected.retain(|key| key != "k2" && key != "k4");
            // The first structural batch places the sentinel, the second deletes.
            for (kind, after) in [
                ("spreadsheets.batchUpdate", 0),
                ("developerMetadata.search", 0),
                ("spreadsheets.batchUpdate", 1),
            ] {
                world.renew(&table(6));
                world.tag(&[(2, 1), (4, 2)]);
                world.fault(kind, after, json!({"edit_before": edit, "sheet": 0}));
                let outcome = world.perform(&delete(&[(2, 1), (4, 2)], 100)).unwrap();
                let shown = format!("{edit} {kind} {after}: {outcome:?}");
                assert!(!deleted(outcome).suspect, "{shown}");
                met += usize::from(
                    world
                        .server
                        .app
                        .plan()
                        .list()
                        .iter()
                        .all(|fault| fault.times == 0),
                );
                assert_eq!(world.keys(), expected, "{shown}");
            }
        }
    }
    assert_eq!(met, edits.len() * 6);
}

#[test]
fn a_header_makes_room_and_formats_its_columns() {
    let world = World::with(json!([]), 1, 2, false);
    let effect = SheetEffect::WriteHeader {
        row: 0,
        cells: vec![(0, "id".into()), (1, "=name".into()), (4, "when".into())],
        kinds: vec![
            (0, mapping::Kind::Text),
            (1, mapping::Kind::Integer),
            (4, mapping::Kind::Timestamp),
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

fn notes(world: &World) -> Value {
    world.look()["notes"].clone()
}

#[test]
fn notes_are_ours_or_left_alone() {
    let world = World::new(table(3));
    world.person(json!({"note": {"cell": "B2", "note": "mind this"}}));
    world.tag(&[(1, 1), (2, 2)]);
    world.person(json!({"insert_rows": {"at": 1}}));
    let note = |anchor, text: Option<&str>| Note {
        anchor,
        column: 1,
        text: text.map(str::to_owned),
    };
    let both = |first: Option<&str>, second: Option<&str>| SheetEffect::Annotate {
        notes: vec![note(1, first), note(2, second), note(9, first)],
    };
    let persons = json!({"row": 2, "column": 1, "note": "mind this"});
    world.perform(&both(Some("bad"), Some("bad"))).unwrap();
    assert_eq!(
        notes(&world),
        json!([persons, {"row": 3, "column": 1, "note": "sheet_sync: bad"}])
    );
    world.perform(&both(Some("worse"), Some("worse"))).unwrap();
    assert_eq!(
        notes(&world),
        json!([persons, {"row": 3, "column": 1, "note": "sheet_sync: worse"}])
    );
    let before = sent_by_this_thread().writes;
    world.perform(&both(Some("worse"), Some("worse"))).unwrap();
    assert_eq!(sent_by_this_thread().writes, before, "nothing to change");
    world.perform(&both(None, None)).unwrap();
    assert_eq!(notes(&world), json!([persons]));
}

#[test]
fn a_note_does_not_land_on_another_row() {
    for edit in [
        json!({"delete_rows": {"at": 2}}),
        json!({"insert_rows": {"at": 2}}),
        json!({"delete_rows": {"at": 3}}),
    ] {
        for after in 0..3 {
            let world = World::new(table(4));
            world.tag(&[(2, 2)]);
            world.fault(
                "batchUpdate",
                after,
                json!({"edit_before": edit, "sheet": 0}),
            );
            let notes = vec![Note {
                anchor: 2,
                column: 0,
                text: Some("x".into()),
            }];
            world.perform(&SheetEffect::Annotate { notes }).unwrap();
            let look = world.look();
            for note in look["notes"].as_array().unwrap() {
                assert_eq!(
                    look["formulas"][note["row"].as_u64().unwrap() as usize][0],
                    "k2",
                    "{edit}"
                );
            }
        }
    }
}

#[test]
fn tidying_takes_our_anchors_and_nothing_else() {
    let world = World::new(table(3));
    world.tag(&[(1, 1), (2, 2), (3, 3)]);
    world
        .perform(&SheetEffect::Claim {
            stamp: stamped(100),
        })
        .unwrap();
    let mut other = world.target.clone();
    other.sheet_id = 77;
    world.session.perform(&other, &tag(&[(0, 50)])).unwrap();
    let foreign = json!({"requests": [{"createDeveloperMetadata": {"developerMetadata": {"metadataId": 60, "metadataKey": "~", "metadataValue": "theirs",
        "visibility": "DOCUMENT", "location": {"dimensionRange": {"sheetId": 0, "dimension": "ROWS", "startIndex": 1, "endIndex": 2}}}}}]});
    post(&world, &foreign);
    let old = json!({"requests": [{"createDeveloperMetadata": {"developerMetadata": {"metadataId": 70, "metadataKey": "sheet_sync",
        "metadataValue": "cycle@1000000000", "visibility": "DOCUMENT", "location": {"spreadsheet": true}}}}]});
    post(&world, &old);
    world.perform(&SheetEffect::TidyAll).unwrap();
    let mut left: Vec<i64> = world.metadata().iter().map(|(id, _)| *id).collect();
    left.sort_unstable();
    assert_eq!(left, [50, 60, 100]);
    world.perform(&SheetEffect::TidyAll).unwrap();
}

/// What another tool sends.
fn post(world: &World, body: &Value) {
    post_as(world, &world.server.key_json, body);
}

fn post_as(world: &World, key: &str, body: &Value) {
    let key = google::ServiceAccountKey::parse(key).unwrap();
    let http = google::transport::Http::new(std::time::Duration::from_secs(5), 1 << 20);
    let token = google::Identity::new(key).token(&http).unwrap();
    let url = format!("{}/v4/spreadsheets/{ID}:batchUpdate", world.server.url);
    let body = body.to_string();
    let answer = http
        .post(
            &url,
            Some(&token),
            google::transport::Content::Json(body.as_bytes()),
        )
        .unwrap();
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
}

#[test]
fn a_protected_range_is_a_matter_of_its_rows() {
    let world = World::new(table(3));
    let owner = "owner@their-project.iam.gserviceaccount.com";
    let key = world.control("accounts", &json!({"email": owner}));
    world.control(
        &format!("spreadsheets/{ID}/share"),
        &json!({"email": owner}),
    );
    let range = json!({"sheetId": 0, "startRowIndex": 2, "endRowIndex": 3});
    let protect = json!({"requests": [{"addProtectedRange": {"protectedRange": {"range": range, "editors": {"users": [owner]}}}}]});
    post_as(&world, &key, &protect);
    world.tag(&[(1, 1), (2, 2), (3, 3)]);
    let both = write(&[(1, &[(1, text("x"))]), (2, &[(1, text("y"))])]);
    let failure = world.perform(&both).unwrap_err();
    assert_eq!(
        (
            failure.reason.as_str(),
            failure.class,
            failure.may_have_applied
        ),
        ("protected", Class::NeedsHuman, false)
    );
    assert_eq!(world.look()["unformatted"][1][1], json!("name 1"));
    world.perform(&write(&[(1, &[(1, text("x"))])])).unwrap();
    assert_eq!(
        world.perform(&delete(&[(2, 2)], 100)).unwrap_err().reason,
        "protected"
    );
    deleted(world.perform(&delete(&[(3, 3)], 101)).unwrap());
    assert_eq!(world.keys(), ["id", "k1", "k2"]);
}

#[test]
fn an_effect_takes_the_requests_it_says() {
    for (nulls, unmatched) in [("skip", "ok"), ("clear", "400")] {
        let world = World::new(table(5));
        world.switch(
            json!({"data_filter_nulls": nulls, "data_filter_write_without_match": unmatched,
            "delete_metadata_without_match": unmatched}),
        );
        world.session.probe(ID).unwrap();
        let effects = [
            SheetEffect::Read,
            tag(&[(1, 1), (2, 2)]),
            write(&[(1, &[(1, text("x"))])]),
            SheetEffect::Annotate {
                notes: vec![Note {
                    anchor: 1,
                    column: 0,
                    text: Some("x".into()),
                }],
            },
            delete(&[(2, 2)], 100),
            insert(2, vec![vec![(0, text("x"))]], 101),
            SheetEffect::WriteHeader {
                row: 0,
                cells: vec![(7, "h".into())],
                kinds: vec![],
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
        for effect in effects {
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
