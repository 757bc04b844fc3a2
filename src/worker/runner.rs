//! Drives the cycles of one mapping: decides when one is due and of what scope, carries the engine's effects to the database and
//! to Google, and keeps the mapping's state.

use chrono_tz::Tz;
use engine::cycle::Machine;
use engine::effect::{
    Again, Class, Effect, Failure, Outcome, Report, Scope, SheetEffect, Start, Step, Stopped, Ways,
};
use engine::value::{Key, Timestamp};
use google::sheet::{Overview, Tab};
use google::{Session as GoogleSession, Target};
use pgrx::pg_sys;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::database::{self, Cycle};
use super::http::{Answer, Work};
use super::mappings::{self, Glance, Loaded};
use super::states::{self, Trouble};
use super::{Shared, dirty};
use crate::postgres::transaction::transaction;
use crate::settings;
use crate::shared::{self, Answer as RequestAnswer, Counts, LiveMapping, Phase, RequestKind};

/// The first pause after a failure; doubled from one to the next.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: what a person has mended goes on by itself within a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between a read that missed rows and the one that confirms it.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// The time zone and the tab's title are looked up again so often.
const REOPEN_EVERY: Duration = Duration::from_secs(3600);

pub struct Runner {
    database: pg_sys::Oid,
    id: i32,
    glance: Option<Glance>,
    loaded: Option<Opened>,
    job: Job,
    next_poll: Instant,
    not_before: Option<Instant>,
    pause: Duration,
    trouble_shown: bool,
    requests: Vec<(u64, RequestKind)>,
    sent: VecDeque<Instant>,
    live: LiveMapping,
    cycle_id: i64,
}

/// A mapping that is loaded, and as far as `target` is there, opened at Google.
struct Opened {
    version: String,
    mapping: Loaded,
    google: Arc<GoogleSession>,
    target: Option<(Target, Instant)>,
    machine: Machine,
}

enum Job {
    Idle,
    Opening { ticket: u64 },
    Cycle(Box<Running>),
}

/// A cycle, or a chain of cycles that follow from one another, that is under way.
struct Running {
    /// The request to Google whose answer is awaited.
    ticket: u64,
    scope: Scope,
    ways: Ways,
    dirty_ids: Vec<i64>,
    changed_at: HashMap<Key, Timestamp>,
    deletes_confirmed: bool,
    /// Calls that wait for the end of the chain.
    requests: Vec<u64>,
    preview: bool,
    counts: Counts,
}

impl Runner {
    pub fn new(database: pg_sys::Oid, id: i32) -> Self {
        Self {
            database,
            id,
            glance: None,
            loaded: None,
            job: Job::Idle,
            next_poll: Instant::now(),
            not_before: None,
            pause: FIRST_PAUSE,
            trouble_shown: true,
            requests: Vec::new(),
            sent: VecDeque::new(),
            live: LiveMapping {
                database: database.to_u32(),
                mapping: id,
                ..LiveMapping::default()
            },
            cycle_id: 0,
        }
    }

    /// Take in what the catalog says of the mapping now.
    pub fn look(&mut self, glance: Glance) {
        let edited = self
            .glance
            .as_ref()
            .is_some_and(|before| before.version != glance.version);
        // resume() and its like clear the stored time of the next try.
        let resumed = self.not_before.is_some() && self.trouble_shown && !glance.has_retry;
        let confirmed = glance.deletes_confirmed
            && self
                .glance
                .as_ref()
                .is_some_and(|before| !before.deletes_confirmed);
        if edited || resumed || confirmed {
            self.not_before = None;
            self.pause = FIRST_PAUSE;
            self.next_poll = Instant::now();
        }
        self.glance = Some(glance);
    }

    /// Endpoints or timeouts changed.
    pub fn reopen(&mut self) {
        self.loaded = None;
        self.job = Job::Idle;
        self.not_before = None;
    }

    pub fn request(&mut self, request: u64, kind: RequestKind) {
        self.requests.push((request, kind));
        self.not_before = None;
    }

    /// Start what is due; answers how long nothing will be.
    pub fn turn(&mut self, shared: &mut Shared) -> Duration {
        if matches!(self.job, Job::Idle) {
            self.begin(shared);
        }
        self.show_live();
        let now = Instant::now();
        match self.job {
            // The answer of a helper sets the latch.
            Job::Opening { .. } | Job::Cycle(_) => Duration::from_secs(60),
            Job::Idle => match self.not_before {
                Some(at) => at.saturating_duration_since(now),
                None => self.next_poll.saturating_duration_since(now),
            }
            .max(Duration::from_millis(1)),
        }
    }

