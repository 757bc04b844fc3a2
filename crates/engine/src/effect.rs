//! What a cycle asks of its driver, and what the driver answers.
//!
//! One effect is under way at a time. The driver may die before, during or after any of them: every
//! effect is harmless when it is repeated by a later cycle that knows nothing of this one.
//!
//! Sheet rows and columns are 0-based here, as in Google's GridRange; anchors and stamps are
//! developer-metadata ids that the engine chooses.

mod commit;
mod database;
mod detail;
mod reason;
mod report;
mod row_state;
mod sheet;

use crate::mapping::Side;
pub use commit::*;
pub use database::*;
pub use detail::*;
pub use reason::Reason;
pub use report::*;
pub use row_state::*;
pub use sheet::*;

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Database(DatabaseEffect),
    Sheet(SheetEffect),
}

#[derive(Debug)]
pub enum Outcome {
    Database(DatabaseOutcome),
    Sheet(SheetOutcome),
    /// The effect that was under way on this side could not be carried out.
    Failed(Side, Failure),
}
