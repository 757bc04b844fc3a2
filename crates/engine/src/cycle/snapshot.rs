//! What differs in a snapshot from what was last settled: by hash, row by row.

use std::collections::HashSet;

use super::grid::parse;
use super::header::Layout;
use super::io::Stop;
use super::run::Cycle;
use super::totals::{AMONG, LAST, Tail, unclear_total};
use crate::codec::{BytesHash, CellsHash, hash_bytes, hash_cells, is_error};
use crate::effect::{Place, Problem, Refusal, Snapshot};
use crate::mapping::{Direction, Mapping, Side};
use crate::value::{Cell, Key};

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

impl Diff {
    /// A key that was missed for long enough is left to a later reading all the same.
    pub fn wait_for(&mut self, key: &Key) {
        self.missing.retain(|sighting| sighting.key != *key);
        self.unconfirmed.insert(key.clone());
    }
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
    pub bytes: BytesHash,
    pub cells: CellsHash,
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
pub(super) struct Unknown {
    pub row: Row,
    /// As its cells hold it.
    pub typed: Key,
    /// Cells of the key that mean what people see in them.
    pub by_sight: Vec<(usize, Cell)>,
    /// Of a key that no cell keeps: in which column it stands, and why it is none.
    pub refused: Option<(usize, Refusal)>,
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
