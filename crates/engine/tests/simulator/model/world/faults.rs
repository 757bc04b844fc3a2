//! What can go wrong between the driver and both sides.

use super::super::ledger::{Author, Sides, keys_in_sheet};
use super::super::sheet::Uid;
use super::super::{Verdict, broken};
use super::{Late, Pending, World, side_of};
use engine::effect::Reason;
use engine::effect::{Class, Effect, Failure, Outcome, Scope, SheetEffect, SheetOutcome, Snapshot};
use std::collections::BTreeSet;

/// What becomes of the effect that is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// 500, or a serialisation failure: nothing was done, and the answer says so.
    Refused,
    /// 429.
    Quota,
    /// The connection breaks after the effect took place.
    AnswerLost,
    /// The connection breaks before it took place.
    RequestLost,
    /// The answer never comes, and the batch lands later.
    Late,
    /// Status 200 with rows missing.
    Partial { from: u8, count: u8 },
    /// The answer shows the tab as it was at the reading before.
    Stale,
    /// People move rows whenever the batch is sent: it is refused as a whole, until it is given up.
    Moved,
}

impl World {
    /// The effect under way meets a fault. Does nothing where none is under way.
    pub fn fault(&mut self, fault: Fault) -> Verdict {
        let effect = match std::mem::take(&mut self.pending) {
            Pending::Planned(effect) => effect,
            other => {
                self.pending = other;
                return Ok(());
            }
        };
        let side = side_of(&effect);
        let failed = |class, reason, may_have_applied| {
            Outcome::Failed(side, failure(class, reason, may_have_applied))
        };
        let timeout = || failed(Class::RetryLater, Reason::Timeout, true);
        // Being refused, however often, takes nothing from what a cycle knows.
        if let Some(cycle) = self.cycle.as_mut().filter(|_| fault != Fault::Moved) {
            cycle.calm = false;
        }
        let outcome = match (fault, &effect) {
            (Fault::Quota, Effect::Sheet(_)) => failed(Class::RetryLater, Reason::Quota, false),
            (Fault::Refused, Effect::Sheet(_)) => failed(Class::RetryNow, Reason::Network, true),
            (_, Effect::Database(_)) => failed(Class::RetryNow, Reason::Database, false),
            (Fault::AnswerLost, _) => {
                self.carry_out(&effect)?;
                timeout()
            }
            (
                Fault::Late,
                Effect::Sheet(
                    batch @ (SheetEffect::Insert { .. }
                    | SheetEffect::Delete { .. }
                    | SheetEffect::Write { .. }
                    | SheetEffect::Claim { .. }),
                ),
            ) => {
                self.late.push(Late {
                    effect: batch.clone(),
                    cycle: self.cycles,
                    looks: self.looks,
                });
                timeout()
            }
            (Fault::RequestLost | Fault::Late, _) => timeout(),
            (
                Fault::Moved,
                Effect::Sheet(SheetEffect::Write { .. } | SheetEffect::Delete { .. }),
            ) => failed(Class::RetryNow, Reason::StalePosition, false),
            (Fault::Moved, _) => self.carry_out(&effect)?,
            (Fault::Partial { .. } | Fault::Stale, Effect::Sheet(SheetEffect::Read)) => {
                self.unsound_read(fault)?
            }
            (Fault::Partial { .. } | Fault::Stale, _) => self.carry_out(&effect)?,
        };
        self.pending = Pending::Ready(outcome);
        Ok(())
    }

