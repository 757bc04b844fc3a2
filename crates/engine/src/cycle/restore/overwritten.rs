//! Edits that our own writes overwrote are restored, and rows that went with such an edit are put
//! back.
//!
//! A person may edit a row after it was tagged and before it is written. The image of the row from
//! right before the write shows that. The edit is then written back into its cell, as if our write
//! had been refused there, and the row goes its ordinary way: conflict, policy and all. Until
//! everything is recorded and restored the batch stays announced with the mapping, so a process
//! that comes after a crash reads the images and does the same ([`super::audit`]).

use std::collections::{HashMap, HashSet};

use crate::cycle::item::Item;
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{AnchoredRow, Commit, Conflict, MetadataId, Snapshot, Winner, WrittenRow};
use crate::reconcile::SheetChange;
use crate::tab::OverwrittenEdit;
use crate::value::{Cell, Key};

/// How often a cycle restores an edit in a row that somebody is typing in at that very moment.
const ATTEMPTS: usize = 3;

/// Where a row and its anchor stand, and what the row holds.
type Place = (MetadataId, u32, Vec<Cell>);

/// Several of our writes may have overwritten one cell. Then the edit is restored that the last of
/// them overwrote; or the one that an earlier write overwrote, where the last one only overwrote
/// what that had written.
fn latest_edits(ready: Vec<OverwrittenEdit>, places: &[Option<Place>]) -> Vec<OverwrittenEdit> {
    let mut latest: HashMap<(u32, usize), usize> = HashMap::new();
    let mut told: Vec<OverwrittenEdit> = Vec::with_capacity(ready.len());
    for (mut edit, place) in ready.into_iter().zip(places) {
        let Some((_, row, _)) = place else {
            told.push(edit);
            continue;
        };
        for (column, _, theirs) in &mut edit.cells {
            let earlier = latest.insert((*row, *column), told.len());
            let Some(earlier) = earlier.and_then(|at| told.get_mut(at)) else {
                continue;
            };
            let same = |cell: &(usize, Cell, Cell)| cell.0 == *column;
            let Some(at) = earlier.cells.iter().position(same) else {
                continue;
            };
            let (_, ours, before) = earlier.cells.remove(at);
            if *theirs == ours {
                *theirs = before;
            }
        }
        told.push(edit);
    }
    told
}

impl Cycle {
    /// The edit that this write overwrote: cells of `sent` that held something else right before
    /// the write than was `seen` when the row was tagged.
    pub(crate) fn overwritten_edit(
        &self,
        seen: &[Cell],
        sent: &AnchoredRow,
        written: &WrittenRow,
    ) -> Option<OverwrittenEdit> {
        let before = self.tab.mapped(written.before.as_ref()?);
        let after = self.tab.mapped(&written.after);
        let columns = self.tab.columns_of(sent);
        if !self.tab.is_image(&self.mapping, &columns, &before, &after) {
            return None;
        }
        let as_seen = self.is_same_row(seen, &before);
        let cells: Vec<(usize, Cell, Cell)> = columns
            .into_iter()
            .filter_map(|column| {
                let (ours, theirs) = (after.get(column)?, before.get(column)?);
                let unseen = !as_seen || seen.get(column) != Some(theirs);
                (unseen && ours != theirs).then(|| (column, ours.clone(), theirs.clone()))
            })
            .collect();
        let look = self.tab.since_last_look();
        (!cells.is_empty()).then(|| OverwrittenEdit {
            anchor: Some(sent.anchor).filter(|anchor| self.tab.stands(*anchor)),
            row: Some(written.row),
            key: self.key_of(&after),
            name: self.name_of(&after),
            cells,
            window: Some((look.sent, look.read)),
            missed: 0,
        })
    }

    /// Takes note of the edit that the write of this item overwrote, and returns its columns.
    pub(crate) fn note_overwritten(
        &mut self,
        item: &Item,
        sent: &AnchoredRow,
        written: &WrittenRow,
    ) -> Vec<usize> {
        if item.plan.sheet == Some(SheetChange::Clear) {
            // Where the write changed nothing, the row stands as it stood.
            let before = written.before.as_ref();
            let lost_an_edit = before
                .filter(|before| **before != written.after)
                .is_some_and(|before| self.note_lost_row(item, before));
            return if lost_an_edit {
                self.tab.columns_of(sent)
            } else {
                Vec::new()
            };
        }
        let seen = item.cells.as_deref().unwrap_or_default();
        let Some(edit) = self.overwritten_edit(seen, sent, written) else {
            return Vec::new();
        };
        let columns = edit.cells.iter().map(|(column, ..)| *column).collect();
        self.tab.debts_mut().edits.push(edit);
        self.ending.read_again |= item.row.is_none();
        columns
    }

