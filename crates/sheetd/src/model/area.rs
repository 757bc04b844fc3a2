//! Ranges of cells: bounded rectangles, and the half-open `GridRange` whose edges may be missing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Edges as they were sent: half-open, zero-based, `None` is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bounds {
    pub r0: Option<u32>,
    pub r1: Option<u32>,
    pub c0: Option<u32>,
    pub c1: Option<u32>,
}

/// A rectangle with all its edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rect {
    pub r0: u32,
    pub r1: u32,
    pub c0: u32,
    pub c1: u32,
}

/// Cells of one sheet, by the sheet's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Area {
    pub sheet: i64,
    pub bounds: Bounds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Axis {
    Rows,
    Columns,
}

impl Axis {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "ROWS",
            Self::Columns => "COLUMNS",
        }
    }
}

impl Bounds {
    pub fn is_empty(&self) -> bool {
        let empty = |a: Option<u32>, b: Option<u32>| b.is_some_and(|b| b <= a.unwrap_or(0));
        empty(self.r0, self.r1) || empty(self.c0, self.c1)
    }

    /// Missing edges are the grid's, and edges past the grid are cut.
    pub fn clamp(&self, rows: u32, columns: u32) -> Rect {
        Rect {
            r0: self.r0.unwrap_or(0).min(rows),
            r1: self.r1.unwrap_or(rows).min(rows),
            c0: self.c0.unwrap_or(0).min(columns),
            c1: self.c1.unwrap_or(columns).min(columns),
        }
    }

    pub fn edges_mut(&mut self, axis: Axis) -> (&mut Option<u32>, &mut Option<u32>) {
        match axis {
            Axis::Rows => (&mut self.r0, &mut self.r1),
            Axis::Columns => (&mut self.c0, &mut self.c1),
        }
    }

    pub fn write(&self, into: &mut Map<String, Json>) {
        for (name, edge) in [
            ("startRowIndex", self.r0),
            ("endRowIndex", self.r1),
            ("startColumnIndex", self.c0),
            ("endColumnIndex", self.c1),
        ] {
            if let Some(edge) = edge {
                into.insert(name.to_owned(), Json::from(edge));
            }
        }
    }
}

impl Rect {
    pub fn is_empty(&self) -> bool {
        self.r1 <= self.r0 || self.c1 <= self.c0
    }

    pub fn height(&self) -> u32 {
        self.r1.saturating_sub(self.r0)
    }

    pub fn width(&self) -> u32 {
        self.c1.saturating_sub(self.c0)
    }

    pub fn contains(&self, row: u32, column: u32) -> bool {
        (self.r0..self.r1).contains(&row) && (self.c0..self.c1).contains(&column)
    }

    pub fn covers(&self, other: &Rect) -> bool {
        self.r0 <= other.r0 && self.r1 >= other.r1 && self.c0 <= other.c0 && self.c1 >= other.c1
    }

    pub fn intersects(&self, other: &Rect) -> bool {
        self.r0 < other.r1 && other.r0 < self.r1 && self.c0 < other.c1 && other.c0 < self.c1
    }

    pub fn bounds(&self) -> Bounds {
        Bounds { r0: Some(self.r0), r1: Some(self.r1), c0: Some(self.c0), c1: Some(self.c1) }
    }
}

impl From<Rect> for Bounds {
    fn from(rect: Rect) -> Self {
        rect.bounds()
    }
}

impl Area {
    /// `GridRange`; proto3 leaves sheet 0 out (G-JSON-1).
    pub fn json(&self) -> Json {
        let mut map = Map::new();
        if self.sheet != 0 {
            map.insert("sheetId".to_owned(), Json::from(self.sheet));
        }
        self.bounds.write(&mut map);
        Json::Object(map)
    }
}