    /// A reading that Google would not have given a moment later. Not twice in a row, and not in a
    /// first merge: nobody could know then. An old answer never comes first in a driver's life (it
    /// has removed all anchors before, and what Google answers afterwards is no older than that),
    /// nor from before columns moved: there is no anchor for a column, and what is written in that
    /// moment goes astray as after any look.
    fn unsound_read(&mut self, fault: Fault) -> Verdict<Outcome> {
        let first_merge = self
            .cycle
            .as_ref()
            .is_none_or(|cycle| cycle.scope == Scope::Everything);
        let older = self
            .last_read
            .clone()
            .filter(|(_, columns)| fault == Fault::Stale && *columns == self.tab.columns)
            .map(|(rows, _)| rows);
        let sound = self.carry_out_read()?;
        if first_merge || self.unsound || (fault == Fault::Stale && older.is_none()) {
            return self.carry_out(&Effect::Sheet(SheetEffect::Read));
        }
        self.unsound = true;
        let first = self.tab.header() + 1;
        let snapshot = match (fault, older) {
            (_, Some(rows)) => Snapshot { rows, ..sound },
            (Fault::Partial { from, count }, None) if sound.rows.len() > first => {
                let mut rows = sound.rows;
                let from = first + usize::from(from) % (rows.len() - first);
                rows.drain(from..(from + usize::from(count) + 1).min(rows.len()));
                Snapshot { rows, ..sound }
            }
            _ => sound,
        };
        let now = self.now();
        let cycle = self.cycle.as_mut().expect("a cycle is under way");
        cycle.header_broken =
            fault != Fault::Stale && cycle.header_known && !self.tab.header_holds(now);
        Ok(Outcome::Sheet(SheetOutcome::Snapshot(snapshot)))
    }

    fn carry_out_read(&mut self) -> Verdict<Snapshot> {
        let now = self.tick();
        match self.tab.carry_out(&SheetEffect::Read, self.cycles, now)? {
            Some(SheetOutcome::Snapshot(snapshot)) => Ok(snapshot),
            _ => broken("a read always has an answer"),
        }
    }

    /// A batch that was believed lost reaches Google.
    pub fn land(&mut self) -> Verdict {
        let Some(Late {
            effect,
            cycle,
            looks,
        }) = self.late.pop()
        else {
            return Ok(());
        };
        let now = self.tick();
        self.say(|| format!("  late: {effect:?}"));
        let agreed = self.agreed_cells();
        let landing = std::mem::replace(&mut self.tab.landing, true);
        self.tab.carry_out(&effect, cycle, now)?;
        self.tab.landing = landing;
        // What has come to agree before the engine looked again, nobody has agreed on.
        let agreed_on =
            matches!(effect, SheetEffect::Write { .. }) && self.looks > looks && !self.shared;
        if agreed_on && !agreed.is_subset(&self.agreed_cells()) {
            return broken("a write that comes late undoes what both sides had agreed on");
        }
        self.book(Author::Engine { everything: false })
    }

    /// Cells that are equal on both sides, in rows that belong on both.
    fn agreed_cells(&self) -> BTreeSet<(Uid, usize)> {
        let sides = Sides {
            table: &self.table,
            tab: &self.tab,
            now: self.now(),
        };
        let mut agreed = BTreeSet::new();
        for (key, uids) in keys_in_sheet(&self.table.mapping, sides) {
            let row = self.table.rows.get(&key);
            let Some(row) = row.filter(|row| self.table.in_filter(row)) else {
                continue;
            };
            for uid in uids {
                let place = self
                    .tab
                    .rows
                    .iter()
                    .position(|row| row.uid == uid)
                    .expect("it stands there");
                let cells = self.tab.mapped(place, sides.now);
                // A formula follows what is written beside it.
                let equal = |column: &usize| {
                    self.ledger
                        .agree(*column, &row.values[*column], &cells[*column])
                        && !self.tab.computes(uid, *column)
                };
                agreed.extend((0..cells.len()).filter(equal).map(|column| (uid, column)));
            }
        }
        agreed
    }
}

pub(super) fn failure(class: Class, reason: Reason, may_have_applied: bool) -> Failure {
    let retry_after_ms = (reason == Reason::Quota).then_some(60_000);
    Failure {
        class,
        message: format!("the simulator says {reason}"),
        reason,
        hint: String::new(),
        retry_after_ms,
        may_have_applied,
    }
}
