//! Two tabs of one table, each with a mapping, a row filter and a driver's cycles of its own. The
//! table's rows are handed over after every step, as a change that somebody made to the table; both
//! ledgers hold the engine to its promises for one tab, and this to what it promises for both.

use super::super::ledger::{Sides, keys_in_sheet};
use super::super::settled;
use super::super::setup::{Filter, Setup, key_of_cells};
use super::super::sheet::SheetEdit;
use super::super::{Verdict, broken};
use super::tabs::{Seen, Tabs};
use super::{BOTH, Maker, World};
use super::{DriverBugs, Rules};
use engine::effect::Scope;
use engine::value::{Cell, Key};
use std::collections::{BTreeMap, BTreeSet};

/// Ways in which the driver could be wrong about the other tab, for the deliberate bugs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PairBug {
    #[default]
    None,
    /// The other tab passes for read just now.
    UnreadTakenForRead,
    /// What people typed into it is not told.
    TypedNotTold,
}

/// What becomes of the row of which the cells were taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Copied {
    /// It is deleted, or only its cells are.
    Deleted,
    Cleared,
    /// It stays: a copy.
    Stays,
}

/// What a person puts into the cell by which the tabs are told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placed {
    /// What belongs in the tab where the row is pasted.
    Fitting,
    /// What stood there before, or nothing.
    AsBefore,
    Blank,
}

pub struct Pair {
    pub worlds: [World; 2],
    bug: PairBug,
    clipboard: Option<Vec<Cell>>,
    /// What was done so far.
    acts: u32,
    /// Since when each tab has had a row with this key, and when it lost one last.
    since: [BTreeMap<Key, u32>; 2],
    lost: [BTreeMap<Key, u32>; 2],
}

impl Pair {
    /// The rows of the table stand in neither tab yet.
    pub fn new(setup: Setup, filters: [Filter; 2], maker: Maker, bug: PairBug) -> Self {
        let world = |filter| {
            let setup = Setup { filter, ..setup };
            let mut world = World::new(setup, maker, DriverBugs::default(), Rules::default());
            world.tabs = Some(Tabs::default());
            world
        };
        Self {
            worlds: filters.map(world),
            bug,
            clipboard: None,
            acts: 0,
            since: Default::default(),
            lost: Default::default(),
        }
    }

    pub fn say(&mut self, words: impl Fn() -> String) {
        self.worlds.iter_mut().for_each(|world| world.say(&words));
    }

    /// Somebody does something to the table, or in one of the tabs.
    pub fn person(&mut self, tab: usize, act: impl FnOnce(&mut World) -> Verdict) -> Verdict {
        self.let_act(tab, act)?;
        self.note_places();
        Ok(())
    }

    /// The engine does something for one of the tabs.
    pub fn engine(&mut self, tab: usize, act: impl FnOnce(&mut World) -> Verdict) -> Verdict {
        let before = self.identities();
        self.let_act(tab, act)?;
        let after: BTreeSet<u32> = self.identities().into_values().collect();
        let gone = before.into_iter().filter(|(_, row)| !after.contains(row));
        for (key, _) in gone {
            self.is_nowhere(tab, &key)?;
        }
        self.note_places();
        Ok(())
    }

    fn let_act(&mut self, tab: usize, act: impl FnOnce(&mut World) -> Verdict) -> Verdict {
        self.acts += 1;
        let mut other = self.worlds[1 - tab].as_other();
        let clock = self.worlds[1 - tab].clock.max(self.worlds[tab].clock);
        match self.bug {
            PairBug::None => {}
            PairBug::UnreadTakenForRead => other.seen.read_at = Some(clock.after(3_600_000)),
            PairBug::TypedNotTold => other.seen.typed.clear(),
        }
        let world = &mut self.worlds[tab];
        world.clock = clock;
        world.tabs.get_or_insert_default().other = other;
        if let Some(mut trace) = self.worlds[1 - tab].trace.take() {
            trace.push(format!("tab {tab}"));
            self.worlds[tab].trace = Some(trace);
        }
        let world = &mut self.worlds[tab];
        let verdict = act(world).and_then(|()| self.share(tab));
        self.pass_on_wants(tab);
        verdict
    }

