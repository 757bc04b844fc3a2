//! Two clusters on one sheet: a standby is promoted while the primary, believed dead, goes on.

use super::super::ledger::{Ledger, Sides, keys_in_sheet};
use super::super::sheet::Tab;
use super::super::{Verdict, broken};
use super::{BOTH, Pending, World};
use engine::effect::{Effect, Scope, SheetEffect};

impl World {
    /// A cluster with the same data and a driver of its own. The sheet goes to whoever is about to
    /// act ([`World::hand_over`]).
    pub fn standby(&mut self) -> World {
        self.shared = true;
        self.tab.landing = true;
        let mapping = self.table.mapping.clone();
        World {
            setup: self.setup,
            table: self.table.clone(),
            tab: Tab::new(mapping.clone()),
            ledger: Ledger::new(self.setup),
            maker: self.maker,
            engine: (self.maker)(mapping),
            clock: self.clock,
            pending: Pending::Idle,
            cycle: None,
            // What a driver draws by chance is not what another draws.
            cycles: self.cycles + 10_000,
            initialised: self.initialised,
            header_known: self.header_known,
            poll_due: true,
            ways: BOTH,
            preview: false,
            asked: None,
            confirm: None,
            confirm_from: None,
            guarded: false,
            late: Vec::new(),
            looks: 0,
            last_read: None,
            unsound: false,
            shared: true,
            tabs: None,
            last_report: None,
            trace: self.trace.as_ref().map(|_| Vec::new()),
        }
    }

    /// The one sheet that there is.
    pub fn hand_over(&mut self, to: &mut World) {
        std::mem::swap(&mut self.tab, &mut to.tab);
        to.clock = to.clock.max(self.clock);
    }

    /// A full cycle until it has read the sheet.
    pub fn read(&mut self) -> Verdict {
        self.begin(Scope::Full)?;
        while self.has_read() {
            self.step()?;
        }
        self.step()
    }

    /// A cycle is under way, and its next effect is none that reads the sheet.
    pub fn has_read(&self) -> bool {
        let read = Effect::Sheet(SheetEffect::Read);
        self.cycle.is_some() && self.planned() != Some(&read)
    }

    /// Every row of the table stands in the sheet once, with what the table has; and nothing else
    /// does.
    pub fn sheet_shows_the_table(&self) -> Verdict {
        let sides = Sides {
            table: &self.table,
            tab: &self.tab,
            now: self.clock,
        };
        let mut standing = keys_in_sheet(&self.table.mapping, sides);
        for (key, row) in &self.table.rows {
            let rows = standing.remove(key).unwrap_or_default();
            let [uid] = rows[..] else {
                return broken(format!(
                    "row {key:?} stands {} times in the sheet",
                    rows.len()
                ));
            };
            let place = self.tab.rows.iter().position(|row| row.uid == uid);
            let cells = self.tab.mapped(place.expect("it stands there"), self.clock);
            for (column, cell) in cells.iter().enumerate() {
                if !self.ledger.agree(column, &row.values[column], cell) {
                    return broken(format!(
                        "row {key:?}, column {column}: the table has {:?}, the sheet {cell:?}",
                        row.values[column]
                    ));
                }
            }
        }
        match standing.keys().next() {
            Some(key) => broken(format!(
                "row {key:?} stands in the sheet and not in the table"
            )),
            None => Ok(()),
        }
    }
}
