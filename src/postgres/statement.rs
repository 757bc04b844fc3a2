//! Statements through SPI. Results are text, as Postgres's output functions print it: that is the
//! form in which the engine holds database values, and the only one that exists for every type.

use engine::value::{Datum, Text};
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use pgrx::{AnyNumeric, IntoDatum, PgMemoryContexts};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ops::ControlFlow;

use super::time_limit::{is_running, limited};

/// One row of a result, every column as text.
pub type Row = Vec<Datum>;

/// An argument of a statement.
pub struct Arg {
    type_oid: pg_sys::Oid,
    datum: Option<pg_sys::Datum>,
}

impl Arg {
    fn of<T: IntoDatum>(value: Option<T>) -> Self {
        Self {
            type_oid: T::type_oid(),
            datum: value.and_then(IntoDatum::into_datum),
        }
    }

    /// A value that was made by a type's input function.
    pub fn typed(type_oid: pg_sys::Oid, datum: Option<pg_sys::Datum>) -> Self {
        Self { type_oid, datum }
    }

    pub fn datum(&self) -> Option<pg_sys::Datum> {
        self.datum
    }
}

macro_rules! arg_from {
    ($($type:ty),*) => {$(
        impl From<$type> for Arg {
            fn from(value: $type) -> Self {
                Self::of(Some(value))
            }
        }
        impl From<Option<$type>> for Arg {
            fn from(value: Option<$type>) -> Self {
                Self::of(value)
            }
        }
    )*};
}
arg_from!(
    i16,
    i32,
    i64,
    f32,
    bool,
    String,
    Vec<i32>,
    Vec<i64>,
    Vec<bool>,
    Vec<Option<i64>>,
    pg_sys::Oid,
    AnyNumeric,
    pgrx::JsonB,
    pgrx::datum::Interval
);

impl From<Vec<String>> for Arg {
    fn from(texts: Vec<String>) -> Self {
        text_array(texts.iter().map(|text| Some(text.as_str())))
    }
}

impl From<Option<Vec<String>>> for Arg {
    fn from(texts: Option<Vec<String>>) -> Self {
        texts.map_or(Self::typed(pg_sys::TEXTARRAYOID, None), Self::from)
    }
}

impl From<Vec<&str>> for Arg {
    fn from(texts: Vec<&str>) -> Self {
        text_array(texts.into_iter().map(Some))
    }
}

impl From<Vec<Option<&str>>> for Arg {
    fn from(texts: Vec<Option<&str>>) -> Self {
        text_array(texts.into_iter())
    }
}

impl From<Vec<Option<String>>> for Arg {
    fn from(texts: Vec<Option<String>>) -> Self {
        text_array(texts.iter().map(Option::as_deref))
    }
}

/// A `text[]` in one call to Postgres; with one or more for each element a first merge spends a
/// measurable part of its time in them.
fn text_array<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Arg {
    const HEADER: usize = pg_sys::VARHDRSZ;
    // The elements as varlenas: a header of four bytes and the text, at multiples of four.
    let mut words: Vec<u32> = Vec::new();
    let starts: Vec<Option<usize>> = texts
        .map(|text| {
            let text = text?;
            let start = words.len();
            let size = HEADER + text.len();
            words.resize(start + size.div_ceil(HEADER), 0);
            // SAFETY: the words from `start` on were just made, and are enough for header and text.
            unsafe {
                let element = words.as_mut_ptr().add(start);
                pgrx::set_varsize_4b(element.cast(), size as i32);
                std::ptr::copy_nonoverlapping(text.as_ptr(), element.add(1).cast(), text.len());
            }
            Some(start)
        })
        .collect();
    let element = |start: &Option<usize>| match start {
        Some(start) => (pg_sys::Datum::from(words[*start..].as_ptr()), false),
        None => (pg_sys::Datum::from(0usize), true),
    };
    let (mut elements, mut nulls): (Vec<pg_sys::Datum>, Vec<bool>) =
        starts.iter().map(element).unzip();
    let (mut length, mut first) = (elements.len() as i32, 1);
    // SAFETY: copies the elements, which live until it returns; length and alignment are those of
    // text.
    let array = unsafe {
        pg_sys::construct_md_array(
            elements.as_mut_ptr(),
            nulls.as_mut_ptr(),
            1,
            &mut length,
            &mut first,
            pg_sys::TEXTOID,
            -1,
            false,
            pg_sys::TYPALIGN_INT as std::ffi::c_char,
        )
    };
    Arg::typed(pg_sys::TEXTARRAYOID, Some(array.into()))
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::of(Some(value.to_owned()))
    }
}

