//! What happens to a request of Google's APIs from its first byte to its last, faults included.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::response::Response;
use chrono::Utc;
use serde::Serialize;
use serde_json::Value as Json;

use super::answer::Answer;
use super::call::{self, Call};
use super::machine::{self, Machine};
use super::route::{self, Route, Service};
use super::token::{self, Bearer};
use super::{data_filters, drive, metadata, spreadsheets, values};
use crate::edit::Edit;
use crate::errors::{ApiError, ApiResult};
use crate::faults::{self, Action, Damage, When};
use crate::options::ErrorText;
use crate::server::App;
use crate::store::Author;

/// Google's front end takes no more (G-LIMITS-4).
pub const MAX_BODY: usize = 10_485_760;

/// A request, read whole.
pub struct Incoming {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: Option<String>,
    pub quota_project: Option<String>,
    pub metadata_flavor: Option<String>,
    /// By a proxy.
    pub is_forwarded: bool,
    pub body: Bytes,
    pub too_large: bool,
}

/// One line of the request log.
#[derive(Debug, Clone, Serialize)]
pub struct Logged {
    pub n: u64,
    pub kind: String,
    pub method: String,
    pub path: String,
    /// Of `x-goog-user-project`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_project: Option<String>,
    /// 0 where the connection was closed without an answer.
    pub status: u16,
    pub request_bytes: usize,
    pub response_bytes: usize,
    /// Cells that the request carried to be written.
    pub cells: usize,
    /// Requests in the batch.
    pub requests: usize,
    pub faulted: bool,
}

/// Marks a response whose connection is to be closed, or reset, without a byte.
#[derive(Clone, Copy)]
pub enum Dropped {
    Closed,
    Reset,
}

/// What the client gets to see.
enum Reply {
    Whole(Answer),
    Cut(Answer),
    Nothing(Dropped),
}

/// Where a request goes.
enum Door {
    Token,
    Metadata(Machine),
    /// `None` is a path without a method.
    Api(Option<Route>),
}

impl Door {
    fn of(app: &App, incoming: &Incoming) -> Self {
        if incoming.method == "POST" && incoming.path == "/token" {
            return Self::Token;
        }
        match app.store.lock().machine.clone().filter(|_| machine::is_asked(&incoming.path)) {
            Some(machine) => Self::Metadata(machine),
            None => Self::Api(route::route(&incoming.method, &incoming.path)),
        }
    }

    fn route(&self) -> Option<&Route> {
        match self {
            Self::Api(route) => route.as_ref(),
            Self::Token | Self::Metadata(_) => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Metadata(_) => "metadata",
            Self::Api(route) => route.as_ref().map_or("", |route| route.method.name),
        }
    }
}

pub async fn serve(app: &App, incoming: Incoming) -> Response {
    let door = Door::of(app, &incoming);
    let kind = door.kind();
    let due = app.plan().take(kind, &incoming.method, &incoming.path);
    let faulted = !due.is_empty();
    let body = match door {
        Door::Api(_) => call::parse(&incoming.body),
        Door::Token | Door::Metadata(_) => Ok(Json::Null),
    };
    let (cells, requests) = body.as_ref().map_or((0, 0), weigh);
    let reply = with_faults(app, &incoming, body, &door, due).await;
    let (status, bytes) = match &reply {
        Reply::Whole(answer) | Reply::Cut(answer) => (answer.status, answer.body.len()),
        Reply::Nothing(_) => (0, 0),
    };
    app.log(Logged {
        n: 0,
        kind: kind.to_owned(),
        method: incoming.method.clone(),
        path: incoming.path.clone(),
        quota_project: incoming.quota_project.clone(),
        status,
        request_bytes: incoming.body.len(),
        response_bytes: bytes,
        cells,
        requests,
        faulted,
    });
    response(reply, &door)
}

async fn with_faults(app: &App, incoming: &Incoming, body: ApiResult<Json>, door: &Door, due: Vec<Action>) -> Reply {
    let route = door.route();
    let latency = app.store.options().latency_ms + due.iter().filter_map(|a| a.delay_ms).sum::<u64>();
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let service = route.map_or(Service::Sheets, |r| r.method.service);
    for action in &due {
        if let Some(edit) = &action.edit_before {
            person(app, route, action, edit);
        }
        if let Some(status) = action.status {
            let mut error = ApiError::injected(status);
            if let Some(message) = &action.message {
                error.message.clone_from(message);
            }
            return Reply::Whole(match door {
                Door::Metadata(_) => machine::refused(status, &error.message),
                Door::Token | Door::Api(_) => refused(incoming, service, error),
            });
        }
        if let Some(dropped) = silent(action, When::BeforeApply).await {
            return Reply::Nothing(dropped);
        }
    }
    let now = Utc::now().timestamp();
    let mut answer = match door {
        Door::Token => token::exchange(&incoming.body, &app.url, &app.store.lock(), now, app.store.seed()),
        Door::Metadata(machine) => machine::answer(machine, incoming, now, app.store.seed()),
        Door::Api(route) => dispatch(app, incoming, body, route.as_ref()),
    };
    let mut cut = false;
    for action in &due {
        if let Some(edit) = &action.edit {
            person(app, route, action, edit);
        }
        if let Some(dropped) = silent(action, When::AfterApply).await {
            return Reply::Nothing(dropped);
        }
        if action.partial && answer.status == 200 {
            answer.body = faults::partial(&answer.body);
        }
        match action.body {
            Some(Damage::Cut) => cut = true,
            Some(Damage::Garbled) => {
                let half = answer.body.len() / 2;
                answer.body[half..].fill(b'#');
            }
            None => {}
        }
    }
    if cut { Reply::Cut(answer) } else { Reply::Whole(answer) }
}

