//! The way to Google: names, certificates and proxies, and what each says when it does not work.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Reply, Stub, bare_spreadsheet, key_file, token_answer};
use engine::effect::{Class, Failure};
use google::{Client, Credential, Identity, Options, Route, Session};

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/authority.pem");
const PASSWORD: &str = "p@ss:word";

fn session(url: &str, route: Route) -> Session {
    let options = Options {
        sheets_endpoint: url.to_owned(),
        // Generous: a slow machine is no failure.
        timeout: Duration::from_secs(120),
        route,
        ..Options::default()
    };
    let key = Credential::from_value(&key_file(&format!("{url}/token"))).unwrap();
    Session::new(Client::new(Identity::new(key).into(), &options))
}

fn google() -> Stub {
    Stub::start(|asked| match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.x"),
        false => bare_spreadsheet(),
    })
}

/// Answers connections on this thread's behalf, and gives the port.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    port
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

/// A proxy that speaks CONNECT and nothing else, and what it was asked.
fn proxy(answer: fn(&str) -> &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let port = listen(move |client| {
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        log.lock().unwrap().push(head.clone());
        let status = answer(&head);
        let mut writer = client.try_clone().unwrap();
        write!(writer, "HTTP/1.1 {status}\r\n\r\n").unwrap();
        if status.starts_with("200") {
            let to = head.split_whitespace().nth(1).unwrap();
            let server = TcpStream::connect(to).unwrap();
            pump(server.try_clone().unwrap(), client.try_clone().unwrap());
            pump(client, server);
        }
    });
    (port, asked)
}

fn through(address: &str) -> Route {
    Route::new(None, Some(address)).unwrap()
}

/// Google behind TLS, with a certificate for `localhost` from an authority of its own.
fn encrypted() -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let file = |name| format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let chain = vec![CertificateDer::from_pem_file(file("localhost.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let port = listen(move |stream| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut tls = BufReader::new(rustls::StreamOwned::new(connection, stream));
        let mut first = String::new();
        let (mut line, mut length) = (String::new(), 0);
        while tls.read_line(&mut line).unwrap_or(0) > 0 {
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                let mut body = vec![0; length];
                tls.read_exact(&mut body).unwrap();
                let reply = match first.starts_with("POST /token") {
                    true => token_answer("ya29.x"),
                    false => bare_spreadsheet(),
                };
                let Reply::Json(status, body) = reply else {
                    return;
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let answer = [head, body].concat();
                tls.get_mut().write_all(answer.as_bytes()).unwrap();
                first.clear();
                length = 0;
            }
            line.clear();
        }
    });
    format!("https://localhost:{port}")
}

fn refused(session: &Session) -> Failure {
    let failure = session.open("sheet").unwrap_err();
    assert!(!failure.may_have_applied);
    assert!(!failure.hint.is_empty());
    failure
}

fn judged(failure: &Failure) -> (&str, Class) {
    (failure.reason.as_str(), failure.class)
}

#[test]
fn a_name_without_an_address_is_told_from_a_connection_that_broke() {
    let failure = refused(&session("https://sheets.invalid", Route::default()));
    assert_eq!(judged(&failure), ("dns", Class::RetryLater), "{failure:?}");
    assert!(failure.hint.contains("DNS"), "{failure:?}");
}

#[test]
fn a_certificate_is_believed_where_its_authority_is_named() {
    let url = encrypted();
    let failure = refused(&session(&url, Route::default()));
    assert_eq!(judged(&failure), ("certificate", Class::NeedsHuman));
    assert!(failure.hint.contains("sheet_sync.ca_file"), "{failure:?}");
    let of_the_system = Route::new(None, None).unwrap();
    assert_eq!(
        refused(&session(&url, of_the_system)).reason.as_str(),
        "certificate"
    );
    let route = Route::new(Some(AUTHORITY), None).unwrap();
    assert_eq!(
        session(&url, route.clone()).open("sheet").unwrap().title,
        "T"
    );
    // The name counts too.
    let elsewhere = url.replace("localhost", "127.0.0.1");
    assert_eq!(
        refused(&session(&elsewhere, route)).reason.as_str(),
        "certificate"
    );
}

