//! Who writes to a tab. An entry of ours on the tab (developer metadata) says which database does,
//! and which turn was its last; the database counts its turns too, and stores each before it is
//! sent. So a copy of a database, one that was restored, and a spreadsheet that was put back are
//! known before anything is read from them or written to them.
//!
//! Every batch under a stamp takes the entry away as it was last seen and puts it back with the
//! batch's own turn. Where it is another one by then, nothing is taken away, and the new one is
//! refused because its id is in use: the batch is not applied at all. A service that does not let an
//! id be used again within a batch is found out by the probe; there the entry's value is changed,
//! and a batch that was outrun shows it in its answer only.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use engine::effect::{Failure, MetadataId};

use super::lookup::may_have_matched_nothing;
use super::{Answered, Session, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{
    BatchUpdate, DataFilter, DeveloperMetadata, Location, Lookup, MetadataValue, Request,
    Visibility,
};

pub const WRITER_KEY: &str = "sheet_sync_writer";

/// Told from the tab's own id, so that every process finds the same.
const DISTANCE: i32 = 0x51c3_7a05;

/// One database of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Postgres's system identifier.
    pub cluster: u64,
    pub database: u32,
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.database)
    }
}

impl FromStr for Home {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (cluster, database) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self {
            cluster: cluster.parse()?,
            database: database.parse()?,
        })
    }
}

/// What a database knows of its own writing to a tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub home: Home,
    /// Where the mapping was before somebody said that it goes on here.
    pub moved_from: Option<Home>,
    /// When the mapping was made, in milliseconds. Of two mappings that one database has had of a
    /// tab, the later one counts.
    pub made_at: i64,
    pub time_line: u32,
    /// The last turn that was begun.
    pub turn: i64,
    /// Tells it from a turn of this number that a copy of the database has begun.
    pub mark: u32,
    /// The last one of the time line before, or of the former home.
    pub forked_at: i64,
    /// The last one that is known to have arrived.
    pub arrived: Option<i64>,
    /// Somebody said that the tab is this database's from now on, whoever wrote to it before.
    pub takes_over: bool,
    /// It only follows the sheet, and is in nobody's way: what another database writes there is
    /// none of its business.
    pub only_reads: bool,
}

/// Why a database may not go on with a tab.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub enum NotOurs {
    /// Another database writes to it; what is known of that one.
    Taken(String),
    /// It knows later writes of this database than the database itself does.
    IsAhead,
    /// It knows fewer of our writes than have arrived.
    PutBack,
}

/// What stands on the tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    home: Home,
    /// Of the spreadsheet's id: what was copied along with a whole spreadsheet says nothing of the
    /// copy.
    book: u32,
    made_at: i64,
    time_line: u32,
    turn: i64,
    mark: u32,
}

impl Entry {
    /// Every character counts against the 30,000 that a tab has for metadata, and travels with
    /// every write.
    fn text(&self) -> String {
        format!(
            "{:x}/{:x}/{:x}/{:x}/{:x}/{:x}/{:x}",
            self.home.cluster,
            self.home.database,
            self.book,
            self.made_at,
            self.time_line,
            self.turn,
            self.mark
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut next = || parts.next();
        let entry = Self {
            home: Home {
                cluster: u64::from_str_radix(next()?, 16).ok()?,
                database: u32::from_str_radix(next()?, 16).ok()?,
            },
            book: u32::from_str_radix(next()?, 16).ok()?,
            made_at: i64::from_str_radix(next()?, 16).ok()?,
            time_line: u32::from_str_radix(next()?, 16).ok()?,
            turn: i64::from_str_radix(next()?, 16).ok()?,
            mark: u32::from_str_radix(next()?, 16).ok()?,
        };
        next().is_none().then_some(entry)
    }
}

impl Writer {
    fn entry(&self, spreadsheet_id: &str) -> Entry {
        Entry {
            home: self.home,
            book: book(spreadsheet_id),
            made_at: self.made_at,
            time_line: self.time_line,
            turn: self.turn,
            mark: self.mark,
        }
    }

