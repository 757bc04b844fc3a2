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

/// A column of sheet_sync's own tables holds what sheet_sync never writes there. What it was meant
/// to say is not guessed.
pub fn unreadable(column: &str, value: &str) -> ! {
    refuse(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!(
            "sheet_sync.{column} holds \"{value}\", which means nothing to this version of sheet_sync"
        ),
        "Look whether the installed library is older than the extension in this database (SELECT * FROM sheet_sync.doctor()), and whether somebody changed sheet_sync's tables.",
    )
}
