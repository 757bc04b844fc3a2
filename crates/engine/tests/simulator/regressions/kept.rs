//! Rows that one side keeps although the other has them no more, and cells that wait for a person.

use super::*;

#[test]
fn a_pending_cell_of_a_row_that_came_back_to_the_table_still_waits_after_a_restart() {
    replay(
        Setup {
            columns: 0,
            policy: Policy::Manual,
            on_table_delete: OnTableDelete::Keep,
            filter: Filter::Listed,
            common_rows: 0,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Relist { row: 2 }),
            Poll,
            Step(2),
            Sheet(SheetEdit::Cell {
                row: 6,
                column: 7,
                value: Num(300),
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(9),
                value: Num(400),
            }),
            Sheet(SheetEdit::ClearKey { row: 1 }),
            Step(2),
            Table(Relist { row: 0 }),
        ],
    );
}

#[test]
fn a_value_that_the_table_lost_while_the_sheet_did_not_have_the_row_is_a_change() {
    replay(
        Setup {
            composite: true,
            columns: 30,
            on_sheet_delete: OnSheetDelete::Keep,
            filter: Filter::Live,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Table(Delete { row: 6 }),
            Step(6),
            Step(7),
            Step(4),
            Table(Delete { row: 4 }),
            Sheet(SheetEdit::Delete { row: 4 }),
            Finish,
            Step(2),
            Sheet(SheetEdit::TypeRow {
                key: Some(0),
                value: Num(400),
            }),
            Step(4),
            Table(Update {
                row: 4,
                column: 6,
                value: Nothing,
            }),
        ],
    );
}

#[test]
fn a_change_in_the_table_brings_back_a_row_that_was_kept() {
    replay(
        Setup {
            layout: 2,
            tie: Side::Sheet,
            on_sheet_delete: OnSheetDelete::Keep,
            common_rows: 3,
            table_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Cell {
                row: 2,
                column: 5,
                value: Num(300),
            }),
            Finish,
            Crash,
            Sheet(SheetEdit::Delete { row: 6 }),
            Step(3),
            Table(Update {
                row: 2,
                column: 2,
                value: Nothing,
            }),
            Step(6),
            Step(3),
            Sheet(SheetEdit::Delete { row: 7 }),
            Sheet(SheetEdit::Clear { row: 7 }),
        ],
    );
}

#[test]
fn what_was_cleared_by_us_is_no_person_s_delete() {
    replay(
        Setup {
            generated: true,
            columns: 0,
            on_table_delete: OnTableDelete::Clear,
            filter: Filter::Listed,
            common_rows: 0,
            sheet_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Step(7),
            Sheet(SheetEdit::ClearKey { row: 6 }),
            Step(3),
            Step(5),
            Poll,
            Step(3),
            Step(5),
            Step(6),
            Table(Relist { row: 3 }),
            Crash,
            Step(7),
            Step(5),
            Table(Delete { row: 3 }),
            Step(6),
            Fault(Stale),
        ],
    );
}

#[test]
fn a_delete_that_a_reference_refuses_stays_a_problem() {
    replay(
        Setup {
            policy: Policy::SheetWins,
            name_policy: Some(Policy::LastWriteWins),
            pinned: true,
            differing: 2,
            ..Setup::PLAIN
        },
        &[
            Step(6),
            Step(7),
            Step(1),
            Sheet(SheetEdit::ClearKey { row: 1 }),
        ],
    );
}

#[test]
fn while_one_cell_waits_for_a_person_the_others_of_a_row_outside_the_filter_go_on() {
    replay(
        Setup {
            policy: Policy::Manual,
            filter: Filter::Listed,
            common_rows: 1,
            differing: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Relist { row: 0 }),
            Finish,
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 2,
                value: Num(301),
            }),
        ],
    );
}

