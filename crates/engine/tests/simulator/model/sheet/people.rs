//! What people do to a tab, and how they set it up.

use super::super::setup::{Setup, Value, row_of};
use super::super::values::shown;
use super::{ColumnUse, Content, Row, Tab};
use engine::value::{Cell, Datum, Timestamp};

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
    RenameHeader {
        column: u8,
        name: u8,
    },
    MendHeader,
    /// An array fills `qty` from now on, or `price`, and what was typed there is gone.
    Array {
        column: u8,
    },
    /// What arrays take their values from shows nothing, or is back.
    Silence {
        how: u8,
    },
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
                let values = row_of(setup, &self.mapping, key.unwrap_or(0), value);
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
                        Content::Value(Cell::Text(format!("note {note}").into()));
                }
            }
            SheetEdit::InsertColumn { at } => {
                let at = usize::from(at) % (self.columns.len() + 1);
                self.columns.insert(at, ColumnUse::Other);
                let right = self.tags.values_mut().filter(|tag| **tag >= at);
                right.for_each(|tag| *tag += 1);
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
                for tag in self.tags.values_mut() {
                    *tag = match *tag {
                        at if at == from => to,
                        at => {
                            let closed = at - usize::from(at > from);
                            closed + usize::from(closed >= to)
                        }
                    };
                }
                for row in &mut self.rows {
                    let content = row.cells.remove(from);
                    row.cells.insert(to, content);
                }
            }
            SheetEdit::BreakHeader { column } => {
                let mapped = usize::from(column) % self.mapping.columns.len();
                self.write_heading(mapped, "who renamed this?");
                self.follow_heading(mapped);
            }
            SheetEdit::RenameHeader { column, name } => {
                let mapped = usize::from(column) % self.mapping.columns.len();
                let names = ["Label", "How many", "label", ""];
                self.write_heading(mapped, names[usize::from(name) % names.len()]);
                self.follow_heading(mapped);
            }
            SheetEdit::MendHeader => self.mend_header(),
            SheetEdit::Array { column } => {
                let names = ["qty", "price"];
                let name = names[usize::from(column) % names.len()];
                let mut columns = self.mapping.columns.iter();
                if let Some(mapped) = columns.position(|column| column.name == name) {
                    self.put_array(mapped);
                }
            }
            SheetEdit::Silence { how } => self.silence(how),
        }
    }

    /// Every mapped column has its heading, and no other column has it too.
    fn mend_header(&mut self) {
        let header = self.header();
        for column in 0..self.columns.len() {
            let named = |mapped: &engine::mapping::Column| {
                self.rows[header].cells[column]
                    == Content::Value(Cell::Text(mapped.header.clone().into()))
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

    /// Whether every mapped column can be told: the header row names it where it is (or was never
    /// written), or its tag stands there.
    pub fn header_holds(&self, now: Timestamp) -> bool {
        let named = |(mapped, column): (usize, &engine::mapping::Column)| {
            let tag = self.tags.get(&column.name).copied();
            let tagged = tag.is_some() && tag == self.position(mapped);
            match self.mapped_cell(self.header(), mapped, now) {
                Cell::Text(text) => tagged || text.eq_ignore_ascii_case(&column.header),
                _ => false,
            }
        };
        let never = self
            .columns
            .iter()
            .all(|column| *column == ColumnUse::Other);
        never || self.mapping.columns.iter().enumerate().all(named)
    }

    fn write_heading(&mut self, mapped: usize, text: &str) {
        let header = self.header();
        if let Some(column) = self.position(mapped) {
            let cell = match text {
                "" => Cell::Empty,
                text => Cell::Text(text.into()),
            };
            self.rows[header].cells[column] = Content::Value(cell);
        }
    }

    /// Where another column has the very heading that this one has lost, that is the column now.
    fn follow_heading(&mut self, mapped: usize) {
        let heading = Content::Value(Cell::Text(
            self.mapping.columns[mapped].header.clone().into(),
        ));
        let cells = &self.rows[self.header()].cells;
        let named = |at: &usize| self.columns[*at] == ColumnUse::Other && cells[*at] == heading;
        if let Some(at) = (0..self.columns.len()).find(named) {
            if let Some(former) = self.position(mapped) {
                self.columns[former] = ColumnUse::Other;
            }
            self.columns[at] = ColumnUse::Mapped(mapped);
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

    /// A whole row as a person would have it: values typed, formula columns filled with their
    /// formula.
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

impl Tab {
    /// The header and the columns around it, as a person has set them up.
    pub fn lay_out(&mut self, layout: u8) {
        let mapped: Vec<ColumnUse> = (0..self.mapping.columns.len())
            .map(ColumnUse::Mapped)
            .collect();
        self.columns = match layout {
            0 => mapped,
            1 => [vec![ColumnUse::Other], mapped, vec![ColumnUse::Other; 2]].concat(),
            _ => {
                let mut reversed: Vec<ColumnUse> = mapped.into_iter().rev().collect();
                reversed.insert(1, ColumnUse::Other);
                reversed
            }
        };
        self.rows.clear();
        for above in 0..=self.header() {
            self.push_row();
            for column in 0..self.columns.len() {
                let text = match self.columns[column] {
                    ColumnUse::Mapped(mapped) => self.mapping.columns[mapped].header.clone(),
                    ColumnUse::Other => format!("Our column {column}"),
                };
                let title = above < self.header();
                self.rows[above].cells[column] = Content::Value(Cell::Text(if title {
                    "A title".into()
                } else {
                    text.into()
                }));
            }
        }
    }

    /// Fill what is not mapped: a note, and formulas that never hold still.
    pub fn scribble(&mut self, row: usize, note: u16) {
        let content = [
            Content::Value(Cell::Text(format!("note {note}").into())),
            Content::Now,
            Content::Row,
        ];
        let others = self
            .columns
            .iter()
            .zip(&mut self.rows[row].cells)
            .filter(|(column, _)| **column == ColumnUse::Other);
        others
            .zip(content)
            .for_each(|((_, cell), content)| *cell = content);
    }
}
