//! The worker of one database: an event loop over the latch, due times and finished requests.
//!
//! SPI happens on this thread only, inside transactions that [`crate::postgres::transaction`] owns;
//! HTTP happens on helper threads ([`http`]); no transaction is open while a request is under way.
//! Each mapping has a [`runner::Runner`], which drives the engine's state machine.

use pgrx::prelude::*;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::postgres::transaction::transaction;
use crate::postgres::{process, role};
use crate::quota;
use crate::shared::{self, Answer as RequestAnswer, RequestKind};

mod capabilities;
mod clock;
mod credentials;
mod database;
mod dirty;
mod examine;
mod http;
mod mappings;
mod preview;
mod progress;
mod reads;
mod runner;
mod states;
mod tabs;
mod writer;

use clock::Clock;
pub use credentials::OF_THE_FILE;
use runner::Runner;

/// How long a turn may sleep when nothing is due: bounds how late a COMMIT PREPARED or a change by
/// hand is seen.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Commits that follow one another more closely than this are looked at together.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// What all runners share.
pub struct Shared {
    pub http: http::Http,
    pub sessions: credentials::Sessions,
    /// Accounts that are being probed on behalf of one mapping; the others wait.
    pub probing: HashSet<String>,
    /// What the runners want to read in this turn.
    pub reads: Vec<reads::Wanted>,
    pub examinations: Vec<examine::Examination>,
    pub tabs: tabs::Tabs,
    /// Where lines of `_dirty_key` can be.
    pub waiting: dirty::Waiting,
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sheet_sync_worker_main(argument: pg_sys::Datum) {
    process::attach_signals();
    // SAFETY: the launcher passes a database's oid by value.
    let database =
        unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or(pg_sys::InvalidOid);
    // SAFETY: once, at the start of the worker; as the bootstrap superuser.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
    }
    if !shared::worker_started(database) {
        return;
    }
    remember_users_search_path();
    shared::untake_requests(database);
    let announced = run(database);
    shared::worker_not_wanted(database, announced);
}

/// What users' triggers and defaults see is the database's own default: read it before the first
/// transaction pins ours.
fn remember_users_search_path() {
    // SAFETY: the setting exists, and its text is copied at once.
    let path = unsafe {
        let text = pg_sys::GetConfigOption(c"search_path".as_ptr(), false, false);
        std::ffi::CStr::from_ptr(text)
            .to_string_lossy()
            .into_owned()
    };
    role::set_users_search_path(&path);
}

/// Ends where the extension is gone, and says how often the database had been announced when it was
/// looked for; SIGTERM and errors end the process.
fn run(database: pg_sys::Oid) -> u32 {
    let mut shared = Shared {
        http: http::Http::new(),
        sessions: credentials::Sessions::default(),
        probing: HashSet::new(),
        reads: Vec::new(),
        examinations: Vec::new(),
        tabs: tabs::Tabs::default(),
        waiting: dirty::Waiting::default(),
    };
    let mut runners: HashMap<i32, Runner> = HashMap::new();
    // A worker that is often restarted sweeps all the same.
    let mut swept: Option<Instant> = None;
    let mut looked: Option<Instant> = None;
    let mut began = false;
    let mut clock = Clock::start();
    loop {
        if clock.was_set() {
            log!("sheet_sync: the clock was set; what was seen before is looked at anew");
            shared.tabs = tabs::Tabs::default();
            runners.values_mut().for_each(Runner::reopen);
            looked = None;
        }
        if process::reload_settings_if_asked() {
            shared.sessions.forget();
            runners.values_mut().for_each(Runner::reopen);
        }
        if shared.sessions.file_has_new_key() {
            let users = runners
                .values_mut()
                .filter(|one| one.may_use(credentials::OF_THE_FILE));
            users.for_each(Runner::reopen);
        }
        let rest = looked.map_or(Duration::ZERO, |at| LOOK_EVERY.saturating_sub(at.elapsed()));
        if rest.is_zero() {
            process::report_activity(Some("looking for work"));
            if let Found::Nothing { announced } = look(database, &mut shared, &mut runners) {
                return announced;
            }
            if !began {
                states::forget_previews();
                began = true;
            }
            looked = Some(Instant::now());
        }
        for finished in shared.http.finished() {
            // Retries and races took more than was foreseen.
            quota::count(
                finished.grant.caller,
                finished.sent.beyond(finished.grant.need),
            );
            let mut sent = finished.sent;
            for (address, answer) in finished.answers {
                if let http::Answer::Examined(examined) = answer {
                    examine::answered(&mut shared, address.ticket, examined);
                    continue;
                }
                if matches!(answer, http::Answer::Probed(_)) {
                    // Whoever asked may be gone; those that wait look again.
                    shared.probing.clear();
                }
                if let Some(runner) = runners.get_mut(&address.mapping) {
                    runner.has_sent(std::mem::take(&mut sent));
                    runner.answered(&mut shared, address.ticket, answer);
                }
            }
        }
        let mut sleep = LONGEST_SLEEP;
        for runner in runners.values_mut() {
            sleep = sleep.min(runner.turn(&mut shared));
            process::end_if_asked();
        }
        sleep = sleep.min(runner::tell_relatives(&mut runners));
        sleep = sleep.min(reads::send(&mut shared, &mut runners));
        if shared.tabs.take_news() {
            sleep = Duration::ZERO;
        }
        if swept.is_none_or(|at| at.elapsed() > SWEEP_EVERY) {
            states::sweep();
            swept = Some(Instant::now());
        }
        process::report_activity(None);
        // Something may have been committed since the last look: then the next one is due in a
        // moment.
        let rest = if rest.is_zero() {
            sleep
        } else {
            sleep.min(rest)
        };
        process::sleep(rest.max(Duration::from_millis(1)));
    }
}

