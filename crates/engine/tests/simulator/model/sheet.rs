//! A tab with its grid, formulas, anchors and stamps, the people who edit it, and what Google does with our requests.

mod people;

use super::{Verdict, broken};
use engine::effect::{
    ColumnTag, Deleted, MetadataId, SheetEffect, SheetOutcome, Snapshot, Stamp, TagRow,
};
use engine::mapping::Mapping;
use engine::value::{Cell, Timestamp};
use std::collections::BTreeMap;

pub use people::SheetEdit;

/// A row's hidden name: stays with the row wherever it goes.
pub type Uid = u32;

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Value(Cell),
    /// `=NOW()`: another value at every look.
    Now,
    /// `=ROW()`: another value wherever the row goes.
    Row,
    /// `=LEN(name)`: follows a mapped cell of its own row.
    Length,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColumnUse {
    /// Index into the mapping's columns.
    Mapped(usize),
    Other,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub uid: Uid,
    pub cells: Vec<Content>,
}

/// Ways in which the sheet could be other than it is, for the deliberate bugs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// An anchor names a place, whatever row stands there by now.
    pub anchors_are_positions: bool,
}

/// A tab as a person sees it, and whose column is whose.
pub struct Tab {
    pub mapping: Mapping,
    pub rules: Rules,
    /// A request that was given up arrives, or another cluster writes here too: what it brings may stand there already.
    pub landing: bool,
    pub columns: Vec<ColumnUse>,
    /// The columns that tags of these names stand on.
    pub tags: BTreeMap<String, usize>,
    pub rows: Vec<Row>,
    anchors: BTreeMap<MetadataId, Anchor>,
    stamps: BTreeMap<MetadataId, String>,
    /// Cells that a write or a delete went over although they had changed since the engine looked at them through the same
    /// anchor: Google has no compare-and-swap, so nobody can see them.
    pub unseen: Vec<(Uid, usize)>,
    /// How the engine saw those rows.
    pub mistaken: Vec<(Uid, Vec<Cell>)>,
    next_uid: Uid,
}

struct Anchor {
    uid: Uid,
    /// Where the row stood when it was tagged.
    place: usize,
    cycle: u32,
    /// The row as the last answer through this anchor showed it, by mapped column.
    seen: Vec<Cell>,
}

impl Tab {
    /// An empty grid.
    pub fn new(mapping: Mapping) -> Self {
        let mut tab = Self {
            mapping,
            rules: Rules::default(),
            landing: false,
            columns: vec![ColumnUse::Other; 2],
            tags: BTreeMap::new(),
            rows: Vec::new(),
            anchors: BTreeMap::new(),
            stamps: BTreeMap::new(),
            unseen: Vec::new(),
            mistaken: Vec::new(),
            next_uid: 1,
        };
        for _ in 0..4 {
            tab.push_row();
        }
        tab
    }

    pub fn push_row(&mut self) -> &mut Row {
        self.insert_row(self.rows.len())
    }

    pub fn insert_row(&mut self, at: usize) -> &mut Row {
        let row = Row {
            uid: self.next_uid,
            cells: vec![Content::Value(Cell::Empty); self.columns.len()],
        };
        self.next_uid += 1;
        self.rows.insert(at, row);
        &mut self.rows[at]
    }

    pub fn header(&self) -> usize {
        self.mapping.header_row as usize - 1
    }

    pub fn position(&self, mapped: usize) -> Option<usize> {
        self.columns
            .iter()
            .position(|&column| column == ColumnUse::Mapped(mapped))
    }

    pub fn shown(&self, row: usize, column: usize, now: Timestamp) -> Cell {
        match &self.rows[row].cells[column] {
            Content::Value(cell) => cell.clone(),
            Content::Now => Cell::Number(now.0 as f64),
            Content::Row => Cell::Number(row as f64 + 1.0),
            Content::Length => match self
                .mapping
                .columns
                .iter()
                .position(|column| column.name == "name")
            {
                Some(name) => match self.mapped_cell(row, name, now) {
                    Cell::Text(text) => Cell::Number(text.chars().count() as f64),
                    _ => Cell::Number(0.0),
                },
                None => Cell::Empty,
            },
        }
    }

    pub fn mapped_cell(&self, row: usize, mapped: usize, now: Timestamp) -> Cell {
        self.position(mapped)
            .map_or(Cell::Empty, |column| self.shown(row, column, now))
    }

