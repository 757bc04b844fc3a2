//! Service-account keys, and the Google sessions that use them.

use engine::effect::{Class, Failure};
use google::{Client, Identity, Options, ServiceAccountKey, Session as GoogleSession};
use std::collections::HashMap;
use std::sync::Arc;

use crate::postgres::fields::Fields;
use crate::postgres::transaction::transaction;
use crate::{seal, settings};

/// One session for each key and set of endpoints; all its mappings share its token.
#[derive(Default)]
pub struct Sessions {
    open: HashMap<String, (Arc<GoogleSession>, String)>,
}

impl Sessions {
    /// The settings changed: endpoints and timeouts are read anew.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// The session for a credential's key as it is stored now, or why there is none.
    pub fn get(&mut self, credential: &str) -> Result<Arc<GoogleSession>, Failure> {
        let text = read_key(credential)?;
        if let Some((session, key)) = self.open.get(credential)
            && *key == text
        {
            return Ok(session.clone());
        }
        let session = open(credential, &text)?;
        self.open
            .insert(credential.to_owned(), (session.clone(), text));
        Ok(session)
    }
}

/// One that shares nothing with those in use, not even a token: to see whether the key as it is
/// stored now is good.
pub fn fresh(credential: &str) -> Result<Arc<GoogleSession>, Failure> {
    open(credential, &read_key(credential)?)
}

fn open(credential: &str, text: &str) -> Result<Arc<GoogleSession>, Failure> {
    let key = ServiceAccountKey::parse(text).map_err(|error| {
        failure(
            "key_invalid",
            format!("the key of credential \"{credential}\" cannot be used: {error}"),
            error.hint().to_owned(),
        )
    })?;
    let options = Options {
        sheets_endpoint: settings::sheets_endpoint(),
        drive_endpoint: format!(
            "{}/drive/v3",
            settings::drive_endpoint().trim_end_matches('/')
        ),
        timeout: settings::http_timeout(),
        ..Options::default()
    };
    Ok(Arc::new(GoogleSession::new(Client::new(
        Arc::new(Identity::new(key)),
        &options,
    ))))
}

fn read_key(credential: &str) -> Result<String, Failure> {
    let stored = transaction(|session| {
        session
            .select(
                "SELECT pg_catalog.encode(k.sealed_key, 'hex'), pg_catalog.encode(s.secret, 'hex') \
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
        return seal::open(&secret, credential, &sealed).map_err(|_| {
            failure(
                "key_invalid",
                format!("the key of credential \"{credential}\" was stored in another database, and cannot be read here"),
                format!("Set it again: SELECT sheet_sync.set_credential('{credential}', pg_read_file('/path/key.json')::jsonb);"),
            )
        });
    }
    if let Some(file) = settings::credentials_file().filter(|_| credential == "default") {
        return std::fs::read_to_string(&file).map_err(|error| {
            failure(
                "no_credential",
                format!("the file of sheet_sync.credentials_file cannot be read: {error}"),
                format!("Make {file} readable for the server's operating-system user."),
            )
        });
    }
    Err(failure(
        "no_credential",
        format!("there is no credential \"{credential}\""),
        format!(
            "SELECT sheet_sync.set_credential('{credential}', pg_read_file('/path/key.json')::jsonb);"
        ),
    ))
}

fn failure(reason: &str, message: String, hint: String) -> Failure {
    Failure {
        class: Class::NeedsHuman,
        reason: reason.to_owned(),
        message,
        hint,
        retry_after_ms: None,
        may_have_applied: false,
    }
}
