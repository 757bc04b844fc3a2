//! The keys that capture has left for a mapping.

use engine::effect::DirtyKey;
use engine::value::{Key, Timestamp};
use std::collections::HashMap;

use super::mappings::Loaded;
use crate::postgres::fields::Fields;
use crate::postgres::role::as_reader;
use crate::postgres::statement::Session;
use crate::postgres::tenant::transaction_of;

/// How many lines one cycle takes; the rest stays for the next.
const AT_ONCE: i64 = 50_000;

pub struct Dirty {
    /// Lines of `_dirty_key`, to be deleted one by one when they are dealt with: lower ids may
    /// commit later.
    pub ids: Vec<i64>,
    /// In the order in which they first changed.
    pub keys: Vec<DirtyKey>,
    /// Compare the whole table.
    pub everything: bool,
    pub truncated: bool,
}

pub fn read(session: &mut Session, mapping: i32, key_columns: usize) -> Dirty {
    let mut dirty = Dirty {
        ids: Vec::new(),
        keys: Vec::new(),
        everything: false,
        truncated: false,
    };
    let mut places: HashMap<Key, usize> = HashMap::new();
    let rows = session.select(
        "SELECT id, key IS NULL, key::text, (EXTRACT(epoch FROM changed_at) * 1000000)::bigint FROM sheet_sync._dirty_key \
         WHERE mapping_id = $1 ORDER BY key IS NOT NULL, id LIMIT $2",
        &[mapping.into(), AT_ONCE.into()],
    );
    for row in rows {
        let mut fields = Fields::of(row);
        dirty.ids.push(fields.number());
        if fields.flag() {
            dirty.everything = true;
            continue;
        }
        let key = fields.key();
        let at = Timestamp(fields.number());
        if key.0.is_empty() {
            dirty.everything = true;
            dirty.truncated = true;
            continue;
        }
        match places.get(&key) {
            Some(place) => {
                let known: &mut DirtyKey = &mut dirty.keys[*place];
                known.changed_at = known.changed_at.max(Some(at));
            }
            None if key.0.len() == key_columns => {
                places.insert(key.clone(), dirty.keys.len());
                let changed_at = Some(at);
                dirty.keys.push(DirtyKey { key, changed_at });
            }
            None => {}
        }
    }
    dirty
}

/// True where the table has no rows now; on an error too, since then nothing must be taken for
/// well.
pub fn is_empty(mapping: &Loaded) -> bool {
    let sql = format!("SELECT FROM {} LIMIT 1", mapping.table);
    transaction_of(mapping.run_as, |session| {
        mapping.keep(session);
        as_reader(mapping.run_as, || session.select(&sql, &[]).is_empty())
    })
    .unwrap_or(true)
}

/// How often the mapping was changed; empty where it is gone. Read in one snapshot with what waits.
pub fn generation(session: &mut Session, mapping: i32) -> String {
    let rows = session.select(
        "SELECT generation::text FROM sheet_sync.mapping WHERE id = $1",
        &[mapping.into()],
    );
    rows.into_iter()
        .next()
        .map(|row| Fields::of(row).text())
        .unwrap_or_default()
}
