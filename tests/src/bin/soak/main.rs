//! `make soak MINUTES=60`: random load on both sides, faults, and kills of worker and server, in
//! rounds. After each the load rests and what goes wrong is mended, and then nothing may be lost,
//! doubled or left undone, as far as a checker can tell that knows every edit.
//!
//! `SOAK_SEED` chooses the actions; what a seed leads to depends on time, too. Exit code 1 where a
//! rule was broken: what was done to the row, and the server's log, are kept.

mod journal;
mod load;
mod trouble;
mod verdict;

use e2e::{Dice, Passed, World, literal};
use journal::{HEADER, Round, Rows, Side, Table, rows_of};
use load::{ROWS, Tokens};
use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trouble::{Counts, Trouble};
use verdict::{Line, Records, verdict};

/// How long both sides are edited in a round.
const LOAD: Duration = Duration::from_secs(20);
/// How long it may take until both sides are at rest: a used-up quota takes a minute or two, and
/// what failed is tried again within a minute.
const REST: Duration = Duration::from_secs(400);
/// So many broken rules are told before the rest is given up.
const ENOUGH: usize = 20;
/// One of so many steps is a kill, and one is something else that goes wrong.
const KILLS: usize = 120;
const TROUBLES: usize = 12;

/// The tables, by the policies of their mappings. The first three are tabs of one spreadsheet.
const TABLES: [(&str, &str); 4] = [
    ("latest", "last_write_wins"),
    ("database_first", "database_wins"),
    ("sheet_first", "sheet_wins"),
    ("alone", "last_write_wins"),
];

fn main() -> ExitCode {
    let minutes = number("MINUTES").unwrap_or(60);
    let seed = number("SOAK_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_millis() as u64)
    });
    println!("soak: {minutes} minutes, SOAK_SEED={seed}");
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    // A panic is told where it happens, and the cluster then keeps its log.
    match catch_unwind(AssertUnwindSafe(|| Soak::start(seed).run(end))) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(_) => {
            println!("soak: ended by a panic, SOAK_SEED={seed}");
            ExitCode::FAILURE
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let given = std::env::var(variable).ok().filter(|text| !text.is_empty());
    given.map(|text| {
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}"))
    })
}

struct Soak {
    seed: u64,
    world: World,
    tables: Vec<Table>,
    dice: Dice,
    tokens: Tokens,
    trouble: Trouble,
    /// What of the extension's records and of the server's log has been looked at.
    seen: Seen,
    total: Total,
}

#[derive(Default)]
struct Seen {
    conflict: i64,
    history: i64,
    log: usize,
    requests: usize,
}

#[derive(Default)]
struct Total {
    rounds: usize,
    database: usize,
    sheet: usize,
    conflicts: usize,
    violations: usize,
}

impl Soak {
    fn start(seed: u64) -> Soak {
        let mut world = World::configured(&[("sheet_sync.http_timeout_ms", "5000")]);
        let shared = world.google.spreadsheet("Three tabs");
        let alone = world.google.spreadsheet("One tab");
        let tables = TABLES.map(|(name, policy)| {
            world.db.run(&format!(
                "CREATE TABLE {name} (id int PRIMARY KEY, name text, price int);
                 INSERT INTO {name} SELECT i, 'name ' || i, i FROM generate_series(1, {ROWS}) i"
            ));
            let book = if name == "alone" { &alone } else { &shared };
            let sheet = book.empty_tab(name);
            sheet.type_at("A1", &[HEADER.map(str::to_owned).to_vec()]);
            world.register(name, &sheet, &format!("conflict_policy => '{policy}'"));
            world.merged(name);
            Table {
                name: name.to_owned(),
                sheet,
                round: Round::default(),
            }
        });
        Soak {
            seed,
            world,
            tables: tables.into(),
            dice: Dice::new(seed),
            tokens: Tokens::new(),
            trouble: Trouble::default(),
            seen: Seen::default(),
            total: Total::default(),
        }
    }

