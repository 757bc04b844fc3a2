//! Rows that only go through together: values of a unique column that rows swap or pass round,
//! ranges that would overlap in between, constraints that are checked at the end only.
//!
//! Deferrable constraints are checked when all rows are changed. Others are checked row by row
//! whatever the statement, so the rows step aside first: the column in question gets a value that
//! no row has, or is emptied where no foreign key refers to it, and then its own. Both are ordinary
//! updates, so that cascades follow the row and the table's triggers see whole changes. They fire
//! twice. All of it is undone if a row of the set is refused in the end; it is left out then, and
//! the others are tried without it.

use engine::effect::{Applied, Apply, Change, Refusal};
use engine::value::Datum;
use std::cell::Cell;
use std::collections::HashMap;

use super::apply::{self, Args, Hold, Tried, is_held, where_key};
use crate::postgres::errors::refuse;
use crate::postgres::fields::Fields;
use crate::postgres::role::as_writer;
use crate::postgres::statement::Session;
use crate::postgres::time_limit;
use crate::postgres::transaction::{is_lock, subtransaction};
use crate::worker::mappings::Loaded;

/// One transaction holds no more rows than that.
const MOST: usize = 1_000;
/// One statement changes no more rows than that.
const MOST_OF_STATEMENT: usize = 100;
/// How often the set is tried with fewer rows.
const ROUNDS: usize = 5;

type Member<'a> = (usize, &'a Apply, &'a Refusal);

/// Answers what became of those that are dealt with.
pub fn apply(session: &mut Session, mapping: &Loaded, members: &[Member]) -> Vec<(usize, Applied)> {
    let mut members: Vec<Member> = members.iter().take(MOST).copied().collect();
    let mut done = in_one_statement(session, mapping, &members);
    members.retain(|member| done.iter().all(|(index, _)| *index != member.0));
    done.extend(side_by_side(session, mapping, members));
    done
}

fn side_by_side(
    session: &mut Session,
    mapping: &Loaded,
    mut members: Vec<Member>,
) -> Vec<(usize, Applied)> {
    if members.len() < 2 {
        return Vec::new();
    }
    if has_deferrable(session, mapping) {
        let plainly = HashMap::new();
        if let Outcome::Done(done) = attempt(session, mapping, &members, &plainly) {
            return done;
        }
    }
    let ways = ways_aside(session, mapping, &members);
    for _ in 0..ROUNDS {
        if members.len() < 2 {
            return Vec::new();
        }
        match attempt(session, mapping, &members, &ways) {
            Outcome::Done(done) => return done,
            Outcome::Locked => {
                let locked = |member: &Member| (member.0, Applied::Locked);
                return members.iter().map(locked).collect();
            }
            Outcome::Without(failed) if failed.is_empty() => return Vec::new(),
            Outcome::Without(failed) => members.retain(|member| !failed.contains(&member.0)),
        }
    }
    Vec::new()
}

/// Rows that refer to one another: foreign keys are checked at the end of a statement.
fn in_one_statement(
    session: &mut Session,
    mapping: &Loaded,
    members: &[Member],
) -> Vec<(usize, Applied)> {
    let refers = |member: &&Member| member.2.sqlstate == "23503";
    let members: Vec<Member> = members.iter().filter(refers).copied().collect();
    if !(2..=MOST_OF_STATEMENT).contains(&members.len()) {
        return Vec::new();
    }
    let outcome = subtransaction(|| {
        as_writer(mapping.run_as, || {
            for (_, apply, _) in &members {
                if !is_held(session, mapping, apply, Hold::AtOnce) {
                    undo();
                }
            }
            let columns: Vec<String> = (0..=mapping.columns.len())
                .map(|column| format!("v{column}"))
                .collect();
            let columns = columns.join(", ");
            let never = Cell::new(None);
            let mut args = Args::new(mapping, &never);
            let mut changes = Vec::new();
            let mut results = Vec::new();
            for (place, (_, apply, _)) in members.iter().enumerate() {
                let change = apply::statement(mapping, apply, &mut args);
                changes.push(format!("c{place} ({columns}) AS ({change})"));
                results.push(format!("SELECT {place}, {columns} FROM c{place}"));
            }
            let sql = format!(
                "WITH {} {}",
                changes.join(", "),
                results.join(" UNION ALL ")
            );
            let rows = session.execute_once(&sql, &args.list);
            let rows = rows.into_iter().map(|row| {
                let mut fields = Fields::of(row);
                let place = fields.number() as usize;
                let row = (0..mapping.columns.len()).map(|_| fields.datum()).collect();
                (place, (row, fields.flag()))
            });
            let mut rows: HashMap<usize, (Vec<Datum>, bool)> = rows.collect();
            let done = members.iter().enumerate();
            let done = done.map(|(place, (index, apply, _))| {
                let row = match (rows.remove(&place), &apply.change) {
                    (Some(_), Change::Delete { .. }) => None,
                    (Some((row, true)), _) | (Some((row, _)), Change::Update { .. }) => Some(row),
                    // A trigger did something else, or the row does not belong here: it is tried
                    // alone.
                    _ => undo(),
                };
                let refused = Vec::new();
                (*index, Applied::Done { row, refused })
            });
            done.collect()
        })
    });
    outcome.unwrap_or_default()
}

