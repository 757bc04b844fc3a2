use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{Chosen, as_owner, wait};
use crate::postgres::fields::Fields;
use crate::shared::RequestKind;

type Line = (
    i32,
    Option<String>,
    Option<String>,
    Option<Vec<String>>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn preview(
    table_name: Option<pg_sys::Oid>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(changes, Option<String>),
        name!(operation, Option<String>),
        name!(key, Option<Vec<String>>),
        name!(column_name, Option<String>),
        name!(old_value, Option<String>),
        name!(new_value, Option<String>),
        name!(reason, Option<String>),
        name!(rows, Option<i64>),
    ),
> {
    TableIterator::new(previews(Chosen::table(table_name), timeout))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn preview_of(
    mapping_id: Option<i32>,
    timeout: Option<Interval>,
) -> TableIterator<
    'static,
    (
        name!(mapping_id, i32),
        name!(changes, Option<String>),
        name!(operation, Option<String>),
        name!(key, Option<Vec<String>>),
        name!(column_name, Option<String>),
        name!(old_value, Option<String>),
        name!(new_value, Option<String>),
        name!(reason, Option<String>),
        name!(rows, Option<i64>),
    ),
> {
    TableIterator::new(previews(Chosen::mapping(mapping_id), timeout))
}

fn previews(chosen: Chosen, timeout: Option<Interval>) -> Vec<Line> {
    let answers = wait::ask(chosen, timeout, RequestKind::Preview);
    answers
        .into_iter()
        .flat_map(|(mapping, request, _)| lines(mapping, request))
        .collect()
}

/// The worker has committed its lines before it answered, so a statement that begins now sees them.
fn lines(mapping: i32, request: u64) -> Vec<Line> {
    as_owner(
        "WITH fetched AS (DELETE FROM sheet_sync._preview p USING (SELECT $1::pg_catalog.oid) caller WHERE p.request_id = $2 AND p.mapping_id = $3 RETURNING p.*) \
         SELECT changes, operation, key, column_name, old_value, new_value, reason, rows FROM fetched ORDER BY line",
        vec![(request as i64).into(), mapping.into()],
    )
    .into_iter()
    .map(|row| {
        let mut fields = Fields::of(row);
        (
            mapping,
            fields.optional(),
            fields.optional(),
            fields.names(),
            fields.optional(),
            fields.optional(),
            fields.optional(),
            fields.optional(),
            fields.optional().and_then(|rows| rows.parse().ok()),
        )
    })
    .collect()
}
