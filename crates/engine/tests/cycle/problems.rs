//! What one cell or row cannot do holds up no other.

use crate::world::*;
use engine::effect::Reason;

/// A row that others may edit and we may not.
fn protected(effect: &SheetEffect) -> Option<Failure> {
    let SheetEffect::Write { rows, .. } = effect else {
        return None;
    };
    let hit = rows.iter().any(|row| {
        row.cells
            .iter()
            .any(|(_, cell)| *cell == Cell::Text("name p".into()))
    });
    hit.then(|| Failure {
        class: Class::NeedsHuman,
        reason: Reason::Protected,
        message: "protected".into(),
        hint: "ask".into(),
        retry_after_ms: None,
        may_have_applied: false,
    })
}

#[test]
fn one_cell_that_the_sheet_refuses_holds_up_no_other() {
    let mut world = World::agreed(mapping(), 20).warm();
    for id in 0..20 {
        world.set(id, if id == 13 { "name p" } else { "new" });
    }
    world.fault = Some(protected);
    let ids: Vec<usize> = (0..20).collect();
    let report = world.cycle(Scope::Dirty, &ids);
    assert_eq!(
        (report.stopped, report.rows_pushed, report.problems),
        (None, 19, 1)
    );
}

#[test]
fn what_the_sheet_refuses_is_tried_less_and_less_often_and_written_once_it_may_be() {
    const MINUTE: i64 = 60_000_000;
    let mut world = World::agreed(mapping(), 5).warm();
    world.fault = Some(protected);
    world.set(3, "name p");
    world.cycle(Scope::Dirty, &[3]);
    let writes = |world: &World| {
        let all = world.log.iter();
        all.filter(|effect| matches!(effect, SheetEffect::Write { .. }))
            .count()
    };
    let retry_at = |world: &World| {
        let problems: Vec<&Problem> = world.commits.iter().flat_map(|one| &one.problems).collect();
        assert_eq!(problems.len(), 1);
        problems[0].retry_at.expect("a time").0
    };
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        let due = retry_at(&world);
        let expected = world.now + minutes * MINUTE;
        assert!(
            (expected - MINUTE / 2..=expected).contains(&due),
            "{minutes}"
        );
        world.now = due - MINUTE / 2;
        world.cycle(Scope::Full, &[]);
        assert_eq!((writes(&world), world.commits.len()), (0, 0), "not due yet");
        // Nobody waits for it.
        world.set(1, &format!("after {due}"));
        let report = world.cycle(Scope::Dirty, &[1]);
        assert_eq!((report.rows_pushed, report.problems), (1, 0));
        world.now = due;
        world.cycle(Scope::Full, &[]);
        assert_eq!(writes(&world), 1);
    }
    world.now = retry_at(&world);
    world.fault = None;
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(report.rows_pushed, 1);
    assert_eq!(world.tab[4][1], text("name p"));
    let settled = world.commits.iter().flat_map(|one| &one.settled_problems);
    assert_eq!(settled.count(), 1);
    world.cycle(Scope::Full, &[]);
    assert_eq!((writes(&world), world.commits.len()), (0, 0));
}

