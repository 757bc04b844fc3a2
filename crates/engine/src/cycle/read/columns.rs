//! Tags on columns, by which a header that a person renames is followed.
//!
//! A header's text always counts first: only a column whose text is nowhere is looked for by its
//! tag. Tags are a courtesy: that they cannot be put stops nothing, and a header that is renamed
//! then stops the mapping.

use std::sync::Arc;

use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{Class, ColumnTag, Commit, Failure, SheetEffect, SheetOutcome};
use crate::io::mismatch;
use crate::mapping::Direction;
use crate::tab::{Found, Layout, find_columns, renamed_headers};
use crate::value::Cell;

/// The header row for which tags were asked, and where they were found.
pub(crate) struct Tags {
    header: Vec<Cell>,
    found: Vec<(String, u32)>,
}

/// What came of looking for columns by their tags.
pub(crate) enum Followed {
    /// The sheet has to be read once more: the tags are of use only while the header row stays as
    /// it is.
    ReadAgain,
    /// The mapping has the new headers.
    Renamed,
    Nowhere,
}

impl Cycle {
    /// Of the columns `missing`, whose header is nowhere, those that had one. Tags are asked
    /// between two readings with the same header row, so that both speak of the same columns.
    pub(crate) async fn follow(
        &mut self,
        header: &[Cell],
        layout: &Layout,
        missing: &[usize],
        tags: &mut Option<Tags>,
    ) -> Result<Followed, Stop> {
        let columns = &self.mapping.columns;
        let had_one = |column: &usize| columns.get(*column).is_some_and(|one| one.header_known);
        let lost: Vec<usize> = missing.iter().copied().filter(had_one).collect();
        if lost.is_empty() {
            return Ok(Followed::Nowhere);
        }
        let Some(tags) = tags else {
            let names = lost.iter().filter_map(|column| self.name(*column));
            let found = self.find_columns(names.collect()).await?;
            if found.is_empty() {
                return Ok(Followed::Nowhere);
            }
            *tags = Some(Tags {
                header: header.to_vec(),
                found,
            });
            return Ok(Followed::ReadAgain);
        };
        if tags.header != header {
            return Ok(Followed::Nowhere);
        }
        match renamed_headers(&self.mapping, header, layout, missing, &lost, &tags.found) {
            None => Ok(Followed::Nowhere),
            Some(renamed) => {
                self.rename(renamed).await?;
                Ok(Followed::Renamed)
            }
        }
    }

    /// Stored before anything is done under the new names: a crash leaves a mapping that knows its
    /// columns.
    async fn rename(&mut self, headers: Vec<(usize, String)>) -> Result<(), Stop> {
        for (column, text) in &headers {
            if let Some(column) = Arc::make_mut(&mut self.mapping).columns.get_mut(*column) {
                column.header.clone_from(text);
            }
        }
        if self.start.dry_run {
            return Ok(());
        }
        let commit = Commit {
            headers,
            ..Commit::default()
        };
        self.io.commit(commit).await?;
        Ok(())
    }

    /// At the end of a cycle that has read the sheet: every column has its tag where its header
    /// stands.
    pub(crate) async fn tag_columns(&mut self) {
        let Some(layout) = self.tab.layout().cloned() else {
            return;
        };
        let untouched = self.mapping.direction == Direction::FromSheet || self.start.dry_run;
        if untouched || self.ending.read_again || self.memory.tagged.as_ref() == Some(&layout) {
            return;
        }
        match self.tag_where_missing(&layout).await {
            Ok(true) => self.memory.tagged = Some(layout),
            // The columns moved in the same moment.
            Ok(false) => self.ending.read_again = true,
            Err(failure) if matches!(failure.class, Class::RetryNow | Class::RetryLater) => {}
            // It would be refused at every poll.
            Err(_) => self.memory.tagged = Some(layout),
        }
    }

    /// False where the tags may stand on other columns than they should.
    async fn tag_where_missing(&mut self, layout: &Layout) -> Result<bool, Failure> {
        let names: Vec<String> = (0..self.mapping.columns.len())
            .filter_map(|column| self.name(column))
            .collect();
        let found = self.find_columns(names.clone()).await?;
        let tag = |(name, column): (String, &u32)| {
            let from = found.iter().find(|(tagged, _)| *tagged == name);
            let from = from.map(|(_, at)| *at);
            (from != Some(*column)).then_some(ColumnTag {
                name,
                column: *column,
                from,
            })
        };
        let tags: Vec<ColumnTag> = names
            .into_iter()
            .zip(&layout.columns)
            .filter_map(tag)
            .collect();
        if tags.is_empty() {
            return Ok(true);
        }
        let header = self.mapping.header_row.saturating_sub(1);
        let effect = SheetEffect::TagColumns { header, tags };
        match self.io.sheet_once(effect).await? {
            SheetOutcome::Header(cells) => {
                Ok(find_columns(&self.mapping, &cells) == Found::Whole(layout.clone()))
            }
            _ => Err(mismatch()),
        }
    }

    async fn find_columns(&self, names: Vec<String>) -> Result<Vec<(String, u32)>, Failure> {
        match self.io.sheet(SheetEffect::FindColumns { names }).await? {
            SheetOutcome::Columns(found) => Ok(found),
            _ => Err(mismatch()),
        }
    }

    fn name(&self, column: usize) -> Option<String> {
        let column = self.mapping.columns.get(column)?;
        Some(column.name.clone())
    }
}
