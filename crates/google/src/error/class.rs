//! What each error means: [`Error::failure`] is the one match from error to class.

use engine::effect::Reason;
use engine::effect::{Class, Failure};

use super::{Error, Obstacle, Refusal, account, token};
use crate::auth::Kind;

/// What a request was for; decides what an unclear end of it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Read,
    Write,
}

/// Google counts per minute, so a closed quota opens again within one (G-QUOTA-3).
pub const QUOTA_WINDOW_MS: u64 = 60_000;

/// What a failure is judged by, beside the error itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub purpose: Purpose,
    /// Who asks: by an address where it is known.
    pub account: &'a str,
    pub kind: Kind,
    /// Added to the wait after a 429, so that not everybody comes back in the same instant.
    pub jitter_ms: u64,
    /// How many answers in a row have been an internal error, this one included.
    pub internal_errors: u32,
}

/// A server may ask for any wait. What it asks for is kept up to here: the network may be another
/// one by then, and a person may have mended what was wrong.
const LONGEST_WAIT_MS: u64 = 10 * 60_000;

/// A 500 can be Google's lasting answer to a request it does not like (G-ERRORS-7); after so many
/// in a row we no longer hope.
const INTERNAL_ERRORS_ENDURED: u32 = 6;

const MAKE_ROOM: &str = "A spreadsheet holds 10,000,000 cells and a tab 18,278 columns, blank ones among them: delete unused rows, columns and tabs.";

impl Error {
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the request may have been carried out although it failed (G-LOST-1).
    pub fn may_have_applied(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::TooLarge { .. } | Self::Unreadable(_) => true,
            Self::Refused(refusal) => refusal.http_status >= 500 || refusal.http_status == 408,
            _ => false,
        }
    }

    /// For what went wrong before there was a token to go on with.
    pub(crate) fn while_asking_for_token(self) -> Self {
        match self {
            Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::TooLarge { .. }
            | Self::Redirected(_)
            | Self::Unreadable(_) => Self::BeforeToken(Box::new(self)),
            other => other,
        }
    }

    /// Whether it stays as it is until somebody acts; of an attempt to get a token.
    pub(crate) fn needs_human(&self, kind: Kind) -> bool {
        let context = Context {
            purpose: Purpose::Read,
            account: "",
            kind,
            jitter_ms: 0,
            internal_errors: 0,
        };
        self.failure(context).class == Class::NeedsHuman
    }

    pub fn failure(&self, context: Context) -> Failure {
        let failure = |class, reason: Reason, message: String, hint: String| Failure {
            class,
            reason,
            message,
            hint,
            retry_after_ms: None,
            may_have_applied: context.purpose == Purpose::Write && self.may_have_applied(),
        };
        match self {
            Self::Unreachable { obstacle, message } => unreachable(*obstacle, message, failure),
            Self::Lost { timed_out: true, .. } => failure(
                Class::RetryLater,
                Reason::Timeout,
                "Google did not answer in time".into(),
                "If this goes on for a large sheet, raise sheet_sync.http_timeout_ms.".into(),
            ),
            Self::Lost { message, .. } => failure(
                Class::RetryLater,
                Reason::ConnectionLost,
                format!("The connection to Google broke off: {message}"),
                "Passes by itself; if it goes on, look at the network or proxy between the database server and Google.".into(),
            ),
            Self::TooLarge { limit } => failure(
                Class::NeedsHuman,
                Reason::TooLarge,
                format!("The sheet's answer is larger than {limit} bytes"),
                "Split the sheet, or remove what is not needed from the tab.".into(),
            ),
            Self::Redirected(to) => failure(
                Class::NeedsHuman,
                Reason::Redirected,
                format!("The server sends us elsewhere ({to}), where the token must not go"),
                "Check sheet_sync.sheets_endpoint, and whether a proxy asks for a login.".into(),
            ),
            Self::Refused(refusal) => after(wait(refusal, context), refused(refusal, context, failure)),
            Self::NoToken(refusal) => {
                let wait = refusal.retry_after_seconds.map(milliseconds);
                after(wait, token::refused(refusal, context, &failure))
            }
            Self::BeforeToken(error) => {
                let of_a_read = Context { purpose: Purpose::Read, ..context };
                token::without_answer(error, error.failure(of_a_read), &failure)
            }
            Self::NotForSpreadsheets { granted } => token::not_for_spreadsheets(granted, context, &failure),
            Self::NoMetadata(why) => token::no_metadata(why, &failure),
            Self::Key(message) => failure(
                Class::NeedsHuman,
                Reason::KeyRefused,
                format!("The private key of {} cannot sign: {message}", context.account),
                "Create a new JSON key for the service account and give it to sheet_sync.set_credential().".into(),
            ),
            Self::Unreadable(message) => failure(
                Class::RetryLater,
                Reason::UnreadableAnswer,
                format!("Google's answer is not understood: {message}"),
                "Passes by itself if the answer was cut off; if it goes on, please report it.".into(),
            ),
            Self::Unsendable(message) => {
                failure(Class::OurBug, Reason::Unsendable, message.clone(), "Please report this.".into())
            }
            Self::TooManyCells(cells) => failure(
                Class::NeedsHuman,
                Reason::GridLimit,
                format!("The spreadsheet is full: it would have {} cells", grouped(*cells)),
                MAKE_ROOM.into(),
            ),
            Self::TooManyColumns(columns) => failure(
                Class::NeedsHuman,
                Reason::GridLimit,
                format!("The tab would have {} columns", grouped((*columns).into())),
                MAKE_ROOM.into(),
            ),
            Self::TabGone(gid) => failure(
                Class::NeedsHuman,
                Reason::TabGone,
                format!("The spreadsheet has no tab with gid {gid} any more"),
                "Restore the tab from File > Version history, or unregister the table and register it with another tab.".into(),
            ),
            Self::NotOurs(why) => failure(
                Class::NeedsHuman,
                why.reason(),
                why.message(),
                why.hint().into(),
            ),
            Self::OtherConventions => failure(
                Class::RetryLater,
                Reason::OtherConventions,
                "The spreadsheet's time zone or locale was changed".into(),
                "Passes by itself: the tab is opened anew.".into(),
            ),
            Self::MetadataFull => metadata_full(failure),
            Self::Unsettled(message) => failure(
                Class::RetryNow,
                Reason::StalePosition,
                format!("The sheet changed while it was being written: {message}"),
                "Passes by itself.".into(),
            ),
        }
    }
}

