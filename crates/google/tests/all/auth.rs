//! Key files and tokens.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Reply, Stub, bare_spreadsheet, key_file, private_key, token_answer};
use engine::effect::Class;
use google::auth::{Clock, KeyError};
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
    assert_eq!(stub.exchanges(), 1);
}

/// Time that stands still until it is moved.
fn hand() -> (Clock, impl Fn(u64)) {
    let (beginning, passed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let seconds = passed.clone();
    let clock = move || beginning + Duration::from_secs(passed.load(Ordering::Relaxed));
    (Arc::new(clock), move |more| {
        seconds.fetch_add(more, Ordering::Relaxed);
    })
}

/// A stub that answers this when a token is asked for, and a session of its key by that clock.
fn with_token_answers(answer: Reply, clock: Clock) -> (Stub, Session) {
    let stub = Stub::start(move |_| answer.clone());
    let session = Session::new(stub.client_by_clock(&stub.key(), clock));
    (stub, session)
}

#[test]
fn what_only_a_person_can_mend_is_asked_about_once_in_a_while() {
    let revoked = Reply::Json(400, json!({"error": "invalid_grant"}).to_string());
    let (clock, wait) = hand();
    let (stub, session) = with_token_answers(revoked, clock);
    let ask = || session.open("sheet").unwrap_err();
    let first = ask();
    for _ in 0..60 {
        assert_eq!(ask(), first);
    }
    assert_eq!(stub.exchanges(), 1);
    wait(19);
    ask();
    assert_eq!(stub.exchanges(), 1);
    wait(1);
    ask();
    assert_eq!(stub.exchanges(), 2);
    // Somebody has mended it.
    session.client().identity().forget_refusal();
    for _ in 0..2 {
        ask();
    }
    assert_eq!(stub.exchanges(), 3);
}

/// Whoever says so must not wait for Google, and a question that was under way by then is of
/// before.
#[test]
fn what_is_mended_while_a_token_is_asked_for_is_asked_about_anew() {
    let (clock, _) = hand();
    let asked = Arc::new(Barrier::new(2));
    let gate = asked.clone();
    let stub = Stub::start(move |_| {
        gate.wait();
        gate.wait();
        Reply::Json(400, json!({"error": "invalid_grant"}).to_string())
    });
    let session = Session::new(stub.client_by_clock(&stub.key(), clock));
    for exchanges in 1..=2 {
        std::thread::scope(|scope| {
            scope.spawn(|| session.open("sheet").unwrap_err());
            asked.wait();
            session.client().identity().forget_refusal();
            asked.wait();
        });
        assert_eq!(stub.exchanges(), exchanges);
    }
}

#[test]
fn what_passes_by_itself_is_asked_about_again() {
    let (clock, _) = hand();
    let (stub, session) = with_token_answers(Reply::Json(503, String::new()), clock);
    for _ in 0..3 {
        session.open("sheet").unwrap_err();
    }
    assert_eq!(stub.exchanges(), 3);
}

/// Else each of many mappings would wait for its own end of time.
#[test]
fn those_that_wait_for_a_token_fail_together() {
    let (looks, looked) = (Arc::new(AtomicU64::new(0)), Condvar::new());
    let looked = Arc::new((Mutex::new(()), looked));
    let clock: Clock = {
        let (looks, looked) = (looks.clone(), looked.clone());
        Arc::new(move || {
            let _held = looked.0.lock().unwrap();
            looks.fetch_add(1, Ordering::Relaxed);
            looked.1.notify_all();
            Instant::now()
        })
    };
    // The one that asks has looked at the clock twice, and each of the others when it came.
    let all_have_come = move || looks.load(Ordering::Relaxed) >= 2 + 3;
    let stub = Stub::start(move |_| {
        let held = looked.0.lock().unwrap();
        drop(looked.1.wait_while(held, |()| !all_have_come()).unwrap());
        Reply::Json(503, String::new())
    });
    let session = Session::new(stub.client_by_clock(&stub.key(), clock));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| session.open("sheet").unwrap_err());
        }
    });
    assert_eq!(stub.exchanges(), 1);
}

#[test]
fn a_secret_goes_to_nobody_who_can_be_overheard() {
    let taken = |uri: &str| {
        let credential = Credential::from_value(&key_file(uri))?;
        Ok(credential.token_uri().unwrap().is_googles())
    };
    for googles in [
        "https://oauth2.googleapis.com/token",
        "https://accounts.google.com/o/oauth2/token",
        "https://www.googleapis.com/oauth2/v4/token",
    ] {
        assert_eq!(taken(googles), Ok(true), "{googles}");
    }
    for other in [
        "https://oauth2.googleapis.com.example.com/token",
        "https://oauth2.googleapis.com:8443/token",
        "https://oauth2.googleapis.com/token?to=elsewhere",
        "https://storage.googleapis.com/bucket",
        "http://127.0.0.1:8787/token",
        "http://127.3.2.1/token",
        "http://localhost:8787/token",
        "http://LOCALHOST/token",
        "http://[::1]:8787/token",
        "http://0.0.0.0:8787/token",
    ] {
        assert_eq!(taken(other), Ok(false), "{other}");
    }
    for overheard in [
        "http://oauth2.googleapis.com/token",
        "http://10.0.0.1/token",
        "http://169.254.169.254/token",
        "http://localhost.example.com/token",
        "http://127.0.0.1.example.com/token",
        "http://[::ffff:10.0.0.1]/token",
    ] {
        assert_eq!(
            taken(overheard),
            Err(KeyError::UnencryptedTokenUri),
            "{overheard}"
        );
    }
    for nonsense in [
        "http://127.0.0.1@example.com/token",
        "https://oauth2.googleapis.com@example.com/token",
        "https:///token",
        "/token",
        "oauth2.googleapis.com/token",
        "file:///etc/passwd",
        "https://a b/",
        "https://a\r\nHost: b/",
    ] {
        assert_eq!(taken(nonsense), Err(KeyError::BadTokenUri), "{nonsense}");
    }
    assert!(!KeyError::UnencryptedTokenUri.hint().is_empty());
}

