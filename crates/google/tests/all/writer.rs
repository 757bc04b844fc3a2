//! Whose tab it is: of two databases that write to one tab only one gets through, and a batch that
//! was planned before another one wrote is refused as a whole.

use crate::support::world::{ID, World, session, stamped};
use engine::effect::{Failure, SheetEffect, SheetOutcome};
use engine::value::Cell;
use google::Target;
use google::sheet::{Home, Writer};
use serde_json::json;

const HERE: Home = Home {
    cluster: 7_312_345_678_901_234_567,
    database: 16_384,
};

fn writer(database: u32) -> Writer {
    Writer {
        home: Home { database, ..HERE },
        moved_from: None,
        made_at: 1_700_000_000_000,
        time_line: 1,
        turn: 1,
        mark: database,
        forked_at: 0,
        arrived: None,
        takes_over: false,
        only_reads: false,
    }
}

fn target(world: &World, writer: Writer) -> Target {
    Target {
        writer: Some(writer),
        ..world.target.clone()
    }
}

/// One row, in a batch of its own.
fn insert(nth: i32) -> SheetEffect {
    crate::support::world::insert(
        1,
        vec![vec![(0, Cell::Number(f64::from(nth)))]],
        1_000 + nth,
    )
}

fn reason(outcome: Result<SheetOutcome, Failure>) -> String {
    outcome
        .map(|_| String::new())
        .unwrap_or_else(|failure| failure.reason.to_string())
}

#[test]
fn a_second_database_is_refused_and_writes_nothing() {
    for missing in ["ok", "400"] {
        let world = World::new(json!([["id"]]));
        world.switch(json!({ "delete_metadata_without_match": missing }));
        let (one, other) = (target(&world, writer(1)), target(&world, writer(2)));
        let second = session(&world.server);
        // Both saw the tab while it was nobody's.
        for session in [&world.session, &second] {
            session.open(ID).unwrap();
        }
        world.session.perform(&one, &insert(1)).unwrap();
        assert!(world.session.turn_has_arrived(&one));
        assert_eq!(reason(second.perform(&other, &insert(2))), "tab_taken");
        assert_eq!(world.keys(), ["id", "1"]);
        // The first one goes on.
        let next = target(
            &world,
            Writer {
                turn: 2,
                ..writer(1)
            },
        );
        world.session.perform(&next, &insert(3)).unwrap();
        assert_eq!(world.keys(), ["id", "3", "1"]);
    }
}

#[test]
fn a_copy_that_writes_first_stops_the_other_at_its_next_turn() {
    let world = World::new(json!([["id"]]));
    let (original, copy) = (
        target(&world, writer(1)),
        target(
            &world,
            Writer {
                turn: 2,
                ..writer(1)
            },
        ),
    );
    world.session.perform(&original, &insert(1)).unwrap();
    let second = session(&world.server);
    second.perform(&copy, &insert(2)).unwrap();
    // The same turn, and yet not its own.
    let next = target(
        &world,
        Writer {
            turn: 2,
            mark: 99,
            ..writer(1)
        },
    );
    assert_eq!(
        reason(world.session.perform(&next, &insert(3))),
        "sheet_is_ahead"
    );
    assert_eq!(world.keys(), ["id", "2", "1"]);
}

#[test]
fn a_batch_that_was_lost_and_comes_late_is_refused_after_a_take_over() {
    let world = World::new(json!([["id"]]));
    let old = target(&world, writer(1));
    world.session.perform(&old, &insert(1)).unwrap();
    let second = session(&world.server);
    let new = target(
        &world,
        Writer {
            takes_over: true,
            ..writer(2)
        },
    );
    second.take_turn(&new).unwrap();
    assert_eq!(reason(world.session.perform(&old, &insert(2))), "tab_taken");
    assert_eq!(world.keys(), ["id", "1"]);
    assert!(second.is_known_as_writer(&new));
    world.session.open(ID).unwrap();
    assert!(!world.session.is_known_as_writer(&target(&world, writer(3))));
}

