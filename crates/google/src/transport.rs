//! HTTP: one agent, bounded in time and size, that says of every failure whether the request may
//! have been carried out.

use std::io::{self, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::config::ConfigBuilder;
use ureq::http::{Response, header};
use ureq::tls::TlsConfig;
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, RequestBuilder, Timeout};

use crate::auth::{Access, Secret};
use crate::error::{Error, Obstacle};
use crate::mask::{Mask, mask};
use crate::route::Route;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Cheap to clone; clones share the pool of connections.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
    max_answer_bytes: u64,
}

/// Without `Debug`: a form holds what a token is given for.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    None,
    Json(&'a [u8]),
    Form(&'a Form),
}

/// What a token is asked for with.
pub struct Form {
    pub(crate) text: Secret,
    /// The parts of it that nobody gets to see, as they are before they are escaped.
    pub(crate) secrets: Vec<Secret>,
}

/// An answer that arrived whole, whatever its status. Without `Debug`: it may hold a token.
pub struct Answer {
    pub status: u16,
    pub retry_after_seconds: Option<u64>,
    /// The server's clock, from its Date header.
    pub date: Option<String>,
    /// The mark of Google Cloud's metadata server.
    pub metadata_flavor: Option<String>,
    pub body: Vec<u8>,
    /// By which its texts get into errors: it may echo the request.
    pub(crate) mask: Mask,
}

impl Answer {
    pub(crate) fn json<A: DeserializeOwned>(&self) -> Result<A, Error> {
        // The place only: serde_json's own message may quote a cell or a token.
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::Unreadable(format!(
                "{:?} error in line {} at byte {} of {}",
                error.classify(),
                error.line(),
                error.column(),
                self.body.len()
            ))
        })
    }
}

const METADATA_FLAVOR: &str = "Metadata-Flavor";

impl Http {
    /// `timeout` bounds a whole request with its answer.
    pub fn new(timeout: Duration, max_answer_bytes: u64, route: &Route) -> Self {
        let tls = TlsConfig::builder().root_certs(route.roots.clone()).build();
        let mut config = Agent::config_builder().tls_config(tls);
        if let Some(proxy) = &route.proxy {
            config = config.proxy(Some(proxy.clone()));
        }
        Self::configured(config, timeout, max_answer_bytes)
    }

    /// Past every proxy, also one that the environment names.
    pub fn direct(timeout: Duration, max_answer_bytes: u64) -> Self {
        let config = Agent::config_builder().proxy(None);
        Self::configured(config, timeout, max_answer_bytes)
    }

    fn configured(
        config: ConfigBuilder<AgentScope>,
        timeout: Duration,
        max_answer_bytes: u64,
    ) -> Self {
        let config = config
            .timeout_resolve(Some(RESOLVE_TIMEOUT.min(timeout)))
            .timeout_connect(Some(CONNECT_TIMEOUT.min(timeout)))
            .timeout_global(Some(timeout))
            // A redirect would carry the token to wherever it points; none of Google's API methods
            // redirects.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("sheet_sync/", env!("CARGO_PKG_VERSION"), " (gzip)"))
            .build();
        Self {
            agent: Agent::new_with_config(config),
            max_answer_bytes,
        }
    }

    pub fn get(&self, url: &str, access: &Access) -> Result<Answer, Error> {
        let sent = Mask::of(vec![access.token.clone()]);
        self.whole(signed(self.agent.get(url), access).call(), sent)
    }

    /// What the metadata server says there.
    pub fn metadata(&self, url: &str) -> Result<Answer, Error> {
        let request = self.agent.get(url).header(METADATA_FLAVOR, "Google");
        self.whole(request.call(), Mask::default())
    }

