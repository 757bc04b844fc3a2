//! A schedule: where both sides start, and what then happens in which order. Generated from a seed,
//! run, and made smaller when it breaks a promise.

use crate::model::database::{DriverBugs, TableEdit};
use crate::model::setup::{Filter, Setup, Value};
use crate::model::sheet::{Rules, SheetEdit};
use crate::model::world::{Fault, Maker, World};
use crate::model::{Verdict, Violation};
use engine::effect::Decision;
use engine::mapping::{Direction, OnSheetDelete, OnTableDelete, Policy, Side};
use fastrand::Rng;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Table(TableEdit),
    Sheet(SheetEdit),
    /// `resolve()` of a pending conflict.
    Resolve {
        nth: u8,
        by: Resolution,
    },
    /// The driver goes on, half an effect at a time.
    Step(u8),
    /// The driver runs its cycle to the end.
    Finish,
    /// The next cycle reads the sheet.
    Poll,
    /// The next cycle goes one way: `push()` or `pull()`.
    Push,
    Pull,
    /// The next cycle only looks.
    Preview,
    Fault(Fault),
    Land,
    Crash,
    /// Somebody's transaction holds a row, and ends.
    Lock(u8),
    Unlock,
    Pause(u32),
    ConfirmDeletes,
    Resync,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolution {
    Database,
    Sheet,
    Value(u16),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub setup: Setup,
    pub ops: Vec<Op>,
}

impl Schedule {
    /// The same, where the table compares keys whatever their case.
    pub fn with_two_spellings(mut self) -> Self {
        self.setup.composite = false;
        self.setup.generated = false;
        self.setup.ignores_case = true;
        self.setup.common_rows = self.setup.common_rows.min(7);
        self
    }

    /// The same, where a formula fills a column now and then.
    pub fn with_arrays(mut self, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x6172_7261_7973);
        if self.setup.direction != Direction::ToSheet {
            self.setup.columns |= [1, 2][rng.usize(..2)];
            put_arrays(&mut self.ops, &mut rng);
        }
        self
    }

    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut setup = random_setup(&mut rng);
        // Drawn apart, so that the rest of a seed's schedule does not depend on it.
        let mut sizes = Rng::with_seed(seed ^ 0x6368_756e_6b73);
        setup.request_rows = sizes.u8(..4) * u8::from(sizes.bool());
        setup.anchors_apart = 1 + sizes.u8(..3);
        let focus = FOCUSES[rng.usize(..FOCUSES.len())];
        let length = rng.usize(4..60);
        let op = |_| match focus {
            Some(focus) if rng.bool() => focused_op(focus, &mut rng),
            _ => random_op(&mut rng),
        };
        let mut ops: Vec<Op> = (0..length).map(op).collect();
        if sizes.u8(..8) == 0 {
            setup.common_rows = sizes.u8(4..10);
            setup.table_rows = 0;
            ops = in_masses(ops, &mut sizes);
        }
        let mut wills = Rng::with_seed(seed ^ 0x7769_6c6c_7321);
        setup.keeps = setup.pinned && wills.u8(..3) == 0;
        if wills.u8(..4) == 0 {
            for _ in 0..wills.u8(1..4) {
                let at = wills.usize(..=ops.len());
                ops.insert(at, Op::Lock(wills.u8(..8)));
                let at = wills.usize(at..=ops.len());
                ops.insert(at, Op::Unlock);
            }
        }
        let mut spellings = Rng::with_seed(seed ^ 0x7370_656c_6c73);
        let schedule = Self { setup, ops };
        match spellings.u8(..8) {
            0 => schedule.with_two_spellings(),
            _ => schedule,
        }
    }

    pub fn run(&self, maker: Maker, bugs: DriverBugs, rules: Rules) -> Verdict {
        self.play(&mut World::new(self.setup, maker, bugs, rules))
    }

    fn play(&self, world: &mut World) -> Verdict {
        for &op in &self.ops {
            world.say(|| format!("{op:?}"));
            perform(world, op)?;
        }
        world.settle()?;
        world.check_settled()
    }

    /// What happened, line by line.
    pub fn trace(&self, maker: Maker, bugs: DriverBugs, rules: Rules) -> String {
        let mut world = World::new(self.setup, maker, bugs, rules);
        world.trace = Some(Vec::new());
        let verdict = self.play(&mut world);
        let mut lines = world.trace.unwrap_or_default();
        lines.push(format!("{verdict:?}"));
        lines.join("\n")
    }

    /// The smallest schedule found that still breaks a promise.
    pub fn shrink(self, maker: Maker, bugs: DriverBugs, rules: Rules) -> (Self, Violation) {
        let mut best = self;
        let mut violation = best
            .run(maker, bugs, rules)
            .expect_err("only a failing schedule is shrunk");
        let kind = violation.kind();
        let fails = |schedule: &Schedule| {
            let violation = schedule.run(maker, bugs, rules).err();
            violation.filter(|other| other.kind() == kind)
        };
        loop {
            let smaller = best
                .smaller()
                .find_map(|smaller| fails(&smaller).map(|violation| (smaller, violation)));
            match smaller {
                Some(found) => (best, violation) = found,
                None => return (best, violation),
            }
        }
    }

    /// Every schedule that is a little simpler than this one, the boldest cuts first.
    fn smaller(&self) -> impl Iterator<Item = Schedule> + '_ {
        let sizes = std::iter::successors(Some(self.ops.len().div_ceil(2).max(1)), |size| {
            (*size > 1).then_some(size.div_ceil(2))
        });
        let without = sizes.flat_map(move |size| {
            (0..self.ops.len())
                .step_by(size)
                .map(move |from| (from, size))
        });
        let cuts = without.map(|(from, size)| {
            let mut ops = self.ops.clone();
            ops.drain(from..(from + size).min(ops.len()));
            Schedule {
                ops,
                ..self.clone()
            }
        });
        let plainer = plainer_setups(self.setup)
            .into_iter()
            .map(|setup| Schedule {
                setup,
                ops: self.ops.clone(),
            });
        let simpler = self.ops.iter().enumerate().filter_map(|(index, op)| {
            let mut ops = self.ops.clone();
            ops[index] = simpler_op(*op)?;
            Some(Schedule {
                ops,
                ..self.clone()
            })
        });
        cuts.chain(plainer).chain(simpler)
    }
}

