//! Keys that are missing, given, and changed.

use crate::world::*;

#[test]
fn a_row_typed_without_a_key_gets_it_in_the_sheet_before_it_reaches_the_table() {
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    let mut world = World::agreed(mapping, 2).warm();
    world
        .tab
        .push(vec![Cell::Empty, text("typed"), Cell::Empty]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read", "inspect", "tag", "write"]);
    assert_eq!(world.tab[3][0], Cell::Number(7_000.0));
    assert_eq!(
        world.table[&key(7_000)],
        [Some("7000".into()), Some("typed".into()), None]
    );
    world.cycle(Scope::Full, &[7_000]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn a_generated_key_that_the_sheet_refuses_holds_up_no_other_row() {
    fn protected(effect: &SheetEffect) -> Option<Failure> {
        let SheetEffect::Write { rows, .. } = effect else {
            return None;
        };
        // The second of the rows stands in a protected range.
        let hit = rows
            .iter()
            .any(|row| row.cells.contains(&(0, Cell::Number(7_001.0))));
        hit.then(|| Failure {
            class: Class::NeedsHuman,
            reason: "protected".into(),
            message: "protected".into(),
            hint: "ask".into(),
            retry_after_ms: None,
            may_have_applied: false,
        })
    }
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    let mut world = World::agreed(mapping, 2).warm();
    for name in ["one", "two", "three"] {
        world.tab.push(vec![Cell::Empty, text(name), Cell::Empty]);
    }
    world.fault = Some(protected);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(
        (report.stopped, report.rows_pulled, report.problems),
        (None, 2, 1)
    );
    assert_eq!(world.tab[4][0], Cell::Empty);
    let problem = world
        .commits
        .iter()
        .find_map(|commit| commit.problems.first());
    let place = problem.map(|problem| (problem.place.sheet_row, problem.code.as_str()));
    assert_eq!(place, Some((Some(5), "protected")));
    // Not at every poll, and the problem stands meanwhile.
    world.cycle(Scope::Full, &[7_000, 7_002]);
    assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
    // A minute later it is tried again.
    world.now += 61_000_000;
    world.fault = None;
    world.cycle(Scope::Full, &[]);
    assert!(world.tab[4][0] != Cell::Empty && world.table.len() == 5);
    world.cycle(Scope::Full, &[7_000]);
    let settled = world
        .commits
        .iter()
        .flat_map(|commit| &commit.settled_problems);
    assert_eq!(settled.count(), 1);
}

#[test]
fn a_key_edited_in_the_sheet_keeps_the_tables_row() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[3][0] = Cell::Number(77.0);
    let report = world.cycle(Scope::Full, &[]);
    assert!(matches!(report.again, Some(Again::Confirm(_))));
    assert_eq!(world.commits.len(), 0);
    let report = world.cycle(Scope::Full, &[]);
    let change = &world.commits[0].apply[0];
    assert_eq!(
        (change.key.clone(), change.new_key.clone()),
        (key(2), Some(key(77)))
    );
    assert!(matches!(change.change, Change::Update { .. }));
    assert_eq!(report.rows_pulled, 1);
    assert!(!world.bases.contains_key(&key(2)) && world.bases.contains_key(&key(77)));
    world.table.remove(&key(2));
    world.cycle(Scope::Full, &[2, 77]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.commits.len(), world.requests(), world.tab.len()),
        (0, vec!["read"], 6)
    );
}

#[test]
fn a_row_typed_where_another_was_deleted_is_a_row_of_its_own() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[3] = vec![Cell::Number(77.0), text("another"), Cell::Empty];
    world.cycle(Scope::Full, &[]);
    assert!(world.table.contains_key(&key(2)) && world.table.contains_key(&key(77)));
    world.cycle(Scope::Full, &[77]);
    assert!(!world.table.contains_key(&key(2)));
}
