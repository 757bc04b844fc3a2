//! How many requests and bytes a change costs, by the size of the sheet and of the change: simple
//! tools and sheet_sync side by side.

use crate::report::{Report, seconds, thousands};
use crate::simple::{Client, Rows};
use crate::traffic::{Counter, Traffic};
use crate::wide::{self, COUNTED};
use e2e::World;
use serde_json::json;
use std::time::{Duration, Instant};

mod minute;

const SHEETS: [usize; 3] = [1_000, 10_000, 100_000];
const CHANGES: [usize; 3] = [1, 20, 10_000];

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Rewrite,
    RowByRow,
    SheetSync,
}

impl Way {
    const ALL: [Way; 3] = [Way::Rewrite, Way::RowByRow, Way::SheetSync];

    fn name(self) -> &'static str {
        match self {
            Way::Rewrite => "rewrite",
            Way::RowByRow => "row by row",
            Way::SheetSync => "sheet_sync",
        }
    }
}

/// One line of the comparison.
struct Line {
    rows: usize,
    changed: usize,
    way: Way,
    traffic: Traffic,
    took: Duration,
}

pub fn run(report: &mut Report) {
    let (mut lines, mut looks, mut minute) = (Vec::new(), Vec::new(), Vec::new());
    for rows in SHEETS {
        let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "86400000")]);
        wide::create(&mut world.db, rows);
        let (sheet, _) = wide::merge(&mut world);
        let client = Client::start(&world.google, rows);
        for changed in CHANGES.into_iter().filter(|changed| *changed <= rows) {
            for way in Way::ALL {
                let counter = Counter::start(&world.google);
                let took = change(way, &client, &mut world, changed, rows);
                lines.push(Line {
                    rows,
                    changed,
                    way,
                    traffic: counter.taken(&world.google),
                    took,
                });
            }
            check_brought(&client, &edited(changed, rows));
            wide::check_equal(&mut world.db, &sheet);
        }
        let counter = Counter::start(&world.google);
        world.db.run("SELECT * FROM sheet_sync.sync('wide')");
        looks.push((rows, counter.taken(&world.google)));
        if rows == 10_000 {
            minute = minute::side_by_side(&mut world, &client, rows);
            wide::check_equal(&mut world.db, &sheet);
        }
    }
    table(report, &lines);
    growth(report, &lines);
    report.section(
        "What a look for edits of people costs",
        "One cycle of sheet_sync that finds nothing changed on either side. The simple ways have none: what a person did to a row is overwritten.",
        &["rows", "reads", "writes", "bytes sent", "bytes received"],
    );
    for (rows, traffic) in looks {
        report.line(&[
            thousands(rows),
            thousands(traffic.reads),
            thousands(traffic.writes),
            thousands(traffic.sent),
            thousands(traffic.received),
        ]);
    }
    report.section(
        "Side by side for a minute under Google's quota",
        "Measured: 10,000 rows of 10,000 are changed at once, with sheetd's quota of 60 reads and 60 writes a minute switched on.",
        &["way", "rows there after a minute", "all there after"],
    );
    for cells in minute {
        report.line(&cells);
    }
    let one = find(&lines, 10_000, 1, Way::SheetSync).traffic.requests();
    report.target(
        "Requests for one changed row of 10,000",
        &one.to_string(),
        "at most 3",
        one <= 3,
    );
}

/// Brings a change of one column in so many rows to the sheet; answers how long it took.
fn change(way: Way, client: &Client, world: &mut World, changed: usize, rows: usize) -> Duration {
    let edited = edited(changed, rows);
    let started = Instant::now();
    match way {
        Way::Rewrite => client.rewrite(&edited),
        Way::RowByRow => {
            client.row_by_row(&edited, None);
        }
        Way::SheetSync => {
            wide::update(&mut world.db, changed, rows);
            wide::arrive(&mut world.db);
        }
    }
    let took = started.elapsed();
    if way == Way::SheetSync {
        wide::settle(&world.google);
    }
    took
}

fn edited(changed: usize, rows: usize) -> Rows {
    (1..=rows)
        .filter(|number| number.is_multiple_of(rows / changed))
        .map(|number| {
            let mut row = wide::row(number);
            row[COUNTED] = json!(1);
            (number, row)
        })
        .collect()
}

/// Fails where a simple tool did not do what it is measured for.
fn check_brought(client: &Client, edited: &Rows) {
    let shown = client.rows();
    let brought = |number: &usize| shown[*number][COUNTED] == json!(1);
    assert!(edited.keys().all(brought), "a simple tool lost a change");
}

fn table(report: &mut Report, lines: &[Line]) {
    report.section(
        "Side by side: one UPDATE of one column",
        "Ten columns. \"Rewrite\" reads the whole sheet and writes it again; \"row by row\" reads the key column and writes each changed row by a request of its own: small clients of the Sheets API, to which the changed rows are given. Counted from the change until both sides were equal and nothing more was written; no look for edits of people falls into it (see below). Time is without quota and network. Rows a minute are derived: changes of this size one after the other, as many as Google's quota grants to this many requests (to sheet_sync, what its governor grants) and as fit into a minute at this time each. Changes that come faster do not queue up behind one another in sheet_sync, nor need they in a rewrite: what waits travels together (see the steady stream).",
        &["changed rows of rows", "way", "reads", "writes", "bytes sent", "bytes received", "cells written", "time", "rows a minute under quota"],
    );
    for line in lines {
        let traffic = &line.traffic;
        let a_minute = minute::granted(line.way, traffic)
            .min(minute::MINUTE.as_secs_f64() / line.took.as_secs_f64());
        report.line(&[
            format!("{} of {}", thousands(line.changed), thousands(line.rows)),
            line.way.name().to_owned(),
            thousands(traffic.reads),
            thousands(traffic.writes),
            thousands(traffic.sent),
            thousands(traffic.received),
            thousands(traffic.cells),
            seconds(line.took),
            thousands((a_minute * line.changed as f64) as usize),
        ]);
    }
}

fn growth(report: &mut Report, lines: &[Line]) {
    report.section(
        "Side by side: how the cost grows",
        "From the lines above. The sheet grows from 1,000 to 100,000 rows while one row changes; the change grows from 1 row to 10,000 in a sheet of 100,000.",
        &["way", "requests, sheet 100 times", "bytes, sheet 100 times", "requests, change 10,000 times", "bytes, change 10,000 times"],
    );
    for way in Way::ALL {
        let small = find(lines, 1_000, 1, way).traffic;
        let large = find(lines, 100_000, 1, way).traffic;
        let many = find(lines, 100_000, 10_000, way).traffic;
        let times = |from: usize, to: usize| format!("times {:.1}", to as f64 / from as f64);
        report.line(&[
            way.name().to_owned(),
            times(small.requests(), large.requests()),
            times(small.bytes(), large.bytes()),
            times(large.requests(), many.requests()),
            times(large.bytes(), many.bytes()),
        ]);
    }
}

fn find(lines: &[Line], rows: usize, changed: usize, way: Way) -> &Line {
    lines
        .iter()
        .find(|line| (line.rows, line.changed, line.way) == (rows, changed, way))
        .expect("every way was measured with it")
}
