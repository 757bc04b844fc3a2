//! A user's login as the credential: what it is exchanged for, what its refusals mean, and that
//! nobody sees it.

use crate::support::{Asked, Reply, Stub, bare_spreadsheet};
use engine::effect::{Class, Failure};
use google::auth::{KeyError, Kind};
use google::{Client, Credential, Identity, Session};
use serde_json::{Value, json};

const SPREADSHEETS: &str = "https://www.googleapis.com/auth/spreadsheets";
const SECRETS: [&str; 3] = ["GOCSPX-a-client", "1//0e-a-refresh", "ya29.secret"];

/// Google, whose token endpoint answers this.
fn google(status: u16, answer: Value) -> Stub {
    Stub::start(move |asked| match asked.line.starts_with("POST /token") {
        true => Reply::Json(status, answer.to_string()),
        false => bare_spreadsheet(),
    })
}

fn granted(scope: &str) -> Value {
    json!({"access_token": "ya29.secret", "expires_in": 3599, "scope": scope, "token_type": "Bearer"})
}

/// An ID token that says whose it is.
fn id_token(email: &str) -> String {
    let claims = json!({"sub": "1", "email": email});
    let key = jsonwebtoken::EncodingKey::from_secret(b"anything");
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

fn refused(stub: &Stub) -> Failure {
    let session = Session::new(stub.client_with(&stub.login()));
    let failure = session.open("sheet").unwrap_err();
    let printed = format!("{session:?} {failure:?}");
    for secret in SECRETS {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(!failure.may_have_applied && !failure.hint.is_empty());
    failure
}

fn changed(change: impl FnOnce(&mut Value)) -> Result<Credential, KeyError> {
    let mut login = google(200, granted(SPREADSHEETS)).login();
    change(&mut login);
    Credential::from_value(&login)
}

#[test]
fn what_is_missing_in_a_login_is_named() {
    let refused = |name: &'static str, value: Value, error: KeyError| {
        assert_eq!(changed(|login| login[name] = value).unwrap_err(), error);
        assert!(!error.hint().is_empty());
    };
    for name in ["client_id", "client_secret", "refresh_token"] {
        refused(name, json!(""), KeyError::Missing(name));
        refused(name, json!(7), KeyError::NotText(name));
    }
    refused("token_uri", json!("file:///x"), KeyError::BadTokenUri);
    refused(
        "token_uri",
        json!("http://example.com/token"),
        KeyError::UnencryptedTokenUri,
    );
    for id in ["a\nb", "a\"b", "<b>", "a b"] {
        refused("quota_project_id", json!(id), KeyError::BadQuotaProject);
        refused("client_id", json!(id), KeyError::BadId("client_id"));
    }
    refused("type", json!(null), KeyError::UserWithoutType);
    refused("installed", json!({}), KeyError::OauthClient);
    // gcloud's own file names no token_uri, and Google's is meant.
    let without = changed(|login| login["token_uri"] = json!(null)).unwrap();
    let Credential::User(user) = without else {
        panic!("{without:?}")
    };
    assert!(user.token_uri.is_googles(), "{user:?}");
}

#[test]
fn a_refresh_token_is_exchanged_once_and_google_tells_whose_it_is() {
    let mut answer = granted(&format!("openid {SPREADSHEETS}"));
    answer["id_token"] = json!(id_token("anne@example.com"));
    let stub = google(200, answer);
    let mut login = stub.login();
    login["quota_project_id"] = json!("a-project");
    let session = Session::new(stub.client_with(&login));
    let identity = || session.client().identity();
    assert_eq!(identity().kind(), Kind::User);
    let unknown = "the user who logged in with client 1234-abc.apps.googleusercontent.com";
    assert_eq!(identity().who(), unknown);
    let account = identity().account().to_owned();
    for _ in 0..2 {
        assert_eq!(session.open("sheet").unwrap().title, "T");
    }
    assert_eq!(identity().who(), "anne@example.com");
    assert_eq!(identity().account(), account, "what is counted by it stays");
    assert_eq!(identity().project(), Some("a-project"));

    let asked = stub.asked();
    let lines: Vec<&str> = asked.iter().map(|one| &one.line[..5]).collect();
    assert_eq!(lines, ["POST ", "GET /", "GET /"]);
    assert_eq!(
        asked[0].body,
        "grant_type=refresh_token&client_id=1234%2Dabc%2Eapps%2Egoogleusercontent%2Ecom\
         &client_secret=GOCSPX%2Da%2Dclient%2Dsecret&refresh_token=1%2F%2F0e%2Da%2Drefresh%2Dtoken%2Dthat%2Dis%2Dlong"
    );
    let project = |asked: &Asked| {
        asked
            .headers
            .to_lowercase()
            .contains("x-goog-user-project: a-project")
    };
    assert!(!project(&asked[0]) && project(&asked[1]) && project(&asked[2]));
    assert!(asked[1].headers.contains("Bearer ya29.secret"));
}

#[test]
fn requests_count_on_the_project_of_the_client_unless_another_is_named() {
    let stub = google(200, granted(SPREADSHEETS));
    let session = Session::new(stub.client_with(&stub.login()));
    session.open("sheet").unwrap();
    assert_eq!(session.client().identity().project(), Some("1234"));
    let asked = stub.asked();
    assert!(
        !asked[1]
            .headers
            .to_lowercase()
            .contains("x-goog-user-project")
    );
}

#[test]
fn the_account_in_the_file_counts_until_google_tells_another() {
    let login = changed(|login| login["account"] = json!("ben@example.com")).unwrap();
    let identity = Identity::new(login);
    assert_eq!(identity.who(), "ben@example.com");
    assert_eq!(identity.account(), "ben@example.com");
    // Whatever else stands there is not shown to people.
    let login = changed(|login| login["account"] = json!("<b>")).unwrap();
    assert!(Identity::new(login).who().contains("client 1234-abc"));
}

#[test]
fn each_refusal_of_a_login_has_its_reason() {
    let error = |error: &str| json!({"error": error, "error_description": "says Google"});
    let rapt = json!({"error": "invalid_grant", "error_subtype": "invalid_rapt", "error_description": "reauth related error (invalid_rapt)"});
    let cases = [
        (400, error("invalid_grant"), "login_ended", "7 days"),
        (400, rapt, "login_ended", "session control"),
        (
            401,
            error("invalid_client"),
            "client_refused",
            "client_secret",
        ),
        (
            401,
            error("unauthorized_client"),
            "client_refused",
            "client_secret",
        ),
        (
            401,
            error("deleted_client"),
            "client_refused",
            "client_secret",
        ),
        (400, error("invalid_scope"), "scope", SPREADSHEETS),
        (400, error("admin_policy_enforced"), "key_refused", "policy"),
        (
            200,
            json!({"id_token": id_token("a@b")}),
            "scope",
            SPREADSHEETS,
        ),
        (200, json!({}), "scope", SPREADSHEETS),
        (
            200,
            granted("openid https://www.googleapis.com/auth/cloud-platform"),
            "scope",
            SPREADSHEETS,
        ),
        (
            200,
            granted("https://www.googleapis.com/auth/spreadsheets.readonly"),
            "scope",
            SPREADSHEETS,
        ),
    ];
    for (status, answer, reason, hint) in cases {
        let shown = answer.to_string();
        let failure = refused(&google(status, answer));
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            (reason, Class::NeedsHuman),
            "{shown}"
        );
        assert!(failure.hint.contains(hint), "{shown}: {failure:?}");
        // To be copied as it is.
        let command = format!(": {}", google::auth::login_command());
        assert!(failure.hint.ends_with(&command), "{failure:?}");
    }
    for (status, reason) in [(429, "quota"), (503, "server")] {
        let failure = refused(&google(status, json!({})));
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            (reason, Class::RetryLater)
        );
    }
}

