//! Carries out the engine's database effects, each in one transaction of its own.

use engine::effect::Reason;
use engine::effect::{
    Class, DatabaseEffect, DatabaseOutcome, Failure, FunctionCall, Index, Outcome, Place, Refusal,
    StoredProblem, TypedText,
};
use engine::mapping::Side;
use engine::value::{Datum, Key, Text, Timestamp};
use serde::Serializer;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::dirty::Since;
use super::mappings::Loaded;
use super::tabs::Tabs;
use crate::postgres::fields::{Fields, array_literal};
use crate::postgres::role::as_reader;
use crate::postgres::statement::Session;
use crate::postgres::tenant::transaction_of;
use crate::postgres::time_limit;
use crate::postgres::transaction::{is_lock, refusable};
use crate::settings;

mod apply;
mod as_a_set;
mod base_rows;
mod changed;
mod generate;
mod keys;
mod load;
pub mod record;
mod sequences;
mod together;

const TAKES_LONG: &str = "Look for a trigger, a check, a row_filter or a conflict_function that does not come to an end. For a very large table, a superuser can raise sheet_sync.statement_timeout_ms.";

/// How long a mapping rests after one of its statements was ended, so that the others have most of
/// the worker's time.
pub fn rest_after_timeout() -> Duration {
    settings::statement_timeout() * 4
}

/// What the driver knows of the cycle that an effect belongs to.
pub struct Cycle<'a> {
    pub id: i64,
    /// When the capture trigger saw each dirty key change.
    pub changed_at: &'a HashMap<Key, Timestamp>,
    /// Where lines of `_dirty_key` can be: of those that the cycle was given, and of newer ones.
    pub waiting: &'a Since,
    /// Where newer ones can be.
    pub newer: &'a Since,
    pub tabs: &'a Tabs,
    /// Rows that somebody else held locked when they were last tried.
    pub locked: &'a mut HashSet<Key>,
    /// The last cycle met a lock: nobody is waited for, not even for a moment.
    pub hurried: bool,
    /// Rows that took the table too long when they were last tried.
    pub slow: &'a mut HashSet<Key>,
}

/// An error makes the cycle fail; what other effects committed stays.
pub fn perform(mapping: &Loaded, cycle: &mut Cycle, effect: DatabaseEffect) -> Outcome {
    let outcome = match effect {
        DatabaseEffect::Commit(commit) => {
            record::commit(mapping, cycle, &commit).map(DatabaseOutcome::Committed)
        }
        effect => look(mapping, cycle, effect),
    };
    match outcome {
        Ok(outcome) => Outcome::Database(outcome),
        Err(refusal) => {
            let refusal = with_missing_right(mapping, refusal);
            Outcome::Failed(Side::Database, failure(refusal))
        }
    }
}

/// Rows are read and written in the name of the mapping's role, and Postgres names only what that
/// role may not touch.
fn with_missing_right(mapping: &Loaded, refusal: Refusal) -> Refusal {
    if refusal.sqlstate != "42501" || refusal.hint.is_some() {
        return refusal;
    }
    let Loaded { role, table, .. } = mapping;
    let hint = format!(
        "Rows are read and written with the rights of {role}. If it is the table that {role} may not use: \
         GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}; otherwise grant it what the message names \
         (of a schema: USAGE). It goes on by itself within a minute."
    );
    Refusal {
        hint: Some(hint),
        ..refusal
    }
}

