//! Three-way reconcile (design §6).

use crate::effect::{Apply, BaseWrite};
use crate::mapping::Mapping;
use crate::value::{Base, Datum};

pub(crate) fn base_after(
    _mapping: &Mapping,
    apply: &Apply,
    row: Option<&[Datum]>,
    _refused: &[usize],
) -> BaseWrite {
    BaseWrite {
        key: apply.key.clone(),
        base: row.map(|row| Base {
            database: row.to_vec(),
            sheet: apply.sheet.clone(),
        }),
        sheet_hash: 0,
    }
}
