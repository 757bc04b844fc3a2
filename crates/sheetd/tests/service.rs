//! Credentials, sharing, Drive, faults, quota, and data over restarts (G-AUTH, G-ERRORS, G-DRIVE,
//! G-QUOTA).

mod common;

use common::{Client, SHEETS_SCOPE, assertion, claims};
use serde_json::{Value as Json, json};
use sheetd::Options;

fn key(client: &Client) -> Json {
    serde_json::from_str(&client.server.key_json).unwrap()
}

#[test]
fn the_token_endpoint_refuses_in_its_order() {
    let client = Client::start();
    let key = key(&client);
    let now = chrono::Utc::now().timestamp();
    let good = claims(&key, SHEETS_SCOPE);
    let with = |name: &str, value: Json| {
        let mut changed = good.clone();
        if value.is_null() {
            changed.as_object_mut().unwrap().remove(name)
        } else {
            changed.as_object_mut().unwrap().insert(name.into(), value)
        };
        client.grant(&assertion(&key, &changed))
    };
    let refused = |(status, body): (u16, Json)| {
        assert_eq!(status, 400);
        format!("{}: {}", body["error"].as_str().unwrap(), body["error_description"].as_str().unwrap())
    };
    assert_eq!(refused(client.grant("no.jwt")), "invalid_request: Bad Request");
    let mut forged = assertion(&key, &good);
    forged.truncate(forged.len() - 8);
    assert_eq!(refused(client.grant(&format!("{forged}AAAAAAAA"))), "invalid_grant: Invalid JWT Signature.");
    assert_eq!(
        refused(with("iss", json!("nobody@x.iam.gserviceaccount.com"))),
        "invalid_grant: Invalid grant: account not found"
    );
    assert_eq!(refused(with("iat", Json::Null)), "invalid_grant: Invalid JWT: iat (issued at) is not set.");
    assert!(refused(with("exp", json!(now - 3600))).contains("short-lived token"));
    assert!(refused(with("scope", json!(""))).starts_with("invalid_scope"));
    assert_eq!(
        refused(with("aud", json!("https://example.com"))),
        "invalid_grant: Invalid JWT: Failed audience check."
    );
    assert_eq!(with("aud", json!(format!("{}/token", client.server.url))).0, 200);
    let (status, body) = with("scope", json!("nonsense"));
    assert!(status == 200 && body.get("access_token").is_none() && body.get("id_token").is_some());
    let (_, body) = client.grant(&assertion(&key, &good));
    assert_eq!((body["expires_in"].as_i64(), body["token_type"].as_str()), (Some(3599), Some("Bearer")));

    let email = common::encoded(key["client_email"].as_str().unwrap());
    client.control("POST", &format!("accounts/{email}/key"), json!({ "revoked": true }));
    assert_eq!(refused(client.grant(&assertion(&key, &good))), "invalid_grant: Invalid JWT Signature.");
}

#[test]
fn who_may_see_a_spreadsheet() {
    let client = Client::start();
    let hidden = client.control("POST", "spreadsheets", json!({ "id": "hidden", "shared": false }));
    assert_eq!(hidden["sheets"], json!([{ "sheetId": 0, "title": "Sheet1" }]));
    let refused = |path: &str| client.refused("GET", path, None);
    assert_eq!(refused("/v4/spreadsheets/hidden"), (403, "The caller does not have permission".into()));
    assert_eq!(refused("/v4/spreadsheets/nothing"), (404, "Requested entity was not found.".into()));
    client.control("POST", "spreadsheets/hidden/share", json!({ "role": "reader" }));
    client.get("/v4/spreadsheets/hidden");
    let (status, _) = client.refused("POST", "/v4/spreadsheets/hidden/values/A1:clear", Some(json!({})));
    assert_eq!(status, 403, "a reader may not write");
    client.control("POST", "services", json!({ "service": "sheets", "enabled": false }));
    let (status, answer) = client.call("GET", "/v4/spreadsheets/hidden", None);
    assert_eq!((status, answer["error"]["details"][0]["reason"].as_str()), (403, Some("SERVICE_DISABLED")));
}

