//! The running server: a thread of its own, so that callers need not be async.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use axum::body::Bytes;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::faults::Plan;
use crate::http::quota::Meter;
use crate::http::serve::{self, Dropped, Incoming, Logged};
use crate::http::token;
use crate::options;
use crate::store::Store;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the data is kept over restarts; in memory only where absent.
    pub data: Option<PathBuf>,
    /// Google's per-minute quotas from the start.
    pub quota: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), data: None, quota: false }
    }
}

/// What all requests share.
pub struct App {
    pub store: Store,
    pub url: String,
    plan: Mutex<Plan>,
    log: Mutex<Log>,
    meter: Mutex<Meter>,
}

#[derive(Default)]
struct Log {
    count: u64,
    lines: std::collections::VecDeque<Logged>,
}

/// Older lines are forgotten.
const LOG_LINES: usize = 100_000;

impl App {
    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn log_lines(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn log(&self, mut line: Logged) {
        let mut log = self.log_lines();
        log.count += 1;
        line.n = log.count;
        log.lines.push_back(line);
        if log.lines.len() > LOG_LINES {
            log.lines.pop_front();
        }
    }

    pub fn logged(&self, since: u64) -> Vec<Logged> {
        self.log_lines().lines.iter().filter(|l| l.n > since).cloned().collect()
    }

    pub fn forget_log(&self) {
        self.log_lines().lines.clear();
    }
}

/// A server that runs until it is dropped.
pub struct Server {
    pub url: String,
    /// A service-account key file for this server, as text.
    pub key_json: String,
    pub app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds and serves; returns when requests are taken.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("sheetd").build()?;
        let listener = runtime.block_on(TcpListener::bind(options.listen))?;
        let url = format!("http://{}", listener.local_addr()?);
        let quota = if options.quota { options::QuotaMode::Google } else { options::QuotaMode::Off };
        let behaviour = options::Options { quota, ..Default::default() };
        let store = Store::open(options.data.as_deref(), behaviour).map_err(std::io::Error::other)?;
        let app = Arc::new(App {
            store,
            url: url.clone(),
            plan: Mutex::default(),
            log: Mutex::default(),
            meter: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let served = app.clone();
        let thread = std::thread::Builder::new().name("sheetd".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, served) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        let key = token::key_file(token::DEFAULT_ACCOUNT, &url);
        let key_json = serde_json::to_string_pretty(&key).expect("plain data");
        Ok(Self { url, key_json, app, stop: Some(stop), thread: Some(thread) })
    }

    /// Writes the key file of the default account.
    pub fn write_key(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, &self.key_json)
    }

    /// Blocks until the server ends by itself, which it does not do.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the serving thread was printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, app: Arc<App>) {
    let router = crate::control::router(app.clone())
        .merge(crate::page::router())
        .fallback(move |request: Request| google(app.clone(), request));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // Small answers must not wait for more.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        tokio::spawn(async move {
            let reset = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&reset);
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let (router, asked) = (router.clone(), Arc::clone(&asked));
                async move {
                    let response =
                        router.oneshot(request.map(axum::body::Body::new)).await.unwrap_or_else(|e| match e {});
                    let Some(dropped) = response.extensions().get::<Dropped>() else {
                        return Ok(response);
                    };
                    asked.store(matches!(dropped, Dropped::Reset), Ordering::Relaxed);
                    Err(std::io::Error::other("dropped by a fault"))
                }
            });
            // Errors here are connections that went away.
            let mut connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = (&mut connection).await;
            if reset.load(Ordering::Relaxed) {
                let _ = connection.into_parts().io.into_inner().set_zero_linger();
            }
        });
    }
}

async fn google(app: Arc<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let read = Limited::new(body, serve::MAX_BODY).collect().await;
    let (body, too_large) = match read {
        Ok(collected) => (collected.to_bytes(), false),
        Err(error) => (Bytes::new(), error.downcast_ref::<LengthLimitError>().is_some()),
    };
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        quota_project: header("x-goog-user-project"),
        metadata_flavor: header("metadata-flavor"),
        is_forwarded: parts.headers.contains_key("x-forwarded-for"),
        body,
        too_large,
    };
    serve::serve(&app, incoming).await
}
