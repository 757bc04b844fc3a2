//! What a cycle asks for, and how often: the engine against a small table and a small tab.
//!
//! Whether promises hold whatever happens is the simulator's business; here stand the costs and the shapes of requests.

use std::collections::BTreeMap;

use engine::codec::hash_cells;
use engine::cycle::Machine;
use engine::effect::*;
use engine::mapping::*;
use engine::value::{Base, Cell, Datum, Key, Timestamp};
use serde_json::value::RawValue;

fn column(name: &str, kind: Kind) -> Column {
    Column {
        name: name.into(),
        header: name.into(),
        kind,
        nullable: name != "id",
        header_known: true,
        has_default: false,
        writable: true,
        direction: Direction::Both,
        policy: None,
    }
}

fn mapping() -> Mapping {
    Mapping {
        columns: vec![
            column("id", Kind::Integer),
            column("name", Kind::Text),
            column("price", Kind::Numeric),
        ],
        key: vec![0],
        key_generated: false,
        header_row: 1,
        direction: Direction::Both,
        policy: Policy::LastWriteWins,
        tie: Side::Database,
        on_table_delete: OnTableDelete::DeleteRow,
        on_sheet_delete: OnSheetDelete::Delete,
        max_delete_percent: 50.0,
        max_delete_rows: 20,
        has_row_filter: false,
        notes_on_problems: false,
        time_zone: chrono_tz::UTC,
        max_request_bytes: 2_000_000,
    }
}

fn text(value: &str) -> Cell {
    Cell::Text(value.into())
}

fn key(id: usize) -> Key {
    Key(vec![id.to_string()])
}

/// A table, a tab and a driver that does as it is told.
struct World {
    mapping: Mapping,
    machine: Machine,
    table: BTreeMap<Key, Vec<Datum>>,
    bases: BTreeMap<Key, (Base, i64)>,
    tab: Vec<Vec<Cell>>,
    anchors: BTreeMap<MetadataId, usize>,
    log: Vec<SheetEffect>,
    commits: Vec<Commit>,
    loads: usize,
    now: i64,
    /// Answers the next sheet effect of this kind instead.
    fault: Option<fn(&SheetEffect) -> Option<Failure>>,
    refuse: Option<&'static str>,
    /// The next deletion hits the row below instead.
    wrong_row: bool,
}

