//! From a line of the catalog to an opened tab: load the mapping, find or make its tab, learn the
//! spreadsheet's time zone.

use engine::cycle::Machine;
use engine::effect::Reason;
use engine::effect::{Failure, Outcome, Stopped};
use engine::mapping::{DateOrder, Direction, Kind, Side};
use engine::zone::Zone;
use google::Target;
use google::governor::Need;
use google::sheet::{Capabilities, Overview, Tab};
use std::time::{Duration, Instant};

use super::failure;
use super::trouble::needs_human;
use super::{Awaits, Job, Opened, Runner};
use crate::postgres::transaction::transaction;
use crate::quota;
use crate::shared::Phase;
use crate::worker::http::{Answer, Grant, Work};
use crate::worker::mappings::{self, Glance};
use crate::worker::{Shared, capabilities, database, states, writer};

/// What a probe takes of the quota, about.
const PROBE: Need = Need {
    reads: 4,
    writes: 11,
};
/// To look who writes, and to say that we do.
const TURN: Need = Need {
    reads: 1,
    writes: 1,
};
/// When its number could not be stored.
pub(super) const WAIT_FOR_TURN: Duration = Duration::from_secs(1);
const WAIT_FOR_PROBE: Duration = Duration::from_millis(200);
const LOOK_IN_BIN_EVERY: Duration = Duration::from_secs(60);
const REOPEN_EVERY: Duration = Duration::from_secs(3600);
/// What is changed in the settings is to be seen within a minute.
const REOPEN_EVERY_OF_TIME: Duration = Duration::from_secs(45);

impl Runner {
    pub fn answered(&mut self, shared: &mut Shared, ticket: u64, answer: Answer) {
        match (&self.job, answer) {
            (Job::Opening { ticket: awaited }, Answer::Opened(overview)) if *awaited == ticket => {
                match overview {
                    Ok(overview) => self.opened(shared, &overview),
                    Err(failure) => self.fail(Stopped::Failure(failure)),
                }
            }
            (Job::Opening { ticket: awaited }, Answer::TabAdded(tab)) if *awaited == ticket => {
                match tab {
                    // Its time zone is in the overview, which is read again with the tab in it.
                    Ok(_) => {
                        self.job = Job::Idle;
                        self.begin(shared);
                    }
                    Err(failure) => self.fail(Stopped::Failure(failure)),
                }
            }
            (Job::Opening { ticket: awaited }, Answer::LookedInBin(in_bin))
                if *awaited == ticket =>
            {
                self.looked_in_bin(shared, in_bin);
            }
            (Job::Opening { ticket: awaited }, Answer::TurnTaken(taken)) if *awaited == ticket => {
                self.turn_taken(shared, taken);
            }
            (Job::Cycle(_, Awaits::Writer(awaited, _)), Answer::WriterChecked(checked))
                if *awaited == ticket =>
            {
                self.writer_checked(shared, checked);
            }
            (Job::Opening { ticket: awaited }, Answer::Probed(probed)) if *awaited == ticket => {
                self.probed(shared, probed);
            }
            (Job::Cycle(_, Awaits::Answer(awaited)), Answer::Performed(outcome))
                if *awaited == ticket =>
            {
                self.note_reading(&outcome);
                let outcome = match outcome {
                    Ok(outcome) => Outcome::Sheet(outcome),
                    Err(failure) => {
                        if let Some(opened) = self.loaded.as_ref() {
                            quota::refused(opened.caller, &failure);
                        }
                        Outcome::Failed(Side::Sheet, failure)
                    }
                };
                self.resume(shared, outcome);
            }
            // The answer to something that was given up meanwhile.
            _ => {}
        }
    }