    fn begin(&mut self, shared: &mut Shared) {
        let Some(glance) = self.glance.clone() else {
            return;
        };
        if glance.state == "paused" {
            self.refuse_requests(
                "the mapping is paused",
                "sheet_sync.resume() lets it go on.",
            );
            self.next_poll = Instant::now() + Duration::from_secs(60);
            return;
        }
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.not_before = None;
        if self
            .loaded
            .as_ref()
            .is_none_or(|opened| opened.version != glance.version)
            && let Err(failure) = self.load(shared, &glance)
        {
            self.fail(Stopped::Failure(failure));
            return;
        }
        let Some(opened) = &self.loaded else { return };
        if opened
            .target
            .as_ref()
            .is_none_or(|(_, at)| at.elapsed() > REOPEN_EVERY)
        {
            let work = Work::Open {
                spreadsheet_id: opened.mapping.spreadsheet_id.clone(),
            };
            let ticket = self.send(shared, work);
            self.job = Job::Opening { ticket };
            return;
        }
        self.begin_cycle(shared, &glance);
    }

    fn load(&mut self, shared: &mut Shared, glance: &Glance) -> Result<(), Failure> {
        let mapping =
            transaction(|session| mappings::load(session, self.id)).map_err(database::failure)?;
        let Some(mapping) = mapping else {
            return Err(Failure {
                class: Class::NeedsHuman,
                reason: "key_gone".to_owned(),
                message: "a key column of the table is gone".to_owned(),
                hint: "End the mapping with sheet_sync.unregister_table() and register the table again.".to_owned(),
                retry_after_ms: None,
                may_have_applied: false,
            });
        };
        let google = shared.sessions.get(&mapping.credential)?;
        let machine = Machine::new(mapping.engine.clone());
        self.loaded = Some(Opened {
            version: glance.version.clone(),
            mapping,
            google,
            target: None,
            machine,
        });
        Ok(())
    }

    fn send(&mut self, shared: &mut Shared, work: Work) -> u64 {
        self.sent.push_back(Instant::now());
        match &self.loaded {
            Some(opened) => shared.http.send(self.id, opened.google.clone(), work),
            None => 0,
        }
    }

    // ------------------------------------------------------------------------------------------------------------- opening

    pub fn answered(&mut self, shared: &mut Shared, ticket: u64, answer: Answer) {
        match (&self.job, answer) {
            (Job::Opening { ticket: awaited }, Answer::Opened(overview)) if *awaited == ticket => {
                match overview {
                    Ok(overview) => self.opened(shared, &overview),
                    Err(failure) => self.fail(Stopped::Failure(failure)),
                }
            }
            (Job::Opening { ticket: awaited }, Answer::TabAdded(tab)) if *awaited == ticket => {
                match tab {
                    // Its time zone is in the overview, which is read again with the tab in it.
                    Ok(_) => {
                        self.job = Job::Idle;
                        self.begin(shared);
                    }
                    Err(failure) => self.fail(Stopped::Failure(failure)),
                }
            }
            (Job::Cycle(running), Answer::Performed(outcome)) if running.ticket == ticket => {
                let outcome = match outcome {
                    Ok(outcome) => Outcome::Sheet(outcome),
                    Err(failure) => Outcome::Failed(failure),
                };
                if let Job::Cycle(running) = std::mem::replace(&mut self.job, Job::Idle) {
                    self.resume(shared, running, outcome);
                }
            }
            // The answer to something that was given up meanwhile.
            _ => {}
        }
    }

