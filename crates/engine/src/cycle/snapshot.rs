//! What differs in a snapshot from what was last settled: by hash, row by row.

use std::collections::{HashMap, HashSet};

use super::grid::parse;
use super::header::Layout;
use super::inspect::is_same;
use super::io::{Stop, mismatch};
use super::memory::{Known, Position, RefusedKey, RefusedSight, State};
use super::problems::retry_at;
use super::run::Cycle;
use super::totals::{AMONG, LAST, Tail, unclear_total};
use crate::codec::{
    BytesHash, CellsHash, hash_bytes, hash_cells, is_error, is_key_by_sight, is_no_key,
    is_no_new_key,
};
use crate::effect::{
    DatabaseEffect, DatabaseOutcome, KeyRefusal, Place, Problem, Refusal, Snapshot,
};
use crate::mapping::{Direction, KeyEquality, Mapping, Side};
use crate::value::{Cell, Key, Timestamp};

/// Keys that one `NameKeys` asks about. Where equal keys may be written differently all are asked
/// about at once: only then can it be seen that two of them are one.
const NAME_KEYS: usize = 10_000;

/// A key that has to be looked at, and where the sheet has it.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub key: Key,
    /// The snapshot's row; `None` where the sheet does not have the key.
    pub row: Option<u32>,
    /// The row's bytes; `None` where no reading is at hand.
    pub bytes: Option<BytesHash>,
}

/// What of the memory tells that a row is as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    /// Equal bytes: only while the columns stand where they stood.
    pub bytes: bool,
    pub cells: bool,
}

/// Why nobody can tell which row it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A key cell shows a formula's error.
    Error,
    /// A key cell is blank.
    Blank,
    /// The key is blank, and the row can be given one: it may be a new row.
    New,
    /// The type of a key column does not take its cell.
    Refused,
    /// Other rows have the same key.
    Doubled(Key),
}

/// A row of the reading without a key that names it.
#[derive(Clone, Debug)]
pub(super) struct UnreadableRow {
    pub at: u32,
    pub why: Unreadable,
    /// Its mapped cells.
    pub cells: CellsHash,
}

#[derive(Debug, Default)]
pub(super) struct Diff {
    pub changed: Vec<Sighting>,
    /// Known keys that this snapshot and an earlier one miss.
    pub missing: Vec<Sighting>,
    /// Keys that are left alone: more than one row has them, or a row that may be theirs has
    /// another key or none that can be read.
    pub hidden: HashSet<Key>,
    /// Rows without a key that names them.
    pub unreadable: Vec<UnreadableRow>,
    /// Keys to which another row may belong, and where that row stands: its own key only looks like
    /// the one here, or it stands below the footer.
    pub alike: Vec<(Key, u32)>,
    /// Keys on which nothing is agreed, and where each stands.
    pub unbased: Vec<(Key, u32)>,
    /// Keys of which the next reading has to tell whether they are missing.
    pub unconfirmed: HashSet<Key>,
    /// Of missing keys, those whose row stands under another key now.
    pub renamed: HashSet<Key>,
    /// Rows typed without a key that can be given one.
    pub keyless: Vec<u32>,
    pub problems: Vec<Problem>,
}

/// A row with content and without (all of) its key.
struct Keyless {
    at: u32,
    hash: CellsHash,
    cells: Vec<Cell>,
    /// The first key column without a value.
    column: usize,
    /// A blank row stands between it and the last row with a key above it.
    apart: bool,
}

pub(super) struct Row {
    pub at: u32,
    bytes: BytesHash,
    cells: CellsHash,
}

impl Row {
    /// Nobody can tell which row it is by the key that it has.
    pub fn refused(&self) -> UnreadableRow {
        UnreadableRow {
            at: self.at,
            why: Unreadable::Refused,
            cells: self.cells,
        }
    }
}

/// A row whose key was not met before.
struct Unknown {
    row: Row,
    /// As its cells hold it.
    typed: Key,
    /// Cells of the key that mean what people see in them.
    by_sight: Vec<(usize, Cell)>,
    /// Of a key that no cell keeps: in which column it stands, and why it is none.
    refused: Option<(usize, Refusal)>,
}

