//! Readings that were not whole, or not new.

use super::*;

#[test]
fn a_sheet_row_without_a_base_that_one_reading_hides_is_not_inserted_beside_itself() {
    replay(
        Setup {
            columns: 0,
            direction: Direction::ToSheet,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Sheet(SheetEdit::TypeRow {
                key: Some(12),
                value: Num(400),
            }),
            Finish,
            Table(Insert {
                key: 12,
                value: Num(200),
            }),
            Crash,
            Step(4),
            Step(1),
            Fault(Partial { from: 4, count: 2 }),
        ],
    );
    replay(
        Setup {
            columns: 4,
            filter: Filter::Live,
            ..Setup::PLAIN
        },
        &[
            Table(Delete { row: 2 }),
            Sheet(SheetEdit::Delete { row: 2 }),
            Step(2),
            Step(6),
            Sheet(SheetEdit::TypeRow {
                key: Some(7),
                value: Num(400),
            }),
            Poll,
            Step(6),
            Step(7),
            Step(6),
            Poll,
            Table(Update {
                row: 6,
                column: 2,
                value: Num(100),
            }),
            Sheet(SheetEdit::Clear { row: 3 }),
            Step(3),
            Fault(Partial { from: 4, count: 1 }),
        ],
    );
}

#[test]
fn a_key_is_taken_for_edited_once_two_readings_miss_the_old_one() {
    replay(
        Setup {
            columns: 4,
            filter: Filter::Live,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(5),
            Step(6),
            Step(6),
            Sheet(SheetEdit::TypeRow {
                key: Some(5),
                value: Num(0),
            }),
            Crash,
            Step(5),
            Fault(Partial { from: 0, count: 1 }),
        ],
    );
}

#[test]
fn a_row_that_we_deleted_does_not_rise_from_an_old_reading_whatever_it_showed_then() {
    replay(
        Setup {
            columns: 8,
            policy: Policy::DatabaseWins,
            on_sheet_delete: OnSheetDelete::Keep,
            common_rows: 0,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Cell {
                row: 5,
                column: 8,
                value: Num(300),
            }),
            Table(Delete { row: 5 }),
            Step(6),
            Step(5),
            Poll,
            Step(1),
            Fault(Stale),
        ],
    );
}

