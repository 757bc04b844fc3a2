//! Rows with a base whose key a reading misses: deleted, under another key, or in a row whose key
//! nobody can read.
//!
//! What cannot be read is not gone. A missing key is a deletion only if no row of the tab could be
//! it: neither one whose key cell shows an error, is blank, doubled, or not of the column's type,
//! nor one that stands under a key that nobody has seen before. A row that stood in the sheet
//! already when the key was last seen is not that row. What cannot be told apart waits: nothing of
//! it is deleted, inserted or pulled, and a problem says so.

mod telling;
mod unreadable;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::codec::CellsHash;
use crate::cycle::compare::diff::{Diff, Sighting, UnreadableRow, sheet_problem};
use crate::cycle::compare::rekey::Rekeyed;
use crate::cycle::memory::Stranger;
use crate::cycle::memory::known::State;
use crate::cycle::memory::likeness::{Gone, Likeness, Neighbours, Rest};
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Failure, Problem, Snapshot};
use crate::mapping::Direction;
use crate::tab::Layout;
use crate::value::{Cell, Key, Timestamp};
use telling::{NewRow, Telling, Told};

/// So many comparisons of a missing row with another row are made by a reading, besides those of
/// rows whose other cells are all equal. What is beyond that waits.
const COMPARISONS: usize = 4_000_000;

