//! Telling the launcher and the worker that something of theirs has changed, once it is committed.

use pgrx::prelude::*;
use pgrx::{PgXactCallbackEvent, pg_sys, register_xact_callback};

use super::worker::NoWorker;
use crate::postgres::process;
use crate::shared;

pub fn wake_at_commit() {
    if shared::is_available() {
        let database = process::my_database();
        register_xact_callback(PgXactCallbackEvent::Commit, move || {
            shared::wake_worker(database)
        });
    }
}

pub fn announce_at_commit() {
    if shared::is_available() {
        let database = process::my_database();
        register_xact_callback(PgXactCallbackEvent::Commit, move || {
            // Where there is no room, the launcher gets to this database when there is.
            if !shared::announce(database) {
                shared::look_for_databases();
            }
        });
    }
}

/// Called by CREATE EXTENSION.
#[pg_extern(sql = false)]
fn announce() {
    if !shared::is_available() {
        let none = NoWorker::NotPreloaded;
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_WARNING,
            none.message(),
            none.hint()
        );
    }
    announce_at_commit();
}

static VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_sheet_sync_wake() -> &'static pg_sys::Pg_finfo_record {
    &VERSION_1
}

/// Statement trigger on the catalog's tables.
///
/// # Safety
/// Called by Postgres.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sheet_sync_wake(_call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    wake_at_commit();
    pg_sys::Datum::from(0usize)
}
