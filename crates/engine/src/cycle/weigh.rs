//! What batches went over whose answers nobody saw: a process that comes after a crash reads the images.

use std::collections::{HashMap, HashSet};

use super::header::Layout;
use super::images::{Fallen, Taken};
use super::io::{Stop, mismatch};
use super::memory::{NOWHERE, State};
use super::run::Cycle;
use super::snapshot::parse;
use crate::effect::{Announcement, Commit, LoadedRow, SheetEffect, SheetOutcome, Snapshot};
use crate::value::{Cell, Key};

impl Cycle {
    /// The images of batches that arrived without an answer.
    pub(super) async fn read_images(&mut self) -> Result<(), Stop> {
        if self.memory.unread.is_empty() || self.start.dry_run {
            return Ok(());
        }
        let images = match self.io.sheet(SheetEffect::Images).await? {
            SheetOutcome::Images(images) => images,
            _ => return Err(mismatch().into()),
        };
        self.memory.image_rows = u32::try_from(images.len()).unwrap_or(u32::MAX);
        let unread = std::mem::take(&mut self.memory.unread);
        // Only a batch that puts rows back leaves none.
        let has_images = |stamp: &String| images.iter().any(|image| image.stamp == *stamp);
        self.memory.may_be_back |= !unread.iter().all(has_images);
        self.memory.images = images
            .into_iter()
            .filter(|image| image.layout.len() == self.mapping.columns.len())
            .map(|image| (unread.contains(&image.stamp), image))
            .collect();
        self.sheet_unsure = true;
        Ok(())
    }

    /// Nobody saw what these batches went over. What differs from what both sides had agreed on is given back: either it is a
    /// person's edit, or a loser of a conflict, which loses once more.
    pub(super) async fn weigh_images(
        &mut self,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<(), Stop> {
        if self.memory.images.is_empty() || self.start.dry_run {
            return Ok(());
        }
        struct Named {
            key: Key,
            /// It stands in the sheet under this key.
            stands: bool,
            unread: bool,
            before: Vec<Cell>,
            after: Vec<Cell>,
            row: Vec<Cell>,
            layout: Layout,
        }
        let mut named: Vec<Named> = Vec::new();
        for (unread, image) in std::mem::take(&mut self.memory.images) {
            let columns = Layout {
                columns: image.layout,
            };
            let (before, after) = (columns.mapped(&image.before), columns.mapped(&image.after));
            let stands = self.key_of(&after);
            let key = stands.clone().or_else(|| self.key_of(&before));
            named.extend(key.map(|key| Named {
                key,
                stands: stands.is_some(),
                unread,
                before,
                after,
                row: image.before,
                layout: columns,
            }));
        }
        let of_image: HashSet<&Key> = named.iter().map(|one| &one.key).collect();
        let mut rows = self.memory.rows.iter();
        let renamed_before = rows.any(|(key, known)| {
            known.state == State::Left && known.row == NOWHERE && !of_image.contains(key)
        });
        let mut ours: HashMap<(Key, usize), Vec<Cell>> = HashMap::new();
        let mut found: HashMap<Key, Taken> = HashMap::new();
        let keys: Vec<Key> = named.iter().map(|one| one.key.clone()).collect();
        let mut loaded = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(self.chunk()) {
            loaded.extend(self.load(chunk.to_vec()).await?);
        }
        for (one, loaded) in named.into_iter().zip(loaded) {
            let Named {
                key, before, after, ..
            } = one;
            if !one.stands {
                if one.unread {
                    let fallen = Fallen {
                        key: Some(key),
                        cells: one.row,
                        layout: one.layout,
                        maybe_back: self.memory.may_be_back,
                    };
                    self.weigh_fallen(fallen, &loaded, renamed_before);
                }
                continue;
            }
            let at = self.memory.rows.get(&key).map(|known| known.row);
            let at = at.filter(|row| *row != NOWHERE);
            let shown = match at {
                Some(row) => layout.mapped(&parse(snapshot, row)?),
                None => Vec::new(),
            };
            let mut taken = at.map(|row| {
                found.entry(key.clone()).or_insert_with(|| Taken {
                    row,
                    key: Some(key.clone()),
                    name: self.name_of(&shown),
                    cells: Vec::new(),
                    window: None,
                    missed: 0,
                })
            });
            // A key that the table gave stands in the base before it is written. Where it went over another one than the row's old
            // key, that was a person's.
            let old = self.key_of(&before);
            let underway = |key: &Key| self.memory.underway.contains(key);
            let moved = loaded.moved.as_ref().filter(|_| loaded.row.is_some());
            let has_new_key = underway(&key) || moved.is_some();
            let is_old = |old: &Key| underway(old) || moved == Some(old);
            let key_typed = has_new_key && !old.as_ref().is_some_and(is_old);
            let written =
                (0..before.len()).filter(|column| before.get(*column) != after.get(*column));
            for column in written {
                let (Some(was), Some(is)) = (before.get(column), after.get(column)) else {
                    continue;
                };
                // The newest word on a cell counts, and what it went over may be an older one of ours.
                let earlier = |key: &Key| {
                    let words = ours.get(&(key.clone(), column));
                    words.is_some_and(|words| words.contains(was))
                };
                let is_ours = earlier(&key) || old.as_ref().is_some_and(earlier);
                ours.entry((key.clone(), column))
                    .or_default()
                    .push(is.clone());
                let agreed = loaded.base.as_ref().and_then(|base| base.sheet.get(column));
                // What stands there is recorded; or what stood there was no news, and what stands there is the table's: written into
                // another row, or taken back by the table since, it would pass for a person's.
                let is_key = self.mapping.key.contains(&column);
                let value = loaded.row.as_ref().and_then(|row| row.get(column));
                let held = value.is_some_and(|value| self.mapping.agreed(column, value, is));
                let no_news = agreed.unwrap_or(&Cell::Empty) == was && (is_key || held);
                let is_agreed = (agreed == Some(is) || no_news) && !(key_typed && is_key);
                let ours_to_write =
                    self.mapping.pushes(column) || self.mapping.key.contains(&column);
                let Some(taken) = &mut taken else {
                    continue;
                };
                taken.cells.retain(|(at, ..)| *at != column);
                if one.unread
                    && !is_ours
                    && !is_agreed
                    && ours_to_write
                    && shown.get(column) == Some(is)
                {
                    taken.cells.push((column, is.clone(), was.clone()));
                }
            }
        }
        let found = found.into_values().filter(|taken| !taken.cells.is_empty());
        self.memory.taken.extend(found);
        self.memory.may_be_back = false;
        Ok(())
    }

    /// `renamed`: of a row that was to go there is no image, so that it may have gone under a key which a person gave it in that
    /// moment.
    fn weigh_fallen(&mut self, fallen: Fallen, loaded: &LoadedRow, renamed: bool) {
        let before = fallen.mapped();
        let base = loaded.base.as_ref();
        let Some(base) = base.filter(|base| !base.is_absent_in_sheet()) else {
            // Recorded as gone, or never known.
            if renamed {
                self.memory.fallen.push(fallen);
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
            self.memory.fallen.push(fallen);
        }
    }

    /// Where nothing is left to be recorded or given back of any batch announced so far.
    pub(super) fn over(&self) -> Option<Announcement> {
        let memory = &self.memory;
        let done = memory.lost.is_empty()
            && memory.unread.is_empty()
            && memory.images.is_empty()
            && memory.taken.is_empty()
            && memory.fallen.is_empty();
        (memory.announced && done).then_some(Announcement::Over)
    }

    pub(super) async fn declare_over(&mut self) -> Result<(), Stop> {
        let writing = self.over();
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
