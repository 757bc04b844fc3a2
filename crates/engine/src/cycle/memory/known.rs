//! What is known of one row of the sheet.

use crate::codec::{BytesHash, CellsHash};
use crate::mapping::{KeyEquality, Mapping};
use crate::value::Timestamp;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub position: Position,
    /// The row's bytes when it was settled.
    pub bytes: Option<BytesHash>,
    /// Its mapped cells when it was settled; `None` where it has to be looked at again whatever its
    /// bytes are.
    pub cells: Option<CellsHash>,
    /// Its mapped cells before that: a reading that shows them again is either a person's undo or
    /// an old one.
    pub before: Option<CellsHash>,
    /// When the last look at it was asked for, where that showed what it had shown before or was
    /// dealt with.
    pub seen_at: Option<Timestamp>,
    /// When the snapshot had arrived that first missed it.
    pub missing: Option<Timestamp>,
    pub state: State,
}

/// Where the sheet has the row of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Unknown,
    /// The sheet had the key when it was last read, in more rows than one or nobody knows where.
    Somewhere,
    /// Counted from 0.
    Row(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Seen in the sheet, without a base: a problem row.
    Unbased,
    Based,
    /// Both sides agree that the sheet does not have it.
    Absent,
    /// To be inserted into the sheet, and certainly not inserted yet: what is stored as its base is
    /// only a plan.
    ToInsert,
    /// Being inserted into the sheet; nobody knows whether it has arrived.
    Inserting,
    /// As `Based`; that the sheet lacks its key is, or may be, our own doing: we have deleted the
    /// row, are emptying it, or are giving it another key.
    GoneByUs,
    /// As `Based`; a mark is stored with it: it was being deleted, it has arrived without an
    /// answer, or more is to be done about it.
    Marked,
}

impl State {
    pub(crate) fn is_based(self) -> bool {
        matches!(self, State::Based | State::Marked | State::GoneByUs)
    }

    /// That the sheet lacks such a row means that a person deleted it.
    pub(crate) fn is_agreed(self) -> bool {
        matches!(self, State::Based | State::Marked)
    }

    /// Something else than a hash is stored with it.
    pub(crate) fn is_marked(self) -> bool {
        matches!(
            self,
            State::ToInsert | State::Inserting | State::Marked | State::GoneByUs
        )
    }
}

impl Known {
    /// Whether what is typed like this key is this key, without asking.
    pub(crate) fn is_certain(&self, mapping: &Mapping) -> bool {
        mapping.key_equality == KeyEquality::ByText || self.state != State::Unbased
    }

    /// Its row in the sheet, counted from 0.
    pub(crate) fn row(&self) -> Option<u32> {
        match self.position {
            Position::Row(row) => Some(row),
            Position::Unknown | Position::Somewhere => None,
        }
    }

    /// The sheet had the key when it was last read.
    pub(crate) fn is_seen(&self) -> bool {
        self.position != Position::Unknown
    }

    /// The next reading looks at the row whatever it shows.
    pub(crate) fn look_again(&mut self) {
        self.cells = None;
        self.bytes = None;
        if self.position == Position::Somewhere {
            self.position = Position::Unknown;
        }
    }

    /// The sheet has the key, and nobody knows where.
    pub(crate) fn lose_place(&mut self) {
        self.cells = None;
        self.bytes = None;
        self.position = Position::Somewhere;
    }

    pub(crate) fn new(state: State) -> Self {
        Self {
            position: Position::Unknown,
            bytes: None,
            cells: None,
            before: None,
            missing: None,
            seen_at: None,
            state,
        }
    }
}
