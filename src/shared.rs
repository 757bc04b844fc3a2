//! Shared memory: who works for which database, and calls that wait for a worker.
//!
//! A call of `sync()` cannot talk to the worker through tables (its transaction is not committed),
//! so it posts a request here, sets the worker's latch and sleeps on its own. Everything is plain
//! data of fixed size; nothing here needs to survive a restart.

use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::postgres::process;

/// Databases that are served at a time, or looked into.
const DATABASES: usize = 256;
/// Calls that may wait for workers at a time, and how many of them may be one role's: nobody keeps
/// the others from calling.
const REQUESTS: usize = 256;
const REQUESTS_OF_ROLE: usize = REQUESTS / 4;
const MAPPINGS: usize = 512;

static STATE: PgLwLock<State> = unsafe { PgLwLock::new(c"sheet_sync") };

/// Set in the postmaster, so that every process has it from its birth.
static IS_AVAILABLE: AtomicBool = AtomicBool::new(false);

/// Ask for the memory; called while the server starts.
pub fn request() {
    pg_shmem_init!(STATE);
    IS_AVAILABLE.store(true, Ordering::Relaxed);
}

/// False where the library is not in shared_preload_libraries: then there is no worker either.
pub fn is_available() -> bool {
    IS_AVAILABLE.load(Ordering::Relaxed)
}

#[derive(Clone, Copy)]
struct State {
    launcher_pid: i32,
    /// There may be databases that the launcher has not looked into.
    new_databases: bool,
    databases: [Database; DATABASES],
    next_request: u64,
    requests: [Request; REQUESTS],
    mappings: [LiveMapping; MAPPINGS],
}

unsafe impl PGRXSharedMemory for State {}

impl Default for State {
    fn default() -> Self {
        Self {
            launcher_pid: 0,
            new_databases: false,
            databases: [Database::default(); DATABASES],
            next_request: 1,
            requests: [Request::default(); REQUESTS],
            mappings: [LiveMapping::default(); MAPPINGS],
        }
    }
}

// --------------------------------------------------------------------------------------------------------------- databases

/// A database and its worker.
#[derive(Clone, Copy, Default)]
struct Database {
    /// Zero where the slot is free.
    oid: u32,
    /// It may have the extension: a worker should look.
    wanted: bool,
    /// How often that was said of it.
    announced: u32,
    worker_pid: i32,
    /// The worker was woken and has not looked since.
    woken: bool,
    /// Held back by DROP DATABASE or CREATE DATABASE … TEMPLATE in this process.
    held_by: i32,
}

pub fn launcher_started() {
    STATE.exclusive().launcher_pid = process::my_pid();
}

/// There may be databases that nobody has announced: made as a copy of one with the extension, or
/// opened for connections.
pub fn look_for_databases() {
    let launcher = {
        let mut state = STATE.exclusive();
        state.new_databases = true;
        state.launcher_pid
    };
    process::wake(launcher);
}

pub fn take_new_databases() -> bool {
    std::mem::take(&mut STATE.exclusive().new_databases)
}

/// This database may have the extension now: start a worker for it, or let the one that runs look
/// again. False where as many others as there is room for are served, or are still to be looked
/// into.
pub fn announce(database: pg_sys::Oid) -> bool {
    let (launcher, worker) = {
        let mut state = STATE.exclusive();
        let launcher = state.launcher_pid;
        let oid = database.to_u32();
        let place = state
            .databases
            .iter()
            .position(|slot| slot.oid == oid)
            .or_else(|| state.databases.iter().position(|slot| slot.oid == 0))
            // A database that turned out to have no extension need not be remembered.
            .or_else(|| {
                let idle = |slot: &Database| !slot.wanted && !process::is_alive(slot.worker_pid);
                state.databases.iter().position(idle)
            });
        let Some(place) = place else { return false };
        let slot = &mut state.databases[place];
        if slot.oid != oid {
            *slot = Database::default();
        }
        slot.oid = oid;
        slot.wanted = true;
        slot.announced = slot.announced.wrapping_add(1);
        (launcher, slot.worker_pid)
    };
    process::wake(worker);
    process::wake(launcher);
    true
}

