//! Tags on columns against a server that behaves as Google does.

use crate::support::world::{ID, World, table, text};
use engine::effect::{ColumnTag, SheetEffect, SheetOutcome};
use google::sheet::{ANCHOR_KEY, COLUMN_KEY};
use serde_json::json;

fn put(name: &str, column: u32, from: Option<u32>) -> ColumnTag {
    ColumnTag {
        name: name.into(),
        column,
        from,
    }
}

fn tag(tags: Vec<ColumnTag>) -> SheetEffect {
    SheetEffect::TagColumns { header: 0, tags }
}

fn found(world: &World) -> Vec<(String, u32)> {
    let names = ["id", "name", "sum"].map(str::to_owned).to_vec();
    match world
        .perform(&SheetEffect::FindColumns { names })
        .expect("a search")
    {
        SheetOutcome::Columns(mut found) => {
            found.sort();
            found
        }
        other => panic!("{other:?}"),
    }
}

fn tagged() -> World {
    let world = World::new(table(2));
    let tags = vec![
        put("id", 0, None),
        put("name", 1, None),
        put("sum", 2, None),
    ];
    match world.perform(&tag(tags)).expect("tags") {
        SheetOutcome::Header(cells) => assert_eq!(cells[..2], [text("id"), text("name")]),
        other => panic!("{other:?}"),
    }
    world
}

fn places(places: [(&str, u32); 3]) -> Vec<(String, u32)> {
    places.map(|(name, at)| (name.to_owned(), at)).to_vec()
}

#[test]
fn a_tag_goes_with_its_column_and_dies_with_it() {
    let world = tagged();
    assert_eq!(found(&world), places([("id", 0), ("name", 1), ("sum", 2)]));
    world.person(json!({"move_columns": {"from": "C", "count": 1, "to": "A"}}));
    world.person(json!({"insert_columns": {"at": "B", "count": 1}}));
    world.person(json!({"set": {"cell": "C1", "value": "renamed"}}));
    assert_eq!(found(&world), places([("id", 2), ("name", 3), ("sum", 0)]));
    world.person(json!({"delete_columns": {"at": "C", "count": 1}}));
    assert_eq!(
        found(&world)[..],
        places([("name", 2), ("sum", 0), ("", 0)])[..2]
    );
}

#[test]
fn a_tag_is_put_once_and_moved_from_where_it_stands_only() {
    let world = tagged();
    let count = |world: &World| {
        let keys = world.metadata().into_iter().map(|(_, key)| key);
        keys.filter(|key| key == COLUMN_KEY).count()
    };
    // As it was sent before, late: refused, and nothing moves.
    assert!(world.perform(&tag(vec![put("name", 3, None)])).is_err());
    assert!(world.perform(&tag(vec![put("name", 3, Some(0))])).is_err());
    assert_eq!(found(&world)[1], ("name".to_owned(), 1));
    world
        .perform(&tag(vec![put("name", 3, Some(1))]))
        .expect("a move");
    assert_eq!(found(&world)[1], ("name".to_owned(), 3));
    assert_eq!(count(&world), 3);
}

#[test]
fn tidying_leaves_tags_and_another_tab_has_its_own() {
    let world = tagged();
    world.tag(&[(1, 1)]);
    world.perform(&SheetEffect::TidyAll).expect("tidied");
    let keys = world.metadata().into_iter().map(|(_, key)| key);
    assert!(keys.into_iter().all(|key| key != ANCHOR_KEY));
    assert_eq!(found(&world).len(), 3);
    let mut other = world.target.clone();
    other.sheet_id = 77;
    world
        .session
        .perform(&other, &tag(vec![put("id", 0, None)]))
        .expect("the same name in another tab");
    assert_eq!(found(&world).len(), 3);
    let names = vec!["id".into(), "name".into()];
    let there = SheetEffect::FindColumns { names };
    let there = world.session.perform(&other, &there).expect("a search");
    assert!(matches!(there, SheetOutcome::Columns(found) if found == [("id".to_owned(), 0)]));
}

#[test]
fn where_an_answer_shows_no_cells_the_header_is_read() {
    let header = |world: &World| match world.perform(&tag(vec![put("id", 0, None)])) {
        Ok(SheetOutcome::Header(cells)) => cells,
        other => panic!("{other:?}"),
    };
    let world = World::new(table(1));
    world.switch(json!({"cells_in_batch_answers": false}));
    world.session.probe(ID).expect("what the service can do");
    assert_eq!(header(&world)[..2], [text("id"), text("name")]);
    // An empty header row has none to show.
    let world = World::new(table(1));
    world.person(json!({"delete_rows": {"at": 1, "count": 2}}));
    assert_eq!(header(&world), []);
    world.person(json!({"set": {"cell": "A1", "value": "id"}}));
    assert_eq!(found(&world), [("id".to_owned(), 0)]);
}

#[test]
fn as_many_columns_as_a_table_may_have_fit_beside_anchors() {
    let world = World::with(json!([["id"]]), 1_200, 1_600, false);
    let tags = (0..1_600).map(|at| put(&format!("column {at}"), at, None));
    world.perform(&tag(tags.collect())).expect("1600 tags");
    let anchors: Vec<(u32, i32)> = (0..1_000).map(|row| (row, row as i32 + 1)).collect();
    assert_eq!(world.tag(&anchors).len(), 1_000);
}
