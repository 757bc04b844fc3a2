//! What our own writes overwrote goes back into the sheet.

pub(crate) mod audit;
pub(crate) mod overwritten;
