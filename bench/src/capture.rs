//! What the capture trigger costs a transaction: ours against none and against the row trigger that
//! people write by hand.

use crate::report::{Report, Times, seconds, thousands};
use e2e::{Db, World};
use std::time::{Duration, Instant};

const ROWS: usize = 200_000;
const UPDATES: usize = 2_000;
const ROUNDS: usize = 5;

struct Variant {
    name: &'static str,
    table: &'static str,
    /// Run in the session before each measurement.
    setting: &'static str,
}

const VARIANTS: [Variant; 4] = [
    Variant {
        name: "no trigger",
        table: "bare",
        setting: "SELECT 1",
    },
    Variant {
        name: "sheet_sync (above the key limit, the default)",
        table: "ours",
        setting: "SET sheet_sync.max_dirty_keys_per_transaction = 20000",
    },
    Variant {
        name: "sheet_sync (every key kept)",
        table: "ours",
        setting: "SET sheet_sync.max_dirty_keys_per_transaction = 10000000",
    },
    Variant {
        name: "plpgsql row trigger with a queue table",
        table: "plpgsql",
        setting: "SELECT 1",
    },
];

pub fn run(report: &mut Report) {
    // Commits are made durable, as on a real server.
    let mut world = World::configured(&[("fsync", "on"), ("max_wal_size", "4GB")]);
    for table in ["bare", "ours", "plpgsql"] {
        world.db.run(&format!("CREATE TABLE {table} (id int PRIMARY KEY, name text, price numeric, amount int, at timestamptz, note text)"));
    }
    world.db.run(
        "CREATE TABLE queue (id bigserial PRIMARY KEY, key text, row jsonb, at timestamptz DEFAULT clock_timestamp());
         CREATE FUNCTION enqueue() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO queue (key, row) VALUES (NEW.id::text, to_jsonb(NEW)); RETURN NULL; END';
         CREATE TRIGGER enqueue AFTER INSERT OR UPDATE ON plpgsql FOR EACH ROW EXECUTE FUNCTION enqueue()",
    );
    world.map("ours");
    // The worker rests, so that what is measured is the user's transaction alone.
    world.db.run("SELECT sheet_sync.pause('ours')");

    report.section(
        &format!(
            "Capture: INSERT of {} rows, 6 columns, one transaction",
            thousands(ROWS)
        ),
        &format!("Median of {ROUNDS} rounds in which the variants take turns."),
        &["variant", "time", "times no trigger"],
    );
    let mut bulk = vec![Vec::new(); VARIANTS.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in VARIANTS.iter().zip(&mut bulk) {
            clear(&mut world.db, variant.table);
            world.db.run(variant.setting);
            times.push(timed(|| {
                let table = variant.table;
                world.db.run(&format!("INSERT INTO {table} SELECT n, 'name ' || n, n * 0.25, n % 100, now(), 'note' FROM generate_series(1, {ROWS}) n"));
            }));
        }
    }
    let ours = ratios(report, bulk, seconds);
    report.target(
        "Capture of a bulk INSERT, above the key limit",
        &format!("{ours:.2} times the time without trigger"),
        "at most 1.5 times",
        ours <= 1.5,
    );

    report.section(
        &format!(
            "Capture: {} single-row updates, each its own durable transaction",
            thousands(UPDATES)
        ),
        &format!("Median of {ROUNDS} rounds."),
        &["variant", "rate", "times no trigger"],
    );
    let ours = ratios(report, single(&mut world.db, "on"), rate);
    report.target(
        "Capture of single-row updates, durable",
        &format!("{:.0} % of the rate without trigger", 100.0 / ours),
        "at least 95 %",
        ours <= 1.0 / 0.95,
    );
    report.section(
        &format!(
            "Capture: {} single-row updates without waiting for the disk",
            thousands(UPDATES)
        ),
        "The same with synchronous_commit = off, where nothing hides the trigger's own cost.",
        &["variant", "rate", "times no trigger"],
    );
    ratios(report, single(&mut world.db, "off"), rate);
}

fn clear(db: &mut Db, table: &str) {
    db.run(&format!("TRUNCATE {table}, queue"));
    db.run("DELETE FROM sheet_sync._dirty_key");
    db.run("CHECKPOINT");
}

fn single(db: &mut Db, synchronous: &str) -> Vec<Vec<Duration>> {
    db.run(&format!("SET synchronous_commit = {synchronous}"));
    let mut all = vec![Vec::new(); VARIANTS.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in VARIANTS.iter().zip(&mut all) {
            db.run(variant.setting);
            let table = variant.table;
            times.push(timed(|| {
                for n in 0..UPDATES {
                    // Spread over the table, every row once at most in a round.
                    let id = n * (ROWS / UPDATES) + 1;
                    db.run(&format!(
                        "UPDATE {table} SET amount = amount + 1 WHERE id = {id}"
                    ));
                }
            }));
        }
    }
    db.run("RESET synchronous_commit");
    all
}

fn rate(time: Duration) -> String {
    format!("{:.0}/s", UPDATES as f64 / time.as_secs_f64())
}

fn timed(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

/// Answers how many times the time without trigger ours takes with its default setting.
fn ratios(
    report: &mut Report,
    times: Vec<Vec<Duration>>,
    show: impl Fn(Duration) -> String,
) -> f64 {
    let medians: Vec<Duration> = times
        .into_iter()
        .map(|times| Times::new(times).median())
        .collect();
    let ratio = |median: &Duration| median.as_secs_f64() / medians[0].as_secs_f64();
    for (variant, median) in VARIANTS.iter().zip(&medians) {
        report.line(&[
            variant.name.to_owned(),
            show(*median),
            format!("{:.2}", ratio(median)),
        ]);
    }
    ratio(&medians[1])
}
