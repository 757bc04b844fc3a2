//! What to do about an account, by its kind.

use crate::auth::{Kind, QUOTA_PROJECT_COMMAND, login_command, machine_command};

/// The project on which requests count cannot be used.
pub(super) fn quota_project(kind: Kind) -> String {
    match kind {
        Kind::User => format!(
            "Requests count on the project that quota_project_id of the credential names, and where it names none, on the project of the OAuth client. The Google Sheets API must be enabled there, and the user needs the role Service Usage Consumer (roles/serviceusage.serviceUsageConsumer) in it. For another project run this command, and {GIVE_THE_FILE}: {QUOTA_PROJECT_COMMAND}"
        ),
        Kind::ServiceAccount | Kind::ComputeMetadata => {
            "Requests count on the project of the service account. See in the Google Cloud console that the project is still there, and that the Google Sheets API is enabled in it; otherwise use a service account of another project.".to_owned()
        }
    }
}

/// An access token was given and Google does not take it.
pub(super) fn access_refused(kind: Kind) -> String {
    match kind {
        Kind::ServiceAccount => {
            "Check that the service account and its key still exist in the Google Cloud console; otherwise give a new key to sheet_sync.set_credential().".to_owned()
        }
        Kind::User => format!(
            "The user may have taken the access back (myaccount.google.com > Security > Third-party access), or the account may be suspended. {}",
            log_in_again()
        ),
        Kind::ComputeMetadata => {
            "Check in the Google Cloud console that the service account of the machine still exists and is enabled.".to_owned()
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
            "Google asks at the login what is allowed, and spreadsheets must be allowed there. {}",
            log_in_again()
        ),
        Kind::ComputeMetadata => format!(
            "A virtual machine may give tokens only for the access scopes that it was made with, and cloud-platform does not stand for spreadsheets. Stop the machine, run this command, and start the machine again: {}",
            machine_command()
        ),
    }
}

/// Ends with the command.
pub(super) fn log_in_again() -> String {
    format!(
        "Log in again with this command, and {GIVE_THE_FILE}: {}",
        login_command()
    )
}

const GIVE_THE_FILE: &str = "give the file that it writes to sheet_sync.set_credential(), or put it in the place of the file of sheet_sync.credentials_file";
