//! What simple tools do, as a baseline: a small client of the Sheets API that brings changed rows
//! to a sheet in one of two ways.
//!
//! Both are built as well as such tools can be: compact JSON, one request for whatever one request
//! can carry. What they leave out is what the comparison is about: neither notices what people do
//! to the sheet between its reading and its writing.

use crate::wide;
use e2e::{Google, Office};
use google::auth::Access;
use google::transport::{Content, Http};
use google::{Credential, Identity};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rows by their number, which is their key.
pub type Rows = BTreeMap<usize, Vec<Value>>;

pub struct Client {
    http: Http,
    identity: Identity,
    /// Of the spreadsheet's values.
    url: String,
}

impl Client {
    /// With a sheet of its own that holds rows 1 to `rows` of [`wide`].
    pub fn start(google: &Google, rows: usize) -> Client {
        let mut all = vec![wide::HEADER.map(Value::from).to_vec()];
        all.extend((1..=rows).map(wide::row));
        let made = Office::new(&google.direct_url()).post(
            "spreadsheets",
            &json!({"title": "For a simple tool", "sheets": [{"title": "wide", "rows": all, "raw": true}], "shared": true}),
        );
        let id = made["spreadsheetId"].as_str().expect("an id");
        let key = Credential::from_value(google.key()).expect("sheetd's own key");
        Client {
            http: Http::new(
                Duration::from_secs(180),
                256 << 20,
                &google::Route::default(),
            ),
            identity: Identity::new(key),
            url: format!("{}/v4/spreadsheets/{id}/values", google.url()),
        }
    }

    /// "Rewrite": reads the whole sheet, puts the changed rows into it and writes all of it.
    pub fn rewrite(&self, changed: &Rows) {
        let mut sheet = self.rows();
        for row in &mut sheet {
            let number = row.first().and_then(Value::as_u64);
            if let Some(new) = number.and_then(|number| changed.get(&(number as usize))) {
                row.clone_from(new);
            }
        }
        self.write("wide!A1", &sheet);
    }

    /// "Row by row": reads the key column once, and writes each changed row to where its key stood.
    /// Stops when the time is over; answers how many rows were written by then.
    pub fn row_by_row(&self, changed: &Rows, until: Option<Instant>) -> usize {
        let keys = self.read("wide!A:A");
        let place = |key: &Value| key.as_u64().map(|number| number as usize);
        let places: BTreeMap<usize, usize> = keys
            .iter()
            .enumerate()
            .filter_map(|(index, row)| Some((place(row.first()?)?, index + 1)))
            .collect();
        let mut written = 0;
        for (number, row) in changed {
            let place = places[number];
            self.write(&format!("wide!A{place}:J{place}"), &[row]);
            if until.is_some_and(|until| until <= Instant::now()) {
                break;
            }
            written += 1;
        }
        written
    }

    /// The whole sheet, header first.
    pub fn rows(&self) -> Vec<Vec<Value>> {
        self.read("wide")
    }

    fn read(&self, range: &str) -> Vec<Vec<Value>> {
        let url = format!(
            "{}/{range}?prettyPrint=false&valueRenderOption=UNFORMATTED_VALUE",
            self.url
        );
        let body = self.granted(|access| self.http.get(&url, access));
        let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
        serde_json::from_value(answer["values"].take()).expect("rows of cells")
    }

    fn write(&self, range: &str, rows: &[impl serde::Serialize]) {
        let body = json!({"valueInputOption": "RAW", "data": [{"range": range, "values": rows}]})
            .to_string();
        let url = format!("{}:batchUpdate?prettyPrint=false", self.url);
        self.granted(|access| {
            self.http
                .post(&url, Some(access), Content::Json(body.as_bytes()))
        });
    }

    /// Sends until the quota lets it through, a second apart.
    fn granted(
        &self,
        send: impl Fn(&Access) -> Result<google::transport::Answer, google::Error>,
    ) -> Vec<u8> {
        loop {
            let access = self.identity.access(&self.http).expect("a token");
            let answer = send(&access).expect("an answer");
            match answer.status {
                200 => return answer.body,
                429 => std::thread::sleep(Duration::from_secs(1)),
                other => panic!("{other}: {}", String::from_utf8_lossy(&answer.body)),
            }
        }
    }
}
