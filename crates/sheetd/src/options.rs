//! Behaviours that can be switched while the server runs, mostly where Google's own is unverified.

use serde::{Deserialize, Serialize};

use crate::errors::{ApiError, ApiResult};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NullCells {
    Skip,
    Clear,
}

/// What happens where a filter matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unmatched {
    #[serde(rename = "ok", alias = "drop")]
    Accept,
    #[serde(rename = "400")]
    Refuse,
}

impl Unmatched {
    /// The refusal of the filter in this place, where that is the switch and the filter has matched
    /// nothing.
    pub fn check(self, nothing: bool, at: usize) -> ApiResult<()> {
        match self == Unmatched::Refuse && nothing {
            true => Err(ApiError::invalid(format!("Invalid dataFilter[{at}]: The dataFilter matched nothing."))),
            false => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeleteByKey {
    All,
    One,
}

/// How an error cell reads in a typed rendering (G-VALUES-6): the code alone, or with its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorText {
    Code,
    Message,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppendUnderFilter {
    Added,
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaMode {
    Off,
    Google,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `null` in values:batchUpdateByDataFilter (G-STANDIN-2).
    pub data_filter_nulls: NullCells,
    /// values:batchUpdateByDataFilter with a filter that matches nothing.
    pub data_filter_write_without_match: Unmatched,
    pub delete_metadata_without_match: Unmatched,
    /// A lookup of developer metadata that matches nothing, in a request that only reads (it was
    /// seen to be accepted: G-META-8).
    pub read_without_match: Unmatched,
    pub delete_metadata_by_key: DeleteByKey,
    /// Developer metadata made with an id whose former entry the same batch deleted (G-META-6).
    pub recreate_metadata_in_batch: Unmatched,
    pub error_text: ErrorText,
    /// values.append while a basic filter hides rows: `lost` answers 200 and adds nothing, as users
    /// saw (G-STANDIN-1).
    pub append_under_filter: AppendUnderFilter,
    /// Whether batchUpdate answers carry `commentUpdateState` (G-JSON-3).
    pub comment_update_state: bool,
    /// Whether batchUpdate answers carry the cells that `responseRanges` name: assumed (G-BATCH-3).
    pub cells_in_batch_answers: bool,
    /// Delay before every answer.
    pub latency_ms: u64,
    pub quota: QuotaMode,
    pub reads_per_minute_per_user: u32,
    pub writes_per_minute_per_user: u32,
    pub reads_per_minute_per_project: u32,
    pub writes_per_minute_per_project: u32,
    /// How long Drive's version and modifiedTime lag behind a change of values (G-DRIVE-1).
    pub drive_lag_seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_filter_nulls: NullCells::Skip,
            data_filter_write_without_match: Unmatched::Accept,
            delete_metadata_without_match: Unmatched::Accept,
            read_without_match: Unmatched::Accept,
            delete_metadata_by_key: DeleteByKey::All,
            recreate_metadata_in_batch: Unmatched::Accept,
            error_text: ErrorText::Code,
            append_under_filter: AppendUnderFilter::Added,
            comment_update_state: false,
            cells_in_batch_answers: true,
            latency_ms: 0,
            quota: QuotaMode::Off,
            reads_per_minute_per_user: 60,
            writes_per_minute_per_user: 60,
            reads_per_minute_per_project: 300,
            writes_per_minute_per_project: 300,
            drive_lag_seconds: 180,
        }
    }
}
