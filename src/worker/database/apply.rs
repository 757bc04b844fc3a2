//! One row's change to the user's table, as the mapping's role, in a sub-transaction.

use crate::postgres::errors::refuse;
use engine::effect::{Applied, Apply, Change, Refusal};
use engine::value::Datum;
use pgrx::prelude::*;
use std::cell::Cell;

use super::{column_number, keys};
use crate::postgres::role::as_writer;
use crate::postgres::statement::{Arg, Row, Session};
use crate::postgres::time_limit;
use crate::postgres::transaction::{is_lock, refusable, subtransaction};
use crate::worker::mappings::Loaded;

/// What became of a try at a whole row.
pub enum Tried {
    Over(Applied),
    /// Other rows are in its way, or are still to come.
    Waits(Refusal),
}

/// How a row is taken hold of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Somebody else's lock may end in a moment: `lock_timeout` says how long that is.
    Patiently,
    /// While rows are held, nobody is waited for.
    AtOnce,
    /// It is held already, and was found to be what the engine decided upon.
    Held,
}

enum Attempt {
    Done(Option<Row>),
    Kept(Row),
    Stale,
}

/// The row as it was typed, or nothing of it where other rows are in its way. Cells whose text the
/// column's type does not take are left out.
pub fn try_whole(session: &mut Session, mapping: &Loaded, apply: &Apply, hold: Hold) -> Tried {
    try_row(session, mapping, apply, hold, true)
}

/// Whatever Postgres takes of the row.
///
/// Cells that it does not take are left out of an update, and refuse an insert: half a row is not
/// what was typed.
pub fn apply(session: &mut Session, mapping: &Loaded, apply: &Apply, hold: Hold) -> Applied {
    match try_row(session, mapping, apply, hold, false) {
        Tried::Over(applied) => applied,
        Tried::Waits(refusal) => Applied::Refused {
            cells: Vec::new(),
            row: Some(refusal),
        },
    }
}

fn try_row(
    session: &mut Session,
    mapping: &Loaded,
    apply: &Apply,
    hold: Hold,
    whole: bool,
) -> Tried {
    let mut refused: Vec<(usize, Refusal)> = Vec::new();
    loop {
        let bad_column = Cell::new(None);
        let attempt = subtransaction(|| {
            as_writer(mapping.run_as, || {
                change(session, mapping, apply, hold, &refused, &bad_column)
            })
        });
        let refusal = match attempt {
            Ok(Attempt::Done(row)) => return Tried::Over(Applied::Done { row, refused }),
            Ok(Attempt::Kept(row)) => return Tried::Over(Applied::Kept { row }),
            Ok(Attempt::Stale) => return Tried::Over(Applied::Stale),
            Err(refusal) if is_lock(&refusal) => return Tried::Over(Applied::Locked),
            Err(refusal) if time_limit::ended(&refusal) => {
                return Tried::Over(Applied::Refused {
                    cells: refused,
                    row: Some(too_long(refusal)),
                });
            }
            Err(refusal) => refusal,
        };
        if whole && bad_column.get().is_none() && refusal.is_about_other_rows() {
            return Tried::Waits(refusal);
        }
        let bad = bad_column
            .get()
            .or_else(|| blamed(session, mapping, &apply.change, &refusal));
        let Some(column) = bad else {
            return Tried::Over(Applied::Refused {
                cells: refused,
                row: Some(refusal),
            });
        };
        refused.push((column, refusal));
        match &apply.change {
            Change::Update { values, .. }
                if !mapping.engine.key.contains(&column) && values.len() > refused.len() => {}
            other => {
                if let Change::Insert { values } = other {
                    refused.extend(other_bad_cells(mapping, values, column));
                }
                return Tried::Over(Applied::Refused {
                    cells: refused,
                    row: None,
                });
            }
        }
    }
}

/// Whether the attempt was ended because the table did not come to an end with it.
pub fn takes_long(applied: &Applied) -> bool {
    matches!(applied, Applied::Refused { row: Some(refusal), .. } if time_limit::ended(refusal))
}

fn too_long(refusal: Refusal) -> Refusal {
    Refusal {
        message: "the table takes too long for this row, so the attempt was ended".to_owned(),
        hint: Some(
            "It is tried again later. Whoever looks after the database can mend the trigger or check that does not come to an end."
                .to_owned(),
        ),
        ..refusal
    }
}

/// The one changed column that a violated constraint is about; where it is about several, the whole
/// row is refused.
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
        "23503" | "23505" | "23514" | "23P01" => session.execute(
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
            refusable(check).err().map(|refusal| (*column, refusal))
        })
        .collect()
}

