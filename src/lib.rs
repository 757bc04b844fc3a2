//! sheet_sync: keeps Postgres tables and Google Sheets in two-way sync, from inside the database.
//!
//! This crate is the Postgres side only: SQL functions ([`api`]), the capture triggers
//! ([`capture`]), the workers ([`launcher`], [`worker`]) and what they share. What to do is decided
//! in `crates/engine`; how to tell Google is known in `crates/google`.

use pgrx::prelude::*;

mod api;
mod capture;
mod launcher;
mod postgres;
mod quota;
mod seal;
mod settings;
mod shared;
mod worker;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/catalog.sql", name = "catalog", bootstrap);
extension_sql_file!(
    "../sql/identity.sql",
    name = "identity",
    requires = ["catalog"]
);
extension_sql_file!(
    "../sql/credential_grants.sql",
    name = "credential_grants",
    requires = ["identity"]
);
extension_sql_file!(
    "../sql/functions.sql",
    name = "functions",
    requires = ["credential_grants"]
);
extension_sql_file!("../sql/dump.sql", name = "dump", requires = ["functions"]);
extension_sql_file!(
    "../sql/api.sql",
    name = "api",
    requires = ["dump"],
    finalize
);

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    // pg_upgrade starts the server for a moment to look into it; nothing of ours may run then.
    if unsafe { pg_sys::IsBinaryUpgrade } {
        return;
    }
    capture::register_callbacks();
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        shared::request();
        quota::request();
        launcher::register();
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;

/// What `cargo pgrx test` needs to know.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![
            "shared_preload_libraries = 'sheet_sync'",
            "max_prepared_transactions = 10",
        ]
    }
}
