//! A cycle with a snapshot.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::columns::Followed;
use super::grid::parse;
use super::header::{self, Found, Layout};
use super::io::{Stop, mismatch};
use super::memory::{Known, Looked, State};
use super::run::Cycle;
use super::snapshot::{Sighting, Trust};
use crate::effect::{
    BaseWrite, ColumnFormat, Commit, DatabaseEffect, DatabaseOutcome, Give, SheetEffect,
    SheetOutcome, Snapshot, StoredRow,
};
use crate::mapping::{Direction, Kind, Mapping};
use crate::value::{Cell, Key, Timestamp};

impl Cycle {
    pub(super) async fn full(&mut self, everything: bool) -> Result<(), Stop> {
        let (snapshot, layout) = self.read().await?;
        let snapshot = Arc::new(snapshot);
        self.snapshot = Some(snapshot.clone());
        let trust = Trust {
            bytes: !everything && self.memory.layout.as_ref() == Some(&layout),
            cells: !everything,
        };
        if self.memory.layout.as_ref() != Some(&layout) {
            self.memory.refused_sights.clear();
            self.memory.sights.clear();
        }
        self.memory.layout = Some(layout.clone());
        self.last_look = snapshot.read_at;
        // Before keys are named: what the table gets after that is news for the next cycle.
        if everything {
            self.find_changed().await?;
        }
        self.respell().await?;
        let mut diff = self.diff(&snapshot, &layout, trust).await?;
        self.weigh_images(&snapshot, &layout).await?;
        if self.give_back_by(&snapshot).await? {
            return Err(Stop::Outdated);
        }
        self.tidy_leftovers().await?;
        self.end_attempts(&mut diff).await?;
        let silent = self.doubt_missing(&diff, &snapshot).await?;
        let confirm_from = self.confirm_from;
        let renamed = self.explain_missing(&mut diff, &snapshot, &layout).await?;
        if let Some(formula) = silent {
            // No reading confirms that rows are gone before the formula is mended.
            self.confirm_from = confirm_from;
            self.wait_for_formula(&mut diff, formula);
        }
        self.put_back_fallen(&mut diff);
        if self.start.dry_run {
            self.foresee_missing(&mut diff);
        }
        self.guard_reading(&diff, &snapshot, &layout).await?;
        self.change_keys(&mut diff, renamed, (&snapshot, &layout))
            .await?;
        let changed_at: HashMap<Key, Option<Timestamp>> = self
            .dirty
            .iter()
            .map(|dirty| (dirty.key.clone(), dirty.changed_at))
            .collect();
        let mut sightings = std::mem::take(&mut diff.changed);
        sightings.append(&mut diff.missing);
        self.add_due(&mut sightings);
        sightings.retain(|sighting| !diff.hidden.contains(&sighting.key));
        // Of rows that cannot be touched now, those about which something is owed that would be
        // forgotten: the driver knows nothing of what was found by comparison.
        let given: HashSet<&Key> = self.start.dirty.iter().map(|dirty| &dirty.key).collect();
        self.memory.shelved.retain(|key| diff.hidden.contains(key));
        let marked = |key: &&Key| {
            let known = self.memory.rows.get(*key);
            known.is_some_and(|known| known.state.is_marked())
                && !self.memory.shelved.contains(*key)
        };
        let mut shelved: BTreeSet<Key> = diff.hidden.iter().filter(marked).cloned().collect();
        let mut listed: HashSet<Key> = sightings
            .iter()
            .map(|sighting| sighting.key.clone())
            .collect();
        for dirty in &self.dirty {
            if diff.hidden.contains(&dirty.key) {
                shelved.insert(dirty.key.clone());
            } else if diff.unconfirmed.contains(&dirty.key) {
                self.keep_dirty = true;
                if !given.contains(&dirty.key) {
                    shelved.insert(dirty.key.clone());
                }
            } else if listed.insert(dirty.key.clone()) {
                let row = self.memory.rows.get(&dirty.key).and_then(Known::row);
                sightings.push(Sighting {
                    key: dirty.key.clone(),
                    row,
                    bytes: None,
                });
            }
        }
        drop(listed);
        self.shelve(shelved).await?;
        let closed = self.memory.closed.iter();
        diff.problems.extend(closed.map(|one| one.problem.clone()));
        self.keyless_problems(std::mem::take(&mut diff.problems));
        self.record_leftovers().await?;
        self.io.has_to_do(sightings.len() + diff.keyless.len());
        self.batches(&sightings, Some(&snapshot), &changed_at)
            .await?;
        for rows in diff.keyless.chunks(self.chunk()) {
            self.give_keys(&snapshot, rows, &changed_at).await?;
            self.io.has_done(rows.len());
        }
        self.record_leftovers().await?;
        self.shelve_put_off().await?;
        if !self.stale && !self.held_back && !self.start.dry_run {
            self.memory.settled_at = Some(snapshot.sent_at);
        }
        Ok(())
    }

