//! What batches went over whose answers nobody saw: a process that comes after a crash reads the
//! images.

use std::collections::{HashMap, HashSet};

use crate::cycle::read::grid::parse;

use crate::cycle::memory::{InFlight, Known, State};
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Commit, LoadedRow, MetadataId, Snapshot};
use crate::tab::{Layout, LostRow, OverwrittenEdit};
use crate::value::{Cell, Key};

/// An image that is being compared with what is known.
struct Weighed {
    /// What the row is called now, or was before.
    key: Option<Key>,
    /// It has that key now.
    stands: bool,
    unread: bool,
    anchor: Option<MetadataId>,
    before: Vec<Cell>,
    after: Vec<Cell>,
    /// All its cells before.
    row: Vec<Cell>,
    layout: Layout,
}

/// By what a row is known from one image to the next.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Named {
    Key(Key),
    Row(u32),
}

impl Weighed {
    /// What the batch wrote: column, what stood there, what stands there since.
    fn written(&self) -> impl Iterator<Item = (usize, &Cell, &Cell)> {
        let cells = self.before.iter().zip(&self.after).enumerate();
        cells
            .filter(|(_, (was, is))| was != is)
            .map(|(column, (was, is))| (column, was, is))
    }

    fn writes(&self, column: usize) -> bool {
        self.before.get(column) != self.after.get(column)
    }
}

/// What we wrote into a column of a row, by each of its names.
type Words = HashMap<(Named, usize), Vec<Cell>>;

fn names_of(key: Option<&Key>, old: Option<&Key>, at: Option<u32>) -> Vec<Named> {
    let keys = key.into_iter().chain(old).cloned().map(Named::Key);
    keys.chain(at.map(Named::Row)).collect()
}

fn is_word(ours: &Words, name: &Named, column: usize, cell: &Cell) -> bool {
    let words = ours.get(&(name.clone(), column));
    words.is_some_and(|words| words.contains(cell))
}

fn note_words(ours: &mut Words, names: &[Named], image: &Weighed) {
    for (column, _, is) in image.written() {
        for name in names {
            let words = ours.entry((name.clone(), column)).or_default();
            words.push(is.clone());
        }
    }
}

