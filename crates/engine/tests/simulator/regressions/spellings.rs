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
