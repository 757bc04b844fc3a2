//! `make demo`: a private Postgres with the extension, sheetd, and two-way sync between them, shown
//! step by step.
//!
//! Each line says what was done on one side and what arrived on the other after how long. Each is
//! checked: a line that does not come true ends the demo with exit code 1.

use e2e::{Google, Options, Sheet, World, literal, own};
use std::fmt::Display;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a change may take to arrive before the demo gives up.
const LIMIT: Duration = Duration::from_secs(60);
const COUNTRIES: &str = "/usr/share/iso-codes/json/iso_3166-1.json";

type Shown = Result<(), String>;

fn main() -> ExitCode {
    let directory =
        PathBuf::from(std::env::var_os("SHEET_SYNC_DEMO").unwrap_or_else(|| ".demo".into()));
    let cluster = std::env::var_os("SHEET_SYNC_DEMO_CLUSTER")
        .map_or_else(|| directory.join("cluster"), PathBuf::from);
    fs::create_dir_all(&directory).expect("the demo's directory can be made");
    fs::write(directory.join("pid"), std::process::id().to_string())
        .expect("the demo's directory can be written");
    stop_on_signal();

    let mut demo = Demo::start(&directory, &cluster);
    let outcome = demo.run();
    match outcome {
        Ok(()) if std::io::stdout().is_terminal() => demo.stay_up(),
        Ok(()) => {
            println!(
                "\nEverything above was checked. Stopping Postgres and sheetd; their files are in .demo/."
            );
            ExitCode::SUCCESS
        }
        Err(_) if STOP.load(Ordering::Relaxed) => ExitCode::from(130),
        Err(reason) => {
            println!(
                "\nThe demo failed: {reason}\nThe server's log: {}",
                demo.world.cluster.log_path().display()
            );
            ExitCode::FAILURE
        }
    }
}

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

/// Ctrl-C ends the demo by the way out, where everything that was started is stopped.
fn stop_on_signal() {
    let handler = on_signal as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::signal(signal, handler as libc::sighandler_t);
        }
    }
}

struct Demo {
    world: World,
    directory: PathBuf,
    products: Option<Sheet>,
    countries: Option<Sheet>,
}

/// What a step did, and the clock that runs until it has arrived.
struct Step {
    did: String,
    since: Instant,
}

impl Step {
    fn did(what: impl Display) -> Step {
        Step {
            did: what.to_string(),
            since: Instant::now(),
        }
    }

