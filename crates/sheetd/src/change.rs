//! Everything that can happen to the cells of a spreadsheet, as data: applied purely, so that it
//! can be logged and repeated.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::batch::{self, Context};
use crate::edit::{self, Edit};
use crate::errors::ApiResult;
use crate::model::area::{Area, Axis, Rect};
use crate::model::structure::Shift;
use crate::model::values::{self, InputOption, Nulls, Writer, Written};
use crate::model::workbook::Workbook;
use crate::options::AppendUnderFilter;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Change {
    Batch { requests: Vec<Json> },
    Write { entries: Vec<Entry>, user_entered: bool, clear_nulls: bool, prefix: String },
    Append { area: Area, axis: Axis, values: Vec<Json>, user_entered: bool, insert_rows: bool },
    Clear { areas: Vec<Area> },
    Edit(Edit),
}

impl Change {
    /// False only where the change surely sets no formula.
    pub fn may_bring_formulas(&self) -> bool {
        match self {
            Self::Batch { requests } => requests.iter().any(has_formula_text),
            Self::Write { entries, user_entered, .. } => {
                *user_entered && entries.iter().flat_map(|e| &e.values).any(has_formula_text)
            }
            Self::Append { values, user_entered, .. } => *user_entered && values.iter().any(has_formula_text),
            Self::Clear { .. } => false,
            Self::Edit(_) => true,
        }
    }
}

fn has_formula_text(json: &Json) -> bool {
    match json {
        Json::String(text) => text.trim_start().starts_with(['=', '+', '-']),
        Json::Array(items) => items.iter().any(has_formula_text),
        Json::Object(members) => members.values().any(has_formula_text),
        _ => false,
    }
}

/// Values for one area.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub area: Area,
    pub axis: Axis,
    pub values: Vec<Json>,
}

pub enum Outcome {
    Replies(Vec<Json>),
    Written(Vec<Written>),
    Appended { table: Option<Rect>, written: Written },
    Cleared(Vec<(i64, Rect)>),
    Edited,
}

/// The workbook after the change. On refusal the caller's workbook is as it was.
pub fn apply(book: &Workbook, change: &Change, context: &mut Context) -> ApiResult<(Workbook, Outcome)> {
    let mut book = book.clone();
    book.may_have_formulas |= change.may_bring_formulas();
    book.moves.clear();
    let book = &book;
    match change {
        Change::Batch { requests } => {
            let (book, replies) = batch::apply(book, requests, context)?;
            Ok((book, Outcome::Replies(replies)))
        }
        Change::Write { entries, user_entered, clear_nulls, prefix } => {
            write(book, entries, *user_entered, *clear_nulls, prefix, context)
        }
        Change::Append { area, axis, values, user_entered, insert_rows } => {
            append(book, area, *axis, values, *user_entered, *insert_rows, context)
        }
        Change::Clear { areas } => clear(book, areas, context),
        Change::Edit(edit) => {
            let book = edit::apply(book, edit, context)?;
            Ok((book, Outcome::Edited))
        }
    }
}

fn input_option(user_entered: bool) -> InputOption {
    if user_entered { InputOption::UserEntered } else { InputOption::Raw }
}

/// `prefix` is how a refusal names an entry: `data` in `Invalid data[0]: ...`, empty for
/// values.update.
fn write(
    book: &Workbook,
    entries: &[Entry],
    user_entered: bool,
    clear_nulls: bool,
    prefix: &str,
    context: &mut Context,
) -> ApiResult<(Workbook, Outcome)> {
    let mut book = book.clone();
    let locale = book.locale.clone();
    let nulls = if clear_nulls { Nulls::Clear } else { Nulls::Skip };
    let writer = Writer { option: input_option(user_entered), nulls, locale: &locale, year: context.year };
    let mut written = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let done = writer.write(&mut book, &entry.area, &entry.values, entry.axis).and_then(|done| {
            book.grid(done.sheet)?.check_protection(&done.rect, &context.caller)?;
            Ok(done)
        });
        let done = done.map_err(|e| if prefix.is_empty() { e } else { e.within(&format!("{prefix}[{i}]")) })?;
        context.touch(done.sheet, "values", done.rect);
        written.push(done);
    }
    Ok((book, Outcome::Written(written)))
}

fn append(
    book: &Workbook,
    area: &Area,
    axis: Axis,
    values: &[Json],
    user_entered: bool,
    insert_rows: bool,
    context: &mut Context,
) -> ApiResult<(Workbook, Outcome)> {
    let mut book = book.clone();
    let found = book.within_grid(area)?;
    let table = values::table_in(book.grid(area.sheet)?, &found);
    let (row, column) = table.map_or((found.r0, found.c0), |t| (t.r1, t.c0));
    let width = values.iter().filter_map(Json::as_array).map(Vec::len).max().unwrap_or(0) as u32;
    let height = values.len() as u32;
    let (height, width) = if axis == Axis::Rows { (height, width) } else { (width, height) };
    if insert_rows && table.is_some() && row < book.grid(area.sheet)?.row_count() {
        book.shift(area.sheet, Axis::Rows, Shift::Insert { at: row, count: height });
        book.check_size()?;
    }
    batch::grow(&mut book, area.sheet, row + height, column + width)?;
    let target = Rect { r0: row, r1: row + height, c0: column, c1: column + width };
    let start = Area { sheet: area.sheet, bounds: target.bounds() };
    let entry = Entry { area: start, axis, values: values.to_vec() };
    let filtered = context.options.append_under_filter == AppendUnderFilter::Lost
        && book.grid(area.sheet)?.rows.iter().flatten().any(|r| r.props.hidden_by_filter);
    let kept = filtered.then(|| book.clone());
    let (book, outcome) = write(&book, &[entry], user_entered, false, "", context)?;
    let Outcome::Written(mut written) = outcome else { unreachable!("a write answers what was written") };
    let written = written.pop().expect("one entry was written");
    Ok((kept.unwrap_or(book), Outcome::Appended { table, written }))
}

fn clear(book: &Workbook, areas: &[Area], context: &mut Context) -> ApiResult<(Workbook, Outcome)> {
    let mut book = book.clone();
    let mut cleared = Vec::with_capacity(areas.len());
    for area in areas {
        let rect = book.within_grid(area)?;
        book.grid(area.sheet)?.check_protection(&rect, &context.caller)?;
        values::clear(book.grid_mut(area.sheet)?, &rect);
        context.touch(area.sheet, "values", rect);
        cleared.push((area.sheet, rect));
    }
    Ok((book, Outcome::Cleared(cleared)))
}
