//! Two tabs of one table, with different row filters: rows that SQL moves from one to the other,
//! and rows that people cut in one and paste into the other, while both are edited.

use crate::model::database::TableEdit;
use crate::model::setup::{Filter, Setup, Value};
use crate::model::sheet::SheetEdit;
use crate::model::world::pair::{Copied, Pair, PairBug, Placed};
use crate::model::world::{Fault, Maker, genuine};
use crate::model::{Verdict, Violation};
use crate::schedule::{Op, Resolution, perform, plainer_setups, random_value, simpler_op};
use engine::mapping::{OnTableDelete, Policy, Side};
use fastrand::Rng;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    In(usize, Op),
    Carry(usize, u8, Copied, Placed),
    Copy(usize, u8, Copied),
    Paste(usize, Placed),
    Die,
}

#[derive(Clone)]
struct Moves {
    setup: Setup,
    filters: [Filter; 2],
    acts: Vec<Act>,
}

impl Moves {
    fn run(&self, maker: Maker, bug: PairBug) -> Verdict {
        self.play(&mut Pair::new(self.setup, self.filters, maker, bug))
    }

    fn play(&self, pair: &mut Pair) -> Verdict {
        for act in &self.acts {
            pair.say(|| format!("{act:?}"));
            match *act {
                Act::In(tab, op) if is_persons(op) => {
                    pair.person(tab, |world| perform(world, op))?
                }
                Act::In(tab, op) => pair.engine(tab, |world| perform(world, op))?,
                Act::Carry(from, row, copied, placed) => pair.carry(from, row, copied, placed)?,
                Act::Copy(from, row, copied) => pair.copy(from, row, copied)?,
                Act::Paste(to, placed) => pair.paste(to, placed)?,
                Act::Die => pair.crash()?,
            }
        }
        pair.settle()?;
        pair.check_settled()
    }

    fn trace(&self, maker: Maker, bug: PairBug) -> String {
        let mut pair = Pair::new(self.setup, self.filters, maker, bug);
        pair.worlds[0].trace = Some(Vec::new());
        let verdict = self.play(&mut pair);
        let mut lines = Vec::new();
        for world in &mut pair.worlds {
            lines.extend(world.trace.take().unwrap_or_default());
        }
        lines.push(format!("{verdict:?}"));
        lines.join("\n")
    }

    /// The smallest one found that still breaks a promise.
    fn shrink(self, maker: Maker, bug: PairBug) -> (Self, Violation) {
        let mut best = self;
        let mut violation = best
            .run(maker, bug)
            .expect_err("only a failing one is shrunk");
        let kind = violation.kind();
        loop {
            let smaller = best.smaller().into_iter().find_map(|smaller| {
                let violation = smaller.run(maker, bug).err()?;
                (violation.kind() == kind).then_some((smaller, violation))
            });
            match smaller {
                Some(found) => (best, violation) = found,
                None => return (best, violation),
            }
        }
    }

    fn smaller(&self) -> Vec<Moves> {
        let mut found = Vec::new();
        let mut size = self.acts.len().div_ceil(2).max(1);
        loop {
            for from in (0..self.acts.len()).step_by(size) {
                let mut acts = self.acts.clone();
                acts.drain(from..(from + size).min(acts.len()));
                found.push(Moves {
                    acts,
                    ..self.clone()
                });
            }
            if size == 1 {
                break;
            }
            size = size.div_ceil(2);
        }
        for setup in plainer_setups(self.setup) {
            // Without its column the filter is another one.
            if setup.columns & 4 != 0 {
                found.push(Moves {
                    setup,
                    ..self.clone()
                });
            }
        }
        for (index, act) in self.acts.iter().enumerate() {
            let simpler = match act {
                Act::In(tab, op) => simpler_op(*op).map(|op| Act::In(*tab, op)),
                _ => None,
            };
            if let Some(simpler) = simpler {
                let mut acts = self.acts.clone();
                acts[index] = simpler;
                found.push(Moves {
                    acts,
                    ..self.clone()
                });
            }
        }
        found
    }
}