    pub(super) fn opened(&mut self, shared: &mut Shared, overview: &Overview) {
        self.job = Job::Idle;
        let Some(opened) = &self.loaded else {
            return;
        };
        let mapping = &opened.mapping;
        let by_id = |id: i64| {
            overview
                .tabs
                .iter()
                .find(|tab| i64::from(tab.sheet_id) == id)
        };
        let by_title = |title: &str| {
            overview
                .tabs
                .iter()
                .find(|tab| tab.title.to_lowercase() == title.to_lowercase())
        };
        let tab: &Tab = match (mapping.sheet_id, mapping.sheet_title.as_deref()) {
            (Some(id), _) => match by_id(id) {
                Some(tab) => tab,
                None => {
                    return self.fail(needs_human(
                        Reason::TabGone,
                        &format!("the spreadsheet has no tab with gid {id}, or no more"),
                        "Undo its deletion in Google Sheets, or see that the address is right: end the mapping with sheet_sync.unregister_table() and register the table again.",
                    ));
                }
            },
            (None, title) => {
                let title = title.unwrap_or("Sheet1").to_owned();
                match by_title(&title) {
                    Some(tab) => tab,
                    None if self.is_paused() => return self.foresee_tab(shared, overview),
                    None => {
                        let work = Work::AddTab {
                            spreadsheet_id: mapping.spreadsheet_id.clone(),
                            title,
                        };
                        if let Some(grant) = self.may_send(shared, Need::WRITE) {
                            let ticket = self.send(shared, grant, work);
                            self.job = Job::Opening { ticket };
                        }
                        return;
                    }
                }
            }
        };
        if !tab.has_cells {
            return self.fail(needs_human(
                Reason::NotAGrid,
                "this tab is a chart or a connected sheet and has no cells of its own",
                "End the mapping with sheet_sync.unregister_table() and register the table again, with another tab in the argument sheet.",
            ));
        }
        let sheet_id = i64::from(tab.sheet_id);
        if let Some(other) =
            states::other_mapping_of_tab(self.id, &mapping.spreadsheet_id, sheet_id)
        {
            return self.fail(needs_human(
                Reason::TabTaken,
                &format!("table {other} is mapped to this tab already"),
                "End one of the two mappings with sheet_sync.unregister_table().",
            ));
        }
        states::show_tab(self.id, sheet_id, &tab.title);
        let target = Target {
            spreadsheet_id: mapping.spreadsheet_id.clone(),
            sheet_id: tab.sheet_id,
            header_row: mapping.engine.header_row,
            checkbox_columns: Vec::new(),
            conventions: Some(overview.conventions.clone()),
            number_formats: mapping.number_formats(),
            writer: Some(opened.standing.writer.clone()),
        };
        if let Err(failure) = opened.google.judge_writer(&target) {
            return self.fail(Stopped::Failure(failure));
        }
        if let Err(stopped) = self.take_conventions(overview, Some(sheet_id)) {
            return self.fail(stopped);
        }
        if let Some(opened) = &mut self.loaded {
            opened.target = Some((target, Instant::now()));
            opened.lacks_tab = false;
        }
        self.turn_ends();
        self.begin(shared);
    }

    /// Only a preview begins a cycle while the mapping is paused: it goes on as with a blank tab.
    fn foresee_tab(&mut self, shared: &mut Shared, overview: &Overview) {
        if let Err(stopped) = self.take_conventions(overview, None) {
            return self.fail(stopped);
        }
        if let Some(opened) = &mut self.loaded {
            opened.target = None;
            opened.lacks_tab = true;
        }
        self.begin(shared);
    }

    /// In which time zone and in which order of digits the spreadsheet's cells are read.
    fn take_conventions(
        &mut self,
        overview: &Overview,
        sheet_id: Option<i64>,
    ) -> Result<(), Stopped> {
        let Some(opened) = &mut self.loaded else {
            return Ok(());
        };
        let mapping = &opened.mapping;
        if opened.standing.is_copy {
            return Err(Stopped::Failure(writer::copied_files(&mapping.table)));
        }
        let time_zone = &overview.conventions.time_zone;
        let mut kinds = mapping.engine.columns.iter().map(|column| column.kind);
        let zone = match Zone::of_spreadsheet(time_zone) {
            Some(zone) => zone,
            None if kinds.any(|kind| kind == Kind::TimestampTz) => {
                return Err(needs_human(
                    Reason::TimeZone,
                    &format!(
                        "the time zone of the spreadsheet, \"{time_zone}\", is not known, so nobody can tell which instants its cells stand for"
                    ),
                    "Choose another one in Google Sheets (File > Settings > Time zone); the sync goes on by itself.",
                ));
            }
            // Nothing that this table shows depends on it.
            None => Zone::UTC,
        };
        states::show_time_zone(self.id, time_zone);
        let order = DateOrder::of_locale(&overview.conventions.locale);
        let known = opened.machine.mapping();
        if (known.time_zone, known.date_order, known.sheet_id) != (zone, order, sheet_id) {
            let mut engine = known.clone();
            engine.time_zone = zone;
            engine.date_order = order;
            engine.sheet_id = sheet_id;
            opened.mapping.engine = engine.clone();
            opened.machine = opened.machine.renewed(engine);
        }
        Ok(())
    }

