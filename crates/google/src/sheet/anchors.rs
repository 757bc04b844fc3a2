//! Anchors: putting them on rows, finding them again, and changing rows only while they stand there.

use std::collections::{BTreeMap, HashMap, HashSet};

use engine::effect::{MetadataId, SheetOutcome, Stamp, TagRow};
use engine::value::Cell;

use super::structure::{Applied, Batch, Sent, runs};
use super::{Answered, Missing, Session, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{
    DataFilter, DeveloperMetadata, DimensionRange, Location, Lookup, Matching, Request, Search,
    Visibility,
};

/// Every character of a key counts against the 30,000 that a tab has for metadata [DOC], so it is one.
pub const ANCHOR_KEY: &str = "~";
/// Stamps stand on the spreadsheet, which has a budget of its own.
pub const STAMP_KEY: &str = "sheet_sync";

/// How often a batch is planned anew when rows move between looking and changing.
const ATTEMPTS: usize = 4;

/// What is to be done at the rows where anchors stand.
pub(super) struct AtAnchors<'a> {
    pub anchors: &'a [MetadataId],
    pub stamp: Option<&'a Stamp>,
    pub tidy: &'a [MetadataId],
    pub read_back: bool,
}

pub(super) enum Settled {
    /// Done for the anchors found, at these rows.
    Applied {
        rows: BTreeMap<MetadataId, u32>,
        applied: Applied,
        /// An anchor was gone when its row was to be checked, and so was the sentinel: another row may have been changed.
        suspect: bool,
    },
    /// Not one of the anchors has a row any more; nothing was sent.
    NoneLeft,
    Stamped,
}

impl Session {
    pub(super) fn tag(
        &self,
        target: &Target,
        rows: &[TagRow],
        tidy: &[MetadataId],
    ) -> Result<SheetOutcome, Error> {
        let batch = Batch {
            stamp: None,
            body: rows
                .iter()
                .map(|tag| anchored(target.sheet_id, tag.anchor, tag.row))
                .collect(),
            tidy,
            read_back: runs(rows.iter().map(|tag| tag.row)),
        };
        let error = match self.send(target, batch) {
            Ok(Sent::Applied(applied)) if answers_cells(&applied, rows) => {
                let mut cells = applied.rows;
                let tagged = rows
                    .iter()
                    .map(|tag| (tag.anchor, cells.remove(&tag.row).unwrap_or_default()));
                return Ok(SheetOutcome::Tagged(tagged.collect()));
            }
            Ok(Sent::Applied(_) | Sent::Stamped) => {
                return Ok(SheetOutcome::Tagged(self.tagged(target, rows)?));
            }
            Ok(Sent::Refused { error, .. }) => error,
            Err(error) => return Err(error),
        };
        // The anchors may stand all the same: an earlier answer was lost, and ids are unique.
        let tagged = self.tagged(target, rows)?;
        match tagged.is_empty() {
            true => Err(error),
            false => Ok(SheetOutcome::Tagged(tagged)),
        }
    }

    fn tagged(
        &self,
        target: &Target,
        rows: &[TagRow],
    ) -> Result<Vec<(MetadataId, Vec<Cell>)>, Error> {
        let anchors: Vec<MetadataId> = rows.iter().map(|tag| tag.anchor).collect();
        let found = self.read_anchored(target, &anchors)?;
        let mut found: HashMap<MetadataId, Vec<Cell>> = found
            .into_iter()
            .map(|row| (row.anchor, row.cells))
            .collect();
        Ok(anchors
            .into_iter()
            .filter_map(|anchor| Some((anchor, found.remove(&anchor)?)))
            .collect())
    }

