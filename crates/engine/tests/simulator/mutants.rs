//! One deliberate bug for each promise, and more: the simulator must find every one of them. A bug
//! sits between the engine and its driver, or in the driver, and distorts what passes: exactly what
//! a wrong line in either would do.

use crate::model::database::DriverBugs;
use crate::model::sheet::Rules;
use crate::model::world::{Engine, Maker, genuine};
use crate::schedule::Schedule;
use engine::cycle::Machine;
use engine::effect::{
    Again, AnchoredRow, CellDetail, DatabaseEffect, Effect, Entered, MetadataId, Outcome,
    SheetEffect, SheetOutcome, Snapshot, Start, Step, WrittenRow,
};
use engine::mapping::{Mapping, Side};
use engine::value::{Cell, Key, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq)]
enum Bug {
    WriteWithoutAnswerTakenForDone,
    DeleteNotConfirmed,
    StampNotReused,
    ConflictLineLeftOut,
    WholeRowWritten,
    AnswersPairedByPosition,
    DirtyKeysForgotten,
    GuardOff,
    HeaderRemembered,
    ImageIgnored,
    FillsIgnored,
    SilenceIgnored,
}

/// The engine behind a bug.
struct Mutant {
    machine: Machine,
    bug: Bug,
    start: Option<Start>,
    /// The last snapshot, and whether the next read is answered from it.
    snapshot: Option<Snapshot>,
    replaying: bool,
    header: Option<Box<serde_json::value::RawValue>>,
    tagged: BTreeMap<MetadataId, Vec<Cell>>,
    writing: Vec<AnchoredRow>,
    stamps: i32,
}

fn behind(bug: Bug, mut mapping: Mapping) -> Box<dyn Engine> {
    if bug == Bug::GuardOff {
        mapping.max_delete_rows = u32::MAX;
    }
    Box::new(Mutant {
        machine: Machine::new(mapping),
        bug,
        start: None,
        snapshot: None,
        replaying: false,
        header: None,
        tagged: BTreeMap::new(),
        writing: Vec::new(),
        stamps: 0x7000_0000,
    })
}

impl Engine for Mutant {
    fn start(&mut self, start: Start) -> Step {
        self.start = Some(start.clone());
        self.replaying = false;
        let step = self.machine.start(start);
        self.distort(step)
    }

    fn resume(&mut self, outcome: Outcome, now: Timestamp) -> Step {
        let outcome = self.distort_outcome(outcome);
        let step = self.machine.resume(outcome, now);
        match step {
            Step::Done(report)
                if self.bug == Bug::DeleteNotConfirmed
                    && let Some(Again::Soon | Again::Confirm(_) | Again::Hold(_)) =
                        report.again
                    && !self.replaying =>
            {
                // What one snapshot says is believed at once.
                let start = self.start.clone().expect("a cycle was started");
                self.replaying = true;
                let step = self.machine.start(Start {
                    seed: start.seed ^ 0x5555,
                    confirm_after_ms: 0,
                    now,
                    ..start
                });
                self.replay(step, now)
            }
            step => self.replay(step, now),
        }
    }

    fn mark_headers_known(&mut self) {
        self.machine.mark_headers_known();
    }

    fn typed(&self) -> HashSet<Key> {
        self.machine.typed()
    }
}

impl Mutant {
    fn as_if_written(&self, row: AnchoredRow) -> WrittenRow {
        let mut after = self.tagged.get(&row.anchor).cloned().unwrap_or_default();
        for (column, cell) in row.cells {
            let column = column as usize;
            after.resize(after.len().max(column + 1), Cell::Empty);
            after[column] = cell;
        }
        WrittenRow {
            anchor: row.anchor,
            row: row.row,
            stood: true,
            before: None,
            after,
        }
    }

    fn replay(&mut self, step: Step, now: Timestamp) -> Step {
        if let (true, Step::Do(Effect::Sheet(SheetEffect::Read)), Some(snapshot)) =
            (self.replaying, &step, &self.snapshot)
        {
            let again = Snapshot {
                sent_at: now.after(0),
                read_at: now.after(0),
                ..copy(snapshot)
            };
            return self
                .machine
                .resume(Outcome::Sheet(SheetOutcome::Snapshot(again)), now);
        }
        self.distort(step)
    }

    fn distort(&mut self, step: Step) -> Step {
        let mut step = step;
        match (&mut step, self.bug) {
            (Step::Do(Effect::Sheet(SheetEffect::Write { rows, .. })), bug) => {
                if bug == Bug::WholeRowWritten {
                    let rows = Arc::make_mut(rows).iter_mut();
                    rows.for_each(|row| fill_up(row, &self.tagged));
                }
                self.writing = rows.to_vec();
            }
            (
                Step::Do(Effect::Sheet(
                    SheetEffect::Insert { stamp, .. } | SheetEffect::Claim { stamp },
                )),
                Bug::StampNotReused,
            ) => {
                self.stamps += 1;
                stamp.id = self.stamps;
            }
            (
                Step::Do(Effect::Database(DatabaseEffect::Commit(commit))),
                Bug::ConflictLineLeftOut,
            ) => Arc::make_mut(commit).conflicts.clear(),
            (Step::Done(report), Bug::DirtyKeysForgotten) => report.dirty_done = true,
            _ => {}
        }
        step
    }

