//! Our writer: the simplest that keeps the promises by [`Tab`] alone. It knows of no table. It
//! writes new values into some rows, inserts and deletes rows, and restores what it overwrote.

mod batches;
mod recovery;
mod restoring;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::super::layout::{Found, find_columns};
use super::super::{NotDone, Tab, TabMemory, Trouble};
use super::ledger::{Ledger, Plan};
use crate::codec::hash_cells;
use crate::effect::{Commit, Failure, MetadataId, SheetEffect, SheetOutcome, Stamp};
use crate::io::{Io, mismatch};
use crate::mapping::Mapping;
use crate::value::{Cell, Key, Timestamp};

/// A deliberate bug. Each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Google takes a stamp that is in use.
    StampUnchecked,
    /// What was announced is not stored.
    AnnouncementNotStored,
    /// A batch without an answer is taken for one that was refused.
    LostTakenForRefused,
    /// The images of a batch that turned out to be carried out are not read.
    ImagesNotRead,
    /// Anchors of an earlier process go before its batches are closed.
    TidiedBeforeClosing,
    /// All anchors go while something is to be restored through them.
    NeededAnchorsTidied,
    /// An image is believed whichever row it is of.
    ForeignImageBelieved,
    /// What the answer shows from before the write is passed over.
    BeforeIgnored,
    /// The same for rows that are deleted.
    DeletedRowsIgnored,
    /// Each batch puts its images where the one before has put them.
    ImagesOverwritten,
    /// The batches are declared over while something is owed.
    OverTooEarly,
    /// The stamp does not tell from which reading a batch was planned.
    StampsOfTheirOwn,
}

/// What is stored, and outlives a process.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub announced: Vec<Stamp>,
    /// By the stamps' values: what the rows of a batch showed when it was planned.
    seen: HashMap<String, Vec<SeenRow>>,
    inserting: Vec<(Stamp, Vec<Key>)>,
    deleting: Vec<(Stamp, Vec<Key>)>,
    /// New rows that the sheet has yet to get.
    wanted: Vec<(Cell, Cell)>,
}

#[derive(Clone, Debug)]
struct SeenRow {
    anchor: MetadataId,
    cells: Vec<Cell>,
    /// What was to be written into it, by mapped column.
    sent: Vec<(usize, Cell)>,
}

/// What one session is to do, once nothing is owed.
#[derive(Clone, Debug)]
pub enum Todo {
    Nothing,
    /// From this row on so many, of which some neighbours have no anchor.
    Write {
        from: usize,
        rows: usize,
        reads: bool,
    },
    /// Several batches, one row each, and nothing is restored before all are written.
    WriteOneByOne {
        from: usize,
        batches: usize,
    },
    Insert {
        rows: usize,
    },
    Delete {
        from: usize,
        rows: usize,
    },
}

#[derive(Clone)]
pub struct Writer {
    pub number: usize,
    pub io: Io,
    pub mapping: Rc<Mapping>,
    pub stored: Rc<RefCell<Stored>>,
    pub ledger: Rc<RefCell<Ledger>>,
    pub bug: Option<Bug>,
    /// It has just begun, and knows what is stored.
    pub cold: bool,
    pub seed: u64,
}

/// How a session ends that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// There is more to do, or the tab is to be read again.
    Again,
    Rest,
}

/// The session ends before its work is done. The next one begins with what this one left.
struct Stopped;

impl From<Trouble> for Stopped {
    fn from(_: Trouble) -> Self {
        Self
    }
}

impl From<Failure> for Stopped {
    fn from(_: Failure) -> Self {
        Self
    }
}

impl From<NotDone> for Stopped {
    fn from(_: NotDone) -> Self {
        Self
    }
}

type Done<T = ()> = Result<T, Stopped>;

struct Session {
    writer: Writer,
    tab: Tab,
    rows: Vec<Vec<Cell>>,
    plan: Plan,
}

/// What comes of a session, and what its process remembers.
pub async fn session(writer: Writer, kept: TabMemory, todo: Todo) -> (Option<End>, TabMemory) {
    let now = writer.io.now();
    let mut tab = Tab::new(writer.io.clone(), &writer.mapping, kept, writer.seed, now);
    if writer.cold {
        let stored = writer.stored.borrow();
        let deleting = stored.deleting.iter().map(|batch| (true, batch));
        let inserting = stored.inserting.iter().map(|batch| (false, batch));
        for (deletes, (stamp, keys)) in deleting.chain(inserting) {
            for key in keys {
                tab.note_announced_row(stamp.clone(), deletes, key);
            }
        }
        tab.note_announced(stored.announced.clone());
    }
    let mut session = Session {
        writer,
        tab,
        rows: Vec::new(),
        plan: Plan::default(),
    };
    let end = session.run(todo).await.ok();
    (end, session.tab.into_memory())
}

