//! The settings (GUCs) of the extension.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::CString;
use std::time::Duration;

static SHEETS_ENDPOINT: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"https://sheets.googleapis.com"));
static DRIVE_ENDPOINT: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"https://www.googleapis.com"));
static METADATA_ENDPOINT: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"http://metadata.google.internal"));
static CREDENTIALS_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static CA_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static PROXY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static HTTP_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static STATEMENT_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static POLL_INTERVAL_MS: GucSetting<i32> = GucSetting::<i32>::new(3_000);
static MAX_DIRTY_KEYS: GucSetting<i32> = GucSetting::<i32>::new(20_000);
static MAX_REQUEST_BYTES: GucSetting<i32> = GucSetting::<i32>::new(2_000_000);
static HISTORY_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 60);
static READS_PER_MINUTE: GucSetting<i32> = GucSetting::<i32>::new(60);
static WRITES_PER_MINUTE: GucSetting<i32> = GucSetting::<i32>::new(60);
static PROJECT_READS_PER_MINUTE: GucSetting<i32> = GucSetting::<i32>::new(300);
static PROJECT_WRITES_PER_MINUTE: GucSetting<i32> = GucSetting::<i32>::new(300);

/// Announce all settings to Postgres; called once from `_PG_init`.
pub fn define() {
    GucRegistry::define_string_guc(
        c"sheet_sync.sheets_endpoint",
        c"Base URL of the Google Sheets API.",
        c"Point it at a sheetd server to work offline. The worker reads it when it is reloaded.",
        &SHEETS_ENDPOINT,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"sheet_sync.drive_endpoint",
        c"Base URL of the Google Drive API.",
        c"Point it at a sheetd server to work offline.",
        &DRIVE_ENDPOINT,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"sheet_sync.metadata_endpoint",
        c"Base URL of Google Cloud's metadata server.",
        c"Asked for credentials of type compute_metadata only. Point it at a sheetd server to try them elsewhere.",
        &METADATA_ENDPOINT,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"sheet_sync.credentials_file",
        c"The file that holds the credential \"default\": a service account's key, or a user's login.",
        c"It counts while set_credential() has stored none of that name. The server's operating-system user must be able to read it.",
        &CREDENTIALS_FILE,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"sheet_sync.ca_file",
        c"A PEM file with the certificate authorities that are believed.",
        c"Without it those of the system. The worker reads it when it is reloaded.",
        &CA_FILE,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"sheet_sync.proxy",
        c"The HTTP proxy that leads to Google: http://[user:password@]host:port.",
        c"Or the path of a file that holds such an address. The worker reads it when it is reloaded.",
        &PROXY,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"sheet_sync.http_timeout_ms",
        c"How long one request to Google may take.",
        c"Google gives up by itself after 180 s.",
        &HTTP_TIMEOUT_MS,
        100,
        600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"sheet_sync.statement_timeout_ms",
        c"How long one statement of the worker on a user's table may take.",
        c"All tables of a database wait meanwhile: a trigger or filter that does not come to an end must not stop the others.",
        &STATEMENT_TIMEOUT_MS,
        100,
        86_400_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"sheet_sync.poll_interval_ms",
        c"How often a sheet is read for edits of people.",
        c"A mapping's own poll_interval overrides it.",
        &POLL_INTERVAL_MS,
        50,
        86_400_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"sheet_sync.max_dirty_keys_per_transaction",
        c"How many changed keys of one mapping a transaction remembers.",
        c"Above it the transaction leaves one mark that makes the worker compare the whole table.",
        &MAX_DIRTY_KEYS,
        1,
        10_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sheet_sync.max_request_bytes",
        c"How large one request to Google may be.",
        c"Google recommends 2 MB and refuses more than 10 MB.",
        &MAX_REQUEST_BYTES,
        50_000,
        10_000_000,
        GucContext::Sighup,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"sheet_sync.history_retention",
        c"How long lines of sheet_sync.history are kept.",
        c"Zero keeps none.",
        &HISTORY_RETENTION,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
    for (name, what, setting) in [
        (
            c"sheet_sync.reads_per_minute",
            c"Read requests a minute that one account may make.",
            &READS_PER_MINUTE,
        ),
        (
            c"sheet_sync.writes_per_minute",
            c"Write requests a minute that one account may make.",
            &WRITES_PER_MINUTE,
        ),
        (
            c"sheet_sync.project_reads_per_minute",
            c"Read requests a minute of the whole Google Cloud project.",
            &PROJECT_READS_PER_MINUTE,
        ),
        (
            c"sheet_sync.project_writes_per_minute",
            c"Write requests a minute of the whole Google Cloud project.",
            &PROJECT_WRITES_PER_MINUTE,
        ),
    ] {
        GucRegistry::define_int_guc(
            name,
            what,
            c"Google's quota unless a larger one was granted.",
            setting,
            1,
            100_000,
            GucContext::Sighup,
            GucFlags::default(),
        );
    }
}

fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    setting
        .get()
        .and_then(|value| value.into_string().ok())
        .filter(|value| !value.trim().is_empty())
}

pub fn sheets_endpoint() -> String {
    text(&SHEETS_ENDPOINT).unwrap_or_else(|| "https://sheets.googleapis.com".to_owned())
}

pub fn drive_endpoint() -> String {
    text(&DRIVE_ENDPOINT).unwrap_or_else(|| "https://www.googleapis.com".to_owned())
}

pub fn metadata_endpoint() -> String {
    text(&METADATA_ENDPOINT).unwrap_or_else(|| google::auth::METADATA_ENDPOINT.to_owned())
}

pub fn credentials_file() -> Option<String> {
    text(&CREDENTIALS_FILE)
}

pub fn ca_file() -> Option<String> {
    text(&CA_FILE)
}

pub fn proxy() -> Option<String> {
    text(&PROXY)
}

fn millis(setting: &GucSetting<i32>) -> Duration {
    Duration::from_millis(setting.get().max(1) as u64)
}

pub fn http_timeout() -> Duration {
    millis(&HTTP_TIMEOUT_MS)
}

pub fn statement_timeout() -> Duration {
    millis(&STATEMENT_TIMEOUT_MS)
}

pub fn poll_interval() -> Duration {
    millis(&POLL_INTERVAL_MS)
}

pub fn max_dirty_keys() -> usize {
    MAX_DIRTY_KEYS.get().max(1) as usize
}

pub fn max_request_bytes() -> usize {
    MAX_REQUEST_BYTES.get().max(1) as usize
}

/// Minutes.
pub fn history_retention() -> i32 {
    HISTORY_RETENTION.get()
}

/// Requests a minute: reads and writes of one identity, reads and writes of the project.
pub fn quota() -> [u32; 4] {
    [
        &READS_PER_MINUTE,
        &WRITES_PER_MINUTE,
        &PROJECT_READS_PER_MINUTE,
        &PROJECT_WRITES_PER_MINUTE,
    ]
    .map(|setting| setting.get().max(1) as u32)
}
