//! A small table, a small tab, and a driver that does as it is told.

mod database;
mod sheet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use engine::cycle::Machine;
pub use engine::effect::*;
pub use engine::mapping::*;
pub use engine::value::{Base, Cell, Datum, Key, Timestamp};
pub use engine::zone::Zone;
use serde_json::value::RawValue;

pub fn column(name: &str, kind: Kind) -> Column {
    Column {
        nullable: name != "id",
        ..Column::new(name, kind)
    }
}

pub fn mapping() -> Mapping {
    Mapping {
        notes_on_problems: false,
        ..Mapping::new(vec![
            column("id", Kind::Integer),
            column("name", Kind::Text),
            column("price", Kind::Numeric),
        ])
    }
}

pub fn text(value: &str) -> Cell {
    Cell::Text(value.into())
}

/// A note that is none of ours.
pub const PERSONS: &str = "a person's";

pub fn key(id: usize) -> Key {
    Key::from_iter([id.to_string()])
}

/// What a person does to the tab.
pub type Act = fn(&mut World);

/// A table, a tab and a driver that does as it is told.
pub struct World {
    pub mapping: Mapping,
    pub machine: Machine,
    pub table: BTreeMap<Key, Vec<Datum>>,
    pub bases: BTreeMap<Key, StoredRow>,
    /// Rows of batches that have not arrived.
    arriving: BTreeMap<Key, Stamp>,
    pub tab: Vec<Vec<Cell>>,
    pub anchors: BTreeMap<MetadataId, usize>,
    pub tags: BTreeMap<String, u32>,
    /// Stamps of earlier processes.
    pub standing: Vec<MetadataId>,
    /// The format of a cell, by row and column, and what people see in it.
    pub formats: BTreeMap<(u32, u32), (NumberFormat, String)>,
    /// Cells with a formula, and cells that a formula elsewhere fills, by row and column.
    pub formulas: BTreeMap<(u32, u32), &'static str>,
    pub filled: BTreeSet<(u32, u32)>,
    /// By row and column.
    pub notes: BTreeMap<(u32, u32), String>,
    /// What a person does right before the next request of this name.
    pub meanwhile: Option<(&'static str, Act)>,
    pub log: Vec<SheetEffect>,
    pub commits: Vec<Arc<Commit>>,
    /// Where one is stored.
    pub problems: Vec<StoredProblem>,
    pub loads: usize,
    /// As many rows as the database hands out at a time.
    pub loads_at_a_time: usize,
    /// What other tabs of the table have.
    pub others: BTreeMap<Key, Vec<OtherTab>>,
    /// Rows of the table that do not belong in the sheet.
    pub outside: BTreeSet<Key>,
    /// What the key's default gives next.
    pub next_key: usize,
    pub now: i64,
    /// Answers the next sheet effect of this kind instead.
    pub fault: Option<fn(&SheetEffect) -> Option<Failure>>,
    pub refuse: Option<&'static str>,
    /// What a trigger of the table makes of a row.
    pub trigger: Option<fn(&mut Vec<Datum>)>,
    /// What the table answers to changes of these rows.
    pub answers: BTreeMap<Key, Applied>,
    pub pending: BTreeMap<Key, Vec<PendingConflict>>,
    /// The next deletion hits the row below instead.
    pub wrong_row: bool,
    /// In the very moment of the next notes a person deletes this row and inserts another in its
    /// place.
    pub gives_way: Option<(usize, Vec<Cell>)>,
    /// A cell that shows what it shows, whatever is written into it.
    pub fixed: Option<(usize, usize)>,
}

impl World {
    /// `rows` rows on which both sides agree.
    pub fn agreed(mapping: Mapping, rows: usize) -> Self {
        let mut world = Self {
            machine: Machine::new(mapping.clone()),
            tab: vec![
                mapping
                    .columns
                    .iter()
                    .map(|column| text(&column.header))
                    .collect(),
            ],
            mapping,
            table: BTreeMap::new(),
            bases: BTreeMap::new(),
            arriving: BTreeMap::new(),
            anchors: BTreeMap::new(),
            tags: BTreeMap::new(),
            standing: Vec::new(),
            formats: BTreeMap::new(),
            formulas: BTreeMap::new(),
            filled: BTreeSet::new(),
            notes: BTreeMap::new(),
            meanwhile: None,
            log: Vec::new(),
            commits: Vec::new(),
            problems: Vec::new(),
            loads: 0,
            loads_at_a_time: usize::MAX,
            others: BTreeMap::new(),
            outside: BTreeSet::new(),
            next_key: 7_000,
            now: 1_000,
            fault: None,
            refuse: None,
            trigger: None,
            answers: BTreeMap::new(),
            pending: BTreeMap::new(),
            wrong_row: false,
            gives_way: None,
            fixed: None,
        };
        for id in 0..rows {
            let row = vec![
                Some(id.to_string().into()),
                Some(format!("name {id}").into()),
                Some("1.50".into()),
            ];
            let cells = world.shown(&row);
            world.bases.insert(
                key(id),
                StoredRow::agreed(Base {
                    database: row.clone(),
                    sheet: cells.clone(),
                }),
            );
            world.table.insert(key(id), row);
            world.tab.push(cells);
        }
        world
    }

