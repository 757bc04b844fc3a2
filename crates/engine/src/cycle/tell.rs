//! What people are told of what could not be done.

pub(crate) mod notes;
pub(crate) mod problems;
