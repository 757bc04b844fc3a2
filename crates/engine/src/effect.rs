//! What a cycle asks of its driver, and what the driver answers.
//!
//! At most one effect of each side is under way at a time: while new rows travel to the sheet the
//! table goes on with the next ones. The driver may die before, during or after any of them: every
//! effect is harmless when it is repeated by a later cycle that knows nothing of this one.
//!
//! Sheet rows and columns are 0-based here, as in Google's GridRange; anchors and stamps are
//! developer-metadata ids that the engine chooses.

mod detail;
mod report;
mod row_state;

use std::sync::Arc;

use crate::mapping::{Kind, Mapping, Side};
use crate::value::{Base, Cell, Datum, Key, Text, Timestamp};
pub use detail::*;
pub use report::*;
pub use row_state::*;

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Database(DatabaseEffect),
    Sheet(SheetEffect),
}

#[derive(Debug)]
pub enum Outcome {
    Database(DatabaseOutcome),
    Sheet(SheetOutcome),
    /// The effect that was under way on this side could not be carried out.
    Failed(Side, Failure),
}

// ---------------------------------------------------------------------------------------------------------------- database

/// Each is carried out in one transaction of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum DatabaseEffect {
    /// Every base row's key and sheet hash. Asked once, when the engine's memory is cold.
    ReadIndex,
    /// The keys whose table row differs from the base's database half, or that stand on one side
    /// only.
    FindChanged,
    /// The table row, base row and pending conflicts of these keys, all from one MVCC snapshot.
    /// Where rows are large, the answer may be about the first of them only, so that nobody has to
    /// hold more than a few; the others, asked for again, are of another snapshot.
    Load { keys: Vec<Key> },
    /// What Postgres makes of typed texts: the canonical text, or why it is refused.
    Canonicalise { cells: Vec<TypedText> },
    /// Which keys these are, as typed into the sheet. The answer is the spelling under which the
    /// key is known: that of a stored base whose key is equal (the table's own, where both are
    /// stored), else that of the table's row, else what Postgres prints for it; keys of one
    /// question that are equal get one spelling. Equal is what the operator of the key's index
    /// takes for equal.
    NameKeys { typed: Vec<Key> },
    /// Which of these keys, all with a base, the table writes otherwise by now: an equal key that
    /// has no base yet. And which of the `new` ones, without a base, are equal to one whose base
    /// says that the table does not have it. Asked only where equal keys may be printed differently
    /// ([`crate::mapping::KeyEquality::ByOperator`]).
    FindRespelled { keys: Vec<Key>, new: Vec<Key> },
    /// New keys from the key columns' defaults, for rows typed into the sheet without one. None of
    /// them is in the table, has a base, or is equal to one of `taken`.
    GenerateKeys { count: usize, taken: Vec<Key> },
    /// The mapping's `conflict_function`, once per row.
    MergeByFunction { rows: Vec<FunctionCall> },
    /// What the other tabs of the table have of these rows: asked only where [`Start::other_tabs`],
    /// of rows that may have moved from one tab to another.
    AskOtherTabs { keys: Vec<Key> },
    /// Apply changes to the table as the mapping's role and record what follows, in one
    /// transaction.
    Commit(Arc<Commit>),
}

#[derive(Debug)]
pub enum DatabaseOutcome {
    Index(Index),
    Changed(Vec<DirtyKey>),
    /// One entry per key asked, in that order.
    Rows {
        /// In the order of the keys; one at least.
        rows: Vec<LoadedRow>,
        /// The keys after those, to be asked for again.
        left: Vec<Key>,
    },
    /// One entry per cell asked, in that order.
    Canonical(Vec<Result<Text, Refusal>>),
    /// One entry per key asked, in that order.
    Named(Vec<Result<Key, KeyRefusal>>),
    Respelled(Vec<Respelled>),
    /// One entry per key asked for: the key, or why there is none.
    Keys(Vec<Result<Key, Refusal>>),
    /// One entry per call, in that order: the merged row over all mapped columns.
    Merged(Vec<Result<Vec<Datum>, Refusal>>),
    /// One entry per key asked, in that order: the tabs from which rows come into the table,
    /// without the one that asks.
    OtherTabs(Vec<Vec<OtherTab>>),
    /// One entry per `Commit::apply`, in that order.
    Committed(Vec<Applied>),
}

