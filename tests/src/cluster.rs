//! A private Postgres server: a directory, a port and a process of its own, gone when the value is
//! dropped.

use crate::db::Db;
use crate::wait::PATIENCE;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Where a cluster's files go and what becomes of them.
pub struct Options {
    pub directory: PathBuf,
    /// Removed on drop, as is right for a test; the demo keeps its directory to look into.
    pub temporary: bool,
    pub settings: Vec<(String, String)>,
    /// Made by initdb: clusters that come from the template are one cluster by their identifier.
    pub has_own_identifier: bool,
    /// Of the server's processes.
    pub environment: Vec<(String, String)>,
}

impl Options {
    pub fn temporary() -> Options {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "ss{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        Options {
            directory: std::env::temp_dir().join(name),
            temporary: true,
            settings: Vec::new(),
            has_own_identifier: false,
            environment: Vec::new(),
        }
    }
}

pub struct Cluster {
    directory: PathBuf,
    temporary: bool,
    environment: Vec<(String, String)>,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Makes the cluster and starts it with the extension preloaded.
    pub fn start(options: Options) -> Cluster {
        let Options {
            directory,
            temporary,
            settings,
            has_own_identifier,
            environment,
        } = options;
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("the cluster's directory can be made");
        own(&directory);
        let cluster = Cluster {
            port: free_port(),
            directory,
            temporary,
            environment,
            server: None,
        };
        cluster.make_data(has_own_identifier);
        let mut conf = vec![
            (
                "shared_preload_libraries".to_owned(),
                "sheet_sync".to_owned(),
            ),
            ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
            // The path of a Unix socket may not exceed 107 bytes, which a directory's may.
            ("unix_socket_directories".to_owned(), String::new()),
            ("max_prepared_transactions".to_owned(), "10".to_owned()),
            ("max_worker_processes".to_owned(), "32".to_owned()),
            ("wal_level".to_owned(), "logical".to_owned()),
            ("fsync".to_owned(), "off".to_owned()),
            ("log_line_prefix".to_owned(), "%m [%p] %b %d ".to_owned()),
            ("log_min_messages".to_owned(), "info".to_owned()),
            ("timezone".to_owned(), "UTC".to_owned()),
        ];
        conf.extend(settings);
        cluster.configure(&conf);
        let mut cluster = cluster;
        cluster.start_again();
        cluster
    }

    /// A copy of a running cluster that follows it, until it is promoted. Its settings are the
    /// primary's but for these.
    pub fn standby_of(primary: &Cluster, settings: &[(String, String)]) -> Cluster {
        primary.backup("--write-recovery-conf", settings)
    }

    /// A copy of this cluster's files, started as they are beside it: what a restored base backup
    /// is, and a snapshot.
    pub fn copy_of(&self, settings: &[(String, String)]) -> Cluster {
        self.backup("--wal-method=stream", settings)
    }

    fn backup(&self, kind: &str, settings: &[(String, String)]) -> Cluster {
        let directory = Options::temporary().directory;
        fs::create_dir_all(&directory).expect("the cluster's directory can be made");
        own(&directory);
        let mut copy = Cluster {
            port: free_port(),
            directory,
            temporary: true,
            environment: Vec::new(),
            server: None,
        };
        let mut backup = Command::new(bindir().join("pg_basebackup"));
        backup
            .args(["--host=127.0.0.1", "--username=postgres", "--no-sync"])
            .args(["--checkpoint=fast", kind])
            .arg(format!("--port={}", self.port))
            .arg("--pgdata")
            .arg(copy.data());
        run_as_server_user(backup);
        copy.configure(settings);
        copy.start_again();
        copy
    }

    /// Copies the files of a server that is stopped, for [`Cluster::put_back`].
    pub fn keep_files(&self) {
        self.copy_files("data", "kept");
    }

    /// An older state of the same directory: the files are those that were kept.
    pub fn put_back(&self) {
        let _ = fs::remove_dir_all(self.data());
        self.copy_files("kept", "data");
    }

    fn copy_files(&self, from: &str, to: &str) {
        assert!(self.server.is_none(), "the server runs");
        let mut cp = Command::new("cp");
        cp.arg("-a")
            .arg(self.directory.join(from))
            .arg(self.directory.join(to));
        run_as_server_user(cp);
    }

