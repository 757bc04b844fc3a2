//! Moments in which several things meet: keys that are handed on, writes that hit what nobody had
//! seen, and what a fresh process makes of it.

use super::*;
use crate::schedule::Op::Resolve;
use crate::schedule::Resolution::Database;

#[test]
fn an_older_word_of_ours_is_not_given_back_over_what_was_typed_since() {
    replay(
        Setup {
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Update {
                row: 1,
                column: 8,
                value: Odd(2),
            }),
            Step(4),
            Sheet(SheetEdit::Clear { row: 1 }),
            Step(6),
            Step(4),
            Sheet(SheetEdit::Clear { row: 3 }),
            Sheet(SheetEdit::TypeRow {
                key: None,
                value: Odd(0),
            }),
            Sheet(SheetEdit::Move { from: 2, to: 7 }),
            Crash,
            Sheet(SheetEdit::Key { row: 0, key: 4 }),
        ],
    );
}

#[test]
fn a_key_that_a_write_went_over_is_given_back_whatever_row_it_made_of_it() {
    replay(
        Setup {
            composite: true,
            columns: 8,
            pinned: true,
            common_rows: 1,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Update {
                row: 7,
                column: 7,
                value: Num(100),
            }),
            Step(6),
            Table(Insert {
                key: 7,
                value: Num(200),
            }),
            Step(7),
            Sheet(SheetEdit::Delete { row: 3 }),
            Step(3),
            Step(7),
            Step(3),
            Step(1),
            Table(Rekey { row: 5, key: 1 }),
            Sheet(SheetEdit::Delete { row: 0 }),
            Step(2),
            Step(5),
            Step(7),
            Step(7),
            Step(1),
            Sheet(SheetEdit::Key { row: 0, key: 6 }),
            Step(2),
            Crash,
        ],
    );
}

#[test]
fn a_key_that_was_handed_on_is_followed_to_the_row_that_says_so_too() {
    replay(
        Setup {
            columns: 19,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Delete { row: 0 }),
            Sheet(SheetEdit::TypeRow {
                key: None,
                value: Num(400),
            }),
            Pull,
            Table(Rekey { row: 4, key: 8 }),
            Sheet(SheetEdit::Cell {
                row: 4,
                column: 4,
                value: Num(300),
            }),
            Step(6),
            Table(Rekey { row: 6, key: 2 }),
        ],
    );
    replay(
        Setup {
            columns: 0,
            filter: Filter::Listed,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 4,
                value: Num(200),
            }),
            Step(1),
            Table(Rekey { row: 2, key: 5 }),
            Table(Insert {
                key: 9,
                value: Num(200),
            }),
            Table(Rekey { row: 1, key: 4 }),
            Table(Relist { row: 5 }),
            Finish,
            Table(Rekey { row: 2, key: 0 }),
        ],
    );
    replay(
        Setup {
            columns: 40,
            direction: Direction::ToSheet,
            common_rows: 1,
            request_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Step(7),
            Step(7),
            Table(Rekey { row: 7, key: 11 }),
            Table(Insert {
                key: 0,
                value: Num(200),
            }),
            Table(Rekey { row: 2, key: 12 }),
        ],
    );
}

#[test]
fn a_row_that_waits_to_be_inserted_has_not_been_followed() {
    replay(
        Setup {
            columns: 9,
            max_delete_percent: 20,
            max_delete_rows: 0,
            common_rows: 0,
            table_rows: 2,
            request_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Table(Rekey { row: 0, key: 0 }),
            Table(Rekey { row: 1, key: 5 }),
            Finish,
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Step(5),
            Table(Rekey { row: 0, key: 3 }),
            Step(6),
            Sheet(SheetEdit::Key { row: 0, key: 4 }),
            Table(Rekey { row: 1, key: 4 }),
            Sheet(SheetEdit::Duplicate { row: 0 }),
            Step(6),
            Step(5),
            Step(3),
            Step(2),
            Step(6),
            Table(Rekey { row: 1, key: 3 }),
            Sheet(SheetEdit::Key { row: 0, key: 0 }),
            Sheet(SheetEdit::ClearKey { row: 1 }),
        ],
    );
}

