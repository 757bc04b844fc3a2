//! What differs in a snapshot from what was last settled: by hash, row by row.

use std::collections::{HashMap, HashSet};

use super::header::Layout;
use super::io::{Stop, mismatch};
use super::memory::{NOWHERE, RefusedKey, SOMEWHERE, State, UNSETTLED};
use super::run::{Cycle, bad_answer};
use crate::codec::{hash_cells, hash_raw, is_past_exact, is_rounded};
use crate::effect::{
    DatabaseEffect, DatabaseOutcome, Failure, KeyRefusal, Place, Problem, Snapshot,
};
use crate::mapping::{Direction, KeyEquality, Mapping, Side};
use crate::value::{Cell, Key};

/// Keys that one `NameKeys` asks about. Where equal keys may be written differently all are asked about at once: only then can it be
/// seen that two of them are one.
const NAME_KEYS: usize = 10_000;

/// A key that has to be looked at, and where the sheet has it.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub key: Key,
    /// The snapshot's row; `None` where the sheet does not have the key.
    pub row: Option<u32>,
    pub raw: u64,
}

/// What of the memory tells that a row is as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    /// Equal bytes: only while the columns stand where they stood.
    pub bytes: bool,
    pub cells: bool,
}

#[derive(Debug, Default)]
pub(super) struct Diff {
    pub changed: Vec<Sighting>,
    /// Known keys that this snapshot and an earlier one miss.
    pub missing: Vec<Sighting>,
    /// Keys that more than one row has, or of which it cannot be told whether a row has them: they are left alone.
    pub doubled: HashSet<Key>,
    /// Keys that a row may have whose own key cannot be told from them, and where that stands.
    pub held: Vec<(Key, u32)>,
    /// Keys that are missing for the first time.
    pub unconfirmed: HashSet<Key>,
    /// Rows typed without a key that can be given one.
    pub keyless: Vec<u32>,
    pub problems: Vec<Problem>,
}

pub(super) struct Row {
    pub at: u32,
    raw: u64,
    cells: i64,
}

pub(super) fn parse(snapshot: &Snapshot, row: u32) -> Result<Vec<Cell>, Failure> {
    match snapshot.rows.get(row as usize) {
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|error| bad_answer(format!("Row {}: {error}", row + 1))),
        None => Ok(Vec::new()),
    }
}

impl Cycle {
    pub(super) async fn diff(
        &mut self,
        snapshot: &Snapshot,
        layout: &Layout,
        trust: Trust,
    ) -> Result<Diff, Stop> {
        let mut diff = Diff::default();
        let mut unknown: Vec<(Row, Key)> = Vec::new();
        let mut seen: Vec<(usize, Row)> = Vec::new();
        let mut hashes = Vec::with_capacity(snapshot.rows.len());
        let mut by_position = vec![usize::MAX; snapshot.rows.len()];
        for (index, known) in self.memory.rows.values().enumerate() {
            if let Some(slot) = by_position.get_mut(known.row as usize) {
                *slot = index;
            }
        }
        let refused_keys = std::mem::take(&mut self.memory.refused_keys);
        let first = self.mapping.header_row as usize;
        let mut end = self.mapping.header_row;
        for (at, raw_row) in snapshot.rows.iter().enumerate().skip(first) {
            let raw = hash_raw(raw_row.get().as_bytes());
            let index = by_position.get(at).copied().unwrap_or(usize::MAX);
            let at = u32::try_from(at).unwrap_or(NOWHERE);
            if let Some((_, known)) = self.memory.rows.get_index(index)
                && trust.bytes
                && known.raw == raw
                && known.is_certain(&self.mapping)
            {
                hashes.push(known.cells);
                end = at + 1;
                seen.push((
                    index,
                    Row {
                        at,
                        raw,
                        cells: known.cells,
                    },
                ));
                continue;
            }
            let cells = layout.mapped(&parse(snapshot, at)?);
            let row = Row {
                at,
                raw,
                cells: hash_cells(&cells),
            };
            hashes.push(row.cells);
            let typed = typed_key(&self.mapping, &cells);
            if !matches!(typed, Typed::Blank) {
                end = at + 1;
            }
            match typed {
                Typed::Blank => {}
                Typed::Whole(typed) => match self.memory.canonical(&self.mapping, &typed) {
                    Some(key) => seen.push((self.index_of(key), row)),
                    None => match self.rounded(&cells) {
                        Some(column) => diff.problems.push(self.rounded_key(at, column)),
                        None => unknown.push((row, typed)),
                    },
                },
                Typed::Rounded(column) => diff.problems.push(self.rounded_key(at, column)),
                Typed::Missing(column) => match refused_keys.get(&row.cells) {
                    Some(refused) => self.keyless_still(&mut diff, row.cells, at, refused),
                    None => self.keyless_row(&mut diff, &cells, at, column),
                },
            }
        }
        drop(by_position);
        self.note_rows(hashes.into_iter());
        self.end = end;
        self.name_rows(&mut diff, unknown, &mut seen).await?;
        self.classify(&mut diff, seen, trust);
        Ok(diff)
    }

