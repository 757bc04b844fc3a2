//! Keys that are missing, given, and changed.

use crate::world::*;
use engine::effect::Reason;

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
            reason: Reason::Protected,
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

/// Rows `k0`, `k1`, … whose keys the table compares whatever their case.
fn case_blind(rows: usize) -> World {
    let mut mapping = mapping();
    mapping.key_equality = KeyEquality::ByOperator;
    mapping.columns[0].kind = Kind::Text;
    let mut world = World::agreed(mapping, 0);
    for n in 0..rows {
        let row: Vec<Datum> = vec![
            Some(format!("k{n}").into()),
            Some(format!("name {n}").into()),
            None,
        ];
        world.tab.push(vec![
            text(&format!("k{n}")),
            text(&format!("name {n}")),
            Cell::Empty,
        ]);
        let base = Base {
            database: row.clone(),
            sheet: world.tab[n + 1].clone(),
        };
        world
            .bases
            .insert(named(&format!("k{n}")), StoredRow::agreed(base));
        world.table.insert(named(&format!("k{n}")), row);
    }
    world
}

fn named(key: &str) -> Key {
    Key::from_iter([key])
}

#[test]
fn another_spelling_of_a_key_is_no_change_of_the_row_and_no_other_row() {
    let mut world = case_blind(3);
    world.cycle(Scope::Full, &[]);
    world.tab[2][0] = text("K1");
    world.tab[2][1] = text("edited");
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert_eq!(world.table.len(), 3);
    assert_eq!(world.table[&named("k1")][1], Some("edited".into()));
    assert_eq!(world.tab[2][0], text("K1"));
    // A fresh engine knows it from what is stored.
    let typed = world.bases[&named("k1")].base.sheet[0].clone();
    assert_eq!(typed, text("K1"));
    world.machine = Machine::new(world.mapping.clone());
    for _ in 0..3 {
        world.cycle(Scope::Everything, &[]);
    }
    assert_eq!((world.table.len(), world.tab.len()), (3, 4));
}

#[test]
fn a_key_that_the_table_spells_otherwise_keeps_its_row() {
    let mut world = case_blind(3);
    world.cycle(Scope::Full, &[]);
    world.tab[0].push(text("mine"));
    world.tab[2].push(text("beside it"));
    let mut row = world.table.remove(&named("k1")).expect("a row");
    row[0] = Some("K1".into());
    world.table.insert(named("K1"), row);
    world.dirty_keys(Scope::Dirty, &["k1", "K1"]);
    assert_eq!(
        world.tab[2],
        [text("K1"), text("name 1"), Cell::Empty, text("beside it")]
    );
    assert!(world.bases.contains_key(&named("K1")) && !world.bases.contains_key(&named("k1")));
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.commits.len(), world.tab.len(), world.table.len()),
        (0, 4, 3)
    );
}

#[test]
fn two_new_spellings_of_one_key_are_a_doubled_key() {
    let mut world = case_blind(1);
    world.cycle(Scope::Full, &[]);
    world.tab.push(vec![text("new"), text("one"), Cell::Empty]);
    world.tab.push(vec![text("NEW"), text("two"), Cell::Empty]);
    world.cycle(Scope::Full, &[]);
    let codes = world.commits.iter().flat_map(|commit| &commit.problems);
    let codes: Vec<&str> = codes.map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["duplicate_key", "duplicate_key"]);
    assert_eq!(world.table.len(), 1);
}

#[test]
fn a_key_that_a_trigger_makes_of_what_was_typed_is_followed_and_shown() {
    let mut mapping = mapping();
    mapping.columns[0].kind = Kind::Text;
    let mut world = World::agreed(mapping, 2).warm();
    world.trigger = Some(|row| {
        if let Some(key) = &mut row[0] {
            *key = key.to_lowercase().into();
        }
    });
    world.tab.push(vec![
        text("NEW"),
        text("typed"),
        Cell::Empty,
        text("beside it"),
    ]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.tab[3][0], text("new"));
    assert_eq!(world.tab[3][3], text("beside it"));
    assert!(world.bases.contains_key(&named("new")) && !world.bases.contains_key(&named("NEW")));
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.commits.len(), world.tab.len(), world.table.len()),
        (0, 4, 3)
    );
    // An edit that comes to the same key again.
    world.tab[3][0] = text("New");
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert_eq!(world.tab[3][0], text("new"));
    assert_eq!((world.tab.len(), world.table.len()), (4, 3));
}

#[test]
fn a_key_that_looks_like_another_costs_no_row() {
    let mut mapping = mapping();
    mapping.columns[0].kind = Kind::Text;
    let mut world = World::agreed(mapping, 3).warm();
    world.tab[2][0] = text("1\u{200b}");
    for _ in 0..4 {
        world.cycle(Scope::Full, &[]);
        assert_eq!((world.table.len(), world.tab.len()), (3, 4));
    }
    assert_eq!(world.problems.len(), 1);
    world.tab[2][0] = text("1");
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.table.len(), world.problems.len()), (3, 0));
}

#[test]
fn a_number_that_lost_digits_is_no_key() {
    let mut world = World::agreed(mapping(), 2).warm();
    world.tab.push(vec![
        Cell::Number(1.497_549_923_779_084_4e18),
        text("x"),
        Cell::Empty,
    ]);
    world.tab.push(vec![
        Cell::Number(1_234_567_890_123_456.0),
        text("y"),
        Cell::Empty,
    ]);
    world.cycle(Scope::Full, &[]);
    let codes = world.commits.iter().flat_map(|commit| &commit.problems);
    let codes: Vec<&str> = codes.map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["too_many_digits", "too_many_digits"]);
    assert_eq!(world.table.len(), 2);
}

