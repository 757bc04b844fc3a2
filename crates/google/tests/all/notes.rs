//! Notes, and what is left of our metadata.

use crate::support::world::{World, next_sentinel, post, sentinel, stamped, table, tag};
use engine::effect::{Annotated, Note, SheetEffect, SheetOutcome, StandingNote};
use google::sent_by_this_thread;
use google::sheet::{Answered, Capabilities};
use serde_json::{Value, json};

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
    let sentinel = next_sentinel();
    let effect = SheetEffect::Annotate { notes, sentinel };
    match world.perform(&effect).unwrap() {
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
    assert_eq!((told, texts), (vec![Annotated::Moved], vec!["bad".into()]));
    assert_eq!(annotate(&world, notes), [Annotated::Done]);
    assert_eq!(standing(&world)[0].text, "worse");
}

#[test]
fn a_tab_that_is_gone_does_not_say_that_there_are_no_notes() {
    let world = World::new(table(2));
    let mut target = world.target.clone();
    target.sheet_id = 4_711;
    for effect in [SheetEffect::Notes, SheetEffect::Formulas] {
        let failure = world.session.perform(&target, &effect).unwrap_err();
        assert_eq!(failure.reason.as_str(), "tab_gone", "{effect:?}");
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
        sentinel: sentinel().anchor,
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
    // The first batch puts the sentinel, the second the notes.
    for (edit, before_the_notes) in [
        (json!({"delete_rows": {"at": 2}}), Annotated::Moved),
        (json!({"insert_rows": {"at": 2}}), Annotated::Moved),
        (json!({"delete_rows": {"at": 3}}), Annotated::Moved),
        (json!({"insert_rows": {"at": 9}}), Annotated::Done),
    ] {
        for after in 0..2 {
            let world = World::new(table(4));
            world.tag(&[(2, 2)]);
            world.fault(
                "spreadsheets.batchUpdate",
                after,
                json!({"edit_before": edit, "sheet": 0}),
            );
            let told = annotate(&world, vec![note(2, 0, Some("x"))]);
            let is_met = world
                .server
                .app
                .plan()
                .list()
                .iter()
                .all(|fault| fault.times == 0);
            assert!(is_met, "{edit} {after}");
            assert_eq!(told, [before_the_notes], "{edit} {after}");
            let keys = world.keys();
            let noted = standing(&world).into_iter().map(|note| note.row as usize);
            let noted: Vec<Option<&str>> =
                noted.map(|row| keys.get(row).map(String::as_str)).collect();
            match before_the_notes {
                Annotated::Done => assert_eq!(noted, [Some("k2")], "{edit} {after}"),
                _ => assert_eq!(noted, [], "{edit} {after}"),
            }
        }
    }
}

#[test]
fn a_note_on_the_row_that_took_the_place_of_its_own_is_told() {
    let row = |name: &str| {
        let range = json!({"sheetId": 0, "dimension": "ROWS", "startIndex": 2, "endIndex": 3});
        json!({name: {"range": range}})
    };
    let replaced = json!({"batch": [row("deleteDimension"), row("insertDimension")]});
    let deleted = json!({"delete_rows": {"at": 3}});
    let unchecked = Capabilities {
        anchor_checks: Answered::No,
        ..Capabilities::default()
    };
    for (capabilities, edit) in [
        (Capabilities::default(), replaced.clone()),
        (unchecked, replaced),
        (unchecked, deleted),
    ] {
        let world = World::new(table(4));
        world.session.set_capabilities(capabilities);
        world.tag(&[(2, 2), (3, 3)]);
        // The first batch puts the sentinel, the second the notes.
        let before_the_notes = json!({"edit_before": edit, "sheet": 0});
        world.fault("spreadsheets.batchUpdate", 1, before_the_notes);
        let told = annotate(&world, vec![note(2, 0, Some("x"))]);
        assert_eq!(told, [Annotated::Stray], "{edit}");
        let stands = |note: &StandingNote| (note.row, note.column);
        let standing: Vec<(u32, u32)> = standing(&world).iter().map(stands).collect();
        assert_eq!(standing, [(2, 0)], "{edit}");
        assert_ne!(
            world.keys().get(2).map(String::as_str),
            Some("k2"),
            "{edit}"
        );
    }
}

#[test]
fn where_no_batch_checks_the_places_of_anchors_notes_are_told_as_they_stand_and_counted() {
    let world = World::new(table(4));
    world.session.set_capabilities(Capabilities {
        anchor_checks: Answered::No,
        ..Capabilities::default()
    });
    world.read();
    world.tag(&[(2, 2)]);
    let effect = SheetEffect::Annotate {
        notes: vec![note(2, 0, Some("x"))],
        sentinel: sentinel().anchor,
    };
    let need = world.session.need(&world.target, &effect);
    let before = sent_by_this_thread();
    let told = world.perform(&effect).unwrap();
    let sent = sent_by_this_thread().beyond(before);
    assert_eq!((sent.reads, sent.writes), (need.reads, need.writes));
    assert!(matches!(told, SheetOutcome::Annotated(told) if told == [Annotated::Done]));
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
        "metadataValue": "cycle@1000000000", "visibility": "DOCUMENT", "location": {"sheetId": 0}}}}]});
    post(&world, &old);
    world.perform(&SheetEffect::TidyAll).unwrap();
    let mut left: Vec<i64> = world.metadata().iter().map(|(id, _)| *id).collect();
    left.sort_unstable();
    // The sentinel on the other tab is not this tab's.
    assert_eq!(left, [50, 60, 100, sentinel().anchor.into()]);
    world.perform(&SheetEffect::TidyAll).unwrap();
}
