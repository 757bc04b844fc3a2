//! What a batch went over that nobody had seen.

use super::*;

#[test]
fn an_edit_of_the_very_cell_that_is_being_written() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Update {
                row: 0,
                column: 1,
                value: Num(100),
            }),
            Step(4),
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 1,
                value: Num(300),
            }),
        ],
    );
}

#[test]
fn an_edit_of_the_very_cell_and_a_crash_before_anybody_saw_it() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Update {
                row: 0,
                column: 1,
                value: Num(100),
            }),
            Step(4),
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 1,
                value: Num(300),
            }),
            Step(3),
            Crash,
        ],
    );
}

#[test]
fn a_row_edited_in_the_moment_of_its_deletion() {
    replay(
        Setup {
            columns: 17,
            common_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Delete { row: 0 }),
            Step(4),
            Sheet(SheetEdit::Cell {
                row: 0,
                column: 3,
                value: Num(300),
            }),
        ],
    );
}

#[test]
fn a_key_given_to_a_row_and_a_crash_before_that_is_recorded() {
    replay(
        Setup {
            generated: true,
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: None,
                value: Num(400),
            }),
            Step(4),
            Step(5),
            Step(5),
            Step(7),
            Step(5),
            Crash,
        ],
    );
}

#[test]
fn a_row_that_is_retyped_and_moved_in_the_moment_of_the_write() {
    replay(
        Setup {
            columns: 0,
            common_rows: 5,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Update {
                row: 7,
                column: 5,
                value: Num(100),
            }),
            Step(3),
            Step(1),
            Sheet(SheetEdit::Key { row: 7, key: 4 }),
            Sheet(SheetEdit::Sort { column: 6 }),
        ],
    );
}

#[test]
fn an_answer_lost_while_an_edit_is_given_back_to_a_row_that_took_anothers_place() {
    replay(
        Setup {
            columns: 0,
            on_table_delete: OnTableDelete::Keep,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 4, key: 12 }),
            Step(1),
            Step(1),
            Table(Insert {
                key: 0,
                value: Num(200),
            }),
            Step(4),
            Step(1),
            Step(6),
            Step(2),
            Sheet(SheetEdit::Delete { row: 3 }),
            Step(1),
            Step(1),
            Sheet(SheetEdit::TypeRow {
                key: Some(5),
                value: Num(400),
            }),
            Step(3),
            Step(6),
            Step(1),
            Fault(AnswerLost),
        ],
    );
}

#[test]
fn a_row_that_loses_its_key_while_an_edit_is_given_back() {
    replay(
        Setup {
            columns: 19,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Delete { row: 5 }),
            Sheet(SheetEdit::Cell {
                row: 2,
                column: 8,
                value: Num(300),
            }),
            Step(6),
            Step(6),
            Step(3),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Step(7),
            Step(2),
            Step(2),
            Sheet(SheetEdit::Clear { row: 4 }),
        ],
    );
}

#[test]
fn a_row_renamed_under_a_person_who_makes_another_row_of_it() {
    replay(
        Setup {
            columns: 0,
            common_rows: 0,
            sheet_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 1, key: 5 }),
            Step(4),
            Sheet(SheetEdit::TypeRow {
                key: Some(5),
                value: Num(400),
            }),
            Sheet(SheetEdit::Delete { row: 0 }),
            Sheet(SheetEdit::Key { row: 0, key: 3 }),
        ],
    );
}

#[test]
fn a_key_emptied_while_it_is_changed_and_a_resync_after_a_crash() {
    replay(
        Setup {
            columns: 0,
            common_rows: 0,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 4, key: 13 }),
            Step(1),
            Step(6),
            Sheet(SheetEdit::ClearKey { row: 6 }),
            Step(3),
            Resync,
        ],
    );
}

#[test]
fn a_cell_edited_in_the_moment_in_which_a_waiting_row_is_first_written() {
    replay(
        Setup {
            columns: 36,
            common_rows: 1,
            differing: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Finish,
            Sheet(SheetEdit::Delete { row: 2 }),
            Poll,
            Step(5),
            Step(7),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 1,
                value: Num(300),
            }),
            Table(Update {
                row: 5,
                column: 6,
                value: Nothing,
            }),
        ],
    );
}
