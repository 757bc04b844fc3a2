//! The engine against a model database, a model sheet and an adversary, over as many random
//! schedules as one likes:
//!
//!     SIMULATE_N=1000000 SIMULATE_SEED=7 cargo test --release -p engine --test simulator random -- --nocapture
//!
//! A schedule that breaks a promise is made small and printed as Rust, to be pasted into
//! `regressions.rs`. Each promise has a deliberate bug in `mutants.rs` that must be found.
//!
//! # What is modelled
//!
//! - `model/database`: a table with a key (one column or two, given by a default or not, printed
//!   and compared in two spellings or in one), CHECK, NOT NULL and UNIQUE constraints, rows that
//!   are referred to from elsewhere, a trigger that rewrites a value and one that keeps rows, a row
//!   filter on a mapped column or on another one, rows that somebody's transaction holds; the base
//!   rows, queues, conflicts and problems that the extension stores.
//! - `model/sheet`: a tab whose people type, delete, move, sort and copy rows, insert and move
//!   columns, rename headers; formulas of its own rows, and arrays that fill a column, break where
//!   somebody types into it, and show nothing for a while (`arrays`; only in the deliberate bugs
//!   and the regressions, not in the random run); anchors, stamps and images as Google keeps them.
//! - `model/world`: the driver, half an effect at a time, with everything that can go wrong between
//!   it and both sides (`faults`), crashes, `push()`, `pull()`, `preview()`, `resync()`,
//!   `resolve()`, `confirm_deletes()`.
//! - `clusters.rs`: two databases that both take one tab for theirs.
//! - `moves.rs` and `model/world/pair`: two tabs of one table with different row filters, between
//!   which SQL and people move rows. What the tabs tell one another is the worker's part
//!   (`model/world/tabs`, as `src/worker/tabs.rs` has it): when each was read last, what is typed
//!   there and not taken, what it has lost, and which rows have changed since it looked.
//! - `model/ledger`: what is owed to whom. It judges every change that the engine makes.
//!   `model/settled`: how both sides stand when people and faults rest.
//!
//! # What is not
//!
//! - Of two tabs of one table: readings that hide rows or are old, keys that change, row filters
//!   that overlap or ask about an unmapped column, tabs that rest.
//! - Arrays over key columns, over several columns, and over values that change by themselves; rows
//!   that people carry into an array's area, or out of it, between a look and a write; formulas
//!   that make keys of places; total rows.
//! - Number formats other than that of dates, locales, time zones; what a cell shows beside its
//!   value. `tests/cycle` and the scenarios have these.
//! - Of a row that people deleted in the sheet, and whose key the table changed while another row
//!   took one of its former keys, be it for a while, no line is demanded in `conflict`.
//! - Constraints between rows that only a set of changes satisfies, and tables that refer to each
//!   other.
//! - Notes on cells, the size of requests in bytes, quotas and pacing: the worker's.

mod clusters;
// Shared with the scenarios, which use other parts of it.
#[allow(dead_code)]
mod model;
mod moves;
mod mutants;
mod regressions;
mod schedule;

use model::database::DriverBugs;
use model::sheet::Rules;
use model::world::genuine;
use schedule::Schedule;
use std::collections::BTreeMap;

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
    play(20_000, Schedule::random);
}

fn play(count: u64, schedule: fn(u64) -> Schedule) {
    let first_failing = |mut seeds: Seeds| seeds.find(|seed| fails(&schedule(*seed)));
    let failing = on_all_cores(count, first_failing);
    if let Some(seed) = failing.into_iter().flatten().min() {
        report(seed, schedule(seed));
    }
}

type Seeds = std::iter::StepBy<std::ops::Range<u64>>;

/// The seeds that were asked for, dealt out to as many threads as there are cores.
fn on_all_cores<T: Send>(count: u64, play: impl Fn(Seeds) -> T + Sync) -> Vec<T> {
    let (count, first) = (setting("SIMULATE_N", count), setting("SIMULATE_SEED", 1));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let play = &play;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| (first + thread as u64..first + count).step_by(threads))
            .map(|seeds| scope.spawn(move || play(seeds)))
            .collect();
        let joined = workers
            .into_iter()
            .map(|worker| worker.join().expect("a schedule does not panic"));
        joined.collect()
    })
}

fn fails(schedule: &Schedule) -> bool {
    let run = schedule.run(genuine, DriverBugs::default(), Rules::default());
    run.is_err()
}

fn report(seed: u64, schedule: Schedule) {
    let (schedule, violation) = schedule.shrink(genuine, DriverBugs::default(), Rules::default());
    let trace = schedule.trace(genuine, DriverBugs::default(), Rules::default());
    panic!("seed {seed}: {}\n\n{schedule}\n\n{trace}", violation.0);
}

/// No schedule fails; where some do, this prints every way in which they do, how often, and the
/// smallest example of each.
#[test]
fn survey() {
    let failing = on_all_cores(2_000, |seeds| {
        seeds.filter_map(violation).collect::<Vec<_>>()
    });
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (seed, kind) in failing.into_iter().flatten() {
        kinds.entry(kind).or_default().push(seed);
    }
    let found = kinds.len();
    for (kind, mut seeds) in kinds {
        seeds.sort_by_key(|seed| Schedule::random(*seed).ops.len());
        let shortest = Schedule::random(seeds[0]);
        let (small, violation) = shortest.shrink(genuine, DriverBugs::default(), Rules::default());
        println!(
            "==== {kind}: seeds {seeds:?}\n{}\n{small}\n{}\n",
            violation.0,
            small.trace(genuine, DriverBugs::default(), Rules::default())
        );
    }
    assert_eq!(found, 0, "kinds of failure, printed above");
}

fn violation(seed: u64) -> Option<(u64, String)> {
    let run = Schedule::random(seed).run(genuine, DriverBugs::default(), Rules::default());
    let violation = run.err()?;
    println!("seed {seed}: {}", violation.0);
    Some((seed, violation.kind()))
}
