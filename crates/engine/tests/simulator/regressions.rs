//! Schedules that once broke a promise, as the simulator printed them: paste the next one here, and
//! give it a name.

mod anchors;
mod arrays;
mod emptied;
mod images;
mod kept;
mod moments;
mod readings;
mod renames;
mod spellings;
mod windows;

use crate::model::database::DriverBugs;
use crate::model::database::TableEdit::{
    Delete, Insert, Rekey, Relist, Truncate, Update, UpdateAll,
};
use crate::model::setup::Value::{Bad, Illegal, Nothing, Num, Odd};
use crate::model::setup::{Filter, Setup};
use crate::model::sheet::{Rules, SheetEdit};
use crate::model::world::Fault::{AnswerLost, Late, Moved, Partial, Quota, Stale};
use crate::model::world::genuine;
use crate::schedule::Op::{
    self, Crash, Fault, Finish, Poll, Preview, Pull, Push, Resync, Sheet, Step, Table,
};
use crate::schedule::Schedule;
use engine::mapping::{Direction, OnSheetDelete, OnTableDelete, Policy, Side};

fn replay(setup: Setup, ops: &[Op]) {
    let schedule = Schedule {
        setup,
        ops: ops.to_vec(),
    };
    if let Err(violation) = schedule.run(genuine, DriverBugs::default(), Rules::default()) {
        let trace = schedule.trace(genuine, DriverBugs::default(), Rules::default());
        panic!("{}\n\n{trace}", violation.0);
    }
}

#[test]
fn a_row_follows_a_key_of_which_both_sides_know_another_spelling() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 3,
                value: Num(200),
            }),
            Finish,
            Table(Rekey { row: 0, key: 11 }),
        ],
    );
}

#[test]
fn keep_means_that_the_table_keeps_the_row_whatever_the_policy() {
    replay(
        Setup {
            policy: Policy::SheetWins,
            on_sheet_delete: OnSheetDelete::Keep,
            max_delete_rows: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Update {
                row: 2,
                column: 8,
                value: Num(100),
            }),
            Sheet(SheetEdit::Clear { row: 5 }),
        ],
    );
}

#[test]
fn what_a_trigger_makes_of_a_pulled_value_goes_back_although_the_row_did_not_change() {
    replay(
        Setup {
            columns: 16,
            tie: Side::Sheet,
            upper: true,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[],
    );
    replay(
        Setup {
            columns: 16,
            policy: Policy::Function,
            upper: true,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[],
    );
    replay(
        Setup {
            columns: 16,
            upper: true,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Step(5),
            Step(5),
            Sheet(SheetEdit::Duplicate { row: 5 }),
            Step(7),
            Step(5),
            Sheet(SheetEdit::Delete { row: 1 }),
        ],
    );
}

#[test]
fn problems_seen_by_a_cycle_that_stops_are_recorded_by_the_next() {
    replay(
        Setup {
            columns: 0,
            max_delete_percent: 20,
            max_delete_rows: 1,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Step(4),
            Sheet(SheetEdit::Key { row: 7, key: 0 }),
            Poll,
            Step(6),
            Table(Truncate),
        ],
    );
    replay(
        Setup {
            columns: 0,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 8,
                value: Num(200),
            }),
            Step(4),
            Sheet(SheetEdit::TypeRow {
                key: Some(8),
                value: Num(400),
            }),
            Poll,
            Step(18),
            Sheet(SheetEdit::Delete { row: 5 }),
            Poll,
            Step(3),
            Fault(AnswerLost),
        ],
    );
}

#[test]
fn the_first_merge_is_whole_although_the_header_s_answer_was_lost() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            header: false,
            ..Setup::PLAIN
        },
        &[Step(5), Fault(AnswerLost)],
    );
}

