//! Drives the cycles of one mapping: decides when one is due and of what scope, carries the
//! engine's effects to the database and to Google, and keeps the mapping's state.

use engine::cycle::Machine;
use engine::effect::{Question, Scope, SheetEffect, Step, Stopped, Ways};
use engine::value::{Key, Timestamp};
use google::governor::{Caller, Need};
use google::{Session as GoogleSession, Target};
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Shared;
use super::dirty::{self, Lines, Since};
use super::http::Work;
use super::mappings::{Glance, Loaded, Version};
use super::writer::Standing;
use crate::shared::{self, Counts, LiveMapping, RequestKind};

mod cycle;
mod locks;
mod opening;
mod pace;
mod relatives;
mod trouble;

use locks::Locks;
use relatives::Relatives;
pub use relatives::tell_relatives;
pub use trouble::failure;

/// How often a mapping that is paused is looked after.
const LOOK_AT_PAUSED_EVERY: Duration = Duration::from_secs(60);
/// The first pause after a failure; doubled from one to the next.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

pub struct Runner {
    database: pg_sys::Oid,
    id: i32,
    glance: Option<Glance>,
    loaded: Option<Opened>,
    job: Job,
    next_poll: Instant,
    not_before: Option<Instant>,
    pause: Duration,
    /// It stopped, or may have before this worker began, and no cycle has come to its end since.
    in_trouble: bool,
    /// A statement on the table was ended, and the next one may take as long: until then the others
    /// have the worker. Nobody who waits for the mapping shortens that.
    rests_until: Option<Instant>,
    /// Somebody lets it go on: why Google gave no token before is forgotten when it is next opened.
    asks_anew: bool,
    /// Whether it put notes on problems when it was last loaded.
    notes_on: bool,
    requests: Vec<(u64, RequestKind)>,
    /// What the calls wait for, a deletion to be confirmed, can be done from then on; no cycle
    /// before is for them.
    served_from: Option<Instant>,
    sent: VecDeque<Instant>,
    live: LiveMapping,
    cycle_id: i64,
    /// Cycles in a row that each wanted another at once.
    agains: u32,
    /// When something last changed on either side.
    active_at: Instant,
    /// How long the last cycle with a snapshot took.
    read_took: Duration,
    /// How many spreadsheets of this database share the quota.
    books: u32,
    /// What earlier cycles of a chain did, for the calls that wait for its end.
    carried: Counts,
    locks: Locks,
    /// Rows that took the table too long when they were last tried.
    slow_rows: HashSet<Key>,
    relatives: Relatives,
    /// From so many captured lines on they are bounded while the mapping does not go on.
    crowded_from: i64,
}

/// A mapping that is loaded, and as far as `target` is there, opened at Google.
struct Opened {
    version: Version,
    mapping: Loaded,
    google: Arc<GoogleSession>,
    target: Option<(Target, Instant)>,
    /// The spreadsheet does not have the tab yet, and a preview is not to make it. Counts while the
    /// mapping is paused.
    lacks_tab: bool,
    /// When Drive was last asked whether the spreadsheet is in the bin.
    bin_looked_at: Option<Instant>,
    machine: Machine,
    caller: Caller,
    standing: Standing,
}

enum Job {
    Idle,
    Opening { ticket: u64 },
    Cycle(Box<Running>, Awaits),
}

/// A cycle, or a chain of cycles that follow from one another, that is under way.
struct Running {
    scope: Scope,
    ways: Ways,
    /// What it was given of `_dirty_key`.
    lines: Option<Lines>,
    /// As [`super::database::Cycle`] has them.
    waiting: Since,
    newer: Since,
    changed_at: HashMap<Key, Timestamp>,
    truncated: bool,
    confirmed: Option<Question>,
    /// As [`engine::effect::Start`] has it.
    confirm_after: Duration,
    started: Instant,
    /// Calls that wait for the end of the chain.
    requests: Vec<u64>,
    preview: bool,
    /// The turn in which it writes to the sheet is begun.
    in_turn: bool,
    /// Since its last reading nobody has looked whose the tab is.
    unchecked: bool,
    counts: Counts,
}

/// What a cycle waits for.
enum Awaits {
    /// Google's answer, under this ticket.
    Answer(u64),
    /// Until then there is no quota for this request.
    Quota(Instant, Box<SheetEffect>),
    /// The worker's next turn, for this step: other mappings come between two chunks of a large
    /// pull.
    Turn(Box<Step>),
    /// The answer, under this ticket, whether the tab is still ours: before this step changes the
    /// table.
    Writer(u64, Box<Step>),
}

