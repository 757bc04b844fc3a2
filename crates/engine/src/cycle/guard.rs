//! What is counted before anything is applied, and where a cycle stops to ask.

pub(crate) mod bulk_changes;
pub(crate) mod deletions;
pub(crate) mod moving_keys;
pub(crate) mod preview;