/// What we put there ourselves is little, and is removed after a quarter of an hour.
fn metadata_full(failure: impl Fn(Class, Reason, String, String) -> Failure) -> Failure {
    failure(
        Class::RetryLater,
        Reason::MetadataFull,
        "The tab has no room for the marks by which rows are told apart (developer metadata)".into(),
        "Passes by itself if we have put many there in the last minutes; if it goes on, another tool fills the tab with developer metadata: ask who uses it, or move the data to a new tab.".into(),
    )
}

fn unreachable(
    obstacle: Obstacle,
    message: &str,
    failure: impl Fn(Class, Reason, String, String) -> Failure,
) -> Failure {
    let (class, reason, what, hint) = match obstacle {
        Obstacle::Name => (
            Class::RetryLater,
            Reason::Dns,
            "The name of Google's server has no address",
            "Check the DNS of the database server (/etc/resolv.conf): it must find sheets.googleapis.com and oauth2.googleapis.com. Where only a proxy leads to the internet, set sheet_sync.proxy.",
        ),
        Obstacle::Refused => (
            Class::RetryLater,
            Reason::ConnectionRefused,
            "Google's server refuses the connection",
            "A firewall may refuse it: the database server needs port 443 of sheets.googleapis.com and oauth2.googleapis.com, or a proxy in sheet_sync.proxy. Check sheet_sync.sheets_endpoint if it is set.",
        ),
        Obstacle::Silence => (
            Class::RetryLater,
            Reason::Timeout,
            "Nobody answers at the address of Google's server",
            "A firewall may drop the packets: the database server needs port 443 of sheets.googleapis.com and oauth2.googleapis.com, or a proxy in sheet_sync.proxy.",
        ),
        Obstacle::Certificate
            if message.contains("expired") || message.contains("not valid yet") =>
        {
            (
                Class::NeedsHuman,
                Reason::Certificate,
                "The certificate of Google's server, or of a proxy that stands before it, is not valid at this time",
                "Check the clock of the database server first; if it is right, the certificate has to be renewed.",
            )
        }
        Obstacle::Certificate => (
            Class::NeedsHuman,
            Reason::Certificate,
            "The certificate of Google's server is not one that this server believes",
            "If a proxy or firewall reads encrypted connections, give the certificate of its authority in sheet_sync.ca_file; otherwise bring the system's store (package ca-certificates) up to date.",
        ),
        Obstacle::ProxyFails => (
            Class::RetryLater,
            Reason::Proxy,
            "The proxy cannot be reached, or cannot reach Google",
            "Check sheet_sync.proxy (where it is not set, https_proxy in the server's environment), and that the proxy runs.",
        ),
        Obstacle::ProxyRefuses => (
            Class::NeedsHuman,
            Reason::Proxy,
            "The proxy does not let us through to Google",
            "407 means that it wants another user and password in sheet_sync.proxy; otherwise it must allow connections to sheets.googleapis.com, www.googleapis.com and oauth2.googleapis.com on port 443.",
        ),
        Obstacle::NoWay => (
            Class::RetryLater,
            Reason::Network,
            "Google cannot be reached",
            "Check that the database server may open connections to sheets.googleapis.com and oauth2.googleapis.com on port 443.",
        ),
    };
    failure(class, reason, format!("{what}: {message}"), hint.to_owned())
}

