//! All spreadsheets, who may see them, and the one door through which they change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::broadcast;

use crate::batch::{self, Context, Touched};
use crate::change::{self, Change, Outcome};
use crate::errors::{ApiError, ApiResult};
use crate::formulas::{self, Calculator};
use crate::http::login::Login;
use crate::http::machine::Machine;
use crate::http::token::DEFAULT_ACCOUNT;
use crate::journal::{self, Journal, Record, Settings};
use crate::model::sheet::Sheet;
use crate::model::workbook::Workbook;
use crate::options::Options;
use crate::undo::{History, TakenBack, Way};

/// A file of the Drive: a spreadsheet with its owner and permissions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    pub book: Arc<Workbook>,
    pub owner: String,
    pub permissions: Vec<Permission>,
    pub trashed: bool,
    pub created: DateTime<Utc>,
    /// What Drive shows; moves at once only for what Drive itself changes (G-DRIVE-1).
    pub modified: DateTime<Utc>,
    pub version: u64,
    /// The last change of content that Drive has not shown yet.
    pub pending: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub role: String,
    #[serde(rename = "emailAddress", skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl Permission {
    pub fn user(email: &str, role: &str) -> Self {
        let id = email.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
        Self {
            id: format!("{:020}", id),
            kind: "user".to_owned(),
            role: role.to_owned(),
            email: Some(email.to_owned()),
        }
    }
}

impl File {
    pub fn new(book: Workbook, owner: &str, now: DateTime<Utc>) -> Self {
        let permissions = vec![Permission::user(owner, "owner")];
        let book = Arc::new(book);
        Self {
            book,
            owner: owner.to_owned(),
            permissions,
            trashed: false,
            created: now,
            modified: now,
            version: 1,
            pending: None,
        }
    }

    pub fn role(&self, caller: &str) -> Option<&str> {
        let of = |p: &&Permission| p.kind == "anyone" || p.email.as_deref() == Some(caller);
        let rank = |role: &str| ["reader", "commenter", "writer", "owner"].iter().position(|r| *r == role);
        self.permissions.iter().filter(of).max_by_key(|p| rank(&p.role)).map(|p| p.role.as_str())
    }

    /// Drive notices changes of content only after a while (G-DRIVE-1).
    fn settle(&mut self, now: DateTime<Utc>, lag: u64) {
        if let Some(changed) = self.pending
            && now - changed >= TimeDelta::seconds(lag as i64)
        {
            self.modified = changed;
            self.version += 1;
            self.pending = None;
        }
    }
}

/// A service account, beside the default one that always exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Account {
    pub key_revoked: bool,
}

/// Something that happened to a spreadsheet, as watchers see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub n: u64,
    pub spreadsheet_id: String,
    pub kind: String,
    pub origin: &'static str,
    pub changes: Vec<Touched>,
}

#[derive(Debug, Default)]
pub struct State {
    pub files: BTreeMap<String, File>,
    pub accounts: BTreeMap<String, Account>,
    /// Of persons, by their address.
    pub logins: BTreeMap<String, Login>,
    /// The one on Google Cloud that this server plays.
    pub machine: Option<Machine>,
    pub disabled_services: BTreeSet<String>,
    pub options: Options,
    pub events_sent: u64,
    /// Earlier states of each spreadsheet, newest last, for a person's undo.
    pub undo: BTreeMap<String, Vec<Arc<Workbook>>>,
    /// What persons in the page did, for each to take back their own.
    pub histories: BTreeMap<String, History>,
    /// States of each spreadsheet that were kept, for File > Version history.
    pub versions: BTreeMap<String, Vec<Arc<Workbook>>>,
}

pub struct Store {
    state: Mutex<State>,
    rng: Mutex<fastrand::Rng>,
    events: broadcast::Sender<Event>,
    calculators: Mutex<BTreeMap<String, Calculator>>,
    journal: Option<Journal>,
}

/// Who changes something, and how watchers are told.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub caller: &'a str,
    pub origin: &'static str,
    /// Which page it is that a person edits in: what is done there can be taken back there.
    pub editor: Option<&'a str>,
}

impl<'a> Author<'a> {
    pub fn api(caller: &'a str) -> Self {
        Self { caller, origin: "api", editor: None }
    }

