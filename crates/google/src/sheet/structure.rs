//! Structural batches: stamp, body, and what is dropped along the way, all applied together or not at all [DISC].

use std::collections::HashMap;
use std::ops::Range;

use engine::effect::{MetadataId, SheetOutcome, Stamp};
use engine::value::Cell;

use super::anchors::STAMP_KEY;
use super::{Missing, Session, Tab, Target, tidy};
use crate::answers;
use crate::error::{Error, Part, Purpose};
use crate::range;
use crate::requests::{
    BatchUpdate, DataFilter, DeveloperMetadata, Location, Request, Search, Visibility,
};

/// Asked of every structural answer: what was deleted, how large the tab is now, and the cells of the rows named.
const FIELDS: &str = "replies(deleteDeveloperMetadata(deletedDeveloperMetadata(metadataId))),updatedSpreadsheet(sheets(properties(sheetId,title,index,sheetType,hidden,gridProperties(rowCount,columnCount,frozenRowCount))))";
const FIELDS_WITH_CELLS: &str = "replies(deleteDeveloperMetadata(deletedDeveloperMetadata(metadataId))),updatedSpreadsheet(sheets(properties(sheetId,title,index,sheetType,hidden,gridProperties(rowCount,columnCount,frozenRowCount)),data(startRow,startColumn,rowData(values(effectiveValue)))))";

/// What a structural batch consists of.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub stamp: Option<&'a Stamp>,
    pub body: Vec<Request>,
    /// Metadata to drop along the way; none of it matters to the batch.
    pub tidy: &'a [MetadataId],
    /// Rows (half-open) to read back as they are after the batch.
    pub read_back: Vec<Range<u32>>,
}

#[derive(Debug, Default)]
pub(super) struct Applied {
    /// One per body request.
    pub replies: Vec<answers::Reply>,
    /// The cells read back, by row; rows without a value are absent.
    pub rows: HashMap<u32, Vec<Cell>>,
}

#[derive(Debug)]
pub(super) enum Sent {
    Applied(Applied),
    /// The stamp is in use: nothing was applied.
    Stamped,
    /// Nothing was applied, because of this body request.
    Refused {
        request: usize,
        error: Error,
    },
}

impl Session {
    pub(super) fn send(&self, target: &Target, batch: Batch) -> Result<Sent, Error> {
        let litter = self.state().litter.due(&target.spreadsheet_id);
        let stamp = batch.stamp;
        let sent = self.send_with(target, batch, &litter);
        match (&sent, stamp) {
            (Ok(Sent::Applied(_)), Some(stamp)) => {
                self.state().litter.age(&target.spreadsheet_id, stamp.id)
            }
            (Ok(Sent::Applied(_)), None) => {}
            _ => self
                .state()
                .litter
                .put_back(&target.spreadsheet_id, &litter),
        }
        sent
    }

    fn send_with(
        &self,
        target: &Target,
        batch: Batch,
        litter: &[MetadataId],
    ) -> Result<Sent, Error> {
        let mut drop: Vec<MetadataId> = batch.tidy.iter().chain(litter).copied().collect();
        if self.capabilities().missing_metadata == Missing::Refused {
            drop = self.existing(target, &drop)?;
        }
        let first = usize::from(batch.stamp.is_some());
        let body = first..first + batch.body.len();
        let mut requests: Vec<Request> = batch
            .stamp
            .map(stamped)
            .into_iter()
            .chain(batch.body)
            .collect();
        requests.extend(drop.iter().map(|id| tidy::deletion(*id)));
        if requests.is_empty() {
            return Ok(Sent::Applied(Applied::default()));
        }
        let mut update = BatchUpdate::of(requests);
        update.include_spreadsheet_in_response = true;
        if !batch.read_back.is_empty() {
            let title = self.tab(target)?.title;
            let rows = batch.read_back.iter();
            update.response_ranges = rows
                .map(|rows| range::rows(&title, rows.start, rows.end))
                .collect();
            update.response_include_grid_data = true;
        }
        let answer = match self.post_batch(target, &update) {
            Err(error) if refused_part(&error).is_some_and(|request| request >= body.end) => {
                // Someone has dropped that metadata already, and here this refuses the batch. Dropping can wait.
                self.learn(|capabilities| capabilities.missing_metadata = Missing::Refused);
                self.state().litter.put_back(&target.spreadsheet_id, &drop);
                update.requests.truncate(body.end);
                if update.requests.is_empty() {
                    return Ok(Sent::Applied(Applied::default()));
                }
                self.post_batch(target, &update)
            }
            answer => answer,
        };
        match answer {
            Ok(answer) => Ok(Sent::Applied(self.applied(target, answer, body))),
            Err(error) => self.refused(target, error, batch.stamp, body),
        }
    }

