//! Rows of the table with their base rows and pending conflicts, all from one snapshot.

use engine::effect::{Decision, LoadedRow, PendingConflict};
use engine::mapping::Side;
use engine::renames::Renames;
use engine::value::{Base, Cell, Datum, Key, Text, Timestamp};

use super::{Cycle, column_number, key_literal, keys};
use crate::postgres::fields::Fields;
use crate::postgres::role::as_reader;
use crate::postgres::statement::Session;
use crate::postgres::transaction::subtransaction;
use crate::worker::mappings::Loaded;

pub fn rows(
    session: &mut Session,
    mapping: &Loaded,
    cycle: &Cycle,
    keys: Vec<Key>,
) -> Vec<LoadedRow> {
    let mut loaded: Vec<LoadedRow> = keys
        .into_iter()
        .map(|key| LoadedRow {
            changed_at: cycle.changed_at.get(&key).copied(),
            key,
            row: None,
            spelled: None,
            in_filter: true,
            base: None,
            moved: None,
            pending: Vec::new(),
        })
        .collect();
    add_table_rows(session, mapping, &mut loaded);
    let literals: Vec<String> = loaded.iter().map(|row| key_literal(&row.key)).collect();
    add_bases(session, mapping, cycle, &literals, &mut loaded);
    add_moved(session, mapping, &mut loaded);
    add_times(session, mapping, &literals, &mut loaded);
    add_conflicts(session, mapping, &literals, &mut loaded);
    loaded
}

/// As the table will print what a person decided; what its type does not take is left to the table to refuse.
fn printed(mapping: &Loaded, column: Option<usize>, value: Text) -> Text {
    let Some(typed) = column.and_then(|number| mapping.columns.get(number)) else {
        return value;
    };
    let read = || typed.value.canonical(&value).into();
    subtransaction(|| as_reader(mapping.run_as, read)).unwrap_or(value)
}

/// Which of the rows that stand on one side only are one row, by the changes of keys that wait in the queue.
fn add_moved(session: &mut Session, mapping: &Loaded, loaded: &mut [LoadedRow]) {
    let mut one_sided = loaded
        .iter_mut()
        .filter(|row| row.row.is_some() != row.base.is_some())
        .peekable();
    if one_sided.peek().is_none() {
        return;
    }
    // What has been followed already, before a crash or by the last cycle, is not where the row came from.
    let pairs = session.select(
        "SELECT d.renamed_from::text, d.key::text FROM sheet_sync._dirty_key d
         WHERE d.mapping_id = $1 AND d.renamed_from IS NOT NULL
           AND (NOT EXISTS (SELECT FROM sheet_sync._base_row b WHERE b.mapping_id = $1 AND b.key = d.key::text)
                OR EXISTS (SELECT FROM sheet_sync._base_row b WHERE b.mapping_id = $1 AND b.key = d.renamed_from::text))
         ORDER BY d.id",
        &[mapping.id.into()],
    );
    let renames = Renames::new(pairs.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        (fields.key(), fields.key())
    }));
    for row in one_sided {
        row.moved = renames.moved(&row.key, row.row.is_some());
    }
}

/// The table is read as the mapping's role: what row-level security hides from it does not exist for the sheet.
fn add_table_rows(session: &mut Session, mapping: &Loaded, loaded: &mut [LoadedRow]) {
    let names: Vec<String> = mapping
        .columns
        .iter()
        .map(|column| format!("t.{}", column.name))
        .collect();
    let filter = mapping.row_filter.as_deref().map_or_else(
        || "true".to_owned(),
        |filter| format!("COALESCE(({filter}\n), false)"),
    );
    let sql = format!(
        "SELECT k.place, {filter}, {} FROM {} JOIN {} t ON {}",
        names.join(", "),
        keys::given(mapping, "k", 1),
        mapping.table,
        keys::equal_to_row(mapping, "k"),
    );
    let args = keys::given_args(mapping, loaded.iter().map(|row| &row.key));
    for row in as_reader(mapping.run_as, || session.select(&sql, &args)) {
        let mut fields = Fields::of(row);
        let place = fields.number() as usize - 1;
        let in_filter = fields.flag();
        if let Some(target) = loaded.get_mut(place) {
            let row: Vec<Datum> = (0..mapping.columns.len()).map(|_| fields.datum()).collect();
            match mapping.engine.key_of_row(&row) {
                Some(key) if key != target.key => target.spelled = Some(key),
                _ => {
                    target.in_filter = in_filter;
                    target.row = Some(row);
                }
            }
        }
    }
}

