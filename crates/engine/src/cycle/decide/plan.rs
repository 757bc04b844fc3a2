//! What is to become of rows that have been read on both sides.

use crate::cycle::item::Item;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::cycle::tell::problems::row_problem;
use crate::effect::{DatabaseEffect, DatabaseOutcome, FunctionCall, OtherTab, Problem, Ways};
use crate::io::mismatch;
use crate::mapping::Side;
use crate::reconcile::{Plan, Row, reconcile};
use crate::value::{Cell, Datum, Key};

impl Cycle {
    pub(crate) async fn plan(&mut self, items: &mut [Item], which: &[usize]) -> Result<(), Stop> {
        self.read_meanings(items, which).await?;
        self.decide_all(items, which, self.start.ways).await?;
        let mut ask = Vec::new();
        for index in which {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            if item.plan.asks_function {
                ask.push(*index);
            }
        }
        if ask.is_empty() {
            return Ok(());
        }
        let rows: Vec<FunctionCall> = ask
            .iter()
            .filter_map(|index| items.get(*index))
            .map(|item| self.call(item))
            .collect();
        let asked = rows.len();
        let answers = match self
            .io
            .database(DatabaseEffect::MergeByFunction { rows })
            .await?
        {
            DatabaseOutcome::Merged(answers) if answers.len() == asked => answers,
            _ => return Err(mismatch().into()),
        };
        for (index, answer) in ask.iter().zip(answers) {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            match answer {
                Ok(merged) => {
                    item.merged = Some(merged);
                    self.decide(item, self.start.ways);
                }
                Err(refusal) => {
                    item.plan = Plan::default();
                    // Mended, the function shows on neither side: only trying it tells.
                    item.found = vec![Problem {
                        retry_at: Some(self.io.now()),
                        ..row_problem(&item.key, None, Side::Database, refusal)
                    }];
                }
            }
        }
        Ok(())
    }

    /// Those that may have moved from one tab of the table to another are decided once more when it
    /// is known what stands there.
    pub(crate) async fn decide_all(
        &mut self,
        items: &mut [Item],
        which: &[usize],
        ways: Ways,
    ) -> Result<(), Stop> {
        let mut ask = Vec::new();
        for index in which {
            let Some(item) = items.get_mut(*index) else {
                continue;
            };
            if item.dropped {
                item.plan = Plan::default();
                continue;
            }
            item.merged = None;
            item.found.clear();
            self.decide(item, ways);
            if item.plan.asks_tabs {
                ask.push(*index);
            }
        }
        let keys: Vec<Key> = ask
            .iter()
            .filter_map(|index| items.get(*index))
            .map(|item| item.key.clone())
            .collect();
        for (index, others) in ask.into_iter().zip(self.ask_other_tabs(keys).await?) {
            if let Some(item) = items.get_mut(index) {
                item.others = Some(others);
                self.decide(item, ways);
            }
        }
        Ok(())
    }

    async fn ask_other_tabs(&mut self, keys: Vec<Key>) -> Result<Vec<Vec<OtherTab>>, Stop> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let asked = keys.len();
        match self
            .io
            .database(DatabaseEffect::AskOtherTabs { keys })
            .await?
        {
            DatabaseOutcome::OtherTabs(answers) if answers.len() == asked => Ok(answers),
            _ => Err(mismatch().into()),
        }
    }

    /// What the driver has to know of rows that move between tabs.
    pub(crate) fn note_moves(&mut self, items: &[Item]) {
        for item in items.iter().filter(|item| !item.dropped) {
            if item.plan.moving {
                self.report.moving.push(item.key.clone());
            }
            self.report.awaits_tabs |= item.plan.awaits_tabs;
        }
        self.ending.read_soon |= self.report.awaits_tabs;
    }

    pub(crate) fn decide(&self, item: &mut Item, ways: Ways) {
        let known = self.memory.problems.of_row(&item.key);
        let refused = self.standing_refusals(item);
        let troubled: Vec<(usize, bool)> = known
            .iter()
            .filter_map(|one| Some((one.column?, self.may_try(one))))
            .collect();
        let windows = self.windows(item);
        item.plan = reconcile(&Row {
            mapping: &self.mapping,
            key: &item.key,
            base: item.base.as_ref(),
            database: item.loaded.row.as_deref(),
            in_filter: item.loaded.in_filter,
            sheet: item.cells.as_deref(),
            ways,
            changed_at: item.changed_at,
            windows: &windows,
            pending: &item.loaded.pending,
            merged: item.merged.as_deref(),
            meanings: &item.meanings,
            durations: &self.memory.cells.durations,
            refused: &refused,
            troubled: &troubled,
            others: match self.start.other_tabs {
                true => item.others.as_deref(),
                false => Some(&[]),
            },
            missed_at: self
                .memory
                .rows
                .get(&item.key)
                .and_then(|known| known.missing),
            computed: &item.filled,
            blanks: &item.blanks,
            feeds: item.feeds.as_deref(),
        });
        item.found = std::mem::take(&mut item.plan.problems);
        let withheld = std::mem::take(&mut item.plan.withheld).into_iter();
        item.found.extend(withheld.map(|problem| Problem {
            retry_at: Some(self.io.now()),
            ..problem
        }));
    }

    /// The columns of an item (`None`: the whole row) that were refused with these very cells, and
    /// whose time to try again has not come.
    pub(crate) fn standing_refusals(&self, item: &Item) -> Vec<Option<usize>> {
        let known = self.memory.problems.of_row(&item.key);
        let state = Some(item.state());
        known
            .iter()
            .filter(|one| one.refused.is_some() && one.refused == state)
            .filter(|one| one.retry_at.is_none() || !self.may_try(one))
            .map(|one| one.column)
            .collect()
    }

    fn call(&self, item: &Item) -> FunctionCall {
        let meant = |(column, cell): (usize, &Cell)| match item.meanings.of(column, cell) {
            Some(Ok(datum)) => datum.clone(),
            _ => self.mapping.decode(column, cell),
        };
        let decoded =
            |cells: &Vec<Cell>| -> Vec<Datum> { cells.iter().enumerate().map(meant).collect() };
        FunctionCall {
            key: item.key.clone(),
            base: item.base.as_ref().map(|base| base.database.clone()),
            database: item.loaded.row.clone(),
            sheet: item.cells.as_ref().map(decoded),
        }
    }
}
