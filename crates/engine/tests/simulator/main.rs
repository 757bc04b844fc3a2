//! The engine against a model database, a model sheet and an adversary, over as many random schedules as one likes:
//!
//!     SIMULATE_N=1000000 SIMULATE_SEED=7 cargo test --release -p engine --test simulator random -- --nocapture
//!
//! A schedule that breaks a promise is made small and printed as Rust, to be pasted into `regressions.rs`.

mod clusters;
// Shared with the scenarios, which use other parts of it.
#[allow(dead_code)]
mod model;
mod mutants;
mod regressions;
mod schedule;

use model::database::DriverBugs;
use model::sheet::Rules;
use model::world::genuine;
use schedule::Schedule;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text}")),
        Err(_) => default,
    }
}

#[test]
fn random_schedules_keep_every_promise() {
    let (count, first) = (setting("SIMULATE_N", 20_000), setting("SIMULATE_SEED", 1));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let failing = std::thread::scope(|scope| {
        let worker = |thread| {
            scope.spawn(move || {
                (first + thread..first + count)
                    .step_by(threads as usize)
                    .find(|seed| fails(*seed))
            })
        };
        let workers: Vec<_> = (0..threads).map(worker).collect();
        workers
            .into_iter()
            .filter_map(|worker| worker.join().expect("a schedule does not panic"))
            .min()
    });
    if let Some(seed) = failing {
        report(seed);
    }
}

fn fails(seed: u64) -> bool {
    Schedule::random(seed)
        .run(genuine, DriverBugs::default(), Rules::default())
        .is_err()
}

fn report(seed: u64) {
    let (schedule, violation) =
        Schedule::random(seed).shrink(genuine, DriverBugs::default(), Rules::default());
    let trace = schedule.trace(genuine, DriverBugs::default(), Rules::default());
    panic!("seed {seed}: {}\n\n{schedule}\n\n{trace}", violation.0);
}

/// No schedule fails; where some do, this prints every way in which they do, how often, and the smallest example of each.
#[test]
fn survey() {
    let (count, first) = (setting("SIMULATE_N", 2_000), setting("SIMULATE_SEED", 1));
    let mut kinds: std::collections::BTreeMap<String, (u32, Schedule)> = Default::default();
    for seed in first..first + count {
        let schedule = Schedule::random(seed);
        if let Err(violation) = schedule.run(genuine, DriverBugs::default(), Rules::default()) {
            let kind = violation.kind();
            let known = kinds.entry(kind).or_insert((0, schedule.clone()));
            known.0 += 1;
            if schedule.ops.len() < known.1.ops.len() {
                known.1 = schedule;
            }
        }
    }
    let found = kinds.len();
    for (kind, (times, schedule)) in kinds {
        let (small, violation) = schedule.shrink(genuine, DriverBugs::default(), Rules::default());
        println!(
            "==== {times} of {count}: {kind}\n{}\n{small}\n{}\n",
            violation.0,
            small.trace(genuine, DriverBugs::default(), Rules::default())
        );
    }
    assert_eq!(found, 0, "kinds of failure, printed above");
}
