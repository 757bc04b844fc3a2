//! The keys that capture has left for a mapping.

use engine::effect::DirtyKey;
use engine::value::{Key, Timestamp};
use std::collections::HashMap;

use super::mappings::{Glance, Loaded};
use crate::postgres::fields::Fields;
use crate::postgres::role::as_reader;
use crate::postgres::statement::{Arg, Session};
use crate::postgres::tenant::transaction_of;

/// How many lines one cycle takes; the rest stays for the next.
const AT_ONCE: i64 = 50_000;

/// Where lines of `_dirty_key` can be that are there now, or come to be. While somebody holds a
/// snapshot, a line that is deleted stays in table and index, and whoever looks from the first one
/// on comes by all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// Added by this transaction or a later one,
    first: u64,
    /// or by one of these earlier ones, which were under way: one that is prepared may be so for
    /// days.
    open: Vec<u64>,
}

impl Since {
    /// For [`LINES`].
    pub fn args(&self) -> [Arg; 2] {
        [self.first.to_string().into(), numbers(&self.open).into()]
    }
}

/// The lines of mapping `$1` since then (`$2` and `$3`), as a table. OFFSET 0 keeps the planner
/// from going through all lines for the few that are of an open transaction.
pub const LINES: &str = "(SELECT l.* FROM sheet_sync._dirty_key l WHERE l.mapping_id = $1 AND l.added_in >= $2::xid8 \
     UNION ALL SELECT l.* FROM pg_catalog.unnest($3::xid8[]) o(transaction) CROSS JOIN LATERAL ( \
         SELECT l.* FROM sheet_sync._dirty_key l WHERE l.mapping_id = $1 AND l.added_in = o.transaction OFFSET 0) l)";

fn numbers(transactions: &[u64]) -> Vec<String> {
    transactions.iter().map(u64::to_string).collect()
}

/// As `pg_current_snapshot()` prints it: `xmin:xmax:xip,…`.
struct Snapshot {
    text: String,
    /// Transactions from this one on had not begun.
    next: u64,
    /// These had, and had not ended.
    open: Vec<u64>,
}

impl Snapshot {
    /// The one that all selects of a transaction see.
    fn current(session: &mut Session) -> Self {
        let rows = session.select("SELECT pg_catalog.pg_current_snapshot()::text", &[]);
        let text = rows.into_iter().next().map(|row| Fields::of(row).text());
        let text = text.unwrap_or_default();
        let mut parts = text.splitn(3, ':').skip(1);
        let next = parts.next().and_then(|next| next.parse().ok());
        let open = parts.next().unwrap_or_default().split(',');
        Self {
            next: next.unwrap_or(0),
            open: open.filter_map(|one| one.parse().ok()).collect(),
            text,
        }
    }

    /// Where lines can be that it does not show, and those from `lowest` on that it does.
    fn since(&self, lowest: Option<u64>) -> Since {
        let first = lowest.map_or(self.next, |lowest| lowest.min(self.next));
        let mut open = self.open.clone();
        open.retain(|one| *one < first);
        Since { first, open }
    }
}

/// Where the lines of each mapping can be.
#[derive(Default)]
pub struct Waiting {
    /// For as long as the mapping is not changed.
    known: HashMap<i32, (String, Since)>,
}

impl Waiting {
    /// Which of the mappings have lines, and where those are. Called with the snapshot in which the
    /// mappings were read.
    pub fn look(&mut self, session: &mut Session, glances: &mut [Glance]) {
        let snapshot = Snapshot::current(session);
        let before: Vec<(i32, Since)> = glances
            .iter()
            .map(|glance| (glance.id, self.of(glance)))
            .collect();
        let lowest = lowest(session, &before);
        self.known.clear();
        for glance in glances {
            let lowest = lowest.get(&glance.id).copied();
            glance.has_dirty = lowest.is_some();
            glance.since = snapshot.since(lowest);
            let generation = glance.version.generation().to_owned();
            self.known
                .insert(glance.id, (generation, glance.since.clone()));
        }
    }

    fn of(&self, glance: &Glance) -> Since {
        match self.known.get(&glance.id) {
            Some((generation, since)) if generation == glance.version.generation() => since.clone(),
            _ => Since::default(),
        }
    }
}

