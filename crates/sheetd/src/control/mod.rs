//! The control endpoints under `/_sheetd/`: seeding, people's edits, faults, options, and what
//! happened.

mod seed;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::change::Change;
use crate::edit::{self, Edit};
use crate::errors::ApiError;
use crate::faults::Fault;
use crate::http::login::{self, Login, LoginState};
use crate::http::machine::Machine;
use crate::http::token;
use crate::model::area::{Axis, Rect};
use crate::model::locale::Locale;
use crate::model::mask::Mask;
use crate::model::render::{Render, Style};
use crate::model::{values, view};
use crate::options::Options;
use crate::server::App;
use crate::store::{Author, Permission};
use crate::undo::Way;

type Shared = State<Arc<App>>;

/// A refusal of the control endpoints: `{"error": "..."}`.
pub struct Refused(StatusCode, String);

type Answer = Result<Response, Refused>;

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    fn missing(what: &str, id: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what} {id}"))
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(StatusCode::from_u16(error.code).unwrap_or(StatusCode::BAD_REQUEST), error.message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, answer(json!({ "error": self.1 }))).into_response()
    }
}

fn answer(body: Json) -> Response {
    ([("content-type", "application/json")], body.to_string() + "\n").into_response()
}

fn ok() -> Answer {
    Ok(answer(json!({ "ok": true })))
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|e| Refused::bad(e.to_string()))
}

pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/_sheetd/health", get(health))
        .route("/_sheetd/reset", post(reset))
        .route("/_sheetd/spreadsheets", get(list).post(seed))
        .route("/_sheetd/spreadsheets/{id}", get(show).delete(remove))
        .route("/_sheetd/spreadsheets/{id}/share", post(share))
        .route("/_sheetd/spreadsheets/{id}/trash", post(trash))
        .route("/_sheetd/spreadsheets/{id}/versions", post(keep_version))
        .route("/_sheetd/spreadsheets/{id}/versions/{version}/restore", post(restore_version))
        .route("/_sheetd/spreadsheets/{id}/sheets/{sheet}/values", get(cells))
        .route("/_sheetd/edit", post(person))
        .route("/_sheetd/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_sheetd/requests", get(requests).delete(forget_requests))
        .route("/_sheetd/options", get(options).post(set_options))
        .route("/_sheetd/accounts", get(accounts).post(add_account))
        .route("/_sheetd/accounts/{email}/key", post(set_key))
        .route("/_sheetd/logins", post(add_login))
        .route("/_sheetd/logins/{email}", post(change_login))
        .route("/_sheetd/machine", post(set_machine).delete(remove_machine))
        .route("/_sheetd/services", get(services).post(set_service))
        .route("/_sheetd/events", get(events))
        // Whole spreadsheets are seeded in one request.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

async fn health(State(app): Shared) -> Answer {
    Ok(answer(json!({ "ok": true, "version": env!("CARGO_PKG_VERSION"), "url": app.url })))
}

async fn reset(State(app): Shared) -> Answer {
    app.store.reset();
    app.plan().clear();
    app.meter().clear();
    app.forget_log();
    ok()
}

async fn list(State(app): Shared) -> Answer {
    let state = app.store.lock();
    let files: Vec<Json> = state
        .files
        .values()
        .map(|file| {
            let sheets = file.book.sheets.iter().enumerate().map(|(i, s)| view::sheet_properties(s, i));
            json!({ "spreadsheetId": file.book.id, "title": file.book.title, "trashed": file.trashed,
                "locale": file.book.locale, "timeZone": file.book.time_zone, "owner": file.owner,
                "permissions": file.permissions, "sheets": sheets.collect::<Vec<_>>() })
        })
        .collect();
    Ok(answer(json!({ "spreadsheets": files })))
}

async fn seed(State(app): Shared, body: Bytes) -> Answer {
    Ok(answer(seed::seed(&app.store, parse(&body)?)?))
}

#[derive(Deserialize)]
struct Shown {
    fields: Option<String>,
}

