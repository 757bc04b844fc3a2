//! A database with the extension on one side, Google on the other, and the helpers that tests read
//! like sentences with.

use crate::cluster::{Cluster, Options, bindir, own};
use crate::db::{Db, Row, literal};
use crate::google::Google;
use crate::sheet::{Sheet, parse, trimmed};
use crate::wait::{wait_for, wait_until};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub struct World {
    pub db: Db,
    pub cluster: Cluster,
    pub google: Google,
}

const DATABASE: &str = "e2e";

/// A type that takes `10.0.0.9` only when [`World::in_mid_cycle`] lets it: until then the worker
/// waits for the answer.
pub const GATE: &str = "CREATE TABLE gate (open bool); INSERT INTO gate VALUES (false); GRANT SELECT ON gate TO PUBLIC;
     CREATE FUNCTION waits(inet) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
         WHILE $1 = '10.0.0.9' AND NOT (SELECT open FROM gate) LOOP PERFORM pg_sleep(0.02); END LOOP;
         RETURN true; END $$;
     CREATE DOMAIN host AS inet CHECK (waits(VALUE));";

/// A worker that is stopped until this is dropped.
pub struct Frozen(i32);

impl Frozen {
    fn signal(&self, signal: i32) {
        // SAFETY: a plain system call; the server told us that this process is its worker.
        unsafe { libc::kill(self.0, signal) };
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
    }
}

impl World {
    pub fn start() -> World {
        World::configured(&[])
    }

    pub fn configured(settings: &[(&str, &str)]) -> World {
        World::made(Google::start(), Options::temporary(), DATABASE, settings)
    }

    /// A cluster in `options.directory` with one database and the extension in it, beside this
    /// Google.
    pub fn made(
        google: Google,
        options: Options,
        database: &str,
        settings: &[(&str, &str)],
    ) -> World {
        let own = [
            ("sheet_sync.poll_interval_ms", "100"),
            ("sheet_sync.http_timeout_ms", "30000"),
            ("sheet_sync.reads_per_minute", "100000"),
            ("sheet_sync.writes_per_minute", "100000"),
            ("sheet_sync.project_reads_per_minute", "100000"),
            ("sheet_sync.project_writes_per_minute", "100000"),
        ];
        let all = own
            .iter()
            .chain(settings)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let cluster = Cluster::start(Options {
            settings: endpoints(&google).into_iter().chain(all).collect(),
            ..options
        });
        cluster
            .connect("postgres")
            .run(&format!("CREATE DATABASE {database}"));
        let mut world = World {
            db: cluster.connect(database),
            cluster,
            google,
        };
        world.create_extension();
        world
    }

    /// A second cluster at the same sheets, which knows nothing of this one.
    pub fn neighbour(&self) -> World {
        let google = self.google.by_another_gate();
        let options = Options {
            has_own_identifier: true,
            ..Options::temporary()
        };
        World::made(google, options, DATABASE, &[])
    }

    /// A standby of this one, which has its own way to the sheets for when it is promoted.
    pub fn standby(&self) -> World {
        self.beside(Cluster::standby_of)
    }

    /// The same files in another place, as a restored base backup or a snapshot has them.
    pub fn copy(&self) -> World {
        self.beside(Cluster::copy_of)
    }

    fn beside(&self, copied: impl FnOnce(&Cluster, &[(String, String)]) -> Cluster) -> World {
        let google = self.google.by_another_gate();
        let cluster = copied(&self.cluster, &endpoints(&google));
        World {
            db: cluster.connect(DATABASE),
            cluster,
            google,
        }
    }

    /// Ends a standby's recovery when it has all that the primary committed so far.
    pub fn promote(&mut self, primary: &mut World) {
        let written = primary.db.one("SELECT pg_current_wal_flush_lsn()");
        self.shows(
            &format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"),
            "t",
        );
        self.db.run("SELECT pg_promote()");
    }

