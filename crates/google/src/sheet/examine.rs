//! What `doctor()` asks of Google: about an account, and about a tab.

use std::time::Duration;

use engine::effect::Failure;
use engine::value::Cell;

use super::{Session, Target};
use crate::answers;
use crate::auth::Kind;
use crate::error::Purpose;

/// A clock that is further off than this is worth mending: a token is refused when it seems to come
/// from the future.
const CLOCK_OFF_SECONDS: i64 = 60;

/// A login that ends within it is worth a person's time.
const LAST_DAY: Duration = Duration::from_secs(86_400);

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A short stable word.
    pub check: &'static str,
    pub ok: bool,
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    pub hint: String,
}

impl Finding {
    pub fn good(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            ok: true,
            detail: detail.into(),
            hint: String::new(),
        }
    }

    pub fn bad(check: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            check,
            ok: false,
            detail: detail.into(),
            hint: hint.into(),
        }
    }

    pub fn failed(check: &'static str, failure: &Failure) -> Self {
        Self::bad(check, &failure.message, &failure.hint)
    }
}

/// The tab to examine, and what should stand in it.
#[derive(Clone, Debug)]
pub struct Patient {
    pub spreadsheet_id: String,
    /// `None` while the mapping has not found its tab.
    pub sheet_id: Option<i32>,
    /// 1-based.
    pub header_row: u32,
    pub headers: Vec<String>,
    /// Cells are written, so it takes more than being allowed to read.
    pub writes: bool,
}

impl Patient {
    fn target(&self, sheet_id: i32) -> Target {
        Target {
            spreadsheet_id: self.spreadsheet_id.clone(),
            sheet_id,
            header_row: self.header_row,
            checkbox_columns: Vec::new(),
            conventions: None,
            number_formats: Default::default(),
            writer: None,
        }
    }
}

/// A login whose end Google names: of an application in testing, or one that a person limited.
fn login_left(who: &str, left: Duration) -> Finding {
    let detail = format!("Google ends the login of {who} in {}", in_words(left));
    match left > LAST_DAY {
        true => Finding::good("login", detail),
        false => Finding::bad(
            "login",
            detail,
            "Then the user has to log in again. A login of an OAuth application whose consent screen is in testing ends after 7 days: publish the application, or make it internal. A service account's key does not end.",
        ),
    }
}

