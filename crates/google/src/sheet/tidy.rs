//! Dropping our metadata when it is of no more use: a tab has room for 30,000 characters of it
//! (G-META-4).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::effect::{MetadataId, SheetOutcome, StandingStamp};

use super::anchors::{ANCHOR_KEY, STAMP_KEY};
use super::{Session, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{BatchUpdate, DataFilter, Location, Lookup, Matching, Request};

/// A stamp must outlive every copy of its batch that may still be under way (G-LOST-2).
const STAMP_LIFE: Duration = Duration::from_secs(15 * 60);

/// Deletions in one request.
const MOST_AT_ONCE: usize = 5_000;

impl Session {
    /// Drop every anchor of ours on this tab, and its stamps that have outlived their use.
    pub(super) fn tidy_all(&self, target: &Target) -> Result<SheetOutcome, Error> {
        let anchors = Lookup {
            metadata_key: Some(ANCHOR_KEY),
            metadata_location: Some(Location::SheetId(target.sheet_id)),
            location_matching_strategy: Some(Matching::IntersectingLocation),
            ..Lookup::default()
        };
        let stamps = Lookup {
            metadata_key: Some(STAMP_KEY),
            metadata_location: Some(Location::SheetId(target.sheet_id)),
            location_matching_strategy: Some(Matching::IntersectingLocation),
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
        let stamps = stamps.filter_map(|metadata| {
            let age = age_seconds(&metadata.metadata_value)?;
            Some(StandingStamp {
                id: metadata.metadata_id,
                age_micros: i64::try_from(age).ok()?.checked_mul(1_000_000)?,
            })
        });
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

/// One without a date is none of ours, or of long ago.
fn is_old(dated: &str) -> bool {
    age_seconds(dated).is_none_or(|age| age > STAMP_LIFE.as_secs())
}

fn age_seconds(dated: &str) -> Option<u64> {
    let (_, made) = dated.rsplit_once('@')?;
    Some(unix_seconds().saturating_sub(made.parse().ok()?))
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
