//! Google's quota, kept in shared memory: all workers of the cluster spend one account's requests
//! together.

use engine::effect::Failure;
use google::Identity;
use google::governor::{Caller, Decision, Governor, Kind, Limits, Need, Priority, exhausted, name};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::settings;

#[derive(Clone, Copy, Default)]
struct Shared(Governor);

// SAFETY: plain numbers of fixed size.
unsafe impl PGRXSharedMemory for Shared {}

static GOVERNOR: PgLwLock<Shared> = unsafe { PgLwLock::new(c"sheet_sync_quota") };

/// Ask for the memory; called while the server starts.
pub fn request() {
    pg_shmem_init!(GOVERNOR);
}

/// On whose account a mapping's requests go.
pub fn caller(identity: &Identity, database: pg_sys::Oid, mapping: i32) -> Caller {
    Caller {
        account: name(identity.account()),
        project: name(identity.project().unwrap_or_default()),
        mapping: (u64::from(database.to_u32()) << 32) | u64::from(mapping as u32),
    }
}

/// Take what these requests need from the quota, or learn how long to wait.
pub fn ask(caller: Caller, need: Need, interactive: bool) -> Result<(), Duration> {
    let priority = if interactive {
        Priority::Interactive
    } else {
        Priority::Background
    };
    let now = now();
    match GOVERNOR
        .exclusive()
        .0
        .ask(now, caller, need, priority, &limits())
    {
        Decision::Granted => Ok(()),
        Decision::WaitUntil(at) => Err(Duration::from_millis((at - now).max(1) as u64)),
    }
}

/// Count requests that went out beyond what was granted.
pub fn count(caller: Caller, surplus: Need) {
    if surplus != Need::default() {
        GOVERNOR.exclusive().0.count(now(), caller, surplus);
    }
}

/// Reads and writes that the account was granted in the last minute.
pub fn used(caller: Caller) -> Need {
    let mut governor = GOVERNOR.exclusive();
    let mut of = |kind| governor.0.used(now(), caller.account, kind);
    Need {
        reads: of(Kind::Read),
        writes: of(Kind::Write),
    }
}

/// Google said 429: its quota and ours differ (another user of the account), so nothing goes out
/// for as long as it asked.
pub fn refused(caller: Caller, failure: &Failure) {
    if let Some((kind, exhausted)) = exhausted(failure) {
        let until = now() + failure.retry_after_ms.unwrap_or(60_000) as i64;
        GOVERNOR
            .exclusive()
            .0
            .close(now(), caller, kind, exhausted, until);
    }
}

fn limits() -> Limits {
    let [account_reads, account_writes, project_reads, project_writes] = settings::quota();
    Limits {
        account_reads,
        account_writes,
        project_reads,
        project_writes,
    }
}

/// Milliseconds since 1970: a clock that all processes share.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as i64
}
