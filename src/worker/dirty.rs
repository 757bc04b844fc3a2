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

/// So many lines are kept of a mapping that does not go on before their number is looked at.
pub const MANY_LINES: i64 = 10_000;
/// More keys than these are as well found by comparing the whole table.
const MOST_KEYS: i64 = 200_000;

/// What is captured for a mapping that does not go on (no network, a question that nobody answers,
/// a pause) must not fill the disk. Of several changes of a row one line is left, at the place of the
/// first and with the time of the last; `as_one`, or where there are too many rows, they give way to
/// one mark to compare everything. Lines that tell which key a row had before stay. Answers how many
/// lines are left.
pub fn bound(session: &mut Session, mapping: i32, as_one: bool) -> i64 {
    session.execute(
        "WITH same AS ( \
             SELECT d.key, pg_catalog.min(d.id) AS first, pg_catalog.max(d.id) AS last, pg_catalog.max(d.changed_at) AS at \
             FROM sheet_sync._dirty_key d WHERE d.mapping_id = $1 AND d.renamed_from IS NULL \
             GROUP BY d.key HAVING pg_catalog.count(*) > 1), \
         kept AS (UPDATE sheet_sync._dirty_key d SET changed_at = s.at FROM same s WHERE d.mapping_id = $1 AND d.id = s.first) \
         DELETE FROM sheet_sync._dirty_key d USING same s \
         WHERE d.mapping_id = $1 AND d.renamed_from IS NULL AND d.key IS NOT DISTINCT FROM s.key AND d.id > s.first AND d.id <= s.last",
        &[mapping.into()],
    );
    let most = if as_one { MANY_LINES } else { MOST_KEYS };
    if has_more(session, mapping, most) {
        session.execute(
            "WITH gone AS (DELETE FROM sheet_sync._dirty_key WHERE mapping_id = $1 AND key <> '{}' AND renamed_from IS NULL RETURNING 1) \
             INSERT INTO sheet_sync._dirty_key (mapping_id, changed_at) SELECT $1, pg_catalog.clock_timestamp() WHERE EXISTS (SELECT FROM gone)",
            &[mapping.into()],
        );
    }
    let left = session.execute(
        "SELECT pg_catalog.count(*) FROM sheet_sync._dirty_key WHERE mapping_id = $1",
        &[mapping.into()],
    );
    let left = left.into_iter().next();
    left.map_or(0, |row| Fields::of(row).number())
}

/// Whether more than so many lines wait.
pub fn has_more(session: &mut Session, mapping: i32, than: i64) -> bool {
    let beyond = session.execute(
        "SELECT FROM sheet_sync._dirty_key WHERE mapping_id = $1 OFFSET $2 LIMIT 1",
        &[mapping.into(), than.into()],
    );
    !beyond.is_empty()
}
