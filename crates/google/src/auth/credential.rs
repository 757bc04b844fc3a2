//! What a credential may be, and what is wrong with one that is none.

use std::borrow::Cow;

use serde_json::{Map, Value};
use thiserror::Error as ThisError;

use super::scopes::{QUOTA_PROJECT_COMMAND, login_command};
use super::service_account::ServiceAccountKey;
use super::token_uri::TokenUri;
use super::user::UserCredential;
use crate::mask::mask;

/// How we come by access tokens. The metadata server is asked only where the credential says so:
/// never because there is nothing else.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The JSON key of a service account.
    ServiceAccount(ServiceAccountKey),
    /// A person's login, as `gcloud auth application-default login` writes it.
    User(UserCredential),
    /// `{"type": "compute_metadata"}`: the service account of the machine that we run on.
    ComputeMetadata,
}

/// What kind of account asks: it decides what a refusal means and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ServiceAccount,
    User,
    ComputeMetadata,
}

const COMPUTE_METADATA: &str = "compute_metadata";

/// What is wrong with a text that should be a credential.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum KeyError {
    #[error("the key is not JSON: {0}")]
    NotJson(String),
    #[error("the key is not a JSON object")]
    NotAnObject,
    #[error("this is the client secret of an OAuth application, and nobody's credential")]
    OauthClient,
    #[error("this is a user's token without a \"type\"")]
    UserWithoutType,
    #[error("a credential of type \"{0}\" is not taken")]
    OtherType(String),
    #[error("the key has no \"{0}\"")]
    Missing(&'static str),
    #[error("\"{0}\" in the key is not text")]
    NotText(&'static str),
    #[error("\"{0}\" is no part of a credential of type \"compute_metadata\"")]
    Superfluous(String),
    #[error("\"client_email\" in the key is not an e-mail address")]
    BadEmail,
    #[error("\"token_uri\" in the key is not the https address of a server")]
    BadTokenUri,
    #[error("\"token_uri\" in the key is an http address of another machine")]
    UnencryptedTokenUri,
    #[error("\"{0}\" in the key is no id as Google makes them")]
    BadId(&'static str),
    #[error("\"quota_project_id\" in the key is not the id of a project")]
    BadQuotaProject,
    #[error("\"private_key\" in the key holds \\n as two characters instead of line breaks")]
    EscapedNewlines,
    #[error("\"private_key\" in the key is encrypted with a passphrase")]
    Encrypted,
    #[error("\"private_key\" in the key is not an RSA private key in PEM form")]
    BadPrivateKey,
}

impl KeyError {
    pub fn hint(&self) -> Cow<'static, str> {
        let hint = match self {
            Self::EscapedNewlines => {
                "The file went through a shell or an editor that changed it. Use the file as it was downloaded."
            }
            Self::BadPrivateKey | Self::Encrypted | Self::BadEmail => {
                "Use the whole file as the Google Cloud console downloaded it: IAM & Admin > Service accounts > Keys > Add key > JSON."
            }
            Self::Missing(_)
            | Self::NotText(_)
            | Self::NotJson(_)
            | Self::NotAnObject
            | Self::BadId(_)
            | Self::BadTokenUri => {
                "Use the whole file as Google made it: a service account's JSON key (Google Cloud console: IAM & Admin > Service accounts > Keys > Add key > JSON), or the file that gcloud auth application-default login writes."
            }
            Self::UnencryptedTokenUri => {
                "Whoever is on the way could read what is sent there. Use https; plain http is taken for 127.0.0.1 only, where a stand-in for Google may be."
            }
            Self::OauthClient => {
                return Cow::Owned(format!(
                    "Give the JSON key of a service account (Google Cloud console: IAM & Admin > Service accounts > Keys > Add key > JSON). Or log in with this file, and give the file that the command writes: {}",
                    login_command()
                ));
            }
            Self::UserWithoutType => {
                "Add \"type\": \"authorized_user\", as in the file that gcloud auth application-default login writes."
            }
            Self::Superfluous(_) => {
                "Write {\"type\": \"compute_metadata\"} and nothing more: the service account is the one that the machine, pod or service runs as."
            }
            Self::BadQuotaProject => {
                return Cow::Owned(format!(
                    "Without \"quota_project_id\" requests count on the project of the OAuth client. This command writes the id of another project: {QUOTA_PROJECT_COMMAND}"
                ));
            }
            Self::OtherType(_) => {
                "Taken are a service account's JSON key (Google Cloud console: IAM & Admin > Service accounts > Keys > Add key > JSON), the file that gcloud auth application-default login writes (type authorized_user), and on a server of Google Cloud {\"type\": \"compute_metadata\"}."
            }
        };
        Cow::Borrowed(hint)
    }
}

impl Credential {
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        // serde_json's message names the place and never the text.
        let value: Value =
            serde_json::from_str(text).map_err(|error| KeyError::NotJson(error.to_string()))?;
        Self::from_value(&value)
    }

    pub fn from_value(value: &Value) -> Result<Self, KeyError> {
        let members = Members::of(value)?;
        match members.text("type")? {
            Some("service_account") => ServiceAccountKey::read(&members).map(Self::ServiceAccount),
            Some("authorized_user") => UserCredential::read(&members).map(Self::User),
            Some(COMPUTE_METADATA) => match members.others_than("type") {
                None => Ok(Self::ComputeMetadata),
                Some(name) => Err(KeyError::Superfluous(mask(name))),
            },
            Some(other) => Err(KeyError::OtherType(mask(other))),
            // As Google's quickstarts store it.
            None if members.text("refresh_token")?.is_some() => Err(KeyError::UserWithoutType),
            None => Err(KeyError::Missing("type")),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::ServiceAccount(_) => Kind::ServiceAccount,
            Self::User(_) => Kind::User,
            Self::ComputeMetadata => Kind::ComputeMetadata,
        }
    }

    /// Where its tokens are asked for; `None` where that is the machine's own affair.
    pub fn token_uri(&self) -> Option<&TokenUri> {
        match self {
            Self::ServiceAccount(key) => Some(&key.token_uri),
            Self::User(user) => Some(&user.token_uri),
            Self::ComputeMetadata => None,
        }
    }

    /// Names who asks, the same from one process to the next: requests are counted by it, and what
    /// was found out about the service is remembered by it.
    pub fn account(&self) -> String {
        match self {
            Self::ServiceAccount(key) => key.client_email.clone(),
            Self::User(user) => match &user.account {
                Some(address) => address.clone(),
                None => format!("user of OAuth client {}", user.client_id),
            },
            Self::ComputeMetadata => COMPUTE_METADATA.to_owned(),
        }
    }

    /// The Google Cloud project on which the requests count, where the credential tells it.
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::ServiceAccount(key) => key.project_id.as_deref(),
            Self::User(user) => user.project(),
            Self::ComputeMetadata => None,
        }
    }
}

/// The members of a credential's JSON.
pub(super) struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Self, KeyError> {
        let object = value.as_object().ok_or(KeyError::NotAnObject)?;
        match object.contains_key("installed") || object.contains_key("web") {
            true => Err(KeyError::OauthClient),
            false => Ok(Self(object)),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>, KeyError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim())),
            Some(_) => Err(KeyError::NotText(name)),
        }
    }

    pub(super) fn needed(&self, name: &'static str) -> Result<&'a str, KeyError> {
        self.text(name)?.ok_or(KeyError::Missing(name))
    }

    fn others_than(&self, name: &str) -> Option<&'a str> {
        self.0.keys().map(String::as_str).find(|one| *one != name)
    }
}

/// Whether it looks as the ids of Google's projects and clients do, and so can stand in a header
/// and in a message.
pub(super) fn is_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(is_part)
}