/// The spreadsheet as its owner gets it from spreadsheets.get.
async fn show(State(app): Shared, Path(id): Path<String>, Query(wanted): Query<Shown>) -> Answer {
    let book = app.store.peek(&id).ok_or_else(|| Refused::missing("spreadsheet", &id))?;
    let mask = match &wanted.fields {
        None => Mask::All,
        Some(text) => Mask::parse(text).ok_or_else(|| Refused::bad(format!("{text} is no field mask")))?,
    };
    let request = view::Request {
        areas: Vec::new(),
        grid_data: view::Request::wants_grid(false, wanted.fields.as_ref().map(|_| &mask)),
        mask: &mask,
        project: &token::project_of(crate::store::PERSON),
        caller: crate::store::PERSON,
    };
    Ok(answer(mask.keep(view::spreadsheet(&book, &request)?)))
}

async fn remove(State(app): Shared, Path(id): Path<String>) -> Answer {
    if app.store.remove(&id) { ok() } else { Err(Refused::missing("spreadsheet", &id)) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    email: Option<String>,
    #[serde(default = "writer")]
    role: String,
    #[serde(default = "yes")]
    shared: bool,
}

fn writer() -> String {
    "writer".to_owned()
}

fn yes() -> bool {
    true
}

async fn share(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    let wanted: Share = parse(&body)?;
    let email = wanted.email.unwrap_or_else(|| token::DEFAULT_ACCOUNT.to_owned());
    if !["reader", "commenter", "writer", "owner"].contains(&wanted.role.as_str()) {
        return Err(Refused::bad(format!("there is no role {:?}", wanted.role)));
    }
    let done = app.store.with_file(&id, |file, _| {
        file.permissions.retain(|p| p.email.as_deref() != Some(&email));
        if wanted.shared {
            file.permissions.push(Permission::user(&email, &wanted.role));
        }
    });
    done.ok_or_else(|| Refused::missing("spreadsheet", &id))?;
    ok()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trash {
    #[serde(default = "yes")]
    trashed: bool,
}

async fn trash(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    let wanted: Trash = parse(&body)?;
    let done = app.store.with_file(&id, |file, now| (file.trashed, file.modified) = (wanted.trashed, now));
    done.ok_or_else(|| Refused::missing("spreadsheet", &id))?;
    ok()
}

async fn keep_version(State(app): Shared, Path(id): Path<String>) -> Answer {
    let version = app.store.keep_version(&id).ok_or_else(|| Refused::missing("spreadsheet", &id))?;
    Ok(answer(json!({ "version": version })))
}

async fn restore_version(State(app): Shared, Path((id, version)): Path<(String, usize)>) -> Answer {
    app.store.restore_version(&id, version)?;
    ok()
}

#[derive(Deserialize)]
struct Window {
    start: Option<u32>,
    end: Option<u32>,
}

/// Formatted and typed values, formulas, notes, checkboxes; of all rows or of those from `start` up
/// to `end` (from 0).
async fn cells(State(app): Shared, Path((id, sheet)): Path<(String, String)>, Query(window): Query<Window>) -> Answer {
    let book = app.store.peek(&id).ok_or_else(|| Refused::missing("spreadsheet", &id))?;
    let tab = edit::tab(&book, Some(&Json::from(sheet)))?;
    let grid = book.grid(tab)?;
    let (used_rows, used_columns) = grid.used();
    let rect = Rect {
        r0: window.start.unwrap_or(0).min(used_rows),
        r1: window.end.unwrap_or(used_rows).min(used_rows),
        c0: 0,
        c1: used_columns,
    };
    let locale = Locale::of(&book.locale);
    let read = |render| values::read(grid, &rect, Axis::Rows, Style { render, locale, ..Style::default() });
    let mut notes = Vec::new();
    let mut checkboxes = Vec::new();
    // Notes and checkboxes may lie below the last value.
    let below = window.end.unwrap_or(used_rows).min(grid.row_count());
    for r in window.start.unwrap_or(0)..below {
        for (c, cell) in grid.row(r).map(|row| &row.cells[..]).unwrap_or_default().iter().enumerate() {
            if let Some(note) = cell.note() {
                notes.push(json!({ "row": r, "column": c, "note": note }));
            }
            if cell.is_checkbox() {
                checkboxes.push(json!({ "row": r, "column": c }));
            }
        }
    }
    Ok(answer(json!({
        "spreadsheetId": id, "sheetId": tab, "title": grid.title, "rowCount": grid.row_count(), "columnCount": grid.column_count(),
        "usedRows": used_rows, "usedColumns": used_columns, "startRow": rect.r0, "notes": notes, "checkboxes": checkboxes,
        "formatted": crate::store::json(&read(Render::Formatted)),
        "unformatted": crate::store::json(&read(Render::Unformatted)),
        "formulas": crate::store::json(&read(Render::Formula)),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    #[serde(rename = "spreadsheetId")]
    spreadsheet_id: String,
    #[serde(default)]
    sheet: Option<Json>,
    #[serde(default)]
    editor: Option<String>,
    edit: Json,
}

async fn person(State(app): Shared, body: Bytes) -> Answer {
    let wanted: Person = parse(&body)?;
    if app.store.peek(&wanted.spreadsheet_id).is_none() {
        return Err(Refused::missing("spreadsheet", &wanted.spreadsheet_id));
    }
    let way = [("undo", Way::Undo), ("redo", Way::Redo)].into_iter().find(|(name, _)| wanted.edit.get(name).is_some());
    if let (Some((_, way)), Some(editor)) = (way, &wanted.editor) {
        let taken = app.store.take_back(&wanted.spreadsheet_id, editor, way)?;
        return Ok(answer(json!({ "ok": true, "changes": taken.touched, "kept": taken.kept })));
    }
    if wanted.edit.get("undo").is_some() {
        app.store.undo(&wanted.spreadsheet_id)?;
        return ok();
    }
    let action = serde_json::from_value(wanted.edit).map_err(|e| Refused::bad(e.to_string()))?;
    let edit = Edit { sheet: wanted.sheet, edit: action };
    app.store.change(&wanted.spreadsheet_id, Author::person(wanted.editor.as_deref()), |_| Ok(Change::Edit(edit)))?;
    ok()
}

async fn faults(State(app): Shared) -> Answer {
    Ok(answer(json!({ "faults": app.plan().list() })))
}

async fn add_fault(State(app): Shared, body: Bytes) -> Answer {
    let fault: Fault = parse(&body)?;
    app.plan().add(fault);
    ok()
}

async fn clear_faults(State(app): Shared) -> Answer {
    app.plan().clear();
    ok()
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn requests(State(app): Shared, Query(since): Query<Since>) -> Answer {
    Ok(answer(json!({ "requests": app.logged(since.since) })))
}

async fn forget_requests(State(app): Shared) -> Answer {
    app.forget_log();
    ok()
}

async fn options(State(app): Shared) -> Answer {
    Ok(answer(crate::store::json(&app.store.options())))
}

/// Members that are not given stay.
async fn set_options(State(app): Shared, body: Bytes) -> Answer {
    let given: serde_json::Map<String, Json> = parse(&body)?;
    let mut merged = crate::store::json(&app.store.options());
    for (name, value) in given {
        merged[name] = value;
    }
    let options: Options = serde_json::from_value(merged.clone()).map_err(|e| Refused::bad(e.to_string()))?;
    app.store.lock().options = options;
    Ok(answer(merged))
}

async fn accounts(State(app): Shared) -> Answer {
    let state = app.store.lock();
    let accounts: Vec<Json> =
        state.accounts.iter().map(|(email, a)| json!({ "email": email, "keyRevoked": a.key_revoked })).collect();
    Ok(answer(json!({ "accounts": accounts })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    email: String,
}

/// Makes another service account and gives its key file.
async fn add_account(State(app): Shared, body: Bytes) -> Answer {
    let wanted: NewAccount = parse(&body)?;
    if !wanted.email.contains('@') {
        return Err(Refused::bad("email must be an address such as name@project.iam.gserviceaccount.com"));
    }
    app.store.set(|state| _ = state.accounts.entry(wanted.email.clone()).or_default());
    Ok(answer(token::key_file(&wanted.email, &app.url)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    revoked: bool,
}

async fn set_key(State(app): Shared, Path(email): Path<String>, body: Bytes) -> Answer {
    let wanted: Key = parse(&body)?;
    let known = app.store.set(|state| state.accounts.get_mut(&email).map(|a| a.key_revoked = wanted.revoked));
    known.ok_or_else(|| Refused::missing("account", &email))?;
    ok()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLogin {
    email: String,
    #[serde(default = "all_that_is_needed")]
    scopes: Vec<String>,
}

fn all_that_is_needed() -> Vec<String> {
    let of_apis = ["spreadsheets", "drive.metadata.readonly", "userinfo.email", "cloud-platform"];
    let of_apis = of_apis.map(|name| format!("https://www.googleapis.com/auth/{name}"));
    of_apis.into_iter().chain(["openid".to_owned()]).collect()
}

/// A person logs in, and gets the file that gcloud writes.
async fn add_login(State(app): Shared, body: Bytes) -> Answer {
    let wanted: NewLogin = parse(&body)?;
    if !wanted.email.contains('@') {
        return Err(Refused::bad("email must be an address such as name@example.com"));
    }
    let login = Login { scopes: wanted.scopes, state: LoginState::Good, seconds_left: None };
    app.store.set(|state| _ = state.logins.insert(wanted.email.clone(), login));
    Ok(answer(login::credential_file(&wanted.email, &app.url)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginChange {
    scopes: Option<Vec<String>>,
    state: Option<LoginState>,
    seconds_left: Option<u64>,
}

/// Members that are not given stay.
async fn change_login(State(app): Shared, Path(email): Path<String>, body: Bytes) -> Answer {
    let wanted: LoginChange = parse(&body)?;
    let known = app.store.set(|state| {
        let login = state.logins.get_mut(&email)?;
        login.scopes = wanted.scopes.unwrap_or_else(|| login.scopes.clone());
        login.state = wanted.state.unwrap_or(login.state);
        login.seconds_left = wanted.seconds_left.or(login.seconds_left);
        Some(())
    });
    known.ok_or_else(|| Refused::missing("login of", &email))?;
    ok()
}

async fn set_machine(State(app): Shared, body: Bytes) -> Answer {
    let machine: Machine = parse(&body)?;
    app.store.set(|state| state.machine = Some(machine));
    ok()
}

async fn remove_machine(State(app): Shared) -> Answer {
    app.store.set(|state| state.machine = None);
    ok()
}

async fn services(State(app): Shared) -> Answer {
    Ok(answer(json!({ "disabled": app.store.lock().disabled_services })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceSwitch {
    service: String,
    enabled: bool,
}

async fn set_service(State(app): Shared, body: Bytes) -> Answer {
    let wanted: ServiceSwitch = parse(&body)?;
    let host = match wanted.service.as_str() {
        "sheets" | "sheets.googleapis.com" => "sheets.googleapis.com",
        "drive" | "drive.googleapis.com" => "drive.googleapis.com",
        other => {
            return Err(Refused::bad(format!("there is no service {other:?}; there are sheets and drive")));
        }
    };
    app.store.set(|state| match wanted.enabled {
        true => state.disabled_services.remove(host),
        false => state.disabled_services.insert(host.to_owned()),
    });
    ok()
}

/// Every change as it happens; a watcher that is too slow is told how many it missed.
async fn events(State(app): Shared) -> Response {
    use tokio::sync::broadcast::error::RecvError;
    let receiver = app.store.watch();
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let event = match receiver.recv().await {
            Ok(event) => SseEvent::default().event("change").data(crate::store::json(&event).to_string()),
            Err(RecvError::Lagged(missed)) => SseEvent::default().event("missed").data(missed.to_string()),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok::<_, std::convert::Infallible>(event), receiver))
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}