    /// Whether this database may go on, by what stands on the tab.
    pub fn judge(&self, spreadsheet_id: &str, standing: Option<&str>) -> Result<(), NotOurs> {
        if self.takes_over {
            return Ok(());
        }
        let entry = match standing.map(Entry::parse) {
            // Nobody knows who that is.
            Some(None) => return Err(NotOurs::Taken("an unknown one".to_owned())),
            Some(Some(entry)) if entry.book == book(spreadsheet_id) => entry,
            // Nobody has written to it: it is new, or came with a copy of another spreadsheet.
            _ => return self.missed(),
        };
        let of_another = || NotOurs::Taken(format!("database {}", entry.home));
        let known = match entry.home {
            home if home == self.home => match entry.made_at.cmp(&self.made_at) {
                // A former mapping of this database, which has ended.
                Ordering::Less => return self.missed(),
                Ordering::Greater => return Err(NotOurs::IsAhead),
                Ordering::Equal => match entry.time_line.cmp(&self.time_line) {
                    Ordering::Less => self.forked_at,
                    Ordering::Equal => self.turn,
                    Ordering::Greater => return Err(NotOurs::IsAhead),
                },
            },
            home if Some(home) == self.moved_from && entry.made_at == self.made_at => {
                self.forked_at
            }
            _ => return Err(of_another()),
        };
        let is_of_a_copy =
            entry.home == self.home && entry.turn == self.turn && entry.mark != self.mark;
        if entry.turn > known || is_of_a_copy {
            return Err(NotOurs::IsAhead);
        }
        match self.arrived {
            Some(arrived) if entry.turn < arrived => Err(NotOurs::PutBack),
            _ => Ok(()),
        }
    }

    /// The same for one that reads: who only reads is in nobody's way.
    fn judge_reading(&self, spreadsheet_id: &str, standing: Option<&str>) -> Result<(), NotOurs> {
        match self.judge(spreadsheet_id, standing) {
            Err(NotOurs::Taken(_)) if self.only_reads => Ok(()),
            judged => judged,
        }
    }

    /// None of our turns stands there.
    fn missed(&self) -> Result<(), NotOurs> {
        match self.arrived {
            Some(_) => Err(NotOurs::PutBack),
            None => Ok(()),
        }
    }

    /// Whether it is this very writer whose turn stands there: the same mapping, of the same
    /// database and time line.
    fn wrote(&self, spreadsheet_id: &str, standing: Option<&str>) -> bool {
        let own = self.entry(spreadsheet_id);
        let entry = standing.and_then(Entry::parse);
        entry.is_some_and(|entry| {
            Entry {
                turn: own.turn,
                mark: own.mark,
                ..entry
            } == own
        })
    }
}

impl NotOurs {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Taken(_) => "tab_taken",
            Self::IsAhead => "sheet_is_ahead",
            Self::PutBack => "sheet_put_back",
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Taken(other) => format!("another database writes to this tab ({other})"),
            Self::IsAhead => "the sheet knows later writes of this database than the database itself: it was restored from a backup, or another copy of it writes to the sheet".to_owned(),
            Self::PutBack => "the spreadsheet knows fewer writes of this database than it has had: it was put back to an older version".to_owned(),
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Taken(_) => {
                "If this database is to write to it from now on, call sheet_sync.take_over() with the table and the winner ('database', 'sheet' or 'merge'); the other one stops at its next turn. Otherwise end the mapping with sheet_sync.unregister_table()."
            }
            Self::IsAhead => {
                "If this database is the one that goes on, say whose rows count: sheet_sync.take_over() with the table and the winner ('database': the sheet becomes as the table is; 'sheet': the table becomes as the sheet is; 'merge': as register_table() merges). If it is a copy, end the mapping with sheet_sync.unregister_table()."
            }
            Self::PutBack => {
                "Say whose rows count: sheet_sync.take_over() with the table and the winner ('database': the sheet becomes as the table is; 'sheet': the table becomes as the sheet is; 'merge': as register_table() merges). Or bring the newer version back in Google Sheets (File > Version history)."
            }
        }
    }
}

/// FNV-1a: the same in every version and on every machine.
fn book(spreadsheet_id: &str) -> u32 {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    spreadsheet_id.bytes().fold(0x811c_9dc5, fold)
}

pub(super) fn writer_id(sheet_id: i32) -> MetadataId {
    // Ids begin at 1.
    (sheet_id.wrapping_add(DISTANCE) & i32::MAX).max(1)
}

/// What a batch under a stamp does to the tab's entry.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub before: Before,
    pub requests: Vec<Request>,
}

