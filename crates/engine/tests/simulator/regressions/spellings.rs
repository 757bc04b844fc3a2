//! Keys with two spellings.

use super::*;

#[test]
fn a_copy_of_a_row_that_got_its_new_key_unseen_is_a_row_of_its_own() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            on_table_delete: OnTableDelete::Keep,
            common_rows: 1,
            table_rows: 1,
            header: false,
            ..Setup::PLAIN
        },
        &[
            Step(1),
            Table(Delete { row: 0 }),
            Poll,
            Finish,
            Step(6),
            Table(Rekey { row: 2, key: 2 }),
            Sheet(SheetEdit::Duplicate { row: 4 }),
            Step(2),
            Step(4),
            Step(2),
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Step(4),
            Fault(AnswerLost),
            Step(6),
            Sheet(SheetEdit::Delete { row: 0 }),
            Sheet(SheetEdit::Key { row: 0, key: 0 }),
        ],
    );
}

#[test]
fn a_problem_is_told_after_a_crash_by_the_key_as_it_was_typed() {
    replay(
        Setup {
            ignores_case: true,
            columns: 36,
            filter: Filter::Live,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(6),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(13),
                value: Bad,
            }),
        ],
    );
}

#[test]
fn a_row_that_waits_for_a_person_comes_back_to_the_table_in_another_spelling() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            policy: Policy::Manual,
            header: false,
            ..Setup::PLAIN
        },
        &[
            Table(Delete { row: 0 }),
            Finish,
            Table(Delete { row: 0 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(1),
                value: Num(400),
            }),
            Sheet(SheetEdit::Delete { row: 0 }),
            Finish,
            Table(Insert {
                key: 8,
                value: Num(200),
            }),
        ],
    );
}

/// The sheet has a key twice, so that the table's row of that key waits; meanwhile the table
/// writes it otherwise.
#[test]
fn a_row_that_waits_to_be_inserted_follows_its_key_to_another_spelling() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: Some(0),
                value: Num(400),
            }),
            Table(Rekey { row: 0, key: 3 }),
            Table(Insert {
                key: 7,
                value: Num(200),
            }),
            Finish,
            Table(Rekey { row: 4, key: 0 }),
        ],
    );
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            common_rows: 5,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Duplicate { row: 4 }),
            Step(7),
            Step(7),
            Table(Rekey { row: 4, key: 11 }),
        ],
    );
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Delete { row: 0 }),
            Sheet(SheetEdit::Duplicate { row: 0 }),
            Step(6),
            Step(4),
            Step(4),
            Table(Rekey { row: 1, key: 3 }),
            Table(Insert {
                key: 8,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn a_problem_of_one_spelling_stays_when_that_of_another_is_over() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            direction: Direction::ToSheet,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(6),
            Sheet(SheetEdit::Clear { row: 7 }),
            Table(Delete { row: 7 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(7),
                value: Num(400),
            }),
        ],
    );
    replay(
        Setup {
            ignores_case: true,
            columns: 4,
            filter: Filter::Live,
            common_rows: 4,
            request_rows: 1,
            ..Setup::PLAIN
        },
        &[Finish, Table(Rekey { row: 3, key: 10 })],
    );
    replay(
        Setup {
            ignores_case: true,
            columns: 4,
            filter: Filter::Live,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Table(Truncate),
            Finish,
            Table(Insert {
                key: 10,
                value: Num(1),
            }),
        ],
    );
}

/// The table deletes the row of the one spelling and gives the other to another row, after the
/// spellings were asked for.
#[test]
fn a_row_does_not_get_a_key_that_another_row_of_the_sheet_has_in_another_spelling() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Truncate),
            Table(Insert {
                key: 3,
                value: Num(200),
            }),
            Step(2),
            Table(Rekey { row: 0, key: 7 }),
        ],
    );
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::InsertBlank { at: 5 }),
            Sheet(SheetEdit::Cell {
                row: 7,
                column: 5,
                value: Num(300),
            }),
            Table(Delete { row: 5 }),
            Step(1),
            Table(Delete { row: 0 }),
            Table(Rekey { row: 3, key: 7 }),
        ],
    );
}

#[test]
fn a_row_is_not_inserted_beside_one_that_people_typed_in_another_spelling_of_its_key() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            common_rows: 5,
            ..Setup::PLAIN
        },
        &[
            Step(4),
            Step(7),
            Step(5),
            Table(Insert {
                key: 6,
                value: Num(200),
            }),
            Sheet(SheetEdit::Key { row: 4, key: 12 }),
            Poll,
            Step(7),
            Sheet(SheetEdit::Key { row: 4, key: 5 }),
            Finish,
            Step(4),
            Table(Insert {
                key: 12,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn a_key_that_is_named_twice_is_respelled_once() {
    replay(
        Setup {
            ignores_case: true,
            columns: 16,
            tie: Side::Sheet,
            common_rows: 1,
            sheet_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Table(Rekey { row: 2, key: 2 }),
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
            Table(Insert {
                key: 3,
                value: Num(200),
            }),
            Table(Insert {
                key: 0,
                value: Num(200),
            }),
            Finish,
            Table(Delete { row: 1 }),
            Table(Rekey { row: 5, key: 7 }),
            Step(4),
            Table(Rekey { row: 0, key: 0 }),
        ],
    );
}

#[test]
fn a_deletion_goes_along_to_a_key_whose_row_waits_to_be_inserted() {
    replay(
        Setup {
            ignores_case: true,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Duplicate { row: 1 }),
            Step(7),
            Step(5),
            Table(Delete { row: 2 }),
            Step(7),
            Step(5),
            Sheet(SheetEdit::Delete { row: 0 }),
            Table(Rekey { row: 2, key: 5 }),
            Step(2),
            Table(Rekey { row: 0, key: 1 }),
            Sheet(SheetEdit::Delete { row: 0 }),
            Sheet(SheetEdit::Delete { row: 0 }),
        ],
    );
}

#[test]
fn a_key_that_another_row_had_in_between_names_no_row_for_certain() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            common_rows: 1,
            table_rows: 2,
            request_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Table(Rekey { row: 2, key: 2 }),
            Table(Insert {
                key: 1,
                value: Num(200),
            }),
            Finish,
            Table(Rekey { row: 1, key: 3 }),
            Table(Rekey { row: 1, key: 5 }),
            Sheet(SheetEdit::Delete { row: 2 }),
            Table(Rekey { row: 1, key: 1 }),
            Table(Delete { row: 0 }),
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Table(Rekey { row: 1, key: 0 }),
        ],
    );
}

#[test]
fn a_key_that_is_passed_on_in_two_spellings_is_compared_key_by_key() {
    replay(
        Setup {
            ignores_case: true,
            columns: 0,
            direction: Direction::ToSheet,
            max_delete_rows: 2,
            common_rows: 1,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(4),
            Step(7),
            Step(3),
            Step(4),
            Table(Delete { row: 2 }),
            Table(Rekey { row: 1, key: 1 }),
            Step(4),
            Table(Rekey { row: 0, key: 5 }),
            Step(4),
            Table(Rekey { row: 0, key: 1 }),
            Step(5),
            Step(5),
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Step(2),
            Table(Rekey { row: 4, key: 12 }),
            Table(Insert {
                key: 7,
                value: Num(200),
            }),
            Sheet(SheetEdit::Clear { row: 6 }),
            Step(6),
            Step(3),
            Step(5),
            Step(1),
            Step(4),
            Table(Rekey { row: 2, key: 4 }),
            Table(Rekey { row: 1, key: 5 }),
        ],
    );
}
