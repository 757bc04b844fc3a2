//! Google's limits on the size of a spreadsheet: kept before anything is sent, and understood where
//! Google has to say it.

use crate::support::world::*;
use engine::effect::{Class, ColumnFormat, Failure, Give, SheetEffect, SheetOutcome};
use engine::mapping::Kind;
use engine::value::Cell;
use google::sheet::{MOST_CELLS, MOST_COLUMNS};
use serde_json::json;

const ROWS: u64 = 100;
const COLUMNS: u64 = 10;

/// A tab in a spreadsheet that has room for so many more rows of it.
fn room_for(rows: u64) -> World {
    let world = World::new(json!([]));
    let others = (MOST_CELLS - (ROWS + rows) * COLUMNS) / 2;
    made(&world, ROWS, COLUMNS, others);
    world
}

fn made(world: &World, rows: u64, columns: u64, others: u64) {
    world.server.app.store.remove(ID);
    let tabs = json!([
        {"title": "Data", "sheetId": 0, "rows": [["id"]], "rowCount": rows, "columnCount": columns},
        {"title": "Vast", "sheetId": 5, "rowCount": others, "columnCount": 2},
    ]);
    world.control(
        "spreadsheets",
        &json!({"id": ID, "title": "Book", "sheets": tabs}),
    );
}

fn insert(rows: u64, stamp: i32) -> SheetEffect {
    SheetEffect::Insert {
        at: 1,
        rows: (0..rows).map(|_| vec![(0, text("new"))]).collect(),
        stamp: stamped(stamp),
        tidy: vec![],
    }
}

fn header_at(column: u32) -> SheetEffect {
    SheetEffect::WriteHeader {
        row: 0,
        cells: vec![(column, "name".into())],
        formats: vec![ColumnFormat {
            at: column,
            column: 0,
            kind: Kind::Text,
            give: Give::First,
        }],
        stamp: stamped(900),
    }
}

/// Batches that were sent so far.
fn batches(world: &World) -> usize {
    let text = world.get("/_sheetd/requests");
    text.matches("spreadsheets.batchUpdate").count()
}

#[track_caller]
fn is_full(outcome: Result<SheetOutcome, Failure>) -> Failure {
    let failure = outcome.expect_err("there is no room");
    assert_eq!(
        (failure.reason.as_str(), failure.class),
        ("grid_limit", Class::NeedsHuman)
    );
    assert!(!failure.may_have_applied);
    assert!(
        failure.hint.contains("10,000,000") && failure.hint.contains("18,278"),
        "{}",
        failure.hint
    );
    failure
}

#[test]
fn rows_for_which_there_is_no_room_are_not_sent() {
    let world = room_for(7);
    let failure = is_full(world.perform(&insert(8, 100)));
    assert!(
        failure.message.contains("10,000,010"),
        "{}",
        failure.message
    );
    assert_eq!(batches(&world), 0);
    world.perform(&insert(7, 101)).unwrap();
    is_full(world.perform(&insert(1, 102)));
    assert_eq!(batches(&world), 1);
}

#[test]
fn room_that_people_have_made_is_found() {
    let world = room_for(0);
    is_full(world.perform(&insert(1, 100)));
    let half = json!({"sheetId": 5, "dimension": "ROWS", "startIndex": 0, "endIndex": 1_000});
    world.person(json!({"batch": [{"deleteDimension": {"range": half}}]}));
    world.perform(&insert(1, 101)).unwrap();
}

#[test]
fn room_that_people_have_taken_is_googles_to_say_in_any_language() {
    let world = room_for(7);
    world.session.open(ID).unwrap();
    let grown = json!({"sheetId": 5, "dimension": "ROWS", "length": 35});
    world.person(json!({"batch": [{"appendDimension": grown}]}));
    is_full(world.perform(&insert(1, 100)));
    assert_eq!(batches(&world), 1, "Google was asked");

    let world = room_for(7);
    world.session.open(ID).unwrap();
    world.person(json!({"batch": [{"appendDimension": grown}]}));
    let spanish = json!({"status": 400, "message":
        "Invalid requests[1].insertDimension: Esta acción haría que el libro superase el límite de celdas."});
    world.fault("spreadsheets.batchUpdate", 0, spanish.clone());
    is_full(world.perform(&insert(1, 100)));

    // Where there is room it was something else.
    let world = room_for(7);
    world.fault("spreadsheets.batchUpdate", 0, spanish.clone());
    let failure = world.perform(&insert(1, 100)).expect_err("refused");
    assert_eq!(failure.reason.as_str(), "protected");
}

#[test]
fn a_header_that_is_one_column_too_many_is_not_sent() {
    let world = World::new(json!([]));
    made(&world, 10, u64::from(MOST_COLUMNS) - 1, 10);
    let failure = is_full(world.perform(&header_at(MOST_COLUMNS)));
    assert!(
        failure.message.contains("18,279 columns"),
        "{}",
        failure.message
    );
    assert_eq!(batches(&world), 0);
    world.perform(&header_at(MOST_COLUMNS - 1)).unwrap();
    let snapshot = world.read();
    let header: Vec<Cell> = serde_json::from_str(snapshot.rows[0].get()).unwrap();
    assert_eq!(header.len(), MOST_COLUMNS as usize);
}

#[test]
fn columns_for_which_there_are_too_many_rows_are_not_sent() {
    let world = World::new(json!([]));
    made(&world, 1_000_000, 9, 400_000);
    is_full(world.perform(&header_at(9)));
    assert_eq!(batches(&world), 0);
}