impl Session {
    async fn run(&mut self, todo: Todo) -> Done<End> {
        self.recover().await?;
        let reads = match &todo {
            Todo::Write { reads, .. } => *reads,
            _ => true,
        };
        let owes = !self.tab.debts().is_empty();
        if reads || owes || self.tab.layout().is_none() {
            self.read().await?;
        }
        self.compare_images();
        if !self.tab.debts().rows.is_empty() {
            self.put_back().await?;
            return Ok(End::Again);
        }
        if !self.tab.debts().edits.is_empty() {
            self.find_places();
            self.give_back().await?;
            return Ok(End::Again);
        }
        let end = match todo {
            Todo::Nothing => End::Rest,
            _ => End::Again,
        };
        match todo {
            Todo::Nothing => {}
            Todo::Write { from, rows, .. } => {
                let rows = self.chosen(from, rows);
                self.write(rows).await?;
            }
            Todo::WriteOneByOne { from, batches } => {
                for row in self.chosen(from, batches) {
                    self.write(vec![row]).await?;
                }
            }
            Todo::Insert { rows } => {
                self.want(rows);
                self.insert().await?;
            }
            Todo::Delete { from, rows } => {
                let rows = self.chosen(from, rows);
                self.delete(rows).await?;
            }
        }
        self.give_back().await?;
        self.declare_over().await?;
        Ok(end)
    }

    fn is(&self, bug: Bug) -> bool {
        self.writer.bug == Some(bug)
    }

    async fn read(&mut self) -> Done {
        // Whatever is carried out from here on may not be in the answer.
        self.plan = Plan {
            at: self.writer.ledger.borrow().clock,
            ..Plan::default()
        };
        let snapshot = match self.writer.io.sheet(SheetEffect::Read).await? {
            SheetOutcome::Snapshot(snapshot) => snapshot,
            _ => return Err(mismatch().into()),
        };
        let parsed = snapshot
            .rows
            .iter()
            .map(|row| serde_json::from_str(row.get()));
        let parsed: Result<Vec<Vec<Cell>>, _> = parsed.collect();
        self.rows = parsed.expect("rows are JSON");
        match find_columns(&self.writer.mapping, &self.rows[0]) {
            Found::Whole(layout) => self.tab.set_layout(layout),
            other => panic!("the header is there: {other:?}"),
        }
        self.tab.note_reading(snapshot.rows[0].get());
        let mapped: Vec<Vec<Cell>> = self.rows.iter().map(|row| self.tab.mapped(row)).collect();
        let end = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let hashes = mapped[1..].iter().map(|cells| hash_cells(cells));
        self.tab.note_rows(hashes, end);
        self.plan.read = vec![snapshot.rows[0].get().to_owned()];
        self.plan
            .read
            .extend(mapped[1..].iter().map(|cells| format!("{cells:?}")));
        Ok(())
    }

    /// Rows with a key, from this one on, as they stood in the last reading of this session; or
    /// places without a name where there was none.
    fn chosen(&self, from: usize, count: usize) -> Vec<(u32, Option<Cell>)> {
        if self.rows.is_empty() {
            let end = (self.tab.last_end() as usize).max(2);
            let rows = (from % (end - 1) + 1..end).take(count);
            return rows.map(|row| (row as u32, None)).collect();
        }
        let key = |row: &usize| self.tab.mapped(&self.rows[*row]).into_iter().next();
        let keyed = (1..self.rows.len()).filter(|row| key(row) != Some(Cell::Empty));
        let keyed: Vec<usize> = keyed.collect();
        let first = from % keyed.len().max(1);
        let chosen = keyed.iter().skip(first).take(count);
        chosen.map(|row| (*row as u32, key(row))).collect()
    }

    /// A moment at which the process may end, right before something is stored.
    async fn record(&self) -> Done {
        self.writer.io.commit(Commit::default()).await?;
        Ok(())
    }
}

fn named(cell: &Cell) -> Key {
    match cell {
        Cell::Text(text) => Key::from_iter([text.clone()]),
        _ => Key::default(),
    }
}

/// When the model clock begins.
pub const START: Timestamp = Timestamp(1_000_000);
