//! Formulas, computed by IronCalc. The engine holds a mirror of one workbook, in which tabs are called T0, T1, ... so that
//! no title can be mistaken; after a change only rows that differ are carried over.

use std::collections::BTreeSet;
use std::sync::Arc;

use ironcalc_base::Model;
use ironcalc_base::expressions::token::Error as EngineError;
use ironcalc_base::types::{Cell as EngineCell, FormulaValue, SpillValue};

use crate::model::area::Bounds;
use crate::model::cell::{Cell, CellError, Computed, Entered, ErrorKind};
use crate::model::references::{self, End};
use crate::model::sheet::{Rows, Sheet};
use crate::model::workbook::Workbook;

pub struct Calculator {
    model: Model<'static>,
    shape: Shape,
    tabs: Vec<Tab>,
}

/// What the mirror is built for; anything else means building it anew.
#[derive(PartialEq)]
struct Shape {
    /// Id, title, and the size that open ranges end at.
    tabs: Vec<(i64, String, u32, u32)>,
    names: Vec<(String, i64, Bounds)>,
}

#[derive(Default)]
struct Tab {
    rows: Rows,
    formulas: BTreeSet<(u32, u32)>,
    spilt: BTreeSet<(u32, u32)>,
}

/// Open ranges end at the next multiple of this, so that a new row does not rebuild the mirror.
const STEP: u32 = 1000;

impl Shape {
    fn of(book: &Workbook) -> Self {
        let up = |n: u32| n.div_ceil(STEP) * STEP;
        let tab = |s: &Arc<Sheet>| (s.id, s.title.clone(), up(s.row_count()), up(s.column_count()).min(16_384));
        Self {
            tabs: book.sheets.iter().map(tab).collect(),
            names: book.names.iter().map(|n| (n.name.clone(), n.range.sheet, n.range.bounds)).collect(),
        }
    }
}

pub fn has_formulas(book: &Workbook) -> bool {
    let formula = |c: &Cell| c.formula().is_some();
    book.sheets.iter().any(|s| s.rows.iter().flatten().any(|r| r.cells.iter().any(formula)))
}

impl Calculator {
    pub fn new(book: &Workbook) -> Self {
        let shape = Shape::of(book);
        let mut model = Model::new_empty("sheetd", "en", "UTC", "en").expect("built-in locale and language");
        model.rename_sheet_by_index(0, "T0").expect("a plain name");
        for index in 1..shape.tabs.len() {
            model.add_sheet(&format!("T{index}")).expect("a plain name");
        }
        for (name, sheet, bounds) in &shape.names {
            if let Some(index) = book.position(*sheet) {
                let (_, _, rows, columns) = shape.tabs[index];
                let r = bounds.clamp(rows, columns);
                let echo = crate::model::a1::echo(&format!("T{index}"), r.r0, r.c0, r.r1, r.c1);
                let (tab, cells) = echo.rsplit_once('!').expect("an echo has a bang");
                let fixed = references::offset(cells, 0, 0);
                // A name that the engine does not take stays unknown to formulas.
                let _ = model.new_defined_name(name, None, &format!("{tab}!{}", absolute(&fixed)));
            }
        }
        let tabs = shape.tabs.iter().map(|_| Tab::default()).collect();
        Self { model, shape, tabs }
    }

    /// Carries changes over, computes, and writes results that changed into the workbook.
    pub fn update(&mut self, book: &mut Workbook) {
        if self.shape != Shape::of(book) {
            *self = Self::new(book);
        }
        for index in 0..self.tabs.len() {
            self.carry(index, &book.sheets[index].clone());
        }
        self.model.evaluate();
        for index in 0..self.tabs.len() {
            self.bring_back(index, book);
            self.tabs[index].rows = book.sheets[index].rows.clone();
        }
    }

    fn carry(&mut self, index: usize, sheet: &Sheet) {
        let old = std::mem::take(&mut self.tabs[index].rows);
        for row in 0..old.len().max(sheet.rows.len()) {
            let (before, after) = (old.get(row).cloned().flatten(), sheet.rows.get(row).cloned().flatten());
            let same = match (&before, &after) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            if same {
                continue;
            }
            let cells = |r: &Option<Arc<crate::model::sheet::Row>>, c: usize| {
                r.as_ref().and_then(|r| r.cells.get(c)).map(|c| c.entered.clone()).unwrap_or_default()
            };
            let width = |r: &Option<Arc<crate::model::sheet::Row>>| r.as_ref().map_or(0, |r| r.cells.len());
            for column in 0..width(&before).max(width(&after)) {
                let new = cells(&after, column);
                if !same_input(&cells(&before, column), &new) {
                    self.set(index, row as u32, column as u32, &new);
                }
            }
        }
    }

