//! Rows that are gone, and rows that only seem to be.

use crate::world::*;
use engine::effect::Reason;

fn stopped_by(report: &Report) -> &str {
    match &report.stopped {
        Some(Stopped::Guard { reason, .. }) => reason.as_str(),
        other => panic!("no guard: {other:?}"),
    }
}

#[test]
fn a_row_missing_once_is_not_deleted_and_missing_twice_it_is() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab.remove(3);
    let report = world.cycle(Scope::Full, &[]);
    assert!(matches!(report.again, Some(Again::Confirm(_))));
    assert_eq!(world.table.len(), 5);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 4);
    assert!(!world.table.contains_key(&key(2)));
}

#[test]
fn a_row_that_reappears_was_never_missing() {
    let mut world = World::agreed(mapping(), 5).warm();
    let row = world.tab.remove(3);
    world.cycle(Scope::Full, &[]);
    world.tab.insert(1, row);
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 5);
}

#[test]
fn many_deletes_at_once_stop_and_ask() {
    let mut world = World::agreed(mapping(), 100).warm();
    world.tab.truncate(41);
    world.cycle(Scope::Full, &[]);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(
        (stopped_by(&report), world.table.len()),
        ("mass_delete", 100)
    );
    let report = world.confirm(report.stopped);
    assert_eq!((report.stopped, world.table.len()), (None, 40));
}

#[test]
fn a_truncated_table_does_not_empty_the_sheet() {
    let mut world = World::agreed(mapping(), 100).warm();
    let ids: Vec<usize> = (0..100).collect();
    world.table.clear();
    let report = world.cycle(Scope::Dirty, &ids);
    assert!(matches!(report.stopped, Some(Stopped::Guard { .. })));
    assert_eq!(world.tab.len(), 101);
    assert!(!report.dirty_done);
}

#[test]
fn a_sort_of_some_columns_only_stops_and_asks() {
    let mut world = World::agreed(mapping(), 60).warm();
    for id in 0..60 {
        let row = vec![
            Some(id.to_string().into()),
            Some(format!("name {id}").into()),
            Some(format!("{id}").into()),
        ];
        world.table.insert(key(id), row);
    }
    let ids: Vec<usize> = (0..60).collect();
    world.cycle(Scope::Dirty, &ids);
    let keys: Vec<Cell> = world.tab[1..].iter().map(|row| row[0].clone()).collect();
    for (row, key) in world.tab[1..].iter_mut().zip(keys.into_iter().rev()) {
        row[0] = key;
    }
    let report = world.cycle(Scope::Full, &[]);
    let Some(Stopped::Guard { reason, .. }) = report.stopped else {
        panic!("no guard")
    };
    assert_eq!(reason.as_str(), "everything_changed");
    assert!(world.commits.is_empty());
}

#[test]
fn a_column_filled_down_is_everyday_work() {
    let mut world = World::agreed(mapping(), 60).warm();
    for row in &mut world.tab[1..] {
        row[2] = Cell::Number(9.0);
    }
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.stopped, report.rows_pulled), (None, 60));
}

#[test]
fn a_column_sorted_without_the_rest_is_asked_about() {
    // Names turned round; and the same with a table that has one column besides its key.
    for columns in [3, 2] {
        let mut mapping = mapping();
        mapping.columns.truncate(columns);
        let mut world = World::agreed(mapping, 60).warm();
        let names: Vec<Cell> = world.tab[1..].iter().map(|row| row[1].clone()).collect();
        for (row, name) in world.tab[1..].iter_mut().zip(names.into_iter().rev()) {
            row[1] = name;
        }
        let report = world.cycle(Scope::Full, &[]);
        let Some(Stopped::Guard {
            reason, message, ..
        }) = &report.stopped
        else {
            panic!("no guard")
        };
        assert_eq!(reason.as_str(), "everything_changed");
        assert!(message.contains("\"name\""), "{message}");
        assert!(world.commits.is_empty());
        let report = world.confirm(report.stopped);
        assert_eq!((report.stopped, report.rows_pulled), (None, 60));
    }
}

#[test]
fn rows_that_are_numbered_anew_and_boxes_ticked_the_other_way_are_meant() {
    let mut world = World::agreed(mapping(), 60).warm();
    for (at, row) in world.tab[1..].iter_mut().enumerate() {
        row[1] = Cell::Bool(at % 2 == 0);
        row[2] = Cell::Number(at as f64);
    }
    let report = world.cycle(Scope::Full, &[]);
    world.confirm(report.stopped);
    for row in &mut world.tab[1..] {
        row[2] = match row[2] {
            Cell::Number(place) => Cell::Number((place + 59.0) % 60.0),
            _ => panic!("a number"),
        };
    }
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.stopped, report.rows_pulled), (None, 60));
    for row in &mut world.tab[1..] {
        row[1] = match row[1] {
            Cell::Bool(ticked) => Cell::Bool(!ticked),
            _ => panic!("a box"),
        };
    }
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.stopped, report.rows_pulled), (None, 60));
}

