//! The token endpoint and the bearer tokens it gives; service accounts and their key files
//! (G-AUTH). Persons are in `login`.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{self, KeyPair, RsaKeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::answer::{Answer, print};
use super::login;
use crate::store::State;

pub const DEFAULT_ACCOUNT: &str = "sheet-sync@sheetd.iam.gserviceaccount.com";
pub const PROJECT_NUMBER: &str = "603366585132";

/// The key pair of every account of this server. It protects nothing: whoever reaches the port may
/// use the control endpoints.
const PRIVATE_KEY: &str = include_str!("../../data/service-account.pem");
const KEY_ID: &str = "5ee7d0000000000000000000000000000000001d";
const GOOGLE_AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub const LIFETIME: i64 = 3599;

static KEY_PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| {
    let base64: String = PRIVATE_KEY.lines().filter(|l| !l.starts_with("-----")).collect();
    let der = STANDARD.decode(base64).expect("the key is base64");
    RsaKeyPair::from_pkcs8(&der).expect("the key is PKCS#8")
});

/// A JWT that says this, signed with the key of this server.
pub fn sign(claims: &Json) -> String {
    let head = json!({ "alg": "RS256", "kid": KEY_ID, "typ": "JWT" });
    let signed = [&head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let mut signature = vec![0; KEY_PAIR.public().modulus_len()];
    KEY_PAIR
        .sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .expect("the signature has the length of the key");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A key file as the Google console writes it, pointing to this server.
pub fn key_file(account: &str, base_url: &str) -> Json {
    json!({
        "type": "service_account",
        "project_id": project_of(account),
        "private_key_id": KEY_ID,
        "private_key": PRIVATE_KEY,
        "client_email": account,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": format!("{base_url}/token"),
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": format!("https://www.googleapis.com/robot/v1/metadata/x509/{}", account.replace('@', "%40")),
        "universe_domain": "googleapis.com"
    })
}

/// `name@project.iam.gserviceaccount.com`.
pub fn project_of(account: &str) -> String {
    account.split(['@', '.']).nth(1).unwrap_or("sheetd").to_owned()
}

/// What a bearer token says. Real ones are opaque too; holding it all in the token lets it outlive
/// a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bearer {
    pub account: String,
    pub scopes: Vec<String>,
    pub expires: i64,
    nonce: u64,
}

const PREFIX: &str = "ya29.sheetd.";

impl Bearer {
    pub fn new(account: &str, scopes: Vec<String>, now: i64, nonce: u64) -> Self {
        Self { account: account.to_owned(), scopes, expires: now + LIFETIME, nonce }
    }

    pub fn print(&self) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("plain data")))
    }

    pub fn parse(token: &str, now: i64) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        serde_json::from_slice(&json).ok().filter(|b: &Self| b.expires > now)
    }

    pub fn may(&self, service: super::route::Service, read_only: bool) -> bool {
        let allowed: &[&str] = match service {
            super::route::Service::Sheets => &["spreadsheets", "drive", "drive.file"],
            super::route::Service::Drive => &["drive", "drive.file"],
        };
        let readable: &[&str] = match service {
            super::route::Service::Sheets => &["spreadsheets.readonly", "drive.readonly"],
            super::route::Service::Drive => &["drive.readonly", "drive.metadata", "drive.metadata.readonly"],
        };
        self.scopes
            .iter()
            .filter_map(|s| s.strip_prefix("https://www.googleapis.com/auth/"))
            .any(|s| allowed.contains(&s) || read_only && readable.contains(&s))
    }
}

/// A refusal of RFC 6749.
pub struct Refusal {
    status: u16,
    error: &'static str,
    subtype: Option<&'static str>,
    description: String,
}

