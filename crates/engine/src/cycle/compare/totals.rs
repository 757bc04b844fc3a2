//! Rows of the tab that are no records: totals, and what stands in a footer below the data.

use crate::cycle::memory::End;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::codec::{CellsHash, is_error};
use crate::cycle::compare::diff::{Diff, Typed, sheet_problem, typed_key};
use crate::cycle::read::grid::{may_hold, parse};
use crate::cycle::read::references::Used;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{CellDetail, Entered, Problem, Snapshot};
use crate::mapping::{Direction, Kind, Mapping};
use crate::tab::Layout;
use crate::value::Cell;

/// So many rows at the end of the tab may be totals: a sum, a tax, the sum with it.
pub(crate) const LAST: usize = 3;

/// So many rows without a key are looked at that stand above the last record: a total above the
/// data, sums of parts of it.
pub(crate) const AMONG: usize = 20;

/// A row that may be a record or a total: one without a key, or below the last one that is known.
pub(crate) struct Tail {
    pub at: u32,
    pub hash: CellsHash,
    pub cells: Vec<Cell>,
    /// Its key was typed.
    pub keyed: bool,
    /// It stands above the last record.
    pub among: bool,
}

impl Cycle {
    /// The row in which the footer begins that the mapping's owner has named: the last one in which
    /// this text stands in the key's cell, or in a row without a key.
    pub(crate) fn footer(&self, snapshot: &Snapshot, layout: &Layout) -> Result<Option<u32>, Stop> {
        let Some(footer) = &self.mapping.footer else {
            return Ok(None);
        };
        let rows = (0..)
            .zip(&snapshot.rows)
            .skip(self.mapping.header_row as usize);
        let mut found = None;
        for (at, _) in rows.filter(|(_, raw)| may_hold(raw.get(), &[footer])) {
            let row = parse(snapshot, at)?;
            let is_footer = |cell: &Cell| matches!(cell, Cell::Text(text) if text.trim() == footer);
            let mapped = layout.mapped(&row);
            let mut key = self
                .mapping
                .key
                .iter()
                .filter_map(|column| mapped.get(*column));
            let is_record = key.all(|cell| *cell != Cell::Empty && !is_footer(cell));
            if !is_record && row.iter().any(is_footer) {
                found = Some(at);
            }
        }
        Ok(found)
    }

    /// Rows of the table that stand below the footer by now, and not `above`, are not gone:
    /// somebody has moved the footer, or typed its text once more. What stood below it while its
    /// key stood above is another table of people's.
    pub(crate) fn below_footer(
        &mut self,
        diff: &mut Diff,
        snapshot: &Snapshot,
        layout: &Layout,
        (footer, above): (Option<u32>, impl Iterator<Item = usize>),
    ) -> Result<(), Stop> {
        let others = std::mem::take(&mut self.memory.cells.below_footer);
        let Some(footer) = footer else {
            return Ok(());
        };
        let above: HashSet<usize> = above.collect();
        let rows = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
        let mut below = Vec::new();
        for at in footer..rows {
            let cells = layout.mapped(&parse(snapshot, at)?);
            let Typed::Whole(typed) = typed_key(&self.mapping, &cells) else {
                continue;
            };
            let Some(key) = self.memory.canonical(&self.mapping, &typed) else {
                continue;
            };
            let known = self.memory.rows.get_full(&key);
            let is_above = known.is_some_and(|(index, ..)| above.contains(&index));
            let is_agreed = known.is_some_and(|(.., known)| known.state.is_agreed());
            if is_above || others.contains(&key) {
                self.memory.cells.below_footer.insert(key);
            } else if is_agreed {
                below.push((key, at));
            }
        }
        if let Some((key, _)) = below.first() {
            let rows = match below.len() {
                1 => format!("The row {} stands", key.shown()),
                count => format!("{count} rows, {} among them, stand", key.shown()),
            };
            let text = self.mapping.footer.as_deref().unwrap_or_default();
            diff.problems.push(sheet_problem(
                footer,
                None,
                "below_footer",
                format!(
                    "{rows} below \"{text}\", where the data end: left alone, here and in the table."
                ),
                format!(
                    "Move \"{text}\" below the last record again. If the data end elsewhere, have the mapping's footer changed."
                ),
            ));
        }
        diff.alike.append(&mut below);
        Ok(())
    }