    fn distort_outcome(&mut self, outcome: Outcome) -> Outcome {
        match (outcome, self.bug) {
            (Outcome::Failed(Side::Sheet, _), Bug::WriteWithoutAnswerTakenForDone)
                if !self.writing.is_empty() =>
            {
                let written = std::mem::take(&mut self.writing);
                let written = written
                    .into_iter()
                    .map(|row| self.as_if_written(row))
                    .collect();
                Outcome::Sheet(SheetOutcome::Written(written))
            }
            (Outcome::Sheet(SheetOutcome::Written(mut rows)), Bug::ImageIgnored) => {
                rows.iter_mut().for_each(|row| row.before = None);
                Outcome::Sheet(SheetOutcome::Written(rows))
            }
            (Outcome::Sheet(SheetOutcome::Inspected(mut cells)), Bug::FillsIgnored) => {
                let filled = |cell: &&mut CellDetail| cell.entered == Entered::Nothing;
                let filled = cells.iter_mut().filter(filled);
                filled.for_each(|cell| cell.entered = Entered::Value);
                Outcome::Sheet(SheetOutcome::Inspected(cells))
            }
            (Outcome::Sheet(SheetOutcome::Inspected(mut cells)), Bug::SilenceIgnored) => {
                cells
                    .iter_mut()
                    .for_each(|cell| cell.entered = Entered::Nothing);
                Outcome::Sheet(SheetOutcome::Inspected(cells))
            }
            (Outcome::Sheet(SheetOutcome::Tagged(mut tagged)), bug) => {
                let rows = &mut tagged.rows;
                if bug == Bug::FillsIgnored {
                    rows.iter_mut().for_each(|row| row.computed.clear());
                }
                if let (Bug::AnswersPairedByPosition, [.., one, other]) = (bug, &mut rows[..]) {
                    std::mem::swap(&mut one.cells, &mut other.cells);
                }
                let seen = rows.iter().map(|row| (row.anchor, row.cells.clone()));
                self.tagged.extend(seen);
                Outcome::Sheet(SheetOutcome::Tagged(tagged))
            }
            (Outcome::Sheet(SheetOutcome::Snapshot(mut snapshot)), bug) => {
                if let (Bug::HeaderRemembered, Some(header)) = (bug, snapshot.rows.first_mut()) {
                    *header = self.header.get_or_insert_with(|| header.clone()).clone();
                }
                self.snapshot = Some(copy(&snapshot));
                Outcome::Sheet(SheetOutcome::Snapshot(snapshot))
            }
            (outcome, _) => {
                self.writing.clear();
                outcome
            }
        }
    }
}

fn copy(snapshot: &Snapshot) -> Snapshot {
    Snapshot {
        rows: snapshot.rows.clone(),
        ..*snapshot
    }
}

/// Cells that need no write are written again with what they showed.
fn fill_up(row: &mut AnchoredRow, tagged: &BTreeMap<MetadataId, Vec<Cell>>) {
    let shown = tagged.get(&row.anchor).into_iter().flatten().zip(0..);
    for (cell, column) in shown {
        if row.cells.iter().all(|(other, _)| *other != column) {
            row.cells.push((column, cell.clone()));
        }
    }
}

// ------------------------------------------------------------------------------------------------------------------- tests

const ENOUGH: u64 = 20_000;

/// The simulator finds the bug, by one of the violations that it must lead to, where the engine
/// itself does nothing wrong.
fn is_found(maker: Maker, bugs: DriverBugs, rules: Rules, words: &[&str]) {
    is_found_in(Schedule::random, maker, bugs, rules, words);
}

fn is_found_in(
    schedule: fn(u64) -> Schedule,
    maker: Maker,
    bugs: DriverBugs,
    rules: Rules,
    words: &[&str],
) {
    let fair = Rules::default();
    for seed in 1..=ENOUGH {
        let schedule = schedule(seed);
        let Err(violation) = schedule.run(maker, bugs, rules) else {
            continue;
        };
        let told = words.iter().any(|words| violation.0.contains(words));
        if told && schedule.run(genuine, DriverBugs::default(), fair).is_ok() {
            println!("found after {seed} schedules: {}", violation.0);
            return;
        }
    }
    panic!("not found in {ENOUGH} schedules");
}

fn engine_bug(maker: Maker, words: &[&str]) {
    is_found(maker, DriverBugs::default(), Rules::default(), words);
}

fn driver_bug(bugs: DriverBugs, words: &[&str]) {
    is_found(genuine, bugs, Rules::default(), words);
}

const LOST: &[&str] = &[
    "no conflict line",
    "without a conflict line",
    "never reached",
    "stands in the",
    "the table has",
];

