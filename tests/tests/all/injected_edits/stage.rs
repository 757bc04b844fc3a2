//! Plays schedules: a worker that is driven by `sync()`, and a person at the gate.

use super::outcome::{Line, Step, verdict};
use super::schedule::{Edit, HEADER, Rows, Tokens, changes, edit, shown};
use e2e::{Db, Dice, PATIENCE, Sheet, When, World};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

const ROWS: u32 = 12;
const STEPS: usize = 3;
/// The edit comes after one of the first so many requests.
const REQUESTS: usize = 5;
/// How long the worker may look for work by itself before it is asked to: what it then does is
/// another kind of cycle.
const BY_ITSELF: Duration = Duration::from_millis(20);
/// Whoever wins, the loser is kept.
const POLICIES: [&str; 3] = ["last_write_wins", "database_wins", "sheet_wins"];
/// Both sides are at rest after so many calls of sync().
const CALLS: usize = 8;

pub struct Stage {
    world: World,
    driver: Driver,
}

/// A session of its own that calls sync() while the person acts.
struct Driver {
    tables: Sender<String>,
    done: Receiver<()>,
}

impl Driver {
    fn start(mut db: Db) -> Driver {
        let (tables, asked) = mpsc::channel::<String>();
        let (tell, done) = mpsc::channel();
        std::thread::spawn(move || {
            for table in asked {
                // Whatever comes of it is seen by the call that the stage makes at the end.
                let _ = db.attempt(&format!("SELECT * FROM sheet_sync.sync('{table}')"));
                if tell.send(()).is_err() {
                    return;
                }
            }
        });
        Driver { tables, done }
    }
}

impl Stage {
    pub fn on(world: World) -> Stage {
        let driver = Driver::start(world.connect());
        Stage { world, driver }
    }

