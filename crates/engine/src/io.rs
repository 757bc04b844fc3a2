//! The only points where the engine waits: an effect goes out, its outcome comes back.

use crate::effect::Reason;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::effect::{
    Applied, Class, Commit, DatabaseEffect, DatabaseOutcome, Effect, Failure, Outcome, SheetEffect,
    SheetOutcome,
};
use crate::mapping::Side;
use crate::value::Timestamp;

/// How often one cycle sends a request again that failed in passing.
const ATTEMPTS: u32 = 3;

/// The reason under which a request fails that names a row beyond the grid: rows were deleted since
/// they were read.
const OUTDATED: Reason = Reason::StalePosition;

#[derive(Clone, Default)]
pub(crate) struct Io(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    asked: Option<Effect>,
    answer: Option<Outcome>,
    now: Option<Timestamp>,
    progress: Progress,
}

/// How far a cycle that read the whole sheet has come, in rows of either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Looked at, and what followed from that is recorded.
    pub done: usize,
    /// To look at in all; zero until the cycle knows.
    pub total: usize,
}

impl Io {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.slot().now = Some(now);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.slot().now.unwrap_or(Timestamp(0))
    }

    pub(crate) fn answer(&self, outcome: Outcome, now: Timestamp) {
        let mut slot = self.slot();
        slot.now = Some(now);
        slot.answer = Some(outcome);
    }

    pub(crate) fn take_effect(&self) -> Option<Effect> {
        self.slot().asked.take()
    }

    pub(crate) fn begin_progress(&self, rows: usize) {
        self.slot().progress = Progress {
            done: 0,
            total: rows,
        };
    }

    pub(crate) fn advance_progress(&self, rows: usize) {
        self.slot().progress.done += rows;
    }

    pub(crate) fn progress(&self) -> Progress {
        self.slot().progress
    }

    /// The outcome of one effect, which the driver carries out.
    async fn perform(&self, effect: Effect) -> Outcome {
        {
            let mut slot = self.slot();
            slot.asked = Some(effect);
            slot.answer = None;
        }
        poll_fn(|_| match self.slot().answer.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        })
        .await
    }

    async fn database_once(&self, effect: DatabaseEffect) -> Result<DatabaseOutcome, Failure> {
        match self.perform(Effect::Database(effect)).await {
            Outcome::Database(outcome) => Ok(outcome),
            Outcome::Failed(Side::Database, failure) => Err(failure),
            Outcome::Sheet(_) | Outcome::Failed(Side::Sheet, _) => Err(mismatch()),
        }
    }

    pub(crate) async fn database(
        &self,
        effect: DatabaseEffect,
    ) -> Result<DatabaseOutcome, Failure> {
        let mut attempt = 1;
        loop {
            match self.database_once(effect.clone()).await {
                Err(failure)
                    if failure.class == Class::RetryNow
                        && !failure.may_have_applied
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1
                }
                answer => return answer,
            }
        }
    }

    /// One entry for each change to the table, in their order.
    pub(crate) async fn commit(
        &self,
        commit: impl Into<Arc<Commit>>,
    ) -> Result<Vec<Applied>, Failure> {
        match self.database(DatabaseEffect::Commit(commit.into())).await? {
            DatabaseOutcome::Committed(applied) => Ok(applied),
            _ => Err(mismatch()),
        }
    }

    /// One request. What fails in passing is sent again a few times: everything but a batch under a
    /// stamp may be repeated.
    pub(crate) async fn sheet(&self, effect: SheetEffect) -> Result<SheetOutcome, Failure> {
        let mut attempt = 1;
        loop {
            match self.sheet_once(effect.clone()).await {
                Err(failure)
                    if failure.class == Class::RetryNow
                        && failure.reason != OUTDATED
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    pub(crate) async fn sheet_once(&self, effect: SheetEffect) -> Result<SheetOutcome, Failure> {
        match self.perform(Effect::Sheet(effect)).await {
            Outcome::Sheet(outcome) => Ok(outcome),
            Outcome::Failed(Side::Sheet, failure) => Err(failure),
            Outcome::Database(_) | Outcome::Failed(Side::Database, _) => Err(mismatch()),
        }
    }
}

/// The request named a row beyond the grid.
pub(crate) fn is_outdated(failure: &Failure) -> bool {
    failure.reason == OUTDATED
}

/// Whether the same request may fare better at once.
pub(crate) fn is_passing(failure: &Failure) -> bool {
    failure.reason != OUTDATED && (failure.class == Class::RetryNow || failure.may_have_applied)
}

/// The driver answered something that was not asked.
pub(crate) fn mismatch() -> Failure {
    Failure {
        class: Class::OurBug,
        reason: Reason::UnexpectedAnswer,
        message: "The answer does not belong to the question.".into(),
        hint: "This is a bug of sheet_sync; please report it with the server log.".into(),
        retry_after_ms: None,
        may_have_applied: true,
    }
}
