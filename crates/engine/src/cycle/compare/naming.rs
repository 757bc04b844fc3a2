//! Which rows of a reading have which keys, and what is none.

use std::collections::HashMap;

use crate::codec::{BytesHash, CellsHash, is_key_by_sight, is_no_key, is_no_new_key};
use crate::cycle::compare::diff::{Diff, Row, Unknown, Unreadable, sheet_problem};
use crate::cycle::memory::{RefusedKey, RefusedSight};
use crate::cycle::read::inspect::is_same;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::tell::problems::retry_at;
use crate::effect::{DatabaseEffect, DatabaseOutcome, KeyRefusal, Problem, Refusal};
use crate::io::mismatch;
use crate::mapping::{Direction, KeyEquality};
use crate::tab::Layout;
use crate::value::{Cell, Key};

/// Keys that one `NameKeys` asks about. Where equal keys may be written differently all are asked
/// about at once: only then can it be seen that two of them are one.
const NAME_KEYS: usize = 10_000;

impl Cycle {
    pub(crate) fn index_of(&mut self, key: Key) -> usize {
        self.memory.known(&key);
        self.memory.rows.get_index_of(&key).unwrap_or(usize::MAX)
    }

    /// The sheet refused the key that the row was given; the problem stands until it is tried again
    /// and takes it.
    pub(crate) fn keyless_still(
        &mut self,
        diff: &mut Diff,
        cells: CellsHash,
        at: u32,
        refused: &RefusedKey,
    ) {
        let mut refused = refused.clone();
        refused.problem.place.sheet_row = Some(at + 1);
        diff.problems.push(refused.problem.clone());
        let retry_at = refused.problem.retry_at;
        if retry_at.is_none_or(|at| self.is_due(at)) {
            diff.keyless.push(at);
        }
        self.memory.problems.refused_keys.insert(cells, refused);
    }

    /// The key of cells that read like errors, where a row with a base has just that key.
    pub(crate) fn key_of_error(&self, cells: &[Cell]) -> Option<Key> {
        let parts = self.mapping.key.iter().map(|column| {
            let cell = cells.get(*column).unwrap_or(&Cell::Empty);
            self.mapping.decode(*column, cell)
        });
        let key = Key(parts.collect::<Option<_>>()?);
        let known = self.memory.rows.get(&key)?;
        known.state.is_based().then_some(key)
    }

    pub(crate) fn error_key(&self, cells: &[Cell], at: u32, column: usize) -> Problem {
        let shown = match cells.get(column) {
            Some(Cell::Text(text)) => text.as_str(),
            _ => "an error",
        };
        sheet_problem(
            at,
            Some(column),
            "error_cell",
            format!("The key of this row shows {shown}, so nobody can tell which row it is."),
            "Fix the formula, or type the key.".into(),
        )
    }

