//! The table of the parts about large sheets, `wide`: ten columns of every common kind, mapped to a
//! tab of its own.

use e2e::{Db, Google, Sheet, World};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{Duration, Instant};

pub const COLUMNS: usize = 10;
pub const HEADER: [&str; COLUMNS] = ["id", "a", "b", "c", "d", "e", "f", "g", "h", "i"];
/// The place of column `e`, the number that the changes of one column count up.
pub const COUNTED: usize = 5;

/// Longer than a first merge of 100,000 rows under Google's quota takes.
const LIMIT: Duration = Duration::from_secs(900);

/// Makes the table with rows 1 to `rows`.
pub fn create(db: &mut Db, rows: usize) {
    db.run(&format!(
        "CREATE TABLE wide (id int PRIMARY KEY, a text, b text, c text, d int, e int, f numeric, g boolean, h text, i text);
         INSERT INTO wide SELECT n, 'a ' || n, 'b', 'c', n, 0, n * 0.5, true, 'h', 'i' FROM generate_series(1, {rows}) n;
         ANALYZE wide"
    ));
}

/// The same row as a client of the Sheets API writes it.
pub fn row(number: usize) -> Vec<Value> {
    vec![
        json!(number),
        json!(format!("a {number}")),
        json!("b"),
        json!("c"),
        json!(number),
        json!(0),
        json!(number as f64 * 0.5),
        json!(true),
        json!("h"),
        json!("i"),
    ]
}

/// Maps the table to a new tab and waits until the first merge is done; answers how long that took.
pub fn merge(world: &mut World) -> (Sheet, Duration) {
    let book = world.google.spreadsheet("For wide");
    let registered = Instant::now();
    world.register_at("wide", book.id(), "");
    patiently("the first merge", || {
        world.db.one("SELECT state FROM sheet_sync.mapping") == "active"
    });
    let took = registered.elapsed();
    settle(&world.google);
    (book.wait_for_tab("wide"), took)
}

/// Changes one cell in this many rows, spread evenly over the table, by one statement.
pub fn update(db: &mut Db, changed: usize, rows: usize) {
    db.run(&format!(
        "UPDATE wide SET e = e + 1 WHERE id % {} = 0",
        rows / changed
    ));
}

/// Waits until the worker has brought every committed change to the sheet.
pub fn arrive(db: &mut Db) {
    patiently("the changes to arrive", || {
        db.one("SELECT NOT EXISTS (SELECT FROM sheet_sync._dirty_key)") == "t"
    });
}

/// How many changed rows the worker has not dealt with.
pub fn dirty(db: &mut Db) -> i64 {
    db.count("SELECT count(*) FROM sheet_sync._dirty_key")
}

/// Until no request has passed for a second.
pub fn settle(google: &Google) {
    let mut passed = google.gate().passed().len();
    patiently("the worker to rest", || {
        std::thread::sleep(Duration::from_secs(1));
        let before = std::mem::replace(&mut passed, google.gate().passed().len());
        before == passed
    });
}

/// Fails where table and sheet do not hold the same rows: figures of a sync that lost something
/// would be worth nothing.
pub fn check_equal(db: &mut Db, sheet: &Sheet) {
    let held = db.table(
        "SELECT id, a, b, c, d, e, trim_scale(f), CASE WHEN g THEN 'TRUE' ELSE 'FALSE' END, h, i FROM wide",
    );
    let mut shown = sheet.rows();
    assert_eq!(shown.remove(0), HEADER, "the sheet's header");
    let shown: HashSet<Vec<String>> = shown.into_iter().collect();
    let missing = held.iter().filter(|row| !shown.contains(*row)).count();
    assert_eq!(
        (missing, shown.len()),
        (0, held.len()),
        "rows that the sheet lacks, rows that it has"
    );
}

/// Looks again and again until it is so; gives up after a time that only a worker which stands
/// still takes.
fn patiently(what: &str, mut look: impl FnMut() -> bool) {
    let started = Instant::now();
    while !look() {
        let waited = started.elapsed();
        assert!(waited < LIMIT, "waited {LIMIT:?} for {what}");
        // To look costs time on the cores that are measured, so what takes longer is looked at less
        // often.
        std::thread::sleep(
            (waited / 50).clamp(Duration::from_millis(1), Duration::from_millis(100)),
        );
    }
}
