//! Rows, anchors and tabs that are gone by the time we ask for them, and a service that says so in
//! its own way.

use crate::support::world::{World, sentinel, stamped, table, tag, text, write, written};
use engine::effect::{Annotated, Class, Failure, Look, Note, SheetEffect, SheetOutcome};
use engine::value::Cell;
use serde_json::json;

fn refusing() -> World {
    let world = World::new(table(6));
    world.switch(json!({"read_without_match": "400"}));
    world
}

fn looked(outcome: Result<SheetOutcome, Failure>) -> Look {
    match outcome {
        Ok(SheetOutcome::Seen(look)) => look,
        other => panic!("{other:?}"),
    }
}

fn look(anchors: &[i32]) -> SheetEffect {
    SheetEffect::Look {
        header: 0,
        anchors: anchors.to_vec(),
    }
}

#[test]
fn a_row_that_is_gone_hides_no_other_where_a_filter_that_matches_nothing_is_refused() {
    let world = refusing();
    world.tag(&[(2, 11), (4, 12)]);
    world.person(json!({"delete_rows": {"at": 3, "count": 1}}));
    let seen = looked(world.perform(&look(&[11, 12])));
    assert_eq!(seen.header.first(), Some(&text("id")));
    let rows: Vec<_> = seen.rows.iter().map(|(id, row, _)| (*id, *row)).collect();
    assert_eq!(rows, [(12, 3)]);
    // None is left, and the header is seen all the same.
    world.person(json!({"delete_rows": {"at": 4, "count": 1}}));
    let seen = looked(world.perform(&look(&[11, 12])));
    assert_eq!((seen.rows.len(), seen.header.len()), (0, 4));
}

#[test]
fn every_effect_survives_that_a_filter_that_matches_nothing_is_refused() {
    let world = refusing();
    world.perform(&SheetEffect::TidyAll).unwrap();
    let names = vec!["id".to_owned()];
    let found = world.perform(&SheetEffect::FindColumns { names }).unwrap();
    assert!(matches!(found, SheetOutcome::Columns(found) if found.is_empty()));
    world.tag(&[(2, 11), (4, 12)]);
    world.person(json!({"delete_rows": {"at": 3, "count": 1}}));
    let cells = [(1, text("new"))];
    let outcome = world.perform(&write(&[(2, 11, &cells), (4, 12, &cells)], 50));
    let rows: Vec<_> = written(outcome.unwrap())
        .iter()
        .map(|row| (row.anchor, row.row))
        .collect();
    assert_eq!(rows, [(12, 3)]);
    let claim = || SheetEffect::Claim { stamp: stamped(50) };
    let claimed = world.perform(&claim()).unwrap();
    assert!(matches!(claimed, SheetOutcome::Stamped { ours: true }));
    world.tag(&[(1, 13)]);
    world.person(json!({"delete_rows": {"at": 2, "count": 1}}));
    let notes = vec![Note {
        anchor: 13,
        column: 0,
        text: Some("gone".into()),
    }];
    let sentinel = sentinel().anchor;
    let effect = SheetEffect::Annotate { notes, sentinel };
    let told = world.perform(&effect).unwrap();
    assert!(matches!(told, SheetOutcome::Annotated(told) if told == [Annotated::Moved]));
}

#[test]
fn the_stamps_that_stand_are_told_when_the_anchors_of_another_process_go() {
    let world = World::new(table(3));
    world.tag(&[(2, 11)]);
    let stamp = stamped(50);
    world.perform(&SheetEffect::Claim { stamp }).unwrap();
    let tidied = world.perform(&SheetEffect::TidyAll).unwrap();
    assert!(
        matches!(tidied, SheetOutcome::Tidied(stamps) if stamps.iter().map(|stamp| stamp.id).eq([50]))
    );
    assert_eq!(world.anchors(), 0);
}

/// Whatever language the refusal comes in.
#[test]
fn a_row_beyond_the_end_is_told_by_the_tab_s_size_and_not_by_words() {
    let world = World::new(table(6));
    world.read();
    world.control(
        "faults",
        &json!({
            "match": {"kind": "spreadsheets.batchUpdate"},
            "action": {
                "status": 400,
                "message": "Ungültige Anfrage: diese Zeile gibt es nicht.",
                "edit_before": {"delete_rows": {"at": 40, "count": 11}},
                "sheet": 0,
            },
        }),
    );
    // The sentinel was to stand on the last row.
    let failure = world.perform(&tag(&[(2, 11)])).unwrap_err();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (Class::RetryNow, "stale_position")
    );
    assert!(world.perform(&tag(&[(2, 11)])).is_ok());
}

#[test]
fn images_are_read_to_the_last_although_the_batch_itself_made_their_tab_longer() {
    const ROWS: u32 = 250;
    let world = World::with(table(ROWS), ROWS + 20, 8, false);
    world.read();
    let places: Vec<(u32, i32)> = (1..=ROWS).map(|row| (row, 1_000 + row as i32)).collect();
    // The tab of images is there, with the rows that a new one has.
    world.tag(&places[..1]);
    world
        .perform(&write(&[(1, 1_001, &[(1, text("first"))])], 40))
        .unwrap();
    world.tag(&places);
    let cells: [(u32, Cell); 1] = [(1, text("new"))];
    let rows: Vec<_> = places
        .iter()
        .map(|(row, anchor)| (*row, *anchor, &cells[..]))
        .collect();
    world.fault(
        "spreadsheets.batchUpdate",
        0,
        json!({"drop": "after_apply"}),
    );
    let lost = world.perform(&write(&rows, 41)).err();
    assert!(lost.expect("no answer").may_have_applied);
    let images = match world.perform(&SheetEffect::Images).unwrap() {
        SheetOutcome::Images { images, .. } => images,
        other => panic!("{other:?}"),
    };
    assert_eq!(images.len(), ROWS as usize);
    let last = images.last().unwrap();
    assert_eq!(last.before.get(1), Some(&text("name 250")));
    assert_eq!(last.after.get(1), Some(&text("new")));
}

#[test]
fn images_whose_tab_was_removed_are_none() {
    let world = World::new(table(3));
    world.tag(&[(1, 11)]);
    world
        .perform(&write(&[(1, 11, &[(1, text("new"))])], 40))
        .unwrap();
    let book = world
        .server
        .app
        .store
        .peek(crate::support::world::ID)
        .unwrap();
    let is_ours = |title: &str| title.starts_with(google::sheet::IMAGES_TITLE);
    let tab = book.sheets.iter().find(|tab| is_ours(&tab.title)).unwrap();
    crate::support::world::post(
        &world,
        &json!({"requests": [{"deleteSheet": {"sheetId": tab.id}}]}),
    );
    let images = world.perform(&SheetEffect::Images).unwrap();
    assert!(matches!(images, SheetOutcome::Images { images, end: 0 } if images.is_empty()));
}