    async fn find_changed(&mut self) -> Result<(), Stop> {
        let changed = match self.io.database(DatabaseEffect::FindChanged).await? {
            DatabaseOutcome::Changed(changed) => changed,
            _ => return Err(mismatch().into()),
        };
        let known: HashSet<&Key> = self.dirty.iter().map(|dirty| &dirty.key).collect();
        let new: Vec<_> = changed
            .iter()
            .filter(|one| !known.contains(&one.key))
            .cloned()
            .collect();
        self.dirty.extend(new);
        Ok(())
    }

    /// What is owed to rows that cannot be touched now is stored with them.
    async fn shelve(&mut self, keys: BTreeSet<Key>) -> Result<(), Stop> {
        if keys.is_empty() || self.start.dry_run {
            return Ok(());
        }
        let mut commit = Commit::default();
        for row in self.load(keys.into_iter().collect()).await? {
            let announced = self
                .memory
                .rows
                .get(&row.key)
                .is_none_or(|known| known.state == State::Announced);
            let key = row.key;
            let (state, write) = match (row.base.filter(|_| !announced), row.row) {
                (Some(base), _) => (State::Marked, BaseWrite::to_look_at(key.clone(), base)),
                (None, Some(_)) => {
                    let row = StoredRow::to_insert(self.mapping.columns.len());
                    let (key, row) = (key.clone(), Some(row));
                    (State::Announced, BaseWrite { key, row })
                }
                (None, None) => (State::Unbased, BaseWrite::gone(key.clone())),
            };
            let known = self.memory.known(&key);
            known.state = state;
            known.cells = None;
            self.memory.shelved.insert(key);
            commit.bases.push(write);
        }
        self.io.commit(commit).await?;
        Ok(())
    }

    /// What the sheet says of rows that are put off is found again by the next reading; what the
    /// table says of them is stored.
    pub(super) async fn shelve_put_off(&mut self) -> Result<(), Stop> {
        let put_off = std::mem::take(&mut self.put_off);
        let owed = |key: &Key| {
            let known = self.memory.rows.get(key);
            let marked = known.is_some_and(|known| known.state.is_marked());
            !marked && self.dirty.iter().any(|dirty| dirty.key == *key)
        };
        let owed = put_off.into_iter().filter(owed).collect();
        self.shelve(owed).await
    }

    /// Rows whose refusal is due to be tried again.
    fn add_due(&mut self, sightings: &mut Vec<Sighting>) {
        let waiting: HashSet<Key> = self.waiting().into_iter().collect();
        let listed: HashSet<&Key> = sightings.iter().map(|sighting| &sighting.key).collect();
        let mut due = Vec::new();
        for (key, problems) in &self.memory.problems {
            let mut times = problems.iter().filter_map(|problem| problem.retry_at);
            let is_due = times.any(|at| self.is_due(at)) || waiting.contains(key);
            let row = self.memory.rows.get(key).and_then(Known::row);
            if is_due && row.is_some() && !listed.contains(key) {
                due.push(Sighting {
                    key: key.clone(),
                    row,
                    bytes: None,
                });
            }
        }
        due.sort_by_key(|sighting: &Sighting| sighting.row);
        sightings.extend(due);
    }

    async fn read(&mut self) -> Result<(Snapshot, Layout), Stop> {
        let (mut written, mut tags) = (Vec::new(), None);
        let mut least = self.expected_rows();
        loop {
            let snapshot = match self.io.sheet(SheetEffect::Read).await? {
                SheetOutcome::Snapshot(snapshot) => snapshot,
                _ => return Err(mismatch().into()),
            };
            let rows = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
            let rows = rows.max(self.mapping.header_row);
            if std::mem::replace(&mut least, rows) > rows {
                // Rows were deleted, or the answer is not whole: one that shows no fewer tells.
                continue;
            }
            self.memory.looked = Some(Looked {
                asked: snapshot.sent_at,
                arrived: snapshot.read_at,
            });
            self.report.read_at = Some(snapshot.sent_at);
            self.note_reading(&snapshot);
            let header_row = self.mapping.header_row.saturating_sub(1);
            let header = parse(&snapshot, header_row)?;
            let fresh = self.memory.layout.is_none()
                && self
                    .memory
                    .rows
                    .values()
                    .all(|known| known.state == State::Unbased)
                && written.is_empty();
            let below = snapshot
                .rows
                .iter()
                .skip(header_row as usize + 1)
                .any(|row| !is_blank(row.get()));
            let mapping = self.mapping.clone();
            let is_known = |column: &usize| {
                let column = mapping.columns.get(*column);
                column.is_some_and(|one| one.header_known)
            };
            let established = mapping.columns.iter().any(|column| column.header_known);
            let mut found = header::find(&self.mapping, &header);
            if let Found::Missing(missing, layout) = &found {
                match self.follow(&header, layout, missing, &mut tags).await? {
                    Followed::ReadAgain => continue,
                    Followed::Renamed => found = header::find(&self.mapping, &header),
                    Followed::Nowhere => {}
                }
            }
            let write = match found {
                Found::Whole(layout) => {
                    self.format_columns(header_row, &layout, &written).await?;
                    return Ok((snapshot, layout));
                }
                Found::Doubled(column, places) => {
                    return Err(header::doubled_guard(&self.mapping, column, &places).into());
                }
                Found::Blank if !fresh || below || established => {
                    return Err(header::blank_guard(&self.mapping).into());
                }
                Found::Blank => (0..self.mapping.columns.len())
                    .map(|column| (column, column))
                    .collect(),
                Found::Missing(missing, _) if missing.iter().any(is_known) => {
                    let lost: Vec<usize> = missing.into_iter().filter(is_known).collect();
                    return Err(header::missing_guard(&self.mapping, &lost).into());
                }
                // Above data that we have never seen a missing header is more likely a damaged one.
                Found::Missing(missing, _) if !established && (!fresh || below) => {
                    return Err(header::missing_guard(&self.mapping, &missing).into());
                }
                Found::Missing(missing, _) => {
                    let used = header
                        .iter()
                        .rposition(|cell| *cell != Cell::Empty)
                        .map_or(0, |last| last + 1);
                    missing
                        .into_iter()
                        .enumerate()
                        .map(|(offset, column)| (used + offset, column))
                        .collect::<Vec<_>>()
                }
            };
            if self.start.dry_run {
                return Ok((snapshot, planned_layout(&self.mapping, &header, &write)));
            }
            self.write_header(header_row, &write).await?;
            written.extend(write.iter().map(|(_, column)| *column));
        }
    }

