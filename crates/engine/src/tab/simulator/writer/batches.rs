//! Writing values, inserting and deleting rows.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::super::debts::{LostRow, OverwrittenEdit};
use super::super::super::{Fate, Purpose};
use super::super::ledger::Plan;
use super::{Bug, Done, SeenRow, Session, Stopped, named};
use crate::effect::{AnchoredRow, MetadataId, Stamp, TagRow, WrittenRow};
use crate::tab::layout::Layout;
use crate::value::{Cell, Key};

impl Session {
    pub(super) fn stamp(&mut self) -> Stamp {
        let mut stamp = self.tab.stamp();
        if self.is(Bug::StampsOfTheirOwn) {
            let own = i32::try_from(self.writer.number).unwrap_or(0);
            stamp.id = stamp.id / 2 * 2 + own + 1;
        }
        self.plan.ordinal += 1;
        let mut ledger = self.writer.ledger.borrow_mut();
        let plan = Plan {
            writer: self.writer.number,
            ..self.plan.clone()
        };
        ledger.plans.insert(stamp.value.clone(), plan);
        stamp
    }

    pub(super) fn row(
        &self,
        anchor: MetadataId,
        bare: bool,
        row: u32,
        cells: Vec<(usize, Cell)>,
    ) -> AnchoredRow {
        let layout = self.tab.layout().cloned().unwrap_or(Layout {
            columns: Vec::new(),
        });
        let cells = cells.into_iter();
        AnchoredRow {
            anchor,
            bare,
            row,
            cells: cells
                .map(|(column, cell)| (layout.column(column), cell))
                .collect(),
        }
    }

    pub(super) async fn tag(
        &mut self,
        rows: &[u32],
        bare: &HashSet<u32>,
        values: bool,
    ) -> Done<Vec<(MetadataId, Option<Vec<Cell>>)>> {
        let mapping = self.writer.mapping.clone();
        let at = self.writer.ledger.borrow().clock;
        let tagged = self.tab.tag(&mapping, rows, bare, values).await?;
        if self.tab.end().is_none() {
            self.plan.at = at;
            let seen = rows
                .iter()
                .zip(&tagged)
                .map(|(row, one)| format!("{row} {:?}", one.cells));
            self.plan.read.extend(seen);
        }
        Ok(tagged
            .into_iter()
            .map(|one| (one.anchor, one.cells))
            .collect())
    }

    pub(super) async fn write(&mut self, rows: Vec<(u32, Option<Cell>)>) -> Done {
        if rows.is_empty() {
            return Ok(());
        }
        let places: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
        let movable = places.iter().map(|row| (*row, false));
        let bare = self.tab.without_anchors(movable.collect());
        let tagged = self.tag(&places, &bare, rows.len() > 3).await?;
        let (mut sent, mut seen) = (Vec::new(), Vec::new());
        for ((row, name), (anchor, cells)) in rows.into_iter().zip(tagged) {
            let is_it = |cells: &Vec<Cell>| match &name {
                Some(name) => cells.first() == Some(name),
                None => cells.first() != Some(&Cell::Empty),
            };
            let Some(cells) = cells.filter(is_it) else {
                continue;
            };
            let mut ledger = self.writer.ledger.borrow_mut();
            let column = 1 + row as usize % 2;
            let value = vec![(column, ledger.token('w'))];
            drop(ledger);
            sent.push(self.row(anchor, bare.contains(&row), row, value));
            seen.push((anchor, cells));
        }
        if sent.is_empty() {
            return Ok(());
        }
        let cells: HashMap<MetadataId, Vec<Cell>> = seen.iter().cloned().collect();
        let written = self.send(sent.clone(), seen).await?;
        for written in written {
            let row = sent.iter().find(|row| row.anchor == written.anchor);
            let seen = cells.get(&written.anchor);
            if let (Some(row), Some(seen)) = (row, seen) {
                let edit = self.overwritten(seen, row, &written);
                self.tab.debts_mut().edits.extend(edit);
            }
        }
        Ok(())
    }

