//! Carries out the engine's sheet effects.
//!
//! Tabs are named by their id, so a renamed tab is followed. Rows are named by their anchors:
//! developer metadata that follows a row through inserts, deletes, moves and sorts (G-META-1). The
//! one thing addressed by position is what is read back right after a structural batch, where the
//! engine checks keys.
//!
//! None of these is taken for granted (docs/google-sheets.md says what is known of each): deleting
//! metadata that is not there, cells in a structural answer, checking an anchor inside a batch
//! ([`Capabilities`] says what the service does, each has another way); a filter that matches
//! nothing (where it is refused, what is there is looked up first); whether copying cells leaves
//! out rows that a filter hides (an image whose key is not the row's is none); the range echoed for
//! a whole tab (the tab's properties are asked for); a batch whose answer names a title that is
//! gone (it is sent again under its stamp).

mod anchors;
mod capability;
mod columns;
mod examine;
mod formulas;
mod header;
mod images;
mod inspect;
mod lookup;
mod need;
mod notes;
mod probe;
mod read;
mod room;
mod rows;
mod structure;
mod tag;
mod tidy;
mod turn;
mod write;
mod writer;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::effect::{Failure, SheetEffect, SheetOutcome};

use anchors::Tagged;
use images::images_id;
use write::Written;

use crate::answers;
use crate::client::Client;
use crate::error::{Context, Error, Purpose};
use crate::requests::{BatchUpdate, GridProperties, Request, SheetProperties};

#[cfg(test)]
pub(crate) use anchors::of_a_row;
pub use anchors::{ANCHOR_KEY, STAMP_KEY};
pub use capability::{Answered, Capabilities, Missing};
pub use columns::COLUMN_KEY;
pub use examine::{Finding, Patient};
pub use images::IMAGES_TITLE;
pub use notes::NOTE_PREFIX;
pub use room::{MOST_CELLS, MOST_COLUMNS};
pub use writer::{Home, NotOurs, WRITER_KEY, Writer};

/// The tab that a mapping is tied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub spreadsheet_id: String,
    pub sheet_id: i32,
    /// 1-based; rows inserted right below it do not take on its looks.
    pub header_row: u32,
    /// Columns whose cells get a checkbox in rows that we insert. Blank rows get none: Google
    /// counts a row with a checkbox as used (G-ROWS-6).
    pub checkbox_columns: Vec<u32>,
    /// As they were when the tab was opened: what cells mean depends on them. `None` where nobody
    /// asks what cells mean.
    pub conventions: Option<Conventions>,
    /// Patterns that the owner wishes instead of the usual ones, by the mapping's columns.
    pub number_formats: BTreeMap<usize, String>,
    /// In whose name it is written to; `None` where nothing of the tab's own is.
    pub writer: Option<Writer>,
}

/// How a spreadsheet reads and shows dates and numbers: its settings, which people may change
/// (G-SETTINGS-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conventions {
    /// An IANA name.
    pub time_zone: String,
    pub locale: String,
}

impl Conventions {
    /// A locale that an answer does not name is not taken for another one.
    pub(crate) fn differ(&self, now: &Self) -> bool {
        let are_named = !self.locale.is_empty() && !now.locale.is_empty();
        self.time_zone != now.time_zone || (are_named && self.locale != now.locale)
    }
}

/// A spreadsheet as [`Session::open`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    pub title: String,
    pub conventions: Conventions,
    /// In the order shown; without those in which we keep images.
    pub tabs: Vec<Tab>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    pub sheet_id: i32,
    pub title: String,
    pub hidden: bool,
    /// False for charts and connected sheets, which have no cells of their own.
    pub has_cells: bool,
    pub rows: u32,
    pub columns: u32,
    pub frozen_rows: u32,
}

/// One identity's work on sheets. Share it between threads; it remembers only what saves requests.
#[derive(Debug)]
pub struct Session {
    client: Client,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tabs: HashMap<(String, i32), Tab>,
    /// What was last seen of who writes to a tab.
    entries: HashMap<(String, i32), Option<String>>,
    capabilities: Capabilities,
    /// Tabs that no images can be kept of.
    without_images: HashSet<(String, i32)>,
    /// Internal errors in a row, by spreadsheet.
    internal_errors: HashMap<String, u32>,
}

const OVERVIEW_FIELDS: &str = "properties(title,locale,timeZone),sheets(properties(sheetId,title,index,sheetType,hidden,gridProperties(rowCount,columnCount,frozenRowCount)),developerMetadata(metadataId,metadataValue))";

/// A new tab's blank rows and columns; it grows by itself.
const NEW_TAB: GridProperties = GridProperties {
    row_count: 100,
    column_count: 26,
    frozen_row_count: 1,
};

