//! What no cycle may do, whatever it was told.

use super::super::{Verdict, broken};
use super::World;
use engine::effect::{Apply, Change, DatabaseEffect, Effect, SheetEffect};
use engine::value::Key;
use std::collections::BTreeSet;

/// What stands where rows can be deleted.
pub(super) struct Standing {
    uids: BTreeSet<u32>,
    keys: BTreeSet<Key>,
}

impl World {
    pub(super) fn may_be_done(&mut self, effect: &Effect) -> Verdict {
        let Some(cycle) = &mut self.cycle else {
            return Ok(());
        };
        let applies = match effect {
            Effect::Database(DatabaseEffect::Commit(commit)) => !commit.apply.is_empty(),
            Effect::Sheet(
                SheetEffect::Read
                | SheetEffect::FindColumns { .. }
                | SheetEffect::Formulas
                | SheetEffect::Notes
                | SheetEffect::ReadRows { .. }
                | SheetEffect::Inspect { .. }
                | SheetEffect::Look { .. }
                | SheetEffect::Tag { .. }
                | SheetEffect::TidyAll
                | SheetEffect::Images
                | SheetEffect::Claim { .. },
            ) => return Ok(()),
            Effect::Sheet(_) => true,
            Effect::Database(_) => return Ok(()),
        };
        cycle.wrote = true;
        if cycle.dry_run {
            return broken(format!("a preview writes: {effect:?}"));
        }
        if applies && cycle.header_broken {
            return broken("the header does not hold, and something is written");
        }
        Ok(())
    }

    /// Taken before an effect that may delete rows.
    pub(super) fn standing(&self, effect: &Effect) -> Option<Standing> {
        let deletes = |apply: &Apply| matches!(apply.change, Change::Delete { .. });
        let may_delete = match effect {
            Effect::Database(DatabaseEffect::Commit(commit)) => commit.apply.iter().any(deletes),
            Effect::Sheet(effect) => matches!(effect, SheetEffect::Delete { .. }),
            Effect::Database(_) => false,
        };
        may_delete.then(|| self.stand())
    }

    fn stand(&self) -> Standing {
        Standing {
            uids: self.tab.rows.iter().map(|row| row.uid).collect(),
            keys: self.table.rows.keys().cloned().collect(),
        }
    }

    /// Counts what a cycle has deleted on either side.
    pub(super) fn mass_deletes_were_confirmed(
        &mut self,
        effect: &Effect,
        before: Standing,
    ) -> Verdict {
        let now = self.stand();
        let Some(cycle) = &mut self.cycle else {
            return Ok(());
        };
        match effect {
            Effect::Database(DatabaseEffect::Commit(commit)) => {
                let deletes = commit
                    .apply
                    .iter()
                    .filter(|apply| matches!(apply.change, Change::Delete { .. }));
                let gone = |key: &&Key| before.keys.contains(key) && !now.keys.contains(key);
                cycle.table_deletes += deletes.map(|apply| &apply.key).filter(gone).count();
            }
            Effect::Sheet(SheetEffect::Delete { .. }) => {
                // One that was edited in that moment is put back.
                let unseen = &self.tab.unseen;
                let meant = |uid: &&u32| !unseen.iter().any(|(other, _)| other == *uid);
                cycle.sheet_deletes += before.uids.difference(&now.uids).filter(meant).count()
            }
            _ => return Ok(()),
        }
        let (most, rows) = (
            cycle.table_deletes.max(cycle.sheet_deletes),
            cycle.rows_before,
        );
        let percent = most as f32 * 100.0 / rows.max(1) as f32;
        if !cycle.confirmed
            && most > usize::from(self.setup.max_delete_rows)
            && percent > f32::from(self.setup.max_delete_percent)
        {
            return broken(format!(
                "{most} of {rows} rows are deleted, and nobody confirmed it"
            ));
        }
        Ok(())
    }
}
