//! What our own writes overwrote goes back into the sheet.

pub(crate) mod audit;
pub(crate) mod lost_rows;
pub(crate) mod overwritten;