#[test]
fn a_turn_whose_answer_is_lost_is_known_when_it_is_looked_for() {
    let world = World::new(json!([["id"]]));
    let first = target(&world, writer(1));
    world.fault(
        "spreadsheets.batchUpdate",
        0,
        json!({"drop": "after_apply"}),
    );
    world.session.perform(&first, &insert(1)).unwrap_err();
    assert!(!world.session.turn_has_arrived(&first), "nobody knows");
    // The batch is closed as the engine closes it.
    let stamp = stamped(1_001);
    let closed = world.session.perform(&first, &SheetEffect::Claim { stamp });
    let ours = matches!(closed, Ok(SheetOutcome::Stamped { ours: true }));
    assert!(ours, "{closed:?}");
    let next = target(
        &world,
        Writer {
            turn: 2,
            ..writer(1)
        },
    );
    world.session.perform(&next, &insert(2)).unwrap();
    assert!(world.session.turn_has_arrived(&next));
    assert_eq!(world.keys(), ["id", "2", "1"]);
}

#[test]
fn an_older_version_of_the_spreadsheet_is_noticed_by_whatever_names_metadata() {
    let world = World::new(json!([["id", "name"], [1, "one"]]));
    world
        .session
        .perform(&target(&world, writer(1)), &insert(2))
        .unwrap();
    let yesterday = world.server.app.store.keep_version(ID).unwrap();
    let second = Writer {
        turn: 2,
        arrived: Some(1),
        ..writer(1)
    };
    world
        .session
        .perform(&target(&world, second.clone()), &insert(3))
        .unwrap();
    world
        .server
        .app
        .store
        .restore_version(ID, yesterday)
        .unwrap();
    let now = target(
        &world,
        Writer {
            arrived: Some(2),
            ..second
        },
    );
    let inspected = world.session.perform(
        &now,
        &SheetEffect::Inspect {
            cells: vec![(1, 1)],
        },
    );
    assert_eq!(reason(inspected), "sheet_put_back");
    assert_eq!(
        world
            .session
            .check_writer(&now)
            .unwrap_err()
            .reason
            .as_str(),
        "sheet_put_back"
    );
    assert_eq!(
        reason(world.session.perform(&now, &insert(4))),
        "sheet_put_back"
    );
    assert_eq!(world.keys(), ["id", "2", "1"]);
}

#[test]
fn who_only_reads_is_in_nobodys_way() {
    let world = World::new(json!([["id"], [1]]));
    world
        .session
        .perform(&target(&world, writer(1)), &insert(2))
        .unwrap();
    let reads = target(
        &world,
        Writer {
            only_reads: true,
            ..writer(2)
        },
    );
    assert_eq!(world.session.check_writer(&reads), Ok(()));
    assert_eq!(
        reason(world.session.perform(&reads, &insert(3))),
        "tab_taken"
    );
}

#[test]
fn the_entry_of_a_spreadsheet_that_this_one_was_copied_from_says_nothing() {
    let world = World::new(json!([["id"]]));
    world
        .session
        .perform(&target(&world, writer(1)), &insert(1))
        .unwrap();
    let copy = "1CopyOfItWithAnAddressOfItsOwnxxxxxxxxxxxxxx";
    let mut book = (*world.server.app.store.peek(ID).unwrap()).clone();
    book.id = copy.to_owned();
    let now = std::time::SystemTime::now().into();
    let file = sheetd::store::File::new(book, "person@example.com", now);
    world.server.app.store.add(file, "person");
    world.control(&format!("spreadsheets/{copy}/share"), &json!({}));
    let other = Target {
        spreadsheet_id: copy.to_owned(),
        ..target(&world, writer(2))
    };
    world.session.open(copy).unwrap();
    assert_eq!(world.session.judge_writer(&other), Ok(()));
    world.session.perform(&other, &insert(2)).unwrap();
    assert!(world.session.turn_has_arrived(&other));
}

/// In the turn of this number, with this one as the last that is known to have arrived.
fn in_turn(turn: i64, arrived: Option<i64>) -> Writer {
    Writer {
        turn,
        arrived,
        ..writer(1)
    }
}

