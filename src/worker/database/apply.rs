//! One row's change to the user's table, as the mapping's role, in a sub-transaction.

use crate::postgres::errors::refuse;
use engine::effect::{Applied, Apply, Change, Refusal};
use engine::value::Datum;
use pgrx::prelude::*;
use std::cell::Cell;

use super::{column_number, keys};
use crate::postgres::role::as_writer;
use crate::postgres::statement::{Arg, Row, Session};
use crate::postgres::transaction::subtransaction;
use crate::worker::mappings::Loaded;

enum Attempt {
    Done(Option<Row>),
    Stale,
}

/// Cells that Postgres does not take are left out of an update, and refuse an insert: half a row is not what was typed.
pub fn apply(session: &mut Session, mapping: &Loaded, apply: &Apply) -> Applied {
    let mut refused: Vec<(usize, Refusal)> = Vec::new();
    loop {
        let bad_column = Cell::new(None);
        let attempt = subtransaction(|| {
            as_writer(mapping.run_as, || {
                change(session, mapping, apply, &refused, &bad_column)
            })
        });
        let bad = match &attempt {
            Err(refusal) => bad_column
                .get()
                .or_else(|| blamed(session, mapping, &apply.change, refusal)),
            Ok(_) => None,
        };
        match (attempt, bad) {
            (Ok(Attempt::Done(row)), _) => return Applied::Done { row, refused },
            (Ok(Attempt::Stale), _) => return Applied::Stale,
            (Err(refusal), None) => {
                return Applied::Refused {
                    cells: refused,
                    row: Some(refusal),
                };
            }
            (Err(refusal), Some(column)) => {
                refused.push((column, refusal));
                match &apply.change {
                    Change::Update { values, .. }
                        if !mapping.engine.key.contains(&column)
                            && values.len() > refused.len() => {}
                    Change::Insert { values } => {
                        refused.extend(other_bad_cells(mapping, values, column));
                        return Applied::Refused {
                            cells: refused,
                            row: None,
                        };
                    }
                    _ => {
                        return Applied::Refused {
                            cells: refused,
                            row: None,
                        };
                    }
                }
            }
        }
    }
}

/// The one changed column that a violated constraint is about; where it is about several, the whole row is refused.
fn blamed(
    session: &mut Session,
    mapping: &Loaded,
    change: &Change,
    refusal: &Refusal,
) -> Option<usize> {
    let Change::Update { values, .. } = change else {
        return None;
    };
    let rows = match refusal.sqlstate.as_str() {
        "23502" => session.execute(
            "SELECT k.column_name FROM sheet_sync.mapping_column k WHERE k.mapping_id = $1 \
             AND pg_catalog.strpos($2, pg_catalog.format('column \"%s\"', k.column_name)) > 0",
            &[mapping.id.into(), refusal.message.as_str().into()],
        ),
        "23503" | "23505" | "23514" => session.execute(
            "SELECT k.column_name FROM sheet_sync.mapping m JOIN sheet_sync.mapping_column k ON k.mapping_id = m.id \
             JOIN pg_catalog.pg_constraint c ON c.conrelid = m.table_name AND c.conkey = ARRAY[k.attnum] \
             WHERE m.id = $1 AND pg_catalog.strpos($2, pg_catalog.format('constraint \"%s\"', c.conname)) > 0",
            &[mapping.id.into(), refusal.message.as_str().into()],
        ),
        _ => Vec::new(),
    };
    let name = rows.into_iter().flatten().flatten().next()?;
    column_number(mapping, &name)
        .filter(|column| values.iter().any(|(changed, _)| changed == column))
}

fn other_bad_cells(
    mapping: &Loaded,
    values: &[(usize, Datum)],
    known: usize,
) -> Vec<(usize, Refusal)> {
    values
        .iter()
        .filter(|(column, _)| *column != known)
        .filter_map(|(column, value)| {
            let check = || {
                as_writer(mapping.run_as, || {
                    mapping.columns[*column].value.argument(value.as_deref());
                })
            };
            subtransaction(check)
                .err()
                .map(|refusal| (*column, refusal))
        })
        .collect()
}

fn change(
    session: &mut Session,
    mapping: &Loaded,
    apply: &Apply,
    refused: &[(usize, Refusal)],
    bad_column: &Cell<Option<usize>>,
) -> Attempt {
    let mut args = Args {
        mapping,
        bad_column,
        list: Vec::new(),
    };
    match &apply.change {
        Change::Insert { values } => insert(session, apply, values, &mut args),
        Change::Update { values, expected } => {
            if !lock_unchanged(session, mapping, apply, expected) {
                return Attempt::Stale;
            }
            let taken = values
                .iter()
                .filter(|(column, _)| !refused.iter().any(|(bad, _)| bad == column));
            let sets: Vec<String> = taken
                .map(|(column, value)| {
                    format!(
                        "{} = {}",
                        mapping.columns[*column].name,
                        args.add(*column, value.as_deref())
                    )
                })
                .collect();
            let key = where_key(mapping, apply, &mut args);
            let sql = format!(
                "UPDATE {} AS t SET {} WHERE {key} RETURNING {}",
                mapping.table,
                sets.join(", "),
                all_columns(mapping)
            );
            Attempt::Done(Some(only_row(session.execute(&sql, &args.list))))
        }
        Change::Delete { expected } => {
            if !lock_unchanged(session, mapping, apply, expected) {
                return Attempt::Stale;
            }
            let key = where_key(mapping, apply, &mut args);
            let sql = format!(
                "DELETE FROM {} AS t WHERE {key} RETURNING {}",
                mapping.table,
                all_columns(mapping)
            );
            only_row(session.execute(&sql, &args.list));
            Attempt::Done(None)
        }
    }
}

