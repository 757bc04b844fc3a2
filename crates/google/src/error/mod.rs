//! What can go wrong between us and Google.

mod account;
mod class;
mod token;

use std::fmt;

use serde::Deserialize;
use thiserror::Error as ThisError;

use crate::mask::Mask;
use crate::sheet::NotOurs;
use crate::transport::Answer;

pub use class::{Context, Purpose, QUOTA_WINDOW_MS};

/// Every text in it has passed through a [`Mask`].
#[derive(Clone, Debug, ThisError)]
pub enum Error {
    /// The request did not go out: no address, no connection, no TLS.
    #[error("cannot reach the server: {message}")]
    Unreachable { obstacle: Obstacle, message: String },
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
    /// Google was not asked yet: this happened when an access token was asked for.
    #[error("asking for an access token: {0}")]
    BeforeToken(Box<Error>),
    /// The token endpoint, or the metadata server, gave no access token.
    #[error("no access token: {0}")]
    NoToken(Box<TokenRefusal>),
    /// The access token that was given is for other things; these are its scopes.
    #[error("the access token is not for spreadsheets, but for {granted}")]
    NotForSpreadsheets { granted: String },
    /// There is nothing to ask for an access token.
    #[error("{0}")]
    NoMetadata(NoMetadata),
    /// The key could not sign.
    #[error("the private key cannot sign: {0}")]
    Key(String),
    /// A success that is not what was asked for.
    #[error("the answer is not understood: {0}")]
    Unreadable(String),
    /// Something that Google cannot take was about to be sent.
    #[error("{0}")]
    Unsendable(String),
    /// The spreadsheet would have so many cells.
    #[error("the spreadsheet would have {0} cells")]
    TooManyCells(u64),
    /// The tab would have so many columns.
    #[error("the tab would have {0} columns")]
    TooManyColumns(u32),
    /// The spreadsheet is there and the tab is not.
    #[error("the spreadsheet has no tab with gid {0}")]
    TabGone(i32),
    /// Not this database's to write to.
    #[error("{}", .0.message())]
    NotOurs(#[from] NotOurs),
    /// The spreadsheet's time zone or locale is another one than when the tab was opened.
    #[error("the spreadsheet's time zone or locale was changed")]
    OtherConventions,
    /// The tab has no room for more developer metadata (G-META-4).
    #[error("the tab has no room for more developer metadata")]
    MetadataFull,
    /// The sheet kept changing under us; nothing of the effect was applied.
    #[error("the sheet changed while it was being written: {0}")]
    Unsettled(String),
}

/// What kept a request from going out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No address is found for the server's name.
    Name,
    Refused,
    /// Nobody answers at the address.
    Silence,
    /// The other end does not show a certificate that we believe.
    Certificate,
    /// The proxy itself cannot be reached, or cannot reach Google.
    ProxyFails,
    /// The proxy does not let us through.
    ProxyRefuses,
    NoWay,
}

/// Why the metadata server of Google Cloud has nothing to say.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum NoMetadata {
    #[error("the metadata server cannot be reached: {0}")]
    NotReached(String),
    #[error("somebody else answers in the place of the metadata server: {0}")]
    SomebodyElse(String),
    #[error("the metadata server knows no service account")]
    NoServiceAccount,
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
        write!(f, "{}", self.http_status)?;
        if !self.status.is_empty() {
            write!(f, " {}", self.status)?;
        }
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
    /// Google's `error_subtype`: `invalid_rapt`.
    pub subtype: String,
    /// In words for people; not every error has them.
    pub description: String,
    /// How far the server's clock is ahead of ours.
    pub clock_ahead_seconds: Option<i64>,
    pub retry_after_seconds: Option<u64>,
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.http_status)?;
        if !self.error.is_empty() {
            write!(f, " {}", self.error)?;
        }
        match self.description.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.description),
        }
    }
}

impl TokenRefusal {
    /// What it says to people, in one word where it has no more.
    pub fn words(&self) -> &str {
        match self.description.is_empty() {
            true => &self.error,
            false => &self.description,
        }
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
    /// Understands Sheets' google.rpc.Status, Drive's legacy envelope, HTML from the front end, and
    /// bodies cut anywhere.
    pub fn parse(answer: &Answer) -> Self {
        let mut refusal = Self {
            http_status: answer.status,
            retry_after_seconds: answer.retry_after_seconds,
            ..Self::default()
        };
        match serde_json::from_slice::<Envelope>(&answer.body).map(|envelope| envelope.error) {
            Ok(EnvelopeError::Object(error)) => refusal.take(*error, &answer.mask),
            Ok(EnvelopeError::Word(word)) => refusal.message = answer.mask.text(&word),
            Err(_) => refusal.message = plain_text(answer),
        }
        if refusal.message.is_empty() {
            refusal.message = NO_TEXT.to_owned();
        }
        refusal
    }

    fn take(&mut self, error: ErrorObject, mask: &Mask) {
        self.message = mask.text(&error.message);
        self.status = mask.text(&error.status);
        for detail in &error.details {
            if self.reason.is_empty() {
                self.reason = mask.text(&detail.reason);
                self.quota_limit = mask.text(&detail.metadata.quota_limit);
            }
            if self.link.is_none() {
                self.link = detail.links.first().map(|link| mask.text(&link.url));
            }
            // The generic message says nothing; the violation does (G-ERRORS-2).
            if let Some(violation) = detail.field_violations.first()
                && !self.message.contains(&mask.text(&violation.description))
            {
                let both = format!("{} {}", self.message, violation.description);
                self.message = mask.text(both.trim());
            }
        }
        if let Some(first) = error.errors.first().filter(|_| self.reason.is_empty()) {
            self.reason = mask.text(&first.reason);
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

    /// The access token is for other things.
    pub fn is_lack_of_scope(&self) -> bool {
        matches!(
            self.reason.as_str(),
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT" | "insufficientPermissions"
        )
    }

    pub fn is_unparsable_range(&self) -> bool {
        self.http_status == 400 && self.message.contains("Unable to parse range")
    }

    pub fn is_missing_grid(&self) -> bool {
        self.http_status == 400
            && (self.message.contains("No grid with id")
                || self.message.contains("No sheet with id"))
    }

    fn is_metadata_full(&self) -> bool {
        self.http_status == 400 && self.message.contains("size of the developer metadata")
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

const NO_TEXT: &str = "the answer has no text";

/// What is readable of a body that is not Google's JSON: a page without its tags.
pub(crate) fn plain_text(answer: &Answer) -> String {
    let body = &answer.body;
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
        true => NO_TEXT.to_owned(),
        false => answer.mask.text(&words.join(" ")),
    }
}
