//! What a reading shows against what is remembered: which rows are as they were, changed, new,
//! missing, or known by another key.

pub(crate) mod classify;
pub(crate) mod diff;
pub(crate) mod doubt;
pub(crate) mod identity;
pub(crate) mod look_alike;
pub(crate) mod missing;
pub(crate) mod naming;
pub(crate) mod reading;
pub(crate) mod rekey;
pub(crate) mod rename;
pub(crate) mod respell;
pub(crate) mod totals;