impl Awaits {
    /// When the cycle can go on by itself.
    fn due(&self) -> Option<Instant> {
        match self {
            Self::Answer(_) | Self::Writer(..) => None,
            Self::Quota(due, _) => Some(*due),
            Self::Turn(_) => Some(Instant::now()),
        }
    }
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
            asks_anew: false,
            pause: FIRST_PAUSE,
            in_trouble: true,
            rests_until: None,
            notes_on: false,
            requests: Vec::new(),
            served_from: None,
            sent: VecDeque::new(),
            live: LiveMapping {
                database: database.to_u32(),
                mapping: id,
                ..LiveMapping::default()
            },
            cycle_id: 0,
            agains: 0,
            active_at: Instant::now(),
            read_took: Duration::ZERO,
            books: 1,
            carried: Counts::default(),
            locks: Locks::default(),
            slow_rows: HashSet::new(),
            relatives: Relatives::default(),
            crowded_from: dirty::MANY_LINES,
        }
    }

    /// Take in what the catalog says of the mapping now.
    pub fn look(&mut self, glance: Glance, books: u32) {
        self.books = books;
        let edited = self
            .glance
            .as_ref()
            .is_some_and(|before| before.version != glance.version);
        // resume() and its like clear the stored time of the next try.
        let had_retry = self.glance.as_ref().is_some_and(|before| before.has_retry);
        let resumed = self.not_before.is_some() && had_retry && !glance.has_retry;
        let confirmed = glance.confirmed.is_some()
            && self
                .glance
                .as_ref()
                .is_some_and(|before| before.confirmed != glance.confirmed);
        let unpaused = glance.state != "paused"
            && self
                .glance
                .as_ref()
                .is_some_and(|before| before.state == "paused");
        if edited || glance.state == "paused" && !self.is_previewing() {
            // What is under way rests on what is no longer so; to give it up is what a crash does
            // too.
            self.abandon();
        }
        if edited || resumed || confirmed || unpaused {
            self.not_before = None;
            self.rests_until = None;
            self.pause = FIRST_PAUSE;
            self.next_poll = Instant::now();
            match &self.loaded {
                Some(opened) => opened.google.client().identity().forget_refusal(),
                None => self.asks_anew = true,
            }
        }
        self.glance = Some(glance);
    }

    fn is_paused(&self) -> bool {
        let glance = self.glance.as_ref();
        glance.is_some_and(|glance| glance.state == "paused")
    }

    fn is_previewing(&self) -> bool {
        matches!(&self.job, Job::Cycle(running, _) if running.preview)
    }

    /// Give up the cycle that is under way, as a crash would: its request may still arrive, so the
    /// engine begins anew and closes what was left open. Its callers are served by the next cycle.
    fn abandon(&mut self) {
        match std::mem::replace(&mut self.job, Job::Idle) {
            Job::Cycle(running, _) => {
                self.take_back(&running);
                self.loaded = None;
            }
            other => self.job = other,
        }
    }

    /// False only where it is known to use another credential.
    pub fn may_use(&self, credential: &str) -> bool {
        let known = self.loaded.as_ref();
        known.is_none_or(|opened| opened.mapping.credential == credential)
    }

    /// Endpoints, timeouts or a key file changed.
    pub fn reopen(&mut self) {
        self.abandon();
        self.job = Job::Idle;
        self.loaded = None;
        self.not_before = None;
    }

    /// The mapping is gone: nobody need wait for it.
    pub fn end(&mut self) {
        self.abandon();
        self.refuse_requests(
            "the mapping was ended",
            "The table was unregistered or dropped.",
        );
    }

    pub fn request(&mut self, request: u64, kind: RequestKind) {
        // Whoever calls again and again while nothing can be done leaves one call behind.
        self.requests.retain(|(id, _)| shared::is_awaited(*id));
        self.requests.push((request, kind));
        self.served_from = None;
        self.not_before = None;
        // A cycle that waits for quota asks again at once, now with somebody waiting for it.
        if let Job::Cycle(_, awaits) = &mut self.job
            && let Awaits::Quota(due, _) = awaits
        {
            *due = Instant::now();
        }
    }

    /// Start what is due; answers how long nothing will be.
    pub fn turn(&mut self, shared: &mut Shared) -> Duration {
        if matches!(self.job, Job::Idle) && shared.tabs.take_wanted(self.id) {
            self.next_poll = Instant::now();
        }
        match &self.job {
            Job::Idle => self.begin(shared),
            Job::Cycle(_, awaits) if awaits.due().is_some_and(|due| due <= Instant::now()) => {
                self.go_on(shared);
            }
            _ => {}
        }
        self.show_live();
        let now = Instant::now();
        let due = match &self.job {
            Job::Cycle(_, awaits) => awaits.due(),
            Job::Opening { .. } => None,
            Job::Idle => Some(self.not_before.unwrap_or(self.next_poll)).max(self.rests_until),
        };
        // The answer of a helper sets the latch.
        let sleep = due.map_or(Duration::from_secs(60), |due| {
            due.saturating_duration_since(now)
        });
        sleep.max(Duration::from_millis(1))
    }

    fn begin(&mut self, shared: &mut Shared) {
        let Some(glance) = self.glance.clone() else {
            return;
        };
        if self.is_paused() {
            self.refuse_all_but_previews();
            if self.next_poll <= Instant::now() {
                self.bound_dirty_keys(false);
                self.next_poll = Instant::now() + LOOK_AT_PAUSED_EVERY;
            }
            if self.requests.is_empty() {
                // What a preview met is no reason to wake up.
                self.not_before = None;
                return;
            }
        }
        if self.not_before.max(self.rests_until) > Some(Instant::now()) {
            return;
        }
        self.not_before = None;
        self.rests_until = None;
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
        let is_open = opened
            .target
            .as_ref()
            .is_some_and(|(_, at)| at.elapsed() <= self.reopen_every());
        let foresees_tab = opened.lacks_tab && self.is_paused();
        if !is_open && !foresees_tab {
            let work = Work::Open {
                spreadsheet_id: opened.mapping.spreadsheet_id.clone(),
            };
            if let Some(grant) = self.may_send(shared, Need::READ) {
                let ticket = self.send(shared, grant, work);
                self.job = Job::Opening { ticket };
            }
            return;
        }
        if self.is_bin_look_due(&glance) {
            self.look_in_bin(shared);
            return;
        }
        // Both write to the spreadsheet, and while the mapping is paused there are previews only.
        if !self.is_paused() && self.needs_probe() {
            self.probe(shared);
            return;
        }
        if !self.is_paused() && self.needs_turn() {
            self.take_turn(shared);
            return;
        }
        self.begin_cycle(shared, &glance);
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(since.as_micros() as i64)
}
