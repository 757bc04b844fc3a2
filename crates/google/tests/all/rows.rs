//! New rows and deleted ones.

use crate::support::world::{ID, World, delete, deleted, insert, session, stamped, table, text};
use engine::effect::{SheetEffect, SheetOutcome};
use engine::value::Cell;
use google::sheet::{Answered, Capabilities};
use serde_json::json;

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
    assert_eq!(world.look()["unformatted"][2], json!(["k2", true]));
    let book = world.server.app.store.peek(ID).unwrap();
    let is_checkbox = |row: u32| {
        let cell = book.sheets[0].cell(row, 1);
        cell.is_some_and(|cell| cell.is_checkbox())
    };
    assert_eq!(
        (0..5).map(is_checkbox).collect::<Vec<_>>(),
        [false, false, true, false, false]
    );
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
    assert_eq!(world.anchors(), 2, "the anchor that stays and the sentinel");
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
        let mut world = World::new(table(6));
        world.switch(json!({"delete_metadata_without_match": unmatched}));
        for edit in &edits {
            world.renew(&table(6));
            world.person(edit.clone());
            let mut expected = world.keys();
            expected.retain(|key| key != "k2" && key != "k4");
            // The first batch makes the tab of images, the second deletes.
            let kind = "spreadsheets.batchUpdate";
            for after in 0..2 {
                world.renew(&table(6));
                world.session = session(&world.server);
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
    assert_eq!(met, edits.len() * 4);
}
