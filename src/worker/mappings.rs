//! The mappings of this database as the catalog describes them.

use engine::effect::Question;
use engine::effect::Reason;
use engine::mapping::{
    Column, DateOrder, Direction, KeyEquality, Kind, Mapping, OnSheetDelete, OnTableDelete, Policy,
    Side,
};
use engine::zone::Zone;
use pgrx::{PgSqlErrorCode, pg_sys};
use std::collections::BTreeMap;
use std::time::Duration;

use super::dirty::{Since, Waiting};
use super::tabs::Tab;
use crate::postgres::errors::{refuse, unreadable};
use crate::postgres::fields::Fields;
use crate::postgres::lock;
use crate::postgres::statement::{self, Session};
use crate::postgres::types::ColumnType;
use crate::settings;

/// Close enough that a row which a person carries past its neighbours in the moment of a write
/// mostly passes an anchor, and far enough apart that in a mass of rows anchors weigh little beside
/// the cells.
const ANCHORS_APART: u32 = 16;

/// What tells whether a mapping must be loaded anew, and what is looked at in every turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    pub id: i32,
    pub version: Version,
    pub state: String,
    /// The state says when it is tried again.
    pub has_retry: bool,
    /// What a person allowed by confirm_deletes().
    pub confirmed: Option<Question>,
    pub has_dirty: bool,
    /// Where its lines of `_dirty_key` can be.
    pub since: Since,
    pub merged: bool,
    pub table_exists: bool,
    pub tab: Tab,
}

/// Moves with every edit of the mapping and every DDL on its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// How often the mapping was changed.
    generation: String,
    /// Which extension it is of, how its table is, which key it uses at Google.
    rest: String,
}

impl Version {
    pub fn generation(&self) -> &str {
        &self.generation
    }
}

/// Look at all mappings that have not ended. Answers `None` where there is nothing to do for a
/// worker: the extension is gone, or this is a template in which nobody has registered a table.
pub fn glance(session: &mut Session, waiting: &mut Waiting) -> Option<Vec<Glance>> {
    let installed = session.select(
        "SELECT e.oid FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_class c ON c.relname = 'mapping' AND c.relnamespace = e.extnamespace \
         WHERE e.extname = 'sheet_sync'",
        &[],
    );
    // An extension dropped and made anew counts its mappings from 1 again: they are not the ones we
    // know.
    let extension = installed.into_iter().flatten().flatten().next()?;
    take_dumped(session);
    // A worker would be in the way of whoever copies the template.
    let is_idle_template = session.select(
        "SELECT FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database() AND d.datistemplate \
         AND NOT EXISTS (SELECT FROM sheet_sync.mapping)",
        &[],
    );
    if !is_idle_template.is_empty() {
        return None;
    }
    let rows = session.select(
        "SELECT m.id, m.generation, COALESCE(t.signature, '') || ' ' || m.credential || COALESCE(k.set_at::text, ''), m.state, \
                m.retry_at IS NOT NULL, s.question, COALESCE(c.merged, false), \
                t.signature IS NOT NULL, m.table_name::pg_catalog.oid::text || m.key_columns::text, m.direction, m.row_filter IS NOT NULL, \
                COALESCE(m.sheet_title, '') \
         FROM sheet_sync.mapping m \
         LEFT JOIN sheet_sync._cycle c ON c.mapping_id = m.id \
         LEFT JOIN sheet_sync._stop s ON s.mapping_id = m.id AND s.confirmed_at IS NOT NULL \
         LEFT JOIN sheet_sync._credential k ON k.name = m.credential \
         LEFT JOIN LATERAL ( \
             SELECT sheet_sync._identity(m) || sheet_sync._layout(m.id, r.oid) || sheet_sync._key_holds(r.oid, m.key_columns) || COALESCE((SELECT u.message FROM sheet_sync._unfit(r.oid, m.direction) u), '') || COALESCE(sheet_sync._labels(m.id)::text, '') || pg_catalog.string_agg(pg_catalog.concat_ws(',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, f.oid, a.attidentity, a.attgenerated), ';' ORDER BY a.attnum) AS signature \
             FROM pg_catalog.pg_class r LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped \
             LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum \
             WHERE r.oid = m.table_name GROUP BY r.oid) t ON true \
         WHERE m.state <> 'ended' ORDER BY m.id",
        &[],
    );
    let mut glances: Vec<Glance> = rows
        .into_iter()
        .map(|row| {
            let mut fields = Fields::of(row);
            let id = fields.number() as i32;
            let version = Version {
                generation: fields.text(),
                rest: format!("{extension} {}", fields.text()),
            };
            let state = fields.text();
            let has_retry = fields.flag();
            let question = fields.optional().and_then(|text| text.parse().ok());
            let rests = matches!(state.as_str(), "paused" | "failed");
            Glance {
                id,
                version,
                state,
                has_retry,
                confirmed: question.map(Question),
                has_dirty: false,
                since: Since::default(),
                merged: fields.flag(),
                table_exists: fields.flag(),
                tab: Tab {
                    rows: fields.text(),
                    gives_rows: fields.text() != "to_sheet",
                    is_filtered: fields.flag(),
                    title: fields.text(),
                    rests,
                },
            }
        })
        .collect();
    waiting.look(session, &mut glances);
    Some(glances)
}

