//! Rows with a base whose key a reading misses: deleted, under another key, or in a row whose key
//! nobody can read.
//!
//! What cannot be read is not gone. A missing key is a deletion only if no row of the tab could be
//! it: neither one whose key cell shows an error, is blank, doubled, or not of the column's type,
//! nor one that stands under a key that nobody has seen before. A row that stood in the sheet
//! already when the key was last seen is not that row. What cannot be told apart waits: nothing of
//! it is deleted, inserted or pulled, and a problem says so.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::header::Layout;
use super::io::Stop;
use super::likeness::{Likeness, Neighbours, Place, Rest};
use super::memory::{Gone, NOWHERE, SOMEWHERE, State, Stranger, UNSETTLED};
use super::rekey::Rekeyed;
use super::run::Cycle;
use super::snapshot::{Diff, Sighting, parse, sheet_problem};
use crate::codec::hash_cells;
use crate::effect::{Failure, Problem, Snapshot};
use crate::mapping::Direction;
use crate::value::{Cell, Key, Timestamp};

/// So many comparisons of a missing row with another row are made by a reading, besides those of
/// rows whose other cells are all equal. What is beyond that waits.
const COMPARISONS: usize = 4_000_000;

/// So many keys are named by a problem.
const NAMED: usize = 3;

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
    /// The hash of its mapped cells.
    pub cells: i64,
}

/// A row with a base whose key is missing.
struct Lost {
    key: Key,
    rest: Rest,
    gone: Gone,
    table: InTable,
}

/// What has become of a missing row in the table since both sides agreed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InTable {
    AsAgreed,
    Changed,
    /// The table has no such row here any longer. What was agreed on is kept all the same: a row of
    /// the sheet that turns out to be this one is to go, and is none that is new.
    Gone,
}

/// A row of the sheet that may be a missing one.
struct Suspect {
    at: u32,
    /// When the snapshot had arrived that first had it.
    since: Option<Timestamp>,
    rest: Rest,
    stands: Neighbours,
}

impl Suspect {
    /// It was not in the sheet yet when the missing row was.
    fn may_be(&self, lost: &Lost) -> bool {
        self.since >= lost.gone.since
    }

    /// Nothing but the key tells them apart.
    fn is_as(&self, lost: &Lost) -> bool {
        self.rest.cells() == lost.rest.cells()
    }

    fn likeness(&self, lost: &Lost) -> Likeness {
        Likeness::new(&lost.rest, &lost.gone, &self.rest, &self.stands)
    }
}

impl Cycle {
    /// Remembers where rows stood whose keys this reading is the first to miss. To be called before
    /// the rows that it found get their new places; `rows_of` has the new row of each known key.
    pub(super) fn note_gone(&mut self, rows_of: &[u32]) {
        let memory = &mut self.memory;
        let is_missed = |index: usize| rows_of.get(index) == Some(&NOWHERE);
        let rows = &memory.rows;
        memory
            .gone
            .retain(|key, _| rows.get_index_of(key).is_some_and(is_missed));
        let newly: Vec<usize> = (0..rows.len())
            .filter(|index| is_missed(*index))
            .filter(|index| {
                rows.get_index(*index).is_some_and(|(key, known)| {
                    known.state.is_agreed() && !memory.gone.contains_key(key)
                })
            })
            .collect();
        if newly.is_empty() {
            return;
        }
        let mut standing: Vec<(u32, &Key)> = rows
            .iter()
            .enumerate()
            .filter(|(index, (_, known))| {
                known.row != NOWHERE && known.state.is_based() && !is_missed(*index)
            })
            .map(|(_, (key, known))| (known.row, key))
            .collect();
        standing.sort_unstable_by_key(|(row, _)| *row);
        let mut gone = Vec::with_capacity(newly.len());
        for index in newly {
            let Some((key, known)) = rows.get_index(index) else {
                continue;
            };
            let one = match known.row {
                NOWHERE => Gone::before_anybody_looked(),
                row => Gone {
                    since: memory.looked.map(|looked| looked.arrived),
                    stood: Some(neighbours(&standing, row)),
                },
            };
            gone.push((key.clone(), one));
        }
        memory.gone.extend(gone);
    }

