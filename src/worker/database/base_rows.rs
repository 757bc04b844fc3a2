//! `_base_row`: what both sides have agreed on, and what is owed to a row.

use engine::codec::CellsHash;
use engine::effect::{BaseWrite, IndexEntry, Inserting, RowState, Stamp, StoredRow};
use engine::value::Key;
use std::collections::BTreeMap;

use super::key_literal;
use super::record::json;
use crate::postgres::errors::unreadable;
use crate::postgres::fields::{Fields, array_literal, parse_array};
use crate::postgres::statement::{Arg, Row, Session};
use crate::postgres::transaction::subtransaction;
use crate::worker::mappings::Loaded;

/// A batch's stamp, as it is stored.
pub fn stamp_text(stamp: &Stamp) -> String {
    format!("{}:{}", stamp.id, stamp.value)
}

/// What [`stamp_text`] was given.
pub fn stamp_of(text: &str) -> Stamp {
    let parts = text.split_once(':');
    let stamp = parts.and_then(|(id, value)| {
        Some(Stamp {
            id: id.parse().ok()?,
            value: value.to_owned(),
        })
    });
    stamp.unwrap_or_else(|| unreadable("_progress or _base_row.batch", text))
}

/// The columns in which a row's state is stored.
#[derive(Default)]
struct StateColumns {
    sheet_hash: Option<i64>,
    owed: Option<&'static str>,
    batch: Option<String>,
}

impl StateColumns {
    fn of(state: &RowState) -> Self {
        let owed = |owed| Self {
            owed: Some(owed),
            ..Self::default()
        };
        match state {
            RowState::Agreed(hash) => Self {
                sheet_hash: Some(hash.number()),
                ..Self::default()
            },
            RowState::AbsentInSheet => Self::default(),
            RowState::ToInsert => owed("insert"),
            RowState::ToLookAt => owed("look"),
            RowState::ToRewrite => owed("rewrite"),
            RowState::ToOverrule => owed("overrule"),
            RowState::Deleting(stamp) => Self {
                batch: Some(stamp_text(stamp)),
                ..owed("delete")
            },
        }
    }
}

pub fn read_index(session: &mut Session, mapping: &Loaded) -> Vec<IndexEntry> {
    let mut rows = Vec::new();
    session.select_each(
        "SELECT b.key, b.typed, b.sheet_hash, b.owed, b.batch, (b.batch = ANY (p.inserting)) IS TRUE \
         FROM sheet_sync._base_row b LEFT JOIN (SELECT n.inserting FROM sheet_sync._progress n WHERE n.mapping_id = $1 ORDER BY n.number DESC LIMIT 1) p ON true \
         WHERE b.mapping_id = $1",
        &[mapping.id.into()],
        |row| rows.push(entry(row)),
    );
    rows
}

fn entry(row: Row) -> IndexEntry {
    let mut fields = Fields::of(row);
    let key = fields.key();
    let typed = fields.optional();
    let typed = typed.map(|typed| parse_array(&typed).into_iter().flatten().collect());
    let hash = fields.optional().map(|text| hash_of(&text));
    let owed = fields.optional();
    let batch = fields.optional().map(|text| stamp_of(&text));
    let is_inserting = fields.flag();
    let state = match (owed.as_deref(), hash, &batch) {
        (None, Some(hash), _) => RowState::Agreed(hash),
        (None, None, None) => RowState::AbsentInSheet,
        (Some("insert"), None, None) => RowState::ToInsert,
        (Some("look"), None, None) => RowState::ToLookAt,
        (Some("rewrite"), None, None) => RowState::ToRewrite,
        (Some("overrule"), None, None) => RowState::ToOverrule,
        (Some("delete"), None, Some(batch)) => RowState::Deleting(batch.clone()),
        (owed, ..) => unreadable("_base_row.owed", owed.unwrap_or("NULL")),
    };
    IndexEntry {
        key,
        state,
        inserting: batch.filter(|_| is_inserting),
        typed,
    }
}

