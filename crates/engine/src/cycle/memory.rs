//! What is remembered of a mapping between cycles: positions and hashes, no cells.

pub(crate) mod aliases;
pub(crate) mod counted;
pub(crate) mod edits;
pub(crate) mod known;
pub(crate) mod likeness;

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::codec::{BytesHash, CellsHash};
use crate::cycle::memory::aliases::Aliases;
use crate::cycle::memory::counted::Allowed;
use crate::cycle::memory::edits::Edits;
use crate::cycle::memory::known::{Known, Position, State};
use crate::cycle::memory::likeness::Gone;
use crate::effect::{Index, MetadataId, Place, Problem, Refusal, RowState, StoredProblem};
use crate::mapping::Mapping;
use crate::reconcile::Filled;
use crate::tab::{Layout, Tab};
use crate::value::{Base, Cell, Datum, Key, Timestamp};

/// At most this many keys of rows that we deleted from the sheet are remembered, the first ones.
const RECENTLY_DELETED: usize = 10_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// The stored index was read.
    pub is_loaded: bool,
    pub rows: IndexMap<Key, Known>,
    /// Keys as typed, with the spelling under which the row is known, where that is another.
    pub aliases: Aliases,
    pub missing: MissingRows,
    pub cells: SeenCells,
    pub problems: KnownProblems,
    pub unfinished: Unfinished,
    /// What differs from the base in rows of the sheet, and since when.
    pub edits: HashMap<Key, Edits>,
    /// When the last snapshot was asked for of which everything was dealt with: what it did not
    /// have came later.
    pub settled_at: Option<Timestamp>,
    pub looked: Option<Looked>,
    /// Where every column's tag stands, as far as anybody knows.
    pub tagged: Option<Layout>,
    /// So many rows are missing that nothing may be done before another snapshot tells whether they
    /// are gone.
    pub awaits_second_reading: bool,
    /// What `confirm_deletes()` allowed, while it is carried out.
    pub allowed: Option<Allowed>,
    /// A cycle that was to trust nothing did not come to its end.
    pub must_compare_all: bool,
}

/// Rows that the sheet lacks, and what may explain it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MissingRows {
    /// Rows with a base whose keys the last reading missed.
    pub rows: HashMap<Key, Gone>,
    /// Rows of the last reading that belong to no row with a base, and when a snapshot first had
    /// each. One that stood in the sheet before a key went missing is not the row of that key.
    pub strangers: HashMap<Stranger, Option<Timestamp>>,
    /// Keys that a person typed over, by the old one: seen once, and to be confirmed.
    pub retyped: HashMap<Key, Key>,
    /// Keys that we took from the sheet: a reading that has one again may be an old one.
    pub recently_deleted: HashSet<Key>,
    /// Keys whose rows a deletion of ours may have hit instead of the row that was meant. Where the
    /// sheet lacks one of them, no person deleted it: it is put back. What a reading has again is
    /// missed later as any other row, also where that reading was an old one.
    pub maybe_hit: HashSet<Key>,
}

/// What was found out about cells beyond their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenCells {
    /// Columns of intervals, and whether the last row of the sheet shows a duration there: new rows
    /// take on its formats.
    pub durations: HashMap<usize, bool>,
    /// What people see in keys that were looked at, by their place and raw bytes.
    pub sights: HashMap<(u32, BytesHash), Key>,
    /// Rows whose key cannot be read though it was looked at, likewise.
    pub refused_sights: HashMap<(u32, BytesHash), RefusedSight>,
    /// Columns that a formula fills down to the end of the data, and what the rows at the top were
    /// when that was asked.
    pub filled: Option<(u64, Vec<Filled>)>,
    /// Mapped columns in which formulas of other cells were seen to fill any, or would if they
    /// showed anything.
    pub arrays: HashSet<usize>,
    /// What rows at the end of the tab are, by their place and what they show: elsewhere a row that
    /// shows the same may be another one.
    pub tails: HashMap<(u32, CellsHash), End>,
    /// Keys that the last reading had below the footer, and it or an earlier one above it, too.
    pub below_footer: HashSet<Key>,
    /// The formula because of which missing rows do not count as deleted.
    pub silent: Option<Silent>,
}