enum Outcome {
    Done(Vec<(usize, Applied)>),
    /// The table refuses the changes of these; where there are none, it refuses the set as a whole.
    Without(Vec<usize>),
    Locked,
}

fn attempt(
    session: &mut Session,
    mapping: &Loaded,
    members: &[Member],
    ways: &HashMap<usize, Vec<String>>,
) -> Outcome {
    let mut failed = Vec::new();
    let mut locked = false;
    // A statement took too long: what is left of the set might, too.
    let mut ended = false;
    let outcome = subtransaction(|| {
        constraints(session, mapping, "DEFERRED");
        for (index, apply, _) in members {
            if ended {
                break;
            }
            match step_aside(session, mapping, apply, ways.get(index)) {
                Ok(true) => {}
                Ok(false) => failed.push(*index),
                Err(refusal) => {
                    locked |= is_lock(&refusal);
                    ended |= time_limit::ended(&refusal);
                    failed.push(*index);
                }
            }
        }
        let mut done: Vec<(usize, Applied)> = Vec::new();
        let mut rest: Vec<&Member> = members
            .iter()
            .filter(|member| !failed.contains(&member.0))
            .collect();
        loop {
            let before = rest.len();
            // From the other end each time, so that a chain against the order of the rows takes no
            // more rounds than one along it.
            rest.reverse();
            rest.retain(|(index, apply, _)| {
                if ended {
                    return true;
                }
                match apply::try_whole(session, mapping, apply, Hold::Held) {
                    // A cell of a row that has stepped aside was left out: what stands there may be
                    // what it stepped aside to.
                    Tried::Over(Applied::Done { refused, .. })
                        if !refused.is_empty() && ways.contains_key(index) =>
                    {
                        failed.push(*index);
                        false
                    }
                    Tried::Over(applied @ (Applied::Done { .. } | Applied::Kept { .. })) => {
                        done.push((*index, applied));
                        false
                    }
                    Tried::Over(applied) => {
                        locked |= applied == Applied::Locked;
                        ended |= apply::takes_long(&applied);
                        failed.push(*index);
                        false
                    }
                    Tried::Waits(_) => true,
                }
            });
            if rest.is_empty() || rest.len() == before {
                break;
            }
        }
        failed.extend(rest.into_iter().map(|(index, ..)| *index));
        if locked || !failed.is_empty() {
            undo();
        }
        constraints(session, mapping, "IMMEDIATE");
        done
    });
    // A sub-transaction that is undone takes its setting with it; one that is kept has set it back.
    match outcome {
        Ok(done) => Outcome::Done(done),
        Err(_) if locked => Outcome::Locked,
        Err(refusal) if is_lock(&refusal) => Outcome::Locked,
        Err(refusal) if ended || time_limit::ended(&refusal) => Outcome::Without(Vec::new()),
        Err(_) => Outcome::Without(failed),
    }
}

/// Whether deferrable constraints, and triggers of that kind, speak up at once from now on. What
/// waits fires in this very statement: as the mapping's role, whose code it is, and never as the
/// worker's superuser.
pub fn constraints(session: &mut Session, mapping: &Loaded, when: &str) {
    as_writer(mapping.run_as, || {
        session.execute(&format!("SET CONSTRAINTS ALL {when}"), &[])
    });
}