fn insert(
    session: &mut Session,
    apply: &Apply,
    values: &[(usize, Datum)],
    args: &mut Args,
) -> Attempt {
    let mapping = args.mapping;
    let names: Vec<&str> = values
        .iter()
        .map(|(column, _)| mapping.columns[*column].name.as_str())
        .collect();
    let places: Vec<String> = values
        .iter()
        .map(|(column, value)| args.add(*column, value.as_deref()))
        .collect();
    let keys: Vec<&str> = mapping
        .engine
        .key
        .iter()
        .map(|place| mapping.columns[*place].name.as_str())
        .collect();
    let overriding = if values
        .iter()
        .any(|(column, _)| mapping.columns[*column].identity_always)
    {
        " OVERRIDING SYSTEM VALUE"
    } else {
        ""
    };
    let filter = mapping.row_filter.as_deref().map_or_else(
        || "true".to_owned(),
        |filter| format!("COALESCE(({filter}\n), false)"),
    );
    let sql = format!(
        "INSERT INTO {} AS t ({}){overriding} VALUES ({})",
        mapping.table,
        names.join(", "),
        places.join(", "),
    );
    let returning = format!("RETURNING {}, {filter}", all_columns(mapping));
    let unless_there = format!(
        "{sql} ON CONFLICT ({}) DO NOTHING {returning}",
        keys.join(", ")
    );
    let first = |rows: Vec<Row>| rows.into_iter().next();
    let row = match first(session.execute(&unless_there, &args.list)) {
        Some(row) => Some(row),
        None if is_there(session, mapping, apply) => return Attempt::Stale,
        // A trigger made another key of it, which is there: the table says so in its own words.
        None => first(session.execute(&format!("{sql} {returning}"), &args.list)),
    };
    let Some(mut row) = row else {
        refuse(
            PgSqlErrorCode::ERRCODE_TRIGGERED_ACTION_EXCEPTION,
            "a trigger or a policy of the table kept the row back",
            "Look at the table's BEFORE INSERT triggers and row-level security.",
        );
    };
    if row.pop().flatten().as_deref() != Some("t") {
        refuse(
            PgSqlErrorCode::ERRCODE_WITH_CHECK_OPTION_VIOLATION,
            "the row does not match the mapping's row_filter",
            format!(
                "Only rows for which ({}) holds belong in this sheet.",
                mapping.row_filter.as_deref().unwrap_or("true")
            ),
        );
    }
    Attempt::Done(Some(row))
}

/// Somebody inserted the same key a moment ago, in whatever spelling: their own capture makes it dirty.
fn is_there(session: &mut Session, mapping: &Loaded, apply: &Apply) -> bool {
    let never = Cell::new(None);
    let mut args = Args {
        mapping,
        bad_column: &never,
        list: Vec::new(),
    };
    let key = where_key(mapping, apply, &mut args);
    let sql = format!("SELECT FROM {} AS t WHERE {key}", mapping.table);
    !session.execute(&sql, &args.list).is_empty()
}

/// Lock the row and see whether it is still what the engine decided upon.
fn lock_unchanged(
    session: &mut Session,
    mapping: &Loaded,
    apply: &Apply,
    expected: &[Datum],
) -> bool {
    let never = Cell::new(None);
    let mut args = Args {
        mapping,
        bad_column: &never,
        list: Vec::new(),
    };
    let key = where_key(mapping, apply, &mut args);
    let sql = format!(
        "SELECT {} FROM {} AS t WHERE {key} FOR UPDATE",
        all_columns(mapping),
        mapping.table
    );
    session
        .execute(&sql, &args.list)
        .into_iter()
        .next()
        .as_deref()
        == Some(expected)
}

fn where_key(mapping: &Loaded, apply: &Apply, args: &mut Args) -> String {
    keys::row_has(mapping, |n, place| {
        let text = apply.key.0.get(n).map(|text| text.as_str());
        args.add(place, text)
    })
}

fn all_columns(mapping: &Loaded) -> String {
    let names: Vec<String> = mapping
        .columns
        .iter()
        .map(|column| format!("t.{}", column.name))
        .collect();
    names.join(", ")
}

/// A locked row that is not there for the statement itself was kept back by a trigger or a policy.
fn only_row(rows: Vec<Row>) -> Row {
    rows.into_iter().next().unwrap_or_else(|| {
        refuse(
            PgSqlErrorCode::ERRCODE_TRIGGERED_ACTION_EXCEPTION,
            "a trigger or a policy of the table kept the change back",
            "Look at the table's BEFORE triggers and row-level security.",
        );
    })
}

/// Typed arguments of a statement; remembers which column's text was being read when its type refused it.
struct Args<'a> {
    mapping: &'a Loaded,
    bad_column: &'a Cell<Option<usize>>,
    list: Vec<Arg>,
}

impl Args<'_> {
    fn add(&mut self, column: usize, text: Option<&str>) -> String {
        self.bad_column.set(Some(column));
        self.list
            .push(self.mapping.columns[column].value.argument(text));
        self.bad_column.set(None);
        format!("${}", self.list.len())
    }
}