impl fmt::Display for Schedule {
    /// As Rust, to paste under the tests of `regressions.rs`.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        writeln!(out, "replay(\n    {},\n    &[", self.setup)?;
        for op in &self.ops {
            // Both kinds of edits know a `Delete`.
            let op = format!("{op:?}").replace("Sheet(", "Sheet(SheetEdit::");
            writeln!(out, "        {op},")?;
        }
        write!(out, "    ],\n);")
    }
}

pub fn perform(world: &mut World, op: Op) -> Verdict {
    match op {
        Op::Table(edit) => world.edit_table(edit),
        Op::Sheet(edit) => world.edit_sheet(edit),
        Op::Resolve { nth, by } => {
            world.resolve(nth, |kind| match by {
                Resolution::Database => Decision::Side(Side::Database),
                Resolution::Sheet => Decision::Side(Side::Sheet),
                Resolution::Value(n) => Decision::Value(Value::Num(n).datum(kind)),
            });
            Ok(())
        }
        Op::Step(times) => (0..times).try_for_each(|_| world.step()),
        Op::Finish => {
            world.step()?;
            world.finish()
        }
        Op::Poll => {
            world.poll();
            Ok(())
        }
        Op::Push | Op::Pull => {
            world.one_way(op == Op::Push);
            Ok(())
        }
        Op::Preview => {
            world.preview();
            Ok(())
        }
        Op::Fault(fault) => world.fault(fault),
        Op::Land => world.land(),
        Op::Crash => {
            world.die_halfway()?;
            world.crash();
            Ok(())
        }
        Op::Lock(row) => {
            world.lock(row);
            Ok(())
        }
        Op::Unlock => {
            world.unlock();
            Ok(())
        }
        Op::Pause(seconds) => {
            world.pause(seconds);
            Ok(())
        }
        Op::ConfirmDeletes => {
            world.confirm_deletes();
            Ok(())
        }
        Op::Resync => world.resync(),
    }
}

// ------------------------------------------------------------------------------------------------------------------ chance

