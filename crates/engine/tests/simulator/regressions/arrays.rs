//! Arrays that fill a column, break and fall silent.

use super::*;

#[test]
fn a_new_row_leaves_its_cell_to_the_array_that_begins_in_the_row_above() {
    replay(
        Setup {
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Array { column: 0 }),
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn what_an_array_shows_in_a_new_row_is_compared_with_the_table() {
    replay(
        Setup {
            columns: 2,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Array { column: 1 }),
            Table(Insert {
                key: 12,
                value: Num(200),
            }),
        ],
    );
    replay(
        Setup {
            columns: 2,
            tie: Side::Sheet,
            pinned: true,
            keeps: true,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Array { column: 1 }),
            Sheet(SheetEdit::Delete { row: 1 }),
        ],
    );
}

#[test]
fn a_first_merge_neither_fills_nor_believes_what_a_silent_array_left_blank() {
    replay(
        Setup {
            common_rows: 1,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Silence { how: 1 }),
            Finish,
            Sheet(SheetEdit::Array { column: 0 }),
            Resync,
        ],
    );
    replay(
        Setup {
            columns: 2,
            direction: Direction::FromSheet,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Silence { how: 1 }),
            Sheet(SheetEdit::Array { column: 1 }),
        ],
    );
}

#[test]
fn who_types_at_the_top_of_an_array_empties_none_of_the_rows_below() {
    replay(
        Setup {
            common_rows: 1,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 7,
                value: Num(200),
            }),
            Finish,
            Sheet(SheetEdit::Array { column: 0 }),
            Sheet(SheetEdit::Cell {
                row: 4,
                column: 2,
                value: Num(300),
            }),
        ],
    );
    replay(
        Setup {
            tie: Side::Sheet,
            common_rows: 6,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Array { column: 0 }),
            Sheet(SheetEdit::Move { from: 0, to: 3 }),
            Finish,
            Sheet(SheetEdit::Move { from: 7, to: 9 }),
        ],
    );
}

#[test]
fn a_row_that_leaves_the_filter_waits_for_the_array_that_left_a_cell_of_it_blank() {
    replay(
        Setup {
            composite: true,
            columns: 7,
            max_delete_rows: 2,
            filter: Filter::Live,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Silence { how: 0 }),
            Sheet(SheetEdit::Array { column: 1 }),
            Table(UpdateAll {
                column: 5,
                value: Odd(1),
            }),
        ],
    );
}

#[test]
fn what_an_array_showed_in_a_cell_that_a_person_is_to_decide_about_is_no_edit_when_it_breaks() {
    replay(
        Setup {
            ignores_case: true,
            policy: Policy::Manual,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Array { column: 0 }),
            Finish,
            Sheet(SheetEdit::TypeRow {
                key: Some(5),
                value: Num(400),
            }),
        ],
    );
}

#[test]
fn what_a_broken_array_left_blank_is_not_filled_under_another_key() {
    replay(
        Setup::PLAIN,
        &[
            Sheet(SheetEdit::Array { column: 0 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
            Finish,
            Sheet(SheetEdit::Key { row: 1, key: 5 }),
        ],
    );
    replay(
        Setup {
            composite: true,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Array { column: 0 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(4),
                value: Num(400),
            }),
            Pull,
            Step(1),
        ],
    );
    replay(
        Setup {
            columns: 3,
            table_rows: 1,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(1),
            Pull,
            Finish,
            Sheet(SheetEdit::Array { column: 0 }),
            Resync,
            Sheet(SheetEdit::Cell {
                row: 6,
                column: 6,
                value: Num(300),
            }),
            Step(1),
        ],
    );
}

#[test]
fn a_new_row_leaves_its_cell_to_an_array_below_blank_rows_or_above_rows_without_a_key() {
    replay(
        Setup {
            columns: 2,
            table_rows: 1,
            sheet_rows: 2,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::InsertBlank { at: 6 }),
            Table(Insert {
                key: 10,
                value: Num(200),
            }),
            Finish,
            Sheet(SheetEdit::Array { column: 1 }),
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
        ],
    );
    replay(
        Setup {
            columns: 2,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: None,
                value: Num(400),
            }),
            Sheet(SheetEdit::Array { column: 1 }),
            Table(Insert {
                key: 8,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn a_new_row_leaves_its_cell_to_an_array_in_the_last_row() {
    replay(
        Setup {
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::Array { column: 0 }),
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Sheet(SheetEdit::Duplicate { row: 2 }),
        ],
    );
    replay(
        Setup {
            columns: 17,
            differing: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Array { column: 0 }),
            Finish,
            Table(Insert {
                key: 9,
                value: Num(200),
            }),
            Sheet(SheetEdit::Sort { column: 6 }),
            Sheet(SheetEdit::Silence { how: 0 }),
        ],
    );
}

#[test]
fn a_row_stays_whose_array_fills_others_beyond_a_blank_row() {
    replay(
        Setup {
            columns: 2,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Table(Insert {
                key: 5,
                value: Num(200),
            }),
            Sheet(SheetEdit::InsertBlank { at: 5 }),
            Sheet(SheetEdit::InsertBlank { at: 2 }),
            Table(Insert {
                key: 2,
                value: Num(200),
            }),
            Table(Insert {
                key: 9,
                value: Num(200),
            }),
            Finish,
            Sheet(SheetEdit::Array { column: 1 }),
            Sheet(SheetEdit::InsertBlank { at: 7 }),
            Table(Rekey { row: 3, key: 6 }),
            Finish,
            Table(Delete { row: 7 }),
        ],
    );
}