    fn post_batch(
        &self,
        target: &Target,
        update: &BatchUpdate,
    ) -> Result<answers::BatchUpdate, Error> {
        let fields = if update.response_ranges.is_empty() {
            FIELDS
        } else {
            FIELDS_WITH_CELLS
        };
        self.client.post(
            Purpose::Write,
            &target.spreadsheet_id,
            ":batchUpdate",
            fields,
            update,
        )
    }

    fn refused(
        &self,
        target: &Target,
        error: Error,
        stamp: Option<&Stamp>,
        body: Range<usize>,
    ) -> Result<Sent, Error> {
        let refused = error
            .refusal()
            .is_some_and(|refusal| refusal.http_status == 400);
        if !refused {
            return Err(error);
        }
        // What we remember of the tab may be why.
        self.forget_tab(target);
        // Told by its place in the batch and not by its words, which may come in another language.
        if let Some(stamp) = stamp
            && refused_part(&error) == Some(0)
            && !self.existing(target, &[stamp.id])?.is_empty()
        {
            return Ok(Sent::Stamped);
        }
        match refused_part(&error).filter(|request| body.contains(request)) {
            Some(request) => Ok(Sent::Refused {
                request: request - body.start,
                error,
            }),
            None => Err(error),
        }
    }

    fn applied(
        &self,
        target: &Target,
        answer: answers::BatchUpdate,
        body: Range<usize>,
    ) -> Applied {
        let mut rows = HashMap::new();
        for sheet in answer.updated_spreadsheet.sheets {
            if sheet.properties.sheet_id != target.sheet_id || sheet.properties.title.is_empty() {
                continue;
            }
            self.remember(&target.spreadsheet_id, Tab::from(sheet.properties));
            for block in sheet.data {
                let indent = block.start_column as usize;
                for (row, data) in (block.start_row..).zip(block.row_data) {
                    let mut cells = vec![Cell::Empty; indent];
                    cells.extend(data.values.iter().map(answers::CellData::cell));
                    rows.insert(row, cells);
                }
            }
        }
        let replies = answer
            .replies
            .into_iter()
            .skip(body.start)
            .take(body.len())
            .collect();
        Applied { replies, rows }
    }

    pub(super) fn claim(&self, target: &Target, stamp: &Stamp) -> Result<SheetOutcome, Error> {
        match self.send(
            target,
            Batch {
                stamp: Some(stamp),
                ..Batch::default()
            },
        )? {
            Sent::Applied(_) => Ok(SheetOutcome::Done),
            Sent::Stamped => self.stamped_outcome(target, stamp),
            Sent::Refused { error, .. } => Err(error),
        }
    }

    /// Whose the stamp is that stood in our way.
    pub(super) fn stamped_outcome(
        &self,
        target: &Target,
        stamp: &Stamp,
    ) -> Result<SheetOutcome, Error> {
        let body = Search(vec![DataFilter::metadata(stamp.id)]);
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId,metadataValue))";
        let found: answers::Found = self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/developerMetadata:search",
            fields,
            &body,
        )?;
        let ours = found.matched_developer_metadata.iter().any(|matched| {
            tidy::stamp_value(&matched.developer_metadata.metadata_value) == stamp.value
        });
        Ok(SheetOutcome::Stamped { ours })
    }
}

fn refused_part(error: &Error) -> Option<usize> {
    match error.refusal()?.part()? {
        Part::Request(request) => Some(request),
        _ => None,
    }
}

/// DOCUMENT, so that a writer with another project's key is shut out too.
fn stamped(stamp: &Stamp) -> Request {
    Request::CreateDeveloperMetadata {
        developer_metadata: DeveloperMetadata {
            metadata_id: stamp.id,
            metadata_key: STAMP_KEY,
            metadata_value: tidy::dated(&stamp.value),
            location: Location::Spreadsheet(true),
            visibility: Visibility::Document,
        },
    }
}

/// Sorted rows as half-open runs; rows closer than the gap join, so that a scattered thousand does not make a thousand ranges.
pub(super) fn runs(rows: impl IntoIterator<Item = u32>) -> Vec<Range<u32>> {
    const MOST: usize = 200;
    let mut rows: Vec<u32> = rows.into_iter().collect();
    rows.sort_unstable();
    let mut gap = 0;
    loop {
        let joined = joined(&rows, gap);
        if joined.len() <= MOST {
            return joined;
        }
        gap = gap * 2 + 1;
    }
}

/// Sorted rows as half-open runs of rows that follow each other with at most `gap` others between.
pub(super) fn joined(rows: &[u32], gap: u32) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for row in rows {
        match runs.last_mut() {
            Some(run) if *row <= run.end.saturating_add(gap) => run.end = run.end.max(row + 1),
            _ => runs.push(*row..row + 1),
        }
    }
    runs
}