impl fmt::Display for Moves {
    /// Nearly as Rust, to paste under the regressions.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let [one, two] = self.filters;
        writeln!(
            out,
            "replay(\n    {},\n    [Filter::{one:?}, Filter::{two:?}],\n    &[",
            self.setup
        )?;
        for act in &self.acts {
            writeln!(out, "        Act::{act:?},")?;
        }
        write!(out, "    ],\n);")
    }
}

fn is_persons(op: Op) -> bool {
    matches!(
        op,
        Op::Table(_) | Op::Sheet(_) | Op::Resolve { .. } | Op::Lock(_) | Op::Unlock
    )
}

// ------------------------------------------------------------------------------------------------------------------ chance

impl Moves {
    fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let setup = Setup {
            columns: 4 | rng.u8(..32) & rng.u8(..32),
            layout: rng.u8(..3),
            policy: [
                Policy::LastWriteWins,
                Policy::LastWriteWins,
                Policy::DatabaseWins,
                Policy::SheetWins,
                Policy::Manual,
            ][rng.usize(..5)],
            tie: [Side::Database, Side::Sheet][rng.usize(..2)],
            on_table_delete: [
                OnTableDelete::DeleteRow,
                OnTableDelete::DeleteRow,
                OnTableDelete::Clear,
            ][rng.usize(..3)],
            max_delete_percent: 100,
            pinned: rng.u8(..6) == 0,
            common_rows: 0,
            ..Setup::PLAIN
        };
        let mut acts = Vec::new();
        for key in 0..rng.u8(1..5) {
            acts.push(Act::In(
                0,
                Op::Table(TableEdit::Insert {
                    key,
                    value: Value::Num(rng.u16(..4)),
                }),
            ));
        }
        acts.extend([0, 1].map(|tab| Act::In(tab, Op::Finish)));
        let live = setup
            .mapping()
            .columns
            .iter()
            .position(|column| column.name == "live");
        let live = live.unwrap_or_default() as u8;
        let length = rng.usize(2..50);
        acts.extend((0..length).map(|_| random_act(&mut rng, live)));
        let filters = [
            [Filter::Live, Filter::NotLive],
            [Filter::NotLive, Filter::Live],
        ];
        Self {
            setup,
            filters: filters[rng.usize(..2)],
            acts,
        }
    }
}

fn random_act(rng: &mut Rng, live: u8) -> Act {
    let (tab, row) = (rng.usize(..2), rng.u8(..5));
    let copied = [
        Copied::Deleted,
        Copied::Deleted,
        Copied::Cleared,
        Copied::Stays,
    ][rng.usize(..4)];
    let placed = [
        Placed::Fitting,
        Placed::Fitting,
        Placed::Fitting,
        Placed::AsBefore,
        Placed::Blank,
    ][rng.usize(..5)];
    let column = match rng.u8(..3) {
        0 => live,
        _ => rng.u8(..9),
    };
    let value = random_value(rng);
    let op = match rng.u8(..100) {
        0..12 => return Act::Carry(tab, row, copied, placed),
        12..16 => return Act::Copy(tab, row, copied),
        16..20 => return Act::Paste(tab, placed),
        20 => return Act::Die,
        21..48 => Op::Step(rng.u8(1..8)),
        48..58 => Op::Finish,
        58..66 => Op::Poll,
        66..74 => Op::Table(TableEdit::Update { row, column, value }),
        74..76 => Op::Table(TableEdit::Insert {
            key: rng.u8(..8),
            value,
        }),
        76 => Op::Table(TableEdit::Delete { row }),
        77..84 => Op::Sheet(SheetEdit::Cell { row, column, value }),
        84..87 => Op::Sheet(SheetEdit::Delete { row }),
        87..89 => Op::Sheet(SheetEdit::TypeRow {
            key: Some(rng.u8(..8)),
            value,
        }),
        89 => Op::Sheet(SheetEdit::Sort { column }),
        90 => Op::Sheet(SheetEdit::Move {
            from: row,
            to: rng.u8(..8),
        }),
        91..95 => Op::Fault(
            [
                Fault::Refused,
                Fault::Quota,
                Fault::AnswerLost,
                Fault::RequestLost,
                Fault::Late,
            ][rng.usize(..5)],
        ),
        95 => Op::Land,
        96 => Op::Pause(rng.u32(1..4000)),
        97 => Op::Lock(row),
        98 => Op::Unlock,
        _ => Op::Resolve {
            nth: rng.u8(..4),
            by: [Resolution::Database, Resolution::Sheet][rng.usize(..2)],
        },
    };
    Act::In(tab, op)
}

