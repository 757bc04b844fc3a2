//! A server in this process, and a client that checks every answer against Google's discovery
//! documents.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod schema;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value as Json, json};
use sheetd::{Options, Server};

pub const SHEETS_SCOPE: &str = "https://www.googleapis.com/auth/spreadsheets https://www.googleapis.com/auth/drive";

pub struct Client {
    pub server: Server,
    pub token: String,
    agent: ureq::Agent,
}

impl Client {
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let server = Server::start(options).expect("a free port");
        // The server closes a connection on which it has not read a whole body. A request that is
        // just being sent on it has no answer then, so each request has a connection of its own.
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0);
        let agent = config.build().into();
        let mut client = Self { server, token: String::new(), agent };
        let key = serde_json::from_str(&client.server.key_json).unwrap();
        client.token = client.token_of(&key, SHEETS_SCOPE);
        client
    }

    pub fn token_of(&self, key: &Json, scope: &str) -> String {
        let (status, body) = self.grant(&assertion(key, &claims(key, scope)));
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().expect("an access token").to_owned()
    }

    pub fn grant(&self, assertion: &str) -> (u16, Json) {
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)];
        let answer = self.agent.post(format!("{}/token", self.server.url)).send_form(form);
        read(answer.expect("an answer"))
    }

    /// POSTs the members of an object as a form.
    pub fn form(&self, path: &str, members: &Json) -> (u16, Json) {
        let members = members.as_object().expect("an object").iter();
        let form = members.map(|(name, value)| (name.as_str(), value.as_str().expect("text")));
        read(self.agent.post(format!("{}{path}", self.server.url)).send_form(form).expect("an answer"))
    }

    /// GETs with these headers; answers the Metadata-Flavor, too.
    pub fn get_with(&self, path: &str, headers: &[(&str, String)]) -> (u16, Option<String>, Json) {
        let mut request = self.agent.get(format!("{}{path}", self.server.url));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.call().expect("an answer");
        let flavor = answer.headers().get("metadata-flavor").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string().expect("a whole body");
        (status, flavor, serde_json::from_str(&text).unwrap_or(Json::String(text)))
    }

    /// Sends a request as the default account and checks the answer's shape.
    pub fn call(&self, method: &str, path: &str, body: Option<Json>) -> (u16, Json) {
        let (status, answer) = self.send(method, path, body, Some(&self.token));
        schema::check(method, path, status, &answer);
        (status, answer)
    }

    pub fn send(&self, method: &str, path: &str, body: Option<Json>, token: Option<&str>) -> (u16, Json) {
        self.try_send(method, path, body, token).expect("an answer")
    }

    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Json>,
        token: Option<&str>,
    ) -> Result<(u16, Json), ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.server.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let text = body.map(|b| b.to_string()).unwrap_or_default();
        let answer = self.agent.run(request.body(text).expect("a valid request"))?;
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string()?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Json::String(text))))
    }

    pub fn get(&self, path: &str) -> Json {
        self.ok("GET", path, None)
    }

    pub fn post(&self, path: &str, body: Json) -> Json {
        self.ok("POST", path, Some(body))
    }

    fn ok(&self, method: &str, path: &str, body: Option<Json>) -> Json {
        let (status, answer) = self.call(method, path, body);
        assert!(status == 200 || status == 204, "{method} {path}: {status} {answer}");
        answer
    }

    /// Fails as it should, and says why.
    pub fn refused(&self, method: &str, path: &str, body: Option<Json>) -> (u16, String) {
        let (status, answer) = self.call(method, path, body);
        assert!(status >= 400, "{method} {path} was not refused: {answer}");
        (status, answer["error"]["message"].as_str().unwrap_or_default().to_owned())
    }

    pub fn batch(&self, id: &str, requests: Json) -> Json {
        self.post(&format!("/v4/spreadsheets/{id}:batchUpdate"), json!({ "requests": requests }))
    }

    pub fn batch_refused(&self, id: &str, requests: Json) -> String {
        let path = format!("/v4/spreadsheets/{id}:batchUpdate");
        let (status, message) = self.refused("POST", &path, Some(json!({ "requests": requests })));
        assert_eq!(status, 400, "{message}");
        message
    }

    /// The cells that a range shows.
    pub fn values(&self, id: &str, range: &str) -> Json {
        self.get(&format!("/v4/spreadsheets/{id}/values/{}", encoded(range)))["values"].clone()
    }

    pub fn typed(&self, id: &str, range: &str) -> Json {
        let path = format!("/v4/spreadsheets/{id}/values/{}?valueRenderOption=UNFORMATTED_VALUE", encoded(range));
        self.get(&path)["values"].clone()
    }

    pub fn put(&self, id: &str, range: &str, option: &str, values: Json) -> Json {
        let path = format!("/v4/spreadsheets/{id}/values/{}?valueInputOption={option}", encoded(range));
        self.ok("PUT", &path, Some(json!({ "values": values })))
    }

    /// A spreadsheet with these rows in tab `Sheet1` (id 0).
    pub fn seed(&self, rows: Json) -> String {
        self.control("POST", "spreadsheets", json!({ "sheets": [{ "title": "Sheet1", "rows": rows }] }))["spreadsheetId"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    pub fn control(&self, method: &str, path: &str, body: Json) -> Json {
        let (status, answer) = self.send(method, &format!("/_sheetd/{path}"), Some(body), None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub fn edit(&self, id: &str, edit: Json) {
        self.control("POST", "edit", json!({ "spreadsheetId": id, "edit": edit }));
    }

    pub fn fault(&self, fault: Json) {
        self.control("POST", "faults", fault);
    }
}

fn read(answer: ureq::http::Response<ureq::Body>) -> (u16, Json) {
    let status = answer.status().as_u16();
    let text = answer.into_body().read_to_string().expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Json::String(text)))
}

pub fn encoded(range: &str) -> String {
    percent_encoding::utf8_percent_encode(range, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn claims(key: &Json, scope: &str) -> Json {
    let now = chrono::Utc::now().timestamp();
    json!({ "iss": key["client_email"], "scope": scope, "aud": "https://oauth2.googleapis.com/token", "iat": now, "exp": now + 3600 })
}

/// A JWT signed with the key file's key.
pub fn assertion(key: &Json, claims: &Json) -> String {
    let pem = key["private_key"].as_str().expect("a key");
    let base64: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key["private_key_id"] });
    let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