impl Cycle {
    /// Nobody saw what these batches went over. What differs from what both sides had agreed on is
    /// given back: either it is a person's edit, or a loser of a conflict, which loses once more.
    pub(crate) async fn weigh_images(
        &mut self,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<(), Stop> {
        if self.tab.debts().images.is_empty() || self.start.dry_run {
            return Ok(());
        }
        let mut weighed: Vec<Weighed> = Vec::new();
        for (unread, image) in self.tab.debts().images.clone() {
            let columns = Layout {
                columns: image.layout,
            };
            let (before, after) = (columns.mapped(&image.before), columns.mapped(&image.after));
            let stands = self.key_of(&after);
            weighed.push(Weighed {
                key: stands.clone().or_else(|| self.key_of(&before)),
                stands: stands.is_some(),
                unread,
                anchor: image.anchor,
                before,
                after,
                row: image.before,
                layout: columns,
            });
        }
        let anchors = weighed.iter().filter_map(|one| one.anchor);
        let looked = self.tab.look(&self.mapping, anchors.collect()).await?;
        let of_image: HashSet<&Key> = weighed.iter().filter_map(|one| one.key.as_ref()).collect();
        let mut rows = self.memory.rows.iter();
        let renamed_before = rows.any(|(key, known)| {
            known.state == State::Left && known.row().is_none() && !of_image.contains(key)
        });
        let keys = weighed.iter().filter_map(|one| one.key.clone());
        let keys: Vec<Key> = keys.collect();
        let mut loaded = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(self.tab.chunk()) {
            loaded.extend(self.load(chunk.to_vec()).await?);
        }
        let mut loaded = loaded.into_iter();
        let mut ours = Words::new();
        let mut found: HashMap<u32, OverwrittenEdit> = HashMap::new();
        for one in weighed {
            let loaded = one.key.as_ref().and_then(|_| loaded.next());
            let by_anchor = one.anchor.and_then(|anchor| looked.get(&anchor).cloned());
            let filled = |(column, cell): (usize, &Cell)| {
                *cell != Cell::Empty && self.mapping.pushes(column)
            };
            let partly = one.after.iter().enumerate().any(filled);
            if !(one.stands || partly && by_anchor.is_some()) {
                let at = by_anchor.map(|(row, _)| row);
                // What a write took out of a row is the last word on it. Where all of it was our
                // own, nobody misses it.
                if let Some(found) = at.and_then(|row| found.get_mut(&row)) {
                    found.cells.retain(|(column, ..)| !one.writes(*column));
                }
                let old = self.key_of(&one.before);
                let names = names_of(one.key.as_ref(), old.as_ref(), at);
                let was_ours = one.written().all(|(column, was, _)| {
                    let mut words = names.iter();
                    words.any(|name| is_word(&ours, name, column, was))
                });
                note_words(&mut ours, &names, &one);
                if let (true, false, Some(loaded)) = (one.unread, was_ours, loaded) {
                    let fallen = LostRow {
                        key: one.key,
                        cells: one.row,
                        layout: one.layout,
                        maybe_back: self.tab.debts().may_be_back,
                        seen: false,
                    };
                    self.weigh_fallen(fallen, &loaded, renamed_before);
                }
                continue;
            }
            let (at, shown) = match (by_anchor, one.key.as_ref()) {
                (Some((row, cells)), _) => (Some(row), cells),
                (None, Some(key)) => {
                    let at = self.memory.rows.get(key).and_then(Known::row);
                    match at {
                        Some(row) => (at, layout.mapped(&parse(snapshot, row)?)),
                        None => (None, Vec::new()),
                    }
                }
                (None, None) => (None, Vec::new()),
            };
            let mut taken = at.map(|row| {
                found.entry(row).or_insert_with(|| OverwrittenEdit {
                    anchor: one.anchor.filter(|anchor| looked.contains_key(anchor)),
                    row: Some(row),
                    key: one.key.clone(),
                    name: self.name_of(&shown),
                    cells: Vec::new(),
                    window: None,
                    missed: 0,
                })
            });
            let old = self.key_of(&one.before);
            let names = names_of(one.key.as_ref(), old.as_ref(), at);
            self.note_arrived(one.key.as_ref(), old.as_ref());
            let key_typed = self.is_key_typed(&one, old.as_ref(), loaded.as_ref());
            // Whoever has given the row another key since has seen what stands in it.
            let same_row = !one.stands || self.is_same_row(&one.after, &shown);
            for (column, was, is) in one.written() {
                // The newest word on a cell counts, and what it went over may be an older one of
                // ours.
                let is_ours = names.iter().any(|name| is_word(&ours, name, column, was));
                let is_key = self.mapping.key.contains(&column);
                // A key that we emptied goes back with what was typed beside it.
                let is_agreed = !(is_key && (key_typed || !one.stands))
                    && loaded
                        .as_ref()
                        .is_some_and(|loaded| self.is_no_news(loaded, column, was, is));
                if let Some(loaded) = loaded.as_ref().filter(|_| one.unread && is_agreed) {
                    self.note_own_write(loaded, column, is);
                }
                let Some(taken) = &mut taken else {
                    continue;
                };
                taken.cells.retain(|(at, ..)| *at != column);
                if one.unread
                    && !is_ours
                    && !is_agreed
                    && same_row
                    && (self.mapping.pushes(column) || is_key)
                    && shown.get(column) == Some(is)
                {
                    taken.cells.push((column, is.clone(), was.clone()));
                }
            }
            note_words(&mut ours, &names, &one);
        }
        let found = found.into_values().filter(|taken| !taken.cells.is_empty());
        let debts = self.tab.debts_mut();
        debts.edits.extend(found);
        debts.images.clear();
        debts.may_be_back = false;
        for (row, cells) in looked.values() {
            // The look is younger than the reading.
            if layout.mapped(&parse(snapshot, *row)?) != *cells {
                return Err(Stop::Outdated);
            }
        }
        Ok(())
    }

    /// Our own value stands in the sheet, and nothing of it is recorded. The table may change or
    /// lose the row before that is compared: the value is no person's edit all the same.
    fn note_own_write(&mut self, loaded: &LoadedRow, column: usize, cell: &Cell) {
        let recorded = loaded.base.as_ref().and_then(|base| base.sheet.get(column));
        let Some(value) = loaded.row.as_ref().and_then(|row| row.get(column)) else {
            return;
        };
        if recorded == Some(cell) {
            return;
        }
        let written = self.memory.in_flight.entry(loaded.key.clone());
        written.or_default().push(InFlight {
            stamp: None,
            column,
            cell: cell.clone(),
            value: value.clone(),
        });
    }

    fn note_arrived(&mut self, key: Option<&Key>, old: Option<&Key>) {
        if let (Some(key), Some(old)) = (key, old)
            && key != old
            && [key, old]
                .iter()
                .all(|key| self.memory.underway.contains(*key))
        {
            self.memory.renamed.insert(old.clone());
        }
    }

    /// A key that the table gave stands in the base before it is written. Where it went over
    /// another one than the row's old key, that was a person's, or the batch hit another row than
    /// it was meant for; whatever row the two keys together make of it.
    fn is_key_typed(&self, image: &Weighed, old: Option<&Key>, loaded: Option<&LoadedRow>) -> bool {
        let (Some(key), Some(loaded)) = (image.key.as_ref(), loaded) else {
            return true;
        };
        let underway = |key: &Key| self.memory.underway.contains(key);
        let moved = loaded.moved.as_ref().filter(|_| loaded.row.is_some());
        let is_old = |old: &Key| underway(old) || moved == Some(old);
        let is_others = |old: &Key| {
            let known = self.memory.rows.get(old);
            old != key && !is_old(old) && known.is_some_and(|known| known.state.is_based())
        };
        let has_new_key = underway(key) || moved.is_some();
        has_new_key && !old.is_some_and(is_old)
            || old.is_some_and(is_others)
            || old.is_some_and(|old| !is_old(old)) && self.is_part_of_another(image, key)
    }

    /// Parts of a key that the table gave stand in a row which is not called by that key: its other
    /// parts are a person's.
    fn is_part_of_another(&self, image: &Weighed, key: &Key) -> bool {
        let parts = || self.mapping.key.iter().enumerate();
        let mut written = parts().filter(|(_, column)| image.writes(**column));
        let shares = |given: &Key| {
            let mut written = parts().filter(|(_, column)| image.writes(**column));
            given != key && written.all(|(part, _)| given.0.get(part) == key.0.get(part))
        };
        written.next().is_some() && self.memory.underway.iter().any(shares)
    }

    /// What stands in the cell is recorded; or what stood there was no news, and what stands there
    /// is the table's: written into another row, or taken back by the table since, it would pass
    /// for a person's.
    fn is_no_news(&self, loaded: &LoadedRow, column: usize, was: &Cell, is: &Cell) -> bool {
        let agreed = loaded.base.as_ref().and_then(|base| base.sheet.get(column));
        let value = loaded.row.as_ref().and_then(|row| row.get(column));
        let held = value.is_some_and(|value| self.mapping.agreed(column, value, is));
        let is_key = self.mapping.key.contains(&column);
        let recorded = agreed == Some(is) && !self.memory.overruled.contains(&loaded.key);
        recorded || agreed.unwrap_or(&Cell::Empty) == was && (is_key || held)
    }

    /// `renamed`: of a row that was to go there is no image, so that it may have gone under a key
    /// which a person gave it in that moment.
    fn weigh_fallen(&mut self, fallen: LostRow, loaded: &LoadedRow, renamed: bool) {
        let before = fallen.mapped();
        let base = loaded.base.as_ref();
        let Some(base) = base.filter(|base| !base.is_absent_in_sheet()) else {
            // Recorded as gone, or never known.
            if renamed {
                self.tab.debts_mut().rows.push(fallen);
            }
            return;
        };
        let edited = (0..before.len())
            .any(|column| self.is_edited(column) && base.sheet.get(column) != before.get(column));
        let known = fallen
            .key
            .as_ref()
            .and_then(|key| self.memory.rows.get(key));
        let meant = known.is_some_and(|known| known.state == State::Left);
        if edited || !meant {
            self.tab.debts_mut().rows.push(fallen);
        }
    }

    pub(crate) async fn declare_over(&mut self) -> Result<(), Stop> {
        let writing = self.tab.over();
        if writing.is_some() && !self.start.dry_run {
            self.commit(Commit {
                writing,
                ..Commit::default()
            })
            .await?;
        }
        Ok(())
    }
}
