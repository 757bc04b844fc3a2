//! The guard against deletions in masses.

use super::batch::CHUNK;
use super::io::Stop;
use super::item::Item;
use super::run::Cycle;
use super::snapshot::Sighting;
use crate::effect::Stopped;
use crate::mapping::{Direction, OnSheetDelete};
use crate::reconcile::{SheetChange, TableChange};

impl Cycle {
    /// Counts, before anything is applied, how many rows this cycle would delete on either side.
    pub(super) async fn guard_deletes(&mut self, sightings: &[Sighting]) -> Result<(), Stop> {
        let limit = (self.mapping.max_delete_rows as usize).max(1);
        let based = |sighting: &&Sighting| {
            self.memory
                .rows
                .get(&sighting.key)
                .is_some_and(|known| known.state.is_based())
        };
        let keys: Vec<_> = sightings
            .iter()
            .filter(based)
            .map(|sighting| (sighting.key.clone(), sighting.row.is_some()))
            .collect();
        // One batch counts for itself.
        if self.batch_size(sightings.iter()) >= sightings.len()
            || keys.len() < limit
            || self.start.deletes_confirmed
            || self.start.dry_run
        {
            return Ok(());
        }
        let quick = self.removed.is_empty() && self.end == 0;
        let (mut from_table, mut from_sheet) = (0usize, 0usize);
        for chunk in keys.chunks(CHUNK) {
            let loaded = self
                .load(chunk.iter().map(|(key, _)| key.clone()).collect())
                .await?;
            for (row, (_, in_sheet)) in loaded.iter().zip(chunk) {
                match (&row.row, in_sheet) {
                    (None, true) if row.moved.is_none() && row.spelled.is_none() => from_sheet += 1,
                    (Some(_), true) if !row.in_filter => from_sheet += 1,
                    (Some(_), false) if !quick => from_table += 1,
                    _ => {}
                }
            }
        }
        if self.mapping.direction == Direction::ToSheet
            || self.mapping.on_sheet_delete == OnSheetDelete::Keep
        {
            from_table = 0;
        }
        if self.mapping.direction == Direction::FromSheet {
            from_sheet = 0;
        }
        self.weigh_deletes(from_table, from_sheet)
    }

    /// What a batch is about to delete, added to what this cycle deleted already.
    pub(super) fn guard_batch(&mut self, items: &[Item]) -> Result<(), Stop> {
        self.count_deletes(items);
        self.weigh_deletes(self.from_table, self.from_sheet)
    }

    pub(super) fn count_deletes(&mut self, items: &[Item]) {
        let planned = items.iter().filter(|item| !item.dropped);
        for item in planned {
            self.from_table += usize::from(item.plan.table == Some(TableChange::Delete));
            let leaves = matches!(
                item.plan.sheet,
                Some(SheetChange::Delete | SheetChange::Clear)
            );
            self.from_sheet += usize::from(leaves);
        }
    }

    /// `from_table`: rows that are to go from the table because the sheet lost them; `from_sheet`: the other way round.
    pub(super) fn weigh_deletes(&self, from_table: usize, from_sheet: usize) -> Result<(), Stop> {
        if self.start.deletes_confirmed {
            return Ok(());
        }
        let limit = (self.mapping.max_delete_rows as usize).max(1);
        let total = self.rows_at_start;
        for (count, gone, kept) in [
            (from_table, "sheet", "table"),
            (from_sheet, "table", "sheet"),
        ] {
            let share =
                count as f64 * 100.0 > f64::from(self.mapping.max_delete_percent) * total as f64;
            if count >= limit && share {
                return Err(mass_delete(count, total, gone, kept).into());
            }
        }
        Ok(())
    }
}

fn mass_delete(count: usize, total: usize, gone: &str, kept: &str) -> Stopped {
    Stopped::Guard {
        reason: "mass_delete".into(),
        message: format!(
            "{count} of {total} rows are gone from the {gone} at once; none was deleted from the {kept}."
        ),
        hint: format!(
            "If that was meant, call sheet_sync.confirm_deletes() for the table; otherwise bring the rows back in the {gone}."
        ),
    }
}
