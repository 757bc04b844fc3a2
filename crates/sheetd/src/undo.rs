//! Taking back what one person did in the page, and doing it again: what others have done since
//! stays, and rows and columns that they have moved are followed.

use std::sync::Arc;

use crate::batch::Touched;
use crate::errors::{ApiError, ApiResult};
use crate::model::area::{Axis, Rect};
use crate::model::cell::{Cell, Entered};
use crate::model::sheet::{Row, Sheet};
use crate::model::structure::{Move, Shift};
use crate::model::workbook::Workbook;

/// Of each spreadsheet, whoever's they are.
const STEPS: usize = 100;
/// A step is forgotten when others have moved rows and columns as often.
const MOVES: usize = 1000;

/// Something that a person did, or took back.
#[derive(Debug)]
struct Step {
    editor: String,
    before: Arc<Workbook>,
    after: Arc<Workbook>,
    own: Vec<Move>,
    /// What was moved since.
    since: Vec<Move>,
}

/// What the persons in the pages of one spreadsheet can take back or do again.
#[derive(Debug, Default)]
pub struct History {
    done: Vec<Step>,
    undone: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Undo,
    Redo,
}

/// The spreadsheet with a step taken back.
#[derive(Debug)]
pub struct TakenBack {
    pub book: Arc<Workbook>,
    pub touched: Vec<Touched>,
    /// Cells that somebody else has changed since: they stay as they are.
    pub kept: usize,
}

impl History {
    /// Somebody, a person in the page or not, changed the spreadsheet.
    pub fn record(&mut self, editor: Option<&str>, before: &Arc<Workbook>, after: &Arc<Workbook>) {
        self.follow(&after.moves);
        let Some(editor) = editor else { return };
        self.undone.retain(|step| step.editor != editor);
        let step = Step {
            editor: editor.to_owned(),
            before: before.clone(),
            after: after.clone(),
            own: after.moves.clone(),
            since: Vec::new(),
        };
        push(&mut self.done, step);
    }

    /// Takes back the last step that the person did or, for a redo, took back. It is not offered
    /// again where it cannot be.
    pub fn take_back(
        &mut self,
        editor: &str,
        way: Way,
        now: &Arc<Workbook>,
        compute: impl FnOnce(&mut Workbook),
    ) -> ApiResult<TakenBack> {
        let steps = if way == Way::Undo { &mut self.done } else { &mut self.undone };
        let last = steps.iter().rposition(|step| step.editor == editor);
        let step = last.map(|at| steps.remove(at)).ok_or_else(|| texts::nothing(way))?;
        let own: Vec<Move> = step.own.iter().rev().map(|m| m.inverse()).collect();
        let (taken, own) = if Arc::ptr_eq(&step.after, now) {
            (TakenBack { book: step.before.clone(), touched: touched(&step.after, &step.before, &own), kept: 0 }, own)
        } else {
            step.merge(now, own, compute)?
        };
        self.follow(&own);
        let back = Step { editor: step.editor, before: now.clone(), after: taken.book.clone(), own, since: Vec::new() };
        push(if way == Way::Undo { &mut self.undone } else { &mut self.done }, back);
        Ok(taken)
    }

    fn follow(&mut self, moves: &[Move]) {
        for step in self.done.iter_mut().chain(&mut self.undone) {
            for m in moves {
                // What is moved and moved back is where it was.
                if step.since.last().is_some_and(|last| last.inverse() == *m) {
                    step.since.pop();
                } else {
                    step.since.push(*m);
                }
            }
        }
        for steps in [&mut self.done, &mut self.undone] {
            steps.retain(|step| step.since.len() <= MOVES);
        }
    }
}

fn push(steps: &mut Vec<Step>, step: Step) {
    steps.push(step);
    if steps.len() > STEPS {
        steps.remove(0);
    }
}

