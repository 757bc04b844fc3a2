//! A write in which one row's refusal holds up no other.

use std::collections::HashMap;

use super::batch::{Halves, Piece, halve, is_about_cells};
use super::run::Cycle;
use crate::effect::{AnchoredRow, Failure, MetadataId};
use crate::value::Cell;

/// What came of the rows that were sent.
#[derive(Default)]
pub(super) struct Sent {
    pub written: HashMap<MetadataId, Vec<(u32, Cell)>>,
    /// By the place in what was sent.
    pub refused: Vec<(usize, Failure)>,
}

impl Cycle {
    /// Halves what the sheet refuses until the rows that are to blame stand alone.
    pub(super) async fn write_apart(&mut self, rows: Vec<AnchoredRow>) -> Result<Sent, Failure> {
        let mut sent = Sent::default();
        let items = (0..rows.len()).collect();
        let mut parts = vec![Piece { rows, items }];
        while let Some(part) = parts.pop().filter(|part| !part.rows.is_empty()) {
            match self.write(&part).await {
                Ok(written) => sent.written.extend(written),
                Err(failure) if is_about_cells(&failure) => match halve(part) {
                    Halves::Two(first, second) => parts.extend([second, first]),
                    Halves::One(index) => sent.refused.push((index, failure)),
                },
                Err(failure) => {
                    // It may still arrive: through anchors that are gone by then.
                    self.memory.tidied &= !failure.may_have_applied;
                    return Err(failure);
                }
            }
        }
        Ok(sent)
    }
}