#[test]
fn an_answer_that_never_came_taken_for_done() {
    engine_bug(
        |mapping| behind(Bug::WriteWithoutAnswerTakenForDone, mapping),
        LOST,
    );
}

#[test]
fn a_change_applied_to_a_row_that_has_changed_since() {
    driver_bug(
        DriverBugs {
            unconditional: true,
            ..DriverBugs::default()
        },
        LOST,
    );
}

#[test]
fn a_conflict_without_its_line() {
    engine_bug(
        |mapping| behind(Bug::ConflictLineLeftOut, mapping),
        &["no conflict line names it"],
    );
}

#[test]
fn dirty_keys_dropped_by_a_cycle_that_failed() {
    engine_bug(|mapping| behind(Bug::DirtyKeysForgotten, mapping), LOST);
}

#[test]
fn a_structural_batch_sent_again_under_another_stamp() {
    engine_bug(
        |mapping| behind(Bug::StampNotReused, mapping),
        &["stands already", "times in the sheet"],
    );
}

#[test]
fn a_write_that_goes_to_a_remembered_position() {
    let rules = Rules {
        anchors_are_positions: true,
    };
    is_found(
        genuine,
        DriverBugs::default(),
        rules,
        &["nobody gave it", "is overwritten", "nobody deleted it"],
    );
}

#[test]
fn answers_paired_by_position() {
    engine_bug(
        |mapping| behind(Bug::AnswersPairedByPosition, mapping),
        &["nobody", "is overwritten", "the table has"],
    );
}

#[test]
fn a_write_of_the_whole_row() {
    engine_bug(
        |mapping| behind(Bug::WholeRowWritten, mapping),
        &["not mapped", "pulled only", "where it stands already"],
    );
}

#[test]
fn an_image_that_is_ignored() {
    engine_bug(
        |mapping| behind(Bug::ImageIgnored, mapping),
        &["never reached the table"],
    );
}

#[test]
fn a_write_into_what_a_formula_fills() {
    is_found_in(
        |seed| Schedule::random(seed).with_arrays(seed),
        |mapping| behind(Bug::FillsIgnored, mapping),
        DriverBugs::default(),
        Rules::default(),
        &["which a formula fills"],
    );
}

#[test]
fn a_blank_of_a_formula_taken_for_an_edit() {
    is_found_in(
        |seed| Schedule::random(seed).with_arrays(seed),
        |mapping| behind(Bug::SilenceIgnored, mapping),
        DriverBugs::default(),
        Rules::default(),
        &["gets None, which nobody gave it"],
    );
}

#[test]
fn a_header_that_is_remembered() {
    engine_bug(
        |mapping| behind(Bug::HeaderRemembered, mapping),
        &["the header does not hold", "not mapped", "nobody"],
    );
}

#[test]
fn an_echo_that_is_not_recognised() {
    driver_bug(
        DriverBugs {
            base_forgotten: true,
            ..DriverBugs::default()
        },
        &["again", "all the same", "come to rest"],
    );
}

#[test]
fn a_new_row_taken_for_arrived_before_it_is_sent() {
    driver_bug(
        DriverBugs {
            arrived_ahead: true,
            ..DriverBugs::default()
        },
        &["nobody deleted it in the sheet"],
    );
}

#[test]
fn a_short_read_taken_for_deletion() {
    engine_bug(
        |mapping| behind(Bug::DeleteNotConfirmed, mapping),
        &["nobody deleted it in the sheet"],
    );
}

#[test]
fn a_mass_delete_that_nobody_stops() {
    engine_bug(
        |mapping| behind(Bug::GuardOff, mapping),
        &["nobody confirmed it"],
    );
}

#[test]
fn a_bad_cell_that_stops_everything() {
    driver_bug(
        DriverBugs {
            all_or_nothing: true,
            ..DriverBugs::default()
        },
        &[
            "come to rest",
            "never reached",
            "stands in the",
            "the table has",
        ],
    );
}

#[test]
fn keys_compared_letter_by_letter() {
    let bugs = DriverBugs {
        letter_by_letter: true,
        ..DriverBugs::default()
    };
    is_found_in(
        |seed| Schedule::random(seed).with_two_spellings(),
        genuine,
        bugs,
        Rules::default(),
        &["nobody deleted it", "times in the sheet", "come to rest"],
    );
}

#[test]
fn a_locked_row_taken_for_done() {
    driver_bug(
        DriverBugs {
            locked_as_done: true,
            ..DriverBugs::default()
        },
        LOST,
    );
}

#[test]
fn a_row_that_the_table_kept_taken_for_deleted() {
    driver_bug(
        DriverBugs {
            kept_as_deleted: true,
            ..DriverBugs::default()
        },
        &["stands in the table and not in the sheet"],
    );
}

#[test]
fn a_changed_key_of_which_nobody_is_told() {
    driver_bug(
        DriverBugs {
            renames_forgotten: true,
            ..DriverBugs::default()
        },
        &["deleted in the sheet, comes back without a conflict line"],
    );
}
