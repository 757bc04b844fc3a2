//! Tabs of one spreadsheet that are to be read in the same turn are read in one request: it counts
//! once against the quota.

use google::governor::Need;
use google::{Session, Target};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::http::{Address, Work};
use super::runner::Runner;

/// A tab whose cycle waits to read it.
pub struct Wanted {
    pub address: Address,
    pub session: Arc<Session>,
    pub target: Target,
    /// Somebody waits for it.
    pub interactive: bool,
}

impl Wanted {
    /// Whether one request can answer both.
    pub fn is_of(&self, session: &Arc<Session>, spreadsheet_id: &str) -> bool {
        Arc::ptr_eq(&self.session, session) && self.target.spreadsheet_id == spreadsheet_id
    }
}

/// Reads what this turn wants to read, and with it whatever of the same spreadsheets is to be read
/// soon. Answers how long to sleep at most.
pub fn send(shared: &mut Shared, runners: &mut HashMap<i32, Runner>) -> Duration {
    let mut sleep = Duration::MAX;
    if shared.reads.is_empty() {
        return sleep;
    }
    for runner in runners.values_mut() {
        if runner.reads_soon(&shared.reads) {
            runner.read_now();
            sleep = sleep.min(runner.turn(shared));
        }
    }
    let mut wanted = std::mem::take(&mut shared.reads);
    while let Some(first) = wanted.first() {
        let (session, spreadsheet_id) =
            (first.session.clone(), first.target.spreadsheet_id.clone());
        let (book, others): (Vec<Wanted>, Vec<Wanted>) = wanted
            .into_iter()
            .partition(|one| one.is_of(&session, &spreadsheet_id));
        wanted = others;
        sleep = sleep.min(send_book(shared, runners, session, book));
    }
    sleep
}

fn send_book(
    shared: &mut Shared,
    runners: &mut HashMap<i32, Runner>,
    session: Arc<Session>,
    book: Vec<Wanted>,
) -> Duration {
    let interactive = book.iter().any(|one| one.interactive);
    let payer = book.iter().map(|one| one.address.mapping).next();
    let Some(payer) = payer.and_then(|mapping| runners.get_mut(&mapping)) else {
        return Duration::MAX;
    };
    match payer.ask(shared, Need::READ, interactive) {
        Ok(grant) => {
            let (to, targets) = book
                .into_iter()
                .map(|one| (one.address, one.target))
                .unzip();
            shared.http.send(to, session, grant, Work::Read { targets });
            Duration::MAX
        }
        Err(wait) => {
            for one in book {
                if let Some(runner) = runners.get_mut(&one.address.mapping) {
                    runner.read_later(one.address.ticket, wait);
                }
            }
            wait
        }
    }
}
