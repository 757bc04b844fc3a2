//! Writing cells: the guard, the image, and what is left behind.

use crate::support::world::{
    ID, World, delete, deleted, images as support_images, post, post_as, row, session, table, tag,
    text, tidy, write, written,
};
use engine::effect::{Class, Image, Images, Look, SheetEffect, SheetOutcome, WrittenRow};
use engine::value::Cell;
use google::sent_by_this_thread;
use google::sheet::{Answered, Capabilities, IMAGES_TITLE, Missing};
use serde_json::json;

fn images_tab(world: &World) -> Option<String> {
    let tabs = world.tabs();
    tabs.into_iter()
        .find(|title| title.starts_with(IMAGES_TITLE))
}

fn kept(world: &World) -> Vec<Image> {
    match world.perform(&SheetEffect::Images).unwrap() {
        SheetOutcome::Images { images, .. } => images,
        other => panic!("{other:?}"),
    }
}

fn requests(world: &World, effect: &SheetEffect) -> (u32, u32) {
    let before = sent_by_this_thread();
    world.perform(effect).unwrap();
    let took = sent_by_this_thread().beyond(before);
    (took.reads, took.writes)
}

#[test]
fn a_write_follows_its_row_and_touches_nothing_else() {
    let world = World::new(table(3));
    world.tag(&[(1, 1), (2, 2), (3, 3)]);
    world.person(json!({"insert_rows": {"at": 2, "count": 2, "values": [["new"]]}}));
    world.person(json!({"delete_rows": {"at": 6}}));
    world.person(json!({"move_rows": {"from": 4, "to": 2}}));
    let outcome = world.perform(&write(
        &[
            (1, 1, &[(1, text("=1+1"))]),
            (2, 2, &[(1, text("007"))]),
            (3, 3, &[(1, text("x"))]),
        ],
        100,
    ));
    let expected = |anchor, at, number: f64, name: &str| {
        let key = format!("k{anchor}");
        let before = row(&key, &format!("name {anchor}"), number);
        WrittenRow {
            anchor,
            row: at,
            stood: true,
            before: Some(before[..3].to_vec()),
            after: row(&key, name, number)[..3].to_vec(),
        }
    };
    assert_eq!(
        written(outcome.unwrap()),
        [expected(1, 1, 2.0, "=1+1"), expected(2, 4, 3.0, "007")]
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
    assert_eq!(world.anchors(), 1, "only the sentinel is left");
}

/// The one change that no check of places notices, because the sentinel is where it was: the answer
/// tells it.
#[test]
fn a_row_in_the_place_of_a_deleted_one_is_told_from_it() {
    let world = World::new(table(3));
    world.tag(&[(1, 1), (2, 2), (3, 3)]);
    world.person(json!({"delete_rows": {"at": 3}}));
    world.person(json!({"insert_rows": {"at": 3, "count": 1, "values": [["new", "kept"]]}}));
    let answer = world.perform(&write(
        &[(1, 1, &[(1, text("x"))]), (2, 2, &[(1, text("y"))])],
        100,
    ));
    let rows = written(answer.unwrap());
    let stood = rows.iter().map(|row| (row.anchor, row.row, row.stood));
    assert_eq!(stood.collect::<Vec<_>>(), [(1, 1, true), (2, 2, false)]);
    assert_eq!(
        rows[1].before.as_deref(),
        Some(&[text("new"), text("kept")][..])
    );
}

#[test]
fn one_write_is_one_request() {
    let world = World::new(table(3));
    world.session.open(ID).unwrap();
    assert_eq!(requests(&world, &tag(&[(1, 1)])), (0, 1));
    // The first one of all makes the tab of images.
    let first = write(&[(1, 1, &[(1, text("x"))])], 100);
    assert_eq!(requests(&world, &first), (0, 2));
    assert_eq!(requests(&world, &tag(&[(1, 2), (2, 3)])), (0, 1));
    let second = write(
        &[(1, 2, &[(1, text("y"))]), (2, 3, &[(0, Cell::Empty)])],
        101,
    );
    assert_eq!(requests(&world, &second), (0, 1));
    assert_eq!(requests(&world, &tag(&[(1, 4)])), (0, 1));
    assert_eq!(requests(&world, &delete(&[(1, 4)], 102)), (0, 1));
}

#[test]
fn an_edit_after_tagging_is_seen_in_the_image() {
    let world = World::new(table(3));
    world.tag(&[(1, 1), (2, 2), (3, 3)]);
    let typed = json!({"set": {"cell": "B2", "value": "typed"}});
    world.fault(
        "spreadsheets.batchUpdate",
        1,
        json!({"edit_before": typed, "sheet": 0}),
    );
    let rows = written(
        world
            .perform(&write(
                &[
                    (1, 1, &[(1, text("ours"))]),
                    (2, 2, &[(1, text("ours"))]),
                    (3, 3, &[(2, Cell::Bool(true))]),
                ],
                100,
            ))
            .unwrap(),
    );
    let before = |at: usize| rows[at].before.clone().unwrap();
    assert_eq!(before(0), row("k1", "typed", 2.0)[..3]);
    assert_eq!(before(1), row("k2", "name 2", 3.0)[..3]);
    // Whoever never saw this answer finds the same.
    let kept = kept(&world);
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[0].before, row("k1", "typed", 2.0)[..3]);
    assert_eq!(kept[0].after, row("k1", "ours", 2.0)[..3]);
    assert_eq!(
        (kept[2].stamp.as_str(), kept[2].layout.as_slice()),
        ("cycle@100", &[0, 1, 2][..])
    );
    assert_eq!(
        kept[2].after,
        [text("k3"), text("name 3"), Cell::Bool(true)]
    );
}

