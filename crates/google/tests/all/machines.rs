//! The metadata server of Google Cloud: asked in its own way, and nobody else is taken for it.

use std::process::Command;

use crate::support::{Asked, Reply, Stub, bare_spreadsheet};
use engine::effect::{Class, Failure};
use google::auth::{KeyError, Kind};
use google::{Client, Credential, Identity, Options, Route, Session};
use serde_json::json;

const TOKEN: &str = "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww%2Egoogleapis%2Ecom%2Fauth%2Fspreadsheets%2C";
const EMAIL: &str = "GET /computeMetadata/v1/instance/service-accounts/default/email";

fn with_flavor(status: u16, body: &str) -> Reply {
    Reply::With {
        status,
        headers: vec![("Metadata-Flavor", "Google".into())],
        body: body.to_owned(),
    }
}

fn token() -> Reply {
    let token = json!({"access_token": "ya29.secret", "expires_in": 3599, "token_type": "Bearer"});
    with_flavor(200, &token.to_string())
}

/// A machine whose metadata server answers this when it is asked for a token.
fn machine(answer: Reply) -> Stub {
    Stub::start(move |asked| match asked {
        Asked { line, .. } if line.starts_with(TOKEN) => answer.clone(),
        Asked { line, .. } if line.starts_with(EMAIL) => {
            with_flavor(200, "vm@x.iam.gserviceaccount.com\n")
        }
        _ => bare_spreadsheet(),
    })
}

fn session(stub: &Stub) -> Session {
    Session::new(stub.client_with(&json!({"type": "compute_metadata"})))
}

fn refused(answer: Reply) -> Failure {
    let failure = session(&machine(answer)).open("sheet").unwrap_err();
    assert!(!failure.may_have_applied && !failure.hint.is_empty());
    assert!(!format!("{failure:?}").contains("ya29."), "{failure:?}");
    failure
}

#[test]
fn it_is_asked_with_its_header_and_for_nothing_but_token_and_address() {
    let stub = machine(token());
    let session = session(&stub);
    let identity = || session.client().identity();
    assert_eq!(identity().kind(), Kind::ComputeMetadata);
    assert_eq!(identity().who(), "the service account of this machine");
    for _ in 0..2 {
        session.open("sheet").unwrap();
    }
    assert_eq!(identity().who(), "vm@x.iam.gserviceaccount.com");
    assert_eq!(
        identity().account(),
        "compute_metadata",
        "what is counted by it stays"
    );
    let asked = stub.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked[0].line.starts_with(TOKEN) && asked[1].line.starts_with(EMAIL));
    for one in &asked[..2] {
        let headers = one.headers.to_lowercase();
        assert!(headers.contains("metadata-flavor: google"), "{headers}");
        assert!(!headers.contains("authorization"), "{headers}");
    }
    assert!(asked[2].headers.contains("Bearer ya29.secret"));
    assert!(!asked[2].headers.to_lowercase().contains("metadata-flavor"));
}

#[test]
fn whoever_answers_without_its_mark_is_somebody_else() {
    let body = json!({"access_token": "ya29.secret", "expires_in": 3599}).to_string();
    let answers = [
        Reply::Json(200, body.clone()),
        Reply::Json(404, "<html>nothing here</html>".into()),
        Reply::With {
            status: 200,
            headers: vec![("Metadata-Flavor", "Other".into())],
            body,
        },
        Reply::With {
            status: 302,
            headers: vec![
                ("Location", "http://elsewhere/".into()),
                ("Metadata-Flavor", "Google".into()),
            ],
            body: String::new(),
        },
        Reply::With {
            status: 200,
            headers: vec![("Metadata-Flavor", "Google".into())],
            body: "x".repeat(200_000),
        },
    ];
    for answer in answers {
        let failure = refused(answer);
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            ("no_metadata_server", Class::NeedsHuman),
            "{failure:?}"
        );
        assert!(failure.hint.contains("Google Cloud"), "{failure:?}");
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let cases = [
        (
            with_flavor(404, "<html>Not Found</html>"),
            "no_service_account",
            Class::NeedsHuman,
            "set-service-account",
        ),
        (
            with_flavor(403, "Permission iam.serviceAccounts.getAccessToken denied"),
            "no_service_account",
            Class::NeedsHuman,
            "workloadIdentityUser",
        ),
        (
            with_flavor(400, "unknown scope"),
            "scope",
            Class::NeedsHuman,
            "set-service-account",
        ),
        (
            with_flavor(200, "{}"),
            "scope",
            Class::NeedsHuman,
            "set-service-account",
        ),
        (with_flavor(429, ""), "quota", Class::RetryLater, ""),
        (with_flavor(503, ""), "server", Class::RetryLater, ""),
        (
            Reply::Close,
            "no_metadata_server",
            Class::RetryLater,
            "Google Cloud",
        ),
    ];
    for (answer, reason, class, hint) in cases {
        let shown = format!("{answer:?}");
        let failure = refused(answer);
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            (reason, class),
            "{shown}: {failure:?}"
        );
        assert!(failure.hint.contains(hint), "{shown}: {failure:?}");
    }
}