/// A restore that switches triggers off has left its lines for the worker.
fn take_dumped(session: &mut Session) {
    let waiting = session.select("SELECT FROM sheet_sync._dumped_mapping LIMIT 1", &[]);
    if !waiting.is_empty() {
        session.execute("SELECT sheet_sync._take_lines()", &[]);
    }
}

/// A mapping with all that carrying out its effects needs.
#[derive(Debug)]
pub struct Loaded {
    pub id: i32,
    pub spreadsheet_id: String,
    pub sheet_id: Option<i64>,
    pub sheet_title: Option<String>,
    pub poll_interval: Option<Duration>,
    pub credential: String,
    pub run_as: pg_sys::Oid,
    /// That role's name, quoted.
    pub role: String,
    /// The table's name, quoted and qualified.
    pub table: String,
    pub table_oid: u32,
    /// As `sheet_sync._identity` has it.
    identity: String,
    pub row_filter: Option<String>,
    pub conflict_function: Option<String>,
    /// Sequences are moved past the keys that people type.
    pub advance_sequences: bool,
    pub columns: Vec<TableColumn>,
    pub engine: Mapping,
}

impl Loaded {
    pub fn number_formats(&self) -> BTreeMap<usize, String> {
        let columns = self.columns.iter().enumerate();
        columns
            .filter_map(|(number, column)| Some((number, column.number_format.clone()?)))
            .collect()
    }

    /// Until this transaction ends the table keeps its name, its owner and its policies. Refuse to
    /// go on where it has other ones already: nothing is evaluated that the mapping's role has not
    /// agreed to.
    pub fn keep(&self, session: &mut Session) {
        lock::keep_table(self.table_oid);
        self.require_same_table(session);
    }

    /// Refuse what was read or is to be changed where the table's name is another table's by now,
    /// or its rows are not those that the mapping's role could read when it was loaded. Seen
    /// afresh, whatever this transaction has seen before.
    pub fn require_same_table(&self, session: &mut Session) {
        let same = session.execute(
            "SELECT sheet_sync._identity(m) = $2 FROM sheet_sync.mapping m WHERE m.id = $1",
            &[self.id.into(), self.identity.as_str().into()],
        );
        if same.into_iter().flatten().flatten().next().as_deref() != Some("t") {
            refuse(
                PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
                "the table was renamed, or its rights were changed",
                "It is looked at anew in a moment.",
            );
        }
    }
}

/// The table's side of a mapped column, in the order of `engine.columns`.
#[derive(Debug)]
pub struct TableColumn {
    /// Quoted.
    pub name: String,
    pub value: ColumnType,
    /// The type's qualified name, without modifier.
    pub type_name: String,
    /// The same with its modifier.
    pub full_type_name: String,
    /// Of a column of the key: how equal values are recognised.
    pub equality: Equality,
    /// Its owner's wish, instead of the usual one of its kind.
    pub number_format: Option<String>,
    pub identity_always: bool,
    /// The SQL of a new value, where the column has a default.
    pub default_sql: Option<String>,
    /// The sequence from which its default takes the next number.
    pub sequence: Option<pg_sys::Oid>,
}

/// How values of a key's column are compared: with the operator of the key's index, under its
/// collation.
#[derive(Debug)]
pub struct Equality {
    /// Qualified: what a search path finds may be another one.
    pub operator: String,
    /// To be put behind the comparison: values that a statement is given have the database's own
    /// collation.
    pub collate: String,
    /// Values that are equal are printed alike.
    pub by_text: bool,
}

