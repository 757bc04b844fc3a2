//! What goes wrong on the way, and what it is taken for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Reply, Stub, bare_spreadsheet, key_file, token_answer};
use engine::effect::{
    AnchoredRow, Class, Failure, Images, Sentinel, SheetEffect, SheetOutcome, Stamp,
};
use engine::value::Cell;
use google::{Client, Credential, Identity, Options, Session, Target};
use serde_json::json;

fn target() -> Target {
    Target {
        spreadsheet_id: "sheet".into(),
        sheet_id: 7,
        header_row: 1,
        checkbox_columns: vec![],
        conventions: None,
        number_formats: Default::default(),
        writer: None,
    }
}

fn write() -> SheetEffect {
    write_of(Cell::Text("x".into()))
}

fn write_of(cell: Cell) -> SheetEffect {
    SheetEffect::Write {
        keeps: false,
        rows: vec![AnchoredRow {
            bare: false,
            anchor: 5,
            row: 1,
            cells: vec![(0, cell)],
        }]
        .into(),
        sentinel: Sentinel {
            anchor: 6,
            row: None,
        },
        images: Images {
            at: 0,
            layout: vec![0],
            key: vec![0],
        },
        stamp: Stamp {
            id: 7,
            value: "write".into(),
        },
    }
}

fn claim() -> SheetEffect {
    SheetEffect::Claim {
        stamp: Stamp {
            id: 9,
            value: "v".into(),
        },
    }
}

/// What the effect makes of this answer to every API call.
fn answered(effect: &SheetEffect, reply: Reply) -> Failure {
    outcome(effect, reply).unwrap_err()
}

fn outcome(effect: &SheetEffect, reply: Reply) -> Result<SheetOutcome, Failure> {
    let answer = reply.clone();
    let stub = Stub::start(move |asked| {
        match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.x"),
        false if asked.line.contains("developerMetadata:search") => Reply::Json(
            200,
            json!({"matchedDeveloperMetadata": [{"developerMetadata": {"metadataId": 5, "location": {"dimensionRange": {"sheetId": 7}}}}]})
                .to_string(),
        ),
        false => answer.clone(),
    }
    });
    Session::new(stub.client_with_token_for(&reply)).perform(&target(), effect)
}

fn error(code: u16, status: &str, message: &str, details: serde_json::Value) -> Reply {
    let body =
        json!({"error": {"code": code, "message": message, "status": status, "details": details}});
    Reply::Json(code, serde_json::to_string_pretty(&body).unwrap() + "\n")
}

fn plain(code: u16, status: &str, message: &str) -> Reply {
    error(code, status, message, json!([]))
}

