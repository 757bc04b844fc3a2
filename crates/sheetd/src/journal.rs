//! Data that outlives the process: a snapshot of each spreadsheet and the changes since, in one
//! SQLite file.
//!
//! A change is answered only after its record was handed to the operating system, so it survives
//! kill -9. It is not waited for the disk: a power failure may cost the last moments, which a tool
//! for tests and demos can bear and its speed cannot pay.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::batch::Context;
use crate::change::{self, Change};
use crate::http::login::Login;
use crate::http::machine::Machine;
use crate::options::Options;
use crate::store::{Account, File};

/// A change with all that its outcome depends on, so that it comes out the same when repeated.
#[derive(Serialize, Deserialize)]
pub struct Record<'a> {
    pub caller: std::borrow::Cow<'a, str>,
    pub year: i32,
    pub seed: u64,
    pub options: Options,
    pub change: std::borrow::Cow<'a, Change>,
}

/// Who may ask, and switched-off services.
#[derive(Default, Serialize, Deserialize)]
pub struct Settings {
    pub accounts: BTreeMap<String, Account>,
    #[serde(default)]
    pub logins: BTreeMap<String, Login>,
    #[serde(default)]
    pub machine: Option<Machine>,
    pub disabled_services: std::collections::BTreeSet<String>,
}

pub struct Journal {
    connection: Mutex<Connection>,
    /// Bytes in each spreadsheet's snapshot and in its changes since.
    sizes: Mutex<BTreeMap<String, (usize, usize)>>,
}

/// Changes are folded into a new snapshot when they outweigh the old one, and this.
const FOLD: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data file: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the data file holds something unreadable: {0}")]
    Content(#[from] serde_json::Error),
    #[error("the data file's changes of {0} cannot be repeated: {1}")]
    Repeat(String, String),
}

impl Journal {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS snapshot (id TEXT PRIMARY KEY, file BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS change (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, record BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS setting (id INTEGER PRIMARY KEY CHECK (id = 1), settings BLOB NOT NULL);",
        )?;
        Ok(Self { connection: Mutex::new(connection), sizes: Mutex::default() })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sizes(&self) -> MutexGuard<'_, BTreeMap<String, (usize, usize)>> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All spreadsheets as they were, with what was changed since the snapshots folded in.
    pub fn load(&self) -> Result<(BTreeMap<String, File>, Settings), Error> {
        let mut files: BTreeMap<String, File> = BTreeMap::new();
        let settings = {
            let connection = self.connection();
            let mut snapshots = connection.prepare("SELECT file FROM snapshot")?;
            for blob in snapshots.query_map([], |row| row.get::<_, Vec<u8>>(0))? {
                let file: File = serde_json::from_slice(&blob?)?;
                files.insert(file.book.id.clone(), file);
            }
            let mut changes = connection.prepare("SELECT id, record FROM change ORDER BY seq")?;
            let rows = changes.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            for row in rows {
                let (id, blob) = row?;
                if let Some(file) = files.get_mut(&id) {
                    repeat(file, &serde_json::from_slice(&blob)?)?;
                }
            }
            let mut settings = connection.prepare("SELECT settings FROM setting")?;
            let blob = settings.query_map([], |row| row.get::<_, Vec<u8>>(0))?.next().transpose()?;
            blob.map(|b| serde_json::from_slice(&b)).transpose()?.unwrap_or_default()
        };
        files.values().try_for_each(|file| self.snapshot(file))?;
        Ok((files, settings))
    }

    /// Replaces all that is kept of a spreadsheet.
    pub fn snapshot(&self, file: &File) -> Result<(), Error> {
        let blob = serde_json::to_vec(file)?;
        let id = &file.book.id;
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute("INSERT OR REPLACE INTO snapshot VALUES (?1, ?2)", params![id, blob])?;
        transaction.execute("DELETE FROM change WHERE id = ?1", params![id])?;
        transaction.commit()?;
        self.sizes().insert(id.clone(), (blob.len(), 0));
        Ok(())
    }

    /// Keeps a change; true asks for a new snapshot.
    pub fn append(&self, id: &str, record: &Record) -> Result<bool, Error> {
        let blob = serde_json::to_vec(record)?;
        self.connection()
            .prepare_cached("INSERT INTO change (id, record) VALUES (?1, ?2)")?
            .execute(params![id, blob])?;
        let mut sizes = self.sizes();
        let (whole, since) = sizes.entry(id.to_owned()).or_default();
        *since += blob.len();
        Ok(*since > FOLD.max(*whole))
    }

    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let connection = self.connection();
        connection.execute("DELETE FROM snapshot WHERE id = ?1", params![id])?;
        connection.execute("DELETE FROM change WHERE id = ?1", params![id])?;
        self.sizes().remove(id);
        Ok(())
    }

    pub fn settings(&self, settings: &Settings) -> Result<(), Error> {
        let blob = serde_json::to_vec(settings)?;
        self.connection().execute("INSERT OR REPLACE INTO setting VALUES (1, ?1)", params![blob])?;
        Ok(())
    }

    pub fn clear(&self) -> Result<(), Error> {
        self.connection().execute_batch("DELETE FROM snapshot; DELETE FROM change; DELETE FROM setting;")?;
        self.sizes().clear();
        Ok(())
    }
}

fn repeat(file: &mut File, record: &Record) -> Result<(), Error> {
    let mut context = Context::repeated(record);
    let (book, _) = change::apply(&file.book, &record.change, &mut context)
        .map_err(|e| Error::Repeat(file.book.id.clone(), e.message))?;
    file.book = Arc::new(book);
    Ok(())
}