/// What could not be done, and what people are told of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownProblems {
    pub of_rows: HashMap<Key, Vec<KnownProblem>>,
    /// Problems of rows without a usable key, and what each says.
    pub keyless: HashMap<Place, String>,
    /// Rows whose generated key the sheet refused, by what they showed in the last snapshot.
    pub refused_keys: HashMap<CellsHash, RefusedKey>,
    /// The sheet takes no new rows at present.
    pub closed: Option<Closed>,
    /// Counts the moments at which rows came, went or changed in the table or in one that is
    /// related to it.
    pub arrivals: u64,
    /// Notes that have to be written, or taken away.
    pub notes: HashMap<Place, Option<String>>,
    /// A note of ours may stand on a cell that has no problem.
    pub stray_notes: bool,
}

impl KnownProblems {
    pub fn of_row(&self, key: &Key) -> &[KnownProblem] {
        self.of_rows.get(key).map_or(&[], Vec::as_slice)
    }
}

/// What was begun, and is not recorded as done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unfinished {
    /// Rows whose change the table has not taken yet, because of somebody's lock or for the sake of
    /// another row, and whose bases are stored as ones to be looked at.
    pub waiting: HashSet<Key>,
    /// Keys that are left alone, and with which it is stored that something has to be done about
    /// their rows.
    pub shelved: HashSet<Key>,
    /// Keys of rows that were about to be rewritten in the sheet: the old and the new key of one that
    /// was to get the key that the table gave it, or the key of one that was to be emptied.
    pub renaming: HashSet<Key>,
    /// Old keys of rows that got their new one in a batch whose answer nobody saw.
    pub renamed_unseen: HashSet<Key>,
    /// Rows of which an edit that lost was about to be overwritten with what both sides had agreed
    /// on.
    pub overruled: HashSet<Key>,
    /// What a write whose answer was lost may have put into cells.
    pub in_flight: HashMap<Key, Vec<InFlight>>,
}

/// The last snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    /// When it was asked for.
    pub asked: Timestamp,
    /// When its answer was whole.
    pub arrived: Timestamp,
}

/// A row of the sheet that belongs to no row with a base.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stranger {
    New(Key),
    /// Its key cannot be read: the hash of its mapped cells, and how many rows above it have the
    /// same.
    Unreadable(CellsHash, usize),
}

/// A cell of a batch without an answer.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    /// The batch, where nobody knows whether it has arrived.
    pub stamp: Option<MetadataId>,
    pub column: usize,
    pub cell: Cell,
    pub value: Datum,
}

#[derive(Clone, Debug)]
pub(crate) struct KnownProblem {
    pub column: Option<usize>,
    pub code: String,
    /// What the row was when it was refused; `None` where no refusal is remembered.
    pub refused: Option<CellsHash>,
    pub attempts: u32,
    pub retry_at: Option<Timestamp>,
    /// When it was last tried, and [`KnownProblems::arrivals`] then.
    pub tried_at: Timestamp,
    pub arrivals: u64,
}

/// The sheet has refused new rows.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub problem: Problem,
    pub refused_at: Timestamp,
    pub retry_at: Timestamp,
    pub attempts: u32,
}

/// What a row at the end of the tab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Record,
    Total,
    /// All that it holds is what a formula elsewhere fills.
    Filled,
    /// A record or a total: a person has to say which.
    Unclear,
}

/// A formula that shows an error, or nothing. That it is gone its row's bytes need not tell: it is
/// looked at again, ever more seldom.
#[derive(Clone, Debug)]
pub(crate) struct Silent {
    pub at: (u32, u32),
    /// The bytes of its row.
    pub bytes: Option<BytesHash>,
    pub attempts: u32,
    pub look_at: Timestamp,
}

