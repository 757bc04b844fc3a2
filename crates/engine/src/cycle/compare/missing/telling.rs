//! Which rows under new keys are missing rows whose key a person changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{COMPARISONS, InTable, Lost, Suspect};
use crate::codec::{CellsHash, hash_cells};
use crate::cycle::memory::likeness::Place;
use crate::value::Key;

/// A row of the sheet under a key that nobody has seen before.
pub(crate) struct NewRow {
    pub key: Key,
    pub was_tried: bool,
    pub row: Suspect,
}

#[derive(Default)]
pub(crate) struct Told {
    /// Places of a missing row and of the new row that it is.
    pub pairs: Vec<(usize, usize)>,
    /// New rows, and the missing ones that each may be.
    pub doubtful: Vec<(usize, Vec<usize>)>,
    /// What was not compared.
    pub beyond: Beyond,
}

#[derive(Default)]
pub(crate) struct Beyond {
    pub lost: BTreeSet<usize>,
    pub rows: BTreeSet<usize>,
}

/// What is most certain is told first, and what has been told has no part in what is less so.
pub(crate) struct Telling<'a> {
    lost: &'a [Lost],
    rows: &'a [NewRow],
    open_lost: BTreeSet<usize>,
    open_rows: BTreeSet<usize>,
    pub told: Told,
}

impl<'a> Telling<'a> {
    pub fn of(lost: &'a [Lost], rows: &'a [NewRow]) -> Self {
        Self {
            lost,
            rows,
            open_lost: (0..lost.len()).collect(),
            open_rows: (0..rows.len()).collect(),
            told: Told::default(),
        }
    }

    /// An earlier reading had told so.
    pub fn remembered(&mut self, remembered: &HashMap<Key, Key>) {
        let rows = (0..).zip(self.rows);
        let rows: HashMap<&Key, usize> = rows.map(|(row, new)| (&new.key, row)).collect();
        let pairs = (0..).zip(self.lost).filter_map(|(one, lost)| {
            let new = remembered.get(&lost.key)?;
            Some((one, *rows.get(new)?))
        });
        self.settle(pairs.collect(), true);
    }

    /// Nothing but the key differs.
    pub fn exact(&mut self) {
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
    pub fn alike(&mut self, placed: &BTreeSet<usize>) {
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

/// Missing rows and rows of the sheet that nothing but the key tells apart: all of a group show
/// the same besides it.
pub(crate) struct Exact<'a> {
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
pub(crate) enum Alike {
    None,
    /// This one, and no other row of the sheet has them.
    One(usize),
    Several,
}

impl<'a> Exact<'a> {
    pub fn of(lost: &'a [Lost], rows: impl Iterator<Item = &'a Suspect>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_rest: HashMap<CellsHash, usize> = HashMap::new();
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

    pub fn only_one_of(&self, row: usize) -> Alike {
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
