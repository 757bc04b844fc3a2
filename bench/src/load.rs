//! The first merge of a large table: how fast it is where neither quota nor network bounds it, and
//! what memory the worker needs for the mapping then and afterwards.

use crate::report::{Report, megabytes, seconds, thousands};
use crate::wide;
use e2e::World;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROWS: usize = 100_000;
/// Rows a second of the first merge.
const TARGET: usize = 20_000;
/// Bytes of the worker for a mapping of so many rows, above what it is without.
const MEMORY: usize = 100_000_000;
/// How long the worker looks for edits before its memory is taken for what it is at rest.
const REST: Duration = Duration::from_secs(15);

pub fn run(report: &mut Report) {
    let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "3000"), ("fsync", "on")]);
    wide::create(&mut world.db, ROWS);
    let worker = Process(world.worker() as u32);
    let sheetd = Process(world.google.process());
    let idle = worker.memory();
    let before = (worker.computed(), sheetd.computed());
    let ((sheet, took), loading) = worker.peak_during(|| wide::merge(&mut world));
    let computed = worker.computed() - before.0;
    let served = sheetd.computed() - before.1;
    let ((), looking) = worker.peak_during(|| std::thread::sleep(REST));
    let resting = worker.memory();
    let ((), pushing) = worker.peak_during(|| {
        wide::update(&mut world.db, ROWS / 10, ROWS);
        wide::arrive(&mut world.db);
    });
    wide::check_equal(&mut world.db, &sheet);

    report.section(
        "The first merge of 100,000 rows of ten columns",
        "From register_table() into an empty tab until the mapping is active, sheetd without delay and quota. Memory is the worker's anonymous memory (RssAnon of /proc/PID/status): what it has allocated itself, without the server's shared memory and without program files; above what it was before the table was registered, looks for edits every 3 s. When the worker does not compute, it waits: for sheetd, for the disk, for a core.",
        &["", ""],
    );
    let rate = (ROWS as f64 / took.as_secs_f64()) as usize;
    let above = |memory: usize| megabytes(memory.saturating_sub(idle));
    for (what, figure) in [
        ("time", seconds(took)),
        ("of this the worker itself computed", seconds(computed)),
        ("of this sheetd computed", seconds(served)),
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
            "{} rows/s; of {} the worker computed for {}, sheetd for {}",
            thousands(rate),
            seconds(took),
            seconds(computed),
            seconds(served)
        ),
        &format!("at least {} rows/s", thousands(TARGET)),
        rate >= TARGET,
    );
    let most = looking.max(resting).saturating_sub(idle);
    report.target(
        "Memory of the worker for a mapping of 100,000 rows of ten columns",
        &format!(
            "{} above idle at most while it looks for edits (RssAnon)",
            megabytes(most)
        ),
        &format!("at most {} above idle", megabytes(MEMORY)),
        most <= MEMORY,
    );
}

/// By its pid.
struct Process(u32);

impl Process {
    /// Processor time that it has used, its threads included.
    fn computed(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.0);
        let text = std::fs::read_to_string(path).expect("the process runs");
        // The name, which may hold blanks, ends at the last parenthesis; 11 fields later come user
        // and system time in 1/100 s.
        let (_, fields) = text.rsplit_once(')').expect("a name in parentheses");
        let times = fields.split_whitespace().skip(11).take(2);
        let hundredths: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
        Duration::from_millis(hundredths * 10)
    }

    /// Bytes that it has allocated and that are in memory.
    fn memory(&self) -> usize {
        let path = format!("/proc/{}/status", self.0);
        let text = std::fs::read_to_string(path).expect("the process runs");
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        kilobytes.expect("Linux tells it") << 10
    }

    /// The most that it held while something was done, looked at twenty times a second.
    fn peak_during<T>(&self, act: impl FnOnce() -> T) -> (T, usize) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut peak = 0;
                while !over.load(Ordering::Relaxed) {
                    peak = peak.max(self.memory());
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
