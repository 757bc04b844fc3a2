//! `Commit`: changes to the table and what follows from them.

use engine::effect::{
    Announcement, Applied, BaseWrite, Commit, Conflict, HistoryLine, Operation, Place, Problem,
    Refusal, Stamp, Winner,
};
use engine::mapping::Side;
use engine::value::{Cell, Datum, Key, Timestamp};
use std::collections::HashSet;

use super::apply::takes_long;
use super::together::Together;
use super::{Cycle, base_rows, column_name, key_literal, object, sequences};
use crate::postgres::statement::{Arg, Session};
use crate::postgres::tenant::transaction_of;
use crate::worker::mappings::Loaded;
use crate::worker::{progress, states};

/// In as many transactions as the changes to the table take. The first has all the rest as well,
/// and each what follows from its own changes.
pub fn commit(
    mapping: &Loaded,
    cycle: &mut Cycle,
    commit: &Commit,
) -> Result<Vec<Applied>, Refusal> {
    let last = |key: &Key| (cycle.slow.contains(key), cycle.locked.contains(key));
    let mut together = Together::new(&commit.apply, last, cycle.hurried);
    let of_applies: HashSet<&Key> = commit.apply.iter().map(|apply| &apply.key).collect();
    let mut first = true;
    loop {
        let over = transaction_of(mapping.run_as, |session| {
            mapping.keep(session);
            if first {
                sequences::advance(session, mapping, &commit.apply);
            }
            let dealt_with = together.go_on(session, mapping);
            let over = together.is_over();
            if !over {
                // The last one brings it to the disk before anybody hears of it.
                session.commit_may_be_late();
            } else if !first {
                // Only a commit that has written something waits for the disk, and for those before
                // it. A lock is written, too.
                states::lock_cycle(session, mapping.id);
            }
            let follows = Follows::of(mapping, commit, &together, dealt_with);
            record(
                session,
                mapping,
                cycle,
                first.then_some(commit),
                &of_applies,
                follows,
            );
            over
        })?;
        first = false;
        if over {
            break;
        }
    }
    let applied = together.applied();
    for (apply, applied) in commit.apply.iter().zip(&applied) {
        match applied {
            Applied::Locked => cycle.locked.insert(apply.key.clone()),
            _ => cycle.locked.remove(&apply.key),
        };
        match takes_long(applied) {
            true => cycle.slow.insert(apply.key.clone()),
            false => cycle.slow.remove(&apply.key),
        };
    }
    Ok(applied)
}

/// What is recorded of changes to the table in the transaction that makes them.
#[derive(Default)]
struct Follows<'a> {
    bases: Vec<BaseWrite>,
    lines: Vec<HistoryLine>,
    conflicts: Vec<&'a Conflict>,
}

impl<'a> Follows<'a> {
    fn of(
        mapping: &Loaded,
        commit: &'a Commit,
        together: &Together,
        dealt_with: Vec<usize>,
    ) -> Self {
        let mut follows = Self::default();
        let mut decided: HashSet<&Key> = HashSet::new();
        let mut removed = Vec::new();
        for index in dealt_with {
            let (Some(apply), Some(applied)) = (commit.apply.get(index), together.outcome(index))
            else {
                continue;
            };
            match applied {
                Applied::Done { row, refused } => {
                    let refused: Vec<usize> = refused.iter().map(|(column, _)| *column).collect();
                    let base = apply.base_after(&mapping.engine, row.as_deref(), &refused);
                    if base.key != apply.key {
                        removed.push(BaseWrite {
                            key: apply.key.clone(),
                            row: None,
                        });
                    }
                    follows.bases.push(base);
                    follows.lines.push(without(apply.history.clone(), &refused));
                }
                Applied::Kept { .. } => follows.bases.push(apply.base_kept(&mapping.engine)),
                Applied::Refused { .. } => {}
                // Nothing was decided about it.
                Applied::Stale | Applied::Locked => continue,
            }
            decided.insert(&apply.key);
        }
        // The last word on a key counts: one row may have got the key that another one had.
        follows.bases.splice(0..0, removed);
        let conflicts = commit.conflicts.iter();
        follows.conflicts = conflicts.filter(|one| decided.contains(&one.key)).collect();
        follows
    }
}

