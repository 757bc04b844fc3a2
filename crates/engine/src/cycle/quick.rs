//! A cycle without a snapshot: dirty keys at remembered positions.

use std::collections::HashMap;

use super::io::Stop;
use super::memory::NOWHERE;
use super::run::Cycle;
use super::snapshot::Sighting;
use crate::value::Key;

impl Cycle {
    /// Falls through to a reading (`stale`) where a key has no known place in the sheet, or not the
    /// remembered one.
    pub(super) async fn quick(&mut self) -> Result<(), Stop> {
        self.last_look = self.io.now();
        if !self.dirty.is_empty() || !self.respelled.is_empty() {
            self.respell().await?;
        }
        let changed_at: HashMap<_, _> = self
            .dirty
            .iter()
            .map(|dirty| (dirty.key.clone(), dirty.changed_at))
            .collect();
        let dirty = self.dirty.iter().map(|dirty| dirty.key.clone());
        let sightings: Vec<Sighting> = dirty.map(|key| self.remembered(key)).collect();
        self.guard_dirty(&sightings).await?;
        let done = self.batches(&sightings, None, &changed_at).await;
        let landed = self.land().await;
        done?;
        landed?;
        self.record_leftovers().await?;
        self.shelve_put_off().await
    }

    fn remembered(&self, key: Key) -> Sighting {
        let known = self.memory.rows.get(&key);
        let row = known.map(|known| known.row).filter(|row| *row != NOWHERE);
        Sighting { key, row, raw: 0 }
    }
}
