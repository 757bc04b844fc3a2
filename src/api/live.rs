use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use crate::postgres::process;
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
    TableIterator::new(mappings.into_iter().map(|live| {
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
            live.requests_this_minute,
            live.rows_done,
            live.rows_total,
            time(live.phase_started_at),
            time(live.busy_since),
        )
    }))
}

/// From microseconds since 1970; zero is never.
fn time(at: i64) -> Option<TimestampWithTimeZone> {
    const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
    if at == 0 {
        return None;
    }
    TimestampWithTimeZone::try_from(at - POSTGRES_EPOCH).ok()
}