impl Step {
    /// Three ways: of what the step changed, that goes back which is still as the step left it.
    /// Also answers what this moves.
    fn merge(
        &self,
        now: &Workbook,
        mut own: Vec<Move>,
        compute: impl FnOnce(&mut Workbook),
    ) -> ApiResult<(TakenBack, Vec<Move>)> {
        let (mut base, mut ours, mut theirs) = ((*self.after).clone(), (*self.before).clone(), now.clone());
        for m in self.since.iter().filter(|m| self.changed(m.sheet)) {
            let in_before = match own.iter().find(|o| o.sheet == m.sheet) {
                None => *m,
                Some(_) if own.len() > 1 => return Err(texts::moved()),
                Some(_) => past(&mut own[0], m)?,
            };
            base.apply_move(m).ok_or_else(texts::moved)?;
            ours.apply_move(&in_before).ok_or_else(texts::moved)?;
        }
        let mut moved = Vec::new();
        for m in own {
            match m.shift {
                Some(Shift::Delete { start, end }) if !same_lines(&base, &theirs, &m, start, end) => {
                    if base.sheet(m.sheet).is_none_or(|sheet| sheet.size(m.axis) != end) {
                        return Err(texts::written());
                    }
                    // The tab had only grown for what was typed below its end: it stays as large.
                    ours.apply_move(&m.inverse()).ok_or_else(texts::moved)?;
                    continue;
                }
                None if !same_sheet(base.sheet(m.sheet), theirs.sheet(m.sheet)) => return Err(texts::moved()),
                None => {}
                Some(_) => {
                    base.apply_move(&m).ok_or_else(texts::moved)?;
                    theirs.apply_move(&m).ok_or_else(texts::moved)?;
                }
            }
            moved.push(m);
        }
        let (mut book, kept) = merge_books(&base, &ours, &theirs)?;
        let touched = touched(now, &book, &moved);
        if touched.is_empty() && kept > 0 {
            return Err(texts::changed());
        }
        compute(&mut book);
        Ok((TakenBack { book: Arc::new(book), touched, kept }, moved))
    }

    /// Whether the step changed anything in a tab.
    fn changed(&self, sheet: i64) -> bool {
        !same_sheet(self.before.sheet(sheet), self.after.sheet(sheet))
    }
}

/// `own`, an inverse in the geometry after a step, with `other` having been done since; and `other`
/// as it would have been without the step.
fn past(own: &mut Move, other: &Move) -> ApiResult<Move> {
    let mut before = *other;
    if own.axis != other.axis {
        return Ok(before);
    }
    let (Some(mine), Some(theirs)) = (own.shift, other.shift) else { return Err(texts::moved()) };
    let ((low, high), grown) = (mine.reach(), mine.growth());
    let (start, end) = theirs.reach();
    if start >= high {
        before.shift = Some(theirs.offset(grown));
    } else if end <= low {
        own.shift = Some(mine.offset(theirs.growth()));
    } else {
        return Err(texts::moved());
    }
    Ok(before)
}

fn merge_books(base: &Workbook, ours: &Workbook, theirs: &Workbook) -> ApiResult<(Workbook, usize)> {
    let mut book = theirs.clone();
    let mut kept = 0;
    for sheet in &base.sheets {
        if ours.sheet(sheet.id).is_none() && book.sheet(sheet.id).is_some() {
            if !same_sheet(Some(sheet), book.sheet(sheet.id)) {
                return Err(texts::written());
            }
            book.sheets.retain(|s| s.id != sheet.id);
            book.metadata.remove_sheet(sheet.id);
        }
    }
    for (at, sheet) in ours.sheets.iter().enumerate() {
        match (base.sheet(sheet.id), book.position(sheet.id)) {
            (None, None) if book.titled(&sheet.title).is_some() => return Err(texts::title()),
            (None, None) => book.sheets.insert(at.min(book.sheets.len()), sheet.clone()),
            (Some(old), Some(at)) => {
                let free = book.titled(&sheet.title).is_none();
                kept += merge_sheets(old, sheet, Arc::make_mut(&mut book.sheets[at]), free);
            }
            _ => {}
        }
    }
    for entry in ours.metadata.values() {
        let same = |now: Option<&_>| now == base.metadata.get(entry.id);
        if Some(entry) != base.metadata.get(entry.id) && same(book.metadata.get(entry.id)) {
            book.metadata.insert(entry.clone());
        }
    }
    for name in &ours.names {
        if ![&base.names, &book.names].iter().any(|names| names.iter().any(|n| n.id == name.id)) {
            book.names.push(name.clone());
        }
    }
    book.may_have_formulas |= ours.may_have_formulas;
    book.check_size()?;
    Ok((book, kept))
}

