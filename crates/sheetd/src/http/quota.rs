//! The per-minute quotas of the Sheets API (G-QUOTA-1), off unless switched on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::errors::{ApiError, ApiResult};
use crate::options::{Options, QuotaMode};

/// One of the four limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    pub writes: bool,
    pub per_user: bool,
}

impl Bucket {
    pub const READ_USER: Self = Self { writes: false, per_user: true };

    fn pick(self, read: &'static str, write: &'static str) -> &'static str {
        if self.writes { write } else { read }
    }

    pub fn metric(self) -> &'static str {
        self.pick("sheets.googleapis.com/read_requests", "sheets.googleapis.com/write_requests")
    }

    pub fn metric_title(self) -> &'static str {
        self.pick("Read requests", "Write requests")
    }

    pub fn limit_title(self) -> &'static str {
        if self.per_user {
            self.pick("Read requests per minute per user", "Write requests per minute per user")
        } else {
            self.pick("Read requests per minute", "Write requests per minute")
        }
    }

    pub fn limit(self) -> &'static str {
        if self.per_user {
            self.pick("ReadRequestsPerMinutePerUser", "WriteRequestsPerMinutePerUser")
        } else {
            self.pick("ReadRequestsPerMinutePerProject", "WriteRequestsPerMinutePerProject")
        }
    }

    pub fn unit(self) -> &'static str {
        if self.per_user { "1/min/{project}/{user}" } else { "1/min/{project}" }
    }

    fn limit_of(self, options: &Options) -> u32 {
        match (self.writes, self.per_user) {
            (false, true) => options.reads_per_minute_per_user,
            (true, true) => options.writes_per_minute_per_user,
            (false, false) => options.reads_per_minute_per_project,
            (true, false) => options.writes_per_minute_per_project,
        }
    }
}

/// What was used in the running minute.
#[derive(Debug, Default)]
pub struct Meter {
    used: HashMap<(Bucket, String), (Instant, u32)>,
}

impl Meter {
    /// Counts one request, or refuses it.
    pub fn spend(&mut self, writes: bool, caller: &str, options: &Options, now: Instant) -> ApiResult<()> {
        if options.quota == QuotaMode::Off {
            return Ok(());
        }
        let buckets =
            [(true, caller), (false, "")].map(|(per_user, who)| (Bucket { writes, per_user }, who.to_owned()));
        for key in &buckets {
            let (start, used) = self.used.entry(key.clone()).or_insert((now, 0));
            if now.duration_since(*start) >= Duration::from_secs(60) {
                (*start, *used) = (now, 0);
            }
            let limit = key.0.limit_of(options);
            if *used >= limit {
                return Err(ApiError::quota(key.0, limit));
            }
        }
        for key in buckets {
            self.used.get_mut(&key).expect("made above").1 += 1;
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.used.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_refills_after_a_minute() {
        let options = Options { quota: QuotaMode::Google, ..Options::default() };
        let mut meter = Meter::default();
        let start = Instant::now();
        for _ in 0..60 {
            meter.spend(false, "a", &options, start).unwrap();
        }
        assert_eq!(meter.spend(false, "a", &options, start).unwrap_err().code, 429);
        assert!(meter.spend(true, "a", &options, start).is_ok());
        assert!(meter.spend(false, "b", &options, start).is_ok());
        assert!(meter.spend(false, "a", &options, start + Duration::from_secs(60)).is_ok());
    }
}
