//! A server of a few lines that answers as it is told, and keys to call it with.

pub mod world;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use google::auth::Clock;
use google::{Client, Credential, Identity, Options};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::{Value, json};

/// How long an answer that comes may take. Generous: a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one that never comes is waited for.
const IMPATIENCE: Duration = Duration::from_millis(300);

#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    pub headers: String,
    pub body: String,
}

#[derive(Clone, Debug)]
pub enum Reply {
    Json(u16, String),
    With {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The body compressed.
    Gzip(String),
    /// In chunks, and without a length, until the other end has enough.
    Endless,
    /// Claims a longer body than it sends, then closes.
    Cut(String),
    /// Closes without a word.
    Close,
    /// Never answers.
    Hang,
}

pub struct Stub {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &log, &*answer));
            }
        });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often a token was asked for.
    pub fn exchanges(&self) -> usize {
        let asked = self.asked();
        let of_tokens = asked.iter().filter(|one| {
            one.line.starts_with("POST /token") || one.line.contains("/default/token?")
        });
        of_tokens.count()
    }

    pub fn key(&self) -> Value {
        key_file(&format!("{}/token", self.url))
    }

    pub fn client(&self) -> Client {
        self.client_of(self.identity(), PATIENCE)
    }

    /// A client that waits only as long as this answer is worth.
    pub fn client_for(&self, reply: &Reply) -> Client {
        self.client_of(self.identity(), time_for(reply))
    }

    /// The same for an answer to API calls: the token, which is answered, is there already.
    pub fn client_with_token_for(&self, reply: &Reply) -> Client {
        let identity = self.identity();
        let patient = self.client_of(identity.clone(), PATIENCE);
        patient.check_key().unwrap();
        self.client_of(identity, time_for(reply))
    }

    /// A client with this credential, of which this stub is the metadata server, too.
    pub fn client_with(&self, credential: &Value) -> Client {
        self.client_by_clock(credential, Arc::new(Instant::now))
    }

    pub fn client_by_clock(&self, credential: &Value, clock: Clock) -> Client {
        let credential = Credential::from_value(credential).unwrap();
        let identity = Identity::with_metadata_at(&self.url, credential).with_clock(clock);
        self.client_of(Arc::new(identity), PATIENCE)
    }

    /// What gcloud writes of a user's login.
    pub fn login(&self) -> Value {
        json!({
            "account": "",
            "client_id": "1234-abc.apps.googleusercontent.com",
            "client_secret": "GOCSPX-a-client-secret",
            "refresh_token": "1//0e-a-refresh-token-that-is-long",
            "type": "authorized_user",
            "token_uri": format!("{}/token", self.url),
        })
    }

    fn identity(&self) -> Arc<Identity> {
        Arc::new(Identity::new(Credential::from_value(&self.key()).unwrap()))
    }

    fn client_of(&self, identity: Arc<Identity>, timeout: Duration) -> Client {
        let options = Options {
            sheets_endpoint: self.url.clone(),
            drive_endpoint: format!("{}/drive/v3", self.url),
            timeout,
            max_answer_bytes: 100_000,
            ..Options::default()
        };
        Client::new(identity, &options)
    }
}

fn time_for(reply: &Reply) -> Duration {
    match reply {
        Reply::Hang => IMPATIENCE,
        _ => PATIENCE,
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = String::new();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            headers.push_str(&header);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let asked = Asked {
            line: line.trim().to_owned(),
            headers,
            body: String::from_utf8(body).unwrap(),
        };
        log.lock().unwrap().push(asked.clone());
        let mut writer = stream;
        let mut send = |status: u16, headers: &[(&str, String)], length: usize, body: &[u8]| {
            let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n");
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            let whole = [format!("{text}\r\n").as_bytes(), body].concat();
            writer.write_all(&whole).unwrap();
        };
        match answer(&asked) {
            Reply::Json(status, body) => send(status, &[], body.len(), body.as_bytes()),
            Reply::Gzip(body) => {
                let mut packed =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                packed.write_all(body.as_bytes()).unwrap();
                let packed = packed.finish().unwrap();
                send(
                    200,
                    &[("Content-Encoding", "gzip".into())],
                    packed.len(),
                    &packed,
                );
            }
            Reply::With {
                status,
                headers,
                body,
            } => send(status, &headers, body.len(), body.as_bytes()),
            Reply::Cut(body) => {
                send(200, &[], body.len() + 100, body.as_bytes());
                return;
            }
            Reply::Endless => {
                let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
                let mut sent = writer.write_all(head.as_bytes());
                while sent.is_ok() {
                    sent = writer.write_all(b"5\r\n[[[[[\r\n");
                }
                return;
            }
            Reply::Close => return,
            Reply::Hang => loop {
                std::thread::park();
            },
        }
    }
}

pub fn token_answer(token: &str) -> Reply {
    Reply::Json(
        200,
        json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}).to_string(),
    )
}

/// A spreadsheet without tabs.
pub fn bare_spreadsheet() -> Reply {
    Reply::Json(
        200,
        json!({"properties": {"title": "T", "timeZone": "Etc/GMT"}}).to_string(),
    )
}

pub fn private_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
        key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    })
}

pub fn key_file(token_uri: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "key-1",
        "private_key": private_key(),
        "client_email": "robot@a-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    })
}
