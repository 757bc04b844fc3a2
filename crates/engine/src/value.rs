//! What a row holds on each side.

use serde::{Deserialize, Serialize};

/// A database value in Postgres's text output; `None` is NULL.
pub type Datum = Option<String>;

/// One cell as Sheets shows it with UNFORMATTED_VALUE and SERIAL_NUMBER.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    Bool(bool),
    Number(f64),
    Text(String),
    /// JSON null in storage; the API shows an empty cell as `""`.
    Empty,
}

/// The key columns' values of a row in canonical text (Postgres's text output), in key-column order. Names a row on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(pub Vec<String>);

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// The last state on which both sides agreed, per mapped column in the mapping's order: what the database had and what
/// the sheet showed. Change is judged on each side against its own half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    pub database: Vec<Datum>,
    pub sheet: Vec<Cell>,
}
