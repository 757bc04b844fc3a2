//! `sync()`, `push()` and `pull()`: ask the worker for a cycle and wait for its end.

use crate::postgres::errors::refuse;
use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::worker::{NoWorker, require_worker, worker};
use super::{Chosen, as_owner, required};
use crate::postgres::process;
use crate::shared::{self, Answer, Counts, RequestKind, Ticket};

/// Of so many tabs of one table cycles are asked for at a time, so that a call does not keep others
/// from calling.
const AT_ONCE: usize = 8;

type Line = (i32, i64, i64, i64, i64, Interval);

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn sync(
    table_name: Option<pg_sys::Oid>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(rows_pushed, i64),
        name!(rows_pulled, i64),
        name!(conflicts, i64),
        name!(problems, i64),
        name!(duration, Interval),
    ),
> {
    TableIterator::new(cycles(
        Chosen::table(table_name),
        timeout,
        RequestKind::Sync,
    ))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn sync_of(
    mapping_id: Option<i32>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(rows_pushed, i64),
        name!(rows_pulled, i64),
        name!(conflicts, i64),
        name!(problems, i64),
        name!(duration, Interval),
    ),
> {
    TableIterator::new(cycles(
        Chosen::mapping(mapping_id),
        timeout,
        RequestKind::Sync,
    ))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn push(
    table_name: Option<pg_sys::Oid>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(rows_pushed, i64),
        name!(rows_pulled, i64),
        name!(conflicts, i64),
        name!(problems, i64),
        name!(duration, Interval),
    ),
> {
    TableIterator::new(cycles(
        Chosen::table(table_name),
        timeout,
        RequestKind::Push,
    ))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn push_of(
    mapping_id: Option<i32>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(rows_pushed, i64),
        name!(rows_pulled, i64),
        name!(conflicts, i64),
        name!(problems, i64),
        name!(duration, Interval),
    ),
> {
    TableIterator::new(cycles(
        Chosen::mapping(mapping_id),
        timeout,
        RequestKind::Push,
    ))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn pull(
    table_name: Option<pg_sys::Oid>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(rows_pushed, i64),
        name!(rows_pulled, i64),
        name!(conflicts, i64),
        name!(problems, i64),
        name!(duration, Interval),
    ),
> {
    TableIterator::new(cycles(
        Chosen::table(table_name),
        timeout,
        RequestKind::Pull,
    ))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn pull_of(
    mapping_id: Option<i32>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(rows_pushed, i64),
        name!(rows_pulled, i64),
        name!(conflicts, i64),
        name!(problems, i64),
        name!(duration, Interval),
    ),
> {
    TableIterator::new(cycles(
        Chosen::mapping(mapping_id),
        timeout,
        RequestKind::Pull,
    ))
}

fn cycles(chosen: Chosen, timeout: Option<Interval>, kind: RequestKind) -> Vec<Line> {
    let started = Instant::now();
    ask(chosen, timeout, kind)
        .into_iter()
        .map(|(mapping, _, counts)| {
            let duration = Interval::new(0, 0, started.elapsed().as_micros() as i64)
                .unwrap_or_else(|_| pgrx::error!("interval out of range"));
            (
                mapping,
                counts.rows_pushed,
                counts.rows_pulled,
                counts.conflicts,
                counts.problems,
                duration,
            )
        })
        .collect()
}

/// Ask for a cycle of the mapping, or of every mapping of the table; answers mapping, request id and
/// counts, or raises why one failed.
pub fn ask(
    chosen: Chosen,
    timeout: Option<Interval>,
    kind: RequestKind,
) -> Vec<(i32, u64, Counts)> {
    require_worker();
    let timeout = Duration::from_micros(required(timeout, "timeout").as_micros().max(0) as u64);
    let mappings: Vec<i32> = as_owner(
        "SELECT sheet_sync._chosen($1, $2::pg_catalog.regclass, $3, NULL)",
        chosen.args(),
    )
    .into_iter()
    .flatten()
    .flatten()
    .filter_map(|id| id.parse().ok())
    .collect();
    let started = Instant::now();
    let mut unasked = mappings.into_iter();
    let mut asked: VecDeque<(i32, Ticket)> =
        unasked.by_ref().take(AT_ONCE).map(post(kind)).collect();
    let mut answers = Vec::new();
    while let Some((mapping, ticket)) = asked.pop_front() {
        let what = format!("the cycle of mapping {mapping}");
        let counts = wait(&what, &ticket, started, timeout);
        answers.push((mapping, ticket.id(), counts));
        drop(ticket);
        asked.extend(unasked.next().map(post(kind)));
    }
    answers
}

fn post(kind: RequestKind) -> impl Fn(i32) -> (i32, Ticket) {
    move |mapping| {
        let database = process::my_database();
        let Some(ticket) = Ticket::post(database, mapping, kind) else {
            refuse_more();
        };
        shared::wake_worker(database);
        (mapping, ticket)
    }
}

/// Ask for something that is about no mapping; answers the request's id once it is done.
pub fn ask_worker(timeout: Interval, kind: RequestKind) -> u64 {
    let timeout = Duration::from_micros(timeout.as_micros().max(0) as u64);
    let database = process::my_database();
    let Some(ticket) = Ticket::post(database, 0, kind) else {
        refuse_more();
    };
    shared::wake_worker(database);
    wait("the examination", &ticket, Instant::now(), timeout);
    ticket.id()
}

fn refuse_more() -> ! {
    refuse(
        PgSqlErrorCode::ERRCODE_TOO_MANY_CONNECTIONS,
        "too many calls wait for the sync worker already",
        "Try again in a moment.",
    )
}

/// How long a worker is waited for where nobody starts one.
const WITHOUT_LAUNCHER: Duration = Duration::from_secs(10);

fn wait(what: &str, ticket: &Ticket, started: Instant, timeout: Duration) -> Counts {
    let mut worker_seen = Instant::now();
    loop {
        match ticket.answer() {
            Some(Answer::Done(counts)) => return counts,
            Some(Answer::Failed { message, hint }) => refuse(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                message,
                hint,
            ),
            None => {}
        }
        match worker() {
            Ok(_) => worker_seen = Instant::now(),
            Err(NoWorker::NoLauncher) if worker_seen.elapsed() > WITHOUT_LAUNCHER => {
                NoWorker::NoLauncher.refuse()
            }
            Err(none) if started.elapsed() >= timeout => none.refuse(),
            Err(_) => {}
        }
        if started.elapsed() >= timeout {
            refuse(
                PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                format!(
                    "{what} did not come to its end within {} s",
                    timeout.as_secs_f64()
                ),
                "It goes on all the same; SELECT * FROM sheet_sync.status shows how far it is.",
            );
        }
        let left = timeout.saturating_sub(started.elapsed());
        process::wait_in_session(left.min(Duration::from_millis(500)));
    }
}