    pub fn shown(&self, row: &[Datum]) -> Vec<Cell> {
        row.iter()
            .enumerate()
            .map(|(column, value)| self.mapping.encode(column, value).expect("short"))
            .collect()
    }

    pub fn set(&mut self, id: usize, name: &str) {
        self.table.get_mut(&key(id)).expect("a row")[1] = Some(name.into());
    }

    pub fn cycle(&mut self, scope: Scope, dirty: &[usize]) -> Report {
        self.start(Start {
            scope,
            dirty: self.dirty(dirty),
            ..self.plain()
        })
    }

    /// The same with keys that are no numbers.
    pub fn dirty_keys(&mut self, scope: Scope, keys: &[&str]) -> Report {
        let dirty = keys.iter().map(|key| DirtyKey {
            key: Key::from_iter([*key]),
            changed_at: Some(Timestamp(self.now)),
        });
        self.start(Start {
            scope,
            dirty: dirty.collect(),
            ..self.plain()
        })
    }

    fn computed(&self, place: (u32, u32)) -> Option<Computed> {
        match self.formulas.contains_key(&place) {
            true => Some(Computed::Here),
            false => self.filled.contains(&place).then_some(Computed::Elsewhere),
        }
    }

    /// A formula in the first cell below the header of this column fills it, and `columns` in all,
    /// down to the last row.
    pub fn fill(&mut self, column: u32, columns: u32, formula: &'static str) {
        let rows = self.tab.len() as u32;
        self.formulas.insert((1, column), formula);
        for row in 1..rows {
            let cells = (column..column + columns).map(|at| (row, at));
            self.filled.extend(cells.filter(|at| *at != (1, column)));
        }
    }

    /// Rows from this one on have moved: their formulas are where they are.
    pub fn move_formulas(&mut self, from: u32, by: i64) {
        let moved = |(row, column): (u32, u32)| match row >= from {
            true => ((i64::from(row) + by) as u32, column),
            false => (row, column),
        };
        // Those of a row that went go with it.
        let stays = |at: &(u32, u32)| by > 0 || i64::from(at.0) != i64::from(from) + by;
        let formulas = std::mem::take(&mut self.formulas).into_iter();
        let formulas = formulas.filter(|(at, _)| stays(at));
        self.formulas = formulas.map(|(at, text)| (moved(at), text)).collect();
        let filled = std::mem::take(&mut self.filled).into_iter();
        self.filled = filled.filter(stays).map(moved).collect();
    }