    fn opened(&mut self, shared: &mut Shared, overview: &Overview) {
        self.job = Job::Idle;
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let mapping = &opened.mapping;
        let by_id = |id: i64| {
            overview
                .tabs
                .iter()
                .find(|tab| i64::from(tab.sheet_id) == id)
        };
        let by_title = |title: &str| {
            overview
                .tabs
                .iter()
                .find(|tab| tab.title.to_lowercase() == title.to_lowercase())
        };
        let tab: &Tab = match (mapping.sheet_id, mapping.sheet_title.as_deref()) {
            (Some(id), _) => match by_id(id) {
                Some(tab) => tab,
                None => {
                    return self.fail(needs_human(
                        "tab_gone",
                        "the spreadsheet has no such tab any more",
                        "Undo its deletion in Google Sheets, or end the mapping with sheet_sync.unregister_table() and register the table again.",
                    ));
                }
            },
            (None, title) => {
                let title = title.unwrap_or("Sheet1").to_owned();
                match by_title(&title) {
                    Some(tab) => tab,
                    None => {
                        let work = Work::AddTab {
                            spreadsheet_id: mapping.spreadsheet_id.clone(),
                            title,
                        };
                        let ticket = self.send(shared, work);
                        self.job = Job::Opening { ticket };
                        return;
                    }
                }
            }
        };
        if !tab.has_cells {
            return self.fail(needs_human(
                "not_a_grid",
                "this tab is a chart and has no cells",
                "Name another tab with the argument sheet.",
            ));
        }
        let sheet_id = i64::from(tab.sheet_id);
        if let Some(other) =
            states::other_mapping_of_tab(self.id, &mapping.spreadsheet_id, sheet_id)
        {
            return self.fail(needs_human(
                "tab_taken",
                &format!("table {other} is mapped to this tab already"),
                "End one of the two mappings with sheet_sync.unregister_table().",
            ));
        }
        states::show_tab(self.id, sheet_id, &tab.title);
        let target = Target {
            spreadsheet_id: mapping.spreadsheet_id.clone(),
            sheet_id: tab.sheet_id,
            header_row: mapping.engine.header_row,
            checkbox_columns: Vec::new(),
        };
        let zone: Tz = overview.time_zone.parse().unwrap_or(chrono_tz::UTC);
        if opened.machine.mapping().time_zone != zone {
            let mut engine = opened.mapping.engine.clone();
            engine.time_zone = zone;
            opened.mapping.engine = engine.clone();
            opened.machine = Machine::new(engine);
        }
        opened.target = Some((target, Instant::now()));
        self.begin(shared);
    }

    // -------------------------------------------------------------------------------------------------------------- cycles

    fn begin_cycle(&mut self, shared: &mut Shared, glance: &Glance) {
        let requests = std::mem::take(&mut self.requests);
        let preview = requests
            .first()
            .is_some_and(|(_, kind)| *kind == RequestKind::Preview);
        // A preview is a cycle of its own; the others can share one.
        let (mine, later) = requests
            .into_iter()
            .partition::<Vec<_>, _>(|(_, kind)| (*kind == RequestKind::Preview) == preview);
        self.requests = later;
        let mine = if preview { self.keep_first(mine) } else { mine };
        let poll_due = self.next_poll <= Instant::now();
        let confirmed = glance.deletes_confirmed;
        if mine.is_empty() && !poll_due && !glance.has_dirty && glance.merged {
            return;
        }
        let ways = ways(&mine);
        let dirty = match transaction(|session| dirty::read(session, self.id)) {
            Ok(dirty) => dirty,
            Err(refusal) => return self.fail(Stopped::Failure(database::failure(refusal))),
        };
        let Some(opened) = &mut self.loaded else {
            return;
        };
        if dirty.truncated && !confirmed && dirty::is_empty(&opened.mapping) {
            self.answer_requests(
                &mine.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
                &truncated_answer(),
            );
            return self.fail(Stopped::Guard {
                reason: "truncated".to_owned(),
                message: TRUNCATED.to_owned(),
                hint: TRUNCATED_HINT.to_owned(),
            });
        }
        let scope = if !glance.merged || dirty.everything {
            Scope::Everything
        } else if poll_due || !mine.is_empty() || confirmed {
            Scope::Full
        } else {
            Scope::Dirty
        };
        let changed_at = dirty
            .keys
            .iter()
            .filter_map(|key| Some((key.key.clone(), key.changed_at?)))
            .collect();
        let running = Running {
            ticket: 0,
            scope,
            ways,
            dirty_ids: dirty.ids,
            changed_at,
            deletes_confirmed: confirmed,
            requests: mine.iter().map(|(id, _)| *id).collect(),
            preview,
            counts: Counts::default(),
        };
        self.live.phase = if glance.merged {
            Phase::Syncing
        } else {
            Phase::Merging
        };
        self.live.phase_started_at = now().0;
        self.start(shared, Box::new(running), dirty.keys);
    }

    /// One preview at a time: each wants lines of its own.
    fn keep_first(&mut self, mut requests: Vec<(u64, RequestKind)>) -> Vec<(u64, RequestKind)> {
        let rest = requests.split_off(1.min(requests.len()));
        self.requests.extend(rest);
        requests
    }

    fn start(
        &mut self,
        shared: &mut Shared,
        running: Box<Running>,
        dirty: Vec<engine::effect::DirtyKey>,
    ) {
        self.cycle_id += 1;
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let step = opened.machine.start(Start {
            scope: running.scope,
            ways: running.ways,
            dirty,
            now: now(),
            deletes_confirmed: running.deletes_confirmed,
            seed: seed(),
            dry_run: running.preview,
        });
        self.step(shared, running, step);
    }

