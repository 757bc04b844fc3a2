//! What a person does in the page: typing, and moving rows, columns and tabs about.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::batch::{self, Context};
use crate::errors::{ApiError, ApiResult};
use crate::model::a1;
use crate::model::area::{Area, Axis};
use crate::model::structure::Shift;
use crate::model::values::{InputOption, Nulls, Writer};
use crate::model::workbook::Workbook;

/// One action in one tab; `sheet` is a title or an id, the first tab where it is absent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edit {
    #[serde(default)]
    pub sheet: Option<Json>,
    pub edit: Action,
}

/// Rows and columns count as people count them, from 1; columns may be letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Parsed as typing is.
    Set {
        cell: String,
        value: Json,
    },
    SetRaw {
        cell: String,
        value: Json,
    },
    /// A block of values typed or pasted from this cell on.
    SetRange {
        cell: String,
        values: Vec<Vec<Json>>,
    },
    Clear(String),
    Note {
        cell: String,
        note: String,
    },
    InsertRows {
        at: Place,
        #[serde(default = "one")]
        count: u32,
        #[serde(default)]
        values: Vec<Vec<Json>>,
    },
    DeleteRows {
        at: Place,
        #[serde(default = "one")]
        count: u32,
    },
    MoveRows {
        from: Place,
        #[serde(default = "one")]
        count: u32,
        to: Place,
    },
    InsertColumns {
        at: Place,
        #[serde(default = "one")]
        count: u32,
    },
    DeleteColumns {
        at: Place,
        #[serde(default = "one")]
        count: u32,
    },
    MoveColumns {
        from: Place,
        #[serde(default = "one")]
        count: u32,
        to: Place,
    },
    Sort {
        column: Place,
        #[serde(default)]
        descending: bool,
        #[serde(default = "one")]
        header_rows: u32,
    },
    RenameTab(String),
    /// Anything else, as requests of batchUpdate: protecting, hiding, filtering, merging, ...
    Batch(Vec<Json>),
    AddTab(String),
    DeleteTab(bool),
}

/// A row or column: a number from 1, or letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    Number(u32),
    Letters(String),
}

fn one() -> u32 {
    1
}

impl Place {
    fn index(&self) -> ApiResult<u32> {
        let index = match self {
            Self::Number(n) => n.checked_sub(1),
            Self::Letters(text) => match text.parse::<u32>() {
                Ok(n) => n.checked_sub(1),
                Err(_) => a1::column_index(text),
            },
        };
        index.ok_or_else(|| ApiError::invalid(format!("{self:?} is no row or column")))
    }
}

pub fn apply(book: &Workbook, edit: &Edit, context: &mut Context) -> ApiResult<Workbook> {
    let id = tab(book, edit.sheet.as_ref())?;
    let mut book = book.clone();
    match &edit.edit {
        Action::Set { cell, value } => {
            set(&mut book, id, cell, vec![vec![value.clone()]], InputOption::UserEntered, context)?
        }
        Action::SetRaw { cell, value } => {
            set(&mut book, id, cell, vec![vec![value.clone()]], InputOption::Raw, context)?
        }
        Action::SetRange { cell, values } => {
            set(&mut book, id, cell, values.clone(), InputOption::UserEntered, context)?
        }
        Action::Clear(range) => {
            let area = Area { sheet: id, bounds: cells(range)? };
            let rect = book.within_grid(&area)?;
            crate::model::values::clear(book.grid_mut(id)?, &rect);
            context.touch(id, "values", rect);
        }
        Action::Note { cell, note } => {
            let rect = book.within_grid(&Area { sheet: id, bounds: cells(cell)? })?;
            let note = (!note.is_empty()).then(|| Json::from(note.clone()));
            book.grid_mut(id)?.cell_mut(rect.r0, rect.c0).set_extra("note", note);
            context.touch(id, "note", rect);
        }
        Action::InsertRows { at, count, values } => {
            insert(&mut book, id, Axis::Rows, at.index()?, *count, context)?;
            if !values.is_empty() {
                let cell = format!("A{}", at.index()? + 1);
                set(&mut book, id, &cell, values.clone(), InputOption::UserEntered, context)?;
            }
        }
        Action::InsertColumns { at, count } => insert(&mut book, id, Axis::Columns, at.index()?, *count, context)?,
        Action::DeleteRows { at, count } => delete(&mut book, id, Axis::Rows, at.index()?, *count, context)?,
        Action::DeleteColumns { at, count } => delete(&mut book, id, Axis::Columns, at.index()?, *count, context)?,
        Action::MoveRows { from, count, to } => {
            shift(&mut book, id, Axis::Rows, from.index()?, *count, to.index()?, context)?
        }
        Action::MoveColumns { from, count, to } => {
            shift(&mut book, id, Axis::Columns, from.index()?, *count, to.index()?, context)?;
        }
        Action::Sort { column, descending, header_rows } => {
            let request = json!({ "sortRange": { "range": { "sheetId": id, "startRowIndex": header_rows },
                "sortSpecs": [{ "dimensionIndex": column.index()?, "sortOrder": if *descending { "DESCENDING" } else { "ASCENDING" } }] } });
            book = run(&book, request, context)?;
        }
        Action::Batch(requests) => {
            let body = crate::model::proto::SHEETS.body(
                "BatchUpdateSpreadsheetRequest",
                json!({ "requests": requests }),
                "",
            )?;
            let requests = body["requests"].as_array().cloned().unwrap_or_default();
            (book, _) = batch::apply(&book, &requests, context)?;
        }
        Action::RenameTab(title) => {
            let properties = json!({ "sheetId": id, "title": title });
            book = run(
                &book,
                json!({ "updateSheetProperties": { "properties": properties, "fields": "title" } }),
                context,
            )?;
        }
        Action::AddTab(title) => {
            book = run(&book, json!({ "addSheet": { "properties": { "title": title } } }), context)?
        }
        Action::DeleteTab(_) => book = run(&book, json!({ "deleteSheet": { "sheetId": id } }), context)?,
    }
    Ok(book)
}