    /// Rounds until it is time; how many rules were broken.
    fn run(mut self, end: Instant) -> usize {
        let started = Instant::now();
        let mut rested = self.rest();
        self.begin_anew();
        while rested.is_ok() && Instant::now() < end && self.total.violations < ENOUGH {
            self.total.rounds += 1;
            let before = self.trouble.counts;
            let lost = self.load(end.min(Instant::now() + LOAD));
            let resting = Instant::now();
            rested = self.rest();
            let took = resting.elapsed();
            let mut wrong: Vec<String> = lost.into_iter().collect();
            wrong.extend(rested.clone().err().into_iter().flatten());
            let records = self.tables.len();
            wrong.extend((0..records).flat_map(|index| self.judge(index)));
            wrong.extend(self.writes_while_quiet());
            wrong.extend(self.log_complains());
            self.tell(started, before, took, &wrong);
            self.begin_anew();
        }
        if let Err(never) = rested {
            println!("soak: never at rest, so it ends here: {}", never.join("; "));
            self.total.violations = self.total.violations.max(1);
        }
        self.summary();
        self.total.violations
    }

    /// Both sides are edited, and things go wrong, until then.
    fn load(&mut self, until: Instant) -> Option<String> {
        while Instant::now() < until {
            let gate = self.world.google.gate();
            self.trouble.pass(gate);
            if self.dice.below(KILLS) == 0 {
                self.trouble.kill(&mut self.world, &mut self.dice);
                continue;
            }
            if self.dice.below(TROUBLES) == 0 {
                self.trouble.cause(gate, &mut self.dice);
            }
            let chosen = self.dice.below(self.tables.len());
            let (table, dice, tokens) =
                (&mut self.tables[chosen], &mut self.dice, &mut self.tokens);
            if dice.below(2) == 0 {
                let sent = load::transaction(table, &mut self.world.db, dice, tokens);
                // One that was chosen to end a deadlock with the worker has changed nothing.
                if let Err(error) = sent.or_else(|error| refused_for_now(&error)) {
                    return Some(format!("a statement failed: {error}"));
                }
            } else {
                load::person(table, gate, dice, tokens);
            }
            let pause = [0, 0, 5, 20, 50, 150][dice.below(6)];
            std::thread::sleep(Duration::from_millis(pause));
        }
        None
    }

