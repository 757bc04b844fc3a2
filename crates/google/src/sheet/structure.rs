//! Structural batches: stamp, body, and what is dropped along the way, all applied together or not
//! at all (G-BATCH-1).

use std::collections::HashMap;
use std::ops::Range;

use engine::effect::{Computed, MetadataId, SheetOutcome, Stamp};
use engine::value::Cell;

use super::anchors::STAMP_KEY;
use super::images::images_id;
use super::turn::{Before, Turn};
use super::{Missing, Session, Tab, Target, tidy};
use crate::answers;
use crate::error::{Error, Part, Purpose, Refusal};
use crate::range;
use crate::requests::{BatchUpdate, DeveloperMetadata, Location, Request, Visibility};

/// Asked of every structural answer: what was deleted or changed of our metadata, how large the tab
/// is now, and of the cells of the rows named what is given here.
macro_rules! asked_with {
    ($cells:literal) => {
        concat!(
            "replies(deleteDeveloperMetadata(deletedDeveloperMetadata(metadataId)),",
            "updateDeveloperMetadata(developerMetadata(metadataId))),",
            "updatedSpreadsheet(sheets(properties(sheetId,title,index,sheetType,hidden,",
            "gridProperties(rowCount,columnCount,frozenRowCount))",
            $cells,
            "))"
        )
    };
}

const FIELDS: &str = asked_with!("");
const FIELDS_WITH_CELLS: &str =
    asked_with!(",data(startRow,startColumn,rowData(values(effectiveValue)))");
/// The same, and what of it somebody typed.
const FIELDS_WITH_ENTERED: &str =
    asked_with!(",data(startRow,startColumn,rowData(values(effectiveValue,userEnteredValue)))");

/// What a structural batch consists of.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub stamp: Option<&'a Stamp>,
    pub body: Vec<Request>,
    /// Metadata to drop along the way; none of it matters to the batch.
    pub tidy: &'a [MetadataId],
    /// Rows (half-open) to read back as they are after the batch, and which of their columns;
    /// `None` for all.
    pub read_back: Vec<Range<u32>>,
    pub columns: Option<Range<u32>>,
    /// Rows of the tab of images to read back.
    pub images: Option<Range<u32>>,
    /// Which of the cells read back nobody typed is asked, too.
    pub entered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Applied {
    /// One per body request.
    pub replies: Vec<answers::Reply>,
    /// The cells read back, by row; rows without a value are absent.
    pub rows: HashMap<u32, Vec<Cell>>,
    /// Of these, the cells that nobody typed, where that was asked.
    pub computed: HashMap<u32, Vec<(u32, Computed)>>,
    /// The same of the tab of images.
    pub images: HashMap<u32, Vec<Cell>>,
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

struct ReadBack<'a> {
    rows: &'a [Range<u32>],
    columns: Option<Range<u32>>,
    images: Option<Range<u32>>,
    entered: bool,
}

struct Posted {
    answer: Result<answers::BatchUpdate, Error>,
    /// The first time, the title was not there.
    twice: bool,
}

impl Session {
    pub(super) fn send(&self, target: &Target, batch: Batch) -> Result<Sent, Error> {
        let stamp = batch.stamp;
        let sent = self.send_once(target, batch);
        if stamp.is_some() && matches!(sent, Ok(Sent::Stamped) | Err(_)) {
            // The batch, or an earlier copy of it, may have arrived.
            self.forget_entry(target);
        }
        sent
    }

    fn send_once(&self, target: &Target, batch: Batch) -> Result<Sent, Error> {
        let drop = match self.capabilities().missing_metadata {
            Missing::Refused => self.existing(target, batch.tidy)?,
            _ => batch.tidy.to_vec(),
        };
        let turn = match batch.stamp {
            Some(_) => self.turn(target)?,
            None => Turn::default(),
        };
        let turn_at = usize::from(batch.stamp.is_some());
        let first = turn_at + turn.requests.len();
        let body = first..first + batch.body.len();
        let mut requests: Vec<Request> = batch
            .stamp
            .map(|stamp| stamped(stamp, target.sheet_id))
            .into_iter()
            .chain(turn.requests)
            .chain(batch.body)
            .collect();
        requests.extend(drop.iter().map(|id| tidy::deletion(*id)));
        if requests.is_empty() {
            return Ok(Sent::Applied(Applied::default()));
        }
        let mut update = BatchUpdate::of(requests);
        update.include_spreadsheet_in_response = true;
        let read_back = ReadBack {
            rows: &batch.read_back,
            columns: batch.columns,
            images: batch.images,
            entered: batch.entered,
        };
        let mut posted = self.post_reading_back(target, &mut update, &read_back);
        if let Err(error) = &posted.answer
            && refused_part(error).is_some_and(|request| request >= body.end)
        {
            // Someone has dropped that metadata already, and here this refuses the batch.
            self.learn(|capabilities| capabilities.missing_metadata = Missing::Refused);
            update.requests.truncate(body.end);
            let there = self.existing(target, &drop)?;
            update
                .requests
                .extend(there.into_iter().map(tidy::deletion));
            if update.requests.is_empty() {
                return Ok(Sent::Applied(Applied::default()));
            }
            posted = self.post_reading_back(target, &mut update, &read_back);
        }
        let error = match posted.answer {
            Ok(answer) => {
                self.turn_applied(target, &turn.before, answer.replies.get(turn_at))?;
                let applied = self.applied(target, answer, body, batch.entered);
                return Ok(Sent::Applied(applied));
            }
            Err(error) => error,
        };
        let refused = self.refused(target, error, batch.stamp, &turn.before, body)?;
        match (refused, batch.stamp) {
            // The stamp that stood in the way of the second time is that of the first.
            (Sent::Stamped, Some(stamp)) if posted.twice && self.is_ours(target, stamp)? => {
                self.forget_entry(target);
                Ok(Sent::Applied(Applied::default()))
            }
            (sent, _) => Ok(sent),
        }
    }

