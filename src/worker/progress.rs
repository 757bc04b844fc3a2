//! A mapping's line of `_progress`, which changes several times in each cycle.

use pgrx::PgSqlErrorCode;

use crate::postgres::errors::refuse;
use crate::postgres::statement::{Arg, Row, Session};

/// Change the line of the mapping that is the first argument; `rest` is what stands behind the
/// condition. Only versions that are not older than the newest one we see are looked at: the line
/// itself, and what another session makes of it meanwhile.
pub fn change(session: &mut Session, changes: &str, rest: &str, args: &[Arg]) -> Vec<Row> {
    let sql = format!(
        "UPDATE sheet_sync._progress p SET number = p.number + 1, {changes} WHERE p.mapping_id = $1 \
           AND p.number >= (SELECT n.number FROM sheet_sync._progress n WHERE n.mapping_id = $1 ORDER BY n.number DESC LIMIT 1) {rest}"
    );
    session.by_index(|session| session.execute(&sql, args))
}

/// The same for what has to be stored before something is sent: without a line to change it must
/// not pass for stored.
pub fn require_change(session: &mut Session, changes: &str, returning: &str, args: &[Arg]) -> Row {
    let returning = format!("RETURNING {returning}");
    let changed = change(session, changes, &returning, args);
    changed.into_iter().next().unwrap_or_else(|| {
        refuse(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            "the mapping's line of sheet_sync._progress is gone",
            "sheet_sync.resume() for the table makes it anew. Lines of sheet_sync's own tables are not to be deleted.",
        )
    })
}