/// Ends the sub-transaction; the message is for nobody.
fn undo() -> ! {
    refuse(
        pgrx::PgSqlErrorCode::ERRCODE_TRIGGERED_ACTION_EXCEPTION,
        "the set is tried without some of its rows",
        "",
    )
}

/// Holds the row, and lets it step aside by the first way that the table takes. False where the row
/// has changed meanwhile.
fn step_aside(
    session: &mut Session,
    mapping: &Loaded,
    apply: &Apply,
    ways: Option<&Vec<String>>,
) -> Result<bool, Refusal> {
    let held = subtransaction(|| {
        as_writer(mapping.run_as, || {
            is_held(session, mapping, apply, Hold::AtOnce)
        })
    })?;
    if !held {
        return Ok(false);
    }
    for way in ways.into_iter().flatten() {
        let stepped = subtransaction(|| {
            as_writer(mapping.run_as, || {
                let never = Cell::new(None);
                let mut args = Args::new(mapping, &never);
                let key = where_key(mapping, apply, &mut args);
                let sql = format!("UPDATE {} AS t SET {way} WHERE {key}", mapping.table);
                session.execute_once(&sql, &args.list)
            })
        });
        match stepped {
            Ok(_) => break,
            Err(refusal) if is_lock(&refusal) || time_limit::ended(&refusal) => {
                return Err(refusal);
            }
            // Another way, or as it is: the row may go through all the same when the others have
            // stepped aside.
            Err(_) => {}
        }
    }
    Ok(true)
}

fn has_deferrable(session: &mut Session, mapping: &Loaded) -> bool {
    let found = session.select(
        "SELECT FROM pg_catalog.pg_constraint c JOIN sheet_sync.mapping m ON m.table_name = c.conrelid \
         WHERE m.id = $1 AND c.condeferrable LIMIT 1",
        &[mapping.id.into()],
    );
    !found.is_empty()
}

/// A column of a violated unique or exclusion constraint.
struct Contested {
    constraint: String,
    column: String,
    nullable: bool,
    type_name: String,
    category: String,
    /// The greatest and the least value, where values of the type can be counted on from them.
    greatest: Option<String>,
    least: Option<String>,
}

/// For each row that a unique or exclusion constraint refuses: what to set so that it is in
/// nobody's way.
fn ways_aside(
    session: &mut Session,
    mapping: &Loaded,
    members: &[Member],
) -> HashMap<usize, Vec<String>> {
    let messages: Vec<String> = members
        .iter()
        .filter(|(.., refusal)| matches!(refusal.sqlstate.as_str(), "23505" | "23P01"))
        .map(|(.., refusal)| refusal.message.clone())
        .collect();
    let contested = contested(session, mapping, messages);
    let mut ways = HashMap::new();
    for (nth, (index, apply, refusal)) in members.iter().enumerate() {
        let Change::Update { values, .. } = &apply.change else {
            continue;
        };
        let changed = |one: &&Contested| {
            let mut changed = values.iter().filter_map(|(column, _)| {
                let is_key = mapping.engine.key.contains(column);
                mapping.columns.get(*column).filter(|_| !is_key)
            });
            refusal.message.contains(&one.constraint)
                && changed.any(|column| column.name == one.column)
        };
        let ways_of_row = contested.iter().filter(changed);
        let ways_of_row: Vec<String> = ways_of_row.flat_map(|one| one.ways(nth + 1)).collect();
        if !ways_of_row.is_empty() {
            ways.insert(*index, ways_of_row);
        }
    }
    ways
}