fn hash_of(text: &str) -> CellsHash {
    let hash = text.parse().ok().and_then(CellsHash::of_number);
    hash.unwrap_or_else(|| unreadable("_base_row.sheet_hash", text))
}

pub fn write<'a>(
    session: &mut Session,
    mapping: &Loaded,
    writes: impl Iterator<Item = &'a BaseWrite>,
) {
    // The last word on a key counts; one statement may not touch a row twice. In the index's order,
    // which costs it least.
    let last: BTreeMap<&Key, &BaseWrite> = writes.map(|write| (&write.key, write)).collect();
    let (kept, removed): (Vec<&BaseWrite>, Vec<&BaseWrite>) =
        last.into_values().partition(|write| write.row.is_some());
    if !removed.is_empty() {
        let keys: Vec<String> = removed
            .iter()
            .map(|write| key_literal(&write.key))
            .collect();
        session.execute(
            "DELETE FROM sheet_sync._base_row b USING pg_catalog.unnest($2) k(key) WHERE b.mapping_id = $1 AND b.key = k.key",
            &[mapping.id.into(), keys.into()],
        );
    }
    if !kept.is_empty() {
        let args = arguments(mapping, kept, StateColumns::of);
        session.execute(&format!("{STORE} {OVER_THE_OLD}"), &args);
    }
}

/// New rows, before they are sent.
pub fn write_inserting(session: &mut Session, mapping: &Loaded, batch: &Inserting) {
    let stamp = stamp_text(&batch.stamp);
    // In the index's order, which costs it least.
    let rows: BTreeMap<&Key, &BaseWrite> = batch.rows.iter().map(|row| (&row.key, row)).collect();
    let args = arguments(mapping, rows.into_values(), |state| StateColumns {
        batch: Some(stamp.clone()),
        ..StateColumns::of(state)
    });
    // Rows of a first merge are stored for the first time, and then to look for each of them first
    // would cost as much as to store it.
    if subtransaction(|| session.execute(STORE, &args)).is_err() {
        session.execute(&format!("{STORE} {OVER_THE_OLD}"), &args);
    }
}

const STORE: &str = "INSERT INTO sheet_sync._base_row (mapping_id, key, database_values, sheet_values, sheet_hash, owed, batch, typed) \
    SELECT $1, k, d::text[], s::pg_catalog.jsonb, h::pg_catalog.int8, o, b, t \
    FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8)) u(k, d, s, h, o, b, t)";
const OVER_THE_OLD: &str = "ON CONFLICT (mapping_id, key) DO UPDATE \
    SET database_values = EXCLUDED.database_values, sheet_values = EXCLUDED.sheet_values, sheet_hash = EXCLUDED.sheet_hash, \
        owed = EXCLUDED.owed, batch = EXCLUDED.batch, typed = EXCLUDED.typed";

/// What [`STORE`] is given.
fn arguments<'a>(
    mapping: &Loaded,
    writes: impl IntoIterator<Item = &'a BaseWrite>,
    columns_of: impl Fn(&RowState) -> StateColumns,
) -> Vec<Arg> {
    let (mut keys, mut database, mut sheet) = (Vec::new(), Vec::new(), Vec::new());
    let (mut hashes, mut owed, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    let mut typed: Vec<Option<String>> = Vec::new();
    for write in writes {
        let Some(StoredRow { base, state }) = &write.row else {
            continue;
        };
        let columns = columns_of(state);
        keys.push(key_literal(&write.key));
        database.push(array_literal(
            base.database.iter().map(|value| value.as_deref()),
        ));
        sheet.push(json(&base.sheet));
        hashes.push(columns.sheet_hash.map(|hash| hash.to_string()));
        owed.push(columns.owed);
        batches.push(columns.batch);
        typed.push(write.typed(&mapping.engine).as_ref().map(key_literal));
    }
    vec![
        mapping.id.into(),
        keys.into(),
        database.into(),
        sheet.into(),
        hashes.into(),
        owed.into(),
        batches.into(),
        typed.into(),
    ]
}
