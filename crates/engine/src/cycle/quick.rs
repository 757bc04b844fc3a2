//! A cycle without a snapshot: dirty keys at remembered positions.

use crate::cycle::compare::diff::Sighting;
use crate::cycle::memory::known::Known;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::value::Key;

impl Cycle {
    /// Falls through to a reading (`Ending::read_again`) where a key has no known place in the
    /// sheet, or not the remembered one.
    pub(crate) async fn quick(&mut self) -> Result<(), Stop> {
        self.last_reading_at = self.io.now();
        if !self.dirty.is_empty() || !self.later.respelled.is_empty() {
            self.respell().await?;
        }
        let changed_at = self.changed_at();
        let dirty = self.dirty.iter().map(|dirty| dirty.key.clone());
        let sightings: Vec<Sighting> = dirty.map(|key| self.remembered(key)).collect();
        self.guard_dirty(&sightings).await?;
        self.carry_out_chunks(&sightings, None, &changed_at).await?;
        self.record_leftovers().await?;
        self.shelve_put_off().await
    }

    fn remembered(&self, key: Key) -> Sighting {
        Sighting {
            row: self.memory.rows.get(&key).and_then(Known::row),
            key,
            bytes: None,
        }
    }
}
