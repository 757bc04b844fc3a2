//! Runs of rows of which only some have an anchor.

use crate::support::world::{ID, World, images, row, sentinel, stamped, table, tag, text, written};
use engine::effect::{AnchoredRow, SheetEffect, SheetOutcome, TagRow, WrittenRow};
use engine::value::Cell;
use google::sheet::Answered;
use serde_json::json;

const ROWS: u32 = 12;

/// One in four has an anchor, and the last.
fn is_bare(row: u32) -> bool {
    row % 4 != 1 && row != ROWS
}

fn tagged(read: bool) -> SheetEffect {
    let SheetEffect::Tag { sentinel, tidy, .. } = tag(&[]) else {
        unreachable!("it tags")
    };
    let rows = (1..=ROWS).map(|row| TagRow {
        row,
        anchor: row as i32,
        bare: is_bare(row),
    });
    SheetEffect::Tag {
        rows: rows.collect(),
        read,
        sentinel,
        tidy,
    }
}

fn raised(stamp: i32) -> SheetEffect {
    let rows = (1..=ROWS).map(|row| AnchoredRow {
        anchor: row as i32,
        bare: is_bare(row),
        row,
        cells: vec![(1, text(&format!("raised {row}")))],
    });
    SheetEffect::Write {
        keeps: false,
        rows: rows.collect(),
        sentinel: sentinel(),
        images: images(),
        stamp: stamped(stamp),
    }
}

fn cells(outcome: SheetOutcome) -> Vec<(i32, Vec<Cell>)> {
    match outcome {
        SheetOutcome::Tagged(tagged) => tagged
            .rows
            .into_iter()
            .map(|row| (row.anchor, row.cells))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// Each row under its own key, as both columns tell.
fn names(world: &World) -> Vec<(String, String)> {
    let formulas = world.formulas();
    let rows = formulas.as_array().expect("rows").iter().skip(1);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    rows.map(|row| (text(&row[0]), text(&row[1]))).collect()
}

#[test]
fn rows_without_an_anchor_are_read_and_written_like_the_others() {
    let world = World::new(table(ROWS));
    let read = cells(world.perform(&tagged(true)).unwrap());
    assert_eq!(read.len(), ROWS as usize);
    assert_eq!(read[5], (6, row("k6", "name 6", 7.0)));
    assert_eq!(world.anchors(), 5, "rows 1, 5, 9 and 12, and the sentinel");
    let rows = written(world.perform(&raised(100)).unwrap());
    let row = |at: usize| &rows[at];
    assert_eq!(
        (row(5).anchor, row(5).row, row(5).before.clone()),
        (
            6,
            6,
            Some(vec![text("k6"), text("name 6"), Cell::Number(7.0)])
        )
    );
    assert_eq!(
        row(5).after,
        [text("k6"), text("raised 6"), Cell::Number(7.0)]
    );
    let expected = (1..=ROWS).map(|row| (format!("k{row}"), format!("raised {row}")));
    assert_eq!(names(&world), expected.collect::<Vec<_>>());
    assert_eq!(world.anchors(), 1, "only the sentinel is left");
}

#[test]
fn nothing_is_written_once_an_anchor_has_moved() {
    for edit in [
        json!({"move_rows": {"from": 2, "to": 8}}),
        json!({"insert_rows": {"at": 6, "count": 1}}),
        json!({"delete_rows": {"at": 3}}),
        json!({"sort": {"column": "A", "descending": true}}),
    ] {
        let world = World::new(table(ROWS));
        world.perform(&tagged(true)).unwrap();
        world.person(edit.clone());
        let before = world.look();
        let refused = world.perform(&raised(100)).unwrap_err();
        assert_eq!(refused.reason.as_str(), "stale_position", "{edit}");
        assert_eq!(world.look(), before, "{edit}");
    }
}

/// Two neighbours between anchors change places: nothing can refuse that, and the answer tells it.
#[test]
fn a_row_that_is_carried_past_its_neighbour_is_told_by_its_image() {
    let world = World::new(table(ROWS));
    world.perform(&tagged(true)).unwrap();
    world.person(json!({"move_rows": {"from": 8, "to": 7}}));
    let rows = written(world.perform(&raised(100)).unwrap());
    let at = |anchor: i32| rows.iter().find(|row| row.anchor == anchor).unwrap();
    let hit = |row: &WrittenRow| {
        (
            row.before.clone().unwrap()[..2].to_vec(),
            row.after[0].clone(),
        )
    };
    assert_eq!(hit(at(6)), (vec![text("k7"), text("name 7")], text("k7")));
    assert_eq!(hit(at(7)), (vec![text("k6"), text("name 6")], text("k6")));
    assert_eq!(hit(at(8)), (vec![text("k8"), text("name 8")], text("k8")));
}

#[test]
fn a_mass_is_tagged_by_one_request_and_read_by_another() {
    let world = World::new(table(ROWS));
    assert_eq!(cells(world.perform(&tagged(false)).unwrap()), []);
    world.person(json!({"set": {"cell": "B7", "value": "typed"}}));
    let rows = SheetEffect::ReadRows {
        rows: vec![0, 7, 6, 40],
    };
    let SheetOutcome::Rows(read) = world.perform(&rows).unwrap() else {
        panic!("no rows")
    };
    let header = [text("id"), text("name"), text("sum"), text("formula")];
    assert_eq!(read[0], header);
    assert_eq!(read[1], row("k7", "name 7", 8.0));
    assert_eq!(read[2], row("k6", "typed", 7.0));
    assert_eq!(read[3], [], "a row without anything");
    written(world.perform(&raised(100)).unwrap());
    assert_eq!(names(&world)[6], ("k7".into(), "raised 7".into()));
}

#[test]
fn a_service_whose_batches_answer_without_cells_is_asked_again() {
    let world = World::new(table(ROWS));
    world.switch(json!({"cells_in_batch_answers": false}));
    let known = world.session.probe(ID).unwrap();
    assert_eq!(known.cells_in_answer, Answered::No);
    let read = cells(world.perform(&tagged(true)).unwrap());
    assert_eq!(read.len(), ROWS as usize);
    assert_eq!(read[5], (6, row("k6", "name 6", 7.0)));
    let rows = written(world.perform(&raised(100)).unwrap());
    assert!(
        rows.iter()
            .all(|row| row.after[1] == text(&format!("raised {}", row.row)))
    );
}

/// An earlier attempt was applied and its answer lost: the ids are in use.
#[test]
fn tagging_again_finds_the_anchors_where_they_were_put() {
    let world = World::new(table(ROWS));
    let tagged = tagged(true);
    let first = cells(world.perform(&tagged).unwrap());
    assert_eq!(cells(world.perform(&tagged).unwrap()), first);
    world.person(json!({"move_rows": {"from": 2, "to": 8}}));
    let after = cells(world.perform(&tagged).unwrap());
    // Where an anchor has moved, nobody knows of the others' neighbours.
    assert!(after.iter().all(|(anchor, _)| !is_bare(*anchor as u32)));
}
