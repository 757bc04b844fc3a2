//! Calls with a token: the base addresses, one retry after a 401, errors parsed.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::{Access, Identity, Kind};
use crate::error::{Error, Purpose, Refusal};
use crate::governor::Need;
use crate::route::Route;
use crate::transport::{Answer, Content, Http};

#[derive(Clone, Debug)]
pub struct Options {
    /// Where Sheets is: `https://sheets.googleapis.com`, or a local stand-in.
    pub sheets_endpoint: String,
    /// Where Drive is: `https://www.googleapis.com/drive/v3`; the path of the API is part of it.
    pub drive_endpoint: String,
    /// Bounds a whole request with its answer. Google gives up after 180 s by itself (G-LOST-2).
    pub timeout: Duration,
    pub max_answer_bytes: u64,
    pub route: Route,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sheets_endpoint: "https://sheets.googleapis.com".into(),
            drive_endpoint: "https://www.googleapis.com/drive/v3".into(),
            timeout: Duration::from_secs(60),
            max_answer_bytes: 256 << 20,
            route: Route::default(),
        }
    }
}

/// One identity's way to Google. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http,
    identity: Arc<Identity>,
    sheets: Arc<str>,
    drive: Arc<str>,
}

thread_local! {
    static SENT: Cell<Need> = const {
        Cell::new(Need {
            reads: 0,
            writes: 0,
        })
    };
}

/// How many requests this thread has sent to Sheets so far, those that failed included. A call runs
/// on one thread from its beginning to its end, so two looks tell what it took, whatever others
/// send meanwhile.
pub fn sent_by_this_thread() -> Need {
    SENT.get()
}

fn count(purpose: Purpose) {
    let mut sent = SENT.get();
    match purpose {
        Purpose::Read => sent.reads += 1,
        Purpose::Write => sent.writes += 1,
    }
    SENT.set(sent);
}

impl Client {
    pub fn new(identity: Arc<Identity>, options: &Options) -> Self {
        Self {
            http: Http::new(options.timeout, options.max_answer_bytes, &options.route),
            identity,
            sheets: options.sheets_endpoint.trim_end_matches('/').into(),
            drive: options.drive_endpoint.trim_end_matches('/').into(),
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Reach whoever gives tokens, and nothing else.
    pub fn check_key(&self) -> Result<(), Error> {
        self.identity.access(&self.http).map(drop)
    }

    /// See [`Identity::clock_ahead_seconds`].
    pub fn clock_ahead_seconds(&self) -> Option<i64> {
        self.identity.clock_ahead_seconds()
    }

    /// GET `/v4/spreadsheets/{id}{suffix}`.
    pub(crate) fn get<A: DeserializeOwned>(
        &self,
        spreadsheet: &str,
        suffix: &str,
        query: &[(&str, &str)],
    ) -> Result<A, Error> {
        let url = self.url(spreadsheet, suffix, query);
        self.ask_sheets(Purpose::Read, |access| {
            count(Purpose::Read);
            self.http.get(&url, access)
        })
    }

    /// POST `/v4/spreadsheets/{id}{suffix}` with an answer cut to `fields`.
    pub(crate) fn post<A: DeserializeOwned>(
        &self,
        purpose: Purpose,
        spreadsheet: &str,
        suffix: &str,
        fields: &str,
        body: &impl Serialize,
    ) -> Result<A, Error> {
        let url = self.url(spreadsheet, suffix, &[("fields", fields)]);
        let body =
            serde_json::to_vec(body).map_err(|error| Error::Unsendable(error.to_string()))?;
        self.ask_sheets(purpose, |access| {
            count(purpose);
            self.http.post(&url, Some(access), Content::Json(&body))
        })
    }

    /// Drive's GET `/files/{id}`.
    pub(crate) fn file<A: DeserializeOwned>(&self, id: &str, fields: &str) -> Result<A, Error> {
        let query = [("fields", fields), ("supportsAllDrives", "true")];
        let url = format!(
            "{}/files/{}?{}",
            self.drive,
            escaped(id),
            parameters(&query)
        );
        let (_, answer) = self.answer(Purpose::Read, |access| self.http.get(&url, access))?;
        read(&answer)
    }

    fn url(&self, spreadsheet: &str, suffix: &str, query: &[(&str, &str)]) -> String {
        format!(
            "{}/v4/spreadsheets/{}{suffix}?{}",
            self.sheets,
            escaped(spreadsheet),
            parameters(query)
        )
    }

    /// Of its tokens' scopes the metadata server says nothing, so Sheets does, and the next call
    /// asks for a better one. (That Drive is missing among them is no reason: nothing but the look
    /// into the bin wants it.)
    fn ask_sheets<A: DeserializeOwned>(
        &self,
        purpose: Purpose,
        send: impl Fn(&Access) -> Result<Answer, Error>,
    ) -> Result<A, Error> {
        let (access, answer) = self.answer(purpose, send)?;
        let result = read(&answer);
        let lacks_scope = |error: &Error| error.refusal().is_some_and(Refusal::is_lack_of_scope);
        if self.identity.kind() == Kind::ComputeMetadata && result.as_ref().is_err_and(lacks_scope)
        {
            self.identity.discard(&access);
        }
        result
    }

    /// Whatever its status, with the token that it was asked for with.
    fn answer(
        &self,
        purpose: Purpose,
        send: impl Fn(&Access) -> Result<Answer, Error>,
    ) -> Result<(Access, Answer), Error> {
        let mut access = self.identity.access(&self.http)?;
        let mut answer = match send(&access) {
            // A kept connection may have been closed at the other end in this very moment. A read
            // can be asked again.
            Err(Error::Lost {
                timed_out: false, ..
            }) if purpose == Purpose::Read => send(&access)?,
            answer => answer?,
        };
        if answer.status == 401 {
            // Nothing was carried out (G-LOST-3), so the request can go out again with a new token,
            // whatever it was.
            self.identity.discard(&access);
            access = self.identity.access(&self.http)?;
            answer = send(&access)?;
        }
        Ok((access, answer))
    }
}

fn read<A: DeserializeOwned>(answer: &Answer) -> Result<A, Error> {
    if !(200..300).contains(&answer.status) {
        return Err(Error::Refused(Box::new(Refusal::parse(answer))));
    }
    answer.json()
}

/// What may stand unescaped in a path segment or a query value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn parameters(query: &[(&str, &str)]) -> String {
    let mut text = String::from("prettyPrint=false");
    for (name, value) in query {
        text.push_str(&format!("&{name}={}", escaped(value)));
    }
    text
}