/// What is stored of a mapping, without its cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    pub rows: Vec<IndexEntry>,
    /// The problems that stand, so that a fresh engine can report when they are over, or say now
    /// something else.
    pub problems: Vec<StoredProblem>,
    /// Batches that were announced ([`Announcement::Begins`]) and not declared over, oldest first.
    pub writing: Vec<Stamp>,
    /// Keys of conflicts that a policy has decided and of which nobody has recorded that both sides
    /// hold the outcome.
    pub unsettled: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoredProblem {
    pub place: Place,
    /// [`Problem::message`].
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IndexEntry {
    pub key: Key,
    pub state: RowState,
    /// The row goes into the sheet with the batch under this stamp ([`Inserting`]), and nobody has
    /// said yet that the batch has arrived: until then the state is only a plan.
    pub inserting: Option<Stamp>,
    /// As it was said by [`BaseWrite::typed`].
    pub typed: Option<Key>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DirtyKey {
    pub key: Key,
    /// When the capture trigger saw the change; `None` where it was found by comparison.
    pub changed_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TypedText {
    pub column: usize,
    pub text: Text,
}

/// Why a typed key is none.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRefusal {
    pub column: usize,
    pub refusal: Refusal,
}

/// One key in two spellings.
#[derive(Clone, Debug, PartialEq)]
pub struct Respelled {
    /// That of its base.
    pub known: Key,
    /// The table's own by now.
    pub now: Key,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LoadedRow {
    pub key: Key,
    /// The row's mapped columns; `None` where the table has no row whose key is printed just so.
    pub row: Option<Vec<Datum>>,
    /// How the table prints the key where it has the row under another spelling of it.
    pub spelled: Option<Key>,
    /// False where the row exists but `row_filter` does not hold: it belongs in the table and not
    /// in the sheet.
    pub in_filter: bool,
    pub base: Option<Base>,
    pub changed_at: Option<Timestamp>,
    /// The row's other key, where its key was changed in the table and the dirty keys of that
    /// change still wait: what [`crate::renames::Renames::moved`] says of all that wait in the
    /// snapshot that the row comes from; without those whose new key has a base by then and whose
    /// old key has none: they have been followed.
    pub moved: Option<Key>,
    /// Conflicts of this row that wait for a person, or that a person has just resolved.
    pub pending: Vec<PendingConflict>,
    /// Those that a policy has decided, and that are not settled.
    pub unsettled: Vec<i64>,
}

/// What another tab of the table has of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherTab {
    pub title: Text,
    pub has: Has,
    /// It has a row filter: a row that no longer matches leaves it.
    pub is_filtered: bool,
    /// When the reading was asked for that tells it; `None` before there is one.
    pub read_at: Option<Timestamp>,
    /// It is not read before a person acts: it is paused, or has stopped.
    pub rests: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// Neither the row nor anything of it that was agreed on.
    Nothing,
    /// A person typed a row with this key, and the table has not taken it from there.
    Typed,
    /// The row, as it was agreed on.
    Row,
    /// It had the row, and has lost it: [`Report::moving`] named it, or it was agreed that the row
    /// stays in the table only.
    Lost,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PendingConflict {
    pub id: i64,
    /// `None` for a whole-row conflict.
    pub column: Option<usize>,
    /// The values the two sides had when the conflict was recorded.
    pub database: Option<Datum>,
    pub sheet: Option<Cell>,
    /// The same of a whole-row conflict.
    pub rows: Option<Box<PendingRows>>,
    /// Set by `resolve()`.
    pub decision: Option<Decision>,
}

/// The rows that the two sides had, by column as far as these are still mapped; `None` where a side
/// had none.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingRows {
    pub database: Option<Vec<(usize, Datum)>>,
    pub sheet: Option<Vec<(usize, Cell)>>,
}

impl PendingRows {
    /// Nothing has happened to either row since.
    pub fn are(&self, database: Option<&[Datum]>, sheet: Option<&[Cell]>) -> bool {
        is_row(self.database.as_deref(), database) && is_row(self.sheet.as_deref(), sheet)
    }
}

fn is_row<T: PartialEq>(before: Option<&[(usize, T)]>, now: Option<&[T]>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            let mut cells = before.iter();
            cells.all(|(column, cell)| now.get(*column) == Some(cell))
        }
        (None, None) => true,
        _ => false,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Side(Side),
    /// A value that `resolve()` was given, in the column's text form.
    Value(Datum),
}

#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    pub key: Key,
    pub base: Option<Vec<Datum>>,
    pub database: Option<Vec<Datum>>,
    /// The sheet's row in the columns' text form.
    pub sheet: Option<Vec<Datum>>,
}