async fn silent(action: &Action, when: When) -> Option<Dropped> {
    if action.timeout == Some(when) {
        tokio::time::sleep(Duration::from_millis(action.ms.unwrap_or(60_000))).await;
    }
    let closed = [action.drop, action.timeout].contains(&Some(when)).then_some(Dropped::Closed);
    if action.reset == Some(when) { Some(Dropped::Reset) } else { closed }
}

/// A fault's edit; one that cannot be done is told on stderr, since nobody waits for its answer.
fn person(app: &App, route: Option<&Route>, action: &Action, edit: &crate::edit::Action) {
    let of_request = route.filter(|r| r.method.service == Service::Sheets).map(|r| r.id.clone());
    let Some(id) = action.spreadsheet_id.clone().or(of_request) else {
        eprintln!("sheetd: the fault's edit names no spreadsheet");
        return;
    };
    let edit = Edit { sheet: action.sheet.clone(), edit: edit.clone() };
    if let Err(error) = app.store.change(&id, Author::person(None), |_| Ok(crate::change::Change::Edit(edit))) {
        eprintln!("sheetd: the fault's edit failed: {}", error.message);
    }
}

/// Cells and requests that a body carries.
fn weigh(body: &Json) -> (usize, usize) {
    let requests = body.get("requests").and_then(Json::as_array).map_or(0, Vec::len);
    (count_cells(body), requests)
}

fn count_cells(json: &Json) -> usize {
    let leaf = |v: &Json| match v {
        Json::Array(cells) => cells.iter().filter(|c| !c.is_null()).count(),
        Json::Null => 0,
        _ => 1,
    };
    match json {
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Json::Array(rows) if name == "values" => rows.iter().map(leaf).sum(),
                other => count_cells(other),
            })
            .sum(),
        Json::Array(items) => items.iter().map(count_cells).sum(),
        _ => 0,
    }
}

fn refused(incoming: &Incoming, service: Service, error: ApiError) -> Answer {
    let first_format = incoming.query.contains("$.xgafv=1") || incoming.query.contains("%24.xgafv=1");
    match service {
        Service::Sheets => Answer::sheets_error(&error, first_format),
        Service::Drive => drive::DriveError::from(error).answer(),
    }
}

/// The checks come in Google's order (G-STANDIN-7).
fn dispatch(app: &App, incoming: &Incoming, body: ApiResult<Json>, route: Option<&Route>) -> Answer {
    let Some(route) = route else {
        return Answer::no_route(if incoming.path.starts_with("/drive/") { 404 } else { 400 });
    };
    let service = route.method.service;
    let called = prepare(app, incoming, body, route).map_err(|e| refused(incoming, service, e));
    let mut call = match called {
        Ok(call) => call,
        Err(answer) => return answer,
    };
    match service {
        Service::Drive => drive::handle(&app.store, &call).unwrap_or_else(|e| e.answer()),
        Service::Sheets => sheets(app, &mut call).unwrap_or_else(|e| refused(incoming, service, e)),
    }
}

fn sheets(app: &App, call: &mut Call) -> ApiResult<Answer> {
    let store = &app.store;
    match call.route.method.name {
        "spreadsheets.create" => spreadsheets::create(store, call),
        "spreadsheets.get" => spreadsheets::get(store, call),
        "spreadsheets.getByDataFilter" => spreadsheets::get_by_data_filter(store, call),
        "spreadsheets.batchUpdate" => spreadsheets::batch_update(store, call),
        "sheets.copyTo" => spreadsheets::copy_to(store, call),
        "developerMetadata.get" => metadata::get(store, call),
        "developerMetadata.search" => metadata::search(store, call),
        "values.get" => values::get(store, call),
        "values.update" => values::update(store, call),
        "values.append" => values::append(store, call),
        "values.clear" => values::clear(store, call),
        "values.batchGet" => values::batch_get(store, call),
        "values.batchUpdate" => values::batch_update(store, call),
        "values.batchClear" => values::batch_clear(store, call),
        "values.batchGetByDataFilter" => data_filters::batch_get(store, call),
        "values.batchUpdateByDataFilter" => data_filters::batch_update(store, call),
        "values.batchClearByDataFilter" => data_filters::batch_clear(store, call),
        other => unreachable!("{other} is routed but has no handler"),
    }
}

