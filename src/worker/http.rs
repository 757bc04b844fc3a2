//! Requests to Google, on helper threads: the main thread is never blocked by a slow answer, so
//! shutdown, DROP DATABASE and other people's DDL never wait for Google. Helpers touch nothing of
//! Postgres's: owned data in, owned data out.

use engine::effect::Reason;
use engine::effect::{Class, Failure, SheetEffect, SheetOutcome};
use google::governor::{Caller, Need};
use google::sheet::{Capabilities, Finding, Overview, Patient, Tab};
use google::{Session, Target, sent_by_this_thread};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

const THREADS: usize = 4;

/// What to ask Google for.
pub enum Work {
    /// Tabs of one spreadsheet; each has an answer of its own.
    Read {
        targets: Vec<Target>,
    },
    Open {
        spreadsheet_id: String,
    },
    LookInBin {
        spreadsheet_id: String,
    },
    Probe {
        spreadsheet_id: String,
    },
    AddTab {
        spreadsheet_id: String,
        title: String,
    },
    Perform {
        target: Box<Target>,
        effect: SheetEffect,
    },
    /// Whose the tab is by now.
    CheckWriter {
        target: Box<Target>,
    },
    /// Say on the tab who writes to it.
    TakeTurn {
        target: Box<Target>,
    },
    /// An account, and the tabs that it is used for.
    Examine {
        patients: Vec<Patient>,
    },
}

pub enum Answer {
    Opened(Result<Overview, Failure>),
    /// Whether it is in the bin.
    LookedInBin(Result<bool, Failure>),
    TabAdded(Result<Tab, Failure>),
    Probed(Result<Capabilities, Failure>),
    Performed(Result<SheetOutcome, Failure>),
    WriterChecked(Result<(), Failure>),
    TurnTaken(Result<(), Failure>),
    Examined(Examined),
}

/// What was found about an account, and about each tab asked for; no tab where the account itself
/// cannot be used.
#[derive(Debug, Default)]
pub struct Examined {
    pub account: Vec<Finding>,
    pub tabs: Vec<Vec<Finding>>,
}

/// On whose account a piece of work goes, and what of the quota it was granted.
#[derive(Clone, Copy)]
pub struct Grant {
    pub caller: Caller,
    pub need: Need,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub mapping: i32,
    pub ticket: u64,
}

struct Job {
    to: Vec<Address>,
    session: Arc<Session>,
    grant: Grant,
    work: Work,
}

/// A piece of work that is done.
pub struct Finished {
    pub answers: Vec<(Address, Answer)>,
    /// The requests that it took.
    pub sent: Need,
    pub grant: Grant,
}

/// The helpers of one worker process. Threads are started when they are first needed, after the
/// fork.
pub struct Http {
    jobs: Sender<Job>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    done: Sender<Finished>,
    answers: Receiver<Finished>,
    threads: usize,
    under_way: usize,
    next_ticket: u64,
}

impl Http {
    pub fn new() -> Self {
        let (jobs, waiting) = mpsc::channel();
        let (done, answers) = mpsc::channel();
        Self {
            jobs,
            waiting: Arc::new(Mutex::new(waiting)),
            done,
            answers,
            threads: 0,
            under_way: 0,
            next_ticket: 1,
        }
    }

    /// False while every helper is at work: what were handed over now would go out some time after
    /// its grant was counted.
    pub fn has_room(&self) -> bool {
        self.under_way < THREADS
    }

    /// Names an answer that is to come.
    pub fn address(&mut self, mapping: i32) -> Address {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        Address { mapping, ticket }
    }

    /// Hand over work; each address gets an answer.
    pub fn send(&mut self, to: Vec<Address>, session: Arc<Session>, grant: Grant, work: Work) {
        self.under_way += 1;
        if self.threads < THREADS && self.threads < self.under_way {
            self.start_thread();
        }
        if self.threads == 0 {
            let answers = failed(&to, &work, &no_thread());
            let _ = self.done.send(Finished {
                answers,
                sent: Need::default(),
                grant,
            });
            return;
        }
        // The receiver lives in `self`, so the channel is never closed.
        let _ = self.jobs.send(Job {
            to,
            session,
            grant,
            work,
        });
    }

    /// What has been done since the last look.
    pub fn finished(&mut self) -> Vec<Finished> {
        let answers: Vec<_> = self.answers.try_iter().collect();
        self.under_way -= answers.len().min(self.under_way);
        answers
    }