    /// A row's mapped cells in the mapping's order.
    pub fn mapped(&self, row: usize, now: Timestamp) -> Vec<Cell> {
        (0..self.mapping.columns.len())
            .map(|index| self.mapped_cell(row, index, now))
            .collect()
    }

    /// Rows below the header in which anything stands.
    pub fn data_rows(&self) -> Vec<usize> {
        let filled = |&row: &usize| {
            self.rows[row]
                .cells
                .iter()
                .any(|content| *content != Content::Value(Cell::Empty))
        };
        (self.header() + 1..self.rows.len())
            .filter(filled)
            .collect()
    }

    /// Whether a row's mapped cell is a formula.
    pub fn computes(&self, uid: Uid, mapped: usize) -> bool {
        let content = |row: &Row| Some(row.cells[self.position(mapped)?].clone());
        let row = self.rows.iter().find(|row| row.uid == uid);
        !matches!(row.and_then(content), None | Some(Content::Value(_)))
    }

    /// Where people type new rows: below everything.
    pub fn first_free_row(&mut self) -> usize {
        let last = self.data_rows().last().copied();
        let row = last.unwrap_or(self.header()) + 1;
        while self.rows.len() <= row {
            self.push_row();
        }
        row
    }

    fn place_of(&self, anchor: &Anchor) -> Option<usize> {
        match self.rules.anchors_are_positions {
            true => Some(anchor.place).filter(|place| *place < self.rows.len()),
            false => self.index_of(anchor.uid),
        }
    }

    fn index_of(&self, uid: Uid) -> Option<usize> {
        self.rows.iter().position(|row| row.uid == uid)
    }

    // ------------------------------------------------------------------------------------------------------------ Google

    /// `None` where Google refuses the request.
    pub fn carry_out(
        &mut self,
        effect: &SheetEffect,
        cycle: u32,
        now: Timestamp,
    ) -> Verdict<Option<SheetOutcome>> {
        Ok(Some(match effect {
            SheetEffect::Read => SheetOutcome::Snapshot(self.read(now)),
            SheetEffect::Tag { rows, tidy } => {
                self.tidy(tidy);
                self.tag(rows, cycle, now)?
            }
            SheetEffect::Write { rows } => {
                let mut answers = Vec::new();
                for row in rows {
                    if let Some(answer) = self.write(row.anchor, &row.cells, cycle, now)? {
                        answers.push((row.anchor, answer));
                    }
                }
                answers.reverse();
                SheetOutcome::Written(answers)
            }
            SheetEffect::Insert {
                at,
                rows,
                stamp,
                tidy,
            } => {
                if let Some(taken) = self.stamp(stamp) {
                    return Ok(Some(taken));
                }
                let at = *at as usize;
                if at > self.rows.len() || at <= self.header() {
                    self.stamps.remove(&stamp.id);
                    return if at > self.header() {
                        Ok(None)
                    } else {
                        broken(format!("rows are inserted at {at}, above the data"))
                    };
                }
                self.tidy(tidy);
                SheetOutcome::Inserted(self.insert(at, rows, now)?)
            }
            SheetEffect::Delete { rows, stamp, tidy } => {
                if let Some(taken) = self.stamp(stamp) {
                    return Ok(Some(taken));
                }
                let deleted = self.delete(rows, cycle, now)?;
                self.tidy(tidy);
                SheetOutcome::Deleted(deleted)
            }
            SheetEffect::WriteHeader {
                row, cells, stamp, ..
            } => {
                if let Some(taken) = self.stamp(stamp) {
                    return Ok(Some(taken));
                }
                self.write_header(*row as usize, cells)?;
                SheetOutcome::Done
            }
            SheetEffect::Claim { stamp } => match self.stamp(stamp) {
                Some(taken) => taken,
                None => SheetOutcome::Done,
            },
            SheetEffect::TagColumns { header, tags } => {
                let stands = |tag: &ColumnTag| {
                    self.tags.get(&tag.name).copied() == tag.from.map(|at| at as usize)
                };
                if !tags.iter().all(stands) {
                    return Ok(None);
                }
                for tag in tags {
                    self.tags.insert(tag.name.clone(), tag.column as usize);
                }
                let cells = (0..self.columns.len()).map(|at| self.shown(*header as usize, at, now));
                SheetOutcome::Header(cells.collect())
            }
            SheetEffect::FindColumns { names } => {
                let tags = self.tags.iter().filter(|(name, _)| names.contains(name));
                SheetOutcome::Columns(tags.map(|(name, at)| (name.clone(), *at as u32)).collect())
            }
            SheetEffect::Annotate { .. } => SheetOutcome::Done,
            SheetEffect::TidyAll => {
                self.anchors.clear();
                SheetOutcome::Done
            }
        }))
    }

