//! The static description of a mapping: one table tied to one tab.

use crate::zone::Zone;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Database,
    Sheet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Both,
    ToSheet,
    FromSheet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    LastWriteWins,
    DatabaseWins,
    SheetWins,
    /// The cell stays as it is on both sides and pends in `conflict` until `resolve()` decides.
    Manual,
    /// The mapping's `conflict_function` gives the merged row.
    Function,
}

/// What a row deleted in the table does to its sheet row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTableDelete {
    DeleteRow,
    /// The mapped cells are emptied, the row stays.
    Clear,
    Keep,
}

/// What a row deleted in the sheet does to its table row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSheetDelete {
    Delete,
    Keep,
}

/// How a column's values travel (docs/values.md). Everything without a codec of its own travels as
/// text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    /// int2, int4, int8 (beyond ±2^53 as text).
    Integer,
    Float4,
    Float8,
    Numeric,
    Date,
    Time,
    Timestamp,
    /// Shown in the spreadsheet's time zone.
    TimestampTz,
    /// Travels as text, and as a number in cells that hold durations.
    Interval,
    Json,
    Array,
    /// Text that Postgres reads and prints in a form of its own: uuid, enum, inet and their like.
    Printed,
    Text,
}

/// By what two keys are known to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEquality {
    /// Equal keys are printed alike: integers, dates, texts under an ordinary collation.
    ByText,
    /// Only the operator of the key's index tells: numeric 1.5 and 1.50, citext, collations that
    /// ignore case.
    ByOperator,
}

/// In which order the spreadsheet's locale writes a date of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    MonthFirst,
    DayFirst,
    YearFirst,
}

impl DateOrder {
    /// Of a locale such as `de_DE`.
    pub fn of_locale(locale: &str) -> Self {
        let (language, country) = locale.split_once(['_', '-']).unwrap_or((locale, ""));
        match (language, country) {
            ("" | "en", "" | "US") | ("es", "PR") | ("fil", _) => Self::MonthFirst,
            ("ja" | "zh" | "ko" | "hu" | "lt" | "sv" | "mn" | "eu" | "fa", _) | (_, "CA") => {
                Self::YearFirst
            }
            _ => Self::DayFirst,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name in the table.
    pub name: String,
    /// The text of the header cell.
    pub header: String,
    pub kind: Kind,
    pub nullable: bool,
    /// A finished cycle has seen the column's header in the sheet. A known header that is missing
    /// stops the mapping; one that is not known yet (a column that was just added) is written to
    /// the right of the others.
    pub header_known: bool,
    /// Its kind has changed, and its cells still have the number format of the one before.
    pub reformat: bool,
    /// A missing value on insert is filled by the database (default, identity, serial).
    pub has_default: bool,
    /// False for generated columns: their value is pushed and never applied.
    pub writable: bool,
    pub direction: Direction,
    /// Overrides the mapping's policy.
    pub policy: Option<Policy>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The tab's id, where it is known: stamps are of the whole spreadsheet, of which other
    /// mappings may have other tabs.
    pub sheet_id: Option<i64>,
    pub columns: Vec<Column>,
    /// Indexes into `columns`, in key order; never empty.
    pub key: Vec<usize>,
    pub key_equality: KeyEquality,
    /// True where every key column has a default, so that a row typed without a key can be given
    /// one.
    pub key_generated: bool,
    /// 1-based row of the header.
    pub header_row: u32,
    /// The text with which the footer begins, where the owner named one: no row from there on is
    /// data.
    pub footer: Option<String>,
    pub direction: Direction,
    pub policy: Policy,
    /// In a merge in which a person said that one side's rows are all that counts: this one's.
    pub winner: Option<Side>,
    /// Who wins under `LastWriteWins` when the times cannot tell.
    pub tie: Side,
    pub on_table_delete: OnTableDelete,
    pub on_sheet_delete: OnSheetDelete,
    pub max_delete_percent: f32,
    /// Below this many deleted rows the percentage does not apply.
    pub max_delete_rows: u32,
    pub has_row_filter: bool,
    pub notes_on_problems: bool,
    /// The spreadsheet's time zone.
    pub time_zone: Zone,
    /// How its locale writes dates.
    pub date_order: DateOrder,
    /// Bytes that one write request may have (Google recommends 2 MB).
    pub max_request_bytes: usize,
    /// In a long run of neighbouring rows one in so many has an anchor of its own, where
    /// before-images are kept; 1 for every row.
    pub anchors_apart: u32,
}

impl Column {
    /// A plain column as `register_table` adds it: its header is its name, it may be NULL, and it
    /// is synced both ways.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            header: name.to_owned(),
            kind,
            nullable: true,
            header_known: true,
            reformat: false,
            has_default: false,
            writable: true,
            direction: Direction::Both,
            policy: None,
        }
    }
}

impl Mapping {
    /// With the defaults of `register_table` (sql/catalog.sql), of a table whose key is its first
    /// column and of the first tab of its spreadsheet.
    pub fn new(columns: Vec<Column>) -> Self {
        Self {
            sheet_id: Some(0),
            columns,
            key: vec![0],
            key_equality: KeyEquality::ByText,
            key_generated: false,
            header_row: 1,
            footer: None,
            direction: Direction::Both,
            policy: Policy::LastWriteWins,
            winner: None,
            tie: Side::Database,
            on_table_delete: OnTableDelete::DeleteRow,
            on_sheet_delete: OnSheetDelete::Delete,
            max_delete_percent: 50.0,
            max_delete_rows: 20,
            has_row_filter: false,
            notes_on_problems: true,
            time_zone: Zone::UTC,
            date_order: DateOrder::MonthFirst,
            max_request_bytes: 2_000_000,
            anchors_apart: 16,
        }
    }

    /// Whether the column's database value is ever written to the sheet.
    pub fn pushes(&self, column: usize) -> bool {
        let direction = self
            .columns
            .get(column)
            .map_or(Direction::Both, |column| column.direction);
        self.direction != Direction::FromSheet && direction != Direction::FromSheet
    }

    /// Whether the column's cell is ever applied to the table.
    pub fn pulls(&self, column: usize) -> bool {
        self.columns
            .get(column)
            .is_some_and(|column| column.writable && column.direction != Direction::ToSheet)
            && self.direction != Direction::ToSheet
    }

    /// The policy for conflicts in one column.
    pub fn policy_of(&self, column: usize) -> Policy {
        let own = self.columns.get(column).and_then(|column| column.policy);
        match (self.winner, own) {
            (None, Some(policy)) => policy,
            _ => self.policy_of_rows(),
        }
    }

    /// The policy for conflicts of whole rows.
    pub fn policy_of_rows(&self) -> Policy {
        match self.winner {
            Some(Side::Database) => Policy::DatabaseWins,
            Some(Side::Sheet) => Policy::SheetWins,
            None => self.policy,
        }
    }
}

/// What people call a 0-based column of a sheet: A, B, …, Z, AA.
pub fn column_letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        letters.push(b'A' + ((rest - 1) % 26) as u8);
        rest = (rest - 1) / 26;
    }
    letters
        .iter()
        .rev()
        .map(|letter| char::from(*letter))
        .collect()
}