impl From<Option<&str>> for Arg {
    fn from(value: Option<&str>) -> Self {
        Self::of(value.map(str::to_owned))
    }
}

const MOST_PLANS: usize = 256;

thread_local! {
    /// Plans kept for the process's life, by statement and argument types. Postgres replans them
    /// when what they rest on changes.
    static PLANS: RefCell<HashMap<(String, Vec<u32>), pg_sys::SPIPlanPtr>> = RefCell::default();
}

/// An open SPI connection inside a transaction; only [`super::transaction`] and SQL functions can
/// have one.
pub struct Session {
    _connected: (),
}

impl Session {
    pub fn new(_client: &mut SpiClient<'_>) -> Self {
        Self { _connected: () }
    }

    /// A query that changes nothing. All selects of a transaction that has not written see the same
    /// snapshot, and burn no transaction id.
    pub fn select(&mut self, sql: &str, args: &[Arg]) -> Vec<Row> {
        run(sql, args, true)
    }

    /// The commit of this transaction does not wait for the disk. Only for what may be lost when
    /// the machine goes down: where that leaves what a death of the worker just before the commit
    /// leaves. Later commits still reach the disk after this one.
    pub fn commit_may_be_late(&mut self) {
        set_locally(c"synchronous_commit", c"off");
    }

    /// This transaction is on our own disk when it has ended, whatever the server is set to.
    pub fn commit_is_durable(&mut self) {
        // SAFETY: a plain variable of this process.
        let off = pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_OFF as i32;
        if unsafe { pg_sys::synchronous_commit } == off {
            set_locally(c"synchronous_commit", c"local");
        }
    }

    /// Until this transaction ends a statement that meets somebody else's lock is refused at once:
    /// in the shortest time that Postgres knows.
    pub fn wait_for_no_lock(&mut self) {
        set_locally(c"lock_timeout", c"1ms");
    }

    /// A statement whose text will not come again, so that its plan is not kept.
    pub fn execute_once(&mut self, sql: &str, args: &[Arg]) -> Vec<Row> {
        let Ok(text) = CString::new(sql) else {
            pgrx::error!("sheet_sync: a statement contains a NUL byte");
        };
        let mut types: Vec<pg_sys::Oid> = args.iter().map(|arg| arg.type_oid).collect();
        let (mut datums, nulls) = datums(args);
        // SAFETY: SPI is connected; types, values and nulls are of the same length.
        unsafe {
            pg_sys::SPI_tuptable = std::ptr::null_mut();
            let status = limited(|| {
                pg_sys::SPI_execute_with_args(
                    text.as_ptr(),
                    types.len() as i32,
                    types.as_mut_ptr(),
                    datums.as_mut_ptr(),
                    nulls.as_ptr(),
                    false,
                    0,
                )
            });
            rows_of(status)
        }
    }

    /// A statement that may change something; the rows are those of its RETURNING or select list.
    pub fn execute(&mut self, sql: &str, args: &[Arg]) -> Vec<Row> {
        run(sql, args, false)
    }

