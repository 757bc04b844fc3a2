//! The spreadsheet itself: pure data and rules, no HTTP, no clock, no files.

pub mod a1;
pub mod area;
pub mod cell;
pub mod conditions;
pub mod entered;
pub mod filters;
pub mod formats;
pub mod locale;
pub mod lookup;
pub mod mask;
pub mod metadata;
pub mod protection;
pub mod proto;
pub mod references;
pub mod render;
pub mod resolve;
pub mod sheet;
pub mod structure;
pub mod values;
pub mod view;
pub mod workbook;