/// Databases that want a worker and have none, with how often each was announced.
pub fn unserved() -> Vec<(pg_sys::Oid, u32)> {
    let state = STATE.share();
    state
        .databases
        .iter()
        .filter(|slot| {
            slot.oid != 0
                && slot.wanted
                && !process::is_alive(slot.worker_pid)
                && !process::is_alive(slot.held_by)
        })
        .map(|slot| (pg_sys::Oid::from(slot.oid), slot.announced))
        .collect()
}

/// Forget databases that are gone. One that takes no connections any more may have a worker yet,
/// whose connection stays: without its place it would get another one beside it.
pub fn keep_only(databases: &[pg_sys::Oid]) {
    let mut state = STATE.exclusive();
    for slot in &mut state.databases {
        let is_there = databases.iter().any(|oid| oid.to_u32() == slot.oid);
        if slot.oid != 0 && !is_there && !process::is_alive(slot.worker_pid) {
            *slot = Database::default();
        }
    }
}

/// The worker of a database begins; false where there is one already, or the database is held back.
pub fn worker_started(database: pg_sys::Oid) -> bool {
    let mut state = STATE.exclusive();
    let Some(slot) = state
        .databases
        .iter_mut()
        .find(|slot| slot.oid == database.to_u32())
    else {
        return false;
    };
    let me = process::my_pid();
    if (slot.worker_pid != me && process::is_alive(slot.worker_pid))
        || process::is_alive(slot.held_by)
    {
        return false;
    }
    slot.worker_pid = me;
    // A process id that is used again must not be taken for a worker of ours.
    // SAFETY: the callback lives as long as the library.
    unsafe {
        pg_sys::before_shmem_exit(Some(worker_exits), pg_sys::Datum::from(database));
    }
    true
}

#[pg_guard]
unsafe extern "C-unwind" fn worker_exits(_code: i32, database: pg_sys::Datum) {
    let me = process::my_pid();
    let launcher = {
        let mut state = STATE.exclusive();
        for slot in &mut state.databases {
            if slot.oid == database.value() as u32 && slot.worker_pid == me {
                slot.worker_pid = 0;
            }
        }
        state.launcher_pid
    };
    // Postgres tells only the launcher that started this worker, and that one may have been
    // replaced.
    process::wake(launcher);
}

/// The worker of a database ends because there is nothing to do: no extension. Where the database
/// was announced once more since it looked, there may be one again: then another worker is wanted.
pub fn worker_not_wanted(database: pg_sys::Oid, announced: u32) {
    let mut state = STATE.exclusive();
    if let Some(slot) = state
        .databases
        .iter_mut()
        .find(|slot| slot.oid == database.to_u32())
    {
        slot.wanted = slot.announced != announced;
        slot.worker_pid = 0;
    }
}

/// Without the launcher no worker is started.
pub fn launcher_runs() -> bool {
    process::is_alive(STATE.share().launcher_pid)
}

/// The process id of a database's worker, if one runs.
pub fn worker_pid(database: pg_sys::Oid) -> Option<i32> {
    let state = STATE.share();
    state
        .databases
        .iter()
        .find(|slot| slot.oid == database.to_u32())
        .map(|slot| slot.worker_pid)
        .filter(|pid| process::is_alive(*pid))
}

/// A worker that was woken and has not looked yet need not be woken again: a thousand commits are
/// one signal.
pub fn wake_worker(database: pg_sys::Oid) {
    let pid = {
        let mut state = STATE.exclusive();
        let oid = database.to_u32();
        let Some(slot) = state.databases.iter_mut().find(|slot| slot.oid == oid) else {
            return;
        };
        if std::mem::replace(&mut slot.woken, true) {
            return;
        }
        slot.worker_pid
    };
    process::wake(pid);
}

/// What is committed from now on wakes the worker again. Answers how often the database has been
/// announced.
pub fn about_to_look(database: pg_sys::Oid) -> u32 {
    let mut state = STATE.exclusive();
    let oid = database.to_u32();
    let mut announced = 0;
    for slot in state.databases.iter_mut().filter(|slot| slot.oid == oid) {
        slot.woken = false;
        announced = slot.announced;
    }
    announced
}