/// A cell's format may change while its value does not: it is looked at again, ever more seldom.
#[derive(Clone, Debug)]
pub(crate) struct RefusedSight {
    pub column: usize,
    pub refusal: Refusal,
    pub attempts: u32,
    pub retry_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct RefusedKey {
    pub problem: Problem,
    pub attempts: u32,
}

impl Memory {
    pub(crate) fn warm_up(&mut self, index: Index, tab: &mut Tab) {
        self.problems.of_rows.clear();
        self.problems.keyless.clear();
        self.rows = IndexMap::with_capacity(index.rows.len());
        self.aliases.clear();
        self.unfinished.waiting.clear();
        for entry in index.rows {
            // While a row gets its new key, the old cells are stored with it; what was typed there
            // is not its name.
            if let Some(typed) = entry.typed.filter(|_| entry.state != RowState::ToRewrite) {
                self.aliases.insert(typed, entry.key.clone());
            }
            let key = entry.key;
            if let Some(stamp) = entry.inserting {
                tab.note_announced_row(stamp, false, &key);
                self.rows.insert(key, Known::new(State::Inserting));
                continue;
            }
            let known = match entry.state {
                RowState::Agreed(cells) => Known {
                    cells: Some(cells),
                    ..Known::new(State::Based)
                },
                RowState::AbsentInSheet => Known::new(State::Absent),
                // Such a row waits because the sheet has one with its key: a reading without it may
                // be short.
                RowState::ToInsert => Known {
                    position: Position::Somewhere,
                    ..Known::new(State::ToInsert)
                },
                RowState::ToLookAt => Known::new(State::Marked),
                RowState::ToRewrite => {
                    self.unfinished.renaming.insert(key.clone());
                    Known::new(State::GoneByUs)
                }
                RowState::ToOverrule => {
                    self.unfinished.overruled.insert(key.clone());
                    Known::new(State::Based)
                }
                RowState::Deleting(stamp) => {
                    tab.note_announced_row(stamp, true, &key);
                    Known::new(State::Marked)
                }
            };
            self.rows.insert(key, known);
        }
        tab.note_announced(index.writing);
        for StoredProblem { place, message } in index.problems {
            match &place.key {
                Some(key) if place.sheet_row.is_none() => {
                    // Looked at again, so that a problem that is over is reported as over.
                    self.rows
                        .entry(key.clone())
                        .or_insert(Known {
                            position: Position::Somewhere,
                            ..Known::new(State::Unbased)
                        })
                        .cells = None;
                    self.problems
                        .of_rows
                        .entry(key.clone())
                        .or_default()
                        .push(KnownProblem {
                            column: place.column,
                            code: String::new(),
                            refused: None,
                            attempts: 0,
                            retry_at: None,
                            tried_at: Timestamp(0),
                            arrivals: 0,
                        });
                }
                key => {
                    if let Some(known) = key.as_ref().and_then(|key| self.rows.get_mut(key)) {
                        known.position = Position::Somewhere;
                    }
                    self.problems.keyless.insert(place, message);
                }
            }
        }
        // Looked at once more: what was decided may have been carried out by a process that did not
        // live to say so.
        for key in index.unsettled {
            self.known(&key).cells = None;
        }
        self.is_loaded = true;
    }

    /// The key that these words spell, where they were met before. Where equal keys may be printed
    /// differently only a stored base says so for good: the table may get, or have got, the same
    /// key in another spelling at any time.
    pub(crate) fn canonical(&self, mapping: &Mapping, typed: &Key) -> Option<Key> {
        let holds = |key: &&Key| {
            let known = self.rows.get(*key);
            known.is_some_and(|known| known.is_certain(mapping))
        };
        let alias = || self.aliases.get(typed);
        Some(typed)
            .filter(holds)
            .or_else(|| alias().filter(holds))
            .cloned()
    }

    /// A row is known by another key from now on, or by another spelling of it; what was typed goes
    /// on meaning it.
    pub(crate) fn respell(&mut self, before: &Key, now: &Key) {
        self.aliases.respell(before, now);
        if self.missing.maybe_hit.contains(before) {
            self.missing.maybe_hit.insert(now.clone());
        }
        if let Some(known) = self.forget(before) {
            self.rows.insert(now.clone(), known);
        }
    }