    /// A person in the page; edits as the file's owner would.
    pub fn person(editor: Option<&'a str>) -> Self {
        Self { caller: PERSON, origin: "person", editor }
    }
}

/// Whom the page's edits are by.
pub const PERSON: &str = "person@example.com";

const UNDO_STEPS: usize = 50;

impl Store {
    /// All that the data file keeps, or nothing where there is none.
    pub fn open(data: Option<&Path>, options: Options) -> Result<Self, journal::Error> {
        let journal = data.map(Journal::open).transpose()?;
        let (files, settings) = journal.as_ref().map(Journal::load).transpose()?.unwrap_or_default();
        let Settings { accounts, logins, machine, disabled_services } = settings;
        let state = State { files, accounts, logins, machine, disabled_services, options, ..State::default() };
        let (events, _) = broadcast::channel(4096);
        let store = Self {
            state: Mutex::new(state),
            rng: Mutex::new(fastrand::Rng::new()),
            events,
            calculators: Mutex::default(),
            journal,
        };
        let mut state = store.lock();
        state.accounts.entry(DEFAULT_ACCOUNT.to_owned()).or_default();
        for file in state.files.values_mut() {
            let book = Arc::make_mut(&mut file.book);
            book.may_have_formulas = true;
            store.compute(book);
        }
        drop(state);
        Ok(store)
    }