    /// A write whose answer is told.
    pub(super) async fn send(
        &mut self,
        rows: Vec<AnchoredRow>,
        seen: Vec<(MetadataId, Vec<Cell>)>,
    ) -> Done<Vec<WrittenRow>> {
        let stamp = self.stamp();
        let value = stamp.value.clone();
        let seen = seen.into_iter().map(|(anchor, cells)| {
            let row = rows.iter().find(|row| row.anchor == anchor);
            let written = row.map(|row| self.tab.columns_of(row).into_iter().zip(&row.cells));
            let written = written.into_iter().flatten();
            SeenRow {
                anchor,
                cells,
                sent: written
                    .map(|(column, (_, cell))| (column, cell.clone()))
                    .collect(),
            }
        });
        let seen: Vec<SeenRow> = seen.collect();
        self.remember(&value, seen);
        if self.is(Bug::ImagesOverwritten) {
            self.tab.memory.image_rows = 0;
        }
        let mapping = self.writer.mapping.clone();
        let written = self.tab.write(&mapping, rows, stamp).await?;
        let mut ledger = self.writer.ledger.borrow_mut();
        for before in written.iter().filter_map(|row| row.before.as_ref()) {
            ledger.note_told(&value, before);
        }
        Ok(written)
    }

    pub(super) fn remember(&self, stamp: &str, seen: Vec<SeenRow>) {
        let mut stored = self.writer.stored.borrow_mut();
        stored.seen.insert(stamp.to_owned(), seen);
    }

    /// What this write went over that had not been seen.
    pub(super) fn overwritten(
        &self,
        seen: &[Cell],
        sent: &AnchoredRow,
        written: &WrittenRow,
    ) -> Option<OverwrittenEdit> {
        if self.is(Bug::BeforeIgnored) {
            return None;
        }
        let before = self.tab.mapped(written.before.as_ref()?);
        let after = self.tab.mapped(&written.after);
        let columns = self.tab.columns_of(sent);
        let is_own = self
            .tab
            .is_image(&self.writer.mapping, &columns, &before, &after);
        if !is_own && !self.is(Bug::ForeignImageBelieved) {
            return None;
        }
        let same_row = seen.first() == before.first();
        let cell = |column: usize| {
            let (ours, theirs) = (after.get(column)?, before.get(column)?);
            let unseen = !same_row || seen.get(column) != Some(theirs);
            (unseen && ours != theirs).then(|| (column, ours.clone(), theirs.clone()))
        };
        let cells: Vec<_> = columns.into_iter().filter_map(cell).collect();
        (!cells.is_empty()).then(|| OverwrittenEdit {
            anchor: Some(sent.anchor).filter(|anchor| self.tab.stands(*anchor)),
            row: Some(written.row),
            key: None,
            name: after.first().cloned().into_iter().collect(),
            cells,
            window: None,
            missed: 0,
        })
    }

