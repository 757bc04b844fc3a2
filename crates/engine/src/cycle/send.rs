//! What a batch writes to the tab: cells, new rows, and rows that go.

use std::collections::{HashMap, HashSet};

use super::batch::{is_about_cells, positions};
use super::io::Stop;
use super::item::Item;
use super::pieces::{Halves, Insertion, halve};
use super::run::Cycle;
use crate::effect::{MetadataId, SheetOutcome, Stamp, Stopped, TagRow};
use crate::reconcile::SheetChange;
use crate::value::{Cell, Key};

impl Cycle {
    pub(super) async fn write_items(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        for piece in self.pieces(items) {
            let mut parts = vec![piece];
            while let Some(part) = parts.pop() {
                let stamp = self.stamp();
                let id = stamp.id;
                match self.write(part.rows.clone(), stamp).await {
                    Ok(written) => self.note_written(items, &part, written),
                    Err(Stop::Stopped(Stopped::Failure(failure))) if is_about_cells(&failure) => {
                        match halve(part) {
                            Halves::Two(first, second) => parts.extend([second, first]),
                            Halves::One(index) => self.note_refused(items, index, failure),
                        }
                    }
                    Err(stop) => {
                        self.note_lost(items, &part, id);
                        return Err(stop);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn insert_items(
        &mut self,
        items: &mut [Item],
        insertions: Vec<Insertion>,
    ) -> Result<(), Stop> {
        for insertion in insertions.into_iter() {
            // The sheet has refused those before.
            if self.is_closed() {
                return Ok(());
            }
            let keys = insertion.keys(items);
            let effect = self.insertion_effect(&insertion);
            let stamp = insertion.stamp.clone();
            let answer = self.structural(effect, stamp, &keys).await;
            self.note_insertion(items, insertion, answer)?;
        }
        Ok(())
    }

    /// Where the sheet takes no new rows, those of `items` are held.
    pub(super) fn note_insertion(
        &mut self,
        items: &mut [Item],
        insertion: Insertion,
        answer: Result<SheetOutcome, Stop>,
    ) -> Result<(), Stop> {
        let answer = match answer {
            Err(Stop::Stopped(Stopped::Failure(failure)))
                if self.closes(&failure, insertion.stamp.id) =>
            {
                self.close(failure);
                self.hold_insertions(items);
                return Ok(());
            }
            answer => answer?,
        };
        let (first, shown) = self.inserted(answer, insertion.items.len())?;
        self.opened();
        self.inserted.push(insertion.stamp.clone());
        for ((index, cells), row) in insertion.items.into_iter().zip(shown).zip(first..) {
            let cells = self.mapped(&cells);
            if let Some(item) = items.get_mut(index) {
                self.note_inserted(item, row, cells);
            }
        }
        Ok(())
    }

    /// Rows whose deletion the sheet refuses are searched for by halves: they hold up no other.
    pub(super) async fn delete_items(
        &mut self,
        items: &mut [Item],
        stamp: Stamp,
    ) -> Result<(), Stop> {
        // What our own writes went over may stand in these very rows, and would pass for a person's
        // edit of them.
        if !self.memory.taken.is_empty() {
            self.stale |= items
                .iter()
                .any(|item| item.plan.sheet == Some(SheetChange::Delete));
            return Ok(());
        }
        let doomed = positions(items, |item| {
            !item.dropped
                && item.anchor.is_some()
                && matches!(item.plan.sheet, Some(SheetChange::Delete))
        });
        let mut parts = match doomed.len() <= self.deletions() {
            true => vec![(doomed, stamp)],
            false => {
                let parts = doomed.chunks(self.deletions());
                let parts = parts.map(|part| (part.to_vec(), self.stamp()));
                let parts: Vec<(Vec<usize>, Stamp)> = parts.collect();
                self.announce_deletions(items, &parts).await?;
                parts
            }
        };
        while let Some((part, stamp)) = parts.pop() {
            let id = stamp.id;
            match self.delete_together(items, &part, stamp).await {
                Err(Stop::Stopped(Stopped::Failure(failure)))
                    if is_about_cells(&failure) && !self.memory.lost.contains_key(&id) =>
                {
                    let (first, second) = part.split_at(part.len() / 2);
                    if let [index] = *second
                        && first.is_empty()
                    {
                        self.note_refused(items, index, failure);
                        continue;
                    }
                    let halves = [second, first].map(|half| (half.to_vec(), self.stamp()));
                    self.announce_deletions(items, &halves).await?;
                    parts.extend(halves);
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn delete_together(
        &mut self,
        items: &mut [Item],
        doomed: &[usize],
        stamp: Stamp,
    ) -> Result<(), Stop> {
        let keys: Vec<Key> = doomed
            .iter()
            .filter_map(|index| items.get(*index))
            .map(|item| item.key.clone())
            .collect();
        let rows: Vec<TagRow> = doomed
            .iter()
            .filter_map(|index| items.get(*index))
            .filter_map(|item| {
                Some(TagRow {
                    row: item.row?,
                    anchor: item.anchor?,
                    bare: false,
                })
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let deleted = self.delete(rows, stamp, &keys).await?;
        let before: HashMap<MetadataId, Vec<Cell>> = deleted.before.into_iter().collect();
        let asked_for: HashSet<MetadataId> = deleted.gone.into_iter().collect();
        let mut gone = Vec::new();
        for index in doomed {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            match item.anchor {
                Some(anchor) if asked_for.contains(&anchor) => {
                    gone.extend(item.row);
                    match before.get(&anchor) {
                        Some(before) if self.fell(item, before) => {}
                        _ => self.note_deleted(item),
                    }
                }
                _ => {
                    item.dropped = true;
                    self.stale = true;
                }
            }
        }
        let seen =
            deleted.moved.is_empty() && asked_for.iter().all(|anchor| before.contains_key(anchor));
        if deleted.suspect && !seen {
            // What the next reading misses may have gone by our own hand.
            self.stale = true;
            self.memory.note_stray_deletion();
        }
        self.rows_gone(items, gone);
        Ok(())
    }

    /// Everything below a deleted row moved up.
    fn rows_gone(&mut self, items: &mut [Item], mut gone: Vec<u32>) {
        gone.sort_unstable();
        self.ahead.clear();
        self.formulas = None;
        self.memory.removed(&gone);
        let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        self.end = self.end.saturating_sub(count).max(self.mapping.header_row);
        let taken = self.memory.taken.iter_mut();
        let taken = taken.filter_map(|taken| taken.row.as_mut());
        let rows = items.iter_mut().filter_map(|item| item.row.as_mut());
        for row in rows.chain(taken) {
            let above = gone.partition_point(|removed| *removed < *row);
            *row = row.saturating_sub(u32::try_from(above).unwrap_or(u32::MAX));
        }
        // In the snapshot's own numbers, for the batches that follow.
        let mut original = self.removed.clone();
        let mut before = self.removed.iter().peekable();
        let mut shift = 0u32;
        for row in gone {
            while before
                .next_if(|removed| **removed <= row.saturating_add(shift))
                .is_some()
            {
                shift = shift.saturating_add(1);
            }
            original.push(row.saturating_add(shift));
        }
        original.sort_unstable();
        self.removed = original;
    }
}