    /// Hands something to the data file. A server that cannot keep its promise must not go on as if
    /// it could.
    fn keep<T: Default>(&self, what: impl FnOnce(&Journal) -> Result<T, journal::Error>) -> T {
        match self.journal.as_ref().map(what).transpose() {
            Ok(done) => done.unwrap_or_default(),
            Err(error) => {
                eprintln!("sheetd: {error}");
                std::process::abort();
            }
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn options(&self) -> Options {
        self.lock().options.clone()
    }

    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub fn random_id(&self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let tail: String = (0..43).map(|_| char::from(LETTERS[rng.usize(0..LETTERS.len())])).collect();
        format!("1{tail}")
    }

    pub fn seed(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }

    pub fn context(&self, caller: &str) -> Context {
        Context {
            caller: caller.to_owned(),
            project: crate::http::token::project_of(caller),
            year: Utc::now().year(),
            rng: fastrand::Rng::with_seed(self.seed()),
            options: self.options(),
            touched: Vec::new(),
            deleted_metadata: Vec::new(),
        }
    }

    /// The spreadsheet as it is now, if the caller may see it (G-ERRORS-3: 404 for unknown, 403 for
    /// not shared).
    pub fn book(&self, id: &str, caller: &str) -> ApiResult<Arc<Workbook>> {
        let state = self.lock();
        let file = state.files.get(id).ok_or_else(ApiError::not_found)?;
        file.role(caller).ok_or_else(ApiError::forbidden)?;
        Ok(file.book.clone())
    }

    /// The spreadsheet as it is now, whoever asks.
    pub fn peek(&self, id: &str) -> Option<Arc<Workbook>> {
        self.lock().files.get(id).map(|f| f.book.clone())
    }

    /// Changes accounts, logins, the machine or services.
    pub fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let done = change(&mut state);
        self.keep(|journal| {
            journal.settings(&Settings {
                accounts: state.accounts.clone(),
                logins: state.logins.clone(),
                machine: state.machine.clone(),
                disabled_services: state.disabled_services.clone(),
            })
        });
        done
    }

    fn calculators(&self) -> MutexGuard<'_, BTreeMap<String, Calculator>> {
        self.calculators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything but the default account.
    pub fn reset(&self) {
        let mut state = self.lock();
        let events_sent = state.events_sent;
        *state = State { events_sent, ..State::default() };
        self.calculators().clear();
        self.keep(Journal::clear);
        state.accounts.entry(DEFAULT_ACCOUNT.to_owned()).or_default();
        self.tell(&mut state, "", "reset", "person", Vec::new());
    }

    /// Changes a spreadsheet, or leaves it as it was and says why. `plan` sees the spreadsheet that
    /// the change is applied to: nobody comes between.
    pub fn change(
        &self,
        id: &str,
        author: Author,
        plan: impl FnOnce(&Workbook) -> ApiResult<Change>,
    ) -> ApiResult<(Arc<Workbook>, Outcome)> {
        let mut context = self.context(author.caller);
        let mut state = self.lock();
        let file = state.files.get_mut(id).ok_or_else(ApiError::not_found)?;
        if author.caller != PERSON && !matches!(file.role(author.caller), Some("writer" | "owner")) {
            return Err(ApiError::forbidden());
        }
        let change = plan(&file.book)?;
        let seed = context.rng.get_seed();
        let (mut book, outcome) = change::apply(&file.book, &change, &mut context)?;
        self.compute(&mut book);
        let full = self.keep(|journal| {
            let record = Record {
                caller: author.caller.into(),
                year: context.year,
                seed,
                options: context.options.clone(),
                change: Cow::Owned(change),
            };
            journal.append(id, &record)
        });
        let renamed = book.title != file.book.title;
        let before = std::mem::replace(&mut file.book, Arc::new(book));
        let now = Utc::now();
        if renamed {
            (file.modified, file.version, file.pending) = (now, file.version + 1, None);
        } else {
            file.pending = Some(now);
        }
        if full {
            self.keep(|journal| journal.snapshot(file));
        }
        let book = file.book.clone();
        state.histories.entry(id.to_owned()).or_default().record(author.editor, &before, &book);
        remember(&mut state, id, before);
        let kind = context.touched.first().map_or_else(String::new, |t| t.kind.clone());
        self.tell(&mut state, id, &kind, author.origin, context.touched);
        Ok((book, outcome))
    }

    /// Brings formula results up to date. Spreadsheets without formulas have no calculator and pay
    /// nothing.
    fn compute(&self, book: &mut Workbook) {
        if !book.may_have_formulas {
            return;
        }
        let mut calculators = self.calculators();
        if !calculators.contains_key(&book.id) && !formulas::has_formulas(book) {
            book.may_have_formulas = false;
            return;
        }
        calculators.entry(book.id.clone()).or_insert_with(|| Calculator::new(book)).update(book);
    }

    /// Copies a tab into a spreadsheet, as `sheets.copyTo` does.
    pub fn copy_sheet(&self, target: &str, caller: &str, mut sheet: Sheet) -> ApiResult<Json> {
        let mut context = self.context(caller);
        let mut state = self.lock();
        let file = state.files.get_mut(target).ok_or_else(ApiError::not_found)?;
        if !matches!(file.role(caller), Some("writer" | "owner")) {
            return Err(ApiError::forbidden());
        }
        let mut book = (*file.book).clone();
        sheet.id = context.fresh_id();
        sheet.title = batch::sheets::copy_title(&book, &sheet.title);
        batch::sheets::renew_object_ids(&mut sheet, &mut context);
        let properties = crate::model::view::sheet_properties(&sheet, book.sheets.len());
        let touched = vec![Touched { sheet: sheet.id, kind: "copyTo".to_owned(), range: None }];
        book.sheets.push(Arc::new(sheet));
        book.check_size()?;
        book.may_have_formulas = true;
        self.compute(&mut book);
        file.book = Arc::new(book);
        file.pending = Some(Utc::now());
        self.keep(|journal| journal.snapshot(file));
        self.tell(&mut state, target, "copyTo", "api", touched);
        Ok(properties)
    }

    /// Takes back the last change, whoever made it.
    pub fn undo(&self, id: &str) -> ApiResult<()> {
        let mut state = self.lock();
        let Some(before) = state.undo.get_mut(id).and_then(Vec::pop) else {
            return Err(ApiError::invalid("There is nothing to undo"));
        };
        self.put_back(&mut state, id, before, "undo")
    }

    /// Takes back what was last done in one page, or does it again, and leaves what others did since.
    pub fn take_back(&self, id: &str, editor: &str, way: Way) -> ApiResult<TakenBack> {
        let mut state = self.lock();
        let now = state.files.get(id).ok_or_else(ApiError::not_found)?.book.clone();
        let taken = state.histories.entry(id.to_owned()).or_default().take_back(editor, way, &now, |book| {
            self.compute(book);
        })?;
        remember(&mut state, id, now);
        let file = state.files.get_mut(id).ok_or_else(ApiError::not_found)?;
        file.book = taken.book.clone();
        file.pending = Some(Utc::now());
        self.keep(|journal| journal.snapshot(file));
        self.tell(&mut state, id, "undo", "person", taken.touched.clone());
        Ok(taken)
    }

    /// Keeps the spreadsheet as it is now, with its metadata; answers the version's number, `None`
    /// where there is no such spreadsheet.
    pub fn keep_version(&self, id: &str) -> Option<usize> {
        let mut state = self.lock();
        let book = state.files.get(id)?.book.clone();
        let versions = state.versions.entry(id.to_owned()).or_default();
        versions.push(book);
        Some(versions.len() - 1)
    }

    /// Here developer metadata are put back along with the cells; whether Google does so is
    /// not known (G-META-13).
    pub fn restore_version(&self, id: &str, version: usize) -> ApiResult<()> {
        let mut state = self.lock();
        let kept = state.versions.get(id).and_then(|versions| versions.get(version).cloned());
        let kept = kept.ok_or_else(|| ApiError::invalid(format!("There is no version {version}")))?;
        self.put_back(&mut state, id, kept, "restore")
    }

    fn put_back(&self, state: &mut State, id: &str, before: Arc<Workbook>, kind: &str) -> ApiResult<()> {
        let file = state.files.get_mut(id).ok_or_else(ApiError::not_found)?;
        let whole = before.sheets.iter().map(|s| Touched { sheet: s.id, kind: kind.to_owned(), range: None }).collect();
        file.book = before;
        file.pending = Some(Utc::now());
        self.keep(|journal| journal.snapshot(file));
        // Where rows came to stand is not known.
        state.histories.remove(id);
        self.tell(state, id, kind, "person", whole);
        Ok(())
    }

    pub fn tell(&self, state: &mut State, id: &str, kind: &str, origin: &'static str, changes: Vec<Touched>) {
        state.events_sent += 1;
        let event =
            Event { n: state.events_sent, spreadsheet_id: id.to_owned(), kind: kind.to_owned(), origin, changes };
        // Nobody watching is no error.
        let _ = self.events.send(event);
    }

    pub fn add(&self, mut file: File, origin: &'static str) {
        let mut state = self.lock();
        let id = file.book.id.clone();
        let book = Arc::make_mut(&mut file.book);
        book.may_have_formulas = true;
        self.compute(book);
        self.keep(|journal| journal.snapshot(&file));
        state.files.insert(id.clone(), file);
        self.tell(&mut state, &id, "create", origin, Vec::new());
    }

    /// Changes what Drive knows of a file; `None` where there is none.
    pub fn with_file<T>(&self, id: &str, change: impl FnOnce(&mut File, DateTime<Utc>) -> T) -> Option<T> {
        let mut state = self.lock();
        let file = state.files.get_mut(id)?;
        let done = change(file, Utc::now());
        self.keep(|journal| journal.snapshot(file));
        self.tell(&mut state, id, "file", "api", Vec::new());
        Some(done)
    }

    pub fn remove(&self, id: &str) -> bool {
        let mut state = self.lock();
        let existed = state.files.remove(id).is_some();
        state.undo.remove(id);
        state.histories.remove(id);
        state.versions.remove(id);
        self.calculators().remove(id);
        self.keep(|journal| journal.remove(id));
        self.tell(&mut state, id, "delete", "api", Vec::new());
        existed
    }

    /// A file that the caller may see, as Drive shows it now.
    pub fn file(&self, id: &str, caller: &str) -> Option<File> {
        let mut state = self.lock();
        let lag = state.options.drive_lag_seconds;
        let file = state.files.get_mut(id)?;
        file.role(caller)?;
        file.settle(Utc::now(), lag);
        Some(file.clone())
    }

    pub fn files(&self, caller: &str) -> Vec<File> {
        let ids: Vec<String> = self.lock().files.keys().cloned().collect();
        ids.iter().filter_map(|id| self.file(id, caller)).collect()
    }
}

/// Keeps an earlier state for whoever takes back the last change.
fn remember(state: &mut State, id: &str, before: Arc<Workbook>) {
    let steps = state.undo.entry(id.to_owned()).or_default();
    steps.push(before);
    if steps.len() > UNDO_STEPS {
        steps.remove(0);
    }
}

/// `values` of an event or listing.
pub fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).expect("plain data")
}