    /// Tells what became of missing rows: holds back what cannot be told apart. The answer is the
    /// keys that a person changed by hand, for the table to follow.
    pub(super) async fn explain_missing(
        &mut self,
        diff: &mut Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Vec<Rekeyed>, Stop> {
        let new = self.new_keys(diff);
        let known = self.meet_strangers(&diff.unreadable, &new);
        self.unplaced = self.error_rows(diff, snapshot, layout)?;
        let pulls = self.start.ways.pull && self.mapping.direction != Direction::ToSheet;
        let gone = self.gone_keys(diff);
        let suspects = !new.is_empty() || !diff.unreadable.is_empty();
        if !pulls || gone.is_empty() || !suspects {
            self.memory.renaming.clear();
            self.look_again(diff);
            return Ok(Vec::new());
        }
        let remembered = std::mem::take(&mut self.memory.renaming);
        let lost = self.load_lost(gone).await?;
        // Only what the table still has can be followed to another key. These come first.
        let followed = lost.partition_point(|one| one.table != InTable::Gone);
        let followed = lost.get(..followed).unwrap_or_default();
        let places = self.standing_keys();
        let reading = (snapshot, layout);
        let new = match lost.is_empty() {
            true => Vec::new(),
            false => self.load_new(new, &known, &places, reading).await?,
        };
        let doubled = self.load_doubled(diff).await?;
        let mut telling = Telling::of(followed, &new);
        telling.remembered(&remembered);
        telling.exact();
        let certain = telling.told.pairs.iter().map(|(one, _)| *one).collect();
        let unreadable = self.suspects(&diff.unreadable, &known, &places, reading)?;
        let held = self.hold_unreadable(diff, &lost, &unreadable, &doubled, &certain);
        telling.alike(&held.placed);
        let told = telling.told;
        let told = self.follow_told(diff, told, &lost, &new, &held.all);
        self.look_again(diff);
        Ok(self.follow_keys(diff, told))
    }

    /// What a deletion of ours may have hit is put back, unless it may be a row of the reading.
    pub(super) fn put_back_fallen(&mut self, diff: &mut Diff) {
        let memory = &mut self.memory;
        memory.maybe_hit.retain(|key| memory.rows.contains_key(key));
        for key in &memory.maybe_hit {
            if diff.hidden.contains(key) || diff.renamed.contains(key) {
                continue;
            }
            let known = memory.rows.get_mut(key);
            let Some(known) = known.filter(|known| known.state.is_agreed()) else {
                continue;
            };
            known.state = State::Left;
            if diff.unconfirmed.remove(key) {
                diff.missing.push(Sighting {
                    key: key.clone(),
                    row: None,
                    raw: 0,
                });
            }
        }
    }

    /// What stands beside keys that show errors.
    fn error_rows(
        &self,
        diff: &Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Vec<Rest>, Failure> {
        let rows = diff.unreadable.iter();
        rows.filter(|row| row.why == Unreadable::Error)
            .map(|row| {
                Ok(Rest::of(
                    &self.mapping,
                    &layout.mapped(&parse(snapshot, row.at)?),
                ))
            })
            .collect()
    }

    /// Whether a row that is to be inserted with these cells may stand in the sheet already.
    pub(super) fn may_be_unplaced(&self, cells: &[Cell]) -> bool {
        let new = Rest::of(&self.mapping, cells);
        let nowhere = Gone::before_anybody_looked();
        let first_merge = self.rows_at_start == 0;
        self.unplaced.iter().any(|row| {
            let likeness = Likeness::new(&new, &nowhere, row, &Neighbours::default());
            likeness.fits_a_new_row(row.is_blank(), first_merge)
        })
    }

    /// A first reading that misses rows is followed by another soon.
    fn look_again(&mut self, diff: &Diff) {
        let known = diff
            .unconfirmed
            .iter()
            .filter_map(|key| self.memory.rows.get(key));
        let agreed = known.filter(|known| known.state.is_agreed());
        let from = agreed.filter_map(|known| self.confirmed_from(known)).min();
        if let Some(from) = from {
            self.confirm_from(from);
        }
    }

    /// Keys without a base that stand in the sheet once.
    fn new_keys(&self, diff: &Diff) -> Vec<(Key, u32)> {
        let rows = self.memory.rows.iter();
        rows.filter(|(key, known)| {
            known.state == State::Unbased && known.row != NOWHERE && !diff.hidden.contains(*key)
        })
        .map(|(key, known)| (key.clone(), known.row))
        .collect()
    }

    /// When a snapshot first had of the rows that belong to none with a base.
    fn meet_strangers(
        &mut self,
        unreadable: &[UnreadableRow],
        new: &[(Key, u32)],
    ) -> HashMap<u32, Option<Timestamp>> {
        let mut times: HashMap<i64, usize> = HashMap::new();
        let mut met = HashMap::with_capacity(unreadable.len() + new.len());
        let mut since = HashMap::with_capacity(unreadable.len() + new.len());
        let before = std::mem::take(&mut self.memory.strangers);
        let now = self.memory.looked.map(|looked| looked.arrived);
        let unreadable = unreadable.iter().map(|row| {
            let above = times.entry(row.cells).or_default();
            *above += 1;
            (row.at, Stranger::Unreadable(row.cells, *above - 1))
        });
        let new = new
            .iter()
            .map(|(key, at)| (*at, Stranger::New(key.clone())));
        for (at, stranger) in unreadable.chain(new) {
            let first = before.get(&stranger).copied().unwrap_or(now);
            since.insert(at, first);
            met.insert(stranger, first);
        }
        self.memory.strangers = met;
        since
    }

    fn gone_keys(&self, diff: &Diff) -> Vec<Key> {
        let missing = diff.missing.iter().map(|sighting| &sighting.key);
        let keys = missing.chain(&diff.unconfirmed);
        let agreed = |key: &&Key| {
            let known = self.memory.rows.get(*key);
            known.is_some_and(|known| known.state.is_agreed())
        };
        let gone: HashSet<&Key> = keys
            .filter(agreed)
            .filter(|key| self.memory.gone.contains_key(*key))
            .collect();
        let mut gone: Vec<Key> = gone.into_iter().cloned().collect();
        gone.sort_unstable();
        gone
    }

    /// Those on which both sides had agreed; those that the table no longer has come last.
    async fn load_lost(&mut self, keys: Vec<Key>) -> Result<Vec<Lost>, Stop> {
        let mut lost = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(self.chunk()) {
            for loaded in self.load(chunk.to_vec()).await? {
                let agreed = loaded.base;
                let agreed =
                    agreed.filter(|base| !base.is_absent_in_sheet() && !base.is_absent_in_table());
                let gone = self.memory.gone.get(&loaded.key).cloned();
                let (Some(base), Some(gone)) = (agreed, gone) else {
                    continue;
                };
                lost.push(Lost {
                    key: loaded.key,
                    rest: Rest::of(&self.mapping, &base.sheet),
                    gone,
                    table: match loaded.row.filter(|_| loaded.in_filter) {
                        Some(row) if row == base.database => InTable::AsAgreed,
                        Some(_) => InTable::Changed,
                        None => InTable::Gone,
                    },
                });
            }
        }
        lost.sort_by_key(|one| one.table == InTable::Gone);
        Ok(lost)
    }

    /// What both sides agreed on of the keys that several rows have: a row that shows just that is
    /// a copy, and no other row under a mistyped key.
    async fn load_doubled(&mut self, diff: &Diff) -> Result<HashMap<Key, Rest>, Stop> {
        let keys = diff.unreadable.iter().filter_map(|row| match &row.why {
            Unreadable::Doubled(key) => Some(key.clone()),
            _ => None,
        });
        let keys: BTreeSet<Key> = keys.collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        let mut agreed = HashMap::with_capacity(keys.len());
        for chunk in keys.chunks(self.chunk()) {
            for row in self.load(chunk.to_vec()).await? {
                if let Some(base) = row.base.filter(|base| !base.is_absent_in_sheet()) {
                    agreed.insert(row.key, Rest::of(&self.mapping, &base.sheet));
                }
            }
        }
        Ok(agreed)
    }

    /// The rows of keys with a base as they stand now, in the sheet's order.
    fn standing_keys(&self) -> Vec<(u32, Key)> {
        let rows = self.memory.rows.iter();
        let mut places: Vec<(u32, Key)> = rows
            .filter(|(_, known)| known.row != NOWHERE && known.state.is_based())
            .map(|(key, known)| (known.row, key.clone()))
            .collect();
        places.sort_unstable_by_key(|(row, _)| *row);
        places
    }

    fn suspect(
        &self,
        at: u32,
        known: &HashMap<u32, Option<Timestamp>>,
        places: &[(u32, Key)],
        (snapshot, layout): (&Snapshot, &Layout),
    ) -> Result<Suspect, Failure> {
        let cells = layout.mapped(&parse(snapshot, at)?);
        let places: Vec<(u32, &Key)> = near(places, at);
        Ok(Suspect {
            at,
            since: known.get(&at).copied().flatten(),
            rest: Rest::of(&self.mapping, &cells),
            stands: neighbours(&places, at),
        })
    }

    fn suspects(
        &self,
        unreadable: &[UnreadableRow],
        known: &HashMap<u32, Option<Timestamp>>,
        places: &[(u32, Key)],
        reading: (&Snapshot, &Layout),
    ) -> Result<Vec<(Unreadable, Suspect)>, Failure> {
        let suspect = |row: &UnreadableRow| {
            let suspect = self.suspect(row.at, known, places, reading)?;
            Ok((row.why.clone(), suspect))
        };
        unreadable.iter().map(suspect).collect()
    }

    /// The missing rows that may be ones with an unreadable key. The problems of these say so, and a
    /// row without a key gets none while it may be one that has a key. What a row under a new key is
    /// for `certain` may be another one only where that shows the very same.
    fn hold_unreadable(
        &mut self,
        diff: &mut Diff,
        lost: &[Lost],
        rows: &[(Unreadable, Suspect)],
        doubled: &HashMap<Key, Rest>,
        certain: &BTreeSet<usize>,
    ) -> Held {
        let exact = Exact::of(lost, rows.iter().map(|(_, row)| row));
        let mut whose: Vec<(usize, Vec<usize>)> = Vec::new();
        let (mut open, mut placed) = (Vec::new(), BTreeSet::new());
        for (index, (why, row)) in rows.iter().enumerate() {
            let is_copy = match why {
                Unreadable::Doubled(key) => doubled
                    .get(key)
                    .is_some_and(|rest| rest.cells() == row.rest.cells()),
                _ => false,
            };
            match exact.only_one_of(index) {
                Alike::None if is_copy => {}
                Alike::One(one) => {
                    whose.push((index, vec![one]));
                    placed.insert(one);
                }
                Alike::None | Alike::Several => open.push(index),
            }
        }
        let compared = lost.len().saturating_mul(open.len()) <= COMPARISONS;
        let mut held = BTreeSet::new();
        let opened = open
            .iter()
            .filter_map(|index| Some((index, rows.get(*index)?)));
        if compared {
            for (index, (why, row)) in opened {
                let is_open = |one: usize, lost: &Lost| !certain.contains(&one) || row.is_as(lost);
                let fits = (0..).zip(lost).filter(|(one, lost)| {
                    row.may_be(lost) && is_open(*one, lost) && fits(why, row, lost)
                });
                let fits: Vec<usize> = fits.map(|(one, _)| one).collect();
                if !fits.is_empty() {
                    whose.push((*index, fits));
                }
            }
        } else {
            let latest = opened
                .clone()
                .map(|(_, (_, row))| row.since)
                .max()
                .flatten();
            let may_be =
                |(one, lost): &(usize, &Lost)| !certain.contains(one) && latest >= lost.gone.since;
            held.extend((0..).zip(lost).filter(may_be).map(|(one, _)| one));
            let new = opened.filter(|(_, (why, _))| *why == Unreadable::New);
            let new: HashSet<u32> = new.map(|(_, (_, row))| row.at).collect();
            diff.keyless.retain(|at| !new.contains(at));
            let first = open.first().and_then(|index| rows.get(*index));
            if let Some((_, row)) = first {
                let problem = too_many(row.at, held.len(), open.len());
                diff.problems.push(problem);
            }
        }
        self.say_whose(diff, rows, lost, &whose);
        held.extend(whose.into_iter().flat_map(|(_, whose)| whose));
        Held { all: held, placed }
    }

    /// The problem of a row with an unreadable key names the rows that it may be.
    fn say_whose(
        &mut self,
        diff: &mut Diff,
        rows: &[(Unreadable, Suspect)],
        lost: &[Lost],
        said: &[(usize, Vec<usize>)],
    ) {
        let mut says: HashMap<u32, String> = HashMap::new();
        let mut new: HashSet<u32> = HashSet::new();
        let mut placed: HashSet<i64> = HashSet::new();
        let column = self.mapping.key.first().copied();
        for (index, fits) in said {
            let Some((why, row)) = rows.get(*index) else {
                continue;
            };
            let fits: Vec<&Lost> = fits.iter().filter_map(|one| lost.get(*one)).collect();
            let whose = whose_of(&fits);
            if let [one] = fits.as_slice() {
                placed.insert(hash_cells(one.rest.cells()));
            }
            if *why != Unreadable::New {
                says.insert(row.at, whose);
                continue;
            }
            new.insert(row.at);
            let header = self.header_of(column);
            diff.problems.push(sheet_problem(
                row.at,
                column,
                "missing_key",
                format!("The row has no {header}. {whose}"),
                format!("Type its {header} again; if it is a new row, cut it out and paste it below the others."),
            ));
        }
        diff.keyless.retain(|row| !new.contains(row));
        for problem in &mut diff.problems {
            let at = problem.place.sheet_row.and_then(|row| row.checked_sub(1));
            if let Some(whose) = at.and_then(|at| says.get(&at)) {
                problem.message = format!("{} {whose}", problem.message);
            }
        }
        self.unplaced
            .retain(|rest| !placed.contains(&hash_cells(rest.cells())));
    }

    pub(super) fn header_of(&self, column: Option<usize>) -> &str {
        let description = column.and_then(|column| self.mapping.columns.get(column));
        description.map_or("key", |one| one.header.as_str())
    }

    /// The rest of the cycle leaves these keys alone, as it does where several rows have one: the
    /// sheet may have them, and nobody knows where.
    pub(super) fn hide(&mut self, diff: &mut Diff, keys: BTreeSet<Key>) {
        for key in &keys {
            let known = self.memory.known(key);
            known.row = NOWHERE;
            known.raw = SOMEWHERE;
            known.cells = UNSETTLED;
            known.missing = None;
            diff.unconfirmed.remove(key);
            self.memory.renaming.remove(key);
        }
        diff.hidden.extend(keys);
        let hidden = &diff.hidden;
        diff.missing
            .retain(|sighting| !hidden.contains(&sighting.key));
        diff.changed
            .retain(|sighting| !hidden.contains(&sighting.key));
    }

    /// The rows of the sheet that stand under keys of which the table knows nothing.
    async fn load_new(
        &mut self,
        new: Vec<(Key, u32)>,
        known: &HashMap<u32, Option<Timestamp>>,
        places: &[(u32, Key)],
        reading: (&Snapshot, &Layout),
    ) -> Result<Vec<NewRow>, Stop> {
        let mut rows = Vec::new();
        for chunk in new.chunks(self.chunk()) {
            let keys = chunk.iter().map(|(key, _)| key.clone()).collect();
            for (loaded, (key, at)) in self.load(keys).await?.iter().zip(chunk) {
                if loaded.row.is_none() && loaded.spelled.is_none() && loaded.base.is_none() {
                    rows.push(NewRow {
                        key: key.clone(),
                        was_tried: self.was_tried(key),
                        row: self.suspect(*at, known, places, reading)?,
                    });
                }
            }
        }
        Ok(rows)
    }

    /// Which of the new keys are those of missing rows, changed by a person. What may be, and may
    /// as well be another row, waits.
    fn follow_told(
        &mut self,
        diff: &mut Diff,
        mut told: Told,
        lost: &[Lost],
        rows: &[NewRow],
        held: &BTreeSet<usize>,
    ) -> Vec<Rekeyed> {
        self.doubt_pairs(&mut told, lost, rows, held);
        let key_of = |one: &usize| lost.get(*one).map(|one| one.key.clone());
        let held = held.iter().chain(&told.beyond.lost);
        let mut held: BTreeSet<Key> = held.filter_map(key_of).collect();
        let mut waiting: HashSet<Key> = HashSet::new();
        for (row, whose) in &told.doubtful {
            let names: Vec<Key> = whose.iter().filter_map(key_of).collect();
            if let Some(new) = rows.get(*row) {
                diff.problems.push(unclear_key(self, new.row.at, &names));
                waiting.insert(new.key.clone());
            }
            held.extend(names);
        }
        let beyond: Vec<&NewRow> = told
            .beyond
            .rows
            .iter()
            .filter_map(|row| rows.get(*row))
            .collect();
        if let Some(first) = beyond.first() {
            let (lost, new) = (told.beyond.lost.len(), beyond.len());
            diff.problems.push(too_many(first.row.at, lost, new));
        }
        waiting.extend(beyond.into_iter().map(|new| new.key.clone()));
        self.hide(diff, held);
        diff.changed
            .retain(|sighting| !waiting.contains(&sighting.key));
        diff.hidden.extend(waiting);
        let pairs = told.pairs.into_iter().filter_map(|(one, row)| {
            let (lost, new) = (lost.get(one)?, rows.get(row)?);
            Some(Rekeyed {
                old: lost.key.clone(),
                new: new.key.clone(),
                at: new.row.at,
                has_changed: lost.table == InTable::Changed,
            })
        });
        pairs.collect()
    }

    /// What was tried as a new row before is none under another key, unless only its key differs.
    fn was_tried(&self, key: &Key) -> bool {
        let mut known = self.memory.problems.get(key).into_iter().flatten();
        known.any(|one| {
            let of_key = |column| self.mapping.key.contains(&column);
            !one.column.is_some_and(of_key)
        })
    }

    /// A key that does not travel to the table cannot be followed there; and a row that may be
    /// another one, too, is not followed before somebody tells.
    fn doubt_pairs(&self, told: &mut Told, lost: &[Lost], rows: &[NewRow], held: &BTreeSet<usize>) {
        let is_doubtful = |(one, row): &(usize, usize)| {
            let (Some(lost), Some(new)) = (lost.get(*one), rows.get(*row)) else {
                return false;
            };
            let parts = lost.key.0.iter().zip(&new.key.0).zip(&self.mapping.key);
            let mut differing = parts.filter(|((before, after), _)| before != after);
            held.contains(one) || differing.any(|(_, column)| !self.mapping.pulls(*column))
        };
        let doubtful = told.pairs.extract_if(.., |pair| is_doubtful(pair));
        let doubtful = doubtful.map(|(one, row)| (row, vec![one]));
        told.doubtful.extend(doubtful);
    }
}

fn unclear_key(cycle: &Cycle, at: u32, names: &[Key]) -> Problem {
    let column = cycle.mapping.key.first().copied();
    let names: Vec<&Key> = names.iter().collect();
    sheet_problem(
        at,
        column,
        "key_unclear",
        format!("Nobody can tell whether this is a new row. {}", whose(&names)),
        "If its key was changed, type the old one back, then change it again when this note is gone. \
         If it is a new row, cut it out and paste it below the others."
            .into(),
    )
}

/// Of the first of these rows, for all of them.
fn too_many(at: u32, lost: usize, rows: usize) -> Problem {
    sheet_problem(
        at,
        None,
        "key_unclear",
        format!(
            "Too many rows have changed at once to tell which is which: {lost} rows of the table are missing here, \
             and {rows} rows have new keys or keys that cannot be read. All of them wait, and the table keeps its rows."
        ),
        "If keys were changed, undo that and change them in several steps. If these are new rows, cut them out, \
         and paste them below the others when this note is gone."
            .into(),
    )
}

fn whose_of(fits: &[&Lost]) -> String {
    let in_table = fits.iter().filter(|one| one.table != InTable::Gone);
    let names: Vec<&Key> = in_table.map(|one| &one.key).collect();
    match (names.as_slice(), fits) {
        ([], [one]) => format!(
            "It may be the row {}, which no longer belongs in this sheet.",
            one.key.0.join(", ")
        ),
        ([], _) => "It may be one of the rows that no longer belong in this sheet.".to_owned(),
        (names, _) => whose(names),
    }
}

fn whose(names: &[&Key]) -> String {
    let text = |key: &&Key| key.0.join(", ");
    match names {
        [one] => format!(
            "It may be the row {}, which stays in the table meanwhile.",
            text(one)
        ),
        _ if names.len() <= NAMED => {
            let names: Vec<String> = names.iter().map(text).collect();
            format!(
                "It may be one of the rows {}, which stay in the table meanwhile.",
                names.join("; ")
            )
        }
        _ => format!(
            "It may be one of {} rows that are missing here and stay in the table meanwhile.",
            names.len()
        ),
    }
}

fn fits(why: &Unreadable, row: &Suspect, lost: &Lost) -> bool {
    let likeness = row.likeness(lost);
    match why {
        Unreadable::Error => likeness.fits_an_error(row.rest.is_blank()),
        Unreadable::New => likeness.fits_a_blank_key(),
        Unreadable::Blank | Unreadable::Refused | Unreadable::Doubled(_) => {
            likeness.fits_a_bad_key()
        }
    }
}

/// The rows next to a place, of rows in ascending order.
fn neighbours(rows: &[(u32, &Key)], at: u32) -> Neighbours {
    let next = rows.partition_point(|(row, _)| *row <= at);
    let above = rows.partition_point(|(row, _)| *row < at);
    let key = |index: Option<usize>| Some(rows.get(index?)?.1.clone());
    Neighbours {
        above: key(above.checked_sub(1)),
        below: key(Some(next)),
    }
}

/// Of all rows those next to a place.
fn near(rows: &[(u32, Key)], at: u32) -> Vec<(u32, &Key)> {
    let next = rows.partition_point(|(row, _)| *row < at);
    let from = next.saturating_sub(1);
    let rows = rows.iter().skip(from).take(3);
    rows.map(|(row, key)| (*row, key)).collect()
}

/// Missing rows and rows of the sheet that nothing but the key tells apart: all of a group show
/// the same besides it.
struct Exact<'a> {
    lost: &'a [Lost],
    rows: Vec<&'a Suspect>,
    groups: Vec<Group>,
    /// The group of each row.
    of_row: HashMap<usize, usize>,
}

#[derive(Default)]
struct Group {
    lost: Vec<usize>,
    rows: Vec<usize>,
}

/// Which missing row has the same other cells as a row of the sheet.
enum Alike {
    None,
    /// This one, and no other row of the sheet has them.
    One(usize),
    Several,
}

impl<'a> Exact<'a> {
    fn of(lost: &'a [Lost], rows: impl Iterator<Item = &'a Suspect>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_rest: HashMap<i64, usize> = HashMap::new();
        // Blank cells tell nothing.
        let filled = (0..).zip(lost).filter(|(_, one)| !one.rest.is_blank());
        for (index, one) in filled {
            let rest = hash_cells(one.rest.cells());
            let group = *by_rest.entry(rest).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Group::default());
            }
            if let Some(group) = groups.get_mut(group) {
                group.lost.push(index);
            }
        }
        let rows: Vec<&Suspect> = rows.collect();
        let mut of_row = HashMap::new();
        for (number, row) in rows.iter().enumerate() {
            if let Some(at) = by_rest.get(&hash_cells(row.rest.cells()))
                && let Some(group) = groups.get_mut(*at)
            {
                group.rows.push(number);
                of_row.insert(number, *at);
            }
        }
        Self {
            lost,
            rows,
            groups,
            of_row,
        }
    }

    fn may_be(&self, row: usize, lost: usize) -> bool {
        let pair = self.rows.get(row).zip(self.lost.get(lost));
        pair.is_some_and(|(row, lost)| row.may_be(lost) && row.is_as(lost))
    }

    fn only_one_of(&self, row: usize) -> Alike {
        let group = self.of_row.get(&row).and_then(|at| self.groups.get(*at));
        let Some(group) = group else {
            return Alike::None;
        };
        let mut lost = group.lost.iter().filter(|lost| self.may_be(row, **lost));
        let Some(one) = lost.next() else {
            return Alike::None;
        };
        let mut rows = group.rows.iter().filter(|row| self.may_be(**row, *one));
        match (lost.next(), rows.nth(1)) {
            (None, None) => Alike::One(*one),
            _ => Alike::Several,
        }
    }
}

