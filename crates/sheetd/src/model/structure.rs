//! Inserting, deleting, moving and sorting rows and columns, and how everything that lies over them
//! follows.

use std::sync::Arc;

use super::area::{Axis, Bounds, Rect};
use super::cell::Entered;
use super::metadata::Location;
use super::references;
use super::sheet::{Props, Sheet};
use super::workbook::Workbook;

/// Where the lines of one axis go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    Insert {
        at: u32,
        count: u32,
    },
    Delete {
        start: u32,
        end: u32,
    },
    /// `to` counts in the order before the move.
    Move {
        start: u32,
        end: u32,
        to: u32,
    },
}

/// Rows or columns of a tab went elsewhere; `None` where rows were put into another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub sheet: i64,
    pub axis: Axis,
    pub shift: Option<Shift>,
}

impl Move {
    pub fn inverse(self) -> Self {
        Self { shift: self.shift.map(Shift::inverse), ..self }
    }
}

impl Shift {
    /// What brings the lines back that are still there.
    fn inverse(self) -> Self {
        match self {
            Self::Insert { at, count } => Self::Delete { start: at, end: at + count },
            Self::Delete { start, end } => Self::Insert { at: start, count: end - start },
            Self::Move { start, end, to } if to > end => Self::Move { start: to - (end - start), end: to, to: start },
            Self::Move { start, end, to } => Self::Move { start: to, end: to + (end - start), to: end },
        }
    }

    /// The lines that it takes away or moves; none, between two lines, for those that it inserts.
    pub fn reach(self) -> (u32, u32) {
        match self {
            Self::Insert { at, .. } => (at, at),
            Self::Delete { start, end } => (start, end),
            Self::Move { start, end, to } => (start.min(to), end.max(to)),
        }
    }

    /// By how many lines it makes the tab longer.
    pub fn growth(self) -> i64 {
        match self {
            Self::Insert { count, .. } => i64::from(count),
            Self::Delete { start, end } => -i64::from(end - start),
            Self::Move { .. } => 0,
        }
    }

    /// The same, so many lines further down.
    pub fn offset(self, by: i64) -> Self {
        let down = |index: u32| u32::try_from(i64::from(index) + by).unwrap_or(0);
        match self {
            Self::Insert { at, count } => Self::Insert { at: down(at), count },
            Self::Delete { start, end } => Self::Delete { start: down(start), end: down(end) },
            Self::Move { start, end, to } => Self::Move { start: down(start), end: down(end), to: down(to) },
        }
    }

    fn is_idle(self) -> bool {
        matches!(self, Self::Move { start, end, to } if (start..=end).contains(&to))
    }

    /// The new index of a line; `None` where it is gone.
    pub fn line(self, index: u32) -> Option<u32> {
        match self {
            Self::Insert { at, count } => Some(if index >= at { index + count } else { index }),
            Self::Delete { start, end } if index < start => Some(index).filter(|_| end >= start),
            Self::Delete { start, end } => (index >= end).then(|| index - (end - start)),
            Self::Move { .. } if self.is_idle() => Some(index),
            Self::Move { start, end, to } => {
                let count = end - start;
                Some(if (start..end).contains(&index) {
                    if to > start { index + to - end } else { index - (start - to) }
                } else if index >= end && index < to {
                    index - count
                } else if index >= to && index < start {
                    index + count
                } else {
                    index
                })
            }
        }
    }

