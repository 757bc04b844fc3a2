//! What the catalog shows of a mapping's state. Written only when it changes: an idle mapping
//! writes nothing.

use engine::effect::{Question, Report};
use engine::value::Key;
use std::collections::HashSet;
use std::time::Duration;

use super::database::key_literal;
use super::dirty::Lines;
use super::{progress, writer};
use crate::postgres::fields::Fields;
use crate::postgres::statement::Session;
use crate::postgres::transaction::transaction;

/// Why a mapping does not go on, in words for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// False where it goes on by itself in a moment: the state stays as it is.
    pub failed: bool,
    pub reason: String,
    pub hint: String,
    pub retry_in: Duration,
    pub stop: Stop,
}

/// What becomes of what a person may confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// This is asked now. What was confirmed of another question is void.
    Asks(Question),
    /// Nothing is.
    Over,
    /// As before: it could not be looked at.
    AsBefore,
}

/// `None` where it could not be stored.
pub fn show_trouble(mapping: i32, trouble: &Trouble) -> Option<()> {
    store(|session| {
        // When the same is tried again and again, only the time of the next try is another one,
        // which the view takes from shared memory: a version of the line for each second that
        // somebody holds a lock would be in the way of every look.
        session.execute(
            "UPDATE sheet_sync.mapping SET state = CASE WHEN $2 THEN 'failed' ELSE state END, reason = $3, hint = $4, \
                    retry_at = pg_catalog.clock_timestamp() + $5 * interval '1 millisecond' WHERE id = $1 AND state NOT IN ('paused', 'ended') \
               AND (retry_at IS NULL OR ($2 AND state <> 'failed') OR (reason, hint) IS DISTINCT FROM ($3, $4))",
            &[mapping.into(), trouble.failed.into(), trouble.reason.clone().into(), trouble.hint.clone().into(), (trouble.retry_in.as_millis() as i64).into()],
        );
        match trouble.stop {
            Stop::Asks(question) => {
                session.execute(
                    "INSERT INTO sheet_sync._stop AS s (mapping_id, question, reason) VALUES ($1, $2, $3) \
                     ON CONFLICT (mapping_id) DO UPDATE SET question = EXCLUDED.question, reason = EXCLUDED.reason, stopped_at = EXCLUDED.stopped_at, \
                     confirmed_by = NULL, confirmed_at = NULL WHERE s.question <> EXCLUDED.question",
                    &[mapping.into(), question.0.into(), trouble.reason.clone().into()],
                );
            }
            Stop::Over => forget_stop(session, mapping, None),
            Stop::AsBefore => {}
        }
    })
}

/// A question is over: whichever stands, or only this one.
fn forget_stop(session: &mut Session, mapping: i32, question: Option<Question>) {
    session.execute(
        "DELETE FROM sheet_sync._stop WHERE mapping_id = $1 AND question = COALESCE($2, question)",
        &[mapping.into(), question.map(|question| question.0).into()],
    );
}

/// Rows that may have come from another tab of the table are looked at again.
pub fn look_again(rows: &[(i32, Key)]) {
    store(|session| {
        for (mapping, key) in rows {
            session.execute(
                "INSERT INTO sheet_sync._dirty_key (mapping_id, key, changed_at) VALUES ($1, $2::text[], pg_catalog.clock_timestamp())",
                &[(*mapping).into(), key_literal(key).into()],
            );
        }
    });
}

/// All is well again. What was confirmed stands until it is carried out. `None` where it could not
/// be stored.
pub fn clear_trouble(mapping: i32) -> Option<()> {
    store(|session| {
        session.execute(
            "DELETE FROM sheet_sync._stop WHERE mapping_id = $1 AND confirmed_at IS NULL",
            &[mapping.into()],
        );
        session.execute(
            "UPDATE sheet_sync.mapping m SET state = CASE WHEN c.merged THEN 'active' ELSE 'initialising' END, reason = NULL, hint = NULL, retry_at = NULL \
             FROM sheet_sync._cycle c WHERE c.mapping_id = m.id AND m.id = $1 AND m.state NOT IN ('paused', 'ended')",
            &[mapping.into()],
        );
    })
}

