//! Reading values: the whole tab, or the rows that anchors stand on.

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use engine::effect::{Failure, Look, MetadataId, SheetOutcome, Snapshot};
use engine::value::{Cell, Timestamp};

use super::lookup::may_have_matched_nothing;
use super::structure::runs;
use super::{Session, Tab, Target};
use crate::answers::{self, RawRow};
use crate::error::{Error, Purpose};
use crate::range::{self, Echo};
use crate::requests::{DataFilter, GridRange, ReadValues};

/// Ids begin at 1.
const NO_ANCHOR: MetadataId = 0;

/// A row found through its anchor.
pub(super) struct AnchoredCells {
    pub anchor: MetadataId,
    pub row: u32,
    pub cells: Vec<Cell>,
}

impl Session {
    /// All values of several tabs of one spreadsheet, in one request; an outcome per tab, in the
    /// order asked. Where Google refuses the request because of one of them (a tab that is gone),
    /// each is read by itself.
    pub fn read_many(&self, targets: &[Target]) -> Vec<Result<SheetOutcome, Failure>> {
        let Some(first) = targets.first() else {
            return Vec::new();
        };
        let judged = |outcome| self.judged(Purpose::Read, &first.spreadsheet_id, outcome);
        let about_one = |error: &Error| {
            let refusal = error.refusal();
            targets.len() > 1 && refusal.is_some_and(|refusal| refusal.http_status == 400)
        };
        match self.read_tabs(&first.spreadsheet_id, targets) {
            Ok(outcomes) => outcomes.into_iter().map(judged).collect(),
            Err(error) if about_one(&error) => {
                let alone = targets.iter().map(|target| judged(self.read(target)));
                alone.collect()
            }
            Err(error) => match judged(Err(error)) {
                Err(failure) => targets.iter().map(|_| Err(failure.clone())).collect(),
                Ok(_) => Vec::new(),
            },
        }
    }

    pub(super) fn read(&self, target: &Target) -> Result<SheetOutcome, Error> {
        self.read_tabs(&target.spreadsheet_id, std::slice::from_ref(target))?
            .pop()
            .unwrap_or_else(|| Err(missing()))
    }