/// Why a mapping cannot be loaded: its table is no longer one that can be synced.
#[derive(Debug)]
pub struct Unfit {
    pub reason: Reason,
    pub message: String,
    pub hint: String,
}

/// Load one mapping; first bring its columns up to the table's. `None` where it is gone.
pub fn load(session: &mut Session, id: i32) -> Option<Result<Loaded, Unfit>> {
    keep_table(session, id);
    follow_columns(session, id);
    // Postgres does not make plans anew when a role gets BYPASSRLS or loses it.
    statement::forget_plans();
    let row = session
        .execute(
            "SELECT m.spreadsheet_id, m.sheet_id, m.sheet_title, m.header_row, m.key_columns::text, m.direction, m.conflict_policy, m.conflict_function, \
                    m.tie, m.on_table_delete, m.on_sheet_delete, m.max_delete_percent, m.max_delete_rows, m.row_filter, \
                    (EXTRACT(epoch FROM m.poll_interval) * 1000)::bigint, m.notes_on_problems, m.credential, m.run_as::oid, m.advance_sequences, \
                    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.oid, sheet_sync._key_holds(c.oid, m.key_columns), \
                    m.footer, CASE WHEN c.relowner <> m.run_as THEN pg_catalog.pg_get_userbyid(c.relowner)::text END, m.run_as::text, \
                    sheet_sync._identity(m), COALESCE(d.reason, u.reason), COALESCE(d.message, u.message), COALESCE(d.hint, u.hint) \
             FROM sheet_sync.mapping m JOIN pg_catalog.pg_class c ON c.oid = m.table_name JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN LATERAL sheet_sync._doubts(m) d ON true \
             LEFT JOIN LATERAL sheet_sync._unfit(c.oid, m.direction) u ON true \
             WHERE m.id = $1",
            &[id.into()],
        )
        .into_iter()
        .next()?;
    let mut fields = Fields::of(row);
    let spreadsheet_id = fields.text();
    let sheet_id = fields.optional().and_then(|text| text.parse().ok());
    let sheet_title = fields.optional();
    let header_row = fields.number() as u32;
    let key_columns = fields
        .names()
        .unwrap_or_else(|| unreadable("mapping.key_columns", "NULL"));
    let direction = direction(&fields.text());
    let policy = policy(&fields.text());
    let conflict_function = fields.optional();
    let tie = side("mapping.tie", &fields.text());
    let on_table_delete = match fields.text().as_str() {
        "delete_row" => OnTableDelete::DeleteRow,
        "clear" => OnTableDelete::Clear,
        "keep" => OnTableDelete::Keep,
        other => unreadable("mapping.on_table_delete", other),
    };
    let on_sheet_delete = match fields.text().as_str() {
        "delete" => OnSheetDelete::Delete,
        "keep" => OnSheetDelete::Keep,
        other => unreadable("mapping.on_sheet_delete", other),
    };
    let percent = fields.text();
    let max_delete_percent = percent
        .parse()
        .unwrap_or_else(|_| unreadable("mapping.max_delete_percent", &percent));
    let max_delete_rows = fields.number() as u32;
    let row_filter = fields.optional();
    let poll_interval = fields
        .optional()
        .and_then(|text| text.parse().ok())
        .map(Duration::from_millis);
    let notes_on_problems = fields.flag();
    let credential = fields.text();
    let run_as = pg_sys::Oid::from(fields.number() as u32);
    let advance_sequences = fields.flag();
    let table = fields.text();
    let table_oid = fields.number() as u32;
    let key_holds = fields.flag();
    let footer = fields.optional();
    let (new_owner, role) = (fields.optional(), fields.text());
    let identity = fields.text();
    if let Some(owner) = new_owner {
        return Some(Err(owner_changed(&table, &role, &owner)));
    }
    if let Some(reason) = fields.optional().map(Reason::Unfit) {
        return Some(Err(Unfit {
            reason,
            message: fields.text(),
            hint: fields.text(),
        }));
    }

    let (names, columns, engine_columns) = load_columns(session, id);
    let key: Vec<usize> = key_columns
        .iter()
        .filter_map(|key| names.iter().position(|name| name == key))
        .collect();
    if key.len() != key_columns.len() || !key_holds {
        return Some(Err(key_gone(&table, &key_columns, &names, &columns)));
    }
    let engine = Mapping {
        sheet_id,
        key_generated: key
            .iter()
            .all(|place| columns[*place].default_sql.is_some()),
        key_equality: match key.iter().all(|place| columns[*place].equality.by_text) {
            true => KeyEquality::ByText,
            false => KeyEquality::ByOperator,
        },
        key,
        columns: engine_columns,
        header_row,
        footer,
        direction,
        policy,
        winner: winner(session, id),
        tie,
        on_table_delete,
        on_sheet_delete,
        max_delete_percent,
        max_delete_rows,
        has_row_filter: row_filter.is_some(),
        notes_on_problems,
        time_zone: Zone::UTC,
        date_order: DateOrder::MonthFirst,
        max_request_bytes: settings::max_request_bytes(),
        anchors_apart: ANCHORS_APART,
    };
    Some(Ok(Loaded {
        id,
        spreadsheet_id,
        sheet_id,
        sheet_title,
        poll_interval,
        credential,
        run_as,
        role,
        table,
        table_oid,
        identity,
        row_filter,
        conflict_function,
        advance_sequences,
        columns,
        engine,
    }))
}