pub fn show_tab(mapping: i32, sheet_id: i64, title: &str) {
    store(|session| {
        session.execute(
            "UPDATE sheet_sync.mapping SET sheet_id = $2, sheet_title = $3 WHERE id = $1 AND (sheet_id, sheet_title) IS DISTINCT FROM ($2, $3)",
            &[mapping.into(), sheet_id.into(), title.into()],
        );
    });
}

/// The time zone in which the sheet shows instants. Where it was another one before, all cells that
/// show any are compared anew, also by whoever comes after a crash.
pub fn show_time_zone(mapping: i32, time_zone: &str) {
    store(|session| {
        session.execute(
            "WITH before AS (SELECT c.time_zone FROM sheet_sync._cycle c WHERE c.mapping_id = $1), \
                  changed AS (UPDATE sheet_sync._cycle c SET time_zone = $2 WHERE c.mapping_id = $1 AND c.time_zone IS DISTINCT FROM $2 RETURNING c.mapping_id) \
             INSERT INTO sheet_sync._dirty_key (mapping_id, changed_at) SELECT x.mapping_id, pg_catalog.clock_timestamp() FROM changed x, before b \
             WHERE b.time_zone IS NOT NULL AND EXISTS (SELECT FROM sheet_sync.mapping_column k WHERE k.mapping_id = $1 AND k.kind = 'timestamptz')",
            &[mapping.into(), time_zone.into()],
        );
    });
}

/// Another mapping of the same tab, if there is one.
pub fn other_mapping_of_tab(mapping: i32, spreadsheet_id: &str, sheet_id: i64) -> Option<String> {
    transaction(|session| {
        session
            .select(
                "SELECT m.table_name FROM sheet_sync.mapping m WHERE m.id < $1 AND m.spreadsheet_id = $2 AND m.sheet_id = $3 AND m.state <> 'ended'",
                &[mapping.into(), spreadsheet_id.into(), sheet_id.into()],
            )
            .into_iter()
            .find_map(|row| Fields::of(row).optional())
    })
    .ok()
    .flatten()
}

/// What a cycle leaves in the catalog.
pub struct End<'a> {
    pub mapping: i32,
    /// How often the mapping had been changed when the cycle's settings were loaded.
    pub generation: &'a str,
    /// The lines of `_dirty_key` that it has dealt with.
    pub dealt_with: Option<&'a Lines>,
    /// What a person allowed, and it has used up.
    pub confirmed: Option<Question>,
    /// It has compared everything.
    pub merged: bool,
    /// The turn that the tab has since then.
    pub arrived: Option<i64>,
    pub report: &'a Report,
}

/// Record the end of a cycle. Answers whether everything counts as compared; `None` where nothing
/// could be stored.
pub fn end_cycle(end: &End) -> Option<bool> {
    let mapping = end.mapping;
    let mut merged = false;
    store(|session| {
        // Keys that are dirty once more cost a comparison; what a person allowed is not to be used
        // twice.
        if end.confirmed.is_none() {
            session.commit_may_be_late();
        }
        lock_cycle(session, mapping);
        let is_current = generation(session, mapping) == end.generation;
        merged = end.merged && is_current;
        if let Some(lines) = end.dealt_with.filter(|_| is_current) {
            lines.delete(session, mapping);
        }
        if end.confirmed.is_some() {
            forget_stop(session, mapping, end.confirmed);
        }
        let is_in_turn = progress::change(
            session,
            "ended_at = pg_catalog.clock_timestamp(), rows = $2, rows_pushed = p.rows_pushed + $3, rows_pulled = p.rows_pulled + $4, \
             arrived = CASE WHEN p.turn = $5 THEN p.turn ELSE p.arrived END",
            "RETURNING p.turn = $5",
            &[
                mapping.into(),
                (end.report.rows as i64).into(),
                (end.report.rows_pushed as i64).into(),
                (end.report.rows_pulled as i64).into(),
                end.arrived.into(),
            ],
        );
        if is_in_turn.into_iter().flatten().flatten().any(|is| &*is == "t") {
            writer::is_known_by_its_turn(session, mapping);
        }
        if merged {
            session.execute(
                "UPDATE sheet_sync._cycle SET merged = true WHERE mapping_id = $1 AND NOT merged",
                &[mapping.into()],
            );
            forget_winner(session, mapping);
        }
    })
    .map(|()| merged)
}