#[test]
fn nothing_is_agreed_on_under_a_key_that_its_row_did_not_get() {
    replay(
        Setup {
            columns: 8,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: Some(0),
                value: Num(400),
            }),
            Finish,
            Table(Rekey { row: 0, key: 5 }),
            Sheet(SheetEdit::Delete { row: 4 }),
            Step(6),
            Table(Rekey { row: 1, key: 4 }),
            Table(Update {
                row: 4,
                column: 1,
                value: Num(100),
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
            Step(3),
            Sheet(SheetEdit::Cell {
                row: 3,
                column: 4,
                value: Num(2),
            }),
            Step(5),
            Step(7),
            Sheet(SheetEdit::ClearKey { row: 1 }),
        ],
    );
    replay(
        Setup {
            columns: 12,
            common_rows: 0,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Step(5),
            Step(7),
            Table(Delete { row: 1 }),
            Table(Update {
                row: 6,
                column: 6,
                value: Num(295),
            }),
            Table(Rekey { row: 1, key: 4 }),
            Finish,
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
            Step(4),
            Sheet(SheetEdit::ClearKey { row: 0 }),
        ],
    );
}

#[test]
fn what_several_writes_went_over_is_given_back_once_and_as_it_was_last() {
    replay(
        Setup {
            columns: 0,
            common_rows: 5,
            request_rows: 3,
            anchors_apart: 2,
            ..Setup::PLAIN
        },
        &[
            Table(UpdateAll {
                column: 1,
                value: Num(3),
            }),
            Finish,
            Table(UpdateAll {
                column: 5,
                value: Num(0),
            }),
            Step(6),
            Sheet(SheetEdit::Move { from: 6, to: 8 }),
            Step(6),
            Sheet(SheetEdit::Cell {
                row: 1,
                column: 1,
                value: Num(300),
            }),
        ],
    );
}

#[test]
fn a_reading_that_is_older_than_our_last_two_writes_is_no_edit() {
    replay(
        Setup {
            columns: 28,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Move { from: 2, to: 3 }),
            Table(UpdateAll {
                column: 6,
                value: Num(609),
            }),
            Sheet(SheetEdit::Move { from: 7, to: 8 }),
            Sheet(SheetEdit::Duplicate { row: 3 }),
            Finish,
            Table(UpdateAll {
                column: 2,
                value: Num(266),
            }),
            Step(11),
            Fault(Stale),
            Table(UpdateAll {
                column: 2,
                value: Num(869),
            }),
        ],
    );
}

#[test]
fn a_row_that_comes_back_is_looked_at_for_what_was_decided_meanwhile() {
    replay(
        Setup {
            columns: 0,
            policy: Policy::Manual,
            table_rows: 1,
            differing: 2,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::ClearKey { row: 1 }),
            Table(Insert {
                key: 5,
                value: Num(200),
            }),
            Step(5),
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Step(5),
            Resolve {
                nth: 3,
                by: Database,
            },
            Step(7),
            Sheet(SheetEdit::Key { row: 2, key: 1 }),
        ],
    );
}

#[test]
fn a_mark_that_a_one_way_cycle_left_goes_when_the_rest_is_done() {
    replay(
        Setup {
            columns: 2,
            policy: Policy::Manual,
            common_rows: 0,
            table_rows: 1,
            header: false,
            ..Setup::PLAIN
        },
        &[
            Step(5),
            Step(7),
            Step(4),
            Step(3),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 4,
                value: Num(300),
            }),
            Push,
            Table(Update {
                row: 5,
                column: 2,
                value: Num(100),
            }),
            Step(3),
            Step(7),
            Sheet(SheetEdit::Cell {
                row: 3,
                column: 8,
                value: Num(300),
            }),
            Table(Delete { row: 5 }),
        ],
    );
}