    /// The stored problems, by key, column and code.
    pub fn told(&self) -> Vec<(Option<Key>, Option<usize>, String)> {
        let commits = self.commits.iter();
        let problems = commits.flat_map(|commit| &commit.problems);
        problems
            .map(|one| (one.place.key.clone(), one.place.column, one.code.clone()))
            .collect()
    }

    pub fn dirty(&self, ids: &[usize]) -> Vec<DirtyKey> {
        ids.iter()
            .map(|id| DirtyKey {
                key: key(*id),
                changed_at: Some(Timestamp(self.now)),
            })
            .collect()
    }

    pub fn plain(&self) -> Start {
        Start {
            scope: Scope::Full,
            ways: Ways {
                push: true,
                pull: true,
            },
            dirty: Vec::new(),
            now: Timestamp(self.now),
            truncated: false,
            other_tabs: false,
            confirmed: None,
            confirm_after_ms: 0,
            insists: false,
            relatives_changed: false,
            seed: self.now as u64,
            dry_run: false,
        }
    }

    /// What a guard stopped is allowed, and done.
    pub fn confirm(&mut self, stopped: Option<Stopped>) -> Report {
        let Some(Stopped::Guard { question, .. }) = stopped else {
            panic!("no guard")
        };
        assert!(question.is_some());
        self.start(Start {
            confirmed: question,
            ..self.plain()
        })
    }

    pub fn start(&mut self, start: Start) -> Report {
        self.log.clear();
        self.commits.clear();
        self.loads = 0;
        let mut step = self.machine.start(start);
        loop {
            self.now += 1_000;
            let outcome = match step {
                Step::Done(report) => return report,
                Step::Do(Effect::Database(effect)) => Outcome::Database(self.database(effect)),
                Step::Do(Effect::Sheet(effect)) => {
                    self.log.push(effect.clone());
                    self.answer(effect)
                }
            };
            step = self.machine.resume(outcome, Timestamp(self.now));
        }
    }

    fn answer(&mut self, effect: SheetEffect) -> Outcome {
        if let Some((_, act)) = self
            .meanwhile
            .take_if(|(name, _)| *name == self::name(&effect))
        {
            act(self);
        }
        match self.fault.and_then(|fault| fault(&effect)) {
            Some(failure) => Outcome::Failed(Side::Sheet, failure),
            None => Outcome::Sheet(self.sheet(effect)),
        }
    }

    /// The requests since the cycle began, by name.
    pub fn requests(&self) -> Vec<&'static str> {
        self.log.iter().map(name).collect()
    }

    /// A machine that has read the tab and tidied it.
    pub fn warm(mut self) -> Self {
        self.set(0, "warm");
        self.cycle(Scope::Full, &[0]);
        self
    }
}

fn typed(mapping: &Mapping, key: &Key, row: &StoredRow) -> Option<Key> {
    let write = BaseWrite {
        key: key.clone(),
        row: Some(row.clone()),
    };
    write.typed(mapping)
}

fn name(effect: &SheetEffect) -> &'static str {
    match effect {
        SheetEffect::Read => "read",
        SheetEffect::ReadRows { .. } => "rows",
        SheetEffect::Look { .. } => "look",
        SheetEffect::Formulas => "formulas",
        SheetEffect::Inspect { .. } => "inspect",
        SheetEffect::Tag { .. } => "tag",
        SheetEffect::Write { .. } => "write",
        SheetEffect::Insert { .. } => "insert",
        SheetEffect::Delete { .. } => "delete",
        SheetEffect::WriteHeader { .. } => "header",
        SheetEffect::TagColumns { .. } => "tag columns",
        SheetEffect::FindColumns { .. } => "find columns",
        SheetEffect::Annotate { .. } => "annotate",
        SheetEffect::Notes => "notes",
        SheetEffect::Claim { .. } => "claim",
        SheetEffect::Images => "images",
        SheetEffect::TidyAll => "tidy",
    }
}