#[test]
fn a_deleted_row_leaves_its_whole_image() {
    let world = World::new(table(3));
    world.tag(&[(1, 1), (3, 3)]);
    let gone = deleted(world.perform(&delete(&[(1, 1), (3, 3)], 100)).unwrap());
    let mut before = gone.before;
    before.sort_by_key(|(anchor, _)| *anchor);
    assert_eq!(
        before,
        [(1, row("k1", "name 1", 2.0)), (3, row("k3", "name 3", 4.0))]
    );
    let kept = kept(&world);
    assert_eq!(kept[1].before, row("k3", "name 3", 4.0));
    assert_eq!(kept[1].after, []);
}

/// The same write, with anchors that stay.
fn keeping(effect: SheetEffect) -> SheetEffect {
    match effect {
        SheetEffect::Write {
            rows,
            sentinel,
            images,
            stamp,
            ..
        } => SheetEffect::Write {
            rows,
            keeps: true,
            sentinel,
            images,
            stamp,
        },
        other => other,
    }
}

fn look(world: &World, anchors: &[i32]) -> Look {
    let anchors = anchors.to_vec();
    match world
        .perform(&SheetEffect::Look { header: 0, anchors })
        .unwrap()
    {
        SheetOutcome::Seen(look) => look,
        other => panic!("{other:?}"),
    }
}

#[test]
fn anchors_that_stay_are_named_in_the_images_and_lead_back_to_their_rows() {
    let world = World::new(table(3));
    world.tag(&[(1, 11), (3, 13)]);
    let first = write(
        &[(1, 11, &[(1, text("x"))]), (3, 13, &[(1, text("y"))])],
        100,
    );
    world.perform(&keeping(first)).unwrap();
    let named: Vec<Option<i32>> = kept(&world).iter().map(|image| image.anchor).collect();
    assert_eq!(named, [Some(11), Some(13)]);

    // A copy of the row stands where it stood, and the row somewhere else.
    world.person(json!({"insert_rows": {"at": 2, "count": 1, "values": [["k1", "x", 1]]}}));
    world.person(json!({"delete_rows": {"at": 5}}));
    let seen = look(&world, &[11, 13, 99]);
    assert_eq!(seen.header.first(), Some(&text("id")));
    let rows: Vec<(i32, u32, &Cell)> = seen
        .rows
        .iter()
        .map(|(anchor, row, cells)| (*anchor, *row, &cells[1]))
        .collect();
    assert_eq!(rows, [(11, 2, &text("x"))]);

    // They are written through once more.
    let back = write(&[(2, 11, &[(1, text("name 1"))])], 101);
    let rows = written(world.perform(&back).unwrap());
    assert_eq!((rows[0].row, &rows[0].after[1]), (2, &text("name 1")));
    let seen = look(&world, &[11]);
    assert!(seen.rows.is_empty(), "dropped by then: {seen:?}");
}