/// The entry that a batch was made for, and how the batch makes another one of it.
#[derive(Debug, Default)]
pub(super) enum Before {
    /// The batch is in nobody's name.
    #[default]
    Unasked,
    /// There was none. It is made, which is refused where one stands by then.
    Nobodys,
    /// It is taken away and made anew. Where it is another one by then, that is refused.
    Exchanged(String),
    /// Its value is changed, for a service that refuses the exchange. Where it is another one by
    /// then, the batch is applied nonetheless, and only its answer tells.
    Updated(String),
}

impl Before {
    fn seen(&self) -> Option<&str> {
        match self {
            Self::Unasked | Self::Nobodys => None,
            Self::Exchanged(seen) | Self::Updated(seen) => Some(seen),
        }
    }
}

impl Turn {
    pub(super) fn of(sheet_id: i32, before: Before, next: String) -> Self {
        let requests = match &before {
            Before::Unasked => Vec::new(),
            Before::Nobodys => vec![made(sheet_id, next)],
            Before::Exchanged(seen) => {
                vec![taken_away(sheet_id, seen.clone()), made(sheet_id, next)]
            }
            Before::Updated(seen) => vec![Request::UpdateDeveloperMetadata {
                data_filters: vec![as_seen(sheet_id, seen.clone())],
                developer_metadata: MetadataValue {
                    metadata_value: next,
                },
                fields: "metadataValue",
            }],
        };
        Self { before, requests }
    }
}

fn as_seen(sheet_id: i32, seen: String) -> DataFilter {
    DataFilter::DeveloperMetadataLookup(Lookup {
        metadata_id: Some(writer_id(sheet_id)),
        metadata_value: Some(seen),
        ..Lookup::default()
    })
}

fn taken_away(sheet_id: i32, seen: String) -> Request {
    Request::DeleteDeveloperMetadata {
        data_filter: as_seen(sheet_id, seen),
    }
}

fn made(sheet_id: i32, next: String) -> Request {
    Request::CreateDeveloperMetadata {
        developer_metadata: DeveloperMetadata {
            metadata_id: writer_id(sheet_id),
            metadata_key: WRITER_KEY,
            metadata_value: next,
            location: Location::SheetId(sheet_id),
            visibility: Visibility::Document,
        },
    }
}

/// Whether the entry stood there as it was seen, by the reply to what took it away or changed it.
fn stood_there(reply: Option<&answers::Reply>) -> bool {
    reply.is_some_and(|reply| {
        let deleted = &reply.delete_developer_metadata;
        let updated = &reply.update_developer_metadata;
        let is_deleted =
            |one: &answers::DeletedMetadata| !one.deleted_developer_metadata.is_empty();
        let is_updated = |one: &answers::UpdatedMetadata| !one.developer_metadata.is_empty();
        deleted.as_ref().is_some_and(is_deleted) || updated.as_ref().is_some_and(is_updated)
    })
}

impl Session {
    /// What a batch under a stamp begins with. Fails where the tab is not ours to write to.
    pub(super) fn turn(&self, target: &Target) -> Result<Turn, Error> {
        let Some(writer) = &target.writer else {
            return Ok(Turn::default());
        };
        let standing = self.judged_entry(target, |standing| {
            writer.judge(&target.spreadsheet_id, standing)
        })?;
        let before = match (standing, self.capabilities().writer_exchange) {
            (None, _) => Before::Nobodys,
            (Some(seen), Answered::No) => Before::Updated(seen),
            (Some(seen), Answered::Yes | Answered::Unknown) => Before::Exchanged(seen),
        };
        let next = writer.entry(&target.spreadsheet_id).text();
        Ok(Turn::of(target.sheet_id, before, next))
    }

    /// Why a batch was refused at its turn: another entry stands there than it was made for, or
    /// the turn has a fault of its own, which is told as the service told it.
    pub(super) fn outrun(&self, target: &Target, before: &Before, error: Error) -> Error {
        let Some(writer) = &target.writer else {
            return error;
        };
        let standing = match self.look_up_entry(target) {
            Ok(standing) => standing,
            Err(unknown) => return unknown,
        };
        match writer.judge(&target.spreadsheet_id, standing.as_deref()) {
            Err(not_ours) => not_ours.into(),
            Ok(()) if standing.as_deref() == before.seen() => error,
            // An earlier batch of ours, of which nobody knew that it had arrived.
            Ok(()) => Error::Unsettled("an earlier batch arrived late".into()),
        }
    }

