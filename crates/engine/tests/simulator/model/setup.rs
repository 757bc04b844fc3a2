//! What a schedule plays on: the table, the sheet's layout, the mapping's settings. All of it
//! follows from a few scalars, so that a failing schedule prints as a few lines and shrinks by
//! making them smaller.

use super::values::{canonical, shown};
use engine::cost;
use engine::mapping::{
    Column, Direction, KeyEquality, Kind, Mapping, OnSheetDelete, OnTableDelete, Policy, Side,
};
use engine::value::{Cell, Datum, Key, Text};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    None,
    /// On a column that the sheet does not have.
    Listed,
    /// On the mapped column `live`; and what that leaves over, for a second tab.
    Live,
    NotLive,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    /// The key is (shop, nr) instead of id.
    pub composite: bool,
    pub generated: bool,
    /// Keys are texts that are compared whatever their case: each key has two spellings.
    pub ignores_case: bool,
    /// Bits: 1 qty, 2 price, 4 live, 8 day, 16 code, 32 size (a formula column, pulled only).
    pub columns: u8,
    /// 0: the mapped columns and nothing else. 1: notes before, a formula after. 2: reversed, in
    /// between, two rows above.
    pub layout: u8,
    pub direction: Direction,
    pub policy: Policy,
    /// Overrides the policy for `name`.
    pub name_policy: Option<Policy>,
    pub tie: Side,
    pub on_table_delete: OnTableDelete,
    pub on_sheet_delete: OnSheetDelete,
    pub max_delete_percent: u8,
    pub max_delete_rows: u8,
    pub filter: Filter,
    /// Rows whose number is even are referred to from elsewhere: they cannot be deleted.
    pub pinned: bool,
    /// And where somebody deletes one, a trigger keeps it instead of raising an error.
    pub keeps: bool,
    /// A trigger puts `code` in upper case.
    pub upper: bool,
    /// `qty` is NOT NULL: only in scenarios.
    pub qty_required: bool,
    /// A new row with a cell that Postgres refuses is inserted without the cell, not refused.
    pub insert_leaves_out: bool,
    /// Rows that stand on both sides before the first cycle; rows only in the table; rows only in
    /// the sheet.
    pub common_rows: u8,
    pub table_rows: u8,
    pub sheet_rows: u8,
    /// How many of the common rows differ.
    pub differing: u8,
    /// False: the tab is empty, without a header.
    pub header: bool,
    /// How many keys one request has room for; 0 for as many as there are.
    pub request_rows: u8,
    /// One in so many rows of a run has an anchor.
    pub anchors_apart: u8,
}

impl Setup {
    pub const PLAIN: Setup = Setup {
        composite: false,
        generated: false,
        ignores_case: false,
        columns: 1,
        layout: 0,
        direction: Direction::Both,
        policy: Policy::LastWriteWins,
        name_policy: None,
        tie: Side::Database,
        on_table_delete: OnTableDelete::DeleteRow,
        on_sheet_delete: OnSheetDelete::Delete,
        max_delete_percent: 50,
        max_delete_rows: 20,
        filter: Filter::None,
        pinned: false,
        keeps: false,
        upper: false,
        qty_required: false,
        insert_leaves_out: false,
        common_rows: 2,
        table_rows: 0,
        sheet_rows: 0,
        differing: 0,
        header: true,
        request_rows: 0,
        anchors_apart: 1,
    };

