//! A tab with its grid, formulas, anchors and stamps, the people who edit it, and what Google does with our requests.

use super::setup::{Setup, Value};
use super::values::shown;
use super::{Verdict, broken};
use engine::effect::{Deleted, MetadataId, SheetEffect, SheetOutcome, Snapshot, Stamp, TagRow};
use engine::mapping::Mapping;
use engine::value::{Cell, Datum, Timestamp};
use std::collections::BTreeMap;

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
    pub columns: Vec<ColumnUse>,
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
            columns: vec![ColumnUse::Other; 2],
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
            if self.shown(row, column, now) == *cell && !self.unseen.contains(&(uid, mapped)) {
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

/// What people do to the sheet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SheetEdit {
    Cell {
        row: u8,
        column: u8,
        value: Value,
    },
    Key {
        row: u8,
        key: u8,
    },
    ClearKey {
        row: u8,
    },
    TypeRow {
        key: Option<u8>,
        value: Value,
    },
    /// Two rows with the same content.
    Duplicate {
        row: u8,
    },
    Delete {
        row: u8,
    },
    /// Its cells are emptied, the row stays.
    Clear {
        row: u8,
    },
    InsertBlank {
        at: u8,
    },
    Move {
        from: u8,
        to: u8,
    },
    Sort {
        column: u8,
    },
    /// Into a column that is not mapped.
    Scribble {
        row: u8,
        note: u16,
    },
    InsertColumn {
        at: u8,
    },
    MoveColumn {
        from: u8,
        to: u8,
    },
    BreakHeader {
        column: u8,
    },
    MendHeader,
}

impl Tab {
    pub fn edit(&mut self, setup: &Setup, edit: SheetEdit, now: Timestamp) {
        let data = self.data_rows();
        let nth = |row: u8| data.get(usize::from(row) % data.len().max(1)).copied();
        let below = |row: u8, tab: &Tab| {
            let first = tab.header() + 1;
            first + usize::from(row) % (tab.rows.len() - first + 1)
        };
        match edit {
            SheetEdit::Cell { row, column, value } => {
                let mapped = usize::from(column) % self.mapping.columns.len();
                if let Some(row) = nth(row)
                    .filter(|_| !self.mapping.key.contains(&mapped) && !self.is_formula(mapped))
                {
                    let cell = value.cell(self.mapping.columns[mapped].kind);
                    self.type_cell(row, mapped, cell);
                }
            }
            SheetEdit::Key { row, key } => {
                if let Some(row) = nth(row) {
                    self.type_key(row, setup, key);
                }
            }
            SheetEdit::ClearKey { row } => {
                if let Some(row) = nth(row) {
                    for mapped in self.mapping.key.clone() {
                        self.type_cell(row, mapped, Cell::Empty);
                    }
                }
            }
            SheetEdit::TypeRow { key, value } => {
                let row = self.first_free_row();
                let values = super::setup::row_of(setup, &self.mapping, key.unwrap_or(0), value);
                self.type_row(row, &values);
                if key.is_none() {
                    for mapped in self.mapping.key.clone() {
                        self.type_cell(row, mapped, Cell::Empty);
                    }
                }
            }
            SheetEdit::Duplicate { row } => {
                if let Some(row) = nth(row) {
                    let cells = self.rows[row].cells.clone();
                    self.insert_row(row + 1).cells = cells;
                }
            }
            SheetEdit::Delete { row } => {
                if let Some(row) = nth(row) {
                    self.remove_row(row);
                }
            }
            SheetEdit::Clear { row } => {
                if let Some(row) = nth(row) {
                    self.rows[row].cells.fill(Content::Value(Cell::Empty));
                }
            }
            SheetEdit::InsertBlank { at } => {
                let at = below(at, self);
                self.insert_row(at);
            }
            SheetEdit::Move { from, to } => {
                if let Some(from) = nth(from) {
                    let row = self.rows.remove(from);
                    let to = below(to, self);
                    self.rows.insert(to, row);
                }
            }
            SheetEdit::Sort { column } => {
                let mapped = usize::from(column) % self.mapping.columns.len();
                let first = self.header() + 1;
                let mut keyed: Vec<(String, Row)> = (first..self.rows.len())
                    .map(|row| {
                        (
                            sort_key(&self.mapped_cell(row, mapped, now)),
                            self.rows[row].clone(),
                        )
                    })
                    .collect();
                keyed.sort_by(|a, b| a.0.cmp(&b.0));
                self.rows.truncate(first);
                self.rows.extend(keyed.into_iter().map(|(_, row)| row));
            }
            SheetEdit::Scribble { row, note } => {
                let other = self
                    .columns
                    .iter()
                    .position(|column| *column == ColumnUse::Other);
                if let (Some(row), Some(column)) = (nth(row), other) {
                    self.rows[row].cells[column] =
                        Content::Value(Cell::Text(format!("note {note}")));
                }
            }
            SheetEdit::InsertColumn { at } => {
                let at = usize::from(at) % (self.columns.len() + 1);
                self.columns.insert(at, ColumnUse::Other);
                self.rows
                    .iter_mut()
                    .for_each(|row| row.cells.insert(at, Content::Value(Cell::Empty)));
            }
            SheetEdit::MoveColumn { from, to } => {
                let (from, to) = (
                    usize::from(from) % self.columns.len(),
                    usize::from(to) % self.columns.len(),
                );
                let column = self.columns.remove(from);
                self.columns.insert(to, column);
                for row in &mut self.rows {
                    let content = row.cells.remove(from);
                    row.cells.insert(to, content);
                }
            }
            SheetEdit::BreakHeader { column } => {
                let mapped = usize::from(column) % self.mapping.columns.len();
                self.write_heading(mapped, "who renamed this?");
            }
            SheetEdit::MendHeader => self.mend_header(),
        }
    }