    /// One request: the range that Google echoes for "the whole tab" names its title and the size
    /// of its grid (G-RANGES-4).
    fn read_tabs(
        &self,
        spreadsheet_id: &str,
        targets: &[Target],
    ) -> Result<Vec<Result<SheetOutcome, Error>>, Error> {
        let sent_at = now();
        let whole = |target: &Target| {
            DataFilter::GridRange(GridRange {
                sheet_id: target.sheet_id,
                ..GridRange::default()
            })
        };
        let fields = "valueRanges(valueRange(range,values),dataFilters(gridRange(sheetId)))";
        let body = ReadValues::new(targets.iter().map(whole).collect());
        let answer: answers::ReadValues<RawRow> = self.client.post(
            Purpose::Read,
            spreadsheet_id,
            "/values:batchGetByDataFilter",
            fields,
            &body,
        )?;
        let read_at = now();
        let mut ranges: HashMap<i32, answers::ValueRange<RawRow>> = HashMap::new();
        for matched in answer.value_ranges {
            if let Some(filter) = matched.data_filters.first() {
                ranges.insert(filter.grid_range.sheet_id, matched.value_range);
            }
        }
        let outcome = |target: &Target| {
            // An answer without the tab's range is not an empty tab: taking it for one would look
            // like a mass deletion.
            let range = ranges.remove(&target.sheet_id).ok_or_else(missing)?;
            let tab = self.seen(target, range::parse(&range.range))?;
            Ok(SheetOutcome::Snapshot(Snapshot {
                sent_at,
                read_at,
                grid_rows: tab.rows,
                grid_columns: tab.columns,
                rows: range.values,
            }))
        };
        Ok(targets.iter().map(outcome).collect())
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

    /// The header row and the rows on which these anchors stand, by one request; an anchor without
    /// a row has no entry.
    pub(super) fn look(
        &self,
        target: &Target,
        header: u32,
        anchors: &[MetadataId],
    ) -> Result<SheetOutcome, Error> {
        let header_row = DataFilter::GridRange(GridRange {
            sheet_id: target.sheet_id,
            start_row_index: Some(header),
            end_row_index: Some(header + 1),
            ..GridRange::default()
        });
        let rows = self.read_by(target, anchors, Some(header_row))?;
        let (headers, rows): (Vec<AnchoredCells>, Vec<AnchoredCells>) =
            rows.into_iter().partition(|row| row.anchor == NO_ANCHOR);
        let header = headers.into_iter().next().ok_or_else(missing)?;
        let rows = rows.into_iter().map(|row| (row.anchor, row.row, row.cells));
        Ok(SheetOutcome::Seen(Look {
            header: header.cells,
            rows: rows.collect(),
        }))
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
        self.read_by(target, anchors, None)
    }

    /// What is read by another filter has [`NO_ANCHOR`].
    fn read_by(
        &self,
        target: &Target,
        anchors: &[MetadataId],
        other: Option<DataFilter>,
    ) -> Result<Vec<AnchoredCells>, Error> {
        let answer = match self.values_by(target, anchors, other.clone()) {
            Err(error) if !anchors.is_empty() && may_have_matched_nothing(&error) => {
                let found = self.find(target, anchors)?;
                let found: Vec<MetadataId> = found.into_keys().collect();
                if found.len() == anchors.len() {
                    return Err(error);
                }
                match found.is_empty() && other.is_none() {
                    true => return Ok(Vec::new()),
                    false => self.values_by(target, &found, other)?,
                }
            }
            answer => answer?,
        };
        let mut rows = Vec::new();
        for matched in answer.value_ranges {
            let range = range::parse(&matched.value_range.range).ok_or_else(missing)?;
            let cells = matched.value_range.values.into_iter().next();
            let cells = cells.unwrap_or_default().into_iter().map(answers::cell);
            let cells: Vec<Cell> = cells.collect();
            for filter in matched.data_filters {
                rows.push(AnchoredCells {
                    anchor: filter.developer_metadata_lookup.metadata_id,
                    row: range.first_row,
                    cells: cells.clone(),
                });
            }
        }
        Ok(rows)
    }

    fn values_by(
        &self,
        target: &Target,
        anchors: &[MetadataId],
        other: Option<DataFilter>,
    ) -> Result<answers::ReadValues<Vec<Cell>>, Error> {
        let filters = anchors.iter().map(|id| DataFilter::metadata(*id));
        let body = ReadValues::new(filters.chain(other).collect());
        let fields = "valueRanges(valueRange(range,values),dataFilters(developerMetadataLookup(metadataId),gridRange(sheetId)))";
        self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/values:batchGetByDataFilter",
            fields,
            &body,
        )
    }

    /// What these rows hold, by position; blank ones may be absent. Small gaps between them are
    /// read along.
    pub(super) fn read_values(
        &self,
        target: &Target,
        rows: impl Iterator<Item = u32>,
    ) -> Result<HashMap<u32, Vec<Cell>>, Error> {
        let wanted: HashSet<u32> = rows.collect();
        let blocks = runs(wanted.iter().copied()).into_iter().map(|run| {
            DataFilter::GridRange(GridRange {
                sheet_id: target.sheet_id,
                start_row_index: Some(run.start),
                end_row_index: Some(run.end),
                ..GridRange::default()
            })
        });
        let body = ReadValues::new(blocks.collect());
        let fields = "valueRanges(valueRange(range,values))";
        let answer: Result<answers::ReadValues<RawRow>, Error> = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/values:batchGetByDataFilter",
            fields,
            &body,
        );
        let answer =
            answer.map_err(|error| self.outdated_rows(target, wanted.iter().copied(), error))?;
        let mut found = HashMap::with_capacity(wanted.len());
        for matched in answer.value_ranges {
            // Entries come in the sheet's order; the range tells which this is.
            let Some(first) = range::parse(&matched.value_range.range) else {
                continue;
            };
            for (row, raw) in (first.first_row..).zip(matched.value_range.values) {
                if wanted.contains(&row) {
                    let cells: Vec<Cell> = serde_json::from_str(raw.get())
                        .map_err(|_| Error::Unreadable(format!("row {}", row + 1)))?;
                    found.insert(row, cells.into_iter().map(answers::cell).collect());
                }
            }
        }
        Ok(found)
    }

    /// Rows `first..end` of the tab, by position; without an end all from `first` on.
    pub(super) fn read_span(
        &self,
        target: &Target,
        first: u32,
        end: Option<u32>,
    ) -> Result<Vec<Vec<Cell>>, Error> {
        let rows = GridRange {
            sheet_id: target.sheet_id,
            start_row_index: Some(first),
            end_row_index: end,
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

fn missing() -> Error {
    Error::Unreadable("the tab's values are missing".into())
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
