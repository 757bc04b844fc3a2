//! The way out of the server's network: through which proxy, and whose certificates are believed.

use engine::effect::Reason;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use engine::effect::{Class, Failure};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use ureq::{Proxy, ProxyProtocol};

/// Where no proxy is named, the environment of the server process counts (`https_proxy`,
/// `no_proxy`), as it does for curl.
#[derive(Clone)]
pub struct Route {
    pub(crate) proxy: Option<Proxy>,
    pub(crate) roots: RootCerts,
}

/// Shows no proxy: a password may stand in its address.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

impl Default for Route {
    /// By the list of authorities that is compiled in.
    fn default() -> Self {
        Self {
            proxy: None,
            roots: RootCerts::WebPki,
        }
    }
}

impl Route {
    /// `ca_file` is in PEM form, and only what it names is believed. `proxy` is
    /// `http://[user:password@]host:port`, or the path of a file that holds such an address.
    pub fn new(ca_file: Option<&str>, proxy: Option<&str>) -> Result<Self, Failure> {
        Ok(Self {
            roots: match ca_file {
                Some(file) => roots_in(file)?,
                None => roots_of_the_system(),
            },
            proxy: proxy.map(proxy_at).transpose()?,
        })
    }
}

fn roots_in(file: &str) -> Result<RootCerts, Failure> {
    let pem = std::fs::read(file).map_err(|error| {
        failure(
            Reason::Certificate,
            format!("the file of sheet_sync.ca_file cannot be read: {error}"),
            unreadable_file(file, "sheet_sync.ca_file", error.kind()),
        )
    })?;
    let certificates: Vec<Certificate> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match certificates.is_empty() {
        true => Err(failure(
            Reason::Certificate,
            "the file of sheet_sync.ca_file holds no certificate".to_owned(),
            format!(
                "{file} must hold the certificates of the authorities in PEM form (-----BEGIN CERTIFICATE-----)."
            ),
        )),
        false => Ok(RootCerts::new_with_certs(&certificates)),
    }
}

/// A bare container has no store, and Google is to be reached from there too: then the list that is
/// compiled in counts. Not so where the environment names a store, which may be there to allow
/// less.
fn roots_of_the_system() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    let is_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if found.is_empty() && !is_named {
        return RootCerts::WebPki;
    }
    let certificates: Vec<Certificate> = found
        .iter()
        .map(|der| Certificate::from_der(der.as_ref()).to_owned())
        .collect();
    RootCerts::new_with_certs(&certificates)
}

fn proxy_at(setting: &str) -> Result<Proxy, Failure> {
    let address = match Path::new(setting).is_absolute() {
        false => setting.to_owned(),
        true => std::fs::read_to_string(setting).map_err(|error| {
            failure(
                Reason::Proxy,
                format!("the file of sheet_sync.proxy cannot be read: {error}"),
                unreadable_file(setting, "sheet_sync.proxy", error.kind()),
            )
        })?,
    };
    // The address is not shown: a password may stand in it.
    let refused = || {
        failure(
            Reason::Proxy,
            "sheet_sync.proxy is not the address of an HTTP proxy".to_owned(),
            "Write http://host:port or http://user:password@host:port; write a character such as @ or : in the password as %40 or %3A.".to_owned(),
        )
    };
    let proxy = Proxy::new(address.trim()).map_err(|_| refused())?;
    match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https if !proxy.host().is_empty() => Ok(proxy),
        _ => Err(refused()),
    }
}

/// What to do about a file that a setting names and that could not be read.
pub fn unreadable_file(file: &str, setting: &str, error: ErrorKind) -> String {
    match error {
        ErrorKind::NotFound => {
            format!("Put the file {file} on the database server, or correct {setting}.")
        }
        ErrorKind::PermissionDenied => format!(
            "Make {file} readable for the server's operating-system user, and the directories above it accessible."
        ),
        _ => format!(
            "See that {file} is a text file that the server can read, or correct {setting}."
        ),
    }
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