    /// pg_upgrade of a server that is stopped, into a new cluster of the same version that takes
    /// its place.
    pub fn upgrade(&self) {
        assert!(self.server.is_none(), "the server runs");
        let former = self.directory.join("former");
        fs::rename(self.data(), &former).expect("a directory can be renamed");
        self.make_data(true);
        let mut upgrade = Command::new(bindir().join("pg_upgrade"));
        upgrade.args(["--username=postgres", "--no-sync"]);
        for (option, directory) in [
            ("--old-datadir", former.as_path()),
            ("--new-datadir", &self.data()),
            ("--old-bindir", bindir()),
            ("--new-bindir", bindir()),
        ] {
            upgrade.arg(option).arg(directory);
        }
        as_server_user(&mut upgrade);
        // It writes its scripts and sockets where it is started.
        upgrade.current_dir(&self.directory);
        let upgraded = upgrade.output().expect("pg_upgrade can be run");
        assert!(
            upgraded.status.success(),
            "{}{}",
            String::from_utf8_lossy(&upgraded.stdout),
            String::from_utf8_lossy(&upgraded.stderr)
        );
        fs::copy(
            former.join("postgresql.conf"),
            self.data().join("postgresql.conf"),
        )
        .expect("settings can be copied");
    }

    fn make_data(&self, anew: bool) {
        let data = self.data();
        let template = std::env::var_os("SHEET_SYNC_PG_TEMPLATE").filter(|_| !anew);
        let template = template.map(PathBuf::from);
        let make = match template {
            Some(template) => {
                let mut cp = Command::new("cp");
                cp.arg("-a").arg(template).arg(&data);
                cp
            }
            None => {
                let mut initdb = Command::new(bindir().join("initdb"));
                initdb.args([
                    "--username=postgres",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ]);
                initdb.arg("--pgdata").arg(&data);
                initdb
            }
        };
        run_as_server_user(make);
    }

    /// Adds settings to postgresql.conf; they hold from the next start or reload.
    pub fn configure(&self, settings: &[(String, String)]) {
        let path = self.data().join("postgresql.conf");
        let mut text = fs::read_to_string(&path).expect("postgresql.conf is there");
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        fs::write(&path, text).expect("postgresql.conf can be written");
    }

