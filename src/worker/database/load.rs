//! Rows of the table with their base rows and pending conflicts, all from one snapshot.

use std::collections::HashMap;
use std::ops::ControlFlow;

use engine::effect::{Decision, LoadedRow, PendingConflict, PendingRows};
use engine::mapping::Side;
use engine::renames::Renames;
use engine::value::{Base, Cell, Datum, Key, Text, Timestamp};

use pgrx::PgSqlErrorCode;
use serde::de::DeserializeOwned;

use super::{Cycle, column_number, key_literal, keys};
use crate::postgres::errors::{refuse, unreadable};
use crate::postgres::fields::Fields;
use crate::postgres::role::as_reader;
use crate::postgres::statement::{Arg, Row, Session};
use crate::postgres::transaction::readable;
use crate::worker::dirty::LINES;
use crate::worker::mappings::Loaded;

/// How many bytes of values are loaded at a time. A value may have a gigabyte, and what is loaded
/// is held several times over while it is compared.
const ENOUGH: usize = 16 << 20;

/// The first of these rows, as many as are loaded at a time, and the keys of the others.
pub fn rows(
    session: &mut Session,
    mapping: &Loaded,
    cycle: &Cycle,
    keys: Vec<Key>,
) -> (Vec<LoadedRow>, Vec<Key>) {
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
            unsettled: Vec::new(),
        })
        .collect();
    let (reached, unreadable) = add_table_rows(session, mapping, &mut loaded);
    let beyond = loaded.split_off(reached);
    let literals: Vec<String> = loaded.iter().map(|row| key_literal(&row.key)).collect();
    let reached = add_bases(session, mapping, &literals, &mut loaded);
    let left = loaded.split_off(reached).into_iter().chain(beyond);
    let left = left.map(|row| row.key).collect();
    let literals = &literals[..reached];
    add_moved(session, mapping, cycle, &mut loaded);
    // That no row has such a key says nothing about the row that had it, unless that row is known
    // to have another key now.
    let lost = |place: &usize| {
        let row = loaded.get(*place);
        row.is_some_and(|row| row.base.is_some() && row.moved.is_none())
    };
    if unreadable.iter().any(lost) {
        refuse(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "the type of a key column has changed",
            "It is looked at anew in a moment.",
        );
    }
    add_times(session, mapping, cycle, literals, &mut loaded);
    add_conflicts(session, mapping, literals, &mut loaded);
    (loaded, left)
}

/// Takes rows until they are enough.
struct Taken {
    rows: Vec<Row>,
    bytes: usize,
}

