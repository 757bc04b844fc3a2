//! What a formula fills is not written, and what it shows for a while is no edit.

use crate::world::*;

fn code(id: usize, column: Option<usize>, code: &str) -> (Option<Key>, Option<usize>, String) {
    (Some(key(id)), column, code.into())
}

fn words(world: &World) -> String {
    let problems = world.commits.iter().flat_map(|commit| &commit.problems);
    problems
        .map(|one| one.message.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Five rows of which column `name` is filled by one formula.
fn filled() -> World {
    let mut world = World::agreed(mapping(), 5).warm();
    world.fill(1, 1, "=ARRAYFORMULA(feed!B2:B)");
    world
}

#[test]
fn a_cell_that_an_array_fills_is_not_written() {
    let mut world = filled();
    world.set(3, "raised");
    world.cycle(Scope::Dirty, &[3]);
    assert_eq!(world.requests(), ["tag", "formulas"]);
    assert_eq!(world.told(), [code(3, Some(1), "formula_cell")]);
    assert!(
        words(&world).contains("the formula in B2"),
        "{}",
        words(&world)
    );
    assert_eq!(world.tab[4][1], text("name 3"));
}

#[test]
fn a_formula_in_the_cell_is_not_written_over() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.formulas.insert((4, 1), "=D4&\"!\"");
    world.set(3, "raised");
    world.cycle(Scope::Dirty, &[3]);
    assert_eq!(world.told(), [code(3, Some(1), "formula_cell")]);
    assert_eq!(world.tab[4][1], text("name 3"));
}

#[test]
fn a_mass_passes_by_what_a_formula_fills() {
    let mut world = World::agreed(mapping(), 2_000).warm();
    world.fill(1, 1, "=ARRAYFORMULA(feed!B2:B)");
    let ids: Vec<usize> = (0..2_000).collect();
    for id in &ids {
        world.set(*id, "raised");
    }
    world.cycle(Scope::Dirty, &ids);
    assert_eq!(world.told().len(), 2_000);
    assert!(
        world
            .log
            .iter()
            .all(|effect| !matches!(effect, SheetEffect::Write { .. }))
    );
    assert_eq!(world.tab[1_000][1], text("name 999"));
}

#[test]
fn a_row_whose_key_is_filled_stays_in_the_sheet() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.fill(0, 3, "=ARRAYFORMULA(feed!A2:C)");
    for id in [0, 3] {
        world.table.remove(&key(id));
        world.cycle(Scope::Dirty, &[id]);
        assert_eq!(world.told(), [code(id, None, "formula_cell")]);
    }
    assert_eq!(world.tab.len(), 6);
}

#[test]
fn a_row_whose_formula_fills_others_stays_in_the_sheet() {
    let mut world = filled();
    world.table.remove(&key(0));
    world.cycle(Scope::Dirty, &[0]);
    assert_eq!(world.told(), [code(0, None, "formula_cell")]);
    // Any other row of the array may go.
    world.table.remove(&key(2));
    world.cycle(Scope::Dirty, &[2]);
    assert_eq!((world.told(), world.tab.len()), (Vec::new(), 5));
}

#[test]
fn a_new_row_leaves_a_filled_column_to_the_formula() {
    let mut world = filled();
    let row = vec![Some("7".into()), Some("ours".into()), Some("2".into())];
    world.table.insert(key(7), row);
    world.cycle(Scope::Full, &[7]);
    let inserted = world.log.iter().find_map(|effect| match effect {
        SheetEffect::Insert { rows, .. } => Some(rows.clone()),
        _ => None,
    });
    let columns: Vec<u32> = inserted.expect("a new row")[0]
        .iter()
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(columns, [0, 2]);
}

#[test]
fn a_new_row_is_not_put_below_rows_whose_key_is_filled() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.fill(0, 3, "=ARRAYFORMULA(feed!A2:C)");
    let row = vec![Some("7".into()), Some("ours".into()), Some("2".into())];
    world.table.insert(key(7), row);
    world.cycle(Scope::Full, &[7]);
    assert_eq!(world.told(), [code(7, None, "formula_cell")]);
    assert_eq!(world.tab.len(), 6);
    // It is not looked into the same with every reading.
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
}