    pub fn mapping(&self) -> Mapping {
        let both = Direction::Both;
        let column = |name: &str, kind, nullable, direction| Column {
            header: heading(name),
            nullable,
            header_known: false,
            direction,
            ..Column::new(name, kind)
        };
        let mut columns = if self.composite {
            vec![
                column("shop", Kind::Text, false, both),
                column("nr", Kind::Integer, false, both),
            ]
        } else {
            let kind = match self.ignores_case {
                true => Kind::Text,
                false => Kind::Integer,
            };
            vec![Column {
                has_default: self.generated,
                ..column("id", kind, false, both)
            }]
        };
        let key = (0..columns.len()).collect();
        columns.push(Column {
            policy: self.name_policy,
            ..column("name", Kind::Text, false, both)
        });
        let optional = [
            column("qty", Kind::Integer, !self.qty_required, both),
            column("price", Kind::Numeric, true, both),
            column("live", Kind::Boolean, true, both),
            column("day", Kind::Date, true, both),
            column("code", Kind::Text, true, both),
            column("size", Kind::Integer, true, Direction::FromSheet),
        ];
        let chosen = optional
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| self.columns >> bit & 1 == 1);
        columns.extend(chosen.map(|(_, column)| column));
        Mapping {
            key,
            key_equality: match self.ignores_case {
                true => KeyEquality::ByOperator,
                false => KeyEquality::ByText,
            },
            key_generated: self.generated && !self.composite,
            header_row: self.rows_above() as u32 + 1,
            direction: self.direction,
            policy: self.policy,
            tie: self.tie,
            on_table_delete: self.on_table_delete,
            on_sheet_delete: self.on_sheet_delete,
            max_delete_percent: f32::from(self.max_delete_percent),
            max_delete_rows: u32::from(self.max_delete_rows),
            has_row_filter: self.filter != Filter::None,
            notes_on_problems: false,
            anchors_apart: self.anchors_apart.into(),
            max_request_bytes: match self.request_rows {
                0 => 2_000_000,
                rows => cost::ENVELOPE + usize::from(rows) * (cost::TAG + cost::DROP),
            },
            ..Mapping::new(columns)
        }
    }

    pub fn rows_above(&self) -> usize {
        if self.layout == 2 { 2 } else { 0 }
    }

    /// The key that a schedule means by a number.
    pub fn key(&self, number: u8) -> Key {
        if self.composite {
            let shop = if number.is_multiple_of(2) {
                "north"
            } else {
                "south"
            };
            Key::from_iter([shop.to_owned(), (number / 2).to_string()])
        } else if self.ignores_case {
            // Of those that people choose from each has its other spelling among them.
            let spelled = match number {
                7..14 => format!("K{}", number - 7),
                _ => format!("k{number}"),
            };
            Key::from_iter([spelled])
        } else {
            Key::from_iter([number.to_string()])
        }
    }
}

fn heading(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

impl fmt::Display for Setup {
    /// As Rust, naming what is not plain.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let plain = Setup::PLAIN;
        write!(out, "Setup {{ ")?;
        macro_rules! field {
            ($($name:ident $path:literal),* $(,)?) => {$(
                if self.$name != plain.$name {
                    write!(out, concat!(stringify!($name), ": ", $path, "{:?}, "), self.$name)?;
                }
            )*};
        }
        field!(composite "", generated "", ignores_case "", columns "", layout "", direction "Direction::", policy "Policy::");
        if let Some(policy) = self.name_policy {
            write!(out, "name_policy: Some(Policy::{policy:?}), ")?;
        }
        field!(
            tie "Side::", on_table_delete "OnTableDelete::", on_sheet_delete "OnSheetDelete::",
            max_delete_percent "", max_delete_rows "", filter "Filter::", pinned "", keeps "", upper "", qty_required "", insert_leaves_out "",
            common_rows "", table_rows "", sheet_rows "", differing "", header "", request_rows "", anchors_apart "",
        );
        write!(out, "..Setup::PLAIN }}")
    }
}

/// What somebody puts into a cell, whatever its column holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A value of the column's type; different numbers give different values (except in a boolean
    /// column).
    Num(u16),
    Nothing,
    /// Not of the column's type: only in the sheet.
    Bad,
    /// Of the type, and against a CHECK constraint.
    Illegal,
    /// Legal and awkward.
    Odd(u8),
}

const ODD_TEXTS: [&str; 8] = [
    "007",
    "=1+1",
    "'quoted",
    "+49 30",
    "TRUE",
    " spaced ",
    "two\nlines",
    "naïve 😀",
];
const ODD_NUMERICS: [&str; 4] = ["1.50", "12345678901234567890.123456789", "-0.10", "1000000"];