    /// Which of these rows are no records: they compute their cells from the rows above, as totals
    /// do, or hold nothing but what a formula elsewhere fills. Asked once for what a row shows in
    /// its place.
    pub(crate) async fn footers(
        &mut self,
        mut tail: Vec<Tail>,
        layout: &Layout,
    ) -> Result<Footers, Stop> {
        let mapping = self.mapping.clone();
        let columns: Vec<usize> = (0..mapping.columns.len())
            .filter(|column| {
                let column = mapping.columns.get(*column);
                column.is_some_and(|one| one.direction != Direction::FromSheet)
            })
            .collect();
        let known = std::mem::take(&mut self.memory.cells.tails);
        let mut cells = Vec::new();
        for row in &tail {
            match known.get(&(row.at, row.hash)) {
                Some(kind) => {
                    self.memory.cells.tails.insert((row.at, row.hash), *kind);
                }
                None if may_be_none(&mapping, &columns, row) => {
                    cells.extend(columns.iter().map(|one| (row.at, layout.column(*one))));
                }
                None => {}
            }
        }
        let details = self.inspect_as_read(cells.clone()).await?;
        let mut seen: HashMap<u32, Vec<CellDetail>> = HashMap::new();
        for ((row, _), detail) in cells.into_iter().zip(details) {
            seen.entry(row).or_default().push(detail);
        }
        let mut footers = Footers::default();
        tail.sort_unstable_by_key(|row| row.at);
        for row in &tail {
            if let Some(details) = seen.get(&row.at) {
                let kind = kind(row, details, &footers.rows);
                self.memory.cells.tails.insert((row.at, row.hash), kind);
            }
            match self.memory.cells.tails.get(&(row.at, row.hash)) {
                Some(End::Total) => {
                    footers.rows.insert(row.at);
                }
                Some(End::Filled) => {
                    footers.rows.insert(row.at);
                    footers
                        .filled
                        .extend(row.cells.iter().enumerate().filter_map(shown));
                }
                Some(End::Unclear) => {
                    footers.unclear.insert(row.at);
                }
                Some(End::Record) | None => {}
            }
        }
        Ok(footers)
    }
}

#[derive(Default)]
pub(crate) struct Footers {
    pub rows: BTreeSet<u32>,
    /// Rows that may be records or totals.
    pub unclear: BTreeSet<u32>,
    /// Mapped columns that a formula fills beyond the data.
    filled: BTreeSet<usize>,
}

impl Footers {
    /// Whether a row without a key is no record: it is a footer, or shows only what a formula
    /// fills.
    pub(crate) fn hold(&self, at: u32, cells: &[Cell]) -> bool {
        let mut columns = cells.iter().enumerate().filter_map(shown);
        self.rows.contains(&at) || columns.all(|column| self.filled.contains(&column))
    }
}

fn shown((column, cell): (usize, &Cell)) -> Option<usize> {
    (*cell != Cell::Empty).then_some(column)
}

fn kind(row: &Tail, details: &[CellDetail], totals: &BTreeSet<u32>) -> End {
    let by_formula = |detail: &CellDetail| match &detail.entered {
        Entered::Formula(text) => Some(computes(text, row.at, row.keyed, totals)),
        Entered::Nothing | Entered::Value => None,
    };
    // Among records a row whose formula may be either is one of them.
    let counts = |end: &End| !row.among || *end != End::Unclear;
    let ends: Vec<End> = details
        .iter()
        .filter_map(by_formula)
        .filter(counts)
        .collect();
    let mut shown = details.iter().filter(|detail| detail.value != Cell::Empty);
    if ends.contains(&End::Total) {
        End::Total
    } else if ends.contains(&End::Unclear) {
        End::Unclear
    } else if !row.keyed && shown.all(|detail| detail.entered == Entered::Nothing) {
        End::Filled
    } else {
        End::Record
    }
}

/// Neither a record nor a total before a person says which.
pub(crate) fn unclear_total(at: u32, keyed: bool) -> Problem {
    let (because, record) = match keyed {
        true => (
            "a formula in it sums up other rows",
            "have the formula stand in a column that is not mapped",
        ),
        false => (
            "it has no key, and a formula in it computes from other rows",
            "type its key",
        ),
    };
    sheet_problem(
        at,
        None,
        "total_unclear",
        format!("Nobody can tell whether this row is a record or a total: {because}."),
        format!(
            "If it is a record, {record}. If it is a total, leave a blank row above it and its key blank, or have the mapping's footer name its text."
        ),
    )
}