    /// Plans are kept, and may have been made when a table of ours was so small that to read all of
    /// it was cheapest; by now it may be full of lines that are deleted and cannot be removed. So
    /// lines are looked for by an index in any case.
    pub fn by_index<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> R {
        // SAFETY: inside a transaction; a setting nest of its own, which is closed below. After an
        // error the abort closes it.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            set_option(
                c"enable_seqscan",
                c"off",
                pg_sys::GucAction::GUC_ACTION_SAVE,
            );
            let result = body(self);
            pg_sys::AtEOXact_GUC(true, level);
            result
        }
    }

    /// Like [`Session::select`], for rows that may be large: they are handed over one by one until
    /// `each` says to stop.
    pub fn select_while(
        &mut self,
        sql: &str,
        args: &[Arg],
        each: impl FnMut(Row) -> ControlFlow<()>,
    ) {
        limited(|| self.step_through(sql, args, each));
    }

    /// For any number of rows, so not the statement but each of its steps has a time limit.
    pub fn select_each(&mut self, sql: &str, args: &[Arg], mut each: impl FnMut(Row)) {
        self.step_through(sql, args, |row| {
            each(row);
            ControlFlow::Continue(())
        });
    }

    /// Only a few rows are held at a time.
    fn step_through(
        &mut self,
        sql: &str,
        args: &[Arg],
        mut each: impl FnMut(Row) -> ControlFlow<()>,
    ) {
        const BATCH: i64 = 8;
        let plan = plan(sql, args);
        let (mut datums, nulls) = datums(args);
        // SAFETY: the portal lives in this transaction and is closed below; an error closes it with
        // the transaction.
        unsafe {
            // Planning may run code of a user's.
            let portal = limited(|| {
                pg_sys::SPI_cursor_open(
                    std::ptr::null(),
                    plan,
                    datums.as_mut_ptr(),
                    nulls.as_ptr(),
                    true,
                )
            });
            loop {
                limited(|| pg_sys::SPI_cursor_fetch(portal, true, BATCH as _));
                let rows = take_rows();
                if rows.is_empty() || rows.into_iter().try_for_each(&mut each).is_break() {
                    break;
                }
            }
            pg_sys::SPI_cursor_close(portal);
        }
    }
}

/// Until the transaction ends.
fn set_locally(name: &CStr, value: &CStr) {
    // SAFETY: inside a transaction.
    unsafe { set_option(name, value, pg_sys::GucAction::GUC_ACTION_LOCAL) }
}

/// # Safety
/// Inside a transaction.
unsafe fn set_option(name: &CStr, value: &CStr, action: pg_sys::GucAction::Type) {
    // SAFETY: by contract; Postgres copies the strings.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

fn run(sql: &str, args: &[Arg], read_only: bool) -> Vec<Row> {
    let plan = plan(sql, args);
    let (mut datums, nulls) = datums(args);
    // SAFETY: the plan was made for just these argument types; SPI is connected.
    unsafe {
        pg_sys::SPI_tuptable = std::ptr::null_mut();
        let status = limited(|| {
            pg_sys::SPI_execute_plan(plan, datums.as_mut_ptr(), nulls.as_ptr(), read_only, 0)
        });
        rows_of(status)
    }
}

fn plan(sql: &str, args: &[Arg]) -> pg_sys::SPIPlanPtr {
    let types: Vec<pg_sys::Oid> = args.iter().map(|arg| arg.type_oid).collect();
    let name = (
        sql.to_owned(),
        types.iter().map(|oid| oid.to_u32()).collect::<Vec<_>>(),
    );
    if let Some(kept) = PLANS.with_borrow(|plans| plans.get(&name).copied()) {
        return kept;
    }
    // One plan for each set of columns that people change: they are bounded, and made again when
    // needed.
    if PLANS.with_borrow(|plans| plans.len() >= MOST_PLANS) {
        forget_plans();
    }
    let Ok(text) = CString::new(sql) else {
        pgrx::error!("sheet_sync: a statement contains a NUL byte");
    };
    // SAFETY: SPI is connected; the kept plan lives until the process ends.
    let plan = unsafe {
        let plan =
            pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_ptr().cast_mut());
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            pgrx::error!("sheet_sync: SPI could not prepare a statement");
        }
        plan
    };
    PLANS.with_borrow_mut(|plans| plans.insert(name, plan));
    plan
}