impl World {
    /// `rows` rows on which both sides agree.
    fn agreed(mapping: Mapping, rows: usize) -> Self {
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
            anchors: BTreeMap::new(),
            log: Vec::new(),
            commits: Vec::new(),
            loads: 0,
            now: 1_000,
            fault: None,
            refuse: None,
            wrong_row: false,
        };
        for id in 0..rows {
            let row = vec![
                Some(id.to_string()),
                Some(format!("name {id}")),
                Some("1.50".into()),
            ];
            let cells = world.shown(&row);
            world.bases.insert(
                key(id),
                (
                    Base {
                        database: row.clone(),
                        sheet: cells.clone(),
                    },
                    hash_cells(&cells),
                ),
            );
            world.table.insert(key(id), row);
            world.tab.push(cells);
        }
        world
    }

    fn shown(&self, row: &[Datum]) -> Vec<Cell> {
        row.iter()
            .enumerate()
            .map(|(column, value)| self.mapping.encode(column, value).expect("short"))
            .collect()
    }

    fn set(&mut self, id: usize, name: &str) {
        self.table.get_mut(&key(id)).expect("a row")[1] = Some(name.into());
    }

    fn cycle(&mut self, scope: Scope, dirty: &[usize]) -> Report {
        self.start(Start {
            scope,
            dirty: self.dirty(dirty),
            ..self.plain()
        })
    }

    fn dirty(&self, ids: &[usize]) -> Vec<DirtyKey> {
        ids.iter()
            .map(|id| DirtyKey {
                key: key(*id),
                changed_at: Some(Timestamp(self.now)),
            })
            .collect()
    }

    fn plain(&self) -> Start {
        Start {
            scope: Scope::Full,
            ways: Ways {
                push: true,
                pull: true,
            },
            dirty: Vec::new(),
            now: Timestamp(self.now),
            deletes_confirmed: false,
            seed: self.now as u64,
            dry_run: false,
        }
    }

    fn start(&mut self, start: Start) -> Report {
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
                    match self.fault.and_then(|fault| fault(&effect)) {
                        Some(failure) => Outcome::Failed(failure),
                        None => Outcome::Sheet(self.sheet(effect)),
                    }
                }
            };
            step = self.machine.resume(outcome, Timestamp(self.now));
        }
    }

    fn database(&mut self, effect: DatabaseEffect) -> DatabaseOutcome {
        match effect {
            DatabaseEffect::ReadIndex => DatabaseOutcome::Index(Index {
                rows: self
                    .bases
                    .iter()
                    .map(|(key, (_, hash))| IndexEntry {
                        key: key.clone(),
                        sheet_hash: *hash,
                    })
                    .collect(),
                problems: Vec::new(),
            }),
            DatabaseEffect::FindChanged => DatabaseOutcome::Changed(
                self.table
                    .iter()
                    .filter(|(key, row)| {
                        self.bases
                            .get(key)
                            .is_none_or(|(base, _)| base.database != **row)
                    })
                    .map(|(key, _)| DirtyKey {
                        key: key.clone(),
                        changed_at: None,
                    })
                    .collect(),
            ),
            DatabaseEffect::Load { keys } => {
                self.loads += 1;
                DatabaseOutcome::Rows(
                    keys.into_iter()
                        .map(|key| LoadedRow {
                            row: self.table.get(&key).cloned(),
                            in_filter: true,
                            base: self.bases.get(&key).map(|(base, _)| base.clone()),
                            changed_at: None,
                            pending: Vec::new(),
                            key,
                        })
                        .collect(),
                )
            }
            DatabaseEffect::Canonicalise { cells } => DatabaseOutcome::Canonical(
                cells
                    .into_iter()
                    .map(|cell| Ok(cell.text.trim().to_owned()))
                    .collect(),
            ),
            DatabaseEffect::GenerateKeys { count } => {
                DatabaseOutcome::Keys((0..count).map(|at| key(7_000 + at)).collect())
            }
            DatabaseEffect::MergeByFunction { rows } => DatabaseOutcome::Merged(
                rows.into_iter()
                    .map(|call| Ok(call.database.unwrap_or_default()))
                    .collect(),
            ),
            DatabaseEffect::Commit(commit) => {
                let applied = commit.apply.iter().map(|apply| self.apply(apply)).collect();
                for write in &commit.bases {
                    match &write.base {
                        Some(base) => self
                            .bases
                            .insert(write.key.clone(), (base.clone(), write.sheet_hash)),
                        None => self.bases.remove(&write.key),
                    };
                }
                self.commits.push(commit);
                DatabaseOutcome::Committed(applied)
            }
        }
    }

    fn apply(&mut self, apply: &Apply) -> Applied {
        let mut row = self
            .table
            .get(&apply.key)
            .cloned()
            .unwrap_or_else(|| vec![None; self.mapping.columns.len()]);
        let mut refused = Vec::new();
        match &apply.change {
            Change::Insert { values } | Change::Update { values, .. } => {
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
                self.table.insert(
                    apply.new_key.clone().unwrap_or_else(|| apply.key.clone()),
                    row.clone(),
                );
            }
            Change::Delete { .. } => {
                self.table.remove(&apply.key);
                self.bases.remove(&apply.key);
                return Applied::Done { row: None, refused };
            }
        }
        let columns: Vec<usize> = refused.iter().map(|(column, _)| *column).collect();
        let write = apply.base_after(&self.mapping, Some(&row), &columns);
        self.bases
            .insert(write.key, (write.base.expect("a base"), write.sheet_hash));
        Applied::Done {
            row: Some(row),
            refused,
        }
    }

    fn sheet(&mut self, effect: SheetEffect) -> SheetOutcome {
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
                    RawValue::from_string(serde_json::to_string(&cells).expect("cells"))
                        .expect("JSON")
                });
                SheetOutcome::Snapshot(Snapshot {
                    sent_at: Timestamp(self.now - 500),
                    read_at: Timestamp(self.now),
                    grid_rows: 1_000,
                    grid_columns: 26,
                    rows: rows.collect(),
                })
            }
            SheetEffect::Tag { rows, .. } => SheetOutcome::Tagged(
                rows.into_iter()
                    .map(|tag| {
                        self.anchors.insert(tag.anchor, tag.row as usize);
                        (
                            tag.anchor,
                            self.tab.get(tag.row as usize).cloned().unwrap_or_default(),
                        )
                    })
                    .collect(),
            ),
            SheetEffect::Write { rows } => SheetOutcome::Written(
                rows.into_iter()
                    .map(|row| {
                        let at = self.anchors[&row.anchor];
                        for (column, cell) in &row.cells {
                            let row = &mut self.tab[at];
                            row.resize(row.len().max(*column as usize + 1), Cell::Empty);
                            row[*column as usize] = cell.clone();
                        }
                        let cells = self.tab[at].iter().cloned().enumerate();
                        (
                            row.anchor,
                            cells.map(|(column, cell)| (column as u32, cell)).collect(),
                        )
                    })
                    .collect(),
            ),
            SheetEffect::Insert { at, rows, .. } => {
                let mut shown = Vec::new();
                for (offset, row) in rows.into_iter().enumerate() {
                    let mut cells = vec![Cell::Empty; self.mapping.columns.len()];
                    for (column, cell) in row {
                        cells[column as usize] = cell;
                    }
                    self.tab.insert(at as usize + offset, cells.clone());
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
                    });
                }
                let mut at: Vec<u32> = rows.iter().map(|tag| tag.row).collect();
                at.sort_unstable();
                for row in at.into_iter().rev() {
                    self.tab.remove(row as usize);
                }
                let gone = rows.into_iter().map(|tag| tag.anchor).collect();
                SheetOutcome::Deleted(Deleted {
                    gone,
                    moved: Vec::new(),
                    suspect: false,
                })
            }
            SheetEffect::WriteHeader { row, cells, .. } => {
                self.tab
                    .resize(self.tab.len().max(row as usize + 1), Vec::new());
                let header = &mut self.tab[row as usize];
                for (column, words) in cells {
                    header.resize(header.len().max(column as usize + 1), Cell::Empty);
                    header[column as usize] = Cell::Text(words);
                }
                SheetOutcome::Done
            }
            SheetEffect::Annotate { .. } | SheetEffect::Claim { .. } | SheetEffect::TidyAll => {
                SheetOutcome::Done
            }
        }
    }

    /// The requests since the cycle began, by name.
    fn requests(&self) -> Vec<&'static str> {
        self.log
            .iter()
            .map(|effect| match effect {
                SheetEffect::Read => "read",
                SheetEffect::Tag { .. } => "tag",
                SheetEffect::Write { .. } => "write",
                SheetEffect::Insert { .. } => "insert",
                SheetEffect::Delete { .. } => "delete",
                SheetEffect::WriteHeader { .. } => "header",
                SheetEffect::Annotate { .. } => "annotate",
                SheetEffect::Claim { .. } => "claim",
                SheetEffect::TidyAll => "tidy",
            })
            .collect()
    }

    /// A machine that has read the tab and tidied it.
    fn warm(mut self) -> Self {
        self.set(0, "warm");
        self.cycle(Scope::Full, &[0]);
        self
    }
}

