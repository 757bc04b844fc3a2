//! Why there is no access token.

use engine::effect::Reason;
use engine::effect::{Class, Failure};

use super::account::{log_in_again, scope_lacking};
use super::class::{Context, Make};
use super::{Error, NoMetadata, TokenRefusal};
use crate::auth::{Kind, machine_command};

pub(super) fn refused(refusal: &TokenRefusal, context: Context, failure: Make) -> Failure {
    let who = match context.kind {
        Kind::ServiceAccount | Kind::User => "Google's token service",
        Kind::ComputeMetadata => "The metadata server",
    };
    match (refusal.http_status, refusal.error.as_str()) {
        (429, _) => failure(
            Class::RetryLater,
            Reason::Quota,
            format!("{who} hands out no more tokens at the moment"),
            "Passes by itself.".into(),
        ),
        (408 | 500..=599, _) => has_a_problem(who, refusal, failure),
        _ if passes(refusal) => has_a_problem(who, refusal, failure),
        (_, "invalid_scope" | "no_access_token") => failure(
            Class::NeedsHuman,
            Reason::Scope,
            format!(
                "Google gives {} no right to spreadsheets: {}",
                context.account,
                refusal.words()
            ),
            scope_lacking(context.kind),
        ),
        _ => match context.kind {
            Kind::ServiceAccount => key_refused(refusal, context.account, failure),
            Kind::User => login_refused(refusal, context.account, failure),
            Kind::ComputeMetadata => machine_refused(refusal, failure),
        },
    }
}

/// Whatever the status is: Google's own library tries again after these, and looks for them in the
/// description, too (G-AUTH-10).
fn passes(refusal: &TokenRefusal) -> bool {
    let words = [
        "internal_failure",
        "server_error",
        "temporarily_unavailable",
    ];
    words.contains(&refusal.error.as_str()) || words.contains(&refusal.description.as_str())
}

fn has_a_problem(who: &str, refusal: &TokenRefusal, failure: Make) -> Failure {
    failure(
        Class::RetryLater,
        Reason::Server,
        format!("{who} has a problem at the moment ({refusal})"),
        "Passes by itself.".into(),
    )
}

/// The token was asked for, and no answer came that says anything about it. `judged` is what it
/// would mean of a request to Sheets.
pub(super) fn without_answer(error: &Error, judged: Failure, failure: Make) -> Failure {
    match error {
        Error::Lost { timed_out: true, .. } => failure(
            Class::RetryLater,
            Reason::Timeout,
            "Google's token service did not answer in time".into(),
            "Passes by itself; if it goes on, look at the network or proxy between the database server and Google.".into(),
        ),
        Error::TooLarge { limit } => failure(
            Class::RetryLater,
            Reason::UnreadableAnswer,
            format!("What came instead of an access token is larger than {limit} bytes"),
            NOT_GOOGLES_ANSWER.into(),
        ),
        Error::Unreadable(message) => failure(
            Class::RetryLater,
            Reason::UnreadableAnswer,
            format!("What came instead of an access token cannot be read: {message}"),
            NOT_GOOGLES_ANSWER.into(),
        ),
        Error::Redirected(to) => failure(
            Class::NeedsHuman,
            Reason::Redirected,
            format!("The token service sends us elsewhere ({to}), where the key must not go"),
            "Check whether a proxy asks for a login, and token_uri in the credential.".into(),
        ),
        _ => judged,
    }
}

const NOT_GOOGLES_ANSWER: &str = "Passes by itself if the answer was cut off. If it goes on, see whether a proxy or firewall answers in the place of Google, and check token_uri in the credential.";

pub(super) fn not_for_spreadsheets(granted: &str, context: Context, failure: Make) -> Failure {
    let account = context.account;
    failure(
        Class::NeedsHuman,
        Reason::Scope,
        match granted.trim() {
            "" => format!("The access token of {account} is for nothing"),
            granted => {
                format!("The access token of {account} is not for spreadsheets, but for {granted}")
            }
        },
        scope_lacking(context.kind),
    )
}

pub(super) fn no_metadata(why: &NoMetadata, failure: Make) -> Failure {
    match why {
        // A machine or pod that has just started may not have its network yet.
        NoMetadata::NotReached(message) => failure(
            Class::RetryLater,
            Reason::NoMetadataServer,
            format!("The metadata server of Google Cloud cannot be reached: {message}"),
            NOT_ON_GOOGLE_CLOUD.into(),
        ),
        NoMetadata::SomebodyElse(message) => failure(
            Class::NeedsHuman,
            Reason::NoMetadataServer,
            format!(
                "Somebody else answers in the place of Google Cloud's metadata server: {message}"
            ),
            NOT_ON_GOOGLE_CLOUD.into(),
        ),
        NoMetadata::NoServiceAccount => failure(
            Class::NeedsHuman,
            Reason::NoServiceAccount,
            "This machine of Google Cloud has no service account".into(),
            format!(
                "Give sheet_sync.set_credential() a service account's JSON key. Or give the machine an account: stop it, run this command, and start it again: {}",
                machine_command()
            ),
        ),
    }
}