/// A row that is refused takes nothing else with it. What is not in `apply` takes effect together,
/// and with or before the first of `apply`; these may follow in transactions of their own, each
/// with its base and its line of `history`, so that nobody waits long for a row that a transaction
/// of ours has changed. What is left of them when the driver dies is found again by comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    pub apply: Vec<Apply>,
    pub bases: Vec<BaseWrite>,
    /// New rows that are about to be sent.
    pub inserting: Vec<Inserting>,
    /// The stamps of batches of new rows that have arrived: what was stored of their rows holds
    /// from now on, unless `bases` says otherwise.
    pub inserted: Vec<Stamp>,
    pub conflicts: Vec<Conflict>,
    /// Conflicts whose decision both sides now hold.
    pub settled_conflicts: Vec<i64>,
    pub problems: Vec<Problem>,
    /// Problems at these places are over.
    pub settled_problems: Vec<Place>,
    /// One line per change that reached its side, for `history`.
    pub history: Vec<HistoryLine>,
    /// Columns whose header a person renamed, with the text that it has now.
    pub headers: Vec<(usize, String)>,
    pub writing: Option<Announcement>,
}

/// What is stored with the mapping of batches that overwrite cells, so that whoever comes after a
/// crash finds out what became of them before planning anything. Given back in [`Index::writing`].
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    /// This batch is about to be sent, besides those announced before.
    Begins(Stamp),
    /// Of all batches announced so far everything is recorded, and what they overwrote is given
    /// back.
    Over,
}

/// One row's change to the table.
///
/// An insert or entry whose row does not satisfy `row_filter` is refused by the driver (SQLSTATE
/// 44000); an update may make a row leave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// Names the row to change.
    pub key: Key,
    /// The row's key afterwards, where the change is one of the key itself.
    pub new_key: Option<Key>,
    pub change: Change,
    /// What the sheet shows of this row now, all mapped columns. With the row that the table
    /// returns it makes the new base ([`Apply::base_after`]), which the driver must store in the
    /// same transaction.
    pub sheet: Vec<Cell>,
    /// The base before, for the columns that this change leaves alone.
    pub base: Option<Base>,
    /// Columns whose sheet cell this cycle has yet to write: their base stays as it was.
    pub owed: Vec<usize>,
    /// For `history`, where the change is [`Applied::Done`]; the driver leaves refused columns out.
    pub history: HistoryLine,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Column index and text as typed; columns not named take their default.
    Insert {
        values: Vec<(usize, Datum)>,
    },
    /// Refused as [`Applied::Stale`] where the row no longer equals `expected`.
    Update {
        values: Vec<(usize, Datum)>,
        expected: Vec<Datum>,
    },
    /// As an update of a row that does not satisfy `row_filter` and will: a person moved it here
    /// from another tab of the table. As with an insert, a cell that the table does not take
    /// refuses the whole row.
    Enter {
        values: Vec<(usize, Datum)>,
        expected: Vec<Datum>,
    },
    Delete {
        expected: Vec<Datum>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Done. `row` is what the table returned (`None` after a delete); `refused` are cells left out
    /// because Postgres does not take them: the others were applied.
    Done {
        row: Option<Vec<Datum>>,
        refused: Vec<(usize, Refusal)>,
    },
    /// The row changed between load and apply; its key is dirty again and nothing was done.
    Stale,
    /// A transaction of somebody else's holds the row, or something else that the change needs:
    /// nothing was done, and nobody waited.
    Locked,
    /// The row was to be deleted, and the table kept it: it stands there as `row`, with what the
    /// table's own triggers made of it. The driver has stored [`Apply::base_kept`].
    Kept { row: Vec<Datum> },
    /// Nothing of this row was applied: constraint, privilege, row-level security, trigger.
    Refused {
        cells: Vec<(usize, Refusal)>,
        row: Option<Refusal>,
    },
}

