//! Key files and tokens.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Reply, Stub, bare_spreadsheet, key_file, private_key, token_answer};
use engine::effect::Class;
use google::auth::KeyError;
use google::{Client, Credential, Identity, Options, Session};
use serde_json::{Value, json};

fn refused(change: impl FnOnce(&mut Value)) -> KeyError {
    let mut key = key_file("https://oauth2.googleapis.com/token");
    change(&mut key);
    Credential::from_value(&key).expect_err("a broken key was taken")
}

#[test]
fn each_wrong_key_file_is_told_from_the_others() {
    assert_eq!(refused(|key| *key = json!("text")), KeyError::NotAnObject);
    assert_eq!(
        refused(|key| *key = json!({"installed": {}})),
        KeyError::OauthClient
    );
    assert_eq!(
        refused(|key| *key = json!({"web": {}})),
        KeyError::OauthClient
    );
    for other in [
        "external_account",
        "external_account_authorized_user",
        "impersonated_service_account",
        "gdch_service_account",
    ] {
        let error = refused(|key| key["type"] = json!(other));
        assert_eq!(error, KeyError::OtherType(other.into()));
        for taken in ["service account", "authorized_user", "compute_metadata"] {
            assert!(error.hint().contains(taken), "{error:?}");
        }
    }
    assert_eq!(
        refused(|key| key["type"] = Value::Null),
        KeyError::Missing("type")
    );
    assert_eq!(
        refused(|key| key["client_email"] = json!("")),
        KeyError::Missing("client_email")
    );
    assert_eq!(
        refused(|key| key["client_email"] = json!("robot")),
        KeyError::BadEmail
    );
    assert_eq!(
        refused(|key| key["token_uri"] = json!("ftp://x")),
        KeyError::BadTokenUri
    );
    assert_eq!(
        refused(|key| key["private_key"] = json!(7)),
        KeyError::NotText("private_key")
    );
    assert_eq!(
        refused(|key| key["private_key"] = json!("abc")),
        KeyError::BadPrivateKey
    );
    let escaped = private_key().replace('\n', "\\n");
    assert_eq!(
        refused(|key| key["private_key"] = json!(escaped)),
        KeyError::EscapedNewlines
    );
    let cut = &private_key()[..private_key().len() / 2];
    assert_eq!(
        refused(|key| key["private_key"] = json!(cut)),
        KeyError::BadPrivateKey
    );
    let hollow = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(
        refused(|key| key["private_key"] = json!(hollow)),
        KeyError::BadPrivateKey
    );
    assert!(matches!(
        Credential::parse("{\"type\": "),
        Err(KeyError::NotJson(_))
    ));
    for error in [
        KeyError::OauthClient,
        KeyError::EscapedNewlines,
        KeyError::Missing("x"),
    ] {
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn the_assertion_is_what_google_asks_for_and_the_token_is_fetched_once() {
    let stub = Stub::start(|asked| match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.one"),
        false => bare_spreadsheet(),
    });
    let session = Session::new(stub.client());
    for _ in 0..3 {
        assert_eq!(session.open("sheet").unwrap().title, "T");
    }
    let asked = stub.asked();
    assert_eq!(
        asked
            .iter()
            .filter(|asked| asked.line.starts_with("POST /token"))
            .count(),
        1
    );
    assert!(
        asked[1]
            .headers
            .to_lowercase()
            .contains("authorization: bearer ya29.one")
    );
    assert!(asked[1].line.contains("prettyPrint=false"));
    let form = &asked[0].body;
    let assertion = form
        .strip_prefix(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant%2Dtype%3Ajwt%2Dbearer&assertion=",
        )
        .unwrap();
    let header = jsonwebtoken::decode_header(assertion).unwrap();
    assert_eq!(
        (header.alg, header.kid.as_deref()),
        (jsonwebtoken::Algorithm::RS256, Some("key-1"))
    );
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(assertion)
        .unwrap()
        .claims;
    assert_eq!(claims["iss"], "robot@a-project.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        3600
    );
    assert!(
        claims["scope"]
            .as_str()
            .unwrap()
            .contains("auth/spreadsheets")
    );
}

#[test]
fn a_refused_token_is_replaced_once() {
    let tokens = AtomicUsize::new(0);
    let stub = Stub::start(move |asked| match asked.line.starts_with("POST /token") {
        true => token_answer(&format!("ya29.{}", tokens.fetch_add(1, Ordering::Relaxed))),
        false if asked.headers.contains("ya29.0") => {
            Reply::Json(401, json!({"error": {"code": 401}}).to_string())
        }
        false => bare_spreadsheet(),
    });
    let session = Session::new(stub.client());
    session.open("sheet").unwrap();
    session.open("sheet").unwrap();
    let lines: Vec<String> = stub
        .asked()
        .iter()
        .map(|asked| asked.line[..5].to_owned())
        .collect();
    assert_eq!(lines, ["POST ", "GET /", "POST ", "GET /", "GET /"]);
}

#[test]
fn a_token_about_to_end_is_fetched_anew() {
    let stub = Stub::start(|asked| match asked.line.starts_with("POST /token") {
        true => Reply::Json(
            200,
            json!({"access_token": "ya29.x", "expires_in": 200}).to_string(),
        ),
        false => bare_spreadsheet(),
    });
    let session = Session::new(stub.client());
    session.open("sheet").unwrap();
    session.open("sheet").unwrap();
    assert_eq!(stub.asked().len(), 4);
}

#[test]
fn a_token_that_stays_refused_needs_a_person() {
    let stub = Stub::start(|asked| match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.x"),
        false => Reply::Json(
            401,
            json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}}).to_string(),
        ),
    });
    let failure = Session::new(stub.client()).open("sheet").unwrap_err();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (Class::NeedsHuman, "key_refused")
    );
    assert_eq!(stub.asked().len(), 4);
}