#[test]
fn a_row_that_was_kept_and_is_typed_again_takes_from_the_table_what_it_leaves_empty() {
    replay(
        Setup {
            columns: 0,
            on_sheet_delete: OnSheetDelete::Keep,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Delete { row: 7 }),
            Table(Insert {
                key: 1,
                value: Num(200),
            }),
            Finish,
            Finish,
            Sheet(SheetEdit::TypeRow {
                key: Some(0),
                value: Num(400),
            }),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 1,
                value: Nothing,
            }),
        ],
    );
}

#[test]
fn a_bad_cell_of_a_row_that_left_the_filter_holds_up_no_other_cell() {
    replay(
        Setup {
            composite: true,
            columns: 24,
            filter: Filter::Listed,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 6,
                value: Num(200),
            }),
            Step(7),
            Step(7),
            Sheet(SheetEdit::Cell {
                row: 1,
                column: 8,
                value: Bad,
            }),
            Table(Relist { row: 2 }),
            Table(Update {
                row: 3,
                column: 2,
                value: Num(100),
            }),
            Sheet(SheetEdit::Cell {
                row: 6,
                column: 2,
                value: Num(300),
            }),
        ],
    );
}

#[test]
fn what_the_table_won_while_a_row_was_held_outside_the_filter_is_shown_when_it_comes_back() {
    replay(
        Setup {
            columns: 8,
            filter: Filter::Listed,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 2,
                value: Bad,
            }),
            Table(Relist { row: 0 }),
            Table(Update {
                row: 0,
                column: 1,
                value: Num(100),
            }),
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 1,
                value: Num(300),
            }),
            Finish,
            // What the base had before: it is news to a sheet that shows something else.
            Table(Update {
                row: 0,
                column: 1,
                value: Num(0),
            }),
            Table(Relist { row: 0 }),
        ],
    );
}

#[test]
fn what_a_one_way_cycle_left_is_found_after_a_crash() {
    replay(
        Setup {
            columns: 0,
            direction: Direction::FromSheet,
            common_rows: 0,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Finish,
            Push,
            Crash,
            Sheet(SheetEdit::TypeRow {
                key: Some(2),
                value: Nothing,
            }),
            Finish,
            Crash,
        ],
    );
}

#[test]
fn a_row_that_takes_over_a_changed_key_passes_for_the_row_that_had_it() {
    replay(
        Setup {
            composite: true,
            columns: 5,
            common_rows: 1,
            sheet_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Step(5),
            Step(4),
            Table(Insert {
                key: 12,
                value: Num(200),
            }),
            Step(5),
            Table(Rekey { row: 3, key: 8 }),
            Sheet(SheetEdit::Cell {
                row: 5,
                column: 4,
                value: Num(300),
            }),
            Table(Delete { row: 6 }),
            Table(Insert {
                key: 8,
                value: Num(445),
            }),
        ],
    );
}

#[test]
fn a_value_that_means_what_the_table_has_is_settled_beside_one_that_is_refused() {
    replay(
        Setup {
            columns: 13,
            tie: Side::Sheet,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(3),
            Sheet(SheetEdit::Cell {
                row: 3,
                column: 1,
                value: Illegal,
            }),
            Step(7),
            Poll,
            Step(6),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 7,
                value: Odd(5),
            }),
            Step(4),
            Step(7),
            Resync,
        ],
    );
}

#[test]
fn a_row_that_leaves_the_sheet_once_a_function_has_answered_is_counted_and_asked_about() {
    replay(
        Setup {
            columns: 4,
            name_policy: Some(Policy::Function),
            max_delete_rows: 0,
            filter: Filter::Live,
            common_rows: 0,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 4,
                value: Num(300),
            }),
            Table(UpdateAll {
                column: 2,
                value: Num(199),
            }),
            Table(UpdateAll {
                column: 1,
                value: Num(529),
            }),
        ],
    );
}

#[test]
fn a_refusal_because_of_a_missing_row_waits_in_a_worker_that_begins_anew() {
    replay(
        Setup {
            columns: 16,
            direction: Direction::FromSheet,
            pinned: true,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 12,
                value: Num(200),
            }),
            Step(6),
            Sheet(SheetEdit::Key { row: 7, key: 12 }),
        ],
    );
}
