//! Faults that are injected into chosen requests.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::edit::Action as EditAction;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Matching requests to let pass first.
    #[serde(default)]
    pub after: u32,
    /// How many requests it hits.
    #[serde(default = "once")]
    pub times: u32,
    pub action: Action,
}

fn once() -> u32 {
    1
}

/// Every member given must hold; none given matches all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_contains: Option<String>,
    /// A method's name such as `values.batchUpdate`, or `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    BeforeApply,
    AfterApply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The connection ends in the middle of the body.
    Cut,
    /// The body has its length, but is no JSON.
    Garbled,
}

/// What happens to the request; members may be combined.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Action {
    /// Answers with Google's error of this status, without applying anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Replaces the error's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Closes the connection without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<When>,
    /// Resets the connection: the client's system reports it as broken instead of ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<When>,
    /// Keeps silent for `ms`, then closes the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Damage>,
    /// A person's edit right after the request was applied and its answer made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<EditAction>,
    /// A person's edit right before the request is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit_before: Option<EditAction>,
    /// The tab of the edit: title or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<Json>,
    /// The spreadsheet of the edit, where it is not that of the request.
    #[serde(rename = "spreadsheetId", skip_serializing_if = "Option::is_none")]
    pub spreadsheet_id: Option<String>,
    /// Status 200 with the later half of the rows missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// The faults that wait, in the order given.
#[derive(Debug, Default)]
pub struct Plan(Vec<Fault>);

impl Plan {
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn list(&self) -> &[Fault] {
        &self.0
    }

    /// Counts a request, and gives what shall happen to it: the actions of all faults that are due.
    pub fn take(&mut self, kind: &str, method: &str, path: &str) -> Vec<Action> {
        let mut due = Vec::new();
        for fault in &mut self.0 {
            if fault.times == 0 || !fault.matches.fits(kind, method, path) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else {
                fault.times -= 1;
                due.push(fault.action.clone());
            }
        }
        self.0.retain(|f| f.times > 0);
        due
    }
}

impl Match {
    fn fits(&self, kind: &str, method: &str, path: &str) -> bool {
        self.kind.as_deref().is_none_or(|k| k == kind)
            && self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method))
            && self.path_contains.as_deref().is_none_or(|p| path.contains(p))
    }
}

/// Drops the later half of the rows of every list of values in an answer.
pub fn partial(body: &[u8]) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Json>(body) else {
        return body.to_vec();
    };
    halve(&mut json);
    crate::http::answer::print(&json, true)
}

fn halve(json: &mut Json) {
    match json {
        Json::Object(members) => {
            for (name, value) in members.iter_mut() {
                match value {
                    Json::Array(rows) if matches!(name.as_str(), "values" | "rowData" | "valueRanges") => {
                        rows.truncate(rows.len() / 2);
                    }
                    other => halve(other),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(halve),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_matching_requests_only() {
        let mut plan = Plan::default();
        let fault = json!({ "match": { "kind": "values.get" }, "after": 1, "times": 2, "action": { "status": 503 } });
        plan.add(serde_json::from_value(fault).unwrap());
        let mut hit = |kind: &str| !plan.take(kind, "GET", "/").is_empty();
        let hits = ["values.get", "values.update", "values.get", "values.get", "values.get"].map(&mut hit);
        assert_eq!(hits, [false, false, true, true, false]);
    }
}