    /// Mends all and waits until both sides are equal, nothing is wrong, and the worker has written
    /// nothing while it looked at everything twice. What is still in the way when it never comes to
    /// that.
    fn rest(&mut self) -> Result<(), Vec<String>> {
        self.trouble.end(self.world.google.gate());
        let started = Instant::now();
        let mut calm = 0;
        loop {
            let in_the_way = self.look();
            calm = if in_the_way.is_empty() { calm + 1 } else { 0 };
            if calm == 2 {
                return Ok(());
            }
            if started.elapsed() > REST {
                return Err(in_the_way);
            }
            if calm == 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Has the worker look at everything; what kept it from finding all at rest.
    fn look(&mut self) -> Vec<String> {
        let from = self.world.google.gate().count();
        let mut found = Vec::new();
        for table in &self.tables {
            let sync = format!("SELECT * FROM sheet_sync.sync('{}')", table.name);
            if let Err(error) = self.world.db.attempt(&sync) {
                found.push(format!("{sync}: {error}"));
            }
        }
        let states = "SELECT table_name, state, reason, hint FROM sheet_sync.mapping WHERE state <> 'active' OR reason IS NOT NULL
             UNION ALL SELECT m.table_name, 'problem ' || code, key::text || ' row ' || coalesce(sheet_row::text, ''), message
             FROM sheet_sync.problem JOIN sheet_sync.mapping m ON m.id = mapping_id
             UNION ALL SELECT m.table_name, 'open conflict', key::text, column_name
             FROM sheet_sync.conflict JOIN sheet_sync.mapping m ON m.id = mapping_id WHERE NOT settled
             UNION ALL SELECT m.table_name, 'dirty', key::text, NULL
             FROM sheet_sync._dirty_key JOIN sheet_sync.mapping m ON m.id = mapping_id";
        match self.world.db.attempt(states) {
            Ok(rows) => found.extend(rows.into_iter().map(|row| format!("{row:?}"))),
            Err(error) => {
                found.push(error);
                self.world.reconnect();
            }
        }
        for table in &self.tables {
            match (rows_of(&table.shown()), table.held(&mut self.world.db)) {
                (Ok(shown), Ok(held)) if shown == held => {}
                (Ok(shown), Ok(held)) => {
                    let only = |some: &Rows, other: &Rows| {
                        let mut some = some.clone();
                        some.retain(|key, cells| other.get(key) != Some(cells));
                        some
                    };
                    found.push(format!(
                        "{}: only in the table {:?}, only in the sheet {:?}",
                        table.name,
                        only(&held, &shown),
                        only(&shown, &held)
                    ));
                }
                (shown, held) => {
                    found.extend(shown.err().into_iter().flatten());
                    found.extend(held.err());
                }
            }
        }
        found.extend(self.written_since(from));
        found
    }

    fn written_since(&self, from: usize) -> Option<String> {
        let passed = self.world.google.gate().passed_since(from);
        let writes: Vec<&Passed> = passed.iter().filter(|one| one.is_write()).collect();
        (!writes.is_empty()).then(|| format!("written meanwhile: {writes:?}"))
    }

    fn writes_while_quiet(&mut self) -> Vec<String> {
        let found = self.look();
        found
            .into_iter()
            .map(|line| format!("while quiet: {line}"))
            .collect()
    }

    fn judge(&mut self, index: usize) -> Vec<String> {
        let table = &self.tables[index];
        let mapping = format!(
            "mapping_id = (SELECT id FROM sheet_sync.mapping WHERE table_name = {}::regclass)",
            literal(&table.name)
        );
        let conflicts = format!(
            "SELECT key[1], concat_ws(' ', column_name, base_value, database_value, sheet_value, database_row, sheet_row, 'winner', winner)
             FROM sheet_sync.conflict WHERE {mapping} AND id > {} ORDER BY id",
            self.seen.conflict
        );
        let history = format!(
            "SELECT concat_ws(' ', key, side, operation, old_values, '->', new_values, at::time)
             FROM sheet_sync.history WHERE {mapping} AND id > {} ORDER BY id",
            self.seen.history
        );
        let db = &mut self.world.db;
        let conflicts = db.table(&conflicts).into_iter().map(|line| Line {
            key: line[0].parse().expect("the key is a number"),
            text: line[1].clone(),
        });
        let conflicts: Vec<Line> = conflicts.collect();
        let history = db.table(&history).into_iter().flatten().collect();
        let held = table
            .held(db)
            .unwrap_or_else(|error| panic!("{}: {error}", table.name));
        let records = Records { conflicts, history };
        self.total.conflicts += records.conflicts.len();
        let wrong = verdict(&table.round, &held, &table.shown(), &records);
        wrong
            .into_iter()
            .map(|line| format!("{}: {line}", table.name))
            .collect()
    }

    /// Lines of the server's log that no kill explains.
    fn log_complains(&mut self) -> Vec<String> {
        let log = self.world.cluster.log();
        let new = log.get(self.seen.log..).unwrap_or_default();
        let strange = |line: &&str| {
            let by_another = line.contains("terminated by signal") && !line.contains("signal 9");
            ["PANIC", "TRAP", "panicked", "XX000", "is a bug"]
                .iter()
                .any(|word| line.contains(word))
                || by_another
        };
        let lines = new.lines().filter(strange);
        lines.map(|line| format!("the log says: {line}")).collect()
    }

    /// What stands now is what the next round begins with.
    fn begin_anew(&mut self) {
        let db = &mut self.world.db;
        for table in &mut self.tables {
            let before = table
                .held(db)
                .unwrap_or_else(|error| panic!("{}: {error}", table.name));
            let rows = table.shown().into_iter();
            table.round = Round {
                before,
                remarks: rows
                    .filter_map(|row| Some((row.key?, row.remark)))
                    .collect(),
                edits: Vec::new(),
            };
        }
        self.seen = Seen {
            conflict: db.count("SELECT coalesce(max(id), 0) FROM sheet_sync.conflict"),
            history: db.count("SELECT coalesce(max(id), 0) FROM sheet_sync.history"),
            log: self.world.cluster.log().len(),
            requests: self.world.google.gate().count(),
        };
    }

    fn tell(&mut self, started: Instant, before: Counts, took: Duration, wrong: &[String]) {
        let by = |side: Side| {
            let edits = self.tables.iter().flat_map(|table| &table.round.edits);
            edits.filter(|edit| edit.side == side).count()
        };
        let (database, sheet) = (by(Side::Database), by(Side::Sheet));
        self.total.database += database;
        self.total.sheet += sheet;
        self.total.violations += wrong.len();
        let now = self.trouble.counts;
        println!(
            "round {} at {} s: {database} edits of the table, {sheet} of the sheet; {} kills of the worker, {} of the server; \
             {} faults, {} held, {} cuts; {} requests; at rest after {:.1} s; {}",
            self.total.rounds,
            started.elapsed().as_secs(),
            now.workers - before.workers,
            now.servers - before.servers,
            now.faults - before.faults,
            now.held - before.held,
            now.cuts - before.cuts,
            self.world.google.gate().count() - self.seen.requests,
            took.as_secs_f64(),
            if wrong.is_empty() {
                "all well".to_owned()
            } else {
                format!("{} VIOLATIONS", wrong.len())
            }
        );
        if !wrong.is_empty() {
            println!("{}", wrong.join("\n"));
            println!("soak: kept in {}", self.keep(wrong).display());
        }
    }

    /// What is needed to look into broken rules: what was done, what was asked of the service, and
    /// the server's log.
    fn keep(&self, wrong: &[String]) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("sheet_sync-soak-{}", self.seed));
        fs::create_dir_all(&directory).expect("a directory for what is kept can be made");
        let mut text = wrong.join("\n");
        for table in &self.tables {
            let _ = write!(text, "\n\n{}\n", table.name);
            for edit in &table.round.edits {
                let _ = writeln!(text, "{edit}");
            }
        }
        let requests = self.world.google.gate().passed_since(self.seen.requests);
        text += "\nrequests\n";
        for one in requests {
            let _ = writeln!(
                text,
                "{:?} {} {} -> {}",
                one.at,
                one.method,
                one.place(),
                one.status
            );
        }
        let round = directory.join(format!("round-{}", self.total.rounds));
        fs::write(round, text).expect("what is kept can be written");
        fs::copy(self.world.cluster.log_path(), directory.join("log"))
            .expect("the log can be copied");
        directory
    }

    fn summary(&self) {
        let (total, counts) = (&self.total, self.trouble.counts);
        println!(
            "soak: {} rounds, {} edits of tables, {} of sheets, {} conflicts, {} requests\n\
             soak: {} kills of the worker, {} of the server, {} faults, {} requests held, {} times without network\n\
             soak: {} violations, SOAK_SEED={}",
            total.rounds,
            total.database,
            total.sheet,
            total.conflicts,
            self.world.google.gate().count(),
            counts.workers,
            counts.servers,
            counts.faults,
            counts.held,
            counts.cuts,
            total.violations,
            self.seed
        );
    }
}

/// Whether the error is one after which a program tries again.
fn refused_for_now(error: &str) -> Result<(), String> {
    if ["40P01", "40001"]
        .iter()
        .any(|code| error.starts_with(code))
    {
        Ok(())
    } else {
        Err(error.to_owned())
    }
}
