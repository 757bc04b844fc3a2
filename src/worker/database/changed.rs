//! Which rows of the table differ from the base: one pass over each, remembering hashes and no
//! cells.

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
        "SELECT key, database_values::text FROM sheet_sync._base_row WHERE mapping_id = $1",
        &[mapping.id.into()],
        |row| {
            let mut fields = Fields::of(row);
            let key = fields.text();
            let values = fields.array();
            bases.insert(key, (!values.is_empty()).then(|| hasher.hash_one(&values)));
        },
    );

    // Where nothing is agreed on yet, every row is new whatever it holds.
    let columns: Vec<usize> = match bases.is_empty() {
        true => mapping.engine.key.clone(),
        false => (0..mapping.columns.len()).collect(),
    };
    let in_key = |place: &usize| columns.iter().position(|column| column == place);
    let key_places: Vec<usize> = mapping.engine.key.iter().filter_map(in_key).collect();
    let mut changed = Vec::new();
    as_reader(mapping.run_as, || {
        session.select_each(&select(mapping, &columns), &[], |row| {
            let key = || key_places.iter().map(|place| row[*place].as_deref());
            let base = bases.remove(&array_literal(key()));
            if base.flatten() != Some(hash(&hasher, &row)) {
                changed.push(key().map(Option::unwrap_or_default).collect::<Key>());
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

/// All rows of the table in the order of their keys.
fn select(mapping: &Loaded, columns: &[usize]) -> String {
    let name = |place: &usize| format!("t.{}", mapping.columns[*place].name);
    let names: Vec<String> = columns.iter().map(name).collect();
    let keys: Vec<String> = mapping.engine.key.iter().map(name).collect();
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