    pub(super) fn index_of(&mut self, key: Key) -> usize {
        self.memory.known(&key);
        self.memory.rows.get_index_of(&key).unwrap_or(usize::MAX)
    }

    /// The sheet refused the key that the row was given; the problem stands until it is tried again and takes it.
    fn keyless_still(&mut self, diff: &mut Diff, cells: i64, at: u32, refused: &RefusedKey) {
        let mut refused = refused.clone();
        refused.problem.place.sheet_row = Some(at + 1);
        diff.problems.push(refused.problem.clone());
        let retry_at = refused.problem.retry_at;
        if retry_at.is_none_or(|at| self.is_due(at)) {
            diff.keyless.push(at);
        }
        self.memory.refused_keys.insert(cells, refused);
    }

    /// A row with content but without (all of) its key.
    fn keyless_row(&self, diff: &mut Diff, cells: &[Cell], at: u32, column: usize) {
        let mapping = &self.mapping;
        if mapping.direction == Direction::ToSheet {
            return;
        }
        let blank_key = mapping
            .key
            .iter()
            .all(|key| cells.get(*key).is_none_or(|cell| *cell == Cell::Empty));
        let incomplete = mapping
            .columns
            .iter()
            .enumerate()
            .find(|(index, description)| {
                let empty = mapping
                    .decode(*index, cells.get(*index).unwrap_or(&Cell::Empty))
                    .is_none();
                empty
                    && !description.nullable
                    && !description.has_default
                    && mapping.pulls(*index)
                    && !mapping.key.contains(index)
            });
        match incomplete {
            None if mapping.key_generated && blank_key => diff.keyless.push(at),
            Some((index, description)) if mapping.key_generated && blank_key => {
                diff.problems.push(sheet_problem(
                    at,
                    Some(index),
                    "incomplete_row",
                    format!("The row has no {} yet.", description.header),
                    format!(
                        "Fill in {}; the row then gets its key and reaches the table.",
                        description.header
                    ),
                ))
            }
            _ => {
                let header = mapping
                    .columns
                    .get(column)
                    .map_or("", |description| description.header.as_str());
                diff.problems.push(sheet_problem(
                    at,
                    Some(column),
                    "missing_key",
                    format!("The row has no {header}, so it cannot be told from other rows."),
                    format!("Type a {header} that no other row has."),
                ));
            }
        }
    }

    /// A number in the key that may not be the one which was typed.
    fn rounded(&self, cells: &[Cell]) -> Option<usize> {
        let mut key = self.mapping.key.iter().copied();
        key.find(|column| {
            let description = self.mapping.columns.get(*column);
            let cell = cells.get(*column);
            matches!((description, cell), (Some(one), Some(cell)) if is_rounded(one.kind, cell))
        })
    }

    fn rounded_key(&self, at: u32, column: usize) -> Problem {
        let header = self.mapping.columns.get(column);
        let header = header.map_or("", |one| one.header.as_str());
        sheet_problem(
            at,
            Some(column),
            "too_many_digits",
            format!(
                "The {header} has more digits than a number in a cell keeps: its last digits are not those that were typed."
            ),
            "Type it once more with an apostrophe (') before the first digit: then the cell keeps every digit.".into(),
        )
    }