fn random_setup(rng: &mut Rng) -> Setup {
    let policies = [
        Policy::LastWriteWins,
        Policy::LastWriteWins,
        Policy::DatabaseWins,
        Policy::SheetWins,
        Policy::Manual,
        Policy::Function,
    ];
    let policy = |rng: &mut Rng| policies[rng.usize(..policies.len())];
    let composite = rng.u8(..4) == 0;
    let header = rng.u8(..8) != 0;
    let one_way =
        (rng.u8(..8) == 0).then(|| [Direction::ToSheet, Direction::FromSheet][rng.usize(..2)]);
    Setup {
        composite,
        generated: !composite && rng.bool(),
        ignores_case: false,
        columns: rng.u8(..64) & rng.u8(..64),
        layout: rng.u8(..3) * u8::from(header),
        direction: one_way.unwrap_or(Direction::Both),
        policy: policy(rng),
        name_policy: (rng.u8(..4) == 0).then(|| policy(rng)),
        tie: if rng.bool() {
            Side::Database
        } else {
            Side::Sheet
        },
        on_table_delete: [
            OnTableDelete::DeleteRow,
            OnTableDelete::DeleteRow,
            OnTableDelete::Clear,
            OnTableDelete::Keep,
        ][rng.usize(..4)],
        on_sheet_delete: [
            OnSheetDelete::Delete,
            OnSheetDelete::Delete,
            OnSheetDelete::Keep,
        ][rng.usize(..3)],
        max_delete_percent: [20, 50, 100][rng.usize(..3)],
        max_delete_rows: [0, 1, 2, 20][rng.usize(..4)],
        filter: [Filter::None, Filter::None, Filter::Listed, Filter::Live][rng.usize(..4)],
        pinned: rng.u8(..4) == 0,
        keeps: false,
        // What a trigger makes of a value could not go back to the sheet.
        upper: rng.u8(..4) == 0 && one_way != Some(Direction::FromSheet),
        qty_required: false,
        insert_leaves_out: rng.bool(),
        common_rows: rng.u8(..6),
        table_rows: rng.u8(..3) * u8::from(rng.u8(..3) == 0),
        sheet_rows: rng.u8(..3) * u8::from(rng.u8(..3) == 0),
        differing: rng.u8(..3) * u8::from(rng.u8(..3) == 0),
        header,
        request_rows: 0,
        anchors_apart: 1,
    }
}

/// Statements about many rows, which are written in runs, while people move a few of them; and of
/// the rest what is left.
fn in_masses(ops: Vec<Op>, rng: &mut Rng) -> Vec<Op> {
    let mut masses = vec![Op::Finish, all_rows(rng), Op::Finish, Op::Poll, Op::Finish];
    for op in ops {
        match rng.u8(..4) {
            0 => {
                let from = rng.u8(..8);
                let to = from + rng.u8(1..4);
                let few = [Op::Sheet(SheetEdit::Move { from, to }), op];
                masses.extend([all_rows(rng), Op::Step(rng.u8(3..12))]);
                masses.push(few[usize::from(rng.u8(..4) == 0)]);
            }
            1 => masses.push(Op::Step(rng.u8(1..6))),
            2 => masses.push(Op::Finish),
            _ => masses.push(op),
        }
    }
    masses
}

/// A formula fills a column, and shows nothing for a while.
fn put_arrays(ops: &mut Vec<Op>, rng: &mut Rng) {
    for _ in 0..rng.u8(1..4) {
        let at = rng.usize(..=ops.len());
        let column = rng.u8(..2);
        let array = [Op::Finish, Op::Sheet(SheetEdit::Array { column })];
        ops.splice(at..at, array);
    }
    for _ in 0..rng.u8(..4) {
        let at = rng.usize(..=ops.len());
        let how = rng.u8(..3);
        ops.insert(at, Op::Sheet(SheetEdit::Silence { how }));
    }
}

fn all_rows(rng: &mut Rng) -> Op {
    Op::Table(TableEdit::UpdateAll {
        column: rng.u8(..9),
        value: random_value(rng),
    })
}

/// What a schedule does more of than chance would: what goes wrong only where several rare things
/// meet.
#[derive(Clone, Copy)]
enum Focus {
    /// Readings that hide rows, after crashes and beside rows that people double.
    Readings,
    /// Few keys, given, taken and passed on on both sides.
    Keys,
    /// One row, one half step at a time.
    Moments,
}

const FOCUSES: [Option<Focus>; 6] = [
    None,
    None,
    None,
    Some(Focus::Readings),
    Some(Focus::Keys),
    Some(Focus::Moments),
];

