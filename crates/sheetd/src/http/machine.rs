//! The metadata server of the machine on Google Cloud that this server plays, where it plays one
//! (G-AUTH-9).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Answer, print};
use super::serve::Incoming;
use super::token::{Bearer, LIFETIME};

/// The machine, and the service account that it runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Machine {
    /// `None` is a machine without one.
    pub account: Option<String>,
    /// What its tokens are good for, as on a virtual machine; those asked for where absent, as on
    /// Cloud Run and GKE.
    pub scopes: Option<Vec<String>>,
}

const ACCOUNTS: &str = "/computeMetadata/v1/instance/service-accounts/";
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

pub fn is_asked(path: &str) -> bool {
    path.starts_with("/computeMetadata/")
}

pub fn answer(machine: &Machine, incoming: &Incoming, now: i64, nonce: u64) -> Answer {
    // Neither a page in a browser nor a proxy can send what it wants.
    if incoming.metadata_flavor.as_deref() != Some("Google") {
        return refused(403, "Missing Metadata-Flavor:Google header.");
    }
    if incoming.is_forwarded {
        return refused(403, "Requests with X-Forwarded-For are not answered.");
    }
    let Some(account) = &machine.account else {
        return refused(404, "Not Found");
    };
    let asked = incoming.path.strip_prefix(ACCOUNTS).unwrap_or_default();
    let scopes = || match &machine.scopes {
        Some(scopes) => scopes.clone(),
        None => asked_for(&incoming.query),
    };
    match asked.split_once('/') {
        None if asked.is_empty() && incoming.path == ACCOUNTS => text(&format!("default/\n{account}/\n")),
        Some((of, what)) if of == "default" || of == account => match what {
            "email" => text(account),
            "scopes" => text(&format!("{}\n", scopes().join("\n"))),
            "token" => {
                let token = Bearer::new(account, scopes(), now, nonce).print();
                let body = json!({ "access_token": token, "expires_in": LIFETIME, "token_type": "Bearer" });
                Answer { status: 200, content_type: "application/json", body: print(&body, false) }
            }
            _ => refused(404, "Not Found"),
        },
        _ => refused(404, "Not Found"),
    }
}

fn asked_for(query: &str) -> Vec<String> {
    let query = super::route::query(query);
    let scopes = query.iter().find(|(name, _)| name == "scopes").map_or(CLOUD_PLATFORM, |(_, scopes)| scopes);
    scopes.split(',').map(str::to_owned).collect()
}

fn text(text: &str) -> Answer {
    Answer { status: 200, content_type: "application/text", body: text.as_bytes().to_vec() }
}

/// It refuses in HTML, as the front end does.
pub fn refused(status: u16, why: &str) -> Answer {
    let body = format!(
        "<!DOCTYPE html>\n<html lang=en>\n<title>Error {status}</title>\n<p><b>{status}.</b> <ins>{why}</ins>\n"
    );
    Answer { status, content_type: "text/html; charset=UTF-8", body: body.into_bytes() }
}