#[test]
fn a_server_that_is_not_on_google_cloud_says_so() {
    let metadata = Credential::parse(r#"{"type": "compute_metadata"}"#).unwrap();
    for nowhere in ["http://metadata.invalid", "http://127.0.0.1:9"] {
        let identity = Identity::with_metadata_at(nowhere, metadata.clone());
        let client = Client::new(identity.into(), &Options::default());
        let failure = Session::new(client).open("sheet").unwrap_err();
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            ("no_metadata_server", Class::RetryLater),
            "{failure:?}"
        );
        assert!(failure.hint.contains("compute_metadata"), "{failure:?}");
    }
}

/// Sheets is the one that says what a token is not good for, and the next call asks for another.
#[test]
fn a_token_that_is_not_for_spreadsheets_is_given_up() {
    let details =
        json!([{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain": "googleapis.com"}]);
    let error = json!({"error": {"code": 403, "message": "Request had insufficient authentication scopes.", "status": "PERMISSION_DENIED", "details": details}});
    let stub = Stub::start(
        move |asked| match asked.line.starts_with("GET /computeMetadata") {
            true => token(),
            false => Reply::Json(403, error.to_string()),
        },
    );
    let session = session(&stub);
    for _ in 0..2 {
        let failure = session.open("sheet").unwrap_err();
        assert_eq!(failure.reason.as_str(), "scope");
        assert!(failure.hint.contains("set-service-account"), "{failure:?}");
    }
    assert_eq!(stub.exchanges(), 2);
}

/// One syncs without looking into the bin.
#[test]
fn a_token_that_is_good_for_spreadsheets_and_not_for_drive_is_kept() {
    let errors = json!([{"reason": "insufficientPermissions", "domain": "global"}]);
    let error =
        json!({"error": {"code": 403, "message": "Insufficient Permission", "errors": errors}});
    let stub = Stub::start(move |asked| match &asked.line {
        line if line.starts_with("GET /computeMetadata") => token(),
        line if line.starts_with("GET /drive/") => Reply::Json(403, error.to_string()),
        _ => bare_spreadsheet(),
    });
    let session = session(&stub);
    for _ in 0..3 {
        session.open("sheet").unwrap();
        assert_eq!(
            session.is_in_bin("sheet").unwrap_err().reason.as_str(),
            "scope"
        );
    }
    assert_eq!(stub.exchanges(), 1);
}

/// Not by our setting, and not by the server's environment, which only another process can have.
#[test]
fn no_proxy_leads_to_it() {
    let nowhere = "http://127.0.0.1:9";
    if std::env::var_os("http_proxy").is_none() {
        let again = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "no_proxy_leads_to_it"])
            .env("http_proxy", nowhere)
            .env("HTTP_PROXY", nowhere)
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .status();
        assert!(again.unwrap().success());
    }
    let stub = machine(token());
    let metadata = Credential::parse(r#"{"type": "compute_metadata"}"#).unwrap();
    let options = Options {
        sheets_endpoint: stub.url.clone(),
        route: Route::new(None, Some(nowhere)).unwrap(),
        ..Options::default()
    };
    let client = Client::new(
        Identity::with_metadata_at(&stub.url, metadata).into(),
        &options,
    );
    client.check_key().unwrap();
    let failure = Session::new(client).open("sheet").unwrap_err();
    assert_eq!(failure.reason.as_str(), "proxy", "{failure:?}");
}

#[test]
fn the_credential_holds_nothing_but_its_type() {
    let parsed = |text| Credential::parse(text).map(|one| one.kind());
    assert_eq!(
        parsed(r#"{"type": "compute_metadata"}"#),
        Ok(Kind::ComputeMetadata)
    );
    let superfluous = r#"{"type": "compute_metadata", "host": "http://x"}"#;
    assert_eq!(
        parsed(superfluous),
        Err(KeyError::Superfluous("host".into()))
    );
}
