//! What a chunk writes to the tab: cells, new rows, and rows that go.

use std::collections::{HashMap, HashSet};

use crate::cycle::item::{Item, positions};
use crate::cycle::memory::known::State;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::write::closed::closes;
use crate::cycle::write::pieces::{Halves, Insertion, halve};
use crate::effect::{MetadataId, Stamp, TagRow};
use crate::reconcile::SheetChange;
use crate::tab::{Fate, NotDone, Purpose, Trouble};
use crate::value::{Cell, Key};

impl Cycle {
    pub(crate) async fn write_items(&mut self, items: &mut [Item]) -> Result<(), Stop> {
        for piece in self.pieces(items) {
            let mut parts = vec![piece];
            while let Some(part) = parts.pop() {
                let stamp = self.tab.stamp();
                let id = stamp.id;
                let unanswered = match self
                    .tab
                    .write(&self.mapping, part.rows.clone(), stamp)
                    .await
                {
                    Ok(written) => {
                        self.note_written(items, &part, written);
                        continue;
                    }
                    Err(unanswered) => unanswered,
                };
                match unanswered {
                    NotDone {
                        why: Trouble::Failed(failure),
                        fate: Fate::Refused,
                    } if failure.is_about_cells() => match halve(part) {
                        Halves::Two(first, second) => parts.extend([second, first]),
                        Halves::One(index) => self.note_refused(items, index, failure),
                    },
                    unanswered => {
                        if unanswered.fate.may_have_changed_the_sheet() {
                            self.note_lost(items, &part, id);
                        }
                        return Err(unanswered.into());
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn insert_items(
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
            let (rows, stamp) = (insertion.rows.clone(), insertion.stamp.clone());
            let purpose = Purpose::NewRows(keys.clone());
            let answer = self.tab.insert(rows, stamp, purpose).await;
            match &answer {
                Ok(_) => self.note_state(&keys, State::Marked),
                Err(unanswered) => match unanswered.fate {
                    Fate::CarriedOut => self.note_state(&keys, State::Marked),
                    Fate::Unknown => self.note_state(&keys, State::Inserting),
                    Fate::Refused => {}
                },
            }
            self.note_insertion(items, insertion, answer)?;
        }
        Ok(())
    }

    fn note_state(&mut self, keys: &[Key], state: State) {
        for key in keys {
            self.memory.known(key).state = state;
        }
    }

    /// Where the sheet takes no new rows, those of `items` are held.
    fn note_insertion(
        &mut self,
        items: &mut [Item],
        insertion: Insertion,
        answer: Result<(u32, Vec<Vec<Cell>>), NotDone>,
    ) -> Result<(), Stop> {
        let (first, shown) = match answer {
            Ok(answer) => answer,
            Err(NotDone {
                why: Trouble::Failed(failure),
                fate,
            }) if closes(&failure, fate) => {
                self.close(failure);
                self.hold_insertions(items);
                return Ok(());
            }
            Err(unanswered) => return Err(unanswered.into()),
        };
        self.opened();
        self.unrecorded.inserted.push(insertion.stamp.clone());
        for ((index, cells), row) in insertion.items.into_iter().zip(shown).zip(first..) {
            let cells = self.tab.mapped(&cells);
            if let Some(item) = items.get_mut(index) {
                self.note_inserted(item, row, cells);
            }
        }
        Ok(())
    }

    /// Rows whose deletion the sheet refuses are searched for by halves: they hold up no other.
    pub(crate) async fn delete_items(
        &mut self,
        items: &mut [Item],
        stamp: Stamp,
    ) -> Result<(), Stop> {
        // Edits that our own writes overwrote may belong to these very rows, and what we wrote
        // there would pass for a person's edit.
        if !self.tab.debts().edits.is_empty() {
            self.ending.read_again |= items
                .iter()
                .any(|item| item.plan.sheet == Some(SheetChange::Delete));
            return Ok(());
        }
        let doomed = positions(items, |item| {
            !item.dropped
                && item.anchor.is_some()
                && matches!(item.plan.sheet, Some(SheetChange::Delete))
        });
        let mut parts = match doomed.len() <= self.tab.deletions() {
            true => vec![(doomed, stamp)],
            false => {
                let parts = doomed.chunks(self.tab.deletions());
                let parts = parts.map(|part| (part.to_vec(), self.tab.stamp()));
                let parts: Vec<(Vec<usize>, Stamp)> = parts.collect();
                self.announce_deletions(items, &parts).await?;
                parts
            }
        };
        while let Some((part, stamp)) = parts.pop() {
            match self.delete_together(items, &part, stamp).await {
                Err(NotDone {
                    why: Trouble::Failed(failure),
                    fate: Fate::Refused,
                }) if failure.is_about_cells() => {
                    let (first, second) = part.split_at(part.len() / 2);
                    if let [index] = *second
                        && first.is_empty()
                    {
                        self.note_refused(items, index, failure);
                        continue;
                    }
                    let halves = [second, first].map(|half| (half.to_vec(), self.tab.stamp()));
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
    ) -> Result<(), NotDone> {
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
        let purpose = Purpose::Deletion(keys.clone());
        let deleted = match self.tab.delete(rows, stamp, purpose).await {
            Ok(deleted) => deleted,
            Err(unanswered) => {
                if unanswered.fate == Fate::CarriedOut {
                    self.note_state(&keys, State::GoneByUs);
                }
                return Err(unanswered);
            }
        };
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
                        Some(before) if self.lost_an_edit(item, before) => {}
                        _ => self.note_deleted(item),
                    }
                }
                _ => {
                    item.dropped = true;
                    self.ending.read_again = true;
                }
            }
        }
        let seen =
            deleted.moved.is_empty() && asked_for.iter().all(|anchor| before.contains_key(anchor));
        if deleted.suspect && !seen {
            // What the next reading misses may have been deleted by ourselves.
            self.ending.read_again = true;
            self.memory.note_stray_deletion();
        }
        self.rows_gone(items, gone);
        Ok(())
    }

    /// Everything below a deleted row moved up.
    fn rows_gone(&mut self, items: &mut [Item], mut gone: Vec<u32>) {
        gone.sort_unstable();
        self.round.formulas = None;
        self.tab.rows_gone(&gone);
        self.memory.removed(&gone);
        for row in items.iter_mut().filter_map(|item| item.row.as_mut()) {
            let above = gone.partition_point(|removed| *removed < *row);
            *row = row.saturating_sub(u32::try_from(above).unwrap_or(u32::MAX));
        }
    }
}
