//! Measures what sheetd promises: reading 100,000 x 10 cells, small requests a second, memory for
//! 1,000,000 cells. `cargo run --release -p sheetd --example measure`

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value as Json, json};
use sheetd::{Options, Server};

fn main() {
    let directory = std::env::temp_dir().join(format!("sheetd-measure-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the data file");
    let options = Options { data: Some(directory.join("data")), ..Options::default() };
    let server = Server::start(options).expect("a free port");
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let token = token(&server, &agent);
    let get = |path: &str| {
        let request = agent.get(format!("{}{path}", server.url)).header("Authorization", format!("Bearer {token}"));
        request
            .call()
            .expect("an answer")
            .into_body()
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .expect("a body")
            .len()
    };
    let seed = |id: &str, rows: u32| {
        let rows: Vec<Vec<Json>> =
            (0..rows).map(|r| (0..10).map(|c| json!(format!("cell {r} {c}"))).collect()).collect();
        let body = json!({ "id": id, "sheets": [{ "title": "Sheet1", "rows": rows }] });
        agent.post(format!("{}/_sheetd/spreadsheets", server.url)).send(body.to_string()).expect("seeded");
    };

    seed("large", 100_000);
    println!("memory with 1,000,000 text cells: {} MB", resident() >> 20);
    for query in ["", "?prettyPrint=false", "?prettyPrint=false&valueRenderOption=UNFORMATTED_VALUE"] {
        let start = Instant::now();
        let bytes = get(&format!("/v4/spreadsheets/large/values/Sheet1{query}"));
        println!("values.get of 100,000 x 10{query}: {:.2} s, {} MB", start.elapsed().as_secs_f64(), bytes >> 20);
    }
    seed("small", 10);
    rate("values.get of 2 cells", &|| assert!(get("/v4/spreadsheets/small/values/Sheet1!A1:B1") > 0));
    let put = |id: &str| {
        let url = format!("{}/v4/spreadsheets/{id}/values/Sheet1!A1?valueInputOption=RAW", server.url);
        let request = agent.put(url).header("Authorization", format!("Bearer {token}"));
        request
            .send(json!({ "values": [["x"]] }).to_string())
            .expect("an answer")
            .into_body()
            .read_to_vec()
            .expect("a body");
    };
    rate("values.update of 1 cell, kept in the data file", &|| put("small"));
    rate("values.update of 1 cell among 1,000,000", &|| put("large"));
    drop(server);
    std::fs::remove_dir_all(directory).expect("its own directory");
}

fn rate(what: &str, request: &(dyn Fn() + Sync)) {
    let (start, limit) = (Instant::now(), Duration::from_secs(2));
    let done: u64 = std::thread::scope(|scope| {
        let worker = || (0u64..).take_while(|_| start.elapsed() < limit).inspect(|_| request()).count() as u64;
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|w| w.join().expect("no panic")).sum()
    });
    println!("{what}: {:.0} requests/s", done as f64 / start.elapsed().as_secs_f64());
}

/// Resident bytes of this process, the server in it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).unwrap_or(0) << 10
}

fn token(server: &Server, agent: &ureq::Agent) -> String {
    let key: Json = serde_json::from_str(&server.key_json).expect("JSON");
    let pem = key["private_key"].as_str().expect("a key");
    let der = STANDARD.decode(pem.lines().filter(|l| !l.starts_with("-----")).collect::<String>()).expect("base64");
    let pair = RsaKeyPair::from_pkcs8(&der).expect("PKCS#8");
    let now = chrono::Utc::now().timestamp();
    let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({ "iss": key["client_email"], "aud": key["token_uri"], "iat": now, "exp": now + 3600,
        "scope": "https://www.googleapis.com/auth/spreadsheets" });
    let signed = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).expect("signed");
    let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
    let answer = agent.post(format!("{}/token", server.url)).send_form(form).expect("a token");
    let body: Json = answer.into_body().read_json().expect("JSON");
    body["access_token"].as_str().expect("an access token").to_owned()
}