/// A row of the sheet under a key that nobody has seen before.
struct NewRow {
    key: Key,
    was_tried: bool,
    row: Suspect,
}

/// Missing rows that rows with an unreadable key may be.
struct Held {
    all: BTreeSet<usize>,
    /// Those of which it is told by all other cells which row they are.
    placed: BTreeSet<usize>,
}

#[derive(Default)]
struct Told {
    /// Places of a missing row and of the new row that it is.
    pairs: Vec<(usize, usize)>,
    /// New rows, and the missing ones that each may be.
    doubtful: Vec<(usize, Vec<usize>)>,
    /// What was not compared.
    beyond: Beyond,
}

#[derive(Default)]
struct Beyond {
    lost: BTreeSet<usize>,
    rows: BTreeSet<usize>,
}

/// What is most certain is told first, and what has been told has no part in what is less so.
struct Telling<'a> {
    lost: &'a [Lost],
    rows: &'a [NewRow],
    open_lost: BTreeSet<usize>,
    open_rows: BTreeSet<usize>,
    told: Told,
}

impl<'a> Telling<'a> {
    fn of(lost: &'a [Lost], rows: &'a [NewRow]) -> Self {
        Self {
            lost,
            rows,
            open_lost: (0..lost.len()).collect(),
            open_rows: (0..rows.len()).collect(),
            told: Told::default(),
        }
    }