#[test]
fn a_service_that_refuses_the_exchange_tells_of_a_second_database_in_its_answer() {
    let world = World::new(json!([["id"]]));
    world.switch(json!({ "recreate_metadata_in_batch": "400" }));
    let known = world.session.probe(ID).unwrap();
    assert_eq!(known.writer_exchange, google::sheet::Answered::No);
    let one = |turn| target(&world, in_turn(turn, Some(turn - 1)));
    world
        .session
        .perform(&target(&world, writer(1)), &insert(1))
        .unwrap();
    world.session.perform(&one(2), &insert(2)).unwrap();
    assert!(world.session.turn_has_arrived(&one(2)));
    let second = session(&world.server);
    second.set_capabilities(known);
    let takes_over = Writer {
        takes_over: true,
        ..writer(2)
    };
    second.take_turn(&target(&world, takes_over)).unwrap();
    assert_eq!(
        reason(world.session.perform(&one(3), &insert(3))),
        "tab_taken",
        "by the answer"
    );
    assert_eq!(
        reason(world.session.perform(&one(3), &insert(4))),
        "tab_taken",
        "before it is sent"
    );
    assert_eq!(world.keys(), ["id", "3", "2", "1"]);
}

#[test]
fn a_turn_that_is_refused_for_another_reason_tells_that_reason() {
    let world = World::new(json!([["id"]]));
    world
        .session
        .perform(&target(&world, writer(1)), &insert(1))
        .unwrap();
    // Unlike what the session knows of the service.
    world.switch(json!({ "recreate_metadata_in_batch": "400" }));
    let next = target(&world, in_turn(2, Some(1)));
    let failure = world.session.perform(&next, &insert(2)).unwrap_err();
    assert!(failure.message.contains("metadata"), "{failure:?}");
    let failure = world.session.take_turn(&next).unwrap_err();
    assert!(failure.message.contains("metadata"), "{failure:?}");
}

#[test]
fn what_was_seen_long_ago_stops_nobody() {
    let world = World::new(json!([["id"]]));
    let second = session(&world.server);
    second
        .perform(&target(&world, writer(1)), &insert(1))
        .unwrap();
    world.session.open(ID).unwrap();
    second
        .perform(&target(&world, in_turn(2, Some(1))), &insert(2))
        .unwrap();
    let third = target(
        &world,
        Writer {
            mark: 3,
            ..in_turn(3, Some(2))
        },
    );
    world.session.perform(&third, &insert(3)).unwrap();
    assert_eq!(world.keys(), ["id", "3", "2", "1"]);
}

#[test]
fn a_spreadsheet_put_back_to_before_the_first_turn_is_noticed_until_it_is_answered() {
    let world = World::new(json!([["id"]]));
    let before = world.server.app.store.keep_version(ID).unwrap();
    world
        .session
        .perform(&target(&world, writer(1)), &insert(1))
        .unwrap();
    world.server.app.store.restore_version(ID, before).unwrap();
    let next = target(&world, in_turn(2, Some(1)));
    for _ in 0..2 {
        assert_eq!(
            reason(world.session.perform(&next, &insert(2))),
            "sheet_put_back"
        );
        let checked = world.session.check_writer(&next).unwrap_err();
        assert_eq!(checked.reason.as_str(), "sheet_put_back");
    }
}

#[test]
fn a_turn_that_was_not_taken_is_still_to_be_taken() {
    let world = World::new(json!([["id"]]));
    world
        .session
        .perform(&target(&world, writer(1)), &insert(1))
        .unwrap();
    let promoted = target(
        &world,
        Writer {
            time_line: 2,
            forked_at: 1,
            ..in_turn(2, Some(1))
        },
    );
    assert!(!world.session.is_known_as_writer(&promoted));
    world.fault(
        "spreadsheets.batchUpdate",
        0,
        json!({"drop": "before_apply"}),
    );
    world.session.take_turn(&promoted).unwrap_err();
    assert!(!world.session.is_known_as_writer(&promoted));
    world.session.take_turn(&promoted).unwrap();
    assert!(world.session.is_known_as_writer(&promoted));
}
