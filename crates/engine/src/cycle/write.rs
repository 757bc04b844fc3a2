//! A few thousand rows at a time: apply to the table, write to the tab, record.

pub(crate) mod announce;
pub(crate) mod answered;
pub(crate) mod chunk;
pub(crate) mod closed;
pub(crate) mod isolate;
pub(crate) mod keys;
pub(crate) mod pieces;
pub(crate) mod record;
pub(crate) mod send;
pub(crate) mod tag;