const NOT_ON_GOOGLE_CLOUD: &str = "A credential of type compute_metadata is for servers on Google Cloud (Compute Engine, GKE, Cloud Run), where metadata.google.internal leads to the metadata server. Elsewhere give sheet_sync.set_credential() a service account's JSON key. Check sheet_sync.metadata_endpoint if it is set.";

fn key_refused(refusal: &TokenRefusal, account: &str, failure: Make) -> Failure {
    let is_grant = refusal.error == "invalid_grant";
    if let Some(how) = wrong_clock(refusal).filter(|_| is_grant) {
        return failure(
            Class::NeedsHuman,
            Reason::Clock,
            format!("The database server's clock is {how}, so Google refuses its tokens"),
            "Let a time service (NTP) set the clock: timedatectl set-ntp true".into(),
        );
    }
    let (message, hint) = match is_grant {
        true => (
            format!("Google refuses the key of {account}: {}", refusal.words()),
            "The key was probably deleted, or the service account disabled. Create a new JSON key and give it to sheet_sync.set_credential(). Also check the server's clock.",
        ),
        false => (
            format!("Google gives no token to {account}: {refusal}"),
            "Check token_uri in the key, and create a new JSON key if it looks right.",
        ),
    };
    failure(Class::NeedsHuman, Reason::KeyRefused, message, hint.into())
}

/// No clock counts for a refresh token.
fn login_refused(refusal: &TokenRefusal, account: &str, failure: Make) -> Failure {
    let (reason, message, hint) = match refusal.error.as_str() {
        // "reauth": a company may end every login after some hours.
        "invalid_grant"
            if refusal.subtype == "invalid_rapt" || refusal.subtype == "rapt_required" =>
        {
            (
                Reason::LoginEnded,
                format!(
                    "Google wants {account} to log in again: {}",
                    refusal.words()
                ),
                format!(
                    "The organisation ends each login after some hours (Admin console > Security > Google Cloud session control). It does not end the key of a service account, which is better here. {}",
                    log_in_again()
                ),
            )
        }
        "invalid_grant" => (
            Reason::LoginEnded,
            format!(
                "Google does not take the refresh token of {account} any more: {}",
                refusal.words()
            ),
            format!(
                "The user took the access back, or the login expired. A login of an OAuth application whose consent screen is in testing expires after 7 days: publish the application, or make it internal. {}",
                log_in_again()
            ),
        ),
        "invalid_client" | "unauthorized_client" | "deleted_client" | "disabled_client" => (
            Reason::ClientRefused,
            format!(
                "Google does not take the OAuth client in the credential of {account}: {refusal}"
            ),
            format!(
                "See in the Google Cloud console (APIs & Services > Credentials) whether the client is still there and has this client_id and client_secret. If not, make another client. {}",
                log_in_again()
            ),
        ),
        _ => (
            Reason::KeyRefused,
            format!("Google gives no token to {account}: {refusal}"),
            format!(
                "A policy of the organisation may forbid the application: Google's message says so. If it does not, the login may be broken. {}",
                log_in_again()
            ),
        ),
    };
    failure(Class::NeedsHuman, reason, message, hint)
}

fn machine_refused(refusal: &TokenRefusal, failure: Make) -> Failure {
    if refusal.description.contains("scope") {
        return failure(
            Class::NeedsHuman,
            Reason::Scope,
            format!("The metadata server gives no token for spreadsheets: {refusal}"),
            scope_lacking(Kind::ComputeMetadata),
        );
    }
    failure(
        Class::NeedsHuman,
        Reason::NoServiceAccount,
        format!("The metadata server gives no token: {refusal}"),
        "On GKE, the Kubernetes service account must name a service account of Google's (iam.gke.io/gcp-service-account), which must grant it the role roles/iam.workloadIdentityUser. Elsewhere see that the machine's service account exists and is enabled.".into(),
    )
}

/// How the clock is wrong, where that explains why no token is given.
fn wrong_clock(refusal: &TokenRefusal) -> Option<String> {
    // Only what is more than Google tolerates explains a refusal (G-AUTH-4).
    let off = refusal
        .clock_ahead_seconds
        .filter(|ahead| ahead.abs() > 240);
    match off {
        Some(ahead) if ahead > 0 => Some(format!("{ahead} s behind Google's")),
        Some(ahead) => Some(format!("{} s ahead of Google's", ahead.abs())),
        // What we sign is always good for an hour from now on.
        None if refusal.description.contains("reasonable timeframe") => Some("wrong".to_owned()),
        None => None,
    }
}
