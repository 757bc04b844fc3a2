//! Google as a test has it: sheetd, the gate before it, and an office in which people edit sheets.

use crate::cluster::{Options, end_with_us, free_port};
use crate::gate::{Fault, Gate, Held, Passed, When};
use crate::sheet::Book;
use crate::wait::PATIENCE;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// People's own way to the sheets, by sheetd's control endpoints: no fault of the gate meets it and
/// it counts for nothing.
pub struct Office {
    base: String,
    agent: ureq::Agent,
}

impl Office {
    pub fn new(base: &str) -> Office {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE));
        Office {
            base: base.to_owned(),
            agent: config.build().into(),
        }
    }

    #[track_caller]
    fn done(
        &self,
        what: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Value {
        let mut answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        let status = answer.status();
        let text = answer
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_string()
            .unwrap_or_default();
        assert!(status.is_success(), "{what}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.done(
            path,
            self.agent
                .get(format!("{}/_sheetd/{path}", self.base))
                .call(),
        )
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .agent
            .post(format!("{}/_sheetd/{path}", self.base))
            .send_json(body);
        self.done(&format!("{path} {body}"), answer)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) {
        let url = format!("{}/_sheetd/{path}", self.base);
        self.done(path, self.agent.delete(url).call());
    }

    /// One action of a person in one tab.
    #[track_caller]
    pub fn edit(&self, spreadsheet: &str, tab: i64, action: Value) {
        self.post(
            "edit",
            &json!({"spreadsheetId": spreadsheet, "sheet": tab, "edit": action}),
        );
    }
}

/// sheetd as a process of its own, ended on drop.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(arguments: &[&OsStr], key: &Path) -> Server {
        let program = std::env::current_exe().expect("this program has a path");
        // Test programs are in deps/ below the directory of the binaries.
        let program = program
            .ancestors()
            .skip(1)
            .map(|directory| directory.join("sheetd"))
            .find(|path| path.is_file());
        let program = program.expect("sheetd is built: cargo build -p sheetd");
        let started = Instant::now();
        loop {
            let port = free_port();
            let mut command = Command::new(&program);
            command
                .arg("--listen")
                .arg(format!("127.0.0.1:{port}"))
                .arg("--write-key")
                .arg(key)
                .args(arguments);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            end_with_us(&mut command);
            let mut server = Server {
                process: command.spawn().expect("sheetd can be run"),
                port,
            };
            while server.process.try_wait().expect("our own child").is_none() {
                if read_key(key).is_some() && TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return server;
                }
                assert!(started.elapsed() < PATIENCE, "sheetd does not answer");
                std::thread::sleep(Duration::from_millis(5));
            }
            // Somebody else took the port between our look and sheetd's.
            assert!(started.elapsed() < PATIENCE / 10, "sheetd does not start");
        }
    }
}

/// None until all of it is written.
fn read_key(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: the pid is that of a child that has not been waited for, so it cannot be
        // another's.
        unsafe { libc::kill(self.process.id() as libc::pid_t, libc::SIGTERM) };
        let _ = self.process.wait();
    }
}

pub struct Google {
    gate: Gate,
    server: Arc<Server>,
    office: Arc<Office>,
    key: Value,
}

impl Google {
    /// Its sheets are gone when it ends.
    pub fn start() -> Google {
        let directory = Options::temporary().directory;
        std::fs::create_dir_all(&directory).expect("a directory for a key can be made");
        let google = Google::serve(&[], &directory.join("key.json"));
        let _ = std::fs::remove_dir_all(directory);
        google
    }

    /// `data` and `key` are kept.
    pub fn launch(data: &Path, key: &Path) -> Google {
        Google::serve(&["--data".as_ref(), data.as_os_str()], key)
    }

    fn serve(arguments: &[&OsStr], key: &Path) -> Google {
        let server = Server::start(arguments, key);
        let key = read_key(key).expect("sheetd wrote its key");
        let base = format!("http://127.0.0.1:{}", server.port);
        let office = Arc::new(Office::new(&base));
        Google::behind_a_gate(Arc::new(server), office, key)
    }

    fn behind_a_gate(server: Arc<Server>, office: Arc<Office>, mut key: Value) -> Google {
        let gate = Gate::to((Ipv4Addr::LOCALHOST, server.port).into());
        // The extension's token requests pass the gate, too.
        key["token_uri"] = json!(format!("{}/token", gate.url()));
        Google {
            gate,
            server,
            office,
            key,
        }
    }