    /// The new edges of a range; `None` where nothing of it is left.
    pub fn range(self, start: Option<u32>, end: Option<u32>) -> Option<(Option<u32>, Option<u32>)> {
        let was_empty = end.is_some_and(|e| e <= start.unwrap_or(0));
        let moved = match self {
            Self::Insert { at, count } => {
                (start.map(|s| if s >= at { s + count } else { s }), end.map(|e| if e > at { e + count } else { e }))
            }
            Self::Delete { start: a, end: b } => {
                let cut = |edge: u32| {
                    if edge >= b { edge - (b - a) } else { edge.min(a) }
                };
                (start.map(cut), end.map(cut))
            }
            Self::Move { start: a, end: b, to } => {
                let (s, e) = (start.unwrap_or(0), end.unwrap_or(u32::MAX));
                if a <= s && e <= b {
                    (start.and_then(|s| self.line(s)), end.and_then(|e| self.line(e - 1)).map(|e| e + 1))
                } else if s <= a && b <= e && s <= to && to <= e {
                    (start, end)
                } else {
                    let count = b - a;
                    let target = if to >= b { to - count } else { to };
                    let (s, e) = Self::Delete { start: a, end: b }.range(start, end)?;
                    return Self::Insert { at: target, count }.range(s, e);
                }
            }
        };
        let empty = moved.1.is_some_and(|e| e <= moved.0.unwrap_or(0));
        (was_empty || !empty).then_some(moved)
    }

    fn bounds(self, axis: Axis, mut bounds: Bounds) -> Option<Bounds> {
        let (start, end) = bounds.edges_mut(axis);
        (*start, *end) = self.range(*start, *end)?;
        Some(bounds)
    }

    fn rect(self, axis: Axis, rect: Rect) -> Option<Rect> {
        let b = self.bounds(axis, rect.bounds())?;
        Some(Rect { r0: b.r0?, r1: b.r1?, c0: b.c0?, c1: b.c1? })
    }
}

impl Workbook {
    /// Moves the cells, and all that follows them, of one tab.
    pub fn shift(&mut self, sheet: i64, axis: Axis, shift: Shift) {
        if shift.is_idle() {
            return;
        }
        self.moves.push(Move { sheet, axis, shift: Some(shift) });
        let at = self.position(sheet).expect("the caller resolved the sheet");
        Arc::make_mut(&mut self.sheets[at]).shift(axis, shift);
        self.names.retain_mut(|named| match shift.bounds(axis, named.range.bounds) {
            _ if named.range.sheet != sheet => true,
            Some(bounds) => {
                named.range.bounds = bounds;
                true
            }
            None => false,
        });
        self.follow(sheet, axis, |index| shift.line(index));
        let title = self.sheets[at].title.clone();
        self.rewrite_formulas(|own, text| references::shifted(text, own, &title, axis, shift));
    }

    /// Moves once more what was moved elsewhere; nothing where that cannot be.
    pub fn apply_move(&mut self, m: &Move) -> Option<()> {
        let size = self.sheet(m.sheet)?.size(m.axis);
        let shift = m.shift.filter(|shift| shift.reach().1 <= size)?;
        self.shift(m.sheet, m.axis, shift);
        Some(())
    }

    /// Passes every formula through `to`, with the title of its tab.
    pub fn rewrite_formulas(&mut self, to: impl Fn(&str, &str) -> String) {
        if !self.may_have_formulas {
            return;
        }
        for sheet in &mut self.sheets {
            let mut changed = Vec::new();
            for (r, row) in sheet.rows.iter().enumerate() {
                for (c, cell) in row.iter().flat_map(|row| row.cells.iter().enumerate()) {
                    if let Some(text) = cell.formula() {
                        let new = to(&sheet.title, text);
                        if new != text {
                            changed.push((r as u32, c as u32, new));
                        }
                    }
                }
            }
            for (r, c, text) in changed {
                Arc::make_mut(sheet).cell_mut(r, c).entered = Entered::formula(text);
            }
        }
    }

    /// Puts rows into another order: the row now at `order[i]` comes to `start + i`.
    pub fn permute_rows(&mut self, sheet: i64, start: u32, order: &[u32]) {
        self.moves.push(Move { sheet, axis: Axis::Rows, shift: None });
        let at = self.position(sheet).expect("the caller resolved the sheet");
        let grid = Arc::make_mut(&mut self.sheets[at]);
        let old: Vec<_> = order.iter().map(|&from| grid.rows[from as usize].clone()).collect();
        for (offset, row) in old.into_iter().enumerate() {
            grid.rows.set(start as usize + offset, row);
        }
        let mut target = vec![0; order.len()];
        for (offset, from) in order.iter().enumerate() {
            target[(from - start) as usize] = start + offset as u32;
        }
        move_relative_formulas(Arc::make_mut(&mut self.sheets[at]), start, order);
        self.follow(sheet, Axis::Rows, |index| {
            Some(index.checked_sub(start).and_then(|i| target.get(i as usize).copied()).unwrap_or(index))
        });
    }

