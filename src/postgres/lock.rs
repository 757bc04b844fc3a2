//! Locks on tables that are known by their oids.

use pgrx::pg_sys;

/// Nobody alters, renames or drops the table before this transaction ends; reading and writing go
/// on.
pub fn keep_table(table: u32) {
    // SAFETY: inside a transaction, which releases the lock. Of a table that is gone only the
    // number is locked.
    unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(table), pg_sys::AccessShareLock as i32) }
}
