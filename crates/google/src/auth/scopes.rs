//! What access tokens are asked for, and the commands of gcloud that give a login or a machine the
//! same. A hint ends with its command, so that it can be copied.

const SPREADSHEETS: &str = "https://www.googleapis.com/auth/spreadsheets";

/// Values and metadata of spreadsheets, and the metadata of their files.
pub const SCOPES: [&str; 2] = [
    SPREADSHEETS,
    "https://www.googleapis.com/auth/drive.metadata.readonly",
];

/// Each is enough to write to spreadsheets: to all, to all files, to those that were opened with
/// the application (G-AUTH-6).
pub(super) const SUFFICIENT: [&str; 3] = [
    SPREADSHEETS,
    "https://www.googleapis.com/auth/drive",
    "https://www.googleapis.com/auth/drive.file",
];

/// What a login is asked for besides. With the first two Google tells whose it is; without the
/// third gcloud refuses to begin.
const OF_EVERY_LOGIN: [&str; 3] = [
    "openid",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/cloud-platform",
];

/// With an OAuth client of one's own: gcloud's may not ask for spreadsheets.
pub fn login_command() -> String {
    let scopes = [&OF_EVERY_LOGIN[..], &SCOPES].concat().join(",");
    format!("gcloud auth application-default login --client-id-file=CLIENT.json --scopes={scopes}")
}

/// The machine must be stopped meanwhile.
pub fn machine_command() -> String {
    format!(
        "gcloud compute instances set-service-account INSTANCE --service-account=ACCOUNT --scopes={}",
        SCOPES.join(",")
    )
}

pub(crate) const QUOTA_PROJECT_COMMAND: &str =
    "gcloud auth application-default set-quota-project PROJECT";
