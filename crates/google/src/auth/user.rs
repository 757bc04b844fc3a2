//! A person's login: the refresh token of an OAuth application.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::credential::{KeyError, Members, token_uri};
use super::{Secret, TOKEN_ENDPOINT};

/// The parts of a credential of type `authorized_user` that are used.
#[derive(Clone, Debug)]
pub struct UserCredential {
    pub client_id: String,
    /// Whose it is; gcloud leaves it blank more often than not.
    pub account: Option<String>,
    /// The project on which the requests count, instead of the application's.
    pub quota_project: Option<String>,
    pub token_uri: String,
    client_secret: Secret,
    refresh_token: Secret,
}

impl UserCredential {
    pub(super) fn read(members: &Members) -> Result<Self, KeyError> {
        let quota_project = members.text("quota_project_id")?;
        // It goes into a header.
        if quota_project.is_some_and(|id| !id.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(KeyError::BadQuotaProject);
        }
        Ok(Self {
            client_id: members.needed("client_id")?.to_owned(),
            account: members
                .text("account")?
                .filter(|email| is_address(email))
                .map(str::to_owned),
            quota_project: quota_project.map(str::to_owned),
            token_uri: token_uri(members.text("token_uri")?.unwrap_or(TOKEN_ENDPOINT))?,
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
    pub(super) fn grant(&self) -> Secret {
        let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        Secret::new(format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
            escaped(&self.client_id),
            escaped(self.client_secret.reveal()),
            escaped(self.refresh_token.reveal()),
        ))
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
    text.contains('@') && text.len() <= 320 && text.bytes().all(|byte| byte.is_ascii_graphic())
}
