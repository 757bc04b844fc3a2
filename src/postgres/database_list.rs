//! The databases of the cluster, for a worker that is connected to none.

use pgrx::pg_sys;

use super::transaction::bare_transaction;

/// Oids of all databases that allow connections. Reads pg_database directly, as the autovacuum
/// launcher does: without a database there is no SQL.
pub fn connectable_databases() -> Vec<pg_sys::Oid> {
    bare_transaction(|| {
        let mut databases = Vec::new();
        // SAFETY: a heap scan of a shared catalog inside a transaction; everything opened is
        // closed.
        unsafe {
            let relation =
                pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
            let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
            loop {
                let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
                if tuple.is_null() {
                    break;
                }
                let form = pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_database>(tuple);
                if (*form).datallowconn {
                    databases.push((*form).oid);
                }
            }
            pg_sys::table_endscan(scan);
            pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        }
        databases
    })
}
