//! Rows whose cells or place in the sheet we took while somebody edited them: what is put back, and
//! what is not.

use super::*;

#[test]
fn what_we_emptied_again_is_no_row_that_fell() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            sheet_rows: 1,
            differing: 1,
            ..Setup::PLAIN
        },
        &[
            Step(6),
            Step(6),
            Step(6),
            Step(6),
            Poll,
            Sheet(SheetEdit::Clear { row: 0 }),
            Table(Rekey { row: 7, key: 3 }),
            Step(6),
            Step(6),
            Sheet(SheetEdit::Clear { row: 2 }),
            Step(3),
            Step(6),
            Crash,
        ],
    );
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 3, key: 6 }),
            Step(7),
            Sheet(SheetEdit::Clear { row: 5 }),
            Step(2),
            Step(2),
            Step(1),
            Step(1),
            Step(3),
            Crash,
        ],
    );
}

#[test]
fn a_row_that_was_emptied_under_an_edit_gets_its_key_back() {
    replay(
        Setup {
            columns: 26,
            on_table_delete: OnTableDelete::Clear,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
            Table(Update {
                row: 4,
                column: 6,
                value: Odd(2),
            }),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 3,
                value: Nothing,
            }),
            Finish,
            Table(Delete { row: 4 }),
            Step(2),
            Sheet(SheetEdit::Sort { column: 6 }),
            Step(7),
            Step(2),
            Step(2),
            Step(1),
            Step(1),
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 8,
                value: Num(300),
            }),
            Fault(AnswerLost),
        ],
    );
}

#[test]
fn a_row_that_was_emptied_under_an_edit_is_put_back_beside_another_of_its_key() {
    replay(
        Setup {
            columns: 0,
            layout: 2,
            policy: Policy::DatabaseWins,
            on_table_delete: OnTableDelete::Clear,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Duplicate { row: 0 }),
            Step(7),
            Step(4),
            Step(3),
            Poll,
            Table(Rekey { row: 0, key: 5 }),
            Step(5),
            Table(Delete { row: 0 }),
            Step(7),
            Step(4),
            Step(1),
            Step(4),
            Sheet(SheetEdit::Cell {
                row: 2,
                column: 7,
                value: Num(300),
            }),
            Step(5),
            Step(5),
            Crash,
            Sheet(SheetEdit::Key { row: 1, key: 1 }),
        ],
    );
    replay(
        Setup {
            columns: 32,
            direction: Direction::ToSheet,
            on_table_delete: OnTableDelete::Clear,
            filter: Filter::Listed,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Step(1),
            Step(1),
            Step(4),
            Sheet(SheetEdit::ClearKey { row: 1 }),
            Table(Rekey { row: 6, key: 13 }),
            Step(2),
            Step(7),
            Step(1),
            Step(4),
            Step(3),
            Table(Relist { row: 5 }),
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Step(1),
            Sheet(SheetEdit::TypeRow {
                key: Some(3),
                value: Num(400),
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(1),
                value: Num(400),
            }),
            Step(3),
            Sheet(SheetEdit::Key { row: 0, key: 2 }),
            Step(1),
            Step(5),
            Sheet(SheetEdit::TypeRow {
                key: Some(1),
                value: Num(2),
            }),
            Table(Delete { row: 0 }),
            Step(4),
            Step(3),
            Step(6),
            Fault(AnswerLost),
        ],
    );
}

#[test]
fn what_a_row_has_empty_that_came_back_to_the_filter_while_the_sheet_s_was_emptied_is_no_edit() {
    replay(
        Setup {
            columns: 20,
            tie: Side::Sheet,
            on_table_delete: OnTableDelete::Clear,
            filter: Filter::Live,
            ..Setup::PLAIN
        },
        &[
            Table(UpdateAll {
                column: 2,
                value: Num(106),
            }),
            Finish,
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Step(4),
            Step(6),
            Table(UpdateAll {
                column: 6,
                value: Nothing,
            }),
        ],
    );
}

#[test]
fn a_row_that_is_put_back_does_not_count_among_the_deleted() {
    replay(
        Setup {
            columns: 0,
            max_delete_rows: 1,
            common_rows: 0,
            header: false,
            ..Setup::PLAIN
        },
        &[
            Step(7),
            Step(1),
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
            Finish,
            Table(Delete { row: 5 }),
            Step(4),
            Sheet(SheetEdit::ClearKey { row: 2 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
        ],
    );
}

#[test]
fn a_row_whose_key_a_person_removed_before_we_did_is_not_put_back() {
    replay(
        Setup {
            columns: 32,
            on_table_delete: OnTableDelete::Clear,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: Some(1),
                value: Nothing,
            }),
            Finish,
            Table(Delete { row: 3 }),
            Step(4),
            Sheet(SheetEdit::ClearKey { row: 2 }),
        ],
    );
}