/// Keep workers out of a database while this process drops or copies it; answers the id of the one
/// that runs.
pub fn hold(database: pg_sys::Oid) -> Option<i32> {
    let mut state = STATE.exclusive();
    let slot = state
        .databases
        .iter_mut()
        .find(|slot| slot.oid == database.to_u32())?;
    slot.held_by = process::my_pid();
    Some(slot.worker_pid).filter(|pid| process::is_alive(*pid))
}

/// The database is gone for good.
pub fn forget(database: pg_sys::Oid) {
    let mut state = STATE.exclusive();
    for slot in state
        .databases
        .iter_mut()
        .filter(|slot| slot.oid == database.to_u32())
    {
        *slot = Database::default();
    }
}

/// Let workers in again, unless another session holds the database by now.
pub fn release(database: pg_sys::Oid) {
    let launcher = {
        let mut state = STATE.exclusive();
        let launcher = state.launcher_pid;
        if let Some(slot) = state
            .databases
            .iter_mut()
            .find(|slot| slot.oid == database.to_u32() && slot.held_by == process::my_pid())
        {
            slot.held_by = 0;
        }
        launcher
    };
    process::wake(launcher);
}

// ---------------------------------------------------------------------------------------------------------------- requests

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Sync,
    Push,
    Pull,
    Preview,
    /// `doctor()`: about the whole database, so the mapping is 0.
    Examine,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows_pushed: i64,
    pub rows_pulled: i64,
    pub conflicts: i64,
    pub problems: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done(Counts),
    /// Why the cycle could not end well, and what to do.
    Failed {
        message: String,
        hint: String,
    },
}

const TEXT: usize = 480;

#[derive(Clone, Copy)]
struct Request {
    /// Zero where the slot is free.
    id: u64,
    database: u32,
    mapping: i32,
    kind: RequestKind,
    caller_pid: i32,
    caller_role: u32,
    taken: bool,
    done: bool,
    failed: bool,
    counts: Counts,
    message: [u8; TEXT],
    hint: [u8; TEXT],
}

impl Default for Request {
    fn default() -> Self {
        Self {
            id: 0,
            database: 0,
            mapping: 0,
            kind: RequestKind::Sync,
            caller_pid: 0,
            caller_role: 0,
            taken: false,
            done: false,
            failed: false,
            counts: Counts {
                rows_pushed: 0,
                rows_pulled: 0,
                conflicts: 0,
                problems: 0,
            },
            message: [0; TEXT],
            hint: [0; TEXT],
        }
    }
}

/// A request that this backend waits for; its slot is free again when this goes out of scope,
/// however that happens.
pub struct Ticket(u64);

impl Ticket {
    /// `None` while too many calls wait already, of anybody's or of this session's role.
    pub fn post(database: pg_sys::Oid, mapping: i32, kind: RequestKind) -> Option<Self> {
        let mut state = STATE.exclusive();
        let id = state.next_request;
        let role = process::session_role().to_u32();
        let is_taken = |slot: &Request| slot.id != 0 && process::is_alive(slot.caller_pid);
        let of_role = |slot: &&Request| slot.caller_role == role && is_taken(slot);
        if state.requests.iter().filter(of_role).count() >= REQUESTS_OF_ROLE {
            return None;
        }
        let slot = state.requests.iter_mut().find(|slot| !is_taken(slot))?;
        *slot = Request {
            id,
            database: database.to_u32(),
            mapping,
            kind,
            caller_pid: process::my_pid(),
            caller_role: role,
            ..Request::default()
        };
        state.next_request += 1;
        Some(Self(id))
    }

    pub fn id(&self) -> u64 {
        self.0
    }