/// Rounded, and in the largest unit of which there are two.
fn in_words(time: Duration) -> String {
    let units = [("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)];
    let fits = units
        .into_iter()
        .map(|(name, unit)| (name, (time.as_secs_f64() / unit).round()))
        .find(|(_, number)| *number >= 2.0);
    match fits {
        Some((name, number)) => format!("{number} {name}"),
        None => "less than two minutes".to_owned(),
    }
}

impl Session {
    /// Whether Google gives a token, for what it may be used, and whether our clock agrees with
    /// Google's.
    pub fn examine_account(&self) -> Vec<Finding> {
        if let Err(failure) = self.judged(Purpose::Read, "", self.client.check_key()) {
            return vec![Finding::failed("token", &failure)];
        }
        let identity = self.client.identity();
        let who = identity.who();
        let token = Finding::good(
            "token",
            match identity.kind() {
                // With less than the scopes that are needed none is taken.
                Kind::ServiceAccount | Kind::User => {
                    format!("Google gives {who} a token for spreadsheets")
                }
                // Of what its tokens are good for it says nothing.
                Kind::ComputeMetadata => format!("the metadata server gives {who} a token"),
            },
        );
        let login = identity.login_ends_in().map(|left| login_left(&who, left));
        let clock = self.client.clock_ahead_seconds().map(|ahead| {
            let off = ahead.abs();
            let detail = format!("Google's clock and this server's differ by {off} s");
            match off <= CLOCK_OFF_SECONDS {
                true => Finding::good("clock", detail),
                false => Finding::bad(
                    "clock",
                    detail,
                    "Let a time service (NTP) set the server's clock.",
                ),
            }
        });
        [Some(token), login, clock].into_iter().flatten().collect()
    }

    /// Whether a spreadsheet can be reached and written, and whether tab and header are as they
    /// should be.
    pub fn examine_tab(&self, patient: &Patient) -> Vec<Finding> {
        let overview = match self.open(&patient.spreadsheet_id) {
            Ok(overview) => overview,
            Err(failure) => return vec![Finding::failed("sharing", &failure)],
        };
        let mut findings = vec![self.sharing(patient, &overview.title)];
        let Some(sheet_id) = patient.sheet_id else {
            return findings;
        };
        let Some(tab) = overview.tabs.iter().find(|tab| tab.sheet_id == sheet_id) else {
            findings.push(Finding::bad(
                "tab",
                "the spreadsheet has no such tab any more",
                "Undo its deletion in Google Sheets, or end the mapping with sheet_sync.unregister_table().",
            ));
            return findings;
        };
        findings.push(Finding::good("tab", format!("\"{}\"", tab.title)));
        findings.push(self.header(patient, sheet_id));
        findings.extend(self.images(patient, sheet_id));
        findings
    }

    /// Nothing where the tab that keeps what is overwritten is there, or will be made with the
    /// first write.
    fn images(&self, patient: &Patient, sheet_id: i32) -> Option<Finding> {
        let target = patient.target(sheet_id);
        if !patient.writes || self.may_keep_images(&target) {
            return None;
        }
        let who = self.client.identity().who();
        Some(Finding::bad(
            "overwritten",
            "the spreadsheet takes no further tab, so there is none that keeps what is overwritten: an edit of a cell in the very \
             moment in which it is written is lost",
            format!(
                "Make room for a tab (a spreadsheet holds at most 10,000,000 cells, blank ones among them), or let {who} add one."
            ),
        ))
    }

    /// Only Drive tells what we may do without doing it (G-DRIVE-3); where its API is switched off,
    /// that we can read is all that is known.
    fn sharing(&self, patient: &Patient, title: &str) -> Finding {
        let file = self
            .client
            .file::<answers::File>(&patient.spreadsheet_id, "trashed,capabilities(canEdit)");
        let who = self.client.identity().who();
        match file {
            Ok(file) if file.trashed => Finding::bad(
                "sharing",
                format!("\"{title}\" is in the bin"),
                "Restore it in Google Drive, or end the mapping with sheet_sync.unregister_table().",
            ),
            Ok(file) if patient.writes && !file.capabilities.can_edit => Finding::bad(
                "sharing",
                format!("{who} may read \"{title}\" and not edit it"),
                format!("Share the spreadsheet with {who} as an editor."),
            ),
            Ok(_) if patient.writes => {
                Finding::good("sharing", format!("{who} may edit \"{title}\""))
            }
            _ => Finding::good("sharing", format!("{who} may read \"{title}\"")),
        }
    }

    fn header(&self, patient: &Patient, sheet_id: i32) -> Finding {
        let target = patient.target(sheet_id);
        let first = patient.header_row.saturating_sub(1);
        let read = self.read_span(&target, first, Some(patient.header_row));
        let cells = match self.judged(Purpose::Read, &patient.spreadsheet_id, read) {
            Ok(rows) => rows.into_iter().next().unwrap_or_default(),
            Err(failure) => return Finding::failed("header", &failure),
        };
        let folded = |text: &str| text.trim().to_lowercase();
        let shown: Vec<String> = cells
            .iter()
            .map(|cell| match cell {
                Cell::Text(text) => folded(text),
                Cell::Number(number) => number.to_string(),
                Cell::Bool(_) | Cell::Empty => String::new(),
            })
            .collect();
        let times = |header: &&String| {
            let header = folded(header);
            shown.iter().filter(|one| **one == header).count()
        };
        let off: Vec<&str> = patient
            .headers
            .iter()
            .filter(|header| times(header) != 1)
            .map(String::as_str)
            .collect();
        match off.as_slice() {
            [] => Finding::good(
                "header",
                format!(
                    "{} columns in row {}",
                    patient.headers.len(),
                    patient.header_row
                ),
            ),
            off => Finding::bad(
                "header",
                format!("not once in row {}: {}", patient.header_row, off.join(", ")),
                "Give each mapped column its header back, once.",
            ),
        }
    }
}
