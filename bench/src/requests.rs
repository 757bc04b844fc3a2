//! How many requests and bytes a change costs, by the size of the sheet and of the change.

use crate::report::{Report, thousands};
use e2e::{Passed, World};

pub fn run(report: &mut Report) {
    report.section(
        "Requests and bytes for one UPDATE statement",
        "Ten columns; everything that passed between the extension and sheetd from the commit until both sides were equal and nothing more was written. No look for edits falls into it. Target: one changed row of 10,000 in at most 3 requests.",
        &["changed rows of rows", "requests", "of these writes", "bytes sent", "bytes received"],
    );
    for (rows, changed) in [(1_000, 1), (10_000, 1), (10_000, 20), (10_000, 1_000)] {
        let mut world = World::configured(&[("sheet_sync.poll_interval_ms", "86400000")]);
        world.db.run(&format!(
            "CREATE TABLE wide (id int PRIMARY KEY, a text, b text, c text, d int, e int, f numeric, g boolean, h text, i text);
             INSERT INTO wide SELECT n, 'a ' || n, 'b', 'c', n, 0, n * 0.5, true, 'h', 'i' FROM generate_series(1, {rows}) n"
        ));
        let sheet = world.map("wide");
        world.both_equal("wide", &sheet);
        settled(&world);
        let before = world.google.gate().passed().len();
        world.db.run(&format!(
            "UPDATE wide SET e = e + 1 WHERE id % {} = 0",
            rows / changed
        ));
        world.both_equal("wide", &sheet);
        settled(&world);
        let passed: Vec<Passed> = world
            .google
            .gate()
            .passed()
            .split_off(before)
            .into_iter()
            .filter(|passed| !passed.is_token())
            .collect();
        let sum = |bytes: fn(&Passed) -> usize| thousands(passed.iter().map(bytes).sum());
        report.line(&[
            format!("{} of {}", thousands(changed), thousands(rows)),
            passed.len().to_string(),
            passed
                .iter()
                .filter(|passed| passed.is_write())
                .count()
                .to_string(),
            sum(|passed| passed.request_bytes),
            sum(|passed| passed.answer_bytes),
        ]);
    }
}

/// Until no request has passed for a second.
fn settled(world: &World) {
    e2e::wait_until("the worker to rest", || {
        let before = world.google.gate().passed().len();
        std::thread::sleep(std::time::Duration::from_secs(1));
        let more = world.google.gate().passed().len() - before;
        if more == 0 { Ok(()) } else { Err(more) }
    });
}