    /// The rows to read back can only be named by the tab's title, and titles change. It is not
    /// documented whether a batch with a title that is not there is applied. Sending it again is
    /// safe: what must not happen twice creates metadata, whose ids are unique (G-BATCH-5).
    fn post_reading_back(
        &self,
        target: &Target,
        update: &mut BatchUpdate,
        read_back: &ReadBack,
    ) -> Posted {
        let once = |answer| Posted {
            answer,
            twice: false,
        };
        if read_back.rows.is_empty() && read_back.images.is_none() {
            return once(self.post_batch(target, update, FIELDS));
        }
        let fields = match read_back.entered {
            true => FIELDS_WITH_ENTERED,
            false => FIELDS_WITH_CELLS,
        };
        update.response_include_grid_data = true;
        let named = |tab: Tab| {
            let rows = read_back.rows.iter();
            let rows = rows.map(|rows| match &read_back.columns {
                Some(columns) => range::block(&tab.title, rows, columns),
                None => range::rows(&tab.title, rows.start, rows.end),
            });
            let images = self.images_tab(target).zip(read_back.images.as_ref());
            let images = images.map(|(tab, rows)| range::rows(&tab.title, rows.start, rows.end));
            rows.chain(images).collect()
        };
        match self.tab(target) {
            Ok(tab) => update.response_ranges = named(tab),
            Err(error) => return once(Err(error)),
        }
        let answer = self.post_batch(target, update, fields);
        let unknown = |error: &Error| error.refusal().is_some_and(Refusal::is_unparsable_range);
        if !answer.as_ref().is_err_and(unknown) {
            return once(answer);
        }
        let answer = self.fresh_tab(target).and_then(|tab| {
            update.response_ranges = named(tab);
            self.post_batch(target, update, fields)
        });
        Posted {
            answer,
            twice: true,
        }
    }

    fn post_batch(
        &self,
        target: &Target,
        update: &BatchUpdate,
        fields: &str,
    ) -> Result<answers::BatchUpdate, Error> {
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
        before: &Before,
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
        // Told by its place in the batch and not by its words, which may come in another language
        // (G-BATCH-6).
        if stamp.is_some()
            && refused_part(&error).is_some_and(|request| request > 0 && request < body.start)
        {
            return Err(self.outrun(target, before, error));
        }
        if let Some(stamp) = stamp
            && refused_part(&error) == Some(0)
        {
            return match self.existing(target, &[stamp.id])?.is_empty() {
                false => Ok(Sent::Stamped),
                // Nothing else is known for which new metadata of the tab itself is refused.
                true => Err(Error::MetadataFull),
            };
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
        entered: bool,
    ) -> Applied {
        let mut shown = Applied::default();
        // A title that brings no tab of ours back is somebody else's by now.
        self.forget_tab(target);
        for sheet in answer.updated_spreadsheet.sheets {
            let is_target = sheet.properties.sheet_id == target.sheet_id;
            let is_images = sheet.properties.sheet_id == images_id(target.sheet_id);
            if sheet.properties.title.is_empty() || !(is_target || is_images) {
                continue;
            }
            let rows = match is_target {
                true => &mut shown.rows,
                false => &mut shown.images,
            };
            self.remember(&target.spreadsheet_id, Tab::from(sheet.properties));
            for block in sheet.data {
                let indent = block.start_column as usize;
                for (row, data) in (block.start_row..).zip(block.row_data) {
                    if is_target && entered {
                        let cells = (block.start_column..).zip(&data.values);
                        let computed: Vec<(u32, Computed)> = cells
                            .filter_map(|(at, cell)| Some((at, cell.computed()?)))
                            .collect();
                        if !computed.is_empty() {
                            shown.computed.insert(row, computed);
                        }
                    }
                    let mut cells = vec![Cell::Empty; indent];
                    cells.extend(data.values.iter().map(answers::CellData::cell));
                    rows.insert(row, cells);
                }
            }
        }
        shown.replies = answer
            .replies
            .into_iter()
            .skip(body.start)
            .take(body.len())
            .collect();
        shown
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
        Ok(SheetOutcome::Stamped {
            ours: self.is_ours(target, stamp)?,
        })
    }

    fn is_ours(&self, target: &Target, stamp: &Stamp) -> Result<bool, Error> {
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId,metadataValue))";
        let found = self.metadata_of(target, &[stamp.id], fields)?;
        let mut values = found
            .iter()
            .map(|matched| &matched.developer_metadata.metadata_value);
        Ok(values.any(|value| tidy::stamp_value(value) == stamp.value))
    }
}

fn refused_part(error: &Error) -> Option<usize> {
    match error.refusal()?.part()? {
        Part::Request(request) => Some(request),
        _ => None,
    }
}

/// DOCUMENT, so that a writer with another project's key is shut out too.
fn stamped(stamp: &Stamp, sheet_id: i32) -> Request {
    Request::CreateDeveloperMetadata {
        developer_metadata: DeveloperMetadata {
            metadata_id: stamp.id,
            metadata_key: STAMP_KEY,
            metadata_value: tidy::dated(&stamp.value),
            location: Location::SheetId(sheet_id),
            visibility: Visibility::Document,
        },
    }
}

/// Sorted rows as half-open runs; rows closer than the gap join, so that a scattered thousand does
/// not make a thousand ranges.
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