    /// Starts the server after [`Cluster::stop`] or [`Cluster::kill`], on the same data and port.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let started = Instant::now();
        loop {
            let before = self.log().len();
            self.server = Some(self.spawn());
            if self.wait_ready() {
                return;
            }
            let log = self.log().split_off(before);
            // Somebody else took the port between our look and the server's; or the kernel has not
            // yet taken the shared memory from a process that is gone.
            let passes = if log.contains("could not bind") {
                self.port = free_port();
                true
            } else {
                log.contains("pre-existing shared memory block")
            };
            assert!(
                passes && started.elapsed() < PATIENCE,
                "the server did not start:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn spawn(&self) -> Child {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log_path())
            .expect("the log can be opened");
        let mut postgres = Command::new(bindir().join("postgres"));
        postgres
            .arg("-D")
            .arg(self.data())
            .arg(format!("--port={}", self.port))
            .current_dir("/")
            .env_remove("RUST_BACKTRACE")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be doubled"))
            .stderr(log);
        as_server_user(&mut postgres);
        end_with_us(&mut postgres);
        postgres.spawn().expect("postgres can be run")
    }

    /// False when the server ended instead.
    fn wait_ready(&mut self) -> bool {
        let started = Instant::now();
        loop {
            let server = self.server.as_mut().expect("just spawned");
            if server.try_wait().expect("our own child").is_some() {
                self.server = None;
                return false;
            }
            match self.try_connect("postgres") {
                Ok(_) => return true,
                Err(error) => assert!(
                    started.elapsed() < PATIENCE,
                    "no answer: {error}\n{}",
                    self.log()
                ),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops as an administrator would (pg_ctl's fast mode), and says how long it took.
    pub fn stop(&mut self) -> Duration {
        self.end(libc::SIGINT)
    }

    /// Kills the postmaster as a power cut would: no checkpoint, no goodbye.
    pub fn kill(&mut self) {
        self.end(libc::SIGKILL);
        // The postmaster's children notice its death by themselves; the data directory is theirs
        // until then.
        crate::wait::wait_until("the killed server's processes to end", || {
            match self.processes() {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });
    }

    /// Processes whose working directory is the data directory: every process of this server.
    fn processes(&self) -> Vec<String> {
        let data = fs::canonicalize(self.data()).expect("the data directory is there");
        let Ok(all) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        all.flatten()
            .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    fn end(&mut self, signal: i32) -> Duration {
        let started = Instant::now();
        if let Some(mut server) = self.server.take() {
            // SAFETY: the pid is that of a child that has not been waited for, so it cannot be
            // another's.
            unsafe { libc::kill(server.id() as libc::pid_t, signal) };
            let _ = server.wait();
        }
        started.elapsed()
    }

    /// False once the server has ended by itself.
    pub fn is_up(&mut self) -> bool {
        self.server
            .as_mut()
            .is_some_and(|server| matches!(server.try_wait(), Ok(None)))
    }

    pub fn connect(&self, database: &str) -> Db {
        self.try_connect(database)
            .unwrap_or_else(|error| panic!("connection to {database}: {error}\n{}", self.log()))
    }

    pub fn try_connect(&self, database: &str) -> Result<Db, postgres::Error> {
        self.connect_as("postgres", database)
    }

    pub fn connect_as(&self, user: &str, database: &str) -> Result<Db, postgres::Error> {
        postgres::Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user(user)
            .dbname(database)
            .application_name("e2e")
            .connect(postgres::NoTls)
            .map(Db::new)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!(
                "--- the server's last lines; all of them are in {}",
                self.log_path().display()
            );
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
            let _ = fs::remove_dir_all(self.data());
        } else if self.temporary {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// The directory of the server's programs: scripts/common.sh names the private tree that has the
/// extension.
pub fn bindir() -> &'static Path {
    static BINDIR: OnceLock<PathBuf> = OnceLock::new();
    BINDIR.get_or_init(|| match std::env::var_os("SHEET_SYNC_PG_BINDIR") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let pg_config = std::env::var_os("PG_CONFIG").unwrap_or_else(|| "pg_config".into());
            let asked = Command::new(pg_config)
                .arg("--bindir")
                .output()
                .expect("pg_config can be run");
            PathBuf::from(String::from_utf8(asked.stdout).expect("a path").trim())
        }
    })
}

/// Where the server's installation keeps the scripts of extensions, in `extension`.
pub fn share_directory() -> PathBuf {
    let asked = Command::new(bindir().join("pg_config"))
        .arg("--sharedir")
        .output()
        .expect("pg_config can be run");
    PathBuf::from(String::from_utf8(asked.stdout).expect("a path").trim())
}

/// The user that runs servers where we are root, which Postgres refuses to be.
fn server_user() -> Option<(u32, u32)> {
    static USER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *USER.get_or_init(|| {
        // SAFETY: plain system calls; getpwnam's answer is copied before anything else can call it
        // (under the OnceLock).
        unsafe {
            if libc::geteuid() != 0 {
                return None;
            }
            let name = CString::new("postgres").expect("no NUL");
            let entry = libc::getpwnam(name.as_ptr());
            assert!(
                !entry.is_null(),
                "we are root, and there is no user postgres to run a server as"
            );
            Some(((*entry).pw_uid, (*entry).pw_gid))
        }
    })
}

fn run_as_server_user(mut command: Command) {
    as_server_user(&mut command);
    let made = command
        .output()
        .expect("cp and the server's programs can be run");
    assert!(
        made.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&made.stderr)
    );
}

fn as_server_user(command: &mut Command) {
    command.current_dir("/");
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
}

/// A child of ours that a Ctrl-C in the terminal does not reach (we stop it in our own time), and
/// that does not outlive us.
pub fn end_with_us(command: &mut Command) {
    command.process_group(0);
    // SAFETY: between fork and exec only prctl, which is async-signal-safe, is called.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGQUIT) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            },
        );
    }
}

/// Gives a path that we made to the user that runs the server.
pub fn own(path: &Path) {
    if let Some((user, group)) = server_user() {
        std::os::unix::fs::chown(path, Some(user), Some(group))
            .expect("root may give a directory away");
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface is there");
    listener.local_addr().expect("it is bound").port()
}
