//! A tab with its grid, formulas, anchors and stamps, the people who edit it, and what Google does
//! with our requests.

mod arrays;
mod people;
mod requests;

use super::{Verdict, broken};
use engine::effect::{
    AnchoredRow, Annotated, CellDetail, ColumnTag, Computed, Deleted, Entered, Formula, Image,
    Images, Look, MetadataId, NumberFormat, SeenRow, Sentinel, SheetEffect, SheetOutcome, Snapshot,
    Stamp, StandingStamp, TagRow, TaggedRows, WrittenRow,
};
use engine::mapping::{Kind, Mapping};
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
    /// The same for its own row and those below it.
    Array,
}

impl Content {
    /// Nothing was entered.
    pub const BLANK: Content = Content::Value(Cell::Empty);

    pub fn formula(&self) -> Option<&'static str> {
        match self {
            Content::Value(_) => None,
            Content::Now => Some("=NOW()"),
            Content::Row => Some("=ROW()"),
            Content::Length => Some("=LEN(name)"),
            Content::Array => Some(arrays::ARRAY),
        }
    }
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
    /// A request that was given up arrives, or another cluster writes here too: what it brings may
    /// stand there already.
    pub landing: bool,
    pub columns: Vec<ColumnUse>,
    /// The columns that tags of these names stand on.
    pub tags: BTreeMap<String, usize>,
    pub rows: Vec<Row>,
    anchors: BTreeMap<MetadataId, Anchor>,
    /// Rows as they were when they were tagged or read last, by mapped column, and where they were
    /// tagged.
    seen: BTreeMap<MetadataId, Vec<Cell>>,
    tagged: BTreeMap<MetadataId, usize>,
    stamps: BTreeMap<MetadataId, String>,
    /// What arrays show while their source shows nothing.
    silence: Option<Cell>,
    /// The engine has looked while they showed something: one that has shown nothing since it was
    /// put there, or since the engine began, is not told from blank cells.
    arrays_shown: bool,
    /// The rows that the last batches changed, as they were right before.
    pub images: Vec<Image>,
    /// Cells of the rows that the batch changed which are not what the engine saw when it tagged
    /// them: they are owed to whoever typed them.
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
            seen: BTreeMap::new(),
            tagged: BTreeMap::new(),
            stamps: BTreeMap::new(),
            silence: None,
            arrays_shown: false,
            images: Vec::new(),
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
            Content::Value(Cell::Empty) => self.filled(row, column, now),
            Content::Value(cell) => cell.clone(),
            Content::Now => Cell::Number(now.0 as f64),
            Content::Row => Cell::Number(row as f64 + 1.0),
            Content::Length => self.length_of_name(row, now),
            Content::Array => self.shown_by_array(row, column, now),
        }
    }

    fn length_of_name(&self, row: usize, now: Timestamp) -> Cell {
        let mut columns = self.mapping.columns.iter();
        match columns.position(|column| column.name == "name") {
            Some(name) => match self.mapped_cell(row, name, now) {
                Cell::Text(text) => Cell::Number(text.chars().count() as f64),
                _ => Cell::Number(0.0),
            },
            None => Cell::Empty,
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

    /// Whether a row's mapped cell is a formula's.
    pub fn computes(&self, uid: Uid, mapped: usize) -> bool {
        let (Some(row), Some(column)) = (self.index_of(uid), self.position(mapped)) else {
            return false;
        };
        let is_value = matches!(self.rows[row].cells[column], Content::Value(_));
        !is_value || self.is_of_array(row, column)
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

    /// The row's cells that nobody typed.
    fn computed(&self, row: usize, now: Timestamp) -> Vec<(u32, Computed)> {
        let cells = self.rows[row].cells.iter().enumerate();
        let computed = cells.filter_map(|(column, content)| match content {
            Content::Value(Cell::Empty) if self.filled(row, column, now) != Cell::Empty => {
                Some((column as u32, Computed::Elsewhere))
            }
            Content::Value(_) => None,
            _ => Some((column as u32, Computed::Here)),
        });
        computed.collect()
    }

    fn formulas(&self) -> Vec<Formula> {
        let mut formulas = Vec::new();
        for (row, cells) in self.rows.iter().enumerate() {
            for (column, content) in cells.cells.iter().enumerate() {
                formulas.extend(content.formula().map(|text| Formula {
                    row: row as u32,
                    column: column as u32,
                    text: text.into(),
                }));
            }
        }
        formulas
    }

    // ------------------------------------------------------------------------------------------------------------ Google

    pub fn remove_row(&mut self, row: usize) {
        let uid = self.rows.remove(row).uid;
        self.anchors.retain(|_, anchor| anchor.uid != uid);
    }
}

fn trim(cells: &mut Vec<Cell>) {
    while cells.last() == Some(&Cell::Empty) {
        cells.pop();
    }
}
