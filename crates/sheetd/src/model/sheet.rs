//! One tab: its rows, columns and what lies over them.

use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::area::{Axis, Bounds, Rect};
use super::cell::Cell;

/// A grid of rows. Rows that hold nothing are `None`; cloning is cheap, which is what makes batches
/// atomic and reads consistent.
pub type Rows = Vector<Option<Arc<Row>>>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Up to the last cell that holds something.
    pub cells: Vec<Cell>,
    #[serde(default, skip_serializing_if = "Props::is_default")]
    pub props: Props,
}

/// `DimensionProperties` of a row or column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Props {
    pub pixels: Option<u32>,
    pub hidden_by_user: bool,
    pub hidden_by_filter: bool,
}

impl Props {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn hidden(self) -> bool {
        self.hidden_by_user || self.hidden_by_filter
    }
}

/// What lies over a range of a tab and follows it: a filter, a protection, a table, ...
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub kind: ObjectKind,
    /// A number for most kinds, a text for tables, null for the basic filter.
    pub id: Json,
    pub ranges: Vec<Bounds>,
    /// Every other member, as `Sheet` shows it.
    pub body: Map<String, Json>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectKind {
    BasicFilter,
    FilterView,
    Protected,
    Table,
    Banding,
    ConditionalFormat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub start: u32,
    pub end: u32,
    pub depth: u32,
    pub collapsed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sheet {
    pub id: i64,
    pub title: String,
    pub hidden: bool,
    pub right_to_left: bool,
    /// A `ColorStyle`.
    pub tab_color: Option<Json>,
    pub frozen_rows: u32,
    pub frozen_columns: u32,
    pub hide_gridlines: bool,
    pub row_group_after: bool,
    pub column_group_after: bool,
    pub rows: Rows,
    pub columns: Vector<Props>,
    pub merges: Vec<Rect>,
    pub objects: Vec<Object>,
    pub row_groups: Vec<Group>,
    pub column_groups: Vec<Group>,
}

impl Sheet {
    pub fn new(id: i64, title: impl Into<String>, rows: u32, columns: u32) -> Self {
        Self {
            id,
            title: title.into(),
            hidden: false,
            right_to_left: false,
            tab_color: None,
            frozen_rows: 0,
            frozen_columns: 0,
            hide_gridlines: false,
            row_group_after: false,
            column_group_after: false,
            rows: std::iter::repeat_n(None, rows as usize).collect(),
            columns: std::iter::repeat_n(Props::default(), columns as usize).collect(),
            merges: Vec::new(),
            objects: Vec::new(),
            row_groups: Vec::new(),
            column_groups: Vec::new(),
        }
    }

    pub fn row_count(&self) -> u32 {
        self.rows.len() as u32
    }

    pub fn column_count(&self) -> u32 {
        self.columns.len() as u32
    }

    pub fn size(&self, axis: Axis) -> u32 {
        match axis {
            Axis::Rows => self.row_count(),
            Axis::Columns => self.column_count(),
        }
    }

    pub fn cells_in_grid(&self) -> u64 {
        u64::from(self.row_count()) * u64::from(self.column_count())
    }

    pub fn row(&self, row: u32) -> Option<&Row> {
        self.rows.get(row as usize)?.as_deref()
    }

    pub fn cell(&self, row: u32, column: u32) -> Option<&Cell> {
        self.row(row)?.cells.get(column as usize)
    }

    /// The row, made if it held nothing. The caller keeps to the grid.
    pub fn row_mut(&mut self, row: u32) -> &mut Row {
        Arc::make_mut(self.rows[row as usize].get_or_insert_default())
    }

    pub fn cell_mut(&mut self, row: u32, column: u32) -> &mut Cell {
        let cells = &mut self.row_mut(row).cells;
        if cells.len() <= column as usize {
            cells.resize(column as usize + 1, Cell::default());
        }
        &mut cells[column as usize]
    }

    /// Drops what holds nothing, so that memory follows content.
    pub fn trim_row(&mut self, row: u32) {
        let Some(slot) = self.rows.get_mut(row as usize) else {
            return;
        };
        let Some(shared) = slot else { return };
        let keep = shared.cells.iter().rposition(|c| !c.is_bare()).map_or(0, |at| at + 1);
        if keep < shared.cells.len() {
            Arc::make_mut(shared).cells.truncate(keep);
        }
        if keep == 0 && shared.props == Props::default() {
            *slot = None;
        }
    }

    pub fn props(&self, axis: Axis, index: u32) -> Props {
        match axis {
            Axis::Rows => self.row(index).map(|r| r.props).unwrap_or_default(),
            Axis::Columns => self.columns[index as usize],
        }
    }

    pub fn set_props(&mut self, axis: Axis, index: u32, props: Props) {
        match axis {
            Axis::Rows => {
                if props != self.props(axis, index) {
                    self.row_mut(index).props = props;
                    self.trim_row(index);
                }
            }
            Axis::Columns => self.columns[index as usize] = props,
        }
    }

    pub fn groups(&self, axis: Axis) -> &Vec<Group> {
        match axis {
            Axis::Rows => &self.row_groups,
            Axis::Columns => &self.column_groups,
        }
    }

    pub fn groups_mut(&mut self, axis: Axis) -> &mut Vec<Group> {
        match axis {
            Axis::Rows => &mut self.row_groups,
            Axis::Columns => &mut self.column_groups,
        }
    }

    pub fn frozen(&self, axis: Axis) -> u32 {
        match axis {
            Axis::Rows => self.frozen_rows,
            Axis::Columns => self.frozen_columns,
        }
    }

    /// The smallest rectangle from A1 that holds every value.
    pub fn used(&self) -> (u32, u32) {
        let mut rows = 0;
        let mut columns = 0;
        for (index, row) in self.rows.iter().enumerate() {
            if let Some(last) = row.as_ref().and_then(|r| r.cells.iter().rposition(|c| !c.is_blank())) {
                rows = index as u32 + 1;
                columns = columns.max(last as u32 + 1);
            }
        }
        (rows, columns)
    }

    pub fn objects_of(&self, kind: ObjectKind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |o| o.kind == kind)
    }
}