    /// The other tab's mapping sees the same table.
    fn share(&mut self, from: usize) -> Verdict {
        let [one, two] = &mut self.worlds;
        let (from, to) = match from {
            0 => (one, two),
            _ => (two, one),
        };
        to.clock = to.clock.max(from.clock);
        to.table.follow(&mut from.table);
        to.book_person()?;
        from.clock = from.clock.max(to.clock);
        to.ledger.leave_to(&from.ledger);
        from.ledger.leave_to(&to.ledger);
        Ok(())
    }

    fn pass_on_wants(&mut self, from: usize) {
        let Some(tabs) = &mut self.worlds[from].tabs else {
            return;
        };
        let wants_reading = std::mem::take(&mut tabs.wants_reading);
        let look_again = std::mem::take(&mut tabs.look_again);
        let other = &mut self.worlds[1 - from];
        other.poll_due |= wants_reading;
        for key in look_again {
            other.table.mark(&key, other.clock);
        }
    }

    fn identities(&self) -> BTreeMap<Key, u32> {
        let rows = self.worlds[0].table.rows.iter();
        rows.map(|(key, row)| (key.clone(), row.identity)).collect()
    }

    fn note_places(&mut self) {
        for (tab, world) in self.worlds.iter().enumerate() {
            let standing = keys_in_sheet(&world.table.mapping, sides(world));
            let since = &mut self.since[tab];
            let gone = since.keys().filter(|key| !standing.contains_key(*key));
            let gone: Vec<Key> = gone.cloned().collect();
            for key in gone {
                since.remove(&key);
                // A row that came and went between two readings was gone all along, as far as
                // anybody can know.
                if world.ledger.has_seen(&key) || !self.lost[tab].contains_key(&key) {
                    self.lost[tab].insert(key, self.acts);
                }
            }
            for key in standing.into_keys() {
                since.entry(key).or_insert(self.acts);
            }
        }
    }

    /// A row that the engine deletes from the table stands in no other tab, typed there before it
    /// was gone from this one.
    fn is_nowhere(&self, tab: usize, key: &Key) -> Verdict {
        let other = 1 - tab;
        let typed = !self.worlds[other].table.bases.contains_key(key);
        let since = self.since[other].get(key).filter(|_| typed);
        match (since, self.lost[tab].get(key)) {
            (Some(since), Some(lost)) if since <= lost => broken(format!(
                "row {key:?} is deleted from the table, and stands in the other tab"
            )),
            _ => Ok(()),
        }
    }

    // ------------------------------------------------------------------------------------------------------------ people

    /// A person takes a row's cells out of a tab.
    pub fn copy(&mut self, from: usize, row: u8, copied: Copied) -> Verdict {
        let now = self.worlds[from].clock;
        let tab = &self.worlds[from].tab;
        let data = tab.data_rows();
        let Some(at) = data.get(usize::from(row) % data.len().max(1)).copied() else {
            return Ok(());
        };
        self.clipboard = Some(tab.mapped(at, now));
        let edit = match copied {
            Copied::Deleted => SheetEdit::Delete { row },
            Copied::Cleared => SheetEdit::Clear { row },
            Copied::Stays => return Ok(()),
        };
        self.person(from, |world| world.edit_sheet(edit))
    }

    pub fn paste(&mut self, to: usize, placed: Placed) -> Verdict {
        let Some(mut cells) = self.clipboard.clone() else {
            return Ok(());
        };
        self.person(to, |world| {
            let mut columns = world.table.mapping.columns.iter();
            if let Some(live) = columns.position(|column| column.name == "live") {
                match placed {
                    Placed::Fitting => {
                        cells[live] = Cell::Bool(world.setup.filter != Filter::NotLive)
                    }
                    Placed::AsBefore => {}
                    Placed::Blank => cells[live] = Cell::Empty,
                }
            }
            let row = world.tab.first_free_row();
            for (column, cell) in cells.into_iter().enumerate() {
                world.tab.type_cell(row, column, cell);
            }
            world.book_person()
        })
    }