impl Cycle {
    pub(super) async fn diff(
        &mut self,
        snapshot: &Snapshot,
        layout: &Layout,
        trust: Trust,
    ) -> Result<Diff, Stop> {
        let mut diff = Diff::default();
        let mut unknown: Vec<Unknown> = Vec::new();
        let mut seen: Vec<(usize, Row)> = Vec::new();
        let mut hashes = Vec::with_capacity(snapshot.rows.len());
        let mut by_position = vec![usize::MAX; snapshot.rows.len()];
        for (index, known) in self.memory.rows.values().enumerate() {
            let slot = known
                .row()
                .and_then(|row| by_position.get_mut(row as usize));
            if let Some(slot) = slot {
                *slot = index;
            }
        }
        let first = self.mapping.header_row as usize;
        let mut end = self.mapping.header_row;
        let footer = self.footer(snapshot, layout)?;
        let below_data = footer.unwrap_or(u32::MAX);
        let mut keyless: Vec<Keyless> = Vec::new();
        // The last record that is known, and whether a blank row follows the last one with a key.
        let (mut last_known, mut apart) = (None, false);
        let mut keyed = false;
        let rows = snapshot.rows.iter().enumerate().skip(first);
        for (at, raw_row) in rows.take_while(|(at, _)| *at < below_data as usize) {
            let bytes = hash_bytes(raw_row.get().as_bytes());
            let index = by_position.get(at).copied().unwrap_or(usize::MAX);
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            if let Some((_, known)) = self.memory.rows.get_index(index)
                && trust.bytes
                && known.bytes == Some(bytes)
                && let Some(cells) = known.cells
                && known.is_certain(&self.mapping)
            {
                hashes.push(cells);
                end = at + 1;
                (last_known, apart, keyed) = (Some(at), false, true);
                seen.push((index, Row { at, bytes, cells }));
                continue;
            }
            let cells = layout.mapped(&parse(snapshot, at)?);
            let hash = hash_cells(&cells);
            let row = Row {
                at,
                bytes,
                cells: hash,
            };
            hashes.push(row.cells);
            match typed_key(&self.mapping, &cells) {
                Typed::Blank => apart |= keyed,
                Typed::Whole(typed) => {
                    end = at + 1;
                    (apart, keyed) = (false, true);
                    match self.known_key(&typed, &cells, hash) {
                        Some(key) => {
                            last_known = Some(at);
                            seen.push((self.index_of(key), row));
                        }
                        None => unknown.push(self.unknown(row, typed, &cells)),
                    }
                }
                Typed::Error(column) => {
                    end = at + 1;
                    (apart, keyed) = (false, true);
                    match self.key_of_error(&cells) {
                        // The table has a row whose key reads like an error.
                        Some(key) => {
                            last_known = Some(at);
                            seen.push((self.index_of(key), row));
                        }
                        None => {
                            diff.problems.push(self.error_key(&cells, at, column));
                            diff.unreadable.push(UnreadableRow {
                                at,
                                why: Unreadable::Error,
                                cells: row.cells,
                            });
                        }
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
        // What stands apart below the last row with a key, or sums up the rows above it, is no
        // record.
        keyless.retain(|row| !row.apart || row.at < end);
        let below = |at: u32| last_known.is_none_or(|last| at > last);
        let without = keyless.iter().map(|row| (row.at, row.hash, false));
        let with = unknown.iter().map(|one| (one.row.at, one.row.cells, true));
        let (mut last, among): (Vec<_>, Vec<_>) = without.chain(with).partition(|row| below(row.0));
        last.sort_unstable_by_key(|row| std::cmp::Reverse(row.0));
        last.truncate(LAST);
        let among = among.into_iter().filter(|row| !row.2).take(AMONG);
        let mut tail: Vec<Tail> = Vec::new();
        for (at, hash, keyed) in last.into_iter().chain(among) {
            let cells = layout.mapped(&parse(snapshot, at)?);
            tail.push(Tail {
                at,
                hash,
                cells,
                keyed,
                among: !below(at),
            });
        }
        let footers = self.footers(tail, layout).await?;
        keyless.retain(|row| match below(row.at) {
            true => !footers.hold(row.at, &row.cells),
            false => !footers.rows.contains(&row.at),
        });
        unknown.retain(|one| !footers.rows.contains(&one.row.at));
        for one in unknown.extract_if(.., |one| footers.unclear.contains(&one.row.at)) {
            diff.problems.push(unclear_total(one.row.at, true));
            diff.unreadable.push(one.row.refused());
        }
        if !footers.rows.is_empty() {
            let records = seen.iter().map(|(_, row)| row.at);
            let records = records.chain(unknown.iter().map(|one| one.row.at));
            let records = records.chain(diff.unreadable.iter().map(|row| row.at));
            end = records
                .max()
                .map_or(self.mapping.header_row, |last| last + 1);
        }
        let refused_keys = std::mem::take(&mut self.memory.refused_keys);
        for row in &keyless {
            end = end.max(row.at + 1);
            match refused_keys.get(&row.hash) {
                _ if footers.unclear.contains(&row.at) => {
                    diff.problems.push(unclear_total(row.at, false));
                    diff.unreadable.push(UnreadableRow {
                        at: row.at,
                        why: Unreadable::Blank,
                        cells: row.hash,
                    });
                }
                Some(refused) => self.keyless_still(&mut diff, row.hash, row.at, refused),
                None => {
                    let why = self.keyless_row(&mut diff, &row.cells, row.at, row.column);
                    diff.unreadable.push(UnreadableRow {
                        at: row.at,
                        why,
                        cells: row.hash,
                    });
                }
            }
        }
        drop(by_position);
        self.note_rows(hashes.into_iter());
        self.end = end;
        let unknown = self.look_at_keys(&mut diff, unknown, layout).await?;
        self.name_rows(&mut diff, unknown, &mut seen).await?;
        let above = seen.iter().map(|(index, _)| *index);
        self.below_footer(&mut diff, snapshot, layout, (footer, above))?;
        self.classify(&mut diff, seen, trust, snapshot.sent_at);
        Ok(diff)
    }

    pub(super) fn index_of(&mut self, key: Key) -> usize {
        self.memory.known(&key);
        self.memory.rows.get_index_of(&key).unwrap_or(usize::MAX)
    }

    /// The sheet refused the key that the row was given; the problem stands until it is tried again
    /// and takes it.
    fn keyless_still(&mut self, diff: &mut Diff, cells: CellsHash, at: u32, refused: &RefusedKey) {
        let mut refused = refused.clone();
        refused.problem.place.sheet_row = Some(at + 1);
        diff.problems.push(refused.problem.clone());
        let retry_at = refused.problem.retry_at;
        if retry_at.is_none_or(|at| self.is_due(at)) {
            diff.keyless.push(at);
        }
        self.memory.refused_keys.insert(cells, refused);
    }

    /// The key of cells that read like errors, where a row with a base has just that key.
    fn key_of_error(&self, cells: &[Cell]) -> Option<Key> {
        let parts = self.mapping.key.iter().map(|column| {
            let cell = cells.get(*column).unwrap_or(&Cell::Empty);
            self.mapping.decode(*column, cell)
        });
        let key = Key(parts.collect::<Option<_>>()?);
        let known = self.memory.rows.get(&key)?;
        known.state.is_based().then_some(key)
    }

    fn error_key(&self, cells: &[Cell], at: u32, column: usize) -> Problem {
        let shown = match cells.get(column) {
            Some(Cell::Text(text)) => text.as_str(),
            _ => "an error",
        };
        sheet_problem(
            at,
            Some(column),
            "error_cell",
            format!("The key of this row shows {shown}, so nobody can tell which row it is."),
            "Mend the formula, or type the key.".into(),
        )
    }

    /// A row with content but without (all of) its key: whether it may be a new one.
    fn keyless_row(&self, diff: &mut Diff, cells: &[Cell], at: u32, column: usize) -> Unreadable {
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
    fn known_key(&self, typed: &Key, cells: &[Cell], shown: CellsHash) -> Option<Key> {
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
    fn unknown(&self, row: Row, typed: Key, cells: &[Cell]) -> Unknown {
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
    async fn look_at_keys(
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
            let before = self.memory.refused_sights.get(&place);
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
            } else if let Some(read) = self.memory.sights.get(&place)
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
                    let before = self.memory.refused_sights.get(&place);
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
        self.memory.refused_sights = refused;
        self.memory.sights = sights;
        Ok(known)
    }

    /// Which keys these are; what is none is a problem of its row.
    async fn name_rows(
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

    fn classify(
        &mut self,
        diff: &mut Diff,
        seen: Vec<(usize, Row)>,
        trust: Trust,
        sent_at: Timestamp,
    ) {
        let mut rows_of: Vec<Option<u32>> = vec![None; self.memory.rows.len()];
        let mut doubled: HashMap<usize, Vec<u32>> = HashMap::new();
        for (index, row) in &seen {
            match rows_of.get_mut(*index) {
                Some(Some(first)) => doubled
                    .entry(*index)
                    .or_insert_with(|| vec![*first])
                    .push(row.at),
                Some(slot) => *slot = Some(row.at),
                None => {}
            }
        }
        self.note_gone(&rows_of);
        for (index, row) in seen {
            let Some((key, known)) = self.memory.rows.get_index_mut(index) else {
                continue;
            };
            known.missing = None;
            take_out(&mut self.memory.maybe_hit, key);
            if doubled.contains_key(&index) {
                diff.unreadable.push(UnreadableRow {
                    at: row.at,
                    why: Unreadable::Doubled(key.clone()),
                    cells: row.cells,
                });
                known.lose_place();
                continue;
            }
            known.position = Position::Row(row.at);
            if known.state == State::Unbased {
                diff.unbased.push((key.clone(), row.at));
            }
            let shown = Some(row.cells);
            let again = known.before == shown && known.cells != shown;
            let risen = take_out(&mut self.memory.buried, key) && known.state == State::Unbased;
            if trust.cells && (again && known.state == State::Based || risen) {
                // The next reading tells whether this is news.
                known.before = None;
                known.bytes = None;
                self.soon = true;
                self.held_back = true;
                diff.unconfirmed.insert(key.clone());
                continue;
            }
            let settled = trust.cells && known.cells == shown;
            if settled {
                known.bytes = Some(row.bytes);
                known.seen_at = known.seen_at.max(Some(sent_at));
            } else {
                known.bytes = None;
                diff.changed.push(Sighting {
                    key: key.clone(),
                    row: Some(row.at),
                    bytes: Some(row.bytes),
                });
            }
        }
        for (index, rows) in &doubled {
            if let Some((key, _)) = self.memory.rows.get_index(*index) {
                diff.problems
                    .extend(rows.iter().map(|row| doubled_key(key, *row, rows)));
                diff.hidden.insert(key.clone());
            }
        }
        for (key, row) in std::mem::take(&mut diff.alike) {
            self.hold_alike(diff, &mut rows_of, key, row);
        }
        self.missing(diff, &rows_of);
    }

    /// Whether the row is gone cannot be told: one that may be it stands there.
    fn hold_alike(&mut self, diff: &mut Diff, rows_of: &mut [Option<u32>], key: Key, row: u32) {
        let Some((index, _, known)) = self.memory.rows.get_full_mut(&key) else {
            return;
        };
        match rows_of.get_mut(index) {
            Some(slot @ None) => *slot = Some(row),
            _ => return,
        }
        known.lose_place();
        known.missing = None;
        diff.hidden.insert(key);
    }

    fn missing(&mut self, diff: &mut Diff, rows_of: &[Option<u32>]) {
        let Some(looked) = self.memory.looked else {
            return;
        };
        let wait = self.start.confirm_after_ms;
        let closed = self.is_closed();
        for ((key, known), row) in self.memory.rows.iter_mut().zip(rows_of) {
            if row.is_some() {
                continue;
            }
            let was_seen = known.is_seen();
            // The clock may have been set back.
            let since = known.missing.map(|since| since.min(looked.arrived));
            known.position = Position::Unknown;
            known.bytes = None;
            match known.state {
                // What a person takes back within a moment was no deletion.
                State::Based | State::Marked
                    if since.is_some_and(|since| looked.asked < since.after(wait)) =>
                {
                    diff.unconfirmed.insert(key.clone());
                }
                // One reading that misses a row may be a partial or an old one.
                State::Unbased
                | State::Announced
                | State::Inserting
                | State::Based
                | State::Marked
                | State::Left
                    if since.is_none() && (was_seen || known.state.is_based()) =>
                {
                    known.missing = Some(looked.arrived);
                    self.soon |= !known.state.is_agreed();
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
                    bytes: None,
                }),
            }
        }
    }

    /// From when on a reading that misses the row too tells that it is gone; `None` where the last
    /// one has told that, or has the row.
    pub(super) fn confirmed_from(&self, known: &Known) -> Option<Timestamp> {
        let wait = match known.state.is_agreed() {
            true => self.start.confirm_after_ms,
            false => 0,
        };
        let from = known.missing?.after(wait);
        let looked = self.memory.looked?;
        (looked.asked < from).then_some(from)
    }

    /// The readings so far tell that the row is gone.
    pub(super) fn is_believed(&self, known: &Known) -> bool {
        known.missing.is_some() && self.confirmed_from(known).is_none()
    }

    /// A reading is wanted from then on.
    pub(super) fn confirm_from(&mut self, from: Timestamp) {
        self.confirm_from = Some(self.confirm_from.map_or(from, |one| one.min(from)));
    }
}

/// Of a set that is mostly empty: then the key is not hashed.
fn take_out(keys: &mut HashSet<Key>, key: &Key) -> bool {
    !keys.is_empty() && keys.remove(key)
}

pub(super) enum Typed {
    Blank,
    Whole(Key),
    /// The first key column without a value.
    Missing(usize),
    /// The first key column that shows a formula's error.
    Error(usize),
}

pub(super) fn typed_key(mapping: &Mapping, cells: &[Cell]) -> Typed {
    let mut key = Key::default();
    let (mut missing, mut error) = (None, None);
    for column in &mapping.key {
        match cells.get(*column) {
            None | Some(Cell::Empty) => missing = missing.or(Some(*column)),
            Some(cell) if is_error(cell) => error = error.or(Some(*column)),
            Some(cell) => key.0.extend(mapping.decode(*column, cell)),
        }
    }
    if let Some(column) = error {
        return Typed::Error(column);
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

fn unreadable_key(at: u32, column: usize, refusal: Refusal) -> Problem {
    let hint = refusal.hint.unwrap_or_else(|| "Correct the cell.".into());
    sheet_problem(at, Some(column), &refusal.sqlstate, refusal.message, hint)
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
