//! The settings of the worker's own database session.

use pgrx::pg_sys;

use crate::capture::CANONICAL_SETTINGS;
use crate::postgres::statement::Session;
use crate::postgres::transaction::transaction;

/// Nothing unqualified in our own statements may find anything of a user's.
const OWN_SEARCH_PATH: &str = "pg_catalog, pg_temp";

/// What users' triggers and defaults see: the database's own default, read once before we change ours.
static USERS_SEARCH_PATH: once_cell::sync::OnceCell<String> = once_cell::sync::OnceCell::new();

/// Called once, after connecting.
pub fn prepare() {
    // A session that dies here is restarted by the launcher and tries again.
    let _ = transaction(|session| {
        let path = session
            .select("SELECT pg_catalog.current_setting('search_path')", &[])
            .into_iter()
            .flatten()
            .flatten()
            .next();
        let _ = USERS_SEARCH_PATH.set(path.unwrap_or_else(|| "\"$user\", public".to_owned()));
    });
    for (name, value) in CANONICAL_SETTINGS {
        set(name, value);
    }
    set(c"search_path", c"pg_catalog, pg_temp");
    // Problems name constraints and columns by what Postgres says: in one language, whatever the server's.
    set(c"lc_messages", c"C");
    set(c"application_name", c"sheet_sync");
    // A lock that a user holds on a row or table delays one cycle, not the worker.
    set(c"lock_timeout", c"5s");
    set(c"idle_in_transaction_session_timeout", c"0");
}

fn set(name: &std::ffi::CStr, value: &std::ffi::CStr) {
    // SAFETY: outside a transaction, for the whole session.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Use the users' search_path (or our own again) for the rest of the transaction.
pub fn apply_search_path(session: &mut Session, users: bool) {
    let path = if users {
        USERS_SEARCH_PATH
            .get()
            .map_or(OWN_SEARCH_PATH, String::as_str)
    } else {
        OWN_SEARCH_PATH
    };
    session.execute(
        "SELECT pg_catalog.set_config('search_path', $1, true)",
        &[path.into()],
    );
}
