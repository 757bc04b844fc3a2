//! Missing rows that may stand in rows whose key nobody can read.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::telling::{Alike, Exact};
use super::{COMPARISONS, InTable, Lost, Suspect, too_many, whose};
use crate::codec::{CellsHash, hash_cells};
use crate::cycle::compare::diff::{Diff, Unreadable, UnreadableRow, sheet_problem};
use crate::cycle::memory::likeness::{Neighbours, Rest};
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Failure, Snapshot};
use crate::tab::Layout;
use crate::value::{Key, Timestamp};

/// Missing rows that rows with an unreadable key may be.
pub(crate) struct Held {
    pub all: BTreeSet<usize>,
    /// Those of which it is told by all other cells which row they are.
    pub placed: BTreeSet<usize>,
}

impl Cycle {
    /// What stands beside keys that show errors.
    pub(crate) fn error_rows(
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

    /// What both sides agreed on of the keys that several rows have: a row that shows just that is
    /// a copy, and no other row under a mistyped key.
    pub(crate) async fn load_doubled(&mut self, diff: &Diff) -> Result<HashMap<Key, Rest>, Stop> {
        let keys = diff.unreadable.iter().filter_map(|row| match &row.why {
            Unreadable::Doubled(key) => Some(key.clone()),
            _ => None,
        });
        let keys: BTreeSet<Key> = keys.collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        let mut agreed = HashMap::with_capacity(keys.len());
        for chunk in keys.chunks(self.tab.max_tagged_rows()) {
            for row in self.load(chunk.to_vec()).await? {
                if let Some(base) = row.base.filter(|base| !base.is_absent_in_sheet()) {
                    agreed.insert(row.key, Rest::of(&self.mapping, &base.sheet));
                }
            }
        }
        Ok(agreed)
    }

    pub(super) fn suspects(
        &self,
        unreadable: &[UnreadableRow],
        known: &HashMap<u32, Option<Timestamp>>,
        places: &HashMap<u32, Neighbours>,
        reading: (&Snapshot, &Layout),
    ) -> Result<Vec<(Unreadable, Suspect)>, Failure> {
        let suspect = |row: &UnreadableRow| {
            let suspect = self.suspect(row.at, known, places, reading)?;
            Ok((row.why.clone(), suspect))
        };
        unreadable.iter().map(suspect).collect()
    }

    /// The missing rows that may be ones with an unreadable key. The problems of these say so, and
    /// a row without a key gets none while it may be one that has a key. `certain` are missing rows
    /// that were found under a new key: a row with an unreadable key may be one of them only if it
    /// shows the very same cells.
    pub(super) fn hold_unreadable(
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
        let mut placed: HashSet<CellsHash> = HashSet::new();
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
        self.round
            .unplaced
            .retain(|rest| !placed.contains(&hash_cells(rest.cells())));
    }
}

fn whose_of(fits: &[&Lost]) -> String {
    let in_table = fits.iter().filter(|one| one.table != InTable::Gone);
    let names: Vec<&Key> = in_table.map(|one| &one.key).collect();
    match (names.as_slice(), fits) {
        ([], [one]) => format!(
            "It may be the row {}, which no longer belongs in this sheet.",
            one.key.shown()
        ),
        ([], _) => "It may be one of the rows that no longer belong in this sheet.".to_owned(),
        (names, _) => whose(names),
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