fn record(
    session: &mut Session,
    mapping: &Loaded,
    cycle: &mut Cycle,
    rest: Option<&Commit>,
    of_applies: &HashSet<&Key>,
    follows: Follows,
) {
    match rest {
        Some(commit) => record_all(session, mapping, cycle, commit, of_applies, &follows),
        None => {
            base_rows::write(session, mapping, follows.bases.iter());
            write_history(session, mapping, cycle, follows.lines.iter());
            for conflict in follows.conflicts {
                write_conflict(session, mapping, conflict);
            }
        }
    }
}

fn record_all(
    session: &mut Session,
    mapping: &Loaded,
    cycle: &mut Cycle,
    commit: &Commit,
    of_applies: &HashSet<&Key>,
    follows: &Follows,
) {
    note_batches(session, mapping, commit);
    for batch in &commit.inserting {
        base_rows::write_inserting(session, mapping, batch);
    }
    base_rows::write(session, mapping, commit.bases.iter().chain(&follows.bases));
    let lines = commit.history.iter().chain(&follows.lines);
    write_history(session, mapping, cycle, lines);
    let others = commit.conflicts.iter();
    let decided: HashSet<&Key> = follows.conflicts.iter().map(|one| &one.key).collect();
    let is_due = |one: &&Conflict| !of_applies.contains(&one.key) || decided.contains(&one.key);
    for conflict in others.filter(is_due) {
        write_conflict(session, mapping, conflict);
    }
    if !commit.settled_conflicts.is_empty() {
        session.execute(
            "UPDATE sheet_sync.conflict SET settled = true, winner = CASE WHEN winner = 'pending' THEN COALESCE(decision, 'superseded') ELSE winner END WHERE id = ANY ($1)",
            &[commit.settled_conflicts.clone().into()],
        );
    }
    // Settled first: a problem that ends and one that begins may be at the same place.
    for place in &commit.settled_problems {
        settle_problem(session, mapping, place);
    }
    for problem in &commit.problems {
        write_problem(session, mapping, problem);
    }
    for (column, header) in &commit.headers {
        follow_header(session, mapping, *column, header);
    }
}

/// From so many batches on, those that no row bears (they never arrived) are swept out.
const MANY_BATCHES: i32 = 100;

/// Which batches are under way to the sheet from now on.
fn note_batches(session: &mut Session, mapping: &Loaded, commit: &Commit) {
    if commit.inserting.is_empty() && commit.inserted.is_empty() && commit.writing.is_none() {
        return;
    }
    let stamps = |stamps: &mut dyn Iterator<Item = &Stamp>| -> Vec<String> {
        stamps.map(base_rows::stamp_text).collect()
    };
    let inserting = stamps(&mut commit.inserting.iter().map(|batch| &batch.stamp));
    let inserted = stamps(&mut commit.inserted.iter());
    let begins = match &commit.writing {
        Some(Announcement::Begins(stamp)) => vec![base_rows::stamp_text(stamp)],
        Some(Announcement::Over) | None => Vec::new(),
    };
    progress::require_change(
        session,
        "inserting = $2 || ARRAY(SELECT pg_catalog.unnest(CASE WHEN pg_catalog.cardinality($2) = 0 OR pg_catalog.cardinality(p.inserting) < $4 THEN p.inserting \
                 ELSE ARRAY(SELECT DISTINCT b.batch FROM sheet_sync._base_row b WHERE b.mapping_id = $1 AND b.batch = ANY (p.inserting)) END) \
             EXCEPT SELECT pg_catalog.unnest($3)), \
         writing = CASE WHEN $6 THEN '{}' ELSE p.writing END || $5",
        "1",
        &[
            mapping.id.into(),
            inserting.into(),
            inserted.into(),
            MANY_BATCHES.into(),
            begins.into(),
            (commit.writing == Some(Announcement::Over)).into(),
        ],
    );
}