#[test]
fn an_encrypted_connection_goes_through_a_proxy() {
    let url = encrypted();
    let (port, asked) = proxy(|_| "200 OK");
    let address = format!("http://127.0.0.1:{port}");
    let route = Route::new(Some(AUTHORITY), Some(&address)).unwrap();
    assert_eq!(session(&url, route).open("sheet").unwrap().title, "T");
    // All that a proxy sees of it is where it goes.
    for head in asked.lock().unwrap().iter() {
        assert!(head.starts_with("CONNECT localhost:"), "{head}");
        assert!(!head.to_lowercase().contains("bearer"), "{head}");
    }
    assert!(!asked.lock().unwrap().is_empty());
}

#[test]
fn a_proxy_gets_its_password_and_nothing_else_shows_it() {
    let stub = google();
    // user:p@ss:word
    let (port, _) = proxy(|head| match head.contains("Basic dXNlcjpwQHNzOndvcmQ=") {
        true => "200 OK",
        false => "407 Proxy Authentication Required",
    });
    let right = through(&format!("http://user:p%40ss%3Aword@127.0.0.1:{port}"));
    let printed = format!("{right:?}");
    let right = session(&stub.url, right);
    assert_eq!(right.open("sheet").unwrap().title, "T");
    let wrong = session(
        &stub.url,
        through(&format!("http://user:wr0ng@127.0.0.1:{port}")),
    );
    let failure = refused(&wrong);
    assert_eq!(judged(&failure), ("proxy", Class::NeedsHuman));
    assert!(failure.message.contains("407"), "{failure:?}");
    let shown = format!("{printed} {right:?} {wrong:?} {failure:?}");
    for secret in [PASSWORD, "p%40ss", "wr0ng", "dXNlcjp"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_proxy_may_stand_in_a_file() {
    let stub = google();
    let (port, asked) = proxy(|_| "200 OK");
    let file = std::env::temp_dir().join(format!("sheet_sync-proxy-{port}"));
    std::fs::write(&file, format!("http://user:secret@127.0.0.1:{port}\n")).unwrap();
    let route = Route::new(None, file.to_str());
    std::fs::remove_file(&file).unwrap();
    session(&stub.url, route.unwrap()).open("sheet").unwrap();
    assert!(!asked.lock().unwrap().is_empty());
}

#[test]
fn a_proxy_that_is_not_there_is_told_from_google_that_is_not() {
    let stub = google();
    let failure = refused(&session(&stub.url, through("http://127.0.0.1:9")));
    assert_eq!(
        judged(&failure),
        ("proxy", Class::RetryLater),
        "{failure:?}"
    );
    let failure = refused(&session(&stub.url, through("http://proxy.invalid:3128")));
    assert_eq!(
        judged(&failure),
        ("proxy", Class::RetryLater),
        "{failure:?}"
    );
    let (port, _) = proxy(|_| "502 Bad Gateway");
    let failure = refused(&session(
        &stub.url,
        through(&format!("http://127.0.0.1:{port}")),
    ));
    assert_eq!(
        judged(&failure),
        ("proxy", Class::RetryLater),
        "{failure:?}"
    );
    assert!(stub.asked().is_empty(), "nothing goes past the proxy");
}

#[test]
fn settings_that_cannot_be_used_are_refused_by_name() {
    let unfit = |ca_file, proxy| Route::new(ca_file, proxy).unwrap_err();
    for address in [
        "socks5://127.0.0.1:1080",
        "http://",
        "http://a b",
        "http://u:secret@:x",
    ] {
        let failure = unfit(None, Some(address));
        assert_eq!(judged(&failure), ("proxy", Class::NeedsHuman), "{address}");
        assert!(failure.message.contains("sheet_sync.proxy"));
        assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
    }
    let missing = unfit(Some("/nope.pem"), None);
    assert_eq!(judged(&missing), ("certificate", Class::NeedsHuman));
    assert!(
        missing.hint.starts_with("Put the file /nope.pem"),
        "{missing:?}"
    );
    let no_certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/localhost.key");
    assert_eq!(
        unfit(Some(no_certificate), None).reason.as_str(),
        "certificate"
    );
    assert_eq!(unfit(None, Some("/nope")).reason.as_str(), "proxy");
}