    /// An earlier reading had told so.
    fn remembered(&mut self, remembered: &HashMap<Key, Key>) {
        let rows = (0..).zip(self.rows);
        let rows: HashMap<&Key, usize> = rows.map(|(row, new)| (&new.key, row)).collect();
        let pairs = (0..).zip(self.lost).filter_map(|(one, lost)| {
            let new = remembered.get(&lost.key)?;
            Some((one, *rows.get(new)?))
        });
        self.settle(pairs.collect(), true);
    }

    /// Nothing but the key differs.
    fn exact(&mut self) {
        let exact = Exact::of(self.lost, self.rows.iter().map(|new| &new.row));
        let mut room = COMPARISONS;
        let mut groups: Vec<Group> = Vec::new();
        for group in exact.groups {
            let is_open = |one: &usize| self.open_lost.contains(one);
            let lost: Vec<usize> = group.lost.into_iter().filter(is_open).collect();
            let is_open = |row: &usize| self.open_rows.contains(row);
            let rows: Vec<usize> = group.rows.into_iter().filter(is_open).collect();
            match room.checked_sub(lost.len().saturating_mul(rows.len())) {
                Some(left) => {
                    room = left;
                    groups.push(Group { lost, rows });
                }
                None => self.leave(lost, rows),
            }
        }
        // Elsewhere in the sheet it may be a new row that happens to say what the old one said:
        // what the table changed meanwhile is not written into that.
        let in_place = |row: &Suspect, lost: &Lost| lost.gone.place_of(&row.stands) == Place::Same;
        let unchanged = |_: &Suspect, lost: &Lost| lost.table != InTable::Changed;
        for says in [&in_place as &dyn Fn(&Suspect, &Lost) -> bool, &unchanged] {
            let mut pairs = Vec::new();
            for group in &groups {
                for row in group
                    .rows
                    .iter()
                    .filter(|row| self.open_rows.contains(*row))
                {
                    for one in group
                        .lost
                        .iter()
                        .filter(|one| self.open_lost.contains(*one))
                    {
                        let (Some(lost), Some(new)) = (self.lost.get(*one), self.rows.get(*row))
                        else {
                            continue;
                        };
                        if new.row.may_be(lost) && new.row.is_as(lost) && says(&new.row, lost) {
                            pairs.push((*one, *row));
                        }
                    }
                }
            }
            self.settle(pairs, true);
        }
    }

