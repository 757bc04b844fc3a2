use pgrx::pg_sys;
use pgrx::prelude::*;

use super::register::check_filter;
use super::{Chosen, as_owner, required, table};
use crate::postgres::fields::Fields;
use crate::postgres::lock;
use crate::postgres::statement::Row;
use crate::postgres::types::ColumnType;

fn run(function: &str, chosen: Chosen) {
    as_owner(
        &format!("SELECT sheet_sync.{function}($1, $2::pg_catalog.regclass, $3)"),
        chosen.args(),
    );
}

/// For functions of the catalog, which know tables by their oids.
#[pg_extern(sql = false)]
fn keep_table(target: Option<pg_sys::Oid>) {
    lock::keep_table(table(target).to_u32());
}

#[pg_extern(sql = false)]
fn pause(table_name: Option<pg_sys::Oid>) {
    run("_pause", Chosen::table(table_name));
}

#[pg_extern(sql = false)]
fn pause_of(mapping_id: Option<i32>) {
    run("_pause", Chosen::mapping(mapping_id));
}

#[pg_extern(sql = false)]
fn resume(table_name: Option<pg_sys::Oid>) {
    run("_resume", Chosen::table(table_name));
}

#[pg_extern(sql = false)]
fn resume_of(mapping_id: Option<i32>) {
    run("_resume", Chosen::mapping(mapping_id));
}

#[pg_extern(sql = false)]
fn resync(table_name: Option<pg_sys::Oid>) {
    run("_resync", Chosen::table(table_name));
}

#[pg_extern(sql = false)]
fn resync_of(mapping_id: Option<i32>) {
    run("_resync", Chosen::mapping(mapping_id));
}

#[pg_extern(sql = false)]
fn take_over(table_name: Option<pg_sys::Oid>, winner: Option<String>) -> i32 {
    take_over_chosen(Chosen::table(table_name), winner)
}

#[pg_extern(sql = false)]
fn take_over_of(mapping_id: Option<i32>, winner: Option<String>) -> i32 {
    take_over_chosen(Chosen::mapping(mapping_id), winner)
}

fn take_over_chosen(chosen: Chosen, winner: Option<String>) -> i32 {
    let mut args = chosen.args();
    args.push(winner.into());
    number_of(as_owner(
        "SELECT sheet_sync._take_over($1, $2::pg_catalog.regclass, $3, $4)",
        args,
    ))
}

/// How many, as a function of the catalog answers.
pub fn number_of(rows: Vec<Row>) -> i32 {
    let mut rows = rows.into_iter();
    rows.next().map_or(0, |row| Fields::of(row).number() as i32)
}

/// What a function of the catalog answers.
fn text_of(rows: Vec<Row>) -> Option<String> {
    rows.into_iter().find_map(|row| Fields::of(row).optional())
}

#[pg_extern(sql = false)]
fn confirm_deletes(table_name: Option<pg_sys::Oid>) -> Option<String> {
    let allowed = as_owner(
        "SELECT sheet_sync._confirm_deletes($1, $2::pg_catalog.regclass)",
        vec![table(table_name).into()],
    );
    text_of(allowed)
}

#[pg_extern(sql = false)]
fn confirm_deletes_of(mapping_id: Option<i32>) -> Option<String> {
    let allowed = as_owner(
        "SELECT sheet_sync._confirm_deletes_of($1, $2)",
        vec![required(mapping_id, "mapping_id").into()],
    );
    text_of(allowed)
}

#[pg_extern(sql = false)]
fn follow_name(mapping_id: Option<i32>) {
    let tied = as_owner(
        "SELECT f.target::pg_catalog.oid, f.row_filter FROM sheet_sync._follow_name($1, $2) f",
        vec![required(mapping_id, "mapping_id").into()],
    );
    for row in tied {
        let mut fields = Fields::of(row);
        let table = pg_sys::Oid::from(fields.number() as u32);
        if let Some(filter) = fields.optional() {
            check_filter(table, &filter);
        }
    }
}

#[pg_extern(sql = false)]
fn dismiss(mapping_id: Option<i32>) {
    as_owner(
        "SELECT sheet_sync._dismiss($1, $2)",
        vec![required(mapping_id, "mapping_id").into()],
    );
}

#[pg_extern(sql = false)]
fn resolve(conflict_id: Option<i64>, winner: Option<String>, value: Option<String>) {
    as_owner(
        "SELECT sheet_sync._resolve($1, $2, $3, $4)",
        vec![
            required(conflict_id, "conflict_id").into(),
            required(winner, "winner").into(),
            value.clone().into(),
        ],
    );
    if let (Some(id), Some(value)) = (conflict_id, value) {
        check_value(id, &value);
    }
    super::wake::wake_at_commit();
}

/// What the column's type does not take is refused now, in the caller's name, and not by the next
/// cycle.
fn check_value(conflict_id: i64, value: &str) {
    let rows = as_owner(
        "SELECT a.atttypid, a.atttypmod \
         FROM (SELECT $1::pg_catalog.oid) caller, sheet_sync.conflict c JOIN sheet_sync.mapping m ON m.id = c.mapping_id \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = m.table_name AND a.attname = c.column_name AND NOT a.attisdropped \
         WHERE c.id = $2",
        vec![conflict_id.into()],
    );
    for row in rows {
        let mut fields = Fields::of(row);
        let column = ColumnType {
            oid: pg_sys::Oid::from(fields.number() as u32),
            modifier: fields.number() as i32,
        };
        column.argument(Some(value));
    }
}