#[test]
fn a_cell_that_does_not_take_what_is_written_stays_a_problem_until_it_does() {
    let told = |world: &World| -> Vec<(String, bool)> {
        let all = world.commits.iter().flat_map(|one| &one.problems);
        all.map(|one| (one.code.clone(), one.retry_at.is_some()))
            .collect()
    };
    let settled = |world: &World| {
        let all = world.commits.iter().flat_map(|one| &one.settled_problems);
        all.count()
    };
    let history = |world: &World| -> usize {
        let all = world.commits.iter().flat_map(|one| &one.history);
        all.map(|line| line.new.len()).sum()
    };
    let mut world = World::agreed(mapping(), 5).warm();
    world.fixed = Some((4, 1));
    world.set(3, "unseen");
    let report = world.cycle(Scope::Dirty, &[3]);
    assert_eq!(report.problems, 1);
    assert_eq!(told(&world), [("shown_otherwise".into(), true)]);
    assert_eq!(history(&world), 0, "nothing has changed in the sheet");
    // Neither time nor a change elsewhere in the row makes it a solved one.
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
    world.table.get_mut(&key(3)).expect("the row")[2] = Some("2.50".into());
    let report = world.cycle(Scope::Dirty, &[3]);
    assert_eq!((report.rows_pushed, settled(&world)), (1, 0));
    assert_eq!(
        (world.tab[4][2].clone(), told(&world)),
        (Cell::Number(2.5), vec![])
    );
    // A minute later it is tried again; a process that begins anew tries at once.
    world.now += 61_000_000;
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (told(&world), settled(&world)),
        (vec![("shown_otherwise".into(), true)], 0)
    );
    world.machine = Machine::new(world.mapping.clone());
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (told(&world), settled(&world)),
        (vec![("shown_otherwise".into(), true)], 0)
    );
    assert_eq!(world.table[&key(3)][1].as_deref(), Some("unseen"));
    world.fixed = None;
    world.now += 1_000_000_000;
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.rows_pushed, settled(&world)), (1, 1));
    assert_eq!(world.tab[4][1], text("unseen"));
    assert_eq!(history(&world), 1);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
}

#[test]
fn what_backs_off_is_tried_at_once_when_somebody_waits() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.fault = Some(protected);
    world.set(3, "name p");
    world.cycle(Scope::Dirty, &[3]);
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    world.cycle(Scope::Full, &[]);
    world.fault = None;
    world.refuse = None;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.commits.len(), 0, "neither is due");
    let report = world.start(Start {
        insists: true,
        ..world.plain()
    });
    assert_eq!((report.rows_pushed, report.rows_pulled), (1, 1));
    assert_eq!(world.tab[4][1], text("name p"));
    assert_eq!(world.table[&key(1)][1].as_deref(), Some("forbidden"));
}

#[test]
fn a_refused_cell_is_one_problem_and_is_not_tried_at_every_poll() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2] = vec![Cell::Number(1.0), text("forbidden"), Cell::Number(2.5)];
    world.tab[3][1] = text("fine");
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.rows_pulled, report.problems), (2, 1));
    assert_eq!(
        world.table[&key(1)],
        [Some("1".into()), Some("name 1".into()), Some("2.5".into())]
    );
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.loads, world.commits.len()), (0, 0));
    // A minute later it is.
    world.now += 61_000_000;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.loads, 1);
    world.tab[2][1] = text("mended");
    world.cycle(Scope::Full, &[]);
    let settled: Vec<&Place> = world
        .commits
        .iter()
        .flat_map(|commit| &commit.settled_problems)
        .collect();
    assert_eq!(
        settled,
        [&Place {
            key: Some(key(1)),
            sheet_row: None,
            column: Some(1)
        }]
    );
}

#[test]
fn two_rows_with_one_key_are_a_problem_on_both_and_touch_nothing() {
    let mut world = World::agreed(mapping(), 3).warm();
    let copy = world.tab[1].clone();
    world.tab.push(copy);
    world.tab[4][1] = text("edited copy");
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(report.problems, 2);
    let rows: Vec<Option<u32>> = world
        .commits
        .iter()
        .flat_map(|commit| &commit.problems)
        .map(|problem| problem.place.sheet_row)
        .collect();
    assert_eq!(rows, [Some(2), Some(5)]);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.commits.len(), world.table.len()), (0, 3));
}

/// No new row is taken.
fn full(effect: &SheetEffect) -> Option<Failure> {
    matches!(effect, SheetEffect::Insert { .. }).then(|| Failure {
        class: Class::NeedsHuman,
        reason: Reason::GridLimit,
        message: "full".into(),
        hint: "make room".into(),
        retry_after_ms: None,
        may_have_applied: false,
    })
}

