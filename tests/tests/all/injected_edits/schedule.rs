//! What happens in a step, chosen by a seed: changes in the database, and the edit of a person who
//! sees the sheet as it stands at that moment.

use e2e::Dice;
use std::collections::BTreeMap;

/// An edit of a cell that is about to be overwritten, or of a row that is about to be deleted, made
/// between the request that tags the row and the one that changes it, is lost without a trace. Off:
/// such edits are not made.
const EDITS_OF_TAGGED_CELLS: bool = true;

/// Columns of the sheet; the second belongs to people.
pub const HEADER: [&str; 4] = ["id", "remark", "name", "price"];
pub const REMARK: usize = 1;
pub const NAME: usize = 2;
pub const PRICE: usize = 3;

/// The mapped cells of a row besides its key: name and price.
pub type Cells = [String; 2];
pub type Rows = BTreeMap<u32, Cells>;

/// Values that occur once in a schedule, so that each can be traced.
#[derive(Default)]
pub struct Tokens(u32);

impl Tokens {
    fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }

    /// A value for this column of the sheet.
    pub fn cell(&mut self, column: usize, side: &str) -> String {
        let number = self.next();
        match column {
            PRICE => (100_000 + number).to_string(),
            _ => format!("{side}{number}."),
        }
    }

    pub fn key(&mut self) -> u32 {
        1_000 + self.next()
    }

    fn row(&mut self, side: &str) -> Cells {
        [self.cell(NAME, side), self.cell(PRICE, side)]
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Update {
        key: u32,
        cells: Vec<(usize, String)>,
    },
    Insert {
        key: u32,
        cells: Cells,
    },
    Delete {
        key: u32,
    },
    /// The other cells stay.
    Rekey {
        key: u32,
        to: u32,
    },
}

impl Change {
    /// The keys that it is about.
    pub fn keys(&self) -> Vec<u32> {
        match self {
            Change::Update { key, .. } | Change::Insert { key, .. } | Change::Delete { key } => {
                vec![*key]
            }
            Change::Rekey { key, to } => vec![*key, *to],
        }
    }

    /// Whether it takes a row of this key away.
    pub fn removes(&self, key: u32) -> bool {
        matches!(self, Change::Delete { key: gone } | Change::Rekey { key: gone, .. } if *gone == key)
    }

    pub fn sql(&self, table: &str) -> String {
        match self {
            Change::Update { key, cells } => {
                let set: Vec<String> = cells
                    .iter()
                    .map(|(column, value)| format!("{} = '{value}'", HEADER[*column]))
                    .collect();
                format!("UPDATE {table} SET {} WHERE id = {key};", set.join(", "))
            }
            Change::Insert {
                key,
                cells: [name, price],
            } => {
                format!("INSERT INTO {table} VALUES ({key}, '{name}', {price});")
            }
            Change::Delete { key } => format!("DELETE FROM {table} WHERE id = {key};"),
            Change::Rekey { key, to } => {
                format!("UPDATE {table} SET id = {to} WHERE id = {key};")
            }
        }
    }
}

/// One transaction of one to three changes, each of another row.
pub fn changes(dice: &mut Dice, tokens: &mut Tokens, rows: &Rows) -> Vec<Change> {
    let mut left: Vec<u32> = rows.keys().copied().collect();
    let mut changes = Vec::new();
    for _ in 0..=dice.below(3) {
        let kind = dice.below(10);
        let place = dice.below(left.len());
        changes.push(match kind {
            0 | 1 => Change::Insert {
                key: tokens.key(),
                cells: tokens.row("d"),
            },
            _ if left.is_empty() => continue,
            2 | 3 => Change::Delete {
                key: left.remove(place),
            },
            4 => {
                let key = left.remove(place);
                let to = tokens.key();
                Change::Rekey { key, to }
            }
            _ => {
                let key = left.remove(place);
                let columns: &[usize] = match dice.below(3) {
                    0 => &[NAME],
                    1 => &[PRICE],
                    _ => &[NAME, PRICE],
                };
                let cells = columns.iter().map(|c| (*c, tokens.cell(*c, "d")));
                Change::Update {
                    key,
                    cells: cells.collect(),
                }
            }
        });
    }
    changes
}

