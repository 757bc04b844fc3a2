//! Persons who have logged in with an OAuth application: the credential that gcloud writes of it,
//! and the tokens that its refresh token gives (G-AUTH-8). What refusals say is Google's wording as
//! it is quoted in reports; none of it was measured.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::token::{Bearer, Grant, LIFETIME, PROJECT_NUMBER, Refusal, sign};
use crate::store::State;

/// The secret of every application of this server. It protects nothing, as the key does.
const CLIENT_SECRET: &str = "GOCSPX-5ee7d00000000000000000000000";
const REFRESH_TOKEN: &str = "1//0sheetd-";

fn client_id() -> String {
    format!("{PROJECT_NUMBER}-5ee7d000000000000000000000000000.apps.googleusercontent.com")
}

/// What a person allowed, and whether that still holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Login {
    pub scopes: Vec<String>,
    #[serde(default)]
    pub state: LoginState,
    /// What is left of a login of limited time, such as one of an application in testing.
    #[serde(default)]
    pub seconds_left: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginState {
    #[default]
    Good,
    /// Taken back by the person, or expired.
    Revoked,
    /// The person's organisation wants another login.
    Rapt,
}

/// The file of `gcloud auth application-default login`, pointing to this server. gcloud leaves the
/// account blank.
pub fn credential_file(email: &str, base_url: &str) -> Json {
    json!({
        "account": "",
        "client_id": client_id(),
        "client_secret": CLIENT_SECRET,
        "refresh_token": format!("{REFRESH_TOKEN}{}", URL_SAFE_NO_PAD.encode(email)),
        "token_uri": format!("{base_url}/token"),
        "type": "authorized_user",
        "universe_domain": "googleapis.com"
    })
}

/// `grant_type=refresh_token`.
pub fn refresh(form: &HashMap<String, String>, state: &State, now: i64, nonce: u64) -> Grant {
    let invalid = |description: &str| Refusal::new(400, "invalid_request", description);
    let member = |name: &str| form.get(name).filter(|text| !text.is_empty());
    let id = member("client_id").ok_or_else(|| invalid("Could not determine client ID from request."))?;
    if *id != client_id() {
        return Err(Refusal::new(401, "invalid_client", "The OAuth client was not found."));
    }
    let secret = member("client_secret").ok_or_else(|| invalid("client_secret is missing."))?;
    if secret != CLIENT_SECRET {
        return Err(Refusal::new(401, "invalid_client", "The provided client secret is invalid."));
    }
    let token = member("refresh_token").ok_or_else(|| invalid("Missing required parameter: refresh_token"))?;
    let bad_token = || Refusal::new(400, "invalid_grant", "Bad Request");
    let email = token.strip_prefix(REFRESH_TOKEN).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let email = email.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad_token)?;
    let login = state.logins.get(&email).ok_or_else(bad_token)?;
    match login.state {
        LoginState::Good => {}
        LoginState::Revoked => {
            return Err(Refusal::new(400, "invalid_grant", "Token has been expired or revoked."));
        }
        LoginState::Rapt => {
            let refusal = Refusal::new(400, "invalid_grant", "reauth related error (invalid_rapt)");
            return Err(refusal.with_subtype("invalid_rapt"));
        }
    }
    let scopes: Vec<String> = match member("scope") {
        None => login.scopes.clone(),
        Some(asked) => asked.split_whitespace().map(str::to_owned).collect(),
    };
    if scopes.iter().any(|scope| !login.scopes.contains(scope)) {
        return Err(Refusal::new(400, "invalid_scope", "Bad Request"));
    }
    let mut answer = json!({ "expires_in": LIFETIME, "scope": scopes.join(" "), "token_type": "Bearer" });
    if scopes.iter().any(|scope| scope == "openid") {
        let claims = json!({ "iss": "https://accounts.google.com", "aud": client_id(), "sub": "100000000000000000002",
            "email": email, "email_verified": true, "iat": now, "exp": now + LIFETIME });
        answer["id_token"] = sign(&claims).into();
    }
    if let Some(seconds) = login.seconds_left {
        answer["refresh_token_expires_in"] = seconds.into();
    }
    answer["access_token"] = Bearer::new(&email, scopes, now, nonce).print().into();
    Ok(answer)
}