    /// Other cells differ, too. What is `placed` is known to be no row under a new key.
    fn alike(&mut self, placed: &BTreeSet<usize>) {
        self.open_lost.retain(|one| !placed.contains(one));
        let is_fresh = |row: &usize| self.rows.get(*row).is_some_and(|new| !new.was_tried);
        let rows: Vec<usize> = self.open_rows.iter().copied().filter(is_fresh).collect();
        if self.open_lost.len().saturating_mul(rows.len()) > COMPARISONS {
            let lost = self.open_lost.iter().copied().collect();
            self.leave(lost, rows);
            return;
        }
        let (mut close, mut doubtful) = (Vec::new(), Vec::new());
        for row in rows {
            for one in &self.open_lost {
                let (Some(lost), Some(new)) = (self.lost.get(*one), self.rows.get(row)) else {
                    continue;
                };
                if !new.row.may_be(lost) {
                    continue;
                }
                let likeness = new.row.likeness(lost);
                let here = likeness.place == Place::Same || lost.table != InTable::Changed;
                if here && likeness.is_close() && !likeness.is_exact() {
                    close.push((*one, row));
                } else if likeness.is_doubtful() && !likeness.is_exact() {
                    doubtful.push((*one, row));
                }
            }
        }
        self.settle(close, true);
        let is_open = |pair: &(usize, usize)| self.is_open(*pair);
        let doubtful = doubtful.into_iter().filter(is_open).collect();
        self.settle(doubtful, false);
    }

