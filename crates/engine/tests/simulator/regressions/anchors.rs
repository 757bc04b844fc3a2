//! Edits that are given back to their row, wherever it stands: by the anchor that the write left on
//! it.

use super::*;

#[test]
fn a_key_cleared_while_it_was_written_and_typed_into_another_row() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            request_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: Some(0),
                value: Num(400),
            }),
            Sheet(SheetEdit::ClearKey { row: 2 }),
            Step(6),
            Sheet(SheetEdit::Delete { row: 0 }),
            Step(4),
            Table(Rekey { row: 2, key: 8 }),
            Finish,
            Table(Rekey { row: 2, key: 3 }),
            Step(4),
            Step(3),
            Step(5),
            Step(2),
            Step(3),
            Step(5),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Step(4),
            Sheet(SheetEdit::ClearKey { row: 2 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(3),
                value: Num(400),
            }),
        ],
    );
}

#[test]
fn a_row_retyped_while_it_was_written_beside_two_others_of_its_new_key() {
    replay(
        Setup {
            columns: 4,
            ..Setup::PLAIN
        },
        &[
            Table(Rekey { row: 1, key: 5 }),
            Step(1),
            Table(Insert {
                key: 1,
                value: Num(200),
            }),
            Step(7),
            Step(4),
            Step(3),
            Step(2),
            Sheet(SheetEdit::Key { row: 1, key: 2 }),
            Step(3),
            Sheet(SheetEdit::Key { row: 0, key: 2 }),
            Sheet(SheetEdit::Duplicate { row: 0 }),
        ],
    );
}

#[test]
fn a_key_typed_while_the_row_got_another_and_a_crash_and_that_other_typed_below() {
    replay(
        Setup {
            columns: 0,
            common_rows: 0,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 2, key: 4 }),
            Step(6),
            Sheet(SheetEdit::Key { row: 2, key: 3 }),
            Step(4),
            Crash,
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
        ],
    );
}

#[test]
fn a_key_cleared_while_it_was_written_and_the_row_copied_and_deleted_since() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: Some(2),
                value: Num(400),
            }),
            Step(5),
            Sheet(SheetEdit::Delete { row: 1 }),
            Step(6),
            Step(3),
            Table(Rekey { row: 2, key: 3 }),
            Step(4),
            Step(4),
            Step(2),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Step(5),
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Sheet(SheetEdit::Delete { row: 0 }),
        ],
    );
}

#[test]
fn an_edit_of_a_cell_that_was_put_back_and_a_crash_before_anybody_saw_it() {
    replay(
        Setup {
            columns: 2,
            direction: Direction::ToSheet,
            common_rows: 5,
            ..Setup::PLAIN
        },
        &[
            Step(6),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 2,
                value: Num(300),
            }),
            Finish,
            Poll,
            Step(3),
            Step(7),
            Sheet(SheetEdit::Cell {
                row: 2,
                column: 5,
                value: Num(265),
            }),
            Step(1),
            Step(1),
            Crash,
        ],
    );
}

#[test]
fn a_key_given_back_whose_answer_is_lost_and_that_is_typed_again() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            header: false,
            ..Setup::PLAIN
        },
        &[
            Step(3),
            Step(1),
            Step(2),
            Step(1),
            Step(4),
            Step(5),
            Step(4),
            Step(1),
            Step(1),
            Table(Rekey { row: 0, key: 4 }),
            Step(7),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Step(4),
            Step(7),
            Fault(AnswerLost),
            Sheet(SheetEdit::Key { row: 1, key: 4 }),
        ],
    );
}

#[test]
fn half_of_a_key_written_into_a_row_that_was_emptied_and_a_crash() {
    replay(
        Setup {
            composite: true,
            columns: 0,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 1,
                value: Num(200),
            }),
            Step(5),
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
            Step(5),
            Table(Delete { row: 2 }),
            Table(Rekey { row: 0, key: 5 }),
            Finish,
            Step(2),
            Step(4),
            Sheet(SheetEdit::Delete { row: 2 }),
            Sheet(SheetEdit::Clear { row: 3 }),
            Step(4),
            Crash,
            Sheet(SheetEdit::Key { row: 2, key: 5 }),
        ],
    );
}

#[test]
fn a_row_whose_key_the_table_changes_in_the_moment_in_which_it_is_deleted_in_the_sheet() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(6),
            Step(4),
            Step(4),
            Crash,
            Step(1),
            Table(Rekey { row: 6, key: 2 }),
            Step(5),
            Step(6),
            Sheet(SheetEdit::Delete { row: 6 }),
        ],
    );
}

#[test]
fn a_look_without_an_answer_is_repeated_by_the_next_cycle() {
    replay(
        Setup {
            columns: 0,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 10,
                value: Num(200),
            }),
            Step(7),
            Poll,
            Step(1),
            Step(3),
            Step(7),
            Table(Update {
                row: 7,
                column: 3,
                value: Num(100),
            }),
            Step(3),
            Step(2),
            Step(2),
            Sheet(SheetEdit::Cell {
                row: 5,
                column: 3,
                value: Num(300),
            }),
            Step(3),
            Sheet(SheetEdit::Cell {
                row: 3,
                column: 1,
                value: Bad,
            }),
            Sheet(SheetEdit::TypeRow {
                key: Some(6),
                value: Num(400),
            }),
            Step(4),
            Fault(AnswerLost),
            Step(7),
            Step(2),
            Fault(AnswerLost),
            Table(Delete { row: 4 }),
        ],
    );
}