    /// Overwritten edits are written back into their cells, where nobody has typed since.
    pub(crate) async fn restore_edits(&mut self) -> Result<(), Stop> {
        for _ in 0..ATTEMPTS {
            let edits = self.tab.debts().edits.iter().cloned();
            let (ready, mut left): (Vec<OverwrittenEdit>, Vec<OverwrittenEdit>) =
                edits.partition(OverwrittenEdit::has_place);
            if ready.is_empty() {
                break;
            }
            let places = self.places(&ready).await?;
            let ready = latest_edits(ready, &places);
            let (mut sent, mut going) = (Vec::new(), Vec::new());
            let mut rows = HashSet::new();
            let mut unrestorable = Vec::new();
            for (mut edit, place) in ready.into_iter().zip(places) {
                let Some((anchor, row, cells)) = place else {
                    match edit.anchor {
                        Some(_) => unrestorable.push(edit),
                        None => self.wait_for_reading(edit, &mut left),
                    }
                    continue;
                };
                let adopted = self.is_adopted(&edit, &cells);
                edit.cells
                    .retain(|(column, ours, _)| !adopted && cells.get(*column) == Some(ours));
                if edit.cells.is_empty() {
                    self.note_restored(&edit);
                    continue;
                }
                if !rows.insert(row) {
                    left.push(edit);
                    continue;
                }
                let layout = self.tab.layout();
                let back = edit.cells.iter().filter_map(|(column, _, theirs)| {
                    Some((layout?.column(*column), theirs.clone()))
                });
                sent.push(AnchoredRow {
                    bare: false,
                    anchor,
                    row,
                    cells: back.collect(),
                });
                going.push((edit, cells));
            }
            let mut answer = self.write_apart(sent.clone()).await?;
            let refused: HashSet<usize> = answer.refused.iter().map(|(index, _)| *index).collect();
            for (index, ((edit, seen), sent)) in going.into_iter().zip(&sent).enumerate() {
                if refused.contains(&index) {
                    self.look_once_more(&edit);
                    unrestorable.push(edit);
                    continue;
                }
                let Some(written) = answer.written.remove(&sent.anchor) else {
                    match edit.anchor {
                        // The next look tells whether its row is gone.
                        Some(_) => left.push(edit),
                        None => self.wait_for_reading(edit, &mut left),
                    }
                    continue;
                };
                self.note_restored(&edit);
                let again = self.overwritten_edit(&seen, sent, &written);
                left.extend(match written.stood {
                    true => again.and_then(|again| again.without_ours(&edit, &self.mapping.key)),
                    // Nothing in this row was ever ours.
                    false => again,
                });
            }
            let lines = unrestorable.iter().flat_map(|edit| self.unrestorable(edit));
            let recorded = self.record_lines(lines.collect()).await;
            if recorded.is_err() {
                left.extend(unrestorable);
            }
            self.tab.debts_mut().edits = left;
            recorded?;
        }
        Ok(())
    }

    /// What is restored after a crash may be no edit at all, and a person who gave the row another
    /// key since has seen what stands in it.
    fn is_adopted(&self, edit: &OverwrittenEdit, cells: &[Cell]) -> bool {
        let mut columns = edit.cells.iter().map(|(column, ..)| column);
        edit.window.is_none()
            && self.name_of(cells) != edit.name
            && !columns.any(|column| self.mapping.key.contains(column))
    }