/// How many requests it takes to read everything once: tabs of one spreadsheet are read together.
fn books(runners: &HashMap<i32, Runner>) -> u32 {
    let known: HashSet<_> = runners.values().filter_map(Runner::book).collect();
    let unknown = runners.values().filter(|one| one.book().is_none()).count();
    (known.len() + unknown).max(1) as u32
}

enum Found {
    Something,
    /// The extension is gone, as far as what was announced by then goes: it may be there again.
    Nothing {
        announced: u32,
    },
}

/// Take in what the catalog says, and the calls that wait.
fn look(database: pg_sys::Oid, shared: &mut Shared, runners: &mut HashMap<i32, Runner>) -> Found {
    let announced = crate::shared::about_to_look(database);
    // Later calls may be about mappings that this look does not see.
    let before = crate::shared::next_request();
    let waiting = &mut shared.waiting;
    let glances = match transaction(|session| mappings::glance(session, waiting)) {
        Ok(Some(glances)) => glances,
        Ok(None) => return Found::Nothing { announced },
        Err(refusal) => {
            // The extension is being dropped or upgraded, or something is badly locked: what is
            // known goes on.
            log!(
                "sheet_sync: cannot look at the mappings: {}",
                refusal.message
            );
            return Found::Something;
        }
    };
    let (glances, dropped): (Vec<_>, Vec<_>) =
        glances.into_iter().partition(|glance| glance.table_exists);
    let known: Vec<i32> = glances.iter().map(|glance| glance.id).collect();
    crate::shared::forget_live(database, &known);
    runners.retain(|id, runner| {
        let stays = known.contains(id);
        if !stays {
            runner.end();
        }
        stays
    });
    let books = books(runners);
    let tabs = glances.iter().map(|glance| (glance.id, glance.tab.clone()));
    shared.tabs.look(tabs);
    for glance in glances {
        let id = glance.id;
        runners
            .entry(id)
            .or_insert_with(|| Runner::new(database, id))
            .look(glance, books);
    }
    for glance in dropped {
        states::end_mapping(glance.id);
    }
    for (request, mapping, kind) in crate::shared::take_requests(database, before) {
        if kind == RequestKind::Examine {
            examine::begin(shared, database, request);
            continue;
        }
        match runners.get_mut(&mapping) {
            Some(runner) => runner.request(request, kind),
            None => crate::shared::answer_request(
                request,
                &RequestAnswer::Failed {
                    message: format!("the sync worker knows no mapping {mapping}"),
                    hint: "Commit the transaction that called register_table() first.".to_owned(),
                },
            ),
        }
    }
    Found::Something
}
