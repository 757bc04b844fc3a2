//! Dropping our metadata when it is of no more use: a tab has room for 30,000 characters of it
//! (G-META-4).

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::effect::{MetadataId, SheetOutcome};

use super::anchors::{ANCHOR_KEY, STAMP_KEY};
use super::{Session, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{BatchUpdate, DataFilter, Location, Lookup, Matching, Request};

/// A stamp must outlive every copy of its batch that may still be under way (G-LOST-2).
const STAMP_LIFE: Duration = Duration::from_secs(15 * 60);

/// Deletions in one request.
const MOST_AT_ONCE: usize = 5_000;
const MOST_ALONG_THE_WAY: usize = 100;

/// Metadata to be dropped, per spreadsheet. What is lost with the process is found by
/// [`Session::tidy_all`].
#[derive(Debug, Default)]
pub(super) struct Litter {
    of: HashMap<String, Vec<(Instant, MetadataId)>>,
}

impl Litter {
    /// Take what may be dropped now.
    pub fn due(&mut self, spreadsheet_id: &str) -> Vec<MetadataId> {
        let Some(waiting) = self.of.get_mut(spreadsheet_id) else {
            return Vec::new();
        };
        let now = Instant::now();
        let mut due = Vec::new();
        waiting.retain(|(at, id)| {
            let take = *at <= now && due.len() < MOST_ALONG_THE_WAY;
            if take {
                due.push(*id);
            }
            !take
        });
        due
    }

    pub fn put_back(&mut self, spreadsheet_id: &str, ids: &[MetadataId]) {
        let now = Instant::now();
        self.of
            .entry(spreadsheet_id.to_owned())
            .or_default()
            .extend(ids.iter().map(|id| (now, *id)));
    }

    /// A stamp that was applied: to be dropped when it is old.
    pub fn age(&mut self, spreadsheet_id: &str, stamp: MetadataId) {
        let due = Instant::now() + STAMP_LIFE;
        self.of
            .entry(spreadsheet_id.to_owned())
            .or_default()
            .push((due, stamp));
    }
}

impl Session {
    /// Drop every anchor of ours on this tab, and stamps that have outlived their use.
    pub(super) fn tidy_all(&self, target: &Target) -> Result<SheetOutcome, Error> {
        let anchors = Lookup {
            metadata_key: Some(ANCHOR_KEY),
            metadata_location: Some(Location::SheetId(target.sheet_id)),
            location_matching_strategy: Some(Matching::IntersectingLocation),
            ..Lookup::default()
        };
        let stamps = Lookup {
            metadata_key: Some(STAMP_KEY),
            ..Lookup::default()
        };
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId,metadataValue,location(dimensionRange(startIndex))))";
        let found = self.metadata_by_either(target, [anchors, stamps], fields)?;
        let found = found.into_iter().map(|matched| matched.developer_metadata);
        let (spent, standing): (Vec<_>, Vec<_>) = found.partition(is_spent);
        let ids: Vec<MetadataId> = spent.iter().map(|metadata| metadata.metadata_id).collect();
        for ids in ids.chunks(MOST_AT_ONCE) {
            let update = BatchUpdate::of(ids.iter().map(|id| deletion(*id)).collect());
            let dropped: Result<answers::BatchUpdate, Error> = self.client.post(
                Purpose::Write,
                &target.spreadsheet_id,
                ":batchUpdate",
                "spreadsheetId",
                &update,
            );
            match dropped {
                // One of them went at the same moment, by another hand. What is left is found the
                // next time.
                Err(error)
                    if error
                        .refusal()
                        .is_some_and(|refusal| refusal.http_status == 400) => {}
                dropped => drop(dropped?),
            }
        }
        let stamps = standing
            .iter()
            .filter(|metadata| metadata.location.dimension_range.is_none());
        let stamps = stamps.map(|metadata| metadata.metadata_id);
        Ok(SheetOutcome::Tidied(stamps.collect()))
    }
}

pub(super) fn deletion(id: MetadataId) -> Request {
    Request::DeleteDeveloperMetadata {
        data_filter: DataFilter::metadata(id),
    }
}

/// A stamp's value with the time it was made, so that a later process knows its age.
pub(super) fn dated(value: &str) -> String {
    format!("{value}@{}", unix_seconds())
}

/// The value that [`dated`] was given.
pub(super) fn stamp_value(dated: &str) -> &str {
    dated.rsplit_once('@').map_or(dated, |(value, _)| value)
}

/// Our anchors have no value: one that has is another tool's, with the same one-character key.
fn is_spent(metadata: &answers::DeveloperMetadata) -> bool {
    match metadata.location.dimension_range {
        Some(_) => metadata.metadata_value.is_empty(),
        None => is_old(&metadata.metadata_value),
    }
}

fn is_old(dated: &str) -> bool {
    let made: Option<u64> = dated
        .rsplit_once('@')
        .and_then(|(_, seconds)| seconds.parse().ok());
    made.is_none_or(|made| unix_seconds().saturating_sub(made) > STAMP_LIFE.as_secs())
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
