//! Who asks Google, and the access tokens that let them: a service account's key, a person's login,
//! or the machine that we run on.

mod credential;
mod metadata_server;
mod scopes;
mod secret;
mod service_account;
mod token;
mod token_uri;
mod user;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::transport::{Content, Form, Http};

use metadata_server::MetadataServer;
use token::Token;

pub use credential::{Credential, KeyError, Kind};
pub use metadata_server::METADATA_ENDPOINT;
pub(crate) use scopes::QUOTA_PROJECT_COMMAND;
pub use scopes::{SCOPES, login_command, machine_command};
pub use secret::Secret;
pub use service_account::ServiceAccountKey;
pub use token_uri::TokenUri;
pub use user::UserCredential;

/// Where Google exchanges keys and refresh tokens for access tokens.
const TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";

/// How long what only a person can mend is remembered. All mappings of a login that has ended ask
/// again and again, and Google need not hear each of them.
const REFUSAL_REMEMBERED: Duration = Duration::from_secs(20);

/// Tells the time, and never goes back.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

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
    clock: Clock,
    known: Mutex<Known>,
    /// How often somebody has said that what was refused is mended. Beside the lock, which is held
    /// while Google is waited for.
    mended: AtomicU64,
    /// The address that was told with a token.
    address: Mutex<Option<String>>,
}

/// What came of it when a token was last asked for.
enum Known {
    Nothing,
    Token(Token),
    Failed(Remembered),
}

/// A failure that others are told as well.
struct Remembered {
    error: Error,
    /// Those who came before that.
    until: Instant,
    /// [`Identity::mended`] when it was asked.
    mended: u64,
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
            clock: Arc::new(Instant::now),
            known: Mutex::new(Known::Nothing),
            mended: AtomicU64::new(0),
            address: Mutex::new(None),
        }
    }

    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
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
    /// it is fetched, so that several threads fetch one. Where none is given, those that have
    /// waited meanwhile do not ask again, and where only a person can mend it, nobody does for a
    /// while.
    pub fn access(&self, http: &Http) -> Result<Access, Error> {
        let came = (self.clock)();
        let mut known = lock(&self.known);
        let now = (self.clock)();
        match &*known {
            Known::Token(token) if now < token.refresh_at => return Ok(self.access_by(token)),
            Known::Failed(one) if came < one.until && one.mended == self.mended() => {
                return Err(one.error.clone());
            }
            _ => {}
        }
        *known = Known::Nothing;
        let mended = self.mended();
        let fetched = self.fetch(http, now).map_err(Error::while_asking_for_token);
        match fetched {
            Ok(token) => {
                let access = self.access_by(&token);
                *known = Known::Token(token);
                Ok(access)
            }
            Err(error) => {
                let failed_at = (self.clock)();
                let until = match error.needs_human(self.kind()) {
                    true => failed_at + REFUSAL_REMEMBERED,
                    false => failed_at,
                };
                *known = Known::Failed(Remembered {
                    error: error.clone(),
                    until,
                    mended,
                });
                Err(error)
            }
        }
    }

    fn access_by(&self, token: &Token) -> Access {
        Access {
            token: token.text.clone(),
            quota_project: self.quota_project.clone(),
        }
    }

    /// Somebody says that what was refused has been mended. Waits for nobody.
    pub fn forget_refusal(&self) {
        self.mended.fetch_add(1, Ordering::Relaxed);
    }

    fn mended(&self) -> u64 {
        self.mended.load(Ordering::Relaxed)
    }

    /// By how many seconds Google's clock was ahead of ours when it last gave a token; `None` where
    /// it did not say.
    pub fn clock_ahead_seconds(&self) -> Option<i64> {
        match &*lock(&self.known) {
            Known::Token(token) => token.clock_ahead_seconds,
            Known::Nothing | Known::Failed(..) => None,
        }
    }

    /// How long it is until Google ends the login; `None` where it did not say, which is as long as
    /// nobody ends it.
    pub fn login_ends_in(&self) -> Option<Duration> {
        let ends_at = match &*lock(&self.known) {
            Known::Token(token) => token.login_ends_at?,
            Known::Nothing | Known::Failed(..) => return None,
        };
        Some(ends_at.saturating_duration_since((self.clock)()))
    }

    /// Forget a token that was refused, unless another thread has replaced it already.
    pub fn discard(&self, refused: &Access) {
        let mut known = lock(&self.known);
        if matches!(&*known, Known::Token(token) if token.text == refused.token) {
            *known = Known::Nothing;
        }
    }

    fn fetch(&self, http: &Http, asked_at: Instant) -> Result<Token, Error> {
        let exchange =
            |uri: &TokenUri, form: Form| http.post(uri.as_str(), None, Content::Form(&form));
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