    fn start_thread(&mut self) {
        let waiting = self.waiting.clone();
        let done = self.done.clone();
        let spawned = without_signals(|| {
            std::thread::Builder::new()
                .name("sheet_sync http".to_owned())
                .spawn(move || serve(&waiting, &done))
        });
        if spawned.is_ok() {
            self.threads += 1;
        }
    }
}

/// A thread inherits its creator's signal mask: Postgres's handlers must run on the main thread
/// only.
fn without_signals<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: plain libc calls on local sets; the old mask is put back.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let result = body();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        result
    }
}

fn serve(waiting: &Mutex<Receiver<Job>>, done: &Sender<Finished>) {
    loop {
        let job = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        let before = sent_by_this_thread();
        let answers = carry_out(&job);
        let finished = Finished {
            answers,
            sent: sent_by_this_thread().beyond(before),
            grant: job.grant,
        };
        if done.send(finished).is_err() {
            return;
        }
        // SAFETY: a signal to our own process; with all signals blocked here it is the main thread
        // that takes it, and Postgres's handler sets its latch.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGUSR1);
        }
    }
}

fn carry_out(job: &Job) -> Vec<(Address, Answer)> {
    let call = AssertUnwindSafe(|| {
        let one = |answer| job.to.iter().copied().zip([answer]).collect();
        match &job.work {
            Work::Read { targets } => {
                let read = job.session.read_many(targets);
                let answers = read.into_iter().map(Answer::Performed);
                job.to.iter().copied().zip(answers).collect()
            }
            Work::Open { spreadsheet_id } => one(Answer::Opened(job.session.open(spreadsheet_id))),
            Work::LookInBin { spreadsheet_id } => {
                one(Answer::LookedInBin(job.session.is_in_bin(spreadsheet_id)))
            }
            Work::Probe { spreadsheet_id } => {
                one(Answer::Probed(job.session.probe(spreadsheet_id)))
            }
            Work::AddTab {
                spreadsheet_id,
                title,
            } => one(Answer::TabAdded(job.session.add_tab(spreadsheet_id, title))),
            Work::Examine { patients } => one(Answer::Examined(examine(&job.session, patients))),
            Work::CheckWriter { target } => {
                one(Answer::WriterChecked(job.session.check_writer(target)))
            }
            Work::TakeTurn { target } => one(Answer::TurnTaken(job.session.take_turn(target))),
            Work::Perform { target, effect } => {
                one(Answer::Performed(job.session.perform(target, effect)))
            }
        }
    });
    std::panic::catch_unwind(call).unwrap_or_else(|_| {
        let failure = Failure {
            class: Class::OurBug,
            reason: Reason::Panic,
            message: "a request helper panicked".to_owned(),
            hint: "The server's log has the place; please report it.".to_owned(),
            retry_after_ms: None,
            may_have_applied: true,
        };
        failed(&job.to, &job.work, &failure)
    })
}

fn examine(session: &Session, patients: &[Patient]) -> Examined {
    let account = session.examine_account();
    let usable = account.iter().all(|one| one.ok || one.check != "token");
    let patients = patients.iter().filter(|_| usable);
    Examined {
        tabs: patients.map(|one| session.examine_tab(one)).collect(),
        account,
    }
}

fn failed(to: &[Address], work: &Work, failure: &Failure) -> Vec<(Address, Answer)> {
    let answer = || {
        let failure = failure.clone();
        match work {
            Work::Open { .. } => Answer::Opened(Err(failure)),
            Work::LookInBin { .. } => Answer::LookedInBin(Err(failure)),
            Work::Probe { .. } => Answer::Probed(Err(failure)),
            Work::AddTab { .. } => Answer::TabAdded(Err(failure)),
            Work::CheckWriter { .. } => Answer::WriterChecked(Err(failure)),
            Work::TakeTurn { .. } => Answer::TurnTaken(Err(failure)),
            Work::Examine { .. } => Answer::Examined(Examined {
                account: vec![Finding::failed("token", &failure)],
                tabs: Vec::new(),
            }),
            Work::Read { .. } | Work::Perform { .. } => Answer::Performed(Err(failure)),
        }
    };
    to.iter().map(|address| (*address, answer())).collect()
}

fn no_thread() -> Failure {
    Failure {
        class: Class::RetryNow,
        reason: Reason::NoThread,
        message: "the operating system gives no thread for requests".to_owned(),
        hint: "Look at the limits of the server's user; it is tried again.".to_owned(),
        retry_after_ms: None,
        may_have_applied: false,
    }
}
