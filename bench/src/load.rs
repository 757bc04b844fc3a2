//! The first merge of a large table: how fast it is where neither quota nor network bounds it, and what memory the worker needs for
//! the mapping then and afterwards.

use crate::report::{Report, megabytes, seconds, thousands};
use crate::wide;
use e2e::World;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROWS: usize = 100_000;
/// Rows a second of the first merge.
const TARGET: usize = 20_000;
/// How long the worker looks for edits before its memory is taken for what it is at rest.
const REST: Duration = Duration::from_secs(15);

pub fn run(report: &mut Report) {
    let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "3000"), ("fsync", "on")]);
    wide::create(&mut world.db, ROWS);
    let worker = Worker(world.worker());
    let idle = worker.private_memory();
    let computed = worker.computed();
    let ((sheet, took), loading) = worker.peak_during(|| wide::merge(&mut world));
    let computed = worker.computed() - computed;
    let ((), looking) = worker.peak_during(|| std::thread::sleep(REST));
    let resting = worker.private_memory();
    let ((), pushing) = worker.peak_during(|| {
        wide::update(&mut world.db, ROWS / 10, ROWS);
        wide::arrive(&mut world.db);
    });
    wide::check_equal(&mut world.db, &sheet);

    report.section(
        "The first merge of 100,000 rows of ten columns",
        "From register_table() into an empty tab until the mapping is active, sheetd without delay and quota. Memory is the worker's private memory, in which what it shares with other server processes does not count, above what it was before the table was registered; looks for edits every 3 s. When the worker does not compute, it waits: for sheetd, for the disk, for a core.",
        &["", ""],
    );
    let rate = (ROWS as f64 / took.as_secs_f64()) as usize;
    let above = |memory: usize| megabytes(memory.saturating_sub(idle));
    for (what, figure) in [
        ("time", seconds(took)),
        ("of this the worker itself computed", seconds(computed)),
        ("rows a second", thousands(rate)),
        ("memory of the worker before", megabytes(idle)),
        ("above that, at most during the merge", above(loading)),
        (
            "above that, at most while it looks for edits",
            above(looking),
        ),
        (
            "above that, at most while 10,000 changed rows go to the sheet",
            above(pushing),
        ),
        ("above that, at rest", above(resting)),
    ] {
        report.line(&[what.to_owned(), figure]);
    }
    report.target(
        "First merge of 100,000 rows, without quota and delay",
        &format!(
            "{} rows/s; of {} the worker computed for {}",
            thousands(rate),
            seconds(took),
            seconds(computed)
        ),
        &format!("at least {} rows/s", thousands(TARGET)),
        rate >= TARGET,
    );
}

/// The sync worker's process.
struct Worker(i32);

impl Worker {
    /// Processor time that it has used, its helper threads included.
    fn computed(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.0);
        let text = std::fs::read_to_string(path).expect("the worker runs");
        // The name, which may hold blanks, ends at the last parenthesis; 11 fields later come user and system time in 1/100 s.
        let (_, fields) = text.rsplit_once(')').expect("a name in parentheses");
        let times = fields.split_whitespace().skip(11).take(2);
        let hundredths: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
        Duration::from_millis(hundredths * 10)
    }

    /// Bytes that this process alone holds.
    fn private_memory(&self) -> usize {
        let path = format!("/proc/{}/smaps_rollup", self.0);
        let text = std::fs::read_to_string(path).expect("the worker runs, and is ours to look at");
        let kilobytes: usize = text
            .lines()
            .filter(|line| line.starts_with("Private_"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok())
            .sum();
        kilobytes << 10
    }

    /// The most that it held while something was done, looked at twenty times a second.
    fn peak_during<T>(&self, act: impl FnOnce() -> T) -> (T, usize) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut peak = 0;
                while !over.load(Ordering::Relaxed) {
                    peak = peak.max(self.private_memory());
                    std::thread::sleep(Duration::from_millis(50));
                }
                peak
            });
            let done = act();
            over.store(true, Ordering::Relaxed);
            (done, watch.join().expect("the worker lives on"))
        })
    }
}
