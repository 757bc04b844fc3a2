//! sheetd: a local server that speaks Google's Sheets v4, Drive v3 and OAuth token endpoints.
//!
//! `model` is the spreadsheet itself, without HTTP; `batch`, `change` and `edit` are what can
//! happen to it, pure and all-or-nothing; `store` keeps the spreadsheets; `http` is Google's side
//! of the wire and `control` our own.
//!
//! Ids such as G-META-1 in comments are facts about the real service; docs/google-sheets.md says
//! how each is known.

pub mod batch;
pub mod change;
pub mod control;
pub mod edit;
pub mod errors;
pub mod faults;
pub mod formulas;
pub mod http;
pub mod journal;
pub mod model;
pub mod options;
mod page;
pub mod server;
pub mod store;
pub mod undo;

pub use server::{Options, Server};