#[test]
fn images_stay_until_a_batch_begins_anew() {
    let world = World::new(table(150));
    let rows: Vec<(u32, i32)> = (1..=150).map(|row| (row, row as i32)).collect();
    world.tag(&rows);
    let cells = [(1, text("x"))];
    let all: Vec<_> = rows
        .iter()
        .map(|(row, anchor)| (*row, *anchor, &cells[..]))
        .collect();
    world.perform(&write(&all[..120], 200)).unwrap();
    let more = |effect: SheetEffect, at| match effect {
        SheetEffect::Write {
            rows,
            keeps,
            sentinel,
            images,
            stamp,
        } => SheetEffect::Write {
            rows,
            keeps,
            sentinel,
            images: Images { at, ..images },
            stamp,
        },
        other => other,
    };
    world.perform(&more(write(&all[120..], 201), 120)).unwrap();
    let stamps: Vec<String> = kept(&world).into_iter().map(|image| image.stamp).collect();
    assert_eq!(stamps.len(), 150);
    assert_eq!(
        (stamps[119].as_str(), stamps[120].as_str()),
        ("cycle@200", "cycle@201")
    );
    world.tag(&[(7, 500)]);
    world
        .perform(&write(&[(7, 500, &[(1, text("y"))])], 202))
        .unwrap();
    assert_eq!(kept(&world).len(), 1);
}

#[test]
fn the_tab_of_images_is_nobodys_business_and_made_again_when_it_is_removed() {
    let world = World::new(table(2));
    assert_eq!(kept(&world), []);
    world.tag(&[(1, 1), (2, 2)]);
    world
        .perform(&write(&[(1, 1, &[(1, text("x"))])], 100))
        .unwrap();
    let title = images_tab(&world).unwrap();
    let seen = world.session.open(ID).unwrap().tabs;
    assert!(seen.iter().all(|tab| tab.title != title));
    let id = world
        .server
        .app
        .store
        .peek(ID)
        .unwrap()
        .sheets
        .iter()
        .find(|sheet| sheet.title == title)
        .unwrap()
        .id;
    post(
        &world,
        &json!({"requests": [{"deleteSheet": {"sheetId": id}}]}),
    );
    let rows = written(
        world
            .perform(&write(&[(2, 2, &[(1, text("y"))])], 101))
            .unwrap(),
    );
    assert!(rows[0].before.is_some());
    assert_eq!(images_tab(&world), Some(title));
    // Another process finds it.
    let other = session(&world.server);
    other.perform(&world.target, &tag(&[(1, 7)])).unwrap();
    let rows = written(
        other
            .perform(&world.target, &write(&[(1, 7, &[(1, text("z"))])], 102))
            .unwrap(),
    );
    assert!(rows[0].before.is_some());
}

#[test]
fn a_write_that_was_applied_is_not_applied_again() {
    let world = World::new(table(2));
    world.tag(&[(1, 1)]);
    let effect = write(&[(1, 1, &[(1, text("x"))])], 100);
    world.perform(&effect).unwrap();
    world.person(json!({"set": {"cell": "B2", "value": "typed"}}));
    let again = world.perform(&effect).unwrap();
    assert!(matches!(again, SheetOutcome::Stamped { ours: true }));
    assert_eq!(world.look()["unformatted"][1][1], json!("typed"));
}

