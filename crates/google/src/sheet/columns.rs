//! Tags on columns: developer metadata that goes with its column through inserts, deletes and
//! moves, and dies with it (G-META-2).
//!
//! A tag's id is made from the tab and the column's name, so there is never more than one for a
//! name, however often it is put and by whomever: another database that syncs the same tab, or the
//! same table registered anew, finds it and uses it.

use engine::effect::{ColumnTag, MetadataId, SheetOutcome};
use engine::value::Cell;

use super::structure::{Batch, Sent};
use super::{Session, Target};
use crate::error::Error;
use crate::requests::{
    DataFilter, DeveloperMetadata, DimensionRange, Location, Lookup, Matching, Request, Visibility,
};

/// Counts once per mapped column against the 30,000 characters that a tab has for metadata
/// (G-META-4): the 1,600 columns that a table may have take a third of them. For the same reason a
/// tag has no value.
pub const COLUMN_KEY: &str = "~column";

impl Session {
    pub(super) fn tag_columns(
        &self,
        target: &Target,
        header: u32,
        tags: &[ColumnTag],
    ) -> Result<SheetOutcome, Error> {
        let batch = Batch {
            body: tags
                .iter()
                .flat_map(|tag| moved(target.sheet_id, tag))
                .collect(),
            read_back: std::iter::once(header..header + 1).collect(),
            ..Batch::default()
        };
        match self.send(target, batch)? {
            Sent::Applied(mut applied) => match applied.rows.remove(&header) {
                Some(cells) => Ok(SheetOutcome::Header(cells)),
                None => self.header_with_tags(target, header, tags),
            },
            Sent::Refused { error, .. } => Err(error),
            Sent::Stamped => Err(Error::Unreadable(
                "a batch without a stamp was stamped".into(),
            )),
        }
    }

    /// Where the answer of a batch shows no cells: the header row, and nothing in it while the tags
    /// stand elsewhere.
    fn header_with_tags(
        &self,
        target: &Target,
        header: u32,
        tags: &[ColumnTag],
    ) -> Result<SheetOutcome, Error> {
        let cells = self.read_span(target, header, Some(header + 1))?;
        let names: Vec<String> = tags.iter().map(|tag| tag.name.clone()).collect();
        let found = self.tagged_columns(target, &names)?;
        let in_place = |tag: &ColumnTag| {
            found
                .iter()
                .any(|(name, at)| *name == tag.name && *at == tag.column)
        };
        let cells: Vec<Cell> = match tags.iter().all(in_place) {
            true => cells.into_iter().next().unwrap_or_default(),
            false => Vec::new(),
        };
        Ok(SheetOutcome::Header(cells))
    }

    pub(super) fn find_columns(
        &self,
        target: &Target,
        names: &[String],
    ) -> Result<SheetOutcome, Error> {
        Ok(SheetOutcome::Columns(self.tagged_columns(target, names)?))
    }

    fn tagged_columns(
        &self,
        target: &Target,
        names: &[String],
    ) -> Result<Vec<(String, u32)>, Error> {
        let ours = Lookup {
            metadata_key: Some(COLUMN_KEY),
            metadata_location: Some(Location::SheetId(target.sheet_id)),
            location_matching_strategy: Some(Matching::IntersectingLocation),
            ..Lookup::default()
        };
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId,metadataKey,location(dimensionRange(sheetId,dimension,startIndex))))";
        let mut columns = Vec::new();
        for matched in self.metadata_by(target, ours, fields)? {
            let metadata = matched.developer_metadata;
            let place = metadata.location.dimension_range.filter(|place| {
                place.sheet_id == target.sheet_id
                    && place.dimension == "COLUMNS"
                    && metadata.metadata_key == COLUMN_KEY
            });
            let of = |name: &&String| id(target.sheet_id, name) == metadata.metadata_id;
            if let (Some(place), Some(name)) = (place, names.iter().find(of)) {
                columns.push((name.clone(), place.start_index));
            }
        }
        Ok(columns)
    }
}

/// FNV-1a: the same in every process and every version, because the ids stay in the sheet.
fn id(sheet_id: i32, name: &str) -> MetadataId {
    let bytes = sheet_id
        .to_be_bytes()
        .into_iter()
        .chain(COLUMN_KEY.bytes())
        .chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i32::try_from((hash ^ (hash >> 32)) & 0x7fff_ffff)
        .unwrap_or(0)
        .max(1)
}

/// Refused where the tag does not stand where it is taken from: then it is not deleted, and ids are
/// unique (G-META-3).
fn moved(sheet_id: i32, tag: &ColumnTag) -> impl Iterator<Item = Request> {
    let id = id(sheet_id, &tag.name);
    let at = |column| Location::DimensionRange(DimensionRange::column(sheet_id, column));
    let taken = tag.from.map(|from| Request::DeleteDeveloperMetadata {
        data_filter: DataFilter::DeveloperMetadataLookup(Lookup {
            metadata_id: Some(id),
            metadata_location: Some(at(from)),
            location_matching_strategy: Some(Matching::ExactLocation),
            ..Lookup::default()
        }),
    });
    let put = Request::CreateDeveloperMetadata {
        developer_metadata: DeveloperMetadata {
            metadata_id: id,
            metadata_key: COLUMN_KEY,
            metadata_value: String::new(),
            location: at(tag.column),
            visibility: Visibility::Document,
        },
    };
    taken.into_iter().chain([put])
}
