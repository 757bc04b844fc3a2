//! Finding out what Google's documentation leaves open, in a hidden tab of our own that is removed
//! afterwards.

use engine::effect::Reason;
use engine::effect::{Class, Failure, MetadataId};
use engine::value::Cell;

use super::anchors::{anchored, asserted, found_and_deleted};
use super::structure::{Batch, Sent, runs};
use super::turn::{Before, Turn};
use super::write::cell_blocks;
use super::{Answered, Capabilities, Missing, NEW_TAB, Session, Tab, Target, tidy};
use crate::answers;
use crate::error::{Error, Purpose};
use crate::requests::{BatchUpdate, GridProperties, Request, SheetProperties};

/// What the scratch tabs' titles begin with.
const TITLE: &str = "sheet_sync probe ";

impl Session {
    /// Try each of them once; takes about a dozen requests. The session goes by the result from
    /// then on.
    ///
    /// Fails with the reason `unsupported` where the service does not refuse a metadata id that is
    /// in use: without that, no batch is safe to send.
    pub fn probe(&self, spreadsheet_id: &str) -> Result<Capabilities, Failure> {
        let found = self.probe_in_scratch_tab(spreadsheet_id);
        let found = self.judged(Purpose::Write, spreadsheet_id, found)?;
        let capabilities = found.ok_or_else(|| Failure {
            class: Class::NeedsHuman,
            reason: Reason::Unsupported,
            message: "The service lets two metadata entries have one id, so writes to it cannot be made safe".into(),
            hint: "Check sheet_sync.sheets_endpoint.".into(),
            retry_after_ms: None,
            may_have_applied: false,
        })?;
        self.set_capabilities(capabilities);
        Ok(capabilities)
    }

    fn probe_in_scratch_tab(&self, spreadsheet_id: &str) -> Result<Option<Capabilities>, Error> {
        for tab in self.overview(spreadsheet_id)?.tabs {
            if tab.hidden && tab.title.starts_with(TITLE) {
                self.remove_tab(spreadsheet_id, &tab)?;
            }
        }
        let properties = SheetProperties {
            sheet_id: None,
            title: format!("{TITLE}{}", fastrand::u32(..)),
            hidden: true,
            grid_properties: GridProperties {
                row_count: 4,
                column_count: 4,
                ..NEW_TAB
            },
        };
        let tab = self.add_sheet(spreadsheet_id, properties)?;
        let target = Target {
            spreadsheet_id: spreadsheet_id.to_owned(),
            sheet_id: tab.sheet_id,
            header_row: 1,
            checkbox_columns: Vec::new(),
            conventions: None,
            number_formats: Default::default(),
            writer: None,
        };
        let found = self.try_all(&target);
        // Also after a failure: nothing of ours is to be left behind.
        let removed = self.remove_tab(spreadsheet_id, &tab);
        let found = found?;
        removed?;
        Ok(found)
    }

    fn try_all(&self, target: &Target) -> Result<Option<Capabilities>, Error> {
        let (stays, absent) = (
            fastrand::i32(1..=i32::MAX / 2),
            fastrand::i32(i32::MAX / 2 + 1..=i32::MAX),
        );
        let row: Vec<(u32, Cell)> = (0..3)
            .map(|column| (column, Cell::Text("before".into())))
            .collect();
        let mut body = cell_blocks(target.sheet_id, &[(1, &row)]);
        body.push(anchored(target.sheet_id, stays, 1));
        let batch = Batch {
            body,
            read_back: runs([1]),
            ..Batch::default()
        };
        let shown = match self.send(target, batch)? {
            Sent::Applied(applied) => applied.rows,
            Sent::Refused { error, .. } => return Err(error),
            Sent::Stamped => {
                return Err(Error::Unreadable(
                    "refused for a stamp that was not sent".into(),
                ));
            }
        };
        let again = Batch {
            body: vec![anchored(target.sheet_id, stays, 0)],
            ..Batch::default()
        };
        match self.send(target, again) {
            Ok(Sent::Applied(_)) => return Ok(None),
            Ok(Sent::Refused { .. } | Sent::Stamped) => {}
            Err(error) => return Err(error),
        }
        Ok(Some(Capabilities {
            cells_in_answer: if shown.contains_key(&1) {
                Answered::Yes
            } else {
                Answered::No
            },
            anchor_checks: self.try_anchor_checks(target, stays)?,
            missing_metadata: self.try_missing_metadata(target, absent)?,
            writer_exchange: self.try_writer_exchange(target)?,
        }))
    }

    /// The check must pass where the anchor stands, and refuse the batch where it does not.
    fn try_anchor_checks(&self, target: &Target, anchor: MetadataId) -> Result<Answered, Error> {
        let checked = |row| Batch {
            body: asserted(target.sheet_id, anchor, row),
            ..Batch::default()
        };
        let right = self.send(target, checked(1))?;
        let passes = matches!(&right, Sent::Applied(applied) if applied.replies.first().is_some_and(found_and_deleted));
        let refuses = passes && matches!(self.send(target, checked(0))?, Sent::Refused { .. });
        Ok(if refuses { Answered::Yes } else { Answered::No })
    }

    /// The exchange must pass where the entry stands as it was seen, and be refused where it does
    /// not.
    fn try_writer_exchange(&self, target: &Target) -> Result<Answered, Error> {
        let exchanged = |before| {
            let turn = Turn::of(target.sheet_id, before, "next".to_owned());
            refused_or_ignored(self.post_turn(target, turn.requests).map(drop))
        };
        exchanged(Before::Nobodys)?;
        let passes = exchanged(Before::Exchanged("next".to_owned()))? == Missing::Ignored;
        let other = || Before::Exchanged("of another one".to_owned());
        let refuses = passes && exchanged(other())? == Missing::Refused;
        Ok(if refuses { Answered::Yes } else { Answered::No })
    }

    fn try_missing_metadata(&self, target: &Target, gone: MetadataId) -> Result<Missing, Error> {
        let update = BatchUpdate::of(vec![tidy::deletion(gone)]);
        let deleted: Result<answers::BatchUpdate, Error> = self.client.post(
            Purpose::Write,
            &target.spreadsheet_id,
            ":batchUpdate",
            "spreadsheetId",
            &update,
        );
        refused_or_ignored(deleted.map(drop))
    }

    fn remove_tab(&self, spreadsheet_id: &str, tab: &Tab) -> Result<(), Error> {
        let update = BatchUpdate::of(vec![Request::DeleteSheet {
            sheet_id: tab.sheet_id,
        }]);
        let _: answers::BatchUpdate = self.client.post(
            Purpose::Write,
            spreadsheet_id,
            ":batchUpdate",
            "spreadsheetId",
            &update,
        )?;
        self.state()
            .tabs
            .remove(&(spreadsheet_id.to_owned(), tab.sheet_id));
        Ok(())
    }
}

fn refused_or_ignored(outcome: Result<(), Error>) -> Result<Missing, Error> {
    match outcome {
        Ok(()) => Ok(Missing::Ignored),
        Err(error)
            if error
                .refusal()
                .is_some_and(|refusal| refusal.http_status == 400) =>
        {
            Ok(Missing::Refused)
        }
        Err(error) => Err(error),
    }
}
