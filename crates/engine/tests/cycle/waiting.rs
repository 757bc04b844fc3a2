//! Rows that wait: for somebody else's transaction, for another row, for what the next reading
//! says.

use crate::world::*;

fn taken() -> Applied {
    Applied::Refused {
        cells: Vec::new(),
        row: Some(Refusal {
            sqlstate: "23505".into(),
            message: "duplicate key value violates unique constraint".into(),
            hint: None,
        }),
    }
}

fn problems(world: &World) -> usize {
    world.commits.iter().map(|one| one.problems.len()).sum()
}

fn settled(world: &World) -> usize {
    let commits = world.commits.iter();
    commits.map(|one| one.settled_problems.len()).sum()
}

#[test]
fn a_locked_row_is_no_problem_and_goes_through_with_a_later_reading() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[2][1] = text("typed");
    world.tab[3][1] = text("fine");
    world.answers.insert(key(1), Applied::Locked);
    let report = world.cycle(Scope::Full, &[]);
    assert!(report.locked);
    assert_eq!((report.again, report.rows_pulled), (None, 1));
    assert_eq!(
        (problems(&world), world.table[&key(2)][1].as_deref()),
        (0, Some("fine"))
    );
    world.answers.clear();
    let report = world.cycle(Scope::Full, &[]);
    assert!(!report.locked);
    assert_eq!(world.table[&key(1)][1].as_deref(), Some("typed"));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.commits.len(), 0);
}

#[test]
fn what_the_table_says_of_a_locked_row_is_not_forgotten() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[2][2] = Cell::Number(7.0);
    world.set(1, "news");
    world.answers.insert(key(1), Applied::Locked);
    let report = world.cycle(Scope::Full, &[1]);
    assert!(report.locked && report.dirty_done);
    assert_eq!(world.bases[&key(1)].state, RowState::ToLookAt);
    world.answers.clear();
    // Also by a process that knows nothing of it.
    world.machine = Machine::new(world.mapping.clone());
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.tab[2][1], text("news"));
    assert_eq!(world.table[&key(1)][2].as_deref(), Some("7"));
}

#[test]
fn what_another_row_stands_in_the_way_of_is_tried_when_one_has_changed() {
    let changes: [fn(&mut World) -> Report; 3] = [
        |world| world.cycle(Scope::Dirty, &[3]),
        |world| {
            world.tab[5][1] = text("another row");
            world.cycle(Scope::Full, &[])
        },
        |world| {
            world.start(Start {
                relatives_changed: true,
                ..world.plain()
            })
        },
    ];
    for change in changes {
        let mut world = World::agreed(mapping(), 5).warm();
        world.tab[2][1] = text("taken");
        world.answers.insert(key(1), taken());
        let report = world.cycle(Scope::Full, &[]);
        assert!(report.awaits_rows);
        assert_eq!(problems(&world), 1);
        world.answers.clear();
        world.cycle(Scope::Full, &[]);
        assert_eq!(world.commits.len(), 0, "nothing has changed");
        world.set(3, "gives way");
        let report = change(&mut world);
        assert_eq!(world.table[&key(1)][1].as_deref(), Some("taken"));
        assert!(!report.awaits_rows);
        assert_eq!(settled(&world), 1);
    }
}

#[test]
fn a_new_row_waits_for_a_deletion_that_the_next_reading_confirms() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab.remove(3);
    world
        .tab
        .push(vec![Cell::Number(9.0), text("other"), Cell::Number(1.5)]);
    world.answers.insert(key(9), taken());
    let report = world.cycle(Scope::Full, &[]);
    assert!(matches!(report.again, Some(Again::Confirm(_))));
    assert_eq!(problems(&world), 0);
    world.answers.clear();
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.again, problems(&world)), (None, 0));
    assert!(world.table.contains_key(&key(9)) && !world.table.contains_key(&key(2)));
}

#[test]
fn a_row_that_the_table_kept_comes_back_and_is_told_of_until_it_changes() {
    let mut world = World::agreed(mapping(), 5).warm();
    let row = world.table[&key(2)].clone();
    world.tab.remove(3);
    world.answers.insert(key(2), Applied::Kept { row });
    world.cycle(Scope::Full, &[]);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(
        (report.rows_pushed, problems(&world), settled(&world)),
        (1, 1, 0)
    );
    assert_eq!(
        world.tab.last().map(|row| row[0].clone()),
        Some(Cell::Number(2.0))
    );
    world.cycle(Scope::Dirty, &[2]);
    assert_eq!(settled(&world), 0, "an echo is no change");
    world.answers.clear();
    world.tab[5][1] = text("changed");
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (settled(&world), world.table[&key(2)][1].as_deref()),
        (1, Some("changed"))
    );
}

#[test]
fn of_rows_that_have_waited_long_only_a_few_are_tried_until_one_is_taken() {
    let mut world = World::agreed(mapping(), 5).warm();
    for id in 100..160 {
        world
            .tab
            .push(vec![Cell::Number(id as f64), text("waits"), Cell::Empty]);
        world.answers.insert(key(id), taken());
    }
    let tries = |world: &World| -> usize { world.commits.iter().map(|one| one.apply.len()).sum() };
    world.cycle(Scope::Full, &[]);
    assert_eq!(tries(&world), 60);
    let something_changes = |world: &mut World, name: &str| {
        world.set(3, name);
        world.cycle(Scope::Dirty, &[3]);
        tries(world)
    };
    for name in ["a", "b", "c"] {
        assert_eq!(something_changes(&mut world, name), 60);
    }
    // From now on not twice in a second, and not all at once.
    assert_eq!(something_changes(&mut world, "d"), 0);
    for name in ["e", "f"] {
        world.now += 1_000_000;
        assert_eq!(something_changes(&mut world, name), 20);
    }
    world.now += 1_000_000;
    world.answers.clear();
    assert_eq!(something_changes(&mut world, "g"), 60);
    assert_eq!(world.table.len(), 65);
}