/// A wait is of use to what passes by itself: what a person mends is looked at as always.
fn after(wait: Option<u64>, failure: Failure) -> Failure {
    let retry_after_ms = match failure.class {
        Class::RetryNow | Class::RetryLater => wait,
        Class::NeedsHuman | Class::OurBug => None,
    };
    Failure {
        retry_after_ms,
        ..failure
    }
}

fn milliseconds(seconds: u64) -> u64 {
    seconds.saturating_mul(1000).min(LONGEST_WAIT_MS)
}

fn wait(refusal: &Refusal, context: Context) -> Option<u64> {
    let asked = refusal.retry_after_seconds.map(milliseconds);
    match is_quota(refusal) {
        // No Retry-After comes with Sheets' 429 (G-QUOTA-2).
        true => Some(
            asked
                .unwrap_or(QUOTA_WINDOW_MS)
                .saturating_add(context.jitter_ms),
        ),
        false => asked,
    }
}

fn is_quota(refusal: &Refusal) -> bool {
    // Drive says 403 for an exhausted quota too (G-QUOTA-4).
    refusal.http_status == 429
        || matches!(
            refusal.reason.as_str(),
            "RATE_LIMIT_EXCEEDED"
                | "rateLimitExceeded"
                | "userRateLimitExceeded"
                | "dailyLimitExceeded"
        )
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) type Make<'a> = &'a dyn Fn(Class, Reason, String, String) -> Failure;

fn refused(
    refusal: &Refusal,
    context: Context,
    failure: impl Fn(Class, Reason, String, String) -> Failure,
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
            Reason::Quota,
            format!("Google's quota of requests a minute is used up{limit}"),
            "Goes on by itself within a minute or two. If it happens often, ask Google for a higher quota, or use a Google Cloud project of its own.".into(),
        );
    }
    match refusal.http_status {
        400 => bad_request(refusal, context, failure),
        401 => failure(
            Class::NeedsHuman,
            Reason::KeyRefused,
            format!("Google does not accept the access token of {account}"),
            account::access_refused(context.kind),
        ),
        403 => forbidden(refusal, context, failure),
        404 => failure(
            Class::NeedsHuman,
            Reason::NotFound,
            "The spreadsheet does not exist, or is in the bin of somebody who has not shared it".into(),
            format!("Check the spreadsheet's address, restore it from the bin, and see that it is shared with {account} as Editor."),
        ),
        413 => failure(Class::OurBug, Reason::RequestTooLarge, refusal.message.clone(), "Lower sheet_sync.max_request_bytes.".into()),
        500 if context.internal_errors >= INTERNAL_ERRORS_ENDURED => failure(
            Class::NeedsHuman,
            Reason::Internal,
            format!("Google has answered {} times in a row with an internal error: {}", context.internal_errors, refusal.message),
            "Open the spreadsheet in a browser and see whether it works there; a copy of it may help.".into(),
        ),
        408 | 500..=599 => failure(
            Class::RetryLater,
            Reason::Server,
            format!("Google has a problem at the moment ({}): {}", refusal.http_status, refusal.message),
            "Passes by itself.".into(),
        ),
        _ => failure(
            Class::OurBug,
            Reason::UnexpectedStatus,
            refusal.to_string(),
            "Check sheet_sync.sheets_endpoint; if it is right, please report this.".into(),
        ),
    }
}

