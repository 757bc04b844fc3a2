//! A person edits the sheet right after any request of the extension: nothing is lost, doubled, or
//! put on the wrong row.
//!
//! A seed is a schedule: a small table and its sheet, then a few steps. In each the database
//! changes in one transaction, and a person edits the sheet exactly between the nth request after
//! that and whatever would have followed. Schedules are played on a few clusters at once, since
//! most of each is waiting: `INJECT_N=5000 INJECT_SEED=1 scripts/e2e injected_edits` plays seeds 1
//! to 5000.

mod outcome;
mod schedule;
mod stage;

use e2e::World;
use stage::Stage;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What `make test` plays.
const SCHEDULES: u64 = 100;
/// So many clusters play them, each its share.
const CLUSTERS: u64 = 4;
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
    let failures: Vec<String> = std::thread::scope(|scope| {
        let at_once = CLUSTERS.min(count).max(1);
        let clusters: Vec<_> = (first..first + at_once)
            .map(|from| scope.spawn(move || play((from..first + count).step_by(at_once as usize))))
            .collect();
        let played = clusters.into_iter().map(|cluster| cluster.join());
        played
            .flat_map(|failures| failures.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    assert!(
        failures.is_empty(),
        "{} of {count} schedules failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// One after the other, on one cluster.
fn play(seeds: impl Iterator<Item = u64>) -> Vec<String> {
    // Most of a schedule is waiting for the next reading.
    let mut stage = Stage::on(World::configured(&[("sheet_sync.poll_interval_ms", "50")]));
    let failures = seeds.filter_map(|seed| {
        let played = catch_unwind(AssertUnwindSafe(|| stage.play(seed)));
        played
            .unwrap_or_else(|panic| {
                eprintln!(
                    "seed {seed} ended in a panic; INJECT_SEED={seed} INJECT_N=1 plays it alone"
                );
                resume_unwind(panic)
            })
            .err()
    });
    failures.take(ENOUGH).collect()
}
