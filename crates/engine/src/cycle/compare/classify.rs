//! What a reading shows of keys that are known: unchanged, changed, doubled or missing.

use std::collections::{HashMap, HashSet};

use crate::cycle::compare::diff::{Diff, Row, Sighting, Trust, Unreadable, UnreadableRow};
use crate::cycle::memory::known::{Known, Position, State};
use crate::cycle::state::Cycle;
use crate::effect::{Place, Problem};
use crate::mapping::Side;
use crate::value::{Key, Timestamp};

impl Cycle {
    pub(crate) fn classify(
        &mut self,
        diff: &mut Diff,
        seen: Vec<(usize, Row)>,
        trust: Trust,
        sent_at: Timestamp,
    ) {
        let mut rows_of: Vec<Option<u32>> = vec![None; self.memory.rows.len()];
        let mut doubled: HashMap<usize, Vec<u32>> = HashMap::new();
        for (index, row) in &seen {
            match rows_of.get_mut(*index) {
                Some(Some(first)) => doubled
                    .entry(*index)
                    .or_insert_with(|| vec![*first])
                    .push(row.at),
                Some(slot) => *slot = Some(row.at),
                None => {}
            }
        }
        self.note_gone(&rows_of);
        for (index, row) in seen {
            let Some((key, known)) = self.memory.rows.get_index_mut(index) else {
                continue;
            };
            known.missing = None;
            take_out(&mut self.memory.missing.maybe_hit, key);
            if doubled.contains_key(&index) {
                diff.unreadable.push(UnreadableRow {
                    at: row.at,
                    why: Unreadable::Doubled(key.clone()),
                    cells: row.cells,
                });
                known.lose_place();
                continue;
            }
            known.position = Position::Row(row.at);
            if known.state == State::Unbased {
                diff.unbased.push((key.clone(), row.at));
            }
            let shown = Some(row.cells);
            let again = known.before == shown && known.cells != shown;
            let is_back = take_out(&mut self.memory.missing.recently_deleted, key)
                && known.state == State::Unbased;
            if trust.cells && (again && known.state == State::Based || is_back) {
                // The next reading tells whether this is news.
                known.before = None;
                known.bytes = None;
                self.ending.read_soon = true;
                self.ending.held_back = true;
                diff.unconfirmed.insert(key.clone());
                continue;
            }
            let settled = trust.cells && known.cells == shown;
            if settled {
                known.bytes = Some(row.bytes);
                known.seen_at = known.seen_at.max(Some(sent_at));
            } else {
                known.bytes = None;
                diff.changed.push(Sighting {
                    key: key.clone(),
                    row: Some(row.at),
                    bytes: Some(row.bytes),
                });
            }
        }
        for (index, rows) in &doubled {
            if let Some((key, _)) = self.memory.rows.get_index(*index) {
                diff.problems
                    .extend(rows.iter().map(|row| doubled_key(key, *row, rows)));
                diff.hidden.insert(key.clone());
            }
        }
        for (key, row) in std::mem::take(&mut diff.alike) {
            self.hold_alike(diff, &mut rows_of, key, row);
        }
        self.missing(diff, &rows_of);
    }

    /// Whether the row is gone cannot be told: one that may be it stands there.
    fn hold_alike(&mut self, diff: &mut Diff, rows_of: &mut [Option<u32>], key: Key, row: u32) {
        let Some((index, _, known)) = self.memory.rows.get_full_mut(&key) else {
            return;
        };
        match rows_of.get_mut(index) {
            Some(slot @ None) => *slot = Some(row),
            _ => return,
        }
        known.lose_place();
        known.missing = None;
        diff.hidden.insert(key);
    }

    fn missing(&mut self, diff: &mut Diff, rows_of: &[Option<u32>]) {
        let Some(looked) = self.memory.looked else {
            return;
        };
        let wait = self.start.confirm_after_ms;
        let closed = self.is_closed();
        for ((key, known), row) in self.memory.rows.iter_mut().zip(rows_of) {
            if row.is_some() {
                continue;
            }
            let was_seen = known.is_seen();
            // The clock may have been set back.
            let since = known.missing.map(|since| since.min(looked.arrived));
            known.position = Position::Unknown;
            known.bytes = None;
            match known.state {
                // What a person takes back within a moment was no deletion.
                State::Based | State::Marked
                    if since.is_some_and(|since| looked.asked < since.after(wait)) =>
                {
                    diff.unconfirmed.insert(key.clone());
                }
                // One reading that misses a row may be a partial or an old one.
                State::Unbased
                | State::ToInsert
                | State::Inserting
                | State::Based
                | State::Marked
                | State::GoneByUs
                    if since.is_none() && (was_seen || known.state.is_based()) =>
                {
                    known.missing = Some(looked.arrived);
                    self.ending.read_soon |= !known.state.is_agreed();
                    diff.unconfirmed.insert(key.clone());
                }
                State::Absent => {}
                State::ToInsert if closed => {}
                // Looked at once more before it is forgotten: the table may have it.
                State::Unbased
                | State::ToInsert
                | State::Inserting
                | State::Based
                | State::Marked
                | State::GoneByUs => diff.missing.push(Sighting {
                    key: key.clone(),
                    row: None,
                    bytes: None,
                }),
            }
        }
    }

    /// From when on a reading that misses the row too tells that it is gone; `None` where the last
    /// one has told that, or has the row.
    pub(crate) fn confirmed_from(&self, known: &Known) -> Option<Timestamp> {
        let wait = match known.state.is_agreed() {
            true => self.start.confirm_after_ms,
            false => 0,
        };
        let from = known.missing?.after(wait);
        let looked = self.memory.looked?;
        (looked.asked < from).then_some(from)
    }

    /// The readings so far tell that the row is gone.
    pub(crate) fn is_believed(&self, known: &Known) -> bool {
        known.missing.is_some() && self.confirmed_from(known).is_none()
    }

    /// A reading is wanted from then on.
    pub(crate) fn confirm_from(&mut self, from: Timestamp) {
        self.ending.confirm_from = Some(self.ending.confirm_from.map_or(from, |one| one.min(from)));
    }
}

/// Of a set that is mostly empty: then the key is not hashed.
fn take_out(keys: &mut HashSet<Key>, key: &Key) -> bool {
    !keys.is_empty() && keys.remove(key)
}

fn doubled_key(key: &Key, row: u32, rows: &[u32]) -> Problem {
    let rows: Vec<String> = rows.iter().map(|row| (row + 1).to_string()).collect();
    Problem {
        place: Place {
            key: Some(key.clone()),
            sheet_row: Some(row + 1),
            column: None,
        },
        side: Side::Database,
        code: "duplicate_key".into(),
        message: format!(
            "Rows {} of the sheet have the same key {}.",
            rows.join(", "),
            key.shown()
        ),
        hint: "Give each row a key of its own, or delete the rows that are too many.".into(),
        retry_at: None,
    }
}