#[test]
fn credentials_are_asked_for() {
    let client = Client::start();
    let id = client.seed(json!([["a"]]));
    let path = format!("/v4/spreadsheets/{id}");
    let (status, answer) = client.send("GET", &path, None, None);
    assert!(status == 403 && answer["error"]["message"].as_str().unwrap().contains("unregistered callers"));
    let (status, _) = client.send("POST", &format!("{path}:batchUpdate"), Some(json!({ "requests": [] })), None);
    assert_eq!(status, 401);
    let (status, answer) = client.send("GET", &path, None, Some("ya29.stale"));
    assert_eq!((status, answer["error"]["status"].as_str()), (401, Some("UNAUTHENTICATED")));
    let narrow = client.token_of(&key(&client), "https://www.googleapis.com/auth/spreadsheets.readonly");
    assert_eq!(client.send("GET", &path, None, Some(&narrow)).0, 200);
    let (status, answer) =
        client.send("POST", &format!("{path}/developerMetadata:search"), Some(json!({})), Some(&narrow));
    assert_eq!(
        (status, answer["error"]["details"][0]["reason"].as_str()),
        (403, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT"))
    );
}

#[test]
fn drive_files_and_permissions() {
    let client = Client::start();
    let body = json!({ "name": "A file", "mimeType": "application/vnd.google-apps.spreadsheet" });
    let file = client.post("/drive/v3/files", body);
    let id = file["id"].as_str().unwrap();
    let path = format!("/drive/v3/files/{id}");
    client.put(id, "A1", "RAW", json!([["a,b", 1]]));
    let before = client.get(&format!("{path}?fields=version,modifiedTime"));
    client.put(id, "A2", "RAW", json!([["x"]]));
    assert_eq!(
        client.get(&format!("{path}?fields=version,modifiedTime")),
        before,
        "Drive does not notice cells at once"
    );
    client.control("POST", "options", json!({ "drive_lag_seconds": 0 }));
    assert_ne!(client.get(&format!("{path}?fields=version")), json!({ "version": before["version"] }));
    let found = client.get("/drive/v3/files?q=name+%3D+'A+file'+and+trashed=false&fields=files(id,name)");
    assert_eq!(found, json!({ "files": [{ "id": id, "name": "A file" }] }));
    let copy = client.post(&format!("{path}/copy"), json!({}));
    assert_eq!(copy["name"], "Copy of A file");
    assert_eq!(client.values(copy["id"].as_str().unwrap(), "A1"), json!([["a,b"]]));
    let (_, csv) = client.send("GET", &format!("{path}/export?mimeType=text/csv"), None, Some(&client.token));
    assert_eq!(csv, "\"a,b\",1\r\nx,");
    let given = client
        .post(&format!("{path}/permissions"), json!({ "type": "user", "role": "writer", "emailAddress": "a@b.c" }));
    let listed = client.get(&format!("{path}/permissions?fields=permissions(emailAddress,role)"));
    assert_eq!(listed["permissions"][1], json!({ "emailAddress": "a@b.c", "role": "writer" }));
    client.call("DELETE", &format!("{path}/permissions/{}", given["id"].as_str().unwrap()), None);
    assert_eq!(client.call("DELETE", &path, None).0, 204);
    let (status, answer) = client.call("GET", &path, None);
    assert_eq!((status, answer["error"]["errors"][0]["reason"].as_str()), (404, Some("notFound")));
    assert_eq!(answer["error"]["message"], format!("File not found: {id}."));
}

#[test]
fn faults_hit_the_requests_they_name() {
    let client = Client::start();
    let id = client.seed(json!([["a"], ["b"], ["c"], ["d"]]));
    let get = format!("/v4/spreadsheets/{id}/values/A1");
    for (status, code) in [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (500, "INTERNAL")] {
        client.fault(json!({ "match": { "kind": "values.get" }, "after": 1, "action": { "status": status } }));
        client.get(&get);
        let (got, answer) = client.call("GET", &get, None);
        assert_eq!((got, answer["error"]["status"].as_str()), (status, Some(code)));
        client.get(&get);
    }
    let put = format!("/v4/spreadsheets/{id}/values/A1?valueInputOption=RAW");
    let try_put = |text: &str| client.try_send("PUT", &put, Some(json!({ "values": [[text]] })), Some(&client.token));
    client.fault(json!({ "match": { "kind": "values.update" }, "action": { "drop": "before_apply" } }));
    assert!(try_put("lost").is_err());
    assert_eq!(client.values(&id, "A1"), json!([["a"]]));
    client.fault(json!({ "match": { "kind": "values.update" }, "action": { "timeout": "after_apply", "ms": 1 } }));
    assert!(try_put("applied").is_err());
    assert_eq!(client.values(&id, "A1"), json!([["applied"]]));
    client.fault(json!({ "match": { "kind": "values.get" }, "action": { "body": "cut" } }));
    assert!(client.try_send("GET", &get, None, Some(&client.token)).is_err());
    client.fault(json!({ "match": { "kind": "values.get" }, "action": { "body": "garbled" } }));
    let (status, answer) = client.send("GET", &get, None, Some(&client.token));
    assert!(status == 200 && answer.is_string());
    client.fault(json!({ "match": { "path_contains": "values" }, "action": { "partial": true } }));
    assert_eq!(client.values(&id, "A1:A4").as_array().map(Vec::len), Some(2));
    client.fault(json!({ "match": { "kind": "token" }, "action": { "status": 503 } }));
    assert_eq!(client.grant("x").0, 503);
    let log = client.control("GET", "requests", Json::Null);
    let last = log["requests"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (last["kind"].as_str(), last["status"].as_u64(), last["faulted"].as_bool()),
        (Some("token"), Some(503), Some(true))
    );
}

#[test]
fn a_person_edits_right_after_a_request() {
    let client = Client::start();
    let id = client.seed(json!([["a"], ["b"]]));
    let insert = json!({ "insert_rows": { "at": 1, "values": [["new"]] } });
    client.fault(json!({ "match": { "kind": "values.get" }, "action": { "edit": insert } }));
    assert_eq!(client.values(&id, "A1"), json!([["a"]]), "the answer is from before the edit");
    assert_eq!(client.values(&id, "A1:A3"), json!([["new"], ["a"], ["b"]]));
    client.fault(json!({ "match": { "kind": "values.get" }, "action": { "edit_before": { "set": { "cell": "A1", "value": "=2*3" } } } }));
    assert_eq!(client.values(&id, "A1"), json!([["6"]]));
    client.edit(&id, json!({ "undo": true }));
    assert_eq!(client.values(&id, "A1"), json!([["new"]]));
    let shown = client.control("GET", &format!("spreadsheets/{id}/sheets/Sheet1/values"), Json::Null);
    assert_eq!(shown["formatted"], json!([["new"], ["a"], ["b"]]));
}

#[test]
fn quotas_count_requests() {
    let client = Client::with(Options { quota: true, ..Options::default() });
    let id = client.seed(json!([["a"]]));
    client.control("POST", "options", json!({ "reads_per_minute_per_user": 2 }));
    client.values(&id, "A1");
    client.values(&id, "A1");
    let (status, answer) = client.call("GET", &format!("/v4/spreadsheets/{id}"), None);
    assert_eq!(status, 429);
    let details = &answer["error"]["details"][0]["metadata"];
    assert_eq!(details["quota_limit"], "ReadRequestsPerMinutePerUser");
    client.put(&id, "A1", "RAW", json!([["writes are counted apart"]]));
}

#[test]
fn data_outlives_the_server() {
    let directory = std::env::temp_dir().join(format!("sheetd-test-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let options = || Options { data: Some(directory.join("data")), ..Options::default() };
    let client = Client::with(options());
    let id = client.seed(json!([["n"], [1], ["=A2+1"]]));
    let stamp = json!({ "createDeveloperMetadata": { "developerMetadata": { "metadataKey": "k", "visibility": "DOCUMENT", "location": { "sheetId": 0 } } } });
    let made = client.batch(&id, json!([stamp, { "addSheet": {} }]));
    client.edit(&id, json!({ "insert_rows": { "at": 2, "values": [["1-2", "2026-09-05"]] } }));
    let whole = format!("/v4/spreadsheets/{id}?includeGridData=true");
    let before = client.get(&whole);
    let token = client.token.clone();
    drop(client);

    let client = Client::with(options());
    assert_eq!(client.get(&whole), before);
    let metadata = &made["replies"][0]["createDeveloperMetadata"]["developerMetadata"]["metadataId"];
    client.get(&format!("/v4/spreadsheets/{id}/developerMetadata/{metadata}"));
    assert_eq!(client.send("GET", &whole, None, Some(&token)).0, 200, "tokens outlive a restart too");
    client.control("POST", "reset", Json::Null);
    drop(client);
    let client = Client::with(options());
    assert_eq!(client.control("GET", "spreadsheets", Json::Null), json!({ "spreadsheets": [] }));
    drop(client);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_spreadsheet_shows_pastes_filters_and_exports_numbers_as_its_locale_writes_them() {
    let client = Client::start();
    let body = json!({ "properties": { "title": "Liste", "locale": "de_DE" } });
    let id = client.post("/v4/spreadsheets", body)["spreadsheetId"].as_str().unwrap().to_owned();
    let at = json!({ "sheetId": 0, "rowIndex": 0, "columnIndex": 0 });
    let paste =
        json!([{ "pasteData": { "coordinate": at, "data": "Wert\tMenge\n1,5\t2\n1.234,5\t3", "delimiter": "\t" } }]);
    client.batch(&id, paste);
    assert_eq!(client.typed(&id, "A2:A3"), json!([[1.5], [1234.5]]));
    let replace =
        json!([{ "findReplace": { "find": "1,5", "replacement": "2,5", "allSheets": true, "matchEntireCell": true } }]);
    client.batch(&id, replace);
    assert_eq!(client.typed(&id, "A2"), json!([[2.5]]));
    let path = format!("/drive/v3/files/{id}");
    let (_, csv) = client.send("GET", &format!("{path}/export?mimeType=text/csv"), None, Some(&client.token));
    assert_eq!(csv, "Wert,Menge\r\n\"2,5\",2\r\n\"1.234,50\",3");
    let filter = json!([{ "setBasicFilter": { "filter": {
        "range": { "sheetId": 0, "startRowIndex": 0, "endRowIndex": 3, "startColumnIndex": 0, "endColumnIndex": 1 },
        "criteria": { "0": { "hiddenValues": ["2,5"] } } } } }]);
    client.batch(&id, filter);
    let fields = "sheets(data(rowMetadata(hiddenByFilter)))";
    let shown = client.get(&format!("/v4/spreadsheets/{id}?includeGridData=true&ranges=A1:A3&fields={fields}"));
    let rows = shown["sheets"][0]["data"][0]["rowMetadata"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["hiddenByFilter"] == true).collect::<Vec<_>>(), [false, true, false]);
}
