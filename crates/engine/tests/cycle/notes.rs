//! Notes stand on the cells that have a problem, wherever people put these, and go with the
//! problem.

use crate::world::*;
use engine::effect::Reason;

fn with_notes() -> Mapping {
    let mut mapping = mapping();
    mapping.notes_on_problems = true;
    mapping
}

/// Five rows; the second field of the second one is not what the table takes, and has a note.
fn with_a_bad_cell() -> World {
    let mut world = World::agreed(with_notes(), 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), [(2, 1)]);
    world
}

/// And below them a row that has no key, and for that a note.
fn with_a_row_without_a_key() -> World {
    let mut world = World::agreed(with_notes(), 5).warm();
    world.tab.push(without_key());
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), [(6, 0)]);
    world
}

fn without_key() -> Vec<Cell> {
    vec![Cell::Empty, text("new"), text("1.50")]
}

fn noted(world: &World) -> Vec<(u32, u32)> {
    world.notes.keys().copied().collect()
}

fn inserts_a_row(world: &mut World) {
    world.insert_row(1, Vec::new());
}

fn fails_in_passing(effect: &SheetEffect) -> Option<Failure> {
    matches!(effect, SheetEffect::Annotate { .. }).then(|| Failure {
        class: Class::RetryLater,
        reason: Reason::Lost,
        message: "no answer".into(),
        hint: String::new(),
        retry_after_ms: None,
        may_have_applied: true,
    })
}

fn begin_anew(world: &mut World) {
    world.fault = None;
    world.machine = Machine::new(world.mapping.clone());
}

#[test]
fn a_bad_cell_gets_a_note_in_a_persons_words_and_loses_it_when_mended() {
    let mut mapping = mapping();
    mapping.notes_on_problems = true;
    let mut world = World::agreed(mapping, 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    world.cycle(Scope::Full, &[]);
    let Some(SheetEffect::Annotate { notes, .. }) = world.log.last() else {
        panic!("no note")
    };
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].column, 1);
    let words = notes[0].text.clone().expect("a text");
    assert!(
        words.starts_with("new row violates check constraint. "),
        "{words}"
    );
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
    world.tab[2][1] = text("mended");
    world.cycle(Scope::Full, &[]);
    let Some(SheetEffect::Annotate { notes, .. }) = world.log.last() else {
        panic!("no note")
    };
    assert_eq!(notes[0].text, None);
}

#[test]
fn notes_that_are_switched_off_are_taken_away() {
    let mut mapping = mapping();
    mapping.notes_on_problems = true;
    let mut world = World::agreed(mapping, 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    world.tab.push(vec![Cell::Empty, text("new"), text("1.50")]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.problems.len(), 2);
    world.mapping.notes_on_problems = false;
    world.machine = Machine::new(world.mapping.clone());
    world.machine.take_notes_off();
    world.cycle(Scope::Full, &[]);
    let Some(SheetEffect::Annotate { notes, .. }) = world.log.last() else {
        panic!("the notes stay: {:?}", world.requests())
    };
    let texts: Vec<&Option<String>> = notes.iter().map(|note| &note.text).collect();
    assert_eq!(texts, [&None, &None]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn a_mapping_that_only_reads_puts_no_notes() {
    let mut mapping = mapping();
    mapping.notes_on_problems = true;
    mapping.direction = Direction::FromSheet;
    let mut world = World::agreed(mapping, 3);
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(report.problems, 1);
    assert_eq!(world.requests(), ["tidy", "read"]);
}

#[test]
fn a_row_inserted_between_problem_and_note_gets_no_note_of_another() {
    let mut world = World::agreed(with_notes(), 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    world.tab.push(without_key());
    world.meanwhile = Some(("tag", inserts_a_row));
    world.cycle(Scope::Full, &[]);
    let misplaced = |cell: &(u32, u32)| ![(3, 1), (7, 0)].contains(cell);
    assert_eq!(noted(&world).into_iter().find(misplaced), None);
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), [(3, 1), (7, 0)]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn a_row_inserted_between_cure_and_removal_leaves_no_note() {
    let mut world = with_a_bad_cell();
    world.tab[2][1] = text("mended");
    world.meanwhile = Some(("annotate", inserts_a_row));
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), []);
    let mut world = with_a_row_without_a_key();
    world.tab[6][0] = Cell::Number(6.0);
    inserts_a_row(&mut world);
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), []);
}