/// Below the data a row without a key may be anything. With a key it is a total only if it shows a
/// number, or the error of one; and a key that is a number names a record.
fn may_be_none(mapping: &Mapping, columns: &[usize], row: &Tail) -> bool {
    let shows = |column: &usize| {
        let cell = row.cells.get(*column);
        cell.is_some_and(|cell| matches!(cell, Cell::Number(_)) || is_error(cell))
    };
    let numbered = |column: &usize| {
        let kind = mapping.columns.get(*column).map(|one| one.kind);
        kind != Some(Kind::Text) && matches!(row.cells.get(*column), Some(Cell::Number(_)))
    };
    let names_a_record = mapping.key.iter().all(numbered);
    !row.keyed || !names_a_record && columns.iter().any(shows)
}

/// What a row (0-based) is by one of its formulas. It is a total where the formula sums up other
/// rows, or computes from several of them or from another total. A formula that takes something
/// from its own row is a record's, even where it looks through whole columns; but where it sums up
/// rows above besides, and where it computes from one other row only, nobody can tell.
fn computes(formula: &str, row: u32, keyed: bool, totals: &BTreeSet<u32>) -> End {
    let used = Used::by(formula, row);
    let one = used.single.iter().next().copied();
    let below_a_total = one.is_some_and(|one| totals.contains(&one.saturating_sub(1)));
    let sums_up = used.sums && (used.several || used.columns || !used.refers);
    let sums_cells = used.single.len() > 1 || used.sums && one.is_some() || below_a_total;
    match used.own {
        true if used.sums && used.several => End::Unclear,
        true => End::Record,
        false if sums_up || !keyed && sums_cells => End::Total,
        false if !keyed && (one.is_some() || used.sums && used.elsewhere) => End::Unclear,
        false if used.sums && one.is_some() => End::Unclear,
        false => End::Record,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In row 5, below a record in row 4.
    fn unkeyed(formula: &str) -> End {
        computes(formula, 4, false, &BTreeSet::new())
    }

    #[test]
    fn a_total_sums_up_other_rows() {
        for formula in [
            "=SUM(C2:C3)",
            "=SUBTOTAL(9,$C$2:$C$3)",
            "=SUM(C2:C)",
            "=SUM(C:C)",
            "=COUNTIF(B:B,\"open\")",
            "=SUMPRODUCT(C2:C3,D2:D3)",
            "=C2+C3",
            "=SUM(C3:C3)",
            "=SUM(C6:C)",
            "=IF(COUNTA(B2:B3)=0,\"C5:C5\",AVERAGE(C2:C3))",
            "=SUM(amounts)",
            "=ROUND(SUM(C2:C3)*1.2,2)",
        ] {
            assert_eq!(unkeyed(formula), End::Total, "{formula}");
        }
    }

    #[test]
    fn a_record_computes_from_its_own_row() {
        for formula in [
            "=B5*C5",
            "=SUM(B5:D5)",
            "=TODAY()",
            "=\"C2:C3\"",
            "=B5*$F$1",
            "=LEN(name)",
            "=SUM(C$2:C5)",
            "=VLOOKUP(B5,D:E,2,FALSE)",
            "=VLOOKUP(B5,Prices!A:B,2,FALSE)",
            "=VLOOKUP(\"Pen\",D:E,2,FALSE)",
            "=COUNTIF(B:B,B5)",
            "=SUMIF(B:B,B5,C:C)",
            "=C5/SUM(C:C)",
            "=D4+C5",
        ] {
            assert_eq!(unkeyed(formula), End::Record, "{formula}");
        }
        let keyed = |formula| computes(formula, 4, true, &BTreeSet::new());
        for formula in ["=C4+B5", "=C4+1", "=SUM('Last year'!C2:C9)"] {
            assert_eq!(keyed(formula), End::Record, "{formula}");
        }
    }

    #[test]
    fn what_may_be_either_is_asked_about() {
        for formula in [
            "=B4+1",
            "=SUM(C2:C4)*(1+B5)",
            "=C5-AVERAGE(C$2:C4)",
            "=SUM(Sales!C2:C9)",
            "=SUM('Last year'!C2:C9)",
        ] {
            assert_eq!(unkeyed(formula), End::Unclear, "{formula}");
        }
        // One record is left above it.
        let keyed = computes("=SUM(C2:C2)", 4, true, &BTreeSet::new());
        assert_eq!(keyed, End::Unclear);
    }

    #[test]
    fn what_computes_from_a_total_belongs_to_it() {
        let totals = BTreeSet::from([3]);
        assert_eq!(computes("=C4*0.2", 4, false, &totals), End::Total);
    }
}
