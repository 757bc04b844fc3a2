use crate::postgres::errors::refuse;
use google::resolve_spreadsheet;
use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, Spi, pg_sys};

use super::manage::number_of;
use super::worker::require_worker;
use super::{Chosen, as_owner, required, table};
use crate::postgres::fields::Fields;
use crate::postgres::role;
use crate::postgres::statement::Session;

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn register_table(
    table_name: Option<pg_sys::Oid>,
    spreadsheet: Option<String>,
    sheet: Option<String>,
    key_columns: Option<Vec<Option<String>>>,
    columns: Option<Vec<Option<String>>>,
    direction: Option<String>,
    conflict_policy: Option<String>,
    conflict_function: Option<pg_sys::Oid>,
    on_table_delete: Option<String>,
    on_sheet_delete: Option<String>,
    max_delete_percent: Option<f32>,
    row_filter: Option<String>,
    poll_interval: Option<pgrx::datum::Interval>,
    credential: Option<String>,
    paused: Option<bool>,
) -> i32 {
    require_worker();
    let table_name = table(table_name);
    let named = required(spreadsheet, "spreadsheet");
    let spreadsheet = match resolve_spreadsheet(&named) {
        Ok(spreadsheet) => spreadsheet,
        Err(error) => refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("{error}"),
            error.hint(),
        ),
    };
    if sheet.as_ref().is_some_and(|title| title.trim().is_empty()) {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "argument sheet is empty",
            "Give the tab's title, or leave the argument out.",
        );
    }
    if let (Some(gid), Some(title)) = (spreadsheet.gid, &sheet) {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "the address names the tab with gid {gid}, and the argument sheet the tab \"{title}\""
            ),
            "Leave the argument sheet out, or leave out what stands behind the spreadsheet's id in the address.",
        );
    }
    check_choice("direction", &direction, &["both", "to_sheet", "from_sheet"]);
    check_choice(
        "conflict_policy",
        &conflict_policy,
        &[
            "last_write_wins",
            "database_wins",
            "sheet_wins",
            "manual",
            "conflict_function",
        ],
    );
    check_choice(
        "on_table_delete",
        &on_table_delete,
        &["delete_row", "clear", "keep"],
    );
    check_choice("on_sheet_delete", &on_sheet_delete, &["delete", "keep"]);
    let conflict_policy = match (conflict_policy.as_deref(), conflict_function) {
        // Naming a function without a policy can only mean: use it.
        (Some("last_write_wins"), Some(_)) => Some("conflict_function".to_owned()),
        (Some("conflict_function"), None) => refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "conflict_policy 'conflict_function' needs a conflict_function",
            "Name one: conflict_function => 'my_merge(jsonb, jsonb, jsonb, jsonb)'.",
        ),
        _ => conflict_policy,
    };
    let row_filter = row_filter.filter(|filter| !filter.trim().is_empty());
    let rows = as_owner(
        "SELECT sheet_sync._register_table($1, $2::pg_catalog.regclass, $3, $4, $5, $6, $7, $8, $9, $10::pg_catalog.regprocedure, \
         $11, $12, $13, $14, $15, $16, $17)",
        vec![
            table_name.into(),
            spreadsheet.id.into(),
            spreadsheet.gid.into(),
            sheet.into(),
            names("key_columns", key_columns).into(),
            names("columns", columns).into(),
            required(direction, "direction").into(),
            required(conflict_policy, "conflict_policy").into(),
            conflict_function.into(),
            required(on_table_delete, "on_table_delete").into(),
            required(on_sheet_delete, "on_sheet_delete").into(),
            required(max_delete_percent, "max_delete_percent").into(),
            row_filter.clone().into(),
            poll_interval.into(),
            required(credential, "credential").into(),
            required(paused, "paused").into(),
        ],
    );
    if let Some(filter) = row_filter {
        check_filter(table_name, &filter);
    }
    super::wake::announce_at_commit();
    match rows
        .into_iter()
        .flatten()
        .flatten()
        .next()
        .and_then(|id| id.parse().ok())
    {
        Some(id) => id,
        None => pgrx::error!("sheet_sync: the catalog answered no mapping id"),
    }
}

fn names(argument: &str, names: Option<Vec<Option<String>>>) -> Option<Vec<String>> {
    let given = names?.into_iter().collect::<Option<Vec<String>>>();
    given.or_else(|| {
        refuse(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("argument {argument} must not contain NULL"),
            "Give the names of columns, or leave the argument out.",
        )
    })
}

fn check_choice(name: &str, value: &Option<String>, choices: &[&str]) {
    if let Some(value) = value
        && !choices.contains(&value.as_str())
    {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("{name} cannot be '{value}'"),
            format!("Choose one of: {}.", choices.join(", ")),
        );
    }
}

/// Looked up as the caller would, and evaluated as the table's owner, as the worker does: whoever
/// looks at a table runs code of its owner's (policies, expressions of indexes), which gains
/// nothing by a superuser who registers it.
pub fn check_filter(table_name: pg_sys::Oid, filter: &str) {
    Spi::connect_mut(|client| {
        let mut session = Session::new(client);
        let table = session.select(
            "SELECT c.oid::pg_catalog.regclass, c.relowner FROM pg_catalog.pg_class c WHERE c.oid = $1",
            &[table_name.into()],
        );
        for row in table {
            let mut fields = Fields::of(row);
            let name = fields.text();
            let owner = pg_sys::Oid::from(fields.number() as u32);
            let sql = format!("SELECT FROM {name} AS t WHERE ({filter}\n) LIMIT 0");
            role::read_as(owner, || session.select(&sql, &[]));
        }
    });
}

#[pg_extern(sql = false)]
fn unregister_table(table_name: Option<pg_sys::Oid>, spreadsheet: Option<String>) -> i32 {
    let (id, gid) = match spreadsheet {
        None => (None, None),
        Some(named) => match resolve_spreadsheet(&named) {
            Ok(spreadsheet) => (Some(spreadsheet.id), spreadsheet.gid),
            Err(_) => (Some(named), None),
        },
    };
    unregister(Chosen::table(table_name), id, gid)
}

#[pg_extern(sql = false)]
fn unregister_table_of(mapping_id: Option<i32>) -> i32 {
    unregister(Chosen::mapping(mapping_id), None, None)
}

fn unregister(chosen: Chosen, spreadsheet: Option<String>, gid: Option<i32>) -> i32 {
    let mut args = chosen.args();
    args.extend([spreadsheet.into(), gid.into()]);
    number_of(as_owner(
        "SELECT sheet_sync._unregister_table($1, $2::pg_catalog.regclass, $3, $4, $5)",
        args,
    ))
}
