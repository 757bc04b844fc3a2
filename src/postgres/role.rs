//! Acting as another role for a moment.

use pgrx::pg_sys;

/// Puts the role back when it goes out of scope; after an error the (sub)transaction's abort does the same.
struct Restore {
    user: pg_sys::Oid,
    context: i32,
}

impl Drop for Restore {
    fn drop(&mut self) {
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) }
    }
}

/// Run `body` with the privileges and row-level security of `role`. Code of that role that runs meanwhile (triggers, functions)
/// cannot change the role back.
pub fn acting_as<R>(role: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    let mut user = pg_sys::InvalidOid;
    let mut context = 0;
    // SAFETY: plain reads and writes of the backend's own state.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(role, context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32);
    }
    let _restore = Restore { user, context };
    body()
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
