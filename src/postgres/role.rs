//! Acting as another role for a moment, and coming back with nothing of it left behind.

use once_cell::sync::OnceCell;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// Nothing unqualified in our own statements may find anything of a user's.
pub const OWN_SEARCH_PATH: &CStr = c"pg_catalog, pg_temp";

/// What users' expressions, triggers and defaults see in a worker: the database's own default.
static USERS_SEARCH_PATH: OnceCell<CString> = OnceCell::new();

/// Called once by a worker, before it changes its own.
pub fn set_users_search_path(path: &str) {
    if let Ok(path) = CString::new(path) {
        let _ = USERS_SEARCH_PATH.set(path);
    }
}

/// Puts the role back when it goes out of scope; after an error the (sub)transaction's abort does
/// the same.
struct Restore {
    user: pg_sys::Oid,
    context: i32,
}

impl Drop for Restore {
    fn drop(&mut self) {
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) }
    }
}

/// Only the role changes. Code that runs meanwhile cannot change it back.
pub fn with_role<R>(role: pg_sys::Oid, restrictions: u32, body: impl FnOnce() -> R) -> R {
    let mut user = pg_sys::InvalidOid;
    let mut context = 0;
    // SAFETY: plain reads and writes of the backend's own state.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(role, context | restrictions as i32);
    }
    let _restore = Restore { user, context };
    body()
}

/// Whatever `body` sets (SET, set_config) is undone afterwards; after an error the
/// (sub)transaction's abort undoes it.
fn with_search_path<R>(path: &CStr, body: impl FnOnce() -> R) -> R {
    // SAFETY: a setting nest of its own, closed below.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            c"search_path".as_ptr(),
            path.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        let result = body();
        pg_sys::AtEOXact_GUC(false, level);
        result
    }
}

/// Act on the catalog as the extension's owner, on behalf of whoever called.
pub fn as_owner<R>(owner: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    with_role(owner, pg_sys::SECURITY_LOCAL_USERID_CHANGE, || {
        with_search_path(OWN_SEARCH_PATH, body)
    })
}

/// Change a user's table with the privileges and row-level security of `role`.
pub fn as_writer<R>(role: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    let path = USERS_SEARCH_PATH
        .get()
        .map_or(OWN_SEARCH_PATH, CString::as_c_str);
    with_role(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE, || {
        with_search_path(path, body)
    })
}

/// Read a user's table, or evaluate an expression of a user's: what would run later, at commit, is
/// forbidden.
pub fn as_reader<R>(role: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    let path = USERS_SEARCH_PATH
        .get()
        .map_or(OWN_SEARCH_PATH, CString::as_c_str);
    read_as(role, || with_search_path(path, body))
}

/// The same under the search path of whoever called.
pub fn read_as<R>(role: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    let restrictions = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    with_role(role, restrictions, body)
}

/// Makes `role` the session's user until it goes out of scope: what users' code knows as
/// `session_user` is no superuser. The current user stays the worker's own.
pub struct SessionUser {
    before: pg_sys::Oid,
}

impl SessionUser {
    pub fn set(role: pg_sys::Oid) -> Self {
        let mut user = pg_sys::InvalidOid;
        let mut context = 0;
        // SAFETY: within a transaction and outside any security context; only the backend's own
        // state changes.
        unsafe {
            let before = pg_sys::GetSessionUserId();
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetSessionAuthorization(role, pg_sys::superuser_arg(role));
            pg_sys::SetUserIdAndSecContext(user, context);
            Self { before }
        }
    }
}

impl Drop for SessionUser {
    fn drop(&mut self) {
        // SAFETY: as above, after the transaction has ended. The session began as the worker's
        // superuser.
        unsafe { pg_sys::SetSessionAuthorization(self.before, true) }
    }
}

/// The role in whose name the current statement runs.
pub fn current() -> pg_sys::Oid {
    unsafe { pg_sys::GetUserId() }
}

/// The role that owns the extension; `None` where this database does not have it.
pub fn extension_owner() -> Option<pg_sys::Oid> {
    // SAFETY: a catalog scan in the current transaction.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"sheet_sync".as_ptr(), true);
        if extension == pg_sys::InvalidOid {
            return None;
        }
        let schema = pg_sys::get_namespace_oid(c"sheet_sync".as_ptr(), true);
        if schema == pg_sys::InvalidOid {
            return None;
        }
        owner_of_schema(schema)
    }
}

unsafe fn owner_of_schema(schema: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: the tuple is released after the one field is copied out of it.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            pg_sys::Datum::from(schema),
        );
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_namespace>(tuple);
        let owner = (*form).nspowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}