    fn set(&mut self, index: usize, row: u32, column: u32, entered: &Entered) {
        let (sheet, r, c) = (index as u32, row as i32 + 1, column as i32 + 1);
        let formulas = &mut self.tabs[index].formulas;
        formulas.remove(&(row, column));
        // The engine refuses cells past its own limits; they then count as empty in formulas.
        let _ = match entered {
            Entered::Empty => self.model.set_user_input(sheet, r, c, String::new()),
            Entered::Number(n) => self.model.update_cell_with_number(sheet, r, c, *n),
            Entered::Bool(b) => self.model.update_cell_with_bool(sheet, r, c, *b),
            Entered::Text(t) => self.model.update_cell_with_text(sheet, r, c, t),
            Entered::Formula(f) => {
                formulas.insert((row, column));
                let text = self.translate(index, &f.text);
                self.model.set_user_input(sheet, r, c, text)
            }
        };
    }

    /// The formula in the engine's terms: tabs by their mirror names, open ends closed, ARRAYFORMULA left out since
    /// every formula may spill.
    fn translate(&self, own: usize, formula: &str) -> String {
        let tabs = &self.shape.tabs;
        let text = references::rewrite(formula, |mut reference| {
            let index = match &reference.title {
                None => own,
                Some(title) => tabs.iter().position(|t| t.1.to_lowercase() == title.to_lowercase())?,
            };
            if reference.title.is_some() {
                reference.title = Some(format!("T{index}"));
            }
            if let Some(to) = &mut reference.to {
                close(&mut reference.from, to, tabs[index].2, tabs[index].3);
            }
            Some(reference)
        });
        let text = format!("={}", text.trim_start_matches('=').trim_start());
        let upper = text.to_ascii_uppercase();
        match upper.find("ARRAYFORMULA(") {
            Some(at) => format!("{}{}", &text[..at], &text[at + "ARRAYFORMULA".len()..]),
            None => text,
        }
    }

    fn bring_back(&mut self, index: usize, book: &mut Workbook) {
        let sheet_id = book.sheets[index].id;
        let (mut results, mut spilt) = (Vec::new(), Vec::new());
        let worksheet = &self.model.workbook.worksheets[index];
        for &(row, column) in &self.tabs[index].formulas {
            let Some(cell) = worksheet.cell(row as i32 + 1, column as i32 + 1) else { continue };
            match cell.as_ref() {
                EngineCell::CellFormula { v, .. } => results.push((row, column, computed(v))),
                EngineCell::ArrayFormula { v, r, .. } => {
                    results.push((row, column, computed(v)));
                    for i in 0..r.1 as u32 {
                        for j in (0..r.0 as u32).filter(|j| (i, *j) != (0, 0)) {
                            let at = (row + i, column + j);
                            if let Some(EngineCell::SpillCell { v, .. }) =
                                worksheet.cell(at.0 as i32 + 1, at.1 as i32 + 1).as_deref()
                            {
                                spilt.push((at, spilt_value(v)));
                            }
                        }
                    }
                }
                EngineCell::ErrorCell { ei, .. } => results.push((row, column, error(ei, ""))),
                EngineCell::NumberCell { v, .. } => results.push((row, column, Computed::Number(*v))),
                EngineCell::BooleanCell { v, .. } => results.push((row, column, Computed::Bool(*v))),
                // The engine could not read it as a formula.
                _ => results.push((row, column, error(&EngineError::ERROR, "Formula parse error."))),
            }
        }
        let now: BTreeSet<(u32, u32)> = spilt.iter().map(|(at, _)| *at).collect();
        let gone: Vec<(u32, u32)> = self.tabs[index].spilt.difference(&now).copied().collect();
        self.tabs[index].spilt = now;
        let sheet = Arc::make_mut(&mut book.sheets[index]);
        debug_assert_eq!(sheet.id, sheet_id);
        for (row, column, result) in results {
            if let Some(Entered::Formula(f)) = sheet.cell(row, column).map(|c| &c.entered)
                && f.result != result
                && let Entered::Formula(f) = &mut sheet.cell_mut(row, column).entered
            {
                f.result = result;
            }
        }
        for at in gone {
            if sheet.cell(at.0, at.1).is_some_and(|c| c.spilt.is_some()) {
                sheet.cell_mut(at.0, at.1).spilt = None;
                sheet.trim_row(at.0);
            }
        }
        for ((row, column), value) in spilt {
            let fits = row < sheet.row_count() && column < sheet.column_count();
            if fits && sheet.cell(row, column).and_then(|c| c.spilt.as_deref()) != Some(&value) {
                sheet.cell_mut(row, column).spilt = Some(Box::new(value));
            }
        }
    }
}

