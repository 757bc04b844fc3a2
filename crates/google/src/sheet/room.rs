//! Google's limits on the size of a spreadsheet, checked before anything is sent.

use super::{Session, Tab, Target};
use crate::error::Error;

/// The cells of all tabs of a spreadsheet together, blank ones among them (G-LIMITS-1).
pub const MOST_CELLS: u64 = 10_000_000;
/// The columns of a tab; the last one is ZZZ (G-LIMITS-2).
pub const MOST_COLUMNS: u32 = 18_278;

/// By how much a tab is to grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    pub rows: u32,
    pub columns: u32,
}

impl Growth {
    fn check(self, tabs: &[Tab], sheet_id: i32) -> Result<(), Error> {
        let cells = |tab: &Tab| {
            let grows = tab.sheet_id == sheet_id;
            let more = |growth: u32| if grows { u64::from(growth) } else { 0 };
            (u64::from(tab.rows) + more(self.rows)) * (u64::from(tab.columns) + more(self.columns))
        };
        let columns = tabs.iter().find(|tab| tab.sheet_id == sheet_id);
        let columns = columns.map_or(0, |tab| tab.columns.saturating_add(self.columns));
        if self.columns > 0 && columns > MOST_COLUMNS {
            return Err(Error::TooManyColumns(columns));
        }
        let cells = tabs.iter().map(cells).sum();
        match cells > MOST_CELLS && self.rows + self.columns > 0 {
            true => Err(Error::TooManyCells(cells)),
            false => Ok(()),
        }
    }
}

impl Session {
    /// Refuses what would be refused. What is remembered of other tabs may be an hour old, so where
    /// it leaves no room they are looked at again; where it wrongly leaves room, Google says so.
    pub(super) fn check_room(&self, target: &Target, growth: Growth) -> Result<(), Error> {
        self.tab(target)?;
        let known = self.known_tabs(&target.spreadsheet_id);
        growth
            .check(&known, target.sheet_id)
            .or_else(|_| self.check_room_anew(target, growth))
    }

    /// A refusal by Google, in whatever language: where the spreadsheet has no room, that is why.
    pub(super) fn for_want_of_room(&self, target: &Target, growth: Growth, error: Error) -> Error {
        match self.check_room_anew(target, growth) {
            Err(full @ (Error::TooManyCells(_) | Error::TooManyColumns(_))) => full,
            _ => error,
        }
    }

    fn check_room_anew(&self, target: &Target, growth: Growth) -> Result<(), Error> {
        self.overview(&target.spreadsheet_id)?;
        let tabs = self.known_tabs(&target.spreadsheet_id);
        growth.check(&tabs, target.sheet_id)
    }

    /// Whether a tab of this size may be added, as far as is remembered.
    pub(super) fn has_room_for_tab(&self, target: &Target, rows: u32, columns: u32) -> bool {
        let cells = |tab: &Tab| u64::from(tab.rows) * u64::from(tab.columns);
        let known = self.known_tabs(&target.spreadsheet_id);
        let there: u64 = known.iter().map(cells).sum();
        there + u64::from(rows) * u64::from(columns) <= MOST_CELLS
    }

    /// Whether a tab may grow, as far as is remembered.
    pub(super) fn has_room(&self, spreadsheet_id: &str, sheet_id: i32, growth: Growth) -> bool {
        let tabs = self.known_tabs(spreadsheet_id);
        growth.check(&tabs, sheet_id).is_ok()
    }

    fn known_tabs(&self, spreadsheet_id: &str) -> Vec<Tab> {
        let state = self.state();
        let tabs = state.tabs.iter();
        tabs.filter(|((of, _), _)| of == spreadsheet_id)
            .map(|(_, tab)| tab.clone())
            .collect()
    }
}