fn focused_op(focus: Focus, rng: &mut Rng) -> Op {
    let (key, row) = (rng.u8(..6), rng.u8(..3));
    match (focus, rng.u8(..12)) {
        (Focus::Readings, 0..3) => Op::Fault(Fault::Partial {
            from: rng.u8(..8),
            count: rng.u8(..8),
        }),
        (Focus::Readings, 3) => Op::Fault(Fault::Stale),
        (Focus::Readings, 4..6) => Op::Poll,
        (Focus::Readings, 6) => Op::Crash,
        (Focus::Readings, 7) => Op::Sheet(SheetEdit::Duplicate { row }),
        (Focus::Readings, 8) => Op::Sheet(SheetEdit::Delete { row }),
        (Focus::Readings, _) => Op::Step(rng.u8(1..4)),
        (Focus::Keys, 0 | 1) => Op::Table(TableEdit::Rekey { row, key }),
        (Focus::Keys, 2) => Op::Table(TableEdit::Delete { row }),
        (Focus::Keys, 3) => Op::Table(TableEdit::Insert {
            key,
            value: random_value(rng),
        }),
        (Focus::Keys, 4) => Op::Sheet(SheetEdit::Key { row, key }),
        (Focus::Keys, 5) => Op::Sheet(SheetEdit::TypeRow {
            key: Some(key),
            value: random_value(rng),
        }),
        (Focus::Keys, 6) => Op::Sheet(SheetEdit::Delete { row }),
        (Focus::Keys, 7) => Op::Sheet(SheetEdit::ClearKey { row }),
        (Focus::Keys, 8) => Op::Sheet(SheetEdit::Duplicate { row }),
        (Focus::Keys, _) => Op::Step(rng.u8(1..6)),
        (Focus::Moments, 0 | 1) => Op::Table(TableEdit::Update {
            row: 0,
            column: rng.u8(..9),
            value: random_value(rng),
        }),
        (Focus::Moments, 2..4) => Op::Sheet(SheetEdit::Cell {
            row: 0,
            column: rng.u8(..9),
            value: random_value(rng),
        }),
        (Focus::Moments, 4) => Op::Sheet(SheetEdit::Delete { row: 0 }),
        (Focus::Moments, 5) => Op::Table(TableEdit::Delete { row: 0 }),
        (Focus::Moments, 6) => Op::Fault(random_fault(rng)),
        (Focus::Moments, 7) => Op::Table(TableEdit::Relist { row: 0 }),
        (Focus::Moments, _) => Op::Step(1),
    }
}

pub fn random_value(rng: &mut Rng) -> Value {
    match rng.u8(..16) {
        0 => Value::Nothing,
        1 => Value::Bad,
        2 => Value::Illegal,
        3 | 4 => Value::Odd(rng.u8(..8)),
        // Seldom enough for both sides to agree by chance, often enough for it to happen.
        5..8 => Value::Num(rng.u16(..4)),
        _ => Value::Num(rng.u16(100..900)),
    }
}

fn random_op(rng: &mut Rng) -> Op {
    match rng.u8(..100) {
        0..36 => Op::Step(rng.u8(1..8)),
        36..42 => Op::Finish,
        42..50 => Op::Poll,
        50 => [Op::Push, Op::Pull][rng.usize(..2)],
        51 => Op::Preview,
        52..70 => Op::Table(random_table_edit(rng)),
        70..89 => Op::Sheet(random_sheet_edit(rng)),
        89..94 => Op::Fault(random_fault(rng)),
        94 => Op::Land,
        95 => Op::Crash,
        96 => Op::Pause(rng.u32(1..4000)),
        97 => Op::ConfirmDeletes,
        98 if rng.u8(..3) == 0 => Op::Resync,
        _ => {
            let by = [
                Resolution::Database,
                Resolution::Sheet,
                Resolution::Value(rng.u16(900..999)),
            ][rng.usize(..3)];
            Op::Resolve {
                nth: rng.u8(..4),
                by,
            }
        }
    }
}

fn random_table_edit(rng: &mut Rng) -> TableEdit {
    let row = rng.u8(..8);
    match rng.u8(..20) {
        0..9 => TableEdit::Update {
            row,
            column: rng.u8(..9),
            value: random_value(rng),
        },
        9..14 => TableEdit::Insert {
            key: rng.u8(..14),
            value: random_value(rng),
        },
        14..17 => TableEdit::Delete { row },
        17 => TableEdit::Rekey {
            row,
            key: rng.u8(..14),
        },
        18 => TableEdit::Relist { row },
        _ if rng.u8(..4) == 0 => TableEdit::Truncate,
        _ => TableEdit::Relist { row },
    }
}