#[test]
fn new_rows_that_the_sheet_does_not_take_wait_and_hold_up_nothing_else() {
    const MINUTE: i64 = 60_000_000;
    let mut world = World::agreed(mapping(), 10).warm();
    let insertions = |world: &World| {
        let all = world.log.iter();
        all.filter(|effect| matches!(effect, SheetEffect::Insert { .. }))
            .count()
    };
    let new_row = |world: &mut World, id: usize| {
        let row = vec![Some(id.to_string().into()), Some("new".into()), None];
        world.table.insert(key(id), row);
    };
    new_row(&mut world, 50);
    new_row(&mut world, 51);
    world.set(1, "changed");
    world.table.remove(&key(2));
    world.fault = Some(full);
    let report = world.cycle(Scope::Dirty, &[50, 51, 1, 2]);
    assert_eq!(
        (report.stopped, report.rows_pushed, report.problems),
        (None, 2, 1)
    );
    assert!(report.dirty_done, "they are stored as rows to be inserted");
    assert_eq!(world.bases[&key(50)].state, RowState::ToInsert);
    let problems = |world: &World| -> Vec<Problem> {
        let commits = world.commits.iter();
        commits.flat_map(|one| one.problems.clone()).collect()
    };
    let told = problems(&world);
    assert_eq!((told.len(), told[0].code.as_str()), (1, "grid_limit"));
    assert_eq!((&told[0].place.key, told[0].place.sheet_row), (&None, None));
    let due = told[0].retry_at.expect("a time").0;

    // Nothing is tried before its time, not even what comes anew.
    world.cycle(Scope::Full, &[]);
    assert_eq!((insertions(&world), world.commits.len()), (0, 0));
    new_row(&mut world, 52);
    world.set(3, "changed too");
    let report = world.cycle(Scope::Dirty, &[52, 3]);
    assert_eq!((insertions(&world), report.rows_pushed), (0, 1));
    assert_eq!(world.bases[&key(52)].state, RowState::ToInsert);
    // Tried by itself once a minute has passed, and then less and less often; at once for whoever
    // waits.
    world.now = due;
    world.cycle(Scope::Full, &[]);
    assert_eq!(insertions(&world), 1);
    assert!(problems(&world)[0].retry_at.expect("a time").0 >= world.now + MINUTE);
    world.start(Start {
        insists: true,
        ..world.plain()
    });
    assert_eq!(insertions(&world), 1);

    // One that is deleted meanwhile is forgotten, and the others come when there is room.
    world.table.remove(&key(51));
    world.cycle(Scope::Dirty, &[51]);
    world.fault = None;
    let report = world.start(Start {
        insists: true,
        ..world.plain()
    });
    assert_eq!((report.stopped, report.rows_pushed), (None, 2));
    assert_eq!(world.tab.len(), 1 + 9 + 2);
    let settled = world.commits.iter().flat_map(|one| &one.settled_problems);
    assert_eq!(settled.count(), 1);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.log.len(), world.commits.len()), (1, 0));
    assert_eq!(world.bases.len(), 11);
}

/// A person edits the cell in the moment of the write, and the sheet is protected before the edit
/// is restored.
#[test]
fn an_edit_that_cannot_be_restored_is_told_and_holds_up_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.set(3, "said in SQL");
    world.meanwhile = Some(("write", |world| world.tab[4][1] = text("name p")));
    world.fault = Some(protected);
    let report = world.cycle(Scope::Dirty, &[3]);
    assert_eq!(report.stopped, None);
    assert_eq!(world.tab[4][1], text("said in SQL"));
    let lines = world.commits.iter().flat_map(|one| &one.conflicts);
    let lost: Vec<_> = lines
        .map(|line| {
            (
                line.key.clone(),
                line.sheet.clone(),
                line.winner,
                line.settled,
            )
        })
        .collect();
    let line = (key(3), Some(text("name p")), Winner::Database, true);
    assert_eq!(lost, [line]);
    // Nothing is left to be restored: the batch is over, and rows may go.
    let mut commits = world.commits.iter();
    assert!(commits.any(|one| one.writing == Some(Announcement::Over)));
    world.table.remove(&key(1));
    let report = world.cycle(Scope::Dirty, &[1]);
    assert_eq!((report.stopped, world.tab.len()), (None, 5));
}