    pub(super) fn load(&mut self, shared: &mut Shared, glance: &Glance) -> Result<(), Failure> {
        let mut standing = writer::load(self.id)?;
        let mapping =
            transaction(|session| mappings::load(session, self.id)).map_err(database::failure)?;
        let mapping = match mapping {
            Some(Ok(mapping)) => mapping,
            Some(Err(unfit)) => {
                return Err(failure(unfit.reason.clone(), &unfit.message, &unfit.hint));
            }
            None => {
                let hint = "The table was unregistered or dropped.";
                return Err(failure(Reason::MappingGone, "the mapping was ended", hint));
            }
        };
        standing.writer.only_reads = mapping.engine.direction == Direction::FromSheet;
        let google = shared.sessions.get(&mapping.credential)?;
        if std::mem::take(&mut self.asks_anew) {
            google.client().identity().forget_refusal();
        }
        let mut machine = Machine::new(mapping.engine.clone());
        let notes_on = mapping.engine.notes_on_problems;
        if std::mem::replace(&mut self.notes_on, notes_on) && !notes_on {
            machine.take_notes_off();
        }
        let caller = quota::caller(google.client().identity(), self.database, self.id);
        self.loaded = Some(Opened {
            version: glance.version.clone(),
            mapping,
            google,
            target: None,
            lacks_tab: false,
            bin_looked_at: None,
            machine,
            caller,
            standing,
        });
        Ok(())
    }

    /// How soon the tab is opened again, to see whether its title or the spreadsheet's time zone
    /// and locale have changed: soon where they decide what cells show and mean.
    pub(super) fn reopen_every(&self) -> Duration {
        let of_time = |kind: Kind| {
            matches!(
                kind,
                Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz | Kind::Interval
            )
        };
        let columns = self
            .loaded
            .iter()
            .flat_map(|opened| &opened.mapping.engine.columns);
        match columns.map(|column| column.kind).any(of_time) {
            true => REOPEN_EVERY_OF_TIME,
            false => REOPEN_EVERY,
        }
    }

    /// A spreadsheet in the bin answers to everything as if nothing were, so Drive is asked, whose
    /// quota is another one: at first, after any trouble, and now and then when nobody waits for
    /// anything.
    pub(super) fn is_bin_look_due(&self, glance: &Glance) -> bool {
        let looked_at = self.loaded.as_ref().and_then(|opened| opened.bin_looked_at);
        let nobody_waits = self.requests.is_empty() && !glance.has_dirty;
        looked_at.is_none_or(|at| at.elapsed() > LOOK_IN_BIN_EVERY && nobody_waits)
    }

    pub(super) fn look_in_bin(&mut self, shared: &mut Shared) {
        let Some(opened) = &self.loaded else { return };
        let work = Work::LookInBin {
            spreadsheet_id: opened.mapping.spreadsheet_id.clone(),
        };
        // Drive counts its requests by itself.
        if let Some(grant) = self.may_send(shared, Need::default()) {
            let ticket = self.send(shared, grant, work);
            self.job = Job::Opening { ticket };
        }
    }

    /// Where Drive does not say, what the sheet says counts.
    fn looked_in_bin(&mut self, shared: &mut Shared, in_bin: Result<bool, Failure>) {
        self.job = Job::Idle;
        if in_bin == Ok(true) {
            return self.fail(needs_human(
                Reason::InBin,
                "the spreadsheet is in the bin of Google Drive; nothing is read from it or written to it",
                "Restore it in Google Drive (Bin > Restore); the sync goes on by itself. Or end the mapping with sheet_sync.unregister_table().",
            ));
        }
        if let Some(opened) = &mut self.loaded {
            opened.bin_looked_at = Some(Instant::now());
        }
        self.begin(shared);
    }

    /// Before anything is written with an account: how does the service behave where its
    /// documentation says nothing?
    pub(super) fn needs_probe(&self) -> bool {
        self.loaded.as_ref().is_some_and(|opened| {
            opened.mapping.engine.direction != Direction::FromSheet
                && !capabilities::are_known(&opened.google)
        })
    }

