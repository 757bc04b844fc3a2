//! One session for the code of many owners: triggers, defaults, filters and checks of all mapped
//! tables run in the worker's session, one owner's after another's. What the code of one leaves
//! there must not reach the code of the next: a temporary table would be found instead of the one
//! that is meant, a setting would answer for another tenant, a session's advisory lock would stay.

use engine::effect::Refusal;
use pgrx::pg_sys;
use std::cell::Cell;

use super::statement::Session;
use super::time_limit;
use super::transaction::{run, transaction};
use crate::settings;

thread_local! {
    /// Whose code ran last in this session.
    static LAST: Cell<Option<pg_sys::Oid>> = const { Cell::new(None) };
}

/// What a session keeps beyond a transaction, but for settings: those begin anew with every
/// transaction.
const LEFT_BEHIND: [&str; 5] = [
    "CLOSE ALL",
    "DEALLOCATE ALL",
    "DISCARD SEQUENCES",
    "DISCARD TEMP",
    "SELECT pg_catalog.pg_advisory_unlock_all()",
];

/// Like [`transaction`], for what runs code of `role`'s: as that role also what fires at commit,
/// with nothing of the code of others in the session, and no statement of it for longer than the
/// settings allow.
pub fn transaction_of<R>(
    role: pg_sys::Oid,
    body: impl FnOnce(&mut Session) -> R,
) -> Result<R, Refusal> {
    enter(role);
    time_limit::set(Some(settings::statement_timeout()));
    let outcome = run(Some(role), body);
    time_limit::set(None);
    outcome
}

/// Called between transactions, before code of this role's runs.
fn enter(role: pg_sys::Oid) {
    let before = LAST.replace(Some(role));
    if before.is_some_and(|before| before != role) {
        clean();
    }
}

/// A session that cannot be cleaned is given up: the next one begins with nothing.
fn clean() {
    let cleaned = transaction(|session: &mut Session| {
        for statement in LEFT_BEHIND {
            session.execute_once(statement, &[]);
        }
    });
    if let Err(refusal) = cleaned {
        pgrx::ereport!(
            FATAL,
            pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!(
                "sheet_sync: what the code of a table's owner left in the worker's session could not be removed: {}",
                refusal.message
            ),
            "A new worker begins in a moment."
        );
    }
}