#[test]
fn what_a_row_has_empty_under_the_key_of_one_that_is_gone_is_no_edit() {
    replay(
        Setup {
            composite: true,
            columns: 32,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 0,
                value: Num(200),
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(2),
                value: Num(400),
            }),
            Finish,
            Table(Rekey { row: 1, key: 1 }),
            Sheet(SheetEdit::Duplicate { row: 0 }),
            Sheet(SheetEdit::TypeRow {
                key: None,
                value: Num(400),
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(2),
                value: Num(400),
            }),
            Step(2),
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
            Sheet(SheetEdit::Cell {
                row: 4,
                column: 6,
                value: Nothing,
            }),
            Sheet(SheetEdit::Delete { row: 7 }),
        ],
    );
    replay(
        Setup {
            columns: 0,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Table(Rekey { row: 2, key: 4 }),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Step(7),
            Step(3),
            Step(4),
            Table(Delete { row: 0 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(0),
                value: Num(400),
            }),
            Finish,
            Sheet(SheetEdit::Cell {
                row: 5,
                column: 1,
                value: Nothing,
            }),
            Table(Insert {
                key: 5,
                value: Num(200),
            }),
            Step(2),
            Table(Rekey { row: 2, key: 0 }),
        ],
    );
    replay(
        Setup {
            columns: 10,
            ..Setup::PLAIN
        },
        &[
            Step(5),
            Step(4),
            Sheet(SheetEdit::Duplicate { row: 0 }),
            Step(7),
            Table(Rekey { row: 1, key: 2 }),
            Sheet(SheetEdit::Cell {
                row: 2,
                column: 3,
                value: Nothing,
            }),
            Step(2),
            Sheet(SheetEdit::Key { row: 1, key: 1 }),
            Step(5),
            Table(Insert {
                key: 1,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn what_both_sides_had_agreed_on_is_no_edit_when_it_is_given_back_under_another_key() {
    replay(
        Setup {
            composite: true,
            columns: 4,
            on_table_delete: OnTableDelete::Clear,
            common_rows: 0,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::ClearKey { row: 1 }),
            Table(Insert {
                key: 4,
                value: Nothing,
            }),
            Table(Insert {
                key: 1,
                value: Nothing,
            }),
            Finish,
            Table(Delete { row: 2 }),
            Table(Update {
                row: 5,
                column: 6,
                value: Num(100),
            }),
            Step(4),
            Sheet(SheetEdit::ClearKey { row: 2 }),
            Sheet(SheetEdit::Key { row: 1, key: 3 }),
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Step(6),
            Table(Insert {
                key: 4,
                value: Num(200),
            }),
            Sheet(SheetEdit::Key { row: 2, key: 4 }),
        ],
    );
}

#[test]
fn a_row_that_the_table_loses_while_a_lost_write_is_weighed_does_not_come_back() {
    let schedule = Schedule {
        setup: Setup {
            common_rows: 1,
            ..Setup::PLAIN
        },
        ops: vec![
            Finish,
            Table(Update {
                row: 0,
                column: 1,
                value: Num(777),
            }),
            Poll,
            Step(10),
            Crash,
            Step(14),
            Table(Delete { row: 0 }),
        ],
    };
    let trace = schedule.trace(genuine, DriverBugs::default(), Rules::default());
    let (before, after) = trace
        .split_once("Table(Delete")
        .expect("the row is deleted");
    let weighed = before
        .split_once("Sheet(Look")
        .expect("the lost write is weighed");
    assert!(
        !weighed.1.contains("Commit"),
        "nothing is recorded yet:\n{trace}"
    );
    assert!(!after.contains("change: Insert"), "{trace}");
}

/// A write whose answer a crash lost; the table changes the cell again, and the fresh process's own
/// write is refused because rows moved. The one that comes after the next crash has to find out
/// once more that the first value is ours.
#[test]
fn what_we_wrote_is_no_edit_though_two_processes_ended_over_it() {
    let ops = vec![
        Finish,
        Table(Update {
            row: 0,
            column: 1,
            value: Num(100),
        }),
        Step(8),
        Crash,
        Step(16),
        Table(Update {
            row: 0,
            column: 1,
            value: Num(200),
        }),
        Step(7),
        Fault(Moved),
        Step(4),
        Crash,
    ];
    let setup = Setup {
        columns: 0,
        common_rows: 3,
        policy: Policy::SheetWins,
        ..Setup::PLAIN
    };
    let schedule = Schedule { setup, ops };
    let (bugs, rules) = (DriverBugs::default(), Rules::default());
    assert_eq!(schedule.run(genuine, bugs, rules), Ok(()));
    let trace = schedule.trace(genuine, bugs, rules);
    assert!(!trace.contains("conflicts: [Conflict"), "{trace}");
}
