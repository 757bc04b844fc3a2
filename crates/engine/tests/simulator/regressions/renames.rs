//! Rows whose key the table changes while a person deletes them in the sheet.

use super::*;

#[test]
fn the_old_key_comes_in_a_batch_of_its_own() {
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(2),
            Step(4),
            Step(3),
            Step(5),
            Sheet(SheetEdit::Key { row: 5, key: 5 }),
            Table(Rekey { row: 0, key: 3 }),
        ],
    );
}

/// In whichever moment the worker dies, and whichever key the sheet shows by then.
#[test]
fn the_worker_dies_while_a_new_key_is_written() {
    let policies = [
        Policy::LastWriteWins,
        Policy::DatabaseWins,
        Policy::SheetWins,
        Policy::Manual,
        Policy::Function,
    ];
    let keeps = [OnSheetDelete::Delete, OnSheetDelete::Keep];
    for (policy, on_sheet_delete) in policies
        .into_iter()
        .flat_map(|one| keeps.map(|keep| (one, keep)))
    {
        for steps in 0..24 {
            for back in [3, 0, 4] {
                replay(
                    Setup {
                        policy,
                        on_sheet_delete,
                        common_rows: 3,
                        ..Setup::PLAIN
                    },
                    &[
                        Finish,
                        Table(Rekey { row: 0, key: 3 }),
                        Step(steps),
                        Crash,
                        Sheet(SheetEdit::Delete { row: 0 }),
                        Table(Rekey { row: 2, key: back }),
                    ],
                );
            }
        }
    }
}

#[test]
fn a_key_that_comes_back_and_is_changed_again_is_followed() {
    replay(
        Setup {
            composite: true,
            columns: 32,
            common_rows: 3,
            request_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Delete { row: 2 }),
            Table(Rekey { row: 1, key: 4 }),
            Table(Rekey { row: 1, key: 2 }),
            Table(Rekey { row: 1, key: 4 }),
        ],
    );
}

#[test]
fn a_row_typed_under_the_old_key_of_a_deleted_row_is_another_one() {
    replay(
        Setup {
            direction: Direction::FromSheet,
            max_delete_rows: 1,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Delete { row: 0 }),
            Table(Rekey { row: 1, key: 1 }),
            Finish,
            Step(2),
            Step(4),
            Sheet(SheetEdit::TypeRow {
                key: Some(0),
                value: Num(400),
            }),
        ],
    );
}
