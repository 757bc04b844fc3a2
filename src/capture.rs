//! Capture: triggers put the keys of changed rows into a set in this backend's memory; before the
//! transaction commits or is prepared, the set is written to `_dirty_key` in one statement; once it
//! has committed, the worker is woken.
//!
//! Keys and not rows, because the worker reads the row when it looks: a thousand updates of one row
//! are one write to the sheet, and a key that is dirty without need (a savepoint rolled back, the
//! echo of our own apply) costs a comparison and no more.

use pgrx::prelude::*;
use pgrx::{Spi, pg_sys};
use std::cell::RefCell;
use std::collections::HashMap;

use crate::postgres::role;
use crate::postgres::statement::Session;
use crate::postgres::time_limit;
use crate::{settings, shared};

mod key;
pub use key::CANONICAL_SETTINGS;
mod trigger;

/// What one transaction changed in the table of one mapping.
enum Changed {
    /// By key, as array literal.
    Keys(HashMap<String, Change>),
    /// More than a set should hold, or keys that cannot be told: compare the whole table.
    Everything { at: i64 },
    /// TRUNCATE, which tells no keys at all.
    Truncated { at: i64 },
}

struct Change {
    /// New rows stand in the sheet in the order in which they were made.
    order: usize,
    /// The last change, in microseconds since 1970.
    at: i64,
    /// The key under which the row stood before.
    renamed_from: Option<String>,
}

#[derive(Default)]
struct Transaction {
    changed: HashMap<i32, Changed>,
    /// How many keys were added so far.
    added: usize,
    /// Something was written to `_dirty_key`: wake the worker when it is visible.
    flushed: bool,
}

thread_local! {
    static TRANSACTION: RefCell<Transaction> = RefCell::default();
}

/// Follow the ends of all transactions of this backend.
pub fn register_callbacks() {
    // SAFETY: both callbacks live as long as the library.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction_event), std::ptr::null_mut());
        pg_sys::CacheRegisterRelcacheCallback(
            Some(key::relation_changed),
            pg_sys::Datum::from(0usize),
        );
    }
}

fn add_key(mapping: i32, key: String, at: i64) {
    add(mapping, key, |keys, key, order| {
        let change = Change {
            order,
            at,
            renamed_from: None,
        };
        keys.entry(key).or_insert(change).at = at;
    });
}

/// A row's key was changed. These are told in the order in which they happened: a key may pass from
/// row to row.
fn add_renamed(mapping: i32, from: String, to: String, at: i64) {
    add_key(mapping, from.clone(), at);
    add(mapping, to, |keys, key, order| {
        let change = Change {
            order,
            at,
            renamed_from: Some(from),
        };
        keys.insert(key, change);
    });
}

fn add(mapping: i32, key: String, put: impl FnOnce(&mut HashMap<String, Change>, String, usize)) {
    TRANSACTION.with_borrow_mut(|transaction| {
        transaction.added += 1;
        let changed = transaction
            .changed
            .entry(mapping)
            .or_insert_with(|| Changed::Keys(HashMap::new()));
        if let Changed::Keys(keys) = changed {
            put(keys, key, transaction.added);
            if keys.len() > settings::max_dirty_keys() {
                // Of the last change, since it is the whole table's.
                let at = keys.values().map(|change| change.at).max();
                *changed = Changed::Everything {
                    at: at.unwrap_or_default(),
                };
            }
        }
    });
}

fn add_everything(mapping: i32, at: i64) {
    TRANSACTION.with_borrow_mut(|transaction| {
        let changed = transaction
            .changed
            .entry(mapping)
            .or_insert(Changed::Everything { at });
        if let Changed::Keys(_) = changed {
            *changed = Changed::Everything { at };
        }
    });
}

fn add_truncated(mapping: i32, at: i64) {
    TRANSACTION.with_borrow_mut(|transaction| {
        transaction
            .changed
            .insert(mapping, Changed::Truncated { at })
    });
}

/// True where the set has given way already: then the key need not even be computed.
fn takes_keys(mapping: i32) -> bool {
    TRANSACTION.with_borrow(|transaction| {
        matches!(
            transaction.changed.get(&mapping),
            None | Some(Changed::Keys(_))
        )
    })
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_event(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => {
            // Deferred triggers have run. That the commit itself is waited for (a synchronous
            // standby) must not be ended by a timer.
            time_limit::stop();
            flush();
        }
        XACT_EVENT_COMMIT => committed(),
        // A prepared transaction becomes visible in another session's COMMIT PREPARED; the worker
        // finds its keys when it next looks.
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => drop(TRANSACTION.take()),
        _ => {}
    }
}

fn committed() {
    if TRANSACTION.take().flushed && shared::is_available() {
        shared::wake_worker(crate::postgres::process::my_database());
    }
}

/// Write the set to `_dirty_key`.
pub fn flush() {
    let changed =
        TRANSACTION.with_borrow_mut(|transaction| std::mem::take(&mut transaction.changed));
    if changed.is_empty() {
        return;
    }
    // The extension may have been dropped in this very transaction.
    let Some(owner) = role::extension_owner() else {
        return;
    };
    let mut mappings: Vec<i32> = Vec::new();
    let mut keys: Vec<Option<String>> = Vec::new();
    let mut times: Vec<i64> = Vec::new();
    let mut before: Vec<Option<String>> = Vec::new();
    let mut add = |mapping, key, at, renamed_from| {
        mappings.push(mapping);
        keys.push(key);
        times.push(at);
        before.push(renamed_from);
    };
    for (mapping, changed) in changed {
        match changed {
            Changed::Keys(set) => {
                let mut set: Vec<(String, Change)> = set.into_iter().collect();
                set.sort_by_key(|(_, change)| change.order);
                for (key, change) in set {
                    add(mapping, Some(key), change.at, change.renamed_from);
                }
            }
            Changed::Everything { at } => add(mapping, None, at, None),
            Changed::Truncated { at } => add(mapping, Some("{}".to_owned()), at, None),
        }
    }
    // SET TRANSACTION READ ONLY after the changes does not make them unchanged.
    // SAFETY: put back below; an error ends the transaction, and the flag with it.
    let read_only = unsafe {
        let read_only = pg_sys::XactReadOnly;
        pg_sys::XactReadOnly = false;
        read_only
    };
    // Whoever changed the row needs no rights in our schema, and gains none: every name and
    // operator in the statement is qualified and fits its arguments exactly.
    role::with_role(owner, pg_sys::SECURITY_LOCAL_USERID_CHANGE, || {
        // SAFETY: before a commit there is a transaction but no active snapshot.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
        Spi::connect_mut(|client| {
            Session::new(client).execute(
                "INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at, renamed_from) \
                 SELECT m, k::pg_catalog.text[], pg_catalog.to_timestamp(t::pg_catalog.float8 OPERATOR(pg_catalog./) 1000000::pg_catalog.float8), \
                 b::pg_catalog.text[] \
                 FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4)) u(m, k, t, b)",
                &[mappings.into(), keys.into(), times.into(), before.into()],
            );
        });
        unsafe { pg_sys::PopActiveSnapshot() };
    });
    // SAFETY: as above.
    unsafe { pg_sys::XactReadOnly = read_only };
    TRANSACTION.with_borrow_mut(|transaction| transaction.flushed = true);
}

/// Microseconds since 1970.
fn now() -> i64 {
    const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
    unsafe { pg_sys::GetCurrentTimestamp() + POSTGRES_EPOCH }
}
