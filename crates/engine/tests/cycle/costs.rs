//! What a cycle costs: requests, and cells in them.

use crate::world::*;

#[test]
fn one_changed_row_costs_a_tag_and_a_write_of_one_cell() {
    let mut world = World::agreed(mapping(), 100).warm();
    world.set(42, "new name");
    let report = world.cycle(Scope::Dirty, &[42]);
    assert_eq!(world.requests(), ["tag", "write"]);
    assert_eq!(report.rows_pushed, 1);
    assert!(report.dirty_done);
    let Some(SheetEffect::Write { rows, .. }) = world.log.last() else {
        panic!("no write")
    };
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].cells, [(1, text("new name"))]);
}

#[test]
fn the_echo_of_our_own_apply_costs_nothing() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab[2][1] = text("typed");
    assert_eq!(world.cycle(Scope::Full, &[]).rows_pulled, 1);
    let report = world.cycle(Scope::Dirty, &[1]);
    assert_eq!(world.requests(), [""; 0]);
    assert!(world.commits.is_empty());
    assert!(report.dirty_done);
}

#[test]
fn a_tab_where_nothing_changed_is_read_and_nothing_else() {
    let mut world = World::agreed(mapping(), 50).warm();
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.requests(), world.loads, world.commits.len()),
        (vec!["read"], 0, 0)
    );
    // A fresh engine compares stored hashes: it asks for no row either.
    world.machine = Machine::new(world.mapping.clone());
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.requests(), world.loads, world.commits.len()),
        (vec!["tidy", "read", "find columns"], 0, 0)
    );
}

#[test]
fn an_unmapped_column_is_nobodys_business() {
    let mut world = World::agreed(mapping(), 3).warm();
    for (row, cells) in world.tab.iter_mut().enumerate() {
        cells.push(text(&format!("note {row}")));
    }
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.loads), (vec!["read"], 0));
}

#[test]
fn a_first_load_goes_in_pieces() {
    let mut world = first_load(24_000);
    let report = world.cycle(Scope::Everything, &[]);
    let inserts = world
        .requests()
        .iter()
        .filter(|name| **name == "insert")
        .count();
    assert_eq!((report.rows, report.stopped, inserts), (24_000, None, 3));
    assert_eq!(world.requests()[..4], ["tidy", "read", "header", "read"]);
    // Announced before, agreed after: two commits for each piece.
    assert_eq!(world.commits.len(), 6);
    let sizes: Vec<usize> = world
        .commits
        .iter()
        .flat_map(|commit| &commit.inserting)
        .map(|batch| batch.rows.len())
        .collect();
    assert_eq!(sizes, [10_000, 10_000, 4_000]);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.loads), (vec!["read"], 0));
}

fn first_load(rows: usize) -> World {
    let mut world = World::agreed(mapping(), 0);
    world.tab.clear();
    for column in &mut world.mapping.columns {
        column.header_known = false;
    }
    world.machine = Machine::new(world.mapping.clone());
    for id in 0..rows {
        world.table.insert(
            key(id),
            vec![Some(id.to_string().into()), Some("x".into()), None],
        );
    }
    world
}

#[test]
fn ten_thousand_changed_rows_take_a_handful_of_requests() {
    let mut world = World::agreed(mapping(), 10_000).warm();
    let ids: Vec<usize> = (0..10_000).collect();
    for id in &ids {
        world.set(*id, "raised");
    }
    let report = world.cycle(Scope::Dirty, &ids);
    assert_eq!(report.rows_pushed, 10_000);
    // Rows of a mass are read as values, which do not tell what a formula fills: so it is asked
    // whether there are any formulas.
    assert_eq!(world.requests(), ["formulas", "tag", "rows", "write"]);
}

#[test]
fn blank_rows_anywhere_are_nothing() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab.insert(2, Vec::new());
    world
        .tab
        .insert(1, vec![Cell::Empty, Cell::Empty, Cell::Empty]);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(
        (report.problems, world.table.len(), world.requests()),
        (0, 3, vec!["read"])
    );
}

#[test]
fn rows_that_are_too_large_to_be_loaded_together_go_one_after_the_other() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.loads_at_a_time = 1;
    for id in [1, 3, 4] {
        world.set(id, &format!("new {id}"));
    }
    let report = world.cycle(Scope::Dirty, &[1, 3, 4]);
    assert_eq!((report.rows_pushed, report.dirty_done), (3, true));
    assert_eq!(world.loads, 3);
    let names: Vec<&Cell> = world.tab[1..].iter().map(|row| &row[1]).collect();
    let expected = ["warm", "new 1", "name 2", "new 3", "new 4"].map(text);
    assert_eq!(names, expected.iter().collect::<Vec<_>>());
}
