//! What a cycle asks of the tab, and the answers.

use std::sync::Arc;

use super::CellDetail;
use crate::mapping::Kind;
use crate::value::{Cell, Text, Timestamp};

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

/// Each is one request that changes anything, or none; some look at the tab before or after it.
#[derive(Clone, Debug, PartialEq)]
pub enum SheetEffect {
    /// All values of the tab.
    Read,
    /// Put an anchor on each row and, where `read`, read these rows back, atomically; also put the
    /// sentinel on the tab's last row, and drop old anchors.
    Tag {
        rows: Vec<TagRow>,
        read: bool,
        /// [`Sentinel::anchor`].
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
        /// The anchors stay on their rows and are named in the images, so that an overwritten edit
        /// can be restored in its row wherever that stands. Otherwise the batch drops them.
        keeps: bool,
        sentinel: Sentinel,
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
        sentinel: Sentinel,
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
    Annotate {
        notes: Vec<Note>,
        /// [`Sentinel::anchor`].
        sentinel: MetadataId,
    },
    /// Every note of ours in the tab. Asked where one may stand on a cell that has no problem, and
    /// not with every reading.
    Notes,
    /// Create the stamp and nothing else, with this value: `Done`, or `Stamped` where the id is in
    /// use. It is asked twice of a batch without an answer, with a value of our own and then with
    /// the batch's ([`crate::tab`] says what follows from the two answers).
    Claim { stamp: Stamp },
    /// Remove every anchor of ours, by key: leftovers of a crash. Answered with the stamps that
    /// stand on the tab.
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

/// An anchor on the tab's last row. Whatever row is inserted or deleted above it moves it, and so a
/// batch notices that, even where the anchor of the row itself is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentinel {
    pub anchor: MetadataId,
    /// Where it stands; `None` where that is not known, and it may be nowhere. Then it is looked
    /// for, and put on the last row where it does not stand below all rows of the batch.
    pub row: Option<u32>,
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

/// Makes a batch apply at most once: its first request creates metadata with this id,
/// and Google refuses the whole batch where the id is in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    pub id: MetadataId,
    /// Stored as the metadata's value; tells our own stamp from another writer's.
    pub value: String,
}

/// A stamp on the tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingStamp {
    pub id: MetadataId,
    /// By the clock of the machine that put it there.
    pub age_micros: i64,
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
    Tagged(TaggedRows),
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
    /// In the order of their rows in the hidden tab, where blank rows may stand between them, and
    /// the row below the last one.
    Images {
        images: Vec<Image>,
        end: u32,
    },
    /// One entry per note asked, in that order.
    Annotated(Vec<Annotated>),
    Notes(Vec<StandingNote>),
    /// The stamps that stand on the tab, whoever put them there.
    Tidied(Vec<StandingStamp>),
    Done,
}

#[derive(Debug, Default)]
pub struct TaggedRows {
    /// One entry per anchor. An anchor that is missing could not be placed. Empty where they were
    /// not to be read.
    pub rows: Vec<SeenRow>,
    /// [`Sentinel::row`].
    pub sentinel_row: Option<u32>,
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