    /// Metadata that any of these filters names; `fields` is the answer's mask.
    pub(super) fn search(
        &self,
        target: &Target,
        filters: Vec<DataFilter>,
        fields: &str,
    ) -> Result<answers::Found, Error> {
        self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/developerMetadata:search",
            fields,
            &Search(filters),
        )
    }

    /// Where these anchors stand now; those without a row are absent.
    pub(super) fn find(
        &self,
        target: &Target,
        anchors: &[MetadataId],
    ) -> Result<BTreeMap<MetadataId, u32>, Error> {
        if anchors.is_empty() {
            return Ok(BTreeMap::new());
        }
        let filters = anchors.iter().map(|id| DataFilter::metadata(*id)).collect();
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId,location(dimensionRange(sheetId,startIndex))))";
        let found = self.search(target, filters, fields)?;
        let mut rows = BTreeMap::new();
        for matched in found.matched_developer_metadata {
            let metadata = matched.developer_metadata;
            if let Some(place) = metadata
                .location
                .dimension_range
                .filter(|place| place.sheet_id == target.sheet_id)
            {
                rows.insert(metadata.metadata_id, place.start_index);
            }
        }
        Ok(rows)
    }

    /// Send requests that name rows by position, in one batch that is refused as a whole unless every anchor stands where it was
    /// found.
    ///
    /// The check is made of what Google does check: metadata ids are unique. Deleting an anchor *at the row expected* and creating
    /// it there again changes nothing when it stands there; when it stands elsewhere nothing is deleted, and the creation is
    /// refused as a duplicate. An anchor that is gone altogether, with its row, would pass. So one more anchor, the sentinel, is
    /// put on the last row of the tab: whatever row goes above it moves it, and its own check fails.
    pub(super) fn at_anchors(
        &self,
        target: &Target,
        what: &AtAnchors,
        requests: impl Fn(&BTreeMap<MetadataId, u32>) -> Vec<Request>,
    ) -> Result<Settled, Error> {
        let mut sentinels = Vec::new();
        let settled = self.settle(target, what, requests, &mut sentinels);
        // The batch that was applied has dropped them; otherwise it is not known, and dropping them twice does no harm.
        if !matches!(settled, Ok(Settled::Applied { .. })) {
            self.state()
                .litter
                .put_back(&target.spreadsheet_id, &sentinels);
        }
        settled
    }

    fn settle(
        &self,
        target: &Target,
        what: &AtAnchors,
        requests: impl Fn(&BTreeMap<MetadataId, u32>) -> Vec<Request>,
        sentinels: &mut Vec<MetadataId>,
    ) -> Result<Settled, Error> {
        let mut sentinel = None;
        for _ in 0..ATTEMPTS {
            let guard = match sentinel {
                Some(guard) => guard,
                None => match self.place_sentinel(target)? {
                    Some(guard) => guard,
                    None => continue,
                },
            };
            if !sentinels.contains(&guard) {
                sentinels.push(guard);
            }
            let asked: Vec<MetadataId> = what.anchors.iter().copied().chain([guard]).collect();
            let mut rows = self.find(target, &asked)?;
            let guard_row = rows.remove(&guard);
            let Some(lowest) = rows.values().max().copied() else {
                return Ok(Settled::NoneLeft);
            };
            // Otherwise it was deleted, or sorted upwards, and another is needed.
            sentinel = guard_row.filter(|row| *row >= lowest).map(|_| guard);
            let (Some(_), Some(guard_row)) = (sentinel, guard_row) else {
                continue;
            };
            let checked = self.capabilities().anchor_checks != Answered::No;
            let places = rows
                .iter()
                .map(|(anchor, row)| (*anchor, *row))
                .chain([(guard, guard_row)]);
            let mut body: Vec<Request> = match checked {
                true => places
                    .flat_map(|(anchor, row)| asserted(target.sheet_id, anchor, row))
                    .collect(),
                false => Vec::new(),
            };
            let checks = body.len();
            body.extend(requests(&rows));
            let tidy: Vec<MetadataId> = what.tidy.iter().chain(sentinels.iter()).copied().collect();
            let read_back = if what.read_back {
                runs(rows.values().copied())
            } else {
                Vec::new()
            };
            match self.send(
                target,
                Batch {
                    stamp: what.stamp,
                    body,
                    tidy: &tidy,
                    read_back,
                },
            )? {
                Sent::Applied(applied) => {
                    let replies = applied.replies.get(..checks).unwrap_or_default();
                    let missing = |reply| !found_and_deleted(reply);
                    let suspect = !checked || replies.iter().step_by(2).any(missing);
                    return Ok(Settled::Applied {
                        rows,
                        applied,
                        suspect,
                    });
                }
                Sent::Stamped => return Ok(Settled::Stamped),
                Sent::Refused { request, .. } if request < checks => continue,
                Sent::Refused { error, .. } => return Err(error),
            }
        }
        Err(Error::Unsettled("rows kept moving".into()))
    }

    /// Put a sentinel on the tab's last row; `None` where that row is not there any more.
    fn place_sentinel(&self, target: &Target) -> Result<Option<MetadataId>, Error> {
        let last = self.tab(target)?.rows.saturating_sub(1);
        let guard = fastrand::i32(1..=i32::MAX);
        let body = vec![anchored(target.sheet_id, guard, last)];
        match self.send(
            target,
            Batch {
                body,
                ..Batch::default()
            },
        )? {
            Sent::Applied(_) => Ok(Some(guard)),
            _ => Ok(None),
        }
    }

    /// Those of `ids` that exist.
    pub(super) fn existing(
        &self,
        target: &Target,
        ids: &[MetadataId],
    ) -> Result<Vec<MetadataId>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let filters = ids.iter().map(|id| DataFilter::metadata(*id)).collect();
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId))";
        let found = self.search(target, filters, fields)?;
        Ok(found
            .matched_developer_metadata
            .into_iter()
            .map(|matched| matched.developer_metadata.metadata_id)
            .collect())
    }

    /// Which of these anchors a write by filter can name, where naming one without a row refuses the whole write.
    pub(super) fn standing(
        &self,
        target: &Target,
        anchors: &[MetadataId],
    ) -> Result<Option<HashSet<MetadataId>>, Error> {
        match self.capabilities().missing_anchor {
            Missing::Refused => Ok(Some(self.find(target, anchors)?.into_keys().collect())),
            _ => Ok(None),
        }
    }
}

