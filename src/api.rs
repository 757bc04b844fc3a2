//! The public SQL functions. Their declarations, with defaults and comments, stand in
//! `sql/api.sql`.

use pgrx::{PgSqlErrorCode, Spi, pg_sys};

use crate::postgres::errors::refuse;
use crate::postgres::role;
use crate::postgres::statement::{Arg, Row, Session};

mod credential;
mod doctor;
mod dump;
mod live;
mod manage;
mod preview;
mod register;
mod wait;
mod wake;
mod worker;

pub use wake::announce_at_commit;

/// Run a statement of the catalog as the extension's owner; `$1` is the role that called.
fn as_owner(sql: &str, args: Vec<Arg>) -> Vec<Row> {
    let caller = role::current();
    let Some(owner) = role::extension_owner() else {
        refuse(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "extension sheet_sync is not installed in this database",
            "CREATE EXTENSION sheet_sync;",
        );
    };
    let all: Vec<Arg> = std::iter::once(Arg::from(caller)).chain(args).collect();
    role::as_owner(owner, || {
        Spi::connect_mut(|client| Session::new(client).execute(sql, &all))
    })
}

/// Refuse NULL for an argument that needs a value.
fn required<T>(value: Option<T>, name: &str) -> T {
    value.unwrap_or_else(|| {
        refuse(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("argument {name} must not be NULL"),
            "Leave the argument out for its default, or give a value.",
        )
    })
}

fn table(value: Option<pg_sys::Oid>) -> pg_sys::Oid {
    required(value, "table_name")
}
