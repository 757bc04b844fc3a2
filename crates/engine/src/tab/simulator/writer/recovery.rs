//! What an earlier session left: batches without an answer, their images, and the announcement.

use super::super::super::debts::{LostRow, OverwrittenEdit};
use super::super::super::layout::Layout;
use super::{Bug, Done, SeenRow, Session, named};
use crate::effect::{Announcement, Commit, Image, SheetEffect};
use crate::value::Cell;

impl Session {
    pub(super) async fn recover(&mut self) -> Done {
        if self.is(Bug::TidiedBeforeClosing) {
            self.tab.tidy_leftovers().await?;
        }
        if self.is(Bug::LostTakenForRefused) {
            self.tab.memory.lost.clear();
        }
        while let Some(closed) = self.tab.resolve_lost_batch().await? {
            let mut stored = self.writer.stored.borrow_mut();
            let batch = stored.inserting.iter();
            let batch = batch
                .clone()
                .position(|(stamp, _)| stamp.id == closed.stamp);
            if let Some(at) = batch {
                let (_, keys) = stored.inserting.remove(at);
                let came = |(key, _): &(Cell, Cell)| !closed.arrived || !keys.contains(&named(key));
                stored.wanted.retain(came);
            }
            if !closed.arrived {
                stored
                    .deleting
                    .retain(|(stamp, _)| stamp.id != closed.stamp);
            }
        }
        if self.is(Bug::ImagesNotRead) {
            self.tab.memory.unread.clear();
        }
        if self.tab.read_images().await?.any {
            let mut ledger = self.writer.ledger.borrow_mut();
            for (_, image) in &self.tab.debts().images {
                ledger.note_told(&image.stamp, &image.before);
            }
        }
        if self.is(Bug::NeededAnchorsTidied) && self.tab.debts().needs_any_anchor() {
            self.writer.io.sheet(SheetEffect::TidyAll).await?;
        }
        self.tab.tidy_leftovers().await?;
        Ok(())
    }

    /// Where an image shows something else than was seen when its batch was planned, somebody has
    /// edited the row in between.
    pub(super) fn compare_images(&mut self) {
        let images = std::mem::take(&mut self.tab.debts_mut().images);
        let may_be_back = std::mem::take(&mut self.tab.debts_mut().may_be_back);
        // What came into another row than the one it was meant for is nobody's edit there.
        let mut astray: Vec<Cell> = Vec::new();
        for (unread, image) in images {
            let layout = Layout {
                columns: image.layout.clone(),
            };
            let (before, after) = (layout.mapped(&image.before), layout.mapped(&image.after));
            let seen = self.seen_of(&image, &before);
            let as_seen = |column: usize| {
                let seen = seen
                    .as_ref()
                    .filter(|seen| seen.cells.first() == before.first());
                seen.is_some_and(|seen| seen.cells.get(column) == before.get(column))
            };
            // What was meant for another row may have come into this one.
            let was_meant = |column: usize| {
                let mut sent = seen.iter().flat_map(|seen| &seen.sent);
                sent.any(|(at, cell)| *at == column && after.get(column) == Some(cell))
            };
            let is_filled = before.iter().any(|cell| *cell != Cell::Empty);
            if image.after.is_empty() {
                if unread && is_filled && !(0..before.len()).all(as_seen) {
                    self.tab.debts_mut().rows.push(LostRow {
                        key: before.first().map(named),
                        cells: image.before,
                        layout,
                        maybe_back: may_be_back,
                        seen: false,
                    });
                }
                continue;
            }
            let is_news = |column: &usize| !as_seen(*column) || !was_meant(*column);
            let cells = (0..before.len()).filter(is_news);
            let cells = cells.map(|column| (column, after[column].clone(), before[column].clone()));
            let cells = cells.filter(|(_, ours, theirs)| ours != theirs);
            let cells: Vec<_> = cells
                .filter(|(_, _, theirs)| !astray.contains(theirs))
                .collect();
            let strays = (0..before.len()).filter(|column| !was_meant(*column));
            let strays = strays.filter(|column| before[*column] != after[*column]);
            astray.extend(strays.map(|column| after[column].clone()));
            if unread && !cells.is_empty() {
                self.tab.debts_mut().edits.push(OverwrittenEdit {
                    anchor: image.anchor,
                    row: None,
                    key: None,
                    name: after[..1].to_vec(),
                    cells,
                    window: None,
                    missed: 0,
                });
            }
        }
    }

    /// What the row of an image was seen to hold: told by its anchor, or by its key.
    pub(super) fn seen_of(&self, image: &Image, before: &[Cell]) -> Option<SeenRow> {
        let stored = self.writer.stored.borrow();
        let rows = stored.seen.get(&image.stamp)?;
        let is_it = |row: &&SeenRow| match image.anchor {
            Some(anchor) => row.anchor == anchor,
            None => row.cells.first() == before.first(),
        };
        rows.iter().find(is_it).cloned()
    }

    pub(super) async fn declare_over(&mut self) -> Done {
        let early = self.is(Bug::OverTooEarly) && self.tab.memory.announced;
        let writing = match self.tab.over() {
            None if early => Some(Announcement::Over),
            writing => writing,
        };
        if writing.is_some() {
            let over = Commit {
                writing,
                ..Commit::default()
            };
            self.writer.io.commit(over).await?;
            self.tab.note_over();
        }
        Ok(())
    }
}
