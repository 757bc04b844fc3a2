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
    assert_eq!(reason.as_str(), "keys_moved");
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

/// Rows of which only the last has a name, which one formula in B2 fills.
fn mostly_blank(rows: usize) -> World {
    let mut world = World::agreed(mapping(), rows);
    for id in 0..rows - 1 {
        let mut row = world.table[&key(id)].clone();
        row[1] = None;
        let cells = world.shown(&row);
        let base = Base {
            database: row.clone(),
            sheet: cells.clone(),
        };
        world.bases.insert(key(id), StoredRow::agreed(base));
        world.table.insert(key(id), row);
        world.tab[id + 1] = cells;
    }
    world.cycle(Scope::Full, &[]);
    world
}

#[test]
fn an_array_is_found_behind_any_number_of_blanks() {
    let mut world = mostly_blank(700);
    world.fill(1, 1, "=ARRAYFORMULA(feed!B2:B)");
    world.tab[700][1] = Cell::Empty;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.told(), [code(699, Some(1), "blank_formula")]);
    assert_eq!(world.table[&key(699)][1], Some("name 699".into()));
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
}

#[test]
fn a_person_empties_a_cell_below_any_number_of_blanks() {
    let mut world = mostly_blank(700);
    world.tab[700][1] = Cell::Empty;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table[&key(699)][1], None);
    assert!(world.problems.is_empty());
}

#[test]
fn a_broken_array_empties_nothing_after_rows_have_gone() {
    let mut mapping = mapping();
    mapping.policy = Policy::DatabaseWins;
    // One row at a time.
    mapping.max_request_bytes = 1;
    let mut world = World::agreed(mapping, 8).warm();
    world.formulas.insert((4, 1), "=ARRAYFORMULA(feed!B2:B)");
    world.tab[4][1] = text("#REF!");
    for row in 5..9 {
        world.tab[row][1] = Cell::Empty;
    }
    world.table.remove(&key(0));
    world.tab[1][2] = Cell::Number(9.0);
    world.cycle(Scope::Full, &[0]);
    assert_eq!(world.tab.len(), 8, "the row is deleted");
    for id in 3..8 {
        assert_eq!(world.table[&key(id)][1], Some(format!("name {id}").into()));
    }
}

#[test]
fn an_array_that_is_mended_while_it_is_looked_at_empties_nothing() {
    let mut world = filled();
    for row in 2..6 {
        world.tab[row][1] = Cell::Empty;
    }
    world.tab[1][1] = text("#REF!");
    world.meanwhile = Some(("inspect", |world| {
        for row in 1..6 {
            world.tab[row][1] = text(&format!("name {}", row - 1));
        }
    }));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests()[..3], ["read", "inspect", "read"]);
    for id in 1..5 {
        assert_eq!(world.table[&key(id)][1], Some(format!("name {id}").into()));
    }
}

#[test]
fn a_mass_of_rows_that_a_broken_array_took_along_waits_without_being_looked_at_again() {
    let mut world = World::agreed(mapping(), 40).warm();
    world.fill(0, 3, "=IMPORTRANGE(\"x\",\"A2:C\")");
    let (tab, filled) = (world.tab.clone(), world.filled.clone());
    world.filled.clear();
    world.tab.truncate(2);
    world.tab[1] = vec![Cell::Empty; 3];
    let mut told = Vec::new();
    for round in 0..6 {
        let report = world.cycle(Scope::Full, &[]);
        told.extend(world.told());
        if round > 1 {
            assert_eq!(report.again, None);
            assert!(world.requests().iter().all(|request| *request == "read"));
        }
    }
    assert_eq!(world.table.len(), 40);
    let codes: Vec<&str> = told.iter().map(|(.., code)| code.as_str()).collect();
    assert_eq!(codes, ["broken_formula"]);
    let place = |stored: &StoredProblem| stored.message.contains("A2");
    assert!(world.problems.iter().any(place), "{:?}", world.problems);
    (world.tab, world.filled) = (tab, filled);
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert!(world.problems.is_empty());
    assert_eq!((world.table.len(), world.tab.len()), (40, 41));
}

#[test]
fn rows_are_gone_when_the_formula_is_gone_too() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.formulas.insert((3, 0), "=IF(F1=1,2,\"\")");
    world.tab[3] = vec![Cell::Empty; 3];
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert!(world.table.contains_key(&key(2)));
    world.formulas.clear();
    world.now += 70_000_000;
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert!(!world.table.contains_key(&key(2)));
    assert!(world.problems.is_empty());
}

/// Two records; new ones get their key from the table.
fn generated() -> World {
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    World::agreed(mapping, 2).warm()
}

fn total(sum: f64) -> Vec<Cell> {
    vec![Cell::Empty, text("Total"), Cell::Number(sum)]
}

