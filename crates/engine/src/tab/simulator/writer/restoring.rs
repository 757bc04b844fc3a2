//! Restoring what a batch overwrote or deleted unseen.

use std::collections::{BTreeMap, HashSet};

use super::super::super::Purpose;
use super::super::super::debts::OverwrittenEdit;
use super::{Done, Session, Stopped};
use crate::effect::{MetadataId, WrittenRow};
use crate::value::Cell;

impl Session {
    pub(super) async fn put_back(&mut self) -> Done {
        let mapped: Vec<Vec<Cell>> = self.rows.iter().map(|row| self.tab.mapped(row)).collect();
        self.tab.debts_mut().rows.retain(|lost| {
            let cells = lost.mapped();
            let stands = |row: &Vec<Cell>| match lost.maybe_back {
                true => row.first() == cells.first(),
                false => !lost.seen && *row == cells,
            };
            !mapped.iter().skip(1).any(stands)
        });
        if !self.tab.debts().rows.is_empty() {
            let Some(layout) = self.tab.layout() else {
                return Err(Stopped);
            };
            let rows: Vec<_> = self
                .tab
                .debts()
                .rows
                .iter()
                .map(|lost| lost.row(layout))
                .collect();
            let stamp = self.stamp();
            self.tab.announce(&stamp).await?;
            if let Err(unanswered) = self.tab.insert(rows.into(), stamp, Purpose::PutBack).await {
                let may_have_changed_the_sheet = unanswered.fate.may_have_changed_the_sheet();
                for lost in &mut self.tab.debts_mut().rows {
                    lost.maybe_back |= may_have_changed_the_sheet;
                }
                return Err(unanswered.into());
            }
            for lost in &mut self.tab.debts_mut().rows {
                lost.maybe_back = true;
            }
        }
        self.record().await?;
        self.tab.debts_mut().rows.clear();
        self.writer.stored.borrow_mut().deleting.clear();
        Ok(())
    }

    /// Edits whose anchors went are in the rows that show what we wrote over them.
    pub(super) fn find_places(&mut self) {
        let rows: Vec<Vec<Cell>> = self.rows.iter().map(|row| self.tab.mapped(row)).collect();
        let edits = &mut self.tab.debts_mut().edits;
        for edit in edits.iter_mut().filter(|edit| edit.anchor.is_none()) {
            let shows = |row: &Vec<Cell>| {
                let mut cells = edit.cells.iter();
                row.first() == edit.name.first()
                    && cells.any(|(column, ours, _)| row.get(*column) == Some(ours))
            };
            let found = rows.iter().skip(1).position(shows);
            edit.row = found.and_then(|at| u32::try_from(at + 1).ok());
            edit.missed += u32::from(edit.row.is_none());
        }
        edits.retain(|edit| edit.missed < 2);
    }

    pub(super) async fn give_back(&mut self) -> Done {
        for _ in 0..3 {
            let edits = std::mem::take(&mut self.tab.debts_mut().edits);
            let (ready, left): (Vec<_>, Vec<_>) =
                edits.into_iter().partition(OverwrittenEdit::has_place);
            self.tab.debts_mut().edits = ready.iter().chain(&left).cloned().collect();
            if ready.is_empty() {
                return Ok(());
            }
            let places = self.places(&ready).await?;
            let mut left = left;
            let (mut sent, mut going, mut rows) = (Vec::new(), Vec::new(), HashSet::new());
            for (mut edit, place) in ready.into_iter().zip(places) {
                let Some((anchor, row, cells)) = place else {
                    if edit.anchor.is_none() {
                        left.push(OverwrittenEdit { row: None, ..edit });
                    }
                    continue;
                };
                let stands = |column: usize, ours: &Cell| cells.get(column) == Some(ours);
                edit.cells.retain(|(column, ours, _)| stands(*column, ours));
                if edit.cells.is_empty() {
                    continue;
                }
                if !rows.insert(row) {
                    left.push(edit);
                    continue;
                }
                let back = edit.cells.iter();
                let back = back.map(|(column, _, theirs)| (*column, theirs.clone()));
                sent.push(self.row(anchor, false, row, back.collect()));
                going.push((edit, cells));
            }
            if sent.is_empty() {
                self.tab.debts_mut().edits = left;
                continue;
            }
            let seen = sent.iter().zip(&going);
            let seen = seen.map(|(row, (_, cells))| (row.anchor, cells.clone()));
            let written = self.send(sent.clone(), seen.collect()).await?;
            let mut written: BTreeMap<MetadataId, WrittenRow> =
                written.into_iter().map(|row| (row.anchor, row)).collect();
            for ((edit, seen), sent) in going.into_iter().zip(&sent) {
                match written.remove(&sent.anchor) {
                    None if edit.anchor.is_none() => {
                        left.push(OverwrittenEdit { row: None, ..edit });
                    }
                    // The next look tells whether its row is gone.
                    None => left.push(edit),
                    Some(written) => left.extend(self.overwritten(&seen, sent, &written)),
                }
            }
            self.tab.debts_mut().edits = left;
        }
        Ok(())
    }

    pub(super) async fn places(
        &mut self,
        ready: &[OverwrittenEdit],
    ) -> Done<Vec<Option<(MetadataId, u32, Vec<Cell>)>>> {
        let without = ready.iter().filter(|edit| edit.anchor.is_none());
        let mut rows: Vec<u32> = without.filter_map(|edit| edit.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let tagged = match rows.is_empty() {
            true => Vec::new(),
            false => self.tag(&rows, &HashSet::new(), false).await?,
        };
        let anchors = ready.iter().filter_map(|edit| edit.anchor).collect();
        let mapping = self.writer.mapping.clone();
        let looked = self.tab.look(&mapping, anchors).await?;
        let place = |edit: &OverwrittenEdit| match edit.anchor {
            Some(anchor) => {
                let (row, cells) = looked.get(&anchor)?;
                Some((anchor, *row, cells.clone()))
            }
            None => {
                let row = edit.row?;
                let (anchor, cells) = tagged.get(rows.binary_search(&row).ok()?)?;
                let cells = cells.clone()?;
                (cells.first() == edit.name.first()).then_some((*anchor, row, cells))
            }
        };
        Ok(ready.iter().map(place).collect())
    }
}
