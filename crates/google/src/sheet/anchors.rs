//! Anchors: putting them on rows, finding them again, and changing rows only while they stand
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use engine::effect::{MetadataId, Sentinel, Stamp, TagRow};

use super::structure::{Applied, Batch, Sent, runs};
use super::{Answered, Session, Target, tidy};
use crate::answers;
use crate::error::Error;
use crate::requests::{
    DataFilter, DeveloperMetadata, DimensionRange, Location, Lookup, Matching, Request, Visibility,
};

/// Every character of a key counts against the 30,000 that a tab has for metadata (G-META-4), so it
/// is one.
pub const ANCHOR_KEY: &str = "~";
/// Stamps stand on the tab itself: the spreadsheet's own 30,000 characters would have to do for all
/// of its tabs (G-META-4).
pub const STAMP_KEY: &str = "sheet_sync";

/// How often a batch is planned anew when rows move between looking and changing.
const ATTEMPTS: usize = 4;

/// Rows as one request tagged them.
#[derive(Clone, Copy)]
pub(super) struct Tagged<'a> {
    pub rows: &'a [TagRow],
    pub sentinel: Sentinel,
}

impl Tagged<'_> {
    /// Where the anchors were put.
    fn anchors(&self) -> BTreeMap<MetadataId, u32> {
        let anchored = self.rows.iter().filter(|tag| !tag.bare);
        anchored.map(|tag| (tag.anchor, tag.row)).collect()
    }

    /// Rows that have none: their places are known only while no anchor has moved.
    fn bare(&self) -> impl Iterator<Item = u32> {
        let bare = self.rows.iter().filter(|tag| tag.bare);
        bare.map(|tag| tag.row)
    }
}

impl Guard<'_> {
    fn bare(&self) -> Vec<u32> {
        match self {
            Guard::Anchors { .. } => Vec::new(),
            Guard::Tagged(tagged) => tagged.bare().collect(),
        }
    }

    fn sentinel(&self) -> MetadataId {
        match self {
            Guard::Anchors { sentinel, .. } => *sentinel,
            Guard::Tagged(tagged) => tagged.sentinel.anchor,
        }
    }
}

/// How the rows are known.
#[derive(Clone, Copy)]
pub(super) enum Guard<'a> {
    /// By their anchors alone, which are looked for.
    Anchors {
        anchors: &'a [MetadataId],
        sentinel: MetadataId,
    },
    /// And where they were a moment ago.
    Tagged(Tagged<'a>),
}

/// What is to be done at the rows where anchors stand.
#[derive(Clone)]
pub(super) struct AtAnchors<'a> {
    pub anchors: Guard<'a>,
    pub stamp: Option<&'a Stamp>,
    pub tidy: &'a [MetadataId],
    /// Whether to read the rows back, and which of their columns; `None` for all.
    pub read_back: bool,
    pub columns: Option<Range<u32>>,
    /// Rows of the tab of images to read back.
    pub images: Option<Range<u32>>,
    /// The anchors are of no more use.
    pub drops: bool,
}

pub(super) enum Settled {
    /// Done for the anchors found, at these rows.
    Applied {
        rows: BTreeMap<MetadataId, u32>,
        applied: Box<Applied>,
        /// An anchor was gone when its row was to be checked, and so was the sentinel: another row
        /// may have been changed.
        suspect: bool,
        /// Those that were gone.
        gone: BTreeSet<MetadataId>,
    },
    /// Not one of the anchors has a row any more; nothing was sent.
    NoneLeft,
    Stamped,
}

