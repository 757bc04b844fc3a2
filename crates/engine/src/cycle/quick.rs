//! A cycle without a snapshot: dirty keys at remembered positions.

use std::collections::HashMap;

use super::io::Stop;
use super::memory::NOWHERE;
use super::run::Cycle;
use super::snapshot::Sighting;

impl Cycle {
    /// Falls through to a reading (`stale`) where a key has no known place in the sheet, or not the remembered one.
    pub(super) async fn quick(&mut self) -> Result<(), Stop> {
        self.window = (self.memory.settled_at, self.io.now());
        self.respell().await?;
        let changed_at: HashMap<_, _> = self
            .dirty
            .iter()
            .map(|dirty| (dirty.key.clone(), dirty.changed_at))
            .collect();
        let sightings: Vec<Sighting> = self
            .dirty
            .iter()
            .map(|dirty| {
                let row = self
                    .memory
                    .rows
                    .get(&dirty.key)
                    .map(|known| known.row)
                    .filter(|row| *row != NOWHERE);
                Sighting {
                    key: dirty.key.clone(),
                    row,
                    raw: 0,
                }
            })
            .collect();
        self.guard_deletes(&sightings).await?;
        let done = self.batches(&sightings, None, &changed_at).await;
        let landed = self.land().await;
        done?;
        landed?;
        self.record_leftovers().await
    }
}