    pub(super) fn probe(&mut self, shared: &mut Shared) {
        let Some(opened) = &self.loaded else { return };
        let account = opened.google.client().identity().account().to_owned();
        let spreadsheet_id = opened.mapping.spreadsheet_id.clone();
        if shared.probing.contains(&account) {
            self.not_before = Some(Instant::now() + WAIT_FOR_PROBE);
            return;
        }
        if let Some(grant) = self.may_send(shared, PROBE) {
            shared.probing.insert(account);
            let ticket = self.send(shared, grant, Work::Probe { spreadsheet_id });
            self.job = Job::Opening { ticket };
        }
    }

    fn probed(&mut self, shared: &mut Shared, probed: Result<Capabilities, Failure>) {
        self.job = Job::Idle;
        let Some(opened) = &self.loaded else { return };
        shared
            .probing
            .remove(opened.google.client().identity().account());
        match probed {
            Ok(capabilities) => {
                capabilities::remember(&opened.google, &capabilities);
                self.begin(shared);
            }
            Err(failure) => {
                quota::refused(opened.caller, &failure);
                self.fail(Stopped::Failure(failure));
            }
        }
    }

    /// Whether the tab has to be told first who writes to it from now on: where another one did, or
    /// this one on another time line.
    pub(super) fn needs_turn(&self) -> bool {
        self.loaded.as_ref().is_some_and(|opened| {
            let target = opened.target.as_ref();
            opened.mapping.engine.direction != Direction::FromSheet
                && target.is_some_and(|(target, _)| !opened.google.is_known_as_writer(target))
        })
    }

    pub(super) fn take_turn(&mut self, shared: &mut Shared) {
        let Some(grant) = self.may_send(shared, TURN) else {
            return;
        };
        let Some(target) = self.target_of_turn() else {
            self.not_before = Some(Instant::now() + WAIT_FOR_TURN);
            return;
        };
        let target = Box::new(target);
        let ticket = self.send(shared, grant, Work::TakeTurn { target });
        self.job = Job::Opening { ticket };
    }

    /// The tab, in the name of a new turn; `None` where that cannot be stored, and is tried again
    /// in a moment.
    pub(super) fn target_of_turn(&mut self) -> Option<Target> {
        let opened = self.loaded.as_mut()?;
        let (target, _) = opened.target.as_mut()?;
        match writer::begin_turn(self.id, &mut opened.standing.writer) {
            Ok(()) => {
                target.writer = Some(opened.standing.writer.clone());
                Some(target.clone())
            }
            Err(refusal) => {
                pgrx::log!("sheet_sync: a turn could not be begun: {}", refusal.message);
                None
            }
        }
    }

    fn turn_taken(&mut self, shared: &mut Shared, taken: Result<(), Failure>) {
        self.job = Job::Idle;
        match taken {
            Ok(()) => {
                self.turn_ends();
                self.begin(shared);
            }
            Err(failure) => self.fail(Stopped::Failure(failure)),
        }
    }

    /// Once its turn is seen on the tab, the tab is known by it.
    pub(super) fn turn_ends(&mut self) {
        if let Some(turn) = self.arrived_turn() {
            writer::turn_has_arrived(self.id, turn);
        }
    }

    /// The turn that was seen on the tab and is still to be stored.
    pub(super) fn arrived_turn(&mut self) -> Option<i64> {
        let opened = self.loaded.as_mut()?;
        let (target, _) = opened.target.as_mut()?;
        let writer = &mut opened.standing.writer;
        if writer.arrived == Some(writer.turn) || !opened.google.turn_has_arrived(target) {
            return None;
        }
        writer.arrived = Some(writer.turn);
        writer.moved_from = None;
        writer.takes_over = false;
        target.writer = Some(writer.clone());
        Some(writer.turn)
    }

    /// For requests outside of cycles: where the quota does not allow one now, the mapping rests
    /// until it does.
    pub(super) fn may_send(&mut self, shared: &Shared, need: Need) -> Option<Grant> {
        match self.ask(shared, need, !self.requests.is_empty()) {
            Ok(grant) => Some(grant),
            Err(wait) => {
                self.not_before = Some(Instant::now() + wait);
                None
            }
        }
    }

    pub(super) fn send(&mut self, shared: &mut Shared, grant: Grant, work: Work) -> u64 {
        if matches!(work, Work::Open { .. } | Work::AddTab { .. }) {
            self.live.phase = Phase::Opening;
        }
        let address = shared.http.address(self.id);
        if let Some(opened) = &self.loaded {
            let to = vec![address];
            shared.http.send(to, opened.google.clone(), grant, work);
        }
        address.ticket
    }
}