fn prepare(app: &App, incoming: &Incoming, body: ApiResult<Json>, route: &Route) -> ApiResult<Call> {
    if incoming.too_large {
        return Err(ApiError::invalid(format!("Request payload size exceeds the limit: {MAX_BODY} bytes.")));
    }
    let query = route::query(&incoming.query);
    check_system(&query)?;
    let bearer = authenticate(incoming, route)?;
    check_service(app, route, &bearer, incoming.quota_project.as_deref())?;
    call::check_query(route, &query)?;
    let body = call::read_body(route, body)?;
    let service = route.method.service;
    let fields = if service == Service::Sheets { call::read_fields(route, &query)? } else { None };
    let options = app.store.options();
    if service == Service::Sheets {
        app.meter().spend(route.method.writes, &bearer.account, &options, Instant::now())?;
    }
    let error_messages = options.error_text == ErrorText::Message;
    let pretty = !query.iter().find(|(n, _)| n == "prettyPrint").is_some_and(|(_, v)| v == "false" || v == "0");
    Ok(Call { route: route.clone(), caller: bearer.account, query, body, fields, pretty, error_messages })
}

/// `$.xgafv` and `alt` are refused ahead of the credential (G-STANDIN-7).
fn check_system(query: &[(String, String)]) -> ApiResult<()> {
    if let Some((_, value)) = query.iter().rev().find(|(n, _)| n == "$.xgafv").filter(|(_, v)| v != "1" && v != "2") {
        return Err(ApiError::invalid(format!(
            "Invalid query parameters. Invalid value '{value}' for system query parameter : $.xgafv"
        )));
    }
    match query.iter().find(|(n, _)| n == "alt").map(|(_, v)| v.as_str()) {
        None | Some("") => Ok(()),
        Some(alt) if alt.eq_ignore_ascii_case("json") => Ok(()),
        Some(alt) if alt.eq_ignore_ascii_case("media") => {
            Err(ApiError::invalid("Unsupported alt type \"media\" for non byte stream request."))
        }
        Some(alt) => Err(ApiError::invalid(format!("Invalid value \"{alt}\" for query parameter 'alt'"))),
    }
}

fn authenticate(incoming: &Incoming, route: &Route) -> ApiResult<Bearer> {
    let query = route::query(&incoming.query);
    let in_query = query.iter().find(|(n, _)| n == "access_token" || n == "oauth_token").map(|(_, v)| v.as_str());
    let header = incoming.authorization.as_deref();
    let in_header = match route.method.service {
        Service::Drive => header.and_then(|h| h.strip_prefix("Bearer ")),
        Service::Sheets => header.map(|h| h.split_once(' ').map_or(h, |(_, token)| token)),
    };
    match in_header.or(in_query) {
        None if incoming.method == "GET" => Err(ApiError::unregistered_caller()),
        None => Err(ApiError::missing_credential()),
        Some(token) => Bearer::parse(token.trim(), Utc::now().timestamp()).ok_or_else(ApiError::invalid_credential),
    }
}

fn check_service(app: &App, route: &Route, bearer: &Bearer, quota_project: Option<&str>) -> ApiResult<()> {
    let (host, title) = match route.method.service {
        Service::Sheets => ("sheets.googleapis.com", "Google Sheets API"),
        Service::Drive => ("drive.googleapis.com", "Google Drive API"),
    };
    // There are the projects of the service accounts, and everybody may use each.
    let is_there = |project: &str| app.store.lock().accounts.keys().any(|a| token::project_of(a) == project);
    if let Some(project) = quota_project.filter(|project| !is_there(project)) {
        return Err(ApiError::user_project_denied(host, project));
    }
    if app.store.lock().disabled_services.contains(host) {
        return Err(ApiError::service_disabled(host, title));
    }
    if !bearer.may(route.method.service, route.method.read_only_scope) {
        let method = match route.method.service {
            Service::Sheets => "google.apps.sheets.v4.SpreadsheetsService",
            Service::Drive => "google.apps.drive.v3.DriveFiles",
        };
        return Err(ApiError::insufficient_scope(host, &format!("{method}.{}", route.method.name)));
    }
    Ok(())
}

fn response(reply: Reply, door: &Door) -> Response {
    let headers = |answer: &Answer| {
        let response = Response::builder().status(answer.status).header("Content-Type", answer.content_type);
        match door {
            Door::Metadata(_) => {
                response.header("Metadata-Flavor", "Google").header("Server", "Metadata Server for VM")
            }
            Door::Token | Door::Api(_) => response
                .header("Server", "ESF")
                .header("Cache-Control", "private")
                .header("Vary", "Origin,X-Origin,Referer"),
        }
    };
    let built = match reply {
        Reply::Whole(answer) => headers(&answer).body(Body::from(answer.body)),
        Reply::Cut(mut answer) => {
            let length = answer.body.len();
            answer.body.truncate(length / 2);
            let half = Bytes::from(answer.body.clone());
            let cut = futures_util::stream::iter([Ok(half), Err(std::io::Error::other("cut by a fault"))]);
            headers(&answer).header("Content-Length", length).body(Body::from_stream(cut))
        }
        Reply::Nothing(dropped) => Response::builder().extension(dropped).body(Body::empty()),
    };
    built.expect("the parts are valid")
}