    fn read(&self, now: Timestamp) -> Snapshot {
        let json = |cell: &Cell| match cell {
            Cell::Empty => "\"\"".to_string(),
            // Google prints integers without a fraction.
            Cell::Number(n) if n.fract() == 0.0 && n.abs() < 1e15 => format!("{n:.0}"),
            cell => serde_json::to_string(cell).expect("a cell is JSON"),
        };
        let line = |row: usize| {
            let mut cells: Vec<Cell> = (0..self.columns.len())
                .map(|column| self.shown(row, column, now))
                .collect();
            trim(&mut cells);
            format!("[{}]", cells.iter().map(json).collect::<Vec<_>>().join(","))
        };
        let mut lines: Vec<String> = (0..self.rows.len()).map(line).collect();
        while lines.last().is_some_and(|line| line == "[]") {
            lines.pop();
        }
        let raw =
            |line: String| serde_json::value::RawValue::from_string(line).expect("a row is JSON");
        Snapshot {
            sent_at: now,
            read_at: now,
            grid_rows: self.rows.len() as u32,
            grid_columns: self.columns.len() as u32,
            rows: lines.into_iter().map(raw).collect(),
        }
    }

    fn tag(&mut self, rows: &[TagRow], cycle: u32, now: Timestamp) -> Verdict<SheetOutcome> {
        let mut answers = Vec::new();
        for tag in rows {
            if self.anchors.contains_key(&tag.anchor) || self.stamps.contains_key(&tag.anchor) {
                return broken(format!("anchor {} is in use already", tag.anchor));
            }
            let row = tag.row as usize;
            if row >= self.rows.len() {
                continue;
            }
            self.anchors.insert(
                tag.anchor,
                Anchor {
                    uid: self.rows[row].uid,
                    place: row,
                    cycle,
                    seen: self.mapped(row, now),
                },
            );
            let mut cells = (0..self.columns.len())
                .map(|column| self.shown(row, column, now))
                .collect();
            trim(&mut cells);
            answers.push((tag.anchor, cells));
        }
        // Google's answers come in an order of their own.
        if cycle.is_multiple_of(2) {
            answers.reverse();
        }
        Ok(SheetOutcome::Tagged(answers))
    }

    fn tidy(&mut self, ids: &[MetadataId]) {
        for id in ids {
            self.anchors.remove(id);
            self.stamps.remove(id);
        }
    }

    fn stamp(&mut self, stamp: &Stamp) -> Option<SheetOutcome> {
        if let Some(value) = self.stamps.get(&stamp.id) {
            return Some(SheetOutcome::Stamped {
                ours: *value == stamp.value,
            });
        }
        self.stamps.insert(stamp.id, stamp.value.clone());
        None
    }

    fn write(
        &mut self,
        anchor: MetadataId,
        cells: &[(u32, Cell)],
        cycle: u32,
        now: Timestamp,
    ) -> Verdict<Option<Vec<(u32, Cell)>>> {
        let Some(known) = self.anchors.get(&anchor) else {
            return Ok(None);
        };
        if known.cycle != cycle {
            return broken(format!(
                "a write goes through anchor {anchor} of an earlier cycle"
            ));
        }
        let Some(row) = self.place_of(known) else {
            return Ok(None);
        };
        let uid = self.rows[row].uid;
        self.note_unseen(row, anchor, now);
        for (column, cell) in cells {
            let column = *column as usize;
            let Some(ColumnUse::Mapped(mapped)) = self.columns.get(column).copied() else {
                return broken(format!(
                    "{cell:?} is written into column {column}, which is not mapped"
                ));
            };
            let needless = !self.landing && self.shown(row, column, now) == *cell;
            if needless && !self.unseen.contains(&(uid, mapped)) {
                return broken(format!(
                    "{cell:?} is written where it stands already (row {row}, column {column})"
                ));
            }
            self.rows[row].cells[column] = Content::Value(cell.clone());
        }
        let seen = self.mapped(row, now);
        self.anchors.get_mut(&anchor).expect("it was there").seen = seen;
        let last = cells.iter().map(|(column, _)| *column).max().unwrap_or(0);
        Ok(Some(
            (0..=last)
                .map(|column| (column, self.shown(row, column as usize, now)))
                .collect(),
        ))
    }

