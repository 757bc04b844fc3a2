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