/// Postgres's own words on why it does not take something.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub sqlstate: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Refusal {
    /// Another row is in the way, or is still to come.
    pub fn is_about_other_rows(&self) -> bool {
        is_about_other_rows(&self.sqlstate)
    }
}

/// Foreign key, unique, exclusion constraint: what the table does not take now it may take when
/// another row has changed.
pub fn is_about_other_rows(sqlstate: &str) -> bool {
    matches!(sqlstate, "23503" | "23505" | "23P01")
}

/// A base row as it shall stand from now on, whether there was one or not; `row: None` removes it.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseWrite {
    pub key: Key,
    pub row: Option<StoredRow>,
}

impl BaseWrite {
    /// Nothing is agreed about the row any longer.
    pub(crate) fn gone(key: Key) -> Self {
        Self { key, row: None }
    }

    /// The row is to be looked at whatever it shows.
    pub(crate) fn to_look_at(key: Key, base: Base) -> Self {
        let row = Some(StoredRow::to_look_at(base));
        Self { key, row }
    }

    /// The same row in another state; nothing where it is to be removed.
    pub(crate) fn in_state(mut self, state: RowState) -> Self {
        if let Some(row) = &mut self.row {
            row.state = state;
        }
        self
    }

    /// The key as the sheet shows it, where that is not how the key would be written there: to be
    /// told by `ReadIndex`, so that a fresh engine knows the row again.
    pub fn typed(&self, mapping: &Mapping) -> Option<Key> {
        mapping.typed_otherwise(&self.key, &self.row.as_ref()?.base.sheet)
    }
}

/// A batch of new rows, stored before it is sent as they will stand when it has arrived: then
/// nothing of them need be written again. Until [`Commit::inserted`] names its stamp, it stands in
/// [`IndexEntry::inserting`]. A later [`BaseWrite`] takes its row out of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Inserting {
    pub stamp: Stamp,
    pub rows: Vec<BaseWrite>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    Database,
    Sheet,
    Function,
    /// `manual`: waits for `resolve()`.
    Pending,
}

/// Stored before the loser's value is overwritten, with `settled: false`, and sent once more with
/// `settled: true` when both sides hold the outcome. The same conflict met again (after a crash, or
/// to settle it) is the same line: the driver identifies it by mapping, key, column and both values
/// while it is not settled; a settled one that finds no line is stored as a new line.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    pub key: Key,
    /// `None` for a whole-row conflict (one side deleted what the other changed).
    pub column: Option<usize>,
    pub base: Option<Datum>,
    /// `None` where the row is absent on that side.
    pub database: Option<Datum>,
    pub sheet: Option<Cell>,
    /// The whole rows, for whole-row conflicts.
    pub rows: Option<Box<ConflictRows>>,
    pub database_time: Option<Timestamp>,
    /// The looks at the sheet between which its edit happened.
    pub sheet_time: Window,
    pub winner: Winner,
    /// Both values and the winner stand; nothing is left to do.
    pub settled: bool,
}

/// Between which two moments something happened; without a first one it is not known since when it
/// may have.
pub type Window = (Option<Timestamp>, Timestamp);

