//! A local Sheets server with one spreadsheet in it, our session, and a person who edits.

use std::sync::Arc;
use std::time::Duration;

use engine::effect::{
    AnchoredRow, Deleted, Failure, Images, MetadataId, Sentinel, SheetEffect, SheetOutcome,
    Snapshot, Stamp, TagRow, WrittenRow,
};
use engine::value::Cell;
use google::{Client, Credential, Identity, Options, Session, Target};
use serde_json::{Value, json};
use sheetd::Server;

pub const ID: &str = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms";

pub struct World {
    pub server: Server,
    pub session: Session,
    pub target: Target,
}

impl World {
    /// The first tab, called `Data`, holds these rows.
    pub fn new(rows: Value) -> Self {
        Self::with(rows, 50, 8, false)
    }

    pub fn with(rows: Value, row_count: u32, column_count: u32, quota: bool) -> Self {
        let server = Server::start(sheetd::Options {
            quota,
            ..sheetd::Options::default()
        })
        .unwrap();
        let world = Self {
            session: session(&server),
            target: Target {
                spreadsheet_id: ID.into(),
                sheet_id: 0,
                header_row: 1,
                checkbox_columns: vec![],
                conventions: None,
                number_formats: Default::default(),
                writer: None,
            },
            server,
        };
        let tabs = json!([
            {"title": "Data", "sheetId": 0, "rows": rows, "rowCount": row_count, "columnCount": column_count},
            {"title": "Other", "sheetId": 77, "rows": [["untouched"]]},
        ]);
        world.control(
            "spreadsheets",
            &json!({"id": ID, "title": "Book", "sheets": tabs}),
        );
        world
    }

    /// Start over with these rows, the server and the session as they are.
    pub fn renew(&self, rows: &Value) {
        self.server.app.plan().clear();
        self.server.app.store.remove(ID);
        let tabs = json!([{"title": "Data", "sheetId": 0, "rows": rows, "rowCount": 50, "columnCount": 8}]);
        self.control(
            "spreadsheets",
            &json!({"id": ID, "title": "Book", "sheets": tabs}),
        );
    }

    pub fn control(&self, path: &str, body: &Value) -> String {
        let url = format!("{}/_sheetd/{path}", self.server.url);
        let answer = ureq::post(&url).send(body.to_string());
        answer
            .unwrap_or_else(|error| panic!("{path} {body}: {error}"))
            .body_mut()
            .read_to_string()
            .unwrap()
    }

    pub fn switch(&self, options: Value) {
        self.control("options", &options);
    }

    pub fn person(&self, edit: Value) {
        self.control(
            "edit",
            &json!({"spreadsheetId": ID, "sheet": "0", "edit": edit}),
        );
    }

    /// The nth request of this kind from now on meets with this.
    pub fn fault(&self, kind: &str, after: u32, action: Value) {
        self.control(
            "faults",
            &json!({"match": {"kind": kind}, "after": after, "action": action}),
        );
    }

    /// A cell of the tab as a person types: formulas and all.
    pub fn look(&self) -> Value {
        self.look_at("0")
    }

    pub fn look_at(&self, sheet: &str) -> Value {
        let text = self.get(&format!("/_sheetd/spreadsheets/{ID}/sheets/{sheet}/values"));
        serde_json::from_str(&text).unwrap()
    }

    /// What the server answers at this path.
    pub fn get(&self, path: &str) -> String {
        let mut answer = ureq::get(format!("{}{path}", self.server.url))
            .call()
            .unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    pub fn formulas(&self) -> Value {
        self.look()["formulas"].clone()
    }

    /// The first column.
    pub fn keys(&self) -> Vec<String> {
        let rows = self.formulas();
        let text = |row: &Value| {
            row.get(0)
                .map(|cell| cell.to_string().trim_matches('"').to_owned())
        };
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| text(row).unwrap_or_default())
            .collect()
    }

    /// Metadata that stands, as (id, key).
    pub fn metadata(&self) -> Vec<(i64, String)> {
        let book = self.server.app.store.peek(ID).unwrap();
        book.metadata
            .iter()
            .map(|(id, metadata)| (*id, metadata.key.clone()))
            .collect()
    }

    pub fn anchors(&self) -> usize {
        self.metadata()
            .iter()
            .filter(|(_, key)| key == google::sheet::ANCHOR_KEY)
            .count()
    }

    pub fn tabs(&self) -> Vec<String> {
        let book = self.server.app.store.peek(ID).unwrap();
        book.sheets
            .iter()
            .map(|sheet| sheet.title.clone())
            .collect()
    }

    pub fn perform(&self, effect: &SheetEffect) -> Result<SheetOutcome, Failure> {
        let outcome = self.session.perform(&self.target, effect)?;
        note_sentinel(effect, &outcome);
        Ok(outcome)
    }

