//! What a mapping's state says when it does not go on: why, what to do, and when it is tried again.

use engine::effect::Reason;
use engine::effect::{Class, Failure, Stopped};
use std::time::{Duration, Instant};

use super::{Job, Runner, now};
use crate::shared::{self, Answer as RequestAnswer, Phase, RequestKind};
use crate::worker::states::{self, Stop, Trouble};
use crate::worker::{dirty, writer};

/// The longest pause: what a person has mended goes on by itself within a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Runner {
    /// Keep the mapping's state: what is wrong, what to do, when it is tried again.
    pub(super) fn fail(&mut self, stopped: Stopped) {
        self.job = Job::Idle;
        self.live.phase = Phase::Idle;
        if let Some(opened) = &mut self.loaded {
            // What looks like a sheet that was emptied may be one that was thrown away.
            opened.bin_looked_at = None;
        }
        let (failed, reason, hint, pause, stop) = match &stopped {
            Stopped::Guard {
                reason,
                message,
                hint,
                question,
            } => (
                true,
                format!("{reason}: {message}"),
                hint.clone(),
                self.next_pause(),
                question.map_or(Stop::Over, Stop::Asks),
            ),
            Stopped::Failure(failure) => {
                if failure.reason == Reason::Locked {
                    self.locks.met = true;
                }
                let failed = matches!(failure.class, Class::NeedsHuman | Class::OurBug);
                // A wait that somebody asks for is none for what a person may mend at any time.
                let asked = failure.retry_after_ms.filter(|_| !failed);
                let asked = asked.map(Duration::from_millis);
                let pause = asked.unwrap_or_else(|| self.next_pause());
                if failure.reason == Reason::Quota {
                    self.live.rate_limited_until = after(pause);
                }
                let other_conventions = failure.reason == Reason::OtherConventions;
                if (failed || other_conventions)
                    && let Some(opened) = &mut self.loaded
                {
                    // Whatever was mended may have changed more than the cells.
                    opened.target = None;
                }
                (
                    failed,
                    format!("{}: {}", failure.reason, failure.message),
                    failure.hint.clone(),
                    pause,
                    Stop::AsBefore,
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
        self.live.retry_at = after(pause);
        self.next_poll = Instant::now() + pause;
        self.in_trouble = true;
        let is_others =
            matches!(&stopped, Stopped::Failure(failure) if writer::is_of_another_writer(failure));
        self.bound_dirty_keys(is_others);
        let trouble = Trouble {
            failed,
            reason,
            hint,
            retry_in: pause,
            stop,
        };
        if states::show_trouble(self.id, &trouble).is_some()
            && let Some(glance) = &mut self.glance
        {
            glance.has_retry = true;
        }
    }

    /// While the mapping does not go on; `as_one` where a person will have to say how it does.
    pub(super) fn bound_dirty_keys(&mut self, as_one: bool) {
        let (id, from) = (self.id, self.crowded_from);
        let since = self.glance.as_ref().map(|glance| glance.since.clone());
        let since = since.unwrap_or_default();
        let mut left = None;
        states::store(|session| {
            if dirty::has_more(session, id, &since, from) {
                left = Some(dirty::bound(session, id, as_one));
            }
        });
        if let Some(left) = left {
            self.crowded_from = dirty::MANY_LINES.max(2 * left);
        }
    }

    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        pause
    }

    pub(super) fn refuse_requests(&mut self, message: &str, hint: &str) {
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

    /// A mapping that is paused does nothing, and can say what it would do.
    pub(super) fn refuse_all_but_previews(&mut self) {
        let all = std::mem::take(&mut self.requests).into_iter();
        let (previews, others) =
            all.partition::<Vec<_>, _>(|(_, kind)| *kind == RequestKind::Preview);
        self.requests = others;
        self.refuse_requests(
            "the mapping is paused",
            "sheet_sync.resume() lets it go on; sheet_sync.preview() says what it would do then.",
        );
        self.requests = previews;
    }

    pub(super) fn answer_requests(&self, requests: &[u64], answer: &RequestAnswer) {
        for request in requests {
            shared::answer_request(*request, answer);
        }
    }
}

/// In microseconds, as [`now`] counts them.
fn after(pause: Duration) -> i64 {
    let pause = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    now().0.saturating_add(pause)
}

pub(super) fn needs_human(reason: Reason, message: &str, hint: &str) -> Stopped {
    Stopped::Failure(failure(reason, message, hint))
}

/// What only a person can mend.
pub fn failure(reason: Reason, message: &str, hint: &str) -> Failure {
    Failure {
        class: Class::NeedsHuman,
        reason,
        message: message.to_owned(),
        hint: hint.to_owned(),
        retry_after_ms: None,
        may_have_applied: false,
    }
}

pub(super) fn retries_by_itself(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::Failure(failure) if matches!(failure.class, Class::RetryNow | Class::RetryLater))
}

pub(super) fn failed_answer(stopped: &Stopped) -> RequestAnswer {
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
