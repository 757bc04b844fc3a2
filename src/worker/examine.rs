//! `doctor()`: what the catalog and the quota say is looked up here, what only Google can say is
//! asked by a helper, and all of it is stored as lines that the call fetches.

use engine::effect::Refusal;
use google::auth::Kind;
use google::governor::Need;
use google::sheet::{Finding, Patient};
use google::{Identity, Session as GoogleSession};
use pgrx::pg_sys;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::http::{Examined, Grant, Work};
use super::{Shared, credentials};
use crate::postgres::fields::Fields;
use crate::postgres::statement::Session;
use crate::postgres::transaction::transaction;
use crate::shared::{Answer, Counts, answer_request};
use crate::{quota, settings};

/// A transaction that is open for longer than this many minutes is one that somebody forgot.
const LONG_MINUTES: i32 = 30;

/// A call that waits for Google's answers about its accounts.
pub struct Examination {
    request: u64,
    waits_for: Vec<Waits>,
    lines: Vec<Line>,
}

struct Waits {
    ticket: u64,
    account: String,
    /// The tables of the tabs that were asked about, in that order.
    tables: Vec<String>,
}

/// A finding, and what it is about.
struct Line {
    subject: String,
    finding: Finding,
}

/// What the catalog tells.
struct Catalog {
    /// What keeps old versions of rows on disk.
    held_back: Vec<Finding>,
    /// Triggers that speak for no mapping, each with its table.
    orphans: Vec<(String, Finding)>,
    credentials: Vec<String>,
    mappings: Vec<Mapped>,
}

/// A mapping as far as it is examined.
struct Mapped {
    table: String,
    credential: String,
    state: Finding,
    /// What its role may not do, and what its rows and cells cannot: a finding for each reason.
    troubles: Vec<Finding>,
    /// `None` where the mapping has ended.
    patient: Option<Patient>,
}

pub fn begin(shared: &mut Shared, database: pg_sys::Oid, request: u64) {
    let read = transaction(|session| Catalog {
        held_back: held_back(session),
        orphans: orphans(session),
        credentials: credentials(session),
        mappings: mappings(session),
    });
    let catalog = match read {
        Ok(catalog) => catalog,
        Err(refusal) => return answer_request(request, &failed(refusal)),
    };
    let mut examination = Examination {
        request,
        waits_for: Vec::new(),
        lines: Vec::new(),
    };
    examination.add("server", catalog.held_back);
    for (table, orphan) in catalog.orphans {
        examination.add(&table, [orphan]);
    }
    let mut patients: BTreeMap<String, Vec<Mapped>> = BTreeMap::new();
    for name in catalog.credentials {
        patients.insert(name, Vec::new());
    }
    for mapped in catalog.mappings {
        let of = patients.entry(mapped.credential.clone()).or_default();
        of.push(mapped);
    }
    for (credential, mapped) in patients {
        for one in &mapped {
            examination.add(&one.table, [one.state.clone()]);
            examination.add(&one.table, one.troubles.clone());
        }
        let account = format!("credential {credential}");
        match credentials::fresh(&credential) {
            Err(failure) => examination.add(&account, [Finding::failed("key", &failure)]),
            Ok(session) => {
                let identity = session.client().identity();
                let caller = quota::caller(identity, database, 0);
                examination.add(&account, [Finding::good("key", described(identity))]);
                examination.add(&account, [quota_left(quota::used(caller))]);
                examination.add(&account, [capabilities(&session)]);
                let (tables, patients) = mapped
                    .into_iter()
                    .filter_map(|one| Some((one.table, one.patient?)))
                    .unzip();
                let address = shared.http.address(0);
                examination.waits_for.push(Waits {
                    ticket: address.ticket,
                    account,
                    tables,
                });
                // Somebody waits, and it is little: what it takes is counted afterwards.
                let grant = Grant {
                    caller,
                    need: Need::default(),
                };
                let work = Work::Examine { patients };
                shared.http.send(vec![address], session, grant, work);
            }
        }
    }
    shared.examinations.push(examination);
    finish(shared);
}

