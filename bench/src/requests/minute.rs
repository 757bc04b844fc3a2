//! What Google's quota makes of the requests of a change.

use super::Way;
use crate::report::{seconds, thousands};
use crate::simple::Client;
use crate::traffic::Traffic;
use e2e::World;
use google::governor::{Caller, Decision, Governor, Limits, Need, Priority};
use serde_json::json;
use std::time::{Duration, Instant};

/// Google's quota for one account, of reads and of writes (G-QUOTA-1).
const QUOTA: usize = 60;
pub const MINUTE: Duration = Duration::from_secs(60);

/// How often a minute a change that takes these requests is granted.
pub fn granted(way: Way, traffic: &Traffic) -> f64 {
    match way {
        Way::SheetSync => governed(traffic),
        Way::Rewrite | Way::RowByRow => QUOTA as f64 / traffic.reads.max(traffic.writes) as f64,
    }
}

/// The same for sheet_sync, whose governor keeps a part of the quota for calls that somebody waits
/// for, over ten minutes of asking at once whenever it lets one ask.
fn governed(traffic: &Traffic) -> f64 {
    const MINUTES: i64 = 10;
    let caller = Caller {
        account: 1,
        project: 1,
        mapping: 1,
    };
    let mut governor = Governor::new();
    let (mut now, mut granted) = (0, 0);
    while now < MINUTES * 60_000 {
        let mut left = (traffic.reads as u32, traffic.writes as u32);
        while left != (0, 0) {
            let need = Need {
                reads: left.0.min(1),
                writes: left.1.min(1),
            };
            match governor.ask(now, caller, need, Priority::Background, &Limits::default()) {
                Decision::WaitUntil(until) => now = until,
                Decision::Granted => left = (left.0 - need.reads, left.1 - need.writes),
            }
        }
        granted += 1;
    }
    f64::from(granted) / MINUTES as f64
}

/// Every row changes at once, and a minute passes: per way, what was there at its end and how long
/// all of it took.
pub fn side_by_side(world: &mut World, client: &Client, rows: usize) -> Vec<Vec<String>> {
    let edited = super::edited(rows, rows);
    world.google.set_options(json!({"quota": "google"}));
    for setting in ["reads", "writes"] {
        world.db.run(&format!(
            "ALTER SYSTEM SET sheet_sync.{setting}_per_minute = {QUOTA}"
        ));
    }
    world.db.run("SELECT pg_reload_conf()");
    let written = client.row_by_row(&edited, Some(Instant::now() + MINUTE));
    // sheetd's minute began with the first of these requests, and the next one must have begun.
    std::thread::sleep(Duration::from_secs(1));
    let ours = super::change(Way::SheetSync, client, world, rows, rows);
    let rewritten = super::change(Way::Rewrite, client, world, rows, rows);
    world.google.set_options(json!({"quota": "off"}));
    let whole = |way: Way, took: Duration| {
        let there = if took <= MINUTE {
            thousands(rows)
        } else {
            "not all".to_owned()
        };
        vec![way.name().to_owned(), there, seconds(took)]
    };
    vec![
        whole(Way::Rewrite, rewritten),
        vec![
            Way::RowByRow.name().to_owned(),
            thousands(written),
            format!("{:.0} min (derived)", rows as f64 / written as f64),
        ],
        whole(Way::SheetSync, ours),
    ]
}