fn datums(args: &[Arg]) -> (Vec<pg_sys::Datum>, Vec<std::ffi::c_char>) {
    args.iter()
        .map(|arg| match arg.datum {
            Some(datum) => (datum, b' ' as std::ffi::c_char),
            None => (pg_sys::Datum::from(0usize), b'n' as std::ffi::c_char),
        })
        .unzip()
}

/// # Safety
/// `status` is what SPI has just answered.
unsafe fn rows_of(status: i32) -> Vec<Row> {
    // SAFETY: by contract.
    unsafe {
        if status < 0 {
            let text = CStr::from_ptr(pg_sys::SPI_result_code_string(status))
                .to_string_lossy()
                .into_owned();
            pgrx::error!("sheet_sync: SPI refused a statement: {text}");
        }
        take_rows()
    }
}

/// Copies the current result out of SPI's memory and frees it.
///
/// # Safety
/// Directly after an SPI call, while SPI is connected.
unsafe fn take_rows() -> Vec<Row> {
    // SAFETY: SPI set these for the call just made; the table is freed once, after the copy.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return Vec::new();
        }
        // Freed as a whole: what output functions leave behind, and millions of texts of a large
        // result.
        let mut printed = PgMemoryContexts::new("sheet_sync printed values");
        let rows = printed.switch_to(|_| print_rows(table));
        drop(printed);
        pg_sys::SPI_freetuptable(table);
        pg_sys::SPI_tuptable = std::ptr::null_mut();
        rows
    }
}

/// # Safety
/// `table` is what SPI has just returned.
unsafe fn print_rows(table: *mut pg_sys::SPITupleTable) -> Vec<Row> {
    // SAFETY: by contract; the tuples are of this description.
    unsafe {
        let description = (*table).tupdesc;
        let width = (*description).natts;
        // Looked up once and not, as SPI_getvalue does, for each value.
        let mut outputs: Vec<pg_sys::FmgrInfo> = (1..=width)
            .map(|column| output_function(pg_sys::SPI_gettypeid(description, column)))
            .collect();
        let mut values = vec![pg_sys::Datum::from(0usize); width as usize];
        let mut nulls = vec![false; width as usize];
        (0..pg_sys::SPI_processed as usize)
            .map(|row| {
                let tuple = *(*table).vals.add(row);
                pg_sys::heap_deform_tuple(
                    tuple,
                    description,
                    values.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                );
                let columns = outputs.iter_mut().zip(values.iter().zip(&nulls));
                columns
                    .map(|(output, (value, null))| match null {
                        true => None,
                        false => copy_text(pg_sys::OutputFunctionCall(output, *value)),
                    })
                    .collect()
            })
            .collect()
    }
}

/// # Safety
/// Inside a transaction; to be called before the memory context of this moment ends.
unsafe fn output_function(value_type: pg_sys::Oid) -> pg_sys::FmgrInfo {
    // SAFETY: by contract; both results are written before they are read.
    unsafe {
        let mut function = pg_sys::InvalidOid;
        let mut variable_length = false;
        pg_sys::getTypeOutputInfo(value_type, &mut function, &mut variable_length);
        let mut output = pg_sys::FmgrInfo::default();
        pg_sys::fmgr_info(function, &mut output);
        output
    }
}

/// # Safety
/// `text` is null or a NUL-terminated string.
unsafe fn copy_text(text: *const std::ffi::c_char) -> Datum {
    if text.is_null() {
        return None;
    }
    // SAFETY: by contract; the database is UTF-8, so nothing is replaced.
    let text = unsafe { CStr::from_ptr(text) };
    Some(Text::from(text.to_string_lossy()))
}

/// Forget kept plans; for when a mapping is reloaded and its statements change. Not while one of
/// them runs: users' code within it may have come here.
pub fn forget_plans() {
    if is_running() {
        return;
    }
    let plans = PLANS.take();
    for plan in plans.into_values() {
        // SAFETY: a kept plan, freed once.
        unsafe {
            pg_sys::SPI_freeplan(plan);
        }
    }
}
