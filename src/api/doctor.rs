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
    let mut lines = vec![version_line()];
    match worker() {
        // Without a worker nothing else can be found out.
        Err(none) => lines.push(of_server("worker", none.message(), Some(none.hint()))),
        Ok(pid) => {
            let detail = format!("runs as process {pid}");
            lines.push(of_server("worker", &detail, None));
            lines.extend(findings(timeout));
        }
    }
    TableIterator::new(lines)
}

/// What is amiss has a hint.
fn of_server(check: &str, detail: &str, hint: Option<&str>) -> Line {
    (
        Some("server".to_owned()),
        Some(check.to_owned()),
        Some(hint.is_none()),
        Some(detail.to_owned()),
        hint.map(str::to_owned),
    )
}

/// A server goes on with the library that it was started with, and a database with the functions
/// and tables that were made last, whatever package is installed meanwhile.
fn version_line() -> Line {
    let library = env!("CARGO_PKG_VERSION");
    let created = as_owner(
        "SELECT e.extversion FROM pg_catalog.pg_extension e, (SELECT $1::pg_catalog.oid) caller \
         WHERE e.extname OPERATOR(pg_catalog.=) 'sheet_sync'",
        Vec::new(),
    );
    let created = created.into_iter().flatten().flatten().next();
    let created = created.unwrap_or_default();
    if created == library {
        return of_server("version", library, None);
    }
    of_server(
        "version",
        &format!(
            "this database has version {created} of the extension, the server runs the library of version {library}"
        ),
        Some(
            "Restart the server, so that it loads the library that is installed; if this line is here after that, ALTER EXTENSION sheet_sync UPDATE;",
        ),
    )
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