#[test]
fn a_note_that_came_to_stand_on_another_row_is_taken_away() {
    type Noted = (World, (u32, u32));
    let bad_cell = || -> Noted {
        let mut world = World::agreed(with_notes(), 5).warm();
        world.refuse = Some("forbidden");
        world.tab[2][1] = text("forbidden");
        (world, (2, 1))
    };
    let without_a_key = || -> Noted {
        let mut world = World::agreed(with_notes(), 5).warm();
        world.tab.push(without_key());
        (world, (6, 0))
    };
    for noted_at in [bad_cell as fn() -> Noted, without_a_key] {
        let (mut world, cell) = noted_at();
        let other = vec![Cell::Number(77.0), text("other"), text("1.50")];
        world.gives_way = Some((cell.0 as usize, other));
        world.cycle(Scope::Full, &[]);
        assert_eq!(noted(&world), [cell]);
        world.cycle(Scope::Full, &[]);
        assert_eq!(noted(&world), []);
        // Once is enough.
        world.cycle(Scope::Full, &[]);
        assert!(
            !world.requests().contains(&"notes"),
            "{:?}",
            world.requests()
        );
    }
}

#[test]
fn a_note_that_a_lost_answer_left_on_another_row_is_taken_away() {
    let mut world = World::agreed(with_notes(), 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    world.fault = Some(fails_in_passing);
    world.cycle(Scope::Full, &[]);
    world.fault = None;
    world.tab[2] = vec![Cell::Number(77.0), text("other"), text("1.50")];
    world.notes.insert((2, 1), "of the row that is gone".into());
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), []);
}

#[test]
fn a_note_goes_where_its_row_goes() {
    let mut world = with_a_row_without_a_key();
    for at in 7..9 {
        inserts_a_row(&mut world);
        world.cycle(Scope::Full, &[]);
        assert_eq!(noted(&world), [(at, 0)]);
        assert!(
            !world.requests().contains(&"annotate"),
            "{:?}",
            world.requests()
        );
    }
}

#[test]
fn a_note_that_a_person_carried_off_is_found() {
    let mut world = with_a_bad_cell();
    world.notes.insert((4, 2), PERSONS.into());
    // Into a column that is not mapped.
    world.cut((2, 1), (4, 5));
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), [(4, 2)]);
    // Onto another row, where it is a problem again.
    let mut world = with_a_bad_cell();
    world.cut((2, 1), (4, 1));
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), [(4, 1)]);
    world.tab[4][1] = text("mended");
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), []);
}

#[test]
fn the_note_of_a_row_that_is_gone_under_its_key_goes() {
    let mut world = with_a_bad_cell();
    world.tab[2][0] = Cell::Number(77.0);
    world.tab[2][1] = text("mended");
    for _ in 0..4 {
        world.now += 10_000_000;
        world.cycle(Scope::Full, &[]);
    }
    assert_eq!(world.problems, []);
    assert_eq!(noted(&world), []);
}

#[test]
fn a_worker_that_ended_between_problem_and_note_left_nothing_undone() {
    for world in [with_a_bad_cell as fn() -> World, with_a_row_without_a_key] {
        // The note was never written.
        let mut begun = world();
        let (cell, note) = begun.notes.pop_first().expect("a note");
        begin_anew(&mut begun);
        begun.cycle(Scope::Full, &[]);
        assert_eq!(begun.notes.get(&cell), Some(&note));
        // It stands: there is nothing to write.
        begin_anew(&mut begun);
        begun.cycle(Scope::Full, &[]);
        assert_eq!(begun.notes.get(&cell), Some(&note));
        assert!(
            !begun.requests().contains(&"annotate"),
            "{:?}",
            begun.requests()
        );
        // It was never taken away.
        let mut begun = world();
        let (row, column) = cell;
        begun.tab[row as usize][column as usize] = Cell::Number(6.0);
        begun.fault = Some(fails_in_passing);
        begun.cycle(Scope::Full, &[]);
        assert_eq!(begun.problems, []);
        begun.notes.insert(cell, note);
        begin_anew(&mut begun);
        begun.cycle(Scope::Full, &[]);
        assert_eq!(noted(&begun), []);
    }
}

#[test]
fn what_could_not_be_taken_away_is_tried_again() {
    let mut world = with_a_bad_cell();
    world.cut((2, 1), (4, 5));
    world.fault = Some(|effect| match effect {
        SheetEffect::Annotate { notes, .. } if notes[0].column == 5 => fails_in_passing(effect),
        _ => None,
    });
    for _ in 0..3 {
        world.cycle(Scope::Full, &[]);
    }
    assert_eq!(noted(&world), [(4, 5)]);
    world.fault = None;
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), []);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn a_note_that_people_took_off_is_looked_for_once() {
    let mut world = with_a_bad_cell();
    world.notes.clear();
    world.tab[2][1] = text("mended");
    world.cycle(Scope::Full, &[]);
    assert!(
        world.requests().contains(&"notes"),
        "{:?}",
        world.requests()
    );
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn what_a_formula_shows_tells_no_row_from_another() {
    let mut world = World::agreed(with_notes(), 5).warm();
    world.tab.push(without_key());
    world.formulas.insert((6, 2), "=NOW()");
    world.meanwhile = Some(("tag", |world| world.tab[6][2] = text("another time")));
    world.cycle(Scope::Full, &[]);
    assert_eq!(noted(&world), [(6, 0)]);
}
