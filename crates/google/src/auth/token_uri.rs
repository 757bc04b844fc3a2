//! Where the tokens of a key or a login are asked for.

use std::net::IpAddr;

use ureq::http::Uri;

use super::TOKEN_ENDPOINT;
use super::credential::KeyError;

/// Google's, as its key files have named it over the years.
const GOOGLES: [&str; 4] = [
    TOKEN_ENDPOINT,
    "https://www.googleapis.com/oauth2/v4/token",
    "https://www.googleapis.com/oauth2/v3/token",
    "https://accounts.google.com/o/oauth2/token",
];

/// An address to which a secret may be sent: nobody on the way can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUri(String);

impl TokenUri {
    pub(super) fn google() -> Self {
        Self(TOKEN_ENDPOINT.to_owned())
    }

    pub(super) fn parse(text: &str) -> Result<Self, KeyError> {
        let uri: Uri = text.parse().map_err(|_| KeyError::BadTokenUri)?;
        let authority = uri.authority().ok_or(KeyError::BadTokenUri)?;
        // What stands before an @ is a user's name, and looks like the server's.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(KeyError::BadTokenUri);
        }
        match uri.scheme_str() {
            Some("https") => Ok(Self(text.to_owned())),
            Some("http") if is_this_machine(authority.host()) => Ok(Self(text.to_owned())),
            Some("http") => Err(KeyError::UnencryptedTokenUri),
            _ => Err(KeyError::BadTokenUri),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whoever may name another server has this one send requests there, and sees what it answers.
    pub fn is_googles(&self) -> bool {
        GOOGLES.contains(&self.as_str())
    }
}

/// 0.0.0.0, too, where a stand-in that listens everywhere says that it is: it leads nowhere else.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_here)
}