    /// Three products on both sides, merged: what most tests begin with.
    pub fn with_products() -> (World, Sheet) {
        let mut world = World::start();
        world.db.run(
            "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric);
             INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2), (3, 'Gear', 3)",
        );
        let sheet = world.map("products");
        sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3");
        world.merged("products");
        (world, sheet)
    }

    pub fn create_extension(&mut self) {
        let key = literal(&self.google.key().to_string());
        self.db.run("CREATE EXTENSION sheet_sync");
        self.db.run(&format!(
            "SELECT sheet_sync.set_credential('default', {key})"
        ));
    }

    /// A further database with the extension and the same credential.
    pub fn another_database(&self, name: &str) -> Db {
        self.cluster
            .connect("postgres")
            .run(&format!("CREATE DATABASE {name}"));
        let mut db = self.cluster.connect(name);
        let key = literal(&self.google.key().to_string());
        db.run("CREATE EXTENSION sheet_sync");
        db.run(&format!(
            "SELECT sheet_sync.set_credential('default', {key})"
        ));
        db
    }

    /// A database that was made as a copy. Its worker starts by itself; what it needs of its own is
    /// the credential, which no dump holds.
    pub fn with_credential(&self, database: &str) -> Db {
        let mut copy = self.cluster.connect(database);
        let key = literal(&self.google.key().to_string());
        copy.run(&format!(
            "SELECT sheet_sync.set_credential('default', {key})"
        ));
        copy
    }

    /// A file that the server can read, written in one go.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.cluster.directory().join(name);
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).expect("the cluster's directory takes files");
        own(&beside);
        std::fs::rename(&beside, &path).expect("a file can be renamed");
        path
    }

    /// Sets one of the extension's settings for the whole cluster.
    pub fn set(&mut self, setting: &str, value: &str) {
        let value = literal(value);
        self.db
            .run(&format!("ALTER SYSTEM SET sheet_sync.{setting} = {value}"));
        self.db.run("SELECT pg_reload_conf()");
    }

    /// A session beside `db`.
    pub fn connect(&self) -> Db {
        self.cluster.connect(DATABASE)
    }

    pub fn connect_as(&self, role: &str) -> Db {
        self.cluster
            .connect_as(role, DATABASE)
            .unwrap_or_else(|error| panic!("connection as {role}: {error}"))
    }

    /// After the server or a backend was killed.
    pub fn reconnect(&mut self) {
        self.db = wait_until("the server to take connections", || {
            let mut db = self
                .cluster
                .try_connect(DATABASE)
                .map_err(|error| error.to_string())?;
            db.attempt("SELECT 1").map(|_| db)
        });
    }

    /// Maps a table to a tab that does not exist yet, in a new spreadsheet.
    #[track_caller]
    pub fn map(&mut self, table: &str) -> Sheet {
        self.map_with(table, "")
    }

    /// The same with further arguments of register_table.
    #[track_caller]
    pub fn map_with(&mut self, table: &str, options: &str) -> Sheet {
        let book = self.google.spreadsheet(&format!("For {table}"));
        self.register_at(table, book.id(), options);
        let title = self.db.one(&format!(
            "SELECT relname FROM pg_class WHERE oid = {}::regclass",
            literal(table)
        ));
        let sheet = book.wait_for_tab(&title);
        self.merged(table);
        sheet
    }

    /// Maps a table to a tab that is there.
    #[track_caller]
    pub fn register(&mut self, table: &str, sheet: &Sheet, options: &str) {
        self.register_at(table, &sheet.address(), options);
    }

    #[track_caller]
    pub fn register_at(&mut self, table: &str, spreadsheet: &str, options: &str) {
        let comma = if options.is_empty() { "" } else { ", " };
        self.db.run(&format!(
            "SELECT sheet_sync.register_table({}, {}{comma}{options})",
            literal(table),
            literal(spreadsheet)
        ));
    }

    /// Waits until the first merge of a table's mapping is done.
    #[track_caller]
    pub fn merged(&mut self, table: &str) {
        let sql = format!(
            "SELECT state, reason, hint FROM sheet_sync.mapping WHERE table_name = {}::regclass",
            literal(table)
        );
        wait_until(&format!("the first merge of {table}"), || {
            let seen = self.db.table(&sql);
            if seen.iter().all(|row| row[0] == "active") {
                Ok(())
            } else {
                Err(seen)
            }
        });
    }

    /// A table of so many parts and its sheet, merged.
    pub fn with_parts(rows: usize) -> (World, Sheet) {
        World::configured_with_parts(&[], rows)
    }

    pub fn configured_with_parts(settings: &[(&str, &str)], rows: usize) -> (World, Sheet) {
        let mut world = World::configured(settings);
        world.db.run(&format!(
            "CREATE TABLE parts (id int PRIMARY KEY, name text, stock int);
             INSERT INTO parts SELECT n, 'part ' || n, n FROM generate_series(1, {rows}) n"
        ));
        let sheet = world.map("parts");
        world.both_equal("parts", &sheet);
        (world, sheet)
    }

    /// What stood on either side before this call has been carried over when it returns, deletions
    /// too.
    #[track_caller]
    pub fn sync(&mut self, table: &str) {
        self.db.run(&format!(
            "SELECT * FROM sheet_sync.sync({})",
            literal(table)
        ));
    }

    /// Everything that readings can lead to has happened when this returns: what one of them leaves
    /// for the next, too.
    #[track_caller]
    pub fn settle(&mut self, table: &str) {
        for _ in 0..3 {
            self.sync(table);
        }
    }

    /// Waits until every mapping has stopped for a reason that begins so; returns what the first
    /// one says to a person.
    #[track_caller]
    pub fn stopped(&mut self, reason: &str) -> String {
        let said = wait_until(&format!("the guard: {reason}"), || {
            let seen = self
                .db
                .table("SELECT state, reason, hint FROM sheet_sync.mapping");
            let says = |row: &Vec<String>| row[0] == "failed" && row[1].starts_with(reason);
            match seen.first() {
                Some(first) if seen.iter().all(says) => Ok(format!("{} {}", first[1], first[2])),
                _ => Err(seen),
            }
        });
        // The view that people look at says the same.
        self.shows("SELECT DISTINCT state FROM sheet_sync.status", "failed");
        said
    }

    /// Waits until the reason and the hint of the first mapping hold all of these words.
    #[track_caller]
    pub fn says(&mut self, words: &[&str]) {
        wait_until(&format!("the mapping to say {words:?}"), || {
            let said = self.db.one(
                "SELECT concat(reason, ' · ', hint) FROM sheet_sync.status ORDER BY 1 LIMIT 1",
            );
            match words.iter().all(|word| said.contains(word)) {
                true => Ok(()),
                false => Err(said),
            }
        });
    }

    /// Acts between two steps of the cycle that takes in what `types` types: `10.0.0.9`, into a
    /// column of the type that [`GATE`] makes.
    #[track_caller]
    pub fn in_mid_cycle(&mut self, types: impl FnOnce(), act: impl FnOnce(&mut World)) {
        let worker = self.worker();
        types();
        self.shows(
            &format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {worker}"),
            "PgSleep",
        );
        self.db.run("SET lock_timeout = '5 s'");
        act(self);
        self.db
            .run("UPDATE gate SET open = true; RESET lock_timeout");
    }

    /// No row or cell has a problem at the moment.
    #[track_caller]
    pub fn has_no_problem(&mut self) {
        let problems = self
            .db
            .table("SELECT code, key, column_name, message FROM sheet_sync.problem");
        assert_eq!(problems, Vec::<Vec<String>>::new());
    }

    /// Does something on both sides of which the worker sees nothing until all of it is done.
    #[track_caller]
    pub fn at_once(&mut self, table: &str, act: impl FnOnce(&mut World)) {
        // Settled first, so that what `act` does is all that differs.
        self.sync(table);
        self.pause(table);
        act(self);
        self.db.run(&of_all_tabs("resume", table));
    }

    /// Pauses a mapping and waits until the worker has taken note: it refuses a call when nothing
    /// of the mapping is at work any more.
    #[track_caller]
    pub fn pause(&mut self, table: &str) {
        self.db.run(&of_all_tabs("pause", table));
        let call = format!("SELECT * FROM sheet_sync.sync({})", literal(table));
        wait_until("the worker to rest", || match self.db.attempt(&call) {
            Err(refusal) if refusal.contains("paused") => Ok(()),
            other => Err(other),
        });
    }

    /// Waits until a query gives just this (see [`parse`]; NULL is empty).
    #[track_caller]
    pub fn shows(&mut self, sql: &str, text: &str) {
        wait_for(sql, trimmed(parse(text)), || {
            trimmed(plain(self.db.rows(sql)))
        });
    }

    /// Waits until a table holds just this; the first line names the columns, the first of which
    /// orders the rows.
    #[track_caller]
    pub fn table_shows(&mut self, table: &str, text: &str) {
        let mut expected = parse(text);
        let columns: Vec<String> = expected.remove(0).iter().map(|name| quoted(name)).collect();
        let sql = format!("SELECT {0} FROM {table} ORDER BY {0}", columns.join(", "));
        wait_for(&format!("table {table}"), trimmed(expected), || {
            trimmed(plain(self.db.rows(&sql)))
        });
    }

    /// Waits until table and sheet hold the same rows, whatever their order, by the headers that
    /// both have.
    #[track_caller]
    pub fn both_equal(&mut self, table: &str, sheet: &Sheet) {
        wait_until(&format!("{table} and its sheet to be equal"), || {
            self.differences(table, sheet)
        });
    }

    /// What one side has and the other has not.
    pub fn differences(&mut self, table: &str, sheet: &Sheet) -> Result<(), Vec<String>> {
        let mut shown = sheet.rows();
        if shown.is_empty() {
            return Err(vec!["the sheet is empty".to_owned()]);
        }
        let header = shown.remove(0);
        // A sheet holds a date as the number of days since the end of 1899.
        let types = plain(self.db.rows(&format!(
            "SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0",
            literal(table)
        )));
        let columns: Vec<String> = header
            .iter()
            .map(
                |name| match types.iter().find(|column| column[0] == *name) {
                    Some(column) if column[1] == "date" => {
                        format!("{} - DATE '1899-12-30'", quoted(name))
                    }
                    _ => quoted(name),
                },
            )
            .collect();
        let mut held = trimmed(plain(
            self.db
                .rows(&format!("SELECT {} FROM {table}", columns.join(", "))),
        ));
        for row in held.iter_mut().chain(&mut shown) {
            for cell in row {
                *cell = canonical(cell);
            }
        }
        held.sort();
        shown.retain(|row| !row.is_empty());
        shown.sort();
        let only = |some: &[Vec<String>], others: &[Vec<String>], side: &str| {
            some.iter()
                .filter(|row| !others.contains(row))
                .map(|row| format!("only in the {side}: {row:?}"))
                .collect::<Vec<_>>()
        };
        if held == shown {
            return Ok(());
        }
        let mut found = only(&held, &shown, "table");
        found.extend(only(&shown, &held, "sheet"));
        found.push(format!(
            "{} rows in the table, {} in the sheet",
            held.len(),
            shown.len()
        ));
        Err(found)
    }

    /// Waits until the worker has looked several times without writing: both sides are as it wants
    /// them.
    #[track_caller]
    pub fn quiet(&mut self) {
        wait_until("silence", || {
            let (writes, reads) = (self.google.writes().len(), self.google.reads());
            let state = self.db.table("SELECT state FROM sheet_sync.mapping");
            if state.iter().any(|row| row[0] == "active") {
                let looked = std::time::Instant::now();
                while self.google.reads() < reads + 5
                    && looked.elapsed() < std::time::Duration::from_secs(20)
                {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                assert!(self.google.reads() > reads, "the sheet is not read");
            } else {
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            let written = self.google.writes().split_off(writes);
            if written.is_empty() {
                Ok(())
            } else {
                Err(written)
            }
        });
    }

    /// The sync worker of this test's database.
    #[track_caller]
    pub fn worker(&mut self) -> i32 {
        let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'sheet_sync%' AND datname = current_database()";
        wait_until("the worker", || {
            self.db
                .maybe(sql)
                .and_then(|pid| pid.parse().ok())
                .ok_or("none runs")
        })
    }

    /// The worker does nothing until the answer is dropped.
    pub fn freeze_worker(&mut self) -> Frozen {
        let frozen = Frozen(self.worker());
        frozen.signal(libc::SIGSTOP);
        frozen
    }

    /// As the kernel does when memory runs out. Postgres then restarts all its processes.
    pub fn kill_worker(&mut self) {
        let pid = self.worker();
        let started = self.db.one("SELECT pg_postmaster_start_time()");
        // SAFETY: a plain system call; the server told us that this process is its worker.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        wait_until("the worker's death to be noticed", || {
            match self.db.attempt("SELECT 1") {
                Ok(_) => Err("the old session still answers"),
                Err(_) => Ok(()),
            }
        });
        self.reconnect();
        assert_eq!(
            started,
            self.db.one("SELECT pg_postmaster_start_time()"),
            "the postmaster itself went on"
        );
    }

    /// As an administrator might.
    pub fn terminate_worker(&mut self) {
        let pid = self.worker();
        self.db.run(&format!("SELECT pg_terminate_backend({pid})"));
        wait_for("the worker's end", 0, || {
            self.db.count(&format!(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
            ))
        });
    }

    /// pg_dump of the whole database.
    pub fn dump(&self) -> String {
        self.dump_as("postgres", &[])
            .unwrap_or_else(|said| panic!("{said}"))
    }

    /// What pg_dump writes for a role, or what it says where it fails.
    pub fn dump_as(&self, role: &str, options: &[&str]) -> Result<String, String> {
        let output = self
            .client("pg_dump")
            .arg(format!("--username={role}"))
            .args(options)
            .arg(DATABASE)
            .output()
            .expect("pg_dump can be run");
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).expect("UTF-8")),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// pg_dump into an archive, with these options, and pg_restore of it into another database with
    /// those.
    #[track_caller]
    pub fn carry_over(&self, database: &str, dump: &[&str], restore: &[&str]) {
        let archive = self.cluster.directory().join("archive");
        let file = format!("--file={}", archive.display());
        let options: Vec<&str> = ["--format=custom", &file]
            .into_iter()
            .chain(dump.iter().copied())
            .collect();
        self.dump_as("postgres", &options)
            .unwrap_or_else(|said| panic!("{said}"));
        let mut pg_restore = self.client("pg_restore");
        let output = pg_restore
            .arg(format!("--dbname={database}"))
            .args(restore)
            .arg(&archive)
            .output()
            .expect("pg_restore can be run");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub fn restore(&self, database: &str, dump: &str) {
        let mut psql = self.client("psql");
        psql.args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"])
            .arg(database);
        let mut psql = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql can be run");
        psql.stdin
            .take()
            .expect("piped")
            .write_all(dump.as_bytes())
            .expect("psql reads");
        let output = psql.wait_with_output().expect("psql ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(bindir().join(program));
        command
            .args(["--host=127.0.0.1", "--username=postgres"])
            .arg(format!("--port={}", self.cluster.port()));
        command
    }
}

/// As [`World::stopped`], in any database.
#[track_caller]
pub fn stopped(db: &mut Db, table: &str, reason: &str) -> String {
    let sql = format!(
        "SELECT state, reason, hint FROM sheet_sync.status WHERE table_name = {}::regclass",
        literal(table)
    );
    wait_until(&format!("{table} to stop: {reason}"), || {
        let seen = db.table(&sql);
        match seen.first() {
            Some(row) if row[0] == "failed" && row[1].starts_with(reason) => {
                Ok(format!("{} {}", row[1], row[2]))
            }
            _ => Err(seen),
        }
    })
}

/// A call for each of a table's mappings.
fn of_all_tabs(function: &str, table: &str) -> String {
    let table = literal(table);
    format!(
        "SELECT sheet_sync.{function}(mapping_id) FROM sheet_sync.status WHERE table_name = {table}::regclass"
    )
}

fn endpoints(google: &Google) -> Vec<(String, String)> {
    let names = ["sheets_endpoint", "drive_endpoint", "metadata_endpoint"];
    names
        .map(|name| (format!("sheet_sync.{name}"), google.url()))
        .to_vec()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn plain(rows: Vec<Row>) -> Vec<Vec<String>> {
    rows.into_iter()
        .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
        .collect()
}

/// One spelling for what both sides may spell differently: 1.50 and 1.5, t and TRUE.
fn canonical(cell: &str) -> String {
    let decimal = cell.contains('.')
        && cell
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    match cell {
        "t" | "TRUE" => "true".to_owned(),
        "f" | "FALSE" => "false".to_owned(),
        _ if decimal => cell.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => cell.to_owned(),
    }
}