    fn expected_rows(&self) -> u32 {
        let based = u32::try_from(self.memory.based()).unwrap_or(u32::MAX);
        self.memory
            .end
            .max(self.mapping.header_row.saturating_add(based))
    }

    /// Columns whose kind has changed get its number format before any value of it; dates in
    /// columns that people headed need one where there is none, or they show as serial numbers.
    async fn format_columns(
        &mut self,
        row: u32,
        layout: &Layout,
        written: &[usize],
    ) -> Result<(), Stop> {
        if self.mapping.direction == Direction::FromSheet || self.start.dry_run {
            return Ok(());
        }
        let columns = self.mapping.columns.iter().zip(&layout.columns).enumerate();
        let formats: Vec<ColumnFormat> = columns
            .filter_map(|(number, (column, at))| {
                let found = !column.header_known && !written.contains(&number);
                let give = match () {
                    () if column.reformat => Give::Anew,
                    () if found && is_of_time(column.kind) && self.mapping.pushes(number) => {
                        Give::WhereNone
                    }
                    () => return None,
                };
                Some(ColumnFormat {
                    at: *at,
                    column: number,
                    kind: column.kind,
                    give,
                })
            })
            .collect();
        if formats.is_empty() {
            return Ok(());
        }
        let stamp = self.stamp();
        let effect = SheetEffect::WriteHeader {
            row,
            cells: Vec::new(),
            formats,
            stamp: stamp.clone(),
        };
        self.structural(effect, stamp, &[]).await?;
        Ok(())
    }

    async fn write_header(&mut self, row: u32, write: &[(usize, usize)]) -> Result<(), Stop> {
        let mapping = self.mapping.clone();
        let at = |column: usize| u32::try_from(column).unwrap_or(u32::MAX);
        let named = |column: usize| {
            mapping
                .columns
                .get(column)
                .map(|description| description.header.clone())
        };
        let cells = write
            .iter()
            .filter_map(|(at_column, column)| Some((at(*at_column), named(*column)?)))
            .collect();
        let formats: Vec<ColumnFormat> = write
            .iter()
            .filter_map(|(at_column, column)| {
                Some(ColumnFormat {
                    at: at(*at_column),
                    column: *column,
                    kind: mapping.columns.get(*column)?.kind,
                    give: Give::First,
                })
            })
            .collect();
        let stamp = self.stamp();
        self.structural(
            SheetEffect::WriteHeader {
                row,
                cells,
                formats,
                stamp: stamp.clone(),
            },
            stamp,
            &[],
        )
        .await?;
        Ok(())
    }
}

fn planned_layout(mapping: &Mapping, header: &[Cell], write: &[(usize, usize)]) -> Layout {
    let mut layout = match header::find(mapping, header) {
        Found::Missing(_, layout) => layout,
        _ => Layout {
            columns: vec![0; mapping.columns.len()],
        },
    };
    for (at, column) in write {
        if let Some(slot) = layout.columns.get_mut(*column) {
            *slot = u32::try_from(*at).unwrap_or(u32::MAX);
        }
    }
    layout
}

/// Travels as a serial number.
fn is_of_time(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz
    )
}

fn is_blank(raw: &str) -> bool {
    serde_json::from_str::<Vec<Cell>>(raw)
        .is_ok_and(|cells| cells.iter().all(|cell| *cell == Cell::Empty))
}
