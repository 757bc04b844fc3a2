//! Notes, and what is left of our metadata.

mod support {
    pub mod world;
}

use engine::effect::{Note, SheetEffect};
use google::sent_by_this_thread;
use serde_json::{Value, json};
use support::world::{World, post, stamped, table, tag};

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
