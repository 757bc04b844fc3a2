//! A model of everything around the engine: a table, a sheet, the people who edit both, the driver, and a ledger that
//! holds the engine to its promises.

pub mod database;
pub mod ledger;
pub mod settled;
pub mod setup;
pub mod sheet;
pub mod values;
pub mod world;

/// A promise that was broken, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation(pub String);

pub type Verdict<T = ()> = Result<T, Violation>;

pub fn broken<T>(words: impl Into<String>) -> Verdict<T> {
    Err(Violation(words.into()))
}