    fn resume(&mut self, shared: &mut Shared, running: Box<Running>, outcome: Outcome) {
        let Some(opened) = &mut self.loaded else {
            return;
        };
        let step = opened.machine.resume(outcome, now());
        self.step(shared, running, step);
    }

    /// Carry out effects until one needs Google, or the cycle is done.
    fn step(&mut self, shared: &mut Shared, mut running: Box<Running>, mut step: Step) {
        loop {
            let Some(opened) = &mut self.loaded else {
                return;
            };
            match step {
                Step::Do(Effect::Database(effect)) => {
                    let cycle = Cycle {
                        id: self.cycle_id,
                        changed_at: &running.changed_at,
                    };
                    let outcome = database::perform(&opened.mapping, &cycle, effect);
                    step = opened.machine.resume(outcome, now());
                }
                Step::Do(Effect::Sheet(effect)) => {
                    let Some((target, _)) = &opened.target else {
                        return;
                    };
                    if matches!(effect, SheetEffect::Read) {
                        self.live.last_read_at = now().0;
                    }
                    let work = Work::Perform {
                        target: target.clone(),
                        effect,
                    };
                    running.ticket = self.send(shared, work);
                    self.job = Job::Cycle(running);
                    return;
                }
                Step::Done(report) => return self.done(shared, running, report),
            }
            pgrx::check_for_interrupts!();
        }
    }

    fn done(&mut self, shared: &mut Shared, mut running: Box<Running>, report: Report) {
        self.job = Job::Idle;
        self.live.last_cycle_at = now().0;
        running.counts.rows_pushed += report.rows_pushed as i64;
        running.counts.rows_pulled += report.rows_pulled as i64;
        running.counts.conflicts += report.conflicts as i64;
        running.counts.problems = running.counts.problems.max(report.problems as i64);
        if running.preview {
            return self.previewed(&running, &report);
        }
        let ended = report.stopped.is_none() && report.again.is_none();
        let dealt_with = if report.dirty_done {
            std::mem::take(&mut running.dirty_ids)
        } else {
            Vec::new()
        };
        let merged = ended && running.scope == Scope::Everything;
        let confirmed = ended && running.deletes_confirmed;
        let moved = report.rows_pushed + report.rows_pulled > 0 || !dealt_with.is_empty();
        if moved || merged || confirmed {
            states::end_cycle(
                self.id,
                self.cycle_id,
                &dealt_with,
                confirmed,
                merged,
                &report,
            );
        }
        if let Some(stopped) = report.stopped {
            let keep = retries_by_itself(&stopped);
            if keep {
                // The callers go on waiting; the next try serves them.
                self.requests.extend(
                    running
                        .requests
                        .iter()
                        .map(|id| (*id, kind_of(running.ways))),
                );
            } else {
                self.answer_requests(&running.requests, &failed_answer(&stopped));
            }
            return self.fail(stopped);
        }
        self.pause = FIRST_PAUSE;
        if self.trouble_shown
            || merged
            || self.glance.as_ref().is_some_and(|glance| {
                matches!(glance.state.as_str(), "failed" | "initialising") && glance.merged
            })
        {
            states::clear_trouble(self.id);
            self.trouble_shown = false;
        }
        match report.again {
            None => {
                self.answer_requests(&running.requests, &RequestAnswer::Done(running.counts));
                if running.scope != Scope::Dirty {
                    self.next_poll = Instant::now() + self.poll_interval();
                }
            }
            Some(again) => {
                self.requests.extend(
                    running
                        .requests
                        .iter()
                        .map(|id| (*id, kind_of(running.ways))),
                );
                let pause = match again {
                    Again::Now => Duration::ZERO,
                    Again::Soon => CONFIRM_AFTER.min(self.poll_interval()),
                };
                self.next_poll = Instant::now() + pause;
                self.not_before = (pause > Duration::ZERO).then(|| Instant::now() + pause);
                self.trouble_shown = false;
                let _ = shared;
            }
        }
        self.live.phase = Phase::Idle;
    }

    fn previewed(&mut self, running: &Running, report: &Report) {
        let answer = match &report.stopped {
            Some(stopped) => failed_answer(stopped),
            None => {
                if let Some(opened) = &self.loaded {
                    for request in &running.requests {
                        states::store_preview(*request, &opened.mapping, &report.planned);
                    }
                }
                RequestAnswer::Done(running.counts)
            }
        };
        self.answer_requests(&running.requests, &answer);
    }