/// How many cells were left as they are.
fn merge_sheets(base: &Sheet, ours: &Sheet, now: &mut Sheet, title_is_free: bool) -> usize {
    if title_is_free {
        pick(&base.title, &ours.title, &mut now.title);
    }
    pick(&base.hidden, &ours.hidden, &mut now.hidden);
    pick(&base.tab_color, &ours.tab_color, &mut now.tab_color);
    pick(&base.frozen_rows, &ours.frozen_rows, &mut now.frozen_rows);
    pick(&base.frozen_columns, &ours.frozen_columns, &mut now.frozen_columns);
    pick(&base.columns, &ours.columns, &mut now.columns);
    pick(&base.merges, &ours.merges, &mut now.merges);
    pick(&base.objects, &ours.objects, &mut now.objects);
    pick(&base.row_groups, &ours.row_groups, &mut now.row_groups);
    pick(&base.column_groups, &ours.column_groups, &mut now.column_groups);
    let mut kept = 0;
    for row in 0..now.row_count() {
        let (old, mine) = (slot(base, row), slot(ours, row));
        if same_row(old, mine) {
            continue;
        }
        if same_row(old, slot(now, row)) {
            now.rows.set(row as usize, ours.rows.get(row as usize).cloned().flatten());
            continue;
        }
        let width = |row: Option<&Arc<Row>>| row.map_or(0, |row| row.cells.len());
        for column in 0..width(old).max(width(mine)) as u32 {
            let cell = |sheet: &Sheet| sheet.cell(row, column).cloned().unwrap_or_default();
            let (old, mine) = (cell(base), cell(ours));
            if same_cell(&old, &mine) {
                continue;
            }
            if !same_input(&old.entered, &cell(now).entered) {
                kept += usize::from(!same_cell(&mine, &cell(now)));
                continue;
            }
            let put = now.cell_mut(row, column);
            put.entered = mine.entered;
            pick(&old.format, &mine.format, &mut put.format);
            pick(&old.extra, &mine.extra, &mut put.extra);
        }
        now.trim_row(row);
    }
    kept
}

/// Ours, unless it was changed since.
fn pick<T: PartialEq + Clone>(base: &T, ours: &T, now: &mut T) {
    if base == now {
        now.clone_from(ours);
    }
}

fn slot(sheet: &Sheet, row: u32) -> Option<&Arc<Row>> {
    sheet.rows.get(row as usize)?.as_ref()
}

/// What a formula shows is no change of it.
fn same_input(a: &Entered, b: &Entered) -> bool {
    match (a, b) {
        (Entered::Formula(a), Entered::Formula(b)) => a.text == b.text,
        _ => a == b,
    }
}

fn same_cell(a: &Cell, b: &Cell) -> bool {
    same_input(&a.entered, &b.entered) && a.format == b.format && a.extra == b.extra
}

fn same_cells(a: &[Cell], b: &[Cell]) -> bool {
    let bare = Cell::default();
    (0..a.len().max(b.len())).all(|c| same_cell(a.get(c).unwrap_or(&bare), b.get(c).unwrap_or(&bare)))
}