#[test]
fn a_total_that_changes_while_it_is_looked_at_is_no_record() {
    let mut world = generated();
    world.tab.push(total(3.0));
    world.formulas.insert((3, 2), "=SUM(C2:C3)");
    world.meanwhile = Some(("inspect", |world| {
        world.tab[1][2] = Cell::Number(2.5);
        world.tab[3][2] = Cell::Number(4.0);
    }));
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert_eq!((world.table.len(), &world.tab[3]), (2, &total(4.0)));
}

#[test]
fn another_row_that_comes_to_the_place_of_a_total_outdates_the_reading() {
    let mut world = generated();
    world.tab.push(total(3.0));
    world.formulas.insert((3, 2), "=SUM(C2:C3)");
    world.meanwhile = Some(("inspect", |world| {
        let row = vec![Cell::Number(50.0), text("new"), Cell::Number(1.0)];
        world.tab.insert(3, row);
        world.move_formulas(3, 1);
    }));
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        world
            .requests()
            .iter()
            .filter(|one| **one == "read")
            .count(),
        2
    );
    assert_eq!((world.table.len(), &world.tab[4]), (3, &total(3.0)));
}

#[test]
fn a_total_above_or_among_the_data_is_no_record() {
    for at in [1, 2] {
        let mut world = generated();
        world.tab.insert(at, total(3.0));
        world.move_formulas(at as u32, 1);
        world.formulas.insert((at as u32, 2), "=SUM(C4:C)");
        for _ in 0..3 {
            world.cycle(Scope::Full, &[]);
        }
        assert_eq!((world.table.len(), &world.tab[at]), (2, &total(3.0)));
        assert!(world.problems.is_empty());
    }
}

#[test]
fn a_total_stays_one_when_all_rows_but_one_are_deleted() {
    let mut world = generated();
    world.tab.push(total(3.0));
    world.formulas.insert((3, 2), "=SUM(C2:C3)");
    world.cycle(Scope::Full, &[]);
    world.table.remove(&key(1));
    world.cycle(Scope::Dirty, &[1]);
    // As Google writes it when a row of its range is gone.
    world.formulas.clear();
    world.formulas.insert((2, 2), "=SUM(C2:C2)");
    world.tab[2][2] = Cell::Number(1.0);
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert_eq!(world.table.len(), 1);
    assert_eq!(world.tab[2], total(1.0));
}

#[test]
fn a_new_record_that_looks_something_up_gets_its_key() {
    for formula in [
        "=VLOOKUP(B4,F:G,2,FALSE)",
        "=COUNTIF(B:B,B4)",
        "=C4/SUM(D:D)",
    ] {
        let mut world = generated();
        let row = vec![Cell::Empty, text("Pen"), Cell::Number(3.0)];
        world.tab.push(row);
        world.formulas.insert((3, 2), formula);
        world.cycle(Scope::Full, &[]);
        assert_eq!(world.table.len(), 3, "{formula}");
        assert_eq!(world.tab[3][0], Cell::Number(7_000.0), "{formula}");
    }
}

#[test]
fn whether_a_row_is_a_record_or_a_total_is_asked() {
    let mut world = generated();
    world
        .tab
        .push(vec![Cell::Empty, text("Pen"), Cell::Number(3.0)]);
    world.formulas.insert((3, 2), "=C3*2");
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.told(), [(None, None, "total_unclear".into())]);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.table.len()), (vec!["read"], 2));
    world.tab[3][0] = Cell::Number(9.0);
    world.cycle(Scope::Full, &[]);
    assert!(world.table.contains_key(&key(9)));
    assert!(world.problems.is_empty());
}

/// Four records above a footer.
fn footed(text_of_it: &str) -> World {
    let mut mapping = mapping();
    mapping.footer = Some(text_of_it.into());
    let mut world = World::agreed(mapping, 4);
    world
        .tab
        .push(vec![Cell::Empty, text(text_of_it), Cell::Empty]);
    world.warm()
}

#[test]
fn rows_below_a_footer_that_moved_up_are_not_gone() {
    let mut world = footed("Total");
    let footer = world.tab.remove(5);
    world.tab.insert(3, footer);
    world.set(0, "elsewhere the sync goes on");
    let mut told = Vec::new();
    for _ in 0..4 {
        world.cycle(Scope::Full, &[0]);
        told.extend(world.told());
    }
    assert_eq!(world.table.len(), 4);
    assert_eq!(told, [(None, None, "below_footer".into())]);
    assert_eq!(world.tab[1][1], text("elsewhere the sync goes on"));
    let footer = world.tab.remove(3);
    world.tab.push(footer);
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert!(world.problems.is_empty());
    assert_eq!((world.table.len(), world.tab.len()), (4, 6));
}

