//! How long one statement of a worker may take. All tables of a database share its worker: a
//! trigger, a filter or a check that does not come to an end must not stop the tables of others.
//!
//! Postgres counts statements of clients only, so a worker sets the same timer itself. Code of
//! users' may run statements of ours within one (capture, the SQL functions): only the outermost
//! counts.

use std::cell::Cell;
use std::ffi::c_int;
use std::time::Duration;

use engine::effect::Refusal;
use pgrx::pg_sys;

thread_local! {
    /// For statements from now on; none outside of a mapping's transactions.
    static LIMIT: Cell<Option<Duration>> = const { Cell::new(None) };
    /// How many statements of ours run, one within the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// A statement was ended, by this limit or by a person.
    static CUT_SHORT: Cell<bool> = const { Cell::new(false) };
}

/// `STATEMENT_TIMEOUT` of Postgres's `enum TimeoutId`, the same in all versions.
const STATEMENT_TIMEOUT: c_int = 3;

const CANCELLED: &str = "57014";

unsafe extern "C-unwind" {
    fn enable_timeout_after(id: c_int, delay_ms: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// From now on statements end after this time.
pub fn set(limit: Option<Duration>) {
    LIMIT.set(limit);
}

/// A statement of ours while it runs; an error that passes through ends it, too.
struct Running;

impl Running {
    fn begin() -> Self {
        let depth = DEPTH.get();
        DEPTH.set(depth + 1);
        if depth == 0
            && let Some(limit) = LIMIT.get()
        {
            let limit = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
            // SAFETY: the timer was registered when the worker connected to its database.
            unsafe { enable_timeout_after(STATEMENT_TIMEOUT, limit) };
        }
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let depth = DEPTH.get().saturating_sub(1);
        DEPTH.set(depth);
        if depth == 0 {
            stop();
        }
    }
}

/// One statement, or one step of one.
pub fn limited<R>(statement: impl FnOnce() -> R) -> R {
    let _running = Running::begin();
    statement()
}

/// Whether a statement of ours runs, so that its plan is in use.
pub fn is_running() -> bool {
    DEPTH.get() > 0
}

/// Users' code has come to its end, or an error has ended it. What follows may take its time, and a
/// cancellation that came too late for the statement is not for the next one.
pub fn stop() {
    if LIMIT.get().is_some() {
        // SAFETY: nothing happens where the timer does not run.
        unsafe {
            disable_timeout(STATEMENT_TIMEOUT, false);
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

/// Whether a statement was ended meanwhile, also where its error was caught.
pub fn noticing_ends<R>(body: impl FnOnce() -> R) -> (R, bool) {
    CUT_SHORT.set(false);
    let result = body();
    (result, CUT_SHORT.get())
}