fn same_row(a: Option<&Arc<Row>>, b: Option<&Arc<Row>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.props == b.props && same_cells(&a.cells, &b.cells),
        (None, None) => true,
        (Some(row), None) | (None, Some(row)) => same_cells(&row.cells, &[]),
    }
}

fn same_sheet(a: Option<&Sheet>, b: Option<&Sheet>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    a.row_count() == b.row_count() && (0..a.row_count()).all(|row| same_row(slot(a, row), slot(b, row)))
}

/// Whether nobody has written into the rows or columns that go.
fn same_lines(base: &Workbook, theirs: &Workbook, m: &Move, start: u32, end: u32) -> bool {
    let (Some(a), Some(b)) = (base.sheet(m.sheet), theirs.sheet(m.sheet)) else { return false };
    let bare = Cell::default();
    let cell = |sheet: &Sheet, row, column| same_cell(sheet.cell(row, column).unwrap_or(&bare), &bare);
    match m.axis {
        Axis::Rows => (start..end).all(|row| same_row(slot(a, row), slot(b, row))),
        Axis::Columns => (0..a.row_count()).all(|row| {
            (start..end).all(|column| match (a.cell(row, column), b.cell(row, column)) {
                (Some(x), Some(y)) => same_cell(x, y),
                _ => cell(a, row, column) && cell(b, row, column),
            })
        }),
    }
}

/// What differs: whole tabs where something moved, came or went, otherwise the cells.
fn touched(before: &Workbook, after: &Workbook, moves: &[Move]) -> Vec<Touched> {
    let tell = |sheet, range| Touched { sheet, kind: "undo".to_owned(), range };
    let mut touched = Vec::new();
    for sheet in &after.sheets {
        let old = before.sheet(sheet.id);
        let moved = moves.iter().any(|m| m.sheet == sheet.id);
        match old.filter(|old| !moved && old.title == sheet.title && old.row_count() == sheet.row_count()) {
            None => touched.push(tell(sheet.id, None)),
            Some(old) => touched.extend(changed_cells(old, sheet).map(|rect| tell(sheet.id, Some(rect)))),
        }
    }
    let gone = before.sheets.iter().filter(|sheet| after.sheet(sheet.id).is_none());
    touched.extend(gone.map(|sheet| tell(sheet.id, None)));
    touched
}

fn changed_cells(old: &Sheet, new: &Sheet) -> Option<Rect> {
    let rows = (0..new.row_count()).filter(|row| !same_row(slot(old, *row), slot(new, *row)));
    let mut around: Option<Rect> = None;
    let bare = Cell::default();
    for row in rows {
        let width = [old, new].iter().map(|s| s.row(row).map_or(0, |r| r.cells.len())).max().unwrap_or(0) as u32;
        let differs = |c: &u32| !same_cell(old.cell(row, *c).unwrap_or(&bare), new.cell(row, *c).unwrap_or(&bare));
        let columns: Vec<u32> = (0..width).filter(differs).collect();
        let (c0, c1) = (columns.first().copied().unwrap_or(0), columns.last().map_or(1, |c| c + 1));
        let rect = around.get_or_insert(Rect { r0: row, r1: row + 1, c0, c1 });
        *rect = Rect { r0: rect.r0, r1: row + 1, c0: rect.c0.min(c0), c1: rect.c1.max(c1) };
    }
    around
}

mod texts {
    use super::{ApiError, Way};

    pub fn nothing(way: Way) -> ApiError {
        ApiError::invalid(if way == Way::Undo { "There is nothing to undo" } else { "There is nothing to redo" })
    }

    pub fn changed() -> ApiError {
        ApiError::invalid("Others have changed these cells since: they stay as they are")
    }

    pub fn moved() -> ApiError {
        ApiError::invalid("Others have moved these rows or columns since: they stay where they are")
    }

    pub fn written() -> ApiError {
        ApiError::invalid("Others have written there since: it stays as it is")
    }

    pub fn title() -> ApiError {
        ApiError::invalid("Another tab has this title now")
    }
}