fn same_input(a: &Entered, b: &Entered) -> bool {
    match (a, b) {
        (Entered::Formula(a), Entered::Formula(b)) => a.text == b.text,
        _ => a == b,
    }
}

fn close(from: &mut End, to: &mut End, rows: u32, columns: u32) {
    if from.row.is_none() && to.row.is_some()
        || from.row.is_some() && to.row.is_none()
        || from.column.is_none() != to.column.is_none()
    {
        from.row = from.row.or(Some(0));
        from.column = from.column.or(Some(0));
        to.row = to.row.or(Some(rows - 1));
        to.column = to.column.or(Some(columns - 1));
    }
}

/// `A1:B2` as `$A$1:$B$2`.
fn absolute(cells: &str) -> String {
    let one = |cell: &str| {
        let letters = cell.bytes().take_while(u8::is_ascii_alphabetic).count();
        format!("${}${}", &cell[..letters], &cell[letters..])
    };
    cells.split(':').map(one).collect::<Vec<_>>().join(":")
}

fn computed(value: &FormulaValue) -> Computed {
    match value {
        FormulaValue::Unevaluated => Computed::Empty,
        FormulaValue::Boolean(b) => Computed::Bool(*b),
        FormulaValue::Number(n) => Computed::Number(*n),
        FormulaValue::Text(t) => Computed::Text(t.clone()),
        FormulaValue::Error { ei, d } => error(ei, &d.m),
    }
}

fn spilt_value(value: &SpillValue) -> Computed {
    match value {
        SpillValue::Boolean(b) => Computed::Bool(*b),
        SpillValue::Number(n) => Computed::Number(*n),
        SpillValue::Text(t) => Computed::Text(t.clone()),
        SpillValue::Error(e) => error(e, ""),
    }
}

/// Errors that Sheets does not have are shown as those that it shows instead.
fn error(kind: &EngineError, message: &str) -> Computed {
    let kind = match kind {
        EngineError::REF | EngineError::SPILL | EngineError::CIRC => ErrorKind::Ref,
        EngineError::NAME | EngineError::NIMPL => ErrorKind::Name,
        EngineError::VALUE | EngineError::CALC => ErrorKind::Value,
        EngineError::DIV => ErrorKind::DivideByZero,
        EngineError::NA => ErrorKind::NotAvailable,
        EngineError::NUM => ErrorKind::Num,
        EngineError::NULL => ErrorKind::Null,
        EngineError::ERROR => ErrorKind::Error,
    };
    Computed::Error(CellError { kind, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(book: &mut Workbook, cells: &[(&str, &str)]) {
        for (cell, text) in cells {
            let rect = book.within_grid(&book.resolve(cell).unwrap()).unwrap();
            let entered = crate::model::entered::parse(text, "en_US", 2026, false).entered;
            book.grid_mut(0).unwrap().cell_mut(rect.r0, rect.c0).entered = entered;
        }
    }

    fn shown(book: &Workbook, cell: &str) -> String {
        let rect = book.within_grid(&book.resolve(cell).unwrap()).unwrap();
        book.sheets[0].cell(rect.r0, rect.c0).map(crate::model::render::formatted).unwrap_or_default()
    }

    #[test]
    fn computes_and_follows_changes() {
        let mut book = Workbook::new("id", "t");
        put(
            &mut book,
            &[
                ("A1", "2"),
                ("A2", "3"),
                ("B1", "=SUM(A:A)"),
                ("B2", "= 1 / 1024"),
                ("B3", "=A1/0"),
                ("B4", "=SUM(A2:A)"),
            ],
        );
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        for (cell, want) in [("B1", "5"), ("B2", "0.0009765625"), ("B3", "#DIV/0!"), ("B4", "3")] {
            assert_eq!(shown(&book, cell), want, "{cell}");
        }
        put(&mut book, &[("A1", "40")]);
        calculator.update(&mut book);
        assert_eq!(shown(&book, "B1"), "43");
    }

    #[test]
    fn arrays_spill_and_recede() {
        let mut book = Workbook::new("id", "t");
        put(&mut book, &[("A1", "2"), ("A2", "3"), ("C1", "=ARRAYFORMULA(A1:A2*2)")]);
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        assert_eq!((shown(&book, "C1"), shown(&book, "C2")), ("4".into(), "6".into()));
        put(&mut book, &[("C1", "x")]);
        calculator.update(&mut book);
        assert_eq!((shown(&book, "C1"), shown(&book, "C2")), ("x".into(), "".into()));
    }
}