    /// Metadata goes with its row or column, and dies with it (G-META-1, G-META-2).
    fn follow(&mut self, sheet: i64, axis: Axis, to: impl Fn(u32) -> Option<u32>) {
        let lines: Vec<(i64, u32)> = self
            .metadata
            .values()
            .filter_map(|m| match m.location {
                Location::Line { sheet: s, axis: a, index } if s == sheet && a == axis => Some((m.id, index)),
                _ => None,
            })
            .collect();
        for (id, index) in lines {
            match to(index) {
                None => {
                    self.metadata.remove(id);
                }
                Some(new) if new != index => self.metadata.move_line(id, new),
                Some(_) => {}
            }
        }
    }
}

/// A formula that is sorted to another row reads the cells beside it there.
fn move_relative_formulas(sheet: &mut Sheet, start: u32, order: &[u32]) {
    for (row, from) in (start..).zip(order).filter(|(row, from)| row != *from) {
        let cells = sheet.row(row).map(|r| &r.cells[..]).unwrap_or_default();
        let moved: Vec<(u32, String)> = (0..)
            .zip(cells)
            .filter_map(|(c, cell)| {
                Some((c, references::offset(cell.formula()?, i64::from(row) - i64::from(*from), 0)))
            })
            .collect();
        for (c, text) in moved {
            sheet.cell_mut(row, c).entered = Entered::formula(text);
        }
    }
}

impl Sheet {
    fn shift(&mut self, axis: Axis, shift: Shift) {
        match axis {
            Axis::Rows => self.shift_rows(shift),
            Axis::Columns => self.shift_columns(shift),
        }
        self.merges = self.merges.iter().filter_map(|m| shift.rect(axis, *m)).collect();
        self.objects.retain_mut(|object| {
            let had = !object.ranges.is_empty();
            object.ranges = object.ranges.iter().filter_map(|r| shift.bounds(axis, *r)).collect();
            !had || !object.ranges.is_empty()
        });
        self.groups_mut(axis).retain_mut(|g| match shift.range(Some(g.start), Some(g.end)) {
            Some((Some(start), Some(end))) => {
                (g.start, g.end) = (start, end);
                true
            }
            _ => false,
        });
        self.shift_frozen(axis, shift);
    }

    /// Lines inserted inside the frozen part, or deleted from it, change how many are frozen.
    fn shift_frozen(&mut self, axis: Axis, shift: Shift) {
        let frozen = match axis {
            Axis::Rows => &mut self.frozen_rows,
            Axis::Columns => &mut self.frozen_columns,
        };
        match shift {
            Shift::Insert { at, count } if at < *frozen => *frozen += count,
            Shift::Delete { start, end } => *frozen -= end.min(*frozen).saturating_sub(start),
            _ => {}
        }
    }

    fn shift_rows(&mut self, shift: Shift) {
        match shift {
            Shift::Insert { at, count } => {
                let tail = self.rows.split_off(at as usize);
                self.rows.append(std::iter::repeat_n(None, count as usize).collect());
                self.rows.append(tail);
            }
            Shift::Delete { start, end } => {
                let mut tail = self.rows.split_off(start as usize);
                self.rows.append(tail.split_off((end - start) as usize));
            }
            Shift::Move { start, end, to } => {
                let mut block = self.rows.split_off(start as usize);
                let tail = block.split_off((end - start) as usize);
                self.rows.append(tail);
                let target = if to >= end { to - (end - start) } else { to };
                let tail = self.rows.split_off(target as usize);
                self.rows.append(block);
                self.rows.append(tail);
            }
        }
    }

