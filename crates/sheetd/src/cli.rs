//! Commands that edit a running server. Exit status 0 is done, 1 refused or unreachable (the reason
//! is on stderr), 2 wrong usage.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

#[derive(Subcommand)]
pub enum Command {
    /// List spreadsheets and their tabs
    List(Server),
    /// Print values, one row a line, cells divided by tabs
    Get {
        #[command(flatten)]
        tab: Tab,
        /// Rows and columns, such as A1:C3; everything if absent
        range: Option<String>,
        /// Print typed values instead of what the cells show
        #[arg(long)]
        unformatted: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Type a value into a cell
    Set {
        #[command(flatten)]
        tab: Tab,
        cell: String,
        #[arg(allow_negative_numbers = true)]
        value: String,
        #[command(flatten)]
        server: Server,
    },
    /// Empty cells
    Clear {
        #[command(flatten)]
        tab: Tab,
        range: String,
        #[command(flatten)]
        server: Server,
    },
    /// Insert a row and type values into it
    InsertRow {
        #[command(flatten)]
        tab: Tab,
        /// The number that the new row shall have
        at: u32,
        #[arg(allow_negative_numbers = true)]
        values: Vec<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Delete rows
    DeleteRow {
        #[command(flatten)]
        tab: Tab,
        at: u32,
        #[arg(long, default_value_t = 1)]
        count: u32,
        #[command(flatten)]
        server: Server,
    },
    /// Move a row
    MoveRow {
        #[command(flatten)]
        tab: Tab,
        from: u32,
        /// The number that it shall have
        to: u32,
        #[command(flatten)]
        server: Server,
    },
    /// Sort all rows below the header by a column
    Sort {
        #[command(flatten)]
        tab: Tab,
        /// Letters, such as B
        column: String,
        #[arg(long)]
        descending: bool,
        #[arg(long, default_value_t = 1)]
        header_rows: u32,
        #[command(flatten)]
        server: Server,
    },
    /// Add a tab
    AddTab {
        spreadsheet: String,
        title: String,
        #[command(flatten)]
        server: Server,
    },
    /// Rename a tab
    RenameTab {
        #[command(flatten)]
        tab: Tab,
        title: String,
        #[command(flatten)]
        server: Server,
    },
    /// Delete a tab
    DeleteTab {
        #[command(flatten)]
        tab: Tab,
        #[command(flatten)]
        server: Server,
    },
    /// Take back the last change of a spreadsheet
    Undo {
        spreadsheet: String,
        #[command(flatten)]
        server: Server,
    },
    /// Share a spreadsheet with an account, the default service account unless said otherwise
    Share {
        spreadsheet: String,
        #[arg(long)]
        email: Option<String>,
        #[arg(long, default_value = "writer")]
        role: String,
        /// Stop sharing
        #[arg(long)]
        revoke: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Make a spreadsheet from CSV files, one tab each, named after the file
    Seed {
        id: String,
        csv: Vec<PathBuf>,
        #[arg(long)]
        title: Option<String>,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Args)]
pub struct Server {
    /// The running server, such as http://127.0.0.1:8080
    #[arg(long = "server", value_name = "URL")]
    url: String,
}

#[derive(Args)]
pub struct Tab {
    /// The spreadsheet's id
    spreadsheet: String,
    /// The tab's title or id
    tab: String,
}

type Done = Result<(), String>;

pub fn run(command: Command) -> Done {
    match command {
        Command::List(server) => list(&server),
        Command::Get { tab, range, unformatted, server } => get(&server, &tab, range.as_deref(), unformatted),
        Command::Set { tab, cell, value, server } => {
            edit(&server, &tab, json!({ "set": { "cell": cell, "value": value } }))
        }
        Command::Clear { tab, range, server } => edit(&server, &tab, json!({ "clear": range })),
        Command::InsertRow { tab, at, values, server } => {
            let rows: Vec<Vec<String>> = if values.is_empty() { Vec::new() } else { vec![values] };
            edit(&server, &tab, json!({ "insert_rows": { "at": at, "values": rows } }))
        }
        Command::DeleteRow { tab, at, count, server } => {
            edit(&server, &tab, json!({ "delete_rows": { "at": at, "count": count } }))
        }
        Command::MoveRow { tab, from, to, server } => {
            edit(&server, &tab, json!({ "move_rows": { "from": from, "to": to } }))
        }
        Command::Sort { tab, column, descending, header_rows, server } => {
            let sort = json!({ "column": column, "descending": descending, "header_rows": header_rows });
            edit(&server, &tab, json!({ "sort": sort }))
        }
        Command::AddTab { spreadsheet, title, server } => {
            post(&server, "edit", &json!({ "spreadsheetId": spreadsheet, "edit": { "add_tab": title } })).map(drop)
        }
        Command::RenameTab { tab, title, server } => edit(&server, &tab, json!({ "rename_tab": title })),
        Command::DeleteTab { tab, server } => edit(&server, &tab, json!({ "delete_tab": true })),
        Command::Undo { spreadsheet, server } => {
            post(&server, "edit", &json!({ "spreadsheetId": spreadsheet, "edit": { "undo": true } })).map(drop)
        }
        Command::Share { spreadsheet, email, role, revoke, server } => {
            let mut body = json!({ "role": role, "shared": !revoke });
            if let Some(email) = email {
                body["email"] = email.into();
            }
            post(&server, &format!("spreadsheets/{spreadsheet}/share"), &body).map(drop)
        }
        Command::Seed { id, csv, title, server } => seed(&server, &id, title, &csv),
    }
}

fn list(server: &Server) -> Done {
    let body = fetch(server, "spreadsheets")?;
    for book in body["spreadsheets"].as_array().into_iter().flatten() {
        println!("{}\t{}", text(&book["spreadsheetId"]), text(&book["title"]));
        for tab in book["sheets"].as_array().into_iter().flatten() {
            println!("\t{}\t{}", text(&tab["sheetId"]), text(&tab["title"]));
        }
    }
    Ok(())
}

fn get(server: &Server, tab: &Tab, range: Option<&str>, unformatted: bool) -> Done {
    let title = percent_encoding::utf8_percent_encode(&tab.tab, percent_encoding::NON_ALPHANUMERIC);
    let body = fetch(server, &format!("spreadsheets/{}/sheets/{title}/values", tab.spreadsheet))?;
    let rows = body[if unformatted { "unformatted" } else { "formatted" }].as_array().cloned().unwrap_or_default();
    let whole = sheetd::model::area::Bounds::default();
    let bounds = range.map(|r| cells(r).ok_or_else(|| format!("{r} names no cells"))).transpose()?.unwrap_or(whole);
    let width = rows.iter().filter_map(Json::as_array).map(Vec::len).max().unwrap_or(0);
    let rect = bounds.clamp(rows.len() as u32, width as u32);
    for row in &rows[rect.r0 as usize..rect.r1 as usize] {
        let line: Vec<String> = (rect.c0..rect.c1).map(|c| text(&row[c as usize])).collect();
        println!("{}", line.join("\t"));
    }
    Ok(())
}

fn cells(range: &str) -> Option<sheetd::model::area::Bounds> {
    match sheetd::model::a1::parse(range)? {
        sheetd::model::a1::Spec::Cells { title: None, bounds } => Some(bounds),
        _ => None,
    }
}

fn seed(server: &Server, id: &str, title: Option<String>, files: &[PathBuf]) -> Done {
    let mut sheets = Vec::new();
    for path in files {
        let csv = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        sheets.push(json!({ "title": name, "csv": csv }));
    }
    let mut body = json!({ "id": id, "sheets": sheets });
    if let Some(title) = title {
        body["title"] = title.into();
    }
    post(server, "spreadsheets", &body).map(drop)
}

fn edit(server: &Server, tab: &Tab, action: Json) -> Done {
    let body = json!({ "spreadsheetId": tab.spreadsheet, "sheet": tab.tab, "edit": action });
    post(server, "edit", &body).map(drop)
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn fetch(server: &Server, path: &str) -> Result<Json, String> {
    read(agent().get(address(server, path)).call())
}

fn post(server: &Server, path: &str, body: &Json) -> Result<Json, String> {
    read(agent().post(address(server, path)).send_json(body))
}

fn address(server: &Server, path: &str) -> String {
    format!("{}/_sheetd/{path}", server.url.trim_end_matches('/'))
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Json, String> {
    let mut answer = answer.map_err(|e| format!("the server does not answer: {e}"))?;
    let status = answer.status();
    let body: Json = answer
        .body_mut()
        .with_config()
        .limit(u64::MAX)
        .read_json()
        .map_err(|e| format!("the server's answer is unreadable: {e}"))?;
    if status.is_success() { Ok(body) } else { Err(text(&body["error"])) }
}
