//! The guards against changes in masses. What a cycle would delete on either side is counted before
//! anything of it is applied, so that a guard which stops a cycle stops all of it.

use crate::cycle::memory::counted::{Allowed, Count, Counted};
use crate::effect::Reason;
use std::collections::{BTreeMap, BTreeSet};

use crate::codec::CellsHash;
use crate::cycle::compare::diff::{Diff, Sighting};
use crate::cycle::item::Item;
use crate::cycle::memory::known::Known;
use crate::cycle::read::grid::parse;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{LoadedRow, Operation, Planned, Question, Snapshot, Stopped, Ways};
use crate::mapping::{Direction, OnSheetDelete, Side};
use crate::reconcile::{SheetChange, TableChange};
use crate::tab::{LARGEST_CHUNK, Layout};
use crate::value::Key;

/// Why a guard stops the cycle.
pub(crate) struct Objection {
    /// The side that would be changed.
    pub side: Side,
    pub reason: Reason,
    pub message: String,
    pub hint: String,
}

const BOTH: Ways = Ways {
    push: true,
    pull: true,
};

impl Cycle {
    /// Before anything of a reading is applied. Where the rows that it misses for the first time
    /// are so many that they would stop the mapping, nothing is done until a second reading tells.
    pub(crate) async fn guard_reading(
        &mut self,
        diff: &Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<(), Stop> {
        let changed = self
            .changed_at_once(&diff.changed, snapshot, layout)
            .await?;
        let unconfirmed = self.count_reading(diff, snapshot, layout).await?;
        if !unconfirmed.is_empty() {
            let all = self.guard.counted.from_table.union(&unconfirmed).count();
            if self.is_too_many(all) {
                return Err(Stop::Held);
            }
        }
        self.ask(changed)
    }

    /// The same for a cycle without a reading, in which only the table can have lost rows.
    pub(crate) async fn guard_dirty(&mut self, sightings: &[Sighting]) -> Result<(), Stop> {
        let stands = |sighting: &&Sighting| sighting.row.is_some() && self.is_based(&sighting.key);
        let keys: Vec<Key> = sightings
            .iter()
            .filter(stands)
            .map(|sighting| sighting.key.clone())
            .collect();
        self.guard.count = self.few_or(Count::Done, keys.len());
        if self.guard.count == Count::Few || self.mapping.direction == Direction::FromSheet {
            return Ok(());
        }
        if self.tab.chunk_size(sightings.iter().map(|one| one.row)) >= sightings.len() {
            self.guard.count = Count::Owed;
            return Ok(());
        }
        for chunk in keys.chunks(LARGEST_CHUNK) {
            let loaded = self.load(chunk.to_vec()).await?;
            self.count_gone(&loaded);
        }
        self.ask(None)
    }

    /// The only chunk of a cycle without a reading, before it does anything. Rows that are too
    /// large to be loaded with the others are loaded here to be counted, and let go again.
    pub(crate) async fn guard_only_chunk(
        &mut self,
        loaded: &[(Sighting, LoadedRow)],
        large: &[Sighting],
    ) -> Result<(), Stop> {
        if self.guard.count != Count::Owed {
            return Ok(());
        }
        self.guard.count = Count::Done;
        let stands = |sighting: &&Sighting| sighting.row.is_some();
        let rows = loaded.iter().filter(|(sighting, _)| stands(&sighting));
        let rows: Vec<LoadedRow> = rows.map(|(_, row)| row.clone()).collect();
        self.count_gone(&rows);
        let keys = large.iter().filter(stands);
        let mut left: Vec<Key> = keys.map(|sighting| sighting.key.clone()).collect();
        while !left.is_empty() {
            let (rows, others) = self.load_first(left).await?;
            self.count_gone(&rows);
            left = others;
        }
        self.ask(None)
    }

    /// What was not counted, because the table lost it since or its new key could not be followed,
    /// waits for the next round, which counts it before it does anything.
    pub(crate) fn guard_chunk(&mut self, items: &mut [Item]) {
        for item in items.iter_mut().filter(|item| !item.dropped) {
            let Some(side) = item.deletes() else {
                continue;
            };
            let rows = match side {
                Side::Database => &mut self.guard.counted.from_table,
                Side::Sheet => &mut self.guard.counted.from_sheet,
            };
            if rows.contains(&item.key) {
                continue;
            }
            rows.insert(item.key.clone());
            let count = rows.len();
            if self.guard.count == Count::Few && !self.is_too_many(count) {
                continue;
            }
            match side {
                Side::Database => self.guard.counted.from_table.remove(&item.key),
                Side::Sheet => self.guard.counted.from_sheet.remove(&item.key),
            };
            self.guard.uncounted.insert(item.key.clone());
            item.dropped = true;
            self.ending.read_again = true;
        }
    }

    fn is_based(&self, key: &Key) -> bool {
        let known = self.memory.rows.get(key);
        known.is_some_and(|known| known.state.is_based())
    }

    fn few_or(&mut self, other: Count, candidates: usize) -> Count {
        self.guard.candidates += candidates;
        let few =
            self.guard.candidates < self.least() && !self.start.truncated && !self.start.dry_run;
        if few { Count::Few } else { other }
    }

    /// So many deletions at least make a guard ask.
    fn least(&self) -> usize {
        (self.mapping.max_delete_rows as usize).max(1)
    }

    fn is_too_many(&self, count: usize) -> bool {
        let share = f64::from(self.mapping.max_delete_percent) * self.guard.rows_at_start as f64;
        count >= self.least() && count as f64 * 100.0 > share
    }

    /// Answers those that would be deleted from the table if a second reading misses them too.
    async fn count_reading(
        &mut self,
        diff: &Diff,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<BTreeSet<Key>, Stop> {
        let deletes = self.mapping.direction != Direction::ToSheet
            && self.mapping.on_sheet_delete == OnSheetDelete::Delete;
        let is_missing = |key: &&Key| {
            let known = self.memory.rows.get(*key);
            let agreed = |known: &Known| known.row().is_none() && known.state.is_agreed();
            deletes && known.is_some_and(agreed) && !diff.rekeyed.contains(*key)
        };
        let missing = diff.missing.iter().map(|sighting| &sighting.key);
        let confirmed: Vec<Key> = missing.filter(is_missing).cloned().collect();
        let unconfirmed: Vec<Key> = diff
            .unconfirmed
            .iter()
            .filter(is_missing)
            .cloned()
            .collect();
        let stands = |key: &&Key| {
            let known = self.memory.rows.get(*key);
            known.is_some_and(|known| known.row().is_some() && known.state.is_based())
        };
        let dirty = self.dirty.iter().map(|dirty| &dirty.key);
        let dirty = dirty.chain(&self.guard.uncounted);
        let dirty: Vec<Key> = match self.mapping.direction {
            Direction::FromSheet => Vec::new(),
            _ => dirty.filter(stands).cloned().collect(),
        };
        let candidates = confirmed.len() + unconfirmed.len() + dirty.len();
        self.guard.count = self.few_or(Count::Done, candidates);
        let mut waits = BTreeSet::new();
        if self.guard.count == Count::Few {
            return Ok(waits);
        }
        for (keys, is_confirmed) in [(confirmed, true), (unconfirmed, false), (dirty, true)] {
            for chunk in keys.chunks(LARGEST_CHUNK) {
                let loaded = self.load(chunk.to_vec()).await?;
                for item in self.foresee(loaded, snapshot, layout).await? {
                    match item.deletes() {
                        Some(Side::Database) if is_confirmed => {
                            self.guard.counted.from_table.insert(item.key)
                        }
                        Some(Side::Database) => waits.insert(item.key),
                        Some(Side::Sheet) => self.guard.counted.from_sheet.insert(item.key),
                        // Here the function is not asked, and this cycle has seen that with its
                        // answer the row goes.
                        None if item.plan.asks_function
                            && self.guard.uncounted.contains(&item.key) =>
                        {
                            self.guard.counted.from_sheet.insert(item.key)
                        }
                        None if item.plan.awaits_tabs => {
                            self.report.awaits_tabs = true;
                            waits.insert(item.key)
                        }
                        None => false,
                    };
                }
            }
        }
        Ok(waits)
    }

    /// What would become of these rows, as far as anybody knows before they are tagged.
    async fn foresee(
        &mut self,
        loaded: Vec<LoadedRow>,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<Vec<Item>, Stop> {
        let mut items = Vec::with_capacity(loaded.len());
        for loaded in loaded {
            if self.follows(&loaded) {
                continue;
            }
            let row = self.memory.rows.get(&loaded.key).and_then(Known::row);
            let mut item = Item::new(loaded.key.clone(), loaded);
            item.row = row;
            if let Some(row) = item.row {
                item.cells = Some(layout.mapped(&parse(snapshot, row)?));
            }
            self.own_writes(&mut item);
            items.push(item);
        }
        let all: Vec<usize> = (0..items.len()).collect();
        // Whichever way this cycle goes: what waits for the other way counts too.
        self.decide_all(&mut items, &all, BOTH).await?;
        Ok(items)
    }

    /// A row whose key the table changed, or writes otherwise by now, is not gone, unless this
    /// cycle has found that it cannot follow it.
    fn follows(&self, row: &LoadedRow) -> bool {
        let moved = row.moved.is_some() && !self.guard.uncounted.contains(&row.key);
        let spelled = row.spelled.is_some() && !self.later.two_keys.contains(&row.key);
        row.row.is_none() && (moved || spelled)
    }

    fn count_gone(&mut self, rows: &[LoadedRow]) {
        for row in rows {
            let gone = match row.row {
                None => row.base.is_some() && !self.follows(row),
                Some(_) => !row.in_filter,
            };
            if gone {
                self.guard.counted.from_sheet.insert(row.key.clone());
            }
        }
    }

    /// Everything that a guard objects to is one question.
    fn ask(&mut self, changed: Option<(Objection, BTreeMap<Key, CellsHash>)>) -> Result<(), Stop> {
        let mut objections = Vec::new();
        let mut rows = Counted::default();
        if let Some((objection, changed)) = changed {
            objections.push(objection);
            rows.changed = changed;
        }
        let (from_table, from_sheet) = (
            &self.guard.counted.from_table,
            &self.guard.counted.from_sheet,
        );
        if self.start.truncated && !from_sheet.is_empty() {
            objections.push(truncated(from_sheet.len()));
            rows.from_sheet = from_sheet.clone();
        } else if self.is_too_many(from_sheet.len()) {
            let (count, total) = (from_sheet.len(), self.guard.rows_at_start);
            objections.push(mass_delete(Side::Sheet, count, total));
            rows.from_sheet = from_sheet.clone();
        }
        if self.is_too_many(from_table.len()) {
            let (count, total) = (from_table.len(), self.guard.rows_at_start);
            objections.push(mass_delete(Side::Database, count, total));
            rows.from_table = from_table.clone();
        }
        let Some(first) = objections.first() else {
            return Ok(());
        };
        if self.is_allowed(&rows) {
            return Ok(());
        }
        if self.start.dry_run {
            // It goes on: what would happen once it is let through is wanted, too.
            let lines = objections.into_iter().map(Objection::into_line);
            self.report.planned.splice(0..0, lines);
            return Ok(());
        }
        Err(stopped(first, &objections, rows.question()).into())
    }

    /// Of what was allowed a part may have been carried out before something else came in between:
    /// the rest stays allowed.
    fn is_allowed(&mut self, rows: &Counted) -> bool {
        let Some(confirmed) = self.start.confirmed else {
            return false;
        };
        if confirmed == rows.question() {
            self.memory.allowed = Some(Allowed {
                question: confirmed,
                rows: rows.clone(),
            });
            return true;
        }
        let allowed = self.memory.allowed.as_ref();
        allowed.is_some_and(|allowed| allowed.question == confirmed && allowed.rows.holds(rows))
    }
}

impl Item {
    /// The side from which its plan deletes the row.
    pub(crate) fn deletes(&self) -> Option<Side> {
        let leaves = matches!(
            self.plan.sheet,
            Some(SheetChange::Delete | SheetChange::Clear)
        );
        match &self.plan.table {
            Some(TableChange::Delete) => Some(Side::Database),
            _ if leaves => Some(Side::Sheet),
            _ => None,
        }
    }
}

impl Objection {
    /// As `preview()` shows it.
    pub(crate) fn into_line(self) -> Planned {
        Planned {
            side: self.side,
            operation: match self.reason {
                Reason::EverythingChanged | Reason::KeysMoved => Operation::Update,
                _ => Operation::Delete,
            },
            key: None,
            column: None,
            old: None,
            new: Some(format!("{} {}", self.message, self.hint).into()),
            reason: self.reason.to_string(),
        }
    }

    /// Nobody can let it pass: what it objects to has to be mended first.
    pub(crate) fn without_question(self) -> Stopped {
        Stopped::Guard {
            reason: self.reason,
            message: self.message,
            hint: self.hint,
            question: None,
        }
    }
}

/// The first one names the stop.
fn stopped(first: &Objection, objections: &[Objection], question: Question) -> Stopped {
    let joined = |text: fn(&Objection) -> &str| {
        let texts: Vec<&str> = objections.iter().map(text).collect();
        texts.join(" ")
    };
    Stopped::Guard {
        reason: first.reason.clone(),
        message: joined(|one| &one.message),
        hint: joined(|one| &one.hint),
        question: Some(question),
    }
}

/// `side`: the one from which the rows would go.
fn mass_delete(side: Side, count: usize, total: usize) -> Objection {
    let (gone, kept) = match side {
        Side::Database => ("sheet", "table"),
        Side::Sheet => ("table", "sheet"),
    };
    Objection {
        side,
        reason: Reason::MassDelete,
        message: format!(
            "{count} of {total} rows are gone from the {gone} at once; none was deleted from the {kept}."
        ),
        hint: format!(
            "If that was meant, call sheet_sync.confirm_deletes() for the table; otherwise bring the rows back in the {gone}."
        ),
    }
}

/// TRUNCATE tells no keys and empties a table in one go.
fn truncated(count: usize) -> Objection {
    Objection {
        side: Side::Sheet,
        reason: Reason::Truncated,
        message: format!("the table was truncated; its {count} rows still stand in the sheet."),
        hint: "sheet_sync.confirm_deletes() empties the sheet too; sheet_sync.resync() brings the rows back from the sheet."
            .into(),
    }
}
