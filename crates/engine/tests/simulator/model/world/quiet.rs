//! The end of a schedule: people and faults rest, the worker goes on, and then everything must be
//! well.

use super::super::ledger::Sides;
use super::super::sheet::SheetEdit;
use super::super::{Verdict, broken, settled};
use super::{BOTH, Pending, World};
use engine::effect::{Effect, Scope, SheetEffect};
use engine::value::Timestamp;

impl World {
    /// People stop, faults stop, and the worker goes on until nothing is left to do.
    pub fn settle(&mut self) -> Verdict {
        self.say(|| "quiet".into());
        self.unlock();
        self.arrive()?;
        self.finish()?;
        (self.ways, self.preview) = (BOTH, false);
        self.edit_sheet(SheetEdit::MendHeader)?;
        self.run_until_still(true)?;
        // Problems are tried again now and then: give them a chance, and those that wait for them.
        for _ in 0..3 {
            self.pause(48 * 3600);
            self.poll();
            self.run_until_still(true)?;
        }
        Ok(())
    }

    /// The worker as it is: a guard waits for a person.
    pub fn sync(&mut self) -> Verdict {
        self.poll();
        self.run_until_still(false)
    }

    fn run_until_still(&mut self, confirming: bool) -> Verdict {
        for _ in 0..60 {
            self.pause(10);
            let before = self.fingerprint();
            let scope = match self.due() {
                Some(scope) => scope,
                None => Scope::Full,
            };
            if self.cycle.is_none() {
                self.begin(scope)?;
            }
            self.finish()?;
            if self.guarded && !confirming {
                return Ok(());
            }
            self.confirm_deletes();
            if scope != Scope::Dirty && self.due().is_none() && before == self.fingerprint() {
                return Ok(());
            }
        }
        broken("it does not come to rest")
    }

    /// Everything that is under way to Google arrives.
    pub fn arrive(&mut self) -> Verdict {
        while !self.late.is_empty() {
            self.land()?;
        }
        Ok(())
    }

    pub fn planned(&self) -> Option<&Effect> {
        match &self.pending {
            Pending::Planned(effect) => Some(effect),
            _ => None,
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.pending, Pending::Idle)
    }

    /// Half a step, of a cycle that begins now if none is under way.
    pub fn advance(&mut self) -> Verdict {
        match self.cycle {
            Some(_) => self.step(),
            None => self.begin(self.due().unwrap_or(Scope::Full)),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock
    }

    /// A full cycle and nothing else.
    pub fn one_cycle(&mut self) -> Verdict {
        self.begin(Scope::Full)?;
        self.finish()
    }

    /// The cycle under way, to its end.
    pub fn finish(&mut self) -> Verdict {
        while self.cycle.is_some() {
            self.step()?;
        }
        Ok(())
    }

    pub(super) fn fingerprint(&self) -> impl PartialEq + use<> {
        let lines = self.table.conflicts.iter();
        let lines: Vec<bool> = lines.map(|line| line.conflict.settled).collect();
        let problems = self.table.problems.iter();
        let mut places: Vec<String> = problems.map(|one| format!("{:?}", one.place)).collect();
        places.sort();
        let rows = self.tab.rows.iter();
        let cells: Vec<_> = rows.map(|row| (row.uid, row.cells.clone())).collect();
        (
            self.table.rows.clone(),
            self.table.bases.clone(),
            lines,
            places,
            cells,
        )
    }

    /// Nothing is lost, doubled or misplaced, both sides are equal, and nobody says anything any
    /// more.
    pub fn check_settled(&mut self) -> Verdict {
        let sides = Sides {
            table: &self.table,
            tab: &self.tab,
            now: self.clock,
        };
        settled::check(&self.setup, &self.ledger, sides)?;
        settled::problems_are_real(&self.ledger, sides)?;
        self.silent(Scope::Dirty)?;
        self.silent(Scope::Full)?;
        self.table.forget_kept();
        // One of several rows of a key may be a missing row, too, and so may one without a key that
        // stands there while the missing row waits for a formula. And what a row is refused because
        // of another that is missing waits, in a worker that begins anew, until it has missed that
        // one for as long.
        let problems = &self.table.problems;
        let is_unclear = (problems.iter()).any(|one| match one.code.as_str() {
            "key_unclear" | "broken_formula" | "23505" => true,
            "duplicate_key" | "missing_key" => one.message.contains("It may be the row"),
            _ => false,
        });
        self.crash();
        if is_unclear {
            // A worker that begins anew does not know where a missing row stood: a row that waited,
            // since it stands where that one did, may be a new one for it.
            self.run_until_still(true)?;
            let sides = Sides {
                table: &self.table,
                tab: &self.tab,
                now: self.clock,
            };
            settled::check(&self.setup, &self.ledger, sides)?;
        }
        self.silent(Scope::Full)
    }

    pub(super) fn silent(&mut self, scope: Scope) -> Verdict {
        let before = self.fingerprint();
        self.begin(scope)?;
        if scope == Scope::Dirty && self.cycle.is_some() {
            return broken("a cycle without anything to do does something");
        }
        let mut wrote = false;
        while let Some(cycle) = &self.cycle {
            let problems = !self.table.problems.is_empty();
            // Rows of which a cell is a formula's are looked at again.
            let looks_again = |effect: &Effect| {
                problems
                    && matches!(
                        effect,
                        Effect::Sheet(SheetEffect::Tag { .. } | SheetEffect::Formulas)
                    )
            };
            if let Pending::Planned(effect @ Effect::Sheet(_)) = &self.pending
                && !looks_again(effect)
                && !matches!(
                    effect,
                    Effect::Sheet(
                        SheetEffect::Read
                            | SheetEffect::Inspect { .. }
                            | SheetEffect::FindColumns { .. }
                            | SheetEffect::TidyAll
                    )
                )
            {
                return broken(format!(
                    "both sides are equal, and the sheet is written again: {effect:?}"
                ));
            }
            wrote |= cycle.wrote;
            if wrote && !problems {
                return broken("both sides are equal, and something is committed again");
            }
            self.step()?;
        }
        if before == self.fingerprint() {
            Ok(())
        } else {
            broken("both sides were equal, and something changed all the same")
        }
    }
}
