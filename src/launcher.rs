//! The launcher: one static worker that is connected to no database, starts a worker in every database that may have the
//! extension, and starts it again, with growing pauses, when it ends.
//!
//! | event | what happens |
//! |---|---|
//! | server start | a worker looks into every database once; without the extension it ends and says so |
//! | CREATE EXTENSION, register_table() committed | the database is announced here and the launcher woken |
//! | DROP EXTENSION | the worker notices at its next turn and ends; not started again until announced |
//! | worker crashed or was terminated | started again |
//! | DROP DATABASE, CREATE DATABASE … TEMPLATE | the database is held back ([`hold_databases`]) until that is over |
//! | standby | the launcher itself starts only when recovery is over |

use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::postgres::{database_list, process};
use crate::shared;

mod hold_databases;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A worker that ran so long was healthy: its next restart is quick again.
const HEALTHY: Duration = Duration::from_secs(60);
const LOOK_FOR_DROPPED: Duration = Duration::from_secs(30);

/// Register the launcher; called while the server starts.
pub fn register() {
    BackgroundWorkerBuilder::new("sheet_sync launcher")
        .set_type("sheet_sync launcher")
        .set_library("sheet_sync")
        .set_function("sheet_sync_launcher_main")
        // A database connection (to none) is what lets it read the list of databases.
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(Duration::from_secs(5)))
        .load();
    hold_databases::install();
}

struct Restart {
    /// How often the database had been announced when the worker was started.
    announced: u32,
    not_before: Instant,
    pause: Duration,
    started: Instant,
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sheet_sync_launcher_main(_argument: pg_sys::Datum) {
    process::attach_signals();
    // SAFETY: once, at the start of the worker: no database, bootstrap superuser.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
    }
    shared::launcher_started();
    database_list::connectable_databases()
        .into_iter()
        .for_each(shared::announce);

    let mut restarts: HashMap<u32, Restart> = HashMap::new();
    let mut looked = Instant::now();
    loop {
        process::reload_settings_if_asked();
        if looked.elapsed() > LOOK_FOR_DROPPED {
            shared::keep_only(&database_list::connectable_databases());
            looked = Instant::now();
        }
        let mut sleep = LOOK_FOR_DROPPED;
        for (database, announced) in shared::unserved() {
            let now = Instant::now();
            let restart = restarts.entry(database.to_u32()).or_insert(Restart {
                announced,
                not_before: now,
                pause: FIRST_PAUSE,
                started: now,
            });
            if restart.announced != announced {
                // The last worker found no extension, or somebody registers a table and waits for this one.
                restart.pause = FIRST_PAUSE;
            } else if now < restart.not_before {
                sleep = sleep.min(restart.not_before - now);
                continue;
            }
            if now.duration_since(restart.started) > HEALTHY + restart.pause {
                restart.pause = FIRST_PAUSE;
            }
            start_worker(database);
            *restart = Restart {
                announced,
                not_before: now + restart.pause,
                pause: (restart.pause * 2).min(LONGEST_PAUSE),
                started: now,
            };
            sleep = sleep.min(restart.pause);
        }
        process::sleep(sleep);
    }
}

/// Not restarted by the postmaster: after DROP DATABASE that would go on for ever.
fn start_worker(database: pg_sys::Oid) {
    let started = BackgroundWorkerBuilder::new("sheet_sync worker")
        .set_type("sheet_sync worker")
        .set_library("sheet_sync")
        .set_function("sheet_sync_worker_main")
        .enable_spi_access()
        .set_argument(database.into_datum())
        .set_notify_pid(process::my_pid())
        .load_dynamic();
    if started.is_err() {
        log!(
            "sheet_sync: no free worker slot for database with oid {database}; raise max_worker_processes"
        );
    }
}
