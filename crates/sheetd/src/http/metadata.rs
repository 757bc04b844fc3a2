//! developerMetadata.get and search.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::answer::Answer;
use super::call::Call;
use super::token::project_of;
use crate::errors::{ApiError, ApiResult};
use crate::model::metadata::{Metadata, matched_json};
use crate::store::Store;

pub fn get(store: &Store, call: &Call) -> ApiResult<Answer> {
    let book = store.book(&call.route.id, &call.caller)?;
    let Ok(id) = call.route.rest.parse::<i64>() else {
        let text = format!("Invalid value at 'metadata_id' (TYPE_INT32), \"{}\"", call.route.rest);
        return Err(ApiError::bad_request(text.clone(), &[("metadata_id".to_owned(), text)]));
    };
    let project = project_of(&call.caller);
    let entry = book.metadata.get(id).filter(|m| m.shown_to(&project)).ok_or_else(|| ApiError::no_metadata(id))?;
    Ok(call.answer(&entry.json()))
}

/// Entries found by several filters come once, with all of them (G-META-10).
pub fn search(store: &Store, call: &Call) -> ApiResult<Answer> {
    let book = store.book(&call.route.id, &call.caller)?;
    let project = project_of(&call.caller);
    let filters = call.body.get("dataFilters").and_then(Json::as_array).cloned().unwrap_or_default();
    if filters.is_empty() {
        return Err(ApiError::invalid("Must specify at least one dataFilter."));
    }
    let mut found: Vec<(&Metadata, Vec<&Json>)> = Vec::new();
    let mut places: HashMap<i64, usize> = HashMap::new();
    for (at, filter) in filters.iter().enumerate() {
        let entries = book.filtered_metadata(filter, &project)?;
        store.options().read_without_match.check(entries.is_empty(), at)?;
        for entry in entries {
            let place = *places.entry(entry.id).or_insert(found.len());
            match found.get_mut(place) {
                Some((_, filters)) => filters.push(filter),
                None => found.push((entry, vec![filter])),
            }
        }
    }
    if found.is_empty() {
        return Ok(call.answer(&json!({})));
    }
    let matched: Vec<Json> = found.iter().map(|(entry, filters)| matched_json(entry, filters)).collect();
    Ok(call.answer(&json!({ "matchedDeveloperMetadata": matched })))
}
