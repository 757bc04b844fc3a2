//! One session for the code of many owners: triggers, defaults, filters and checks of all mapped tables run in the worker's session,
//! one owner's after another's. What the code of one leaves there must not reach the code of the next: a temporary table would be
//! found instead of the one that is meant, a setting would answer for another tenant, a session's advisory lock would stay.

use pgrx::pg_sys;
use std::cell::Cell;

use super::statement::Session;
use super::transaction::transaction;

thread_local! {
    /// Whose code ran last in this session.
    static LAST: Cell<Option<pg_sys::Oid>> = const { Cell::new(None) };
}

/// What a session keeps beyond a transaction. Settings come last: until then nothing unqualified finds anything of a user's.
const LEFT_BEHIND: [&str; 6] = [
    "CLOSE ALL",
    "DEALLOCATE ALL",
    "DISCARD SEQUENCES",
    "DISCARD TEMP",
    "SELECT pg_catalog.pg_advisory_unlock_all()",
    "RESET ALL",
];

/// Called between transactions, before code of this role's runs.
pub fn enter(role: pg_sys::Oid) {
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

/// Makes `role` the session's user until it goes out of scope: what users' code knows as `session_user` is no superuser. The current
/// user stays the worker's own.
pub struct SessionUser {
    before: pg_sys::Oid,
}

impl SessionUser {
    pub fn set(role: pg_sys::Oid) -> Self {
        let mut user = pg_sys::InvalidOid;
        let mut context = 0;
        // SAFETY: within a transaction and outside any security context; only the backend's own state changes.
        unsafe {
            let before = pg_sys::GetSessionUserId();
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetSessionAuthorization(role, pg_sys::superuser_arg(role));
            pg_sys::SetUserIdAndSecContext(user, context);
            Self { before }
        }
    }
}

impl Drop for SessionUser {
    fn drop(&mut self) {
        // SAFETY: as above, after the transaction has ended. Whom the session began as is the worker's superuser.
        unsafe { pg_sys::SetSessionAuthorization(self.before, true) }
    }
}
