//! What a user may give as a spreadsheet: its id, or the address that a browser shows.

use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spreadsheet {
    pub id: String,
    /// The tab, where the address names one.
    pub gid: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArgumentError {
    #[error("the spreadsheet is not given")]
    Empty,
    #[error("\"{0}\" is neither a spreadsheet id nor the address of a Google spreadsheet")]
    NotASpreadsheet(String),
    #[error("\"{0}\" is the address of a published copy, which cannot be edited")]
    Published(String),
    #[error("the gid in \"{0}\" is not a tab's number")]
    BadGid(String),
}

impl ArgumentError {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Published(_) => {
                "Open the spreadsheet itself and copy the address from the browser; it has the form https://docs.google.com/spreadsheets/d/ID/edit#gid=0."
            }
            Self::BadGid(_) => {
                "Click the tab in the browser and copy the address again; it ends in #gid= and a number."
            }
            _ => {
                "Copy the address from the browser while the spreadsheet is open; it has the form https://docs.google.com/spreadsheets/d/ID/edit#gid=0."
            }
        }
    }
}

/// The shortest text that is taken for an id where nothing else says so; real ones have 44
/// characters.
const SHORTEST_BARE_ID: usize = 20;

/// Takes an id, or any address with `/spreadsheets/d/ID` in it (also with an account part `/u/0/`,
/// without a scheme, or of another server, as a local stand-in has), with the gid in the fragment
/// or the query.
pub fn resolve_spreadsheet(argument: &str) -> Result<Spreadsheet, ArgumentError> {
    let argument = argument.trim();
    let shown = || crate::mask(argument);
    if argument.is_empty() {
        return Err(ArgumentError::Empty);
    }
    if is_id(argument) && argument.len() >= SHORTEST_BARE_ID {
        return Ok(Spreadsheet {
            id: argument.to_owned(),
            gid: None,
        });
    }
    let (_, path) = argument
        .split_once("/spreadsheets/")
        .ok_or_else(|| ArgumentError::NotASpreadsheet(shown()))?;
    let path = match path.strip_prefix("u/") {
        Some(account) => account.split_once('/').map_or("", |(_, path)| path),
        None => path,
    };
    let after = path
        .strip_prefix("d/")
        .ok_or_else(|| ArgumentError::NotASpreadsheet(shown()))?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (id, rest) = after.split_at(end);
    if id == "e" && rest.starts_with('/') {
        return Err(ArgumentError::Published(shown()));
    }
    if !is_id(id) {
        return Err(ArgumentError::NotASpreadsheet(shown()));
    }
    Ok(Spreadsheet {
        id: id.to_owned(),
        gid: gid(rest, shown)?,
    })
}

fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The fragment wins over the query: the browser changes only the fragment when another tab is
/// clicked.
fn gid(rest: &str, shown: impl Fn() -> String) -> Result<Option<i32>, ArgumentError> {
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let query = before.split_once('?').map_or("", |(_, query)| query);
    for parameters in [fragment, query] {
        for parameter in parameters.split('&') {
            if let Some(number) = parameter.strip_prefix("gid=") {
                let gid = number.parse().ok().filter(|gid: &i32| *gid >= 0);
                return gid.map(Some).ok_or_else(|| ArgumentError::BadGid(shown()));
            }
        }
    }
    Ok(None)
}