    fn note_unseen(&mut self, row: usize, anchor: MetadataId, now: Timestamp) {
        let Anchor { uid, seen, .. } = &self.anchors[&anchor];
        if *uid != self.rows[row].uid {
            return;
        }
        let uid = *uid;
        let current = self.mapped(row, now);
        let changed = (0..current.len()).filter(|&column| current[column] != seen[column]);
        let before = self.unseen.len();
        self.unseen.extend(changed.map(|column| (uid, column)));
        if self.unseen.len() > before {
            self.mistaken.push((uid, seen.clone()));
        }
    }

    fn insert(
        &mut self,
        at: usize,
        rows: &[Vec<(u32, Cell)>],
        now: Timestamp,
    ) -> Verdict<Vec<Vec<Cell>>> {
        for (offset, cells) in rows.iter().enumerate() {
            self.insert_row(at + offset);
            for (column, cell) in cells {
                let column = *column as usize;
                if !matches!(self.columns.get(column), Some(ColumnUse::Mapped(_))) {
                    return broken(format!(
                        "a new row fills column {column}, which is not mapped"
                    ));
                }
                self.rows[at + offset].cells[column] = Content::Value(cell.clone());
            }
        }
        let width = self.columns.len();
        Ok((at..at + rows.len())
            .map(|row| {
                (0..width)
                    .map(|column| self.shown(row, column, now))
                    .collect()
            })
            .collect())
    }

    fn delete(&mut self, rows: &[TagRow], cycle: u32, now: Timestamp) -> Verdict<Deleted> {
        let mut deleted = Deleted::default();
        for tag in rows {
            let Some(known) = self.anchors.get(&tag.anchor) else {
                deleted.gone.push(tag.anchor);
                continue;
            };
            if known.cycle != cycle {
                return broken(format!(
                    "a delete goes through anchor {} of an earlier cycle",
                    tag.anchor
                ));
            }
            let row = self
                .index_of(known.uid)
                .expect("an anchor dies with its row");
            if row == tag.row as usize {
                deleted.gone.push(tag.anchor);
            } else {
                deleted.moved.push(tag.anchor);
            }
        }
        for anchor in &deleted.gone {
            let Some(row) = self
                .anchors
                .get(anchor)
                .and_then(|known| self.index_of(known.uid))
            else {
                continue;
            };
            self.note_unseen(row, *anchor, now);
            self.remove_row(row);
        }
        Ok(deleted)
    }

    pub fn remove_row(&mut self, row: usize) {
        let uid = self.rows.remove(row).uid;
        self.anchors.retain(|_, anchor| anchor.uid != uid);
    }

    fn write_header(&mut self, row: usize, cells: &[(u32, String)]) -> Verdict {
        if row != self.header() {
            return broken(format!("a header is written into row {row}"));
        }
        for (column, text) in cells {
            let column = *column as usize;
            self.widen(column + 1);
            if self.rows[row].cells[column] != Content::Value(Cell::Empty) {
                return broken(format!(
                    "the header {text} is written over {:?}",
                    self.rows[row].cells[column]
                ));
            }
            let Some(mapped) = self
                .mapping
                .columns
                .iter()
                .position(|column| column.header == *text)
            else {
                return broken(format!("the header {text} is of no column"));
            };
            if let Some(renamed) = self.position(mapped) {
                self.columns[renamed] = ColumnUse::Other;
            }
            self.columns[column] = ColumnUse::Mapped(mapped);
            self.rows[row].cells[column] = Content::Value(Cell::Text(text.clone()));
        }
        Ok(())
    }

    fn widen(&mut self, width: usize) {
        while self.columns.len() < width {
            self.columns.push(ColumnUse::Other);
            self.rows
                .iter_mut()
                .for_each(|row| row.cells.push(Content::Value(Cell::Empty)));
        }
    }
}

fn trim(cells: &mut Vec<Cell>) {
    while cells.last() == Some(&Cell::Empty) {
        cells.pop();
    }
}
