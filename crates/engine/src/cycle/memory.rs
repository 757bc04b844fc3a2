//! What is remembered of a mapping between cycles: positions and hashes, no cells.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;

use super::aliases::Aliases;
use super::guard::Allowed;
use super::header::Layout;
use super::images::{Fallen, Taken};
use super::likeness::{self, Neighbours};
use super::room::Closed;
use super::stamp::Lost;
use super::totals::End;
use super::windows::Edits;
use crate::codec::{BytesHash, CellsHash};
use crate::effect::{
    Image, Index, MetadataId, Place, Problem, Refusal, RowState, Stamp, StoredProblem,
};
use crate::mapping::{KeyEquality, Mapping};
use crate::reconcile::Filled;
use crate::value::{Base, Cell, Datum, Key, Timestamp};

/// As many keys that we took from the sheet are remembered.
const BURIED: usize = 10_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The stored index was read.
    pub warm: bool,
    pub layout: Option<Layout>,
    /// Where every column's tag stands, as far as anybody knows.
    pub tagged: Option<Layout>,
    pub rows: IndexMap<Key, Known>,
    /// Keys as typed, with the spelling under which the row is known, where that is another.
    pub aliases: Aliases,
    pub problems: HashMap<Key, Vec<KnownProblem>>,
    /// Counts the moments at which rows came, went or changed in the table or in one that is
    /// related to it.
    pub arrivals: u64,
    /// Problems of rows without a usable key, and what each says.
    pub keyless: HashMap<Place, String>,
    /// Columns of intervals, and whether the last row of the sheet shows a duration there: new rows
    /// take on its formats.
    pub durations: HashMap<usize, bool>,
    /// Rows whose generated key the sheet refused, by what they showed in the last snapshot.
    pub refused_keys: HashMap<CellsHash, RefusedKey>,
    /// Rows whose key cannot be read though it was looked at, by their place and raw bytes.
    pub refused_sights: HashMap<(u32, BytesHash), RefusedSight>,
    /// What people see in keys that were looked at, likewise.
    pub sights: HashMap<(u32, BytesHash), Key>,
    /// Keys that the last reading had below the footer, and it or an earlier one above it, too.
    pub below_footer: HashSet<Key>,
    /// The formula because of which missing rows do not count as deleted.
    pub silent: Option<Silent>,
    /// Rows whose change the table has not taken yet, because of somebody's lock or for the sake of
    /// another row, and whose bases are stored as ones to be looked at.
    pub waiting: HashSet<Key>,
    /// The sheet takes no new rows at present.
    pub closed: Option<Closed>,
    /// Notes that have to be written, or taken away.
    pub notes: HashMap<Place, Option<String>>,
    /// A note of ours may stand on a cell that has no problem.
    pub notes_astray: bool,
    /// Rows with a base whose keys the last reading missed.
    pub gone: HashMap<Key, Gone>,
    /// Rows of the last reading that belong to no row with a base, and when a snapshot first had
    /// each. One that stood in the sheet before a key went missing is not the row of that key.
    pub strangers: HashMap<Stranger, Option<Timestamp>>,
    /// Keys that are left alone, and with which it is stored that something is owed to their rows.
    pub shelved: HashSet<Key>,
    /// Keys that a person typed over, by the old one: seen once, and to be confirmed.
    pub renaming: HashMap<Key, Key>,
    /// Keys that we took from the sheet: a reading that has one again may be an old one.
    pub buried: HashSet<Key>,
    /// Keys whose rows a deletion of ours may have hit instead of the row that was meant. Where the
    /// sheet lacks one of them, no person deleted it: it is put back. What a reading has again is
    /// missed later as any other row, also where that reading was an old one.
    pub maybe_hit: HashSet<Key>,
    /// Batches were announced and not declared over.
    pub announced: bool,
    /// Stamps of announced writes that were answered: of no more use once these are over.
    pub answered: Vec<MetadataId>,
    /// Batches that arrived without an answer, by their stamps' values: what they overwrote is to
    /// be read from the images.
    pub unread: BTreeSet<String>,
    /// What batches overwrote, until it is compared with what both sides had agreed on; true for
    /// those that arrived unseen.
    pub images: Vec<(bool, Image)>,
    /// Images that stand in the sheet and are still of use.
    pub image_rows: u32,
    /// The last write was answered with an image of each of its rows: whatever a write hits is
    /// seen.
    pub images_fit: bool,
    /// Edits that our writes went over, to be given back.
    pub taken: Vec<Taken>,
    /// Rows that went with an edit that nobody had seen, to be put back: whole rows, from column 0.
    pub fallen: Vec<Fallen>,
    /// Old and new keys of rows that were about to get the key that the table gave them.
    pub underway: HashSet<Key>,
    /// Old keys of rows that got their new one in a batch whose answer nobody saw.
    pub renamed: HashSet<Key>,
    /// Rows of which an edit that lost was about to be overwritten with what both sides had agreed
    /// on.
    pub overruled: HashSet<Key>,
    /// Of batches whose images are to be weighed, one that put rows back has arrived.
    pub may_be_back: bool,
    /// What a write whose answer was lost may have put into cells.
    pub in_flight: HashMap<Key, Vec<InFlight>>,
    /// What differs from the base in rows of the sheet, and since when.
    pub edits: HashMap<Key, Edits>,
    /// When the last snapshot was asked for of which everything was dealt with: what it did not
    /// have came later.
    pub settled_at: Option<Timestamp>,
    pub looked: Option<Looked>,
    /// So many rows are missing that nothing may be done before another snapshot tells whether they
    /// are gone.
    pub held: bool,
    /// What `confirm_deletes()` allowed, while it is carried out.
    pub allowed: Option<Allowed>,
    /// The row below the last one that the sheet had.
    pub end: u32,
    /// Anchors that still stand in the sheet, without those of the batch under way.
    pub anchors: Vec<MetadataId>,
    /// Stamps that still stand in the spreadsheet, oldest first.
    pub stamps: Vec<MetadataId>,
    /// Those of them of whose batches a copy may still arrive.
    pub guarding: Vec<MetadataId>,
    /// Structural batches that may still arrive.
    pub lost: BTreeMap<MetadataId, Lost>,
    /// Stamps that an earlier process, or somebody else, had put into the spreadsheet before this
    /// one began.
    pub found_stamps: Vec<MetadataId>,
    /// How often another writer was first with a plan made from this reading.
    pub refused_reading: u64,
    pub refusals: u64,
    /// Columns that a formula fills down to the end of the data, and what the rows at the top were
    /// when that was asked.
    pub filled: Option<(u64, Vec<Filled>)>,
    /// What rows at the end of the tab are, by their place and what they show: elsewhere a row that
    /// shows the same may be another one.
    pub tails: HashMap<(u32, CellsHash), End>,
    /// Anchors of an earlier process are gone from the sheet.
    pub tidied: bool,
    /// A cycle that was to trust nothing did not come to its end.
    pub owes_everything: bool,
}