    pub fn post(
        &self,
        url: &str,
        access: Option<&Access>,
        content: Content,
    ) -> Result<Answer, Error> {
        let mut request = self.agent.post(url);
        let mut secrets = Vec::new();
        if let Some(access) = access {
            request = signed(request, access);
            secrets.push(access.token.clone());
        }
        let answer = match content {
            Content::None => request.send_empty(),
            Content::Json(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .send(body),
            Content::Form(form) => {
                secrets.extend(form.secrets.iter().cloned());
                request
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .send(form.text.reveal())
            }
        };
        self.whole(answer, Mask::of(secrets))
    }

    fn whole(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
        mask: Mask,
    ) -> Result<Answer, Error> {
        let proxied = self.agent.config().proxy().is_some();
        let mut answer = answer.map_err(|error| without_answer(&error, proxied))?;
        let status = answer.status().as_u16();
        let text = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let retry_after_seconds = text("Retry-After").and_then(|value| value.trim().parse().ok());
        let date = text("Date").map(str::to_owned);
        let metadata_flavor = text(METADATA_FLAVOR).map(str::to_owned);
        if (300..400).contains(&status) {
            let to = text("Location").unwrap_or("nowhere");
            return Err(Error::Redirected(mask.text(to)));
        }
        // Counted after decompression and while reading: neither an endless answer nor a small one
        // that swells may fill the memory.
        let limit = self.max_answer_bytes;
        let mut body = Vec::new();
        let mut reader = answer.body_mut().as_reader().take(limit.saturating_add(1));
        reader
            .read_to_end(&mut body)
            .map_err(|error| without_whole_body(&error.into()))?;
        if body.len() as u64 > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok(Answer {
            status,
            retry_after_seconds,
            date,
            metadata_flavor,
            body,
            mask,
        })
    }
}

fn signed<B>(request: RequestBuilder<B>, access: &Access) -> RequestBuilder<B> {
    let bearer = format!("Bearer {}", access.token.reveal());
    let request = request.header(header::AUTHORIZATION, bearer);
    match access.quota_project.as_deref() {
        Some(project) => request.header("x-goog-user-project", project),
        None => request,
    }
}

/// The request failed before its answer began.
fn without_answer(error: &ureq::Error, proxied: bool) -> Error {
    let message = mask(&error.to_string());
    match obstacle(error, &message) {
        // It is the proxy that is called first, by its name and at its port, and only the proxy
        // looks for Google.
        Some(Obstacle::Name | Obstacle::Refused | Obstacle::Silence) if proxied => {
            Error::Unreachable {
                obstacle: Obstacle::ProxyFails,
                message,
            }
        }
        Some(obstacle) => Error::Unreachable { obstacle, message },
        None => Error::Lost {
            timed_out: matches!(error, ureq::Error::Timeout(_)),
            message,
        },
    }
}

/// What kept the request from going out; `None` where it may have.
fn obstacle(error: &ureq::Error, message: &str) -> Option<Obstacle> {
    use ureq::Error as E;
    Some(match error {
        E::HostNotFound | E::Timeout(Timeout::Resolve) => Obstacle::Name,
        E::Timeout(Timeout::Connect) => Obstacle::Silence,
        E::Tls(_) | E::Rustls(_) => Obstacle::Certificate,
        E::ConnectProxyFailed(why) => match why.contains("responded 4") {
            true => Obstacle::ProxyRefuses,
            false => Obstacle::ProxyFails,
        },
        E::ConnectionFailed
        | E::InvalidProxyUrl
        | E::BadUri(_)
        | E::Http(_)
        | E::TlsRequired
        | E::RequireHttpsOnly(_) => Obstacle::NoWay,
        E::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Obstacle::Refused,
            io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Obstacle::NoWay,
            // rustls reports a certificate it does not accept as an io error; nothing but the
            // handshake has gone out by then.
            io::ErrorKind::InvalidData if message.contains("invalid peer certificate") => {
                Obstacle::Certificate
            }
            // The standard library has no kind for a name without an address.
            _ if message.contains("failed to lookup address") => Obstacle::Name,
            _ => return None,
        },
        _ => return None,
    })
}

fn without_whole_body(error: &ureq::Error) -> Error {
    Error::Lost {
        timed_out: matches!(error, ureq::Error::Timeout(_)),
        message: mask(&error.to_string()),
    }
}