#[test]
fn an_id_that_is_none_gets_into_no_message() {
    for id in ["a\"b", "a\nb", "<b>", "a b", "é", &"x".repeat(400)] {
        assert_eq!(
            refused(|key| key["project_id"] = json!(id)),
            KeyError::BadId("project_id")
        );
        let address = format!("{id}@example.com");
        let error = refused(|key| key["client_email"] = json!(address));
        assert_eq!(error, KeyError::BadEmail, "{id}");
    }
    let with_domain = |key: &mut Value| key["project_id"] = json!("example.com:a-project");
    let mut key = key_file("https://oauth2.googleapis.com/token");
    with_domain(&mut key);
    assert!(Credential::from_value(&key).is_ok());
}

#[test]
fn a_token_that_cannot_be_read_passes_by_itself() {
    let answers = [
        "",
        "<html>Welcome to the hotel</html>",
        r#"{"access_token": "ya29.se"#,
        "[]",
        r#"{"access_token": 7}"#,
        r#"{"access_token": "ya29.a\nb"}"#,
    ];
    for answer in answers {
        let stub = Stub::start(move |_| Reply::Json(200, answer.to_owned()));
        let session = Session::new(stub.client());
        let failure = session.add_tab("sheet", "T").unwrap_err();
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            ("unreadable_answer", Class::RetryLater),
            "{answer}: {failure:?}"
        );
        // Nothing but a token was asked for.
        assert!(!failure.may_have_applied, "{failure:?}");
        assert!(!format!("{failure:?}").contains("ya29."), "{failure:?}");
        assert!(failure.hint.contains("token_uri"), "{failure:?}");
    }
}

#[test]
fn a_write_that_got_no_token_was_not_carried_out() {
    for reply in [Reply::Close, Reply::Cut("{".into()), Reply::Endless] {
        let shown = format!("{reply:?}");
        let stub = Stub::start(move |_| reply.clone());
        let failure = Session::new(stub.client())
            .add_tab("sheet", "T")
            .unwrap_err();
        assert_eq!(failure.class, Class::RetryLater, "{shown}: {failure:?}");
        assert!(!failure.may_have_applied, "{shown}: {failure:?}");
    }
    let elsewhere = vec![("Location", "http://elsewhere.example/login".to_owned())];
    let failure = with_token_answer(Reply::With {
        status: 302,
        headers: elsewhere,
        body: String::new(),
    });
    assert_eq!(
        (failure.reason.as_str(), failure.class),
        ("redirected", Class::NeedsHuman)
    );
    assert!(failure.hint.contains("token_uri"), "{failure:?}");
}

#[test]
fn a_failure_of_the_token_endpoint_passes_by_itself_whatever_its_status() {
    for error in [
        "internal_failure",
        "server_error",
        "temporarily_unavailable",
    ] {
        for answer in [
            json!({"error": error}),
            json!({"error": "x", "error_description": error}),
        ] {
            let failure = with_token_answer(Reply::Json(400, answer.to_string()));
            assert_eq!(
                (failure.reason.as_str(), failure.class),
                ("server", Class::RetryLater),
                "{failure:?}"
            );
        }
    }
}

#[test]
fn a_wait_that_the_token_endpoint_asks_for_has_an_end() {
    let wait = |status, asked: &str, body: &str| {
        with_token_answer(Reply::With {
            status,
            headers: vec![("Retry-After", asked.to_owned())],
            body: body.to_owned(),
        })
        .retry_after_ms
    };
    assert_eq!(wait(503, "7", ""), Some(7_000));
    assert_eq!(wait(429, "86400", ""), Some(600_000));
    assert_eq!(wait(503, "18446744073709551615", ""), Some(600_000));
    for unreadable in ["18446744073709551616", "-1", "soon"] {
        assert_eq!(wait(503, unreadable, ""), None, "{unreadable}");
    }
    assert_eq!(wait(400, "7", r#"{"error": "invalid_grant"}"#), None);
}

#[test]
fn a_refusal_with_little_to_say_is_told_without_gaps() {
    let cases = [
        (json!({"error": "invalid_grant"}), "invalid_grant"),
        (json!({"error": "org_internal"}), "400 org_internal"),
        (json!({}), "{}"),
    ];
    for (answer, ends) in cases {
        let failure = with_token_answer(Reply::Json(400, answer.to_string()));
        assert!(failure.message.ends_with(ends), "{failure:?}");
        assert!(!failure.message.contains("  "), "{failure:?}");
        assert!(!failure.message.contains(" :"), "{failure:?}");
    }
}
