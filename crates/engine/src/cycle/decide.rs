//! What is to become of rows that have been read on both sides.

pub(crate) mod plan;
pub(crate) mod windows;
