//! The metadata server of Google Cloud: the token and the address of the service account that this
//! machine, pod or service runs as.
//!
//! It stands in the machine's own network: no proxy leads there, and no redirect is followed from
//! it. Whoever answers without its mark is somebody else.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::scopes::SCOPES;
use super::user::is_address;
use crate::error::{Error, NoMetadata};
use crate::transport::{Answer, Http};

/// Where it is on every machine of Google Cloud.
pub const METADATA_ENDPOINT: &str = "http://metadata.google.internal";

/// What it knows of the account.
const ACCOUNT: &str = "computeMetadata/v1/instance/service-accounts/default";

/// It is next door, but that of a pod that has just started may take some seconds.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: u64 = 100_000;

#[derive(Debug)]
pub(super) struct MetadataServer {
    http: Http,
    endpoint: String,
}

impl MetadataServer {
    pub(super) fn at(endpoint: &str) -> Self {
        Self {
            http: Http::direct(TIMEOUT, MAX_ANSWER_BYTES),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        }
    }

    /// Scopes are asked for where they can be (Cloud Run, GKE). A virtual machine may give what it
    /// was made with (G-AUTH-9), and Sheets then says what is lacking.
    pub(super) fn token(&self) -> Result<Answer, Error> {
        let scopes = SCOPES.join(",");
        let scopes = utf8_percent_encode(&scopes, NON_ALPHANUMERIC);
        let answer = self.ask(&format!("token?scopes={scopes}"))?;
        match answer.status {
            404 => Err(Error::NoMetadata(NoMetadata::NoServiceAccount)),
            _ => Ok(answer),
        }
    }

    /// The account's address, to be shown and for nothing else. A pod without a Google account of
    /// its own has a name that is no address.
    pub(super) fn address(&self) -> Option<String> {
        let answer = self.ask("email").ok()?;
        let text = String::from_utf8(answer.body).ok()?;
        let address = text.trim();
        (answer.status == 200 && is_address(address)).then(|| address.to_owned())
    }

    fn ask(&self, what: &str) -> Result<Answer, Error> {
        let url = format!("{}/{ACCOUNT}/{what}", self.endpoint);
        let answer = self.http.metadata(&url).map_err(|error| match error {
            Error::Unreachable { message, .. } | Error::Lost { message, .. } => {
                NoMetadata::NotReached(message)
            }
            error => NoMetadata::SomebodyElse(error.to_string()),
        });
        let answer = answer.map_err(Error::NoMetadata)?;
        match answer.metadata_flavor.as_deref() {
            Some("Google") => Ok(answer),
            _ => Err(Error::NoMetadata(NoMetadata::SomebodyElse(format!(
                "an answer {} without Metadata-Flavor: Google",
                answer.status
            )))),
        }
    }
}
