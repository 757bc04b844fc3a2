//! createDeveloperMetadata, updateDeveloperMetadata, deleteDeveloperMetadata.

use serde_json::{Value as Json, json};

use super::{Context, fields};
use crate::errors::{ApiError, ApiResult};
use crate::model::workbook::Workbook;
use crate::options::{DeleteByKey, Unmatched};

pub fn create(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let given = body.get("developerMetadata").unwrap_or(&Json::Null);
    let project = context.project.clone();
    if let Some(id) = given.get("metadataId").and_then(Json::as_i64)
        && context.options.recreate_metadata_in_batch == Unmatched::Refuse
        && context.deleted_metadata.contains(&id)
    {
        return Err(crate::model::metadata::id_in_use(id));
    }
    let entry = book.create_metadata(given, &project, || context.fresh_id())?;
    Ok(json!({ "developerMetadata": entry.json() }))
}

pub fn update(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let mask = fields(body, "DeveloperMetadata")?;
    let given = body.get("developerMetadata").unwrap_or(&Json::Null);
    let filters = body.get("dataFilters").and_then(Json::as_array).cloned().unwrap_or_default();
    if filters.is_empty() {
        return Err(ApiError::invalid("Must specify at least one dataFilter."));
    }
    let mut ids: Vec<i64> = Vec::new();
    for filter in &filters {
        for entry in book.filtered_metadata(filter, &context.project)? {
            if !ids.contains(&entry.id) {
                ids.push(entry.id);
            }
        }
    }
    let changed = book.update_metadata(&ids, given, &mask)?;
    if changed.is_empty() {
        return Ok(json!({}));
    }
    Ok(json!({ "developerMetadata": changed.iter().map(|m| m.json()).collect::<Vec<_>>() }))
}

/// It is not known whether a delete that matches nothing is refused (G-META-5), and whether one key
/// deletes all its entries: options.
pub fn delete(book: &mut Workbook, body: &Json, context: &mut Context) -> ApiResult<Json> {
    let Some(filter) = body.get("dataFilter") else {
        return Err(ApiError::invalid("Must specify a dataFilter."));
    };
    let mut ids: Vec<i64> = book.filtered_metadata(filter, &context.project)?.iter().map(|m| m.id).collect();
    if ids.is_empty() && context.options.delete_metadata_without_match == Unmatched::Refuse {
        return Err(ApiError::invalid("No developer metadata matched the specified dataFilter."));
    }
    if context.options.delete_metadata_by_key == DeleteByKey::One {
        ids.truncate(1);
    }
    context.deleted_metadata.extend(&ids);
    let deleted: Vec<Json> = ids.iter().filter_map(|id| book.metadata.remove(*id)).map(|m| m.json()).collect();
    if deleted.is_empty() {
        return Ok(json!({}));
    }
    Ok(json!({ "deletedDeveloperMetadata": deleted }))
}