#[test]
fn a_copy_of_a_row_stays_when_the_row_gets_another_key_without_an_answer() {
    replay(
        Setup {
            composite: true,
            columns: 0,
            on_table_delete: OnTableDelete::Keep,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Table(Rekey { row: 2, key: 5 }),
            Step(3),
            Step(6),
            Fault(AnswerLost),
        ],
    );
}

#[test]
fn a_reading_older_than_the_first_write() {
    replay(
        Setup {
            composite: true,
            columns: 12,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Table(UpdateAll {
                column: 8,
                value: Num(113),
            }),
            Finish,
            Poll,
            Step(1),
            Fault(Stale),
            Table(UpdateAll {
                column: 3,
                value: Illegal,
            }),
        ],
    );
}

#[test]
fn a_row_that_is_put_back_beside_one_that_is_only_to_be_inserted() {
    replay(
        Setup {
            generated: true,
            columns: 48,
            common_rows: 1,
            table_rows: 2,
            request_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::ClearKey { row: 3 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
            Table(Delete { row: 7 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(13),
                value: Num(400),
            }),
            Finish,
            Sheet(SheetEdit::Cell {
                row: 5,
                column: 6,
                value: Num(300),
            }),
            Table(Insert {
                key: 3,
                value: Num(200),
            }),
            Step(3),
            Table(Delete { row: 6 }),
            Step(3),
            Step(5),
            Sheet(SheetEdit::Key { row: 2, key: 3 }),
            Step(3),
            Sheet(SheetEdit::Delete { row: 2 }),
        ],
    );
}

#[test]
fn a_row_that_could_not_be_put_back_is_not_taken_for_back_because_another_has_its_key() {
    replay(
        Setup {
            columns: 0,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::TypeRow {
                key: Some(1),
                value: Num(400),
            }),
            Table(Delete { row: 0 }),
            Step(4),
            Sheet(SheetEdit::Key { row: 0, key: 1 }),
            Step(3),
            Sheet(SheetEdit::Cell {
                row: 5,
                column: 1,
                value: Num(300),
            }),
            Step(2),
            Step(1),
            Sheet(SheetEdit::Delete { row: 0 }),
        ],
    );
}

#[test]
fn a_row_to_which_something_is_owed_and_that_was_moved_is_not_looked_at_before_it_has_it() {
    replay(
        Setup {
            columns: 16,
            max_delete_rows: 2,
            common_rows: 9,
            request_rows: 2,
            anchors_apart: 2,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Move { from: 6, to: 9 }),
            Table(UpdateAll {
                column: 4,
                value: Num(361),
            }),
            Step(6),
            Table(UpdateAll {
                column: 5,
                value: Num(3),
            }),
            Step(11),
            Step(4),
            Step(7),
            Step(10),
            Sheet(SheetEdit::Delete { row: 6 }),
            Step(7),
            Sheet(SheetEdit::Move { from: 1, to: 3 }),
            Table(UpdateAll {
                column: 5,
                value: Odd(5),
            }),
            Step(7),
            Sheet(SheetEdit::Move { from: 5, to: 8 }),
        ],
    );
}

#[test]
fn a_copy_of_a_row_that_was_just_written_and_that_goes_itself() {
    replay(
        Setup {
            generated: true,
            columns: 0,
            common_rows: 1,
            differing: 1,
            ..Setup::PLAIN
        },
        &[
            Step(3),
            Step(3),
            Step(5),
            Step(4),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Step(5),
            Sheet(SheetEdit::Duplicate { row: 0 }),
            Step(2),
            Sheet(SheetEdit::Delete { row: 0 }),
        ],
    );
}

#[test]
fn what_a_refused_write_would_have_put_into_a_cell_is_typed_by_a_person() {
    replay(
        Setup {
            columns: 4,
            common_rows: 6,
            differing: 1,
            anchors_apart: 2,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Delete { row: 0 }),
            Table(UpdateAll {
                column: 4,
                value: Odd(1),
            }),
            Step(4),
            Step(4),
            Table(UpdateAll {
                column: 2,
                value: Illegal,
            }),
            Step(5),
            Sheet(SheetEdit::Move { from: 0, to: 1 }),
            Table(UpdateAll {
                column: 8,
                value: Num(561),
            }),
            Step(11),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 5,
                value: Num(300),
            }),
        ],
    );
}

#[test]
fn half_of_a_key_given_back_where_another_row_stands_in_the_place_of_the_deleted_one() {
    replay(
        Setup {
            composite: true,
            columns: 0,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
            Table(Rekey { row: 2, key: 0 }),
            Finish,
            Table(Rekey { row: 0, key: 2 }),
            Step(4),
            Step(3),
            Sheet(SheetEdit::Key { row: 0, key: 5 }),
            Step(5),
            Sheet(SheetEdit::Delete { row: 1 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(2),
                value: Num(400),
            }),
        ],
    );
}
