//! Whose tab it is: of two databases that write to one tab only one gets through, and a batch that
//! was planned before another one wrote is refused as a whole.

mod support {
    pub mod world;
}

use engine::effect::{Failure, SheetEffect, SheetOutcome};
use engine::value::Cell;
use google::Target;
use google::sheet::{Home, Writer};
use serde_json::json;
use support::world::{ID, World, session, stamped};

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
    support::world::insert(
        1,
        vec![vec![(0, Cell::Number(f64::from(nth)))]],
        1_000 + nth,
    )
}

fn reason(outcome: Result<SheetOutcome, Failure>) -> String {
    outcome
        .map(|_| String::new())
        .unwrap_or_else(|failure| failure.reason)
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
        world.session.check_writer(&now).unwrap_err().reason,
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
