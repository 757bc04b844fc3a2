//! A person edits the sheet right after any request of the extension: nothing is lost, doubled, or put on the wrong row.
//!
//! A seed is a schedule: a small table and its sheet, then a few steps. In each the database changes in one transaction, and a
//! person edits the sheet exactly between the nth request after that and whatever would have followed. Schedules are played on
//! one cluster, one after the other: `INJECT_N=5000 INJECT_SEED=1 scripts/e2e injected_edits` plays seeds 1 to 5000.

mod outcome;
mod schedule;
mod stage;

use e2e::World;
use stage::Stage;

/// What `make test` plays.
const SCHEDULES: u64 = 100;
/// So many failures are told before the rest is given up.
const ENOUGH: usize = 10;

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}"))
    })
}

#[test]
fn a_person_edits_between_any_two_requests() {
    let (first, count) = (number("INJECT_SEED", 1), number("INJECT_N", SCHEDULES));
    // Rows that vanish from the sheet are confirmed after one interval.
    let mut stage = Stage::on(World::configured(&[("sheet_sync.poll_interval_ms", "50")]));
    let mut failures = Vec::new();
    let mut played = 0;
    for seed in first..first + count {
        if played > 0 && played % 500 == 0 {
            eprintln!("{played} schedules played");
        }
        played += 1;
        failures.extend(stage.play(seed).err());
        if failures.len() == ENOUGH {
            break;
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {played} schedules failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}
