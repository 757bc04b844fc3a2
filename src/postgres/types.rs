//! Values of user types: text in through the type's input function.

use pgrx::pg_sys;
use std::ffi::CString;

use super::errors::refuse;

use super::statement::Arg;

/// How a column's text becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    pub oid: pg_sys::Oid,
    /// Type modifier, e.g. the n of varchar(n).
    pub modifier: i32,
}

impl ColumnType {
    /// The value of `text`, with length and domain checks: what is too long is an error and never cut.
    ///
    /// Raises the type's own error; call it in a sub-transaction.
    pub fn argument(self, text: Option<&str>) -> Arg {
        let Some(text) = text else {
            return Arg::typed(self.oid, None);
        };
        let Ok(text) = CString::new(text) else {
            refuse(
                pgrx::PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                "the value contains a NUL character, which Postgres cannot store",
                "Remove the character from the cell.",
            );
        };
        // SAFETY: looks up and calls the type's input function in the current transaction.
        let datum = unsafe {
            let mut input = pg_sys::InvalidOid;
            let mut parameter = pg_sys::InvalidOid;
            pg_sys::getTypeInputInfo(self.oid, &mut input, &mut parameter);
            pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), parameter, self.modifier)
        };
        Arg::typed(self.oid, Some(datum))
    }

    /// What Postgres prints for `text` once it is a value of this type. Raises like [`ColumnType::argument`].
    pub fn canonical(self, text: &str) -> String {
        let Some(datum) = self.argument(Some(text)).datum() else {
            return String::new();
        };
        output(self.oid, datum)
    }
}

/// A value's text form.
pub fn output(type_oid: pg_sys::Oid, datum: pg_sys::Datum) -> String {
    // SAFETY: looks up and calls the type's output function; the string is Postgres's and copied before it is freed.
    unsafe {
        let mut function = pg_sys::InvalidOid;
        let mut varlena = false;
        pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut varlena);
        let text = pg_sys::OidOutputFunctionCall(function, datum);
        let copy = std::ffi::CStr::from_ptr(text)
            .to_string_lossy()
            .into_owned();
        pg_sys::pfree(text.cast());
        copy
    }
}