impl Taken {
    fn of(session: &mut Session, sql: &str, args: &[Arg]) -> Self {
        let mut taken = Self {
            rows: Vec::new(),
            bytes: 0,
        };
        session.select_while(sql, args, |row| {
            taken.bytes += row.iter().flatten().map(|text| text.len()).sum::<usize>();
            taken.rows.push(row);
            match taken.bytes < ENOUGH {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        taken
    }

    /// The place of the last row, where there may be others.
    fn stopped_at(&self) -> Option<usize> {
        let last = self.rows.last().filter(|_| self.bytes >= ENOUGH)?;
        let place: usize = last.first()?.as_deref()?.parse().ok()?;
        place.checked_sub(1)
    }
}

/// As the table will print what a person decided; what its type does not take is left to the table
/// to refuse.
fn printed(mapping: &Loaded, column: Option<usize>, value: Text) -> Text {
    let Some(typed) = column.and_then(|number| mapping.columns.get(number)) else {
        return value;
    };
    let read = || typed.value.canonical(&value).into();
    readable(|| as_reader(mapping.run_as, read)).unwrap_or(value)
}

/// Which of the rows are one row, by the changes of keys that wait in the queue. That is asked of
/// rows which both sides seem to have, too: one that was about to get its new key has a base under
/// it already.
fn add_moved(session: &mut Session, mapping: &Loaded, cycle: &Cycle, loaded: &mut [LoadedRow]) {
    // What has been followed already, before a crash or by the last cycle, is not where the row
    // came from. A row that only waits to be inserted has a base that says nothing.
    let [first, open] = cycle.waiting.args();
    let sql = format!(
        "SELECT d.renamed_from::text, d.key::text FROM {LINES} d \
         WHERE d.renamed_from IS NOT NULL \
           AND (NOT EXISTS (SELECT FROM sheet_sync._base_row b WHERE b.mapping_id = $1 AND b.key = d.key::text AND b.owed IS DISTINCT FROM 'insert') \
                OR EXISTS (SELECT FROM sheet_sync._base_row b WHERE b.mapping_id = $1 AND b.key = d.renamed_from::text)) \
         ORDER BY d.id"
    );
    let pairs = session.by_index(|session| session.select(&sql, &[mapping.id.into(), first, open]));
    if pairs.is_empty() {
        return;
    }
    let renames = Renames::new(pairs.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        (fields.key(), fields.key())
    }));
    for row in loaded {
        row.moved = renames.moved(&row.key, row.row.is_some());
    }
}

/// Answers how many of the rows it got to, and the places of keys that are no longer values of
/// their types, as when a label of an enum was renamed.
fn add_table_rows(
    session: &mut Session,
    mapping: &Loaded,
    loaded: &mut [LoadedRow],
) -> (usize, Vec<usize>) {
    let all: Vec<usize> = (0..loaded.len()).collect();
    let (taken, places, unreadable) = match readable(|| table_rows(session, mapping, loaded, &all))
    {
        Some(taken) => (taken, all, Vec::new()),
        None => {
            let is_key = |place: &usize| {
                let row = loaded.get(*place);
                row.is_some_and(|row| keys::is_readable(mapping, &row.key))
            };
            let (places, unreadable): (Vec<usize>, Vec<usize>) = all.into_iter().partition(is_key);
            // Where the keys are not to blame, it is raised again.
            let taken = table_rows(session, mapping, loaded, &places);
            (taken, places, unreadable)
        }
    };
    let stopped_at = taken.stopped_at().and_then(|at| places.get(at));
    let reached = stopped_at.map_or(loaded.len(), |place| place + 1);
    for row in taken.rows {
        let mut fields = Fields::of(row);
        let place = places.get((fields.number() as usize).saturating_sub(1));
        let in_filter = fields.flag();
        if let Some(target) = place.and_then(|place| loaded.get_mut(*place)) {
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
    let unreadable = unreadable.into_iter().filter(|place| *place < reached);
    (reached, unreadable.collect())
}

/// The table is read as the mapping's role: what row-level security hides from it does not exist
/// for the sheet.
fn table_rows(
    session: &mut Session,
    mapping: &Loaded,
    loaded: &[LoadedRow],
    places: &[usize],
) -> Taken {
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
        "SELECT k.place, {filter}, {} FROM {} JOIN {} t ON {} ORDER BY k.place",
        names.join(", "),
        keys::given(mapping, "k", 1),
        mapping.table,
        keys::equal_to_row(mapping, "k"),
    );
    let keys = places.iter().filter_map(|place| loaded.get(*place));
    let args = keys::given_args(mapping, keys.map(|row| &row.key));
    as_reader(mapping.run_as, || Taken::of(session, &sql, &args))
}

/// Answers how many of the rows it got to.
fn add_bases(
    session: &mut Session,
    mapping: &Loaded,
    literals: &[String],
    loaded: &mut [LoadedRow],
) -> usize {
    let taken = Taken::of(
        session,
        "SELECT k.place, b.database_values::text, b.sheet_values \
         FROM pg_catalog.unnest($2) WITH ORDINALITY k(key, place) \
         JOIN sheet_sync._base_row b ON b.mapping_id = $1 AND b.key = k.key ORDER BY k.place",
        &[mapping.id.into(), literals.to_vec().into()],
    );
    let reached = taken.stopped_at().map_or(loaded.len(), |place| place + 1);
    for row in taken.rows {
        let mut fields = Fields::of(row);
        let place = (fields.number() as usize).saturating_sub(1);
        let database: Vec<Datum> = fields.array();
        let sheet = fields.text();
        let sheet: Vec<Cell> = serde_json::from_str(&sheet)
            .unwrap_or_else(|_| unreadable("_base_row.sheet_values", &sheet));
        if let Some(target) = loaded.get_mut(place) {
            target.base = Some(Base { database, sheet });
        }
    }
    reached
}

/// The times of rows that changed after the cycle began: what it was told then is older than what
/// they hold now.
fn add_times(
    session: &mut Session,
    mapping: &Loaded,
    cycle: &Cycle,
    literals: &[String],
    loaded: &mut [LoadedRow],
) {
    let [first, open] = cycle.newer.args();
    let sql = format!(
        "SELECT d.key::text, (EXTRACT(epoch FROM pg_catalog.max(d.changed_at)) * 1000000)::bigint \
         FROM {LINES} d WHERE d.key IS NOT NULL GROUP BY d.key"
    );
    let newer = session.by_index(|session| session.select(&sql, &[mapping.id.into(), first, open]));
    if newer.is_empty() {
        return;
    }
    let places = literals.iter().enumerate();
    let places: HashMap<&str, usize> = places.map(|(place, key)| (key.as_str(), place)).collect();
    for row in newer {
        let mut fields = Fields::of(row);
        let place = places.get(fields.text().as_str());
        let at = Timestamp(fields.number());
        if let Some(target) = place.and_then(|place| loaded.get_mut(*place)) {
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
    // Whether there is any line comes first: usually there is none, and then thousands of keys need
    // not be turned into arrays.
    let rows = session.select(
        "SELECT k.place, c.id, c.winner = 'pending', c.column_name, c.database_absent, c.database_value, c.sheet_absent, c.sheet_value, c.database_row, c.sheet_row, c.decision, c.decided_value \
         FROM pg_catalog.unnest($2) WITH ORDINALITY k(key, place) \
         JOIN sheet_sync.conflict c ON c.mapping_id = $1 AND c.key = k.key::text[] AND NOT c.settled \
         WHERE EXISTS (SELECT FROM sheet_sync.conflict c WHERE c.mapping_id = $1 AND NOT c.settled) \
         ORDER BY c.id",
        &[mapping.id.into(), literals.to_vec().into()],
    );
    for row in rows {
        let mut fields = Fields::of(row);
        let place = fields.number() as usize - 1;
        let id = fields.number();
        if !fields.flag() {
            if let Some(target) = loaded.get_mut(place) {
                target.unsettled.push(id);
            }
            continue;
        }
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
        let rows = PendingRows {
            database: numbered(mapping, fields.optional()),
            sheet: numbered(mapping, fields.optional()),
        };
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
                rows: column.is_none().then(|| Box::new(rows)),
                decision,
            });
        }
    }
}

/// A row as it is kept in a conflict's line, by the columns that are mapped now.
fn numbered<T: DeserializeOwned>(mapping: &Loaded, row: Option<String>) -> Option<Vec<(usize, T)>> {
    let named: HashMap<String, T> = serde_json::from_str(&row?).ok()?;
    let known = named
        .into_iter()
        .filter_map(|(name, cell)| Some((column_number(mapping, &name)?, cell)));
    Some(known.collect())
}