    fn poll_interval(&self) -> Duration {
        self.loaded
            .as_ref()
            .and_then(|opened| opened.mapping.poll_interval)
            .unwrap_or_else(settings::poll_interval)
    }

    // ------------------------------------------------------------------------------------------------------------- trouble

    /// Keep the mapping's state: what is wrong, what to do, when it is tried again.
    fn fail(&mut self, stopped: Stopped) {
        self.job = Job::Idle;
        self.live.phase = Phase::Idle;
        let (failed, reason, hint, pause) = match &stopped {
            Stopped::Guard {
                reason,
                message,
                hint,
            } => (
                true,
                format!("{reason}: {message}"),
                hint.clone(),
                self.next_pause(),
            ),
            Stopped::Failure(failure) => {
                let asked = failure.retry_after_ms.map(Duration::from_millis);
                let pause = asked.unwrap_or_else(|| self.next_pause());
                let failed = matches!(failure.class, Class::NeedsHuman | Class::OurBug);
                if failure.reason == "quota" {
                    self.live.rate_limited_until = now().0 + pause.as_micros() as i64;
                }
                if failed && let Some(opened) = &mut self.loaded {
                    // Whatever was mended may have changed more than the cells.
                    opened.target = None;
                }
                (
                    failed,
                    format!("{}: {}", failure.reason, failure.message),
                    failure.hint.clone(),
                    pause,
                )
            }
        };
        if failed {
            let answer = failed_answer(&stopped);
            let waiting: Vec<u64> = std::mem::take(&mut self.requests)
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            self.answer_requests(&waiting, &answer);
        }
        self.not_before = Some(Instant::now() + pause);
        self.next_poll = Instant::now() + pause;
        self.trouble_shown = true;
        states::show_trouble(
            self.id,
            &Trouble {
                failed,
                reason,
                hint,
                retry_in: pause,
            },
        );
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        pause
    }

    fn refuse_requests(&mut self, message: &str, hint: &str) {
        let waiting: Vec<u64> = std::mem::take(&mut self.requests)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        self.answer_requests(
            &waiting,
            &RequestAnswer::Failed {
                message: message.to_owned(),
                hint: hint.to_owned(),
            },
        );
    }

    fn answer_requests(&self, requests: &[u64], answer: &RequestAnswer) {
        for request in requests {
            shared::answer_request(*request, answer);
        }
    }

    fn show_live(&mut self) {
        while self
            .sent
            .front()
            .is_some_and(|at| at.elapsed() > Duration::from_secs(60))
        {
            self.sent.pop_front();
        }
        self.live.database = self.database.to_u32();
        self.live.requests_this_minute = self.sent.len() as i64;
        self.live.interval_ms = self.poll_interval().as_millis() as i64;
        shared::show_live(self.live);
    }
}

const TRUNCATED: &str = "the table was truncated";
const TRUNCATED_HINT: &str = "sheet_sync.confirm_deletes() empties the sheet too; sheet_sync.resync() brings the rows back from the sheet.";

fn truncated_answer() -> RequestAnswer {
    RequestAnswer::Failed {
        message: TRUNCATED.to_owned(),
        hint: TRUNCATED_HINT.to_owned(),
    }
}

fn needs_human(reason: &str, message: &str, hint: &str) -> Stopped {
    Stopped::Failure(Failure {
        class: Class::NeedsHuman,
        reason: reason.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
        retry_after_ms: None,
        may_have_applied: false,
    })
}

fn retries_by_itself(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::Failure(failure) if matches!(failure.class, Class::RetryNow | Class::RetryLater))
}

fn failed_answer(stopped: &Stopped) -> RequestAnswer {
    match stopped {
        Stopped::Guard { message, hint, .. } => RequestAnswer::Failed {
            message: message.clone(),
            hint: hint.clone(),
        },
        Stopped::Failure(failure) => RequestAnswer::Failed {
            message: failure.message.clone(),
            hint: failure.hint.clone(),
        },
    }
}

fn ways(requests: &[(u64, RequestKind)]) -> Ways {
    let only = |kind| !requests.is_empty() && requests.iter().all(|(_, asked)| *asked == kind);
    Ways {
        push: !only(RequestKind::Pull),
        pull: !only(RequestKind::Push),
    }
}

fn kind_of(ways: Ways) -> RequestKind {
    match (ways.push, ways.pull) {
        (true, false) => RequestKind::Push,
        (false, true) => RequestKind::Pull,
        _ => RequestKind::Sync,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(since.as_micros() as i64)
}

/// Randomness of the operating system, through the standard library's hasher keys.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
