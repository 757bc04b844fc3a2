//! Rows with a base whose key a reading misses: deleted, under another key, or in a row whose key
//! nobody can read.
//!
//! What cannot be read is not gone. A missing key is a deletion only if no row of the tab could be
//! it: neither one whose key cell shows an error, is blank, doubled, or not of the column's type,
//! nor one that stands under a key that nobody has seen before. A row that stood in the sheet
//! already when the key was last seen is not that row. What cannot be told apart waits: nothing of
//! it is deleted, inserted or pulled, and a problem says so.

use std::collections::{HashMap, HashSet};

use super::batch::CHUNK;
use super::header::Layout;
use super::io::Stop;
use super::likeness::{Likeness, Neighbours, Place, Rest};
use super::memory::{Gone, NOWHERE, SOMEWHERE, State, Stranger, UNSETTLED};
use super::rekey::Pair;
use super::run::Cycle;
use super::snapshot::{Diff, parse, sheet_problem};
use crate::codec::hash_cells;
use crate::effect::{Failure, LoadedRow, Snapshot};
use crate::mapping::Direction;
use crate::value::{Base, Cell, Datum, Key, Timestamp};

/// So many comparisons of a missing row with another row are made by a reading; above that only
/// rows whose other cells are all equal are told.
const COMPARISONS: usize = 250_000;

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
    loaded: LoadedRow,
    row: Vec<Datum>,
    base: Base,
    rest: Rest,
    gone: Gone,
}

/// A row of the sheet that may be a missing one.
struct Suspect {
    at: u32,
    /// When the snapshot had arrived that first had it.
    since: Option<Timestamp>,
    cells: Vec<Cell>,
    rest: Rest,
    stands: Neighbours,
}

impl Lost {
    /// The table changed it since both sides agreed.
    fn has_changed(&self) -> bool {
        self.row != self.base.database
    }
}