#[test]
fn one_changed_row_costs_a_tag_and_a_write_of_one_cell() {
    let mut world = World::agreed(mapping(), 100).warm();
    world.set(42, "new name");
    let report = world.cycle(Scope::Dirty, &[42]);
    assert_eq!(world.requests(), ["tag", "write"]);
    assert_eq!(report.rows_pushed, 1);
    assert!(report.dirty_done);
    let Some(SheetEffect::Write { rows }) = world.log.last() else {
        panic!("no write")
    };
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].cells, [(1, text("new name"))]);
}

#[test]
fn the_echo_of_our_own_apply_costs_nothing() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab[2][1] = text("typed");
    assert_eq!(world.cycle(Scope::Full, &[]).rows_pulled, 1);
    let report = world.cycle(Scope::Dirty, &[1]);
    assert_eq!(world.requests(), [""; 0]);
    assert!(world.commits.is_empty());
    assert!(report.dirty_done);
}

#[test]
fn a_tab_where_nothing_changed_is_read_and_nothing_else() {
    let mut world = World::agreed(mapping(), 50).warm();
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.requests(), world.loads, world.commits.len()),
        (vec!["read"], 0, 0)
    );
    // A fresh engine compares stored hashes: it asks for no row either.
    world.machine = Machine::new(world.mapping.clone());
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.requests(), world.loads, world.commits.len()),
        (vec!["tidy", "read"], 0, 0)
    );
}

