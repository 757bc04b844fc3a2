//! A write in which one row's refusal holds up no other.

use std::collections::HashMap;

use super::batch::is_about_cells;
use super::io::Stop;
use super::pieces::{Halves, Piece, halve};
use super::run::Cycle;
use crate::effect::{AnchoredRow, Failure, MetadataId, Stopped, WrittenRow};

/// What came of the rows that were sent.
#[derive(Default)]
pub(super) struct Sent {
    pub written: HashMap<MetadataId, WrittenRow>,
    /// By the place in what was sent.
    pub refused: Vec<(usize, Failure)>,
}

impl Cycle {
    /// Halves what the sheet refuses until the rows that are to blame stand alone.
    pub(super) async fn write_apart(&mut self, rows: Vec<AnchoredRow>) -> Result<Sent, Stop> {
        let mut sent = Sent::default();
        let items = (0..rows.len()).collect();
        let mut parts = vec![Piece { rows, items }];
        while let Some(part) = parts.pop().filter(|part| !part.rows.is_empty()) {
            let stamp = self.stamp();
            match self.write(part.rows.clone(), stamp).await {
                Ok(written) => {
                    let by_anchor = written.into_iter().map(|row| (row.anchor, row));
                    sent.written.extend(by_anchor);
                }
                Err(Stop::Stopped(Stopped::Failure(failure))) if is_about_cells(&failure) => {
                    match halve(part) {
                        Halves::Two(first, second) => parts.extend([second, first]),
                        Halves::One(index) => sent.refused.push((index, failure)),
                    }
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(sent)
    }
}
