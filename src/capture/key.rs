//! The canonical text of a row's key, taken from a tuple.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use super::trigger::{arguments, mapping_id};
use crate::postgres::statement::array_literal;

/// How to read the key from tuples of one relation, for one trigger.
pub struct Plan {
    pub mapping: i32,
    /// `None` where a key column does not exist under its name.
    columns: Option<Vec<Column>>,
}

struct Column {
    number: i32,
    output: Box<pg_sys::FmgrInfo>,
    /// The text depends on settings of the session (DateStyle and such).
    depends_on_settings: bool,
}

thread_local! {
    /// By the trigger's oid: a partition's clone has one of its own.
    static PLANS: RefCell<HashMap<u32, Rc<Plan>>> = RefCell::default();
}

/// A relation's definition changed somewhere: read the plans anew.
///
/// # Safety
/// Called by Postgres.
#[pg_guard]
pub unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    PLANS.take();
}

/// # Safety
/// `trigger` is the data of the trigger that fires now.
pub unsafe fn plan(trigger: *mut pg_sys::TriggerData) -> Rc<Plan> {
    // SAFETY: by contract.
    unsafe {
        let oid = (*(*trigger).tg_trigger).tgoid.to_u32();
        if let Some(plan) = PLANS.with_borrow(|plans| plans.get(&oid).cloned()) {
            return plan;
        }
        let plan = Rc::new(make(trigger));
        PLANS.with_borrow_mut(|plans| plans.insert(oid, plan.clone()));
        plan
    }
}

unsafe fn make(trigger: *mut pg_sys::TriggerData) -> Plan {
    // SAFETY: by contract of `plan`.
    unsafe {
        let description = (*(*trigger).tg_relation).rd_att;
        let names = arguments((*trigger).tg_trigger);
        let columns = names.iter().skip(1).map(|name| {
            let name = CString::new(name.as_str()).ok()?;
            let number = pg_sys::SPI_fnumber(description, name.as_ptr());
            if number <= 0 {
                return None;
            }
            let type_oid = pg_sys::SPI_gettypeid(description, number);
            let mut function = pg_sys::InvalidOid;
            let mut varlena = false;
            pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut varlena);
            let mut output = Box::new(pg_sys::FmgrInfo::default());
            pg_sys::fmgr_info_cxt(function, &mut *output, pg_sys::TopMemoryContext);
            Some(Column {
                number,
                output,
                depends_on_settings: depends_on_settings(type_oid),
            })
        });
        Plan {
            mapping: mapping_id((*trigger).tg_trigger),
            columns: columns.collect(),
        }
    }
}

/// False for the types whose text form is the same in every session.
fn depends_on_settings(type_oid: pg_sys::Oid) -> bool {
    let fixed = [
        pg_sys::INT2OID,
        pg_sys::INT4OID,
        pg_sys::INT8OID,
        pg_sys::NUMERICOID,
        pg_sys::TEXTOID,
        pg_sys::VARCHAROID,
        pg_sys::BPCHAROID,
        pg_sys::UUIDOID,
        pg_sys::BOOLOID,
        pg_sys::OIDOID,
        pg_sys::NAMEOID,
    ];
    !fixed.contains(&type_oid) && !unsafe { pg_sys::type_is_enum(type_oid) }
}

impl Plan {
    /// The key as array literal; `None` where it cannot be told.
    ///
    /// # Safety
    /// `tuple` is a row of the relation that `description` describes.
    pub unsafe fn key_of(
        &self,
        tuple: pg_sys::HeapTuple,
        description: pg_sys::TupleDesc,
    ) -> Option<String> {
        let columns = self.columns.as_ref()?;
        let read = || -> Option<Vec<String>> {
            // SAFETY: by contract.
            columns
                .iter()
                .map(|column| unsafe { column.text(tuple, description) })
                .collect()
        };
        let texts = if columns.iter().any(|column| column.depends_on_settings) {
            with_canonical_settings(read)
        } else {
            read()
        }?;
        Some(array_literal(texts.iter().map(|text| Some(text.as_str()))))
    }
}

impl Column {
    unsafe fn text(
        &self,
        tuple: pg_sys::HeapTuple,
        description: pg_sys::TupleDesc,
    ) -> Option<String> {
        // SAFETY: by contract of `key_of`; the function's data is only scratch space to Postgres.
        unsafe {
            let mut is_null = false;
            let datum = pg_sys::SPI_getbinval(tuple, description, self.number, &mut is_null);
            if is_null {
                return None;
            }
            let text = pg_sys::OutputFunctionCall((&raw const *self.output).cast_mut(), datum);
            let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
            pg_sys::pfree(text.cast());
            Some(copy)
        }
    }
}

/// The settings on which text forms depend; the worker's session has the same, so that both sides name a row alike.
pub const CANONICAL_SETTINGS: [(&CStr, &CStr); 5] = [
    (c"datestyle", c"ISO, YMD"),
    (c"intervalstyle", c"postgres"),
    (c"timezone", c"UTC"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
];

fn with_canonical_settings<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: a setting nest of its own, closed below; an error closes it with the (sub)transaction.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        for (name, value) in CANONICAL_SETTINGS {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        let result = body();
        pg_sys::AtEOXact_GUC(true, level);
        result
    }
}