    /// Which keys these are; what is none is a problem of its row.
    async fn name_rows(
        &mut self,
        diff: &mut Diff,
        unknown: Vec<(Row, Key)>,
        seen: &mut Vec<(usize, Row)>,
    ) -> Result<(), Stop> {
        let together = match self.mapping.key_equality {
            KeyEquality::ByText => NAME_KEYS,
            KeyEquality::ByOperator => usize::MAX,
        };
        let mut named = Vec::with_capacity(unknown.len());
        let mut rest = unknown.into_iter();
        loop {
            let chunk: Vec<_> = rest.by_ref().take(together).collect();
            if chunk.is_empty() {
                break;
            }
            let typed = chunk.iter().map(|(_, typed)| typed.clone()).collect();
            let answers = self.name_keys(typed).await?;
            for ((row, typed), answer) in chunk.into_iter().zip(answers) {
                match answer {
                    Ok(key) => named.push((row, typed, key)),
                    Err(refused) => {
                        let refusal = refused.refusal;
                        diff.problems.push(sheet_problem(
                            row.at,
                            Some(refused.column),
                            &refusal.sqlstate,
                            refusal.message,
                            refusal.hint.unwrap_or_else(|| "Correct the cell.".into()),
                        ));
                    }
                }
            }
        }
        for (row, typed, key) in self.without_look_alikes(diff, named).await? {
            if key != typed {
                self.memory.aliases.insert(typed, key.clone());
            }
            seen.push((self.index_of(key), row));
        }
        Ok(())
    }

    pub(super) async fn name_keys(
        &mut self,
        typed: Vec<Key>,
    ) -> Result<Vec<Result<Key, KeyRefusal>>, Stop> {
        let asked = typed.len();
        match self.io.database(DatabaseEffect::NameKeys { typed }).await? {
            DatabaseOutcome::Named(named) if named.len() == asked => Ok(named),
            _ => Err(mismatch().into()),
        }
    }

    fn classify(&mut self, diff: &mut Diff, seen: Vec<(usize, Row)>, trust: Trust) {
        let mut rows_of: Vec<u32> = vec![NOWHERE; self.memory.rows.len()];
        let mut doubled: HashMap<usize, Vec<u32>> = HashMap::new();
        for (index, row) in &seen {
            match rows_of.get_mut(*index) {
                Some(slot) if *slot == NOWHERE => *slot = row.at,
                Some(slot) => doubled
                    .entry(*index)
                    .or_insert_with(|| vec![*slot])
                    .push(row.at),
                None => {}
            }
        }
        for (index, row) in seen {
            let Some((key, known)) = self.memory.rows.get_index_mut(index) else {
                continue;
            };
            known.missing = 0;
            if doubled.contains_key(&index) {
                known.row = NOWHERE;
                known.raw = SOMEWHERE;
                known.cells = UNSETTLED;
                continue;
            }
            known.row = row.at;
            let again = known.before == row.cells && known.cells != row.cells;
            let risen = self.memory.buried.remove(key) && known.state == State::Unbased;
            if trust.cells
                && row.cells != UNSETTLED
                && (again && known.state == State::Based || risen)
            {
                // The next reading tells whether this is news.
                known.before = UNSETTLED;
                known.raw = 0;
                self.soon = true;
                self.held_back = true;
                diff.unconfirmed.insert(key.clone());
                continue;
            }
            let settled = trust.cells && row.cells != UNSETTLED && known.cells == row.cells;
            if settled {
                known.raw = row.raw;
            } else {
                known.raw = 0;
                diff.changed.push(Sighting {
                    key: key.clone(),
                    row: Some(row.at),
                    raw: row.raw,
                });
            }
        }
        for (index, rows) in &doubled {
            if let Some((key, _)) = self.memory.rows.get_index(*index) {
                diff.problems
                    .extend(rows.iter().map(|row| doubled_key(key, *row, rows)));
                diff.doubled.insert(key.clone());
            }
        }
        for (key, row) in std::mem::take(&mut diff.held) {
            self.hold_alike(diff, &mut rows_of, key, row);
        }
        self.missing(diff, &rows_of);
    }