/// A helper has asked Google.
pub fn answered(shared: &mut Shared, ticket: u64, examined: Examined) {
    for examination in &mut shared.examinations {
        let waits_for = &mut examination.waits_for;
        if let Some(place) = waits_for.iter().position(|one| one.ticket == ticket) {
            let waited = waits_for.swap_remove(place);
            examination.add(&waited.account, examined.account);
            for (table, findings) in waited.tables.iter().zip(examined.tabs) {
                examination.add(table, findings);
            }
            break;
        }
    }
    finish(shared);
}

/// Store what is complete, and let the calls fetch it.
fn finish(shared: &mut Shared) {
    let all = std::mem::take(&mut shared.examinations);
    let (complete, rest) = all
        .into_iter()
        .partition::<Vec<_>, _>(|one| one.waits_for.is_empty());
    shared.examinations = rest;
    for examination in complete {
        let answer = match transaction(|session| examination.store(session)) {
            Ok(()) => Answer::Done(Counts::default()),
            Err(refusal) => failed(refusal),
        };
        answer_request(examination.request, &answer);
    }
}

fn failed(refusal: Refusal) -> Answer {
    Answer::Failed {
        message: refusal.message,
        hint: "Try again; if it stays so, the server's log may say more.".to_owned(),
    }
}

impl Examination {
    fn add(&mut self, subject: &str, findings: impl IntoIterator<Item = Finding>) {
        let lines = findings.into_iter().map(|finding| Line {
            subject: subject.to_owned(),
            finding,
        });
        self.lines.extend(lines);
    }

    fn store(&self, session: &mut Session) {
        for (number, Line { subject, finding }) in self.lines.iter().enumerate() {
            session.execute(
                "INSERT INTO sheet_sync._finding (request_id, line, subject, check_name, ok, detail, hint) \
                 VALUES ($1, $2, $3, $4, $5, $6, NULLIF($7, ''))",
                &[
                    (self.request as i64).into(),
                    (number as i32).into(),
                    subject.as_str().into(),
                    finding.check.into(),
                    finding.ok.into(),
                    finding.detail.as_str().into(),
                    finding.hint.as_str().into(),
                ],
            );
        }
    }
}

fn held_back(session: &mut Session) -> Vec<Finding> {
    let rows = session.select(
        "SELECT h.detail, h.hint FROM sheet_sync._held_back($1 * interval '1 minute') h",
        &[LONG_MINUTES.into()],
    );
    let held = rows.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        Finding::bad("vacuum", fields.text(), fields.text())
    });
    held.collect()
}

fn orphans(session: &mut Session) -> Vec<(String, Finding)> {
    let rows = session.select(
        "SELECT table_name, trigger_name FROM sheet_sync._orphaned_triggers()",
        &[],
    );
    let orphans = rows.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        let (table, trigger) = (fields.text(), fields.text());
        let finding = orphaned(&table, &trigger);
        (table, finding)
    });
    orphans.collect()
}

/// Those that are stored. Where there is none, or a file holds one, the one that mappings use which
/// name no other.
fn credentials(session: &mut Session) -> Vec<String> {
    let rows = session.select("SELECT name FROM sheet_sync._credential", &[]);
    let mut names: Vec<String> = rows.into_iter().map(|row| Fields::of(row).text()).collect();
    if names.is_empty() || settings::credentials_file().is_some() {
        names.push(credentials::OF_THE_FILE.to_owned());
    }
    names
}

fn mappings(session: &mut Session) -> Vec<Mapped> {
    let rows = session.select(
        "SELECT m.id, COALESCE(m.table_name::text, m.registered_as), m.credential, m.state, m.reason, m.hint, m.spreadsheet_id, m.sheet_id, m.header_row, m.direction, \
                (SELECT pg_catalog.array_agg(k.header ORDER BY k.position) FROM sheet_sync.mapping_column k WHERE k.mapping_id = m.id)::text, \
                m.run_as::text, sheet_sync._missing_rights(m) \
         FROM sheet_sync.mapping m ORDER BY m.id",
        &[],
    );
    let mut problems = problems(session);
    let mapped = rows.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        let id = fields.number();
        let (table, credential) = (fields.text(), fields.text());
        let (state, reason, hint) = (fields.text(), fields.optional(), fields.optional());
        let patient = Patient {
            spreadsheet_id: fields.text(),
            sheet_id: fields.optional().and_then(|id| id.parse().ok()),
            header_row: fields.number() as u32,
            writes: fields.text() != "from_sheet",
            headers: fields.names().unwrap_or_default(),
        };
        let (role, missing_rights) = (fields.text(), fields.optional());
        let mut troubles = Vec::new();
        troubles.extend(missing_rights.map(|grants| lacks_rights(&role, grants)));
        troubles.extend(problems.remove(&id).unwrap_or_default());
        Mapped {
            table,
            credential,
            patient: (state != "ended").then_some(patient),
            state: stands(&state, reason, hint),
            troubles,
        }
    });
    mapped.collect()
}