#[test]
fn a_broken_array_empties_nothing() {
    let mut world = filled();
    for row in 2..6 {
        world.tab[row][1] = Cell::Empty;
        world.filled.remove(&(row as u32, 1));
    }
    world.tab[1][1] = text("#REF!");
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    for id in 1..5 {
        assert_eq!(world.table[&key(id)][1], Some(format!("name {id}").into()));
    }
    assert_eq!(world.table[&key(0)][1], Some("warm".into()));
}

#[test]
fn a_formula_that_shows_nothing_empties_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.formulas.insert((3, 1), "=IF(F1=1,\"name 2\",\"\")");
    world.tab[3][1] = Cell::Empty;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.told(), [code(2, Some(1), "blank_formula")]);
    assert_eq!(world.table[&key(2)][1], Some("name 2".into()));
}

#[test]
fn a_person_empties_a_cell_though_other_formulas_show_errors() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.formulas.insert((1, 0), "=1/0");
    world.tab[3][1] = Cell::Empty;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table[&key(2)][1], None);
}

#[test]
fn rows_that_a_broken_array_took_along_are_not_deleted() {
    for shown in [text("#REF!"), Cell::Empty] {
        let mut world = World::agreed(mapping(), 5).warm();
        world.fill(0, 3, "=IMPORTRANGE(\"x\",\"A2:C\")");
        world.filled.clear();
        world.tab.truncate(2);
        world.tab[1] = vec![shown, Cell::Empty, Cell::Empty];
        for _ in 0..4 {
            world.cycle(Scope::Full, &[]);
        }
        assert!((0..5).all(|id| world.table.contains_key(&key(id))));
        assert!(!world.problems.is_empty());
    }
}

#[test]
fn keys_that_count_rows_stop_the_mapping_when_a_row_goes() {
    let mut world = World::agreed(mapping(), 5).warm();
    for row in 1..6 {
        world.formulas.insert((row, 0), "=ROW()-2");
    }
    let taken = world.tab.remove(2);
    for (row, cells) in world.tab.iter_mut().enumerate().skip(1) {
        cells[0] = Cell::Number(row as f64 - 1.0);
    }
    world.formulas.remove(&(5, 0));
    let report = world.cycle(Scope::Full, &[]);
    let Some(Stopped::Guard {
        reason, message, ..
    }) = report.stopped
    else {
        panic!("no guard")
    };
    assert_eq!(reason, "keys_moved");
    assert!(message.contains("A3 (=ROW()-2)"), "{message}");
    assert_eq!(world.table[&key(1)][1], Some("name 1".into()));
    drop(taken);
}

#[test]
fn a_total_is_no_record_and_new_rows_come_above_it() {
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    let mut world = World::agreed(mapping, 2).warm();
    world
        .tab
        .push(vec![Cell::Empty, text("Total"), Cell::Number(3.0)]);
    world.formulas.insert((3, 2), "=SUM(C2:C3)");
    let row = vec![Some("7".into()), Some("ours".into()), Some("2".into())];
    world.table.insert(key(7), row);
    world.cycle(Scope::Full, &[7]);
    assert_eq!(world.table.len(), 3);
    assert_eq!(world.tab[3][1], text("ours"));
    assert_eq!(
        world.tab[4],
        [Cell::Empty, text("Total"), Cell::Number(3.0)]
    );
    assert!(world.problems.is_empty());
}

#[test]
fn what_an_array_fills_below_the_data_makes_no_rows() {
    let mut world = World::agreed(mapping(), 2).warm();
    for _ in 0..20 {
        world
            .tab
            .push(vec![Cell::Empty, Cell::Empty, Cell::Number(0.0)]);
    }
    world.fill(2, 1, "=ARRAYFORMULA(B2:B*2)");
    let row = vec![Some("7".into()), Some("ours".into()), Some("0".into())];
    world.table.insert(key(7), row);
    world.cycle(Scope::Full, &[7]);
    assert_eq!(world.tab[3][1], text("ours"));
    assert!(world.problems.is_empty());
}

#[test]
fn a_row_without_a_key_that_stands_apart_is_no_record() {
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    let mut world = World::agreed(mapping, 2).warm();
    world.tab.push(Vec::new());
    world
        .tab
        .push(vec![Cell::Empty, text("Total"), Cell::Number(3.0)]);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.table.len(), world.requests()), (2, vec!["read"]));
    assert!(world.problems.is_empty());
}