    /// A batch under a stamp was applied: with it its turn, unless the entry that it was made for
    /// was gone by then.
    pub(super) fn turn_applied(
        &self,
        target: &Target,
        before: &Before,
        reply: Option<&answers::Reply>,
    ) -> Result<(), Error> {
        let Some(writer) = &target.writer else {
            return Ok(());
        };
        let own = writer.entry(&target.spreadsheet_id).text();
        let judge = |standing| match (standing, before.seen()) {
            // Our own turn stood there and is gone.
            (None, seen) if !writer.takes_over && writer.wrote(&target.spreadsheet_id, seen) => {
                Err(NotOurs::PutBack)
            }
            _ => writer.judge(&target.spreadsheet_id, standing),
        };
        match before {
            Before::Unasked => {}
            Before::Exchanged(_) if !stood_there(reply) => {
                // Nothing stood there, or the new one had been refused.
                if let Err(put_back) = judge(None) {
                    // What the tab says by now hides what it is. Without our turn it stays known
                    // until a person has answered.
                    self.forget_entry(target);
                    self.post_turn(target, vec![taken_away(target.sheet_id, own)])?;
                    return Err(put_back.into());
                }
                self.note_entry(target, Some(own));
            }
            Before::Updated(_) if !stood_there(reply) => {
                judge(self.look_up_entry(target)?.as_deref())?;
            }
            Before::Nobodys | Before::Exchanged(_) | Before::Updated(_) => {
                self.note_entry(target, Some(own));
            }
        }
        Ok(())
    }

    /// Nobody knows what stands there by now.
    pub(super) fn forget_entry(&self, target: &Target) {
        let tab = (target.spreadsheet_id.clone(), target.sheet_id);
        self.state().entries.remove(&tab);
    }

    fn note_entry(&self, target: &Target, entry: Option<String>) {
        let tab = (target.spreadsheet_id.clone(), target.sheet_id);
        self.state().entries.insert(tab, entry);
    }

    fn last_seen(&self, target: &Target) -> Option<Option<String>> {
        let tab = (target.spreadsheet_id.clone(), target.sheet_id);
        self.state().entries.get(&tab).cloned()
    }

    /// The tab's entry as last seen; asked for where it is not known.
    fn standing(&self, target: &Target) -> Result<Option<String>, Error> {
        match self.last_seen(target) {
            Some(entry) => Ok(entry),
            None => self.look_up_entry(target),
        }
    }

    /// The tab's entry, judged as it was last seen. What was seen may be older than what is known
    /// of our own turns: nobody is stopped by it before it was looked up afresh.
    fn judged_entry(
        &self,
        target: &Target,
        judge: impl Fn(Option<&str>) -> Result<(), NotOurs>,
    ) -> Result<Option<String>, Error> {
        let standing = self.standing(target)?;
        if judge(standing.as_deref()).is_ok() {
            return Ok(standing);
        }
        let standing = self.look_up_entry(target)?;
        judge(standing.as_deref())?;
        Ok(standing)
    }

    fn look_up_entry(&self, target: &Target) -> Result<Option<String>, Error> {
        let id = writer_id(target.sheet_id);
        let fields = "matchedDeveloperMetadata(developerMetadata(metadataId,metadataValue))";
        let found = self.metadata_of(target, &[id], fields)?.into_iter();
        let entry = found
            .map(|matched| matched.developer_metadata.metadata_value)
            .next();
        self.note_entry(target, entry.clone());
        Ok(entry)
    }

    /// What an answer about the spreadsheet says of a tab's entry.
    pub(super) fn entry_seen(
        &self,
        spreadsheet_id: &str,
        sheet_id: i32,
        metadata: &[answers::DeveloperMetadata],
    ) {
        let id = writer_id(sheet_id);
        let mut metadata = metadata.iter();
        let entry = metadata.find(|one| one.metadata_id == id);
        let entry = entry.map(|one| one.metadata_value.clone());
        let tab = (spreadsheet_id.to_owned(), sheet_id);
        self.state().entries.insert(tab, entry);
    }

    /// Whether the target may go on reading the tab.
    pub(super) fn is_ours_to_read(&self, target: &Target) -> Result<(), Error> {
        let Some(writer) = &target.writer else {
            return Ok(());
        };
        self.judged_entry(target, |standing| {
            writer.judge_reading(&target.spreadsheet_id, standing)
        })
        .map(drop)
    }

