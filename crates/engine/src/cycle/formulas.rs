//! Formulas in the tab: whose a cell's content is that nobody typed.

use std::sync::Arc;

use super::io::{Stop, mismatch};
use super::item::Item;
use super::run::Cycle;
use crate::effect::{Computed, Formula, SheetEffect, SheetOutcome};
use crate::mapping::column_letters;
use crate::reconcile::{FORMULA_CELL, Filled, SheetChange, Source};

impl Cycle {
    /// Every formula of the tab, asked once a round at most.
    pub(super) async fn formulas(&mut self) -> Result<Arc<[Formula]>, Stop> {
        if let Some(formulas) = &self.formulas {
            return Ok(formulas.clone());
        }
        self.land().await?;
        let formulas: Arc<[Formula]> = match self.io.sheet(SheetEffect::Formulas).await? {
            SheetOutcome::Formulas(formulas) => formulas.into(),
            _ => return Err(mismatch().into()),
        };
        self.formulas = Some(formulas.clone());
        Ok(formulas)
    }

    /// Rows of a mass are read as values, which do not tell what a formula fills: asked before a mass goes that way.
    pub(super) async fn has_formulas(&mut self) -> Result<bool, Stop> {
        Ok(!self.formulas().await?.is_empty())
    }

    /// Which mapped cells of these rows are not to be written.
    pub(super) fn note_computed(&self, items: &mut [Item], which: &[usize]) {
        let Some(layout) = &self.memory.layout else {
            return;
        };
        for index in which {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let column = |at: u32| layout.columns.iter().position(|column| *column == at);
            let filled = item.computed.iter().filter_map(|(at, computed)| {
                let by = match computed {
                    Computed::Here => Source::Own,
                    Computed::Elsewhere => Source::Somewhere,
                };
                let column = column(*at)?;
                Some(Filled { column, by })
            });
            item.filled = filled.collect();
        }
    }

    /// Whether a column of the sheet holds part of the key.
    pub(super) fn is_key_column(&self, at: u32) -> bool {
        let layout = self.memory.layout.as_ref();
        layout.is_some_and(|layout| {
            let mut key = self.mapping.key.iter();
            key.any(|column| layout.column(*column) == at)
        })
    }

    /// Problems that a formula makes name the formula's cell.
    pub(super) async fn trace_formulas(
        &mut self,
        items: &mut [Item],
        which: &[usize],
    ) -> Result<(), Stop> {
        let is_vague = |item: &Item| {
            let withheld = item.found.iter().any(|one| one.code == FORMULA_CELL);
            let vague = |cell: &Filled| cell.by == Source::Somewhere;
            withheld && item.filled.iter().any(vague)
        };
        let item = |index: &&usize| items.get(**index).is_some_and(is_vague);
        let vague: Vec<usize> = which.iter().filter(item).copied().collect();
        if vague.is_empty() {
            return Ok(());
        }
        let formulas = self.formulas().await?;
        let Some(layout) = self.memory.layout.clone() else {
            return Ok(());
        };
        for index in &vague {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            let Some(row) = item.row else { continue };
            for cell in &mut item.filled {
                if cell.by == Source::Somewhere {
                    let place = (row, layout.column(cell.column));
                    cell.by = source(&formulas, place, &item.computed);
                }
            }
        }
        self.plan(items, &vague).await
    }
}

/// The row is to be deleted or emptied.
pub(super) fn leaves(item: &Item) -> bool {
    matches!(
        item.plan.sheet,
        Some(SheetChange::Delete | SheetChange::Clear)
    )
}

/// Where the formula stands that fills this cell of a row. An array reaches right and down from its formula, and only cells that nobody
/// typed are in it.
fn source(formulas: &[Formula], (row, column): (u32, u32), computed: &[(u32, Computed)]) -> Source {
    let above = |one: &&Formula| one.row <= row && one.column <= column;
    let between = |one: &Formula, other: &Formula| {
        other != one
            && (one.row..=row).contains(&other.row)
            && (one.column..=column).contains(&other.column)
    };
    let reaches = |one: &&Formula| {
        let from = one.column + u32::from(one.row == row);
        let filled = |at: u32| computed.contains(&(at, Computed::Elsewhere));
        (from..=column).all(filled) && !formulas.iter().any(|other| between(one, other))
    };
    let mut sources = formulas.iter().filter(above).filter(reaches);
    match (sources.next(), sources.next()) {
        (Some(one), None) => Source::Cell(place(one.row, one.column)),
        _ => Source::Somewhere,
    }
}

/// A cell as a person calls it.
pub(super) fn place(row: u32, column: u32) -> String {
    format!("{}{}", column_letters(column), row.saturating_add(1))
}