#[test]
fn an_unmapped_column_is_nobodys_business() {
    let mut world = World::agreed(mapping(), 3).warm();
    for (row, cells) in world.tab.iter_mut().enumerate() {
        cells.push(text(&format!("note {row}")));
    }
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.loads), (vec!["read"], 0));
}

#[test]
fn rows_that_moved_since_are_found_again_before_anything_is_written() {
    let mut world = World::agreed(mapping(), 10).warm();
    world.tab[1..].reverse();
    world.set(3, "changed");
    world.cycle(Scope::Dirty, &[3]);
    assert_eq!(world.requests(), ["tag", "read", "tag", "write"]);
    let at = world
        .tab
        .iter()
        .position(|row| row[0] == Cell::Number(3.0))
        .expect("the row");
    assert_eq!(world.tab[at][1], text("changed"));
    assert_eq!(
        world
            .tab
            .iter()
            .filter(|row| row[1] == text("changed"))
            .count(),
        1
    );
}

#[test]
fn a_moved_column_is_noticed_before_a_value_goes_astray() {
    let mut world = World::agreed(mapping(), 4).warm();
    for row in &mut world.tab {
        row.swap(1, 2);
    }
    world.set(2, "changed");
    world.cycle(Scope::Dirty, &[2]);
    assert_eq!(
        world.tab[3],
        [Cell::Number(2.0), Cell::Number(1.5), text("changed")]
    );
}

#[test]
fn a_first_load_goes_in_pieces_and_each_is_recorded_before_the_next() {
    let mut world = World::agreed(mapping(), 0);
    world.tab.clear();
    for column in &mut world.mapping.columns {
        column.header_known = false;
    }
    world.machine = Machine::new(world.mapping.clone());
    for id in 0..12_000 {
        world
            .table
            .insert(key(id), vec![Some(id.to_string()), Some("x".into()), None]);
    }
    let report = world.cycle(Scope::Everything, &[]);
    let inserts = world
        .requests()
        .iter()
        .filter(|name| **name == "insert")
        .count();
    assert_eq!((report.rows, report.stopped, inserts), (12_000, None, 3));
    assert_eq!(world.requests()[..4], ["tidy", "read", "header", "read"]);
    // Announced before, agreed after: two commits for each piece.
    assert_eq!(world.commits.len(), 6);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.requests(), world.loads), (vec!["read"], 0));
}

#[test]
fn ten_thousand_changed_rows_take_a_handful_of_requests() {
    let mut world = World::agreed(mapping(), 10_000).warm();
    let ids: Vec<usize> = (0..10_000).collect();
    for id in &ids {
        world.set(*id, "raised");
    }
    let report = world.cycle(Scope::Dirty, &ids);
    assert_eq!(report.rows_pushed, 10_000);
    assert_eq!(world.requests(), ["tag", "write", "tag", "write"]);
}

#[test]
fn a_row_missing_once_is_not_deleted_and_missing_twice_it_is() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab.remove(3);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.again, world.table.len()), (Some(Again::Soon), 5));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 4);
    assert!(!world.table.contains_key(&key(2)));
}

#[test]
fn a_row_that_reappears_was_never_missing() {
    let mut world = World::agreed(mapping(), 5).warm();
    let row = world.tab.remove(3);
    world.cycle(Scope::Full, &[]);
    world.tab.insert(1, row);
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 5);
}

#[test]
fn many_deletes_at_once_stop_and_ask() {
    let mut world = World::agreed(mapping(), 100).warm();
    world.tab.truncate(41);
    world.cycle(Scope::Full, &[]);
    let report = world.cycle(Scope::Full, &[]);
    let Some(Stopped::Guard { reason, .. }) = report.stopped else {
        panic!("no guard")
    };
    assert_eq!((reason.as_str(), world.table.len()), ("mass_delete", 100));
    let report = world.start(Start {
        deletes_confirmed: true,
        ..world.plain()
    });
    assert_eq!((report.stopped, world.table.len()), (None, 40));
}