/// So many keys are named by a problem.
const NAMED: usize = 3;

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
    pub(crate) fn note_gone(&mut self, rows_of: &[Option<u32>]) {
        let memory = &mut self.memory;
        let is_missed = |index: usize| rows_of.get(index) == Some(&None);
        let rows = &memory.rows;
        memory
            .missing
            .rows
            .retain(|key, _| rows.get_index_of(key).is_some_and(is_missed));
        let newly: Vec<usize> = (0..rows.len())
            .filter(|index| is_missed(*index))
            .filter(|index| {
                rows.get_index(*index).is_some_and(|(key, known)| {
                    let is_lost = known.state.is_agreed() || memory.is_being_renamed(key);
                    is_lost && !memory.missing.rows.contains_key(key)
                })
            })
            .collect();
        if newly.is_empty() {
            return;
        }
        let mut standing: Vec<(u32, &Key)> = rows
            .iter()
            .enumerate()
            .filter(|(index, (_, known))| known.state.is_based() && !is_missed(*index))
            .filter_map(|(_, (key, known))| Some((known.row()?, key)))
            .collect();
        standing.sort_unstable_by_key(|(row, _)| *row);
        let mut gone = Vec::with_capacity(newly.len());
        for index in newly {
            let Some((key, known)) = rows.get_index(index) else {
                continue;
            };
            let one = match known.row() {
                None => Gone::before_anybody_looked(),
                Some(row) => Gone {
                    since: memory.looked.map(|looked| looked.arrived),
                    stood: Some(neighbours(&standing, row)),
                },
            };
            gone.push((key.clone(), one));
        }
        memory.missing.rows.extend(gone);
    }

    /// Tells what became of missing rows: holds back what cannot be told apart. The answer is the
    /// keys that a person changed by hand, for the table to follow.
    pub(crate) async fn explain_missing(
        &mut self,
        diff: &mut Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Vec<Rekeyed>, Stop> {
        let new = self.new_keys(diff);
        let known = self.meet_strangers(&diff.unreadable, &new);
        self.round.unplaced = self.error_rows(diff, snapshot, layout)?;
        let pulls = self.start.ways.pull && self.mapping.direction != Direction::ToSheet;
        let gone = self.gone_keys(diff);
        let suspects = !new.is_empty() || !diff.unreadable.is_empty();
        if !pulls || gone.is_empty() || !suspects {
            self.memory.missing.retyped.clear();
            self.look_again(diff);
            return Ok(Vec::new());
        }
        let remembered = std::mem::take(&mut self.memory.missing.retyped);
        let lost = self.load_lost(gone).await?;
        // Only what the table still has can be followed to another key. These come first.
        let followed = lost.partition_point(|one| one.table != InTable::Gone);
        let followed = lost.get(..followed).unwrap_or_default();
        let unreadable = diff.unreadable.iter().map(|row| row.at);
        let places = self.stand_between(new.iter().map(|(_, at)| *at).chain(unreadable));
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
    pub(crate) fn restore_hit_rows(&mut self, diff: &mut Diff) {
        let memory = &mut self.memory;
        memory
            .missing
            .maybe_hit
            .retain(|key| memory.rows.contains_key(key));
        for key in &memory.missing.maybe_hit {
            if diff.hidden.contains(key) || diff.rekeyed.contains(key) {
                continue;
            }
            let known = memory.rows.get_mut(key);
            let Some(known) = known.filter(|known| known.state.is_agreed()) else {
                continue;
            };
            known.state = State::GoneByUs;
            if diff.unconfirmed.remove(key) {
                diff.missing.push(Sighting {
                    key: key.clone(),
                    row: None,
                    bytes: None,
                });
            }
        }
    }

    /// Whether a row that is to be inserted with these cells may stand in the sheet already.
    pub(crate) fn may_be_unplaced(&self, cells: &[Cell]) -> bool {
        let new = Rest::of(&self.mapping, cells);
        let nowhere = Gone::before_anybody_looked();
        let first_merge = self.guard.rows_at_start == 0;
        self.round.unplaced.iter().any(|row| {
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
    fn new_keys(&self, diff: &mut Diff) -> Vec<(Key, u32)> {
        let mut new = std::mem::take(&mut diff.unbased);
        new.retain(|(key, at)| {
            let known = self.memory.rows.get(key);
            let is_new = known
                .is_some_and(|known| known.state == State::Unbased && known.row() == Some(*at));
            is_new && !diff.hidden.contains(key)
        });
        new
    }

    /// When a snapshot first had of the rows that belong to none with a base.
    fn meet_strangers(
        &mut self,
        unreadable: &[UnreadableRow],
        new: &[(Key, u32)],
    ) -> HashMap<u32, Option<Timestamp>> {
        let mut times: HashMap<CellsHash, usize> = HashMap::new();
        let mut met = HashMap::with_capacity(unreadable.len() + new.len());
        let mut since = HashMap::with_capacity(unreadable.len() + new.len());
        let before = std::mem::take(&mut self.memory.missing.strangers);
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
        self.memory.missing.strangers = met;
        since
    }

    fn gone_keys(&self, diff: &Diff) -> Vec<Key> {
        let missing = diff.missing.iter().map(|sighting| &sighting.key);
        let keys = missing.chain(&diff.unconfirmed);
        let gone: HashSet<&Key> = keys
            .filter(|key| self.memory.is_agreed(key))
            .filter(|key| self.memory.missing.rows.contains_key(*key))
            .collect();
        let mut gone: Vec<Key> = gone.into_iter().cloned().collect();
        gone.sort_unstable();
        gone
    }

    /// Those on which both sides had agreed; those that the table no longer has come last.
    async fn load_lost(&mut self, keys: Vec<Key>) -> Result<Vec<Lost>, Stop> {
        let mut lost = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(self.tab.max_tagged_rows()) {
            for loaded in self.load(chunk.to_vec()).await? {
                let agreed = loaded.base;
                let agreed =
                    agreed.filter(|base| !base.is_absent_in_sheet() && !base.is_absent_in_table());
                let gone = self.memory.missing.rows.get(&loaded.key).cloned();
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

    /// Between which rows with a base these rows stand.
    fn stand_between(&self, rows: impl Iterator<Item = u32>) -> HashMap<u32, Neighbours> {
        let known = self.memory.rows.iter();
        let mut standing: Vec<(u32, &Key)> = known
            .filter(|(_, known)| known.state.is_based())
            .filter_map(|(key, known)| Some((known.row()?, key)))
            .collect();
        standing.sort_unstable_by_key(|(row, _)| *row);
        rows.map(|at| (at, neighbours(&standing, at))).collect()
    }

    fn suspect(
        &self,
        at: u32,
        known: &HashMap<u32, Option<Timestamp>>,
        places: &HashMap<u32, Neighbours>,
        (snapshot, layout): (&Snapshot, &Layout),
    ) -> Result<Suspect, Failure> {
        let cells = layout.mapped(&parse(snapshot, at)?);
        Ok(Suspect {
            at,
            since: known.get(&at).copied().flatten(),
            rest: Rest::of(&self.mapping, &cells),
            stands: places.get(&at).cloned().unwrap_or_default(),
        })
    }

    pub(crate) fn header_of(&self, column: Option<usize>) -> &str {
        let description = column.and_then(|column| self.mapping.columns.get(column));
        description.map_or("key", |one| one.header.as_str())
    }

    /// The rest of the cycle leaves these keys alone, as it does where several rows have one: the
    /// sheet may have them, and nobody knows where.
    pub(crate) fn hide(&mut self, diff: &mut Diff, keys: BTreeSet<Key>) {
        for key in &keys {
            let known = self.memory.known(key);
            known.lose_place();
            known.missing = None;
            diff.unconfirmed.remove(key);
            self.memory.missing.retyped.remove(key);
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
        places: &HashMap<u32, Neighbours>,
        reading: (&Snapshot, &Layout),
    ) -> Result<Vec<NewRow>, Stop> {
        let mut rows = Vec::new();
        for chunk in new.chunks(self.tab.max_tagged_rows()) {
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
        let mut known = self.memory.problems.of_row(key).iter();
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

fn whose(names: &[&Key]) -> String {
    let text = |key: &&Key| key.shown();
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