impl Refusal {
    pub fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, subtype: None, description: description.into() }
    }

    pub fn with_subtype(self, subtype: &'static str) -> Self {
        Self { subtype: Some(subtype), ..self }
    }

    fn answer(&self) -> Answer {
        let mut body = json!({ "error": self.error, "error_description": self.description });
        if let Some(subtype) = self.subtype {
            body["error_subtype"] = subtype.into();
        }
        Answer { status: self.status, content_type: "application/json; charset=UTF-8", body: print(&body, true) }
    }
}

/// What the token endpoint gives, or why not.
pub type Grant = Result<Json, Refusal>;

fn grant_refused(description: &str) -> Refusal {
    Refusal::new(400, "invalid_grant", description)
}

/// `POST /token`.
pub fn exchange(body: &[u8], base_url: &str, state: &State, now: i64, nonce: u64) -> Answer {
    let form: HashMap<String, String> = super::route::query(&String::from_utf8_lossy(body)).into_iter().collect();
    let granted = match form.get("grant_type").map(String::as_str) {
        Some(GRANT) => by_assertion(&form, base_url, state, now, nonce),
        Some("refresh_token") => login::refresh(&form, state, now, nonce),
        Some(other) => Err(Refusal::new(400, "unsupported_grant_type", format!("Invalid grant_type: {other}"))),
        None => Err(bad_request()),
    };
    granted.map_or_else(|refusal| refusal.answer(), |token| Answer::json(&token, true))
}

fn bad_request() -> Refusal {
    Refusal::new(400, "invalid_request", "Bad Request")
}

/// The checks come in Google's order (G-AUTH-5).
fn by_assertion(form: &HashMap<String, String>, base_url: &str, state: &State, now: i64, nonce: u64) -> Grant {
    let assertion = form.get("assertion").ok_or_else(bad_request)?;
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, sealed] = parts[..] else {
        return Err(bad_request());
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| bad_request());
    let parse = |part: &str| serde_json::from_slice::<Json>(&decode(part)?).map_err(|_| bad_request());
    let (head, claim) = (parse(header)?, parse(claims)?);
    let signed = format!("{header}.{claims}");
    let key = UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, KEY_PAIR.public_key().as_ref());
    if head["alg"] != "RS256" || key.verify(signed.as_bytes(), &decode(sealed)?).is_err() {
        return Err(grant_refused("Invalid JWT Signature."));
    }
    let account = claim["iss"].as_str().unwrap_or_default();
    match state.accounts.get(account) {
        Some(known) if !known.key_revoked => {}
        // A key that was deleted cannot sign any more.
        Some(_) => return Err(grant_refused("Invalid JWT Signature.")),
        None => return Err(grant_refused("Invalid grant: account not found")),
    }
    let seconds = |name: &str| match &claim[name] {
        Json::String(text) => text.parse::<f64>().ok(),
        value => value.as_f64(),
    };
    let issued = seconds("iat").ok_or_else(|| grant_refused("Invalid JWT: iat (issued at) is not set."))? as i64;
    let expires = seconds("exp").ok_or_else(|| grant_refused("Invalid JWT: exp (expiration time) is not set."))? as i64;
    if issued > now + 300 || expires < now || expires - issued > 3600 {
        return Err(grant_refused(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
        ));
    }
    let scopes: Vec<String> =
        claim["scope"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if scopes.is_empty() {
        return Err(Refusal::new(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    let audience = claim["aud"].as_str().unwrap_or_default();
    if audience != GOOGLE_AUDIENCE && audience != format!("{base_url}/token") {
        return Err(grant_refused("Invalid JWT: Failed audience check."));
    }
    if !scopes.iter().any(|s| s.starts_with("https://www.googleapis.com/auth/")) {
        // An unknown scope is no error: only an id_token comes (G-AUTH-3).
        return Ok(json!({ "id_token": assertion }));
    }
    let bearer = Bearer::new(account, scopes, now, nonce);
    Ok(json!({ "access_token": bearer.print(), "expires_in": LIFETIME, "token_type": "Bearer" }))
}
