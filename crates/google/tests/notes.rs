//! Notes, and what is left of our metadata.

mod support {
    pub mod world;
}

use engine::effect::{Annotated, Note, SheetEffect, SheetOutcome, StandingNote};
use google::sent_by_this_thread;
use serde_json::{Value, json};
use support::world::{World, post, stamped, table, tag};

fn notes(world: &World) -> Value {
    world.look()["notes"].clone()
}

fn note(anchor: i32, column: u32, text: Option<&str>) -> Note {
    Note {
        anchor,
        column,
        text: text.map(str::to_owned),
    }
}

fn annotate(world: &World, notes: Vec<Note>) -> Vec<Annotated> {
    match world.perform(&SheetEffect::Annotate { notes }).unwrap() {
        SheetOutcome::Annotated(annotated) => annotated,
        other => panic!("{other:?}"),
    }
}

fn standing(world: &World) -> Vec<StandingNote> {
    let effect = SheetEffect::Notes;
    let need = world.session.need(&world.target, &effect);
    let before = sent_by_this_thread();
    let outcome = world.perform(&effect).unwrap();
    assert_eq!(sent_by_this_thread().beyond(before).reads, need.reads);
    match outcome {
        SheetOutcome::Notes(standing) => standing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn our_notes_are_found_wherever_people_carried_them() {
    let world = World::new(table(4));
    world.read();
    assert_eq!(standing(&world), []);
    world.person(json!({"note": {"cell": "B2", "note": "mind this"}}));
    world.tag(&[(1, 1), (3, 3)]);
    let notes = vec![note(1, 0, Some("bad key")), note(3, 1, Some("bad cell"))];
    assert_eq!(annotate(&world, notes), [Annotated::Done; 2]);
    world.person(json!({"insert_rows": {"at": 1}}));
    world.person(json!({"batch": [{"cutPaste": {
        "source": {"sheetId": 0, "startRowIndex": 4, "endRowIndex": 5, "startColumnIndex": 1, "endColumnIndex": 2},
        "destination": {"sheetId": 0, "rowIndex": 9, "columnIndex": 6}, "pasteType": "PASTE_NORMAL"}}]}));
    let found = |row, column, text: &str| StandingNote {
        row,
        column,
        text: text.into(),
    };
    assert_eq!(
        standing(&world),
        [found(2, 0, "bad key"), found(9, 6, "bad cell")]
    );
}

#[test]
fn what_became_of_a_note_is_told() {
    let world = World::new(table(4));
    world.person(json!({"note": {"cell": "B2", "note": "mind this"}}));
    world.tag(&[(1, 1), (2, 2), (3, 3)]);
    world.person(json!({"delete_rows": {"at": 4}}));
    let notes = || {
        vec![
            note(1, 1, None),
            note(1, 0, None),
            note(2, 0, Some("bad")),
            note(3, 0, Some("bad")),
        ]
    };
    let told = [
        Annotated::Absent,
        Annotated::Absent,
        Annotated::Done,
        Annotated::Moved,
    ];
    assert_eq!(annotate(&world, notes()), told);
    // Its row moves when the notes have been looked at: nothing is written, and that is told.
    world.tag(&[(1, 5), (2, 6)]);
    world.fault(
        "spreadsheets.batchUpdate",
        1,
        json!({"edit_before": {"insert_rows": {"at": 2}}, "sheet": 0}),
    );
    let notes = vec![note(6, 0, Some("worse"))];
    let told = annotate(&world, notes.clone());
    let texts: Vec<String> = standing(&world).into_iter().map(|note| note.text).collect();
    match told.as_slice() {
        [Annotated::Moved] => assert_eq!(texts, ["bad"]),
        [Annotated::Done] => assert_eq!(texts, ["worse"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(annotate(&world, notes), [Annotated::Done]);
    assert_eq!(standing(&world)[0].text, "worse");
}

#[test]
fn an_answer_without_the_tab_does_not_say_that_there_are_no_notes() {
    let world = World::new(table(2));
    let mut target = world.target.clone();
    target.sheet_id = 4_711;
    for effect in [SheetEffect::Notes, SheetEffect::Formulas] {
        assert!(world.session.perform(&target, &effect).is_err());
    }
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
                "spreadsheets.batchUpdate",
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
    // The sentinel on the other tab is not this tab's.
    assert_eq!(left, [50, 60, 100, support::world::sentinel().into()]);
    world.perform(&SheetEffect::TidyAll).unwrap();
}