fn with_token_answer(reply: Reply) -> engine::effect::Failure {
    let answer = reply.clone();
    let stub = Stub::start(move |_| answer.clone());
    Session::new(stub.client_for(&reply))
        .open("sheet")
        .unwrap_err()
}

#[test]
fn answers_of_the_token_endpoint_are_told_apart() {
    let grant = json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        .to_string();
    let cases = [
        (
            Reply::Json(400, grant.clone()),
            "key_refused",
            Class::NeedsHuman,
        ),
        (
            Reply::Json(400, json!({"error": "invalid_scope"}).to_string()),
            "scope",
            Class::NeedsHuman,
        ),
        (
            Reply::Json(200, json!({"id_token": "eyJhbGciOi.x.y"}).to_string()),
            "scope",
            Class::NeedsHuman,
        ),
        (Reply::Json(200, "{}".into()), "scope", Class::NeedsHuman),
        (
            Reply::Json(503, "<html>busy</html>".into()),
            "server",
            Class::RetryLater,
        ),
        (Reply::Json(429, String::new()), "quota", Class::RetryLater),
        (
            Reply::Json(404, "<html>nothing here</html>".into()),
            "key_refused",
            Class::NeedsHuman,
        ),
        (
            Reply::With {
                status: 400,
                headers: vec![("Date", "Sun, 06 Nov 1994 08:49:37 GMT".into())],
                body: grant,
            },
            "clock",
            Class::NeedsHuman,
        ),
        (
            Reply::Json(400, json!({"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}).to_string()),
            "clock",
            Class::NeedsHuman,
        ),
        (Reply::Hang, "timeout", Class::RetryLater),
    ];
    for (reply, reason, class) in cases {
        let shown = format!("{reply:?}");
        let failure = with_token_answer(reply);
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            (reason, class),
            "{shown}: {failure:?}"
        );
        assert!(
            !failure.may_have_applied && !failure.message.is_empty() && !failure.hint.is_empty()
        );
        assert!(!failure.message.contains("eyJ"));
    }
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let stub = Stub::start(|asked| match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.secret"),
        // A proxy that echoes the request.
        false => Reply::Json(502, format!("<html>bad request {} </html>", asked.headers)),
    });
    let key = Credential::from_value(&stub.key()).unwrap();
    let identity = std::sync::Arc::new(Identity::new(key.clone()));
    let options = Options {
        sheets_endpoint: stub.url.clone(),
        ..Options::default()
    };
    let session = Session::new(Client::new(identity, &options));
    let failure = session.open("sheet").unwrap_err();
    let printed = format!("{key:?} {session:?} {failure:?}");
    assert!(printed.contains("[token]"), "{printed}");
    assert!(
        !printed.contains("ya29.secret") && !printed.contains("PRIVATE KEY"),
        "{printed}"
    );
}

#[test]
fn threads_share_one_token() {
    let stub = Stub::start(|asked| match asked.line.starts_with("POST /token") {
        true => {
            std::thread::sleep(std::time::Duration::from_millis(50));
            token_answer("ya29.x")
        }
        false => bare_spreadsheet(),
    });
    let session = Session::new(stub.client());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| session.open("sheet").unwrap());
        }
    });
    let exchanges = stub
        .asked()
        .iter()
        .filter(|asked| asked.line.starts_with("POST /token"))
        .count();
    assert_eq!(exchanges, 1);
}
