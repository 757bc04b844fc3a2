//! Who asks Google, and the access tokens that let them: a service account's key, a person's login,
//! or the machine that we run on.

mod credential;
mod metadata_server;
mod secret;
mod service_account;
mod token;
mod user;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::transport::{Content, Http};

use metadata_server::MetadataServer;
use token::Token;

pub use credential::{Credential, KeyError, Kind};
pub use metadata_server::METADATA_ENDPOINT;
pub use secret::Secret;
pub use service_account::ServiceAccountKey;
pub use token::SCOPES;
pub use user::UserCredential;

/// Where Google exchanges keys and refresh tokens for access tokens.
const TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";

/// What a request carries to say who asks.
#[derive(Clone, Debug)]
pub struct Access {
    pub(crate) token: Secret,
    /// The project on which it counts, where that is not the one of the account.
    pub(crate) quota_project: Option<Arc<str>>,
}

/// A credential with its current access token. Share it: the token is fetched once for all.
pub struct Identity {
    credential: Credential,
    account: String,
    quota_project: Option<Arc<str>>,
    metadata_endpoint: String,
    token: Mutex<Option<Token>>,
    /// The address that was told with a token.
    address: Mutex<Option<String>>,
}

/// Shows no token.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Identity")
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

impl Identity {
    pub fn new(credential: Credential) -> Self {
        Self::with_metadata_at(METADATA_ENDPOINT, credential)
    }

    /// The same where the metadata server is a local stand-in.
    pub fn with_metadata_at(endpoint: &str, credential: Credential) -> Self {
        let quota_project = match &credential {
            Credential::User(user) => user.quota_project.as_deref().map(Arc::from),
            Credential::ServiceAccount(_) | Credential::ComputeMetadata => None,
        };
        Self {
            account: credential.account(),
            credential,
            quota_project,
            metadata_endpoint: endpoint.to_owned(),
            token: Mutex::new(None),
            address: Mutex::new(None),
        }
    }

    /// See [`Credential::account`].
    pub fn account(&self) -> &str {
        &self.account
    }

    /// See [`Credential::project`].
    pub fn project(&self) -> Option<&str> {
        self.credential.project()
    }

    pub fn kind(&self) -> Kind {
        self.credential.kind()
    }

    /// Names who asks to a person: by the address with which spreadsheets are shared, where it is
    /// known.
    pub fn who(&self) -> String {
        let learned = || lock(&self.address).clone();
        match &self.credential {
            Credential::ServiceAccount(key) => key.client_email.clone(),
            Credential::User(user) => {
                learned()
                    .or_else(|| user.account.clone())
                    .unwrap_or_else(|| {
                        format!("the user who logged in with client {}", user.client_id)
                    })
            }
            Credential::ComputeMetadata => {
                learned().unwrap_or_else(|| "the service account of this machine".to_owned())
            }
        }
    }

    /// What a request needs, with a token that is good for some minutes more. Holds the lock while
    /// it is fetched, so that several threads fetch one.
    pub fn access(&self, http: &Http) -> Result<Access, Error> {
        let mut slot = lock(&self.token);
        let good = slot.take().filter(|one| Instant::now() < one.refresh_at);
        let token = match good {
            Some(token) => token,
            None => self.fetch(http)?,
        };
        let text = token.text.clone();
        *slot = Some(token);
        Ok(Access {
            token: text,
            quota_project: self.quota_project.clone(),
        })
    }

    /// By how many seconds Google's clock was ahead of ours when it last gave a token; `None` where
    /// it did not say.
    pub fn clock_ahead_seconds(&self) -> Option<i64> {
        lock(&self.token).as_ref()?.clock_ahead_seconds
    }

    /// How long it is until Google ends the login; `None` where it did not say, which is as long as
    /// nobody ends it.
    pub fn login_ends_in(&self) -> Option<Duration> {
        let ends_at = lock(&self.token).as_ref()?.login_ends_at?;
        Some(ends_at.saturating_duration_since(Instant::now()))
    }

    /// Forget what was refused, unless another thread has replaced it already.
    pub fn discard(&self, refused: &Access) {
        let mut slot = lock(&self.token);
        if slot
            .as_ref()
            .is_some_and(|token| token.text == refused.token)
        {
            *slot = None;
        }
    }

    fn fetch(&self, http: &Http) -> Result<Token, Error> {
        let asked_at = Instant::now();
        let exchange = |uri: &str, form: Secret| http.post(uri, None, Content::Form(form.reveal()));
        let answer = match &self.credential {
            Credential::ServiceAccount(key) => exchange(&key.token_uri, key.grant()?)?,
            Credential::User(user) => exchange(&user.token_uri, user.grant())?,
            Credential::ComputeMetadata => {
                let server = MetadataServer::at(&self.metadata_endpoint);
                let answer = server.token()?;
                // The machine may have got another account since.
                *lock(&self.address) = server.address();
                answer
            }
        };
        let token = Token::read(&answer, asked_at)?;
        if let Some(address) = &token.address {
            *lock(&self.address) = Some(address.clone());
        }
        token.require_spreadsheets()?;
        Ok(token)
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
