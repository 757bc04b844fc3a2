//! The page for people at `/`, embedded from `page/dist` when that was built before the server.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

type File = (&'static str, &'static [u8]);

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>sheetd</title>
<body style=\"font:16px/1.5 system-ui,sans-serif;max-width:38em;margin:4em auto;padding:0 1em\">
<h1 style=\"font-size:1.4em\">sheetd is running, without its page</h1>
<p>The API is served. The page was not built when this server was; to have it, build both again:</p>
<pre style=\"background:#f1f3f4;padding:1em;border-radius:6px\">crates/sheetd/page/build.sh
cargo build -p sheetd</pre>
<p>It needs Node.js 20 or later.</p>
";

/// The page itself may change with the next build; its assets carry a hash in their names.
const FRESH: &str = "no-cache";
const FOREVER: &str = "public, max-age=31536000, immutable";

pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .filter(|(path, _)| *path != "/index.html")
        .fold(Router::new().route("/", get(index)), |router, file| {
            router.route(file.0, get(|| async { answer(file, FOREVER) }))
        })
}

async fn index() -> Response {
    match FILES.iter().find(|(path, _)| *path == "/index.html") {
        Some(file) => answer(file, FRESH),
        None => (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response(),
    }
}

fn answer((path, bytes): &File, cached: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type(path)), (header::CACHE_CONTROL, cached)];
    (headers, *bytes).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
