//! What the service was seen to do where its documentation says nothing: probed once per account
//! and endpoint, then remembered.

use google::Session as GoogleSession;
use google::sheet::Capabilities;

use super::states::store;
use crate::postgres::transaction::transaction;
use crate::settings;

/// True where the session knows, or the catalog remembers, how the service behaves.
pub fn are_known(google: &GoogleSession) -> bool {
    if google.capabilities().are_complete() {
        return true;
    }
    let account = google.client().identity().account().to_owned();
    let stored = transaction(|session| {
        session
            .select(
                "SELECT answers FROM sheet_sync._capability WHERE account = $1 AND endpoint = $2",
                &[account.into(), settings::sheets_endpoint().into()],
            )
            .into_iter()
            .flatten()
            .flatten()
            .next()
    });
    let capabilities = stored
        .ok()
        .flatten()
        .and_then(|answers| serde_json::from_str::<Capabilities>(&answers).ok())
        .filter(Capabilities::are_complete);
    match capabilities {
        Some(capabilities) => {
            google.set_capabilities(capabilities);
            true
        }
        None => false,
    }
}

pub fn remember(google: &GoogleSession, capabilities: &Capabilities) {
    let Ok(answers) = serde_json::to_string(capabilities) else {
        return;
    };
    let account = google.client().identity().account().to_owned();
    store(|session| {
        session.execute(
            "INSERT INTO sheet_sync._capability (account, endpoint, answers) VALUES ($1, $2, $3::pg_catalog.jsonb) \
             ON CONFLICT (account, endpoint) DO UPDATE SET answers = EXCLUDED.answers, probed_at = EXCLUDED.probed_at",
            &[account.into(), settings::sheets_endpoint().into(), answers.into()],
        );
    });
}