    /// A row with content but without (all of) its key: whether it may be a new one.
    pub(crate) fn keyless_row(
        &self,
        diff: &mut Diff,
        cells: &[Cell],
        at: u32,
        column: usize,
    ) -> Unreadable {
        let mapping = &self.mapping;
        if mapping.direction == Direction::ToSheet {
            return Unreadable::Blank;
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
            None if mapping.key_generated && blank_key => {
                diff.keyless.push(at);
                return Unreadable::New;
            }
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
        Unreadable::Blank
    }

    /// The known key that a row has, where that is certain without looking more closely. Two cells
    /// of one value may show two keys, each in its own format: such a row is known only while all
    /// its cells are as they were.
    pub(crate) fn known_key(&self, typed: &Key, cells: &[Cell], shown: CellsHash) -> Option<Key> {
        let key = self.memory.canonical(&self.mapping, typed)?;
        let is_as_it_was = || {
            let known = self.memory.rows.get(&key);
            known.is_some_and(|known| known.cells == Some(shown))
        };
        let certain = !self.has_key_by_sight(cells) || is_as_it_was();
        (certain && !self.has_no_key(cells)).then_some(key)
    }

    fn has_key_by_sight(&self, cells: &[Cell]) -> bool {
        let by_sight = |column: &usize| {
            let (cell, column_of) = (cells.get(*column), self.mapping.columns.get(*column));
            matches!((cell, column_of), (Some(cell), Some(of)) if is_key_by_sight(of, cell))
        };
        self.mapping.key.iter().any(by_sight)
    }

    /// We never wrote such a key, whichever known one it reads like.
    fn has_no_key(&self, cells: &[Cell]) -> bool {
        let mapping = &self.mapping;
        let is_none = |column: &usize| {
            let (cell, column_of) = (cells.get(*column), mapping.columns.get(*column));
            matches!((cell, column_of), (Some(cell), Some(of)) if is_no_key(of, cell).is_some())
        };
        mapping.key.iter().any(is_none)
    }

    /// A key that is met for the first time.
    pub(crate) fn unknown(&self, row: Row, typed: Key, cells: &[Cell]) -> Unknown {
        let mapping = &self.mapping;
        let key = || {
            mapping.key.iter().filter_map(|column| {
                Some((*column, mapping.columns.get(*column)?, cells.get(*column)?))
            })
        };
        let refused = key().find_map(|(column, of, cell)| Some((column, is_no_new_key(of, cell)?)));
        let by_sight = key().filter(|(_, of, cell)| is_key_by_sight(of, cell));
        Unknown {
            row,
            typed,
            by_sight: by_sight
                .map(|(column, _, cell)| (column, cell.clone()))
                .collect(),
            refused,
        }
    }

    /// Each row with its key as its cells hold it and as people see it; rows whose key cannot be
    /// read are problems.
    pub(crate) async fn look_at_keys(
        &mut self,
        diff: &mut Diff,
        unknown: Vec<Unknown>,
        layout: &Layout,
    ) -> Result<Vec<(Row, Key, Key)>, Stop> {
        let mapping = self.mapping.clone();
        let mut known = Vec::with_capacity(unknown.len());
        let mut refused: HashMap<(u32, BytesHash), RefusedSight> = HashMap::new();
        let mut sights: HashMap<(u32, BytesHash), Key> = HashMap::new();
        let mut unseen = Vec::new();
        for one in unknown {
            let place = (one.row.at, one.row.bytes);
            let before = self.memory.cells.refused_sights.get(&place);
            if let Some((column, refusal)) = one.refused {
                diff.unreadable.push(one.row.refused());
                diff.problems
                    .push(unreadable_key(one.row.at, column, refusal));
            } else if let Some(sight) = before.filter(|one| !self.is_due(one.retry_at)) {
                diff.unreadable.push(one.row.refused());
                let refusal = sight.refusal.clone();
                diff.problems
                    .push(unreadable_key(one.row.at, sight.column, refusal));
                refused.insert(place, sight.clone());
            } else if let Some(read) = self.memory.cells.sights.get(&place)
                && self.rests(self.memory.aliases.get(&one.typed).unwrap_or(read))
            {
                sights.insert(place, read.clone());
                known.push((one.row, one.typed, read.clone()));
            } else {
                unseen.push(one);
            }
        }
        let by_sight = unseen.iter().flat_map(|one| {
            let at = one.row.at;
            let columns = one.by_sight.iter().map(|(column, _)| *column);
            columns.map(move |column| (at, layout.column(column)))
        });
        let places: Vec<(u32, u32)> = by_sight.collect();
        let mut details = self.inspect(places).await?.into_iter();
        for one in unseen {
            let mut read = one.typed.clone();
            let mut trouble = None;
            for ((column, cell), detail) in one.by_sight.iter().zip(details.by_ref()) {
                if !is_same(cell, &detail.value) {
                    return Err(Stop::Outdated);
                }
                let meaning = mapping.read(*column, cell, Some(&detail));
                let part = mapping.key.iter().position(|key| key == column);
                match (meaning, part.and_then(|part| read.0.get_mut(part))) {
                    (Ok(Some(text)), Some(part)) => *part = text,
                    (Ok(_), _) => {}
                    (Err(refusal), _) => trouble = trouble.or(Some((*column, refusal))),
                }
            }
            match trouble {
                Some((column, refusal)) => {
                    let place = (one.row.at, one.row.bytes);
                    let before = self.memory.cells.refused_sights.get(&place);
                    let attempts = before.map_or(0, |one| one.attempts) + 1;
                    let sight = RefusedSight {
                        column,
                        refusal: refusal.clone(),
                        attempts,
                        retry_at: retry_at(self.io.now(), &refusal.sqlstate, attempts),
                    };
                    refused.insert(place, sight);
                    diff.unreadable.push(one.row.refused());
                    diff.problems
                        .push(unreadable_key(one.row.at, column, refusal));
                }
                None => {
                    if !one.by_sight.is_empty() {
                        sights.insert((one.row.at, one.row.bytes), read.clone());
                    }
                    known.push((one.row, one.typed, read));
                }
            }
        }
        self.memory.cells.refused_sights = refused;
        self.memory.cells.sights = sights;
        Ok(known)
    }

    /// Which keys these are; what is none is a problem of its row.
    pub(crate) async fn name_rows(
        &mut self,
        diff: &mut Diff,
        unknown: Vec<(Row, Key, Key)>,
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
            let read = chunk.iter().map(|(_, _, read)| read.clone()).collect();
            let answers = self.name_keys(read).await?;
            for ((row, typed, _), answer) in chunk.into_iter().zip(answers) {
                match answer {
                    Ok(key) => named.push((row, typed, key)),
                    Err(KeyRefusal { column, refusal }) => {
                        diff.unreadable.push(row.refused());
                        diff.problems.push(unreadable_key(row.at, column, refusal));
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

    pub(crate) async fn name_keys(
        &mut self,
        typed: Vec<Key>,
    ) -> Result<Vec<Result<Key, KeyRefusal>>, Stop> {
        let asked = typed.len();
        match self.io.database(DatabaseEffect::NameKeys { typed }).await? {
            DatabaseOutcome::Named(named) if named.len() == asked => Ok(named),
            _ => Err(mismatch().into()),
        }
    }
}

fn unreadable_key(at: u32, column: usize, refusal: Refusal) -> Problem {
    let hint = refusal.hint.unwrap_or_else(|| "Correct the cell.".into());
    sheet_problem(at, Some(column), &refusal.sqlstate, refusal.message, hint)
}