    fn shift_columns(&mut self, shift: Shift) {
        match shift {
            Shift::Insert { at, count } => {
                for _ in 0..count {
                    self.columns.insert(at as usize, Props::default());
                }
            }
            Shift::Delete { start, end } => {
                drop(self.columns.slice(start as usize..end as usize));
            }
            Shift::Move { start, end, to } => {
                let block = self.columns.slice(start as usize..end as usize);
                let target = if to >= end { to - (end - start) } else { to };
                let tail = self.columns.split_off(target as usize);
                self.columns.append(block);
                self.columns.append(tail);
            }
        }
        for index in 0..self.row_count() {
            if self.row(index).is_some_and(|r| !r.cells.is_empty()) {
                shift_cells(&mut self.row_mut(index).cells, shift);
                self.trim_row(index);
            }
        }
    }
}

fn shift_cells(cells: &mut Vec<super::cell::Cell>, shift: Shift) {
    match shift {
        Shift::Insert { at, count } => {
            if (at as usize) < cells.len() {
                cells.splice(at as usize..at as usize, std::iter::repeat_n(Default::default(), count as usize));
            }
        }
        Shift::Delete { start, end } => {
            let end = (end as usize).min(cells.len());
            if (start as usize) < end {
                cells.drain(start as usize..end);
            }
        }
        Shift::Move { start, end, to } => {
            let reach = end.max(to) as usize;
            if cells.len() < reach {
                cells.resize(reach, Default::default());
            }
            let (start, end, to) = (start as usize, end as usize, to as usize);
            if to > end {
                cells[start..to].rotate_left(end - start);
            } else if to < start {
                cells[to..end].rotate_right(end - start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cell::Entered;

    fn letters(text: &str) -> Workbook {
        let mut book = Workbook::new("id", "t");
        let sheet = book.grid_mut(0).unwrap();
        for (row, c) in text.chars().enumerate() {
            sheet.cell_mut(row as u32, 0).entered = Entered::text(c.to_string());
        }
        book
    }

    fn shown(book: &Workbook, rows: u32) -> String {
        (0..rows)
            .map(|r| match book.sheets[0].cell(r, 0).map(|c| &c.entered) {
                Some(Entered::Text(t)) => t.to_string(),
                _ => ".".to_owned(),
            })
            .collect()
    }

    #[test]
    fn rows_move_as_the_order_before_says() {
        for (shift, want) in [
            (Shift::Insert { at: 1, count: 2 }, "a..bcde"),
            (Shift::Delete { start: 1, end: 3 }, "ade...."),
            (Shift::Move { start: 1, end: 2, to: 4 }, "acdbe.."),
            (Shift::Move { start: 3, end: 5, to: 1 }, "adebc.."),
            (Shift::Move { start: 1, end: 3, to: 2 }, "abcde.."),
        ] {
            let mut book = letters("abcde");
            book.shift(0, Axis::Rows, shift);
            assert_eq!(shown(&book, 7), want, "{shift:?}");
            for (old, letter) in "abcde".chars().enumerate() {
                let at = shift.line(old as u32).map(|new| shown(&book, 7).as_bytes()[new as usize] as char);
                assert!(at.is_none_or(|found| found == letter), "{shift:?} {letter}");
            }
        }
    }

    #[test]
    fn ranges_grow_move_and_vanish() {
        let r = |s, e| (Some(s), Some(e));
        for (shift, range, want) in [
            (Shift::Insert { at: 2, count: 3 }, r(2, 4), Some(r(5, 7))),
            (Shift::Insert { at: 3, count: 3 }, r(2, 4), Some(r(2, 7))),
            (Shift::Insert { at: 4, count: 3 }, r(2, 4), Some(r(2, 4))),
            (Shift::Delete { start: 0, end: 3 }, r(2, 4), Some(r(0, 1))),
            (Shift::Delete { start: 1, end: 5 }, r(2, 4), None),
            (Shift::Move { start: 1, end: 5, to: 8 }, r(2, 4), Some(r(5, 7))),
            (Shift::Move { start: 2, end: 3, to: 4 }, r(1, 5), Some(r(1, 5))),
        ] {
            assert_eq!(shift.range(range.0, range.1), want, "{shift:?} {range:?}");
        }
    }
}
