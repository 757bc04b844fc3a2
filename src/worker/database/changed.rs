//! Which rows of the table differ from the base: one pass over each, remembering hashes and no cells.

use engine::effect::DirtyKey;
use engine::value::Key;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::postgres::fields::{Fields, array_literal, parse_array};
use crate::postgres::role::as_reader;
use crate::postgres::statement::{Row, Session};
use crate::worker::mappings::Loaded;

pub fn find(session: &mut Session, mapping: &Loaded) -> Vec<DirtyKey> {
    let hasher = RandomState::new();
    // `None`: the base says that the table has no such row.
    let mut bases: HashMap<String, Option<u64>> = HashMap::new();
    session.select_each(
        "SELECT key::text, database_values::text FROM sheet_sync._base_row WHERE mapping_id = $1",
        &[mapping.id.into()],
        |row| {
            let mut fields = Fields::of(row);
            let key = canonical_literal(&fields.text());
            let values = fields.array();
            bases.insert(key, (!values.is_empty()).then(|| hasher.hash_one(&values)));
        },
    );

    let mut changed = Vec::new();
    as_reader(mapping.run_as, || {
        session.select_each(&select_all(mapping), &[], |row| {
            let key: Vec<Option<&str>> = mapping
                .engine
                .key
                .iter()
                .map(|place| row[*place].as_deref())
                .collect();
            let literal = array_literal(key.iter().copied());
            let base = bases.remove(&literal);
            if base.flatten() != Some(hash(&hasher, &row)) {
                changed.push(key.into_iter().map(Option::unwrap_or_default).collect());
            }
        });
    });
    let gone = bases
        .into_iter()
        .filter(|(_, base)| base.is_some())
        .map(|(literal, _)| {
            let parts = parse_array(&literal).into_iter();
            parts.map(Option::unwrap_or_default).collect::<Key>()
        });
    changed.extend(gone);
    changed
        .into_iter()
        .map(|key| DirtyKey {
            key,
            changed_at: None,
        })
        .collect()
}

fn hash(hasher: &RandomState, row: &Row) -> u64 {
    hasher.hash_one(row)
}

/// Our own form of the literal: Postgres quotes only where it must.
fn canonical_literal(literal: &str) -> String {
    let elements = parse_array(literal);
    array_literal(elements.iter().map(|element| element.as_deref()))
}

fn select_all(mapping: &Loaded) -> String {
    let names: Vec<String> = mapping
        .columns
        .iter()
        .map(|column| format!("t.{}", column.name))
        .collect();
    let keys: Vec<&str> = mapping
        .engine
        .key
        .iter()
        .map(|place| names[*place].as_str())
        .collect();
    let filter = mapping
        .row_filter
        .as_deref()
        .map_or_else(String::new, |filter| format!(" WHERE ({filter}\n)"));
    format!(
        "SELECT {} FROM {} t{filter} ORDER BY {}",
        names.join(", "),
        mapping.table,
        keys.join(", ")
    )
}
