//! What stands below the data and is no data: totals, and whatever else a footer holds.

use std::collections::{BTreeSet, HashMap};

use super::formulas::each_word;
use super::header::Layout;
use super::inspect::is_same;
use super::io::Stop;
use super::run::Cycle;
use super::snapshot::parse;
use crate::codec::is_error;
use crate::effect::{CellDetail, Entered, Snapshot};
use crate::mapping::{Direction, Kind, Mapping};
use crate::value::Cell;

/// So many rows at the end of the tab may be totals: a sum, a tax, the sum with it.
pub(super) const LAST: usize = 3;

/// A row below the last one that is known, which may be a record or a total.
pub(super) struct Tail {
    pub at: u32,
    pub hash: i64,
    pub cells: Vec<Cell>,
    /// Its key was typed.
    pub keyed: bool,
}

impl Cycle {
    /// The row in which the footer begins that the mapping's owner has named: the last one in which this text stands in the key's cell, or
    /// in a row without a key.
    pub(super) fn footer(&self, snapshot: &Snapshot, layout: &Layout) -> Result<Option<u32>, Stop> {
        let Some(footer) = &self.mapping.footer else {
            return Ok(None);
        };
        let quoted = serde_json::to_string(footer).unwrap_or_default();
        let begins = quoted.trim_matches('"');
        let rows = (0..)
            .zip(&snapshot.rows)
            .skip(self.mapping.header_row as usize);
        let mut found = None;
        for (at, _) in rows.filter(|(_, raw)| raw.get().contains(begins)) {
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

    /// Which of these rows are no records: they compute their cells from the rows above, as totals do, or hold nothing but what a formula
    /// elsewhere fills. Asked once for what a row shows.
    pub(super) async fn footers(
        &mut self,
        tail: Vec<Tail>,
        layout: &Layout,
    ) -> Result<Footers, Stop> {
        let mapping = self.mapping.clone();
        let columns: Vec<usize> = (0..mapping.columns.len())
            .filter(|column| {
                let column = mapping.columns.get(*column);
                column.is_some_and(|one| one.direction != Direction::FromSheet)
            })
            .collect();
        let known = std::mem::take(&mut self.memory.tails);
        let mut cells = Vec::new();
        for row in &tail {
            match known.get(&row.hash) {
                Some(kind) => {
                    self.memory.tails.insert(row.hash, *kind);
                }
                None if may_be_none(&mapping, &columns, row) => {
                    cells.extend(columns.iter().map(|one| (row.at, layout.column(*one))));
                }
                None => {}
            }
        }
        let details = self.inspect(cells.clone()).await?;
        let mut seen: HashMap<u32, Vec<CellDetail>> = HashMap::new();
        for ((row, _), detail) in cells.into_iter().zip(details) {
            seen.entry(row).or_default().push(detail);
        }
        let mut footers = Footers::default();
        for row in &tail {
            if let Some(details) = seen.get(&row.at) {
                let values = columns.iter().map(|column| row.cells.get(*column));
                let is_row = values
                    .zip(details)
                    .all(|(cell, detail)| cell.is_some_and(|cell| is_same(cell, &detail.value)));
                if is_row {
                    self.memory.tails.insert(row.hash, kind(row, details));
                } else {
                    // Another row stands there by now.
                    self.stale = true;
                }
            }
            match self.memory.tails.get(&row.hash) {
                Some(End::Total) => {
                    footers.rows.insert(row.at);
                }
                Some(End::Filled) => {
                    footers.rows.insert(row.at);
                    footers
                        .filled
                        .extend(row.cells.iter().enumerate().filter_map(shown));
                }
                Some(End::Record) | None => {}
            }
        }
        Ok(footers)
    }
}

/// What a row at the end of the tab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Record,
    Total,
    /// All that it holds is what a formula elsewhere fills.
    Filled,
}

#[derive(Default)]
pub(super) struct Footers {
    pub rows: BTreeSet<u32>,
    /// Mapped columns that a formula fills beyond the data.
    filled: BTreeSet<usize>,
}

impl Footers {
    /// Whether a row without a key is no record: it is a footer, or shows only what a formula fills.
    pub(super) fn hold(&self, at: u32, cells: &[Cell]) -> bool {
        let mut columns = cells.iter().enumerate().filter_map(shown);
        self.rows.contains(&at) || columns.all(|column| self.filled.contains(&column))
    }
}

fn shown((column, cell): (usize, &Cell)) -> Option<usize> {
    (*cell != Cell::Empty).then_some(column)
}

fn kind(row: &Tail, details: &[CellDetail]) -> End {
    let sums = |detail: &CellDetail| match &detail.entered {
        Entered::Formula(text) => sums_rows(text, row.at, row.keyed),
        Entered::Nothing | Entered::Value => false,
    };
    let mut shown = details.iter().filter(|detail| detail.value != Cell::Empty);
    if details.iter().any(sums) {
        End::Total
    } else if !row.keyed && shown.all(|detail| detail.entered == Entered::Nothing) {
        End::Filled
    } else {
        End::Record
    }
}

/// Below the data a row without a key may be anything. With a key it is a total only if it shows a number, or the error of one; and a key
/// that is a number names a record.
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

/// Whether a formula in this row (0-based) sums up other rows: a range over several rows that its own is not in, whole columns, or a
/// sum of names. In a row without a key single cells of other rows will do.
fn sums_rows(formula: &str, row: u32, keyed: bool) -> bool {
    const SUMS: [&str; 12] = [
        "SUM",
        "SUBTOTAL",
        "AGGREGATE",
        "AVERAGE",
        "COUNT",
        "COUNTA",
        "COUNTIF",
        "COUNTUNIQUE",
        "MAX",
        "MIN",
        "SUMIF",
        "SUMIFS",
    ];
    let own = row.saturating_add(1);
    let (mut refers, mut others, mut sums) = (false, false, false);
    let mut from: Option<Reference> = None;
    each_word(formula, |word, next| {
        if next == Some('(') {
            sums |= SUMS.iter().any(|name| name.eq_ignore_ascii_case(word));
            from = None;
            return;
        }
        let reference = Reference::of(word);
        match (from.take(), reference) {
            (Some(from), Some(to)) => {
                refers = true;
                let (first, last) = (from.row.unwrap_or(1), to.row.unwrap_or(u32::MAX));
                let open = to.row.is_none();
                others |= open || first != last && !(first..=last).contains(&own);
            }
            (None, Some(one)) if next == Some(':') => from = Some(one),
            (None, Some(one)) => {
                if let Some(at) = one.row {
                    refers = true;
                    others |= !keyed && at != own && !one.fixed;
                }
            }
            (_, None) => {}
        }
    });
    others || sums && !refers
}

/// A cell of a formula, or one end of a range.
struct Reference {
    /// As people count; `None` where a whole column is meant.
    row: Option<u32>,
    fixed: bool,
}

impl Reference {
    fn of(word: &str) -> Option<Self> {
        let fixed_column = word.starts_with('$');
        let rest = word.strip_prefix('$').unwrap_or(word);
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        if letters == 0 || letters > 3 {
            return None;
        }
        let (_, row) = rest.split_at(letters);
        let fixed_row = row.starts_with('$');
        let digits = row.strip_prefix('$').unwrap_or(row);
        let row = match digits {
            "" => None,
            digits => Some(digits.parse().ok()?),
        };
        Some(Self {
            row,
            fixed: fixed_column && fixed_row,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::sums_rows;

    #[test]
    fn a_total_sums_up_other_rows() {
        for formula in [
            "=SUM(C2:C3)",
            "=SUBTOTAL(9,$C$2:$C$3)",
            "=SUM(C2:C)",
            "=SUM(C:C)",
            "=C2+C3",
            "=IF(COUNTA(B2:B3)=0,\"C5:C5\",AVERAGE(C2:C3))",
            "=SUM(amounts)",
            "=ROUND(SUM(C2:C3)*1.2,2)",
        ] {
            assert!(sums_rows(formula, 4, false), "{formula}");
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
        ] {
            assert!(!sums_rows(formula, 4, false), "{formula}");
        }
        assert!(!sums_rows("=C4+B5", 4, true));
    }
}