#[test]
fn a_key_is_not_given_to_a_row_that_came_to_the_place() {
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    let mut world = World::agreed(mapping, 2).warm();
    world
        .tab
        .push(vec![Cell::Empty, text("new"), Cell::Number(1.0)]);
    world.cycle(Scope::Full, &[]);
    world
        .tab
        .push(vec![Cell::Empty, text("newer"), Cell::Number(1.0)]);
    world.meanwhile = Some(("tag", |world| {
        let total = vec![Cell::Empty, text("Total"), Cell::Number(4.0)];
        world.tab.insert(4, total);
        world.formulas.insert((4, 2), "=SUM(C2:C4)");
    }));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.tab[4][0], Cell::Empty);
    assert!(matches!(world.tab[5][0], Cell::Number(_)));
    assert_eq!(world.table.len(), 4);
}

#[test]
fn a_key_that_cannot_be_read_is_not_looked_at_with_every_reading() {
    let mut mapping = mapping();
    mapping.columns[0].kind = Kind::Text;
    let mut world = World::agreed(mapping, 2).warm();
    let row = vec![
        Cell::Number(1_234_567_890_123_456.0),
        text("x"),
        Cell::Empty,
    ];
    world.tab.push(row);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.told().len(), 1);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
    // Its format may have been changed, which the value does not tell.
    world.now += 70_000_000;
    world.cycle(Scope::Full, &[]);
    assert!(world.requests().contains(&"inspect"));
}

#[test]
fn a_key_that_no_cell_keeps_is_not_looked_at() {
    let mut world = World::agreed(mapping(), 2).warm();
    let row = vec![
        Cell::Number(12_345_678_901_234_567_890.0),
        text("x"),
        Cell::Empty,
    ];
    world.tab.push(row);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
    assert_eq!(world.told().len(), 1);
}

#[test]
fn a_new_row_that_is_refused_is_not_looked_at_with_every_reading() {
    let mut world = World::agreed(mapping(), 2).warm();
    let row = vec![Cell::Number(50.0), text("x"), Cell::Number(45_000.0)];
    world.tab.push(row);
    let format = NumberFormat::new("DATE", "yyyy-mm-dd".into());
    world.formats.insert((3, 2), (format, "2023-03-15".into()));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.told().len(), 1);
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
        assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
    }
}

#[test]
fn the_key_of_a_row_that_is_refused_is_not_looked_at_with_every_reading() {
    let mut mapping = mapping();
    mapping.columns[0].kind = Kind::Text;
    mapping.key_equality = KeyEquality::ByOperator;
    let mut world = World::agreed(mapping, 2).warm();
    world
        .tab
        .push(vec![Cell::Number(50.0), text("x"), Cell::Number(1.0)]);
    let refusal = Refusal {
        sqlstate: "23514".into(),
        message: "no such row".into(),
        hint: None,
    };
    let refused = Applied::Refused {
        cells: Vec::new(),
        row: Some(refusal),
    };
    world.answers.insert(key(50), refused);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.told().len(), 1);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
    world.now += 70_000_000;
    world.answers.clear();
    world.cycle(Scope::Full, &[]);
    assert!(world.requests().contains(&"inspect"));
    assert!(world.table.contains_key(&key(50)));
    assert!(world.problems.is_empty());
}

#[test]
fn a_key_that_the_sheet_refused_is_not_given_again_because_a_request_failed() {
    fn failure(reason: Reason, class: Class) -> Failure {
        Failure {
            class,
            reason,
            message: String::new(),
            hint: String::new(),
            retry_after_ms: None,
            may_have_applied: false,
        }
    }
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    let mut world = World::agreed(mapping, 2).warm();
    world.tab.push(vec![Cell::Empty, text("one"), Cell::Empty]);
    world.fault = Some(|effect| {
        let is_write = matches!(effect, SheetEffect::Write { .. });
        is_write.then(|| failure(Reason::Protected, Class::NeedsHuman))
    });
    assert_eq!(world.cycle(Scope::Full, &[]).stopped, None);
    world.tab.push(vec![Cell::Empty, text("two"), Cell::Empty]);
    world.fault = Some(|effect| {
        let is_look = matches!(effect, SheetEffect::Inspect { .. });
        is_look.then(|| failure(Reason::Timeout, Class::RetryLater))
    });
    assert!(world.cycle(Scope::Full, &[]).stopped.is_some());
    world.fault = None;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.tab[3][0], Cell::Empty);
    assert!(matches!(world.tab[4][0], Cell::Number(_)));
}

#[test]
fn a_conflict_of_a_row_whose_edited_key_the_table_turns_back_stays_open() {
    let mut mapping = mapping();
    mapping.policy = Policy::Manual;
    let mut world = World::agreed(mapping, 5).warm();
    world.set(2, "said in SQL");
    world.tab[3][1] = text("typed");
    let conflict = PendingConflict {
        id: 5,
        column: Some(1),
        database: Some(Some("said in SQL".into())),
        sheet: Some(text("typed")),
        rows: None,
        decision: None,
    };
    world.pending.insert(key(2), vec![conflict]);
    world.trigger = Some(|row| row[0] = Some("2".into()));
    world.tab[3][0] = Cell::Number(77.0);
    let mut settled = Vec::new();
    for _ in 0..3 {
        world.cycle(Scope::Full, &[2]);
        let commits = world.commits.iter();
        settled.extend(commits.flat_map(|one| one.settled_conflicts.clone()));
    }
    assert_eq!(world.tab[3][0], Cell::Number(2.0));
    assert_eq!((world.table.len(), settled), (5, vec![]));
}