#[test]
fn every_refusal_has_a_class_a_reason_and_a_way_out() {
    use Class::{NeedsHuman, OurBug, RetryLater, RetryNow};
    let quota = json!([
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com",
         "metadata": {"quota_limit_value": "60", "quota_limit": "ReadRequestsPerMinutePerUser"}},
        {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "", "url": "https://cloud.google.com/docs"}]}
    ]);
    let disabled = json!([
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "metadata": {"service": "sheets.googleapis.com"}},
        {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"url": "https://console.developers.google.com/apis/api/sheets.googleapis.com/overview?project=42"}]}
    ]);
    let scope = json!([{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]);
    let robot = "robot@a-project.iam.gserviceaccount.com";
    let cases = [
        (write(), error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", quota), "quota", RetryLater, "ReadRequestsPerMinutePerUser"),
        (write(), Reply::Json(403, json!({"error": {"errors": [{"domain": "usageLimits", "reason": "userRateLimitExceeded"}], "code": 403, "message": "User Rate Limit Exceeded"}}).to_string()), "quota", RetryLater, "minute"),
        (write(), plain(403, "PERMISSION_DENIED", "The caller does not have permission"), "not_shared", NeedsHuman, robot),
        (write(), error(403, "PERMISSION_DENIED", "Google Sheets API has not been used", disabled), "api_disabled", NeedsHuman, "project=42"),
        (write(), error(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", scope), "scope", NeedsHuman, "key"),
        (write(), plain(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity)."), "no_token", OurBug, "proxy"),
        (write(), plain(404, "NOT_FOUND", "Requested entity was not found."), "not_found", NeedsHuman, robot),
        (write(), plain(400, "FAILED_PRECONDITION", "This operation is not supported for this document. The document must not be an Office file."), "not_a_spreadsheet", NeedsHuman, "Excel"),
        (SheetEffect::Read, plain(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), "not_a_spreadsheet", NeedsHuman, "PDF"),
        (SheetEffect::Read, plain(400, "INVALID_ARGUMENT", "Invalid dataFilter[0]: No grid with id: 7"), "tab_gone", NeedsHuman, "tab"),
        (write(), plain(400, "INVALID_ARGUMENT", "Invalid data[0]: You are trying to edit a protected cell or object."), "protected", NeedsHuman, robot),
        (write(), plain(400, "INVALID_ARGUMENT", "Invalid data[0]: Estás intentando editar una celda o un objeto protegidos."), "protected", NeedsHuman, robot),
        (write(), plain(400, "INVALID_ARGUMENT", "Your input contains more than the maximum of 50000 characters in a single cell."), "invalid_cell", NeedsHuman, "50,000"),
        (claim(), plain(400, "INVALID_ARGUMENT", "This action would increase the number of cells in the workbook above the limit of 10000000 cells."), "grid_limit", NeedsHuman, "10,000,000"),
        (claim(), plain(400, "INVALID_ARGUMENT", "This action would increase the number of columns in the sheet above the limit of 18278 columns."), "grid_limit", NeedsHuman, "18,278"),
        (claim(), plain(400, "INVALID_ARGUMENT", "Invalid requests[1].deleteDimension: range.startIndex is larger than current grid size (5)"), "stale_position", RetryNow, "itself"),
        (write(), error(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unknown name \"x\"", json!([])), "bad_request", OurBug, "report"),
        (write(), plain(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 10485760 bytes."), "request_too_large", OurBug, "max_request_bytes"),
        (write(), plain(500, "INTERNAL", "Internal error encountered."), "server", RetryLater, "itself"),
        (write(), plain(503, "UNAVAILABLE", "The service is currently unavailable."), "server", RetryLater, "itself"),
        (write(), Reply::Json(502, "<!DOCTYPE html><html><title>Error 502</title><p>Bad gateway".into()), "server", RetryLater, "itself"),
        (write(), Reply::Json(400, "<html><b>400.</b> That's an error.".into()), "bad_request", OurBug, "endpoint"),
        (write(), Reply::With { status: 302, headers: vec![("Location", "http://elsewhere.example/login".into())], body: String::new() }, "redirected", NeedsHuman, "proxy"),
        (write(), Reply::Json(418, String::new()), "unexpected_status", OurBug, "endpoint"),
    ];
    for (effect, reply, reason, class, says) in cases {
        let shown = format!("{reply:?}");
        let failure = answered(&effect, reply);
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            (reason, class),
            "{shown}\n{failure:?}"
        );
        let text = format!("{} {}", failure.message, failure.hint);
        assert!(text.contains(says), "{says} is not in {text}");
        assert_eq!(
            failure.retry_after_ms.is_some(),
            reason == "quota",
            "{failure:?}"
        );
        let wait = failure.retry_after_ms.unwrap_or(61_000);
        assert!((61_000..70_000).contains(&wait));
        let unclear = reason == "server";
        assert_eq!(failure.may_have_applied, unclear, "{failure:?}");
    }
}

#[test]
fn an_unclear_end_is_told_from_a_clear_one() {
    for (reply, reason) in [
        (Reply::Close, "connection_lost"),
        (Reply::Hang, "timeout"),
        (Reply::Cut("{\"replies\": [".into()), "connection_lost"),
        (
            Reply::Json(200, "{\"replies\": [".into()),
            "unreadable_answer",
        ),
    ] {
        let failure = answered(&claim(), reply.clone());
        assert_eq!(
            (failure.reason.as_str(), failure.class),
            (reason, Class::RetryLater),
            "{reply:?}"
        );
        assert!(failure.may_have_applied, "{failure:?}");
        let failure = answered(&SheetEffect::Read, reply);
        assert_eq!(failure.reason.as_str(), reason);
        assert!(!failure.may_have_applied, "a read changes nothing");
    }
    let nobody = Options {
        sheets_endpoint: "http://127.0.0.1:9".into(),
        timeout: Duration::from_secs(2),
        ..Options::default()
    };
    let key = Credential::from_value(&key_file("http://127.0.0.1:9/token")).unwrap();
    let session = Session::new(Client::new(Identity::new(key).into(), &nobody));
    let failure = session.perform(&target(), &claim()).unwrap_err();
    assert_eq!(
        (failure.reason.as_str(), failure.may_have_applied),
        ("connection_refused", false)
    );
}

#[test]
fn a_write_is_never_sent_twice_and_a_read_is_when_the_connection_broke() {
    let stub = Stub::start(|asked| match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.x"),
        false => Reply::Close,
    });
    let session = Session::new(stub.client());
    let sent = |effect: &SheetEffect| {
        let before = stub.asked().len();
        session.perform(&target(), effect).unwrap_err();
        stub.asked().len() - before
    };
    sent(&SheetEffect::Read);
    assert_eq!(sent(&claim()), 1);
    assert_eq!(sent(&write()), 1);
    assert_eq!(sent(&SheetEffect::Read), 2);
}

#[test]
fn a_lasting_internal_error_ends_in_a_persons_hands_and_heals() {
    let calls = AtomicUsize::new(0);
    let stub = Stub::start(move |asked| match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.x"),
        false if calls.fetch_add(1, Ordering::Relaxed) < 7 => {
            plain(500, "INTERNAL", "Internal error encountered.")
        }
        false => bare_spreadsheet(),
    });
    let session = Session::new(stub.client());
    let classes: Vec<Class> = (0..7)
        .map(|_| session.open("sheet").unwrap_err().class)
        .collect();
    assert_eq!(classes[..5], [Class::RetryLater; 5]);
    assert_eq!(classes[5..], [Class::NeedsHuman; 2]);
    assert!(session.open("sheet").is_ok());
}

#[test]
fn an_endless_answer_does_not_fill_the_memory() {
    let long = format!("{{\"x\": \"{}\"}}", "y".repeat(200_000));
    for reply in [
        Reply::Json(200, long.clone()),
        Reply::Gzip(long),
        Reply::Endless,
    ] {
        assert_eq!(
            answered(&SheetEffect::Read, reply).reason.as_str(),
            "too_large"
        );
    }
    let small = Reply::Gzip("{\"error\": 1}".into());
    assert_eq!(
        answered(&SheetEffect::Read, small).reason.as_str(),
        "unreadable_answer"
    );
}

#[test]
fn an_answer_without_the_tab_is_not_an_empty_tab() {
    let failure = answered(&SheetEffect::Read, Reply::Json(200, "{}".into()));
    assert_eq!(failure.reason.as_str(), "unreadable_answer");
}

#[test]
fn an_answer_without_a_block_of_cells_does_not_say_that_they_are_empty() {
    let looks = [
        SheetEffect::Formulas,
        SheetEffect::Notes,
        SheetEffect::Inspect {
            cells: vec![(1, 1)],
        },
    ];
    let answer = |data: serde_json::Value| {
        let grid = json!({"rowCount": 10, "columnCount": 5});
        let sheet = json!({"properties": {"sheetId": 7, "gridProperties": grid}, "data": data});
        let book = json!({"properties": {"timeZone": "Etc/GMT"}, "sheets": [sheet]});
        Reply::Json(200, book.to_string())
    };
    for effect in looks {
        let failure = answered(&effect, answer(json!([])));
        assert_eq!(failure.reason.as_str(), "unreadable_answer", "{effect:?}");
        // However blank they are, there is a block.
        let blank = outcome(&effect, answer(json!([{}])));
        assert!(blank.is_ok(), "{blank:?}");
    }
}

#[test]
fn a_spreadsheet_without_a_time_zone_is_not_taken_for_one_in_utc() {
    let sheet = json!({"properties": {"sheetId": 7}, "data": [{}]});
    let reply = Reply::Json(
        200,
        json!({"properties": {"title": "T"}, "sheets": [sheet]}).to_string(),
    );
    let cells = SheetEffect::Inspect {
        cells: vec![(1, 1)],
    };
    let failure = answered(&cells, reply.clone());
    assert_eq!(failure.reason.as_str(), "unreadable_answer");
    let answer = reply.clone();
    let stub = Stub::start(move |asked| match asked.line.starts_with("POST /token") {
        true => token_answer("ya29.x"),
        false => answer.clone(),
    });
    let session = Session::new(stub.client_with_token_for(&reply));
    assert_eq!(
        session.open("sheet").unwrap_err().reason.as_str(),
        "unreadable_answer"
    );
}

#[test]
fn a_number_that_json_cannot_carry_is_not_sent() {
    let failure = answered(
        &write_of(Cell::Number(f64::NAN)),
        Reply::Json(200, "{}".into()),
    );
    assert_eq!(
        (failure.reason.as_str(), failure.class),
        ("unsendable", Class::OurBug)
    );
}

#[test]
fn a_wait_that_the_server_asks_for_is_kept() {
    for (status, least, most) in [(429, 8_000, 15_000), (503, 7_000, 7_000)] {
        let headers = vec![("Retry-After", "7".to_owned())];
        let failure = answered(
            &write(),
            Reply::With {
                status,
                headers,
                body: String::new(),
            },
        );
        assert_eq!(failure.class, Class::RetryLater);
        let wait = failure.retry_after_ms.unwrap();
        assert!((least..=most).contains(&wait), "{failure:?}");
    }
}

#[test]
fn a_wait_that_the_server_asks_for_has_an_end_and_is_none_for_what_a_person_mends() {
    let answered = |status, seconds: &str| {
        let reply = Reply::With {
            status,
            headers: vec![("Retry-After", seconds.to_owned())],
            body: String::new(),
        };
        answered(&write(), reply).retry_after_ms
    };
    for forever in ["86400", "18446744073709551615"] {
        assert_eq!(answered(503, forever), Some(600_000));
        let of_quota = answered(429, forever).unwrap();
        assert!((601_000..610_000).contains(&of_quota), "{of_quota}");
    }
    assert_eq!(answered(404, "7"), None);
    assert_eq!(answered(418, "7"), None);
}