    pub fn answer(&self) -> Option<Answer> {
        let state = STATE.share();
        let slot = state
            .requests
            .iter()
            .find(|slot| slot.id == self.0 && slot.done)?;
        Some(if slot.failed {
            Answer::Failed {
                message: unpack(&slot.message),
                hint: unpack(&slot.hint),
            }
        } else {
            Answer::Done(slot.counts)
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = STATE.exclusive();
        if let Some(slot) = state.requests.iter_mut().find(|slot| slot.id == self.0) {
            *slot = Request::default();
        }
    }
}

/// Whether the caller still waits for the answer.
pub fn is_awaited(id: u64) -> bool {
    let state = STATE.share();
    state.requests.iter().any(|slot| slot.id == id)
}

/// The id of the request that is posted next.
pub fn next_request() -> u64 {
    STATE.share().next_request
}

/// Requests for this database that no cycle has begun for, posted before the one with this id: id,
/// mapping, kind.
pub fn take_requests(database: pg_sys::Oid, before: u64) -> Vec<(u64, i32, RequestKind)> {
    let mut state = STATE.exclusive();
    state
        .requests
        .iter_mut()
        .filter(|slot| slot.id != 0 && slot.id < before)
        .filter(|slot| !slot.taken && slot.database == database.to_u32())
        .map(|slot| {
            slot.taken = true;
            (slot.id, slot.mapping, slot.kind)
        })
        .collect()
}

/// A new worker takes over what a dead one had taken.
pub fn untake_requests(database: pg_sys::Oid) {
    let mut state = STATE.exclusive();
    for slot in state
        .requests
        .iter_mut()
        .filter(|slot| slot.id != 0 && !slot.done && slot.database == database.to_u32())
    {
        slot.taken = false;
    }
}

pub fn answer_request(id: u64, answer: &Answer) {
    let caller = {
        let mut state = STATE.exclusive();
        let Some(slot) = state.requests.iter_mut().find(|slot| slot.id == id) else {
            return;
        };
        match answer {
            Answer::Done(counts) => slot.counts = *counts,
            Answer::Failed { message, hint } => {
                slot.failed = true;
                pack(&mut slot.message, message);
                pack(&mut slot.hint, hint);
            }
        }
        slot.done = true;
        slot.caller_pid
    };
    process::wake(caller);
}

/// Text in a fixed buffer; what does not fit is marked by an ellipsis (these are messages, never
/// data).
fn pack(buffer: &mut [u8; TEXT], text: &str) {
    let mut end = text.len().min(TEXT);
    if text.len() > TEXT {
        end = TEXT - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
    }
    let whole = if end < text.len() {
        format!("{}…", &text[..end])
    } else {
        text.to_owned()
    };
    buffer.fill(0);
    buffer[..whole.len()].copy_from_slice(whole.as_bytes());
}

fn unpack(buffer: &[u8; TEXT]) -> String {
    let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(TEXT);
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}

// ---------------------------------------------------------------------------------------------------------------- mappings

/// What only the running worker knows of a mapping, shown in the view `status`. Times in
/// microseconds since 1970, zero for never.
#[derive(Clone, Copy, Default)]
pub struct LiveMapping {
    pub database: u32,
    pub mapping: i32,
    pub last_cycle_at: i64,
    pub last_read_at: i64,
    pub interval_ms: i64,
    pub rate_limited_until: i64,
    /// When what does not go on is tried again.
    pub retry_at: i64,
    pub requests_this_minute: i64,
    pub phase: Phase,
    pub rows_done: i64,
    pub rows_total: i64,
    pub phase_started_at: i64,
    /// Since when a statement on its table has kept the worker.
    pub busy_since: i64,
}

/// What a mapping's worker is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Idle,
    Opening,
    Merging,
    Syncing,
}

pub fn show_live(live: LiveMapping) {
    let mut state = STATE.exclusive();
    let place = state
        .mappings
        .iter()
        .position(|slot| slot.database == live.database && slot.mapping == live.mapping)
        .or_else(|| state.mappings.iter().position(|slot| slot.database == 0));
    if let Some(place) = place {
        state.mappings[place] = live;
    }
}

pub fn forget_live(database: pg_sys::Oid, keep: &[i32]) {
    let mut state = STATE.exclusive();
    for slot in &mut state.mappings {
        if slot.database == database.to_u32() && !keep.contains(&slot.mapping) {
            *slot = LiveMapping::default();
        }
    }
}

pub fn live_mappings(database: pg_sys::Oid) -> Vec<LiveMapping> {
    STATE
        .share()
        .mappings
        .iter()
        .filter(|slot| slot.database == database.to_u32())
        .copied()
        .collect()
}