#[test]
fn a_refused_value_in_a_row_that_left_the_filter_rests() {
    replay(
        Setup {
            columns: 0,
            tie: Side::Sheet,
            filter: Filter::Listed,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Cell {
                row: 6,
                column: 5,
                value: Illegal,
            }),
            Finish,
            Table(Relist { row: 2 }),
        ],
    );
}

#[test]
fn anchors_live_until_their_last_use() {
    replay(
        Setup {
            columns: 0,
            max_delete_rows: 1,
            common_rows: 0,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[Finish, Table(Rekey { row: 5, key: 12 })],
    );
}

#[test]
fn a_pending_cell_is_settled_when_its_row_comes_back() {
    replay(
        Setup {
            columns: 0,
            name_policy: Some(Policy::Manual),
            common_rows: 1,
            differing: 1,
            ..Setup::PLAIN
        },
        &[Finish, Sheet(SheetEdit::Delete { row: 0 })],
    );
    replay(
        Setup {
            columns: 0,
            policy: Policy::Manual,
            common_rows: 4,
            differing: 2,
            ..Setup::PLAIN
        },
        &[Finish, Sheet(SheetEdit::Clear { row: 5 }), Resync],
    );
}

#[test]
fn a_mark_of_an_insert_that_never_was_goes_when_the_row_leaves_the_filter() {
    replay(
        Setup {
            columns: 0,
            filter: Filter::Listed,
            common_rows: 1,
            header: false,
            ..Setup::PLAIN
        },
        &[Step(14), Table(Relist { row: 4 }), Crash],
    );
}

#[test]
fn a_row_that_leaves_the_filter_does_not_take_the_sheet_s_edit_with_it() {
    replay(
        Setup {
            composite: true,
            columns: 0,
            on_table_delete: OnTableDelete::Clear,
            filter: Filter::Listed,
            common_rows: 0,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Cell {
                row: 1,
                column: 2,
                value: Num(300),
            }),
            Table(Relist { row: 6 }),
            Table(Update {
                row: 6,
                column: 2,
                value: Num(100),
            }),
        ],
    );
}

#[test]
fn a_base_that_only_announces_an_insert_is_no_base() {
    replay(
        Setup {
            columns: 0,
            differing: 2,
            ..Setup::PLAIN
        },
        &[
            Step(4),
            Table(Rekey { row: 3, key: 10 }),
            Sheet(SheetEdit::Key { row: 3, key: 10 }),
            Sheet(SheetEdit::Delete { row: 0 }),
        ],
    );
    replay(
        Setup {
            columns: 0,
            common_rows: 0,
            header: false,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 4,
                value: Num(200),
            }),
            Step(9),
            Pull,
            Step(6),
            Fault(Quota),
            Step(2),
        ],
    );
}

#[test]
fn clearing_a_row_writes_only_what_is_not_empty() {
    replay(
        Setup {
            columns: 17,
            on_table_delete: OnTableDelete::Clear,
            common_rows: 2,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Table(Update {
                row: 2,
                column: 2,
                value: Odd(9),
            }),
            Finish,
            Table(Delete { row: 2 }),
        ],
    );
}

#[test]
fn a_mass_exit_from_the_filter_is_a_mass_delete() {
    replay(
        Setup {
            columns: 0,
            max_delete_rows: 1,
            filter: Filter::Listed,
            common_rows: 2,
            ..Setup::PLAIN
        },
        &[Finish, Table(Relist { row: 0 }), Table(Relist { row: 1 })],
    );
}

#[test]
fn a_row_whose_two_copies_were_both_deleted_is_looked_at() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Duplicate { row: 5 }),
            Step(4),
            Sheet(SheetEdit::Delete { row: 2 }),
            Sheet(SheetEdit::Clear { row: 7 }),
        ],
    );
}