#[test]
fn a_truncated_table_does_not_empty_the_sheet() {
    let mut world = World::agreed(mapping(), 100).warm();
    let ids: Vec<usize> = (0..100).collect();
    world.table.clear();
    let report = world.cycle(Scope::Dirty, &ids);
    assert!(matches!(report.stopped, Some(Stopped::Guard { .. })));
    assert_eq!(world.tab.len(), 101);
    assert!(!report.dirty_done);
}

#[test]
fn a_sort_of_some_columns_only_stops_and_asks() {
    let mut world = World::agreed(mapping(), 60).warm();
    for id in 0..60 {
        let row = vec![
            Some(id.to_string()),
            Some(format!("name {id}")),
            Some(format!("{id}")),
        ];
        world.table.insert(key(id), row);
    }
    let ids: Vec<usize> = (0..60).collect();
    world.cycle(Scope::Dirty, &ids);
    let keys: Vec<Cell> = world.tab[1..].iter().map(|row| row[0].clone()).collect();
    for (row, key) in world.tab[1..].iter_mut().zip(keys.into_iter().rev()) {
        row[0] = key;
    }
    let report = world.cycle(Scope::Full, &[]);
    let Some(Stopped::Guard { reason, .. }) = report.stopped else {
        panic!("no guard")
    };
    assert_eq!(reason, "everything_changed");
    assert!(world.commits.is_empty());
}

#[test]
fn a_column_filled_down_is_everyday_work() {
    let mut world = World::agreed(mapping(), 60).warm();
    for row in &mut world.tab[1..] {
        row[2] = Cell::Number(9.0);
    }
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.stopped, report.rows_pulled), (None, 60));
}

#[test]
fn a_lost_answer_of_an_insert_is_settled_before_anything_else() {
    fn lost(effect: &SheetEffect) -> Option<Failure> {
        matches!(effect, SheetEffect::Insert { .. }).then(|| Failure {
            class: Class::RetryLater,
            reason: "timeout".into(),
            message: String::new(),
            hint: String::new(),
            retry_after_ms: None,
            may_have_applied: true,
        })
    }
    let mut world = World::agreed(mapping(), 2).warm();
    world
        .table
        .insert(key(7), vec![Some("7".into()), None, None]);
    world.fault = Some(lost);
    let report = world.cycle(Scope::Full, &[7]);
    assert!(matches!(report.stopped, Some(Stopped::Failure(_))));
    let stamps: Vec<&Stamp> = world
        .log
        .iter()
        .filter_map(|effect| match effect {
            SheetEffect::Insert { stamp, .. } => Some(stamp),
            _ => None,
        })
        .collect();
    assert_eq!(stamps.len(), 3);
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]));
    // Even a fresh engine knows of it.
    world.fault = None;
    world.machine = Machine::new(world.mapping.clone());
    world.cycle(Scope::Full, &[7]);
    assert_eq!(world.requests(), ["tidy", "claim", "read", "insert"]);
    assert_eq!(world.tab.len(), 4);
}

#[test]
fn one_cell_that_the_sheet_refuses_holds_up_no_other() {
    fn protected(effect: &SheetEffect) -> Option<Failure> {
        let SheetEffect::Write { rows } = effect else {
            return None;
        };
        let hit = rows.iter().any(|row| {
            row.cells
                .iter()
                .any(|(_, cell)| *cell == Cell::Text("name p".into()))
        });
        hit.then(|| Failure {
            class: Class::NeedsHuman,
            reason: "protected".into(),
            message: "protected".into(),
            hint: "ask".into(),
            retry_after_ms: None,
            may_have_applied: false,
        })
    }
    let mut world = World::agreed(mapping(), 20).warm();
    for id in 0..20 {
        world.set(id, if id == 13 { "name p" } else { "new" });
    }
    world.fault = Some(protected);
    let ids: Vec<usize> = (0..20).collect();
    let report = world.cycle(Scope::Dirty, &ids);
    assert_eq!(
        (report.stopped, report.rows_pushed, report.problems),
        (None, 19, 1)
    );
}

