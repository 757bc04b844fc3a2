//! What goes wrong meanwhile: faults of the service, no network, and processes that are killed.

use e2e::{Dice, Fault, Gate, Held, Kind, When, World};
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Trouble {
    /// Requests that stand at the gate. What is written for a process that was killed meanwhile
    /// arrives after all when they are let go.
    held: Vec<(Instant, Held)>,
    /// Without network until then.
    cut_off: Option<Instant>,
    pub counts: Counts,
}

#[derive(Default, Clone, Copy)]
pub struct Counts {
    pub faults: usize,
    pub held: usize,
    pub cuts: usize,
    pub workers: usize,
    pub servers: usize,
}

/// More of them at once would leave no time in which anything goes right.
const PLANNED: usize = 4;
/// The requests that come again and again under this load.
const USUAL: [Kind; 6] = [
    Kind::Read,
    Kind::Tag,
    Kind::Write,
    Kind::Insert,
    Kind::Delete,
    Kind::Tidy,
];

impl Trouble {
    /// One more of anything but a kill.
    pub fn cause(&mut self, gate: &Gate, dice: &mut Dice) {
        match dice.below(10) {
            0 if self.cut_off.is_none() => {
                gate.close();
                self.cut_off = Some(soon(dice));
                self.counts.cuts += 1;
            }
            1..=3 if self.held.len() < 2 => {
                let when = one_of(dice, [When::Before, When::After]);
                let held = match dice.below(2) {
                    0 => gate.hold(1, when),
                    _ => gate.hold_on(one_of(dice, USUAL), when),
                };
                self.held.push((soon(dice), held));
                self.counts.held += 1;
            }
            _ if gate.planned() < PLANNED => {
                let (fault, times) = (fault(dice), 1 + dice.below(3));
                match dice.below(2) {
                    0 => gate.fault(fault, times),
                    _ => gate.fault_on(one_of(dice, USUAL), fault, times),
                }
                self.counts.faults += 1;
            }
            _ => {}
        }
    }

    /// Ends what has lasted long enough.
    pub fn pass(&mut self, gate: &Gate) {
        let now = Instant::now();
        self.held.retain(|(until, _)| *until > now);
        if self.cut_off.is_some_and(|until| until <= now) {
            gate.open();
            self.cut_off = None;
        }
    }

    pub fn end(&mut self, gate: &Gate) {
        let planned = gate.planned();
        gate.mend();
        // Those that no request has met were none.
        self.counts.faults -= planned - gate.planned();
        self.held.clear();
        gate.open();
        self.cut_off = None;
    }

    /// Kills the server, or only the worker where there is one.
    pub fn kill(&mut self, world: &mut World, dice: &mut Dice) {
        if dice.below(3) == 0 {
            world.cluster.kill();
            world.cluster.start_again();
            world.reconnect();
            self.counts.servers += 1;
        } else {
            world.kill_worker();
            self.counts.workers += 1;
        }
    }
}

fn soon(dice: &mut Dice) -> Instant {
    Instant::now() + Duration::from_millis(200 + dice.below(5_000) as u64)
}

fn fault(dice: &mut Dice) -> Fault {
    let when = one_of(dice, [When::Before, When::After]);
    match dice.below(16) {
        0 => Fault::status(429),
        1 => Fault::status(500),
        2 | 3 => Fault::status(503),
        4 => Fault::Denied(500),
        5 => Fault::Denied(503),
        6 => Fault::status(502),
        7..=9 => Fault::Lost(when),
        10 | 11 => Fault::Reset(when),
        12 => Fault::Cut,
        13 => Fault::Garbled,
        _ => Fault::Slow(Duration::from_millis(100 + dice.below(3_000) as u64)),
    }
}

fn one_of<T: Copy, const N: usize>(dice: &mut Dice, of: [T; N]) -> T {
    of[dice.below(N)]
}