// ------------------------------------------------------------------------------------------------------------------- tests

#[test]
fn rows_that_move_between_tabs_keep_every_promise() {
    let first_failing = |mut seeds: crate::Seeds| {
        seeds.find(|seed| Moves::random(*seed).run(genuine, PairBug::None).is_err())
    };
    let failing = crate::on_all_cores(3_000, first_failing);
    if let Some(seed) = failing.into_iter().flatten().min() {
        let (moves, violation) = Moves::random(seed).shrink(genuine, PairBug::None);
        let trace = moves.trace(genuine, PairBug::None);
        panic!("seed {seed}: {}\n\n{moves}\n\n{trace}", violation.0);
    }
}

fn is_found(bug: PairBug, words: &str) {
    for seed in 1..=5_000 {
        let moves = Moves::random(seed);
        let Err(violation) = moves.run(genuine, bug) else {
            continue;
        };
        if violation.0.contains(words) && moves.run(genuine, PairBug::None).is_ok() {
            println!("found after {seed} schedules: {}", violation.0);
            return;
        }
    }
    panic!("not found");
}

#[test]
fn a_deletion_believed_although_the_other_tab_was_not_read_since() {
    is_found(PairBug::UnreadTakenForRead, "and stands in the other tab");
}

#[test]
fn a_row_typed_into_the_other_tab_that_is_not_told() {
    is_found(PairBug::TypedNotTold, "and stands in the other tab");
}

// ------------------------------------------------------------------------------------------------------------- regressions

fn replay(setup: Setup, filters: [Filter; 2], acts: &[Act]) {
    let moves = Moves {
        setup,
        filters,
        acts: acts.to_vec(),
    };
    if let Err(violation) = moves.run(genuine, PairBug::None) {
        panic!("{}\n\n{}", violation.0, moves.trace(genuine, PairBug::None));
    }
}

#[test]
fn what_the_table_got_while_its_row_moved_is_not_overruled_without_a_line() {
    let setup = Setup {
        columns: 12,
        policy: Policy::SheetWins,
        common_rows: 0,
        ..Setup::PLAIN
    };
    let insert = Op::Table(TableEdit::Insert {
        key: 1,
        value: Value::Num(200),
    });
    let update = Op::Table(TableEdit::Update {
        row: 0,
        column: 3,
        value: Value::Num(100),
    });
    let typed = Op::Sheet(SheetEdit::TypeRow {
        key: Some(1),
        value: Value::Num(785),
    });
    replay(
        setup,
        [Filter::NotLive, Filter::Live],
        &[
            Act::In(0, insert),
            Act::In(1, Op::Finish),
            Act::In(0, update),
            Act::In(1, Op::Sheet(SheetEdit::Delete { row: 4 })),
            Act::In(0, typed),
        ],
    );
    // Nor is what people put back then taken for what the table has.
    let insert = Op::Table(TableEdit::Insert {
        key: 1,
        value: Value::Num(1),
    });
    replay(
        setup,
        [Filter::NotLive, Filter::Live],
        &[
            Act::In(0, insert),
            Act::In(0, Op::Finish),
            Act::Carry(0, 0, Copied::Deleted, Placed::AsBefore),
            Act::In(1, update),
            Act::In(0, Op::Finish),
            Act::In(1, Op::Finish),
            Act::In(0, Op::Finish),
            Act::Paste(0, Placed::Fitting),
        ],
    );
}