/// Whose rows alone count in the merge that take_over() asked for, until it is done.
fn winner(session: &mut Session, id: i32) -> Option<Side> {
    let rows = session.execute(
        "SELECT w.winner FROM sheet_sync._writer w WHERE w.mapping_id = $1",
        &[id.into()],
    );
    let winner = Fields::of(rows.into_iter().next()?).optional()?;
    Some(side("_writer.winner", &winner))
}

/// The filter and the conflict function of one owner are not run with the rights of another who has
/// not seen them.
fn owner_changed(table: &str, role: &str, owner: &str) -> Unfit {
    Unfit {
        reason: Reason::OwnerChanged,
        message: format!(
            "table {table} belongs to {owner} now, and the mapping was set up by {role}: what {role} wrote into it (row_filter, conflict_function) would run with the rights of {owner}"
        ),
        hint: format!(
            "If {owner} agrees with SELECT * FROM sheet_sync.mapping, SELECT sheet_sync.resume('{table}') lets it go on as {owner}. Where {owner} wants other settings and is no member of {role}, unregister_table() and register_table() begin anew."
        ),
    }
}

/// Without it a row of the sheet may be several of the table, or none.
fn key_gone(table: &str, key: &[String], names: &[String], columns: &[TableColumn]) -> Unfit {
    let reason = Reason::KeyGone;
    match key.iter().find(|name| !names.contains(name)) {
        Some(gone) => Unfit {
            reason,
            message: format!("key column \"{gone}\" of table {table} is gone"),
            hint: "End the mapping with sheet_sync.unregister_table() and register the table again, with the key that it has now.".to_owned(),
        },
        None => {
            let quoted: Vec<&str> = names
                .iter()
                .zip(columns)
                .filter(|(name, _)| key.contains(name))
                .map(|(_, column)| column.name.as_str())
                .collect();
            let quoted = quoted.join(", ");
            Unfit {
                reason,
                message: format!("({quoted}) is not a key of table {table} any more: no unique index covers just these columns, or one of them may be NULL"),
                hint: format!("ALTER TABLE {table} ADD PRIMARY KEY ({quoted}) lets it go on; beside another primary key ADD UNIQUE ({quoted}) does, each of them NOT NULL. Or end the mapping with sheet_sync.unregister_table() and register the table again, with the key that it has now."),
            }
        }
    }
}