#[test]
fn a_write_works_however_the_service_deletes_metadata() {
    for unmatched in ["ok", "400"] {
        let world = World::new(table(4));
        world.switch(json!({"delete_metadata_without_match": unmatched}));
        let known = world.session.probe(ID).unwrap();
        let expected = Capabilities {
            missing_metadata: if unmatched == "ok" {
                Missing::Ignored
            } else {
                Missing::Refused
            },
            cells_in_answer: Answered::Yes,
            anchor_checks: Answered::Yes,
            writer_exchange: Answered::Yes,
        };
        assert_eq!(known, expected);
        assert_eq!(
            (world.tabs(), world.metadata()),
            (vec!["Data".into(), "Other".into()], vec![])
        );
        world.tag(&[(1, 1), (2, 2), (3, 3)]);
        world.person(json!({"delete_rows": {"at": 3}}));
        let effect = write(
            &[
                (1, 1, &[(1, text("one"))]),
                (2, 2, &[(1, text("two"))]),
                (3, 3, &[(0, text("K3"))]),
            ],
            100,
        );
        let anchors: Vec<i32> = written(world.perform(&effect).unwrap())
            .iter()
            .map(|row| row.anchor)
            .collect();
        assert_eq!(anchors, [1, 3]);
        assert_eq!(
            world.formulas(),
            json!([
                ["id", "name", "sum", "formula"],
                ["k1", "one", 2, "=1+1"],
                ["K3", "name 3", 4, "=1+3"],
                ["k4", "name 4", 5, "=1+4"]
            ])
        );
        world.perform(&tidy(&[1, 2, 3])).unwrap();
        assert_eq!(world.anchors(), 1, "the new sentinel; {unmatched}");
    }
}

#[test]
fn where_no_tab_can_be_added_the_write_goes_without_an_image() {
    let world = World::new(table(2));
    world.session.open(ID).unwrap();
    world.tag(&[(1, 1)]);
    let message = "Invalid requests[0].addSheet: This action would increase the number of cells in the workbook above the limit of 10000000 cells.";
    world.fault(
        "spreadsheets.batchUpdate",
        0,
        json!({"status": 400, "message": message}),
    );
    let rows = written(
        world
            .perform(&write(&[(1, 1, &[(1, text("x"))])], 100))
            .unwrap(),
    );
    assert_eq!(rows[0].before, None);
    assert_eq!(rows[0].after, row("k1", "x", 2.0));
    assert_eq!(images_tab(&world), None);
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
    let both = write(&[(1, 1, &[(1, text("x"))]), (2, 2, &[(1, text("y"))])], 90);
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
    world
        .perform(&write(&[(1, 1, &[(1, text("x"))])], 90))
        .unwrap();
    assert_eq!(
        world
            .perform(&delete(&[(2, 2)], 100))
            .unwrap_err()
            .reason
            .as_str(),
        "protected"
    );
    deleted(world.perform(&delete(&[(3, 3)], 101)).unwrap());
    assert_eq!(world.keys(), ["id", "k1", "k2"]);
}

/// A batch that was refused, or that wrote fewer rows than it was to, leaves blank rows among the
/// images.
#[test]
fn images_below_a_blank_row_are_read() {
    let world = World::new(table(3));
    let write_at = |at: u32, stamp| match write(&[(1, 1, &[(1, text("ours"))])], stamp) {
        SheetEffect::Write {
            rows,
            keeps,
            sentinel,
            stamp,
            ..
        } => SheetEffect::Write {
            rows,
            keeps,
            sentinel,
            images: Images {
                at,
                ..support_images()
            },
            stamp,
        },
        other => other,
    };
    for (at, stamp) in [(0, 100), (3, 101)] {
        world.tag(&[(1, 1)]);
        written(world.perform(&write_at(at, stamp)).unwrap());
    }
    let SheetOutcome::Images { images, end } = world.perform(&SheetEffect::Images).unwrap() else {
        panic!("images are read");
    };
    let stamps: Vec<&str> = images.iter().map(|image| image.stamp.as_str()).collect();
    assert_eq!((stamps, end), (vec!["cycle@100", "cycle@101"], 4));
}
