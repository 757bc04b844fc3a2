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

impl Runner {
    /// The interval in force: what is asked for while there is activity, stretched while there is none, and never so short that
    /// reading takes more than its share of time or quota. An interval that the mapping itself names is not stretched.
    pub(super) fn poll_interval(&self) -> Duration {
        let own = self
            .loaded
            .as_ref()
            .and_then(|opened| opened.mapping.poll_interval);
        let asked = own.unwrap_or_else(|| settings::poll_interval().mul_f64(self.stretch()));
        let [reads_per_minute, ..] = settings::quota();
        let quota_share = Duration::from_secs(60)
            .mul_f64(f64::from(self.mappings) / (f64::from(reads_per_minute) * READS_FOR_POLLING));
        asked.max(self.read_took * TIME_SHARE).max(quota_share)
    }

    /// From 1 while something changes up to [`SLOWEST`] when nothing has for long.
    fn stretch(&self) -> f64 {
        (self.active_at.elapsed().as_secs_f64() / IDLE_AFTER.as_secs_f64()).clamp(1.0, SLOWEST)
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
