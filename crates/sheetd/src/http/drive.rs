//! The part of Drive that spreadsheets need: files and permissions, in Drive's own envelope
//! (G-DRIVE, G-ERRORS-1).

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value as Json, json};

use super::answer::{Answer, print};
use super::call::Call;
use crate::errors::ApiError;
use crate::model::mask::Mask;
use crate::model::workbook::Workbook;
use crate::store::{File, Permission, Store};

const SPREADSHEET: &str = "application/vnd.google-apps.spreadsheet";

/// A refusal in Drive's legacy envelope.
pub struct DriveError {
    code: u16,
    reason: &'static str,
    message: String,
    location: Option<(&'static str, &'static str)>,
    status: Option<&'static str>,
}

type DriveResult = Result<Answer, DriveError>;

impl DriveError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), location: None, status: None }
    }

    fn no_file(id: &str) -> Self {
        let mut error = Self::new(404, "notFound", format!("File not found: {id}."));
        error.location = Some(("parameter", "fileId"));
        error
    }

    fn no_permission(id: &str) -> Self {
        let mut error = Self::new(404, "notFound", format!("Permission not found: {id}."));
        error.location = Some(("parameter", "permissionId"));
        error
    }

    fn may_not() -> Self {
        Self::new(403, "insufficientFilePermissions", "The user does not have sufficient permissions for this file.")
    }

    fn bad_field(name: &str) -> Self {
        let mut error = Self::new(400, "invalidParameter", format!("Invalid field selection {name}"));
        error.location = Some(("parameter", "fields"));
        error
    }

    fn bad_query() -> Self {
        let mut error = Self::new(400, "invalid", "Invalid Value");
        error.location = Some(("parameter", "q"));
        error
    }

    pub fn required_parameter(name: &'static str) -> Self {
        let mut error = Self::new(400, "required", format!("Required parameter: {name}"));
        error.location = Some(("parameter", name));
        error
    }

    pub fn unsupported_conversion() -> Self {
        let mut error = Self::new(400, "badRequest", "The requested conversion is not supported.");
        error.location = Some(("parameter", "convertTo"));
        error
    }

    fn unsupported(what: &str) -> Self {
        Self::new(400, "badRequest", format!("{what} is not modelled by this server."))
    }

    pub fn answer(&self) -> Answer {
        let mut item = json!({ "domain": "global", "reason": self.reason, "message": self.message });
        if let Some((kind, location)) = self.location {
            item["locationType"] = kind.into();
            item["location"] = location.into();
        }
        let mut error = json!({ "errors": [item], "code": self.code, "message": self.message });
        if let Some(status) = self.status {
            error["status"] = status.into();
        }
        let body = print(&json!({ "error": error }), true);
        Answer { status: self.code, content_type: "application/json; charset=UTF-8", body }
    }
}

/// A refusal that both APIs share (credentials, quota, injected faults), in Drive's envelope.
impl From<ApiError> for DriveError {
    fn from(error: ApiError) -> Self {
        let reason = match error.code {
            401 => "authError",
            403 if error.message.starts_with("Request had insufficient") => "insufficientPermissions",
            403 => "forbidden",
            404 => "notFound",
            429 => "rateLimitExceeded",
            500.. => "backendError",
            _ => "badRequest",
        };
        Self { code: error.code, reason, message: error.message, location: None, status: Some(error.status) }
    }
}

pub fn handle(store: &Store, call: &Call) -> DriveResult {
    match call.route.method.name {
        "files.create" => create(store, call),
        "files.get" => get(store, call),
        "files.list" => list(store, call),
        "files.update" => update(store, call),
        "files.delete" => delete(store, call),
        "files.copy" => copy(store, call),
        "files.export" => super::export::export(store, call),
        // Comments are not kept, so there are none; clients ask for them when they copy a file.
        "comments.list" => {
            visible(store, call)?;
            shown(call, json!({ "kind": "drive#commentList", "comments": [] }), None)
        }
        "about.get" => shown(call, json!({ "kind": "drive#about", "user": user(&call.caller) }), None),
        _ => permissions(store, call),
    }
}

fn user(email: &str) -> Json {
    json!({ "kind": "drive#user", "displayName": email.split('@').next(), "me": true,
        "permissionId": Permission::user(email, "").id, "emailAddress": email })
}

pub fn visible(store: &Store, call: &Call) -> Result<File, DriveError> {
    store.file(&call.route.id, &call.caller).ok_or_else(|| DriveError::no_file(&call.route.id))
}

fn create(store: &Store, call: &Call) -> DriveResult {
    let kind = call.body.get("mimeType").and_then(Json::as_str).unwrap_or_default();
    if kind != SPREADSHEET {
        return Err(DriveError::unsupported(&format!("A file of type {kind:?}")));
    }
    let name = call.body.get("name").and_then(Json::as_str).unwrap_or("Untitled");
    let file = File::new(Workbook::new(store.random_id(), name), &call.caller, Utc::now());
    store.add(file.clone(), "api");
    shown(call, whole(&file, &call.caller), Some("kind,id,name,mimeType"))
}