    /// Waits for `look` to find what must arrive, and prints the line.
    fn arrives(self, what: &str, mut look: impl FnMut() -> Result<(), String>) -> Shown {
        loop {
            match look() {
                Ok(()) => {
                    let took = self.since.elapsed().as_millis();
                    println!("  {:<72} {what:<50} {took:>4} ms", self.did);
                    let _ = std::io::stdout().flush();
                    return Ok(());
                }
                Err(_) if STOP.load(Ordering::Relaxed) => return Err("stopped".to_owned()),
                Err(seen) if self.since.elapsed() > LIMIT => {
                    return Err(format!(
                        "{}: waited {LIMIT:?} for: {what}. Seen instead: {seen}",
                        self.did
                    ));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn arrives_as(self, what: &str, expected: &str, mut look: impl FnMut() -> String) -> Shown {
        self.arrives(what, || {
            let seen = look();
            if seen == expected {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
    }
}

fn heading(text: &str) {
    println!("\n{text}");
}

impl Demo {
    fn start(directory: &Path, cluster: &Path) -> Demo {
        let google = Google::launch(&directory.join("sheets"), &directory.join("key.json"));
        let options = Options {
            directory: cluster.to_owned(),
            temporary: false,
            ..Options::temporary()
        };
        // sheetd has no quota, so people's edits are looked for more often than with Google.
        let mut world = World::made(
            google,
            options,
            "demo",
            &[("sheet_sync.poll_interval_ms", "250")],
        );
        own(cluster);
        let version = world.db.one("SELECT current_setting('server_version') || ' · sheet_sync ' || extversion FROM pg_extension WHERE extname = 'sheet_sync'");
        println!(
            "Postgres {version} on 127.0.0.1:{} · sheetd on {}",
            world.cluster.port(),
            world.google.direct_url()
        );
        fs::write(directory.join("port"), world.cluster.port().to_string())
            .expect("the demo's directory can be written");
        Demo {
            world,
            directory: directory.to_owned(),
            products: None,
            countries: None,
        }
    }

    fn run(&mut self) -> Shown {
        self.register()?;
        let products = self.products.clone().expect("registered");
        let countries = self.countries.clone().expect("registered");
        self.show_sql_edits(&products, &countries)?;
        self.show_sheet_edits(&products, &countries)?;
        self.at_once(&products)?;
        self.bad_cell(&products)?;
        self.silence(&[("products", &products), ("countries", &countries)])
    }

    fn register(&mut self) -> Shown {
        heading("Two tables, each registered with one SELECT");
        self.world.db.run(
            "CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2) CHECK (price >= 0), in_stock boolean, since date);
             INSERT INTO products VALUES
                 (1, 'Teapot', 24.90, true, '2023-04-01'), (2, 'Cup', 6.50, true, '2023-04-01'), (3, 'Saucer', 4.20, true, '2023-04-01'),
                 (4, 'Milk jug', 9.80, false, '2023-05-12'), (5, 'Sugar bowl', 11.00, true, '2023-05-12'), (6, 'Cake stand', 32.00, true, '2023-09-30'),
                 (7, 'Teaspoon', 3.75, true, '2024-01-15'), (8, 'Strainer', 7.40, false, '2024-01-15'), (9, 'Tea cosy', 18.00, true, '2024-11-02'),
                 (10, 'Kettle', 49.00, true, '2025-02-20'), (11, 'Tray', 15.60, NULL, '2025-02-20'), (12, 'Tin', 5.00, true, NULL)",
        );
        let file = fs::read_to_string(COUNTRIES)
            .map_err(|error| format!("{COUNTRIES} (Debian package iso-codes): {error}"))?;
        self.world.db.run(&format!(
            "CREATE TABLE countries (alpha_2 text PRIMARY KEY, alpha_3 text NOT NULL UNIQUE, \"numeric\" text NOT NULL, name text NOT NULL, official_name text, flag text);
             INSERT INTO countries SELECT alpha_2, alpha_3, \"numeric\", name, official_name, flag
             FROM jsonb_to_recordset({}::jsonb -> '3166-1') AS c(alpha_2 text, alpha_3 text, \"numeric\" text, name text, official_name text, flag text)",
            literal(&file)
        ));
        let book = self.world.google.spreadsheet("sheet_sync demo");
        for table in ["products", "countries"] {
            let rows = self
                .world
                .db
                .count(&format!("SELECT count(*) FROM {table}"));
            let statement = format!(
                "SELECT sheet_sync.register_table({}, {})",
                literal(table),
                literal(book.id())
            );
            self.world.db.run(&statement);
            let step = Step::did(format!("register_table('{table}', …)"));
            let sheet = book.wait_for_tab(table);
            step.arrives(
                &format!("{rows} rows and a header stand in a new tab"),
                || {
                    self.world
                        .differences(table, &sheet)
                        .map_err(|differences| differences.join("; "))
                },
            )?;
            let kept = if table == "products" {
                &mut self.products
            } else {
                &mut self.countries
            };
            *kept = Some(sheet);
            self.world.merged(table);
        }
        Ok(())
    }

    fn sql(&mut self, statement: &str) -> Step {
        self.world.db.run(statement);
        Step::did(statement)
    }

    fn show_sql_edits(&mut self, products: &Sheet, countries: &Sheet) -> Shown {
        heading("A change in SQL arrives in the sheet");
        self.sql("INSERT INTO products VALUES (13, 'Thermos', 27.50, true, '2025-06-01')")
            .arrives_as("the sheet has a row Thermos", "Thermos", || {
                products.cell_of("13", 1)
            })?;
        self.sql("UPDATE products SET price = 6.95 WHERE id = 2")
            .arrives_as("the sheet's Cup costs 6.95", "6.95", || {
                products.cell_of("2", 2)
            })?;
        self.sql("UPDATE countries SET name = 'Türkiye (Turkey)' WHERE alpha_2 = 'TR'")
            .arrives_as("the sheet says so too", "Türkiye (Turkey)", || {
                countries.cell_of("TR", 3)
            })?;
        self.sql("DELETE FROM products WHERE id = 12").arrives_as(
            "the row Tin is gone",
            "",
            || products.cell_of("12", 1),
        )?;
        self.sql("UPDATE products SET in_stock = false")
            .arrives("no checkbox is ticked", || {
                let full = products
                    .rows()
                    .iter()
                    .filter(|row| row.get(3).is_some_and(|cell| cell == "TRUE"))
                    .count();
                if full == 0 {
                    Ok(())
                } else {
                    Err(format!("{full} are"))
                }
            })
    }

    fn show_sheet_edits(&mut self, products: &Sheet, countries: &Sheet) -> Shown {
        heading("An edit in the sheet arrives in SQL");
        let db = &mut self.world.db;
        let row = products.row_where(0, "1");
        products.set(&format!("C{row}"), "25.50");
        Step::did(format!("somebody types 25.50 into C{row} of products")).arrives_as(
            "SQL: Teapot costs 25.50",
            "25.50",
            || db.one("SELECT price FROM products WHERE id = 1"),
        )?;
        products.type_row(&["14", "Infuser", "8.25", "TRUE", "2025-07-14"]);
        Step::did("somebody types a new row under the last one").arrives_as(
            "SQL: Infuser, 8.25, t, 2025-07-14",
            "(14,Infuser,8.25,t,2025-07-14)",
            || {
                db.maybe("SELECT p::text FROM products p WHERE id = 14")
                    .unwrap_or_default()
            },
        )?;
        let row = countries.row_where(0, "CI");
        countries.set(&format!("D{row}"), "Côte d’Ivoire");
        Step::did(format!(
            "somebody types Côte d’Ivoire into D{row} of countries"
        ))
        .arrives_as("SQL has it, accents and all", "Côte d’Ivoire", || {
            db.one("SELECT name FROM countries WHERE alpha_2 = 'CI'")
        })?;
        let row = products.row_where(0, "8");
        products.delete_row(row);
        Step::did(format!("somebody deletes row {row} (Strainer)")).arrives_as(
            "SQL: product 8 is gone, after a second look",
            "0",
            || db.one("SELECT count(*) FROM products WHERE id = 8"),
        )?;
        products.sort("B", true);
        let row = products.row_where(0, "3");
        products.set(&format!("C{row}"), "4.40");
        Step::did("somebody sorts the sheet by name and changes a price").arrives_as(
            "SQL: Saucer costs 4.40, and nothing else",
            "4.40",
            || db.one("SELECT price FROM products WHERE id = 3"),
        )
    }

    /// Both sides change while the mapping is paused; the clock starts when it is resumed.
    fn both(&mut self, what: &str, sql: &str, products: &Sheet, cell: &str, text: &str) -> Step {
        self.world.at_once("products", |world| {
            world.db.run(sql);
            products.set(cell, text);
        });
        Step::did(what)
    }

    fn at_once(&mut self, products: &Sheet) -> Shown {
        heading("Both sides at once");
        let row = products.row_where(0, "6");
        let step = self.both(
            "one row: SQL changes the price, somebody in the sheet the name",
            "UPDATE products SET price = 29 WHERE id = 6",
            products,
            &format!("B{row}"),
            "Cake tower",
        );
        let db = &mut self.world.db;
        step.arrives("both changes stand on both sides", || {
            let seen = (
                db.one("SELECT name || ' ' || price FROM products WHERE id = 6"),
                format!("{} {}", products.cell_of("6", 1), products.cell_of("6", 2)),
            );
            if seen == ("Cake tower 29.00".to_owned(), "Cake tower 29".to_owned()) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })?;
        let row = products.row_where(0, "9");
        let step = self.both(
            "one cell: SQL says 19, the sheet says 17",
            "UPDATE products SET price = 19 WHERE id = 9",
            products,
            &format!("C{row}"),
            "17",
        );
        let db = &mut self.world.db;
        step.arrives_as(
            "a conflict: the database wins, the loser is kept",
            "19 19.00",
            || {
                let kept = db
                    .count("SELECT count(*) FROM sheet_sync.conflict WHERE column_name = 'price'");
                if kept == 0 {
                    return "no line in sheet_sync.conflict".to_owned();
                }
                format!(
                    "{} {}",
                    products.cell_of("9", 2),
                    db.one("SELECT price FROM products WHERE id = 9")
                )
            },
        )?;
        let line = db.one(
            "SELECT format('key %s, column %s: base %s, database %s, sheet %s, winner %s', key, column_name, base_value, database_value, sheet_value, winner)
             FROM sheet_sync.conflict WHERE column_name = 'price'",
        );
        println!("      sheet_sync.conflict: {line}");
        Ok(())
    }

    fn bad_cell(&mut self, products: &Sheet) -> Shown {
        heading("One bad cell is one problem");
        let db = &mut self.world.db;
        let bad = products.row_where(0, "10");
        let good = products.row_where(0, "7");
        products.set(&format!("C{bad}"), "cheap");
        products.set(&format!("C{good}"), "3.95");
        Step::did(format!(
            "somebody types “cheap” into C{bad} and 3.95 into C{good}"
        ))
        .arrives("SQL takes 3.95; “cheap” stands in problem", || {
            let seen = (
                db.one("SELECT price FROM products WHERE id = 7"),
                db.count("SELECT count(*) FROM sheet_sync.problem"),
            );
            if seen == ("3.95".to_owned(), 1) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })?;
        let line = db.one("SELECT format('key %s, column %s: %s (%s)', key, column_name, message, code) FROM sheet_sync.problem");
        println!("      sheet_sync.problem: {line}");
        if db.one("SELECT price FROM products WHERE id = 10") != "49.00" {
            return Err("the bad cell changed the table".to_owned());
        }
        products.set(&format!("C{bad}"), "51");
        Step::did(format!("somebody mends C{bad}: 51")).arrives_as(
            "SQL: Kettle costs 51.00; no problem is left",
            "51.00 0",
            || {
                format!(
                    "{} {}",
                    db.one("SELECT price FROM products WHERE id = 10"),
                    db.count("SELECT count(*) FROM sheet_sync.problem")
                )
            },
        )
    }

    fn silence(&mut self, tables: &[(&str, &Sheet)]) -> Shown {
        heading("And then: equal and silent");
        for (table, sheet) in tables {
            let rows = self
                .world
                .db
                .count(&format!("SELECT count(*) FROM {table}"));
            let cells = sheet.rows().iter().skip(1).map(Vec::len).sum::<usize>();
            Step::did(format!("every cell of {table}, compared")).arrives(
                &format!("equal on both sides: {rows} rows, {cells} cells"),
                || {
                    self.world
                        .differences(table, sheet)
                        .map_err(|differences| differences.join("; "))
                },
            )?;
        }
        let step = Step::did("the worker looks five times more");
        self.world.quiet();
        step.arrives("and writes nothing", || Ok(()))
    }

    fn stay_up(&mut self) -> ExitCode {
        let port = self.world.cluster.port();
        let url = self.world.google.direct_url();
        let book = self.products.as_ref().expect("registered").id();
        let sheetd = std::env::current_exe()
            .expect("this program has a path")
            .with_file_name("sheetd");
        let sheetd = sheetd.display();
        println!(
            "
Everything above was checked. Postgres and sheetd stay up; try for yourself:

  SQL          psql -h 127.0.0.1 -p {port} -U postgres demo
                 UPDATE products SET price = price * 2 WHERE id = 1;
                 SELECT * FROM sheet_sync.status;
  the sheets   {url}/#/{book}/products
               {sheetd} get {book} products --server {url}
               {sheetd} set {book} products C2 12.50 --server {url}
  Adminer      make adminer        (in another terminal: edit the tables in a browser)
  log          tail -f {}

Ctrl-C stops both.",
            self.directory.join("cluster/log").display()
        );
        while !STOP.load(Ordering::Relaxed) {
            if !self.world.cluster.is_up() {
                println!(
                    "Postgres ended by itself; its log: {}",
                    self.world.cluster.log_path().display()
                );
                return ExitCode::FAILURE;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("\nStopping Postgres and sheetd.");
        ExitCode::SUCCESS
    }
}
