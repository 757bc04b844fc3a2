//! What was done to a table and its sheet in a round, and what both hold.

use e2e::{Db, Sheet};
use std::collections::BTreeMap;
use std::fmt;

/// Columns of the sheet; the second belongs to people.
pub const HEADER: [&str; 4] = ["id", "remark", "name", "price"];
pub const REMARK: usize = 1;
pub const NAME: usize = 2;
pub const PRICE: usize = 3;
/// Those that both sides have besides the key.
pub const COMMON: [usize; 2] = [NAME, PRICE];

/// Name and price.
pub type Cells = [String; 2];
pub type Rows = BTreeMap<u32, Cells>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Database,
    Sheet,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Database => Side::Sheet,
            Side::Sheet => Side::Database,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Insert(Cells),
    /// A cell of this column of the sheet.
    Set(usize, String),
    Delete,
    Rekey(u32),
}

/// An edit that was carried out: a statement that found its row and was committed, or what a person
/// did to a row that they saw.
#[derive(Clone, Debug)]
pub struct Edit {
    pub side: Side,
    pub key: u32,
    pub what: What,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?} {}: {:?}", self.side, self.key, self.what)
    }
}

/// A row of the sheet as a person sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its number, counted from 1.
    pub at: usize,
    /// `None` for a blank row.
    pub key: Option<u32>,
    pub remark: String,
    pub cells: Cells,
}

/// A table's part of a round.
#[derive(Default)]
pub struct Round {
    /// Both sides when it began.
    pub before: Rows,
    pub remarks: BTreeMap<u32, String>,
    /// What was done since.
    pub edits: Vec<Edit>,
}

impl Round {
    /// How many rows this side has taken away, or given another key, in this round.
    pub fn removals(&self, side: Side) -> usize {
        let removes =
            |edit: &&Edit| edit.side == side && matches!(edit.what, What::Delete | What::Rekey(_));
        self.edits.iter().filter(removes).count()
    }
}

pub struct Table {
    pub name: String,
    pub sheet: Sheet,
    pub round: Round,
}

impl Table {
    pub fn shown(&self) -> Vec<Shown> {
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let rows = self.sheet.rows();
        let below_the_header = (1..).zip(&rows).skip(1);
        below_the_header
            .map(|(at, row)| Shown {
                at,
                key: cell(row, 0).parse().ok(),
                remark: cell(row, REMARK),
                cells: COMMON.map(|column| cell(row, column)),
            })
            .collect()
    }

    pub fn held(&self, db: &mut Db) -> Result<Rows, String> {
        let rows = db.attempt(&format!("SELECT id, name, price FROM {}", self.name))?;
        let row = |row: Vec<Option<String>>| {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || cells.next().unwrap_or_default();
            let key = next().parse().expect("the key is a number");
            (key, [next(), next()])
        };
        Ok(rows.into_iter().map(row).collect())
    }
}

/// The rows of a sheet by their keys, or what is wrong with them.
pub fn rows_of(shown: &[Shown]) -> Result<Rows, Vec<String>> {
    let mut rows = Rows::new();
    let mut wrong = Vec::new();
    for row in shown {
        match row.key {
            Some(key) => {
                if rows.insert(key, row.cells.clone()).is_some() {
                    wrong.push(format!("row {key} stands in the sheet twice"));
                }
            }
            None if row.remark.is_empty() && row.cells.iter().all(String::is_empty) => {}
            None => wrong.push(format!("a row without a key: {row:?}")),
        }
    }
    if wrong.is_empty() {
        Ok(rows)
    } else {
        Err(wrong)
    }
}