/// False where rows that must hold something (they are being changed) came back without a single cell: then the answer was
/// not what it should be, and the anchors are asked instead.
fn answers_cells(applied: &Applied, rows: &[TagRow]) -> bool {
    rows.is_empty() || !applied.rows.is_empty()
}

/// DOCUMENT like all of ours: PROJECT would hide it from a second cluster with another project's key, which must not take the
/// same id.
pub(super) fn anchored(sheet_id: i32, anchor: MetadataId, row: u32) -> Request {
    Request::CreateDeveloperMetadata {
        developer_metadata: DeveloperMetadata {
            metadata_id: anchor,
            metadata_key: ANCHOR_KEY,
            metadata_value: String::new(),
            location: Location::DimensionRange(DimensionRange::rows(sheet_id, row, row + 1)),
            visibility: Visibility::Document,
        },
    }
}

/// Refused unless the anchor stands on this row (or nowhere); see [`Session::at_anchors`].
pub(super) fn asserted(sheet_id: i32, anchor: MetadataId, row: u32) -> Vec<Request> {
    let here = Lookup {
        metadata_id: Some(anchor),
        metadata_location: Some(Location::DimensionRange(DimensionRange::rows(
            sheet_id,
            row,
            row + 1,
        ))),
        location_matching_strategy: Some(Matching::ExactLocation),
        ..Lookup::default()
    };
    vec![
        Request::DeleteDeveloperMetadata {
            data_filter: DataFilter::DeveloperMetadataLookup(here),
        },
        anchored(sheet_id, anchor, row),
    ]
}

/// Whether the first half of an [`asserted`] found its anchor.
pub(super) fn found_and_deleted(reply: &answers::Reply) -> bool {
    reply
        .delete_developer_metadata
        .as_ref()
        .is_some_and(|deleted| !deleted.deleted_developer_metadata.is_empty())
}
