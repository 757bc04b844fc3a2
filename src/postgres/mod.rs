//! The one door to Postgres's insides: transactions, statements, roles, values. Everything unsafe
//! of the worker and of the SQL functions lives here and in [`crate::capture`].

pub mod database_list;
pub mod errors;
pub mod fields;
pub mod lock;
pub mod process;
pub mod role;
pub mod statement;
pub mod tenant;
pub mod time_limit;
pub mod transaction;
pub mod types;
