//! Service accounts: the key file, and the access tokens that it is exchanged for.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error as ThisError;

use crate::error::{Error, TokenRefusal};
use crate::mask::mask;
use crate::transport::{Answer, Content, Http};

/// Values and metadata of spreadsheets, and the metadata of their files.
const SCOPES: &str = "https://www.googleapis.com/auth/spreadsheets https://www.googleapis.com/auth/drive.metadata.readonly";

/// The only audience that Google's own client sends, wherever token_uri points (G-AUTH-1).
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long before its end a token is replaced; google-auth's REFRESH_THRESHOLD (G-AUTH-2).
const REFRESH_BEFORE_END: Duration = Duration::from_secs(3 * 60 + 45);

/// The parts of a service account's JSON key that are used.
#[derive(Clone)]
pub struct ServiceAccountKey {
    pub client_email: String,
    pub project_id: Option<String>,
    pub private_key_id: Option<String>,
    pub token_uri: String,
    private_key: EncodingKey,
}

impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("ServiceAccountKey")
            .field("client_email", &self.client_email)
            .field("private_key_id", &self.private_key_id)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a file that should be a service account's key.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum KeyError {
    #[error("the key is not JSON: {0}")]
    NotJson(String),
    #[error("the key is not a JSON object")]
    NotAnObject,
    #[error("this is the client secret of an OAuth application, not a service account's key")]
    OauthClient,
    #[error(
        "this is a person's credential (type \"authorized_user\"), not a service account's key"
    )]
    AuthorizedUser,
    #[error("this is a credential of type \"{0}\", not a service account's key")]
    OtherType(String),
    #[error("the key has no \"{0}\"")]
    Missing(&'static str),
    #[error("\"{0}\" in the key is not text")]
    NotText(&'static str),
    #[error("\"client_email\" in the key is not an e-mail address")]
    BadEmail,
    #[error("\"token_uri\" in the key is not an http address")]
    BadTokenUri,
    #[error("\"private_key\" in the key holds \\n as two characters instead of line breaks")]
    EscapedNewlines,
    #[error("\"private_key\" in the key is encrypted with a passphrase")]
    Encrypted,
    #[error("\"private_key\" in the key is not an RSA private key in PEM form")]
    BadPrivateKey,
}

impl KeyError {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::EscapedNewlines => {
                "The file went through a shell or an editor that changed it. Use the file as it was downloaded."
            }
            Self::Missing(_)
            | Self::NotText(_)
            | Self::BadPrivateKey
            | Self::NotJson(_)
            | Self::NotAnObject => {
                "Use the whole file as the Google Cloud console downloaded it: IAM & Admin > Service accounts > Keys > Add key > JSON."
            }
            _ => {
                "Create a key in the Google Cloud console: IAM & Admin > Service accounts > Keys > Add key > JSON."
            }
        }
    }
}

impl ServiceAccountKey {
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        // serde_json's message names the place and never the text.
        let value: Value =
            serde_json::from_str(text).map_err(|error| KeyError::NotJson(error.to_string()))?;
        Self::from_value(&value)
    }

    pub fn from_value(value: &Value) -> Result<Self, KeyError> {
        let object = value.as_object().ok_or(KeyError::NotAnObject)?;
        if object.contains_key("installed") || object.contains_key("web") {
            return Err(KeyError::OauthClient);
        }
        let text = |name: &'static str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(KeyError::NotText(name)),
        };
        match text("type")? {
            None => return Err(KeyError::Missing("type")),
            Some("service_account") => {}
            Some("authorized_user") => return Err(KeyError::AuthorizedUser),
            Some(other) => return Err(KeyError::OtherType(mask(other))),
        }
        let needed = |name| text(name)?.ok_or(KeyError::Missing(name));
        let client_email = needed("client_email")?.trim();
        if !client_email.contains('@') || client_email.contains(char::is_whitespace) {
            return Err(KeyError::BadEmail);
        }
        let token_uri = needed("token_uri")?.trim();
        if !token_uri.starts_with("https://") && !token_uri.starts_with("http://") {
            return Err(KeyError::BadTokenUri);
        }
        Ok(Self {
            client_email: client_email.to_owned(),
            project_id: text("project_id")?.map(str::to_owned),
            private_key_id: text("private_key_id")?.map(str::to_owned),
            token_uri: token_uri.to_owned(),
            private_key: private_key(needed("private_key")?)?,
        })
    }
}