fn forbidden(refusal: &Refusal, context: Context, failure: Make) -> Failure {
    let account = context.account;
    if refusal.is_lack_of_scope() {
        return failure(
            Class::NeedsHuman,
            Reason::Scope,
            "The access token does not carry the right to edit spreadsheets".into(),
            account::scope_lacking(context.kind),
        );
    }
    match refusal.reason.as_str() {
        "USER_PROJECT_DENIED" | "CONSUMER_INVALID" => {
            return failure(
                Class::NeedsHuman,
                Reason::QuotaProject,
                format!(
                    "{account} may not use the Google Cloud project that the requests are counted on: {}",
                    refusal.message
                ),
                account::quota_project(context.kind),
            );
        }
        // Of gcloud's own client and without quota_project_id: then they count on gcloud's project,
        // where the API is off.
        "SERVICE_DISABLED" | "accessNotConfigured"
            if context.kind == Kind::User && refusal.message.contains("quota project") =>
        {
            return failure(
                Class::NeedsHuman,
                Reason::QuotaProject,
                format!(
                    "The requests of {account} count on no Google Cloud project of yours: {}",
                    refusal.message
                ),
                account::quota_project(context.kind),
            );
        }
        "SERVICE_DISABLED" | "accessNotConfigured" => {
            let link = refusal
                .link
                .as_deref()
                .unwrap_or("https://console.cloud.google.com/apis/library/sheets.googleapis.com");
            return failure(
                Class::NeedsHuman,
                Reason::ApiDisabled,
                format!(
                    "The Google Sheets API is switched off in the Google Cloud project of {account}"
                ),
                format!("Enable it at {link} and wait a few minutes."),
            );
        }
        _ => {}
    }
    // That text means "no token came with the request", whatever its status says (G-ERRORS-5).
    if refusal.message.contains("unregistered callers") {
        return failure(
            Class::OurBug,
            Reason::NoToken,
            "Google saw a request without an access token".into(),
            "A proxy between the database server and Google may drop the Authorization header."
                .into(),
        );
    }
    if !refusal.status.is_empty() && refusal.status != "PERMISSION_DENIED" {
        return failure(
            Class::NeedsHuman,
            Reason::Forbidden,
            refusal.to_string(),
            "See Google's message.".into(),
        );
    }
    failure(
        Class::NeedsHuman,
        Reason::NotShared,
        format!("The spreadsheet is not shared with {account}, or not for editing"),
        format!("Open the spreadsheet, press Share, and add {account} as Editor."),
    )
}

fn bad_request(refusal: &Refusal, context: Context, failure: Make) -> Failure {
    let message = refusal.message.as_str();
    if refusal.status == "FAILED_PRECONDITION" {
        return failure(
            Class::NeedsHuman,
            Reason::NotASpreadsheet,
            format!("The file cannot be edited through the Sheets API: {message}"),
            "If it is an Excel file, open it in Google Sheets and choose File > Save as Google Sheets, then register the new spreadsheet.".into(),
        );
    }
    if refusal.is_missing_grid() {
        return failure(
            Class::NeedsHuman,
            Reason::TabGone,
            "The tab is not in the spreadsheet any more".into(),
            "Restore the tab from File > Version history, or unregister the table and register it with another tab.".into(),
        );
    }
    if message.contains("number of cells in the workbook")
        || message.contains("number of columns in the sheet")
    {
        return failure(
            Class::NeedsHuman,
            Reason::GridLimit,
            format!("The spreadsheet is full: {message}"),
            MAKE_ROOM.into(),
        );
    }
    if message.contains("in a single cell") {
        return failure(
            Class::NeedsHuman,
            Reason::InvalidCell,
            "A value has more than 50,000 characters, which is what a cell holds".into(),
            "Shorten the value, or leave the column out of the mapping.".into(),
        );
    }
    if message.contains("payload size exceeds") {
        return failure(
            Class::OurBug,
            Reason::RequestTooLarge,
            message.to_owned(),
            "Lower sheet_sync.max_request_bytes.".into(),
        );
    }
    if refusal.is_metadata_full() {
        return metadata_full(failure);
    }
    if refusal.is_past_grid() || refusal.is_unparsable_range() {
        return failure(
            Class::RetryNow,
            Reason::StalePosition,
            "Rows or tabs have moved since the sheet was read".into(),
            "Passes by itself.".into(),
        );
    }
    // Google's own refusals have a status; without one it was somebody else's, such as the front
    // end's for a path it does not know.
    if refusal.is_malformed() || refusal.status.is_empty() {
        return failure(
            Class::OurBug,
            Reason::BadRequest,
            refusal.to_string(),
            "Check sheet_sync.sheets_endpoint; if it is right, please report this.".into(),
        );
    }
    if context.purpose == Purpose::Read {
        return failure(
            Class::NeedsHuman,
            Reason::NotASpreadsheet,
            format!("Google does not read this file as a spreadsheet: {message}"),
            "Check that the address is that of a Google spreadsheet and not of a document, PDF or folder.".into(),
        );
    }
    // Whatever else a write is refused for lies in the rows it names. Above all that is a protected
    // range, which is a 400 whose text comes in the language of the spreadsheet, so the text
    // decides nothing.
    failure(
        Class::NeedsHuman,
        Reason::Protected,
        format!("Google does not take the change: {message}"),
        format!(
            "If the cells are protected (Data > Protect sheets and ranges), allow {} to edit them; otherwise see Google's message.",
            context.account
        ),
    )
}
