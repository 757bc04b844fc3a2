//! Access tokens, as the token endpoint and the metadata server give them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Secret;
use super::scopes::SUFFICIENT;
use super::user::address_in;
use crate::error::{Error, TokenRefusal, plain_text};
use crate::transport::Answer;

/// How long before its end a token is replaced; google-auth's REFRESH_THRESHOLD (G-AUTH-2). The
/// metadata server gives the same token until shortly before that.
const REFRESH_BEFORE_END: Duration = Duration::from_secs(3 * 60 + 45);

#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: Secret,
    pub(super) refresh_at: Instant,
    pub(super) clock_ahead_seconds: Option<i64>,
    /// Who it says that it was given to.
    pub(super) address: Option<String>,
    /// When Google ends the login that it comes from, where it says so.
    pub(super) login_ends_at: Option<Instant>,
    /// What it is good for instead of spreadsheets.
    other_scopes: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenAnswer {
    access_token: Option<String>,
    id_token: Option<String>,
    expires_in: Option<u64>,
    refresh_token_expires_in: Option<u64>,
    scope: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    error_subtype: Option<String>,
}

impl TokenAnswer {
    fn read(answer: &Answer) -> Result<Self, Error> {
        // By way of an object: a list would be taken for the members in their order.
        let members: Map<String, Value> = answer.json()?;
        serde_json::from_value(Value::Object(members))
            .map_err(|_| Error::Unreadable("a member is of another type".into()))
    }
}

impl Token {
    /// `answer` to a question that was asked at that time.
    pub(super) fn read(answer: &Answer, asked_at: Instant) -> Result<Self, Error> {
        let mut parsed = match TokenAnswer::read(answer) {
            Ok(parsed) => parsed,
            // Cut off, or the page of a proxy.
            Err(error) if answer.status == 200 => return Err(error),
            Err(_) => TokenAnswer::default(),
        };
        let text = parsed.access_token.take();
        let Some(text) = text.filter(|_| answer.status == 200) else {
            return Err(Error::NoToken(Box::new(refusal(answer, parsed))));
        };
        if !is_header_text(&text) {
            return Err(Error::Unreadable(
                "the token cannot stand in a header".into(),
            ));
        }
        let other_scopes = parsed.scope.filter(|granted| {
            let mut scopes = granted.split_whitespace();
            !scopes.any(|scope| SUFFICIENT.contains(&scope))
        });
        let life = Duration::from_secs(parsed.expires_in.unwrap_or(3600));
        let login_life = parsed.refresh_token_expires_in.map(Duration::from_secs);
        Ok(Self {
            text: Secret::new(text),
            // An absurd lifetime is none.
            refresh_at: asked_at
                .checked_add(life.saturating_sub(REFRESH_BEFORE_END))
                .unwrap_or(asked_at),
            clock_ahead_seconds: clock_ahead(answer),
            address: parsed.id_token.as_deref().and_then(address_in),
            login_ends_at: login_life.and_then(|life| asked_at.checked_add(life)),
            other_scopes: other_scopes.map(|granted| answer.mask.text(&granted)),
        })
    }

    /// A person may have allowed less than is needed, and Google gives a token for that.
    pub(super) fn require_spreadsheets(&self) -> Result<(), Error> {
        match self.other_scopes.clone() {
            None => Ok(()),
            Some(granted) => Err(Error::NotForSpreadsheets { granted }),
        }
    }
}

/// Whether the token can stand in a header; one that cannot would fail later with a message that
/// shows it.
fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn refusal(answer: &Answer, parsed: TokenAnswer) -> TokenRefusal {
    let (error, description) = match (parsed.error, parsed.error_description) {
        // An unknown scope is no error to Google: it answers 200 with an id_token alone (G-AUTH-3).
        (None, _) if answer.status == 200 && parsed.id_token.is_some() => (
            "no_access_token".into(),
            "the answer holds an id_token only".into(),
        ),
        (None, _) if answer.status == 200 => {
            ("no_access_token".into(), "the answer holds no token".into())
        }
        (None, None) => (String::new(), plain_text(answer)),
        (error, description) => (error.unwrap_or_default(), description.unwrap_or_default()),
    };
    TokenRefusal {
        http_status: answer.status,
        error: answer.mask.text(&error),
        subtype: answer.mask.text(&parsed.error_subtype.unwrap_or_default()),
        description: answer.mask.text(&description),
        clock_ahead_seconds: clock_ahead(answer),
        retry_after_seconds: answer.retry_after_seconds,
    }
}

fn clock_ahead(answer: &Answer) -> Option<i64> {
    let server = http_date(answer.date.as_deref()?)?;
    Some(server - unix_seconds() as i64)
}

pub(super) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Unix seconds of a Date header: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_whitespace().skip(1);
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as i64;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words
        .next()?
        .splitn(3, ':')
        .map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Days from the civil calendar, with the year beginning in March.
    let (shifted_year, shifted_month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let era_days = shifted_year.checked_mul(365)? + shifted_year.div_euclid(4)
        - shifted_year.div_euclid(100)
        + shifted_year.div_euclid(400);
    let days = era_days + (153 * shifted_month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}