fn add_bases(
    session: &mut Session,
    mapping: &Loaded,
    cycle: &Cycle,
    literals: &[String],
    loaded: &mut [LoadedRow],
) {
    let (sought, mut based): (Vec<&str>, Vec<&mut LoadedRow>) = literals
        .iter()
        .map(String::as_str)
        .zip(loaded)
        .filter(|(_, row)| !cycle.without_base.contains(&row.key))
        .unzip();
    if sought.is_empty() {
        return;
    }
    let rows = session.select(
        "SELECT k.place, b.database_values::text, b.sheet_values \
         FROM pg_catalog.unnest($2) WITH ORDINALITY k(key, place) \
         JOIN sheet_sync._base_row b ON b.mapping_id = $1 AND b.key = k.key",
        &[mapping.id.into(), sought.into()],
    );
    for row in rows {
        let mut fields = Fields::of(row);
        let place = fields.number() as usize - 1;
        let database: Vec<Datum> = fields.array();
        let sheet: Vec<Cell> = serde_json::from_str(&fields.text()).unwrap_or_default();
        if let Some(target) = based.get_mut(place) {
            target.base = Some(Base { database, sheet });
        }
    }
}

/// When rows changed that changed after the cycle began. Where a tie is the database's they win with or without a time.
fn add_times(
    session: &mut Session,
    mapping: &Loaded,
    literals: &[String],
    loaded: &mut [LoadedRow],
) {
    if mapping.engine.tie == Side::Database {
        return;
    }
    let rows = session.select(
        "SELECT k.place, (EXTRACT(epoch FROM pg_catalog.max(d.changed_at)) * 1000000)::bigint \
         FROM pg_catalog.unnest($2) WITH ORDINALITY k(key, place) \
         JOIN sheet_sync._dirty_key d ON d.mapping_id = $1 AND d.key = k.key::text[] GROUP BY k.place",
        &[mapping.id.into(), literals.to_vec().into()],
    );
    for row in rows {
        let mut fields = Fields::of(row);
        let place = fields.number() as usize - 1;
        let at = Timestamp(fields.number());
        if let Some(target) = loaded.get_mut(place) {
            target.changed_at = target.changed_at.max(Some(at));
        }
    }
}

fn add_conflicts(
    session: &mut Session,
    mapping: &Loaded,
    literals: &[String],
    loaded: &mut [LoadedRow],
) {
    // Asked once first: mostly there is none at all, and then none of thousands of keys has to be turned into an array.
    let rows = session.select(
        "SELECT k.place, c.id, c.column_name, c.database_absent, c.database_value, c.sheet_absent, c.sheet_value, c.decision, c.decided_value \
         FROM pg_catalog.unnest($2) WITH ORDINALITY k(key, place) \
         JOIN sheet_sync.conflict c ON c.mapping_id = $1 AND c.key = k.key::text[] AND NOT c.settled AND c.winner = 'pending' \
         WHERE EXISTS (SELECT FROM sheet_sync.conflict c WHERE c.mapping_id = $1 AND NOT c.settled AND c.winner = 'pending') \
         ORDER BY c.id",
        &[mapping.id.into(), literals.to_vec().into()],
    );
    for row in rows {
        let mut fields = Fields::of(row);
        let place = fields.number() as usize - 1;
        let id = fields.number();
        let column_text = fields.optional();
        let column = column_text
            .as_deref()
            .and_then(|name| column_number(mapping, name));
        let database_absent = fields.flag();
        let database = fields.datum();
        let sheet_absent = fields.flag();
        let sheet = fields
            .optional()
            .and_then(|json| serde_json::from_str(&json).ok());
        let decision = match fields.optional().as_deref() {
            Some("database") => Some(Decision::Side(Side::Database)),
            Some("sheet") => Some(Decision::Side(Side::Sheet)),
            Some("value") => Some(Decision::Value(
                fields.datum().map(|value| printed(mapping, column, value)),
            )),
            _ => None,
        };
        // A conflict about a column that has since left the mapping concerns nobody.
        if column_text.is_some() && column.is_none() {
            continue;
        }
        if let Some(target) = loaded.get_mut(place) {
            target.pending.push(PendingConflict {
                id,
                column,
                database: (!database_absent).then_some(database),
                sheet: if sheet_absent {
                    None
                } else {
                    Some(sheet.unwrap_or(Cell::Empty))
                },
                decision,
            });
        }
    }
}
