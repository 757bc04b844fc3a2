//! Formulas, computed by IronCalc. The engine holds a mirror of one workbook, in which tabs are
//! called T0, T1, ... so that no title can be mistaken; after a change only rows that differ are
//! carried over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ironcalc_base::Model;
use ironcalc_base::expressions::token::Error as EngineError;
use ironcalc_base::types::{Cell as EngineCell, FormulaValue, SpillValue};

use crate::model::a1;
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
    /// Every cell that shows a spilt value, as far as anybody knows: rows that moved took theirs
    /// along.
    spilt: BTreeSet<(u32, u32)>,
    /// Rows and columns that each formula fills, or would fill if nothing were in its way.
    areas: BTreeMap<(u32, u32), (u32, u32)>,
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
        // One more than there are: the last stays empty, so that an array can be seen whole there.
        for index in 1..=shape.tabs.len() {
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
            self.measure(index, book);
        }
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
            let moved = after.iter().flat_map(|r| r.cells.iter().enumerate());
            let moved = moved.filter(|(_, c)| c.spilt.is_some()).map(|(c, _)| (row as u32, c as u32));
            self.tabs[index].spilt.extend(moved);
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
        let tab = &mut self.tabs[index];
        let may_be_spilt = !tab.formulas.is_empty();
        tab.formulas.remove(&(row, column));
        tab.areas.remove(&(row, column));
        if may_be_spilt && !matches!(entered, Entered::Empty) {
            // Only emptying takes a cell out of the array that fills it.
            let _ = self.model.set_user_input(sheet, r, c, String::new());
        }
        // The engine refuses cells past its own limits; they then count as empty in formulas.
        let _ = match entered {
            Entered::Empty => self.model.set_user_input(sheet, r, c, String::new()),
            Entered::Number(n) => self.model.update_cell_with_number(sheet, r, c, *n),
            Entered::Bool(b) => self.model.update_cell_with_bool(sheet, r, c, *b),
            Entered::Text(t) => self.model.update_cell_with_text(sheet, r, c, t),
            Entered::Formula(f) => {
                self.tabs[index].formulas.insert((row, column));
                let text = self.translate(index, &f.text);
                self.model.set_user_input(sheet, r, c, text)
            }
        };
    }

    /// The formula in the engine's terms: tabs by their mirror names, open ends closed,
    /// ARRAYFORMULA left out since every formula may spill, `{…}` as functions that put arrays
    /// together, and a QUERY for everything as its range.
    fn translate(&self, own: usize, formula: &str) -> String {
        let tabs = &self.shape.tabs;
        let text = references::rewrite(formula, |mut reference| {
            let index = match &reference.title {
                None => own,
                Some(title) => tabs.iter().position(|t| t.1.to_lowercase() == title.to_lowercase())?,
            };
            reference.title = Some(format!("T{index}"));
            if let Some(to) = &mut reference.to {
                close(&mut reference.from, to, tabs[index].2, tabs[index].3);
            }
            Some(reference)
        });
        let text = format!("={}", text.trim_start_matches('=').trim_start());
        arrays(&text)
    }

    /// How much room the arrays take that something is in the way of.
    fn measure(&mut self, index: usize, book: &Workbook) {
        let worksheet = &self.model.workbook.worksheets[index];
        let is_blocked = |(row, column): &(u32, u32)| {
            let cell = worksheet.cell(*row as i32 + 1, *column as i32 + 1);
            cell.as_deref().is_some_and(is_blocked)
        };
        let blocked: Vec<(u32, u32)> = self.tabs[index].formulas.iter().copied().filter(is_blocked).collect();
        for at in blocked {
            let Some(formula) = book.sheets[index].cell(at.0, at.1).and_then(|cell| cell.formula()) else { continue };
            let text = self.translate(index, formula);
            let empty = self.tabs.len();
            let _ = self.model.set_user_input(empty as u32, 1, 1, text);
            self.model.evaluate();
            let whole = self.model.workbook.worksheets[empty].cell(1, 1);
            if let Some(EngineCell::ArrayFormula { r, .. }) = whole.as_deref() {
                self.tabs[index].areas.insert(at, (r.1 as u32, r.0 as u32));
            }
            let _ = self.model.set_user_input(empty as u32, 1, 1, String::new());
        }
    }

    fn bring_back(&mut self, index: usize, book: &mut Workbook) {
        let sheet_id = book.sheets[index].id;
        let (mut results, mut spilt) = (Vec::new(), Vec::new());
        let worksheet = &self.model.workbook.worksheets[index];
        let Tab { formulas, areas, spilt: before, .. } = &mut self.tabs[index];
        // In the way stands what was typed, and what another array fills.
        let blocked = |row: u32, column: u32, area: Option<&(u32, u32)>| {
            let (rows, columns) = area.copied().unwrap_or((1, 1));
            let cells = (row..row + rows).flat_map(|r| (column..column + columns).map(move |c| (r, c)));
            let mut others = cells.filter(|at| *at != (row, column));
            let sheet = &book.sheets[index];
            let is_filled = |r: u32, c: u32| {
                let cell = worksheet.cell(r as i32 + 1, c as i32 + 1);
                matches!(cell.as_deref(), Some(EngineCell::SpillCell { .. }))
            };
            let is_typed = |r, c| sheet.cell(r, c).is_some_and(|c| c.entered != Entered::Empty);
            match others.find(|(r, c)| is_typed(*r, *c) || is_filled(*r, *c)) {
                Some((r, c)) => {
                    let at = format!("{}{}", a1::column_letters(c), r + 1);
                    format!("Array result was not expanded because it would overwrite data in {at}.")
                }
                None => "Result was not automatically expanded, please insert more rows.".to_owned(),
            }
        };
        for &(row, column) in formulas.iter() {
            let Some(cell) = worksheet.cell(row as i32 + 1, column as i32 + 1) else { continue };
            match cell.as_ref() {
                cell if is_blocked(cell) => {
                    let message = blocked(row, column, areas.get(&(row, column)));
                    results.push((row, column, error(&EngineError::SPILL, &message)));
                }
                EngineCell::CellFormula { v, .. } => results.push((row, column, computed(v))),
                EngineCell::ArrayFormula { v, r, .. } => {
                    results.push((row, column, computed(v)));
                    areas.insert((row, column), (r.1 as u32, r.0 as u32));
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
        let gone: Vec<(u32, u32)> = before.difference(&now).copied().collect();
        *before = now;
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

/// `ARRAYFORMULA(x)` as `(x)`, and `{a, b; c, d}` as `VSTACK(HSTACK(a, b), HSTACK(c, d))`, outside
/// of texts.
fn arrays(formula: &str) -> String {
    let mut out = String::with_capacity(formula.len());
    let mut rest = formula;
    while let Some(c) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
        let taken = match c {
            '"' | '\'' => {
                let end = rest[1..].find(c).map_or(rest.len(), |e| e + 2);
                out.push_str(&rest[..end]);
                end
            }
            '{' => {
                let (inside, after) = enclosed(&rest[1..], '}');
                let parts = |text: &str, by: char| -> Vec<String> { split(text, by).into_iter().map(arrays).collect() };
                let rows = split(inside, ';').into_iter().map(|row| format!("HSTACK({})", parts(row, ',').join(",")));
                out.push_str(&format!("VSTACK({})", rows.collect::<Vec<_>>().join(",")));
                rest.len() - after.len()
            }
            _ if word > 0 && rest[..word].eq_ignore_ascii_case("QUERY") && rest[word..].starts_with('(') => {
                let (inside, after) = enclosed(&rest[word + 1..], ')');
                match whole_of(inside) {
                    Some(range) => out.push_str(&format!("({})", arrays(range))),
                    // The engine does not know it, and says so.
                    None => out.push_str(&format!("QUERY({})", arrays(inside))),
                }
                rest.len() - after.len()
            }
            _ if word > 0 => {
                let is_array = rest[..word].eq_ignore_ascii_case("ARRAYFORMULA") && rest[word..].starts_with('(');
                if !is_array {
                    out.push_str(&rest[..word]);
                }
                word
            }
            c => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

/// What stands before the closing bracket, and what after it.
fn enclosed(text: &str, closing: char) -> (&str, &str) {
    match top_level(text).find(|(_, c, depth)| *c == closing && *depth < 0) {
        Some((at, ..)) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

/// The range of a QUERY, by its arguments, that asks for all columns of all rows.
fn whole_of(arguments: &str) -> Option<&str> {
    let mut arguments = split(arguments, ',').into_iter();
    let range = arguments.next()?;
    let query = arguments.next().unwrap_or_default().trim().trim_matches('"').to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    matches!(words.as_slice(), [] | ["select", "*"]).then_some(range)
}

fn split(text: &str, by: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, c, depth) in top_level(text) {
        if c == by && depth == 0 {
            parts.push(&text[from..at]);
            from = at + c.len_utf8();
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Each character outside of texts, with its place and how many brackets are open after it.
fn top_level(text: &str) -> impl Iterator<Item = (usize, char, i32)> {
    let (mut depth, mut quote) = (0, None);
    text.char_indices().filter_map(move |(at, c)| {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, c) => {
                depth += i32::from(matches!(c, '(' | '{')) - i32::from(matches!(c, ')' | '}'));
                return Some((at, c, depth));
            }
        }
        None
    })
}

/// Whether the cell holds an array that something is in the way of.
fn is_blocked(cell: &EngineCell) -> bool {
    let value = match cell {
        EngineCell::CellFormula { v, .. } | EngineCell::ArrayFormula { v, .. } => v,
        _ => return false,
    };
    matches!(value, FormulaValue::Error { ei: EngineError::SPILL, .. })
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

    #[test]
    fn an_array_that_meets_a_value_shows_ref_until_it_is_gone() {
        let mut book = Workbook::new("id", "t");
        put(&mut book, &[("F1", "1"), ("G1", "2"), ("F2", "3"), ("G2", "4"), ("A1", "=ARRAYFORMULA(F1:G2*1)")]);
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        let cells = ["A1", "B1", "A2", "B2"];
        let all = |book: &Workbook| cells.map(|cell| shown(book, cell)).join(" ");
        assert_eq!(all(&book), "1 2 3 4");
        put(&mut book, &[("B2", "mine")]);
        calculator.update(&mut book);
        assert_eq!(all(&book), "#REF!   mine");
        let Some(Computed::Error(error)) = book.sheets[0].cell(0, 0).map(Cell::computed) else { panic!() };
        assert_eq!(error.message, "Array result was not expanded because it would overwrite data in B2.");
        book.grid_mut(0).unwrap().cell_mut(1, 1).entered = Entered::Empty;
        calculator.update(&mut book);
        assert_eq!(all(&book), "1 2 3 4");
    }

    #[test]
    fn an_array_that_meets_another_array_names_the_cell() {
        let mut book = Workbook::new("id", "t");
        put(&mut book, &[("A1", "1"), ("A2", "2"), ("A3", "3"), ("B3", "=TRANSPOSE(A1:A3)")]);
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        put(&mut book, &[("C2", "=ARRAYFORMULA(A1:A3*1)")]);
        calculator.update(&mut book);
        let Some(Computed::Error(error)) = book.sheets[0].cell(1, 2).map(Cell::computed) else { panic!() };
        assert_eq!(error.message, "Array result was not expanded because it would overwrite data in C3.");
    }

    #[test]
    fn an_array_that_grew_names_the_cell_in_its_way_and_none_beside_it() {
        let mut book = Workbook::new("id", "t");
        let arrays = [("D1", "=ARRAYFORMULA(FILTER(A1:A5, A1:A5 > 0))"), ("G1", "=ARRAYFORMULA(A1:A5*1)")];
        put(
            &mut book,
            &[("A1", "1"), ("A2", "2"), ("E1", "beside"), ("D4", "below"), ("H5", "beside"), arrays[0], arrays[1]],
        );
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        assert_eq!(["D1", "D2", "D3", "D4"].map(|cell| shown(&book, cell)).join(" "), "1 2  below");
        put(&mut book, &[("A3", "3"), ("A4", "4"), ("G5", "below")]);
        calculator.update(&mut book);
        for (column, at) in [(3, "D4"), (6, "G5")] {
            let Some(Computed::Error(error)) = book.sheets[0].cell(0, column).map(Cell::computed) else { panic!() };
            assert_eq!(
                error.message,
                format!("Array result was not expanded because it would overwrite data in {at}.")
            );
        }
        for cell in ["D4", "G5"] {
            put(&mut book, &[(cell, "")]);
        }
        calculator.update(&mut book);
        assert_eq!(["D1", "D2", "D3", "D4", "E1"].map(|cell| shown(&book, cell)).join(" "), "1 2 3 4 beside");
        assert_eq!(["G1", "G4", "G5", "H5"].map(|cell| shown(&book, cell)).join(" "), "1 4 0 beside");
    }

    #[test]
    fn arrays_are_put_together_by_braces() {
        let mut book = Workbook::new("id", "t");
        put(&mut book, &[("F1", "1"), ("F2", "2"), ("A1", "={\"n\", \"a;b\"; ARRAYFORMULA(F1:F2*2), F1:F2}")]);
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        assert_eq!(["A1", "B1", "A2", "B2", "A3", "B3"].map(|c| shown(&book, c)).join(" "), "n a;b 2 1 4 2");
    }

    #[test]
    fn a_query_for_everything_shows_its_range() {
        let mut book = Workbook::new("id", "t");
        let formulas = [
            ("A1", "=QUERY(F1:G2, \"select *\", 0)"),
            ("C1", "=QUERY({F1:F2})"),
            ("D1", "=QUERY(F1:F2, \"select F\")"),
        ];
        put(&mut book, &[("F1", "1"), ("G1", "x"), ("F2", "3"), ("G2", "y")]);
        put(&mut book, &formulas);
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        let all = |book: &Workbook| ["A1", "B1", "A2", "B2", "C2"].map(|cell| shown(book, cell)).join(" ");
        assert_eq!(all(&book), "1 x 3 y 3");
        assert_eq!(shown(&book, "D1"), "#NAME?");
        put(&mut book, &[("F2", "4")]);
        calculator.update(&mut book);
        assert_eq!(all(&book), "1 x 4 y 4");
    }

    #[test]
    fn functions_that_give_arrays_fill_their_neighbours() {
        let mut book = Workbook::new("id", "t");
        let formulas = [("A1", "=SEQUENCE(2)"), ("B1", "=FILTER(F1:F3, F1:F3>1)"), ("C1", "=TRANSPOSE(F1:F2)")];
        put(&mut book, &[("F1", "1"), ("F2", "2"), ("F3", "3")]);
        put(&mut book, &formulas);
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        assert_eq!(["A1", "A2", "B1", "B2", "C1", "D1"].map(|c| shown(&book, c)).join(" "), "1 2 2 3 1 2");
    }

    #[test]
    fn rows_that_move_leave_no_spilt_values_behind() {
        let mut book = Workbook::new("id", "t");
        put(&mut book, &[("F1", "1"), ("G1", "2"), ("H1", "3"), ("A1", "=TRANSPOSE(F1:H1)")]);
        let mut calculator = Calculator::new(&book);
        calculator.update(&mut book);
        let sheet = book.grid_mut(0).unwrap();
        let last = sheet.rows.remove(2);
        sheet.rows.insert(5, last);
        calculator.update(&mut book);
        assert_eq!(["A1", "A2", "A3", "A4", "A5", "A6"].map(|c| shown(&book, c)).join(" "), "1 2 3   ");
    }
}
