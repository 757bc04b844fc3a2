//! What the tab holds, and whose it is.

pub(crate) mod columns;
pub(crate) mod formula_text;
pub(crate) mod formulas;
pub(crate) mod grid;
pub(crate) mod header;
pub(crate) mod inspect;
pub(crate) mod references;
pub(crate) mod whole;
