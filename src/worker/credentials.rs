//! Credentials (keys, logins, the machine's own account), and the Google sessions that use them.

use engine::effect::Reason;
use engine::effect::{Class, Failure};
use google::route::unreadable_file;
use google::{Client, Credential, Identity, Options, Route, Secret, Session as GoogleSession};
use pgrx::spi::quote_literal;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::postgres::fields::Fields;
use crate::postgres::transaction::transaction;
use crate::{seal, settings};

/// The credential whose key may stand in the file of `sheet_sync.credentials_file`.
pub const OF_THE_FILE: &str = "default";

/// How often that file is looked at for another key.
const LOOK_AT_FILE_EVERY: Duration = Duration::from_secs(1);

/// One session for each key and set of endpoints; all its mappings share its token.
#[derive(Default)]
pub struct Sessions {
    open: HashMap<String, (Arc<GoogleSession>, Key)>,
    file: KeyFile,
}

/// What a session was opened with. Somebody who sets the same text again wants to begin afresh.
#[derive(PartialEq, Eq)]
struct Key {
    text: Secret,
    /// `None` of the file.
    set_at: Option<String>,
}

impl Sessions {
    /// The settings changed: endpoints, timeouts and the way to Google are read anew.
    pub fn forget(&mut self) {
        self.open.clear();
        self.file = KeyFile::default();
    }

    /// The session for a credential's key as it is stored now, or why there is none.
    pub fn get(&mut self, credential: &str) -> Result<Arc<GoogleSession>, Failure> {
        let key = match read_key(credential)? {
            Stored::InTable(key) => key,
            Stored::InFile(read) => Key {
                text: self.file.last_good(read)?,
                set_at: None,
            },
        };
        if let Some((session, before)) = self.open.get(credential)
            && *before == key
        {
            return Ok(session.clone());
        }
        let session = open(credential, &key.text)?;
        self.open
            .insert(credential.to_owned(), (session.clone(), key));
        Ok(session)
    }

    /// Whether the file holds a good key that it did not hold when it was last looked at.
    pub fn file_has_new_key(&mut self) -> bool {
        self.file.has_new_key()
    }
}

/// The file of `sheet_sync.credentials_file`. Somebody may be writing it in this very moment, so
/// the last good key is used until there is another one.
#[derive(Default)]
struct KeyFile {
    looked_at: Option<Instant>,
    good: Option<Secret>,
}

impl KeyFile {
    fn has_new_key(&mut self) -> bool {
        let Some(file) = settings::credentials_file() else {
            return false;
        };
        if self
            .looked_at
            .is_some_and(|at| at.elapsed() < LOOK_AT_FILE_EVERY)
        {
            return false;
        }
        self.looked_at = Some(Instant::now());
        let Ok(text) = std::fs::read_to_string(file).map(Secret::new) else {
            return false;
        };
        let is_new = self.good.as_ref() != Some(&text) && Credential::parse(text.reveal()).is_ok();
        if is_new {
            self.good = Some(text);
        }
        is_new
    }

    /// Only [`Self::has_new_key`] takes another key, so that all that use the old one are told.
    fn last_good(&self, read: Result<Secret, Failure>) -> Result<Secret, Failure> {
        self.good.clone().map_or(read, Ok)
    }
}

/// A key as it is stored now.
enum Stored {
    InTable(Key),
    InFile(Result<Secret, Failure>),
}

/// One that shares nothing with those in use, not even a token: to see whether the key as it is
/// stored now is good.
pub fn fresh(credential: &str) -> Result<Arc<GoogleSession>, Failure> {
    let text = match read_key(credential)? {
        Stored::InTable(key) => key.text,
        Stored::InFile(read) => read?,
    };
    open(credential, &text)
}

fn open(credential: &str, text: &Secret) -> Result<Arc<GoogleSession>, Failure> {
    let parsed = Credential::parse(text.reveal()).map_err(|error| {
        failure(
            Reason::KeyInvalid,
            format!("the key of credential \"{credential}\" cannot be used: {error}"),
            error.hint().into_owned(),
        )
    })?;
    let options = Options {
        sheets_endpoint: settings::sheets_endpoint(),
        drive_endpoint: format!(
            "{}/drive/v3",
            settings::drive_endpoint().trim_end_matches('/')
        ),
        timeout: settings::http_timeout(),
        route: Route::new(settings::ca_file().as_deref(), settings::proxy().as_deref())?,
        ..Options::default()
    };
    let identity = Identity::with_metadata_at(&settings::metadata_endpoint(), parsed);
    let client = Client::new(Arc::new(identity), &options);
    Ok(Arc::new(GoogleSession::new(client)))
}

fn read_key(credential: &str) -> Result<Stored, Failure> {
    let stored = transaction(|session| {
        session
            .select(
                "SELECT pg_catalog.encode(k.sealed_key, 'hex'), pg_catalog.encode(s.secret, 'hex'), k.set_at::pg_catalog.text \
                 FROM sheet_sync._credential k LEFT JOIN sheet_sync._seal s ON true WHERE k.name = $1",
                &[credential.into()],
            )
            .into_iter()
            .next()
    })
    .map_err(super::database::failure)?;
    if let Some(row) = stored {
        let mut fields = Fields::of(row);
        let mut bytes = || seal::from_hex(&fields.text()).unwrap_or_default();
        let (sealed, secret) = (bytes(), bytes());
        let set_at = Some(fields.text());
        let opened = seal::open(&secret, credential, &sealed).map_err(|_| {
            failure(
                Reason::KeyInvalid,
                format!("the key of credential \"{credential}\" was stored in another database, and cannot be read here"),
                format!("Set it again: {}", set_it(credential)),
            )
        });
        return opened.map(|text| {
            Stored::InTable(Key {
                text: Secret::new(text),
                set_at,
            })
        });
    }
    if let Some(file) = settings::credentials_file().filter(|_| credential == OF_THE_FILE) {
        let read = std::fs::read_to_string(&file);
        return Ok(Stored::InFile(
            read.map(Secret::new)
                .map_err(|error| unreadable(&file, &error)),
        ));
    }
    Err(failure(
        Reason::NoCredential,
        format!("there is no credential \"{credential}\""),
        set_it(credential),
    ))
}

/// The statement that stores a key under this name.
fn set_it(credential: &str) -> String {
    format!(
        "SELECT sheet_sync.set_credential({}, pg_read_file('/path/key.json')::jsonb);",
        quote_literal(credential)
    )
}

fn unreadable(file: &str, error: &io::Error) -> Failure {
    failure(
        Reason::NoCredential,
        format!("the file of sheet_sync.credentials_file cannot be read: {error}"),
        unreadable_file(file, "sheet_sync.credentials_file", error.kind()),
    )
}

fn failure(reason: Reason, message: String, hint: String) -> Failure {
    Failure {
        class: Class::NeedsHuman,
        reason,
        message,
        hint,
        retry_after_ms: None,
        may_have_applied: false,
    }
}