    pub fn read(&self) -> Snapshot {
        match self.perform(&SheetEffect::Read).unwrap() {
            SheetOutcome::Snapshot(snapshot) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    pub fn tag(&self, rows: &[(u32, MetadataId)]) -> Vec<(MetadataId, Vec<Cell>)> {
        match self.perform(&tag(rows)).unwrap() {
            SheetOutcome::Tagged(tagged) => tagged
                .rows
                .into_iter()
                .map(|row| (row.anchor, row.cells))
                .collect(),
            other => panic!("{other:?}"),
        }
    }
}

pub fn session(server: &Server) -> Session {
    let identity = Arc::new(Identity::new(Credential::parse(&server.key_json).unwrap()));
    let options = Options {
        sheets_endpoint: server.url.clone(),
        drive_endpoint: format!("{}/drive/v3", server.url),
        // Generous: a slow machine is no failure.
        timeout: Duration::from_secs(120),
        ..Options::default()
    };
    Session::new(Client::new(identity, &options))
}

thread_local! {
    static SENTINEL: std::cell::Cell<Sentinel> = const {
        std::cell::Cell::new(Sentinel {
            anchor: 1_000_000,
            row: None,
        })
    };
}

/// That of the last request that tagged.
pub fn sentinel() -> Sentinel {
    SENTINEL.get()
}

/// One that stands nowhere yet.
pub fn next_sentinel() -> MetadataId {
    let anchor = sentinel().anchor + 1;
    SENTINEL.set(Sentinel { anchor, row: None });
    anchor
}

/// Follows the sentinel as those do who plan from the answers.
fn note_sentinel(effect: &SheetEffect, outcome: &SheetOutcome) {
    let mut sentinel = sentinel();
    match (effect, outcome) {
        (_, SheetOutcome::Tagged(tagged)) => sentinel.row = tagged.sentinel_row,
        (SheetEffect::Insert { at, rows, .. }, SheetOutcome::Inserted(_)) => {
            let below = sentinel.row.as_mut().filter(|row| **row >= *at);
            if let Some(row) = below {
                *row += rows.len() as u32;
            }
        }
        (_, SheetOutcome::Deleted(_)) => sentinel.row = None,
        _ => {}
    }
    SENTINEL.set(sentinel);
}

pub fn tag(rows: &[(u32, MetadataId)]) -> SheetEffect {
    SheetEffect::Tag {
        rows: tag_rows(rows),
        read: true,
        tidy: vec![sentinel().anchor],
        sentinel: next_sentinel(),
    }
}

/// Drops these anchors and the sentinel, and leaves another one.
pub fn tidy(anchors: &[MetadataId]) -> SheetEffect {
    SheetEffect::Tag {
        rows: vec![],
        read: true,
        tidy: [anchors, &[sentinel().anchor]].concat(),
        sentinel: next_sentinel(),
    }
}

pub fn images() -> Images {
    Images {
        at: 0,
        layout: vec![0, 1, 2],
        key: vec![0],
    }
}

/// The row where an anchor was tagged, the anchor, and cells for it.
type Sent<'a> = (u32, MetadataId, &'a [(u32, Cell)]);

pub fn write(rows: &[Sent], stamp: MetadataId) -> SheetEffect {
    let rows = rows.iter().map(|(row, anchor, cells)| AnchoredRow {
        bare: false,
        anchor: *anchor,
        row: *row,
        cells: cells.to_vec(),
    });
    SheetEffect::Write {
        keeps: false,
        rows: rows.collect(),
        sentinel: sentinel(),
        images: images(),
        stamp: stamped(stamp),
    }
}

pub fn written(outcome: SheetOutcome) -> Vec<WrittenRow> {
    match outcome {
        SheetOutcome::Written(written) => written,
        other => panic!("{other:?}"),
    }
}

pub fn deleted(outcome: SheetOutcome) -> Deleted {
    match outcome {
        SheetOutcome::Deleted(deleted) => deleted,
        other => panic!("{other:?}"),
    }
}

pub fn tag_rows(rows: &[(u32, MetadataId)]) -> Vec<TagRow> {
    rows.iter()
        .map(|(row, anchor)| TagRow {
            bare: false,
            row: *row,
            anchor: *anchor,
        })
        .collect()
}

pub fn delete(rows: &[(u32, MetadataId)], stamp: MetadataId) -> SheetEffect {
    SheetEffect::Delete {
        rows: tag_rows(rows),
        sentinel: sentinel(),
        images: images(),
        stamp: stamped(stamp),
        tidy: rows.iter().map(|(_, id)| *id).collect(),
    }
}

pub fn stamped(id: MetadataId) -> Stamp {
    Stamp {
        id,
        value: format!("cycle@{id}"),
    }
}

pub fn text(text: &str) -> Cell {
    Cell::Text(text.into())
}

/// Rows of a key, a text and a number, and a person's formula in a column that is not ours.
pub fn table(rows: u32) -> Value {
    let mut table = vec![json!(["id", "name", "sum", "formula"])];
    let row = |row: u32| {
        json!([
            format!("k{row}"),
            format!("name {row}"),
            row + 1,
            format!("=1+{row}")
        ])
    };
    table.extend((1..=rows).map(row));
    Value::Array(table)
}

pub fn insert(at: u32, rows: Vec<Vec<(u32, Cell)>>, stamp: i32) -> SheetEffect {
    SheetEffect::Insert {
        at,
        rows: rows.into(),
        stamp: stamped(stamp),
        tidy: vec![],
    }
}

pub fn row(key: &str, name: &str, sum: f64) -> Vec<Cell> {
    vec![text(key), text(name), Cell::Number(sum), Cell::Number(sum)]
}

/// What another tool sends.
pub fn post(world: &World, body: &Value) {
    post_as(world, &world.server.key_json, body);
}

pub fn post_as(world: &World, key: &str, body: &Value) {
    let key = google::Credential::parse(key).unwrap();
    let http = google::transport::Http::new(
        std::time::Duration::from_secs(5),
        1 << 20,
        &google::Route::default(),
    );
    let access = google::Identity::new(key).access(&http).unwrap();
    let url = format!("{}/v4/spreadsheets/{ID}:batchUpdate", world.server.url);
    let body = body.to_string();
    let answer = http
        .post(
            &url,
            Some(&access),
            google::transport::Content::Json(body.as_bytes()),
        )
        .unwrap();
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
}