fn look(
    mapping: &Loaded,
    cycle: &mut Cycle,
    effect: DatabaseEffect,
) -> Result<DatabaseOutcome, Refusal> {
    let reads_table = matches!(
        effect,
        DatabaseEffect::FindChanged
            | DatabaseEffect::Load { .. }
            | DatabaseEffect::FindRespelled { .. }
            | DatabaseEffect::NameKeys { .. }
            | DatabaseEffect::GenerateKeys { .. }
    );
    // What any of them evaluates of a user's (filters, defaults, domain checks) may leave something
    // to run at the commit.
    let outcome = transaction_of(mapping.run_as, |session| {
        if cycle.hurried {
            session.wait_for_no_lock();
        }
        if reads_table {
            mapping.keep(session);
        }
        let waiting = cycle.waiting;
        let outcome = match effect {
            DatabaseEffect::ReadIndex => DatabaseOutcome::Index(read_index(session, mapping)),
            DatabaseEffect::FindChanged => {
                DatabaseOutcome::Changed(changed::find(session, mapping))
            }
            DatabaseEffect::Load { keys } => {
                let (rows, left) = load::rows(session, mapping, cycle, keys);
                DatabaseOutcome::Rows { rows, left }
            }
            DatabaseEffect::Canonicalise { cells } => {
                DatabaseOutcome::Canonical(canonicalise(mapping, &cells))
            }
            DatabaseEffect::NameKeys { typed } => {
                DatabaseOutcome::Named(keys::name(session, mapping, waiting, &typed))
            }
            DatabaseEffect::FindRespelled { keys, new } => {
                DatabaseOutcome::Respelled(keys::respelled(session, mapping, keys, &new))
            }
            DatabaseEffect::GenerateKeys { count, taken } => {
                DatabaseOutcome::Keys(generate::keys(session, mapping, waiting, count, taken))
            }
            DatabaseEffect::MergeByFunction { rows } => {
                DatabaseOutcome::Merged(merge_by_function(session, mapping, &rows))
            }
            DatabaseEffect::AskOtherTabs { keys } => {
                DatabaseOutcome::OtherTabs(cycle.tabs.ask(session, mapping.id, &keys))
            }
            DatabaseEffect::Commit(_) => return None,
        };
        // Once more: whether policies apply to a role may change without a lock on the table.
        if reads_table {
            mapping.require_same_table(session);
        }
        Some(outcome)
    });
    outcome.map(|outcome| outcome.unwrap_or(DatabaseOutcome::Committed(Vec::new())))
}

/// An error of the table or its privileges is for a person; what passes by itself (locks,
/// serialisation) is tried again.
pub fn failure(refusal: Refusal) -> Failure {
    if is_lock(&refusal) {
        return Failure {
            class: Class::RetryLater,
            reason: Reason::Locked,
            message: format!("another session holds a lock that is in the way (SQLSTATE {})", refusal.sqlstate),
            hint: "It goes on by itself when that session commits or rolls back; pg_locks and pg_stat_activity show which one it is.".to_owned(),
            retry_after_ms: Some(1_000),
            may_have_applied: false,
        };
    }
    if time_limit::ended(&refusal) {
        return Failure {
            class: Class::RetryLater,
            reason: Reason::StatementTimeout,
            message: format!(
                "a statement on the table took longer than sheet_sync.statement_timeout_ms allows, or was cancelled ({})",
                refusal.message
            ),
            hint: TAKES_LONG.to_owned(),
            retry_after_ms: Some(rest_after_timeout().as_millis() as u64),
            may_have_applied: false,
        };
    }
    let passing = ["40", "57", "53"]
        .iter()
        .any(|class| refusal.sqlstate.starts_with(class));
    Failure {
        class: if passing {
            Class::RetryNow
        } else {
            Class::NeedsHuman
        },
        reason: Reason::Database,
        message: format!("{} (SQLSTATE {})", refusal.message, refusal.sqlstate),
        hint: refusal.hint.unwrap_or_else(|| {
            "Repair the table, or end the mapping with sheet_sync.unregister_table().".to_owned()
        }),
        retry_after_ms: None,
        may_have_applied: false,
    }
}

