use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use std::collections::HashSet;

use crate::postgres::process;
use crate::postgres::statement::Session;
use crate::shared::{self, Phase};

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn live() -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(phase, String),
        name!(last_cycle_at, Option<TimestampWithTimeZone>),
        name!(last_read_at, Option<TimestampWithTimeZone>),
        name!(poll_interval, Option<Interval>),
        name!(rate_limited_until, Option<TimestampWithTimeZone>),
        name!(retry_at, Option<TimestampWithTimeZone>),
        name!(requests_this_minute, i64),
        name!(rows_done, i64),
        name!(rows_total, i64),
        name!(phase_started_at, Option<TimestampWithTimeZone>),
        name!(busy_since, Option<TimestampWithTimeZone>),
    ),
> {
    let mappings = if shared::is_available() {
        shared::live_mappings(process::my_database())
    } else {
        Vec::new()
    };
    // The views read this with the rights of whoever asks, and so may anybody.
    let visible = visible_mappings();
    let mappings = mappings
        .into_iter()
        .filter(move |live| visible.contains(&live.mapping.to_string()));
    TableIterator::new(mappings.map(|live| {
        let phase = match live.phase {
            Phase::Idle => "idle",
            Phase::Opening => "opening",
            Phase::Merging => "merging",
            Phase::Syncing => "syncing",
        };
        (
            live.mapping,
            phase.to_owned(),
            time(live.last_cycle_at),
            time(live.last_read_at),
            Interval::new(0, 0, live.interval_ms * 1_000).ok(),
            time(live.rate_limited_until),
            time(live.retry_at),
            live.requests_this_minute,
            live.rows_done,
            live.rows_total,
            time(live.phase_started_at),
            time(live.busy_since),
        )
    }))
}

/// The ids of those that row-level security shows the caller.
fn visible_mappings() -> HashSet<String> {
    let rows = Spi::connect_mut(|client| {
        Session::new(client).select("SELECT id FROM sheet_sync.mapping", &[])
    });
    let ids = rows.into_iter().flatten().flatten();
    ids.map(String::from).collect()
}

/// From microseconds since 1970; zero is never.
fn time(at: i64) -> Option<TimestampWithTimeZone> {
    const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
    if at == 0 {
        return None;
    }
    TimestampWithTimeZone::try_from(at - POSTGRES_EPOCH).ok()
}
