//! How it comes to stand on a tab who writes to it (`writer.rs` says what that means).
//!
//! Every batch under a stamp takes the entry away as it was last seen and puts it back with the
//! batch's own turn. Where it is another one by then, nothing is taken away, and the new one is
//! refused because its id is in use: the batch is not applied at all. A service that does not let
//! an id be used again within a batch is found out by the probe; there the entry's value is
//! changed, and a batch that was outrun shows it in its answer only (G-META-6).

use engine::effect::{Failure, MetadataId};

use super::lookup::may_have_matched_nothing;
use super::writer::{NotOurs, WRITER_KEY};
use super::{Answered, Session, Target};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{
    BatchUpdate, DataFilter, DeveloperMetadata, Location, Lookup, MetadataValue, Request,
    Visibility,
};

/// Told from the tab's own id, so that every process finds the same.
const DISTANCE: i32 = 0x51c3_7a05;

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
