//! What can go wrong between us and Google, and what each of it means: [`Error::failure`] is the one match from error to class.

use std::fmt;

use engine::effect::{Class, Failure};
use serde::Deserialize;
use thiserror::Error as ThisError;

use crate::mask::mask;
use crate::transport::Answer;

/// Every text in it has passed through [`mask`].
#[derive(Clone, Debug, ThisError)]
pub enum Error {
    /// The request did not go out: no address, no connection, no TLS.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// The request may have gone out, and no whole answer came back.
    #[error("no answer: {message}")]
    Lost { timed_out: bool, message: String },
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the server redirects to {0}")]
    Redirected(String),
    /// An API call was answered with an error.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The token endpoint gave no access token.
    #[error("no access token: {0}")]
    NoToken(Box<TokenRefusal>),
    /// The key could not sign.
    #[error("the private key cannot sign: {0}")]
    Key(String),
    /// A success that is not what was asked for.
    #[error("the answer is not understood: {0}")]
    Unreadable(String),
    /// Something that Google cannot take was about to be sent.
    #[error("{0}")]
    Unsendable(String),
    /// The spreadsheet is there and the tab is not.
    #[error("the spreadsheet has no tab with gid {0}")]
    TabGone(i32),
    /// The sheet kept changing under us; nothing of the effect was applied.
    #[error("the sheet changed while it was being written: {0}")]
    Unsettled(String),
}

/// An API error, from any of the envelopes that Google uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    pub http_status: u16,
    /// `google.rpc.Code` in words: `PERMISSION_DENIED`. Empty in Drive's envelope.
    pub status: String,
    /// ErrorInfo's reason (`SERVICE_DISABLED`) or Drive's (`notFound`).
    pub reason: String,
    pub message: String,
    /// `quota_limit` of ErrorInfo.
    pub quota_limit: String,
    /// The first link that a Help detail gives.
    pub link: Option<String>,
    pub retry_after_seconds: Option<u64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.http_status, self.status)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The token endpoint's RFC 6749 error, or an answer without a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRefusal {
    pub http_status: u16,
    pub error: String,
    pub description: String,
    /// How far the server's clock is ahead of ours.
    pub clock_ahead_seconds: Option<i64>,
    pub retry_after_seconds: Option<u64>,
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.http_status, self.error, self.description
        )
    }
}

/// Which part of a batch Google names as the one it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `Invalid requests[N]`
    Request(usize),
    /// `Invalid data[N]`
    Data(usize),
    /// `Invalid dataFilter[N]`
    Filter(usize),
}