    /// Where these rows stand, under which anchor, and what they hold; none where the row is not
    /// found, or is another by now.
    async fn places(&mut self, ready: &[OverwrittenEdit]) -> Result<Vec<Option<Place>>, Stop> {
        let without = ready.iter().filter(|edit| edit.anchor.is_none());
        let mut rows: Vec<u32> = without.filter_map(|edit| edit.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let tagged = match rows.is_empty() {
            true => Vec::new(),
            false => self.tag_rows(&rows).await?,
        };
        let anchors = ready.iter().filter_map(|edit| edit.anchor);
        let looked = self.tab.look(&self.mapping, anchors.collect()).await?;
        let place = |edit: &OverwrittenEdit| match edit.anchor {
            Some(anchor) => {
                let (row, cells) = looked.get(&anchor)?;
                Some((anchor, *row, cells.clone()))
            }
            None => {
                let row = edit.row?;
                let tagged = tagged.get(rows.binary_search(&row).ok()?)?;
                let cells = tagged.cells.clone()?;
                (self.name_of(&cells) == edit.name).then_some((tagged.anchor, row, cells))
            }
        };
        Ok(ready.iter().map(place).collect())
    }

    /// The lines that tell of an edit that cannot be restored: its row is gone, or the sheet does
    /// not let us write there any more.
    fn unrestorable(&self, edit: &OverwrittenEdit) -> Vec<Conflict> {
        // A row without a whole key is told by what there is of it.
        let part = |(column, cell): (&usize, &Cell)| self.mapping.decode(*column, cell);
        let parts = self.mapping.key.iter().zip(&edit.name).map(part);
        let named = || Key(parts.map(Option::unwrap_or_default).collect());
        let key = edit.key.clone().unwrap_or_else(named);
        let line = |(column, ours, theirs): &(usize, Cell, Cell)| Conflict {
            key: key.clone(),
            column: Some(*column),
            base: None,
            database: Some(self.mapping.decode(*column, ours)),
            sheet: Some(theirs.clone()),
            rows: None,
            database_time: None,
            sheet_time: edit
                .window
                .map_or((None, self.io.now()), |(since, until)| (Some(since), until)),
            winner: Winner::Database,
            settled: true,
        };
        edit.cells.iter().map(line).collect()
    }

    async fn record_lines(&mut self, conflicts: Vec<Conflict>) -> Result<(), Stop> {
        if !conflicts.is_empty() {
            self.commit(Commit {
                conflicts,
                ..Commit::default()
            })
            .await?;
        }
        Ok(())
    }

    fn wait_for_reading(&mut self, edit: OverwrittenEdit, left: &mut Vec<OverwrittenEdit>) {
        self.ending.read_again = true;
        left.push(OverwrittenEdit { row: None, ..edit });
    }

    fn note_restored(&mut self, edit: &OverwrittenEdit) {
        if let (Some(key), Some((since, until))) = (&edit.key, edit.window) {
            let edits = self.memory.edits.entry(key.clone()).or_default();
            for (column, _, theirs) in &edit.cells {
                edits.set(*column, theirs.clone(), (Some(since), until));
            }
        }
        self.look_once_more(edit);
    }

    /// At the row of the edit, in this cycle.
    fn look_once_more(&mut self, edit: &OverwrittenEdit) {
        let Some(key) = &edit.key else {
            self.ending.read_again = true;
            return;
        };
        self.memory.known(key).look_again();
        self.later.follow_up.insert(key.clone());
    }

    /// Edits are restored and rows put back by a reading, wherever they stand or stood. True where
    /// the reading is outdated by that.
    pub(crate) async fn restore_with_reading(&mut self, snapshot: &Snapshot) -> Result<bool, Stop> {
        let debts = self.tab.debts();
        let nothing = debts.edits.is_empty() && debts.rows.is_empty();
        if self.start.dry_run || nothing {
            return Ok(false);
        }
        self.locate_edits(snapshot)?;
        let mut outdated = self
            .tab
            .debts()
            .edits
            .iter()
            .any(OverwrittenEdit::has_place);
        outdated |= self.restore_rows(snapshot).await?;
        self.restore_edits().await?;
        Ok(outdated)
    }

    /// Finds the rows of edits that are to be restored. A row that two readings miss was changed by
    /// a person since, and that change is the later one.
    fn locate_edits(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let mut edits = std::mem::take(&mut self.tab.debts_mut().edits);
        for one in &mut edits {
            one.row = None;
        }
        if !edits.is_empty() {
            let first = self.mapping.header_row;
            let end = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
            for row in first..end {
                let cells = self.tab.mapped(&parse(snapshot, row)?);
                let name = self.name_of(&cells);
                // Without a key the row is told by all that we wrote into it.
                let shows = |one: &OverwrittenEdit| {
                    let mut ours = one.cells.iter();
                    let shown =
                        |(column, ours, _): &(usize, Cell, Cell)| cells.get(*column) == Some(ours);
                    match one.key {
                        Some(_) => ours.any(shown),
                        None => ours.all(shown),
                    }
                };
                let unfound = |one: &&mut OverwrittenEdit| !one.has_place();
                if let Some(one) = edits
                    .iter_mut()
                    .filter(unfound)
                    .find(|one| one.name == name && shows(one))
                {
                    one.row = Some(row);
                }
            }
        }
        for one in &mut edits {
            one.missed += u32::from(!one.has_place());
            self.ending.read_soon |= one.missed == 1;
        }
        edits.retain(|one| one.missed < 2);
        self.tab.debts_mut().edits = edits;
        Ok(())
    }
}
