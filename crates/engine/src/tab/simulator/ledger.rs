//! What is owed to whom, and the promises.
//!
//! Every value that is typed or written is another one, so that it can be told wherever it stands.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::people::text;
use super::sheet::{MAPPED, Sheet, Uid};
use crate::effect::{MetadataId, SheetEffect, Stamp};
use crate::value::Cell;

/// A row as the writer saw it last, by an anchor.
#[derive(Clone, Debug)]
pub struct Seen {
    pub uid: Uid,
    pub cells: Vec<Cell>,
    pub shape: usize,
}

/// A row or cell that a batch changes.
pub struct Hit {
    pub uid: Uid,
    pub column: Uid,
    pub anchor: MetadataId,
    pub shape: usize,
    /// All cells of the row before.
    pub row: Vec<Cell>,
    /// The copies do not show it as it was.
    pub unseen_by_copies: bool,
}

/// What a batch took out of the sheet that its writer had not seen there.
#[derive(Debug)]
struct Owed {
    token: String,
    uid: Uid,
    column: Uid,
    stamp: String,
    told: bool,
    /// It stands in the sheet again, or a person has the later word on it.
    settled: bool,
    /// Columns were moved in that moment: it has to be told, and nobody knows where it belongs.
    only_told: bool,
}

/// A plan that somebody made: what was read for it, the how manieth batch from that, and when it
/// was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub writer: usize,
    pub read: Vec<String>,
    pub ordinal: usize,
    pub at: usize,
}

#[derive(Default)]
pub struct Ledger {
    /// Several writers overwrite one another: who has the last word on a cell is not asked.
    pub shared: bool,
    pub seen: HashMap<MetadataId, Seen>,
    /// What each stamp's batch was planned from.
    pub plans: HashMap<String, Plan>,
    /// The first promise that was broken.
    pub broken: Option<String>,
    /// Counts requests that were carried out.
    pub clock: usize,
    /// Anchors of requests that were carried out after their writer had given them up.
    pub strays: BTreeSet<MetadataId>,
    tokens: usize,
    owed: Vec<Owed>,
    /// Batches that were carried out: their writers, stamps and moments.
    carried_out: Vec<(usize, String, usize)>,
    /// Where each value may stand.
    homes: BTreeMap<String, HashSet<(Uid, Uid)>>,
    /// Values of rows that were changed while columns were moved: nobody knows where they belong.
    astray: HashSet<String>,
    /// Rows that stand for ones that were deleted by us.
    heirs: BTreeMap<Uid, Uid>,
    /// Rows that we deleted, by their keys.
    buried: BTreeMap<String, Uid>,
}