/// The last snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    /// When it was asked for.
    pub asked: Timestamp,
    /// When its answer was whole.
    pub arrived: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub position: Position,
    /// The row's bytes when it was settled.
    pub bytes: Option<BytesHash>,
    /// Its mapped cells when it was settled; `None` where it has to be looked at again whatever its
    /// bytes are.
    pub cells: Option<CellsHash>,
    /// Its mapped cells before that: a reading that shows them again is either a person's undo or
    /// an old one.
    pub before: Option<CellsHash>,
    /// When the last look at it was asked for, where that showed what it had shown before or was
    /// dealt with.
    pub seen_at: Option<Timestamp>,
    /// When the snapshot had arrived that first missed it.
    pub missing: Option<Timestamp>,
    pub state: State,
}

/// Where the sheet has the row of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Unknown,
    /// The sheet had the key when it was last read, in more rows than one or nobody knows where.
    Somewhere,
    /// Counted from 0.
    Row(u32),
}

/// A row with a base whose key is missing from the sheet.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    /// When the snapshot had arrived that first missed it; `None` where an earlier process may have
    /// missed it before.
    pub since: Option<Timestamp>,
    /// Between which rows it stood; `None` where nobody remembers.
    pub stood: Option<Neighbours>,
}

impl Gone {
    /// It was missing when this process looked for the first time.
    pub(super) fn before_anybody_looked() -> Self {
        Self {
            since: None,
            stood: None,
        }
    }

    /// Whether a row between these neighbours stands in its place.
    pub(super) fn place_of(&self, stands: &Neighbours) -> likeness::Place {
        let Some(stood) = &self.stood else {
            return likeness::Place::Unknown;
        };
        let beside = |one: &Option<Key>, other: &Option<Key>| one.is_some() && one == other;
        let is_same = stood == stands
            || beside(&stood.above, &stands.above)
            || beside(&stood.below, &stands.below);
        match is_same {
            true => likeness::Place::Same,
            false => likeness::Place::Other,
        }
    }
}

