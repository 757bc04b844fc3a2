//! Logins of persons at the token endpoint, and the metadata server (G-AUTH-8, G-AUTH-9).

mod common;

use common::{Client, encoded};
use serde_json::{Value as Json, json};

const ANNE: &str = "anne@example.com";
const SPREADSHEETS: &str = "https://www.googleapis.com/auth/spreadsheets";

/// The form that asks for a token with this login.
fn form(login: &Json) -> Json {
    json!({ "grant_type": "refresh_token", "client_id": login["client_id"], "client_secret": login["client_secret"],
        "refresh_token": login["refresh_token"] })
}

fn change(client: &Client, to: Json) {
    client.control("POST", &format!("logins/{}", encoded(ANNE)), to);
}

#[test]
fn a_refresh_token_is_exchanged_or_refused() {
    let client = Client::start();
    let login = client.control("POST", "logins", json!({ "email": ANNE }));
    assert_eq!(login["type"], "authorized_user");
    let with = |name: &str, value: Json| {
        let mut form = form(&login);
        form[name] = value;
        let (status, body) = client.form("/token", &form);
        (status, format!("{} · {}", body["error"].as_str().unwrap_or("good"), body["error_description"]))
    };
    let refused = |name, value, status: u16, words: &str| {
        let (is, said) = with(name, value);
        assert!(is == status && said.contains(words), "{name}: {is} {said}");
    };
    refused("grant_type", json!("password"), 400, "unsupported_grant_type");
    refused("client_id", json!(""), 400, "invalid_request · \"Could not determine");
    refused("client_id", json!("x"), 401, "invalid_client · \"The OAuth client was not found.");
    refused("client_secret", json!(""), 400, "client_secret is missing");
    refused("client_secret", json!("x"), 401, "invalid_client · \"The provided client secret is invalid.");
    refused("refresh_token", json!(""), 400, "Missing required parameter: refresh_token");
    refused("refresh_token", json!("1//x"), 400, "invalid_grant · \"Bad Request");
    refused("scope", json!("https://www.googleapis.com/auth/drive"), 400, "invalid_scope");

    let (status, body) = client.form("/token", &form(&login));
    assert_eq!((status, body["expires_in"].as_i64()), (200, Some(3599)), "{body}");
    assert!(body["scope"].as_str().unwrap().split(' ').any(|scope| scope == SPREADSHEETS));
    assert!(body["id_token"].is_string() && body.get("refresh_token_expires_in").is_none());
    change(&client, json!({ "scopes": [SPREADSHEETS], "seconds_left": 60 }));
    let (_, body) = client.form("/token", &form(&login));
    assert_eq!((&body["scope"], &body["refresh_token_expires_in"]), (&json!(SPREADSHEETS), &json!(60)));
    assert!(body.get("id_token").is_none(), "openid was not allowed");

    change(&client, json!({ "state": "revoked" }));
    let (_, said) = with("grant_type", json!("refresh_token"));
    assert_eq!(said, "invalid_grant · \"Token has been expired or revoked.\"");
    change(&client, json!({ "state": "rapt" }));
    let (_, body) = client.form("/token", &form(&login));
    assert_eq!(body["error_subtype"], "invalid_rapt");
}

#[test]
fn what_a_person_sees_with_a_token() {
    let client = Client::start();
    let login = client.control("POST", "logins", json!({ "email": ANNE }));
    let (_, body) = client.form("/token", &form(&login));
    let token = body["access_token"].as_str().unwrap();
    client.control("POST", "spreadsheets", json!({ "id": "hers", "shared": false }));
    let path = "/v4/spreadsheets/hers";
    assert_eq!(client.send("GET", path, None, Some(token)).0, 403);
    client.control("POST", "spreadsheets/hers/share", json!({ "email": ANNE }));
    assert_eq!(client.send("GET", path, None, Some(token)).0, 200);

    let counted_on = |project: &str| {
        let headers = [("authorization", format!("Bearer {token}")), ("x-goog-user-project", project.to_owned())];
        client.get_with(path, &headers)
    };
    assert_eq!(counted_on("sheetd").0, 200);
    let (status, _, body) = counted_on("elsewhere");
    assert_eq!((status, &body["error"]["details"][1]["reason"]), (403, &json!("USER_PROJECT_DENIED")));
}

#[test]
fn the_metadata_server_of_a_machine() {
    let client = Client::start();
    let path = "/computeMetadata/v1/instance/service-accounts/default";
    let google = [("metadata-flavor", "Google".to_owned())];
    let (status, flavor, _) = client.get_with(&format!("{path}/token"), &google);
    assert_eq!((status, flavor), (400, None), "this is no machine of Google Cloud");

    client.control("POST", "machine", json!({}));
    let (status, flavor, _) = client.get_with(&format!("{path}/token"), &google);
    assert_eq!((status, flavor.as_deref()), (404, Some("Google")), "a machine without an account");

    client.control("POST", "machine", json!({ "account": "vm@x.iam.gserviceaccount.com" }));
    assert_eq!(client.get_with(&format!("{path}/token"), &[]).0, 403);
    let forwarded = [google[0].clone(), ("x-forwarded-for", "10.0.0.1".to_owned())];
    assert_eq!(client.get_with(&format!("{path}/token"), &forwarded).0, 403);
    assert_eq!(client.get_with(&format!("{path}/email"), &google).2, json!("vm@x.iam.gserviceaccount.com"));
    let token = |query: &str| {
        let (status, flavor, body) = client.get_with(&format!("{path}/token{query}"), &google);
        assert_eq!((status, flavor.as_deref()), (200, Some("Google")));
        assert!(body.get("scope").is_none(), "it does not say what for");
        body["access_token"].as_str().unwrap().to_owned()
    };
    client.control("POST", "spreadsheets", json!({ "id": "its" }));
    client.control("POST", "spreadsheets/its/share", json!({ "email": "vm@x.iam.gserviceaccount.com" }));
    let status = |token: &str| client.send("GET", "/v4/spreadsheets/its", None, Some(token)).0;
    let asked = format!("?scopes={}", encoded(SPREADSHEETS));
    assert_eq!(status(&token("")), 403, "cloud-platform does not stand for spreadsheets");
    assert_eq!(status(&token(&asked)), 200);
    let fixed = json!({ "account": "vm@x.iam.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/cloud-platform"] });
    client.control("POST", "machine", fixed);
    assert_eq!(status(&token(&asked)), 403, "a virtual machine gives what it was made with");

    client.fault(json!({ "match": { "kind": "metadata" }, "action": { "status": 503 } }));
    let (status, flavor, _) = client.get_with(&format!("{path}/token"), &google);
    assert_eq!((status, flavor.as_deref()), (503, Some("Google")));
    client.control("DELETE", "machine", json!({}));
    assert_eq!(client.get_with(&format!("{path}/token"), &google).1, None);
}