impl Session {
    /// Where these anchors stand now; those without a row are absent.
    pub(super) fn find(
        &self,
        target: &Target,
        anchors: &[MetadataId],
    ) -> Result<BTreeMap<MetadataId, u32>, Error> {
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId,location(dimensionRange(sheetId,startIndex))))";
        let mut rows = BTreeMap::new();
        for matched in self.metadata_of(target, anchors, fields)? {
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

    /// Send requests that name rows by position, in one batch that is refused as a whole unless
    /// every anchor stands where it was found.
    ///
    /// The check is made of what Google does check: metadata ids are unique. Deleting an anchor *at
    /// the row expected* and creating it there again changes nothing when it stands there; when it
    /// stands elsewhere nothing is deleted, and the creation is refused as a duplicate. An anchor
    /// that is gone altogether, with its row, would pass. So one more anchor, the sentinel, is put
    /// on the last row of the tab: whatever row goes above it moves it, and its own check fails.
    /// Where one row goes and another comes at once it stands where it did: then the answer tells
    /// whose anchors were gone.
    pub(super) fn at_anchors(
        &self,
        target: &Target,
        what: &AtAnchors,
        requests: impl Fn(&BTreeMap<MetadataId, u32>) -> Vec<Request>,
    ) -> Result<Settled, Error> {
        let (anchors, mut as_tagged): (Vec<MetadataId>, _) = match what.anchors {
            Guard::Anchors { anchors, .. } => (anchors.to_vec(), None),
            Guard::Tagged(tagged) => {
                let rows = tagged.anchors();
                let lowest = tagged.rows.iter().map(|tag| tag.row).max();
                let anchors = rows.keys().copied().collect();
                // Where nothing checks the places, they are looked up as late as can be.
                let checked = self.capabilities().anchor_checks != Answered::No;
                let reaches = |row: &u32| lowest.is_some_and(|lowest| *row >= lowest);
                let known = tagged.sentinel.row.filter(|row| checked && reaches(row));
                (anchors, known.map(|known| (rows, known)))
            }
        };
        let sentinel = what.anchors.sentinel();
        let bare = what.anchors.bare();
        for _ in 0..ATTEMPTS {
            if let Some((rows, known)) = as_tagged.take() {
                if let Some(settled) = self.change(target, what, rows, known, &requests)? {
                    return Ok(settled);
                }
                if !bare.is_empty() {
                    return Err(moved());
                }
                continue;
            }
            let asked: Vec<MetadataId> = anchors.iter().copied().chain([sentinel]).collect();
            let mut rows = self.find(target, &asked)?;
            let stands = rows.remove(&sentinel);
            if let Guard::Tagged(tagged) = what.anchors
                && !bare.is_empty()
                && rows != tagged.anchors()
            {
                return Err(moved());
            }
            let Some(lowest) = rows.values().chain(&bare).max().copied() else {
                return Ok(Settled::NoneLeft);
            };
            match stands.filter(|row| *row >= lowest) {
                Some(known) => {
                    if let Some(settled) = self.change(target, what, rows, known, &requests)? {
                        return Ok(settled);
                    }
                }
                // Its row was deleted, or sorted upwards.
                None => self.place_sentinel(target, sentinel, stands)?,
            }
        }
        Err(moved())
    }

    /// `None` where an anchor does not stand where it should.
    fn change(
        &self,
        target: &Target,
        what: &AtAnchors,
        rows: BTreeMap<MetadataId, u32>,
        sentinel_row: u32,
        requests: &impl Fn(&BTreeMap<MetadataId, u32>) -> Vec<Request>,
    ) -> Result<Option<Settled>, Error> {
        let checked = self.capabilities().anchor_checks != Answered::No;
        let mut body: Vec<Request> = Vec::new();
        if checked {
            let sentinel = what.anchors.sentinel();
            body.extend(asserted(target.sheet_id, sentinel, sentinel_row));
            for (anchor, row) in &rows {
                body.extend(match what.drops {
                    true => asserted_at_last(target.sheet_id, *anchor, *row),
                    false => asserted(target.sheet_id, *anchor, *row),
                });
            }
        }
        let checks = body.len();
        body.extend(requests(&rows));
        let spent: Vec<MetadataId> = match what.drops {
            true => rows.keys().copied().collect(),
            false => Vec::new(),
        };
        let tidy: Vec<MetadataId> = what.tidy.iter().chain(&spent).copied().collect();
        let read_back = if what.read_back {
            runs(rows.values().copied().chain(what.anchors.bare()))
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
                columns: what.columns.clone(),
                images: what.images.clone(),
                entered: false,
            },
        )? {
            Sent::Applied(applied) => {
                let replies = applied.replies.get(..checks).unwrap_or_default();
                let missing = |reply| !found_and_deleted(reply);
                let suspect = !checked || replies.iter().step_by(2).any(missing);
                // The first check is the sentinel's.
                let checked = replies.iter().step_by(2).skip(1).zip(rows.keys());
                let gone = checked.filter(|(reply, _)| missing(reply));
                let gone = gone.map(|(_, anchor)| *anchor).collect();
                Ok(Some(Settled::Applied {
                    rows,
                    applied: Box::new(applied),
                    suspect,
                    gone,
                }))
            }
            Sent::Stamped => Ok(Some(Settled::Stamped)),
            Sent::Refused { request, .. } if request < checks => Ok(None),
            Sent::Refused { error, .. } => Err(error),
        }
    }

    /// Puts the sentinel on the tab's last row, away from where it stands. Where rows move in that
    /// moment it may come elsewhere, or the request is refused: the next look tells.
    fn place_sentinel(
        &self,
        target: &Target,
        sentinel: MetadataId,
        stands: Option<u32>,
    ) -> Result<(), Error> {
        let last = self.tab(target)?.rows.saturating_sub(1);
        let body = match stands {
            Some(_) => vec![tidy::deletion(sentinel)],
            None => Vec::new(),
        };
        let body = body.into_iter();
        let body = body.chain([anchored(target.sheet_id, sentinel, last)]);
        let batch = Batch {
            body: body.collect(),
            ..Batch::default()
        };
        self.send(target, batch)?;
        Ok(())
    }

    /// Those of `ids` that exist.
    pub(super) fn existing(
        &self,
        target: &Target,
        ids: &[MetadataId],
    ) -> Result<Vec<MetadataId>, Error> {
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId))";
        let found = self.metadata_of(target, ids, fields)?;
        Ok(found
            .into_iter()
            .map(|matched| matched.developer_metadata.metadata_id)
            .collect())
    }
}