/// A row of the sheet as a person sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// `None` for a blank row.
    pub key: Option<u32>,
    pub remark: String,
    pub cells: Cells,
}

/// The rows below the header.
pub fn shown(rows: &[Vec<String>]) -> Vec<Shown> {
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    rows.iter()
        .skip(1)
        .map(|row| Shown {
            key: cell(row, 0).parse().ok(),
            remark: cell(row, REMARK),
            cells: [cell(row, NAME), cell(row, PRICE)],
        })
        .collect()
}

/// What a person does; rows are numbered as they see them.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    InsertBlank {
        at: usize,
    },
    Delete {
        at: usize,
        key: u32,
    },
    Sort {
        column: usize,
        ascending: bool,
    },
    Move {
        from: usize,
        to: usize,
    },
    Set {
        at: usize,
        key: u32,
        column: usize,
        value: String,
    },
    /// A whole row, into a line of its own above `at`, or below all others.
    Type {
        at: usize,
        key: u32,
        cells: Cells,
    },
}

/// What a person does who knows nothing of what goes on, and picks the rows where it does. `tagged`
/// is whether a request that may have tagged rows has passed.
pub fn edit(
    dice: &mut Dice,
    tokens: &mut Tokens,
    changes: &[Change],
    sheet: &[Shown],
    tagged: bool,
) -> Option<Edit> {
    // The header is row 1.
    let rows: Vec<(usize, &Shown, u32)> = (2..)
        .zip(sheet)
        .filter_map(|(at, row)| Some((at, row, row.key?)))
        .collect();
    let of_change = |key: u32| changes.iter().find(|change| change.keys().contains(&key));
    let (changed, others): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|(_, _, key)| of_change(*key).is_some());
    let places = |rows: &[&(usize, &Shown, u32)]| -> Vec<(usize, u32)> {
        rows.iter().map(|(at, _, key)| (*at, *key)).collect()
    };
    let (mut near, others) = (places(&changed), places(&others));
    if near.is_empty() {
        near.clone_from(&others);
    }
    let kind = dice.below(11);
    let (at, key) = dice.one(&near)?;
    let end = sheet.len() + 2;
    let edit = match kind {
        0 => Edit::InsertBlank { at },
        // Above, where that is a row of its own.
        1 => {
            let above = others.iter().rev().find(|(other, _)| *other < at);
            let (at, key) = above.copied().or_else(|| dice.one(&others))?;
            Edit::Delete { at, key }
        }
        2 => Edit::Sort {
            column: [0, NAME, PRICE][dice.below(3)],
            ascending: dice.below(2) == 0,
        },
        3 | 4 => Edit::Move {
            from: at,
            to: 2 + dice.below(sheet.len()),
        },
        5 => {
            let (at, key) = dice.one(&others)?;
            let column = [REMARK, NAME, PRICE][dice.below(3)];
            Edit::Set {
                at,
                key,
                column,
                value: tokens.cell(column, "s"),
            }
        }
        6 | 7 => {
            let column = [REMARK, NAME, PRICE, NAME, PRICE][dice.below(5)];
            Edit::Set {
                at,
                key,
                column,
                value: tokens.cell(column, "s"),
            }
        }
        8 => Edit::Delete { at, key },
        _ => Edit::Type {
            at: if dice.below(2) == 0 { at } else { end },
            key: tokens.key(),
            cells: tokens.row("s"),
        },
    };
    let row = sheet.iter().find(|row| row.key == Some(key));
    let stands_to_lose = match (&edit, of_change(key), row) {
        (Edit::Set { column, .. }, Some(Change::Update { cells, .. }), Some(row)) => cells
            .iter()
            .any(|(changed, value)| changed == column && row.cells[column - NAME] != *value),
        (Edit::Set { .. }, Some(Change::Delete { .. }), _) => true,
        (Edit::Set { .. }, Some(Change::Rekey { key: old, .. }), _) => *old == key,
        _ => false,
    };
    (EDITS_OF_TAGGED_CELLS || !tagged || !stands_to_lose).then_some(edit)
}