#[derive(Clone, Debug, PartialEq)]
pub struct ConflictRows {
    pub base: Option<Base>,
    pub database: Option<Vec<Datum>>,
    pub sheet: Option<Vec<Cell>>,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// `None` where the sheet row has no usable key.
    pub key: Option<Key>,
    /// 1-based row as a person sees it, where no key names it.
    pub sheet_row: Option<u32>,
    pub column: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub place: Place,
    /// The side that does not take the value.
    pub side: Side,
    /// A SQLSTATE, or Google's reason, or one of ours (`duplicate_key`, `missing_key`,
    /// `error_cell`, `too_long`).
    pub code: String,
    pub message: String,
    pub hint: String,
    pub retry_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HistoryLine {
    pub key: Key,
    /// The side that was changed.
    pub side: Side,
    pub operation: Operation,
    pub old: Vec<(usize, Datum)>,
    pub new: Vec<(usize, Datum)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}

// ------------------------------------------------------------------------------------------------------------------- sheet

/// The number format that a column is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnFormat {
    /// 0-based, of the sheet.
    pub at: u32,
    /// Of the mapping.
    pub column: usize,
    pub kind: Kind,
    pub give: Give,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Give {
    /// The column is new in the sheet.
    First,
    /// The one that it has is left from another kind, or from another wish of its owner's.
    Anew,
    /// The column is a person's: only cells that have none get one.
    WhereNone,
}

/// Each is one request to Google (`Read` may be two: values, and properties when they are not known
/// yet).
#[derive(Clone, Debug, PartialEq)]
pub enum SheetEffect {
    /// All values of the tab.
    Read,
    /// Put an anchor on each row and, where `read`, read these rows back, atomically; also put the
    /// sentinel on the tab's last row, and drop old anchors.
    Tag {
        rows: Vec<TagRow>,
        read: bool,
        /// By which a later batch notices that rows were inserted or deleted since.
        sentinel: MetadataId,
        tidy: Vec<MetadataId>,
    },
    /// Where these anchors stand now and what stands there, together with the header row: one look
    /// at a single moment.
    Look {
        header: u32,
        anchors: Vec<MetadataId>,
    },
    /// Every cell of the tab that holds a formula. Asked where it matters and not with every
    /// reading.
    Formulas,
    /// What stands in these rows: those of a mass that was tagged by one request are read part by
    /// part, when their turn comes.
    ReadRows { rows: Vec<u32> },
    /// What a reading of values does not tell of single cells (row and column), where that decides
    /// what a cell means. One request for as many as fit into one.
    Inspect { cells: Vec<(u32, u32)> },
    /// Write cells of tagged rows, in one atomic batch under a stamp; cells not named stay as they
    /// are. What the rows held right before is kept in the images and answered.
    Write {
        rows: Arc<[AnchoredRow]>,
        /// The anchors stay on their rows and are named in the images, so that what was written
        /// over can be given back to its row wherever that stands. Otherwise the batch drops them.
        keeps: bool,
        /// That of the request which tagged the rows.
        sentinel: MetadataId,
        images: Images,
        stamp: Stamp,
    },
    /// New rows: insertDimension + updateCells in one atomic batch under a stamp.
    Insert {
        at: u32,
        rows: Arc<[NewRow]>,
        stamp: Stamp,
        tidy: Vec<MetadataId>,
    },
    /// Delete rows, bottom-up, in one atomic batch under a stamp; the driver reports which anchors
    /// really went. What the rows held right before is kept in the images, whole rows, and
    /// answered.
    Delete {
        rows: Vec<TagRow>,
        sentinel: MetadataId,
        images: Images,
        stamp: Stamp,
        tidy: Vec<MetadataId>,
    },
    /// What the images hold: asked for where a batch arrived whose answer nobody saw.
    Images,
    /// Make the header: the tab grows to hold it, the cells are written, and the columns in
    /// `formats` get their number format below the header row (0-based).
    WriteHeader {
        row: u32,
        cells: Vec<(u32, String)>,
        formats: Vec<ColumnFormat>,
        stamp: Stamp,
    },
    /// Put tags on columns and read the header row back, atomically. A tag goes with its column
    /// wherever people move it, and tells it when its header reads otherwise. Refused where one of
    /// them does not stand where `from` says: a request that arrives late moves nothing.
    TagColumns { header: u32, tags: Vec<ColumnTag> },
    /// Where the tags of columns of these names stand.
    FindColumns { names: Vec<String> },
    /// Put notes on, or take our own notes off, cells of anchored rows.
    Annotate { notes: Vec<Note> },
    /// Every note of ours in the tab. Asked where one may stand on a cell that has no problem, and
    /// not with every reading.
    Notes,
    /// Create the stamp and nothing else, so that a batch whose answer was lost and that may still
    /// arrive late is either seen (`Stamped { ours: false }`) or can no longer apply (`Done`, or
    /// `Stamped { ours: true }` where it was closed before).
    Claim { stamp: Stamp },
    /// Remove every anchor of ours, by key: leftovers of a crash. Answered with the stamps that
    /// stand.
    TidyAll,
}

impl SheetEffect {
    /// That of the batch, where it is one that changes the sheet and may be applied once only.
    pub fn stamp(&self) -> Option<&Stamp> {
        match self {
            Self::Write { stamp, .. }
            | Self::Insert { stamp, .. }
            | Self::Delete { stamp, .. }
            | Self::WriteHeader { stamp, .. }
            | Self::Claim { stamp } => Some(stamp),
            _ => None,
        }
    }
}

/// Sheet column and value of each filled cell.
pub type NewRow = Vec<(u32, Cell)>;

/// A developer-metadata id: positive, unique in the spreadsheet, chosen by us.
pub type MetadataId = i32;

#[derive(Clone, Debug, PartialEq)]
pub struct TagRow {
    pub row: u32,
    /// Names the row in the answer.
    pub anchor: MetadataId,
    /// The row gets no anchor: it stands in a run of rows of which others have one. It is read back
    /// like any other.
    pub bare: bool,
}

/// The tag of a mapped column. Mappings of one tab that have a column of this name share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnTag {
    /// The column's name in the table.
    pub name: String,
    pub column: u32,
    /// Where the tag stands now; `None` where there is none.
    pub from: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AnchoredRow {
    pub anchor: MetadataId,
    /// As in [`TagRow::bare`]. Such a row is written only while every anchor of the batch stands
    /// where it was put, and what stands in its place by then, if it moved among its neighbours, is
    /// told by its image.
    pub bare: bool,
    /// Where it was tagged; it is written wherever it stands by then.
    pub row: u32,
    /// Sheet column and value; `Cell::Empty` empties the cell.
    pub cells: Vec<(u32, Cell)>,
}

/// Where a batch puts its before-images: rows of a hidden tab of ours, kept until the next batch
/// that begins at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The first image's place, counted from 0. Everything from there on is cleared.
    pub at: u32,
    /// Column of each mapped column: so much of the row an image shows at least, and it is kept
    /// with the image.
    pub layout: Vec<u32>,
    /// Columns of the key, by which a row's image is told from another's.
    pub key: Vec<u32>,
}

