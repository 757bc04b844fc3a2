//! Many keys that change, or that nobody can read, at once.

use crate::world::*;

/// More than are loaded together.
const MANY: usize = 5_050;

/// Each compared with each is more than a reading compares.
const TOO_MANY: usize = 2_100;

/// Guards let everything pass.
fn unguarded(key_generated: bool) -> Mapping {
    let mut mapping = mapping();
    mapping.max_delete_percent = 100.0;
    mapping.key_generated = key_generated;
    mapping.columns[0].has_default = key_generated;
    mapping
}

type Told = Vec<(Option<Key>, Option<usize>, String)>;

/// Two readings, and what came of each.
fn look_twice(world: &mut World) -> Vec<Told> {
    let look = |_| {
        world.now += 10_000_000;
        world.cycle(Scope::Full, &[]);
        let applied = world
            .commits
            .iter()
            .map(|one| one.apply.len())
            .sum::<usize>();
        assert_eq!(applied, 0, "nothing of them reaches the table");
        world.told()
    };
    (0..2).map(look).collect()
}

#[test]
fn keys_of_many_rows_that_are_edited_at_once_are_followed() {
    let mut world = World::agreed(unguarded(false), MANY).warm();
    for (id, row) in world.tab[1..].iter_mut().enumerate() {
        row[0] = Cell::Number((100_000 + id) as f64);
    }
    world.cycle(Scope::Full, &[]);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.stopped, report.rows_pulled), (None, MANY as u64));
    let followed = world.commits.iter().flat_map(|one| &one.apply);
    let followed = followed.filter(|one| matches!(one.change, Change::Update { .. }));
    assert_eq!(followed.filter(|one| one.new_key.is_some()).count(), MANY);
    assert_eq!(world.table.len(), MANY);
    let row = &world.table[&key(100_000 + 7)];
    assert_eq!(row[1].as_deref(), Some("name 7"));
}

#[test]
fn a_row_deleted_beside_many_whose_keys_are_edited_is_deleted() {
    let mut world = World::agreed(unguarded(false), MANY).warm();
    world.tab.remove(1);
    for (id, row) in world.tab[1..].iter_mut().enumerate() {
        row[0] = Cell::Number((100_000 + id) as f64);
    }
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), MANY - 1);
    assert!(!world.table.contains_key(&key(0)));
}

#[test]
fn what_cannot_be_compared_waits_and_is_one_problem() {
    let mut world = World::agreed(unguarded(false), TOO_MANY).warm();
    let before = world.tab.clone();
    for (id, row) in world.tab[1..].iter_mut().enumerate() {
        row[0] = Cell::Number((100_000 + id) as f64);
        row[1] = text("edited, too");
    }
    let told = look_twice(&mut world);
    assert_eq!(told, [vec![(None, None, "key_unclear".into())], vec![]]);
    assert_eq!(
        (world.table.len(), world.tab.len()),
        (TOO_MANY, TOO_MANY + 1)
    );
    world.tab = before;
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert!(world.problems.is_empty());
    assert_eq!(world.table.len(), TOO_MANY);
}

#[test]
fn rows_that_all_show_the_same_wait_where_they_are_too_many() {
    let mut mapping = unguarded(false);
    mapping.columns.truncate(2);
    let mut world = World::agreed(mapping, TOO_MANY);
    for id in 0..TOO_MANY {
        let row = vec![Some(id.to_string().into()), Some("open".into())];
        world.table.insert(key(id), row);
    }
    world.cycle(Scope::Everything, &[]);
    world.cycle(Scope::Full, &[]);
    for (id, row) in world.tab[1..].iter_mut().enumerate() {
        assert_eq!(row[1], text("open"));
        row[0] = Cell::Number((100_000 + id) as f64);
    }
    let told = look_twice(&mut world);
    assert_eq!(told, [vec![(None, None, "key_unclear".into())], vec![]]);
    assert_eq!(world.table.len(), TOO_MANY);
}

#[test]
fn many_rows_without_a_key_get_none_while_they_may_be_missing_ones() {
    let mut world = World::agreed(unguarded(true), TOO_MANY).warm();
    for row in &mut world.tab[1..] {
        row[0] = Cell::Empty;
        row[1] = text("edited, too");
    }
    let told = look_twice(&mut world);
    assert_eq!(told, [vec![(None, None, "key_unclear".into())], vec![]]);
    assert_eq!(world.table.len(), TOO_MANY);
    assert!(world.tab[1..].iter().all(|row| row[0] == Cell::Empty));
}

#[test]
fn a_row_that_has_a_problem_of_its_own_besides_is_told_of_once() {
    let mut world = World::agreed(unguarded(false), TOO_MANY).warm();
    for row in &mut world.tab[1..] {
        row[0] = text("#REF!");
        row[1] = text("edited, too");
    }
    let told = look_twice(&mut world);
    let counts: Vec<usize> = told.iter().map(|told| told.len()).collect();
    assert_eq!(counts, [TOO_MANY + 1, 0]);
    assert_eq!(world.table.len(), TOO_MANY);
}