    pub(super) async fn delete(&mut self, rows: Vec<(u32, Option<Cell>)>) -> Done {
        if rows.is_empty() {
            return Ok(());
        }
        let places: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
        let tagged = self.tag(&places, &HashSet::new(), false).await?;
        let mut seen: BTreeMap<MetadataId, Vec<Cell>> = BTreeMap::new();
        let mut tags = Vec::new();
        for ((row, name), (anchor, cells)) in rows.into_iter().zip(tagged) {
            if let Some(cells) = cells.filter(|cells| cells.first() == name.as_ref()) {
                tags.push(TagRow {
                    row,
                    anchor,
                    bare: false,
                });
                seen.insert(anchor, cells);
            }
        }
        if tags.is_empty() {
            return Ok(());
        }
        let stamp = self.stamp();
        let keys: Vec<Key> = seen
            .values()
            .filter_map(|cells| cells.first())
            .map(named)
            .collect();
        let mut rows: Vec<u32> = tags.iter().map(|tag| tag.row).collect();
        rows.sort_unstable();
        let shown = seen.iter().map(|(anchor, cells)| SeenRow {
            anchor: *anchor,
            cells: cells.clone(),
            sent: Vec::new(),
        });
        self.remember(&stamp.value, shown.collect());
        self.record().await?;
        let batch = (stamp.clone(), keys.clone());
        self.writer.stored.borrow_mut().deleting.push(batch);
        let value = stamp.value.clone();
        let answer = self.tab.delete(tags, stamp, Purpose::Deletion(keys)).await;
        let deleted = match answer {
            Ok(deleted) => deleted,
            Err(unanswered) => {
                if !unanswered.fate.may_have_changed_the_sheet() {
                    let mut stored = self.writer.stored.borrow_mut();
                    stored.deleting.retain(|(stamp, _)| stamp.value != value);
                }
                return Err(unanswered.into());
            }
        };
        self.tab.rows_gone(&rows);
        for (anchor, before) in deleted.before {
            self.writer.ledger.borrow_mut().note_told(&value, &before);
            let cells = self.tab.mapped(&before);
            let is_meant = seen.get(&anchor) == Some(&cells);
            let blank = cells.iter().all(|cell| *cell == Cell::Empty);
            if !is_meant && !blank && !self.is(Bug::DeletedRowsIgnored) {
                let Some(layout) = self.tab.layout().cloned() else {
                    continue;
                };
                self.tab.debts_mut().rows.push(LostRow {
                    key: cells.first().map(named),
                    cells: before,
                    layout,
                    maybe_back: false,
                    seen: true,
                });
            }
        }
        if self.tab.debts().rows.is_empty() {
            self.record().await?;
            let mut stored = self.writer.stored.borrow_mut();
            stored.deleting.retain(|(stamp, _)| stamp.value != value);
        }
        Ok(())
    }

    pub(super) fn want(&self, rows: usize) {
        let mut ledger = self.writer.ledger.borrow_mut();
        let mut stored = self.writer.stored.borrow_mut();
        if stored.wanted.is_empty() {
            let row = |_| (ledger.token('w'), ledger.token('w'));
            stored.wanted = (0..rows).map(row).collect();
        }
    }

    pub(super) async fn insert(&mut self) -> Done {
        let wanted = self.writer.stored.borrow().wanted.clone();
        let Some(layout) = self.tab.layout().cloned() else {
            return Err(Stopped);
        };
        let place = |(key, cell): &(Cell, Cell)| {
            vec![
                (layout.column(0), key.clone()),
                (layout.column(1), cell.clone()),
            ]
        };
        let rows: Vec<_> = wanted.iter().map(place).collect();
        let keys: Vec<Key> = wanted.iter().map(|(key, _)| named(key)).collect();
        let stamp = self.stamp();
        self.record().await?;
        let batch = (stamp.clone(), keys.clone());
        self.writer.stored.borrow_mut().inserting.push(batch);
        let id = stamp.id;
        let answer = self
            .tab
            .insert(rows.into(), stamp, Purpose::NewRows(keys))
            .await;
        let forget = |came: bool| {
            let mut stored = self.writer.stored.borrow_mut();
            stored.inserting.retain(|(stamp, _)| stamp.id != id);
            if came {
                stored.wanted.clear();
            }
        };
        match answer {
            Ok(_) => {
                // Should the process end here, the batch is announced, and found to be carried out.
                self.writer.stored.borrow_mut().wanted.clear();
                self.record().await?;
                forget(true);
                Ok(())
            }
            Err(unanswered) => {
                match unanswered.fate {
                    Fate::Refused => forget(false),
                    Fate::CarriedOut => forget(true),
                    Fate::Unknown => {}
                }
                Err(unanswered.into())
            }
        }
    }
}
