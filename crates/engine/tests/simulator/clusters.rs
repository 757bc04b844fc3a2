//! Two clusters on one sheet: a standby is promoted while the primary, believed dead, goes on. What
//! both plan from one reading is done once; nothing is doubled.

use crate::model::database::{DriverBugs, TableEdit};
use crate::model::setup::{Setup, Value};
use crate::model::sheet::{Rules, SheetEdit};
use crate::model::world::{Fault, World, genuine};
use crate::model::{Verdict, Violation};
use fastrand::Rng;

/// Rows come, go and change on both sides.
fn edit(world: &mut World, rng: &mut Rng, typed: u8) -> Verdict {
    let (row, column) = (rng.u8(..8), rng.u8(..9));
    let value = Value::Num(rng.u16(100..900));
    match rng.u8(..8) {
        0..3 => world.edit_table(TableEdit::Insert {
            key: rng.u8(..14),
            value,
        }),
        3 => world.edit_table(TableEdit::Delete { row }),
        4 => world.edit_table(TableEdit::Update { row, column, value }),
        5 => world.edit_sheet(SheetEdit::Sort { column }),
        // No key is typed twice: two rows with one key are a problem of their own.
        6 => world.edit_sheet(SheetEdit::TypeRow {
            key: Some(40 + typed),
            value,
        }),
        _ => world.edit_sheet(SheetEdit::Cell { row, column, value }),
    }
}

/// A driver goes on with what it planned from the reading that both have seen, and no further.
fn steps(world: &mut World, rng: &mut Rng) -> Verdict {
    match rng.u8(..8) {
        0 if world.has_read() => {
            world.fault([Fault::AnswerLost, Fault::RequestLost, Fault::Late][rng.usize(..3)])
        }
        1 => world.land(),
        _ => (0..rng.u8(1..6)).try_for_each(|_| match world.has_read() {
            true => world.step(),
            false => Ok(()),
        }),
    }
}

fn play(seed: u64, words: &mut Vec<String>) -> Verdict {
    let mut rng = Rng::with_seed(seed);
    let setup = Setup {
        columns: rng.u8(..16),
        layout: rng.u8(..3),
        max_delete_percent: 100,
        common_rows: rng.u8(..5),
        table_rows: rng.u8(..3),
        ..Setup::PLAIN
    };
    let mut old = World::new(setup, genuine, DriverBugs::default(), Rules::default());
    // Two writers ask for one stamp only where they divide their plans into the same batches.
    old.table.large_rows = false;
    old.trace = Some(Vec::new());
    old.step()?;
    old.finish()?;
    for typed in 0..rng.u8(..6) {
        edit(&mut old, &mut rng, typed)?;
    }
    let mut new = old.standby();
    old.read()?;
    old.hand_over(&mut new);
    new.read()?;
    let mut told = |who: &str, world: &mut World| {
        let said = world.trace.replace(Vec::new()).unwrap_or_default();
        words.extend(said.into_iter().map(|line| format!("{who} {line}")));
    };
    told("old", &mut old);
    // Both go on from what they have read, and neither looks again.
    for _ in 0..rng.u8(..60) {
        let verdict = if rng.bool() {
            new.hand_over(&mut old);
            let verdict = steps(&mut old, &mut rng);
            told("old", &mut old);
            old.hand_over(&mut new);
            verdict
        } else {
            steps(&mut new, &mut rng)
        };
        told("new", &mut new);
        verdict?;
    }
    // The old one is dead at last; what it sent arrives.
    new.hand_over(&mut old);
    old.arrive()?;
    told("old", &mut old);
    old.hand_over(&mut new);
    let verdict = new.settle().and_then(|()| new.sheet_shows_the_table());
    told("new", &mut new);
    verdict
}

#[test]
fn what_two_clusters_plan_from_one_reading_is_done_once() {
    let (count, first) = (
        crate::setting("SIMULATE_N", 5_000),
        crate::setting("SIMULATE_SEED", 1),
    );
    for seed in first..first + count {
        let mut words = Vec::new();
        if let Err(Violation(broken)) = play(seed, &mut words) {
            panic!("seed {seed}: {broken}\n\n{}", words.join("\n"));
        }
    }
}
