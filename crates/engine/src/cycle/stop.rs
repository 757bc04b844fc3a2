//! Why a cycle ends before its time.

use crate::effect::{Failure, Stopped};
use crate::tab::{NotDone, Trouble};

#[derive(Debug)]
pub(crate) enum Stop {
    Stopped(Stopped),
    /// The plan was made from a state of the tab that is past.
    Outdated,
    /// Nothing may be done before a second reading tells whether the rows that this one missed are
    /// gone.
    Held,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Trouble::from(failure).into()
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Outdated => Self::Outdated,
            Trouble::Failed(failure) => Self::Stopped(Stopped::Failure(failure)),
        }
    }
}

impl From<NotDone> for Stop {
    fn from(unanswered: NotDone) -> Self {
        unanswered.why.into()
    }
}

/// The answer of a guard ends the cycle.
impl From<Stopped> for Stop {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}