fn load_columns(session: &mut Session, id: i32) -> (Vec<String>, Vec<TableColumn>, Vec<Column>) {
    let rows = session.execute(
        "SELECT k.column_name, pg_catalog.quote_ident(k.column_name), k.header, k.direction, k.conflict_policy, k.kind, k.header_known, k.reformat, k.number_format, a.atttypid, a.atttypmod, \
                pg_catalog.format_type(a.atttypid, -1), pg_catalog.format_type(a.atttypid, a.atttypmod), \
                e.operator, e.is_own, e.collating, e.is_deterministic, \
                s.oid, \
                a.attnotnull, a.attidentity, a.attgenerated, \
                CASE WHEN a.attidentity <> '' THEN pg_catalog.format('pg_catalog.nextval(%s::pg_catalog.oid::pg_catalog.regclass)', s.oid) \
                     WHEN a.atthasdef AND a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END \
         FROM sheet_sync.mapping m JOIN sheet_sync.mapping_column k ON k.mapping_id = m.id \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = m.table_name AND a.attnum = k.attnum AND NOT a.attisdropped \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         LEFT JOIN LATERAL sheet_sync._key_equality(m.table_name, m.key_columns, a.attnum) e ON true \
         LEFT JOIN LATERAL sheet_sync._column_sequence(m.table_name, a.attnum) s(oid) ON true \
         WHERE m.id = $1 ORDER BY k.position",
        &[id.into()],
    );
    let mut names = Vec::new();
    let mut columns = Vec::new();
    let mut engine_columns = Vec::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let plain = fields.text();
        let name = fields.text();
        let header = fields.text();
        let direction = direction(&fields.text());
        let policy = fields.optional().map(|text| policy(&text));
        let kind = kind(&fields.text());
        let header_known = fields.flag();
        let reformat = fields.flag();
        let number_format = fields.optional();
        let value = ColumnType {
            oid: pg_sys::Oid::from(fields.number() as u32),
            modifier: fields.number() as i32,
        };
        let type_name = fields.text();
        let full_type_name = fields.text();
        let equality = equality(&mut fields, value);
        let sequence = fields.optional().and_then(|text| text.parse::<u32>().ok());
        let not_null = fields.flag();
        let identity_kind = fields.text();
        let generated = !fields.text().is_empty();
        let default_sql = fields.optional();
        engine_columns.push(Column {
            name: plain.clone(),
            header,
            kind,
            nullable: !not_null,
            header_known,
            reformat,
            has_default: default_sql.is_some() || generated,
            writable: !generated,
            direction,
            policy,
        });
        columns.push(TableColumn {
            name,
            value,
            type_name,
            full_type_name,
            equality,
            number_format,
            identity_always: identity_kind == "a",
            default_sql,
            sequence: sequence.map(pg_sys::Oid::from),
        });
        names.push(plain);
    }
    (names, columns, engine_columns)
}

fn equality(fields: &mut Fields, column: ColumnType) -> Equality {
    let operator = fields.optional();
    // Postgres's own `=` of the type, and not one that somebody wrote for it.
    let own = fields.flag();
    let collate = fields.text();
    let deterministic = fields.flag();
    Equality {
        operator: operator.unwrap_or_else(|| "OPERATOR(pg_catalog.=)".to_owned()),
        collate,
        by_text: own && deterministic && column.prints_equals_alike(),
    }
}

/// Columns are followed in several statements. A key's column that is renamed between two of them
/// would be known under its new name to one and under its former to the other, and be lost.
fn keep_table(session: &mut Session, id: i32) {
    let table = session.execute(
        "SELECT m.table_name::pg_catalog.oid FROM sheet_sync.mapping m WHERE m.id = $1",
        &[id.into()],
    );
    for row in table {
        lock::keep_table(Fields::of(row).number() as u32);
    }
}

/// ALTER TABLE happened, or may have: columns that were renamed keep their place and header,
/// dropped ones leave (their sheet column stays as it is), new ones join at the end where the
/// mapping is for all columns.
fn follow_columns(session: &mut Session, id: i32) {
    session.execute("SELECT sheet_sync._follow_columns($1)", &[id.into()]);
}

fn side(column: &str, text: &str) -> Side {
    match text {
        "database" => Side::Database,
        "sheet" => Side::Sheet,
        other => unreadable(column, other),
    }
}

fn direction(text: &str) -> Direction {
    match text {
        "both" => Direction::Both,
        "to_sheet" => Direction::ToSheet,
        "from_sheet" => Direction::FromSheet,
        other => unreadable("direction", other),
    }
}

fn policy(text: &str) -> Policy {
    match text {
        "database_wins" => Policy::DatabaseWins,
        "sheet_wins" => Policy::SheetWins,
        "manual" => Policy::Manual,
        "conflict_function" => Policy::Function,
        "last_write_wins" => Policy::LastWriteWins,
        other => unreadable("conflict_policy", other),
    }
}

fn kind(text: &str) -> Kind {
    match text {
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        "float4" => Kind::Float4,
        "float8" => Kind::Float8,
        "numeric" => Kind::Numeric,
        "date" => Kind::Date,
        "time" => Kind::Time,
        "timestamp" => Kind::Timestamp,
        "timestamptz" => Kind::TimestampTz,
        "interval" => Kind::Interval,
        "json" => Kind::Json,
        "array" => Kind::Array,
        "printed" => Kind::Printed,
        "text" => Kind::Text,
        other => unreadable("mapping_column.kind", other),
    }
}