    /// The same sheets through another gate: for a second cluster, whose requests are then told
    /// from the first one's.
    pub fn by_another_gate(&self) -> Google {
        Google::behind_a_gate(
            Arc::clone(&self.server),
            Arc::clone(&self.office),
            self.key.clone(),
        )
    }

    /// What the extension's endpoints are set to.
    pub fn url(&self) -> String {
        self.gate.url()
    }

    /// sheetd's process.
    pub fn process(&self) -> u32 {
        self.server.process.id()
    }

    pub fn direct_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// The service account's key file.
    pub fn key(&self) -> &Value {
        &self.key
    }

    pub fn email(&self) -> &str {
        self.key["client_email"].as_str().expect("a key has one")
    }

    /// The key file of another service account of the same project.
    pub fn another_account(&self, name: &str) -> Value {
        let (_, domain) = self.email().split_once('@').expect("an address");
        let email = format!("{name}@{domain}");
        let mut key = self.office.post("accounts", &json!({"email": email}));
        key["token_uri"] = self.key["token_uri"].clone();
        key
    }

    /// A person logs in with gcloud, and shows the file that it writes.
    pub fn login(&self, email: &str) -> Value {
        let mut file = self.office.post("logins", &json!({"email": email}));
        file["token_uri"] = self.key["token_uri"].clone();
        file
    }

    /// What becomes of a login; see sheetd's `/_sheetd/logins/{email}`.
    pub fn change_login(&self, email: &str, change: Value) {
        self.office.post(&format!("logins/{email}"), &change);
    }

    /// The database server is a machine on Google Cloud; see sheetd's `/_sheetd/machine`.
    pub fn on_google_cloud(&self, machine: Value) {
        self.office.post("machine", &machine);
    }

    /// The projects that requests to the APIs named to be counted on.
    pub fn quota_projects(&self) -> Vec<String> {
        let log = self.office.get("requests");
        let lines = log["requests"].as_array().into_iter().flatten();
        let of_apis = lines.filter(|line| line["path"] != "/token");
        of_apis
            .filter_map(|line| line["quota_project"].as_str().map(str::to_owned))
            .collect()
    }

    /// A new spreadsheet, shared with the service account.
    pub fn spreadsheet(&self, title: &str) -> Book {
        Book::new(Arc::clone(&self.office), title)
    }

    /// One of another country.
    pub fn spreadsheet_in(&self, title: &str, locale: &str, time_zone: &str) -> Book {
        let settings = json!({"title": title, "locale": locale, "timeZone": time_zone});
        Book::made(
            Arc::clone(&self.office),
            settings,
            json!([{"title": "Sheet1"}]),
        )
    }

    /// One with these tabs, as sheetd's control endpoint takes them.
    pub fn spreadsheet_of(&self, tabs: Value) -> Book {
        Book::of(Arc::clone(&self.office), "Book", tabs)
    }

    /// Somebody deletes the service account's key in the console, or undoes it.
    pub fn revoke_key(&self, revoked: bool) {
        self.office.post(
            &format!("accounts/{}/key", self.email()),
            &json!({"revoked": revoked}),
        );
    }

    /// Somebody switches the Sheets API of the key's project off, or on.
    pub fn enable_api(&self, enabled: bool) {
        self.office.post(
            "services",
            &json!({"service": "sheets", "enabled": enabled}),
        );
    }

    /// Behaviours of sheetd that can be switched, such as its latency.
    pub fn set_options(&self, options: Value) {
        self.office.post("options", &options);
    }

    pub fn hold(&self, nth: usize, when: When) -> Held {
        self.gate.hold(nth, when)
    }

    pub fn fault(&self, fault: Fault, times: usize) {
        self.gate.fault(fault, times);
    }

    pub fn mend(&self) {
        self.gate.mend();
    }

    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    pub fn writes(&self) -> Vec<Passed> {
        self.gate
            .passed()
            .into_iter()
            .filter(Passed::is_write)
            .collect()
    }

    pub fn reads(&self) -> usize {
        self.gate
            .passed()
            .iter()
            .filter(|passed| !passed.is_write() && !passed.is_token())
            .count()
    }
}
