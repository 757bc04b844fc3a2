//! A merge of which a person said that one side's rows are all that counts.

use crate::world::*;
use engine::mapping::Side;
use engine::value::Key;
use std::collections::BTreeSet;

/// Two rows on both sides of which nothing is agreed on: the first has no name in the sheet, the
/// second none in the table.
fn unequal(winner: Side) -> World {
    let mut mapping = mapping();
    mapping.winner = Some(winner);
    let mut world = World::agreed(mapping, 2);
    world.bases.clear();
    world.tab[1][1] = Cell::Empty;
    world.table.get_mut(&key(1)).expect("a row")[1] = None;
    world
}

/// The rows and columns of which the loser's value was kept.
fn conflicts(world: &World) -> BTreeSet<(Key, Option<usize>)> {
    let commits = world.commits.iter();
    let conflicts = commits.flat_map(|commit| &commit.conflicts);
    conflicts.map(|one| (one.key.clone(), one.column)).collect()
}

fn names() -> BTreeSet<(Key, Option<usize>)> {
    BTreeSet::from([(key(0), Some(1)), (key(1), Some(1))])
}

#[test]
fn what_the_table_has_left_empty_is_emptied_in_the_sheet() {
    let mut world = unequal(Side::Database);
    let before = world.table.clone();
    world.cycle(Scope::Everything, &[]);
    assert_eq!(
        [&world.tab[1][1], &world.tab[2][1]],
        [&text("name 0"), &Cell::Empty]
    );
    assert_eq!(world.table, before);
    assert_eq!(conflicts(&world), names());
}

#[test]
fn what_the_sheet_has_left_empty_is_emptied_in_the_table() {
    let mut world = unequal(Side::Sheet);
    let before = world.tab.clone();
    world.cycle(Scope::Everything, &[]);
    assert_eq!(world.table[&key(0)][1], None);
    assert_eq!(world.table[&key(1)][1], Some("name 1".into()));
    assert_eq!(world.tab, before);
    assert_eq!(conflicts(&world), names());
}

#[test]
fn a_row_that_the_table_got_since_then_is_a_new_one() {
    let mut world = unequal(Side::Sheet);
    let row = |id: &str| vec![Some(id.into()), Some("new".into()), Some("1.50".into())];
    world.table.insert(key(8), row("8"));
    world.table.insert(key(9), row("9"));
    world.cycle(Scope::Everything, &[9]);
    let ids: Vec<&Cell> = world.tab[1..].iter().map(|row| &row[0]).collect();
    let expected = [0.0, 1.0, 9.0].map(Cell::Number);
    assert_eq!(ids, expected.iter().collect::<Vec<_>>());
}