/// By mapping the transaction of its first line, where it has any.
fn lowest(session: &mut Session, mappings: &[(i32, Since)]) -> HashMap<i32, u64> {
    let ids: Vec<i32> = mappings.iter().map(|(id, _)| *id).collect();
    let firsts: Vec<u64> = mappings.iter().map(|(_, since)| since.first).collect();
    let mut open: Vec<u64> = mappings
        .iter()
        .flat_map(|(_, since)| since.open.clone())
        .collect();
    open.sort_unstable();
    open.dedup();
    let rows = session.by_index(|session| {
        session.select(
            "SELECT m.id, l.added_in FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) m(id, first) CROSS JOIN LATERAL ( \
                 SELECT l.added_in FROM sheet_sync._dirty_key l WHERE l.mapping_id = m.id AND l.added_in >= m.first::xid8 ORDER BY l.added_in LIMIT 1) l \
             UNION ALL \
             SELECT m.id, l.added_in FROM pg_catalog.unnest($1) m(id) CROSS JOIN pg_catalog.unnest($3::xid8[]) o(transaction) CROSS JOIN LATERAL ( \
                 SELECT l.added_in FROM sheet_sync._dirty_key l WHERE l.mapping_id = m.id AND l.added_in = o.transaction LIMIT 1) l",
            &[ids.into(), numbers(&firsts).into(), numbers(&open).into()],
        )
    });
    let mut lowest = HashMap::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let (id, added_in) = (fields.number() as i32, transaction(&mut fields));
        let known = lowest.entry(id).or_insert(added_in);
        *known = added_in.min(*known);
    }
    lowest
}

fn transaction(fields: &mut Fields) -> u64 {
    fields.text().parse().unwrap_or(0)
}

#[derive(Default)]
pub struct Dirty {
    /// `None` where there were none.
    pub lines: Option<Lines>,
    /// In the order in which they first changed.
    pub keys: Vec<DirtyKey>,
    /// Compare the whole table.
    pub everything: bool,
    pub truncated: bool,
    /// Where lines are that were not among these.
    pub newer: Since,
}

/// The lines that were read, to be deleted when they are dealt with.
pub struct Lines {
    /// Of the lines from this transaction on
    lowest: u64,
    /// those that this snapshot shows,
    snapshot: String,
    /// and of those with a key up to this one, where there were others.
    last: Option<i64>,
}

impl Lines {
    pub fn delete(&self, session: &mut Session, mapping: i32) {
        session.by_index(|session| {
            session.execute(
                "DELETE FROM sheet_sync._dirty_key d WHERE d.mapping_id = $1 AND d.added_in >= $2::xid8 \
                   AND pg_catalog.pg_visible_in_snapshot(d.added_in, $3::pg_snapshot) AND ($4 IS NULL OR d.key IS NULL OR d.key = '{}' OR d.id <= $4)",
                &[
                    mapping.into(),
                    self.lowest.to_string().into(),
                    self.snapshot.as_str().into(),
                    self.last.into(),
                ],
            )
        });
    }
}

pub fn read(session: &mut Session, mapping: i32, key_columns: usize, since: &Since) -> Dirty {
    let mut dirty = Dirty::default();
    let mut places: HashMap<Key, usize> = HashMap::new();
    let snapshot = Snapshot::current(session);
    let [first, open] = since.args();
    let rows = session.by_index(|session| {
        session.select(
            &format!(
                "SELECT d.id, d.added_in, d.key IS NULL, d.key::text, (EXTRACT(epoch FROM d.changed_at) * 1000000)::bigint \
                 FROM {LINES} d ORDER BY d.key IS DISTINCT FROM '{{}}', d.key IS NOT NULL, d.id LIMIT $4"
            ),
            &[mapping.into(), first, open, AT_ONCE.into()],
        )
    });
    let there_are_others = rows.len() as i64 == AT_ONCE;
    dirty.newer = match there_are_others {
        true => since.clone(),
        false => snapshot.since(None),
    };
    for row in rows {
        let mut fields = Fields::of(row);
        let (id, added_in) = (fields.number(), transaction(&mut fields));
        let lines = dirty.lines.get_or_insert_with(|| Lines {
            lowest: added_in,
            snapshot: snapshot.text.clone(),
            last: None,
        });
        lines.lowest = lines.lowest.min(added_in);
        let is_null = fields.flag();
        let key = fields.key();
        let at = Timestamp(fields.number());
        // Marks come first, whatever their ids, and that the table was truncated before the others:
        // it asks. Where there are only marks, no key was read.
        let is_mark = key.0.is_empty();
        let last = if is_mark { i64::MIN } else { id };
        lines.last = there_are_others.then_some(last);
        if is_mark {
            dirty.everything = true;
            dirty.truncated |= !is_null;
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
/// a pause) must not fill the disk. Of several changes of a row one line is left, at the place of
/// the first and with the time of the last; `as_one`, or where there are too many rows, they give
/// way to one mark to compare everything. Lines that tell which key a row had before stay. No cycle
/// of the mapping is under way: one would delete the line of the first change as dealt with, and
/// the last change with it. Answers how many lines are left.
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
    if has_more(session, mapping, &Since::default(), most) {
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
pub fn has_more(session: &mut Session, mapping: i32, since: &Since, than: i64) -> bool {
    let [first, open] = since.args();
    let sql = format!("SELECT FROM {LINES} d OFFSET $4 LIMIT 1");
    let beyond = session
        .by_index(|session| session.execute(&sql, &[mapping.into(), first, open, than.into()]));
    !beyond.is_empty()
}
