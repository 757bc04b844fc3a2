//! Requests to Google, on helper threads: the main thread is never blocked by a slow answer, so shutdown, DROP DATABASE and
//! other people's DDL never wait for Google. Helpers touch nothing of Postgres's: owned data in, owned data out.

use engine::effect::{Class, Failure, SheetEffect, SheetOutcome};
use google::sheet::{Capabilities, Overview, Tab};
use google::{Session, Target};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

const THREADS: usize = 4;

/// What to ask Google for.
pub enum Work {
    Open {
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
        target: Target,
        effect: SheetEffect,
    },
}

pub enum Answer {
    Opened(Result<Overview, Failure>),
    TabAdded(Result<Tab, Failure>),
    Probed(Result<Capabilities, Failure>),
    Performed(Result<SheetOutcome, Failure>),
}

struct Job {
    mapping: i32,
    ticket: u64,
    session: Arc<Session>,
    work: Work,
}

/// The helpers of one worker process. Threads are started when they are first needed, after the fork.
pub struct Http {
    jobs: Sender<Job>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    done: Sender<(i32, u64, Answer)>,
    answers: Receiver<(i32, u64, Answer)>,
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

    /// Hand over a request; its answer comes with the ticket.
    pub fn send(&mut self, mapping: i32, session: Arc<Session>, work: Work) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.under_way += 1;
        if self.threads < THREADS && self.threads < self.under_way {
            self.start_thread();
        }
        if self.threads == 0 {
            let answer = failed(&work, no_thread());
            let _ = self.done.send((mapping, ticket, answer));
            return ticket;
        }
        // The receiver lives in `self`, so the channel is never closed.
        let _ = self.jobs.send(Job {
            mapping,
            ticket,
            session,
            work,
        });
        ticket
    }

    /// Answers that have come: mapping, ticket, answer.
    pub fn answers(&mut self) -> Vec<(i32, u64, Answer)> {
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

/// A thread inherits its creator's signal mask: Postgres's handlers must run on the main thread only.
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

fn serve(waiting: &Mutex<Receiver<Job>>, done: &Sender<(i32, u64, Answer)>) {
    loop {
        let job = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        let answer = carry_out(&job);
        if done.send((job.mapping, job.ticket, answer)).is_err() {
            return;
        }
        // SAFETY: a signal to our own process; with all signals blocked here it is the main thread that takes it, and Postgres's
        // handler sets its latch.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGUSR1);
        }
    }
}

fn carry_out(job: &Job) -> Answer {
    let call = AssertUnwindSafe(|| match &job.work {
        Work::Open { spreadsheet_id } => Answer::Opened(job.session.open(spreadsheet_id)),
        Work::Probe { spreadsheet_id } => Answer::Probed(job.session.probe(spreadsheet_id)),
        Work::AddTab {
            spreadsheet_id,
            title,
        } => Answer::TabAdded(job.session.add_tab(spreadsheet_id, title)),
        Work::Perform { target, effect } => Answer::Performed(job.session.perform(target, effect)),
    });
    std::panic::catch_unwind(call).unwrap_or_else(|_| {
        let failure = Failure {
            class: Class::OurBug,
            reason: "panic".to_owned(),
            message: "a request helper panicked".to_owned(),
            hint: "The server's log has the place; please report it.".to_owned(),
            retry_after_ms: None,
            may_have_applied: true,
        };
        failed(&job.work, failure)
    })
}

fn failed(work: &Work, failure: Failure) -> Answer {
    match work {
        Work::Open { .. } => Answer::Opened(Err(failure)),
        Work::Probe { .. } => Answer::Probed(Err(failure)),
        Work::AddTab { .. } => Answer::TabAdded(Err(failure)),
        Work::Perform { .. } => Answer::Performed(Err(failure)),
    }
}

fn no_thread() -> Failure {
    Failure {
        class: Class::RetryNow,
        reason: "no_thread".to_owned(),
        message: "the operating system gives no thread for requests".to_owned(),
        hint: "Look at the limits of the server's user; it is tried again.".to_owned(),
        retry_after_ms: None,
        may_have_applied: false,
    }
}