/// Whoever asks for a merge afresh (`resync()`, `follow_name()`) changes the line of `_cycle`, too:
/// from here on nobody does. It leaves no version of the line behind.
pub fn lock_cycle(session: &mut Session, mapping: i32) {
    session.execute(
        "SELECT FROM sheet_sync._cycle WHERE mapping_id = $1 FOR UPDATE",
        &[mapping.into()],
    );
}

/// How often the mapping has been changed by now; what a cycle under former settings has compared
/// is compared again.
fn generation(session: &mut Session, mapping: i32) -> String {
    let rows = session.execute(
        "SELECT generation FROM sheet_sync.mapping WHERE id = $1",
        &[mapping.into()],
    );
    let rows = rows.into_iter().flatten().flatten();
    rows.map(String::from).next().unwrap_or_default()
}

/// After a merge in which one side's rows alone counted, what only the other one has is looked at
/// once more: it counts as deleted there.
fn forget_winner(session: &mut Session, mapping: i32) {
    let won = session.execute(
        "UPDATE sheet_sync._writer SET winner = NULL WHERE mapping_id = $1 AND winner IS NOT NULL RETURNING 1",
        &[mapping.into()],
    );
    if won.is_empty() {
        return;
    }
    session.execute(
        "INSERT INTO sheet_sync._dirty_key (mapping_id, changed_at) VALUES ($1, pg_catalog.clock_timestamp())",
        &[mapping.into()],
    );
    session.execute(
        "UPDATE sheet_sync.mapping SET generation = generation + 1 WHERE id = $1",
        &[mapping.into()],
    );
}

/// A finished cycle saw every header, and gave the columns their format.
pub fn mark_headers_known(mapping: i32) {
    store(|session| {
        session.execute("UPDATE sheet_sync.mapping_column SET header_known = true, reformat = false WHERE mapping_id = $1 AND (NOT header_known OR reformat)", &[mapping.into()]);
    });
}

/// Its table was dropped.
pub fn end_mapping(mapping: i32) {
    store(|session| {
        session.execute("SELECT sheet_sync._end_mapping($1)", &[mapping.into()]);
    });
}

/// Lines of history that are older than their retention; answers to preview() that nobody fetched.
pub fn sweep() {
    store(|session| {
        session.execute(
            "DELETE FROM sheet_sync.history WHERE at < pg_catalog.clock_timestamp() - $1 * interval '1 minute'",
            &[crate::settings::history_retention().into()],
        );
        // A cycle may end after its mapping did.
        for table in ["_dirty_key", "_base_row", "_cycle", "_progress"] {
            session.execute(
                &format!("DELETE FROM sheet_sync.{table} x WHERE NOT EXISTS (SELECT FROM sheet_sync.mapping m WHERE m.id = x.mapping_id)"),
                &[],
            );
        }
        session.execute("DELETE FROM sheet_sync._preview WHERE made_at < pg_catalog.clock_timestamp() - interval '10 minutes'", &[]);
    });
}

/// Request ids begin anew with the server: nobody waits for what stands here when a worker begins.
pub fn forget_previews() {
    store(|session| {
        session.execute("DELETE FROM sheet_sync._preview", &[]);
        session.execute("DELETE FROM sheet_sync._finding", &[]);
    });
}

/// `None` where it could not be stored. Who needs it stored tries again at the next turn.
pub fn store(body: impl FnOnce(&mut Session)) -> Option<()> {
    match transaction(body) {
        Ok(()) => Some(()),
        Err(refusal) => {
            pgrx::log!(
                "sheet_sync: a state could not be stored: {}",
                refusal.message
            );
            None
        }
    }
}

/// The table itself (in another tab), those that it refers to, and those that refer to it.
pub fn related_tables(mapping: i32) -> HashSet<u32> {
    let read = transaction(|session| {
        session.select(
            "SELECT m.table_name::pg_catalog.oid FROM sheet_sync.mapping m WHERE m.id = $1 \
             UNION SELECT r.oid FROM sheet_sync.mapping m \
             JOIN pg_catalog.pg_constraint c ON c.contype = 'f' AND m.table_name::pg_catalog.oid IN (c.conrelid, c.confrelid) \
             CROSS JOIN LATERAL (VALUES (c.conrelid), (c.confrelid)) r(oid) WHERE m.id = $1",
            &[mapping.into()],
        )
    });
    let tables = read.unwrap_or_default().into_iter();
    tables.map(|row| Fields::of(row).number() as u32).collect()
}
