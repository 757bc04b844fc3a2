//! One key on its way through a chunk.

use crate::codec::{BytesHash, CellsHash, hash_cells};
use crate::effect::{
    Computed, Conflict, HistoryLine, LoadedRow, MetadataId, Operation, OtherTab, Problem, Winner,
};
use crate::mapping::{Mapping, Side};
use crate::reconcile::{Filled, Meanings, Plan, SheetChange};
use crate::tab::LookTimes;
use crate::value::{Base, Cell, Datum, Key, Timestamp};

#[derive(Debug)]
pub(crate) struct Item {
    pub key: Key,
    /// Where the sheet has it now.
    pub row: Option<u32>,
    /// Its mapped cells; `None` while they are unread, or where the sheet does not have it.
    pub cells: Option<Vec<Cell>>,
    /// The look that showed them.
    pub look: Option<LookTimes>,
    /// What its cells mean, where their values alone do not tell.
    pub meanings: Meanings,
    /// The raw bytes' hash in the snapshot, while the sheet still holds them.
    pub bytes: Option<BytesHash>,
    /// Stands for its mapped cells before a write changed them.
    pub before: Option<CellsHash>,
    /// Its name in the request that tagged it.
    pub anchor: Option<MetadataId>,
    /// It has no anchor but its neighbours'.
    pub bare: bool,
    /// Which cells of its row nobody typed, by their sheet columns, as far as the request that
    /// tagged it tells.
    pub computed: Vec<(u32, Computed)>,
    /// The same of its mapped cells that were to be written, with the places of the formulas.
    pub filled: Vec<Filled>,
    /// Its mapped cells that are blank because of a formula.
    pub blanks: Vec<Filled>,
    /// The formula in its row that fills other rows, too.
    pub feeds: Option<String>,
    pub loaded: LoadedRow,
    pub changed_at: Option<Timestamp>,
    pub merged: Option<Vec<Datum>>,
    /// What the table's other tabs have of the row, once they were asked.
    pub others: Option<Vec<OtherTab>>,
    pub plan: Plan,
    /// The base as it stands after what was done so far, and whether that is stored.
    pub base: Option<Base>,
    pub base_unstored: bool,
    /// Its insertion into the sheet was begun and never seen.
    pub inserting: bool,
    pub found: Vec<Problem>,
    pub conflicts: Vec<Conflict>,
    pub history: Vec<HistoryLine>,
    /// Nothing more is done with it in this round; it is looked at again.
    pub dropped: bool,
    pub pushed: bool,
    pub pulled: bool,
}

impl Item {
    pub(crate) fn new(key: Key, loaded: LoadedRow) -> Self {
        Self {
            key,
            row: None,
            cells: None,
            look: None,
            meanings: Meanings::default(),
            bytes: None,
            before: None,
            anchor: None,
            bare: false,
            computed: Vec::new(),
            filled: Vec::new(),
            blanks: Vec::new(),
            feeds: None,
            changed_at: loaded.changed_at,
            merged: None,
            others: None,
            plan: Plan::default(),
            base: loaded.base.clone(),
            base_unstored: false,
            inserting: false,
            found: Vec::new(),
            conflicts: Vec::new(),
            history: Vec::new(),
            dropped: false,
            pushed: false,
            pulled: false,
            loaded,
        }
    }

    /// Both sides have the row, and nothing is agreed about it yet: should one side lose it, that
    /// must not be taken for news.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.base.is_none()
            && self.cells.is_some()
            && self.loaded.row.is_some()
            && self.loaded.in_filter
    }

    /// Edits of the sheet's lose to what both sides had agreed on, and nothing else is to be
    /// recorded before they are overwritten.
    pub(crate) fn overrules(&self) -> bool {
        let reverts = |conflict: &Conflict| {
            conflict.winner == Winner::Database
                && conflict.base.is_some()
                && conflict.database == conflict.base
        };
        matches!(self.plan.sheet, Some(SheetChange::Update(_)))
            && self.conflicts.iter().any(reverts)
    }

    /// Stands for everything that a refusal depends on.
    pub(crate) fn state(&self) -> CellsHash {
        let mut cells = self.cells.clone().unwrap_or_default();
        let row = self.loaded.row.iter().flatten();
        cells.extend(row.map(|value| value.clone().map_or(Cell::Empty, Cell::Text)));
        hash_cells(&cells)
    }

    pub(crate) fn line(
        &self,
        side: Side,
        operation: Operation,
        cells: Vec<(usize, Datum, Datum)>,
    ) -> HistoryLine {
        let old = cells.iter().map(|(column, old, _)| (*column, old.clone()));
        let new = cells.iter().map(|(column, _, new)| (*column, new.clone()));
        let (old, new): (Vec<_>, Vec<_>) = (old.collect(), new.collect());
        HistoryLine {
            key: self.key.clone(),
            side,
            operation,
            old: if operation == Operation::Insert {
                Vec::new()
            } else {
                old
            },
            new: if operation == Operation::Delete {
                Vec::new()
            } else {
                new
            },
        }
    }

    /// What the sheet shows of a column, in the table's words.
    pub(crate) fn shown(&self, mapping: &Mapping, column: usize) -> Datum {
        let cell = self.cells.as_ref().and_then(|cells| cells.get(column))?;
        mapping.decode(column, cell)
    }

    pub(crate) fn table_value(&self, column: usize) -> Datum {
        self.loaded
            .row
            .as_ref()
            .and_then(|row| row.get(column).cloned())
            .flatten()
    }
}

pub(crate) fn positions(items: &[Item], wanted: impl Fn(&Item) -> bool) -> Vec<usize> {
    items
        .iter()
        .enumerate()
        .filter(|(_, item)| wanted(item))
        .map(|(index, _)| index)
        .collect()
}

/// Whether a column is among those refused, or its whole row is.
pub(crate) fn is_refused(refused: &[Option<usize>], column: usize) -> bool {
    refused.contains(&None) || refused.contains(&Some(column))
}
