//! Where rows stand after what this cycle inserted and deleted.

use super::Tab;

#[derive(Default)]
pub(super) struct Places {
    /// The first row below the data; what stands further down without being any (checkboxes,
    /// formulas, other people's columns) moves down when rows are inserted. `None` before there is
    /// a reading.
    pub end: Option<u32>,
    /// New rows that this cycle put below the data since the reading: they stand right above `end`.
    came: u32,
    /// Rows of the reading that this cycle deleted, ascending.
    removed: Vec<u32>,
}

impl Places {
    /// A new reading shows rows where they stand.
    pub(super) fn forget(&mut self) {
        self.came = 0;
        self.removed.clear();
    }

    /// Returns where the first of them stands.
    pub(super) fn note_inserted(&mut self, count: u32) -> u32 {
        let first = self.end.unwrap_or_default();
        self.end = Some(first.saturating_add(count));
        self.came = self.came.saturating_add(count);
        first
    }
}

impl Tab {
    /// The first row below the data; `None` where this cycle has not read the tab.
    pub(crate) fn end(&self) -> Option<u32> {
        self.places.end
    }

    /// The same, or where it was when the tab was last read.
    pub(crate) fn last_end(&self) -> u32 {
        self.places.end.unwrap_or(self.memory.end)
    }

    /// Where it was at the end of the last cycle, or was put by this one.
    pub(crate) fn end_of_last_cycle(&self) -> u32 {
        self.memory.end
    }

    /// The largest that is known of both.
    pub(crate) fn furthest_end(&self) -> u32 {
        self.memory.end.max(self.places.end.unwrap_or_default())
    }

    /// The last row of the data in the reading, without those that this cycle deleted.
    pub(crate) fn last_row_as_read(&self) -> Option<u32> {
        let end = self.last_end().saturating_sub(self.places.came);
        self.row_as_read(end.checked_sub(1)?)
    }

    /// Where a row of the reading stands after the deletions of this cycle.
    pub(crate) fn moved(&self, row: u32) -> u32 {
        let removed = &self.places.removed;
        let above = removed.partition_point(|removed| *removed < row);
        row.saturating_sub(u32::try_from(above).unwrap_or(u32::MAX))
    }

    /// This cycle deleted the row of the reading.
    pub(crate) fn is_removed(&self, row: u32) -> bool {
        self.places.removed.binary_search(&row).is_ok()
    }

    /// Where a row stood in the reading that stands here now; `None` for a new row of this cycle's.
    pub(crate) fn row_as_read(&self, row: u32) -> Option<u32> {
        let end = self.places.end.unwrap_or_default();
        let first = end.saturating_sub(self.places.came);
        if (first..end).contains(&row) {
            return None;
        }
        let came = if row < first { 0 } else { self.places.came };
        Some(before_removal(
            &self.places.removed,
            row.saturating_sub(came),
        ))
    }

    /// These rows were deleted, ascending, and everything below them moved up.
    pub(super) fn note_deleted(&mut self, gone: &[u32]) {
        let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        let first = self.shape.header_row.saturating_add(1);
        let end = self.places.end.as_mut().unwrap_or(&mut self.memory.end);
        *end = end.saturating_sub(count).max(first);
        // In the numbers of the reading, for the batches that follow.
        let mut original = self.places.removed.clone();
        let mut before = self.places.removed.iter().peekable();
        let mut shift = 0u32;
        for row in gone {
            while before
                .next_if(|removed| **removed <= row.saturating_add(shift))
                .is_some()
            {
                shift = shift.saturating_add(1);
            }
            original.push(row.saturating_add(shift));
        }
        original.sort_unstable();
        self.places.removed = original;
    }
}

/// Where a row stood before these went, ascending: as many rows further down as went from above it.
fn before_removal(removed: &[u32], row: u32) -> u32 {
    let (mut above, mut end) = (0, removed.len());
    while above < end {
        let middle = above.midpoint(end);
        let stood = row.saturating_add(u32::try_from(middle).unwrap_or(u32::MAX));
        match removed.get(middle).is_some_and(|gone| *gone <= stood) {
            true => above = middle + 1,
            false => end = middle,
        }
    }
    row.saturating_add(u32::try_from(above).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stood_further_down_before_others_went() {
        let removed = [2, 3, 7, 8, 9];
        let left = (0..15).filter(|row| !removed.contains(row));
        for (now, before) in (0..).zip(left) {
            assert_eq!(before_removal(&removed, now), before);
        }
        assert_eq!(before_removal(&[], 4), 4);
    }
}
