//! What batches overwrote whose answers nobody saw, of this process or of one that ended: their
//! images are read and compared with what is recorded.

use std::collections::{HashMap, HashSet};

use crate::cycle::item::Item;
use crate::cycle::memory::InFlight;
use crate::cycle::memory::known::{Known, State};
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Announcement, Commit, LoadedRow, MetadataId, Snapshot};
use crate::tab::{Layout, LostRow, OverwrittenEdit};
use crate::value::{Cell, Key};

/// An image that is being compared with what is known.
struct Audited {
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

impl Audited {
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

/// What we wrote into a column of a row, by each of the row's names.
#[derive(Default)]
struct OurWrites(HashMap<(Named, usize), Vec<Cell>>);

impl OurWrites {
    fn have(&self, names: &[Named], column: usize, cell: &Cell) -> bool {
        let mut cells = names
            .iter()
            .filter_map(|name| self.0.get(&(name.clone(), column)));
        cells.any(|cells| cells.contains(cell))
    }

    fn note(&mut self, names: &[Named], image: &Audited) {
        for (column, _, is) in image.written() {
            for name in names {
                let cells = self.0.entry((name.clone(), column)).or_default();
                cells.push(is.clone());
            }
        }
    }
}

/// What the images tell, oldest first.
struct Audit {
    ours: OurWrites,
    /// Edits to be restored, by the row in which they stood.
    edits: HashMap<u32, OverwrittenEdit>,
    /// Where the anchors of the images stand, and what their rows hold by now.
    looked: HashMap<MetadataId, (u32, Vec<Cell>)>,
    /// Of a row that was to go there is no image, so it may have gone under a key which a person
    /// gave it in that moment.
    renamed_before: bool,
}

fn names_of(key: Option<&Key>, old: Option<&Key>, at: Option<u32>) -> Vec<Named> {
    let keys = key.into_iter().chain(old).cloned().map(Named::Key);
    keys.chain(at.map(Named::Row)).collect()
}

impl Cycle {
    /// Nobody saw what these batches overwrote. What differs from what both sides had agreed on is
    /// restored: either it is a person's edit, or a loser of a conflict, which loses once more.
    pub(crate) async fn audit_images(
        &mut self,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<(), Stop> {
        if self.start.dry_run {
            return Ok(());
        }
        if self.tab.debts().images.is_empty() {
            self.tab.debts_mut().may_be_back = false;
            return Ok(());
        }
        let images = self.images_to_audit(layout);
        let anchors = images.iter().filter_map(|one| one.anchor);
        let looked = self.tab.look(&self.mapping, anchors.collect()).await?;
        let keys: Vec<Key> = images.iter().filter_map(|one| one.key.clone()).collect();
        let mut loaded = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(self.tab.max_tagged_rows()) {
            loaded.extend(self.load(chunk.to_vec()).await?);
        }
        let mut loaded = loaded.into_iter();
        let mut audit = Audit {
            ours: OurWrites::default(),
            edits: HashMap::new(),
            renamed_before: self.has_gone_without_image(&images),
            looked,
        };
        for image in &images {
            let loaded = image.key.as_ref().and_then(|_| loaded.next());
            let by_anchor = image
                .anchor
                .and_then(|anchor| audit.looked.get(&anchor).cloned());
            let filled = |(column, cell): (usize, &Cell)| {
                *cell != Cell::Empty && self.mapping.pushes(column)
            };
            let partly = image.after.iter().enumerate().any(filled);
            if image.stands || partly && by_anchor.is_some() {
                let place = match by_anchor {
                    Some((row, cells)) => Some((row, cells)),
                    None => self.place_as_read(image.key.as_ref(), snapshot, layout)?,
                };
                self.audit_written(&mut audit, image, loaded.as_ref(), place);
            } else {
                let at = by_anchor.map(|(row, _)| row);
                self.audit_emptied(&mut audit, image, loaded.as_ref(), at);
            }
        }
        let edits = audit.edits.into_values();
        let debts = self.tab.debts_mut();
        debts
            .edits
            .extend(edits.filter(|edit| !edit.cells.is_empty()));
        debts.images.clear();
        debts.may_be_back = false;
        for (row, cells) in audit.looked.values() {
            // The look is younger than the reading.
            if layout.mapped(&parse(snapshot, *row)?) != *cells {
                return Err(Stop::Outdated);
            }
        }
        Ok(())
    }

    /// Where the mapping has other columns than it had then, the cells are told by where its columns
    /// stand now: nothing is restored but where our own value still stands.
    fn images_to_audit(&self, now: &Layout) -> Vec<Audited> {
        let images = self.tab.debts().images.iter().cloned();
        let audited = images.map(|(unread, image)| {
            let columns = match image.layout.len() == self.mapping.columns.len() {
                true => Layout {
                    columns: image.layout,
                },
                false => now.clone(),
            };
            let (before, after) = (columns.mapped(&image.before), columns.mapped(&image.after));
            let stands = self.key_of(&after);
            Audited {
                key: stands.clone().or_else(|| self.key_of(&before)),
                stands: stands.is_some(),
                unread,
                anchor: image.anchor,
                before,
                after,
                row: image.before,
                layout: columns,
            }
        });
        audited.collect()
    }

    fn has_gone_without_image(&self, images: &[Audited]) -> bool {
        let of_image: HashSet<&Key> = images.iter().filter_map(|one| one.key.as_ref()).collect();
        self.memory.rows.iter().any(|(key, known)| {
            known.state == State::GoneByUs && known.row().is_none() && !of_image.contains(key)
        })
    }

    /// Where the reading has the row of this key, and what it shows there.
    fn place_as_read(
        &self,
        key: Option<&Key>,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Option<(u32, Vec<Cell>)>, Stop> {
        let known = key.and_then(|key| self.memory.rows.get(key));
        match known.and_then(Known::row) {
            Some(row) => Ok(Some((row, layout.mapped(&parse(snapshot, row)?)))),
            None => Ok(None),
        }
    }

    /// The batch deleted or emptied the row.
    fn audit_emptied(
        &mut self,
        audit: &mut Audit,
        image: &Audited,
        loaded: Option<&LoadedRow>,
        at: Option<u32>,
    ) {
        // The row is empty since, so nothing is restored in cells that this batch took out.
        if let Some(edit) = at.and_then(|row| audit.edits.get_mut(&row)) {
            edit.cells.retain(|(column, ..)| !image.writes(*column));
        }
        let old = self.key_of(&image.before);
        let names = names_of(image.key.as_ref(), old.as_ref(), at);
        // Where all of it was our own, nobody misses it.
        let mut written = image.written();
        let was_ours = written.all(|(column, was, _)| audit.ours.have(&names, column, was));
        audit.ours.note(&names, image);
        if let (true, false, Some(loaded)) = (image.unread, was_ours, loaded) {
            let lost = LostRow {
                key: image.key.clone(),
                cells: image.row.clone(),
                layout: image.layout.clone(),
                maybe_back: self.tab.debts().may_be_back,
                seen: false,
            };
            self.audit_lost_row(lost, loaded, audit.renamed_before);
        }
    }

    /// The batch wrote cells of a row that stands at `place`, and shows these cells there by now.
    fn audit_written(
        &mut self,
        audit: &mut Audit,
        image: &Audited,
        loaded: Option<&LoadedRow>,
        place: Option<(u32, Vec<Cell>)>,
    ) {
        let at = place.as_ref().map(|(row, _)| *row);
        let shown = place.map(|(_, cells)| cells).unwrap_or_default();
        let old = self.key_of(&image.before);
        let names = names_of(image.key.as_ref(), old.as_ref(), at);
        self.note_arrived(image.key.as_ref(), old.as_ref());
        let key_typed = self.is_key_typed(image, old.as_ref(), loaded);
        // A person who has given the row another key since has seen what stands in it.
        let same_row = !image.stands || self.is_same_row(&image.after, &shown);
        let looked = &audit.looked;
        let mut edit = at.map(|row| {
            audit.edits.entry(row).or_insert_with(|| OverwrittenEdit {
                anchor: image.anchor.filter(|anchor| looked.contains_key(anchor)),
                row: Some(row),
                key: image.key.clone(),
                name: self.name_of(&shown),
                cells: Vec::new(),
                window: None,
                missed: 0,
            })
        });
        for (column, was, is) in image.written() {
            // The newest write to a cell counts, and what it overwrote may be an older one of ours.
            let is_ours = audit.ours.have(&names, column, was);
            let is_key = self.mapping.key.contains(&column);
            // A key that we emptied is restored with what was typed beside it.
            let is_agreed = !(is_key && (key_typed || !image.stands))
                && loaded.is_some_and(|loaded| self.is_no_news(loaded, column, was, is));
            if let Some(loaded) = loaded.filter(|_| image.unread && is_agreed) {
                self.note_own_write(loaded, column, is);
            }
            let Some(edit) = &mut edit else {
                continue;
            };
            edit.cells.retain(|(at, ..)| *at != column);
            if image.unread
                && !is_ours
                && !is_agreed
                && same_row
                && (self.mapping.pushes(column) || is_key)
                && shown.get(column) == Some(is)
            {
                edit.cells.push((column, is.clone(), was.clone()));
            }
        }
        audit.ours.note(&names, image);
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
        let written = self.memory.unfinished.in_flight.entry(loaded.key.clone());
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
                .all(|key| self.memory.unfinished.renaming.contains(*key))
        {
            self.memory.unfinished.renamed_unseen.insert(old.clone());
        }
    }

    /// A key that the table gave stands in the base before it is written. Where it overwrote
    /// another key than the row's old one, that was a person's, or the batch hit another row than
    /// it was meant for; whatever row the two keys together make of it.
    fn is_key_typed(&self, image: &Audited, old: Option<&Key>, loaded: Option<&LoadedRow>) -> bool {
        let (Some(key), Some(loaded)) = (image.key.as_ref(), loaded) else {
            return true;
        };
        let underway = |key: &Key| self.memory.unfinished.renaming.contains(key);
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
    fn is_part_of_another(&self, image: &Audited, key: &Key) -> bool {
        let parts = || self.mapping.key.iter().enumerate();
        let mut written = parts().filter(|(_, column)| image.writes(**column));
        let shares = |given: &Key| {
            let mut written = parts().filter(|(_, column)| image.writes(**column));
            given != key && written.all(|(part, _)| given.0.get(part) == key.0.get(part))
        };
        written.next().is_some() && self.memory.unfinished.renaming.iter().any(shares)
    }

    /// What stands in the cell is recorded; or what stood there was no news, and what stands there
    /// is the table's: written into another row, or taken back by the table since, it would pass
    /// for a person's.
    fn is_no_news(&self, loaded: &LoadedRow, column: usize, was: &Cell, is: &Cell) -> bool {
        let agreed = loaded.base.as_ref().and_then(|base| base.sheet.get(column));
        let value = loaded.row.as_ref().and_then(|row| row.get(column));
        let held = value.is_some_and(|value| self.mapping.agreed(column, value, is));
        let is_key = self.mapping.key.contains(&column);
        let recorded =
            agreed == Some(is) && !self.memory.unfinished.overruled.contains(&loaded.key);
        recorded || agreed.unwrap_or(&Cell::Empty) == was && (is_key || held)
    }

    /// `renamed`: of a row that was to go there is no image, so that it may have gone under a key
    /// which a person gave it in that moment.
    fn audit_lost_row(&mut self, lost: LostRow, loaded: &LoadedRow, renamed: bool) {
        let before = lost.mapped();
        let base = loaded.base.as_ref();
        let Some(base) = base.filter(|base| !base.is_absent_in_sheet()) else {
            // Recorded as gone, or never known.
            if renamed {
                self.tab.debts_mut().rows.push(lost);
            }
            return;
        };
        let edited = (0..before.len()).any(|column| {
            self.edit_stops_deletion(column) && base.sheet.get(column) != before.get(column)
        });
        let known = lost.key.as_ref().and_then(|key| self.memory.rows.get(key));
        let meant = known.is_some_and(|known| known.state == State::GoneByUs);
        if edited || !meant {
            self.tab.debts_mut().rows.push(lost);
        }
    }

    /// To be stored with these rows of a chunk, where nothing is left of any batch that was
    /// announced.
    ///
    /// What a write without an answer put into a row is known to this process only until it is
    /// recorded with that row. Another one has to find it, too, or it would pass for a person's
    /// edit. Of rows that wait for something else the end of the cycle does not wait.
    pub(crate) fn over_with(&self, recorded: &[Item]) -> Option<Announcement> {
        let is_recorded = |key: &Key| {
            let mut recorded = recorded.iter().filter(|item| !item.dropped);
            recorded.any(|item| item.key == *key)
        };
        let mut in_flight = self.memory.unfinished.in_flight.iter();
        let waits = in_flight.any(|(key, written)| !written.is_empty() && !is_recorded(key));
        if waits { None } else { self.tab.over() }
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
