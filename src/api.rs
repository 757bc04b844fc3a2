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

/// What a call is about.
#[derive(Clone, Copy)]
enum Chosen {
    /// The mapping of this table, or all of them.
    Table(pg_sys::Oid),
    Mapping(i32),
}

impl Chosen {
    fn table(value: Option<pg_sys::Oid>) -> Self {
        Self::Table(table(value))
    }

    fn mapping(value: Option<i32>) -> Self {
        Self::Mapping(required(value, "mapping_id"))
    }

    /// As the functions of the catalog take it: the table, and the mapping's id.
    fn args(self) -> Vec<Arg> {
        let (table, mapping) = match self {
            Self::Table(table) => (Some(table), None),
            Self::Mapping(mapping) => (None, Some(mapping)),
        };
        vec![table.into(), mapping.into()]
    }
}
