//! Service accounts: the key file, and what it signs.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::credential::{KeyError, Members, is_id};
use super::scopes::SCOPES;
use super::token::unix_seconds;
use super::token_uri::TokenUri;
use super::user::is_address;
use super::{Secret, TOKEN_ENDPOINT};
use crate::error::Error;
use crate::mask::mask;
use crate::transport::Form;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The parts of a service account's JSON key that are used.
#[derive(Clone)]
pub struct ServiceAccountKey {
    pub client_email: String,
    pub project_id: Option<String>,
    pub private_key_id: Option<String>,
    pub token_uri: TokenUri,
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

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl ServiceAccountKey {
    pub(super) fn read(members: &Members) -> Result<Self, KeyError> {
        let client_email = members.needed("client_email")?;
        if !is_address(client_email) {
            return Err(KeyError::BadEmail);
        }
        let project_id = members.text("project_id")?;
        if project_id.is_some_and(|id| !is_id(id)) {
            return Err(KeyError::BadId("project_id"));
        }
        Ok(Self {
            client_email: client_email.to_owned(),
            project_id: project_id.map(str::to_owned),
            private_key_id: members.text("private_key_id")?.map(str::to_owned),
            token_uri: TokenUri::parse(members.needed("token_uri")?)?,
            private_key: private_key(members.needed("private_key")?)?,
        })
    }

    /// The form that asks for a token.
    pub(super) fn grant(&self) -> Result<Form, Error> {
        let now = unix_seconds();
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.private_key_id);
        let claims = Claims {
            iss: &self.client_email,
            scope: &SCOPES.join(" "),
            // The only audience that Google's own client sends, wherever token_uri points
            // (G-AUTH-1).
            aud: TOKEN_ENDPOINT,
            iat: now,
            exp: now + 3600,
        };
        let assertion = jsonwebtoken::encode(&header, &claims, &self.private_key)
            .map_err(|error| Error::Key(mask(&error.to_string())))?;
        Ok(Form {
            text: Secret::new(format!(
                "grant_type={}&assertion={assertion}",
                utf8_percent_encode(GRANT_TYPE, NON_ALPHANUMERIC)
            )),
            secrets: vec![Secret::new(assertion)],
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
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyError::BadPrivateKey)?;
    // Only signing shows whether there is a key inside the PEM's envelope.
    jsonwebtoken::crypto::sign(b"", &key, Algorithm::RS256).map_err(|_| KeyError::BadPrivateKey)?;
    Ok(key)
}
