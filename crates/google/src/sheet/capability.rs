//! What is known of the service's behaviour where the documentation says nothing (what
//! docs/google-sheets.md calls assumed).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Found out by [`super::Session::probe`]; what writes show otherwise corrects it. Store it; give
/// it back with [`super::Session::set_capabilities`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "snake_case")]
pub struct Capabilities {
    /// Deletion of metadata that is not there.
    pub missing_metadata: Missing,
    /// Whether a structural batch can answer with the cells as they are after it.
    pub cells_in_answer: Answered,
    /// Whether a batch can be made to depend on where an anchor stands. Where it cannot, a write
    /// may go to a row that a person moves at the same moment: then only the images tell.
    pub anchor_checks: Answered,
    /// Whether the entry that says who writes can be taken away as it was seen and made anew in
    /// one batch. Where it cannot, of two databases that write at one moment the second one's batch
    /// is applied, and it stops after it.
    pub writer_exchange: Answered,
}

impl Capabilities {
    /// Nothing is left to be probed.
    pub fn are_complete(&self) -> bool {
        let answered = [
            self.cells_in_answer,
            self.anchor_checks,
            self.writer_exchange,
        ];
        self.missing_metadata != Missing::Unknown && !answered.contains(&Answered::Unknown)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    #[default]
    Unknown,
    /// No entry in the answer; the rest of the request is carried out.
    Ignored,
    /// The whole request is refused.
    Refused,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    #[default]
    Unknown,
    Yes,
    No,
}

/// What was seen, for whoever looks after it.
impl fmt::Display for Capabilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = match self.missing_metadata {
            Missing::Unknown => "unknown",
            Missing::Ignored => "ignored",
            Missing::Refused => "refused, so it is looked up first",
        };
        let cells = match self.cells_in_answer {
            Answered::Unknown => "unknown",
            Answered::Yes => "yes",
            Answered::No => "no, so they are read afterwards",
        };
        let checks = match self.anchor_checks {
            Answered::Unknown => "unknown",
            Answered::Yes => "yes",
            Answered::No => "no, so what a write went over is told by its images only",
        };
        let exchange = match self.writer_exchange {
            Answered::Unknown => "unknown",
            Answered::Yes => "yes",
            Answered::No => "no, so a second database is stopped after its batch and not before it",
        };
        write!(
            formatter,
            "deleting metadata that is not there: {missing}; cells in the answer of a batch: {cells}; a batch can depend on an anchor's place: {checks}; a batch can depend on who wrote last: {exchange}"
        )
    }
}

impl super::Session {
    pub fn capabilities(&self) -> Capabilities {
        self.state().capabilities
    }

    pub fn set_capabilities(&self, capabilities: Capabilities) {
        self.state().capabilities = capabilities;
    }

    pub(super) fn learn(&self, lesson: impl FnOnce(&mut Capabilities)) {
        lesson(&mut self.state().capabilities);
    }
}
