//! What a row holds on each side.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// A piece of text that costs nothing to copy: short ones lie in place, long ones are shared. A
/// value is copied at each of its stations: loaded, planned, sent, shown, recorded.
pub type Text = smol_str::SmolStr;

/// A database value in Postgres's text output; `None` is NULL.
pub type Datum = Option<Text>;

/// One cell as Sheets shows it with UNFORMATTED_VALUE and SERIAL_NUMBER.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Bool(bool),
    Number(f64),
    Text(Text),
    /// JSON null in storage; the API shows an empty cell as `""`.
    Empty,
}

/// The key columns' values of a row in canonical text (Postgres's text output), in key-column
/// order. Names a row on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(pub SmallVec<[Text; 1]>);

impl<T: Into<Text>> FromIterator<T> for Key {
    fn from_iter<I: IntoIterator<Item = T>>(parts: I) -> Self {
        Self(parts.into_iter().map(Into::into).collect())
    }
}

impl Key {
    /// As a person reads it.
    pub(crate) fn shown(&self) -> String {
        self.0.join(", ")
    }
}

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The first moment that is so many milliseconds later.
    pub fn after(self, milliseconds: u64) -> Self {
        let microseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
        Self(
            self.0
                .saturating_add(microseconds.saturating_mul(1_000).max(1)),
        )
    }
}

/// The last state on which both sides agreed, per mapped column in the mapping's order: what the
/// database had and what the sheet showed. Change is judged on each side against its own half.
///
/// A half without any columns says that both sides agree that the row is absent there
/// (`on_sheet_delete = keep`, `on_table_delete = keep`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    pub database: Vec<Datum>,
    pub sheet: Vec<Cell>,
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Bool(value) => serializer.serialize_bool(*value),
            // People read these in `conflict`: 20, not 20.0.
            Cell::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
                serializer.serialize_i64(*value as i64)
            }
            Cell::Number(value) => serializer.serialize_f64(*value),
            Cell::Text(value) => serializer.serialize_str(value),
            Cell::Empty => serializer.serialize_unit(),
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl Visitor<'_> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a cell: boolean, number, text or null")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
        Ok(Cell::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
        Ok(if value.is_empty() {
            Cell::Empty
        } else {
            Cell::Text(value.into())
        })
    }

    fn visit_string<E>(self, value: String) -> Result<Cell, E> {
        Ok(if value.is_empty() {
            Cell::Empty
        } else {
            Cell::Text(value.into())
        })
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Empty)
    }
}