#[derive(Deserialize)]
struct Envelope {
    error: EnvelopeError,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EnvelopeError {
    Object(Box<ErrorObject>),
    Word(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorObject {
    message: String,
    status: String,
    details: Vec<Detail>,
    errors: Vec<LegacyError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    reason: String,
    metadata: DetailMetadata,
    links: Vec<Link>,
    #[serde(rename = "fieldViolations")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DetailMetadata {
    quota_limit: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FieldViolation {
    description: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LegacyError {
    reason: String,
}

impl Refusal {
    /// Understands Sheets' google.rpc.Status, Drive's legacy envelope, HTML from the front end, and bodies cut anywhere.
    pub fn parse(answer: &Answer) -> Self {
        let mut refusal = Self {
            http_status: answer.status,
            retry_after_seconds: answer.retry_after_seconds,
            ..Self::default()
        };
        match serde_json::from_slice::<Envelope>(&answer.body).map(|envelope| envelope.error) {
            Ok(EnvelopeError::Object(error)) => refusal.take(*error),
            Ok(EnvelopeError::Word(word)) => refusal.message = mask(&word),
            Err(_) => refusal.message = plain_text(&answer.body),
        }
        refusal
    }

    fn take(&mut self, error: ErrorObject) {
        self.message = mask(&error.message);
        self.status = mask(&error.status);
        for detail in &error.details {
            if self.reason.is_empty() {
                self.reason = mask(&detail.reason);
                self.quota_limit = mask(&detail.metadata.quota_limit);
            }
            if self.link.is_none() {
                self.link = detail.links.first().map(|link| mask(&link.url));
            }
            // The generic message says nothing; the violation does (bad field masks [REC]).
            if let Some(violation) = detail.field_violations.first()
                && !self.message.contains(&mask(&violation.description))
            {
                self.message = mask(&format!("{} {}", self.message, violation.description));
            }
        }
        if let Some(first) = error.errors.first().filter(|_| self.reason.is_empty()) {
            self.reason = mask(&first.reason);
        }
    }

    pub fn part(&self) -> Option<Part> {
        type Make = fn(usize) -> Part;
        let kinds: [(&str, Make); 3] = [
            ("Invalid requests[", Part::Request),
            ("Invalid data[", Part::Data),
            ("Invalid dataFilter[", Part::Filter),
        ];
        kinds.iter().find_map(|(prefix, make)| {
            let number = self
                .message
                .strip_prefix(prefix)?
                .split(']')
                .next()?
                .parse()
                .ok()?;
            Some(make(number))
        })
    }

    pub fn is_unparsable_range(&self) -> bool {
        self.http_status == 400 && self.message.contains("Unable to parse range")
    }

    pub fn is_missing_grid(&self) -> bool {
        self.http_status == 400
            && (self.message.contains("No grid with id")
                || self.message.contains("No sheet with id"))
    }

    fn is_past_grid(&self) -> bool {
        let texts = [
            "exceeds grid limits",
            "larger than current grid size",
            "less than the grid size",
            "after the last ROWS",
            "after last row",
            "after the last COLUMNS",
        ];
        self.http_status == 400 && texts.iter().any(|text| self.message.contains(text))
    }

    /// The request as a whole is malformed: the fault is ours and in every row alike.
    fn is_malformed(&self) -> bool {
        let texts = [
            "Invalid JSON payload",
            "Invalid value at",
            "Error expanding 'fields'",
            "Proto field is not repeating",
            "Must specify at least one dataFilter",
            "DimensionRange must",
        ];
        self.http_status == 400 && texts.iter().any(|text| self.message.contains(text))
    }
}

/// What is readable of a body that is not Google's JSON: a page without its tags.
fn plain_text(body: &[u8]) -> String {
    let start = String::from_utf8_lossy(&body[..body.len().min(8192)]);
    let mut text = String::new();
    let mut in_tag = false;
    let html = start.trim_start().starts_with('<');
    for c in start.chars() {
        match c {
            '<' if html => in_tag = true,
            '>' if html => {
                in_tag = false;
                text.push(' ');
            }
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.is_empty() {
        true => "the answer has no text".to_owned(),
        false => mask(&words.join(" ")),
    }
}

/// What a request was for; decides what an unclear end of it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Read,
    Write,
}

/// Google counts per minute, so a closed quota opens again within one [DOC].
pub const QUOTA_WINDOW_MS: u64 = 60_000;

/// What a failure is judged by, beside the error itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub purpose: Purpose,
    /// The service account's address.
    pub account: &'a str,
    /// Added to the wait after a 429, so that not everybody comes back in the same instant.
    pub jitter_ms: u64,
    /// How many answers in a row have been an internal error, this one included.
    pub internal_errors: u32,
}

/// A 500 can be Google's lasting answer to a request it does not like [LIVE]; after so many in a row we no longer hope.
const INTERNAL_ERRORS_ENDURED: u32 = 6;

impl Error {
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the request may have been carried out although it failed.
    pub fn may_have_applied(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::TooLarge { .. } | Self::Unreadable(_) => true,
            Self::Refused(refusal) => refusal.http_status >= 500 || refusal.http_status == 408,
            _ => false,
        }
    }

    pub fn failure(&self, context: Context) -> Failure {
        let failure = |class, reason: &str, message: String, hint: String| Failure {
            class,
            reason: reason.to_owned(),
            message,
            hint,
            retry_after_ms: None,
            may_have_applied: context.purpose == Purpose::Write && self.may_have_applied(),
        };
        match self {
            Self::Unreachable(message) => failure(
                Class::RetryLater,
                "network",
                format!("Google cannot be reached: {message}"),
                "Check that the database server may open connections to sheets.googleapis.com and oauth2.googleapis.com on port 443, and that its DNS works.".into(),
            ),
            Self::Lost { timed_out: true, .. } => failure(
                Class::RetryLater,
                "timeout",
                "Google did not answer in time".into(),
                "If this goes on for a large sheet, raise sheet_sync.http_timeout_ms.".into(),
            ),
            Self::Lost { message, .. } => failure(
                Class::RetryLater,
                "network",
                format!("The connection to Google broke off: {message}"),
                "Passes by itself; if it goes on, look at the network or proxy between the database server and Google.".into(),
            ),
            Self::TooLarge { limit } => failure(
                Class::NeedsHuman,
                "too_large",
                format!("The sheet's answer is larger than {limit} bytes"),
                "Split the sheet, or remove what is not needed from the tab.".into(),
            ),
            Self::Redirected(to) => failure(
                Class::NeedsHuman,
                "network",
                format!("The server sends us elsewhere ({to}), where the token must not go"),
                "Check sheet_sync.sheets_endpoint, and whether a proxy asks for a login.".into(),
            ),
            Self::Refused(refusal) => Failure { retry_after_ms: wait(refusal, context), ..refused(refusal, context, failure) },
            Self::NoToken(refusal) => Failure {
                retry_after_ms: refusal.retry_after_seconds.map(|seconds| seconds * 1000),
                ..no_token(refusal, context, failure)
            },
            Self::Key(message) => failure(
                Class::NeedsHuman,
                "key_refused",
                format!("The private key of {} cannot sign: {message}", context.account),
                "Create a new JSON key for the service account and give it to sheet_sync.set_credential().".into(),
            ),
            Self::Unreadable(message) => failure(
                Class::RetryLater,
                "unreadable_answer",
                format!("Google's answer is not understood: {message}"),
                "Passes by itself if the answer was cut off; if it goes on, please report it.".into(),
            ),
            Self::Unsendable(message) => {
                failure(Class::OurBug, "unsendable", message.clone(), "Please report this.".into())
            }
            Self::TabGone(gid) => failure(
                Class::NeedsHuman,
                "tab_gone",
                format!("The spreadsheet has no tab with gid {gid} any more"),
                "Restore the tab from File > Version history, or unregister the table and register it with another tab.".into(),
            ),
            Self::Unsettled(message) => failure(
                Class::RetryNow,
                "moved",
                format!("The sheet changed while it was being written: {message}"),
                "Passes by itself.".into(),
            ),
        }
    }
}

fn wait(refusal: &Refusal, context: Context) -> Option<u64> {
    let asked = refusal
        .retry_after_seconds
        .map(|seconds| seconds.saturating_mul(1000));
    match is_quota(refusal) {
        // No Retry-After comes with Sheets' 429 [REC].
        true => Some(
            asked
                .unwrap_or(QUOTA_WINDOW_MS)
                .saturating_add(context.jitter_ms),
        ),
        false => asked,
    }
}

fn is_quota(refusal: &Refusal) -> bool {
    // Drive says 403 for an exhausted quota too [DOC].
    refusal.http_status == 429
        || matches!(
            refusal.reason.as_str(),
            "RATE_LIMIT_EXCEEDED"
                | "rateLimitExceeded"
                | "userRateLimitExceeded"
                | "dailyLimitExceeded"
        )
}

type Make<'a> = &'a dyn Fn(Class, &str, String, String) -> Failure;

fn refused(
    refusal: &Refusal,
    context: Context,
    failure: impl Fn(Class, &str, String, String) -> Failure,
) -> Failure {
    let account = context.account;
    let failure: Make = &failure;
    if is_quota(refusal) {
        let limit = match refusal.quota_limit.as_str() {
            "" => String::new(),
            limit => format!(" ({limit})"),
        };
        return failure(
            Class::RetryLater,
            "quota",
            format!("Google's quota of requests a minute is used up{limit}"),
            "Goes on by itself within a minute or two. If it happens often, ask Google for a higher quota, or use a Google Cloud project of its own.".into(),
        );
    }
    match refusal.http_status {
        400 => bad_request(refusal, context, failure),
        401 => failure(
            Class::NeedsHuman,
            "key_refused",
            format!("Google does not accept the access token of {account}"),
            "Check that the service account and its key still exist in the Google Cloud console; otherwise give a new key to sheet_sync.set_credential().".into(),
        ),
        403 => forbidden(refusal, context, failure),
        404 => failure(
            Class::NeedsHuman,
            "not_found",
            "The spreadsheet does not exist, or is in the bin of somebody who has not shared it".into(),
            format!("Check the spreadsheet's address, restore it from the bin, and see that it is shared with {account} as Editor."),
        ),
        413 => failure(Class::OurBug, "request_too_large", refusal.message.clone(), "Lower sheet_sync.max_request_bytes.".into()),
        500 if context.internal_errors >= INTERNAL_ERRORS_ENDURED => failure(
            Class::NeedsHuman,
            "internal",
            format!("Google has answered {} times in a row with an internal error: {}", context.internal_errors, refusal.message),
            "Open the spreadsheet in a browser and see whether it works there; a copy of it may help.".into(),
        ),
        408 | 500..=599 => failure(
            Class::RetryLater,
            "server",
            format!("Google has a problem at the moment ({}): {}", refusal.http_status, refusal.message),
            "Passes by itself.".into(),
        ),
        _ => failure(
            Class::OurBug,
            "unexpected_status",
            refusal.to_string(),
            "Check sheet_sync.sheets_endpoint; if it is right, please report this.".into(),
        ),
    }
}

fn forbidden(refusal: &Refusal, context: Context, failure: Make) -> Failure {
    let account = context.account;
    match refusal.reason.as_str() {
        "SERVICE_DISABLED" | "accessNotConfigured" => {
            let link = refusal
                .link
                .as_deref()
                .unwrap_or("https://console.cloud.google.com/apis/library/sheets.googleapis.com");
            return failure(
                Class::NeedsHuman,
                "api_disabled",
                "The Google Sheets API is switched off in the service account's Google Cloud project".into(),
                format!("Enable it at {link} and wait a few minutes."),
            );
        }
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT" | "insufficientPermissions" => {
            return failure(
                Class::NeedsHuman,
                "scope",
                "The access token does not carry the right to edit spreadsheets".into(),
                "Give sheet_sync.set_credential() a service account's JSON key.".into(),
            );
        }
        _ => {}
    }
    // That text means "no token came with the request", whatever its status says [MEASURED].
    if refusal.message.contains("unregistered callers") {
        return failure(
            Class::OurBug,
            "no_token",
            "Google saw a request without an access token".into(),
            "A proxy between the database server and Google may drop the Authorization header."
                .into(),
        );
    }
    if !refusal.status.is_empty() && refusal.status != "PERMISSION_DENIED" {
        return failure(
            Class::NeedsHuman,
            "forbidden",
            refusal.to_string(),
            "See Google's message.".into(),
        );
    }
    failure(
        Class::NeedsHuman,
        "not_shared",
        format!("The spreadsheet is not shared with {account}, or not for editing"),
        format!("Open the spreadsheet, press Share, and add {account} as Editor."),
    )
}

fn bad_request(refusal: &Refusal, context: Context, failure: Make) -> Failure {
    let message = refusal.message.as_str();
    if refusal.status == "FAILED_PRECONDITION" {
        return failure(
            Class::NeedsHuman,
            "not_a_spreadsheet",
            format!("The file cannot be edited through the Sheets API: {message}"),
            "If it is an Excel file, open it in Google Sheets and choose File > Save as Google Sheets, then register the new spreadsheet.".into(),
        );
    }
    if refusal.is_missing_grid() {
        return failure(
            Class::NeedsHuman,
            "tab_gone",
            "The tab is not in the spreadsheet any more".into(),
            "Restore the tab from File > Version history, or unregister the table and register it with another tab.".into(),
        );
    }
    if message.contains("number of cells in the workbook")
        || message.contains("number of columns in the sheet")
    {
        return failure(
            Class::NeedsHuman,
            "grid_limit",
            format!("The spreadsheet is full: {message}"),
            "A spreadsheet holds 10,000,000 cells and 18,278 columns, blank ones among them: delete unused rows, columns and tabs.".into(),
        );
    }
    if message.contains("in a single cell") {
        return failure(
            Class::NeedsHuman,
            "too_long",
            "A value has more than 50,000 characters, which is what a cell holds".into(),
            "Shorten the value, or leave the column out of the mapping.".into(),
        );
    }
    if message.contains("payload size exceeds") {
        return failure(
            Class::OurBug,
            "request_too_large",
            message.to_owned(),
            "Lower sheet_sync.max_request_bytes.".into(),
        );
    }
    if refusal.is_past_grid() || refusal.is_unparsable_range() {
        return failure(
            Class::RetryNow,
            "moved",
            "Rows or tabs have moved since the sheet was read".into(),
            "Passes by itself.".into(),
        );
    }
    // Google's own refusals have a status; without one it was somebody else's, such as the front end's for a path it does not know.
    if refusal.is_malformed() || refusal.status.is_empty() {
        return failure(
            Class::OurBug,
            "bad_request",
            refusal.to_string(),
            "Check sheet_sync.sheets_endpoint; if it is right, please report this.".into(),
        );
    }
    if context.purpose == Purpose::Read {
        return failure(
            Class::NeedsHuman,
            "not_a_spreadsheet",
            format!("Google does not read this file as a spreadsheet: {message}"),
            "Check that the address is that of a Google spreadsheet and not of a document, PDF or folder.".into(),
        );
    }
    // Whatever else a write is refused for lies in the rows it names. Above all that is a protected range, which is a 400 whose
    // text comes in the language of the spreadsheet, so the text decides nothing.
    failure(
        Class::NeedsHuman,
        "refused",
        format!("Google does not take the change: {message}"),
        format!(
            "If the cells are protected (Data > Protect sheets and ranges), allow {} to edit them; otherwise see Google's message.",
            context.account
        ),
    )
}

fn no_token(
    refusal: &TokenRefusal,
    context: Context,
    failure: impl Fn(Class, &str, String, String) -> Failure,
) -> Failure {
    let account = context.account;
    // Only a clock that is off by more than Google tolerates explains a refusal [LIVE: 300 s ahead is accepted].
    if let Some(ahead) = refusal
        .clock_ahead_seconds
        .filter(|ahead| ahead.abs() > 240 && refusal.error == "invalid_grant")
    {
        let direction = if ahead > 0 { "behind" } else { "ahead of" };
        return failure(
            Class::NeedsHuman,
            "clock",
            format!(
                "The database server's clock is {} s {direction} Google's, so Google refuses its tokens",
                ahead.abs()
            ),
            "Set the clock (timedatectl set-ntp true).".into(),
        );
    }
    match (refusal.http_status, refusal.error.as_str()) {
        (429, _) => failure(Class::RetryLater, "quota", "Google hands out no more tokens at the moment".into(), "Passes by itself.".into()),
        (408 | 500..=599, _) => failure(
            Class::RetryLater,
            "server",
            format!("Google's token service has a problem at the moment ({})", refusal.http_status),
            "Passes by itself.".into(),
        ),
        (_, "invalid_grant") => failure(
            Class::NeedsHuman,
            "key_refused",
            format!("Google refuses the key of {account}: {}", refusal.description),
            "The key was probably deleted, or the service account disabled: create a new JSON key and give it to sheet_sync.set_credential(). Also check the server's clock.".into(),
        ),
        (_, "invalid_scope" | "no_access_token") => failure(
            Class::NeedsHuman,
            "scope",
            format!("Google gives {account} no right to spreadsheets: {}", refusal.description),
            "Give sheet_sync.set_credential() the JSON key of an ordinary service account.".into(),
        ),
        _ => failure(
            Class::NeedsHuman,
            "key_refused",
            format!("Google gives no token to {account}: {refusal}"),
            "Check token_uri in the key, and create a new JSON key if it looks right.".into(),
        ),
    }
}
