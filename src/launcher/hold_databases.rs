//! A worker's connection would make DROP DATABASE and CREATE DATABASE … TEMPLATE fail, so these take it away for their duration.

use pgrx::prelude::*;
use pgrx::{PgTryBuilder, pg_sys};
use std::ffi::{CStr, c_char};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use crate::postgres::process;
use crate::shared;

static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

pub fn install() {
    // SAFETY: while the server starts, single-threaded.
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// The database that a statement needs to have for itself.
///
/// # Safety
/// `statement` is a valid PlannedStmt of a utility statement.
unsafe fn claimed(statement: *mut pg_sys::PlannedStmt) -> Option<pg_sys::Oid> {
    // SAFETY: node tags say what the nodes are.
    unsafe {
        let utility = (*statement).utilityStmt;
        let name: *const c_char = match (*utility).type_ {
            pg_sys::NodeTag::T_DropdbStmt => (*utility.cast::<pg_sys::DropdbStmt>()).dbname,
            pg_sys::NodeTag::T_CreatedbStmt => template(utility.cast())?,
            _ => return None,
        };
        let oid = pg_sys::get_database_oid(name, true);
        (oid != pg_sys::InvalidOid).then_some(oid)
    }
}

unsafe fn template(statement: *mut pg_sys::CreatedbStmt) -> Option<*const c_char> {
    // SAFETY: options of CREATE DATABASE are DefElems; a template's argument is a string.
    unsafe {
        let options = (*statement).options;
        if options.is_null() {
            return None;
        }
        (0..(*options).length).find_map(|place| {
            let option = (*(*options).elements.add(place as usize))
                .ptr_value
                .cast::<pg_sys::DefElem>();
            let is_template =
                CStr::from_ptr((*option).defname) == c"template" && !(*option).arg.is_null();
            is_template.then(|| pg_sys::defGetString(option).cast_const())
        })
    }
}

/// The hook's signature is Postgres's.
#[allow(clippy::too_many_arguments)]
#[pg_guard]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    #[cfg(not(feature = "pg13"))] read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    let run = || {
        // SAFETY: passes on what Postgres handed over.
        unsafe {
            match PREVIOUS {
                Some(next) => pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    next(
                        statement,
                        query,
                        #[cfg(not(feature = "pg13"))]
                        read_only_tree,
                        context,
                        parameters,
                        environment,
                        destination,
                        completion,
                    )
                }),
                None => pg_sys::standard_ProcessUtility(
                    statement,
                    query,
                    #[cfg(not(feature = "pg13"))]
                    read_only_tree,
                    context,
                    parameters,
                    environment,
                    destination,
                    completion,
                ),
            }
        }
    };
    // SAFETY: Postgres calls this hook with a valid statement.
    match unsafe { claimed(statement) } {
        None => run(),
        Some(database) => {
            take_away_worker(database);
            PgTryBuilder::new(AssertUnwindSafe(run))
                .finally(|| shared::release(database))
                .execute();
        }
    }
}

fn take_away_worker(database: pg_sys::Oid) {
    let Some(pid) = shared::hold(database) else {
        return;
    };
    // SAFETY: a worker of ours, found alive under the lock.
    unsafe {
        libc::kill(pid, libc::SIGTERM);
    }
    // It answers SIGTERM at once; Postgres itself then waits up to 5 s for stragglers.
    for _ in 0..100 {
        if !process::is_alive(pid) {
            return;
        }
        process::sleep(Duration::from_millis(20));
    }
}
