//! New rows that are on their way to the sheet while the next ones are made ready.
//!
//! A first merge is nothing but new rows, and it would spend half of its time waiting for one side
//! while the other rests. A chunk that only adds rows leaves nothing for the next one to wait for
//! but the place where it ends: so it is sent, the next chunk is loaded, decided and announced, and
//! only then is its answer taken in. Whoever comes after a crash in between finds both announced
//! and closes them like any other batches.

use super::io::Stop;
use super::item::Item;
use super::pieces::Insertion;
use super::run::Cycle;
use crate::effect::SheetEffect;
use crate::value::Key;

/// A batch of new rows that was sent, and whose answer nobody has looked at.
pub(super) struct Flight {
    items: Vec<Item>,
    insertion: Insertion,
    effect: SheetEffect,
    keys: Vec<Key>,
    /// How many of the rows that the cycle has to do went with it.
    pub rows: usize,
}

impl Cycle {
    /// Sends the new rows of `items`, which need nothing else of the sheet, and leaves it to the
    /// next chunk to take in what came of them. Those that were sent before are taken in now, and
    /// recorded while these are on their way.
    pub(super) async fn send_ahead(
        &mut self,
        mut items: Vec<Item>,
        insertion: Insertion,
    ) -> Result<(), Stop> {
        let mut before = Vec::new();
        let rows = self.flight.as_ref().map_or(0, |flight| flight.rows);
        let received = self.receive(&mut before).await;
        let sent = received.is_ok() && !self.is_closed();
        if sent {
            self.take_off(items, insertion);
        } else if received.is_ok() {
            self.hold_insertions(&mut items);
            before.append(&mut items);
        } else {
            before.append(&mut items);
        }
        let recorded = self.commit_after(&mut before).await;
        received?;
        recorded?;
        self.io.has_done(rows);
        Ok(())
    }

    fn take_off(&mut self, items: Vec<Item>, insertion: Insertion) {
        let keys = insertion.keys(&items);
        let effect = self.insertion_effect(&insertion);
        self.io.begin(effect.clone());
        self.flight = Some(Flight {
            items,
            insertion,
            effect,
            keys,
            rows: 0,
        });
    }

    /// The sheet is free again: what is under way has its answer, and what came of it is recorded.
    pub(super) async fn land(&mut self) -> Result<(), Stop> {
        let mut items = Vec::new();
        let rows = self.flight.as_ref().map_or(0, |flight| flight.rows);
        let received = self.receive(&mut items).await;
        let recorded = match items.is_empty() {
            true => Ok(()),
            false => self.commit_after(&mut items).await,
        };
        received?;
        recorded?;
        self.io.has_done(rows);
        Ok(())
    }

    /// The items of the flight that was under way, with what became of them; still to be recorded.
    async fn receive(&mut self, landed: &mut Vec<Item>) -> Result<(), Stop> {
        let Some(mut flight) = self.flight.take() else {
            return Ok(());
        };
        let shown = self
            .settled(flight.effect, flight.insertion.stamp.clone(), &flight.keys)
            .await;
        let inserted = self.note_insertion(&mut flight.items, flight.insertion, shown);
        landed.append(&mut flight.items);
        inserted
    }
}