fn change(
    session: &mut Session,
    mapping: &Loaded,
    apply: &Apply,
    hold: Hold,
    refused: &[(usize, Refusal)],
    bad_column: &Cell<Option<usize>>,
) -> Attempt {
    let mut args = Args::new(mapping, bad_column);
    match &apply.change {
        Change::Insert { values } => insert(session, apply, values, &mut args),
        Change::Update { values, expected } | Change::Enter { values, expected } => {
            if hold != Hold::Held && !is_held(session, mapping, apply, hold) {
                return Attempt::Stale;
            }
            let taken: Vec<&(usize, Datum)> = values
                .iter()
                .filter(|(column, _)| !refused.iter().any(|(bad, _)| bad == column))
                .collect();
            let update = update_statement(mapping, apply, &taken, &mut args);
            let filter = match apply.change {
                Change::Enter { .. } => in_filter(mapping),
                _ => "true".to_owned(),
            };
            let sql = format!("{update} RETURNING {}, {filter}", all_columns(mapping));
            match session.execute(&sql, &args.list).into_iter().next() {
                Some(row) => Attempt::Done(Some(matching(mapping, row))),
                None => not_updated(session, mapping, apply, hold, expected, &taken),
            }
        }
        Change::Delete { .. } => {
            if hold != Hold::Held && !is_held(session, mapping, apply, hold) {
                return Attempt::Stale;
            }
            let delete = delete_statement(mapping, apply, &mut args);
            let sql = format!("{delete} RETURNING {}", all_columns(mapping));
            match session.execute(&sql, &args.list).is_empty() {
                false => Attempt::Done(None),
                true => not_deleted(session, mapping, apply),
            }
        }
    }
}

/// As one statement that other rows' are part of, too: what it changes, and then all mapped columns
/// and whether the row belongs in the sheet.
pub fn statement(mapping: &Loaded, apply: &Apply, args: &mut Args) -> String {
    let change = match &apply.change {
        Change::Insert { values } => insert_statement(mapping, values, args).unless_there,
        Change::Update { values, .. } | Change::Enter { values, .. } => {
            update_statement(mapping, apply, &values.iter().collect::<Vec<_>>(), args)
        }
        Change::Delete { .. } => delete_statement(mapping, apply, args),
    };
    format!(
        "{change} RETURNING {}, {}",
        all_columns(mapping),
        in_filter(mapping)
    )
}

fn update_statement(
    mapping: &Loaded,
    apply: &Apply,
    values: &[&(usize, Datum)],
    args: &mut Args,
) -> String {
    let sets: Vec<String> = values
        .iter()
        .map(|(column, value)| {
            format!(
                "{} = {}",
                mapping.columns[*column].name,
                args.add(*column, value.as_deref())
            )
        })
        .collect();
    let key = where_key(mapping, apply, args);
    format!(
        "UPDATE {} AS t SET {} WHERE {key}",
        mapping.table,
        sets.join(", ")
    )
}

fn delete_statement(mapping: &Loaded, apply: &Apply, args: &mut Args) -> String {
    let key = where_key(mapping, apply, args);
    format!("DELETE FROM {} AS t WHERE {key}", mapping.table)
}

/// A statement in two forms: one that fails where the key is there, and one that then does nothing.
struct Insert {
    insert: String,
    unless_there: String,
}

fn insert_statement(mapping: &Loaded, values: &[(usize, Datum)], args: &mut Args) -> Insert {
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
    let identity = |(column, _): &(usize, Datum)| mapping.columns[*column].identity_always;
    let overriding = match values.iter().any(identity) {
        true => " OVERRIDING SYSTEM VALUE",
        false => "",
    };
    let insert = format!(
        "INSERT INTO {} AS t ({}){overriding} VALUES ({})",
        mapping.table,
        names.join(", "),
        places.join(", "),
    );
    Insert {
        unless_there: format!("{insert} ON CONFLICT ({}) DO NOTHING", keys.join(", ")),
        insert,
    }
}

fn insert(
    session: &mut Session,
    apply: &Apply,
    values: &[(usize, Datum)],
    args: &mut Args,
) -> Attempt {
    let mapping = args.mapping;
    let Insert {
        insert,
        unless_there,
    } = insert_statement(mapping, values, args);
    let returning = format!("RETURNING {}, {}", all_columns(mapping), in_filter(mapping));
    let rows = session.execute(&format!("{unless_there} {returning}"), &args.list);
    if let Some(row) = rows.into_iter().next() {
        return Attempt::Done(Some(matching(mapping, row)));
    }
    // Somebody inserted the same key a moment ago, in whatever spelling: their own capture makes it
    // dirty.
    if row_now(session, mapping, apply).is_some() {
        return Attempt::Stale;
    }
    // Where a trigger made a key of it that is there already, the table says so in its own words.
    let rows = session.execute(&format!("{insert} {returning}"), &args.list);
    let Some(row) = rows.into_iter().next() else {
        refuse(
            PgSqlErrorCode::ERRCODE_TRIGGERED_ACTION_EXCEPTION,
            "the table did not keep this row: a trigger or a policy of the table turned it away, or put it somewhere else",
            "Take the row out of the sheet, or ask whoever looks after the database where such rows belong.",
        );
    };
    Attempt::Done(Some(matching(mapping, row)))
}

