//! The canonical text of a row's key, taken from a tuple.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use super::trigger::{arguments, mapping_id};
use crate::postgres::fields::array_literal;
use crate::postgres::role;
use crate::postgres::statement::Session;

unsafe extern "C-unwind" {
    /// From Postgres's utils/datum.h, which the bindings leave out.
    fn datum_image_eq(
        one: pg_sys::Datum,
        other: pg_sys::Datum,
        by_value: bool,
        length: std::ffi::c_int,
    ) -> bool;
}

/// # Safety
/// Both are values of the watched column, not NULL.
unsafe fn same_image(one: pg_sys::Datum, other: pg_sys::Datum, column: &Watched) -> bool {
    // SAFETY: it may raise an error while it reads a toasted value, hence the boundary.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            datum_image_eq(one, other, column.by_value, column.length)
        })
    }
}

/// [`Plan::mapping`] of a trigger that somebody attached to a table that is not the mapping's, and
/// of one in a copy of the mapping's database.
pub const NOBODY: i32 = 0;

/// How to read the key from tuples of one relation, for one trigger.
#[derive(Default)]
pub struct Plan {
    pub mapping: i32,
    /// `None` where a key column does not exist under its name.
    columns: Option<Vec<Column>>,
    /// The mapped columns, where an update of others is none of ours; `None` where all are mapped,
    /// or one cannot be found.
    watched: Option<Vec<Watched>>,
}

struct Watched {
    number: i32,
    by_value: bool,
    length: i32,
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
        let mut plan = make(trigger);
        match speaks_for(plan.mapping, (*(*trigger).tg_relation).rd_id) {
            Speaks::ForIt => {}
            // take_over() makes the triggers anew, and with that the plans.
            Speaks::Elsewhere => plan.mapping = NOBODY,
            // Not remembered: a dump may restore the trigger before the mapping.
            Speaks::ForNone => {
                return Rc::new(Plan {
                    mapping: NOBODY,
                    ..Plan::default()
                });
            }
        }
        let plan = Rc::new(plan);
        PLANS.with_borrow_mut(|plans| plans.insert(oid, plan.clone()));
        plan
    }
}

unsafe fn make(trigger: *mut pg_sys::TriggerData) -> Plan {
    // SAFETY: by contract of `plan`.
    unsafe {
        let description = (*(*trigger).tg_relation).rd_att;
        let arguments = arguments((*trigger).tg_trigger);
        let names = arguments.get(2..).unwrap_or_default();
        let keys: usize = arguments
            .get(1)
            .and_then(|count| count.parse().ok())
            .unwrap_or(0);
        let (keys, watched) = names.split_at(keys.min(names.len()));
        let watched: Option<Vec<Watched>> = watched
            .iter()
            .map(|name| watch(description, name))
            .collect();
        Plan {
            mapping: mapping_id((*trigger).tg_trigger),
            columns: keys.iter().map(|name| read(description, name)).collect(),
            watched: watched.filter(|columns| !columns.is_empty()),
        }
    }
}

/// Whether a trigger's word counts.
enum Speaks {
    ForIt,
    /// The mapping was made in another database, of which this one is a copy or a subscriber. It
    /// stands still until take_over(), which has the whole table compared; what would be noted
    /// until then fills the disk, and is in the way of lines that arrive by replication.
    Elsewhere,
    ForNone,
}

pub fn belongs(mapping: i32, relation: pg_sys::Oid) -> bool {
    matches!(speaks_for(mapping, relation), Speaks::ForIt)
}

/// Anybody may attach the trigger function to a table of their own; it must not speak for a mapping
/// that is not that table's.
fn speaks_for(mapping: i32, relation: pg_sys::Oid) -> Speaks {
    let Some(owner) = role::extension_owner() else {
        return Speaks::ForNone;
    };
    let made_here = role::as_owner(owner, || {
        Spi::connect_mut(|client| {
            Session::new(client).execute(
                "SELECT m.made_in = sheet_sync._here() FROM sheet_sync.mapping m WHERE m.id = $1 AND (m.table_name = $2 OR m.table_name IN (SELECT a.relid FROM pg_partition_ancestors($2) a))",
                &[mapping.into(), relation.into()],
            )
        })
    });
    match made_here.into_iter().flatten().flatten().next().as_deref() {
        Some("t") => Speaks::ForIt,
        Some(_) => Speaks::Elsewhere,
        None => Speaks::ForNone,
    }
}

/// The number and type of a column that exists.
unsafe fn find(description: pg_sys::TupleDesc, name: &str) -> Option<(i32, pg_sys::Oid)> {
    let name = CString::new(name).ok()?;
    // SAFETY: by contract of `plan`.
    unsafe {
        let number = pg_sys::SPI_fnumber(description, name.as_ptr());
        (number > 0).then(|| (number, pg_sys::SPI_gettypeid(description, number)))
    }
}

unsafe fn read(description: pg_sys::TupleDesc, name: &str) -> Option<Column> {
    // SAFETY: by contract of `plan`.
    unsafe {
        let (number, type_oid) = find(description, name)?;
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
    }
}

unsafe fn watch(description: pg_sys::TupleDesc, name: &str) -> Option<Watched> {
    // SAFETY: by contract of `plan`.
    unsafe {
        let (number, type_oid) = find(description, name)?;
        let mut length = 0i16;
        let mut by_value = false;
        pg_sys::get_typlenbyval(type_oid, &mut length, &mut by_value);
        Some(Watched {
            number,
            by_value,
            length: i32::from(length),
        })
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
    /// True for an update that leaves all mapped columns as they were.
    ///
    /// # Safety
    /// `old` and `new` are rows of the relation that `description` describes, or null.
    pub unsafe fn is_unchanged(
        &self,
        old: pg_sys::HeapTuple,
        new: pg_sys::HeapTuple,
        description: pg_sys::TupleDesc,
    ) -> bool {
        let Some(watched) = &self.watched else {
            return false;
        };
        if old.is_null() || new.is_null() {
            return false;
        }
        watched.iter().all(|column| {
            // SAFETY: by contract.
            unsafe {
                let mut nulls = [false; 2];
                let before = pg_sys::SPI_getbinval(old, description, column.number, &mut nulls[0]);
                let after = pg_sys::SPI_getbinval(new, description, column.number, &mut nulls[1]);
                match nulls {
                    [false, false] => same_image(before, after, column),
                    [before, after] => before == after,
                }
            }
        })
    }

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

/// The settings on which text forms depend; the worker's session has the same, so that both sides
/// name a row alike.
pub const CANONICAL_SETTINGS: [(&CStr, &CStr); 5] = [
    (c"datestyle", c"ISO, YMD"),
    (c"intervalstyle", c"postgres"),
    (c"timezone", c"UTC"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
];

fn with_canonical_settings<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: a setting nest of its own, closed below; an error closes it with the
    // (sub)transaction.
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
