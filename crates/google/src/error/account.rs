//! What to do about an account, by its kind.

use crate::auth::{Kind, SCOPES};

/// The project that a user's requests count on is the owner of the OAuth client, unless another one
/// is named.
pub(super) const QUOTA_PROJECT: &str = "Requests count on the project quota_project_id of the credential; where it names none, on the project of the OAuth client. The Google Sheets API must be enabled there, and the user needs the role Service Usage Consumer (roles/serviceusage.serviceUsageConsumer) in it. gcloud auth application-default set-quota-project PROJECT writes another one.";

/// An access token was given and Google does not take it.
pub(super) fn access_refused(kind: Kind) -> &'static str {
    match kind {
        Kind::ServiceAccount => {
            "Check that the service account and its key still exist in the Google Cloud console; otherwise give a new key to sheet_sync.set_credential()."
        }
        Kind::User => {
            "The user may have taken the access back (myaccount.google.com > Security > Third-party access), or the account may be suspended. Log in again, and give the new file to sheet_sync.set_credential()."
        }
        Kind::ComputeMetadata => {
            "Check in the Google Cloud console that the service account of the machine still exists and is enabled."
        }
    }
}

/// How to get a token that is good for spreadsheets.
pub(super) fn scope_lacking(kind: Kind) -> String {
    match kind {
        Kind::ServiceAccount => {
            "Give sheet_sync.set_credential() the JSON key of an ordinary service account."
                .to_owned()
        }
        Kind::User => format!(
            "Log in again and allow spreadsheets: {}. {}",
            login(),
            WHAT_THEN
        ),
        Kind::ComputeMetadata => format!(
            "A virtual machine gives tokens for the access scopes that it was made with, and cloud-platform does not stand for spreadsheets: stop it, gcloud compute instances set-service-account INSTANCE --service-account=ACCOUNT --scopes={}, and start it.",
            SCOPES.join(",")
        ),
    }
}

/// gcloud insists on cloud-platform, and may not ask for spreadsheets with its own client; with
/// openid and the address Google tells us whose login it is.
pub(super) fn login() -> String {
    format!(
        "gcloud auth application-default login --client-id-file=CLIENT.json --scopes=openid,https://www.googleapis.com/auth/userinfo.email,https://www.googleapis.com/auth/cloud-platform,{}",
        SCOPES.join(",")
    )
}

pub(super) const WHAT_THEN: &str = "Then give the file that it writes to sheet_sync.set_credential(), or put it in the place of the file of sheet_sync.credentials_file.";