fn get(store: &Store, call: &Call) -> DriveResult {
    let file = visible(store, call)?;
    shown(call, whole(&file, &call.caller), Some("kind,id,name,mimeType"))
}

fn update(store: &Store, call: &Call) -> DriveResult {
    let file = visible(store, call)?;
    if !matches!(file.role(&call.caller), Some("writer" | "owner")) {
        return Err(DriveError::may_not());
    }
    let file = store.with_file(&call.route.id, |file, now| {
        if let Some(name) = call.body.get("name").and_then(Json::as_str) {
            std::sync::Arc::make_mut(&mut file.book).title = name.to_owned();
        }
        if let Some(trashed) = call.body.get("trashed").and_then(Json::as_bool) {
            file.trashed = trashed;
        }
        (file.modified, file.version) = (now, file.version + 1);
        file.clone()
    });
    let file = file.ok_or_else(|| DriveError::no_file(&call.route.id))?;
    shown(call, whole(&file, &call.caller), Some("kind,id,name,mimeType"))
}

fn delete(store: &Store, call: &Call) -> DriveResult {
    if visible(store, call)?.owner != call.caller {
        return Err(DriveError::may_not());
    }
    store.remove(&call.route.id);
    Ok(Answer::empty(204))
}

/// Metadata keeps its ids in a copy (G-META-12).
fn copy(store: &Store, call: &Call) -> DriveResult {
    let source = visible(store, call)?;
    let mut book = (*source.book).clone();
    book.title = match call.body.get("name").and_then(Json::as_str) {
        Some(name) => name.to_owned(),
        None => format!("Copy of {}", book.title),
    };
    book.id = store.random_id();
    let file = File::new(book, &call.caller, Utc::now());
    store.add(file.clone(), "api");
    shown(call, whole(&file, &call.caller), Some("kind,id,name,mimeType"))
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn whole(file: &File, caller: &str) -> Json {
    let id = &file.book.id;
    let writes = matches!(file.role(caller), Some("writer" | "owner"));
    json!({
        "kind": "drive#file", "id": id, "name": file.book.title, "mimeType": SPREADSHEET,
        "trashed": file.trashed, "starred": false, "version": file.version.to_string(),
        "createdTime": time(file.created), "modifiedTime": time(file.modified),
        "webViewLink": format!("https://docs.google.com/spreadsheets/d/{id}/edit?usp=drivesdk"),
        "iconLink": "https://drive-thirdparty.googleusercontent.com/16/type/application/vnd.google-apps.spreadsheet",
        "owners": [{ "kind": "drive#user", "displayName": file.owner.split('@').next(), "me": file.owner == caller,
            "permissionId": Permission::user(&file.owner, "").id, "emailAddress": file.owner }],
        "ownedByMe": file.owner == caller, "shared": file.permissions.len() > 1,
        "permissions": file.permissions.iter().map(permission).collect::<Vec<_>>(),
        "permissionIds": file.permissions.iter().map(|p| p.id.clone()).collect::<Vec<_>>(),
        "capabilities": { "canEdit": writes, "canShare": writes, "canDelete": file.owner == caller },
        "parents": ["root"]
    })
}

/// The members asked for, or the few that come unasked.
fn shown(call: &Call, body: Json, unasked: Option<&str>) -> DriveResult {
    let asked = call.query.iter().find(|(n, _)| n == "fields").map(|(_, v)| v.as_str());
    let body = match asked.or(unasked) {
        None | Some("*") => body,
        Some(text) if text.trim().is_empty() => json!({}),
        Some(text) => {
            let mask = Mask::parse(text).ok_or_else(|| DriveError::bad_field(text))?;
            if let (Some(_), Mask::Members(members)) = (asked, &mask) {
                let known = |n: &str| n == "*" || body.get(n).is_some() || OTHER_FIELDS.contains(&n);
                if let Some((name, _)) = members.iter().find(|(n, _)| !known(n)) {
                    return Err(DriveError::bad_field(name));
                }
            }
            mask.keep(body)
        }
    };
    Ok(Answer::json(&body, call.pretty))
}

/// Documented fields without a value here; asking for one is no error (G-STANDIN-16).
const OTHER_FIELDS: &[&str] = &[
    "nextPageToken",
    "comments",
    "incompleteSearch",
    "files",
    "kind",
    "description",
    "properties",
    "appProperties",
    "spaces",
    "driveId",
    "webContentLink",
    "thumbnailLink",
    "viewedByMe",
    "viewedByMeTime",
    "modifiedByMe",
    "modifiedByMeTime",
    "sharedWithMeTime",
    "sharingUser",
    "lastModifyingUser",
    "size",
    "quotaBytesUsed",
    "headRevisionId",
    "md5Checksum",
    "originalFilename",
    "fullFileExtension",
    "fileExtension",
    "folderColorRgb",
    "explicitlyTrashed",
    "trashedTime",
    "trashingUser",
    "isAppAuthorized",
    "hasThumbnail",
    "thumbnailVersion",
    "viewersCanCopyContent",
    "writersCanShare",
    "copyRequiresWriterPermission",
    "exportLinks",
    "shortcutDetails",
    "contentHints",
    "linkShareMetadata",
    "resourceKey",
    "teamDriveId",
    "hasAugmentedPermissions",
    "storageQuota",
    "user",
    "permissions",
    "emailAddress",
    "displayName",
    "role",
    "type",
    "id",
];

fn list(store: &Store, call: &Call) -> DriveResult {
    let q = call.query.iter().find(|(n, _)| n == "q").map_or("", |(_, v)| v.as_str());
    let search = super::search::Search::parse(q).ok_or_else(DriveError::bad_query)?;
    let mut files: Vec<File> = store.files(&call.caller).into_iter().filter(|f| search.matches(f)).collect();
    files.sort_by_key(|f| std::cmp::Reverse(f.modified));
    let size = call
        .query
        .iter()
        .find(|(n, _)| n == "pageSize")
        .and_then(|(_, v)| v.parse().ok())
        .unwrap_or(100)
        .clamp(1, 1000);
    let offset: usize =
        call.query.iter().find(|(n, _)| n == "pageToken").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    let page: Vec<Json> = files.iter().skip(offset).take(size).map(|f| whole(f, &call.caller)).collect();
    let mut out = Map::new();
    if offset + page.len() < files.len() {
        out.insert("nextPageToken".to_owned(), (offset + page.len()).to_string().into());
    }
    out.insert("kind".to_owned(), "drive#fileList".into());
    out.insert("incompleteSearch".to_owned(), false.into());
    out.insert("files".to_owned(), page.into());
    shown(call, Json::Object(out), Some("nextPageToken,kind,incompleteSearch,files(kind,id,name,mimeType)"))
}

fn permission(p: &Permission) -> Json {
    let mut out = json!({ "kind": "drive#permission", "id": p.id, "type": p.kind, "role": p.role });
    if let Some(email) = &p.email {
        out["emailAddress"] = email.clone().into();
        out["displayName"] = email.split('@').next().into();
    }
    out
}

const PERMISSION_UNASKED: Option<&str> = Some("kind,id,type,role");

fn permissions(store: &Store, call: &Call) -> DriveResult {
    let file = visible(store, call)?;
    let wanted = &call.route.rest;
    let find = |file: &File| file.permissions.iter().find(|p| p.id == *wanted).cloned();
    let missing = || DriveError::no_permission(wanted);
    match call.route.method.name {
        "permissions.list" => {
            let body = json!({ "kind": "drive#permissionList", "permissions": file.permissions.iter().map(permission).collect::<Vec<_>>() });
            return shown(call, body, Some("kind,permissions(kind,id,type,role)"));
        }
        "permissions.get" => {
            return shown(call, permission(&find(&file).ok_or_else(missing)?), PERMISSION_UNASKED);
        }
        _ => {}
    }
    if !matches!(file.role(&call.caller), Some("writer" | "owner")) {
        return Err(DriveError::may_not());
    }
    let text = |name: &str| call.body.get(name).and_then(Json::as_str).map(str::to_owned);
    match call.route.method.name {
        "permissions.create" => {
            let role = text("role").unwrap_or_else(|| "reader".to_owned());
            let new = match (text("type").as_deref(), text("emailAddress")) {
                (Some("user" | "group"), Some(email)) => Permission::user(&email, &role),
                (Some("anyone"), _) => {
                    Permission { id: "anyoneWithLink".to_owned(), kind: "anyone".to_owned(), role, email: None }
                }
                _ => return Err(DriveError::unsupported("This kind of permission")),
            };
            store.with_file(&call.route.id, |file, _| {
                file.permissions.retain(|p| p.id != new.id);
                file.permissions.push(new.clone());
            });
            shown(call, permission(&new), PERMISSION_UNASKED)
        }
        "permissions.update" => {
            let mut changed = find(&file).ok_or_else(missing)?;
            changed.role = text("role").unwrap_or(changed.role);
            store.with_file(&call.route.id, |file, _| {
                file.permissions
                    .iter_mut()
                    .filter(|p| p.id == changed.id)
                    .for_each(|p| p.role.clone_from(&changed.role));
            });
            shown(call, permission(&changed), PERMISSION_UNASKED)
        }
        _ => {
            find(&file).ok_or_else(missing)?;
            store.with_file(&call.route.id, |file, _| file.permissions.retain(|p| p.id != *wanted));
            Ok(Answer::empty(204))
        }
    }
}