fn read_index(session: &mut Session, mapping: &Loaded) -> Index {
    let problems = session
        .select("SELECT key::text, sheet_row, column_name, message FROM sheet_sync.problem WHERE mapping_id = $1", &[mapping.id.into()])
        .into_iter()
        .map(|row| {
            let mut fields = Fields::of(row);
            let key = fields.key();
            let place = Place {
                key: (!key.0.is_empty()).then_some(key),
                sheet_row: fields.optional().and_then(|text| text.parse().ok()),
                column: fields.optional().and_then(|name| column_number(mapping, &name)),
            };
            StoredProblem {
                place,
                message: fields.optional().unwrap_or_default().to_string(),
            }
        })
        .collect();
    let writing = session
        .select(
            "SELECT w.stamp FROM (SELECT n.writing FROM sheet_sync._progress n WHERE n.mapping_id = $1 ORDER BY n.number DESC LIMIT 1) p, \
             pg_catalog.unnest(p.writing) WITH ORDINALITY w(stamp, place) ORDER BY w.place",
            &[mapping.id.into()],
        )
        .into_iter()
        .map(|row| base_rows::stamp_of(&Fields::of(row).text()))
        .collect();
    let unsettled = session
        .select(
            "SELECT DISTINCT key::text FROM sheet_sync.conflict WHERE mapping_id = $1 AND NOT settled AND winner <> 'pending'",
            &[mapping.id.into()],
        )
        .into_iter()
        .map(|row| Fields::of(row).key())
        .collect();
    Index {
        rows: base_rows::read_index(session, mapping),
        problems,
        writing,
        unsettled,
    }
}

pub fn key_literal(key: &Key) -> String {
    array_literal(key.0.iter().map(|text| Some(text.as_str())))
}

pub fn column_number(mapping: &Loaded, name: &str) -> Option<usize> {
    mapping
        .engine
        .columns
        .iter()
        .position(|column| column.name == name)
}

pub fn column_name(mapping: &Loaded, column: Option<usize>) -> Option<String> {
    column
        .and_then(|number| mapping.engine.columns.get(number))
        .map(|column| column.name.clone())
}

/// Input functions may run code of the user's (domain checks), so as the mapping's role.
fn canonicalise(mapping: &Loaded, cells: &[TypedText]) -> Vec<Result<Text, Refusal>> {
    cells
        .iter()
        .map(|cell| match mapping.columns.get(cell.column) {
            Some(column) => refusable(|| {
                as_reader(mapping.run_as, || column.value.canonical(&cell.text).into())
            }),
            None => Err(Refusal {
                sqlstate: "42703".to_owned(),
                message: "the column is gone".to_owned(),
                hint: None,
            }),
        })
        .collect()
}

const MEND_FUNCTION: &str = "Repair the conflict function, or give both sides the same value.";

fn merge_by_function(
    session: &mut Session,
    mapping: &Loaded,
    calls: &[FunctionCall],
) -> Vec<Result<Vec<Datum>, Refusal>> {
    let sql = match conflict_function(session, mapping) {
        Ok(function) => format!(
            "SELECT {function}($1::pg_catalog.jsonb, $2::pg_catalog.jsonb, $3::pg_catalog.jsonb, $4::pg_catalog.jsonb)"
        ),
        Err(refusal) => return calls.iter().map(|_| Err(refusal.clone())).collect(),
    };
    calls
        .iter()
        .map(|call| {
            let columns = mapping.engine.key.iter().copied();
            let key = object(mapping, columns.zip(&call.key.0));
            let whole = |row: &Option<Vec<Datum>>| {
                row.as_ref()
                    .map(|row| object(mapping, row.iter().enumerate()))
            };
            let rows = refusable(|| {
                as_reader(mapping.run_as, || {
                    session.execute(
                        &sql,
                        &[
                            key.clone().into(),
                            whole(&call.base).into(),
                            whole(&call.database).into(),
                            whole(&call.sheet).into(),
                        ],
                    )
                })
            })
            .map_err(|refusal| Refusal {
                hint: refusal.hint.or_else(|| Some(MEND_FUNCTION.to_owned())),
                ..refusal
            })?;
            let answer = rows.into_iter().flatten().next().flatten();
            merged(mapping, call, answer.as_deref())
        })
        .collect()
}