impl Value {
    pub fn datum(self, kind: Kind) -> Datum {
        let text = match (self, kind) {
            (Value::Nothing, _) => return None,
            (Value::Bad, _) => return Value::Num(999).datum(kind),
            (Value::Illegal, Kind::Integer) => "-1".into(),
            (Value::Illegal, Kind::Text) => "forbidden".into(),
            (Value::Illegal, _) => return Value::Num(998).datum(kind),
            (Value::Odd(n), Kind::Text) => ODD_TEXTS[usize::from(n) % ODD_TEXTS.len()].into(),
            (Value::Odd(n), Kind::Numeric) => {
                ODD_NUMERICS[usize::from(n) % ODD_NUMERICS.len()].into()
            }
            (Value::Odd(n), Kind::Integer) if n % 2 == 0 => "9007199254740993".into(),
            (Value::Odd(_), Kind::Date) => "1850-06-01".into(),
            (Value::Odd(n), _) => return Value::Num(n.into()).datum(kind),
            (Value::Num(n), Kind::Integer) => n.to_string(),
            (Value::Num(n), Kind::Numeric) => format!("{n}.5"),
            (Value::Num(n), Kind::Boolean) => if n % 2 == 0 { "t" } else { "f" }.into(),
            (Value::Num(n), Kind::Date) => {
                let start = chrono::NaiveDate::from_ymd_opt(2020, 1, 1).expect("a date");
                (start + chrono::Days::new(n.into())).to_string()
            }
            (Value::Num(n), _) => format!("t{n}"),
        };
        Some(Text::from(text))
    }

    pub fn cell(self, kind: Kind) -> Cell {
        match (self, kind) {
            (Value::Bad, Kind::Text) => Cell::Number(999.0),
            (Value::Bad, _) => Cell::Text("#REF!".into()),
            // Typed as text where a number was meant.
            (Value::Odd(n), Kind::Integer) if n % 2 == 1 => Cell::Text(format!(" 0{n}").into()),
            _ => shown(kind, &self.datum(kind)),
        }
    }
}

/// The table's row that a number stands for, with `name` and the rest from `value`.
pub fn row_of(setup: &Setup, mapping: &Mapping, key: u8, value: Value) -> Vec<Datum> {
    let key = setup.key(key);
    let datum =
        |index: usize, column: &Column| match mapping.key.iter().position(|&part| part == index) {
            Some(part) => Some(key.0[part].clone()),
            None if column.direction == Direction::FromSheet => None,
            None if column.name == "code" => value
                .datum(column.kind)
                .map(|code| format!("{code}-{}", key.0.join("-")).into()),
            None => match value.datum(column.kind) {
                None if !column.nullable => Some("".into()),
                datum => datum,
            },
        };
    mapping
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| datum(index, column))
        .collect()
}

/// A key as the table would print it, from the cells that a person has typed.
pub fn key_of_cells(mapping: &Mapping, cells: &[Cell]) -> Option<Key> {
    let part = |&index: &usize| {
        let datum = super::values::meaning(mapping.columns[index].kind, true, &cells[index])??;
        canonical(mapping.columns[index].kind, &datum).ok()
    };
    let key = mapping.key.iter().map(part).collect::<Option<Key>>();
    key.map(|key| identity(mapping, &key))
}

/// What a row is called by the model, in whatever spelling its key is.
pub fn key_of_row(mapping: &Mapping, row: &[Datum]) -> Key {
    identity(mapping, &spelling_of_row(mapping, row))
}

/// Its key as the table prints it.
pub fn spelling_of_row(mapping: &Mapping, row: &[Datum]) -> Key {
    Key(mapping
        .key
        .iter()
        .map(|&index| row[index].clone().unwrap_or_default())
        .collect())
}

/// One for all spellings of a key.
pub fn identity(mapping: &Mapping, key: &Key) -> Key {
    match mapping.key_equality {
        KeyEquality::ByText => key.clone(),
        KeyEquality::ByOperator => key.0.iter().map(|part| part.to_lowercase()).collect(),
    }
}
