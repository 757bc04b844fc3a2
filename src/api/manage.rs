use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{as_owner, required, table};

fn run(function: &str, table_name: Option<pg_sys::Oid>) {
    as_owner(
        &format!("SELECT sheet_sync.{function}($1, $2::pg_catalog.regclass)"),
        vec![table(table_name).into()],
    );
}

#[pg_extern(sql = false)]
fn pause(table_name: Option<pg_sys::Oid>) {
    run("_pause", table_name);
}

#[pg_extern(sql = false)]
fn resume(table_name: Option<pg_sys::Oid>) {
    run("_resume", table_name);
}

#[pg_extern(sql = false)]
fn resync(table_name: Option<pg_sys::Oid>) {
    run("_resync", table_name);
}

#[pg_extern(sql = false)]
fn confirm_deletes(table_name: Option<pg_sys::Oid>) {
    run("_confirm_deletes", table_name);
}

#[pg_extern(sql = false)]
fn resolve(conflict_id: Option<i64>, winner: Option<String>, value: Option<String>) {
    as_owner(
        "SELECT sheet_sync._resolve($1, $2, $3, $4)",
        vec![
            required(conflict_id, "conflict_id").into(),
            required(winner, "winner").into(),
            value.into(),
        ],
    );
    super::wake::wake_at_commit();
}