/// Does not count as an edit of the mapping: the engine that found the new header goes on with it.
fn follow_header(session: &mut Session, mapping: &Loaded, column: usize, header: &str) {
    let Some(column) = mapping.engine.columns.get(column) else {
        return;
    };
    session.execute(
        "UPDATE sheet_sync.mapping_column SET previous_header = header, header = $3, header_changed_at = pg_catalog.clock_timestamp() \
         WHERE mapping_id = $1 AND column_name = $2",
        &[mapping.id.into(), column.name.clone().into(), header.into()],
    );
}

fn without(mut line: HistoryLine, refused: &[usize]) -> HistoryLine {
    let kept = |(column, _): &(usize, Datum)| !refused.contains(column);
    line.old.retain(kept);
    line.new.retain(kept);
    line
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    // Cells and rows are plain data: nothing in them can fail to be written.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

fn write_history<'a>(
    session: &mut Session,
    mapping: &Loaded,
    cycle: &Cycle,
    lines: impl Iterator<Item = &'a HistoryLine>,
) {
    if crate::settings::history_retention() == 0 {
        return;
    }
    // jsonb keeps an object's members by the length of their names and then by bytes: given so, it
    // has nothing to sort.
    let jsonb_order = |(column, _): &(usize, &Datum)| {
        let name = mapping
            .engine
            .columns
            .get(*column)
            .map(|column| &column.name);
        name.map(|name| (name.len(), name.as_str()))
    };
    let mut columns: [Vec<String>; 5] = Default::default();
    for line in lines {
        columns[0].push(side(line.side).to_owned());
        columns[1].push(key_literal(&line.key));
        columns[2].push(
            match line.operation {
                Operation::Insert => "insert",
                Operation::Update => "update",
                Operation::Delete => "delete",
            }
            .to_owned(),
        );
        let named = |values: &[(usize, Datum)]| {
            let mut values: Vec<(usize, &Datum)> = values
                .iter()
                .map(|(column, value)| (*column, value))
                .collect();
            values.sort_unstable_by(|one, other| jsonb_order(one).cmp(&jsonb_order(other)));
            object(mapping, values.into_iter())
        };
        columns[3].push(named(&line.old));
        columns[4].push(named(&line.new));
    }
    let [sides, keys, operations, olds, news] = columns;
    if keys.is_empty() {
        return;
    }
    session.execute(
        "INSERT INTO sheet_sync.history (mapping_id, cycle_id, side, key, operation, old_values, new_values) \
         SELECT $1, $2, s, k::text[], o, a::pg_catalog.jsonb, b::pg_catalog.jsonb \
         FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7)) u(s, k, o, a, b)",
        &[mapping.id.into(), cycle.id.into(), sides.into(), keys.into(), operations.into(), olds.into(), news.into()],
    );
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Database => "database",
        Side::Sheet => "sheet",
    }
}