#[test]
fn a_clear_that_is_still_under_way_undoes_nothing_that_was_agreed_on() {
    replay(
        Setup {
            columns: 0,
            on_table_delete: OnTableDelete::Clear,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Delete { row: 0 }),
            Step(3),
            Step(4),
            Fault(Late),
            Table(Insert {
                key: 0,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn what_a_first_merge_found_and_could_not_touch_is_not_forgotten() {
    replay(
        Setup {
            columns: 0,
            common_rows: 3,
            differing: 1,
            ..Setup::PLAIN
        },
        &[Step(6), Sheet(SheetEdit::Delete { row: 3 })],
    );
    replay(
        Setup {
            columns: 0,
            common_rows: 1,
            differing: 1,
            ..Setup::PLAIN
        },
        &[
            Step(4),
            Step(1),
            Step(5),
            Sheet(SheetEdit::Delete { row: 2 }),
            Step(7),
            Crash,
        ],
    );
}

#[test]
fn a_heading_that_a_person_mends_while_it_is_made_anew_stands_over_its_own_column() {
    replay(
        Setup {
            columns: 2,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Step(2),
            Sheet(SheetEdit::BreakHeader { column: 4 }),
            Step(1),
            Step(4),
            Sheet(SheetEdit::MendHeader),
            Step(1),
            Sheet(SheetEdit::TypeRow {
                key: Some(9),
                value: Num(400),
            }),
            Sheet(SheetEdit::BreakHeader { column: 4 }),
        ],
    );
}

#[test]
fn two_short_readings_confirm_no_deletion_although_the_one_between_them_was_put_aside() {
    replay(
        Setup {
            columns: 0,
            common_rows: 4,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Crash,
            Poll,
            Step(2),
            Sheet(SheetEdit::Delete { row: 0 }),
            Step(6),
            Step(3),
            Step(3),
            Fault(Partial { from: 7, count: 5 }),
            Finish,
            Sheet(SheetEdit::Delete { row: 1 }),
            Step(3),
            Fault(Partial { from: 1, count: 4 }),
        ],
    );
}

#[test]
fn a_row_that_lost_its_key_to_another_gets_that_key_nowhere() {
    replay(
        Setup {
            composite: true,
            columns: 0,
            direction: Direction::ToSheet,
            common_rows: 1,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Table(Delete { row: 0 }),
            Finish,
            Table(Insert {
                key: 1,
                value: Num(200),
            }),
            Table(Rekey { row: 2, key: 3 }),
            Table(Delete { row: 1 }),
            Table(Rekey { row: 0, key: 3 }),
        ],
    );
}

#[test]
fn a_key_that_passed_on_between_two_looks_is_not_followed() {
    replay(
        Setup {
            columns: 0,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(1),
            Preview,
            Sheet(SheetEdit::Key { row: 1, key: 5 }),
            Finish,
            Sheet(SheetEdit::Key { row: 2, key: 3 }),
            Step(4),
            Sheet(SheetEdit::TypeRow {
                key: Some(1),
                value: Num(400),
            }),
            Step(4),
            Table(Rekey { row: 1, key: 4 }),
            Step(5),
            Table(Rekey { row: 2, key: 3 }),
            Table(Insert {
                key: 4,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn an_old_reading_that_shows_a_row_under_the_key_that_we_took_from_it_makes_no_new_row() {
    replay(
        Setup {
            columns: 0,
            common_rows: 0,
            table_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Step(1),
            Poll,
            Finish,
            Table(Rekey { row: 2, key: 0 }),
            Step(1),
            Table(Update {
                row: 7,
                column: 5,
                value: Num(100),
            }),
            Step(1),
            Step(6),
            Step(3),
            Sheet(SheetEdit::Delete { row: 0 }),
            Step(4),
            Fault(Stale),
        ],
    );
}

#[test]
fn a_row_typed_under_the_old_key_of_one_that_was_deleted_is_another_also_after_a_crash() {
    replay(
        Setup {
            columns: 0,
            policy: Policy::Manual,
            common_rows: 4,
            sheet_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 6, key: 12 }),
            Sheet(SheetEdit::Delete { row: 6 }),
            Finish,
            Step(2),
            Step(7),
            Step(3),
            Crash,
            Table(Delete { row: 6 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(1),
                value: Num(400),
            }),
        ],
    );
    replay(
        Setup {
            columns: 0,
            policy: Policy::SheetWins,
            common_rows: 3,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Sheet(SheetEdit::Delete { row: 0 }),
            Table(Rekey { row: 0, key: 3 }),
            Sheet(SheetEdit::TypeRow {
                key: Some(2),
                value: Num(400),
            }),
            Finish,
            Step(2),
            Step(3),
            Table(Insert {
                key: 11,
                value: Num(200),
            }),
            Step(5),
            Table(Delete { row: 3 }),
            Finish,
            Sheet(SheetEdit::Key { row: 1, key: 0 }),
            Crash,
        ],
    );
}

#[test]
fn a_row_deleted_in_the_sheet_under_a_key_that_another_row_of_the_table_takes_over() {
    replay(
        Setup {
            columns: 0,
            policy: Policy::SheetWins,
            max_delete_rows: 1,
            common_rows: 1,
            ..Setup::PLAIN
        },
        &[
            Finish,
            Table(Rekey { row: 0, key: 4 }),
            Sheet(SheetEdit::Key { row: 2, key: 5 }),
            Finish,
            Step(5),
            Step(1),
            Step(4),
            Step(4),
            Table(Insert {
                key: 0,
                value: Num(200),
            }),
        ],
    );
}

#[test]
fn a_worker_that_begins_anew_may_ask_about_a_row_beside_two_of_one_key() {
    replay(
        Setup {
            generated: true,
            columns: 16,
            common_rows: 0,
            ..Setup::PLAIN
        },
        &[
            Step(1),
            Sheet(SheetEdit::TypeRow {
                key: Some(5),
                value: Num(400),
            }),
            Step(5),
            Sheet(SheetEdit::ClearKey { row: 0 }),
            Sheet(SheetEdit::Duplicate { row: 0 }),
            Finish,
            Step(2),
            Sheet(SheetEdit::Key { row: 0, key: 4 }),
            Table(Insert {
                key: 4,
                value: Num(200),
            }),
        ],
    );
}
