//! How it is with Google's quota and the delay of a network: 60 reads and 60 writes a minute, 150
//! ms for every answer.

use crate::report::{Report, Times, milliseconds, seconds, thousands};
use crate::traffic::{Counter, Traffic};
use crate::wide::{self, COUNTED};
use e2e::{Sheet, World};
use serde_json::json;
use std::time::{Duration, Instant};

const ROWS: usize = 100_000;
/// Of every answer of sheetd.
const DELAY: Duration = Duration::from_millis(150);
/// How many single changes are timed: few enough for one minute's quota.
const SAMPLES: usize = 15;
/// How often it is asked whether a request has passed.
const LOOK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
/// So long nothing is sent before a measurement that is to find the whole quota: a minute, and what
/// the governor adds to it.
const REST: Duration = Duration::from_secs(63);
/// How many rows each statement of the steady stream changes, and how many changed rows may wait
/// before the next one.
const BATCH: usize = 10_000;
const WAITING: i64 = 40_000;

pub fn run(report: &mut Report) {
    let mut world = World::configured(&[
        ("sheet_sync.poll_interval_ms", "86400000"),
        ("sheet_sync.reads_per_minute", "60"),
        ("sheet_sync.writes_per_minute", "60"),
        ("sheet_sync.project_reads_per_minute", "300"),
        ("sheet_sync.project_writes_per_minute", "300"),
        ("fsync", "on"),
    ]);
    world
        .google
        .set_options(json!({"quota": "google", "latency_ms": DELAY.as_millis() as u64}));
    wide::create(&mut world.db, ROWS);
    report.section(
        "With Google's quota and 150 ms for every answer",
        "sheetd grants 60 reads and 60 writes a minute and answers after 150 ms; of these the settings of sheet_sync know the quota. A table of 100,000 rows of ten columns. No look for edits falls into the lines but those of the steady stream, during which the sheet is looked at every 3 s. Where fewer writes went out than the quota grants (sheet_sync keeps a sixth of it for calls that somebody waits for), worker, Postgres and sheetd, which share the cores, set the pace.",
        &["what", "rows", "requests", "of these writes", "bytes sent", "bytes received", "time"],
    );
    let sheet = first_merge(report, &mut world);
    std::thread::sleep(REST);
    one_change(report, &mut world);
    latency(report, &mut world, &sheet);
    many_changes(report, &mut world);
    wide::check_equal(&mut world.db, &sheet);

    world
        .db
        .run("ALTER SYSTEM SET sheet_sync.poll_interval_ms = 3000");
    world.db.run("SELECT pg_reload_conf()");
    // The next look was a day away; from the one that this asks for on, they are 3 s apart.
    world.db.run("SELECT * FROM sheet_sync.sync('wide')");
    stream(
        report,
        &mut world,
        &sheet,
        "one column changed",
        "e = e + 1",
    );
    stream(
        report,
        &mut world,
        &sheet,
        "all columns but the key changed",
        "a = 'a ' || e, b = 'b ' || e, c = 'c ' || e, d = d + 1, e = e + 1, f = f + 1, g = NOT g, h = 'h ' || e, i = 'i ' || e",
    );
}

fn first_merge(report: &mut Report, world: &mut World) -> Sheet {
    let counter = Counter::start(&world.google);
    let (sheet, took) = wide::merge(world);
    let traffic = counter.taken(&world.google);
    wide::check_equal(&mut world.db, &sheet);
    line(report, "first merge", ROWS, &traffic, took);
    report.target(
        "First merge of 100,000 rows of ten columns under quota",
        &format!("{} writes", traffic.writes),
        "at most 60 writes",
        traffic.writes <= 60,
    );
    sheet
}

fn one_change(report: &mut Report, world: &mut World) {
    let (traffic, took) = update(world, 1);
    line(report, "one UPDATE", 1, &traffic, took);
    let (requests, bytes) = (traffic.requests(), traffic.bytes());
    report.target(
        "One changed row in 100,000",
        &format!("{requests} requests, {} bytes", thousands(bytes)),
        "at most 3 requests and 10,000 bytes",
        requests <= 3 && bytes <= 10_000,
    );
}

