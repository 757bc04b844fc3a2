//! This process among the others of the cluster: signals, latches, interrupts.

use pgrx::pg_sys;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// Answer signals as a well-behaved worker does: SIGTERM interrupts a statement too and ends the
/// process with exit code 1, which is what gets it restarted; SIGHUP reloads the settings; SIGUSR1
/// (Postgres's own handler) sets the latch.
pub fn attach_signals() {
    // SAFETY: installs Postgres's own handlers, then lets signals through.
    unsafe {
        set_handler(pg_sys::SIGTERM as i32, die);
        set_handler(pg_sys::SIGHUP as i32, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

unsafe extern "C-unwind" {
    /// Postgres's own handlers, by their addresses: the bindings wrap them in Rust functions.
    fn die(signal: std::ffi::c_int);
    fn SignalHandlerForConfigReload(signal: std::ffi::c_int);
}

type Handler = unsafe extern "C-unwind" fn(std::ffi::c_int);

unsafe fn set_handler(signal: i32, handler: Handler) {
    // SAFETY: by the caller.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

/// Of a session: wait until the latch is set or `timeout` has passed. The statement can be
/// cancelled meanwhile, and ends with its session.
pub fn wait_in_session(timeout: Duration) {
    wait_for_latch(timeout);
    pgrx::check_for_interrupts!();
}

/// Of a worker between two turns: sleep until the latch is set or `timeout` has passed; ends the
/// process when the postmaster is gone or SIGTERM came.
pub fn sleep(timeout: Duration) {
    wait_for_latch(timeout);
    end_if_asked();
}

/// Of a worker between two statements: ends the process when SIGTERM came.
pub fn end_if_asked() {
    // Somebody wanted to end a statement, and none runs: that is no reason to end the process.
    // SAFETY: a flag of this process.
    unsafe { pg_sys::QueryCancelPending = 0 }
    pgrx::check_for_interrupts!();
}

fn wait_for_latch(timeout: Duration) {
    // SAFETY: MyLatch belongs to this process.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            (pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH) as i32,
            timeout.as_millis().min(60_000) as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}

/// Reload the settings where SIGHUP asked for it; Postgres does not do that by itself in a worker.
pub fn reload_settings_if_asked() -> bool {
    // SAFETY: the flag is set by the signal handler only.
    unsafe {
        if pg_sys::ConfigReloadPending == 0 {
            return false;
        }
        pg_sys::ConfigReloadPending = 0;
        pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        true
    }
}

/// Set the latch of another process of this cluster, if it is still one.
pub fn wake(pid: i32) {
    // SAFETY: SIGUSR1 without a reason does nothing in a Postgres process but set its latch; the
    // check keeps it from strangers.
    unsafe {
        if pid != 0 && !pg_sys::BackendPidGetProc(pid).is_null() {
            libc::kill(pid, libc::SIGUSR1);
        }
    }
}

/// True where a process of this cluster with a database connection has this id.
pub fn is_alive(pid: i32) -> bool {
    unsafe { pid != 0 && !pg_sys::BackendPidGetProc(pid).is_null() }
}

pub fn my_pid() -> i32 {
    unsafe { pg_sys::MyProcPid }
}

/// Who logged in, whatever roles have been set since.
pub fn session_role() -> pg_sys::Oid {
    unsafe { pg_sys::GetSessionUserId() }
}

pub fn my_database() -> pg_sys::Oid {
    unsafe { pg_sys::MyDatabaseId }
}

pub fn data_directory() -> PathBuf {
    // SAFETY: set once, when the server starts.
    let path = unsafe { CStr::from_ptr(pg_sys::DataDir) };
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}

/// Show others what the worker is at (`pg_stat_activity.query`).
pub fn report_activity(what: Option<&str>) {
    let text = what.and_then(|what| std::ffi::CString::new(what).ok());
    // SAFETY: the text is copied by Postgres.
    unsafe {
        match &text {
            Some(text) => {
                pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr())
            }
            None => {
                pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null())
            }
        }
    }
}

/// Give memory that is free again back to the operating system. The C library keeps it otherwise,
/// and a worker that once took in a large sheet would stay as large for ever.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc's own locks protect it; the helper threads' arenas are trimmed too.
    unsafe {
        libc::malloc_trim(0);
    }
}
