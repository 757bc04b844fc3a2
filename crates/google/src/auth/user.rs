//! A person's login: the refresh token of an OAuth application.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Secret;
use super::credential::{KeyError, Members, is_id};
use super::token_uri::TokenUri;
use crate::transport::Form;

/// The parts of a credential of type `authorized_user` that are used.
#[derive(Clone, Debug)]
pub struct UserCredential {
    pub client_id: String,
    /// Whose it is; gcloud leaves it blank more often than not.
    pub account: Option<String>,
    /// The project on which the requests count, instead of the application's.
    pub quota_project: Option<String>,
    pub token_uri: TokenUri,
    client_secret: Secret,
    refresh_token: Secret,
}

impl UserCredential {
    pub(super) fn read(members: &Members) -> Result<Self, KeyError> {
        let quota_project = members.text("quota_project_id")?;
        if quota_project.is_some_and(|id| !is_id(id)) {
            return Err(KeyError::BadQuotaProject);
        }
        let client_id = members.needed("client_id")?;
        if !is_id(client_id) {
            return Err(KeyError::BadId("client_id"));
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            account: members
                .text("account")?
                .filter(|account| is_address(account))
                .map(str::to_owned),
            quota_project: quota_project.map(str::to_owned),
            token_uri: match members.text("token_uri")? {
                Some(uri) => TokenUri::parse(uri)?,
                None => TokenUri::google(),
            },
            client_secret: Secret::new(members.needed("client_secret")?),
            refresh_token: Secret::new(members.needed("refresh_token")?),
        })
    }

    /// The number of the project of an OAuth client stands before the dash in its id.
    pub(super) fn project(&self) -> Option<&str> {
        let of_client = self.client_id.split_once('-').map(|(number, _)| number);
        self.quota_project.as_deref().or(of_client)
    }

    /// The form that asks for a token: one for all that the person allowed, since to name a scope
    /// that was not allowed is refused.
    pub(super) fn grant(&self) -> Form {
        let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        Form {
            text: Secret::new(format!(
                "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
                escaped(&self.client_id),
                escaped(self.client_secret.reveal()),
                escaped(self.refresh_token.reveal()),
            )),
            secrets: vec![self.client_secret.clone(), self.refresh_token.clone()],
        }
    }
}

/// The address in an ID token. It came from the token endpoint itself, so whoever signed it is not
/// asked.
pub(super) fn address_in(id_token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        email: String,
    }
    let decoded = jsonwebtoken::dangerous::insecure_decode::<Claims>(id_token).ok()?;
    Some(decoded.claims.email).filter(|email| is_address(email))
}

/// Short enough and plain enough for a message.
pub(super) fn is_address(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\`".contains(&byte);
    text.contains('@') && text.len() <= 320 && text.bytes().all(is_part)
}
