//! How long a change takes from one side to the other.

use crate::report::{Report, Times, milliseconds};
use e2e::World;
use std::time::{Duration, Instant};

const SAMPLES: usize = 200;

pub fn run(report: &mut Report) {
    let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "100"), ("fsync", "on")]);
    world.db.run("CREATE TABLE products (id int PRIMARY KEY, name text, price int); INSERT INTO products SELECT n, 'part ' || n, 0 FROM generate_series(1, 1000) n");
    let sheet = world.map("products");
    world.both_equal("products", &sheet);

    report.section(
        "Latency of one change, sheetd without added delay",
        &format!("{SAMPLES} changes of one cell in a table of 1,000 rows, one after the other. Sheet to table includes the wait for the next look (every 100 ms here)."),
        &["way", "p50", "p99"],
    );
    let mut to_sheet = Vec::new();
    for sample in 1..=SAMPLES {
        let row = sample * 4;
        let expected = sample.to_string();
        world.db.run(&format!(
            "UPDATE products SET price = {sample} WHERE id = {row}"
        ));
        let committed = Instant::now();
        let cell = format!("C{}", row + 1);
        while sheet.cell(&cell) != expected {
            std::thread::sleep(Duration::from_micros(500));
        }
        to_sheet.push(committed.elapsed());
    }
    let typical = line(report, "commit to sheet", to_sheet);
    report.target(
        "Commit to sheet for a single change, no delay",
        &format!("{} at p50", milliseconds(typical)),
        "at most 30 ms",
        typical <= Duration::from_millis(30),
    );

    let mut to_table = Vec::new();
    for sample in 1..=SAMPLES {
        let row = sample * 4 + 1;
        sheet.set(&format!("C{}", row + 1), &sample.to_string());
        let edited = Instant::now();
        let sql = format!("SELECT price FROM products WHERE id = {row}");
        while world.db.one(&sql) != sample.to_string() {
            std::thread::sleep(Duration::from_micros(500));
        }
        to_table.push(edited.elapsed());
    }
    line(report, "sheet edit to table", to_table);
}

/// Answers the p50.
fn line(report: &mut Report, way: &str, times: Vec<Duration>) -> Duration {
    let times = Times::new(times);
    report.line(&[
        way.to_owned(),
        milliseconds(times.percentile(50)),
        milliseconds(times.percentile(99)),
    ]);
    times.percentile(50)
}