fn many_changes(report: &mut Report, world: &mut World) {
    let (traffic, took) = update(world, BATCH);
    line(report, "one UPDATE", BATCH, &traffic, took);
    report.target(
        "10,000 rows of 100,000 changed by one UPDATE",
        &format!("{} writes", traffic.writes),
        "at most 10 writes",
        traffic.writes <= 10,
    );
}

/// One UPDATE of this many rows, until the worker has rested.
fn update(world: &mut World, changed: usize) -> (Traffic, Duration) {
    let counter = Counter::start(&world.google);
    let started = Instant::now();
    wide::update(&mut world.db, changed, ROWS);
    wide::arrive(&mut world.db);
    let took = started.elapsed();
    wide::settle(&world.google);
    (counter.taken(&world.google), took)
}

/// From the commit of a single change until the cell shows it. It is looked at after each request
/// that has passed and not all the time, which would take time from the server that is asked.
fn latency(report: &mut Report, world: &mut World, sheet: &Sheet) {
    let counter = Counter::start(&world.google);
    let times = (1..=SAMPLES).map(|sample| {
        let row = sample * (ROWS / SAMPLES) - 7;
        let mut passed = world.google.gate().count();
        world
            .db
            .run(&format!("UPDATE wide SET d = -{sample} WHERE id = {row}"));
        let committed = Instant::now();
        let (cell, expected) = (format!("E{}", row + 1), format!("-{sample}"));
        let took = loop {
            let before = std::mem::replace(&mut passed, world.google.gate().count());
            let so_far = committed.elapsed();
            if passed == before {
                std::thread::sleep(LOOK);
            } else if sheet.cell(&cell) == expected {
                break so_far;
            }
        };
        wide::arrive(&mut world.db);
        took
    });
    let times = Times::new(times.collect());
    let typical = times.percentile(50);
    line(
        report,
        &format!("commit to sheet, each of {SAMPLES} changes: p50"),
        1,
        &counter.taken(&world.google),
        typical,
    );
    report.target(
        "Commit to sheet for a single change, 150 ms for every answer",
        &format!("{} at p50", milliseconds(typical)),
        "at most two round trips + 20 ms = 320 ms",
        typical <= DELAY * 2 + Duration::from_millis(20),
    );
}

/// Changes more rows than the quota lets through for a minute, and counts those whose change the
/// sheet shows at its end.
fn stream(report: &mut Report, world: &mut World, sheet: &Sheet, name: &str, columns: &str) {
    wide::arrive(&mut world.db);
    let before = counted(sheet);
    std::thread::sleep(REST);
    let counter = Counter::start(&world.google);
    let started = Instant::now();
    for batch in (0..ROWS / BATCH).cycle() {
        let (first, last) = (batch * BATCH + 1, (batch + 1) * BATCH);
        world.db.run(&format!(
            "UPDATE wide SET {columns} WHERE id BETWEEN {first} AND {last}"
        ));
        while wide::dirty(&mut world.db) >= WAITING && started.elapsed() < MINUTE {
            std::thread::sleep(Duration::from_millis(200));
        }
        if started.elapsed() >= MINUTE {
            break;
        }
    }
    let rows = counted(sheet) - before;
    let traffic = counter.taken(&world.google);
    line(
        report,
        &format!("steady stream, {name}: rows there after a minute"),
        rows,
        &traffic,
        MINUTE,
    );
    report.target(
        &format!("Changed ten-column rows a minute in one sheet under quota, {name}"),
        &format!("{} by {} of 60 writes", thousands(rows), traffic.writes),
        "at least 150,000",
        rows >= 150_000,
    );
    wide::arrive(&mut world.db);
    wide::check_equal(&mut world.db, sheet);
}

/// How many changes of the steady streams the sheet shows: each adds one to its row's counter.
fn counted(sheet: &Sheet) -> usize {
    let rows = sheet.rows();
    let counters = rows.iter().skip(1).map(|row| &row[COUNTED]);
    counters
        .map(|cell| cell.parse::<usize>().expect("a count"))
        .sum()
}

fn line(report: &mut Report, what: &str, rows: usize, traffic: &Traffic, took: Duration) {
    report.line(&[
        what.to_owned(),
        thousands(rows),
        thousands(traffic.requests()),
        thousands(traffic.writes),
        thousands(traffic.sent),
        thousands(traffic.received),
        seconds(took),
    ]);
}