#[test]
fn a_row_that_went_by_mistake_is_put_back() {
    let mut world = World::agreed(mapping(), 6).warm();
    world.wrong_row = true;
    world.table.remove(&key(3));
    world.cycle(Scope::Dirty, &[3]);
    assert_eq!(
        world.requests(),
        [
            "tag", "delete", "read", "read", "tag", "inspect", "insert", "delete"
        ]
    );
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 5);
    let mut keys: Vec<Cell> = world.tab[1..].iter().map(|row| row[0].clone()).collect();
    keys.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    assert_eq!(keys, [0.0, 1.0, 2.0, 4.0, 5.0].map(Cell::Number));
}

#[test]
fn a_row_that_went_by_mistake_is_put_back_also_after_a_reading_that_could_not_tell() {
    let mut world = World::agreed(mapping(), 6).warm();
    world.wrong_row = true;
    // A row without a key that may be either of those that are missing then.
    world.meanwhile = Some(("delete", |world| {
        world.tab[1] = vec![Cell::Empty, text("other"), Cell::Number(1.5)];
    }));
    world.table.remove(&key(3));
    world.cycle(Scope::Dirty, &[3]);
    assert!(!world.tab.iter().any(|row| row[0] == Cell::Number(4.0)));
    world.tab[1][0] = Cell::Number(77.0);
    for _ in 0..4 {
        world.cycle(Scope::Full, &[]);
    }
    let keys: Vec<&Key> = world.table.keys().collect();
    assert_eq!(keys, [1, 2, 4, 5, 77].map(key).iter().collect::<Vec<_>>());
    assert!(world.tab.iter().any(|row| row[0] == Cell::Number(4.0)));
}

#[test]
fn a_row_whose_key_cannot_be_read_is_not_put_back_beside_itself() {
    let mut world = World::agreed(mapping(), 6).warm();
    world.tab[1][0] = Cell::Empty;
    world.cycle(Scope::Full, &[]);
    world.wrong_row = true;
    world.table.remove(&key(3));
    world.cycle(Scope::Dirty, &[3]);
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 5);
    let mut keys: Vec<Cell> = world.tab[1..].iter().map(|row| row[0].clone()).collect();
    keys.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    let expected = [1.0, 2.0, 4.0, 5.0].map(Cell::Number);
    assert_eq!(keys, [&[Cell::Empty], expected.as_slice()].concat());
}

#[test]
fn a_row_whose_key_became_anothers_is_not_gone_for_a_process_that_starts_anew() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[2] = vec![Cell::Number(3.0), text("other"), Cell::Number(9.0)];
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.problems.len(), 2);
    world.machine = Machine::new(world.mapping.clone());
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert!(world.table.contains_key(&key(1)));
    assert_eq!(world.problems.len(), 2);
}

#[test]
fn a_key_edited_in_the_row_below_a_doubled_one_is_followed() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[2] = vec![Cell::Number(4.0), text("other"), Cell::Number(9.0)];
    world.tab[3][0] = Cell::Number(77.0);
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    let keys = [0, 1, 3, 4, 77].map(key);
    assert!(keys.iter().all(|one| world.table.contains_key(one)));
    assert_eq!(world.table.len(), 5);
}

#[test]
fn a_lost_answer_of_an_insert_is_settled_before_anything_else() {
    fn lost(effect: &SheetEffect) -> Option<Failure> {
        matches!(effect, SheetEffect::Insert { .. }).then(|| Failure {
            class: Class::RetryLater,
            reason: Reason::Timeout,
            message: String::new(),
            hint: String::new(),
            retry_after_ms: None,
            may_have_applied: true,
        })
    }
    let mut world = World::agreed(mapping(), 2).warm();
    world
        .table
        .insert(key(7), vec![Some("7".into()), None, None]);
    world.fault = Some(lost);
    let report = world.cycle(Scope::Full, &[7]);
    assert!(matches!(report.stopped, Some(Stopped::Failure(_))));
    let stamps: Vec<&Stamp> = world
        .log
        .iter()
        .filter_map(|effect| match effect {
            SheetEffect::Insert { stamp, .. } => Some(stamp),
            _ => None,
        })
        .collect();
    assert_eq!(stamps.len(), 3);
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]));
    // Even a fresh engine knows of it.
    world.fault = None;
    world.machine = Machine::new(world.mapping.clone());
    world.cycle(Scope::Full, &[7]);
    assert_eq!(
        world.requests(),
        ["claim", "tidy", "read", "inspect", "insert", "find columns"]
    );
    assert_eq!(world.tab.len(), 4);
}

