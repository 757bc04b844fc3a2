//! The trigger functions, in C's calling convention: they run for every changed row.

use crate::postgres::errors::refuse;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;

use super::{add_everything, add_key, add_renamed, add_truncated, key, now, takes_keys};

static VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_sheet_sync_capture_row() -> &'static pg_sys::Pg_finfo_record {
    &VERSION_1
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_sheet_sync_capture_truncate() -> &'static pg_sys::Pg_finfo_record
{
    &VERSION_1
}

/// AFTER INSERT, UPDATE or DELETE, FOR EACH ROW. Arguments: the mapping's id, the number of key
/// columns, their names, and, where not all columns are mapped, the names of those that are.
///
/// # Safety
/// Called by Postgres.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sheet_sync_capture_row(
    call: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: Postgres hands over a call; `trigger_data` checks that a trigger makes it.
    unsafe {
        let trigger = trigger_data(call);
        let plan = key::plan(trigger);
        if plan.mapping != key::NOBODY && takes_keys(plan.mapping) {
            let description = (*(*trigger).tg_relation).rd_att;
            if plan.is_unchanged((*trigger).tg_trigtuple, (*trigger).tg_newtuple, description) {
                return pg_sys::Datum::from(0usize);
            }
            let at = now();
            // An UPDATE has the old row in tg_trigtuple and the new one in tg_newtuple.
            let tuples = [(*trigger).tg_trigtuple, (*trigger).tg_newtuple];
            let tuples = tuples.into_iter().filter(|tuple| !tuple.is_null());
            let keys: Option<Vec<String>> = tuples
                .map(|tuple| plan.key_of(tuple, description))
                .collect();
            match keys.as_deref() {
                Some([old, new]) if old != new => {
                    add_renamed(plan.mapping, old.clone(), new.clone(), at)
                }
                Some([key, ..]) => add_key(plan.mapping, key.clone(), at),
                Some([]) => {}
                // The key column was renamed a moment ago and the worker has not seen it yet.
                None => add_everything(plan.mapping, at),
            }
        }
    }
    pg_sys::Datum::from(0usize)
}

/// AFTER TRUNCATE, FOR EACH STATEMENT. Argument: the mapping's id.
///
/// # Safety
/// Called by Postgres.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sheet_sync_capture_truncate(
    call: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: as above.
    unsafe {
        let data = trigger_data(call);
        let mapping = mapping_id((*data).tg_trigger);
        if key::belongs(mapping, (*(*data).tg_relation).rd_id) {
            add_truncated(mapping, now());
        }
    }
    pg_sys::Datum::from(0usize)
}

unsafe fn trigger_data(call: pg_sys::FunctionCallInfo) -> *mut pg_sys::TriggerData {
    // SAFETY: a node's tag says what it is.
    unsafe {
        let context = (*call).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            refuse(
                PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "this function is a trigger of sheet_sync",
                "sheet_sync.register_table() attaches it where it belongs.",
            );
        }
        context.cast()
    }
}

/// The first trigger argument.
///
/// # Safety
/// `trigger` is valid.
pub(super) unsafe fn mapping_id(trigger: *const pg_sys::Trigger) -> i32 {
    // SAFETY: tgnargs counts tgargs.
    let id = unsafe { arguments(trigger) }
        .into_iter()
        .next()
        .and_then(|text| text.parse().ok());
    let Some(id) = id else {
        refuse(
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            "a trigger of sheet_sync has lost its arguments",
            "Call sheet_sync.unregister_table() and register the table again.",
        );
    };
    id
}

/// # Safety
/// `trigger` is valid.
pub(super) unsafe fn arguments(trigger: *const pg_sys::Trigger) -> Vec<String> {
    // SAFETY: tgnargs NUL-terminated strings.
    unsafe {
        (0..(*trigger).tgnargs as usize)
            .map(|place| {
                CStr::from_ptr(*(*trigger).tgargs.add(place))
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }
}