#[test]
fn two_copies_missing_from_one_reading_are_not_a_third() {
    replay(
        Setup {
            columns: 10,
            common_rows: 5,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: Some(3),
                value: Num(400),
            }),
            Table(Update {
                row: 7,
                column: 2,
                value: Num(100),
            }),
            Finish,
            Table(Update {
                row: 1,
                column: 3,
                value: Num(100),
            }),
            Step(2),
            Table(Update {
                row: 3,
                column: 2,
                value: Num(100),
            }),
            Step(10),
            Fault(Partial { from: 3, count: 7 }),
        ],
    );
}

#[test]
fn a_preview_leaves_nothing_behind() {
    replay(
        Setup {
            columns: 0,
            common_rows: 0,
            header: false,
            ..Setup::PLAIN
        },
        &[Preview, Step(1)],
    );
}

#[test]
fn a_one_way_cycle_against_a_one_way_mapping_decides_nothing() {
    replay(
        Setup {
            direction: Direction::ToSheet,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(7),
            Pull,
            Poll,
            Sheet(SheetEdit::Cell {
                row: 2,
                column: 2,
                value: Num(300),
            }),
            Step(7),
        ],
    );
}

#[test]
fn a_row_outside_the_filter_that_is_deleted_frees_its_key() {
    replay(
        Setup {
            columns: 0,
            filter: Filter::Listed,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(6),
            Table(Relist { row: 0 }),
            Step(4),
            Table(Delete { row: 0 }),
        ],
    );
}

#[test]
fn a_new_key_waits_while_the_missing_row_may_be_one_of_several() {
    // A process that starts anew does not know where the missing row stood: then a doubled key, or
    // a row without one, may be it, too, and the new key is none the less unclear.
    let doubled = [
        Table(Insert {
            key: 9,
            value: Num(200),
        }),
        Sheet(SheetEdit::TypeRow {
            key: Some(1),
            value: Num(400),
        }),
        Table(Insert {
            key: 3,
            value: Num(200),
        }),
        Table(Insert {
            key: 7,
            value: Nothing,
        }),
        Finish,
        Sheet(SheetEdit::TypeRow {
            key: Some(9),
            value: Num(400),
        }),
        Table(Insert {
            key: 4,
            value: Num(200),
        }),
        Step(4),
        Sheet(SheetEdit::Key { row: 3, key: 10 }),
    ];
    let keyless = Sheet(SheetEdit::TypeRow {
        key: None,
        value: Num(400),
    });
    let without_key = [
        Table(Insert {
            key: 7,
            value: Nothing,
        }),
        keyless,
        keyless,
        Finish,
        Sheet(SheetEdit::Key { row: 3, key: 1 }),
    ];
    for ops in [doubled.as_slice(), without_key.as_slice()] {
        let setup = Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        };
        replay(setup, ops);
    }
}

#[test]
fn what_was_decided_about_a_row_is_over_when_its_key_has_changed() {
    replay(
        Setup {
            columns: 0,
            name_policy: Some(Policy::SheetWins),
            common_rows: 3,
            sheet_rows: 2,
            differing: 2,
            ..Setup::PLAIN
        },
        &[
            Step(2),
            Step(7),
            Step(2),
            Step(5),
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
            Crash,
            Sheet(SheetEdit::Delete { row: 1 }),
            Table(Rekey { row: 7, key: 6 }),
        ],
    );
}

#[test]
fn what_was_decided_about_a_row_waits_with_it() {
    replay(
        Setup {
            columns: 16,
            policy: Policy::Function,
            upper: true,
            common_rows: 4,
            request_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Step(2),
            Step(7),
            Step(3),
            Step(2),
            Sheet(SheetEdit::ClearKey { row: 3 }),
            Step(1),
            Step(1),
            Step(2),
            Step(2),
            Step(4),
            Crash,
        ],
    );
}

#[test]
fn a_key_that_a_row_had_before_may_be_typed_for_another_row() {
    replay(
        Setup {
            columns: 0,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 0, key: 9 }),
            Step(3),
            Step(2),
            Step(1),
            Crash,
            Finish,
            Sheet(SheetEdit::Key { row: 7, key: 0 }),
        ],
    );
}
