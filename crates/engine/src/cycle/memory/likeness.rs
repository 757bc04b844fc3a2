//! How likely it is that a row of the sheet is one whose key is missing: by its other cells and by
//! its neighbours.

use crate::codec::is_error;
use crate::mapping::{Direction, Mapping};
use crate::value::{Cell, Key, Timestamp};

/// The keys of the nearest rows above and below that have a base; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Neighbours {
    pub above: Option<Key>,
    pub below: Option<Key>,
}

/// What a row shows besides its key.
#[derive(Clone, Debug)]
pub(crate) struct Rest(Vec<Cell>);

/// Whether a row stands where the missing row stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Same,
    Other,
    /// Nobody remembers where the missing row stood.
    Unknown,
}

/// A row with a base whose key is missing from the sheet.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    /// When the snapshot had arrived that first missed it; `None` where an earlier process may have
    /// missed it before.
    pub since: Option<Timestamp>,
    /// Between which rows it stood; `None` where nobody remembers.
    pub stood: Option<Neighbours>,
}

impl Gone {
    /// It was missing when this process looked for the first time.
    pub(crate) fn before_anybody_looked() -> Self {
        Self {
            since: None,
            stood: None,
        }
    }

    /// Whether a row between these neighbours stands in its place.
    pub(crate) fn place_of(&self, stands: &Neighbours) -> Place {
        let Some(stood) = &self.stood else {
            return Place::Unknown;
        };
        let beside = |one: &Option<Key>, other: &Option<Key>| one.is_some() && one == other;
        let is_same = stood == stands
            || beside(&stood.above, &stands.above)
            || beside(&stood.below, &stands.below);
        match is_same {
            true => Place::Same,
            false => Place::Other,
        }
    }
}

/// A missing row compared with a row of the sheet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Likeness {
    /// Cells besides the key that the missing row had filled.
    filled: usize,
    /// Of those: the other row shows the same.
    same: usize,
    /// Of those: the other row shows an error, so nobody can compare them.
    unreadable: usize,
    exact: bool,
    pub place: Place,
}

impl Rest {
    /// Columns that only the sheet fills are left out where there are others: what formulas show
    /// changes by itself.
    pub(crate) fn of(mapping: &Mapping, cells: &[Cell]) -> Self {
        let rest = |column: &usize| !mapping.key.contains(column);
        let typed = |column: &usize| {
            let description = mapping.columns.get(*column);
            description.is_some_and(|one| one.direction != Direction::FromSheet)
        };
        let all: Vec<usize> = (0..mapping.columns.len()).filter(rest).collect();
        let some: Vec<usize> = all.iter().copied().filter(|one| typed(one)).collect();
        let columns = if some.is_empty() { all } else { some };
        let cell = |column| cells.get(column).cloned().unwrap_or(Cell::Empty);
        Self(columns.into_iter().map(cell).collect())
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.0.iter().all(|cell| *cell == Cell::Empty)
    }

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.0
    }
}

impl Likeness {
    pub(crate) fn new(missing: &Rest, gone: &Gone, row: &Rest, stands: &Neighbours) -> Self {
        let pairs = missing.0.iter().zip(&row.0);
        let filled = pairs.filter(|(before, _)| **before != Cell::Empty);
        let mut likeness = Self {
            filled: 0,
            same: 0,
            unreadable: 0,
            exact: missing.0 == row.0,
            place: gone.place_of(stands),
        };
        for (before, now) in filled {
            likeness.filled += 1;
            likeness.same += usize::from(before == now);
            likeness.unreadable += usize::from(before != now && is_error(now));
        }
        likeness
    }

    /// Nothing but the key tells the two rows apart.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact && self.filled > 0
    }

    /// The rest of the row says that it is the missing one, although a cell was edited with its
    /// key.
    pub(crate) fn is_close(&self) -> bool {
        let most = self.filled >= 3 && self.same * 3 >= self.filled * 2;
        most || self.same > 0 && self.is_same_place()
    }

    /// Nothing says whether a row with another key is the missing row or a new one.
    pub(crate) fn is_doubtful(&self) -> bool {
        match self.place {
            Place::Same => self.filled <= 1,
            Place::Other => false,
            Place::Unknown => self.filled <= 1 || self.same * 2 >= self.filled,
        }
    }

    fn is_same_place(&self) -> bool {
        self.place == Place::Same
    }

    /// Whether a row whose key shows an error could be the missing one. Its other cells may be
    /// filled by the same broken formula.
    pub(crate) fn fits_an_error(&self, row_is_blank: bool) -> bool {
        row_is_blank
            || self.filled == 0
            || self.same > 0
            || self.unreadable > 0
            || self.place != Place::Other
    }

    /// Whether a row whose key shows an error could be one that the sheet is said not to have yet.
    pub(crate) fn fits_a_new_row(&self, row_is_blank: bool, first_merge: bool) -> bool {
        let half = self.same > 0 && self.same * 2 >= self.filled;
        half || self.unreadable > 0 || row_is_blank && first_merge
    }

    /// Whether a row whose key nobody can use could be the missing one. Where nobody remembers its
    /// place it may have stood there.
    pub(crate) fn fits_a_bad_key(&self) -> bool {
        self.fits_a_blank_key() || self.place != Place::Other
    }

    /// Whether a row without a key could be the missing one, and not a new row.
    pub(crate) fn fits_a_blank_key(&self) -> bool {
        let bare = self.filled == 0 && self.place != Place::Other;
        self.same > 0 || self.unreadable > 0 || bare
    }
}
