//! In whose name a mapping writes to its tab, and which turn it has: what tells a copy of the
//! database, or one that was restored, from the one that the sheet knows.

use engine::effect::Reason;
use engine::effect::{Failure, Refusal};
use google::sheet::{Home, Writer};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use super::runner::failure;
use super::{database, progress, states};
use crate::postgres::fields::Fields;
use crate::postgres::process;
use crate::postgres::statement::Session;
use crate::postgres::transaction::transaction;

/// A mapping's writer, as far as the database tells.
#[derive(Clone, Debug)]
pub struct Standing {
    pub writer: Writer,
    /// The files of this server are a copy of those that were there when it wrote last, and nobody
    /// promoted it.
    pub is_copy: bool,
}

/// Who writes for this mapping, or why nobody may.
pub fn load(mapping: i32) -> Result<Standing, Failure> {
    transaction(|session| read(session, mapping)).map_err(database::failure)?
}

fn read(session: &mut Session, mapping: i32) -> Result<Standing, Failure> {
    let place = place();
    // Nothing is stored for a mapping of another database: where it arrives by logical replication,
    // that database's own line arrives too.
    session.execute(
        "INSERT INTO sheet_sync._writer (mapping_id) SELECT m.id FROM sheet_sync.mapping m WHERE m.id = $1 AND m.made_in = sheet_sync._here() ON CONFLICT DO NOTHING",
        &[mapping.into()],
    );
    session.execute(
        "SELECT sheet_sync._make_lines(m.id) FROM sheet_sync.mapping m WHERE m.id = $1 AND m.made_in = sheet_sync._here()",
        &[mapping.into()],
    );
    // A later time line is that of a promoted standby. It has the mapping with all that was written
    // before, wherever its files are.
    session.execute(
        "UPDATE sheet_sync._writer w SET time_line = sheet_sync._time_line(), place = $2, \
                forked_at = CASE WHEN w.time_line < sheet_sync._time_line() THEN COALESCE(p.turn, 0) ELSE w.forked_at END \
         FROM sheet_sync.mapping m LEFT JOIN LATERAL (SELECT n.turn FROM sheet_sync._progress n WHERE n.mapping_id = m.id ORDER BY n.number DESC LIMIT 1) p ON true \
         WHERE m.id = $1 AND m.made_in = sheet_sync._here() \
           AND w.mapping_id = m.id AND (w.place IS NULL OR w.time_line < sheet_sync._time_line())",
        &[mapping.into(), place.as_str().into()],
    );
    // With what was just stored.
    let rows = session.execute(
        "SELECT sheet_sync._here(), m.made_in, (EXTRACT(epoch FROM m.created_at) * 1000)::bigint, m.table_name::text, \
                sheet_sync._time_line(), p.turn, p.mark, w.forked_at, p.arrived, w.place, w.moved_from, w.takes_over \
         FROM sheet_sync.mapping m LEFT JOIN sheet_sync._writer w ON w.mapping_id = m.id \
         LEFT JOIN LATERAL (SELECT n.* FROM sheet_sync._progress n WHERE n.mapping_id = m.id ORDER BY n.number DESC LIMIT 1) p ON true \
         WHERE m.id = $1",
        &[mapping.into()],
    );
    let Some(row) = rows.into_iter().next() else {
        let hint = "The table was unregistered or dropped.";
        return Err(failure(Reason::MappingGone, "the mapping was ended", hint));
    };
    let mut fields = Fields::of(row);
    let (here, made_in) = (fields.text(), fields.text());
    let made_at = fields.number();
    let table = fields.text();
    let Some(home) = here.parse::<Home>().ok().filter(|_| here == made_in) else {
        return Err(copied(&table));
    };
    let time_line = fields.number() as u32;
    let turn = fields.number();
    let mark = fields.number() as u32;
    let forked_at = fields.number();
    let arrived = fields.optional().and_then(|turn| turn.parse().ok());
    let is_copy = fields.text() != place;
    let moved_from = fields.optional().and_then(|home| home.parse::<Home>().ok());
    Ok(Standing {
        writer: Writer {
            home,
            moved_from,
            made_at,
            time_line,
            turn,
            mark,
            forked_at,
            arrived,
            takes_over: fields.flag(),
            only_reads: false,
        },
        is_copy,
    })
}

/// What is known of the server's files: a copy of them is made of other ones. Not their path, and
/// not the machine's name, which change while they stay.
fn place() -> String {
    let file = fs::metadata(process::data_directory().join("PG_VERSION"));
    let made = |file: &fs::Metadata| {
        let made = file.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(made.as_secs())
    };
    match file {
        Ok(file) => match made(&file) {
            Some(made) => format!("{}@{made}", file.ino()),
            None => file.ino().to_string(),
        },
        // It cannot be told; the tab's entry tells the rest.
        Err(_) => String::new(),
    }
}

fn copied(table: &str) -> Failure {
    failure(
        Reason::CopiedDatabase,
        &format!(
            "this database is a copy of the one in which table {table} was registered, or that one was moved or upgraded; nothing is read or written"
        ),
        &ways_on(table),
    )
}

/// Of a whole server whose files were copied.
pub fn copied_files(table: &str) -> Failure {
    failure(
        Reason::CopiedDatabase,
        &format!(
            "the files of this server are a copy of those with which it wrote to the sheet of table {table}; nothing is read or written"
        ),
        &ways_on(table),
    )
}

fn ways_on(table: &str) -> String {
    format!(
        "If it is a copy, SELECT sheet_sync.unregister_table('{table}') keeps it apart. If the mapping goes on here, and the former database no longer writes, SELECT sheet_sync.take_over('{table}') goes on from what both sides last agreed on."
    )
}

/// The next turn, on the disk before anything of it is sent.
pub fn begin_turn(mapping: i32, writer: &mut Writer) -> Result<(), Refusal> {
    let begun = transaction(|session| {
        session.commit_is_durable();
        progress::require_change(
            session,
            "turn = p.turn + 1, mark = (pg_catalog.random() * 4294967295)::bigint, arrived = $2",
            "p.turn, p.mark",
            &[mapping.into(), writer.arrived.into()],
        )
    })?;
    let mut fields = Fields::of(begun);
    (writer.turn, writer.mark) = (fields.number(), fields.number() as u32);
    Ok(())
}

/// The tab has this turn: from now on it is known by it.
pub fn turn_has_arrived(mapping: i32, turn: i64) {
    states::store(|session| {
        // Where it is lost in a crash, an older version of the spreadsheet may be taken for the
        // right one, and no more.
        session.commit_may_be_late();
        // Not where take_over() has begun another one since.
        let is_in_turn = progress::change(
            session,
            "arrived = p.turn",
            "AND p.turn = $2 RETURNING 1",
            &[mapping.into(), turn.into()],
        );
        if !is_in_turn.is_empty() {
            is_known_by_its_turn(session, mapping);
        }
    });
}

/// Whose it was before does not matter any more.
pub fn is_known_by_its_turn(session: &mut Session, mapping: i32) {
    session.execute(
        "UPDATE sheet_sync._writer SET moved_from = NULL, takes_over = false WHERE mapping_id = $1 AND (moved_from IS NOT NULL OR takes_over)",
        &[mapping.into()],
    );
}

/// Somebody else writes to the tab, or may: the mapping stands still until a person says how it
/// goes on.
pub fn is_of_another_writer(failure: &Failure) -> bool {
    matches!(
        failure.reason,
        Reason::CopiedDatabase | Reason::TabTaken | Reason::SheetIsAhead | Reason::SheetPutBack
    )
}
