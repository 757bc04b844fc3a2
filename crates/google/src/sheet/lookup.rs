//! Looking for metadata of ours that may be gone.
//!
//! People delete rows, and what stood on them goes with them. That a filter which matches nothing
//! is no more than an answer with one entry less is how the service was seen to behave, and not
//! what it promises. Where such a filter refuses the whole request, our metadata are asked for by
//! their keys, which are never many, and what is not among them is gone.

use std::collections::HashSet;

use engine::effect::MetadataId;

use super::anchors::{ANCHOR_KEY, STAMP_KEY};
use super::writer::WRITER_KEY;
use super::{Session, Target};
use crate::answers::{Found, Matched};
use crate::error::{Error, Purpose};
use crate::requests::{DataFilter, Lookup, Search};

impl Session {
    /// The metadata of these ids, as far as they are there; `fields` is the answer's mask and names
    /// the ids.
    pub(super) fn metadata_of(
        &self,
        target: &Target,
        ids: &[MetadataId],
        fields: &str,
    ) -> Result<Vec<Matched>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let filters = ids.iter().map(|id| DataFilter::metadata(*id)).collect();
        let error = match self.search(target, filters, fields) {
            Ok(found) => return Ok(found.matched_developer_metadata),
            Err(error) => error,
        };
        if !may_have_matched_nothing(&error) {
            return Err(error);
        }
        let wanted: HashSet<MetadataId> = ids.iter().copied().collect();
        let mut found = Vec::new();
        for key in [ANCHOR_KEY, STAMP_KEY, WRITER_KEY] {
            let ours = Lookup {
                metadata_key: Some(key),
                ..Lookup::default()
            };
            found.extend(self.metadata_by(target, ours, fields)?);
        }
        found.retain(|matched| wanted.contains(&matched.developer_metadata.metadata_id));
        Ok(found)
    }

    /// What a single lookup finds, be it nothing.
    pub(super) fn metadata_by(
        &self,
        target: &Target,
        lookup: Lookup,
        fields: &str,
    ) -> Result<Vec<Matched>, Error> {
        let filters = vec![DataFilter::DeveloperMetadataLookup(lookup)];
        match self.search(target, filters, fields) {
            Ok(found) => Ok(found.matched_developer_metadata),
            Err(error) if may_have_matched_nothing(&error) => {
                // What is wrong with the spreadsheet as a whole shows here too.
                self.overview(&target.spreadsheet_id)?;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// What either of two lookups finds.
    pub(super) fn metadata_by_either(
        &self,
        target: &Target,
        lookups: [Lookup; 2],
        fields: &str,
    ) -> Result<Vec<Matched>, Error> {
        let filters = lookups.clone().map(DataFilter::DeveloperMetadataLookup);
        match self.search(target, filters.to_vec(), fields) {
            Ok(found) => Ok(found.matched_developer_metadata),
            Err(error) if may_have_matched_nothing(&error) => {
                let mut found = Vec::new();
                for lookup in lookups {
                    found.extend(self.metadata_by(target, lookup, fields)?);
                }
                Ok(found)
            }
            Err(error) => Err(error),
        }
    }

    /// Metadata that any of these filters names.
    fn search(
        &self,
        target: &Target,
        filters: Vec<DataFilter>,
        fields: &str,
    ) -> Result<Found, Error> {
        self.client.post(
            Purpose::Read,
            &target.spreadsheet_id,
            "/developerMetadata:search",
            fields,
            &Search(filters),
        )
    }
}

/// Not told by its words, which nobody has seen.
pub(super) fn may_have_matched_nothing(error: &Error) -> bool {
    error
        .refusal()
        .is_some_and(|refusal| refusal.http_status == 400 && !refusal.is_missing_grid())
}
