//! Whether a worker serves this database, and what to do where none does.

use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::postgres::errors::refuse;
use crate::postgres::process;
use crate::shared;

/// Why nobody serves this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWorker {
    NotPreloaded,
    Standby,
    /// No launcher runs, so no worker will be started.
    NoLauncher,
    /// It may be about to be started, or there is no slot for it.
    NotStarted,
}

impl NoWorker {
    pub fn message(self) -> &'static str {
        match self {
            Self::NotPreloaded => "sheet_sync is not loaded, so no worker runs",
            Self::Standby => "this server is a standby: its primary syncs",
            Self::NoLauncher => {
                "the launcher of sheet_sync does not run, and nobody else starts workers"
            }
            Self::NotStarted => "no sync worker runs for this database",
        }
    }

    pub fn hint(self) -> &'static str {
        match self {
            Self::NotPreloaded => {
                "Add sheet_sync to shared_preload_libraries in postgresql.conf and restart the server."
            }
            Self::Standby => {
                "Call this on the primary. When this server is promoted, its worker goes on by itself."
            }
            Self::NoLauncher => {
                "It is started again within a second where it was ended. Look for sheet_sync in the server's log; max_worker_processes may be too small."
            }
            Self::NotStarted => {
                "It is started within a moment. If it is not, look for sheet_sync in the server's log; max_worker_processes may be too small."
            }
        }
    }

    pub fn refuse(self) -> ! {
        refuse(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            self.message(),
            self.hint(),
        )
    }

    /// Waiting does not help.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::NotPreloaded | Self::Standby)
    }
}

/// The worker's process id.
pub fn worker() -> Result<i32, NoWorker> {
    if !shared::is_available() {
        return Err(NoWorker::NotPreloaded);
    }
    // SAFETY: reads a flag of the server's.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Err(NoWorker::Standby);
    }
    match shared::worker_pid(process::my_database()) {
        Some(pid) => Ok(pid),
        None if shared::launcher_runs() => Err(NoWorker::NotStarted),
        None => Err(NoWorker::NoLauncher),
    }
}

/// Refuse what a worker is needed for, where none will come.
pub fn require_worker() {
    if let Err(none) = worker()
        && none.is_lasting()
    {
        none.refuse();
    }
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn no_worker() -> TableIterator<'static, (name!(reason, String), name!(hint, String))> {
    let none = worker().err();
    TableIterator::new(none.map(|none| {
        let reason = format!("no_worker: {}", none.message());
        (reason, none.hint().to_owned())
    }))
}