impl Session {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            state: Mutex::default(),
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Carry out one effect. Blocks for as long as its requests take.
    pub fn perform(&self, target: &Target, effect: &SheetEffect) -> Result<SheetOutcome, Failure> {
        let (purpose, outcome) = match effect {
            SheetEffect::Read => (Purpose::Read, self.read(target)),
            SheetEffect::Tag {
                rows,
                read,
                sentinel,
                tidy,
            } => (
                Purpose::Write,
                self.tag(target, rows, *read, *sentinel, tidy),
            ),
            SheetEffect::Look { header, anchors } => {
                (Purpose::Read, self.look(target, *header, anchors))
            }
            SheetEffect::Formulas => (Purpose::Read, self.formulas(target)),
            SheetEffect::ReadRows { rows } => (Purpose::Read, self.read_rows(target, rows)),
            SheetEffect::Inspect { cells } => (Purpose::Read, self.inspect(target, cells)),
            SheetEffect::Write {
                rows,
                keeps,
                sentinel,
                images,
                stamp,
            } => {
                let what = Written {
                    rows,
                    keeps: *keeps,
                    sentinel: *sentinel,
                };
                (Purpose::Write, self.write(target, what, images, stamp))
            }
            SheetEffect::Images => (Purpose::Read, self.read_images(target)),
            SheetEffect::Insert {
                at,
                rows,
                stamp,
                tidy,
            } => (Purpose::Write, self.insert(target, *at, rows, stamp, tidy)),
            SheetEffect::Delete {
                rows,
                sentinel,
                images,
                stamp,
                tidy,
            } => {
                let anchors = Tagged {
                    rows,
                    sentinel: *sentinel,
                };
                let deleted = self.delete(target, &anchors, images, stamp, tidy);
                (Purpose::Write, deleted)
            }
            SheetEffect::WriteHeader {
                row,
                cells,
                formats,
                stamp,
            } => (
                Purpose::Write,
                self.write_header(target, *row, cells, formats, stamp),
            ),
            SheetEffect::TagColumns { header, tags } => {
                (Purpose::Write, self.tag_columns(target, *header, tags))
            }
            SheetEffect::FindColumns { names } => (Purpose::Read, self.find_columns(target, names)),
            SheetEffect::Annotate { notes, sentinel } => {
                (Purpose::Write, self.annotate(target, notes, *sentinel))
            }
            SheetEffect::Notes => (Purpose::Read, self.standing_notes(target)),
            SheetEffect::Claim { stamp } => (Purpose::Write, self.claim(target, stamp)),
            SheetEffect::TidyAll => (Purpose::Write, self.tidy_all(target)),
        };
        self.judged(purpose, &target.spreadsheet_id, outcome)
    }

    /// The spreadsheet's properties and tabs.
    pub fn open(&self, spreadsheet_id: &str) -> Result<Overview, Failure> {
        self.judged(Purpose::Read, spreadsheet_id, self.overview(spreadsheet_id))
    }

    /// Add a tab at the end. If a tab of that title is there already (an earlier answer may have
    /// been lost), that one is given.
    pub fn add_tab(&self, spreadsheet_id: &str, title: &str) -> Result<Tab, Failure> {
        let properties = SheetProperties {
            sheet_id: None,
            title: title.to_owned(),
            hidden: false,
            grid_properties: NEW_TAB,
        };
        let added = self.add_sheet(spreadsheet_id, properties).or_else(|error| {
            let there = self.overview(spreadsheet_id).ok();
            let same = |tab: &Tab| tab.title.to_lowercase() == title.to_lowercase();
            there
                .and_then(|overview| overview.tabs.into_iter().find(same))
                .ok_or(error)
        });
        self.judged(Purpose::Write, spreadsheet_id, added)
    }

    /// The tab's title as the last answer that told it had it.
    pub fn title(&self, target: &Target) -> Option<String> {
        let tab = (target.spreadsheet_id.clone(), target.sheet_id);
        let title = self.state().tabs.get(&tab).map(|tab| tab.title.clone());
        title.filter(|title| !title.is_empty())
    }

    /// What Drive knows of the file; a spreadsheet in the bin still answers to everything else
    /// (G-DRIVE-2).
    pub fn is_in_bin(&self, spreadsheet_id: &str) -> Result<bool, Failure> {
        let file = self.client.file::<answers::File>(spreadsheet_id, "trashed");
        self.judged(Purpose::Read, spreadsheet_id, file.map(|file| file.trashed))
    }

    fn judged<T>(
        &self,
        purpose: Purpose,
        spreadsheet_id: &str,
        outcome: Result<T, Error>,
    ) -> Result<T, Failure> {
        let internal = outcome.as_ref().is_err_and(|error| {
            error
                .refusal()
                .is_some_and(|refusal| refusal.http_status == 500)
        });
        let internal_errors = {
            let mut state = self.state();
            match internal {
                false => {
                    state.internal_errors.remove(spreadsheet_id);
                    0
                }
                true => {
                    let count = state
                        .internal_errors
                        .entry(spreadsheet_id.to_owned())
                        .or_insert(0);
                    *count = count.saturating_add(1);
                    *count
                }
            }
        };
        let identity = self.client.identity();
        let context = Context {
            purpose,
            account: &identity.who(),
            kind: identity.kind(),
            jitter_ms: fastrand::u64(1_000..6_000),
            internal_errors,
        };
        outcome.map_err(|error| error.failure(context))
    }