/// A conflict met again while it is not settled is the same line.
fn write_conflict(session: &mut Session, mapping: &Loaded, conflict: &Conflict) {
    let winner = match conflict.winner {
        Winner::Database => "database",
        Winner::Sheet => "sheet",
        Winner::Function => "function",
        Winner::Value => "value",
        Winner::Pending => "pending",
    };
    let micros = |time: Option<Timestamp>| time.map(|time| time.0);
    let rows = conflict.rows.as_deref();
    let row = |values: Option<&Vec<Datum>>| {
        values.map(|values| object(mapping, values.iter().enumerate()))
    };
    let sheet_row = rows
        .and_then(|rows| rows.sheet.as_ref())
        .map(|cells| object(mapping, cells.iter().enumerate()));
    let args = || -> Vec<Arg> {
        vec![
            mapping.id.into(),
            key_literal(&conflict.key).into(),
            column_name(mapping, conflict.column).into(),
            conflict.database.as_ref().and_then(Option::as_deref).into(),
            conflict.database.is_none().into(),
            conflict.sheet.as_ref().map(json::<Cell>).into(),
            conflict.sheet.is_none().into(),
            winner.into(),
            conflict.settled.into(),
            row(rows.and_then(|rows| rows.database.as_ref())).into(),
            sheet_row.clone().into(),
        ]
    };
    let same = session.execute(
        "UPDATE sheet_sync.conflict SET winner = $8, settled = $9 \
         WHERE mapping_id = $1 AND key = $2::text[] AND column_name IS NOT DISTINCT FROM $3 AND NOT settled \
           AND database_value IS NOT DISTINCT FROM $4 AND database_absent = $5 AND sheet_value IS NOT DISTINCT FROM $6::pg_catalog.jsonb AND sheet_absent = $7 \
           AND database_row IS NOT DISTINCT FROM $10::pg_catalog.jsonb AND sheet_row IS NOT DISTINCT FROM $11::pg_catalog.jsonb \
         RETURNING id",
        &args(),
    );
    if !same.is_empty() {
        return;
    }
    let mut all = args();
    all.extend([
        conflict.base.as_ref().and_then(Option::as_deref).into(),
        row(rows
            .and_then(|rows| rows.base.as_ref())
            .map(|base| &base.database))
        .into(),
        micros(conflict.database_time).into(),
        micros(conflict.sheet_time.0).into(),
        conflict.sheet_time.1.0.into(),
    ]);
    session.execute(
        "INSERT INTO sheet_sync.conflict (mapping_id, key, column_name, database_value, database_absent, sheet_value, sheet_absent, winner, settled, \
                                          database_row, sheet_row, base_value, base_row, database_time, sheet_time_from, sheet_time_to) \
         VALUES ($1, $2::text[], $3, $4, $5, $6::pg_catalog.jsonb, $7, $8, $9, $10::pg_catalog.jsonb, $11::pg_catalog.jsonb, $12, $13::pg_catalog.jsonb, \
                 pg_catalog.to_timestamp($14 / 1000000.0), pg_catalog.to_timestamp($15 / 1000000.0), pg_catalog.to_timestamp($16 / 1000000.0))",
        &all,
    );
}

fn write_problem(session: &mut Session, mapping: &Loaded, problem: &Problem) {
    session.execute(
        "INSERT INTO sheet_sync.problem (mapping_id, key, sheet_row, column_name, side, code, message, hint, retry_at) \
         VALUES ($1, $2::text[], $3, $4, $5, $6, $7, $8, pg_catalog.to_timestamp($9 / 1000000.0)) \
         ON CONFLICT (mapping_id, (COALESCE(key, '{}')), (COALESCE(sheet_row, 0)), (COALESCE(column_name, ''))) DO UPDATE \
         SET side = EXCLUDED.side, code = EXCLUDED.code, message = EXCLUDED.message, hint = EXCLUDED.hint, retry_at = EXCLUDED.retry_at, \
             last_seen = pg_catalog.clock_timestamp(), attempts = problem.attempts + 1",
        &[
            mapping.id.into(),
            problem.place.key.as_ref().map(key_literal).into(),
            problem.place.sheet_row.map(|row| row as i32).into(),
            column_name(mapping, problem.place.column).into(),
            side(problem.side).into(),
            problem.code.clone().into(),
            problem.message.clone().into(),
            problem.hint.clone().into(),
            problem.retry_at.map(|time| time.0).into(),
        ],
    );
}

fn settle_problem(session: &mut Session, mapping: &Loaded, place: &Place) {
    session.execute(
        "DELETE FROM sheet_sync.problem WHERE mapping_id = $1 AND COALESCE(key, '{}') = COALESCE($2::text[], '{}') \
         AND COALESCE(sheet_row, 0) = COALESCE($3, 0) AND COALESCE(column_name, '') = COALESCE($4, '')",
        &[
            mapping.id.into(),
            place.key.as_ref().map(key_literal).into(),
            place.sheet_row.map(|row| row as i32).into(),
            column_name(mapping, place.column).into(),
        ],
    );
}