/// A row of the sheet that belongs to no row with a base.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stranger {
    New(Key),
    /// Its key cannot be read: the hash of its mapped cells, and how many rows above it have the
    /// same.
    Unreadable(CellsHash, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Seen in the sheet, without a base: a problem row.
    Unbased,
    Based,
    /// Both sides agree that the sheet does not have it.
    Absent,
    /// To be inserted into the sheet, and certainly not inserted yet: what is stored as its base is
    /// only a plan.
    Announced,
    /// Being inserted into the sheet; nobody knows whether it has arrived.
    Inserting,
    /// As `Based`; our own deletion of it from the sheet has been carried out.
    Left,
    /// As `Based`; a mark is stored with it: it was being deleted, it has arrived without an
    /// answer, or more is owed to it.
    Marked,
}

impl State {
    pub(super) fn is_based(self) -> bool {
        matches!(self, State::Based | State::Marked | State::Left)
    }

    /// That the sheet lacks such a row means that a person deleted it.
    pub(super) fn is_agreed(self) -> bool {
        matches!(self, State::Based | State::Marked)
    }

    /// Something else than a hash is stored with it.
    pub(super) fn is_marked(self) -> bool {
        matches!(
            self,
            State::Announced | State::Inserting | State::Marked | State::Left
        )
    }
}

/// A cell of a batch without an answer.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    /// The batch, where nobody knows whether it has arrived.
    pub stamp: Option<MetadataId>,
    pub column: usize,
    pub cell: Cell,
    pub value: Datum,
}

#[derive(Clone, Debug)]
pub(super) struct KnownProblem {
    pub column: Option<usize>,
    pub code: String,
    /// What the row was when it was refused; `None` where no refusal is remembered.
    pub refused: Option<CellsHash>,
    pub attempts: u32,
    pub retry_at: Option<Timestamp>,
    /// When it was last tried, and [`Memory::arrivals`] then.
    pub tried_at: Timestamp,
    pub arrivals: u64,
}

/// A formula that shows an error, or nothing. That it is gone its row's bytes need not tell: it is
/// looked at again, ever more seldom.
#[derive(Clone, Debug)]
pub(super) struct Silent {
    pub at: (u32, u32),
    /// The bytes of its row.
    pub bytes: Option<BytesHash>,
    pub attempts: u32,
    pub look_at: Timestamp,
}

/// A cell's format may change while its value does not: it is looked at again, ever more seldom.
#[derive(Clone, Debug)]
pub(super) struct RefusedSight {
    pub column: usize,
    pub refusal: Refusal,
    pub attempts: u32,
    pub retry_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct RefusedKey {
    pub problem: Problem,
    pub attempts: u32,
}

impl Known {
    /// Whether what is typed like this key is this key, without asking.
    pub(super) fn is_certain(&self, mapping: &Mapping) -> bool {
        mapping.key_equality == KeyEquality::ByText || self.state != State::Unbased
    }

    /// Its row in the sheet, counted from 0.
    pub(super) fn row(&self) -> Option<u32> {
        match self.position {
            Position::Row(row) => Some(row),
            Position::Unknown | Position::Somewhere => None,
        }
    }

    /// The sheet had the key when it was last read.
    pub(super) fn is_seen(&self) -> bool {
        self.position != Position::Unknown
    }

    /// The next reading looks at the row whatever it shows.
    pub(super) fn look_again(&mut self) {
        self.cells = None;
        self.bytes = None;
        if self.position == Position::Somewhere {
            self.position = Position::Unknown;
        }
    }

    /// The sheet has the key, and nobody knows where.
    pub(super) fn lose_place(&mut self) {
        self.cells = None;
        self.bytes = None;
        self.position = Position::Somewhere;
    }

