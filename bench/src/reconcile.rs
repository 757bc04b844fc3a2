//! What it costs to look at a large sheet of which nothing, or little, changed: the engine against
//! a bare pass of serde_json over the same bytes.

use crate::report::{Report, Times, milliseconds, thousands};
use engine::cycle::Machine;
use engine::effect::{
    Applied, Change, Commit, DatabaseEffect, DatabaseOutcome, Effect, Index, LoadedRow, Outcome,
    Scope, SheetEffect, SheetOutcome, Snapshot, Start, Step, Ways,
};
use engine::mapping::{Column, Kind, Mapping};
use engine::value::{Base, Cell, Datum, Key, Timestamp};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::time::Duration;

const ROWS: usize = 100_000;
const ROUNDS: usize = 9;

pub fn run(report: &mut Report) {
    report.section(
        "Looking at 100,000 rows of 10 columns",
        &format!("From the bytes of Google's answer to the end of the cycle, without database and network; medians of the processor time of {ROUNDS} rounds in which they take turns. A cycle takes the answer apart into rows, hashes the text of each and compares it with the hash that it remembers."),
        &["", "time", "of a bare pass"],
    );
    let mut driver = Driver::new();
    let unchanged = body(&driver.table);
    // The first cycle meets a cold memory and takes the whole sheet in.
    driver.cycle(&unchanged);
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(timed(|| {
            let rows: Vec<Vec<IgnoredAny>> = serde_json::from_slice(&unchanged).expect("rows");
            assert_eq!(rows.len(), ROWS + 1);
        }));
        times[1].push(timed(|| {
            assert_eq!(taken_apart(&unchanged).len(), ROWS + 1);
        }));
        times[2].push(driver.cycle(&unchanged));
        assert_eq!(driver.pulled, 0, "nothing had changed");
    }
    for edition in 1..=ROUNDS {
        let mut edited = driver.table.clone();
        for row in edited.iter_mut().step_by(100) {
            row[2] = Some(format!("edited {edition}").into());
        }
        times[3].push(driver.cycle(&body(&edited)));
        assert_eq!(driver.pulled, ROWS / 100, "1 % was pulled");
    }
    let [bare, apart, nothing, little] = times.map(|times| Times::new(times).median());
    let ratio = |time: Duration| time.as_secs_f64() / bare.as_secs_f64();
    for (what, time) in [
        ("a bare pass of serde_json", bare),
        ("taking the answer apart into rows, each still text", apart),
        ("a cycle, nothing changed", nothing),
        ("a cycle, 1 % changed", little),
    ] {
        report.line(&[
            format!("{what} ({} bytes)", thousands(unchanged.len())),
            milliseconds(time),
            format!("{:.2}", ratio(time)),
        ]);
    }
    for (what, time, limit) in [
        ("nothing changed", nothing, 3.0),
        ("1 % changed", little, 6.0),
    ] {
        report.target(
            &format!("Looking at 100,000 rows, {what}"),
            &format!("{:.2} times a bare pass of serde_json", ratio(time)),
            &format!("at most {limit:.0} times"),
            ratio(time) <= limit,
        );
    }
}

fn taken_apart(body: &[u8]) -> Vec<Box<RawValue>> {
    serde_json::from_slice(body).expect("rows")
}

fn timed(act: impl FnOnce()) -> Duration {
    let started = computed();
    act();
    computed() - started
}

/// Processor time of this thread: what else the machine does is not in it.
fn computed() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock is one that every thread has, and the time is ours to write to.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "this thread's clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A table and a base in memory, just enough of them to answer the engine.
struct Driver {
    machine: Machine,
    table: Vec<Vec<Datum>>,
    bases: HashMap<Key, Base>,
    clock: i64,
    pulled: usize,
}

impl Driver {
    fn new() -> Driver {
        Driver {
            machine: Machine::new(mapping()),
            table: (1..=ROWS).map(row).collect(),
            bases: HashMap::new(),
            clock: 1_000_000,
            pulled: 0,
        }
    }

    /// One full cycle over these bytes.
    fn cycle(&mut self, body: &[u8]) -> Duration {
        self.pulled = 0;
        let (now, seed) = (self.now(), self.clock as u64);
        let started = computed();
        let mut step = self.machine.start(Start {
            scope: Scope::Full,
            ways: Ways {
                push: true,
                pull: true,
            },
            dirty: Vec::new(),
            now,
            truncated: false,
            other_tabs: false,
            confirmed: None,
            confirm_after_ms: 3_000,
            insists: false,
            relatives_changed: false,
            seed,
            dry_run: false,
        });
        loop {
            let effect = match step {
                Step::Do(effect) => effect,
                Step::Done(report) => {
                    assert_eq!(report.stopped, None);
                    return computed() - started;
                }
            };
            let outcome = match effect {
                Effect::Database(effect) => Outcome::Database(self.database(effect)),
                Effect::Sheet(SheetEffect::Read) => {
                    Outcome::Sheet(SheetOutcome::Snapshot(self.read(body)))
                }
                Effect::Sheet(SheetEffect::TidyAll) => {
                    Outcome::Sheet(SheetOutcome::Tidied(Vec::new()))
                }
                // Every column has its tag already.
                Effect::Sheet(SheetEffect::FindColumns { names }) => {
                    Outcome::Sheet(SheetOutcome::Columns(names.into_iter().zip(0..).collect()))
                }
                Effect::Sheet(other) => panic!("a cycle that only looks wants {other:?}"),
            };
            let now = self.now();
            step = self.machine.resume(outcome, now);
        }
    }

