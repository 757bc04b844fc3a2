//! A write in which one row's refusal holds up no other.

use std::collections::HashMap;

use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;

use crate::cycle::write::pieces::{Halves, Piece, halve};
use crate::effect::{AnchoredRow, Failure, MetadataId, WrittenRow};
use crate::tab::{Fate, NotDone, Trouble};

/// What came of the rows that were sent.
#[derive(Default)]
pub(crate) struct Sent {
    pub written: HashMap<MetadataId, WrittenRow>,
    /// By the place in what was sent.
    pub refused: Vec<(usize, Failure)>,
}

impl Cycle {
    /// Halves what the sheet refuses until the rows that are to blame stand alone.
    ///
    /// Where a later part fails otherwise, the answers of the earlier ones are not dealt with here:
    /// the next round reads them from the images, as after a crash.
    pub(crate) async fn write_apart(&mut self, rows: Vec<AnchoredRow>) -> Result<Sent, Stop> {
        let mut sent = Sent::default();
        let items = (0..rows.len()).collect();
        let mut parts = vec![Piece { rows, items }];
        let mut answered = Vec::new();
        while let Some(part) = parts.pop().filter(|part| !part.rows.is_empty()) {
            let stamp = self.tab.stamp();
            let value = stamp.value.clone();
            let written = self.tab.write(&self.mapping, part.rows.clone(), stamp);
            match written.await {
                Ok(written) => {
                    answered.push(value);
                    let by_anchor = written.into_iter().map(|row| (row.anchor, row));
                    sent.written.extend(by_anchor);
                }
                Err(NotDone {
                    why: Trouble::Failed(failure),
                    fate: Fate::Refused,
                }) if failure.is_about_cells() => match halve(part) {
                    Halves::Two(first, second) => parts.extend([second, first]),
                    Halves::One(index) => sent.refused.push((index, failure)),
                },
                Err(unanswered) => {
                    self.tab.forget_answers(answered);
                    return Err(unanswered.into());
                }
            }
        }
        Ok(sent)
    }
}
