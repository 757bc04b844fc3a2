//! The guard against a sheet whose rows no longer are what their keys say: a sort of some columns
//! only, a paste in the wrong place, an import over the tab.

use crate::effect::Reason;
use std::collections::{BTreeMap, HashSet};

use crate::codec::{CellsHash, hash_cells};
use crate::cycle::compare::diff::Sighting;
use crate::cycle::guard::deletions::Objection;
use crate::cycle::memory::known::State;
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::Snapshot;
use crate::mapping::{Mapping, Side};
use crate::tab::{LARGEST_CHUNK, Layout};
use crate::value::{Cell, Key};

/// Below so many rows a person may well change all of them.
const EVERYTHING: usize = 20;

impl Cycle {
    /// Objects where nearly every row changed: either in most of its columns, or in one whose
    /// values all stand in other rows now. A column filled down, or cleared, is a person's everyday
    /// work. Answers the rows with what stands for their cells.
    pub(crate) async fn changed_at_once(
        &mut self,
        sightings: &[Sighting],
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Option<(Objection, BTreeMap<Key, CellsHash>)>, Stop> {
        let mapping = self.mapping.clone();
        let pulled: Vec<usize> = (0..mapping.columns.len())
            .filter(|column| {
                mapping.pulls(*column) && mapping.pushes(*column) && !mapping.key.contains(column)
            })
            .collect();
        let is_changed = |sighting: &&Sighting| {
            let known = self.memory.rows.get(&sighting.key);
            sighting.row.is_some() && known.is_some_and(|known| known.state == State::Based)
        };
        let changed: Vec<&Sighting> = sightings.iter().filter(is_changed).collect();
        let limit = EVERYTHING.max(mapping.max_delete_rows as usize);
        if pulled.is_empty() || changed.len() < limit {
            return Ok(None);
        }
        let seen = || {
            let rows = self.memory.rows.values();
            rows.filter(|known| known.state == State::Based && known.row().is_some())
        };
        // Where most rows stand as they were, only some of them are counted.
        if seen().nth(changed.len() * 10 / 9).is_some() {
            return Ok(None);
        }
        let seen = seen().count();
        let is_all = |count: usize| count >= limit && count * 10 >= seen * 9;
        let mut damaged = 0;
        let mut rows = BTreeMap::new();
        let mut shuffles = vec![Shuffle::default(); pulled.len()];
        for chunk in changed.chunks(LARGEST_CHUNK) {
            let keys = chunk.iter().map(|sighting| sighting.key.clone()).collect();
            for (row, sighting) in self.load(keys).await?.iter().zip(chunk) {
                let (Some(base), Some(at)) = (&row.base, sighting.row) else {
                    continue;
                };
                let cells = layout.mapped(&parse(snapshot, at)?);
                rows.insert(row.key.clone(), hash_cells(&cells));
                let mut differ = 0;
                for (column, shuffle) in pulled.iter().zip(&mut shuffles) {
                    let (before, after) = (base.sheet.get(*column), cells.get(*column));
                    if let (Some(before), Some(after)) = (before, after)
                        && before != after
                    {
                        differ += 1;
                        shuffle.count(before, after);
                    }
                }
                damaged += usize::from(pulled.len() > 1 && differ * 2 > pulled.len());
            }
        }
        if is_all(damaged) {
            return Ok(Some((everything_changed(damaged, seen), rows)));
        }
        for (column, shuffle) in pulled.iter().zip(shuffles) {
            if is_all(shuffle.rows) && shuffle.mixed_up(seen) {
                let objection = column_mixed_up(&mapping, *column, shuffle.rows, seen);
                return Ok(Some((objection, rows)));
            }
        }
        Ok(None)
    }
}

/// The changed cells of a column.
#[derive(Clone, Default)]
struct Shuffle {
    rows: usize,
    /// Hashes of what they showed less those of what they show: nothing, where these are the very
    /// same values.
    balance: i64,
    values: HashSet<CellsHash>,
    /// The least and the greatest, while all are whole numbers.
    numbers: Option<(f64, f64)>,
    others: bool,
}

impl Shuffle {
    fn count(&mut self, before: &Cell, after: &Cell) {
        self.rows += 1;
        let (lost, new) = (hash_of(before), hash_of(after));
        self.balance = self.balance.wrapping_add(lost.number());
        self.balance = self.balance.wrapping_sub(new.number());
        self.values.insert(new);
        match after {
            Cell::Number(number) if number.fract() == 0.0 => {
                let (least, most) = self.numbers.unwrap_or((*number, *number));
                self.numbers = Some((least.min(*number), most.max(*number)));
            }
            _ => self.others = true,
        }
    }

    /// All values are old ones in other rows. Where they are few, as `done` and `open` are, or
    /// numbers that count the rows, a person may have meant just that.
    fn mixed_up(&self, rows: usize) -> bool {
        let counts_rows = self
            .numbers
            .is_some_and(|(least, most)| !self.others && most - least < rows as f64);
        self.balance == 0 && self.values.len() * 2 > self.rows && !counts_rows
    }
}

fn hash_of(cell: &Cell) -> CellsHash {
    hash_cells(std::slice::from_ref(cell))
}

fn everything_changed(count: usize, total: usize) -> Objection {
    objection(format!(
        "{count} of {total} rows of the sheet changed at once, most of their cells; the table was left as it is."
    ))
}

fn column_mixed_up(mapping: &Mapping, column: usize, count: usize, total: usize) -> Objection {
    let header = mapping.columns.get(column).map_or("", |one| &one.header);
    objection(format!(
        "The values of column \"{header}\" stand in other rows than before, {count} of {total}, as if it had been sorted without the \
         rest; the table was left as it is."
    ))
}

fn objection(message: String) -> Objection {
    Objection {
        side: Side::Database,
        reason: Reason::EverythingChanged,
        message,
        hint: "If that was meant, call sheet_sync.confirm_deletes() for the table; otherwise undo it in the sheet (Edit > Undo, or \
               File > Version history)."
            .into(),
    }
}
