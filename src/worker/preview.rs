//! What `preview()` answers: where a guard would stop, how many rows would change and why, and then
//! the changes one by one.

use engine::effect::{NEW_COLUMN, Operation, Planned, Report, Stopped};
use engine::mapping::Side;
use engine::value::{Datum, Key};
use std::collections::HashSet;

use super::database::{column_name, key_literal};
use super::mappings::Loaded;
use super::states;
use crate::postgres::statement::Session;

/// More changes than these are counted and not listed: nobody reads them, and to store them would
/// keep the worker from the other tables.
const LISTED: usize = 10_000;

pub struct Preview<'a> {
    mapping: &'a Loaded,
    lines: Vec<Line>,
}

#[derive(Default)]
struct Line {
    changes: Option<Side>,
    operation: Option<Operation>,
    key: Option<Key>,
    column: Option<usize>,
    old: Datum,
    new: Datum,
    reason: String,
    /// Of a line that counts: how many rows it stands for.
    rows: Option<i64>,
}

impl<'a> Preview<'a> {
    /// `lacks_tab`: the tab would be made. `stopped`: the guard at which the cycle came to its end.
    pub fn new(
        mapping: &'a Loaded,
        lacks_tab: bool,
        report: &mut Report,
        stopped: Option<Stopped>,
    ) -> Self {
        let planned = std::mem::take(&mut report.planned);
        let (changes, others): (Vec<_>, Vec<_>) = planned.into_iter().partition(is_of_a_row);
        let (columns, guards): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|line| line.reason == NEW_COLUMN);
        let mut lines: Vec<Line> = stopped.into_iter().map(of_guard).collect();
        lines.extend(guards.into_iter().map(Line::from));
        lines.extend(counted(&changes));
        lines.extend(lacks_tab.then(|| new_tab(mapping)));
        lines.extend(columns.into_iter().map(Line::from));
        let rest = changes.get(LISTED..).map_or(0, |rest| rows(rest.iter()));
        lines.extend(changes.into_iter().take(LISTED).map(Line::from));
        lines.extend((rest > 0).then(|| Line {
            reason: "not_listed".to_owned(),
            rows: Some(rest),
            ..Line::default()
        }));
        Self { mapping, lines }
    }

    /// `None` where that was not possible.
    pub fn store(&self, request: u64) -> Option<()> {
        states::store(|session| {
            for (number, line) in self.lines.iter().enumerate() {
                self.store_line(session, request, number, line);
            }
        })
    }

    fn store_line(&self, session: &mut Session, request: u64, number: usize, line: &Line) {
        let changes = line.changes.map(|side| match side {
            Side::Database => "database",
            Side::Sheet => "sheet",
        });
        let operation = line.operation.map(|operation| match operation {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
        });
        session.execute(
            "INSERT INTO sheet_sync._preview (request_id, line, mapping_id, changes, operation, key, column_name, old_value, new_value, reason, rows) \
             VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9, $10, $11)",
            &[
                (request as i64).into(),
                (number as i32).into(),
                self.mapping.id.into(),
                changes.into(),
                operation.into(),
                line.key.as_ref().map(key_literal).into(),
                column_name(self.mapping, line.column).into(),
                line.old.as_deref().into(),
                line.new.as_deref().into(),
                line.reason.as_str().into(),
                line.rows.into(),
            ],
        );
    }
}

impl From<Planned> for Line {
    fn from(planned: Planned) -> Self {
        Self {
            changes: Some(planned.side),
            operation: Some(planned.operation),
            key: planned.key,
            column: planned.column,
            old: planned.old,
            new: planned.new,
            reason: planned.reason,
            rows: None,
        }
    }
}

/// A row of the sheet without a usable key is one, too; guards speak of many.
fn is_of_a_row(line: &Planned) -> bool {
    let has_place = line.operation == Operation::Insert && line.reason != NEW_COLUMN;
    line.key.is_some() || has_place
}

fn of_guard(stopped: Stopped) -> Line {
    let (reason, message, hint) = match stopped {
        Stopped::Guard {
            reason,
            message,
            hint,
            ..
        } => (reason, message, hint),
        Stopped::Failure(failure) => (failure.reason, failure.message, failure.hint),
    };
    Line {
        new: Some(format!("{message} {hint}").into()),
        reason: reason.to_string(),
        ..Line::default()
    }
}

fn new_tab(mapping: &Loaded) -> Line {
    Line {
        changes: Some(Side::Sheet),
        operation: Some(Operation::Insert),
        new: mapping.sheet_title.as_deref().map(Into::into),
        reason: "new_tab".to_owned(),
        ..Line::default()
    }
}

/// A line for each kind of change, in the order in which they were found.
fn counted(changes: &[Planned]) -> Vec<Line> {
    let mut kinds: Vec<(&Planned, Vec<&Planned>)> = Vec::new();
    for line in changes {
        let is_alike = |(one, _): &&mut (&Planned, Vec<&Planned>)| {
            (one.side, one.operation, &one.reason) == (line.side, line.operation, &line.reason)
        };
        match kinds.iter_mut().find(is_alike) {
            Some((_, lines)) => lines.push(line),
            None => kinds.push((line, vec![line])),
        }
    }
    let line = |(first, lines): (&Planned, Vec<&Planned>)| Line {
        changes: Some(first.side),
        operation: Some(first.operation),
        reason: first.reason.clone(),
        rows: Some(rows(lines.into_iter())),
        ..Line::default()
    };
    kinds.into_iter().map(line).collect()
}

/// How many rows these lines are about; one without a key has one line.
fn rows<'a>(lines: impl Iterator<Item = &'a Planned>) -> i64 {
    let (mut keys, mut without_key) = (HashSet::new(), 0);
    for line in lines {
        match &line.key {
            Some(key) => {
                keys.insert(key);
            }
            None => without_key += 1,
        }
    }
    keys.len() as i64 + without_key
}
