//! A row that both sides have: cell by cell.

use super::{Plan, Row, SheetChange, TableChange};
use crate::codec::{TooLong, is_error};
use crate::effect::{Conflict, Decision, Place, Problem, Refusal, Winner};
use crate::mapping::{Kind, Policy, Side};
use crate::value::{Base, Cell, Datum};

/// What becomes of one cell that is not the same on both sides.
enum Verdict {
    Push,
    Pull,
    /// Neither side's, and who chose it.
    Value(Datum, Winner),
    Wait,
    AskFunction,
}

pub(super) fn merge(
    row: &Row<'_>,
    base: Option<&Base>,
    database: &[Datum],
    sheet: &[Cell],
) -> Plan {
    let columns = row.mapping.columns.len();
    let moved = base.is_none();
    run(
        row,
        base.cloned().unwrap_or_else(|| Base::empty(columns)),
        database,
        sheet,
        moved,
        match moved && row.mapping.winner.is_some() {
            true => News::OfBoth,
            false => News::Compared,
        },
    )
}

/// The row came back to the table after it was kept in the sheet: all that the table has is new.
pub(super) fn merge_back_in_table(
    row: &Row<'_>,
    kept: &Base,
    database: &[Datum],
    sheet: &[Cell],
) -> Plan {
    let had = kept
        .sheet
        .iter()
        .enumerate()
        .map(|(column, cell)| row.mapping.decode(column, cell));
    let base = Base {
        database: had.collect(),
        sheet: kept.sheet.clone(),
    };
    run(row, base, database, sheet, true, News::OfTable)
}

/// The row came back to the sheet after it was kept in the table only: all that the sheet has is
/// new, and a value that the table lost since is a change of the table's.
pub(super) fn merge_back_in_sheet(
    row: &Row<'_>,
    kept: &Base,
    database: &[Datum],
    sheet: &[Cell],
) -> Plan {
    let lost = |(before, now): (&Datum, &Datum)| before.clone().filter(|_| now.is_none());
    let base = Base {
        database: kept.database.iter().zip(database).map(lost).collect(),
        sheet: Vec::new(),
    };
    run(row, base, database, sheet, true, News::Compared)
}

/// A row that a person moved here: what is typed is a change of the sheet's, what is left blank
/// stays as the table has it.
pub(super) fn merge_entered(row: &Row<'_>, database: &[Datum], sheet: &[Cell]) -> Plan {
    let typed = |(column, value): (usize, &Datum)| {
        let blank = sheet.get(column).is_none_or(|cell| *cell == Cell::Empty);
        value.clone().filter(|_| !blank)
    };
    let base = Base {
        database: database.iter().enumerate().map(typed).collect(),
        sheet: Vec::new(),
    };
    run(row, base, database, sheet, true, News::Compared)
}

fn run(
    row: &Row<'_>,
    mut base: Base,
    database: &[Datum],
    sheet: &[Cell],
    moved: bool,
    news: News,
) -> Plan {
    let columns = row.mapping.columns.len();
    base.database.resize(columns, None);
    base.sheet.resize(columns, Cell::Empty);
    let plan = Plan {
        base_moved: moved,
        ..Plan::default()
    };
    let mut merge = Merge {
        row,
        plan,
        base,
        news,
        values: Vec::new(),
        writes: Vec::new(),
    };
    for column in 0..columns {
        let value = database.get(column).cloned().flatten();
        let cell = sheet.get(column).cloned().unwrap_or(Cell::Empty);
        merge.column(column, value, cell);
    }
    merge.finish()
}

/// What counts as a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    /// What is otherwise than in the base.
    Compared,
    /// What the table has, even where it is what it was.
    OfTable,
    /// What each side has, and has left empty: nothing was agreed on, and a person said whose row
    /// counts.
    OfBoth,
}