/// The row of the part 3 may not be deleted.
fn protected(effect: &SheetEffect) -> Option<Failure> {
    let SheetEffect::Delete { rows, .. } = effect else {
        return None;
    };
    rows.iter().any(|row| row.row == 4).then(|| Failure {
        class: Class::NeedsHuman,
        reason: Reason::Protected,
        message: "protected".into(),
        hint: "ask".into(),
        retry_after_ms: None,
        may_have_applied: false,
    })
}

#[test]
fn a_row_that_may_not_be_deleted_holds_up_no_other() {
    let mut world = World::agreed(mapping(), 20).warm();
    for id in [3, 5, 8, 13, 19] {
        world.table.remove(&key(id));
    }
    world.fault = Some(protected);
    let report = world.cycle(Scope::Dirty, &[3, 5, 8, 13, 19]);
    assert_eq!(
        (report.stopped, report.rows_pushed, report.problems),
        (None, 4, 1)
    );
    assert_eq!(world.tab.len(), 1 + 20 - 4);
    let row = &world.bases[&key(3)];
    let agreed = StoredRow::agreed(row.base.clone());
    assert_eq!(*row, agreed, "no batch is under way");
    for gone in [5, 8, 13, 19] {
        assert!(!world.bases.contains_key(&key(gone)));
    }
    // It rests, until somebody waits for it or it is due.
    let deletions = |world: &World| {
        let all = world.log.iter();
        all.filter(|effect| matches!(effect, SheetEffect::Delete { .. }))
            .count()
    };
    world.cycle(Scope::Full, &[]);
    assert_eq!((deletions(&world), world.commits.len()), (0, 0));
    world.start(Start {
        insists: true,
        ..world.plain()
    });
    assert_eq!(deletions(&world), 1);
    world.fault = None;
    let report = world.start(Start {
        insists: true,
        ..world.plain()
    });
    assert_eq!((report.rows_pushed, report.problems), (1, 0));
    assert_eq!(world.tab.len(), 1 + 20 - 5);
    let settled = world.commits.iter().flat_map(|one| &one.settled_problems);
    assert_eq!(settled.count(), 1);
}

#[test]
fn a_batch_of_deletions_that_may_have_arrived_is_not_cut_into_others() {
    let mut world = World::agreed(mapping(), 20).warm();
    for id in [3, 5] {
        world.table.remove(&key(id));
    }
    // The first answer is lost, and the second time the sheet refuses.
    static SENT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    world.fault = Some(|effect| {
        let failure = protected(effect)?;
        match SENT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Some(Failure {
                class: Class::RetryLater,
                may_have_applied: true,
                ..failure
            }),
            _ => Some(failure),
        }
    });
    let report = world.cycle(Scope::Dirty, &[3, 5]);
    assert!(report.stopped.is_some());
    assert_eq!(SENT.load(std::sync::atomic::Ordering::Relaxed), 2);
    world.fault = None;
    let report = world.cycle(Scope::Full, &[3, 5]);
    assert_eq!(report.stopped, None);
    assert_eq!(world.tab.len(), 1 + 20 - 2);
}

#[test]
fn nothing_is_done_while_a_second_reading_has_to_tell_whether_most_rows_are_gone() {
    let mut world = World::agreed(mapping(), 100).warm();
    world.tab.truncate(41);
    for row in &mut world.tab[1..] {
        row[1] = text("typed");
    }
    world.set(7, "said in SQL");
    let report = world.cycle(Scope::Full, &[7]);
    assert!(matches!(report.again, Some(Again::Hold(_))));
    assert!(!report.dirty_done);
    assert!(world.requests().iter().all(|request| *request == "read"));
    assert!(world.commits.is_empty());
    // Nor without a reading of its own.
    let report = world.cycle(Scope::Dirty, &[7]);
    assert_eq!(stopped_by(&report), "mass_delete");
    assert!(world.commits.is_empty());
    let report = world.confirm(report.stopped);
    assert_eq!((report.stopped, world.table.len()), (None, 40));
    assert_eq!(world.table[&key(3)][1].as_deref(), Some("typed"));
}

#[test]
fn a_reading_that_comes_too_soon_confirms_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab.remove(3);
    let patient = |world: &World| Start {
        confirm_after_ms: 3_000,
        ..world.plain()
    };
    let report = world.start(patient(&world));
    let Some(Again::Confirm(from)) = report.again else {
        panic!("{report:?}")
    };
    for _ in 0..3 {
        let report = world.start(patient(&world));
        assert_eq!(
            (report.again, world.table.len()),
            (Some(Again::Confirm(from)), 5)
        );
    }
    // What changes elsewhere travels meanwhile.
    world.set(0, "said in SQL");
    let report = world.cycle(Scope::Dirty, &[0]);
    assert_eq!((report.rows_pushed, report.dirty_done), (1, true));
    world.now = from.0 + 1_000;
    let report = world.start(patient(&world));
    assert_eq!((report.again, world.table.len()), (None, 4));
}