#[test]
fn a_refused_cell_is_one_problem_and_is_not_tried_at_every_poll() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2] = vec![Cell::Number(1.0), text("forbidden"), Cell::Number(2.5)];
    world.tab[3][1] = text("fine");
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.rows_pulled, report.problems), (2, 1));
    assert_eq!(
        world.table[&key(1)],
        [Some("1".into()), Some("name 1".into()), Some("2.5".into())]
    );
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.loads, world.commits.len()), (0, 0));
    // A minute later it is.
    world.now += 61_000_000;
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.loads, 1);
    world.tab[2][1] = text("mended");
    world.cycle(Scope::Full, &[]);
    let settled: Vec<&Place> = world
        .commits
        .iter()
        .flat_map(|commit| &commit.settled_problems)
        .collect();
    assert_eq!(
        settled,
        [&Place {
            key: Some(key(1)),
            sheet_row: None,
            column: Some(1)
        }]
    );
}

#[test]
fn a_bad_cell_gets_a_note_in_a_persons_words_and_loses_it_when_mended() {
    let mut mapping = mapping();
    mapping.notes_on_problems = true;
    let mut world = World::agreed(mapping, 5).warm();
    world.refuse = Some("forbidden");
    world.tab[2][1] = text("forbidden");
    world.cycle(Scope::Full, &[]);
    let Some(SheetEffect::Annotate { notes }) = world.log.last() else {
        panic!("no note")
    };
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].column, 1);
    let words = notes[0].text.clone().expect("a text");
    assert!(
        words.starts_with("new row violates check constraint. "),
        "{words}"
    );
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
    world.tab[2][1] = text("mended");
    world.cycle(Scope::Full, &[]);
    let Some(SheetEffect::Annotate { notes }) = world.log.last() else {
        panic!("no note")
    };
    assert_eq!(notes[0].text, None);
}

#[test]
fn a_preview_changes_nothing_and_leaves_no_trace() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[1][1] = text("typed");
    world.tab.remove(5);
    world.set(1, "changed");
    let report = world.start(Start {
        dry_run: true,
        dirty: world.dirty(&[1]),
        ..world.plain()
    });
    let lines: Vec<(Side, &str, Datum, Datum)> = report
        .planned
        .iter()
        .map(|line| {
            (
                line.side,
                line.reason.as_str(),
                line.old.clone(),
                line.new.clone(),
            )
        })
        .collect();
    let some = |words: &str| Some(words.to_owned());
    assert_eq!(
        lines,
        [
            (
                Side::Database,
                "changed_in_sheet",
                some("warm"),
                some("typed")
            ),
            (
                Side::Sheet,
                "changed_in_table",
                some("name 1"),
                some("changed")
            ),
        ]
    );
    assert_eq!(
        (world.requests(), world.commits.len()),
        (vec!["read", "read"], 0)
    );
    assert!(!report.dirty_done);
}