    /// Whether the row is gone cannot be told: one that may be it stands there.
    fn hold_alike(&mut self, diff: &mut Diff, rows_of: &mut [u32], key: Key, row: u32) {
        let Some((index, _, known)) = self.memory.rows.get_full_mut(&key) else {
            return;
        };
        match rows_of.get_mut(index) {
            Some(slot) if *slot == NOWHERE => *slot = row,
            _ => return,
        }
        known.row = NOWHERE;
        known.raw = SOMEWHERE;
        known.cells = UNSETTLED;
        known.missing = 0;
        diff.doubled.insert(key);
    }

    fn missing(&mut self, diff: &mut Diff, rows_of: &[u32]) {
        let suspect = std::mem::take(&mut self.memory.suspect);
        let snapshot = self.memory.snapshots;
        let closed = self.is_closed();
        for ((key, known), row) in self.memory.rows.iter_mut().zip(rows_of) {
            if *row != NOWHERE {
                continue;
            }
            let was_seen = known.row != NOWHERE || known.raw == SOMEWHERE;
            known.row = NOWHERE;
            known.raw = 0;
            match known.state {
                State::Based | State::Marked if known.missing == 0 && suspect => {
                    known.state = State::Left;
                    known.missing = snapshot;
                    diff.missing.push(Sighting {
                        key: key.clone(),
                        row: None,
                        raw: 0,
                    });
                }
                // One reading that misses a row may be a partial or an old one.
                State::Unbased
                | State::Announced
                | State::Inserting
                | State::Based
                | State::Marked
                | State::Left
                    if known.missing == 0 && (was_seen || known.state.is_based()) =>
                {
                    known.missing = snapshot;
                    self.soon = true;
                    diff.unconfirmed.insert(key.clone());
                }
                State::Absent => {}
                State::Announced if closed => {}
                // Looked at once more before it is forgotten: the table may have it.
                State::Unbased
                | State::Announced
                | State::Inserting
                | State::Based
                | State::Marked
                | State::Left => diff.missing.push(Sighting {
                    key: key.clone(),
                    row: None,
                    raw: 0,
                }),
            }
        }
    }
}

pub(super) enum Typed {
    Blank,
    Whole(Key),
    /// The first key column without a value.
    Missing(usize),
    /// A key column whose number is surely not the one that was typed.
    Rounded(usize),
}

pub(super) fn typed_key(mapping: &Mapping, cells: &[Cell]) -> Typed {
    let is_rounded = |column: &usize| {
        let (description, cell) = (mapping.columns.get(*column), cells.get(*column));
        matches!((description, cell), (Some(one), Some(cell)) if is_past_exact(one.kind, cell))
    };
    if let Some(column) = mapping.key.iter().copied().find(is_rounded) {
        return Typed::Rounded(column);
    }
    if let Some(key) = mapping.typed_key(cells) {
        return Typed::Whole(key);
    }
    let is_blank = |column: &usize| matches!(cells.get(*column), None | Some(Cell::Empty));
    let Some(column) = mapping.key.iter().copied().find(is_blank) else {
        return Typed::Blank;
    };
    // Formula columns are filled far below the data; they make no row.
    let typed = mapping
        .columns
        .iter()
        .zip(cells)
        .any(|(description, cell)| {
            *cell != Cell::Empty
                && *cell != Cell::Bool(false)
                && description.direction != Direction::FromSheet
        });
    if typed {
        Typed::Missing(column)
    } else {
        Typed::Blank
    }
}

pub(super) fn sheet_problem(
    at: u32,
    column: Option<usize>,
    code: &str,
    message: String,
    hint: String,
) -> Problem {
    Problem {
        place: Place {
            key: None,
            sheet_row: Some(at + 1),
            column,
        },
        side: Side::Database,
        code: code.into(),
        message,
        hint,
        retry_at: None,
    }
}

fn doubled_key(key: &Key, row: u32, rows: &[u32]) -> Problem {
    let rows: Vec<String> = rows.iter().map(|row| (row + 1).to_string()).collect();
    Problem {
        place: Place {
            key: Some(key.clone()),
            sheet_row: Some(row + 1),
            column: None,
        },
        side: Side::Database,
        code: "duplicate_key".into(),
        message: format!(
            "Rows {} of the sheet have the same key {}.",
            rows.join(", "),
            key.shown()
        ),
        hint: "Give each row a key of its own, or delete the rows that are too many.".into(),
        retry_at: None,
    }
}
