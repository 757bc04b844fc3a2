//! The Google side: credentials and tokens, Sheets and Drive calls, what their refusals mean, and
//! the quota.
//!
//! Blocking, without Postgres and without state that threads share: everything here takes and gives
//! owned data, so that the extension can run it on a helper thread. [`sheet::Session`] carries out
//! the engine's [`engine::effect::SheetEffect`]s; the [`governor::Governor`] says when a request
//! may go out.
//!
//! Ids such as G-META-1 in comments are facts about Google's services: docs/google-sheets.md says
//! what each is, how it is known, and what tests it. Where it is not known, both answers are
//! handled.

pub mod answers;
pub mod argument;
pub mod auth;
pub mod client;
pub mod error;
pub mod governor;
mod mask;
pub mod range;
pub mod requests;
pub mod route;
pub mod sheet;
pub mod transport;

pub use argument::{Spreadsheet, resolve_spreadsheet};
pub use auth::{Credential, Identity, Secret};
pub use client::{Client, Options, sent_by_this_thread};
pub use error::Error;
pub use mask::mask;
pub use route::Route;
pub use sheet::{Session, Target};
