//! The cycle of one mapping as a state machine.

use crate::effect::{Outcome, Report, Start, Step};
use crate::mapping::Mapping;
use crate::value::Timestamp;

/// Lives as long as its mapping: between cycles it remembers where each key's row stands and how each row hashed.
#[derive(Debug)]
pub struct Machine {
    mapping: Mapping,
}

impl Machine {
    pub fn new(mapping: Mapping) -> Self {
        Self { mapping }
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Begin a cycle. A cycle that was under way is abandoned, which is what a crash does too.
    pub fn start(&mut self, _start: Start) -> Step {
        Step::Done(Report::default())
    }

    /// Go on with what came of the last effect.
    pub fn resume(&mut self, _outcome: Outcome, _now: Timestamp) -> Step {
        Step::Done(Report::default())
    }
}