fn in_filter(mapping: &Loaded) -> String {
    mapping.row_filter.as_deref().map_or_else(
        || "true".to_owned(),
        |filter| format!("COALESCE(({filter}\n), false)"),
    )
}

/// A returned row without its last column, which says whether it belongs in this sheet; one that
/// does not is refused.
fn matching(mapping: &Loaded, mut row: Row) -> Row {
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
    row
}

/// The row was held, and the statement itself did not see it: a trigger did something else instead,
/// and what became of the row is followed; or it did nothing.
fn not_updated(
    session: &mut Session,
    mapping: &Loaded,
    apply: &Apply,
    hold: Hold,
    expected: &[Datum],
    taken: &[&(usize, Datum)],
) -> Attempt {
    match row_now(session, mapping, apply) {
        // A row that is held may have stepped aside: what it shows is then nobody's wish.
        Some((row, _)) if row == expected || hold == Hold::Held => refuse(
            PgSqlErrorCode::ERRCODE_TRIGGERED_ACTION_EXCEPTION,
            "the table kept the row as it was: a trigger or a policy of the table does not take this change",
            "Undo the change in the sheet, or ask whoever looks after the database.",
        ),
        Some((row, _)) => Attempt::Done(Some(row)),
        // It was taken as it was typed and then put away, which capture has seen.
        None => {
            let mut row = expected.to_vec();
            for (column, value) in taken {
                if let Some(slot) = row.get_mut(*column) {
                    slot.clone_from(value);
                }
            }
            Attempt::Done(Some(row))
        }
    }
}

/// The row was held, and nothing was deleted: what stands there now is what the table's own
/// triggers made of it.
fn not_deleted(session: &mut Session, mapping: &Loaded, apply: &Apply) -> Attempt {
    match row_now(session, mapping, apply) {
        Some((row, true)) => Attempt::Kept(row),
        Some((_, false)) | None => Attempt::Done(None),
    }
}

/// The row of this key, and whether it belongs in the sheet.
fn row_now(session: &mut Session, mapping: &Loaded, apply: &Apply) -> Option<(Row, bool)> {
    let never = Cell::new(None);
    let mut args = Args::new(mapping, &never);
    let key = where_key(mapping, apply, &mut args);
    let sql = format!(
        "SELECT {}, {} FROM {} AS t WHERE {key}",
        all_columns(mapping),
        in_filter(mapping),
        mapping.table
    );
    let mut row = session.execute(&sql, &args.list).into_iter().next()?;
    let in_filter = row.pop().flatten().as_deref() == Some("t");
    Some((row, in_filter))
}

/// Lock the row and see whether it is still what the engine decided upon.
pub fn is_held(session: &mut Session, mapping: &Loaded, apply: &Apply, hold: Hold) -> bool {
    // An update that leaves the key alone need not wait for those who only refer to the row.
    let (expected, strength) = match &apply.change {
        Change::Insert { .. } => return true,
        Change::Update { expected, .. } | Change::Enter { expected, .. } => {
            (expected, "NO KEY UPDATE")
        }
        Change::Delete { expected } => (expected, "UPDATE"),
    };
    let wait = match hold {
        Hold::Patiently => "",
        Hold::AtOnce | Hold::Held => " NOWAIT",
    };
    let never = Cell::new(None);
    let mut args = Args::new(mapping, &never);
    let key = where_key(mapping, apply, &mut args);
    let sql = format!(
        "SELECT {} FROM {} AS t WHERE {key} FOR {strength}{wait}",
        all_columns(mapping),
        mapping.table
    );
    match session.execute(&sql, &args.list).into_iter().next() {
        Some(row) => row == *expected,
        None => {
            // Row-level security shows rows to a SELECT that it hides from whoever wants to change
            // them.
            let shown = row_now(session, mapping, apply);
            if shown.is_some_and(|(row, _)| row == *expected) {
                refuse(
                    PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                    "a policy of the table (row-level security) lets nobody change this row from the sheet",
                    "Undo the change in the sheet, or ask whoever looks after the database.",
                );
            }
            false
        }
    }
}

pub fn where_key(mapping: &Loaded, apply: &Apply, args: &mut Args) -> String {
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

/// Typed arguments of a statement; remembers which column's text was being read when its type
/// refused it.
pub struct Args<'a> {
    mapping: &'a Loaded,
    bad_column: &'a Cell<Option<usize>>,
    pub list: Vec<Arg>,
}

impl<'a> Args<'a> {
    pub fn new(mapping: &'a Loaded, bad_column: &'a Cell<Option<usize>>) -> Self {
        Self {
            mapping,
            bad_column,
            list: Vec::new(),
        }
    }

    fn add(&mut self, column: usize, text: Option<&str>) -> String {
        self.bad_column.set(Some(column));
        self.list
            .push(self.mapping.columns[column].value.argument(text));
        self.bad_column.set(None);
        format!("${}", self.list.len())
    }
}
