//! Errors as Google words them, and the two envelopes in which they travel.

use serde_json::{Value, json};

/// A refusal that a Sheets or Drive method answers with.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub code: u16,
    pub status: &'static str,
    pub message: String,
    pub details: Vec<Value>,
}

pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), details: Vec::new() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    /// A `BadRequest` whose violations are (field, description) (G-ERRORS-2).
    pub fn bad_request(message: impl Into<String>, violations: &[(String, String)]) -> Self {
        let violations: Vec<Value> = violations
            .iter()
            .map(|(field, description)| {
                if field.is_empty() {
                    json!({ "description": description })
                } else {
                    json!({ "field": field, "description": description })
                }
            })
            .collect();
        let mut error = Self::invalid(message);
        error.details =
            vec![json!({ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations })];
        error
    }

    pub fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "Requested entity was not found.")
    }

    pub fn no_metadata(id: i64) -> Self {
        Self::new(404, "NOT_FOUND", format!("No developer metadata with ID {id}"))
    }

    pub fn forbidden() -> Self {
        Self::new(403, "PERMISSION_DENIED", "The caller does not have permission")
    }

    /// An API that is switched off in the caller's project (G-ERRORS-4).
    pub fn service_disabled(service: &str, title: &str) -> Self {
        let project = crate::http::token::PROJECT_NUMBER;
        let url = format!("https://console.developers.google.com/apis/api/{service}/overview?project={project}");
        let message = format!(
            "{title} has not been used in project {project} before or it is disabled. Enable it by visiting {url} then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
        );
        let mut error = Self::new(403, "PERMISSION_DENIED", message.clone());
        error.details = vec![
            json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com",
                "metadata": { "activationUrl": url, "consumer": format!("projects/{project}"), "containerInfo": project,
                    "service": service, "serviceTitle": title } }),
            json!({ "@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message }),
            json!({ "@type": "type.googleapis.com/google.rpc.Help",
                "links": [{ "description": "Google developers console API activation", "url": url }] }),
        ];
        error
    }

    /// A project named in `x-goog-user-project` that the caller may not use; as it is quoted in
    /// reports.
    pub fn user_project_denied(service: &str, project: &str) -> Self {
        let url = format!("https://console.developers.google.com/iam-admin/iam/project?project={project}");
        let message = format!(
            "Caller does not have required permission to use project {project}. Grant the caller the roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission, by visiting {url} and then retry. Propagation of the new permission may take a few minutes."
        );
        let mut error = Self::new(403, "PERMISSION_DENIED", message);
        error.details = vec![
            json!({ "@type": "type.googleapis.com/google.rpc.Help",
                "links": [{ "description": "Google developer console IAM admin", "url": url }] }),
            json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "USER_PROJECT_DENIED", "domain": "googleapis.com",
                "metadata": { "service": service, "consumer": format!("projects/{project}") } }),
        ];
        error
    }

    pub fn insufficient_scope(service: &str, method: &str) -> Self {
        let mut error = Self::new(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.");
        error.details = vec![json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain": "googleapis.com",
            "metadata": { "service": service, "method": method } })];
        error
    }

    /// No credential at all on a GET (G-ERRORS-5).
    pub fn unregistered_caller() -> Self {
        Self::new(
            403,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
        )
    }

    pub fn missing_credential() -> Self {
        Self::new(
            401,
            "UNAUTHENTICATED",
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        )
    }

    pub fn invalid_credential() -> Self {
        Self::new(
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        )
    }

    pub fn internal() -> Self {
        Self::new(500, "INTERNAL", "Internal error encountered.")
    }

    /// The answer that an injected fault gives for a status.
    pub fn injected(status: u16) -> Self {
        match status {
            401 => Self::invalid_credential(),
            403 => Self::forbidden(),
            404 => Self::not_found(),
            409 => Self::new(409, "ABORTED", "The operation was aborted."),
            429 => Self::quota(crate::http::quota::Bucket::READ_USER, 60),
            500 => Self::internal(),
            502 => Self::new(502, "UNAVAILABLE", "Bad Gateway"),
            503 => Self::new(503, "UNAVAILABLE", "The service is currently unavailable."),
            504 => Self::new(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
            code => Self::new(code, "UNKNOWN", "Unknown Error."),
        }
    }

    /// The recorded 429 (G-QUOTA-2), worded for one of the four limits.
    pub fn quota(bucket: crate::http::quota::Bucket, limit: u32) -> Self {
        let project = crate::http::token::PROJECT_NUMBER;
        let mut error = Self::new(
            429,
            "RESOURCE_EXHAUSTED",
            format!(
                "Quota exceeded for quota metric '{}' and limit '{}' of service 'sheets.googleapis.com' for consumer 'project_number:{project}'.",
                bucket.metric_title(),
                bucket.limit_title()
            ),
        );
        error.details = vec![
            json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com",
                "metadata": { "quota_limit_value": limit.to_string(), "service": "sheets.googleapis.com",
                    "consumer": format!("projects/{project}"), "quota_unit": bucket.unit(), "quota_location": "global",
                    "quota_metric": bucket.metric(), "quota_limit": bucket.limit() } }),
            json!({ "@type": "type.googleapis.com/google.rpc.Help", "links": [{ "description": "Request a higher quota limit.",
                "url": "https://cloud.google.com/docs/quotas/help/request_increase" }] }),
        ];
        error
    }

    /// The same refusal, said of one request of a batch: `Invalid requests[0].addSheet: ...`.
    pub fn within(mut self, place: &str) -> Self {
        if self.code == 400 && self.details.is_empty() {
            self.message = format!("Invalid {place}: {}", self.message);
        }
        self
    }

    /// `google.rpc.Status` as the Sheets API prints it.
    pub fn sheets_body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message, "status": self.status });
        if !self.details.is_empty() {
            error["details"] = Value::Array(self.details.clone());
        }
        json!({ "error": error })
    }

    /// The first format of errors, which `$.xgafv=1` asks for (G-STANDIN-7).
    pub fn first_format_body(&self) -> Value {
        let typed = !self.details.is_empty() && self.code == 400;
        let reason = match (self.code, typed) {
            (400, true) => "invalid",
            (400, _) if self.message.starts_with("Invalid JSON payload") => "parseError",
            (400, _) => "badRequest",
            (401, _) => "authError",
            (404, _) => "notFound",
            (429, _) => "rateLimitExceeded",
            (500.., _) => "backendError",
            _ => "forbidden",
        };
        let message = if self.code == 401 { "Invalid Credentials" } else { self.message.as_str() };
        let mut entry = json!({ "message": message, "reason": reason });
        if !typed {
            entry["domain"] = "global".into();
        }
        if self.code == 401 {
            (entry["location"], entry["locationType"]) = ("Authorization".into(), "header".into());
        }
        let mut body = self.sheets_body();
        body["error"]["errors"] = json!([entry]);
        body
    }
}