fn moved() -> Error {
    Error::Unsettled("rows kept moving".into())
}

/// DOCUMENT like all of ours: PROJECT would hide it from a second cluster with another project's
/// key, which must not take the same id (G-META-9).
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

/// The same for an anchor that the batch drops: creating it anywhere checks that it is not
/// elsewhere, and this is shorter.
fn asserted_at_last(sheet_id: i32, anchor: MetadataId, row: u32) -> Vec<Request> {
    let mut requests = asserted(sheet_id, anchor, row);
    if let Some(Request::CreateDeveloperMetadata { developer_metadata }) = requests.last_mut() {
        developer_metadata.location = Location::SheetId(sheet_id);
    }
    requests
}

/// What putting an anchor on a row takes, and what it takes to make a batch depend on it and drop
/// it, or leave it there; for those who count bytes.
#[cfg(test)]
pub(crate) fn of_a_row(sheet_id: i32, anchor: MetadataId, row: u32) -> [Vec<Request>; 3] {
    let mut guard = asserted_at_last(sheet_id, anchor, row);
    guard.push(tidy::deletion(anchor));
    let kept = asserted(sheet_id, anchor, row);
    [vec![anchored(sheet_id, anchor, row)], guard, kept]
}

/// Whether the first half of an [`asserted`] found its anchor.
pub(super) fn found_and_deleted(reply: &answers::Reply) -> bool {
    reply
        .delete_developer_metadata
        .as_ref()
        .is_some_and(|deleted| !deleted.deleted_developer_metadata.is_empty())
}
