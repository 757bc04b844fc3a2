//! `doctor()`: what is wrong, and what to do about it.

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use super::worker::worker;
use super::{as_owner, required, wait};
use crate::postgres::fields::Fields;
use crate::shared::RequestKind;

type Line = (
    Option<String>,
    Option<String>,
    Option<bool>,
    Option<String>,
    Option<String>,
);

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn doctor(
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(subject, Option<String>),
        name!(check, Option<String>),
        name!(ok, Option<bool>),
        name!(detail, Option<String>),
        name!(hint, Option<String>),
    ),
> {
    let timeout = required(timeout, "timeout");
    TableIterator::new(match worker_line() {
        Err(line) => vec![line],
        Ok(line) => std::iter::once(line).chain(findings(timeout)).collect(),
    })
}

/// Without a worker nothing else can be found out.
fn worker_line() -> Result<Line, Line> {
    let line = |ok, detail: String, hint: Option<&str>| {
        (
            Some("server".to_owned()),
            Some("worker".to_owned()),
            Some(ok),
            Some(detail),
            hint.map(str::to_owned),
        )
    };
    match worker() {
        Ok(pid) => Ok(line(true, format!("runs as process {pid}"), None)),
        Err(none) => Err(line(false, none.message().to_owned(), Some(none.hint()))),
    }
}

/// The worker has committed its lines before it answered, so a statement that begins now sees them.
fn findings(timeout: Interval) -> Vec<Line> {
    let request = wait::ask_worker(timeout, RequestKind::Examine);
    as_owner(
        "WITH fetched AS (DELETE FROM sheet_sync._finding f USING (SELECT $1::pg_catalog.oid) caller WHERE f.request_id = $2 RETURNING f.*) \
         SELECT subject, check_name, ok, detail, hint FROM fetched ORDER BY line",
        vec![(request as i64).into()],
    )
    .into_iter()
    .map(|row| {
        let mut fields = Fields::of(row);
        let mut next = || fields.optional();
        (
            next(),
            next(),
            next().map(|ok| ok == "t"),
            next(),
            next(),
        )
    })
    .collect()
}
