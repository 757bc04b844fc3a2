//! Values of user types: text in through the type's input function.

use pgrx::pg_sys;
use std::ffi::CString;

use super::errors::refuse;

use super::statement::Arg;
use super::time_limit::limited;

/// How a column's text becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    pub oid: pg_sys::Oid,
    /// Type modifier, e.g. the n of varchar(n).
    pub modifier: i32,
}

impl ColumnType {
    /// The value of `text`, with length and domain checks: what is too long is an error and never
    /// cut.
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
        let read = || unsafe {
            let mut input = pg_sys::InvalidOid;
            let mut parameter = pg_sys::InvalidOid;
            pg_sys::getTypeInputInfo(self.oid, &mut input, &mut parameter);
            pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), parameter, self.modifier)
        };
        // A domain's checks are code of a user's.
        let datum = match self.oid.to_u32() < pg_sys::FirstNormalObjectId {
            true => read(),
            false => limited(read),
        };
        Arg::typed(self.oid, Some(datum))
    }

    /// Whether equal values of this type have one text form, as far as its own `=` and an ordinary
    /// collation go. Of a type that is not named here nobody knows.
    pub fn prints_equals_alike(self) -> bool {
        let mut modifier = self.modifier;
        // SAFETY: lookups in the system caches, in the current transaction.
        let (base, is_enum) = unsafe {
            let base = pg_sys::getBaseTypeAndTypmod(self.oid, &mut modifier);
            (
                base,
                pg_sys::get_typtype(base) == pg_sys::TYPTYPE_ENUM as std::ffi::c_char,
            )
        };
        match base {
            pg_sys::BOOLOID
            | pg_sys::INT2OID
            | pg_sys::INT4OID
            | pg_sys::INT8OID
            | pg_sys::OIDOID
            | pg_sys::TEXTOID
            | pg_sys::VARCHAROID
            | pg_sys::NAMEOID
            | pg_sys::CHAROID
            | pg_sys::BYTEAOID
            | pg_sys::UUIDOID
            | pg_sys::DATEOID
            | pg_sys::TIMEOID
            | pg_sys::TIMESTAMPOID
            | pg_sys::TIMESTAMPTZOID => true,
            // With a scale of the column's all have as many digits.
            pg_sys::NUMERICOID => modifier >= 0,
            _ => is_enum,
        }
    }

    /// What Postgres prints for `text` once it is a value of this type. Raises like
    /// [`ColumnType::argument`].
    pub fn canonical(self, text: &str) -> String {
        let Some(datum) = self.argument(Some(text)).datum() else {
            return String::new();
        };
        output(self.oid, datum)
    }
}

/// A value's text form.
pub fn output(type_oid: pg_sys::Oid, datum: pg_sys::Datum) -> String {
    // SAFETY: looks up and calls the type's output function; the string is Postgres's and copied
    // before it is freed.
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