struct Merge<'a> {
    row: &'a Row<'a>,
    plan: Plan,
    base: Base,
    news: News,
    values: Vec<(usize, Datum)>,
    writes: Vec<(usize, Cell, Datum)>,
}

impl Merge<'_> {
    fn column(&mut self, column: usize, value: Datum, cell: Cell) {
        let mapping = self.row.mapping;
        let base_value = self.base.database.get(column).cloned().flatten();
        let base_cell = self.base.sheet.get(column).cloned().unwrap_or(Cell::Empty);
        let renewed = self.news == News::OfTable;
        let (table_changed, sheet_changed) = (renewed || base_value != value, base_cell != cell);

        // One key, whatever the cell looks like: it names the row on both sides. Only a new
        // spelling of the table's is shown.
        let is_key = mapping.key.contains(&column);
        let agreed = is_key || self.row.agreed(column, &value, &cell);
        let outdated = !is_key && table_changed && !sheet_changed;
        let respelled = is_key && !renewed && table_changed && !sheet_changed;
        if agreed
            && !(outdated && self.is_in_an_old_form(column, &value, &cell))
            && !(respelled && self.is_shown_otherwise(column, &value, &cell))
        {
            if table_changed || sheet_changed {
                self.agree(column, value, cell);
            }
            self.settle(column);
            return;
        }
        if let Some(problem) = self.row.blank_doubted(column) {
            self.plan.withheld.push(problem);
            return;
        }
        if let Some(verdict) = self.decided(column, &value, &cell) {
            return self.carry_out(verdict, column, value, cell);
        }
        if self.pends(column, &value, &cell) {
            self.plan.waits = true;
            return;
        }
        let (table_changed, sheet_changed) = match self.news {
            News::OfBoth => (true, true),
            _ => (table_changed, sheet_changed),
        };
        let verdict = match (table_changed, sheet_changed) {
            (false, false) => {
                self.settle(column);
                return match self.is_of_another_zone(column, &value, &cell) {
                    true => self.push(column, value, &cell),
                    false => self.write_again(column, value, &cell),
                };
            }
            (true, false) if mapping.pushes(column) => Verdict::Push,
            (false, true) if mapping.pulls(column) => Verdict::Pull,
            // What may travel one way only stays as its owner has it; what the other side had is
            // kept as a conflict.
            _ if !mapping.pulls(column) && mapping.pushes(column) => Verdict::Push,
            _ if !mapping.pushes(column) && mapping.pulls(column) => Verdict::Pull,
            _ if !mapping.pushes(column) => {
                self.agree(column, value, cell);
                return;
            }
            (true, true) => self.by_policy(column, &cell),
            (false, true) | (true, false) => return,
        };
        let one_sided = match verdict {
            Verdict::Push => !sheet_changed,
            Verdict::Pull => !table_changed,
            _ => false,
        };
        let blocked = match verdict {
            Verdict::Pull => self.is_blocked(column, &cell),
            Verdict::Push => self.row.is_filled(column) && !self.shows(column, &value, &cell),
            _ => false,
        };
        if blocked {
            // It cannot be carried out, so nothing is decided yet.
        } else if self.is_left(&verdict) {
            return;
        } else if one_sided {
            self.settle(column);
        } else if !self.record(&verdict, column, base_value, &value, &cell) {
            return;
        }
        self.carry_out(verdict, column, value, cell);
    }

    /// Both sides are what they were, and not the same: what was written last did not show.
    fn write_again(&mut self, column: usize, value: Datum, cell: &Cell) {
        let troubled = self.row.troubled.iter().find(|(one, _)| *one == column);
        match troubled {
            Some((_, due)) if self.row.mapping.pushes(column) => {
                if *due && self.row.ways.push {
                    self.push(column, value, cell);
                } else {
                    self.plan.problems.push(standing(self.row, Some(column)));
                }
            }
            _ => {}
        }
    }

    /// The cell shows an instant as it was before the spreadsheet's time zone changed.
    fn is_of_another_zone(&self, column: usize, value: &Datum, cell: &Cell) -> bool {
        let mapping = self.row.mapping;
        let kind = mapping.columns.get(column).map(|one| one.kind);
        let troubled = self.row.troubled.iter().any(|(one, _)| *one == column);
        kind == Some(Kind::TimestampTz)
            && mapping.pushes(column)
            && !troubled
            && matches!(cell, Cell::Number(_))
            && matches!(mapping.encode(column, value), Ok(Cell::Number(_)))
    }

    /// The cell means the value and shows it as it was shown before the column's type changed: a
    /// number as text, say.
    fn is_in_an_old_form(&self, column: usize, value: &Datum, cell: &Cell) -> bool {
        let columns = &self.row.mapping.columns;
        let changed = columns.get(column).is_some_and(|one| one.reformat);
        changed && self.is_shown_otherwise(column, value, cell)
    }

    fn is_shown_otherwise(&self, column: usize, value: &Datum, cell: &Cell) -> bool {
        let mapping = self.row.mapping;
        let shown = mapping.encode(column, value);
        mapping.pushes(column) && shown.is_ok_and(|shown| shown != *cell)
    }

    fn agree(&mut self, column: usize, value: Datum, cell: Cell) {
        self.base.set(column, value, cell);
        self.plan.base_moved = true;
    }

    fn by_policy(&self, column: usize, cell: &Cell) -> Verdict {
        match self.row.mapping.policy_of(column) {
            Policy::DatabaseWins => Verdict::Push,
            Policy::SheetWins => Verdict::Pull,
            Policy::Manual => Verdict::Wait,
            Policy::Function if self.is_blocked(column, cell) => Verdict::Pull,
            Policy::Function => match self.row.merged {
                Some(merged) => {
                    let value = merged.get(column).cloned().flatten();
                    Verdict::Value(value, Winner::Function)
                }
                None => Verdict::AskFunction,
            },
            // A broken formula is no value that could be the last.
            Policy::LastWriteWins if is_error(cell) => Verdict::Push,
            Policy::LastWriteWins => match self.last_writer(column) {
                Side::Database => Verdict::Push,
                Side::Sheet => Verdict::Pull,
            },
        }
    }

    /// The table's change before the earlier snapshot is the older one, after the later snapshot
    /// the newer one; in between nobody can know.
    fn last_writer(&self, column: usize) -> Side {
        let (earlier, later) = self.row.window_of(column);
        match self.row.changed_at {
            Some(at) if earlier.is_some_and(|earlier| at < earlier) => Side::Sheet,
            Some(at) if at > later => Side::Database,
            _ => self.row.mapping.tie,
        }
    }

    /// A decision that a person took for this column.
    fn decided(&mut self, column: usize, value: &Datum, cell: &Cell) -> Option<Verdict> {
        let pending = self
            .row
            .pending
            .iter()
            .rev()
            .find(|one| one.column == Some(column) && one.decision.is_some())?;
        let as_seen =
            pending.database.as_ref() == Some(value) && pending.sheet.as_ref() == Some(cell);
        let verdict = match pending.decision.as_ref()? {
            Decision::Side(Side::Database) => Verdict::Push,
            Decision::Side(Side::Sheet) => Verdict::Pull,
            Decision::Value(value) => Verdict::Value(value.clone(), Winner::Value),
        };
        if self.is_left(&verdict) {
            return Some(Verdict::Wait);
        }
        let blocked = matches!(verdict, Verdict::Pull) && self.is_blocked(column, cell);
        if !as_seen && !blocked {
            // What was edited after the conflict was shown is not overwritten without a line of its
            // own.
            let base_value = self.base.database.get(column).cloned().flatten();
            self.record(&verdict, column, base_value, value, cell);
        }
        self.settle(column);
        Some(verdict)
    }

    /// Nothing has happened to the cell since its conflict was put before a person: whatever the
    /// base says of it, it waits.
    fn pends(&self, column: usize, value: &Datum, cell: &Cell) -> bool {
        self.row.mapping.policy_of(column) == Policy::Manual
            && self.row.pending.iter().any(|one| {
                one.column == Some(column)
                    && one.decision.is_none()
                    && one.database.as_ref() == Some(value)
                    && one.sheet.as_ref() == Some(cell)
            })
    }

    /// Note the conflict; false where there is nothing to do before somebody decides.
    fn record(
        &mut self,
        verdict: &Verdict,
        column: usize,
        base: Datum,
        value: &Datum,
        cell: &Cell,
    ) -> bool {
        let winner = match verdict {
            Verdict::Push => Winner::Database,
            Verdict::Pull => Winner::Sheet,
            Verdict::Value(_, chooser) => *chooser,
            Verdict::Wait => Winner::Pending,
            Verdict::AskFunction => {
                self.plan.asks_function = true;
                return false;
            }
        };
        if winner == Winner::Pending {
            self.plan.waits = true;
            let known = self.row.pending.iter().any(|one| {
                one.column == Some(column)
                    && one.database.as_ref() == Some(value)
                    && one.sheet.as_ref() == Some(cell)
            });
            if known {
                return false;
            }
        }
        self.settle(column);
        self.plan.conflicts.push(Conflict {
            key: self.row.key.clone(),
            column: Some(column),
            base: Some(base),
            database: Some(value.clone()),
            sheet: Some(cell.clone()),
            rows: None,
            database_time: self.row.changed_at,
            sheet_time: self.row.window_of(column),
            winner,
            settled: false,
        });
        winner != Winner::Pending
    }

    /// Earlier lines of this column are over when the plan is carried out.
    fn settle(&mut self, column: usize) {
        let ids = self
            .row
            .pending
            .iter()
            .filter(|one| one.column == Some(column))
            .map(|one| one.id);
        for id in ids {
            if !self.plan.settles.contains(&id) {
                self.plan.settles.push(id);
            }
        }
    }

    fn carry_out(&mut self, verdict: Verdict, column: usize, value: Datum, cell: Cell) {
        match verdict {
            Verdict::Push => self.push(column, value, &cell),
            Verdict::Pull => match self.row.meaning(column, &cell) {
                Ok(typed) => self.pull(column, typed, &cell),
                Err(refusal) => self.plan.problems.push(unread(self.row, column, refusal)),
            },
            Verdict::Value(chosen, _) => {
                let shown = self.row.agreed(column, &chosen, &cell);
                if chosen != value {
                    self.pull(column, chosen.clone(), &Cell::Empty);
                    if !shown {
                        self.plan.owed.push(column);
                    }
                }
                if !shown {
                    self.push(column, chosen, &cell);
                }
            }
            Verdict::Wait | Verdict::AskFunction => {}
        }
    }

    /// It would have to be done in a way that this cycle does not go.
    fn is_left(&mut self, verdict: &Verdict) -> bool {
        let ways = self.row.ways;
        let push = matches!(
            verdict,
            Verdict::Push | Verdict::Value(..) | Verdict::AskFunction
        ) && !ways.push;
        let pull = matches!(
            verdict,
            Verdict::Pull | Verdict::Value(..) | Verdict::AskFunction
        ) && !ways.pull;
        self.plan.push_left |= push;
        self.plan.pull_left |= pull;
        push || pull
    }

    /// The cell cannot go into the table: an error, or refused as it is.
    fn is_blocked(&self, column: usize, cell: &Cell) -> bool {
        is_error(cell)
            || self.row.meaning(column, cell).is_err()
            || self.row.refused.contains(&None)
            || self.row.refused.contains(&Some(column))
    }

    fn push(&mut self, column: usize, value: Datum, shown: &Cell) {
        let durations = match self.base.sheet.get(column) {
            Some(Cell::Number(_)) => true,
            Some(Cell::Empty) | None => self.row.durations.get(&column) == Some(&true),
            _ => false,
        };
        match self.row.mapping.encode_over(column, &value, durations) {
            Ok(cell) if cell == *shown => self.agree(column, value, cell),
            Ok(_) if !self.row.ways.push => self.plan.push_left = true,
            Ok(_) if self.row.is_filled(column) => {
                self.plan.withheld.extend(self.row.cell_withheld(column));
            }
            Ok(cell) => self.writes.push((column, cell, value)),
            Err(long) => self.plan.problems.push(too_long(self.row, column, long)),
        }
    }

    fn shows(&self, column: usize, value: &Datum, cell: &Cell) -> bool {
        let shown = self.row.mapping.encode(column, value);
        shown.is_ok_and(|shown| shown == *cell)
    }

    fn pull(&mut self, column: usize, value: Datum, cell: &Cell) {
        let refused = self.row.refused;
        if is_error(cell) {
            self.plan.problems.push(error_cell(self.row, column, cell));
        } else if refused.contains(&None) {
            self.plan.problems.push(standing(self.row, None));
        } else if refused.contains(&Some(column)) {
            self.plan.problems.push(standing(self.row, Some(column)));
        } else if !self.row.ways.pull {
            self.plan.pull_left = true;
        } else {
            self.values.push((column, value));
        }
    }

    fn finish(mut self) -> Plan {
        if self.plan.asks_function {
            return Plan {
                asks_function: true,
                ..Plan::default()
            };
        }
        if !self.values.is_empty() {
            self.plan.table = Some(TableChange::Update(self.values));
        }
        if !self.writes.is_empty() {
            self.plan.sheet = Some(SheetChange::Update(self.writes));
        }
        self.plan.base = Some(self.base);
        self.plan
    }
}