/// Makes a structural batch apply at most once: its first request creates metadata with this id,
/// and Google refuses the whole batch where the id is in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    pub id: MetadataId,
    /// Stored as the metadata's value; tells our own stamp from another writer's.
    pub value: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub anchor: MetadataId,
    pub column: u32,
    /// `None` removes the note, where it is ours.
    pub text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Annotated {
    /// As asked, or a person's note is there and stays.
    Done,
    /// The note was to go, and no note of ours is there.
    Absent,
    /// The row is gone, or moved while its notes were looked at: nothing was written.
    Moved,
    /// It was written, and on another row: its own went in that very moment.
    Stray,
}

/// A note of ours in the sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingNote {
    pub row: u32,
    pub column: u32,
    /// As in [`Note::text`].
    pub text: String,
}

#[derive(Debug)]
pub enum SheetOutcome {
    Snapshot(Snapshot),
    /// One entry per anchor. An anchor that is missing could not be placed. Empty where they were
    /// not to be read.
    Tagged(Vec<SeenRow>),
    Formulas(Vec<Formula>),
    Seen(Look),
    /// One entry per row asked, in that order: its cells from column 0; trailing empty cells may be
    /// absent.
    Rows(Vec<Vec<Cell>>),
    /// One entry per cell asked, in that order.
    Inspected(Vec<CellDetail>),
    /// One entry per anchor; one that is missing has lost its row.
    Written(Vec<WrittenRow>),
    /// What the inserted rows show now, in the order sent.
    Inserted(Vec<Vec<Cell>>),
    /// The stamp's id was in use already: with the very value that we sent (`ours`), or with
    /// another.
    Stamped {
        ours: bool,
    },
    Deleted(Deleted),
    /// The header row as it stood when its columns were tagged.
    Header(Vec<Cell>),
    /// The tags found, by name, with the columns they stand on.
    Columns(Vec<(String, u32)>),
    Images(Vec<Image>),
    /// One entry per note asked, in that order.
    Annotated(Vec<Annotated>),
    Notes(Vec<StandingNote>),
    /// The ids of stamps that stand in the spreadsheet, whoever put them there.
    Tidied(Vec<MetadataId>),
    Done,
}