    /// No row goes by this key any longer. One that gets it later has nothing to do with what was
    /// known.
    pub(crate) fn forget(&mut self, key: &Key) -> Option<Known> {
        self.unfinished.waiting.remove(key);
        self.missing.maybe_hit.remove(key);
        self.rows.swap_remove(key)
    }

    /// What was agreed on of a row that the sheet has no longer is stored under its new key now.
    pub(crate) fn carry_over(&mut self, from: &Key, to: &Key, base: &Base) {
        let missing = self.forget(from).and_then(|known| known.missing);
        let known = self.known(to);
        known.missing = missing.filter(|_| !known.is_seen());
        known.look_again();
        known.state = match base.is_absent_in_sheet() {
            true => State::Absent,
            false => State::Marked,
        };
    }

    /// A deletion may have hit another row: any of those that nobody has missed so far.
    pub(crate) fn note_stray_deletion(&mut self) {
        let stands = |known: &Known| known.state.is_agreed() && known.missing.is_none();
        let rows = self.rows.iter().filter(|(_, known)| stands(known));
        self.missing
            .maybe_hit
            .extend(rows.map(|(key, _)| key.clone()));
    }

    pub(crate) fn remember_deleted(&mut self, key: &Key) {
        if self.missing.recently_deleted.len() < RECENTLY_DELETED {
            self.missing.recently_deleted.insert(key.clone());
        }
    }

    pub(crate) fn is_agreed(&self, key: &Key) -> bool {
        let known = self.rows.get(key);
        known.is_some_and(|known| known.state.is_agreed())
    }

    /// It is the old or the new key of a row that was about to get the key that the table gave it,
    /// and nobody has recorded how far that came; or its row is being emptied.
    pub(crate) fn is_being_renamed(&self, key: &Key) -> bool {
        let known = self.rows.get(key);
        self.unfinished.renaming.contains(key)
            && known.is_some_and(|known| known.state == State::GoneByUs)
    }

    /// The sheet had the key when it was last read.
    pub(crate) fn is_seen(&self, key: &Key) -> bool {
        self.rows.get(key).is_some_and(Known::is_seen)
    }

    pub(crate) fn based(&self) -> usize {
        self.rows
            .values()
            .filter(|known| known.state.is_based())
            .count()
    }

    pub(crate) fn typed(&self) -> HashSet<Key> {
        let rows = self.rows.iter();
        rows.filter(|(_, known)| known.state == State::Unbased && known.is_seen())
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(crate) fn known(&mut self, key: &Key) -> &mut Known {
        self.rows
            .entry(key.clone())
            .or_insert_with(|| Known::new(State::Unbased))
    }

    /// These rows were deleted, and those below them moved up.
    pub(crate) fn removed(&mut self, rows: &[u32]) {
        let mut sorted = rows.to_vec();
        sorted.sort_unstable();
        for known in self.rows.values_mut() {
            let Position::Row(row) = known.position else {
                continue;
            };
            let above = sorted.partition_point(|removed| *removed < row);
            known.position = match sorted.get(above) == Some(&row) {
                true => Position::Unknown,
                false => {
                    let above = u32::try_from(above).unwrap_or(u32::MAX);
                    Position::Row(row.saturating_sub(above))
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_that_is_forgotten_nothing_is_left() {
        let (one, other) = (Key::from_iter(["1"]), Key::from_iter(["2"]));
        let mut memory = Memory::default();
        for key in [&one, &other] {
            *memory.known(key) = Known::new(State::Based);
            memory.unfinished.waiting.insert(key.clone());
        }
        memory.note_stray_deletion();
        memory.forget(&one);
        assert_eq!(memory.unfinished.waiting, HashSet::from([other.clone()]));
        assert_eq!(memory.missing.maybe_hit, HashSet::from([other.clone()]));
        // It may have been hit whatever the table calls it.
        memory.respell(&other, &one);
        assert!(memory.unfinished.waiting.is_empty());
        assert_eq!(memory.missing.maybe_hit, HashSet::from([one]));
    }
}
