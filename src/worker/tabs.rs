//! What the tabs of one table tell one another. A row that a person moves from one to another is
//! missing in the one and typed into the other; neither can know alone that it is one row.
//!
//! Kept in memory only: a worker that begins anew reads every tab before it believes a deletion.

use engine::effect::{Has, OtherTab};
use engine::value::{Key, Timestamp};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::database::key_literal;
use crate::postgres::fields::Fields;
use crate::postgres::statement::Session;

/// A mapping as the others of its table see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// Names the table and its key: tabs that agree in it speak of the same rows by the same keys.
    pub rows: String,
    /// What people type there reaches the table.
    pub gives_rows: bool,
    pub is_filtered: bool,
    pub title: String,
    /// It is not read before a person acts.
    pub rests: bool,
}

/// What was seen of it.
#[derive(Default)]
struct Seen {
    /// When its last whole reading was asked for.
    read_at: Option<Timestamp>,
    /// Keys of rows that the table has not taken from there.
    typed: HashSet<Key>,
    /// Rows that it has lost and that are typed into another tab, since when that is known.
    lost: HashMap<Key, Timestamp>,
}

#[derive(Default)]
pub struct Tabs {
    known: HashMap<i32, (Tab, Seen)>,
    /// Mappings that are to be read at once.
    wanted: HashSet<i32>,
    /// Some of them became so in this turn of the worker.
    news: bool,
    /// By tab: rows of which others were told that they stand there, only because the table's
    /// changes to them had not been looked at. Where such a row is found to be lost after all, the
    /// others are told, though its loss is no news.
    told_early: RefCell<HashMap<i32, HashSet<Key>>>,
}

impl Tabs {
    pub fn look(&mut self, tabs: impl Iterator<Item = (i32, Tab)>) {
        let mut before = std::mem::take(&mut self.known);
        for (id, tab) in tabs {
            let seen = before
                .remove(&id)
                .filter(|(known, _)| known.rows == tab.rows)
                .map(|(_, seen)| seen);
            self.known.insert(id, (tab, seen.unwrap_or_default()));
        }
        let known = &self.known;
        self.wanted.retain(|id| known.contains_key(id));
        self.told_early
            .get_mut()
            .retain(|id, _| known.contains_key(id));
    }

    /// Other tabs from which rows come into the table.
    fn others(&self, of: i32) -> impl Iterator<Item = (i32, &Tab, &Seen)> {
        let rows = self.known.get(&of).map(|(tab, _)| tab.rows.as_str());
        let others = self.known.iter().filter(move |(id, (tab, _))| {
            **id != of && tab.gives_rows && Some(tab.rows.as_str()) == rows
        });
        others.map(|(id, (tab, seen))| (*id, tab, seen))
    }

    pub fn has_others(&self, of: i32) -> bool {
        self.others(of).next().is_some()
    }

    /// What the others have of each of these rows.
    pub fn ask(&self, session: &mut Session, of: i32, keys: &[Key]) -> Vec<Vec<OtherTab>> {
        let literals: Vec<String> = keys.iter().map(key_literal).collect();
        let mut answers = vec![Vec::new(); keys.len()];
        for (id, tab, seen) in self.others(of) {
            let rows = rows_of(session, id, &literals);
            for ((key, answer), row) in keys.iter().zip(&mut answers).zip(rows) {
                let has = match row.in_sheet {
                    _ if seen.typed.contains(key) => Has::Typed,
                    // What has changed since may bring the row back there, or is told as lost.
                    Some(_) if row.is_queued => {
                        let mut told = self.told_early.borrow_mut();
                        told.entry(id).or_default().insert(key.clone());
                        Has::Row
                    }
                    _ if seen.lost.contains_key(key) => Has::Lost,
                    Some(true) => Has::Row,
                    Some(false) => Has::Lost,
                    None => Has::Nothing,
                };
                answer.push(OtherTab {
                    title: tab.title.as_str().into(),
                    has,
                    is_filtered: tab.is_filtered,
                    read_at: seen.read_at,
                    rests: tab.rests,
                });
            }
        }
        answers
    }