#[test]
fn a_row_typed_without_a_key_gets_it_in_the_sheet_before_it_reaches_the_table() {
    let mut mapping = mapping();
    mapping.key_generated = true;
    mapping.columns[0].has_default = true;
    let mut world = World::agreed(mapping, 2).warm();
    world
        .tab
        .push(vec![Cell::Empty, text("typed"), Cell::Empty]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read", "tag", "write"]);
    assert_eq!(world.tab[3][0], Cell::Number(7_000.0));
    assert_eq!(
        world.table[&key(7_000)],
        [Some("7000".into()), Some("typed".into()), None]
    );
    world.cycle(Scope::Full, &[7_000]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn two_rows_with_one_key_are_a_problem_on_both_and_touch_nothing() {
    let mut world = World::agreed(mapping(), 3).warm();
    let copy = world.tab[1].clone();
    world.tab.push(copy);
    world.tab[4][1] = text("edited copy");
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(report.problems, 2);
    let rows: Vec<Option<u32>> = world
        .commits
        .iter()
        .flat_map(|commit| &commit.problems)
        .map(|problem| problem.place.sheet_row)
        .collect();
    assert_eq!(rows, [Some(2), Some(5)]);
    world.cycle(Scope::Full, &[]);
    assert_eq!((world.commits.len(), world.table.len()), (0, 3));
}

#[test]
fn blank_rows_anywhere_are_nothing() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab.insert(2, Vec::new());
    world
        .tab
        .insert(1, vec![Cell::Empty, Cell::Empty, Cell::Empty]);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!(
        (report.problems, world.table.len(), world.requests()),
        (0, 3, vec!["read"])
    );
}

#[test]
fn a_vanished_header_stops_the_mapping_and_goes_on_when_it_is_back() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab[0][1] = text("Nom");
    world.tab[1][2] = Cell::Number(3.0);
    let report = world.cycle(Scope::Full, &[]);
    let Some(Stopped::Guard {
        reason, message, ..
    }) = report.stopped
    else {
        panic!("no guard")
    };
    assert_eq!(
        (reason.as_str(), message.as_str()),
        (
            "header_missing",
            "Row 1 of the sheet has no header \"name\"."
        )
    );
    assert!(world.commits.is_empty());
    world.tab[0][1] = text(" NAME ");
    assert_eq!(world.cycle(Scope::Full, &[]).rows_pulled, 1);
}

#[test]
fn a_new_column_gets_its_header_and_its_values() {
    let mut world = World::agreed(mapping(), 3).warm();
    let mut more = column("unit_price", Kind::Integer);
    more.header_known = false;
    world.mapping.columns.push(more);
    world.machine = Machine::new(world.mapping.clone());
    for (id, row) in world.table.values_mut().enumerate() {
        row.push(Some(id.to_string()));
    }
    world.cycle(Scope::Everything, &[]);
    assert_eq!(world.tab[0][3], text("unit_price"));
    assert_eq!(world.tab[3][3], Cell::Number(2.0));
}

#[test]
fn a_key_edited_in_the_sheet_keeps_the_tables_row() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[3][0] = Cell::Number(77.0);
    let report = world.cycle(Scope::Full, &[]);
    let change = &world.commits[0].apply[0];
    assert_eq!(
        (change.key.clone(), change.new_key.clone()),
        (key(2), Some(key(77)))
    );
    assert!(matches!(change.change, Change::Update { .. }));
    assert_eq!(report.rows_pulled, 1);
    assert!(!world.bases.contains_key(&key(2)) && world.bases.contains_key(&key(77)));
    world.table.remove(&key(2));
    world.cycle(Scope::Full, &[2, 77]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.commits.len(), world.requests(), world.tab.len()),
        (0, vec!["read"], 6)
    );
}

#[test]
fn a_row_typed_where_another_was_deleted_is_a_row_of_its_own() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[3] = vec![Cell::Number(77.0), text("another"), Cell::Empty];
    world.cycle(Scope::Full, &[]);
    assert!(world.table.contains_key(&key(2)) && world.table.contains_key(&key(77)));
    world.cycle(Scope::Full, &[77]);
    assert!(!world.table.contains_key(&key(2)));
}

#[test]
fn an_old_reading_undoes_nothing() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.set(2, "new");
    world.cycle(Scope::Dirty, &[2]);
    world.table.remove(&key(4));
    world.cycle(Scope::Full, &[4]);
    let fresh = world.tab.clone();
    // As it was before both writes.
    world.tab[3][1] = text("name 2");
    world
        .tab
        .push(vec![Cell::Number(4.0), text("name 4"), Cell::Number(1.5)]);
    let report = world.cycle(Scope::Full, &[]);
    assert_eq!((report.again, world.commits.len()), (Some(Again::Soon), 0));
    world.tab = fresh;
    world.cycle(Scope::Full, &[]);
    assert_eq!(
        (world.table.len(), world.table[&key(2)][1].as_deref()),
        (4, Some("new"))
    );
    // Shown twice, it is what a person wants.
    world.tab[3][1] = text("name 2");
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table[&key(2)][1].as_deref(), Some("name 2"));
}

#[test]
fn a_row_that_went_by_mistake_is_put_back() {
    let mut world = World::agreed(mapping(), 6).warm();
    world.wrong_row = true;
    world.table.remove(&key(3));
    world.cycle(Scope::Dirty, &[3]);
    assert_eq!(
        world.requests(),
        ["tag", "delete", "read", "read", "tag", "insert", "delete"]
    );
    world.cycle(Scope::Full, &[]);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.table.len(), 5);
    let mut keys: Vec<Cell> = world.tab[1..].iter().map(|row| row[0].clone()).collect();
    keys.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    assert_eq!(keys, [0.0, 1.0, 2.0, 4.0, 5.0].map(Cell::Number));
}