    fn is_open(&self, (one, row): (usize, usize)) -> bool {
        self.open_lost.contains(&one) && self.open_rows.contains(&row)
    }

    /// Pairs of which neither row is in another one are told where that is certain; the others are
    /// doubtful.
    fn settle(&mut self, pairs: Vec<(usize, usize)>, certain: bool) {
        let (mut of_lost, mut of_row) = (HashMap::new(), HashMap::new());
        for (one, row) in &pairs {
            *of_lost.entry(*one).or_insert(0) += 1;
            *of_row.entry(*row).or_insert(0) += 1;
        }
        let mut doubtful: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (one, row) in pairs {
            self.open_lost.remove(&one);
            self.open_rows.remove(&row);
            let alone = of_lost.get(&one) == Some(&1) && of_row.get(&row) == Some(&1);
            if alone && certain {
                self.told.pairs.push((one, row));
            } else {
                doubtful.entry(row).or_default().push(one);
            }
        }
        self.told.doubtful.extend(doubtful);
    }

    fn leave(&mut self, lost: Vec<usize>, rows: Vec<usize>) {
        for one in &lost {
            self.open_lost.remove(one);
        }
        for row in &rows {
            self.open_rows.remove(row);
        }
        self.told.beyond.lost.extend(lost);
        self.told.beyond.rows.extend(rows);
    }
}
