//! A worker's connection would make DROP DATABASE and CREATE DATABASE … TEMPLATE fail, so these
//! take it away for their duration.

use pgrx::prelude::*;
use pgrx::{PgTryBuilder, PgXactCallbackEvent, pg_sys, register_xact_callback};
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

/// A statement that needs a database for itself.
struct Claim {
    database: pg_sys::Oid,
    drops: bool,
}

/// What a statement claims, where its caller is allowed to: a refused statement must not disturb
/// the worker.
///
/// # Safety
/// `statement` is a valid PlannedStmt of a utility statement.
unsafe fn claimed(statement: *mut pg_sys::PlannedStmt) -> Option<Claim> {
    // SAFETY: node tags say what the nodes are.
    unsafe {
        let utility = (*statement).utilityStmt;
        let tag = (*utility).type_;
        let name: *const c_char = match tag {
            pg_sys::NodeTag::T_DropdbStmt => (*utility.cast::<pg_sys::DropdbStmt>()).dbname,
            pg_sys::NodeTag::T_CreatedbStmt => template(utility.cast()),
            pg_sys::NodeTag::T_RenameStmt => {
                let rename = utility.cast::<pg_sys::RenameStmt>();
                if (*rename).renameType != pg_sys::ObjectType::OBJECT_DATABASE {
                    return None;
                }
                (*rename).subname
            }
            pg_sys::NodeTag::T_AlterDatabaseStmt => {
                let alter = utility.cast::<pg_sys::AlterDatabaseStmt>();
                option((*alter).options, c"tablespace")?;
                (*alter).dbname
            }
            _ => return None,
        };
        let database = pg_sys::get_database_oid(name, true);
        // Postgres lets nobody else do it, and would say so only once the worker is gone.
        let allowed = match tag {
            pg_sys::NodeTag::T_CreatedbStmt => {
                pg_sys::have_createdb_privilege() && (is_template(database) || owns(database))
            }
            _ => owns(database),
        };
        (database != pg_sys::InvalidOid && allowed).then_some(Claim {
            database,
            drops: tag == pg_sys::NodeTag::T_DropdbStmt,
        })
    }
}

unsafe fn owns(database: pg_sys::Oid) -> bool {
    if database == pg_sys::InvalidOid {
        return false;
    }
    // SAFETY: catalog look-ups in the current transaction.
    unsafe {
        #[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15"))]
        return pg_sys::pg_database_ownercheck(database, pg_sys::GetUserId());
        #[cfg(not(any(feature = "pg13", feature = "pg14", feature = "pg15")))]
        return pg_sys::object_ownercheck(
            pg_sys::DatabaseRelationId,
            database,
            pg_sys::GetUserId(),
        );
    }
}

/// Whether everybody who may create databases may copy it.
unsafe fn is_template(database: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the catalog's cache; the tuple is given back before anything else.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::DATABASEOID as i32,
            pg_sys::Datum::from(database),
        );
        if tuple.is_null() {
            return false;
        }
        let form: *const pg_sys::FormData_pg_database = pg_sys::GETSTRUCT(tuple).cast();
        let is_template = (*form).datistemplate;
        pg_sys::ReleaseSysCache(tuple);
        is_template
    }
}

/// # Safety
/// `options` is null or a list of DefElems.
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*mut pg_sys::DefElem> {
    // SAFETY: by contract.
    unsafe {
        if options.is_null() {
            return None;
        }
        (0..(*options).length).find_map(|place| {
            let option = (*(*options).elements.add(place as usize))
                .ptr_value
                .cast::<pg_sys::DefElem>();
            (CStr::from_ptr((*option).defname) == name && !(*option).arg.is_null())
                .then_some(option)
        })
    }
}

unsafe fn template(statement: *mut pg_sys::CreatedbStmt) -> *const c_char {
    // SAFETY: a template's argument is a string.
    unsafe {
        match option((*statement).options, c"template") {
            Some(option) => pg_sys::defGetString(option).cast_const(),
            // As Postgres has it.
            None => c"template1".as_ptr(),
        }
    }
}

/// Whether after this statement there may be a database to look into that nobody announces.
///
/// # Safety
/// `statement` is a valid PlannedStmt of a utility statement.
unsafe fn opens_database(statement: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: by contract.
    let tag = unsafe { (*(*statement).utilityStmt).type_ };
    matches!(
        tag,
        pg_sys::NodeTag::T_CreatedbStmt | pg_sys::NodeTag::T_AlterDatabaseStmt
    )
}

/// # Safety
/// `statement` is a valid PlannedStmt of a utility statement.
unsafe fn commits_prepared(statement: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: by contract; the tag says what the node is.
    unsafe {
        let utility = (*statement).utilityStmt;
        (*utility).type_ == pg_sys::NodeTag::T_TransactionStmt
            && (*utility.cast::<pg_sys::TransactionStmt>()).kind
                == pg_sys::TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED
    }
}

/// What a transaction made or changed that was prepared elsewhere: its own commit told nobody.
fn announce_where_installed() {
    // SAFETY: a look-up in the catalog, in the transaction of a statement.
    let extension = unsafe { pg_sys::get_extension_oid(c"sheet_sync".as_ptr(), true) };
    if extension != pg_sys::InvalidOid {
        crate::api::announce_at_commit();
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
    if unsafe { opens_database(statement) } {
        register_xact_callback(PgXactCallbackEvent::Commit, shared::look_for_databases);
    }
    // The statement may be gone when it has run.
    // SAFETY: as above.
    let (claim, commits_prepared) = unsafe { (claimed(statement), commits_prepared(statement)) };
    match claim {
        None => {
            run();
            if commits_prepared {
                announce_where_installed();
            }
        }
        Some(claim) => {
            PgTryBuilder::new(AssertUnwindSafe(|| {
                take_away_worker(claim.database);
                run();
                if claim.drops {
                    shared::forget(claim.database);
                }
            }))
            .finally(|| shared::release(claim.database))
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
        process::wait_in_session(Duration::from_millis(20));
    }
}