#[test]
fn another_table_below_the_footer_keeps_no_row() {
    let mut world = footed("Total");
    world.tab.push(vec![
        Cell::Number(2.0),
        text("of another table"),
        Cell::Empty,
    ]);
    world.cycle(Scope::Full, &[]);
    assert!(world.problems.is_empty());
    world.tab.remove(3);
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert!(!world.table.contains_key(&key(2)));
    assert!(world.problems.is_empty());
}

#[test]
fn a_footer_is_found_however_the_answer_writes_it() {
    let mut world = footed("Sum <gross> & tax");
    world
        .tab
        .push(vec![Cell::Number(77.0), text("no record"), Cell::Empty]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 4);
}

/// Rows whose keys count them.
fn counted(rows: usize) -> World {
    let mut world = World::agreed(mapping(), rows).warm();
    for row in 1..=rows as u32 {
        world.formulas.insert((row, 0), "=ROW()-2");
    }
    world
}

/// A row goes, and the keys below it stay where they are.
fn delete_counted(world: &mut World, row: usize) {
    world.tab.remove(row);
    let rows = world.tab.len() as u32;
    world.formulas.remove(&(rows, 0));
    for (row, cells) in world.tab.iter_mut().enumerate().skip(1) {
        cells[0] = Cell::Number(row as f64 - 1.0);
    }
}

#[test]
fn keys_that_moved_are_noticed_without_a_reading_too() {
    let mut world = counted(6);
    delete_counted(&mut world, 2);
    world.table.get_mut(&key(3)).expect("a row")[2] = Some("2.00".into());
    let report = world.cycle(Scope::Dirty, &[3]);
    assert_eq!(world.requests()[..2], ["tag", "read"]);
    let Some(Stopped::Guard { reason, .. }) = report.stopped else {
        panic!("no guard")
    };
    assert_eq!(reason.as_str(), "keys_moved");
    assert_eq!(world.table[&key(3)][1], Some("name 3".into()));
    assert_eq!(world.tab[4][2], Cell::Number(1.5));
}

#[test]
fn keys_that_move_between_the_reading_and_the_look_are_noticed() {
    let mut world = counted(6);
    world.table.get_mut(&key(3)).expect("a row")[2] = Some("2.00".into());
    world.meanwhile = Some(("tag", |world| delete_counted(world, 2)));
    let report = world.cycle(Scope::Full, &[3]);
    assert!(matches!(report.stopped, Some(Stopped::Guard { .. })));
    assert_eq!(world.table[&key(3)][1], Some("name 3".into()));
    assert_eq!(world.tab[4][2], Cell::Number(1.5));
}

#[test]
fn a_row_whose_key_counts_it_is_written_as_any_other() {
    let mut world = counted(6);
    world.set(3, "raised");
    world.cycle(Scope::Dirty, &[3]);
    assert_eq!(world.requests(), ["tag", "write"]);
    assert_eq!(world.tab[4][1], text("raised"));
}

fn swap_names(world: &mut World, one: usize, other: usize) {
    let name = world.tab[one][1].clone();
    world.tab[one][1] = std::mem::replace(&mut world.tab[other][1], name);
}

#[test]
fn a_feed_that_changes_its_rows_stops_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.fill(0, 3, "=ARRAYFORMULA(feed!A2:C)");
    swap_names(&mut world, 3, 4);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(report.stopped, None);
    assert_eq!(world.table[&key(2)][1], Some("name 3".into()));
    assert_eq!(world.table[&key(3)][1], Some("name 2".into()));
}

#[test]
fn keys_of_formulas_that_go_with_their_rows_stop_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    for row in 1..6 {
        world
            .formulas
            .insert((row, 0), "=IF($F$1=\"on\",\"A\",1/0)");
    }
    swap_names(&mut world, 3, 4);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(report.stopped, None);
    assert_eq!(world.table[&key(2)][1], Some("name 3".into()));
}

#[test]
fn typed_keys_that_are_sorted_with_their_rows_stop_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[1..].reverse();
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.stopped, world.commits.len()), (None, 0));
}

#[test]
fn a_blank_formula_is_not_looked_at_with_every_reading() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.formulas.insert((3, 1), "=IF(F1=1,\"name 2\",\"\")");
    world.tab[3][1] = Cell::Empty;
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.commits.len()), (vec!["read"], 0));
}

#[test]
fn a_record_that_shows_what_a_former_total_showed_is_a_record() {
    let mut world = generated();
    world.tab.push(total(3.0));
    world.formulas.insert((3, 2), "=SUM(C2:C3)");
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 2);
    world.formulas.clear();
    world.tab[3] = vec![Cell::Number(9.0), text("new"), Cell::Number(1.0)];
    world.tab.push(total(3.0));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 4);
    assert_eq!(world.tab[4][0], Cell::Number(7_000.0));
}