fn random_sheet_edit(rng: &mut Rng) -> SheetEdit {
    let row = rng.u8(..8);
    match rng.u8(..40) {
        0..16 => SheetEdit::Cell {
            row,
            column: rng.u8(..9),
            value: random_value(rng),
        },
        16..21 => SheetEdit::TypeRow {
            key: (rng.u8(..3) != 0).then(|| rng.u8(..14)),
            value: random_value(rng),
        },
        21..24 => SheetEdit::Delete { row },
        24 => SheetEdit::Clear { row },
        25..27 => SheetEdit::InsertBlank { at: rng.u8(..8) },
        27..29 => SheetEdit::Move {
            from: row,
            to: rng.u8(..8),
        },
        29..31 => SheetEdit::Sort {
            column: rng.u8(..9),
        },
        31 => SheetEdit::Key {
            row,
            key: rng.u8(..14),
        },
        32 => SheetEdit::ClearKey { row },
        33 => SheetEdit::Duplicate { row },
        34..36 => SheetEdit::Scribble {
            row,
            note: rng.u16(..100),
        },
        36 => SheetEdit::InsertColumn { at: rng.u8(..8) },
        37 => SheetEdit::MoveColumn {
            from: rng.u8(..8),
            to: rng.u8(..8),
        },
        38 => match rng.u8(..16) {
            n @ 0..8 => SheetEdit::BreakHeader { column: n },
            n => SheetEdit::RenameHeader { column: n, name: n },
        },
        _ => SheetEdit::MendHeader,
    }
}

fn random_fault(rng: &mut Rng) -> Fault {
    match rng.u8(..8) {
        0 => Fault::Refused,
        1 => Fault::Quota,
        2 | 3 => Fault::AnswerLost,
        4 => Fault::RequestLost,
        5 => Fault::Late,
        6 if rng.bool() => Fault::Stale,
        _ => Fault::Partial {
            from: rng.u8(..8),
            count: rng.u8(..8),
        },
    }
}

// --------------------------------------------------------------------------------------------------------------- shrinking

pub fn plainer_setups(setup: Setup) -> Vec<Setup> {
    let plain = Setup::PLAIN;
    let mut found = vec![
        Setup {
            composite: false,
            ..setup
        },
        Setup {
            generated: false,
            ..setup
        },
        Setup {
            ignores_case: false,
            ..setup
        },
        Setup { layout: 0, ..setup },
        Setup {
            direction: plain.direction,
            ..setup
        },
        Setup {
            pinned: false,
            ..setup
        },
        Setup {
            policy: plain.policy,
            ..setup
        },
        Setup {
            name_policy: None,
            ..setup
        },
        Setup {
            tie: plain.tie,
            ..setup
        },
        Setup {
            on_table_delete: plain.on_table_delete,
            ..setup
        },
        Setup {
            on_sheet_delete: plain.on_sheet_delete,
            ..setup
        },
        Setup {
            max_delete_percent: plain.max_delete_percent,
            ..setup
        },
        Setup {
            max_delete_rows: plain.max_delete_rows,
            ..setup
        },
        Setup {
            filter: Filter::None,
            ..setup
        },
        Setup {
            keeps: false,
            ..setup
        },
        Setup {
            upper: false,
            ..setup
        },
        Setup {
            insert_leaves_out: false,
            ..setup
        },
        Setup {
            header: true,
            ..setup
        },
        Setup {
            common_rows: setup.common_rows.saturating_sub(1),
            ..setup
        },
        Setup {
            table_rows: setup.table_rows.saturating_sub(1),
            ..setup
        },
        Setup {
            sheet_rows: setup.sheet_rows.saturating_sub(1),
            ..setup
        },
        Setup {
            differing: setup.differing.saturating_sub(1),
            ..setup
        },
        Setup {
            request_rows: 0,
            ..setup
        },
        Setup {
            anchors_apart: 1,
            ..setup
        },
    ];
    found.extend((0..6).map(|bit| Setup {
        columns: setup.columns & !(1 << bit),
        ..setup
    }));
    found.retain(|other| *other != setup);
    found
}

pub fn simpler_op(op: Op) -> Option<Op> {
    let simpler = match op {
        Op::Step(n) if n > 1 => Op::Step(n - 1),
        Op::Table(TableEdit::Update { row, column, .. }) => Op::Table(TableEdit::Update {
            row,
            column,
            value: Value::Num(100),
        }),
        Op::Table(TableEdit::Insert { key, .. }) => Op::Table(TableEdit::Insert {
            key,
            value: Value::Num(200),
        }),
        Op::Sheet(SheetEdit::Cell { row, column, .. }) => Op::Sheet(SheetEdit::Cell {
            row,
            column,
            value: Value::Num(300),
        }),
        Op::Sheet(SheetEdit::TypeRow { key, .. }) => Op::Sheet(SheetEdit::TypeRow {
            key,
            value: Value::Num(400),
        }),
        _ => return None,
    };
    (simpler != op).then_some(simpler)
}