fn word(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

impl Ledger {
    pub fn token(&mut self, kind: char) -> Cell {
        self.tokens += 1;
        text(kind, self.tokens)
    }

    pub fn is_back(&self, uid: Uid) -> bool {
        self.heirs.values().any(|heir| *heir == uid)
    }

    fn broken(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn is_at_home(&self, token: &str, uid: Uid, column: Uid) -> bool {
        let homes = self.homes.get(token);
        homes.is_some_and(|homes| homes.contains(&(uid, column)))
    }

    fn heir(&self, mut uid: Uid) -> Uid {
        while let Some(heir) = self.heirs.get(&uid) {
            uid = *heir;
        }
        uid
    }

    // ------------------------------------------------------------------------------------------ what people do

    pub fn note_typed(&mut self, uid: Uid, column: Uid, cell: &Cell) {
        self.supersede(|ledger, owed| ledger.heir(owed.uid) == uid && owed.column == column);
        if let Some(token) = word(cell) {
            self.homes.entry(token).or_default().insert((uid, column));
        }
    }

    pub fn note_row_gone(&mut self, uid: Uid) {
        self.supersede(|ledger, owed| ledger.heir(owed.uid) == uid);
    }

    fn supersede(&mut self, is_meant: impl Fn(&Self, &Owed) -> bool) {
        let owed = std::mem::take(&mut self.owed);
        let mut owed: Vec<Owed> = owed;
        for one in &mut owed {
            one.settled |= is_meant(self, one);
        }
        self.owed = owed;
    }

    // ------------------------------------------------------------------------------------------ what our batches do

    pub fn note_carried_out(&mut self, writer: usize, effect: &SheetEffect, stamp: &Stamp) {
        self.clock += 1;
        if matches!(effect, SheetEffect::Claim { .. }) {
            return;
        }
        let mut earlier = self.carried_out.iter();
        if earlier.any(|(_, value, _)| *value == stamp.value) {
            self.broken(format!("the batch {} is carried out twice", stamp.value));
        }
        let plan = self.plans.get(&stamp.value).cloned().unwrap_or_default();
        let rival = self.carried_out.iter().find(|(other, value, at)| {
            let theirs = self.plans.get(value);
            *other != writer
                && *at > plan.at
                && theirs.is_some_and(|theirs| {
                    theirs.read == plan.read && theirs.ordinal == plan.ordinal
                })
        });
        if let Some((_, value, _)) = rival {
            let (one, other) = (value.clone(), &stamp.value);
            self.broken(format!(
                "both {one} and {other} were planned from one reading"
            ));
        }
        let (value, at) = (stamp.value.clone(), self.clock);
        self.carried_out.push((writer, value, at));
    }

    /// Columns were moved since the rows were planned that hold these cells.
    pub fn note_astray<'a>(&mut self, cells: impl Iterator<Item = &'a Cell>) {
        self.astray.extend(cells.filter_map(word));
    }

    /// Nobody can tell from the answer to which columns these cells belong.
    fn goes_astray(&mut self, hit: &Hit) -> bool {
        let seen = self.seen.get(&hit.anchor);
        let moved = seen.is_none_or(|seen| seen.shape != hit.shape);
        if moved {
            self.astray.extend(hit.row.iter().filter_map(word));
        }
        moved
    }

    pub fn note_written(&mut self, hit: &Hit, stamp: &Stamp, was: &Cell, is: &Cell) {
        let moved = self.goes_astray(hit);
        if moved {
            self.astray.extend(word(is));
        }
        let seen = self.seen.get(&hit.anchor).cloned();
        let intended = seen.as_ref().map_or(hit.uid, |seen| seen.uid);
        if let Some(token) = word(is) {
            let back = |owed: &&mut Owed| owed.token == token && owed.column == hit.column;
            let (heirs, uid) = (&self.heirs, hit.uid);
            let at_home = |owed: &Owed| owed.uid == uid || heirs.get(&owed.uid) == Some(&uid);
            for owed in self.owed.iter_mut().filter(back) {
                owed.settled |= at_home(owed);
            }
            let is_first = !self.homes.contains_key(&token);
            let homes = self.homes.entry(token).or_default();
            match (is_first, hit.unseen_by_copies) {
                (true, _) => homes.insert((intended, hit.column)),
                (false, true) => homes.insert((hit.uid, hit.column)),
                (false, false) => false,
            };
        }
        let as_seen =
            seen.is_some_and(|seen| seen.uid == hit.uid && seen.cells[hit.column] == *was);
        if !as_seen && was != is {
            self.owe(hit, hit.column, stamp, was, moved);
        }
        if hit.unseen_by_copies
            && let Some(token) = word(is)
        {
            self.homes
                .entry(token)
                .or_default()
                .insert((hit.uid, hit.column));
        }
    }

    pub fn note_row_deleted(&mut self, hit: &Hit, stamp: &Stamp) {
        let cells = hit.row.as_slice();
        if let Some(key) = cells.first().and_then(word) {
            self.buried.insert(key, hit.uid);
        }
        let moved = self.goes_astray(hit);
        let seen = self.seen.get(&hit.anchor);
        let as_seen =
            seen.is_some_and(|seen| seen.uid == hit.uid && seen.cells[..MAPPED] == cells[..MAPPED]);
        if as_seen {
            // What was owed to this row goes with it.
            self.note_row_gone(hit.uid);
            return;
        }
        for (column, cell) in cells.iter().enumerate().take(MAPPED) {
            self.owe(hit, column, stamp, cell, moved);
        }
    }

    fn owe(&mut self, hit: &Hit, column: Uid, stamp: &Stamp, was: &Cell, only_told: bool) {
        let Some(token) = word(was).filter(|_| !hit.unseen_by_copies) else {
            return;
        };
        // What stands in a row that it was not meant for is owed to its own row, if to any.
        if !self.is_at_home(&token, hit.uid, column) {
            return;
        }
        self.owed.push(Owed {
            token,
            uid: hit.uid,
            column,
            stamp: stamp.value.clone(),
            told: false,
            settled: false,
            only_told: only_told || self.shared,
        });
    }

    pub fn note_row_inserted(&mut self, uid: Uid, cells: &[Cell]) {
        let key = cells.first().and_then(word);
        let former = key.and_then(|key| self.buried.get(&key).copied());
        if let Some(former) = former.filter(|former| *former != uid) {
            self.heirs.insert(former, uid);
        }
        for (column, cell) in cells.iter().enumerate() {
            let Some(token) = word(cell) else { continue };
            for owed in &mut self.owed {
                owed.settled |= owed.token == token && owed.column == column;
            }
            let is_new = !self.homes.contains_key(&token);
            let is_back = former.is_some_and(|former| self.is_at_home(&token, former, column));
            if is_new || is_back {
                self.homes.entry(token).or_default().insert((uid, column));
            }
        }
    }

    // ------------------------------------------------------------------------------------------ what the writer is told

    /// The answer of this batch, or an image, shows these cells as they were before.
    pub fn note_told(&mut self, stamp: &str, before: &[Cell]) {
        let shown: HashSet<String> = before.iter().filter_map(word).collect();
        let mine = self.owed.iter_mut().filter(|owed| owed.stamp == stamp);
        for owed in mine.filter(|owed| shown.contains(&owed.token)) {
            owed.told = true;
        }
    }

    /// A process ended, and what it was told with it.
    pub fn note_forgotten(&mut self) {
        for owed in self.owed.iter_mut().filter(|owed| !owed.settled) {
            // Of what nobody can put in its place no more is asked than to have been told once.
            owed.told &= owed.only_told || self.astray.contains(&owed.token);
        }
    }

    /// It was stored that this writer owes nothing: then it does not.
    pub fn note_over(&mut self, writer: usize) {
        let of_writer = |stamp: &str| {
            let plan = self.plans.get(stamp);
            plan.is_some_and(|plan| plan.writer == writer)
        };
        if let Some(owed) = self.unsettled(of_writer) {
            self.broken(format!(
                "the writer declares its batches over, and owes {owed}"
            ));
        }
    }

    fn unsettled(&self, counts: impl Fn(&str) -> bool) -> Option<String> {
        let open = |owed: &&Owed| match owed.only_told || self.astray.contains(&owed.token) {
            true => !owed.told,
            false => !owed.settled,
        };
        let owed = self
            .owed
            .iter()
            .filter(|owed| counts(&owed.stamp))
            .find(open)?;
        let Owed { token, told, .. } = owed;
        let known = if *told { "which it was told" } else { "untold" };
        Some(format!("{token} ({known}): {owed:?}"))
    }

    /// Everything is at rest.
    pub fn settle(&mut self, sheet: &Sheet) {
        if let Some(owed) = self.unsettled(|_| true) {
            self.broken(format!("at the end {owed} is owed"));
        }
        let mut standing = HashSet::new();
        for row in &sheet.rows[1..] {
            for (column, cell) in row.cells.iter().enumerate() {
                let Some(token) = word(cell) else { continue };
                let uid = row.uid;
                if self.shared || self.astray.contains(&token) {
                    continue;
                }
                if !self.is_at_home(&token, uid, column) {
                    self.broken(format!("{token} stands in row {uid}, column {column}"));
                }
                if !standing.insert(token.clone()) {
                    self.broken(format!("{token} stands twice"));
                }
            }
        }
    }
}