    /// Plays one schedule; what went wrong is told with all that led to it.
    pub fn play(&mut self, seed: u64) -> Result<(), String> {
        let table = format!("t{seed}");
        let mut dice = Dice::new(seed);
        let mut tokens = Tokens::default();
        self.world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, name text, price int);
             INSERT INTO {table} SELECT i, 'name ' || i, i FROM generate_series(1, {ROWS}) i"
        ));
        let mut cells = vec![HEADER.map(str::to_owned).to_vec()];
        cells.extend((1..=ROWS).map(|key| {
            let [key, remark, name] = [key.to_string(), format!("r{key}"), format!("name {key}")];
            vec![key.clone(), remark, name, key]
        }));
        let book = self.world.google.spreadsheet(&table);
        let sheet = book.first_tab();
        sheet.type_at("A1", &cells);
        let policy = POLICIES[dice.below(POLICIES.len())];
        let options = format!("conflict_policy => '{policy}'");
        self.world.register(&table, &sheet, &options);
        self.world.merged(&table);
        let mut played = Ok(());
        for number in 1..=STEPS {
            if played.is_ok() {
                played = self
                    .step(&table, &sheet, &mut dice, &mut tokens)
                    .map_err(|told| format!("--- seed {seed}, step {number}: {told}"));
            }
        }
        self.world.db.run(&format!(
            "SELECT sheet_sync.unregister_table('{table}'); DROP TABLE {table}"
        ));
        book.delete();
        played
    }

    fn step(
        &mut self,
        table: &str,
        sheet: &Sheet,
        dice: &mut Dice,
        tokens: &mut Tokens,
    ) -> Result<(), String> {
        let before = self.rows(table);
        let first_line = self
            .world
            .db
            .count("SELECT coalesce(max(id), 0) FROM sheet_sync.conflict");
        let changes = changes(dice, tokens, &before);
        let nth = 1 + dice.below(REQUESTS);
        let by_itself = dice.below(2) == 0;
        let from = self.world.google.gate().count();
        let held = self.world.google.hold(nth, When::After);
        let sql: String = changes.iter().map(|change| change.sql(table)).collect();
        self.world.db.run(&format!("BEGIN; {sql} COMMIT"));
        let mut arrived = by_itself && held.comes_within(BY_ITSELF);
        let mut syncing = false;
        let started = Instant::now();
        while !arrived {
            assert!(started.elapsed() < PATIENCE, "the worker sends nothing");
            if !syncing {
                let _ = self.driver.tables.send(table.to_owned());
            }
            arrived = held.comes_within(Duration::from_millis(1));
            syncing = self.driver.done.try_recv().is_err();
        }
        let seen = shown(&sheet.rows());
        let passed = self.world.google.gate().passed_since(from);
        let tagged = passed.iter().any(|one| one.is_write());
        let edit = edit(dice, tokens, &changes, &seen, tagged);
        if let Some(edit) = &edit {
            carry_out(sheet, edit);
        }
        let edited = shown(&sheet.rows());
        held.release();
        if syncing {
            let _ = self.driver.done.recv();
        }
        let rest = self.rest(table);
        let step = Step {
            before,
            changes,
            seen,
            edit,
            edited,
            table: self.rows(table),
            sheet: shown(&sheet.rows()),
            conflicts: self.lines(first_line),
        };
        let said = self.world.db.table(
            "SELECT state, reason FROM sheet_sync.mapping WHERE state <> 'active'
             UNION ALL SELECT 'problem', message FROM sheet_sync.problem",
        );
        let mut wrong = verdict(&step);
        wrong.extend(rest.err());
        wrong.extend(said.into_iter().map(|line| line.join(": ")));
        if wrong.is_empty() {
            return Ok(());
        }
        let passed: Vec<String> = self
            .world
            .google
            .gate()
            .passed_since(from)
            .iter()
            .map(|one| format!("{} {} -> {}", one.method, one.place(), one.status))
            .collect();
        Err(format!(
            "{}\nafter request {nth}, by itself: {by_itself}\n{step}requests:\n  {}",
            wrong.join("\n"),
            passed.join("\n  ")
        ))
    }

    /// Calls sync() until it does nothing and sends nothing but reads.
    fn rest(&mut self, table: &str) -> Result<(), String> {
        let mut did = Vec::new();
        for _ in 0..CALLS {
            let from = self.world.google.gate().count();
            let counts = self.world.db.attempt(&format!(
                "SELECT rows_pushed, rows_pulled FROM sheet_sync.sync('{table}')"
            ))?;
            let passed = self.world.google.gate().passed_since(from);
            let writes = passed.iter().filter(|one| one.is_write()).count();
            let counts: Vec<String> = counts.into_iter().flatten().flatten().collect();
            if writes == 0 && counts.iter().all(|count| count == "0") {
                return Ok(());
            }
            did.push(format!("{counts:?} and {writes} writes"));
        }
        Err(format!("no rest: {did:?}"))
    }

    fn rows(&mut self, table: &str) -> Rows {
        let rows = self
            .world
            .db
            .rows(&format!("SELECT id, name, price FROM {table}"));
        rows.into_iter()
            .map(|row| {
                let mut cells = row.into_iter().map(Option::unwrap_or_default);
                let mut next = || cells.next().unwrap_or_default();
                let key = next().parse().expect("the key is a number");
                (key, [next(), next()])
            })
            .collect()
    }

    fn lines(&mut self, after: i64) -> Vec<Line> {
        let lines = self.world.db.rows(&format!(
            "SELECT key[1], settled, c::text FROM sheet_sync.conflict c WHERE id > {after}"
        ));
        lines
            .into_iter()
            .map(|line| {
                let mut cells = line.into_iter().map(Option::unwrap_or_default);
                let mut next = || cells.next().unwrap_or_default();
                Line {
                    key: next().parse().expect("the key is a number"),
                    settled: next() == "t",
                    text: next(),
                }
            })
            .collect()
    }
}

fn carry_out(sheet: &Sheet, edit: &Edit) {
    let letter = |column: usize| char::from(b'A' + column as u8).to_string();
    match edit {
        Edit::InsertBlank { at } => sheet.insert_row(*at),
        Edit::Delete { at, .. } => sheet.delete_row(*at),
        Edit::Sort { column, ascending } => sheet.sort(&letter(*column), *ascending),
        Edit::Move { from, to } => sheet.move_row(*from, *to),
        Edit::Set {
            at, column, value, ..
        } => sheet.set(&format!("{}{at}", letter(*column)), value),
        Edit::Type {
            at,
            key,
            cells: [name, price],
        } => sheet.insert_typed_row(*at, &[&key.to_string(), "", name, price]),
    }
}
