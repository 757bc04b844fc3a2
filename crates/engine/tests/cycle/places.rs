//! Rows and columns that are not where they were, and readings that are not new.

use crate::world::*;

#[test]
fn rows_that_moved_since_are_found_again_before_anything_is_written() {
    let mut world = World::agreed(mapping(), 10).warm();
    world.tab[1..].reverse();
    world.set(3, "changed");
    world.cycle(Scope::Dirty, &[3]);
    assert_eq!(world.requests(), ["tag", "read", "tag", "write"]);
    let at = world
        .tab
        .iter()
        .position(|row| row[0] == Cell::Number(3.0))
        .expect("the row");
    assert_eq!(world.tab[at][1], text("changed"));
    assert_eq!(
        world
            .tab
            .iter()
            .filter(|row| row[1] == text("changed"))
            .count(),
        1
    );
}

#[test]
fn a_moved_column_is_noticed_before_a_value_goes_astray() {
    let mut world = World::agreed(mapping(), 4).warm();
    for row in &mut world.tab {
        row.swap(1, 2);
    }
    world.set(2, "changed");
    world.cycle(Scope::Dirty, &[2]);
    assert_eq!(
        world.tab[3],
        [Cell::Number(2.0), Cell::Number(1.5), text("changed")]
    );
}

#[test]
fn an_old_reading_undoes_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.set(2, "new");
    world.cycle(Scope::Dirty, &[2]);
    world.table.remove(&key(4));
    world.cycle(Scope::Full, &[4]);
    let fresh = world.tab.clone();
    // As it was before both writes.
    world.tab[3][1] = text("name 2");
    world
        .tab
        .push(vec![Cell::Number(4.0), text("name 4"), Cell::Number(1.5)]);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.again, world.commits.len()), (Some(Again::Soon), 0));
    world.tab = fresh;
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.table.len(), world.table[&key(2)][1].as_deref()),
        (4, Some("new"))
    );
    // Shown twice, it is what a person wants.
    world.tab[3][1] = text("name 2");
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table[&key(2)][1].as_deref(), Some("name 2"));
}

#[test]
fn a_vanished_header_stops_the_mapping_and_goes_on_when_it_is_back() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab[0][1] = Cell::Empty;
    world.tab[1][2] = Cell::Number(3.0);
    let report = world.cycle(Scope::Full, &[]);
    let Some(Stopped::Guard {
        reason, message, ..
    }) = report.stopped
    else {
        panic!("no guard")
    };
    assert_eq!(
        (reason.as_str(), message.as_str()),
        (
            "header_missing",
            "Row 1 of the sheet has no header \"name\"."
        )
    );
    assert!(world.commits.is_empty());
    world.tab[0][1] = text(" NAME ");
    assert_eq!(world.cycle(Scope::Full, &[]).rows_pulled, 1);
}

#[test]
fn a_new_column_gets_its_header_and_its_values() {
    let mut world = World::agreed(mapping(), 3).warm();
    let mut more = column("unit_price", Kind::Integer);
    more.header_known = false;
    world.mapping.columns.push(more);
    world.machine = Machine::new(world.mapping.clone());
    for (id, row) in world.table.values_mut().enumerate() {
        row.push(Some(id.to_string().into()));
    }
    world.cycle(Scope::Everything, &[]);
    assert_eq!(world.tab[0][3], text("unit_price"));
    assert_eq!(world.tab[3][3], Cell::Number(2.0));
}