    fn now(&mut self) -> Timestamp {
        self.clock += 1_000;
        Timestamp(self.clock)
    }

    fn read(&mut self, body: &[u8]) -> Snapshot {
        Snapshot {
            sent_at: self.now(),
            read_at: self.now(),
            grid_rows: ROWS as u32 + 100,
            grid_columns: 26,
            rows: taken_apart(body),
        }
    }

    fn database(&mut self, effect: DatabaseEffect) -> DatabaseOutcome {
        match effect {
            DatabaseEffect::ReadIndex => DatabaseOutcome::Index(Index::default()),
            DatabaseEffect::FindChanged => DatabaseOutcome::Changed(Vec::new()),
            DatabaseEffect::Load { keys } => DatabaseOutcome::Rows {
                rows: keys.into_iter().map(|key| self.load(key)).collect(),
                left: Vec::new(),
            },
            DatabaseEffect::NameKeys { typed } => {
                DatabaseOutcome::Named(typed.into_iter().map(Ok).collect())
            }
            DatabaseEffect::Commit(commit) => DatabaseOutcome::Committed(self.commit(&commit)),
            other => panic!("a cycle that only looks wants {other:?}"),
        }
    }

    fn load(&self, key: Key) -> LoadedRow {
        let row = self.table[place(&key)].clone();
        LoadedRow {
            row: Some(row),
            spelled: None,
            in_filter: true,
            base: self.bases.get(&key).cloned(),
            changed_at: None,
            moved: None,
            pending: Vec::new(),
            unsettled: Vec::new(),
            key,
        }
    }

    fn commit(&mut self, commit: &Commit) -> Vec<Applied> {
        for write in &commit.bases {
            match &write.row {
                Some(row) => self.bases.insert(write.key.clone(), row.base.clone()),
                None => self.bases.remove(&write.key),
            };
        }
        let mut applied = Vec::with_capacity(commit.apply.len());
        for apply in &commit.apply {
            let row = &mut self.table[place(&apply.key)];
            if let Change::Update { values, .. } = &apply.change {
                for (column, value) in values {
                    row[*column] = value.clone();
                }
            }
            let row = row.clone();
            let write = apply.base_after(self.machine.mapping(), Some(&row), &[]);
            if let Some(row) = write.row {
                self.bases.insert(write.key, row.base);
            }
            self.pulled += 1;
            applied.push(Applied::Done {
                row: Some(row),
                refused: Vec::new(),
            });
        }
        applied
    }
}

fn place(key: &Key) -> usize {
    key.0[0].parse::<usize>().expect("a number") - 1
}

fn row(number: usize) -> Vec<Datum> {
    let text = |value: String| Some(value.into());
    vec![
        text(number.to_string()),
        text(format!("Customer number {number}")),
        text(format!("Street {}", number % 977)),
        text(format!("City {}", number % 211)),
        text((number % 50).to_string()),
        text(format!("{}.25", number % 1000)),
        text(if number.is_multiple_of(3) { "t" } else { "f" }.to_owned()),
        text(format!("note {number}")),
        None,
        text("active".to_owned()),
    ]
}

/// The values of Google's answer, header first.
fn body(table: &[Vec<Datum>]) -> Vec<u8> {
    let mapping = mapping();
    let mut rows: Vec<Vec<Cell>> = Vec::with_capacity(table.len() + 1);
    rows.push(
        mapping
            .columns
            .iter()
            .map(|column| Cell::Text(column.header.clone().into()))
            .collect(),
    );
    for row in table {
        let cells =
            row.iter()
                .zip(&mapping.columns)
                .map(|(value, column)| match (value, column.kind) {
                    (None, _) => Cell::Text("".into()),
                    (Some(value), Kind::Integer | Kind::Numeric) => {
                        Cell::Number(value.parse().expect("a number"))
                    }
                    (Some(value), Kind::Boolean) => Cell::Bool(value == "t"),
                    (Some(value), _) => Cell::Text(value.clone()),
                });
        rows.push(cells.collect());
    }
    serde_json::to_vec(&rows).expect("rows are plain data")
}

fn mapping() -> Mapping {
    let column = |name: &str, kind| Column {
        nullable: name != "id",
        ..Column::new(name, kind)
    };
    Mapping::new(vec![
        column("id", Kind::Integer),
        column("name", Kind::Text),
        column("street", Kind::Text),
        column("city", Kind::Text),
        column("score", Kind::Integer),
        column("price", Kind::Numeric),
        column("member", Kind::Boolean),
        column("note", Kind::Text),
        column("remark", Kind::Text),
        column("state", Kind::Text),
    ])
}