pub(super) fn too_long(row: &Row<'_>, column: usize, long: TooLong) -> Problem {
    Problem {
        place: Place {
            key: Some(row.key.clone()),
            sheet_row: None,
            column: Some(column),
        },
        side: Side::Sheet,
        code: "too_long".into(),
        message: format!(
            "The value has {} characters; a cell of a sheet holds 50,000.",
            long.characters
        ),
        hint: "Shorten the value, or leave the column out of the mapping.".into(),
        retry_at: None,
    }
}

pub(super) fn error_cell(row: &Row<'_>, column: usize, cell: &Cell) -> Problem {
    let shown = match cell {
        Cell::Text(text) => text.as_str(),
        _ => "",
    };
    Problem {
        place: Place {
            key: Some(row.key.clone()),
            sheet_row: None,
            column: Some(column),
        },
        side: Side::Database,
        code: "error_cell".into(),
        message: format!("The cell shows the error {shown}; the table keeps its value."),
        hint: "Fix the formula, or type a value.".into(),
        retry_at: None,
    }
}

/// The cell does not tell in one way what it means.
pub(super) fn unread(row: &Row<'_>, column: usize, refusal: Refusal) -> Problem {
    Problem {
        place: Place {
            key: Some(row.key.clone()),
            sheet_row: None,
            column: Some(column),
        },
        side: Side::Database,
        code: refusal.sqlstate,
        message: refusal.message,
        hint: refusal
            .hint
            .unwrap_or_else(|| "Correct the cell in the sheet.".into()),
        // As with what Postgres refuses: looked at again after a while, or when somebody waits for
        // it.
        retry_at: Some(row.window_of(column).1),
    }
}

/// A refusal that still holds: named so that it is not taken for mended. Its words are stored
/// already.
pub(super) fn standing(row: &Row<'_>, column: Option<usize>) -> Problem {
    Problem {
        place: Place {
            key: Some(row.key.clone()),
            sheet_row: None,
            column,
        },
        side: Side::Database,
        code: String::new(),
        message: String::new(),
        hint: String::new(),
        retry_at: None,
    }
}