fn private_key(pem: &str) -> Result<EncodingKey, KeyError> {
    if pem.contains("\\n") {
        return Err(KeyError::EscapedNewlines);
    }
    if pem.contains("ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    let key =
        EncodingKey::from_rsa_pem(pem.trim().as_bytes()).map_err(|_| KeyError::BadPrivateKey)?;
    // Only signing shows whether there is a key inside the PEM's envelope.
    jsonwebtoken::crypto::sign(b"", &key, Algorithm::RS256).map_err(|_| KeyError::BadPrivateKey)?;
    Ok(key)
}

/// A service account with its current access token. Share it: the token is fetched once for all.
pub struct Identity {
    key: ServiceAccountKey,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: String,
    refresh_at: Instant,
    clock_ahead_seconds: Option<i64>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Identity")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenAnswer {
    access_token: Option<String>,
    id_token: Option<serde::de::IgnoredAny>,
    expires_in: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Identity {
    pub fn new(key: ServiceAccountKey) -> Self {
        Self {
            key,
            token: Mutex::new(None),
        }
    }

    pub fn email(&self) -> &str {
        &self.key.client_email
    }

    pub fn key(&self) -> &ServiceAccountKey {
        &self.key
    }

    /// A token that is good for some minutes more. Holds the lock while it is fetched, so that
    /// several threads fetch one.
    pub fn token(&self, http: &Http) -> Result<String, Error> {
        let mut slot = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = slot
            .as_ref()
            .filter(|token| Instant::now() < token.refresh_at)
        {
            return Ok(token.text.clone());
        }
        let token = self.exchange(http)?;
        *slot = Some(token.clone());
        Ok(token.text)
    }

    /// By how many seconds Google's clock was ahead of ours when it last gave a token; `None` where
    /// it did not say.
    pub fn clock_ahead_seconds(&self) -> Option<i64> {
        let slot = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref()?.clock_ahead_seconds
    }

    /// Forget `refused`, unless another thread has replaced it already.
    pub fn discard(&self, refused: &str) {
        let mut slot = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|token| token.text == refused) {
            *slot = None;
        }
    }

    fn exchange(&self, http: &Http) -> Result<Token, Error> {
        let now = unix_seconds();
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.key.private_key_id);
        let claims = Claims {
            iss: &self.key.client_email,
            scope: SCOPES,
            aud: AUDIENCE,
            iat: now,
            exp: now + 3600,
        };
        let assertion = jsonwebtoken::encode(&header, &claims, &self.key.private_key)
            .map_err(|error| Error::Key(mask(&error.to_string())))?;
        let form = format!(
            "grant_type={}&assertion={assertion}",
            utf8_percent_encode(GRANT_TYPE, NON_ALPHANUMERIC)
        );
        let asked_at = Instant::now();
        let answer = http.post(&self.key.token_uri, None, Content::Form(&form))?;
        let parsed: TokenAnswer = serde_json::from_slice(&answer.body).unwrap_or_default();
        match parsed
            .access_token
            .filter(|text| answer.status == 200 && is_header_text(text))
        {
            Some(text) => {
                let life = Duration::from_secs(parsed.expires_in.unwrap_or(3600));
                Ok(Token {
                    text,
                    refresh_at: asked_at + life.saturating_sub(REFRESH_BEFORE_END),
                    clock_ahead_seconds: clock_ahead(&answer),
                })
            }
            None => Err(Error::NoToken(Box::new(refusal(
                &answer,
                parsed.error,
                parsed.error_description,
                parsed.id_token.is_some(),
            )))),
        }
    }
}

/// Whether the token can stand in a header; one that cannot would fail later with a message that
/// shows it.
fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn refusal(
    answer: &Answer,
    error: Option<String>,
    description: Option<String>,
    id_token: bool,
) -> TokenRefusal {
    let (error, description) = match (error, description) {
        // An unknown scope is no error to Google: it answers 200 with an id_token alone
        // (G-AUTH-3).
        (None, _) if answer.status == 200 && id_token => (
            "no_access_token".into(),
            "the answer holds an id_token only".into(),
        ),
        (None, _) if answer.status == 200 => {
            ("no_access_token".into(), "the answer holds no token".into())
        }
        (error, description) => (error.unwrap_or_default(), description.unwrap_or_default()),
    };
    TokenRefusal {
        http_status: answer.status,
        error: mask(&error),
        description: mask(&description),
        clock_ahead_seconds: clock_ahead(answer),
        retry_after_seconds: answer.retry_after_seconds,
    }
}

fn clock_ahead(answer: &Answer) -> Option<i64> {
    let server = http_date(answer.date.as_deref()?)?;
    Some(server - unix_seconds() as i64)
}

fn unix_seconds() -> u64 {
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