    pub(super) fn new(state: State) -> Self {
        Self {
            position: Position::Unknown,
            bytes: None,
            cells: None,
            before: None,
            missing: None,
            seen_at: None,
            state,
        }
    }
}

impl Memory {
    pub(super) fn warm_up(&mut self, index: Index) {
        self.problems.clear();
        self.keyless.clear();
        self.rows = IndexMap::with_capacity(index.rows.len());
        self.aliases.clear();
        self.waiting.clear();
        for entry in index.rows {
            // While a row gets its new key, the old cells are stored with it; what was typed there
            // is not its name.
            if let Some(typed) = entry.typed.filter(|_| entry.state != RowState::ToRewrite) {
                self.aliases.insert(typed, entry.key.clone());
            }
            let key = entry.key;
            if let Some(stamp) = entry.inserting {
                self.note_lost_batch(stamp, false, &key);
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
                    ..Known::new(State::Announced)
                },
                RowState::ToLookAt => Known::new(State::Marked),
                RowState::ToRewrite => {
                    self.underway.insert(key.clone());
                    Known::new(State::Left)
                }
                RowState::ToOverrule => {
                    self.overruled.insert(key.clone());
                    Known::new(State::Based)
                }
                RowState::Deleting(stamp) => {
                    self.note_lost_batch(stamp, true, &key);
                    Known::new(State::Marked)
                }
            };
            self.rows.insert(key, known);
        }
        self.announced = !index.writing.is_empty();
        for stamp in index.writing {
            let id = stamp.id;
            let lost = Lost {
                stamp,
                keys: Vec::new(),
                deletes: false,
            };
            self.lost.entry(id).or_insert(lost);
        }
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
                    self.keyless.insert(place, message);
                }
            }
        }
        // Looked at once more: what was decided may have been carried out by a process that did not
        // live to say so.
        for key in index.unsettled {
            self.known(&key).cells = None;
        }
        self.warm = true;
    }

    /// The batch in which the row of this key goes has no answer yet.
    fn note_lost_batch(&mut self, stamp: Stamp, deletes: bool, key: &Key) {
        let id = stamp.id;
        let lost = self.lost.entry(id).or_insert_with(|| Lost {
            stamp,
            keys: Vec::new(),
            deletes,
        });
        lost.keys.push(key.clone());
    }

    /// The key that these words spell, where they were met before. Where equal keys may be printed
    /// differently only a stored base says so for good: the table may get, or have got, the same
    /// key in another spelling at any time.
    pub(super) fn canonical(&self, mapping: &Mapping, typed: &Key) -> Option<Key> {
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
    pub(super) fn respell(&mut self, before: &Key, now: &Key) {
        self.aliases.respell(before, now);
        if self.maybe_hit.contains(before) {
            self.maybe_hit.insert(now.clone());
        }
        if let Some(known) = self.forget(before) {
            self.rows.insert(now.clone(), known);
        }
    }

    /// No row goes by this key any longer. One that gets it later has nothing to do with what was
    /// known.
    pub(super) fn forget(&mut self, key: &Key) -> Option<Known> {
        self.waiting.remove(key);
        self.maybe_hit.remove(key);
        self.rows.swap_remove(key)
    }

    /// What was agreed on of a row that the sheet has no longer is stored under its new key now.
    pub(super) fn carry_over(&mut self, from: &Key, to: &Key, base: &Base) {
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
    pub(super) fn note_stray_deletion(&mut self) {
        let stands = |known: &Known| known.state.is_agreed() && known.missing.is_none();
        let rows = self.rows.iter().filter(|(_, known)| stands(known));
        self.maybe_hit.extend(rows.map(|(key, _)| key.clone()));
    }

    pub(super) fn bury(&mut self, key: &Key) {
        if self.buried.len() < BURIED {
            self.buried.insert(key.clone());
        }
    }

    pub(super) fn is_agreed(&self, key: &Key) -> bool {
        let known = self.rows.get(key);
        known.is_some_and(|known| known.state.is_agreed())
    }

    /// It is the old or the new key of a row that was about to get the key that the table gave it,
    /// and nobody has recorded how far that came; or its row is being emptied.
    pub(super) fn is_being_renamed(&self, key: &Key) -> bool {
        let known = self.rows.get(key);
        self.underway.contains(key) && known.is_some_and(|known| known.state == State::Left)
    }

    /// The sheet had the key when it was last read.
    pub(super) fn is_seen(&self, key: &Key) -> bool {
        self.rows.get(key).is_some_and(Known::is_seen)
    }

    pub(super) fn based(&self) -> usize {
        self.rows
            .values()
            .filter(|known| known.state.is_based())
            .count()
    }

    pub(super) fn typed(&self) -> HashSet<Key> {
        let rows = self.rows.iter();
        rows.filter(|(_, known)| known.state == State::Unbased && known.is_seen())
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(super) fn known(&mut self, key: &Key) -> &mut Known {
        self.rows
            .entry(key.clone())
            .or_insert_with(|| Known::new(State::Unbased))
    }

    /// Rows from `at` on moved by what was inserted or removed above them.
    pub(super) fn removed(&mut self, rows: &[u32]) {
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
            memory.waiting.insert(key.clone());
        }
        memory.note_stray_deletion();
        memory.forget(&one);
        assert_eq!(memory.waiting, HashSet::from([other.clone()]));
        assert_eq!(memory.maybe_hit, HashSet::from([other.clone()]));
        // It may have been hit whatever the table calls it.
        memory.respell(&other, &one);
        assert!(memory.waiting.is_empty());
        assert_eq!(memory.maybe_hit, HashSet::from([one]));
    }
}