    fn overview(&self, spreadsheet_id: &str) -> Result<Overview, Error> {
        let spreadsheet: answers::Spreadsheet =
            self.client
                .get(spreadsheet_id, "", &[("fields", OVERVIEW_FIELDS)])?;
        let conventions = spreadsheet.properties.conventions()?;
        for sheet in &spreadsheet.sheets {
            let sheet_id = sheet.properties.sheet_id;
            self.entry_seen(spreadsheet_id, sheet_id, &sheet.developer_metadata);
        }
        let mut sheets: Vec<_> = spreadsheet
            .sheets
            .into_iter()
            .map(|sheet| sheet.properties)
            .collect();
        sheets.sort_by_key(|sheet| sheet.index);
        let mut tabs: Vec<Tab> = sheets.into_iter().map(Tab::from).collect();
        let mut state = self.state();
        state.tabs.retain(|(of, _), _| of != spreadsheet_id);
        for tab in &tabs {
            let place = (spreadsheet_id.to_owned(), tab.sheet_id);
            state.tabs.insert(place, tab.clone());
        }
        drop(state);
        // Ours are nobody's business.
        let ids: HashSet<i32> = tabs.iter().map(|tab| images_id(tab.sheet_id)).collect();
        tabs.retain(|tab| !ids.contains(&tab.sheet_id));
        Ok(Overview {
            title: spreadsheet.properties.title,
            conventions,
            tabs,
        })
    }

    fn add_sheet(&self, spreadsheet_id: &str, properties: SheetProperties) -> Result<Tab, Error> {
        let body = BatchUpdate::of(vec![Request::AddSheet { properties }]);
        let fields = "replies(addSheet(properties(sheetId,title,index,sheetType,hidden,gridProperties(rowCount,columnCount,frozenRowCount))))";
        let answer: answers::BatchUpdate = self.client.post(
            Purpose::Write,
            spreadsheet_id,
            ":batchUpdate",
            fields,
            &body,
        )?;
        let added = answer.replies.into_iter().find_map(|reply| reply.add_sheet);
        let tab = Tab::from(
            added
                .ok_or_else(|| Error::Unreadable("no reply to addSheet".into()))?
                .properties,
        );
        self.remember(spreadsheet_id, tab.clone());
        Ok(tab)
    }

    /// The tab's title and size as last seen; asked for where it was never seen.
    fn tab(&self, target: &Target) -> Result<Tab, Error> {
        let known = self
            .state()
            .tabs
            .get(&(target.spreadsheet_id.clone(), target.sheet_id))
            .cloned();
        match known {
            Some(tab) => Ok(tab),
            None => self.fresh_tab(target),
        }
    }

    fn fresh_tab(&self, target: &Target) -> Result<Tab, Error> {
        let tabs = self.overview(&target.spreadsheet_id)?.tabs;
        tabs.into_iter()
            .find(|tab| tab.sheet_id == target.sheet_id)
            .ok_or(Error::TabGone(target.sheet_id))
    }

    /// Why something was refused that names these rows: they may be beyond the tab's end by now
    /// (G-RANGES-5), which is looked up and not told by the refusal's words.
    fn outdated_rows(
        &self,
        target: &Target,
        mut rows: impl Iterator<Item = u32>,
        error: Error,
    ) -> Error {
        self.outdated(target, |tab| rows.any(|row| row >= tab.rows), error)
    }

    /// The same of whatever may be beyond the tab's end.
    fn outdated(
        &self,
        target: &Target,
        is_beyond: impl FnOnce(&Tab) -> bool,
        error: Error,
    ) -> Error {
        if error
            .refusal()
            .is_none_or(|refusal| refusal.http_status != 400)
        {
            return error;
        }
        match self.fresh_tab(target) {
            Ok(tab) if is_beyond(&tab) => {
                Error::Unsettled("rows or columns were deleted from it".into())
            }
            Ok(_) => error,
            Err(gone @ Error::TabGone(_)) => gone,
            Err(_) => error,
        }
    }

    fn remember(&self, spreadsheet_id: &str, tab: Tab) {
        self.state()
            .tabs
            .insert((spreadsheet_id.to_owned(), tab.sheet_id), tab);
    }

    fn forget_tab(&self, target: &Target) {
        self.state()
            .tabs
            .remove(&(target.spreadsheet_id.clone(), target.sheet_id));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<answers::SheetProperties> for Tab {
    fn from(sheet: answers::SheetProperties) -> Self {
        let grid = sheet.grid_properties.unwrap_or_default();
        Self {
            sheet_id: sheet.sheet_id,
            title: sheet.title,
            hidden: sheet.hidden,
            has_cells: sheet.grid_properties.is_some()
                && matches!(sheet.sheet_type.as_str(), "" | "GRID"),
            rows: grid.row_count,
            columns: grid.column_count,
            frozen_rows: grid.frozen_row_count,
        }
    }
}

impl BatchUpdate {
    /// A batch of whose effect nothing but the replies is told.
    fn of(requests: Vec<Request>) -> Self {
        Self {
            requests,
            include_spreadsheet_in_response: false,
            response_ranges: Vec::new(),
            response_include_grid_data: false,
        }
    }
}
