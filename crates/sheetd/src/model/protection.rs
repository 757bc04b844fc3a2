//! Protected ranges: who may edit what (G-ERRORS-6).

use serde_json::{Map, Value as Json, json};

use super::area::{Bounds, Rect};
use super::sheet::{ObjectKind, Sheet};
use super::workbook::Workbook;
use crate::errors::{ApiError, ApiResult};

/// What `protectedRanges` shows beside what was sent: `requestingUserCanEdit` depends on who asks.
pub fn complete(_book: &Workbook, out: &mut Map<String, Json>, caller: &str) {
    let open = out.get("warningOnly").and_then(Json::as_bool) == Some(true);
    let editable = open || may_edit(out, caller);
    out.shift_remove("requestingUserCanEdit");
    if editable {
        out.insert("requestingUserCanEdit".to_owned(), true.into());
    }
    // A warning has no list of editors, but the member is there (recorded).
    out.entry("editors").or_insert_with(|| json!({}));
}

fn may_edit(body: &Map<String, Json>, caller: &str) -> bool {
    let users = body.get("editors").and_then(|e| e.get("users")).and_then(Json::as_array);
    users.is_some_and(|u| u.iter().any(|user| user.as_str() == Some(caller)))
}

impl Sheet {
    /// Refuses an edit of protected cells by a caller who is not among their editors.
    pub fn check_protection(&self, rect: &Rect, caller: &str) -> ApiResult<()> {
        // The person in the page owns what is seeded, and owners may edit everything.
        if caller == crate::store::PERSON {
            return Ok(());
        }
        let (rows, columns) = (self.row_count(), self.column_count());
        for object in self.objects_of(ObjectKind::Protected) {
            if object.body.get("warningOnly").and_then(Json::as_bool) == Some(true) || may_edit(&object.body, caller) {
                continue;
            }
            let open = unprotected(&object.body);
            let touched = object.ranges.iter().any(|r| r.clamp(rows, columns).intersects(rect))
                && !open.iter().any(|r| r.clamp(rows, columns).covers(rect));
            if touched {
                return Err(protected());
            }
        }
        Ok(())
    }
}

fn unprotected(body: &Map<String, Json>) -> Vec<Bounds> {
    let ranges = body.get("unprotectedRanges").and_then(Json::as_array);
    ranges.into_iter().flatten().filter_map(|r| super::resolve::bounds(r).ok()).collect()
}

fn protected() -> ApiError {
    ApiError::invalid(
        "You are trying to edit a protected cell or object. Please contact the spreadsheet owner to remove protection if you need to edit.",
    )
}
