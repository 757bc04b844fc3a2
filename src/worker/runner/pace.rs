//! How often the sheet is read, and what the views show of it.

use engine::effect::SheetEffect;
use google::governor::Need;
use std::time::{Duration, Instant};

use super::{Awaits, Job, Runner, now};
use crate::worker::Shared;
use crate::worker::http::Grant;
use crate::worker::mappings::Glance;
use crate::worker::reads::Wanted;
use crate::{quota, settings, shared};

/// Activity older than this begins to slow the polling down.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// An idle sheet is read so many times less often.
const SLOWEST: f64 = 10.0;
/// At least so many times the duration of a read lies between two.
const TIME_SHARE: u32 = 4;
/// The part of the read quota that polling may use up; the rest is for looking before writes and
/// for calls.
const READS_FOR_POLLING: f64 = 0.5;

/// How soon to ask again while every helper is at work.
const UNTIL_ROOM: Duration = Duration::from_millis(20);

/// What decides how long to wait between two reads.
struct Pace {
    /// What the mapping itself asks for.
    own: Option<Duration>,
    /// What mappings get that ask for nothing.
    default: Duration,
    /// How long nothing has changed on either side.
    idle: Duration,
    read_took: Duration,
    /// How many spreadsheets share the quota: the tabs of one are read together.
    books: u32,
    reads_per_minute: u32,
}

impl Pace {
    /// The interval in force: what is asked for while there is activity, stretched while there is
    /// none, and never so short that reading takes more than its share of time or quota. An
    /// interval that the mapping itself names is not stretched.
    fn interval(&self) -> Duration {
        let asked = self
            .own
            .unwrap_or_else(|| self.default.mul_f64(self.stretch()));
        let quota_share = Duration::from_secs(60).mul_f64(
            f64::from(self.books) / (f64::from(self.reads_per_minute) * READS_FOR_POLLING),
        );
        asked.max(self.read_took * TIME_SHARE).max(quota_share)
    }

    /// From 1 while something changes up to [`SLOWEST`] when nothing has for long.
    fn stretch(&self) -> f64 {
        (self.idle.as_secs_f64() / IDLE_AFTER.as_secs_f64()).clamp(1.0, SLOWEST)
    }
}

impl Runner {
    /// The interval in force.
    pub(super) fn poll_interval(&self) -> Duration {
        let [reads_per_minute, ..] = settings::quota();
        let pace = Pace {
            own: self
                .loaded
                .as_ref()
                .and_then(|opened| opened.mapping.poll_interval),
            default: settings::poll_interval(),
            idle: self.active_at.elapsed(),
            read_took: self.read_took,
            books: self.books,
            reads_per_minute,
        };
        pace.interval()
    }

    /// The spreadsheet and the credential it is read with, once they are known.
    pub fn book(&self) -> Option<(&str, &str)> {
        let mapping = &self.loaded.as_ref()?.mapping;
        Some((&mapping.spreadsheet_id, &mapping.credential))
    }

    /// Whether its tab is of a spreadsheet that is about to be read, and due before half of its
    /// interval has passed.
    pub fn reads_soon(&self, wanted: &[Wanted]) -> bool {
        let Some(opened) = self.loaded.as_ref().filter(|one| one.target.is_some()) else {
            return false;
        };
        let waits = self.not_before.is_some() || self.rests_until.is_some();
        let merged = |glance: &Glance| glance.merged && glance.state != "paused";
        matches!(self.job, Job::Idle)
            && !waits
            && self.glance.as_ref().is_some_and(merged)
            && self
                .next_poll
                .saturating_duration_since(Instant::now())
                .mul_f64(2.0)
                < self.poll_interval()
            && wanted
                .iter()
                .any(|one| one.is_of(&opened.google, &opened.mapping.spreadsheet_id))
    }

    pub fn read_now(&mut self) {
        self.next_poll = Instant::now();
    }

    /// The quota does not allow the read that waits under this ticket.
    pub fn read_later(&mut self, ticket: u64, wait: Duration) {
        if let Job::Cycle(_, awaits) = &mut self.job
            && matches!(awaits, Awaits::Answer(awaited) if *awaited == ticket)
        {
            *awaits = Awaits::Quota(Instant::now() + wait, Box::new(SheetEffect::Read));
        }
    }

    pub(super) fn show_live(&mut self) {
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

    /// While a first merge pulls, its cycle gives way to nothing else: the view would show none of
    /// it.
    pub(super) fn show_progress(&mut self) {
        let Some(opened) = &self.loaded else { return };
        let progress = opened.machine.progress();
        let (done, total) = (progress.done as i64, progress.total as i64);
        if (self.live.rows_done, self.live.rows_total) != (done, total) {
            (self.live.rows_done, self.live.rows_total) = (done, total);
            self.show_live();
        }
    }

    /// Requests that went to Sheets on this mapping's behalf.
    pub fn has_sent(&mut self, sent: Need) {
        let now = Instant::now();
        self.sent.extend((0..sent.reads + sent.writes).map(|_| now));
    }

    /// Take what these requests need from the quota, or learn how long to wait. Interactive where
    /// somebody waits for them.
    pub fn ask(
        &mut self,
        shared: &Shared,
        need: Need,
        interactive: bool,
    ) -> Result<Grant, Duration> {
        let Some(opened) = self.loaded.as_ref().filter(|_| shared.http.has_room()) else {
            return Err(UNTIL_ROOM);
        };
        let caller = opened.caller;
        match quota::ask(caller, need, interactive) {
            Ok(()) => Ok(Grant { caller, need }),
            Err(wait) => {
                self.live.rate_limited_until = now().0 + wait.as_micros() as i64;
                Err(wait)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals in milliseconds of a mapping whose sheet is read in no time.
    fn interval(change: impl FnOnce(&mut Pace)) -> u128 {
        let mut pace = Pace {
            own: None,
            default: Duration::from_secs(3),
            idle: Duration::ZERO,
            read_took: Duration::ZERO,
            books: 1,
            reads_per_minute: 60,
        };
        change(&mut pace);
        pace.interval().as_millis()
    }

    #[test]
    fn a_sheet_is_read_less_often_the_longer_nothing_has_changed() {
        let after = |seconds| interval(|pace| pace.idle = Duration::from_secs(seconds));
        assert_eq!(
            [0, 60, 90, 300, 600, 86_400].map(after),
            [3_000, 3_000, 4_500, 15_000, 30_000, 30_000]
        );
    }

    #[test]
    fn an_interval_of_its_own_is_not_stretched() {
        let own = interval(|pace| {
            pace.own = Some(Duration::from_secs(5));
            pace.idle = Duration::from_secs(3_600);
        });
        assert_eq!(own, 5_000);
    }

    #[test]
    fn reading_takes_a_fifth_of_the_time_at_most() {
        let of_a_large_sheet = interval(|pace| {
            pace.own = Some(Duration::from_millis(100));
            pace.read_took = Duration::from_secs(20);
        });
        assert_eq!(of_a_large_sheet, 80_000);
    }

    #[test]
    fn spreadsheets_share_half_of_the_reads() {
        let each_of = |books| interval(|pace| pace.books = books);
        assert_eq!([1, 2, 15].map(each_of), [3_000, 4_000, 30_000]);
    }
}