fn contested(session: &mut Session, mapping: &Loaded, messages: Vec<String>) -> Vec<Contested> {
    if messages.is_empty() {
        return Vec::new();
    }
    // Messages name the index of the partition where the row stands. The columns of an index's
    // expressions and of its condition are those that it depends on.
    let rows = session.select(
        "SELECT DISTINCT ON (x.relname, a.attnum) pg_catalog.format('constraint \"%s\"', x.relname), pg_catalog.quote_ident(a.attname), \
                NOT a.attnotnull \
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.confrelid = r.relid AND a.attnum = ANY (f.confkey)) \
                AND (i.indisexclusion OR COALESCE(pg_catalog.to_jsonb(i.*)->>'indnullsnotdistinct', 'false') = 'false'), pg_catalog.format_type(a.atttypid, a.atttypmod), \
                t.typcategory::text \
         FROM sheet_sync.mapping m \
         CROSS JOIN LATERAL (SELECT m.table_name::pg_catalog.oid UNION SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(m.table_name) p) r(relid) \
         JOIN pg_catalog.pg_index i ON i.indrelid = r.relid AND (i.indisunique OR i.indisexclusion) \
         JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = r.relid AND a.attgenerated = '' AND ( \
              EXISTS (SELECT FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) n WHERE i.indkey[n] = a.attnum) \
              OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid \
                         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.relid AND d.refobjsubid = a.attnum) \
                 AND NOT EXISTS (SELECT FROM pg_catalog.generate_series(i.indnkeyatts::int, i.indnatts - 1) n WHERE i.indkey[n] = a.attnum)) \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         WHERE m.id = $1 AND EXISTS (SELECT FROM pg_catalog.unnest($2) s WHERE pg_catalog.strpos(s, pg_catalog.format('constraint \"%s\"', x.relname)) > 0)",
        &[mapping.id.into(), messages.into()],
    );
    rows.into_iter()
        .map(|row| {
            let mut fields = Fields::of(row);
            let (constraint, column) = (fields.text(), fields.text());
            let nullable = fields.flag();
            let (type_name, category) = (fields.text(), fields.text());
            let counts = matches!(category.as_str(), "N" | "D");
            let (greatest, least) = match counts {
                true => ends(session, mapping, &column),
                false => (None, None),
            };
            Contested {
                constraint,
                column,
                nullable,
                type_name,
                category,
                greatest,
                least,
            }
        })
        .collect()
}

/// As the mapping's role, which may not see all rows: then the value may be taken, and the row does
/// not step aside.
fn ends(session: &mut Session, mapping: &Loaded, column: &str) -> (Option<String>, Option<String>) {
    let sql = format!(
        "SELECT pg_catalog.max(t.{column})::text, pg_catalog.min(t.{column})::text FROM {} AS t",
        mapping.table
    );
    let rows = subtransaction(|| as_writer(mapping.run_as, || session.execute(&sql, &[])));
    let mut row = rows
        .ok()
        .and_then(|rows| rows.into_iter().next())
        .unwrap_or_default()
        .into_iter();
    let mut text = || row.next().flatten().map(String::from);
    (text(), text())
}

impl Contested {
    /// Assignments of a value that no other row has, the most harmless first. Emptying the column
    /// would take rows that refer to it along for good: with the old value gone, no cascade finds
    /// them again.
    fn ways(&self, nth: usize) -> Vec<String> {
        let Self {
            column, type_name, ..
        } = self;
        let set = |value: String| format!("{column} = {value}");
        let empty = self.nullable.then(|| set("NULL".to_owned()));
        let beyond = |end: &Option<String>, sign: &str| {
            let end = end.as_ref()?;
            let step = match (self.category.as_str(), type_name.as_str()) {
                ("N", _) | (_, "date") => nth.to_string(),
                _ => format!("pg_catalog.make_interval(secs => {nth})"),
            };
            Some(set(format!(
                "'{end}'::{type_name} OPERATOR(pg_catalog.{sign}) {step}"
            )))
        };
        let values: Vec<String> = match (self.category.as_str(), type_name.as_str()) {
            ("N" | "D", _) => {
                let ways = [beyond(&self.greatest, "+"), beyond(&self.least, "-")];
                ways.into_iter().flatten().collect()
            }
            // A range without a point overlaps no other.
            ("R", _) => vec![set(format!("'empty'::{type_name}"))],
            ("S", _) => vec![
                set(format!(
                    "pg_catalog.concat(pg_catalog.gen_random_uuid(), '-{nth}')"
                )),
                // As much of it as a short column holds.
                set(format!(
                    "pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 8)::{type_name}"
                )),
            ],
            (_, "uuid") => vec![set("pg_catalog.gen_random_uuid()".to_owned())],
            _ => Vec::new(),
        };
        empty.into_iter().chain(values).collect()
    }
}
