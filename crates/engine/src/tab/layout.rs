//! Which sheet column belongs to which mapped column: by header text, wherever people move it.

use unicode_normalization::UnicodeNormalization;

use crate::mapping::Mapping;
use crate::value::Cell;

/// Sheet column of each mapped column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub columns: Vec<u32>,
}

impl Layout {
    /// The mapped cells of a whole row.
    pub(crate) fn mapped(&self, cells: &[Cell]) -> Vec<Cell> {
        self.columns
            .iter()
            .map(|column| cells.get(*column as usize).cloned().unwrap_or(Cell::Empty))
            .collect()
    }

    pub(crate) fn column(&self, column: usize) -> u32 {
        self.columns.get(column).copied().unwrap_or_default()
    }
}

/// What a header row says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Whole(Layout),
    /// These mapped columns have no header; the others stand where the layout says (missing ones as
    /// 0).
    Missing(Vec<usize>, Layout),
    /// This mapped column's header stands over several columns of the sheet.
    Doubled(usize, Vec<u32>),
    Blank,
}

pub(crate) fn find_columns(mapping: &Mapping, header: &[Cell]) -> Found {
    let texts: Vec<Option<String>> = header.iter().map(text).collect();
    if texts.iter().all(Option::is_none) {
        return Found::Blank;
    }
    let mut columns = Vec::with_capacity(mapping.columns.len());
    let mut missing = Vec::new();
    for (index, column) in mapping.columns.iter().enumerate() {
        let wanted = normal(&column.header);
        let exact = positions(&texts, |text| text == column.header);
        let alike = positions(&texts, |text| normal(text) == wanted);
        // Two mapped columns may differ in case only: each exact header then belongs to its own
        // column.
        let other = |at: &u32| {
            let text = texts
                .get(*at as usize)
                .and_then(Option::as_deref)
                .unwrap_or_default();
            mapping
                .columns
                .iter()
                .enumerate()
                .any(|(other, column)| other != index && column.header == text)
        };
        let alike: Vec<u32> = alike
            .into_iter()
            .filter(|at| exact.contains(at) || !other(at))
            .collect();
        match (exact.as_slice(), alike.as_slice()) {
            ([at], _) | ([], [at]) => columns.push(*at),
            ([], []) => {
                missing.push(index);
                columns.push(0);
            }
            ([], several) | (several, _) => return Found::Doubled(index, several.to_vec()),
        }
    }
    let layout = Layout { columns };
    if missing.is_empty() {
        Found::Whole(layout)
    } else {
        Found::Missing(missing, layout)
    }
}

/// What the columns `lost`, of those that are `missing`, are called now, told by where their tags
/// stand. `None` where one of them cannot be told: its tag is gone or stands over a blank, or what
/// stands there belongs to another column, or does not stand there alone.
pub(crate) fn renamed_headers(
    mapping: &Mapping,
    header: &[Cell],
    found: &Layout,
    missing: &[usize],
    lost: &[usize],
    tags: &[(String, u32)],
) -> Option<Vec<(usize, String)>> {
    let texts: Vec<Option<String>> = header.iter().map(text).collect();
    let taken = |at: u32| {
        let mut others = (0..mapping.columns.len()).filter(|column| !missing.contains(column));
        others.any(|column| found.column(column) == at)
    };
    let mut renamed: Vec<(usize, String)> = Vec::with_capacity(lost.len());
    for column in lost {
        let name = &mapping.columns.get(*column)?.name;
        let (_, at) = tags.iter().find(|(tagged, _)| tagged == name)?;
        let new = texts.get(*at as usize)?.clone()?;
        let wanted = normal(&new);
        let alone = positions(&texts, |text| normal(text) == wanted).len() == 1;
        // That of another column which is missing, too: nobody can tell which of the two it is.
        let claimed = mapping
            .columns
            .iter()
            .any(|other| normal(&other.header) == wanted);
        if taken(*at) || !alone || claimed {
            return None;
        }
        renamed.push((*column, new));
    }
    Some(renamed)
}

fn positions(texts: &[Option<String>], wanted: impl Fn(&str) -> bool) -> Vec<u32> {
    let hits = texts
        .iter()
        .zip(0u32..)
        .filter(|(text, _)| text.as_deref().is_some_and(&wanted));
    hits.map(|(_, at)| at).collect()
}

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Empty => None,
        Cell::Text(text) if text.trim().is_empty() => None,
        Cell::Text(text) => Some(text.trim().to_owned()),
        Cell::Number(value) => Some(format!("{value}")),
        Cell::Bool(value) => Some(value.to_string()),
    }
}

/// Case does not matter, nor in which of Unicode's forms an accent is written, and `_` is a blank.
fn normal(text: &str) -> String {
    let composed: String = text.nfc().collect();
    let words: Vec<&str> = composed
        .split(|letter: char| letter == '_' || letter.is_whitespace())
        .collect();
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}