/// Where something is wrong, there is a hint, also where it goes on by itself. To pause is no
/// fault.
fn stands(state: &str, reason: Option<String>, hint: Option<String>) -> Finding {
    match reason {
        None => Finding::good("mapping", state),
        Some(_) if state == "paused" => Finding::good("mapping", state),
        Some(reason) => Finding::bad(
            "mapping",
            format!("{state}: {reason}"),
            hint.unwrap_or_default(),
        ),
    }
}

fn lacks_rights(role: &str, grants: String) -> Finding {
    Finding::bad(
        "rights",
        format!(
            "rows are read and written with the rights of {role}, and that role lacks some of them"
        ),
        grants,
    )
}

/// By the mapping's number. What values are in the way is for whoever may read the table, in the
/// table of problems.
fn problems(session: &mut Session) -> BTreeMap<i64, Vec<Finding>> {
    let rows = session.select(
        "SELECT p.mapping_id, p.code, pg_catalog.count(*), pg_catalog.min(p.hint) \
         FROM sheet_sync.problem p GROUP BY p.mapping_id, p.code ORDER BY p.mapping_id, p.code",
        &[],
    );
    let mut problems: BTreeMap<i64, Vec<Finding>> = BTreeMap::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let (mapping, code) = (fields.number(), fields.text());
        let (count, hint) = (fields.number(), fields.text());
        let detail = match count {
            1 => format!("one row or cell waits: {code}"),
            many => format!("{many} rows or cells wait: {code}"),
        };
        let look = format!(
            "SELECT * FROM sheet_sync.problem WHERE mapping_id = {mapping} AND code = '{code}';"
        );
        let hint = match count {
            1 => format!("{hint} Which one: {look}"),
            _ => format!("Of one of them: {hint} All of them: {look}"),
        };
        let of = problems.entry(mapping).or_default();
        of.push(Finding::bad("problem", detail, hint));
    }
    problems
}

fn orphaned(table: &str, trigger: &str) -> Finding {
    Finding::bad(
        "trigger",
        format!(
            "trigger {trigger} belongs to no mapping of the table: it came with a dump that did not hold the mapping, or held it under another number"
        ),
        format!("DROP TRIGGER {trigger} ON {table};"),
    )
}

fn described(identity: &Identity) -> String {
    let who = identity.who();
    match (identity.kind(), identity.project()) {
        (Kind::ServiceAccount, _) => format!("the key of a service account: {who}"),
        (Kind::User, None) => format!("the login of a user (authorized_user): {who}"),
        (Kind::User, Some(project)) => format!(
            "the login of a user (authorized_user): {who}; requests count on the project {project}"
        ),
        (Kind::ComputeMetadata, _) => {
            format!("the account of this machine (compute_metadata): {who}")
        }
    }
}

fn quota_left(used: Need) -> Finding {
    let [reads, writes, ..] = settings::quota();
    let detail = format!(
        "{} of {reads} reads and {} of {writes} writes were used in the last minute",
        used.reads, used.writes
    );
    match used.reads < reads && used.writes < writes {
        true => Finding::good("quota", detail),
        false => Finding::bad(
            "quota",
            detail,
            "Changes wait and are sent together. If Google grants this account more, raise sheet_sync.reads_per_minute and writes_per_minute.",
        ),
    }
}

fn capabilities(session: &Arc<GoogleSession>) -> Finding {
    let detail = match super::capabilities::are_known(session) {
        true => format!("as probed: {}", session.capabilities()),
        false => "to be probed before the first write".to_owned(),
    };
    Finding::good("capabilities", detail)
}