    /// A cycle read the tab and came to its end.
    pub fn was_read(&mut self, id: i32, at: Timestamp, typed: HashSet<Key>) {
        if let Some((_, seen)) = self.known.get_mut(&id) {
            seen.read_at = Some(at);
            seen.typed = typed;
        }
    }

    /// These rows have left the tab for others; answers those of which the others do not know yet,
    /// by the tab that has them now.
    pub fn has_lost(&mut self, id: i32, keys: Vec<Key>, now: Timestamp) -> Vec<(i32, Key)> {
        let Some((_, seen)) = self.known.get_mut(&id) else {
            return Vec::new();
        };
        let before = std::mem::take(&mut seen.lost);
        let told = self.told_early.get_mut().entry(id).or_default();
        let mut news = Vec::new();
        for key in keys {
            let since = before.get(&key).copied();
            if told.remove(&key) || since.is_none() {
                news.push(key.clone());
            }
            seen.lost.insert(key, since.unwrap_or(now));
        }
        let typed_in = |key: Key| {
            let mut others = self.others(id);
            let other = others.find(|(_, _, seen)| seen.typed.contains(&key));
            other.map(|(other, ..)| (other, key))
        };
        news.into_iter().filter_map(typed_in).collect()
    }

    /// A row that left this tab waits for another one, which has not been read since.
    pub fn waits_for_others(&self, id: i32) -> bool {
        let Some((_, lost)) = self.known.get(&id) else {
            return false;
        };
        let is_behind = |(key, since): (&Key, &Timestamp)| {
            self.others(id).any(|(_, tab, seen)| {
                seen.typed.contains(key) && !tab.rests && seen.read_at < Some(*since)
            })
        };
        lost.lost.iter().any(is_behind)
    }

    /// The other tabs of the table are to be read, those at least that have not been since then.
    pub fn want_others(&mut self, id: i32, since: Timestamp) {
        let behind: Vec<i32> = self
            .others(id)
            .filter(|(_, tab, seen)| !tab.rests && seen.read_at <= Some(since))
            .map(|(other, ..)| other)
            .collect();
        for other in behind {
            self.want(other);
        }
    }

    pub fn want(&mut self, id: i32) {
        self.news |= self.wanted.insert(id);
    }

    /// Whether the tab is to be read at once.
    pub fn take_wanted(&mut self, id: i32) -> bool {
        self.wanted.remove(&id)
    }

    /// Whether the worker is to take another turn before it sleeps.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }
}

/// What is stored of a row for another tab.
#[derive(Clone, Default)]
struct Stored {
    /// Whether what was agreed on has it in the sheet; `None` where nothing was.
    in_sheet: Option<bool>,
    /// The table's row has changed since that tab's cycles looked at it.
    is_queued: bool,
}

fn rows_of(session: &mut Session, mapping: i32, keys: &[String]) -> Vec<Stored> {
    let mut found = vec![Stored::default(); keys.len()];
    let rows = session.select(
        "SELECT k.place, b.sheet_values <> '[]', q.key IS NOT NULL OR a.all_rows \
         FROM pg_catalog.unnest($2) WITH ORDINALITY k(key, place) \
         JOIN sheet_sync._base_row b ON b.mapping_id = $1 AND b.key = k.key \
         LEFT JOIN (SELECT DISTINCT d.key::text AS key FROM sheet_sync._dirty_key d WHERE d.mapping_id = $1 AND d.key IS NOT NULL) q \
           ON q.key = k.key \
         CROSS JOIN (SELECT EXISTS (SELECT FROM sheet_sync._dirty_key d WHERE d.mapping_id = $1 AND (d.key IS NULL OR d.key = '{}'))) a(all_rows)",
        &[mapping.into(), keys.to_vec().into()],
    );
    for row in rows {
        let mut fields = Fields::of(row);
        let place = fields.number() as usize - 1;
        let stored = Stored {
            in_sheet: Some(fields.flag()),
            is_queued: fields.flag(),
        };
        if let Some(slot) = found.get_mut(place) {
            *slot = stored;
        }
    }
    found
}
