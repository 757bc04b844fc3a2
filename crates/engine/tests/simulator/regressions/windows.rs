//! Edits in the one round trip between a look and a write.

use super::*;

#[test]
fn a_row_that_is_emptied_while_a_cell_of_it_is_being_emptied() {
    replay(
        Setup {
            columns: 4,
            layout: 2,
            common_rows: 0,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(7),
            Step(1),
            Step(3),
            Step(6),
            Table(Update {
                row: 0,
                column: 2,
                value: Nothing,
            }),
            Step(4),
            Sheet(SheetEdit::Clear { row: 3 }),
        ],
    );
}

#[test]
fn a_cell_left_empty_in_a_row_that_both_sides_are_about_to_have() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            differing: 1,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
            Step(5),
            Step(2),
            Step(2),
            Step(5),
            Step(2),
            Crash,
            Sheet(SheetEdit::TypeRow {
                key: Some(11),
                value: Num(400),
            }),
            Sheet(SheetEdit::Cell {
                row: 1,
                column: 5,
                value: Nothing,
            }),
        ],
    );
}

#[test]
fn a_row_that_gets_another_key_while_it_is_being_deleted() {
    replay(
        Setup {
            columns: 0,
            on_sheet_delete: OnSheetDelete::Keep,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Delete { row: 6 }),
            Table(Insert {
                key: 7,
                value: Num(200),
            }),
            Finish,
            Table(Delete { row: 4 }),
            Preview,
            Step(1),
            Step(5),
            Step(3),
            Sheet(SheetEdit::Delete { row: 1 }),
            Sheet(SheetEdit::Key { row: 2, key: 7 }),
        ],
    );
}

#[test]
fn an_old_key_taken_over_by_a_new_row_while_its_renaming_is_cut_off() {
    replay(
        Setup {
            columns: 0,
            policy: Policy::SheetWins,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Crash,
            Table(Rekey { row: 1, key: 3 }),
            Step(5),
            Step(4),
            Step(5),
            Crash,
            Table(Insert {
                key: 1,
                value: Num(200),
            }),
        ],
    );
}