    /// The same, by asking Google.
    pub fn check_writer(&self, target: &Target) -> Result<(), Failure> {
        self.forget_entry(target);
        let checked = self.is_ours_to_read(target);
        self.judged(Purpose::Read, &target.spreadsheet_id, checked)
    }

    /// Right after [`Session::open`], by what that saw: nothing is asked.
    pub fn judge_writer(&self, target: &Target) -> Result<(), Failure> {
        let seen = self.last_seen(target);
        let judged = match (&target.writer, seen) {
            (Some(writer), Some(seen)) => writer
                .judge_reading(&target.spreadsheet_id, seen.as_deref())
                .map_err(Error::from),
            _ => Ok(()),
        };
        self.judged(Purpose::Read, &target.spreadsheet_id, judged)
    }

    /// Whether the target's own turn stands on the tab, or its very first is still to come.
    pub fn is_known_as_writer(&self, target: &Target) -> bool {
        let standing = self.last_seen(target).flatten();
        let Some(writer) = &target.writer else {
            return true;
        };
        let new = standing.is_none() && !writer.takes_over;
        new || writer.wrote(&target.spreadsheet_id, standing.as_deref())
    }

    /// Whether the target's turn is known to stand on the tab.
    pub fn turn_has_arrived(&self, target: &Target) -> bool {
        let standing = self.last_seen(target).flatten();
        let own = target.writer.as_ref();
        own.is_some_and(|own| standing == Some(own.entry(&target.spreadsheet_id).text()))
    }

    /// Put the target's turn on the tab, without anything else.
    pub fn take_turn(&self, target: &Target) -> Result<(), Failure> {
        let taken = self.exchanged(target);
        self.judged(Purpose::Write, &target.spreadsheet_id, taken)
    }

