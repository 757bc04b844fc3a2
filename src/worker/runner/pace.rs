//! How often the sheet is read, and what the views show of it.

use std::time::Duration;

use super::{Runner, now};
use crate::settings;
use crate::shared;

/// Activity older than this begins to slow the polling down.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// An idle sheet is read so many times less often.
const SLOWEST: f64 = 10.0;
/// At least so many times the duration of a read lies between two.
const TIME_SHARE: u32 = 4;
/// The part of the read quota that polling may use up; the rest is for looking before writes and for calls.
const READS_FOR_POLLING: f64 = 0.5;

/// What decides how long to wait between two reads.
struct Pace {
    /// What the mapping itself asks for.
    own: Option<Duration>,
    /// What mappings get that ask for nothing.
    default: Duration,
    /// How long nothing has changed on either side.
    idle: Duration,
    read_took: Duration,
    /// How many mappings share the quota.
    mappings: u32,
    reads_per_minute: u32,
}

impl Pace {
    /// The interval in force: what is asked for while there is activity, stretched while there is none, and never so short that
    /// reading takes more than its share of time or quota. An interval that the mapping itself names is not stretched.
    fn interval(&self) -> Duration {
        let asked = self
            .own
            .unwrap_or_else(|| self.default.mul_f64(self.stretch()));
        let quota_share = Duration::from_secs(60).mul_f64(
            f64::from(self.mappings) / (f64::from(self.reads_per_minute) * READS_FOR_POLLING),
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
            mappings: self.mappings,
            reads_per_minute,
        };
        pace.interval()
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

    /// While a first merge pulls, its cycle gives way to nothing else: the view would show none of it.
    pub(super) fn show_progress(&mut self) {
        let Some(opened) = &self.loaded else { return };
        let progress = opened.machine.progress();
        let (done, total) = (progress.done as i64, progress.total as i64);
        if (self.live.rows_done, self.live.rows_total) != (done, total) {
            (self.live.rows_done, self.live.rows_total) = (done, total);
            self.show_live();
        }
    }

    pub(super) fn show_limited(&mut self, wait: Duration) {
        self.live.rate_limited_until = now().0 + wait.as_micros() as i64;
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
            mappings: 1,
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
    fn mappings_share_half_of_the_reads() {
        let each_of = |mappings| interval(|pace| pace.mappings = mappings);
        assert_eq!([1, 2, 15].map(each_of), [3_000, 4_000, 30_000]);
    }
}