#[test]
fn each_scope_that_is_enough_is_taken() {
    for scope in ["spreadsheets", "drive", "drive.file"] {
        let stub = google(
            200,
            granted(&format!("openid https://www.googleapis.com/auth/{scope}")),
        );
        assert!(
            Session::new(stub.client_with(&stub.login()))
                .open("sheet")
                .is_ok(),
            "{scope}"
        );
    }
    let mut silent = granted("");
    silent.as_object_mut().unwrap().remove("scope");
    let stub = google(200, silent);
    assert!(
        Session::new(stub.client_with(&stub.login()))
            .open("sheet")
            .is_ok()
    );
}

/// Whether a refresh token is good has nothing to do with our clock.
#[test]
fn a_wrong_clock_is_not_blamed_for_a_login_that_ended() {
    let stub = Stub::start(|_| Reply::With {
        status: 400,
        headers: vec![("Date", "Sun, 06 Nov 1994 08:49:37 GMT".into())],
        body: json!({"error": "invalid_grant"}).to_string(),
    });
    assert_eq!(refused(&stub).reason.as_str(), "login_ended");
}

#[test]
fn a_project_that_the_user_may_not_use_is_not_taken_for_a_spreadsheet_that_is_not_shared() {
    let denied = |reason: &'static str, message: &'static str| {
        let details = json!([{"reason": reason, "domain": "googleapis.com"}]);
        let error = json!({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED", "details": details}});
        Stub::start(move |asked| match asked.line.starts_with("POST /token") {
            true => Reply::Json(200, granted(SPREADSHEETS).to_string()),
            false => Reply::Json(403, error.to_string()),
        })
    };
    let local = "Your application is authenticating by using local Application Default Credentials. The sheets.googleapis.com API requires a quota project, which is not set by default.";
    for (reason, message) in [
        (
            "USER_PROJECT_DENIED",
            "Caller does not have required permission to use project x.",
        ),
        (
            "CONSUMER_INVALID",
            "Permission denied on resource project x.",
        ),
        ("SERVICE_DISABLED", local),
    ] {
        let failure = refused(&denied(reason, message));
        assert_eq!(failure.reason.as_str(), "quota_project", "{failure:?}");
        assert!(failure.hint.contains("quota_project_id"), "{failure:?}");
    }
    // quota_project_id is a part of a login, and of nothing else.
    let stub = denied("CONSUMER_INVALID", "Project x has been deleted.");
    let failure = Session::new(stub.client()).open("sheet").unwrap_err();
    assert_eq!(failure.reason.as_str(), "quota_project", "{failure:?}");
    assert!(!failure.hint.contains("quota_project_id"), "{failure:?}");
    let stub = denied("SERVICE_DISABLED", local);
    let failure = Session::new(stub.client()).open("sheet").unwrap_err();
    assert_eq!(failure.reason.as_str(), "api_disabled", "{failure:?}");
    let failure = refused(&denied("SERVICE_DISABLED", "It is disabled."));
    assert_eq!(failure.reason.as_str(), "api_disabled", "{failure:?}");
}

#[test]
fn whoever_echoes_a_login_does_not_get_it_shown() {
    let echo = |asked: &Asked| format!("<html>bad request {} {}</html>", asked.headers, asked.body);
    let stub = Stub::start(move |asked| Reply::Json(400, echo(asked)));
    let failure = refused(&stub);
    assert!(failure.message.contains("[secret]"), "{failure:?}");
    // Each is known again, however the echo spells it, and also where it was cut.
    let login = stub.login();
    let spelled = |secret: &str| {
        let bytes = secret.bytes();
        let every = |each: fn(u8) -> String| bytes.clone().map(each).collect::<String>();
        [
            secret.replace('/', "%2F"),
            secret.replace('/', "%2f").replace('-', "%2D"),
            secret.replace('/', "%252F").replace('-', "%252D"),
            secret.replace('/', "\\/"),
            secret.replace('/', "\\u002f").replace('-', "\\u002D"),
            secret.replace('/', "&#x2F;").replace('-', "&#45;"),
            every(|byte| format!("%{byte:02X}")),
            every(|byte| format!("\\u{byte:04x}")),
            format!("x{secret}"),
            secret[..secret.len() - 4].to_owned(),
        ]
    };
    for name in ["refresh_token", "client_secret"] {
        let secret = login[name].as_str().unwrap();
        for echo in spelled(secret) {
            let bodies = [
                format!("<p>refused: {echo} it was</p>"),
                json!({"error": "x", "error_description": format!("refused: {echo} it was")})
                    .to_string(),
            ];
            for body in bodies {
                let failure = refused(&Stub::start(move |_| Reply::Json(400, body.clone())));
                let masked = ["refused: [secret] it was", "refused: [token] it was"];
                let is_masked = |words: &&str| failure.message.contains(*words);
                let by_word_start = failure.message.contains("refused: x[secret] it was");
                assert!(
                    masked.iter().any(is_masked) || by_word_start,
                    "{echo}: {failure:?}"
                );
            }
        }
    }
    let plain = "refused: 1//0e-a-refresh-token-that-is-long and GOCSPX-a-client-secret";
    let masked = google::mask(plain);
    assert_eq!(masked, "refused: [token] and [secret]");
    let escaped = "refused: 1%2F%2F0e%2Da%2Drefresh%2Dtoken and GOCSPX%2Da%2Dclient, 1\\/\\/0e-a-refresh-token.";
    let masked = google::mask(escaped);
    assert_eq!(masked, "refused: [token] and [secret], [token]");
}

#[test]
fn the_documentation_shows_the_commands_of_the_hints() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let joined = page.replace(" \\\n  ", " ");
    for command in [
        google::auth::login_command(),
        google::auth::machine_command(),
    ] {
        assert!(joined.contains(&command), "{command}");
    }
}

#[test]
fn a_login_of_limited_time_is_told() {
    let told = |seconds: u64| {
        let mut answer = granted(SPREADSHEETS);
        answer["refresh_token_expires_in"] = json!(seconds);
        let stub = google(200, answer);
        let now = std::time::Instant::now();
        let client: Client = stub.client_by_clock(&stub.login(), std::sync::Arc::new(move || now));
        let findings = Session::new(client).examine_account();
        let login = findings.into_iter().find(|one| one.check == "login");
        login.unwrap()
    };
    let day = 86_400;
    for (seconds, ok, left) in [
        (7 * day, true, " in 7 days"),
        (day + 1, true, " in 24 hours"),
        (day, false, " in 24 hours"),
        (7200, false, " in 2 hours"),
        (3600, false, " in 60 minutes"),
        (100, false, " in 2 minutes"),
        (0, false, " in less than two minutes"),
    ] {
        let login = told(seconds);
        assert_eq!((login.ok, login.hint.is_empty()), (ok, ok), "{login:?}");
        assert!(login.detail.ends_with(left), "{login:?}");
    }
    let stub = google(200, granted(SPREADSHEETS));
    let findings = Session::new(stub.client_with(&stub.login())).examine_account();
    assert!(findings.iter().all(|one| one.ok), "{findings:?}");
}
