//! Reading values: the whole tab, or the rows that anchors stand on.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::effect::{MetadataId, SheetOutcome, Snapshot};
use engine::value::{Cell, Timestamp};

use super::{Session, Tab, Target};
use crate::answers::{self, RawRow};
use crate::error::{Error, Purpose};
use crate::range::{self, Echo};
use crate::requests::{DataFilter, GridRange, ReadValues};

/// A row found through its anchor.
pub(super) struct AnchoredCells {
    pub anchor: MetadataId,
    pub cells: Vec<Cell>,
}

impl Session {
    /// One request: the range that Google echoes for "the whole tab" names its title and the size of its grid [REC].
    pub(super) fn read(&self, target: &Target) -> Result<SheetOutcome, Error> {
        let sent_at = now();
        let tab = GridRange {
            sheet_id: target.sheet_id,
            ..GridRange::default()
        };
        let fields = "valueRanges(valueRange(range,values))";
        let body = ReadValues::new(vec![DataFilter::GridRange(tab)]);
        let answer: answers::ReadValues<RawRow> = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/values:batchGetByDataFilter",
            fields,
            &body,
        )?;
        let read_at = now();
        // An answer without the tab's range is not an empty tab: taking it for one would look like a mass deletion.
        let range = answer
            .value_ranges
            .into_iter()
            .next()
            .map(|matched| matched.value_range);
        let range =
            range.ok_or_else(|| Error::Unreadable("the tab's values are missing".into()))?;
        let tab = self.seen(target, range::parse(&range.range))?;
        Ok(SheetOutcome::Snapshot(Snapshot {
            sent_at,
            read_at,
            grid_rows: tab.rows,
            grid_columns: tab.columns,
            rows: range.values,
        }))
    }

    fn seen(&self, target: &Target, echo: Option<Echo>) -> Result<Tab, Error> {
        let Some(Echo {
            title,
            first_row: 0,
            first_column: 0,
            end_row: Some(rows),
            end_column: Some(columns),
        }) = echo
        else {
            return self.fresh_tab(target);
        };
        let mut state = self.state();
        let tab = state
            .tabs
            .entry((target.spreadsheet_id.clone(), target.sheet_id))
            .or_insert(Tab {
                sheet_id: target.sheet_id,
                title: String::new(),
                hidden: false,
                has_cells: true,
                rows,
                columns,
                frozen_rows: 0,
            });
        (tab.title, tab.rows, tab.columns) = (title, rows, columns);
        Ok(tab.clone())
    }

    /// The rows on which these anchors stand; an anchor without a row has no entry.
    pub(super) fn read_anchored(
        &self,
        target: &Target,
        anchors: &[MetadataId],
    ) -> Result<Vec<AnchoredCells>, Error> {
        if anchors.is_empty() {
            return Ok(Vec::new());
        }
        let body = ReadValues::new(anchors.iter().map(|id| DataFilter::metadata(*id)).collect());
        let fields = "valueRanges(valueRange(range,values),dataFilters(developerMetadataLookup(metadataId)))";
        let answer: answers::ReadValues<Vec<Cell>> = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/values:batchGetByDataFilter",
            fields,
            &body,
        )?;
        let mut rows = Vec::new();
        for matched in answer.value_ranges {
            let cells = matched
                .value_range
                .values
                .into_iter()
                .next()
                .unwrap_or_default();
            let cells: Vec<Cell> = cells.into_iter().map(answers::cell).collect();
            for filter in matched.data_filters {
                rows.push(AnchoredCells {
                    anchor: filter.developer_metadata_lookup.metadata_id,
                    cells: cells.clone(),
                });
            }
        }
        Ok(rows)
    }

    /// Rows `first..end` of the tab, by position.
    pub(super) fn read_rows(
        &self,
        target: &Target,
        first: u32,
        end: u32,
    ) -> Result<Vec<Vec<Cell>>, Error> {
        let rows = GridRange {
            sheet_id: target.sheet_id,
            start_row_index: Some(first),
            end_row_index: Some(end),
            ..GridRange::default()
        };
        let body = ReadValues::new(vec![DataFilter::GridRange(rows)]);
        let fields = "valueRanges(valueRange(range,values))";
        let answer: answers::ReadValues<Vec<Cell>> = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/values:batchGetByDataFilter",
            fields,
            &body,
        )?;
        let rows = answer
            .value_ranges
            .into_iter()
            .next()
            .map(|matched| matched.value_range.values)
            .unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|row| row.into_iter().map(answers::cell).collect())
            .collect())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
