//! The launcher: one static worker that is connected to no database, starts a worker in every
//! database that may have the extension, and starts it again, with growing pauses, when it ends.
//!
//! What happens when is in ARCHITECTURE.md, "Life cycle".

use pgrx::bgworkers::{
    BackgroundWorkerBuilder, BackgroundWorkerStatus, BgWorkerStartTime, DynamicBackgroundWorker,
};
use pgrx::prelude::*;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::postgres::{database_list, process};
use crate::shared;

mod hold_databases;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A worker that ran for this long was healthy: it is started again at once.
const HEALTHY: Duration = Duration::from_secs(20);
const LOOK_FOR_DATABASES: Duration = Duration::from_secs(30);
/// How soon to try again where no slot was free.
const UNTIL_SLOT: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Register the launcher; called while the server starts.
pub fn register() {
    BackgroundWorkerBuilder::new("sheet_sync launcher")
        .set_type("sheet_sync launcher")
        .set_library("sheet_sync")
        .set_function("sheet_sync_launcher_main")
        // A database connection (to none) is what lets it read the list of databases.
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(Duration::from_secs(1)))
        .load();
    hold_databases::install();
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
    let mut databases = Databases::default();
    let mut workers = Workers::default();
    loop {
        process::reload_settings_if_asked();
        databases.look_for_new();
        process::sleep(workers.start().min(LOOK_FOR_DATABASES));
    }
}

/// Which databases there are, and which of them were announced by the launcher itself.
#[derive(Default)]
struct Databases {
    looked: Option<Instant>,
    announced: HashSet<pg_sys::Oid>,
    /// There was no room for some of them.
    no_room: bool,
}

impl Databases {
    fn look_for_new(&mut self) {
        let is_due = self
            .looked
            .is_none_or(|at| at.elapsed() >= LOOK_FOR_DATABASES);
        // Workers that ended make room.
        if !shared::take_new_databases() && !is_due && !self.no_room {
            return;
        }
        self.looked = Some(Instant::now());
        let all = database_list::connectable_databases();
        shared::keep_only(&all);
        self.announced.retain(|database| all.contains(database));
        let new = all.iter().filter(|one| !self.announced.contains(one));
        let (announced, left): (Vec<pg_sys::Oid>, Vec<pg_sys::Oid>) =
            new.copied().partition(|one| shared::announce(*one));
        self.announced.extend(announced);
        if !left.is_empty() && !self.no_room {
            log!(
                "sheet_sync: as many databases as can be served are served or looked into; {} wait",
                left.len()
            );
        }
        self.no_room = !left.is_empty();
    }
}

/// What became of the workers that were started.
#[derive(Default)]
struct Workers {
    started: HashMap<pg_sys::Oid, Started>,
    shortage: Option<Shortage>,
}

/// The last worker of a database.
struct Started {
    process: DynamicBackgroundWorker,
    at: Instant,
    /// When it was first seen to have ended.
    ended: Option<Instant>,
    /// How often the database had been announced by then.
    announced: u32,
    /// How long after its start the next one may follow, unless it was healthy.
    pause: Duration,
}

impl Started {
    /// It is starting, or ending. To start, it may have to wait for a lock on its database for as
    /// long as somebody else's transaction takes (ALTER DATABASE … RENAME): that is no reason to
    /// start another one beside it.
    fn is_there(&self) -> bool {
        matches!(
            self.process.pid(),
            Ok(_) | Err(BackgroundWorkerStatus::NotYetStarted)
        )
    }
}

/// No slot is free.
struct Shortage {
    since: Instant,
    said: Option<Instant>,
}

impl Workers {
    /// Start what is due; answers how long nothing will be.
    fn start(&mut self) -> Duration {
        let unserved = shared::unserved();
        for (database, started) in &mut self.started {
            if !unserved.iter().any(|(one, _)| one == database) {
                started.ended = None;
            }
        }
        let mut sleep = LOOK_FOR_DATABASES;
        for (database, announced) in unserved {
            let now = Instant::now();
            let mut pause = FIRST_PAUSE;
            if let Some(last) = self.started.get_mut(&database) {
                if last.is_there() {
                    // The postmaster tells of its end.
                    continue;
                }
                let ended = *last.ended.get_or_insert(now);
                let was_healthy = ended.duration_since(last.at) > HEALTHY;
                // Announced again: somebody made the extension or registers a table, and waits.
                if !was_healthy && last.announced == announced {
                    let due = last.at + last.pause;
                    if now < due {
                        sleep = sleep.min(due - now);
                        continue;
                    }
                    pause = (last.pause * 2).min(LONGEST_PAUSE);
                }
            }
            let Some(process) = start_worker(database) else {
                self.note_shortage();
                // A worker that ends wakes the launcher.
                return sleep.min(UNTIL_SLOT);
            };
            let started = Started {
                process,
                at: now,
                ended: None,
                announced,
                pause,
            };
            self.started.insert(database, started);
            sleep = sleep.min(pause);
        }
        self.shortage = None;
        sleep
    }

    /// While a server starts, workers that only look into their databases share the slots: that is
    /// none.
    fn note_shortage(&mut self) {
        let now = Instant::now();
        let shortage = self.shortage.get_or_insert(Shortage {
            since: now,
            said: None,
        });
        let said_lately = shortage.said.is_some_and(|at| at.elapsed() < SAY_EVERY);
        if shortage.since.elapsed() >= UNTIL_SLOT && !said_lately {
            shortage.said = Some(now);
            ereport!(
                PgLogLevel::LOG,
                PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                "sheet_sync: there is no free slot for the worker of another database",
                "Raise max_worker_processes: each database with the extension needs one, and the launcher another."
            );
        }
    }
}

/// `None` where no slot is free. Not restarted by the postmaster: after DROP DATABASE that would go
/// on for ever.
fn start_worker(database: pg_sys::Oid) -> Option<DynamicBackgroundWorker> {
    BackgroundWorkerBuilder::new("sheet_sync worker")
        .set_type("sheet_sync worker")
        .set_library("sheet_sync")
        .set_function("sheet_sync_worker_main")
        .enable_spi_access()
        .set_argument(database.into_datum())
        .set_notify_pid(process::my_pid())
        .load_dynamic()
        .ok()
}
