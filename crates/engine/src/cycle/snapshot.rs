//! What differs in a snapshot from what was last settled: by hash, row by row.

use std::collections::{HashMap, HashSet};

use super::header::Layout;
use super::io::{Stop, mismatch};
use super::memory::{NOWHERE, RefusedKey, SOMEWHERE, State, UNSETTLED};
use super::run::{Cycle, bad_answer};
use super::totals::{LAST, Tail};
use crate::codec::{hash_cells, hash_raw};
use crate::effect::{
    DatabaseEffect, DatabaseOutcome, Failure, Place, Problem, Refusal, Snapshot, TypedText,
};
use crate::mapping::{Direction, Mapping, Side};
use crate::value::{Cell, Key, Text};

/// Texts that one `Canonicalise` asks about.
const CANONICALISE: usize = 10_000;

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
    /// Keys that more than one row has: they are left alone.
    pub doubled: HashSet<Key>,
    /// Keys that are missing for the first time.
    pub unconfirmed: HashSet<Key>,
    /// Rows typed without a key that can be given one.
    pub keyless: Vec<u32>,
    pub problems: Vec<Problem>,
}

/// A row with content and without (all of) its key.
struct Keyless {
    at: u32,
    hash: i64,
    cells: Vec<Cell>,
    /// The first key column without a value.
    column: usize,
    /// A blank row stands between it and the last row with a key above it.
    apart: bool,
}

struct Row {
    at: u32,
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
        let footer = self.footer(snapshot, layout)?.unwrap_or(u32::MAX);
        let mut keyless: Vec<Keyless> = Vec::new();
        // The last record that is known, and whether a blank row follows the last one with a key.
        let (mut last_known, mut apart) = (None, false);
        let mut keyed = false;
        let rows = snapshot.rows.iter().enumerate().skip(first);
        for (at, raw_row) in rows.take_while(|(at, _)| *at < footer as usize) {
            let raw = hash_raw(raw_row.get().as_bytes());
            let index = by_position.get(at).copied().unwrap_or(usize::MAX);
            let at = u32::try_from(at).unwrap_or(NOWHERE);
            if let Some((_, known)) = self.memory.rows.get_index(index)
                && trust.bytes
                && known.raw == raw
            {
                hashes.push(known.cells);
                end = at + 1;
                (last_known, apart, keyed) = (Some(at), false, true);
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
            match typed_key(&self.mapping, &cells) {
                Typed::Blank => apart |= keyed,
                Typed::Whole(typed) => {
                    end = at + 1;
                    (apart, keyed) = (false, true);
                    match self.memory.canonical(&typed) {
                        Some(key) => {
                            last_known = Some(at);
                            seen.push((self.index_of(key), row));
                        }
                        None => unknown.push((row, typed)),
                    }
                }
                Typed::Missing(column) => keyless.push(Keyless {
                    at,
                    hash: row.cells,
                    cells,
                    column,
                    apart,
                }),
            }
        }
        // What stands apart below the last row with a key, or sums up the rows above it, is no record.
        keyless.retain(|row| !row.apart || row.at < end);
        let below = |at: u32| last_known.is_none_or(|last| at > last);
        let without = keyless.iter().map(|row| (row.at, row.hash, false));
        let with = unknown.iter().map(|(row, _)| (row.at, row.cells, true));
        let mut last: Vec<_> = without.chain(with).filter(|row| below(row.0)).collect();
        last.sort_unstable_by_key(|row| std::cmp::Reverse(row.0));
        last.truncate(LAST);
        let mut tail: Vec<Tail> = Vec::new();
        for (at, hash, keyed) in last {
            let cells = layout.mapped(&parse(snapshot, at)?);
            tail.push(Tail {
                at,
                hash,
                cells,
                keyed,
            });
        }
        let footers = self.footers(tail, layout).await?;
        keyless.retain(|row| !below(row.at) || !footers.hold(row.at, &row.cells));
        unknown.retain(|(row, _)| !footers.rows.contains(&row.at));
        if !footers.rows.is_empty() {
            let records = seen.iter().map(|(_, row)| row.at);
            let records = records.chain(unknown.iter().map(|(row, _)| row.at));
            end = records
                .max()
                .map_or(self.mapping.header_row, |last| last + 1);
        }
        for row in &keyless {
            end = end.max(row.at + 1);
            match refused_keys.get(&row.hash) {
                Some(refused) => self.keyless_still(&mut diff, row.hash, row.at, refused),
                None => self.keyless_row(&mut diff, &row.cells, row.at, row.column),
            }
        }
        drop(by_position);
        self.note_rows(hashes.into_iter());
        self.end = end;
        self.canonicalise(&mut diff, unknown, &mut seen).await?;
        self.classify(&mut diff, seen, trust);
        Ok(diff)
    }

    fn index_of(&mut self, key: Key) -> usize {
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

    async fn canonicalise(
        &mut self,
        diff: &mut Diff,
        unknown: Vec<(Row, Key)>,
        seen: &mut Vec<(usize, Row)>,
    ) -> Result<(), Stop> {
        let width = self.mapping.key.len().max(1);
        let mut rest = unknown.into_iter();
        loop {
            let chunk: Vec<_> = rest.by_ref().take((CANONICALISE / width).max(1)).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            let columns = &self.mapping.key;
            let cells: Vec<TypedText> = chunk
                .iter()
                .flat_map(|(_, typed)| columns.iter().zip(&typed.0))
                .map(|(column, text)| TypedText {
                    column: *column,
                    text: text.clone(),
                })
                .collect();
            let asked = cells.len();
            let answers = match self
                .io
                .database(DatabaseEffect::Canonicalise { cells })
                .await?
            {
                DatabaseOutcome::Canonical(answers) if answers.len() == asked => answers,
                _ => return Err(mismatch().into()),
            };
            let mut answers = answers.into_iter();
            for (row, typed) in chunk {
                let canonical: Vec<Result<Text, Refusal>> = answers.by_ref().take(width).collect();
                let mut key = Key::default();
                let mut refused = None;
                for (text, column) in canonical.into_iter().zip(&self.mapping.key) {
                    match text {
                        Ok(text) => key.0.push(text),
                        Err(refusal) => refused = refused.or(Some((*column, refusal))),
                    }
                }
                match refused {
                    Some((column, refusal)) => diff.problems.push(sheet_problem(
                        row.at,
                        Some(column),
                        &refusal.sqlstate,
                        refusal.message,
                        refusal.hint.unwrap_or_else(|| "Correct the cell.".into()),
                    )),
                    None => {
                        if key != typed {
                            self.memory.aliases.insert(typed, key.clone());
                        }
                        seen.push((self.index_of(key), row));
                    }
                }
            }
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
        self.missing(diff, &rows_of);
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
}

pub(super) fn typed_key(mapping: &Mapping, cells: &[Cell]) -> Typed {
    let mut key = Key::default();
    let mut missing = None;
    for column in &mapping.key {
        match cells.get(*column) {
            None | Some(Cell::Empty) => missing = missing.or(Some(*column)),
            Some(cell) => key.0.extend(mapping.decode(*column, cell)),
        }
    }
    let Some(column) = missing else {
        return Typed::Whole(key);
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
            key.0.join(", ")
        ),
        hint: "Give each row a key of its own, or delete the rows that are too many.".into(),
        retry_at: None,
    }
}