/// How it is called. It may have been dropped, renamed or altered since it was named.
fn conflict_function(session: &mut Session, mapping: &Loaded) -> Result<String, Refusal> {
    let named = mapping.conflict_function.as_deref().unwrap_or_default();
    let rows = refusable(|| {
        session.execute(
            "SELECT sheet_sync._check_conflict_function(pg_catalog.to_regprocedure($1), $1)",
            &[named.into()],
        );
        session.execute(
            "SELECT pg_catalog.to_regprocedure($1)::pg_catalog.oid::pg_catalog.regproc::text",
            &[named.into()],
        )
    })?;
    Ok(rows
        .into_iter()
        .flatten()
        .flatten()
        .next()
        .map(String::from)
        .unwrap_or_default())
}

/// A row as JSON object text: column names and texts.
pub fn object<T: serde::Serialize>(
    mapping: &Loaded,
    values: impl Iterator<Item = (usize, T)>,
) -> String {
    let named = values.filter_map(|(number, value)| {
        let column = mapping.engine.columns.get(number)?;
        Some((column.name.as_str(), value))
    });
    let mut text = Vec::new();
    let written = serde_json::Serializer::new(&mut text).collect_map(named);
    // Names and texts are plain data: nothing in them can fail to be written.
    written
        .ok()
        .and_then(|()| String::from_utf8(text).ok())
        .unwrap_or_else(|| "{}".to_owned())
}

/// Columns that the function leaves out keep the database's value.
fn merged(
    mapping: &Loaded,
    call: &FunctionCall,
    answer: Option<&str>,
) -> Result<Vec<Datum>, Refusal> {
    let refuse = |message: String, hint: &str| Refusal {
        sqlstate: "22023".to_owned(),
        message,
        hint: Some(hint.to_owned()),
    };
    const AN_OBJECT: &str =
        "The conflict function must return an object of names of mapped columns and their values.";
    let value: serde_json::Value = answer
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| refuse("the conflict function returned NULL".to_owned(), AN_OBJECT))?;
    let serde_json::Value::Object(object) = value else {
        return Err(refuse(
            "the conflict function did not return an object".to_owned(),
            AN_OBJECT,
        ));
    };
    if let Some(unknown) = object
        .keys()
        .find(|name| column_number(mapping, name).is_none())
    {
        return Err(refuse(
            format!("the conflict function returned a column \"{unknown}\" that is not mapped"),
            AN_OBJECT,
        ));
    }
    let mut row: Vec<Datum> = Vec::with_capacity(mapping.columns.len());
    for (number, column) in mapping.engine.columns.iter().enumerate() {
        row.push(match object.get(&column.name) {
            Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(text)) => Some(as_printed(mapping, number, text)?),
            Some(other) => Some(as_printed(mapping, number, &other.to_string())?),
            None => call
                .database
                .as_ref()
                .and_then(|row| row.get(number).cloned().flatten()),
        });
    }
    let is_same = |(place, text): (&usize, &Text)| row.get(*place) == Some(&Some(text.clone()));
    if !mapping.engine.key.iter().zip(&call.key.0).all(is_same) {
        return Err(refuse(
            "the conflict function changed the row's key".to_owned(),
            "Return the key columns as they were given, or leave them out.",
        ));
    }
    Ok(row)
}

/// As the table will print it, so that both sides are compared with what the table will have.
fn as_printed(mapping: &Loaded, column: usize, text: &str) -> Result<Text, Refusal> {
    let (Some(typed), Some(named)) = (
        mapping.columns.get(column),
        mapping.engine.columns.get(column),
    ) else {
        return Ok(text.into());
    };
    refusable(|| as_reader(mapping.run_as, || typed.value.canonical(text).into())).map_err(
        |refusal| Refusal {
            message: format!(
                "the conflict function returned a value that column \"{}\" does not take: {}",
                named.name, refusal.message
            ),
            hint: Some(MEND_FUNCTION.to_owned()),
            ..refusal
        },
    )
}
