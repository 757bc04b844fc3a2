//! What pg_dump asks for the mappings, as whatever role it runs.

use pgrx::iter::SetOfIterator;
use pgrx::prelude::*;

use super::as_owner;
use crate::postgres::fields::Fields;

#[pg_extern(sql = false)]
fn lines_to_dump() -> SetOfIterator<'static, String> {
    let lines = as_owner("SELECT sheet_sync._lines_for($1)", Vec::new());
    SetOfIterator::new(lines.into_iter().map(|row| Fields::of(row).text()))
}