/// The id of the tab that a title or an id names.
pub fn tab(book: &Workbook, sheet: Option<&Json>) -> ApiResult<i64> {
    let named = match sheet {
        None | Some(Json::Null) => book.sheets.first().map(|s| s.id),
        Some(Json::String(title)) => {
            book.titled(title).map(|s| s.id).or_else(|| title.parse().ok().filter(|id| book.sheet(*id).is_some()))
        }
        Some(id) => id.as_i64().filter(|id| book.sheet(*id).is_some()),
    };
    named.ok_or_else(|| ApiError::invalid(format!("There is no tab {}", sheet.unwrap_or(&Json::Null))))
}

fn cells(text: &str) -> ApiResult<crate::model::area::Bounds> {
    match a1::parse(text) {
        Some(a1::Spec::Cells { title: None, bounds }) => Ok(bounds),
        _ => Err(ApiError::invalid(format!("{text} names no cells"))),
    }
}

fn run(book: &Workbook, request: Json, context: &mut Context) -> ApiResult<Workbook> {
    batch::apply(book, &[request], context).map(|(book, _)| book)
}

fn set(
    book: &mut Workbook,
    id: i64,
    cell: &str,
    values: Vec<Vec<Json>>,
    option: InputOption,
    context: &mut Context,
) -> ApiResult<()> {
    let bounds = cells(cell)?;
    let height = values.len() as u32;
    let width = values.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let (r, c) = (bounds.r0.unwrap_or(0), bounds.c0.unwrap_or(0));
    batch::grow(book, id, r + height, c + width)?;
    let rect = crate::model::area::Rect { r0: r, r1: r + height, c0: c, c1: c + width };
    book.grid(id)?.check_protection(&rect, &context.caller)?;
    let locale = book.locale.clone();
    let writer = Writer { option, nulls: Nulls::Skip, locale: &locale, year: context.year };
    let rows: Vec<Json> = values.into_iter().map(Json::Array).collect();
    writer.write(book, &Area { sheet: id, bounds: rect.bounds() }, &rows, Axis::Rows)?;
    context.touch(id, "values", rect);
    Ok(())
}

fn insert(book: &mut Workbook, id: i64, axis: Axis, at: u32, count: u32, context: &mut Context) -> ApiResult<()> {
    let size = book.grid(id)?.size(axis);
    // Below the last row there is nothing to push down: the grid grows to where the person types.
    let request = if at >= size {
        json!({ "appendDimension": { "sheetId": id, "dimension": axis.name(), "length": at - size + count } })
    } else {
        let range = json!({ "sheetId": id, "dimension": axis.name(), "startIndex": at, "endIndex": at + count });
        json!({ "insertDimension": { "range": range, "inheritFromBefore": at > 0 } })
    };
    *book = run(book, request, context)?;
    Ok(())
}

fn delete(book: &mut Workbook, id: i64, axis: Axis, at: u32, count: u32, context: &mut Context) -> ApiResult<()> {
    let range = json!({ "sheetId": id, "dimension": axis.name(), "startIndex": at, "endIndex": at + count });
    *book = run(book, json!({ "deleteDimension": { "range": range } }), context)?;
    Ok(())
}

/// `to` is where the first moved line stands afterwards.
fn shift(
    book: &mut Workbook,
    id: i64,
    axis: Axis,
    from: u32,
    count: u32,
    to: u32,
    context: &mut Context,
) -> ApiResult<()> {
    let size = book.grid(id)?.size(axis);
    if from + count > size || to + count > size {
        return Err(ApiError::invalid(format!("There are only {size} {}", axis.name().to_lowercase())));
    }
    let before = if to > from { to + count } else { to };
    if before != from {
        book.shift(id, axis, Shift::Move { start: from, end: from + count, to: before });
        context.touch_structure(id, "moveDimension");
    }
    Ok(())
}
