//! How long one statement of a worker may take. All tables of a database share its worker: a trigger, a filter or a check that does
//! not come to an end must not stop the tables of others.
//!
//! Postgres counts statements of clients only, so a worker sets the same timer itself.

use std::cell::Cell;
use std::ffi::c_int;
use std::time::Duration;

use engine::effect::Refusal;
use pgrx::pg_sys;

thread_local! {
    /// For statements from now on; none outside of a mapping's transactions.
    static LIMIT: Cell<Option<Duration>> = const { Cell::new(None) };
    /// A statement was ended since somebody asked, by this limit or by a person.
    static CUT_SHORT: Cell<bool> = const { Cell::new(false) };
}

/// `STATEMENT_TIMEOUT` of Postgres's `enum TimeoutId`, the same in all versions.
const STATEMENT_TIMEOUT: c_int = 3;

const CANCELLED: &str = "57014";

unsafe extern "C-unwind" {
    fn enable_timeout_after(id: c_int, delay_ms: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// Statements end after that long, until it is said otherwise.
pub fn set(limit: Option<Duration>) {
    LIMIT.set(limit);
}

/// One statement, or one step of one.
pub fn limited<R>(statement: impl FnOnce() -> R) -> R {
    let Some(limit) = LIMIT.get() else {
        return statement();
    };
    let limit = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the timer was registered when the worker connected to its database.
    unsafe { enable_timeout_after(STATEMENT_TIMEOUT, limit) };
    let result = statement();
    disarm();
    result
}

/// After a statement has ended, in whatever way. A cancellation that came too late for it is not for the next one.
pub fn disarm() {
    // SAFETY: nothing happens where the timer does not run.
    unsafe {
        disable_timeout(STATEMENT_TIMEOUT, false);
        if LIMIT.get().is_some() {
            pg_sys::QueryCancelPending = 0;
        }
    }
}

pub fn ended(refusal: &Refusal) -> bool {
    refusal.sqlstate == CANCELLED
}

/// Called with whatever error was caught.
pub fn note(sqlstate: &str) {
    if sqlstate == CANCELLED {
        CUT_SHORT.set(true);
    }
}

/// Whether a statement has been ended since this was asked last.
pub fn take_cut_short() -> bool {
    CUT_SHORT.take()
}
