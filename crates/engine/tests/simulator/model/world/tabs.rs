//! What the two tabs of one table tell one another: the driver's part of a row that a person moves,
//! as the worker has it (`src/worker/tabs.rs`, and `tell_other_tabs` in `src/worker/runner`). Kept
//! in the driver's memory only.

use super::{CONFIRM_AFTER_MS, World};
use engine::effect::{Again, DatabaseOutcome, Has, OtherTab, Report};
use engine::value::{Key, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What was seen of a tab.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// When its last whole reading was asked for.
    pub read_at: Option<Timestamp>,
    /// Keys of rows that the table has not taken from there.
    pub typed: HashSet<Key>,
    /// Rows that it has lost and that are typed into the other tab, since when that is known.
    pub lost: BTreeMap<Key, Timestamp>,
}

#[derive(Default)]
pub(super) struct Tabs {
    pub seen: Seen,
    /// The other tab as it stands.
    pub other: Other,
    /// What this one wants of the other: to be read at once, and these rows to be looked at again.
    pub wants_reading: bool,
    pub look_again: Vec<Key>,
}

#[derive(Clone, Default)]
pub(super) struct Other {
    pub seen: Seen,
    /// Of each key about which something was agreed there, whether it has the row.
    pub bases: BTreeMap<Key, bool>,
    /// Keys of rows that have changed in the table since its cycles looked at them.
    pub queued: BTreeSet<Key>,
    pub is_filtered: bool,
}

impl World {
    /// How the other tab sees this one.
    pub(super) fn as_other(&self) -> Other {
        let bases = self.table.bases.iter();
        let in_sheet = bases.map(|(name, row)| {
            let key = self.table.spelling(name).clone();
            (key, !row.base.sheet.is_empty())
        });
        let queued = self.table.dirty.iter().map(|(_, key, _)| key.clone());
        Other {
            queued: queued.collect(),
            seen: self
                .tabs
                .as_ref()
                .map(|tabs| tabs.seen.clone())
                .unwrap_or_default(),
            bases: in_sheet.collect(),
            is_filtered: self.table.mapping.has_row_filter,
        }
    }

    pub(super) fn ask_other_tab(&self, keys: &[Key]) -> DatabaseOutcome {
        let answer = |key: &Key| {
            let other = self.tabs.as_ref().map(|tabs| &tabs.other)?;
            let has = match other.bases.get(key) {
                _ if other.seen.typed.contains(key) => Has::Typed,
                Some(_) if other.queued.contains(key) => Has::Row,
                _ if other.seen.lost.contains_key(key) => Has::Lost,
                Some(true) => Has::Row,
                Some(false) => Has::Lost,
                None => Has::Nothing,
            };
            Some(OtherTab {
                title: "the other tab".into(),
                has,
                is_filtered: other.is_filtered,
                read_at: other.seen.read_at,
                rests: false,
            })
        };
        let answers = keys.iter().map(|key| answer(key).into_iter().collect());
        DatabaseOutcome::OtherTabs(answers.collect())
    }

    /// At the end of a cycle.
    pub(super) fn tell_other_tab(&mut self, report: &mut Report) {
        let (now, typed) = (self.clock, self.engine.typed());
        let (Some(tabs), Some(read_at), None) = (&mut self.tabs, report.read_at, &report.stopped)
        else {
            return;
        };
        tabs.seen.read_at = Some(read_at);
        tabs.seen.typed = typed;
        let since = match report.again {
            _ if report.awaits_tabs => Some(read_at),
            Some(Again::Confirm(from) | Again::Hold(from)) => {
                Some(Timestamp(from.0 - CONFIRM_AFTER_MS as i64 * 1000))
            }
            _ => None,
        };
        let other = &tabs.other.seen;
        tabs.wants_reading |= since.is_some_and(|since| other.read_at <= Some(since));
        if matches!(report.again, Some(Again::Hold(_))) {
            return;
        }
        let before = std::mem::take(&mut tabs.seen.lost);
        for key in std::mem::take(&mut report.moving) {
            let since = before.get(&key).copied();
            if since.is_none() && other.typed.contains(&key) {
                tabs.look_again.push(key.clone());
                tabs.wants_reading = true;
            }
            tabs.seen.lost.insert(key, since.unwrap_or(now));
        }
        let is_behind = |(key, since): (&Key, &Timestamp)| {
            other.typed.contains(key) && other.read_at < Some(*since)
        };
        if tabs.seen.lost.iter().any(is_behind) {
            report.again = report.again.or(Some(Again::Soon));
        }
    }
}