/// A row as it stood when it was tagged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenRow {
    pub anchor: MetadataId,
    /// From column 0; trailing empty cells may be absent.
    pub cells: Vec<Cell>,
    /// Its cells that nobody typed, by their sheet columns.
    pub computed: Vec<(u32, Computed)>,
}

/// Whose a cell's content is that nobody typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// The cell holds a formula.
    Here,
    /// A formula in another cell fills it: an array that spilled.
    Elsewhere,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    pub row: u32,
    pub column: u32,
    /// With its leading `=`.
    pub text: Text,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WrittenRow {
    pub anchor: MetadataId,
    /// Where it stood when it was written.
    pub row: u32,
    /// False where the anchor was gone by then: its row was deleted, and what was written is
    /// another one in its place.
    pub stood: bool,
    /// The row's cells from column 0 right before the write; `None` where there is no image of it.
    pub before: Option<Vec<Cell>>,
    /// What it shows now, from column 0, as far as columns are mapped.
    pub after: Vec<Cell>,
}

/// Cells from column 0; trailing empty cells may be absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    pub header: Vec<Cell>,
    /// An anchor that is missing has lost its row.
    pub rows: Vec<(MetadataId, u32, Vec<Cell>)>,
}

/// A row as it was right before a batch of ours changed it, and right after; from column 0,
/// trailing empty cells may be absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// [`Stamp::value`] of the batch.
    pub stamp: String,
    /// As in [`Images::layout`].
    pub layout: Vec<u32>,
    /// The row's own, where the batch left it there.
    pub anchor: Option<MetadataId>,
    pub before: Vec<Cell>,
    /// Empty where the row was deleted.
    pub after: Vec<Cell>,
}

#[derive(Debug, Default)]
pub struct Deleted {
    /// Anchors whose rows are gone, as asked.
    pub gone: Vec<MetadataId>,
    /// Anchors that stand on another row by now: their rows are still there.
    pub moved: Vec<MetadataId>,
    /// True where another row than the one asked for may have gone (the service cannot tell): the
    /// engine reads the tab and puts back what is missing.
    pub suspect: bool,
    /// The rows that went, as they were right before, from column 0; absent where there is no
    /// image.
    pub before: Vec<(MetadataId, Vec<Cell>)>,
}

/// One read of a tab's values.
#[derive(Debug)]
pub struct Snapshot {
    /// When the request was sent and when its answer was whole.
    pub sent_at: Timestamp,
    pub read_at: Timestamp,
    pub grid_rows: u32,
    pub grid_columns: u32,
    /// Row 0 first, each a JSON array in Google's bytes; trailing empty rows are absent.
    pub rows: Vec<Box<serde_json::value::RawValue>>,
}

/// The mapping as the engine needs it while an [`Apply`] is carried out.
impl Apply {
    /// The base that the driver stores in the transaction in which the table returned `row`, with
    /// its hash; see [`crate::cycle`]. It stands under the key that the table returned, which a
    /// trigger may have made of the one that was sent; the driver then removes the base under
    /// [`Apply::key`] in the same transaction.
    pub fn base_after(
        &self,
        mapping: &Mapping,
        row: Option<&[Datum]>,
        refused: &[usize],
    ) -> BaseWrite {
        crate::reconcile::base_after(mapping, self, row, refused)
    }

    /// What the driver stores in the transaction in which the table kept the row that was to be
    /// deleted: it comes back to the sheet.
    pub fn base_kept(&self, mapping: &Mapping) -> BaseWrite {
        BaseWrite {
            key: self.key.clone(),
            row: Some(StoredRow::to_insert(mapping.columns.len())),
        }
    }
}