impl Suspect {
    /// It was not in the sheet yet when the missing row was.
    fn may_be(&self, lost: &Lost) -> bool {
        self.since >= lost.gone.since
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
        let agreed = |state: State| matches!(state, State::Based | State::Marked);
        let newly: Vec<usize> = (0..rows.len())
            .filter(|index| is_missed(*index))
            .filter(|index| {
                rows.get_index(*index).is_some_and(|(key, known)| {
                    agreed(known.state) && !memory.gone.contains_key(key)
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
    ) -> Result<Vec<Pair>, Stop> {
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
        if gone.len() > CHUNK {
            // Too many to compare: the guards ask about so many deletions, and while the key of any
            // row is unreadable none of them is one.
            if diff.unreadable.iter().any(|row| row.why != Unreadable::New) {
                self.hide(diff, gone);
            }
            self.look_again(diff);
            return Ok(Vec::new());
        }
        let mut lost = self.load_lost(gone).await?;
        let places = self.standing_keys();
        let doubled = self.load_doubled(diff).await?;
        let held =
            self.hold_unreadable(diff, &lost, &known, &doubled, &places, (snapshot, layout))?;
        lost.retain(|one| !held.contains(&one.loaded.key));
        self.hide(diff, held.into_iter().collect());
        let pairs = self
            .told_by_hand(diff, lost, new, &known, &places, (snapshot, layout))
            .await?;
        self.look_again(diff);
        Ok(self.follow_keys(diff, pairs))
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
        gone.into_iter().cloned().collect()
    }

    /// Those of which the table still has the row: there is nothing to be told of the others.
    async fn load_lost(&mut self, keys: Vec<Key>) -> Result<Vec<Lost>, Stop> {
        let mut lost = Vec::with_capacity(keys.len());
        for loaded in self.load(keys).await? {
            let agreed = loaded.base.clone();
            let agreed =
                agreed.filter(|base| !base.is_absent_in_sheet() && !base.is_absent_in_table());
            let gone = self.memory.gone.get(&loaded.key).cloned();
            let (Some(base), Some(gone), Some(row), true) =
                (agreed, gone, loaded.row.clone(), loaded.in_filter)
            else {
                continue;
            };
            lost.push(Lost {
                rest: Rest::of(&self.mapping, &base.sheet),
                loaded,
                row,
                base,
                gone,
            });
        }
        lost.sort_by(|one, other| one.loaded.key.cmp(&other.loaded.key));
        Ok(lost)
    }

    /// What both sides agreed on of the keys that several rows have: a row that shows just that is
    /// a copy, and no other row under a mistyped key.
    async fn load_doubled(&mut self, diff: &Diff) -> Result<HashMap<Key, Rest>, Stop> {
        let keys = diff.unreadable.iter().filter_map(|row| match &row.why {
            Unreadable::Doubled(key) => Some(key.clone()),
            _ => None,
        });
        let keys: HashSet<Key> = keys.take(CHUNK).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let loaded = self.load(keys.into_iter().collect()).await?;
        let agreed = loaded.into_iter().filter_map(|row| {
            let base = row.base.filter(|base| !base.is_absent_in_sheet())?;
            Some((row.key, Rest::of(&self.mapping, &base.sheet)))
        });
        Ok(agreed.collect())
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
            cells,
        })
    }

    /// The keys of missing rows that may be ones with an unreadable key. The problems of these say
    /// so, and a row without a key gets none while it may be one that has a key.
    fn hold_unreadable(
        &mut self,
        diff: &mut Diff,
        lost: &[Lost],
        known: &HashMap<u32, Option<Timestamp>>,
        doubled: &HashMap<Key, Rest>,
        places: &[(u32, Key)],
        reading: (&Snapshot, &Layout),
    ) -> Result<HashSet<Key>, Failure> {
        let mut rows = Vec::new();
        for row in &diff.unreadable {
            rows.push((
                row.why.clone(),
                self.suspect(row.at, known, places, reading)?,
            ));
        }
        let few = lost.len().saturating_mul(rows.len()) <= COMPARISONS;
        let exact = exact_pairs(lost, rows.iter().map(|(_, row)| row));
        let mut held = HashSet::new();
        for (index, (why, row)) in rows.iter().enumerate() {
            let alike = exact.of_row(index);
            let is_copy = match why {
                Unreadable::Doubled(key) => doubled
                    .get(key)
                    .is_some_and(|rest| rest.cells() == row.rest.cells()),
                _ => false,
            };
            let fits: Vec<&Lost> = match alike {
                [] if is_copy => Vec::new(),
                [one] if exact.of_lost(*one).len() == 1 => lost.get(*one).into_iter().collect(),
                // An empty cell tells nothing: so many blank keys are new rows.
                _ if !few && *why == Unreadable::New => {
                    alike.iter().filter_map(|one| lost.get(*one)).collect()
                }
                _ => lost
                    .iter()
                    .filter(|one| row.may_be(one) && (!few || fits(why, row, one)))
                    .collect(),
            };
            if fits.is_empty() {
                continue;
            }
            let names: Vec<&Key> = fits.iter().map(|one| &one.loaded.key).collect();
            self.say_whose(diff, row.at, why, &names);
            if let [one] = fits.as_slice() {
                self.unplaced
                    .retain(|rest| rest.cells() != one.rest.cells());
            }
            held.extend(names.into_iter().cloned());
        }
        Ok(held)
    }

    /// The problem of a row with an unreadable key names the rows that it may be.
    fn say_whose(&self, diff: &mut Diff, at: u32, why: &Unreadable, names: &[&Key]) {
        let whose = whose(names);
        if *why == Unreadable::New {
            diff.keyless.retain(|row| *row != at);
            let column = self.mapping.key.first().copied();
            let header = self.header_of(column);
            diff.problems.push(sheet_problem(
                at,
                column,
                "missing_key",
                format!("The row has no {header}. {whose}"),
                format!("Type its {header} again; if it is a new row, cut it out and paste it below the others."),
            ));
            return;
        }
        let row = Some(at + 1);
        let problems = diff.problems.iter_mut();
        for problem in problems.filter(|problem| problem.place.sheet_row == row) {
            problem.message = format!("{} {whose}", problem.message);
        }
    }

    pub(super) fn header_of(&self, column: Option<usize>) -> &str {
        let description = column.and_then(|column| self.mapping.columns.get(column));
        description.map_or("key", |one| one.header.as_str())
    }

    /// The rest of the cycle leaves these keys alone, as it does where several rows have one: the
    /// sheet may have them, and nobody knows where.
    pub(super) fn hide(&mut self, diff: &mut Diff, keys: Vec<Key>) {
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

    /// Which of the new keys are those of missing rows, changed by a person. What may be, and may
    /// as well be another row, waits.
    async fn told_by_hand(
        &mut self,
        diff: &mut Diff,
        lost: Vec<Lost>,
        new: Vec<(Key, u32)>,
        known: &HashMap<u32, Option<Timestamp>>,
        places: &[(u32, Key)],
        reading: (&Snapshot, &Layout),
    ) -> Result<Vec<Pair>, Stop> {
        let remembered = std::mem::take(&mut self.memory.renaming);
        if lost.is_empty() || new.is_empty() || new.len() > CHUNK {
            return Ok(Vec::new());
        }
        let keys = new.iter().map(|(key, _)| key.clone()).collect();
        let fresh = self.load(keys).await?;
        // What was tried as a new row before is none under another key, unless only its key differs.
        let tried = |key: &Key| {
            let mut known = self.memory.problems.get(key).into_iter().flatten();
            known.any(|one| {
                one.column
                    .is_none_or(|column| !self.mapping.key.contains(&column))
            })
        };
        let tried: HashSet<Key> = new
            .iter()
            .map(|(key, _)| key.clone())
            .filter(tried)
            .collect();
        let mut rows = Vec::new();
        for (loaded, (key, at)) in fresh.iter().zip(new) {
            if loaded.row.is_none() && loaded.spelled.is_none() && loaded.base.is_none() {
                rows.push((key, self.suspect(at, known, places, reading)?));
            }
        }
        let mut told = tell(&lost, &rows, &tried, &remembered);
        self.doubt_fixed_keys(&mut told, &lost, &rows);
        for (key, whose) in &told.doubtful {
            let Some((_, row)) = rows.iter().find(|(one, _)| one == key) else {
                continue;
            };
            diff.problems.push(unclear_key(self, row.at, whose));
        }
        let doubtful = told.doubtful.into_iter();
        let waiting: HashSet<Key> = doubtful
            .flat_map(|(key, whose)| whose.into_iter().chain([key]))
            .collect();
        let (held, new): (Vec<Key>, Vec<Key>) = waiting
            .into_iter()
            .partition(|key| self.memory.gone.contains_key(key));
        self.hide(diff, held);
        let is_new = |key: &Key| new.contains(key);
        diff.changed.retain(|sighting| !is_new(&sighting.key));
        diff.hidden.extend(new);
        let mut lost: Vec<Option<Lost>> = lost.into_iter().map(Some).collect();
        let pairs = told.pairs.into_iter().filter_map(|(one, row)| {
            let lost = lost.get_mut(one)?.take()?;
            let (key, row) = rows.get(row)?;
            Some(Pair {
                old: lost.loaded,
                base: lost.base,
                row: lost.row,
                new: key.clone(),
                cells: row.cells.clone(),
            })
        });
        Ok(pairs.collect())
    }
}

impl Cycle {
    /// A key that does not travel to the table cannot be followed there.
    fn doubt_fixed_keys(&self, told: &mut Told, lost: &[Lost], rows: &[(Key, Suspect)]) {
        let keys =
            |(one, row): &(usize, usize)| Some((&lost.get(*one)?.loaded.key, &rows.get(*row)?.0));
        let is_fixed = |pair: &(usize, usize)| {
            let Some((old, new)) = keys(pair) else {
                return false;
            };
            let parts = old.0.iter().zip(&new.0).zip(&self.mapping.key);
            let mut differing = parts.filter(|((before, after), _)| before != after);
            differing.any(|(_, column)| !self.mapping.pulls(*column))
        };
        let fixed: Vec<(usize, usize)> = told.pairs.extract_if(.., |pair| is_fixed(pair)).collect();
        let doubtful = fixed.iter().filter_map(keys);
        told.doubtful
            .extend(doubtful.map(|(old, new)| (new.clone(), vec![old.clone()])));
    }
}

fn unclear_key(cycle: &Cycle, at: u32, names: &[Key]) -> crate::effect::Problem {
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

/// Missing rows and rows of the sheet that nothing but the key tells apart.
struct ExactPairs {
    by_lost: Vec<Vec<usize>>,
    by_row: Vec<Vec<usize>>,
}

impl ExactPairs {
    fn of_row(&self, row: usize) -> &[usize] {
        self.by_row.get(row).map_or(&[], Vec::as_slice)
    }

    fn of_lost(&self, lost: usize) -> &[usize] {
        self.by_lost.get(lost).map_or(&[], Vec::as_slice)
    }
}

fn exact_pairs<'a>(lost: &[Lost], rows: impl Iterator<Item = &'a Suspect>) -> ExactPairs {
    let mut by_rest: HashMap<i64, Vec<usize>> = HashMap::new();
    for (index, one) in lost.iter().enumerate() {
        by_rest
            .entry(hash_cells(one.rest.cells()))
            .or_default()
            .push(index);
    }
    let mut pairs = ExactPairs {
        by_lost: vec![Vec::new(); lost.len()],
        by_row: Vec::new(),
    };
    for (number, row) in rows.enumerate() {
        let alike = by_rest
            .get(&hash_cells(row.rest.cells()))
            .into_iter()
            .flatten();
        let exact = alike.filter(|index| {
            lost.get(**index)
                .is_some_and(|one| row.may_be(one) && row.likeness(one).is_exact())
        });
        let exact: Vec<usize> = exact.copied().collect();
        for index in &exact {
            if let Some(rows) = pairs.by_lost.get_mut(*index) {
                rows.push(number);
            }
        }
        pairs.by_row.push(exact);
    }
    pairs
}

#[derive(Default)]
struct Told {
    /// Places of a missing row and of the new row that it is.
    pairs: Vec<(usize, usize)>,
    /// New keys, and the missing ones that each may be.
    doubtful: Vec<(Key, Vec<Key>)>,
}

/// How strongly a new row says that it is a missing one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Doubtful,
    Close,
    Exact,
    /// Exact, and in the place of the missing row.
    InPlace,
    /// An earlier reading had told so.
    Remembered,
}

fn tell(
    lost: &[Lost],
    rows: &[(Key, Suspect)],
    tried: &HashSet<Key>,
    remembered: &HashMap<Key, Key>,
) -> Told {
    let exact = exact_pairs(lost, rows.iter().map(|(_, row)| row));
    let few = lost.len().saturating_mul(rows.len()) <= COMPARISONS;
    let mut says: Vec<(Says, usize, usize)> = Vec::new();
    for (number, (key, row)) in rows.iter().enumerate() {
        for index in exact.of_row(number) {
            let Some(one) = lost.get(*index) else {
                continue;
            };
            if row.likeness(one).place == Place::Same {
                says.push((Says::InPlace, *index, number));
            } else if !one.has_changed() {
                // Elsewhere in the sheet it may be a new row that happens to say what the old one
                // said: what the table changed meanwhile is not written into that.
                says.push((Says::Exact, *index, number));
            }
        }
        for (index, one) in lost.iter().enumerate() {
            if remembered.get(&one.loaded.key) == Some(key) {
                says.push((Says::Remembered, index, number));
            }
            if !few || !row.may_be(one) || tried.contains(key) {
                continue;
            }
            let likeness = row.likeness(one);
            let here = likeness.place == Place::Same || !one.has_changed();
            if here && likeness.is_close() && !likeness.is_exact() {
                says.push((Says::Close, index, number));
            } else if likeness.is_doubtful() && !likeness.is_exact() {
                says.push((Says::Doubtful, index, number));
            }
        }
    }
    let mut told = Told::default();
    let (mut lost_told, mut row_told) = (HashSet::new(), HashSet::new());
    for level in [
        Says::Remembered,
        Says::InPlace,
        Says::Exact,
        Says::Close,
        Says::Doubtful,
    ] {
        let open: Vec<(usize, usize)> = says
            .iter()
            .filter(|(says, one, row)| {
                *says == level && !lost_told.contains(one) && !row_told.contains(row)
            })
            .map(|(_, one, row)| (*one, *row))
            .collect();
        let count = |of: &dyn Fn(&(usize, usize)) -> usize| {
            let mut counts: HashMap<usize, usize> = HashMap::new();
            open.iter()
                .for_each(|pair| *counts.entry(of(pair)).or_default() += 1);
            counts
        };
        let (of_lost, of_row) = (count(&|pair| pair.0), count(&|pair| pair.1));
        let mut doubtful: HashMap<usize, Vec<Key>> = HashMap::new();
        for (one, row) in &open {
            let alone = of_lost.get(one) == Some(&1) && of_row.get(row) == Some(&1);
            if alone && level != Says::Doubtful {
                told.pairs.push((*one, *row));
            } else if let Some(lost) = lost.get(*one) {
                doubtful
                    .entry(*row)
                    .or_default()
                    .push(lost.loaded.key.clone());
            }
        }
        for (one, row) in &open {
            lost_told.insert(*one);
            row_told.insert(*row);
        }
        let mut doubtful: Vec<(usize, Vec<Key>)> = doubtful.into_iter().collect();
        doubtful.sort_unstable_by_key(|(row, _)| *row);
        let named = doubtful
            .into_iter()
            .filter_map(|(row, whose)| Some((rows.get(row)?.0.clone(), whose)));
        told.doubtful.extend(named);
    }
    told
}