    /// Every mapped column has its heading, and no other column has it too.
    fn mend_header(&mut self) {
        let header = self.header();
        for column in 0..self.columns.len() {
            let named = |mapped: &engine::mapping::Column| {
                self.rows[header].cells[column] == Content::Value(Cell::Text(mapped.header.clone()))
            };
            if self.columns[column] == ColumnUse::Other && self.mapping.columns.iter().any(named) {
                self.rows[header].cells[column] = Content::Value(Cell::Text("formerly".into()));
            }
        }
        for mapped in 0..self.mapping.columns.len() {
            let heading = self.mapping.columns[mapped].header.clone();
            self.write_heading(mapped, &heading);
        }
    }

    /// Whether the header row names every mapped column where it is (or was never written).
    pub fn header_holds(&self, now: Timestamp) -> bool {
        let header = |column: &engine::mapping::Column| Cell::Text(column.header.clone());
        let named =
            |(mapped, column)| self.mapped_cell(self.header(), mapped, now) == header(column);
        self.columns
            .iter()
            .all(|column| *column == ColumnUse::Other)
            || self.mapping.columns.iter().enumerate().all(named)
    }

    fn write_heading(&mut self, mapped: usize, text: &str) {
        let header = self.header();
        if let Some(column) = self.position(mapped) {
            self.rows[header].cells[column] = Content::Value(Cell::Text(text.into()));
        }
    }

    fn is_formula(&self, mapped: usize) -> bool {
        self.mapping.columns[mapped].direction == engine::mapping::Direction::FromSheet
    }

    pub fn type_cell(&mut self, row: usize, mapped: usize, cell: Cell) {
        if let Some(column) = self.position(mapped) {
            self.rows[row].cells[column] = Content::Value(cell);
        }
    }

    fn type_key(&mut self, row: usize, setup: &Setup, key: u8) {
        for (mapped, part) in self.mapping.key.clone().into_iter().zip(setup.key(key).0) {
            let cell = shown(self.mapping.columns[mapped].kind, &Some(part));
            self.type_cell(row, mapped, cell);
        }
    }

    /// A whole row as a person would have it: values typed, formula columns filled with their formula.
    pub fn type_row(&mut self, row: usize, values: &[Datum]) {
        for (mapped, datum) in values.iter().enumerate() {
            let cell = shown(self.mapping.columns[mapped].kind, datum);
            match self.position(mapped) {
                Some(column) if self.is_formula(mapped) => {
                    self.rows[row].cells[column] = Content::Length
                }
                _ => self.type_cell(row, mapped, cell),
            }
        }
    }
}

/// Numbers before text, blanks last.
fn sort_key(cell: &Cell) -> String {
    match cell {
        Cell::Number(n) => format!("0{:020.3}", n + 1e9),
        Cell::Text(text) => format!("1{text}"),
        Cell::Bool(b) => format!("2{b}"),
        Cell::Empty => "3".into(),
    }
}
