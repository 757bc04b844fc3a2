//! Transactions and sub-transactions that a worker owns.
//!
//! SPI outside a transaction is a segmentation fault, and an error caught without rolling back
//! commits half a statement. So a worker reaches SPI through [`transaction`] only, and errors are
//! caught here only.

use engine::effect::Refusal;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, Spi};
use std::ffi::CStr;
use std::panic::AssertUnwindSafe;

use super::role;
use super::role::SessionUser;
use super::statement::Session;
use super::time_limit;
use crate::capture::CANONICAL_SETTINGS;

/// Run `body` in a transaction of its own and commit it. An error of any kind rolls it back and
/// comes back as a value.
pub fn transaction<R>(body: impl FnOnce(&mut Session) -> R) -> Result<R, Refusal> {
    run(None, body)
}

/// In the name of a role, where one is given: `of` is who the session's user is meanwhile, and
/// whose rights what fires at commit has (deferred triggers and constraints of the user's table),
/// instead of the worker's superuser.
pub(super) fn run<R>(
    of: Option<pg_sys::Oid>,
    body: impl FnOnce(&mut Session) -> R,
) -> Result<R, Refusal> {
    pin_settings();
    let mut session_user = None;
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: the worker's main thread is between transactions here; the active snapshot is
        // popped before the commit.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        session_user = of.map(SessionUser::set);
        let result = Spi::connect_mut(|client| body(&mut Session::new(client)));
        unsafe {
            pg_sys::PopActiveSnapshot();
        }
        match of {
            Some(role) => role::with_role(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE, || {
                time_limit::limited(|| unsafe { pg_sys::CommitTransactionCommand() })
            }),
            None => unsafe { pg_sys::CommitTransactionCommand() },
        }
        Ok(result)
    }))
    .catch_others(|cause| {
        let refusal = refusal(&cause);
        unsafe {
            pg_sys::AbortCurrentTransaction();
        }
        Err(refusal)
    })
    .execute();
    drop(session_user);
    // A background worker's row counts reach autovacuum only when they are reported.
    unsafe {
        pg_sys::pgstat_report_stat(false);
    }
    outcome
}

/// The settings of the worker's session: values print alike in every session that names rows, and
/// nothing unqualified in our own statements finds anything of a user's.
const SETTINGS: &[(&CStr, &CStr)] = &[
    (c"search_path", role::OWN_SEARCH_PATH),
    // Problems name constraints and columns by what Postgres says: in one language, whatever the
    // server's.
    (c"lc_messages", c"C"),
    // Long enough for the locks of short transactions. All tables of the database wait meanwhile.
    (c"lock_timeout", c"50ms"),
    // In a circle of sessions that wait for one another ours is the first to see it, and to give
    // way.
    (c"deadlock_timeout", c"5ms"),
    (c"idle_in_transaction_session_timeout", c"0"),
    // Compiling one of our short statements takes longer than running it.
    (c"jit", c"off"),
    // It would end the worker.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    (c"transaction_timeout", c"0"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    (c"row_security", c"on"),
    (c"application_name", c"sheet_sync"),
];

/// Anew for every transaction: what a user's code sets while it fires at a commit would stay for
/// good.
fn pin_settings() {
    // SAFETY: between transactions.
    unsafe { pg_sys::ResetAllOptions() };
    for (name, value) in SETTINGS.iter().chain(&CANONICAL_SETTINGS) {
        // SAFETY: between transactions; the strings are constants that Postgres copies.
        unsafe {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_SESSION,
            );
        }
    }
}

/// Run `body` in a sub-transaction: an error undoes what it did and nothing else.
pub fn subtransaction<R>(body: impl FnOnce() -> R) -> Result<R, Refusal> {
    caught(body).map_err(|cause| refusal(&cause))
}

/// Like [`subtransaction`], for a value that may be refused, of which somebody is told then. An
/// error that is not about the value (there was no memory, a lock was in the way) is raised again.
/// A statement that was ended is: the value takes too long.
pub fn refusable<R>(body: impl FnOnce() -> R) -> Result<R, Refusal> {
    caught(body).map_err(|cause| {
        let refusal = refusal(&cause);
        if is_about_no_value(&refusal) && !time_limit::ended(&refusal) {
            cause.rethrow();
        }
        refusal
    })
}

/// Like [`subtransaction`]; answers `None` where what is read is not of its type. Something is
/// concluded from that, so every error that may be gone the next time is raised again.
pub fn readable<R>(body: impl FnOnce() -> R) -> Option<R> {
    match caught(body) {
        Ok(result) => Some(result),
        Err(cause) if is_about_no_value(&refusal(&cause)) => cause.rethrow(),
        Err(_) => None,
    }
}

/// By the class of the error: rollbacks, resources, objects in use, interventions, the system,
/// bugs.
fn is_about_no_value(refusal: &Refusal) -> bool {
    let class = refusal.sqlstate.get(..2);
    class.is_some_and(|class| ["40", "53", "55", "57", "58", "XX"].contains(&class))
}

fn caught<R>(body: impl FnOnce() -> R) -> Result<R, Box<CaughtError>> {
    // SAFETY: the sequence of plpgsql's exception blocks: begin, run, release or roll back, restore
    // context and owner.
    let (context, owner) = unsafe { (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) };
    unsafe {
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
    }
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| Ok(body())))
        .catch_others(|cause| Err(Box::new(cause)))
        .execute();
    unsafe {
        match outcome {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
    outcome
}

/// Somebody else's lock was in the way: tried again later it may be gone.
pub fn is_lock(refusal: &Refusal) -> bool {
    matches!(refusal.sqlstate.as_str(), "55P03" | "40P01")
}

fn refusal(cause: &CaughtError) -> Refusal {
    let report = match cause {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report,
        CaughtError::RustPanic { ereport, .. } => ereport,
    };
    let message = match report.detail() {
        Some(detail) if !detail.is_empty() => format!("{} ({detail})", report.message()),
        _ => report.message().to_owned(),
    };
    let sqlstate = sqlstate(report.sql_error_code() as i32);
    time_limit::note(&sqlstate);
    Refusal {
        sqlstate,
        message,
        // A setting of our own session is nothing that people can change.
        hint: report
            .hint()
            .filter(|hint| !hint.contains("datestyle"))
            .map(str::to_owned),
    }
}

/// Five characters from Postgres's packed code: six bits each, from the lowest.
fn sqlstate(packed: i32) -> String {
    (0..5)
        .map(|place| char::from(((packed >> (6 * place)) & 0x3f) as u8 + b'0'))
        .collect()
}

/// A transaction without SPI, for a worker that is connected to no database.
pub fn bare_transaction<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: an error ends the process (the launcher is restarted), so nothing is left half done.
    unsafe {
        pg_sys::StartTransactionCommand();
        // Scans need a snapshot, and taking one needs a transaction.
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = body();
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
        result
    }
}
