//! A small table, a small tab, and a driver that does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use engine::codec::Zone;
pub use engine::cycle::Machine;
pub use engine::effect::*;
pub use engine::mapping::*;
pub use engine::value::{Base, Cell, Datum, Key, Timestamp};
use serde_json::value::RawValue;

pub fn column(name: &str, kind: Kind) -> Column {
    Column {
        name: name.into(),
        header: name.into(),
        kind,
        nullable: name != "id",
        header_known: true,
        reformat: false,
        has_default: false,
        writable: true,
        direction: Direction::Both,
        policy: None,
    }
}

pub fn mapping() -> Mapping {
    Mapping {
        columns: vec![
            column("id", Kind::Integer),
            column("name", Kind::Text),
            column("price", Kind::Numeric),
        ],
        key: vec![0],
        key_equality: KeyEquality::ByText,
        key_generated: false,
        header_row: 1,
        footer: None,
        direction: Direction::Both,
        policy: Policy::LastWriteWins,
        winner: None,
        tie: Side::Database,
        on_table_delete: OnTableDelete::DeleteRow,
        on_sheet_delete: OnSheetDelete::Delete,
        max_delete_percent: 50.0,
        max_delete_rows: 20,
        has_row_filter: false,
        notes_on_problems: false,
        time_zone: Zone::UTC,
        date_order: DateOrder::MonthFirst,
        max_request_bytes: 2_000_000,
        anchors_apart: 16,
        sheet_id: Some(0),
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

    pub fn database(&mut self, effect: DatabaseEffect) -> DatabaseOutcome {
        match effect {
            DatabaseEffect::ReadIndex => DatabaseOutcome::Index(Index {
                rows: self
                    .bases
                    .iter()
                    .map(|(key, row)| IndexEntry {
                        key: key.clone(),
                        state: row.state.clone(),
                        inserting: self.arriving.get(key).cloned(),
                        typed: typed(&self.mapping, key, row),
                    })
                    .collect(),
                problems: self.problems.clone(),
                writing: Vec::new(),
                unsettled: Vec::new(),
            }),
            DatabaseEffect::FindChanged => DatabaseOutcome::Changed(
                self.table
                    .iter()
                    .filter(|(key, row)| {
                        self.bases
                            .get(key)
                            .is_none_or(|stored| stored.base.database != **row)
                    })
                    .map(|(key, _)| DirtyKey {
                        key: key.clone(),
                        changed_at: None,
                    })
                    .collect(),
            ),
            DatabaseEffect::Load { keys } => {
                self.loads += 1;
                let mut first = keys;
                let left = first.split_off(self.loads_at_a_time.min(first.len()));
                DatabaseOutcome::Rows {
                    left,
                    rows: first
                        .into_iter()
                        .map(|key| LoadedRow {
                            row: self.table.get(&key).cloned(),
                            spelled: self.spelled(&key).filter(|now| *now != key),
                            in_filter: !self.outside.contains(&key),
                            base: self.bases.get(&key).map(|row| row.base.clone()),
                            changed_at: None,
                            moved: None,
                            pending: self.pending.get(&key).cloned().unwrap_or_default(),
                            unsettled: Vec::new(),
                            key,
                        })
                        .collect(),
                }
            }
            DatabaseEffect::Canonicalise { cells } => DatabaseOutcome::Canonical(
                cells
                    .into_iter()
                    .map(|cell| Ok(cell.text.trim().into()))
                    .collect(),
            ),
            DatabaseEffect::NameKeys { typed } => {
                let mut named: Vec<Key> = Vec::new();
                for typed in typed {
                    let printed = match self.mapping.columns[0].kind {
                        Kind::Text => typed,
                        _ => typed.0.iter().map(|part| part.trim()).collect(),
                    };
                    if self.mapping.key_equality == KeyEquality::ByText {
                        named.push(printed);
                        continue;
                    }
                    let mut known = self.bases.keys().chain(&named);
                    let known = known.find(|known| self.is_equal(known, &printed)).cloned();
                    let known = known.or_else(|| self.spelled(&printed));
                    named.push(known.unwrap_or(printed));
                }
                DatabaseOutcome::Named(named.into_iter().map(Ok).collect())
            }
            DatabaseEffect::FindRespelled { keys, .. } => {
                let respelled = keys.into_iter().filter_map(|known| {
                    let now = self.spelled(&known)?;
                    let is_news = now != known && !self.bases.contains_key(&now);
                    is_news.then_some(Respelled { known, now })
                });
                DatabaseOutcome::Respelled(respelled.collect())
            }
            DatabaseEffect::GenerateKeys { count, taken } => {
                let mut keys = Vec::new();
                while keys.len() < count {
                    let new = key(self.next_key);
                    self.next_key += 1;
                    if !self.table.contains_key(&new) && !taken.contains(&new) {
                        keys.push(Ok(new));
                    }
                }
                DatabaseOutcome::Keys(keys)
            }
            DatabaseEffect::AskOtherTabs { keys } => DatabaseOutcome::OtherTabs(
                keys.iter()
                    .map(|key| self.others.get(key).cloned().unwrap_or_default())
                    .collect(),
            ),
            DatabaseEffect::MergeByFunction { rows } => DatabaseOutcome::Merged(
                rows.into_iter()
                    .map(|call| Ok(call.database.unwrap_or_default()))
                    .collect(),
            ),
            DatabaseEffect::Commit(commit) => {
                let applied = commit.apply.iter().map(|apply| self.apply(apply)).collect();
                for batch in &commit.inserting {
                    for row in &batch.rows {
                        let stored = row.row.clone().expect("a new row has a base");
                        self.bases.insert(row.key.clone(), stored);
                        self.arriving.insert(row.key.clone(), batch.stamp.clone());
                    }
                }
                self.arriving
                    .retain(|_, stamp| !commit.inserted.contains(stamp));
                for write in &commit.bases {
                    self.arriving.remove(&write.key);
                    match &write.row {
                        Some(row) => self.bases.insert(write.key.clone(), row.clone()),
                        None => self.bases.remove(&write.key),
                    };
                }
                let over = &commit.settled_problems;
                self.problems.retain(|stored| !over.contains(&stored.place));
                self.problems.retain(|stored| {
                    let again = |problem: &Problem| problem.place == stored.place;
                    !commit.problems.iter().any(again)
                });
                let stored = commit.problems.iter().map(|problem| StoredProblem {
                    place: problem.place.clone(),
                    message: problem.message.clone(),
                });
                self.problems.extend(stored);
                self.commits.push(commit);
                DatabaseOutcome::Committed(applied)
            }
        }
    }

    fn is_equal(&self, one: &Key, other: &Key) -> bool {
        match self.mapping.key_equality {
            KeyEquality::ByText => one == other,
            KeyEquality::ByOperator => {
                let mut parts = one.0.iter().zip(&other.0);
                parts.all(|(one, other)| one.to_lowercase() == other.to_lowercase())
            }
        }
    }

    /// How the table prints a key that it has.
    fn spelled(&self, key: &Key) -> Option<Key> {
        if self.mapping.key_equality == KeyEquality::ByText {
            return self.table.contains_key(key).then(|| key.clone());
        }
        let mut keys = self.table.keys();
        keys.find(|known| self.is_equal(known, key)).cloned()
    }

    pub fn apply(&mut self, apply: &Apply) -> Applied {
        if let Some(answer) = self.answers.get(&apply.key) {
            return answer.clone();
        }
        let mut row = self
            .table
            .get(&apply.key)
            .cloned()
            .unwrap_or_else(|| vec![None; self.mapping.columns.len()]);
        let mut refused = Vec::new();
        if matches!(apply.change, Change::Enter { .. }) {
            self.outside.remove(&apply.key);
        }
        match &apply.change {
            Change::Insert { values }
            | Change::Update { values, .. }
            | Change::Enter { values, .. } => {
                for (column, value) in values {
                    if value.as_deref() == self.refuse && self.refuse.is_some() {
                        let message =
                            "new row violates check constraint (Failing row contains (1)).".into();
                        refused.push((
                            *column,
                            Refusal {
                                sqlstate: "23514".into(),
                                message,
                                hint: None,
                            },
                        ));
                    } else {
                        row[*column] = value.clone();
                    }
                }
                if let Some(trigger) = self.trigger {
                    trigger(&mut row);
                }
                let returned = self.mapping.key_of_row(&row).expect("a key");
                if matches!(apply.change, Change::Insert { .. })
                    && self.table.contains_key(&returned)
                {
                    return Applied::Stale;
                }
                if returned != apply.key {
                    self.table.remove(&apply.key);
                    self.bases.remove(&apply.key);
                }
                self.table.insert(returned, row.clone());
            }
            Change::Delete { .. } => {
                self.table.remove(&apply.key);
                self.bases.remove(&apply.key);
                return Applied::Done { row: None, refused };
            }
        }
        let columns: Vec<usize> = refused.iter().map(|(column, _)| *column).collect();
        let write = apply.base_after(&self.mapping, Some(&row), &columns);
        self.bases.insert(write.key, write.row.expect("a base"));
        Applied::Done {
            row: Some(row),
            refused,
        }
    }

    pub fn sheet(&mut self, effect: SheetEffect) -> SheetOutcome {
        match effect {
            SheetEffect::Read => {
                let rows = self.tab.iter().map(|row| {
                    let blank = |cell: &Cell| {
                        if *cell == Cell::Empty {
                            text("")
                        } else {
                            cell.clone()
                        }
                    };
                    let cells: Vec<Cell> = row.iter().map(blank).collect();
                    // As Google's answers have them.
                    let raw = serde_json::to_string(&cells).expect("cells");
                    let raw = raw.replace('<', "\\u003c").replace('>', "\\u003e");
                    RawValue::from_string(raw.replace('&', "\\u0026")).expect("JSON")
                });
                SheetOutcome::Snapshot(Snapshot {
                    sent_at: Timestamp(self.now - 500),
                    read_at: Timestamp(self.now),
                    grid_rows: 1_000,
                    grid_columns: 26,
                    rows: rows.collect(),
                })
            }
            SheetEffect::Formulas => {
                let formula = |((row, column), text): (&(u32, u32), &&'static str)| Formula {
                    row: *row,
                    column: *column,
                    text: (*text).into(),
                };
                SheetOutcome::Formulas(self.formulas.iter().map(formula).collect())
            }
            SheetEffect::ReadRows { rows } => {
                let rows = rows.iter().map(|row| self.tab.get(*row as usize).cloned());
                SheetOutcome::Rows(rows.map(Option::unwrap_or_default).collect())
            }
            SheetEffect::Inspect { cells } => {
                let detail = |place: &(u32, u32)| {
                    let row = self.tab.get(place.0 as usize);
                    let cell = row.and_then(|row| row.get(place.1 as usize)).cloned();
                    let mut plain = CellDetail::plain(cell.unwrap_or(Cell::Empty));
                    match self.computed(*place) {
                        Some(Computed::Here) => {
                            plain.entered = Entered::Formula(self.formulas[place].into());
                        }
                        Some(Computed::Elsewhere) => plain.entered = Entered::Nothing,
                        None => {}
                    }
                    match self.formats.get(place) {
                        Some((format, shown)) => CellDetail {
                            format: format.clone(),
                            shown: shown.as_str().into(),
                            ..plain
                        },
                        None => plain,
                    }
                };
                SheetOutcome::Inspected(cells.iter().map(detail).collect())
            }
            SheetEffect::Look { header, anchors } => {
                let row = |anchor: &MetadataId| {
                    let at = *self.anchors.get(anchor)?;
                    Some((*anchor, at as u32, self.tab[at].clone()))
                };
                SheetOutcome::Seen(Look {
                    header: self.tab[header as usize].clone(),
                    rows: anchors.iter().filter_map(row).collect(),
                })
            }
            SheetEffect::Tag { rows, .. } => SheetOutcome::Tagged(
                rows.into_iter()
                    .map(|tag| {
                        self.anchors.insert(tag.anchor, tag.row as usize);
                        SeenRow {
                            anchor: tag.anchor,
                            cells: self.tab.get(tag.row as usize).cloned().unwrap_or_default(),
                            computed: (0..26)
                                .filter_map(|at| Some((at, self.computed((tag.row, at))?)))
                                .collect(),
                        }
                    })
                    .collect(),
            ),
            SheetEffect::Write { rows, .. } => SheetOutcome::Written(
                rows.iter()
                    .map(|row| {
                        let at = self.anchors[&row.anchor];
                        let before = Some(self.tab[at].clone());
                        for (column, cell) in &row.cells {
                            if self.fixed == Some((at, *column as usize)) {
                                continue;
                            }
                            let row = &mut self.tab[at];
                            row.resize(row.len().max(*column as usize + 1), Cell::Empty);
                            row[*column as usize] = cell.clone();
                        }
                        WrittenRow {
                            anchor: row.anchor,
                            row: at as u32,
                            stood: true,
                            before,
                            after: self.tab[at].clone(),
                        }
                    })
                    .collect(),
            ),
            SheetEffect::Images => SheetOutcome::Images(Vec::new()),
            SheetEffect::Insert { at, rows, .. } => {
                let mut shown = Vec::new();
                for (offset, row) in rows.iter().enumerate() {
                    let mut cells = vec![Cell::Empty; self.mapping.columns.len()];
                    for (column, cell) in row {
                        cells[*column as usize] = cell.clone();
                    }
                    self.tab.insert(at as usize + offset, cells.clone());
                    self.move_formulas(at + offset as u32, 1);
                    shown.push(cells);
                }
                SheetOutcome::Inserted(shown)
            }
            SheetEffect::Delete { rows, .. } => {
                if std::mem::take(&mut self.wrong_row) {
                    self.tab.remove(rows[0].row as usize + 1);
                    let moved = rows.into_iter().map(|tag| tag.anchor).collect();
                    return SheetOutcome::Deleted(Deleted {
                        gone: Vec::new(),
                        moved,
                        suspect: true,
                        before: Vec::new(),
                    });
                }
                let mut at: Vec<u32> = rows.iter().map(|tag| tag.row).collect();
                at.sort_unstable();
                for row in at.into_iter().rev() {
                    self.tab.remove(row as usize);
                    self.move_formulas(row + 1, -1);
                }
                let gone = rows.into_iter().map(|tag| tag.anchor).collect();
                SheetOutcome::Deleted(Deleted {
                    gone,
                    ..Deleted::default()
                })
            }
            SheetEffect::WriteHeader { row, cells, .. } => {
                self.tab
                    .resize(self.tab.len().max(row as usize + 1), Vec::new());
                let header = &mut self.tab[row as usize];
                for (column, words) in cells {
                    header.resize(header.len().max(column as usize + 1), Cell::Empty);
                    header[column as usize] = Cell::Text(words.into());
                }
                SheetOutcome::Done
            }
            SheetEffect::TagColumns { header, tags } => {
                self.tags
                    .extend(tags.into_iter().map(|tag| (tag.name, tag.column)));
                SheetOutcome::Header(self.tab[header as usize].clone())
            }
            SheetEffect::FindColumns { names } => {
                let tags = self.tags.clone().into_iter();
                SheetOutcome::Columns(tags.filter(|(name, _)| names.contains(name)).collect())
            }
            SheetEffect::TidyAll => SheetOutcome::Tidied(self.standing.clone()),
            SheetEffect::Annotate { notes } => {
                let gone = self.gives_way.take().map(|(row, cells)| {
                    self.tab[row] = cells;
                    self.notes.retain(|(at, _), _| *at as usize != row);
                    row
                });
                let annotated = notes.into_iter().map(|note| {
                    let is_gone = gone.is_some() && self.anchors.get(&note.anchor) == gone.as_ref();
                    let written = self.annotate(note);
                    if is_gone { Annotated::Stray } else { written }
                });
                SheetOutcome::Annotated(annotated.collect())
            }
            SheetEffect::Notes => {
                let ours = self.notes.iter();
                let ours = ours.filter(|(_, text)| **text != PERSONS);
                let note = |((row, column), text): (&(u32, u32), &String)| StandingNote {
                    row: *row,
                    column: *column,
                    text: text.clone(),
                };
                SheetOutcome::Notes(ours.map(note).collect())
            }
            SheetEffect::Claim { .. } => SheetOutcome::Done,
        }
    }

    fn annotate(&mut self, note: Note) -> Annotated {
        let Some(row) = self.anchors.get(&note.anchor) else {
            return Annotated::Moved;
        };
        let cell = (*row as u32, note.column);
        if self.notes.get(&cell).is_some_and(|text| text == PERSONS) {
            return match note.text {
                Some(_) => Annotated::Done,
                None => Annotated::Absent,
            };
        }
        match note.text {
            Some(text) => {
                self.notes.insert(cell, text);
                Annotated::Done
            }
            None => match self.notes.remove(&cell) {
                Some(_) => Annotated::Done,
                None => Annotated::Absent,
            },
        }
    }

    /// A person inserts a row; notes go with their cells, and anchors with their rows.
    pub fn insert_row(&mut self, at: usize, cells: Vec<Cell>) {
        self.tab.insert(at, cells);
        let notes = std::mem::take(&mut self.notes).into_iter();
        let below = |row: u32| row + u32::from(row as usize >= at);
        self.notes = notes
            .map(|((row, column), text)| ((below(row), column), text))
            .collect();
        for row in self.anchors.values_mut().filter(|row| **row >= at) {
            *row += 1;
        }
    }

    /// A person cuts the cell out and pastes it there.
    pub fn cut(&mut self, from: (usize, usize), to: (usize, usize)) {
        let cell = std::mem::replace(&mut self.tab[from.0][from.1], Cell::Empty);
        let row = &mut self.tab[to.0];
        row.resize(row.len().max(to.1 + 1), Cell::Empty);
        row[to.1] = cell;
        let place = |(row, column): (usize, usize)| (row as u32, column as u32);
        self.notes.remove(&place(to));
        if let Some(note) = self.notes.remove(&place(from)) {
            self.notes.insert(place(to), note);
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