#[test]
fn another_answer_than_to_what_is_asked_lets_nothing_pass() {
    let mut world = World::agreed(mapping(), 100).warm();
    world.tab.truncate(41);
    world.cycle(Scope::Full, &[]);
    let before = world.cycle(Scope::Full, &[]).stopped;
    world.tab.truncate(39);
    world.cycle(Scope::Full, &[]);
    let report = world.confirm(before);
    assert_eq!(
        (stopped_by(&report), world.table.len()),
        ("mass_delete", 100)
    );
    // A process that counts them anew asks the same.
    let asked = report.stopped.clone();
    world.machine = Machine::new(world.mapping.clone());
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.cycle(Scope::Full, &[]).stopped, asked);
    let report = world.confirm(asked);
    assert_eq!((report.stopped, world.table.len()), (None, 38));
}

fn tab(has: Has, read_at: Option<Timestamp>) -> OtherTab {
    OtherTab {
        title: "Done".into(),
        has,
        is_filtered: true,
        read_at,
        rests: false,
    }
}

fn beside_others(world: &World) -> Start {
    Start {
        other_tabs: true,
        ..world.plain()
    }
}

#[test]
fn a_row_that_another_tab_may_have_is_not_deleted() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab.remove(3);
    let before = Timestamp(world.now);
    world
        .others
        .insert(key(2), vec![tab(Has::Nothing, Some(before))]);
    world.start(beside_others(&world));
    let report = world.start(beside_others(&world));
    assert!(report.awaits_tabs);
    assert_eq!((report.again, world.table.len()), (Some(Again::Soon), 5));
    // It was typed there.
    let now = Some(Timestamp(world.now));
    world.others.insert(key(2), vec![tab(Has::Typed, now)]);
    let report = world.start(beside_others(&world));
    assert_eq!((report.again, world.table.len()), (None, 5));
    assert_eq!(report.moving, [key(2)]);
    // That tab is paused before it was read again.
    let resting = OtherTab {
        rests: true,
        ..tab(Has::Nothing, Some(before))
    };
    world.others.insert(key(2), vec![resting]);
    world.start(beside_others(&world));
    assert_eq!((world.problems.len(), world.table.len()), (1, 5));
    // It is nowhere.
    world.others.insert(key(2), vec![tab(Has::Nothing, now)]);
    let report = world.start(beside_others(&world));
    assert_eq!((report.moving.len(), world.table.len()), (0, 4));
    assert!(world.problems.is_empty());
}

#[test]
fn a_row_typed_here_that_another_tab_has_lost_changes_the_tables_row() {
    let mut world = World::agreed(mapping(), 5).warm();
    let mut row = world.table[&key(3)].clone();
    row[0] = Some("9".into());
    world.table.insert(key(9), row);
    world.outside.insert(key(9));
    world
        .tab
        .push(vec![Cell::Number(9.0), text("moved"), Cell::Empty]);
    world.others.insert(key(9), vec![tab(Has::Row, None)]);
    world.start(beside_others(&world));
    assert_eq!(world.problems.len(), 1);
    assert_eq!(world.table[&key(9)][1].as_deref(), Some("name 3"));
    world.others.insert(key(9), vec![tab(Has::Lost, None)]);
    world.start(Start {
        dirty: world.dirty(&[9]),
        ..beside_others(&world)
    });
    let change = &world.commits[0].apply[0];
    assert!(matches!(change.change, Change::Enter { .. }), "{change:?}");
    assert_eq!(world.table[&key(9)][1].as_deref(), Some("moved"));
    assert_eq!(world.table[&key(9)][2].as_deref(), Some("1.50"));
    assert!(world.problems.is_empty());
}

#[test]
fn a_deletion_that_the_table_refuses_is_not_looked_into_with_every_reading() {
    let mut world = World::agreed(mapping(), 5).warm();
    let refused = Applied::Refused {
        cells: Vec::new(),
        row: Some(Refusal {
            sqlstate: "23503".into(),
            message: "still referenced".into(),
            hint: None,
        }),
    };
    world.answers.insert(key(2), refused);
    world.tab.remove(3);
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert!(world.requests().contains(&"inspect"));
    world.cycle(Scope::Full, &[]);
    assert!(!world.requests().contains(&"inspect"));
    // When it is due to be tried again a formula may be to blame by then.
    world.now += 10_000_000;
    world.cycle(Scope::Full, &[]);
    assert!(world.requests().contains(&"inspect"));
}