    /// Both in one gesture: nobody sees the row in neither tab.
    pub fn carry(&mut self, from: usize, row: u8, copied: Copied, placed: Placed) -> Verdict {
        self.copy(from, row, Copied::Stays)?;
        self.paste(1 - from, placed)?;
        match copied {
            Copied::Stays => Ok(()),
            _ => self.copy(from, row, copied),
        }
    }

    // ------------------------------------------------------------------------------------------------------------ driver

    /// The worker dies, and what it knew of the tabs with it.
    pub fn crash(&mut self) -> Verdict {
        for tab in [0, 1] {
            self.engine(tab, |world| world.die_halfway())?;
        }
        for world in &mut self.worlds {
            world.crash();
            world.tabs.get_or_insert_default().seen = Seen::default();
        }
        Ok(())
    }

    fn run(&mut self, tab: usize) -> Verdict {
        while self.worlds[tab].cycle.is_some() {
            self.engine(tab, World::step)?;
        }
        Ok(())
    }

    /// People and faults rest, and the worker goes on until nothing is left to do.
    pub fn settle(&mut self) -> Verdict {
        self.say(|| "quiet".into());
        for tab in [0, 1] {
            self.engine(tab, |world| {
                world.unlock();
                world.arrive()
            })?;
        }
        for tab in [0, 1] {
            self.run(tab)?;
            let world = &mut self.worlds[tab];
            (world.ways, world.preview) = (BOTH, false);
            self.person(tab, |world| world.edit_sheet(SheetEdit::MendHeader))?;
        }
        self.run_until_still()?;
        for _ in 0..3 {
            for world in &mut self.worlds {
                world.pause(48 * 3600);
                world.poll();
            }
            self.run_until_still()?;
        }
        Ok(())
    }

    fn run_until_still(&mut self) -> Verdict {
        for _ in 0..60 {
            let before = self.worlds.each_ref().map(World::fingerprint);
            let mut full = true;
            for tab in [0, 1] {
                let world = &mut self.worlds[tab];
                world.pause(10);
                let scope = world.due().unwrap_or(Scope::Full);
                full &= scope != Scope::Dirty;
                self.engine(tab, |world| world.begin(scope))?;
                self.run(tab)?;
                self.worlds[tab].confirm_deletes();
            }
            let is_due = self.worlds.iter().any(|world| world.due().is_some());
            let after = self.worlds.each_ref().map(World::fingerprint);
            if full && !is_due && before == after {
                return Ok(());
            }
        }
        broken("it does not come to rest")
    }

    pub fn check_settled(&mut self) -> Verdict {
        for tab in [0, 1] {
            let elsewhere = self.waits_in(1 - tab);
            let world = &mut self.worlds[tab];
            world.ledger.elsewhere = elsewhere;
            settled::check(&world.setup, &world.ledger, sides(world))?;
            settled::problems_are_real(&world.ledger, sides(world))?;
        }
        for tab in [0, 1] {
            self.engine(tab, |world| world.silent(Scope::Dirty))?;
            self.engine(tab, |world| world.silent(Scope::Full))?;
        }
        Ok(())
    }

    /// Keys of rows of the tab that the table does not take from there, and of which a problem
    /// says so.
    fn waits_in(&self, tab: usize) -> BTreeSet<Key> {
        let world = &self.worlds[tab];
        let has_problem = |key: &Key| {
            let mut problems = world.table.problems.iter();
            problems.any(|problem| problem.place.key.as_ref() == Some(key))
        };
        let rows = world.tab.data_rows().into_iter();
        let cells = rows.map(|row| world.tab.mapped(row, world.clock));
        let keys = cells.filter_map(|cells| key_of_cells(&world.table.mapping, &cells));
        keys.filter(has_problem).collect()
    }
}

fn sides(world: &World) -> Sides<'_> {
    Sides {
        table: &world.table,
        tab: &world.tab,
        now: world.clock,
    }
}
