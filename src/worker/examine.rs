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

/// A mapping as far as it is examined.
struct Mapped {
    table: String,
    credential: String,
    state: Finding,
    /// `None` where the mapping has ended.
    patient: Option<Patient>,
}

pub fn begin(shared: &mut Shared, database: pg_sys::Oid, request: u64) {
    let (credentials, mappings, orphans) = match transaction(read) {
        Ok(read) => read,
        Err(refusal) => return answer_request(request, &failed(refusal)),
    };
    let mut examination = Examination {
        request,
        waits_for: Vec::new(),
        lines: Vec::new(),
    };
    for (table, trigger) in orphans {
        examination.add(&table, [orphaned(&table, &trigger)]);
    }
    let mut patients: BTreeMap<String, Vec<Mapped>> = credentials
        .into_iter()
        .map(|name| (name, Vec::new()))
        .collect();
    for mapped in mappings {
        let of = patients.entry(mapped.credential.clone()).or_default();
        of.push(mapped);
    }
    for (credential, mapped) in patients {
        for one in &mapped {
            examination.add(&one.table, [one.state.clone()]);
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

/// The credentials that are stored, the mappings, and tables with triggers that speak for none.
fn read(session: &mut Session) -> (Vec<String>, Vec<Mapped>, Vec<(String, String)>) {
    let orphans = session.select(
        "SELECT table_name, trigger_name FROM sheet_sync._orphaned_triggers()",
        &[],
    );
    let orphans = orphans.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        (fields.text(), fields.text())
    });
    let credentials = session.select("SELECT name FROM sheet_sync._credential", &[]);
    let mappings = session.select(
        "SELECT COALESCE(m.table_name::text, m.registered_as), m.credential, m.state, m.reason, m.hint, m.spreadsheet_id, m.sheet_id, m.header_row, m.direction, \
                (SELECT pg_catalog.array_agg(k.header ORDER BY k.position) FROM sheet_sync.mapping_column k WHERE k.mapping_id = m.id)::text \
         FROM sheet_sync.mapping m ORDER BY m.id",
        &[],
    );
    let names = credentials.into_iter().map(|row| Fields::of(row).text());
    let mapped = mappings.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        let (table, credential) = (fields.text(), fields.text());
        let (state, reason, hint) = (fields.text(), fields.optional(), fields.optional());
        let patient = Patient {
            spreadsheet_id: fields.text(),
            sheet_id: fields.optional().and_then(|id| id.parse().ok()),
            header_row: fields.number() as u32,
            writes: fields.text() != "from_sheet",
            headers: fields.names().unwrap_or_default(),
        };
        let said = reason.map_or_else(|| state.clone(), |reason| format!("{state}: {reason}"));
        Mapped {
            table,
            credential,
            state: match state.as_str() {
                "failed" | "ended" => Finding::bad("mapping", said, hint.unwrap_or_default()),
                _ => Finding::good("mapping", said),
            },
            patient: (state != "ended").then_some(patient),
        }
    });
    (names.collect(), mapped.collect(), orphans.collect())
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
        (Kind::ServiceAccount, _) => who,
        (Kind::User, None) => format!("a user's login (authorized_user): {who}"),
        (Kind::User, Some(project)) => format!(
            "a user's login (authorized_user): {who}; requests count on the project {project}"
        ),
        (Kind::ComputeMetadata, _) => {
            format!("what the metadata server says (compute_metadata): {who}")
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
