//! Raising errors of ours.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// Raise an error that says what happened and what to do about it.
pub fn refuse(code: PgSqlErrorCode, message: impl Into<String>, hint: impl Into<String>) -> ! {
    ErrorReport::new(code, message.into(), "sheet_sync")
        .set_hint(hint.into())
        .report(PgLogLevel::ERROR);
    unreachable!("an error of level ERROR does not return")
}