    fn exchanged(&self, target: &Target) -> Result<(), Error> {
        // Where this fails, what is seen here stays known, so that the turn is taken again: what
        // another one wrote is not to be taken for nobody's.
        self.look_up_entry(target)?;
        let turn = self.turn(target)?;
        match self.post_turn(target, turn.requests) {
            Ok(answer) => self.turn_applied(target, &turn.before, answer.replies.first()),
            Err(error) if may_have_matched_nothing(&error) => {
                Err(self.outrun(target, &turn.before, error))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn post_turn(
        &self,
        target: &Target,
        requests: Vec<Request>,
    ) -> Result<answers::BatchUpdate, Error> {
        let fields = "replies(deleteDeveloperMetadata(deletedDeveloperMetadata(metadataId)),updateDeveloperMetadata(developerMetadata(metadataId)))";
        self.client.post(
            Purpose::Write,
            &target.spreadsheet_id,
            ":batchUpdate",
            fields,
            &BatchUpdate::of(requests),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "1AbC";
    const HERE: Home = Home {
        cluster: 7_312_345_678_901_234_567,
        database: 16_384,
    };
    const ELSEWHERE: Home = Home {
        database: 16_999,
        ..HERE
    };

    /// In its tenth turn, which has arrived.
    fn writer() -> Writer {
        Writer {
            home: HERE,
            moved_from: None,
            made_at: 1_700_000_000_000,
            time_line: 2,
            turn: 10,
            mark: 0xfeed,
            forked_at: 7,
            arrived: Some(10),
            takes_over: false,
            only_reads: false,
        }
    }

    fn judged(writer: &Writer, change: impl FnOnce(&mut Entry)) -> Result<(), NotOurs> {
        let mut entry = super::Writer {
            turn: 10,
            ..self::writer()
        }
        .entry(BOOK);
        change(&mut entry);
        writer.judge(BOOK, Some(&entry.text()))
    }

    fn taken() -> Result<(), NotOurs> {
        Err(NotOurs::Taken(format!("database {ELSEWHERE}")))
    }

    #[test]
    fn what_it_wrote_last_stands_there() {
        assert_eq!(judged(&writer(), |_| ()), Ok(()));
        let begun = Writer {
            turn: 11,
            mark: 0xbee,
            ..writer()
        };
        let of_a_copy = judged(&begun, |entry| entry.turn = 11);
        assert_eq!(
            of_a_copy,
            Err(NotOurs::IsAhead),
            "a turn of the same number"
        );
        assert_eq!(judged(&begun, |_| ()), Ok(()), "the answer is still owed");
        assert_eq!(
            judged(&begun, |entry| {
                entry.turn = 11;
                entry.mark = 0xbee;
            }),
            Ok(()),
            "it was lost"
        );
    }

    #[test]
    fn a_later_turn_than_it_knows_of_stops_it() {
        assert_eq!(
            judged(&writer(), |entry| entry.turn = 11),
            Err(NotOurs::IsAhead)
        );
        let fresh = Writer {
            turn: 0,
            arrived: None,
            ..writer()
        };
        assert_eq!(judged(&fresh, |_| ()), Err(NotOurs::IsAhead));
        assert_eq!(
            judged(&writer(), |entry| entry.made_at += 1),
            Err(NotOurs::IsAhead),
            "a later mapping of this database"
        );
    }

    #[test]
    fn an_earlier_turn_than_has_arrived_stops_it() {
        assert_eq!(
            judged(&writer(), |entry| entry.turn = 9),
            Err(NotOurs::PutBack)
        );
        assert_eq!(writer().judge(BOOK, None), Err(NotOurs::PutBack));
        assert_eq!(
            judged(&writer(), |entry| entry.made_at -= 1),
            Err(NotOurs::PutBack)
        );
    }

    #[test]
    fn a_new_mapping_takes_what_nobody_has_or_its_own_database_had() {
        let new = Writer {
            turn: 0,
            arrived: None,
            ..writer()
        };
        assert_eq!(new.judge(BOOK, None), Ok(()));
        assert_eq!(judged(&new, |entry| entry.made_at -= 1), Ok(()));
        assert_eq!(
            judged(&new, |entry| {
                entry.home = ELSEWHERE;
                entry.book = book("another spreadsheet, of which this is a copy");
            }),
            Ok(())
        );
        assert_eq!(judged(&new, |entry| entry.home = ELSEWHERE), taken());
        let unknown = NotOurs::Taken("an unknown one".to_owned());
        assert_eq!(new.judge(BOOK, Some("of a later version")), Err(unknown));
    }

    #[test]
    fn a_promoted_standby_goes_on_where_it_has_all_and_the_old_primary_does_not() {
        let standby = Writer {
            turn: 7,
            arrived: Some(7),
            ..writer()
        };
        let of_primary = |turn| {
            move |entry: &mut Entry| {
                entry.time_line = 1;
                entry.turn = turn;
            }
        };
        assert_eq!(judged(&standby, of_primary(7)), Ok(()));
        assert_eq!(judged(&standby, of_primary(8)), Err(NotOurs::IsAhead));
        let further_on = Writer {
            turn: 9,
            arrived: Some(7),
            ..writer()
        };
        assert_eq!(
            judged(&further_on, of_primary(8)),
            Err(NotOurs::IsAhead),
            "the primary took a turn of its own after the standby was promoted"
        );
        let old = Writer {
            time_line: 1,
            turn: 20,
            arrived: Some(8),
            ..writer()
        };
        assert_eq!(judged(&old, |_| ()), Err(NotOurs::IsAhead));
    }

    #[test]
    fn a_database_that_was_moved_goes_on_where_it_has_all() {
        let moved = Writer {
            home: ELSEWHERE,
            moved_from: Some(HERE),
            time_line: 1,
            turn: 11,
            forked_at: 10,
            arrived: None,
            ..writer()
        };
        assert_eq!(judged(&moved, |_| ()), Ok(()));
        assert_eq!(
            judged(&moved, |entry| entry.turn = 11),
            Err(NotOurs::IsAhead)
        );
        let not_said = Writer {
            moved_from: None,
            ..moved
        };
        assert!(matches!(judged(&not_said, |_| ()), Err(NotOurs::Taken(_))));
    }

    #[test]
    fn whoever_takes_over_asks_nobody() {
        let takes = Writer {
            takes_over: true,
            ..writer()
        };
        assert_eq!(judged(&takes, |entry| entry.home = ELSEWHERE), Ok(()));
        assert_eq!(judged(&takes, |entry| entry.turn = 99), Ok(()));
        assert_eq!(takes.judge(BOOK, None), Ok(()));
    }

    #[test]
    fn an_entry_reads_as_it_was_written() {
        let entry = writer().entry(BOOK);
        assert_eq!(Entry::parse(&entry.text()), Some(entry));
        assert!(entry.text().len() < 60, "{}", entry.text());
        assert_eq!(HERE.to_string().parse(), Ok(HERE));
    }
}
