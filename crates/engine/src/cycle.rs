//! The cycle of one mapping as a state machine.
//!
//! A cycle is written as straight-line `async` code that waits for nothing but the answers to its
//! effects ([`io::Io`]): the compiler makes the state machine of it, and [`Machine::resume`] steps
//! it by one effect. Nothing is spawned, nothing wakes it but the driver.

mod compare;
mod decide;
mod full;
mod guard;
mod item;
mod memory;
mod quick;
mod read;
mod restore;
mod run;
mod state;
mod stop;
mod tell;
mod write;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::effect::{Outcome, Report, Start, Step, Stopped};
pub use crate::io::Progress;
use crate::io::{self, Io};
use crate::mapping::Mapping;
use crate::tab;
use crate::value::{Key, Timestamp};
use memory::Memory;

type Running = Pin<Box<dyn Future<Output = run::Ended> + Send>>;

/// Lives as long as its mapping: between cycles it remembers where each key's row stands and how
/// each row hashed.
///
/// A cycle that is dropped on its way takes this memory with it, and the next one starts cold: what
/// is remembered saves requests and is never needed for correctness.
pub struct Machine {
    mapping: Arc<Mapping>,
    memory: Memory,
    tab: tab::TabMemory,
    io: Io,
    notes_off: bool,
    running: Option<Running>,
}

impl Machine {
    /// A machine that knows nothing yet: its first cycle asks for the stored index.
    pub fn new(mapping: Mapping) -> Self {
        Self {
            mapping: Arc::new(mapping),
            memory: Memory::default(),
            tab: tab::TabMemory::default(),
            io: Io::default(),
            notes_off: false,
            running: None,
        }
    }

    /// One that knows as little as a new one, for a mapping of which more is known.
    pub fn renewed(&self, mapping: Mapping) -> Self {
        Self {
            notes_off: self.notes_off,
            ..Self::new(mapping)
        }
    }

    /// Notes were switched off, and some may stand from before: the next cycle takes ours away.
    pub fn take_notes_off(&mut self) {
        self.notes_off = true;
    }

    /// The driver has stored that a finished cycle saw every column's header and gave its cells
    /// their format.
    pub fn mark_headers_known(&mut self) {
        for column in &mut std::sync::Arc::make_mut(&mut self.mapping).columns {
            column.header_known = true;
            column.reformat = false;
        }
    }

    /// What it was made for, with the headers that people have renamed since.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Keys of rows that the last snapshot had and that nothing is agreed about: typed, and not
    /// taken by the table.
    pub fn typed(&self) -> HashSet<Key> {
        self.memory.typed()
    }

    /// Of the cycle that is under way, or of the last one.
    pub fn progress(&self) -> Progress {
        self.io.progress()
    }

    /// Begin a cycle. A cycle that was under way is abandoned, which is what a crash does too.
    pub fn start(&mut self, start: Start) -> Step {
        self.io = Io::default();
        self.io.set_now(start.now);
        let memory = std::mem::take(&mut self.memory);
        let notes_off = !start.dry_run && std::mem::take(&mut self.notes_off);
        self.running = Some(Box::pin(run::run(
            self.io.clone(),
            self.mapping.clone(),
            memory,
            std::mem::take(&mut self.tab),
            start,
            notes_off,
        )));
        self.step()
    }

    /// Go on with what came of an effect.
    pub fn resume(&mut self, outcome: Outcome, now: Timestamp) -> Step {
        self.io.answer(outcome, now);
        self.step()
    }

    fn step(&mut self) -> Step {
        let Some(running) = &mut self.running else {
            return Step::Done(Report::default());
        };
        match running
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(ended) => {
                self.running = None;
                self.memory = ended.memory;
                self.tab = ended.tab;
                self.mapping = ended.mapping;
                Step::Done(ended.report)
            }
            Poll::Pending => match self.io.take_effect() {
                Some(effect) => Step::Do(effect),
                // It waits for nothing that anybody could answer.
                None => {
                    self.running = None;
                    Step::Done(Report {
                        stopped: Some(Stopped::Failure(io::mismatch())),
                        ..Report::default()
                    })
                }
            },
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Machine")
            .field("memory", &self.memory)
            .field("running", &self.running.is_some())
            .finish()
    }
}
